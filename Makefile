# SPDX-License-Identifier: Apache-2.0
# Forwards only: the build is CMake's (CMakePresets.json), the work is done by the scripts in tools/.
PRESET ?= release
SECONDS ?= 60
JOBS ?= $(shell nproc)
# How many seeds the simulation runs through.
export BRAID_SIM_SEEDS ?= 2000

build: setup
	@cmake --preset $(PRESET) --log-level=WARNING && cmake --build --preset $(PRESET)

help:
	@echo "make demo         real events through a pipeline, with a crash in the middle, checked at the end"
	@echo "make demo-replay  a mistake in a running pipeline: history replayed, compared, corrected, taken back"
	@echo "make test         build, then all tests but the long ones"
	@echo "make check        formatting, layers, linters; unit tests, a short simulation and the control plane with sanitizers"
	@echo "make bench        measure speed and memory"
	@echo "make fuzz         run every fuzz target, SECONDS=$(SECONDS) in total"
	@echo "make build        build/$(PRESET)/braid (PRESET=release, dev, tsan or fuzz)"
	@echo "make format       format all sources"
	@echo "make clean        remove build/"

setup:
	@tools/setup

demo: build
	@tools/demo

demo-replay: build
	@tools/demo-replay

test: build
	@ctest --test-dir build/$(PRESET) --output-on-failure --no-tests=error -j $(JOBS) -LE long

check: setup
	@tools/check

bench: build
	@tools/bench

fuzz: setup
	@tools/fuzz $(SECONDS)

format: setup
	@tools/format

clean:
	@rm -rf build

.PHONY: build help setup demo demo-replay test check bench fuzz format clean
