// SPDX-License-Identifier: Apache-2.0
// Protobuf's wire format, for the codec's own files: fast bounded varints and the skipping of fields.
//
// Nothing here reads past `end`. Functions return the place after what they read, or NULL with *ret_fault set to a
// phrase that completes "field x …". Source of the format: protobuf.dev/programming-guides/encoding.
#ifndef BR_PROCESSOR_CODEC_WIRE_H
#define BR_PROCESSOR_CODEC_WIRE_H

#include "base/bytes.h"

enum br_wire_type {
    BR_WIRE_VARINT = 0,
    BR_WIRE_FIXED64 = 1,
    BR_WIRE_BYTES = 2,
    BR_WIRE_GROUP = 3,
    BR_WIRE_END_GROUP = 4,
    BR_WIRE_FIXED32 = 5,
};
#define BR_WIRE_NESTING_MAX 100
#define BR_WIRE_NUMBER_MAX ((1u << 29) - 1)
#define BR_WIRE_HIGH_BITS UINT64_C(0x8080808080808080)
#define BR_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define BR_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

// Gathers the 7-bit groups of up to eight bytes whose high bits are clear.
static inline uint64_t br_wire_gather(uint64_t word) {
    word = (word & UINT64_C(0x007f007f007f007f)) | (word & UINT64_C(0x7f007f007f007f00)) >> 1;
    word = (word & UINT64_C(0x00003fff00003fff)) | (word & UINT64_C(0x3fff00003fff0000)) >> 2;
    return (word & UINT64_C(0x000000000fffffff)) | (word & UINT64_C(0x0fffffff00000000)) >> 4;
}
const uint8_t *br_wire_varint_slow(const uint8_t *at, const uint8_t *end, uint64_t *ret_value, const char **ret_fault);

// One byte inline, two to eight without a branch per byte, the rest out of line.
static inline const uint8_t *br_wire_varint(const uint8_t *at, const uint8_t *end, uint64_t *ret_value,
                                            const char **ret_fault) {
    if (BR_LIKELY(at < end && *at < 0x80)) {
        *ret_value = *at;
        return at + 1;
    }
    if (BR_LIKELY(end - at >= 8)) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        uint64_t stops = ~word & BR_WIRE_HIGH_BITS;
        if (BR_LIKELY(stops != 0)) {
            unsigned stop = (unsigned)__builtin_ctzll(stops); // the high bit of the last byte: 15, 23, … 63
            *ret_value = br_wire_gather(word & (~UINT64_C(0) >> (63 - stop)) & ~BR_WIRE_HIGH_BITS);
            return at + (stop >> 3) + 1;
        }
    }
    return br_wire_varint_slow(at, end, ret_value, ret_fault);
}
static inline const uint8_t *br_wire_length(const uint8_t *at, const uint8_t *end, struct br_slice *ret_bytes,
                                            const char **ret_fault) {
    uint64_t length;
    at = br_wire_varint(at, end, &length, ret_fault);
    if (BR_UNLIKELY(at == NULL))
        return NULL;
    if (BR_UNLIKELY(length > (uint64_t)(end - at))) {
        *ret_fault = "has a length that reaches past the end";
        return NULL;
    }
    *ret_bytes = (struct br_slice){at, (size_t)length};
    return at + length;
}
static inline const uint8_t *br_wire_tag(const uint8_t *at, const uint8_t *end, uint32_t *ret_tag,
                                         const char **ret_fault) {
    uint64_t tag;
    at = br_wire_varint(at, end, &tag, ret_fault);
    if (BR_UNLIKELY(at == NULL))
        return NULL;
    if (BR_UNLIKELY(tag > UINT32_MAX || tag >> 3 == 0)) {
        *ret_fault = tag >> 3 == 0 ? "has number 0" : "has a number past 536870911";
        return NULL;
    }
    *ret_tag = (uint32_t)tag;
    return at;
}
// Skips the value of a field whose tag has been read; unknown groups are matched to their ends.
const uint8_t *br_wire_skip(const uint8_t *at, const uint8_t *end, uint32_t tag, const char **ret_fault);

// One field after the other of a message that is not on the hot path. number 0 at the end; false with *ret_fault when
// malformed.
struct br_wire_field {
    uint32_t number;
    enum br_wire_type wire;
    uint64_t value;        // VARINT, FIXED64, FIXED32
    struct br_slice bytes; // BYTES; empty for groups, which are skipped
};
bool br_wire_next(struct br_slice *rest, struct br_wire_field *ret_field, const char **ret_fault);

#endif
