// SPDX-License-Identifier: Apache-2.0
// Requests of other processes to a task (query, status), and the other end. An answer is a run of messages to the
// request's reply subject; the last has the header "Braid-Last: 1". Waiting requests are bounded: beyond the bound new
// ones are dropped, and their senders see a time-out.
#include "processor/log/jetstream_internal.h"

#include "base/logging.h"

#include <stdio.h>

#define REQUESTS_MAX 1024
#define REQUEST_BYTES_MAX (64 << 20)
#define REPLY_UNSENT_MAX (4 << 20) // queued bytes of answers before br_log_reply waits for the socket

enum br_status br_js_serve(struct br_log *base, const char *subject, struct br_error *error) {
    struct js_log *log = js_log(base);
    if (!br_subject_valid(br_slice_of(subject), true))
        return br_error_set(error, BR_FATAL, "\"%s\" is no subject that can be served", subject);
    for (size_t i = 0; i < log->service_count; i++)
        if (strcmp(log->services[i], subject) == 0)
            return BR_OK;
    log->services = br_realloc(log->services, (log->service_count + 1) * sizeof(char *));
    log->services[log->service_count++] = br_strdup(subject);
    // A connection that isn't up subscribes to all when it is.
    if (br_session_is_up(&log->control) && log->subscribed_id == log->control.connection_id) {
        br_session_subscribe(&log->control, subject, JS_SID_SERVICE + log->service_count - 1);
        br_session_flush(&log->control, br_session_now());
    }
    return BR_OK;
}

void br_js_take_request(struct js_log *log, size_t subject_index, const struct br_session_message *message) {
    if (message->reply.len == 0 || subject_index >= log->service_count)
        return; // nobody waits for an answer
    if (log->request_count == REQUESTS_MAX || log->request_bytes + message->payload.len > REQUEST_BYTES_MAX) {
        br_log_line(BR_LEVEL_WARN, "request dropped: too many are waiting",
                    BR_STR("subject", log->services[subject_index]), BR_INT("waiting", log->request_count));
        return;
    }
    struct js_request *request = br_alloc(sizeof *request + message->payload.len);
    *request = (struct js_request){
        .subject_index = subject_index,
        .reply = br_alloc(message->reply.len + 1),
        .payload = {request->bytes, message->payload.len},
    };
    memcpy(request->reply, message->reply.ptr, message->reply.len);
    request->reply[message->reply.len] = '\0';
    if (message->payload.len != 0)
        memcpy(request->bytes, message->payload.ptr, message->payload.len);
    *log->requests_end = request;
    log->requests_end = &request->next;
    log->request_count++;
    log->request_bytes += message->payload.len;
}

// The server has heard of the new subscriptions when it answers that connection, and has sent what it routed to the
// former ones when it answers this. What came by both is answered twice, and the asker takes the first.
enum br_status br_js_hand_requests(struct br_log *from_base, struct br_log *to_base, const char *stream,
                                   struct br_error *error) {
    struct js_log *from = js_log(from_base), *to = js_log(to_base);
    struct br_stream_info info;
    for (size_t i = 0; i < from->service_count; i++)
        BR_TRY(br_js_serve(to_base, from->services[i], error));
    BR_TRY(br_js_stream_info(to_base, stream, &info, error));
    BR_TRY(br_js_stream_info(from_base, stream, &info, error));
    for (size_t i = 0; i < from->service_count; i++) {
        br_session_unsubscribe(&from->control, JS_SID_SERVICE + i);
        free(from->services[i]);
    }
    from->service_count = 0;
    br_session_flush(&from->control, br_session_now());
    if (from->requests == NULL)
        return BR_OK;
    *to->requests_end = from->requests;
    to->requests_end = from->requests_end;
    to->request_count += from->request_count;
    to->request_bytes += from->request_bytes;
    from->requests = NULL;
    from->requests_end = &from->requests;
    from->request_count = from->request_bytes = 0;
    return BR_OK;
}

bool br_js_next_request(struct br_log *base, struct br_request *ret_request, size_t *ret_subject_index) {
    struct js_log *log = js_log(base);
    if (log->requests == NULL)
        br_js_pump(log, br_session_now());
    struct js_request *request = log->requests;
    if (request == NULL)
        return false;
    log->requests = request->next;
    if (log->requests == NULL)
        log->requests_end = &log->requests;
    log->request_count--;
    log->request_bytes -= request->payload.len;
    *ret_request = (struct br_request){.payload = request->payload, .raw = request};
    *ret_subject_index = request->subject_index;
    return true;
}

enum br_status br_js_reply(struct br_log *base, struct br_request *waiting, struct br_slice payload, bool last,
                           struct br_error *error) {
    static const char last_headers[] = "NATS/1.0\r\nBraid-Last: 1\r\n\r\n";
    struct js_log *log = js_log(base);
    struct js_request *request = waiting->raw;
    BR_CHECK(request != NULL);
    enum br_status status = BR_OK;
    if (payload.len + sizeof last_headers > log->control.info.payload_max)
        status = br_error_set(error, BR_FATAL, "a part of an answer has %zu bytes; the NATS server takes %zu",
                              payload.len, log->control.info.payload_max);
    if (status == BR_OK)
        status = br_js_await_up(log, br_session_now() + log->timeout_us, error);
    if (status == BR_OK) {
        br_session_publish(&log->control, br_slice_of(request->reply), NULL,
                           last ? br_slice_of(last_headers) : (struct br_slice){NULL, 0}, payload);
        br_session_flush(&log->control, br_session_now());
    }
    int64_t deadline_us = br_session_now() + log->timeout_us;
    while (status == BR_OK && br_session_unsent(&log->control) > REPLY_UNSENT_MAX) {
        if (br_session_now() >= deadline_us)
            status = br_error_set(error, BR_RETRY, "the NATS server doesn't take the answer");
        br_js_poll(log, deadline_us);
        br_js_pump(log, br_session_now());
    }
    if (last || status != BR_OK) {
        free(request->reply);
        free(request);
        waiting->raw = NULL;
    }
    return status;
}

// --- the other end

void br_js_take_part(struct js_log *log, uint64_t token, const struct br_session_message *message) {
    struct js_answer *answer = &log->answer;
    struct br_slice last;
    if (!answer->waiting || answer->done || answer->token != token)
        return; // the caller has given up
    answer->deadline_us = br_session_now() + answer->timeout_us;
    if (br_session_status(message->headers) == JS_NO_RESPONDERS)
        answer->status = br_error_set(answer->error, BR_FATAL,
                                      "no worker answers on '%s': is one running, on this NATS server and with this "
                                      "pipeline?",
                                      answer->subject);
    else
        answer->status = answer->each(answer->context, message->payload, answer->error);
    answer->done = answer->status != BR_OK || br_session_find_header(message->headers, "Braid-Last", &last);
}

// Parts are handed out while they are received: `each` must not call the log.
enum br_status br_js_request(struct br_log *base, const char *subject, struct br_slice payload, int64_t timeout_us,
                             enum br_status (*each)(void *context, struct br_slice part, struct br_error *error),
                             void *context, struct br_error *error) {
    struct js_log *log = js_log(base);
    struct js_answer *answer = &log->answer;
    char reply[80];
    BR_CHECK(!answer->waiting);
    BR_TRY(br_js_await_up(log, br_session_now() + log->timeout_us, error));
    *answer = (struct js_answer){
        .waiting = true,
        .token = log->next_token++,
        .subject = subject,
        .timeout_us = timeout_us,
        .deadline_us = br_session_now() + timeout_us,
        .each = each,
        .context = context,
        .error = error,
    };
    uint64_t drop_count = log->control.drop_count;
    snprintf(reply, sizeof reply, "%s.q%llu", log->inbox, (unsigned long long)answer->token);
    br_session_publish(&log->control, br_slice_of(subject), reply, (struct br_slice){NULL, 0}, payload);
    br_session_flush(&log->control, br_session_now());
    while (!answer->done) {
        int64_t now_us = br_session_now();
        br_js_pump(log, now_us);
        if (answer->done)
            break;
        answer->done = true;
        if (log->control.drop_count != drop_count)
            answer->status = br_error_set(error, BR_RETRY,
                                          "the connection was lost while waiting for an answer on "
                                          "'%s'",
                                          subject);
        else if (br_js_cancelled(log))
            answer->status = br_error_set(error, BR_RETRY, "cancelled while waiting for an answer on '%s'", subject);
        else if (now_us >= answer->deadline_us)
            answer->status = br_error_set(error, BR_FATAL, "no worker answers on '%s' within %lld ms", subject,
                                          (long long)(timeout_us / 1000));
        else
            answer->done = false;
        if (!answer->done)
            br_js_poll(log, answer->deadline_us);
    }
    answer->waiting = false;
    return answer->status;
}
