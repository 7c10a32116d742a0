// SPDX-License-Identifier: Apache-2.0
// What join.c (which rows meet), pairs.c (what they make) and join_close.c (which are let go) share.
#ifndef BR_PROCESSOR_OPERATORS_JOIN_INTERNAL_H
#define BR_PROCESSOR_OPERATORS_JOIN_INTERNAL_H

#include "processor/operators/bag.h"
#include "processor/operators/closing.h"
#include "processor/operators/operator_internal.h"
#include "processor/operators/past.h"

#define BR_JOIN_KEYS_MAX 32

struct br_join_side {
    struct br_state_table *rows; // bags; of a shared side: the source's, primary key → row
    bool shared;
    uint32_t *keys; // columns
    uint32_t key_count;
    uint32_t column_count; // of the side
    // Rows as stored: the side's columns, but of a shared side the source's, of which the side may be a choice.
    enum br_type *types;
    const bool *wanted; // stored columns with values; NULL: all
    uint32_t stored_count;
    uint32_t *choice; // stored column of each of the side's; NULL: the same
    struct br_closing closing;
    struct br_state_table *index; // join_close.c; NULL: the side keeps its rows
    bool indexed;                 // C1 holds
    int64_t smallest;             // no bound in the index is smaller
    size_t stored;                // rows, since the last look
    // the entry of the index that takes the next key, when bound and epoch are the same
    struct br_entry *open;
    uint64_t open_epoch;
    int64_t open_bound;
    uint32_t open_number;
};

// Up to BR_BATCH_ROWS pairs of rows that meet, given as one batch. One half of a pair is a row of the live batch, the
// other comes from state; without a live batch both come from state.
struct br_pairs {
    struct br_join *join;
    struct br_output output; // give NULL: matches are only counted
    const struct br_batch *live;
    uint32_t live_port;
    bool stored_null; // the right half is NULLs (live_port 0)
    bool both_stored; // set by br_pairs_add_stored
    int64_t *matches; // by tag: the weight of pairs that pass the residual; NULL: not wanted
    uint32_t count;
    uint32_t live_rows[BR_BATCH_ROWS];
    struct br_slice left[BR_BATCH_ROWS], right[BR_BATCH_ROWS]; // row bytes of the stored halves
    int32_t weights[BR_BATCH_ROWS];
    int64_t match_weights[BR_BATCH_ROWS];
    uint32_t tags[BR_BATCH_ROWS];
};

struct br_join {
    struct br_operator op;
    bool left_outer, lookup;
    const struct br_past *past; // of the table that is looked up; NULL: no lookup
    struct br_join_side sides[2];
    struct br_arena *pair_arena; // what one flush builds
    struct br_pairs *pairs;
    struct br_column *null_columns; // of the right side, BR_BATCH_ROWS rows
    struct br_buffer encoded;
};

struct br_join_keys {
    struct br_slice *keys;
    uint64_t *hashes;
    bool *null; // by row; NULL: no key has a NULL
    uint32_t count;
};

// The side's columns of a batch of stored ones; choice NULL: as they are.
struct br_column *br_join_choose(const struct br_join_side *side, struct br_column *stored, struct br_arena *arena);
enum br_status br_join_probe_left(struct br_join *join, const struct br_batch *batch, const struct br_join_keys *keys,
                                  const struct br_output *output, struct br_error *error);

// --- join_close.c
void br_join_plan_closing(struct br_join *join);
// The end of an epoch.
enum br_status br_join_close(struct br_operator *op, struct br_error *error);
// The last bound that is closed for a side's rows; false: none is, or all rows are kept.
bool br_join_closed(const struct br_join *join, const struct br_join_side *side, int64_t *ret_last);
// Takes rows that no longer meet anything out of what was read.
enum br_status br_join_drop_closed(struct br_join *join, const struct br_join_side *side, struct br_bag_rows *rows,
                                   struct br_error *error);
// Before bags of a side are made (C1), and after: row is the first one of the bag.
enum br_status br_join_need_index(struct br_join *join, struct br_join_side *side, struct br_error *error);
enum br_status br_join_note_bag(struct br_join *join, struct br_join_side *side, struct br_slice key,
                                const struct br_batch *batch, uint32_t row, struct br_error *error);
// Which rows of a batch are stored, by row; NULL: all (C4).
enum br_status br_join_keeps(struct br_join *join, const struct br_join_side *side, const struct br_batch *batch,
                             const struct br_join_keys *keys, bool **ret_keeps, struct br_error *error);

// --- pairs.c
void br_pairs_prepare(struct br_join *join);
// The one br_pairs of the join, empty. live NULL: the right half is NULLs unless pairs are added with
// br_pairs_add_stored.
struct br_pairs *br_pairs_begin(struct br_join *join, const struct br_output *output, const struct br_batch *live,
                                uint32_t live_port);
// `stored` is the half that is not live. weight: of the pair's row; match_weight goes to matches[tag].
enum br_status br_pairs_add(struct br_pairs *pairs, uint32_t live_row, struct br_slice stored, int64_t weight,
                            int64_t match_weight, uint32_t tag, struct br_error *error);
enum br_status br_pairs_add_stored(struct br_pairs *pairs, struct br_slice left, struct br_slice right,
                                   int64_t match_weight, uint32_t tag, struct br_error *error);
enum br_status br_pairs_flush(struct br_pairs *pairs, struct br_error *error);

#endif
