// SPDX-License-Identifier: Apache-2.0
// What the rows of a lookup table were earlier in the epoch.
//
// An epoch takes a lookup table's messages first, then those of the streams that probe it. A row that probes has to
// find what stood there when its own message was stored: so for each key that changes, the rows before the changes are
// kept until the epoch is over, in the order of the table's messages. Keys that don't change cost nothing.
//   P1. A probing row finds the row before the first change that it precedes, else what is there.
//   P2. Where a stream's clock goes back, its messages keep their order: a change has the latest time that the table
//       has seen in the epoch.
#ifndef BR_PROCESSOR_OPERATORS_PAST_H
#define BR_PROCESSOR_OPERATORS_PAST_H

#include "processor/operators/graph.h"

struct br_past {
    uint64_t epoch; // that the rest is of
    struct br_past_key *keys;
    uint32_t count, capacity; // a power of two, open addressing
    int64_t latest_us;        // P2
};

// The event `origin` of the epoch changes the row of a key; before.len 0: there was none. Copies what it keeps.
void br_past_note(struct br_past *past, const struct br_epoch *epoch, struct br_slice key, uint64_t hash,
                  struct br_slice before, uint32_t origin);
// Whether any row has changed in this epoch.
bool br_past_is_any(const struct br_past *past, const struct br_epoch *epoch);
// Whether the event `origin` comes before a change of the key; *ret_row is then the row that it finds, len 0: none.
bool br_past_find(const struct br_past *past, const struct br_epoch *epoch, struct br_slice key, uint64_t hash,
                  uint32_t origin, struct br_slice *ret_row);

#endif
