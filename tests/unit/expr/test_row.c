// SPDX-License-Identifier: Apache-2.0
#include "processor/expr/numeric.h"
#include "processor/expr/row.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct br_arena *arena;
static struct br_buffer buffer;
static void setup(void) {
    arena = br_arena_create();
    buffer = (struct br_buffer){0};
}
static void teardown(void) {
    br_buffer_free(&buffer);
    br_arena_destroy(&arena);
}
TestSuite(row, .init = setup, .fini = teardown);

static struct br_value parse(enum br_type type, const char *text) {
    struct br_value value = {.type = type, .is_null = true};
    if (text != NULL)
        cr_assert_eq(br_value_parse(type, br_slice_of(text), arena, &value, NULL), BR_OK, "%s", text);
    return value;
}

// A batch of one column.
static struct br_batch *column_of(enum br_type type, const char *const *texts, uint32_t count) {
    struct br_batch *batch = br_batch_create(arena, &type, NULL, 1);
    batch->row_count = count;
    for (uint32_t r = 0; r < count; r++) {
        struct br_value value = parse(type, texts[r]);
        br_column_set(&batch->columns[0], r, &value);
    }
    return batch;
}

static const char *print(const struct br_value *value) {
    struct br_buffer text = {0};
    if (value->is_null)
        return "NULL";
    br_value_print(value, &text);
    const char *copy = br_arena_printf(arena, "%.*s", (int)text.len, text.ptr == NULL ? "" : (const char *)text.ptr);
    br_buffer_free(&text);
    return copy;
}

static const char *hex(struct br_slice bytes) {
    char *text = br_arena_alloc(arena, 2 * bytes.len + 1);
    for (size_t i = 0; i < bytes.len; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes.ptr[i]);
    text[2 * bytes.len] = '\0';
    return text;
}

// --- the value format
static const struct {
    enum br_type type;
    const char *text, *bytes;
} GOLDEN[] = {
    {BR_BOOLEAN, NULL, "00"},
    {BR_BOOLEAN, "true", "0101"},
    {BR_BOOLEAN, "false", "0100"},
    {BR_INTEGER, "-1", "0101"},
    {BR_INTEGER, "2147483647", "01feffffff0f"},
    {BR_INTEGER, "-2147483648", "01ffffffff0f"},
    {BR_BIGINT, "300", "01d804"},
    {BR_BIGINT, "-9223372036854775808", "01ffffffffffffffffff01"},
    {BR_DOUBLE, "1.5", "01000000000000f83f"},
    {BR_NUMERIC, "12.50", "0102c413"},
    {BR_NUMERIC, "-1", "010001"},
    {BR_NUMERIC, "0.00", "010200"},
    {BR_NUMERIC, "1000000000000000000000000000000000000", "01008080808080c4cfcbe6d6b890f99ee7978103"},
    {BR_TEXT, "", "0100"},
    {BR_TEXT, "äb", "0103c3a462"},
    {BR_BYTEA, "\\x00ff", "010200ff"},
    {BR_TIMESTAMPTZ, "1970-01-01 00:00:00.000001+00", "0102"},
    {BR_DATE, "1969-12-31", "0101"},
    {BR_INTERVAL, "1 mon -2 days 00:00:00.000003", "01060302"},
};
#define GOLDEN_COUNT (sizeof GOLDEN / sizeof GOLDEN[0])

Test(row, format_is_fixed) {
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        struct br_batch *batch = column_of(GOLDEN[i].type, &GOLDEN[i].text, 1);
        br_buffer_clear(&buffer);
        br_row_encode(batch, 0, NULL, 1, &buffer);
        cr_expect_str_eq(hex(br_buffer_slice(&buffer)), GOLDEN[i].bytes, "%s", GOLDEN[i].text);
    }
}

Test(row, comes_back_from_its_bytes) {
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        struct br_batch *batch = column_of(GOLDEN[i].type, &GOLDEN[i].text, 1);
        br_buffer_clear(&buffer);
        br_row_encode(batch, 0, NULL, 1, &buffer);
        struct br_batch *back = br_batch_create(arena, &GOLDEN[i].type, NULL, 1);
        cr_assert_eq(br_row_decode(br_buffer_slice(&buffer), back, 5, 0, 1, arena, true, NULL), BR_OK);
        struct br_value want = br_column_get(&batch->columns[0], 0), got = br_column_get(&back->columns[0], 5);
        cr_expect_str_eq(print(&got), print(&want));
        cr_expect_eq(br_row_size(br_buffer_slice(&buffer), &GOLDEN[i].type, 1), buffer.len);
    }
}

static const enum br_type WIDE[] = {BR_TEXT, BR_BIGINT, BR_NUMERIC, BR_TEXT,    BR_BOOLEAN,
                                    BR_DATE, BR_DOUBLE, BR_BYTEA,   BR_INTERVAL};
#define WIDE_COUNT (sizeof WIDE / sizeof WIDE[0])
static struct br_batch *wide_batch(void) {
    static const char *const TEXTS[2][WIDE_COUNT] = {
        {"a", "7", NULL, "", "t", "2026-03-01", NULL, "\\x00", "1 day"},
        {NULL, NULL, "1.50", "long text that is more than sixteen bytes", NULL, NULL, "2.5", NULL, NULL}};
    struct br_batch *batch = br_batch_create(arena, WIDE, NULL, WIDE_COUNT);
    batch->row_count = 2;
    for (uint32_t r = 0; r < 2; r++)
        for (uint32_t c = 0; c < WIDE_COUNT; c++) {
            struct br_value value = parse(WIDE[c], TEXTS[r][c]);
            br_column_set(&batch->columns[c], r, &value);
        }
    return batch;
}

Test(row, of_many_columns_comes_back_with_nulls_in_place) {
    struct br_batch *batch = wide_batch(), *back = br_batch_create(arena, WIDE, NULL, WIDE_COUNT);
    for (uint32_t r = 0; r < 2; r++) {
        br_buffer_clear(&buffer);
        br_row_encode(batch, r, NULL, WIDE_COUNT, &buffer);
        struct br_slice copy = br_arena_copy(arena, br_buffer_slice(&buffer));
        // Row 63 was set before: NULLs must clear what stands there.
        memset(back->columns[2].validity, 0xff, 8);
        cr_assert_eq(br_row_decode(copy, back, 63, 0, WIDE_COUNT, arena, false, NULL), BR_OK);
        for (uint32_t c = 0; c < WIDE_COUNT; c++) {
            struct br_value want = br_column_get(&batch->columns[c], r), got = br_column_get(&back->columns[c], 63);
            cr_expect_str_eq(print(&got), print(&want), "row %u column %u", r, c);
        }
    }
}

Test(row, of_many_comes_back_with_the_others) {
    struct br_batch *batch = wide_batch(), *back = br_batch_create(arena, WIDE, NULL, WIDE_COUNT);
    struct br_slice rows[20];
    for (uint32_t r = 0; r < 20; r++) {
        br_buffer_clear(&buffer);
        br_row_encode(batch, r % 2, NULL, WIDE_COUNT, &buffer);
        rows[r] = br_arena_copy(arena, br_buffer_slice(&buffer));
    }
    cr_assert_eq(br_rows_decode(rows, 20, back, 100, 0, WIDE_COUNT, arena, true, NULL), BR_OK);
    for (uint32_t r = 0; r < 20; r++)
        for (uint32_t c = 0; c < WIDE_COUNT; c++) {
            struct br_value want = br_column_get(&batch->columns[c], r % 2);
            struct br_value got = br_column_get(&back->columns[c], 100 + r);
            cr_expect_str_eq(print(&got), print(&want));
        }
    rows[7].len--;
    cr_expect_eq(br_rows_decode(rows, 20, back, 100, 0, WIDE_COUNT, arena, true, NULL), BR_FATAL);
}

Test(row, takes_chosen_columns_into_a_part_of_a_batch) {
    struct br_batch *batch = wide_batch(), *back = br_batch_create(arena, WIDE, NULL, WIDE_COUNT);
    uint32_t columns[] = {0, 1};
    br_row_encode(batch, 0, columns, 2, &buffer);
    enum br_type types[] = {BR_DATE, BR_TEXT, BR_BIGINT};
    back = br_batch_create(arena, types, NULL, 3);
    cr_assert_eq(br_row_decode(br_buffer_slice(&buffer), back, 0, 1, 2, arena, true, NULL), BR_OK);
    cr_expect(br_column_is_null(&back->columns[0], 0));
    struct br_value text = br_column_get(&back->columns[1], 0), number = br_column_get(&back->columns[2], 0);
    cr_expect_str_eq(print(&text), "a");
    cr_expect_str_eq(print(&number), "7");
}

Test(row, writes_pruned_columns_as_null_and_skips_them_when_reading) {
    struct br_batch *batch = wide_batch();
    br_row_encode(batch, 0, NULL, WIDE_COUNT, &buffer);
    bool wanted[WIDE_COUNT] = {false, true};
    struct br_batch *back = br_batch_create(arena, WIDE, wanted, WIDE_COUNT);
    cr_assert_eq(br_row_decode(br_buffer_slice(&buffer), back, 0, 0, WIDE_COUNT, arena, true, NULL), BR_OK);
    cr_expect_eq(((int64_t *)back->columns[1].values)[0], 7);
    br_buffer_clear(&buffer);
    br_row_encode(back, 0, NULL, WIDE_COUNT, &buffer);
    cr_expect_str_eq(hex(br_buffer_slice(&buffer)), "02000e");
}

Test(row, that_is_cut_short_or_goes_on_is_refused) {
    struct br_batch *batch = wide_batch();
    br_row_encode(batch, 0, NULL, WIDE_COUNT, &buffer);
    struct br_batch *back = br_batch_create(arena, WIDE, NULL, WIDE_COUNT);
    struct br_error error;
    for (size_t len = 0; len < buffer.len; len++) {
        struct br_slice cut = br_arena_copy(arena, (struct br_slice){buffer.ptr, len});
        cr_expect_eq(br_row_decode(cut, back, 0, 0, WIDE_COUNT, arena, true, &error), BR_FATAL, "%zu bytes", len);
        cr_expect_eq(br_row_size(cut, WIDE, WIDE_COUNT), 0);
    }
    br_buffer_append_byte(&buffer, 0);
    cr_expect_eq(br_row_decode(br_buffer_slice(&buffer), back, 0, 0, WIDE_COUNT, arena, true, &error), BR_FATAL);
    cr_expect_eq(br_row_size(br_buffer_slice(&buffer), WIDE, WIDE_COUNT), buffer.len - 1);
}

Test(row, of_malformed_bytes_is_refused) {
    static const struct {
        enum br_type type;
        uint8_t bytes[24];
        size_t len;
    } BAD[] = {
        {BR_BOOLEAN, {1, 2}, 2},                                                             // neither
        {BR_BOOLEAN, {3, 1}, 2},                                                             // a bit past the columns
        {BR_INTEGER, {1, 0x80, 0}, 3},                                                       // overlong
        {BR_INTEGER, {1, 0xff, 0xff, 0xff, 0xff, 0x1f}, 6},                                  // too large
        {BR_BIGINT, {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, 11},    // 65 bits
        {BR_NUMERIC, {1, 64, 2}, 3},                                                         // scale
        {BR_TEXT, {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 'a'}, 12}, // length
    };
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct br_batch *back = br_batch_create(arena, &BAD[i].type, NULL, 1);
        struct br_slice bytes = {BAD[i].bytes, BAD[i].len};
        cr_expect_eq(br_row_decode(bytes, back, 0, 0, 1, arena, true, NULL), BR_FATAL, "%zu", i);
        cr_expect_eq(br_row_size(bytes, &BAD[i].type, 1), 0, "%zu", i);
    }
}

// Any bytes: nothing is read past the end (AddressSanitizer sees it), and what is taken is written back the same.
Test(row, of_random_bytes_is_refused_or_comes_back_the_same) {
    uint64_t seed = 1;
    struct br_batch *back = br_batch_create(arena, WIDE, NULL, WIDE_COUNT);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t random[24];
        for (size_t b = 0; b < sizeof random; b++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            random[b] = (uint8_t)(seed >> 56) & (b % 3 == 0 ? 0xff : 0x0f);
        }
        size_t len = i % sizeof random;
        uint8_t *exact = br_alloc(len + 1);
        memcpy(exact, random, len);
        uint8_t *bytes = br_alloc(len == 0 ? 1 : len);
        memcpy(bytes, exact, len);
        if (br_row_decode((struct br_slice){bytes, len}, back, 0, 0, WIDE_COUNT, arena, false, NULL) == BR_OK) {
            br_buffer_clear(&buffer);
            br_row_encode(back, 0, NULL, WIDE_COUNT, &buffer);
            cr_assert(br_slice_equal(br_buffer_slice(&buffer), (struct br_slice){exact, len}), "%s",
                      hex((struct br_slice){exact, len}));
        }
        free(bytes);
        free(exact);
    }
}

// Columns 0, 3 and 7 of 8 go to 1, 2 and 8 of 9, as when columns that nobody reads come and go.
Test(row, columns_move_to_other_places) {
    static const uint32_t map[8] = {1, UINT32_MAX, UINT32_MAX, 2, UINT32_MAX, UINT32_MAX, UINT32_MAX, 8};
    enum br_type from[8], to[9];
    for (uint32_t c = 0; c < 9; c++)
        *(c < 8 ? &from[c] : &to[8]) = to[c] = BR_TEXT;
    for (unsigned present = 0; present < 8; present++) {
        struct br_batch *before = br_batch_create(arena, from, NULL, 8), *after = br_batch_create(arena, to, NULL, 9);
        struct br_buffer moved = {0}, want = {0};
        for (uint32_t c = 0, seen = 0; c < 8; c++) {
            if (map[c] == UINT32_MAX || (present >> seen++ & 1) == 0)
                continue;
            struct br_value value = parse(BR_TEXT, br_arena_printf(arena, "value %u", c));
            br_column_set(&before->columns[c], 0, &value);
            br_column_set(&after->columns[map[c]], 0, &value);
        }
        br_buffer_clear(&buffer);
        br_row_encode(before, 0, NULL, 8, &buffer);
        br_row_encode(after, 0, NULL, 9, &want);
        cr_assert(br_row_move_columns(br_buffer_slice(&buffer), map, 8, 9, &moved));
        cr_expect_str_eq(hex(br_buffer_slice(&moved)), hex(br_buffer_slice(&want)));
        br_buffer_free(&moved);
        br_buffer_free(&want);
    }
}

Test(row, columns_without_a_place_and_cut_rows_are_not_moved) {
    static const uint32_t gone[2] = {0, UINT32_MAX}, back[2] = {1, 0};
    struct br_buffer moved = {0};
    static const uint8_t both[] = {3, 1, 'a', 1, 'b'}, first[] = {1, 1, 'a'};
    cr_expect(!br_row_move_columns((struct br_slice){both, sizeof both}, gone, 2, 2, &moved), "it has a value");
    cr_expect(!br_row_move_columns((struct br_slice){both, sizeof both}, back, 2, 2, &moved),
              "values would change places");
    cr_expect(!br_row_move_columns((struct br_slice){both, 0}, gone, 2, 2, &moved));
    cr_expect(!br_row_move_columns((struct br_slice){both, 1}, gone, 1, 1, &moved), "a bit past the last column");
    br_buffer_clear(&moved);
    cr_expect(br_row_move_columns((struct br_slice){first, sizeof first}, gone, 2, 2, &moved));
    br_buffer_free(&moved);
}

Test(row, is_appended_to_another_batch) {
    struct br_batch *batch = wide_batch(), *copy = br_batch_create(arena, WIDE, NULL, WIDE_COUNT);
    memset(copy->columns[2].validity, 0xff, 8);
    br_batch_append_row(copy, batch, 1);
    br_batch_append_row(copy, batch, 0);
    cr_assert_eq(copy->row_count, 2);
    for (uint32_t r = 0; r < 2; r++)
        for (uint32_t c = 0; c < WIDE_COUNT; c++) {
            struct br_value want = br_column_get(&batch->columns[c], r), got = br_column_get(&copy->columns[c], 1 - r);
            cr_expect_str_eq(print(&got), print(&want));
        }
}

// --- keys
static const struct {
    enum br_type type;
    const char *texts[12]; // ascending
} ORDERED[] = {
    {BR_BOOLEAN, {"f", "t", NULL}},
    {BR_INTEGER, {"-2147483648", "-1", "0", "1", "2147483647", NULL}},
    {BR_BIGINT, {"-9223372036854775808", "-1", "0", "255", "256", "9223372036854775807", NULL}},
    {BR_NUMERIC, {"-1000.5", "-1.51", "-1.5", "-0.01", "0", "0.001", "1", "1.5", "10", "1e20", NULL}},
    {BR_DOUBLE, {"-Infinity", "-1.5", "0", "1e-300", "1.5", "Infinity", "NaN", NULL}},
    {BR_TEXT, {"", "A", "a", "a b", "ab", "b", "z", "ä", "€", NULL}},
    {BR_BYTEA, {"\\x", "\\x00", "\\x0000", "\\x0001", "\\x01", "\\xff", NULL}},
    {BR_TIMESTAMPTZ, {"1000-01-01 00:00:00+00", "1970-01-01 00:00:00+00", "2026-03-01 00:00:00+00", NULL}},
    {BR_DATE, {"1000-01-01", "1970-01-01", "2026-03-01", NULL}},
    {BR_INTERVAL, {"-1 mon", "-1 day", "0", "23:59:59", "1 day", "29 days", "1 mon", "1 mon 1 day", NULL}},
};
#define ORDERED_COUNT (sizeof ORDERED / sizeof ORDERED[0])

static uint32_t count_texts(const char *const *texts) {
    uint32_t count = 0;
    while (texts[count] != NULL)
        count++;
    return count + 1; // the NULL too, which sorts last
}

Test(row, keys_sort_as_the_values_do_with_null_last) {
    for (size_t i = 0; i < ORDERED_COUNT; i++) {
        uint32_t count = count_texts(ORDERED[i].texts), column = 0;
        struct br_batch *batch = column_of(ORDERED[i].type, ORDERED[i].texts, count);
        struct br_slice keys[16];
        br_batch_keys(batch, &column, 1, arena, keys);
        for (uint32_t r = 1; r < count; r++)
            cr_expect_lt(br_slice_compare(keys[r - 1], keys[r]), 0, "%s < %s", ORDERED[i].texts[r - 1],
                         ORDERED[i].texts[r] == NULL ? "NULL" : ORDERED[i].texts[r]);
    }
}

Test(row, keys_of_a_batch_are_those_of_its_values) {
    for (size_t i = 0; i < ORDERED_COUNT; i++) {
        uint32_t count = count_texts(ORDERED[i].texts), column = 0;
        // With the NULL row, and without any.
        for (uint32_t rows = count - 1; rows <= count; rows++) {
            struct br_batch *batch = column_of(ORDERED[i].type, ORDERED[i].texts, rows);
            if (rows < count)
                batch->columns[0].validity = NULL;
            struct br_slice keys[16];
            br_batch_keys(batch, &column, 1, arena, keys);
            for (uint32_t r = 0; r < rows; r++) {
                br_buffer_clear(&buffer);
                br_key_append_value(&buffer, &batch->columns[0], r);
                cr_expect_str_eq(hex(keys[r]), hex(br_buffer_slice(&buffer)));
            }
        }
    }
}

Test(row, keys_of_several_columns_are_theirs_one_after_the_other) {
    struct br_batch *batch = wide_batch();
    batch->columns[7].values = NULL; // pruned: a NULL
    uint32_t columns[WIDE_COUNT];
    struct br_slice keys[2];
    for (uint32_t c = 0; c < WIDE_COUNT; c++)
        columns[c] = WIDE_COUNT - 1 - c;
    br_batch_keys(batch, columns, WIDE_COUNT, arena, keys);
    for (uint32_t r = 0; r < 2; r++) {
        br_buffer_clear(&buffer);
        for (uint32_t c = 0; c < WIDE_COUNT; c++)
            br_key_append_value(&buffer, &batch->columns[columns[c]], r);
        cr_expect_str_eq(hex(keys[r]), hex(br_buffer_slice(&buffer)));
    }
}

Test(row, keys_of_no_column_are_empty) {
    struct br_batch *batch = wide_batch();
    struct br_slice keys[2] = {{NULL, 9}, {NULL, 9}};
    br_batch_keys(batch, NULL, 0, arena, keys);
    cr_expect_eq(keys[0].len, 0);
    cr_expect_eq(keys[1].len, 0);
}

Test(row, values_come_back_from_their_keys) {
    for (size_t i = 0; i < ORDERED_COUNT; i++) {
        uint32_t count = count_texts(ORDERED[i].texts);
        struct br_batch *batch = column_of(ORDERED[i].type, ORDERED[i].texts, count);
        for (uint32_t r = 0; r < count; r++) {
            br_buffer_clear(&buffer);
            br_key_append_value(&buffer, &batch->columns[0], r);
            struct br_value got, want = br_column_get(&batch->columns[0], r);
            cr_expect_eq(br_key_read_value(br_buffer_slice(&buffer), ORDERED[i].type, arena, &got), buffer.len);
            if (ORDERED[i].type == BR_INTERVAL && !want.is_null)
                want = parse(BR_INTERVAL, print(&want));
            if (ORDERED[i].type == BR_INTERVAL && !want.is_null) // months come back as days
                want.interval =
                    (struct br_interval){want.interval.us, want.interval.days + 30 * want.interval.months, 0};
            cr_expect_str_eq(print(&got), print(&want));
            for (size_t len = 0; len < buffer.len; len++) {
                struct br_slice cut = br_arena_copy(arena, (struct br_slice){buffer.ptr, len});
                cr_expect_eq(br_key_read_value(cut, ORDERED[i].type, arena, &got), 0);
            }
        }
    }
}

Test(row, keys_are_equal_for_equal_values) {
    static const char *const NUMERICS[] = {"1.5", "1.500"}, *const DOUBLES[] = {"0", "-0"},
                             *const INTERVALS[] = {"1 mon", "30 days"};
    static const struct {
        enum br_type type;
        const char *const *texts;
    } EQUAL[] = {{BR_NUMERIC, NUMERICS}, {BR_DOUBLE, DOUBLES}, {BR_INTERVAL, INTERVALS}};
    for (size_t i = 0; i < 3; i++) {
        struct br_slice keys[2];
        uint32_t column = 0;
        br_batch_keys(column_of(EQUAL[i].type, EQUAL[i].texts, 2), &column, 1, arena, keys);
        cr_expect(br_slice_equal(keys[0], keys[1]), "%s", EQUAL[i].texts[0]);
    }
}

Test(row, keys_take_the_largest_intervals) {
    enum br_type type = BR_INTERVAL;
    struct br_batch *batch = br_batch_create(arena, &type, NULL, 1);
    struct br_interval extremes[] = {{INT64_MIN, INT32_MIN, INT32_MIN}, {INT64_MAX, INT32_MAX, INT32_MAX}};
    batch->row_count = 2;
    memcpy(batch->columns[0].values, extremes, sizeof extremes);
    memset(batch->columns[0].validity, 0xff, 8);
    struct br_slice keys[2];
    uint32_t column = 0;
    br_batch_keys(batch, &column, 1, arena, keys);
    cr_expect_lt(br_slice_compare(keys[0], keys[1]), 0);
    for (uint32_t r = 0; r < 2; r++) {
        struct br_value back = {.type = BR_INTERVAL};
        cr_assert_eq(br_key_read_value(keys[r], BR_INTERVAL, arena, &back), keys[r].len);
        ((struct br_interval *)batch->columns[0].values)[r] = back.interval;
        br_buffer_clear(&buffer);
        br_key_append_value(&buffer, &batch->columns[0], r);
        cr_expect_str_eq(hex(br_buffer_slice(&buffer)), hex(keys[r]));
    }
}
