// SPDX-License-Identifier: Apache-2.0
// Exact sums of doubles against a sum kept bit by bit, and results against Python's fractions.
#include "processor/operators/exact.h"
#include "world.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>

static void add(struct br_exact *sum, double value, int32_t weight) {
    struct br_exact_term term = br_exact_value(value, weight);
    br_exact_add(sum, &term);
}

static struct br_exact sum_of(size_t count, const double *values) {
    struct br_exact sum = {0};
    for (size_t i = 0; i < count; i++)
        add(&sum, values[i], 1);
    return sum;
}

static struct br_exact squares_of(size_t count, const double *values) {
    struct br_exact sum = {0};
    for (size_t i = 0; i < count; i++) {
        struct br_exact_term term = br_exact_square(values[i], 1);
        br_exact_add(&sum, &term);
    }
    return sum;
}

#define LIST(...)                                                                                                      \
    (sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (const double[]) {                                             \
        __VA_ARGS__                                                                                                    \
    }

static void expect(double got, double wanted) {
    cr_assert(got == wanted && signbit(got) == signbit(wanted), "wanted %.17g, got %.17g", wanted, got);
}

static double rounded(size_t count, const double *values) {
    struct br_exact sum = sum_of(count, values);
    return br_exact_double(&sum);
}

Test(exact, sum_is_rounded_once_and_half_to_even) {
    expect(rounded(LIST(0.1, 0.2)), 0.30000000000000004);
    expect(rounded(LIST(1e16, 1, 1)), 1e16 + 2);
    expect(rounded(LIST(0x1p53, 1)), 0x1p53);
    expect(rounded(LIST(0x1p53, 1, 5e-324)), 0x1p53 + 2);
    expect(rounded(LIST(0x1p53, 1, -5e-324)), 0x1p53);
    expect(rounded(LIST(0x1p53, 2, 1)), 0x1p53 + 4);
    expect(rounded(LIST(-0x1p53, -1, -5e-324)), -0x1p53 - 2);
    expect(rounded(LIST(0x1.fffffffffffffp0, 0x1p-53, 0x1p-1074)), 2);
    expect(rounded(LIST(1e300, 1, -1e300)), 1);
    expect(rounded(LIST(5e-324, 5e-324)), 1e-323);
    expect(rounded(LIST(DBL_MIN, -5e-324)), DBL_MIN - 5e-324);
}

Test(exact, sum_beyond_the_largest_double_is_infinite_until_it_is_back) {
    struct br_exact sum = sum_of(LIST(DBL_MAX, DBL_MAX, 1));
    expect(br_exact_double(&sum), INFINITY);
    add(&sum, -DBL_MAX, 1);
    expect(br_exact_double(&sum), DBL_MAX);
    add(&sum, DBL_MAX, -1);
    expect(br_exact_double(&sum), 1);
    expect(rounded(LIST(DBL_MAX, 0x1p969)), DBL_MAX);
    expect(rounded(LIST(DBL_MAX, 0x1p970)), INFINITY); // half of its last bit
    expect(rounded(LIST(-DBL_MAX, -0x1p970)), -INFINITY);
}

Test(exact, sum_of_nothing_has_no_words) {
    struct br_exact sum = sum_of(LIST(1e308, -5e-324, 0.1));
    add(&sum, -0.1, 1);
    add(&sum, 5e-324, 1);
    add(&sum, 1e308, -1);
    cr_assert_eq(sum.count, 0);
    expect(br_exact_double(&sum), 0);
}

Test(exact, weights_count_rows) {
    struct br_exact sum = {0};
    add(&sum, 0.1, INT32_MAX);
    add(&sum, 0.1, INT32_MIN);
    expect(br_exact_double(&sum), -0.1);
    add(&sum, -0.1, -1);
    cr_assert_eq(sum.count, 0);
    add(&sum, 0.1, -1);
    expect(br_exact_double(&sum), -0.1);
}

Test(exact, quotient_is_of_the_exact_sum) {
    struct br_exact sum = sum_of(LIST(DBL_MAX, DBL_MAX, DBL_MAX));
    expect(br_exact_quotient(&sum, 3), DBL_MAX);
    sum = sum_of(LIST(1, 1, -1));
    expect(br_exact_quotient(&sum, 3), 1.0 / 3);
    sum = sum_of(LIST(5e-324));
    expect(br_exact_quotient(&sum, 2), 0);
    sum = sum_of(LIST(5e-324, 1e-323));
    expect(br_exact_quotient(&sum, 2), 1e-323); // half to even
    expect(br_exact_quotient(&sum, INT64_MAX), 0);
}

// What Python's fractions give: the variance's numerator and denominator are exact there, too.
static void check_variance(size_t count, const double *values, double variance, double deviation) {
    struct br_exact sum = sum_of(count, values), squares = squares_of(count, values);
    expect(br_exact_variance(&sum, &squares, count, count - 1), variance);
    expect(br_exact_deviation(&sum, &squares, count, count - 1), deviation);
}

Test(exact, variance_and_deviation_are_rounded_from_exact_sums) {
    check_variance(LIST(1, 2, 4), 2.3333333333333335, 1.5275252316519468);
    check_variance(LIST(21.5, 20.25, 19.75, 22.0, 20.5), 0.85625, 0.9253377761660874);
    check_variance(LIST(0.1, 0.1, 0.1), 0, 0);
    check_variance(LIST(1e8 + 0.1, 1e8 + 0.2), 0.005000000894069712, 0.07071068444068203);
    check_variance(LIST(1e200, -1e200), INFINITY, 1.414213562373095e+200);
    check_variance(LIST(1e-200, -1e-200), 0, 1.414213562373095e-200);
    check_variance(LIST(DBL_MAX, -DBL_MAX), INFINITY, INFINITY);
    check_variance(LIST(DBL_MAX, -DBL_MAX, 0), INFINITY, DBL_MAX);
    check_variance(LIST(5e-324, 0), 0, 5e-324);
}

Test(exact, variance_of_more_rows_than_a_word_squared) {
    struct br_exact sum = {0}, squares = {0};
    struct br_exact_term one = br_exact_value(1, INT32_MAX), one_squared = br_exact_square(1, INT32_MAX);
    for (int i = 0; i < 8; i++) {
        br_exact_add(&sum, &one);
        br_exact_add(&squares, &one_squared);
    }
    uint64_t ones = 8 * (uint64_t)INT32_MAX, count = 2 * ones; // as many zeros
    expect(br_exact_variance(&sum, &squares, count, count), 0.25);
    expect(br_exact_deviation(&sum, &squares, count, count), 0.5);
}

Test(exact, words_are_added_to_in_place_only_where_they_reach) {
    uint64_t words[4] = {0};
    struct br_exact_term low = br_exact_value(0x1p-1, 1), high = br_exact_value(0x1p139, 1),
                         fits = br_exact_value(3, -1);
    cr_assert_not(br_exact_add_within(words, 4, -51, &low));
    cr_assert_not(br_exact_add_within(words, 4, -53, &high)); // its topmost bit is 192 bits up
    cr_assert(br_exact_add_within(words, 4, -53, &fits));
    cr_assert_eq(words[3], UINT64_MAX);
    cr_assert_eq(words[0], 0 - (UINT64_C(3) << 53));
}

// --- at random, against sums of mantissas by exponent
#define EXPONENTS 2100

struct naive {
    int64_t mantissas[EXPONENTS]; // by exponent + 1074
};

static void add_naively(struct naive *naive, double value, int sign) {
    int exponent;
    double fraction = frexp(value, &exponent); // value == fraction * 2^exponent
    int at = exponent - 53 + 1074;
    if (value == 0)
        return;
    int64_t mantissa = (int64_t)ldexp(fraction, 53);
    for (; at < 0; at++)
        mantissa /= 2; // subnormal: the low bits are zero
    naive->mantissas[at] += sign * mantissa;
}

static double round_naively(const struct naive *naive) {
    static unsigned char bits[EXPONENTS + 100];
    bool negative = false;
    for (int sign = 1; sign >= -1; sign -= 2) {
        int64_t carry = 0;
        for (int i = 0; i < EXPONENTS + 100; i++) {
            carry += i < EXPONENTS ? sign * naive->mantissas[i] : 0;
            bits[i] = (unsigned char)(carry & 1);
            carry = (carry - bits[i]) / 2;
        }
        negative = sign < 0;
        if (carry == 0)
            break;
    }
    int top = EXPONENTS + 99;
    while (top >= 0 && bits[top] == 0)
        top--;
    int unit = top - 52 < 0 ? 0 : top - 52;
    double result = 0;
    for (int i = top; i >= unit; i--)
        result = 2 * result + bits[i];
    bool half = unit > 0 && bits[unit - 1] != 0, more = false;
    for (int i = 0; i < unit - 1; i++)
        more |= bits[i] != 0;
    if (half && (more || fmod(result, 2) != 0))
        result += 1;
    result = ldexp(result, unit - 1074);
    return negative ? -result : result;
}

static double roll_double(struct dice *dice, int spread) {
    double fraction = (double)dice_roll(dice, 1u << 31) / 0x1p31 + (double)dice_roll(dice, 1u << 22) / 0x1p53;
    double value = ldexp(fraction, (int)dice_roll(dice, (uint32_t)spread) - spread / 2);
    return dice_roll(dice, 2) == 0 ? value : -value;
}

static void check_packed(const struct br_exact *sum, double wanted) {
    for (uint32_t count = 2; count <= 3; count++) {
        struct br_exact packed = {.count = count};
        if (br_exact_pack(sum, count, packed.words, &packed.base))
            expect(br_exact_double(&packed), wanted);
        if (count == 2 && packed.base != 0) {
            __int128 whole;
            memcpy(&whole, packed.words, sizeof whole);
            if (whole != 0)
                expect(br_exact_int128(whole, packed.base), wanted);
        }
    }
}

Test(exact, sums_at_random_equal_those_kept_bit_by_bit) {
    static const int spreads[] = {2, 40, 70, 130, 300, 2000};
    struct dice dice = {1};
    for (int run = 0; run < 120; run++) {
        static struct naive naive;
        struct br_exact sum = {0};
        double values[200];
        size_t count = 0;
        memset(&naive, 0, sizeof naive);
        for (int step = 0; step < 300; step++) {
            if (count != 0 && (count == 200 || dice_roll(&dice, 5) < 2)) {
                size_t at = dice_roll(&dice, (uint32_t)count);
                add(&sum, values[at], -1);
                add_naively(&naive, values[at], -1);
                values[at] = values[--count];
            } else {
                double value = values[count++] = roll_double(&dice, spreads[run % 6]);
                add(&sum, value, 1);
                add_naively(&naive, value, 1);
            }
            double wanted = round_naively(&naive);
            if (wanted == 0)
                wanted = 0; // of no sign
            expect(br_exact_double(&sum), wanted);
            check_packed(&sum, wanted);
        }
        while (count > 0)
            add(&sum, values[--count], -1);
        cr_assert_eq(sum.count, 0);
    }
}
