// SPDX-License-Identifier: Apache-2.0
// See capture_lines.h.
#include "cli/capture_lines.h"

#include "processor/codec/decode.h"
#include "processor/codec/encode.h"

struct version_reader {
    struct br_decoder *decoder;
    enum br_type *types;
};

struct table_reader {
    struct version_reader *versions;
    struct br_input *input; // for conditions: gates and lifts
};

struct br_capture_lines {
    const struct br_pipeline *pipeline;
    struct br_condition *const *conditions;
    struct table_reader *tables;
    struct br_capture_counts *counts;
    struct br_event_writer *writer;
    struct br_arena *own, *arena;
    struct br_events events;
    bool *wanted; // by event of the message
    uint32_t wanted_capacity;
    struct br_buffer line;
    struct br_buffer row;
};

struct br_capture_lines *br_capture_lines_create(const struct br_pipeline *pipeline,
                                                 struct br_condition *const *conditions) {
    struct br_capture_lines *lines = br_calloc(1, sizeof *lines);
    lines->pipeline = pipeline;
    lines->conditions = conditions;
    lines->own = br_arena_create();
    lines->arena = br_arena_create();
    lines->writer = br_event_writer_create(pipeline);
    lines->tables = br_arena_array(lines->own, struct table_reader, pipeline->table_count + 1);
    lines->counts = br_arena_array(lines->own, struct br_capture_counts, pipeline->table_count + 1);
    for (uint32_t t = 0; t < pipeline->table_count; t++)
        lines->tables[t].versions =
            br_arena_array(lines->own, struct version_reader, pipeline->tables[t].version_count + 1);
    return lines;
}

void br_capture_lines_destroy(struct br_capture_lines **lines_ptr) {
    struct br_capture_lines *lines = *lines_ptr;
    if (lines == NULL)
        return;
    for (uint32_t t = 0; t < lines->pipeline->table_count; t++) {
        br_input_destroy(&lines->tables[t].input);
        for (uint32_t v = 0; v < lines->pipeline->tables[t].version_count; v++)
            br_decoder_destroy(&lines->tables[t].versions[v].decoder);
    }
    br_event_writer_destroy(&lines->writer);
    br_arena_destroy(&lines->own);
    br_arena_destroy(&lines->arena);
    br_buffer_free(&lines->line);
    br_buffer_free(&lines->row);
    free(lines->events.list);
    free(lines->wanted);
    free(lines);
    *lines_ptr = NULL;
}

const struct br_capture_counts *br_capture_lines_counts(const struct br_capture_lines *lines) {
    return lines->counts;
}

// --- which events are wanted
struct choice {
    struct br_capture_lines *lines;
    const struct br_condition *condition;
    struct br_wall_time now;
};

static enum br_status choose_rows(void *context, const struct br_table *table, const struct br_batch *batch,
                                  struct br_error *error) {
    struct choice *choice = context;
    struct br_eval eval = {.arena = choice->lines->arena, .now = choice->now};
    uint32_t rows[BR_BATCH_ROWS], count;
    (void)table;
    BR_TRY(br_expr_filter(choice->condition->expr, batch, &eval, rows, &count, error));
    for (uint32_t i = 0; i < count; i++)
        choice->lines->wanted[br_batch_origin(batch, rows[i])] = true;
    return BR_OK;
}

// Of an event that no gate lets through it can't be told.
static enum br_status reject_event(void *context, const struct br_table *table, uint32_t origin, const char *reason,
                                   const char *detail, struct br_error *error) {
    (void)context, (void)table, (void)origin, (void)reason, (void)detail, (void)error;
    return BR_OK;
}

static enum br_status choose(struct br_capture_lines *lines, const struct br_table *table,
                             const struct br_log_message *message, uint32_t count, struct br_error *error) {
    if (count > lines->wanted_capacity) {
        lines->wanted_capacity = count;
        lines->wanted = br_realloc(lines->wanted, count * sizeof *lines->wanted);
    }
    const struct br_condition *condition = lines->conditions == NULL ? NULL : lines->conditions[table->index];
    for (uint32_t i = 0; i < count; i++)
        lines->wanted[i] = condition == NULL;
    if (condition == NULL || count == 0)
        return BR_OK;
    struct br_input **input = &lines->tables[table->index].input;
    if (*input == NULL)
        BR_TRY(br_input_create(table, true, input, error));
    struct choice choice = {lines, condition, message->timestamp};
    struct br_intake intake = {&choice, choose_rows, reject_event};
    struct br_event_time highest = {BR_EVENT_TIME_MIN};
    uint64_t rows = 0;
    lines->events.count = 0;
    return br_input_run(*input, message, 1, message->timestamp, &lines->events, &intake, &highest, &rows, error);
}

// --- a line
static enum br_status open_version(struct br_capture_lines *lines, const struct br_table *table, uint32_t v,
                                   struct version_reader **ret_reader, struct br_error *error) {
    struct version_reader *reader = &lines->tables[table->index].versions[v];
    const struct br_row_type *type = table->versions[v].row_type;
    *ret_reader = reader;
    if (reader->decoder != NULL)
        return BR_OK;
    reader->types = br_arena_array(lines->own, enum br_type, type->column_count + 1);
    const char **paths = br_arena_array(lines->own, const char *, type->column_count + 1);
    for (uint32_t c = 0; c < type->column_count; c++) {
        reader->types[c] = type->columns[c].type;
        paths[c] = type->columns[c].path;
    }
    return br_decoder_create(type->message, paths, reader->types, NULL, type->column_count, &reader->decoder, error);
}

// The row as JSON in lines->row. False: it can't be decoded, or what is written of it would be other bytes.
static enum br_status read_row(struct br_capture_lines *lines, const struct br_table *table, int32_t v, bool deletes,
                               struct br_slice payload, bool *ret_same, struct br_error *error) {
    struct version_reader *reader;
    struct br_error ignored;
    struct br_event_message event;
    *ret_same = false;
    if (v < 0)
        return BR_OK;
    BR_TRY(open_version(lines, table, (uint32_t)v, &reader, error));
    const struct br_row_type *type = table->versions[v].row_type;
    struct br_batch *batch = br_batch_create(lines->arena, reader->types, NULL, type->column_count);
    if (br_decoder_decode(reader->decoder, payload, batch, 0, lines->arena, &ignored) != BR_OK)
        return BR_OK;
    batch->row_count = 1;
    br_buffer_clear(&lines->row);
    br_json_encode_row(type, batch, 0, NULL, type->column_count, &lines->row);
    struct br_event_line line = {.table = br_slice_of(table->name), .has_row = true};
    if (deletes)
        line.op = br_slice_of("delete");
    if (v != 0)
        line.type = br_slice_of(table->versions[v].message_name);
    *ret_same = br_json_parse(br_buffer_slice(&lines->row), &line.row, &ignored) == BR_OK &&
                br_event_writer_line(lines->writer, &line, &event, &ignored) == BR_OK &&
                br_slice_equal(event.message.payload, payload);
    return BR_OK;
}

static void put_text(struct br_buffer *out, const char *before, struct br_slice text) {
    br_buffer_append_text(out, before);
    br_json_append_string(text, out);
}

struct captured {
    const struct br_table *table;
    const struct br_log_message *message;
    struct br_slice payload, type; // type.ptr NULL: none
    int32_t version;
    bool deletes, framed;
};

// Type names come from headers and may be anything but JSON.
static struct br_slice clean(struct br_arena *arena, struct br_slice text) {
    struct br_slice copy = br_arena_copy(arena, text);
    copy.len = br_utf8_valid_prefix(copy);
    return copy;
}

static enum br_status put_event(struct br_capture_lines *lines, const struct captured *event, struct br_buffer *out,
                                struct br_error *error) {
    struct br_capture_counts *counts = &lines->counts[event->table->index];
    bool same = false;
    bool by_subject = event->deletes && event->payload.len == 0;
    br_arena_reset(lines->arena);
    if (!by_subject && !event->framed)
        BR_TRY(read_row(lines, event->table, event->version, event->deletes, event->payload, &same, error));
    put_text(out, "{\"table\":", br_slice_of(event->table->name));
    if (same && event->version != 0)
        put_text(out, ",\"type\":", br_slice_of(event->table->versions[event->version].message_name));
    else if (!same && event->type.ptr != NULL)
        put_text(out, ",\"type\":", clean(lines->arena, event->type));
    if (event->deletes)
        br_buffer_append_text(out, ",\"op\":\"delete\"");
    if (same) {
        br_buffer_append_text(out, ",\"row\":");
        br_buffer_append_slice(out, br_buffer_slice(&lines->row));
    } else {
        br_buffer_append_text(out, ",\"payload\":\"");
        br_base64_encode(event->payload, out);
        br_buffer_append_byte(out, '"');
    }
    if (by_subject || (!same && strchr(event->table->subject, '{') != NULL)) // which may be of no key
        put_text(out, ",\"subject\":", clean(lines->arena, event->message->subject));
    if (event->framed)
        br_buffer_append_text(out, ",\"framed\":true");
    br_buffer_append_text(out, "}\n");
    *(same ? &counts->rows : &counts->bytes) += 1;
    return BR_OK;
}

// How many events the message holds; *ret_whole: it is all frames.
static uint32_t count_frames(struct br_slice payload, bool *ret_whole) {
    struct br_slice rest = payload, frame;
    enum br_status status = BR_OK;
    struct br_error ignored;
    uint32_t count = 0;
    while (br_delimited_next(&rest, &frame, &status, &ignored))
        count++;
    *ret_whole = status == BR_OK;
    return count + (status == BR_OK ? 0 : 1);
}

static enum br_status put_frames(struct br_capture_lines *lines, struct captured *event, struct br_buffer *out,
                                 struct br_error *error) {
    bool whole;
    uint32_t count = count_frames(event->payload, &whole);
    const struct br_condition *condition = lines->conditions == NULL ? NULL : lines->conditions[event->table->index];
    BR_TRY(choose(lines, event->table, event->message, count, error));
    if (!whole && condition == NULL) { // what is broken about it is in the message as a whole
        event->framed = true;
        return put_event(lines, event, out, error);
    }
    struct br_slice rest = event->payload, frame;
    enum br_status status = BR_OK;
    struct br_error ignored;
    for (uint32_t i = 0; br_delimited_next(&rest, &frame, &status, &ignored); i++) {
        event->payload = frame;
        if (lines->wanted[i])
            BR_TRY(put_event(lines, event, out, error));
        else
            lines->counts[event->table->index].left_out++;
    }
    lines->counts[event->table->index].left_out += whole ? 0 : 1;
    return BR_OK;
}

enum br_status br_capture_lines_add(struct br_capture_lines *lines, const struct br_table *table,
                                    const struct br_log_message *message, struct br_buffer *out,
                                    struct br_error *error) {
    struct captured event = {.table = table, .message = message, .payload = message->payload};
    event.version = br_input_version(table, message, &event.type);
    event.deletes = br_input_deletes(table, message);
    if (event.type.len == 0 && event.type.ptr == NULL && event.version < 0)
        event.type.ptr = (const uint8_t *)""; // an empty header is a header
    br_arena_reset(lines->arena);
    if (table->layout == BR_LAYOUT_DELIMITED && !event.deletes && event.version >= 0)
        return put_frames(lines, &event, out, error);
    event.framed = table->layout == BR_LAYOUT_DELIMITED && !event.deletes;
    BR_TRY(choose(lines, table, message, 1, error));
    if (lines->wanted[0])
        return put_event(lines, &event, out, error);
    lines->counts[table->index].left_out++;
    return BR_OK;
}
