# Everything a fresh machine needs is two commands: make serve, make test.

.PHONY: serve test lint bench gauntlet fuzz sbom reproducible advisories tools

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

lint: tools
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo fetch --locked
	.tools/bin/cargo-deny --offline check licenses bans sources

# Measures beside Debian's docker-registry in one run, and prints ratios.
bench: tools
	cargo build --release --workspace
	bench/run
	bench/lifecycle
	bench/events
	bench/lists
	bench/limits
	bench/runner

# Looks for bytes that upset a parser, a minute for each; needs a nightly compiler.
fuzz:
	fuzz/run 60

# What Wharf is built of, as CycloneDX.
sbom:
	mkdir -p target
	.ci/sbom >target/wharf.cdx.json

# Builds the programs twice in different folders, and compares their bytes.
reproducible:
	.ci/reproducible

# Known holes in what is built in; asks for the newest list over the network.
advisories: tools
	.tools/bin/cargo-deny check advisories

# The long form of the gauntlet, at most half an hour; its figures go to docs/reliability.md.
gauntlet: tools
	cargo build --workspace
	tests/gauntlet/run
