// SPDX-License-Identifier: Apache-2.0
// What an implementation of log.h consists of: the table of functions that log.c dispatches through. For those who make
// logs: processor/log/ and its control plane.
#ifndef BR_PROCESSOR_LOG_LOG_OPS_H
#define BR_PROCESSOR_LOG_LOG_OPS_H

#include "base/logging.h"
#include "processor/log/reader.h"

// NULL: what isn't of its plane (log.h).
struct br_log_ops {
    enum br_status (*find_stream)(struct br_log *log, const char *named, const char *subject,
                                  struct br_stream_info *ret_info, struct br_error *error);
    enum br_status (*stream_info)(struct br_log *log, const char *stream, struct br_stream_info *ret_info,
                                  struct br_error *error);
    enum br_status (*ensure_output)(struct br_log *log, const char *stream, const struct br_output_options *options,
                                    struct br_stream_info *ret_info, struct br_error *error);
    enum br_status (*ensure_input)(struct br_log *log, const char *stream, const char *subject, struct br_error *error);
    enum br_status (*purge)(struct br_log *log, const char *stream, const char *subject, struct br_error *error);
    enum br_status (*ensure_bucket)(struct br_log *log, const char *bucket, int replicas, struct br_error *error);
    // A request with one reply, which is valid until the next one. *ret_status: JS_NO_RESPONDERS or 0. NULL: there is
    // no JetStream below this log.
    enum br_status (*call)(struct br_log *log, const char *subject, struct br_slice payload, struct br_slice *ret_reply,
                           int *ret_status, struct br_error *error);
    // The message by its sequence; the last one on the subject when sequence is 0; with both, the first one on the
    // subject from the sequence on.
    enum br_status (*get)(struct br_log *log, const char *stream, const char *subject, uint64_t sequence,
                          struct br_buffer *copy, struct br_log_message *ret_message, bool *ret_found,
                          struct br_error *error);

    enum br_status (*append)(struct br_log *log, const char *stream, const struct br_log_message *messages,
                             size_t count, uint64_t expected_sequence, struct br_error *error);
    bool (*append_ready)(struct br_log *log);
    enum br_status (*append_wait)(struct br_log *log, enum br_append_result *ret_result, uint64_t *ret_sequence,
                                  struct br_error *error);
    enum br_status (*publish)(struct br_log *log, const struct br_log_message *message, struct br_error *error);
    enum br_status (*publish_flush)(struct br_log *log, struct br_error *error);

    enum br_status (*reader_open)(struct br_log *log, const char *stream, const char *filter, uint64_t first_sequence,
                                  uint64_t stop_sequence, bool replaced, struct br_reader **ret_reader,
                                  struct br_error *error);
    void (*wait)(struct br_log *log, int64_t timeout_us);
    void (*pause)(struct br_log *log, int64_t us);
    void (*wake)(struct br_log *log);
    void (*set_cancel)(struct br_log *log, const volatile bool *cancel); // NULL: nothing is waited for

    bool (*trouble)(struct br_log *log, char *text, size_t size); // NULL: never any
    size_t (*payload_max)(struct br_log *log);
    void (*close)(struct br_log *log);
};

// First member of every implementation's struct.
struct br_log {
    const struct br_log_ops *ops;
    const char *api_prefix; // of JetStream's API; NULL: "$JS.API"
    bool appending;         // an append waits for its reply
    struct br_log_pace unasked_pace, again_pace;
};

// Fills error for "no stream holds subject": the words are the same on every implementation.
enum br_status br_log_no_stream_error(const char *subject, struct br_error *error);

#endif
