// SPDX-License-Identifier: Apache-2.0
// Requests to JetStream's JSON API, over whichever connection a log has (br_log_ops.call): the data plane's own, or the
// control plane's. What is refused is told by the server's error code, never by its words.
#include "processor/log/nats/jetstream_internal.h"

#include <stdio.h>

void br_js_api_subject(const struct br_log *log, const char *asked, char *subject, size_t size) {
    snprintf(subject, size, "%s.%s", log->api_prefix == NULL ? "$JS.API" : log->api_prefix, asked);
}

struct br_slice br_js_bucket_subject(const struct br_log *log, struct br_slice subject, char *text, size_t size) {
    static const char bucket[] = "$KV.";
    const size_t len = sizeof bucket - 1;
    if (log->api_prefix == NULL || subject.len < len || memcmp(subject.ptr, bucket, len) != 0)
        return subject;
    snprintf(text, size, "%s.%.*s", log->api_prefix, (int)subject.len, (const char *)subject.ptr);
    return br_slice_of(text);
}

int br_js_error_code(const json_t *reply) {
    const json_t *refusal = json_object_get(reply, "error");
    if (refusal == NULL)
        return 0;
    json_int_t code = json_integer_value(json_object_get(refusal, "err_code"));
    return code == 0 ? (int)json_integer_value(json_object_get(refusal, "code")) : (int)code;
}

enum br_status br_js_api_error(const json_t *reply, const char *what, struct br_error *error) {
    const json_t *refusal = json_object_get(reply, "error");
    const char *text = json_string_value(json_object_get(refusal, "description"));
    int code = br_js_error_code(reply);
    bool passing = json_integer_value(json_object_get(refusal, "code")) == 503;
    if (code == JS_ERROR_NOT_ENABLED || code == JS_ERROR_NOT_ENABLED_FOR_ACCOUNT)
        return br_error_set_native(error, BR_FATAL, code,
                                   "JetStream is not enabled on the NATS server or for this account: start the server "
                                   "with -js, or give the account JetStream limits");
    return br_error_set_native(error, passing ? BR_RETRY : BR_FATAL, code, "%s: %s (JetStream error %d)", what,
                               text == NULL ? "no description" : text, code);
}

enum br_status br_js_api(struct br_log *log, const char *asked, json_t *body, const char *what, json_t **ret_reply,
                         int *ret_code, struct br_error *error) {
    BR_AUTO_FREE char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    char subject[JS_API_SUBJECT_SIZE];
    struct br_slice reply;
    int status;
    br_js_api_subject(log, asked, subject, sizeof subject);
    if (body != NULL && text == NULL)
        return br_error_set(error, BR_FATAL, "%s: a name in it is not valid UTF-8", what);
    BR_TRY(log->ops->call(log, subject, text == NULL ? (struct br_slice){NULL, 0} : br_slice_of(text), &reply, &status,
                          error));
    if (status == JS_NO_RESPONDERS)
        return br_error_set(error, BR_RETRY, "%s: JetStream doesn't answer (is it enabled, and has it a leader?)",
                            what);
    json_error_t json_error;
    json_t *json = json_loadb((const char *)reply.ptr, reply.len, JSON_ALLOW_NUL, &json_error);
    if (!json_is_object(json)) {
        json_decref(json);
        return br_error_set(error, BR_FATAL, "%s: JetStream's reply is no JSON object: %s", what, json_error.text);
    }
    int code = br_js_error_code(json);
    if (code != 0 && (ret_code == NULL || code == JS_ERROR_NOT_ENABLED || code == JS_ERROR_NOT_ENABLED_FOR_ACCOUNT)) {
        enum br_status refused = br_js_api_error(json, what, error);
        json_decref(json);
        return refused;
    }
    if (ret_code != NULL)
        *ret_code = code;
    *ret_reply = json;
    return BR_OK;
}

enum br_status br_js_check_jetstream(struct br_log *log, const char *server, struct br_error *error) {
    char subject[JS_API_SUBJECT_SIZE];
    struct br_slice reply;
    int status;
    br_js_api_subject(log, "INFO", subject, sizeof subject);
    BR_TRY(log->ops->call(log, subject, (struct br_slice){NULL, 0}, &reply, &status, error));
    BR_JS_AUTO json_t *json = json_loadb((const char *)reply.ptr, reply.len, 0, NULL);
    if (status == JS_NO_RESPONDERS)
        return log->api_prefix != NULL
                   ? br_error_set(error, BR_FATAL,
                                  "no JetStream answers on %s at the NATS server %s: is it the right domain or prefix?",
                                  subject, server)
                   : br_error_set(error, BR_FATAL, "the NATS server %s has no JetStream: start it with -js", server);
    return br_js_error_code(json) == 0 ? BR_OK : br_js_api_error(json, "JetStream refuses", error);
}
