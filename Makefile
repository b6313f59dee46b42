# Everything is built under build/. `make help` lists the targets.
# CC, CXX, CPPFLAGS, CFLAGS, CXXFLAGS, LDFLAGS and LDLIBS are yours and come last on each command.

CC ?= cc
CXX ?= c++
CFLAGS ?= -O2 -g
CXXFLAGS ?= -O2 -g
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
PKGCONFIGDIR ?= $(DATADIR)/pkgconfig
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
# With it a cd may lead elsewhere, and prints where.
unexport CDPATH

# check and lint make errors of warnings; a newer compiler's new warning shall not stop a user's build.
WERROR =
WARNINGS = -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wundef $(WERROR)
OUR_C = -std=c99 $(WARNINGS) -I.
OUR_CXX = -std=c++11 $(WARNINGS) -I.
SANITIZE = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
COMMANDS = $(filter hathora-%,$(TOOLS))
BEARSSL = -lbearssl
CMOCKA = -lcmocka

# The tool as one small file that needs no C library where it runs. No table for stack unwinding, which nothing here does.
STATIC_CC = musl-gcc
STATIC_AR = gcc-ar
STATIC_FLAGS = -Os -flto=auto -ffat-lto-objects -ffunction-sections -fdata-sections -fno-inline-functions-called-once -fno-pic \
    -fno-asynchronous-unwind-tables -fno-unwind-tables
STATIC_LINK = -static -no-pie -s -Wl,--gc-sections,--build-id=none,-z,noseparate-code

# The memory sanitizer needs a BearSSL that is built with it; see tools/bearssl.sh.
SANITIZE_MEMORY = -O1 -g -fno-omit-frame-pointer -fsanitize=memory -fsanitize-memory-track-origins
BEARSSL_MEMORY = build/bear-msan/libbearssl.a

# Our own default flags do not reach the sanitized builds; yours do.
SAN_CFLAGS = $(SANITIZE) $(if $(filter file,$(origin CFLAGS)),,$(CFLAGS))
SAN_CXXFLAGS = $(SANITIZE) $(if $(filter file,$(origin CXXFLAGS)),,$(CXXFLAGS))

HEADERS = hathora_tokens.h $(wildcard tools/*.h) $(wildcard tests/*/*.h)
TOOLS = $(patsubst tools/%.c,%,$(wildcard tools/hathora-*.c)) mkanchors
# Examples that need what this machine has not are left out.
has = $(shell printf '\043include <$1>\n' | $(CC) $(CPPFLAGS) -E -x c - >/dev/null 2>&1 && echo yes)
LACKING := $(if $(call has,uv.h),,examples/libuv_loop) $(if $(call has,sys/epoll.h),,examples/epoll_loop) \
    $(if $(shell command -v openssl),,examples/compiled_in_anchors) \
    $(if $(wildcard build/lwip/src/include/lwip/tcp.h),,examples/lwip_loop)
EXAMPLE_SOURCES = $(filter-out $(LACKING:=.c),$(wildcard examples/*.c))
EXAMPLES = $(patsubst %.c,%,$(EXAMPLE_SOURCES)) $(patsubst %.cpp,%,$(wildcard examples/*.cpp))
TESTS = $(patsubst %.c,%,$(wildcard tests/unit/test_*.c tests/live/test_*.c tests/lwip/test_*.c))
HARNESS = $(filter-out tests/live/test_%.c,$(wildcard tests/live/*.c))
PLAIN = $(addprefix build/,$(TOOLS) $(EXAMPLES) $(TESTS))
SANITIZED = $(addprefix build/san/,$(TOOLS) $(EXAMPLES) $(TESTS))
MEMORY = $(addprefix build/msan/,$(filter tests/unit/%,$(TESTS)))
COVERED = $(filter-out %_small,$(patsubst tests/unit/%.c,build/coverage/%,$(wildcard tests/unit/test_*.c)))
SCRIPTS = $(wildcard .ci/run tools/*.sh tests/*.sh tests/*/*.sh examples/*.sh)
OUR_SOURCES = hathora_tokens.h $(wildcard tools/*.[ch] tests/*/*.c tests/*/*.h examples/*.[ch] examples/*.cpp)

.PHONY: all static need check coverage test-programs demo examples docs install uninstall dist distcheck longest-poll clean help
.DELETE_ON_ERROR:

all: $(addprefix build/,$(TOOLS))

static: build/static/hathora-tokens

help:
	@echo 'make all       build/hathora-tokens, build/hathora-emulator and build/mkanchors'
	@echo 'make static    the tool as one small file on musl, for any Linux of this CPU: build/static/hathora-tokens'
	@echo 'make need      install what building, testing and linting lack (Debian)'
	@echo 'make check     build and run all tests, plain and sanitized, and fuzz; installs what they lack'
	@echo 'make coverage  lines and branches of the header that the plain unit tests and transcripts reach'
	@echo 'make mutate    MUTANTS (360) small changes to the header, chosen by SEED (1): do the tests notice?'
	@echo 'make demo      list, create and revoke against a local emulator over verified TLS'
	@echo 'make docs      manual pages in build/man, completions in build/completions'
	@echo 'make install   tools, header, manual pages, completions and a file for pkg-config, below PREFIX (/usr/local),'
	@echo '               DESTDIR before it; uninstall: removes them'
	@echo 'make dist      a tarball in build/dist, the same bytes each time; distcheck: unpacks it and runs all its tests'
	@echo 'make examples  the programs of examples/, in build/examples/'
	@echo 'make longest-poll  measure the longest time that one poll takes, and where'
	@echo 'make lint      formatting, shell scripts, static analysis (gcc, clang, cppcheck), valgrind'
	@echo 'make fuzz      run each fuzz target for FUZZ_SECONDS (180); fuzz-replay: their seeds alone'
	@echo 'make fuzz-msan the same with the memory sanitizer, BearSSL included; msan: the unit tests with it'
	@echo 'make port      build and test every other target (tests/port/*.conf); port-NAME: one of them'
	@echo 'make bench     speed, side by side with libcurl, the official SDK and the limits; size: bytes of code and memory'
	@echo 'make clean     remove the programs, and all that the targets above left in build/'
	@echo 'make help      this list'

need:
	sh tools/need.sh build demo test coverage mutate lint

check:
	sh tools/need.sh build demo test coverage source
	$(MAKE) -j$(JOBS) WERROR=$(or $(WERROR),-Werror) test-programs
	JOBS=$(JOBS) sh tests/run.sh $(addprefix build/,$(TESTS)) $(addprefix build/san/,$(TESTS)) $(MEMORY)

test-programs: build/examples/lwip_loop build/san/examples/lwip_loop
test-programs: $(PLAIN) $(SANITIZED) $(MEMORY) $(COVERED) build/sdk/installed build/certs/made build/certs/tls/made

coverage:
	sh tools/need.sh build coverage
	$(MAKE) -j$(JOBS) $(COVERED)
	JOBS=$(JOBS) sh tests/coverage.sh $(COVERED)

demo:
	sh tools/need.sh build demo
	$(MAKE) all
	sh tools/demo.sh

examples: $(addprefix build/,$(EXAMPLES))
	@for name in $(LACKING); do echo "$$name: skipped, what it needs is not installed"; done

# Both are made from what they describe: the pages from the header and tools/man, the completions from the tools.
docs: build/man/made build/completions/made

build/man/made: tools/man.sh hathora_tokens.h $(wildcard tools/man/*)
	sh tools/man.sh $(@D)
	@touch $@

build/completions/made: tools/completions.sh $(addprefix build/,$(COMMANDS))
	@mkdir -p $(@D)
	for tool in $(COMMANDS); do \
	    sh tools/completions.sh bash build/$$tool >$(@D)/$$tool && \
	    sh tools/completions.sh zsh build/$$tool >$(@D)/_$$tool && \
	    sh tools/completions.sh fish build/$$tool >$(@D)/$$tool.fish || exit 1; \
	done
	@touch $@

install: all docs
	sh tools/install.sh

uninstall:
	sh tools/install.sh --remove

install uninstall: export DESTDIR := $(DESTDIR)
install uninstall: export PREFIX := $(PREFIX)
install uninstall: export BINDIR := $(BINDIR)
install uninstall: export INCLUDEDIR := $(INCLUDEDIR)
install uninstall: export DATADIR := $(DATADIR)
install uninstall: export MANDIR := $(MANDIR)
install uninstall: export PKGCONFIGDIR := $(PKGCONFIGDIR)
install uninstall: export LIBS := $(BEARSSL) -pthread

dist:
	sh tools/dist.sh

# Nothing of this folder takes part, and the tests may leave nothing but in their own build folder.
distcheck:
	rm -rf build/distcheck
	sh tools/dist.sh build/distcheck
	cd build/distcheck && tar -xzf *.tar.gz
	cd build/distcheck/*/ && $(MAKE) check
	cd build/distcheck/*/ && sh tools/dist.sh && cmp build/dist/*.tar.gz ../*.tar.gz

build/examples/libuv_loop build/san/examples/libuv_loop: BEARSSL += -luv
ANCHORED = build/examples/compiled_in_anchors build/san/examples/compiled_in_anchors
$(ANCHORED): private OUR_C += -Ibuild/examples
$(ANCHORED): build/examples/trusted_anchors.h
build/examples/worker_thread build/san/examples/worker_thread: BEARSSL += -pthread

# A measurement, no test: its figures are the machine's and the moment's.
longest-poll: all build/bench/longest_poll build/certs/made
	sh tests/bench/longest_poll.sh

clean:
	rm -rf build/hathora-* build/mkanchors build/man build/completions build/examples build/tests build/san \
	    build/sdk build/certs build/nginx build/tinyproxy-bin build/demo \
	    build/compile build/checks build/results build/live build/fuzz build/fuzz-msan build/lint build/msan \
	    build/bench build/static build/coverage build/mutate build/ci-*.log build/dist build/distcheck \
	    build/port build/bearssl build/bear-* build/cmocka build/lwip* build/*.lock build/inc build/apt

include tests/fuzz/rules.mk
include tests/lwip/rules.mk
include tests/bench/rules.mk
include tests/lint/rules.mk
include tests/mutate/rules.mk
include tests/port/rules.mk

build/hathora-%: tools/hathora-%.c $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(OUR_C) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(LDFLAGS) $(BEARSSL) $(LDLIBS)

build/san/hathora-%: tools/hathora-%.c $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(OUR_C) $(CPPFLAGS) $(SAN_CFLAGS) -o $@ $< $(LDFLAGS) $(BEARSSL) $(LDLIBS)

# As small as BearSSL's profile makes it: STATIC_KNOBS=-DHATHORA_TOKENS_SMALL.
build/static/hathora-tokens build/static/small/hathora-tokens: tools/hathora-tokens.c $(HEADERS) tools/bearssl.sh
	@mkdir -p $(@D)
	sh tools/need.sh build static
	JOBS=$(JOBS) sh tools/bearssl.sh static '$(STATIC_CC)' $(STATIC_AR) $(STATIC_FLAGS)
	$(STATIC_CC) $(OUR_C) -isystem build/inc $(STATIC_FLAGS) $(STATIC_KNOBS) -o $@ $< build/bear-static/libbearssl.a $(STATIC_LINK)

build/static/small/hathora-tokens: private STATIC_KNOBS += -DHATHORA_TOKENS_SMALL

build/mkanchors: tools/mkanchors.c $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(OUR_C) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(LDFLAGS) $(BEARSSL) $(LDLIBS)

build/san/mkanchors: tools/mkanchors.c $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(OUR_C) $(CPPFLAGS) $(SAN_CFLAGS) -o $@ $< $(LDFLAGS) $(BEARSSL) $(LDLIBS)

build/examples/%: examples/%.c $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(OUR_C) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(LDFLAGS) $(BEARSSL) $(LDLIBS)

build/san/examples/%: examples/%.c $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(OUR_C) $(CPPFLAGS) $(SAN_CFLAGS) -o $@ $< $(LDFLAGS) $(BEARSSL) $(LDLIBS)

build/examples/%: examples/%.cpp $(HEADERS)
	@mkdir -p $(@D)
	$(CXX) $(OUR_CXX) $(CPPFLAGS) $(CXXFLAGS) -o $@ $< $(LDFLAGS) $(BEARSSL) $(LDLIBS)

build/san/examples/%: examples/%.cpp $(HEADERS)
	@mkdir -p $(@D)
	$(CXX) $(OUR_CXX) $(CPPFLAGS) $(SAN_CXXFLAGS) -o $@ $< $(LDFLAGS) $(BEARSSL) $(LDLIBS)

build/tests/unit/%: tests/unit/%.c $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(OUR_C) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(LDFLAGS) $(CMOCKA) $(BEARSSL) $(LDLIBS)

build/tests/unit/test_tool_proxy build/san/tests/unit/test_tool_proxy: tools/hathora-tokens.c

build/san/tests/unit/%: tests/unit/%.c $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(OUR_C) $(CPPFLAGS) $(SAN_CFLAGS) -o $@ $< $(LDFLAGS) $(CMOCKA) $(BEARSSL) $(LDLIBS)

# gcc's counts, and no function left out because no test calls it.
build/coverage/%: tests/unit/%.c $(HEADERS)
	@mkdir -p $(@D)
	gcc $(OUR_C) -O0 --coverage -fkeep-static-functions $(CPPFLAGS) -o $@ $< $(LDFLAGS) $(CMOCKA) $(BEARSSL) $(LDLIBS)

$(BEARSSL_MEMORY): tools/bearssl.sh
	JOBS=$(JOBS) sh tools/bearssl.sh msan clang ar $(SANITIZE_MEMORY)
	@touch $@

build/msan/tests/unit/%: tests/unit/%.c $(HEADERS) $(BEARSSL_MEMORY)
	@mkdir -p $(@D)
	clang $(OUR_C) -isystem build/inc $(SANITIZE_MEMORY) -fno-sanitize-recover=all $(CPPFLAGS) -o $@ $< $(LDFLAGS) \
	    $(CMOCKA) $(BEARSSL_MEMORY) $(LDLIBS)

build/tests/live/%: tests/live/%.c $(HARNESS) $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(OUR_C) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(HARNESS) $(LDFLAGS) $(CMOCKA) $(BEARSSL) $(LDLIBS)

build/san/tests/live/%: tests/live/%.c $(HARNESS) $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(OUR_C) $(CPPFLAGS) $(SAN_CFLAGS) -o $@ $< $(HARNESS) $(LDFLAGS) $(CMOCKA) $(BEARSSL) $(LDLIBS)

# What the tests' servers are trusted by; touched only where it changes.
build/examples/trusted_anchors.h: build/mkanchors build/certs/made
	@mkdir -p $(@D)
	build/mkanchors build/certs/ca.pem >$@.new
	cmp -s $@.new $@ || cp $@.new $@

# The official SDK, a peer in the tests and nothing else. Exact versions; no script of a package runs.
build/sdk/installed: Makefile
	@mkdir -p $(@D)
	npm install --prefix build/sdk --no-save --no-audit --no-fund --ignore-scripts \
	    @hathora/cloud-sdk-typescript@2.25.6 zod@3.25.76
	touch $@

# Remade on every run where a certificate is about to expire.
.PHONY: build/certs/made build/certs/tls/made
build/certs/made:
	sh tests/certs.sh build/certs

build/certs/tls/made:
	sh tests/tls-certs.sh build/certs/tls
