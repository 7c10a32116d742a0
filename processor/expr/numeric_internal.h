// SPDX-License-Identifier: Apache-2.0
// What the files of numeric share: powers of ten, digit counts, and wide magnitudes for results before they are cut.
//
// A wide magnitude is unsigned, of up to 6 limbs (384 bits): room for a coefficient times 10^63 (331 bits) and for the
// product of two coefficients (242 bits). Callers keep the sign.
#ifndef BR_PROCESSOR_EXPR_NUMERIC_INTERNAL_H
#define BR_PROCESSOR_EXPR_NUMERIC_INTERNAL_H

#include "processor/expr/numeric.h"

typedef unsigned __int128 br_u128; // the compiler's own type has no short name

#define BR_WIDE_LIMBS 6
struct br_wide {
    uint64_t limbs[BR_WIDE_LIMBS]; // little-endian
};

extern const uint64_t br_pow10_64[20]; // 10^0 .. 10^19
extern const br_u128 br_pow10_128[39]; // 10^0 .. 10^38

static inline br_u128 br_magnitude(__int128 value) {
    return value < 0 ? 0 - (br_u128)value : (br_u128)value;
}
static inline unsigned br_bit_length(br_u128 value) {
    uint64_t high = (uint64_t)(value >> 64), low = (uint64_t)value;
    if (high != 0)
        return 128 - (unsigned)__builtin_clzll(high);
    return low == 0 ? 0 : 64 - (unsigned)__builtin_clzll(low);
}
// Decimal digits of a magnitude; 0 has none.
static inline unsigned br_digit_count(br_u128 value) {
    unsigned guess = br_bit_length(value) * 1233 >> 12; // log10(2), off by one at most
    return guess + (value >= br_pow10_128[guess]);
}

struct br_wide br_numeric_wide_of(br_u128 value);
struct br_wide br_numeric_wide_product(br_u128 a, br_u128 b);
unsigned br_numeric_wide_bit_length(const struct br_wide *wide);
void br_numeric_wide_add(struct br_wide *wide, const struct br_wide *other);
void br_numeric_wide_subtract(struct br_wide *wide, const struct br_wide *other); // wide >= other
int br_numeric_wide_compare(const struct br_wide *a, const struct br_wide *b);
void br_numeric_wide_multiply_64(struct br_wide *wide, uint64_t factor);    // must not overflow
void br_numeric_wide_scale_up(struct br_wide *wide, unsigned digits);       // times 10^digits; must not overflow
uint64_t br_numeric_wide_divide_64(struct br_wide *wide, uint64_t divisor); // the remainder is returned
// 256 by 128 bits. The quotient must fit 128 bits (upper half of the dividend < divisor).
br_u128 br_numeric_wide_divide_128(const struct br_wide *wide, br_u128 divisor, br_u128 *ret_remainder);

// PostgreSQL keeps digits in groups of four, aligned at the point. The place of the first group that isn't zero, and
// its value (1..9999).
int br_numeric_first_group(br_u128 coefficient, unsigned scale, unsigned *ret_group);

// Cuts to the largest scale that fits, rounding half away from zero; false when digits before the point would have to
// go.
bool br_numeric_wide_fit(struct br_wide wide, unsigned scale, bool negative, struct br_numeric *ret);

enum br_numeric_parsed { BR_NUMERIC_PARSED, BR_NUMERIC_SYNTAX, BR_NUMERIC_TOO_LARGE, BR_NUMERIC_SPECIAL };
// br_numeric_parse with the reason of a refusal; BR_NUMERIC_SPECIAL is NaN or an infinity.
enum br_numeric_parsed br_numeric_parse_text(struct br_slice text, struct br_numeric *ret);

#endif
