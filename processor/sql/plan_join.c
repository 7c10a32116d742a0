// SPDX-License-Identifier: Apache-2.0
// Joins: which conditions are keys, which are filters of one side, which remain; and which joins there are at all.
//
// J1. A key is an equality between an expression of the left side and one of the right; there is at least one.
// J2. What reads one side only is a filter of that side (the left side of a LEFT JOIN excepted, and lookup tables).
// What
//     may fail isn't a filter of the right side of a LEFT JOIN: a left row must know that its ON failed.
// J3. The right side is an upsert table, a view, or something grouped: it has bounded rows. A stream on the right is
//     swapped to the left where the join is inner, refused otherwise.
// J4. A lookup table on the right is read by its whole primary key; the left side must be append-only, since what it
//     was joined with is not kept.
// J5. Whatever is swapped or computed, the output is left's columns, then right's.
#include "processor/sql/sql_internal.h"

struct sides {
    bool left, right;
};

static struct sides sides_of(struct sql_binder *binder, const struct br_expr *expr, uint32_t left_count,
                             uint32_t count) {
    bool *used = br_arena_array(binder->arena, bool, count + 1);
    br_expr_mark_columns(expr, used);
    struct sides sides = {false, false};
    for (uint32_t i = 0; i < count; i++)
        *(i < left_count ? &sides.left : &sides.right) |= used[i];
    return sides;
}

// An unbounded stream: rows of an append table that no view or group holds.
static bool is_stream(const struct sql_binder *binder, const struct br_node *node) {
    if (sql_is_view_root(binder, node))
        return false;
    switch (node->kind) {
    case BR_NODE_SOURCE:
        return node->source.table->primary_key_count == 0;
    case BR_NODE_FILTER:
    case BR_NODE_PROJECT:
    case BR_NODE_WINDOW:
        return is_stream(binder, node->inputs[0]);
    case BR_NODE_JOIN:
        return node->append_only && is_stream(binder, node->inputs[0]);
    case BR_NODE_AGGREGATE:
    case BR_NODE_SCAN:
        return false;
    }
    return false;
}

static bool is_lookup(const struct br_node *node) {
    return node->kind == BR_NODE_SOURCE && node->source.table->lookup;
}

static struct br_expr *shifted(struct sql_binder *binder, const struct br_expr *expr, uint32_t count, int64_t by) {
    uint32_t *map = br_arena_array(binder->arena, uint32_t, count + 1);
    for (uint32_t i = 0; i < count; i++)
        map[i] = (uint32_t)((int64_t)i + by);
    return br_expr_remap(binder->arena, expr, map);
}

// --- filters go down
struct br_node *sql_filter(struct sql_binder *binder, struct br_node *input, struct br_expr *predicate) {
    struct br_arena *arena = binder->arena;
    if (sql_is_view_root(binder, input))
        return sql_node_filter(binder, input, predicate);
    uint32_t count = input->field_count;
    bool *used = br_arena_array(arena, bool, count + 1);
    br_expr_mark_columns(predicate, used);
    if (input->kind == BR_NODE_PROJECT) {
        for (uint32_t i = 0; i < count; i++)
            if (used[i] && input->project.exprs[i]->kind != BR_EXPR_COLUMN)
                return sql_node_filter(binder, input, predicate);
        struct br_expr *below = sql_substitute(arena, predicate, input->project.exprs);
        if (!sql_expr_fits(binder, below))
            return sql_node_filter(binder, input, predicate);
        input->inputs[0] = sql_filter(binder, input->inputs[0], below);
    } else if (input->kind == BR_NODE_WINDOW && !used[count - 1] && !used[count - 2]) {
        input->inputs[0] = sql_filter(binder, input->inputs[0], predicate);
    } else if (input->kind == BR_NODE_JOIN) {
        uint32_t left_count = input->inputs[0]->field_count;
        struct sides sides = sides_of(binder, predicate, left_count, count);
        bool right = !sides.left && sides.right && !input->join.left_outer && !input->join.lookup;
        if (!right && (sides.right || !sides.left))
            return sql_node_filter(binder, input, predicate);
        if (right)
            input->inputs[1] =
                sql_filter(binder, input->inputs[1], shifted(binder, predicate, count, -(int64_t)left_count));
        else
            input->inputs[0] = sql_filter(binder, input->inputs[0], predicate);
    } else if (input->kind == BR_NODE_FILTER) {
        struct br_expr **both = br_arena_array(arena, struct br_expr *, 2);
        both[0] = input->filter.predicate;
        both[1] = predicate;
        input->filter.predicate = br_expr_of(arena, BR_EXPR_AND, BR_BOOLEAN, both, 2, predicate->location);
    } else {
        return sql_node_filter(binder, input, predicate);
    }
    sql_node_derive(binder, input);
    return input;
}

// --- making a join
struct side {
    struct br_node *node;
    uint32_t *keys;
    struct br_expr **computed; // keys that are no columns; they become columns behind the others
    uint32_t computed_count;
};

static uint32_t key_column(struct side *side, struct br_expr *expr) {
    if (expr->kind == BR_EXPR_COLUMN)
        return expr->column;
    side->computed[side->computed_count++] = expr;
    return side->node->field_count + side->computed_count - 1;
}

// The side's columns, and the computed keys behind them.
static void extend(struct sql_binder *binder, struct side *side) {
    if (side->computed_count == 0)
        return;
    uint32_t count = side->node->field_count;
    struct br_expr **exprs = br_arena_array(binder->arena, struct br_expr *, count + side->computed_count);
    const char **names = br_arena_array(binder->arena, const char *, count + side->computed_count);
    for (uint32_t i = 0; i < count; i++) {
        exprs[i] = br_expr_column(binder->arena, i, side->node->fields[i].type, -1);
        names[i] = side->node->fields[i].name;
    }
    for (uint32_t i = 0; i < side->computed_count; i++) {
        exprs[count + i] = side->computed[i];
        names[count + i] = "key";
    }
    side->node = sql_node_project(binder, side->node, exprs, names, count + side->computed_count);
}

struct join {
    struct sql_binder *binder;
    struct side left, right;
    uint32_t left_count, count; // columns of left, of both
    bool left_outer, lookup;
    int location;
    uint32_t key_count;
    struct br_expr **residuals;
    uint32_t residual_count;
};

static bool takes_lookup_key(const struct join *join, const struct br_expr *right) {
    const struct br_table *table = join->right.node->source.table;
    if (right->kind != BR_EXPR_COLUMN)
        return false;
    for (uint32_t i = 0; i < join->key_count; i++)
        if (join->right.keys[i] == right->column)
            return false;
    for (uint32_t i = 0; i < table->primary_key_count; i++)
        if (table->primary_key[i] == right->column)
            return true;
    return false;
}

// False when it is no key (J1).
static bool take_key(struct join *join, const struct sql_conjunct *conjunct) {
    const struct br_expr *expr = conjunct->expr;
    if (!conjunct->equality || expr->kind != BR_EXPR_CALL || expr->argument_count != 2)
        return false;
    struct sql_binder *binder = join->binder;
    struct sides a = sides_of(binder, expr->arguments[0], join->left_count, join->count);
    struct sides b = sides_of(binder, expr->arguments[1], join->left_count, join->count);
    bool straight = a.left && !a.right && b.right && !b.left, crossed = a.right && !a.left && b.left && !b.right;
    if (!straight && !crossed)
        return false;
    struct br_expr *pair[2] = {expr->arguments[straight ? 0 : 1], expr->arguments[straight ? 1 : 0]};
    pair[1] = shifted(binder, pair[1], join->count, -(int64_t)join->left_count);
    struct br_error error;
    enum br_type type;
    if (join->lookup && !takes_lookup_key(join, pair[1]))
        return false;
    if (pair[0]->type != pair[1]->type && br_expr_unify(binder->arena, pair, 2, "=", &type, &error) != BR_OK)
        return false;
    if (join->lookup && pair[1]->kind != BR_EXPR_COLUMN)
        return false;
    join->left.keys[join->key_count] = key_column(&join->left, pair[0]);
    join->right.keys[join->key_count] = key_column(&join->right, pair[1]);
    join->key_count++;
    return true;
}

// J2; plans that older builds made keep what they had.
static bool may_fail_right(const struct join *join, const struct br_expr *expr) {
    return join->left_outer && join->binder->rules >= 1 && br_expr_may_fail(expr);
}

// A key that fails on a row of the right side leaves that row out: as a residual it is known to whom it would have
// been compared.
static bool is_risky_key(const struct join *join, const struct sql_conjunct *conjunct) {
    const struct br_expr *expr = conjunct->expr;
    if (!conjunct->equality || expr->kind != BR_EXPR_CALL || expr->argument_count != 2)
        return false;
    for (uint32_t i = 0; i < 2; i++)
        if (sides_of(join->binder, expr->arguments[i], join->left_count, join->count).right &&
            may_fail_right(join, expr->arguments[i]))
            return true;
    return false;
}

static void place(struct join *join, const struct sql_conjunct *conjunct) {
    struct sql_binder *binder = join->binder;
    struct br_expr *expr = conjunct->expr;
    struct sides sides = sides_of(binder, expr, join->left_count, join->count);
    if (take_key(join, conjunct))
        return;
    if (sides.left && !sides.right && !join->left_outer)
        join->left.node = sql_filter(binder, join->left.node, expr);
    else if (sides.right && !sides.left && !join->lookup && !may_fail_right(join, expr))
        join->right.node =
            sql_filter(binder, join->right.node, shifted(binder, expr, join->count, -(int64_t)join->left_count));
    else
        join->residuals[join->residual_count++] = expr;
}

static bool classify(struct join *join, const struct sql_conjuncts *on) {
    struct sql_binder *binder = join->binder;
    for (uint32_t i = 0; i < on->count; i++) {
        struct br_expr *expr = on->list[i].expr;
        if (!sql_check_clock_join(binder, expr, join->left.node, join->right.node))
            return false;
        if (!is_risky_key(join, &on->list[i]))
            place(join, &on->list[i]);
    }
    for (uint32_t i = 0; i < on->count; i++) {
        if (!is_risky_key(join, &on->list[i]))
            continue;
        if (join->key_count == 0)
            place(join, &on->list[i]);
        else
            join->residuals[join->residual_count++] = on->list[i].expr;
    }
    if (join->key_count != 0 || (join->lookup && on->count != 0))
        return true; // a lookup without a key has an error of its own
    sql_error(binder, join->location, "add an equality between the two sides: ON a.x = b.x, or USING (x)",
              on->count == 0 ? "a join without condition (cross join) is not supported"
                             : "a join without an equality between its sides is not supported");
    return false;
}

// J4; also puts the keys into the order of the primary key.
static bool check_lookup(struct join *join) {
    struct sql_binder *binder = join->binder;
    const struct br_table *table = join->right.node->source.table;
    if (!join->left.node->append_only) {
        sql_error(
            binder, join->location, "declare the table without lookup = true: then both sides are stored",
            "a lookup join needs an append-only left side: rows that change would not find what they were joined with");
        return false;
    }
    if (join->key_count != table->primary_key_count) {
        sql_error(binder, join->location, "join by equality with every column of its PRIMARY KEY",
                  "lookup table \"%s\" can only be joined by its whole primary key", table->name);
        return false;
    }
    for (uint32_t i = 0; i < join->key_count; i++)
        for (uint32_t j = i; j < join->key_count; j++)
            if (join->right.keys[j] == table->primary_key[i] && j != i) {
                uint32_t left = join->left.keys[i], right = join->right.keys[i];
                join->left.keys[i] = join->left.keys[j];
                join->right.keys[i] = join->right.keys[j];
                join->left.keys[j] = left;
                join->right.keys[j] = right;
            }
    return true;
}

static struct br_expr *all_of(struct sql_binder *binder, struct br_expr **exprs, uint32_t count, int location) {
    if (count <= 1)
        return count == 0 ? NULL : exprs[0];
    return br_expr_of(binder->arena, BR_EXPR_AND, BR_BOOLEAN, exprs, count, location);
}

// The join, and J5 where the layout came out different.
static struct br_node *finish(struct join *join, bool swapped) {
    struct sql_binder *binder = join->binder;
    uint32_t left_count = join->left_count, right_count = join->count - join->left_count;
    extend(binder, &join->left);
    extend(binder, &join->right);
    struct br_node *first = swapped ? join->right.node : join->left.node;
    struct br_node *second = swapped ? join->left.node : join->right.node;
    uint32_t left_at = swapped ? first->field_count : 0, right_at = swapped ? 0 : first->field_count;
    uint32_t *map = br_arena_array(binder->arena, uint32_t, join->count + 1);
    for (uint32_t i = 0; i < join->count; i++)
        map[i] = i < left_count ? left_at + i : right_at + i - left_count;
    struct br_expr *residual = all_of(binder, join->residuals, join->residual_count, join->location);
    if (residual != NULL)
        residual = br_expr_remap(binder->arena, residual, map);
    struct br_node *node = sql_node_join(binder, first, second, join->left_outer, join->lookup,
                                         swapped ? join->right.keys : join->left.keys,
                                         swapped ? join->left.keys : join->right.keys, join->key_count, residual);
    if (!swapped && join->left.computed_count == 0 && join->right.computed_count == 0)
        return node;
    struct br_expr **exprs = br_arena_array(binder->arena, struct br_expr *, left_count + right_count + 1);
    const char **names = br_arena_array(binder->arena, const char *, left_count + right_count + 1);
    for (uint32_t i = 0; i < join->count; i++) {
        exprs[i] = br_expr_column(binder->arena, map[i], node->fields[map[i]].type, -1);
        names[i] = node->fields[map[i]].name;
    }
    return sql_node_project(binder, node, exprs, names, join->count);
}

static struct sql_conjuncts mirrored(struct sql_binder *binder, const struct sql_conjuncts *on, uint32_t left_count,
                                     uint32_t count) {
    struct sql_conjuncts swapped = {br_arena_array(binder->arena, struct sql_conjunct, on->count + 1), on->count,
                                    on->count};
    uint32_t *map = br_arena_array(binder->arena, uint32_t, count + 1);
    for (uint32_t i = 0; i < count; i++)
        map[i] = i < left_count ? i + (count - left_count) : i - left_count;
    for (uint32_t i = 0; i < on->count; i++)
        swapped.list[i] =
            (struct sql_conjunct){br_expr_remap(binder->arena, on->list[i].expr, map), on->list[i].equality};
    return swapped;
}

static struct side make_side(struct sql_binder *binder, struct br_node *node, uint32_t conditions) {
    return (struct side){node, br_arena_array(binder->arena, uint32_t, conditions + 1),
                         br_arena_array(binder->arena, struct br_expr *, conditions + 1), 0};
}

static struct br_node *join_straight(struct sql_binder *binder, struct br_node *left, struct br_node *right,
                                     const struct sql_conjuncts *on, bool left_outer, int location) {
    struct join join = {.binder = binder,
                        .left = make_side(binder, left, on->count),
                        .right = make_side(binder, right, on->count),
                        .left_count = left->field_count,
                        .count = left->field_count + right->field_count,
                        .left_outer = left_outer,
                        .lookup = is_lookup(right),
                        .location = location,
                        .residuals = br_arena_array(binder->arena, struct br_expr *, on->count + 1)};
    if (!classify(&join, on) || (join.lookup && !check_lookup(&join)))
        return NULL;
    return finish(&join, false);
}

struct br_node *sql_join(struct sql_binder *binder, struct br_node *left, struct br_node *right,
                         const struct sql_conjuncts *on, bool left_outer, int location) {
    bool right_stream = is_stream(binder, right);
    if (!right_stream || binder->history) // history ends: both sides can be kept until then
        return join_straight(binder, left, right, on, left_outer, location);
    if (is_stream(binder, left)) {
        sql_error(binder, location, "make one side a table with PRIMARY KEY, or a view grouped by the key or a window",
                  "a join of two streams is not supported: both would have to be kept for ever");
        return NULL;
    }
    if (left_outer) {
        sql_error(binder, location, "put the stream on the left",
                  "a LEFT JOIN with a stream on the right is not supported: the stream would have to be kept for ever");
        return NULL;
    }
    uint32_t left_count = left->field_count, count = left->field_count + right->field_count;
    struct sql_conjuncts swapped = mirrored(binder, on, left_count, count);
    struct br_node *node = join_straight(binder, right, left, &swapped, false, location);
    if (node == NULL)
        return NULL;
    struct br_expr **exprs = br_arena_array(binder->arena, struct br_expr *, count + 1);
    const char **names = br_arena_array(binder->arena, const char *, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i < left_count ? i + (count - left_count) : i - left_count;
        exprs[i] = br_expr_column(binder->arena, at, node->fields[at].type, -1);
        names[i] = node->fields[at].name;
    }
    return sql_node_project(binder, node, exprs, names, count);
}
