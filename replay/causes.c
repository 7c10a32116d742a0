// SPDX-License-Identifier: Apache-2.0
// See causes.h. Each view of both pipelines has its own evidence, taken as the messages are read; nothing of a message
// is kept but hashes.
#include "processor/task.h"
#include "replay/causes_internal.h"

#include <stdio.h>

#define WAIT_US 50000
#define NUMBER_SIZE_MAX 24

struct pipeline_evidence {
    const struct br_pipeline *pipeline;
    struct br_view_evidence *views;
    struct br_input **inputs; // by table
};

struct br_causes {
    struct pipeline_evidence sides[2]; // before, after
    struct br_upgrade *upgrade;
    struct br_arena *arena, *scratch;
    struct br_buffer values;
    // What the plans say, of the view asked about last.
    const struct br_view *told_before, *told_after;
    enum br_cause told;
    bool otherwise; // plans that are the same aren't computed alike
};

// --- making
static enum br_status prepare(struct br_causes *causes, struct pipeline_evidence *side,
                              const struct br_pipeline *pipeline, struct br_error *error) {
    side->pipeline = pipeline;
    side->views = br_arena_array(causes->arena, struct br_view_evidence, pipeline->view_count + 1);
    side->inputs = br_arena_array(causes->arena, struct br_input *, pipeline->table_count + 1);
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        br_view_evidence_plan(&pipeline->views[v], causes->arena, &side->views[v]);
    for (uint32_t t = 0; t < pipeline->table_count; t++)
        BR_TRY(br_input_create(&pipeline->tables[t], true, &side->inputs[t], error));
    return BR_OK;
}

enum br_status br_causes_create(const struct br_pipeline *before, const struct br_pipeline *after,
                                struct br_causes **ret_causes, struct br_error *error) {
    struct br_causes *causes = br_calloc(1, sizeof *causes);
    causes->arena = br_arena_create();
    causes->scratch = br_arena_create();
    causes->upgrade = br_upgrade_compare(before, after);
    enum br_status status = prepare(causes, &causes->sides[0], before, error);
    if (status == BR_OK)
        status = prepare(causes, &causes->sides[1], after, error);
    if (status != BR_OK) {
        br_causes_destroy(&causes);
        return status;
    }
    *ret_causes = causes;
    return BR_OK;
}

void br_causes_computed_otherwise(struct br_causes *causes) {
    causes->otherwise = true;
}

void br_causes_compare_plans(struct br_causes *causes, const struct br_pipeline *after) {
    br_upgrade_destroy(&causes->upgrade);
    causes->upgrade = br_upgrade_compare(causes->sides[0].pipeline, after);
    causes->told_before = causes->told_after = NULL;
}

void br_causes_destroy(struct br_causes **ref) {
    struct br_causes *causes = *ref;
    *ref = NULL;
    if (causes == NULL)
        return;
    for (int s = 0; s < 2; s++) {
        struct pipeline_evidence *side = &causes->sides[s];
        for (uint32_t v = 0; side->pipeline != NULL && v < side->pipeline->view_count; v++)
            br_view_evidence_free(&side->views[v]);
        for (uint32_t t = 0; side->pipeline != NULL && t < side->pipeline->table_count; t++)
            br_input_destroy(&side->inputs[t]);
    }
    br_upgrade_destroy(&causes->upgrade);
    br_buffer_free(&causes->values);
    br_arena_destroy(&causes->arena);
    br_arena_destroy(&causes->scratch);
    free(causes);
}

// --- taking messages
static bool header(const struct br_log_message *message, const char *name, struct br_slice *ret_value) {
    *ret_value = (struct br_slice){0};
    return message->header_count != 0 && br_log_message_header(message, name, ret_value);
}

static bool number_header(const struct br_log_message *message, const char *name, int64_t *ret_value) {
    struct br_slice text;
    char digits[NUMBER_SIZE_MAX + 1], *end;
    if (!header(message, name, &text) || text.len == 0 || text.len > NUMBER_SIZE_MAX)
        return false;
    memcpy(digits, text.ptr, text.len);
    digits[text.len] = 0;
    *ret_value = strtoll(digits, &end, 10);
    return *end == 0;
}

// The event as a row of its table in this pipeline, when it still has the table and can be decoded whole.
static void decode_event(struct br_causes *causes, const struct pipeline_evidence *side,
                         const struct br_log_message *message, struct br_left_out *left_out) {
    struct br_slice name, ignored;
    struct br_error error;
    struct br_batch *batch = NULL;
    left_out->table = NULL;
    left_out->row = NULL;
    if (!header(message, "Braid-Table", &name))
        return;
    for (uint32_t t = 0; t < side->pipeline->table_count; t++)
        if (br_slice_is(name, side->pipeline->tables[t].name))
            left_out->table = &side->pipeline->tables[t];
    if (left_out->table == NULL || header(message, "Braid-Truncated", &ignored))
        return;
    struct br_event event = {.payload = message->payload, .message = message, .table = left_out->table};
    if (br_input_row_of(side->inputs[left_out->table->index], &event, causes->scratch, &batch, &error) == BR_OK)
        left_out->row = batch;
}

void br_causes_add(struct br_causes *causes, const struct br_log_message *message) {
    struct br_left_out left_out = {0};
    struct br_slice reason, row_format;
    if (!header(message, "Braid-Reason", &reason))
        return;
    left_out.quarantined = !br_slice_is(reason, "late");
    header(message, "Braid-View", &left_out.view);
    left_out.has_window = number_header(message, "Braid-Window-Start", &left_out.window_start) &&
                          number_header(message, "Braid-Window-End", &left_out.window_end);
    if (header(message, "Braid-Row", &row_format) && br_slice_is(row_format, "json"))
        left_out.json = message->payload;
    // An event that the pipeline before couldn't decode may be one that the other can, and the other way round.
    struct br_left_out seen[2] = {left_out, left_out};
    for (int s = 0; s < 2; s++)
        decode_event(causes, &causes->sides[s], message, &seen[s]);
    for (int s = 0; s < 2; s++) {
        struct pipeline_evidence *side = &causes->sides[s];
        const struct br_left_out *best = seen[s].row != NULL || seen[1 - s].row == NULL ? &seen[s] : &seen[1 - s];
        for (uint32_t v = 0; v < side->pipeline->view_count; v++)
            br_view_evidence_add(&side->views[v], best, causes->scratch);
    }
    br_arena_reset(causes->scratch);
}

static enum br_status read_all(struct br_causes *causes, struct br_log *log, struct br_reader *reader,
                               struct br_error *error) {
    for (;;) {
        const struct br_log_message *messages;
        size_t count;
        BR_TRY(br_reader_peek(reader, &messages, &count, error));
        for (size_t i = 0; i < count; i++)
            br_causes_add(causes, &messages[i]);
        br_reader_consume(reader, count);
        br_reader_release(reader);
        if (count != 0)
            continue;
        if (br_reader_caught_up(reader))
            return BR_OK;
        br_log_wait(log, WAIT_US);
    }
}

enum br_status br_causes_read(struct br_causes *causes, struct br_log *log, struct br_error *error) {
    static const char *const kinds[] = {"late", "quarantine"};
    const char *pipeline = causes->sides[0].pipeline->name;
    char stream[256], filter[256];
    struct br_stream_info info;
    br_task_output_stream(pipeline, stream, sizeof stream);
    BR_TRY(br_log_stream_info(log, stream, &info, error));
    for (size_t k = 0; info.last_sequence != 0 && k < sizeof kinds / sizeof *kinds; k++) {
        struct br_reader *reader = NULL;
        snprintf(filter, sizeof filter, "braid.%s.%s.>", pipeline, kinds[k]);
        BR_TRY(br_reader_open(log, stream, filter, 1, info.last_sequence, &reader, error));
        enum br_status status = read_all(causes, log, reader, error);
        br_reader_close(&reader);
        BR_TRY(status);
    }
    return BR_OK;
}

// --- asking
static struct br_view_evidence *evidence_of(struct br_causes *causes, const struct br_difference *difference) {
    return difference->before != NULL ? &causes->sides[0].views[difference->before_view->index]
                                      : &causes->sides[1].views[difference->after_view->index];
}

enum br_cause br_causes_of(void *context, const struct br_difference *difference) {
    struct br_causes *causes = context;
    struct br_view_evidence *evidence = evidence_of(causes, difference);
    const struct br_batch *batch = difference->before != NULL ? difference->before : difference->after;
    uint32_t row = difference->before != NULL ? difference->before_row : difference->after_row;
    if (causes->told_before != difference->before_view || causes->told_after != difference->after_view) {
        causes->told_before = difference->before_view;
        causes->told_after = difference->after_view;
        const struct br_view *view = difference->before_view != NULL ? difference->before_view : difference->after_view;
        causes->told = br_cause_of_plans(causes->upgrade, view->name);
    }
    if (causes->otherwise && causes->told == BR_CAUSE_UNKNOWN)
        return BR_CAUSE_FUNCTION; // what was set aside is so on both sides
    if (br_view_evidence_explains(evidence, false, batch, row, &causes->values))
        return BR_CAUSE_LATE;
    if (br_view_evidence_explains(evidence, true, batch, row, &causes->values))
        return BR_CAUSE_QUARANTINED;
    return causes->told;
}
