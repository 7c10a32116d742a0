// SPDX-License-Identifier: Apache-2.0
// What a replay will read, found out before anything runs: which sequences of which inputs, from the archive or the
// stream, which epochs it repeats, how much that is. Nothing is written.
//
// Sequences in struct Braid__V1__ReplayInput are of history: `prehistory` imported events, then the stream's own. What
// is shown (text, JSON, holes) are the stream's own.
//
// P1. A replay that repeats the base lineage's epochs ends where they end, at the latest; one with epochs of its own
//     (fresh_epochs, or nothing recorded) ends at the end of the streams.
// P2. base_first_epoch … base_last_epoch are the recorded epochs that have some of the slice. The slice may begin or
//     end within one; what lies before the first recorded epoch (imported, or its commits have expired) goes into
//     epochs of the replay's own. With fresh_epochs all does, and base_last_epoch is the newest recorded one, at which
//     the two are compared.
// P3. "The beginning" is where the base lineage began, when that is recorded: what was gone from the stream before it
//     ever ran isn't missing. Of a table that it has read nothing of, or doesn't know, it is the oldest that is left.
//     Else (its first commits have expired) it is sequence 1. A rebuild with epochs of its own reads all that is left,
//     also before where the base lineage began: a stream that went back may hold again what was gone then.
// P4. What is neither in the archive nor in the stream is a hole. A plan with holes can be shown, not run
//     (br_replay_plan_check). Who says "oldest" for "the beginning" has none: each table begins behind its last hole,
//     and a note says what isn't read. What a stream that keeps the newest messages of each subject has dropped of a
//     table with such keys, and nothing else, is no hole for epochs of one's own.
// P5. A view that a changed pipeline keeps isn't computed again: it takes the base lineage's state over (upgrade.h,
// U3),
//     unless imported events have come to a table of it since the base began. A table that only such views read isn't
//     read, and may have holes.
#ifndef BR_REPLAY_PLAN_H
#define BR_REPLAY_PLAN_H

#include "base/arena.h"
#include "braid/v1/replay.pb-c.h"
#include "processor/log/log.h"
#include "processor/sql/plan.h"
#include "replay/upgrade.h"

// --- what is known of a table's history beside its stream (replay/history.h gives it)
struct br_history_range {
    uint64_t first, last; // the stream's own sequences
};
struct br_history_facts {
    uint64_t prehistory; // imported events before sequence 1
    uint64_t prehistory_bytes;
    uint64_t archived_first, archived_last; // the stream's own sequences; 0: nothing is archived
    uint64_t archived_messages, archived_bytes;
    const struct br_history_range *missing; // within archived_first..archived_last, ascending
    size_t missing_count;
};
struct br_history_source {
    void *context;
    // What it returns is borrowed from the arena.
    enum br_status (*describe)(void *context, const char *table, const struct br_stream_info *stream,
                               struct br_arena *arena, struct br_history_facts *ret_facts, struct br_error *error);
    // The first archived or imported event stored at `time` or later, as a history sequence; 0: there is none, the
    // stream knows. NULL: the archive can't be asked, and times are looked for in the stream only.
    enum br_status (*sequence_at)(void *context, const char *table, struct br_wall_time time, uint64_t *ret_sequence,
                                  struct br_error *error);
};

// What becomes of a view (replay/plan_views.h tells).
struct br_plan_view {
    const char *view;
    const char *verdict; // keep, rebuild, new, removed
    const char *why;     // "" when there is nothing to say
    const char *note;    // what a comparison or a promotion can't do with it; "": nothing
    bool corrected;      // a promotion publishes what differs of it
    bool same;           // its plan is
    bool taken_over;     // its state is the base's: it isn't computed up to where the two are compared
};

struct br_replay_plan_options {
    struct br_log *log;
    const char *pipeline_name;
    const struct br_pipeline *pipeline; // to run; NULL: the tables of the base lineage's last commit
    Braid__V1__ReplayMode mode;
    const char *from, *to; // br_moment_parse; NULL: beginning, now
    bool fresh_epochs;
    struct br_wall_time now;
    const struct br_history_source *history; // NULL: no archive, nothing imported
    struct br_upgrade *upgrade; // from the pipeline that runs to `pipeline`; NULL: nothing is said of views
    bool take_over;             // views that the upgrade keeps take their state over (P5)
    // This build computes the views otherwise than the one that wrote the log: all are computed again, over what the
    // base lineage had of imported events, and no others.
    bool rebuild;
    double messages_per_second; // to be expected; 0: not known
};

struct br_plan_hole {
    const char *table;
    const char *stream;
    uint64_t first, last;
    const char *text; // in full, with what to do
};

struct br_replay_plan {
    const char *pipeline;
    Braid__V1__ReplayMode mode;
    const char *from, *to;
    Braid__V1__ReplayInput **inputs;
    size_t input_count;
    struct br_plan_hole *holes;
    size_t hole_count;
    const char **notes; // sentences
    size_t note_count;
    const char *base_lineage; // "": nothing recorded
    uint64_t base_first_epoch, base_last_epoch, base_plan_hash;
    bool fresh_epochs;
    uint64_t messages, bytes; // estimated: a stream's messages spread evenly, all of them this table's
    uint64_t sequences;       // exactly: what progress is measured against
    int64_t seconds;          // estimated; -1: not known
    double messages_per_second;
    const struct br_plan_view *views;
    size_t view_count;
    const char **moves; // field numbers that don't mean what they did (U5 of upgrade.h)
    size_t move_count;
    struct br_arena *arena; // owned
};

enum br_status br_replay_plan_make(const struct br_replay_plan_options *options, struct br_replay_plan **ret_plan,
                                   struct br_error *error) BR_MUST_CHECK;
void br_replay_plan_free(struct br_replay_plan **plan);
// BR_DATA naming the first hole when it can't be run.
enum br_status br_replay_plan_check(const struct br_replay_plan *plan, struct br_error *error) BR_MUST_CHECK;
// Puts mode, from, to, inputs, base lineage and epochs and the progress' total into a job's record. Borrowed from the
// plan.
void br_replay_plan_fill(const struct br_replay_plan *plan, Braid__V1__ReplayJob *record);

void br_replay_plan_text(const struct br_replay_plan *plan, struct br_buffer *out);
void br_replay_plan_json(const struct br_replay_plan *plan, struct br_buffer *out); // one object, one line

#endif
