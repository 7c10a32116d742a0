// SPDX-License-Identifier: Apache-2.0
// Innards of the SQL front end: the binder that goes through one file (or one query), its symbols and scopes.
//
// Everything is allocated in the pipeline's (or query's) arena, the parse tree too, so that nothing dangles. Locations
// in a parse tree are relative to the text that was parsed; sql_at makes them offsets in the file. All functions
// that take a `location` take an offset in the file.
//
// An error is reported where it is found and NULL (or false) goes up; callers go on with the siblings, so that all
// errors are found. A name whose statement failed stays as a poisoned symbol: what depends on it is silent.
#ifndef BR_PROCESSOR_SQL_SQL_INTERNAL_H
#define BR_PROCESSOR_SQL_SQL_INTERNAL_H

#include "processor/codec/descriptors.h"
#include "processor/sql/sql.h"

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#define SQL_FILE_BYTES_MAX (1024 * 1024)
#define SQL_STATEMENT_BYTES_MAX (256 * 1024)          // of one statement; bounds the depth of its tree
#define SQL_TREE_DEPTH_MAX 500                        // nested expressions
#define SQL_NODES_MAX 8000                            // plan nodes made for one file: plain views can multiply
#define SQL_TOKENS_MAX 200000                         // of one file: a token is about 800 bytes of tree
#define SQL_ERRORS_MAX 100                            // beyond that nothing is looked at any more
#define SQL_HOP_WINDOWS_MAX 1000                      // windows one row may fall into
#define SQL_WINDOW_US_MAX INT64_C(315537897600000000) // the years 1 to 9999
#define SQL_AGGREGATE_COLUMN (UINT32_C(1) << 30)      // columns from here on stand for aggregates while binding

// --- the parse tree (parse.c)
struct sql_statement {
    PgQuery__Node *node;
    int base;       // offset in the parsed text to which the tree's locations are relative
    int begin, end; // of the statement in the parsed text, without leading comments and the semicolon
};
struct sql_statements {
    struct sql_statement *list;
    uint32_t count;
};

// --- symbols
enum sql_symbol_kind { SQL_TABLE, SQL_TYPE, SQL_VIEW, SQL_PLAIN_VIEW };
struct sql_symbol {
    enum sql_symbol_kind kind;
    const char *name;
    bool poisoned;
    struct br_table *table;
    struct br_view *view;
    struct br_row_type *row_type; // of tables and types (named by SQL or by message)
    uint32_t visible_count;       // columns that * stands for; nested ones come behind
    PgQuery__SelectStmt *select;  // plain views and CTEs: planned into their users
    const char **names;           // column names given to it; NULL
    uint32_t name_count;
    struct sql_symbol *select_ctes; // CTEs that its SELECT may see
    int base;                       // locations of its tree
    int location;                   // of its name
    struct br_node *source;         // tables: the node that all views share
    const char *comment;            // plain views
    struct sql_symbol *next;
};
struct sql_parameter {
    const char *name;             // NULL: by number only
    const struct sql_symbol *row; // composite
    enum br_type type;            // scalar
    uint32_t first_column;        // in the body's columns: composite parameters take one for each field
};
struct sql_function {
    const char *name;
    bool poisoned, strict;
    struct sql_parameter *parameters;
    uint32_t parameter_count;
    const struct sql_symbol *returns_row; // composite result
    enum br_type returns;                 // scalar result
    struct br_expr **body;                // over the parameters' columns; one, or one per column of the row
    uint32_t body_count;
    struct sql_function *next;
};
struct sql_cast {
    const struct sql_symbol *from, *to;
    struct sql_function *function;
    struct sql_cast *next;
};

struct sql_binder {
    struct br_arena *arena;
    struct br_diagnostics *diagnostics;
    bool muted; // binding again what was bound before
    const char *text, *path;
    const char *archive_path;   // SET braid.archive; NULL
    struct br_field_lock *lock; // of SET braid.fields; NULL: numbers are those of the columns' order
    bool *lock_used;            // by message of the lock: the file has it
    int lock_location;          // of the SET
    int base;                   // of the locations of the tree at hand
    bool fixed;                 // all of them are at base (a function body that doesn't stand verbatim in the file)
    int statement;              // where the statement at hand begins
    struct br_pipeline *pipeline;
    struct br_descriptors *descriptors;
    struct sql_symbol *symbols, *messages; // SQL names; rows of protobuf messages named directly
    struct sql_symbol *ctes;               // innermost first
    struct sql_function *functions;
    struct sql_cast *casts;
    const char **paths; // dotted names in the file, which may mean nested fields
    uint32_t path_count;
    struct br_view *view;                  // being bound
    const struct br_pipeline *queried;     // ad-hoc queries: whose views are read
    const struct br_plan_changes *changes; // NULL: none
    bool history;                          // a SELECT over tables and views from their beginning to a fixed end
    uint32_t node_count, depth, column_count;
    bool exhausted; // limits.c
    uint32_t rules; // it binds by: BR_BINDING_RULES, or those of an older build
};

// --- limits.c: what a file may make of itself. Beyond a limit the binder is exhausted: nothing more is bound, and what
// fails then says nothing.
static inline bool sql_is_exhausted(const struct sql_binder *binder) {
    return binder->exhausted || binder->diagnostics->error_count >= SQL_ERRORS_MAX;
}
// Reports the first limit only. location: an offset in the file.
void sql_exhaust(struct sql_binder *binder, int location, const char *hint, const char *format, ...) BR_PRINTF(4, 5);
// False, and exhausted, when the plan has grown too large.
bool sql_check_memory(struct sql_binder *binder, int location);
bool sql_check_statements(struct sql_binder *binder, size_t count, int location);
bool sql_check_columns(struct sql_binder *binder, size_t count, int location, const char *of);
bool sql_check_all_columns(struct sql_binder *binder, uint32_t count, int location);
// An expression with everything that functions and views have put into it; NULL when it is too large.
struct br_expr *sql_check_expr(struct sql_binder *binder, struct br_expr *expr, int location);
bool sql_expr_fits(const struct sql_binder *binder, const struct br_expr *expr);
void sql_check_depth(struct sql_binder *binder, const struct br_node *node);

// --- parse.c
// Reports syntax errors and gives the statements that parse. base, fixed: as in sql_binder.
bool sql_parse(struct sql_binder *binder, const char *text, int base, bool fixed, struct sql_statements *ret);
int sql_skip_blank(const char *text, int offset, int end); // past white space and comments

// --- tree.c
bool sql_too_deep(const void *message);
const ProtobufCMessage *sql_message(const PgQuery__Node *node); // what a Node holds; NULL when it is empty
int sql_location(const void *message);                          // first location in the tree, -1: none
int sql_at(const struct sql_binder *binder, int location);      // offset in the file
static inline int sql_at_node(const struct sql_binder *binder, const PgQuery__Node *node) {
    return sql_at(binder, node == NULL ? -1 : sql_location(node));
}
// Reports every field of a message that is set and not named in `handled` (separated by blanks). True when there was
// none.
bool sql_only(struct sql_binder *binder, const void *message, const char *handled);
bool sql_unsupported_node(struct sql_binder *binder, const PgQuery__Node *node); // always false
const char *sql_string(const PgQuery__Node *node); // the text of a String node; NULL when it is another
bool sql_is_string(const PgQuery__Node *node, const char *text);
const char *sql_dotted(struct sql_binder *binder, PgQuery__Node **names, size_t count); // "a.b.c"
void sql_collect_paths(struct sql_binder *binder, const void *message);                 // dotted names below

// --- diagnostics.c
void sql_error(struct sql_binder *binder, int location, const char *hint, const char *format, ...) BR_PRINTF(4, 5);
void sql_warning(struct sql_binder *binder, int location, const char *hint, const char *format, ...) BR_PRINTF(4, 5);
void sql_error_of(struct sql_binder *binder, int location, const struct br_error *error); // "…\nhint: …"
void sql_diagnostics_sort(struct br_diagnostics *diagnostics);
// The nearest of names by edit distance, as "did you mean "x"?"; NULL when none is near.
struct sql_nearest {
    const char *wanted, *best;
    uint32_t distance;
};
void sql_nearest_try(struct sql_nearest *nearest, const char *candidate);
const char *sql_nearest_hint(struct sql_binder *binder, const struct sql_nearest *nearest);

// --- scopes and expressions (scope.c, bind_expr.c)
struct sql_column {
    const char *relation; // alias; NULL: none
    const char *name;
    enum br_type type;
    uint32_t column;                   // of the input
    const struct br_enum_type *labels; // of the enum that the text is read from; NULL: none
    bool hidden;                       // a nested field: not in *
    bool qualified;                    // merged by USING: only by alias.name
};
struct sql_scope {
    struct sql_column *columns;
    uint32_t count, capacity;
    const char **relations;               // aliases
    const struct br_row_type **row_types; // of those that are tables, for errors; NULL of others
    uint32_t relation_count;
    bool poisoned; // some relation failed: unknown columns are silent
};
struct sql_aggregate_call {
    struct br_aggregate aggregate;
    struct br_expr *argument, *filter; // over the input; NULL
};
struct sql_aggregates {
    struct sql_aggregate_call *list;
    uint32_t count, capacity;
};
struct sql_expr_context {
    struct sql_binder *binder;
    const struct sql_scope *scope;
    const char *clause;                // "WHERE", for errors
    struct sql_aggregates *aggregates; // NULL: no aggregates here
    bool in_aggregate;
    const struct sql_parameter *parameters; // of the function whose body this is
    uint32_t parameter_count;
};
void sql_scope_add(struct sql_binder *binder, struct sql_scope *scope, struct sql_column column);
// row_type: of a table, or of what has fields of a message; NULL: none.
void sql_scope_add_relation(struct sql_binder *binder, struct sql_scope *scope, const char *alias,
                            const struct br_row_type *row_type);
// What a field of the row's message is that can't be a column ("a repeated string"), and what to do; NULL when there is
// no such field.
const char *sql_unread(struct sql_binder *binder, const struct br_row_type *row_type, const char *path,
                       const char **ret_hint);
// Notes which fields of its message a row's * leaves out.
void sql_note_unread(struct sql_binder *binder, const struct br_row_type *row_type, int location);
// NULL after an error.
struct br_expr *sql_resolve(struct sql_expr_context *ctx, const char *const *names, uint32_t count, int location);
struct br_expr *sql_bind(struct sql_expr_context *ctx, const PgQuery__Node *node);
struct br_expr *sql_bind_typed(struct sql_expr_context *ctx, const PgQuery__Node *node); // literals become text
struct br_expr *sql_bind_as(struct sql_expr_context *ctx, const PgQuery__Node *node, enum br_type type,
                            enum br_cast_context cast);
struct br_expr *sql_bind_boolean(struct sql_expr_context *ctx, const PgQuery__Node *node); // "argument of WHERE must …"
struct br_expr *sql_call(struct sql_binder *binder, const char *name, struct br_expr **arguments, uint32_t count,
                         int location);
struct br_expr *sql_cast_to(struct sql_binder *binder, struct br_expr *expr, enum br_type type,
                            enum br_cast_context context, int location);
struct br_expr *sql_bind_function(struct sql_expr_context *ctx, const PgQuery__FuncCall *call); // bind_call.c
struct br_expr *sql_bind_operator(struct sql_expr_context *ctx, const PgQuery__AExpr *expr);    // bind_operator.c
struct br_expr *sql_bind_case(struct sql_expr_context *ctx, const PgQuery__CaseExpr *expr);
struct br_expr *sql_bind_min_max(struct sql_expr_context *ctx, const PgQuery__MinMaxExpr *expr);
// The relation by which the body of a function knows a row parameter: its name, else $1.
const char *sql_parameter_alias(struct sql_binder *binder, const struct sql_parameter *parameter, uint32_t number);
bool sql_is_aggregate(const char *name);
// BR_UNKNOWN after an error.
enum br_type sql_bind_type(struct sql_binder *binder, const PgQuery__TypeName *type_name);
// A copy in which column c is exprs[c].
struct br_expr *sql_substitute(struct br_arena *arena, const struct br_expr *expr, struct br_expr *const *exprs);
const char *sql_expr_name(struct sql_binder *binder, const PgQuery__Node *node); // PostgreSQL's name of a column

// --- options.c
enum sql_option_kind { SQL_OPTION_TEXT, SQL_OPTION_BOOLEAN, SQL_OPTION_INTERVAL, SQL_OPTION_CHOICE, SQL_OPTION_BYTES };
struct sql_option {
    const char *name;
    enum sql_option_kind kind;
    const char *choices; // separated by blanks
    bool given;
    int location;
    const char *text; // TEXT
    int64_t number;   // BOOLEAN, INTERVAL (us), CHOICE (index), BYTES
};
bool sql_options(struct sql_binder *binder, PgQuery__Node **elements, size_t count, struct sql_option *options,
                 uint32_t option_count, const char *of);
// The folder that an archive's URL names; NULL after an error.
const char *sql_archive_path(struct sql_binder *binder, const char *url, int location);

// --- bind_table.c, bind_type.c, bind_function.c, bind_view.c
struct sql_symbol *sql_find_symbol(const struct sql_binder *binder, const char *name);
// A new symbol; an error and NULL when the name is taken.
struct sql_symbol *sql_add_symbol(struct sql_binder *binder, enum sql_symbol_kind kind, const char *name, int location);
const char *sql_relation_name(struct sql_binder *binder, const PgQuery__RangeVar *range); // NULL after an error
void sql_bind_table(struct sql_binder *binder, const PgQuery__CreateStmt *statement);
void sql_bind_composite(struct sql_binder *binder, const PgQuery__CompositeTypeStmt *statement);
const struct sql_symbol *sql_find_row(struct sql_binder *binder, const PgQuery__TypeName *type_name, bool report);
void sql_bind_function_statement(struct sql_binder *binder, const PgQuery__CreateFunctionStmt *statement);
void sql_bind_cast(struct sql_binder *binder, const PgQuery__CreateCastStmt *statement);
void sql_bind_versions(struct sql_binder *binder);
void sql_bind_view(struct sql_binder *binder, const struct sql_statement *statement,
                   const PgQuery__CreateTableAsStmt *create);
void sql_bind_plain_view(struct sql_binder *binder, const PgQuery__ViewStmt *statement);
void sql_bind_comment(struct sql_binder *binder, const PgQuery__CommentStmt *statement);
// names.c: what may stand in a subject and in a .proto
const char *sql_subject_token(struct br_arena *arena, const char *name);
const char *sql_proto_name(struct br_arena *arena, const char *name);
const char *sql_message_name(struct sql_binder *binder, const char *name); // "<pipeline>.<name>"
bool sql_check_subject(struct sql_binder *binder, const char *subject, bool filter, int location);
int sql_compare_json_names(const char *a, const char *b); // 0: protoc takes them for one in JSON
// Reports what the lock has and the file hasn't.
void sql_check_lock(struct sql_binder *binder);
// Gives columns their field names and derives the message, with numbers of the lock when there is one; false after an
// error.
bool sql_derive_message(struct sql_binder *binder, struct br_row_type *row_type, uint32_t column_count, int location);
// The columns of a message itself, then the nested ones that the file mentions.
void sql_message_columns(struct sql_binder *binder, struct br_row_type *row_type, uint32_t *ret_visible);
void sql_add_nested_columns(struct sql_binder *binder, struct br_row_type *row_type);
// Of the enum that a column is read from; NULL when it is read from another field, or there is no message.
const struct br_enum_type *sql_labels(const struct br_row_type *row_type, uint32_t column);

// --- bind_from.c, bind_join.c, plan_join.c, bind_select.c
struct sql_relation {
    struct br_node *node; // NULL after an error
    struct sql_scope scope;
};
struct sql_conjunct {
    struct br_expr *expr;
    bool equality; // `a = b`: may become a join key
};
struct sql_conjuncts {
    struct sql_conjunct *list;
    uint32_t count, capacity;
};
struct sql_select {       // what a SELECT gives
    struct br_node *node; // NULL after an error
    const char **names;
    int *locations;
    uint32_t count;            // visible columns
    struct br_sort_key *order; // queries
    uint32_t order_count;
    int64_t limit, offset;
};
bool sql_bind_select(struct sql_binder *binder, const PgQuery__SelectStmt *select, bool top, struct sql_select *ret);
struct sql_relation sql_bind_from(struct sql_binder *binder, const PgQuery__SelectStmt *select);
struct sql_relation sql_bind_from_item(struct sql_binder *binder, const PgQuery__Node *item);
bool sql_conjuncts_bind(struct sql_expr_context *ctx, const PgQuery__Node *node, struct sql_conjuncts *conjuncts);
// Joins two inputs; columns of `on` number left's then right's. The output has left's columns, then right's.
struct br_node *sql_join(struct sql_binder *binder, struct br_node *left, struct br_node *right,
                         const struct sql_conjuncts *on, bool left_outer, int location);
struct sql_relation sql_bind_join(struct sql_binder *binder, const PgQuery__JoinExpr *join);
void sql_scope_append(struct sql_binder *binder, struct sql_scope *scope, const struct sql_scope *other,
                      uint32_t offset);
// A filter as far below as it can go.
struct br_node *sql_filter(struct sql_binder *binder, struct br_node *input, struct br_expr *predicate);

// --- clock.c: what now() may do. Each is false after its error.
// Of what the rows of left, then right (NULL: none) hold, which columns were computed with now(); NULL: none.
const bool *sql_clock_columns(struct sql_binder *binder, const struct br_node *left, const struct br_node *right);
// Of a SELECT list, or of what an aggregate needs computed.
bool sql_check_clock(struct sql_binder *binder, const struct br_expr *expr, const struct br_node *input, int location);
// Of what decides whether a row counts (WHERE, FILTER, HAVING).
bool sql_check_clock_condition(struct sql_binder *binder, const struct br_expr *expr, const struct br_node *input,
                               int location);
// Of ON; its columns are left's, then right's.
bool sql_check_clock_join(struct sql_binder *binder, const struct br_expr *expr, const struct br_node *left,
                          const struct br_node *right);
// Of what rows are put together or cut by.
enum sql_clock_use { SQL_CLOCK_GROUP, SQL_CLOCK_AGGREGATE, SQL_CLOCK_DISTINCT, SQL_CLOCK_WINDOW };
bool sql_check_clock_use(struct sql_binder *binder, const struct br_expr *expr, const struct br_node *input,
                         int location, enum sql_clock_use use);

// --- plan_node.c: nodes; each derives fields, key, append_only and marks from its inputs
struct br_node *sql_node_source(struct sql_binder *binder, struct br_table *table);
struct br_node *sql_node_filter(struct sql_binder *binder, struct br_node *input, struct br_expr *predicate);
struct br_node *sql_node_project(struct sql_binder *binder, struct br_node *input, struct br_expr **exprs,
                                 const char *const *names, uint32_t count);
struct br_node *sql_node_window(struct sql_binder *binder, struct br_node *input, uint32_t time_column, int64_t size_us,
                                int64_t slide_us);
struct br_node *sql_node_aggregate(struct sql_binder *binder, struct br_node *input, const uint32_t *group,
                                   const char *const *group_names, uint32_t group_count,
                                   const struct br_aggregate *aggregates, uint32_t aggregate_count);
struct br_node *sql_node_join(struct sql_binder *binder, struct br_node *left, struct br_node *right, bool left_outer,
                              bool lookup, const uint32_t *left_keys, const uint32_t *right_keys, uint32_t key_count,
                              struct br_expr *residual);
struct br_node *sql_node_scan(struct sql_binder *binder, const struct br_view *view);
void sql_node_derive(struct sql_binder *binder, struct br_node *node);
bool sql_is_view_root(const struct sql_binder *binder, const struct br_node *node);

// --- prune.c: columns that nobody above needs are dropped before joins and in projections
void sql_prune(struct sql_binder *binder, struct br_node *root);

// --- history.c
// The dotted names of a SELECT or condition mean nested fields: collected before tables are bound.
void sql_collect_select_paths(struct sql_binder *binder, const char *text);
// Replaces the pipeline's views by the SELECT of the options; false after an error in it.
bool sql_bind_history(struct sql_binder *binder, const struct br_pipeline_options *options);
// A condition over the columns of a row type, as in WHERE; NULL after an error.
struct br_expr *sql_bind_condition(struct sql_binder *binder, const char *relation, const struct br_row_type *row_type,
                                   const char *text);

// --- narrow.c: makes the binder's changes, but for lateness, to what was bound. BR_DATA in words.
enum br_status sql_narrow(struct sql_binder *binder, struct br_error *error) BR_MUST_CHECK;

// --- plan.c: after binding: nodes in order, used columns, state tables, signatures, plan hash
void sql_number_nodes(struct sql_binder *binder, struct br_node **roots, uint32_t root_count,
                      struct br_node ***ret_nodes, uint32_t *ret_count);
void sql_finish_plan(struct sql_binder *binder);
void sql_liken(struct sql_binder *binder); // likeness.c: after used columns are marked

const char *sql_column_word(enum br_wire_kind kind); // what a .proto calls the field type

// --- hints (hints.c): NULL when there is none
// offset: of the error in the text of the statement.
const char *sql_syntax_hint(struct sql_binder *binder, const char *text, int offset, const char *message);
// Where the literal stands that the message quotes; else location.
int sql_literal_location(struct sql_binder *binder, struct br_expr **exprs, uint32_t count, const char *message,
                         int location);
// Reports that expressions have no common type.
void sql_unify_error(struct sql_binder *binder, struct br_expr **exprs, uint32_t count, int location,
                     const struct br_error *error);
const char *sql_call_hint(struct sql_binder *binder, const char *name, struct br_expr **arguments, uint32_t count,
                          const char *message);
// What columns (of a relation; NULL: of all) and relations there are.
const char *sql_columns_hint(struct sql_binder *binder, const struct sql_scope *scope, const char *relation,
                             const char *name);
const char *sql_relations_hint(struct sql_binder *binder, const struct sql_scope *scope);

#endif
