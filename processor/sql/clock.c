// SPDX-License-Identifier: Apache-2.0
// What now() may do in a view: it is shown, and decides nothing.
//
// now() is the clock reading of the epoch in which a row came. Nothing is computed again as time passes, so that
// whatever it has decided once would stay decided, and be wrong some time, in silence.
//
// K1. A value depends on the clock when its expression calls now(), or reads a column whose values do
//     (br_field.of_clock): through subselects, CTEs, views of both kinds, joins. Not that of a column with DEFAULT
//     now(): it is the table's row that has it, and keeps it.
// K2. What depends on the clock may be shown, and computed with: when a row came, how old it was then.
// K3. It may be no condition (WHERE, ON, FILTER, HAVING, CASE; any boolean) and no choice (greatest, least, nullif).
//     Rows aren't grouped by it, aggregated, made DISTINCT, or cut into windows.
// K4. Where rows are taken back, no expression calls now(): it would be another when they are.
//
// A query sees one moment: it may do all of this. Under rules 1 K3 held for calls in WHERE, FILTER and ON alone; under
// rules 0 for those in ON.
#include "processor/sql/sql_internal.h"

// Over streams --over history answers, over views with rows the worker does.
#define ASK_WITH_NOW                                                                                                   \
    "keep the time as a column of the view and compare it when you ask: braid query takes now() anywhere"
#define SAY_WHEN_IT_CAME                                                                                               \
    "let the table's rows say when they came, by a column of theirs (came timestamptz DEFAULT now()), and use that"

static bool is_free(const struct sql_binder *binder) {
    return binder->queried != NULL || binder->history;
}

static void mark(const struct br_node *node, bool *columns) {
    for (uint32_t i = 0; i < node->field_count; i++)
        columns[i] = node->fields[i].of_clock;
}

static bool has_any(const struct br_node *node) {
    for (uint32_t i = 0; node != NULL && i < node->field_count; i++)
        if (node->fields[i].of_clock)
            return true;
    return false;
}

const bool *sql_clock_columns(struct sql_binder *binder, const struct br_node *left, const struct br_node *right) {
    if (!has_any(left) && !has_any(right))
        return NULL;
    bool *columns =
        br_arena_array(binder->arena, bool, left->field_count + (right == NULL ? 0 : right->field_count) + 1);
    mark(left, columns);
    if (right != NULL)
        mark(right, columns + left->field_count);
    return columns;
}

// K1; under older rules only what calls it.
static struct br_clock_use use_of(struct sql_binder *binder, const struct br_expr *expr, const struct br_node *left,
                                  const struct br_node *right) {
    return br_expr_clock_use(expr, binder->rules < 2 ? NULL : sql_clock_columns(binder, left, right));
}

// "now()", and by which column it comes.
static const char *name_of(struct sql_binder *binder, const struct br_expr *by, const struct br_node *left,
                           const struct br_node *right) {
    if (by->kind != BR_EXPR_COLUMN)
        return "now()";
    bool of_left = by->column < left->field_count;
    return br_arena_printf(binder->arena, "now() (in column \"%s\")",
                           of_left ? left->fields[by->column].name
                                   : right->fields[by->column - left->field_count].name);
}

// K4.
static bool check_taken_back(struct sql_binder *binder, const struct br_expr *expr, const struct br_node *input,
                             int location) {
    if (is_free(binder) || input->append_only || !br_expr_reads_clock(expr))
        return true;
    sql_error(binder, location, ASK_WITH_NOW,
              "now() over rows that change is not supported: when such a row is taken back, now() would be another");
    return false;
}

bool sql_check_clock(struct sql_binder *binder, const struct br_expr *expr, const struct br_node *input, int location) {
    if (!check_taken_back(binder, expr, input, location))
        return false;
    if (is_free(binder) || binder->rules < 2)
        return true;
    struct br_clock_use use = use_of(binder, expr, input, NULL);
    if (use.decides == NULL)
        return true;
    sql_error(binder, use.decides->location >= 0 ? use.decides->location : location, SAY_WHEN_IT_CAME,
              "a condition with %s is not supported: it would be decided once, when the row comes, and never again as "
              "time passes",
              name_of(binder, use.by, input, NULL));
    return false;
}

bool sql_check_clock_condition(struct sql_binder *binder, const struct br_expr *expr, const struct br_node *input,
                               int location) {
    if (!check_taken_back(binder, expr, input, location))
        return false;
    if (is_free(binder) || binder->rules < 1)
        return true;
    struct br_clock_use use = use_of(binder, expr, input, NULL);
    if (use.by == NULL)
        return true;
    sql_error(binder, location, ASK_WITH_NOW,
              "a condition with %s is not supported: it would be decided once, when the row comes, and rows would "
              "neither leave nor come as time passes",
              name_of(binder, use.by, input, NULL));
    return false;
}

bool sql_check_clock_join(struct sql_binder *binder, const struct br_expr *expr, const struct br_node *left,
                          const struct br_node *right) {
    if (is_free(binder))
        return true;
    struct br_clock_use use = use_of(binder, expr, left, right);
    if (use.by == NULL)
        return true;
    sql_error(binder, expr->location, ASK_WITH_NOW, "%s in a join condition is not supported",
              name_of(binder, use.by, left, right));
    return false;
}

bool sql_check_clock_use(struct sql_binder *binder, const struct br_expr *expr, const struct br_node *input,
                         int location, enum sql_clock_use kind) {
    static const char *const words[] = {
        [SQL_CLOCK_GROUP] = "grouping by",
        [SQL_CLOCK_AGGREGATE] = "an aggregate over",
        [SQL_CLOCK_DISTINCT] = "DISTINCT over",
        [SQL_CLOCK_WINDOW] = "a window over",
    };
    if (is_free(binder) || binder->rules < 2)
        return true;
    struct br_clock_use use = use_of(binder, expr, input, NULL);
    if (use.by == NULL)
        return true;
    sql_error(binder, location, SAY_WHEN_IT_CAME,
              "%s %s is not supported: it is the time when each row came, and stays so as time passes", words[kind],
              name_of(binder, use.by, input, NULL));
    return false;
}
