// SPDX-License-Identifier: Apache-2.0
// The archives of a pipeline as a worker has them, for plans that are made on another machine: a request on
// braid_api.<pipeline>.history (braid.v1.HistoryQuestion), answered by the worker's host of replays, whose thread this
// is on that side.
#ifndef BR_REPLAY_REMOTE_HISTORY_H
#define BR_REPLAY_REMOTE_HISTORY_H

#include "braid/v1/replay.pb-c.h"
#include "processor/log/control.h"
#include "replay/plan.h"

// --- the worker's end
void br_remote_history_serve(struct br_control *control, const char *pipeline, struct br_requests *requests);
// Answers what waits. What can't be answered is said in the answer.
void br_remote_history_answer(struct br_requests *requests, struct br_log *log, const char *pipeline);

// --- the asker's end
struct br_remote_history {
    struct br_control *control;
    const char *pipeline;
    const Braid__V1__ReplayJob *job; // sql and descriptors of the pipeline that is asked about; sql "": what runs
    const struct br_history_source *otherwise; // when no worker answers
    bool nobody;                               // none has
};
// Borrowed: as long as the plan is made.
struct br_history_source br_remote_history_source(struct br_remote_history *remote);

#endif
