// SPDX-License-Identifier: Apache-2.0
// Expectations are PostgreSQL 15's results; where a result doesn't fit 122 bits, PostgreSQL's rounded.
#include "processor/expr/numeric.h"

#include <criterion/criterion.h>
#include <math.h>

static struct br_numeric n(const char *text) {
    struct br_numeric value;
    cr_assert(br_numeric_parse(br_slice_of(text), &value), "%s", text);
    return value;
}

static void expect(struct br_numeric value, const char *text) {
    char got[BR_NUMERIC_TEXT_SIZE];
    size_t length = br_numeric_print(value, got);
    cr_expect_str_eq(got, text, "%s is not %s", got, text);
    cr_expect_eq(length, strlen(got));
}

#define FAILS NULL
struct row {
    const char *a, *b, *result; // FAILS: the operation returns false
};

static void expect_binary(bool (*operation)(struct br_numeric, struct br_numeric, struct br_numeric *),
                          const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct br_numeric result;
        bool ok = operation(n(rows[i].a), n(rows[i].b), &result);
        cr_expect_eq(ok, rows[i].result != FAILS, "%s, %s", rows[i].a, rows[i].b);
        if (ok && rows[i].result != FAILS)
            expect(result, rows[i].result);
    }
}
#define EXPECT_BINARY(operation, rows) expect_binary((operation), (rows), sizeof(rows) / sizeof *(rows))

#define LARGEST "2658455991569831745807614120560689151" // 2^121 - 1
#define SMALLEST "0.000000000000000000000000000000000000000000000000000000000000001"
#define ZERO_63 "0.000000000000000000000000000000000000000000000000000000000000000"

Test(numeric, text_reads_and_prints_as_in_postgres) {
    static const char *const pairs[][2] = {
        {"1.50", "1.50"},
        {"  42 ", "42"},
        {"+7.", "7"},
        {"-.5", "-0.5"},
        {"-0", "0"},
        {"-0.00", "0.00"},
        {"1e10", "10000000000"},
        {"1.5E-3", "0.0015"},
        {"1.50e1", "15.0"},
        {"1e 2", "100"},
        {"0e5", "0"},
        {"00012.340", "12.340"},
        {"9223372036854775808", "9223372036854775808"},
        {"-99999999999999999999.000001", "-99999999999999999999.000001"},
        {LARGEST, LARGEST},
        {"-" LARGEST, "-" LARGEST},
        {SMALLEST, SMALLEST},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        expect(n(pairs[i][0]), pairs[i][1]);
}

Test(numeric, fraction_digits_that_do_not_fit_are_rounded_half_away_from_zero) {
    expect(n("4e-64"), ZERO_63);
    expect(n("5e-64"), SMALLEST);
    expect(n("-5e-64"), "-" SMALLEST);
    expect(n("0.3333333333333333333333333333333333333333"), "0.333333333333333333333333333333333333");
    expect(n("999999999999999999999999999999999999.95"), "1000000000000000000000000000000000000");
    expect(n("123456789012345678901234567890123456.785"), "123456789012345678901234567890123456.8");
}

Test(numeric, text_that_is_no_number_or_too_large_is_refused) {
    static const char *const texts[] = {
        "",     " ",   ".",        "-",   "e5",       "1e",    "1e+", "1.2.3", "1 2",
        "0x10", "abc", "Infinity", "NaN", "1e999999", "1,000", "--1", "1e37",  "2658455991569831745807614120560689152"};
    struct br_numeric value;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_expect_not(br_numeric_parse(br_slice_of(texts[i]), &value), "%s", texts[i]);
}

Test(numeric, sums_take_the_larger_scale) {
    static const struct row rows[] = {
        {"0.1", "0.2", "0.3"},
        {"1.50", "1.5", "3.00"},
        {"1", "0.001", "1.001"},
        {"99999999999999999999.000001", "1", "100000000000000000000.000001"},
        {"-1.5", "1.50", "0.00"},
        {LARGEST, "1", FAILS},
        {LARGEST, "0.4", LARGEST},
        {LARGEST, "-0.6", "2658455991569831745807614120560689150"},
        {"1", "-" SMALLEST, "1.000000000000000000000000000000000000"},
        {"265845599156983174580761412056068915.1", "265845599156983174580761412056068914.4",
         "531691198313966349161522824112137830"},
    };
    EXPECT_BINARY(br_numeric_add, rows);
}

Test(numeric, differences_are_checked_at_the_limit) {
    static const struct row rows[] = {
        {"0.3", "0.1", "0.2"},
        {"-" LARGEST, "1", FAILS},
        {"-" LARGEST, "-1", "-2658455991569831745807614120560689150"},
        {"0.00", "5", "-5.00"},
    };
    EXPECT_BINARY(br_numeric_subtract, rows);
}

Test(numeric, products_add_the_scales) {
    static const struct row rows[] = {
        {"0.1", "3", "0.3"},
        {"1.50", "-2.0", "-3.000"},
        {"99999999.99", "99999999.99", "9999999998000000.0001"},
        {"9223372036854775807", "9223372036854775807", FAILS},
        {LARGEST, "2", FAILS},
        {LARGEST, "0", "0"},
        {"1e-40", "1e-40", ZERO_63},
        {"-0.0000000000000000000000000000000000000005", "0.000000000000000000000001", "-" SMALLEST},
    };
    EXPECT_BINARY(br_numeric_multiply, rows);
}

Test(numeric, quotients_have_the_scale_that_postgres_chooses) {
    static const struct row rows[] = {
        {"10", "3", "3.3333333333333333"},
        {"1", "9223372036854775807", "0.000000000000000000108420217248550443"},
        {"0", "0.0001", "0.0000000000000000"},
        {"1", "0", FAILS},
        {"2", "-3", "-0.66666666666666666667"},
        {"10000", "3", "3333.3333333333333333"},
        {"9999", "0.0003", "33330000.000000000000"},
        {"1.000", "8", "0.12500000000000000000"},
        {"123456789012345678901234", "7", "17636684144620811271605"},
        {"0.000000012", "1.1", "0.0000000109090909090909090909"},
        {"5e-7", "1.00", "0.000000500000000000000000"},
        {"1e-40", "3", "0.000000000000000000000000000000000000000033333333333333333333"},
        {"0.5", "99999999999999999999", "0.0000000000000000000050000000000000000001"},
        {LARGEST, LARGEST, "1.00000000000000000000"},
        {LARGEST, "0.1", FAILS},
        // PostgreSQL: 33333333333333333333.33333333333333333333, of which 36 digits fit.
        {"1", "3e-20", "33333333333333333333.3333333333333333"},
    };
    EXPECT_BINARY(br_numeric_divide, rows);
}

Test(numeric, remainders_take_the_sign_of_the_dividend) {
    static const struct row rows[] = {
        {"7.5", "2", "1.5"},
        {"-7.5", "2", "-1.5"},
        {"7", "0.3", "0.1"},
        {"5", "-3", "2"},
        {"4.2", "-1.4", "0.0"},
        {"99999999999999999999999999999999", "0.0000000007", "0.0000000004"},
        {"0.001", "1000000000000000000000000000000000000", "0.001"},
        {"5", "1.00", "0.00"},
        {"5", "0.00", FAILS},
        {"2658455991569831745807614120560689151", SMALLEST, ZERO_63},
    };
    EXPECT_BINARY(br_numeric_modulo, rows);
}

Test(numeric, rounding_goes_half_away_from_zero_at_any_scale) {
    static const struct {
        const char *a;
        int scale;
        const char *rounded, *truncated;
    } rows[] = {
        {"12345.678", 2, "12345.68", "12345.67"},
        {"12345.675", 2, "12345.68", "12345.67"},
        {"-12345.675", 2, "-12345.68", "-12345.67"},
        {"15", -1, "20", "10"},
        {"-14.9", -1, "-10", "-10"},
        {"1.5", 3, "1.500", "1.500"},
        {"0.4", -5, "0", "0"},
        {"987.6", -3, "1000", "0"},
        {"2.5", 0, "3", "2"},
        {"-2.5", 0, "-3", "-2"},
        {"199", -2, "200", "100"},
        {"5", INT32_MIN, "0", "0"},
        {SMALLEST, 62, "0.00000000000000000000000000000000000000000000000000000000000000",
         "0.00000000000000000000000000000000000000000000000000000000000000"},
        {LARGEST, 2, LARGEST, LARGEST},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct br_numeric result;
        cr_assert(br_numeric_round(n(rows[i].a), rows[i].scale, &result));
        expect(result, rows[i].rounded);
        cr_assert(br_numeric_truncate(n(rows[i].a), rows[i].scale, &result));
        expect(result, rows[i].truncated);
    }
    struct br_numeric result;
    cr_expect_not(br_numeric_round(n(LARGEST), -36, &result), "3e36 does not fit");
}

Test(numeric, floor_and_ceil_go_down_and_up) {
    static const char *const rows[][3] = {{"-2.5", "-3", "-2"}, {"2.5", "2", "3"},  {"2.1", "2", "3"},
                                          {"-0.5", "-1", "0"},  {"7.00", "7", "7"}, {SMALLEST, "0", "1"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct br_numeric result;
        cr_assert(br_numeric_floor(n(rows[i][0]), &result));
        expect(result, rows[i][1]);
        cr_assert(br_numeric_ceil(n(rows[i][0]), &result));
        expect(result, rows[i][2]);
    }
}

Test(numeric, square_roots_have_the_scale_that_postgres_chooses) {
    static const char *const rows[][2] = {
        {"2", "1.414213562373095"},
        {"0.00", "0.000000000000000"},
        {"1e-20", "0.0000000001000000000000000"},
        {"12345678901234567890.12", "3513641828.8201443"},
        {"4.000", "2.000000000000000"},
        {LARGEST, "1630477228166597777"},
        {"1e-63", "0.000000000000000000000000000000031622776601683793319988935444327"},
        {"99999999", "9999.9999499999999"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct br_numeric result;
        cr_assert(br_numeric_sqrt(n(rows[i][0]), &result));
        expect(result, rows[i][1]);
    }
    struct br_numeric result;
    cr_expect_not(br_numeric_sqrt(n("-1"), &result));
}

Test(numeric, comparison_ignores_the_scale) {
    static const char *const ascending[] = {"-" LARGEST, "-1e20",       "-1.5", "-1.4999", "-" SMALLEST,
                                            "0.000",     SMALLEST,      "0.1",  "1.50",    "1.51",
                                            "2",         "99999999999", "1e20", "123e30",  LARGEST};
    size_t count = sizeof ascending / sizeof *ascending;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            cr_expect_eq(br_numeric_compare(n(ascending[i]), n(ascending[j])), (i > j) - (i < j), "%s, %s",
                         ascending[i], ascending[j]);
    cr_expect_eq(br_numeric_compare(n("1.5"), n("1.500")), 0);
    cr_expect_eq(br_numeric_compare(n("1000000000000000000000"), n("1000000000000000000000.000")), 0);
}

Test(numeric, normal_form_has_no_trailing_zero_in_the_fraction) {
    static const char *const rows[][2] = {{"1.500", "1.5"},
                                          {"0.00", "0"},
                                          {"100", "100"},
                                          {"-2.0", "-2"},
                                          {"100000000000000000000000.000", "100000000000000000000000"},
                                          {"12.345", "12.345"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(br_numeric_normalize(n(rows[i][0])), rows[i][1]);
}

Test(numeric, doubles_convert_through_15_digits) {
    static const struct {
        double from;
        const char *text;
    } rows[] = {{0.1, "0.1"},
                {1e15, "1000000000000000"},
                {123456789.123456789, "123456789.123457"},
                {1e-10, "0.0000000001"},
                {1.0 / 3, "0.333333333333333"},
                {1e22, "10000000000000000000000"},
                {-2.5e-7, "-0.00000025"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct br_numeric value;
        cr_assert(br_numeric_from_double(rows[i].from, &value));
        expect(value, rows[i].text);
    }
    struct br_numeric value;
    cr_expect_not(br_numeric_from_double(NAN, &value));
    cr_expect_not(br_numeric_from_double(-INFINITY, &value));
    cr_expect_not(br_numeric_from_double(1e300, &value));
    cr_expect_eq(br_numeric_to_double(n("0.1")), 0.1);
    cr_expect_eq(br_numeric_to_double(n("-123456789.123456789012345678")), -123456789.123456789012345678);
    cr_expect_eq(br_numeric_to_double(n("0.000000000000000000108420217248550443")), 1.08420217248550443e-19);
}

Test(numeric, integers_convert_both_ways) {
    expect(br_numeric_from_int64(INT64_MIN), "-9223372036854775808");
    expect(br_numeric_from_int64(INT64_MAX), "9223372036854775807");
    expect(br_numeric_negate(br_numeric_from_int64(-7)), "7");
    int64_t value;
    cr_assert(br_numeric_to_int64(n("-2.5"), &value));
    cr_expect_eq(value, -3);
    cr_assert(br_numeric_to_int64(n("9223372036854775807.4"), &value));
    cr_expect_eq(value, INT64_MAX);
    cr_expect_not(br_numeric_to_int64(n("9223372036854775807.5"), &value));
    cr_expect_not(br_numeric_to_int64(n("-9223372036854775809"), &value));
}

Test(numeric, wide_sums_are_fitted) {
    struct br_numeric value;
    __int128 sum = (__int128)INT64_MAX * INT64_MAX; // 85070591730234615847396907784232501249
    cr_expect_not(br_numeric_fit(sum, 0, &value));
    cr_assert(br_numeric_fit(-sum, 2, &value));
    expect(value, "-850705917302346158473969077842325012");
    cr_assert(br_numeric_fit(5, 64, &value));
    expect(value, SMALLEST);
}

Test(numeric, keys_keep_the_order_and_are_equal_for_equal_values) {
    static const char *const ascending[] = {
        "-" LARGEST, "-65537", "-65536", "-65535.5",   "-257", "-256",   "-255",  "-1.5",
        "-1.49",     "-1",     "-0.5",   "-" SMALLEST, "0",    SMALLEST, "0.05",  "0.5",
        "0.51",      "1",      "1.05",   "1.5",        "255",  "256",    "256.1", "18446744073709551616",
        LARGEST};
    struct br_buffer before = {0}, key = {0};
    for (size_t i = 0; i < sizeof ascending / sizeof *ascending; i++) {
        br_buffer_clear(&key);
        br_key_append_numeric(&key, n(ascending[i]));
        cr_expect(i == 0 || br_slice_compare(br_buffer_slice(&before), br_buffer_slice(&key)) < 0, "%s", ascending[i]);
        br_buffer_clear(&before);
        br_buffer_append_slice(&before, br_buffer_slice(&key));
        br_buffer_append_byte(&key, 7); // what follows is not read
        struct br_numeric back;
        cr_expect_eq(br_key_read_numeric(br_buffer_slice(&key), &back), key.len - 1);
        expect(back, ascending[i]);
    }
    br_buffer_clear(&before);
    br_buffer_clear(&key);
    br_key_append_numeric(&key, n("-12.5"));
    br_key_append_numeric(&before, n("-12.500"));
    cr_expect(br_slice_equal(br_buffer_slice(&key), br_buffer_slice(&before)));
    br_buffer_free(&before);
    br_buffer_free(&key);
}

Test(numeric, key_format_is_fixed) {
    static const struct {
        const char *value, *bytes;
    } rows[] = {{"0", "018000"},      {"5", "01810500"},      {"12.5", "01810c3300"},  {"-1", "017f00"},
                {"-0.5", "017f3300"}, {"-300", "017dfed400"}, {"0.0725", "0180081a00"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct br_buffer key = {0}, hex = {0};
        br_key_append_numeric(&key, n(rows[i].value));
        for (size_t b = 0; b < key.len; b++)
            br_buffer_printf(&hex, "%02x", key.ptr[b]);
        cr_expect(br_slice_is(br_buffer_slice(&hex), rows[i].bytes), "%s: %.*s", rows[i].value, (int)hex.len,
                  (char *)hex.ptr);
        br_buffer_free(&key);
        br_buffer_free(&hex);
    }
}

Test(numeric, malformed_keys_are_refused) {
    static const char *const keys[] = {"",
                                       "\x01",
                                       "\x01\x81",
                                       "\x01\x81\x05",
                                       "\x02\x81\x05\x01",
                                       "\x01\x91\x05\x01",
                                       "\x01\x81\x05\x65\x01",
                                       "\x01\x81\x05\x33\x33"};
    struct br_numeric value;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        cr_expect_eq(br_key_read_numeric(br_slice_of(keys[i]), &value), 0, "%zu", i);
}
