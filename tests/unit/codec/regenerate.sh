#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes everything_set.h from the .proto files beside it.
set -eu
cd "$(dirname "$0")"
SET=$(mktemp)
trap 'rm -f "$SET"' EXIT
protoc --include_imports --descriptor_set_out="$SET" everything.proto
{
  echo "// SPDX-License-Identifier: Apache-2.0"
  echo "// The descriptor set of everything.proto, made by regenerate.sh."
  echo "#ifndef BR_TESTS_EVERYTHING_SET_H"
  echo "#define BR_TESTS_EVERYTHING_SET_H"
  echo
  echo "#include <stdint.h>"
  echo
  echo "// clang-format off"
  echo "static const uint8_t everything_set[] = {"
  od -An -v -tx1 -w20 "$SET" | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'
  echo "};"
  echo "// clang-format on"
  echo
  echo "#endif"
} > everything_set.h
