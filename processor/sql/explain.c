// SPDX-License-Identifier: Apache-2.0
// What can be said about a plan: per view the tree of its operators, with keys, append-only marks, when windows close,
// what is kept in which state tables. A view read by another is named there, not repeated.
#include "processor/operators/closing.h"
#include "processor/sql/sql_internal.h"

#include <inttypes.h>

struct explain {
    const struct br_pipeline *pipeline;
    struct br_arena *arena;
    struct br_buffer *out;
};

// --- words, for both forms
static const char *duration(struct br_arena *arena, int64_t us) {
    static const struct {
        int64_t us;
        const char *name;
    } units[] = {
        {INT64_C(86400000000), "day"}, {INT64_C(3600000000), "hour"}, {60000000, "minute"}, {1000000, "second"}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (us != 0 && us % units[i].us == 0) {
            int64_t n = us / units[i].us;
            return br_arena_printf(arena, "%" PRId64 " %s%s", n, units[i].name, n == 1 ? "" : "s");
        }
    return us == 0 ? "0 seconds" : br_arena_printf(arena, "%" PRId64 " microseconds", us);
}

static const char *const *names_of(const struct explain *e, const struct br_node *left, const struct br_node *right) {
    uint32_t left_count = left->field_count, right_count = right == NULL ? 0 : right->field_count;
    const char **names = br_arena_array(e->arena, const char *, left_count + right_count + 1);
    for (uint32_t i = 0; i < left_count; i++)
        names[i] = left->fields[i].name;
    for (uint32_t i = 0; right != NULL && i < right_count; i++)
        names[left_count + i] = right->fields[i].name;
    return names;
}

static const char *taken(struct explain *e, struct br_buffer *text) {
    const char *copy = br_arena_strndup(e->arena, (const char *)text->ptr, text->len);
    br_buffer_free(text);
    return copy;
}

static const char *expr_text(struct explain *e, const struct br_expr *expr, const char *const *names) {
    struct br_buffer text = {0};
    br_expr_print(expr, names, &text);
    return taken(e, &text);
}

static const char *columns_text(struct explain *e, const struct br_node *node, const uint32_t *columns,
                                uint32_t count) {
    struct br_buffer text = {0};
    for (uint32_t i = 0; i < count; i++)
        br_buffer_printf(&text, "%s%s", i == 0 ? "" : ", ", node->fields[columns[i]].name);
    return taken(e, &text);
}

static const char *aggregate_text(struct explain *e, const struct br_node *node, const struct br_aggregate *aggregate) {
    static const char *const names[] = {"count",   "sum",         "min",        "max",      "avg",    "bool_and",
                                        "bool_or", "stddev_samp", "stddev_pop", "var_samp", "var_pop"};
    const struct br_node *input = node->inputs[0];
    struct br_buffer text = {0};
    br_buffer_printf(&text, "%s(%s%s)", names[aggregate->kind], aggregate->distinct ? "DISTINCT " : "",
                     aggregate->argument < 0 ? "*" : input->fields[aggregate->argument].name);
    if (aggregate->filter >= 0)
        br_buffer_printf(&text, " FILTER (WHERE %s)", input->fields[aggregate->filter].name);
    return taken(e, &text);
}

static const char *closing_text(struct explain *e, const struct br_node *node) {
    if (node->aggregate.window_column < 0)
        return NULL;
    const struct br_field *field = &node->fields[node->aggregate.window_column];
    struct br_buffer text = {0};
    br_buffer_printf(&text, "closes when %s", field->name);
    if (field->mark.kind == BR_MARK_START)
        br_buffer_printf(&text, " + %s", duration(e->arena, field->mark.size_us));
    if (node->aggregate.lateness_us != 0)
        br_buffer_printf(&text, " + %s", duration(e->arena, node->aggregate.lateness_us));
    br_buffer_printf(&text, " <= watermark of %s", e->pipeline->tables[field->mark.table].name);
    return taken(e, &text);
}

// When a join lets go of the rows of a side.
static const char *going_text(struct explain *e, const struct br_node *node, uint32_t port) {
    struct br_closing closing = br_join_closing(e->pipeline, node, port);
    struct br_buffer text = {0};
    if (!closing.closes)
        return NULL;
    br_buffer_printf(&text, "%s rows%s go when ", port == 0 ? "left" : "right",
                     closing.read_back ? " that have met nothing" : "");
    for (uint32_t i = 0; i < closing.bound_count; i++)
        br_buffer_printf(&text, "%s%s + %s <= watermark of %s", i == 0 ? "" : " and ",
                         node->inputs[port]->fields[closing.column].name,
                         duration(e->arena, closing.bounds[i].offset_us),
                         e->pipeline->tables[closing.bounds[i].table].name);
    return taken(e, &text);
}

static const char *stores_text(const struct br_node *node) {
    switch (node->kind) {
    case BR_NODE_SOURCE:
        return node->state_table_count == 0 ? NULL : "stores rows by primary key";
    case BR_NODE_AGGREGATE:
        return "stores groups, rows of closed windows, and values that an aggregate may need again";
    case BR_NODE_JOIN:
        if (node->join.lookup)
            return NULL;
        return "both sides stored: left rows, right rows";
    default:
        return NULL;
    }
}

static const char *key_text(struct explain *e, const struct br_node *node) {
    if (!node->has_key)
        return "no key";
    if (node->key_count == 0)
        return "at most one row";
    return br_arena_printf(e->arena, "key (%s)", columns_text(e, node, node->key, node->key_count));
}

static const char *window_text(struct explain *e, const struct br_node *node) {
    const char *column = node->fields[node->window.time_column].name;
    if (node->window.size_us == node->window.slide_us)
        return br_arena_printf(e->arena, "tumble by %s, %s", column, duration(e->arena, node->window.size_us));
    return br_arena_printf(e->arena, "hop by %s, %s every %s", column, duration(e->arena, node->window.size_us),
                           duration(e->arena, node->window.slide_us));
}

static const char *condition_text(struct explain *e, const struct br_node *node) {
    const struct br_node *left = node->inputs[0], *right = node->inputs[1];
    struct br_buffer text = {0};
    for (uint32_t i = 0; i < node->join.key_count; i++)
        br_buffer_printf(&text, "%sleft %s = right %s", i == 0 ? "" : " and ",
                         left->fields[node->join.left_keys[i]].name, right->fields[node->join.right_keys[i]].name);
    if (node->join.residual != NULL)
        br_buffer_printf(&text, ", where %s", expr_text(e, node->join.residual, names_of(e, left, right)));
    return taken(e, &text);
}

static const char *kind_text(const struct br_node *node) {
    switch (node->kind) {
    case BR_NODE_SOURCE:
        return node->source.table->primary_key_count == 0 ? "stream" : "upsert table";
    case BR_NODE_FILTER:
        return "filter";
    case BR_NODE_PROJECT:
        return "project";
    case BR_NODE_WINDOW:
        return "window";
    case BR_NODE_AGGREGATE:
        return "aggregate";
    case BR_NODE_JOIN:
        return node->join.lookup       ? (node->join.left_outer ? "left lookup join" : "lookup join")
               : node->join.left_outer ? "left join"
                                       : "join";
    case BR_NODE_SCAN:
        return "scan";
    }
    return "?";
}

static const char *project_text(struct explain *e, const struct br_node *node) {
    const char *const *names = names_of(e, node->inputs[0], NULL);
    struct br_buffer text = {0};
    for (uint32_t i = 0; i < node->field_count; i++) {
        const char *expr = expr_text(e, node->project.exprs[i], names);
        br_buffer_printf(&text, "%s%s", i == 0 ? "" : ", ", expr);
        if (strcmp(expr, node->fields[i].name) != 0)
            br_buffer_printf(&text, " AS %s", node->fields[i].name);
    }
    return taken(e, &text);
}

static const char *group_text(struct explain *e, const struct br_node *node) {
    struct br_buffer text = {0};
    uint32_t groups = node->aggregate.group_count;
    if (groups != 0)
        br_buffer_printf(&text, "by %s%s", columns_text(e, node->inputs[0], node->aggregate.group, groups),
                         node->aggregate.aggregate_count == 0 ? "" : ": ");
    for (uint32_t i = 0; i < node->aggregate.aggregate_count; i++)
        br_buffer_printf(&text, "%s%s", i == 0 ? "" : ", ", aggregate_text(e, node, &node->aggregate.aggregates[i]));
    return taken(e, &text);
}

// What the operator does, in one line.
static const char *detail_text(struct explain *e, const struct br_node *node) {
    switch (node->kind) {
    case BR_NODE_SOURCE:
        return node->source.table->name;
    case BR_NODE_FILTER:
        return expr_text(e, node->filter.predicate, names_of(e, node->inputs[0], NULL));
    case BR_NODE_PROJECT:
        return project_text(e, node);
    case BR_NODE_WINDOW:
        return window_text(e, node);
    case BR_NODE_AGGREGATE:
        return group_text(e, node);
    case BR_NODE_JOIN:
        return condition_text(e, node);
    case BR_NODE_SCAN:
        return "";
    }
    return "";
}

static const struct br_view *view_at(const struct explain *e, const struct br_node *node, const struct br_view *below) {
    for (uint32_t i = 0; i < e->pipeline->view_count; i++)
        if (e->pipeline->views[i].root == node && &e->pipeline->views[i] != below)
            return &e->pipeline->views[i];
    return NULL;
}

// --- text
static void indent(struct explain *e, unsigned depth) {
    for (unsigned i = 0; i < depth; i++)
        br_buffer_append_text(e->out, "  ");
}

static void print_traits(struct explain *e, const struct br_node *node, unsigned depth) {
    indent(e, depth + 2);
    br_buffer_printf(e->out, "%s, %s", key_text(e, node), node->append_only ? "append-only" : "rows change");
    const char *closing = node->kind == BR_NODE_AGGREGATE ? closing_text(e, node) : NULL;
    if (node->kind == BR_NODE_AGGREGATE)
        br_buffer_printf(e->out, "; %s%s", closing == NULL ? "never closes" : closing,
                         node->aggregate.emit_final ? ", and only then gives its rows" : "");
    if (node->kind == BR_NODE_JOIN && node->join.lookup)
        br_buffer_append_text(e->out, "; the left side is not stored, later changes of the right don't revise it");
    const char *stores = stores_text(node);
    if (stores != NULL && node->state_table_count != 0)
        br_buffer_printf(e->out,
                         node->state_table_count == 1 ? "; %s (state table %u)" : "; %s (state tables %u to %u)",
                         stores, node->state_table, node->state_table + node->state_table_count - 1u);
    for (uint32_t port = 0; port < 2 && node->kind == BR_NODE_JOIN; port++) {
        const char *going = going_text(e, node, port);
        if (going != NULL)
            br_buffer_printf(e->out, "; %s", going);
    }
    br_buffer_append_text(e->out, "\n");
}

static void print_node(struct explain *e, const struct br_node *node, const struct br_view *view, unsigned depth) {
    const struct br_view *other = view_at(e, node, view);
    indent(e, depth);
    if (other != NULL && depth > 1) {
        br_buffer_printf(e->out, "view %s\n", other->name);
        return;
    }
    br_buffer_printf(e->out, "%s %s\n", kind_text(node), detail_text(e, node));
    print_traits(e, node, depth);
    for (uint32_t i = 0; i < node->input_count; i++)
        print_node(e, node->inputs[i], view, depth + 1);
}

static void print_table(struct explain *e, const struct br_table *table) {
    br_buffer_printf(e->out, "table %s: subject %s, message %s%s", table->name, table->subject,
                     table->row_type.message_name, table->layout == BR_LAYOUT_DELIMITED ? ", delimited" : "");
    if (table->primary_key_count == 0) {
        br_buffer_append_text(e->out, "; append-only");
    } else {
        br_buffer_append_text(e->out, table->lookup ? "; lookup by (" : "; upsert by (");
        for (uint32_t i = 0; i < table->primary_key_count; i++)
            br_buffer_printf(e->out, "%s%s", i == 0 ? "" : ", ", table->row_type.columns[table->primary_key[i]].name);
        br_buffer_append_text(e->out, ")");
    }
    if (table->event_time >= 0)
        br_buffer_printf(e->out, "; event time %s, watermark %s behind",
                         table->row_type.columns[table->event_time].name,
                         duration(e->arena, table->watermark_delay_us));
    br_buffer_append_text(e->out, table->read ? "\n" : "; read by no view\n");
    for (uint32_t i = 1; i < table->version_count; i++)
        br_buffer_printf(e->out, "  version %s, %u step%s\n", table->versions[i].message_name,
                         table->versions[i].step_count, table->versions[i].step_count == 1 ? "" : "s");
}

static void print_view(struct explain *e, const struct br_view *view) {
    br_buffer_printf(e->out, "\nview %s: subject %s, message %s, %s, emits %s", view->name, view->subject,
                     view->row_type.message_name, view->format == BR_FORMAT_JSON ? "json" : "protobuf",
                     view->emit_final ? "final rows" : "changes");
    if (view->layout == BR_LAYOUT_PACKED)
        br_buffer_append_text(e->out, " packed");
    if (view->emit_interval_us != 0)
        br_buffer_printf(e->out, " at most every %s a key", duration(e->arena, view->emit_interval_us));
    if (view->lateness_us != 0)
        br_buffer_printf(e->out, ", lateness %s", duration(e->arena, view->lateness_us));
    if (view->ttl_us != 0)
        br_buffer_printf(e->out, ", ttl %s", duration(e->arena, view->ttl_us));
    if (view->effect)
        br_buffer_append_text(e->out, ", has side effects: no replay releases it");
    br_buffer_append_text(e->out, "\n");
    print_node(e, view->root, view, 1);
}

static void print_text(struct explain *e) {
    br_buffer_printf(e->out, "pipeline %s, plan %016" PRIx64 "\n", e->pipeline->name, e->pipeline->plan_hash);
    for (uint32_t i = 0; i < e->pipeline->table_count; i++)
        print_table(e, &e->pipeline->tables[i]);
    for (uint32_t i = 0; i < e->pipeline->view_count; i++)
        print_view(e, &e->pipeline->views[i]);
}

// --- JSON
static void json_key(struct explain *e, const char *name) {
    uint8_t last = e->out->len == 0 ? '{' : e->out->ptr[e->out->len - 1];
    if (last != '{' && last != '[')
        br_buffer_append_text(e->out, ",");
    if (name == NULL)
        return;
    br_json_append_string(br_slice_of(name), e->out);
    br_buffer_append_text(e->out, ":");
}
static void json_text(struct explain *e, const char *name, const char *text) {
    json_key(e, name);
    br_json_append_string(br_slice_of(text), e->out);
}
static void json_bool(struct explain *e, const char *name, bool value) {
    json_key(e, name);
    br_buffer_append_text(e->out, value ? "true" : "false");
}
static void json_number(struct explain *e, const char *name, int64_t value) {
    json_key(e, name);
    br_buffer_printf(e->out, "%" PRId64, value);
}
static void json_open(struct explain *e, const char *name, const char *bracket) {
    json_key(e, name);
    br_buffer_append_text(e->out, bracket);
}
static void json_close(struct explain *e, const char *bracket) {
    br_buffer_append_text(e->out, bracket);
}

static void json_key_columns(struct explain *e, const struct br_node *node) {
    if (!node->has_key) {
        json_key(e, "key");
        br_buffer_append_text(e->out, "null");
        return;
    }
    json_open(e, "key", "[");
    for (uint32_t i = 0; i < node->key_count; i++)
        json_text(e, NULL, node->fields[node->key[i]].name);
    json_close(e, "]");
}

static void json_node(struct explain *e, const struct br_node *node, const struct br_view *view, bool top) {
    const struct br_view *other = top ? NULL : view_at(e, node, view);
    json_open(e, NULL, "{");
    json_number(e, "id", node->id);
    if (other != NULL) {
        json_text(e, "operator", "view");
        json_text(e, "view", other->name);
        json_close(e, "}");
        return;
    }
    json_text(e, "operator", kind_text(node));
    json_text(e, "detail", detail_text(e, node));
    json_open(e, "columns", "[");
    for (uint32_t i = 0; i < node->field_count; i++) {
        json_open(e, NULL, "{");
        json_text(e, "name", node->fields[i].name);
        json_text(e, "type", br_type_name(node->fields[i].type));
        json_bool(e, "nullable", node->fields[i].nullable);
        json_close(e, "}");
    }
    json_close(e, "]");
    json_key_columns(e, node);
    json_bool(e, "append_only", node->append_only);
    const char *closing = node->kind == BR_NODE_AGGREGATE ? closing_text(e, node) : NULL;
    if (closing != NULL)
        json_text(e, "closes", closing);
    if (node->state_table_count != 0) {
        json_number(e, "state_table", node->state_table);
        json_number(e, "state_table_count", node->state_table_count);
    }
    if (stores_text(node) != NULL)
        json_text(e, "stores", stores_text(node));
    json_text(e, "signature", br_arena_printf(e->arena, "%016" PRIx64, node->signature));
    json_open(e, "inputs", "[");
    for (uint32_t i = 0; i < node->input_count; i++)
        json_node(e, node->inputs[i], view, false);
    json_close(e, "]");
    json_close(e, "}");
}

static void json_table(struct explain *e, const struct br_table *table) {
    json_open(e, NULL, "{");
    json_text(e, "name", table->name);
    json_text(e, "subject", table->subject);
    json_text(e, "message", table->row_type.message_name);
    json_text(e, "layout", table->layout == BR_LAYOUT_DELIMITED ? "delimited" : "single");
    json_open(e, "primary_key", "[");
    for (uint32_t i = 0; i < table->primary_key_count; i++)
        json_text(e, NULL, table->row_type.columns[table->primary_key[i]].name);
    json_close(e, "]");
    json_bool(e, "lookup", table->lookup);
    json_bool(e, "read", table->read);
    if (table->event_time >= 0) {
        json_text(e, "event_time", table->row_type.columns[table->event_time].name);
        json_number(e, "watermark_delay_us", table->watermark_delay_us);
    }
    json_open(e, "versions", "[");
    for (uint32_t i = 0; i < table->version_count; i++)
        json_text(e, NULL, table->versions[i].message_name);
    json_close(e, "]");
    json_close(e, "}");
}

static void json_view(struct explain *e, const struct br_view *view) {
    json_open(e, NULL, "{");
    json_text(e, "name", view->name);
    json_text(e, "subject", view->subject);
    json_text(e, "message", view->row_type.message_name);
    json_text(e, "format", view->format == BR_FORMAT_JSON ? "json" : "protobuf");
    json_text(e, "layout", view->layout == BR_LAYOUT_PACKED ? "packed" : "single");
    json_text(e, "emit", view->emit_final ? "final" : "changes");
    json_number(e, "lateness_us", view->lateness_us);
    json_number(e, "emit_interval_us", view->emit_interval_us);
    json_number(e, "ttl_us", view->ttl_us);
    json_bool(e, "effect", view->effect);
    json_open(e, "plan", "[");
    json_node(e, view->root, view, true);
    json_close(e, "]");
    json_close(e, "}");
}

static void print_json(struct explain *e) {
    br_buffer_append_text(e->out, "{");
    json_text(e, "pipeline", e->pipeline->name);
    json_text(e, "plan_hash", br_arena_printf(e->arena, "%016" PRIx64, e->pipeline->plan_hash));
    json_open(e, "tables", "[");
    for (uint32_t i = 0; i < e->pipeline->table_count; i++)
        json_table(e, &e->pipeline->tables[i]);
    json_close(e, "]");
    json_open(e, "views", "[");
    for (uint32_t i = 0; i < e->pipeline->view_count; i++)
        json_view(e, &e->pipeline->views[i]);
    json_close(e, "]");
    br_buffer_append_text(e->out, "}\n");
}

void br_explain(const struct br_pipeline *pipeline, bool json, struct br_buffer *out) {
    struct explain e = {pipeline, br_arena_create(), out};
    (json ? print_json : print_text)(&e);
    br_arena_destroy(&e.arena);
}
