// SPDX-License-Identifier: Apache-2.0
// The log over the control plane (br_control_log): requests to JetStream's API and messages with acknowledgement,
// handed to the thread of the connection as any question is (N4 of cnats_internal.h). Streams and buckets are made and
// changed by raw JSON (jetstream_streams.c), since the library's own calls drop what they don't know; a compare-and-set
// is a message with an expected sequence, told by the code of the server's answer. What the answers mean:
// jetstream_append.c.
//
// A connection that is lost with an append under way leaves its outcome unknown (L3): nobody tells how far it came.
#include "processor/log/control/cnats_internal.h"
#include "processor/log/nats/jetstream_api.h"
#include "processor/log/stepper.h"

#include <stdio.h>
#include <stdlib.h>

#define PUBLISH_WINDOW 4096          // unacknowledged publishes
#define PUBLISH_UNSENT_MAX (8 << 20) // queued bytes before a publish waits
#define PAYLOAD_MAX_DEFAULT (1 << 20)

static const char fence_header[] = "Nats-Expected-Last-Subject-Sequence";

struct cnats_log {
    struct br_log base;
    struct cnats *cnats;
    struct br_control *owned; // closed with this; NULL: none
    const struct br_flag *cancel;
    bool woken; // under the lock
    struct br_buffer reply;
    struct {
        struct control_call call;
        char stream[256], subject[JS_API_SUBJECT_SIZE];
        enum br_status status; // BR_OK: it was sent
        struct br_error error;
    } append;
    struct { // while call.kind is CONTROL_COUNTS it is under way
        struct control_call call;
        bool open;
        char reply[CONTROL_REPLY_SIZE], subject[400]; // of the last one
        uint64_t sent;
        int64_t deadline_us; // moves on with every acknowledgement
        uint64_t seen;
    } publish;
};

static struct cnats_log *log_of(struct br_log *log) {
    return (struct cnats_log *)(void *)log;
}

static enum br_status not_permitted(const char *subject, struct br_error *error) {
    return br_error_set_native(error, BR_FATAL, BR_LOG_NOT_PERMITTED,
                               "the NATS server doesn't permit publishing to '%s', which is needed: allow it for this "
                               "user",
                               subject);
}

static enum br_status denied(const struct cnats *cnats, const struct control_call *call, struct br_error *error) {
    if (strstr(cnats->denied, cnats->inbox) == NULL)
        return not_permitted(call->subject, error);
    return br_error_set_native(error, BR_FATAL, BR_LOG_NOT_PERMITTED,
                               "the NATS server doesn't permit subscribing to '%s.*', which is needed for answers: "
                               "allow it for this user, or give another --inbox-prefix",
                               cnats->inbox);
}

// --- requests; the lock is held

static enum br_status await_answer(struct cnats_log *log, const struct control_call *call, struct br_error *error) {
    struct cnats *cnats = log->cnats;
    int64_t deadline_us = call->asked_us + cnats->timeout_us;
    while (call->parts == NULL) {
        int64_t now_us = br_session_now();
        if (cnats->generation != call->generation)
            return br_error_set(error, BR_RETRY, "the connection was lost while waiting for a reply on %s",
                                call->subject);
        if (cnats_is_denied(cnats, call, now_us))
            return denied(cnats, call, error);
        if (cnats_cancelled(log->cancel))
            return br_error_set(error, BR_RETRY, "cancelled while waiting for a reply on %s", call->subject);
        if (now_us >= deadline_us)
            return br_error_set(error, BR_RETRY, "no reply on %s within %lld ms%s%s", call->subject,
                                (long long)(cnats->timeout_us / 1000),
                                cnats->denied[0] != '\0' ? "; the server says: " : "", cnats->denied);
        cnats_wait_until(cnats, deadline_us);
    }
    return BR_OK;
}

static enum br_status call_locked(struct cnats_log *log, const char *subject, struct br_slice payload,
                                  struct br_slice *ret_reply, int *ret_status, struct br_error *error) {
    struct cnats *cnats = log->cnats;
    struct control_call call;
    char reply[CONTROL_REPLY_SIZE];
    BR_TRY(cnats_await_up(cnats, log->cancel, error));
    cnats_begin_call(cnats, &call, CONTROL_CALLS, subject, reply);
    cnats_queue(cnats, subject, reply, payload, false);
    cnats_wake(cnats);
    enum br_status status = await_answer(log, &call, error);
    if (status == BR_OK) {
        br_buffer_clear(&log->reply);
        br_buffer_append_slice(&log->reply, call.parts->payload);
        *ret_reply = br_buffer_slice(&log->reply);
        *ret_status = call.parts->nobody ? JS_NO_RESPONDERS : 0;
    }
    cnats_end_call(cnats, &call);
    return status;
}

static enum br_status log_call(struct br_log *base, const char *subject, struct br_slice payload,
                               struct br_slice *ret_reply, int *ret_status, struct br_error *error) {
    struct cnats_log *log = log_of(base);
    pthread_mutex_lock(&log->cnats->lock);
    enum br_status status = call_locked(log, subject, payload, ret_reply, ret_status, error);
    pthread_mutex_unlock(&log->cnats->lock);
    return status;
}

// --- appends

static size_t payload_max_locked(const struct cnats *cnats) {
    return cnats->payload_max > 0 ? (size_t)cnats->payload_max : PAYLOAD_MAX_DEFAULT;
}

static enum br_status send_append(struct cnats_log *log, const struct br_log_message *message, uint64_t expected,
                                  struct br_error *error) {
    struct cnats *cnats = log->cnats;
    struct br_log_header headers[BR_LOG_HEADERS_MAX + 1];
    struct br_log_message fenced = *message;
    char reply[CONTROL_REPLY_SIZE], number[24];
    fenced.subject = br_slice_of(log->append.subject);
    BR_CHECK(message->header_count <= BR_LOG_HEADERS_MAX);
    BR_TRY(cnats_await_up(cnats, log->cancel, error));
    BR_TRY(br_js_check_sizes(message, 1, payload_max_locked(cnats), error));
    snprintf(number, sizeof number, "%llu", (unsigned long long)expected);
    headers[0] = (struct br_log_header){br_slice_of(fence_header), br_slice_of(number)};
    if (message->header_count != 0)
        memcpy(headers + 1, message->headers, message->header_count * sizeof *headers);
    fenced.headers = headers;
    fenced.header_count++;
    cnats_begin_call(cnats, &log->append.call, CONTROL_CALLS, log->append.subject, reply);
    cnats_queue_message(cnats, &fenced, reply);
    cnats_wake(cnats);
    return BR_OK;
}

static enum br_status log_append(struct br_log *base, const char *stream, const struct br_log_message *messages,
                                 size_t count, uint64_t expected_sequence, struct br_error *error) {
    struct cnats_log *log = log_of(base);
    BR_CHECK(count == 1); // batches are the data plane's
    snprintf(log->append.stream, sizeof log->append.stream, "%s", stream);
    char text[JS_API_SUBJECT_SIZE];
    struct br_slice subject = br_js_bucket_subject(base, messages->subject, text, sizeof text);
    snprintf(log->append.subject, sizeof log->append.subject, "%.*s", (int)subject.len, (const char *)subject.ptr);
    pthread_mutex_lock(&log->cnats->lock);
    enum br_status status = send_append(log, messages, expected_sequence, error);
    pthread_mutex_unlock(&log->cnats->lock);
    return status;
}

static bool log_append_ready(struct br_log *base) {
    struct cnats_log *log = log_of(base);
    const struct control_call *call = &log->append.call;
    int64_t now_us = br_session_now();
    pthread_mutex_lock(&log->cnats->lock);
    bool ready = call->parts != NULL || call->generation != log->cnats->generation ||
                 now_us - call->asked_us >= log->cnats->timeout_us || cnats_is_denied(log->cnats, call, now_us);
    pthread_mutex_unlock(&log->cnats->lock);
    return ready;
}

static enum br_status read_append(const struct cnats_log *log, const struct control_part *part,
                                  enum br_append_result *ret_result, uint64_t *ret_sequence, struct br_error *error) {
    if (part->nobody)
        return br_error_set(error, BR_RETRY, "nobody takes messages for stream %s (is it there, and has it a leader?)",
                            log->append.stream);
    BR_JS_AUTO json_t *reply = json_loadb((const char *)part->payload.ptr, part->payload.len, 0, NULL);
    int code = br_js_error_code(reply);
    const json_t *sequence = json_object_get(reply, "seq");
    if (code != 0 && code != JS_ERROR_WRONG_LAST_SEQUENCE)
        return br_js_append_refused(log->append.stream, reply, error);
    *ret_result = code != 0 ? BR_APPEND_FENCED : json_is_integer(sequence) ? BR_APPEND_DONE : BR_APPEND_UNKNOWN;
    if (*ret_result == BR_APPEND_DONE)
        *ret_sequence = (uint64_t)json_integer_value(sequence);
    if (*ret_result == BR_APPEND_UNKNOWN && error != NULL)
        (void)br_error_set(error, BR_RETRY, "stream %s: the acknowledgement can't be read", log->append.stream);
    return BR_OK;
}

static enum br_status log_append_wait(struct br_log *base, enum br_append_result *ret_result, uint64_t *ret_sequence,
                                      struct br_error *error) {
    struct cnats_log *log = log_of(base);
    struct control_call *call = &log->append.call;
    struct br_error why;
    pthread_mutex_lock(&log->cnats->lock);
    enum br_status status = await_answer(log, call, &why);
    if (status == BR_OK) {
        status = read_append(log, call->parts, ret_result, ret_sequence, error);
    } else {
        bool refused = why.native == BR_LOG_NOT_PERMITTED;
        *ret_result = BR_APPEND_UNKNOWN;
        if (error != NULL)
            *error = why;
        status = refused ? why.status : BR_OK;
    }
    cnats_end_call(log->cnats, call);
    pthread_mutex_unlock(&log->cnats->lock);
    return status;
}

// --- plain publishes; the lock is held

static uint64_t unacked(const struct cnats_log *log) {
    return log->publish.open ? log->publish.sent - log->publish.call.answered : 0;
}

static void end_publishing(struct cnats_log *log) {
    if (log->publish.open)
        cnats_end_call(log->cnats, &log->publish.call);
    log->publish.open = false;
}

static enum br_status read_refusal(const struct cnats_log *log, const struct control_part *part,
                                   struct br_error *error) {
    if (part->nobody)
        return br_log_no_stream_error(log->publish.subject, error);
    BR_JS_AUTO json_t *reply = json_loadb((const char *)part->payload.ptr, part->payload.len, 0, NULL);
    if (reply != NULL && json_object_get(reply, "error") == NULL)
        return BR_OK;
    return br_js_api_error(reply, "the stream refuses a message", error);
}

static enum br_status look_at_refusals(struct cnats_log *log, struct br_error *error) {
    struct control_part *part;
    enum br_status status = BR_OK;
    while (status == BR_OK && (part = cnats_take_part(&log->publish.call)) != NULL) {
        status = read_refusal(log, part, error);
        free(part);
    }
    return status;
}

static enum br_status look_at_publishing(struct cnats_log *log, int64_t now_us, struct br_error *error) {
    struct cnats *cnats = log->cnats;
    const struct control_call *call = &log->publish.call;
    unsigned long long left = unacked(log);
    if (log->publish.seen != call->answered) {
        log->publish.seen = call->answered;
        log->publish.deadline_us = now_us + cnats->timeout_us;
    }
    BR_TRY(look_at_refusals(log, error));
    if (left == 0)
        return BR_OK;
    if (cnats->generation != call->generation)
        return br_error_set(error, BR_FATAL,
                            "the connection was lost with %llu messages unacknowledged, the last on '%s': each of them "
                            "may or may not be stored",
                            left, log->publish.subject);
    if (cnats_is_denied(cnats, call, now_us))
        return denied(cnats, call, error);
    if (cnats_cancelled(log->cancel))
        return br_error_set(error, BR_RETRY, "cancelled while waiting for acknowledgements");
    if (now_us >= log->publish.deadline_us)
        return br_error_set(
            error, BR_FATAL,
            "no acknowledgement within %lld ms for %llu messages, the last on '%s': each of them may or "
            "may not be stored",
            (long long)(cnats->timeout_us / 1000), left, log->publish.subject);
    return BR_OK;
}

// Waits until at most `most` publishes are unacknowledged and at most `unsent` bytes unsent. An error is told once.
static enum br_status drain(struct cnats_log *log, uint64_t most, size_t unsent, struct br_error *error) {
    while (log->publish.open) {
        enum br_status status = look_at_publishing(log, br_session_now(), error);
        if (status != BR_OK || unacked(log) == 0)
            end_publishing(log);
        if (status != BR_OK || (unacked(log) <= most && log->cnats->out_bytes <= unsent))
            return status;
        cnats_wait_until(log->cnats, log->publish.deadline_us);
    }
    return BR_OK;
}

static enum br_status publish_locked(struct cnats_log *log, const struct br_log_message *message,
                                     struct br_error *error) {
    struct cnats *cnats = log->cnats;
    bool lost = unacked(log) > 0 && log->publish.call.generation != cnats->generation;
    if (lost || log->publish.call.parts != NULL || unacked(log) >= PUBLISH_WINDOW ||
        cnats->out_bytes > PUBLISH_UNSENT_MAX)
        BR_TRY(drain(log, PUBLISH_WINDOW / 2, PUBLISH_UNSENT_MAX / 2, error));
    if (!log->publish.open) {
        BR_TRY(cnats_await_up(cnats, log->cancel, error));
        cnats_begin_call(cnats, &log->publish.call, CONTROL_COUNTS, log->publish.subject, log->publish.reply);
        log->publish.open = true;
        log->publish.sent = log->publish.seen = 0;
        log->publish.deadline_us = br_session_now() + cnats->timeout_us;
    }
    BR_TRY(br_js_check_sizes(message, 1, payload_max_locked(cnats), error));
    snprintf(log->publish.subject, sizeof log->publish.subject, "%.*s", (int)message->subject.len,
             (const char *)message->subject.ptr);
    bool wake = cnats->out == NULL;
    cnats_queue_message(cnats, message, log->publish.reply);
    log->publish.sent++;
    if (wake)
        cnats_wake(cnats);
    return BR_OK;
}

static enum br_status log_publish(struct br_log *base, const struct br_log_message *message, struct br_error *error) {
    struct cnats_log *log = log_of(base);
    pthread_mutex_lock(&log->cnats->lock);
    enum br_status status = publish_locked(log, message, error);
    pthread_mutex_unlock(&log->cnats->lock);
    return status;
}

static enum br_status log_publish_flush(struct br_log *base, struct br_error *error) {
    struct cnats_log *log = log_of(base);
    pthread_mutex_lock(&log->cnats->lock);
    enum br_status status = drain(log, 0, SIZE_MAX, error);
    pthread_mutex_unlock(&log->cnats->lock);
    return status;
}

// --- the rest of log.h

static void wait_for(struct cnats_log *log, int64_t us, bool wakes) {
    struct cnats *cnats = log->cnats;
    int64_t now_us = br_session_now(), deadline_us = us > INT64_MAX - now_us ? INT64_MAX : now_us + us;
    pthread_mutex_lock(&cnats->lock);
    while (!(wakes && log->woken) && !cnats_cancelled(log->cancel) && br_session_now() < deadline_us)
        cnats_wait_until(cnats, deadline_us);
    if (wakes)
        log->woken = false;
    pthread_mutex_unlock(&cnats->lock);
}

static void log_wait(struct br_log *base, int64_t timeout_us) {
    wait_for(log_of(base), timeout_us, true);
}

static void log_pause(struct br_log *base, int64_t us) {
    wait_for(log_of(base), us, false);
}

static void log_wake(struct br_log *base) {
    struct cnats_log *log = log_of(base);
    pthread_mutex_lock(&log->cnats->lock);
    log->woken = true;
    pthread_cond_broadcast(&log->cnats->changed);
    pthread_mutex_unlock(&log->cnats->lock);
}

static void log_set_cancel(struct br_log *base, const struct br_flag *cancel) {
    log_of(base)->cancel = cancel;
}

static size_t log_payload_max(struct br_log *base) {
    struct cnats *cnats = log_of(base)->cnats;
    pthread_mutex_lock(&cnats->lock);
    size_t most = payload_max_locked(cnats);
    pthread_mutex_unlock(&cnats->lock);
    return most;
}

static void log_close(struct br_log *base) {
    struct cnats_log *log = log_of(base);
    pthread_mutex_lock(&log->cnats->lock);
    end_publishing(log);
    if (base->appending)
        cnats_end_call(log->cnats, &log->append.call);
    pthread_mutex_unlock(&log->cnats->lock);
    br_control_close(&log->owned);
    br_buffer_free(&log->reply);
    free(log);
}

struct br_log *cnats_log(struct br_control *control, const struct br_flag *cancel) {
    static const struct br_log_ops ops = {
        .find_stream = br_js_find_stream,
        .stream_info = br_js_stream_info,
        .ensure_input = br_js_ensure_input,
        .purge = br_js_purge,
        .ensure_bucket = br_js_ensure_bucket,
        .call = log_call,
        .get = br_js_get,
        .append = log_append,
        .append_ready = log_append_ready,
        .append_wait = log_append_wait,
        .publish = log_publish,
        .publish_flush = log_publish_flush,
        .reader_open = br_stepper_open,
        .wait = log_wait,
        .pause = log_pause,
        .wake = log_wake,
        .set_cancel = log_set_cancel,
        .payload_max = log_payload_max,
        .close = log_close,
    };
    struct cnats_log *log = br_calloc(1, sizeof *log);
    log->base.ops = &ops;
    log->base.api_prefix = cnats_of(control)->config.api_prefix;
    log->cnats = cnats_of(control);
    log->cancel = cancel;
    return &log->base;
}

enum br_status br_log_connect_control(const struct br_connect_options *options, struct br_log **ret_log,
                                      struct br_error *error) {
    struct br_control *control = NULL;
    BR_TRY(br_control_open(options, NULL, &control, error));
    struct br_log *log = cnats_log(control, options->cancel);
    struct cnats *cnats = cnats_of(control);
    char server[sizeof cnats->server_name];
    log_of(log)->owned = control;
    pthread_mutex_lock(&cnats->lock);
    enum br_status status = cnats_await_up(cnats, options->cancel, error);
    memcpy(server, cnats->server_name, sizeof server);
    pthread_mutex_unlock(&cnats->lock);
    if (status == BR_OK)
        status = br_js_check_jetstream(log, server, error);
    if (status == BR_OK)
        *ret_log = log;
    else
        log_close(log);
    return status;
}
