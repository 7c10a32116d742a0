// SPDX-License-Identifier: Apache-2.0
// The compiled form of a decoder, shared by decoder_plan.c (makes it) and decode.c (runs it).
//
// D1. There is one level per message type on the way of a wanted path, and in it one action per field that the
//     descriptor knows. An action is found by the field's number: in a flat table up to TABLE_NUMBER_MAX, above it by
//     search. The action's tag says which wire type the field must have; tag 0 means that the field isn't known.
// D2. A slot is a wanted column. While a message is decoded each slot has a state: ABSENT, SEEN, or IMPLICIT (its
//     message is there, the field may be left out and then is zero). The states become validity bits at the end, so
//     that oneofs and repeated fields cost nothing until then.
// D3. Several columns may read one field: their actions are chained by `next`, each reads the value again.
#ifndef BR_PROCESSOR_CODEC_DECODE_INTERNAL_H
#define BR_PROCESSOR_CODEC_DECODE_INTERNAL_H

#include "processor/codec/codec_internal.h"
#include "processor/codec/decode.h"

#define TABLE_NUMBER_MAX 1023

enum decode_op {
    OP_SKIP_VARINT,
    OP_SKIP_FIXED64,
    OP_SKIP_FIXED32,
    OP_SKIP_BYTES,
    OP_SKIP_GROUP,
    OP_ENTER,       // sub-message: extra is its level
    OP_ENTER_GROUP, // likewise
    OP_TIMESTAMP,   // google.protobuf.Timestamp → timestamptz
    OP_DURATION,    // google.protobuf.Duration → interval
    OP_INT64,       // int64 → bigint
    OP_INT64_TIME,  // int64 µs → timestamptz
    OP_INT32,       // int32 → integer
    OP_BOOL,
    OP_DOUBLE,
    OP_TEXT,
    OP_BYTEA,
    OP_SCALAR, // any other number or enum kind to any type that fits
    OP_PARSE,  // string → numeric, timestamptz, date, interval
};
enum slot_state { SLOT_ABSENT, SLOT_SEEN, SLOT_IMPLICIT };

struct action {
    uint32_t tag;
    uint8_t op;
    uint8_t kind;   // enum br_wire_kind
    uint8_t type;   // enum br_type
    bool packable;  // an unread repeated number: the other of packed and one by one is fine too
    bool zero_text; // OP_PARSE: '' is zero (Decimal); else '' of an implicit field is NULL
    bool has_presence;
    uint16_t column, slot;
    uint16_t extra;       // level, or index of the enum + 1
    uint16_t next;        // D3: index into chained + 1; 0: none
    uint16_t clear_count; // slots of the other members of the oneof
    uint32_t clear_first; // index into clears
};
struct far_action {
    uint32_t number;
    struct action action;
};
struct level {
    const struct br_message_type *message;
    struct action *table;
    uint32_t table_size;
    struct far_action *far; // ascending by number
    uint32_t far_count;
    uint16_t *implicit; // slots that become IMPLICIT when the message is there
    uint32_t implicit_count;
};
struct slot {
    uint16_t column;
    uint8_t width;
    uint8_t zero[16]; // the value of an IMPLICIT slot
};
struct enum_names {
    const struct br_enum_type *type;
    struct br_slice *dense; // by number, for 0 … dense_count - 1; ptr NULL: no such number
    uint32_t dense_count;
};
struct br_decoder {
    struct br_arena *arena; // holds all of this
    struct level *levels;   // levels[0] is the message itself
    uint32_t level_count;
    struct slot *slots;
    uint32_t slot_count;
    uint8_t *initial; // slot states at the start of a message
    struct action *chained;
    uint32_t chained_count;
    uint16_t *clears;
    struct enum_names *enums;
    uint32_t enum_count;
    bool takes_any_time;
};

#endif
