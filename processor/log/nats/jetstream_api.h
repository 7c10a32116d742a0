// SPDX-License-Identifier: Apache-2.0
// JetStream's JSON API, over whichever connection a log has (br_log_ops.call): the data plane's own, or the control
// plane's. Streams and single messages are the same on both.
#ifndef BR_PROCESSOR_LOG_JETSTREAM_API_H
#define BR_PROCESSOR_LOG_JETSTREAM_API_H

#include "processor/log/log_ops.h"

#include <jansson.h>

#define JS_NO_RESPONDERS 503

// JetStream's error codes that we tell apart (nats-server, server/errors.json).
enum {
    JS_ERROR_ACCOUNT_FULL = 10002,
    JS_ERROR_SERVER_MEMORY_FULL = 10028,
    JS_ERROR_NO_MESSAGE = 10037,
    JS_ERROR_NOT_ENABLED_FOR_ACCOUNT = 10039,
    JS_ERROR_SERVER_STORAGE_FULL = 10047,
    JS_ERROR_STREAM_NAME_IN_USE = 10058,
    JS_ERROR_NO_STREAM = 10059,
    JS_ERROR_SUBJECTS_OVERLAP = 10065,
    JS_ERROR_WRONG_LAST_SEQUENCE = 10071,
    JS_ERROR_NOT_ENABLED = 10076,
    JS_ERROR_WRONG_LAST_SEQUENCE_IN_FLIGHT = 10164,
    JS_ERROR_BATCH_DISABLED = 10174,
    JS_ERROR_BATCH_INCOMPLETE = 10176,
    JS_ERROR_BATCH_TOO_LARGE = 10199,
    JS_ERROR_BATCH_DUPLICATE_ID = 10201,
    JS_ERROR_BATCH_TOO_MANY = 10210,
};

static inline void br_js_json_cleanup(json_t **json) {
    json_decref(*json);
}
#define BR_JS_AUTO BR_CLEANUP(br_js_json_cleanup)

#define JS_API_SUBJECT_SIZE 640
// The subject of a request: what is asked ("STREAM.INFO.x") below the API's prefix.
void br_js_api_subject(const struct br_log *log, const char *asked, char *subject, size_t size);
// What is published to reach the subject: between domains and accounts a bucket's ("$KV.…") go below the API's prefix,
// as servers map them. `text` holds it where it is another.
struct br_slice br_js_bucket_subject(const struct br_log *log, struct br_slice subject, char *text, size_t size);
// A request to JetStream's API. *ret_reply is owned by the caller; when the API refuses, *ret_code has its error code
// and the status is BR_OK; ret_code NULL: a refusal is an error ("what: …").
enum br_status br_js_api(struct br_log *log, const char *asked, json_t *body, const char *what, json_t **ret_reply,
                         int *ret_code, struct br_error *error) BR_MUST_CHECK;
// Turns the "error" object of a reply into an error: BR_RETRY for passing ones. `what` begins the words.
enum br_status br_js_api_error(const json_t *reply, const char *what, struct br_error *error) BR_MUST_CHECK;
int br_js_error_code(const json_t *reply); // 0: no error
// Has the server JetStream, and the account? `server` is for the words.
enum br_status br_js_check_jetstream(struct br_log *log, const char *server, struct br_error *error) BR_MUST_CHECK;

// --- jetstream_streams.c
enum br_status br_js_find_stream(struct br_log *log, const char *named, const char *subject,
                                 struct br_stream_info *ret_info, struct br_error *error) BR_MUST_CHECK;
enum br_status br_js_stream_info(struct br_log *log, const char *stream, struct br_stream_info *ret_info,
                                 struct br_error *error) BR_MUST_CHECK;
enum br_status br_js_ensure_output(struct br_log *log, const char *stream, const struct br_output_options *options,
                                   struct br_stream_info *ret_info, struct br_error *error) BR_MUST_CHECK;
enum br_status br_js_ensure_input(struct br_log *log, const char *stream, const char *subject, struct br_error *error)
    BR_MUST_CHECK;
enum br_status br_js_purge(struct br_log *log, const char *stream, const char *subject, struct br_error *error)
    BR_MUST_CHECK;
enum br_status br_js_ensure_bucket(struct br_log *log, const char *bucket, int replicas, struct br_error *error)
    BR_MUST_CHECK;
enum br_status br_js_get(struct br_log *log, const char *stream, const char *subject, uint64_t sequence,
                         struct br_buffer *copy, struct br_log_message *ret_message, bool *ret_found,
                         struct br_error *error) BR_MUST_CHECK;
enum br_status br_js_check_stream_name(const char *name, struct br_error *error) BR_MUST_CHECK;
// Can a stream of this configuration come to hold messages that the filter wants? What comes from other streams may
// have any subject.
bool br_js_may_hold(const json_t *config, const char *filter);
// From the reply of STREAM.INFO, CREATE or UPDATE.
enum br_status br_js_read_stream_info(const json_t *reply, struct br_stream_info *ret_info, struct br_error *error)
    BR_MUST_CHECK;

// --- jetstream_append.c
// What the server says of a batch that it refuses: BR_RETRY when that may pass. `stream` is for the words.
enum br_status br_js_append_refused(const char *stream, const json_t *reply, struct br_error *error) BR_MUST_CHECK;
// None with its headers, ours included, is larger than the server takes?
enum br_status br_js_check_sizes(const struct br_log_message *messages, size_t count, size_t payload_max,
                                 struct br_error *error) BR_MUST_CHECK;

#endif
