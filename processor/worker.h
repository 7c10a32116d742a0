// SPDX-License-Identifier: Apache-2.0
// A worker: runs the task of the lineage that owns a pipeline's outputs until it is told to stop. Locks the data
// directory, opens RocksDB, follows the log. When another lineage takes the outputs over (a replay is promoted) it goes
// on with that one: with the task itself when it was promoted in this process, else from the lineage's state or the
// log.
#ifndef BR_PROCESSOR_WORKER_H
#define BR_PROCESSOR_WORKER_H

#include "processor/task.h"

// A task that has become the owner, with all that it stands on.
struct br_successor {
    struct br_task *task;
    struct br_log *log;
    const struct br_pipeline *pipeline;
    void (*release)(void *owned); // after the task is destroyed
    void *owned;
};

struct br_worker_options {
    const struct br_pipeline *pipeline;
    struct br_log *log;
    struct br_requests *requests; // of br_task_serve; NULL: nobody can ask
    const char *name;             // of the worker: br_worker_name
    const char *data_path;        // state goes to <data_path>/<pipeline>/<lineage>
    br_open_input open_input;
    void *input_context;
    // The task of this lineage that was promoted in this process; false: there is none. Thread: the worker's.
    bool (*successor)(void *context, const char *lineage, struct br_successor *ret_successor);
    // Ends a takeover that was cut between its parts (br_task_unfinished_takeover).
    enum br_status (*finish_takeover)(void *context, struct br_task *task, const struct br_pipeline *pipeline,
                                      struct br_error *error);
    // br_task_options.graft
    enum br_status (*graft)(void *context, struct br_task *task, struct br_error *error);
    void *replay_context; // of these three; they may be NULL
    size_t state_budget_bytes;
    uint32_t epoch_messages;
    int64_t epoch_time_us;
    int64_t query_time_us; // these three as the task's
    uint64_t query_rows_max;
    size_t query_memory_bytes;
    int output_replicas;
    bool output_memory;
    const struct br_flag *stop;   // set by a signal handler; the worker commits, flushes and returns soon after
    int64_t progress_interval_us; // a log line of progress this often; 0: none
    void (*add_status)(void *context, struct br_buffer *out); // as the task's
    void *status_context;
};

// BR_OK after a clean stop. Fenced, holes, digests that differ, a full disk: BR_FATAL with words.
enum br_status br_worker_run(const struct br_worker_options *options, struct br_error *error) BR_MUST_CHECK;
// Where a lineage's state is kept, and checkpoints. BR_FATAL: too long, or no name for a folder.
enum br_status br_worker_state_path(const char *data_path, const char *pipeline, const char *lineage, char *path,
                                    size_t size, struct br_error *error) BR_MUST_CHECK;
// br_task_options.open_store over such a folder; context: its path (const char *).
enum br_status br_worker_open_store(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error)
    BR_MUST_CHECK;
// Removes the checkpoints that askers have left behind, but for those that another process has open. Before anything in
// this process makes one.
enum br_status br_worker_clear_checkpoints(const char *data_path, const char *pipeline, struct br_error *error)
    BR_MUST_CHECK;
// A worker's name, unique per start: host, process id, and a random part. Into name[size].
void br_worker_name(char *name, size_t size);

#endif
