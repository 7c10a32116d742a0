// SPDX-License-Identifier: Apache-2.0
// The log in memory, with faults, from one seed: the same contract as JetStream's (log.h), for the simulator, `braid
// test` and unit tests.
//
// A br_sim is the "server": streams with subjects, sequences, timestamps from the simulated clock, atomic fenced
// batches with the same limits. Any number of br_log connections stand on it (a task, its zombie, its successor, a
// feeder, an observer). Everything runs in one thread; br_log_wait advances the simulated clock instead of sleeping.
// The same seed and the same calls give the same history.
//
// Stored messages have ascending timestamps that all differ (while the clock doesn't jump): the clock's reading, or one
// microsecond after the previous message, whichever is later. Appends are refused above 1 MiB a message (headers
// included), as by a server with its defaults; br_log_publish takes up to 64 MiB.
#ifndef BR_PROCESSOR_LOG_SIMULATED_H
#define BR_PROCESSOR_LOG_SIMULATED_H

#include "processor/log/control.h"
#include "processor/log/log.h"

struct br_sim;

// Probabilities per call, in 1/1000. All zero: a perfect log.
struct br_sim_faults {
    uint64_t seed;
    uint32_t lose_ack;   // the batch lands, the outcome is BR_APPEND_UNKNOWN
    uint32_t lose_batch; // the batch doesn't land, the outcome is BR_APPEND_UNKNOWN
    uint32_t late_batch; // BR_APPEND_UNKNOWN, and the batch lands (if its fence still holds) some calls later: a
                         // zombie's write
    uint32_t delay;      // a reader shows fewer messages than there are, an append's reply takes some polls
    uint32_t refuse;     // BR_RETRY from any call that may say so
    uint32_t shown_max;  // not a chance: so many messages a reader shows before some must be consumed; 0: very many
    // Of the control plane (br_sim_control): questions lost, asked twice, late; answers that end in the middle. Of logs
    // over it, beside the above: what they ask is lost, appends land late, answers don't come.
    uint32_t lose_request, double_request, late_request, cut_answer;
    uint32_t
        crash; // any call: br_sim_crashed() becomes true and this connection's calls fail with BR_FATAL from then on
};

struct br_sim *br_sim_create(const struct br_sim_faults *faults); // NULL: no faults
void br_sim_destroy(struct br_sim **sim);
void br_sim_set_faults(struct br_sim *sim, const struct br_sim_faults *faults);
// A connection. faulty false: never disturbed (feeders, observers).
struct br_log *br_sim_connect(struct br_sim *sim, bool faulty);
bool br_sim_crashed(const struct br_log *log);
// Crash this connection at its n-th call from now (1: the next); 0: never. For the sweep over every crash point.
void br_sim_crash_at(struct br_log *log, uint64_t call);
uint64_t br_sim_calls(const struct br_log *log);

// One process's control plane (control.h). All who serve a subject hear what is asked on it.
struct br_control *br_sim_control(struct br_sim *sim, bool faulty);

// Starts at 2026-01-01 00:00:00 UTC.
const struct br_clock *br_sim_clock(struct br_sim *sim);
// Never goes back: an earlier time is ignored, unless nothing has been stored yet.
void br_sim_set_wall(struct br_sim *sim, struct br_wall_time now);
// The wall clock, of which stored messages have their times too, jumps forward or back; the monotonic one doesn't.
void br_sim_jump(struct br_sim *sim, int64_t by_us);
// Called again and again while a br_control_request waits: lets the task that serves it take its steps. NULL: nothing
// does.
void br_sim_on_idle(struct br_sim *sim, void (*step)(void *context), void *context);

enum br_status br_sim_add_stream(struct br_sim *sim, const char *name, const char *const *subjects,
                                 size_t subject_count, struct br_error *error) BR_MUST_CHECK;
// Server faults made by hand: removes the messages with sequence < first_kept (purge); forgets the newest messages
// (power loss: the stream's readers are cut off, and look at it anew; what those had replaced is back); deletes one
// message; drops and makes the stream anew (another creation time, sequence 1).
void br_sim_purge(struct br_sim *sim, const char *stream, uint64_t first_kept);
void br_sim_forget_after(struct br_sim *sim, const char *stream, uint64_t last_kept);
void br_sim_delete(struct br_sim *sim, const char *stream, uint64_t sequence);
void br_sim_recreate(struct br_sim *sim, const char *stream);
// What the stream says of its limits from now on; they drop nothing by themselves (br_sim_purge does).
void br_sim_set_limits(struct br_sim *sim, const char *stream, int64_t max_age_us, uint64_t max_messages);
// Of each subject the newest `count` messages are kept (max_msgs_per_subject); before anything is stored.
void br_sim_keep_per_subject(struct br_sim *sim, const char *stream, uint64_t count);

#endif
