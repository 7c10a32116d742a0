// SPDX-License-Identifier: Apache-2.0
// Streams that keep the newest messages of each subject (buckets), and go back: is that noticed, and nothing else?
//
// Method. Keys are written, some much oftener than others, and deleted; a worker with a view of them commits each
// message by itself, is stopped and started again. In half of the worlds the server loses up to LOST_MAX of the newest
// messages, what they had replaced is back, and keys are written again before the worker has looked. In the others
// messages are deleted by hand now and then. In some, others write to the stream too, and clocks jump.
//   - A worker calls a stream changed only when it has gone back. (One reason, T6, rests on the server's clock where
//     others' messages are: in worlds with both it is let pass.)
//   - Whenever it has read everything and said nothing, the rows that subscribers have are those that a naive fold of
//     what the stream was written gives. Where it has warned that nothing can be proven, they may be others; where one
//     message of each key is kept, and clocks are right, only those of keys of which the stream has none.
// A failing seed prints itself: `sim_buckets SEED` runs it alone. BRAID_SIM_SEEDS says how many to run (default 300).
#define _GNU_SOURCE // memfd_create, memmem
#include "lib/sim.h"

#include "base/logging.h"
#include "cli/relation.h"
#include "processor/task.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEYS 12
#define HOT_KEYS 3
#define WRITES_MAX 4000
#define LOST_MAX 15 // one less than there are marks in a trail
#define ROUNDS 40
#define STEPS_MAX 20000
#define JUMP_US (INT64_C(3600) * BR_US_PER_SECOND)

static const char sql[] = "CREATE TABLE users (name text PRIMARY KEY, region text) WITH (subject = 'kv.{name}');\n"
                          "CREATE MATERIALIZED VIEW known AS SELECT name, region FROM users;\n";

struct written {
    uint64_t sequence;
    int key, region; // region -1: deleted
};

struct world {
    uint64_t seed, random;
    const struct br_pipeline *pipeline;
    uint64_t keeps; // of each key
    bool goes_back, deletes, others, jumps;
    struct br_sim *sim;
    struct br_log *feeder, *log;
    struct br_row_writer *writer;
    struct br_store *store;
    struct br_task *task;
    struct written list[WRITES_MAX]; // what the stream was written, but for what was lost
    size_t count;
    bool went_back, jumped, warned; // since everything began
};

static struct totals { uint64_t told, warned, wrong, lost, deleted; } totals;
static int lines_fd; // what is logged

_Noreturn static void die(const struct world *world, const char *what, const char *more) {
    printf("seed %" PRIu64 ": %s%s%s\n", world->seed, what, more[0] != '\0' ? ": " : "", more);
    exit(1);
}

static void must(const struct world *world, enum br_status status, const struct br_error *error) {
    if (status != BR_OK)
        die(world, "failed", error->message);
}

static uint64_t draw(struct world *world, uint64_t bound) {
    return sim_draw(&world->random, bound);
}

static struct br_stream_info info_of(const struct world *world) {
    struct br_error error;
    struct br_stream_info info;
    must(world, br_log_stream_info(world->feeder, "KV", &info, &error), &error);
    return info;
}

// --- users and servers

static void publish(struct world *world, const char *subject, struct br_slice payload, bool deletes) {
    struct br_error error;
    struct br_log_header header = {br_slice_of("Braid-Op"), br_slice_of("delete")};
    struct br_log_message message = {
        .subject = br_slice_of(subject), .payload = payload, .headers = &header, .header_count = deletes ? 1 : 0};
    must(world, br_log_publish(world->feeder, &message, &error), &error);
}

static void write_key(struct world *world) {
    struct br_error error;
    struct br_buffer payload = {0};
    int key = (int)draw(world, draw(world, 4) == 0 ? KEYS : HOT_KEYS);
    int region = (int)draw(world, 6) - 1;
    char subject[32], json[64];
    if (world->count == WRITES_MAX)
        die(world, "more was written than there is room for", "");
    snprintf(subject, sizeof subject, "kv.k%d", key);
    snprintf(json, sizeof json, region < 0 ? "{\"name\":\"k%d\"}" : "{\"name\":\"k%d\",\"region\":\"r%d\"}", key,
             region);
    br_row_writer_begin(world->writer);
    must(world, br_row_writer_read_json(world->writer, br_slice_of(json), &error), &error);
    must(world, br_row_writer_append(world->writer, &payload, &error), &error);
    publish(world, subject, br_buffer_slice(&payload), region < 0);
    br_buffer_free(&payload);
    world->list[world->count++] = (struct written){info_of(world).last_sequence, key, region};
}

static void write_some(struct world *world, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        if (world->others && draw(world, 4) == 0)
            publish(world, "kv.others.one", br_slice_of("nobody's"), false);
        write_key(world);
        if (world->jumps && draw(world, 40) == 0) {
            br_sim_jump(world->sim, (int64_t)draw(world, 2 * JUMP_US) - JUMP_US);
            world->jumped = true;
        }
    }
}

static void go_back(struct world *world) {
    struct br_stream_info info = info_of(world);
    uint64_t lost = 1 + draw(world, LOST_MAX);
    uint64_t last = info.last_sequence > lost ? info.last_sequence - lost : 0;
    br_sim_forget_after(world->sim, "KV", last);
    while (world->count > 0 && world->list[world->count - 1].sequence > last)
        world->count--;
    world->went_back = true;
    totals.lost += lost;
    write_some(world, draw(world, 3) * draw(world, 20));
}

static void delete_one(struct world *world) {
    struct br_stream_info info = info_of(world);
    uint64_t back = draw(world, 4);
    if (info.last_sequence <= back)
        return;
    br_sim_delete(world->sim, "KV", info.last_sequence - back);
    totals.deleted++;
}

// --- the worker

static enum br_status open_store(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error) {
    struct world *world = context;
    (void)set_aside, (void)error;
    *ret_store = br_store_share_memory(world->store);
    return BR_OK;
}

// Has it been said since the last look that nothing can be proven?
static void look_at_lines(struct world *world) {
    static const char words[] = "can't be proven";
    static char lines[1 << 16];
    ssize_t size = pread(lines_fd, lines, sizeof lines, 0);
    bool warned = size > 0 && memmem(lines, (size_t)size, words, sizeof words - 1) != NULL;
    if (size > 0 && (ftruncate(lines_fd, 0) != 0 || lseek(lines_fd, 0, SEEK_SET) != 0))
        die(world, "what was logged can't be read", "");
    world->warned |= warned;
    totals.warned += warned;
}

static void bury(struct world *world) {
    br_task_destroy(&world->task);
    br_log_close(&world->log);
    look_at_lines(world);
}

// Or dies: nothing but a stream that went back ends a worker here. All begins anew then.
static void take_as_told(struct world *world, const struct br_error *error) {
    bool clock = world->jumped && world->others && strstr(error->message, "came later than all") != NULL;
    if (!clock && (!world->went_back || error->native != BR_LOG_CHANGED))
        die(world, "a worker ended for no reason", error->message);
    totals.told++;
    bury(world);
    br_store_destroy(&world->store);
    world->store = br_store_create_memory();
    br_sim_recreate(world->sim, "BRAID_sim");
    world->went_back = world->jumped = world->warned = false;
}

static void start(struct world *world) {
    struct br_error error;
    world->log = br_sim_connect(world->sim, true);
    struct br_task_options options = {.pipeline = world->pipeline,
                                      .log = world->log,
                                      .clock = br_sim_clock(world->sim),
                                      .worker = "buckets",
                                      .open_store = open_store,
                                      .store_context = world,
                                      .epoch_messages = 1,
                                      .flush_interval_us = 1};
    enum br_status status = br_task_create(&options, &world->task, &error);
    if (status == BR_OK)
        status = br_task_recover(world->task, &error);
    if (status != BR_OK)
        take_as_told(world, &error);
}

static void stop(struct world *world) {
    struct br_error error;
    enum br_status status = world->task == NULL ? BR_OK : br_task_stop(world->task, &error);
    if (status != BR_OK)
        take_as_told(world, &error);
    else
        bury(world);
}

// Until it has read all there is.
static void catch_up(struct world *world) {
    struct br_error error;
    struct br_task_status status;
    bool worked = true;
    for (int steps = 0, idle = 0; idle < 3; steps++) {
        if (steps == STEPS_MAX)
            die(world, "no progress", "");
        if (world->task == NULL)
            start(world);
        if (world->task == NULL)
            continue;
        if (br_task_step(world->task, &worked, &error) != BR_OK) {
            take_as_told(world, &error);
            continue;
        }
        br_task_status(world->task, &status);
        idle = !worked && status.lag_messages == 0 && status.committed_epoch == status.epoch ? idle + 1 : 0;
        if (!worked)
            br_log_wait(world->log, 1000);
    }
    look_at_lines(world);
}

// --- what subscribers have

static enum br_status apply(void *context, const struct br_output_row *row, struct br_error *error) {
    return br_relation_apply(context, row, NULL, NULL, error);
}

static enum br_status note_row(void *context, const struct br_view *view, uint64_t epoch, int weight,
                               struct br_slice row, struct br_error *error) {
    int *regions = context, key, region;
    char text[100];
    (void)view, (void)epoch, (void)weight;
    snprintf(text, sizeof text, "%.*s", (int)row.len, (const char *)row.ptr);
    if (sscanf(text, "{\"name\":\"k%d\",\"region\":\"r%d\"}", &key, &region) != 2 || key < 0 || key >= KEYS)
        return br_error_set(error, BR_FATAL, "a row that nobody wrote: %s", text);
    regions[key] = region;
    return BR_OK;
}

static void read_rows(struct world *world, int *regions) {
    struct br_error error;
    struct br_stream_info info;
    struct br_relation *relation;
    struct br_outputs *outputs;
    struct br_buffer copy = {0};
    struct br_log_message message;
    bool found = true;
    must(world, br_relation_create(world->pipeline, &relation, &error), &error);
    must(world, br_outputs_create(world->pipeline, &outputs, &error), &error);
    must(world, br_log_stream_info(world->feeder, "BRAID_sim", &info, &error), &error);
    struct br_outputs_each each = {.context = relation, .row = apply};
    for (uint64_t from = 1; found && from <= info.last_sequence; from = message.sequence + 1) {
        must(world, br_log_next(world->feeder, "BRAID_sim", ">", from, &copy, &message, &found, &error), &error);
        if (found)
            must(world, br_outputs_read(outputs, &message, &each, &error), &error);
    }
    for (int key = 0; key < KEYS; key++)
        regions[key] = -1;
    must(world, br_relation_each(relation, note_row, regions, &error), &error);
    br_buffer_free(&copy);
    br_outputs_destroy(&outputs);
    br_relation_destroy(&relation);
}

static bool has_messages(const struct world *world, int key) {
    struct br_error error;
    struct br_buffer copy = {0};
    struct br_log_message last;
    bool found;
    char subject[32];
    snprintf(subject, sizeof subject, "kv.k%d", key);
    must(world, br_log_last(world->feeder, "KV", subject, &copy, &last, &found, &error), &error);
    br_buffer_free(&copy);
    return found;
}

static void judge(struct world *world) {
    int want[KEYS], have[KEYS];
    char which[64];
    for (int key = 0; key < KEYS; key++)
        want[key] = -1;
    for (size_t i = 0; i < world->count; i++)
        want[world->list[i].key] = world->list[i].region;
    read_rows(world, have);
    bool wrong = false;
    for (int key = 0; key < KEYS; key++) {
        if (want[key] == have[key])
            continue;
        wrong = true;
        snprintf(which, sizeof which, "k%d is r%d, not r%d", key, have[key], want[key]);
        if (!world->went_back)
            die(world, "rows are wrong", which);
        if (!world->warned)
            die(world, "the stream went back, rows are wrong, and nobody was told", which);
        if (world->keeps == 1 && !world->jumped && has_messages(world, key))
            die(world, "the stream went back, and that could have been proven", which);
    }
    totals.wrong += wrong;
}

// --- worlds

static void open_world(struct world *world) {
    struct br_error error;
    world->random = world->seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
    world->keeps = draw(world, 2) == 0 ? 1 : 2 + draw(world, 2);
    world->goes_back = draw(world, 2) == 0;
    world->deletes = !world->goes_back && draw(world, 2) == 0;
    world->others = draw(world, 3) == 0;
    world->jumps = draw(world, 3) == 0;
    struct br_sim_faults faults = {.seed = world->seed, .delay = (uint32_t)draw(world, 200)};
    world->sim = br_sim_create(&faults);
    world->feeder = br_sim_connect(world->sim, false);
    world->store = br_store_create_memory();
    must(world, br_sim_add_stream(world->sim, "KV", &(const char *){"kv.>"}, 1, &error), &error);
    br_sim_keep_per_subject(world->sim, "KV", world->keeps);
    must(world, br_row_writer_create(&world->pipeline->tables[0].row_type, &world->writer, &error), &error);
}

static void close_world(struct world *world) {
    bury(world);
    br_row_writer_destroy(&world->writer);
    br_log_close(&world->feeder);
    br_store_destroy(&world->store);
    br_sim_destroy(&world->sim);
}

static void run_seed(uint64_t seed, const struct br_pipeline *pipeline) {
    struct world *world = br_calloc(1, sizeof *world);
    world->seed = seed;
    world->pipeline = pipeline;
    open_world(world);
    for (int round = 0; round < ROUNDS; round++) {
        write_some(world, draw(world, 25));
        if (draw(world, 3) == 0)
            catch_up(world);
        if (draw(world, 3) == 0)
            stop(world);
        if (world->goes_back && draw(world, 6) == 0)
            go_back(world);
        catch_up(world);
        judge(world);
        if (world->deletes && draw(world, 3) == 0)
            delete_one(world); // that has been read
    }
    close_world(world);
    free(world);
}

int main(int argc, char **argv) {
    const char *wanted = getenv("BRAID_SIM_SEEDS");
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 1 ? 1 : wanted != NULL ? strtoull(wanted, NULL, 10) : 300;
    lines_fd = memfd_create("lines", 0);
    if (lines_fd < 0 || dup2(lines_fd, STDERR_FILENO) < 0)
        return 1;
    br_log_configure(BR_LEVEL_WARN, false);
    struct br_pipeline *pipeline = sim_load(sql, "sim");
    for (uint64_t seed = first; seed < first + count; seed++)
        run_seed(seed, pipeline);
    br_pipeline_destroy(&pipeline);
    printf("%" PRIu64 " seeds, %" PRIu64 " messages lost, %" PRIu64 " deleted by hand, %" PRIu64
           " times told that the stream has changed, %" PRIu64 " warnings, %" PRIu64
           " times rows were wrong after one\n",
           count, totals.lost, totals.deleted, totals.told, totals.warned, totals.wrong);
    if (count >= 100 && (totals.told == 0 || totals.warned == 0 || totals.wrong == 0 || totals.deleted == 0)) {
        printf("some of it never happened\n");
        return 1;
    }
    printf("%" PRIu64 " passed, 0 failed\n", count);
    return 0;
}
