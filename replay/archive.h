// SPDX-License-Identifier: Apache-2.0
// The segments of one table in one folder: where they are, what they cover, what is wrong with them.
//
//   <archive>/<pipeline>/<table>/            segments copied from the stream (BR_SEGMENT_STREAM)
//   <archive>/<pipeline>/<table>/import/     pre-history (BR_SEGMENT_IMPORT), numbered 1, 2, 3, …
//
// A1. The archive's position is the `to` of its last segment: there is no other record of it.
//
// A2. Small segments are merged: the merged one is written and made durable first, then those that are in it go. After
//     a crash in between they are still there; whoever lists the folder leaves out what lies wholly in another segment.
//
// A4. The file "begin" says from which sequence on the archive holds everything: the `from` of the first segment that
//     was ever there, moved up by retention before it removes what is older. So a first segment that is lost is
//     missed. Archives that were begun by version 0.1.0 get it when they are written to the next time; imported
//     messages begin at 1.
//
// A3. One process writes to a folder: the one that holds its lock. Anybody may read, at any time.
#ifndef BR_REPLAY_ARCHIVE_H
#define BR_REPLAY_ARCHIVE_H

#include "processor/sql/plan.h"
#include "replay/segment.h"

#define BR_ARCHIVE_PATH_SIZE 4096
#define BR_ARCHIVE_BEGIN_SIZE 21                      // of the file "begin": 20 digits, a line end
#define BR_ARCHIVE_SEGMENT_BYTES ((uint64_t)64 << 20) // of payload: then a segment is full

// <archive>/<pipeline>/<table>[/import]. Whatever isn't a letter, a digit, "_" or "-" in the names is written %XX.
enum br_status br_archive_folder(const char *archive_path, const char *pipeline, const char *table,
                                 enum br_segment_kind kind, char folder[BR_ARCHIVE_PATH_SIZE], struct br_error *error)
    BR_MUST_CHECK;

struct br_archive_segment {
    char name[BR_SEGMENT_NAME_SIZE];
    struct br_segment_info info; // of a damaged one: only from and to, as its name says
    char *damage;                // NULL: its header is sound
};
struct br_archive {
    char folder[BR_ARCHIVE_PATH_SIZE];
    struct br_archive_segment *segments; // in their order
    size_t count;
    uint64_t begin;                           // A4; 0: not known
    char (*superseded)[BR_SEGMENT_NAME_SIZE]; // A2
    size_t superseded_count;
};

// Reads the headers of all that is there. A folder that isn't there is an empty archive. Damage is told in the list,
// not as an error. BR_RETRY: the folder can't be read.
enum br_status br_archive_open(const char *folder, struct br_archive **ret_archive, struct br_error *error)
    BR_MUST_CHECK;
void br_archive_close(struct br_archive **archive);
// The first segment whose `to` is at least the sequence; count when there is none.
size_t br_archive_find(const struct br_archive *archive, uint64_t sequence);
// Is the beginning there (A4)? BR_FATAL names what is missing. Segments of a stream whose messages the stream still has
// from stream_first on (0: it has none) may be missing.
enum br_status br_archive_check_begin(const struct br_archive *archive, uint64_t stream_first, struct br_error *error)
    BR_MUST_CHECK;
// Is the segment usable as what was archived of this stream (NULL: of none, imported) with this filter? BR_FATAL, in
// words: it is damaged, or of another stream, or of other subjects.
enum br_status br_archive_check_segment(const struct br_archive *archive, size_t index,
                                        const struct br_stream_info *stream, const char *filter, struct br_error *error)
    BR_MUST_CHECK;
enum br_status br_archive_open_segment(const struct br_archive *archive, size_t index,
                                       struct br_segment_reader **ret_reader, struct br_error *error) BR_MUST_CHECK;

// Reads everything. `tell` is called for each fault, in words that name the file and the sequences: damage, gaps,
// overlaps, segments of another stream than their neighbours'.
struct br_archive_check {
    uint64_t segments, messages, payload_bytes, file_bytes, faults;
};
enum br_status br_archive_verify(const struct br_archive *archive, void (*tell)(void *context, const char *fault),
                                 void *context, struct br_archive_check *ret_check, struct br_error *error)
    BR_MUST_CHECK;

// --- the one who writes
// Makes the folder and locks it, and removes what a crash has left there. *ret_lock < 0: somebody else has it.
enum br_status br_archive_lock(const char *folder, int *ret_lock, struct br_error *error) BR_MUST_CHECK;
void br_archive_unlock(int *lock);
// Writes down where the archive begins, unless that is written down or nothing is there (A4).
enum br_status br_archive_note_begin(const char *folder, struct br_error *error) BR_MUST_CHECK;
// Merges the newest segments as long as the last is at least half as large as the one before, and both fit one: so the
// number of small ones stays logarithmic. Then removes what is superseded (A2).
enum br_status br_archive_merge(const char *folder, uint64_t segment_bytes, bool framed,
                                const struct br_message_type *message, struct br_error *error) BR_MUST_CHECK;
// Removes the oldest segments: those whose messages are all older than oldest_kept (INT64_MIN: none are), and as many
// as it takes to get the rest down to bytes_max (0: no bound). Never the newest one. *ret_removed: how many.
enum br_status br_archive_retain(const char *folder, struct br_wall_time oldest_kept, uint64_t bytes_max,
                                 size_t *ret_removed, struct br_error *error) BR_MUST_CHECK;

#endif
