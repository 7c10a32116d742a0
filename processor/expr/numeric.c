// SPDX-License-Identifier: Apache-2.0
// See numeric.h: arithmetic. Operands whose coefficients fit 64 bits go through 128-bit integers, the rest through wide
// magnitudes.
#include "processor/expr/numeric_internal.h"

static bool fits_64(__int128 value) {
    return value == (int64_t)value;
}

static unsigned larger(unsigned a, unsigned b) {
    return a > b ? a : b;
}

bool br_numeric_fit(__int128 coefficient, unsigned scale, struct br_numeric *ret) {
    if (br_numeric_make(coefficient, scale, ret))
        return true;
    return br_numeric_wide_fit(br_numeric_wide_of(br_magnitude(coefficient)), scale, coefficient < 0, ret);
}

// The coefficient's magnitude brought to a scale that is not smaller.
static struct br_wide wide_at_scale(struct br_numeric n, unsigned scale) {
    struct br_wide wide = br_numeric_wide_of(br_magnitude(br_numeric_coefficient(n)));
    br_numeric_wide_scale_up(&wide, scale - br_numeric_scale(n));
    return wide;
}

bool br_numeric_add_slow(struct br_numeric a, struct br_numeric b, struct br_numeric *ret) {
    __int128 left = br_numeric_coefficient(a), right = br_numeric_coefficient(b);
    unsigned left_scale = br_numeric_scale(a), right_scale = br_numeric_scale(b);
    unsigned scale = larger(left_scale, right_scale);
    unsigned left_up = scale - left_scale, right_up = scale - right_scale; // one of them is 0
    if (left_up + right_up <= 18 && fits_64(left) && fits_64(right))
        return br_numeric_fit(left * (int64_t)br_pow10_64[left_up] + right * (int64_t)br_pow10_64[right_up], scale,
                              ret);
    struct br_wide left_wide = wide_at_scale(a, scale), right_wide = wide_at_scale(b, scale);
    if ((left < 0) == (right < 0)) {
        br_numeric_wide_add(&left_wide, &right_wide);
        return br_numeric_wide_fit(left_wide, scale, left < 0, ret);
    }
    if (br_numeric_wide_compare(&left_wide, &right_wide) >= 0) {
        br_numeric_wide_subtract(&left_wide, &right_wide);
        return br_numeric_wide_fit(left_wide, scale, left < 0, ret);
    }
    br_numeric_wide_subtract(&right_wide, &left_wide);
    return br_numeric_wide_fit(right_wide, scale, right < 0, ret);
}

bool br_numeric_multiply_slow(struct br_numeric a, struct br_numeric b, struct br_numeric *ret) {
    __int128 left = br_numeric_coefficient(a), right = br_numeric_coefficient(b);
    unsigned scale = br_numeric_scale(a) + br_numeric_scale(b);
    if (fits_64(left) && fits_64(right))
        return br_numeric_fit(left * right, scale, ret);
    return br_numeric_wide_fit(br_numeric_wide_product(br_magnitude(left), br_magnitude(right)), scale,
                               (left < 0) != (right < 0), ret);
}

int br_numeric_compare_slow(struct br_numeric a, struct br_numeric b) {
    __int128 left = br_numeric_coefficient(a), right = br_numeric_coefficient(b);
    int left_sign = (left > 0) - (left < 0), right_sign = (right > 0) - (right < 0);
    if (left_sign != right_sign)
        return left_sign < right_sign ? -1 : 1;
    unsigned left_scale = br_numeric_scale(a), right_scale = br_numeric_scale(b);
    unsigned scale = larger(left_scale, right_scale);
    unsigned left_up = scale - left_scale, right_up = scale - right_scale;
    if (left_up + right_up <= 18 && fits_64(left) && fits_64(right)) {
        left *= (int64_t)br_pow10_64[left_up];
        right *= (int64_t)br_pow10_64[right_up];
        return (left > right) - (left < right);
    }
    struct br_wide left_wide = wide_at_scale(a, scale), right_wide = wide_at_scale(b, scale);
    int order = br_numeric_wide_compare(&left_wide, &right_wide);
    return left_sign < 0 ? -order : order;
}

struct br_numeric br_numeric_normalize_slow(struct br_numeric n) {
    __int128 coefficient = br_numeric_coefficient(n);
    unsigned scale = br_numeric_scale(n);
    if (coefficient == 0)
        return (struct br_numeric){0, 0};
    while (!fits_64(coefficient) && scale > 0 && coefficient % 10 == 0) {
        coefficient /= 10;
        scale--;
    }
    if (fits_64(coefficient)) {
        int64_t small = (int64_t)coefficient;
        for (; scale > 0 && small % 10 == 0; scale--)
            small /= 10;
        coefficient = small;
    }
    BR_CHECK(br_numeric_make(coefficient, scale, &n));
    return n;
}

// --- division

int br_numeric_first_group(br_u128 coefficient, unsigned scale, unsigned *ret_group) {
    *ret_group = 0;
    if (coefficient == 0)
        return 0;
    int digits = (int)br_digit_count(coefficient);
    int place = digits - 1 - (int)scale; // power of ten of the first digit
    int weight = place >= 0 ? place / 4 : -((3 - place) / 4);
    int drop = digits - (place - 4 * weight + 1); // digits after the group; negative when the group ends in zeros
    *ret_group =
        drop >= 0 ? (unsigned)(coefficient / br_pow10_128[drop]) : (unsigned)coefficient * (unsigned)br_pow10_64[-drop];
    return weight;
}

// PostgreSQL's select_div_scale: at least 16 significant digits by its estimate of the quotient's weight.
static unsigned division_scale(br_u128 a, unsigned a_scale, br_u128 b, unsigned b_scale) {
    unsigned a_group, b_group;
    int weight = br_numeric_first_group(a, a_scale, &a_group) - br_numeric_first_group(b, b_scale, &b_group);
    if (a_group <= b_group)
        weight--;
    int scale = 16 - 4 * weight;
    return larger(scale < 0 ? 0 : (unsigned)scale, larger(a_scale, b_scale));
}

// |a| · 10^up / b rounded half away from zero; false when it certainly doesn't fit. up may be negative.
static bool scaled_quotient(br_u128 a, int up, br_u128 b, br_u128 *ret_quotient) {
    br_u128 remainder;
    unsigned a_bits = br_bit_length(a);
    if (up < 0) {
        // The divisor grows; past 2^128 the quotient is less than a half.
        if (up < -38 || br_bit_length(b) + br_bit_length(br_pow10_128[-up]) > 127) {
            *ret_quotient = 0;
            return true;
        }
        b *= br_pow10_128[-up];
        up = 0;
    }
    if (up <= 38 && a_bits + br_bit_length(br_pow10_128[up]) <= 128) {
        br_u128 dividend = a * br_pow10_128[up];
        if ((uint64_t)(dividend >> 64) == 0 && (uint64_t)(b >> 64) == 0) {
            *ret_quotient = (uint64_t)dividend / (uint64_t)b;
            remainder = (uint64_t)dividend % (uint64_t)b;
        } else {
            *ret_quotient = dividend / b;
            remainder = dividend - *ret_quotient * b;
        }
    } else {
        // A quotient below 2^121 has a dividend below 2^121 · b: log2(10) > 3.32, less one bit for each rounded length.
        if (a == 0) {
            *ret_quotient = 0;
            return true;
        }
        if ((int)a_bits - 1 + up * 332 / 100 > 121 + (int)br_bit_length(b))
            return false;
        struct br_wide dividend = br_numeric_wide_of(a);
        br_numeric_wide_scale_up(&dividend, (unsigned)up);
        br_u128 upper = (br_u128)dividend.limbs[3] << 64 | dividend.limbs[2];
        if (dividend.limbs[4] != 0 || upper >= b)
            return false;
        *ret_quotient = br_numeric_wide_divide_128(&dividend, b, &remainder);
    }
    *ret_quotient += remainder >= b - remainder;
    return true;
}

bool br_numeric_divide(struct br_numeric a, struct br_numeric b, struct br_numeric *ret) {
    __int128 left = br_numeric_coefficient(a), right = br_numeric_coefficient(b);
    if (right == 0)
        return false;
    br_u128 dividend = br_magnitude(left), divisor = br_magnitude(right);
    unsigned a_scale = br_numeric_scale(a), b_scale = br_numeric_scale(b);
    unsigned wanted = division_scale(dividend, a_scale, divisor, b_scale);
    for (int scale = wanted > BR_NUMERIC_SCALE_MAX ? BR_NUMERIC_SCALE_MAX : (int)wanted; scale >= 0; scale--) {
        br_u128 quotient;
        if (scaled_quotient(dividend, scale - (int)a_scale + (int)b_scale, divisor, &quotient) &&
            quotient < (br_u128)BR_NUMERIC_LIMIT)
            return br_numeric_make((left < 0) != (right < 0) ? -(__int128)quotient : (__int128)quotient,
                                   (unsigned)scale, ret);
    }
    return false;
}

// value · 10^digits mod divisor, in steps whose products stay within 256 bits.
static br_u128 scaled_remainder(br_u128 value, unsigned digits, br_u128 divisor) {
    br_u128 remainder = value % divisor;
    while (digits > 0) {
        unsigned step = digits > 36 ? 36 : digits;
        struct br_wide wide = br_numeric_wide_product(remainder, br_pow10_128[step]);
        // remainder < divisor and 10^36 < 2^121: the upper half stays below the divisor.
        br_numeric_wide_divide_128(&wide, divisor, &remainder);
        digits -= step;
    }
    return remainder;
}

bool br_numeric_modulo(struct br_numeric a, struct br_numeric b, struct br_numeric *ret) {
    __int128 left = br_numeric_coefficient(a), right = br_numeric_coefficient(b);
    if (right == 0)
        return false;
    br_u128 dividend = br_magnitude(left), divisor = br_magnitude(right), remainder;
    unsigned a_scale = br_numeric_scale(a), b_scale = br_numeric_scale(b);
    if (a_scale >= b_scale) {
        unsigned up = a_scale - b_scale;
        if (up > 36 || br_bit_length(divisor) + br_bit_length(br_pow10_128[up]) > 128)
            remainder = dividend; // the divisor at that scale is larger than any coefficient
        else
            remainder = dividend % (divisor * br_pow10_128[up]);
    } else {
        remainder = scaled_remainder(dividend, b_scale - a_scale, divisor);
    }
    return br_numeric_make(left < 0 ? -(__int128)remainder : (__int128)remainder, larger(a_scale, b_scale), ret);
}

// --- rounding

enum rounding { TO_NEAREST, TO_ZERO, DOWN, UP };

// The coefficient over 10^drop (drop > 0), as a whole number.
static __int128 shorten(__int128 coefficient, unsigned drop, enum rounding rounding) {
    br_u128 magnitude = br_magnitude(coefficient), quotient = 0, remainder = magnitude;
    bool half = false;
    if (drop <= 37) { // 10^37 is more than twice any coefficient
        quotient = magnitude / br_pow10_128[drop];
        remainder = magnitude - quotient * br_pow10_128[drop];
        half = remainder >= br_pow10_128[drop] - remainder;
    }
    switch (rounding) {
    case TO_NEAREST:
        quotient += half;
        break;
    case TO_ZERO:
        break;
    case DOWN:
        quotient += coefficient < 0 && remainder != 0;
        break;
    case UP:
        quotient += coefficient > 0 && remainder != 0;
        break;
    }
    return coefficient < 0 ? -(__int128)quotient : (__int128)quotient;
}

static bool to_scale(struct br_numeric n, int scale, enum rounding rounding, struct br_numeric *ret) {
    __int128 coefficient = br_numeric_coefficient(n);
    int have = (int)br_numeric_scale(n);
    if (scale >= have) {
        // Zeros are added as far as they fit.
        unsigned wanted = scale > BR_NUMERIC_SCALE_MAX ? BR_NUMERIC_SCALE_MAX : (unsigned)scale;
        if (coefficient == 0)
            return br_numeric_make(0, wanted, ret);
        return br_numeric_wide_fit(wide_at_scale(n, wanted), wanted, coefficient < 0, ret);
    }
    if (have - (int64_t)scale > 100) // 63 digits of the fraction and 36 before them: nothing is left
        return br_numeric_make(0, scale < 0 ? 0 : (unsigned)scale, ret);
    __int128 shortened = shorten(coefficient, (unsigned)(have - scale), rounding);
    if (scale >= 0)
        return br_numeric_make(shortened, (unsigned)scale, ret);
    struct br_wide wide = br_numeric_wide_of(br_magnitude(shortened));
    if (shortened != 0)
        br_numeric_wide_scale_up(&wide, (unsigned)-scale); // at most 38 digits: shortened would be 0 otherwise
    return br_numeric_wide_fit(wide, 0, coefficient < 0, ret);
}

bool br_numeric_round(struct br_numeric n, int scale, struct br_numeric *ret) {
    return to_scale(n, scale, TO_NEAREST, ret);
}

bool br_numeric_truncate(struct br_numeric n, int scale, struct br_numeric *ret) {
    return to_scale(n, scale, TO_ZERO, ret);
}

bool br_numeric_floor(struct br_numeric n, struct br_numeric *ret) {
    return to_scale(n, 0, DOWN, ret);
}

bool br_numeric_ceil(struct br_numeric n, struct br_numeric *ret) {
    return to_scale(n, 0, UP, ret);
}

bool br_numeric_to_int64(struct br_numeric n, int64_t *ret) {
    unsigned scale = br_numeric_scale(n);
    __int128 whole = br_numeric_coefficient(n);
    if (scale > 0)
        whole = shorten(whole, scale, TO_NEAREST);
    if (!fits_64(whole))
        return false;
    *ret = (int64_t)whole;
    return true;
}

// --- square root

// floor(sqrt(wide)) of a value below 2^250, by Newton's iteration from above.
static br_u128 wide_root(const struct br_wide *wide) {
    unsigned bits = br_numeric_wide_bit_length(wide);
    if (bits == 0)
        return 0;
    br_u128 root = (br_u128)1 << ((bits + 1) / 2); // not below the root
    for (;;) {
        br_u128 remainder;
        br_u128 next = (root + br_numeric_wide_divide_128(wide, root, &remainder)) >> 1;
        if (next >= root)
            return root;
        root = next;
    }
}

bool br_numeric_sqrt(struct br_numeric n, struct br_numeric *ret) {
    __int128 coefficient = br_numeric_coefficient(n);
    unsigned have = br_numeric_scale(n), group;
    if (coefficient < 0)
        return false;
    // PostgreSQL's estimate of the root's weight gives 16 significant digits.
    int root_weight = (br_numeric_first_group((br_u128)coefficient, have, &group) + 1) * 4 / 2 - 1;
    int scale = 16 - root_weight;
    scale = scale < (int)have ? (int)have : scale;
    scale = scale > BR_NUMERIC_SCALE_MAX ? BR_NUMERIC_SCALE_MAX : scale;
    if (coefficient == 0)
        return br_numeric_make(0, (unsigned)scale, ret);
    // The root must stay below 2^121: give up digits until its square does (242 bits).
    unsigned bits = br_bit_length((br_u128)coefficient);
    for (;; scale--) {
        int up = 2 * scale - (int)have;
        BR_CHECK(up >= 0); // 61 bits of root at scale have / 2 always fit
        if ((int)bits + up * 333 / 100 > 250)
            continue;
        struct br_wide square = br_numeric_wide_of((br_u128)coefficient);
        br_numeric_wide_scale_up(&square, (unsigned)up);
        br_u128 root = wide_root(&square);
        struct br_wide floor_square = br_numeric_wide_product(root, root), root_wide = br_numeric_wide_of(root);
        br_numeric_wide_subtract(&square, &floor_square);
        root += br_numeric_wide_compare(&square, &root_wide) > 0; // more than (root + 1/2)^2
        if (br_numeric_make((__int128)root, (unsigned)scale, ret))
            return true;
    }
}
