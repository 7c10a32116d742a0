// SPDX-License-Identifier: Apache-2.0
// Queries over the views of a running graph.
#include "world.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define EXPECT(text, wanted) cr_assert_str_eq((text), (wanted))

static const int first_column[] = {0, -1};

struct answer {
    struct br_buffer text;
};

static enum br_status append(void *context, const struct br_batch *batch, struct br_error *error) {
    (void)error;
    struct answer *answer = context;
    cr_assert_null(batch->weights);
    for (uint32_t r = 0; r < batch->row_count; r++) {
        world_print_row(batch, r, &answer->text);
        br_buffer_append_byte(&answer->text, '\n');
    }
    return BR_OK;
}

// The nodes of the second world are the query's.
static const char *ask(struct world *world, struct br_query *query) {
    struct answer answer = {0};
    struct br_error error = {0};
    world->epoch.watermarks_before = world->before;
    world->epoch.watermarks_after = world->after;
    world->epoch.arena = world->epoch_arena;
    enum br_status status = br_graph_query(world->graph, query, &world->epoch, append, &answer, &error);
    br_buffer_append_byte(&answer.text, 0);
    char *text = br_arena_strdup(world->arena, (const char *)answer.text.ptr);
    br_buffer_free(&answer.text);
    return status == BR_OK ? text : br_arena_printf(world->arena, "error: %s", error.message);
}

static struct world *running(uint32_t *view) {
    struct world *world = world_create();
    uint32_t t = world_table(world, "t", "iti", first_column);
    *view = world_view(world, "v", world_source(world, t));
    world_start(world);
    const char *rows[] = {"1|a|5", "2|b|", "3|a|7", "4|c|1", "5|b|0", "6||2"};
    world_push_rows(world, t, 6, NULL, rows);
    world_end_epoch(world);
    return world;
}

static struct br_node *scan_of(struct world *plan, uint32_t view, const char *columns) {
    struct br_node *node = world_source(plan, world_table(plan, "scan", columns, NULL));
    node->kind = BR_NODE_SCAN;
    node->scan.view = view;
    node->append_only = true;
    return node;
}

static struct br_query query_of(struct world *plan, struct br_node *root) {
    return (struct br_query){.nodes = plan->nodes,
                             .node_count = plan->pipeline.node_count,
                             .root = root,
                             .visible_count = root->field_count,
                             .limit = -1};
}

Test(query, orders_and_limits_rows) {
    uint32_t view;
    struct world *world = running(&view), *plan = world_create();
    struct br_query query = query_of(plan, scan_of(plan, view, "iti"));
    struct br_sort_key by_text[] = {{.column = 1, .descending = true, .nulls_first = true}, {.column = 2}};
    query.order = by_text;
    query.order_count = 2;
    EXPECT(ask(world, &query), "6||2\n4|c|1\n5|b|0\n2|b|\n1|a|5\n3|a|7\n");
    query.limit = 2;
    query.offset = 1;
    EXPECT(ask(world, &query), "4|c|1\n5|b|0\n");
    query.limit = 0;
    EXPECT(ask(world, &query), "");
    query.limit = -1;
    query.order_count = 0;
    query.offset = 0;
    EXPECT(ask(world, &query), "1|a|5\n2|b|\n3|a|7\n4|c|1\n5|b|0\n6||2\n");
    world_destroy(&world);
    world_destroy(&plan);
}

Test(query, aggregates_and_joins_views) {
    uint32_t view;
    struct world *world = running(&view), *plan = world_create();
    struct br_node *left = scan_of(plan, view, "iti"), *right = scan_of(plan, view, "iti");
    struct br_node *join = world_join(plan, left, right, "0", "2", true); // ids whose value is another's id
    struct br_aggregate counts[] = {world_agg(join, BR_AGG_COUNT, -1), world_agg(join, BR_AGG_SUM, 3)};
    struct br_query query = query_of(plan, world_aggregate(plan, join, "1", counts, 2));
    EXPECT(ask(world, &query), "a|2|4\nb|2|7\nc|1|\n|1|\n");
    world_destroy(&plan);
    plan = world_create();
    struct br_node *none =
        world_filter(plan, scan_of(plan, view, "iti"),
                     world_call(plan, ">", world_column(plan, scan_of(plan, view, "iti"), 0), world_number(plan, 100)));
    struct br_aggregate count[] = {world_agg(none, BR_AGG_COUNT, -1)};
    query = query_of(plan, world_aggregate(plan, none, "", count, 1));
    EXPECT(ask(world, &query), "0\n");
    world_destroy(&world);
    world_destroy(&plan);
}

Test(query, fails_with_the_message_of_the_row_that_fails) {
    uint32_t view;
    struct world *world = running(&view), *plan = world_create();
    struct br_node *scan = scan_of(plan, view, "iti");
    struct br_expr *exprs[] = {world_call(plan, "/", world_number(plan, 1), world_column(plan, scan, 2))};
    struct br_query query = query_of(plan, world_project(plan, scan, 1, exprs));
    EXPECT(ask(world, &query), "error: division by zero");
    world_destroy(&world);
    world_destroy(&plan);
}

// Enough rows that those that can't be among the first are thrown away on the way.
Test(query, limit_over_many_rows_gives_the_first_of_them) {
    struct world *world = world_create(), *plan = world_create();
    uint32_t t = world_table(world, "t", "iti", first_column);
    uint32_t view = world_view(world, "v", world_source(world, t));
    static char texts[2000][40];
    const char *rows[2000];
    world->quiet = true;
    world_start(world);
    for (int begin = 0; begin < 60000; begin += 2000) {
        for (int i = 0; i < 2000; i++) {
            int id = begin + i;
            snprintf(texts[i], sizeof texts[i], "%d|t%d|%d", id, id % 7, (int)((id * 7919LL) % 60013));
            rows[i] = texts[i];
        }
        world_push_rows(world, t, 2000, NULL, rows);
        world_end_epoch(world);
    }
    struct br_query query = query_of(plan, scan_of(plan, view, "iti"));
    struct br_sort_key by_value[] = {{.column = 2, .descending = true}};
    query.order = by_value;
    query.order_count = 1;
    query.limit = 3;
    query.offset = 1;
    int best[4] = {-1, -1, -1, -1};
    for (int id = 0; id < 60000; id++)
        for (int at = 0, value = (int)((id * 7919LL) % 60013), swap; at < 4; at++)
            if (value > best[at])
                swap = best[at], best[at] = value, value = swap;
    const char *answer = ask(world, &query);
    int ids[3], values[3], kinds[3];
    cr_assert_eq(sscanf(answer, "%d|t%d|%d\n%d|t%d|%d\n%d|t%d|%d\n", &ids[0], &kinds[0], &values[0], &ids[1], &kinds[1],
                        &values[1], &ids[2], &kinds[2], &values[2]),
                 9, "%s", answer);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(values[i], best[i + 1]);
        cr_assert_eq(kinds[i], ids[i] % 7);
    }
    query.order_count = 0;
    query.offset = 0;
    EXPECT(ask(world, &query), "0|t0|0\n1|t1|7919\n2|t2|15838\n");
    world_destroy(&world);
    world_destroy(&plan);
}
