// SPDX-License-Identifier: Apache-2.0
// See world.h.
#include "world.h"

#include "processor/expr/row.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

// --- relations
void relation_add(struct relation *relation, const char *text, long count) {
    for (size_t i = 0; i < relation->count; i++) {
        if (strcmp(relation->rows[i].text, text) != 0)
            continue;
        relation->rows[i].count += count;
        if (relation->rows[i].count == 0) {
            free(relation->rows[i].text);
            relation->rows[i] = relation->rows[--relation->count];
        }
        return;
    }
    if (count == 0)
        return;
    if (relation->count == relation->capacity) {
        relation->capacity = relation->capacity == 0 ? 16 : 2 * relation->capacity;
        relation->rows = br_realloc(relation->rows, relation->capacity * sizeof *relation->rows);
    }
    relation->rows[relation->count++] = (struct relation_row){br_strdup(text), count};
}

void relation_free(struct relation *relation) {
    for (size_t i = 0; i < relation->count; i++)
        free(relation->rows[i].text);
    free(relation->rows);
    *relation = (struct relation){0};
}

static int compare_rows(const void *a, const void *b) {
    return strcmp(((const struct relation_row *)a)->text, ((const struct relation_row *)b)->text);
}

const char *relation_text(struct relation *relation, struct br_arena *arena) {
    struct br_buffer out = {0};
    if (relation->count != 0)
        qsort(relation->rows, relation->count, sizeof *relation->rows, compare_rows);
    for (size_t i = 0; i < relation->count; i++) {
        if (relation->rows[i].count < 0)
            br_buffer_printf(&out, "%s x%ld\n", relation->rows[i].text, relation->rows[i].count);
        for (long n = 0; n < relation->rows[i].count; n++)
            br_buffer_printf(&out, "%s\n", relation->rows[i].text);
    }
    br_buffer_append_byte(&out, 0);
    char *text = br_arena_strdup(arena, (const char *)out.ptr);
    br_buffer_free(&out);
    return text;
}

// --- rows as text
static void print_value(const struct br_value *value, struct br_buffer *out) {
    if (value->is_null)
        return;
    switch (value->type) {
    case BR_TIMESTAMPTZ:
        br_buffer_printf(out, "%lld", (long long)value->bigint);
        break;
    default:
        br_value_print(value, out);
    }
}

void world_print_row(const struct br_batch *batch, uint32_t row, struct br_buffer *out) {
    for (uint32_t c = 0; c < batch->column_count; c++) {
        if (c != 0)
            br_buffer_append_byte(out, '|');
        struct br_value value = br_column_get(&batch->columns[c], row);
        print_value(&value, out);
    }
}

static void record(struct relation *relation, const char *prefix, const struct br_batch *batch, uint32_t row,
                   long count) {
    struct br_buffer out = {0};
    br_buffer_append_text(&out, prefix);
    world_print_row(batch, row, &out);
    br_buffer_append_byte(&out, 0);
    relation_add(relation, (const char *)out.ptr, count);
    br_buffer_free(&out);
}

static enum br_type type_of(char letter) {
    switch (letter) {
    case 'b':
        return BR_BOOLEAN;
    case 'i':
        return BR_INTEGER;
    case 'l':
        return BR_BIGINT;
    case 'n':
        return BR_NUMERIC;
    case 'd':
        return BR_DOUBLE;
    case 't':
        return BR_TEXT;
    case 'T':
        return BR_TIMESTAMPTZ;
    case 'v':
        return BR_INTERVAL;
    }
    cr_assert_fail("no type %c", letter);
    return BR_UNKNOWN;
}

static void parse_row(struct world *world, const char *text, struct br_batch *batch) {
    uint32_t row = batch->row_count++;
    for (uint32_t c = 0; c < batch->column_count; c++) {
        size_t len = strcspn(text, "|");
        struct br_slice slice = {(const uint8_t *)text, len};
        struct br_value value = {.type = batch->columns[c].type, .is_null = len == 0};
        struct br_error error = {0};
        if (len != 0 && value.type == BR_TIMESTAMPTZ)
            value.bigint = strtoll(text, NULL, 10);
        else if (len != 0)
            cr_assert_eq(br_value_parse(value.type, slice, world->epoch_arena, &value, &error), BR_OK, "%s: %s", text,
                         error.message);
        br_column_set(&batch->columns[c], row, &value);
        text += len + (text[len] == '|');
    }
}

// --- the sink
static enum br_status see_rows(void *context, const struct br_view *view, const struct br_batch *batch,
                               struct br_error *error) {
    (void)error;
    struct world *world = context;
    cr_assert_null(batch->weights);
    for (uint32_t r = 0; r < batch->row_count; r++) {
        record(&world->view[view->index], "", batch, r, 1);
        record(&world->changes[view->index], "+", batch, r, 1);
    }
    return BR_OK;
}

// Changes come in canonical order.
static void check_order(const struct br_change *changes, size_t count) {
    for (size_t i = 1; i < count; i++)
        cr_assert(br_slice_compare(changes[i - 1].key, changes[i].key) <= 0);
}

static enum br_status see_changes(void *context, const struct br_view *view, const struct br_change *changes,
                                  size_t count, struct br_error *error) {
    (void)error;
    struct world *world = context;
    world->change_calls++;
    if (world->quiet)
        return BR_OK;
    cr_assert_gt(count, 0);
    check_order(changes, count);
    for (size_t i = 0; i < count; i++) {
        const struct br_change *change = &changes[i];
        cr_assert_gt(change->count, 0);
        cr_assert(!view->root->has_key || change->count == 1);
        if (change->old_batch != NULL) {
            record(&world->view[view->index], "", change->old_batch, change->old_row, -change->count);
            record(&world->changes[view->index], "-", change->old_batch, change->old_row, change->count);
        }
        if (change->new_batch != NULL) {
            record(&world->view[view->index], "", change->new_batch, change->new_row, change->count);
            record(&world->changes[view->index], "+", change->new_batch, change->new_row, change->count);
        }
    }
    return BR_OK;
}

static enum br_status see_late(void *context, const struct br_view *view, const struct br_node *node,
                               const struct br_batch *batch, uint32_t row, struct br_event_time start,
                               struct br_event_time end, int64_t late_by_us, struct br_error *error) {
    (void)node, (void)error;
    struct world *world = context;
    struct br_buffer out = {0};
    br_buffer_printf(&out, "%s: ", view->name);
    world_print_row(batch, row, &out);
    br_buffer_printf(&out, " [%lld, %lld) by %lld", (long long)start.us, (long long)end.us, (long long)late_by_us);
    br_buffer_append_byte(&out, 0);
    relation_add(&world->late, (const char *)out.ptr, 1);
    br_buffer_free(&out);
    return BR_OK;
}

static enum br_status see_failed(void *context, const struct br_view *view, const struct br_node *node,
                                 const struct br_batch *batch, uint32_t row, const char *message,
                                 struct br_error *error) {
    (void)node, (void)error, (void)batch, (void)row;
    struct world *world = context;
    char text[200];
    snprintf(text, sizeof text, "%s: %s", view->name, message);
    relation_add(&world->failed, text, 1);
    return BR_OK;
}

// --- the plan
struct world *world_create(void) {
    struct world *world = br_calloc(1, sizeof *world);
    world->arena = br_arena_create();
    world->epoch_arena = br_arena_create();
    world->next_state_table = 1;
    world->budget = (size_t)64 << 20;
    world->pipeline = (struct br_pipeline){
        .name = "test", .tables = world->tables, .views = world->views, .nodes = world->nodes, .arena = world->arena};
    for (size_t t = 0; t < WORLD_TABLES; t++) {
        world->before[t].us = world->after[t].us = BR_EVENT_TIME_MIN;
        world->streams[t] = (uint32_t)t;
    }
    world->epoch.number = 1;
    return world;
}

static void close_graph(struct world *world) {
    br_graph_destroy(&world->graph);
}

void world_destroy(struct world **ref) {
    struct world *world = *ref;
    close_graph(world);
    br_state_destroy(&world->state);
    for (size_t v = 0; v < WORLD_VIEWS; v++) {
        relation_free(&world->view[v]);
        relation_free(&world->changes[v]);
    }
    relation_free(&world->late);
    relation_free(&world->failed);
    br_arena_destroy(&world->arena);
    br_arena_destroy(&world->epoch_arena);
    free(world->moments);
    free(world);
    *ref = NULL;
}

uint32_t world_table(struct world *world, const char *name, const char *columns, const int *key) {
    uint32_t index = world->pipeline.table_count++;
    struct br_table *table = &world->tables[index];
    table->name = name;
    table->index = index;
    table->event_time = -1;
    table->row_type.name = name;
    table->row_type.column_count = (uint32_t)strlen(columns);
    table->row_type.columns = br_arena_array(world->arena, struct br_column_def, strlen(columns));
    table->used = br_arena_array(world->arena, bool, strlen(columns));
    table->primary_key = br_arena_array(world->arena, uint32_t, strlen(columns));
    for (uint32_t c = 0; c < table->row_type.column_count; c++) {
        table->row_type.columns[c].type = type_of(columns[c]);
        table->used[c] = true;
    }
    for (; key != NULL && key[table->primary_key_count] >= 0; table->primary_key_count++)
        table->primary_key[table->primary_key_count] = (uint32_t)key[table->primary_key_count];
    return index;
}

static struct br_node *add_node(struct world *world, enum br_node_kind kind, struct br_node *left,
                                struct br_node *right) {
    struct br_node *node = br_arena_new(world->arena, struct br_node);
    node->kind = kind;
    node->id = world->pipeline.node_count;
    node->view = &world->views[0];
    node->inputs[0] = left;
    node->inputs[1] = right;
    node->input_count = (left != NULL) + (right != NULL);
    node->append_only = (left == NULL || left->append_only) && (right == NULL || right->append_only);
    node->fields = br_arena_array(world->arena, struct br_field, 32);
    cr_assert_lt(node->id, WORLD_NODES);
    world->nodes[world->pipeline.node_count++] = node;
    return node;
}

static void add_field(struct br_node *node, enum br_type type) {
    node->fields[node->field_count++] = (struct br_field){.type = type, .nullable = true};
}

static void add_fields(struct br_node *node, const struct br_node *input) {
    for (uint32_t f = 0; f < input->field_count; f++)
        node->fields[node->field_count++] = input->fields[f];
}

static void give_tables(struct world *world, struct br_node *node) {
    node->state_table_count = br_node_state_tables(node);
    node->state_table = node->state_table_count == 0 ? 0 : world->next_state_table;
    world->next_state_table = (uint16_t)(world->next_state_table + node->state_table_count);
}

struct br_node *world_source(struct world *world, uint32_t table) {
    struct br_node *node = add_node(world, BR_NODE_SOURCE, NULL, NULL);
    struct br_table *from = &world->tables[table];
    node->source.table = from;
    node->view = NULL;
    for (uint32_t c = 0; c < from->row_type.column_count; c++)
        add_field(node, from->row_type.columns[c].type);
    node->append_only = from->primary_key_count == 0;
    node->has_key = from->primary_key_count != 0;
    node->key = from->primary_key;
    node->key_count = from->primary_key_count;
    give_tables(world, node);
    return node;
}

struct br_node *world_filter(struct world *world, struct br_node *input, struct br_expr *predicate) {
    struct br_node *node = add_node(world, BR_NODE_FILTER, input, NULL);
    add_fields(node, input);
    node->filter.predicate = predicate;
    node->has_key = input->has_key;
    node->key = input->key;
    node->key_count = input->key_count;
    return node;
}

struct br_node *world_project(struct world *world, struct br_node *input, uint32_t count,
                              struct br_expr *const *exprs) {
    struct br_node *node = add_node(world, BR_NODE_PROJECT, input, NULL);
    node->project.exprs = br_arena_array(world->arena, struct br_expr *, count);
    for (uint32_t i = 0; i < count; i++) {
        node->project.exprs[i] = exprs[i];
        add_field(node, exprs[i]->type);
        if (exprs[i]->kind == BR_EXPR_COLUMN)
            node->fields[i].mark = input->fields[exprs[i]->column].mark;
    }
    return node;
}

struct br_node *world_window(struct world *world, struct br_node *input, uint32_t time_column, int64_t size_us,
                             int64_t slide_us) {
    struct br_node *node = add_node(world, BR_NODE_WINDOW, input, NULL);
    add_fields(node, input);
    add_field(node, BR_TIMESTAMPTZ);
    add_field(node, BR_TIMESTAMPTZ);
    uint32_t table = 0;
    for (const struct br_node *at = input; at != NULL; at = at->inputs[0])
        if (at->kind == BR_NODE_SOURCE)
            table = at->source.table->index;
    node->fields[node->field_count - 2].mark =
        (struct br_window_mark){.kind = BR_MARK_START, .table = table, .size_us = size_us};
    node->fields[node->field_count - 1].mark =
        (struct br_window_mark){.kind = BR_MARK_END, .table = table, .size_us = size_us};
    node->window.time_column = time_column;
    node->window.size_us = size_us;
    node->window.slide_us = slide_us;
    return node;
}

static uint32_t read_columns(const char *text, uint32_t *columns) {
    uint32_t count = 0;
    for (char *end; *text != 0; text = end + (*end == ',')) {
        columns[count++] = (uint32_t)strtoul(text, &end, 10);
    }
    return count;
}

struct br_node *world_aggregate(struct world *world, struct br_node *input, const char *group,
                                const struct br_aggregate *aggregates, uint32_t count) {
    struct br_node *node = add_node(world, BR_NODE_AGGREGATE, input, NULL);
    node->aggregate.group = br_arena_array(world->arena, uint32_t, 32);
    node->aggregate.group_count = read_columns(group, node->aggregate.group);
    node->aggregate.aggregates = br_arena_array(world->arena, struct br_aggregate, count + 1);
    node->aggregate.aggregate_count = count;
    node->aggregate.window_column = -1;
    node->append_only = false;
    node->has_key = true;
    node->key = br_arena_array(world->arena, uint32_t, 32);
    node->key_count = node->aggregate.group_count;
    for (uint32_t g = 0; g < node->aggregate.group_count; g++) {
        node->fields[node->field_count++] = input->fields[node->aggregate.group[g]];
        node->key[g] = g;
        if (node->aggregate.window_column < 0 && node->fields[g].mark.kind != BR_MARK_NONE)
            node->aggregate.window_column = (int32_t)g;
    }
    for (uint32_t a = 0; a < count; a++) {
        node->aggregate.aggregates[a] = aggregates[a];
        add_field(node, aggregates[a].result_type);
    }
    give_tables(world, node);
    return node;
}

struct br_node *world_join(struct world *world, struct br_node *left, struct br_node *right, const char *left_keys,
                           const char *right_keys, bool left_outer) {
    struct br_node *node = add_node(world, BR_NODE_JOIN, left, right);
    add_fields(node, left);
    add_fields(node, right);
    for (uint32_t f = left->field_count; f < node->field_count && left_outer; f++)
        node->fields[f].mark = (struct br_window_mark){0};
    node->join.left_keys = br_arena_array(world->arena, uint32_t, 8);
    node->join.right_keys = br_arena_array(world->arena, uint32_t, 8);
    node->join.key_count = read_columns(left_keys, node->join.left_keys);
    cr_assert_eq(read_columns(right_keys, node->join.right_keys), node->join.key_count);
    node->join.left_outer = left_outer;
    node->append_only = node->append_only && !left_outer;
    give_tables(world, node);
    return node;
}

uint32_t world_view(struct world *world, const char *name, struct br_node *root) {
    uint32_t index = world->pipeline.view_count++;
    world->views[index].name = name;
    world->views[index].index = index;
    world->views[index].root = root;
    return index;
}

struct br_expr *world_column(struct world *world, const struct br_node *input, uint32_t column) {
    return br_expr_column(world->arena, column, input->fields[column].type, -1);
}

struct br_expr *world_number(struct world *world, int32_t value) {
    return br_expr_const(world->arena, (struct br_value){.type = BR_INTEGER, .integer = value}, -1);
}

struct br_expr *world_call(struct world *world, const char *name, struct br_expr *a, struct br_expr *b) {
    struct br_expr *arguments[2] = {a, b}, *call = NULL;
    struct br_error error = {0};
    cr_assert_eq(br_expr_call(world->arena, name, arguments, b == NULL ? 1 : 2, -1, &call, &error), BR_OK, "%s",
                 error.message);
    return call;
}

struct br_aggregate world_agg(const struct br_node *input, enum br_aggregate_kind kind, int argument) {
    enum br_type type = argument < 0 ? BR_UNKNOWN : input->fields[argument].type, result = type;
    if (kind == BR_AGG_COUNT)
        result = BR_BIGINT;
    else if (kind == BR_AGG_SUM && type == BR_INTEGER)
        result = BR_BIGINT;
    else if (kind == BR_AGG_SUM && type == BR_BIGINT)
        result = BR_NUMERIC;
    else if (kind >= BR_AGG_AVG && kind != BR_AGG_BOOL_AND && kind != BR_AGG_BOOL_OR)
        result = type == BR_DOUBLE || type == BR_INTERVAL ? type : BR_NUMERIC;
    return (struct br_aggregate){
        .kind = kind, .argument = argument, .filter = -1, .argument_type = type, .result_type = result};
}

// --- running
void world_start(struct world *world) {
    struct br_error error = {0};
    const struct br_sink sink = {
        .context = world, .rows = see_rows, .changes = see_changes, .late = see_late, .failed = see_failed};
    if (world->state == NULL) {
        struct br_store *store = NULL;
        if (world->store_path == NULL)
            store = br_store_create_memory();
        else
            cr_assert_eq(br_store_open_rocksdb(world->store_path, (size_t)16 << 20, &store, &error), BR_OK, "%s",
                         error.message);
        cr_assert_eq(br_state_create(store, world->budget, &world->state, &error), BR_OK, "%s", error.message);
    }
    cr_assert_eq(br_graph_create(&world->pipeline, world->state, &sink, &world->graph, &error), BR_OK, "%s",
                 error.message);
}

void world_restart(struct world *world) {
    struct br_error error = {0};
    close_graph(world);
    cr_assert_eq(br_state_flush(world->state, world->epoch.number - 1, &error), BR_OK, "%s", error.message);
    if (world->store_path != NULL)
        br_state_destroy(&world->state);
    world_start(world);
}

static struct br_moment moment_of(const void *context, uint32_t origin) {
    const struct world *world = context;
    cr_assert_lt(origin, world->moment_count);
    return world->moments[origin];
}

static uint32_t add_moment(struct world *world, uint32_t table) {
    if (world->moment_count == world->moment_capacity) {
        world->moment_capacity = world->moment_capacity == 0 ? 256 : 2 * world->moment_capacity;
        world->moments = br_realloc(world->moments, world->moment_capacity * sizeof *world->moments);
    }
    world->moments[world->moment_count] = (struct br_moment){
        .stored_us = world->clock_us, .sequence = ++world->sequence, .stream = world->streams[table]};
    return world->moment_count++;
}

static void set_epoch(struct world *world) {
    world->epoch.moment = moment_of;
    world->epoch.moment_context = world;
    world->epoch.watermarks_before = world->before;
    world->epoch.watermarks_after = world->after;
    world->epoch.arena = world->epoch_arena;
}

void world_push_rows(struct world *world, uint32_t table, size_t count, const int32_t *weights,
                     const char *const *rows) {
    const struct br_table *into = &world->tables[table];
    enum br_type types[32];
    struct br_error error = {0};
    for (uint32_t c = 0; c < into->row_type.column_count; c++)
        types[c] = into->row_type.columns[c].type;
    struct br_batch *batch = br_batch_create(world->epoch_arena, types, into->used, into->row_type.column_count);
    br_batch_need_weights(batch, world->epoch_arena);
    br_batch_need_origins(batch, world->epoch_arena);
    bool weighted = false;
    for (size_t r = 0; r < count; r++) {
        parse_row(world, rows[r], batch);
        batch->weights[r] = weights == NULL ? 1 : weights[r];
        batch->origins[r] = add_moment(world, table);
        weighted = weighted || batch->weights[r] != 1;
    }
    if (!weighted)
        batch->weights = NULL;
    set_epoch(world);
    cr_assert_eq(br_graph_push(world->graph, table, batch, &world->epoch, &error), BR_OK, "%s", error.message);
}

void world_push(struct world *world, uint32_t table, int32_t weight, const char *row) {
    world_push_rows(world, table, 1, &weight, &row);
}

void world_end_epoch(struct world *world) {
    struct br_error error = {0};
    for (size_t v = 0; v < WORLD_VIEWS; v++)
        relation_free(&world->changes[v]);
    set_epoch(world);
    cr_assert_eq(br_graph_end_epoch(world->graph, &world->epoch, &error), BR_OK, "%s", error.message);
    br_state_end_epoch(world->state);
    world->epoch.number++;
    world->moment_count = 0;
    br_arena_reset(world->epoch_arena);
    memcpy(world->before, world->after, sizeof world->before);
}

static enum br_status see_scanned(void *context, const struct br_batch *batch, struct br_error *error) {
    (void)error;
    for (uint32_t r = 0; r < batch->row_count; r++) {
        cr_assert_gt(br_batch_weight(batch, r), 0);
        record(context, "", batch, r, br_batch_weight(batch, r));
    }
    return BR_OK;
}

const char *world_scan(struct world *world, uint32_t view) {
    struct relation rows = {0};
    struct br_error error = {0};
    set_epoch(world);
    enum br_status status = br_graph_scan(world->graph, view, &world->epoch, see_scanned, &rows, &error);
    const char *text = relation_text(&rows, world->epoch_arena);
    relation_free(&rows);
    return status == BR_OK ? text : br_arena_printf(world->epoch_arena, "error: %s", error.message);
}

const char *world_seen(struct world *world, uint32_t view) {
    return relation_text(&world->view[view], world->epoch_arena);
}

const char *world_changes(struct world *world, uint32_t view) {
    return relation_text(&world->changes[view], world->epoch_arena);
}

static size_t count_keys(struct world *world, uint16_t number) {
    size_t count = 0;
    struct br_error error = {0};
    struct br_slice all = {0}, key, value;
    struct br_state_iterator *keys = NULL;
    struct br_state_table *table = br_state_open_table(world->state, number, "any");
    cr_assert_eq(br_state_scan(table, all, all, &keys, &error), BR_OK);
    while (br_state_iterator_next(keys, &key, &value))
        count++;
    cr_assert_eq(br_state_iterator_status(keys, &error), BR_OK);
    br_state_iterator_destroy(&keys);
    return count;
}

size_t world_stored(struct world *world) {
    size_t count = 0;
    for (uint16_t number = 1; number < world->next_state_table; number++)
        count += count_keys(world, number);
    return count;
}

size_t world_stored_by(struct world *world, const struct br_node *node) {
    size_t count = 0;
    for (uint16_t i = 0; i < node->state_table_count; i++)
        count += count_keys(world, (uint16_t)(node->state_table + i));
    for (uint32_t port = 0; port < 2 && node->kind == BR_NODE_JOIN; port++)
        count += count_keys(world, br_join_index_table(&world->pipeline, node, port));
    return count;
}

// --- dice
uint32_t dice_roll(struct dice *dice, uint32_t sides) {
    dice->state = dice->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint64_t x = dice->state;
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    return (uint32_t)(x % sides);
}
