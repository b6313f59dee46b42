# Fuzzing (clang with libFuzzer). FUZZ_SECONDS: for each target.
FUZZ_SECONDS ?= 180

.PHONY: fuzz fuzz-replay
fuzz:
	sh tools/need.sh build test
	sh tests/fuzz/run.sh $(FUZZ_SECONDS) fuzz

fuzz-replay:
	sh tools/need.sh build test
	sh tests/fuzz/run.sh 0 replay
