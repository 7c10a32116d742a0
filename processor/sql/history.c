// SPDX-License-Identifier: Apache-2.0
// SQL over the tables themselves: a SELECT that is run over their history, and conditions on single events.
//
// A SELECT over history is bound like a materialized view of the file, with ORDER BY, LIMIT and OFFSET beside it. The
// file's own views are planned as ever and then left away but for what the SELECT reads. History ends, so two streams
// may be joined, and now() is one moment.
#include "processor/sql/sql_internal.h"

#define CONDITION_PREFIX "SELECT "

static bool valid_text(struct sql_binder *binder, const char *text) {
    size_t valid = br_utf8_valid_prefix(br_slice_of(text));
    if (text[valid] == '\0')
        return true;
    sql_error(binder, (int)valid, NULL, "the query is not valid UTF-8");
    return false;
}

void sql_collect_select_paths(struct sql_binder *binder, const char *text) {
    static const char *const prefixes[] = {"", CONDITION_PREFIX};
    for (size_t p = 0; p < 2 && br_utf8_valid_prefix(br_slice_of(text)) == strlen(text); p++) {
        struct br_diagnostics *ignored = br_diagnostics_create("query", "");
        struct sql_binder inner = {.arena = binder->arena, .diagnostics = ignored};
        struct sql_statements statements;
        if (sql_parse(&inner, br_arena_printf(binder->arena, "%s%s", prefixes[p], text), 0, true, &statements))
            for (uint32_t i = 0; i < statements.count; i++)
                sql_collect_paths(binder, statements.list[i].node);
        br_diagnostics_destroy(&ignored);
    }
}

// --- a SELECT
static bool parse_select(struct sql_binder *binder, struct sql_statements *statements) {
    if (!valid_text(binder, binder->text) || !sql_parse(binder, binder->text, 0, false, statements))
        return false;
    if (statements->count == 1 && statements->list[0].node->node_case == PG_QUERY__NODE__NODE_SELECT_STMT)
        return true;
    sql_error(binder, statements->count > 1 ? statements->list[1].begin : 0, "SELECT … FROM table or view …",
              statements->count == 0  ? "there is no statement"
              : statements->count > 1 ? "a query is one statement"
                                      : "a query is a SELECT");
    return false;
}

static void set_view(struct sql_binder *binder, struct br_view *view, const struct sql_select *select) {
    struct br_row_type *row_type = &view->row_type;
    row_type->name = view->name;
    row_type->message_name = view->name;
    row_type->column_count = select->count;
    row_type->columns = br_arena_array(binder->arena, struct br_column_def, select->count + 1);
    for (uint32_t i = 0; i < select->count; i++) {
        view->root->fields[i].name = select->names[i];
        row_type->columns[i] = (struct br_column_def){
            .name = select->names[i], .type = view->root->fields[i].type, .not_null = !view->root->fields[i].nullable};
    }
}

static bool bind_select(struct sql_binder *binder, struct br_view *view) {
    struct sql_statements statements;
    struct sql_select select;
    if (!parse_select(binder, &statements))
        return false;
    binder->base = statements.list[0].base;
    binder->statement = statements.list[0].begin;
    binder->fixed = false;
    binder->depth = 0;
    binder->view = view;
    bool ok = sql_bind_select(binder, statements.list[0].node->select_stmt, true, &select);
    if (ok) {
        view->root = select.node;
        sql_prune(binder, view->root);
        set_view(binder, view, &select);
        struct br_query *query = br_arena_new(binder->arena, struct br_query);
        query->root = view->root;
        query->visible_count = select.count;
        query->order = select.order;
        query->order_count = select.order_count;
        query->limit = select.limit;
        query->offset = select.offset;
        binder->pipeline->select = query;
    }
    binder->view = NULL;
    return ok;
}

bool sql_bind_history(struct sql_binder *binder, const struct br_pipeline_options *options) {
    struct br_diagnostics *of_file = binder->diagnostics;
    struct br_view *view = br_arena_new(binder->arena, struct br_view);
    view->name = "query";
    view->sql = binder->text = br_arena_strdup(binder->arena, options->select);
    binder->diagnostics = options->select_diagnostics;
    binder->history = true;
    bool ok = bind_select(binder, view) && binder->diagnostics->error_count == 0;
    binder->diagnostics = of_file;
    if (ok) {
        binder->pipeline->views = view;
        binder->pipeline->view_count = 1;
    }
    return ok;
}

// --- a condition
static bool condition_tree(struct sql_binder *binder, const char *text, const PgQuery__Node **ret_node) {
    struct sql_statements statements;
    const char *select = br_arena_printf(binder->arena, CONDITION_PREFIX "%s", text);
    int prefix = (int)strlen(CONDITION_PREFIX);
    if (!valid_text(binder, text) || !sql_parse(binder, select, -prefix, false, &statements))
        return false;
    const PgQuery__SelectStmt *tree =
        statements.count == 1 && statements.list[0].node->node_case == PG_QUERY__NODE__NODE_SELECT_STMT
            ? statements.list[0].node->select_stmt
            : NULL;
    if (tree == NULL || tree->n_target_list != 1) {
        sql_error(binder, 0, "for example: region = 'EU' AND amount > 10", "this is not one condition");
        return false;
    }
    binder->base = statements.list[0].base;
    *ret_node = tree->target_list[0]->res_target->val;
    return sql_only(binder, tree, "target_list limit_option op");
}

struct br_expr *sql_bind_condition(struct sql_binder *binder, const char *relation, const struct br_row_type *row_type,
                                   const char *text) {
    const PgQuery__Node *node;
    if (!condition_tree(binder, text, &node))
        return NULL;
    struct sql_scope scope = {0};
    sql_scope_add_relation(binder, &scope, relation, row_type);
    for (uint32_t i = 0; i < row_type->column_count; i++)
        sql_scope_add(binder, &scope,
                      (struct sql_column){.relation = relation,
                                          .name = row_type->columns[i].name,
                                          .type = row_type->columns[i].type,
                                          .column = i,
                                          .labels = sql_labels(row_type, i)});
    struct sql_expr_context ctx = {.binder = binder, .scope = &scope, .clause = "the condition"};
    return sql_bind_boolean(&ctx, node);
}

static enum br_status bind_over(const struct br_pipeline *pipeline, const char *relation,
                                const struct br_row_type *row_type, const char *text,
                                struct br_diagnostics *diagnostics, struct br_condition **ret_condition,
                                struct br_error *error) {
    struct br_arena *arena = br_arena_create();
    struct br_condition *condition = br_arena_new(arena, struct br_condition);
    struct br_pipeline *none = br_arena_new(arena, struct br_pipeline); // a condition declares nothing
    *condition = (struct br_condition){.arena = arena};
    struct sql_binder binder = {.arena = arena,
                                .diagnostics = diagnostics,
                                .text = br_arena_strdup(arena, text),
                                .path = diagnostics->path,
                                .pipeline = none,
                                .queried = pipeline,
                                .rules = BR_BINDING_RULES};
    condition->expr = sql_bind_condition(&binder, relation, row_type, text);
    sql_diagnostics_sort(diagnostics);
    if (condition->expr != NULL && diagnostics->error_count == 0) {
        *ret_condition = condition;
        return BR_OK;
    }
    br_condition_destroy(&condition);
    return br_error_set(error, BR_DATA, "%s: %u error%s", diagnostics->path, diagnostics->error_count,
                        diagnostics->error_count == 1 ? "" : "s");
}

enum br_status br_condition_bind(const struct br_pipeline *pipeline, const struct br_table *table, const char *text,
                                 struct br_diagnostics *diagnostics, struct br_condition **ret_condition,
                                 struct br_error *error) {
    return bind_over(pipeline, table->name, &table->row_type, text, diagnostics, ret_condition, error);
}

enum br_status br_condition_bind_view(const struct br_pipeline *pipeline, const struct br_view *view, const char *text,
                                      struct br_diagnostics *diagnostics, struct br_condition **ret_condition,
                                      struct br_error *error) {
    return bind_over(pipeline, view->name, &view->row_type, text, diagnostics, ret_condition, error);
}

void br_condition_destroy(struct br_condition **condition) {
    if (*condition == NULL)
        return;
    struct br_arena *arena = (*condition)->arena;
    *condition = NULL;
    br_arena_destroy(&arena);
}
