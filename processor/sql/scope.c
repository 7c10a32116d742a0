// SPDX-License-Identifier: Apache-2.0
// Names of columns: which one does `amount`, `o.amount` or `o.customer.name` mean?
//
// A name of one part is a column of any relation in scope; of more parts, a relation's alias and a column, else the
// dotted path of a nested field. Nested fields stand in the scope under their dotted path (`customer.name`).
#include "processor/sql/sql_internal.h"

void sql_scope_add(struct sql_binder *binder, struct sql_scope *scope, struct sql_column column) {
    if (scope->count == scope->capacity) {
        uint32_t capacity = scope->capacity == 0 ? 16 : scope->capacity * 2;
        struct sql_column *columns = br_arena_array(binder->arena, struct sql_column, capacity);
        if (scope->count != 0)
            memcpy(columns, scope->columns, scope->count * sizeof *columns);
        scope->columns = columns;
        scope->capacity = capacity;
    }
    scope->columns[scope->count++] = column;
}

void sql_scope_add_relation(struct sql_binder *binder, struct sql_scope *scope, const char *alias,
                            const struct br_row_type *row_type) {
    uint32_t count = scope->relation_count;
    const char **relations = br_arena_array(binder->arena, const char *, count + 1);
    const struct br_row_type **row_types = br_arena_array(binder->arena, const struct br_row_type *, count + 1);
    if (count != 0) {
        memcpy(relations, scope->relations, count * sizeof *relations);
        memcpy(row_types, scope->row_types, count * sizeof *row_types);
    }
    relations[count] = alias;
    row_types[count] = row_type;
    scope->relations = relations;
    scope->row_types = row_types;
    scope->relation_count = count + 1;
}

void sql_scope_append(struct sql_binder *binder, struct sql_scope *scope, const struct sql_scope *other,
                      uint32_t offset) {
    for (uint32_t i = 0; i < other->count; i++) {
        struct sql_column column = other->columns[i];
        column.column += offset;
        sql_scope_add(binder, scope, column);
    }
    for (uint32_t i = 0; i < other->relation_count; i++)
        sql_scope_add_relation(binder, scope, other->relations[i], other->row_types[i]);
    scope->poisoned |= other->poisoned;
}

static bool has_relation(const struct sql_scope *scope, const char *name) {
    for (uint32_t i = 0; i < scope->relation_count; i++)
        if (strcmp(scope->relations[i], name) == 0)
            return true;
    return false;
}

// relation NULL: any. Returns the number of matches; the first one through ret_index.
static uint32_t match(const struct sql_scope *scope, const char *relation, const char *name, uint32_t *ret_index) {
    uint32_t matches = 0;
    for (uint32_t i = 0; i < scope->count; i++) {
        const struct sql_column *column = &scope->columns[i];
        if (relation == NULL ? column->qualified : column->relation == NULL || strcmp(column->relation, relation) != 0)
            continue;
        if (strcmp(column->name, name) == 0 && matches++ == 0)
            *ret_index = i;
    }
    return matches;
}

static const char *join_names(struct br_arena *arena, const char *const *names, uint32_t count) {
    const char *text = names[0];
    for (uint32_t i = 1; i < count; i++)
        text = br_arena_printf(arena, "%s.%s", text, names[i]);
    return text;
}

const char *sql_unread(struct sql_binder *binder, const struct br_row_type *row_type, const char *path,
                       const char **ret_hint) {
    const struct br_message_field *field;
    struct br_error ignored;
    if (row_type == NULL || row_type->message == NULL ||
        br_message_find_path(row_type->message, path, &field, &ignored) != BR_OK ||
        br_field_sql_type(field) != BR_UNKNOWN)
        return NULL;
    const char *kind = field->message != NULL       ? field->message->name
                       : field->enumeration != NULL ? field->enumeration->name
                                                    : sql_column_word(field->kind);
    bool map = field->message != NULL && field->message->map_entry;
    *ret_hint = map || field->repeated
                    ? "repeated fields and maps can't be read yet"
                    : br_arena_printf(binder->arena, "name its fields: %s.%s", path,
                                      field->message->field_count == 0 ? "…" : field->message->fields[0].name);
    return map               ? "a map"
           : field->repeated ? br_arena_printf(binder->arena, "a repeated %s", kind)
                             : br_arena_printf(binder->arena, "a message (%s)", kind);
}

// Are all fields of the message columns that can be?
static bool has_all_fields(const struct br_row_type *row_type) {
    for (uint32_t f = 0; f < row_type->message->field_count; f++) {
        const struct br_message_field *field = &row_type->message->fields[f];
        bool found = br_field_sql_type(field) == BR_UNKNOWN;
        for (uint32_t c = 0; c < row_type->column_count && !found; c++)
            found = strcmp(row_type->columns[c].path, field->name) == 0;
        if (!found)
            return false;
    }
    return true;
}

void sql_note_unread(struct sql_binder *binder, const struct br_row_type *row_type, int location) {
    const char *fields = NULL, *hint;
    if (row_type == NULL || row_type->message == NULL || row_type->message->derived || !has_all_fields(row_type))
        return; // whoever lists columns knows what is left out
    for (uint32_t f = 0; f < row_type->message->field_count; f++) {
        const char *name = row_type->message->fields[f].name;
        const char *what = sql_unread(binder, row_type, name, &hint);
        if (what != NULL)
            fields = br_arena_printf(binder->arena, "%s%s%s, %s", fields == NULL ? "" : fields,
                                     fields == NULL ? "" : "; ", name, what);
    }
    if (fields != NULL)
        sql_warning(binder, location,
                    "a message's fields are named by their path (customer.name); repeated fields and maps can't be "
                    "read yet",
                    "* leaves out fields of table \"%s\": %s", row_type->name, fields);
}

static bool report_unread(struct sql_expr_context *ctx, const char *const *names, uint32_t count, int location) {
    const struct sql_scope *scope = ctx->scope;
    struct br_arena *arena = ctx->binder->arena;
    for (uint32_t i = 0; i < scope->relation_count; i++) {
        const char *hint, *path = join_names(arena, names, count);
        const char *what = sql_unread(ctx->binder, scope->row_types[i], path, &hint);
        if (what == NULL && count > 1 && strcmp(names[0], scope->relations[i]) == 0) {
            path = join_names(arena, names + 1, count - 1);
            what = sql_unread(ctx->binder, scope->row_types[i], path, &hint);
        }
        if (what == NULL)
            continue;
        sql_error(ctx->binder, location, hint, "field \"%s\" of table \"%s\" is %s and can't be a column", path,
                  scope->row_types[i]->name, what);
        return true;
    }
    return false;
}

static void report_missing(struct sql_expr_context *ctx, const char *const *names, uint32_t count, int location) {
    const struct sql_scope *scope = ctx->scope;
    struct sql_binder *binder = ctx->binder;
    if (scope->poisoned)
        return;
    const char *full = join_names(binder->arena, names, count);
    if (report_unread(ctx, names, count, location))
        return;
    if (count == 1 && has_relation(scope, names[0])) {
        sql_error(binder, location, "name its columns one by one", "a whole row (%s) as a value is not supported",
                  full);
        return;
    }
    if (scope->relation_count == 0 && scope->count == 0) {
        sql_error(binder, location, NULL, "column \"%s\" does not exist: no column can be used in %s", full,
                  ctx->clause);
        return;
    }
    bool qualified = count > 1 && has_relation(scope, names[0]);
    bool nested = false;
    for (uint32_t i = 0; count > 1 && !qualified && i < scope->count; i++)
        nested |= strncmp(scope->columns[i].name, names[0], strlen(names[0])) == 0 &&
                  scope->columns[i].name[strlen(names[0])] == '.';
    if (count > 1 && !qualified && !nested) {
        struct sql_nearest nearest = {.wanted = names[0]};
        for (uint32_t i = 0; i < scope->relation_count; i++)
            sql_nearest_try(&nearest, scope->relations[i]);
        const char *near = sql_nearest_hint(binder, &nearest);
        sql_error(binder, location, near != NULL ? near : sql_relations_hint(binder, scope),
                  "missing FROM-clause entry for table \"%s\"", names[0]);
        return;
    }
    struct sql_nearest nearest = {.wanted = qualified ? join_names(binder->arena, names + 1, count - 1) : full};
    for (uint32_t i = 0; i < scope->count; i++)
        if (!qualified || (scope->columns[i].relation != NULL && strcmp(scope->columns[i].relation, names[0]) == 0))
            sql_nearest_try(&nearest, scope->columns[i].name);
    const char *near = sql_nearest_hint(binder, &nearest);
    sql_error(binder, location,
              near != NULL ? near : sql_columns_hint(binder, scope, qualified ? names[0] : NULL, full),
              count > 1 ? "column %s does not exist" : "column \"%s\" does not exist", full);
}

struct br_expr *sql_resolve(struct sql_expr_context *ctx, const char *const *names, uint32_t count, int location) {
    struct br_arena *arena = ctx->binder->arena;
    uint32_t index = 0, matches = 0;
    if (count > 1 && has_relation(ctx->scope, names[0]))
        matches = match(ctx->scope, names[0], join_names(arena, names + 1, count - 1), &index);
    if (matches == 0)
        matches = match(ctx->scope, NULL, join_names(arena, names, count), &index);
    if (matches == 0) {
        report_missing(ctx, names, count, location);
        return NULL;
    }
    if (matches > 1) {
        sql_error(ctx->binder, location, "put the table's alias before it", "column reference \"%s\" is ambiguous",
                  join_names(arena, names, count));
        return NULL;
    }
    const struct sql_column *column = &ctx->scope->columns[index];
    if (column->type == BR_UNKNOWN)
        return NULL; // its declaration was an error
    struct br_expr *expr = br_expr_column(arena, column->column, column->type, location);
    expr->labels = column->labels;
    return expr;
}
