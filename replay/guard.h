// SPDX-License-Identifier: Apache-2.0
// Who still needs what of the input streams: the lineage that owns the outputs from its last commit on, every replay
// under way from its own. What is archived isn't needed from the stream. The archive's own needs are the archiver's to
// watch (archiver.h).
#ifndef BR_REPLAY_GUARD_H
#define BR_REPLAY_GUARD_H

#include "replay/history.h"
#include "replay/job.h"

// Appends a line for each stream whose limits will delete, or have deleted, what somebody needs (retention.h). jobs may
// be NULL: no replays are looked at.
enum br_status br_guard_survey(struct br_log *log, const struct br_pipeline *pipeline, struct br_jobs *jobs,
                               struct br_buffer *lines, struct br_error *error) BR_MUST_CHECK;

#endif
