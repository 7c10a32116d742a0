// SPDX-License-Identifier: Apache-2.0
// See moment.h.
#include "replay/moment.h"
#include "processor/expr/datetime.h"

static bool parse_number(const char *text, uint64_t *ret_number) {
    uint64_t number = 0;
    size_t len = strlen(text);
    if (len == 0 || len > 18)
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        number = number * 10 + (uint64_t)(*text - '0');
    }
    *ret_number = number;
    return number != 0;
}

static bool parse_ago(const char *text, struct br_wall_time now, struct br_wall_time *ret_time) {
    struct br_interval interval, back;
    struct br_slice span = br_slice_of(text);
    if (span.len > 4 && memcmp(span.ptr + span.len - 4, " ago", 4) == 0)
        span.len -= 4;
    static const struct br_interval none;
    return br_interval_parse(span, &interval) && br_interval_compare(interval, none) >= 0 &&
           br_interval_scale(interval, -1, &back) && br_timestamptz_add(now.us, back, &ret_time->us);
}

enum br_status br_moment_parse(const char *text, struct br_wall_time now, struct br_moment *ret_moment,
                               struct br_error *error) {
    struct br_moment moment = {.kind = BR_MOMENT_TIME};
    bool good = true;
    if (strcmp(text, "beginning") == 0)
        moment.kind = BR_MOMENT_BEGINNING;
    else if (strcmp(text, "oldest") == 0)
        moment.kind = BR_MOMENT_OLDEST;
    else if (strcmp(text, "now") == 0)
        moment.kind = BR_MOMENT_NOW;
    else if (strncmp(text, "epoch:", 6) == 0) {
        moment.kind = BR_MOMENT_EPOCH;
        good = parse_number(text + 6, &moment.number);
    } else if (strncmp(text, "seq:", 4) == 0) {
        moment.kind = BR_MOMENT_SEQUENCE;
        good = parse_number(text + 4, &moment.number);
    } else if (text[0] != '\0' && strspn(text, "0123456789") == strlen(text)) {
        moment.kind = BR_MOMENT_SEQUENCE;
        good = parse_number(text, &moment.number);
    } else
        good = br_timestamptz_parse(br_slice_of(text), &moment.time.us) || parse_ago(text, now, &moment.time);
    if (!good)
        return br_error_set(
            error, BR_DATA,
            "'%s' is no place in history; say beginning, oldest, now, a time (2026-11-25T10:00:00Z), how long "
            "ago ('2 hours'), epoch:N, or a stream's sequence (seq:N)",
            text);
    *ret_moment = moment;
    return BR_OK;
}

enum br_status br_moment_sequence(struct br_log *log, const struct br_stream_info *stream, const char *filter,
                                  struct br_wall_time time, uint64_t *ret_sequence, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    // All messages before `low` are earlier; from `high` on there is none that is.
    uint64_t low = stream->first_sequence, high = stream->last_sequence + 1;
    uint64_t first = high; // the sequence of the first message from `high` on
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        struct br_log_message message;
        bool found;
        br_buffer_clear(&copy);
        BR_TRY(br_log_next(log, stream->name, filter, middle, &copy, &message, &found, error));
        bool beyond = !found || message.sequence > stream->last_sequence;
        if (!beyond && message.timestamp.us < time.us) {
            low = message.sequence + 1;
        } else {
            high = middle;
            first = beyond ? stream->last_sequence + 1 : message.sequence;
        }
    }
    *ret_sequence = first;
    return BR_OK;
}
