// SPDX-License-Identifier: Apache-2.0
// Random streams of rows that come and go, against a naive recomputation from the rows that are left.
//
// Every view is checked three ways at the end of every epoch: what its changes add up to, what a scan gives, and what
// the model says. State has a tiny budget, is flushed and dropped from memory now and then, and the graph is made anew.
#include "world.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>

#define SEEDS 12
#define EPOCHS 40
#define ROWS_MAX 4000

// --- the model: rows of (a, b, c, t), each once; NULL is INT32_MIN
#define NONE INT32_MIN
struct row {
    int a, b, c; // integers; c is shown as a numeric c/10 or c/100
    int scale;
    char text[16];
};
struct rows {
    struct row rows[ROWS_MAX];
    size_t count;
};

static void print_cell(char *out, int value) {
    if (value == NONE)
        out[0] = 0;
    else
        sprintf(out, "%d", value);
}

// c with its scale, as PostgreSQL writes it.
static void print_decimal(char *out, long value, int scale) {
    if (scale == 0)
        sprintf(out, "%ld", value);
    else
        sprintf(out, "%s%ld.%0*ld", value < 0 ? "-" : "", labs(value) / (scale == 1 ? 10 : 100), scale,
                labs(value) % (scale == 1 ? 10 : 100));
}

static void print_row(char *out, const struct row *row) {
    char a[16], b[16], c[24] = "";
    print_cell(a, row->a);
    print_cell(b, row->b);
    if (row->c != NONE)
        print_decimal(c, row->c, row->scale);
    sprintf(out, "%s|%s|%s|%s", a, b, c, row->text);
}

static struct row roll_row(struct dice *dice, uint32_t spread) {
    static const char *const texts[] = {"", "x", "yy", "zebra", "a longer text", "b"};
    struct row row = {
        .a = (int)dice_roll(dice, spread), .b = (int)dice_roll(dice, 5), .scale = (int)dice_roll(dice, 3)};
    row.c = (int)dice_roll(dice, 41) - 20;
    if (dice_roll(dice, 12) == 0)
        row.a = NONE;
    if (dice_roll(dice, 8) == 0)
        row.c = NONE;
    strcpy(row.text, texts[dice_roll(dice, 6)]);
    return row;
}

// Rows come, and rows that are there go, in one batch of the append-only table made to retract.
static void roll_batch(struct world *world, uint32_t table, struct dice *dice, struct rows *rows, uint32_t spread) {
    static char texts[64][80];
    const char *pointers[64];
    int32_t weights[64];
    size_t count = 0, wanted = 1 + dice_roll(dice, 40);
    bool shrink = dice_roll(dice, 4) == 0;
    while (count < wanted) {
        bool goes = rows->count != 0 && dice_roll(dice, 10) < (shrink ? 8 : 4);
        struct row row;
        if (goes) {
            size_t at = dice_roll(dice, (uint32_t)rows->count);
            row = rows->rows[at];
            rows->rows[at] = rows->rows[--rows->count];
        } else {
            row = roll_row(dice, spread);
            rows->rows[rows->count++] = row;
            cr_assert_lt(rows->count, ROWS_MAX);
        }
        print_row(texts[count], &row);
        pointers[count] = texts[count];
        weights[count++] = goes ? -1 : 1;
    }
    world_push_rows(world, table, count, weights, pointers);
}

static struct br_node *retracting(struct world *world, uint32_t table) {
    struct br_node *source = world_source(world, table);
    source->append_only = false;
    return source;
}

// --- grouped aggregates
struct expected_group {
    long rows, count_c, sum, distinct;
    int scale, b_min, b_max, c_min, c_max, c_min_scale, c_max_scale;
    const char *text_max;
};

static long hundredths(const struct row *row) {
    return row->scale == 0 ? row->c * 100L : row->scale == 1 ? row->c * 10L : row->c;
}

static void add_to_group(struct expected_group *group, const struct row *row, const struct row *all, size_t before) {
    group->rows++;
    group->b_min = group->rows == 1 || row->b < group->b_min ? row->b : group->b_min;
    if (row->text[0] != 0 && (group->text_max == NULL || strcmp(row->text, group->text_max) > 0))
        group->text_max = row->text;
    if (row->c == NONE)
        return;
    long value = hundredths(row), low = group->c_min, high = group->c_max;
    bool seen = false;
    for (size_t i = 0; i < before; i++)
        seen = seen || (all[i].a == row->a && all[i].c != NONE && hundredths(&all[i]) == value);
    group->distinct += !seen;
    if (group->count_c == 0 || value < low || (value == low && row->scale < group->c_min_scale))
        group->c_min = (int)value, group->c_min_scale = row->scale;
    if (group->count_c == 0 || value > high || (value == high && row->scale > group->c_max_scale))
        group->c_max = (int)value, group->c_max_scale = row->scale;
    group->count_c++;
    group->sum += value;
    group->scale = row->scale > group->scale ? row->scale : group->scale;
}

static void print_scaled(char *out, long value, int scale) {
    print_decimal(out, scale == 0 ? value / 100 : scale == 1 ? value / 10 : value, scale);
}

static const char *expect_groups(const struct rows *rows, struct br_arena *arena) {
    struct relation relation = {0};
    for (int a = -1; a < 50; a++) {
        int wanted = a < 0 ? NONE : a;
        struct expected_group group = {0};
        char key[16], sum[32] = "", low[32] = "", high[32] = "", line[300];
        for (size_t i = 0; i < rows->count; i++)
            if (rows->rows[i].a == wanted)
                add_to_group(&group, &rows->rows[i], rows->rows, i);
        if (group.rows == 0)
            continue;
        print_cell(key, wanted);
        if (group.count_c != 0) {
            print_scaled(sum, group.sum, group.scale);
            print_scaled(low, group.c_min, group.c_min_scale);
            print_scaled(high, group.c_max, group.c_max_scale);
        }
        sprintf(line, "%s|%ld|%ld|%s|%s|%s|%d|%s|%ld", key, group.rows, group.count_c, sum, low, high, group.b_min,
                group.text_max == NULL ? "" : group.text_max, group.distinct);
        relation_add(&relation, line, 1);
    }
    const char *text = relation_text(&relation, arena);
    relation_free(&relation);
    return text;
}

static void maybe_restart(struct world *world, struct dice *dice) {
    struct br_error error = {0};
    uint32_t roll = dice_roll(dice, 6);
    if (roll == 0)
        world_restart(world);
    else if (roll == 1)
        cr_assert_eq(br_state_flush(world->state, world->epoch.number - 1, &error), BR_OK);
}

static void run_groups(uint64_t seed) {
    struct dice dice = {seed};
    struct world *world = world_create();
    static struct rows rows;
    rows.count = 0;
    world->budget = 20000;
    uint32_t t = world_table(world, "t", "iint", NULL);
    struct br_node *source = retracting(world, t);
    struct br_aggregate aggregates[] = {world_agg(source, BR_AGG_COUNT, -1), world_agg(source, BR_AGG_COUNT, 2),
                                        world_agg(source, BR_AGG_SUM, 2),    world_agg(source, BR_AGG_MIN, 2),
                                        world_agg(source, BR_AGG_MAX, 2),    world_agg(source, BR_AGG_MIN, 1),
                                        world_agg(source, BR_AGG_MAX, 3),    world_agg(source, BR_AGG_COUNT, 2)};
    aggregates[7].distinct = true;
    struct br_node *groups = world_aggregate(world, source, "0", aggregates, 8);
    uint32_t view = world_view(world, "v", groups);
    struct br_aggregate sizes[] = {world_agg(groups, BR_AGG_COUNT, -1)};
    uint32_t upper = world_view(world, "w", world_aggregate(world, groups, "1", sizes, 1));
    world_start(world);
    for (int e = 0; e < EPOCHS; e++) {
        for (uint32_t b = dice_roll(&dice, 4); b > 0; b--)
            roll_batch(world, t, &dice, &rows, seed % 2 == 0 ? 4 : 50);
        world_end_epoch(world);
        const char *expected = expect_groups(&rows, world->epoch_arena);
        cr_assert_str_eq(world_seen(world, view), expected, "seed %lu epoch %d: changes", (unsigned long)seed, e);
        cr_assert_str_eq(world_scan(world, view), expected, "seed %lu epoch %d: scan", (unsigned long)seed, e);
        cr_assert_str_eq(world_seen(world, upper), world_scan(world, upper));
        maybe_restart(world, &dice);
    }
    world_destroy(&world);
}

Test(random, grouped_aggregates_equal_a_recomputation) {
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run_groups(seed);
}

// --- sums of doubles of any size, with infinities, NaN, and what overflows
#define EXPONENTS 2100
#define DOUBLES_MAX 400

// The exact sum by mantissas, one for each exponent; see test_exact.c.
static double round_bits(const int64_t *mantissas, int sign) {
    static unsigned char bits[EXPONENTS + 100];
    int64_t carry = 0;
    for (int i = 0; i < EXPONENTS + 100; i++) {
        carry += i < EXPONENTS ? sign * mantissas[i] : 0;
        bits[i] = (unsigned char)(carry & 1);
        carry = (carry - bits[i]) / 2;
    }
    if (carry != 0)
        return -round_bits(mantissas, -sign);
    int top = EXPONENTS + 99;
    while (top >= 0 && bits[top] == 0)
        top--;
    int unit = top < 52 ? 0 : top - 52;
    double result = 0;
    bool more = false;
    for (int i = top; i >= unit; i--)
        result = 2 * result + bits[i];
    for (int i = 0; i < unit - 1; i++)
        more |= bits[i] != 0;
    if (unit > 0 && bits[unit - 1] != 0 && (more || fmod(result, 2) != 0))
        result += 1;
    return ldexp(result, unit - 1074);
}

static double sum_exactly(const double *values, size_t count) {
    static int64_t mantissas[EXPONENTS];
    int nan = 0, positive = 0, negative = 0;
    size_t negative_zeros = 0;
    memset(mantissas, 0, sizeof mantissas);
    for (size_t i = 0; i < count; i++) {
        int exponent;
        double fraction = frexp(values[i], &exponent);
        nan += isnan(values[i]);
        positive += isinf(values[i]) && values[i] > 0;
        negative += isinf(values[i]) && values[i] < 0;
        negative_zeros += values[i] == 0 && signbit(values[i]);
        if (!isfinite(values[i]) || values[i] == 0)
            continue;
        int64_t mantissa = (int64_t)ldexp(fraction, 53);
        for (exponent += 1074 - 53; exponent < 0; exponent++)
            mantissa /= 2; // subnormal: the low bits are zero
        mantissas[exponent] += mantissa;
    }
    if (nan != 0 || (positive != 0 && negative != 0))
        return (double)NAN;
    if (positive != 0 || negative != 0)
        return positive != 0 ? (double)INFINITY : -(double)INFINITY;
    double sum = round_bits(mantissas, 1);
    return sum != 0 ? sum : count != 0 && negative_zeros == count ? -0.0 : 0.0;
}

static double roll_double(struct dice *dice, int kind) {
    static const double specials[] = {NAN, INFINITY, -INFINITY, -0.0, 0.0, DBL_MAX, -DBL_MAX, 1e308, -1e308, 5e-324};
    double fraction = (double)dice_roll(dice, 1u << 31) / 0x1p31 + (double)dice_roll(dice, 1u << 22) / 0x1p53;
    double sign = dice_roll(dice, 2) == 0 ? 1 : -1;
    if (kind > 0 && dice_roll(dice, 8) == 0)
        return kind == 1 ? sign * ldexp(fraction, 120) : specials[dice_roll(dice, kind == 2 ? 3 : 10)];
    return sign * ldexp(fraction, kind == 3 ? (int)dice_roll(dice, 2090) - 1060 : 10);
}

struct double_row {
    int group;
    double value;
};

static const char *expect_sums(const struct double_row *rows, size_t count, struct br_arena *arena) {
    struct relation relation = {0};
    for (int group = 0; group < 3; group++) {
        double values[DOUBLES_MAX];
        size_t members = 0, finite = 0;
        char line[100];
        for (size_t i = 0; i < count; i++)
            if (rows[i].group == group)
                values[members++] = rows[i].value;
        for (size_t i = 0; i < members; i++)
            finite += isfinite(values[i]);
        double sum = sum_exactly(values, members);
        if (members == 0 || (isinf(sum) && finite == members))
            continue;
        struct br_value value = {.type = BR_DOUBLE, .real = sum};
        struct br_buffer text = {0};
        br_value_print(&value, &text);
        snprintf(line, sizeof line, "%d|%zu|%.*s", group, members, (int)text.len, (const char *)text.ptr);
        br_buffer_free(&text);
        relation_add(&relation, line, 1);
    }
    const char *text = relation_text(&relation, arena);
    relation_free(&relation);
    return text;
}

static void run_doubles(uint64_t seed) {
    struct dice dice = {seed};
    struct world *world = world_create();
    static struct double_row rows[DOUBLES_MAX];
    size_t count = 0;
    world->budget = 5000;
    uint32_t t = world_table(world, "t", "id", NULL);
    struct br_node *source = retracting(world, t);
    struct br_aggregate aggregates[] = {world_agg(source, BR_AGG_COUNT, -1), world_agg(source, BR_AGG_SUM, 1)};
    uint32_t view = world_view(world, "v", world_aggregate(world, source, "0", aggregates, 2));
    world_start(world);
    for (int e = 0; e < EPOCHS; e++) {
        bool shrink = dice_roll(&dice, 4) == 0;
        for (uint32_t r = dice_roll(&dice, 20); r > 0; r--) {
            bool goes = count == DOUBLES_MAX || (count != 0 && dice_roll(&dice, 10) < (shrink ? 8 : 4));
            size_t at = goes ? dice_roll(&dice, (uint32_t)count) : count++;
            if (!goes)
                rows[at] = (struct double_row){(int)dice_roll(&dice, 3), roll_double(&dice, (int)(seed % 4))};
            char text[60];
            snprintf(text, sizeof text, "%d|%.17g", rows[at].group, rows[at].value);
            world_push(world, t, goes ? -1 : 1, text);
            if (goes)
                rows[at] = rows[--count];
        }
        world_end_epoch(world);
        const char *expected = expect_sums(rows, count, world->epoch_arena);
        cr_assert_str_eq(world_seen(world, view), expected, "seed %lu epoch %d: changes", (unsigned long)seed, e);
        cr_assert_str_eq(world_scan(world, view), expected, "seed %lu epoch %d: scan", (unsigned long)seed, e);
        maybe_restart(world, &dice);
    }
    world_destroy(&world);
}

Test(random, sums_of_doubles_equal_exact_ones_rounded_once) {
    for (uint64_t seed = 1; seed <= 4 * SEEDS; seed++)
        run_doubles(seed);
}

// --- joins of (a, b, c, t) and (a, b, c, t) on a, with a residual: none, l.b > r.b, or l.b / r.b > 0, which may fail
enum residual { PLAIN, COMPARED, DIVIDED };

static const char *expect_join(const struct rows *left, const struct rows *right, bool outer, enum residual residual,
                               struct br_arena *arena) {
    struct relation relation = {0};
    char l[100], r[100], line[256];
    for (size_t i = 0; i < left->count; i++) {
        bool matched = false;
        print_row(l, &left->rows[i]);
        for (size_t j = 0; j < right->count; j++) {
            int l_b = left->rows[i].b, r_b = right->rows[j].b;
            bool meets = left->rows[i].a != NONE && left->rows[i].a == right->rows[j].a;
            bool fails = meets && residual == DIVIDED && r_b == 0;
            matched = matched || fails; // it isn't known
            if (!meets || fails || (residual == COMPARED && l_b <= r_b) || (residual == DIVIDED && l_b / r_b <= 0))
                continue;
            matched = true;
            print_row(r, &right->rows[j]);
            sprintf(line, "%s|%s", l, r);
            relation_add(&relation, line, 1);
        }
        if (outer && !matched) {
            sprintf(line, "%s||||", l);
            relation_add(&relation, line, 1);
        }
    }
    const char *text = relation_text(&relation, arena);
    relation_free(&relation);
    return text;
}

static struct br_expr *make_residual(struct world *world, const struct br_node *join, enum residual residual) {
    struct br_expr *left = world_column(world, join, 1), *right = world_column(world, join, 5);
    if (residual == COMPARED)
        return world_call(world, ">", left, right);
    return world_call(world, ">", world_call(world, "/", left, right), world_number(world, 0));
}

static void run_join(uint64_t seed, bool outer, enum residual residual) {
    struct dice dice = {seed};
    struct world *world = world_create();
    static struct rows left, right;
    left.count = right.count = 0;
    world->budget = 20000;
    uint32_t l = world_table(world, "l", "iint", NULL), r = world_table(world, "r", "iint", NULL);
    struct br_node *join = world_join(world, retracting(world, l), retracting(world, r), "0", "0", outer);
    if (residual != PLAIN)
        join->join.residual = make_residual(world, join, residual);
    uint32_t view = world_view(world, "v", join);
    struct br_aggregate counts[] = {world_agg(join, BR_AGG_COUNT, -1), world_agg(join, BR_AGG_SUM, 6)};
    uint32_t upper = world_view(world, "w", world_aggregate(world, join, "5", counts, 2));
    world_start(world);
    for (int e = 0; e < EPOCHS / 2; e++) {
        for (uint32_t b = dice_roll(&dice, 4); b > 0; b--) {
            bool to_left = dice_roll(&dice, 2) == 0;
            roll_batch(world, to_left ? l : r, &dice, to_left ? &left : &right, seed % 2 == 0 ? 12 : 50);
        }
        world_end_epoch(world);
        const char *expected = expect_join(&left, &right, outer, residual, world->epoch_arena);
        cr_assert_str_eq(world_seen(world, view), expected, "seed %lu epoch %d: changes", (unsigned long)seed, e);
        cr_assert_str_eq(world_scan(world, view), expected, "seed %lu epoch %d: scan", (unsigned long)seed, e);
        cr_assert_str_eq(world_seen(world, upper), world_scan(world, upper));
        maybe_restart(world, &dice);
    }
    world_destroy(&world);
}

Test(random, inner_join_equals_a_recomputation) {
    for (uint64_t seed = 1; seed <= SEEDS / 2; seed++)
        run_join(seed, false, PLAIN);
}

Test(random, inner_join_with_residual_equals_a_recomputation) {
    for (uint64_t seed = 1; seed <= SEEDS / 2; seed++)
        run_join(seed, false, seed % 3 == 0 ? COMPARED : DIVIDED);
}

Test(random, left_join_equals_a_recomputation) {
    for (uint64_t seed = 1; seed <= SEEDS / 2; seed++)
        run_join(seed, true, PLAIN);
}

Test(random, left_join_with_residual_equals_a_recomputation) {
    for (uint64_t seed = 1; seed <= SEEDS / 2; seed++)
        run_join(seed, true, seed % 3 == 0 ? COMPARED : DIVIDED);
}

// --- windows: every row is counted once, late or in its windows
static void run_windows(uint64_t seed, bool emit_final) {
    struct dice dice = {seed};
    struct world *world = world_create();
    uint32_t t = world_table(world, "t", "Ti", NULL);
    struct br_node *window = world_window(world, world_source(world, t), 0, 20, 5);
    struct br_aggregate aggregates[] = {world_agg(window, BR_AGG_COUNT, -1), world_agg(window, BR_AGG_MAX, 0)};
    struct br_node *node = world_aggregate(world, window, "1,3", aggregates, 2);
    node->aggregate.emit_final = emit_final;
    node->append_only = emit_final;
    node->aggregate.lateness_us = 7;
    uint32_t view = world_view(world, "v", node);
    static long counts[60][3], times[60][3]; // by window k * 5, k from -4; and key
    memset(counts, 0, sizeof counts);
    world_start(world);
    size_t late = 0;
    int watermark = -1000;
    for (int e = 0; e < EPOCHS; e++) {
        char text[2000][32];
        const char *rows[2000];
        size_t count = 1 + dice_roll(&dice, 60);
        int newest = watermark;
        for (size_t i = 0; i < count; i++) {
            int time = (int)dice_roll(&dice, 40) + e * 5 - 20, key = (int)dice_roll(&dice, 3);
            if (time < 0)
                time = 0;
            newest = time > newest ? time : newest;
            sprintf(text[i], "%d|%d", time, key);
            rows[i] = text[i];
            for (int k = 0; k < 60; k++) {
                int start = (k - 4) * 5;
                if (time < start || time >= start + 20)
                    continue;
                if (start + 20 + 7 <= watermark) {
                    late++;
                    continue;
                }
                times[k][key] = counts[k][key] == 0 || time > times[k][key] ? time : times[k][key];
                counts[k][key]++;
            }
        }
        world_push_rows(world, t, count, NULL, rows);
        watermark = newest - 3 > watermark ? newest - 3 : watermark;
        world->after[t].us = e == EPOCHS - 1 ? BR_EVENT_TIME_MAX : watermark;
        world_end_epoch(world);
        struct relation expected = {0};
        for (int k = 0; k < 60; k++) {
            for (int key = 0; key < 3; key++) {
                char line[80];
                bool closed = e == EPOCHS - 1 || (k - 4) * 5 + 27 <= watermark;
                sprintf(line, "%d|%d|%ld|%ld", key, (k - 4) * 5 + 20, counts[k][key], times[k][key]);
                if (counts[k][key] != 0 && (closed || !emit_final))
                    relation_add(&expected, line, 1);
            }
        }
        // group is (key, window_end)
        const char *wanted = relation_text(&expected, world->epoch_arena);
        cr_assert_str_eq(world_seen(world, view), wanted, "seed %lu epoch %d", (unsigned long)seed, e);
        cr_assert_str_eq(world_scan(world, view), wanted, "seed %lu epoch %d", (unsigned long)seed, e);
        relation_free(&expected);
        maybe_restart(world, &dice);
    }
    size_t reported = 0;
    for (size_t i = 0; i < world->late.count; i++)
        reported += (size_t)world->late.rows[i].count;
    cr_assert_eq(reported, late);
    cr_assert_gt(late, 0);
    world_destroy(&world);
}

Test(random, hopping_windows_close_as_the_model_says) {
    for (uint64_t seed = 1; seed <= SEEDS / 2; seed++) {
        run_windows(seed, false);
        run_windows(seed, true);
    }
}

// --- upsert tables: l (id, fk) and r (id, text), l LEFT JOIN r ON l.fk = r.id, and counts by text
struct pair_model {
    int fk[60]; // by id; NONE - 1: no such row
    char text[60][8];
    bool has_text[60];
};

static void roll_upserts(struct world *world, uint32_t l, uint32_t r, struct dice *dice, struct pair_model *model) {
    static char texts[40][32];
    const char *rows[40];
    int32_t weights[40];
    bool left = dice_roll(dice, 2) == 0;
    size_t count = 1 + dice_roll(dice, 40);
    for (size_t i = 0; i < count; i++) {
        int id = (int)dice_roll(dice, left ? 60 : 20);
        weights[i] = dice_roll(dice, 3) == 0 ? -1 : 1;
        rows[i] = texts[i];
        if (left && weights[i] > 0) {
            model->fk[id] = dice_roll(dice, 8) == 0 ? NONE : (int)dice_roll(dice, 20);
            char fk[16];
            print_cell(fk, model->fk[id]);
            sprintf(texts[i], "%d|%s", id, fk);
        } else if (left) {
            model->fk[id] = NONE + 1;
            sprintf(texts[i], "%d|", id);
        } else {
            model->has_text[id] = weights[i] > 0;
            sprintf(model->text[id], "t%d", (int)dice_roll(dice, 4));
            sprintf(texts[i], "%d|%s", id, weights[i] > 0 ? model->text[id] : "");
        }
    }
    world_push_rows(world, left ? l : r, count, weights, rows);
}

static const char *expect_pairs(const struct pair_model *model, bool outer, struct br_arena *arena) {
    struct relation relation = {0};
    char line[100], fk[16];
    for (int id = 0; id < 60; id++) {
        int key = model->fk[id];
        if (key == NONE + 1)
            continue;
        print_cell(fk, key);
        bool matched = key != NONE && model->has_text[key];
        if (matched)
            sprintf(line, "%d|%s|%d|%s", id, fk, key, model->text[key]);
        else
            sprintf(line, "%d|%s||", id, fk);
        if (matched || outer)
            relation_add(&relation, line, 1);
    }
    const char *text = relation_text(&relation, arena);
    relation_free(&relation);
    return text;
}

static void run_upsert_join(uint64_t seed, bool outer) {
    static const int id_key[] = {0, -1};
    struct dice dice = {seed};
    struct world *world = world_create();
    static struct pair_model model;
    memset(&model, 0, sizeof model);
    for (int id = 0; id < 60; id++)
        model.fk[id] = NONE + 1;
    world->budget = 10000;
    uint32_t l = world_table(world, "l", "ii", id_key), r = world_table(world, "r", "it", id_key);
    struct br_node *left = world_source(world, l), *right = world_source(world, r);
    struct br_node *join = world_join(world, left, right, "1", "0", outer);
    join->has_key = true;
    join->key = left->key;
    join->key_count = 1;
    uint32_t view = world_view(world, "v", join);
    struct br_aggregate counts[] = {world_agg(join, BR_AGG_COUNT, -1), world_agg(join, BR_AGG_MAX, 0)};
    uint32_t upper = world_view(world, "w", world_aggregate(world, join, "3", counts, 2));
    world_start(world);
    for (int e = 0; e < EPOCHS; e++) {
        for (uint32_t b = dice_roll(&dice, 5); b > 0; b--)
            roll_upserts(world, l, r, &dice, &model);
        world_end_epoch(world);
        const char *expected = expect_pairs(&model, outer, world->epoch_arena);
        cr_assert_str_eq(world_seen(world, view), expected, "seed %lu epoch %d: changes", (unsigned long)seed, e);
        cr_assert_str_eq(world_scan(world, view), expected, "seed %lu epoch %d: scan", (unsigned long)seed, e);
        cr_assert_str_eq(world_seen(world, upper), world_scan(world, upper));
        maybe_restart(world, &dice);
    }
    world_destroy(&world);
}

Test(random, joins_of_upsert_tables_equal_a_recomputation) {
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run_upsert_join(seed, seed % 2 == 0);
}
