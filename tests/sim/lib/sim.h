// SPDX-License-Identifier: Apache-2.0
// What the simulations share: chances from a seed, pipelines, stores, and input streams as odd as users' ones.
#ifndef BR_TESTS_SIM_H
#define BR_TESTS_SIM_H

#include "cli/events.h"
#include "processor/log/simulated.h"
#include "processor/sql/sql.h"
#include "state/store.h"

// SplitMix64 (Steele, Lea, Flood 2014).
uint64_t sim_draw(uint64_t *random, uint64_t bound);
// Ends the program when the text is no pipeline.
struct br_pipeline *sim_load(const char *text, const char *name);
// A memory store with the same items: an older copy of a disk, kept for later.
struct br_store *sim_copy_store(struct br_store *store);

// --- oddities: which of them a world has is drawn from its seed

struct sim_oddity {
    bool shared;        // all tables' subjects are on one stream, with messages of nobody's between them
    unsigned trimmed;   // messages that were published and purged before anybody read
    bool late_table;    // one table's first message comes when another one's have been read
    bool goes_back;     // servers lose the newest messages of an input, and publishers go on
    bool old_disks;     // state is now and then an older copy
    bool jumps;         // the wall clock does, both ways
    uint32_t shown_max; // a reader shows so few messages at a time; 0: many
};
struct sim_oddity sim_draw_oddity(uint64_t *random);

// --- input streams

#define SIM_TABLES_MAX 6

struct sim_message { // one that is there
    uint32_t table, stream;
    uint64_t sequence;
    int64_t tag; // what the world makes of it
};

struct sim_inputs {
    struct br_sim *sim;
    struct br_log *feeder;
    uint32_t table_count, stream_count;
    const char *subjects[SIM_TABLES_MAX]; // by table
    const char *streams[SIM_TABLES_MAX];
    uint32_t stream_of[SIM_TABLES_MAX]; // by table
    struct br_row_writer *writers[SIM_TABLES_MAX];
    struct sim_message *list; // in the order of publishing
    size_t count, capacity;
    bool shared;
};

// One stream with all subjects, or one for each. Tables are the pipeline's first `table_count`, with these subjects.
void sim_inputs_open(struct sim_inputs *inputs, struct br_sim *sim, struct br_log *feeder,
                     const struct br_pipeline *pipeline, uint32_t table_count, bool shared);
void sim_inputs_close(struct sim_inputs *inputs);
// A row as JSON.
void sim_send(struct sim_inputs *inputs, uint32_t table, const char *json, bool deletes, int64_t tag);
void sim_send_bytes(struct sim_inputs *inputs, uint32_t table, struct br_slice payload, int64_t tag);
// On the shared stream, for nobody.
void sim_send_other(struct sim_inputs *inputs);
// Somebody publishes where only commits belong: answers that were sent there, other bytes, nothing at all.
void sim_intrude(struct br_log *feeder, const char *subject, uint64_t choice);
// Everything that was published so far is gone before anybody has read it.
void sim_trim(struct sim_inputs *inputs);
// The server of one stream comes back without its last `count` messages (0: with all of them).
void sim_go_back(struct sim_inputs *inputs, uint32_t stream, uint64_t count);

#endif
