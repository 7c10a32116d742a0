// SPDX-License-Identifier: Apache-2.0
// See confirm.h.
#include "processor/confirm.h"

#include "processor/commit_reader.h"
#include "processor/task.h"

#include <stdio.h>

// One of the two subjects on which a lineage's commits may stand.
static bool is_commit_of(const char *pipeline, const char *lineage, struct br_slice subject) {
    char own[320], owner[320];
    br_task_owner_subject(pipeline, owner, sizeof owner);
    br_task_lineage_subject(pipeline, lineage, own, sizeof own);
    return br_slice_is(subject, own) || br_slice_is(subject, owner);
}

enum br_status br_confirm_commit(struct br_log *log, const char *pipeline, const char *lineage,
                                 const Braid__V1__Commit *commit, uint64_t sequence, bool *ret_has,
                                 struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    Braid__V1__Commit BR_CLEANUP(br_commit_cleanup) *there = NULL;
    struct br_log_message message;
    char stream[256];
    bool found;
    *ret_has = false;
    br_task_output_stream(pipeline, stream, sizeof stream);
    BR_TRY(br_log_get(log, stream, sequence, &copy, &message, &found, error));
    if (!found || !is_commit_of(pipeline, lineage, message.subject))
        return BR_OK;
    BR_TRY(br_commit_unpack(pipeline, message.payload, &there, error));
    *ret_has = there->epoch == commit->epoch && there->digest == commit->digest && there->part == there->parts &&
               strcmp(there->lineage, lineage) == 0;
    return BR_OK;
}

enum br_status br_confirm_state(struct br_log *log, const char *pipeline, struct br_state *state,
                                struct br_confirm_record *ret_record, bool *ret_has, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) value = {0};
    Braid__V1__Commit BR_CLEANUP(br_commit_cleanup) *commit = NULL;
    bool found;
    *ret_has = false;
    *ret_record = (struct br_confirm_record){0};
    BR_TRY(br_state_meta_get(state, "commit", &value, &found, error));
    if (!found)
        return BR_OK;
    BR_TRY(br_commit_unpack(pipeline, br_buffer_slice(&value), &commit, error));
    br_buffer_clear(&value);
    BR_TRY(br_state_meta_get(state, "fence", &value, &found, error));
    ret_record->epoch = commit->epoch;
    ret_record->digest = commit->digest;
    ret_record->sequence = found && value.len == 8 ? br_be64_get(value.ptr) : 0;
    snprintf(ret_record->lineage, sizeof ret_record->lineage, "%s", commit->lineage);
    if (log == NULL)
        return BR_OK;
    return br_confirm_commit(log, pipeline, commit->lineage, commit, ret_record->sequence, ret_has, error);
}
