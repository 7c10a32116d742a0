// SPDX-License-Identifier: Apache-2.0
// The epoch loop under faults, from seeds: production task code on the simulated log and an in-memory store.
//
// Method. A feeder publishes random events (some bad) into two streams while a task works, at once or after a while.
// The task's connection loses acks, loses batches, lands batches late, delays, refuses and crashes at any call. After a
// crash a successor starts with the store as it was flushed, with an empty one (lost disk), or beside its predecessor,
// which then goes on as a zombie. Safety is checked as it goes: every step either works, crashes, or is fenced. Then
// faults stop, and progress is required: all input must be consumed. At the end
//   - what subscribers saw folds to what a naive C fold of the input gives, for every view (X1, X2, X5, X6);
//   - commits are consecutive, parts are whole and in order, positions cover the input exactly once (X3, X6);
//   - a fresh task on an empty store follows the commits undisturbed: every digest agrees (X7, X11).
// A failing seed prints itself: `sim_epochs SEED` runs it alone. BRAID_SIM_SEEDS says how many to run (default 300).
#define _GNU_SOURCE // memmem
#include "base/logging.h"
#include "braid/v1/commit.pb-c.h"
#include "cli/events.h"
#include "cli/expect.h"
#include "cli/relation.h"
#include "processor/log/simulated.h"
#include "processor/sql/sql.h"
#include "processor/task.h"

#include <inttypes.h>
#include <stdio.h>

#define CUSTOMERS 6
#define EVENTS_MAX 4000
#define STEPS_MAX 200000
#define HEAL_STEPS_MAX 20000

static const char *const pipelines[] = {
    // every kind of output in one epoch: append-only, keyed, joined, view on view, windowed and packed, quarantine of
    // tables and views
    "CREATE TABLE orders (id bigint NOT NULL, customer text, amount bigint CHECK (amount >= 0), at timestamptz NOT "
    "NULL)\n"
    "  WITH (subject = 'sim.orders', event_time = 'at');\n"
    "CREATE TABLE customers (customer text PRIMARY KEY, region text) WITH (subject = 'sim.customers');\n"
    "CREATE MATERIALIZED VIEW passed AS SELECT id, amount * 2 AS twice FROM orders WHERE amount > 10;\n"
    "CREATE MATERIALIZED VIEW per_customer AS SELECT customer, count(*) AS n, sum(amount) AS total, max(amount) AS top "
    "FROM orders GROUP BY customer;\n"
    "CREATE MATERIALIZED VIEW by_region AS SELECT c.region, count(*) AS n, sum(o.amount) AS total FROM orders o JOIN "
    "customers c USING (customer) GROUP BY c.region;\n"
    "CREATE MATERIALIZED VIEW whole AS SELECT count(*) AS regions, sum(total) AS total FROM by_region;\n"
    "CREATE MATERIALIZED VIEW ratio AS SELECT id, 100 / (amount - 7) AS r FROM orders;\n"
    "CREATE MATERIALIZED VIEW win WITH (layout = 'packed') AS SELECT window_start, count(*) AS n FROM tumble(orders, "
    "at, interval '10 seconds') GROUP BY window_start;\n",
    // all output packed: it rides in the commit
    "CREATE TABLE orders (id bigint NOT NULL, customer text, amount bigint, at timestamptz NOT NULL)\n"
    "  WITH (subject = 'sim.orders', event_time = 'at');\n"
    "CREATE TABLE customers (customer text PRIMARY KEY, region text) WITH (subject = 'sim.customers');\n"
    "CREATE MATERIALIZED VIEW per_customer WITH (layout = 'packed') AS SELECT customer, count(*) AS n, sum(amount) AS "
    "total, max(amount) AS top FROM orders GROUP BY customer;\n"
    "CREATE MATERIALIZED VIEW by_region WITH (layout = 'packed') AS SELECT c.region, count(*) AS n, sum(o.amount) AS "
    "total FROM orders o JOIN customers c USING (customer) GROUP BY c.region;\n",
};
#define PIPELINE_COUNT (sizeof pipelines / sizeof pipelines[0])

struct order {
    int customer; // -1: NULL
    int64_t amount;
    bool garbage;
};

struct world {
    uint64_t seed, random;
    const struct br_pipeline *pipeline;
    bool rich; // pipeline 0
    struct br_sim *sim;
    struct br_log *feeder, *log, *zombie_log;
    struct br_store *store;
    struct br_task *task, *zombie;
    char workers[256][16];
    unsigned starts, crashes, fences, cut_epochs;
    struct order *orders;
    size_t order_count, order_target;
    int quiet_steps;        // in which nothing is published yet
    int regions[CUSTOMERS]; // -1: no row
    struct br_row_writer *order_writer, *customer_writer;
    struct br_sim_faults faults;
    uint32_t epoch_messages;
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

static void send(struct world *world, const char *subject, struct br_row_writer *writer, const char *json,
                 bool deletes) {
    struct br_error error;
    struct br_buffer payload = {0};
    struct br_log_header header = {br_slice_of("Braid-Op"), br_slice_of("delete")};
    br_row_writer_begin(writer);
    must(world, br_row_writer_read_json(writer, br_slice_of(json), &error), &error);
    must(world, br_row_writer_append(writer, &payload, &error), &error);
    struct br_log_message message = {.subject = br_slice_of(subject),
                                     .payload = br_buffer_slice(&payload),
                                     .headers = &header,
                                     .header_count = deletes ? 1 : 0};
    must(world, br_log_publish(world->feeder, &message, &error), &error);
    br_buffer_free(&payload);
}

static void feed_order(struct world *world) {
    struct order *order = &world->orders[world->order_count];
    size_t id = world->order_count++;
    *order = (struct order){.customer = (int)draw(world, CUSTOMERS + 1) - 1,
                            .amount = (int64_t)draw(world, 24) - (world->rich ? 3 : 0)};
    if (draw(world, 40) == 0) {
        order->garbage = true;
        struct br_error error;
        struct br_log_message message = {.subject = br_slice_of("sim.orders"), .payload = br_slice_of("\xff\xff\xff")};
        must(world, br_log_publish(world->feeder, &message, &error), &error);
        return;
    }
    char json[200], customer[16];
    snprintf(customer, sizeof customer, order->customer < 0 ? "null" : "\"c%d\"", order->customer);
    snprintf(json, sizeof json,
             "{\"id\":%zu,\"customer\":%s,\"amount\":%" PRId64 ",\"at\":\"2026-01-01T%02zu:%02zu:%02zuZ\"}", id,
             customer, order->amount, id / 3600 % 24, id / 60 % 60, id % 60);
    send(world, "sim.orders", world->order_writer, json, false);
}

static void feed_customer(struct world *world) {
    int customer = (int)draw(world, CUSTOMERS);
    bool deletes = world->regions[customer] >= 0 && draw(world, 4) == 0;
    char json[100];
    world->regions[customer] = deletes ? -1 : (int)draw(world, 3);
    if (deletes)
        snprintf(json, sizeof json, "{\"customer\":\"c%d\"}", customer);
    else
        snprintf(json, sizeof json, "{\"customer\":\"c%d\",\"region\":\"r%d\"}", customer, world->regions[customer]);
    send(world, "sim.customers", world->customer_writer, json, deletes);
}

static void feed(struct world *world, size_t count) {
    for (size_t i = 0; i < count && world->order_count < world->order_target; i++) {
        if (draw(world, 5) == 0)
            feed_customer(world);
        else
            feed_order(world);
    }
}

// --- workers

static enum br_status open_store(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error) {
    struct world *world = context;
    (void)error;
    if (set_aside) {
        br_store_destroy(&world->store);
        world->store = br_store_create_memory();
    }
    *ret_store = br_store_share_memory(world->store);
    return BR_OK;
}

// Did the last worker die between the parts of an epoch?
static void note_cut_epoch(struct world *world) {
    struct br_error error;
    struct br_buffer copy = {0};
    struct br_log_message last;
    bool found = false;
    char stream[256], subject[256];
    br_task_output_stream(world->pipeline->name, stream, sizeof stream);
    br_task_owner_subject(world->pipeline->name, subject, sizeof subject);
    if (br_log_last(world->feeder, stream, subject, &copy, &last, &found, &error) == BR_OK && found) {
        Braid__V1__Commit *commit = braid__v1__commit__unpack(NULL, last.payload.len, last.payload.ptr);
        world->cut_epochs += commit != NULL && commit->part != commit->parts;
        braid__v1__commit__free_unpacked(commit, NULL);
    }
    br_buffer_free(&copy);
}

static bool was_fenced(const struct br_error *error) {
    return strncmp(error->message, "fenced", 6) == 0;
}

// Starts a worker; it may crash while it recovers, then *ret_task is NULL.
static void start(struct world *world, struct br_task **ret_task) {
    struct br_error error;
    note_cut_epoch(world);
    char *worker = world->workers[world->starts++ % 256];
    snprintf(worker, 16, "w%u", world->starts);
    world->log = br_sim_connect(world->sim, true);
    struct br_task_options options = {.pipeline = world->pipeline,
                                      .log = world->log,
                                      .clock = br_sim_clock(world->sim),
                                      .worker = worker,
                                      .open_store = open_store,
                                      .store_context = world,
                                      .epoch_messages = world->epoch_messages,
                                      .flush_interval_us = draw(world, 2) == 0 ? -1 : 20000};
    enum br_status status = br_task_create(&options, ret_task, &error);
    if (status == BR_OK)
        status = br_task_recover(*ret_task, &error);
    if (status == BR_OK)
        return;
    if (!br_sim_crashed(world->log) && !was_fenced(&error))
        die(world, "recovery failed", error.message);
    br_task_destroy(ret_task);
    br_log_close(&world->log);
    world->crashes++;
}

// One step of a worker. False when it is no more: crashed, or fenced.
static bool step(struct world *world, struct br_log *log, struct br_task *task, bool *ret_worked) {
    struct br_error error;
    enum br_status status = br_task_step(task, ret_worked, &error);
    if (status == BR_OK)
        return true;
    if (br_sim_crashed(log)) {
        world->crashes++;
        return false;
    }
    if (!was_fenced(&error))
        die(world, "a step failed", error.message);
    world->fences++;
    return false;
}

static void bury(struct br_task **task, struct br_log **log) {
    br_task_destroy(task);
    br_log_close(log);
}

// Replaces the worker: with its store, with an empty one, or leaving it behind as a zombie on its own store.
static void succeed(struct world *world) {
    bool leave_zombie = world->task != NULL && world->zombie == NULL && draw(world, 3) == 0;
    if (leave_zombie) {
        world->zombie = world->task;
        world->zombie_log = world->log;
        world->task = NULL;
        world->log = NULL;
    } else {
        bury(&world->task, &world->log);
    }
    if (leave_zombie || draw(world, 4) == 0) { // another machine, or a lost disk
        br_store_destroy(&world->store);
        world->store = br_store_create_memory();
    }
    start(world, &world->task);
}

static void live(struct world *world) {
    bool worked;
    for (int steps = 0; steps < world->quiet_steps || world->order_count < world->order_target; steps++) {
        if (steps == STEPS_MAX)
            die(world, "no progress under faults", "");
        if (steps >= world->quiet_steps && draw(world, 3) == 0)
            feed(world, 1 + draw(world, 20));
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

static void heal(struct world *world) {
    struct br_sim_faults none = {.seed = world->seed};
    br_sim_set_faults(world->sim, &none);
    bury(&world->zombie, &world->zombie_log);
    bool idle = false;
    for (int steps = 0; !idle; steps++) {
        bool worked = true;
        if (steps == HEAL_STEPS_MAX)
            die(world, "no progress after healing", "");
        if (world->task == NULL)
            succeed(world);
        else if (!step(world, world->log, world->task, &worked))
            bury(&world->task, &world->log);
        else if (!worked) {
            struct br_task_status status;
            br_task_status(world->task, &status);
            idle = status.lag_messages == 0 && status.committed_epoch == status.epoch;
            br_log_wait(world->log, 1000);
        }
    }
}

// --- the naive fold

static void expect_line(struct br_lines *lines, struct br_arena *arena, const char *text) {
    br_lines_add(lines, br_slice_of(br_arena_strdup(arena, text)));
}

struct sums {
    int64_t n, total, top;
};

static void add(struct sums *sums, int64_t amount) {
    sums->top = sums->n == 0 || amount > sums->top ? amount : sums->top;
    sums->n++;
    sums->total += amount;
}

static void naive(const struct world *world, struct br_lines *lines, struct br_arena *arena, size_t *ret_reports) {
    struct sums customers[CUSTOMERS + 1] = {0}, regions[3] = {0}, windows[EVENTS_MAX / 10 + 1] = {0};
    *ret_reports = 0;
    for (size_t id = 0; id < world->order_count; id++) {
        const struct order *order = &world->orders[id];
        if (order->garbage || order->amount < 0) {
            ++*ret_reports;
            continue;
        }
        add(&customers[order->customer + 1], order->amount);
        add(&windows[id / 10], order->amount);
        if (order->customer >= 0 && world->regions[order->customer] >= 0)
            add(&regions[world->regions[order->customer]], order->amount);
        if (!world->rich)
            continue;
        if (order->amount > 10)
            expect_line(lines, arena,
                        br_arena_printf(arena, "{\"view\":\"passed\",\"row\":{\"id\":%zu,\"twice\":%" PRId64 "}}", id,
                                        order->amount * 2));
        if (order->amount == 7)
            ++*ret_reports;
        else
            expect_line(lines, arena,
                        br_arena_printf(arena, "{\"view\":\"ratio\",\"row\":{\"id\":%zu,\"r\":%" PRId64 "}}", id,
                                        100 / (order->amount - 7)));
    }
    int64_t region_count = 0, region_total = 0;
    for (int c = 0; c <= CUSTOMERS; c++)
        if (customers[c].n != 0)
            expect_line(lines, arena,
                        br_arena_printf(arena,
                                        "{\"view\":\"per_customer\",\"row\":{\"customer\":%s,\"n\":%" PRId64
                                        ",\"total\":%" PRId64 ",\"top\":%" PRId64 "}}",
                                        c == 0 ? "null" : br_arena_printf(arena, "\"c%d\"", c - 1), customers[c].n,
                                        customers[c].total, customers[c].top));
    for (int r = 0; r < 3; r++) {
        if (regions[r].n == 0)
            continue;
        region_count++;
        region_total += regions[r].total;
        expect_line(lines, arena,
                    br_arena_printf(arena,
                                    "{\"view\":\"by_region\",\"row\":{\"region\":\"r%d\",\"n\":%" PRId64
                                    ",\"total\":%" PRId64 "}}",
                                    r, regions[r].n, regions[r].total));
    }
    if (!world->rich)
        return;
    char total[32];
    snprintf(total, sizeof total, region_count == 0 ? "null" : "%" PRId64, region_total);
    expect_line(lines, arena,
                br_arena_printf(arena, "{\"view\":\"whole\",\"row\":{\"regions\":%" PRId64 ",\"total\":%s}}",
                                region_count, total));
    for (size_t w = 0; w <= EVENTS_MAX / 10; w++)
        if (windows[w].n != 0)
            expect_line(
                lines, arena,
                br_arena_printf(
                    arena,
                    "{\"view\":\"win\",\"row\":{\"window_start\":\"2026-01-01T%02zu:%02zu:%02zuZ\",\"n\":%" PRId64 "}}",
                    w * 10 / 3600, w * 10 / 60 % 60, w * 10 % 60, windows[w].n));
}

// --- judging

struct judge {
    struct world *world;
    struct br_relation *relation;
    struct br_arena *arena;
    struct br_lines lines;
    size_t reports;
    uint64_t epoch, messages, digest;
    uint32_t part, batch_messages;
};

static enum br_status judge_row(void *context, const struct br_output_row *row, struct br_error *error) {
    struct judge *judge = context;
    return br_relation_apply(judge->relation, row, NULL, NULL, error);
}

static enum br_status judge_report(void *context, struct br_slice line, struct br_error *error) {
    struct judge *judge = context;
    (void)line;
    (void)error;
    judge->reports++;
    return BR_OK;
}

static enum br_status judge_line(void *context, const struct br_view *view, uint64_t epoch, int weight,
                                 struct br_slice row, struct br_error *error) {
    struct judge *judge = context;
    (void)epoch;
    (void)weight;
    (void)error;
    expect_line(&judge->lines, judge->arena,
                br_arena_printf(judge->arena, "{\"view\":\"%s\",\"row\":%.*s}", view->name, (int)row.len,
                                (const char *)row.ptr));
    return BR_OK;
}

// Epochs follow each other, parts are whole, batches have as many messages as they say, positions go on where the last
// epoch ended.
static void judge_commit(struct judge *judge, const struct br_log_message *message) {
    struct world *world = judge->world;
    Braid__V1__Commit *commit = braid__v1__commit__unpack(NULL, message->payload.len, message->payload.ptr);
    if (commit == NULL)
        die(world, "a commit can't be read", "");
    if (commit->batch_messages != judge->batch_messages + 1)
        die(world, "X1: a batch has another number of messages than its commit says", "");
    if (judge->part == 0 ? (commit->epoch != judge->epoch + 1 || commit->part != 1)
                         : (commit->epoch != judge->epoch || commit->part != judge->part + 1))
        die(world, "X2/X6: epochs or parts don't follow each other", "");
    if (judge->part != 0 && commit->digest != judge->digest)
        die(world, "X6: parts of one epoch disagree", "");
    judge->batch_messages = 0;
    judge->epoch = commit->epoch;
    judge->digest = commit->digest;
    judge->part = commit->part == commit->parts ? 0 : commit->part;
    if (judge->part == 0)
        for (size_t i = 0; i < commit->n_inputs; i++)
            judge->messages += commit->inputs[i]->messages;
    braid__v1__commit__free_unpacked(commit, NULL);
}

static void read_outputs(struct judge *judge) {
    struct world *world = judge->world;
    struct br_error error;
    char stream[256];
    br_task_output_stream(world->pipeline->name, stream, sizeof stream);
    struct br_stream_info info;
    must(world, br_log_stream_info(world->feeder, stream, &info, &error), &error);
    struct br_outputs *outputs;
    must(world, br_outputs_create(world->pipeline, &outputs, &error), &error);
    struct br_outputs_each each = {judge, judge_row, judge_report};
    struct br_reader *reader;
    must(world, br_reader_open(world->feeder, stream, ">", 1, info.last_sequence, &reader, &error), &error);
    for (uint64_t sequence = 0; sequence < info.last_sequence;) {
        const struct br_log_message *messages;
        size_t count;
        must(world, br_reader_peek(reader, &messages, &count, &error), &error);
        for (size_t i = 0; i < count; i++) {
            sequence = messages[i].sequence;
            if (messages[i].subject.len > 16 &&
                memmem(messages[i].subject.ptr, messages[i].subject.len, ".commit.", 8) != NULL)
                judge_commit(judge, &messages[i]);
            else
                judge->batch_messages++;
            must(world, br_outputs_read(outputs, &messages[i], &each, &error), &error);
        }
        br_reader_consume(reader, count);
        br_reader_release(reader);
        if (count == 0)
            br_log_wait(world->feeder, 100);
    }
    br_reader_close(&reader);
    br_outputs_destroy(&outputs);
}

static void judge(struct world *world) {
    struct br_error error;
    struct judge judge = {.world = world, .arena = br_arena_create()};
    must(world, br_relation_create(world->pipeline, &judge.relation, &error), &error);
    read_outputs(&judge);
    must(world, br_relation_each(judge.relation, judge_line, &judge, &error), &error);
    struct br_lines want = {0};
    size_t reports;
    naive(world, &want, judge.arena, &reports);
    struct br_buffer diff = {0};
    bool same;
    must(world, br_expect_compare(&want, &judge.lines, 0, &diff, &same, &error), &error);
    br_buffer_append_byte(&diff, '\0');
    if (!same)
        die(world, "committed outputs differ from the naive fold (- naive, + committed)", (const char *)diff.ptr);
    if (judge.reports != reports)
        die(world, "quarantined events were lost or doubled", "");
    if (judge.part != 0)
        die(world, "X6: the last epoch isn't whole", "");
    uint64_t published = 0;
    const char *streams[] = {"ORDERS", "CUSTOMERS"};
    for (int s = 0; s < 2; s++) {
        struct br_stream_info info;
        must(world, br_log_stream_info(world->feeder, streams[s], &info, &error), &error);
        published += info.message_count;
    }
    if (judge.messages != published)
        die(world, "X3: epochs consumed another number of messages than there are", "");
    free(want.list);
    free(judge.lines.list);
    br_buffer_free(&diff);
    br_relation_destroy(&judge.relation);
    br_arena_destroy(&judge.arena);
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

// --- one seed

static void open_world(struct world *world, const struct br_pipeline *const *loaded) {
    struct br_error error;
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
    for (int c = 0; c < CUSTOMERS; c++)
        world->regions[c] = -1;
    world->faults = (struct br_sim_faults){.seed = world->seed,
                                           .lose_ack = (uint32_t)draw(world, 100),
                                           .lose_batch = (uint32_t)draw(world, 100),
                                           .late_batch = (uint32_t)draw(world, 100),
                                           .delay = (uint32_t)draw(world, 200),
                                           .refuse = (uint32_t)draw(world, 50),
                                           .crash = large ? 60 : (uint32_t)draw(world, 12)};
    world->sim = br_sim_create(&world->faults);
    world->feeder = br_sim_connect(world->sim, false);
    world->store = br_store_create_memory();
    must(world, br_sim_add_stream(world->sim, "ORDERS", &(const char *){"sim.orders"}, 1, &error), &error);
    must(world, br_sim_add_stream(world->sim, "CUSTOMERS", &(const char *){"sim.customers"}, 1, &error), &error);
    must(world, br_row_writer_create(&world->pipeline->tables[0].row_type, &world->order_writer, &error), &error);
    must(world, br_row_writer_create(&world->pipeline->tables[1].row_type, &world->customer_writer, &error), &error);
    if (large)
        feed(world, 2400);
}

static void close_world(struct world *world) {
    bury(&world->task, &world->log);
    bury(&world->zombie, &world->zombie_log);
    br_row_writer_destroy(&world->order_writer);
    br_row_writer_destroy(&world->customer_writer);
    br_log_close(&world->feeder);
    br_store_destroy(&world->store);
    br_sim_destroy(&world->sim);
    free(world->orders);
}

static void run_seed(uint64_t seed, const struct br_pipeline *const *loaded, uint64_t *crashes, uint64_t *fences,
                     uint64_t *cut_epochs) {
    struct world *world = br_calloc(1, sizeof *world);
    world->seed = seed;
    open_world(world, loaded);
    live(world);
    heal(world);
    judge(world);
    verify(world);
    *crashes += world->crashes;
    *fences += world->fences;
    *cut_epochs += world->cut_epochs;
    close_world(world);
    free(world);
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
    struct br_pipeline *loaded[PIPELINE_COUNT];
    for (size_t p = 0; p < PIPELINE_COUNT; p++)
        loaded[p] = load(pipelines[p]);
    uint64_t crashes = 0, fences = 0, cut_epochs = 0;
    for (uint64_t seed = first; seed < first + count; seed++)
        run_seed(seed, (const struct br_pipeline *const *)loaded, &crashes, &fences, &cut_epochs);
    if (count >= 100 && (crashes == 0 || fences == 0 || cut_epochs == 0)) {
        printf("faults that never struck: %" PRIu64 " crashes, %" PRIu64 " fences, %" PRIu64
               " epochs cut between parts\n",
               crashes, fences, cut_epochs);
        return 1;
    }
    for (size_t p = 0; p < PIPELINE_COUNT; p++)
        br_pipeline_destroy(&loaded[p]);
    printf("%" PRIu64 " seeds, %" PRIu64 " crashes, %" PRIu64 " workers fenced, %" PRIu64 " epochs cut between parts\n",
           count, crashes, fences, cut_epochs);
    printf("%" PRIu64 " passed, 0 failed\n", count);
    return 0;
}
