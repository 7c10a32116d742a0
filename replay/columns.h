// SPDX-License-Identifier: Apache-2.0
// A run of messages as columns, and back: what one block of a segment holds before it is compressed.
//
// Equal things stand together: sequences, times, subjects, and of the payloads each protobuf field by itself. That is
// what makes an archive small. The rule of the way back is: the very same bytes, whatever they are. A payload that is
// no protobuf, or isn't written the canonical way, is kept whole. docs/formats/archive.md says what the bytes mean.
//
// A builder and a block belong to one thread. Messages of a block are borrowed from it until it is filled again.
#ifndef BR_REPLAY_COLUMNS_H
#define BR_REPLAY_COLUMNS_H

#include "base/arena.h"
#include "processor/codec/descriptors.h"
#include "processor/log/log.h"

// Where columns end in a record: the compressor begins anew there, as each has its own statistics.
struct br_marks {
    size_t *offsets;
    size_t count, capacity;
};

struct br_block_builder;
// framed: payloads are runs of length-prefixed messages (layout 'delimited'). message: which fields are messages
// themselves, to take them apart too; may be NULL. Both only decide how small the result is.
struct br_block_builder *br_block_builder_create(bool framed, const struct br_message_type *message);
void br_block_builder_destroy(struct br_block_builder **builder);
// Copies the message in. Sequences ascend within a block.
void br_block_builder_add(struct br_block_builder *builder, const struct br_log_message *message);
size_t br_block_builder_count(const struct br_block_builder *builder);
size_t br_block_builder_payload_bytes(const struct br_block_builder *builder);
size_t br_block_builder_bytes(const struct br_block_builder *builder); // of the columns so far, about
// Appends the record of all that was added to `record`, with its marks, and begins anew.
void br_block_builder_finish(struct br_block_builder *builder, struct br_buffer *record, struct br_marks *marks);

// Zero-initialise; br_block_free at the end. Filling it again keeps its memory: no malloc per message.
struct br_block {
    struct br_log_message *messages;
    size_t count;
    size_t payload_bytes;
    // its memory
    struct br_buffer record, payload;
    size_t capacity;
    struct br_arena *arena;
};
// Fills the block from block->record. BR_DATA when that isn't a whole and consistent record.
enum br_status br_block_decode(struct br_block *block, struct br_error *error) BR_MUST_CHECK;
void br_block_free(struct br_block *block);

#endif
