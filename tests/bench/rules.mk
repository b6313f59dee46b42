# Speed, side by side with others, and size. BENCH_ROUNDS: how often each is measured; BENCH_CPU: on which CPU.
BENCH = $(addprefix build/bench/,library small limit libcurl measure)

.PHONY: bench size bench-readme
bench:
	sh tools/need.sh build test bench
	$(MAKE) all build/sdk/installed $(BENCH)
	node tests/bench/bench.mjs

size:
	sh tools/need.sh build size static
	$(MAKE) build/hathora-emulator build/bench/stack build/port/peer_keys.h build/certs/tls/made \
	    build/static/hathora-tokens build/static/small/hathora-tokens
	STATIC='$(STATIC_CC) $(STATIC_FLAGS)' LINK='$(STATIC_LINK)' sh tests/bench/size.sh

# The tables of the last runs into the README, the chart beside the programs.
bench-readme:
	sh tests/bench/readme.sh

build/bench/%: tests/bench/%.c tests/bench/bench.h hathora_tokens.h
	@mkdir -p $(@D)
	$(CC) $(OUR_C) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(LDFLAGS) $(BENCH_LIBS) $(LDLIBS)

build/bench/small: tests/bench/library.c tests/bench/bench.h hathora_tokens.h
	@mkdir -p $(@D)
	$(CC) $(OUR_C) -DHATHORA_TOKENS_SMALL $(CPPFLAGS) $(CFLAGS) -o $@ $< $(LDFLAGS) $(BENCH_LIBS) $(LDLIBS)

build/bench/library build/bench/small build/bench/limit build/bench/longest_poll: BENCH_LIBS = $(BEARSSL)
build/bench/stack: BENCH_LIBS = $(BEARSSL) -pthread -Wl,-z,now
build/bench/libcurl: BENCH_LIBS = -lcurl -lcjson
