// SPDX-License-Identifier: Apache-2.0
// Reasons: what differs between two plans of a view, in the words of SQL.
//
// The operators of a view are read off into facets (what is filtered, grouped, joined, …), each one text; facets that
// differ are reasons. So an operator that comes or goes shifts nothing else. Tables beneath are compared gate by gate.
// Functions and plain views leave nothing of their own in a plan: when the text of one has changed that the view's text
// mentions, directly or through others, that is the reason that is told first.
#include "processor/sql/sql.h"
#include "replay/upgrade_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#define SHOWN_CHARACTERS_MAX 90
#define MENTIONS_DEEP_MAX 16 // functions in functions

void upgrade_reason(struct upgrade_reasons *reasons, const char *format, ...) {
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    br_buffer_append_text(&reasons->text, reasons->text.len == 0 ? "" : "; ");
    br_buffer_append_text(&reasons->text, text);
}

static void reason_of_plan(struct upgrade_reasons *reasons, const char *what, const char *before, const char *after) {
    reasons->others = true;
    if (strlen(before) > SHOWN_CHARACTERS_MAX || strlen(after) > SHOWN_CHARACTERS_MAX)
        upgrade_reason(reasons, "%s changed", what);
    else if (*before == '\0')
        upgrade_reason(reasons, "%s added: %s", what, after);
    else if (*after == '\0')
        upgrade_reason(reasons, "%s removed (was %s)", what, before);
    else
        upgrade_reason(reasons, "%s changed: %s (was %s)", what, after, before);
}

const struct br_view *upgrade_view_of(const struct br_pipeline *pipeline, const struct br_node *root) {
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        if (pipeline->views[v].root == root)
            return &pipeline->views[v];
    return NULL;
}

// --- facets
enum facet {
    FACET_READS,
    FACET_WHERE,
    FACET_HAVING,
    FACET_WINDOW,
    FACET_JOIN,
    FACET_GROUP,
    FACET_AGGREGATES,
    FACET_SELECT
};
#define FACET_COUNT (FACET_SELECT + 1)
static const char *const facet_names[FACET_COUNT] = {"what is read", "WHERE",     "HAVING",     "window",
                                                     "join",         "group key", "aggregates", "select list"};

struct facets {
    struct br_arena *arena;
    const struct br_pipeline *pipeline;
    const struct br_view *view;
    const char *text[FACET_COUNT];
    bool lookup;
};

static void add(struct facets *facets, enum facet facet, const char *separator, const char *text) {
    const char *had = facets->text[facet];
    facets->text[facet] = *had == '\0' ? text : br_arena_printf(facets->arena, "%s%s%s", had, separator, text);
}

static const char *expr_text(struct facets *facets, const struct br_expr *expr, const struct br_node *left,
                             const struct br_node *right) {
    uint32_t left_count = left->field_count, right_count = right == NULL ? 0 : right->field_count;
    const char **names = br_arena_array(facets->arena, const char *, left_count + right_count + 1);
    for (uint32_t i = 0; i < left_count; i++)
        names[i] = left->fields[i].name;
    for (uint32_t i = 0; right != NULL && i < right_count; i++)
        names[left_count + i] = right->fields[i].name;
    struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
    br_expr_print(expr, names, &text);
    return br_arena_strndup(facets->arena, (const char *)text.ptr, text.len);
}

static bool over_groups(const struct br_node *node) {
    while (node->kind == BR_NODE_PROJECT || node->kind == BR_NODE_FILTER)
        node = node->inputs[0];
    return node->kind == BR_NODE_AGGREGATE;
}

static void add_window(struct facets *facets, const struct br_node *node) {
    add(facets, FACET_WINDOW, ", ",
        br_arena_printf(facets->arena, "%s by %s, %.15g s every %.15g s",
                        node->window.size_us == node->window.slide_us ? "tumble" : "hop",
                        node->fields[node->window.time_column].name, (double)node->window.size_us / 1e6,
                        (double)node->window.slide_us / 1e6));
}

static void add_join(struct facets *facets, const struct br_node *node) {
    const struct br_node *left = node->inputs[0], *right = node->inputs[1];
    const char *text = node->join.left_outer ? "left " : "";
    text = br_arena_printf(facets->arena, "%s%son", text, node->join.lookup ? "lookup " : "");
    for (uint32_t i = 0; i < node->join.key_count; i++)
        text = br_arena_printf(facets->arena, "%s %s = %s", text, left->fields[node->join.left_keys[i]].name,
                               right->fields[node->join.right_keys[i]].name);
    if (node->join.residual != NULL)
        text = br_arena_printf(facets->arena, "%s, %s", text, expr_text(facets, node->join.residual, left, right));
    add(facets, FACET_JOIN, "; ", text);
}

static void add_aggregate(struct facets *facets, const struct br_node *node) {
    static const char *const kinds[] = {"count",   "sum",         "min",        "max",      "avg",    "bool_and",
                                        "bool_or", "stddev_samp", "stddev_pop", "var_samp", "var_pop"};
    const struct br_node *input = node->inputs[0];
    const char *groups = "";
    for (uint32_t i = 0; i < node->aggregate.group_count; i++)
        groups = br_arena_printf(facets->arena, "%s%s%s", groups, i == 0 ? "" : ", ",
                                 input->fields[node->aggregate.group[i]].name);
    add(facets, FACET_GROUP, "; ", groups);
    for (uint32_t i = 0; i < node->aggregate.aggregate_count; i++) {
        const struct br_aggregate *aggregate = &node->aggregate.aggregates[i];
        const char *argument = aggregate->argument < 0 ? "*" : input->fields[aggregate->argument].name;
        if (aggregate->argument >= 0 && input->kind == BR_NODE_PROJECT)
            argument = expr_text(facets, input->project.exprs[aggregate->argument], input->inputs[0], NULL);
        const char *filter = "";
        if (aggregate->filter >= 0 && input->kind == BR_NODE_PROJECT)
            filter =
                br_arena_printf(facets->arena, " FILTER (WHERE %s)",
                                expr_text(facets, input->project.exprs[aggregate->filter], input->inputs[0], NULL));
        add(facets, FACET_AGGREGATES, ", ",
            br_arena_printf(facets->arena, "%s(%s%s)%s", kinds[aggregate->kind], aggregate->distinct ? "DISTINCT " : "",
                            argument, filter));
    }
}

static void walk(struct facets *facets, const struct br_node *node, bool shown) {
    const struct br_view *other = node == facets->view->root ? NULL : upgrade_view_of(facets->pipeline, node);
    if (other != NULL || node->kind == BR_NODE_SOURCE) {
        add(facets, FACET_READS, ", ", other != NULL ? other->name : node->source.table->name);
        return;
    }
    bool above = shown && (node->kind == BR_NODE_PROJECT || node->kind == BR_NODE_FILTER);
    for (uint32_t i = 0; i < node->input_count; i++)
        walk(facets, node->inputs[i], above && node->kind == BR_NODE_FILTER);
    if (node->kind == BR_NODE_FILTER)
        add(facets, over_groups(node->inputs[0]) ? FACET_HAVING : FACET_WHERE, " AND ",
            expr_text(facets, node->filter.predicate, node->inputs[0], NULL));
    else if (node->kind == BR_NODE_WINDOW)
        add_window(facets, node);
    else if (node->kind == BR_NODE_JOIN)
        add_join(facets, node);
    else if (node->kind == BR_NODE_AGGREGATE)
        add_aggregate(facets, node);
    for (uint32_t i = 0; node->kind == BR_NODE_PROJECT && shown && i < node->field_count; i++)
        add(facets, FACET_SELECT, ", ", expr_text(facets, node->project.exprs[i], node->inputs[0], NULL));
}

static struct facets facets_of(struct br_arena *arena, const struct br_pipeline *pipeline, const struct br_view *view) {
    struct facets facets = {.arena = arena, .pipeline = pipeline, .view = view};
    for (int f = 0; f < FACET_COUNT; f++)
        facets.text[f] = "";
    walk(&facets, view->root, true);
    return facets;
}

// --- texts that mention each other
static bool mentions(const char *text, const char *name) {
    size_t len = strlen(name);
    for (const char *at = text; *at != '\0'; at++) {
        bool begins = at == text || (!isalnum((unsigned char)at[-1]) && at[-1] != '_');
        if (begins && strncasecmp(at, name, len) == 0 && !isalnum((unsigned char)at[len]) && at[len] != '_')
            return true;
    }
    return false;
}

static const struct br_definition *find_definition(const struct br_pipeline *pipeline,
                                                   const struct br_definition *like) {
    for (uint32_t i = 0; i < pipeline->definition_count; i++)
        if (pipeline->definitions[i].function == like->function &&
            strcmp(pipeline->definitions[i].name, like->name) == 0)
            return &pipeline->definitions[i];
    return NULL;
}

// Tells which functions and plain views have changed that the text mentions. True when there is one.
static bool note_definitions(struct upgrade_reasons *reasons, const char *text, bool *told, uint32_t depth) {
    bool any = false;
    for (uint32_t i = 0; i < reasons->after->definition_count && depth < MENTIONS_DEEP_MAX; i++) {
        const struct br_definition *after = &reasons->after->definitions[i];
        if (text == after->text || !mentions(text, after->name))
            continue;
        const struct br_definition *before = find_definition(reasons->before, after);
        bool changed = before == NULL || strcmp(before->text, after->text) != 0;
        if (changed && !told[i]) {
            upgrade_reason(reasons, "%s %s %s", after->function ? "function" : "view", after->name,
                           before == NULL ? "is new" : "changed");
            *(after->function ? &reasons->functions : &reasons->others) = true;
        }
        told[i] |= changed;
        any |= changed;
        any |= note_definitions(reasons, after->text, told, depth + 1);
    }
    return any;
}

// --- tables
static void reason_of_table(struct upgrade_reasons *reasons, const struct br_table *table, const char *what) {
    reasons->others = true;
    upgrade_reason(reasons, "table %s: %s changed", table->name, what);
}

static bool same_default(const struct br_expr *a, const struct br_expr *b) {
    return a == NULL || b == NULL ? a == b : br_expr_equal(a, b);
}

// Of columns that anybody reads. used: by column; NULL: all of them.
static void compare_columns(struct upgrade_reasons *reasons, const char *of, const struct br_row_type *before,
                            const bool *used_before, const struct br_row_type *after, const bool *used_after) {
    uint32_t index = 0;
    for (uint32_t i = 0; i < after->column_count; i++) {
        const struct br_column_def *now = &after->columns[i], *was = upgrade_find_column(before, now->name, &index);
        bool used = used_after == NULL || used_after[i] || (was != NULL && used_before[index]);
        const char *what = NULL, *wire = NULL;
        if (!used)
            continue;
        if (was == NULL)
            what = "is new";
        else if (was->type != now->type)
            what =
                br_arena_printf(reasons->arena, "is %s now (was %s)", br_type_name(now->type), br_type_name(was->type));
        else if (strcmp(was->path, now->path) != 0)
            what = "is read from another field";
        else if (was->not_null != now->not_null)
            what = now->not_null ? "is NOT NULL now" : "may be NULL now";
        else if (!same_default(was->default_value, now->default_value))
            what = "has another DEFAULT";
        if (was != NULL)
            wire = upgrade_wire_change(reasons->arena, before, was, after, now);
        if (was != NULL && wire == NULL)
            upgrade_same_labels(reasons->arena, before, was, after, now, &wire, NULL);
        reasons->others |= what != NULL || wire != NULL;
        if (what != NULL)
            upgrade_reason(reasons, "%s: column %s %s", of, now->name, what);
        if (wire != NULL)
            upgrade_reason(reasons, "%s: %s", of, wire);
    }
    for (uint32_t i = 0; i < before->column_count; i++)
        if (upgrade_find_column(after, before->columns[i].name, &index) == NULL &&
            (used_before == NULL || used_before[i])) {
            reasons->others = true;
            upgrade_reason(reasons, "%s: column %s is gone", of, before->columns[i].name);
        }
}

static bool same_checks(const struct br_table *before, const struct br_table *after) {
    bool same = before->check_count == after->check_count;
    for (uint32_t i = 0; same && i < after->check_count; i++)
        same = br_expr_equal(before->checks[i].condition, after->checks[i].condition);
    return same;
}

static bool same_primary_key(const struct br_table *before, const struct br_table *after) {
    bool same = before->primary_key_count == after->primary_key_count;
    for (uint32_t i = 0; same && i < after->primary_key_count; i++)
        same = before->primary_key[i] == after->primary_key[i];
    return same;
}

static const char *event_time_name(const struct br_table *table) {
    return table->event_time < 0 ? "" : table->row_type.columns[table->event_time].name;
}

static bool same_steps(const struct br_table *before, const struct br_version *was, const struct br_table *after,
                       const struct br_version *now) {
    bool same = was->step_count == now->step_count;
    for (uint32_t s = 0; same && s < now->step_count; s++) {
        bool last = s + 1 == now->step_count;
        const struct br_row_type *to = last ? &after->row_type : now->steps[s + 1].from,
                                 *was_to = last ? &before->row_type : was->steps[s + 1].from;
        same = to->column_count == was_to->column_count;
        for (uint32_t c = 0; same && c < to->column_count; c++)
            same = br_expr_equal(was->steps[s].exprs[c], now->steps[s].exprs[c]);
    }
    return same;
}

// A cast is told by the function that does it, when that is what changed.
static void compare_versions(struct upgrade_reasons *reasons, const struct br_table *before,
                             const struct br_table *after, bool *told) {
    for (uint32_t v = 0; v < after->version_count; v++) {
        const struct br_version *now = &after->versions[v], *was = NULL;
        for (uint32_t i = 0; i < before->version_count; i++)
            if (strcmp(before->versions[i].message_name, now->message_name) == 0)
                was = &before->versions[i];
        if (v != 0 && was == NULL) {
            reasons->others = true;
            upgrade_reason(reasons, "table %s: reads version %s too", after->name, now->message_name);
        } else if (v != 0) {
            compare_columns(reasons, now->message_name, was->row_type, NULL, now->row_type, NULL);
            bool told_function = false;
            bool same = same_steps(before, was, after, now);
            for (uint32_t i = 0; !same && i < reasons->after->definition_count; i++) {
                const struct br_definition *function = &reasons->after->definitions[i];
                if (function->function && mentions(function->text, after->name) &&
                    mentions(function->text, now->row_type->name))
                    told_function |= note_definitions(reasons, function->name, told, 0);
            }
            if (!same && !told_function)
                reason_of_table(reasons, after, br_arena_printf(reasons->arena, "cast of %s", now->message_name));
        }
    }
    for (uint32_t i = 1; i < before->version_count; i++) {
        bool found = false;
        for (uint32_t v = 0; v < after->version_count; v++)
            found |= strcmp(before->versions[i].message_name, after->versions[v].message_name) == 0;
        if (!found) {
            reasons->others = true;
            upgrade_reason(reasons, "table %s: version %s is gone", after->name, before->versions[i].message_name);
        }
    }
}

static void compare_used(struct upgrade_reasons *reasons, const struct br_table *before, const struct br_table *after) {
    uint32_t index;
    for (uint32_t c = 0; after->primary_key_count != 0 && c < after->row_type.column_count; c++)
        if (upgrade_find_column(&before->row_type, after->row_type.columns[c].name, &index) != NULL &&
            before->used[index] != after->used[c]) {
            reasons->others = true;
            upgrade_reason(reasons, "table %s: column %s of its rows is %s", after->name,
                           after->row_type.columns[c].name, after->used[c] ? "stored too" : "not stored any more");
        }
}

static void compare_tables(struct upgrade_reasons *reasons, const struct br_table *before, const struct br_table *after,
                           bool *told) {
    if (strcmp(before->subject, after->subject) != 0)
        reason_of_table(reasons, after, "subject");
    if (before->layout != after->layout)
        reason_of_table(reasons, after, "layout");
    if (strcmp(before->row_type.message_name, after->row_type.message_name) != 0)
        reason_of_table(reasons, after, "message");
    if (!same_primary_key(before, after))
        reason_of_table(reasons, after, "PRIMARY KEY");
    if (strcmp(event_time_name(before), event_time_name(after)) != 0)
        reason_of_table(reasons, after, "event_time");
    if (before->watermark_delay_us != after->watermark_delay_us)
        reason_of_table(reasons, after, "watermark");
    if (before->future_bound_us != after->future_bound_us) {
        // Where the file says nothing it wasn't always an hour: so both are told.
        reasons->others = true;
        upgrade_reason(reasons, "table %s: max_future is '%g seconds' now (was '%g seconds')", after->name,
                       (double)after->future_bound_us / 1e6, (double)before->future_bound_us / 1e6);
    }
    if (before->lookup != after->lookup)
        reason_of_table(reasons, after, "lookup");
    compare_columns(reasons, br_arena_printf(reasons->arena, "table %s", after->name), &before->row_type, before->used,
                    &after->row_type, after->used);
    if (!same_checks(before, after))
        reason_of_table(reasons, after, "CHECK");
    compare_versions(reasons, before, after, told);
    compare_used(reasons, before, after);
}

// Those that the view reads itself: what is beneath another view is that view's reason.
static void compare_sources(struct upgrade_reasons *reasons, const struct br_view *view, const struct br_node *node,
                            bool *seen, bool *told) {
    if (node != view->root && upgrade_view_of(reasons->after, node) != NULL)
        return;
    if (node->kind == BR_NODE_SOURCE && !seen[node->source.table->index]) {
        const struct br_table *after = node->source.table,
                              *before = br_pipeline_find_table(reasons->before, after->name);
        seen[after->index] = true;
        if (before != NULL)
            compare_tables(reasons, before, after, told);
    }
    for (uint32_t i = 0; i < node->input_count; i++)
        compare_sources(reasons, view, node->inputs[i], seen, told);
}

// --- views beneath
// Rebuilt for functions alone is what this view is then too, by this reason.
static void note_rebuilt(struct upgrade_reasons *reasons, const struct br_view *before, const struct br_view *after) {
    struct upgrade_reasons beneath = {.arena = reasons->arena, .before = reasons->before, .after = reasons->after};
    upgrade_explain(&beneath, before, after);
    br_buffer_free(&beneath.text);
    reasons->functions |= beneath.functions;
    reasons->others |= beneath.others;
    upgrade_reason(reasons, "reads view %s, which is rebuilt", after->name);
}

static void note_views(struct upgrade_reasons *reasons, const struct br_view *view, const struct br_node *node) {
    const struct br_view *other = node == view->root ? NULL : upgrade_view_of(reasons->after, node);
    if (other != NULL) {
        const struct br_view *before = br_pipeline_find_view(reasons->before, other->name);
        if (before != NULL && !upgrade_same_rows(reasons->before, before, reasons->after, other))
            note_rebuilt(reasons, before, other);
        return;
    }
    for (uint32_t i = 0; i < node->input_count; i++)
        note_views(reasons, view, node->inputs[i]);
}

static void compare_rhythm(struct upgrade_reasons *reasons, const struct br_view *before, const struct br_view *after) {
    const char *const what = before->lateness_us != after->lateness_us             ? "lateness"
                             : before->emit_final != after->emit_final             ? "emit"
                             : before->emit_interval_us != after->emit_interval_us ? "emit_interval"
                                                                                   : NULL;
    if (what == NULL)
        return;
    reasons->others = true;
    upgrade_reason(reasons, "%s changed", what);
}

void upgrade_explain(struct upgrade_reasons *reasons, const struct br_view *before, const struct br_view *after) {
    bool *told = br_arena_array(reasons->arena, bool, reasons->after->definition_count + 1);
    bool *seen = br_arena_array(reasons->arena, bool, reasons->after->table_count + 1);
    note_views(reasons, after, after->root);
    compare_sources(reasons, after, after->root, seen, told);
    bool same_words = strcmp(before->sql, after->sql) == 0;
    bool defined = note_definitions(reasons, after->sql, told, 0);
    struct facets was = facets_of(reasons->arena, reasons->before, before),
                  now = facets_of(reasons->arena, reasons->after, after);
    // The view's own text is the same: what its operators show then comes from what was told already.
    for (int f = 0; f < FACET_COUNT && !(same_words && (defined || reasons->text.len != 0)); f++)
        if (strcmp(was.text[f], now.text[f]) != 0)
            reason_of_plan(reasons, facet_names[f], was.text[f], now.text[f]);
    compare_rhythm(reasons, before, after);
    if (reasons->text.len == 0) {
        reasons->others = true;
        upgrade_reason(reasons, "its plan differs");
    }
}
