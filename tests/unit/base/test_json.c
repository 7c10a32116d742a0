// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <criterion/criterion.h>

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
