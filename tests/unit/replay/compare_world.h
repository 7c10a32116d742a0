// SPDX-License-Identifier: Apache-2.0
// What the tests of the comparison share: two lineages, each of a pipeline from SQL with its graph on a store in
// memory, fed with rows as text ("1|ann|2.50|", an empty value is NULL).
#ifndef TESTS_UNIT_REPLAY_COMPARE_WORLD_H
#define TESTS_UNIT_REPLAY_COMPARE_WORLD_H

#include "processor/sql/sql.h"
#include "replay/compare.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define LINEAGE_TABLES 8

struct lineage {
    struct br_pipeline *pipeline;
    struct br_state *state;
    struct br_graph *graph;
    struct br_arena *arena;
    struct br_event_time before[LINEAGE_TABLES], after[LINEAGE_TABLES];
    struct br_epoch epoch;
};

static inline void must(enum br_status status, const struct br_error *error) {
    cr_assert_eq(status, BR_OK, "%s", error->message);
}

static inline struct lineage lineage_open(const char *sql) {
    static const struct br_sink quiet;
    struct lineage lineage = {.arena = br_arena_create()};
    struct br_error error = {0};
    struct br_pipeline_options options = {.name = "shop"};
    struct br_diagnostics *diagnostics = br_diagnostics_create("shop.sql", sql);
    enum br_status status = br_pipeline_load("shop.sql", sql, &options, diagnostics, &lineage.pipeline, &error);
    cr_assert_eq(status, BR_OK, "%s", diagnostics->count != 0 ? diagnostics->list[0].message : error.message);
    br_diagnostics_destroy(&diagnostics);
    must(br_state_create(br_store_create_memory(), (size_t)64 << 20, &lineage.state, &error), &error);
    must(br_graph_create(lineage.pipeline, lineage.state, &quiet, &lineage.graph, &error), &error);
    for (int t = 0; t < LINEAGE_TABLES; t++)
        lineage.before[t].us = lineage.after[t].us = BR_EVENT_TIME_MIN;
    lineage.epoch.number = 1;
    return lineage;
}

static inline void lineage_set_epoch(struct lineage *lineage) { // a struct lineage moves when it is returned
    lineage->epoch.watermarks_before = lineage->before;
    lineage->epoch.watermarks_after = lineage->after;
    lineage->epoch.arena = lineage->arena;
}

static inline void lineage_close(struct lineage *lineage) {
    br_graph_destroy(&lineage->graph);
    br_state_destroy(&lineage->state);
    br_pipeline_destroy(&lineage->pipeline);
    br_arena_destroy(&lineage->arena);
}

static inline void lineage_parse(struct lineage *lineage, const char *text, struct br_batch *batch) {
    uint32_t row = batch->row_count++;
    for (uint32_t c = 0; c < batch->column_count; c++) {
        size_t len = strcspn(text, "|");
        struct br_value value = {.type = batch->columns[c].type, .is_null = len == 0};
        struct br_error error = {0};
        if (len != 0)
            must(br_value_parse(value.type, (struct br_slice){(const uint8_t *)text, len}, lineage->arena, &value,
                                &error),
                 &error);
        br_column_set(&batch->columns[c], row, &value);
        text += len + (text[len] == '|');
    }
}

// Rows of one table, separated by line ends; weight -1 deletes from an upsert table.
static inline void lineage_push_weighted(struct lineage *lineage, const char *table_name, const char *rows,
                                         int32_t weight) {
    const struct br_table *table = br_pipeline_find_table(lineage->pipeline, table_name);
    enum br_type types[32];
    struct br_error error = {0};
    lineage_set_epoch(lineage);
    cr_assert_not_null(table);
    for (uint32_t c = 0; c < table->row_type.column_count; c++)
        types[c] = table->row_type.columns[c].type;
    while (*rows != 0) {
        struct br_batch *batch = br_batch_create(lineage->arena, types, NULL, table->row_type.column_count);
        while (*rows != 0 && batch->row_count < BR_BATCH_ROWS) {
            size_t len = strcspn(rows, "\n");
            lineage_parse(lineage, br_arena_strndup(lineage->arena, rows, len), batch);
            rows += len + (rows[len] == '\n');
        }
        br_batch_need_weights(batch, lineage->arena);
        for (uint32_t r = 0; r < batch->row_count; r++)
            batch->weights[r] = weight;
        if (weight == 1 && table->primary_key_count == 0)
            batch->weights = NULL;
        must(br_graph_push(lineage->graph, table->index, batch, &lineage->epoch, &error), &error);
    }
}

static inline void lineage_push(struct lineage *lineage, const char *table, const char *rows) {
    lineage_push_weighted(lineage, table, rows, 1);
}

// watermark: of every table from then on, as SQL text; NULL: as it was.
static inline void lineage_end_epoch(struct lineage *lineage, const char *watermark) {
    struct br_error error = {0};
    lineage_set_epoch(lineage);
    if (watermark != NULL) {
        struct br_value value = {0};
        must(br_value_parse(BR_TIMESTAMPTZ, br_slice_of(watermark), lineage->arena, &value, &error), &error);
        for (int t = 0; t < LINEAGE_TABLES; t++)
            lineage->after[t].us = value.bigint;
    }
    must(br_graph_end_epoch(lineage->graph, &lineage->epoch, &error), &error);
    br_state_end_epoch(lineage->state);
    memcpy(lineage->before, lineage->after, sizeof lineage->before);
    br_arena_reset(lineage->arena);
    lineage->epoch.number++;
}

// Two lineages of one epoch of one table each.
static inline void lineage_fill(struct lineage *lineage, const char *table, const char *rows) {
    lineage_push(lineage, table, rows);
    lineage_end_epoch(lineage, NULL);
}

static inline enum br_status try_compare(struct lineage *before, struct lineage *after,
                                         const struct br_compare_options *options, struct br_compare_report **ret,
                                         struct br_error *error) {
    lineage_set_epoch(before);
    lineage_set_epoch(after);
    struct br_compare_side sides[] = {{.pipeline = before->pipeline, .graph = before->graph, .epoch = &before->epoch},
                                      {.pipeline = after->pipeline, .graph = after->graph, .epoch = &after->epoch}};
    return br_compare(&sides[0], &sides[1], options, ret, error);
}

static inline struct br_compare_report *compare(struct lineage *before, struct lineage *after,
                                                const struct br_compare_options *options) {
    struct br_compare_report *report = NULL;
    struct br_error error = {0};
    must(try_compare(before, after, options, &report, &error), &error);
    return report;
}

static inline const struct br_view_report *report_of(const struct br_compare_report *report, const char *view) {
    for (size_t v = 0; v < report->view_count; v++)
        if (strcmp(report->views[v].view, view) == 0)
            return &report->views[v];
    cr_assert_fail("no report of view %s", view);
    return NULL;
}

#define EXPECT_COUNTS(view, e, c, m, x)                                                                                \
    cr_expect((view)->equal == (e) && (view)->changed == (c) && (view)->missing == (m) && (view)->extra == (x),        \
              "equal %lu changed %lu missing %lu extra %lu", (unsigned long)(view)->equal,                             \
              (unsigned long)(view)->changed, (unsigned long)(view)->missing, (unsigned long)(view)->extra)

static inline const struct br_column_report *column_of_report(const struct br_view_report *view, const char *name) {
    for (size_t c = 0; c < view->column_count; c++)
        if (strcmp(view->columns[c].name, name) == 0)
            return &view->columns[c];
    return NULL;
}

#endif
