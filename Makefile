# Every step that CI takes is a target here, so that it runs the same at a desk.
# Tests and the demo use the dev profile, which is optimised; bench and deb use the release.

CARGO ?= cargo
target = $(or $(CARGO_TARGET_DIR),target)
programs = --package funicular --package funicular-hooks --bins

.PHONY: help
help:
	@echo 'make demo [SITE=/path/to/a/git/repository]   from an upload to Live and back, then stays up'
	@echo 'make test                                    all tests, with real clients'
	@echo 'make crash [ROUNDS=3]                         kills, full disks and power cuts at every point (root)'
	@echo 'make check                                   format, lints, documentation'
	@echo 'make fuzz [SECONDS=60]                        what strangers send, made up (nightly, cargo-fuzz)'
	@echo 'make advisories                              known holes in what is built in (network)'
	@echo 'make bench [BENCH=--quick]                   against OpenSSH on this machine; BENCH="--markdown docs/benchmarks.md"'
	@echo 'make deb                                     the Debian package'
	@echo 'make package-test                            installs it in a Debian in a folder (root)'
	@echo 'make boot-test                               installs it in a booted Debian (root, qemu)'
	@echo 'make clean'

.PHONY: demo
demo:
	$(CARGO) build --locked $(programs)
	@SITE='$(SITE)' demo/run.sh

.PHONY: test
test:
	tests/install-clients.sh
	$(CARGO) test --locked --workspace

# Ordinary tests try a part of the points of each operation; this tries all of them, so often, and
# as many random moments of each. Prints how many were tried, and what failed.
ROUNDS ?= 3
.PHONY: crash
crash:
	tests/install-clients.sh
	FUNICULAR_CRASH_ROUNDS=$(ROUNDS) $(CARGO) test --locked --package funicular-tests --test suite \
		-- --nocapture crash

.PHONY: check
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' $(CARGO) doc --locked --workspace --no-deps --document-private-items
	@if command -v shellcheck >/dev/null; then \
		echo shellcheck; git grep -lE '^#!(/bin/sh|/bin/bash|/usr/bin/env (ba)?sh)' | xargs shellcheck -x; \
	else echo 'shellcheck is not installed: the scripts were not checked'; fi
	@if command -v cargo-deny >/dev/null; then \
		$(CARGO) deny check bans licenses sources; \
	else echo 'cargo-deny is not installed: the licences were not checked'; fi

.PHONY: advisories
advisories:
	$(CARGO) deny check advisories

# New inputs stay in the target folder; one that shows a fault belongs in fuzz/corpus, where the
# ordinary tests replay it.
SECONDS ?= 60
fuzz_targets = sftp_bytes sftp_paths exec_line
found = $(abspath $(target))/fuzz-found
.PHONY: fuzz
fuzz:
	@cargo fuzz --version >/dev/null 2>&1 || { echo 'first: cargo install cargo-fuzz'; exit 1; }
	set -e; for name in $(fuzz_targets); do \
		mkdir -p $(found)/$$name; \
		cargo +nightly fuzz run --sanitizer none $$name $(found)/$$name fuzz/corpus/$$name -- \
			-max_total_time=$(SECONDS) -timeout=20 -rss_limit_mb=2048; \
	done

.PHONY: bench
bench:
	tests/install-clients.sh --bench
	$(CARGO) build --locked --release $(programs)
	@mkdir -p $(target)/bench
	$(CARGO) bench --locked -p funicular-policy --bench decide | tee $(target)/bench/costs.txt
	$(CARGO) bench --locked -p funicular --bench write_cost | tee -a $(target)/bench/costs.txt
	bench/run --funicular $(target)/release/funicular --costs $(target)/bench/costs.txt $(BENCH)

.PHONY: deb
deb:
	$(CARGO) build --locked --release $(programs)
	packaging/deb/build.sh --bin-dir $(target)/release --out $(target)/deb

# With the programs that the tests use: what is tested here is the package.
.PHONY: package-test boot-test
package-test:
	$(CARGO) build --locked $(programs)
	packaging/test/install.sh --bin-dir $(target)/debug
boot-test:
	$(CARGO) build --locked $(programs)
	packaging/test/boot.sh --bin-dir $(target)/debug

.PHONY: clean
clean:
	$(CARGO) clean
