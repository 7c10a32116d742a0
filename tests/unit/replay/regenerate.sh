#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes fields_sets.h: descriptor sets of one message as it is changed over time.
set -eu
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

HEAD='syntax = "proto3"; package shop.v1;'
STATUS='enum Status { NEW = 0; PAID = 1; SENT = 2; }'
CUSTOMER='optional string id = 1; optional string name = 2; optional string email = 3; Status status = 4;'
# as it was
was="$STATUS message Customer { $CUSTOMER }"
# a field at the end, a value more
grown="enum Status { NEW = 0; PAID = 1; SENT = 2; BACK = 3; } message Customer { $CUSTOMER optional string phone = 9; }"
# a field in the middle, by its number
between="$STATUS message Customer { optional string home = 3; $(echo "$CUSTOMER" | sed 's/= 3/= 5/') }"
# the same numbers for others
swapped="$STATUS message Customer { $(echo "$CUSTOMER" | sed 's/name = 2/name = 3/; s/email = 3/email = 2/') }"
# values that mean others
valued="enum Status { NEW = 0; SENT = 1; PAID = 2; } message Customer { $CUSTOMER }"
named="enum Status { NEW = 0; SETTLED = 1; SENT = 2; } message Customer { $CUSTOMER }"
# another type under a number
typed="$STATUS message Customer { $(echo "$CUSTOMER" | sed 's/string email/sint64 email/') }"
# in a oneof: as it was, with a member more, with a member less
one="$STATUS message Customer { $(echo "$CUSTOMER" | sed 's/optional string email = 3;/oneof way { string email = 3; string fax = 5; }/') }"
more="$STATUS message Customer { $(echo "$CUSTOMER" | sed 's/optional string email = 3;/oneof way { string email = 3; string fax = 5; string post = 6; }/') }"
less="$STATUS message Customer { $(echo "$CUSTOMER" | sed 's/optional string email = 3;/oneof way { string email = 3; } string fax = 5;/') }"

{
    echo '// SPDX-License-Identifier: Apache-2.0'
    echo '// Descriptor sets of shop.v1.Customer as it is changed over time, made by regenerate.sh, which says what each is.'
    echo '// clang-format off'
    for set in was grown between swapped valued named typed one more less; do
        eval "echo \"$HEAD \$$set\"" | sed 's/syntax = proto3/syntax = "proto3"/' >"$folder/shop.proto"
        protoc -I "$folder" --descriptor_set_out="$folder/set" shop.proto
        echo "static const unsigned char set_$set[] = {"
        od -An -v -tx1 -w20 "$folder/set" | sed 's/ \(..\)/0x\1, /g; s/ $//; s/^/    /'
        echo '};'
    done
    echo '// clang-format on'
} >fields_sets.h
