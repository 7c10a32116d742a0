// SPDX-License-Identifier: Apache-2.0
// Likeness: a hash of each node, and of each view, that is equal when rows and state are the same; what a changed
// pipeline is compared by (replay/upgrade.h). The signature (plan.c), which is part of the plan's hash, knows all
// columns of a table. Here it matters neither which further ones there are nor where they stand, nor the enum values of
// those that are read:
//
// L1. A field of a node has an identity. That of a table's column says its name, how it lies on the wire and what it
// may
//     hold; filters, windows and lookups pass it on; operators that make rows of their own number their fields.
// L2. Expressions are hashed with the identities of the columns that they read. So a column that nobody reads leaves no
//     trace, but for gates (NOT NULL) and, of a table with a key, for what is stored of a row.
// L3. A projection that only chooses columns of a table is like the table: where a column is left out that nobody
// reads,
//     the planner puts one.
// L4. Equal signatures make equal likeness: what a former build took to be the same is the same.
#include "processor/operators/graph.h"
#include "processor/sql/sql_internal.h"

#include <inttypes.h>
#include <xxhash.h>

#define OF_WINDOW_START 1
#define OF_WINDOW_END 2

struct likeness {
    struct sql_binder *binder;
    uint64_t **fields;    // by node: identities of its fields
    struct br_buffer out; // of the node at hand
};

static void put_number(struct br_buffer *out, int64_t number) {
    br_buffer_append_varint(out, br_zigzag(number));
}

static void put_text(struct br_buffer *out, const char *text) {
    put_number(out, (int64_t)strlen(text));
    br_buffer_append_text(out, text);
}

static uint64_t hash_of(const struct br_buffer *out) {
    return XXH3_64bits(out->ptr, out->len);
}

static void put_shape(struct br_buffer *out, const struct br_expr *expr, const uint64_t *columns) {
    put_number(out, expr->kind);
    put_number(out, expr->type);
    put_number(out, expr->kind == BR_EXPR_COLUMN ? (int64_t)columns[expr->column] : 0);
    put_number(out, expr->argument_count);
    for (uint32_t i = 0; i < expr->argument_count; i++)
        put_shape(out, expr->arguments[i], columns);
}

static void put_expr(struct likeness *likeness, struct br_buffer *out, const struct br_expr *expr,
                     const uint64_t *columns, uint32_t count) {
    put_number(out, expr == NULL ? 0 : 1);
    if (expr == NULL)
        return;
    const char **names = br_arena_array(likeness->binder->arena, const char *, count + 1);
    bool *read = br_arena_array(likeness->binder->arena, bool, count + 1);
    br_expr_mark_columns(expr, read);
    for (uint32_t i = 0; i < count; i++)
        names[i] = read[i] ? br_arena_printf(likeness->binder->arena, "$%" PRIx64, columns[i]) : "";
    br_expr_print(expr, names, out);
    put_shape(out, expr, columns);
}

// --- columns of tables and of versions
static void put_wire(struct likeness *likeness, struct br_buffer *out, const struct br_message_type *message,
                     const char *path) {
    for (size_t len = strcspn(path, ".");; len += 1 + strcspn(path + len + 1, ".")) {
        const struct br_message_field *field;
        struct br_error error;
        if (br_message_find_path(message, br_arena_strndup(likeness->binder->arena, path, len), &field, &error) !=
            BR_OK)
            return;
        put_number(out, field->number);
        put_number(out, field->kind);
        put_number(out, field->has_presence);
        put_number(out, (int64_t)field->default_value.len);
        br_buffer_append_slice(out, field->default_value);
        if (path[len] == '\0')
            return;
    }
}

static uint64_t *identify_columns(struct likeness *likeness, const struct br_row_type *row_type) {
    struct br_buffer BR_CLEANUP(br_buffer_free) out = {0};
    uint64_t *columns = br_arena_array(likeness->binder->arena, uint64_t, row_type->column_count + 1);
    for (uint32_t c = 0; c < row_type->column_count; c++) {
        const struct br_column_def *column = &row_type->columns[c];
        br_buffer_clear(&out);
        put_text(&out, column->name);
        put_number(&out, column->type);
        put_number(&out, column->not_null);
        put_expr(likeness, &out, column->default_value, NULL, 0);
        if (row_type->message != NULL)
            put_wire(likeness, &out, row_type->message, column->path);
        columns[c] = hash_of(&out);
    }
    return columns;
}

static void put_version(struct likeness *likeness, struct br_buffer *out, const struct br_table *table,
                        const struct br_version *version) {
    put_text(out, version->message_name);
    put_number(out, version->step_count);
    for (uint32_t s = 0; s < version->step_count; s++) {
        const struct br_row_type *from = version->steps[s].from, *to = &table->row_type;
        if (s + 1 < version->step_count)
            to = version->steps[s + 1].from;
        const uint64_t *columns = identify_columns(likeness, from);
        put_number(out, to->column_count);
        for (uint32_t c = 0; c < to->column_count; c++) {
            put_text(out, to->columns[c].name);
            put_expr(likeness, out, version->steps[s].exprs[c], columns, from->column_count);
        }
    }
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

// Events without them are turned away, whoever reads them.
static void put_not_null(struct likeness *likeness, struct br_buffer *out, const struct br_row_type *row_type,
                         const uint64_t *columns) {
    uint64_t *sorted = br_arena_array(likeness->binder->arena, uint64_t, row_type->column_count + 1);
    uint32_t count = 0;
    for (uint32_t c = 0; c < row_type->column_count; c++)
        if (row_type->columns[c].not_null)
            sorted[count++] = columns[c];
    qsort(sorted, count, sizeof *sorted, by_value);
    put_number(out, count);
    for (uint32_t i = 0; i < count; i++)
        put_number(out, (int64_t)sorted[i]);
}

static void put_table(struct likeness *likeness, struct br_buffer *out, const struct br_table *table,
                      const uint64_t *columns) {
    put_text(out, table->name);
    put_text(out, table->subject);
    put_number(out, table->layout);
    put_text(out, table->row_type.message_name);
    put_number(out, table->primary_key_count);
    for (uint32_t i = 0; i < table->primary_key_count; i++)
        put_number(out, (int64_t)columns[table->primary_key[i]]);
    put_number(out, table->event_time < 0 ? 0 : (int64_t)columns[table->event_time]);
    put_number(out, table->watermark_delay_us);
    put_number(out, table->future_bound_us);
    put_not_null(likeness, out, &table->row_type, columns);
    put_number(out, table->check_count);
    for (uint32_t i = 0; i < table->check_count; i++)
        put_expr(likeness, out, table->checks[i].condition, columns, table->row_type.column_count);
    put_number(out, table->version_count);
    for (uint32_t i = 1; i < table->version_count; i++)
        put_version(likeness, out, table, &table->versions[i]);
    for (uint32_t c = 0; c < table->row_type.column_count && table->primary_key_count != 0; c++)
        if (table->used[c]) // stored, in this order
            put_number(out, (int64_t)columns[c]);
}

// --- nodes
static const uint64_t *input_fields(const struct likeness *likeness, const struct br_node *node, uint32_t input) {
    return likeness->fields[node->inputs[input]->id];
}

// Rows of its own, each field with its type and its place among windows.
static void own_fields(struct likeness *likeness, const struct br_node *node, uint64_t *fields) {
    struct br_buffer *out = &likeness->out;
    put_number(out, node->field_count);
    for (uint32_t i = 0; i < node->field_count; i++) {
        const struct br_window_mark *mark = &node->fields[i].mark;
        fields[i] = i;
        put_number(out, node->fields[i].type);
        put_number(out, mark->kind);
        put_text(out, mark->kind == BR_MARK_NONE ? "" : likeness->binder->pipeline->tables[mark->table].name);
        put_number(out, mark->size_us);
        put_number(out, mark->lateness_us);
    }
}

static void put_window(struct likeness *likeness, const struct br_node *node, uint64_t *fields) {
    struct br_buffer *out = &likeness->out;
    const uint64_t *below = input_fields(likeness, node, 0);
    uint32_t count = node->inputs[0]->field_count;
    put_number(out, (int64_t)below[node->window.time_column]);
    put_number(out, node->window.size_us);
    put_number(out, node->window.slide_us);
    put_number(out, node->window.origin_us);
    memcpy(fields, below, count * sizeof *fields);
    uint64_t own = hash_of(out);
    fields[count] = own + OF_WINDOW_START;
    fields[count + 1] = own + OF_WINDOW_END;
}

static void put_aggregate(struct likeness *likeness, const struct br_node *node, uint64_t *fields) {
    struct br_buffer *out = &likeness->out;
    const uint64_t *below = input_fields(likeness, node, 0);
    put_number(out, node->aggregate.group_count);
    for (uint32_t i = 0; i < node->aggregate.group_count; i++)
        put_number(out, (int64_t)below[node->aggregate.group[i]]);
    put_number(out, node->aggregate.aggregate_count);
    for (uint32_t i = 0; i < node->aggregate.aggregate_count; i++) {
        const struct br_aggregate *aggregate = &node->aggregate.aggregates[i];
        put_number(out, aggregate->kind);
        put_number(out, aggregate->distinct);
        put_number(out, aggregate->argument >= 0);
        put_number(out, aggregate->argument < 0 ? 0 : (int64_t)below[aggregate->argument]);
        put_number(out, aggregate->filter >= 0);
        put_number(out, aggregate->filter < 0 ? 0 : (int64_t)below[aggregate->filter]);
        put_number(out, aggregate->argument_type);
        put_number(out, aggregate->result_type);
    }
    put_number(out, node->aggregate.window_column);
    put_number(out, node->aggregate.lateness_us);
    put_number(out, node->aggregate.emit_final);
    own_fields(likeness, node, fields);
}

// A lookup stores no rows, so its fields are those of its sides; else what the sides store is all of their fields.
static void put_join(struct likeness *likeness, const struct br_node *node, uint64_t *fields) {
    struct br_buffer *out = &likeness->out;
    struct br_arena *arena = likeness->binder->arena;
    const uint64_t *left = input_fields(likeness, node, 0), *right = input_fields(likeness, node, 1);
    uint32_t left_count = node->inputs[0]->field_count, right_count = node->inputs[1]->field_count;
    uint64_t *both = br_arena_array(arena, uint64_t, left_count + right_count + 1);
    for (uint32_t i = 0; i < left_count; i++)
        both[i] = 2 * left[i];
    for (uint32_t i = 0; i < right_count; i++)
        both[left_count + i] = 2 * right[i] + 1;
    put_number(out, node->join.left_outer);
    put_number(out, node->join.lookup);
    put_number(out, node->join.key_count);
    for (uint32_t i = 0; i < node->join.key_count; i++) {
        put_number(out, (int64_t)left[node->join.left_keys[i]]);
        put_number(out, (int64_t)right[node->join.right_keys[i]]);
    }
    put_expr(likeness, out, node->join.residual, both, left_count + right_count);
    if (node->join.lookup) {
        memcpy(fields, both, (left_count + right_count) * sizeof *fields);
        return;
    }
    put_number(out, left_count);
    for (uint32_t i = 0; i < left_count + right_count; i++)
        put_number(out, (int64_t)both[i]);
    own_fields(likeness, node, fields);
}

bool br_node_chooses(const struct br_node *node) {
    if (node->kind != BR_NODE_PROJECT || node->inputs[0]->kind != BR_NODE_SOURCE)
        return false;
    for (uint32_t i = 0; i < node->field_count; i++)
        if (node->project.exprs[i]->kind != BR_EXPR_COLUMN)
            return false;
    return true;
}

static void put_project(struct likeness *likeness, const struct br_node *node, uint64_t *fields) {
    const uint64_t *below = input_fields(likeness, node, 0);
    for (uint32_t i = 0; i < node->field_count; i++)
        put_expr(likeness, &likeness->out, node->project.exprs[i], below, node->inputs[0]->field_count);
    own_fields(likeness, node, fields);
}

static uint64_t *fields_of(struct likeness *likeness, const struct br_node *node) {
    if (node->kind == BR_NODE_SOURCE)
        return identify_columns(likeness, &node->source.table->row_type);
    uint64_t *fields = br_arena_array(likeness->binder->arena, uint64_t, node->field_count + 1);
    return fields;
}

static void liken(struct likeness *likeness, struct br_node *node) {
    struct br_buffer *out = &likeness->out;
    uint64_t *fields = likeness->fields[node->id] = fields_of(likeness, node);
    if (br_node_chooses(node)) { // L3
        for (uint32_t i = 0; i < node->field_count; i++)
            fields[i] = input_fields(likeness, node, 0)[node->project.exprs[i]->column];
        node->likeness = node->inputs[0]->likeness;
        return;
    }
    br_buffer_clear(out);
    put_number(out, node->kind);
    put_number(out, node->append_only);
    for (uint32_t i = 0; i < node->input_count; i++)
        put_number(out, (int64_t)node->inputs[i]->likeness);
    switch (node->kind) {
    case BR_NODE_SOURCE:
        put_table(likeness, out, node->source.table, fields);
        break;
    case BR_NODE_FILTER:
        put_expr(likeness, out, node->filter.predicate, input_fields(likeness, node, 0), node->inputs[0]->field_count);
        memcpy(fields, input_fields(likeness, node, 0), node->field_count * sizeof *fields);
        break;
    case BR_NODE_PROJECT:
        put_project(likeness, node, fields);
        break;
    case BR_NODE_WINDOW:
        put_window(likeness, node, fields);
        break;
    case BR_NODE_AGGREGATE:
        put_aggregate(likeness, node, fields);
        break;
    case BR_NODE_JOIN:
        put_join(likeness, node, fields);
        break;
    case BR_NODE_SCAN:
        put_number(out, node->scan.view);
        break;
    }
    node->likeness = hash_of(out);
}

void sql_liken(struct sql_binder *binder) {
    struct br_pipeline *pipeline = binder->pipeline;
    struct likeness likeness = {.binder = binder};
    likeness.fields = br_arena_array(binder->arena, uint64_t *, pipeline->node_count + 1);
    for (uint32_t i = 0; i < pipeline->node_count; i++)
        liken(&likeness, pipeline->nodes[i]);
    for (uint32_t v = 0; v < pipeline->view_count; v++) {
        const struct br_node *root = pipeline->views[v].root;
        br_buffer_clear(&likeness.out);
        put_number(&likeness.out, (int64_t)root->likeness);
        for (uint32_t i = 0; i < root->field_count; i++)
            put_number(&likeness.out, (int64_t)likeness.fields[root->id][i]);
        pipeline->views[v].likeness = hash_of(&likeness.out);
    }
    br_buffer_free(&likeness.out);
}
