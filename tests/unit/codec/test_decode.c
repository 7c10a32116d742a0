// SPDX-License-Identifier: Apache-2.0
#include "rows.h"

Test(decode, every_kind_of_number_becomes_its_natural_type) {
    struct rows r =
        ROWS("v1.Everything", {"a_double", BR_DOUBLE}, {"a_float", BR_DOUBLE}, {"an_int64", BR_BIGINT},
             {"a_uint64", BR_NUMERIC}, {"an_int32", BR_INTEGER}, {"a_fixed64", BR_NUMERIC}, {"a_fixed32", BR_BIGINT},
             {"a_bool", BR_BOOLEAN}, {"a_uint32", BR_BIGINT}, {"an_sfixed32", BR_INTEGER}, {"an_sfixed64", BR_BIGINT},
             {"an_sint32", BR_INTEGER}, {"an_sint64", BR_BIGINT});
    put_double(&r.wire, 1, -2.5);
    float real = 0.5f;
    uint32_t bits;
    memcpy(&bits, &real, 4);
    put_fixed32(&r.wire, 2, bits);
    put_varint(&r.wire, 3, (uint64_t)INT64_MIN);
    put_varint(&r.wire, 4, UINT64_MAX);
    put_varint(&r.wire, 5, (uint64_t)(int64_t)INT32_MIN);
    put_fixed64(&r.wire, 6, UINT64_MAX - 1);
    put_fixed32(&r.wire, 7, UINT32_MAX);
    put_varint(&r.wire, 8, 1);
    put_varint(&r.wire, 11, UINT32_MAX);
    put_fixed32(&r.wire, 13, (uint32_t)-7);
    put_fixed64(&r.wire, 14, (uint64_t)-8);
    put_varint(&r.wire, 15, br_zigzag(-9));
    put_varint(&r.wire, 16, br_zigzag(INT64_MIN));
    cr_assert_row(&r,
                  "-2.5|0.5|-9223372036854775808|18446744073709551615|-2147483648|18446744073709551614|4294967295|true|"
                  "4294967295|-7|-8|-9|-9223372036854775808");
    rows_end(&r);
}

Test(decode, varints_of_every_length_keep_their_value) {
    struct rows r = ROWS("v1.Everything", {"an_int64", BR_BIGINT}, {"a_string", BR_TEXT});
    for (int padding = 0; padding < 2; padding++) // in the middle of the message and at its end
        for (int bit = 0; bit < 64; bit++) {
            uint64_t value = UINT64_C(1) << bit | (bit > 3 ? 5 : 0);
            char text[64];
            put_varint(&r.wire, 3, value);
            if (padding != 0)
                put_text(&r.wire, 9, "some text at the end");
            snprintf(text, sizeof text, "%lld|%s", (long long)value, padding != 0 ? "some text at the end" : "");
            cr_assert_row(&r, text);
        }
    rows_end(&r);
}

Test(decode, left_out_fields_are_zero_or_null_by_their_presence) {
    struct rows r = ROWS(
        "v1.Everything", {"an_int64", BR_BIGINT}, {"a_string", BR_TEXT}, {"a_bytes", BR_BYTEA}, {"a_color", BR_TEXT},
        {"a_uint64", BR_NUMERIC}, {"a_bool", BR_BOOLEAN}, {"a_double", BR_DOUBLE}, {"an_int32", BR_DATE},
        {"an_sint64", BR_TIMESTAMPTZ}, {"maybe_int64", BR_BIGINT}, {"maybe_string", BR_TEXT}, {"at", BR_TIMESTAMPTZ},
        {"took", BR_INTERVAL}, {"wrapped_int64", BR_BIGINT}, {"left", BR_TEXT}, {"inner.name", BR_TEXT});
    cr_assert_row(
        &r, "0||\\x|COLOR_UNKNOWN|0|false|0|1970-01-01|1970-01-01 00:00:00+00|NULL|NULL|NULL|NULL|NULL|NULL|NULL");
    rows_end(&r);
}

Test(decode, an_implicit_field_of_a_sub_message_is_null_until_the_sub_message_is_there) {
    struct rows r = ROWS("v1.Everything", {"inner.name", BR_TEXT}, {"inner.rank", BR_INTEGER},
                         {"inner.deep.depth", BR_BIGINT}, {"inner.deep.kind", BR_TEXT});
    cr_assert_row(&r, "NULL|NULL|NULL|NULL");
    put_text(&r.wire, 27, "");
    cr_assert_row(&r, "|NULL|NULL|NULL");
    put_bytes(&r.wire, 27, "\x1a\x00", 2);
    cr_assert_row(&r, "|NULL|0|NONE");
    put_bytes(&r.wire, 27, "\x10\x05\x1a\x02\x10\x01", 6);
    cr_assert_row(&r, "|5|0|SOME");
    rows_end(&r);
}

Test(decode, wrappers_are_nullable_values) {
    struct rows r =
        ROWS("v1.Everything", {"wrapped_string", BR_TEXT}, {"wrapped_int64", BR_BIGINT}, {"wrapped_bool", BR_BOOLEAN},
             {"wrapped_double", BR_NUMERIC}, {"wrapped_int64.value", BR_NUMERIC});
    put_bytes(&r.wire, 21, "\x0a\x02hi", 4);
    put_bytes(&r.wire, 22, "", 0);
    put_bytes(&r.wire, 23, "\x08\x01", 2);
    cr_assert_row(&r, "hi|0|true|NULL|0");
    rows_end(&r);
}

Test(decode, unknown_fields_of_every_wire_type_are_skipped) {
    struct rows r = ROWS("v1.Everything", {"an_int64", BR_BIGINT}, {"far", BR_TEXT});
    put_varint(&r.wire, 900, UINT64_MAX);
    put_fixed64(&r.wire, 901, 1);
    put_text(&r.wire, 902, "\xff\xff");
    put_fixed32(&r.wire, 100000, 1);
    put_varint(&r.wire, 3, 7);
    put_tag(&r.wire, 903, 3);
    put_varint(&r.wire, 3, 99); // inside the unknown group: not ours
    put_tag(&r.wire, 904, 3);
    put_tag(&r.wire, 904, 4);
    put_tag(&r.wire, 903, 4);
    put_text(&r.wire, 5000, "far away");
    put_varint(&r.wire, (1u << 29) - 1, 1);
    cr_assert_row(&r, "7|far away");
    rows_end(&r);
}

Test(decode, known_fields_that_nobody_wants_are_skipped) {
    struct rows r = ROWS("v1.Everything", {"maybe_int64", BR_BIGINT});
    put_double(&r.wire, 1, 1);
    put_fixed32(&r.wire, 2, 1);
    put_varint(&r.wire, 3, UINT64_MAX);
    put_text(&r.wire, 9, "\xff not text");
    put_seconds(&r.wire, 19, INT64_MAX, -1);
    put_bytes(&r.wire, 24, "\x01\x02\x03", 3); // packed
    put_varint(&r.wire, 24, 4);                // and one by one
    put_text(&r.wire, 25, "a");
    put_bytes(&r.wire, 26, "\x0a\x01k\x10\x01", 5);
    put_varint(&r.wire, 17, 42);
    cr_assert_row(&r, "42");
    rows_end(&r);
}

Test(decode, the_last_of_several_occurrences_wins_and_sub_messages_merge) {
    struct rows r = ROWS("v1.Everything", {"an_int64", BR_BIGINT}, {"a_string", BR_TEXT}, {"inner.name", BR_TEXT},
                         {"inner.rank", BR_INTEGER}, {"inner.deep.depth", BR_BIGINT}, {"at", BR_TIMESTAMPTZ},
                         {"took", BR_INTERVAL});
    put_varint(&r.wire, 3, 1);
    put_text(&r.wire, 9, "first");
    put_bytes(&r.wire, 27, "\x0a\x01x\x10\x02", 5);
    put_seconds(&r.wire, 19, -5, 0);
    put_seconds(&r.wire, 20, -5, 0);
    put_varint(&r.wire, 3, 2);
    put_text(&r.wire, 9, "last");
    put_bytes(&r.wire, 27, "\x0a\x01y\x1a\x02\x08\x07", 7);
    put_seconds(&r.wire, 19, 0, 250000999);
    put_seconds(&r.wire, 20, 0, -250000999);
    cr_assert_row(&r, "2|last|y|2|7|1969-12-31 23:59:55.25+00|-00:00:05.25");
    rows_end(&r);
}

Test(decode, a_later_oneof_member_clears_the_others) {
    struct rows r = ROWS("v1.Everything", {"left", BR_TEXT}, {"right", BR_INTEGER}, {"both.name", BR_TEXT},
                         {"both.rank", BR_INTEGER});
    put_text(&r.wire, 28, "l");
    cr_assert_row(&r, "l|NULL|NULL|NULL");
    put_text(&r.wire, 28, "l");
    put_varint(&r.wire, 29, 1);
    cr_assert_row(&r, "NULL|1|NULL|NULL");
    put_varint(&r.wire, 29, 1);
    put_bytes(&r.wire, 30, "\x10\x03", 2);
    cr_assert_row(&r, "NULL|NULL||3");
    put_bytes(&r.wire, 30, "\x0a\x01n\x10\x03", 5);
    put_text(&r.wire, 28, "l");
    put_bytes(&r.wire, 30, "", 0);
    cr_assert_row(&r, "NULL|NULL||NULL");
    rows_end(&r);
}

Test(decode, a_oneof_member_that_nobody_wants_still_clears) {
    struct rows r = ROWS("v1.Everything", {"left", BR_TEXT});
    put_text(&r.wire, 28, "l");
    put_varint(&r.wire, 29, 1);
    cr_assert_row(&r, "NULL");
    rows_end(&r);
}

Test(decode, enums_are_names_and_unknown_numbers_their_digits) {
    struct rows r = ROWS("v1.Everything", {"a_color", BR_TEXT});
    static const struct {
        int32_t number;
        const char *text;
    } cases[] = {{1, "RED"}, {5, "BLUE"}, {-3, "NEGATIVE"}, {1000000, "FAR"}, {2, "2"}, {-9, "-9"}, {99999, "99999"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_varint(&r.wire, 12, (uint64_t)(int64_t)cases[i].number);
        cr_assert_row(&r, cases[i].text);
    }
    rows_end(&r);
}

Test(decode, timestamps_are_cut_to_microseconds_and_checked) {
    struct rows r = ROWS("v1.Everything", {"at", BR_TIMESTAMPTZ});
    put_seconds(&r.wire, 19, 1772366400, 123456789);
    cr_assert_row(&r, "2026-03-01 12:00:00.123456+00");
    put_seconds(&r.wire, 19, -1, 999999999);
    cr_assert_row(&r, "1969-12-31 23:59:59.999999+00");
    put_seconds(&r.wire, 19, -62135596800, 0);
    cr_assert_row(&r, "0001-01-01 00:00:00+00");
    put_seconds(&r.wire, 19, 253402300799, 999999999);
    cr_assert_row(&r, "9999-12-31 23:59:59.999999+00");
    put_bytes(&r.wire, 19, "\x18\x01\x22\x01x", 5); // unknown fields of a Timestamp
    cr_assert_row(&r, "1970-01-01 00:00:00+00");
    put_seconds(&r.wire, 19, -62135596801, 0);
    cr_assert_bad(&r, "\"at\" (19) of test.v1.Everything at byte 0 is out of range");
    put_seconds(&r.wire, 19, 253402300800, 0);
    cr_assert_bad(&r, "out of range");
    put_seconds(&r.wire, 19, INT64_MAX, 0);
    cr_assert_bad(&r, "out of range");
    put_seconds(&r.wire, 19, 0, 1000000000);
    cr_assert_bad(&r, "nanos");
    put_seconds(&r.wire, 19, 0, -1);
    cr_assert_bad(&r, "nanos");
    put_bytes(&r.wire, 19, "\x0a\x01x", 3);
    cr_assert_bad(&r, "wrong wire type");
    put_bytes(&r.wire, 19, "\x08", 1);
    cr_assert_bad(&r, "cut short");
    rows_end(&r);
}

Test(decode, durations_become_intervals) {
    struct rows r = ROWS("v1.Everything", {"took", BR_INTERVAL});
    put_seconds(&r.wire, 20, 3661, 500000999);
    cr_assert_row(&r, "01:01:01.5");
    put_seconds(&r.wire, 20, 1, -1);
    cr_assert_bad(&r, "out of range");
    put_seconds(&r.wire, 20, 315576000001, 0);
    cr_assert_bad(&r, "out of range");
    rows_end(&r);
}

Test(decode, strings_are_read_as_decimals_and_times) {
    struct rows r =
        ROWS("v1.Decimals", {"amount", BR_NUMERIC}, {"maybe_amount", BR_NUMERIC}, {"moment", BR_TIMESTAMPTZ},
             {"day", BR_DATE}, {"span", BR_INTERVAL}, {"moment_us", BR_TIMESTAMPTZ}, {"day_number", BR_DATE});
    put_text(&r.wire, 1, "-012.50");
    put_text(&r.wire, 2, "1e3");
    put_text(&r.wire, 3, "2026-03-01T12:00:00Z");
    put_text(&r.wire, 4, "2026-03-01");
    put_text(&r.wire, 5, "1 mon 2 days");
    put_varint(&r.wire, 6, 1772366400000001);
    put_varint(&r.wire, 7, (uint64_t)-1);
    cr_assert_row(
        &r, "-12.50|1000|2026-03-01 12:00:00+00|2026-03-01|1 mon 2 days|2026-03-01 12:00:00.000001+00|1969-12-31");
    cr_assert_row(&r, "NULL|NULL|NULL|NULL|NULL|1970-01-01 00:00:00+00|1970-01-01");
    put_text(&r.wire, 1, "");
    cr_assert_row(&r, "NULL|NULL|NULL|NULL|NULL|1970-01-01 00:00:00+00|1970-01-01");
    put_text(&r.wire, 2, "");
    cr_assert_bad(&r, "\"maybe_amount\" (2) of test.v1.Decimals at byte 0 is no valid numeric: \"\"");
    put_text(&r.wire, 1, "12,5");
    cr_assert_bad(&r, "is no valid numeric: \"12,5\"");
    put_text(&r.wire, 3, "soon");
    cr_assert_bad(&r, "no valid");
    put_text(&r.wire, 4, "2026-02-30");
    cr_assert_bad(&r, "no valid date");
    put_text(&r.wire, 5, "\xff\xfe");
    cr_assert_bad(&r, "no valid interval");
    put_varint(&r.wire, 6, INT64_MAX);
    cr_assert_bad(&r, "9223372036854775807, out of range for timestamp");
    put_varint(&r.wire, 7, INT32_MAX);
    cr_assert_bad(&r, "out of range for date");
    rows_end(&r);
}

Test(decode, texts_tell_no_times_that_a_column_does_not_hold) {
    struct rows r = ROWS("v1.Decimals", {"moment", BR_TIMESTAMPTZ}, {"day", BR_DATE});
    put_text(&r.wire, 3, "0001-01-01T00:00:00Z");
    put_text(&r.wire, 4, "0044-03-15 BC");
    cr_assert_row(&r, "0001-01-01 00:00:00+00|0044-03-15 BC");
    put_text(&r.wire, 3, "0044-03-15 12:00 BC");
    cr_assert_bad(&r, "no valid timestamptz: \"0044-03-15 12:00 BC\": a column holds the years 1 to 9999");
    put_text(&r.wire, 3, "0001-01-01 00:30+01");
    cr_assert_bad(&r, "a column holds the years 1 to 9999");
    put_text(&r.wire, 3, "10000-01-01");
    cr_assert_bad(&r, "a column holds the years 1 to 9999");
    br_decoder_take_any_time(r.decoder); // as the first build
    put_text(&r.wire, 3, "0044-03-15 12:00 BC");
    cr_assert_row(&r, "0044-03-15 12:00:00+00 BC|NULL");
    rows_end(&r);
}

Test(decode, short_decimals_read_as_the_general_reader_reads_them) {
    struct rows r = ROWS("v1.Decimals", {"maybe_amount", BR_NUMERIC});
    static const char *const texts[] = {"0",
                                        "-0",
                                        "0.00",
                                        "-0.00",
                                        "12.",
                                        ".5",
                                        "-.5",
                                        "007",
                                        "1.50",
                                        "12345678901234.5678",
                                        "-99999999999999999.9",
                                        "999999999999999999",
                                        "9999999999999999999",
                                        "1.000000000000000001",
                                        "+1",
                                        " 1 ",
                                        "1e2"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct br_numeric want;
        cr_assert(br_numeric_parse(br_slice_of(texts[i]), &want), "%s", texts[i]);
        put_text(&r.wire, 2, texts[i]);
        cr_assert_eq(rows_decode(&r), BR_OK);
        br_buffer_clear(&r.wire);
        struct br_numeric got = ((struct br_numeric *)r.batch->columns[0].values)[3];
        cr_assert(got.low == want.low && got.high == want.high, "%s", texts[i]);
    }
    static const char *const wrong[] = {"-", ".", "-.", "1.2.3", "1-", "--1", "x", "NaN", "Infinity"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        put_text(&r.wire, 2, wrong[i]);
        cr_assert_bad(&r, "no valid numeric");
    }
    rows_end(&r);
}

Test(decode, numbers_widen_and_are_refused_where_they_do_not_fit) {
    struct rows r = ROWS("v1.Everything", {"an_int64", BR_INTEGER}, {"a_uint64", BR_BIGINT}, {"an_int32", BR_BIGINT},
                         {"a_fixed32", BR_INTEGER}, {"a_double", BR_NUMERIC}, {"a_float", BR_NUMERIC},
                         {"a_fixed64", BR_BIGINT}, {"an_sint32", BR_NUMERIC});
    float tenth = 0.1f;
    uint32_t bits;
    memcpy(&bits, &tenth, 4);
    put_varint(&r.wire, 3, (uint64_t)-5);
    put_varint(&r.wire, 4, INT64_MAX);
    put_varint(&r.wire, 5, (uint64_t)-6);
    put_fixed32(&r.wire, 7, 7);
    put_double(&r.wire, 1, 0.1);
    put_fixed32(&r.wire, 2, bits);
    put_varint(&r.wire, 15, br_zigzag(-8));
    cr_assert_row(&r, "-5|9223372036854775807|-6|7|0.1|0.1|0|-8");
    put_varint(&r.wire, 3, INT64_C(3000000000));
    cr_assert_bad(&r, "is 3000000000, out of range for integer");
    put_varint(&r.wire, 4, UINT64_C(1) << 63);
    cr_assert_bad(&r, "is 9223372036854775808, out of range for bigint");
    put_fixed64(&r.wire, 6, UINT64_MAX);
    cr_assert_bad(&r, "is 18446744073709551615, out of range for bigint");
    put_fixed32(&r.wire, 7, UINT32_MAX);
    cr_assert_bad(&r, "out of range for integer");
    put_varint(&r.wire, 5, UINT64_C(1) << 33);
    cr_assert_bad(&r, "more than 32 bits");
    put_varint(&r.wire, 15, UINT64_C(1) << 40);
    cr_assert_bad(&r, "more than 32 bits");
    rows_end(&r);
}

Test(decode, an_int32_of_more_than_32_bits_is_refused) {
    struct rows r = ROWS("v1.Everything", {"an_int32", BR_INTEGER}, {"a_uint32", BR_BIGINT}, {"a_color", BR_TEXT});
    put_varint(&r.wire, 5, (uint64_t)INT32_MAX + 1);
    cr_assert_bad(&r, "\"an_int32\" (5)");
    put_varint(&r.wire, 11, UINT64_MAX);
    cr_assert_bad(&r, "more than 32 bits");
    put_varint(&r.wire, 12, UINT32_MAX);
    cr_assert_bad(&r, "more than 32 bits");
    rows_end(&r);
}

Test(decode, nan_and_infinity_are_doubles_but_no_numerics) {
    struct rows r = ROWS("v1.Everything", {"a_double", BR_DOUBLE});
    put_double(&r.wire, 1, __builtin_nan(""));
    cr_assert_row(&r, "NaN");
    put_double(&r.wire, 1, -__builtin_inf());
    cr_assert_row(&r, "-Infinity");
    rows_end(&r);
    r = ROWS("v1.Everything", {"a_double", BR_NUMERIC}, {"a_float", BR_NUMERIC});
    static const double bad[] = {__builtin_nan(""), __builtin_inf(), -__builtin_inf(), 1e300};
    for (int i = 0; i < 4; i++) {
        put_double(&r.wire, 1, bad[i]);
        cr_assert_bad(&r, "which numeric can't hold");
    }
    put_fixed32(&r.wire, 2, 0x7fc00000);
    cr_assert_bad(&r, "which numeric can't hold");
    rows_end(&r);
}

Test(decode, text_must_be_utf8_without_nul) {
    struct rows r = ROWS("v1.Everything", {"maybe_string", BR_TEXT});
    static const char *const good[] = {
        "", "a", "1234567", "12345678", "123456789", "grün", "€ and more than eight", "𝄞", "\xf4\x8f\xbf\xbf"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        put_text(&r.wire, 18, good[i]);
        cr_assert_row(&r, good[i]);
        put_text(&r.wire, 18, good[i]);
        put_text(&r.wire, 900, "something after it");
        cr_assert_row(&r, good[i]);
    }
    static const struct {
        const char *bytes;
        size_t length;
    } bad[] = {{"\xff", 1},
               {"abc\x80", 4},
               {"\xc0\x80", 2},
               {"\xed\xa0\x80", 3},
               {"\xf4\x90\x80\x80", 4},
               {"\xe2\x82", 2},
               {"a\0b", 3},
               {"\0", 1},
               {"12345678\0", 9},
               {"\0"
                "12345678",
                9},
               {"1234567\xc3", 8},
               {"0123456789abcdef\xff", 17},
               {"\x01\x00\x01\x01\x01\x01\x01\x01\x01", 9}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_bytes(&r.wire, 18, bad[i].bytes, bad[i].length);
        cr_assert_bad(&r, "\"maybe_string\" (18) of test.v1.Everything at byte 0 isn't UTF-8");
        put_bytes(&r.wire, 18, bad[i].bytes, bad[i].length);
        put_text(&r.wire, 900, "something after it");
        cr_assert_bad(&r, "isn't UTF-8");
    }
    rows_end(&r);
}

Test(decode, a_text_of_eight_mebibytes_is_taken) {
    struct rows r = ROWS("v1.Everything", {"a_string", BR_TEXT}, {"an_int64", BR_BIGINT});
    size_t length = (size_t)8 << 20;
    char *text = br_alloc(length);
    memset(text, 'x', length);
    put_bytes(&r.wire, 9, text, length);
    put_varint(&r.wire, 3, 5);
    free(text);
    cr_assert_eq(rows_decode(&r), BR_OK, "%s", r.error.message);
    cr_assert_eq(((struct br_slice *)r.batch->columns[0].values)[3].len, length);
    cr_assert_eq(((int64_t *)r.batch->columns[1].values)[3], 5);
    rows_end(&r);
}

Test(decode, a_field_of_the_wrong_wire_type_is_refused) {
    struct rows r = ROWS("v1.Everything", {"an_int64", BR_BIGINT}, {"a_string", BR_TEXT}, {"at", BR_TIMESTAMPTZ});
    put_text(&r.wire, 3, "x");
    cr_assert_bad(&r,
                  "field \"an_int64\" (3) of test.v1.Everything at byte 0 has the wrong wire type: length-delimited "
                  "where int64 is varint");
    put_varint(&r.wire, 9, 1);
    cr_assert_bad(&r, "\"a_string\" (9)");
    put_fixed32(&r.wire, 19, 1);
    cr_assert_bad(&r, "wrong wire type");
    put_varint(&r.wire, 1, 1); // nobody wants it, but it is known
    cr_assert_bad(&r, "\"a_double\" (1)");
    put_tag(&r.wire, 3, 3);
    cr_assert_bad(&r, "wrong wire type: group");
    rows_end(&r);
}

Test(decode, malformed_bytes_are_refused_with_their_place) {
    struct rows r = ROWS("v1.Everything", {"an_int64", BR_BIGINT}, {"a_string", BR_TEXT}, {"inner.name", BR_TEXT},
                         {"a_double", BR_DOUBLE});
    static const struct {
        const char *bytes;
        size_t length;
        const char *part;
    } cases[] = {
        {"\x18", 1, "\"an_int64\" (3) of test.v1.Everything at byte 0 is cut short"},
        {"\x18\xff\xff", 3, "is cut short"},
        {"\x18\x01\x18\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 14,
         "at byte 2 has a varint of more than 10 bytes"},
        {"\x4a\x05"
         "ab",
         4, "\"a_string\" (9) of test.v1.Everything at byte 0 has a length that reaches past the end"},
        {"\x4a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "length that reaches past"},
        {"\x4a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10, "length that reaches past"},
        {"\x52\x7f", 2, "\"a_bytes\""},
        {"\x09\x00\x00\x00\x00\x00\x00\x00", 8, "\"a_double\" (1) of test.v1.Everything at byte 0 is cut short"},
        {"\x15\x00\x00\x00", 4, "\"a_float\""},
        {"\xda\x01\x03\x0a\x05x", 6, "field \"name\" (1) of test.v1.Everything.Inner at byte 3 has a length"},
        {"\x00\x01", 2, "at byte 0 has number 0"},
        {"\x07", 1, "has number 0"},
        {"\x80\x00", 2, "has number 0"},
        {"\xff", 1, "is cut short"},
        {"\xff\xff\xff\xff\x7f\x01", 6, "past 536870911"},
        {"\x1c", 1, "end-group out of place"},
        {"\xbc\x3e", 2, "end-group out of place"},
        {"\xbb\x3e\x08\x01", 4, "group without end"},
        {"\xbb\x3e\xc4\x3e", 4, "end-group out of place"},
        {"\xbe\x3e\x01", 3, "wire type that does not exist"},
        {"\xbf\x3e\x01", 3, "wire type that does not exist"},
        {"\x1e\x01", 2, "wrong wire type"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        br_buffer_append(&r.wire, cases[i].bytes, cases[i].length);
        cr_assert_bad(&r, cases[i].part);
    }
    rows_end(&r);
}

Test(decode, unknown_groups_may_nest_a_hundred_deep_and_no_deeper) {
    struct rows r = ROWS("v1.Everything", {"an_int64", BR_BIGINT});
    for (int depth = 100; depth <= 101; depth++) {
        for (int i = 0; i < depth; i++)
            put_tag(&r.wire, 999, 3);
        for (int i = 0; i < depth; i++)
            put_tag(&r.wire, 999, 4);
        put_varint(&r.wire, 3, 1);
        if (depth == 100)
            cr_assert_row(&r, "1");
        else
            cr_assert_bad(&r, "nested deeper than 100");
    }
    rows_end(&r);
}

Test(decode, proto2_groups_and_presence) {
    struct rows r = ROWS("v0.Legacy", {"id", BR_BIGINT}, {"label", BR_TEXT}, {"size", BR_TEXT}, {"part.name", BR_TEXT},
                         {"part.count", BR_INTEGER}, {"part.sub.deep", BR_BOOLEAN}, {"flag", BR_BOOLEAN});
    cr_assert_row(&r, "NULL|NULL|NULL|NULL|NULL|NULL|NULL");
    put_varint(&r.wire, 1, 0);
    put_varint(&r.wire, 3, 2);
    put_tag(&r.wire, 5, 3);
    put_text(&r.wire, 1, "p");
    put_tag(&r.wire, 3, 3);
    put_varint(&r.wire, 1, 1);
    put_tag(&r.wire, 3, 4);
    put_varint(&r.wire, 2, 9);
    put_tag(&r.wire, 5, 4);
    put_varint(&r.wire, 100, 1); // an extension
    cr_assert_row(&r, "0|NULL|LARGE|p|9|true|NULL");
    put_tag(&r.wire, 5, 3);
    put_text(&r.wire, 1, "p");
    cr_assert_bad(&r, "group");
    put_tag(&r.wire, 5, 3);
    put_tag(&r.wire, 3, 4);
    cr_assert_bad(&r, "end-group out of place");
    rows_end(&r);
}

Test(decode, several_columns_may_read_one_field) {
    struct rows r = ROWS("v1.Everything", {"at", BR_TIMESTAMPTZ}, {"an_int64", BR_BIGINT}, {"at.seconds", BR_BIGINT},
                         {"an_int64", BR_NUMERIC}, {"an_int64", BR_TIMESTAMPTZ}, {"at.nanos", BR_INTEGER});
    put_varint(&r.wire, 3, 1000000);
    put_seconds(&r.wire, 19, 7, 5);
    cr_assert_row(&r, "1970-01-01 00:00:07+00|1000000|7|1000000|1970-01-01 00:00:01+00|5");
    rows_end(&r);
}

Test(decode, an_unwanted_column_is_left_alone) {
    struct br_descriptors *d = everything();
    struct br_arena *arena = br_arena_create();
    static const char *const paths[] = {"an_int64", "a_string"};
    static const enum br_type types[] = {BR_BIGINT, BR_TEXT};
    static const bool wanted[] = {false, true};
    struct br_decoder *decoder = NULL;
    struct br_error error = {0};
    cr_assert_eq(
        br_decoder_create(br_descriptors_find(d, "test.v1.Everything"), paths, types, wanted, 2, &decoder, &error),
        BR_OK);
    struct br_batch *batch = br_batch_create(arena, types, wanted, 2);
    struct br_slice bytes = {(const uint8_t *)"\x18\x05\x4a\x01x", 5};
    cr_assert_eq(br_decoder_decode(decoder, bytes, batch, 0, arena, &error), BR_OK);
    cr_assert_null(batch->columns[0].values);
    cr_assert(br_slice_is(((struct br_slice *)batch->columns[1].values)[0], "x"));
    br_decoder_destroy(&decoder);
    br_arena_destroy(&arena);
    br_descriptors_destroy(&d);
}

Test(decode, a_row_that_failed_can_be_used_again) {
    struct rows r = ROWS("v1.Everything", {"maybe_int64", BR_BIGINT}, {"maybe_string", BR_TEXT});
    put_varint(&r.wire, 17, 1);
    put_text(&r.wire, 18, "x");
    cr_assert_row(&r, "1|x");
    put_varint(&r.wire, 17, 1);
    put_tag(&r.wire, 18, 2);
    cr_assert_bad(&r, "cut short");
    cr_assert_row(&r, "NULL|NULL");
    rows_end(&r);
}

Test(decode, a_column_that_no_field_can_give_is_refused_when_the_plan_is_made) {
    struct br_descriptors *d = everything();
    struct br_decoder *decoder = NULL;
    struct br_error error = {0};
    static const struct {
        const char *path;
        enum br_type type;
        const char *part;
    } cases[] = {{"a_string", BR_BIGINT, "a bigint column can't hold; it is a text"},
                 {"many", BR_INTEGER, "repeated"},
                 {"inner", BR_TEXT, "dotted path"},
                 {"an_int46", BR_BIGINT, "did you mean \"an_int64\""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_eq(br_decoder_create(br_descriptors_find(d, "test.v1.Everything"), &cases[i].path, &cases[i].type,
                                       NULL, 1, &decoder, &error),
                     BR_DATA);
        cr_assert_contains(error.message, cases[i].part);
        cr_assert_null(decoder);
    }
    br_descriptors_destroy(&d);
}

static void put_much(struct br_buffer *out) {
    put_double(out, 1, 1.5);
    put_varint(out, 3, 300);
    put_text(out, 9, "grün and more");
    put_varint(out, 12, 5);
    put_seconds(out, 19, 1772366400, 1000);
    put_bytes(out, 27, "\x0a\x01y\x1a\x02\x08\x07", 7);
    put_tag(out, 999, 3);
    put_varint(out, 3, 1);
    put_tag(out, 999, 4);
    put_text(out, 5000, "end");
}
#define MUCH                                                                                                           \
    {"a_double", BR_NUMERIC}, {"an_int64", BR_BIGINT}, {"a_string", BR_TEXT}, {"a_color", BR_TEXT},                    \
        {"at", BR_TIMESTAMPTZ}, {"inner.name", BR_TEXT}, {"inner.deep.depth", BR_BIGINT}, {"far", BR_TEXT},            \
        {"left", BR_TEXT}, {"self.a_string", BR_NUMERIC}, {"took", BR_INTERVAL}, {                                     \
        "legacy.part.name", BR_TEXT                                                                                    \
    }

Test(decode, a_message_cut_anywhere_is_refused_or_is_a_shorter_message) {
    struct rows r = ROWS("v1.Everything", MUCH);
    struct br_buffer whole = {0};
    put_much(&whole);
    uint32_t good = 0;
    for (size_t length = 0; length <= whole.len; length++) {
        br_buffer_clear(&r.wire);
        br_buffer_append(&r.wire, whole.ptr, length);
        good += rows_decode(&r) == BR_OK;
    }
    cr_assert_eq(good, 9, "one per field boundary, and the empty message");
    br_buffer_free(&whole);
    rows_end(&r);
}

Test(decode, random_bytes_never_crash) {
    struct rows r = ROWS("v1.Everything", MUCH);
    struct br_buffer whole = {0};
    put_much(&whole);
    uint64_t seed = 7;
    for (int round = 0; round < 20000; round++) {
        br_buffer_clear(&r.wire);
        br_buffer_append(&r.wire, whole.ptr, whole.len);
        for (int i = 0; i < 1 + round % 5; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            r.wire.ptr[(seed >> 33) % r.wire.len] = (uint8_t)(seed >> 17);
        }
        enum br_status status = rows_decode(&r);
        cr_assert(status == BR_OK || status == BR_DATA);
        if (round % 1000 == 0)
            br_arena_reset(r.arena), r.batch = br_batch_create(r.arena, r.types, NULL, r.count);
    }
    br_buffer_free(&whole);
    rows_end(&r);
}

Test(delimited, messages_come_one_by_one) {
    struct br_slice rest = {(const uint8_t *)"\x02hi\x00\x01x", 6}, message;
    enum br_status status;
    struct br_error error = {0};
    cr_assert(br_delimited_next(&rest, &message, &status, &error));
    cr_assert(br_slice_is(message, "hi"));
    cr_assert(br_delimited_next(&rest, &message, &status, &error));
    cr_assert_eq(message.len, 0);
    cr_assert(br_delimited_next(&rest, &message, &status, &error));
    cr_assert(br_slice_is(message, "x"));
    cr_assert_not(br_delimited_next(&rest, &message, &status, &error));
    cr_assert_eq(status, BR_OK);
}

Test(delimited, a_bad_prefix_is_told_apart_from_the_end) {
    static const char *const bad[] = {"\x05hi", "\xff", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"};
    for (size_t i = 0; i < 3; i++) {
        struct br_slice rest = br_slice_of(bad[i]), message;
        enum br_status status;
        struct br_error error = {0};
        cr_assert_not(br_delimited_next(&rest, &message, &status, &error));
        cr_assert_eq(status, BR_DATA);
        cr_assert_contains(error.message, "delimited payload");
    }
}
