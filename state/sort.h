// SPDX-License-Identifier: Apache-2.0
// Sorts things by key bytes without looking at a whole key more often than needed: each record carries the eight key
// bytes that matter now, so that most comparisons touch no other memory. In place; not stable. Included in state/ only.
#ifndef BR_STATE_SORT_H
#define BR_STATE_SORT_H

#include "base/bytes.h"

struct sort_record {
    uint64_t digest; // scratch of the sort
    uint64_t item;   // the caller's: an index or a pointer
};

typedef struct br_slice (*sort_key_of)(const void *context, uint64_t item);

// Afterwards the items stand in the order of their keys (bytewise, a prefix before what it begins).
void sort_by_key(struct sort_record *records, size_t count, sort_key_of key_of, const void *context);
// The same where items are the addresses of what holds the keys, scattered over memory: they are fetched ahead.
void sort_scattered_by_key(struct sort_record *records, size_t count, sort_key_of key_of, const void *context);

#endif
