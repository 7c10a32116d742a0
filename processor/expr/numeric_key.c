// SPDX-License-Identifier: Apache-2.0
// See numeric.h: order-preserving keys.
//
// K1. The value is floor + fraction, 0 <= fraction < 1: both parts then sort the same way for negative values.
// K2. BR_KEY_VALUE, then the floor: one byte 0x80 + n for floor >= 0, 0x7f - n for floor < 0, and the n low bytes of
//     the floor's two's complement, big-endian; n is the fewest bytes that hold floor (or its complement when
//     negative).
// K3. Then the fraction: pairs of decimal digits as one byte each, value + 1 (0x01..0x64), the last pair not 00, and
//     0x00 at the end. A whole number has the end byte alone.
// So 0 is 01 80 00, 5 is 01 81 05 00, 12.5 is 01 81 0c 33 00, -1 is 01 7f 00, -0.5 is 01 7f 33 00.
#include "processor/expr/numeric_internal.h"
#include "state/keys.h"

#define KEY_SIZE_MAX (2 + 16 + 32 + 1)

static size_t put_floor(uint8_t *at, __int128 floor) {
    br_u128 bits = (br_u128)floor;
    bool negative = floor < 0;
    unsigned count = (br_bit_length(negative ? ~bits : bits) + 7) / 8;
    at[0] = (uint8_t)(negative ? 0x7f - count : 0x80 + count);
    for (unsigned i = 0; i < count; i++)
        at[1 + i] = (uint8_t)(bits >> 8 * (count - 1 - i));
    return 1 + count;
}

// fraction < 10^scale, without trailing zero digits.
static size_t put_fraction(uint8_t *at, br_u128 fraction, unsigned scale) {
    unsigned pairs = (scale + 1) / 2;
    if (scale % 2 != 0)
        fraction *= 10;
    for (unsigned i = pairs; i-- > 0;) {
        at[i] = (uint8_t)(1 + (unsigned)(fraction % 100));
        fraction /= 100;
    }
    at[pairs] = 0;
    return pairs + 1;
}

static void split(__int128 coefficient, unsigned scale, __int128 *ret_floor, br_u128 *ret_fraction) {
    if (coefficient == (int64_t)coefficient && scale <= 18) {
        int64_t unit = (int64_t)br_pow10_64[scale], floor = (int64_t)coefficient / unit;
        int64_t rest = (int64_t)coefficient % unit;
        *ret_floor = floor - (rest < 0);
        *ret_fraction = (uint64_t)(rest < 0 ? rest + unit : rest);
        return;
    }
    __int128 unit = (__int128)br_pow10_128[scale], floor = coefficient / unit, rest = coefficient % unit;
    *ret_floor = floor - (rest < 0);
    *ret_fraction = (br_u128)(rest < 0 ? rest + unit : rest);
}

void br_key_append_numeric(struct br_buffer *key, struct br_numeric n) {
    uint8_t *at = br_buffer_reserve(key, KEY_SIZE_MAX + BR_NUMERIC_SCALE_MAX);
    n = br_numeric_normalize(n);
    __int128 coefficient = br_numeric_coefficient(n), floor = coefficient;
    unsigned scale = br_numeric_scale(n);
    size_t length = 1;
    at[0] = BR_KEY_VALUE;
    if (scale == 0) {
        length += put_floor(at + length, floor);
        at[length++] = 0;
    } else if (scale <= 37) {
        br_u128 fraction;
        split(coefficient, scale, &floor, &fraction);
        length += put_floor(at + length, floor);
        length += put_fraction(at + length, fraction, scale);
    } else {
        // |value| < 1. The fraction of a negative value is 10^scale less its magnitude, in 38..63 digits.
        struct br_wide fraction = br_numeric_wide_of(br_magnitude(coefficient));
        if (coefficient < 0) {
            struct br_wide unit = br_numeric_wide_of(1);
            br_numeric_wide_scale_up(&unit, scale);
            br_numeric_wide_subtract(&unit, &fraction);
            fraction = unit;
        }
        length += put_floor(at + length, coefficient < 0 ? -1 : 0);
        unsigned pairs = (scale + 1) / 2;
        if (scale % 2 != 0)
            br_numeric_wide_multiply_64(&fraction, 10);
        for (unsigned i = pairs; i-- > 0;)
            at[length + i] = (uint8_t)(1 + br_numeric_wide_divide_64(&fraction, 100));
        length += pairs;
        at[length++] = 0;
    }
    key->len += length;
}

size_t br_key_read_numeric(struct br_slice key, struct br_numeric *ret) {
    if (key.len < 3 || key.ptr[0] != BR_KEY_VALUE)
        return 0;
    bool negative = key.ptr[1] < 0x80;
    unsigned count = negative ? 0x7fu - key.ptr[1] : key.ptr[1] - 0x80u;
    if (count > 16 || key.len < 2 + (size_t)count + 1)
        return 0;
    br_u128 bits = negative ? ~(br_u128)0 : 0;
    for (unsigned i = 0; i < count; i++)
        bits = bits << 8 | key.ptr[2 + i];
    if (count == 16 && ((__int128)bits < 0) != negative)
        return 0;
    // Magnitude and digits: floor >= 0 gives floor·10^d + f, floor < 0 gives −floor·10^d − f.
    struct br_wide magnitude = br_numeric_wide_of(br_magnitude((__int128)bits)), fraction = {{0}};
    size_t at = 2 + count;
    unsigned scale = 0;
    for (; at < key.len && key.ptr[at] != 0; at++, scale += 2) {
        if (key.ptr[at] > 100 || scale > BR_NUMERIC_SCALE_MAX)
            return 0;
        struct br_wide pair = br_numeric_wide_of(key.ptr[at] - 1u);
        br_numeric_wide_multiply_64(&fraction, 100);
        br_numeric_wide_add(&fraction, &pair);
    }
    if (at == key.len)
        return 0;
    br_numeric_wide_scale_up(&magnitude, scale);
    if (negative)
        br_numeric_wide_subtract(&magnitude, &fraction);
    else
        br_numeric_wide_add(&magnitude, &fraction);
    if (scale > 0 && key.ptr[at - 1] % 10 == 1) { // the last digit of the last pair is 0
        br_numeric_wide_divide_64(&magnitude, 10);
        scale--;
    }
    return br_numeric_wide_fit(magnitude, scale, negative, ret) ? at + 1 : 0;
}
