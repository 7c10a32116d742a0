// SPDX-License-Identifier: Apache-2.0
// Exact sums of doubles, and what is rounded from them.
//
// A sum is a whole number times 2^base, in words of two's complement, the least significant first. Every double is a
// multiple of 2^-1074 and every square of one a multiple of 2^-2148, so that any sum of fewer than 2^63 of them fits
// BR_EXACT_WORDS words, one that is larger than the largest double too. Nothing is rounded before br_exact_double and
// its sisters, which round once, half to even. Integers alone are used: the same bits on every machine.
#ifndef BR_PROCESSOR_OPERATORS_EXACT_H
#define BR_PROCESSOR_OPERATORS_EXACT_H

#include <stdbool.h>
#include <stdint.h>

#define BR_EXACT_WORDS 80

struct br_exact {
    int base;
    uint32_t count; // of words; 0: the sum is zero
    uint64_t words[BR_EXACT_WORDS];
};

// What one row adds: magnitude * 2^low, taken off when negative.
struct br_exact_term {
    uint64_t limbs[3];
    int low;
    bool negative;
};

// Of a finite value: its mantissa, less than 2^53, and the exponent of its lowest bit.
static inline uint64_t br_double_split(double value, int *ret_low) {
    uint64_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    unsigned exponent = bits >> 52 & 0x7ff;
    uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    *ret_low = (exponent == 0 ? 1 : (int)exponent) - 1075;
    return exponent == 0 ? fraction : fraction | UINT64_C(1) << 52;
}

struct br_exact_term br_exact_value(double value, int32_t weight);  // value * weight; value is finite
struct br_exact_term br_exact_square(double value, int32_t weight); // value^2 * weight

// Adds in place where the words reach far enough on both sides: the topmost one is left to carries, of which it holds
// 2^63. False: nothing was added.
bool br_exact_add_within(uint64_t *words, uint32_t count, int base, const struct br_exact_term *term);
void br_exact_add(struct br_exact *sum, const struct br_exact_term *term);

// Drops words that say nothing, and leaves one of sign alone on top, as br_exact_add_within needs it.
void br_exact_trim(struct br_exact *sum);
// The sum in `count` words of its own choice of base, with room on both sides; false when it is too long for them.
bool br_exact_pack(const struct br_exact *sum, uint32_t count, uint64_t *ret_words, int *ret_base);

// Infinite when the magnitude is beyond the largest double.
double br_exact_double(const struct br_exact *sum);
double br_exact_quotient(const struct br_exact *sum, uint64_t divisor);
// (count * squares - sum^2) / (count * divisor), and its root; never negative.
double br_exact_variance(const struct br_exact *sum, const struct br_exact *squares, uint64_t count, uint64_t divisor);
double br_exact_deviation(const struct br_exact *sum, const struct br_exact *squares, uint64_t count, uint64_t divisor);

double br_exact_int128_slowly(__int128 sum, int base);
// sum * 2^base. Away from the ends of the range the processor rounds: the leading 63 bits, the last of them set when
// any is behind it, become a double, and a power of two leaves that as it is.
static inline double br_exact_int128(__int128 sum, int base) {
    unsigned __int128 magnitude = sum < 0 ? -(unsigned __int128)sum : (unsigned __int128)sum;
    uint64_t above = (uint64_t)(magnitude >> 63);
    int drop = above == 0 ? 0 : 64 - __builtin_clzll(above), exponent = base + drop;
    uint64_t head = (uint64_t)(magnitude >> drop);
    head |= magnitude != (unsigned __int128)head << drop;
    if (exponent < -900 || exponent > 900)
        return br_exact_int128_slowly(sum, base);
    double result = (double)(int64_t)head, scale;
    uint64_t scale_bits = (uint64_t)(exponent + 1023) << 52;
    __builtin_memcpy(&scale, &scale_bits, sizeof scale);
    return sum < 0 ? -result * scale : result * scale;
}

#endif
