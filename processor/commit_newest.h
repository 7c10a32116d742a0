// SPDX-License-Identifier: Apache-2.0
// The newest commit on a subject, past messages that somebody else published there (X22).
#ifndef BR_PROCESSOR_COMMIT_NEWEST_H
#define BR_PROCESSOR_COMMIT_NEWEST_H

#include "processor/commit_reader.h"

struct br_newest_commit {
    Braid__V1__Commit *commit; // NULL: there is none. br_commit_cleanup
    uint64_t sequence;         // of it; 0: there is none
    uint64_t last;             // of the last message on the subject, commit or not: what a fence must expect; 0: none
    uint64_t foreign;          // how many messages behind the commit aren't one
    bool proven;               // of br_commit_newest_after
};

// On a subject of a pipeline's output stream, as of now. BR_RETRY, and BR_FATAL of what no build can read
// (commit_reader.h).
enum br_status br_commit_newest(struct br_log *log, const char *pipeline, const char *subject,
                                struct br_newest_commit *ret_newest, struct br_error *error) BR_MUST_CHECK;
// From the message at `known` on, which is on the subject (0: from the beginning), to where the subject ends once all
// of that has been looked at. ret_newest->proven: the message at `known` is still there, and nothing behind it can have
// been missed. When it isn't, there may have been other commits.
enum br_status br_commit_newest_after(struct br_log *log, const char *pipeline, const char *subject, uint64_t known,
                                      struct br_newest_commit *ret_newest, struct br_error *error) BR_MUST_CHECK;

#endif
