PYTHON ?= python3
ENV := .venv/bin
PY := $(ENV)/python
UNIT := tests/unit tests/media

# Threads that wait shall sleep: spinning ones take the processor from the other worker.
export OMP_WAIT_POLICY ?= PASSIVE

# Modules are compiled once, not by every worker, lesson and command anew.
export PYTHONDONTWRITEBYTECODE :=

# Plugins that the environment's packages bring load for seconds in every worker; the unit tests need two of them.
# A thread a worker: two of each would wait for the other worker's.
UNIT_PYTEST := OMP_NUM_THREADS=1 PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 PYTEST_PLUGINS=xdist.plugin,pytest_timeout $(PY) -m pytest -n 2

# Two workers, which begin with the files that take longest (tests/unit/slow.txt).
PYTEST := $(UNIT_PYTEST) --dist loadfile --no-loadscope-reorder --durations 20
# Single lessons take from seconds to half a minute: a worker that is done takes over what waits for the other.
PYTEST_LESSONS := $(PY) -m pytest -n 2 --dist worksteal --durations 20

.PHONY: demo test test-all test-lessons test-browser check quick lint types setup setup-tests lab lessons site clean

demo: setup  ## Run the main job on the shipped model: report and contact sheet in runs/demo
	$(ENV)/flowedit demo -o runs/demo --overwrite

test: setup-tests lint types test-lessons  ## Style, types, import contracts, every lesson executed, unit tests
	$(PYTEST) -m "not long and not gpu" $(UNIT)

test-all: test  ## Also the tests of a minute and more (tests/unit/slow.txt has their seconds) and every widget; before a release
	$(PYTEST) -m long $(UNIT) tests/notebooks
	@$(MAKE) --no-print-directory test-browser

test-lessons: setup-tests  ## Every lesson executed once, offline, within its memory; its page opened on a phone
	$(PYTEST_LESSONS) -m "not long" tests/notebooks
	$(PY) -m pytest tests/browser/test_lessons.py

test-browser: setup-tests  ## Every widget in a real JupyterLab in Chromium
	$(PYTEST) tests/browser

check: setup-tests  ## The quick part of it: style, types and the unit tests that tests/unit/slow.txt does not name
	@$(MAKE) --no-print-directory -j 2 lint types quick

quick: setup-tests
	$(UNIT_PYTEST) $(UNIT) -m "not slow and not browser and not gpu"

lint:
	$(ENV)/ruff check .
	$(ENV)/ruff format --check .
	$(ENV)/lint-imports

types:
	$(ENV)/pyright --pythonpath $(PY)

setup:
	@$(PYTHON) tools/setup_env.py

setup-tests:
	@$(PYTHON) tools/setup_env.py --tests

lab: setup  ## JupyterLab on the lessons; LAB_OPTIONS="--no-browser" and the like are handed to it
	$(ENV)/jupyter lab $(LAB_OPTIONS) notebooks/00_start_here.ipynb

lessons: setup-tests  ## Execute every lesson and write its measured minutes and memory into its header
	$(PY) -m notebooks.publish run

site: setup-tests  ## The lessons as plain pages, widgets alive, in site/
	$(PY) -m notebooks.publish site

clean:
	rm -rf .venv runs site build dist
