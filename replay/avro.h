// SPDX-License-Identifier: Apache-2.0
// Avro object container files (specification 1.11), as bytes: the header with its metadata, and blocks of codec
// "zstandard". No files here, and no schema but as text: segment.h knows what stands in ours.
//
// Each block is one zstd frame with its content size and its checksum (XXH64) in it: whoever decompresses it checks it.
// Bytes from outside are refused with BR_DATA, never trusted.
#ifndef BR_REPLAY_AVRO_H
#define BR_REPLAY_AVRO_H

#include "replay/columns.h"

#define BR_AVRO_SYNC_BYTES 16
#define BR_AVRO_HEADER_BYTES_MAX (16 << 10)
#define BR_AVRO_RECORD_BYTES_MAX ((size_t)256 << 20) // of a block, uncompressed
#define BR_AVRO_PREFIX_BYTES_MAX (2 * BR_VARINT_SIZE_MAX)

struct br_avro_entry {
    struct br_slice key, value;
};
struct br_avro_header {
    struct br_avro_entry *entries; // in the order of the file
    size_t count;
    uint8_t sync[BR_AVRO_SYNC_BYTES];
    size_t size; // of the header's bytes
};

void br_avro_put_header(const struct br_avro_entry *entries, size_t count, const uint8_t sync[BR_AVRO_SYNC_BYTES],
                        struct br_buffer *out);
// Keys and values point into bytes; the list is in the arena.
enum br_status br_avro_read_header(struct br_slice bytes, struct br_arena *arena, struct br_avro_header *ret_header,
                                   struct br_error *error) BR_MUST_CHECK;
// False when there is no such key.
bool br_avro_find(const struct br_avro_header *header, const char *key, struct br_slice *ret_value);

struct br_avro_codec;
struct br_avro_codec *br_avro_codec_create(void);
void br_avro_codec_destroy(struct br_avro_codec **codec);
// Appends a block of one object.
void br_avro_put_block(struct br_avro_codec *codec, struct br_slice record, const struct br_marks *marks,
                       const uint8_t sync[BR_AVRO_SYNC_BYTES], struct br_buffer *out);
// The two numbers that a block begins with. *ret_prefix: how many bytes they take; *ret_size: of the compressed data
// behind them, which the sync marker follows. `bytes` has BR_AVRO_PREFIX_BYTES_MAX bytes, or what is left of the file.
enum br_status br_avro_read_prefix(struct br_slice bytes, size_t *ret_prefix, uint64_t *ret_size,
                                   struct br_error *error) BR_MUST_CHECK;
// Decompresses a block's data (the sync marker checked by the caller) into `record`, which it replaces.
enum br_status br_avro_read_data(struct br_avro_codec *codec, struct br_slice data, struct br_buffer *record,
                                 struct br_error *error) BR_MUST_CHECK;

#endif
