# examples/lwip_loop.c and its transport over the real lwIP, in one process: Debian's source, fetched into build/lwip, and
# configured here as on a small device.
LWIP_INCLUDE = -Iexamples -Ibuild/port -Itests/lwip -isystem build/lwip/src/include
LWIP_BOARD = tests/lwip/network.c tests/port/memory_peer.c
LWIP_NEEDS = examples/lwip_transport.h examples/board.h $(LWIP_BOARD) build/port/peer_keys.h tests/lwip/network.h $(HEADERS)

# lwip CFLAGS: its library.
define lwip
	sh tools/source.sh lwip
	@mkdir -p $(@D)
	cd $(@D) && $(CC) -std=c99 $1 -I"$(CURDIR)/tests/lwip" -I../lwip/src/include -c ../lwip/src/core/*.c \
	    ../lwip/src/core/ipv4/*.c && $(AR) -rcs liblwip.a *.o
endef

build/lwip-plain/liblwip.a: tests/lwip/lwipopts.h tests/lwip/arch/cc.h
	$(call lwip,$(CFLAGS))

# Not the undefined behaviour sanitizer, which has its own opinion of lwIP.
build/lwip-san/liblwip.a: tests/lwip/lwipopts.h tests/lwip/arch/cc.h
	$(call lwip,-O1 -g -fno-omit-frame-pointer -fsanitize=address)

build/examples/lwip_loop: examples/lwip_loop.c $(LWIP_NEEDS) build/lwip-plain/liblwip.a
	@mkdir -p $(@D)
	$(CC) $(OUR_C) $(LWIP_INCLUDE) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(LWIP_BOARD) $(LDFLAGS) build/lwip-plain/liblwip.a \
	    $(BEARSSL) $(LDLIBS)

build/san/examples/lwip_loop: examples/lwip_loop.c $(LWIP_NEEDS) build/lwip-san/liblwip.a
	@mkdir -p $(@D)
	$(CC) $(OUR_C) $(LWIP_INCLUDE) $(CPPFLAGS) $(SAN_CFLAGS) -o $@ $< $(LWIP_BOARD) $(LDFLAGS) build/lwip-san/liblwip.a \
	    $(BEARSSL) $(LDLIBS)

build/tests/lwip/test_lwip: tests/lwip/test_lwip.c $(LWIP_NEEDS) build/lwip-plain/liblwip.a
	@mkdir -p $(@D)
	$(CC) $(OUR_C) $(LWIP_INCLUDE) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(LWIP_BOARD) $(LDFLAGS) build/lwip-plain/liblwip.a \
	    $(CMOCKA) $(BEARSSL) $(LDLIBS)

build/san/tests/lwip/test_lwip: tests/lwip/test_lwip.c $(LWIP_NEEDS) build/lwip-san/liblwip.a
	@mkdir -p $(@D)
	$(CC) $(OUR_C) $(LWIP_INCLUDE) $(CPPFLAGS) $(SAN_CFLAGS) -o $@ $< $(LWIP_BOARD) $(LDFLAGS) build/lwip-san/liblwip.a \
	    $(CMOCKA) $(BEARSSL) $(LDLIBS)
