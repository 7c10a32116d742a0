// SPDX-License-Identifier: Apache-2.0
// A worker's clock that was an hour ahead, and was set right: what is held back for an emit_interval comes out all the
// same, before and after a restart, readings never go back, and in the end they are the clock's again.
#include "lib/sim.h"

#include "base/logging.h"
#include "braid/v1/commit.pb-c.h"
#include "processor/task.h"

#include <inttypes.h>
#include <stdio.h>

#define HOUR_US (INT64_C(3600) * BR_US_PER_SECOND)
#define INTERVAL_US BR_US_PER_SECOND

static const char sql[] =
    "CREATE TABLE orders (id bigint NOT NULL) WITH (subject = 'sim.orders');\n"
    "CREATE MATERIALIZED VIEW held WITH (emit_interval = '1 second') AS SELECT count(*) AS n FROM orders;\n";

struct world {
    struct br_pipeline *pipeline;
    struct br_sim *sim;
    struct sim_inputs inputs;
    struct br_log *feeder, *log;
    struct br_store *store;
    struct br_task *task;
    int64_t fed;
};

static int passed, failed;

static void expect(bool holds, const char *what) {
    passed += holds;
    failed += !holds;
    if (!holds)
        printf("FAIL %s\n", what);
}

static void must(enum br_status status, const struct br_error *error) {
    if (status == BR_OK)
        return;
    printf("FAIL %s\n", error->message);
    exit(1);
}

static enum br_status open_store(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error) {
    struct world *world = context;
    (void)set_aside, (void)error;
    *ret_store = br_store_share_memory(world->store);
    return BR_OK;
}

static void start(struct world *world) {
    struct br_error error;
    world->log = br_sim_connect(world->sim, false);
    struct br_task_options options = {.pipeline = world->pipeline,
                                      .log = world->log,
                                      .clock = br_sim_clock(world->sim),
                                      .worker = "clocks",
                                      .open_store = open_store,
                                      .store_context = world,
                                      .flush_interval_us = -1};
    must(br_task_create(&options, &world->task, &error), &error);
    must(br_task_recover(world->task, &error), &error);
}

static void stop(struct world *world, bool lose_state) {
    struct br_error error;
    must(br_task_stop(world->task, &error), &error);
    br_task_destroy(&world->task);
    br_log_close(&world->log);
    if (!lose_state)
        return;
    br_store_destroy(&world->store);
    world->store = br_store_create_memory();
}

static void pass(struct world *world, int64_t us) {
    struct br_error error;
    const struct br_clock *clock = br_sim_clock(world->sim);
    int64_t until_us = clock->mono(clock).us + us;
    while (clock->mono(clock).us < until_us) {
        bool worked;
        must(br_task_step(world->task, &worked, &error), &error);
        if (!worked)
            br_log_wait(world->log, INTERVAL_US / 10);
    }
}

static void feed(struct world *world) {
    char json[32];
    snprintf(json, sizeof json, "{\"id\":%" PRId64 "}", world->fed++);
    sim_send(&world->inputs, 0, json, false, 0);
}

// The last row that subscribers were given counts everything, within two intervals.
static void expect_all_told(struct world *world, const char *when) {
    struct br_error error;
    struct br_buffer copy = {0};
    struct br_log_message last;
    bool found;
    feed(world);
    feed(world);
    pass(world, INTERVAL_US / 5);
    feed(world);
    pass(world, 2 * INTERVAL_US + INTERVAL_US / 2);
    must(br_log_last(world->feeder, "BRAID_sim", "braid.sim.view.held", &copy, &last, &found, &error), &error);
    uint8_t wanted[2] = {8, (uint8_t)world->fed}; // field 1
    expect(found && last.payload.len == 2 && memcmp(last.payload.ptr, wanted, 2) == 0, when);
    br_buffer_free(&copy);
}

// By the commits. *ret_last_us: the last reading.
static void expect_readings_ascend(struct world *world, int64_t *ret_last_us) {
    struct br_error error;
    struct br_buffer copy = {0};
    struct br_log_message message;
    bool found = true, ascend = true;
    *ret_last_us = 0;
    for (uint64_t from = 1; found; from = message.sequence + 1) {
        must(br_log_next(world->feeder, "BRAID_sim", "braid.sim.commit.0", from, &copy, &message, &found, &error),
             &error);
        if (!found)
            break;
        Braid__V1__Commit *commit = braid__v1__commit__unpack(NULL, message.payload.len, message.payload.ptr);
        ascend &= commit->clock_us >= *ret_last_us;
        *ret_last_us = commit->clock_us;
        braid__v1__commit__free_unpacked(commit, NULL);
    }
    expect(ascend, "readings never go back");
    br_buffer_free(&copy);
}

int main(void) {
    br_log_configure(BR_LEVEL_ERROR + 1, false);
    struct world world = {.pipeline = sim_load(sql, "sim"), .sim = br_sim_create(NULL)};
    const struct br_clock *clock = br_sim_clock(world.sim);
    int64_t last_us;
    world.feeder = br_sim_connect(world.sim, false);
    world.store = br_store_create_memory();
    sim_inputs_open(&world.inputs, world.sim, world.feeder, world.pipeline, 1, false);
    br_sim_jump(world.sim, HOUR_US);
    start(&world);
    expect_all_told(&world, "with the clock ahead");
    br_sim_jump(world.sim, -HOUR_US);
    expect_all_told(&world, "with the clock set right");
    stop(&world, false);
    start(&world);
    expect_all_told(&world, "after a restart");
    stop(&world, true);
    start(&world);
    expect_all_told(&world, "after a rebuild");
    expect_readings_ascend(&world, &last_us);
    expect(last_us > clock->wall(clock).us, "it is still ahead");
    pass(&world, 2 * HOUR_US);
    expect_all_told(&world, "when it has caught up");
    expect_readings_ascend(&world, &last_us);
    expect(last_us <= clock->wall(clock).us, "it has caught up");
    stop(&world, false);
    sim_inputs_close(&world.inputs);
    br_log_close(&world.feeder);
    br_store_destroy(&world.store);
    br_sim_destroy(&world.sim);
    br_pipeline_destroy(&world.pipeline);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
