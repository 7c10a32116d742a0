// SPDX-License-Identifier: Apache-2.0
// See numeric.h: exponential, logarithms and powers, with PostgreSQL 15's scales.
//
// The value is computed with 192 bits, or more (up to 1024) until both ends of the interval that holds it round to the
// same digits: every digit is right, as PostgreSQL's are but for one in many millions (its guard digits are eight). A
// value midway between two numerics, as 0.5^17 with 16 digits is, is never told by that, and rounds away from zero. The
// estimates that the scale is chosen by are PostgreSQL's, in doubles; only where such an estimate lies within its last
// bit of a whole number can a scale differ from that of a PostgreSQL with another C library.
#include "processor/expr/big.h"
#include "processor/expr/elementary.h"
#include "processor/expr/elementary_internal.h"
#include "processor/expr/numeric_internal.h"

#define SIGNIFICANT_DIGITS 16 // PostgreSQL's NUMERIC_MIN_SIG_DIGITS
#define LOG10_E 0.434294481903252
#define LN_10 2.302585092994046

static const unsigned PRECISIONS[] = {3, 5, 8, 16};
#define PRECISION_COUNT (sizeof PRECISIONS / sizeof PRECISIONS[0])

static int largest(int a, int b) {
    return a > b ? a : b;
}

static br_u128 magnitude_of(struct br_numeric n) {
    return br_magnitude(br_numeric_coefficient(n));
}

static bool is_negative(struct br_numeric n) {
    return br_numeric_coefficient(n) < 0;
}

// --- big values of numerics

static struct br_big scaled_down(struct br_big value, unsigned digits) {
    for (; digits > 19; digits -= 19)
        value = br_big_divide_small(value, br_pow10_64[19]);
    return br_big_divide_small(value, br_pow10_64[digits]);
}

static struct br_big scaled_up(struct br_big value, unsigned digits) {
    for (; digits > 19; digits -= 19)
        value = br_big_multiply_small(value, br_pow10_64[19]);
    return br_big_multiply_small(value, br_pow10_64[digits]);
}

// Of the magnitude; errs by less than 2^-(64 count - 5) of itself.
static struct br_big big_of(unsigned count, struct br_numeric n) {
    return scaled_down(br_big_of(count, magnitude_of(n), 0), br_numeric_scale(n));
}

static struct br_big signed_big_of(unsigned count, struct br_numeric n) {
    struct br_big value = big_of(count, n);
    value.negative = is_negative(n);
    return value;
}

// ln |n|, as precise near 1 as elsewhere. n is not 0.
static struct br_big ln_of(unsigned count, struct br_numeric n) {
    br_u128 magnitude = magnitude_of(n);
    unsigned scale = br_numeric_scale(n);
    if (scale <= 36) {
        br_u128 one = br_pow10_128[scale], apart = magnitude > one ? magnitude - one : one - magnitude;
        if (apart < one >> 9) {
            struct br_big difference = scaled_down(br_big_of(count, apart, 0), scale);
            difference.negative = magnitude < one;
            return br_big_ln1p(difference);
        }
    }
    return br_big_ln(big_of(count, n));
}

// --- to digits

// What is computed: a function of two numerics, of which it may need only one.
struct work {
    struct br_big (*value)(const struct work *work, unsigned count);
    unsigned lost; // bits of the precision that errors may take
    struct br_numeric a, b;
    int64_t power;
    bool negative; // the result's sign
};

// |value| · 10^scale rounded half up into a coefficient; false: not clear. The last precision takes what isn't clear
// for a tie. A coefficient too large becomes BR_NUMERIC_LIMIT.
static bool round_to_scale(const struct work *work, const struct br_big *value, unsigned scale, bool last,
                           br_u128 *ret_coefficient) {
    struct br_big scaled = scaled_up(*value, scale);
    unsigned bits = 64 * value->count - work->lost - 5;
    struct br_big low = br_big_nudge(scaled, bits, scaled.negative),
                  high = br_big_nudge(scaled, bits, !scaled.negative);
    br_u128 low_digits, high_digits;
    bool fits = br_big_round(&high, &high_digits) && high_digits < (br_u128)BR_NUMERIC_LIMIT;
    *ret_coefficient = fits ? high_digits : (br_u128)BR_NUMERIC_LIMIT;
    return last || !fits || (br_big_round(&low, &low_digits) && low_digits == high_digits);
}

// The value with `scale` digits after the point, or as many fewer as let it fit. false: it doesn't.
static bool compute(const struct work *work, int wanted_scale, struct br_numeric *ret) {
    int scale = wanted_scale > BR_NUMERIC_SCALE_MAX ? BR_NUMERIC_SCALE_MAX : wanted_scale;
    for (size_t i = 0; i < PRECISION_COUNT;) {
        struct br_big value = work->value(work, PRECISIONS[i]);
        br_u128 coefficient;
        if (br_big_is_zero(&value))
            return br_numeric_make(0, (unsigned)scale, ret);
        while (scale >= 0 && value.exponent - 1 + scale * INT64_C(3321928) / 1000000 > 121)
            scale--; // certainly too large
        if (scale < 0)
            return false;
        if (!round_to_scale(work, &value, (unsigned)scale, i + 1 == PRECISION_COUNT, &coefficient)) {
            i++;
            continue;
        }
        if (coefficient < (br_u128)BR_NUMERIC_LIMIT)
            return br_numeric_make(work->negative ? -(__int128)coefficient : (__int128)coefficient, (unsigned)scale,
                                   ret);
        scale--;
    }
    BR_CHECK(false);
    return false;
}

// --- PostgreSQL's scales

static int scale_for(int decimal_weight) {
    return largest(SIGNIFICANT_DIGITS - decimal_weight, 0);
}

// Two groups of four digits, aligned at the point, from the first that isn't zero: the first group's value, that of
// both (when something follows the first), and the power of 10 of the last digit taken.
static void leading_groups(br_u128 magnitude, unsigned scale, unsigned *ret_first, unsigned *ret_both,
                           int *ret_weight) {
    *ret_weight = 4 * br_numeric_first_group(magnitude, scale, ret_first);
    *ret_both = *ret_first;
    int drop = *ret_weight + (int)scale; // digits behind the first group
    br_u128 rest = drop <= 0 ? 0 : magnitude % br_pow10_128[drop];
    if (rest == 0)
        return;
    unsigned second =
        drop >= 4 ? (unsigned)(rest / br_pow10_128[drop - 4]) : (unsigned)rest * (unsigned)br_pow10_64[4 - drop];
    *ret_both = *ret_first * 10000 + second;
    *ret_weight -= 4;
}

// The decimal weight of ln(n), n > 0, as PostgreSQL estimates it (estimate_ln_dweight).
static int ln_weight(struct br_numeric n) {
    struct br_numeric low, high, difference;
    unsigned first, both;
    int weight;
    BR_CHECK(br_numeric_make(9, 1, &low) && br_numeric_make(11, 1, &high));
    if (br_numeric_compare(n, low) >= 0 && br_numeric_compare(n, high) <= 0) {
        BR_CHECK(br_numeric_subtract(n, br_numeric_from_int64(1), &difference));
        if (magnitude_of(difference) == 0)
            return 0;
        weight = 4 * br_numeric_first_group(magnitude_of(difference), br_numeric_scale(difference), &first);
        return weight + (first >= 1000 ? 3 : first >= 100 ? 2 : first >= 10 ? 1 : 0);
    }
    leading_groups(magnitude_of(n), br_numeric_scale(n), &first, &both, &weight);
    double tens = weight * LN_10;
    return (int)br_log10(fabs(br_ln(both) + tens));
}

// --- the functions

static struct br_big exp_value(const struct work *work, unsigned count) {
    return br_big_exp(signed_big_of(count, work->a));
}

bool br_numeric_exp(struct br_numeric n, struct br_numeric *ret) {
    double value = br_numeric_to_double(n), weight = value * LOG10_E;
    weight = weight < -2000 ? -2000 : weight > 2000 ? 2000 : weight;
    int scale = largest(scale_for((int)weight), (int)br_numeric_scale(n));
    if (value > 100)
        return false;
    if (value < -200) // below 10^-86: nothing is left at the largest scale
        return br_numeric_make(0, BR_NUMERIC_SCALE_MAX, ret);
    // Up to 2^8 · the error of n.
    return compute(&(struct work){.value = exp_value, .lost = BR_BIG_LOST, .a = n}, scale, ret);
}

static struct br_big ln_value(const struct work *work, unsigned count) {
    return ln_of(count, work->a);
}

bool br_numeric_ln(struct br_numeric n, struct br_numeric *ret) {
    int scale = largest(scale_for(ln_weight(n)), (int)br_numeric_scale(n));
    struct work work = {.value = ln_value, .lost = BR_BIG_LOST + 2, .a = n};
    work.negative = br_numeric_compare(n, br_numeric_from_int64(1)) < 0;
    return compute(&work, scale, ret);
}

static struct br_big log_value(const struct work *work, unsigned count) {
    return br_big_divide(ln_of(count, work->b), ln_of(count, work->a));
}

bool br_numeric_log(struct br_numeric base, struct br_numeric n, struct br_numeric *ret) {
    struct br_numeric one = br_numeric_from_int64(1);
    int scale = scale_for(ln_weight(n) - ln_weight(base));
    scale = largest(scale, largest((int)br_numeric_scale(base), (int)br_numeric_scale(n)));
    struct work work = {.value = log_value, .lost = BR_BIG_LOST + 4, .a = base, .b = n};
    work.negative = (br_numeric_compare(n, one) < 0) != (br_numeric_compare(base, one) < 0);
    return compute(&work, scale, ret);
}

// --- powers

static struct br_big power_value(const struct work *work, unsigned count) {
    return br_big_exp(br_big_multiply(ln_of(count, work->a), signed_big_of(count, work->b)));
}

#define POWER_BY_PRODUCTS_MAX 4096 // each product doubles the error, in all by 2^14

static struct br_big whole_power_value(const struct work *work, unsigned count) {
    struct br_big factor = big_of(count, work->a), product = br_big_of(count, 1, 0);
    uint64_t left = (uint64_t)(work->power < 0 ? -work->power : work->power);
    for (; left != 0; left >>= 1) {
        if ((left & 1) != 0)
            product = br_big_multiply(product, factor);
        factor = br_big_multiply(factor, factor);
    }
    return work->power < 0 ? br_big_divide(br_big_of(count, 1, 0), product) : product;
}

// A small power of a short coefficient, exactly, then rounded. false: not so, or it doesn't fit.
static bool exact_power(struct br_numeric base, int64_t power, int scale, bool negative, struct br_numeric *ret) {
    base = br_numeric_normalize(base);
    br_u128 magnitude = magnitude_of(base);
    unsigned digits = br_numeric_scale(base) * (unsigned)power;
    if (power < 0 || power > 64 || magnitude >> 64 != 0 || br_bit_length(magnitude) * (unsigned)power > 320)
        return false;
    struct br_wide wide = br_numeric_wide_of(1);
    for (int64_t i = 0; i < power; i++)
        br_numeric_wide_multiply_64(&wide, (uint64_t)magnitude);
    if (digits <= (unsigned)scale) {
        unsigned up = (unsigned)scale - digits;
        if ((int)br_numeric_wide_bit_length(&wide) + (int)up * 333 / 100 > 380)
            return false;
        br_numeric_wide_scale_up(&wide, up);
        return br_numeric_wide_fit(wide, (unsigned)scale, negative, ret);
    }
    struct br_wide rounded = wide;
    unsigned down = digits - (unsigned)scale - 1;
    for (; down > 19; down -= 19)
        br_numeric_wide_divide_64(&rounded, br_pow10_64[19]);
    br_numeric_wide_divide_64(&rounded, br_pow10_64[down]);
    uint64_t last = br_numeric_wide_divide_64(&rounded, 10);
    br_u128 coefficient = ((br_u128)rounded.limbs[1] << 64 | rounded.limbs[0]) + (last >= 5);
    if (br_numeric_wide_bit_length(&rounded) <= 121 && coefficient < (br_u128)BR_NUMERIC_LIMIT)
        return br_numeric_make(negative ? -(__int128)coefficient : (__int128)coefficient, (unsigned)scale, ret);
    return br_numeric_wide_fit(wide, digits, negative, ret);
}

static bool whole_power(struct br_numeric base, int64_t power, struct br_numeric *ret) {
    int scale = largest(SIGNIFICANT_DIGITS, (int)br_numeric_scale(base));
    bool negative = is_negative(base) && (power & 1) != 0;
    if (magnitude_of(base) == 0 && power != 0)
        return br_numeric_make(0, (unsigned)scale, ret);
    if (exact_power(base, power, scale, negative, ret))
        return true;
    double logarithm = (double)power * br_ln(fabs(br_numeric_to_double(base)));
    if (logarithm > 90) // e^84 has 37 digits
        return false;
    if (logarithm < -200)
        return br_numeric_make(0, (unsigned)scale, ret);
    struct work work = {.value = whole_power_value, .lost = 24, .a = base, .power = power, .negative = negative};
    if (power > POWER_BY_PRODUCTS_MAX || power < -POWER_BY_PRODUCTS_MAX) {
        work.value = power_value;
        work.lost = BR_BIG_LOST + 10;
        work.b = br_numeric_from_int64(power);
    }
    return compute(&work, scale, ret);
}

bool br_numeric_power(struct br_numeric base, struct br_numeric exponent, struct br_numeric *ret) {
    struct br_numeric whole = br_numeric_normalize(exponent), ln_base, logarithm;
    bool is_whole = br_numeric_scale(whole) == 0, odd = is_whole && (br_numeric_coefficient(whole) & 1) != 0;
    int64_t power;
    if (is_whole && br_numeric_to_int64(whole, &power) && power == (int32_t)power)
        return whole_power(base, power, ret);
    if (magnitude_of(base) == 0)
        return br_numeric_make(0, SIGNIFICANT_DIGITS, ret);
    struct work work = {.value = power_value, .lost = BR_BIG_LOST + 10, .a = base, .b = exponent};
    work.negative = is_negative(base) && odd;
    if (is_negative(base))
        work.a = base = br_numeric_negate(base);
    // The result's weight, from ln(base) with eight digits.
    int ln_scale = largest(8 - ln_weight(base), 0);
    struct work ln_work = {.value = ln_value, .lost = BR_BIG_LOST + 2, .a = base};
    ln_work.negative = br_numeric_compare(base, br_numeric_from_int64(1)) < 0;
    if (!compute(&ln_work, ln_scale, &ln_base) || !br_numeric_multiply(ln_base, exponent, &logarithm) ||
        !br_numeric_round(logarithm, ln_scale, &logarithm))
        return false; // more than 10^36: e to that power overflows, or is 0
    double value = br_numeric_to_double(logarithm);
    if (value > 90)
        return false;
    if (value < -6020) // PostgreSQL's own bound, past which it has a scale of 1000
        return br_numeric_make(0, BR_NUMERIC_SCALE_MAX, ret);
    int scale = largest(scale_for((int)(value * LOG10_E)), (int)br_numeric_scale(base));
    scale = largest(scale, (int)br_numeric_scale(exponent));
    if (value < -200)
        return br_numeric_make(0, BR_NUMERIC_SCALE_MAX, ret);
    return compute(&work, scale, ret);
}
