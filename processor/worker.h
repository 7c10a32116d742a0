// SPDX-License-Identifier: Apache-2.0
// A worker: runs a pipeline's task until it is told to stop. Locks the data directory, opens RocksDB, follows the log.
#ifndef BR_PROCESSOR_WORKER_H
#define BR_PROCESSOR_WORKER_H

#include "processor/task.h"

struct br_worker_options {
    const struct br_pipeline *pipeline;
    struct br_log *log;
    const char *data_path; // state goes to <data_path>/<pipeline>/live
    size_t state_budget_bytes;
    uint32_t epoch_messages;
    int64_t epoch_time_us;
    int output_replicas;
    bool output_memory;
    const volatile bool *stop;    // set by a signal handler; the worker commits, flushes and returns soon after
    int64_t progress_interval_us; // a log line of progress this often; 0: none
    void (*add_status)(void *context, struct br_buffer *out); // as the task's
    void *status_context;
};

// BR_OK after a clean stop. Fenced, holes, digests that differ, a full disk: BR_FATAL with words.
enum br_status br_worker_run(const struct br_worker_options *options, struct br_error *error) BR_MUST_CHECK;
// A worker's name, unique per start: host, process id, and a random part. Into name[size].
void br_worker_name(char *name, size_t size);

#endif
