# The course's commands. Each makes .venv first, or finds it in order (course_lib/install.py); plain `make` lists them.
# Kept to what the make of macOS (GNU make 3.81) understands.

PYTHON ?= python3
PYTEST_ARGS ?=
# A folder that `make wheelhouse` filled; install.py reads it from the environment.
export WHEELHOUSE ?=

ifeq ($(OS),Windows_NT)
VENV_PYTHON := .venv/Scripts/python.exe
else
VENV_PYTHON := .venv/bin/python
endif

# The first Python that runs takes install.py, which looks for a newer one if this one is too old. A name on PATH may be
# a shim that fails, so each is tried by running it. EXTRAS: options for install.py.
define INSTALL
@for python in "$(PYTHON)" python3.14 python3.13 python3.12 python3.11; do \
    if "$$python" -c "import sys; sys.exit(sys.version_info < (3, 6))" >/dev/null 2>&1; then \
        exec "$$python" course_lib/install.py $(EXTRAS); \
    fi; \
done; \
echo "Neither $(PYTHON) nor python3.14 to python3.11 is a Python 3 that runs here: install Python 3.11 or newer from https://www.python.org/downloads (Debian, Ubuntu: sudo apt install python3 python3-venv; macOS: brew install python), or name yours as in make lab PYTHON=/path/to/python3.12." >&2; \
exit 1
endef

.PHONY: help lab course check test test-lowest test-newest bench notebooks slides wheelhouse clean

help:
	@echo "make lab        install what is missing, then open JupyterLab at the first notebook"
	@echo "make course     run every notebook without a screen; print result, seconds and memory"
	@echo "make check      look over this machine and the installation"
	@echo "make test       run everything that CI runs (PYTEST_ARGS=... for pytest)"
	@echo "make test-lowest  the same tests with the oldest versions allowed"
	@echo "make test-newest  the same tests with the newest versions there are"
	@echo "make bench      measure speed and memory"
	@echo "make slides     write slides of every notebook into slides/, to open from disk"
	@echo "make wheelhouse fill the folder wheelhouse/ (a USB stick) for rooms without a network; FOR=\"windows macos\""
	@echo "make notebooks  build the notebooks anew from notebooks/src"
	@echo "make clean      remove .venv and caches; your notebooks and your progress stay"
	@echo "Options: PYTHON=/path/to/python3.12; TORCH=cpu on Linux without an NVIDIA card (a far smaller download);"
	@echo "         WHEELHOUSE=/path/to/wheelhouse installs from there, without a network."

lab:
	$(INSTALL)
	@$(VENV_PYTHON) -m course_lib lab

course:
	$(INSTALL)
	@$(VENV_PYTHON) -m course_lib course

check:
	$(INSTALL)
	@$(VENV_PYTHON) -m course_lib check

test: EXTRAS = --extra test
test:
	$(INSTALL)
	$(VENV_PYTHON) -m ruff check
	$(VENV_PYTHON) -m ruff format --check
	$(VENV_PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

# Not in CI: the oldest versions that pyproject.toml allows, and the newest that there are.
test-lowest test-newest: EXTRAS = --extra test
test-lowest test-newest:
	$(INSTALL)
	$(VENV_PYTHON) tests/with_versions.py $(patsubst test-%,%,$@) $(PYTEST_ARGS)

bench: EXTRAS = --extra bench
bench:
	$(INSTALL)
	@$(VENV_PYTHON) -m benchmarks

notebooks: EXTRAS = --extra test
notebooks:
	$(INSTALL)
	@$(VENV_PYTHON) -m course_lib notebooks build

slides: EXTRAS = --extra slides
slides:
	$(INSTALL)
	@$(VENV_PYTHON) -m course_lib slides

wheelhouse:
	$(INSTALL)
	@$(VENV_PYTHON) -m course_lib wheelhouse $(if $(OUTPUT),--output "$(OUTPUT)") $(if $(FOR),--for $(FOR)) $(if $(PYTHONS),--python $(PYTHONS)) $(if $(EXTRA),--extra $(EXTRA))

clean:
	rm -rf .venv .course/jupyterlab .pytest_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
