// SPDX-License-Identifier: Apache-2.0
// See csv.h.
#include "cli/csv.h"

struct br_csv br_csv_begin(struct br_slice text) {
    if (text.len >= 3 && memcmp(text.ptr, "\xef\xbb\xbf", 3) == 0) { // a byte order mark
        text.ptr += 3;
        text.len -= 3;
    }
    return (struct br_csv){.rest = text, .next_line = 1};
}

void br_csv_end(struct br_csv *csv) {
    br_buffer_free(&csv->unquoted);
}

static void advance(struct br_csv *csv, size_t count) {
    csv->rest.ptr += count;
    csv->rest.len -= count;
}

static bool at(const struct br_csv *csv, char c) {
    return csv->rest.len != 0 && csv->rest.ptr[0] == (uint8_t)c;
}

// Fields of a record go into one buffer; while it may still move, text.ptr holds the offset + 1.
static enum br_status read_quoted(struct br_csv *csv, struct br_csv_field *field, struct br_error *error) {
    size_t start = csv->unquoted.len;
    advance(csv, 1);
    for (;;) {
        if (csv->rest.len == 0)
            return br_error_set(error, BR_DATA, "a quoted field has no closing quote");
        uint8_t c = csv->rest.ptr[0];
        advance(csv, 1);
        if (c == '"' && !at(csv, '"'))
            break;
        if (c == '"')
            advance(csv, 1);
        csv->next_line += c == '\n';
        br_buffer_append_byte(&csv->unquoted, c);
    }
    if (csv->rest.len != 0 && !at(csv, ',') && !at(csv, '\n') && !at(csv, '\r'))
        return br_error_set(error, BR_DATA, "there is text behind a closing quote");
    *field = (struct br_csv_field){{(const uint8_t *)(start + 1), csv->unquoted.len - start}, true};
    return BR_OK;
}

static void read_plain(struct br_csv *csv, struct br_csv_field *field) {
    size_t len = 0;
    while (len < csv->rest.len && csv->rest.ptr[len] != ',' && csv->rest.ptr[len] != '\n')
        len++;
    size_t shown = len;
    if (shown != 0 && csv->rest.ptr[shown - 1] == '\r')
        shown--;
    *field = (struct br_csv_field){{csv->rest.ptr, shown}, false};
    advance(csv, len);
}

enum br_status br_csv_next(struct br_csv *csv, struct br_error *error) {
    csv->field_count = 0;
    br_buffer_clear(&csv->unquoted);
    while (at(csv, '\n') || at(csv, '\r')) {
        csv->next_line += at(csv, '\n');
        advance(csv, 1);
    }
    csv->line = csv->next_line;
    if (csv->rest.len == 0)
        return BR_OK;
    for (;;) {
        if (csv->field_count == BR_CSV_FIELDS_MAX)
            return br_error_set(error, BR_DATA, "more than %d fields", BR_CSV_FIELDS_MAX);
        struct br_csv_field *field = &csv->fields[csv->field_count++];
        if (at(csv, '"'))
            BR_TRY(read_quoted(csv, field, error));
        else
            read_plain(csv, field);
        if (at(csv, '\r'))
            advance(csv, 1);
        if (!at(csv, ','))
            break;
        advance(csv, 1);
    }
    if (at(csv, '\n')) {
        advance(csv, 1);
        csv->next_line++;
    }
    for (uint32_t f = 0; f < csv->field_count; f++)
        if (csv->fields[f].quoted)
            csv->fields[f].text.ptr = csv->unquoted.ptr + ((size_t)csv->fields[f].text.ptr - 1);
    return BR_OK;
}
