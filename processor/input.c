// SPDX-License-Identifier: Apache-2.0
// See input.h. Decoding and lifting in lanes (one per event type of the table), gates after.
#include "processor/input.h"

#include "processor/codec/decode.h"
#include "processor/gate.h"
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
    return br_decoder_create(type->message, paths, lane->types, lane->wanted, type->column_count, &lane->decoder,
                             error);
}

enum br_status br_input_create(const struct br_table *table, bool all_columns, struct br_input **ret_input,
                               struct br_error *error) {
    struct br_input *input = br_calloc(1, sizeof *input);
    input->table = table;
    input->own = br_arena_create();
    input->batch = br_arena_create();
    input->lanes = br_arena_array(input->own, struct lane, table->version_count);
    input->keyed_subject = table->primary_key_count != 0;
    for (uint32_t i = 0; i < table->primary_key_count; i++)
        if (!br_subject_has_column(table->subject, table->row_type.columns[table->primary_key[i]].name))
            input->keyed_subject = false;
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

static enum br_status close_batch(struct run *run, struct br_error *error) {
    struct br_batch *batch = run->open;
    run->open = NULL;
    if (batch == NULL)
        return BR_OK;
    struct br_arena *arena = run->input->batch;
    if (batch->row_count != 0)
        BR_TRY(lift(run, run->lane, &batch, arena, error));
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
    for (uint32_t k = 0; k < table->primary_key_count && status == BR_OK; k++) {
        const struct br_column_def *column = &table->row_type.columns[table->primary_key[k]];
        struct br_slice text;
        struct br_value value;
        status = br_subject_read_column(table->subject, message->subject, column->name, run->input->batch, &text, &bad);
        if (status == BR_OK)
            status = br_value_parse(column->type, text, run->input->batch, &value, &bad);
        if (status == BR_OK)
            br_column_set(&batch->columns[table->primary_key[k]], batch->row_count, &value);
    }
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
    bool deletes = br_input_deletes(table, message);
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
