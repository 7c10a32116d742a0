// SPDX-License-Identifier: Apache-2.0
// The compiled form of an encoder, shared by encoder_plan.c (makes it) and encode.c (runs it).
//
// C1. The steps are the fields of the message tree in the order of their numbers: OPEN and CLOSE around a sub-message,
//     one step per column between them. Running them once writes the canonical bytes.
// C2. A column that is NULL writes nothing; a sub-message all of whose columns are NULL is taken back at its CLOSE. A
//     zero of a field with implicit presence writes nothing but makes its sub-message present.
// C3. fixed_bound is at least the bytes of all steps together but for texts and byteas, which make room for
//     themselves and for fixed_bound after them.
#ifndef BR_PROCESSOR_CODEC_ENCODE_INTERNAL_H
#define BR_PROCESSOR_CODEC_ENCODE_INTERNAL_H

#include "processor/codec/codec_internal.h"
#include "processor/codec/encode.h"

#define STEP_TAG_SIZE_MAX 5
#define STEP_LENGTH_SIZE_MAX 5

enum encode_op {
    PUT_OPEN,
    PUT_CLOSE,
    PUT_OPEN_GROUP,
    PUT_CLOSE_GROUP,
    PUT_INT64, // bigint → int64; timestamptz → int64 µs
    PUT_INT32, // integer → int32; date → int32 days
    PUT_BOOL,
    PUT_DOUBLE,    // double → double
    PUT_BYTES,     // text → string, bytea → bytes
    PUT_TIMESTAMP, // timestamptz → Timestamp
    PUT_DURATION,  // interval → Duration
    PUT_PRINTED,   // numeric, timestamptz, date, interval → string
    PUT_SCALAR,    // any other number or enum
};
struct step {
    uint8_t op;
    uint8_t tag_size;
    uint8_t tag[STEP_TAG_SIZE_MAX + 1];
    uint16_t column;
    uint8_t kind; // enum br_wire_kind
    uint8_t type; // enum br_type
    bool implicit;
    uint8_t oneof; // 0: none; else bit + 1 among the oneofs of the level that have several columns
    const struct br_message_field *field;
    const char *path;
};
struct br_encoder {
    struct br_arena *arena; // holds all of this
    const struct br_message_type *message;
    struct step *steps;
    uint32_t step_count;
    uint32_t column_count;
    size_t fixed_bound; // bytes
};

#endif
