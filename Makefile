# `make` lists the targets. Each fetches what it needs: Debian packages, Go and Cargo modules.
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
SHELL := /bin/bash

HOST     := $(shell rustc -vV | sed -n 's/^host: //p')
VERSION  := $(shell sed -n 's/^version = "\(.*\)"/\1/p;T;q' Cargo.toml)
BOOTKUBE := target/$(HOST)/release/bootkube
LAB      := cargo run -q -p lab --
# What the lab stands on: Debian's containerd, runc and CNI plugins, and the tools that kubelet and kube-proxy call.
LAB_PACKAGES := bash busybox-static ca-certificates conntrack containerd containernetworking-plugins coreutils curl \
	findutils haproxy iproute2 iptables mount nftables openssl procps runc util-linux
# What tests look at pages with.
BROWSER_PACKAGES := chromium fonts-dejavu-core
# Installs the packages given, if any is missing.
define install
	@missing=$$(for p in $(1); do \
		dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
		apt-get update -q && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
			apt-get install -q -y --no-install-recommends $$missing; \
	fi
endef

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: tools
tools: ## Install the Debian packages that the lab needs, if any is missing (root)
	$(call install,$(LAB_PACKAGES))

.PHONY: browser
browser: ## Install the browser that the tests of the report need, if it is missing (root)
	$(call install,$(BROWSER_PACKAGES))

.PHONY: lab-images
lab-images: tools ## Build Kubernetes, CoreDNS and all images of the lab (cached; minutes the first time)
	$(LAB) build

.PHONY: build
build: ## Build the static bootkube binary: target/<host>/release/bootkube
	cargo build --release -p bootkube

.PHONY: demo
demo: tools build ## Render and start a one-machine cluster in the lab
	$(LAB) demo --bootkube $(BOOTKUBE)

.PHONY: test
test: tools browser ## Run every test, the end-to-end ones on lab machines included
	cargo test --workspace --no-fail-fast

.PHONY: bench
bench: LAB_PACKAGES += hyperfine time
bench: tools build ## Measure, and write docs/benchmarks.md anew (half an hour; BENCH='--repetitions 1 --only NAME' for less)
	cargo build --release -p lab
	cargo run --release -p bench -- --bootkube $(BOOTKUBE) $(BENCH)

.PHONY: soak
soak: tools ## Cut start off everywhere, every fault, ten pivots with rolls, ten power cuts: docs/reliability.md (hours)
	cargo build -q -p lab
	cargo test --test e2e -- --ignored --nocapture

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
	$(LAB) image $(BOOTKUBE) quay.io/bootkube/bootkube:v$(VERSION) target/bootkube-image.tar

# The book's sources: docs/ with its siblings beside it, so that links between them hold; a README is an index there.
BOOK := target/book-src
.PHONY: docs
docs: ## Build the documents as a book: target/book/index.html (tests/documents.rs checks their links)
	command -v mdbook >/dev/null || \
		cargo install mdbook --locked --version 0.5.4 --no-default-features --target $(HOST)
	rm -rf $(BOOK) target/book && mkdir -p $(BOOK)
	cp -r *.md LICENSE docs $(BOOK)
	sed -e 's,](\([^.]\),](docs/\1,' -e 's,](\.\./,](,' docs/SUMMARY.md > $(BOOK)/SUMMARY.md
	rm $(BOOK)/docs/SUMMARY.md
	for folder in . docs; do \
		mv $(BOOK)/$$folder/README.md $(BOOK)/$$folder/index.md && \
		sed -i 's,](\([^)]*\)README\.md,](\1index.md,g' $(BOOK)/$$folder/*.md || exit 1; \
	done
	mdbook build

.PHONY: golden
golden: ## Record what render writes as the new golden files; the run fails once, so that they are looked at
	UPDATE_GOLDEN=1 cargo test --test render

.PHONY: clean
clean: ## Remove everything built, lab machines included
	-$(LAB) down
	cargo clean
