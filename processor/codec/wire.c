// SPDX-License-Identifier: Apache-2.0
// See wire.h.
#include "processor/codec/wire.h"

const uint8_t *br_wire_varint_slow(const uint8_t *at, const uint8_t *end, uint64_t *ret_value, const char **ret_fault) {
    size_t length = br_varint_get(at, end, ret_value);
    if (length == 0) {
        *ret_fault = end - at < BR_VARINT_SIZE_MAX ? "is cut short" : "has a varint of more than 10 bytes";
        return NULL;
    }
    return at + length;
}

static const uint8_t *skip_group(const uint8_t *at, const uint8_t *end, uint32_t number, const char **ret_fault) {
    uint32_t open[BR_WIRE_NESTING_MAX];
    uint32_t depth = 0;
    open[depth++] = number;
    while (depth > 0) {
        uint32_t tag;
        if (at == end) {
            *ret_fault = "is a group without end";
            return NULL;
        }
        at = br_wire_tag(at, end, &tag, ret_fault);
        if (at == NULL)
            return NULL;
        if ((tag & 7) == BR_WIRE_END_GROUP) {
            if (tag >> 3 != open[--depth]) {
                *ret_fault = "has an end-group out of place";
                return NULL;
            }
        } else if ((tag & 7) == BR_WIRE_GROUP) {
            if (depth == BR_WIRE_NESTING_MAX) {
                *ret_fault = "is nested deeper than 100";
                return NULL;
            }
            open[depth++] = tag >> 3;
        } else {
            at = br_wire_skip(at, end, tag, ret_fault);
            if (at == NULL)
                return NULL;
        }
    }
    return at;
}

const uint8_t *br_wire_skip(const uint8_t *at, const uint8_t *end, uint32_t tag, const char **ret_fault) {
    uint64_t value;
    struct br_slice bytes;
    size_t width = 8;
    switch (tag & 7) {
    case BR_WIRE_VARINT:
        return br_wire_varint(at, end, &value, ret_fault);
    case BR_WIRE_BYTES:
        return br_wire_length(at, end, &bytes, ret_fault);
    case BR_WIRE_GROUP:
        return skip_group(at, end, tag >> 3, ret_fault);
    case BR_WIRE_FIXED32:
        width = 4; // fall through
    case BR_WIRE_FIXED64:
        if ((size_t)(end - at) < width) {
            *ret_fault = "is cut short";
            return NULL;
        }
        return at + width;
    case BR_WIRE_END_GROUP:
        *ret_fault = "has an end-group out of place";
        return NULL;
    default:
        *ret_fault = "has a wire type that does not exist";
        return NULL;
    }
}

bool br_wire_next(struct br_slice *rest, struct br_wire_field *ret_field, const char **ret_fault) {
    *ret_field = (struct br_wire_field){0};
    if (rest->len == 0)
        return true;
    const uint8_t *at = rest->ptr, *end = rest->ptr + rest->len;
    uint32_t tag;
    at = br_wire_tag(at, end, &tag, ret_fault);
    if (at == NULL)
        return false;
    const uint8_t *value = at;
    at = br_wire_skip(at, end, tag, ret_fault);
    if (at == NULL)
        return false;
    *rest = (struct br_slice){at, (size_t)(end - at)};
    ret_field->number = tag >> 3;
    ret_field->wire = tag & 7;
    switch (ret_field->wire) {
    case BR_WIRE_VARINT:
        br_wire_varint(value, end, &ret_field->value, ret_fault);
        break;
    case BR_WIRE_BYTES:
        br_wire_length(value, end, &ret_field->bytes, ret_fault);
        break;
    case BR_WIRE_FIXED64:
        memcpy(&ret_field->value, value, 8);
        break;
    case BR_WIRE_FIXED32:
        memcpy(&ret_field->value, value, 4);
        break;
    default:
        break;
    }
    return true;
}
