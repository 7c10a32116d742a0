// SPDX-License-Identifier: Apache-2.0
// CREATE MATERIALIZED VIEW, CREATE VIEW, COMMENT ON.
#include "processor/sql/sql_internal.h"

#include "processor/subject.h"

enum {
    OPTION_SUBJECT,
    OPTION_FORMAT,
    OPTION_EMIT,
    OPTION_LATENESS,
    OPTION_LAYOUT,
    OPTION_EMIT_INTERVAL,
    OPTION_TTL,
    OPTION_EFFECT
};
#define OPTION_COUNT 8

// --- names of the output
static bool check_names(struct sql_binder *binder, const struct sql_select *select) {
    bool ok = true;
    for (uint32_t i = 0; i < select->count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(select->names[i], select->names[j]) == 0) {
                sql_error(binder, select->locations[i], "give it a name of its own with AS",
                          "column \"%s\" specified more than once", select->names[i]);
                ok = false;
                break;
            }
    return ok;
}

static bool rename_columns(struct sql_binder *binder, struct sql_select *select, PgQuery__Node **names, size_t count,
                           int location) {
    if (count > select->count) {
        sql_error(binder, location, br_arena_printf(binder->arena, "the SELECT gives %u", select->count),
                  "too many column names were specified");
        return false;
    }
    for (size_t i = 0; i < count; i++)
        select->names[i] = br_arena_strdup(binder->arena, sql_string(names[i]));
    return true;
}

// --- the subject's {column}s
static bool check_placeholders(struct sql_binder *binder, const char *subject, const struct sql_select *select,
                               int location) {
    for (const char *at = strchr(subject, '{'); at != NULL; at = strchr(at, '{')) {
        size_t len = strcspn(++at, "{}");
        if (at[len] != '}') {
            sql_error(binder, location, "{column}", "unclosed { in subject '%s'", subject);
            return false;
        }
        const char *name = br_arena_strndup(binder->arena, at, len);
        struct sql_nearest nearest = {.wanted = name};
        bool found = false;
        for (uint32_t i = 0; i < select->count; i++) {
            found |= strcmp(select->names[i], name) == 0;
            sql_nearest_try(&nearest, select->names[i]);
        }
        if (!found) {
            sql_error(binder, location, sql_nearest_hint(binder, &nearest),
                      "{%s} in the subject is not a column of the view", name);
            return false;
        }
        at += len;
    }
    return true;
}

// --- windows
// The aggregate whose rows the view shows: below projections and filters of this view only.
static struct br_node *shown_aggregate(struct br_node *node, const struct br_view *view) {
    while (node->view == view && (node->kind == BR_NODE_PROJECT || node->kind == BR_NODE_FILTER))
        node = node->inputs[0];
    return node->view == view && node->kind == BR_NODE_AGGREGATE ? node : NULL;
}

static bool has_window(const struct br_node *node, const struct br_view *view) {
    if (node->view != view)
        return false;
    if (node->kind == BR_NODE_AGGREGATE && node->aggregate.window_column >= 0)
        return true;
    for (uint32_t i = 0; i < node->input_count; i++)
        if (has_window(node->inputs[i], view))
            return true;
    return false;
}

static void derive_again(struct sql_binder *binder, struct br_node *node, const struct br_view *view) {
    if (node->view != view)
        return;
    for (uint32_t i = 0; i < node->input_count; i++)
        derive_again(binder, node->inputs[i], view);
    sql_node_derive(binder, node);
}

static bool bind_final(struct sql_binder *binder, struct br_view *view, int location) {
    struct br_node *aggregate = shown_aggregate(view->root, view);
    if (aggregate != NULL && aggregate->aggregate.window_column >= 0) {
        aggregate->aggregate.emit_final = true;
        derive_again(binder, view->root, view);
        return true;
    }
    sql_error(
        binder, location,
        "GROUP BY window_start or window_end of tumble(table, event time, size) or hop(…), where the table has an "
        "event_time",
        aggregate == NULL ? "emit = 'final' needs a GROUP BY: without windows no row is ever final"
                          : "emit = 'final' needs a window in GROUP BY: without one no group is ever final");
    return false;
}

static bool bind_windows(struct sql_binder *binder, struct br_view *view, const struct sql_option *options) {
    bool ok = true;
    if (options[OPTION_LATENESS].given && !has_window(view->root, view)) {
        sql_error(binder, options[OPTION_LATENESS].location,
                  "GROUP BY window_start or window_end of tumble(…) or hop(…) over a table's event_time",
                  "lateness needs a window in GROUP BY: without one nothing closes, and no row is late");
        ok = false;
    }
    if (view->emit_final)
        ok &= bind_final(binder, view, options[OPTION_EMIT].location);
    return ok;
}

// --- the view
static void set_row_type(struct sql_binder *binder, struct br_view *view, const struct sql_select *select) {
    struct br_row_type *row_type = &view->row_type;
    row_type->name = view->name;
    row_type->column_count = select->count;
    row_type->columns = br_arena_array(binder->arena, struct br_column_def, select->count + 1);
    for (uint32_t i = 0; i < select->count; i++) {
        const struct br_field *field = &select->node->fields[i];
        row_type->columns[i] =
            (struct br_column_def){.name = select->names[i], .type = field->type, .not_null = !field->nullable};
    }
}

static const char *default_subject(struct sql_binder *binder, const struct br_view *view) {
    return br_arena_printf(binder->arena, "braid.%s.view.%s", binder->pipeline->name,
                           sql_subject_token(binder->arena, view->name));
}

static void set_options(struct sql_binder *binder, struct br_view *view, const struct sql_option *options) {
    view->subject = options[OPTION_SUBJECT].given ? options[OPTION_SUBJECT].text : default_subject(binder, view);
    view->format = options[OPTION_FORMAT].number == 1 ? BR_FORMAT_JSON : BR_FORMAT_PROTOBUF;
    view->layout = options[OPTION_LAYOUT].number == 1 ? BR_LAYOUT_PACKED : BR_LAYOUT_SINGLE;
    view->emit_final = options[OPTION_EMIT].number == 1;
    bool changed = binder->changes != NULL && binder->changes->lateness_set;
    view->lateness_us = changed ? binder->changes->lateness_us : options[OPTION_LATENESS].number;
    view->emit_interval_us = options[OPTION_EMIT_INTERVAL].number;
    view->ttl_us = options[OPTION_TTL].number;
    view->effect = options[OPTION_EFFECT].number != 0;
}

static bool bind_select_of(struct sql_binder *binder, const PgQuery__Node *query, struct sql_select *select) {
    if (query->node_case == PG_QUERY__NODE__NODE_SELECT_STMT)
        return sql_bind_select(binder, query->select_stmt, true, select);
    return sql_unsupported_node(binder, query);
}

// Under rules 1 all below braid.<pipeline>.view. was free.
static bool is_among_records(struct sql_binder *binder, const struct br_view *view, const char *own) {
    const char *all = br_arena_printf(binder->arena, "braid.%s.", binder->pipeline->name);
    size_t len = strlen(own);
    if (binder->rules < 2)
        return strncmp(view->subject, all, strlen(all)) == 0 && strncmp(view->subject + strlen(all), "view.", 5) != 0;
    bool is_own = strncmp(view->subject, own, len) == 0 && (view->subject[len] == '\0' || view->subject[len] == '.');
    return !is_own && (strncmp(view->subject, "braid.", 6) == 0 || strcmp(view->subject, "braid") == 0);
}

// Of NATS itself ("$JS.API.…", "$KV.…"), of inboxes, of workers' services.
static bool is_of_others(const struct br_view *view) {
    return view->subject[0] == '$' || strncmp(view->subject, "_INBOX.", 7) == 0 ||
           strncmp(view->subject, "braid_api.", 10) == 0;
}

// Whose changes a message on a subject is must be plain, and what pipelines write else has subjects of its own. No
// value can make one of them: the first word is in the text (and a server refuses a stream that begins with any word).
static bool check_own_subject(struct sql_binder *binder, const struct br_view *view, int location) {
    const struct br_pipeline *pipeline = binder->pipeline;
    if (binder->rules < 1)
        return true;
    const char *own = default_subject(binder, view);
    if (binder->rules >= 2 && memchr(view->subject, '{', strcspn(view->subject, ".")) != NULL) {
        sql_error(binder, location, br_arena_printf(binder->arena, "begin it with a word: 'views.%s'", view->subject),
                  "subject '%s' could begin with any word: no stream may hold such subjects", view->subject);
        return false;
    }
    if (binder->rules >= 2 && is_of_others(view)) {
        sql_error(binder, location,
                  br_arena_printf(binder->arena, "begin it with a word of your own: 'views.%s'", view->name),
                  "subject '%s' is among those of NATS itself or of workers' services", view->subject);
        return false;
    }
    if (is_among_records(binder, view, own)) {
        sql_error(binder, location,
                  br_arena_printf(binder->arena, "it may have '%s' and what is below, or a subject elsewhere", own),
                  "subject '%s' is among those of the records and other views of pipelines", view->subject);
        return false;
    }
    for (uint32_t i = 0; i < pipeline->view_count; i++) {
        const struct br_view *other = &pipeline->views[i];
        if (other == view || other->subject == NULL || !br_subject_templates_overlap(view->subject, other->subject))
            continue;
        sql_error(
            binder, location, "give each view subjects of its own",
            "subject '%s' may be one of view \"%s\", which has '%s': who reads it couldn't tell whose rows they are",
            view->subject, other->name, other->subject);
        return false;
    }
    return true;
}

static bool bind_view(struct sql_binder *binder, struct br_view *view, const PgQuery__CreateTableAsStmt *create,
                      const struct sql_option *options, bool taken) {
    struct sql_select select;
    int location = sql_at(binder, create->into->rel->location);
    if (!bind_select_of(binder, create->query, &select) ||
        !rename_columns(binder, &select, create->into->col_names, create->into->n_col_names, location) ||
        !check_names(binder, &select))
        return false;
    view->root = select.node;
    sql_prune(binder, view->root);
    if (!has_window(view->root, view))
        view->lateness_us = 0; // nothing closes: a replay's lateness (br_plan_changes) is not for this view
    derive_again(binder, view->root, view);
    set_row_type(binder, view, &select);
    int subject_at = options[OPTION_SUBJECT].location;
    if (view->layout == BR_LAYOUT_PACKED && strchr(view->subject, '{') != NULL) {
        sql_error(binder, subject_at, "leave layout = 'packed' out, or {…}",
                  "a packed view has one subject: its changes of an epoch go out together");
        return false;
    }
    bool ok = sql_check_subject(binder, view->subject, false, subject_at) &&
              check_placeholders(binder, view->subject, &select, subject_at) &&
              check_own_subject(binder, view, options[OPTION_SUBJECT].given ? subject_at : location);
    ok &= bind_windows(binder, view, options);
    return ok && !taken && sql_derive_message(binder, &view->row_type, view->row_type.column_count, location);
}

void sql_bind_view(struct sql_binder *binder, const struct sql_statement *statement,
                   const PgQuery__CreateTableAsStmt *create) {
    struct sql_option options[OPTION_COUNT] = {
        [OPTION_SUBJECT] = {.name = "subject"},
        [OPTION_FORMAT] = {.name = "format", .kind = SQL_OPTION_CHOICE, .choices = "protobuf json"},
        [OPTION_EMIT] = {.name = "emit", .kind = SQL_OPTION_CHOICE, .choices = "changes final"},
        [OPTION_LATENESS] = {.name = "lateness", .kind = SQL_OPTION_INTERVAL},
        [OPTION_LAYOUT] = {.name = "layout", .kind = SQL_OPTION_CHOICE, .choices = "single packed"},
        [OPTION_EMIT_INTERVAL] = {.name = "emit_interval", .kind = SQL_OPTION_INTERVAL},
        [OPTION_TTL] = {.name = "ttl", .kind = SQL_OPTION_INTERVAL},
        [OPTION_EFFECT] = {.name = "effect", .kind = SQL_OPTION_BOOLEAN},
    };
    int location = sql_at(binder, create->into->rel->location);
    bool ok = sql_only(binder, create, "query into objtype") &&
              sql_only(binder, create->into, "rel col_names options on_commit");
    ok &= sql_relation_name(binder, create->into->rel) != NULL;
    ok &= sql_options(binder, create->into->options, create->into->n_options, options, OPTION_COUNT,
                      "a materialized view");
    struct br_pipeline *pipeline = binder->pipeline;
    struct br_view *view = &pipeline->views[pipeline->view_count];
    *view = (struct br_view){.name = br_arena_strdup(binder->arena, create->into->rel->relname),
                             .index = pipeline->view_count};
    view->sql =
        br_arena_strndup(binder->arena, binder->text + statement->begin, (size_t)(statement->end - statement->begin));
    set_options(binder, view, options);
    bool taken = sql_find_symbol(binder, view->name) != NULL;
    binder->view = view;
    ok &= bind_view(binder, view, create, options, taken);
    binder->view = NULL;
    struct sql_symbol *symbol = sql_add_symbol(binder, SQL_VIEW, view->name, location);
    if (symbol == NULL)
        return;
    symbol->view = view;
    symbol->poisoned = !ok;
    if (ok)
        pipeline->view_count++;
}

void sql_bind_plain_view(struct sql_binder *binder, const PgQuery__ViewStmt *statement) {
    int location = sql_at(binder, statement->view->location);
    struct sql_select select;
    bool ok = sql_only(binder, statement, "view aliases query with_check_option") &&
              sql_relation_name(binder, statement->view) != NULL;
    if (statement->with_check_option > 1) {
        sql_error(binder, location, "leave it out", "WITH CHECK OPTION is not supported");
        ok = false;
    }
    bool bound = bind_select_of(binder, statement->query, &select) &&
                 rename_columns(binder, &select, statement->aliases, statement->n_aliases, location) &&
                 check_names(binder, &select);
    struct sql_symbol *symbol = sql_add_symbol(binder, SQL_PLAIN_VIEW, statement->view->relname, location);
    if (symbol == NULL)
        return;
    symbol->poisoned = !ok || !bound;
    if (symbol->poisoned)
        return;
    symbol->select = statement->query->select_stmt;
    symbol->names = select.names;
    symbol->name_count = select.count;
}

// --- COMMENT ON
static bool comment_column(struct sql_binder *binder, struct br_row_type *row_type, const char *name,
                           const char *comment) {
    struct sql_nearest nearest = {.wanted = name};
    for (uint32_t i = 0; i < row_type->column_count; i++) {
        if (strcmp(row_type->columns[i].name, name) == 0) {
            row_type->columns[i].comment = comment;
            return true;
        }
        sql_nearest_try(&nearest, row_type->columns[i].name);
    }
    sql_error(binder, binder->statement, sql_nearest_hint(binder, &nearest),
              "column \"%s\" of relation \"%s\" does not exist", name, row_type->name);
    return false;
}

static struct sql_symbol *commented(struct sql_binder *binder, const char *name) {
    struct sql_symbol *symbol = sql_find_symbol(binder, name);
    if (symbol != NULL)
        return symbol->poisoned ? NULL : symbol;
    struct sql_nearest nearest = {.wanted = name};
    for (const struct sql_symbol *other = binder->symbols; other != NULL; other = other->next)
        sql_nearest_try(&nearest, other->name);
    sql_error(binder, binder->statement, sql_nearest_hint(binder, &nearest), "relation \"%s\" does not exist", name);
    return NULL;
}

static void comment_on_column(struct sql_binder *binder, const PgQuery__List *list, const char *comment) {
    if (list->n_items < 2) {
        sql_error(binder, binder->statement, "COMMENT ON COLUMN orders.amount IS '…'", "column name must be qualified");
        return;
    }
    struct sql_symbol *symbol = commented(binder, sql_string(list->items[0]));
    if (symbol == NULL)
        return;
    struct br_row_type *row_type = symbol->kind == SQL_VIEW ? &symbol->view->row_type : symbol->row_type;
    const char *name = sql_dotted(binder, list->items + 1, list->n_items - 1);
    if (row_type != NULL)
        comment_column(binder, row_type, name, comment);
}

void sql_bind_comment(struct sql_binder *binder, const PgQuery__CommentStmt *statement) {
    const char *comment = statement->comment == NULL || *statement->comment == '\0'
                              ? NULL
                              : br_arena_strdup(binder->arena, statement->comment);
    const PgQuery__Node *object = statement->object;
    switch (statement->objtype) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN:
        comment_on_column(binder, object->list, comment);
        return;
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW: {
        struct sql_symbol *symbol = commented(binder, sql_dotted(binder, object->list->items, object->list->n_items));
        if (symbol == NULL)
            return;
        enum sql_symbol_kind wanted = statement->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE  ? SQL_TABLE
                                      : statement->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_VIEW ? SQL_PLAIN_VIEW
                                                                                                 : SQL_VIEW;
        if (symbol->kind != wanted && !(wanted == SQL_PLAIN_VIEW && symbol->kind == SQL_VIEW)) {
            sql_error(binder, binder->statement, NULL, "\"%s\" is not a %s", symbol->name,
                      wanted == SQL_TABLE  ? "table"
                      : wanted == SQL_VIEW ? "materialized view"
                                           : "view");
            return;
        }
        if (symbol->kind == SQL_TABLE)
            symbol->table->comment = comment;
        else if (symbol->kind == SQL_VIEW)
            symbol->view->comment = comment;
        else
            symbol->comment = comment;
        return;
    }
    case PG_QUERY__OBJECT_TYPE__OBJECT_TYPE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_FUNCTION:
        return; // kept in the file for its readers; nothing shows them yet
    default:
        sql_error(binder, binder->statement, "COMMENT ON TABLE, VIEW, MATERIALIZED VIEW or COLUMN",
                  "a comment on this kind of object is not supported");
    }
}
