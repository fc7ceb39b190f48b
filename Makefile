# make demo: set up what is needed and run the main job on a real image.   make test: set up and pass every check.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
READY := $(VENV)/.ready
NUCLEI := build/notebooks/nuclei/mask2d.tif
# A folder of wheels that the user's pip looks in is handed to uv too, which would not look there by itself.
LINKS := $(if $(wildcard $(PIP_FIND_LINKS)),--find-links $(PIP_FIND_LINKS))

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export OMP_NUM_THREADS ?= 1
unexport PYTHONDONTWRITEBYTECODE  # every process would compile all that it imports

.PHONY: help setup demo docs notebooks test test-cluster test-lowest test-newest test-pythons dist lint isbi2012 nuclei peers ablations bench bench-gpu bench-recipe \
    bench-demo chaos clean
help:
	@echo "make demo    set up and run the main job on a real image (a few minutes)"
	@echo "make test    set up and run lint, types, import rules and all tests but those of test-cluster"
	@echo "make test-cluster   the tests on real Dask processes, and on a real Slurm where one is installed"
	@echo "make dist    build wheel and sdist, and try them in clean environments, alone and with each extra"
	@echo "make test-lowest, make test-newest   some tests with the lowest and the newest dependencies; all: TESTS=tests"
	@echo "make test-pythons   some tests with Python 3.11, 3.12 and 3.13, and the same store byte for byte"
	@echo "make lint    the same as test, without the tests"
	@echo "make docs    build the documentation site into build/site; warnings are errors"
	@echo "make notebooks   build notebooks/*.ipynb, run them, and write build/notebooks/*.html (ten minutes)"
	@echo "make isbi2012, make nuclei DATA=FOLDER   train and score on real data, three seeds: docs/results.md"
	@echo "make peers, make ablations DATA=FOLDER   the same of other packages, and with one change at a time"
	@echo "make bench   set up and measure what the documents claim of speed and memory (half an hour)"
	@echo "make bench-gpu   what is claimed of a GPU, where torch sees one"
	@echo "make bench-recipe DATA=FOLDER   train with one change of the recipe at a time, on three data sets"
	@echo "make bench-demo   train the demo with three seeds, and write their scores"
	@echo "make chaos   kill it at random for a quarter of an hour, and compare what it has come to"
	@echo "make clean   remove the environment and what the demo made"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	    || { echo "Python's venv is missing; on Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	python -m pip install --quiet --disable-pip-version-check uv \
	    && uv pip install --quiet --python $(VENV)/bin/python $(LINKS) -c constraints.txt -e '.[dev]' \
	    || python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# Every line is what a user would type. Repeated, the finished steps do nothing.
demo: $(READY)
	unetprep fetch nuclei --out demo/nuclei
	unetprep import --image demo/nuclei/img2d.tif --labels demo/nuclei/mask2d.tif --out demo/nuclei.zarr \
	    --val-fraction 0.1 --test-fraction 0.25
	unetprep weights --out demo/nuclei.zarr
	unetprep preview demo/nuclei.zarr --out demo/preview.png --overwrite
	unetprep deform --out demo/nuclei.zarr
	unetprep tiles --out demo/nuclei.zarr --tile 316
	unettrain fit demo/nuclei.zarr --run demo/run --preset demo
	unettrain predict demo/run demo/nuclei.zarr/images/img2d-test --out demo/cells.tif --also table,overlay \
	    --overwrite --threads 1
	unettrain evaluate demo/cells.tif demo/nuclei.zarr/images/img2d-test
	unettrain report demo/run
	@echo; echo "Look at demo/run/report.html, demo/cells.overlay.png and demo/preview.png"

# Half as many processes again as cores, up to 6: tests also wait, for servers and commands.
test: lint docs $(NUCLEI)
	python -m pytest -n $$(python -c "import os; print(min(os.cpu_count() * 3 // 2, 6))") --dist worksteal \
	    -m "not cluster and not release"

# They start daemons and take minutes. Those that need Slurm are skipped, with the reason, where it is not installed.
test-cluster: $(READY)
	python -m pytest tests/cluster

# dist/ is what a release uploads. Each extra is installed alone, from the wheel, and the sdist gives the same wheel.
dist: $(READY)
	rm -rf dist
	python -m hatchling build
	python -m pytest -q tests/release

# TESTS=tests runs all, which takes as long as make test.
test-lowest test-newest test-pythons: test-%: $(READY)
	python -m tests.release.versions $* $(TESTS)

docs: $(READY)
	sphinx-build -W --keep-going -q -b html -c docs . build/site

# The notebooks' image of nuclei, from the package index. What is there already is only verified.
$(NUCLEI): | $(READY)
	unetprep fetch nuclei --out $(@D)

notebooks: $(READY) $(NUCLEI)
	python notebooks/build.py --html

lint: $(READY)
	ruff check .
	ruff format --check .
	mypy
	lint-imports

# Accuracy on real data, held out. DATA=FOLDER has dsb2018 and isbi2012, as their manifests say (unetprep datasets);
# without it, isbi2012 is downloaded. SIZE=smoke|cpu|full: minutes, an hour or two, a GPU.
SIZE ?= cpu
COMMA := ,
ACCURACY = python -m benchmarks.accuracy $(1) --data $(or $(DATA),build/data) --size $(SIZE) --groups $(2)

isbi2012: $(READY)
	$(if $(DATA),,unetprep fetch isbi2012 --out build/data/isbi2012)
	$(call ACCURACY,isbi2012,ours)
	python -m benchmarks.accuracy.results

nuclei: $(READY)
	$(call ACCURACY,nuclei,ours)
	python -m benchmarks.accuracy.results

# StarDist is left out where TensorFlow does not install.
peers: $(READY)
	uv pip install --quiet --python $(VENV)/bin/python $(LINKS) -c constraints.txt -e '.[peers]'
	uv pip install --quiet --python $(VENV)/bin/python $(LINKS) -c constraints.txt -e '.[stardist]' || true
	$(call ACCURACY,isbi2012,ours$(COMMA)peers)
	$(call ACCURACY,nuclei,ours$(COMMA)peers)
	python -m benchmarks.accuracy.results

ablations: $(READY)
	$(call ACCURACY,isbi2012,ours$(COMMA)ablations)
	$(call ACCURACY,nuclei,ours$(COMMA)ablations)
	python -m benchmarks.accuracy.results

# Ratios of two things in turn, one thread each: leave the machine to it. The data of the whole job need 4 GB.
bench: $(READY)
	uv pip install --quiet --python $(VENV)/bin/python $(LINKS) -c constraints.txt -e '.[bench]'
	python -m benchmarks.weights.kernel
	python -m benchmarks.weights.job build/bench
	python -m benchmarks.weights.results
	python -m benchmarks.engine.overhead
	python -m benchmarks.engine.copying build/copy
	python -m benchmarks.engine.reading build/read
	python -m benchmarks.engine.results
	python -m benchmarks.elastic.warp
	python -m benchmarks.stream.reading build/reading
	python -m benchmarks.stream.stepping build/stepping
	python -m benchmarks.stream.cutting build/cutting
	python -m benchmarks.stream.virtual build/virtual
	python -m benchmarks.stream.results
	python -m benchmarks.train.stepping build/train
	python -m benchmarks.train.decoding
	python -m benchmarks.train.predicting benchmarks/train/predicting.json
	python -m benchmarks.train.results
	python -m benchmarks.metrics.speed
	python -m benchmarks.many --out benchmarks/many/results.json
	python -m benchmarks.many.results

# Says so where there is no GPU. The build of torch that constraints.txt asks for may know none: install another before.
bench-gpu: $(READY)
	python -m benchmarks.elastic.gpu
	python -m benchmarks.stream.gpu build/gpu
	python -m benchmarks.train.gpu

# The recipe of training, on the data sets that benchmarks/train/data_sets.py describes: DATA=FOLDER. Two hours on a core.
bench-recipe: $(READY)
	python -m benchmarks.train.recipe build/recipe --data $(DATA) --minutes 240
	python -m benchmarks.train.recipe_scores build/recipe
	python -m benchmarks.train.results

# The demo with three seeds, and what it scores on its 36 held-out cells: six minutes of a core.
bench-demo: $(READY)
	python -m benchmarks.accuracy.demo build/demo

# Random kills of clients, workers and an S3 server; then every store must be what it would have been. SEED=N repeats them.
chaos: $(READY)
	python -m benchmarks.engine.chaos $(SEED)
	python -m benchmarks.engine.results

clean:
	rm -rf $(VENV) demo build
