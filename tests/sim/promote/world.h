// SPDX-License-Identifier: Apache-2.0
// One world of sim_promote: what its parts share.
#ifndef BR_TESTS_SIM_PROMOTE_WORLD_H
#define BR_TESTS_SIM_PROMOTE_WORLD_H

#include "../lib/sim.h"
#include "replay/replay.h"
#include "replay/upgrade.h"

#include <inttypes.h>
#include <stdio.h>

#define LINEAGES 2
#define TABLE_COUNT 4
#define CUTS_MAX 6 // of copying, in a world

extern const char *const texts[LINEAGES]; // pipelines.c
extern const char *const lineages[LINEAGES];

// A process: with a connection and the task or the replay that it runs.
struct process {
    struct br_log *log;
    struct br_control *control;
    struct br_requests *requests; // of an owner
    struct br_task *task;
    struct br_replay *replay;
    int lineage;
    bool has_shadow;
    struct br_store *store; // of a zombie: its own
};

struct world {
    uint64_t seed, random;
    struct br_pipeline *const *pipelines; // by lineage
    struct sim_oddity oddity;
    struct br_sim *sim;
    struct sim_inputs inputs;
    struct br_log *feeder;
    struct br_store *stores[LINEAGES], *old_stores[LINEAGES];
    struct process owner, replay, zombie;
    char workers[512][16];
    struct br_arena *arena;
    bool by_published;  // what differs is found from what was published, and not from a shadow
    const bool *asleep; // by view of the changed pipeline: what its lineage begins with; NULL: it computes all
    bool planned;       // the changed pipeline's replay: where it begins, as its job says
    uint64_t begin[TABLE_COUNT];
    unsigned starts;
    size_t orders, orders_target;
    uint32_t epoch_messages;
    bool large;
    int switches, switches_target; // of the ownership
    int cuts;
    bool went_back; // an input stream did, since everything began
    uint64_t crashes, fences, takeovers, finished, grafts, rebuilt, begun_anew, published_takeovers, published_finished,
        intrusions;
    struct br_sim_faults faults;
};

_Noreturn void die(const struct world *world, const char *what, const char *more);
void must(const struct world *world, enum br_status status, const struct br_error *error);
static inline uint64_t draw(struct world *world, uint64_t bound) {
    return sim_draw(&world->random, bound);
}

// processes.c
enum br_status open_store(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error);
int owner_of(struct world *world);
void bury(struct process *process);
void start_owner(struct world *world);
void start_replay(struct world *world);
void step_owner(struct world *world, struct process *process);
void step_process(struct world *world, struct process *process);
// A replay that has taken over is the owner's process from then on; whoever was goes on as a zombie until it is fenced.
void promote_process(struct world *world);
// Dies, loses its disk, or stays behind as a zombie on a store of its own.
void replace(struct world *world, struct process *process);
void retire_zombie(struct world *world);
void serve_idle(void *context);
// fold.c: what subscribers hold at the end, against an undisturbed run of the owner's pipeline over the same input.
void judge(struct world *world);

#endif
