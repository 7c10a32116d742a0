// SPDX-License-Identifier: Apache-2.0
// Protobuf wire bytes → columns, driven by the descriptor and by which columns are wanted; unneeded fields are skipped.
//
// Decoding never trusts its input: varints, lengths and nesting are bounded, UTF-8 is checked where a text column is
// made. A message is bad (BR_DATA, with the byte offset and the field's name) when it is cut short, has a field of the
// wrong wire type, a length past its end, an end-group out of place, nesting deeper than 100, field number 0, text that
// isn't UTF-8, or a value that doesn't fit its column (range, decimal syntax, Timestamp nanos). Unknown fields are
// skipped. The last of several occurrences of a scalar wins, sub-messages merge, a later oneof member clears the
// others.
//
// Wire types are checked of every field that the descriptor knows, wanted or not; text only where a column is made of
// it. A string that is read as another type: '' of a field with implicit presence is NULL, as if left out. Enum numbers
// that the descriptor doesn't know are their decimal text. proto2's defaults are not filled in: left out is NULL.
// Several columns may read one field. A decoder is immutable: any number of threads may use it.
#ifndef BR_PROCESSOR_CODEC_DECODE_H
#define BR_PROCESSOR_CODEC_DECODE_H

#include "processor/codec/descriptors.h"
#include "processor/expr/batch.h"

struct br_decoder;

// A compiled plan: columns i of the batch comes from the field at paths[i]; wanted[i] false (wanted may be NULL): left
// alone.
enum br_status br_decoder_create(const struct br_message_type *message, const char *const *paths,
                                 const enum br_type *types, const bool *wanted, uint32_t column_count,
                                 struct br_decoder **ret_decoder, struct br_error *error) BR_MUST_CHECK;
// Before it is used: texts may tell times beyond the years that a column holds, as the first build let them.
void br_decoder_take_any_time(struct br_decoder *decoder);
void br_decoder_destroy(struct br_decoder **decoder);
// Decodes one message into row `row` of a batch made by br_batch_create for these columns. Text points into bytes or
// the arena. On BR_DATA the row's content is undefined and may be used again.
enum br_status br_decoder_decode(const struct br_decoder *decoder, struct br_slice bytes, struct br_batch *batch,
                                 uint32_t row, struct br_arena *arena, struct br_error *error) BR_MUST_CHECK;
// The next length-prefixed message of a delimited payload: advances *rest. False at the end; BR_DATA through
// *ret_status when the prefix is bad.
bool br_delimited_next(struct br_slice *rest, struct br_slice *ret_message, enum br_status *ret_status,
                       struct br_error *error);

#endif
