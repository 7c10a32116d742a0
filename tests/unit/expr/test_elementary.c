// SPDX-License-Identifier: Apache-2.0
// Single values of elementary functions and of decimals that are hard to round. The whole of them is compared with MPFR
// by tools/check-bits, and over machines by tests/bits.
#include "processor/expr/decimal.h"
#include "processor/expr/elementary.h"
#include "processor/expr/types.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

// As MPFR has it.
Test(elementary, values_next_to_a_midpoint_round_to_the_right_side) {
    static const struct {
        double (*function)(double);
        double x, wanted;
    } cases[] = {
        {br_exp, 7.541752774995959e-10, 0x1.000000033d398p+0},
        {br_exp, -0x1.12a9a5a4ff8e1p-40, 0x1.fffffffffddabp-1},
        {br_exp, 0x1p-53, 0x1.0000000000001p+0}, // above the midpoint by 2^-107
        {br_exp, -0x1p-54, 1},
        {br_exp, -745.1332191019411, 0x1p-1074},
        {br_ln, 0x1.62a88613629b6p+678, 0x1.d6479eba7c971p+8},
        {br_ln, 0x1.0000000000001p+0, 0x1.fffffffffffffp-53},
        {br_ln, 0x1.fffffffffffffp-1, -0x1p-53},
        {br_log10, 0x1.de02157073b31p-1, -0x1.e8cfabf160ec6p-6},
        {br_log10, 1e15, 15},
        {br_sin, 0x1.921fb54442d18p+1, 0x1.1a62633145c07p-53}, // nearly π
        {br_sin, 0x1.6ac5b262ca1ffp+849, 1},                   // the double nearest to a multiple of π/2
        {br_sin, 1e22, -0x1.b453ab76bf397p-1},
        {br_cos, 0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54},
        {br_cos, 0x1.8000000000009p-23, 0x1.fffffffffff70p-1},
        {br_tan, 0x1.6ac5b262ca1ffp+849, -0x1.d9ba9a7975636p+60},
        {br_asin, 0x1.fffffffffffffp-1, 0x1.921fb50442d18p+0},
        {br_asin, 0x1p-26, 0x1p-26},
        {br_acos, 0x1.fffffffffffffp-1, 0x1p-26},
        {br_acos, 0x1.fffffffffffffp-27, 0x1.921fb50442d18p+0},
        {br_atan, 0x1.fffffffffffffp-27, 0x1.ffffffffffffep-27},
        {br_atan, 1e300, 0x1.921fb54442d18p+0},
        {br_cbrt, 27, 3},
        {br_cbrt, 0x1p-1074, 0x1p-358},
        {br_cbrt, 1.7976931348623157e308, 0x1.428a2f98d728bp+341},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(cases[i].function(cases[i].x), cases[i].wanted, "case %zu: %a, not %a", i,
                     cases[i].function(cases[i].x), cases[i].wanted);
}

Test(elementary, powers_midway_between_two_doubles_go_to_the_even_one) {
    cr_expect_eq(br_power(250001, 3), 15625187500750000.0); // …0001
    cr_expect_eq(br_power(250003, 3), 15625562506750028.0); // …0027
    cr_expect_eq(br_power(62500500001.0, 1.5), 15625187500750000.0);
    cr_expect_eq(br_power(2, -1074), 0x1p-1074);
    cr_expect_eq(br_power(2, -1075), 0);
    cr_expect_eq(br_power(0.5, 1075), 0);
    cr_expect_eq(br_power(-3, 33), -5559060566555523.0);
}

Test(elementary, an_angle_below_a_midpoint_of_subnormals_goes_down) {
    // 3/2 of the smallest double: the quotient is a tie, which goes up to 2; its arctangent lies below.
    cr_expect_eq(br_atan2(3 * 0x1p-1074, 2), 0x1p-1074);
    cr_expect_eq(br_atan2(-3 * 0x1p-1074, 2), -0x1p-1074);
    cr_expect_eq(br_atan2(0x1p-1074, 2), 0);
    cr_expect_eq(br_atan2(5 * 0x1p-1074, 3), 0x1p-1073);
}

static double read(const char *digits, int64_t exponent) {
    return br_double_of_digits(digits, strlen(digits), exponent);
}

Test(decimal, digits_round_to_the_nearest_double) {
    cr_expect_eq(read("9007199254740993", 0), 9007199254740992.0); // midway
    cr_expect_eq(read("9007199254740995", 0), 9007199254740996.0);
    cr_expect_eq(read("9007199254740993000000000000000000000000000001", -30), 9007199254740994.0);
    cr_expect_eq(read("9007199254740992999999999999999999999999999999", -30), 9007199254740992.0);
    cr_expect_eq(read("22250738585072011", -324), 0x0.fffffffffffffp-1022);
    cr_expect_eq(read("24703282292062327", -340), 0); // below half of the smallest one
    cr_expect_eq(read("24703282292062328", -340), 0x1p-1074);
    cr_expect_eq(read("17976931348623158", 292), 0x1.fffffffffffffp+1023);
    cr_expect_eq(read("17976931348623159", 292), INFINITY);
    cr_expect_eq(read("0000", 400), 0);
    cr_expect_eq(read("1000000000000000000000000000000", -30), 1);
}

Test(decimal, a_digit_after_eight_hundred_breaks_a_tie) {
    char digits[1200];
    memset(digits, '0', sizeof digits);
    memcpy(digits, "9007199254740993", 16);
    cr_expect_eq(br_double_of_digits(digits, sizeof digits, 16 - (int64_t)sizeof digits), 9007199254740992.0);
    digits[sizeof digits - 1] = '1';
    cr_expect_eq(br_double_of_digits(digits, sizeof digits, 16 - (int64_t)sizeof digits), 9007199254740994.0);
}

static void expect_digits(double value, int precision, const char *wanted, int exponent) {
    char digits[BR_DOUBLE_DIGITS_MAX + 1] = {0};
    cr_expect_eq(br_double_to_digits(value, precision, digits), exponent, "%a with %d digits", value, precision);
    cr_expect_str_eq(digits, wanted);
}

Test(decimal, doubles_round_to_the_nearest_digits) {
    expect_digits(0.1, 17, "10000000000000001", 0);
    expect_digits(2.5, 1, "2", 1); // midway: to the even digit
    expect_digits(3.5, 1, "4", 1);
    expect_digits(9.5, 1, "1", 2);
    expect_digits(1e23, 17, "99999999999999992", 23);
    expect_digits(0x1p-1074, 17, "49406564584124654", -323);
    expect_digits(0x1.fffffffffffffp+1023, 15, "179769313486232", 309);
    expect_digits(1e22, 1, "1", 23);
    expect_digits(999999.5, 6, "100000", 7);
}
