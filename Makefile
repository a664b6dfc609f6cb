# Two commands do everything on a fresh machine: `make demo` and `make test`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= out
ENGINE := $(OUT)/lrm-tiny.lrm

NATIVE   := $(shell find runtime -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' -o -name CMakeLists.txt)
PACKAGE  := $(NATIVE) $(shell find lrm_sdk -name '*.py')
SHIPPED  := $(wildcard models/lrm-tiny/onnx/*)
PICTURES := $(wildcard examples/*.png examples/*.jpg)
FORMATTED = $(shell git ls-files 'runtime/*.h' 'runtime/*.cpp' 'runtime/*.cu' 'runtime/*.cuh' 'examples/*.[ch]')

.PHONY: help
help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

# The stamps are touched last, so that an interrupted install is made again.
$(VENV)/.demo: pyproject.toml $(PACKAGE) | $(BIN)/python
	$(BIN)/pip install --quiet '.[cpu,video]'
	@touch $@

$(VENV)/.test: pyproject.toml $(PACKAGE) tests/tools/package-lock.json | $(BIN)/python
	$(BIN)/pip install --quiet '.[cpu,video,cuda,export,data,train,test]'
	@if command -v npm >/dev/null; then npm ci --silent --no-audit --no-fund --prefix tests/tools; \
	else echo 'npm not found: the glTF validator test will be skipped'; fi
	@touch $@ $(VENV)/.demo

$(ENGINE): $(VENV)/.demo $(SHIPPED)
	$(BIN)/python export/build_engine.py --onnx models/lrm-tiny/onnx/network.onnx --backend onnxruntime --out $@ --force

.PHONY: demo
demo: $(ENGINE)  ## picture -> 3D on every picture in examples/; results in out/
	$(BIN)/lrm run $(PICTURES) --engine $(ENGINE) -o $(OUT) --size 192

.PHONY: test
test: $(VENV)/.test  ## everything that proves it
	$(BIN)/python -m pytest

.PHONY: bench
bench: $(VENV)/.test  ## speed against PyTorch, with the error beside it
	$(BIN)/python benchmarks/bench_field.py

.PHONY: bench-check
bench-check: $(VENV)/.test  ## has a stage become slower? (ratios against the recorded ones)
	$(BIN)/python benchmarks/check.py

.PHONY: lint
lint: $(VENV)/.test  ## ruff, mypy, clang-format, the C headers as strict C11
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy lrm_sdk
	$(BIN)/clang-format --dry-run --Werror $(FORMATTED)
	$(CC) -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c runtime/include/lrm.h
	$(CC) -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c runtime/include/lrm_cuda.h

.PHONY: sanitize
sanitize: $(VENV)/.test  ## the native tests under AddressSanitizer and UBSan
	cmake -S runtime -B build/sanitize -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLRM_SANITIZE=address,undefined
	cmake --build build/sanitize --parallel 2
	LRM_LIBRARY=$(CURDIR)/build/sanitize/liblrm.so \
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0 $(BIN)/python -m pytest tests/runtime -m 'not slow'

.PHONY: train
train: $(VENV)/.test  ## render the objects and train lrm-tiny (minutes on an H100, days without a GPU; resumes)
	$(BIN)/python -m models.data.render --out data/renders --size 192 --views 24 --morphs 3
	$(BIN)/python -m models.data.pack --in data/renders --out data/packed
	$(BIN)/python -m models.train models/configs/lrm-tiny.json --data data/packed --out runs/lrm-tiny
	$(BIN)/python -m models.train models/configs/lrm-tiny-morphs.json --data data/packed \
		--init runs/lrm-tiny/checkpoint --out runs/lrm-tiny-morphs
	$(BIN)/python -m models.train models/configs/lrm-tiny-mild.json --data data/packed \
		--init runs/lrm-tiny-morphs/checkpoint --out runs/lrm-tiny-mild
	$(BIN)/python -m models.finish runs/lrm-tiny-mild/checkpoint --out runs/lrm-tiny-finished --power 1

.PHONY: clean
clean:  ## remove what was built, but not the environment
	rm -rf build $(OUT)
