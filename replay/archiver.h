// SPDX-License-Identifier: Apache-2.0
// The archiver: copies the streams of a pipeline's archived tables into segments, each message exactly once.
//
// R1. What is archived begins behind the last segment of the table's folder; there is no other position (archive.h,
// A1).
//     A crash anywhere costs what was being written, which is then read from the stream again.
//
// R2. It never stops the pipeline. A disk that is full, a folder that another process has locked, a server that is
// away:
//     said in the log, tried again after a while.
//
// R3. What can't be mended by waiting stops the archiving of that table, loudly, and of no other: a hole between the
//     archive and the stream, a stream that was made anew, a damaged last segment.
//
// R4. A segment is sealed when it is full, and when it is roll_us old; small ones are merged.
//
// br_archiver_start runs it in a thread with a log connection of its own; the br_archiver_step kind runs it in the
// caller's (tests).
#ifndef BR_REPLAY_ARCHIVER_H
#define BR_REPLAY_ARCHIVER_H

#include "replay/archive.h"

struct br_archiver_options {
    const struct br_pipeline *pipeline; // borrowed for the archiver's life
    const struct br_clock *clock;       // NULL: the system's
    int64_t roll_us;                    // 0: 60 s
    uint64_t segment_bytes;             // of payload; 0: BR_ARCHIVE_SEGMENT_BYTES
    // For br_archiver_start: connects, called in the thread, again and again while it says BR_RETRY.
    enum br_status (*connect)(void *context, struct br_log **ret_log, struct br_error *error);
    void *connect_context;
};

bool br_archiver_needed(const struct br_pipeline *pipeline); // is any of its tables archived?

// --- in the caller's thread
struct br_archiver;
struct br_archiver *br_archiver_create(const struct br_archiver_options *options, struct br_log *log);
// Takes what there is, once round. False: there was nothing to do; the caller may br_log_wait.
bool br_archiver_step(struct br_archiver *archiver);
// Seals what was taken, so that nothing needs to be read again.
void br_archiver_finish(struct br_archiver *archiver);
void br_archiver_destroy(struct br_archiver **archiver); // loses what isn't sealed, as a crash does

// --- in a thread
struct br_archiver_thread;
enum br_status br_archiver_start(const struct br_archiver_options *options, struct br_archiver_thread **ret_thread,
                                 struct br_error *error) BR_MUST_CHECK;
// Seals what was taken and ends the thread. NULL-safe.
void br_archiver_stop(struct br_archiver_thread **thread);
// ,"archives":[{"table":…,"to":…,"error":…}],"warnings":[…] for the status object. context: the thread. Thread: any.
void br_archiver_add_status(void *thread, struct br_buffer *out);

#endif
