// SPDX-License-Identifier: Apache-2.0
// The commits of a pipeline, of all its lineages, one by one in the order of the log. What others published among them
// is passed over (X22).
#ifndef BR_REPLAY_COMMITS_H
#define BR_REPLAY_COMMITS_H

#include "braid/v1/commit.pb-c.h"
#include "processor/log/log.h"

struct br_commits;

// From this stream sequence on (0: from the oldest that is left), for ever. log is borrowed.
enum br_status br_commits_open(struct br_log *log, const char *pipeline, uint64_t first_sequence,
                               struct br_commits **ret_commits, struct br_error *error) BR_MUST_CHECK;
void br_commits_close(struct br_commits **commits);
// The next one, of whatever lineage; *ret_message NULL when none is at hand (br_log_wait, then ask again). Both stay
// until br_commits_done, which is due before the next call.
enum br_status br_commits_next(struct br_commits *commits, const struct br_log_message **ret_message,
                               const Braid__V1__Commit **ret_commit, struct br_error *error) BR_MUST_CHECK;
void br_commits_done(struct br_commits *commits);
// Does the commit end an epoch of this lineage on the log? Parts before the last don't, nor does the one that closes a
// lineage's own subject.
bool br_commit_ends_epoch(const Braid__V1__Commit *commit, const struct br_log_message *message, const char *pipeline,
                          const char *lineage);

#endif
