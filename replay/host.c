// SPDX-License-Identifier: Apache-2.0
// See host.h.
#include "replay/host.h"

#include "base/json.h"
#include "base/logging.h"
#include "replay/former.h"
#include "replay/guard.h"
#include "replay/remote_history.h"
#include "replay/schedule.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LOOK_US INT64_C(1000000)
#define GUARD_US (60 * BR_US_PER_SECOND)
#define WAITS_AGAIN_US (60 * BR_US_PER_SECOND)
#define TAKE_WAIT_US INT64_C(2000000) // a takeover is on the log before the task is handed over

struct br_host {
    struct br_host_options options;
    struct br_runner_options runner;
    // A connection of its own, so that no flood of requests holds up a lease. Both logs over it are the thread's: the
    // jobs' one, lent to the thread of a job while there is one, and that for answers.
    struct br_control *own;
    struct br_log *log, *answering;
    pthread_t thread;
    bool running;
    volatile bool stop;
    bool schedule_told; // that it can't be looked at
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct br_buffer needs; // lines of the guard
    int64_t guarded_us;
    char waits_for[BR_ERROR_MESSAGE_SIZE]; // why jobs can't be looked at, "": they can
    int64_t waits_told_us;
    struct br_successor successor; // waits to be taken; task NULL: none does
};

// --- the task that has taken over

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

// One that nobody has taken (the worker went on without it) gives way to the next.
static void promoted(void *context, const struct br_successor *take_successor) {
    struct br_host *host = context;
    pthread_mutex_lock(&host->lock);
    struct br_successor former = host->successor;
    host->successor = *take_successor;
    pthread_cond_signal(&host->changed);
    pthread_mutex_unlock(&host->lock);
    end_successor(&former);
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

enum br_status br_host_graft(void *context, struct br_task *task, struct br_error *error) {
    struct br_former_options options = {.runner = &((struct br_host *)context)->runner};
    return br_former_graft(&options, task, error);
}

// What a stop has cut short is nothing to be told.
static void tell(const struct br_host *host, const char *what, const struct br_error *error) {
    if (!br_flag_is_set(&host->stop))
        br_log_line(BR_LEVEL_WARN, what, BR_STR("pipeline", host->options.pipeline->name),
                    BR_STR("why", error->message));
}

// Jobs can't be looked at now, for what may pass; why NULL: they can. The status has it as long as it is so.
static void note_wait(struct br_host *host, const char *why) {
    int64_t now_us = br_clock_system()->mono(br_clock_system()).us;
    if (br_flag_is_set(&host->stop))
        return;
    if (why != NULL && (host->waits_for[0] == '\0' || now_us - host->waits_told_us >= WAITS_AGAIN_US)) {
        host->waits_told_us = now_us;
        br_log_line(BR_LEVEL_WARN, "replay jobs can't be looked at; trying again",
                    BR_STR("pipeline", host->options.pipeline->name), BR_STR("why", why));
    } else if (why == NULL && host->waits_for[0] != '\0') {
        br_log_line(BR_LEVEL_INFO, "replay jobs can be looked at again",
                    BR_STR("pipeline", host->options.pipeline->name));
    }
    pthread_mutex_lock(&host->lock);
    snprintf(host->waits_for, sizeof host->waits_for, "%s", why == NULL ? "" : why);
    pthread_mutex_unlock(&host->lock);
}

// --- the guard

static struct br_slice next_line(struct br_slice *rest) {
    const uint8_t *end = memchr(rest->ptr, '\n', rest->len);
    struct br_slice line = {rest->ptr, end == NULL ? rest->len : (size_t)(end - rest->ptr)};
    size_t skip = line.len + (end == NULL ? 0 : 1);
    rest->ptr += skip;
    rest->len -= skip;
    return line;
}

void br_host_add_status(void *context, struct br_buffer *out) {
    struct br_host *host = context;
    pthread_mutex_lock(&host->lock);
    br_buffer_append_text(out, ",\"needs\":[");
    bool first = true;
    for (struct br_slice rest = br_buffer_slice(&host->needs); rest.len != 0; first = false) {
        br_buffer_append_text(out, first ? "" : ",");
        br_json_append_string(next_line(&rest), out);
    }
    if (host->waits_for[0] != '\0') {
        char text[BR_ERROR_MESSAGE_SIZE + 50];
        snprintf(text, sizeof text, "replay jobs can't be looked at: %s", host->waits_for);
        br_buffer_append_text(out, first ? "" : ",");
        br_json_append_string(br_slice_of(text), out);
    }
    br_buffer_append_byte(out, ']');
    pthread_mutex_unlock(&host->lock);
}

// Once a minute. Said in the log when it is new, and in the status for as long as it is so.
static void guard(struct br_host *host) {
    struct br_error error;
    struct br_buffer lines = {0};
    int64_t now_us = br_clock_system()->mono(br_clock_system()).us;
    if (host->guarded_us != 0 && now_us - host->guarded_us < GUARD_US)
        return;
    host->guarded_us = now_us;
    if (br_guard_survey(host->log, host->options.pipeline, host->runner.jobs, &lines, &error) != BR_OK)
        tell(host, "the streams' limits can't be looked at", &error);
    else if (!br_slice_equal(br_buffer_slice(&lines), br_buffer_slice(&host->needs)))
        for (struct br_slice rest = br_buffer_slice(&lines); rest.len != 0;) {
            struct br_slice line = next_line(&rest);
            char text[600];
            snprintf(text, sizeof text, "%.*s", (int)(line.len < 590 ? line.len : 590), (const char *)line.ptr);
            br_log_line(BR_LEVEL_WARN, "retention", BR_STR("pipeline", host->options.pipeline->name),
                        BR_STR("what", text));
        }
    pthread_mutex_lock(&host->lock);
    br_buffer_free(&host->needs);
    host->needs = lines;
    pthread_mutex_unlock(&host->lock);
}

// --- the thread

struct job_thread {
    struct br_host *host;
    char id[BR_JOB_ID_SIZE];
    atomic_bool ended;
};

static void *run_job(void *context) {
    struct job_thread *job = context;
    struct br_error error;
    if (br_runner_run(&job->host->runner, job->id, &error) != BR_OK)
        tell(job->host, "left a replay", &error);
    atomic_store(&job->ended, true);
    br_log_wake(job->host->answering);
    return NULL;
}

// In a thread of its own, whose priority is lowered. False: there is no thread to be had; the lease runs out by itself.
static bool run_claimed(struct br_host *host, const char *id) {
    struct job_thread job = {.host = host};
    pthread_t thread;
    snprintf(job.id, sizeof job.id, "%s", id);
    br_log_line(BR_LEVEL_INFO, "working on a replay", BR_STR("pipeline", host->options.pipeline->name),
                BR_STR("replay", id));
    br_log_set_cancel(host->log, NULL); // a lease is given back after a stop
    int code = pthread_create(&thread, NULL, run_job, &job);
    while (code == 0 && !atomic_load(&job.ended)) {
        br_remote_history_answer(host->options.questions, host->answering, host->options.pipeline->name);
        br_log_wait(host->answering, LOOK_US);
    }
    if (code == 0)
        pthread_join(thread, NULL);
    else
        br_log_line(BR_LEVEL_WARN, "no thread to run a replay in", BR_STR("why", strerror(code)));
    br_log_set_cancel(host->log, &host->stop);
    return code == 0;
}

static void look_once(struct br_host *host, bool *ret_worked) {
    struct br_job job;
    struct br_error error;
    bool claimed = false;
    const struct br_clock *clock = br_clock_system();
    enum br_status status =
        br_jobs_claim_any(host->runner.jobs, host->options.worker, clock->wall(clock), &job, &claimed, &error);
    note_wait(host, status == BR_OK ? NULL : error.message);
    if (status != BR_OK)
        return;
    if (!claimed)
        return;
    *ret_worked = run_claimed(host, job.record->id);
    br_job_free(&job);
}

// K1 of schedule.h: whoever is first.
static void start_scheduled(struct br_host *host, bool *ret_worked) {
    struct br_error error;
    char id[BR_JOB_ID_SIZE];
    bool started = false;
    const struct br_clock *clock = br_clock_system();
    const char *pipeline = host->options.pipeline->name;
    enum br_status status = br_schedule_start(host->runner.jobs, host->log, pipeline, host->options.worker,
                                              clock->wall(clock), id, &started, &error);
    if (status != BR_OK && !host->schedule_told)
        tell(host, "scheduled reconciles can't be looked at", &error);
    host->schedule_told = status != BR_OK;
    if (!started)
        return;
    br_log_line(BR_LEVEL_INFO, "a scheduled reconcile begins", BR_STR("pipeline", pipeline), BR_STR("replay", id));
    *ret_worked = run_claimed(host, id);
}

static void wake(void *log) {
    br_log_wake(log);
}

// Without waiting: what can't be asked now is told and asked again.
static enum br_status connect_host(struct br_host *host, struct br_error *error) {
    BR_TRY(br_control_open(&host->options.connect, NULL, &host->own, error));
    host->log = br_control_log(host->own, &host->stop);
    host->answering = br_control_log(host->own, &host->stop);
    br_requests_wake(host->options.questions, wake, host->answering);
    return BR_OK;
}

static void look_until_stopped(struct br_host *host) {
    struct br_error error;
    const char *pipeline = host->options.pipeline->name;
    while (!br_flag_is_set(&host->stop)) {
        bool worked = false;
        br_remote_history_answer(host->options.questions, host->answering, pipeline);
        // The bucket can be made once the pipeline has its output stream.
        enum br_status status =
            host->runner.jobs == NULL ? br_jobs_open(host->log, pipeline, &host->runner.jobs, &error) : BR_OK;
        if (status != BR_OK)
            host->runner.jobs = NULL;
        if (br_log_may_pass(status, &error))
            note_wait(host, error.message);
        guard(host);
        if (host->runner.jobs != NULL)
            start_scheduled(host, &worked);
        if (host->runner.jobs != NULL && !br_flag_is_set(&host->stop))
            look_once(host, &worked);
        if (!worked && !br_flag_is_set(&host->stop))
            br_log_wait(host->answering, LOOK_US);
    }
}

static void *run_host(void *context) {
    struct br_host *host = context;
    struct br_error error;
    if (connect_host(host, &error) == BR_OK)
        look_until_stopped(host);
    else if (!br_flag_is_set(&host->stop))
        tell(host, "no replay can run here", &error);
    br_jobs_close(&host->runner.jobs);
    br_requests_wake(host->options.questions, NULL, NULL);
    br_log_close(&host->answering);
    br_log_close(&host->log);
    br_control_close(&host->own);
    return NULL;
}

enum br_status br_host_start(const struct br_host_options *options, struct br_host **ret_host, struct br_error *error) {
    struct br_host *host = br_calloc(1, sizeof *host);
    host->options = *options;
    host->options.connect.cancel = &host->stop;
    pthread_mutex_init(&host->lock, NULL);
    pthread_cond_init(&host->changed, NULL);
    host->runner = (struct br_runner_options){.connect = &host->options.connect,
                                              .control = options->control,
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

void br_host_stop(struct br_host **host_ptr) {
    struct br_host *host = *host_ptr;
    if (host == NULL)
        return;
    br_flag_set(&host->stop);
    if (host->running)
        pthread_join(host->thread, NULL);
    end_successor(&host->successor);
    br_buffer_free(&host->needs);
    pthread_cond_destroy(&host->changed);
    pthread_mutex_destroy(&host->lock);
    free(host);
    *host_ptr = NULL;
}
