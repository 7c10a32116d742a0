// SPDX-License-Identifier: Apache-2.0
// Bound expressions and their vectorised evaluation.
//
// An expression is an immutable tree over the columns of one batch, made while binding (arena of the plan). Types are
// resolved: implicit casts are calls of their own. Evaluation gives a column; a row whose evaluation fails (overflow,
// division by zero, bad cast) is marked in the evaluation's error list and its result is NULL; it never stops the
// batch. CASE, COALESCE, AND, OR and NULLIF evaluate their arms only for the rows that need them, so `CASE WHEN b <> 0
// THEN a / b END` never fails, and `b <> 0 AND a / b > 1` neither. Evaluation is a pure function of the row, `now`, and
// nothing else. PostgreSQL is the oracle.
#ifndef BR_PROCESSOR_EXPR_EXPR_H
#define BR_PROCESSOR_EXPR_EXPR_H

#include "base/time.h"
#include "processor/expr/batch.h"

struct br_enum_type; // codec/descriptors.h
struct br_expr;
struct br_function; // a row of the function table (functions.c); opaque outside expr/

enum br_expr_kind {
    BR_EXPR_COLUMN,
    BR_EXPR_CONST,
    BR_EXPR_CALL, // strict or not, by the function
    BR_EXPR_AND,  // arguments: 2 or more booleans
    BR_EXPR_OR,
    BR_EXPR_NOT,
    BR_EXPR_IS_NULL,
    BR_EXPR_IS_NOT_NULL,
    BR_EXPR_IS_TRUE, // IS [NOT] TRUE / FALSE / UNKNOWN, and IS [NOT] DISTINCT FROM, are of these
    BR_EXPR_IS_FALSE,
    BR_EXPR_IS_DISTINCT,
    BR_EXPR_CASE, // when, then, when, then, …, else (always there; a typed NULL constant when not written); searched
                  // form only
    BR_EXPR_COALESCE,
};

struct br_expr {
    enum br_expr_kind kind;
    enum br_type type;
    int location;                       // byte offset in the SQL text, -1 when there is none
    uint32_t column;                    // COLUMN
    const struct br_enum_type *labels;  // COLUMN: of the enum that it is read from, while binding; NULL: none
    struct br_value value;              // CONST
    const struct br_function *function; // CALL
    struct br_expr **arguments;
    uint32_t argument_count;
    uint32_t size, depth; // of the tree, itself included: expressions may share parts, which count each time
    void *prepared; // CALL: per-expression data made at bind time (a compiled regular expression, a LIKE pattern);
                    // owned by the arena's owner
};

// --- making (all in the arena)
struct br_expr *br_expr_column(struct br_arena *arena, uint32_t column, enum br_type type, int location);
struct br_expr *br_expr_const(struct br_arena *arena, struct br_value value,
                              int location); // a bare string literal has type BR_UNKNOWN and its text in bytes
struct br_expr *br_expr_of(struct br_arena *arena, enum br_expr_kind kind, enum br_type type,
                           struct br_expr **arguments, uint32_t count, int location);
// Resolves a function by name and argument types with PostgreSQL's rules (exact match, else implicit casts, unknown
// literals take the other side's type) and folds constants when all arguments are. Operators go by their symbol: "+",
// "||", "=", "~~" (LIKE), "~~*" (ILIKE), "!~~", "~",
// "~*", "!~", … BR_DATA with PostgreSQL's wording ("function foo(text) does not exist", "operator does not exist: text
// + integer") and the nearest name or a cast as a hint after "\nhint: ". A constant that fails (1/0) is BR_DATA too.
enum br_status br_expr_call(struct br_arena *arena, const char *name, struct br_expr **arguments, uint32_t count,
                            int location, struct br_expr **ret_expr, struct br_error *error) BR_MUST_CHECK;
// A call for a plan that an older build made, where br_expr_call has failed: of a function over a regular expression
// whose constant pattern this build doesn't take. It isn't folded; rows fail. false: it isn't such a call.
bool br_expr_call_as_planned(struct br_arena *arena, const char *name, struct br_expr **arguments, uint32_t count,
                             int location, struct br_expr **ret_expr);
// Is it such a call? Is it a call of a function over a regular expression that may give other than it gave in version
// 0.1.0?
bool br_expr_regex_is_refused(const struct br_expr *expr);
bool br_expr_regex_differs(const struct br_expr *expr);
// A cast. explicit_cast false: only what PostgreSQL casts implicitly (or by assignment when assignment is true).
enum br_cast_context { BR_CAST_IMPLICIT, BR_CAST_ASSIGNMENT, BR_CAST_EXPLICIT };
enum br_status br_expr_cast(struct br_arena *arena, struct br_expr *expr, enum br_type type,
                            enum br_cast_context context, struct br_expr **ret_expr, struct br_error *error)
    BR_MUST_CHECK;
// The common type of CASE arms, COALESCE, NULLIF, IN lists (PostgreSQL's UNION/CASE rules); every expression is then
// cast to it in place.
enum br_status br_expr_unify(struct br_arena *arena, struct br_expr **exprs, uint32_t count, const char *what,
                             enum br_type *ret_type, struct br_error *error) BR_MUST_CHECK;
// Is it `column = constant`, or the other way round? Both are of one type, and the constant isn't NULL.
bool br_expr_is_column_equality(const struct br_expr *expr, uint32_t *ret_column, const struct br_value **ret_value);
// Does it call now() or current_date?
bool br_expr_reads_clock(const struct br_expr *expr);
// What the clock does in it. columns[c]: the values of column c depend on it; NULL: no column's do. All NULL when
// nothing depends on it.
struct br_clock_use {
    const struct br_expr *by;      // the call, or the column, that the value depends on it by
    const struct br_expr *decides; // a condition or choice that depends on it (a comparison, greatest, nullif …)
};
struct br_clock_use br_expr_clock_use(const struct br_expr *expr, const bool *columns);
// Does it only compare its arguments (=, <>, <, …, IS [NOT] NULL, IS DISTINCT)? It then takes equal values for one,
// however they are written (1.0 and 1.00).
bool br_expr_compares(const struct br_expr *expr);
// Is there a row that it could fail on? True when that isn't known.
bool br_expr_may_fail(const struct br_expr *expr);
bool br_expr_equal(const struct br_expr *a, const struct br_expr *b);
// Is it a call of a function of doubles that is correctly rounded now and was not before semantics 1 (exp, ln, power,
// sin …)? Not of what stands in its arguments.
bool br_expr_is_elementary(const struct br_expr *expr);
// Sets size and depth from those of the arguments, after these were changed.
void br_expr_measure(struct br_expr *expr);
// A copy with columns renumbered: column c becomes map[c].
struct br_expr *br_expr_remap(struct br_arena *arena, const struct br_expr *expr, const uint32_t *map);
// Columns read: sets used[c].
void br_expr_mark_columns(const struct br_expr *expr, bool *used);
// SQL-like text for explain: (amount * 2), lower(name). names[c] is the column's.
void br_expr_print(const struct br_expr *expr, const char *const *names, struct br_buffer *out);

// --- evaluation
struct br_row_error {
    uint32_t row;
    const char *message; // in the evaluation's arena: "division by zero", "integer out of range"
};
// Looks on while a query runs: in every batch, and while expressions make texts. Anything but BR_OK ends the query.
// scratch_bytes: what the step under way holds.
struct br_watch {
    enum br_status (*look)(void *context, size_t scratch_bytes, struct br_error *error);
    void *context;
};
struct br_eval {
    struct br_arena *arena;      // results live here
    struct br_wall_time now;     // the epoch's clock reading
    struct br_row_error *errors; // by first occurrence; at most one per row
    uint32_t error_count;
    uint64_t *failed;             // bitmap of the rows in errors; NULL when there are none
    const struct br_watch *watch; // NULL: nobody looks on
    struct br_error *ended;       // the watch has ended it, with this; NULL: it hasn't
};
// Rows of `active` only (bitmap; NULL: all). Result column has batch->row_count values; rows outside active are
// undefined. May share the batch's arrays. Fails only with BR_FATAL (internal), or with what its watch says; errors of
// rows go to eval.
enum br_status br_expr_eval(const struct br_expr *expr, const struct br_batch *batch, const uint64_t *active,
                            struct br_eval *eval, struct br_column *ret_column, struct br_error *error) BR_MUST_CHECK;
// Marks the rows whose timestamptz can't be a column's value (BR_COLUMN_TIME_MIN, …_END) as failed. For what becomes a
// column of a node: what follows may rely on it, and so may the encoder.
void br_eval_bound_times(struct br_eval *eval, const struct br_column *column, uint32_t row_count);
// The rows for which a boolean expression is TRUE and did not fail, ascending, into ret_rows[BR_BATCH_ROWS]; the count
// is returned through ret_count.
enum br_status br_expr_filter(const struct br_expr *expr, const struct br_batch *batch, struct br_eval *eval,
                              uint32_t *ret_rows, uint32_t *ret_count, struct br_error *error) BR_MUST_CHECK;
// What docs/sql.md's list and `braid check`'s hints are made from: calls each(name, arguments, result) for every
// function and operator.
void br_function_each(void (*each)(void *context, const char *name, const char *arguments, const char *result),
                      void *context);

#endif
