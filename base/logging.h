// SPDX-License-Identifier: Apache-2.0
// Structured log lines on stderr: key=value by default, JSON lines on request.
//
//   br_log_line(BR_LEVEL_INFO, "epoch committed", BR_STR("task", name), BR_INT("epoch", epoch));
//
// One call writes one whole line (one write(2)), so that lines of different threads do not mix. Secrets never go into
// a field; whoever logs a URL strips user and password first. Thread: any. The sink (level, form) is set once at start.
#ifndef BR_BASE_LOGGING_H
#define BR_BASE_LOGGING_H

#include "base/status.h"

enum br_level { BR_LEVEL_DEBUG, BR_LEVEL_INFO, BR_LEVEL_WARN, BR_LEVEL_ERROR };

struct br_log_field {
    const char *key;  // NULL ends the list
    const char *text; // NULL: number holds the value
    int64_t number;
};
#define BR_STR(key, value) ((struct br_log_field){(key), (value), 0})
#define BR_INT(key, value) ((struct br_log_field){(key), NULL, (int64_t)(value)})

void br_log_configure(enum br_level level, bool json);
bool br_log_enabled(enum br_level level);
// level from its name (debug, info, warn, error); false when there is none such.
bool br_log_level_parse(const char *name, enum br_level *ret_level);
void br_log_write(enum br_level level, const char *message, const struct br_log_field *fields, size_t count);
#define br_log_line(level, message, ...)                                                                               \
    do {                                                                                                               \
        const struct br_log_field br_fields[] = {__VA_ARGS__};                                                         \
        br_log_write((level), (message), br_fields, sizeof br_fields / sizeof br_fields[0]);                           \
    } while (0)

// A line that input, a server or an asker can cause as often as they like: at most one a second, the next one with the
// number of those that were left out ("more"). One pace for each place that logs, zeroed at first. Thread: the owner's.
struct br_log_pace {
    int64_t next_us; // monotonic; 0: at once
    uint64_t left_out;
};
void br_log_write_paced(struct br_log_pace *pace, enum br_level level, const char *message,
                        const struct br_log_field *fields, size_t count);
#define br_log_paced(pace, level, message, ...)                                                                        \
    do {                                                                                                               \
        const struct br_log_field br_fields[] = {__VA_ARGS__};                                                         \
        br_log_write_paced((pace), (level), (message), br_fields, sizeof br_fields / sizeof br_fields[0]);             \
    } while (0)

#endif
