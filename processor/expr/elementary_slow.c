// SPDX-License-Identifier: Apache-2.0
// See elementary.h: when 128 bits don't tell how to round. Each tries more and more bits until both ends of the
// interval that holds the value round to the same double, or lie on the same side of the midpoint in question.
//
// That the last precision is enough: only values of algebraic functions of x can lie exactly on a midpoint, and those
// are found before; of the rest, the hardest cases known need some 120 bits for functions of one argument, and about
// 190 are to be expected of two.
#include "processor/expr/big.h"
#include "processor/expr/elementary_internal.h"

static const unsigned PRECISIONS[] = {3, 5, 8, 16};
#define PRECISION_COUNT (sizeof PRECISIONS / sizeof PRECISIONS[0])

static struct br_big big_of_double(unsigned count, double x) {
    uint64_t mantissa;
    if (x == 0)
        return (struct br_big){.count = count};
    int exponent = br_double_split(x, &mantissa);
    struct br_big z = br_big_of(count, mantissa, exponent - 63);
    z.negative = x < 0;
    return z;
}

// Do both ends round to one double? `lost` are the bits of the precision that errors have taken.
static bool settled(const struct br_big *value, unsigned lost, double *ret) {
    struct br_big low = br_big_nudge(*value, 64 * value->count - lost, false);
    struct br_big high = br_big_nudge(*value, 64 * value->count - lost, true);
    *ret = br_big_to_double(value);
    return br_big_to_double(&low) == br_big_to_double(&high);
}

double br_slow_exp(double x) {
    double result = 0;
    for (size_t i = 0; i < PRECISION_COUNT; i++) {
        struct br_big value = br_big_exp(big_of_double(PRECISIONS[i], x));
        if (settled(&value, BR_BIG_LOST, &result))
            break;
    }
    return result;
}

static struct br_big ln_of(unsigned count, double x) {
    return br_big_ln(big_of_double(count, x));
}

double br_slow_ln(double x) {
    double result = 0;
    for (size_t i = 0; i < PRECISION_COUNT; i++) {
        struct br_big value = ln_of(PRECISIONS[i], x);
        if (settled(&value, BR_BIG_LOST, &result))
            break;
    }
    return result;
}

double br_slow_log10(double x) {
    double result = 0;
    for (size_t i = 0; i < PRECISION_COUNT; i++) {
        struct br_big value = br_big_divide(ln_of(PRECISIONS[i], x), br_big_of_words(PRECISIONS[i], br_big_ln10, 2));
        if (settled(&value, BR_BIG_LOST + 2, &result))
            break;
    }
    return result;
}

// --- powers

static bool is_square(uint64_t n, uint64_t *ret_root) { // n < 2^53
    uint64_t root = (uint64_t)sqrt((double)(int64_t)n);
    *ret_root = root;
    return root * root == n;
}

// x^y as an odd whole number below 2^54 times a power of two, if it is one: what can lie midway between two doubles. x
// is odd · 2^e, y is n / 2^k with an odd n > 1 (or k = 0): then x must be a 2^k-th power. A negative y gives no such
// number unless x is a power of 2, which gives no midpoint above the subnormals.
static bool exact_power(double x, double y, struct br_big *ret) {
    uint64_t base, exponent_bits;
    int base_exponent = br_double_split(x, &base) - 63, y_exponent = br_double_split(y, &exponent_bits) - 63;
    int zeros = __builtin_ctzll(base), y_zeros = __builtin_ctzll(exponent_bits);
    base >>= zeros;
    base_exponent += zeros;
    exponent_bits >>= y_zeros;
    y_exponent += y_zeros;
    for (; y_exponent < 0; y_exponent++) {
        if (base_exponent % 2 != 0 || !is_square(base, &base))
            return false;
        base_exponent /= 2;
    }
    if ((base != 1 && (y < 0 || y_exponent > 5)) || y_exponent > 10 || exponent_bits > 1 << 11)
        return false;
    int64_t power = (int64_t)(exponent_bits << y_exponent);
    uint64_t product = 1;
    for (int64_t i = 0; i < power && base != 1; i++)
        if (__builtin_mul_overflow(product, base, &product) || product >> 54 != 0)
            return false;
    *ret = br_big_of(3, product, base_exponent * (y < 0 ? -power : power));
    return true;
}

double br_slow_power(double x, double y) {
    struct br_big exact;
    double result = 0;
    if (exact_power(x, y, &exact))
        return br_big_to_double(&exact);
    for (size_t i = 0; i < PRECISION_COUNT; i++) {
        unsigned count = PRECISIONS[i];
        struct br_big product = br_big_multiply(ln_of(count, x), big_of_double(count, y));
        struct br_big value = br_big_exp(product); // the product, up to 2^10, has lost BR_BIG_LOST bits already
        if (settled(&value, BR_BIG_LOST + 12, &result))
            break;
    }
    return result;
}

// --- angles

static void sincos_of(unsigned count, double x, struct br_big *ret_sin, struct br_big *ret_cos) {
    uint64_t mantissa;
    int exponent = br_double_split(x, &mantissa) - 63;
    br_big_sincos(count, mantissa, exponent, ret_sin, ret_cos);
    if (x < 0)
        ret_sin->negative = !ret_sin->negative;
}

double br_slow_sin(double x) {
    double result = 0;
    for (size_t i = 0; i < PRECISION_COUNT; i++) {
        struct br_big sine, cosine;
        sincos_of(PRECISIONS[i], x, &sine, &cosine);
        if (settled(&sine, BR_BIG_LOST, &result))
            break;
    }
    return result;
}

double br_slow_cos(double x) {
    double result = 0;
    for (size_t i = 0; i < PRECISION_COUNT; i++) {
        struct br_big sine, cosine;
        sincos_of(PRECISIONS[i], x, &sine, &cosine);
        if (settled(&cosine, BR_BIG_LOST, &result))
            break;
    }
    return result;
}

double br_slow_tan(double x) {
    double result = 0;
    for (size_t i = 0; i < PRECISION_COUNT; i++) {
        struct br_big sine, cosine;
        sincos_of(PRECISIONS[i], x, &sine, &cosine);
        struct br_big value = br_big_divide(sine, cosine);
        if (settled(&value, BR_BIG_LOST + 2, &result))
            break;
    }
    return result;
}

// The midpoint of two neighbouring doubles that is nearest to an approximation.
struct midpoint {
    uint64_t mantissa; // of 54 bits
    int exponent;      // mantissa · 2^exponent
    double below, above;
};

static struct midpoint midpoint_near(struct br_real near) {
    uint64_t kept = (uint64_t)(near.mantissa >> 75);
    uint64_t bits = ((uint64_t)(near.exponent + 1022) << 52) + kept;
    return (struct midpoint){2 * kept + 1, near.exponent - 53, br_double_of_bits(bits), br_double_of_bits(bits + 1)};
}

// The sign of a difference of two values that err by 2^-(64 count - lost) of themselves; 0: not clear.
static int sign_of_difference(const struct br_big *a, const struct br_big *b, unsigned lost) {
    unsigned bits = 64 * a->count - lost;
    struct br_big a_low = br_big_nudge(*a, bits, a->negative), a_high = br_big_nudge(*a, bits, !a->negative);
    struct br_big b_low = br_big_nudge(*b, bits, b->negative), b_high = br_big_nudge(*b, bits, !b->negative);
    return br_big_compare(&a_low, &b_high) > 0 ? 1 : br_big_compare(&a_high, &b_low) < 0 ? -1 : 0;
}

// sin(midpoint) against x.
double br_slow_asin(double x, struct br_real near) {
    struct midpoint midpoint = midpoint_near(near);
    for (size_t i = 0; i < PRECISION_COUNT; i++) {
        struct br_big sine, cosine, wanted = big_of_double(PRECISIONS[i], x);
        br_big_sincos(PRECISIONS[i], midpoint.mantissa, midpoint.exponent, &sine, &cosine);
        int sign = sign_of_difference(&wanted, &sine, BR_BIG_LOST);
        if (sign != 0)
            return sign < 0 ? midpoint.below : midpoint.above;
    }
    return midpoint.below;
}

// cos(midpoint) against x: the larger x, the smaller the angle.
double br_slow_acos(double x, struct br_real near) {
    struct midpoint midpoint = midpoint_near(near);
    for (size_t i = 0; i < PRECISION_COUNT; i++) {
        struct br_big sine, cosine, wanted = big_of_double(PRECISIONS[i], x);
        br_big_sincos(PRECISIONS[i], midpoint.mantissa, midpoint.exponent, &sine, &cosine);
        int sign = sign_of_difference(&wanted, &cosine, BR_BIG_LOST);
        if (sign != 0)
            return sign > 0 ? midpoint.below : midpoint.above;
    }
    return midpoint.below;
}

// Is the point left of the ray at the midpoint's angle? y cos(midpoint) - x sin(midpoint) > 0 says so.
double br_slow_angle(double y, double x, struct br_real near) {
    struct midpoint midpoint = midpoint_near(near);
    for (size_t i = 0; i < PRECISION_COUNT; i++) {
        struct br_big sine, cosine;
        br_big_sincos(PRECISIONS[i], midpoint.mantissa, midpoint.exponent, &sine, &cosine);
        struct br_big left = br_big_multiply(big_of_double(PRECISIONS[i], y), cosine);
        struct br_big right = br_big_multiply(big_of_double(PRECISIONS[i], x), sine);
        int sign = sign_of_difference(&left, &right, BR_BIG_LOST + 2);
        if (sign != 0)
            return sign < 0 ? midpoint.below : midpoint.above;
    }
    return midpoint.below;
}
