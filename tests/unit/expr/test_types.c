// SPDX-License-Identifier: Apache-2.0
// Expectations are PostgreSQL 15's text input and output, and its wording of errors.
#include "processor/expr/types.h"

#include "processor/expr/numeric.h"

#include <criterion/criterion.h>
#include <math.h>

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

struct row {
    enum br_type type;
    const char *text, *result;
};

static struct br_arena *arena;
static struct br_buffer out;

static void set_up(void) {
    arena = br_arena_create();
}
static void tear_down(void) {
    br_arena_destroy(&arena);
    br_buffer_free(&out);
}
TestSuite(types, .init = set_up, .fini = tear_down);

static const char *text_of(const struct br_value *value, bool json) {
    br_buffer_clear(&out);
    (json ? br_value_print_json : br_value_print)(value, &out);
    br_buffer_append_byte(&out, 0);
    return (const char *)out.ptr;
}

static void expect_text(const struct row *rows, size_t count, bool json) {
    for (size_t r = 0; r < count; r++) {
        struct br_value value;
        struct br_error error;
        enum br_status status = br_value_parse(rows[r].type, br_slice_of(rows[r].text), arena, &value, &error);
        cr_assert_eq(status, BR_OK, "%s: %s", rows[r].text, error.message);
        const char *got = text_of(&value, json);
        cr_expect_str_eq(got, rows[r].result, "%s: %s is not %s", rows[r].text, got, rows[r].result);
    }
}

Test(types, names_of_sql_and_of_the_catalog_are_known) {
    static const struct {
        const char *name;
        enum br_type type;
    } rows[] = {{"bool", BR_BOOLEAN},
                {"boolean", BR_BOOLEAN},
                {"int4", BR_INTEGER},
                {"integer", BR_INTEGER},
                {"INT", BR_INTEGER},
                {"pg_catalog.int8", BR_BIGINT},
                {"bigint", BR_BIGINT},
                {"numeric", BR_NUMERIC},
                {"decimal", BR_NUMERIC},
                {"float8", BR_DOUBLE},
                {"double precision", BR_DOUBLE},
                {"text", BR_TEXT},
                {"varchar", BR_TEXT},
                {"bytea", BR_BYTEA},
                {"timestamptz", BR_TIMESTAMPTZ},
                {"timestamp with time zone", BR_TIMESTAMPTZ},
                {"date", BR_DATE},
                {"pg_catalog.interval", BR_INTERVAL}};
    enum br_type type;
    for (size_t r = 0; r < COUNT(rows); r++) {
        cr_assert(br_type_from_name(rows[r].name, &type), "%s", rows[r].name);
        cr_expect_eq(type, rows[r].type, "%s", rows[r].name);
    }
    static const char *const others[] = {"", "real", "float4", "int2", "timestamp", "json", "int44", "in", "unknown"};
    for (size_t r = 0; r < COUNT(others); r++)
        cr_expect_not(br_type_from_name(others[r], &type), "%s", others[r]);
    for (int known = BR_BOOLEAN; known < BR_TYPE_COUNT; known++) {
        cr_assert(br_type_from_name(br_type_name((enum br_type)known), &type));
        cr_expect_eq((int)type, known, "every name reads back");
        cr_expect(br_type_width(type) > 0);
    }
}

Test(types, values_read_and_print_as_in_postgres) {
    static const struct row rows[] = {
        {BR_BOOLEAN, "t", "true"},
        {BR_BOOLEAN, " TRUE ", "true"},
        {BR_BOOLEAN, "y", "true"},
        {BR_BOOLEAN, "on", "true"},
        {BR_BOOLEAN, "1", "true"},
        {BR_BOOLEAN, "fal", "false"},
        {BR_BOOLEAN, "of", "false"},
        {BR_BOOLEAN, "0", "false"},
        {BR_INTEGER, "  42 ", "42"},
        {BR_INTEGER, "-2147483648", "-2147483648"},
        {BR_INTEGER, "+7", "7"},
        {BR_BIGINT, "9223372036854775807", "9223372036854775807"},
        {BR_BIGINT, "-9223372036854775808", "-9223372036854775808"},
        {BR_NUMERIC, " 1.50 ", "1.50"},
        {BR_NUMERIC, "1e3", "1000"},
        {BR_DOUBLE, " 1.5 ", "1.5"},
        {BR_DOUBLE, "NaN", "NaN"},
        {BR_DOUBLE, "-inf", "-Infinity"},
        {BR_TEXT, " a ", " a "},
        {BR_BYTEA, "\\xDE ad", "\\xdead"},
        {BR_BYTEA, "a\\\\b\\101", "\\x615c6241"},
        {BR_TIMESTAMPTZ, "2026-03-01T12:00:00+02", "2026-03-01 10:00:00+00"},
        {BR_DATE, "2026-03-01", "2026-03-01"},
        {BR_INTERVAL, "1 mon 2 days", "1 mon 2 days"},
    };
    expect_text(rows, COUNT(rows), false);
}

Test(types, what_does_not_fit_is_said_in_the_words_of_postgres) {
    static const struct row rows[] = {
        {BR_BOOLEAN, "o", "invalid input syntax for type boolean: \"o\""},
        {BR_BOOLEAN, "", "invalid input syntax for type boolean: \"\""},
        {BR_BOOLEAN, "truer", "invalid input syntax for type boolean: \"truer\""},
        {BR_INTEGER, "abc", "invalid input syntax for type integer: \"abc\""},
        {BR_INTEGER, "", "invalid input syntax for type integer: \"\""},
        {BR_INTEGER, "1.5", "invalid input syntax for type integer: \"1.5\""},
        {BR_INTEGER, "-", "invalid input syntax for type integer: \"-\""},
        {BR_INTEGER, "99999999999", "value \"99999999999\" is out of range for type integer"},
        {BR_INTEGER, "2147483648", "value \"2147483648\" is out of range for type integer"},
        {BR_BIGINT, "9223372036854775808", "value \"9223372036854775808\" is out of range for type bigint"},
        {BR_NUMERIC, "1.2.3", "invalid input syntax for type numeric: \"1.2.3\""},
        {BR_NUMERIC, "1e40", "value \"1e40\" is out of range for type numeric: it holds 36 digits"},
        {BR_NUMERIC, "NaN",
         "value \"NaN\" is not supported for type numeric: it has neither NaN nor infinities; use double precision"},
        {BR_DOUBLE, "abc", "invalid input syntax for type double precision: \"abc\""},
        {BR_DOUBLE, "", "invalid input syntax for type double precision: \"\""},
        {BR_DOUBLE, "1e400", "\"1e400\" is out of range for type double precision"},
        {BR_DOUBLE, "1e-400", "\"1e-400\" is out of range for type double precision"},
        {BR_TEXT, "a\xff", "invalid byte sequence for encoding \"UTF8\": 0xff at byte 2"},
        {BR_BYTEA, "\\xzz", "invalid hexadecimal digit: \"z\""},
        {BR_BYTEA, "\\xabc", "invalid hexadecimal data: odd number of digits"},
        {BR_BYTEA, "\\9", "invalid input syntax for type bytea"},
        {BR_TIMESTAMPTZ, "abc", "invalid input syntax for type timestamp with time zone: \"abc\""},
        {BR_TIMESTAMPTZ, "2026-02-30", "date/time field value out of range: \"2026-02-30\""},
        {BR_TIMESTAMPTZ, "2026-03-01 12:00+20", "time zone displacement out of range: \"2026-03-01 12:00+20\""},
        {BR_TIMESTAMPTZ, "299999-01-01", "timestamp out of range: \"299999-01-01\""},
        {BR_TIMESTAMPTZ, "infinity",
         "value \"infinity\" is not supported for type timestamp with time zone: there are no infinite times"},
        {BR_DATE, "9999999-01-01", "date out of range: \"9999999-01-01\""},
        {BR_DATE, "today",
         "value \"today\" is not supported for type date: it depends on the clock; write the time itself, or use "
         "now()"},
        {BR_INTERVAL, "1 flork", "invalid input syntax for type interval: \"1 flork\""},
        {BR_INTERVAL, "99999999999 years", "interval field value out of range: \"99999999999 years\""},
    };
    for (size_t r = 0; r < COUNT(rows); r++) {
        struct br_value value;
        struct br_error error;
        cr_assert_eq(br_value_parse(rows[r].type, br_slice_of(rows[r].text), arena, &value, &error), BR_DATA, "%s",
                     rows[r].text);
        cr_expect_str_eq(error.message, rows[r].result);
    }
}

Test(types, doubles_print_in_the_shortest_form_that_reads_back) {
    static const struct row rows[] = {
        {BR_DOUBLE, "21", "21"},
        {BR_DOUBLE, "0.1", "0.1"},
        {BR_DOUBLE, "1e300", "1e+300"},
        {BR_DOUBLE, "1e15", "1e+15"},
        {BR_DOUBLE, "999999999999999", "999999999999999"},
        {BR_DOUBLE, "0.0001", "0.0001"},
        {BR_DOUBLE, "0.00012345", "0.00012345"},
        {BR_DOUBLE, "0.00001", "1e-05"},
        {BR_DOUBLE, "-0", "-0"},
        {BR_DOUBLE, "123456.789e3", "123456789"},
        {BR_DOUBLE, "5e-324", "5e-324"},
        {BR_DOUBLE, "2.2250738585072014e-308", "2.2250738585072014e-308"},
        {BR_DOUBLE, "1.7976931348623157e308", "1.7976931348623157e+308"},
        {BR_DOUBLE, "1.0842021724855044e-19", "1.0842021724855044e-19"},
        {BR_DOUBLE, "0.30000000000000004", "0.30000000000000004"},
        // A power of two: the shortest form isn't the nearest one of its length.
        {BR_DOUBLE, "5.684341886080802e-14", "5.684341886080802e-14"},
        // Midway between two doubles: PostgreSQL doesn't print what needs ties to even to read back.
        {BR_DOUBLE, "1e23", "9.999999999999999e+22"},
        {BR_DOUBLE, "1e22", "1e+22"},
        {BR_DOUBLE, "9007199254740993", "9.007199254740992e+15"},
    };
    expect_text(rows, COUNT(rows), false);
}

Test(types, any_double_reads_back_from_its_text) {
    uint64_t bits = 88172645463325252u;
    for (int r = 0; r < 3000; r++) {
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        char text[BR_DOUBLE_TEXT_SIZE];
        size_t length = br_double_print(value, text);
        cr_assert_lt(length, sizeof text);
        cr_assert_eq(strlen(text), length);
        cr_assert_eq(strtod(text, NULL), value, "%s", text);
    }
}

Test(types, json_form_keeps_numbers_exact_and_quotes_the_rest) {
    static const struct row rows[] = {
        {BR_BOOLEAN, "t", "true"},
        {BR_INTEGER, "-5", "-5"},
        {BR_BIGINT, "9223372036854775807", "9223372036854775807"},
        {BR_NUMERIC, "99999999999999999999.000001", "99999999999999999999.000001"},
        {BR_NUMERIC, "-1.50", "-1.50"},
        {BR_DOUBLE, "21", "21"},
        {BR_DOUBLE, "1e300", "1e+300"},
        {BR_DOUBLE, "NaN", "\"NaN\""},
        {BR_DOUBLE, "-Infinity", "\"-Infinity\""},
        {BR_TEXT, "a\"b\\c\n\t\x01 \xc3\xa9/", "\"a\\\"b\\\\c\\n\\t\\u0001 \xc3\xa9/\""},
        {BR_TEXT, "", "\"\""},
        {BR_BYTEA, "\\x", "\"\""},
        {BR_BYTEA, "\\x00", "\"AA==\""},
        {BR_BYTEA, "\\x00ff", "\"AP8=\""},
        {BR_BYTEA, "\\x00ff10", "\"AP8Q\""},
        {BR_BYTEA, "hello", "\"aGVsbG8=\""},
        {BR_TIMESTAMPTZ, "2026-03-01 12:00", "\"2026-03-01T12:00:00Z\""},
        {BR_TIMESTAMPTZ, "2026-12-31 23:59:59.123456", "\"2026-12-31T23:59:59.123456Z\""},
        {BR_DATE, "2026-03-01", "\"2026-03-01\""},
        {BR_INTERVAL, "1 day 2 hours", "\"1 day 02:00:00\""},
    };
    expect_text(rows, COUNT(rows), true);
}

Test(types, null_is_null_in_json_and_nothing_as_text) {
    struct br_value value = {.type = BR_NUMERIC, .is_null = true};
    cr_expect_str_eq(text_of(&value, true), "null");
    cr_expect_str_eq(text_of(&value, false), "");
}

Test(types, text_without_end_byte_is_read_to_its_length) {
    static const enum br_type types[] = {BR_BOOLEAN, BR_INTEGER,     BR_BIGINT, BR_NUMERIC, BR_DOUBLE,
                                         BR_TEXT,    BR_TIMESTAMPTZ, BR_DATE,   BR_BYTEA,   BR_INTERVAL};
    for (size_t r = 0; r < COUNT(types); r++)
        for (size_t len = 0; len <= 10; len++) {
            uint8_t *exact = malloc(len > 0 ? len : 1);
            memcpy(exact, "2026-03-01", len);
            struct br_value value;
            struct br_error error;
            enum br_status status = br_value_parse(types[r], (struct br_slice){exact, len}, arena, &value, &error);
            cr_expect(status == BR_OK || status == BR_DATA);
            free(exact);
        }
}

Test(types, long_bad_values_are_cut_in_messages_at_a_character) {
    char text[1001];
    for (size_t at = 0; at < 999; at += 3)
        memcpy(text + at, "\xe2\x82\xac", 3);
    text[999] = '\0';
    struct br_value value;
    struct br_error error;
    cr_assert_eq(br_value_parse(BR_INTEGER, br_slice_of(text), arena, &value, &error), BR_DATA);
    cr_expect(strlen(error.message) < 300);
    cr_expect_eq(br_utf8_valid_prefix(br_slice_of(error.message)), strlen(error.message));
}
