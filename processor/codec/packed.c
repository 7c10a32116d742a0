// SPDX-License-Identifier: Apache-2.0
// Packed blocks: writing, checking, reading. The format: docs/formats/packed.md.
#include "processor/codec/encode.h"
#include "processor/codec/wire.h"

#include <xxhash.h>

#define MAGIC "BRP1"
#define MAGIC_SIZE 4
#define DIGEST_SIZE 8

static bool is_op(uint8_t op) {
    return op == 'U' || op == 'D' || op == 'I' || op == 'R';
}

void br_packed_begin(struct br_buffer *block, uint32_t view, uint32_t row_count) {
    br_buffer_append(block, MAGIC, MAGIC_SIZE);
    br_buffer_append_varint(block, view);
    br_buffer_append_varint(block, row_count);
}

void br_packed_add(struct br_buffer *block, char op, struct br_slice message) {
    BR_CHECK(is_op((uint8_t)op));
    br_buffer_append_byte(block, (uint8_t)op);
    br_buffer_append_varint(block, message.len);
    br_buffer_append_slice(block, message);
}

void br_packed_end(struct br_buffer *block, size_t begin) {
    BR_CHECK(begin <= block->len);
    uint64_t digest = XXH3_64bits(block->ptr + begin, block->len - begin);
    br_buffer_append(block, &digest, sizeof digest);
}

static enum br_status broken(struct br_error *error, size_t size, const char *why) {
    return br_error_set(error, BR_DATA, "a packed block of %zu bytes %s", size, why);
}

// The next row at the front of *rest; false when it isn't whole.
static bool take_row(struct br_slice *rest, char *ret_op, struct br_slice *ret_message) {
    const char *fault = NULL;
    if (rest->len == 0 || !is_op(rest->ptr[0]))
        return false;
    const uint8_t *end = rest->ptr + rest->len;
    const uint8_t *next = br_wire_length(rest->ptr + 1, end, ret_message, &fault);
    if (next == NULL)
        return false;
    *ret_op = (char)rest->ptr[0];
    *rest = (struct br_slice){next, (size_t)(end - next)};
    return true;
}

// Checks the whole block, so that br_packed_next has nothing left to refuse.
enum br_status br_packed_open(struct br_slice block, struct br_packed_reader *reader, struct br_error *error) {
    const char *fault = NULL;
    uint64_t digest, view = 0, count = 0;
    if (block.len < MAGIC_SIZE + 2 + DIGEST_SIZE || memcmp(block.ptr, MAGIC, MAGIC_SIZE) != 0)
        return broken(error, block.len, "doesn't begin with \"" MAGIC "\": it is something else, or cut short");
    const uint8_t *end = block.ptr + block.len - DIGEST_SIZE;
    memcpy(&digest, end, sizeof digest);
    if (digest != XXH3_64bits(block.ptr, block.len - DIGEST_SIZE))
        return broken(error, block.len, "doesn't match its digest: it was changed or cut on its way");
    const uint8_t *at = br_wire_varint(block.ptr + MAGIC_SIZE, end, &view, &fault);
    if (at != NULL)
        at = br_wire_varint(at, end, &count, &fault);
    if (at == NULL || view > UINT32_MAX || count > UINT32_MAX)
        return broken(error, block.len, "has a malformed head");
    struct br_slice rest = {at, (size_t)(end - at)}, row;
    char op;
    for (uint64_t i = 0; i < count; i++)
        if (!take_row(&rest, &op, &row))
            return broken(error, block.len, "has a malformed row");
    if (rest.len != 0)
        return broken(error, block.len, "has bytes after its last row");
    *reader = (struct br_packed_reader){
        .rest = {at, (size_t)(end - at)}, .view = (uint32_t)view, .rows_left = (uint32_t)count};
    return BR_OK;
}

bool br_packed_next(struct br_packed_reader *reader, char *ret_op, struct br_slice *ret_message) {
    if (reader->rows_left == 0)
        return false;
    reader->rows_left--;
    bool taken = take_row(&reader->rest, ret_op, ret_message);
    BR_CHECK(taken); // br_packed_open has been through it
    return true;
}
