# Everything a fresh machine needs is two commands: make serve, make test.

.PHONY: serve test lint bench gauntlet tools

# The registry on loopback, with its data in ./data.
serve:
	cargo build --release
	./target/release/wharf serve

# Installs the clients that the tests drive, where they are missing.
tools:
	.ci/tools

# Builds all programs, since the tests start them, and runs every test.
test: tools
	cargo build --workspace
	cargo test --workspace --no-fail-fast

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

# Measures beside Debian's docker-registry in one run, and prints ratios.
bench: tools
	cargo build --release --workspace
	bench/run
	bench/lifecycle
	bench/events
	bench/lists
	bench/limits
	bench/runner

# The long form of the gauntlet, at most half an hour; its figures go to docs/reliability.md.
gauntlet: tools
	cargo build --workspace
	tests/gauntlet/run
