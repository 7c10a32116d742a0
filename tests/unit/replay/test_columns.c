// SPDX-License-Identifier: Apache-2.0
#include "replay/columns.h"

#include "tests/bench/nexmark.h"

#include <criterion/criterion.h>

#define START_US INT64_C(1767225600000000)

static struct br_log_message message(uint64_t sequence, const char *subject, struct br_slice payload) {
    return (struct br_log_message){.subject = br_slice_of(subject),
                                   .payload = payload,
                                   .sequence = sequence,
                                   .timestamp = {START_US + (int64_t)sequence * 1000}};
}

static void check_same(const struct br_log_message *got, const struct br_log_message *wanted) {
    cr_assert_eq(got->sequence, wanted->sequence);
    cr_assert_eq(got->timestamp.us, wanted->timestamp.us);
    cr_assert(br_slice_equal(got->subject, wanted->subject));
    cr_assert(br_slice_equal(got->payload, wanted->payload), "payload of %lu", (unsigned long)wanted->sequence);
    cr_assert_eq(got->header_count, wanted->header_count);
    for (uint32_t i = 0; i < wanted->header_count; i++) {
        cr_assert(br_slice_equal(got->headers[i].name, wanted->headers[i].name));
        cr_assert(br_slice_equal(got->headers[i].value, wanted->headers[i].value));
    }
}

// There and back, with both layouts.
static void round_trip(const struct br_log_message *messages, size_t count) {
    for (int framed = 0; framed < 2; framed++) {
        struct br_block_builder *builder = br_block_builder_create(framed, NULL);
        struct br_marks marks = {0};
        struct br_block block = {0};
        struct br_error error;
        for (int again = 0; again < 2; again++) { // a builder is used again
            for (size_t i = 0; i < count; i++)
                br_block_builder_add(builder, &messages[i]);
            cr_assert_eq(br_block_builder_count(builder), count);
            br_buffer_clear(&block.record);
            marks.count = 0;
            br_block_builder_finish(builder, &block.record, &marks);
            cr_assert_eq(br_block_decode(&block, &error), BR_OK, "%s", error.message);
            cr_assert_eq(block.count, count);
            for (size_t i = 0; i < count; i++)
                check_same(&block.messages[i], &messages[i]);
        }
        free(marks.offsets);
        br_block_free(&block);
        br_block_builder_destroy(&builder);
    }
}

Test(columns, payloads_come_back_byte_for_byte) {
    static const struct br_slice payloads[] = {
        {(const uint8_t *)"", 0},
        {(const uint8_t *)"no protobuf at all", 18},
        {(const uint8_t *)"\x08\x01", 2},
        {(const uint8_t *)"\x08\x81\x00", 3}, // a varint longer than it need be
        {(const uint8_t *)"\x88\x00\x01", 3}, // a tag longer than it need be
        {(const uint8_t *)"\x12\x03"
                          "abc"
                          "\x08\x05",
         7},
        {(const uint8_t *)"\x12\x83\x00"
                          "abc",
         6}, // a length longer than it need be
        {(const uint8_t *)"\x12\x04"
                          "abc",
         5}, // cut short
        {(const uint8_t *)"\x0d\x01\x02\x03\x04\x11\x01\x02\x03\x04\x05\x06\x07\x08", 14},
        {(const uint8_t *)"\x0b\x08\x01\x0c", 4}, // a group
        {(const uint8_t *)"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},
        {(const uint8_t *)"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11}, // 70 bits
        {(const uint8_t *)"\x00\x01", 2},                                      // field 0
        {(const uint8_t *)"\x02\x08\x01\x02\x08\x02", 6},                      // framed
        {(const uint8_t *)"\x02\x08\x01\x00\x02\x08\x02", 7},                  // framed, one of them empty
        {(const uint8_t *)"\x02\x08\x01\x09\x08\x02", 6},                      // framed, cut short
    };
    struct br_log_message messages[sizeof payloads / sizeof payloads[0]];
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++)
        messages[i] = message(i * i + 3, "a.b", payloads[i]);
    round_trip(messages, sizeof payloads / sizeof payloads[0]);
}

Test(columns, headers_keep_their_order_and_repetition) {
    struct br_log_header headers[] = {{br_slice_of("A"), br_slice_of("1")},
                                      {br_slice_of("b"), br_slice_of("")},
                                      {br_slice_of("A"), br_slice_of("2")}};
    struct br_log_message messages[3];
    for (uint64_t i = 0; i < 3; i++) {
        messages[i] = message(i + 1, i == 1 ? "x" : "y", br_slice_of("p"));
        messages[i].headers = headers;
        messages[i].header_count = (uint32_t)(i == 0 ? 0 : i + 1);
    }
    messages[2].timestamp.us = -5; // before 1970, and going back
    round_trip(messages, 3);
}

Test(columns, more_shapes_than_a_block_can_name_are_kept_whole) {
    struct br_log_message messages[600];
    uint8_t bytes[600][4];
    for (uint64_t i = 0; i < 600; i++) {
        size_t size = br_varint_put(bytes[i], (i + 1) << 3);
        bytes[i][size] = (uint8_t)(i & 0x7f);
        messages[i] = message(i + 1, "s", (struct br_slice){bytes[i], size + 1});
    }
    round_trip(messages, 600);
}

Test(columns, random_bytes_and_random_protobufs_come_back) {
    uint64_t state = 7;
    struct br_log_message messages[400];
    static uint8_t bytes[400][64];
    for (size_t i = 0; i < 400; i++) {
        size_t len = 0, fields = (state >> 33) % 5;
        for (size_t f = 0; f < fields; f++) {
            state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
            bytes[i][len++] = (uint8_t)((1 + (state >> 40) % 3) << 3 | (state >> 50) % 3);
            bytes[i][len++] = (uint8_t)((state >> 55) % 9);
            for (size_t k = 0; k < 6; k++)
                bytes[i][len++] = (uint8_t)(state >> k * 8);
        }
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        messages[i] = message(i + 1, "s", (struct br_slice){bytes[i], len});
    }
    round_trip(messages, 400);
}

Test(columns, nested_messages_are_taken_apart_by_their_type) {
    struct br_descriptors *descriptors = br_descriptors_create();
    struct br_error error;
    const char *names[] = {"id", "at", "name"};
    enum br_type types[] = {BR_BIGINT, BR_TIMESTAMPTZ, BR_TEXT};
    const struct br_message_type *type;
    cr_assert_eq(br_descriptors_derive(descriptors, "t.T", names, types, 3, NULL, &type, &error), BR_OK);
    struct br_block_builder *builder = br_block_builder_create(false, type);
    // at: {1: 100, 2: 7}; then one that is no message; then one of more than 127 bytes (an unknown field in it)
    uint8_t large[160] = {0x12, 0x9b, 0x01, 0x1a, 0x98, 0x01};
    struct br_log_message messages[] = {
        message(1, "s", (struct br_slice){(const uint8_t *)"\x08\x01\x12\x04\x08\x64\x10\x07", 8}),
        message(2, "s", (struct br_slice){(const uint8_t *)"\x08\x01\x12\x02\x08\x80", 6}),
        message(3, "s", (struct br_slice){large, 158}),
        message(4, "s", (struct br_slice){(const uint8_t *)"\x08\x01\x12\x00", 4}),
    };
    for (size_t i = 0; i < 4; i++)
        br_block_builder_add(builder, &messages[i]);
    struct br_marks marks = {0};
    struct br_block block = {0};
    br_block_builder_finish(builder, &block.record, &marks);
    cr_assert_eq(br_block_decode(&block, &error), BR_OK);
    for (size_t i = 0; i < 4; i++)
        check_same(&block.messages[i], &messages[i]);
    br_block_free(&block);
    free(marks.offsets);
    br_block_builder_destroy(&builder);
    br_descriptors_destroy(&descriptors);
}

Test(columns, nexmark_events_come_back) {
    struct br_nexmark_options options = {.seed = 3, .start_us = START_US};
    struct br_nexmark_events events;
    br_nexmark_generate(&options, 0, 2000, 7, &events);
    struct br_log_message *messages = br_calloc(events.event_count, sizeof *messages);
    for (size_t i = 0; i < events.event_count; i++)
        messages[i] = message(i + 1, "nexmark.events", br_nexmark_payload(&events, i));
    round_trip(messages, events.event_count);
    free(messages);
    br_nexmark_events_free(&events);
}

Test(columns, a_record_cut_short_anywhere_is_refused) {
    struct br_log_message one = message(5, "s", (struct br_slice){(const uint8_t *)"\x08\x01\x12\x01z", 5});
    struct br_block_builder *builder = br_block_builder_create(false, NULL);
    struct br_marks marks = {0};
    struct br_block block = {0};
    struct br_error error;
    br_block_builder_add(builder, &one);
    br_block_builder_finish(builder, &block.record, &marks);
    for (size_t whole = block.record.len; block.record.len-- > 0;)
        cr_assert_eq(br_block_decode(&block, &error), BR_DATA, "%zu of %zu", block.record.len, whole);
    block.record.len = 0;
    br_block_free(&block);
    free(marks.offsets);
    br_block_builder_destroy(&builder);
}
