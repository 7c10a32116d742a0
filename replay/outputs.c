// SPDX-License-Identifier: Apache-2.0
// See outputs.h.
#include "replay/outputs.h"

#include "base/json.h"
#include "braid/v1/commit.pb-c.h"
#include "processor/codec/decode.h"
#include "processor/codec/encode.h"
#include "processor/commit_reader.h"
#include "processor/expr/datetime.h"
#include "processor/subject.h"
#include "processor/task.h"

#include <stdio.h>

struct view_reader {
    const struct br_view *view;
    struct br_decoder *decoder;
    enum br_type *types;
    struct br_buffer filter;
};

struct br_outputs {
    const struct br_pipeline *pipeline;
    struct view_reader *views;
    struct br_input **inputs; // by table, made when first needed
    struct br_arena *own, *arena;
    struct br_buffer line;
    char commit_subject[300], quarantine_prefix[300], late_prefix[300];
};

static enum br_status open_view(struct br_outputs *outputs, struct view_reader *reader, const struct br_view *view,
                                struct br_error *error) {
    const struct br_row_type *type = &view->row_type;
    reader->view = view;
    reader->types = br_arena_array(outputs->own, enum br_type, type->column_count);
    const char **paths = br_arena_array(outputs->own, const char *, type->column_count);
    for (uint32_t c = 0; c < type->column_count; c++) {
        reader->types[c] = type->columns[c].type;
        paths[c] = type->columns[c].path;
    }
    br_subject_filter(view->subject, &reader->filter);
    return br_decoder_create(type->message, paths, reader->types, NULL, type->column_count, &reader->decoder, error);
}

enum br_status br_outputs_create(const struct br_pipeline *pipeline, struct br_outputs **ret_outputs,
                                 struct br_error *error) {
    struct br_outputs *outputs = br_calloc(1, sizeof *outputs);
    outputs->pipeline = pipeline;
    outputs->own = br_arena_create();
    outputs->arena = br_arena_create();
    outputs->views = br_arena_array(outputs->own, struct view_reader, pipeline->view_count);
    outputs->inputs = br_arena_array(outputs->own, struct br_input *, pipeline->table_count);
    br_task_owner_subject(pipeline->name, outputs->commit_subject, sizeof outputs->commit_subject);
    snprintf(outputs->quarantine_prefix, sizeof outputs->quarantine_prefix, "braid.%s.quarantine.", pipeline->name);
    snprintf(outputs->late_prefix, sizeof outputs->late_prefix, "braid.%s.late.", pipeline->name);
    for (uint32_t v = 0; v < pipeline->view_count; v++) {
        enum br_status status = open_view(outputs, &outputs->views[v], &pipeline->views[v], error);
        if (status != BR_OK) {
            br_outputs_destroy(&outputs);
            return status;
        }
    }
    *ret_outputs = outputs;
    return BR_OK;
}

void br_outputs_destroy(struct br_outputs **outputs_ptr) {
    struct br_outputs *outputs = *outputs_ptr;
    if (outputs == NULL)
        return;
    for (uint32_t v = 0; v < outputs->pipeline->view_count; v++) {
        br_decoder_destroy(&outputs->views[v].decoder);
        br_buffer_free(&outputs->views[v].filter);
    }
    for (uint32_t t = 0; t < outputs->pipeline->table_count; t++)
        br_input_destroy(&outputs->inputs[t]);
    br_arena_destroy(&outputs->own);
    br_arena_destroy(&outputs->arena);
    br_buffer_free(&outputs->line);
    free(outputs);
    *outputs_ptr = NULL;
}

static bool has_prefix(struct br_slice subject, const char *prefix) {
    size_t len = strlen(prefix);
    return subject.len >= len && memcmp(subject.ptr, prefix, len) == 0;
}

// Filters of views hold '*' for one token and nothing else special.
static bool matches(struct br_slice subject, struct br_slice filter) {
    size_t s = 0, f = 0;
    while (f < filter.len) {
        if (filter.ptr[f] == '*') {
            while (s < subject.len && subject.ptr[s] != '.')
                s++;
            f++;
        } else if (s < subject.len && subject.ptr[s] == filter.ptr[f]) {
            s++;
            f++;
        } else {
            return false;
        }
    }
    return s == subject.len;
}

// 0 when there is none.
static int64_t header_number(const struct br_log_message *message, const char *name) {
    struct br_slice value;
    char digits[24];
    if (!br_log_message_header(message, name, &value) || value.len >= sizeof digits)
        return 0;
    memcpy(digits, value.ptr, value.len);
    digits[value.len] = '\0';
    return strtoll(digits, NULL, 10);
}

static struct br_slice json_of(struct br_outputs *outputs, const struct br_row_type *type, const struct br_batch *batch,
                               const uint32_t *columns, uint32_t count) {
    br_buffer_clear(&outputs->line);
    br_json_encode_row(type, batch, 0, columns, count, &outputs->line);
    return br_arena_copy(outputs->arena, br_buffer_slice(&outputs->line));
}

struct br_batch *br_outputs_batch(struct br_outputs *outputs, const struct br_view *view, struct br_arena *arena) {
    return br_batch_create(arena, outputs->views[view->index].types, NULL, view->row_type.column_count);
}

enum br_status br_outputs_decode(struct br_outputs *outputs, const struct br_view *view, struct br_slice payload,
                                 struct br_batch *batch, struct br_arena *arena, struct br_error *error) {
    uint32_t row = batch->row_count;
    if (view->format == BR_FORMAT_JSON)
        BR_TRY(br_json_decode_row(&view->row_type, payload, batch, row, arena, error));
    else
        BR_TRY(br_decoder_decode(outputs->views[view->index].decoder, payload, batch, row, arena, error));
    batch->row_count = row + 1;
    return BR_OK;
}

static enum br_status give_row(struct br_outputs *outputs, struct view_reader *reader, char op, uint64_t epoch,
                               struct br_slice payload, const struct br_outputs_each *each, struct br_error *error) {
    const struct br_view *view = reader->view;
    const struct br_row_type *type = &view->row_type;
    if (each->record != NULL)
        return each->record(each->context, view, op, payload, error);
    br_arena_reset(outputs->arena);
    struct br_batch *batch = br_outputs_batch(outputs, view, outputs->arena);
    BR_TRY(br_outputs_decode(outputs, view, payload, batch, outputs->arena, error));
    struct br_output_row row = {.view = view, .op = op, .epoch = epoch};
    bool keyed = view->root->has_key;
    row.row = json_of(outputs, type, batch, op == 'D' ? view->root->key : NULL,
                      op == 'D' ? view->root->key_count : type->column_count);
    row.key = keyed ? json_of(outputs, type, batch, view->root->key, view->root->key_count) : row.row;
    return each->row(each->context, &row, error);
}

static enum br_status give_block(struct br_outputs *outputs, struct view_reader *reader, uint64_t epoch,
                                 struct br_slice block, const struct br_outputs_each *each, struct br_error *error) {
    struct br_packed_reader packed;
    BR_TRY(br_packed_open(block, &packed, error));
    char op;
    struct br_slice message;
    while (br_packed_next(&packed, &op, &message))
        BR_TRY(give_row(outputs, reader, op, epoch, message, each, error));
    return BR_OK;
}

static struct view_reader *find_view(struct br_outputs *outputs, const char *name) {
    for (uint32_t v = 0; v < outputs->pipeline->view_count; v++)
        if (strcmp(outputs->views[v].view->name, name) == 0)
            return &outputs->views[v];
    return NULL;
}

static enum br_status read_commit(struct br_outputs *outputs, const struct br_log_message *message,
                                  const struct br_outputs_each *each, struct br_error *error) {
    if (br_commit_is_foreign(message))
        return BR_OK;
    Braid__V1__Commit *commit = braid__v1__commit__unpack(NULL, message->payload.len, message->payload.ptr);
    if (commit == NULL)
        return br_error_set(error, BR_DATA, "the commit message at sequence %llu can't be read",
                            (unsigned long long)message->sequence);
    enum br_status status = BR_OK;
    for (size_t i = 0; i < commit->n_blocks && status == BR_OK; i++) {
        struct view_reader *reader = find_view(outputs, commit->blocks[i]->view);
        if (reader != NULL)
            status =
                give_block(outputs, reader, commit->epoch,
                           (struct br_slice){commit->blocks[i]->rows.data, commit->blocks[i]->rows.len}, each, error);
    }
    braid__v1__commit__free_unpacked(commit, NULL);
    return status;
}

// --- quarantined and late events

static void put_text(struct br_buffer *out, const char *before, struct br_slice text) {
    br_buffer_append_text(out, before);
    br_json_append_string(text, out);
}

static void put_time(struct br_buffer *out, const char *before, int64_t us) {
    char text[64];
    size_t len = br_timestamptz_print(us, true, text);
    put_text(out, before, (struct br_slice){(const uint8_t *)text, len});
}

// The event's row when it can be decoded, else its bytes.
static void put_event(struct br_outputs *outputs, const struct br_log_message *message, struct br_buffer *line) {
    struct br_slice form, name;
    struct br_batch *batch;
    if (br_log_message_header(message, "Braid-Row", &form)) {
        br_buffer_append_text(line, ",\"row\":");
        br_buffer_append_slice(line, message->payload);
        return;
    }
    for (uint32_t t = 0; br_log_message_header(message, "Braid-Table", &name) && t < outputs->pipeline->table_count;
         t++) {
        const struct br_table *table = &outputs->pipeline->tables[t];
        if (!br_slice_is(name, table->name))
            continue;
        struct br_event event = {message->payload, message, table};
        if (outputs->inputs[t] == NULL && br_input_create(table, true, &outputs->inputs[t], NULL) != BR_OK)
            break;
        if (br_input_row_of(outputs->inputs[t], &event, outputs->arena, &batch, NULL) != BR_OK)
            break;
        br_buffer_append_text(line, ",\"row\":");
        br_json_encode_row(&table->row_type, batch, 0, NULL, table->row_type.column_count, line);
        return;
    }
    struct br_buffer text = {0};
    br_base64_encode(message->payload, &text);
    put_text(line, ",\"payload\":", br_buffer_slice(&text));
    br_buffer_free(&text);
}

static enum br_status read_report(struct br_outputs *outputs, const struct br_log_message *message, const char *prefix,
                                  bool late, const struct br_outputs_each *each, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) line = {0};
    struct br_slice value, name;
    br_arena_reset(outputs->arena);
    if (!br_log_message_header(message, "Braid-View", &name) && !br_log_message_header(message, "Braid-Table", &name))
        name = (struct br_slice){message->subject.ptr + strlen(prefix), message->subject.len - strlen(prefix)};
    put_text(&line, late ? "{\"late\":" : "{\"quarantined\":", name);
    if (!late && br_log_message_header(message, "Braid-Reason", &value))
        put_text(&line, ",\"reason\":", value);
    if (br_log_message_header(message, "Braid-Detail", &value))
        put_text(&line, ",\"detail\":", value);
    if (late) {
        put_time(&line, ",\"window_start\":", header_number(message, "Braid-Window-Start"));
        put_time(&line, ",\"window_end\":", header_number(message, "Braid-Window-End"));
        br_buffer_printf(&line, ",\"late_by_seconds\":%.6f", (double)header_number(message, "Braid-Late-By-Us") / 1e6);
    }
    put_event(outputs, message, &line);
    br_buffer_append_byte(&line, '}');
    return each->report(each->context, br_buffer_slice(&line), error);
}

static char op_of(struct br_slice name) {
    return br_slice_is(name, "upsert")   ? 'U'
           : br_slice_is(name, "delete") ? 'D'
           : br_slice_is(name, "insert") ? 'I'
           : br_slice_is(name, "remove") ? 'R'
           : br_slice_is(name, "block")  ? 'B'
                                         : '?';
}

enum br_status br_outputs_read(struct br_outputs *outputs, const struct br_log_message *message,
                               const struct br_outputs_each *each, struct br_error *error) {
    if (br_slice_is(message->subject, outputs->commit_subject))
        return read_commit(outputs, message, each, error);
    if (has_prefix(message->subject, outputs->quarantine_prefix))
        return read_report(outputs, message, outputs->quarantine_prefix, false, each, error);
    if (has_prefix(message->subject, outputs->late_prefix))
        return read_report(outputs, message, outputs->late_prefix, true, each, error);
    struct br_slice op;
    if (!br_log_message_header(message, "Braid-Op", &op) || op_of(op) == '?')
        return BR_OK; // not ours
    uint64_t epoch = (uint64_t)header_number(message, "Braid-Epoch");
    for (uint32_t v = 0; v < outputs->pipeline->view_count; v++) {
        struct view_reader *reader = &outputs->views[v];
        if (!matches(message->subject, br_buffer_slice(&reader->filter)))
            continue;
        if (op_of(op) == 'B')
            return give_block(outputs, reader, epoch, message->payload, each, error);
        return give_row(outputs, reader, op_of(op), epoch, message->payload, each, error);
    }
    return BR_OK;
}
