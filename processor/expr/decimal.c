// SPDX-License-Identifier: Apache-2.0
// See decimal.h.
#include "processor/expr/decimal.h"
#include "processor/expr/elementary_internal.h"

// --- powers of ten

#define POWER_MIN (-392)
#define POWER_MAX 391

// 10^exponent; too small by less than 2^-125 of itself.
static struct br_real power_of_ten(int exponent) {
    BR_CHECK(exponent >= POWER_MIN && exponent <= POWER_MAX);
    int place = (exponent - POWER_MIN) / 28, rest = (exponent - POWER_MIN) % 28;
    uint64_t small = br_five_small[rest];
    int zeros = __builtin_clzll(small);
    br_u128 product = br_high_product_128_64(br_five_large[place], small << zeros);
    // 5^exponent is product · 2^(64 - zeros + shift).
    return br_real_normal(product, 127 + 64 - zeros + br_five_large_shift[place] + exponent);
}

// --- whole numbers, for comparing

// The largest: 801 digits or 54 bits, by 5^1200 or 2^2500.
#define LIMBS_MAX 96

struct whole {
    unsigned count;
    uint64_t limbs[LIMBS_MAX]; // the least significant first; those from count on are undefined
};

static void multiply_add(struct whole *a, uint64_t factor, uint64_t more) {
    for (unsigned i = 0; i < a->count; i++) {
        br_u128 part = (br_u128)a->limbs[i] * factor + more;
        a->limbs[i] = (uint64_t)part;
        more = (uint64_t)(part >> 64);
    }
    if (more != 0) {
        BR_CHECK(a->count < LIMBS_MAX);
        a->limbs[a->count++] = more;
    }
}

static struct whole whole_of(uint64_t value) {
    struct whole a;
    a.count = 0;
    multiply_add(&a, 1, value);
    return a;
}

static void multiply_five(struct whole *a, uint64_t power) {
    for (; power > 27; power -= 27)
        multiply_add(a, br_five_small[27], 0);
    multiply_add(a, br_five_small[power], 0);
}

static void multiply_two(struct whole *a, uint64_t power) {
    for (; power > 63; power -= 63)
        multiply_add(a, UINT64_C(1) << 63, 0);
    multiply_add(a, UINT64_C(1) << power, 0);
}

static int compare_wholes(const struct whole *a, const struct whole *b) {
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    for (unsigned i = a->count; i-- > 0;)
        if (a->limbs[i] != b->limbs[i])
            return a->limbs[i] < b->limbs[i] ? -1 : 1;
    return 0;
}

// a · 10^ten against b · 2^two.
static int compare_scaled(struct whole *a, int64_t ten, struct whole *b, int64_t two) {
    multiply_five(ten >= 0 ? a : b, (uint64_t)(ten >= 0 ? ten : -ten));
    two -= ten;
    multiply_two(two >= 0 ? b : a, (uint64_t)(two >= 0 ? two : -two));
    return compare_wholes(a, b);
}

// --- from digits

#define DIGITS_MAX 800 // the exact value of a midpoint has at most 768; what follows can only break a tie

// The neighbours of the approximation, told apart by the digits themselves.
static double decide(const char *digits, size_t count, int64_t exponent, struct br_real near) {
    int drop = br_real_dropped_bits(near.exponent);
    if (drop > 128)
        return 0;
    uint64_t kept = drop == 128 ? 0 : (uint64_t)(near.mantissa >> drop);
    struct whole value = whole_of(0), midpoint = whole_of(2 * kept + 1);
    for (size_t i = 0; i < count && i < DIGITS_MAX; i++)
        multiply_add(&value, 10, (uint64_t)(digits[i] - '0'));
    if (count > DIGITS_MAX) {
        multiply_add(&value, 10, 1);
        exponent += (int64_t)count - DIGITS_MAX - 1;
    }
    int order = compare_scaled(&value, exponent, &midpoint, near.exponent - 127 + drop - 1);
    kept += order > 0 || (order == 0 && (kept & 1) != 0);
    return br_double_of_bits(kept + (drop == 75 ? (uint64_t)(near.exponent + 1022) << 52 : 0));
}

double br_double_of_digits(const char *digits, size_t count, int64_t exponent) {
    static const double exact[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    for (; count > 0 && *digits == '0'; count--)
        digits++;
    for (; count > 0 && digits[count - 1] == '0'; count--)
        exponent++;
    if (count == 0)
        return 0;
    int64_t point = exponent + (int64_t)count; // digits before the point
    if (point > 310)
        return INFINITY;
    if (point < -326)
        return 0;
    uint64_t leading = 0;
    size_t taken = count < 19 ? count : 19;
    for (size_t i = 0; i < taken; i++)
        leading = leading * 10 + (uint64_t)(digits[i] - '0');
    int power = (int)(point - (int64_t)taken);
    if (count <= 15 && power >= -22 && power <= 22) // both are exact: one rounding
        return power < 0 ? (double)(int64_t)leading / exact[-power] : (double)(int64_t)leading * exact[power];
    struct br_real factor = {0}, value;
    factor.exponent = 63 - __builtin_clzll(leading);
    factor.mantissa = (br_u128)leading << (127 - factor.exponent);
    value = br_real_multiply(power_of_ten(power), factor);
    double result;
    // Digits left out are worth less than 1 in the nineteenth place: 10^-18 of the value.
    if (br_real_round(value, count > taken ? (br_u128)1 << 69 : 1 << 6, false, &result))
        return result;
    return decide(digits, count, exponent, value);
}

size_t br_digits_without_point(char *text, size_t len, int64_t *ret_exponent) {
    char *point = memchr(text, '.', len);
    *ret_exponent = 0;
    if (point == NULL)
        return len;
    size_t fraction = (size_t)(text + len - point) - 1;
    memmove(point, point + 1, fraction);
    *ret_exponent = -(int64_t)fraction;
    return len - 1;
}

// --- to digits

// Is value · 10^power above a whole number and a half? 0: just that.
static int against_half(double value, int power, uint64_t below) {
    uint64_t mantissa;
    int exponent = br_double_split(value, &mantissa) - 63;
    struct whole a = whole_of(mantissa), b = whole_of(2 * below + 1);
    return compare_scaled(&a, power, &b, -1 - exponent);
}

// value · 10^power, between 1 and 2^62, to the nearest whole number.
static uint64_t scaled_to_whole(double value, int power) {
    struct br_real factor = {0}, product;
    uint64_t mantissa;
    factor.exponent = br_double_split(value, &mantissa);
    factor.mantissa = (br_u128)mantissa << 64;
    product = br_real_multiply(power_of_ten(power), factor);
    BR_CHECK(product.exponent >= -1 && product.exponent < 62);
    if (product.exponent < 0)
        return 1;                                     // less than that by the error only
    unsigned bits = 127 - (unsigned)product.exponent; // after the point
    uint64_t whole = (uint64_t)(product.mantissa >> bits);
    br_u128 half = (br_u128)1 << (bits - 1), fraction = product.mantissa & (half - 1 + half);
    if (fraction - half + 64 > 128) // clear
        return whole + (fraction > half);
    int order = against_half(value, power, whole);
    return whole + (order > 0 || (order == 0 && (whole & 1) != 0));
}

int br_double_to_digits(double value, int precision, char *digits) {
    BR_CHECK(precision >= 1 && precision <= BR_DOUBLE_DIGITS_MAX);
    uint64_t mantissa;
    int exponent = br_double_split(value, &mantissa);
    // The power of ten of the first digit, or one less: log10(2) in units of 2^-20, rounded down and up.
    int place = exponent * (exponent < 0 ? 315653 : 315652) >> 20;
    uint64_t whole = scaled_to_whole(value, precision - 1 - place);
    if (whole > br_pow10_64[precision]) { // it was one less
        place++;
        whole = scaled_to_whole(value, precision - 1 - place);
    }
    if (whole == br_pow10_64[precision]) {
        place++;
        whole /= 10;
    }
    for (int i = precision; i-- > 0; whole /= 10)
        digits[i] = (char)('0' + whole % 10);
    return place + 1;
}
