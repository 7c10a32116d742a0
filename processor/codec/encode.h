// SPDX-License-Identifier: Apache-2.0
// Columns → protobuf wire bytes, JSON objects, packed blocks; and JSON objects → columns.
//
// Encoding is canonical: equal rows give equal bytes (fields by number, shortest varints, absent = NULL). Digests are
// taken over them. A field with implicit presence can't tell NULL from its type's zero: both are left out. An encoder
// is immutable: any number of threads may use it.
#ifndef BR_PROCESSOR_CODEC_ENCODE_H
#define BR_PROCESSOR_CODEC_ENCODE_H

#include "processor/codec/descriptors.h"
#include "processor/expr/batch.h"
#include "processor/sql/plan.h"

struct br_encoder;

// Column i goes to the field at paths[i] of message (dotted paths make sub-messages). Inverse of decoding: what
// br_field_fits allows.
enum br_status br_encoder_create(const struct br_message_type *message, const char *const *paths,
                                 const enum br_type *types, uint32_t column_count, struct br_encoder **ret_encoder,
                                 struct br_error *error) BR_MUST_CHECK;
void br_encoder_destroy(struct br_encoder **encoder);
// Appends the message. BR_DATA when a value doesn't fit its field (a bigint past int32, an unknown enum name, two
// members of a oneof); nothing is appended then.
enum br_status br_encoder_encode(const struct br_encoder *encoder, const struct br_batch *batch, uint32_t row,
                                 struct br_buffer *out, struct br_error *error) BR_MUST_CHECK;
// Only the given columns (a delete's key).
enum br_status br_encoder_encode_columns(const struct br_encoder *encoder, const struct br_batch *batch, uint32_t row,
                                         const uint32_t *columns, uint32_t count, struct br_buffer *out,
                                         struct br_error *error) BR_MUST_CHECK;

// {"name":value,…} of the given columns (NULL: all).
void br_json_encode_row(const struct br_row_type *row_type, const struct br_batch *batch, uint32_t row,
                        const uint32_t *columns, uint32_t count, struct br_buffer *out);
// One JSON object into row `row` (missing and null members are NULL; strings are read as the column's text form;
// numerics keep every digit; bytea is base64 or \x…; {"a":{"b":1}} is read as the member "a.b"; of two members of one
// name the last counts). BR_DATA: not an object, an unknown member (nearest name as hint), a value that doesn't
// fit.
enum br_status br_json_decode_row(const struct br_row_type *row_type, struct br_slice json, struct br_batch *batch,
                                  uint32_t row, struct br_arena *arena, struct br_error *error) BR_MUST_CHECK;

// Packed blocks (docs/formats/packed.md): one epoch's changes of one view as one run of bytes:
//   "BRP1", varint view index, varint row count, then per row: op byte ('U' upsert, 'D' delete, 'I' insert, 'R' remove
//   one of a multiset), varint length, message bytes; last 8 bytes XXH3-64 of all before, little-endian.
void br_packed_begin(struct br_buffer *block, uint32_t view, uint32_t row_count);
void br_packed_add(struct br_buffer *block, char op, struct br_slice message);
void br_packed_end(struct br_buffer *block, size_t begin); // begin: offset in the buffer at which the block starts
struct br_packed_reader {
    struct br_slice rest;
    uint32_t view, rows_left;
};
enum br_status br_packed_open(struct br_slice block, struct br_packed_reader *reader, struct br_error *error)
    BR_MUST_CHECK;
bool br_packed_next(struct br_packed_reader *reader, char *ret_op, struct br_slice *ret_message);

#endif
