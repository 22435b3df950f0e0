# `make` lists the targets. Each fetches what it needs: Debian packages, Go and Cargo modules.
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
SHELL := /bin/bash

HOST     := $(shell rustc -vV | sed -n 's/^host: //p')
VERSION  := $(shell sed -n 's/^version = "\(.*\)"/\1/p;T;q' Cargo.toml)
# What is shipped, and what is demonstrated and tested: the second one is compiled in a fraction of the time.
RELEASE  := target/$(HOST)/release/bootkube
BOOTKUBE := target/$(HOST)/debug/bootkube
LAB      := target/$(HOST)/debug/lab
# Where the lab keeps what Go has compiled.
GO_FOLDER := $(or $(LAB_CACHE),target/lab/cache)/go
# What the lab stands on: debootstrap makes its machines and systemd-nspawn boots them. Images get the tools that
# kube-proxy calls from the host, and some tests run containerd on it.
LAB_PACKAGES := bash busybox-static ca-certificates conntrack containerd coreutils curl debootstrap \
	debian-archive-keyring findutils haproxy iproute2 iptables mount netbase nftables openssh-client openssl procps \
	runc systemd systemd-container util-linux
# What tests look at pages with.
BROWSER_PACKAGES := chromium fonts-dejavu-core
# What cloud-init's modules import, by which a test checks user data. cloud-init itself would change this machine.
CLOUD_INIT_PACKAGES := python3-configobj python3-jinja2 python3-jsonpatch python3-jsonschema python3-requests python3-yaml
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

.PHONY: cloud-init
cloud-init: ## Install what the check of user data for cloud-init needs, if it is missing (root)
	$(call install,$(CLOUD_INIT_PACKAGES))

# The selection of cargo decides which features the dependencies have. `--workspace` with the dependencies of tests, which
# `--examples` brings (there are none), is the selection of `cargo test --workspace`: nothing is compiled a second time.
# Without make's flags, by which cargo would take the two jobs of make for all that it may use.
CARGO := env -u MAKEFLAGS cargo

.PHONY: rust
rust:
	$(CARGO) build --workspace --bins --examples

.PHONY: rust-tests
rust-tests:
	$(CARGO) test --workspace --no-run

.PHONY: go
go:
	tests/lab/programs.sh $(GO_FOLDER) hyperkube coredns pause

.PHONY: go-tests
go-tests:
	tests/lab/programs.sh $(GO_FOLDER) hyperkube coredns pause keepalive etcdctl etcdutl crictl habsup operator helm ignition

# cargo and Go side by side. If one fails, make says so at once, and again when the other one has ended.
.PHONY: programs
programs: tools
	$(MAKE) --no-print-directory --jobs=2 rust go

.PHONY: test-programs
test-programs: tools
	$(MAKE) --no-print-directory --jobs=2 rust-tests go-tests

.PHONY: lab-images
lab-images: programs ## Build Kubernetes, CoreDNS and all images of the lab (cached; minutes the first time)
	$(LAB) build

.PHONY: build
build: ## Build the static bootkube binary: target/<host>/release/bootkube
	cargo build --release -p bootkube

.PHONY: demo
demo: programs ## Render and start a one-machine cluster in the lab
	$(LAB) demo --bootkube $(BOOTKUBE)

.PHONY: test
test: tools browser cloud-init ## Run every test, the end-to-end ones on lab machines included; says how long each part took
	tests/run.sh

.PHONY: bench
bench: LAB_PACKAGES += hyperfine
bench: tools build ## Measure, and write docs/benchmarks.md anew (half an hour; BENCH='--repetitions 1 --only NAME' for less)
	cargo build --release -p lab
	cargo run --release -p bench -- --bootkube $(RELEASE) $(BENCH)

.PHONY: soak
soak: test-programs ## Cut start off everywhere, every fault, ten pivots with rolls, ten power cuts: docs/reliability.md (hours)
	cargo test --workspace --test e2e -- --ignored --nocapture

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
image: build rust ## Write the OCI archive of bootkube: target/bootkube-image.tar
	$(LAB) image $(RELEASE) quay.io/bootkube/bootkube:v$(VERSION) target/bootkube-image.tar

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
golden: ## Record files, help and messages as the new golden files; the run fails once, so that they are looked at
	-UPDATE_GOLDEN=1 cargo test --workspace --lib golden
	-UPDATE_GOLDEN=1 cargo test --workspace --test help
	UPDATE_GOLDEN=1 cargo test --workspace --test render

.PHONY: man
man: ## Write the manual pages of every command: target/man
	cargo run -q --example man -- target/man

.PHONY: clean
clean: ## Remove everything built, lab machines included
	-test ! -x $(LAB) || $(LAB) down
	cargo clean
