// SPDX-License-Identifier: Apache-2.0
// History: what was imported, then the archive, then the stream, as one input (ADR 3).
//
// H1. A reader over history numbers the imported messages 1 … n (n: the lineage's prehistory) and the stream's
//     messages n + sequence. It is a br_reader (log.h) in every other respect: in order, each once, a gap is BR_FATAL.
//
// H2. A sequence is read from the archive when the archive has it, else from the stream. Where the one ends the other
//     goes on at the very next sequence; what neither has is named.
//
// H3. The beginning (sequence 0 or 1 of the stream) is where the archive says that it began (archive.h, A4), else
//     whatever is there, as for a stream; everything after it must be there.
//
// H4. The archive may grow, be merged and lose its oldest segments meanwhile: it is listed again where it ends, and
// when
//     a file isn't there any more. A reader that the stream's limits overtake goes on in the archive.
//
// Thread: the task's. A struct br_history is never changed once made: several tasks may share it.
#ifndef BR_REPLAY_HISTORY_H
#define BR_REPLAY_HISTORY_H

#include "processor/log/reader.h"
#include "replay/archive.h"

struct br_history;
// Tables' archives are those of the plan (table->archive_path). The pipeline is borrowed.
enum br_status br_history_create(const struct br_pipeline *pipeline, struct br_history **ret_history,
                                 struct br_error *error) BR_MUST_CHECK;
void br_history_destroy(struct br_history **history);

// The task's open_input; context: the struct br_history. Sequences are those of H1; first_sequence 0 or 1: from the
// beginning of all; stop_sequence 0: for ever. `stream` tells which stream's messages count: an archive of another one,
// or of one with the same name that was made at another time, is BR_FATAL.
enum br_status br_history_open_input(void *context, struct br_log *log, const struct br_table *table,
                                     const struct br_stream_info *stream, uint64_t prehistory, uint64_t first_sequence,
                                     uint64_t stop_sequence, struct br_reader **ret_reader, struct br_error *error)
    BR_MUST_CHECK;

// What there is of a table, in the stream's own sequences.
#define BR_HISTORY_HOLES_MAX 16
struct br_history_extent {
    uint64_t prehistory; // imported messages
    struct br_event_time prehistory_first, prehistory_last;
    uint64_t prehistory_bytes;                // of payload
    uint64_t archive_first, archive_last;     // covered; 0: no archive, or nothing in it
    uint64_t archive_messages, archive_bytes; // of payload
    struct br_wall_time archive_first_time, archive_last_time;
    uint64_t stream_first, stream_last; // 0, 0: it holds nothing
    struct br_history_hole {
        uint64_t from, to; // neither archive nor stream has them
    } holes[BR_HISTORY_HOLES_MAX];
    size_t hole_count;
};
// BR_FATAL: a segment is damaged, or of another stream. log may be NULL when stream is: what the archive alone says.
enum br_status br_history_describe(const struct br_history *history, const struct br_table *table,
                                   const struct br_stream_info *stream, struct br_history_extent *ret_extent,
                                   struct br_error *error) BR_MUST_CHECK;

#endif
