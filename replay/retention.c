// SPDX-License-Identifier: Apache-2.0
// See retention.h.
#include "replay/retention.h"

#include <inttypes.h>
#include <stdio.h>

#define AGE_PART 2       // of max_age: older than a half is warned of
#define NEARLY_FULL 0.9  // of max_bytes or max_messages
#define OLDEST_PART 0.25 // of the stream

static const char *hours(int64_t us, char text[32]) {
    double seconds = (double)us / 1e6;
    if (seconds < 120)
        snprintf(text, 32, "%.0f seconds", seconds);
    else if (seconds < 7200)
        snprintf(text, 32, "%.0f minutes", seconds / 60);
    else
        snprintf(text, 32, "%.1f hours", seconds / 3600);
    return text;
}

static enum br_status check_age(struct br_log *log, const struct br_stream_info *info, uint64_t needed, const char *who,
                                struct br_wall_time now, struct br_buffer *warning, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_log_message message;
    bool found = false;
    char age[32], limit[32];
    BR_TRY(br_log_get(log, info->name, needed, &copy, &message, &found, error));
    if (!found || now.us - message.timestamp.us <= info->max_age_us / AGE_PART)
        return BR_OK;
    br_buffer_printf(
        warning,
        "%s needs stream %s from sequence %" PRIu64 " on, which is %s old; the stream drops messages after "
        "%s (max_age)",
        who, info->name, needed, hours(now.us - message.timestamp.us, age), hours(info->max_age_us, limit));
    return BR_OK;
}

static bool nearly_full(const struct br_stream_info *info) {
    return (info->max_bytes != 0 && (double)info->bytes > NEARLY_FULL * (double)info->max_bytes) ||
           (info->max_messages != 0 && (double)info->message_count > NEARLY_FULL * (double)info->max_messages);
}

enum br_status br_retention_check(struct br_log *log, const char *stream, uint64_t needed, const char *who,
                                  struct br_wall_time now, struct br_buffer *warning, struct br_error *error) {
    struct br_stream_info info;
    size_t before = warning->len;
    BR_TRY(br_log_stream_info(log, stream, &info, error));
    if (needed > info.last_sequence)
        return BR_OK;
    if (needed < info.first_sequence) {
        br_buffer_printf(warning,
                         "%s needs stream %s from sequence %" PRIu64 " on, but the stream has dropped what is before "
                         "%" PRIu64,
                         who, info.name, needed, info.first_sequence);
        return BR_OK;
    }
    if (info.max_age_us != 0)
        BR_TRY(check_age(log, &info, needed, who, now, warning, error));
    double passed = (double)(needed - info.first_sequence),
           all = (double)(info.last_sequence - info.first_sequence + 1);
    if (warning->len == before && nearly_full(&info) && passed < OLDEST_PART * all)
        br_buffer_printf(warning,
                         "%s needs stream %s from sequence %" PRIu64 " on, which is among its oldest messages, and the "
                         "stream is nearly full (max_bytes, max_msgs)",
                         who, info.name, needed);
    return BR_OK;
}
