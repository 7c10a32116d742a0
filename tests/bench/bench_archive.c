// SPDX-License-Identifier: Apache-2.0
// The archive on one core: NEXMark bids made beforehand → segments, their size, and q1 over them.
// bench_archive [--scale=N] (N: that much smaller).
//
// For each layout (one bid a message; a hundred, length-prefixed): bytes on disk per byte of payload, events per second
// of wall time of this one thread when writing (fsync included), when reading alone, and when q1 runs over what is
// read: decode, gates, operators, digests, encoding; output dropped. Goals are printed beside the numbers.
#include "cli/cli.h"
#include "measure.h"
#include "nexmark.h"
#include "processor/emit.h"
#include "processor/input.h"
#include "processor/log/simulated.h"
#include "replay/history.h"
#include "state/table.h"

#include <stdio.h>
#include <unistd.h>

#define EVENTS 4000000
#define EPOCH_MESSAGES 32768
#define FRAME 100
#define GOAL_RATIO 0.35
#define GOAL_Q1 3e6
#define START_US INT64_C(1767225600000000)

struct bench {
    struct br_pipeline *pipeline;
    struct br_history *history;
    struct br_sim *sim;
    struct br_log *log;
    struct br_stream_info stream;
    char folder[64], segments[BR_ARCHIVE_PATH_SIZE];
    bool framed;
    uint64_t events, messages, payload_bytes, file_bytes;
};

static void load(struct bench *bench) {
    struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
    char sql[4096];
    struct br_error error;
    if (!br_read_file(EXAMPLES_DIR "/nexmark/q1.sql", &text))
        exit(1);
    const char *options = strstr((const char *)text.ptr, "WITH (");
    BR_CHECK(options != NULL);
    options += strlen("WITH (");
    snprintf(sql, sizeof sql, "SET braid.archive = 'file://%s'; %.*s%s%s", bench->folder,
             (int)(options - (const char *)text.ptr), (const char *)text.ptr,
             bench->framed ? "layout = 'delimited', " : "", options);
    struct br_pipeline_options names = {.name = "bench"};
    struct br_diagnostics *diagnostics = br_diagnostics_create("q1.sql", sql);
    bench_must(br_pipeline_load("q1.sql", sql, &names, diagnostics, &bench->pipeline, &error), &error);
    br_diagnostics_destroy(&diagnostics);
    bench_must(br_history_create(bench->pipeline, &bench->history, &error), &error);
    bench_must(
        br_archive_folder(bench->folder, bench->pipeline->name, "bid", BR_SEGMENT_STREAM, bench->segments, &error),
        &error);
    static const char *const subjects[] = {"bench.bid"};
    bench->sim = br_sim_create(NULL); // an empty stream behind the archive
    bench_must(br_sim_add_stream(bench->sim, "IN", subjects, 1, &error), &error);
    bench->log = br_sim_connect(bench->sim, false);
    bench_must(br_log_stream_info(bench->log, "IN", &bench->stream, &error), &error);
}

// --- writing

static void seal(struct bench *bench, struct br_segment_writer **writer, uint64_t from) {
    struct br_segment_info info;
    struct br_error error;
    uint64_t to = br_segment_so_far(*writer)->last;
    bench_must(br_segment_seal(writer, from, to, &info, &error), &error);
    bench->file_bytes += info.file_bytes;
}

static struct bench_spent write_all(struct bench *bench, const struct br_nexmark_events *events) {
    struct br_segment_info identity = {.kind = BR_SEGMENT_STREAM, .created = bench->stream.created};
    struct br_segment_writer *writer = NULL;
    struct br_buffer frame = {0};
    struct br_error error;
    int lock;
    strcpy(identity.pipeline, bench->pipeline->name);
    strcpy(identity.table, "bid");
    strcpy(identity.source, "IN");
    strcpy(identity.subject, "bench.bid");
    bench_must(br_archive_lock(bench->segments, &lock, &error), &error);
    struct bench_spent begin = bench_spent_now();
    uint64_t from = 1;
    size_t step = bench->framed ? FRAME : 1;
    for (size_t i = 0; i < events->event_count; i += step) {
        struct br_slice payload = br_nexmark_payload(events, i);
        if (bench->framed) {
            br_buffer_clear(&frame);
            for (size_t j = i; j < i + step && j < events->event_count; j++) {
                br_buffer_append_varint(&frame, br_nexmark_payload(events, j).len);
                br_buffer_append_slice(&frame, br_nexmark_payload(events, j));
            }
            payload = br_buffer_slice(&frame);
        }
        // Stored a little after it was made, at no regular pace.
        uint64_t jitter = (i * UINT64_C(0x9e3779b97f4a7c15)) >> 58;
        struct br_log_message message = {.subject = br_slice_of("bench.bid"),
                                         .payload = payload,
                                         .sequence = ++bench->messages,
                                         .timestamp = {events->at_us[i] + 800 + (int64_t)jitter}};
        if (writer == NULL)
            bench_must(br_segment_create(bench->segments, &identity, bench->framed,
                                         bench->pipeline->tables[0].row_type.message, &writer, &error),
                       &error);
        bench_must(br_segment_add(writer, &message, &error), &error);
        bench->payload_bytes += payload.len;
        if (br_segment_so_far(writer)->payload_bytes >= BR_ARCHIVE_SEGMENT_BYTES) {
            seal(bench, &writer, from);
            from = bench->messages + 1;
        }
    }
    if (writer != NULL)
        seal(bench, &writer, from);
    struct bench_spent spent = bench_spent_since(begin);
    br_archive_unlock(&lock);
    br_buffer_free(&frame);
    return spent;
}

// --- reading

static struct br_reader *open_reader(struct bench *bench) {
    struct br_reader *reader;
    struct br_error error;
    bench_must(br_history_open_input(bench->history, bench->log, &bench->pipeline->tables[0], &bench->stream, 0, 0,
                                     bench->messages, &reader, &error),
               &error);
    return reader;
}

static struct bench_spent read_all(struct bench *bench) {
    struct br_error error;
    uint64_t messages = 0, bytes = 0;
    struct bench_spent begin = bench_spent_now();
    struct br_reader *reader = open_reader(bench);
    while (!br_reader_caught_up(reader)) {
        const struct br_log_message *list;
        size_t count;
        bench_must(br_reader_peek(reader, &list, &count, &error), &error);
        for (size_t i = 0; i < count; i++)
            bytes += list[i].payload.len;
        messages += count;
        br_reader_consume(reader, count);
        br_reader_release(reader);
    }
    BR_CHECK(messages == bench->messages && bytes == bench->payload_bytes);
    br_reader_close(&reader);
    return bench_spent_since(begin);
}

// --- q1, driven as the task drives it

struct engine {
    struct br_state *state;
    struct br_graph *graph;
    struct br_emit *emit;
    struct br_input *input;
    struct br_epoch epoch;
};

static enum br_status take(void *context, const struct br_table *table, const struct br_batch *batch,
                           struct br_error *error) {
    struct engine *engine = context;
    return br_graph_push(engine->graph, table->index, batch, &engine->epoch, error);
}

static enum br_status reject(void *context, const struct br_table *table, uint32_t origin, const char *reason,
                             const char *detail, struct br_error *error) {
    struct engine *engine = context;
    return br_emit_reject(engine->emit, table, origin, reason, detail, error);
}

static struct bench_spent run_q1(struct bench *bench, uint64_t *ret_rows) {
    struct engine engine = {0};
    struct br_error error;
    struct br_store *store;
    char path[128];
    snprintf(path, sizeof path, "%s/state", bench->folder);
    bench_must(br_store_open_rocksdb(path, (size_t)64 << 20, &store, &error), &error);
    bench_must(br_state_create(store, (size_t)256 << 20, &engine.state, &error), &error);
    bench_must(br_emit_create(bench->pipeline, "live", (size_t)1 << 20, &engine.emit, &error), &error);
    br_emit_set_silent(engine.emit, true);
    bench_must(br_graph_create(bench->pipeline, engine.state, br_emit_sink(engine.emit), &engine.graph, &error),
               &error);
    bench_must(br_input_create(&bench->pipeline->tables[0], false, &engine.input, &error), &error);
    struct br_arena *arena = br_arena_create();
    struct br_events events = {0};
    struct br_event_time before = {BR_EVENT_TIME_MIN}, after = before, highest = before;
    struct br_intake intake = {&engine, take, reject};
    uint64_t digest = 0, rows = 0, number = 0;
    size_t epoch_messages = bench->framed ? EPOCH_MESSAGES / FRAME : EPOCH_MESSAGES;
    *ret_rows = 0;
    struct bench_spent begin = bench_spent_now();
    struct br_reader *reader = open_reader(bench);
    while (!br_reader_caught_up(reader) || br_reader_pending(reader) != 0) {
        const struct br_log_message *list;
        size_t count;
        bench_must(br_reader_peek(reader, &list, &count, &error), &error);
        count = count < epoch_messages ? count : epoch_messages;
        br_arena_reset(arena);
        events.count = 0;
        number++;
        engine.epoch = (struct br_epoch){.number = number,
                                         .now = list[count - 1].timestamp,
                                         .watermarks_before = &before,
                                         .watermarks_after = &after,
                                         .arena = arena};
        br_emit_begin(engine.emit, number, &events);
        before = after;
        bench_must(br_input_run(engine.input, list, count, engine.epoch.now, &events, &intake, &highest, &rows, &error),
                   &error);
        after.us = highest.us - bench->pipeline->tables[0].watermark_delay_us;
        bench_must(br_graph_end_epoch(engine.graph, &engine.epoch, &error), &error);
        br_emit_finish(engine.emit, "", digest);
        digest = br_emit_digest(engine.emit);
        *ret_rows += br_emit_rows(engine.emit);
        br_state_end_epoch(engine.state);
        br_reader_consume(reader, count);
        br_reader_release(reader);
    }
    struct bench_spent spent = bench_spent_since(begin);
    br_reader_close(&reader);
    br_input_destroy(&engine.input);
    br_graph_destroy(&engine.graph);
    br_state_destroy(&engine.state);
    br_emit_destroy(&engine.emit);
    br_arena_destroy(&arena);
    free(events.list);
    return spent;
}

static void tell(const char *layout, const char *what, double count, struct bench_spent spent) {
    printf("archive %-9s  %-5s %7.3f M events/s (%7.3f M per CPU second)\n", layout, what, count / spent.seconds / 1e6,
           count / spent.cpu_seconds / 1e6);
}

static void run(const struct br_nexmark_events *events, bool framed) {
    struct bench bench = {.framed = framed, .events = events->event_count};
    struct br_error error;
    snprintf(bench.folder, sizeof bench.folder, "/tmp/braid-bench-%ld", (long)getpid());
    load(&bench);
    struct bench_spent written = write_all(&bench, events), read = read_all(&bench);
    uint64_t rows;
    struct bench_spent q1 = run_q1(&bench, &rows);
    double count = (double)bench.events, ratio = (double)bench.file_bytes / (double)bench.payload_bytes;
    BR_CHECK(rows == bench.events);
    const char *layout = framed ? "delimited" : "single";
    printf("archive %-9s  size %.3f of payload, goal %.2f (%lu messages, %lu MB of payload)\n", layout, ratio,
           GOAL_RATIO, (unsigned long)bench.messages, (unsigned long)bench.payload_bytes / 1000000);
    tell(layout, "write", count, written);
    tell(layout, "read", count, read);
    tell(layout, "q1", count, q1);
    printf("archive %-9s  q1 goal %.2f M   %.2f x goal\n", layout, GOAL_Q1 / 1e6, count / q1.seconds / GOAL_Q1);
    fflush(stdout);
    br_history_destroy(&bench.history);
    br_log_close(&bench.log);
    br_sim_destroy(&bench.sim);
    br_pipeline_destroy(&bench.pipeline);
    bench_must(br_store_remove(NULL, bench.folder, &error), &error);
}

int main(int argc, char **argv) {
    size_t scale = 1;
    for (int a = 1; a < argc; a++)
        if (sscanf(argv[a], "--scale=%zu", &scale) == 1 && scale == 0)
            scale = 1;
    struct br_nexmark_options options = {.seed = 1, .start_us = START_US};
    struct br_nexmark_events events;
    br_nexmark_generate(&options, 0, EVENTS / scale, 1 << BR_NEXMARK_BID, &events);
    run(&events, false);
    run(&events, true);
    br_nexmark_events_free(&events);
    return 0;
}
