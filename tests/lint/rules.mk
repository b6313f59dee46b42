# Formatting, static analysis, and valgrind over the unit tests and one session of the tools; each job by itself, so
# that make -j spreads them. The header is analysed once, as build/lint/header.c; the programs without its implementation.
GCC ?= gcc

LINT_C = build/lint/header.c $(wildcard tools/*.c) $(EXAMPLE_SOURCES)
LINT_CXX = $(wildcard examples/*.cpp)
LINT_UNITS = $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
LINT_JOBS = lint-format lint-shell lint-valgrind-tools $(addprefix lint-valgrind/,$(LINT_UNITS)) \
    $(addprefix lint-analyzer/,$(LINT_C)) $(addprefix lint-cppcheck/,$(LINT_C)) \
    $(addprefix lint-tidy/,$(LINT_C) $(LINT_CXX))

.PHONY: lint lint-jobs $(LINT_JOBS)
lint:
	sh tools/need.sh build demo test lint
	$(MAKE) WERROR=$(or $(WERROR),-Werror) build/examples/trusted_anchors.h build/lwip-plain/liblwip.a
	$(MAKE) -k -j$(JOBS) WERROR=$(or $(WERROR),-Werror) --output-sync=target lint-jobs

lint-jobs: $(LINT_JOBS)

lint-format:
	clang-format --dry-run -Werror $(OUR_SOURCES)

lint-shell:
	shellcheck $(SCRIPTS)

build/lint/header.c: Makefile
	@mkdir -p $(@D)
	printf '#define HATHORA_TOKENS_IMPLEMENTATION\n#include "hathora_tokens.h"\n' >$@

# What stands for the implementation in all sources but header.c, and mkanchors.c, which calls what is private to it.
ALONE = -Ibuild/examples -Itests/lwip -isystem build/lwip/src/include \
    $(if $(filter build/lint/header.c tools/mkanchors.c,$<),,-DHATHORA_TOKENS_IMPLEMENTED)

$(addprefix lint-analyzer/,$(LINT_C)): lint-analyzer/%: %
	$(GCC) $(OUR_C) $(ALONE) -O1 -fanalyzer -c -o /dev/null $<

$(addprefix lint-tidy/,$(LINT_C)): lint-tidy/%: %
	clang-tidy --quiet $< -- $(OUR_C) $(ALONE)

$(addprefix lint-tidy/,$(LINT_CXX)): lint-tidy/%: %
	clang-tidy --quiet $< -- $(OUR_CXX) $(ALONE)

# cppcheck reads no system header, so it is told the macros of theirs that the header asks for.
$(addprefix lint-cppcheck/,$(LINT_C)): lint-cppcheck/%: %
	cppcheck -q --std=c99 --language=c --platform=unix64 --library=posix --error-exitcode=1 \
	    --enable=warning,style,performance,portability --suppressions-list=tests/lint/cppcheck.txt -I. $(ALONE) \
	    -D__unix__ -D__linux__ -D__GNUC__=12 -DAI_NUMERICHOST=4 -DCLOCK_MONOTONIC=1 -DMSG_NOSIGNAL=0x4000 \
	    -DSIG_SETMASK=2 $<

VALGRIND = valgrind -q --leak-check=full --show-leak-kinds=all --errors-for-leak-kinds=all --error-exitcode=9 \
    --suppressions=tests/lint/valgrind.supp

# Under valgrind a fault at each fiftieth byte instead of at each; the address sanitizer sees them all.
$(addprefix lint-valgrind/,$(LINT_UNITS)): lint-valgrind/%: build/tests/unit/%
	@mkdir -p build/lint
	@echo 'FAULTS_EVERY=50 $(VALGRIND) $<'
	@FAULTS_EVERY=50 $(VALGRIND) $< >build/lint/$*.log 2>&1 || { cat build/lint/$*.log; exit 1; }

lint-valgrind-tools: all
	VALGRIND='$(VALGRIND)' sh tests/lint/tools.sh
