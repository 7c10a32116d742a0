// SPDX-License-Identifier: Apache-2.0
// The engine alone, on one core: NEXMark events made beforehand in memory → decode, gates, operators, state, digests
// and encoding; output dropped. bench_engine [CASE…] [--scale=N] (N: that much smaller).
//
// Each case runs the SQL of examples/nexmark over messages like those of a stream, in epochs of EPOCH_MESSAGES, on
// RocksDB in a temporary folder. What is printed is events per second of wall time of this one thread, and the goal of
// the case.
#include "cli/cli.h"
#include "measure.h"
#include "nexmark.h"
#include "processor/emit.h"
#include "processor/input.h"
#include "processor/sql/sql.h"
#include "state/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define EPOCH_MESSAGES 32768
#define PAYLOAD_MAX ((size_t)1 << 20)
#define JOIN_AUCTIONS 1000000

struct bench {
    struct br_pipeline *pipeline;
    struct br_state *state;
    struct br_graph *graph;
    struct br_emit *emit;
    struct br_input **inputs;
    struct br_events events;
    struct br_arena *arena;
    struct br_event_time *before, *after, *highest;
    struct br_epoch epoch;
    uint64_t number, digest, rows_out;
    char folder[64];
};

static double now(void) {
    return (double)br_clock_system()->mono(br_clock_system()).us / 1e6;
}

static double cpu_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

// --- the engine, driven as the task drives it

static enum br_status take(void *context, const struct br_table *table, const struct br_batch *batch,
                           struct br_error *error) {
    struct bench *bench = context;
    return br_graph_push(bench->graph, table->index, batch, &bench->epoch, error);
}

static enum br_status reject(void *context, const struct br_table *table, uint32_t origin, const char *reason,
                             const char *detail, struct br_error *error) {
    struct bench *bench = context;
    return br_emit_reject(bench->emit, table, origin, reason, detail, error);
}

static void open_bench(struct bench *bench, const char *sql, size_t budget) {
    struct br_error error;
    *bench = (struct bench){.arena = br_arena_create()};
    char path[512];
    snprintf(path, sizeof path, "%s/nexmark/%s.sql", EXAMPLES_DIR, sql);
    struct br_pipeline_arguments arguments = {.name = "bench"};
    if (br_load_pipeline(path, &arguments, false, &bench->pipeline) != BR_EXIT_OK)
        exit(1);
    snprintf(bench->folder, sizeof bench->folder, "/tmp/braid-bench-%ld", (long)getpid());
    struct br_store *store;
    bench_must(br_store_open_rocksdb(bench->folder, (size_t)64 << 20, &store, &error), &error);
    bench_must(br_state_create(store, budget, &bench->state, &error), &error);
    bench_must(br_emit_create(bench->pipeline, "live", PAYLOAD_MAX, &bench->emit, &error), &error);
    br_emit_set_silent(bench->emit, true);
    bench_must(br_graph_create(bench->pipeline, bench->state, br_emit_sink(bench->emit), &bench->graph, &error),
               &error);
    uint32_t tables = bench->pipeline->table_count;
    bench->inputs = br_calloc(tables, sizeof(struct br_input *));
    bench->before = br_calloc(tables, sizeof *bench->before);
    bench->after = br_calloc(tables, sizeof *bench->after);
    bench->highest = br_calloc(tables, sizeof *bench->highest);
    for (uint32_t t = 0; t < tables; t++) {
        bench_must(br_input_create(&bench->pipeline->tables[t], false, &bench->inputs[t], &error), &error);
        bench->before[t].us = bench->after[t].us = bench->highest[t].us = BR_EVENT_TIME_MIN;
    }
}

static void run_epoch(struct bench *bench, uint32_t table, const struct br_log_message *messages, size_t count) {
    struct br_error error;
    const struct br_table *source = &bench->pipeline->tables[table];
    br_arena_reset(bench->arena);
    bench->events.count = 0;
    bench->epoch = (struct br_epoch){.number = ++bench->number,
                                     .now = messages[count - 1].timestamp,
                                     .watermarks_before = bench->before,
                                     .watermarks_after = bench->after,
                                     .arena = bench->arena};
    br_emit_begin(bench->emit, bench->number, &bench->events);
    memcpy(bench->before, bench->after, bench->pipeline->table_count * sizeof *bench->before);
    struct br_intake intake = {bench, take, reject};
    uint64_t rows = 0;
    bench_must(br_input_run(bench->inputs[table], messages, count, bench->epoch.now, &bench->events, &intake,
                            &bench->highest[table], &rows, &error),
               &error);
    if (rows != count) {
        fprintf(stderr, "bench_engine: %" PRIu64 " of %zu events were quarantined\n", count - rows, count);
        exit(1);
    }
    if (source->event_time >= 0)
        bench->after[table].us = bench->highest[table].us - source->watermark_delay_us;
    bench_must(br_graph_end_epoch(bench->graph, &bench->epoch, &error), &error);
    br_emit_finish(bench->emit, "", bench->digest);
    bench->digest = br_emit_digest(bench->emit);
    bench->rows_out += br_emit_rows(bench->emit);
    br_state_end_epoch(bench->state);
    if (br_state_wants_flush(bench->state))
        bench_must(br_state_flush(bench->state, bench->number, &error), &error);
}

static void close_bench(struct bench *bench) {
    struct br_error error;
    for (uint32_t t = 0; t < bench->pipeline->table_count; t++)
        br_input_destroy(&bench->inputs[t]);
    br_graph_destroy(&bench->graph);
    br_state_destroy(&bench->state);
    br_emit_destroy(&bench->emit);
    br_pipeline_destroy(&bench->pipeline);
    br_arena_destroy(&bench->arena);
    free(bench->events.list);
    free(bench->inputs);
    free(bench->before);
    free(bench->after);
    free(bench->highest);
    bench_must(br_store_remove(NULL, bench->folder, &error), &error);
}

// --- messages

struct messages {
    struct br_log_message *list;
    size_t count;
    struct br_buffer bytes;
    size_t *offsets;
};

static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

// `key` overrides the auction (joins) or the bidder (grouped sum) of bid i; NULL: NEXMark's own.
static void make(struct messages *messages, enum br_nexmark_kind kind, size_t count, uint32_t size,
                 int64_t (*key)(size_t i), bool key_is_bidder) {
    struct br_nexmark_options options = {.seed = 1, .start_us = INT64_C(1767225600000000), .bid_size_bytes = size};
    *messages = (struct messages){.count = count};
    messages->offsets = br_calloc(count + 1, sizeof(size_t));
    size_t made = 0;
    for (uint64_t n = 0; made < count; n++) {
        if (br_nexmark_kind_of(n) != kind)
            continue;
        struct br_nexmark_event event;
        br_nexmark_make(&options, n, &event);
        if (key != NULL && kind == BR_NEXMARK_BID) {
            if (key_is_bidder)
                event.bid.bidder = key(made);
            else
                event.bid.auction = key(made);
        } else if (key != NULL) {
            event.auction.id = (int64_t)made;
        }
        br_nexmark_encode(&event, &messages->bytes);
        messages->offsets[++made] = messages->bytes.len;
    }
    messages->list = br_calloc(count, sizeof *messages->list);
    for (size_t i = 0; i < count; i++)
        messages->list[i] = (struct br_log_message){
            .payload = {messages->bytes.ptr + messages->offsets[i], messages->offsets[i + 1] - messages->offsets[i]},
            .sequence = i + 1,
            .timestamp = {INT64_C(1767225600000000) + (int64_t)i * 100}};
    free(messages->offsets);
}

static void drop(struct messages *messages) {
    free(messages->list);
    br_buffer_free(&messages->bytes);
}

struct spent {
    double seconds, cpu_seconds; // of wall time; of this thread on a core
};

static struct spent feed(struct bench *bench, uint32_t table, const struct messages *messages, size_t first,
                         size_t count) {
    struct spent began = {now(), cpu_now()};
    for (size_t at = first; at < first + count; at += EPOCH_MESSAGES) {
        size_t left = first + count - at;
        run_epoch(bench, table, messages->list + at, left < EPOCH_MESSAGES ? left : EPOCH_MESSAGES);
    }
    return (struct spent){now() - began.seconds, cpu_now() - began.cpu_seconds};
}

// --- cases

static size_t scale = 1;

static long rss_mib(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
}

static void tell(const struct bench *bench, const char *name, size_t events, struct spent spent, double goal) {
    struct br_state_usage usage;
    br_state_usage(bench->state, &usage);
    double rate = (double)events / spent.seconds;
    printf("%-14s %9.3f M events/s (%7.3f M per CPU second)   goal %5.2f M   %5.2f x goal   %9zu events  %9" PRIu64
           " rows out   hot %4" PRIu64 " MiB, disk %5" PRIu64 " MiB, misses %" PRIu64 "\n",
           name, rate / 1e6, (double)events / spent.cpu_seconds / 1e6, goal / 1e6, rate / goal, events, bench->rows_out,
           usage.hot_bytes >> 20, usage.store_disk_bytes >> 20, usage.misses);
    fflush(stdout);
}

static void plain(const char *name, double goal, size_t events) {
    struct bench bench;
    struct messages messages;
    make(&messages, BR_NEXMARK_BID, events, 100, NULL, false);
    open_bench(&bench, name, (size_t)256 << 20);
    tell(&bench, name, events, feed(&bench, 0, &messages, 0, events), goal);
    close_bench(&bench);
    drop(&messages);
}

static int64_t random_auction(size_t i) {
    return (int64_t)(mix(i) % JOIN_AUCTIONS);
}

static uint32_t table_index(const struct bench *bench, const char *name) {
    const struct br_table *table = br_pipeline_find_table(bench->pipeline, name);
    BR_CHECK(table != NULL);
    return table->index;
}

static void join(const char *name, double goal, size_t events) {
    struct bench bench;
    struct messages bids, auctions;
    make(&bids, BR_NEXMARK_BID, events, 100, random_auction, false);
    make(&auctions, BR_NEXMARK_AUCTION, JOIN_AUCTIONS, 100, random_auction, false);
    open_bench(&bench, name, (size_t)1 << 30);
    feed(&bench, table_index(&bench, "auction"), &auctions, 0, JOIN_AUCTIONS);
    bench.rows_out = 0;
    tell(&bench, name, events, feed(&bench, table_index(&bench, "bid"), &bids, 0, events), goal);
    close_bench(&bench);
    drop(&bids);
    drop(&auctions);
}

static size_t key_count = 20000000;

static int64_t each_then_random(size_t i) {
    return (int64_t)mix(i < key_count ? i : mix(i) % key_count);
}

// First every key once (not measured), then random ones: reads and writes all over a state four times the budget.
static void grouped_sum(const char *name, double goal, size_t events) {
    struct bench bench;
    struct messages messages;
    key_count /= scale;
    make(&messages, BR_NEXMARK_BID, key_count + events, 60, each_then_random, true);
    open_bench(&bench, name, (size_t)512 / scale << 20);
    struct spent loading = feed(&bench, 0, &messages, 0, key_count);
    printf("%-14s %9.3f M events/s   loading %zu keys\n", name, (double)key_count / loading.seconds / 1e6, key_count);
    bench.rows_out = 0;
    tell(&bench, name, events, feed(&bench, 0, &messages, key_count, events), goal);
    close_bench(&bench);
    drop(&messages);
}

struct bench_case {
    const char *name;
    double goal;
    void (*run)(const char *name, double goal, size_t events);
    size_t events;
};

static const struct bench_case cases[] = {
    {"q0", 4e6, plain, 4000000},           {"q1", 4e6, plain, 4000000},
    {"q2", 4e6, plain, 4000000},           {"tumble", 2e6, plain, 4000000},
    {"q5-count", 2e6, plain, 4000000},     {"lookup-join", 1e6, join, 2000000},
    {"updating-join", 3e5, join, 1500000}, {"grouped-sum", 1.5e5, grouped_sum, 2000000},
};

int main(int argc, char **argv) {
    for (int a = 1; a < argc; a++)
        if (sscanf(argv[a], "--scale=%zu", &scale) == 1 && scale == 0)
            scale = 1;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool wanted = true;
        for (int a = 1; a < argc; a++)
            if (argv[a][0] != '-') {
                wanted = strcmp(argv[a], cases[i].name) == 0;
                if (wanted)
                    break;
            }
        if (wanted)
            cases[i].run(cases[i].name, cases[i].goal, cases[i].events / scale);
    }
    printf("peak resident memory %ld MiB, most of it the events made beforehand\n", rss_mib());
    return 0;
}
