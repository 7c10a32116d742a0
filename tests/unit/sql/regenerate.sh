#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes shop_set.h from shop.proto.
set -eu
cd "$(dirname "$0")"
set_file=$(mktemp)
trap 'rm -f "$set_file"' EXIT
protoc -I . --include_imports --descriptor_set_out="$set_file" shop.proto
{
    echo '// SPDX-License-Identifier: Apache-2.0'
    echo '// The descriptor set of shop.proto, made by regenerate.sh.'
    echo '// clang-format off'
    echo 'static const unsigned char shop_set[] = {'
    od -An -v -tx1 -w20 "$set_file" | sed 's/ \(..\)/0x\1, /g; s/ $//; s/^/    /'
    echo '};'
    echo '// clang-format on'
} > shop_set.h
