// SPDX-License-Identifier: Apache-2.0
// See types.h: the shortest text of a double. Short decimals, which most are, are found by trying few fraction digits;
// the rest through correctly rounded conversions (decimal.h).
#include "processor/expr/decimal.h"
#include "processor/expr/types.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

#define DIGITS_EXACT 15 // every decimal of so many digits comes back from a double

// Significant digits without trailing zeros; value = 0.d1d2d3… · 10^exponent.
struct decimal {
    char digits[24];
    int count, exponent;
};

// Does it lie midway between two doubles, as 1e23 does? Reading such a decimal depends on ties going to even, which
// PostgreSQL doesn't rely on. A midpoint is an odd number of 54 bits times a power of two; where doubles have
// fractions, its decimal is longer than the shortest one.
static bool is_midpoint(const struct decimal *decimal) {
    int zeros = decimal->exponent - decimal->count;
    if (zeros < 0 || zeros > 23)
        return false;
    uint64_t odd = 0;
    for (int i = 0; i < decimal->count; i++)
        odd = odd * 10 + (uint64_t)(decimal->digits[i] - '0');
    odd >>= __builtin_ctzll(odd);
    for (; zeros > 0 && odd < UINT64_C(1) << 54; zeros--)
        odd *= 5;
    return zeros == 0 && odd >> 53 == 1;
}

// Does it come back as the value? Trailing zeros go.
static bool accept(struct decimal *decimal, int precision, double value) {
    decimal->count = precision;
    if (br_double_of_digits(decimal->digits, (size_t)precision, decimal->exponent - precision) != value)
        return false;
    while (decimal->count > 1 && decimal->digits[decimal->count - 1] == '0')
        decimal->count--;
    return !is_midpoint(decimal);
}

// The digits that precision gives, or their upper neighbour: below a power of two doubles are closer than above it, so
// the nearest decimal may lie outside while the one above it lies inside.
static bool try_precision(double value, int precision, struct decimal *decimal) {
    decimal->exponent = br_double_to_digits(value, precision, decimal->digits);
    if (accept(decimal, precision, value))
        return true;
    int exponent;
    if (frexp(value, &exponent) != 0.5)
        return false;
    // One up in the last digit; a carry through all nines would have been found with fewer digits.
    int last = precision - 1;
    for (; last > 0 && decimal->digits[last] == '9'; last--)
        decimal->digits[last] = '0';
    if (decimal->digits[last] == '9')
        return false;
    decimal->digits[last]++;
    return accept(decimal, precision, value);
}

static void shortest(double value, struct decimal *decimal) {
    // Subnormals have fewer digits than 15.
    int precision = value < DBL_MIN ? 1 : DIGITS_EXACT;
    while (!try_precision(value, precision, decimal))
        precision++;
    BR_CHECK(precision <= DBL_DECIMAL_DIG);
}

// value = whole / 10^k exactly as far as doubles tell: both are exact, so the division rounds as reading would.
static bool short_decimal(double value, struct decimal *decimal) {
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8};
    for (int k = 0; k < (int)(sizeof powers / sizeof powers[0]); k++) {
        double whole = rint(value * powers[k]);
        if (whole >= 1e15)
            return false;
        if (whole < 1 || whole / powers[k] != value)
            continue;
        char text[24];
        int length = 0;
        for (uint64_t left = (uint64_t)whole; left != 0; left /= 10)
            text[length++] = (char)('0' + left % 10);
        for (int i = 0; i < length; i++)
            decimal->digits[i] = text[length - 1 - i];
        decimal->count = length;
        decimal->exponent = length - k;
        while (decimal->count > 1 && decimal->digits[decimal->count - 1] == '0')
            decimal->count--;
        return true;
    }
    return false;
}

size_t br_double_print(double value, char *text) {
    if (isnan(value))
        return (size_t)sprintf(text, "NaN");
    if (isinf(value))
        return (size_t)sprintf(text, value < 0 ? "-Infinity" : "Infinity");
    char *at = text;
    if (signbit(value))
        *at++ = '-';
    value = fabs(value);
    struct decimal decimal = {"0", 1, 1};
    if (value != 0 && !short_decimal(value, &decimal))
        shortest(value, &decimal);
    int point = decimal.exponent; // digits before the point
    if (point < -3 || point > 15) {
        *at++ = decimal.digits[0];
        if (decimal.count > 1)
            *at++ = '.';
        for (int i = 1; i < decimal.count; i++)
            *at++ = decimal.digits[i];
        at += sprintf(at, "e%+03d", point - 1);
        return (size_t)(at - text);
    }
    if (point <= 0)
        *at++ = '0';
    for (int i = 0; i < point; i++)
        *at++ = i < decimal.count ? decimal.digits[i] : '0';
    if (decimal.count > point) {
        *at++ = '.';
        for (int i = point; i < decimal.count; i++)
            *at++ = i < 0 ? '0' : decimal.digits[i];
    }
    *at = '\0';
    return (size_t)(at - text);
}
