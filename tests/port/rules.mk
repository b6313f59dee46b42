# Other targets. make port-NAME builds and tests one of tests/port/NAME.conf, make port all of them; PORTS names a few.
PORTS = $(patsubst tests/port/%.conf,%,$(wildcard tests/port/*.conf))

# Those that each change must pass.
CI_PORTS = musl i386 s390x windows cortex-m3

.PHONY: port port-ci
port-ci: PORTS = $(CI_PORTS)
port port-ci: port-needs
	JOBS=$(JOBS) sh tests/port/run.sh $(PORTS)
	sh tests/port/table.sh

# Puts the table of the last run into the README.
.PHONY: port-readme
port-readme:
	sh tests/port/table.sh README.md

port-%: port-needs
	JOBS=$(JOBS) sh tests/port/run.sh $*

# The driver of the tools' tests runs here, whatever it drives.
.PHONY: port-needs
port-needs:
	sh tools/need.sh build demo test
	$(MAKE) -j$(JOBS) build/tests/live/test_cli build/tests/live/test_emulator build/tests/live/test_netns

# examples/bare_metal.c and the board that the tests put under it.
build/port/peer_keys.h: tests/port/peer-keys.sh
	@mkdir -p $(@D)
	sh tests/port/peer-keys.sh $@

build/examples/bare_metal: examples/bare_metal.c examples/board.h tests/port/memory_peer.c build/port/peer_keys.h $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(OUR_C) -Iexamples -Ibuild/port $(CPPFLAGS) $(CFLAGS) -o $@ $< tests/port/memory_peer.c $(LDFLAGS) $(BEARSSL) $(LDLIBS)

build/san/examples/bare_metal: examples/bare_metal.c examples/board.h tests/port/memory_peer.c build/port/peer_keys.h $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(OUR_C) -Iexamples -Ibuild/port $(CPPFLAGS) $(SAN_CFLAGS) -o $@ $< tests/port/memory_peer.c $(LDFLAGS) $(BEARSSL) $(LDLIBS)
