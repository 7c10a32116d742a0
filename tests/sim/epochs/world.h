// SPDX-License-Identifier: Apache-2.0
// One world of sim_epochs: what its parts share.
#ifndef BR_TESTS_SIM_EPOCHS_WORLD_H
#define BR_TESTS_SIM_EPOCHS_WORLD_H

#include "../lib/sim.h"
#include "cli/expect.h"
#include "processor/task.h"

#include <inttypes.h>
#include <stdio.h>

#define CUSTOMERS 6
#define EVENTS_MAX 4000
enum { ORDERS, CUSTOMERS_TABLE, RATES };

struct order {
    int customer; // -1: NULL
    int64_t amount;
    bool garbage;
};

struct world {
    uint64_t seed, random;
    const struct br_pipeline *pipeline;
    bool rich; // pipeline 0
    struct sim_oddity oddity;
    struct br_sim *sim;
    struct sim_inputs inputs; // tags: of an order its index; of a customer, customer * 8 + region + 1 (0: deleted)
    struct br_log *feeder, *log, *zombie_log;
    struct br_store *store, *old_store;
    struct br_task *task, *zombie;
    char workers[256][16];
    unsigned starts, crashes, fences, cut_epochs;
    unsigned changes_told, begun_anew;              // streams that went back, and what was done about them
    unsigned intrusions, intrusions_beside_zombies; // on the commits' subject, while a worker ran
    bool went_back;                                 // since everything began
    struct order *orders;
    size_t order_count, order_target;
    int quiet_steps; // in which nothing is published yet
    bool has_region[CUSTOMERS];
    struct br_sim_faults faults;
    uint32_t epoch_messages;
};

_Noreturn void die(const struct world *world, const char *what, const char *more);
void must(const struct world *world, enum br_status status, const struct br_error *error);
static inline uint64_t draw(struct world *world, uint64_t bound) {
    return sim_draw(&world->random, bound);
}

// feed.c
void feed(struct world *world, size_t count);
// What was there before anybody read.
void feed_before(struct world *world);
// Servers that lose messages, clocks that jump, others who publish where the commits are.
void disturb(struct world *world);
// workers.c
void bury(struct br_task **task, struct br_log **log);
// Starts a worker; it may crash while it recovers, then *ret_task is NULL.
void start(struct world *world, struct br_task **ret_task);
// One step of a worker. False when it is no more: crashed, fenced, or told that a stream has changed.
bool step(struct world *world, struct br_log *log, struct br_task *task, bool *ret_worked);
// Replaces the worker: with its store, with an empty or an older one, or leaving it behind as a zombie.
void succeed(struct world *world);
// naive.c: the rows that the input has to give, and how many reports.
void naive(const struct world *world, struct br_lines *lines, struct br_arena *arena, size_t *ret_reports);
// judge.c: what subscribers saw.
void judge(struct world *world);

#endif
