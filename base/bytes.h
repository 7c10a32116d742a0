// SPDX-License-Identifier: Apache-2.0
// Borrowed slices, growing buffers, and the byte orders and varints that our formats use.
#ifndef BR_BASE_BYTES_H
#define BR_BASE_BYTES_H

#include "base/status.h"

#include <string.h>

// Borrowed bytes: no ownership, not NUL-terminated. len 0 may go with ptr NULL.
struct br_slice {
    const uint8_t *ptr;
    size_t len;
};

static inline struct br_slice br_slice_of(const char *text) {
    return (struct br_slice){(const uint8_t *)text, strlen(text)};
}
static inline bool br_slice_equal(struct br_slice a, struct br_slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
static inline bool br_slice_is(struct br_slice a, const char *text) {
    return br_slice_equal(a, br_slice_of(text));
}
// Bytewise order, a prefix before what it begins.
int br_slice_compare(struct br_slice a, struct br_slice b);

// An owned, growing run of bytes. Zero-initialise; br_buffer_free at the end. Clearing keeps the memory.
struct br_buffer {
    uint8_t *ptr;
    size_t len;
    size_t capacity;
};

void br_buffer_free(struct br_buffer *buffer);
void br_buffer_grow(struct br_buffer *buffer, size_t extra);
static inline void br_buffer_clear(struct br_buffer *buffer) {
    buffer->len = 0;
}
// Makes room for extra bytes past len and returns where they go; the caller then adds to len.
static inline uint8_t *br_buffer_reserve(struct br_buffer *buffer, size_t extra) {
    if (buffer->capacity - buffer->len < extra)
        br_buffer_grow(buffer, extra);
    return buffer->ptr + buffer->len;
}
static inline void br_buffer_append(struct br_buffer *buffer, const void *bytes, size_t len) {
    if (len == 0)
        return;
    memcpy(br_buffer_reserve(buffer, len), bytes, len);
    buffer->len += len;
}
static inline void br_buffer_append_slice(struct br_buffer *buffer, struct br_slice slice) {
    br_buffer_append(buffer, slice.ptr, slice.len);
}
static inline void br_buffer_append_byte(struct br_buffer *buffer, uint8_t byte) {
    *br_buffer_reserve(buffer, 1) = byte;
    buffer->len += 1;
}
void br_buffer_append_text(struct br_buffer *buffer, const char *text);
void br_buffer_printf(struct br_buffer *buffer, const char *format, ...) BR_PRINTF(2, 3);
static inline struct br_slice br_buffer_slice(const struct br_buffer *buffer) {
    return (struct br_slice){buffer->ptr, buffer->len};
}

// Protobuf (LEB128) varints. Writing returns the bytes written (1..10); reading returns the bytes read, or 0 when the
// run is cut short or longer than 10 bytes.
#define BR_VARINT_SIZE_MAX 10
static inline size_t br_varint_put(uint8_t *at, uint64_t value) {
    size_t n = 0;
    while (value >= 0x80) {
        at[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    at[n++] = (uint8_t)value;
    return n;
}
static inline size_t br_varint_size(uint64_t value) {
    return value == 0 ? 1 : (size_t)(70 - __builtin_clzll(value)) / 7;
}
static inline size_t br_varint_get(const uint8_t *at, const uint8_t *end, uint64_t *ret_value) {
    uint64_t value = 0;
    for (size_t n = 0; n < BR_VARINT_SIZE_MAX && at + n < end; n++) {
        value |= (uint64_t)(at[n] & 0x7f) << (7 * n);
        if (at[n] < 0x80) {
            *ret_value = value;
            return n + 1;
        }
    }
    return 0;
}
static inline void br_buffer_append_varint(struct br_buffer *buffer, uint64_t value) {
    buffer->len += br_varint_put(br_buffer_reserve(buffer, BR_VARINT_SIZE_MAX), value);
}
static inline uint64_t br_zigzag(int64_t value) {
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}
static inline int64_t br_unzigzag(uint64_t value) {
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

// Fixed-width, unaligned. "be" keeps the order of unsigned numbers under memcmp.
static inline void br_be64_put(uint8_t *at, uint64_t value) {
    uint64_t swapped = __builtin_bswap64(value);
    memcpy(at, &swapped, sizeof swapped);
}
static inline uint64_t br_be64_get(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap64(value);
}
static inline void br_be32_put(uint8_t *at, uint32_t value) {
    uint32_t swapped = __builtin_bswap32(value);
    memcpy(at, &swapped, sizeof swapped);
}
static inline uint32_t br_be32_get(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap32(value);
}

// Length of the valid UTF-8 prefix (no surrogates, no overlong forms, up to U+10FFFF, NUL refused as PostgreSQL does):
// equals slice.len when all of it is valid.
size_t br_utf8_valid_prefix(struct br_slice slice);

#endif
