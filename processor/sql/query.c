// SPDX-License-Identifier: Apache-2.0
// An ad-hoc SELECT over the views of a pipeline: the same binder, with scans of views where a pipeline has tables.
#include "processor/operators/graph.h"
#include "processor/sql/sql_internal.h"

static bool bind_query(struct sql_binder *binder, struct br_query *query) {
    struct sql_statements statements;
    struct sql_select select;
    if (br_utf8_valid_prefix(br_slice_of(binder->text)) != strlen(binder->text)) {
        sql_error(binder, (int)br_utf8_valid_prefix(br_slice_of(binder->text)), NULL, "the query is not valid UTF-8");
        return false;
    }
    if (!sql_parse(binder, binder->text, 0, false, &statements))
        return false;
    if (statements.count != 1 || statements.list[0].node->node_case != PG_QUERY__NODE__NODE_SELECT_STMT) {
        sql_error(binder, statements.count > 1 ? statements.list[1].begin : 0, "SELECT … FROM view …",
                  statements.count == 0  ? "there is no statement"
                  : statements.count > 1 ? "a query is one statement"
                                         : "a query is a SELECT");
        return false;
    }
    binder->base = statements.list[0].base;
    binder->statement = statements.list[0].begin;
    if (!sql_bind_select(binder, statements.list[0].node->select_stmt, true, &select))
        return false;
    query->root = select.node;
    sql_prune(binder, query->root);
    for (uint32_t i = 0; i < select.count; i++)
        query->root->fields[i].name = select.names[i];
    query->visible_count = select.count;
    query->order = select.order;
    query->order_count = select.order_count;
    query->limit = select.limit;
    query->offset = select.offset;
    sql_number_nodes(binder, &query->root, 1, &query->nodes, &query->node_count);
    return true;
}

// State tables of the query's own store.
static void number_state(struct br_query *query) {
    uint32_t next = 1;
    for (uint32_t i = 0; i < query->node_count; i++) {
        struct br_node *node = query->nodes[i];
        node->state_table_count = br_node_state_tables(node);
        node->state_table = node->state_table_count == 0 ? 0 : (uint16_t)next;
        next += node->state_table_count;
    }
}

enum br_status br_query_bind(const struct br_pipeline *pipeline, const char *text, struct br_diagnostics *diagnostics,
                             struct br_query **ret_query, struct br_error *error) {
    struct br_arena *arena = br_arena_create();
    struct br_query *query = br_arena_new(arena, struct br_query);
    struct br_pipeline *none = br_arena_new(arena, struct br_pipeline); // a query declares nothing
    query->arena = arena;
    struct sql_binder binder = {.arena = arena,
                                .diagnostics = diagnostics,
                                .text = br_arena_strdup(arena, text),
                                .path = diagnostics->path,
                                .pipeline = none,
                                .queried = pipeline,
                                .rules = BR_BINDING_RULES};
    bool ok = bind_query(&binder, query);
    sql_diagnostics_sort(diagnostics);
    if (ok && diagnostics->error_count == 0) {
        number_state(query);
        *ret_query = query;
        return BR_OK;
    }
    br_query_destroy(&query);
    return br_error_set(error, BR_DATA, "%s: %u error%s", diagnostics->path, diagnostics->error_count,
                        diagnostics->error_count == 1 ? "" : "s");
}

void br_query_destroy(struct br_query **query) {
    if (*query == NULL)
        return;
    struct br_arena *arena = (*query)->arena;
    *query = NULL;
    br_arena_destroy(&arena);
}
