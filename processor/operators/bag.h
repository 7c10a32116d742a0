// SPDX-License-Identifier: Apache-2.0
// A bag: the rows of one side of a join under one join key, with weights, kept for appending fast.
//
// State: join key → head; join key ++ number (4 bytes, big-endian) → chunk. Join keys are self-delimiting, so no head's
// key begins another's. A head is
//   total weight, records, negative records, chunks, bytes used by the tail, records when last written anew; the tail
// and tail and chunks are runs of records: zigzag varint weight, varint length, row bytes.
// B1. Rows are appended to the tail; a full tail becomes a chunk, which is only read from then on. So a row costs one
//     entry that is hot anyway, and a key with a million rows is written a few KiB at a time.
// B2. A row that goes cancels its like in the tail; when that is in a chunk, a record of negative weight is appended.
// When
//     there are such and records have grown by half since the bag was last written anew, or the weights sum to zero, it
//     is written anew: so a bag takes no more than its largest recent content and half as much again.
// B3. What a bag holds, read consolidated, does not depend on how it came to be written.
#ifndef BR_PROCESSOR_OPERATORS_BAG_H
#define BR_PROCESSOR_OPERATORS_BAG_H

#include "base/arena.h"
#include "state/table.h"

struct br_bag_row {
    struct br_slice bytes;
    int64_t weight; // never 0
};
struct br_bag_rows {
    struct br_bag_row *rows;
    size_t count, capacity;
};

// Appends the rows of the bag, consolidated, in an order that is a function of its history alone. Row bytes stand in
// state: valid until this bag is changed.
enum br_status br_bag_read(struct br_state_table *table, const struct br_entry *entry, struct br_arena *arena,
                           struct br_bag_rows *rows, struct br_error *error) BR_MUST_CHECK;
// A head made by br_state_obtain with a value of BR_BAG_HEAD_SIZE zero bytes is an empty bag.
enum { BR_BAG_HEAD_SIZE = 32 };
enum br_status br_bag_add(struct br_state_table *table, struct br_entry *entry, struct br_slice row, int64_t weight,
                          struct br_arena *arena, struct br_error *error) BR_MUST_CHECK;
// These rows, and no others, are in the bag from now on. Their bytes may stand in it.
enum br_status br_bag_write(struct br_state_table *table, struct br_entry *entry, const struct br_bag_rows *rows,
                            struct br_arena *arena, struct br_error *error) BR_MUST_CHECK;
// The entry dies.
enum br_status br_bag_remove(struct br_state_table *table, struct br_entry *entry, struct br_arena *arena,
                             struct br_error *error) BR_MUST_CHECK;
int64_t br_bag_total(const struct br_entry *entry);
bool br_bag_is_empty(const struct br_entry *entry); // no records: the head is to be deleted

// For scans of the whole table: whether key is a chunk of the bag whose head's key is `head`; the records of one value.
bool br_bag_is_chunk(struct br_slice key, struct br_slice head);
enum br_status br_bag_read_value(struct br_slice value, bool is_head, struct br_arena *arena, struct br_bag_rows *rows,
                                 struct br_error *error) BR_MUST_CHECK;
// Sums the weights of equal rows and drops those of weight zero.
void br_bag_consolidate(struct br_bag_rows *rows, struct br_arena *arena);

#endif
