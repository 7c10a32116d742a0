// SPDX-License-Identifier: Apache-2.0
#include "rows.h"

#include <unistd.h>

static struct br_encoder *encoder_of(struct rows *rows, const char *message) {
    struct br_encoder *encoder = NULL;
    enum br_status status = br_encoder_create(br_descriptors_find(rows->descriptors, message), rows->paths, rows->types,
                                              rows->count, &encoder, &rows->error);
    cr_assert_eq(status, BR_OK, "%s", rows->error.message);
    return encoder;
}
// Sets row 3 from texts as SQL reads them; NULL is NULL.
static void set_row(struct rows *rows, const char *const *texts) {
    for (uint32_t i = 0; i < rows->count; i++) {
        struct br_value value = {.type = rows->types[i], .is_null = true};
        if (texts[i] != NULL)
            cr_assert_eq(br_value_parse(rows->types[i], br_slice_of(texts[i]), rows->arena, &value, &rows->error),
                         BR_OK, "%s: %s", texts[i], rows->error.message);
        br_column_set(&rows->batch->columns[i], 3, &value);
    }
    rows->batch->row_count = 4;
}
static void encode(struct rows *rows, const struct br_encoder *encoder) {
    br_buffer_clear(&rows->wire);
    enum br_status status = br_encoder_encode(encoder, rows->batch, 3, &rows->wire, &rows->error);
    cr_assert_eq(status, BR_OK, "%s", rows->error.message);
}
// Encodes the texts, decodes the bytes and compares.
static void round_trip(struct rows *rows, const struct br_encoder *encoder, const char *const *texts) {
    set_row(rows, texts);
    const char *before = rows_text(rows);
    encode(rows, encoder);
    cr_assert_row(rows, before);
}

#define ALL                                                                                                            \
    {"a_double", BR_DOUBLE}, {"a_float", BR_DOUBLE}, {"an_int64", BR_BIGINT}, {"a_uint64", BR_NUMERIC},                \
        {"an_int32", BR_INTEGER}, {"a_fixed64", BR_NUMERIC}, {"a_fixed32", BR_BIGINT}, {"a_bool", BR_BOOLEAN},         \
        {"a_string", BR_TEXT}, {"a_bytes", BR_BYTEA}, {"a_uint32", BR_BIGINT}, {"a_color", BR_TEXT},                   \
        {"an_sfixed32", BR_INTEGER}, {"an_sfixed64", BR_BIGINT}, {"an_sint32", BR_INTEGER}, {"an_sint64", BR_BIGINT},  \
        {"maybe_int64", BR_BIGINT}, {"maybe_string", BR_TEXT}, {"at", BR_TIMESTAMPTZ}, {"took", BR_INTERVAL},          \
        {"wrapped_string", BR_TEXT}, {"wrapped_int64", BR_BIGINT}, {"wrapped_bool", BR_BOOLEAN},                       \
        {"inner.name", BR_TEXT}, {"inner.rank", BR_INTEGER}, {"inner.deep.depth", BR_BIGINT},                          \
        {"inner.deep.kind", BR_TEXT}, {"right", BR_INTEGER}, {"legacy.part.name", BR_TEXT},                            \
        {"legacy.part.sub.deep", BR_BOOLEAN}, {                                                                        \
        "far", BR_TEXT                                                                                                 \
    }
#define ALL_COUNT 31

Test(encode, values_of_every_kind_come_back) {
    struct rows r = ROWS("v1.Everything", ALL);
    struct br_encoder *encoder = encoder_of(&r, "test.v1.Everything");
    static const char *const rows[][ALL_COUNT] = {
        {"-2.5",
         "0.5",
         "-9223372036854775808",
         "18446744073709551615",
         "-2147483648",
         "18446744073709551614",
         "4294967295",
         "t",
         "grün",
         "\\x00ff",
         "4294967295",
         "BLUE",
         "-7",
         "-8",
         "-9",
         "-9223372036854775808",
         "300",
         "x",
         "2026-03-01 12:00:00.123456+00",
         "01:01:01.5",
         "w",
         "5",
         "f",
         "name",
         "-1",
         "4",
         "SOME",
         "29",
         "part",
         "t",
         "far away"},
        {"NaN",
         "-Infinity",
         "9223372036854775807",
         "9223372036854775808",
         "2147483647",
         "1",
         "1",
         "f",
         "",
         "\\x",
         "1",
         "-77",
         "2147483647",
         "9223372036854775807",
         "2147483647",
         "9223372036854775807",
         "0",
         "",
         "0001-01-01 00:00:00+00",
         "-00:00:00.25",
         "",
         "0",
         "t",
         "",
         "0",
         "0",
         "NONE",
         "0",
         "",
         "f",
         ""},
        {"-0",
         "0.25",
         "127",
         "128",
         "16383",
         "16384",
         "2097151",
         "t",
         "1234567",
         "\\x0102030405060708090a0b0c0d0e0f1011",
         "268435456",
         "NEGATIVE",
         "0",
         "0",
         "-64",
         "-65",
         "34359738368",
         "12345678",
         "1969-12-31 23:59:59.999999+00",
         "00:00:00",
         "w",
         "72057594037927935",
         "f",
         "n",
         "1",
         "72057594037927936",
         "SOME",
         "1",
         "p",
         "t",
         "f"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        round_trip(&r, encoder, rows[i]);
    br_encoder_destroy(&encoder);
    rows_end(&r);
}

Test(encode, nulls_write_nothing) {
    struct rows r = ROWS("v1.Everything", ALL);
    struct br_encoder *encoder = encoder_of(&r, "test.v1.Everything");
    static const char *const nulls[ALL_COUNT] = {NULL};
    set_row(&r, nulls);
    encode(&r, encoder);
    cr_assert_eq(r.wire.len, 0);
    br_encoder_destroy(&encoder);
    rows_end(&r);
}

Test(encode, each_single_column_comes_back_and_the_others_stay_null) {
    struct rows r = ROWS("v1.Everything", {"maybe_int64", BR_BIGINT}, {"maybe_string", BR_TEXT}, {"at", BR_TIMESTAMPTZ},
                         {"took", BR_INTERVAL}, {"wrapped_int64", BR_BIGINT}, {"inner.rank", BR_INTEGER},
                         {"left", BR_TEXT}, {"both.rank", BR_INTEGER}, {"legacy.part.count", BR_INTEGER},
                         {"legacy.raw", BR_BYTEA}, {"self.self.self.maybe_int64", BR_BIGINT});
    struct br_encoder *encoder = encoder_of(&r, "test.v1.Everything");
    static const char *const values[] = {"0",   "", "1970-01-01 00:00:00+00", "00:00:00", "0", "0", "", "0", "0",
                                         "\\x", "0"};
    for (uint32_t i = 0; i < 11; i++) {
        const char *texts[11] = {NULL};
        texts[i] = values[i];
        round_trip(&r, encoder, texts);
    }
    br_encoder_destroy(&encoder);
    rows_end(&r);
}

Test(encode, fields_stand_in_the_order_of_their_numbers_whatever_the_columns_order) {
    struct rows r = ROWS("v1.Everything", {"far", BR_TEXT}, {"inner.rank", BR_INTEGER}, {"an_int64", BR_BIGINT},
                         {"inner.name", BR_TEXT}, {"a_string", BR_TEXT});
    struct br_encoder *encoder = encoder_of(&r, "test.v1.Everything");
    static const char *const texts[] = {"f", "2", "1", "n", "s"};
    set_row(&r, texts);
    encode(&r, encoder);
    static const uint8_t want[] = {0x18, 0x01, 0x4a, 0x01, 's',  0xda, 0x01, 0x05, 0x0a,
                                   0x01, 'n',  0x10, 0x02, 0xc2, 0xb8, 0x02, 0x01, 'f'};
    cr_assert_eq(r.wire.len, sizeof want);
    cr_assert_arr_eq(r.wire.ptr, want, sizeof want);
    br_encoder_destroy(&encoder);
    rows_end(&r);
}

Test(encode, the_bytes_are_those_of_protoc) {
    struct rows r = ROWS("v1.Everything", ALL);
    struct br_encoder *encoder = encoder_of(&r, "test.v1.Everything");
    static const char *const texts[ALL_COUNT] = {"-2.5",
                                                 "0.5",
                                                 "-9223372036854775808",
                                                 "18446744073709551615",
                                                 "-2147483648",
                                                 "0",
                                                 "4294967295",
                                                 "t",
                                                 "grün",
                                                 "\\x00ff",
                                                 "4294967295",
                                                 "BLUE",
                                                 "-7",
                                                 "-8",
                                                 "-9",
                                                 "-5000000000",
                                                 "0",
                                                 "",
                                                 "1969-12-31 23:59:59.5+00",
                                                 "-00:00:00.25",
                                                 "",
                                                 "5",
                                                 "f",
                                                 "name",
                                                 "-1",
                                                 "4",
                                                 "SOME",
                                                 "29",
                                                 "part",
                                                 "t",
                                                 "far away"};
    static const char text_format[] =
        "a_double: -2.5 a_float: 0.5 an_int64: -9223372036854775808 a_uint64: 18446744073709551615 "
        "an_int32: -2147483648 a_fixed32: 4294967295 a_bool: true a_string: \"gr\\303\\274n\" a_bytes: \"\\000\\377\" "
        "a_uint32: 4294967295 a_color: BLUE an_sfixed32: -7 an_sfixed64: -8 an_sint32: -9 an_sint64: -5000000000 "
        "maybe_int64: 0 maybe_string: \"\" at { seconds: -1 nanos: 500000000 } took { nanos: -250000000 } "
        "wrapped_string {} wrapped_int64 { value: 5 } wrapped_bool {} inner { name: \"name\" rank: -1 deep { depth: 4 "
        "kind: SOME } } right: 29 legacy { Part { name: \"part\" Sub { deep: true } } } far: \"far away\"";
    char in[] = "/tmp/braid_text_XXXXXX", command[512];
    int file = mkstemp(in);
    cr_assert_geq(file, 0);
    cr_assert_eq(write(file, text_format, sizeof text_format - 1), (ssize_t)sizeof text_format - 1);
    close(file);
    snprintf(command, sizeof command,
             "protoc -I " TEST_SOURCE_DIR "/unit/codec --encode=test.v1.Everything everything.proto <%s 2>/dev/null",
             in);
    FILE *pipe = popen(command, "r");
    uint8_t want[4096];
    size_t length = fread(want, 1, sizeof want, pipe);
    pclose(pipe);
    unlink(in);
    cr_assert_gt(length, 0);
    set_row(&r, texts);
    encode(&r, encoder);
    cr_assert_eq(r.wire.len, length, "%zu %zu", r.wire.len, length);
    cr_assert_arr_eq(r.wire.ptr, want, length);
    br_encoder_destroy(&encoder);
    rows_end(&r);
}

Test(encode, long_sub_messages_get_longer_lengths) {
    struct rows r = ROWS("v1.Everything", {"self.self.self.a_string", BR_TEXT}, {"self.an_int64", BR_BIGINT},
                         {"self.self.far", BR_TEXT}, {"far", BR_TEXT});
    struct br_encoder *encoder = encoder_of(&r, "test.v1.Everything");
    static const size_t lengths[] = {0,   1,   115, 116,   120,   121,   122,   123,   124,   125,   126,
                                     127, 128, 129, 16370, 16379, 16380, 16381, 16382, 16383, 16384, 2097152};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        char *text = br_alloc(lengths[i] + 1);
        memset(text, 'a', lengths[i]);
        text[lengths[i]] = '\0';
        const char *texts[] = {text, "77", "after", "end"};
        round_trip(&r, encoder, texts);
        free(text);
    }
    br_encoder_destroy(&encoder);
    rows_end(&r);
}

Test(encode, converted_columns_come_back) {
    struct rows r =
        ROWS("v1.Decimals", {"amount", BR_NUMERIC}, {"maybe_amount", BR_NUMERIC}, {"moment", BR_TIMESTAMPTZ},
             {"day", BR_DATE}, {"span", BR_INTERVAL}, {"moment_us", BR_TIMESTAMPTZ}, {"day_number", BR_DATE});
    struct br_encoder *encoder = encoder_of(&r, "test.v1.Decimals");
    static const char *const rows[][7] = {
        {"-12.50", "0.00", "2026-03-01 12:00:00.5+00", "2026-03-01", "1 mon 2 days 03:04:05", "1960-01-01 00:00:00+00",
         "1960-02-29"},
        {"123456789012345678901234567890.123456", NULL, NULL, NULL, NULL, "1970-01-01 00:00:00+00", "1970-01-01"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        round_trip(&r, encoder, rows[i]);
    br_encoder_destroy(&encoder);
    rows_end(&r);
}

Test(encode, numerics_print_as_the_general_printer_prints_them) {
    struct rows r = ROWS("v1.Decimals", {"maybe_amount", BR_NUMERIC});
    struct br_encoder *encoder = encoder_of(&r, "test.v1.Decimals");
    uint64_t seed = 3;
    for (int i = 0; i < 5000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        __int128 coefficient = (int64_t)seed >> (i % 64);
        if (i % 7 == 0)
            coefficient *= 1000000007;
        struct br_numeric n;
        cr_assert(br_numeric_make(coefficient, (unsigned)(i % 23), &n));
        ((struct br_numeric *)r.batch->columns[0].values)[3] = n;
        br_bit_set(r.batch->columns[0].validity, 3);
        encode(&r, encoder);
        char text[BR_NUMERIC_TEXT_SIZE];
        size_t length = br_numeric_print(n, text);
        cr_assert(br_slice_equal((struct br_slice){r.wire.ptr + 2, r.wire.len - 2},
                                 (struct br_slice){(const uint8_t *)text, length}),
                  "%.*s", (int)length, text);
    }
    br_encoder_destroy(&encoder);
    rows_end(&r);
}

Test(encode, a_value_that_does_not_fit_is_refused_and_nothing_is_appended) {
    static const struct {
        const char *message;
        struct column_spec column;
        const char *text, *part;
    } cases[] = {
        {"test.v1.Everything",
         {"an_int32", BR_BIGINT},
         "2147483648",
         "bigint \"2147483648\" is out of range for, field \"an_int32\" (int32) of"},
        {"test.v1.Everything", {"an_sfixed32", BR_BIGINT}, "-2147483649", "out of range"},
        {"test.v1.Everything", {"a_uint32", BR_BIGINT}, "-1", "out of range"},
        {"test.v1.Everything", {"a_fixed32", BR_BIGINT}, "4294967296", "out of range"},
        {"test.v1.Everything", {"a_uint64", BR_NUMERIC}, "-1", "out of range"},
        {"test.v1.Everything", {"a_uint64", BR_NUMERIC}, "18446744073709551616", "out of range"},
        {"test.v1.Everything", {"an_int64", BR_NUMERIC}, "1.5", "fraction"},
        {"test.v1.Everything", {"a_color", BR_TEXT}, "PURPLE", "no name of the enum"},
        {"test.v1.Everything", {"a_color", BR_TEXT}, "05", "no name of the enum"},
        {"test.v1.Everything", {"a_color", BR_TEXT}, "5000000000", "no name of the enum"},
        {"test.v1.Everything", {"a_float", BR_DOUBLE}, "1e39", "out of range"},
        {"test.v1.Everything", {"at", BR_TIMESTAMPTZ}, "10000-01-01 00:00:00+00", "years 1 to 9999"},
        {"test.v1.Everything", {"at", BR_TIMESTAMPTZ}, "0001-12-31 23:59:59+00 BC", "years 1 to 9999"},
        {"test.v1.Everything", {"took", BR_INTERVAL}, "1 mon", "months"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct column_spec columns[] = {cases[i].column, {NULL, BR_UNKNOWN}};
        struct rows r = rows_of(cases[i].message, columns);
        struct br_encoder *encoder = encoder_of(&r, cases[i].message);
        set_row(&r, &cases[i].text);
        br_buffer_append_text(&r.wire, "kept");
        cr_assert_eq(br_encoder_encode(encoder, r.batch, 3, &r.wire, &r.error), BR_DATA, "%s", cases[i].text);
        cr_assert_contains(r.error.message, cases[i].part);
        cr_assert(br_slice_is(br_buffer_slice(&r.wire), "kept"));
        br_encoder_destroy(&encoder);
        rows_end(&r);
    }
}

Test(encode, two_members_of_a_oneof_are_refused) {
    struct rows r = ROWS("v1.Everything", {"left", BR_TEXT}, {"right", BR_INTEGER}, {"both.rank", BR_INTEGER});
    struct br_encoder *encoder = encoder_of(&r, "test.v1.Everything");
    static const char *const bad[][3] = {{"l", "1", NULL}, {"l", NULL, "2"}, {NULL, "1", "2"}};
    for (int i = 0; i < 3; i++) {
        set_row(&r, bad[i]);
        cr_assert_eq(br_encoder_encode(encoder, r.batch, 3, &r.wire, &r.error), BR_DATA);
        cr_assert_contains(r.error.message, "oneof");
    }
    br_encoder_destroy(&encoder);
    rows_end(&r);
}

Test(encode, two_columns_cannot_write_one_field) {
    struct br_descriptors *d = everything();
    struct br_encoder *encoder = NULL;
    struct br_error error = {0};
    static const char *const paths[][2] = {
        {"an_int64", "an_int64"}, {"at", "at.seconds"}, {"wrapped_int64", "wrapped_int64.value"}};
    static const enum br_type types[][2] = {
        {BR_BIGINT, BR_BIGINT}, {BR_TIMESTAMPTZ, BR_BIGINT}, {BR_BIGINT, BR_BIGINT}};
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(
            br_encoder_create(br_descriptors_find(d, "test.v1.Everything"), paths[i], types[i], 2, &encoder, &error),
            BR_DATA);
        cr_assert_contains(error.message, "two columns write to the same field");
        cr_assert_null(encoder);
    }
    br_descriptors_destroy(&d);
}

Test(encode, only_the_given_columns_are_written) {
    struct rows r =
        ROWS("v1.Everything", {"maybe_int64", BR_BIGINT}, {"inner.rank", BR_INTEGER}, {"maybe_string", BR_TEXT});
    struct br_encoder *encoder = encoder_of(&r, "test.v1.Everything");
    static const char *const texts[] = {"1", "2", "3"};
    set_row(&r, texts);
    static const uint32_t columns[] = {2, 0};
    cr_assert_eq(br_encoder_encode_columns(encoder, r.batch, 3, columns, 2, &r.wire, &r.error), BR_OK);
    cr_assert_row(&r, "1|NULL|3");
    br_encoder_destroy(&encoder);
    rows_end(&r);
}

Test(encode, a_derived_message_of_every_type_comes_back) {
    struct br_descriptors *d = br_descriptors_create();
    const struct br_message_type *m = NULL;
    static const char *const names[] = {"b", "i", "l", "n", "d", "t", "y", "z", "a", "v", "?column?", "x.y"};
    static const enum br_type types[] = {BR_BOOLEAN, BR_INTEGER,     BR_BIGINT, BR_NUMERIC,  BR_DOUBLE, BR_TEXT,
                                         BR_BYTEA,   BR_TIMESTAMPTZ, BR_DATE,   BR_INTERVAL, BR_TEXT,   BR_BIGINT};
    struct rows r = {.descriptors = d, .arena = br_arena_create(), .count = 12};
    cr_assert_eq(br_descriptors_derive(d, "p.v", names, types, 12, NULL, &m, &r.error), BR_OK);
    memcpy(r.paths, names, sizeof names);
    memcpy(r.types, types, sizeof types);
    cr_assert_eq(br_decoder_create(m, names, types, NULL, 12, &r.decoder, &r.error), BR_OK, "%s", r.error.message);
    r.batch = br_batch_create(r.arena, types, NULL, 12);
    struct br_encoder *encoder = encoder_of(&r, "p.v");
    static const char *const values[] = {
        "f", "0", "0", "0.00", "0", "", "\\x", "1970-01-01 00:00:00+00", "1970-01-01", "00:00:00", "q", "5"};
    round_trip(&r, encoder, values);
    for (uint32_t i = 0; i < 12; i++) {
        const char *texts[12] = {NULL};
        texts[i] = values[i];
        round_trip(&r, encoder, texts);
    }
    br_encoder_destroy(&encoder);
    rows_end(&r);
}
