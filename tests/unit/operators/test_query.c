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

static struct br_query_limits limits = {.rows_max = 1000000, .memory_max = (size_t)64 << 20};

// The nodes of the second world are the query's.
static const char *ask(struct world *world, struct br_query *query) {
    struct answer answer = {0};
    struct br_error error = {0};
    world->epoch.watermarks_before = world->before;
    world->epoch.watermarks_after = world->after;
    world->epoch.arena = world->epoch_arena;
    enum br_status status = br_graph_query(world->graph, query, &limits, &world->epoch, append, &answer, &error);
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

// --- what a query reads and what it may take

static uint32_t looks;

static enum br_status count_looks(void *context, struct br_error *error) {
    (void)context, (void)error;
    looks++;
    return BR_OK;
}

// Rows of 200 ids and 100 texts each; views: the table, the table through a projection and a filter, and groups of it.
enum { PLAIN, SHAPED, GROUPED };

static struct world *keyed(uint32_t views[3]) {
    static const int key[] = {0, 1, -1};
    struct world *world = world_create();
    uint32_t t = world_table(world, "t", "iti", key);
    struct br_node *source = world_source(world, t);
    struct br_expr *exprs[] = {world_column(world, source, 2), world_column(world, source, 1),
                               world_column(world, source, 0)};
    struct br_node *shaped = world_project(world, source, 3, exprs);
    views[PLAIN] = world_view(world, "plain", source);
    views[SHAPED] = world_view(
        world, "shaped",
        world_filter(world, shaped, world_call(world, ">=", world_column(world, shaped, 0), world_number(world, 0))));
    struct br_aggregate sum[] = {world_agg(source, BR_AGG_SUM, 2)};
    views[GROUPED] = world_view(world, "grouped", world_aggregate(world, source, "0 1", sum, 1));
    world->quiet = true;
    world_start(world);
    static char texts[2000][40];
    const char *rows[2000];
    for (int begin = 0; begin < 20000; begin += 2000) {
        for (int i = 0; i < 2000; i++) {
            snprintf(texts[i], sizeof texts[i], "%d|t%d|%d", (begin + i) / 100, (begin + i) % 100, begin + i);
            rows[i] = texts[i];
        }
        world_push_rows(world, t, 2000, NULL, rows);
        world_end_epoch(world);
    }
    return world;
}

// What stays is in the arena of the world that is asked.
static const char *ask_where(struct world *world, uint32_t view, const char *columns, uint32_t column,
                             const char *text) {
    struct world *plan = world_create();
    struct br_node *scan = scan_of(plan, view, columns);
    struct br_expr *wanted = world_call(plan, "=", world_column(plan, scan, column), world_number(plan, 150));
    if (text != NULL) {
        struct br_expr **both = br_arena_array(plan->arena, struct br_expr *, 2);
        struct br_value value = {.type = BR_TEXT, .bytes = br_slice_of(text)};
        both[0] = world_call(plan, "=", br_expr_const(plan->arena, value, -1), world_column(plan, scan, 1));
        both[1] = wanted;
        wanted = br_expr_of(plan->arena, BR_EXPR_AND, BR_BOOLEAN, both, 2, -1);
    }
    struct br_query query = query_of(plan, world_filter(plan, scan, wanted));
    looks = 0;
    const char *answer = ask(world, &query);
    world_destroy(&plan);
    return answer;
}

Test(query, a_key_or_its_beginning_is_looked_up) {
    uint32_t views[3];
    struct world *world = keyed(views);
    limits.go_on = count_looks;
    EXPECT(ask_where(world, views[PLAIN], "iti", 0, "t7"), "150|t7|15007\n");
    cr_assert_lt(looks, 6, "%u batches for one row", looks);
    EXPECT(ask_where(world, views[PLAIN], "iti", 0, "t100"), "");
    EXPECT(ask_where(world, views[SHAPED], "iti", 2, "t7"), "15007|t7|150\n");
    cr_assert_lt(looks, 6, "%u batches for one row", looks);
    EXPECT(ask_where(world, views[GROUPED], "itl", 0, "t7"), "150|t7|15007\n");
    cr_assert_lt(looks, 6, "%u batches for one group", looks);
    const char *answer = ask_where(world, views[PLAIN], "iti", 0, NULL);
    cr_assert_eq(strncmp(answer, "150|t0|15000\n150|t1|15001\n150|t10|15010\n", 39), 0, "%s", answer);
    cr_assert_lt(looks, 6, "%u batches for a hundred rows", looks);
    answer = ask_where(world, views[GROUPED], "itl", 0, NULL);
    cr_assert_eq(strlen(answer), 1390, "%s", answer);
    cr_assert_lt(looks, 6, "%u batches for a hundred groups", looks);
    EXPECT(ask_where(world, views[SHAPED], "iti", 0, "t50"), "150|t50|1\n"); // no column of the key comes first
    cr_assert_gt(looks, 9, "all is read: %u batches", looks);
    world_destroy(&world);
}

static enum br_status stop_at_five(void *context, struct br_error *error) {
    (void)context;
    return ++looks < 5 ? BR_OK : br_error_set(error, BR_DATA, "that is enough");
}

Test(query, ends_where_its_caller_says_so) {
    uint32_t views[3];
    struct world *world = keyed(views), *plan = world_create();
    limits.go_on = stop_at_five;
    struct br_query query = query_of(plan, scan_of(plan, views[PLAIN], "iti"));
    looks = 0;
    cr_assert_not_null(strstr(ask(world, &query), "that is enough"));
    cr_assert_eq(looks, 5);
    limits.go_on = NULL;
    world_push(world, 0, 1, "900|t|1"); // the views go on without the query
    world_end_epoch(world);
    world_destroy(&world);
    world_destroy(&plan);
}

Test(query, takes_no_more_rows_and_memory_than_it_may) {
    uint32_t views[3];
    struct world *world = keyed(views), *plan = world_create();
    struct br_query query = query_of(plan, scan_of(plan, views[PLAIN], "iti"));
    limits.rows_max = 20000;
    cr_assert_null(strstr(ask(world, &query), "error"));
    limits.rows_max = 19999;
    cr_assert_not_null(strstr(ask(world, &query), "more than 19999 rows"));
    limits.rows_max = UINT64_MAX;
    limits.memory_max = (size_t)1 << 20;
    cr_assert_not_null(strstr(ask(world, &query), "more than 1 MiB"));
    limits.memory_max = (size_t)8 << 20;
    world_destroy(&plan);
    plan = world_create();
    struct br_node *scan = scan_of(plan, views[PLAIN], "iti");
    struct br_expr *exprs[] = {
        world_call(plan, "repeat", world_column(plan, scan, 1),
                   world_call(plan, "%", world_column(plan, scan, 2), world_number(plan, 300000)))};
    query = query_of(plan, world_project(plan, scan, 1, exprs));
    cr_assert_not_null(strstr(ask(world, &query), "more than 8 MiB"));
    world_destroy(&world);
    world_destroy(&plan);
}
