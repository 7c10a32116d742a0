// SPDX-License-Identifier: Apache-2.0
// A segment: one immutable file of messages in the order of their sequences. docs/formats/archive.md.
//
// S1. A segment is written under another name (".new-…"), synced, and renamed to "<from>-<to>.avro"; then its folder is
//     synced. What bears that name is whole and durable; anything else in the folder is what a crash has left.
//
// S2. It says which sequences it covers, from … to: all messages of its table in that range, and no others. The ranges
//     of an archive follow each other without a gap; what lies in a range and isn't there belongs to others, or was
//     never there.
//
// S3. Nothing is trusted that wasn't checked: the header has a checksum, every block has one (zstd's), the body as a
//     whole has one, and sequences, times and counts must be what the header says.
//
// Thread: one at a time per writer and reader.
#ifndef BR_REPLAY_SEGMENT_H
#define BR_REPLAY_SEGMENT_H

#include "replay/avro.h"

#define BR_SEGMENT_NAME_SIZE 64
#define BR_SEGMENT_TEXT_SIZE 256

enum br_segment_kind {
    BR_SEGMENT_STREAM, // copied from a stream: its sequences
    BR_SEGMENT_IMPORT, // from a file: pre-history, numbered 1, 2, 3, …
};

struct br_segment_info {
    enum br_segment_kind kind;
    char pipeline[BR_SEGMENT_TEXT_SIZE], table[BR_SEGMENT_TEXT_SIZE];
    char source[BR_SEGMENT_TEXT_SIZE];  // the stream, or the imported file's name
    char subject[BR_SEGMENT_TEXT_SIZE]; // of a stream: the filter that its messages match
    uint64_t source_hash;               // XXH3-64 of the imported file; 0 for a stream
    struct br_wall_time created;        // of the stream; of the import
    uint64_t from, to;                  // S2
    uint64_t messages;
    uint64_t first, last;                      // sequences of messages; 0 when there are none
    struct br_wall_time first_time, last_time; // the lowest and the highest of its messages; 0 when there are none
    uint64_t payload_bytes, file_bytes, blocks;
    uint64_t body_hash; // XXH3-64 of all bytes behind the header
};

// --- writing
struct br_segment_writer;
// identity: kind, pipeline, table, source, source_hash, created. framed, message: see columns.h. BR_RETRY: the disk.
enum br_status br_segment_create(const char *folder, const struct br_segment_info *identity, bool framed,
                                 const struct br_message_type *message, struct br_segment_writer **ret_writer,
                                 struct br_error *error) BR_MUST_CHECK;
enum br_status br_segment_add(struct br_segment_writer *writer, const struct br_log_message *message,
                              struct br_error *error) BR_MUST_CHECK;
// Of what was added so far.
const struct br_segment_info *br_segment_so_far(const struct br_segment_writer *writer);
// Makes it durable under its name (S1). Ends the writer, in any case: after an error nothing is left of it.
enum br_status br_segment_seal(struct br_segment_writer **writer, uint64_t from, uint64_t to,
                               struct br_segment_info *ret_info, struct br_error *error) BR_MUST_CHECK;
void br_segment_abandon(struct br_segment_writer **writer); // leaves nothing behind

// --- reading
struct br_segment_reader;
// Reads and checks the header. BR_DATA: it is damaged, in words that name the file. BR_FATAL: there is no such file.
// BR_RETRY: it can't be read now.
enum br_status br_segment_open(const char *path, struct br_segment_reader **ret_reader, struct br_error *error)
    BR_MUST_CHECK;
// Only the header.
enum br_status br_segment_look(const char *path, struct br_segment_info *ret_info, struct br_error *error)
    BR_MUST_CHECK;
const struct br_segment_info *br_segment_info(const struct br_segment_reader *reader);
// The next block's messages; *ret_found false at the end, when all was as the header says.
enum br_status br_segment_next(struct br_segment_reader *reader, struct br_block *block, bool *ret_found,
                               struct br_error *error) BR_MUST_CHECK;
void br_segment_close(struct br_segment_reader **reader);

void br_segment_name(uint64_t from, uint64_t to, char name[BR_SEGMENT_NAME_SIZE]);
// False when it is no name of a segment.
bool br_segment_parse_name(const char *name, uint64_t *ret_from, uint64_t *ret_to);
// Makes what happened to names in the folder durable.
enum br_status br_segment_sync_folder(const char *folder, struct br_error *error) BR_MUST_CHECK;

// The header's bytes of a segment, and back: for tests and fuzzing.
void br_segment_put_header(const struct br_segment_info *info, const uint8_t sync[BR_AVRO_SYNC_BYTES],
                           struct br_buffer *out);
enum br_status br_segment_read_header(struct br_slice bytes, struct br_segment_info *ret_info,
                                      uint8_t ret_sync[BR_AVRO_SYNC_BYTES], size_t *ret_size, struct br_error *error)
    BR_MUST_CHECK;

#endif
