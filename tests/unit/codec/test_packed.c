// SPDX-License-Identifier: Apache-2.0
#include "helpers.h"
#include "processor/codec/encode.h"

static struct br_error error;

static struct br_buffer block_of(const char *const *messages, const char *ops, uint32_t count) {
    struct br_buffer block = {0};
    br_buffer_append_text(&block, "before"); // a block may stand anywhere in a buffer
    size_t begin = block.len;
    br_packed_begin(&block, 300, count);
    for (uint32_t i = 0; i < count; i++)
        br_packed_add(&block, ops[i], br_slice_of(messages[i]));
    br_packed_end(&block, begin);
    memmove(block.ptr, block.ptr + begin, block.len - begin);
    block.len -= begin;
    return block;
}

Test(packed, rows_come_back_in_order) {
    static const char *const messages[] = {"one", "", "three"};
    struct br_buffer block = block_of(messages, "UDI", 3);
    struct br_packed_reader reader;
    cr_assert_eq(br_packed_open(br_buffer_slice(&block), &reader, &error), BR_OK, "%s", error.message);
    cr_assert_eq(reader.view, 300);
    cr_assert_eq(reader.rows_left, 3);
    char op;
    struct br_slice message;
    for (int i = 0; i < 3; i++) {
        cr_assert(br_packed_next(&reader, &op, &message));
        cr_assert_eq(op, "UDI"[i]);
        cr_assert(br_slice_is(message, messages[i]));
    }
    cr_assert_not(br_packed_next(&reader, &op, &message));
    br_buffer_free(&block);
}

Test(packed, an_empty_block_has_no_rows) {
    struct br_buffer block = block_of(NULL, "", 0);
    struct br_packed_reader reader;
    char op;
    struct br_slice message;
    cr_assert_eq(br_packed_open(br_buffer_slice(&block), &reader, &error), BR_OK);
    cr_assert_not(br_packed_next(&reader, &op, &message));
    br_buffer_free(&block);
}

Test(packed, the_documented_example_is_what_is_written) {
    struct br_buffer block = {0};
    br_packed_begin(&block, 0, 2);
    br_packed_add(&block, 'U',
                  (struct br_slice){(const uint8_t *)"\x0a\x02"
                                                     "eu\x10\x03",
                                    6});
    br_packed_add(&block, 'D', (struct br_slice){(const uint8_t *)"\x0a\x02us", 4});
    br_packed_end(&block, 0);
    static const uint8_t want[] = {0x42, 0x52, 0x50, 0x31, 0x00, 0x02, 0x55, 0x06, 0x0a, 0x02,
                                   0x65, 0x75, 0x10, 0x03, 0x44, 0x04, 0x0a, 0x02, 0x75, 0x73};
    cr_assert_eq(block.len, sizeof want + 8);
    cr_assert_arr_eq(block.ptr, want, sizeof want);
    static const uint8_t digest[] = {0xa3, 0x08, 0x84, 0x89, 0x5f, 0x97, 0x15, 0x90};
    cr_assert_arr_eq(block.ptr + sizeof want, digest, 8);
    br_buffer_free(&block);
}

Test(packed, a_block_that_was_cut_or_changed_is_refused) {
    static const char *const messages[] = {"one", "two"};
    struct br_buffer block = block_of(messages, "UR", 2);
    struct br_packed_reader reader;
    for (size_t length = 0; length < block.len; length++)
        cr_assert_eq(br_packed_open((struct br_slice){block.ptr, length}, &reader, &error), BR_DATA, "%zu", length);
    for (size_t i = 0; i < block.len; i++) {
        block.ptr[i] ^= 1;
        cr_assert_eq(br_packed_open(br_buffer_slice(&block), &reader, &error), BR_DATA, "%zu", i);
        block.ptr[i] ^= 1;
    }
    br_buffer_free(&block);
}

Test(packed, a_block_that_lies_under_a_right_digest_is_refused) {
    static const struct {
        const char *bytes;
        size_t length;
    } lies[] = {{"BRP1\x00\x01", 6},
                {"BRP1\x00\x01X\x00", 8},
                {"BRP1\x00\x01U\x05x", 9},
                {"BRP1\x00\x00U\x00", 8},
                {"BRP1\x80\x80", 6},
                {"BRP1\xff\xff\xff\xff\x1f\x00", 10},
                {"BRP1\x00\xff\xff\xff\xff\x0f", 10}};
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct br_buffer block = {0};
        struct br_packed_reader reader;
        br_buffer_append(&block, lies[i].bytes, lies[i].length);
        br_packed_end(&block, 0);
        cr_assert_eq(br_packed_open(br_buffer_slice(&block), &reader, &error), BR_DATA, "%zu", i);
        br_buffer_free(&block);
    }
}
