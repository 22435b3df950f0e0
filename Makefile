# `make` lists the targets. Each fetches what it needs: Debian packages, Go and Cargo modules.
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
SHELL := /bin/bash

HOST     := $(shell rustc -vV | sed -n 's/^host: //p')
BOOTKUBE := target/$(HOST)/release/bootkube
LAB      := cargo run -q -p lab --

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the static bootkube binary: target/<host>/release/bootkube
	cargo build --release -p bootkube

.PHONY: demo
demo: tools build ## Render and start a one-machine cluster in the lab
	$(LAB) demo --bootkube $(BOOTKUBE)

.PHONY: test
test: tools ## Run every test, the end-to-end ones on lab machines included
	cargo test --workspace --no-fail-fast

.PHONY: lint
lint: tools ## Check format, lints, documentation, licences and sources of dependencies
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items -q
	command -v cargo-deny >/dev/null || cargo install cargo-deny --locked --target $(HOST)
	cargo deny check bans licenses sources

.PHONY: fmt
fmt: ## Format the sources
	cargo fmt --all

.PHONY: audit
audit: ## Check dependencies against the advisory database (needs its host)
	cargo deny check advisories

.PHONY: image
image: build ## Write the OCI archive of bootkube: target/bootkube-image.tar
	$(LAB) image --bootkube $(BOOTKUBE) --output target/bootkube-image.tar

.PHONY: golden
golden: ## Record what render writes as the new golden files; the run fails once, so that they are looked at
	UPDATE_GOLDEN=1 cargo test --test render

.PHONY: clean
clean: ## Remove everything built, lab machines included
	-$(LAB) down
	cargo clean
