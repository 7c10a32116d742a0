// SPDX-License-Identifier: Apache-2.0
// Sources: append tables pass their rows on; upsert tables keep the last row of each key and give -old +new.
//
// State of an upsert source (one table): primary key bytes → row bytes (row.h) of the columns in use. A row equal to
// the one that stands gives nothing; a delete of a key that isn't there neither. Keys that come several times in a
// batch are taken in order. A -old row has no origin; a +new row has that of its event.
//
// Of a key that comes several times in a batch only -first +last are given, so that a row that many are joined with
// costs them once: where no operator above reports on rows by themselves (nets), what lies between leaves no trace.
// Those that do report (an expression that fails, a late row) get every step, as the reports are part of the digest.
//
// The input of a query's scan is an operator here too: what is pushed into it goes on.
#include "processor/operators/operator_internal.h"
#include "processor/operators/past.h"

struct source {
    struct br_operator op;
    const struct br_table *table;
    struct br_state_table *rows;    // NULL: append-only
    struct br_past *past;           // for lookups; NULL: there are none
    const struct br_batch *current; // for the step being taken
    struct step *steps;
    uint32_t step_count;
    bool nets;
    struct touch
        *touches; // entries that have no row, to be deleted when the batch is through; with nets all that change
    uint32_t touch_count;
    struct br_buffer encoded;
};

// One row to give: the bytes of an old row (weight -1), or a row of the batch (+1).
struct step {
    struct br_slice old;
    uint32_t row;
    bool undone; // by a later one
};

#define NO_STEP UINT32_MAX

struct touch {
    struct br_entry *entry;
    uint32_t step; // that gives its row; NO_STEP: none of this batch does
};

static enum br_status push_append(struct br_operator *op, uint32_t port, const struct br_batch *batch,
                                  struct br_error *error) {
    (void)port;
    return br_operator_emit(op, batch, error);
}

// --- upsert
// An entry without a row has an empty value: row bytes are never empty (they begin with a presence bitmap).
static struct touch *touch(struct source *source, struct br_entry *entry) {
    if (entry->touched == NULL) {
        source->touches[source->touch_count] = (struct touch){entry, NO_STEP};
        entry->touched = &source->touches[source->touch_count++];
    }
    return entry->touched;
}

static void give_old(struct source *source, const struct br_entry *entry) {
    struct br_slice value = {entry->value, entry->value_len};
    source->steps[source->step_count++] = (struct step){.old = br_arena_copy(source->op.arena, value)};
}

// The row that stands goes. When this batch has given it, it is as if it hadn't.
static void take_back(struct source *source, struct br_entry *entry) {
    struct touch *touched = source->nets ? touch(source, entry) : NULL;
    if (touched != NULL && touched->step != NO_STEP)
        source->steps[touched->step].undone = true;
    else if (entry->value_len != 0)
        give_old(source, entry);
    if (touched != NULL)
        touched->step = NO_STEP;
}

static void note_change(struct source *source, const struct br_entry *entry, uint32_t row) {
    struct br_slice key = {entry->key, entry->key_len}, before = {entry->value, entry->value_len};
    if (source->past != NULL)
        br_past_note(source->past, source->op.graph->epoch, key, entry->hash, before,
                     br_batch_origin(source->current, row));
}

static void delete_row(struct source *source, struct br_entry *entry, uint32_t row) {
    if (entry->value_len != 0) {
        note_change(source, entry, row);
        take_back(source, entry);
        br_entry_resize(source->rows, entry, 0);
    }
    (void)touch(source, entry);
}

static void upsert_row(struct source *source, struct br_entry *entry, uint32_t row) {
    br_buffer_clear(&source->encoded);
    br_row_encode(source->current, row, NULL, source->current->column_count, &source->encoded);
    struct br_slice fresh = br_buffer_slice(&source->encoded);
    if (br_slice_equal(fresh, (struct br_slice){entry->value, entry->value_len}))
        return;
    note_change(source, entry, row);
    take_back(source, entry);
    br_entry_resize(source->rows, entry, (uint32_t)fresh.len);
    memcpy(entry->value, fresh.ptr, fresh.len);
    if (source->nets)
        touch(source, entry)->step = source->step_count;
    source->steps[source->step_count++] = (struct step){.row = row};
}

static void drop_emptied(struct source *source) {
    for (uint32_t i = 0; i < source->touch_count; i++) {
        struct br_entry *entry = source->touches[i].entry;
        entry->touched = NULL;
        if (entry->value_len == 0)
            br_entry_delete(source->rows, entry);
    }
    source->touch_count = 0;
}

static void drop_undone(struct source *source) {
    uint32_t kept = 0;
    for (uint32_t s = 0; s < source->step_count; s++)
        if (!source->steps[s].undone)
            source->steps[kept++] = source->steps[s];
    source->step_count = kept;
}

// Steps begin..end of the list as one batch. Without old rows it is a selection of the input.
static enum br_status build_steps(struct source *source, uint32_t begin, uint32_t end, struct br_batch **ret,
                                  struct br_error *error) {
    struct br_operator *op = &source->op;
    struct br_batch *batch =
        br_batch_sized(op->arena, op->types, source->table->used, op->node->field_count, BR_BATCH_ROWS);
    br_batch_need_weights(batch, op->arena);
    br_batch_need_origins(batch, op->arena);
    for (uint32_t s = begin; s < end; s++) {
        const struct step *step = &source->steps[s];
        if (step->old.len == 0) {
            br_batch_append_row(batch, source->current, step->row);
            batch->origins[s - begin] = br_batch_origin(source->current, step->row);
            continue;
        }
        BR_TRY(br_row_decode(step->old, batch, s - begin, 0, batch->column_count, op->arena, false, error));
        batch->row_count += 1;
        batch->weights[s - begin] = -1;
    }
    *ret = batch;
    return BR_OK;
}

static enum br_status emit_news(struct source *source, struct br_error *error) {
    uint32_t rows[BR_BATCH_ROWS];
    for (uint32_t s = 0; s < source->step_count; s++)
        rows[s] = source->steps[s].row;
    struct br_batch input = *source->current;
    input.weights = NULL;
    return br_operator_emit(&source->op, br_batch_select(&input, rows, source->step_count, source->op.arena), error);
}

static enum br_status emit_steps(struct source *source, struct br_error *error) {
    bool only_news = true;
    for (uint32_t s = 0; s < source->step_count; s++)
        only_news = only_news && source->steps[s].old.len == 0;
    if (only_news)
        return emit_news(source, error);
    for (uint32_t begin = 0; begin < source->step_count; begin += BR_BATCH_ROWS) {
        uint32_t left = source->step_count - begin;
        struct br_batch *batch = NULL;
        BR_TRY(build_steps(source, begin, begin + (left < BR_BATCH_ROWS ? left : BR_BATCH_ROWS), &batch, error));
        BR_TRY(br_operator_emit(&source->op, batch, error));
    }
    return BR_OK;
}

static enum br_status apply_upserts(struct source *source, const struct br_batch *batch, struct br_error *error) {
    struct br_arena *arena = source->op.arena;
    uint32_t count = batch->row_count;
    struct br_slice *keys = br_arena_alloc(arena, count * sizeof *keys);
    uint64_t *hashes = br_arena_alloc(arena, count * sizeof *hashes);
    struct br_entry **entries = br_arena_alloc(arena, count * sizeof *entries);
    bool *is_new = br_arena_alloc(arena, count);
    br_batch_keys(batch, source->table->primary_key, source->table->primary_key_count, arena, keys);
    for (uint32_t r = 0; r < count; r++)
        hashes[r] = br_state_hash(keys[r]);
    BR_TRY(br_state_obtain_many(source->rows, keys, hashes, count, 0, entries, is_new, error));
    source->current = batch;
    source->step_count = 0;
    source->steps = br_arena_alloc(arena, 2 * count * sizeof *source->steps);
    source->touches = br_arena_alloc(arena, count * sizeof *source->touches);
    for (uint32_t r = 0; r < count; r++) {
        if (br_batch_weight(batch, r) > 0)
            upsert_row(source, entries[r], r);
        else
            delete_row(source, entries[r], r);
    }
    drop_emptied(source);
    drop_undone(source);
    return emit_steps(source, error);
}

// Without the columns that nobody reads: they would make changes that nobody sees.
static struct br_batch without_unused(const struct source *source, const struct br_batch *batch) {
    struct br_batch used = *batch;
    used.columns = br_arena_alloc(source->op.arena, batch->column_count * sizeof *used.columns);
    for (uint32_t c = 0; c < batch->column_count; c++) {
        used.columns[c] = batch->columns[c];
        if (!source->table->used[c])
            used.columns[c].values = NULL;
    }
    return used;
}

static enum br_status push_upsert(struct br_operator *op, uint32_t port, const struct br_batch *batch,
                                  struct br_error *error) {
    (void)port;
    struct source *source = (struct source *)op;
    struct br_batch used = without_unused(source, batch);
    enum br_status status = apply_upserts(source, &used, error);
    br_arena_reset(op->arena);
    return status;
}

// --- reading back
static enum br_status scan_append(struct br_operator *op, const struct br_value *const *equal, br_graph_each each,
                                  void *context, struct br_error *error) {
    (void)equal, (void)each, (void)context;
    return br_error_set(error, BR_DATA,
                        "keeps no rows: it only passes on rows of the stream of table %s. Read its output stream "
                        "instead (braid tail), or query a view that aggregates it",
                        ((struct source *)op)->table->name);
}

static enum br_status scan_rows(struct source *source, struct br_state_iterator *rows, br_graph_each each,
                                void *context, struct br_error *error) {
    struct br_operator *op = &source->op;
    struct br_slice key, value;
    bool more = br_state_iterator_next(rows, &key, &value);
    while (more) {
        struct br_batch *batch =
            br_batch_sized(op->arena, op->types, source->table->used, op->node->field_count, BR_BATCH_ROWS);
        for (; more && batch->row_count < BR_BATCH_ROWS; more = br_state_iterator_next(rows, &key, &value)) {
            BR_TRY(br_row_decode(value, batch, batch->row_count, 0, batch->column_count, op->arena, true, error));
            batch->row_count += 1;
        }
        BR_TRY(br_operator_look(op, error));
        BR_TRY(each(context, batch, error));
        br_arena_reset(op->arena);
    }
    return br_state_iterator_status(rows, error);
}

static enum br_status scan_one(struct source *source, struct br_slice key, br_graph_each each, void *context,
                               struct br_error *error) {
    struct br_operator *op = &source->op;
    struct br_entry *entry;
    BR_TRY(br_state_find(source->rows, key, br_state_hash(key), &entry, error));
    if (entry == NULL || entry->value_len == 0)
        return BR_OK;
    struct br_batch *batch = br_batch_sized(op->arena, op->types, source->table->used, op->node->field_count, 1);
    struct br_slice value = {entry->value, entry->value_len};
    BR_TRY(br_row_decode(value, batch, 0, 0, batch->column_count, op->arena, true, error));
    batch->row_count = 1;
    return each(context, batch, error);
}

static enum br_status scan_upsert(struct br_operator *op, const struct br_value *const *equal, br_graph_each each,
                                  void *context, struct br_error *error) {
    struct source *source = (struct source *)op;
    struct br_state_iterator *rows = NULL;
    struct br_arena *arena = br_arena_create();
    struct br_key_range range;
    (void)br_key_range_of(equal, source->table->primary_key, source->table->primary_key_count, arena, &range);
    enum br_status status = range.whole ? scan_one(source, range.first, each, context, error)
                                        : br_state_scan(source->rows, range.first, range.last, &rows, error);
    if (status == BR_OK && !range.whole)
        status = scan_rows(source, rows, each, context, error);
    br_state_iterator_destroy(&rows);
    br_arena_destroy(&arena);
    br_arena_reset(op->arena);
    return status;
}

// --- making
static bool can_not_fail(const struct br_aggregate *aggregate) {
    switch (aggregate->kind) {
    case BR_AGG_COUNT:
    case BR_AGG_MIN:
    case BR_AGG_MAX:
    case BR_AGG_BOOL_AND:
    case BR_AGG_BOOL_OR:
        return true;
    default:
        return false;
    }
}

// Does a node say nothing of any row but what it gives? A group that fails is reported whenever it is touched.
static bool is_silent(const struct br_node *node) {
    bool silent = true;
    switch (node->kind) {
    case BR_NODE_FILTER:
        return !br_expr_may_fail(node->filter.predicate);
    case BR_NODE_PROJECT:
        for (uint32_t i = 0; i < node->field_count; i++)
            silent = silent && !br_expr_may_fail(node->project.exprs[i]);
        return silent;
    case BR_NODE_JOIN:
        return node->join.residual == NULL || !br_expr_may_fail(node->join.residual);
    case BR_NODE_AGGREGATE:
        for (uint32_t i = 0; i < node->aggregate.aggregate_count; i++)
            silent = silent && can_not_fail(&node->aggregate.aggregates[i]);
        return silent;
    case BR_NODE_WINDOW:
    case BR_NODE_SOURCE:
    case BR_NODE_SCAN:
        break;
    }
    return false;
}

static bool nothing_reports(struct br_graph *graph, const struct br_node *source) {
    bool *above = br_calloc(graph->node_count + 1, sizeof *above), silent = graph->pipeline != NULL;
    for (uint32_t n = 0; n < graph->node_count && silent; n++) { // inputs come first
        const struct br_node *node = graph->nodes[n];
        for (uint32_t i = 0; i < node->input_count; i++)
            above[n] = above[n] || node->inputs[i] == source || above[node->inputs[i]->id];
        silent = !above[n] || is_silent(node);
    }
    free(above);
    return silent;
}

static void destroy(struct br_operator *op) {
    br_buffer_free(&((struct source *)op)->encoded);
    br_operator_free(op);
}

static const struct br_operator_class append_class = {"source", push_append, NULL, scan_append, destroy};
static const struct br_operator_class upsert_class = {"source", push_upsert, NULL, scan_upsert, destroy};
static const struct br_operator_class input_class = {"scan", push_append, NULL, NULL, br_operator_free};

enum br_status br_source_create(struct br_graph *graph, const struct br_node *node, struct br_operator **ret,
                                struct br_error *error) {
    bool upsert = node->source.table->primary_key_count != 0;
    struct source *source = br_operator_alloc(graph, node, upsert ? &upsert_class : &append_class, sizeof *source);
    source->table = node->source.table;
    source->nets = upsert && !source->table->takes_any_time && nothing_reports(graph, node);
    enum br_status status = upsert ? br_operator_table(&source->op, 0, "rows", &source->rows, error) : BR_OK;
    if (status != BR_OK) {
        destroy(&source->op);
        return status;
    }
    *ret = &source->op;
    return BR_OK;
}

enum br_status br_scan_create(struct br_graph *graph, const struct br_node *node, struct br_operator **ret,
                              struct br_error *error) {
    (void)error;
    *ret = br_operator_alloc(graph, node, &input_class, sizeof(struct br_operator));
    return BR_OK;
}

struct br_state_table *br_source_rows(struct br_operator *op) {
    return op->class == &upsert_class ? ((struct source *)op)->rows : NULL;
}

const struct br_past *br_source_keep_past(struct br_operator *op) {
    struct source *source = (struct source *)op;
    if (source->past == NULL)
        source->past = br_arena_new(op->graph->arena, struct br_past);
    return source->past;
}
