// SPDX-License-Identifier: Apache-2.0
// Reading a commit from outside: the log, the state's meta. What it lets through can be acted on without harm; whether
// it is true shows when its epoch is computed again (X7).
#ifndef BR_PROCESSOR_COMMIT_READER_H
#define BR_PROCESSOR_COMMIT_READER_H

#include "base/bytes.h"
#include "braid/v1/commit.pb-c.h"
#include "processor/log/log.h"
#include "processor/sql/plan.h"

// BR_FATAL in words when the bytes are no commit, one of another pipeline, or one that contradicts itself. Free with
// braid__v1__commit__free_unpacked.
enum br_status br_commit_read(const struct br_pipeline *pipeline, struct br_slice bytes, Braid__V1__Commit **ret_commit,
                              struct br_error *error) BR_MUST_CHECK;

// A commit of any pipeline or lineage: only what needs no plan is looked at. One that a later build has computed is
// refused as such, by both.
enum br_status br_commit_unpack(const char *pipeline_name, struct br_slice bytes, Braid__V1__Commit **ret_commit,
                                struct br_error *error) BR_MUST_CHECK;

// Certainly no commit, though it stands on a subject of commits: it wasn't appended (br_log_message_fenced), and isn't
// one that any build has written (X22).
bool br_commit_is_foreign(const struct br_log_message *message);
// br_commit_unpack of a message of the log; *ret_commit NULL: it is foreign, and to be passed over.
enum br_status br_commit_of(const char *pipeline_name, const struct br_log_message *message,
                            Braid__V1__Commit **ret_commit, struct br_error *error) BR_MUST_CHECK;

static inline void br_commit_cleanup(Braid__V1__Commit **commit) {
    if (*commit != NULL)
        braid__v1__commit__free_unpacked(*commit, NULL);
    *commit = NULL;
}

#endif
