// SPDX-License-Identifier: Apache-2.0
#include "rows.h"

static struct br_column_def columns[] = {
    {.name = "b", .type = BR_BOOLEAN},     {.name = "i", .type = BR_INTEGER},
    {.name = "l", .type = BR_BIGINT},      {.name = "n", .type = BR_NUMERIC},
    {.name = "d", .type = BR_DOUBLE},      {.name = "t", .type = BR_TEXT},
    {.name = "y", .type = BR_BYTEA},       {.name = "at", .type = BR_TIMESTAMPTZ},
    {.name = "day", .type = BR_DATE},      {.name = "v", .type = BR_INTERVAL},
    {.name = "who.name", .type = BR_TEXT}, {.name = "who.deep.age", .type = BR_INTEGER},
};
#define COUNT 12
static const struct br_row_type row_type = {.name = "orders", .columns = columns, .column_count = COUNT};

static struct rows json_rows(void) {
    struct rows rows = {.arena = br_arena_create(), .count = COUNT};
    for (uint32_t i = 0; i < COUNT; i++)
        rows.types[i] = columns[i].type;
    rows.batch = br_batch_create(rows.arena, rows.types, NULL, COUNT);
    return rows;
}
static enum br_status read(struct rows *rows, const char *json) {
    rows->batch->row_count = 4;
    return br_json_decode_row(&row_type, br_slice_of(json), rows->batch, 3, rows->arena, &rows->error);
}
static void reads(struct rows *rows, const char *json, const char *text) {
    cr_assert_eq(read(rows, json), BR_OK, "%s: %s", json, rows->error.message);
    cr_assert_str_eq(rows_text(rows), text);
}
static void refuses(struct rows *rows, const char *json, const char *part) {
    cr_assert_eq(read(rows, json), BR_DATA, "%s", json);
    cr_assert_contains(rows->error.message, part);
}

Test(json, a_row_of_every_type_comes_back) {
    struct rows r = json_rows();
    const char *json =
        "{\"b\":true,\"i\":-5,\"l\":9007199254740993,\"n\":99999999999999999999.000001,\"d\":0.1,"
        "\"t\":\"a \\\"b\\\" ü\",\"y\":\"AP8=\",\"at\":\"2026-03-01T12:00:00.5Z\",\"day\":\"2026-03-01\","
        "\"v\":\"1 day 02:00:00\",\"who.name\":\"x\",\"who.deep.age\":null}";
    reads(&r, json,
          "true|-5|9007199254740993|99999999999999999999.000001|0.1|a \"b\" ü|\\x00ff|2026-03-01 "
          "12:00:00.5+00|2026-03-01|"
          "1 day 02:00:00|x|NULL");
    br_json_encode_row(&row_type, r.batch, 3, NULL, 0, &r.wire);
    br_buffer_append_byte(&r.wire, 0);
    cr_assert_str_eq((const char *)r.wire.ptr, json);
    rows_end(&r);
}

Test(json, given_columns_are_written_in_the_order_given) {
    struct rows r = json_rows();
    reads(&r, "{\"i\":1,\"t\":\"x\"}", "NULL|1|NULL|NULL|NULL|x|NULL|NULL|NULL|NULL|NULL|NULL");
    static const uint32_t some[] = {5, 0, 1};
    br_json_encode_row(&row_type, r.batch, 3, some, 3, &r.wire);
    cr_assert(br_slice_is(br_buffer_slice(&r.wire), "{\"t\":\"x\",\"b\":null,\"i\":1}"));
    rows_end(&r);
}

Test(json, missing_members_are_null_even_where_an_earlier_row_stood) {
    struct rows r = json_rows();
    reads(&r, "{\"i\":1}", "NULL|1|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL");
    reads(&r, " { } ", "NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL");
    rows_end(&r);
}

Test(json, strings_are_read_as_the_columns_text_form) {
    struct rows r = json_rows();
    reads(&r, "{\"b\":\"t\",\"i\":\" 7 \",\"n\":\"1.50\",\"d\":\"NaN\",\"y\":\"\\\\x00ff\"}",
          "true|7|NULL|1.50|NaN|NULL|\\x00ff|NULL|NULL|NULL|NULL|NULL");
    rows_end(&r);
}

Test(json, numerics_keep_every_digit_and_their_scale) {
    struct rows r = json_rows();
    static const char *const texts[] = {"0.10", "123456789012345678901234567890.12", "-0.000000000000000000001", "5"};
    for (size_t i = 0; i < 4; i++) {
        char json[128], row[192];
        snprintf(json, sizeof json, "{\"n\":%s}", texts[i]);
        snprintf(row, sizeof row, "NULL|NULL|NULL|%s|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL", texts[i]);
        reads(&r, json, row);
    }
    rows_end(&r);
}

Test(json, whole_numbers_may_be_written_with_exponent_or_zeros) {
    struct rows r = json_rows();
    reads(&r, "{\"i\":1e3,\"l\":-12.0}", "NULL|1000|-12|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL");
    refuses(&r, "{\"i\":1.5}", "column \"i\" of orders is integer and can't hold a number: 1.5");
    refuses(&r, "{\"i\":2147483648}", "column \"i\" of orders");
    refuses(&r, "{\"l\":1e30}", "column \"l\" of orders");
    rows_end(&r);
}

Test(json, nested_objects_are_columns_with_a_dot) {
    struct rows r = json_rows();
    reads(&r, "{\"who\":{\"name\":\"x\",\"deep\":{\"age\":4}},\"i\":1}",
          "NULL|1|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|x|4");
    refuses(&r, "{\"who\":{\"nam\":\"x\"}}", "no column \"who.nam\"; did you mean \"who.name\"?");
    refuses(&r, "{\"who\":{\"name\":{}}}", "can't hold an object");
    refuses(&r, "{\"t\":{}}", "can't hold an object");
    refuses(&r, "{\"other\":{\"name\":1}}", "no column \"other\"");
    rows_end(&r);
}

Test(json, what_does_not_fit_is_refused_by_name) {
    struct rows r = json_rows();
    refuses(&r, "{\"amonut\":1}", "orders has no column \"amonut\"");
    refuses(&r, "{\"dy\":1}", "did you mean");
    refuses(&r, "[1]", "a row of orders is a JSON object");
    refuses(&r, "5", "a row of orders is a JSON object");
    refuses(&r, "{\"i\":1", "");
    refuses(&r, "{\"i\":01}", "");
    refuses(&r, "{\"i\":1}}", "");
    refuses(&r, "", "");
    refuses(&r, "{\"t\":5}", "column \"t\" of orders is text and can't hold a number: 5");
    refuses(&r, "{\"t\":true}", "can't hold a boolean");
    refuses(&r, "{\"t\":[]}", "can't hold an array");
    refuses(&r, "{\"b\":1}", "column \"b\" of orders is boolean and can't hold a number");
    refuses(&r, "{\"at\":5}", "column \"at\"");
    refuses(&r, "{\"at\":\"soon\"}", "column \"at\" of orders");
    refuses(&r, "{\"day\":\"2026-02-30\"}", "column \"day\" of orders");
    refuses(&r, "{\"y\":\"not base64!\"}", "column \"y\" of orders");
    refuses(&r, "{\"t\":\"a\\u0000b\"}", "column \"t\" of orders");
    refuses(&r, "{\"n\":1e99}", "column \"n\" of orders");
    rows_end(&r);
}
