// SPDX-License-Identifier: Apache-2.0
// The text of a lock file, read and written. See field_lock.h; docs/formats/fields.md is the format.
#include "processor/sql/field_lock.h"

#include "base/json.h"
#include "processor/sql/sql_internal.h"

#include <stdio.h>

#define HEAD "braid fields 1"

static const struct {
    const char *name;
    enum br_wire_kind kind;
} kinds[] = {{"bool", BR_PB_BOOL},     {"int32", BR_PB_INT32}, {"int64", BR_PB_INT64},      {"double", BR_PB_DOUBLE},
             {"string", BR_PB_STRING}, {"bytes", BR_PB_BYTES}, {"Timestamp", BR_PB_MESSAGE}};
#define KIND_COUNT (sizeof kinds / sizeof kinds[0])

const char *br_locked_kind_name(enum br_wire_kind kind) {
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (kinds[i].kind == kind)
            return kinds[i].name;
    return br_wire_kind_name(kind);
}

struct br_locked_message *br_field_lock_find(const struct br_field_lock *lock, const char *name) {
    for (uint32_t i = 0; i < lock->count; i++)
        if (strcmp(lock->messages[i].name, name) == 0)
            return &lock->messages[i];
    return NULL;
}

uint32_t br_locked_gap(const struct br_locked_message *message) {
    uint32_t next = 1;
    for (uint32_t i = 0; i < message->count; i++) {
        if (message->fields[i].number != next)
            return next;
        next = next + 1 == BR_FIELD_NUMBERS_KEPT_FIRST ? BR_FIELD_NUMBERS_KEPT_LAST + 1 : next + 1;
    }
    return 0;
}

const struct br_locked_field *br_locked_field_find(const struct br_locked_message *message, const char *column) {
    for (uint32_t i = 0; i < message->count; i++)
        if (!message->fields[i].reserved && strcmp(message->fields[i].column, column) == 0)
            return &message->fields[i];
    return NULL;
}

// --- reading
struct reader {
    struct br_slice rest; // of the line
    const char *path;
    uint32_t line;
    struct br_arena *arena;
    struct br_error *error;
    struct br_field_lock *lock;
    uint32_t message_capacity, field_capacity;
};

static enum br_status refuse(const struct reader *reader, const char *format, ...) BR_PRINTF(2, 3);
static enum br_status refuse(const struct reader *reader, const char *format, ...) {
    char text[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return br_error_set(reader->error, BR_DATA, "%s:%u: %s", reader->path, reader->line, text);
}

static void skip_blanks(struct reader *reader) {
    while (reader->rest.len != 0 && (*reader->rest.ptr == ' ' || *reader->rest.ptr == '\t'))
        reader->rest = (struct br_slice){reader->rest.ptr + 1, reader->rest.len - 1};
}

static bool is_word_byte(uint8_t c) {
    uint8_t lower = c | 0x20;
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_identifier(const char *name) {
    for (const char *at = name; *at != '\0'; at++)
        if (!is_word_byte((uint8_t)*at) || (at == name && *at >= '0' && *at <= '9'))
            return false;
    return *name != '\0';
}

// Letters, digits and _; empty when something else comes.
static struct br_slice take_word(struct reader *reader) {
    skip_blanks(reader);
    size_t len = 0;
    while (len < reader->rest.len && is_word_byte(reader->rest.ptr[len]))
        len++;
    struct br_slice word = {reader->rest.ptr, len};
    reader->rest = (struct br_slice){reader->rest.ptr + len, reader->rest.len - len};
    return word;
}

static enum br_status take_quoted(struct reader *reader, const char **ret_name) {
    struct br_json json;
    size_t len = 1;
    while (len < reader->rest.len && reader->rest.ptr[len] != '"')
        len += reader->rest.ptr[len] == '\\' ? 2 : 1;
    len = len < reader->rest.len ? len + 1 : reader->rest.len;
    struct br_slice text = {reader->rest.ptr, len};
    if (br_json_parse(text, &json, NULL) != BR_OK)
        return refuse(reader, "a name in quotes is written as in JSON");
    struct br_slice name = br_json_string(&json, reader->arena);
    if (name.len == 0 || memchr(name.ptr, '\0', name.len) != NULL)
        return refuse(reader, "a name is empty, or has a character that none can have");
    reader->rest = (struct br_slice){reader->rest.ptr + len, reader->rest.len - len};
    *ret_name = br_arena_strndup(reader->arena, (const char *)name.ptr, name.len);
    return BR_OK;
}

static enum br_status take_name(struct reader *reader, const char *what, const char **ret_name) {
    skip_blanks(reader);
    if (reader->rest.len != 0 && *reader->rest.ptr == '"')
        return take_quoted(reader, ret_name);
    struct br_slice word = take_word(reader);
    *ret_name = br_arena_strndup(reader->arena, (const char *)word.ptr, word.len);
    return is_identifier(*ret_name) ? BR_OK : refuse(reader, "the name of %s is missing", what);
}

static enum br_status end_line(struct reader *reader) {
    skip_blanks(reader);
    if (reader->rest.len == 0)
        return BR_OK;
    size_t shown = reader->rest.len > 40 ? 40 : reader->rest.len;
    while (shown > 0 && br_utf8_valid_prefix((struct br_slice){reader->rest.ptr, shown}) != shown)
        shown--;
    return refuse(reader, "\"%.*s\" is too much", (int)shown, (const char *)reader->rest.ptr);
}

static enum br_status read_number(struct reader *reader, struct br_slice word, uint32_t *ret_number) {
    uint64_t number = 0;
    bool digits = word.len != 0;
    for (size_t i = 0; i < word.len && number <= BR_FIELD_NUMBER_MAX; i++) {
        digits &= word.ptr[i] >= '0' && word.ptr[i] <= '9';
        number = number * 10 + (uint64_t)(word.ptr[i] - '0');
    }
    if (!digits)
        return refuse(reader, "a line is \"message NAME\", \"NUMBER TYPE COLUMN\" or \"reserved NUMBER COLUMN\"");
    if (number == 0 || number > BR_FIELD_NUMBER_MAX ||
        (number >= BR_FIELD_NUMBERS_KEPT_FIRST && number <= BR_FIELD_NUMBERS_KEPT_LAST))
        return refuse(reader, "%.*s can't be a field number: they are 1 to %u, but for %d to %d",
                      (int)(word.len > 20 ? 20 : word.len), (const char *)word.ptr, BR_FIELD_NUMBER_MAX,
                      BR_FIELD_NUMBERS_KEPT_FIRST, BR_FIELD_NUMBERS_KEPT_LAST);
    *ret_number = (uint32_t)number;
    return BR_OK;
}

static enum br_status read_kind(struct reader *reader, enum br_wire_kind *ret_kind) {
    struct br_slice word = take_word(reader);
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (br_slice_is(word, kinds[i].name)) {
            *ret_kind = kinds[i].kind;
            return BR_OK;
        }
    return refuse(reader, "\"%.*s\" is no type of a field: bool, int32, int64, double, string, bytes or Timestamp",
                  (int)(word.len > 40 ? 40 : word.len), (const char *)word.ptr);
}

static void *grown(struct br_arena *arena, void *list, uint32_t count, uint32_t *capacity, size_t size) {
    if (count < *capacity)
        return list;
    *capacity = *capacity == 0 ? 16 : *capacity * 2;
    void *larger = br_arena_calloc(arena, *capacity, size);
    if (count != 0)
        memcpy(larger, list, count * size);
    return larger;
}

static enum br_status read_message(struct reader *reader) {
    struct br_field_lock *lock = reader->lock;
    const char *name;
    BR_TRY(take_name(reader, "a message", &name));
    lock->messages =
        grown(reader->arena, lock->messages, lock->count, &reader->message_capacity, sizeof *lock->messages);
    lock->messages[lock->count++] = (struct br_locked_message){.name = name};
    reader->field_capacity = 0;
    return end_line(reader);
}

static enum br_status read_field(struct reader *reader, struct br_slice word) {
    struct br_locked_field field = {.reserved = br_slice_is(word, "reserved")};
    if (reader->lock->count == 0)
        return refuse(reader, "a line \"message NAME\" must come first");
    if (field.reserved)
        word = take_word(reader);
    BR_TRY(read_number(reader, word, &field.number));
    if (!field.reserved)
        BR_TRY(read_kind(reader, &field.kind));
    BR_TRY(take_name(reader, "a column", &field.column));
    field.field = field.column;
    struct reader behind = *reader;
    if (br_slice_is(take_word(&behind), "as")) {
        *reader = behind;
        BR_TRY(take_name(reader, "a field", &field.field));
    }
    if (!is_identifier(field.field))
        return refuse(reader, "\"%s\" can't be the name of a field: write \"%s\" as NAME", field.field, field.column);
    struct br_locked_message *message = &reader->lock->messages[reader->lock->count - 1];
    message->fields = grown(reader->arena, message->fields, message->count, &reader->field_capacity, sizeof field);
    message->fields[message->count++] = field;
    return end_line(reader);
}

static enum br_status read_line(struct reader *reader, bool *begun) {
    if (reader->rest.len != 0 && reader->rest.ptr[reader->rest.len - 1] == '\r')
        reader->rest.len--;
    skip_blanks(reader);
    if (reader->rest.len == 0 || *reader->rest.ptr == '#')
        return BR_OK;
    if (!*begun) {
        *begun = br_slice_is(reader->rest, HEAD);
        return *begun ? BR_OK : refuse(reader, "this is no file of field numbers: it begins with \"" HEAD "\"");
    }
    struct br_slice word = take_word(reader);
    return br_slice_is(word, "message") ? read_message(reader) : read_field(reader, word);
}

// --- what stands twice
static int by_number(const void *a, const void *b) {
    uint32_t x = ((const struct br_locked_field *)a)->number, y = ((const struct br_locked_field *)b)->number;
    return (x > y) - (x < y);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct br_locked_message *)a)->name, ((const struct br_locked_message *)b)->name);
}

static int by_column(const void *a, const void *b) {
    return strcmp((*(const struct br_locked_field *const *)a)->column,
                  (*(const struct br_locked_field *const *)b)->column);
}

static int by_json_name(const void *a, const void *b) {
    return sql_compare_json_names((*(const struct br_locked_field *const *)a)->field,
                                  (*(const struct br_locked_field *const *)b)->field);
}

static enum br_status check_message(const struct reader *reader, struct br_locked_message *message) {
    if (message->count != 0)
        qsort(message->fields, message->count, sizeof *message->fields, by_number);
    for (uint32_t i = 1; i < message->count; i++)
        if (message->fields[i].number == message->fields[i - 1].number)
            return br_error_set(
                reader->error, BR_DATA, "%s: number %u of message \"%s\" is there for \"%s\" and \"%s\"", reader->path,
                message->fields[i].number, message->name, message->fields[i - 1].column, message->fields[i].column);
    BR_AUTO_FREE const struct br_locked_field **sorted = br_calloc(message->count + 1, sizeof(void *));
    uint32_t count = 0;
    for (uint32_t i = 0; i < message->count; i++)
        if (!message->fields[i].reserved)
            sorted[count++] = &message->fields[i];
    if (count < 2)
        return BR_OK;
    qsort(sorted, count, sizeof *sorted, by_column);
    for (uint32_t i = 1; i < count; i++)
        if (by_column(&sorted[i - 1], &sorted[i]) == 0)
            return br_error_set(reader->error, BR_DATA, "%s: column \"%s\" of message \"%s\" has numbers %u and %u",
                                reader->path, sorted[i]->column, message->name, sorted[i - 1]->number,
                                sorted[i]->number);
    qsort(sorted, count, sizeof *sorted, by_json_name);
    for (uint32_t i = 1; i < count; i++)
        if (by_json_name(&sorted[i - 1], &sorted[i]) == 0)
            return br_error_set(reader->error, BR_DATA,
                                "%s: fields \"%s\" and \"%s\" of message \"%s\" have one name in JSON", reader->path,
                                sorted[i - 1]->field, sorted[i]->field, message->name);
    return BR_OK;
}

enum br_status br_field_lock_parse(struct br_slice text, const char *path, struct br_arena *arena,
                                   struct br_field_lock **ret_lock, struct br_error *error) {
    struct reader reader = {
        .path = path, .arena = arena, .error = error, .lock = br_arena_new(arena, struct br_field_lock)};
    bool begun = false;
    if (text.len > BR_FIELD_LOCK_BYTES_MAX)
        return br_error_set(error, BR_DATA, "%s: larger than %zu MiB", path, BR_FIELD_LOCK_BYTES_MAX >> 20);
    if (br_utf8_valid_prefix(text) != text.len)
        return br_error_set(error, BR_DATA, "%s: isn't UTF-8 text", path);
    for (size_t at = 0; at < text.len;) {
        const uint8_t *end = memchr(text.ptr + at, '\n', text.len - at);
        size_t len = end == NULL ? text.len - at : (size_t)(end - text.ptr) - at;
        reader.rest = (struct br_slice){text.ptr + at, len};
        reader.line++;
        BR_TRY(read_line(&reader, &begun));
        at += len + 1;
    }
    reader.line += reader.line == 0;
    if (!begun)
        return refuse(&reader, "this is no file of field numbers: it begins with \"" HEAD "\"");
    struct br_field_lock *lock = reader.lock;
    if (lock->count != 0)
        qsort(lock->messages, lock->count, sizeof *lock->messages, by_name);
    for (uint32_t i = 1; i < lock->count; i++)
        if (strcmp(lock->messages[i].name, lock->messages[i - 1].name) == 0)
            return br_error_set(error, BR_DATA, "%s: message \"%s\" is there twice", path, lock->messages[i].name);
    for (uint32_t i = 0; i < lock->count; i++)
        BR_TRY(check_message(&reader, &lock->messages[i]));
    *ret_lock = lock;
    return BR_OK;
}

// --- writing
static void put_name(struct br_buffer *out, const char *name) {
    bool plain = is_identifier(name);
    for (const char *at = name; plain && *at != '\0'; at++)
        plain = *at < 'A' || *at > 'Z';
    if (plain)
        br_buffer_append_text(out, name);
    else
        br_json_append_string(br_slice_of(name), out);
}

void br_field_lock_print(const struct br_field_lock *lock, struct br_buffer *out) {
    br_buffer_append_text(out,
                          "# The field numbers of messages that are derived from columns. Written by `braid schema "
                          "lock FILE.sql`:\n# a column that stays keeps its number. Belongs to the SQL file, under "
                          "version control.\n" HEAD "\n");
    for (uint32_t m = 0; m < lock->count; m++) {
        const struct br_locked_message *message = &lock->messages[m];
        br_buffer_append_text(out, "\nmessage ");
        put_name(out, message->name);
        br_buffer_append_byte(out, '\n');
        for (uint32_t i = 0; i < message->count; i++) {
            const struct br_locked_field *field = &message->fields[i];
            if (field->reserved)
                br_buffer_printf(out, "  reserved %u ", field->number);
            else
                br_buffer_printf(out, "  %u %s ", field->number, br_locked_kind_name(field->kind));
            put_name(out, field->column);
            if (strcmp(field->field, field->column) != 0)
                br_buffer_printf(out, " as %s", field->field);
            br_buffer_append_byte(out, '\n');
        }
    }
}
