// SPDX-License-Identifier: Apache-2.0
// SQL names where others have rules: subjects of NATS, names of protobuf; and messages derived from columns.
#include "processor/sql/field_lock.h"
#include "processor/sql/sql_internal.h"

#include <ctype.h>

static bool is_word(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

const char *sql_subject_token(struct br_arena *arena, const char *name) {
    char *token = br_arena_strdup(arena, name);
    for (char *at = token; *at != '\0'; at++)
        if (!is_word(*at) && *at != '-')
            *at = '_';
    return token;
}

// Letters, digits and _, not beginning with a digit; nothing left gives "column".
const char *sql_proto_name(struct br_arena *arena, const char *name) {
    if (strcmp(name, "?column?") == 0) // PostgreSQL's name of what has none
        return "column";
    char *proto = br_arena_printf(arena, "%s%s", isdigit((unsigned char)*name) ? "_" : "", name);
    bool any = false;
    for (char *at = proto; *at != '\0'; at++) {
        if (!is_word(*at) || (unsigned char)*at >= 0x80)
            *at = '_';
        any |= *at != '_';
    }
    return any ? proto : br_arena_strdup(arena, "column");
}

const char *sql_message_name(struct sql_binder *binder, const char *name) {
    return br_arena_printf(binder->arena, "%s.%s", sql_proto_name(binder->arena, binder->pipeline->name),
                           sql_proto_name(binder->arena, name));
}

bool sql_check_subject(struct sql_binder *binder, const char *subject, bool filter, int location) {
    size_t len = strlen(subject);
    bool bad = len == 0 || subject[0] == '.' || subject[len - 1] == '.' || strstr(subject, "..") != NULL;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)subject[i];
        bad |= c <= ' ' || c == 0x7f;
        bad |= !filter && (c == '*' || c == '>');
        if (!filter)
            continue;
        bool alone = (i == 0 || subject[i - 1] == '.') && (i + 1 == len || subject[i + 1] == '.');
        bad |= (c == '*' || c == '>') && !alone;
        bad |= c == '>' && i + 1 != len;
    }
    if (!bad)
        return true;
    sql_error(binder, location,
              filter ? "tokens separated by dots, * for any token, > at the end for any rest: 'shop.orders.>'"
                     : "tokens separated by dots, {column} for a value: 'shop.revenue.{region}'",
              "invalid subject '%s'", subject);
    return false;
}

// As protoc compares JSON names: without _, without case.
int sql_compare_json_names(const char *a, const char *b) {
    for (;;) {
        a += strspn(a, "_");
        b += strspn(b, "_");
        int x = tolower((unsigned char)*a), y = tolower((unsigned char)*b);
        if (x != y || x == '\0')
            return x - y;
        a++;
        b++;
    }
}

static const char *distinct_field(struct br_arena *arena, const char *const *taken, uint32_t count, const char *name) {
    const char *candidate = name;
    for (unsigned suffix = 2;; suffix++) {
        bool clash = false;
        for (uint32_t i = 0; i < count; i++)
            clash |= sql_compare_json_names(taken[i], candidate) == 0;
        if (!clash)
            return candidate;
        candidate = br_arena_printf(arena, "%s_%u", name, suffix);
    }
}

// --- numbers of the lock file
static bool locked_error(struct sql_binder *binder, int location, const char *message) {
    sql_error(binder, location,
              br_arena_printf(binder->arena, "braid schema lock %s brings it up to date", binder->path), "%s", message);
    return false;
}

// A column without a number is new, or its line is lost: then a new number is no way out.
static void unlocked_error(struct sql_binder *binder, const struct br_locked_message *message, const char *of,
                           const char *column, int location) {
    uint32_t gap = message == NULL ? 0 : br_locked_gap(message);
    const char *lost = gap == 0 ? "" : br_arena_printf(binder->arena, " (nor is number %u of that message there)", gap);
    sql_error(binder, location,
              br_arena_printf(binder->arena,
                              "braid schema lock %s gives a new column its number; if it has been published, its line "
                              "is lost: put that back, or add --running %s",
                              binder->path, binder->pipeline->name),
              "column \"%s\" of \"%s\" has no field number in %s%s", column, of, binder->pipeline->fields_path, lost);
}

// The column's place in the lock; NULL after an error.
static const struct br_locked_field *locked_field(struct sql_binder *binder, const struct br_locked_message *message,
                                                  const char *of, const struct br_column_def *column, int location) {
    const struct br_locked_field *field = message == NULL ? NULL : br_locked_field_find(message, column->name);
    const char *path = binder->pipeline->fields_path;
    if (field == NULL)
        unlocked_error(binder, message, of, column->name, location);
    else if (field->kind != br_derived_kind(column->type))
        locked_error(binder, location,
                     br_arena_printf(binder->arena,
                                     "column \"%s\" of \"%s\" is %s now, and in %s number %u stands for %s",
                                     column->name, of, br_locked_kind_name(br_derived_kind(column->type)), path,
                                     field->number, br_locked_kind_name(field->kind)));
    else
        return field;
    return NULL;
}

static bool has_column(const struct br_row_type *row_type, uint32_t count, const char *name) {
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(row_type->columns[i].name, name) == 0)
            return true;
    return false;
}

static bool is_field(const char *const *names, uint32_t count, const char *name) {
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

// What is reserved, for the .proto: a name only when no field bears it again.
static bool reserve(struct sql_binder *binder, const struct br_row_type *row_type, const char *const *names,
                    uint32_t count, const struct br_locked_message *message, struct br_derived_numbers *numbers,
                    int location) {
    uint32_t most = message == NULL ? 0 : message->count;
    uint32_t *reserved = br_arena_array(binder->arena, uint32_t, most + 1);
    const char **reserved_names = br_arena_array(binder->arena, const char *, most + 1);
    for (uint32_t i = 0; i < most; i++) {
        const struct br_locked_field *field = &message->fields[i];
        if (!field->reserved && !has_column(row_type, count, field->column))
            return locked_error(
                binder, location,
                br_arena_printf(binder->arena, "%s has number %u for column \"%s\" of \"%s\", which is no more",
                                binder->pipeline->fields_path, field->number, field->column, row_type->name));
        if (!field->reserved)
            continue;
        reserved[numbers->reserved_number_count++] = field->number;
        if (!is_field(names, count, field->field) &&
            !is_field(reserved_names, numbers->reserved_name_count, field->field))
            reserved_names[numbers->reserved_name_count++] = field->field;
    }
    numbers->reserved_numbers = reserved;
    numbers->reserved_names = reserved_names;
    return true;
}

// K3 of field_lock.h. Gives columns their field names too.
static bool lock_fields(struct sql_binder *binder, struct br_row_type *row_type, const char **names, uint32_t count,
                        struct br_derived_numbers *numbers, int location) {
    struct br_locked_message *message = br_field_lock_find(binder->lock, row_type->name);
    uint32_t *given = br_arena_array(binder->arena, uint32_t, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        const struct br_locked_field *field =
            locked_field(binder, message, row_type->name, &row_type->columns[i], location);
        if (field == NULL)
            return false;
        names[i] = field->field;
        given[i] = field->number;
    }
    numbers->numbers = given;
    if (message != NULL)
        binder->lock_used[message - binder->lock->messages] = true;
    return reserve(binder, row_type, names, count, message, numbers, location);
}

void sql_check_lock(struct sql_binder *binder) {
    for (uint32_t m = 0; binder->lock != NULL && m < binder->lock->count; m++) {
        const struct br_locked_message *message = &binder->lock->messages[m];
        bool gone = !binder->lock_used[m], any = false;
        for (uint32_t i = 0; i < message->count; i++)
            any |= !message->fields[i].reserved;
        if (gone && any)
            locked_error(binder, binder->lock_location,
                         br_arena_printf(binder->arena, "%s has numbers of \"%s\", which is no more",
                                         binder->pipeline->fields_path, message->name));
    }
}

bool sql_derive_message(struct sql_binder *binder, struct br_row_type *row_type, uint32_t column_count, int location) {
    struct br_error error;
    struct br_derived_numbers numbers = {0};
    if (!sql_check_all_columns(binder, column_count, location))
        return false;
    const char **names = br_arena_array(binder->arena, const char *, column_count + 1);
    enum br_type *types = br_arena_array(binder->arena, enum br_type, column_count + 1);
    if (binder->lock != NULL && !lock_fields(binder, row_type, names, column_count, &numbers, location))
        return false;
    for (uint32_t i = 0; i < column_count; i++) {
        struct br_column_def *column = &row_type->columns[i];
        if (binder->lock == NULL)
            names[i] = distinct_field(binder->arena, names, i, sql_proto_name(binder->arena, column->name));
        types[i] = column->type;
        column->path = names[i];
    }
    row_type->message_name = sql_message_name(binder, row_type->name);
    if (br_descriptors_derive(binder->descriptors, row_type->message_name, names, types, column_count,
                              binder->lock == NULL ? NULL : &numbers, &row_type->message, &error) == BR_OK)
        return true;
    sql_error_of(binder, location, &error);
    return false;
}

// --- columns from a message
static void add_column(struct sql_binder *binder, struct br_row_type *row_type, struct br_column_def column) {
    struct br_column_def *columns = br_arena_array(binder->arena, struct br_column_def, row_type->column_count + 1);
    if (row_type->column_count != 0)
        memcpy(columns, row_type->columns, row_type->column_count * sizeof *columns);
    columns[row_type->column_count++] = column;
    row_type->columns = columns;
}

static bool has_path(const struct br_row_type *row_type, const char *path) {
    for (uint32_t i = 0; i < row_type->column_count; i++)
        if (strcmp(row_type->columns[i].path, path) == 0 || strcmp(row_type->columns[i].name, path) == 0)
            return true;
    return false;
}

static void try_nested(struct sql_binder *binder, struct br_row_type *row_type, const char *path) {
    const struct br_message_field *field;
    struct br_error error;
    if (strchr(path, '.') == NULL || has_path(row_type, path) ||
        br_message_find_path(row_type->message, path, &field, &error) != BR_OK ||
        br_field_sql_type(field) == BR_UNKNOWN)
        return;
    add_column(binder, row_type, (struct br_column_def){.name = path, .type = br_field_sql_type(field), .path = path});
}

// `o.customer.name` may be customer.name of o, or o.customer.name; whichever the message has.
void sql_add_nested_columns(struct sql_binder *binder, struct br_row_type *row_type) {
    for (uint32_t i = 0; i < binder->path_count; i++) {
        try_nested(binder, row_type, binder->paths[i]);
        const char *dot = strchr(binder->paths[i], '.');
        if (dot != NULL)
            try_nested(binder, row_type, dot + 1);
    }
}

void sql_message_columns(struct sql_binder *binder, struct br_row_type *row_type, uint32_t *ret_visible) {
    for (uint32_t i = 0; i < row_type->message->field_count; i++) {
        const struct br_message_field *field = &row_type->message->fields[i];
        enum br_type type = br_field_sql_type(field);
        if (type != BR_UNKNOWN)
            add_column(binder, row_type,
                       (struct br_column_def){.name = field->name, .type = type, .path = field->name});
    }
    *ret_visible = row_type->column_count;
    sql_add_nested_columns(binder, row_type);
}

const struct br_enum_type *sql_labels(const struct br_row_type *row_type, uint32_t column) {
    const struct br_message_field *field;
    struct br_error ignored;
    if (row_type->message == NULL || row_type->message->derived ||
        br_message_find_path(row_type->message, row_type->columns[column].path, &field, &ignored) != BR_OK)
        return NULL;
    return field->enumeration;
}

const char *sql_column_word(enum br_wire_kind kind) {
    static const char *const words[] = {"",        "double",   "float",    "int64",  "uint64",  "int32", "fixed64",
                                        "fixed32", "bool",     "string",   "group",  "message", "bytes", "uint32",
                                        "enum",    "sfixed32", "sfixed64", "sint32", "sint64"};
    return words[kind];
}
