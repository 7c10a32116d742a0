// SPDX-License-Identifier: Apache-2.0
// Exact decimals of up to 36 digits, scale 0..63, with PostgreSQL's rules for the result's scale (numeric.c of
// PostgreSQL: add and subtract take the larger scale, multiply the sum, divide at least 16 significant digits through
// select_div_scale).
//
// Every operation returns false when the result doesn't fit the 122-bit coefficient; division also on a zero divisor
// (callers check it first to word the error). A result whose scale exceeds 63 or whose trailing fraction digits alone
// make it too large is rounded half away from zero to the largest scale that fits, as PostgreSQL rounds when a scale is
// cut; only digits of the fraction are ever given up.
#ifndef BR_PROCESSOR_EXPR_NUMERIC_H
#define BR_PROCESSOR_EXPR_NUMERIC_H

#include "processor/expr/types.h"

#define BR_NUMERIC_SCALE_MAX 63
#define BR_NUMERIC_TEXT_SIZE 128 // enough for any value as text

static inline __int128 br_numeric_coefficient(struct br_numeric n) {
    return (__int128)(((unsigned __int128)(uint64_t)n.high << 64) | n.low) >> 6;
}
static inline unsigned br_numeric_scale(struct br_numeric n) {
    return (unsigned)(n.low & 63);
}
// Coefficients are smaller than this in magnitude (2^121: all of 36 digits), so that negation never overflows.
#define BR_NUMERIC_LIMIT ((__int128)1 << 121)

// The packed 128 bits as one signed integer, the scale in its low 6 bits.
static inline __int128 br_numeric_bits(struct br_numeric n) {
    return (__int128)(((unsigned __int128)(uint64_t)n.high << 64) | n.low);
}
static inline struct br_numeric br_numeric_of_bits(__int128 bits) {
    return (struct br_numeric){(uint64_t)bits, (int64_t)(bits >> 64)};
}
// Does the coefficient fit 58 signed bits? Then it is (int64_t)low >> 6.
static inline bool br_numeric_is_small(struct br_numeric n) {
    return n.high == (int64_t)n.low >> 63;
}
// false when the coefficient doesn't fit.
static inline bool br_numeric_make(__int128 coefficient, unsigned scale, struct br_numeric *ret) {
    if (coefficient >= BR_NUMERIC_LIMIT || coefficient <= -BR_NUMERIC_LIMIT || scale > BR_NUMERIC_SCALE_MAX)
        return false;
    *ret = br_numeric_of_bits((__int128)((unsigned __int128)coefficient << 6 | scale));
    return true;
}
static inline struct br_numeric br_numeric_from_int64(int64_t value) {
    return (struct br_numeric){(uint64_t)value << 6, value >> 58};
}
// coefficient / 10^scale as the nearest numeric that fits, by the rule above (scale up to 1000): for sums that are kept
// wider than a numeric.
bool br_numeric_fit(__int128 coefficient, unsigned scale, struct br_numeric *ret);
bool br_numeric_from_double(
    double value, struct br_numeric *ret); // as PostgreSQL: 15 significant digits; false for NaN, infinities, overflow
bool br_numeric_from_digits_of(double value, int precision, struct br_numeric *ret); // with 1 to 17 of them
double br_numeric_to_double(struct br_numeric n);
bool br_numeric_to_int64(struct br_numeric n, int64_t *ret); // rounds half away from zero
// "-12.50", "1e10", " .5 "; false when it isn't a number or doesn't fit. Digits of the fraction past what fits are
// rounded.
bool br_numeric_parse(struct br_slice text, struct br_numeric *ret);
size_t br_numeric_print(struct br_numeric n, char *text); // returns the length; text has BR_NUMERIC_TEXT_SIZE bytes

// Unequal scales, or results that need digits given up. Callers use the functions without _slow.
bool br_numeric_add_slow(struct br_numeric a, struct br_numeric b, struct br_numeric *ret);
bool br_numeric_multiply_slow(struct br_numeric a, struct br_numeric b, struct br_numeric *ret);
int br_numeric_compare_slow(struct br_numeric a, struct br_numeric b);
struct br_numeric br_numeric_normalize_slow(struct br_numeric n);

static inline struct br_numeric br_numeric_negate(struct br_numeric n) {
    unsigned __int128 coefficient = (unsigned __int128)br_numeric_bits(n) & ~(unsigned __int128)63;
    return br_numeric_of_bits((__int128)((0 - coefficient) | (n.low & 63)));
}
static inline bool br_numeric_add(struct br_numeric a, struct br_numeric b, struct br_numeric *ret) {
    __int128 sum;
    if (((a.low ^ b.low) & 63) != 0 ||
        __builtin_add_overflow(br_numeric_bits(a), br_numeric_bits((struct br_numeric){b.low & ~UINT64_C(63), b.high}),
                               &sum) ||
        (int64_t)(sum >> 64) == INT64_MIN) // the one coefficient that has no negative is among these
        return br_numeric_add_slow(a, b, ret);
    *ret = br_numeric_of_bits(sum);
    return true;
}
static inline bool br_numeric_subtract(struct br_numeric a, struct br_numeric b, struct br_numeric *ret) {
    return br_numeric_add(a, br_numeric_negate(b), ret);
}
static inline bool br_numeric_multiply(struct br_numeric a, struct br_numeric b, struct br_numeric *ret) {
    unsigned scale = (unsigned)(a.low & 63) + (unsigned)(b.low & 63);
    if (!br_numeric_is_small(a) || !br_numeric_is_small(b) || scale > BR_NUMERIC_SCALE_MAX)
        return br_numeric_multiply_slow(a, b, ret);
    // 58 by 58 bits signed: at most 116 bits.
    __int128 product = (__int128)((int64_t)a.low >> 6) * ((int64_t)b.low >> 6);
    *ret = br_numeric_of_bits((__int128)((unsigned __int128)product << 6 | scale));
    return true;
}
bool br_numeric_divide(struct br_numeric a, struct br_numeric b, struct br_numeric *ret);
bool br_numeric_modulo(struct br_numeric a, struct br_numeric b, struct br_numeric *ret);
bool br_numeric_round(struct br_numeric n, int scale,
                      struct br_numeric *ret); // half away from zero; scale may be negative
bool br_numeric_truncate(struct br_numeric n, int scale, struct br_numeric *ret);
bool br_numeric_floor(struct br_numeric n, struct br_numeric *ret);
bool br_numeric_ceil(struct br_numeric n, struct br_numeric *ret);
bool br_numeric_sqrt(struct br_numeric n, struct br_numeric *ret); // PostgreSQL's scale; for stddev; n >= 0
// With PostgreSQL's scales (numeric_elementary.c).
bool br_numeric_exp(struct br_numeric n, struct br_numeric *ret);
bool br_numeric_ln(struct br_numeric n, struct br_numeric *ret);                          // n > 0
bool br_numeric_log(struct br_numeric base, struct br_numeric n, struct br_numeric *ret); // both > 0, base not 1
// Not 0 to a negative power, nor a negative number to one that isn't whole.
bool br_numeric_power(struct br_numeric base, struct br_numeric exponent, struct br_numeric *ret);
static inline int br_numeric_compare(struct br_numeric a, struct br_numeric b) {
    if (((a.low ^ b.low) & 63) != 0)
        return br_numeric_compare_slow(a, b);
    __int128 left = br_numeric_bits(a), right = br_numeric_bits(b);
    return (left > right) - (left < right);
}
// The form with the smallest scale: equal numbers have equal normal forms (hashing, grouping).
static inline struct br_numeric br_numeric_normalize(struct br_numeric n) {
    if ((n.low & 63) == 0 || (n.low & 64) != 0) // an integer, or an odd coefficient: no trailing zero to drop
        return n;
    return br_numeric_normalize_slow(n);
}

// Order-preserving key bytes, self-delimiting, equal for equal values whatever their scale (see state/keys.h). The
// scale is not kept.
void br_key_append_numeric(struct br_buffer *key, struct br_numeric n);
size_t br_key_read_numeric(struct br_slice key, struct br_numeric *ret);

#endif
