// SPDX-License-Identifier: Apache-2.0
// Does what is wanted of a replay job: verify, recompute, compare, promote, roll back, drop.
//
// U1. What a job has done is in its lineage's commits and its state's folder; the record says what it is and how far.
//     Whoever claims it later goes on from there.
// U2. The lease is renewed twice a second. When it is lost, the runner stops at once; the lineage's fences have made
//     whatever it did in between harmless.
// U3. A wish that is made while another one is being fulfilled is seen at the next renewal: pause and cancel end what
// is
//     under way, at an epoch's end.
//
// Thread: any one; it opens a connection of its own for the lineage.
#ifndef BR_REPLAY_RUNNER_H
#define BR_REPLAY_RUNNER_H

#include "processor/log/control.h"
#include "processor/worker.h"
#include "replay/job.h"

struct br_runner_options {
    const struct br_connect_options *connect;
    struct br_control *control; // asks the owner
    struct br_jobs *jobs;       // on a log of the same thread
    const char *pipeline_name;
    const struct br_pipeline *pipeline; // the worker's own, to save loading it again; NULL: none
    const char *data_path;              // the lineage's state goes to <data_path>/<pipeline>/<id>
    const char *worker;
    size_t state_budget_bytes;
    const struct br_flag *stop;
    // Recomputing, verifying and comparing give way to the live pipeline: the calling thread's priority is lowered, for
    // good (it takes a privilege to raise it again). So the thread ends with the run.
    bool background;
    // Takes the task of a lineage that has taken the outputs over, and goes on with it; NULL: it is stopped, and the
    // worker that was the owner finds its state in the folder or rebuilds it from the log.
    void (*promoted)(void *context, const struct br_successor *take_successor);
    void *context;
};

// The job's lease is held by options->worker. BR_OK: done, or in a phase that needs nobody; the job's own failures are
// in its record. BR_RETRY: stopped, or the lease was lost. The lease is given back.
enum br_status br_runner_run(const struct br_runner_options *options, const char *id, struct br_error *error)
    BR_MUST_CHECK;
// Ends a takeover that was cut between its parts (br_worker_options.finish_takeover); context: struct
// br_runner_options.
enum br_status br_runner_finish_takeover(void *context, struct br_task *task, const struct br_pipeline *pipeline,
                                         struct br_error *error) BR_MUST_CHECK;

#endif
