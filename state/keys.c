// SPDX-License-Identifier: Apache-2.0
// See keys.h. Each component is written with one reserve, so that encoding a key of fixed-width components costs one
// capacity check per component. Reading refuses what writing never gives (a bool of 2, -0, a NaN with payload), so
// that one value has one key.
#include "state/keys.h"

#define SIGN32 UINT32_C(0x80000000)
#define SIGN64 UINT64_C(0x8000000000000000)
#define NAN_BITS UINT64_C(0x7ff8000000000000)
#define INFINITY_BITS UINT64_C(0x7ff0000000000000)

enum {
    ESCAPE = 0x00,       // begins the two pairs below
    ESCAPED_ZERO = 0xff, // a zero byte of the value
    ESCAPED_END = 0x01,  // the end: sorts before every longer value
};

void br_key_append_null(struct br_buffer *key) {
    br_buffer_append_byte(key, BR_KEY_NULL);
}

void br_key_append_bool(struct br_buffer *key, bool value) {
    uint8_t *at = br_buffer_reserve(key, 2);
    at[0] = BR_KEY_VALUE;
    at[1] = value;
    key->len += 2;
}

void br_key_append_int32(struct br_buffer *key, int32_t value) {
    uint8_t *at = br_buffer_reserve(key, 5);
    at[0] = BR_KEY_VALUE;
    br_be32_put(at + 1, (uint32_t)value ^ SIGN32);
    key->len += 5;
}

static void append_word(struct br_buffer *key, uint64_t ordered) {
    uint8_t *at = br_buffer_reserve(key, 9);
    at[0] = BR_KEY_VALUE;
    br_be64_put(at + 1, ordered);
    key->len += 9;
}

void br_key_append_int64(struct br_buffer *key, int64_t value) {
    append_word(key, (uint64_t)value ^ SIGN64);
}

void br_key_append_double(struct br_buffer *key, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (bits == SIGN64)
        bits = 0;
    else if ((bits & ~SIGN64) > INFINITY_BITS)
        bits = NAN_BITS;
    append_word(key, (bits & SIGN64) != 0 ? ~bits : bits ^ SIGN64);
}

void br_key_append_bytes(struct br_buffer *key, struct br_slice value) {
    const uint8_t *from = value.ptr;
    size_t left = value.len;
    br_buffer_append_byte(key, BR_KEY_VALUE);
    while (left != 0) {
        const uint8_t *zero = memchr(from, 0, left);
        size_t run = zero == NULL ? left : (size_t)(zero - from);
        uint8_t *at = br_buffer_reserve(key, run + 2);
        memcpy(at, from, run);
        key->len += run;
        if (zero == NULL)
            break;
        at[run] = ESCAPE;
        at[run + 1] = ESCAPED_ZERO;
        key->len += 2;
        from += run + 1;
        left -= run + 1;
    }
    uint8_t *at = br_buffer_reserve(key, 2);
    at[0] = ESCAPE;
    at[1] = ESCAPED_END;
    key->len += 2;
}

size_t br_key_read_bool(struct br_slice key, bool *ret_value) {
    if (key.len < 2 || key.ptr[0] != BR_KEY_VALUE || key.ptr[1] > 1)
        return 0;
    *ret_value = key.ptr[1] == 1;
    return 2;
}

size_t br_key_read_int32(struct br_slice key, int32_t *ret_value) {
    if (key.len < 5 || key.ptr[0] != BR_KEY_VALUE)
        return 0;
    *ret_value = (int32_t)(br_be32_get(key.ptr + 1) ^ SIGN32);
    return 5;
}

size_t br_key_read_int64(struct br_slice key, int64_t *ret_value) {
    if (key.len < 9 || key.ptr[0] != BR_KEY_VALUE)
        return 0;
    *ret_value = (int64_t)(br_be64_get(key.ptr + 1) ^ SIGN64);
    return 9;
}

size_t br_key_read_double(struct br_slice key, double *ret_value) {
    if (key.len < 9 || key.ptr[0] != BR_KEY_VALUE)
        return 0;
    uint64_t ordered = br_be64_get(key.ptr + 1);
    uint64_t bits = (ordered & SIGN64) != 0 ? ordered ^ SIGN64 : ~ordered;
    if (bits == SIGN64 || ((bits & ~SIGN64) > INFINITY_BITS && bits != NAN_BITS))
        return 0;
    memcpy(ret_value, &bits, sizeof bits);
    return 9;
}

size_t br_key_read_bytes(struct br_slice key, struct br_buffer *out) {
    if (key.len < 3 || key.ptr[0] != BR_KEY_VALUE)
        return 0;
    size_t begin = out->len;
    size_t at = 1;
    for (;;) {
        const uint8_t *escape = memchr(key.ptr + at, ESCAPE, key.len - at);
        if (escape == NULL || escape + 1 == key.ptr + key.len)
            break;
        br_buffer_append(out, key.ptr + at, (size_t)(escape - (key.ptr + at)));
        at = (size_t)(escape - key.ptr) + 2;
        if (escape[1] == ESCAPED_END)
            return at;
        if (escape[1] != ESCAPED_ZERO || at == key.len)
            break;
        br_buffer_append_byte(out, 0);
    }
    out->len = begin; // cut short or malformed: nothing was read
    return 0;
}

bool br_key_prefix_end(struct br_slice prefix, struct br_buffer *out) {
    size_t len = prefix.len;
    while (len != 0 && prefix.ptr[len - 1] == 0xff)
        len--;
    if (len == 0)
        return false;
    br_buffer_append(out, prefix.ptr, len);
    out->ptr[out->len - 1] += 1;
    return true;
}
