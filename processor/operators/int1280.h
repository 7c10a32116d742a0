// SPDX-License-Identifier: Apache-2.0
// Integers of up to 1,280 bits, for the results of exact sums: sign and magnitude, value types, no allocation.
//
// Bound: the widest number made here is N * sum(x^2) of numerics at a common scale, times the digits of the quotient:
// 63 + 307 + 419 + 209 bits. An operation that would pass 1,280 bits is a fault of ours (BR_CHECK). None of this is on
// the path of a row: sums are kept in two's complement words (scaled.c) and become wide when a group is finalised.
#ifndef BR_PROCESSOR_OPERATORS_INT1280_H
#define BR_PROCESSOR_OPERATORS_INT1280_H

#include "processor/expr/numeric.h"

#define BR_INT1280_LIMBS 20

struct br_int1280 {
    uint64_t limbs[BR_INT1280_LIMBS]; // least significant first; zero above len
    uint32_t len;                     // 0: zero
    bool negative;                    // false for zero
};

struct br_int1280 br_int1280_from_int128(__int128 value);
struct br_int1280 br_int1280_from_words(const uint64_t *words,
                                        uint32_t count); // two's complement, least significant first
struct br_int1280 br_int1280_add(const struct br_int1280 *a, const struct br_int1280 *b);
struct br_int1280 br_int1280_subtract(const struct br_int1280 *a, const struct br_int1280 *b);
struct br_int1280 br_int1280_multiply(const struct br_int1280 *a, const struct br_int1280 *b);
struct br_int1280 br_int1280_scale_up(const struct br_int1280 *a, unsigned digits); // times 10^digits
// Rounded half away from zero; b is not zero.
struct br_int1280 br_int1280_divide(const struct br_int1280 *a, const struct br_int1280 *b);
// Floor of the root; a >= 0.
struct br_int1280 br_int1280_sqrt(const struct br_int1280 *a);
int br_int1280_compare_magnitude(const struct br_int1280 *a, const struct br_int1280 *b);

// coefficient / 10^scale as a numeric. When it has too many digits, fraction digits are rounded away; false when that
// isn't enough.
bool br_int1280_to_numeric(const struct br_int1280 *coefficient, unsigned scale, struct br_numeric *ret);
// The scale of a quotient as PostgreSQL's select_div_scale gives it (at least 16 significant digits), at most 63.
// divisor is an integer.
unsigned br_int1280_quotient_scale(const struct br_int1280 *dividend, unsigned scale, const struct br_int1280 *divisor);
// dividend / 10^scale / divisor at PostgreSQL's scale; false when it doesn't fit.
bool br_int1280_quotient(const struct br_int1280 *dividend, unsigned scale, const struct br_int1280 *divisor,
                         struct br_numeric *ret);

#endif
