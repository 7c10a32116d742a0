// SPDX-License-Identifier: Apache-2.0
// See host.h.
#include "replay/host.h"

#include "base/logging.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOK_US INT64_C(1000000)
#define TAKE_WAIT_US INT64_C(2000000) // a takeover is on the log before the task is handed over

struct br_host {
    struct br_host_options options;
    struct br_runner_options runner;
    pthread_t thread;
    bool running;
    volatile bool stop;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct br_successor successor; // waits to be taken; task NULL: none does
};

// --- the task that has taken over

static void promoted(void *context, const struct br_successor *take_successor) {
    struct br_host *host = context;
    pthread_mutex_lock(&host->lock);
    BR_CHECK(host->successor.task == NULL);
    host->successor = *take_successor;
    pthread_cond_signal(&host->changed);
    pthread_mutex_unlock(&host->lock);
}

static bool wait_for_successor(struct br_host *host) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += TAKE_WAIT_US / BR_US_PER_SECOND;
    int timed_out = 0;
    while (host->successor.task == NULL && timed_out == 0)
        timed_out = pthread_cond_timedwait(&host->changed, &host->lock, &until);
    return host->successor.task != NULL;
}

bool br_host_take(void *context, const char *lineage, struct br_successor *ret_successor) {
    struct br_host *host = context;
    pthread_mutex_lock(&host->lock);
    bool taken = wait_for_successor(host) && strcmp(br_task_lineage(host->successor.task), lineage) == 0;
    if (taken) {
        *ret_successor = host->successor;
        host->successor = (struct br_successor){0};
    }
    pthread_mutex_unlock(&host->lock);
    return taken;
}

enum br_status br_host_finish_takeover(void *context, struct br_task *task, const struct br_pipeline *pipeline,
                                       struct br_error *error) {
    return br_runner_finish_takeover(&((struct br_host *)context)->runner, task, pipeline, error);
}

// --- the thread

static void tell(const struct br_host *host, const char *what, const struct br_error *error) {
    br_log_line(BR_LEVEL_WARN, what, BR_STR("pipeline", host->options.pipeline->name), BR_STR("why", error->message));
}

struct job_thread {
    struct br_host *host;
    char id[BR_JOB_ID_SIZE];
};

static void *run_job(void *context) {
    struct job_thread *job = context;
    struct br_error error;
    if (br_runner_run(&job->host->runner, job->id, &error) != BR_OK)
        tell(job->host, "left a replay", &error);
    return NULL;
}

// In a thread of its own, whose priority is lowered. False: there is no thread to be had; the lease runs out by itself.
static bool run_claimed(struct br_host *host, const char *id) {
    struct job_thread job = {.host = host};
    pthread_t thread;
    snprintf(job.id, sizeof job.id, "%s", id);
    br_log_line(BR_LEVEL_INFO, "working on a replay", BR_STR("pipeline", host->options.pipeline->name),
                BR_STR("replay", id));
    int code = pthread_create(&thread, NULL, run_job, &job);
    if (code == 0)
        pthread_join(thread, NULL);
    else
        br_log_line(BR_LEVEL_WARN, "no thread to run a replay in", BR_STR("why", strerror(code)));
    return code == 0;
}

static void look_once(struct br_host *host, bool *ret_worked) {
    struct br_job job;
    struct br_error error;
    bool claimed = false;
    const struct br_clock *clock = br_clock_system();
    *ret_worked = false;
    if (br_jobs_claim_any(host->runner.jobs, host->options.worker, clock->wall(clock), &job, &claimed, &error) !=
        BR_OK) {
        tell(host, "replay jobs can't be looked at", &error);
        return;
    }
    if (!claimed)
        return;
    *ret_worked = run_claimed(host, job.record->id);
    br_job_free(&job);
}

static enum br_status connect_host(struct br_host *host, struct br_log **ret_log, struct br_error *error) {
    enum br_status status;
    while ((status = br_log_connect_jetstream(&host->options.connect, ret_log, error)) == BR_RETRY && !host->stop)
        usleep((useconds_t)LOOK_US);
    return status;
}

// The bucket can be made once the pipeline has its output stream.
static void *run_host(void *context) {
    struct br_host *host = context;
    struct br_log *log = NULL;
    struct br_error error;
    if (connect_host(host, &log, &error) != BR_OK) {
        if (!host->stop)
            tell(host, "no replay can run here", &error);
        return NULL;
    }
    while (!host->stop) {
        bool worked = false;
        if (host->runner.jobs == NULL &&
            br_jobs_open(log, host->options.pipeline->name, &host->runner.jobs, &error) != BR_OK)
            host->runner.jobs = NULL;
        if (host->runner.jobs != NULL)
            look_once(host, &worked);
        if (!worked && !host->stop)
            br_log_wait(log, LOOK_US);
    }
    br_jobs_close(&host->runner.jobs);
    br_log_close(&log);
    return NULL;
}

enum br_status br_host_start(const struct br_host_options *options, struct br_host **ret_host, struct br_error *error) {
    struct br_host *host = br_calloc(1, sizeof *host);
    host->options = *options;
    host->options.connect.cancel = &host->stop;
    pthread_mutex_init(&host->lock, NULL);
    pthread_cond_init(&host->changed, NULL);
    host->runner = (struct br_runner_options){.connect = &host->options.connect,
                                              .pipeline_name = options->pipeline->name,
                                              .pipeline = options->pipeline,
                                              .data_path = options->data_path,
                                              .worker = options->worker,
                                              .state_budget_bytes = options->state_budget_bytes,
                                              .stop = &host->stop,
                                              .background = true,
                                              .promoted = promoted,
                                              .context = host};
    int code = pthread_create(&host->thread, NULL, run_host, host);
    host->running = code == 0;
    if (code != 0) {
        br_host_stop(&host);
        return br_error_set_native(error, BR_FATAL, code, "can't start the thread of replays: %s", strerror(code));
    }
    *ret_host = host;
    return BR_OK;
}

// A task that was promoted and never taken ends as any does that is stopped.
static void end_successor(struct br_successor *successor) {
    struct br_error error;
    if (successor->task == NULL)
        return;
    if (br_task_stop(successor->task, &error) != BR_OK)
        br_log_line(BR_LEVEL_WARN, "a promoted lineage was stopped without its last flush",
                    BR_STR("why", error.message));
    br_task_destroy(&successor->task);
    successor->release(successor->owned);
}

void br_host_stop(struct br_host **host_ptr) {
    struct br_host *host = *host_ptr;
    if (host == NULL)
        return;
    host->stop = true;
    if (host->running)
        pthread_join(host->thread, NULL);
    end_successor(&host->successor);
    pthread_cond_destroy(&host->changed);
    pthread_mutex_destroy(&host->lock);
    free(host);
    *host_ptr = NULL;
}
