// SPDX-License-Identifier: Apache-2.0
// Between doubles and decimal digits, both ways rounded to nearest, ties to even: what strtod and printf give where the
// C library is exact, without asking it, its locale or its rounding mode.
//
// Powers of ten come as 128 bits; where those don't tell (a tie, or next to one, and more than 19 digits), whole
// numbers of any length are compared.
#ifndef BR_PROCESSOR_EXPR_DECIMAL_H
#define BR_PROCESSOR_EXPR_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

// digits[0..count), '0' to '9', as a whole number times 10^exponent. Too large is infinite, too small 0.
double br_double_of_digits(const char *digits, size_t count, int64_t exponent);

// Takes the point out of text[0..len), digits with at most one of it. Returns how many digits are left; the number is
// theirs times 10^*ret_exponent.
size_t br_digits_without_point(char *text, size_t len, int64_t *ret_exponent);

#define BR_DOUBLE_DIGITS_MAX 17
// The value, finite and above 0, with 1 to BR_DOUBLE_DIGITS_MAX significant digits: 0.d1d2d3… · 10^exponent. Returns
// the exponent.
int br_double_to_digits(double value, int precision, char *digits);

#endif
