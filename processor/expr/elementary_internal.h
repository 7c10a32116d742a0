// SPDX-License-Identifier: Apache-2.0
// What the files of elementary functions share: reals of 128 bits, their rounding, and the tables.
#ifndef BR_PROCESSOR_EXPR_ELEMENTARY_INTERNAL_H
#define BR_PROCESSOR_EXPR_ELEMENTARY_INTERNAL_H

#include "processor/expr/big.h"
#include "processor/expr/numeric_internal.h"

#include <math.h>
#include <string.h>

typedef __int128 br_i128;

// --- tables (elementary_tables.c). Rounded down to the bits after the point that are given.
extern const br_u128 br_exp2_table[256];    // 2^(i/256); 127
extern const uint16_t br_log2_factors[256]; // f/2048 brings a number of [1 + i/256, 1 + (i+1)/256) within 2^-8 of 1
extern const br_u128 br_log2_table[256];    // -log2(f/2048), less 1 from i = 106 on; two's complement, 116
extern const br_u128 br_sine_table[257];    // sin(i π/512); 127
extern const br_u128 br_arctan_table[129];  // arctan(i/128); 127
extern const uint64_t br_log2e_over[8];     // log2(e)/n, n from 3; 64
extern const br_u128 br_log2e, br_log2e_half, br_half_pi;                  // 127
extern const br_u128 br_ln2;                                               // 128
extern const br_u128 br_log10_2;                                           // 129: the top bit is set
extern const uint64_t br_big_ln2[20], br_big_ln10[20], br_big_half_pi[20]; // big-endian words, the top bit set
extern const uint64_t br_big_two_over_pi[36];                              // big-endian words after the point
extern const uint64_t br_five_small[28];                                   // 5^i
extern const br_u128 br_five_large[28]; // 5^(28 (i - 14)) / 2^br_five_large_shift[i]; the top bit is set
extern const int16_t br_five_large_shift[28];

// --- reals of 128 bits
// mantissa · 2^(exponent - 127), the mantissa's top bit set: between 2^exponent and twice that.
struct br_real {
    br_u128 mantissa;
    int exponent;
};

static inline uint64_t br_double_bits(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
static inline double br_double_of_bits(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
#define BR_SIGN_BIT (UINT64_C(1) << 63)

// |value| = *ret_mantissa · 2^(exponent - 63), the top bit set; the exponent is returned. Finite, not 0.
static inline int br_double_split(double value, uint64_t *ret_mantissa) {
    uint64_t bits = br_double_bits(value) & ~BR_SIGN_BIT;
    int exponent = (int)(bits >> 52) - 1023;
    uint64_t mantissa = bits << 11 | BR_SIGN_BIT;
    if (exponent == -1023) {
        mantissa = bits << 11;
        int zeros = __builtin_clzll(mantissa);
        mantissa <<= zeros;
        exponent = -1022 - zeros;
    }
    *ret_mantissa = mantissa;
    return exponent;
}

static inline uint64_t br_high_product(uint64_t a, uint64_t b) {
    return (uint64_t)((br_u128)a * b >> 64);
}
// a · b / 2^64, rounded down.
static inline br_u128 br_high_product_128_64(br_u128 a, uint64_t b) {
    return (br_u128)(uint64_t)(a >> 64) * b + ((br_u128)(uint64_t)a * b >> 64);
}
// a · b / 2^128, at most 2 too small.
static inline br_u128 br_high_product_128(br_u128 a, br_u128 b) {
    uint64_t a_high = (uint64_t)(a >> 64), a_low = (uint64_t)a, b_high = (uint64_t)(b >> 64), b_low = (uint64_t)b;
    return (br_u128)a_high * b_high + ((br_u128)a_high * b_low >> 64) + ((br_u128)a_low * b_high >> 64);
}
static inline int br_leading_zeros_128(br_u128 value) { // not 0
    uint64_t high = (uint64_t)(value >> 64);
    return high != 0 ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)value);
}
// mantissa · 2^(exponent - 127) with any mantissa but 0.
static inline struct br_real br_real_normal(br_u128 mantissa, int exponent) {
    int zeros = br_leading_zeros_128(mantissa);
    return (struct br_real){mantissa << zeros, exponent - zeros};
}
// A product is short by at most 2^-125 of its size.
static inline struct br_real br_real_multiply(struct br_real a, struct br_real b) {
    return br_real_normal(br_high_product_128(a.mantissa, b.mantissa), a.exponent + b.exponent + 1);
}
struct br_real br_real_divide(struct br_real a, struct br_real b); // errs by less than 2^-99 of the quotient
struct br_real br_real_root(br_u128 square, int exponent);         // of square · 2^(exponent - 127); the same error

// Bits of the mantissa that a double of this exponent leaves out; 75 unless it is subnormal. More than 128: it is less
// than half of the smallest one.
static inline int br_real_dropped_bits(int exponent) {
    return exponent >= -1022 ? 75 : -947 - exponent;
}
// The double nearest to the value, unless a point midway between two doubles is as near as error · 2^(exponent - 127):
// then false. error < 2^70. Too large becomes infinite, too small 0.
static inline bool br_real_round(struct br_real value, br_u128 error, bool negative, double *ret) {
    uint64_t sign = negative ? BR_SIGN_BIT : 0;
    int drop = br_real_dropped_bits(value.exponent);
    if (__builtin_expect(drop != 75 || value.exponent > 1023, 0)) {
        if (value.exponent > 1023 || drop > 128) {
            *ret = br_double_of_bits(sign | (drop > 128 ? 0 : UINT64_C(0x7ff) << 52));
            return true;
        }
        br_u128 half = (br_u128)1 << (drop - 1), low = value.mantissa & (half - 1 + half);
        if (low - half + error <= 2 * error)
            return false;
        *ret = br_double_of_bits(sign | ((drop == 128 ? 0 : (uint64_t)(value.mantissa >> drop)) + (low > half)));
        return true;
    }
    // The 64 bits behind the double's; what follows them is part of the error.
    uint64_t low = (uint64_t)(value.mantissa >> 11), half = BR_SIGN_BIT, unsure = (uint64_t)(error >> 11) + 1;
    if (__builtin_expect(low - half + unsure <= 2 * unsure, 0))
        return false;
    // The mantissa's top bit adds one to the exponent's field, and so does a carry.
    uint64_t bits = ((uint64_t)(value.exponent + 1022) << 52) + (uint64_t)(value.mantissa >> 75) + (low >= half);
    *ret = br_double_of_bits(sign | bits);
    return true;
}

// log2 of a positive finite double. Errs by less than 2^-77 of the result, which is 0 (exactly) for 1 only: then false.
bool br_real_log2(double x, bool *ret_negative, struct br_real *ret);

// --- when 128 bits don't tell (elementary_slow.c). Arguments as those of the functions, without what they answer
// first.
double br_slow_exp(double x);
double br_slow_ln(double x);
double br_slow_log10(double x);
double br_slow_power(double x, double y); // x > 0
double br_slow_sin(double x);
double br_slow_cos(double x);
double br_slow_tan(double x);
// `near` is an approximation as good as those of 128 bits: the midpoint that is nearest to it is looked at.
double br_slow_asin(double x, struct br_real near); // x > 0
double br_slow_acos(double x, struct br_real near);
double br_slow_angle(double y, double x, struct br_real near); // of the point (x, y), y > 0

#endif
