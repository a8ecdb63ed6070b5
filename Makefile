# Two commands do everything: `make demo` and `make test`. Both set the environment up first.
PYTHON ?= python3
UV := .tools/bin/uv
RUN := $(UV) run --frozen --no-sync
SETUP := .venv/.ready

.PHONY: demo test lint check clean

demo: $(SETUP)
	@$(RUN) tiergate demo $(DEMO_ARGS)

test: $(SETUP)
	@tools/install-chromium
	@$(RUN) pytest -n 2 --dist worksteal

# Style, types and the floors of ARCHITECTURE.md; `make test` runs the same checks as tests.
lint: $(SETUP)
	@$(RUN) ruff check . && $(RUN) ruff format --check . && $(RUN) mypy && $(RUN) lint-imports

# A bare Debian python3 has neither pip nor venv: install them where we may, else say what to do.
.tools/bin/uv: tools/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Tiergate needs Python 3.11 or newer; run: make PYTHON=python3.11 ..."; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || tools/install-venv
	@rm -rf .tools && $(PYTHON) -m venv .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tools/uv.txt
	@touch $@

$(SETUP): .tools/bin/uv uv.lock pyproject.toml tools/vendor src/tiergate/console/vendor/package-lock.json
	@$(UV) sync --frozen --all-extras --python $(PYTHON) --no-python-downloads
	@$(RUN) python tools/vendor
	@touch $@

clean:
	rm -rf .venv .tools .peers demo
