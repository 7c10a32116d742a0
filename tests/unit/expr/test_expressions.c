// SPDX-License-Identifier: Apache-2.0
// Expressions against what PostgreSQL makes of them (expressions.txt): folded as constants, and over columns in batches
// of awkward sizes, with NULL rows and inactive rows of garbage.
#include "expression_reader.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define LINES_MAX 2000
#define PATH TEST_SOURCE_DIR "/unit/expr/expressions.txt"

struct expected {
    char *expression, *type, *text;
};
static struct expected cases[LINES_MAX];
static size_t case_count;
static char *file_text;

static void load_cases(void) {
    FILE *file = fopen(PATH, "rb");
    cr_assert(file != NULL, "no %s", PATH);
    struct br_buffer text = {0};
    for (size_t got; (got = fread(br_buffer_reserve(&text, 4096), 1, 4096, file)) > 0;)
        text.len += got;
    fclose(file);
    br_buffer_append_byte(&text, 0);
    file_text = (char *)text.ptr;
    for (char *line = file_text, *next; *line != '\0'; line = next) {
        char *end = strchr(line, '\n');
        next = end + 1;
        *end = '\0';
        if (line[0] == '#' || line[0] == '\0')
            continue;
        char *type = strstr(line, " => ");
        cr_assert(type != NULL, "not a case: %s", line);
        *type = '\0';
        type += 4;
        char *result = strstr(type, " =>");
        cr_assert(result != NULL, "not a case: %s", line);
        *result = '\0';
        result += result[3] == ' ' ? 4 : 3;
        char *differs = strstr(result, " => differs");
        if (differs != NULL)
            *differs = '\0';
        cr_assert(case_count < LINES_MAX);
        cases[case_count++] = (struct expected){line, type, result};
    }
}
static void free_cases(void) {
    free(file_text);
    case_count = 0;
}
TestSuite(expressions, .init = load_cases, .fini = free_cases);

static uint32_t wrong_count;
static void wrong(const struct expected *expected, const char *how, const char *got) {
    wrong_count++;
    fprintf(stderr, "%s\n  %s, got: %s\n  expected: %s %s\n", expected->expression, how, got, expected->type,
            expected->text);
}

// The first line of a message; the hint is ours.
static void cut_line(char *text) {
    text[strcspn(text, "\n")] = '\0';
}

// The expression as text; NULL with the error when it can't be.
static struct br_expr *read_as_text(struct expression_reader *reader, const char *expression, enum br_type *ret_type) {
    struct br_expr *expr = read_expression(reader, expression);
    if (expr == NULL)
        return NULL;
    *ret_type = expr->type == BR_UNKNOWN ? BR_TEXT : expr->type;
    if (br_expr_cast(reader->arena, expr, BR_TEXT, BR_CAST_EXPLICIT, &expr, reader->error) != BR_OK)
        return NULL;
    return expr;
}

// Newlines as the recorder writes them.
static const char *escaped(struct br_arena *arena, struct br_slice text) {
    char *copy = br_arena_alloc(arena, 2 * text.len + 1), *out = copy;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\n')
            *out++ = '\\';
        *out++ = text.ptr[i] == '\n' ? 'n' : (char)text.ptr[i];
    }
    *out = '\0';
    return copy;
}

static const char *text_of(struct br_arena *arena, const struct br_value *value) {
    return value->is_null ? "<NULL>" : escaped(arena, value->bytes);
}

Test(expressions, fold_to_what_postgresql_gives) {
    struct br_arena *arena = br_arena_create();
    for (size_t i = 0; i < case_count; i++) {
        struct br_error error = {0};
        struct expression_reader reader = {.arena = arena, .error = &error};
        enum br_type type;
        struct br_expr *expr = read_as_text(&reader, cases[i].expression, &type);
        bool fails = strcmp(cases[i].type, "error") == 0;
        if (expr == NULL) {
            cut_line(error.message);
            if (!fails || strcmp(error.message, cases[i].text) != 0)
                wrong(&cases[i], "folded", error.message);
        } else if (expr->kind != BR_EXPR_CONST) {
            wrong(&cases[i], "folded", "not a constant");
        } else if (fails || strcmp(text_of(arena, &expr->value), cases[i].text) != 0) {
            wrong(&cases[i], "folded", text_of(arena, &expr->value));
        } else if (strcmp(br_type_name(type), cases[i].type) != 0 && strcmp(cases[i].type, "unknown") != 0) {
            wrong(&cases[i], "folded, of type", br_type_name(type));
        }
        br_arena_reset(arena);
    }
    br_arena_destroy(&arena);
    cr_assert_eq(wrong_count, 0, "%u cases are wrong", wrong_count);
    cr_assert_gt(case_count, 700);
}

// --- columns
static bool row_is_null(uint32_t row) {
    return row % 3 == 1;
}
static bool row_is_active(uint32_t row) {
    return row % 5 != 3;
}

// Row r of every column has the literal's value; NULL rows and inactive rows have bytes that nobody may look at.
static struct br_batch *make_batch(struct br_arena *arena, const struct expression_reader *reader, uint32_t rows) {
    enum br_type types[READER_COLUMNS_MAX];
    for (uint32_t c = 0; c < reader->column_count; c++)
        types[c] = reader->values[c].type;
    struct br_batch *batch = br_batch_create(arena, types, NULL, reader->column_count);
    batch->row_count = rows;
    for (uint32_t c = 0; c < reader->column_count; c++) {
        memset(batch->columns[c].values, 0xab, rows * br_type_width(types[c]));
        for (uint32_t r = 0; r < rows; r++) {
            if (!row_is_null(r) && row_is_active(r))
                br_column_set(&batch->columns[c], r, &reader->values[c]);
            else if (!row_is_active(r))
                br_bit_set(batch->columns[c].validity, r);
        }
    }
    return batch;
}

static const char *error_of_row(const struct br_eval *eval, uint32_t row) {
    for (uint32_t i = 0; i < eval->error_count; i++)
        if (eval->errors[i].row == row)
            return eval->errors[i].message;
    return NULL;
}

// What a row gives: "<NULL>", its text, or "error: …".
static const char *row_result(struct br_arena *arena, const struct br_eval *eval, const struct br_column *column,
                              uint32_t row) {
    const char *message = error_of_row(eval, row);
    if (message != NULL) {
        cr_expect(br_column_is_null(column, row), "a failed row isn't NULL");
        return br_arena_printf(arena, "error: %s", message);
    }
    struct br_value value = br_column_get(column, row);
    return text_of(arena, &value);
}

static const char *expected_result(struct br_arena *arena, const struct expected *expected) {
    return strcmp(expected->type, "error") == 0 ? br_arena_printf(arena, "error: %s", expected->text) : expected->text;
}

// What rows of NULLs must give: the folded expression over NULLs.
static const char *expected_of_nulls(struct br_arena *arena, const char *expression, bool text_columns) {
    struct br_error error = {0};
    struct expression_reader reader = {.arena = arena, .error = &error, .nulls = true, .text_columns = text_columns};
    enum br_type type;
    struct br_expr *expr = read_as_text(&reader, expression, &type);
    if (expr == NULL) {
        cut_line(error.message);
        return br_arena_printf(arena, "error: %s", error.message);
    }
    return text_of(arena, &expr->value);
}

static void check_rows(struct br_arena *arena, const struct expected *expected, bool text_columns, uint32_t rows) {
    struct br_error error = {0};
    struct expression_reader reader = {.arena = arena, .error = &error, .columns = true, .text_columns = text_columns};
    enum br_type type = BR_UNKNOWN;
    struct br_expr *expr = read_as_text(&reader, expected->expression, &type);
    if (expr == NULL ||
        (text_columns && strcmp(br_type_name(type), expected->type) != 0 && strcmp(expected->type, "error") != 0))
        return; // binding fails, which folding checks, or text means something else there
    struct br_batch *batch = make_batch(arena, &reader, rows);
    struct br_eval eval = {.arena = arena};
    uint64_t active[BR_VALIDITY_WORDS] = {0};
    for (uint32_t r = 0; r < rows; r++)
        if (row_is_active(r))
            br_bit_set(active, r);
    struct br_column column;
    cr_assert_eq(br_expr_eval(expr, batch, active, &eval, &column, &error), BR_OK);
    const char *of_values = expected_result(arena, expected);
    const char *of_nulls = expected_of_nulls(arena, expected->expression, text_columns);
    for (uint32_t r = 0; r < rows; r++) {
        if (!row_is_active(r)) {
            if (error_of_row(&eval, r) != NULL)
                wrong(expected, "an inactive row failed", error_of_row(&eval, r));
            continue;
        }
        const char *got = row_result(arena, &eval, &column, r);
        const char *want = row_is_null(r) ? of_nulls : of_values;
        if (strcmp(got, want) != 0) {
            wrong(expected, row_is_null(r) ? br_arena_printf(arena, "a NULL row (wanted %s)", want) : "a row", got);
            return;
        }
        if (r > 70 && r + 70 < rows)
            r = rows - 70; // the middle of a large batch is like the rest
    }
}

static void check_all(bool text_columns) {
    static const uint32_t ROWS[] = {1, 63, 64, 65, 2048};
    struct br_arena *arena = br_arena_create();
    for (size_t i = 0; i < case_count; i++)
        for (size_t s = 0; s < sizeof ROWS / sizeof ROWS[0]; s++) {
            check_rows(arena, &cases[i], text_columns, ROWS[s]);
            br_arena_reset(arena);
        }
    br_arena_destroy(&arena);
    cr_assert_eq(wrong_count, 0, "%u cases are wrong", wrong_count);
}

Test(expressions, over_columns_give_the_same) {
    check_all(false);
}
Test(expressions, over_columns_of_text_too_give_the_same) {
    check_all(true);
}
