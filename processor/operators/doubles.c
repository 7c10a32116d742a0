// SPDX-License-Identifier: Apache-2.0
// sum, avg, stddev and variance of doubles: exact until they are shown, so that what has left the group leaves nothing
// behind, and the order of rows doesn't matter.
//
// D1. Narrow: the sum stands in the group's block as a whole number of 128 bits times 2^base, the sum of squares in one
//     of 192 bits; the base is chosen by the values that come. That is enough for values whose exponents differ by less
//     than about 60.
// D2. Wide: what doesn't fit there (values far apart, sums beyond the largest double, and the counts of NaN and
//     infinities) stands in the group's tail, in as many words as are needed. It goes back into the block at the end of
//     an epoch in which it has become narrow again.
// D3. The sum is rounded once. The average is the rounded sum by the count, the deviation the root of the rounded
//     variance, as PostgreSQL's are; where that would pass the range of doubles they are made from the exact sums. A
//     result beyond the largest double fails the group's row until it fits again.
#include "processor/operators/aggregate_internal.h"
#include "processor/operators/exact.h"

#include <float.h>
#include <math.h>

enum { WIDE = INT16_MAX }; // in place of a base: none is as high
enum { SUM_WORDS = 2, SQUARES_WORDS = 3, MANTISSA_BITS = 53, WEIGHT_BITS = 31 };
// By how much a term may be shifted to stand in a narrow sum, whose topmost bit is the sign.
enum { SUM_SHIFT = 127 - MANTISSA_BITS, SQUARES_SHIFT = 191 - 2 * MANTISSA_BITS };

struct __attribute__((packed)) block {
    int64_t count; // of values that aren't NULL
    int16_t base, squares_base;
    uint32_t unused;
    union {
        uint64_t sum[SUM_WORDS];
        struct __attribute__((packed)) {
            uint32_t offset, len; // in the group's tail
        } place;                  // when wide
    };
    union {
        int64_t negative_zeros; // sum: that of nothing but -0 is -0
        uint64_t squares[SQUARES_WORDS];
    };
};
_Static_assert(sizeof(struct block) == BR_DOUBLE_VARIANCE_SIZE, "laid out as planned");
_Static_assert(offsetof(struct block, squares) + 8 == BR_DOUBLE_SUM_SIZE, "laid out as planned");

// In the tail, followed by the words of the sum and of the squares.
struct __attribute__((packed)) wide {
    int64_t nan, positive, negative; // negative: infinities
    int16_t base, squares_base;
    uint16_t count, squares_count;
};
_Static_assert(sizeof(struct wide) % sizeof(uint64_t) == 0, "words behind it are aligned");

static bool is_wide(const struct block *block) {
    return block->base == WIDE;
}

static bool has_squares(const struct br_accumulator *accumulator) {
    return accumulator->form == BR_FORM_DOUBLE_VARIANCE;
}

// --- the tail

struct br_slice br_double_part(const struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                               const uint8_t *value) {
    const struct block *block = (const struct block *)(value + accumulator->offset);
    if (!is_wide(block))
        return (struct br_slice){0};
    return (struct br_slice){br_group_tail(aggregator, value) + block->place.offset, block->place.len};
}

void br_double_set_place(const struct br_accumulator *accumulator, uint8_t *value, uint32_t offset, uint32_t len) {
    struct block *block = (struct block *)(value + accumulator->offset);
    if (!is_wide(block))
        return;
    block->place.offset = offset;
    block->place.len = len;
}

// --- a group's sums, taken out of it

struct sums {
    int64_t nan, positive, negative;
    struct br_exact sum, squares;
};

static void load_words(struct br_exact *sum, const uint8_t *words, uint32_t count, int base) {
    sum->base = base;
    sum->count = count;
    memcpy(sum->words, words, count * sizeof *sum->words);
}

static void load(const struct br_aggregator *aggregator, const struct br_accumulator *accumulator, const uint8_t *value,
                 struct sums *ret) {
    const struct block *block = (const struct block *)(value + accumulator->offset);
    const uint8_t *at = (const uint8_t *)block;
    if (is_wide(block)) {
        struct wide wide;
        at = br_double_part(aggregator, accumulator, value).ptr;
        memcpy(&wide, at, sizeof wide);
        ret->nan = wide.nan;
        ret->positive = wide.positive;
        ret->negative = wide.negative;
        load_words(&ret->sum, at + sizeof wide, wide.count, wide.base);
        load_words(&ret->squares, at + sizeof wide + wide.count * sizeof(uint64_t), wide.squares_count,
                   wide.squares_base);
        return;
    }
    uint32_t squares_count = has_squares(accumulator) ? SQUARES_WORDS : 0;
    ret->nan = ret->positive = ret->negative = 0;
    load_words(&ret->sum, at + offsetof(struct block, sum), SUM_WORDS, block->base);
    load_words(&ret->squares, at + offsetof(struct block, squares), squares_count, block->squares_base);
}

static bool is_narrow(const struct br_accumulator *accumulator, const struct sums *sums, struct block *ret) {
    uint64_t sum[SUM_WORDS], squares[SQUARES_WORDS];
    int base, squares_base;
    if (sums->nan != 0 || sums->positive != 0 || sums->negative != 0 ||
        !br_exact_pack(&sums->sum, SUM_WORDS, sum, &base))
        return false;
    memcpy(ret->sum, sum, sizeof sum);
    ret->base = (int16_t)base;
    ret->squares_base = 0;
    if (!has_squares(accumulator))
        return true;
    if (!br_exact_pack(&sums->squares, SQUARES_WORDS, squares, &squares_base))
        return false;
    memcpy(ret->squares, squares, sizeof squares);
    ret->squares_base = (int16_t)squares_base;
    return true;
}

static void store_narrow(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                         struct br_entry *entry, const struct block *narrow) {
    struct block *block = (struct block *)(entry->value + accumulator->offset);
    if (is_wide(block)) {
        br_group_relay(aggregator, entry, ((const struct br_group *)entry->value)->slot_capacity, accumulator,
                       (struct br_slice){0});
        block = (struct block *)(entry->value + accumulator->offset);
    }
    block->base = narrow->base;
    block->squares_base = narrow->squares_base;
    memcpy(block->sum, narrow->sum, sizeof block->sum);
    if (has_squares(accumulator))
        memcpy(block->squares, narrow->squares, sizeof block->squares);
}

// Of a trimmed sum, with one word of sign more: so values like those that are there find room.
static uint32_t put_words(const struct br_exact *sum, uint8_t *at) {
    if (sum->count == 0)
        return 0;
    memcpy(at, sum->words, sum->count * sizeof *sum->words);
    memcpy(at + sum->count * sizeof *sum->words, &sum->words[sum->count - 1], sizeof *sum->words);
    return sum->count + 1;
}

static void store_wide(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                       struct br_entry *entry, const struct sums *sums) {
    uint8_t part[sizeof(struct wide) + 2 * (BR_EXACT_WORDS + 1) * sizeof(uint64_t)];
    uint32_t count = put_words(&sums->sum, part + sizeof(struct wide));
    uint32_t squares_count = put_words(&sums->squares, part + sizeof(struct wide) + count * sizeof(uint64_t));
    struct wide head = {.nan = sums->nan,
                        .positive = sums->positive,
                        .negative = sums->negative,
                        .base = (int16_t)sums->sum.base,
                        .squares_base = (int16_t)sums->squares.base,
                        .count = (uint16_t)count,
                        .squares_count = (uint16_t)squares_count};
    memcpy(part, &head, sizeof head);
    struct br_slice bytes = {part, sizeof head + (count + squares_count) * sizeof(uint64_t)};
    struct br_slice old = br_double_part(aggregator, accumulator, entry->value);
    if (old.len == bytes.len) {
        memcpy((uint8_t *)(uintptr_t)old.ptr, bytes.ptr, bytes.len);
        return;
    }
    ((struct block *)(entry->value + accumulator->offset))->base = WIDE;
    br_group_relay(aggregator, entry, ((const struct br_group *)entry->value)->slot_capacity, accumulator, bytes);
}

static void store(struct br_aggregator *aggregator, const struct br_accumulator *accumulator, struct br_entry *entry,
                  const struct sums *sums) {
    struct block narrow;
    if (is_narrow(accumulator, sums, &narrow))
        store_narrow(aggregator, accumulator, entry, &narrow);
    else
        store_wide(aggregator, accumulator, entry, sums);
}

void br_doubles_settle(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                       struct br_entry *entry) {
    struct block narrow;
    struct sums sums;
    if (!is_wide((const struct block *)(entry->value + accumulator->offset)))
        return;
    load(aggregator, accumulator, entry->value, &sums);
    if (is_narrow(accumulator, &sums, &narrow))
        store_narrow(aggregator, accumulator, entry, &narrow);
}

// --- taking a row, ordinary: one of a normal number, where there is room for it as the sums stand

// The exponent of the lowest bit of a normal number, from the bits of its exponent: 2^-1075 is where they would begin.
enum { EXPONENT_ZERO = 1075, EXPONENT_MAX = 0x7ff };

struct limbs {
    uint64_t low, high;
};

// In 128 bits; shift is less than that.
static inline struct limbs shift_left(struct limbs term, unsigned shift) {
    if (shift >= 64)
        return (struct limbs){0, term.low << (shift - 64)};
    return (struct limbs){term.low << shift, term.high << shift | term.low >> 1 >> (63 - shift)};
}

// sum += term, or -= when negative: the term has room in 127 bits. False: the sum hasn't.
static inline bool add_limbs(struct limbs *sum, struct limbs term, bool negative) {
    uint64_t invert = 0 - (uint64_t)negative, low, high = sum->high + (term.high ^ invert);
    high += __builtin_add_overflow(sum->low, term.low ^ invert, &low);
    high += __builtin_add_overflow(low, invert & 1, &low);
    bool fits = ((sum->high ^ high) & (invert ^ high)) >> 63 == 0;
    *sum = (struct limbs){low, high};
    return fits;
}

static inline bool add_ordinary(struct block *block, double value, int32_t weight) {
    uint64_t bits;
    struct limbs sum = {block->sum[0], block->sum[1]};
    memcpy(&bits, &value, sizeof bits);
    unsigned exponent = bits >> 52 & EXPONENT_MAX, shift = exponent - EXPONENT_ZERO - (unsigned)block->base;
    if (shift > SUM_SHIFT || exponent - 1 >= EXPONENT_MAX - 1 || (weight != 1 && weight != -1))
        return false;
    struct limbs term = {(bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52, 0};
    if (!add_limbs(&sum, shift_left(term, shift), (bits >> 63) != (uint64_t)(weight < 0)))
        return false;
    block->sum[0] = sum.low;
    block->sum[1] = sum.high;
    block->count += weight;
    return true;
}

// --- taking a row, narrow

static unsigned magnitude_of(int32_t weight) {
    return weight < 0 ? 0 - (unsigned)weight : (unsigned)weight;
}

// How a term gets to its place: over `shift`, after the `drop` lowest bits, which are zero, are left out.
struct place {
    int base, shift, drop;
};

// Into 0..limit where that is exact: an empty sum may have any base.
static inline bool find_place(bool is_zero, int low, int limit, int zero_bits, struct place *place) {
    place->shift = low - place->base;
    place->drop = 0;
    if ((unsigned)place->shift <= (unsigned)limit)
        return true;
    if (is_zero) {
        place->shift = limit * 2 / 5;
        place->base = low - place->shift;
        return true;
    }
    if (place->shift >= 0 || -place->shift > zero_bits)
        return false;
    place->drop = -place->shift;
    place->shift = 0;
    return true;
}

// The block's sum with the value, which isn't zero. False: the narrow sum hasn't got room for it.
static bool add_to_sum(const struct block *block, double value, int32_t weight, struct limbs *ret_sum, int *ret_base) {
    int low, limit = weight == 1 || weight == -1 ? SUM_SHIFT : SUM_SHIFT - WEIGHT_BITS;
    uint64_t mantissa = br_double_split(value, &low);
    struct place place = {.base = block->base};
    *ret_sum = (struct limbs){block->sum[0], block->sum[1]};
    if (!find_place((ret_sum->low | ret_sum->high) == 0, low, limit, __builtin_ctzll(mantissa), &place))
        return false;
    *ret_base = place.base;
    unsigned __int128 product = (unsigned __int128)(mantissa >> place.drop) * magnitude_of(weight);
    struct limbs term = shift_left((struct limbs){(uint64_t)product, (uint64_t)(product >> 64)}, (unsigned)place.shift);
    return add_limbs(ret_sum, term, (signbit(value) != 0) != (weight < 0));
}

// words += (square * weight) << shift, which has room in 191 bits. False: the sum hasn't.
static inline bool add_square(uint64_t words[SQUARES_WORDS], unsigned __int128 square, int32_t weight, unsigned shift) {
    unsigned __int128 low = (unsigned __int128)(uint64_t)square * magnitude_of(weight);
    unsigned __int128 high = (square >> 64) * magnitude_of(weight) + (low >> 64);
    uint64_t limbs[4] = {0, (uint64_t)low, (uint64_t)high, (uint64_t)(high >> 64)};
    const uint64_t *from = limbs + 1 - shift / 64;
    uint64_t invert = weight < 0 ? UINT64_MAX : 0, below = 0, old = words[SQUARES_WORDS - 1];
    unsigned __int128 carry = invert & 1;
    shift %= 64;
    for (int w = 0; w < SQUARES_WORDS; w++) {
        uint64_t part = shift == 0 ? from[w] : from[w] << shift | below >> (64 - shift);
        below = from[w];
        carry += (unsigned __int128)words[w] + (part ^ invert);
        words[w] = (uint64_t)carry;
        carry >>= 64;
    }
    uint64_t new = words[SQUARES_WORDS - 1];
    return ((old ^ new) & (invert ^ new)) >> 63 == 0;
}

static inline bool add_to_squares(const struct block *block, double value, int32_t weight,
                                  uint64_t ret_squares[SQUARES_WORDS], int *ret_base) {
    int low, limit = weight == 1 || weight == -1 ? SQUARES_SHIFT : SQUARES_SHIFT - WEIGHT_BITS;
    uint64_t mantissa = br_double_split(value, &low);
    struct place place = {.base = block->squares_base};
    for (int w = 0; w < SQUARES_WORDS; w++)
        ret_squares[w] = block->squares[w];
    bool is_zero = (ret_squares[0] | ret_squares[1] | ret_squares[2]) == 0;
    if (!find_place(is_zero, 2 * low, limit, 2 * __builtin_ctzll(mantissa), &place))
        return false;
    *ret_base = place.base;
    unsigned __int128 square = ((unsigned __int128)mantissa * mantissa) >> place.drop;
    return add_square(ret_squares, square, weight, (unsigned)place.shift);
}

static inline bool take_narrow(struct block *block, bool squares, double value, int32_t weight) {
    struct limbs sum;
    uint64_t square_sum[SQUARES_WORDS];
    int base, squares_base = 0;
    if (is_wide(block) || !isfinite(value) || !add_to_sum(block, value, weight, &sum, &base) ||
        (squares && !add_to_squares(block, value, weight, square_sum, &squares_base)))
        return false;
    block->count += weight;
    block->base = (int16_t)base;
    block->sum[0] = sum.low;
    block->sum[1] = sum.high;
    if (!squares)
        return true;
    block->squares_base = (int16_t)squares_base;
    for (int w = 0; w < SQUARES_WORDS; w++)
        block->squares[w] = square_sum[w];
    return true;
}

// --- taking a row, wide

static void count_special(double value, int32_t weight, int64_t *nan, int64_t *positive, int64_t *negative) {
    *(isnan(value) ? nan : value > 0 ? positive : negative) += weight;
}

// In the tail as it is laid out. False: there is no room.
static bool add_to_part(uint8_t *part, bool squares, double value, int32_t weight) {
    struct wide wide;
    memcpy(&wide, part, sizeof wide);
    if (!isfinite(value)) {
        int64_t nan = wide.nan, positive = wide.positive, negative = wide.negative;
        count_special(value, weight, &nan, &positive, &negative);
        wide.nan = nan;
        wide.positive = positive;
        wide.negative = negative;
        memcpy(part, &wide, sizeof wide);
        return true;
    }
    uint64_t *words = (uint64_t *)(uintptr_t)(part + sizeof wide);
    struct br_exact_term term = br_exact_value(value, weight);
    if (!br_exact_add_within(words, wide.count, wide.base, &term))
        return false;
    if (!squares)
        return true;
    struct br_exact_term square = br_exact_square(value, weight);
    if (br_exact_add_within(words + wide.count, wide.squares_count, wide.squares_base, &square))
        return true;
    term.negative = !term.negative;
    BR_CHECK(br_exact_add_within(words, wide.count, wide.base, &term));
    return false;
}

// True: the entry's value moved.
static bool take_wide(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                      struct br_entry *entry, double value, int32_t weight) {
    struct block *block = (struct block *)(entry->value + accumulator->offset);
    bool squares = has_squares(accumulator);
    block->count += weight;
    aggregator->has_wide_sums = true;
    if (is_wide(block) &&
        add_to_part(br_group_tail(aggregator, entry->value) + block->place.offset, squares, value, weight))
        return false;
    struct sums sums;
    const uint8_t *before = entry->value;
    load(aggregator, accumulator, entry->value, &sums);
    if (isfinite(value)) {
        struct br_exact_term term = br_exact_value(value, weight), square = br_exact_square(value, weight);
        br_exact_add(&sums.sum, &term);
        if (squares)
            br_exact_add(&sums.squares, &square);
    } else {
        count_special(value, weight, &sums.nan, &sums.positive, &sums.negative);
        br_exact_trim(&sums.sum);
        br_exact_trim(&sums.squares);
    }
    store(aggregator, accumulator, entry, &sums);
    return entry->value != before;
}

// --- taking rows

static void take_zero(struct block *block, bool squares, double value, int32_t weight) {
    block->count += weight;
    if (!squares && signbit(value))
        block->negative_zeros += weight;
}

// What isn't ordinary. True: the entry's value moved.
static __attribute__((noinline)) bool take_other(struct br_aggregator *aggregator,
                                                 const struct br_accumulator *accumulator, struct br_entry *entry,
                                                 double value, int32_t weight) {
    struct block *block = (struct block *)(entry->value + accumulator->offset);
    bool squares = has_squares(accumulator);
    if (value == 0) // of the two zeros that are one to DISTINCT, either may have come first
        take_zero(block, squares, accumulator->distinct ? 0 : value, weight);
    else if (!take_narrow(block, squares, value, weight))
        return take_wide(aggregator, accumulator, entry, value, weight);
    return false;
}

void br_doubles_take(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                     struct br_intake *intake) {
    const double *values = intake->batch->columns[accumulator->aggregate->argument].values;
    const uint32_t *rows = intake->rows, count = intake->count, offset = accumulator->offset;
    const int32_t *weights = intake->weights;
    bool squares = has_squares(accumulator), moved = false;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t r = rows[i];
        uint8_t *group = moved ? intake->entries[r]->value : intake->values[r];
        struct block *block = (struct block *)(group + offset);
        if (squares || !add_ordinary(block, values[r], weights[r]))
            moved |= take_other(aggregator, accumulator, intake->entries[r], values[r], weights[r]);
    }
    intake->moved |= moved;
}

// --- results

static bool is_sample(enum br_aggregate_kind kind) {
    return kind == BR_AGG_VAR_SAMP || kind == BR_AGG_STDDEV_SAMP;
}

// The rounded sum as it is shown.
static double show_sum(enum br_aggregate_kind kind, const struct block *block, double sum) {
    if (kind == BR_AGG_AVG)
        return sum / (double)block->count;
    return sum == 0 && block->negative_zeros == block->count ? -0.0 : sum;
}

static double finish_sum(enum br_aggregate_kind kind, const struct block *block, const struct sums *sums) {
    if (sums->nan != 0 || (sums->positive != 0 && sums->negative != 0))
        return (double)NAN;
    if (sums->positive != 0 || sums->negative != 0)
        return sums->positive != 0 ? (double)INFINITY : -(double)INFINITY;
    double sum = br_exact_double(&sums->sum);
    if (kind == BR_AGG_AVG && !isfinite(sum))
        return br_exact_quotient(&sums->sum, (uint64_t)block->count);
    return show_sum(kind, block, sum);
}

static double finish_variance(enum br_aggregate_kind kind, const struct block *block, const struct sums *sums) {
    if (sums->nan != 0 || sums->positive != 0 || sums->negative != 0)
        return (double)NAN;
    uint64_t count = (uint64_t)block->count, divisor = is_sample(kind) ? count - 1 : count;
    double variance = br_exact_variance(&sums->sum, &sums->squares, count, divisor);
    if (kind == BR_AGG_VAR_SAMP || kind == BR_AGG_VAR_POP)
        return variance;
    if (isfinite(variance) && variance >= DBL_MIN)
        return sqrt(variance);
    return br_exact_deviation(&sums->sum, &sums->squares, count, divisor);
}

static void give_double(struct br_column *column, uint32_t row, double result) {
    ((double *)column->values)[row] = result;
    br_bit_set(column->validity, row);
}

// Most sums are narrow and finite.
static bool finish_quickly(const struct br_accumulator *accumulator, const struct block *block, double *ret_result) {
    __int128 sum;
    if (is_wide(block) || has_squares(accumulator))
        return false;
    memcpy(&sum, block->sum, sizeof sum);
    double rounded = br_exact_int128(sum, block->base);
    *ret_result = show_sum(accumulator->aggregate->kind, block, rounded);
    return isfinite(rounded);
}

void br_doubles_finish(const struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                       struct br_results *results, struct br_column *column) {
    enum br_aggregate_kind kind = accumulator->aggregate->kind;
    struct sums sums;
    for (uint32_t r = 0; r < results->count; r++) {
        const struct block *block = (const struct block *)(results->values[r] + accumulator->offset);
        double result;
        if (block->count < (is_sample(kind) ? 2 : 1))
            continue;
        if (finish_quickly(accumulator, block, &result)) {
            give_double(column, r, result);
            continue;
        }
        load(aggregator, accumulator, results->values[r], &sums);
        result = has_squares(accumulator) ? finish_variance(kind, block, &sums) : finish_sum(kind, block, &sums);
        if (isinf(result) && sums.positive == 0 && sums.negative == 0)
            br_results_fail(results, r, "value out of range: overflow");
        else
            give_double(column, r, result);
    }
}
