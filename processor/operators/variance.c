// SPDX-License-Identifier: Apache-2.0
// Variance and standard deviation of integers and numerics; those of doubles are in doubles.c.
//
// N * sum(x^2) - sum(x)^2 is exact, in wide integers, divided once with PostgreSQL's scale (numeric_stddev_internal of
// its numeric.c), the root taken with the same scale. Scales past 63 are cut to 63.
#include "processor/operators/aggregate_internal.h"

struct __attribute__((packed)) integer_variance {
    int64_t count;
    __int128 sum;
    uint64_t squares[3];
};
_Static_assert(sizeof(struct integer_variance) == BR_INTEGER_VARIANCE_SIZE, "laid out as planned");

// squares += square * weight, in 192 bits.
static void add_squares(struct integer_variance *block, int64_t value, int32_t weight) {
    unsigned __int128 magnitude = (unsigned __int128)((__int128)value * value); // at most 2^126
    unsigned __int128 factor = (unsigned __int128)(weight < 0 ? -(__int128)weight : weight);
    unsigned __int128 low = (uint64_t)magnitude * factor;
    unsigned __int128 high = (magnitude >> 64) * factor + (low >> 64);
    uint64_t product[3] = {(uint64_t)low, (uint64_t)high, (uint64_t)(high >> 64)};
    uint64_t invert = weight < 0 ? UINT64_MAX : 0;
    unsigned __int128 carry = invert & 1;
    for (int w = 0; w < 3; w++) {
        carry += (unsigned __int128)block->squares[w] + (product[w] ^ invert);
        block->squares[w] = (uint64_t)carry;
        carry >>= 64;
    }
}

void br_variance_take(const struct br_accumulator *accumulator, struct br_intake *intake) {
    const struct br_column *column = &intake->batch->columns[accumulator->aggregate->argument];
    const int32_t *small = column->values;
    const int64_t *large = column->values;
    bool is_small = column->type == BR_INTEGER;
    for (uint32_t i = 0; i < intake->count; i++) {
        uint32_t r = intake->rows[i];
        int64_t value = is_small ? small[r] : large[r];
        struct integer_variance *block = (struct integer_variance *)(intake->values[r] + accumulator->offset);
        block->count += intake->weights[r];
        block->sum += (__int128)value * intake->weights[r];
        add_squares(block, value, intake->weights[r]);
    }
}

// --- results
static bool is_sample(enum br_aggregate_kind kind) {
    return kind == BR_AGG_VAR_SAMP || kind == BR_AGG_STDDEV_SAMP;
}

static bool is_deviation(enum br_aggregate_kind kind) {
    return kind == BR_AGG_STDDEV_SAMP || kind == BR_AGG_STDDEV_POP;
}

// sum at `scale`, squares at twice that.
static bool exact_variance(enum br_aggregate_kind kind, int64_t count, const struct br_int1280 *sum,
                           const struct br_int1280 *squares, unsigned scale, struct br_numeric *ret) {
    struct br_int1280 n = br_int1280_from_int128(count);
    struct br_int1280 n_less_one = br_int1280_from_int128((__int128)count - 1);
    struct br_int1280 left = br_int1280_multiply(&n, squares), right = br_int1280_multiply(sum, sum);
    struct br_int1280 dividend = br_int1280_subtract(&left, &right);
    struct br_int1280 divisor = br_int1280_multiply(&n, is_sample(kind) ? &n_less_one : &n);
    if (dividend.len == 0 || dividend.negative)
        return br_numeric_make(0, 0, ret);
    unsigned result_scale = br_int1280_quotient_scale(&dividend, 2 * scale, &divisor);
    if (!is_deviation(kind))
        return br_int1280_quotient(&dividend, 2 * scale, &divisor, ret);
    // The variance at result_scale, as PostgreSQL rounds it, then its root at the same scale, rounded half up.
    struct br_int1280 variance;
    if (result_scale >= 2 * scale) {
        struct br_int1280 scaled = br_int1280_scale_up(&dividend, result_scale - 2 * scale);
        variance = br_int1280_divide(&scaled, &divisor);
    } else {
        struct br_int1280 scaled = br_int1280_scale_up(&divisor, 2 * scale - result_scale);
        variance = br_int1280_divide(&dividend, &scaled);
    }
    struct br_int1280 radicand = br_int1280_scale_up(&variance, result_scale);
    struct br_int1280 root = br_int1280_sqrt(&radicand);
    struct br_int1280 square = br_int1280_multiply(&root, &root), rest = br_int1280_subtract(&radicand, &square);
    struct br_int1280 one = br_int1280_from_int128(1);
    if (br_int1280_compare_magnitude(&rest, &root) > 0)
        root = br_int1280_add(&root, &one);
    return br_int1280_to_numeric(&root, result_scale, ret);
}

static void set_exact(const struct br_accumulator *accumulator, struct br_results *results, struct br_column *column,
                      uint32_t row, int64_t count, const struct br_int1280 *sum, const struct br_int1280 *squares,
                      unsigned scale) {
    struct br_numeric value;
    if (!exact_variance(accumulator->aggregate->kind, count, sum, squares, scale, &value)) {
        br_results_fail(results, row, "value overflows numeric format");
        return;
    }
    ((struct br_numeric *)column->values)[row] = value;
    br_bit_set(column->validity, row);
}

static void finish_integer(const struct br_accumulator *accumulator, struct br_results *results,
                           struct br_column *column, uint32_t row) {
    struct integer_variance block = *(const struct integer_variance *)(results->values[row] + accumulator->offset);
    if (block.count < (is_sample(accumulator->aggregate->kind) ? 2 : 1))
        return;
    uint64_t words[3] = {block.squares[0], block.squares[1], block.squares[2]};
    struct br_int1280 sum = br_int1280_from_int128(block.sum), squares = br_int1280_from_words(words, 3);
    set_exact(accumulator, results, column, row, block.count, &sum, &squares, 0);
}

static void finish_numeric(const struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                           struct br_results *results, struct br_column *column, uint32_t row) {
    const uint8_t *value = results->values[row];
    int64_t count;
    memcpy(&count, value + accumulator->offset, sizeof count);
    if (count < (is_sample(accumulator->aggregate->kind) ? 2 : 1))
        return;
    unsigned scale = br_scaled_largest(aggregator, accumulator->tracker, value);
    struct br_int1280 sum = br_scaled_sum(aggregator, accumulator->tracker, value, scale);
    struct br_int1280 squares = br_scaled_squares(aggregator, accumulator->tracker, value, scale);
    set_exact(accumulator, results, column, row, count, &sum, &squares, scale);
}

void br_variance_finish(const struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                        struct br_results *results, struct br_column *column) {
    for (uint32_t r = 0; r < results->count; r++) {
        if (accumulator->form == BR_FORM_INTEGER_VARIANCE)
            finish_integer(accumulator, results, column, r);
        else
            finish_numeric(aggregator, accumulator, results, column, r);
    }
}
