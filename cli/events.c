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
    struct br_json strict;
    BR_TRY(br_json_parse_strictly(json, writer->arena, &strict, error));
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

// --- events

struct br_event_writer {
    const struct br_pipeline *pipeline;
    struct br_row_writer **rows; // by table, then by version
    uint32_t row_writer_count;
    struct br_arena *arena;
    struct br_buffer payload, subject;
    struct br_log_header headers[2];
};

struct br_event_writer *br_event_writer_create(const struct br_pipeline *pipeline) {
    struct br_event_writer *writer = br_calloc(1, sizeof *writer);
    writer->pipeline = pipeline;
    for (uint32_t t = 0; t < pipeline->table_count; t++)
        writer->row_writer_count += pipeline->tables[t].version_count;
    writer->rows = br_calloc(writer->row_writer_count + 1, sizeof(struct br_row_writer *));
    writer->arena = br_arena_create();
    return writer;
}

void br_event_writer_destroy(struct br_event_writer **writer) {
    if (*writer == NULL)
        return;
    for (uint32_t i = 0; i < (*writer)->row_writer_count; i++)
        br_row_writer_destroy(&(*writer)->rows[i]);
    free((*writer)->rows);
    br_arena_destroy(&(*writer)->arena);
    br_buffer_free(&(*writer)->payload);
    br_buffer_free(&(*writer)->subject);
    free(*writer);
    *writer = NULL;
}

enum br_status br_event_writer_rows(struct br_event_writer *writer, const struct br_table *table, uint32_t version,
                                    struct br_row_writer **ret_rows, struct br_error *error) {
    uint32_t slot = version;
    for (uint32_t t = 0; t < table->index; t++)
        slot += writer->pipeline->tables[t].version_count;
    if (writer->rows[slot] == NULL)
        BR_TRY(br_row_writer_create(table->versions[version].row_type, &writer->rows[slot], error));
    *ret_rows = writer->rows[slot];
    return BR_OK;
}

int32_t br_find_version(const struct br_table *table, struct br_slice type) {
    for (uint32_t v = 0; v < table->version_count; v++) {
        const struct br_version *version = &table->versions[v];
        if (type.len == 0 || br_slice_is(type, version->message_name) || br_slice_is(type, version->row_type->name) ||
            br_slice_is(type, version->row_type->message_name))
            return (int32_t)v;
    }
    return -1;
}

// A subject for an event whose row doesn't tell the values of the template's columns.
static void any_subject(const struct br_table *table, struct br_buffer *subject) {
    br_subject_filter(table->subject, subject);
    for (size_t i = 0; i < subject->len; i++)
        if (subject->ptr[i] == '*' || subject->ptr[i] == '>')
            subject->ptr[i] = 'x';
}

static void fill_message(struct br_event_writer *writer, const struct br_table *table, struct br_slice type,
                         bool has_type, bool deletes, struct br_event_message *event) {
    uint32_t count = 0;
    if (has_type)
        writer->headers[count++] = (struct br_log_header){br_slice_of("ce-type"), type};
    if (deletes)
        writer->headers[count++] = (struct br_log_header){br_slice_of("Braid-Op"), br_slice_of("delete")};
    event->table = table;
    event->deletes = deletes;
    event->message = (struct br_log_message){.subject = br_buffer_slice(&writer->subject),
                                             .payload = br_buffer_slice(&writer->payload),
                                             .headers = writer->headers,
                                             .header_count = count};
}

static enum br_status write_row(struct br_event_writer *writer, const struct br_table *table, uint32_t version,
                                bool deletes, struct br_event_message *ret_event, struct br_error *error) {
    struct br_row_writer *rows;
    BR_TRY(br_event_writer_rows(writer, table, version, &rows, error));
    br_buffer_clear(&writer->payload);
    br_buffer_clear(&writer->subject);
    BR_TRY(br_row_writer_append(rows, &writer->payload, error));
    if (version == 0)
        br_row_writer_subject(rows, table->subject, &writer->subject);
    else
        any_subject(table, &writer->subject);
    ret_event->time = br_row_writer_time(rows);
    struct br_slice type = {0};
    if (version != 0)
        type = br_slice_of(table->versions[version].message_name);
    fill_message(writer, table, type, version != 0, deletes, ret_event);
    return BR_OK;
}

// A key that stands in the subject is never NULL: nothing that is published there says it.
static enum br_status check_keys(const struct br_row_writer *rows, const struct br_table *table,
                                 struct br_error *error) {
    for (uint32_t k = 0; k < table->primary_key_count; k++) {
        uint32_t c = table->primary_key[k];
        const char *name = table->row_type.columns[c].name;
        if (br_subject_has_column(table->subject, name) && br_column_is_null(&rows->row->columns[c], 0))
            return br_error_set(
                error, BR_DATA,
                "column \"%s\" is of the PRIMARY KEY of \"%s\" and stands in its subject '%s': it can't "
                "be NULL",
                name, table->name, table->subject);
    }
    return BR_OK;
}

enum br_status br_event_writer_row(struct br_event_writer *writer, const struct br_table *table, uint32_t version,
                                   bool deletes, struct br_event_message *ret_event, struct br_error *error) {
    struct br_row_writer *rows;
    BR_TRY(br_event_writer_rows(writer, table, version, &rows, error));
    if (version == 0)
        BR_TRY(check_keys(rows, table, error));
    return write_row(writer, table, version, deletes, ret_event, error);
}

static enum br_status raw_event(struct br_event_writer *writer, const struct br_table *table,
                                const struct br_event_line *line, bool deletes, struct br_event_message *ret_event,
                                struct br_error *error) {
    struct br_slice bytes = line->row.text; // a row of a type that nobody knows: its bytes don't matter
    if (line->has_payload)
        BR_TRY(br_base64_decode(br_json_string(&line->payload, writer->arena), writer->arena, &bytes, error));
    br_buffer_clear(&writer->payload);
    br_buffer_clear(&writer->subject);
    br_buffer_append_slice(&writer->payload, bytes);
    any_subject(table, &writer->subject);
    ret_event->time.us = BR_EVENT_TIME_MIN;
    fill_message(writer, table, br_arena_copy(writer->arena, line->type), line->has_type || line->type.len != 0,
                 deletes, ret_event);
    return BR_OK;
}

static const struct br_table *find_table(const struct br_pipeline *pipeline, struct br_slice name) {
    for (uint32_t t = 0; t < pipeline->table_count; t++)
        if (br_slice_is(name, pipeline->tables[t].name))
            return &pipeline->tables[t];
    return NULL;
}

static enum br_status write_line(struct br_event_writer *writer, const struct br_event_line *line,
                                 struct br_event_message *ret_event, struct br_error *error) {
    br_arena_reset(writer->arena);
    const struct br_table *table = find_table(writer->pipeline, line->table);
    if (table == NULL)
        return br_error_set(error, BR_DATA, "pipeline %s has no table \"%.*s\"", writer->pipeline->name,
                            (int)line->table.len, (const char *)line->table.ptr);
    if (line->has_row == line->has_payload)
        return br_error_set(error, BR_DATA, "an event has a \"row\" or a \"payload\"");
    if (line->has_payload && line->payload.kind != BR_JSON_STRING)
        return br_error_set(error, BR_DATA, "\"payload\" is base64 in a string");
    bool deletes = br_slice_is(line->op, "delete");
    if (!deletes && line->op.len != 0)
        return br_error_set(error, BR_DATA, "\"op\" is \"delete\", or left out");
    int32_t version = br_find_version(table, line->type);
    if (line->framed && !line->has_payload)
        return br_error_set(error, BR_DATA, "\"framed\" goes with a \"payload\"");
    if (line->has_payload || version < 0)
        return raw_event(writer, table, line, deletes, ret_event, error);
    struct br_row_writer *rows;
    BR_TRY(br_event_writer_rows(writer, table, (uint32_t)version, &rows, error));
    br_row_writer_begin(rows);
    BR_TRY(br_row_writer_read_json(rows, line->row.text, error));
    if (version == 0 && line->subject.len == 0)
        BR_TRY(check_keys(rows, table, error));
    return write_row(writer, table, (uint32_t)version, deletes, ret_event, error);
}

enum br_status br_event_writer_line(struct br_event_writer *writer, const struct br_event_line *line,
                                    struct br_event_message *ret_event, struct br_error *error) {
    BR_TRY(write_line(writer, line, ret_event, error));
    ret_event->framed = line->framed;
    if (line->subject.len == 0)
        return BR_OK;
    br_buffer_clear(&writer->subject);
    br_buffer_append_slice(&writer->subject, line->subject);
    ret_event->message.subject = br_buffer_slice(&writer->subject);
    return BR_OK;
}
