# Fuzzing (clang with libFuzzer). FUZZ_SECONDS: for each target.
FUZZ_SECONDS ?= 180

.PHONY: fuzz fuzz-replay fuzz-msan msan
fuzz:
	sh tools/need.sh build test
	JOBS=$(JOBS) sh tests/fuzz/run.sh $(FUZZ_SECONDS) fuzz

fuzz-replay:
	sh tools/need.sh build test
	JOBS=$(JOBS) sh tests/fuzz/run.sh 0 replay

fuzz-msan:
	sh tools/need.sh build test source
	JOBS=$(JOBS) SANITIZERS=memory sh tests/fuzz/run.sh $(FUZZ_SECONDS) check

# The unit tests with the memory sanitizer, which make check also runs.
msan:
	sh tools/need.sh build test source
	$(MAKE) -j$(JOBS) $(MEMORY)
	ONLY=1 RESULTS=build/msan/results JOBS=$(JOBS) sh tests/run.sh $(MEMORY)
