// SPDX-License-Identifier: Apache-2.0
// Does the log confirm what a state says of itself (X9)? For recovery, and for whoever asks without a task.
#ifndef BR_PROCESSOR_CONFIRM_H
#define BR_PROCESSOR_CONFIRM_H

#include "braid/v1/commit.pb-c.h"
#include "processor/log/log.h"
#include "state/table.h"

// Does the pipeline's output stream hold this lineage's commit of that epoch, whole and with that digest, at this
// sequence?
enum br_status br_confirm_commit(struct br_log *log, const char *pipeline, const char *lineage,
                                 const Braid__V1__Commit *commit, uint64_t sequence, bool *ret_has,
                                 struct br_error *error) BR_MUST_CHECK;

// What the state was flushed at; epoch 0: nothing yet.
struct br_confirm_record {
    uint64_t epoch, digest, sequence; // of its commit on the log
    char lineage[64];                 // whose state it is: a folder of a verification has that of another lineage
};
// log NULL: only reads the record, and *ret_has is false.
enum br_status br_confirm_state(struct br_log *log, const char *pipeline, struct br_state *state,
                                struct br_confirm_record *ret_record, bool *ret_has, struct br_error *error)
    BR_MUST_CHECK;

#endif
