// SPDX-License-Identifier: Apache-2.0
// See worker.h.
#include "processor/worker.h"

#include "base/logging.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#define IDLE_WAIT_US 50000
#define STORE_CACHE_BYTES ((size_t)64 << 20)

struct store_place {
    char path[4096];
};

static enum br_status open_store(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error) {
    const struct store_place *place = context;
    if (set_aside) {
        char aside[4200];
        BR_TRY(br_store_set_aside(place->path, aside, sizeof aside, error));
        br_log_line(BR_LEVEL_WARN, "state set aside", BR_STR("path", aside));
    }
    return br_store_open_rocksdb(place->path, STORE_CACHE_BYTES, ret_store, error);
}

void br_worker_name(char *name, size_t size) {
    char host[64] = "host";
    gethostname(host, sizeof host - 1);
    uint32_t random;
    BR_CHECK(getrandom(&random, sizeof random, 0) == sizeof random);
    snprintf(name, size, "%s-%ld-%08x", host, (long)getpid(), random);
}

static void tell_progress(struct br_task *task) {
    struct br_task_status status;
    br_task_status(task, &status);
    br_log_line(BR_LEVEL_INFO, "progress", BR_INT("epoch", status.committed_epoch), BR_INT("messages", status.messages),
                BR_INT("rows_out", status.rows_out), BR_INT("lag", status.lag_messages), BR_INT("late", status.late),
                BR_INT("quarantined", status.quarantined));
}

static enum br_status run_until_stopped(struct br_task *task, const struct br_worker_options *options,
                                        struct br_error *error) {
    const struct br_clock *clock = br_clock_system();
    int64_t told_us = clock->mono(clock).us;
    while (!*options->stop) {
        bool worked;
        BR_TRY(br_task_step(task, &worked, error));
        if (!worked)
            br_log_wait(options->log, IDLE_WAIT_US);
        int64_t now_us = clock->mono(clock).us;
        if (options->progress_interval_us != 0 && now_us - told_us >= options->progress_interval_us) {
            tell_progress(task);
            told_us = now_us;
        }
    }
    return br_task_stop(task, error);
}

enum br_status br_worker_run(const struct br_worker_options *options, struct br_error *error) {
    struct store_place place;
    char name[128];
    int length = snprintf(place.path, sizeof place.path, "%s/%s/live", options->data_path, options->pipeline->name);
    if (length < 0 || (size_t)length >= sizeof place.path)
        return br_error_set(error, BR_FATAL, "the data path is too long: %s", options->data_path);
    br_worker_name(name, sizeof name);
    struct br_task_options task_options = {.pipeline = options->pipeline,
                                           .log = options->log,
                                           .clock = br_clock_system(),
                                           .worker = name,
                                           .open_store = open_store,
                                           .store_context = &place,
                                           .state_budget_bytes = options->state_budget_bytes,
                                           .epoch_messages = options->epoch_messages,
                                           .epoch_time_us = options->epoch_time_us,
                                           .output_replicas = options->output_replicas,
                                           .output_memory = options->output_memory,
                                           .stop = options->stop,
                                           .serve = true,
                                           .add_status = options->add_status,
                                           .status_context = options->status_context};
    struct br_task *task = NULL;
    enum br_status status = br_task_create(&task_options, &task, error);
    if (status == BR_OK)
        status = br_task_recover(task, error);
    if (status == BR_OK) {
        br_log_line(BR_LEVEL_INFO, "running", BR_STR("pipeline", options->pipeline->name), BR_STR("worker", name),
                    BR_INT("epoch", br_task_epoch(task)));
        status = run_until_stopped(task, options, error);
    }
    if (status == BR_OK)
        br_log_line(BR_LEVEL_INFO, "stopped", BR_STR("pipeline", options->pipeline->name),
                    BR_INT("epoch", br_task_epoch(task)));
    br_task_destroy(&task);
    return status;
}
