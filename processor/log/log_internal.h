// SPDX-License-Identifier: Apache-2.0
// What the implementations of log.h share: the table of functions that log.c dispatches through, and subject
// matching. Included in processor/log/ only.
#ifndef BR_PROCESSOR_LOG_LOG_INTERNAL_H
#define BR_PROCESSOR_LOG_LOG_INTERNAL_H

#include "base/logging.h"
#include "processor/log/reader.h"

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

// Does the subject match the filter ("*" one token, ">" one or more at the end)? Both well-formed.
bool br_subject_matches(struct br_slice filter, struct br_slice subject);
// Is there any subject that both filters match?
bool br_subject_overlaps(struct br_slice a, struct br_slice b);
// Does `outer` match every subject that `inner` matches?
bool br_subject_covers(struct br_slice outer, struct br_slice inner);
// Tokens not empty, no white space, ">" only last; wildcards only when allowed.
bool br_subject_valid(struct br_slice subject, bool wildcards);

// Copies a message into `copy` (headers first, then the bytes they point to); *ret points there.
void br_log_message_copy(const struct br_log_message *message, struct br_buffer *copy, struct br_log_message *ret);

// Fills error for "no stream holds subject": the words are the same on every implementation.
enum br_status br_log_no_stream_error(const char *subject, struct br_error *error);
// A reader that goes on at `next` needs the stream to hold it: BR_FATAL names the missing sequences when the stream
// begins after it (unless next is 0 or 1: the beginning, whatever is there) or ends more than one before it.
enum br_status br_log_check_position(const struct br_stream_info *info, uint64_t next, struct br_error *error);
// BR_FATAL when the stream was made anew since `created`.
enum br_status br_log_check_same(const struct br_stream_info *info, struct br_wall_time created,
                                 struct br_error *error);

#endif
