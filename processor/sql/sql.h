// SPDX-License-Identifier: Apache-2.0
// SQL in: parse (libpg_query), bind, plan; and what can be said about a plan (explain). pg_query_* stands in this
// folder only.
//
// All errors of a file are found and reported, not just the first: each with file:line:column, the source line, a caret
// and a hint.
#ifndef BR_PROCESSOR_SQL_SQL_H
#define BR_PROCESSOR_SQL_SQL_H

#include "processor/sql/plan.h"

struct br_diagnostic {
    uint32_t line, column; // from 1; column counts characters
    bool warning;
    const char *message; // one line: what is wrong, PostgreSQL's wording where it has one
    const char *hint;    // the way out; NULL
};
struct br_diagnostics {
    const char *path, *text; // of the file
    struct br_diagnostic *list;
    uint32_t count, error_count;
    struct br_arena *arena; // owned
};
struct br_diagnostics *br_diagnostics_create(const char *path, const char *text);
void br_diagnostics_destroy(struct br_diagnostics **diagnostics);
// "shop.sql:12:8: error: column "amout" does not exist", the source line, a caret line, "hint: …". json: one object a
// line.
void br_diagnostics_print(const struct br_diagnostics *diagnostics, bool json, struct br_buffer *out);

// By which rules a file is bound. What a later build binds otherwise, or refuses, it binds as before under the number
// of the build that first planned it, which the plan's record in the log bears (pipeline.proto). 0: version 0.1.0, 1:
// version 0.2.0.
#define BR_BINDING_RULES 2u

// How a replay plans a pipeline otherwise than its text says. All of it shows in the plan hash.
struct br_plan_changes {
    // Views to keep. What they stand on is planned into them, as plain views are; tables that they don't read are not
    // the pipeline's any more. only_count 0: all.
    const char *const *only;
    size_t only_count;
    // Only rows whose key matches: a condition over key columns of every view that is kept (any columns of a view
    // without key), pushed down to the tables (narrow.c). A row for which it fails doesn't match. NULL: all rows.
    const char *key;
    bool lateness_set; // every view with windows gets lateness_us
    int64_t lateness_us;
};

struct br_pipeline_options {
    const char *name; // NULL: SET braid.pipeline, else the file's name without folder and ".sql"
    const char *const
        *descriptor_paths; // from flags; those of SET braid.descriptors (relative to the SQL file) come on top
    size_t descriptor_path_count;
    // Descriptor sets that were read before (a pipeline that was stored): when given, no file is read for them, and SET
    // braid.descriptors names none.
    const struct br_slice *descriptor_sets;
    size_t descriptor_set_count;
    struct br_slice
        fields;    // what the file of SET braid.fields held, for a text that was stored; ptr NULL: it names none
    bool stored;   // the text comes from a store, with all that it needs: files are not looked for
    bool unlocked; // SET braid.fields is noted, its file isn't read: numbers are those of the columns' order
    // One SELECT over the file's tables and views, to run over their history: it becomes the pipeline's only view
    // ("query"), and only what it reads is planned. ORDER BY, LIMIT and OFFSET are in pipeline->select. NULL: none.
    const char *select;
    struct br_diagnostics *select_diagnostics; // its errors
    // Conditions that will be bound to its tables (br_condition_bind): they may mention nested fields.
    const char *const *conditions;
    size_t condition_count;
    const struct br_plan_changes *changes; // NULL: none
    const uint32_t *rules;                 // NULL: BR_BINDING_RULES
};
// BR_DATA when the file has errors (they are in diagnostics); a pipeline is returned only without errors.
enum br_status br_pipeline_load(const char *path, const char *text, const struct br_pipeline_options *options,
                                struct br_diagnostics *diagnostics, struct br_pipeline **ret_pipeline,
                                struct br_error *error) BR_MUST_CHECK;
// The same text, with its descriptors, planned again with these changes (not those it had). BR_DATA in words when they
// can't be made.
enum br_status br_pipeline_change(const struct br_pipeline *pipeline, const struct br_plan_changes *changes,
                                  struct br_pipeline **ret_pipeline, struct br_error *error) BR_MUST_CHECK;
void br_pipeline_destroy(struct br_pipeline **pipeline);
// One SELECT (or TABLE v) over the pipeline's views.
enum br_status br_query_bind(const struct br_pipeline *pipeline, const char *text, struct br_diagnostics *diagnostics,
                             struct br_query **ret_query, struct br_error *error) BR_MUST_CHECK;
void br_query_destroy(struct br_query **query);

// A condition over the columns of one table or view ("region = 'EU' AND amount > 10"), as in WHERE.
struct br_condition {
    struct br_expr *expr; // boolean, over the columns
    struct br_arena *arena;
};
enum br_status br_condition_bind(const struct br_pipeline *pipeline, const struct br_table *table, const char *text,
                                 struct br_diagnostics *diagnostics, struct br_condition **ret_condition,
                                 struct br_error *error) BR_MUST_CHECK;
enum br_status br_condition_bind_view(const struct br_pipeline *pipeline, const struct br_view *view, const char *text,
                                      struct br_diagnostics *diagnostics, struct br_condition **ret_condition,
                                      struct br_error *error) BR_MUST_CHECK;
void br_condition_destroy(struct br_condition **condition);

// The operator tree of every view: keys, append-only marks, windows and when they close, state tables, what joins
// store.
void br_explain(const struct br_pipeline *pipeline, bool json, struct br_buffer *out);

// A projection that only chooses columns of a table: it has no state, and the table's likeness.
bool br_node_chooses(const struct br_node *node);
// Marks the columns of the table that the view's rows stand on, by expressions and gates.
void br_view_mark_columns(const struct br_pipeline *pipeline, const struct br_view *view, const struct br_table *table,
                          bool *columns);

const struct br_table *br_pipeline_find_table(const struct br_pipeline *pipeline, const char *name);
const struct br_view *br_pipeline_find_view(const struct br_pipeline *pipeline, const char *name);

#endif
