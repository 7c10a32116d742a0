// SPDX-License-Identifier: Apache-2.0
// See answer.h.
#include "cli/answer.h"

#include "base/json.h"
#include "cli/cli.h"

#include <stdio.h>

#define COLUMNS_MAX 1664

struct br_answer {
    enum br_answer_form form;
    struct br_arena *arena, *line_arena;
    bool headed, ended, failed;
    const char *names[COLUMNS_MAX];
    bool numeric[COLUMNS_MAX];
    size_t widths[COLUMNS_MAX];
    uint32_t column_count;
    struct br_slice *cells; // text; ptr NULL: NULL
    size_t row_count, capacity;
};

// Characters, not bytes; wide ones count as one.
static size_t text_width(struct br_slice text) {
    size_t width = 0;
    for (size_t i = 0; i < text.len; i++)
        width += (text.ptr[i] & 0xc0) != 0x80;
    return width;
}

// Does another column than c bear the name?
static bool is_taken(const struct br_answer *answer, uint32_t c, const char *name) {
    for (uint32_t other = 0; other < answer->column_count; other++)
        if (other != c && strcmp(answer->names[other], name) == 0)
            return true;
    return false;
}

// A JSON object has a key once: the second and third column that are called a become a_2 and a_3.
static void tell_names_apart(struct br_answer *answer) {
    for (uint32_t c = 1; c < answer->column_count; c++) {
        const char *name = answer->names[c];
        bool again = false;
        for (uint32_t other = 0; other < c; other++)
            again |= strcmp(answer->names[other], name) == 0;
        for (unsigned n = 2; again && is_taken(answer, c, answer->names[c]); n++)
            answer->names[c] = br_arena_printf(answer->arena, "%s_%u", name, n);
    }
}

static void read_columns(struct br_answer *answer, const struct br_json *line) {
    struct br_json columns, column, value;
    struct br_slice name;
    if (!br_json_member(line, "columns", answer->arena, &columns) || columns.kind != BR_JSON_ARRAY)
        return;
    struct br_json_walk walk = br_json_begin(&columns);
    while (answer->column_count < COLUMNS_MAX && br_json_next(&walk, answer->arena, &name, &column)) {
        uint32_t c = answer->column_count++;
        struct br_slice text = {0};
        if (br_json_member(&column, "name", answer->arena, &value) && value.kind == BR_JSON_STRING)
            text = br_json_string(&value, answer->arena);
        answer->names[c] = br_arena_strndup(answer->arena, (const char *)text.ptr, text.len);
        answer->widths[c] = text_width(text);
        enum br_type type;
        answer->numeric[c] =
            br_json_member(&column, "type", answer->arena, &value) && value.kind == BR_JSON_STRING &&
            br_type_from_name(br_arena_strndup(answer->arena, (const char *)value.text.ptr + 1, value.text.len - 2),
                              &type) &&
            type >= BR_INTEGER && type <= BR_DOUBLE;
    }
    if (answer->form == BR_ANSWER_JSON)
        tell_names_apart(answer);
}

// A cell's text in the arena; ptr NULL: NULL.
static struct br_slice cell_of(const struct br_json *value, struct br_arena *arena) {
    if (value->kind == BR_JSON_NULL)
        return (struct br_slice){0};
    struct br_slice text =
        br_arena_copy(arena, value->kind == BR_JSON_STRING ? br_json_string(value, arena) : value->text);
    if (text.ptr == NULL)
        text.ptr = (const uint8_t *)"";
    return text;
}

static void read_row(struct br_answer *answer, const struct br_json *line) {
    if (answer->row_count == answer->capacity) {
        answer->capacity = answer->capacity == 0 ? 256 : answer->capacity * 2;
        answer->cells = br_realloc(answer->cells, answer->capacity * answer->column_count * sizeof *answer->cells);
    }
    struct br_slice *row = answer->cells + answer->row_count * answer->column_count;
    struct br_json_walk walk = br_json_begin(line);
    struct br_slice name;
    struct br_json value;
    for (uint32_t c = 0; c < answer->column_count && br_json_next(&walk, answer->line_arena, &name, &value); c++) {
        row[c] = cell_of(&value, answer->arena);
        size_t width = text_width(row[c]);
        answer->widths[c] = width > answer->widths[c] ? width : answer->widths[c];
    }
    answer->row_count++;
}

static void print_cell(struct br_slice text, size_t width, bool right, bool last) {
    size_t pad = width - text_width(text);
    printf(" %*s%.*s%*s", right ? (int)pad : 0, "", (int)text.len, (const char *)text.ptr, right || last ? 0 : (int)pad,
           "");
}

static void print_table(const struct br_answer *answer) {
    for (uint32_t c = 0; c < answer->column_count; c++) {
        print_cell(br_slice_of(answer->names[c]), answer->widths[c], false, c + 1 == answer->column_count);
        fputs(c + 1 < answer->column_count ? " |" : "\n", stdout);
    }
    for (uint32_t c = 0; c < answer->column_count; c++) {
        for (size_t i = 0; i < answer->widths[c] + 2; i++)
            putchar('-');
        putchar(c + 1 < answer->column_count ? '+' : '\n');
    }
    for (size_t r = 0; r < answer->row_count; r++)
        for (uint32_t c = 0; c < answer->column_count; c++) {
            print_cell(answer->cells[r * answer->column_count + c], answer->widths[c], answer->numeric[c],
                       c + 1 == answer->column_count);
            fputs(c + 1 < answer->column_count ? " |" : "\n", stdout);
        }
    printf("(%zu row%s)\n", answer->row_count, answer->row_count == 1 ? "" : "s");
}

static void print_csv_cell(struct br_slice text, bool null) {
    bool quote = !null && text.len == 0;
    for (size_t i = 0; i < text.len; i++)
        quote |= text.ptr[i] == ',' || text.ptr[i] == '"' || text.ptr[i] == '\n' || text.ptr[i] == '\r';
    if (quote)
        putchar('"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"')
            putchar('"');
        putchar(text.ptr[i]);
    }
    if (quote)
        putchar('"');
}

static void print_csv_row(struct br_answer *answer, const struct br_json *line) {
    struct br_json_walk walk = br_json_begin(line);
    struct br_slice name;
    struct br_json value;
    for (uint32_t c = 0; c < answer->column_count && br_json_next(&walk, answer->line_arena, &name, &value); c++) {
        struct br_slice cell = cell_of(&value, answer->line_arena);
        print_csv_cell(cell, cell.ptr == NULL);
        putchar(c + 1 < answer->column_count ? ',' : '\n');
    }
}

static void print_csv_head(const struct br_answer *answer) {
    for (uint32_t c = 0; c < answer->column_count; c++) {
        print_csv_cell(br_slice_of(answer->names[c]), false);
        putchar(c + 1 < answer->column_count ? ',' : '\n');
    }
}

static void print_json_row(const struct br_answer *answer, const struct br_json *line) {
    struct br_buffer BR_CLEANUP(br_buffer_free) out = {0};
    struct br_json_walk walk = br_json_begin(line);
    struct br_slice name;
    struct br_json value;
    for (uint32_t c = 0; c < answer->column_count && br_json_next(&walk, answer->line_arena, &name, &value); c++) {
        br_buffer_append_text(&out, c == 0 ? "{" : ",");
        br_json_append_string(br_slice_of(answer->names[c]), &out);
        br_buffer_append_byte(&out, ':');
        br_buffer_append_slice(&out, value.text);
    }
    printf("%.*s}\n", (int)out.len, (const char *)out.ptr);
}

// --- lines

static void take_row(struct br_answer *answer, const struct br_json *line) {
    if (answer->form == BR_ANSWER_JSON)
        print_json_row(answer, line);
    else if (answer->form == BR_ANSWER_CSV)
        print_csv_row(answer, line);
    else
        read_row(answer, line);
}

bool br_answer_line(struct br_answer *answer, struct br_slice text) {
    struct br_json line, value;
    struct br_error error;
    br_arena_reset(answer->line_arena);
    if (br_json_parse(text, &line, &error) != BR_OK) {
        br_complain("the answer can't be read: %s", error.message);
        answer->failed = true;
        return false;
    }
    if (line.kind == BR_JSON_ARRAY) {
        take_row(answer, &line);
    } else if (br_json_member(&line, "error", answer->line_arena, &value)) {
        struct br_slice why = br_json_string(&value, answer->line_arena);
        bool ends = why.len != 0 && why.ptr[why.len - 1] == '\n';
        fprintf(stderr, "%.*s%s", (int)why.len, (const char *)why.ptr, ends ? "" : "\n");
        answer->failed = answer->ended = true;
    } else if (br_json_member(&line, "rows", answer->line_arena, &value)) {
        answer->ended = true;
    } else if (!answer->headed) {
        read_columns(answer, &line);
        answer->headed = true;
        if (answer->form == BR_ANSWER_CSV)
            print_csv_head(answer);
    }
    return true;
}

struct br_answer *br_answer_begin(enum br_answer_form form) {
    struct br_answer *answer = br_calloc(1, sizeof *answer);
    answer->form = form;
    answer->arena = br_arena_create();
    answer->line_arena = br_arena_create();
    return answer;
}

int br_answer_end(struct br_answer **answer_ptr) {
    struct br_answer *answer = *answer_ptr;
    int code = answer->ended && answer->failed ? BR_EXIT_NO : answer->ended ? BR_EXIT_OK : BR_EXIT_FAILED;
    if (code == BR_EXIT_OK && answer->form == BR_ANSWER_TABLE)
        print_table(answer);
    free(answer->cells);
    br_arena_destroy(&answer->arena);
    br_arena_destroy(&answer->line_arena);
    free(answer);
    *answer_ptr = NULL;
    return code;
}

int br_answer_print(enum br_answer_form form, struct br_slice text) {
    struct br_answer *answer = br_answer_begin(form);
    for (bool good = true; good && text.len != 0;) {
        const uint8_t *end = memchr(text.ptr, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;
        good = br_answer_line(answer, (struct br_slice){text.ptr, len});
        len += end != NULL ? 1 : 0;
        text.ptr += len;
        text.len -= len;
    }
    return br_answer_end(&answer);
}
