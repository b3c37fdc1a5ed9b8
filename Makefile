# Each target does its own set-up, in the checkout: a virtual environment in .venv, everything else in .cache.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
DEMO_FLAGS ?=
PYTEST_FLAGS ?=
WORKERS ?= 5
PYTEST = pytest --numprocesses=$(WORKERS) --dist=loadscope --no-loadscope-reorder $(PYTEST_FLAGS)

define GET_PROGRAMS
tests/get-debian-packages
tests/get-node-packages $(BIN)
tests/get-chromium || echo "the browser tests are skipped"
endef

# A test run starts hundreds of processes: let Python cache its bytecode, and Go collect garbage less often.
test soak: export PYTHONDONTWRITEBYTECODE =
test soak: export GOGC = 400

.PHONY: demo test soak lint format generated docs pictures clean

## The exporter against a simulator of WeChat: no account, no network.
demo: $(INSTALLED)
	$(BIN)/wechat-miniprogram-exporter demo $(DEMO_FLAGS)

## All tests; with COVERAGE=1, as in CI, with branch coverage. promtool and prometheus come from the machine or from
## Debian's package, Grafana's data engine from npm, Chromium from the machine or, as root on Debian, from the
## distribution. Tests mostly wait, so there are more workers than cores.
test: $(INSTALLED_DEV)
	$(GET_PROGRAMS)
ifdef COVERAGE
	rm -rf .cache/coverage && mkdir -p .cache/coverage
	$(BIN)/coverage run -m $(PYTEST)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
else
	$(BIN)/$(PYTEST)
endif

## The long tests, which print what they measured: thousands of reloads and apps, clients that stay until their
## deadlines, many more generated examples, and system calls that fail at random (with Debian's fiu-utils).
soak: $(INSTALLED_DEV)
	$(GET_PROGRAMS)
	SOAK=1 $(BIN)/pytest --timeout=1800 -m soak --override-ini='norecursedirs=node_modules .*' $(PYTEST_FLAGS)

## Everything that reads the code without running it.
lint: $(INSTALLED_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED_DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

## Writes the generated files of the repository: rules, PrometheusRule and dashboard.
generated: $(INSTALLED)
	mkdir -p deploy/kubernetes
	$(BIN)/wechat-miniprogram-exporter rules > prometheus/rules.yml
	$(BIN)/wechat-miniprogram-exporter rules --kubernetes > deploy/kubernetes/prometheusrule.yaml
	$(BIN)/wechat-miniprogram-exporter dashboard > grafana/wechat-miniprogram.json

## Writes the generated tables of README.md and docs/ from the code.
docs: $(INSTALLED_DEV)
	PYTHONPATH=tests $(BIN)/python -m doc_tables

## Draws the pictures of the dashboard (Grafana's components, in Chromium, on twelve weeks of the demo in a Prometheus)
## and of the status page.
pictures: export PATH := $(CURDIR)/$(BIN):$(PATH):$(CURDIR)/.cache/prometheus/usr/bin
pictures: $(INSTALLED_DEV) generated
	tests/get-debian-packages
	tests/get-chromium
	npm --prefix grafana/pictures ci --loglevel=error
	npm --prefix grafana/pictures run build
	PYTHONPATH=tests $(BIN)/python grafana/pictures/draw.py
	PYTHONPATH=tests $(BIN)/python docs/pictures/statuspage.py

clean:
	rm -rf $(VENV) .cache dist tests/*/node_modules grafana/pictures/node_modules

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name it with: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' \
		|| { echo "Python's venv module is needed; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "installing the exporter into $(VENV) (about 40 MB) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --editable .
	@touch $@

# pip reads dependency groups since 25.1; Debian 12 and Python 3.11 bring 23.
$(INSTALLED_DEV): $(INSTALLED)
	@echo "installing the development packages into $(VENV) (about 550 MB, some minutes) ..."
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --group dev
	@touch $@
