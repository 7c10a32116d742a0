// SPDX-License-Identifier: Apache-2.0
// See bounded.h. Begin at run and read up.
#include "replay/bounded.h"

#include "base/logging.h"
#include "processor/input.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define STATE_BUDGET_DEFAULT ((size_t)256 << 20)
#define STORE_CACHE_BYTES ((size_t)32 << 20)

// How the rows of the root reach the caller.
enum way {
    WAY_STREAM, // as they come
    WAY_GATHER, // as they come, into a set that is sorted and limited at the end
    WAY_SCAN,   // from the state, at the end
};

struct bounded {
    const struct br_bounded_options *options;
    const struct br_pipeline *pipeline;
    const struct br_query *query;
    struct br_bounded_report *report;
    br_graph_each each;
    void *context;
    char store_path[4096]; // "": in memory
    struct br_span *span;
    struct br_state *state;
    struct br_graph *graph;
    struct br_input **inputs;
    struct br_events events;
    struct br_event_time *watermarks, *ends;
    struct br_epoch epoch;
    struct br_arena *arena, *scratch;
    enum way way;
    struct br_query_rows *rows;
    int64_t skip, left; // of a stream of rows; left -1: no limit
    bool enough;
};

void br_bounded_report_free(struct br_bounded_report *report) {
    free(report->tables);
    report->tables = NULL;
}

// --- rows out
static enum br_status count_rows(void *context, const struct br_batch *batch, struct br_error *error) {
    struct bounded *run = context;
    run->report->rows += batch->row_count;
    return run->each(run->context, batch, error);
}

// OFFSET and LIMIT of rows that are given as they come.
static enum br_status stream_rows(struct bounded *run, const struct br_batch *batch, struct br_error *error) {
    uint32_t rows[BR_BATCH_ROWS];
    uint32_t count = 0;
    for (uint32_t r = 0; r < batch->row_count && run->left != 0; r++) {
        if (run->skip > 0) {
            run->skip--;
            continue;
        }
        rows[count++] = r;
        run->left -= run->left > 0 ? 1 : 0;
    }
    run->enough = run->left == 0;
    if (count == 0)
        return BR_OK;
    enum br_status status = count_rows(run, br_batch_select(batch, rows, count, run->scratch), error);
    br_arena_reset(run->scratch);
    return status;
}

static enum br_status sink_rows(void *context, const struct br_view *view, const struct br_batch *batch,
                                struct br_error *error) {
    struct bounded *run = context;
    (void)view;
    if (run->way == WAY_STREAM)
        return stream_rows(run, batch, error);
    br_query_rows_add(run->rows, batch);
    run->enough = br_query_rows_enough(run->rows);
    return BR_OK;
}

static enum br_status scanned_rows(void *context, const struct br_batch *batch, struct br_error *error) {
    (void)error;
    br_query_rows_add(((struct bounded *)context)->rows, batch);
    return BR_OK;
}

// --- rows that fail, events that are turned away
static enum br_status sink_failed(void *context, const struct br_view *view, const struct br_node *node,
                                  const struct br_batch *batch, uint32_t row, const char *message,
                                  struct br_error *error) {
    struct bounded *run = context;
    (void)node;
    uint32_t origin = br_batch_origin(batch, row);
    char where[200] = "";
    if (origin != BR_NO_ORIGIN)
        snprintf(where, sizeof where, " (table %s, sequence %" PRIu64 ")", run->events.list[origin].table->name,
                 run->events.list[origin].message->sequence);
    if (view == run->pipeline->views)
        return br_error_set(error, BR_DATA, "%s%s", message, where);
    if (run->report->failed++ == 0)
        snprintf(run->report->failed_why, sizeof run->report->failed_why, "view %s: %s%s", view->name, message, where);
    return BR_OK;
}

static enum br_status take_rows(void *context, const struct br_table *table, const struct br_batch *batch,
                                struct br_error *error) {
    struct bounded *run = context;
    return run->enough ? BR_OK : br_graph_push(run->graph, table->index, batch, &run->epoch, error);
}

static enum br_status reject_event(void *context, const struct br_table *table, uint32_t origin, const char *reason,
                                   const char *detail, struct br_error *error) {
    struct bounded *run = context;
    struct br_bounded_table *counts = &run->report->tables[table->index];
    (void)error;
    if (counts->quarantined++ == 0)
        snprintf(counts->why, sizeof counts->why, "%s: %s (sequence %" PRIu64 ")", reason, detail,
                 run->events.list[origin].message->sequence);
    return BR_OK;
}

static struct br_moment moment_of(const void *context, uint32_t origin) {
    const struct bounded *run = context;
    const struct br_event *event = &run->events.list[origin];
    const struct br_span_input *input = &br_span_inputs(run->span)[event->table->index];
    return br_message_moment(event->message, input->stream_number, input->prehistory);
}

// --- an epoch
static enum br_status run_input(struct bounded *run, uint32_t t, struct br_error *error) {
    const struct br_span_input *input = &br_span_inputs(run->span)[t];
    struct br_bounded_table *counts = &run->report->tables[t];
    if (input->count == 0)
        return BR_OK;
    struct br_event_time highest = {BR_EVENT_TIME_MIN};
    struct br_intake intake = {run, take_rows, reject_event};
    BR_TRY(br_input_run(run->inputs[t], input->messages, input->count, run->epoch.now, &run->events, &intake, &highest,
                        &counts->rows, error));
    counts->messages += input->count;
    run->report->messages += input->count;
    counts->first_sequence = counts->first_sequence == 0 ? input->messages[0].sequence : counts->first_sequence;
    counts->last_sequence = input->messages[input->count - 1].sequence;
    return BR_OK;
}

static enum br_status end_epoch(struct bounded *run, struct br_error *error) {
    BR_TRY(br_graph_end_epoch(run->graph, &run->epoch, error));
    br_state_end_epoch(run->state);
    if (br_state_wants_flush(run->state))
        BR_TRY(br_state_flush(run->state, run->epoch.number, error));
    return BR_OK;
}

static enum br_status run_turn(struct bounded *run, bool *ret_any, struct br_error *error) {
    BR_TRY(br_span_next(run->span, ret_any, error));
    if (!*ret_any)
        return BR_OK;
    br_arena_reset(run->arena);
    run->events.count = 0;
    run->epoch.number++;
    for (uint32_t o = 0; o < run->pipeline->table_count && !run->enough; o++)
        BR_TRY(run_input(run, br_span_order(run->span)[o], error));
    return end_epoch(run, error);
}

// All windows close; no watermark has moved before, so that none was late (B2).
static enum br_status finish(struct bounded *run, struct br_error *error) {
    br_arena_reset(run->arena);
    run->events.count = 0;
    run->epoch.number++;
    run->epoch.watermarks_after = run->ends;
    BR_TRY(end_epoch(run, error));
    if (run->way == WAY_SCAN)
        BR_TRY(br_graph_scan(run->graph, 0, &run->epoch, scanned_rows, run, error));
    return run->way == WAY_STREAM ? BR_OK : br_query_rows_give(run->rows, count_rows, run, error);
}

// --- making
// Rows that change are always kept by some operator: a lookup join, which keeps none, takes only rows that stay.
static void choose_way(struct bounded *run) {
    const struct br_node *root = run->query->root;
    run->way = !root->append_only ? WAY_SCAN : run->query->order_count != 0 ? WAY_GATHER : WAY_STREAM;
    run->skip = run->query->offset > 0 ? run->query->offset : 0;
    run->left = run->query->limit;
    run->enough = run->way == WAY_STREAM && run->left == 0;
    if (run->way != WAY_STREAM)
        run->rows = br_query_rows_create(run->query);
}

static enum br_status open_store(struct bounded *run, struct br_store **ret_store, struct br_error *error) {
    uint32_t tables = 0;
    for (uint32_t n = 0; n < run->pipeline->node_count; n++)
        tables += run->pipeline->nodes[n]->state_table_count;
    if (tables == 0) {
        *ret_store = br_store_create_memory();
        return BR_OK;
    }
    const char *folder = getenv("TMPDIR");
    snprintf(run->store_path, sizeof run->store_path, "%s/braid-query-XXXXXX",
             folder != NULL && *folder != '\0' ? folder : "/tmp");
    if (mkdtemp(run->store_path) == NULL) {
        int reason = errno;
        enum br_status status = br_error_set_native(error, BR_FATAL, reason, "can't make a folder for state, %s: %s",
                                                    run->store_path, strerror(reason));
        run->store_path[0] = '\0';
        return status;
    }
    return br_store_open_scratch(run->store_path, STORE_CACHE_BYTES, ret_store, error);
}

static enum br_status open_graph(struct bounded *run, struct br_error *error) {
    struct br_store *store;
    size_t budget = run->options->state_budget_bytes;
    BR_TRY(open_store(run, &store, error));
    BR_TRY(br_state_create(store, budget != 0 ? budget : STATE_BUDGET_DEFAULT, &run->state, error));
    struct br_sink sink = {.context = run, .rows = sink_rows, .failed = sink_failed};
    return br_graph_create(run->pipeline, run->state, &sink, &run->graph, error);
}

static enum br_status open_span(struct bounded *run, struct br_error *error) {
    const struct br_bounded_options *options = run->options;
    struct br_span_options span = {.pipeline = run->pipeline,
                                   .log = options->log,
                                   .from = options->from,
                                   .to = options->to,
                                   .whole_keyed_tables = true,
                                   .open_input = options->open_input,
                                   .open_context = options->open_context,
                                   .stop = options->stop};
    for (uint32_t t = 0; t < run->pipeline->table_count; t++)
        if (run->pipeline->tables[t].read)
            BR_TRY(br_input_create(&run->pipeline->tables[t], false, &run->inputs[t], error));
    return br_span_open(&span, &run->span, error);
}

static void start(struct bounded *run) {
    uint32_t count = run->pipeline->table_count;
    run->arena = br_arena_create();
    run->scratch = br_arena_create();
    run->inputs = br_calloc(count + 1, sizeof(struct br_input *));
    run->watermarks = br_calloc(count + 1, sizeof *run->watermarks);
    run->ends = br_calloc(count + 1, sizeof *run->ends);
    for (uint32_t t = 0; t < count; t++) {
        run->watermarks[t].us = BR_EVENT_TIME_MIN;
        run->ends[t].us = BR_EVENT_TIME_MAX;
    }
    run->epoch = (struct br_epoch){.now = run->options->clock->wall(run->options->clock),
                                   .watermarks_before = run->watermarks,
                                   .watermarks_after = run->watermarks,
                                   .arena = run->arena,
                                   .moment = moment_of,
                                   .moment_context = run};
    choose_way(run);
}

static void close_run(struct bounded *run) {
    struct br_error ignored;
    br_span_close(&run->span);
    br_graph_destroy(&run->graph);
    br_state_destroy(&run->state);
    if (run->store_path[0] != '\0' && br_store_remove(NULL, run->store_path, &ignored) != BR_OK)
        br_log_line(BR_LEVEL_WARN, "a query's state is left behind", BR_STR("path", run->store_path),
                    BR_STR("why", ignored.message));
    for (uint32_t t = 0; t < run->pipeline->table_count; t++)
        br_input_destroy(&run->inputs[t]);
    br_query_rows_destroy(&run->rows);
    br_arena_destroy(&run->arena);
    br_arena_destroy(&run->scratch);
    free(run->inputs);
    free(run->watermarks);
    free(run->ends);
    free(run->events.list);
}

static enum br_status run_all(struct bounded *run, struct br_error *error) {
    BR_TRY(open_graph(run, error));
    BR_TRY(open_span(run, error));
    for (bool any = true; any && !run->enough;)
        BR_TRY(run_turn(run, &any, error));
    return run->enough && run->way == WAY_STREAM ? BR_OK : finish(run, error);
}

enum br_status br_bounded_run(const struct br_bounded_options *options, br_graph_each each, void *context,
                              struct br_bounded_report *report, struct br_error *error) {
    struct bounded run = {.options = options,
                          .pipeline = options->pipeline,
                          .query = options->pipeline->select,
                          .report = report,
                          .each = each,
                          .context = context};
    BR_CHECK(run.query != NULL && run.pipeline->view_count == 1);
    *report =
        (struct br_bounded_report){.tables = br_calloc(run.pipeline->table_count + 1, sizeof(struct br_bounded_table))};
    start(&run);
    enum br_status status = run_all(&run, error);
    close_run(&run);
    return status;
}
