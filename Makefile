# Every task of the repository; `make` alone lists them.

.PHONY: help demo test test-all bench bench-app bench-engine bench-scaling bench-diagnose bench-canary bench-fleet load down fmt lint generate
.DEFAULT_GOAL := help

help: ## List the tasks
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## Bring up a cluster, scale an example under load, draw a picture, leave the cluster up
	cargo run --release --bin demo

test: ## Run the tests, those on a real cluster included
	@.ci/test

test-all: ## Run the tests, and those that take longer: many apps, long windows, many random cases
	@PROMISES=all .ci/test

bench: ## Print how fast the operator reacts and what it costs at rest, on the cluster that `make demo` left up
	cargo build -q --release --bin scalableapp-operator
	KUBECONFIG=$$(cargo run -q --release --bin cluster -- kubeconfig) cargo run -q --release --bin bench

bench-app: ## Compare the reference service with handlers that are written by hand, in throughput and CPU time
	cargo bench -q --bench app

bench-engine: ## Print how many microseconds a decision takes
	cargo bench -q -p scalableapp-engine --bench decide

TRACES ?= operator/simulate/traces/diurnal.txt operator/simulate/traces/bursty.txt
# Seconds until a pod is ready; each takes a quarter of an hour of two cores.
STARTS ?= 5,30,60,180

bench-scaling: ## Compare this engine with HPA and KEDA, each at its best, over the load of TRACES=; draw the trade-off
	cargo run -q --release --bin bench_scaling -- --starts $(STARTS) $(TRACES)

bench-diagnose: ## Score the diagnosis on incidents with known causes: DATA=DIR with DIR/SET/INCIDENT, or one set
	@test -n "$(DATA)" || { echo "Give a folder of incidents: make bench-diagnose DATA=DIR"; exit 2; }
	@cargo run -q --release --bin bench_diagnose -- "$(DATA)"

# Seed of the random numbers, and how many canaries are rolled out for each figure.
SEED ?= 1
ROLLOUTS ?= 500

bench-canary: ## Print how often the judge of a canary is right, beside rules with a threshold; SEED= and ROLLOUTS=
	@cargo run -q --release --bin bench_canary -- --seed $(SEED) --rollouts $(ROLLOUTS)

# Apps, a fault (outage, errors or flood) instead of the table, and how long Prometheus is gone in an outage.
N ?= 1000
FAULT ?=
OUTAGE ?= 10m

bench-fleet: ## Print what N=1000 apps cost and how fast they are scaled; FAULT=outage, errors or flood shows a fault
	cargo build -q --release --bin scalableapp-operator --bin cluster --bin fleet
	target/release/fleet --apps $(N) --outage $(OUTAGE) $(if $(FAULT),--fault $(FAULT))

load: ## Drive browse, buy, report, spike and soak load at the reference service on this machine
	app-template/load/run

down: ## Take the cluster down without a trace
	cargo run -q --release --bin cluster -- down

fmt: ## Format the sources
	cargo fmt --all

lint: ## Check the format, the shell scripts and what clippy says, as CI does
	@.ci/lint

generate: ## Write the files that are generated from the sources
	UPDATE=1 cargo test -q -p scalableapp-crds --test schema
	UPDATE=1 cargo test -q -p scalableapp-operator --test docs
	UPDATE=1 cargo test -q -p app-template --test service generated_
