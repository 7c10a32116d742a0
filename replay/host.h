// SPDX-License-Identifier: Apache-2.0
// The worker's thread that runs replay jobs: looks for one that can be had about once a second, claims it, does it
// (runner.h), looks again. A lineage that it promotes becomes the worker's live task.
//
// Thread: start, stop and take of the worker's thread; the rest in the host's own.
#ifndef BR_REPLAY_HOST_H
#define BR_REPLAY_HOST_H

#include "replay/runner.h"

struct br_host;
struct br_host_options {
    struct br_connect_options connect;
    struct br_control *control;    // asks the owner
    struct br_requests *questions; // about archives (remote_history.h)
    const struct br_pipeline *pipeline;
    const char *data_path;
    const char *worker;
    size_t state_budget_bytes;
};

enum br_status br_host_start(const struct br_host_options *options, struct br_host **ret_host, struct br_error *error)
    BR_MUST_CHECK;
// Ends what is under way at the end of its epoch; the job goes on when a worker claims it again. NULL-safe.
void br_host_stop(struct br_host **host);
// ,"needs":["replay r3 needs stream …"] for the status object: what the streams' limits will take from somebody
// (guard.h). Thread: any.
void br_host_add_status(void *context, struct br_buffer *out);
// br_worker_options.successor, .finish_takeover and .graft; context: the struct br_host.
bool br_host_take(void *context, const char *lineage, struct br_successor *ret_successor);
enum br_status br_host_finish_takeover(void *context, struct br_task *task, const struct br_pipeline *pipeline,
                                       struct br_error *error) BR_MUST_CHECK;
enum br_status br_host_graft(void *context, struct br_task *task, struct br_error *error) BR_MUST_CHECK;

#endif
