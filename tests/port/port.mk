# make -f tests/port/port.mk PORT=NAME programs: the library's unit tests, tools and examples for another target, in
# build/port/NAME. A port is the assignments of tests/port/NAME.conf over these; all empty means: as on this machine.
#   WHAT      the target, for people              NEED      PROGRAM=PACKAGE[,PACKAGE] or FILE=PACKAGE, what it takes
#   CC, AR    compiler and archiver               CFLAGS    for the tests and tools; STD, the standard; WARNINGS
#   SOURCE    BearSSL and cmocka from Debian's source (yes), or the installed libraries (no); BEARSSL_CFLAGS, CMOCKA_CFLAGS
#   KNOBS     HATHORA_TOKENS_ knobs               LDFLAGS, LIBS   EXE   the ending of programs
#   RUN       the words before a program that run it, and ARGUMENT between it and the name of a test; empty: it runs here
#   WITHOUT   unit tests that need what the target lacks
#   FAULTS_EVERY   test_faults strikes at each so-many-th byte, where it goes slowly
#   LIST      yes where the tests cannot read folders, nor start programs
#   LIVE      yes: the tool and the emulator are built for the target and tested over TLS; LACKS, what the programs
#             cannot do there, as tests/live/harness.h has it for live_needs()
#   EMULATOR  yes: the emulator is also tested against curl and openssl
#   NAMES     yes: the tool is also tested with names that a hosts file has, and that no name server answers for
#   CHECK     a script in tests/port for more, which is given the folder and prints counts as cmocka does
#   OWN       tests of the target's own, tests/port/OWN.c, run on a terminal with the folder of the tools
#   STRIP, SIZE   for the sizes that are shown
#   LWIP      yes: examples/lwip_loop.c runs too, over lwIP
# Every port also runs examples/bare_metal.c, whole calls over TLS in memory, against tests/port/memory_peer.c.
WHAT =
NEED =
STD = -std=c99
WARNINGS = -Wall -Wextra -Werror
CFLAGS = -Os
SOURCE = yes
BEARSSL_CFLAGS = -Os
CMOCKA_CFLAGS =
KNOBS =
LDFLAGS =
LIBS =
EXE =
RUN =
ARGUMENT =
WITHOUT =
FAULTS_EVERY =
LIST = no
LIVE = no
EMULATOR = no
LWIP = no
LACKS =
NAMES = no
CHECK =
OWN =
STRIP = strip
AR = ar
SIZE = $(patsubst %ar,%size,$(AR))

include tests/port/$(PORT).conf

OUT = build/port/$(PORT)
# What takes longest comes first.
LONG = test_faults test_faults_portable test_tls_small test_tls test_x509
UNITS = $(filter-out $(WITHOUT),$(LONG) $(filter-out $(LONG),$(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))))
ifeq ($(SOURCE),yes)
INCLUDE = -isystem build/inc -isystem build/cmocka/include
BEARSSL = build/bear-$(PORT)/libbearssl.a
CMOCKA = $(OUT)/cmocka.o
else
INCLUDE =
BEARSSL = -lbearssl
CMOCKA = -lcmocka
endif
ifeq ($(LIST),yes)
LISTING = -DTRANSCRIPTS_LIST='"$(OUT)/transcripts.list"' -DLIMBO_UNPACKED='"$(OUT)/limbo"'
endif
ifeq ($(LIVE),yes)
TOOLS = $(patsubst tools/%.c,%,$(wildcard tools/hathora-*.c))
endif
COMPILE = $(CC) $(STD) $(CFLAGS) $(WARNINGS) -I. $(INCLUDE)
HEADERS = hathora_tokens.h $(wildcard tools/*.h) $(wildcard tests/unit/*.h tests/port/*.h)

.PHONY: programs libraries
.DELETE_ON_ERROR:

programs: $(UNITS:%=$(OUT)/tests/%$(EXE)) $(TOOLS:%=$(OUT)/real/%$(EXE)) $(OWN:%=$(OUT)/own/%$(EXE)) $(OUT)/real/bare_metal$(EXE) \
    $(if $(filter yes,$(LWIP)),$(OUT)/real/lwip_loop$(EXE)) $(OUT)/header.o

# What cannot be made by several at once.
libraries:
	sh tools/need.sh build demo $(NEED)
	@mkdir -p $(OUT)/tests $(OUT)/real $(OUT)/own
ifeq ($(SOURCE),yes)
	sh tools/bearssl.sh $(PORT) '$(CC)' '$(AR)' $(BEARSSL_CFLAGS)
	sh tools/source.sh cmocka
endif
ifeq ($(LWIP),yes)
	sh tools/source.sh lwip
endif
	@test -f build/port/peer_keys.h || sh tests/port/peer-keys.sh build/port/peer_keys.h
	find tests/transcripts -name '*.txt' | sed 's|^tests/transcripts/||; s|\.txt$$||' | LC_ALL=C sort >$(OUT)/transcripts.list
	gzip -dc tests/limbo/cases.gz >$(OUT)/limbo

$(OUT)/cmocka.o:
	$(CC) $(CFLAGS) -w -DHAVE_SIGNAL_H -DHAVE_INTTYPES_H -DHAVE_MALLOC_H $(CMOCKA_CFLAGS) $(INCLUDE) \
	    -c build/cmocka/src/cmocka.c -o $@

$(OUT)/tests/%$(EXE): tests/unit/%.c $(HEADERS) $(filter %.o,$(CMOCKA))
	$(COMPILE) $(KNOBS) $(LISTING) $< -o $@ $(LDFLAGS) $(CMOCKA) $(BEARSSL) $(LIBS)

$(OUT)/tests/test_tool_proxy$(EXE): tools/hathora-tokens.c

$(OUT)/real/%$(EXE): tools/%.c $(HEADERS)
	$(COMPILE) $< -o $@ $(LDFLAGS) $(BEARSSL) $(LIBS)

$(OUT)/own/%$(EXE): tests/port/%.c $(filter %.o,$(CMOCKA))
	$(COMPILE) $< -o $@ $(LDFLAGS) $(CMOCKA) $(LIBS)

$(OUT)/real/bare_metal$(EXE): examples/bare_metal.c tests/port/memory_peer.c examples/board.h $(HEADERS) build/port/peer_keys.h
	$(COMPILE) -Iexamples -Ibuild/port $< tests/port/memory_peer.c -o $@ $(LDFLAGS) $(BEARSSL) $(LIBS)

# lwIP's warnings are its own.
$(OUT)/lwip/liblwip.a: tests/lwip/lwipopts.h tests/lwip/arch/cc.h
	@mkdir -p $(@D)
	cd $(@D) && $(CC) $(STD) $(CFLAGS) -w -I"$(CURDIR)/tests/lwip" -I"$(CURDIR)/build/lwip/src/include" \
	    -c "$(CURDIR)"/build/lwip/src/core/*.c "$(CURDIR)"/build/lwip/src/core/ipv4/*.c && $(AR) -rcs liblwip.a *.o

$(OUT)/real/lwip_loop$(EXE): examples/lwip_loop.c examples/lwip_transport.h tests/lwip/network.c tests/port/memory_peer.c \
    examples/board.h $(HEADERS) build/port/peer_keys.h $(OUT)/lwip/liblwip.a
	$(COMPILE) -Iexamples -Ibuild/port -Itests/lwip -isystem build/lwip/src/include $< tests/lwip/network.c \
	    tests/port/memory_peer.c -o $@ $(LDFLAGS) $(OUT)/lwip/liblwip.a $(BEARSSL) $(LIBS)

$(OUT)/header.o: tests/compile/implement.c $(HEADERS)
	$(COMPILE) $(KNOBS) -c $< -o $@
