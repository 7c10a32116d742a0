// SPDX-License-Identifier: Apache-2.0
// The archiver in a thread of its own, with its own log connection. See archiver.h.
//
// Shared with other threads: `stop`, and the status text, which the thread replaces under the mutex after each round.
#include "replay/archiver_internal.h"

#include "base/logging.h"

#include <pthread.h>
#include <time.h>

#define WAIT_US (BR_US_PER_SECOND / 5)
#define STATUS_EVERY_US BR_US_PER_SECOND

struct br_archiver_thread {
    struct br_archiver_options options;
    pthread_t thread;
    volatile bool stop;
    pthread_mutex_t mutex;
    struct br_buffer status; // guarded by mutex
};

static struct br_log *connect_patiently(struct br_archiver_thread *thread) {
    struct br_log *log = NULL;
    struct br_error error;
    enum br_status status = BR_RETRY;
    while (!thread->stop &&
           (status = thread->options.connect(thread->options.connect_context, &log, &error)) == BR_RETRY)
        nanosleep(&(struct timespec){.tv_nsec = WAIT_US * 1000}, NULL);
    if (status == BR_OK)
        return log;
    if (status != BR_RETRY)
        br_log_line(BR_LEVEL_ERROR, "nothing is archived", BR_STR("why", error.message));
    return NULL;
}

static void note_status(struct br_archiver_thread *thread, const struct br_archiver *archiver) {
    pthread_mutex_lock(&thread->mutex);
    br_buffer_clear(&thread->status);
    archiver_status(archiver, &thread->status);
    pthread_mutex_unlock(&thread->mutex);
}

static void *run(void *context) {
    struct br_archiver_thread *thread = context;
    const struct br_clock *clock = br_clock_system();
    struct br_log *log = connect_patiently(thread);
    if (log == NULL)
        return NULL;
    struct br_archiver *archiver = br_archiver_create(&thread->options, log);
    int64_t noted_us = 0;
    while (!thread->stop) {
        bool worked = br_archiver_step(archiver);
        if (!worked || clock->mono(clock).us - noted_us > STATUS_EVERY_US) {
            note_status(thread, archiver);
            noted_us = clock->mono(clock).us;
        }
        if (!worked)
            br_log_wait(log, WAIT_US);
    }
    br_archiver_finish(archiver);
    br_archiver_destroy(&archiver);
    br_log_close(&log);
    return NULL;
}

enum br_status br_archiver_start(const struct br_archiver_options *options, struct br_archiver_thread **ret_thread,
                                 struct br_error *error) {
    struct br_archiver_thread *thread = br_calloc(1, sizeof *thread);
    thread->options = *options;
    BR_CHECK(pthread_mutex_init(&thread->mutex, NULL) == 0);
    int failed = pthread_create(&thread->thread, NULL, run, thread);
    if (failed != 0) {
        pthread_mutex_destroy(&thread->mutex);
        free(thread);
        return br_error_set_native(error, BR_FATAL, failed, "can't start the archiver's thread: %s", strerror(failed));
    }
    *ret_thread = thread;
    return BR_OK;
}

void br_archiver_stop(struct br_archiver_thread **thread) {
    if (*thread == NULL)
        return;
    (*thread)->stop = true;
    BR_CHECK(pthread_join((*thread)->thread, NULL) == 0);
    pthread_mutex_destroy(&(*thread)->mutex);
    br_buffer_free(&(*thread)->status);
    free(*thread);
    *thread = NULL;
}

void br_archiver_add_status(void *context, struct br_buffer *out) {
    struct br_archiver_thread *thread = context;
    pthread_mutex_lock(&thread->mutex);
    br_buffer_append_slice(out, br_buffer_slice(&thread->status));
    pthread_mutex_unlock(&thread->mutex);
}
