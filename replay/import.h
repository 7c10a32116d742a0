// SPDX-License-Identifier: Apache-2.0
// Existing data as pre-history: events that a file holds, put before the first message of a table's stream.
//
// I1. Events pass the same gates as those of the stream (processor/input.h); their bytes are kept as they are.
// I2. They are sorted by event time (a table without one: all at the same moment, in the order of the file), and that
//     is the messages' time too.
// I3. One file is one segment: it is there as a whole, or not at all. Segments are numbered on: 1 … n, n + 1 …
// I4. A file that was imported is known by the hash of its content and isn't imported again.
//
// All events are held in memory until they are written: at most BR_IMPORT_BYTES_MAX of them.
#ifndef BR_REPLAY_IMPORT_H
#define BR_REPLAY_IMPORT_H

#include "replay/archive.h"

#define BR_IMPORT_BYTES_MAX ((uint64_t)4 << 30) // of events with their subjects; and 24 bytes for each

struct br_import;

struct br_import_options {
    const struct br_pipeline *pipeline; // borrowed
    const struct br_table *table;       // archived
    struct br_event_time at;            // of a table without event_time
    // Called for each event that is refused: its line (or number) in the file, which gate (as in quarantine), and why.
    void (*rejected)(void *context, uint64_t line, const char *reason, const char *detail);
    void *context;
};

enum br_status br_import_create(const struct br_import_options *options, struct br_import **ret_import,
                                struct br_error *error) BR_MUST_CHECK;
void br_import_destroy(struct br_import **import);
// One event's protobuf bytes (without a length before them, whatever the layout). BR_FATAL: there are too many.
enum br_status br_import_add(struct br_import *import, struct br_slice event, uint64_t line, struct br_error *error)
    BR_MUST_CHECK;

struct br_import_report {
    uint64_t accepted, rejected;
    struct br_event_time first, last; // of those that were accepted
};
// After the last event.
enum br_status br_import_report(struct br_import *import, struct br_import_report *ret_report, struct br_error *error)
    BR_MUST_CHECK;

// Writes them. stream_begins: when the stream's (or the archive's) first message was stored; INT64_MAX: there is none.
// BR_DATA, in words: the file was imported before (I4); or, unless force, times go back behind those of an earlier
// import, or beyond stream_begins.
enum br_status br_import_write(struct br_import *import, const char *name, uint64_t hash,
                               struct br_wall_time stream_begins, bool force, struct br_segment_info *ret_info,
                               struct br_error *error) BR_MUST_CHECK;

#endif
