// SPDX-License-Identifier: Apache-2.0
// Binary floating point of 192 to 1280 bits, in integers: for what elementary functions of doubles can't decide with
// 128 bits, and for those of numerics.
//
// A value is (negative ? -1 : 1) · m · 2^exponent with m = 0.limbs between 1/2 and 1; `count` limbs, the least
// significant first, the top bit set; zero has only zero limbs. Operands of one operation have the same count. Results
// are rounded towards zero; a sum or difference errs by less than 2 units in the last place of its larger operand, the
// rest by less than 4 of their own result.
#ifndef BR_PROCESSOR_EXPR_BIG_H
#define BR_PROCESSOR_EXPR_BIG_H

#include <stdbool.h>
#include <stdint.h>

#define BR_BIG_LIMBS 20

struct br_big {
    unsigned count;
    int64_t exponent;
    bool negative;
    uint64_t limbs[BR_BIG_LIMBS];
};

static inline bool br_big_is_zero(const struct br_big *a) {
    return a->limbs[a->count - 1] == 0;
}
struct br_big br_big_of(unsigned count, unsigned __int128 mantissa, int64_t exponent); // mantissa · 2^exponent, exact
struct br_big br_big_of_words(unsigned count, const uint64_t *big_endian, int64_t exponent); // 0.words · 2^exponent
struct br_big br_big_add(struct br_big a, struct br_big b);
struct br_big br_big_subtract(struct br_big a, struct br_big b);
struct br_big br_big_multiply(struct br_big a, struct br_big b);
struct br_big br_big_multiply_small(struct br_big a, uint64_t factor);
struct br_big br_big_divide_small(struct br_big a, uint64_t divisor);
struct br_big br_big_divide(struct br_big a, struct br_big b);
int br_big_compare(const struct br_big *a, const struct br_big *b);
double br_big_to_double(const struct br_big *a); // nearest, ties to even; infinite when too large

// The whole number nearest to |a|, half up. false: it has more than 128 bits.
bool br_big_round(const struct br_big *a, unsigned __int128 *ret);
// a with its magnitude changed by ±2^-bits of it: the two ends of an interval.
struct br_big br_big_nudge(struct br_big a, unsigned bits, bool up);

// --- functions. Each errs by less than 2^-(64 count - BR_BIG_LOST) of its result.
#define BR_BIG_LOST 40
struct br_big br_big_exp(struct br_big x);  // |x| < 2^14
struct br_big br_big_ln(struct br_big x);   // x > 0, exact; for x within 2^-8 of 1 br_big_ln1p is better
struct br_big br_big_ln1p(struct br_big x); // |x| <= 2^-8
// Of mantissa · 2^exponent, exponent < 1024.
void br_big_sincos(unsigned count, uint64_t mantissa, int exponent, struct br_big *ret_sin, struct br_big *ret_cos);

#endif
