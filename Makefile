# Everything sets itself up: a machine needs Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?=
READY := $(VENV)/.ready

.PHONY: demo test bench pictures year faults lint assets clean lock

demo: $(READY)
	$(BIN)/hub demo $(DEMO)

test: $(READY) lint
	$(BIN)/pytest -n 3 --dist worksteal

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hub check-mappings

bench: $(READY)
	$(BIN)/python -m tests.benchmarks

pictures: $(READY)
	HUB_PICTURES=docs/zh/pictures $(BIN)/pytest -q tests/browser/test_pictures.py

year: $(READY)
	$(BIN)/python -m tests.year --people 20000

faults: $(READY)
	$(BIN)/python -m tests.faults.campaign

assets: $(READY)

lock:
	$(BIN)/uv pip compile --quiet --universal --no-emit-index-url --generate-hashes --group dev pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) node_modules admin/static/vendor tests/browser/vendor .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): requirements.lock pyproject.toml package-lock.json
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "需要 Python 3.11 或更新版本。 Python 3.11 or newer is needed.")'
	sh tools/environment.sh $(PYTHON) $(VENV)
	$(BIN)/python -m admin.assets
	touch $(READY)
