// SPDX-License-Identifier: Apache-2.0
// What emit.c (rows and their layout) and emit_reports.c (quarantined and late events) share.
#ifndef BR_PROCESSOR_EMIT_INTERNAL_H
#define BR_PROCESSOR_EMIT_INTERNAL_H

#include "processor/codec/encode.h"
#include "processor/emit.h"

#include <inttypes.h>
#include <xxhash.h>

// One output message of a view: where its subject and payload stand in the view's buffers.
struct item {
    size_t payload, subject;
    uint32_t payload_len, subject_len;
    char op;
};

// What a view gave in this epoch. records: op byte, varint length, message bytes, again and again: the body of a packed
// block.
enum fit { FITS, ROW_TOO_LARGE, SUBJECT_TOO_LONG };

struct view_output {
    const struct br_view *view;
    struct br_encoder *encoder;
    struct br_buffer records, subjects, scratch;
    struct item *items;
    size_t item_count, item_capacity;
    uint64_t record_count;
    bool templated;
    bool renamable;    // its key may be written in several ways
    enum fit fit;      // of the rows added since it was last set: what can't be published (E4)
    size_t unfit_size; // bytes of the row, or of the subject, that doesn't fit
    char ttl[32];
    struct br_log_header headers[4][7]; // by op
    XXH3_state_t *hash;
    struct br_view_counts counts;
};

struct br_emit {
    const struct br_pipeline *pipeline;
    const char *lineage;
    const char *replay, *corrects; // of corrections; NULL otherwise
    const char *publish_as;        // a replay's id; NULL: the views' own subjects
    size_t payload_max;
    size_t row_max; // bytes of a row or block: what is left of payload_max beside our headers
    bool silent;
    uint64_t epoch;
    const struct br_events *events;
    struct br_arena *arena; // one epoch: side messages, blocks
    struct view_output *outputs;
    uint64_t *quarantined; // by table
    const char **streams;  // by table; NULL: not told
    uint64_t *prehistory;  // by table: imported events that come before the stream's first
    XXH3_state_t *side_hash;
    struct br_log_message *side; // quarantined and late events
    size_t side_count, side_capacity;
    struct br_log_message *messages;
    size_t message_count, message_capacity;
    struct br_emit_block *blocks;
    size_t block_count;
    uint64_t digest;
    struct br_sink sink;
};

static inline struct view_output *br_emit_output(struct br_emit *emit, const struct br_view *view) {
    return &emit->outputs[view->index];
}

struct br_slice br_emit_number(struct br_arena *arena, int64_t number);
// The sequence of a message as the stream has it; "import:7" for the seventh imported event.
struct br_slice br_emit_sequence(struct br_arena *arena, uint64_t sequence, uint64_t prehistory);
// What the sink does with rows on which an expression failed, and with late ones.
enum br_status br_emit_failed(void *context, const struct br_view *view, const struct br_node *node,
                              const struct br_batch *batch, uint32_t row, const char *message, struct br_error *error);
enum br_status br_emit_late(void *context, const struct br_view *view, const struct br_node *node,
                            const struct br_batch *batch, uint32_t row, struct br_event_time window_start,
                            struct br_event_time window_end, int64_t late_by_us, struct br_error *error);
// A row of a view that doesn't fit a message (E4). No part of the digest: it depends on the server.
void br_emit_report_unfit(struct br_emit *emit, struct view_output *output, const struct br_batch *batch, uint32_t row);

#endif
