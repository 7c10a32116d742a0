// SPDX-License-Identifier: Apache-2.0
// See logging.h.
#include "base/logging.h"

#include "base/bytes.h"
#include "base/time.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define PACE_US BR_US_PER_SECOND
#define PACED_FIELDS_MAX 15

static struct {
    enum br_level level;
    bool json;
} sink = {BR_LEVEL_INFO, false};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void br_log_configure(enum br_level level, bool json) {
    sink.level = level;
    sink.json = json;
}

bool br_log_enabled(enum br_level level) {
    return level >= sink.level;
}

bool br_log_level_parse(const char *name, enum br_level *ret_level) {
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++)
        if (strcmp(name, level_names[i]) == 0) {
            *ret_level = (enum br_level)i;
            return true;
        }
    return false;
}

// Quotes as JSON does; bytes that are not UTF-8 become '?', so that every line can be parsed.
static void append_quoted(struct br_buffer *line, const char *text) {
    struct br_slice left = br_slice_of(text);
    br_buffer_append_byte(line, '"');
    while (left.len != 0) {
        uint8_t c = *left.ptr;
        if (c == '"' || c == '\\')
            br_buffer_printf(line, "\\%c", c);
        else if (c == '\n')
            br_buffer_append_text(line, "\\n");
        else if (c < 0x20)
            br_buffer_printf(line, "\\u%04x", c);
        else if (c < 0x80)
            br_buffer_append_byte(line, c);
        else {
            size_t step = 1;
            while (step < left.len && step < 4 && (left.ptr[step] & 0xc0) == 0x80)
                step++;
            if (br_utf8_valid_prefix((struct br_slice){left.ptr, step}) == step)
                br_buffer_append(line, left.ptr, step);
            else
                br_buffer_append_byte(line, '?');
            left.ptr += step;
            left.len -= step;
            continue;
        }
        left.ptr++;
        left.len--;
    }
    br_buffer_append_byte(line, '"');
}

static void append_value(struct br_buffer *line, const struct br_log_field *field) {
    if (field->text == NULL)
        br_buffer_printf(line, "%" PRId64, field->number);
    else if (sink.json || field->text[0] == '\0' || strpbrk(field->text, " \"=\\\n\t") != NULL)
        append_quoted(line, field->text);
    else
        br_buffer_append_text(line, field->text);
}

static void append_pair(struct br_buffer *line, const struct br_log_field *field) {
    if (sink.json) {
        br_buffer_append_text(line, line->len > 1 ? "," : "");
        append_quoted(line, field->key);
        br_buffer_append_byte(line, ':');
    } else {
        br_buffer_append_text(line, line->len > 0 ? " " : "");
        br_buffer_append_text(line, field->key);
        br_buffer_append_byte(line, '=');
    }
    append_value(line, field);
}

void br_log_write(enum br_level level, const char *message, const struct br_log_field *fields, size_t count) {
    if (!br_log_enabled(level))
        return;
    int64_t now_us = br_clock_system()->wall(br_clock_system()).us;
    time_t seconds = (time_t)(now_us / BR_US_PER_SECOND);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    char stamp[40];
    size_t length = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(stamp + length, sizeof stamp - length, ".%06dZ", (int)(now_us % BR_US_PER_SECOND));

    struct br_buffer line = {0};
    if (sink.json)
        br_buffer_append_byte(&line, '{');
    append_pair(&line, &BR_STR("time", stamp));
    append_pair(&line, &BR_STR("level", level_names[level]));
    append_pair(&line, &BR_STR("message", message));
    for (size_t i = 0; i < count; i++)
        if (fields[i].key != NULL)
            append_pair(&line, &fields[i]);
    br_buffer_append_text(&line, sink.json ? "}\n" : "\n");
    ssize_t written = write(STDERR_FILENO, line.ptr, line.len);
    (void)written; // nothing left to tell it to
    br_buffer_free(&line);
}

void br_log_write_paced(struct br_log_pace *pace, enum br_level level, const char *message,
                        const struct br_log_field *fields, size_t count) {
    int64_t now_us = br_clock_system()->mono(br_clock_system()).us;
    if (pace->next_us != 0 && now_us < pace->next_us) {
        pace->left_out++;
        return;
    }
    struct br_log_field all[PACED_FIELDS_MAX + 1];
    BR_CHECK(count <= PACED_FIELDS_MAX);
    memcpy(all, fields, count * sizeof *fields);
    if (pace->left_out != 0)
        all[count++] = BR_INT("more", pace->left_out);
    *pace = (struct br_log_pace){.next_us = now_us + PACE_US};
    br_log_write(level, message, all, count);
}
