// SPDX-License-Identifier: Apache-2.0
// See input.h. Decoding and lifting in lanes (one per event type of the table), gates after.
#include "processor/input.h"

#include "processor/codec/decode.h"
#include "processor/codec/descriptors.h"
#include "processor/expr/datetime.h"
#include "processor/gate.h"
#include "processor/semantics.h"
#include "processor/subject.h"

#include <stdio.h>

#define EVENTS_GROW_MIN 4096

// One event type that the table's subject may carry.
struct lane {
    const struct br_version *version;
    struct br_decoder *decoder;
    enum br_type *types;
    bool *wanted;
};

struct br_input {
    const struct br_table *table;
    struct lane *lanes;
    struct br_gate *gate;
    bool lenient;
    struct br_arena *own;   // lives as long as the input
    struct br_arena *batch; // one batch
    bool keyed_subject;     // the subject template holds the primary key
    bool *zero_is_absent;   // by key column, of a keyed subject: protobuf doesn't tell its zero from no value
    uint32_t semantics;     // of the epoch (semantics.h)
};

// One run: what is being built.
struct run {
    struct br_input *input;
    struct br_events *events;
    const struct br_intake *intake;
    struct br_wall_time now;
    struct br_event_time *event_time_max;
    uint64_t *rows;
    struct lane *lane; // of the open batch
    bool deletes;      // the open batch holds deletes
    struct br_batch *open;
};

struct br_moment br_message_moment(const struct br_log_message *message, uint32_t stream, uint64_t prehistory) {
    bool imported = message->sequence <= prehistory;
    return (struct br_moment){.stored_us = message->timestamp.us,
                              .sequence = message->sequence - (imported ? 0 : prehistory),
                              .stream = imported ? BR_NO_STREAM : stream};
}

void br_input_filter(const struct br_table *table, struct br_buffer *filter) {
    br_subject_filter(table->subject, filter);
}

static enum br_status open_lane(struct br_input *input, struct lane *lane, const struct br_version *version,
                                bool all_columns, struct br_error *error) {
    const struct br_row_type *type = version->row_type;
    *lane = (struct lane){.version = version};
    lane->types = br_arena_array(input->own, enum br_type, type->column_count);
    lane->wanted = br_arena_array(input->own, bool, type->column_count);
    const char **paths = br_arena_array(input->own, const char *, type->column_count);
    for (uint32_t i = 0; i < type->column_count; i++) {
        lane->types[i] = type->columns[i].type;
        paths[i] = type->columns[i].path;
        lane->wanted[i] = all_columns || version->step_count != 0 || input->table->used[i];
    }
    BR_TRY(
        br_decoder_create(type->message, paths, lane->types, lane->wanted, type->column_count, &lane->decoder, error));
    if (input->table->takes_any_time)
        br_decoder_take_any_time(lane->decoder);
    return BR_OK;
}

static void look_at_key(struct br_input *input) {
    const struct br_table *table = input->table;
    input->keyed_subject = table->primary_key_count != 0;
    input->zero_is_absent = br_arena_array(input->own, bool, table->primary_key_count + 1);
    for (uint32_t k = 0; k < table->primary_key_count; k++) {
        const struct br_column_def *column = &table->row_type.columns[table->primary_key[k]];
        const struct br_message_field *field;
        if (!br_subject_has_column(table->subject, column->name))
            input->keyed_subject = false;
        input->zero_is_absent[k] =
            br_message_find_path(table->row_type.message, column->path, &field, NULL) == BR_OK && !field->has_presence;
    }
}

enum br_status br_input_create(const struct br_table *table, bool all_columns, struct br_input **ret_input,
                               struct br_error *error) {
    struct br_input *input = br_calloc(1, sizeof *input);
    input->table = table;
    input->own = br_arena_create();
    input->batch = br_arena_create();
    input->lanes = br_arena_array(input->own, struct lane, table->version_count);
    input->semantics = BR_SEMANTICS;
    look_at_key(input);
    enum br_status status = BR_OK;
    for (uint32_t i = 0; i < table->version_count && status == BR_OK; i++)
        status = open_lane(input, &input->lanes[i], &table->versions[i], all_columns, error);
    if (status == BR_OK) {
        input->gate = br_gate_create(table);
        *ret_input = input;
    } else {
        br_error_context(error, "table %s", table->name);
        br_input_destroy(&input);
    }
    return status;
}

void br_input_destroy(struct br_input **input) {
    if (*input == NULL)
        return;
    for (uint32_t i = 0; i < (*input)->table->version_count; i++)
        br_decoder_destroy(&(*input)->lanes[i].decoder);
    br_gate_destroy(&(*input)->gate);
    br_arena_destroy(&(*input)->own);
    br_arena_destroy(&(*input)->batch);
    free(*input);
    *input = NULL;
}

// A type name as ce-type has it: the full protobuf name, or what the SQL calls it.
static bool names_version(const struct br_version *version, struct br_slice type) {
    return br_slice_is(type, version->message_name) || br_slice_is(type, version->row_type->message_name) ||
           br_slice_is(type, version->row_type->name);
}

int32_t br_input_version(const struct br_table *table, const struct br_log_message *message,
                         struct br_slice *ret_type) {
    *ret_type = (struct br_slice){0};
    if (message->header_count == 0 || !br_log_message_header(message, "ce-type", ret_type))
        return 0;
    for (uint32_t i = 0; i < table->version_count; i++)
        if (names_version(&table->versions[i], *ret_type))
            return (int32_t)i;
    return -1;
}

static struct lane *find_lane(struct br_input *input, const struct br_log_message *message, struct br_slice *ret_type) {
    int32_t version = br_input_version(input->table, message, ret_type);
    return version < 0 ? NULL : &input->lanes[version];
}

// An upsert table's row goes away by a delete header, or by an empty payload (then the key stands in the subject).
bool br_input_deletes(const struct br_table *table, const struct br_log_message *message) {
    if (table->primary_key_count == 0)
        return false;
    if (message->payload.len == 0)
        return true;
    struct br_slice value;
    if (message->header_count == 0)
        return false;
    if (br_log_message_header(message, "Braid-Op", &value))
        return br_slice_is(value, "delete");
    if (br_log_message_header(message, "KV-Operation", &value))
        return br_slice_is(value, "DEL") || br_slice_is(value, "PURGE");
    return false;
}

// What a message does to its table:
//
//   Braid-Op, KV-Operation         table without key       table with a key
//   ---------------------------    --------------------    --------------------------------------------------
//   none                           puts                    puts; deletes when the payload is empty
//   insert                         puts                    puts
//   upsert                         unfit                   puts
//   delete, DEL, PURGE             unfit                   deletes
//   none, a server's marker        nothing                 deletes
//   remove, block, others          unfit                   unfit
enum operation { PUTS, DELETES, DOES_NOTHING, UNFIT };

// *ret_name: of an operation that the table can't apply.
static enum operation operation_of(const struct br_input *input, const struct br_log_message *message,
                                   struct br_slice *ret_name) {
    const struct br_table *table = input->table;
    bool keyed = table->primary_key_count != 0;
    struct br_slice ignored;
    if (input->semantics < 1 || message->header_count == 0)
        return br_input_deletes(table, message) ? DELETES : PUTS;
    if (br_log_message_header(message, "Braid-Op", ret_name)) {
        if (br_slice_is(*ret_name, "insert") || (keyed && br_slice_is(*ret_name, "upsert")))
            return PUTS;
        return keyed && br_slice_is(*ret_name, "delete") ? DELETES : UNFIT;
    }
    if (!keyed && message->payload.len == 0 && br_log_message_header(message, "Nats-Marker-Reason", &ignored))
        return DOES_NOTHING;
    if (br_log_message_header(message, "KV-Operation", ret_name) &&
        (br_slice_is(*ret_name, "DEL") || br_slice_is(*ret_name, "PURGE")))
        return keyed ? DELETES : UNFIT;
    return keyed && message->payload.len == 0 ? DELETES : PUTS;
}

static uint32_t add_event(struct br_events *events, const struct br_table *table, const struct br_log_message *message,
                          struct br_slice payload) {
    if (events->count == events->capacity) {
        events->capacity = events->capacity == 0 ? EVENTS_GROW_MIN : events->capacity * 2;
        events->list = br_realloc(events->list, events->capacity * sizeof *events->list);
    }
    events->list[events->count] = (struct br_event){payload, message, table};
    return events->count++;
}

// Takes a decoded batch of a lane up to the table's own columns, step by step. A row on which a lift fails is rejected.
static enum br_status lift(struct run *run, const struct lane *lane, struct br_batch **batch, struct br_arena *arena,
                           struct br_error *error) {
    for (uint32_t s = 0; s < lane->version->step_count; s++) {
        bool last = s + 1 == lane->version->step_count;
        const struct br_row_type *to = last ? &run->input->table->row_type : lane->version->steps[s + 1].from;
        struct br_eval eval = {.arena = arena, .now = run->now};
        struct br_batch *lifted = br_arena_new(arena, struct br_batch);
        *lifted = **batch;
        lifted->column_count = to->column_count;
        lifted->columns = br_arena_array(arena, struct br_column, to->column_count);
        for (uint32_t c = 0; c < to->column_count; c++) {
            BR_TRY(br_expr_eval(lane->version->steps[s].exprs[c], *batch, NULL, &eval, &lifted->columns[c], error));
            if (to->columns[c].type == BR_TIMESTAMPTZ)
                br_eval_bound_times(&eval, &lifted->columns[c], lifted->row_count);
        }
        if (eval.error_count != 0) {
            uint32_t *keep = br_arena_array(arena, uint32_t, lifted->row_count);
            uint32_t kept = 0;
            for (uint32_t r = 0; r < lifted->row_count; r++)
                if (!br_bit(eval.failed, r))
                    keep[kept++] = r;
            for (uint32_t e = 0; e < eval.error_count && run->intake != NULL; e++)
                BR_TRY(run->intake->reject(run->intake->context, run->input->table, lifted->origins[eval.errors[e].row],
                                           "expression", eval.errors[e].message, error));
            lifted = br_batch_select(lifted, keep, kept, arena);
        }
        *batch = lifted;
    }
    return BR_OK;
}

// --- keys that stand in the subject

static bool is_zero(const struct br_column *column, uint32_t row) {
    struct br_value value = br_column_get(column, row);
    if (value.type == BR_TEXT || value.type == BR_BYTEA)
        return value.bytes.len == 0;
    return value.type == BR_BOOLEAN   ? !value.boolean
           : value.type == BR_INTEGER ? value.integer == 0
           : value.type == BR_BIGINT  ? value.bigint == 0
                                      : false;
}

// The k-th key column's value as the event's subject tells it, into row r of `told`.
static enum br_status read_key(struct run *run, uint32_t k, struct br_slice subject, struct br_column *told, uint32_t r,
                               struct br_error *error) {
    const struct br_table *table = run->input->table;
    const struct br_column_def *column = &table->row_type.columns[table->primary_key[k]];
    struct br_slice text;
    struct br_value value;
    BR_TRY(br_subject_read_column(table->subject, subject, column->name, run->input->batch, &text, error));
    BR_TRY(br_value_parse(column->type, text, run->input->batch, &value, error));
    if (column->type == BR_TIMESTAMPTZ && !table->takes_any_time &&
        (value.bigint < BR_COLUMN_TIME_MIN || value.bigint >= BR_COLUMN_TIME_END))
        return br_error_set(error, BR_DATA, "\"%.*s\" is out of range: a column holds the years 1 to 9999",
                            (int)(text.len > 60 ? 60 : text.len), (const char *)text.ptr);
    br_column_set(told, r, &value);
    return BR_OK;
}

static enum br_status check_key(struct run *run, uint32_t k, const struct br_column *given, struct br_column *told,
                                uint32_t r, struct br_slice subject, struct br_error *error) {
    const struct br_table *table = run->input->table;
    bool absent = br_column_is_null(given, r) || (run->input->zero_is_absent[k] && is_zero(given, r));
    size_t width = br_type_width(given->type);
    BR_TRY(read_key(run, k, subject, told, r, error));
    if (absent || br_value_order(given->type, (const char *)given->values + r * width,
                                 (const char *)told->values + r * width) == 0)
        return BR_OK;
    struct br_buffer BR_CLEANUP(br_buffer_free) value = {0};
    struct br_value payload = br_column_get(given, r);
    br_value_print(&payload, &value);
    return br_error_set(error, BR_DATA, "the payload's %s is %.*s, but the subject %.*s tells another one",
                        table->row_type.columns[table->primary_key[k]].name, (int)(value.len > 100 ? 100 : value.len),
                        (const char *)value.ptr, (int)subject.len, (const char *)subject.ptr);
}

// A row's key is what its subject says; a payload may leave it out, but not say another one.
static enum br_status take_keys(struct run *run, struct br_batch **batch_ptr, struct br_error *error) {
    struct br_batch *batch = *batch_ptr;
    const struct br_table *table = run->input->table;
    struct br_arena *arena = run->input->batch;
    uint32_t *keep = br_arena_array(arena, uint32_t, batch->row_count), kept = 0;
    struct br_column *told = br_arena_array(arena, struct br_column, table->primary_key_count);
    for (uint32_t k = 0; k < table->primary_key_count; k++) {
        told[k] = br_column_create(arena, batch->columns[table->primary_key[k]].type, batch->row_count);
        told[k].validity = br_validity_create(arena, batch->row_count, true);
    }
    for (uint32_t r = 0; r < batch->row_count; r++) {
        struct br_slice subject = run->events->list[batch->origins[r]].message->subject;
        struct br_error bad;
        enum br_status status = BR_OK;
        for (uint32_t k = 0; k < table->primary_key_count && status == BR_OK; k++)
            status = check_key(run, k, &batch->columns[table->primary_key[k]], &told[k], r, subject, &bad);
        if (status == BR_OK)
            keep[kept++] = r;
        else
            BR_TRY(run->intake->reject(run->intake->context, table, batch->origins[r], "key", bad.message, error));
    }
    for (uint32_t k = 0; k < table->primary_key_count; k++)
        batch->columns[table->primary_key[k]] = told[k];
    if (kept != batch->row_count)
        *batch_ptr = br_batch_select(batch, keep, kept, arena);
    return BR_OK;
}

static enum br_status close_batch(struct run *run, struct br_error *error) {
    struct br_batch *batch = run->open;
    run->open = NULL;
    if (batch == NULL)
        return BR_OK;
    struct br_arena *arena = run->input->batch;
    if (batch->row_count != 0)
        BR_TRY(lift(run, run->lane, &batch, arena, error));
    if (batch->row_count != 0 && run->input->keyed_subject && run->input->semantics >= 1 &&
        run->input->table->layout != BR_LAYOUT_DELIMITED)
        BR_TRY(take_keys(run, &batch, error));
    if (batch->row_count != 0) {
        struct br_gate_run gate = {.arena = arena,
                                   .now = run->now,
                                   .events = run->events,
                                   .intake = run->intake,
                                   .event_time_max = run->event_time_max,
                                   .deletes = run->deletes,
                                   .lenient = run->input->lenient};
        BR_TRY(br_gate_apply(run->input->gate, &gate, &batch, error));
    }
    if (batch->row_count != 0) {
        if (run->deletes) {
            br_batch_need_weights(batch, arena);
            for (uint32_t r = 0; r < batch->row_count; r++)
                batch->weights[r] = -1;
        }
        *run->rows += batch->row_count;
        BR_TRY(run->intake->take(run->intake->context, run->input->table, batch, error));
    }
    br_arena_reset(arena);
    return BR_OK;
}

static enum br_status ensure_batch(struct run *run, struct lane *lane, bool deletes, struct br_error *error) {
    if (run->open != NULL && (run->lane != lane || run->deletes != deletes || run->open->row_count == BR_BATCH_ROWS))
        BR_TRY(close_batch(run, error));
    if (run->open == NULL) {
        run->lane = lane;
        run->deletes = deletes;
        run->open =
            br_batch_create(run->input->batch, lane->types, lane->wanted, lane->version->row_type->column_count);
        br_batch_need_origins(run->open, run->input->batch);
    }
    return BR_OK;
}

static enum br_status decode_event(struct run *run, uint32_t origin, struct br_slice payload, struct br_error *error) {
    struct br_batch *batch = run->open;
    struct br_error bad;
    enum br_status status =
        br_decoder_decode(run->lane->decoder, payload, batch, batch->row_count, run->input->batch, &bad);
    if (status == BR_DATA)
        return run->intake->reject(run->intake->context, run->input->table, origin, "decode", bad.message, error);
    if (status != BR_OK) {
        *error = bad;
        return status;
    }
    batch->origins[batch->row_count++] = origin;
    return BR_OK;
}

// An empty payload deletes the row whose key stands in the subject.
static enum br_status delete_by_subject(struct run *run, uint32_t origin, const struct br_log_message *message,
                                        struct br_error *error) {
    const struct br_table *table = run->input->table;
    struct br_batch *batch = run->open;
    struct br_error bad;
    enum br_status status = BR_OK;
    if (!run->input->keyed_subject)
        status = br_error_set(
            &bad, BR_DATA,
            "an empty payload deletes a row only when the key stands in the subject (subject = '….{%s}'); send the "
            "key with the header 'Braid-Op: delete' instead",
            table->row_type.columns[table->primary_key[0]].name);
    for (uint32_t k = 0; k < table->primary_key_count && status == BR_OK; k++)
        status = read_key(run, k, message->subject, &batch->columns[table->primary_key[k]], batch->row_count, &bad);
    if (status == BR_DATA)
        return run->intake->reject(run->intake->context, table, origin, "decode", bad.message, error);
    batch->origins[batch->row_count++] = origin;
    return BR_OK;
}

static enum br_status run_delimited(struct run *run, struct lane *lane, const struct br_log_message *message,
                                    struct br_error *error) {
    struct br_slice rest = message->payload, payload;
    enum br_status status = BR_OK;
    struct br_error bad;
    while (br_delimited_next(&rest, &payload, &status, &bad)) {
        uint32_t origin = add_event(run->events, run->input->table, message, payload);
        BR_TRY(ensure_batch(run, lane, false, error));
        BR_TRY(decode_event(run, origin, payload, error));
    }
    if (status != BR_OK) { // what is left of the payload can't be taken apart: it is one bad event
        uint32_t origin = add_event(run->events, run->input->table, message, rest);
        return run->intake->reject(run->intake->context, run->input->table, origin, "decode", bad.message, error);
    }
    return BR_OK;
}

static enum br_status reject_unfit(struct run *run, const struct br_log_message *message, struct br_slice operation,
                                   struct br_error *error) {
    const struct br_table *table = run->input->table;
    char detail[256];
    snprintf(detail, sizeof detail, "the message says %.*s, which a table %s can't apply",
             (int)(operation.len > 40 ? 40 : operation.len), (const char *)operation.ptr,
             table->primary_key_count == 0 ? "without PRIMARY KEY" : "with a PRIMARY KEY");
    return run->intake->reject(run->intake->context, table, add_event(run->events, table, message, message->payload),
                               "operation", detail, error);
}

static enum br_status run_message(struct run *run, const struct br_log_message *message, struct br_error *error) {
    const struct br_table *table = run->input->table;
    struct br_slice type;
    struct lane *lane = find_lane(run->input, message, &type);
    if (lane == NULL) {
        char detail[256];
        snprintf(detail, sizeof detail, "unknown event type \"%.*s\"; the table reads %s%s",
                 (int)(type.len > 100 ? 100 : type.len), (const char *)type.ptr, table->versions[0].message_name,
                 table->version_count > 1 ? " and the types that CREATE CAST lifts to it" : "");
        return run->intake->reject(run->intake->context, table,
                                   add_event(run->events, table, message, message->payload), "version", detail, error);
    }
    struct br_slice operation;
    enum operation does = operation_of(run->input, message, &operation);
    if (does == DOES_NOTHING)
        return BR_OK;
    if (does == UNFIT)
        return reject_unfit(run, message, operation, error);
    bool deletes = does == DELETES;
    if (table->layout == BR_LAYOUT_DELIMITED && !deletes)
        return run_delimited(run, lane, message, error);
    uint32_t origin = add_event(run->events, table, message, message->payload);
    BR_TRY(ensure_batch(run, lane, deletes, error));
    if (deletes && message->payload.len == 0)
        return delete_by_subject(run, origin, message, error);
    return decode_event(run, origin, message->payload, error);
}

void br_input_set_lenient(struct br_input *input, bool lenient) {
    input->lenient = lenient;
}

void br_input_set_semantics(struct br_input *input, uint32_t semantics) {
    input->semantics = semantics;
}

enum br_status br_input_run(struct br_input *input, const struct br_log_message *messages, size_t count,
                            struct br_wall_time now, struct br_events *events, const struct br_intake *intake,
                            struct br_event_time *event_time_max, uint64_t *rows, struct br_error *error) {
    struct run run = {
        .input = input, .events = events, .intake = intake, .now = now, .event_time_max = event_time_max, .rows = rows};
    br_arena_reset(input->batch);
    for (size_t i = 0; i < count; i++)
        BR_TRY(run_message(&run, &messages[i], error));
    return close_batch(&run, error);
}

enum br_status br_input_row_of(struct br_input *input, const struct br_event *event, struct br_arena *arena,
                               struct br_batch **ret_batch, struct br_error *error) {
    struct br_slice type;
    struct lane *lane = find_lane(input, event->message, &type);
    if (lane == NULL)
        return br_error_set(error, BR_DATA, "unknown event type \"%.*s\"", (int)type.len, (const char *)type.ptr);
    struct br_batch *batch = br_batch_create(arena, lane->types, NULL, lane->version->row_type->column_count);
    br_batch_need_origins(batch, arena);
    BR_TRY(br_decoder_decode(lane->decoder, event->payload, batch, 0, arena, error));
    batch->row_count = 1;
    struct run run = {.input = input};
    BR_TRY(lift(&run, lane, &batch, arena, error));
    if (batch->row_count == 0)
        return br_error_set(error, BR_DATA, "the event can't be lifted to table %s", input->table->name);
    *ret_batch = batch;
    return BR_OK;
}

bool br_input_replaces(const struct br_table *table) {
    struct br_buffer BR_CLEANUP(br_buffer_free) filter = {0};
    br_input_filter(table, &filter);
    return table->primary_key_count != 0 && strpbrk((const char *)filter.ptr, "*>") != NULL;
}

enum br_status br_input_open(struct br_log *log, const struct br_table *table, const char *stream,
                             uint64_t first_sequence, uint64_t stop_sequence, struct br_reader **ret_reader,
                             struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) filter = {0};
    br_input_filter(table, &filter);
    return (br_input_replaces(table) ? br_reader_open_replaced : br_reader_open)(
        log, stream, (const char *)filter.ptr, first_sequence, stop_sequence, ret_reader, error);
}

enum br_status br_input_find_stream(struct br_log *log, const struct br_table *table, struct br_stream_info *ret_info,
                                    struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) filter = {0};
    br_input_filter(table, &filter);
    return br_log_find_stream(log, table->stream, (const char *)filter.ptr, ret_info, error);
}
