# The two that matter on a fresh machine: `make run` and `make test`. Both do all their set-up.
CARGO ?= cargo
LOOM  = RUSTFLAGS="--cfg slotwise_loom" $(CARGO) test --release --lib --target-dir target/loom --
# Optimised, with debug assertions and overflow checks; link-time optimisation of a dozen test
# programs would cost minutes and find nothing.
CHECKED = CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_LTO=off \
          CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
          $(CARGO) test --release --features cli,capi --target-dir target/checked
# Wherever cargo puts it.
SLOTWISE = $(CARGO) run --quiet --release --features cli --

# Where `make install` puts the C library; PANIC=abort makes one that ends the process on a fault.
PREFIX  ?= /usr/local
DESTDIR ?=
PANIC   ?= unwind
export PREFIX DESTDIR PANIC

.PHONY: help setup run test test-rust check bench-smoke instructions loom loom-long mutants model-long sim \
        sim-long stress-long bench bench-c bench-report package lib install test-c sanitize fuzz test-cargo-c \
        test-go test-python long clean

help:
	@echo 'make run          place a generated cluster'"'"'s requests by every policy, with a plot'
	@echo 'make test         every test that CI runs'
	@echo 'make bench        all benchmarks (redis-server on PATH is measured, too), report in out/'
	@echo 'make bench-report writes BENCHMARKS.md and docs/scale.svg anew: minutes, on an idle machine'
	@echo 'make install      the C library, header, pkg-config and CMake files, under PREFIX'
	@echo 'parts of test:    check test-rust test-c test-go test-python bench-smoke instructions loom package'
	@echo 'longer tiers:     loom-long mutants model-long sim-long stress-long sanitize fuzz'
	@echo '                  test-cargo-c, or all of them: long'
	@echo 'also:             setup lib bench-c clean; sim SLOTWISE_SIM_SEED=n replays a simulation'

setup:
	@.ci/setup

run: setup
	$(CARGO) build --release --features cli
	mkdir -p out
	$(SLOTWISE) generate --nodes-out out/nodes.csv --pods-out out/pods.csv
	$(SLOTWISE) replay --nodes out/nodes.csv --pods out/pods.csv --policy all --plot out/replay.svg
	@echo 'plot: out/replay.svg'

test: setup
	@.ci/test

# Formatting, lints and documentation, without a warning.
check: setup
	@.ci/check
	@.ci/msrv

test-rust: setup
	$(CHECKED)

# The benchmarks compile and each does one short round.
bench-smoke: setup
	$(CHECKED) --benches

# The hottest operations take no more instructions than they did; needs valgrind to count them.
instructions: setup
	$(CARGO) bench --bench instructions

# Every interleaving of the core's races with up to two preemptions, and the seeded bugs.
loom: setup
	LOOM_MAX_PREEMPTIONS=2 $(LOOM) loom_

loom-long: setup
	LOOM_MAX_PREEMPTIONS=3 $(LOOM) loom_

# The seeded bugs alone: each must be caught by its model.
mutants: setup
	LOOM_MAX_PREEMPTIONS=2 $(LOOM) loom_catches_

model-long: setup
	PROPTEST_CASES=100000 $(CARGO) test --release --test model
	PROPTEST_CASES=20000 $(CARGO) test --release --lib policy_tests

# The seeded simulation alone; and minutes of it.
sim: setup
	$(CHECKED) --lib -- --nocapture simulation::

sim-long: setup
	SLOTWISE_SIM_STEPS=100000000 $(CHECKED) --lib -- --nocapture simulation::

stress-long: setup
	SLOTWISE_STRESS_OPS=20000000 $(CARGO) test --release --test stress

# The C library: what `make install` installs, and C programs that use it.
lib: setup
	bindings/c/deliver build

install: setup
	bindings/c/deliver install

test-c: setup
	@.ci/test-c

test-go: setup
	@.ci/test-go

test-python: setup
	@.ci/test-python

# The C tests under sanitizers and valgrind, and eight threads under ThreadSanitizer: five minutes.
sanitize: setup
	@.ci/sanitize

# Both fuzzers of the C interface; FUZZ_SECONDS=3600 for an hour.
fuzz: setup
	@fuzz/run

# cargo-c installs the same files.
test-cargo-c: setup
	@.ci/test-cargo-c

long: loom-long model-long sim-long stress-long sanitize fuzz test-cargo-c

bench: setup
	$(CARGO) bench --bench ratios
	$(CARGO) bench --bench original
	$(CARGO) bench --bench redis
	SLOTWISE_BENCH_REPORT=out $(CARGO) bench --bench scale
	@echo 'report: out/BENCHMARKS.md, plot: out/scale.svg'

# What the C interface adds, through the shared library.
bench-c: lib
	SLOTWISE_LIBRARY=$(CURDIR)/target/capi/lib/libslotwise.so $(CARGO) bench --features capi --bench capi

bench-report: setup
	SLOTWISE_BENCH_REPORT=out $(CARGO) bench --bench scale
	mkdir -p docs
	cp out/scale.svg docs/scale.svg
	sed 's|(scale.svg)|(docs/scale.svg)|' out/BENCHMARKS.md > BENCHMARKS.md
	for bench in ratios redis; do \
		printf '\n## The same machine: `cargo bench --bench %s`\n\n' $$bench; \
		$(CARGO) bench --quiet --bench $$bench || exit 1; \
	done >> BENCHMARKS.md

# The pictures of docs/LIFE.md, by graphviz.
docs/%.svg: docs/%.dot
	dot -Tsvg $< -o $@

# What a user of the crate gets, built from the package.
package: setup
	$(CARGO) package --allow-dirty

clean:
	$(CARGO) clean
	rm -rf out
