// SPDX-License-Identifier: Apache-2.0
// See numeric_internal.h: powers of ten and wide magnitudes. Division follows Knuth, TAOCP 2, 4.3.1, algorithm D.
#include "processor/expr/numeric_internal.h"

#define P19 UINT64_C(10000000000000000000)
#define WIDE(power) ((br_u128)P19 * UINT64_C(power))

const uint64_t br_pow10_64[20] = {
    UINT64_C(1),
    UINT64_C(10),
    UINT64_C(100),
    UINT64_C(1000),
    UINT64_C(10000),
    UINT64_C(100000),
    UINT64_C(1000000),
    UINT64_C(10000000),
    UINT64_C(100000000),
    UINT64_C(1000000000),
    UINT64_C(10000000000),
    UINT64_C(100000000000),
    UINT64_C(1000000000000),
    UINT64_C(10000000000000),
    UINT64_C(100000000000000),
    UINT64_C(1000000000000000),
    UINT64_C(10000000000000000),
    UINT64_C(100000000000000000),
    UINT64_C(1000000000000000000),
    P19,
};

const br_u128 br_pow10_128[39] = {
    1,
    10,
    100,
    1000,
    10000,
    100000,
    1000000,
    10000000,
    100000000,
    1000000000,
    UINT64_C(10000000000),
    UINT64_C(100000000000),
    UINT64_C(1000000000000),
    UINT64_C(10000000000000),
    UINT64_C(100000000000000),
    UINT64_C(1000000000000000),
    UINT64_C(10000000000000000),
    UINT64_C(100000000000000000),
    UINT64_C(1000000000000000000),
    WIDE(1),
    WIDE(10),
    WIDE(100),
    WIDE(1000),
    WIDE(10000),
    WIDE(100000),
    WIDE(1000000),
    WIDE(10000000),
    WIDE(100000000),
    WIDE(1000000000),
    WIDE(10000000000),
    WIDE(100000000000),
    WIDE(1000000000000),
    WIDE(10000000000000),
    WIDE(100000000000000),
    WIDE(1000000000000000),
    WIDE(10000000000000000),
    WIDE(100000000000000000),
    WIDE(1000000000000000000),
    WIDE(10000000000000000000),
};

struct br_wide br_numeric_wide_of(br_u128 value) {
    return (struct br_wide){{(uint64_t)value, (uint64_t)(value >> 64)}};
}

struct br_wide br_numeric_wide_product(br_u128 a, br_u128 b) {
    uint64_t a0 = (uint64_t)a, a1 = (uint64_t)(a >> 64), b0 = (uint64_t)b, b1 = (uint64_t)(b >> 64);
    br_u128 low = (br_u128)a0 * b0, middle = (br_u128)a1 * b0, other = (br_u128)a0 * b1, high = (br_u128)a1 * b1;
    br_u128 second = (low >> 64) + (uint64_t)middle + (uint64_t)other;
    br_u128 upper = high + (middle >> 64) + (other >> 64) + (second >> 64);
    return (struct br_wide){{(uint64_t)low, (uint64_t)second, (uint64_t)upper, (uint64_t)(upper >> 64)}};
}

unsigned br_numeric_wide_bit_length(const struct br_wide *wide) {
    for (unsigned i = BR_WIDE_LIMBS; i-- > 0;)
        if (wide->limbs[i] != 0)
            return 64 * i + 64 - (unsigned)__builtin_clzll(wide->limbs[i]);
    return 0;
}

void br_numeric_wide_add(struct br_wide *wide, const struct br_wide *other) {
    br_u128 carry = 0;
    for (unsigned i = 0; i < BR_WIDE_LIMBS; i++) {
        carry += (br_u128)wide->limbs[i] + other->limbs[i];
        wide->limbs[i] = (uint64_t)carry;
        carry >>= 64;
    }
    BR_CHECK(carry == 0);
}

void br_numeric_wide_subtract(struct br_wide *wide, const struct br_wide *other) {
    bool borrow = false;
    for (unsigned i = 0; i < BR_WIDE_LIMBS; i++) {
        br_u128 taken = (br_u128)other->limbs[i] + borrow;
        borrow = wide->limbs[i] < taken;
        wide->limbs[i] -= (uint64_t)taken;
    }
    BR_CHECK(!borrow);
}

int br_numeric_wide_compare(const struct br_wide *a, const struct br_wide *b) {
    for (unsigned i = BR_WIDE_LIMBS; i-- > 0;)
        if (a->limbs[i] != b->limbs[i])
            return a->limbs[i] < b->limbs[i] ? -1 : 1;
    return 0;
}

void br_numeric_wide_multiply_64(struct br_wide *wide, uint64_t factor) {
    br_u128 carry = 0;
    for (unsigned i = 0; i < BR_WIDE_LIMBS; i++) {
        carry += (br_u128)wide->limbs[i] * factor;
        wide->limbs[i] = (uint64_t)carry;
        carry >>= 64;
    }
    BR_CHECK(carry == 0);
}

void br_numeric_wide_scale_up(struct br_wide *wide, unsigned digits) {
    for (; digits > 19; digits -= 19)
        br_numeric_wide_multiply_64(wide, P19);
    br_numeric_wide_multiply_64(wide, br_pow10_64[digits]);
}

uint64_t br_numeric_wide_divide_64(struct br_wide *wide, uint64_t divisor) {
    uint64_t remainder = 0;
    unsigned top = BR_WIDE_LIMBS;
    while (top > 0 && wide->limbs[top - 1] == 0)
        top--;
    for (unsigned i = top; i-- > 0;) {
        br_u128 part = (br_u128)remainder << 64 | wide->limbs[i];
        wide->limbs[i] = (uint64_t)(part / divisor);
        remainder = (uint64_t)(part % divisor);
    }
    return remainder;
}

// One digit of algorithm D: (*rest, next) / divisor, where *rest < divisor and the divisor's top bit is set. *rest
// becomes the remainder.
static uint64_t quotient_digit(br_u128 *rest, uint64_t next, br_u128 divisor) {
    uint64_t divisor_high = (uint64_t)(divisor >> 64), divisor_low = (uint64_t)divisor;
    uint64_t rest_high = (uint64_t)(*rest >> 64);
    uint64_t digit = rest_high >= divisor_high ? UINT64_MAX : (uint64_t)(*rest / divisor_high);
    // rest·2^64 + next − digit·divisor in 192 bits, of which a wrong digit (at most two too large) makes the top
    // negative.
    br_u128 low = (br_u128)digit * divisor_low, high = (br_u128)digit * divisor_high + (low >> 64);
    bool borrow = next < (uint64_t)low;
    uint64_t left_low = next - (uint64_t)low;
    bool negative = *rest < high || (*rest == high && borrow);
    br_u128 left_high = *rest - high - borrow;
    while (negative) {
        digit--;
        uint64_t sum_low = left_low + divisor_low;
        bool carry = sum_low < left_low;
        br_u128 sum_high = left_high + divisor_high + carry;
        negative = sum_high >= left_high; // no wrap past zero: still negative
        left_low = sum_low;
        left_high = sum_high;
    }
    *rest = left_high << 64 | left_low;
    return digit;
}

br_u128 br_numeric_wide_divide_128(const struct br_wide *wide, br_u128 divisor, br_u128 *ret_remainder) {
    br_u128 low = (br_u128)wide->limbs[1] << 64 | wide->limbs[0];
    br_u128 high = (br_u128)wide->limbs[3] << 64 | wide->limbs[2];
    BR_CHECK(high < divisor && wide->limbs[4] == 0 && wide->limbs[5] == 0);
    if (high == 0) {
        *ret_remainder = low % divisor;
        return low / divisor;
    }
    unsigned shift = 128 - br_bit_length(divisor);
    divisor <<= shift;
    if (shift != 0) {
        high = high << shift | low >> (128 - shift);
        low <<= shift;
    }
    uint64_t first = quotient_digit(&high, (uint64_t)(low >> 64), divisor);
    uint64_t second = quotient_digit(&high, (uint64_t)low, divisor);
    *ret_remainder = high >> shift;
    return (br_u128)first << 64 | second;
}

bool br_numeric_wide_fit(struct br_wide wide, unsigned scale, bool negative, struct br_numeric *ret) {
    unsigned bits = br_numeric_wide_bit_length(&wide);
    // What certainly goes, in large steps; at least one more digit goes below, which decides the rounding.
    while (bits > 140) {
        unsigned digits = (bits - 124) * 3 / 10;
        digits = digits > 19 ? 19 : digits;
        if (digits > scale)
            return false;
        br_numeric_wide_divide_64(&wide, br_pow10_64[digits]);
        scale -= digits;
        bits = br_numeric_wide_bit_length(&wide);
    }
    for (uint64_t last = 0;; scale--) {
        br_u128 rounded = ((br_u128)wide.limbs[1] << 64 | wide.limbs[0]) + (last >= 5);
        bool fits = wide.limbs[2] == 0 && wide.limbs[1] >> 57 == 0 && rounded < (br_u128)BR_NUMERIC_LIMIT &&
                    scale <= BR_NUMERIC_SCALE_MAX;
        if (fits)
            return br_numeric_make(negative ? -(__int128)rounded : (__int128)rounded, scale, ret);
        if (scale == 0)
            return false;
        last = br_numeric_wide_divide_64(&wide, 10);
    }
}
