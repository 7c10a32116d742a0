// SPDX-License-Identifier: Apache-2.0
// A small reader of SQL expressions for these tests: enough of the grammar to write a case as one would in psql. What
// it makes goes through br_expr_call, br_expr_cast and the like, as the binder's does.
#ifndef BR_TESTS_EXPRESSION_READER_H
#define BR_TESTS_EXPRESSION_READER_H

#include "processor/expr/expr.h"

#define READER_COLUMNS_MAX 64

struct expression_reader {
    struct br_arena *arena;
    struct br_error *error;
    const char *at;
    // Typed literals become columns; bare strings become text (columns or constants) when text_columns.
    bool columns, text_columns;
    // Every literal that has a type is its NULL.
    bool nulls;
    struct br_value values[READER_COLUMNS_MAX]; // of the columns, in order
    uint32_t column_count;
    bool failed; // error says why
};
// NULL when it failed.
struct br_expr *read_expression(struct expression_reader *reader, const char *text);

#endif
