// SPDX-License-Identifier: Apache-2.0
// Replays, takeovers and rollbacks under faults, from seeds: production code on the simulated log.
//
// Method. A feeder publishes random events while the owner of the outputs works, crashes and restarts. Beside it a
// replay with a changed pipeline repeats its epochs, crashes, restarts, leaves zombies behind, and takes the outputs
// over; later the former lineage may take them back, and the replay's once more. Deaths come at every call, also
// between the parts of a takeover. Then faults stop, and the owner must consume all input. At the end
//   - what was published, folded message by message as a subscriber does, is what a fresh, undisturbed run of the
//   owner's
//     pipeline publishes (X14);
//   - of each lineage the epochs on the log follow each other, and every takeover follows the last commit of the one it
//     took over from (X13, X15),
//   - views of the replay that have taken their state over changed in every epoch as those of the owner did (X17).
// `sim_promote SEED` runs one seed alone. BRAID_SIM_SEEDS says how many to run (default 300).
#define _GNU_SOURCE // memmem
#include "base/logging.h"
#include "braid/v1/commit.pb-c.h"
#include "cli/events.h"
#include "cli/relation.h"
#include "processor/log/simulated.h"
#include "processor/sql/sql.h"
#include "replay/commits.h"
#include "replay/replay.h"
#include "replay/upgrade.h"

#include <inttypes.h>
#include <stdio.h>

#define CUSTOMERS 40
#define CUSTOMERS_LARGE 700 // so many rows differ that a takeover has several parts
#define STEPS_MAX 400000
#define HEAL_STEPS_MAX 100000
#define LINEAGES 2
#define TABLE_COUNT 4
#define CUTS_MAX 6              // of copying, in a world
#define SMALL_BUDGET (16 << 10) // so that what is copied is flushed on the way

#define TABLES                                                                                                         \
    "CREATE TABLE orders (id bigint NOT NULL, customer text, amount bigint, at timestamptz NOT NULL)\n"                \
    "  WITH (subject = 'sim.orders', event_time = 'at');\n"                                                            \
    "CREATE TABLE customers (customer text PRIMARY KEY, region text) WITH (subject = 'sim.customers');\n"              \
    "CREATE TABLE labels (label text PRIMARY KEY, name text) WITH (subject = 'sim.labels');\n"                         \
    "CREATE TABLE ticks (n bigint NOT NULL, at timestamptz NOT NULL) WITH (subject = 'sim.ticks', event_time = "       \
    "'at');\n"

// Views that stay as they are, and sleep until they take their state over: over a stream, over a table with a key
// (whose rows a view that changes reads too), over another view, held back, unstored; over tables that nobody else
// reads; with one row from the beginning.
#define KEPT                                                                                                           \
    "CREATE MATERIALIZED VIEW same WITH (subject = 'out.same.{customer}') AS SELECT customer, count(*) AS n, "         \
    "min(amount) AS low FROM orders WHERE amount > 4 GROUP BY customer;\n"                                             \
    "CREATE MATERIALIZED VIEW joined AS SELECT c.region, o.amount FROM orders o JOIN customers c USING (customer) "    \
    "WHERE o.amount > 13;\n"                                                                                           \
    "CREATE MATERIALIZED VIEW above WITH (subject = 'out.above.{n}') AS SELECT n, count(*) AS customers FROM same "    \
    "GROUP BY n;\n"                                                                                                    \
    "CREATE MATERIALIZED VIEW slow WITH (subject = 'out.slow.{customer}', emit_interval = '50 milliseconds') AS "      \
    "SELECT customer, sum(amount) AS total FROM orders WHERE amount < 8 GROUP BY customer;\n"                          \
    "CREATE MATERIALIZED VIEW windows WITH (subject = 'out.windows.{window_start}', emit = final) AS SELECT "          \
    "window_start, sum(amount) AS total FROM tumble(orders, at, interval '3 seconds') GROUP BY window_start;\n"        \
    "CREATE MATERIALIZED VIEW passed WITH (subject = 'out.unstored.passed') AS SELECT id FROM orders WHERE amount = "  \
    "3;\n"                                                                                                             \
    "CREATE MATERIALIZED VIEW names WITH (subject = 'out.names.{label}') AS SELECT label, name FROM labels;\n"         \
    "CREATE MATERIALIZED VIEW ticked WITH (subject = 'out.ticked.{window_start}', emit = final) AS SELECT "            \
    "window_start, sum(n) AS total FROM tumble(ticks, at, interval '4 seconds') GROUP BY window_start;\n"              \
    "CREATE MATERIALIZED VIEW counted WITH (subject = 'out.counted') AS SELECT count(*) AS n FROM labels;\n"

// Every fate of a view: tracked (packed, keyed, without key, held back, windows, final), replaced, removed, new,
// unstored.
static const char *const texts[LINEAGES] = {
    TABLES "CREATE MATERIALIZED VIEW packed WITH (layout = 'packed') AS SELECT customer, count(*) AS n FROM orders "
           "WHERE amount > 5 GROUP BY customer;\n"
           "CREATE MATERIALIZED VIEW keyed WITH (subject = 'out.keyed.{customer}') AS SELECT customer, sum(amount) AS "
           "total FROM orders WHERE amount > 5 GROUP BY customer;\n"
           "CREATE MATERIALIZED VIEW bag AS SELECT c.region, o.amount FROM orders o JOIN customers c USING (customer) "
           "WHERE o.amount > 12;\n"
           "CREATE MATERIALIZED VIEW held WITH (subject = 'out.held.{customer}', emit_interval = '50 milliseconds') AS "
           "SELECT customer, max(amount) AS top FROM orders WHERE amount < 9 GROUP BY customer;\n"
           "CREATE MATERIALIZED VIEW closed WITH (subject = 'out.closed.{window_start}', emit = final) AS SELECT "
           "window_start, count(*) AS n FROM tumble(orders, at, interval '5 seconds') WHERE amount > 3 GROUP BY "
           "window_start;\n"
           "CREATE MATERIALIZED VIEW moved WITH (subject = 'out.old.{region}') AS SELECT region, count(*) AS n FROM "
           "customers GROUP BY region;\n"
           "CREATE MATERIALIZED VIEW whole WITH (subject = 'out.whole') AS SELECT count(*) AS n, sum(amount) AS total "
           "FROM orders WHERE amount > 5;\n"
           "CREATE MATERIALIZED VIEW gone WITH (subject = 'out.gone.{customer}', emit_interval = '50 milliseconds') AS "
           "SELECT customer, count(*) AS n FROM orders GROUP BY customer;\n"
           "CREATE MATERIALIZED VIEW unstored WITH (subject = 'out.unstored') AS SELECT id FROM orders WHERE amount > "
           "5;\n" KEPT,
    TABLES "CREATE MATERIALIZED VIEW packed WITH (layout = 'packed') AS SELECT customer, count(*) AS n FROM orders "
           "WHERE amount > 7 GROUP BY customer;\n"
           "CREATE MATERIALIZED VIEW keyed WITH (subject = 'out.keyed.{customer}') AS SELECT customer, sum(amount) AS "
           "total FROM orders WHERE amount > 7 GROUP BY customer;\n"
           "CREATE MATERIALIZED VIEW bag AS SELECT c.region, o.amount FROM orders o JOIN customers c USING (customer) "
           "WHERE o.amount > 10;\n"
           "CREATE MATERIALIZED VIEW held WITH (subject = 'out.held.{customer}', emit_interval = '50 milliseconds') AS "
           "SELECT customer, max(amount) AS top FROM orders WHERE amount < 11 GROUP BY customer;\n"
           "CREATE MATERIALIZED VIEW closed WITH (subject = 'out.closed.{window_start}', emit = final) AS SELECT "
           "window_start, count(*) AS n FROM tumble(orders, at, interval '5 seconds') WHERE amount > 4 GROUP BY "
           "window_start;\n"
           "CREATE MATERIALIZED VIEW moved WITH (subject = 'out.new.{region}') AS SELECT region, count(*) AS n, "
           "min(customer) AS first FROM customers GROUP BY region;\n"
           "CREATE MATERIALIZED VIEW whole WITH (subject = 'out.whole') AS SELECT count(*) AS n, sum(amount) AS total "
           "FROM orders WHERE amount > 7;\n"
           "CREATE MATERIALIZED VIEW fresh WITH (subject = 'out.fresh.{customer}') AS SELECT customer, count(*) AS n "
           "FROM orders GROUP BY customer;\n"
           "CREATE MATERIALIZED VIEW unstored WITH (subject = 'out.unstored') AS SELECT id FROM orders WHERE amount > "
           "7;\n" KEPT,
};
static const char *const lineages[LINEAGES] = {"live", "r1"};

// A process: with a connection and the task or the replay that it runs.
struct process {
    struct br_log *log;
    struct br_task *task;
    struct br_replay *replay;
    int lineage;
    bool has_shadow;
    struct br_store *store; // of a zombie: its own
};

struct world {
    uint64_t seed, random;
    struct br_pipeline *const *pipelines; // by lineage
    struct br_sim *sim;
    struct br_log *feeder;
    struct br_store *stores[LINEAGES];
    struct process owner, replay, zombie;
    char workers[512][16];
    struct br_arena *arena;
    const bool *asleep; // by view of the changed pipeline: what its lineage begins with; NULL: it computes all
    unsigned starts;
    size_t orders, orders_target;
    uint32_t epoch_messages;
    bool large;
    int switches, switches_target; // of the ownership
    int cuts;
    uint64_t crashes, fences, takeovers, finished, grafts, rebuilt;
    struct br_row_writer *writers[TABLE_COUNT];
    struct br_sim_faults faults;
};

static _Noreturn void die(const struct world *world, const char *what, const char *more) {
    printf("seed %" PRIu64 ": %s%s%s\n", world->seed, what, more[0] != '\0' ? ": " : "", more);
    exit(1);
}

static void must(const struct world *world, enum br_status status, const struct br_error *error) {
    if (status != BR_OK)
        die(world, "failed", error->message);
}

// splitmix64
static uint64_t draw(struct world *world, uint64_t bound) {
    uint64_t z = world->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % bound;
}

// --- feeding

static void send(struct world *world, struct br_log *log, int table, const char *json, bool deletes) {
    static const char *const subjects[TABLE_COUNT] = {"sim.orders", "sim.customers", "sim.labels", "sim.ticks"};
    struct br_error error;
    struct br_buffer payload = {0};
    struct br_log_header header = {br_slice_of("Braid-Op"), br_slice_of("delete")};
    br_row_writer_begin(world->writers[table]);
    must(world, br_row_writer_read_json(world->writers[table], br_slice_of(json), &error), &error);
    must(world, br_row_writer_append(world->writers[table], &payload, &error), &error);
    struct br_log_message message = {.subject = br_slice_of(subjects[table]),
                                     .payload = br_buffer_slice(&payload),
                                     .headers = &header,
                                     .header_count = deletes ? 1 : 0};
    must(world, br_log_publish(log, &message, &error), &error);
    br_buffer_free(&payload);
}

static void feed(struct world *world, size_t count) {
    for (size_t i = 0; i < count && world->orders < world->orders_target; i++) {
        char json[200];
        int customer = (int)draw(world, world->large ? CUSTOMERS_LARGE : CUSTOMERS);
        if (draw(world, 5) == 0) {
            bool deletes = draw(world, 4) == 0;
            snprintf(json, sizeof json,
                     deletes ? "{\"customer\":\"c%d\"}" : "{\"customer\":\"c%d\",\"region\":\"r%d\"}", customer,
                     (int)draw(world, 3));
            send(world, world->feeder, 1, json, deletes);
            continue;
        }
        if (draw(world, 12) == 0) {
            snprintf(json, sizeof json, "{\"label\":\"l%d\",\"name\":\"n%d\"}", (int)draw(world, 9),
                     (int)draw(world, 100));
            send(world, world->feeder, 2, json, false);
        }
        size_t id = world->orders++;
        if (draw(world, 4) == 0) {
            snprintf(json, sizeof json, "{\"n\":%zu,\"at\":\"2026-01-01T00:%02zu:%02zuZ\"}", id, id / 600 % 60,
                     id / 10 % 60);
            send(world, world->feeder, 3, json, false);
        }
        snprintf(json, sizeof json,
                 "{\"id\":%zu,\"customer\":\"c%d\",\"amount\":%d,\"at\":\"2026-01-01T00:%02zu:%02zuZ\"}", id, customer,
                 (int)draw(world, 16), id / 600 % 60, id / 10 % 60);
        send(world, world->feeder, 0, json, false);
    }
}

// --- processes

static enum br_status open_store(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error) {
    struct br_store **store = context;
    (void)error;
    if (set_aside) {
        br_store_destroy(store);
        *store = br_store_create_memory();
    }
    *ret_store = br_store_share_memory(*store);
    return BR_OK;
}

static enum br_status open_empty(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error) {
    (void)context, (void)set_aside, (void)error;
    *ret_store = br_store_create_memory();
    return BR_OK;
}

static void bury(struct process *process) {
    br_replay_destroy(&process->replay);
    br_task_destroy(&process->task);
    br_log_close(&process->log);
    br_store_destroy(&process->store);
    *process = (struct process){0};
}

static const char *new_worker(struct world *world) {
    char *worker = world->workers[world->starts++ % 512];
    snprintf(worker, 16, "w%u", world->starts);
    return worker;
}

static bool is_fenced(const struct br_error *error) {
    return strncmp(error->message, "fenced", 6) == 0 || strstr(error->message, "has taken the outputs") != NULL ||
           strstr(error->message, "owns the outputs") != NULL;
}

// An old disk may come back: with a state that the log has left behind.
static void retire_zombie(struct world *world) {
    struct process *zombie = &world->zombie;
    bool used = (world->owner.log != NULL && world->owner.lineage == zombie->lineage) ||
                (world->replay.log != NULL && world->replay.lineage == zombie->lineage);
    if (!used && zombie->store != NULL && draw(world, 2) == 0) {
        br_store_destroy(&world->stores[zombie->lineage]);
        world->stores[zombie->lineage] = zombie->store;
        zombie->store = NULL;
    }
    bury(zombie);
}

// A process has failed: it may have crashed or been fenced, or has to try again; nothing else.
static void note_end(struct world *world, struct process *process, const struct br_error *error, const char *what) {
    if (error->status == BR_RETRY)
        return;
    if (process->log != NULL && br_sim_crashed(process->log))
        world->crashes++;
    else if (is_fenced(error))
        world->fences++;
    else
        die(world, what, error->message);
    if (process == &world->zombie)
        retire_zombie(world);
    else
        bury(process);
}

static int owner_of(struct world *world) {
    struct br_error error;
    struct br_owner owner;
    if (br_task_find_owner(world->feeder, "sim", &owner, &error) != BR_OK)
        return 0; // no output stream yet
    return strcmp(owner.lineage, lineages[1]) == 0 ? 1 : 0;
}

static enum br_status graft(void *context, struct br_task *task, struct br_error *error);

// What a graft in a process's recovery needs.
struct link {
    struct world *world;
    struct br_log *log;
};

static struct link *link_of(struct world *world, struct br_log *log) {
    struct link *link = br_arena_new(world->arena, struct link);
    *link = (struct link){world, log};
    return link;
}

// A copy of the lineage's state at this epoch, from its first commit on.
static enum br_status build_shadow(struct world *world, struct br_log *log, int lineage, uint64_t epoch,
                                   struct br_task **ret_shadow, struct br_error *error) {
    struct br_commits *commits = NULL;
    struct br_task_options options = {.pipeline = world->pipelines[lineage],
                                      .log = log,
                                      .clock = br_sim_clock(world->sim),
                                      .lineage = lineages[lineage],
                                      .role = BR_TASK_SHADOW,
                                      .graft = graft,
                                      .graft_context = link_of(world, log),
                                      .open_store = open_empty,
                                      .flush_interval_us = -1};
    enum br_status status = br_task_create(&options, ret_shadow, error);
    if (status == BR_OK)
        status = br_task_recover(*ret_shadow, error);
    while (status == BR_OK && commits == NULL) {
        status = br_commits_open(log, "sim", 0, &commits, error);
        status = status == BR_RETRY ? BR_OK : status;
    }
    while (status == BR_OK && br_task_epoch(*ret_shadow) < epoch) {
        const struct br_log_message *message;
        const Braid__V1__Commit *commit;
        status = br_commits_next(commits, &message, &commit, error);
        if (status != BR_OK || message == NULL) {
            br_log_wait(log, 1000);
            continue;
        }
        status = br_task_follow(*ret_shadow, message, error);
        br_commits_done(commits);
    }
    br_commits_close(&commits);
    return status;
}

// Recovery has come to where sleeping views woke.
static enum br_status graft(void *context, struct br_task *task, struct br_error *error) {
    struct link *link = context;
    struct br_task *shadow = NULL;
    const char *lineage;
    uint64_t epoch = br_task_follows(task, &lineage, NULL);
    enum br_status status =
        build_shadow(link->world, link->log, strcmp(lineage, lineages[1]) == 0 ? 1 : 0, epoch, &shadow, error);
    if (status == BR_OK)
        status = br_task_graft(task, shadow, NULL, NULL, error);
    link->world->rebuilt += status == BR_OK;
    br_task_destroy(&shadow);
    return status;
}

// The rest of a takeover that was cut between its parts.
static enum br_status finish_takeover(struct world *world, struct process *process, struct br_error *error) {
    const Braid__V1__Takeover *record = br_task_unfinished_takeover(process->task);
    int from = 1 - process->lineage;
    struct br_task *shadow = NULL;
    enum br_status status = build_shadow(world, process->log, from, record->from_epoch, &shadow, error);
    if (status == BR_OK)
        status = br_replay_finish_takeover(process->task, shadow, world->pipelines[process->lineage],
                                           world->pipelines[from], error);
    world->finished += status == BR_OK;
    br_task_destroy(&shadow);
    return status;
}

static void start_owner(struct world *world) {
    struct process *process = &world->owner;
    struct br_error error;
    process->lineage = owner_of(world);
    process->log = br_sim_connect(world->sim, true);
    struct br_task_options options = {.pipeline = world->pipelines[process->lineage],
                                      .log = process->log,
                                      .clock = br_sim_clock(world->sim),
                                      .lineage = lineages[process->lineage],
                                      .role = BR_TASK_OWNER,
                                      .worker = new_worker(world),
                                      .graft = graft,
                                      .graft_context = link_of(world, process->log),
                                      .open_store = open_store,
                                      .store_context = &world->stores[process->lineage],
                                      .epoch_messages = world->epoch_messages,
                                      .flush_interval_us = draw(world, 2) == 0 ? -1 : 20000};
    enum br_status status = br_task_create(&options, &process->task, &error);
    if (status == BR_OK)
        status = br_task_recover(process->task, &error);
    if (status == BR_OK && br_task_unfinished_takeover(process->task) != NULL)
        status = finish_takeover(world, process, &error);
    if (status == BR_OK)
        status = br_task_serve_from_now(process->task, &(struct br_task_options){0}, &error);
    if (status == BR_RETRY)
        bury(process);
    else if (status != BR_OK)
        note_end(world, process, &error, "the owner can't start");
}

static void step_owner(struct world *world, struct process *process) {
    struct br_error error;
    bool worked;
    if (br_task_step(process->task, &worked, &error) != BR_OK)
        note_end(world, process, &error, "a step of the owner failed");
}

// While rows are copied: sometimes not all of them are, and the process goes on, or dies of it.
static enum br_status tick(void *context, struct br_error *error) {
    struct world *world = context;
    uint64_t chance = draw(world, world->large ? 400 : 5);
    if (chance < 2 && world->cuts++ >= CUTS_MAX)
        return BR_OK;
    if (chance == 0)
        return br_error_set(error, BR_RETRY, "made up");
    return chance == 1 ? br_error_set(error, BR_FATAL, "fenced: made up") : BR_OK;
}

static void start_replay(struct world *world) {
    struct process *process = &world->replay;
    struct br_error error;
    int base = owner_of(world);
    process->lineage = 1 - base;
    process->log = br_sim_connect(world->sim, true);
    struct br_replay_options options = {.pipeline = world->pipelines[1 - base],
                                        .base_pipeline = world->pipelines[base],
                                        .lineage = lineages[1 - base],
                                        .base_lineage = lineages[base],
                                        .log = process->log,
                                        .clock = br_sim_clock(world->sim),
                                        .worker = new_worker(world),
                                        .asleep = base == 0 ? world->asleep : NULL,
                                        .graft = graft,
                                        .graft_context = link_of(world, process->log),
                                        .open_store = open_store,
                                        .store_context = &world->stores[1 - base],
                                        .state_budget_bytes = draw(world, 2) == 0 ? 0 : SMALL_BUDGET,
                                        .tick = tick,
                                        .tick_context = world,
                                        .flush_interval_us = draw(world, 2) == 0 ? -1 : 20000};
    enum br_status status = br_replay_create(&options, &process->replay, &error);
    if (status == BR_RETRY)
        bury(process);
    else if (status != BR_OK)
        note_end(world, process, &error, "the replay can't start");
}

static enum br_status try_promotion(struct world *world, struct process *process, struct br_error *error) {
    bool aligned, slept = br_task_sleeps(br_replay_task(process->replay));
    bool wakes = slept && br_task_epoch(br_replay_shadow(process->replay)) == br_replay_follows(process->replay);
    if (wakes && draw(world, 4) == 0 && world->cuts++ < CUTS_MAX)
        br_sim_crash_at(process->log, 1 + draw(world, 20));
    BR_TRY(br_replay_align(process->replay, &aligned, error));
    world->grafts += slept && aligned;
    if (!aligned || draw(world, 4) != 0)
        return BR_OK;
    struct br_promotion promotion = {.reason = "sim", .rollback = process->lineage == 0, .hold_us = 100000};
    enum br_promoted promoted;
    if (draw(world, 2) == 0) // death at any call of a takeover
        br_sim_crash_at(process->log, 1 + draw(world, 12));
    BR_TRY(br_replay_promote(process->replay, &promotion, &promoted, error));
    if (promoted == BR_PROMOTE_REFUSED)
        return BR_FATAL; // by a takeover of another's
    if (promoted == BR_PROMOTED) {
        br_sim_crash_at(process->log, 0);
        process->task = br_replay_take_task(process->replay);
        br_replay_destroy(&process->replay);
        world->takeovers++;
    }
    return BR_OK;
}

static void step_replay(struct world *world, struct process *process) {
    struct br_error error;
    enum br_replay_progress progress;
    enum br_status status = br_replay_step(process->replay, &progress, &error);
    if (status == BR_OK && !process->has_shadow && draw(world, 10) == 0) {
        status = br_replay_add_shadow(process->replay, open_empty, NULL, &error);
        process->has_shadow = status == BR_OK;
    }
    if (status == BR_OK && process->has_shadow && progress != BR_REPLAY_REACHED &&
        (br_replay_differences(process->replay) == NULL || progress == BR_REPLAY_WAITING))
        status = try_promotion(world, process, &error);
    if (status != BR_OK)
        note_end(world, process, &error, "a step of the replay failed");
}

static void step_process(struct world *world, struct process *process) {
    if (process->replay != NULL)
        step_replay(world, process);
    else if (process->task != NULL)
        step_owner(world, process);
}

// It goes on, on a store of its own.
static void leave_zombie(struct world *world, struct process *process) {
    world->zombie = *process;
    world->zombie.store = world->stores[process->lineage];
    world->stores[process->lineage] = br_store_create_memory();
    *process = (struct process){0};
}

// A replay that has taken over is the owner's process from then on; whoever was goes on as a zombie until it is fenced.
static void promote_process(struct world *world) {
    if (world->replay.task == NULL)
        return;
    if (world->zombie.log == NULL && world->owner.log != NULL && draw(world, 2) == 0)
        leave_zombie(world, &world->owner);
    else
        bury(&world->owner); // its store is there for the way back
    world->owner = world->replay;
    world->replay = (struct process){0};
    world->switches++;
    struct br_error error;
    if (br_task_serve_from_now(world->owner.task, &(struct br_task_options){0}, &error) != BR_OK)
        note_end(world, &world->owner, &error, "the new owner can't serve");
}

// Dies, loses its disk, or stays behind as a zombie on a store of its own.
static void replace(struct world *world, struct process *process) {
    int lineage = process->lineage;
    if (process->log != NULL && world->zombie.log == NULL && draw(world, 3) == 0) {
        leave_zombie(world, process);
        return;
    }
    bury(process);
    if (draw(world, 4) == 0) {
        br_store_destroy(&world->stores[lineage]);
        world->stores[lineage] = br_store_create_memory();
    }
}

static void serve_idle(void *context) {
    struct world *world = context;
    struct br_error error;
    bool worked;
    if (world->owner.task != NULL && world->owner.log != NULL && draw(world, 3) != 0 &&
        br_task_step(world->owner.task, &worked, &error) != BR_OK)
        note_end(world, &world->owner, &error, "a step of the owner failed");
}

static void live(struct world *world) {
    for (int steps = 0; world->orders < world->orders_target || world->switches < world->switches_target; steps++) {
        if (steps == STEPS_MAX)
            die(world, "no progress under faults", "");
        if (draw(world, 3) == 0)
            feed(world, 1 + draw(world, 10));
        if (world->owner.log == NULL)
            start_owner(world);
        else if (draw(world, 100) == 0)
            replace(world, &world->owner);
        bool wanted = world->switches < world->switches_target && world->orders > 10;
        if (world->replay.log == NULL && wanted && draw(world, 8) == 0)
            start_replay(world);
        else if (world->replay.log != NULL && draw(world, 200) == 0)
            replace(world, &world->replay);
        if (draw(world, 2) == 0)
            step_process(world, &world->owner);
        for (int i = 0; i < 4; i++)
            if (world->replay.log != NULL && world->replay.task == NULL)
                step_process(world, &world->replay);
        promote_process(world);
        if (world->zombie.log != NULL && draw(world, 2) == 0)
            step_process(world, &world->zombie);
        if (world->feeder != NULL && draw(world, 4) == 0)
            br_log_wait(world->feeder, (int64_t)draw(world, 5000));
        if (world->zombie.log != NULL && draw(world, 300) == 0)
            retire_zombie(world);
    }
}

static void heal(struct world *world) {
    struct br_sim_faults none = {.seed = world->seed};
    br_sim_set_faults(world->sim, &none);
    bury(&world->zombie);
    bury(&world->replay);
    int idle = 0;
    for (int steps = 0; idle < 200; steps++) { // long enough for everything held back to be published
        if (steps == HEAL_STEPS_MAX)
            die(world, "no progress after healing", "");
        if (world->owner.log == NULL)
            start_owner(world);
        if (world->owner.task == NULL)
            continue;
        step_owner(world, &world->owner);
        br_log_wait(world->feeder, 1000);
        if (world->owner.task == NULL)
            continue;
        struct br_task_status status;
        br_task_status(world->owner.task, &status);
        idle = status.lag_messages == 0 && status.committed_epoch == status.epoch ? idle + 1 : 0;
    }
}

// --- what a subscriber knows

struct line {
    char *text; // subject and payload
    int64_t count;
};

// The last value by subject where a view has a key, else rows with counts; packed views as their rows in JSON.
struct fold {
    struct world *world;
    struct br_arena *arena;
    struct br_state *state; // "subject" or "subject\0payload" → payload or count
    struct br_state_table *table;
    struct br_outputs *outputs;
    struct br_relation *relation;
    uint64_t epochs[LINEAGES], last_epoch_of_owner, last_sequence[LINEAGES];
    bool cut[LINEAGES];
    int owner;
    Braid__V1__Commit **first_owner; // by epoch, until hands change: what the first owner has committed
    size_t first_owner_count;
    bool changed_hands;
    struct br_buffer text;
};

static void fold_message(struct fold *fold, const struct br_log_message *message) {
    struct br_error error;
    struct br_slice op = {0};
    if (!br_log_message_header(message, "Braid-Op", &op) || message->subject.len < 4 ||
        memmem(message->subject.ptr, message->subject.len, "unstored", 8) != NULL)
        return;
    struct br_buffer key = {0};
    br_buffer_append_slice(&key, message->subject);
    struct world *world = fold->world;
    if (br_slice_is(op, "upsert")) {
        must(world, br_state_put(fold->table, br_buffer_slice(&key), message->payload, &error), &error);
    } else if (br_slice_is(op, "delete")) {
        must(world, br_state_delete(fold->table, br_buffer_slice(&key), &error), &error);
    } else {
        struct br_entry *entry;
        bool is_new;
        br_buffer_append_byte(&key, 0);
        br_buffer_append_slice(&key, message->payload);
        struct br_slice whole = br_buffer_slice(&key);
        must(world, br_state_obtain(fold->table, whole, br_state_hash(whole), 8, &entry, &is_new, &error), &error);
        int64_t count;
        memcpy(&count, entry->value, 8);
        count += br_slice_is(op, "insert") ? 1 : -1;
        memcpy(entry->value, &count, 8);
        br_entry_mark_dirty(fold->table, entry);
        if (count == 0)
            br_entry_delete(fold->table, entry);
    }
    br_state_end_epoch(fold->state);
    br_buffer_free(&key);
}

static enum br_status fold_packed(void *context, const struct br_output_row *row, struct br_error *error) {
    struct fold *fold = context;
    return row->view->layout == BR_LAYOUT_PACKED ? br_relation_apply(fold->relation, row, NULL, NULL, error) : BR_OK;
}

static enum br_status ignore_report(void *context, struct br_slice line, struct br_error *error) {
    (void)context, (void)line, (void)error;
    return BR_OK;
}

// X17: a view that has taken its state over changes as the owner's does, epoch by epoch.
static void judge_taken_over(struct fold *fold, const Braid__V1__Commit *commit) {
    struct world *world = fold->world;
    const struct br_pipeline *before = world->pipelines[0], *after = world->pipelines[1];
    if (world->asleep == NULL || fold->changed_hands || commit->follows_epoch == 0 ||
        commit->follows_epoch > fold->first_owner_count)
        return;
    const Braid__V1__Commit *base = fold->first_owner[commit->follows_epoch - 1];
    for (uint32_t v = 0; v < after->view_count; v++) {
        if (!world->asleep[v] || commit->views[v]->asleep)
            continue;
        uint32_t b = br_pipeline_find_view(before, after->views[v].name)->index;
        if (commit->views[v]->digest != base->views[b]->digest)
            die(world, "X17: a view that took its state over changes otherwise", after->views[v].name);
    }
}

static void note_first_owner(struct fold *fold, Braid__V1__Commit *take_commit) {
    fold->first_owner = br_realloc(fold->first_owner, (fold->first_owner_count + 1) * sizeof(Braid__V1__Commit *));
    fold->first_owner[fold->first_owner_count++] = take_commit;
}

// X13, X15: on the owner's subject a lineage changes by a takeover that names the last commit before it.
static void judge_commit(struct fold *fold, const struct br_log_message *message) {
    struct world *world = fold->world;
    char owner_subject[64];
    Braid__V1__Commit *commit = braid__v1__commit__unpack(NULL, message->payload.len, message->payload.ptr);
    if (commit == NULL)
        die(world, "a commit can't be read", "");
    int lineage = strcmp(commit->lineage, lineages[1]) == 0 ? 1 : 0;
    br_task_owner_subject("sim", owner_subject, sizeof owner_subject);
    bool on_owner = br_slice_is(message->subject, owner_subject);
    if (on_owner && lineage != fold->owner) {
        if (commit->takeover == NULL || commit->part != 1 ||
            commit->takeover->from_epoch != fold->epochs[fold->owner] ||
            commit->takeover->from_sequence != fold->last_sequence[fold->owner] || fold->cut[fold->owner])
            die(world, "X13: the outputs changed hands without a takeover of the last commit", "");
        fold->owner = lineage;
    }
    bool closes = commit->takeover != NULL && !on_owner;
    if (!closes) {
        uint64_t next = fold->epochs[lineage] + (fold->cut[lineage] ? 0 : 1);
        if (commit->epoch != next)
            die(world, "X15: epochs of a lineage don't follow each other", commit->lineage);
        fold->epochs[lineage] = commit->epoch;
        fold->cut[lineage] = commit->part != commit->parts;
        fold->last_sequence[lineage] = message->sequence;
    }
    fold->changed_hands |= commit->takeover != NULL;
    if (lineage == 1)
        judge_taken_over(fold, commit);
    if (lineage == 0 && !fold->changed_hands && commit->part == commit->parts)
        note_first_owner(fold, commit);
    else
        braid__v1__commit__free_unpacked(commit, NULL);
}

static void read_stream(struct fold *fold, struct br_log *log) {
    struct world *world = fold->world;
    struct br_error error;
    struct br_stream_info info;
    struct br_reader *reader;
    struct br_outputs_each each = {fold, fold_packed, ignore_report};
    must(world, br_log_stream_info(log, "BRAID_sim", &info, &error), &error);
    must(world, br_reader_open(log, "BRAID_sim", ">", 1, info.last_sequence, &reader, &error), &error);
    for (uint64_t sequence = 0; sequence < info.last_sequence;) {
        const struct br_log_message *messages;
        size_t count;
        must(world, br_reader_peek(reader, &messages, &count, &error), &error);
        for (size_t i = 0; i < count; i++) {
            sequence = messages[i].sequence;
            bool commit = memmem(messages[i].subject.ptr, messages[i].subject.len, ".commit.", 8) != NULL;
            bool packed = memmem(messages[i].subject.ptr, messages[i].subject.len, "view.packed", 11) != NULL;
            if (commit)
                judge_commit(fold, &messages[i]);
            if (commit || packed)
                must(world, br_outputs_read(fold->outputs, &messages[i], &each, &error), &error);
            else
                fold_message(fold, &messages[i]);
        }
        br_reader_consume(reader, count);
        br_reader_release(reader);
        if (count == 0)
            br_log_wait(log, 100);
    }
    br_reader_close(&reader);
}

static enum br_status print_packed(void *context, const struct br_view *view, uint64_t epoch, int weight,
                                   struct br_slice row, struct br_error *error) {
    struct fold *fold = context;
    (void)epoch, (void)weight, (void)error;
    br_buffer_printf(&fold->text, "%s %.*s\n", view->name, (int)row.len, (const char *)row.ptr);
    return BR_OK;
}

static void print_value(struct br_buffer *out, struct br_slice value) {
    for (size_t i = 0; i < value.len; i++)
        br_buffer_printf(out, value.ptr[i] > 32 && value.ptr[i] < 127 ? "%c" : "\\%02x", value.ptr[i]);
}

// All of it as text, in order.
static char *fold_all(struct world *world, struct br_log *log, const struct br_pipeline *pipeline) {
    struct br_error error;
    struct fold fold = {.world = world, .arena = br_arena_create()};
    must(world, br_state_create(br_store_create_memory(), (size_t)1 << 30, &fold.state, &error), &error);
    fold.table = br_state_open_table(fold.state, 1, "fold");
    must(world, br_outputs_create(pipeline, &fold.outputs, &error), &error);
    must(world, br_relation_create(pipeline, &fold.relation, &error), &error);
    read_stream(&fold, log);
    must(world, br_relation_each(fold.relation, print_packed, &fold, &error), &error);
    struct br_state_iterator *iterator;
    struct br_slice key, value;
    must(world, br_state_scan(fold.table, (struct br_slice){0}, (struct br_slice){0}, &iterator, &error), &error);
    while (br_state_iterator_next(iterator, &key, &value)) {
        print_value(&fold.text, key);
        br_buffer_append_byte(&fold.text, ' ');
        print_value(&fold.text, value);
        br_buffer_append_byte(&fold.text, '\n');
    }
    br_state_iterator_destroy(&iterator);
    for (size_t e = 0; e < fold.first_owner_count; e++)
        braid__v1__commit__free_unpacked(fold.first_owner[e], NULL);
    free(fold.first_owner);
    br_relation_destroy(&fold.relation);
    br_outputs_destroy(&fold.outputs);
    br_state_destroy(&fold.state);
    br_arena_destroy(&fold.arena);
    br_buffer_append_byte(&fold.text, '\0');
    return (char *)fold.text.ptr;
}

// --- an undisturbed run of the owner's pipeline over the same input

static void add_streams(struct world *world, struct br_sim *sim) {
    struct br_error error;
    must(world, br_sim_add_stream(sim, "ORDERS", &(const char *){"sim.orders"}, 1, &error), &error);
    must(world, br_sim_add_stream(sim, "CUSTOMERS", &(const char *){"sim.customers"}, 1, &error), &error);
    must(world, br_sim_add_stream(sim, "LABELS", &(const char *){"sim.labels"}, 1, &error), &error);
    must(world, br_sim_add_stream(sim, "TICKS", &(const char *){"sim.ticks"}, 1, &error), &error);
}

static void copy_stream(struct world *world, const char *stream, struct br_log *to) {
    struct br_error error;
    struct br_stream_info info;
    must(world, br_log_stream_info(world->feeder, stream, &info, &error), &error);
    for (uint64_t sequence = 1; sequence <= info.last_sequence; sequence++) {
        struct br_buffer copy = {0};
        struct br_log_message message;
        bool found;
        must(world, br_log_get(world->feeder, stream, sequence, &copy, &message, &found, &error), &error);
        must(world, br_log_publish(to, &message, &error), &error);
        br_buffer_free(&copy);
    }
}

static char *undisturbed(struct world *world, const struct br_pipeline *pipeline) {
    struct br_error error;
    struct br_sim *sim = br_sim_create(NULL);
    struct br_log *log = br_sim_connect(sim, false);
    struct br_store *store = br_store_create_memory();
    struct br_task *task = NULL;
    add_streams(world, sim);
    copy_stream(world, "ORDERS", log);
    copy_stream(world, "CUSTOMERS", log);
    copy_stream(world, "LABELS", log);
    copy_stream(world, "TICKS", log);
    struct br_task_options options = {.pipeline = pipeline,
                                      .log = log,
                                      .clock = br_sim_clock(sim),
                                      .worker = "undisturbed",
                                      .open_store = open_store,
                                      .store_context = &store,
                                      .flush_interval_us = -1};
    must(world, br_task_create(&options, &task, &error), &error);
    must(world, br_task_recover(task, &error), &error);
    for (int i = 0; i < 1000; i++) {
        bool worked;
        must(world, br_task_step(task, &worked, &error), &error);
        if (!worked)
            br_log_wait(log, 1000);
    }
    char *text = fold_all(world, log, pipeline);
    br_task_destroy(&task);
    br_log_close(&log);
    br_store_destroy(&store);
    br_sim_destroy(&sim);
    return text;
}

static void judge(struct world *world) {
    const struct br_pipeline *pipeline = world->pipelines[owner_of(world)];
    char *want = undisturbed(world, pipeline);
    char *have = fold_all(world, world->feeder, pipeline);
    if (strcmp(want, have) != 0) {
        printf("--- an undisturbed run of %s\n%s+++ what was published\n%s", lineages[owner_of(world)], want, have);
        die(world, "X14: what was published isn't the owner's state", "");
    }
    free(want);
    free(have);
}

// --- one seed

static void open_world(struct world *world) {
    struct br_error error;
    world->random = world->seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
    bool large = world->large = world->seed % 10 == 3;
    world->orders_target = large ? 2600 : 60 + draw(world, 200);
    world->epoch_messages = large ? 1200 : draw(world, 2) == 0 ? 0 : 1 + (uint32_t)draw(world, 40);
    world->switches_target = 1 + (int)draw(world, 3);
    world->faults = (struct br_sim_faults){.seed = world->seed,
                                           .lose_ack = (uint32_t)draw(world, 60),
                                           .lose_batch = (uint32_t)draw(world, 60),
                                           .late_batch = (uint32_t)draw(world, 60),
                                           .delay = draw(world, 4) == 0 ? 800 : (uint32_t)draw(world, 400),
                                           .refuse = (uint32_t)draw(world, 30),
                                           .crash = large ? 1 : (uint32_t)draw(world, 6)};
    world->arena = br_arena_create();
    world->sim = br_sim_create(&world->faults);
    br_sim_on_idle(world->sim, serve_idle, world);
    world->feeder = br_sim_connect(world->sim, false);
    for (int l = 0; l < LINEAGES; l++)
        world->stores[l] = br_store_create_memory();
    add_streams(world, world->sim);
    for (int t = 0; t < TABLE_COUNT; t++)
        must(world, br_row_writer_create(&world->pipelines[0]->tables[t].row_type, &world->writers[t], &error), &error);
    if (large)
        feed(world, 2400);
}

static void close_world(struct world *world) {
    bury(&world->owner);
    bury(&world->replay);
    bury(&world->zombie);
    for (int t = 0; t < TABLE_COUNT; t++)
        br_row_writer_destroy(&world->writers[t]);
    br_log_close(&world->feeder);
    for (int l = 0; l < LINEAGES; l++)
        br_store_destroy(&world->stores[l]);
    br_sim_destroy(&world->sim);
    br_arena_destroy(&world->arena);
}

struct totals {
    uint64_t crashes, fences, takeovers, finished, grafts, rebuilt;
};

static void run_seed(uint64_t seed, struct br_pipeline *const *pipelines, const bool *asleep, struct totals *totals) {
    struct world *world = br_calloc(1, sizeof *world);
    world->seed = seed;
    world->pipelines = pipelines;
    world->asleep = seed % 4 == 0 ? NULL : asleep;
    open_world(world);
    live(world);
    heal(world);
    judge(world);
    totals->crashes += world->crashes;
    totals->fences += world->fences;
    totals->takeovers += world->takeovers;
    totals->finished += world->finished;
    totals->grafts += world->grafts;
    totals->rebuilt += world->rebuilt;
    close_world(world);
    free(world);
}

static bool *sleepers(struct br_pipeline *const *pipelines) {
    static const char *const expected = "same joined above slow windows passed names ticked counted ";
    struct br_upgrade *upgrade = br_upgrade_compare(pipelines[0], pipelines[1]);
    bool *asleep = br_calloc(pipelines[1]->view_count, sizeof *asleep);
    struct br_buffer names = {0};
    for (uint32_t i = 0; i < upgrade->view_count; i++)
        if (upgrade->views[i].takes_state) {
            asleep[upgrade->views[i].after->index] = true;
            br_buffer_printf(&names, "%s ", upgrade->views[i].view);
        }
    *br_buffer_reserve(&names, 1) = '\0';
    if (strcmp((const char *)names.ptr, expected) != 0) {
        printf("views that take their state over: %s\n", (const char *)names.ptr);
        exit(1);
    }
    br_buffer_free(&names);
    br_upgrade_destroy(&upgrade);
    return asleep;
}

static struct br_pipeline *load(const char *text) {
    struct br_error error;
    struct br_pipeline *pipeline = NULL;
    struct br_pipeline_options options = {.name = "sim"};
    struct br_diagnostics *diagnostics = br_diagnostics_create("sim.sql", text);
    if (br_pipeline_load("sim.sql", text, &options, diagnostics, &pipeline, &error) != BR_OK) {
        struct br_buffer out = {0};
        br_diagnostics_print(diagnostics, false, &out);
        printf("%.*s%s\n", (int)out.len, (const char *)out.ptr, error.message);
        exit(1);
    }
    br_diagnostics_destroy(&diagnostics);
    return pipeline;
}

int main(int argc, char **argv) {
    br_log_configure(getenv("BRAID_SIM_LOG") != NULL ? BR_LEVEL_DEBUG : BR_LEVEL_ERROR + 1, false);
    const char *wanted = getenv("BRAID_SIM_SEEDS");
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 1 ? 1 : wanted != NULL ? strtoull(wanted, NULL, 10) : 300;
    struct br_pipeline *pipelines[LINEAGES];
    for (int l = 0; l < LINEAGES; l++)
        pipelines[l] = load(texts[l]);
    struct totals totals = {0};
    bool *asleep = sleepers(pipelines);
    for (uint64_t seed = first; seed < first + count; seed++)
        run_seed(seed, pipelines, asleep, &totals);
    if (count >= 300 && (totals.crashes == 0 || totals.fences == 0 || totals.finished == 0 || totals.grafts == 0 ||
                         totals.rebuilt == 0)) {
        printf("what never happened: %" PRIu64 " crashes, %" PRIu64 " fences, %" PRIu64
               " takeovers cut between parts, %" PRIu64 " states taken over, %" PRIu64 " of them built again\n",
               totals.crashes, totals.fences, totals.finished, totals.grafts, totals.rebuilt);
        return 1;
    }
    for (int l = 0; l < LINEAGES; l++)
        br_pipeline_destroy(&pipelines[l]);
    printf("%" PRIu64 " seeds, %" PRIu64 " crashes, %" PRIu64 " fenced, %" PRIu64 " takeovers, %" PRIu64
           " of them ended by a successor, %" PRIu64 " times state taken over, %" PRIu64 " times from the log\n",
           count, totals.crashes, totals.fences, totals.takeovers, totals.finished, totals.grafts, totals.rebuilt);
    free(asleep);
    printf("%" PRIu64 " passed, 0 failed\n", count);
    return 0;
}
