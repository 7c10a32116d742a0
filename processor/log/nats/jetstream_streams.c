// SPDX-License-Identifier: Apache-2.0
// Streams by JetStream's JSON API, and single messages read through the stream's leader (L4). Configurations are
// changed as JSON objects, so that settings which we don't know survive an update.
#define _GNU_SOURCE // strptime, timegm, memmem
#include "processor/log/nats/jetstream_internal.h"

#include <stdio.h>
#include <time.h>

#define SUBJECT_SIZE 512
#define NAMES_SHOWN_MAX 5
#define LIST_PAGES_MAX 64

// A stream's name is one token of an API subject.
enum br_status br_js_check_stream_name(const char *name, struct br_error *error) {
    if (name[0] == '\0' || strlen(name) >= sizeof((struct br_stream_info *)NULL)->name ||
        strpbrk(name, ".*>/\\ \t\r\n") != NULL)
        return br_error_set(error, BR_FATAL,
                            "\"%s\" is no stream name: at most 255 characters, no blanks and none of . * > / \\", name);
    return BR_OK;
}

// RFC 3339 as the server writes it: UTC ("Z") or with an offset, up to nine digits of a second.
static bool parse_time(const char *text, struct br_wall_time *ret_time) {
    struct tm tm = {0};
    int offset_hours = 0, offset_minutes = 0;
    const char *rest = text == NULL ? NULL : strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest == NULL)
        return false;
    int64_t us = 0;
    if (*rest == '.') {
        int64_t unit = 100000;
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
            us += (*rest - '0') * unit;
    }
    if (*rest != 'Z') {
        if (sscanf(rest, "%3d:%2d", &offset_hours, &offset_minutes) != 2)
            return false;
        offset_minutes = *rest == '-' ? -offset_minutes : offset_minutes;
    }
    int64_t seconds = (int64_t)timegm(&tm) - offset_hours * 3600 - offset_minutes * 60;
    *ret_time = (struct br_wall_time){seconds * BR_US_PER_SECOND + us};
    return true;
}

static uint64_t get_number(const json_t *object, const char *key) {
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

enum br_status br_js_read_stream_info(const json_t *reply, struct br_stream_info *ret_info, struct br_error *error) {
    const json_t *config = json_object_get(reply, "config"), *state = json_object_get(reply, "state");
    const char *name = json_string_value(json_object_get(config, "name"));
    struct br_stream_info info = {
        .first_sequence = get_number(state, "first_seq"),
        .last_sequence = get_number(state, "last_seq"),
        .message_count = get_number(state, "messages"),
        .bytes = get_number(state, "bytes"),
        .replicas = (int)get_number(config, "num_replicas"),
        .allow_atomic = json_is_true(json_object_get(config, "allow_atomic")),
        .max_age_us = json_integer_value(json_object_get(config, "max_age")) / 1000,
    };
    const char *retention = json_string_value(json_object_get(config, "retention"));
    json_int_t per_subject = json_integer_value(json_object_get(config, "max_msgs_per_subject"));
    info.max_per_subject = per_subject > 0 ? (uint64_t)per_subject : 0;
    info.retention = retention != NULL && strcmp(retention, "interest") == 0    ? BR_RETENTION_INTEREST
                     : retention != NULL && strcmp(retention, "workqueue") == 0 ? BR_RETENTION_WORK_QUEUE
                                                                                : BR_RETENTION_LIMITS;
    // What is full and discards the new ones drops nothing. The server writes "none" as −1.
    const char *discard = json_string_value(json_object_get(config, "discard"));
    json_int_t max_bytes = json_integer_value(json_object_get(config, "max_bytes"));
    json_int_t max_messages = json_integer_value(json_object_get(config, "max_msgs"));
    if (discard == NULL || strcmp(discard, "new") != 0) {
        info.max_bytes = max_bytes > 0 ? (uint64_t)max_bytes : 0;
        info.max_messages = max_messages > 0 ? (uint64_t)max_messages : 0;
    }
    const char *created = json_string_value(json_object_get(reply, "created"));
    if (name == NULL || state == NULL || !parse_time(created, &info.created))
        return br_error_set(error, BR_FATAL,
                            "the NATS server's description of a stream lacks name, state or creation "
                            "time");
    snprintf(info.name, sizeof info.name, "%s", name);
    // An empty stream that never held anything is told as first 0, last 0; one that was purged as first = last + 1.
    if (info.message_count == 0 && info.first_sequence <= info.last_sequence)
        info.first_sequence = info.last_sequence + 1;
    *ret_info = info;
    return BR_OK;
}

// "eu.{{wildcard(1)}}.$2" as the filter of what it makes: "eu.*.*".
static void pattern_of(const char *dest, char *pattern, size_t size) {
    size_t len = 0;
    while (*dest != '\0' && len + 2 < size) {
        size_t token = strcspn(dest, ".");
        bool maps = memchr(dest, '{', token) != NULL || memchr(dest, '$', token) != NULL;
        // {{split(…)}} and the like make several tokens.
        if (maps && memmem(dest, token, "plit", 4) != NULL) {
            pattern[len++] = '>';
            break;
        }
        int written = snprintf(pattern + len, size - len, "%.*s", maps ? 1 : (int)token, maps ? "*" : dest);
        len += (size_t)written < size - len ? (size_t)written : size - len - 1;
        dest += token;
        if (*dest == '.')
            pattern[len++] = *dest++;
    }
    pattern[len] = '\0';
}

static bool overlaps(const char *subject, const char *filter) {
    return subject != NULL && br_subject_overlaps(br_slice_of(subject), br_slice_of(filter));
}

// What a transform makes of subjects that it applies to.
static bool transform_gives(const json_t *transform, const char *filter) {
    char pattern[512];
    const char *dest = json_string_value(json_object_get(transform, "dest"));
    if (dest == NULL || dest[0] == '\0')
        return overlaps(json_string_value(json_object_get(transform, "src")), filter);
    pattern_of(dest, pattern, sizeof pattern);
    return overlaps(pattern, filter);
}

static bool origin_gives(const json_t *origin, const char *filter) {
    const json_t *transforms = json_object_get(origin, "subject_transforms");
    const char *subject = json_string_value(json_object_get(origin, "filter_subject"));
    for (size_t i = 0; i < json_array_size(transforms); i++)
        if (transform_gives(json_array_get(transforms, i), filter))
            return true;
    return json_array_size(transforms) == 0 && (subject == NULL || subject[0] == '\0' || overlaps(subject, filter));
}

bool br_js_may_hold(const json_t *config, const char *filter) {
    const json_t *subjects = json_object_get(config, "subjects"),
                 *transform = json_object_get(config, "subject_transform");
    const json_t *mirror = json_object_get(config, "mirror"), *sources = json_object_get(config, "sources");
    const char *src = json_string_value(json_object_get(transform, "src"));
    if (json_is_object(mirror))
        return origin_gives(mirror, filter);
    if (json_is_object(transform) && transform_gives(transform, filter))
        return true;
    for (size_t i = 0; i < json_array_size(sources); i++)
        if (origin_gives(json_array_get(sources, i), filter))
            return true;
    for (size_t i = 0; i < json_array_size(subjects); i++) {
        const char *subject = json_string_value(json_array_get(subjects, i));
        bool mapped = json_is_object(transform) &&
                      (src == NULL || src[0] == '\0' ||
                       (subject != NULL && br_subject_covers(br_slice_of(src), br_slice_of(subject))));
        if (!mapped && overlaps(subject, filter))
            return true;
    }
    return false;
}

// The whole reply of STREAM.INFO; *ret_reply NULL when there is no such stream.
static enum br_status fetch_info(struct br_log *log, const char *stream, json_t **ret_reply, struct br_error *error) {
    char subject[SUBJECT_SIZE], what[SUBJECT_SIZE];
    int code;
    BR_TRY(br_js_check_stream_name(stream, error));
    snprintf(subject, sizeof subject, "STREAM.INFO.%s", stream);
    snprintf(what, sizeof what, "can't look at stream %s", stream);
    json_t *reply;
    BR_TRY(br_js_api(log, subject, NULL, what, &reply, &code, error));
    if (code != 0 && code != JS_ERROR_NO_STREAM) {
        enum br_status status = br_js_api_error(reply, what, error);
        json_decref(reply);
        return status;
    }
    if (code != 0) {
        json_decref(reply);
        reply = NULL;
    }
    *ret_reply = reply;
    return BR_OK;
}

enum br_status br_js_stream_info(struct br_log *log, const char *stream, struct br_stream_info *ret_info,
                                 struct br_error *error) {
    BR_JS_AUTO json_t *reply = NULL;
    BR_TRY(fetch_info(log, stream, &reply, error));
    if (reply == NULL)
        return br_error_set_native(error, BR_FATAL, JS_ERROR_NO_STREAM, "there is no stream %s", stream);
    return br_js_read_stream_info(reply, ret_info, error);
}

// The names of the streams whose subjects have something in common with this one: an array, owned by the caller.
static enum br_status fetch_names(struct br_log *log, const char *subject, json_t **ret_names, struct br_error *error) {
    BR_JS_AUTO json_t *body = json_pack("{s:s, s:i}", "subject", subject, "offset", 0);
    BR_JS_AUTO json_t *reply = NULL;
    if (body == NULL)
        return br_error_set(error, BR_FATAL, "the subject '%s' is not valid UTF-8", subject);
    BR_TRY(br_js_api(log, "STREAM.NAMES", body, "can't list the streams", &reply, NULL, error));
    json_t *names = json_object_get(reply, "streams");
    *ret_names = json_is_array(names) ? json_incref(names) : json_array();
    return BR_OK;
}

// Adds the streams that may hold the subject and do hold a message on it, without listening to it.
static enum br_status find_holders(struct br_log *log, const char *subject, json_t *names, struct br_error *error) {
    size_t offset = 0, total = 1;
    for (int page = 0; offset < total && page < LIST_PAGES_MAX; page++) {
        BR_JS_AUTO json_t *body = json_pack("{s:I}", "offset", (json_int_t)offset);
        BR_JS_AUTO json_t *reply = NULL;
        BR_TRY(br_js_api(log, "STREAM.LIST", body, "can't list the streams", &reply, NULL, error));
        const json_t *streams = json_object_get(reply, "streams");
        total = (size_t)get_number(reply, "total");
        offset += json_array_size(streams);
        if (json_array_size(streams) == 0)
            break;
        for (size_t i = 0; i < json_array_size(streams); i++) {
            struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
            struct br_log_message message;
            bool found = false;
            const json_t *config = json_object_get(json_array_get(streams, i), "config");
            const char *name = json_string_value(json_object_get(config, "name"));
            if (name == NULL || !br_js_may_hold(config, subject))
                continue;
            BR_TRY(br_js_get(log, name, subject, 1, &copy, &message, &found, error));
            if (found)
                json_array_append_new(names, json_string(name));
        }
    }
    return BR_OK;
}

// A stream that can't come to hold the subject would be read in vain, and nothing would tell.
static enum br_status info_of_holder(struct br_log *log, const char *stream, const char *subject,
                                     struct br_stream_info *ret_info, struct br_error *error) {
    BR_JS_AUTO json_t *reply = NULL;
    BR_TRY(fetch_info(log, stream, &reply, error));
    if (reply == NULL)
        return br_error_set_native(error, BR_FATAL, JS_ERROR_NO_STREAM, "there is no stream %s", stream);
    const json_t *config = json_object_get(reply, "config");
    const char *dest = json_string_value(json_object_get(json_object_get(config, "subject_transform"), "dest"));
    if (!br_js_may_hold(config, subject) && dest != NULL && dest[0] != '\0')
        return br_error_set(
            error, BR_FATAL,
            "stream %s stores what it takes under another subject ('%s'), so that nothing is to be read "
            "on '%s': give the table the subject that messages are stored under",
            stream, dest, subject);
    if (!br_js_may_hold(config, subject))
        return br_error_set(
            error, BR_FATAL,
            "stream %s can hold no message on '%s', so that nothing is to be read there: add the subject "
            "to the stream, or name the one that has it",
            stream, subject);
    return br_js_read_stream_info(reply, ret_info, error);
}

enum br_status br_js_find_stream(struct br_log *log, const char *named, const char *subject,
                                 struct br_stream_info *ret_info, struct br_error *error) {
    if (named != NULL)
        return info_of_holder(log, named, subject, ret_info, error);
    BR_JS_AUTO json_t *names = NULL;
    BR_TRY(fetch_names(log, subject, &names, error));
    // The server compares with what a stream listens to. What it has from other streams, or under other subjects, shows
    // by what it holds.
    if (json_array_size(names) == 0)
        BR_TRY(find_holders(log, subject, names, error));
    size_t count = json_array_size(names);
    if (count == 0)
        return br_log_no_stream_error(subject, error);
    if (count == 1)
        return info_of_holder(log, json_string_value(json_array_get(names, 0)), subject, ret_info, error);
    char text[512] = "";
    size_t len = 0;
    for (size_t i = 0; i < count && i < NAMES_SHOWN_MAX && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", i == 0 ? "" : ", ",
                                json_string_value(json_array_get(names, i)));
    return br_error_set(error, BR_FATAL,
                        "several streams hold the subject '%s': %s%s; name a narrower one, or the stream (the "
                        "table's option stream = '…')",
                        subject, text, count > NAMES_SHOWN_MAX ? ", …" : "");
}

// --- making and widening

// Adds the subjects that no other one of the array covers; true when there was one.
static bool add_subjects(json_t *subjects, const char *const *wanted, size_t count) {
    bool changed = false;
    for (size_t i = 0; i < count; i++) {
        bool covered = false;
        for (size_t j = 0; j < json_array_size(subjects) && !covered; j++) {
            const char *have = json_string_value(json_array_get(subjects, j));
            covered = have != NULL && br_subject_covers(br_slice_of(have), br_slice_of(wanted[i]));
        }
        if (!covered) {
            // A wider one takes the place of those it covers: a stream's subjects must not overlap.
            for (size_t j = json_array_size(subjects); j-- > 0;) {
                const char *have = json_string_value(json_array_get(subjects, j));
                if (have != NULL && br_subject_covers(br_slice_of(wanted[i]), br_slice_of(have)))
                    json_array_remove(subjects, j);
            }
            json_array_append_new(subjects, json_string(wanted[i]));
            changed = true;
        }
    }
    return changed;
}

static bool set_true(json_t *config, const char *key) {
    bool changed = !json_is_true(json_object_get(config, key));
    json_object_set_new(config, key, json_true());
    return changed;
}

static enum br_status send_config(struct br_log *log, const char *verb, const char *stream, json_t *config,
                                  json_t **ret_reply, struct br_error *error) {
    char subject[SUBJECT_SIZE], what[SUBJECT_SIZE];
    snprintf(subject, sizeof subject, "STREAM.%s.%s", verb, stream);
    snprintf(what, sizeof what, "can't %s stream %s", strcmp(verb, "CREATE") == 0 ? "make" : "change", stream);
    return br_js_api(log, subject, config, what, ret_reply, NULL, error);
}

static enum br_status create_stream(struct br_log *log, const char *stream, const char *const *subjects, size_t count,
                                    bool output, int replicas, bool memory, json_t **ret_reply,
                                    struct br_error *error) {
    BR_JS_AUTO json_t *config =
        json_pack("{s:s, s:[], s:s, s:s, s:s, s:i}", "name", stream, "subjects", "retention", "limits", "discard",
                  "old", "storage", memory ? "memory" : "file", "num_replicas", replicas == 0 ? 1 : replicas);
    if (config == NULL)
        return br_error_set(error, BR_FATAL, "the stream name \"%s\" is not valid UTF-8", stream);
    add_subjects(json_object_get(config, "subjects"), subjects, count);
    set_true(config, "allow_direct");
    if (output) {
        set_true(config, "allow_atomic");
        set_true(config, "allow_msg_ttl");
    }
    return send_config(log, "CREATE", stream, config, ret_reply, error);
}

// Brings the stream that is there up to what is wanted; nothing is taken away from it.
static enum br_status widen_stream(struct br_log *log, const char *stream, const char *const *subjects, size_t count,
                                   bool output, json_t **reply, struct br_error *error) {
    json_t *config = json_object_get(*reply, "config");
    json_t *have = json_object_get(config, "subjects");
    if (!json_is_array(have)) {
        if (json_object_get(config, "mirror") != NULL)
            return br_error_set(error, BR_FATAL, "stream %s is a mirror: nothing can be written to it", stream);
        have = json_array();
        json_object_set_new(config, "subjects", have);
    }
    bool changed = add_subjects(have, subjects, count);
    if (output) {
        changed = set_true(config, "allow_atomic") || changed;
        changed = set_true(config, "allow_msg_ttl") || changed;
    }
    if (!changed)
        return BR_OK;
    json_t *updated;
    BR_TRY(send_config(log, "UPDATE", stream, config, &updated, error));
    json_decref(*reply);
    *reply = updated;
    return BR_OK;
}

static enum br_status ensure(struct br_log *log, const char *stream, const char *const *subjects, size_t count,
                             bool output, int replicas, bool memory, struct br_stream_info *ret_info,
                             struct br_error *error) {
    BR_JS_AUTO json_t *reply = NULL;
    BR_TRY(fetch_info(log, stream, &reply, error));
    if (reply == NULL)
        BR_TRY(create_stream(log, stream, subjects, count, output, replicas, memory, &reply, error));
    else
        BR_TRY(widen_stream(log, stream, subjects, count, output, &reply, error));
    return br_js_read_stream_info(reply, ret_info, error);
}

enum br_status br_js_ensure_output(struct br_log *log, const char *stream, const struct br_output_options *options,
                                   struct br_stream_info *ret_info, struct br_error *error) {
    struct br_stream_info info;
    BR_TRY(ensure(log, stream, options->subjects, options->subject_count, true, options->replicas, options->memory,
                  &info, error));
    if (!info.allow_atomic)
        return br_error_set(error, BR_FATAL,
                            "stream %s doesn't allow atomic batches and the server didn't change that; set "
                            "allow_atomic on it",
                            stream);
    *ret_info = info;
    return BR_OK;
}

enum br_status br_js_ensure_input(struct br_log *log, const char *stream, const char *subject, struct br_error *error) {
    BR_JS_AUTO json_t *names = NULL;
    struct br_stream_info info;
    BR_TRY(fetch_names(log, subject, &names, error));
    if (json_array_size(names) > 1)
        return br_js_find_stream(log, NULL, subject, &info, error);
    const char *holder = json_string_value(json_array_get(names, 0));
    if (holder != NULL && strcmp(holder, stream) != 0)
        return BR_OK; // somebody else's stream is left as it is
    return ensure(log, stream, &subject, 1, false, 0, false, &info, error);
}

// A key's history is its last message; the settings are those that NATS' clients make a bucket with. One that is there
// is left as it is.
enum br_status br_js_ensure_bucket(struct br_log *log, const char *bucket, int replicas, struct br_error *error) {
    char stream[SUBJECT_SIZE], keys[SUBJECT_SIZE];
    BR_JS_AUTO json_t *reply = NULL;
    snprintf(stream, sizeof stream, "KV_%s", bucket);
    snprintf(keys, sizeof keys, "$KV.%s.>", bucket);
    BR_TRY(fetch_info(log, stream, &reply, error));
    if (reply != NULL)
        return BR_OK;
    BR_JS_AUTO json_t *config = json_pack("{s:s, s:[s], s:s, s:s, s:s, s:i, s:i}", "name", stream, "subjects", keys,
                                          "retention", "limits", "discard", "new", "storage", "file", "num_replicas",
                                          replicas == 0 ? 1 : replicas, "max_msgs_per_subject", 1);
    set_true(config, "allow_rollup_hdrs");
    set_true(config, "deny_delete");
    set_true(config, "allow_direct");
    return send_config(log, "CREATE", stream, config, &reply, error);
}

enum br_status br_js_purge(struct br_log *log, const char *stream, const char *subject, struct br_error *error) {
    char api[SUBJECT_SIZE], what[SUBJECT_SIZE];
    BR_JS_AUTO json_t *reply = NULL;
    BR_JS_AUTO json_t *body = json_pack("{s:s}", "filter", subject);
    BR_TRY(br_js_check_stream_name(stream, error));
    snprintf(api, sizeof api, "STREAM.PURGE.%s", stream);
    snprintf(what, sizeof what, "can't purge '%.200s' from stream %.200s", subject, stream);
    return br_js_api(log, api, body, what, &reply, NULL, error);
}

// --- single messages

static int base64_digit(char c) {
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

static void decode_base64(const char *text, struct br_buffer *out) {
    uint32_t bits = 0;
    int count = 0;
    for (; text != NULL && *text != '\0'; text++) {
        int digit = base64_digit(*text);
        if (digit < 0)
            continue;
        bits = bits << 6 | (uint32_t)digit;
        if (++count % 4 != 1)
            br_buffer_append_byte(out, (uint8_t)(bits >> (count % 4 == 2 ? 4 : count % 4 == 3 ? 2 : 0)));
    }
}

static enum br_status read_message(const json_t *json, struct br_buffer *copy, struct br_log_message *ret_message,
                                   struct br_error *error) {
    struct br_buffer headers = {0}, payload = {0};
    struct br_arena *arena = br_arena_create();
    const char *subject = json_string_value(json_object_get(json, "subject"));
    struct br_log_message message = {.sequence = get_number(json, "seq")};
    enum br_status status = BR_OK;
    if (subject == NULL || !parse_time(json_string_value(json_object_get(json, "time")), &message.timestamp)) {
        status = br_error_set(error, BR_FATAL, "the NATS server's reply lacks a message's subject or time");
    } else {
        decode_base64(json_string_value(json_object_get(json, "hdrs")), &headers);
        decode_base64(json_string_value(json_object_get(json, "data")), &payload);
        struct br_log_header *parsed;
        int code;
        br_session_parse_headers(br_buffer_slice(&headers), arena, &parsed, &message.header_count, &code);
        message.headers = parsed;
        message.subject = br_slice_of(subject);
        message.payload = br_buffer_slice(&payload);
        br_log_message_copy(&message, copy, ret_message);
    }
    br_arena_destroy(&arena);
    br_buffer_free(&headers);
    br_buffer_free(&payload);
    return status;
}

enum br_status br_js_get(struct br_log *log, const char *stream, const char *subject, uint64_t sequence,
                         struct br_buffer *copy, struct br_log_message *ret_message, bool *ret_found,
                         struct br_error *error) {
    char api[SUBJECT_SIZE], what[SUBJECT_SIZE];
    BR_TRY(br_js_check_stream_name(stream, error));
    BR_JS_AUTO json_t *body = json_pack("{}");
    if (sequence != 0)
        json_object_set_new(body, "seq", json_integer((json_int_t)sequence));
    if (subject != NULL &&
        json_object_set_new(body, sequence == 0 ? "last_by_subj" : "next_by_subj", json_string(subject)) != 0)
        return br_error_set(error, BR_FATAL, "the subject '%s' is not valid UTF-8", subject);
    BR_JS_AUTO json_t *reply = NULL;
    int code;
    snprintf(api, sizeof api, "STREAM.MSG.GET.%s", stream);
    snprintf(what, sizeof what, "can't read a message of stream %s", stream);
    BR_TRY(br_js_api(log, api, body, what, &reply, &code, error));
    if (code == JS_ERROR_NO_MESSAGE) {
        *ret_found = false;
        return BR_OK;
    }
    if (code == JS_ERROR_NO_STREAM)
        return br_error_set_native(error, BR_FATAL, code, "there is no stream %s", stream);
    if (code != 0)
        return br_js_api_error(reply, what, error);
    *ret_found = true;
    return read_message(json_object_get(reply, "message"), copy, ret_message, error);
}
