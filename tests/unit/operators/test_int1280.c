// SPDX-License-Identifier: Apache-2.0
#include "processor/operators/int1280.h"
#include "world.h"

#include <criterion/criterion.h>

static struct br_int1280 roll(struct dice *dice, uint32_t limbs) {
    uint64_t words[BR_INT1280_LIMBS] = {0};
    for (uint32_t i = 0; i < limbs; i++) {
        uint32_t kind = dice_roll(dice, 6); // runs of ones and zeros find the corners of long division
        words[i] = kind == 0   ? 0
                   : kind == 1 ? UINT64_MAX
                               : (uint64_t)dice_roll(dice, UINT32_MAX) << 32 | dice_roll(dice, UINT32_MAX);
    }
    return br_int1280_from_words(words, limbs);
}

static bool equal(const struct br_int1280 *a, const struct br_int1280 *b) {
    return a->negative == b->negative && br_int1280_compare_magnitude(a, b) == 0;
}

Test(int1280, quotient_times_divisor_is_within_half_a_divisor_of_the_dividend) {
    struct dice dice = {7};
    for (int i = 0; i < 20000; i++) {
        struct br_int1280 a = roll(&dice, 1 + dice_roll(&dice, 9)), b = roll(&dice, 1 + dice_roll(&dice, 9));
        if (b.len == 0)
            continue;
        struct br_int1280 quotient = br_int1280_divide(&a, &b), product = br_int1280_multiply(&quotient, &b);
        struct br_int1280 rest = br_int1280_subtract(&a, &product), twice = br_int1280_add(&rest, &rest);
        cr_assert_leq(br_int1280_compare_magnitude(&twice, &b), 0, "round %d", i);
        struct br_int1280 exact = br_int1280_multiply(&a, &b), back = br_int1280_divide(&exact, &b);
        cr_assert(equal(&back, &a), "round %d", i);
    }
}

Test(int1280, division_rounds_half_away_from_zero) {
    static const int cases[][3] = {{7, 2, 4}, {-7, 2, -4}, {7, -2, -4}, {6, 4, 2}, {5, 4, 1}, {-1, 3, 0}, {0, 9, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct br_int1280 a = br_int1280_from_int128(cases[i][0]), b = br_int1280_from_int128(cases[i][1]);
        struct br_int1280 wanted = br_int1280_from_int128(cases[i][2]), got = br_int1280_divide(&a, &b);
        cr_assert(equal(&got, &wanted), "%d / %d", cases[i][0], cases[i][1]);
    }
}

Test(int1280, root_is_the_floor) {
    struct dice dice = {11};
    struct br_int1280 one = br_int1280_from_int128(1);
    for (int i = 0; i < 3000; i++) {
        struct br_int1280 a = roll(&dice, 1 + dice_roll(&dice, 9));
        a.negative = false;
        struct br_int1280 root = br_int1280_sqrt(&a), next = br_int1280_add(&root, &one);
        struct br_int1280 square = br_int1280_multiply(&root, &root), above = br_int1280_multiply(&next, &next);
        cr_assert_leq(br_int1280_compare_magnitude(&square, &a), 0);
        cr_assert_gt(br_int1280_compare_magnitude(&above, &a), 0);
    }
}

static void check_numeric(const char *digits, unsigned scale, const char *wanted) {
    struct br_int1280 value = {0}, ten = br_int1280_from_int128(10);
    for (; *digits != 0; digits++) {
        struct br_int1280 digit = br_int1280_from_int128(*digits - '0');
        value = br_int1280_multiply(&value, &ten);
        value = br_int1280_add(&value, &digit);
    }
    struct br_numeric numeric;
    char text[BR_NUMERIC_TEXT_SIZE] = "";
    if (br_int1280_to_numeric(&value, scale, &numeric))
        text[br_numeric_print(numeric, text)] = 0;
    cr_assert_str_eq(text, wanted);
}

Test(int1280, numerics_give_up_digits_of_the_fraction_only) {
    check_numeric("12345", 2, "123.45");
    check_numeric("1234567890123456789012345678901234567890", 10, "123456789012345678901234567890.1234568");
    check_numeric("99999999999999999999999999999999999999999", 20, "1000000000000000000000.000000000000000");
    check_numeric("1234567890123456789012345678901234567890", 0, "");
    check_numeric("15", 64, "0.000000000000000000000000000000000000000000000000000000000000002");
}
