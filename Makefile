# Every task of the repository; `make` alone lists them.

.PHONY: help demo test test-all bench load down fmt lint generate
.DEFAULT_GOAL := help

help: ## List the tasks
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: ## Bring up a cluster, scale an example under load, draw a picture, leave the cluster up
	cargo run --release --bin demo

test: ## Run every test, those on a real cluster included
	@.ci/test

test-all: ## Run every test, and what takes longer
	@.ci/test all

bench: ## Print how fast the operator reacts and what it costs at rest, on the cluster that `make demo` left up
	KUBECONFIG=$$(cargo run -q --release --bin cluster -- kubeconfig) cargo run -q --release --bin bench

load: ## Drive browse, buy, report, spike and soak load at the reference service on this machine
	app-template/load/run

down: ## Take the cluster down without a trace
	cargo run -q --release --bin cluster -- down

fmt: ## Format the sources
	cargo fmt --all

lint: ## Deny what clippy warns of
	cargo clippy --workspace --all-targets -- -D warnings

generate: ## Write the files that are generated from the sources
	UPDATE=1 cargo test -q -p scalableapp-crds --test schema
	UPDATE=1 cargo test -q -p scalableapp-operator --test docs
