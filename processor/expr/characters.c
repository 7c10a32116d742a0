// SPDX-License-Identifier: Apache-2.0
// Characters of valid UTF-8: counting, finding, and case. Text is checked where it comes in (types.h), so nothing here
// looks for malformed bytes; it never reads past a text's end all the same.
#include "processor/expr/character_tables.h"
#include "processor/expr/expr_internal.h"

#define LOW_BITS UINT64_C(0x0101010101010101)
#define HIGH_BITS UINT64_C(0x8080808080808080)

// Bytes of the eight that begin a character: all but 10xxxxxx.
static inline unsigned begins_of(uint64_t eight) {
    uint64_t follows = eight >> 7 & ~(eight >> 6) & LOW_BITS;
    return 8 - (unsigned)(follows * LOW_BITS >> 56);
}

static inline uint64_t load_eight(const uint8_t *at) {
    uint64_t eight;
    memcpy(&eight, at, sizeof eight);
    return eight;
}

size_t br_char_count(struct br_slice text) {
    size_t count = 0, at = 0;
    for (; text.len - at >= 8; at += 8)
        count += begins_of(load_eight(text.ptr + at));
    for (; at < text.len; at++)
        count += (text.ptr[at] & 0xc0) != 0x80;
    return count;
}

size_t br_char_offset(struct br_slice text, size_t n) {
    size_t at = 0;
    // Eight bytes that begin at most n characters are passed whole; the last of them may end later.
    while (text.len - at >= 8) {
        unsigned begins = begins_of(load_eight(text.ptr + at));
        if (begins > n)
            break;
        n -= begins;
        at += 8;
    }
    while (at < text.len && (text.ptr[at] & 0xc0) == 0x80)
        at++;
    for (; n > 0 && at < text.len; n--)
        at += br_char_size(text.ptr[at]);
    return at < text.len ? at : text.len;
}

uint32_t br_char_decode(const uint8_t *at) {
    uint32_t b = at[0];
    if (b < 0x80)
        return b;
    if (b < 0xe0)
        return (b & 0x1f) << 6 | (at[1] & 0x3fu);
    if (b < 0xf0)
        return (b & 0x0f) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
    return (b & 0x07) << 18 | (at[1] & 0x3fu) << 12 | (at[2] & 0x3fu) << 6 | (at[3] & 0x3fu);
}

size_t br_char_encode(uint32_t code, uint8_t *at) {
    if (code < 0x80) {
        at[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        at[0] = (uint8_t)(0xc0 | code >> 6);
        at[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        at[0] = (uint8_t)(0xe0 | code >> 12);
        at[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        at[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    at[0] = (uint8_t)(0xf0 | code >> 18);
    at[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    at[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    at[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}

static uint32_t map_case(uint32_t code, const struct br_case_range *ranges, size_t count) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ranges[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == count || code < ranges[low].first || (code - ranges[low].first) % ranges[low].step != 0)
        return code;
    return (uint32_t)((int32_t)code + ranges[low].add);
}

uint32_t br_char_lower(uint32_t code) {
    if (code < 0x80)
        return code >= 'A' && code <= 'Z' ? code + 32 : code;
    return map_case(code, br_lower_ranges, br_lower_range_count);
}

uint32_t br_char_upper(uint32_t code) {
    if (code < 0x80)
        return code >= 'a' && code <= 'z' ? code - 32 : code;
    return map_case(code, br_upper_ranges, br_upper_range_count);
}

bool br_char_is_alphanumeric(uint32_t code) {
    if (code < 0x80)
        return (code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') || (code >= 'a' && code <= 'z');
    size_t low = 0, high = br_alphanumeric_range_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (br_alphanumeric_ranges[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < br_alphanumeric_range_count && code >= br_alphanumeric_ranges[low].first;
}

// ASCII eight bytes at a time: flips bit 5 of the letters from `first` on. Stops before a byte that isn't ASCII.
static size_t map_ascii(struct br_slice text, uint8_t first, uint8_t *to) {
    size_t at = 0;
    for (; text.len - at >= 8; at += 8) {
        uint64_t eight = load_eight(text.ptr + at);
        if ((eight & HIGH_BITS) != 0)
            break;
        // The high bit of each byte: is it >= first, is it > first + 25?
        uint64_t from = eight + (uint64_t)(0x80 - first) * LOW_BITS;
        uint64_t past = eight + (uint64_t)(0x80 - first - 26) * LOW_BITS;
        eight ^= (from & ~past & HIGH_BITS) >> 2;
        memcpy(to + at, &eight, sizeof eight);
    }
    for (; at < text.len && text.ptr[at] < 0x80; at++) {
        uint8_t byte = text.ptr[at];
        to[at] = byte >= first && byte < first + 26 ? byte ^ 0x20 : byte;
    }
    return at;
}

#define MAP_TEXT(name, first, map)                                                                                     \
    size_t name(struct br_slice text, uint8_t *to) {                                                                   \
        size_t at = map_ascii(text, first, to), len = at;                                                              \
        while (at < text.len) {                                                                                        \
            len += br_char_encode(map(br_char_decode(text.ptr + at)), to + len);                                       \
            at += br_char_size(text.ptr[at]);                                                                          \
        }                                                                                                              \
        return len;                                                                                                    \
    }
MAP_TEXT(br_text_lower, 'A', br_char_lower)
MAP_TEXT(br_text_upper, 'a', br_char_upper)
