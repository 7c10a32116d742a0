// SPDX-License-Identifier: Apache-2.0
// How two views of one name are laid beside each other: which columns are the same, and in what order rows are merged.
#include "replay/compare_internal.h"

#include <string.h>

static uint32_t column_count(const struct br_view *view) {
    return view == NULL ? 0 : view->row_type.column_count;
}

static uint32_t find_column(const struct br_view *view, const char *name) {
    for (uint32_t c = 0; c < column_count(view); c++)
        if (strcmp(view->row_type.columns[c].name, name) == 0)
            return c;
    return BR_NO_COLUMN;
}

static bool is_key(const struct br_view *view, uint32_t column) {
    for (uint32_t k = 0; view->root->has_key && k < view->root->key_count; k++)
        if (view->root->key[k] == column)
            return true;
    return false;
}

// --- tolerances
static bool names_column(const struct br_tolerance *tolerance, const struct br_view *view, const char *column,
                         bool *ret_qualified) {
    size_t len = strlen(view->name);
    *ret_qualified = strncmp(tolerance->column, view->name, len) == 0 && tolerance->column[len] == '.' &&
                     strcmp(tolerance->column + len + 1, column) == 0;
    return *ret_qualified || strcmp(tolerance->column, column) == 0;
}

bool br_tolerance_fits(const struct br_tolerance *tolerance, const struct br_view *view) {
    bool qualified;
    for (uint32_t c = 0; c < column_count(view); c++)
        if (view->row_type.columns[c].type == BR_DOUBLE &&
            names_column(tolerance, view, view->row_type.columns[c].name, &qualified))
            return true;
    return false;
}

static double find_tolerance(const struct br_compare_options *options, const struct br_view *view, const char *column) {
    double found = -1;
    for (size_t t = 0; t < options->tolerance_count; t++) {
        bool qualified;
        if (!names_column(&options->tolerances[t], view, column, &qualified))
            continue;
        found = options->tolerances[t].absolute;
        if (qualified)
            return found;
    }
    return found;
}

// --- columns
static void pair_columns(struct br_view_pair *pair, const struct br_compare_options *options, struct br_arena *arena) {
    const struct br_view *before = pair->views[BR_SIDE_BEFORE], *after = pair->views[BR_SIDE_AFTER];
    pair->columns = br_arena_array(arena, struct br_column_pair, column_count(before) + column_count(after));
    for (int side = 0; side < BR_SIDES; side++) {
        const struct br_view *view = pair->views[side], *other = pair->views[1 - side];
        for (uint32_t c = 0; c < column_count(view); c++) {
            const struct br_column_def *def = &view->row_type.columns[c];
            uint32_t at_other = find_column(other, def->name);
            if (side == BR_SIDE_AFTER && at_other != BR_NO_COLUMN)
                continue;
            struct br_column_pair *column = &pair->columns[pair->column_count++];
            column->name = def->name;
            column->columns[side] = c;
            column->types[side] = def->type;
            column->columns[1 - side] = at_other;
            column->types[1 - side] = at_other == BR_NO_COLUMN ? BR_UNKNOWN : other->row_type.columns[at_other].type;
            bool doubles = column->types[0] == BR_DOUBLE && column->types[1] == BR_DOUBLE;
            column->tolerance = doubles ? find_tolerance(options, view, def->name) : -1;
        }
    }
}

// --- keys
// Are the key columns the same, by name and type?
static bool same_key(const struct br_view *before, const struct br_view *after) {
    if (!before->root->has_key || !after->root->has_key || before->root->key_count != after->root->key_count)
        return false;
    for (uint32_t k = 0; k < before->root->key_count; k++) {
        const struct br_column_def *def = &before->row_type.columns[before->root->key[k]];
        uint32_t column = find_column(after, def->name);
        if (column == BR_NO_COLUMN || !is_key(after, column) || after->row_type.columns[column].type != def->type)
            return false;
    }
    return true;
}

static bool is_keyed(const struct br_view_pair *pair) {
    const struct br_view *before = pair->views[BR_SIDE_BEFORE], *after = pair->views[BR_SIDE_AFTER];
    if (before == NULL || after == NULL)
        return (before == NULL ? after : before)->root->has_key;
    return same_key(before, after);
}

static const char *explain_key(const struct br_view_pair *pair) {
    const struct br_view *before = pair->views[BR_SIDE_BEFORE], *after = pair->views[BR_SIDE_AFTER];
    if (before == NULL)
        return "new: the view isn't in the pipeline before";
    if (after == NULL)
        return "removed: the view isn't in the pipeline after";
    if (!pair->keyed && (before->root->has_key || after->root->has_key))
        return "the plans key it by other columns: compared as whole rows";
    return NULL;
}

// The key columns of the view in the order in which it is scanned; false when that isn't exactly its key.
static bool scanned_key(const struct br_view *view, uint32_t *columns) {
    uint32_t *order = br_calloc(view->root->field_count + 1, sizeof *order), count;
    bool ordered = br_view_scan_order(view, order, &count) && count == view->root->key_count;
    for (uint32_t k = 0; ordered && k < count; k++)
        ordered = is_key(view, order[k]);
    if (ordered && count != 0)
        memcpy(columns, order, count * sizeof *columns);
    free(order);
    return ordered;
}

// The order of the merge, as columns of one side: how that side is scanned when there is such an order.
static void choose_order(const struct br_view_pair *pair, int *ret_side, uint32_t *columns) {
    for (*ret_side = 0; *ret_side < BR_SIDES; *ret_side += 1)
        if (pair->views[*ret_side] != NULL && scanned_key(pair->views[*ret_side], columns))
            return;
    *ret_side = pair->views[BR_SIDE_BEFORE] != NULL ? BR_SIDE_BEFORE : BR_SIDE_AFTER;
    const struct br_node *root = pair->views[*ret_side]->root;
    for (uint32_t k = 0; k < root->key_count; k++)
        columns[k] = root->key[k];
}

static void line_up_by_key(struct br_view_pair *pair, struct br_arena *arena) {
    const struct br_node *root = pair->views[pair->views[0] != NULL ? 0 : 1]->root;
    uint32_t count = root->key_count;
    uint32_t *order = br_arena_array(arena, uint32_t, count + 1), *scanned = br_arena_array(arena, uint32_t, count + 1);
    int side;
    choose_order(pair, &side, order);
    for (int s = 0; s < BR_SIDES; s++) {
        const struct br_view *view = pair->views[s];
        struct br_line_up *line_up = &pair->line_up[s];
        *line_up = (struct br_line_up){.keyed = true, .key_count = count};
        if (view == NULL)
            continue;
        line_up->key_columns = br_arena_array(arena, uint32_t, count + 1);
        for (uint32_t k = 0; k < count; k++)
            line_up->key_columns[k] =
                s == side ? order[k] : find_column(view, pair->views[side]->row_type.columns[order[k]].name);
        line_up->ordered = scanned_key(view, scanned) &&
                           (count == 0 || memcmp(scanned, line_up->key_columns, count * sizeof *scanned) == 0);
    }
}

// Published alike: the row format has one form for both.
static bool same_form(enum br_type a, enum br_type b) {
    return a == b || (a == BR_INTEGER && b == BR_BIGINT) || (a == BR_BIGINT && b == BR_INTEGER);
}

static void line_up_rows(struct br_view_pair *pair, struct br_arena *arena) {
    for (int s = 0; s < BR_SIDES; s++) {
        struct br_line_up *line_up = &pair->line_up[s];
        line_up->exact_columns = br_arena_array(arena, uint32_t, 2 * pair->column_count + 1);
        line_up->tolerant_columns = br_arena_array(arena, uint32_t, pair->column_count + 1);
        for (uint32_t c = 0; c < pair->column_count; c++) {
            const struct br_column_pair *column = &pair->columns[c];
            if (column->tolerance >= 0) {
                line_up->tolerant_columns[line_up->tolerant_count++] = column->columns[s];
            } else if (column->columns[1 - s] == BR_NO_COLUMN || column->columns[s] == BR_NO_COLUMN ||
                       same_form(column->types[0], column->types[1])) {
                line_up->exact_columns[line_up->exact_count++] = column->columns[s];
            } else { // of another type: two columns, of which each side has one
                line_up->exact_columns[line_up->exact_count + (uint32_t)s] = column->columns[s];
                line_up->exact_columns[line_up->exact_count + 1 - (uint32_t)s] = BR_NO_COLUMN;
                line_up->exact_count += 2;
            }
        }
    }
}

// --- the key that differences are told by
static void name_key(struct br_view_pair *pair, int side, const struct br_view *view, struct br_arena *arena) {
    bool has_key = view->root->has_key;
    uint32_t count = has_key ? view->root->key_count : view->row_type.column_count;
    uint32_t *columns = br_arena_array(arena, uint32_t, count + 1);
    for (uint32_t k = 0; k < count; k++)
        columns[k] = has_key ? view->root->key[k] : k;
    pair->key_columns[side] = columns;
    pair->key_count[side] = count;
}

static void name_keys(struct br_view_pair *pair, struct br_arena *arena) {
    const struct br_view *before = pair->views[BR_SIDE_BEFORE], *after = pair->views[BR_SIDE_AFTER];
    if (before != NULL)
        name_key(pair, BR_SIDE_BEFORE, before, arena);
    if (after != NULL)
        name_key(pair, BR_SIDE_AFTER, after, arena);
    if (!pair->keyed || before == NULL || after == NULL)
        return;
    uint32_t *columns = br_arena_array(arena, uint32_t, before->root->key_count + 1);
    for (uint32_t k = 0; k < before->root->key_count; k++)
        columns[k] = find_column(after, before->row_type.columns[before->root->key[k]].name);
    pair->key_columns[BR_SIDE_AFTER] = columns;
}

void br_view_pair_plan(const struct br_view *before, const struct br_view *after,
                       const struct br_compare_options *options, struct br_arena *arena, struct br_view_pair *pair) {
    *pair = (struct br_view_pair){.views = {before, after}, .name = before != NULL ? before->name : after->name};
    pair_columns(pair, options, arena);
    pair->keyed = is_keyed(pair);
    pair->note = explain_key(pair);
    if (pair->keyed)
        line_up_by_key(pair, arena);
    else
        line_up_rows(pair, arena);
    name_keys(pair, arena);
    for (uint32_t c = 0; c < pair->column_count; c++) {
        struct br_column_pair *column = &pair->columns[c];
        for (int s = 0; pair->keyed && s < BR_SIDES; s++)
            column->key |= column->columns[s] != BR_NO_COLUMN && is_key(pair->views[s], column->columns[s]);
    }
}
