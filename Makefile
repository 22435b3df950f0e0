# What the lab stands on: Debian's containerd, runc and CNI plugins, and the tools that kubelet and kube-proxy call.
LAB_PACKAGES := bash busybox-static ca-certificates conntrack containerd containernetworking-plugins coreutils curl \
	findutils iproute2 iptables mount nftables openssl procps runc util-linux

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: tools
tools: ## Install the Debian packages that the lab needs, if any is missing (root)
	@missing=$$(for p in $(LAB_PACKAGES); do \
		dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
		apt-get update -q && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
			apt-get install -q -y --no-install-recommends $$missing; \
	fi

.PHONY: lab-images
lab-images: tools ## Build Kubernetes, CoreDNS and all images of the lab (cached; minutes the first time)
	cargo run --quiet --package lab -- build
