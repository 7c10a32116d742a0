// SPDX-License-Identifier: Apache-2.0
// The simulated server's streams (simulated_stream.c), which the connections (simulated.c) stand on.
#ifndef BR_PROCESSOR_LOG_SIMULATED_INTERNAL_H
#define BR_PROCESSOR_LOG_SIMULATED_INTERNAL_H

#include "base/arena.h"
#include "processor/log/log_internal.h"
#include "processor/log/simulated.h"

struct sim_slot {
    struct br_log_message message; // in the sim's arena: stays readable after a purge
    bool gone;                     // purged, deleted, replaced or forgotten
    uint64_t replaced_by;          // gone because of this message of its subject, and back when that one is lost
};

struct sim_stream {
    char name[256];
    char **subjects;
    size_t subject_count;
    struct br_wall_time created;
    uint64_t first_sequence, last_sequence; // as a server has them: an empty stream has first = last + 1
    uint64_t message_count, bytes, max_messages;
    uint64_t max_per_subject; // of each subject the newest ones are kept (1: a bucket); 0: all
    int64_t max_age_us;
    int replicas;
    bool allow_atomic;
    uint64_t restarts;      // of its server, that readers have to notice
    struct sim_slot *slots; // by sequence - 1
    size_t slot_count, slot_capacity;
    uint64_t *last_by_subject; // open addressing; 0: free, else the sequence of the last message on its subject
    size_t table_size, table_used;
};

// A write that lands later than its sender waited for it.
struct sim_late {
    struct sim_stream *stream;
    const struct br_log_message *messages; // in the sim's arena
    size_t count;
    uint64_t expected_sequence;
    uint64_t due_call;
};

struct br_sim {
    struct br_clock clock;  // first: handed out
    int64_t mono_us;        // never goes back
    int64_t skew_us;        // of the wall clock beside it: jumps
    int64_t last_stored_us; // stored messages have ascending timestamps, all different, while the clock doesn't jump
    bool touched;           // something has been stored: the clock can't be set back any more
    struct br_sim_faults faults;
    uint64_t random;
    uint64_t calls;
    struct br_arena *arena;
    struct sim_stream **streams;
    size_t stream_count;
    struct sim_late *late;
    size_t late_count;
    // simulated_control.c
    struct sim_control *controls;
    struct sim_delivery *deliveries;
    struct sim_question *questions;
    uint64_t question_count;
    void (*idle)(void *context);
    void *idle_context;
};

// A log over a control plane (br_control_log): what it asks is lost or late, as are answers, by the faults of the
// control plane too.
struct br_log *br_sim_connect_control(struct br_sim *sim, bool faulty);

static inline int64_t sim_wall_us(const struct br_sim *sim) {
    return sim->mono_us + sim->skew_us;
}
uint64_t br_sim_draw(struct br_sim *sim);
struct sim_stream *br_sim_stream_find(struct br_sim *sim, const char *name);
struct sim_stream *br_sim_stream_of_subject(struct br_sim *sim, struct br_slice subject);
enum br_status br_sim_stream_add(struct br_sim *sim, const char *name, const char *const *subjects, size_t count,
                                 struct sim_stream **ret_stream, struct br_error *error);
// Adds subjects that are not covered yet.
enum br_status br_sim_stream_widen(struct br_sim *sim, struct sim_stream *stream, const char *const *subjects,
                                   size_t count, struct br_error *error);
void br_sim_stream_destroy(struct sim_stream *stream);
void br_sim_stream_store(struct br_sim *sim, struct sim_stream *stream, const struct br_log_message *message);
// The last message on a subject (wildcards allowed), NULL when there is none.
const struct br_log_message *br_sim_stream_last(const struct sim_stream *stream, struct br_slice subject);
// The first one from a sequence on.
const struct br_log_message *br_sim_stream_next(const struct sim_stream *stream, struct br_slice subject,
                                                uint64_t sequence);
// NULL when there is none with this sequence.
const struct br_log_message *br_sim_stream_get(const struct sim_stream *stream, uint64_t sequence);
void br_sim_stream_purge(struct sim_stream *stream, struct br_slice subject);
void br_sim_stream_describe(const struct sim_stream *stream, struct br_stream_info *ret_info);
// Lands the batch if its fences hold; false when one doesn't.
bool br_sim_stream_append(struct br_sim *sim, struct sim_stream *stream, const struct br_log_message *messages,
                          size_t count, uint64_t expected_sequence);
struct br_log_message *br_sim_messages_copy(struct br_sim *sim, const struct br_log_message *messages, size_t count);

#endif
