// SPDX-License-Identifier: Apache-2.0
// CREATE TABLE and CREATE TYPE … AS: columns, gates, keys, options, and the message they are read from.
//
// A table's columns come from its list, else from its message: the scalar fields of the message itself. Nested fields
// that the file mentions anywhere (o.customer.name) become further, hidden columns of every table whose message has
// them: * leaves them out.
#include "processor/sql/sql_internal.h"

#include "processor/expr/datetime.h"

#include <ctype.h>

struct check_stem { // of a name that was made up: the stem and, when not 0, the number
    const char *text;
    unsigned suffix;
};

struct table_binding {
    struct sql_binder *binder;
    const PgQuery__CreateStmt *tree;
    struct sql_symbol *symbol;
    struct br_table *table;
    const PgQuery__Constraint **checks; // of columns and of the table, in their order
    const char **check_columns;         // whose; NULL: the table's
    struct check_stem *check_stems;
    const PgQuery__Constraint **defaults; // by column
    int *column_locations;
    uint32_t listed; // columns in the statement
    bool options_ok, ok;
};

enum {
    OPTION_SUBJECT,
    OPTION_STREAM,
    OPTION_MESSAGE,
    OPTION_EVENT_TIME,
    OPTION_WATERMARK,
    OPTION_LAYOUT,
    OPTION_LOOKUP,
    OPTION_MAX_FUTURE,
    OPTION_ARCHIVE,
    OPTION_ARCHIVE_RETENTION,
    OPTION_ARCHIVE_MAX_BYTES,
    OPTION_COUNT
};
#define GATE_FIELDS                                                                                                    \
    "contype conname initially_valid is_enforced " // of every constraint; newer grammars set more of them
#define DAY_US (INT64_C(86400) * BR_US_PER_SECOND)
#define HOUR_US (INT64_C(3600) * BR_US_PER_SECOND)

// --- symbols
struct sql_symbol *sql_find_symbol(const struct sql_binder *binder, const char *name) {
    for (struct sql_symbol *symbol = binder->symbols; symbol != NULL; symbol = symbol->next)
        if (strcmp(symbol->name, name) == 0)
            return symbol;
    return NULL;
}

struct sql_symbol *sql_add_symbol(struct sql_binder *binder, enum sql_symbol_kind kind, const char *name,
                                  int location) {
    if (sql_find_symbol(binder, name) != NULL) {
        sql_error(binder, location, "use another name", "relation \"%s\" already exists", name);
        return NULL;
    }
    struct sql_symbol *symbol = br_arena_new(binder->arena, struct sql_symbol);
    symbol->kind = kind;
    symbol->name = br_arena_strdup(binder->arena, name);
    symbol->base = binder->base;
    symbol->location = location;
    symbol->next = binder->symbols;
    binder->symbols = symbol;
    return symbol;
}

const char *sql_relation_name(struct sql_binder *binder, const PgQuery__RangeVar *range) {
    bool ok = sql_only(binder, range, "relname inh relpersistence");
    if (range->relpersistence != NULL && strcmp(range->relpersistence, "p") != 0 && *range->relpersistence != '\0') {
        sql_error(binder, sql_at(binder, range->location), "leave it out", "TEMPORARY and UNLOGGED are not supported");
        ok = false;
    }
    for (const char *at = range->relname; binder->rules >= 1 && *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f) { // names stand in headers, and in lines of the log
            sql_error(binder, sql_at(binder, range->location), "use other characters",
                      "a name can't have control characters");
            ok = false;
            break;
        }
    return ok ? br_arena_strdup(binder->arena, range->relname) : NULL;
}

// --- columns
static int find_column(const struct br_row_type *row_type, const char *name) {
    for (uint32_t i = 0; i < row_type->column_count; i++)
        if (strcmp(row_type->columns[i].name, name) == 0)
            return (int)i;
    return -1;
}

static int named_column(struct table_binding *t, const char *name, int location, const char *where) {
    int index = find_column(&t->table->row_type, name);
    if (index < 0) {
        struct sql_nearest nearest = {.wanted = name};
        for (uint32_t i = 0; i < t->table->row_type.column_count; i++)
            sql_nearest_try(&nearest, t->table->row_type.columns[i].name);
        sql_error(t->binder, location, sql_nearest_hint(t->binder, &nearest),
                  "column \"%s\" named in %s does not exist", name, where);
        t->ok = false;
    }
    return index;
}

static void set_primary_key(struct table_binding *t, const int *columns, size_t count, int location) {
    if (t->table->primary_key_count != 0) {
        sql_error(t->binder, location, NULL, "multiple primary keys for table \"%s\" are not allowed", t->table->name);
        t->ok = false;
        return;
    }
    t->table->primary_key = br_arena_array(t->binder->arena, uint32_t, count + 1);
    for (size_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < t->table->primary_key_count; j++)
            if (t->table->primary_key[j] == (uint32_t)columns[i]) {
                sql_error(t->binder, location, NULL, "column \"%s\" appears twice in primary key constraint",
                          t->table->row_type.columns[columns[i]].name);
                t->ok = false;
                return;
            }
        t->table->primary_key[t->table->primary_key_count++] = (uint32_t)columns[i];
        t->table->row_type.columns[columns[i]].not_null = true;
    }
}

static void unsupported_constraint(struct table_binding *t, const PgQuery__Constraint *constraint) {
    const char *what = "this constraint", *hint = NULL;
    switch (constraint->contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE:
        what = "UNIQUE";
        hint = "declare a PRIMARY KEY: the last row of a key counts";
        break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN:
        what = "REFERENCES";
        hint = "leave it out, or join in a view";
        break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED:
        what = "GENERATED ALWAYS AS";
        hint = "compute it in a view";
        break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY:
        what = "GENERATED AS IDENTITY";
        break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_EXCLUSION:
        what = "EXCLUDE";
        break;
    default:
        break;
    }
    sql_error(t->binder, sql_at(t->binder, constraint->location), hint, "%s is not supported", what);
    t->ok = false;
}

// NULL after NOT NULL, two DEFAULTs: one of them would be ignored.
static bool no_conflict(struct table_binding *t, int column, PgQuery__ConstrType type,
                        const PgQuery__Constraint *constraint) {
    const char *name = t->table->row_type.columns[column].name;
    int location = sql_at(t->binder, constraint->location);
    if (type == PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT && t->defaults[column] != NULL) {
        sql_error(t->binder, location, NULL, "multiple default values specified for column \"%s\" of table \"%s\"",
                  name, t->table->name);
        return false;
    }
    if (type == PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL && t->table->row_type.columns[column].not_null) {
        sql_error(t->binder, location, NULL, "conflicting NULL/NOT NULL declarations for column \"%s\" of table \"%s\"",
                  name, t->table->name);
        return false;
    }
    return true;
}

static void bind_column_constraint(struct table_binding *t, int column, const PgQuery__Constraint *constraint) {
    struct br_column_def *def = &t->table->row_type.columns[column];
    switch (constraint->contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_NULL:
        t->ok &= no_conflict(t, column, PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL, constraint);
        break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL:
        t->ok &= sql_only(t->binder, constraint, GATE_FIELDS);
        def->not_null = true;
        break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT:
        t->ok &= no_conflict(t, column, PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT, constraint);
        t->defaults[column] = constraint;
        break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK:
        t->ok &= sql_only(t->binder, constraint, GATE_FIELDS "raw_expr");
        t->check_columns[t->table->check_count] = def->name;
        t->checks[t->table->check_count++] = constraint;
        break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY:
        t->ok &= sql_only(t->binder, constraint, GATE_FIELDS);
        set_primary_key(t, &column, 1, sql_at(t->binder, constraint->location));
        break;
    default:
        unsupported_constraint(t, constraint);
    }
}

static void bind_column(struct table_binding *t, const PgQuery__ColumnDef *tree) {
    struct br_row_type *row_type = &t->table->row_type;
    int location = sql_at(t->binder, tree->location);
    t->ok &= sql_only(t->binder, tree, "colname type_name is_local constraints");
    enum br_type type = sql_bind_type(t->binder, tree->type_name);
    if (find_column(row_type, tree->colname) >= 0) {
        sql_error(t->binder, location, NULL, "column \"%s\" specified more than once", tree->colname);
        t->ok = false;
    }
    t->ok &= type != BR_UNKNOWN;
    uint32_t index = row_type->column_count++;
    t->column_locations[index] = location;
    const char *name = br_arena_strdup(t->binder->arena, tree->colname);
    row_type->columns[index] = (struct br_column_def){.name = name, .type = type, .path = name};
    for (size_t i = 0; i < tree->n_constraints; i++)
        bind_column_constraint(t, (int)index, tree->constraints[i]->constraint);
}

static void bind_table_constraint(struct table_binding *t, const PgQuery__Constraint *constraint) {
    int location = sql_at(t->binder, constraint->location);
    if (constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_CHECK) {
        t->ok &= sql_only(t->binder, constraint, GATE_FIELDS "raw_expr");
        t->check_columns[t->table->check_count] = NULL;
        t->checks[t->table->check_count++] = constraint;
        return;
    }
    if (constraint->contype != PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY) {
        unsupported_constraint(t, constraint);
        return;
    }
    t->ok &= sql_only(t->binder, constraint, GATE_FIELDS "keys");
    int *columns = br_arena_array(t->binder->arena, int, constraint->n_keys + 1);
    bool found = true;
    for (size_t i = 0; i < constraint->n_keys; i++) {
        columns[i] = named_column(t, sql_string(constraint->keys[i]), location, "key");
        found &= columns[i] >= 0;
    }
    if (found)
        set_primary_key(t, columns, constraint->n_keys, location);
}

static void bind_elements(struct table_binding *t) {
    const PgQuery__CreateStmt *tree = t->tree;
    size_t columns = 0, constraints = 0;
    for (size_t i = 0; i < tree->n_table_elts; i++) {
        columns += tree->table_elts[i]->node_case == PG_QUERY__NODE__NODE_COLUMN_DEF ? 1 : 0;
        constraints += tree->table_elts[i]->node_case == PG_QUERY__NODE__NODE_COLUMN_DEF
                           ? tree->table_elts[i]->column_def->n_constraints
                           : 1;
    }
    if (!sql_check_columns(t->binder, columns, t->binder->statement, "a table") ||
        !sql_check_columns(t->binder, constraints, t->binder->statement, "the constraints of a table")) {
        t->ok = false;
        return;
    }
    t->table->row_type.columns = br_arena_array(t->binder->arena, struct br_column_def, columns + 1);
    t->checks = br_arena_array(t->binder->arena, const PgQuery__Constraint *, constraints + 1);
    t->check_columns = br_arena_array(t->binder->arena, const char *, constraints + 1);
    t->defaults = br_arena_array(t->binder->arena, const PgQuery__Constraint *, columns + 1);
    t->column_locations = br_arena_array(t->binder->arena, int, columns + 1);
    for (size_t i = 0; i < tree->n_table_elts; i++)
        if (tree->table_elts[i]->node_case == PG_QUERY__NODE__NODE_COLUMN_DEF)
            bind_column(t, tree->table_elts[i]->column_def);
        else if (tree->table_elts[i]->node_case != PG_QUERY__NODE__NODE_CONSTRAINT)
            t->ok = sql_unsupported_node(t->binder, tree->table_elts[i]);
    t->symbol->visible_count = t->listed = t->table->row_type.column_count;
}

// After the columns are known, which may be by the message.
static void bind_constraints(struct table_binding *t) {
    for (size_t i = 0; i < t->tree->n_table_elts; i++) {
        const PgQuery__Node *element = t->tree->table_elts[i];
        if (element->node_case == PG_QUERY__NODE__NODE_CONSTRAINT)
            bind_table_constraint(t, element->constraint);
    }
}

// --- the message
static const struct br_message_type *find_message(struct sql_binder *binder, const char *name, int location) {
    const struct br_message_type *message = br_descriptors_find(binder->descriptors, name);
    if (message != NULL)
        return message;
    const char *nearest = br_descriptors_nearest(binder->descriptors, name);
    sql_error(binder, location,
              nearest != NULL ? br_arena_printf(binder->arena, "did you mean \"%s\"?", nearest)
                              : "descriptors are given by SET braid.descriptors = 'file.binpb' (protoc "
                                "--include_imports --descriptor_set_out=file.binpb)",
              "message \"%s\" is in no descriptor set", name);
    return NULL;
}

static void fit_column(struct table_binding *t, struct br_column_def *column, int location) {
    const struct br_message_type *message = t->table->row_type.message;
    const struct br_message_field *field;
    struct br_error error;
    if (br_message_find_path(message, column->path, &field, &error) != BR_OK) {
        sql_error_of(t->binder, location, &error);
        t->ok = false;
        return;
    }
    const char *kind = field->message != NULL       ? field->message->name
                       : field->enumeration != NULL ? field->enumeration->name
                                                    : sql_column_word(field->kind);
    if (column->type == BR_UNKNOWN || (!field->repeated && br_field_fits(field, column->type)))
        return;
    enum br_type natural = br_field_sql_type(field);
    const char *hint = natural != BR_UNKNOWN ? br_arena_printf(t->binder->arena, "declare it %s", br_type_name(natural))
                       : field->repeated     ? "repeated fields can't be read as columns"
                                             : "declare a field of it: \"customer.name\" text";
    sql_error(t->binder, location, hint, "column \"%s\" is %s, but field %s of %s is %s%s", column->name,
              br_type_name(column->type), column->path, message->name, field->repeated ? "repeated " : "", kind);
    t->ok = false;
}

static void bind_message(struct table_binding *t, const struct sql_option *option, bool listed) {
    struct br_row_type *row_type = &t->table->row_type;
    int location = option->given ? option->location : sql_at_node(t->binder, NULL);
    if (!option->given) {
        if (!listed && t->ok) {
            sql_error(t->binder, sql_at(t->binder, t->tree->relation->location),
                      "list its columns, or name a message: WITH (message = 'shop.v1.Order')",
                      "table \"%s\" has neither columns nor a message", t->table->name);
            t->ok = false;
        } else if (t->ok) {
            t->ok = sql_derive_message(t->binder, row_type, row_type->column_count, location);
        }
        return;
    }
    row_type->message_name = option->text;
    row_type->message = find_message(t->binder, option->text, location);
    if (row_type->message == NULL) {
        t->ok = false;
        return;
    }
    for (uint32_t i = 0; i < row_type->column_count; i++)
        fit_column(t, &row_type->columns[i], t->column_locations[i]);
    if (listed)
        sql_add_nested_columns(t->binder, row_type);
    else
        sql_message_columns(t->binder, row_type, &t->symbol->visible_count);
    if (row_type->column_count == 0) {
        sql_error(t->binder, location, "list nested fields as columns: \"customer.name\" text",
                  "message \"%s\" has no field that can be a column", option->text);
        t->ok = false;
    }
}

// --- gates
static void bind_defaults(struct table_binding *t) {
    struct sql_scope none = {0};
    struct sql_expr_context ctx = {.binder = t->binder, .scope = &none, .clause = "DEFAULT expressions"};
    for (uint32_t i = 0; i < t->listed; i++) {
        const PgQuery__Constraint *constraint = t->defaults[i];
        struct br_column_def *column = &t->table->row_type.columns[i];
        if (constraint == NULL || column->type == BR_UNKNOWN)
            continue;
        t->ok &= sql_only(t->binder, constraint, GATE_FIELDS "raw_expr");
        struct br_expr *expr = sql_bind(&ctx, constraint->raw_expr), *cast = NULL;
        struct br_error error;
        int location = sql_at_node(t->binder, constraint->raw_expr);
        if (expr != NULL &&
            br_expr_cast(t->binder->arena, expr, column->type, BR_CAST_ASSIGNMENT, &cast, &error) != BR_OK) {
            if (expr->type == BR_UNKNOWN)
                sql_error_of(t->binder, location, &error);
            else
                sql_error(t->binder, location, "You will need to rewrite or cast the expression.",
                          "column \"%s\" is of type %s but default expression is of type %s", column->name,
                          br_type_name(column->type), br_type_name(expr->type));
        }
        if (cast != NULL && cast->kind == BR_EXPR_CONST && cast->type == BR_TIMESTAMPTZ && !cast->value.is_null &&
            (cast->value.bigint < BR_COLUMN_TIME_MIN || cast->value.bigint >= BR_COLUMN_TIME_END)) {
            sql_error(t->binder, location, "a column holds the years 1 to 9999", "timestamp out of range");
            cast = NULL;
        }
        column->default_value = cast;
        t->ok &= cast != NULL;
    }
}

// The text between the parentheses after CHECK, as it was written.
static const char *check_text(struct sql_binder *binder, int location) {
    const char *text = binder->text;
    int end = (int)strlen(text), at = location;
    while (at < end && text[at] != '(') {
        if (text[at] == '"')
            for (at++; at < end && text[at] != '"'; at++)
                ;
        at++;
    }
    int begin = at + 1, depth = 0;
    for (; at < end; at++) {
        if (text[at] == '\'' || text[at] == '"') {
            char quote = text[at];
            for (at++; at < end && text[at] != quote; at++)
                ;
        } else if (text[at] == '(') {
            depth++;
        } else if (text[at] == ')' && --depth == 0) {
            break;
        }
    }
    if (at >= end)
        return "";
    begin = sql_skip_blank(text, begin, at);
    while (at > begin && isspace((unsigned char)text[at - 1]))
        at--;
    return br_arena_strndup(binder->arena, text + begin, (size_t)(at - begin));
}

static bool has_check(const struct table_binding *t, uint32_t count, const char *name) {
    for (uint32_t i = 0; i < count; i++)
        if (t->table->checks[i].name != NULL && strcmp(t->table->checks[i].name, name) == 0)
            return true;
    return false;
}

static const char *check_name(struct table_binding *t, uint32_t index, const struct br_expr *condition) {
    const PgQuery__Constraint *constraint = t->checks[index];
    struct br_arena *arena = t->binder->arena;
    if (constraint->conname != NULL && *constraint->conname != '\0')
        return br_arena_strdup(arena, constraint->conname);
    const char *column = t->check_columns[index];
    if (column == NULL && condition != NULL) { // one column only: PostgreSQL names it too
        const struct br_row_type *row_type = &t->table->row_type;
        bool *used = br_arena_array(arena, bool, row_type->column_count + 1);
        uint32_t count = 0;
        br_expr_mark_columns(condition, used);
        for (uint32_t i = 0; i < row_type->column_count; i++)
            if (used[i]) {
                column = row_type->columns[i].name;
                count++;
            }
        column = count == 1 ? column : NULL;
    }
    const char *stem = column == NULL ? br_arena_printf(arena, "%s_check", t->table->name)
                                      : br_arena_printf(arena, "%s_%s_check", t->table->name, column);
    unsigned suffix = 0; // names only come to be taken: what the last one of this stem tried before its own still is
    for (uint32_t i = index; i-- > 0 && suffix == 0;)
        if (t->check_stems[i].text != NULL && strcmp(t->check_stems[i].text, stem) == 0)
            suffix = t->check_stems[i].suffix + 1;
    const char *name;
    do
        name = suffix == 0 ? stem : br_arena_printf(arena, "%s%u", stem, suffix);
    while (has_check(t, index, name) && ++suffix != 0);
    t->check_stems[index] = (struct check_stem){stem, suffix};
    return name;
}

static void bind_checks(struct table_binding *t) {
    struct sql_scope scope = {0};
    struct br_row_type *row_type = &t->table->row_type;
    sql_scope_add_relation(t->binder, &scope, t->table->name, row_type);
    for (uint32_t i = 0; i < row_type->column_count; i++) {
        sql_scope_add(t->binder, &scope,
                      (struct sql_column){.relation = t->table->name,
                                          .name = row_type->columns[i].name,
                                          .type = row_type->columns[i].type,
                                          .column = i,
                                          .labels = sql_labels(row_type, i),
                                          .hidden = i >= t->symbol->visible_count});
    }
    struct sql_expr_context ctx = {.binder = t->binder, .scope = &scope, .clause = "check constraints"};
    t->table->checks = br_arena_array(t->binder->arena, struct br_check, t->table->check_count + 1);
    t->check_stems = br_arena_array(t->binder->arena, struct check_stem, t->table->check_count + 1);
    for (uint32_t i = 0; i < t->table->check_count; i++) {
        struct br_check *check = &t->table->checks[i];
        ctx.clause = "CHECK";
        check->condition = sql_bind_boolean(&ctx, t->checks[i]->raw_expr);
        check->text = check_text(t->binder, sql_at(t->binder, t->checks[i]->location));
        check->name = check_name(t, i, check->condition);
        t->ok &= check->condition != NULL;
    }
}

// --- options
static void bind_event_time(struct table_binding *t, const struct sql_option *event_time,
                            const struct sql_option *watermark) {
    t->table->event_time = -1;
    if (watermark->given && !event_time->given && t->options_ok) {
        sql_error(t->binder, watermark->location, "add event_time = 'column'", "a watermark needs an event_time");
        t->ok = false;
    }
    if (!event_time->given)
        return;
    int column = named_column(t, event_time->text, event_time->location, "event_time");
    if (column < 0)
        return;
    enum br_type type = t->table->row_type.columns[column].type;
    if (type != BR_TIMESTAMPTZ && type != BR_UNKNOWN) {
        sql_error(t->binder, event_time->location, "declare the column timestamptz",
                  "event_time must be a timestamptz column, \"%s\" is %s", event_time->text, br_type_name(type));
        t->ok = false;
    }
    t->table->event_time = column;
    t->table->watermark_delay_us = watermark->number;
}

// {column} in a table's subject is a whole token that holds a primary key column: an empty payload deletes that row.
static bool check_key_tokens(struct table_binding *t, int location) {
    const struct br_table *table = t->table;
    for (const char *at = strchr(table->subject, '{'); at != NULL; at = strchr(at + 1, '{')) {
        size_t len = strcspn(at + 1, ".{}");
        bool whole = at[len + 1] == '}' && (at == table->subject || at[-1] == '.') &&
                     (at[len + 2] == '\0' || at[len + 2] == '.');
        bool key = false;
        for (uint32_t k = 0; k < table->primary_key_count; k++) {
            const char *name = table->row_type.columns[table->primary_key[k]].name;
            key |= strlen(name) == len && memcmp(name, at + 1, len) == 0;
        }
        if (whole && key)
            continue;
        sql_error(t->binder, location, "use * for a part that varies in another way",
                  "{…} in the subject of a table must be a whole token that names a primary key column");
        return false;
    }
    return true;
}

static void bind_archive(struct table_binding *t, const struct sql_option *options) {
    const struct sql_option *archive = &options[OPTION_ARCHIVE];
    struct br_table *table = t->table;
    table->archive_path = t->binder->archive_path;
    if (archive->given && strcmp(archive->text, "none") == 0) {
        table->archive_path = NULL;
    } else if (archive->given) {
        table->archive_path = sql_archive_path(t->binder, archive->text, archive->location);
        t->ok &= table->archive_path != NULL;
    }
    for (int i = OPTION_ARCHIVE_RETENTION; i <= OPTION_ARCHIVE_MAX_BYTES; i++) {
        if (!options[i].given || table->archive_path != NULL || !t->ok)
            continue;
        sql_error(t->binder, options[i].location, "add archive = 'file:///path', or SET braid.archive",
                  "%s needs an archive", options[i].name);
        t->ok = false;
    }
    table->archive_retention_us = options[OPTION_ARCHIVE_RETENTION].number;
    table->archive_bytes_max = (uint64_t)options[OPTION_ARCHIVE_MAX_BYTES].number;
}

static void bind_options(struct table_binding *t, const struct sql_option *options) {
    struct br_table *table = t->table;
    table->subject = options[OPTION_SUBJECT].given
                         ? options[OPTION_SUBJECT].text
                         : br_arena_printf(t->binder->arena, "%s.%s", t->binder->pipeline->name,
                                           sql_subject_token(t->binder->arena, table->name));
    t->ok &= sql_check_subject(t->binder, table->subject, true, options[OPTION_SUBJECT].location) &&
             check_key_tokens(t, options[OPTION_SUBJECT].location);
    table->stream = options[OPTION_STREAM].given ? options[OPTION_STREAM].text : NULL;
    if (table->stream != NULL && (table->stream[0] == '\0' || strpbrk(table->stream, ".*>/\\ \t\r\n") != NULL)) {
        sql_error(t->binder, options[OPTION_STREAM].location, "no blanks and none of . * > / \\",
                  "\"%s\" is no name of a stream", table->stream);
        t->ok = false;
    }
    table->layout = options[OPTION_LAYOUT].number == 1 ? BR_LAYOUT_DELIMITED : BR_LAYOUT_SINGLE;
    table->lookup = options[OPTION_LOOKUP].number != 0;
    bool by_hour = t->binder->rules >= 2 && options[OPTION_EVENT_TIME].given; // else it decides nothing
    table->future_bound_us = options[OPTION_MAX_FUTURE].given ? options[OPTION_MAX_FUTURE].number
                             : by_hour                        ? HOUR_US
                                                              : DAY_US;
    bind_event_time(t, &options[OPTION_EVENT_TIME], &options[OPTION_WATERMARK]);
    bind_archive(t, options);
    if (table->lookup && table->primary_key_count == 0) {
        sql_error(t->binder, options[OPTION_LOOKUP].location, "declare a PRIMARY KEY",
                  "a lookup table needs a primary key to be looked up by");
        t->ok = false;
    }
}

void sql_bind_table(struct sql_binder *binder, const PgQuery__CreateStmt *statement) {
    struct sql_option options[OPTION_COUNT] = {
        [OPTION_SUBJECT] = {.name = "subject"},
        [OPTION_STREAM] = {.name = "stream"},
        [OPTION_MESSAGE] = {.name = "message"},
        [OPTION_EVENT_TIME] = {.name = "event_time"},
        [OPTION_WATERMARK] = {.name = "watermark", .kind = SQL_OPTION_INTERVAL},
        [OPTION_LAYOUT] = {.name = "layout", .kind = SQL_OPTION_CHOICE, .choices = "single delimited"},
        [OPTION_LOOKUP] = {.name = "lookup", .kind = SQL_OPTION_BOOLEAN},
        [OPTION_MAX_FUTURE] = {.name = "max_future", .kind = SQL_OPTION_INTERVAL},
        [OPTION_ARCHIVE] = {.name = "archive"},
        [OPTION_ARCHIVE_RETENTION] = {.name = "archive_retention", .kind = SQL_OPTION_INTERVAL},
        [OPTION_ARCHIVE_MAX_BYTES] = {.name = "archive_max_bytes", .kind = SQL_OPTION_BYTES},
    };
    int location = sql_at(binder, statement->relation->location);
    const char *name = sql_relation_name(binder, statement->relation);
    struct sql_symbol *symbol = sql_add_symbol(binder, SQL_TABLE, statement->relation->relname, location);
    bool ok = sql_only(binder, statement, "relation table_elts constraints options");
    bool options_ok = sql_options(binder, statement->options, statement->n_options, options, OPTION_COUNT, "a table");
    if (symbol == NULL)
        return;
    struct br_pipeline *pipeline = binder->pipeline;
    struct br_table *table = &pipeline->tables[pipeline->table_count];
    *table =
        (struct br_table){.name = symbol->name, .index = pipeline->table_count, .takes_any_time = binder->rules < 1};
    table->row_type.name = symbol->name;
    symbol->table = table;
    symbol->row_type = &table->row_type;
    struct table_binding t = {.binder = binder,
                              .tree = statement,
                              .symbol = symbol,
                              .table = table,
                              .options_ok = options_ok,
                              .ok = ok && options_ok && name != NULL};
    bind_elements(&t);
    bool listed = table->row_type.column_count != 0;
    bind_message(&t, &options[OPTION_MESSAGE], listed);
    if (listed || table->row_type.message != NULL) {
        bind_constraints(&t);
        bind_defaults(&t);
        bind_checks(&t);
        bind_options(&t, options);
    }
    symbol->poisoned = !t.ok;
    table->used = br_arena_array(binder->arena, bool, table->row_type.column_count + 1);
    if (t.ok)
        pipeline->table_count++;
}

// --- CREATE TYPE … AS (…)
void sql_bind_composite(struct sql_binder *binder, const PgQuery__CompositeTypeStmt *statement) {
    int location = sql_at(binder, statement->typevar->location);
    struct sql_symbol *symbol = sql_add_symbol(binder, SQL_TYPE, statement->typevar->relname, location);
    bool ok = sql_only(binder, statement, "typevar coldeflist") &&
              sql_only(binder, statement->typevar, "relname inh relpersistence");
    if (symbol == NULL || !sql_check_columns(binder, statement->n_coldeflist, location, "a type"))
        return;
    struct br_row_type *row_type = br_arena_new(binder->arena, struct br_row_type);
    symbol->row_type = row_type;
    row_type->name = symbol->name;
    row_type->columns = br_arena_array(binder->arena, struct br_column_def, statement->n_coldeflist + 1);
    for (size_t i = 0; i < statement->n_coldeflist; i++) {
        const PgQuery__ColumnDef *tree = statement->coldeflist[i]->column_def;
        ok &= sql_only(binder, tree, "colname type_name is_local");
        enum br_type type = sql_bind_type(binder, tree->type_name);
        if (find_column(row_type, tree->colname) >= 0) {
            sql_error(binder, sql_at(binder, tree->location), NULL, "column \"%s\" specified more than once",
                      tree->colname);
            ok = false;
        }
        ok &= type != BR_UNKNOWN;
        row_type->columns[row_type->column_count++] =
            (struct br_column_def){.name = br_arena_strdup(binder->arena, tree->colname), .type = type};
    }
    if (row_type->column_count == 0) {
        sql_error(binder, location, "list its columns", "type \"%s\" has no columns", symbol->name);
        ok = false;
    }
    symbol->visible_count = row_type->column_count;
    ok = ok && sql_derive_message(binder, row_type, row_type->column_count, location);
    symbol->poisoned = !ok;
    if (ok)
        binder->pipeline->types[binder->pipeline->type_count++] = row_type;
}
