// SPDX-License-Identifier: Apache-2.0
// Joins over a backlog and under windows, from seeds: production task code on the simulated log, with crashes.
//
// Method. A feeder publishes payments, rates (a lookup table) and rooms (a table that is joined) into one, two or three
// streams, and lets much of it pile up while no worker runs. Workers read with a connection that delays, refuses, loses
// batches and crashes, now on the state as it was flushed, now on an empty one; epochs are as large as they come, or a
// few messages. Then faults stop and all input must be consumed. What subscribers saw is compared
//   - for lookups with the rate that stood when the payment was stored, as far as it had come when its epoch was made;
//     where readers show what there is, that is the rate that was stored last before it, whatever went into which
//     epoch;
//   - for windows with a naive model that goes along the commits: windows that a commit's watermark has closed stay as
//     they are, and an event is reported late once for each of its windows that was closed when its epoch began.
// At the end a fresh worker repeats all epochs from the log, and must come to the same digest.
// A failing seed prints itself: `sim_joins SEED` runs it alone. BRAID_SIM_SEEDS says how many to run (default 200).
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

#define KEYS 5
#define VALUES 4
#define MESSAGES_MAX 1200
#define STEPS_MAX 200000
#define SECONDS_MAX 2400
#define WINDOW 10 // seconds
#define VIEWS 3   // with windows

static const char text[] =
    "CREATE TABLE payments (id bigint, k integer, at timestamptz) WITH (subject = 'sim.payments', event_time = 'at', "
    "watermark = '3 seconds');\n"
    "CREATE TABLE rates (k integer PRIMARY KEY, v integer) WITH (subject = 'sim.rates', lookup = true);\n"
    "CREATE TABLE rooms (k integer PRIMARY KEY, v integer) WITH (subject = 'sim.rooms');\n"
    "CREATE MATERIALIZED VIEW paid AS SELECT p.id, r.v FROM payments p LEFT JOIN rates r USING (k);\n"
    "CREATE MATERIALIZED VIEW per_rate AS SELECT r.v, count(*) AS n FROM payments p JOIN rates r USING (k) GROUP BY "
    "r.v;\n"
    "CREATE MATERIALIZED VIEW w0 AS SELECT d.v, window_start, count(*) AS n FROM tumble(payments, at, interval '10 "
    "seconds') p JOIN rooms d USING (k) GROUP BY d.v, window_start;\n"
    "CREATE MATERIALIZED VIEW w1 WITH (lateness = '7 seconds') AS SELECT d.v, window_start, count(*) AS n FROM "
    "hop(payments, at, interval '5 seconds', interval '10 seconds') p LEFT JOIN rooms d USING (k) GROUP BY d.v, "
    "window_start;\n"
    "CREATE VIEW joined AS SELECT p.at, d.v FROM payments p JOIN rooms d USING (k);\n"
    "CREATE MATERIALIZED VIEW w2 AS SELECT v, window_start, count(*) AS n FROM tumble(joined, at, interval '10 "
    "seconds') "
    "GROUP BY v, window_start;\n";
enum { PAYMENTS, RATES, ROOMS, TABLES };
static const char *const subjects[TABLES] = {"sim.payments", "sim.rates", "sim.rooms"};
static const struct {
    bool outer;
    int slide, lateness;
} windows[VIEWS] = {{false, 10, 0}, {true, 5, 7}, {false, 10, 0}};

struct message {
    int table, key, value; // of a table with a key: -1: the row goes
    int64_t second;        // of a payment
    size_t id;
    int rate; // of a payment: what stood then; -1: nothing
    uint64_t sequence;
};

struct world {
    uint64_t seed, random;
    const struct br_pipeline *pipeline;
    struct br_sim *sim;
    struct br_log *feeder, *log;
    struct br_store *store;
    struct br_task *task;
    char workers[64][16];
    unsigned starts, crashes, stream_count;
    uint32_t epoch_messages, delay;
    struct br_row_writer *writers[TABLES];
    struct message messages[MESSAGES_MAX];
    size_t count, target, payments, backlog;
    uint64_t sequences[TABLES]; // by stream
    int stream_of[TABLES];
    int rates[KEYS];
    int64_t now; // seconds of event time
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

static void send(struct world *world, const struct message *message) {
    struct br_error error;
    struct br_buffer payload = {0};
    struct br_log_header header = {br_slice_of("Braid-Op"), br_slice_of("delete")};
    bool deletes = message->table != PAYMENTS && message->value < 0;
    char json[200];
    if (message->table == PAYMENTS)
        snprintf(json, sizeof json,
                 "{\"id\":%zu,\"k\":%d,\"at\":\"2026-01-01T%02" PRId64 ":%02" PRId64 ":%02" PRId64 "Z\"}", message->id,
                 message->key, message->second / 3600, message->second / 60 % 60, message->second % 60);
    else if (deletes)
        snprintf(json, sizeof json, "{\"k\":%d}", message->key);
    else
        snprintf(json, sizeof json, "{\"k\":%d,\"v\":%d}", message->key, message->value);
    struct br_row_writer *writer = world->writers[message->table];
    br_row_writer_begin(writer);
    must(world, br_row_writer_read_json(writer, br_slice_of(json), &error), &error);
    must(world, br_row_writer_append(writer, &payload, &error), &error);
    struct br_log_message sent = {.subject = br_slice_of(subjects[message->table]),
                                  .payload = br_buffer_slice(&payload),
                                  .headers = &header,
                                  .header_count = deletes ? 1 : 0};
    must(world, br_log_publish(world->feeder, &sent, &error), &error);
    br_buffer_free(&payload);
}

static void feed(struct world *world, size_t count) {
    for (; count > 0 && world->count < world->target; count--) {
        struct message *message = &world->messages[world->count++];
        uint64_t roll = draw(world, 10);
        *message = (struct message){.table = roll < 6   ? PAYMENTS
                                             : roll < 8 ? RATES
                                                        : ROOMS,
                                    .key = (int)draw(world, KEYS),
                                    .value = draw(world, 4) == 0 ? -1 : (int)draw(world, VALUES)};
        message->sequence = ++world->sequences[world->stream_of[message->table]];
        if (message->table == PAYMENTS) {
            world->now += draw(world, 4) == 0 ? (int64_t)draw(world, 8) : 0;
            message->second = world->now - (int64_t)draw(world, draw(world, 5) == 0 ? 40 : 4);
            message->id = world->payments++;
            message->rate = world->rates[message->key];
        } else if (message->table == RATES) {
            world->rates[message->key] = message->value;
        }
        send(world, message);
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

static void bury(struct world *world) {
    br_task_destroy(&world->task);
    br_log_close(&world->log);
}

static void start(struct world *world) {
    struct br_error error;
    char *worker = world->workers[world->starts++ % 64];
    snprintf(worker, 16, "w%u", world->starts);
    if (draw(world, 3) == 0) { // a lost disk
        br_store_destroy(&world->store);
        world->store = br_store_create_memory();
    }
    world->log = br_sim_connect(world->sim, true);
    struct br_task_options options = {.pipeline = world->pipeline,
                                      .log = world->log,
                                      .clock = br_sim_clock(world->sim),
                                      .worker = worker,
                                      .open_store = open_store,
                                      .store_context = world,
                                      .epoch_messages = world->epoch_messages,
                                      .flush_interval_us = draw(world, 2) == 0 ? -1 : 20000};
    enum br_status status = br_task_create(&options, &world->task, &error);
    if (status == BR_OK)
        status = br_task_recover(world->task, &error);
    if (status == BR_OK)
        return;
    if (!br_sim_crashed(world->log))
        die(world, "recovery failed", error.message);
    bury(world);
    world->crashes++;
}

static void step(struct world *world, bool *ret_worked) {
    struct br_error error;
    if (br_task_step(world->task, ret_worked, &error) == BR_OK)
        return;
    if (!br_sim_crashed(world->log))
        die(world, "a step failed", error.message);
    bury(world);
    world->crashes++;
}

static void live(struct world *world) {
    bool worked;
    for (int steps = 0; world->count < world->target; steps++) {
        if (steps == STEPS_MAX)
            die(world, "no progress under faults", "");
        if (draw(world, 40) == 0) { // away for a while
            bury(world);
            size_t more = draw(world, 150);
            world->backlog = more > world->backlog ? more : world->backlog;
            feed(world, more);
        } else if (draw(world, 3) == 0) {
            feed(world, 1 + draw(world, 12));
        }
        if (world->task == NULL)
            start(world);
        if (world->task != NULL)
            step(world, &worked);
        if (world->log != NULL && draw(world, 4) == 0)
            br_log_wait(world->log, (int64_t)draw(world, 5000));
    }
}

static void heal(struct world *world) {
    struct br_sim_faults none = {.seed = world->seed};
    br_sim_set_faults(world->sim, &none);
    bool idle = false;
    for (int steps = 0; !idle; steps++) {
        bool worked = true;
        if (steps == STEPS_MAX)
            die(world, "no progress after healing", "");
        if (world->task == NULL)
            start(world);
        step(world, &worked);
        if (world->task == NULL || worked)
            continue;
        struct br_task_status status;
        br_task_status(world->task, &status);
        idle = status.lag_messages == 0 && status.committed_epoch == status.epoch;
        br_log_wait(world->log, 1000);
    }
}

// --- the naive model, along the commits

struct judge {
    struct world *world;
    struct br_relation *relation;
    struct br_arena *arena;
    struct br_lines want, got;
    size_t late_want, late_got;
    int rates[KEYS];             // at the epoch's start
    int looked_up[MESSAGES_MAX]; // by payment
    uint64_t positions[TABLES];
    int64_t watermark_us; // of payments, at the epoch's start
    int rooms[KEYS];
    // by view, start of the window / slide + 8
    long counted[VIEWS][SECONDS_MAX / 5 + 16][KEYS]; // payments by key
    long final[VIEWS][SECONDS_MAX / 5 + 16][VALUES + 1];
    bool closed[VIEWS][SECONDS_MAX / 5 + 16];
};
#define BASE INT64_C(1767225600000000) // 2026-01-01
#define PLACES ((int)(SECONDS_MAX / 5 + 16))

static bool is_closed(int view, int place, int64_t watermark_us) {
    int64_t end = (int64_t)(place - 8) * windows[view].slide + WINDOW + windows[view].lateness;
    return watermark_us != BR_EVENT_TIME_MIN && BASE + end * 1000000 <= watermark_us;
}

static void take_payment(struct judge *judge, const struct message *message) {
    for (int v = 0; v < VIEWS; v++)
        for (int p = 0; p < PLACES; p++) {
            int64_t begin = (int64_t)(p - 8) * windows[v].slide;
            if (message->second < begin || message->second >= begin + WINDOW)
                continue;
            if (!is_closed(v, p, judge->watermark_us))
                judge->counted[v][p][message->key]++;
            else
                judge->late_want += windows[v].outer || judge->rooms[message->key] >= 0;
        }
}

static bool is_of_epoch(const struct judge *judge, const Braid__V1__Commit *commit, const struct message *message) {
    return message->sequence > judge->positions[message->table] &&
           message->sequence <= commit->inputs[message->table]->last_sequence;
}

// Messages stand in the order in which they were stored.
static void look_up(struct judge *judge, const Braid__V1__Commit *commit) {
    const struct world *world = judge->world;
    for (size_t m = 0; m < world->count; m++) {
        const struct message *message = &world->messages[m];
        if (message->table == RATES && is_of_epoch(judge, commit, message))
            judge->rates[message->key] = message->value;
        if (message->table != PAYMENTS || !is_of_epoch(judge, commit, message))
            continue;
        judge->looked_up[message->id] = judge->rates[message->key];
        if (world->delay == 0 && message->rate != judge->rates[message->key])
            die(world, "an epoch has a payment without a rate that was stored before it", "");
    }
    judge->positions[RATES] = commit->inputs[RATES]->last_sequence;
}

static void take_table(struct judge *judge, int table, uint64_t up_to) {
    const struct world *world = judge->world;
    for (size_t m = 0; m < world->count; m++) {
        const struct message *message = &world->messages[m];
        if (message->table != table || message->sequence <= judge->positions[table] || message->sequence > up_to)
            continue;
        if (table == ROOMS)
            judge->rooms[message->key] = message->value;
        else if (table == PAYMENTS)
            take_payment(judge, message);
    }
    judge->positions[table] = up_to;
}

// What stands in the windows that the watermark leaves open, or closes now.
static void settle_windows(struct judge *judge, int64_t watermark_us) {
    for (int v = 0; v < VIEWS; v++)
        for (int p = 0; p < PLACES; p++) {
            if (judge->closed[v][p])
                continue;
            long *final = judge->final[v][p];
            memset(final, 0, sizeof judge->final[v][p]);
            for (int k = 0; k < KEYS; k++)
                if (judge->rooms[k] >= 0 || windows[v].outer)
                    final[judge->rooms[k] + 1] += judge->counted[v][p][k];
            judge->closed[v][p] = is_closed(v, p, watermark_us);
        }
}

static void judge_commit(struct judge *judge, const struct br_log_message *message) {
    Braid__V1__Commit *commit = braid__v1__commit__unpack(NULL, message->payload.len, message->payload.ptr);
    if (commit == NULL)
        die(judge->world, "a commit can't be read", "");
    if (commit->part == commit->parts) {
        look_up(judge, commit);
        take_table(judge, ROOMS, commit->inputs[ROOMS]->last_sequence);
        take_table(judge, PAYMENTS, commit->inputs[PAYMENTS]->last_sequence);
        judge->watermark_us = commit->inputs[PAYMENTS]->watermark_us;
        settle_windows(judge, judge->watermark_us);
    }
    braid__v1__commit__free_unpacked(commit, NULL);
}

static void expect_line(struct judge *judge, const char *line) {
    br_lines_add(&judge->want, br_slice_of(br_arena_strdup(judge->arena, line)));
}

static void expect_rows(struct judge *judge) {
    const struct world *world = judge->world;
    long per_rate[VALUES] = {0};
    char value[16];
    for (size_t m = 0; m < world->count; m++) {
        const struct message *message = &world->messages[m];
        if (message->table != PAYMENTS)
            continue;
        int rate = judge->looked_up[message->id];
        snprintf(value, sizeof value, rate < 0 ? "null" : "%d", rate);
        expect_line(judge, br_arena_printf(judge->arena, "{\"view\":\"paid\",\"row\":{\"id\":%zu,\"v\":%s}}",
                                           message->id, value));
        if (rate >= 0)
            per_rate[rate]++;
    }
    for (int r = 0; r < VALUES; r++)
        if (per_rate[r] != 0)
            expect_line(judge, br_arena_printf(judge->arena, "{\"view\":\"per_rate\",\"row\":{\"v\":%d,\"n\":%ld}}", r,
                                               per_rate[r]));
    for (int v = 0; v < VIEWS; v++)
        for (int p = 0; p < PLACES; p++)
            for (int room = 0; room <= VALUES; room++) {
                if (judge->final[v][p][room] == 0)
                    continue;
                int64_t begin = (int64_t)(p - 8) * windows[v].slide;
                snprintf(value, sizeof value, room == 0 ? "null" : "%d", room - 1);
                expect_line(judge, br_arena_printf(
                                       judge->arena,
                                       "{\"view\":\"w%d\",\"row\":{\"v\":%s,\"window_start\":\"2026-01-01T%02" PRId64
                                       ":%02" PRId64 ":%02" PRId64 "Z\",\"n\":%ld}}",
                                       v, value, begin / 3600, begin / 60 % 60, begin % 60, judge->final[v][p][room]));
            }
}

// --- what subscribers saw

static enum br_status judge_row(void *context, const struct br_output_row *row, struct br_error *error) {
    return br_relation_apply(((struct judge *)context)->relation, row, NULL, NULL, error);
}

static enum br_status judge_report(void *context, struct br_slice line, struct br_error *error) {
    struct judge *judge = context;
    (void)error;
    if (line.len < 7 || memcmp(line.ptr, "{\"late\"", 7) != 0)
        die(judge->world, "an event was quarantined", "");
    judge->late_got++;
    return BR_OK;
}

static enum br_status judge_line(void *context, const struct br_view *view, uint64_t epoch, int weight,
                                 struct br_slice row, struct br_error *error) {
    struct judge *judge = context;
    (void)epoch, (void)weight, (void)error;
    const char *line = br_arena_printf(judge->arena, "{\"view\":\"%s\",\"row\":%.*s}", view->name, (int)row.len,
                                       (const char *)row.ptr);
    br_lines_add(&judge->got, br_slice_of(line));
    return BR_OK;
}

static void read_outputs(struct judge *judge) {
    struct world *world = judge->world;
    struct br_error error;
    struct br_stream_info info;
    struct br_outputs *outputs;
    struct br_reader *reader;
    char stream[256];
    br_task_output_stream(world->pipeline->name, stream, sizeof stream);
    must(world, br_log_stream_info(world->feeder, stream, &info, &error), &error);
    must(world, br_outputs_create(world->pipeline, &outputs, &error), &error);
    struct br_outputs_each each = {.context = judge, .row = judge_row, .report = judge_report};
    must(world, br_reader_open(world->feeder, stream, ">", 1, info.last_sequence, &reader, &error), &error);
    for (uint64_t sequence = 0; sequence < info.last_sequence;) {
        const struct br_log_message *messages;
        size_t count;
        must(world, br_reader_peek(reader, &messages, &count, &error), &error);
        for (size_t i = 0; i < count; i++) {
            sequence = messages[i].sequence;
            if (br_slice_is(messages[i].subject, "braid.sim.commit.0"))
                judge_commit(judge, &messages[i]);
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

static void judge(struct world *world, size_t *ret_late) {
    struct br_error error;
    struct judge *judge = br_calloc(1, sizeof *judge);
    struct br_buffer diff = {0};
    bool same;
    judge->world = world;
    judge->arena = br_arena_create();
    judge->watermark_us = BR_EVENT_TIME_MIN;
    for (int k = 0; k < KEYS; k++)
        judge->rooms[k] = judge->rates[k] = -1;
    must(world, br_relation_create(world->pipeline, &judge->relation, &error), &error);
    read_outputs(judge);
    must(world, br_relation_each(judge->relation, judge_line, judge, &error), &error);
    expect_rows(judge);
    must(world, br_expect_compare(&judge->want, &judge->got, 0, &diff, &same, &error), &error);
    br_buffer_append_byte(&diff, '\0');
    if (!same)
        die(world, "committed outputs differ from the naive model (- naive, + committed)", (const char *)diff.ptr);
    if (judge->late_got != judge->late_want) {
        char numbers[64];
        snprintf(numbers, sizeof numbers, "%zu were, %zu are", judge->late_got, judge->late_want);
        die(world, "other events were reported late than are", numbers);
    }
    *ret_late += judge->late_got;
    free(judge->want.list);
    free(judge->got.list);
    br_buffer_free(&diff);
    br_relation_destroy(&judge->relation);
    br_arena_destroy(&judge->arena);
    free(judge);
}

// A fresh worker on an empty store repeats the whole history undisturbed; recovery checks every digest on the way.
static void verify(struct world *world) {
    uint64_t epoch = br_task_epoch(world->task), digest = br_task_digest(world->task);
    bury(world);
    br_store_destroy(&world->store);
    world->store = br_store_create_memory();
    start(world);
    if (world->task == NULL || br_task_epoch(world->task) != epoch || br_task_digest(world->task) != digest)
        die(world, "an undisturbed repetition of the log ends elsewhere", "");
}

// --- one seed

static void open_world(struct world *world) {
    struct br_error error;
    static const char *const names[] = {"A", "B", "C"};
    world->random = world->seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
    world->target = 100 + draw(world, MESSAGES_MAX - 100);
    world->epoch_messages = draw(world, 2) == 0 ? 0 : 1 + (uint32_t)draw(world, 40);
    world->stream_count = 1 + (unsigned)(world->seed % 3);
    world->now = 60;
    world->delay = draw(world, 2) == 0 ? 0 : (uint32_t)draw(world, 200);
    struct br_sim_faults faults = {.seed = world->seed,
                                   .lose_ack = (uint32_t)draw(world, 60),
                                   .lose_batch = (uint32_t)draw(world, 60),
                                   .delay = world->delay,
                                   .refuse = (uint32_t)draw(world, 50),
                                   .crash = (uint32_t)draw(world, 12)};
    world->sim = br_sim_create(&faults);
    world->feeder = br_sim_connect(world->sim, false);
    world->store = br_store_create_memory();
    for (int k = 0; k < KEYS; k++)
        world->rates[k] = -1;
    for (int t = 0; t < TABLES; t++) {
        world->stream_of[t] = t < (int)world->stream_count ? t : 0;
        must(world, br_row_writer_create(&world->pipeline->tables[t].row_type, &world->writers[t], &error), &error);
    }
    for (int s = 0; s < (int)world->stream_count; s++) {
        const char *held[TABLES];
        size_t count = 0;
        for (int t = 0; t < TABLES; t++)
            if (world->stream_of[t] == s)
                held[count++] = subjects[t];
        must(world, br_sim_add_stream(world->sim, names[s], held, count, &error), &error);
    }
}

static void close_world(struct world *world) {
    bury(world);
    for (int t = 0; t < TABLES; t++)
        br_row_writer_destroy(&world->writers[t]);
    br_log_close(&world->feeder);
    br_store_destroy(&world->store);
    br_sim_destroy(&world->sim);
}

struct totals {
    uint64_t crashes;
    size_t late, backlog;
};

static void run_seed(uint64_t seed, const struct br_pipeline *pipeline, struct totals *totals) {
    struct world *world = br_calloc(1, sizeof *world);
    world->seed = seed;
    world->pipeline = pipeline;
    open_world(world);
    live(world);
    heal(world);
    judge(world, &totals->late);
    verify(world);
    totals->crashes += world->crashes;
    totals->backlog = world->backlog > totals->backlog ? world->backlog : totals->backlog;
    close_world(world);
    free(world);
}

static struct br_pipeline *load(void) {
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
    uint64_t count = argc > 1 ? 1 : wanted != NULL ? strtoull(wanted, NULL, 10) : 200;
    struct br_pipeline *pipeline = load();
    struct totals totals = {0};
    for (uint64_t seed = first; seed < first + count; seed++)
        run_seed(seed, pipeline, &totals);
    br_pipeline_destroy(&pipeline);
    if (count >= 100 && (totals.crashes == 0 || totals.late == 0)) {
        printf("what never happened: %" PRIu64 " crashes, %zu late events\n", totals.crashes, totals.late);
        return 1;
    }
    printf("%" PRIu64 " seeds, %" PRIu64 " crashes, %zu late events, up to %zu messages of backlog\n", count,
           totals.crashes, totals.late, totals.backlog);
    printf("%" PRIu64 " passed, 0 failed\n", count);
    return 0;
}
