// SPDX-License-Identifier: Apache-2.0
// Questions to workers: br_control_request. See cnats_internal.h.
#include "processor/log/control/cnats_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LOGINS_MAX 3               // 3.4.1 spoils one signature in 256
#define NOBODY_US INT64_C(1000000) // N9
#define NOBODY_PAUSE_US 5000
#define LOOK_US INT64_C(100000) // how long a set cancel flag may go unnoticed

// --- the thread's end

static struct control_call *find_call(struct cnats *cnats, uint64_t token) {
    for (struct control_call *call = cnats->calls; call != NULL; call = call->next)
        if (call->token == token)
            return call;
    return NULL; // the caller has given up
}

natsStatus cnats_open_inbox(struct cnats *cnats, const char *reply) {
    struct control_inbox *inbox = br_calloc(1, sizeof *inbox);
    inbox->token = strtoull(strrchr(reply, '.') + 1, NULL, 10);
    inbox->next = cnats->inboxes;
    cnats->inboxes = inbox;
    return cnats_subscribe_to(cnats, reply, &inbox->subscription);
}

// N8. Is it of the worker that is heard?
static bool is_heard(struct control_call *call, natsMsg *message) {
    const char *from = NULL;
    if (natsMsgHeader_Get(message, "Braid-From", &from) != NATS_OK)
        return true;
    if (call->from[0] == '\0')
        snprintf(call->from, sizeof call->from, "%s", from);
    return strncmp(call->from, from, sizeof call->from - 1) == 0;
}

// message NULL: nobody serves the subject.
static void take_part(struct cnats *cnats, uint64_t token, natsMsg *message) {
    size_t len = message == NULL ? 0 : (size_t)natsMsg_GetDataLength(message);
    const char *last = NULL;
    pthread_mutex_lock(&cnats->lock);
    struct control_call *call = find_call(cnats, token);
    if (call != NULL && (message == NULL || is_heard(call, message))) {
        struct control_part *part = br_alloc(sizeof *part + len);
        *part = (struct control_part){.nobody = message == NULL};
        part->last = part->nobody || natsMsgHeader_Get(message, "Braid-Last", &last) == NATS_OK;
        part->payload = (struct br_slice){part->bytes, len};
        if (len != 0)
            memcpy(part->bytes, natsMsg_GetData(message), len);
        *call->end = part;
        call->end = &part->next;
        pthread_cond_broadcast(&cnats->changed);
    }
    pthread_mutex_unlock(&cnats->lock);
}

static bool is_asked(struct cnats *cnats, uint64_t token) {
    pthread_mutex_lock(&cnats->lock);
    bool asked = find_call(cnats, token) != NULL;
    pthread_mutex_unlock(&cnats->lock);
    return asked;
}

static void drop_inbox(struct control_inbox **at) {
    struct control_inbox *inbox = *at;
    *at = inbox->next;
    natsSubscription_Destroy(inbox->subscription);
    free(inbox);
}

void cnats_drop_inboxes(struct cnats *cnats) {
    while (cnats->inboxes != NULL)
        drop_inbox(&cnats->inboxes);
}

void cnats_take_parts(struct cnats *cnats) {
    natsMsg *message = NULL;
    while (natsSubscription_NextMsg(&message, cnats->alive, 0) == NATS_OK)
        natsMsg_Destroy(message);
    for (struct control_inbox **at = &cnats->inboxes; *at != NULL;) {
        struct control_inbox *inbox = *at;
        natsStatus status;
        while ((status = natsSubscription_NextMsg(&message, inbox->subscription, 0)) == NATS_OK) {
            take_part(cnats, inbox->token, message);
            natsMsg_Destroy(message);
        }
        if (status == NATS_NO_RESPONDERS)
            take_part(cnats, inbox->token, NULL);
        if (is_asked(cnats, inbox->token))
            at = &inbox->next;
        else
            drop_inbox(at);
    }
}

// --- the caller's end; it has the lock but while `each` runs

static bool is_cancelled(const struct cnats *cnats) {
    return cnats->cancel != NULL && br_flag_is_set(cnats->cancel);
}

static void wait_until(struct cnats *cnats, int64_t deadline_us) {
    int64_t until_us = br_session_now() + LOOK_US;
    if (deadline_us < until_us)
        until_us = deadline_us;
    struct timespec until = {.tv_sec = until_us / BR_US_PER_SECOND, .tv_nsec = until_us % BR_US_PER_SECOND * 1000};
    (void)pthread_cond_timedwait(&cnats->changed, &cnats->lock, &until);
}

static enum br_status await_up(struct cnats *cnats, struct br_error *error) {
    int64_t deadline_us = br_session_now() + cnats->timeout_us;
    while (!cnats->up) {
        if (cnats->refused_count >= LOGINS_MAX) {
            *error = cnats->why;
            return error->status;
        }
        if (is_cancelled(cnats))
            return br_error_set(error, BR_RETRY, "cancelled while connecting to the NATS server");
        if (br_session_now() >= deadline_us)
            return br_error_set(error, BR_RETRY, "no connection to the NATS server: %s", cnats->why.message);
        wait_until(cnats, deadline_us);
    }
    return BR_OK;
}

static enum br_status next_part(struct cnats *cnats, struct control_call *call, const char *subject,
                                int64_t deadline_us, int64_t timeout_us, struct br_error *error) {
    while (call->parts == NULL) {
        if (cnats->generation != call->generation)
            return br_error_set(error, BR_RETRY, "the connection was lost while waiting for an answer on '%s'",
                                subject);
        if (is_cancelled(cnats))
            return br_error_set(error, BR_RETRY, "cancelled while waiting for an answer on '%s'", subject);
        if (br_session_now() >= deadline_us && cnats->denied[0] != '\0')
            return br_error_set(error, BR_FATAL, "no answer on '%s': the server says: %s", subject, cnats->denied);
        if (br_session_now() >= deadline_us)
            return br_error_set(error, BR_FATAL, "no worker answers on '%s' within %lld ms", subject,
                                (long long)(timeout_us / 1000));
        wait_until(cnats, deadline_us);
    }
    return BR_OK;
}

static enum br_status take_parts(struct cnats *cnats, struct control_call *call, const char *subject,
                                 int64_t timeout_us,
                                 enum br_status (*each)(void *context, struct br_slice part, struct br_error *error),
                                 void *context, struct br_error *error) {
    enum br_status status = BR_OK;
    for (bool last = false; status == BR_OK && !last;) {
        BR_TRY(next_part(cnats, call, subject, br_session_now() + timeout_us, timeout_us, error));
        struct control_part *part = call->parts;
        call->parts = part->next;
        if (call->parts == NULL)
            call->end = &call->parts;
        last = part->last;
        pthread_mutex_unlock(&cnats->lock);
        if (part->nobody)
            status = br_error_set_native(error, BR_FATAL, BR_CONTROL_NOBODY,
                                         "no worker answers on '%s': is one running, on this NATS server and with this "
                                         "pipeline?",
                                         subject);
        else
            status = each(context, part->payload, error);
        free(part);
        pthread_mutex_lock(&cnats->lock);
    }
    return status;
}

static void end_call(struct cnats *cnats, struct control_call *call) {
    struct control_call **at = &cnats->calls;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    while (call->parts != NULL) {
        struct control_part *part = call->parts;
        call->parts = part->next;
        free(part);
    }
}

// The caller has the lock.
static enum br_status ask_once(struct cnats *cnats, const char *subject, struct br_slice payload, int64_t timeout_us,
                               enum br_status (*each)(void *context, struct br_slice part, struct br_error *error),
                               void *context, struct br_error *error) {
    struct control_call call = {0};
    char reply[220];
    BR_TRY(await_up(cnats, error));
    if (payload.len > (size_t)cnats->payload_max)
        return br_error_set(error, BR_FATAL, "a question of %zu bytes on '%s': the NATS server takes %" PRId64,
                            payload.len, subject, cnats->payload_max);
    call.token = ++cnats->next_token;
    call.generation = cnats->generation;
    call.end = &call.parts;
    call.next = cnats->calls;
    cnats->calls = &call;
    snprintf(reply, sizeof reply, "%s.%" PRIu64, cnats->inbox, call.token);
    cnats_queue(cnats, subject, reply, payload, false);
    cnats_wake(cnats);
    enum br_status status = take_parts(cnats, &call, subject, timeout_us, each, context, error);
    end_call(cnats, &call);
    return status;
}

enum br_status cnats_request(struct br_control *control, const char *subject, struct br_slice payload,
                             int64_t timeout_us,
                             enum br_status (*each)(void *context, struct br_slice part, struct br_error *error),
                             void *context, struct br_error *error) {
    struct cnats *cnats = cnats_of(control);
    enum br_status status;
    int64_t nobody_until_us = 0;
    pthread_mutex_lock(&cnats->lock);
    for (;;) {
        status = ask_once(cnats, subject, payload, timeout_us, each, context, error);
        int64_t now_us = br_session_now();
        if (nobody_until_us == 0)
            nobody_until_us = now_us + (timeout_us < NOBODY_US ? timeout_us : NOBODY_US);
        if (status == BR_OK || error->native != BR_CONTROL_NOBODY || now_us >= nobody_until_us || is_cancelled(cnats))
            break;
        wait_until(cnats, now_us + NOBODY_PAUSE_US);
    }
    pthread_mutex_unlock(&cnats->lock);
    return status;
}
