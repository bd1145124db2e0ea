# Everything that a person or CI runs. `make` alone lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help up down reset order order-declined order-out-of-stock audit test alerts matrix chaos chaos-compose sim bench lint install

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## Install RabbitMQ, PostgreSQL and curl (root on Debian or Ubuntu; else say what is missing)
	@scripts/install

up: ## Build and start everything, place two orders, print their timelines and the addresses
	@scripts/stack up

down: ## Stop what `make up` started; its data stays in .run/stack
	@scripts/stack down

reset: ## Stop it and delete its data
	@scripts/stack reset

order: ## Place an order that completes
	@scripts/order

order-declined: ## Place an order whose card is declined: everything is undone
	@scripts/order declined

order-out-of-stock: ## Place an order for a product that is sold out
	@scripts/order out-of-stock

audit: ## Ask every service's books whether anything was lost or happened twice (AUDIT="…": arguments)
	@scripts/audit $(AUDIT)

test: ## Run every test against a private RabbitMQ and PostgreSQL (TEST="…": arguments of cargo test)
	@scripts/install tests
	cargo build --workspace --bins
	scripts/with-instances cargo test --workspace $(TEST)

alerts: ## See every alert fire under its fault and clear after it, by a real Prometheus on a running stack
	@scripts/install tests
	cargo build --workspace --bins
	scripts/with-instances cargo test --workspace --test alerts -- --nocapture

matrix: ## Drive an order through everything that can go wrong with each of its legs (MATRIX="…": arguments)
	@scripts/install
	cargo build --workspace --bins
	scripts/with-instances target/debug/matrix $(MATRIX)

chaos: ## Kill, freeze, cut and delay everything under load, then audit (DURATION=30m, SEED=n, SCENARIO="… | all", CHAOS="…": arguments)
	@scripts/install chaos
	cargo build --workspace --bins
	scripts/with-instances target/debug/chaos run $(or $(SCENARIO),random) $(if $(DURATION),--duration $(DURATION)) $(if $(SEED),--seed $(SEED)) $(CHAOS)

chaos-compose: ## The same with the containers of docker-compose.yml, profile chaos, which stay up (SCENARIO="… | all | random")
	cargo build --workspace --bin chaos
	target/debug/chaos run $(or $(SCENARIO),all) --target compose $(if $(DURATION),--duration $(DURATION)) $(if $(SEED),--seed $(SEED)) $(CHAOS)

bench: ## Measure it against what this machine allows: a table, and the JSON in target/bench.json
	@scripts/install
	cargo build --release --bins --package bench --package orchestrator $(addprefix --package ,$(notdir $(wildcard services/*)))
	POSTGRES_SAFE=yes BENCH_JSON=target/bench.json scripts/with-instances target/release/bench $(BENCH)

sim: ## Run thousands of simulated sagas a second for a minute (SECONDS=n), with everything going wrong
	@cargo run --quiet -p simulation --bin sim -- --seconds $(or $(SECONDS),60)

lint: ## Check formatting, lints and the shell scripts
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	@if command -v shellcheck >/dev/null; then \
		shellcheck -x -P SCRIPTDIR $$(scripts/shell-files); \
	else echo "shellcheck is not installed: scripts not checked"; fi
