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
// false when the coefficient doesn't fit 122 bits.
static inline bool br_numeric_make(__int128 coefficient, unsigned scale, struct br_numeric *ret) {
    __int128 limit = (__int128)1 << 121;
    if (coefficient >= limit || coefficient < -limit || scale > BR_NUMERIC_SCALE_MAX)
        return false;
    unsigned __int128 bits = ((unsigned __int128)coefficient << 6) | scale;
    ret->low = (uint64_t)bits;
    ret->high = (int64_t)(uint64_t)(bits >> 64);
    return true;
}
struct br_numeric br_numeric_from_int64(int64_t value);
bool br_numeric_from_double(
    double value, struct br_numeric *ret); // as PostgreSQL: 15 significant digits; false for NaN, infinities, overflow
double br_numeric_to_double(struct br_numeric n);
bool br_numeric_to_int64(struct br_numeric n, int64_t *ret); // rounds half away from zero
// "-12.50", "1e10", " .5 "; false when it isn't a number or doesn't fit. Digits of the fraction past what fits are
// rounded.
bool br_numeric_parse(struct br_slice text, struct br_numeric *ret);
size_t br_numeric_print(struct br_numeric n, char *text); // returns the length; text has BR_NUMERIC_TEXT_SIZE bytes

bool br_numeric_add(struct br_numeric a, struct br_numeric b, struct br_numeric *ret);
bool br_numeric_subtract(struct br_numeric a, struct br_numeric b, struct br_numeric *ret);
bool br_numeric_multiply(struct br_numeric a, struct br_numeric b, struct br_numeric *ret);
bool br_numeric_divide(struct br_numeric a, struct br_numeric b, struct br_numeric *ret);
bool br_numeric_modulo(struct br_numeric a, struct br_numeric b, struct br_numeric *ret);
bool br_numeric_round(struct br_numeric n, int scale,
                      struct br_numeric *ret); // half away from zero; scale may be negative
bool br_numeric_truncate(struct br_numeric n, int scale, struct br_numeric *ret);
bool br_numeric_floor(struct br_numeric n, struct br_numeric *ret);
bool br_numeric_ceil(struct br_numeric n, struct br_numeric *ret);
bool br_numeric_sqrt(struct br_numeric n, struct br_numeric *ret); // PostgreSQL's scale; for stddev; n >= 0
struct br_numeric br_numeric_negate(struct br_numeric n);
int br_numeric_compare(struct br_numeric a, struct br_numeric b);
// The form with the smallest scale: equal numbers have equal normal forms (hashing, grouping).
struct br_numeric br_numeric_normalize(struct br_numeric n);

// Order-preserving key bytes, self-delimiting, equal for equal values whatever their scale (see state/keys.h). The
// scale is not kept.
void br_key_append_numeric(struct br_buffer *key, struct br_numeric n);
size_t br_key_read_numeric(struct br_slice key, struct br_numeric *ret);

#endif
