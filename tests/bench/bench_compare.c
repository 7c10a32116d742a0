// SPDX-License-Identifier: Apache-2.0
// Reconcile: keys a second of comparing two lineages of a view with a bigint key, a count and a sum. Not a test:
// prints numbers.
//
//   bench_compare [--keys 5000000] [--budget-mib 256] [--case all|cold|hot|sorted] [--rounds 3] [--folder /tmp/…]
//
// cold: state in RocksDB within the budget, as a worker has it after a flush; hot: everything in memory; sorted: the
// same rows through a join, which isn't read in key order. One key in a thousand differs. "keys" are those of one
// lineage: each lineage has that many.
#include "base/time.h"
#include "processor/sql/sql.h"
#include "replay/compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define EPOCH_BATCHES 16
#define CACHE_BYTES ((size_t)64 << 20) // as processor/worker.c opens it
#define DIFFERS_EVERY 1000
#define HOT_BYTES ((size_t)1 << 40)

static const char *const aggregate_sql =
    "CREATE TABLE events (key bigint NOT NULL, value bigint NOT NULL) WITH (subject = 'events');\n"
    "CREATE MATERIALIZED VIEW totals AS SELECT key, count(*) AS events, sum(value) AS total FROM events GROUP BY "
    "key;\n";
static const char *const join_sql =
    "CREATE TABLE events (key bigint NOT NULL PRIMARY KEY, value bigint NOT NULL) WITH (subject = 'events');\n"
    "CREATE TABLE names (value bigint NOT NULL PRIMARY KEY, name text) WITH (subject = 'names');\n"
    "CREATE MATERIALIZED VIEW totals AS SELECT e.key, e.value, n.name FROM events e LEFT JOIN names n USING (value);\n";

struct lineage {
    struct br_state *state;
    struct br_graph *graph;
    struct br_arena *arena;
    struct br_event_time watermarks[2];
    struct br_epoch epoch;
    char folder[256];
};

static struct br_error error;

static void must(enum br_status status) {
    if (status == BR_OK)
        return;
    fprintf(stderr, "bench_compare: %s\n", error.message);
    exit(1);
}

static double seconds(void) {
    const struct br_clock *clock = br_clock_system();
    return (double)clock->mono(clock).us / (double)BR_US_PER_SECOND;
}

static double cpu_seconds(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec * 1e-9;
}

static uint64_t resident_mib(const char *field) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    uint64_t kib = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, field, strlen(field)) == 0)
            kib = strtoull(line + strlen(field) + 1, NULL, 10);
    if (file != NULL)
        fclose(file);
    return kib / 1024;
}

static const char *option(int argc, char **argv, const char *name, const char *otherwise) {
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return otherwise;
}

// --- two lineages
static struct br_pipeline *load(const char *sql) {
    struct br_pipeline *pipeline = NULL;
    struct br_diagnostics *diagnostics = br_diagnostics_create("bench.sql", sql);
    struct br_pipeline_options options = {.name = "bench"};
    must(br_pipeline_load("bench.sql", sql, &options, diagnostics, &pipeline, &error));
    br_diagnostics_destroy(&diagnostics);
    return pipeline;
}

static void end_epoch(struct lineage *lineage) {
    must(br_graph_end_epoch(lineage->graph, &lineage->epoch, &error));
    br_state_end_epoch(lineage->state);
    if (br_state_wants_flush(lineage->state))
        must(br_state_flush(lineage->state, lineage->epoch.number, &error));
    br_arena_reset(lineage->arena);
    lineage->epoch.number++;
}

static uint64_t common_divisor(uint64_t a, uint64_t b) {
    return b == 0 ? a : common_divisor(b, a % b);
}

// Keys in an order that has nothing to do with theirs.
static void fill(struct lineage *lineage, uint64_t keys, int64_t change) {
    enum br_type types[] = {BR_BIGINT, BR_BIGINT};
    struct br_arena *arena = br_arena_create();
    uint64_t step = UINT64_C(0x9e3779b97f4a7c15) % keys;
    while (common_divisor(step, keys) != 1) // so that each comes once
        step++;
    for (uint64_t done = 0, key = 0, batches = 0; done < keys; batches++) {
        struct br_batch *batch = br_batch_create(arena, types, NULL, 2);
        int64_t *key_values = batch->columns[0].values, *values = batch->columns[1].values;
        batch->columns[0].validity = batch->columns[1].validity = NULL;
        for (; done < keys && batch->row_count < BR_BATCH_ROWS; done++, key = (key + step) % keys) {
            key_values[batch->row_count] = (int64_t)key;
            values[batch->row_count++] = (int64_t)(key % 9973) + (key % DIFFERS_EVERY == 0 ? change : 0);
        }
        must(br_graph_push(lineage->graph, 0, batch, &lineage->epoch, &error));
        br_arena_reset(arena);
        if (batches % EPOCH_BATCHES == EPOCH_BATCHES - 1)
            end_epoch(lineage);
    }
    end_epoch(lineage);
    br_arena_destroy(&arena);
}

static void open_lineage(struct lineage *lineage, const struct br_pipeline *pipeline, const char *folder,
                         const char *name, size_t budget) {
    static const struct br_sink quiet;
    struct br_store *store = NULL;
    *lineage = (struct lineage){.arena = br_arena_create()};
    snprintf(lineage->folder, sizeof lineage->folder, "%s/%s", folder, name);
    must(br_store_remove(NULL, lineage->folder, &error));
    must(br_store_open_rocksdb(lineage->folder, CACHE_BYTES, &store, &error));
    must(br_state_create(store, budget, &lineage->state, &error));
    must(br_graph_create(pipeline, lineage->state, &quiet, &lineage->graph, &error));
    lineage->watermarks[0].us = lineage->watermarks[1].us = BR_EVENT_TIME_MIN;
    lineage->epoch = (struct br_epoch){.number = 1,
                                       .watermarks_before = lineage->watermarks,
                                       .watermarks_after = lineage->watermarks,
                                       .arena = lineage->arena};
}

static void close_lineage(struct lineage *lineage) {
    br_graph_destroy(&lineage->graph);
    br_state_destroy(&lineage->state);
    br_arena_destroy(&lineage->arena);
    must(br_store_remove(NULL, lineage->folder, &error));
}

// --- cases
static void run_case(const char *name, const char *sql, uint64_t keys, size_t budget, const char *folder,
                     unsigned rounds) {
    struct br_pipeline *pipeline = load(sql);
    struct lineage before, after;
    double begin = seconds();
    open_lineage(&before, pipeline, folder, "before", budget);
    open_lineage(&after, pipeline, folder, "after", budget);
    fill(&before, keys, 0);
    fill(&after, keys, 1);
    printf("%-7s filled in %.1f s, resident %" PRIu64 " MiB\n", name, seconds() - begin, resident_mib("VmRSS:"));
    struct br_compare_side sides[] = {{.pipeline = pipeline, .graph = before.graph, .epoch = &before.epoch},
                                      {.pipeline = pipeline, .graph = after.graph, .epoch = &after.epoch}};
    struct br_compare_options options = {.samples = 3};
    for (unsigned r = 0; r < rounds; r++) {
        struct br_compare_report *report = NULL;
        double cpu = cpu_seconds();
        must(br_compare(&sides[0], &sides[1], &options, &report, &error));
        const struct br_view_report *view = &report->views[0];
        if (view->skipped != NULL || view->rows_before != keys ||
            view->changed != (keys + DIFFERS_EVERY - 1) / DIFFERS_EVERY) {
            fprintf(stderr, "bench_compare: wrong report: %" PRIu64 " rows, %" PRIu64 " changed\n", view->rows_before,
                    view->changed);
            exit(1);
        }
        printf("%-7s %" PRIu64 " keys x 2: %.2f s wall, %.2f s CPU, %.2f M keys/s, resident at most %" PRIu64 " MiB\n",
               name, keys, report->seconds, cpu_seconds() - cpu, (double)keys / report->seconds / 1e6,
               resident_mib("VmHWM:"));
        fflush(stdout);
        br_compare_report_destroy(&report);
    }
    close_lineage(&before);
    close_lineage(&after);
    br_pipeline_destroy(&pipeline);
}

int main(int argc, char **argv) {
    uint64_t keys = strtoull(option(argc, argv, "--keys", "5000000"), NULL, 10);
    size_t budget = strtoull(option(argc, argv, "--budget-mib", "256"), NULL, 10) << 20;
    unsigned rounds = (unsigned)strtoul(option(argc, argv, "--rounds", "3"), NULL, 10);
    const char *which = option(argc, argv, "--case", "all");
    char own[64];
    snprintf(own, sizeof own, "/tmp/braid-bench-compare-%ld", (long)getpid());
    const char *folder = option(argc, argv, "--folder", own);
    bool all = strcmp(which, "all") == 0;
    if (all || strcmp(which, "cold") == 0)
        run_case("cold", aggregate_sql, keys, budget, folder, rounds);
    if (all || strcmp(which, "hot") == 0)
        run_case("hot", aggregate_sql, keys, HOT_BYTES, folder, rounds);
    if (all || strcmp(which, "sorted") == 0)
        run_case("sorted", join_sql, keys, budget, folder, rounds);
    return 0;
}
