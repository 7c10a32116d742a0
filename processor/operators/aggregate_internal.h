// SPDX-License-Identifier: Apache-2.0
// What the files of the aggregate share: how a group stands in state, and its accumulators.
//
// A group's value, changed in place, copied with memcpy:
//   header        rows of the group (weighted), slot capacity, length of the tail
//   accumulators  fixed size, one per aggregate, at accumulator->offset
//   slots         per tracker `capacity` slots, one for each scale of the numerics in the group (scaled.c)
//   tail          wide sums of doubles (doubles.c), then bytes of text extremes
// G1. A group is there while its row count is positive (a global one always). G2. Everything shown is a function of the
//     multiset of rows, not of the order in which they came and went.
// G3. The value of `group` columns is read back from the key; numerics are shown with the largest scale among the
//     group's rows (a tracker counts scales), intervals in the form that their key gives.
// G4. In state, group keys begin with the window bound when windows close, so that closing is a range of keys.
#ifndef BR_PROCESSOR_OPERATORS_AGGREGATE_INTERNAL_H
#define BR_PROCESSOR_OPERATORS_AGGREGATE_INTERNAL_H

#include "processor/expr/numeric.h"
#include "processor/operators/int1280.h"
#include "processor/operators/operator_internal.h"
#include "state/keys.h"

struct __attribute__((packed)) br_group {
    int64_t rows;
    uint32_t slot_capacity;
    uint32_t tail_len;
};

enum br_accumulator_form {
    BR_FORM_COUNT,
    BR_FORM_INTEGER,  // sum, avg over integer and bigint
    BR_FORM_NUMERIC,  // sum, avg
    BR_FORM_DOUBLE,   // sum, avg
    BR_FORM_INTERVAL, // sum, avg
    BR_FORM_BOOLEANS, // bool_and, bool_or
    BR_FORM_EXTREME,  // min, max of fixed-width types
    BR_FORM_TEXT_EXTREME,
    BR_FORM_INTEGER_VARIANCE, // stddev and variance
    BR_FORM_NUMERIC_VARIANCE,
    BR_FORM_DOUBLE_VARIANCE,
};

// Slots by scale: a tracker's slots stand at fixed size + capacity * offset in the group's value.
struct br_tracker {
    uint32_t offset; // of slot sizes before this one
    uint32_t size;   // of a slot; 0: no tracker
};

struct br_accumulator {
    const struct br_aggregate *aggregate;
    enum br_accumulator_form form;
    uint32_t offset;
    struct br_tracker tracker;
    struct br_state_table
        *multiset; // DISTINCT: group ++ value → count. min/max that retract: ordered values. NULL: none
    bool distinct;
};

struct br_aggregator {
    struct br_operator op;
    struct br_state_table *groups, *closed;
    struct br_accumulator *accumulators;
    uint32_t accumulator_count;
    uint32_t *in_tail; // accumulators with a part in the tail, in its order: aligned ones first
    uint32_t in_tail_count;
    struct br_tracker *group_scales; // by group column; size 0: no numeric
    uint32_t fixed_size, slots_size; // of one set of slots
    uint32_t *key_columns;           // input columns in key order
    uint32_t *key_fields;            // group column of each key component
    bool global;                     // no group columns: one row always
    bool global_made;
    bool has_wide_sums; // of doubles, among what the epoch has touched
    // windows
    int32_t window_field; // group column with the bound; -1: never closes
    struct br_window_mark mark;
    bool from_left;    // its bound comes with the left sides of joins
    bool of_one_table; // no other table than the mark's can change the input
    bool smallest_known;
    int64_t smallest_open; // least window bound of the groups; INT64_MAX: none
    // the epoch's touched groups
    struct br_touched *touched;
    size_t touched_count, touched_capacity;
    struct br_buffer buffer, other_buffer;
    uint32_t *all_rows; // 0, 1, 2, …
    int32_t *ones;
};

struct br_touched {
    struct br_entry *entry;
    const uint8_t *old; // NULL: there was no such group
    uint32_t old_len;
};

// The rows of a batch that an accumulator takes.
struct br_intake {
    const struct br_batch *batch;
    struct br_entry **entries;   // by row
    uint8_t **values;            // by row: entries[r]->value
    const struct br_slice *keys; // by row: of the group
    const uint32_t *rows;
    uint32_t count;
    const int32_t *weights; // by row
    bool moved;             // an entry was resized: values[] are out of date
};

// Rows of results: groups' values, one result row each.
struct br_results {
    const uint8_t *const *values;
    uint32_t count;
    uint64_t *failed; // rows whose result can't be shown
    const char **messages;
};

// --- accumulators.c
// Chooses the form and lays it out: adds to fixed_size and slots_size. BR_FATAL for a combination that SQL has not.
enum br_status br_accumulator_plan(struct br_aggregator *aggregator, struct br_accumulator *accumulator,
                                   const struct br_aggregate *aggregate, bool retracts, struct br_error *error);
void br_accumulator_take(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                         struct br_intake *intake);
void br_accumulator_finish(const struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                           struct br_results *results, struct br_column *column);
void br_results_fail(struct br_results *results, uint32_t row, const char *message);

// --- scaled.c: numerics by scale
enum { BR_SCALE_SLOT = 16, BR_SUM_SLOT = 40, BR_SQUARES_SLOT = 80 };
// Adds weight rows of the value (coefficients for sums) to the slot of its scale; may resize the entry (true).
bool br_scaled_add(struct br_aggregator *aggregator, struct br_tracker tracker, struct br_entry *entry,
                   struct br_numeric value, int32_t weight);
// Counts the scale alone.
bool br_scaled_count(struct br_aggregator *aggregator, struct br_tracker tracker, struct br_entry *entry,
                     unsigned scale, int32_t weight);
unsigned br_scaled_largest(const struct br_aggregator *aggregator, struct br_tracker tracker, const uint8_t *value);
// The exact sum at the largest scale.
struct br_int1280 br_scaled_sum(const struct br_aggregator *aggregator, struct br_tracker tracker, const uint8_t *value,
                                unsigned scale);
struct br_int1280 br_scaled_squares(const struct br_aggregator *aggregator, struct br_tracker tracker,
                                    const uint8_t *value, unsigned scale); // at twice the scale
// The sum when it stands in one slot and fits a numeric.
bool br_scaled_quick_sum(const struct br_aggregator *aggregator, struct br_tracker tracker, const uint8_t *value,
                         struct br_numeric *ret);
// Writes the value anew with room for `capacity` slots per tracker and `part` as what the accumulator has in the tail
// (NULL: as it was).
void br_group_relay(struct br_aggregator *aggregator, struct br_entry *entry, uint32_t capacity,
                    const struct br_accumulator *changed, struct br_slice part);
static inline uint8_t *br_group_tail(const struct br_aggregator *aggregator, const uint8_t *value) {
    const struct br_group *group = (const struct br_group *)value;
    return (uint8_t *)(uintptr_t)(value + aggregator->fixed_size + group->slot_capacity * aggregator->slots_size);
}

// --- extremes.c
void br_extreme_take(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                     struct br_intake *intake);
void br_extreme_finish(const struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                       struct br_results *results, struct br_column *column);
struct br_slice br_extreme_text(const struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                                const uint8_t *value);
void br_extreme_set_place(const struct br_accumulator *accumulator, uint8_t *value, uint32_t offset, uint32_t len);
enum { BR_EXTREME_SIZE = 24 };
// Finds the extreme of a group anew when the one it had went away.
enum br_status br_extreme_refresh(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                                  struct br_entry *entry, struct br_error *error);

// --- multiset.c
// min/max that retract: counts the values and keeps the group's extreme where it can.
enum br_status br_multiset_take(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                                struct br_intake *intake, struct br_error *error);
// DISTINCT: counts the values; the intake becomes the rows whose value came (+1) or went (-1).
enum br_status br_distinct_take(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                                struct br_intake *intake, struct br_error *error);

// --- doubles.c
enum { BR_DOUBLE_SUM_SIZE = 40, BR_DOUBLE_VARIANCE_SIZE = 56 };
void br_doubles_take(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                     struct br_intake *intake);
void br_doubles_finish(const struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                       struct br_results *results, struct br_column *column);
// At the end of an epoch: a sum that fits the block again goes back there.
void br_doubles_settle(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                       struct br_entry *entry);
// What the accumulator has in the tail.
struct br_slice br_double_part(const struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                               const uint8_t *value);
void br_double_set_place(const struct br_accumulator *accumulator, uint8_t *value, uint32_t offset, uint32_t len);

// --- variance.c: of integers and numerics
enum { BR_INTEGER_VARIANCE_SIZE = 48 };
void br_variance_take(const struct br_accumulator *accumulator, struct br_intake *intake);
void br_variance_finish(const struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                        struct br_results *results, struct br_column *column);

// --- close.c: windows
void br_windows_plan(struct br_aggregator *aggregator);
// The last window bound that the watermark closes; false when it closes none.
bool br_windows_closed_by(const struct br_aggregator *aggregator, struct br_event_time watermark, int64_t *ret_bound);
// The batch without rows of closed windows, which go to the ledger.
enum br_status br_windows_take_late(struct br_aggregator *aggregator, const struct br_batch *batch,
                                    const struct br_batch **ret_batch, struct br_error *error);
enum br_status br_windows_close(struct br_aggregator *aggregator, struct br_error *error);
enum br_status br_windows_scan_closed(struct br_aggregator *aggregator, br_graph_each each, void *context,
                                      struct br_error *error);

// --- aggregate.c
// Results of groups given by key and value, as a batch of the node's fields in the aggregator's arena.
struct br_batch *br_aggregate_results(struct br_aggregator *aggregator, const struct br_slice *keys,
                                      struct br_results *results);

#endif
