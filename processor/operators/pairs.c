// SPDX-License-Identifier: Apache-2.0
// Pairs of rows that meet in a join become batches: columns are gathered from the live half, decoded for the stored
// one, the residual condition decides, and what passes is given on and counted.
//
// A pair whose residual fails (division by zero, …) is left out, and its left row isn't one without a match: whether it
// matches isn't known, so a left outer join gives no row with NULLs for it. The failure is reported when the pair's
// weight is positive and pairs are given on, not when they are only counted.
#include "processor/operators/join_internal.h"

void br_pairs_prepare(struct br_join *join) {
    struct br_arena *arena = join->op.graph->arena;
    const struct br_join_side *right = &join->sides[1];
    join->pairs = br_arena_alloc(arena, sizeof *join->pairs);
    join->pairs->join = join;
    join->null_columns = br_arena_array(arena, struct br_column, right->column_count);
    for (uint32_t c = 0; join->left_outer && c < right->column_count; c++) {
        enum br_type type = join->op.node->inputs[1]->fields[c].type;
        join->null_columns[c].type = type;
        join->null_columns[c].values = br_arena_array(arena, uint8_t, BR_BATCH_ROWS * br_type_width(type));
        join->null_columns[c].validity = br_validity_create(arena, BR_BATCH_ROWS, false);
    }
}

struct br_pairs *br_pairs_begin(struct br_join *join, const struct br_output *output, const struct br_batch *live,
                                uint32_t live_port) {
    struct br_pairs *pairs = join->pairs;
    pairs->output = *output;
    pairs->live = live;
    pairs->live_port = live_port;
    pairs->stored_null = false;
    pairs->both_stored = false;
    pairs->matches = NULL;
    pairs->count = 0;
    return pairs;
}

// --- columns
static enum br_status decode_half(struct br_join *join, uint32_t port, const struct br_slice *rows, uint32_t count,
                                  struct br_column **ret, struct br_error *error) {
    const struct br_join_side *side = &join->sides[port];
    struct br_batch *half = br_batch_sized(join->pair_arena, side->types, side->wanted, side->stored_count, count);
    for (uint32_t r = 0; r < count; r++)
        BR_TRY(br_row_decode(rows[r], half, r, 0, side->stored_count, join->pair_arena, false, error));
    *ret = br_join_choose(side, half->columns, join->pair_arena);
    return BR_OK;
}

static enum br_status build_half(struct br_pairs *pairs, uint32_t port, const struct br_batch *live,
                                 struct br_column **ret, struct br_error *error) {
    struct br_join *join = pairs->join;
    if (live != NULL && port == pairs->live_port) {
        *ret = live->columns;
        return BR_OK;
    }
    bool nulls = port == 1 && (pairs->stored_null || (pairs->live == NULL && !pairs->both_stored));
    if (nulls) {
        *ret = join->null_columns;
        return BR_OK;
    }
    return decode_half(join, port, port == 0 ? pairs->left : pairs->right, pairs->count, ret, error);
}

static enum br_status build(struct br_pairs *pairs, struct br_batch *batch, struct br_error *error) {
    struct br_join *join = pairs->join;
    const struct br_join_side *sides = join->sides;
    const struct br_batch *live = NULL;
    struct br_column *halves[2];
    if (pairs->live != NULL)
        live = br_batch_select(pairs->live, pairs->live_rows, pairs->count, join->pair_arena);
    for (uint32_t port = 0; port < 2; port++)
        BR_TRY(build_half(pairs, port, live, &halves[port], error));
    uint32_t left = sides[0].column_count, right = sides[1].column_count;
    *batch = (struct br_batch){.row_count = pairs->count, .column_count = left + right};
    batch->columns = br_arena_alloc(join->pair_arena, (left + right) * sizeof *batch->columns);
    memcpy(batch->columns, halves[0], left * sizeof *batch->columns);
    memcpy(batch->columns + left, halves[1], right * sizeof *batch->columns);
    batch->weights = pairs->weights;
    batch->origins = live != NULL && pairs->live_port == 0 ? live->origins : NULL;
    return BR_OK;
}

static void drop_unit_weights(struct br_batch *batch) {
    for (uint32_t r = 0; r < batch->row_count; r++)
        if (batch->weights[r] != 1)
            return;
    batch->weights = NULL;
}

static void count_matches(const struct br_pairs *pairs, const uint32_t *rows, uint32_t count) {
    for (uint32_t i = 0; pairs->matches != NULL && i < count; i++) {
        uint32_t pair = rows == NULL ? i : rows[i];
        pairs->matches[pairs->tags[pair]] += pairs->match_weights[pair];
    }
}

// As epochs of version 0.1.0 have it, the left row of a lookup that fails is one without a match.
static void count_failed(const struct br_pairs *pairs, const struct br_eval *eval) {
    if (pairs->matches == NULL || (pairs->join->lookup && pairs->join->op.graph->epoch->by_old_rules))
        return;
    for (uint32_t i = 0; i < eval->error_count; i++) {
        uint32_t pair = eval->errors[i].row;
        pairs->matches[pairs->tags[pair]] += pairs->match_weights[pair];
    }
}

static enum br_status give(struct br_pairs *pairs, const struct br_batch *batch, struct br_error *error) {
    if (batch->row_count == 0 || pairs->output.give == NULL)
        return BR_OK;
    return pairs->output.give(pairs->output.context, batch, error);
}

static enum br_status pass_residual(struct br_pairs *pairs, const struct br_batch *batch, struct br_error *error) {
    struct br_join *join = pairs->join;
    struct br_eval eval = {
        .arena = join->pair_arena, .now = join->op.graph->epoch->now, .watch = join->op.graph->watch};
    uint32_t *rows = br_arena_alloc(join->pair_arena, BR_BATCH_ROWS * sizeof *rows);
    uint32_t count = 0;
    BR_TRY(br_expr_filter(join->op.node->join.residual, batch, &eval, rows, &count, error));
    if (eval.error_count != 0 && pairs->output.report)
        BR_TRY(br_operator_report_all(&join->op, batch, &eval, error));
    count_matches(pairs, rows, count);
    count_failed(pairs, &eval);
    if (count == 0)
        return BR_OK;
    return give(pairs, br_batch_select(batch, rows, count, join->pair_arena), error);
}

enum br_status br_pairs_flush(struct br_pairs *pairs, struct br_error *error) {
    struct br_join *join = pairs->join;
    struct br_batch batch;
    if (pairs->count == 0)
        return BR_OK;
    BR_TRY(br_operator_look(&join->op, error));
    bool null_extended = pairs->stored_null || (pairs->live == NULL && !pairs->both_stored);
    BR_TRY(build(pairs, &batch, error));
    if (join->op.node->join.residual != NULL && !null_extended) {
        BR_TRY(pass_residual(pairs, &batch, error));
    } else {
        count_matches(pairs, NULL, pairs->count);
        drop_unit_weights(&batch);
        BR_TRY(give(pairs, &batch, error));
    }
    pairs->count = 0;
    br_arena_reset(join->pair_arena);
    return BR_OK;
}

// --- adding
static enum br_status add_one(struct br_pairs *pairs, uint32_t live_row, struct br_slice left, struct br_slice right,
                              int32_t weight, int64_t match_weight, uint32_t tag, struct br_error *error) {
    uint32_t at = pairs->count++;
    pairs->live_rows[at] = live_row;
    pairs->left[at] = left;
    pairs->right[at] = right;
    pairs->weights[at] = weight;
    pairs->match_weights[at] = match_weight;
    pairs->tags[at] = tag;
    return pairs->count == BR_BATCH_ROWS ? br_pairs_flush(pairs, error) : BR_OK;
}

enum br_status br_pairs_add(struct br_pairs *pairs, uint32_t live_row, struct br_slice stored, int64_t weight,
                            int64_t match_weight, uint32_t tag, struct br_error *error) {
    struct br_slice none = {0};
    bool left_is_live = pairs->live != NULL && pairs->live_port == 0;
    // A product of weights beyond 32 bits becomes several rows; its match counts once.
    do {
        int32_t part = weight > INT32_MAX ? INT32_MAX : weight < -INT32_MAX ? -INT32_MAX : (int32_t)weight;
        BR_TRY(add_one(pairs, live_row, left_is_live ? none : stored, left_is_live ? stored : none, part, match_weight,
                       tag, error));
        weight -= part;
        match_weight = 0;
    } while (weight != 0);
    return BR_OK;
}

enum br_status br_pairs_add_stored(struct br_pairs *pairs, struct br_slice left, struct br_slice right,
                                   int64_t match_weight, uint32_t tag, struct br_error *error) {
    pairs->both_stored = true;
    return add_one(pairs, 0, left, right, 1, match_weight, tag, error);
}
