// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static bool parses(const char *text) {
    struct br_json value;
    return br_json_parse(br_slice_of(text), &value, NULL) == BR_OK;
}

Test(json, takes_what_rfc_8259_allows) {
    const char *good[] = {"{}",
                          "[]",
                          " {\"a\":[1,-0.5e+3,true,false,null,\"x\\u00e4\\n\"]} ",
                          "0",
                          "\"\"",
                          "[[[]]]",
                          "{\"a\":{\"b\":1}}"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        cr_assert(parses(good[i]), "%s", good[i]);
}

Test(json, refuses_what_it_does_not) {
    const char *bad[] = {"",          "{",   "{\"a\"}", "{\"a\":1,}", "[1,]", "01",     "1.", "+1", "\"\\x\"",
                         "\"\\u12\"", "nul", "{} {}",   "\"\xff\"",   "'a'",  "\"\n\"", "-",  "1e"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert(!parses(bad[i]), "%s", bad[i]);
}

Test(json, nesting_is_bounded) {
    char text[400];
    memset(text, '[', 200);
    memset(text + 200, ']', 199);
    text[399] = '\0';
    cr_assert(!parses(text));
}

Test(json, walks_members_and_keeps_number_digits) {
    struct br_arena *arena = br_arena_create();
    struct br_json object, value;
    cr_assert_eq(
        br_json_parse(
            br_slice_of("{\"a\\u0062\" : 12345678901234567890.10 , \"s\":\"\\ud83d\\ude00\\t\", \"l\":[1, 2]}"),
            &object, NULL),
        BR_OK);
    cr_assert(br_json_member(&object, "ab", arena, &value));
    cr_assert(br_slice_is(value.text, "12345678901234567890.10"));
    cr_assert(br_json_member(&object, "s", arena, &value));
    cr_assert(br_slice_is(br_json_string(&value, arena), "\xf0\x9f\x98\x80\t"));
    cr_assert(br_json_member(&object, "l", arena, &value));
    struct br_json_walk walk = br_json_begin(&value);
    struct br_slice name;
    int count = 0;
    while (br_json_next(&walk, arena, &name, &value))
        count++;
    cr_assert_eq(count, 2);
    cr_assert(!br_json_member(&object, "zz", arena, &value));
    br_arena_destroy(&arena);
}

static void expect_strict(const char *text, const char *why) {
    struct br_arena *arena = br_arena_create();
    struct br_json value;
    struct br_error error = {.message = ""};
    cr_assert_eq(br_json_parse(br_slice_of(text), &value, &error), BR_OK, "%s", error.message);
    enum br_status status = br_json_parse_strictly(br_slice_of(text), arena, &value, &error);
    cr_expect_eq(status, why == NULL ? BR_OK : BR_DATA, "%s", text);
    if (why != NULL)
        cr_expect_str_eq(error.message, why);
    br_arena_destroy(&arena);
}

Test(json, strictly_a_name_stands_once_and_surrogates_in_pairs) {
    expect_strict("{\"a\":1,\"b\":{\"a\":2},\"c\":[{\"a\":3},{\"a\":4}]}", NULL);
    expect_strict("[\"\\ud83d\\ude00 \\ufffd \\\\ud800\", \"\\u00e4\"]", NULL);
    expect_strict("{\"a\":1,\"b\":2,\"a\":3}", "member \"a\" is there twice (byte 18)");
    expect_strict(" {\"row\":{\"ab\":1, \"a\\u0062\":2}}", "member \"ab\" is there twice (byte 28)");
    expect_strict("[{\"\":1,\"\":2}]", "member \"\" is there twice (byte 11)");
    expect_strict("{\"s\":\"x\\ud800\"}", "\\ud800 to \\udfff stand for nothing but in pairs (byte 8)");
    expect_strict("[\"\\ude00\\ud83d\"]", "\\ud800 to \\udfff stand for nothing but in pairs (byte 3)");
    expect_strict("{\"\\ud800\":1}", "\\ud800 to \\udfff stand for nothing but in pairs (byte 3)");
    char many[3000] = "{\"m0\":0";
    for (int i = 1; i < 200; i++)
        sprintf(many + strlen(many), ",\"m%d\":%d", i, i);
    strcat(many, "}");
    expect_strict(many, NULL);
    strcpy(many + strlen(many) - 1, ",\"m77\":1}");
    char why[100];
    snprintf(why, sizeof why, "member \"m77\" is there twice (byte %zu)", strlen(many) - 1);
    expect_strict(many, why);
}

Test(json, base64_goes_both_ways) {
    struct br_arena *arena = br_arena_create();
    struct br_buffer text = {0};
    for (size_t len = 0; len < 20; len++) {
        uint8_t bytes[20];
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)(i * 37 + len);
        br_buffer_clear(&text);
        br_base64_encode((struct br_slice){bytes, len}, &text);
        struct br_slice back;
        cr_assert_eq(br_base64_decode(br_buffer_slice(&text), arena, &back, NULL), BR_OK);
        cr_assert(br_slice_equal(back, (struct br_slice){bytes, len}));
    }
    struct br_slice back;
    cr_assert_eq(br_base64_decode(br_slice_of("a*b="), arena, &back, NULL), BR_DATA);
    cr_assert_eq(br_base64_decode(br_slice_of("abcde"), arena, &back, NULL), BR_DATA);
    br_buffer_free(&text);
    br_arena_destroy(&arena);
}
