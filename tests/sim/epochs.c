// SPDX-License-Identifier: Apache-2.0
// The epoch loop under faults, from seeds: production task code on the simulated log and an in-memory store.
//
// Method. A feeder publishes random events (some bad) into two streams while a task works, at once or after a while.
// The task's connection loses acks, loses batches, lands batches late, delays, refuses and crashes at any call. After a
// crash a successor starts with the store as it was flushed, with an empty one (lost disk), with an older copy, or
// beside its predecessor, which then goes on as a zombie. Worlds are odd (lib/sim.h): both tables on one stream among
// others' messages, streams that were trimmed before, a table that begins late, clocks that jump, readers that show
// little at a time, input streams that lose their newest messages and are filled up again, and in a third of them
// strangers who publish on the commits' subject (X22). Whoever has read what was lost must be told so; then the
// pipeline begins anew, over what the streams hold now. Safety is checked as it goes: every step either works, crashes,
// is fenced, or tells of a change that there was. Then faults stop, and progress is required: all input must be
// consumed. At the end
//   - what subscribers saw folds to what a naive C fold of the input gives, for every view (X1, X2, X5, X6);
//   - commits are consecutive, parts are whole and in order, positions cover the input exactly once (X3, X6);
//   - a fresh task on an empty store follows the commits undisturbed: every digest agrees (X7, X11).
// A failing seed prints itself: `sim_epochs SEED` runs it alone. BRAID_SIM_SEEDS says how many to run (default 300).
#include "epochs/world.h"

#include "base/logging.h"

#define STEPS_MAX 200000
#define HEAL_STEPS_MAX 20000
#define IDLE_STEPS 200 // long enough for everything held back to be published

static const char *const pipelines[] = {
    // every kind of output in one epoch: append-only, keyed, joined, view on view, windowed and packed, quarantine of
    // tables and views
    "CREATE TABLE orders (id bigint NOT NULL, customer text, amount bigint CHECK (amount >= 0), at timestamptz NOT "
    "NULL)\n"
    "  WITH (subject = 'sim.orders', event_time = 'at', max_future = '1 day');\n"
    "CREATE TABLE customers (customer text PRIMARY KEY, region text) WITH (subject = 'sim.customers');\n"
    "CREATE TABLE rates (customer text PRIMARY KEY, rate bigint) WITH (subject = 'sim.rates', lookup = true);\n"
    // whichever rate it finds: once each
    "CREATE MATERIALIZED VIEW rated AS SELECT o.id, coalesce(r.rate, 1) > 0 AS fine FROM orders o LEFT JOIN rates r "
    "USING "
    "(customer);\n"
    "CREATE MATERIALIZED VIEW passed AS SELECT id, amount * 2 AS twice FROM orders WHERE amount > 10;\n"
    "CREATE MATERIALIZED VIEW per_customer AS SELECT customer, count(*) AS n, sum(amount) AS total, max(amount) AS top "
    "FROM orders GROUP BY customer;\n"
    "CREATE MATERIALIZED VIEW by_region AS SELECT c.region, count(*) AS n, sum(o.amount) AS total FROM orders o JOIN "
    "customers c USING (customer) GROUP BY c.region;\n"
    "CREATE MATERIALIZED VIEW held WITH (emit_interval = '50 milliseconds') AS SELECT customer, sum(amount) AS total "
    "FROM orders GROUP BY customer;\n"
    "CREATE MATERIALIZED VIEW whole AS SELECT count(*) AS regions, sum(total) AS total FROM by_region;\n"
    "CREATE MATERIALIZED VIEW ratio AS SELECT id, 100 / (amount - 7) AS r FROM orders;\n"
    "CREATE MATERIALIZED VIEW win WITH (layout = 'packed') AS SELECT window_start, count(*) AS n FROM tumble(orders, "
    "at, interval '10 seconds') GROUP BY window_start;\n",
    // all output packed: it rides in the commit
    "CREATE TABLE orders (id bigint NOT NULL, customer text, amount bigint, at timestamptz NOT NULL)\n"
    "  WITH (subject = 'sim.orders', event_time = 'at', max_future = '1 day');\n"
    "CREATE TABLE customers (customer text PRIMARY KEY, region text) WITH (subject = 'sim.customers');\n"
    "CREATE MATERIALIZED VIEW per_customer WITH (layout = 'packed') AS SELECT customer, count(*) AS n, sum(amount) AS "
    "total, max(amount) AS top FROM orders GROUP BY customer;\n"
    "CREATE MATERIALIZED VIEW by_region WITH (layout = 'packed') AS SELECT c.region, count(*) AS n, sum(o.amount) AS "
    "total FROM orders o JOIN customers c USING (customer) GROUP BY c.region;\n",
};
#define PIPELINE_COUNT (sizeof pipelines / sizeof pipelines[0])

_Noreturn void die(const struct world *world, const char *what, const char *more) {
    printf("seed %" PRIu64 ": %s%s%s\n", world->seed, what, more[0] != '\0' ? ": " : "", more);
    exit(1);
}

void must(const struct world *world, enum br_status status, const struct br_error *error) {
    if (status != BR_OK)
        die(world, "failed", error->message);
}

static void live(struct world *world) {
    bool worked;
    for (int steps = 0; steps < world->quiet_steps || world->order_count < world->order_target; steps++) {
        if (steps == STEPS_MAX)
            die(world, "no progress under faults", "");
        if (steps >= world->quiet_steps && draw(world, 3) == 0)
            feed(world, 1 + draw(world, 20));
        if (steps >= world->quiet_steps)
            disturb(world);
        if (world->task == NULL || draw(world, 60) == 0)
            succeed(world);
        if (world->task != NULL && !step(world, world->log, world->task, &worked))
            bury(&world->task, &world->log);
        if (world->zombie != NULL && draw(world, 2) == 0 && !step(world, world->zombie_log, world->zombie, &worked))
            bury(&world->zombie, &world->zombie_log);
        if (world->log != NULL && draw(world, 4) == 0)
            br_log_wait(world->log, (int64_t)draw(world, 5000));
    }
}

static bool caught_up(const struct world *world) {
    struct br_task_status status;
    br_task_status(world->task, &status);
    return status.lag_messages == 0 && status.committed_epoch == status.epoch;
}

static void heal(struct world *world) {
    struct br_sim_faults none = {.seed = world->seed, .shown_max = world->faults.shown_max};
    br_sim_set_faults(world->sim, &none);
    bury(&world->zombie, &world->zombie_log);
    int idle = 0;
    for (int steps = 0; idle < IDLE_STEPS; steps++) {
        bool worked = true;
        if (steps == HEAL_STEPS_MAX)
            die(world, "no progress after healing", "");
        if (world->task == NULL)
            succeed(world);
        else if (!step(world, world->log, world->task, &worked))
            bury(&world->task, &world->log);
        else if (!worked)
            br_log_wait(world->log, 1000);
        idle = world->task != NULL && !worked && caught_up(world) ? idle + 1 : 0;
    }
}

// A fresh worker on an empty store repeats the whole history undisturbed; recovery checks every digest on the way.
static void verify(struct world *world) {
    uint64_t epoch = br_task_epoch(world->task), digest = br_task_digest(world->task);
    bury(&world->task, &world->log);
    br_store_destroy(&world->store);
    world->store = br_store_create_memory();
    start(world, &world->task);
    if (world->task == NULL || br_task_epoch(world->task) != epoch || br_task_digest(world->task) != digest)
        die(world, "X7: an undisturbed repetition of the log ends elsewhere", "");
}

static void open_world(struct world *world, const struct br_pipeline *const *loaded) {
    unsigned which = world->seed % 4 == 3 ? 1 : 0;
    world->pipeline = loaded[which];
    world->rich = which == 0;
    world->random = world->seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
    bool large = world->seed % 25 == 7; // epochs of several parts, and many deaths between them
    world->order_target = large ? 2500 : 40 + draw(world, 200);
    bool quiet = world->seed % 10 == 4; // workers come and go before the first event; in some of these none ever comes
    world->quiet_steps = quiet ? 100 : 0;
    world->order_target = world->seed % 30 == 4 ? 0 : world->order_target;
    world->epoch_messages = large ? 3000 : draw(world, 2) == 0 ? 0 : 1 + (uint32_t)draw(world, 40);
    world->orders = br_calloc(EVENTS_MAX, sizeof *world->orders);
    world->oddity = sim_draw_oddity(&world->random);
    if (large)
        world->oddity.goes_back = false; // its epochs take long
    world->faults = (struct br_sim_faults){.seed = world->seed,
                                           .lose_ack = (uint32_t)draw(world, 100),
                                           .lose_batch = (uint32_t)draw(world, 100),
                                           .late_batch = (uint32_t)draw(world, 100),
                                           .delay = (uint32_t)draw(world, 200),
                                           .refuse = (uint32_t)draw(world, 50),
                                           .shown_max = large ? 0 : world->oddity.shown_max,
                                           .crash = large ? 60 : (uint32_t)draw(world, 12)};
    world->sim = br_sim_create(&world->faults);
    world->feeder = br_sim_connect(world->sim, false);
    world->store = br_store_create_memory();
    sim_inputs_open(&world->inputs, world->sim, world->feeder, world->pipeline, world->pipeline->table_count,
                    world->oddity.shared);
    feed_before(world);
    if (large)
        feed(world, 2400);
}

static void close_world(struct world *world) {
    bury(&world->task, &world->log);
    bury(&world->zombie, &world->zombie_log);
    sim_inputs_close(&world->inputs);
    br_log_close(&world->feeder);
    br_store_destroy(&world->store);
    br_store_destroy(&world->old_store);
    br_sim_destroy(&world->sim);
    free(world->orders);
}

struct totals {
    uint64_t crashes, fences, cut_epochs, changes_told, begun_anew, intrusions, intrusions_beside_zombies;
};

static void run_seed(uint64_t seed, const struct br_pipeline *const *loaded, struct totals *totals) {
    struct world *world = br_calloc(1, sizeof *world);
    world->seed = seed;
    open_world(world, loaded);
    live(world);
    heal(world);
    judge(world);
    verify(world);
    totals->crashes += world->crashes;
    totals->fences += world->fences;
    totals->cut_epochs += world->cut_epochs;
    totals->changes_told += world->changes_told;
    totals->begun_anew += world->begun_anew;
    totals->intrusions += world->intrusions;
    totals->intrusions_beside_zombies += world->intrusions_beside_zombies;
    close_world(world);
    free(world);
}

int main(int argc, char **argv) {
    br_log_configure(getenv("BRAID_SIM_LOG") != NULL ? BR_LEVEL_DEBUG : BR_LEVEL_ERROR + 1, false);
    const char *wanted = getenv("BRAID_SIM_SEEDS");
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 1 ? 1 : wanted != NULL ? strtoull(wanted, NULL, 10) : 300;
    struct br_pipeline *loaded[PIPELINE_COUNT];
    for (size_t p = 0; p < PIPELINE_COUNT; p++)
        loaded[p] = sim_load(pipelines[p], "sim");
    struct totals totals = {0};
    for (uint64_t seed = first; seed < first + count; seed++)
        run_seed(seed, (const struct br_pipeline *const *)loaded, &totals);
    for (size_t p = 0; p < PIPELINE_COUNT; p++)
        br_pipeline_destroy(&loaded[p]);
    printf("%" PRIu64 " seeds, %" PRIu64 " crashes, %" PRIu64 " workers fenced, %" PRIu64
           " epochs cut between parts, %" PRIu64 " times told that a stream has changed, %" PRIu64
           " times begun anew, %" PRIu64 " times others published among the commits, %" PRIu64 " beside a zombie\n",
           count, totals.crashes, totals.fences, totals.cut_epochs, totals.changes_told, totals.begun_anew,
           totals.intrusions, totals.intrusions_beside_zombies);
    if (count >= 100 && (totals.crashes == 0 || totals.fences == 0 || totals.cut_epochs == 0 ||
                         totals.changes_told == 0 || totals.begun_anew == 0 || totals.intrusions_beside_zombies == 0)) {
        printf("some of it never happened\n");
        return 1;
    }
    printf("%" PRIu64 " passed, 0 failed\n", count);
    return 0;
}
