// SPDX-License-Identifier: Apache-2.0
// See expression_reader.h. Precedence climbing; on the first failure everything returns NULL.
#include "expression_reader.h"
#include "processor/expr/numeric.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ARGUMENTS_MAX 16

static struct br_expr *read_or(struct expression_reader *reader);
static struct br_expr *read_operator(struct expression_reader *reader, int level);

static void *fail(struct expression_reader *reader, const char *why) {
    if (!reader->failed)
        br_error_set(reader->error, BR_FATAL, "reader: %s at \"%s\"", why, reader->at);
    reader->failed = true;
    return NULL;
}
static struct br_expr *done(struct expression_reader *reader, enum br_status status, struct br_expr *expr) {
    if (status == BR_OK)
        return expr;
    reader->failed = true;
    return NULL;
}
static void skip_space(struct expression_reader *reader) {
    while (isspace((unsigned char)*reader->at))
        reader->at++;
}
static bool take(struct expression_reader *reader, const char *symbol) {
    skip_space(reader);
    if (strncmp(reader->at, symbol, strlen(symbol)) != 0)
        return false;
    reader->at += strlen(symbol);
    return true;
}
static bool peek(struct expression_reader *reader, const char *symbol) {
    skip_space(reader);
    return strncmp(reader->at, symbol, strlen(symbol)) == 0;
}
static bool is_word_char(char c) {
    return isalnum((unsigned char)c) || c == '_';
}
static bool peek_word(struct expression_reader *reader, const char *word) {
    skip_space(reader);
    size_t len = strlen(word);
    return strncasecmp(reader->at, word, len) == 0 && !is_word_char(reader->at[len]);
}
static bool take_word(struct expression_reader *reader, const char *word) {
    if (!peek_word(reader, word))
        return false;
    reader->at += strlen(word);
    return true;
}

// --- leaves
static struct br_expr *leaf(struct expression_reader *reader, struct br_value value) {
    bool bare = value.type == BR_UNKNOWN;
    if (bare && !reader->text_columns)
        return br_expr_const(reader->arena, value, -1);
    if (bare)
        value.type = BR_TEXT;
    if (reader->nulls)
        value = (struct br_value){.type = value.type, .is_null = true};
    if (!reader->columns)
        return br_expr_const(reader->arena, value, -1);
    if (reader->column_count == READER_COLUMNS_MAX)
        return fail(reader, "too many literals");
    reader->values[reader->column_count] = value;
    return br_expr_column(reader->arena, reader->column_count++, value.type, -1);
}

static struct br_expr *read_number(struct expression_reader *reader) {
    const char *begin = reader->at;
    reader->at += *begin == '-';
    bool whole = true;
    while (isdigit((unsigned char)*reader->at) || *reader->at == '.') {
        whole &= *reader->at != '.';
        reader->at++;
    }
    if ((*reader->at == 'e' || *reader->at == 'E') &&
        (isdigit((unsigned char)reader->at[1]) || strchr("+-", reader->at[1]) != NULL)) {
        whole = false;
        reader->at += 2;
        while (isdigit((unsigned char)*reader->at))
            reader->at++;
    }
    struct br_slice text = {(const uint8_t *)begin, (size_t)(reader->at - begin)};
    struct br_value value = {.type = BR_NUMERIC};
    if (!br_numeric_parse(text, &value.numeric))
        return fail(reader, "bad number");
    int64_t small;
    if (whole && text.len <= 20 && br_numeric_to_int64(value.numeric, &small)) {
        value.type = small == (int32_t)small ? BR_INTEGER : BR_BIGINT;
        if (value.type == BR_INTEGER)
            value.integer = (int32_t)small;
        else
            value.bigint = small;
    }
    return leaf(reader, value);
}

static bool read_string(struct expression_reader *reader, struct br_slice *ret) {
    skip_space(reader);
    bool escapes = (*reader->at == 'E' || *reader->at == 'e') && reader->at[1] == '\'';
    reader->at += escapes;
    if (*reader->at != '\'')
        return false;
    char *text = br_arena_alloc(reader->arena, strlen(reader->at)), *out = text;
    for (reader->at++;; reader->at++) {
        if (*reader->at == '\0')
            return fail(reader, "open string") != NULL;
        if (*reader->at == '\'' && *++reader->at != '\'')
            break;
        if (escapes && *reader->at == '\\') {
            reader->at++;
            *out++ = (char)(*reader->at == 'n' ? '\n' : *reader->at == 't' ? '\t' : *reader->at);
            continue;
        }
        *out++ = *reader->at;
    }
    *ret = (struct br_slice){(const uint8_t *)text, (size_t)(out - text)};
    return true;
}

// 'text'::type and type 'text' are literals of the type; failing to read them is the case's error.
static struct br_expr *typed_literal(struct expression_reader *reader, struct br_slice text, enum br_type type) {
    struct br_value value;
    enum br_status status = br_value_parse(type, text, reader->arena, &value, reader->error);
    return status == BR_OK ? leaf(reader, value) : done(reader, status, NULL);
}

static bool read_type(struct expression_reader *reader, enum br_type *ret_type) {
    static const char *const LONG_NAMES[] = {"double precision", "timestamp with time zone"};
    skip_space(reader);
    for (size_t i = 0; i < 2; i++)
        if (take_word(reader, LONG_NAMES[i]))
            return br_type_from_name(i == 0 ? "float8" : "timestamptz", ret_type);
    char name[32];
    size_t len = 0;
    while (is_word_char(reader->at[len]) && len + 1 < sizeof name)
        len++;
    memcpy(name, reader->at, len);
    name[len] = '\0';
    if (!br_type_from_name(name, ret_type))
        return false;
    reader->at += len;
    return true;
}

static struct br_expr *call(struct expression_reader *reader, const char *name, struct br_expr **arguments,
                            uint32_t count) {
    struct br_expr *expr = NULL;
    for (uint32_t i = 0; i < count; i++)
        if (arguments[i] == NULL)
            return NULL;
    enum br_status status = br_expr_call(reader->arena, name, arguments, count, -1, &expr, reader->error);
    return done(reader, status, expr);
}

// Before the binder casts a literal it has a type: so do numeric(p,s) and varchar(n).
static struct br_expr *cast_to(struct expression_reader *reader, struct br_expr *expr) {
    enum br_type type;
    if (expr == NULL)
        return NULL;
    if (!read_type(reader, &type))
        return fail(reader, "no type");
    if (br_expr_cast(reader->arena, expr, type, BR_CAST_EXPLICIT, &expr, reader->error) != BR_OK)
        return done(reader, BR_DATA, NULL);
    if (!take(reader, "("))
        return expr;
    struct br_expr *arguments[3] = {expr};
    uint32_t count = 1;
    do {
        struct br_value value = {.type = BR_INTEGER,
                                 .integer = (int32_t)strtol(reader->at, (char **)(void *)&reader->at, 10)};
        arguments[count++] = br_expr_const(reader->arena, value, -1);
    } while (count < 3 && take(reader, ","));
    if (type == BR_NUMERIC && count == 2)
        arguments[count++] = br_expr_const(reader->arena, (struct br_value){.type = BR_INTEGER}, -1);
    if (!take(reader, ")"))
        return fail(reader, "no )");
    return call(reader, type == BR_NUMERIC ? "numeric_typmod" : "varchar_typmod", arguments, count);
}

// --- forms with words
static struct br_expr *read_case(struct expression_reader *reader) {
    // PostgreSQL looks at the ELSE arm first when it seeks the common type: values[0].
    struct br_expr *arms[ARGUMENTS_MAX], *values[ARGUMENTS_MAX];
    uint32_t count = 0, value_count = 1;
    while (take_word(reader, "when")) {
        struct br_expr *when = read_or(reader);
        if (when == NULL || !take_word(reader, "then"))
            return fail(reader, "no THEN");
        if (br_expr_cast(reader->arena, when, BR_BOOLEAN, BR_CAST_IMPLICIT, &when, reader->error) != BR_OK)
            return done(reader, BR_DATA, NULL);
        arms[count++] = when;
        arms[count] = values[value_count++] = read_or(reader);
        if (arms[count++] == NULL)
            return NULL;
    }
    if (take_word(reader, "else"))
        values[0] = read_or(reader);
    else
        values[0] = br_expr_const(reader->arena, (struct br_value){.type = BR_UNKNOWN, .is_null = true}, -1);
    if (values[0] == NULL || !take_word(reader, "end"))
        return fail(reader, "no END");
    enum br_type type;
    if (br_expr_unify(reader->arena, values, value_count, "CASE", &type, reader->error) != BR_OK)
        return done(reader, BR_DATA, NULL);
    for (uint32_t i = 1; i < value_count; i++)
        arms[2 * i - 1] = values[i];
    arms[count] = values[0];
    return br_expr_of(reader->arena, BR_EXPR_CASE, type, arms, count + 1, -1);
}

static struct br_expr *read_extract(struct expression_reader *reader) {
    char name[32];
    size_t len = 0;
    struct br_slice text;
    skip_space(reader);
    if (!read_string(reader, &text)) {
        while (is_word_char(reader->at[len]) && len + 1 < sizeof name)
            len++;
        text = (struct br_slice){(const uint8_t *)reader->at, len};
        reader->at += len;
    }
    struct br_value field = {.type = BR_TEXT, .bytes = text};
    if (!take_word(reader, "from"))
        return fail(reader, "no FROM");
    struct br_expr *arguments[2] = {br_expr_const(reader->arena, field, -1), read_or(reader)};
    return take(reader, ")") ? call(reader, "extract", arguments, 2) : fail(reader, "no )");
}

static struct br_expr *read_call(struct expression_reader *reader, const char *name) {
    struct br_expr *arguments[ARGUMENTS_MAX], *expr;
    uint32_t count = 0;
    if (strcmp(name, "extract") == 0)
        return read_extract(reader);
    while (!take(reader, ")")) {
        if (count > 0 && !take(reader, ",") && !take_word(reader, "from") && !take_word(reader, "for") &&
            !take_word(reader, "placing") && !take_word(reader, "as"))
            return fail(reader, "no ,");
        if (strcmp(name, "cast") == 0 && count == 1) {
            expr = cast_to(reader, arguments[0]);
            return take(reader, ")") ? expr : fail(reader, "no )");
        }
        if (count == ARGUMENTS_MAX || (arguments[count++] = read_or(reader)) == NULL)
            return NULL;
    }
    if (strcmp(name, "coalesce") == 0) {
        enum br_type type;
        if (br_expr_unify(reader->arena, arguments, count, "COALESCE", &type, reader->error) != BR_OK)
            return done(reader, BR_DATA, NULL);
        return br_expr_of(reader->arena, BR_EXPR_COALESCE, type, arguments, count, -1);
    }
    return call(reader, name, arguments, count);
}

static struct br_expr *read_word(struct expression_reader *reader) {
    struct br_slice text;
    enum br_type type;
    const char *before = reader->at;
    if (take_word(reader, "true") || take_word(reader, "false"))
        return leaf(reader, (struct br_value){.type = BR_BOOLEAN, .boolean = tolower(*before) == 't'});
    if (take_word(reader, "null"))
        return br_expr_const(reader->arena, (struct br_value){.type = BR_UNKNOWN, .is_null = true}, -1);
    if (take_word(reader, "case"))
        return read_case(reader);
    if (read_type(reader, &type)) {
        skip_space(reader);
        if (read_string(reader, &text))
            return typed_literal(reader, text, type);
        reader->at = before;
    }
    char name[64];
    size_t len = 0;
    while (is_word_char(reader->at[len]) && len + 1 < sizeof name) {
        name[len] = (char)tolower(reader->at[len]);
        len++;
    }
    name[len] = '\0';
    reader->at += len;
    return take(reader, "(") ? read_call(reader, name) : fail(reader, "unknown word");
}

static struct br_expr *read_primary(struct expression_reader *reader) {
    struct br_slice text;
    struct br_expr *expr;
    skip_space(reader);
    if (take(reader, "(")) {
        expr = read_or(reader);
        if (expr != NULL && !take(reader, ")"))
            return fail(reader, "no )");
    } else if (isdigit((unsigned char)*reader->at) || *reader->at == '.') {
        expr = read_number(reader);
    } else if (read_string(reader, &text)) {
        const char *before = reader->at;
        enum br_type type;
        if (take(reader, "::") && read_type(reader, &type) && *reader->at != '(') {
            expr = typed_literal(reader, text, type);
        } else {
            reader->at = before;
            expr = leaf(reader, (struct br_value){.type = BR_UNKNOWN, .bytes = text});
        }
    } else {
        expr = read_word(reader);
    }
    while (expr != NULL && take(reader, "::"))
        expr = cast_to(reader, expr);
    return expr;
}

// --- operators, from the tightest: unary minus, ^, * / %, + -, all others, LIKE, comparisons, IS, NOT, AND, OR
static struct br_expr *read_unary(struct expression_reader *reader) {
    skip_space(reader);
    if (strchr("-+@~", *reader->at) != NULL && *reader->at != '\0') {
        // A minus before a bare number is of the number, as in PostgreSQL's grammar.
        if (*reader->at == '-' && isdigit((unsigned char)reader->at[1])) {
            const char *before = reader->at;
            uint32_t column_count = reader->column_count;
            struct br_expr *number = read_number(reader);
            if (number == NULL || !peek(reader, "::"))
                return number;
            reader->at = before;
            reader->column_count = column_count;
        }
        char name[2] = {*reader->at++, '\0'};
        struct br_expr *operand = read_unary(reader);
        return operand == NULL ? NULL : call(reader, name, &operand, 1);
    }
    return read_primary(reader);
}

static const char *const LEVELS[4][20] = {
    {"^"},
    {"*", "/", "%"},
    {"+", "-"},
    {"||", "!~~*", "~~*", "!~~", "~~", "!~*", "!~", "~*", "~", "<<", ">>", "&", "|", "#", "^@"},
};

static const char *take_operator(struct expression_reader *reader, int level) {
    skip_space(reader);
    for (int i = 0; LEVELS[level][i] != NULL; i++) {
        const char *symbol = LEVELS[level][i];
        size_t len = strlen(symbol);
        // An operator goes on as long as operator characters do ("^@" is not "^"), but for a sign after it.
        if (strncmp(reader->at, symbol, len) == 0 &&
            (reader->at[len] == '\0' || strchr("*/%<>=~!@#&|^", reader->at[len]) == NULL)) {
            reader->at += len;
            return symbol;
        }
    }
    return NULL;
}

static struct br_expr *read_operator(struct expression_reader *reader, int level) {
    struct br_expr *left = level == 0 ? read_unary(reader) : read_operator(reader, level - 1);
    const char *symbol;
    while (left != NULL && (symbol = take_operator(reader, level)) != NULL) {
        struct br_expr *right = level == 0 ? read_unary(reader) : read_operator(reader, level - 1);
        left = call(reader, symbol, (struct br_expr *[]){left, right}, 2);
    }
    return left;
}

static struct br_expr *read_like(struct expression_reader *reader) {
    struct br_expr *left = read_operator(reader, 3);
    const char *before = reader->at;
    bool negated = take_word(reader, "not");
    bool fold = peek_word(reader, "ilike");
    if (left == NULL || !(take_word(reader, "like") || take_word(reader, "ilike"))) {
        reader->at = before;
        return left;
    }
    struct br_expr *pattern = read_operator(reader, 3);
    if (take_word(reader, "escape"))
        pattern = call(reader, "like_escape", (struct br_expr *[]){pattern, read_operator(reader, 3)}, 2);
    const char *name = fold ? (negated ? "!~~*" : "~~*") : (negated ? "!~~" : "~~");
    return call(reader, name, (struct br_expr *[]){left, pattern}, 2);
}

static struct br_expr *read_comparison(struct expression_reader *reader) {
    static const char *const SYMBOLS[] = {"<>", "!=", "<=", ">=", "=", "<", ">"};
    struct br_expr *left = read_like(reader);
    for (size_t i = 0; left != NULL && i < sizeof SYMBOLS / sizeof SYMBOLS[0]; i++)
        if (take(reader, SYMBOLS[i]))
            return call(reader, SYMBOLS[i], (struct br_expr *[]){left, read_like(reader)}, 2);
    return left;
}

static struct br_expr *of_booleans(struct expression_reader *reader, enum br_expr_kind kind, struct br_expr **arguments,
                                   uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (arguments[i] == NULL)
            return NULL;
        if (br_expr_cast(reader->arena, arguments[i], BR_BOOLEAN, BR_CAST_IMPLICIT, &arguments[i], reader->error) !=
            BR_OK)
            return done(reader, BR_DATA, NULL);
    }
    return br_expr_of(reader->arena, kind, BR_BOOLEAN, arguments, count, -1);
}

static struct br_expr *read_is(struct expression_reader *reader) {
    struct br_expr *left = read_comparison(reader), *expr;
    if (left == NULL || !take_word(reader, "is"))
        return left;
    bool negated = take_word(reader, "not");
    if (take_word(reader, "distinct")) {
        struct br_expr *sides[2] = {left, take_word(reader, "from") ? read_comparison(reader) : NULL};
        enum br_type type;
        if (sides[1] == NULL || br_expr_unify(reader->arena, sides, 2, "IS DISTINCT", &type, reader->error) != BR_OK)
            return done(reader, BR_DATA, NULL);
        expr = br_expr_of(reader->arena, BR_EXPR_IS_DISTINCT, BR_BOOLEAN, sides, 2, -1);
    } else if (take_word(reader, "null")) {
        return br_expr_of(reader->arena, negated ? BR_EXPR_IS_NOT_NULL : BR_EXPR_IS_NULL, BR_BOOLEAN, &left, 1, -1);
    } else if (take_word(reader, "unknown")) {
        return br_expr_of(reader->arena, negated ? BR_EXPR_IS_NOT_NULL : BR_EXPR_IS_NULL, BR_BOOLEAN, &left, 1, -1);
    } else if (take_word(reader, "true")) {
        expr = of_booleans(reader, BR_EXPR_IS_TRUE, &left, 1);
    } else if (take_word(reader, "false")) {
        expr = of_booleans(reader, BR_EXPR_IS_FALSE, &left, 1);
    } else {
        return fail(reader, "IS what?");
    }
    return negated && expr != NULL ? of_booleans(reader, BR_EXPR_NOT, &expr, 1) : expr;
}

static struct br_expr *read_not(struct expression_reader *reader) {
    if (!take_word(reader, "not"))
        return read_is(reader);
    struct br_expr *operand = read_not(reader);
    return of_booleans(reader, BR_EXPR_NOT, &operand, 1);
}

static struct br_expr *read_and(struct expression_reader *reader) {
    struct br_expr *left = read_not(reader);
    while (left != NULL && take_word(reader, "and")) {
        struct br_expr *sides[2] = {left, read_not(reader)};
        left = of_booleans(reader, BR_EXPR_AND, sides, 2);
    }
    return left;
}

static struct br_expr *read_or(struct expression_reader *reader) {
    struct br_expr *left = read_and(reader);
    while (left != NULL && take_word(reader, "or")) {
        struct br_expr *sides[2] = {left, read_and(reader)};
        left = of_booleans(reader, BR_EXPR_OR, sides, 2);
    }
    return left;
}

struct br_expr *read_expression(struct expression_reader *reader, const char *text) {
    reader->at = text;
    struct br_expr *expr = read_or(reader);
    skip_space(reader);
    if (expr != NULL && *reader->at != '\0')
        return fail(reader, "something left over");
    return expr;
}
