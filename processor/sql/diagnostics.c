// SPDX-License-Identifier: Apache-2.0
// What is wrong with a file: a list of messages with places, printed as compilers do.
#include "processor/sql/sql_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define LINE_BYTES_MAX ((size_t)240) // of the source that is shown

struct br_diagnostics *br_diagnostics_create(const char *path, const char *text) {
    struct br_arena *arena = br_arena_create();
    struct br_diagnostics *diagnostics = br_arena_new(arena, struct br_diagnostics);
    diagnostics->arena = arena;
    diagnostics->path = br_arena_strdup(arena, path);
    diagnostics->text = br_arena_strdup(arena, text);
    return diagnostics;
}

void br_diagnostics_destroy(struct br_diagnostics **diagnostics) {
    if (*diagnostics == NULL)
        return;
    struct br_arena *arena = (*diagnostics)->arena;
    *diagnostics = NULL;
    br_arena_destroy(&arena);
}

static bool is_character_start(char byte) {
    return ((unsigned char)byte & 0xC0) != 0x80;
}

static void place_of(const char *text, int location, uint32_t *ret_line, uint32_t *ret_column) {
    uint32_t line = 1, column = 1;
    for (int i = 0; i < location && text[i] != '\0'; i++) {
        if (text[i] == '\n') {
            line++;
            column = 1;
        } else if (is_character_start(text[i])) {
            column++;
        }
    }
    *ret_line = line;
    *ret_column = column;
}

static void add(struct sql_binder *binder, int location, bool warning, const char *hint, const char *message) {
    struct br_diagnostics *diagnostics = binder->diagnostics;
    if ((!warning && binder->muted) || sql_is_exhausted(binder))
        return;
    struct br_diagnostic diagnostic = {.warning = warning};
    place_of(diagnostics->text, location, &diagnostic.line, &diagnostic.column);
    for (uint32_t i = 0; i < diagnostics->count; i++) { // a tree bound twice says the same twice
        const struct br_diagnostic *other = &diagnostics->list[i];
        if (other->line == diagnostic.line && other->column == diagnostic.column &&
            strcmp(other->message, message) == 0)
            return;
    }
    if ((diagnostics->count & (diagnostics->count - 1)) == 0) { // full at every power of two
        uint32_t capacity = diagnostics->count == 0 ? 1 : diagnostics->count * 2;
        struct br_diagnostic *list = br_arena_array(diagnostics->arena, struct br_diagnostic, capacity);
        if (diagnostics->count != 0)
            memcpy(list, diagnostics->list, diagnostics->count * sizeof *list);
        diagnostics->list = list;
    }
    diagnostic.message = br_arena_strdup(diagnostics->arena, message);
    diagnostic.hint = hint == NULL ? NULL : br_arena_strdup(diagnostics->arena, hint);
    diagnostics->list[diagnostics->count++] = diagnostic;
    diagnostics->error_count += warning ? 0 : 1;
}

void sql_error(struct sql_binder *binder, int location, const char *hint, const char *format, ...) {
    char message[BR_ERROR_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    add(binder, location, false, hint, message);
}

void sql_warning(struct sql_binder *binder, int location, const char *hint, const char *format, ...) {
    char message[BR_ERROR_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    add(binder, location, true, hint, message);
}

void sql_error_of(struct sql_binder *binder, int location, const struct br_error *error) {
    char *message = br_arena_strdup(binder->arena, error->message);
    char *hint = strstr(message, "\nhint: ");
    if (hint != NULL) {
        *hint = '\0';
        hint += strlen("\nhint: ");
    }
    for (char *at = message; *at != '\0'; at++)
        if (*at == '\n')
            *at = ' ';
    add(binder, location, false, hint, message);
}

static int compare_place(const void *a, const void *b) {
    const struct br_diagnostic *x = a, *y = b;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    return strcmp(x->message, y->message);
}

void sql_diagnostics_sort(struct br_diagnostics *diagnostics) {
    if (diagnostics->count > 1)
        qsort(diagnostics->list, diagnostics->count, sizeof *diagnostics->list, compare_place);
}

// --- printing
static struct br_slice source_line(const char *text, uint32_t line) {
    for (; line > 1; line--) {
        const char *end = strchr(text, '\n');
        if (end == NULL)
            return (struct br_slice){NULL, 0};
        text = end + 1;
    }
    size_t len = strcspn(text, "\n");
    if (len > 0 && text[len - 1] == '\r')
        len--;
    return (struct br_slice){(const uint8_t *)text, len};
}

// Of a very long line the part around the column; gives the column in it.
static uint32_t shorten(struct br_slice *line, uint32_t column) {
    size_t at = 0;
    if (line->len <= LINE_BYTES_MAX)
        return column;
    for (uint32_t c = 1; at < line->len && c < column; c++)
        do
            at++;
        while (at < line->len && !is_character_start((char)line->ptr[at]));
    size_t begin = at > LINE_BYTES_MAX / 2 ? at - LINE_BYTES_MAX / 2 : 0;
    size_t end = begin + LINE_BYTES_MAX < line->len ? begin + LINE_BYTES_MAX : line->len;
    while (begin > 0 && !is_character_start((char)line->ptr[begin]))
        begin--;
    while (end < line->len && !is_character_start((char)line->ptr[end]))
        end--;
    column = 1;
    for (size_t i = begin; i < at; i++)
        column += is_character_start((char)line->ptr[i]) ? 1 : 0;
    *line = (struct br_slice){line->ptr + begin, end - begin};
    return column;
}

static void print_caret(struct br_slice line, uint32_t column, struct br_buffer *out) {
    uint32_t at = 1;
    for (size_t i = 0; i < line.len && at < column; i++) {
        if (i + 1 < line.len && !is_character_start((char)line.ptr[i + 1]))
            continue; // the last byte of a character counts it
        br_buffer_append_byte(out, line.ptr[i] == '\t' ? '\t' : ' ');
        at++;
    }
    for (; at < column; at++)
        br_buffer_append_byte(out, ' ');
    br_buffer_append_text(out, "^\n");
}

static void print_text(const struct br_diagnostics *diagnostics, const struct br_diagnostic *diagnostic,
                       struct br_buffer *out) {
    br_buffer_printf(out, "%s:%u:%u: %s: %s\n", diagnostics->path, diagnostic->line, diagnostic->column,
                     diagnostic->warning ? "warning" : "error", diagnostic->message);
    struct br_slice line = source_line(diagnostics->text, diagnostic->line);
    uint32_t column = shorten(&line, diagnostic->column);
    br_buffer_append_text(out, "  ");
    br_buffer_append_slice(out, line);
    br_buffer_append_text(out, "\n  ");
    print_caret(line, column, out);
    if (diagnostic->hint != NULL)
        br_buffer_printf(out, "hint: %s\n", diagnostic->hint);
}

static void print_json(const struct br_diagnostics *diagnostics, const struct br_diagnostic *diagnostic,
                       struct br_buffer *out) {
    br_buffer_append_text(out, "{\"path\":");
    br_json_append_string(br_slice_of(diagnostics->path), out);
    br_buffer_printf(out, ",\"line\":%u,\"column\":%u,\"severity\":\"%s\",\"message\":", diagnostic->line,
                     diagnostic->column, diagnostic->warning ? "warning" : "error");
    br_json_append_string(br_slice_of(diagnostic->message), out);
    if (diagnostic->hint != NULL) {
        br_buffer_append_text(out, ",\"hint\":");
        br_json_append_string(br_slice_of(diagnostic->hint), out);
    }
    br_buffer_append_text(out, "}\n");
}

void br_diagnostics_print(const struct br_diagnostics *diagnostics, bool json, struct br_buffer *out) {
    for (uint32_t i = 0; i < diagnostics->count; i++)
        (json ? print_json : print_text)(diagnostics, &diagnostics->list[i], out);
}

// --- nearest names
#define NAME_MAX_COMPARED 64

// Edit distance with swaps of neighbours (optimal string alignment).
static uint32_t edit_distance(const char *a, const char *b) {
    size_t m = strlen(a), n = strlen(b);
    if (m > NAME_MAX_COMPARED || n > NAME_MAX_COMPARED)
        return UINT32_MAX;
    uint8_t rows[3][NAME_MAX_COMPARED + 1];
    for (size_t j = 0; j <= n; j++)
        rows[0][j] = (uint8_t)j;
    for (size_t i = 1; i <= m; i++) {
        uint8_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = (uint8_t)i;
        for (size_t j = 1; j <= n; j++) {
            unsigned best = above[j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u);
            if (above[j] + 1u < best)
                best = above[j] + 1u;
            if (row[j - 1] + 1u < best)
                best = row[j - 1] + 1u;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && above2[j - 2] + 1u < best)
                best = above2[j - 2] + 1u;
            row[j] = (uint8_t)best;
        }
    }
    return rows[m % 3][n];
}

void sql_nearest_try(struct sql_nearest *nearest, const char *candidate) {
    if (candidate == NULL)
        return;
    uint32_t distance = edit_distance(nearest->wanted, candidate);
    size_t bound = 1 + strlen(nearest->wanted) / 3;
    if (distance > bound || distance >= strlen(candidate))
        return;
    if (nearest->best == NULL || distance < nearest->distance) {
        nearest->best = candidate;
        nearest->distance = distance;
    }
}

const char *sql_nearest_hint(struct sql_binder *binder, const struct sql_nearest *nearest) {
    if (nearest->best == NULL)
        return NULL;
    return br_arena_printf(binder->arena, "did you mean \"%s\"?", nearest->best);
}
