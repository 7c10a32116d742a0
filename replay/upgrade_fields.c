// SPDX-License-Identifier: Apache-2.0
// What became of numbers on the wire: fields and enum values that don't mean what they did (U5 of upgrade.h).
#include "processor/codec/descriptors.h"
#include "processor/sql/field_lock.h"
#include "processor/sql/sql.h"
#include "replay/upgrade_internal.h"

#include <inttypes.h>

#define SHOWN_BYTES_MAX 480 // of moves in an error; the others are counted

// --- a column's way on the wire, component by component
struct way {
    const struct br_message_type *message; // that the component is a field of
    const struct br_message_field *field;
    const char *path, *rest; // rest: behind the component
};

static struct way begin_way(const struct br_row_type *type, const struct br_column_def *column) {
    return (struct way){.message = type->message, .rest = column->path};
}

// False at the end, and where the descriptors have nothing of it.
static bool next_component(struct way *way, struct br_arena *arena) {
    struct br_error ignored;
    if (way->rest == NULL || way->message == NULL || *way->rest == '\0')
        return false;
    if (way->field != NULL)
        way->message = way->field->message;
    size_t len = strcspn(way->rest, ".");
    if (way->message == NULL ||
        br_message_find_path(way->message, br_arena_strndup(arena, way->rest, len), &way->field, &ignored) != BR_OK)
        return false;
    way->rest += len + (way->rest[len] == '.');
    return true;
}

static const char *kind_name(const struct br_message_field *field) {
    return field->message != NULL       ? field->message->name
           : field->enumeration != NULL ? field->enumeration->name
                                        : br_wire_kind_name(field->kind);
}

// view: others read what we write; else we read what others wrote.
static bool reads(const struct br_message_field *was, const struct br_message_field *now, bool view) {
    if (was->kind == BR_PB_MESSAGE && now->kind == BR_PB_MESSAGE)
        return (br_field_sql_type(was) == BR_UNKNOWN && br_field_sql_type(now) == BR_UNKNOWN) ||
               strcmp(was->message->name, now->message->name) == 0;
    return view ? br_wire_kind_reads(now->kind, was->kind, true) : br_wire_kind_reads(was->kind, now->kind, false);
}

static const char *change_of(struct br_arena *arena, const struct way *was, const struct way *now, bool view) {
    if (was->field->number != now->field->number)
        return br_arena_printf(arena, "field %u \"%s\" of %s was %u", now->field->number, now->field->name,
                               now->message->name, was->field->number);
    if (!reads(was->field, now->field, view))
        return br_arena_printf(arena, "field %u \"%s\" of %s is %s, was %s", now->field->number, now->field->name,
                               now->message->name, kind_name(now->field), kind_name(was->field));
    return NULL;
}

const char *upgrade_wire_change(struct br_arena *arena, const struct br_row_type *before,
                                const struct br_column_def *was, const struct br_row_type *after,
                                const struct br_column_def *now) {
    struct way from = begin_way(before, was), to = begin_way(after, now);
    while (next_component(&from, arena) && next_component(&to, arena)) {
        const char *change = change_of(arena, &from, &to, false);
        if (change != NULL)
            return change;
    }
    return NULL;
}

// --- enums and oneofs
// The first name is the one that is read.
static const char *label_of(const struct br_enum_type *type, int32_t number) {
    for (uint32_t i = 0; i < type->count; i++)
        if (type->numbers[i] == number)
            return type->names[i];
    return NULL;
}

static bool same_enum(struct br_arena *arena, const struct br_enum_type *before, const struct br_enum_type *after,
                      const char **ret_why, const char **ret_more) {
    for (uint32_t i = 0; i < before->count; i++) {
        const char *was = label_of(before, before->numbers[i]), *now = label_of(after, before->numbers[i]);
        if (now != NULL && strcmp(was, now) == 0)
            continue;
        *ret_why = now == NULL
                       ? br_arena_printf(arena, "value %d \"%s\" of %s is gone", before->numbers[i], was, after->name)
                       : br_arena_printf(arena, "value %d of %s is \"%s\", was \"%s\"", before->numbers[i], after->name,
                                         now, was);
        return false;
    }
    const char *list = "";
    for (uint32_t i = 0; i < after->count; i++)
        if (label_of(before, after->numbers[i]) == NULL)
            list = br_arena_printf(arena, "%s%s\"%s\" (%d)", list, *list == '\0' ? "" : ", ", after->names[i],
                                   after->numbers[i]);
    if (*list != '\0' && ret_more != NULL)
        *ret_more = br_arena_printf(
            arena, "%s has %s too from now on; rows of events that had it already keep the number", after->name, list);
    return true;
}

static bool in_oneof(const struct way *way, uint32_t number) {
    for (uint32_t i = 0; i < way->message->field_count; i++)
        if (way->message->fields[i].number == number)
            return way->message->fields[i].oneof_index == way->field->oneof_index;
    return false;
}

// What came later in a oneof takes the place of what came before it.
static bool same_oneof(struct br_arena *arena, const struct way *was, const struct way *now, const char **ret_why,
                       const char **ret_more) {
    bool one = was->field->oneof_index >= 0, other = now->field->oneof_index >= 0, same = one == other;
    for (uint32_t i = 0; same && one && i < was->message->field_count; i++)
        if (was->message->fields[i].oneof_index == was->field->oneof_index)
            same = in_oneof(now, was->message->fields[i].number);
    if (!same)
        *ret_why = br_arena_printf(arena, "field %u \"%s\" of %s stands in another oneof", now->field->number,
                                   now->field->name, now->message->name);
    for (uint32_t i = 0; same && one && ret_more != NULL && i < now->message->field_count; i++)
        if (now->message->fields[i].oneof_index == now->field->oneof_index &&
            !in_oneof(was, now->message->fields[i].number))
            *ret_more = br_arena_printf(arena,
                                        "field %u \"%s\" of %s takes the place of \"%s\" from now on, where an "
                                        "event has both",
                                        now->message->fields[i].number, now->message->fields[i].name,
                                        now->message->name, now->field->name);
    return same;
}

bool upgrade_same_labels(struct br_arena *arena, const struct br_row_type *before, const struct br_column_def *was,
                         const struct br_row_type *after, const struct br_column_def *now, const char **ret_why,
                         const char **ret_more) {
    struct way from = begin_way(before, was), to = begin_way(after, now);
    while (next_component(&from, arena) && next_component(&to, arena)) {
        if (!same_oneof(arena, &from, &to, ret_why, ret_more))
            return false;
        if (from.field->enumeration != NULL && to.field->enumeration != NULL &&
            !same_enum(arena, from.field->enumeration, to.field->enumeration, ret_why, ret_more))
            return false;
    }
    return true;
}

// --- moves
struct pair {
    struct br_upgrade *upgrade;
    const struct br_row_type *before, *after;
    const bool *read_before, *read_after; // by column; NULL: all of them are
    bool view;
};

static void add_move(struct br_upgrade *upgrade, const struct br_message_type *message, const char *text) {
    for (uint32_t i = 0; i < upgrade->move_count; i++) // columns may have a way in common
        if (strcmp(upgrade->moves[i].text, text) == 0)
            return;
    if (upgrade->move_count == upgrade->move_capacity) {
        upgrade->move_capacity = upgrade->move_capacity == 0 ? 16 : upgrade->move_capacity * 2;
        struct br_field_move *larger = br_arena_array(upgrade->arena, struct br_field_move, upgrade->move_capacity);
        if (upgrade->move_count != 0)
            memcpy(larger, upgrade->moves, upgrade->move_count * sizeof *larger);
        upgrade->moves = larger;
    }
    upgrade->moves[upgrade->move_count++] =
        (struct br_field_move){.message = message->name, .text = text, .derived = message->derived};
}

static void find_moved_values(struct br_upgrade *upgrade, const struct br_message_type *message,
                              const struct br_enum_type *before, const struct br_enum_type *after) {
    for (uint32_t i = 0; i < after->count; i++)
        for (uint32_t j = 0; j < before->count; j++)
            if (strcmp(after->names[i], before->names[j]) == 0 && after->numbers[i] != before->numbers[j])
                add_move(upgrade, message,
                         br_arena_printf(upgrade->arena, "value %d \"%s\" of %s was %d", after->numbers[i],
                                         after->names[i], after->name, before->numbers[j]));
}

static void compare_column(const struct pair *pair, const struct br_column_def *was, const struct br_column_def *now) {
    struct br_arena *arena = pair->upgrade->arena;
    struct way from = begin_way(pair->before, was), to = begin_way(pair->after, now);
    while (next_component(&from, arena) && next_component(&to, arena)) {
        const char *change = change_of(arena, &from, &to, pair->view);
        if (change != NULL)
            add_move(pair->upgrade, to.message, change);
        if (from.field->enumeration != NULL && to.field->enumeration != NULL)
            find_moved_values(pair->upgrade, to.message, from.field->enumeration, to.field->enumeration);
    }
}

static bool is_reserved(const struct br_message_type *message, uint32_t number) {
    for (uint32_t i = 0; i < message->reserved_number_count; i++)
        if (message->reserved_numbers[i] == number)
            return true;
    return false;
}

// A column that wasn't there has a number that was another's, or nobody's any more.
static void look_at_new(const struct pair *pair, const struct br_column_def *now) {
    struct br_arena *arena = pair->upgrade->arena;
    struct way to = begin_way(pair->after, now);
    const struct br_message_type *message = pair->before->message;
    while (message != NULL && next_component(&to, arena)) {
        const struct br_message_field *had = NULL;
        for (uint32_t i = 0; i < message->field_count; i++)
            if (message->fields[i].number == to.field->number)
                had = &message->fields[i];
        bool same = had != NULL && strcmp(had->name, to.field->name) == 0;
        // One that has gone elsewhere is told by its own move.
        if (had != NULL && !same && br_message_find_field(to.message, had->name) == NULL)
            add_move(pair->upgrade, to.message,
                     br_arena_printf(arena, "field %u of %s is \"%s\", was \"%s\"", to.field->number, to.message->name,
                                     to.field->name, had->name));
        else if (is_reserved(message, to.field->number))
            add_move(pair->upgrade, to.message,
                     br_arena_printf(arena, "field %u \"%s\" of %s has a number that was reserved", to.field->number,
                                     to.field->name, to.message->name));
        message = same ? had->message : NULL;
    }
}

static void compare_rows(const struct pair *pair) {
    for (uint32_t c = 0; c < pair->after->column_count; c++) {
        const struct br_column_def *now = &pair->after->columns[c];
        uint32_t index = 0;
        const struct br_column_def *was = upgrade_find_column(pair->before, now->name, &index);
        bool read = pair->read_after == NULL || pair->read_after[c];
        bool was_read = was != NULL && (pair->read_before == NULL || pair->read_before[index]);
        if (was != NULL && (read || was_read))
            compare_column(pair, was, now);
        else if (was == NULL && read)
            look_at_new(pair, now);
    }
}

// Of a message that is derived every field counts: others write it, or read it, whatever the pipeline does.
static void compare_table(struct br_upgrade *upgrade, const struct br_table *before, const struct br_table *after) {
    bool derived = after->row_type.message->derived;
    struct pair pair = {.upgrade = upgrade, .before = &before->row_type, .after = &after->row_type};
    if (!derived) {
        pair.read_before = before->used;
        pair.read_after = after->used;
    }
    compare_rows(&pair);
    for (uint32_t v = 1; v < after->version_count; v++)
        for (uint32_t w = 1; w < before->version_count; w++) {
            const struct br_row_type *now = after->versions[v].row_type, *was = before->versions[w].row_type;
            if (now->message->derived || strcmp(after->versions[v].message_name, before->versions[w].message_name) != 0)
                continue; // CREATE TYPE is compared by itself
            struct pair version = {.upgrade = upgrade, .before = was, .after = now};
            compare_rows(&version);
        }
}

void upgrade_find_moves(struct br_upgrade *upgrade) {
    const struct br_pipeline *before = upgrade->before, *after = upgrade->after;
    for (uint32_t t = 0; t < after->type_count; t++)
        for (uint32_t w = 0; w < before->type_count; w++)
            if (strcmp(after->types[t]->name, before->types[w]->name) == 0) {
                struct pair pair = {.upgrade = upgrade, .before = before->types[w], .after = after->types[t]};
                compare_rows(&pair);
            }
    for (uint32_t t = 0; t < after->table_count; t++) {
        const struct br_table *was = br_pipeline_find_table(before, after->tables[t].name);
        if (was != NULL)
            compare_table(upgrade, was, &after->tables[t]);
    }
    for (uint32_t v = 0; v < after->view_count; v++) {
        const struct br_view *was = br_pipeline_find_view(before, after->views[v].name);
        bool numbers = was != NULL && was->format == BR_FORMAT_PROTOBUF && after->views[v].format == BR_FORMAT_PROTOBUF;
        if (!numbers)
            continue; // names say it
        struct pair pair = {
            .upgrade = upgrade, .before = &was->row_type, .after = &after->views[v].row_type, .view = true};
        compare_rows(&pair);
    }
}

// --- what to do about them
static const char *stem_of(const char *path, int *ret_len) {
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    size_t len = strlen(name);
    *ret_len = (int)(len > 4 && strcmp(name + len - 4, ".sql") == 0 ? len - 4 : len);
    return name;
}

void br_upgrade_mend(const struct br_upgrade *upgrade, const char *path, const char *former, struct br_slice connection,
                     struct br_buffer *out) {
    bool ours = false, theirs = false;
    int len;
    for (uint32_t i = 0; i < upgrade->move_count; i++)
        *(upgrade->moves[i].derived ? &ours : &theirs) = true;
    if (ours && upgrade->after->fields_path == NULL) {
        const char *stem = stem_of(path, &len);
        br_buffer_printf(out, "to keep the numbers: write SET braid.fields = '%.*s.fields'; into %s, then ", len, stem,
                         path);
    } else if (ours) {
        br_buffer_append_text(out, "to keep the numbers: ");
    }
    if (ours && former != NULL)
        br_buffer_printf(out, "braid schema lock %s --against %s\n", path, former);
    else if (ours)
        br_buffer_printf(out, "braid schema lock %s --running %s%.*s\n", path, upgrade->after->name,
                         (int)connection.len, (const char *)connection.ptr);
    if (theirs)
        br_buffer_append_text(out,
                              "events that are there bear the former numbers: keep them in the .proto and give new "
                              "fields new ones; or make the changed message another one (CREATE CAST lifts the "
                              "former)\n");
}

enum br_status br_upgrade_check_moves(const struct br_upgrade *upgrade, const char *path, bool made,
                                      struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
    if (upgrade->move_count == 0)
        return BR_OK;
    uint32_t shown = 0;
    for (; shown < upgrade->move_count && text.len < SHOWN_BYTES_MAX; shown++)
        br_buffer_printf(&text, "%s%s", shown == 0 ? "" : "; ", upgrade->moves[shown].text);
    if (shown < upgrade->move_count)
        br_buffer_printf(&text, "; and %u more", upgrade->move_count - shown);
    br_buffer_append_text(&text, ". Whoever has the former schema would read one column as another; when nobody has, "
                                 "--allow-incompatible; ");
    br_upgrade_mend(upgrade, path, NULL, (struct br_slice){0}, &text);
    for (size_t i = 0; i < text.len; i++)
        text.ptr[i] = text.ptr[i] == '\n' ? ' ' : text.ptr[i];
    return br_error_set(error, BR_DATA, "field numbers move: %.*s%s", (int)text.len - 1, (const char *)text.ptr,
                        made ? "; then start a new replay" : "");
}
