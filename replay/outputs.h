// SPDX-License-Identifier: Apache-2.0
// Reads what a pipeline has written to its output stream: rows of views, packed or not, and quarantined and late
// events, as JSON.
#ifndef BR_REPLAY_OUTPUTS_H
#define BR_REPLAY_OUTPUTS_H

#include "processor/input.h"

struct br_outputs;

struct br_output_row {
    const struct br_view *view;
    char op; // 'U' upsert, 'D' delete by key, 'I' insert and 'R' remove of a view without key
    uint64_t epoch;
    struct br_slice
        key; // JSON of the key columns (of the whole row for a view without key): equal keys have equal bytes
    struct br_slice row; // JSON of all columns; of the key columns for 'D'
};

// Slices are valid until the next br_outputs_read.
struct br_outputs_each {
    void *context;
    enum br_status (*row)(void *context, const struct br_output_row *row, struct br_error *error);
    // A quarantined or late event as one JSON object: {"quarantined":…} or {"late":…}.
    enum br_status (*report)(void *context, struct br_slice line, struct br_error *error);
    // Instead of `row`, as it was published: for those that decode it themselves (br_outputs_decode). NULL: `row`.
    enum br_status (*record)(void *context, const struct br_view *view, char op, struct br_slice payload,
                             struct br_error *error);
};

enum br_status br_outputs_create(const struct br_pipeline *pipeline, struct br_outputs **ret_outputs,
                                 struct br_error *error) BR_MUST_CHECK;
void br_outputs_destroy(struct br_outputs **outputs);
// Any message of the output stream; those that hold no output (commits without blocks) call nothing.
enum br_status br_outputs_read(struct br_outputs *outputs, const struct br_log_message *message,
                               const struct br_outputs_each *each, struct br_error *error) BR_MUST_CHECK;
// Adds one row of a view to a batch (br_outputs_batch). What it points to is in the arena and in the payload.
struct br_batch *br_outputs_batch(struct br_outputs *outputs, const struct br_view *view, struct br_arena *arena);
enum br_status br_outputs_decode(struct br_outputs *outputs, const struct br_view *view, struct br_slice payload,
                                 struct br_batch *batch, struct br_arena *arena, struct br_error *error) BR_MUST_CHECK;

#endif
