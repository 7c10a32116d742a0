// SPDX-License-Identifier: Apache-2.0
// What the codec's tests share: the test descriptors, and little writers of wire bytes.
#ifndef BR_TESTS_CODEC_HELPERS_H
#define BR_TESTS_CODEC_HELPERS_H

#include "everything_set.h"
#include "processor/codec/descriptors.h"

#include <criterion/criterion.h>
#include <stdio.h>

static inline struct br_descriptors *everything(void) {
    struct br_error error = {0};
    struct br_descriptors *descriptors = br_descriptors_create();
    enum br_status status = br_descriptors_add_set(
        descriptors, (struct br_slice){everything_set, sizeof everything_set}, "everything.pb", &error);
    cr_assert_eq(status, BR_OK, "%s", error.message);
    return descriptors;
}
static inline void put_tag(struct br_buffer *out, uint32_t number, uint32_t wire) {
    br_buffer_append_varint(out, (uint64_t)number << 3 | wire);
}
static inline void put_varint(struct br_buffer *out, uint32_t number, uint64_t value) {
    put_tag(out, number, 0);
    br_buffer_append_varint(out, value);
}
static inline void put_bytes(struct br_buffer *out, uint32_t number, const void *bytes, size_t length) {
    put_tag(out, number, 2);
    br_buffer_append_varint(out, length);
    br_buffer_append(out, bytes, length);
}
static inline void put_text(struct br_buffer *out, uint32_t number, const char *text) {
    put_bytes(out, number, text, strlen(text));
}
static inline void put_message(struct br_buffer *out, uint32_t number, struct br_buffer *message) {
    put_bytes(out, number, message->ptr, message->len);
    br_buffer_free(message);
}
static inline void put_fixed64(struct br_buffer *out, uint32_t number, uint64_t value) {
    put_tag(out, number, 1);
    br_buffer_append(out, &value, 8);
}
static inline void put_fixed32(struct br_buffer *out, uint32_t number, uint32_t value) {
    put_tag(out, number, 5);
    br_buffer_append(out, &value, 4);
}
static inline void put_double(struct br_buffer *out, uint32_t number, double value) {
    uint64_t bits;
    memcpy(&bits, &value, 8);
    put_fixed64(out, number, bits);
}
#define cr_assert_contains(text, part) cr_assert_not_null(strstr((text), (part)), "\"%s\" lacks \"%s\"", (text), (part))

#endif
