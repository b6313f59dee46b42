# Whether the tests notice small changes to the header. MUTANTS: how many; SEED: which.
MUTANTS ?= 360
SEED ?= 1

.PHONY: mutate
mutate:
	sh tools/need.sh build mutate
	python3 tests/mutate/mutate.py --mutants $(MUTANTS) --seed $(SEED) --jobs $(JOBS)
