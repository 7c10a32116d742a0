// SPDX-License-Identifier: Apache-2.0
// Making a lock from a pipeline and what was published before: K1 of field_lock.h.
#include "processor/sql/field_lock.h"
#include "processor/sql/sql_internal.h"

#include <stdio.h>

// --- which types may follow each other under one number
bool br_wire_kind_reads(enum br_wire_kind written, enum br_wire_kind read, bool cuts) {
    static const struct {
        enum br_wire_kind written, read;
        bool cut;
    } pairs[] = {
        {BR_PB_INT32, BR_PB_INT64, false},  {BR_PB_INT64, BR_PB_INT32, true},   {BR_PB_UINT32, BR_PB_UINT64, false},
        {BR_PB_UINT64, BR_PB_UINT32, true}, {BR_PB_UINT32, BR_PB_INT64, false}, {BR_PB_SINT32, BR_PB_SINT64, false},
        {BR_PB_SINT64, BR_PB_SINT32, true}, {BR_PB_BOOL, BR_PB_INT32, false},   {BR_PB_BOOL, BR_PB_INT64, false},
        {BR_PB_ENUM, BR_PB_INT32, false},   {BR_PB_ENUM, BR_PB_INT64, false},   {BR_PB_STRING, BR_PB_BYTES, false},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (pairs[i].written == written && pairs[i].read == read)
            return !(pairs[i].cut && cuts);
    return written == read;
}

// --- the messages of a pipeline
struct source {
    const struct br_row_type *row_type;
    bool view; // others read it; else others write it
};

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct source *)a)->row_type->name, ((const struct source *)b)->row_type->name);
}

// Those that are derived, by name.
static struct source *list_sources(const struct br_pipeline *pipeline, struct br_arena *arena, uint32_t *ret_count) {
    uint32_t count = 0;
    struct source *sources =
        br_arena_array(arena, struct source, pipeline->type_count + pipeline->table_count + pipeline->view_count + 1);
    for (uint32_t i = 0; i < pipeline->type_count; i++)
        sources[count++] = (struct source){pipeline->types[i], false};
    for (uint32_t i = 0; i < pipeline->table_count; i++)
        if (pipeline->tables[i].row_type.message->derived)
            sources[count++] = (struct source){&pipeline->tables[i].row_type, false};
    for (uint32_t i = 0; i < pipeline->view_count; i++)
        sources[count++] = (struct source){&pipeline->views[i].row_type, true};
    qsort(sources, count, sizeof *sources, by_name);
    *ret_count = count;
    return sources;
}

static struct br_locked_field field_of(const struct br_row_type *row_type, uint32_t column) {
    const struct br_column_def *def = &row_type->columns[column];
    const struct br_message_field *field = br_message_find_field(row_type->message, def->path);
    BR_CHECK(field != NULL);
    return (struct br_locked_field){
        .number = field->number, .kind = field->kind, .column = def->name, .field = field->name};
}

static int by_number(const void *a, const void *b) {
    uint32_t x = ((const struct br_locked_field *)a)->number, y = ((const struct br_locked_field *)b)->number;
    return (x > y) - (x < y);
}

static void sort_fields(struct br_locked_message *message) {
    if (message->count != 0)
        qsort(message->fields, message->count, sizeof *message->fields, by_number);
}

enum br_status br_field_lock_of(const struct br_pipeline *pipeline, struct br_arena *arena,
                                struct br_field_lock **ret_lock, struct br_error *error) {
    if (pipeline->fields.ptr != NULL)
        return br_field_lock_parse(pipeline->fields, pipeline->fields_path, arena, ret_lock, error);
    struct br_field_lock *lock = br_arena_new(arena, struct br_field_lock);
    struct source *sources = list_sources(pipeline, arena, &lock->count);
    lock->messages = br_arena_array(arena, struct br_locked_message, lock->count + 1);
    for (uint32_t m = 0; m < lock->count; m++) {
        const struct br_row_type *row_type = sources[m].row_type;
        struct br_locked_message *message = &lock->messages[m];
        *message = (struct br_locked_message){.name = row_type->name, .count = row_type->column_count};
        message->fields = br_arena_array(arena, struct br_locked_field, message->count + 1);
        for (uint32_t c = 0; c < message->count; c++)
            message->fields[c] = field_of(row_type, c);
        sort_fields(message);
    }
    *ret_lock = lock;
    return BR_OK;
}

// --- merging
static bool has_number(const struct br_locked_message *message, uint32_t number) {
    for (uint32_t i = 0; i < message->count; i++)
        if (message->fields[i].number == number)
            return true;
    return false;
}

static struct br_locked_message merge_message(const struct br_locked_message *published,
                                              const struct br_locked_message *former, struct br_arena *arena) {
    struct br_locked_message message = {.name = published->name};
    message.fields = br_arena_array(arena, struct br_locked_field, published->count + former->count + 1);
    for (uint32_t i = 0; i < published->count; i++)
        message.fields[message.count++] = published->fields[i];
    for (uint32_t i = 0; i < former->count; i++) {
        const struct br_locked_field *field = &former->fields[i];
        bool known = !field->reserved && br_locked_field_find(published, field->column) != NULL;
        if (!known && !has_number(published, field->number))
            message.fields[message.count++] = *field;
    }
    sort_fields(&message);
    return message;
}

struct br_field_lock *br_field_lock_merge(const struct br_field_lock *published, const struct br_field_lock *former,
                                          struct br_arena *arena) {
    struct br_field_lock *lock = br_arena_new(arena, struct br_field_lock);
    lock->messages = br_arena_array(arena, struct br_locked_message, published->count + former->count + 1);
    for (uint32_t p = 0, f = 0; p < published->count || f < former->count;) {
        int order = p == published->count ? 1
                    : f == former->count  ? -1
                                          : strcmp(published->messages[p].name, former->messages[f].name);
        lock->messages[lock->count++] = order < 0 ? published->messages[p]
                                        : order > 0
                                            ? former->messages[f]
                                            : merge_message(&published->messages[p], &former->messages[f], arena);
        p += order <= 0;
        f += order >= 0;
    }
    return lock;
}

// --- updating
struct update {
    struct br_arena *arena;
    const char *path, *pipeline; // of the former lock; the pipeline's name
    const char *const *renumber;
    size_t renumber_count;
    bool *renumbered; // by renumber: names a column
    bool fresh;       // there was no lock: nothing of it is told
    struct br_buffer *told;
    struct br_error *error;
    struct br_locked_message *message; // being made
    uint32_t highest;                  // number of it
};

static bool is_renumbered(struct update *update, const char *message, const char *column) {
    const char *name = br_arena_printf(update->arena, "%s.%s", message, column);
    bool found = false;
    for (size_t i = 0; i < update->renumber_count; i++)
        if (strcmp(update->renumber[i], name) == 0)
            found = update->renumbered[i] = true;
    return found;
}

static enum br_status next_number(struct update *update, uint32_t *ret_number) {
    uint32_t number = update->highest + 1;
    if (number >= BR_FIELD_NUMBERS_KEPT_FIRST && number <= BR_FIELD_NUMBERS_KEPT_LAST)
        number = BR_FIELD_NUMBERS_KEPT_LAST + 1;
    if (number > BR_FIELD_NUMBER_MAX)
        return br_error_set(update->error, BR_DATA, "message \"%s\" has no field numbers left", update->message->name);
    *ret_number = update->highest = number;
    return BR_OK;
}

static bool field_taken(const struct br_locked_message *message, const char *name) {
    for (uint32_t i = 0; i < message->count; i++)
        if (!message->fields[i].reserved && sql_compare_json_names(message->fields[i].field, name) == 0)
            return true;
    return false;
}

// As names.c does, but apart from names that stay.
static const char *distinct_name(const struct update *update, const char *column) {
    const char *name = sql_proto_name(update->arena, column), *candidate = name;
    for (unsigned suffix = 2; field_taken(update->message, candidate); suffix++)
        candidate = br_arena_printf(update->arena, "%s_%u", name, suffix);
    return candidate;
}

static void tell(const struct update *update, const char *format, ...) BR_PRINTF(2, 3);
static void tell(const struct update *update, const char *format, ...) {
    char text[600];
    if (update->fresh)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    br_buffer_printf(update->told, "%s: %s\n", update->message->name, text);
}

static enum br_status refuse_type(const struct update *update, const struct br_locked_field *was,
                                  enum br_wire_kind kind) {
    return br_error_set(
        update->error, BR_DATA,
        "column \"%s\" of \"%s\" is %s now, and number %u stands for %s: under this number either would "
        "be read as the other. Give the column a new number, by --renumber '%s.%s', or its former type",
        was->column, update->message->name, br_locked_kind_name(kind), was->number, br_locked_kind_name(was->kind),
        update->message->name, was->column);
}

// A line that is lost may have been this column's.
static enum br_status refuse_lost(const struct update *update, const char *column, uint32_t gap) {
    return br_error_set(
        update->error, BR_DATA,
        "%s has no number for column \"%s\" of \"%s\", nor number %u of that message: the line that had it is lost, "
        "and "
        "under a new number nobody would find the column who has read it before. Put the line back, or take the "
        "numbers of what runs, by --running %s; a column that was never published gets a new number by --renumber "
        "'%s.%s'",
        update->path, column, update->message->name, gap, update->pipeline, update->message->name, column);
}

// Numbers that were given: of columns that stay, and reserved ones. `stays`: by column.
static enum br_status keep_numbers(struct update *update, const struct source *source,
                                   const struct br_locked_message *former, bool *stays) {
    struct br_locked_message *message = update->message;
    for (uint32_t i = 0; i < former->count; i++) {
        struct br_locked_field field = former->fields[i];
        uint32_t count = source == NULL ? 0 : source->row_type->column_count, c = 0;
        while (c < count && strcmp(source->row_type->columns[c].name, field.column) != 0)
            c++;
        update->highest = field.number > update->highest ? field.number : update->highest;
        bool stays_here = !field.reserved && c < count && !is_renumbered(update, message->name, field.column);
        if (stays_here) {
            enum br_wire_kind kind = field_of(source->row_type, c).kind;
            if (source->view ? !br_wire_kind_reads(kind, field.kind, true)
                             : !br_wire_kind_reads(field.kind, kind, false))
                return refuse_type(update, &field, kind);
            field.kind = kind;
            stays[c] = true;
        } else if (!field.reserved) {
            field.reserved = true;
            field.kind = 0;
            tell(update, "number %u of \"%s\" is reserved", field.number, field.column);
        }
        message->fields[message->count++] = field;
    }
    return BR_OK;
}

static enum br_status update_message(struct update *update, const struct source *source,
                                     const struct br_locked_message *former) {
    static const struct br_locked_message none;
    former = former == NULL ? &none : former;
    uint32_t columns = source == NULL ? 0 : source->row_type->column_count;
    struct br_locked_message *message = update->message;
    message->fields = br_arena_array(update->arena, struct br_locked_field, former->count + columns + 1);
    bool *stays = br_arena_array(update->arena, bool, columns + 1);
    update->highest = 0;
    uint32_t gap = br_locked_gap(former);
    BR_TRY(keep_numbers(update, source, former, stays));
    for (uint32_t c = 0; c < columns; c++) {
        if (stays[c])
            continue;
        struct br_locked_field field = field_of(source->row_type, c);
        if (!is_renumbered(update, message->name, field.column) && gap != 0)
            return refuse_lost(update, field.column, gap);
        field.field = distinct_name(update, field.column);
        BR_TRY(next_number(update, &field.number));
        tell(update, "\"%s\" has number %u", field.column, field.number);
        message->fields[message->count++] = field;
    }
    sort_fields(message);
    return BR_OK;
}

static enum br_status check_renumbered(const struct update *update) {
    for (size_t i = 0; i < update->renumber_count; i++)
        if (!update->renumbered[i])
            return br_error_set(update->error, BR_DATA,
                                "--renumber %s: there is no such column (it is written MESSAGE.COLUMN)",
                                update->renumber[i]);
    return BR_OK;
}

enum br_status br_field_lock_update(const struct br_field_lock *former, const char *path,
                                    const struct br_pipeline *pipeline, const char *const *renumber,
                                    size_t renumber_count, struct br_arena *arena, struct br_field_lock **ret_lock,
                                    struct br_buffer *told, struct br_error *error) {
    static const struct br_field_lock none;
    uint32_t count, m = 0, s = 0;
    struct source *sources = list_sources(pipeline, arena, &count);
    struct update update = {.arena = arena,
                            .path = path,
                            .pipeline = pipeline->name,
                            .renumber = renumber,
                            .renumber_count = renumber_count,
                            .renumbered = br_arena_array(arena, bool, renumber_count + 1),
                            .fresh = former == NULL,
                            .told = told,
                            .error = error};
    former = former == NULL ? &none : former;
    struct br_field_lock *lock = br_arena_new(arena, struct br_field_lock);
    lock->messages = br_arena_array(arena, struct br_locked_message, former->count + count + 1);
    while (m < former->count || s < count) { // both by name
        int order = m == former->count ? 1
                    : s == count       ? -1
                                       : strcmp(former->messages[m].name, sources[s].row_type->name);
        update.message = &lock->messages[lock->count++];
        update.message->name = order <= 0 ? former->messages[m].name : sources[s].row_type->name;
        BR_TRY(update_message(&update, order < 0 ? NULL : &sources[s], order > 0 ? NULL : &former->messages[m]));
        m += order <= 0;
        s += order >= 0;
    }
    BR_TRY(check_renumbered(&update));
    *ret_lock = lock;
    return BR_OK;
}
