// SPDX-License-Identifier: Apache-2.0
// One epoch's way out: changes of views → encoded messages in canonical order, digests, quarantine and late ledger.
//
// E1. Messages stand in this order: views in the order of the plan, within a view by key (append-only views: in order
// of arrival); then quarantined
//     and late events in order of occurrence. The same epoch computed again gives the same messages, so parts of an
//     epoch can be skipped.
// E2. A view's digest is XXH3-64 over its changes: op, key, old row, new row, each with its length. The epoch's digest
// chains the
//     previous epoch's digest, every view's, and that of the quarantined and late events.
// E3. Everything handed out is owned here and valid until the next br_emit_begin.
// E4. A row that fits no message of the server, or whose subject would be too long, is left out and reported (reason
// "size"); subscribers of a keyed view see its former row go. The view's state keeps it, and the digest too: both are
// the same whatever the server takes.
#ifndef BR_PROCESSOR_EMIT_H
#define BR_PROCESSOR_EMIT_H

#include "processor/input.h"
#include "processor/operators/graph.h"

struct br_emit;

struct br_view_counts {
    uint64_t upserts, deletes, late, failed, digest;
};
struct br_emit_block { // packed changes that ride in the commit message
    const struct br_view *view;
    struct br_slice rows;
};

enum br_status br_emit_create(const struct br_pipeline *pipeline, const char *lineage, size_t payload_max,
                              struct br_emit **ret_emit, struct br_error *error) BR_MUST_CHECK;
void br_emit_destroy(struct br_emit **emit);

// Output dropped, digests and encoding kept (benchmarks, verify, recovery): messages are not built.
void br_emit_set_silent(struct br_emit *emit, bool silent);
// The stream that a table is read from, and how many imported events come before its first: for the headers of
// quarantined and late events. Borrowed.
void br_emit_set_stream(struct br_emit *emit, uint32_t table, const char *stream, uint64_t prehistory);
// What is given is a correction: the replay that found it, and the lineage whose rows it corrects. Borrowed.
void br_emit_set_correction(struct br_emit *emit, const char *replay, const char *corrects);
// A replay's changes go to braid.<pipeline>.replay.<id>.view.<view>, those of views with effect and its reports
// nowhere.
void br_emit_set_publish_as(struct br_emit *emit, const char *id);
// events is read while the epoch runs, for the original bytes of quarantined and late events.
void br_emit_begin(struct br_emit *emit, uint64_t epoch, const struct br_events *events);
const struct br_sink *br_emit_sink(struct br_emit *emit);
// An event that a table's gates turned away.
enum br_status br_emit_reject(struct br_emit *emit, const struct br_table *table, uint32_t origin, const char *reason,
                              const char *detail, struct br_error *error) BR_MUST_CHECK;
// Ends the epoch: computes the digest from the previous one and lays out the messages. inputs:
// "orders=12-40,customers=3-3".
void br_emit_finish(struct br_emit *emit, const char *inputs, uint64_t previous_digest);

uint64_t br_emit_digest(const struct br_emit *emit);
const struct br_view_counts *br_emit_counts(const struct br_emit *emit, uint32_t view);
uint64_t br_emit_quarantined(const struct br_emit *emit, uint32_t table);
// Output rows of the epoch, whether they became messages or rows of blocks.
uint64_t br_emit_rows(const struct br_emit *emit);
const struct br_log_message *br_emit_messages(const struct br_emit *emit, size_t *ret_count);
// Set when all the epoch's output is packed and small enough to ride in the commit; then there are no messages.
const struct br_emit_block *br_emit_blocks(const struct br_emit *emit, size_t *ret_count);

#endif
