// SPDX-License-Identifier: Apache-2.0
// Fenced atomic batches (L1 to L3).
//
// A batch goes out in one run of bytes: its first message and its last with a reply subject, those between without. The
// server judges all of it when the last arrives. What the replies mean:
//
//   last: seq, count            landed                               DONE
//   10071                       a fence has another sequence         FENCED, nothing written
//   10164, 503, 10210           another write is in flight on the
//                               fence; no leader; too many batches   BR_RETRY, nothing written
//   10176                       the server has lost (part of) it     UNKNOWN
//   connection lost             before the last byte was sent        BR_RETRY: no commit can have arrived
//                               after that                           UNKNOWN
//   no reply in time                                                 UNKNOWN
//   anything else               refused for good                     BR_FATAL with the server's words
//
// A refusal of the first message settles the batch too: without it no commit can succeed. A reply to a batch that has
// been settled is dropped (its id is another one).
#define _GNU_SOURCE
#include "processor/log/nats/jetstream_internal.h"

#include <stdio.h>

#define FLUSH_SIZE (256 * 1024) // queued bytes that are handed to the socket at once

static const char fence_header[] = "Nats-Expected-Last-Subject-Sequence";

// --- settling

static void settle_result(struct js_append *append, enum br_append_result result, uint64_t sequence) {
    append->settled = true;
    append->status = BR_OK;
    append->result = result;
    append->sequence = sequence;
}

// Nobody knows. `why` is told when it stays so.
static void settle_unknown(struct js_append *append, const char *why) {
    br_error_set(&append->error, BR_RETRY, "stream %s: %s", append->stream, why);
    settle_result(append, BR_APPEND_UNKNOWN, 0);
}

enum br_status br_js_append_refused(const char *stream, const json_t *reply, struct br_error *error) {
    int code = br_js_error_code(reply);
    const json_t *refusal = json_object_get(reply, "error");
    const char *text = json_string_value(json_object_get(refusal, "description"));
    bool passing = code == JS_ERROR_WRONG_LAST_SEQUENCE_IN_FLIGHT || code == JS_ERROR_BATCH_TOO_MANY ||
                   code == JS_ERROR_ACCOUNT_FULL || code == JS_ERROR_SERVER_MEMORY_FULL ||
                   code == JS_ERROR_SERVER_STORAGE_FULL || json_integer_value(json_object_get(refusal, "code")) == 503;
    return br_error_set_native(error, passing ? BR_RETRY : BR_FATAL, code,
                               "stream %s refuses the batch: %s (JetStream error %d)%s", stream,
                               text == NULL ? "no description" : text, code,
                               code == JS_ERROR_BATCH_DISABLED ? "; set allow_atomic on the stream" : "");
}

static void settle_refusal(struct js_append *append, const json_t *reply) {
    append->settled = true;
    append->status = br_js_append_refused(append->stream, reply, &append->error);
}

void br_js_take_append_reply(struct js_log *log, bool last, uint64_t id, const struct br_session_message *message) {
    struct js_append *append = &log->append;
    if (!log->base.appending || append->settled || append->id != id)
        return;
    if (br_session_status(message->headers) == JS_NO_RESPONDERS) {
        append->settled = true;
        append->status =
            br_error_set(&append->error, BR_RETRY,
                         "nobody takes messages for stream %s (is it there, and has it a leader?)", append->stream);
        return;
    }
    if (message->payload.len == 0 && !last)
        return; // the first message has been taken
    BR_JS_AUTO json_t *reply = json_loadb((const char *)message->payload.ptr, message->payload.len, 0, NULL);
    int code = br_js_error_code(reply);
    const json_t *sequence = json_object_get(reply, "seq");
    if (code == JS_ERROR_WRONG_LAST_SEQUENCE)
        settle_result(append, BR_APPEND_FENCED, 0);
    else if (code == JS_ERROR_BATCH_INCOMPLETE)
        settle_unknown(append, "the server has lost a part of the batch");
    else if (code != 0)
        settle_refusal(append, reply);
    else if (last && json_is_integer(sequence))
        settle_result(append, BR_APPEND_DONE, (uint64_t)json_integer_value(sequence));
    else if (last)
        settle_unknown(append, "the acknowledgement of the batch can't be read");
}

void br_js_check_append(struct js_log *log, int64_t now_us) {
    struct js_append *append = &log->append;
    if (append->settled)
        return;
    if (append->drop_count != log->control.drop_count) {
        if (log->control.sent_at_drop >= append->end_total) {
            settle_unknown(append, "the connection was lost before the batch was acknowledged");
            return;
        }
        append->settled = true;
        append->status = br_error_set(&append->error, BR_RETRY, "the connection was lost before the batch was sent: %s",
                                      log->control.error.message);
    } else if (now_us >= append->deadline_us) {
        settle_unknown(append, "the batch isn't acknowledged in time");
    }
}

// A batch without one of its messages is none, but which of two tries the server speaks of isn't known: the fence
// tells.
void br_js_deny_append(struct js_log *log, struct br_slice subject) {
    struct js_append *append = &log->append;
    char why[400];
    snprintf(why, sizeof why, "the NATS server doesn't permit %s: allow it for this user", log->denial.what);
    if (!log->base.appending || append->settled)
        return;
    for (size_t i = 0; i < append->count; i++) {
        if (br_slice_equal(append->messages[i].subject, subject)) {
            settle_unknown(append, why);
            return;
        }
    }
}

// --- sending a batch

static void begin_headers(struct br_buffer *headers) {
    br_buffer_clear(headers);
    br_buffer_append_text(headers, "NATS/1.0\r\n");
}

static void write_number_header(struct br_buffer *headers, const char *name, uint64_t number) {
    br_buffer_printf(headers, "%s: %llu\r\n", name, (unsigned long long)number);
}

static void write_message_headers(struct br_buffer *headers, const struct br_log_message *message) {
    for (uint32_t i = 0; i < message->header_count; i++)
        br_session_write_header(headers, message->headers[i].name, message->headers[i].value);
    br_buffer_append(headers, "\r\n", 2);
}

// A fence stands on the first message of its subject: on no other does the server take it.
static size_t find_fenced(const struct br_log_message *messages, size_t count) {
    size_t index = 0;
    while (index + 1 < count && !br_slice_equal(messages[index].subject, messages[count - 1].subject))
        index++;
    return index;
}

// The headers of message index (0-based) of count, in log->headers. fenced: which one has the batch's fence.
static void write_batch_headers(struct js_log *log, const struct br_log_message *messages, size_t index, size_t count,
                                size_t fenced, uint64_t expected_sequence) {
    struct br_buffer *headers = &log->headers;
    begin_headers(headers);
    if (count > 1) {
        br_buffer_printf(headers, "Nats-Batch-Id: %s.%llu\r\n", log->name, (unsigned long long)log->append.id);
        write_number_header(headers, "Nats-Batch-Sequence", index + 1);
    }
    if (index == fenced)
        write_number_header(headers, fence_header, expected_sequence);
    else if (messages[index].fenced)
        write_number_header(headers, fence_header, messages[index].expected_sequence);
    if (index + 1 == count && count > 1)
        write_number_header(headers, "Nats-Batch-Commit", 1);
    write_message_headers(headers, &messages[index]);
}

// Room for the headers that we add to those of the caller: batch id, sequence and commit, and a fence.
#define OWN_HEADERS_SIZE_MAX 256

enum br_status br_js_check_sizes(const struct br_log_message *messages, size_t count, size_t payload_max,
                                 struct br_error *error) {
    for (size_t i = 0; i < count; i++) {
        size_t size = messages[i].payload.len + OWN_HEADERS_SIZE_MAX;
        for (uint32_t j = 0; j < messages[i].header_count; j++)
            size += messages[i].headers[j].name.len + messages[i].headers[j].value.len + 4;
        if (size > payload_max)
            return br_error_set(error, BR_FATAL,
                                "a message of %zu bytes (headers included) on '%.*s' is larger than the NATS server "
                                "takes (max_payload %zu); raise max_payload or make the message smaller",
                                size, (int)messages[i].subject.len, (const char *)messages[i].subject.ptr, payload_max);
    }
    return BR_OK;
}

enum br_status br_js_append(struct br_log *base, const char *stream, const struct br_log_message *messages,
                            size_t count, uint64_t expected_sequence, struct br_error *error) {
    struct js_log *log = js_log(base);
    struct br_session *control = &log->control;
    char reply[BR_INBOX_PREFIX_MAX + 64];
    int64_t now_us = br_session_now();
    BR_TRY(br_js_await_up(log, now_us + log->timeout_us, error));
    BR_TRY(br_js_check_sizes(messages, count, control->info.payload_max, error));
    struct js_append *append = &log->append;
    *append = (struct js_append){
        .id = log->next_token++, .drop_count = control->drop_count, .messages = messages, .count = count};
    snprintf(append->stream, sizeof append->stream, "%s", stream);
    size_t fenced = find_fenced(messages, count);
    for (size_t i = 0; i < count; i++) {
        bool first = i == 0, last = i + 1 == count;
        write_batch_headers(log, messages, i, count, fenced, expected_sequence);
        snprintf(reply, sizeof reply, "%s.%c%llu", log->inbox, last ? 'l' : 'f', (unsigned long long)append->id);
        br_session_publish(control, messages[i].subject, first || last ? reply : NULL, br_buffer_slice(&log->headers),
                           messages[i].payload);
        if (br_session_unsent(control) > FLUSH_SIZE)
            br_session_flush(control, br_session_now());
        if (control->drop_count != append->drop_count)
            return br_error_set(error, BR_RETRY, "the connection was lost while the batch was sent: %s",
                                control->error.message);
    }
    append->end_total = control->queued_total;
    append->deadline_us = br_session_now() + log->timeout_us;
    br_session_flush(control, br_session_now());
    return BR_OK;
}

bool br_js_append_ready(struct br_log *base) {
    struct js_log *log = js_log(base);
    if (!log->append.settled)
        br_js_pump(log, br_session_now());
    return log->append.settled;
}

enum br_status br_js_append_wait(struct br_log *base, enum br_append_result *ret_result, uint64_t *ret_sequence,
                                 struct br_error *error) {
    struct js_log *log = js_log(base);
    struct js_append *append = &log->append;
    while (!append->settled) {
        int64_t now_us = br_session_now();
        br_js_pump(log, now_us);
        br_js_check_append(log, now_us);
        if (!append->settled && br_js_cancelled(log))
            settle_unknown(append, "cancelled while waiting for the acknowledgement");
        if (!append->settled)
            br_js_poll(log, append->deadline_us);
    }
    if (append->status != BR_OK) {
        if (error != NULL)
            *error = append->error;
        return append->status;
    }
    *ret_result = append->result;
    if (append->result == BR_APPEND_UNKNOWN && error != NULL)
        *error = append->error;
    if (append->result == BR_APPEND_DONE)
        *ret_sequence = append->sequence;
    return BR_OK;
}
