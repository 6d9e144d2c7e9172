# `make help` prints the targets from their comments.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help build ui demo test test-ui test-backend test-collector test-integration bench fmt lint deps reference doc features check-health dist fuzz soak deny migrate-up docker-build docker-up docker-down docker-clean packages check-deploy check-deploy-long

PORT ?= 8080
PG_URL ?=
SECONDS_EACH ?= 20

help: ## Print the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

deps: ## Install what building and testing needs (Debian packages; PostgreSQL 14-18 for the tests)
	./deploy/setup/install.sh

build: ## Build web UI, agent and server, optimised, into target/release (about 12 minutes on 2 cores)
	@./deploy/setup/ui.sh || { [ $$? -eq 3 ] && echo 'make build: without the web UI (see above): the server shows its plain page instead'; }
	cargo build --release --locked -p pganalytics-collect -p pganalytics-server --bins

ui: ## Build the web UI into ui/dist, from where builds of the server take it (Node 20.19 or newer)
	./deploy/setup/ui.sh

dist: ## Build what is published into target/dist: smallest, symbols in files of their own
	./deploy/setup/dist.sh

demo: deps ## Watch a real PostgreSQL, page on :8080 (PG_URL=postgres://... watches yours)
	PORT=$(PORT) PG_URL='$(PG_URL)' ./deploy/demo/run.sh

test: deps ## Run all tests, on real PostgreSQL 14-18
	PGANALYTICS_REQUIRE_PG=1 cargo test --workspace --locked

test-ui: deps ## Test the web UI, in a browser against the servers that `make test` has built
	./deploy/setup/ui.sh test

test-backend: deps ## Run the tests of store and server
	PGANALYTICS_REQUIRE_PG=1 cargo test --locked -p pganalytics-store -p pganalytics-server

test-collector: deps ## Run the tests of core and agent
	PGANALYTICS_REQUIRE_PG=1 cargo test --locked -p pganalytics-core -p pganalytics-collect

test-integration: deps ## Run only the tests that start real servers
	PGANALYTICS_REQUIRE_PG=1 cargo test --locked -p pganalytics-testkit -p pganalytics-collect -p pganalytics-server --tests

bench: ## Run the criterion benches
	cargo bench --locked -p pganalytics-benches

fmt: ## Format the code
	cargo fmt --all

lint: ## Check format, clippy and documentation, warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

features: ## Check that each useful set of features of pganalytics-collect compiles by itself
	./deploy/setup/features.sh

deny: deps ## Check licences, sources, bans and, with a way to their database, advisories
	./deploy/setup/deny.sh

fuzz: ## Run each fuzz target for SECONDS_EACH=20
	./fuzz/run.sh $(SECONDS_EACH)

soak: ## Run SOAK=1000000 schedules of trouble over the agent's delivery, and KILLS=500 kills of agent and server each
	PGANALYTICS_SIM=$(or $(SOAK),1000000) cargo test --locked --release -p pganalytics-collect --lib delivery::sim
	PGANALYTICS_KILLS=$(or $(KILLS),500) cargo test --locked --workspace --test server -- kills::

reference: ## Make docs/measurements.md from the catalog
	UPDATE_DOCS=1 cargo test --locked -p pganalytics-collect --test reference

doc: ## Build the API documentation into target/doc
	cargo doc --workspace --no-deps --locked

check-health: ## Ask the running server how it is
	curl -fsS http://127.0.0.1:$(PORT)/api/v1/health && echo

migrate-up: ## Bring the embedded store into its present shape, while the server does not run
	cargo run --locked --workspace --bin pganalytics-server -- migrate up

docker-build: ## Build the images of the platform
	docker compose build

docker-up: ## Start the platform, and wait until it is healthy
	docker compose up -d --wait

docker-down: ## Stop the platform; its data stays
	docker compose down

docker-clean: ## Stop the platform and delete its data and secrets; asks first
	@printf 'Delete all data and secrets of the platform? yes/no: '; read -r answer; [ "$$answer" = yes ]
	docker compose --profile '*' down -v

packages: build ## Build Debian packages into target/packages
	./deploy/packages/deb.sh target/release target/packages

check-deploy: deps ## Try what is under deploy/ without containers: units, backups, certificates, documents
	./deploy/check/all.sh "$${CARGO_TARGET_DIR:-target}/debug"

check-deploy-long: deps ## Try the rest, with what `make build` built: drill, loads, proxies, containers, packages (15 minutes; as root)
	cargo build --release --locked -p pganalytics-benches --bin pganalytics-load-test
	./deploy/check/long.sh "$${CARGO_TARGET_DIR:-target}/release"
