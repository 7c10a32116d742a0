// SPDX-License-Identifier: Apache-2.0
// See bytes.h.
#include "base/bytes.h"

#include <stdio.h>

int br_slice_compare(struct br_slice a, struct br_slice b) {
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared == 0 ? 0 : memcmp(a.ptr, b.ptr, shared);
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

void br_buffer_free(struct br_buffer *buffer) {
    free(buffer->ptr);
    *buffer = (struct br_buffer){0};
}

void br_buffer_grow(struct br_buffer *buffer, size_t extra) {
    size_t wanted = buffer->len + extra;
    BR_CHECK(wanted >= buffer->len);
    size_t capacity = buffer->capacity < 64 ? 64 : buffer->capacity;
    while (capacity < wanted)
        capacity *= 2;
    buffer->ptr = br_realloc(buffer->ptr, capacity);
    buffer->capacity = capacity;
}

void br_buffer_append_text(struct br_buffer *buffer, const char *text) {
    br_buffer_append(buffer, text, strlen(text));
}

void br_buffer_printf(struct br_buffer *buffer, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    BR_CHECK(length >= 0);
    uint8_t *at = br_buffer_reserve(buffer, (size_t)length + 1);
    vsnprintf((char *)at, (size_t)length + 1, format, again);
    va_end(again);
    buffer->len += (size_t)length;
}

// The number of bytes of the well-formed character at `at`, 0 when there is none (Unicode 15, table 3-7).
static size_t character_length(const uint8_t *at, size_t left) {
    uint8_t b0 = at[0];
    if (b0 >= 0x01 && b0 <= 0x7f)
        return 1;
    if (b0 < 0xc2 || b0 > 0xf4)
        return 0;
    size_t length = b0 < 0xe0 ? 2 : b0 < 0xf0 ? 3 : 4;
    if (left < length)
        return 0;
    uint8_t low = b0 == 0xe0 ? 0xa0 : b0 == 0xf0 ? 0x90 : 0x80;
    uint8_t high = b0 == 0xed ? 0x9f : b0 == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

size_t br_utf8_valid_prefix(struct br_slice slice) {
    size_t at = 0;
    while (at < slice.len) {
        // Eight ASCII bytes at a time: no high bit set and no byte zero.
        while (slice.len - at >= 8) {
            uint64_t word;
            memcpy(&word, slice.ptr + at, sizeof word);
            uint64_t zero = (word - 0x0101010101010101u) & ~word & 0x8080808080808080u;
            if (((word & 0x8080808080808080u) | zero) != 0)
                break;
            at += 8;
        }
        if (at == slice.len)
            break;
        size_t length = character_length(slice.ptr + at, slice.len - at);
        if (length == 0)
            return at;
        at += length;
    }
    return at;
}
