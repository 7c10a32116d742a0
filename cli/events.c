// SPDX-License-Identifier: Apache-2.0
// See events.h.
#include "cli/events.h"

#include "processor/codec/encode.h"
#include "processor/subject.h"

struct br_row_writer {
    const struct br_row_type *row_type;
    struct br_encoder *encoder;
    enum br_type *types;
    struct br_arena *own, *arena;
    struct br_batch *row;
};

enum br_status br_row_writer_create(const struct br_row_type *row_type, struct br_row_writer **ret_writer,
                                    struct br_error *error) {
    struct br_row_writer *writer = br_calloc(1, sizeof *writer);
    writer->row_type = row_type;
    writer->own = br_arena_create();
    writer->arena = br_arena_create();
    writer->types = br_arena_array(writer->own, enum br_type, row_type->column_count);
    const char **paths = br_arena_array(writer->own, const char *, row_type->column_count);
    for (uint32_t c = 0; c < row_type->column_count; c++) {
        writer->types[c] = row_type->columns[c].type;
        paths[c] = row_type->columns[c].path;
    }
    enum br_status status =
        br_encoder_create(row_type->message, paths, writer->types, row_type->column_count, &writer->encoder, error);
    if (status != BR_OK) {
        br_row_writer_destroy(&writer);
        return status;
    }
    *ret_writer = writer;
    return BR_OK;
}

void br_row_writer_destroy(struct br_row_writer **writer) {
    if (*writer == NULL)
        return;
    br_encoder_destroy(&(*writer)->encoder);
    br_arena_destroy(&(*writer)->own);
    br_arena_destroy(&(*writer)->arena);
    free(*writer);
    *writer = NULL;
}

struct br_batch *br_row_writer_begin(struct br_row_writer *writer) {
    br_arena_reset(writer->arena);
    writer->row = br_batch_create(writer->arena, writer->types, NULL, writer->row_type->column_count);
    writer->row->row_count = 1;
    return writer->row;
}

enum br_status br_row_writer_read_json(struct br_row_writer *writer, struct br_slice json, struct br_error *error) {
    return br_json_decode_row(writer->row_type, json, writer->row, 0, writer->arena, error);
}

enum br_status br_row_writer_read_text(struct br_row_writer *writer, uint32_t column, struct br_slice text, bool quoted,
                                       struct br_error *error) {
    struct br_value value = {.type = writer->types[column], .is_null = true};
    if (text.len != 0 || (quoted && value.type == BR_TEXT)) {
        enum br_status status = br_value_parse(value.type, text, writer->arena, &value, error);
        if (status != BR_OK)
            return br_error_context(error, "column %s", writer->row_type->columns[column].name);
    }
    br_column_set(&writer->row->columns[column], 0, &value);
    return BR_OK;
}

enum br_status br_row_writer_append(struct br_row_writer *writer, struct br_buffer *out, struct br_error *error) {
    return br_encoder_encode(writer->encoder, writer->row, 0, out, error);
}

struct br_event_time br_row_writer_time(const struct br_row_writer *writer) {
    struct br_event_time latest = {BR_EVENT_TIME_MIN};
    for (uint32_t c = 0; c < writer->row_type->column_count; c++) {
        const struct br_column *column = &writer->row->columns[c];
        if (column->type == BR_TIMESTAMPTZ && !br_column_is_null(column, 0) &&
            *(const int64_t *)column->values > latest.us)
            latest.us = *(const int64_t *)column->values;
    }
    return latest;
}

void br_row_writer_subject(const struct br_row_writer *writer, const char *subject_template, struct br_buffer *out) {
    size_t start = out->len;
    br_subject_format(subject_template, writer->row_type, writer->row, 0, out);
    for (size_t i = start; i < out->len; i++)
        if ((out->ptr[i] == '*' || out->ptr[i] == '>') && (i == start || out->ptr[i - 1] == '.'))
            out->ptr[i] = 'x';
}
