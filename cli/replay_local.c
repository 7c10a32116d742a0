// SPDX-License-Identifier: Apache-2.0
// --local: a job done in this process, by a thread with connections of its own, while the caller's follows it as any
// other. The lease is this process's: workers leave the job alone as long as it is renewed, and go on with it after.
#include "cli/replay.h"
#include "processor/worker.h"
#include "replay/runner.h"

#include <pthread.h>
#include <stdio.h>

struct replay_local {
    struct br_connect_options connect;
    const struct br_pipeline *pipeline; // NULL: read from the log
    char name[256], data[4096], worker[128];
    char id[BR_JOB_ID_SIZE];
    pthread_t thread;
    volatile bool stop;
};

static enum br_status run(struct replay_local *local, struct br_error *error) {
    struct br_log *log = NULL;
    struct br_jobs *jobs = NULL;
    struct br_control *control = NULL;
    enum br_status status = br_control_open(&local->connect, NULL, &control, error);
    if (status == BR_OK) {
        log = br_control_log(control, &local->stop);
        status = br_jobs_open(log, local->name, &jobs, error);
    }
    if (status == BR_OK) {
        br_log_set_cancel(log, NULL); // the lease is given back after a stop
        struct br_runner_options options = {.connect = &local->connect,
                                            .control = control,
                                            .jobs = jobs,
                                            .pipeline_name = local->name,
                                            .pipeline = local->pipeline,
                                            .data_path = local->data,
                                            .worker = local->worker,
                                            .stop = &local->stop};
        status = br_runner_run(&options, local->id, error);
    }
    br_jobs_close(&jobs);
    br_log_close(&log);
    br_control_close(&control);
    return status;
}

static void *run_thread(void *context) {
    struct replay_local *local = context;
    struct br_error error;
    if (run(local, &error) != BR_OK && !local->stop)
        br_complain("%s", error.message);
    return NULL;
}

int replay_local_start(const struct replay_arguments *arguments, const char *name, const struct br_pipeline *pipeline,
                       const char *id, const char *worker, struct replay_local **ret_local) {
    struct replay_local *local = br_calloc(1, sizeof *local);
    local->connect = arguments->connect;
    local->connect.cancel = &local->stop;
    local->pipeline = pipeline;
    snprintf(local->name, sizeof local->name, "%s", name);
    snprintf(local->id, sizeof local->id, "%s", id);
    snprintf(local->worker, sizeof local->worker, "%s", worker);
    if (arguments->data != NULL)
        snprintf(local->data, sizeof local->data, "%s", arguments->data);
    else
        snprintf(local->data, sizeof local->data, "%s.braid-data", name);
    int code = pthread_create(&local->thread, NULL, run_thread, local);
    if (code != 0) {
        br_complain("can't start a thread: %s", strerror(code));
        free(local);
        return BR_EXIT_FAILED;
    }
    *ret_local = local;
    return BR_EXIT_OK;
}

void replay_local_stop(struct replay_local **local) {
    if (*local == NULL)
        return;
    (*local)->stop = true;
    pthread_join((*local)->thread, NULL);
    free(*local);
    *local = NULL;
}
