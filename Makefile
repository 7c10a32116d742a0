# SPDX-License-Identifier: Apache-2.0
# Forwards only; the build is CMake's (CMakePresets.json).
PRESET ?= release

build:
	cmake --preset $(PRESET) >/dev/null && cmake --build --preset $(PRESET)

.PHONY: build
