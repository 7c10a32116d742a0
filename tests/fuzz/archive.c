// SPDX-License-Identifier: Apache-2.0
// Any bytes as a segment: refused in words, or taken whole.
//
// The first byte says what the rest is: a whole file; a block's record of columns (what a checksum would keep away from
// the decoder, the fuzzer must reach too); or a payload, which must come back byte for byte through columns.
#define _GNU_SOURCE // memfd_create
#include "replay/segment.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static void check_messages(const struct br_block *block) {
    size_t payload_bytes = 0;
    for (size_t i = 0; i < block->count; i++) {
        const struct br_log_message *message = &block->messages[i];
        BR_CHECK(message->sequence != 0 && (i == 0 || message->sequence > block->messages[i - 1].sequence));
        payload_bytes += message->payload.len;
        volatile uint8_t sink = 0;
        if (message->payload.len != 0)
            sink = message->payload.ptr[message->payload.len - 1];
        for (uint32_t h = 0; h < message->header_count; h++)
            if (message->headers[h].value.len != 0)
                sink = message->headers[h].value.ptr[message->headers[h].value.len - 1];
        (void)sink;
    }
    BR_CHECK(payload_bytes == block->payload_bytes);
}

static void read_file(struct br_slice bytes) {
    char path[64];
    struct br_segment_reader *reader = NULL;
    struct br_block block = {0};
    struct br_error error = {.message = ""};
    int fd = memfd_create("segment", 0);
    BR_CHECK(fd >= 0 && write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    enum br_status status = br_segment_open(path, &reader, &error);
    uint64_t messages = 0;
    for (bool found = true; status == BR_OK && found;) {
        status = br_segment_next(reader, &block, &found, &error);
        if (status == BR_OK && found) {
            check_messages(&block);
            messages += block.count;
        }
    }
    if (status == BR_OK)
        BR_CHECK(messages == br_segment_info(reader)->messages);
    else
        BR_CHECK(status == BR_DATA && strstr(error.message, path) != NULL);
    br_segment_close(&reader);
    br_block_free(&block);
    close(fd);
}

static void read_record(struct br_slice bytes) {
    struct br_block block = {0};
    struct br_error error;
    br_buffer_append_slice(&block.record, bytes);
    br_buffer_append_byte(&block.record, 0); // so that there is memory for none
    block.record.len--;
    if (br_block_decode(&block, &error) == BR_OK)
        check_messages(&block);
    else
        BR_CHECK(block.count == 0);
    br_block_free(&block);
}

// A second message with the first half of it: the same fields in another shape.
static void round_trip(struct br_slice payload) {
    for (int framed = 0; framed < 2; framed++) {
        struct br_block_builder *builder = br_block_builder_create(framed, NULL);
        struct br_marks marks = {0};
        struct br_block block = {0};
        struct br_error error;
        struct br_log_message messages[2] = {
            {.subject = br_slice_of("a"), .payload = payload, .sequence = 1},
            {.subject = br_slice_of("b"), .payload = {payload.ptr, payload.len / 2}, .sequence = 9}};
        for (int i = 0; i < 2; i++)
            br_block_builder_add(builder, &messages[i]);
        br_block_builder_finish(builder, &block.record, &marks);
        BR_CHECK(br_block_decode(&block, &error) == BR_OK && block.count == 2);
        for (int i = 0; i < 2; i++)
            BR_CHECK(br_slice_equal(block.messages[i].payload, messages[i].payload));
        br_block_free(&block);
        free(marks.offsets);
        br_block_builder_destroy(&builder);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct br_slice rest = {data + 1, size - 1};
    if (size == 0)
        return 0;
    if (data[0] == 'f')
        read_file(rest);
    else if (data[0] == 'r')
        read_record(rest);
    else
        round_trip(rest);
    return 0;
}
