// SPDX-License-Identifier: Apache-2.0
// See gate.h.
#include "processor/gate.h"

#include "processor/expr/datetime.h"

#include <stdio.h>
#include <string.h>

#define AHEAD " (max_future)" // ends what is said of an event time that is too far ahead

struct br_gate {
    const struct br_table *table;
};

struct br_gate *br_gate_create(const struct br_table *table) {
    struct br_gate *gate = br_calloc(1, sizeof *gate);
    gate->table = table;
    return gate;
}

void br_gate_destroy(struct br_gate **gate) {
    free(*gate);
    *gate = NULL;
}

// The rows of a batch that are still in the running: bits are cleared as gates turn rows away.
struct passing {
    uint64_t bits[BR_VALIDITY_WORDS];
    uint64_t let_in[BR_VALIDITY_WORDS]; // pass by leniency
    uint32_t rejected, let_in_count;
};

static enum br_status reject(const struct br_gate *gate, struct br_gate_run *run, const struct br_batch *batch,
                             uint32_t row, struct passing *passing, const char *reason, const char *detail,
                             struct br_error *error) {
    if (!br_bit(passing->bits, row))
        return BR_OK;
    br_bit_clear(passing->bits, row);
    passing->rejected++;
    return run->intake->reject(run->intake->context, gate->table, batch->origins[row], reason, detail, error);
}

// As reject, by a gate that can be lenient.
static enum br_status reject_or_let_in(const struct br_gate *gate, struct br_gate_run *run,
                                       const struct br_batch *batch, uint32_t row, struct passing *passing,
                                       const char *reason, const char *detail, struct br_error *error) {
    if (!run->lenient)
        return reject(gate, run, batch, row, passing, reason, detail, error);
    br_bit_set(passing->let_in, row);
    passing->let_in_count++;
    return BR_OK;
}

static bool has_null(const struct br_column *column, uint32_t row_count) {
    if (column->validity == NULL)
        return false;
    uint32_t words = row_count / 64;
    for (uint32_t w = 0; w < words; w++)
        if (column->validity[w] != UINT64_MAX)
            return true;
    uint64_t tail = (UINT64_C(1) << (row_count % 64)) - 1;
    return row_count % 64 != 0 && (column->validity[words] & tail) != tail;
}

static enum br_status fill_default(const struct br_column_def *def, struct br_gate_run *run, struct br_batch *batch,
                                   uint32_t index, struct br_error *error) {
    struct br_column *column = &batch->columns[index];
    if (column->values == NULL || !has_null(column, batch->row_count))
        return BR_OK;
    struct br_batch one = {.row_count = 1};
    struct br_eval eval = {.arena = run->arena, .now = run->now};
    struct br_column result;
    BR_TRY(br_expr_eval(def->default_value, &one, NULL, &eval, &result, error));
    if (eval.error_count != 0)
        return br_error_set(error, BR_FATAL, "the DEFAULT of column %s fails: %s", def->name, eval.errors[0].message);
    struct br_value value = br_column_get(&result, 0);
    if (value.is_null)
        return BR_OK;
    // A copy: a lifted column may share its arrays with another one.
    struct br_column filled = br_column_create(run->arena, column->type, batch->row_count);
    filled.validity = br_validity_create(run->arena, batch->row_count, true);
    memcpy(filled.values, column->values, batch->row_count * br_type_width(column->type));
    for (uint32_t r = 0; r < batch->row_count; r++)
        if (br_column_is_null(column, r))
            br_column_set(&filled, r, &value);
    *column = filled;
    return BR_OK;
}

static enum br_status check_event_time(const struct br_gate *gate, struct br_gate_run *run,
                                       const struct br_batch *batch, struct passing *passing, struct br_error *error) {
    const struct br_table *table = gate->table;
    const struct br_column *column = &batch->columns[table->event_time];
    const int64_t *times = column->values;
    for (uint32_t r = 0; r < batch->row_count; r++) {
        if (br_column_is_null(column, r)) {
            BR_TRY(reject(gate, run, batch, r, passing, "time", "the event time is missing", error));
            continue;
        }
        int64_t stored_us = run->events->list[batch->origins[r]].message->timestamp.us;
        int64_t limit;
        if (!__builtin_add_overflow(stored_us, table->future_bound_us, &limit) && times[r] > limit) {
            char event[64], stored[64], detail[256];
            event[br_timestamptz_print(times[r], true, event)] = '\0';
            stored[br_timestamptz_print(stored_us, true, stored)] = '\0';
            snprintf(detail, sizeof detail, "the event time %s is too far ahead of %s, when the stream stored it" AHEAD,
                     event, stored);
            BR_TRY(reject_or_let_in(gate, run, batch, r, passing, "time", detail, error));
        }
    }
    return BR_OK;
}

static enum br_status check_not_null(const struct br_gate *gate, struct br_gate_run *run, const struct br_batch *batch,
                                     uint32_t index, struct passing *passing, struct br_error *error) {
    const struct br_column *column = &batch->columns[index];
    if (!has_null(column, batch->row_count))
        return BR_OK;
    char detail[256];
    snprintf(detail, sizeof detail, "null value in column \"%s\" violates the not-null constraint",
             gate->table->row_type.columns[index].name);
    for (uint32_t r = 0; r < batch->row_count; r++)
        if (br_column_is_null(column, r))
            BR_TRY(reject(gate, run, batch, r, passing, "null", detail, error));
    return BR_OK;
}

static enum br_status check_condition(const struct br_gate *gate, struct br_gate_run *run, const struct br_batch *batch,
                                      const struct br_check *check, struct passing *passing, struct br_error *error) {
    struct br_eval eval = {.arena = run->arena, .now = run->now};
    struct br_column result;
    BR_TRY(br_expr_eval(check->condition, batch, passing->bits, &eval, &result, error));
    char detail[512];
    for (uint32_t e = 0; e < eval.error_count; e++) {
        snprintf(detail, sizeof detail, "check constraint \"%s\" failed to run: %s", check->name,
                 eval.errors[e].message);
        BR_TRY(reject_or_let_in(gate, run, batch, eval.errors[e].row, passing, "expression", detail, error));
    }
    snprintf(detail, sizeof detail, "the row violates check constraint \"%s\": %s", check->name,
             check->text != NULL ? check->text : "");
    const bool *holds = result.values;
    for (uint32_t r = 0; r < batch->row_count; r++)
        if (br_bit(passing->bits, r) && !br_column_is_null(&result, r) && !holds[r])
            BR_TRY(reject_or_let_in(gate, run, batch, r, passing, "check", detail, error));
    return BR_OK;
}

static enum br_status check_all(const struct br_gate *gate, struct br_gate_run *run, struct br_batch *batch,
                                struct passing *passing, struct br_error *error) {
    const struct br_table *table = gate->table;
    const struct br_row_type *type = &table->row_type;
    for (uint32_t c = 0; c < type->column_count; c++)
        if (type->columns[c].default_value != NULL)
            BR_TRY(fill_default(&type->columns[c], run, batch, c, error));
    if (table->event_time >= 0)
        BR_TRY(check_event_time(gate, run, batch, passing, error));
    for (uint32_t c = 0; c < type->column_count; c++)
        if (type->columns[c].not_null)
            BR_TRY(check_not_null(gate, run, batch, c, passing, error));
    for (uint32_t k = 0; k < table->check_count; k++)
        BR_TRY(check_condition(gate, run, batch, &table->checks[k], passing, error));
    return BR_OK;
}

static enum br_status check_delete(const struct br_gate *gate, struct br_gate_run *run, const struct br_batch *batch,
                                   struct passing *passing, struct br_error *error) {
    for (uint32_t k = 0; k < gate->table->primary_key_count; k++)
        BR_TRY(check_not_null(gate, run, batch, gate->table->primary_key[k], passing, error));
    return BR_OK;
}

// Over the whole batch, before what was turned away is left out.
static void raise_event_time(const struct br_gate *gate, struct br_gate_run *run, const struct br_batch *batch,
                             const struct passing *passing) {
    if (gate->table->event_time < 0 || run->deletes)
        return;
    const int64_t *times = batch->columns[gate->table->event_time].values;
    int64_t highest = run->event_time_max->us;
    bool all = passing->rejected == 0 && passing->let_in_count == 0;
    for (uint32_t r = 0; r < batch->row_count; r++)
        if (all || (br_bit(passing->bits, r) && !br_bit(passing->let_in, r)))
            highest = times[r] > highest ? times[r] : highest;
    run->event_time_max->us = highest;
}

enum br_status br_gate_apply(const struct br_gate *gate, struct br_gate_run *run, struct br_batch **batch,
                             struct br_error *error) {
    struct passing passing = {.rejected = 0};
    memset(passing.bits, 0xff, sizeof passing.bits);
    if (run->deletes)
        BR_TRY(check_delete(gate, run, *batch, &passing, error));
    else
        BR_TRY(check_all(gate, run, *batch, &passing, error));
    raise_event_time(gate, run, *batch, &passing);
    if (passing.rejected != 0) {
        uint32_t *keep = br_arena_array(run->arena, uint32_t, (*batch)->row_count);
        uint32_t kept = 0;
        for (uint32_t r = 0; r < (*batch)->row_count; r++)
            if (br_bit(passing.bits, r))
                keep[kept++] = r;
        BR_CHECK(kept + passing.rejected == (*batch)->row_count);
        *batch = br_batch_select(*batch, keep, kept, run->arena);
    }
    return BR_OK;
}

bool br_gate_is_ahead(const char *reason, const char *detail) {
    size_t len = detail == NULL ? 0 : strlen(detail), end = strlen(AHEAD);
    return strcmp(reason, "time") == 0 && len > end && strcmp(detail + len - end, AHEAD) == 0;
}
