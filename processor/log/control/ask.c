// SPDX-License-Identifier: Apache-2.0
// Questions and what comes of them: to workers (br_control_request), to the server (log.c). See cnats_internal.h.
#define _GNU_SOURCE // memmem
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
// A server that refuses the same again says so in the same words: they are of this call when nothing else comes.
#define DENIED_AGAIN_US (1 * BR_US_PER_SECOND)

// --- the thread's end

static struct control_call *find_call(struct cnats *cnats, uint64_t token) {
    for (struct control_call *call = cnats->calls; call != NULL; call = call->next)
        if (call->token == token)
            return call;
    return NULL; // the caller has given up
}

natsStatus cnats_open_inbox(struct cnats *cnats, const char *reply) {
    uint64_t token = strtoull(strrchr(reply, '.') + 1, NULL, 10);
    for (const struct control_inbox *there = cnats->inboxes; there != NULL; there = there->next)
        if (there->token == token)
            return NATS_OK;
    struct control_inbox *inbox = br_calloc(1, sizeof *inbox);
    inbox->token = token;
    inbox->next = cnats->inboxes;
    cnats->inboxes = inbox;
    return cnats_subscribe_to(cnats, reply, &inbox->subscription);
}

// Is the subject what the server's words are about?
static bool names(const char *denied, const char *subject) {
    size_t len = strlen(subject);
    const char *at = strstr(denied, subject);
    return at != NULL && at != denied && at[-1] == '"' && at[len] == '"';
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

static void keep_part(struct control_call *call, natsMsg *message) {
    size_t len = message == NULL ? 0 : (size_t)natsMsg_GetDataLength(message);
    const char *last = NULL;
    struct control_part *part = br_alloc(sizeof *part + len);
    *part = (struct control_part){.nobody = message == NULL};
    part->last =
        part->nobody || call->kind != CONTROL_ASKS || natsMsgHeader_Get(message, "Braid-Last", &last) == NATS_OK;
    part->payload = (struct br_slice){part->bytes, len};
    if (len != 0)
        memcpy(part->bytes, natsMsg_GetData(message), len);
    *call->end = part;
    call->end = &part->next;
}

// A stream may be called "error": only the member says that it is one, and whoever parses the part knows.
static bool may_refuse(natsMsg *message) {
    return memmem(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message), "\"error\"", 7) != NULL;
}

static void answered(struct cnats *cnats, struct control_call *call, uint64_t count) {
    call->answered += count;
    cnats->parts_came = true;
    if (call->kind != CONTROL_ASKS && names(cnats->denied, call->subject))
        cnats->permitted = true;
}

// message NULL: nobody serves the subject.
static void take_part(struct cnats *cnats, uint64_t token, natsMsg *message) {
    pthread_mutex_lock(&cnats->lock);
    struct control_call *call = find_call(cnats, token);
    bool heard = call != NULL && (call->kind != CONTROL_ASKS || message == NULL || is_heard(call, message));
    if (heard) {
        answered(cnats, call, 1);
        keep_part(call, message);
    }
    pthread_mutex_unlock(&cnats->lock);
}

static void count_acknowledged(struct cnats *cnats, uint64_t token, uint64_t count) {
    pthread_mutex_lock(&cnats->lock);
    struct control_call *call = find_call(cnats, token);
    if (call != NULL)
        answered(cnats, call, count);
    pthread_mutex_unlock(&cnats->lock);
}

static void tell_callers(struct cnats *cnats) {
    if (!cnats->parts_came)
        return;
    cnats->parts_came = false;
    pthread_mutex_lock(&cnats->lock);
    pthread_cond_broadcast(&cnats->changed);
    pthread_mutex_unlock(&cnats->lock);
}

static bool is_asked(struct cnats *cnats, uint64_t token, bool *ret_counts) {
    pthread_mutex_lock(&cnats->lock);
    const struct control_call *call = find_call(cnats, token);
    *ret_counts = call != NULL && call->kind == CONTROL_COUNTS;
    pthread_mutex_unlock(&cnats->lock);
    return call != NULL;
}

// What has come to one inbox.
static void take_from(struct cnats *cnats, const struct control_inbox *inbox, bool counts) {
    natsMsg *message = NULL;
    natsStatus status;
    uint64_t acknowledged = 0;
    while ((status = natsSubscription_NextMsg(&message, inbox->subscription, 0)) == NATS_OK ||
           status == NATS_NO_RESPONDERS) {
        if (counts && status == NATS_OK && !may_refuse(message))
            acknowledged++;
        else
            take_part(cnats, inbox->token, status == NATS_OK ? message : NULL);
        natsMsg_Destroy(status == NATS_OK ? message : NULL);
    }
    if (acknowledged != 0)
        count_acknowledged(cnats, inbox->token, acknowledged);
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
        bool counts;
        if (is_asked(cnats, inbox->token, &counts)) {
            take_from(cnats, inbox, counts);
            at = &inbox->next;
        } else {
            drop_inbox(at);
        }
    }
    tell_callers(cnats);
}

// --- the caller's end; it has the lock but while `each` runs

bool cnats_cancelled(const volatile bool *cancel) {
    return cancel != NULL && br_flag_is_set(cancel);
}

void cnats_wait_until(struct cnats *cnats, int64_t deadline_us) {
    int64_t until_us = br_session_now() + LOOK_US;
    if (deadline_us < until_us)
        until_us = deadline_us;
    struct timespec until = {.tv_sec = until_us / BR_US_PER_SECOND, .tv_nsec = until_us % BR_US_PER_SECOND * 1000};
    (void)pthread_cond_timedwait(&cnats->changed, &cnats->lock, &until);
}

enum br_status cnats_await_up(struct cnats *cnats, const volatile bool *cancel, struct br_error *error) {
    int64_t deadline_us = br_session_now() + cnats->timeout_us;
    while (!cnats->up) {
        if (cnats->refused_count >= LOGINS_MAX) {
            if (error != NULL)
                *error = cnats->why;
            return cnats->why.status;
        }
        if (cnats_cancelled(cancel))
            return br_error_set(error, BR_RETRY, "cancelled while connecting to the NATS server");
        if (br_session_now() >= deadline_us)
            return br_error_set(error, BR_RETRY, "no connection to the NATS server: %s", cnats->why.message);
        cnats_wait_until(cnats, deadline_us);
    }
    return BR_OK;
}

bool cnats_is_denied(const struct cnats *cnats, const struct control_call *call, int64_t now_us) {
    bool of_call = names(cnats->denied, call->subject) || strstr(cnats->denied, cnats->inbox) != NULL;
    return of_call && !cnats->permitted &&
           (cnats->denied_us >= call->asked_us || now_us - call->asked_us >= DENIED_AGAIN_US);
}

void cnats_begin_call(struct cnats *cnats, struct control_call *call, enum control_kind kind, const char *subject,
                      char ret_reply[CONTROL_REPLY_SIZE]) {
    *call = (struct control_call){.next = cnats->calls,
                                  .kind = kind,
                                  .token = ++cnats->next_token,
                                  .generation = cnats->generation,
                                  .subject = subject,
                                  .asked_us = br_session_now()};
    call->end = &call->parts;
    cnats->calls = call;
    snprintf(ret_reply, CONTROL_REPLY_SIZE, "%s.%" PRIu64, cnats->inbox, call->token);
}

struct control_part *cnats_take_part(struct control_call *call) {
    struct control_part *part = call->parts;
    if (part != NULL)
        call->parts = part->next;
    if (call->parts == NULL)
        call->end = &call->parts;
    return part;
}

void cnats_end_call(struct cnats *cnats, struct control_call *call) {
    struct control_call **at = &cnats->calls;
    struct control_part *part;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    while ((part = cnats_take_part(call)) != NULL)
        free(part);
}

static enum br_status next_part(struct cnats *cnats, struct control_call *call, const char *subject,
                                int64_t deadline_us, int64_t timeout_us, struct br_error *error) {
    while (call->parts == NULL) {
        if (cnats->generation != call->generation)
            return br_error_set(error, BR_RETRY, "the connection was lost while waiting for an answer on '%s'",
                                subject);
        if (cnats_cancelled(cnats->cancel))
            return br_error_set(error, BR_RETRY, "cancelled while waiting for an answer on '%s'", subject);
        if (br_session_now() >= deadline_us && cnats->denied[0] != '\0')
            return br_error_set(error, BR_FATAL, "no answer on '%s': the server says: %s", subject, cnats->denied);
        if (br_session_now() >= deadline_us)
            return br_error_set(error, BR_FATAL, "no worker answers on '%s' within %lld ms", subject,
                                (long long)(timeout_us / 1000));
        cnats_wait_until(cnats, deadline_us);
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
        struct control_part *part = cnats_take_part(call);
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

// The caller has the lock.
static enum br_status ask_once(struct cnats *cnats, const char *subject, struct br_slice payload, int64_t timeout_us,
                               enum br_status (*each)(void *context, struct br_slice part, struct br_error *error),
                               void *context, struct br_error *error) {
    struct control_call call;
    char reply[CONTROL_REPLY_SIZE];
    BR_TRY(cnats_await_up(cnats, cnats->cancel, error));
    if (payload.len > (size_t)cnats->payload_max)
        return br_error_set(error, BR_FATAL, "a question of %zu bytes on '%s': the NATS server takes %" PRId64,
                            payload.len, subject, cnats->payload_max);
    cnats_begin_call(cnats, &call, CONTROL_ASKS, subject, reply);
    cnats_queue(cnats, subject, reply, payload, false);
    cnats_wake(cnats);
    enum br_status status = take_parts(cnats, &call, subject, timeout_us, each, context, error);
    cnats_end_call(cnats, &call);
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
        if (status == BR_OK || error->native != BR_CONTROL_NOBODY || now_us >= nobody_until_us ||
            cnats_cancelled(cnats->cancel))
            break;
        cnats_wait_until(cnats, now_us + NOBODY_PAUSE_US);
    }
    pthread_mutex_unlock(&cnats->lock);
    return status;
}
