// SPDX-License-Identifier: Apache-2.0
// See log.h. Checks what callers owe (our own invariants), then hands on to the implementation.
#include "processor/log/log_internal.h"
#include "processor/log/trail.h"

#include "base/logging.h"

#include <ctype.h>

bool br_log_message_header(const struct br_log_message *message, const char *name, struct br_slice *ret_value) {
    for (uint32_t i = 0; i < message->header_count; i++) {
        if (br_slice_is(message->headers[i].name, name)) {
            *ret_value = message->headers[i].value;
            return true;
        }
    }
    return false;
}

bool br_log_message_fenced(const struct br_log_message *message) {
    struct br_slice value;
    return message->fenced || br_log_message_header(message, "Nats-Expected-Last-Subject-Sequence", &value) ||
           br_log_message_header(message, "Nats-Batch-Id", &value);
}

// --- streams

static enum br_status check_filter(const char *subject, struct br_error *error) {
    if (br_subject_valid(br_slice_of(subject), true))
        return BR_OK;
    return br_error_set(error, BR_FATAL,
                        "\"%s\" is no subject: tokens separated by dots, none empty, no blanks, \">\" only at the end",
                        subject);
}

enum br_status br_log_find_stream(struct br_log *log, const char *named, const char *subject,
                                  struct br_stream_info *ret_info, struct br_error *error) {
    BR_TRY(check_filter(subject, error));
    return log->ops->find_stream(log, named, subject, ret_info, error);
}

enum br_status br_log_stream_info(struct br_log *log, const char *stream, struct br_stream_info *ret_info,
                                  struct br_error *error) {
    return log->ops->stream_info(log, stream, ret_info, error);
}

enum br_status br_log_ensure_output(struct br_log *log, const char *stream, const struct br_output_options *options,
                                    struct br_stream_info *ret_info, struct br_error *error) {
    BR_CHECK(log->ops->ensure_output != NULL);
    BR_CHECK(options->subject_count > 0);
    return log->ops->ensure_output(log, stream, options, ret_info, error);
}

enum br_status br_log_ensure_input(struct br_log *log, const char *stream, const char *subject,
                                   struct br_error *error) {
    BR_TRY(check_filter(subject, error));
    BR_CHECK(log->ops->ensure_input != NULL);
    return log->ops->ensure_input(log, stream, subject, error);
}

enum br_status br_log_ensure_bucket(struct br_log *log, const char *bucket, int replicas, struct br_error *error) {
    for (const char *at = bucket; *at != '\0' || at == bucket; at++)
        if (!isalnum((unsigned char)*at) && *at != '_' && *at != '-')
            return br_error_set(error, BR_FATAL, "\"%s\" is no name of a bucket: letters, digits, _ and - only",
                                bucket);
    BR_CHECK(log->ops->ensure_bucket != NULL);
    return log->ops->ensure_bucket(log, bucket, replicas, error);
}

enum br_status br_log_purge(struct br_log *log, const char *stream, const char *subject, struct br_error *error) {
    BR_TRY(check_filter(subject, error));
    BR_CHECK(log->ops->purge != NULL);
    return log->ops->purge(log, stream, subject, error);
}

enum br_status br_log_last(struct br_log *log, const char *stream, const char *subject, struct br_buffer *copy,
                           struct br_log_message *ret_message, bool *ret_found, struct br_error *error) {
    return log->ops->get(log, stream, subject, 0, copy, ret_message, ret_found, error);
}

enum br_status br_log_get(struct br_log *log, const char *stream, uint64_t sequence, struct br_buffer *copy,
                          struct br_log_message *ret_message, bool *ret_found, struct br_error *error) {
    if (sequence == 0) { // sequences begin at 1
        *ret_found = false;
        return BR_OK;
    }
    return log->ops->get(log, stream, NULL, sequence, copy, ret_message, ret_found, error);
}

enum br_status br_log_next(struct br_log *log, const char *stream, const char *subject, uint64_t from,
                           struct br_buffer *copy, struct br_log_message *ret_message, bool *ret_found,
                           struct br_error *error) {
    BR_TRY(check_filter(subject, error));
    return log->ops->get(log, stream, subject, from == 0 ? 1 : from, copy, ret_message, ret_found, error);
}

enum br_status br_log_check_position(const struct br_stream_info *info, uint64_t next, struct br_error *error) {
    unsigned long long first = info->first_sequence, last = info->last_sequence, wanted = next;
    if (next > 1 && next < info->first_sequence)
        return br_error_set_native(
            error, BR_FATAL, BR_LOG_LOST,
            "stream %s has lost messages that are still needed: sequences %llu to %llu are gone, it "
            "begins at %llu (purged, or a limit of the stream)",
            info->name, wanted, first - 1, first);
    if (next > info->last_sequence + 1)
        return br_error_set_native(
            error, BR_FATAL, BR_LOG_CHANGED,
            "stream %s has lost its newest messages: it ends at sequence %llu, but everything up to "
            "%llu has been read from it (did the server lose acknowledged messages?)",
            info->name, last, wanted - 1);
    return BR_OK;
}

enum br_status br_log_check_same(const struct br_stream_info *info, struct br_wall_time created,
                                 struct br_error *error) {
    if (info->created.us == created.us)
        return BR_OK;
    return br_error_set(error, BR_FATAL,
                        "stream %s was made anew while it was read: its messages are not those of before, so the "
                        "positions in it mean nothing any more; restore it, or remove the output stream to begin anew",
                        info->name);
}

// --- appending

// A server takes a fence only on a batch's first message of the subject.
static void check_fences(const struct br_log_message *messages, size_t count) {
    BR_CHECK(!messages[count - 1].fenced);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; messages[i].fenced && j < i; j++)
            BR_CHECK(!br_slice_equal(messages[j].subject, messages[i].subject));
}

enum br_status br_log_append(struct br_log *log, const char *stream, const struct br_log_message *messages,
                             size_t count, uint64_t expected_sequence, struct br_error *error) {
    BR_CHECK(!log->appending);
    BR_CHECK(count >= 1 && count <= BR_LOG_BATCH_MESSAGES_MAX);
    check_fences(messages, count);
    BR_TRY(log->ops->append(log, stream, messages, count, expected_sequence, error));
    log->appending = true;
    return BR_OK;
}

bool br_log_append_ready(struct br_log *log) {
    BR_CHECK(log->appending);
    return log->ops->append_ready(log);
}

enum br_status br_log_append_wait(struct br_log *log, enum br_append_result *ret_result, uint64_t *ret_sequence,
                                  struct br_error *error) {
    BR_CHECK(log->appending);
    if (error != NULL)
        (void)br_error_set(error, BR_RETRY, "the batch isn't acknowledged");
    enum br_status status = log->ops->append_wait(log, ret_result, ret_sequence, error);
    log->appending = false;
    return status;
}

enum br_status br_log_publish(struct br_log *log, const struct br_log_message *message, struct br_error *error) {
    if (!br_subject_valid(message->subject, false))
        return br_error_set(error, BR_FATAL,
                            "can't publish on \"%.*s\": a subject's tokens are not empty and have no blanks and no "
                            "wildcards",
                            (int)message->subject.len, (const char *)message->subject.ptr);
    BR_CHECK(log->ops->publish != NULL);
    return log->ops->publish(log, message, error);
}

enum br_status br_log_publish_flush(struct br_log *log, struct br_error *error) {
    BR_CHECK(log->ops->publish_flush != NULL);
    return log->ops->publish_flush(log, error);
}

// --- reading

enum br_status br_reader_open(struct br_log *log, const char *stream, const char *filter, uint64_t first_sequence,
                              uint64_t stop_sequence, struct br_reader **ret_reader, struct br_error *error) {
    BR_TRY(check_filter(filter, error));
    return log->ops->reader_open(log, stream, filter, first_sequence, stop_sequence, false, ret_reader, error);
}

enum br_status br_reader_open_replaced(struct br_log *log, const char *stream, const char *filter,
                                       uint64_t first_sequence, uint64_t stop_sequence, struct br_reader **ret_reader,
                                       struct br_error *error) {
    BR_TRY(check_filter(filter, error));
    return log->ops->reader_open(log, stream, filter, first_sequence, stop_sequence, true, ret_reader, error);
}

void br_reader_close(struct br_reader **reader) {
    if (*reader != NULL)
        (*reader)->ops->close(*reader);
    *reader = NULL;
}

void br_reader_prove(struct br_reader *reader, const struct br_trail *known) {
    reader->proves = true;
    reader->trail = *known;
    if (reader->ops->prove != NULL)
        reader->ops->prove(reader);
}

struct br_trail br_reader_trail(const struct br_reader *reader, const struct br_log_message *messages, size_t count) {
    struct br_trail trail = reader->trail;
    br_trail_take(&trail, messages, count);
    return trail;
}

static void tell_unasked(const struct br_reader_doubt *doubt, const struct br_error *why) {
    br_log_paced(&doubt->log->unasked_pace, BR_LEVEL_WARN,
                 "reading waits until it is known whether the stream is still the one that was read",
                 BR_STR("stream", doubt->stream), BR_STR("why", why->message));
}

// L6. What is shown is older than what is in doubt. When the stream can't be asked now, it stays so.
static enum br_status settle_doubt(struct br_reader *reader, const struct br_log_message **messages, size_t *count,
                                   struct br_error *error) {
    struct br_reader_doubt doubt;
    struct br_error why;
    if (!reader->proves || reader->ops->doubt == NULL || !reader->ops->doubt(reader, &doubt))
        return BR_OK;
    struct br_trail trail = br_reader_trail(reader, *messages, *count);
    enum br_status status =
        br_trail_prove(&trail, doubt.log, doubt.stream, doubt.filter, doubt.from, &reader->warned, &why);
    if (status == BR_RETRY) {
        tell_unasked(&doubt, &why);
        return BR_OK;
    }
    if (status != BR_OK && error != NULL)
        *error = why;
    BR_TRY(status);
    reader->ops->trust(reader, doubt.number);
    return reader->ops->peek(reader, messages, count, error);
}

enum br_status br_reader_peek(struct br_reader *reader, const struct br_log_message **ret_messages, size_t *ret_count,
                              struct br_error *error) {
    BR_TRY(reader->ops->peek(reader, ret_messages, ret_count, error));
    return settle_doubt(reader, ret_messages, ret_count, error);
}

void br_reader_consume(struct br_reader *reader, size_t count) {
    if (reader->proves && count != 0)
        br_trail_take(&reader->trail, &reader->window->items[reader->window->consumed], count);
    reader->ops->consume(reader, count);
}

void br_reader_release(struct br_reader *reader) {
    reader->ops->release(reader);
}

bool br_reader_caught_up(struct br_reader *reader) {
    return reader->ops->caught_up(reader);
}

uint64_t br_reader_pending(struct br_reader *reader) {
    return reader->ops->pending(reader);
}

bool br_reader_trouble(struct br_reader *reader, char *text, size_t size) {
    return reader->ops->trouble != NULL && reader->ops->trouble(reader, text, size);
}

bool br_log_trouble(struct br_log *log, char *text, size_t size) {
    return log->ops->trouble != NULL && log->ops->trouble(log, text, size);
}

uint64_t br_reader_covered(struct br_reader *reader) {
    return reader->ops->covered(reader);
}

void br_log_wait(struct br_log *log, int64_t timeout_us) {
    log->ops->wait(log, timeout_us);
}

void br_log_pause(struct br_log *log, int64_t us) {
    log->ops->pause(log, us);
}

void br_log_wake(struct br_log *log) {
    log->ops->wake(log);
}

void br_log_set_cancel(struct br_log *log, const volatile bool *cancel) {
    if (log->ops->set_cancel != NULL)
        log->ops->set_cancel(log, cancel);
}

size_t br_log_payload_max(struct br_log *log) {
    return log->ops->payload_max(log);
}

void br_log_close(struct br_log **log) {
    if (*log != NULL)
        (*log)->ops->close(*log);
    *log = NULL;
}
