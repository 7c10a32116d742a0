// SPDX-License-Identifier: Apache-2.0
// See elementary.h: exponentials, logarithms, powers and cube roots, in 128 bits.
//
// Everything goes by way of powers of 2: e^x = 2^(x log2 e), x^y = 2^(y log2 x), ln x = log2 x · ln 2.
#include "processor/expr/elementary.h"
#include "processor/expr/elementary_internal.h"

#define FIXED 116 // bits after the point of an exponent of 2: before it stand 11, and the sign

// 2^y, y in fixed point, as large as it may be. Errs by less than 2^-68 of the result.
static struct br_real exp2_of(br_i128 y) {
    br_u128 fraction = (br_u128)y & (((br_u128)1 << FIXED) - 1);
    br_u128 head = br_exp2_table[(unsigned)(fraction >> (FIXED - 8))];
    // The rest, below 2^-8, times ln 2, in units of 2^-72: t.
    uint64_t t = br_high_product((uint64_t)(fraction >> (FIXED - 72)), (uint64_t)(br_ln2 >> 64));
    // e^t - 1 = t + t²(1/2 + t/6 + t²/24 + … + t^5/5040); what follows is below 2^-83.
    uint64_t series = UINT64_C(0x000d00d00d00d00d);                            // 1/5040
    series = UINT64_C(0x005b05b05b05b05b) + (br_high_product(t, series) >> 8); // 1/720
    series = UINT64_C(0x0222222222222222) + (br_high_product(t, series) >> 8); // 1/120
    series = UINT64_C(0x0aaaaaaaaaaaaaaa) + (br_high_product(t, series) >> 8); // 1/24
    series = UINT64_C(0x2aaaaaaaaaaaaaaa) + (br_high_product(t, series) >> 8); // 1/6
    series = UINT64_C(0x8000000000000000) + (br_high_product(t, series) >> 8); // 1/2
    uint64_t more = t + (br_high_product(br_high_product(t, t), series) >> 8);
    // t errs by less than 4 units, so `more` by less than 6: 2^-69.4; the product by 2^-71 more.
    br_u128 mantissa = head + ((br_u128)(uint64_t)(head >> 64) * more >> 8);
    return (struct br_real){mantissa, (int)(y >> FIXED)};
}

// Of exp2_of's results, given the error of its argument in units of 2^-FIXED.
static br_u128 exp2_error(br_u128 argument_error) {
    return ((br_u128)1 << (127 - 68)) + (argument_error << (128 - FIXED));
}

// a's magnitude in fixed point, rounded down; it is below 2^11.
static br_u128 fixed_of(struct br_real a) {
    int shift = 127 - FIXED - a.exponent;
    return shift > 127 ? 0 : a.mantissa >> shift;
}

double br_exp(double x) {
    if (isnan(x))
        return x + x;
    bool negative = x < 0;
    if (fabs(x) > 746)
        return negative ? 0 : INFINITY;
    if (fabs(x) < 0x1p-54)
        return 1;
    uint64_t mantissa;
    int exponent = br_double_split(x, &mantissa);
    // In units of 2^(exponent - 126); the top bit need not be set.
    struct br_real product = {br_high_product_128_64(br_log2e, mantissa), exponent + 1};
    br_i128 y = (br_i128)fixed_of(product);
    double result;
    if (br_real_round(exp2_of(negative ? -y : y), exp2_error(4), false, &result))
        return result;
    return br_slow_exp(x);
}

bool br_real_log2(double x, bool *ret_negative, struct br_real *ret) {
    uint64_t mantissa;
    int exponent = br_double_split(x, &mantissa);
    unsigned place = (unsigned)(mantissa >> 55) & 255;
    exponent += place >= 106; // as the table has it
    // z = mantissa · factor - 1, exact in units of 2^-63; |z| < 2^-8. Its sign is as good as random: no branch asks it.
    int64_t z = (int64_t)((mantissa >> 11) * br_log2_factors[place] - BR_SIGN_BIT);
    uint64_t minus = (uint64_t)(z >> 63), size = ((uint64_t)z ^ minus) - minus;
    br_u128 wide_minus = (br_u128)(br_i128)(int64_t)minus;
    uint64_t scaled = size << 9; // |z| in units of 2^-72
    // log2(1 + z) = z (log2(e) - z log2(e)/2 + z² (log2(e)/3 - z log2(e)/4 + …)); what follows z^9/10 is below 2^-82.
    uint64_t series = br_log2e_over[7], square = br_high_product(scaled, scaled); // square in units of 2^-80
    for (int i = 6; i >= 0; i--) {
        uint64_t next = br_high_product(scaled, series) >> 8;
        series = br_log2e_over[i] - ((next ^ minus) - minus);
    }
    // The bracket in units of 2^-126, so that 2 has room.
    br_u128 bracket = (br_log2e >> 1) + ((br_u128)br_high_product(square, series) << 46);
    br_u128 second = br_high_product_128_64(br_log2e_half, size); // 2^-126
    bracket -= (second ^ wide_minus) - wide_minus;
    br_i128 head = (br_i128)br_log2_table[place] + (br_i128)((br_u128)(br_i128)exponent << FIXED);
    if (__builtin_expect(head == 0, 0)) { // x is near 1: the product, as precise as it is, is the result
        *ret_negative = z < 0;
        if (z == 0)
            return false;
        int zeros = __builtin_clzll(size);
        // size · 2^-63 · bracket · 2^-126: the product's unit is 2^-(63 + zeros + 126 - 64).
        *ret = br_real_normal(br_high_product_128_64(bracket, size << zeros), 127 - (63 + zeros + 126 - 64));
        return true;
    }
    // size << 9 in units of 2^-72, times the bracket: the product's unit is 2^-134.
    br_u128 tail = br_high_product_128_64(bracket, scaled) >> (134 - FIXED);
    br_u128 sum = (br_u128)head + ((tail ^ wide_minus) - wide_minus);
    br_u128 sum_minus = (br_u128)((br_i128)sum >> 127);
    *ret_negative = sum_minus != 0;
    *ret = br_real_normal((sum ^ sum_minus) - sum_minus, 127 - FIXED);
    return true;
}

static double logarithm(double x, struct br_real unit, double (*slow)(double)) {
    struct br_real log2;
    bool negative;
    double result;
    if (isnan(x) || x == INFINITY)
        return x + x;
    if (!(x > 0))
        return x == 0 ? -INFINITY : NAN;
    if (!br_real_log2(x, &negative, &log2))
        return 0;
    if (br_real_round(br_real_multiply(log2, unit), (br_u128)1 << (127 - 75), negative, &result))
        return result;
    return slow(x);
}

double br_ln(double x) {
    return logarithm(x, (struct br_real){br_ln2, -1}, br_slow_ln);
}

double br_log10(double x) {
    return logarithm(x, (struct br_real){br_log10_2, -2}, br_slow_log10);
}

// --- powers

static bool is_odd(double y) { // of a whole number
    return fabs(y) < 0x1p53 && ((int64_t)y & 1) != 0;
}

// Where IEEE 754 (9.2.1) and C say what x^y is without computing it.
static bool special_power(double x, double y, double *ret) {
    bool flip = (br_double_bits(x) & BR_SIGN_BIT) != 0 && floor(y) == y && is_odd(y);
    if (y == 0 || x == 1)
        *ret = 1;
    else if (isnan(x) || isnan(y))
        *ret = isnan(x) ? x + x : y + y;
    else if (isinf(y))
        *ret = fabs(x) == 1 ? 1 : (fabs(x) > 1) == (y > 0) ? INFINITY : 0;
    else if (x == 0 || isinf(x))
        *ret = copysign((x != 0) == (y > 0) ? INFINITY : 0, flip ? -1 : 1);
    else if (y == 1)
        *ret = x;
    else if (y == 2) // from here on what IEEE 754 rounds correctly
        *ret = x * x;
    else if (y == -1)
        *ret = 1 / x;
    else if (y == 0.5 && x > 0)
        *ret = sqrt(x);
    else if (x < 0 && floor(y) != y)
        *ret = NAN;
    else
        return false;
    return true;
}

double br_power(double x, double y) {
    double result;
    if (special_power(x, y, &result))
        return result;
    bool flip = x < 0 && is_odd(y), below_one;
    struct br_real log2;
    x = fabs(x);
    if (!br_real_log2(x, &below_one, &log2))
        return flip ? -1 : 1;
    struct br_real factor = {0};
    uint64_t mantissa;
    factor.exponent = br_double_split(y, &mantissa);
    factor.mantissa = (br_u128)mantissa << 64;
    struct br_real product = br_real_multiply(log2, factor); // errs by less than 2^-76 of its size
    bool negative = below_one != (y < 0);
    if (product.exponent > 10)
        return copysign(negative ? 0 : INFINITY, flip ? -1 : 1);
    if (product.exponent < -56)
        return flip ? -1 : 1;
    br_i128 fixed = (br_i128)fixed_of(product);
    struct br_real power = exp2_of(negative ? -fixed : fixed);
    int magnitude = product.exponent < -10 ? -10 : product.exponent;
    if (br_real_round(power, exp2_error((br_u128)1 << (FIXED - 75 + magnitude)), flip, &result))
        return result;
    result = br_slow_power(x, y);
    return flip ? -result : result;
}

// --- cube root

// The cube root's 54 leading bits are found as a whole number, exactly; no cube root lies midway between two doubles,
// since the cube of a number of 54 bits that ends in 1 has more bits than x.
double br_cbrt(double x) {
    if (isnan(x) || isinf(x) || x == 0)
        return x + x;
    uint64_t mantissa;
    int exponent = br_double_split(x, &mantissa);
    int third = (exponent >= 0 ? exponent : exponent - 2) / 3, rest = exponent - 3 * third; // 0, 1, 2
    // |x| = a · 2^(3 third), a in [1, 8). An estimate of the root by a quadratic, then two of Halley's steps.
    double a = (double)(mantissa >> 11) * 0x1p-52 * (double)(1 << rest);
    double root = 0.7 + a * (0.31 - a * 0.0185);
    for (int i = 0; i < 3; i++) {
        double cube = root * root * root;
        root = root * ((cube + (a + a)) / ((cube + cube) + a));
    }
    // The cube of r / 2^53 against a: r³ in units of 2^-159, in 192 bits, of which the lower ones are compared first.
    uint64_t r = (uint64_t)(root * 0x1p53);
    br_u128 wanted = (br_u128)mantissa << (159 - 63 - 64 + rest); // without its lowest 64 bits, which are 0
    for (;;) {                                                    // the largest r whose cube isn't above
        br_u128 square = (br_u128)r * r, low = (br_u128)(uint64_t)square * r;
        br_u128 high = (br_u128)(uint64_t)(square >> 64) * r + (uint64_t)(low >> 64);
        if (high > wanted || (high == wanted && (uint64_t)low != 0)) {
            r--;
            continue;
        }
        br_u128 next = (br_u128)(r + 1) * (r + 1), next_low = (br_u128)(uint64_t)next * (r + 1);
        br_u128 next_high = (br_u128)(uint64_t)(next >> 64) * (r + 1) + (uint64_t)(next_low >> 64);
        if (next_high > wanted || (next_high == wanted && (uint64_t)next_low != 0))
            break;
        r++;
    }
    // r has 54 bits: its last one rounds. |x| is no less than 2^-1074, its root no subnormal.
    uint64_t bits = ((uint64_t)(third + 1022) << 52) + ((r + 1) >> 1);
    return br_double_of_bits(bits | (br_double_bits(x) & BR_SIGN_BIT));
}
