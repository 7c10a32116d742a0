// SPDX-License-Identifier: Apache-2.0
// The bound pipeline: what SQL becomes, and all that the rest of the processor sees of it. Plain data in one arena,
// immutable once made.
//
// A pipeline has tables (sources), views (published relations) and one graph of nodes shared by all views. nodes[] is
// in topological order: a node's inputs come before it. Names are exactly as PostgreSQL folds them (lower case unless
// quoted).
#ifndef BR_PROCESSOR_SQL_PLAN_H
#define BR_PROCESSOR_SQL_PLAN_H

#include "processor/expr/expr.h"

struct br_descriptors;  // codec/descriptors.h
struct br_enum_type;    // codec/descriptors.h
struct br_message_type; // codec/descriptors.h
struct br_node;
struct br_view;

// --- row types: a list of columns and the protobuf message they are read from and written to
struct br_column_def {
    const char *name;
    enum br_type type;
    const char *path; // dotted field path in the message; the column's name when it is a field of the message itself
    bool not_null;
    struct br_expr *default_value; // constant-foldable or of now(); NULL: none. Over no columns
    const char *comment;           // COMMENT ON COLUMN; NULL
};
// Nested fields that the file mentions (o.customer.name) are columns too, named by their path, behind the others; *
// does not stand for them.
struct br_row_type {
    const char *name;         // SQL name of the table, type or view
    const char *message_name; // full protobuf name ("shop.v2.Order"); derived when the SQL names none
    const struct br_message_type *message;
    struct br_column_def *columns;
    uint32_t column_count;
};

// --- tables
struct br_check {
    const char *name;          // the constraint's, or "<table>_<column>_check" as PostgreSQL names it
    const char *text;          // as written, for reports
    struct br_expr *condition; // over the table's columns; passes when TRUE or NULL
};
struct br_lift_step { // one CREATE CAST: a projection from one row type to the next
    const struct br_row_type *from;
    struct br_expr **exprs; // over from's columns; one per column of the step's target
};
struct br_version {           // an event type that the table's subject may carry
    const char *message_name; // the SQL name; ce-type says this or row_type->message_name, the full protobuf name
    const struct br_row_type *row_type;
    struct br_lift_step *steps; // step 0 from row_type, the last one to the table; none for the table's own type
    uint32_t step_count;
};
enum br_layout { BR_LAYOUT_SINGLE, BR_LAYOUT_DELIMITED, BR_LAYOUT_PACKED };

struct br_table {
    const char *name;
    uint32_t index; // in pipeline->tables: the order of the plan; upsert tables come first within an epoch whatever
                    // their index
    struct br_row_type row_type;
    const char *subject;   // filter; default "<pipeline>.<table>"
    const char *stream;    // NULL: the one that holds the subject. Not part of the plan hash: commits have its name
    enum br_layout layout; // SINGLE or DELIMITED
    uint32_t *primary_key; // column indexes; none: append-only
    uint32_t primary_key_count;
    int32_t event_time; // column index, -1: none
    int64_t watermark_delay_us;
    int64_t future_bound_us; // how far ahead of the stream's timestamp an event time may be; default one hour (rules 0
                             // and 1: a day)
    bool lookup;
    const char *archive_path; // folder of the archive (file:///…); NULL: none. Not part of the plan hash, nor is what
                              // follows
    int64_t archive_retention_us; // 0: for ever
    uint64_t archive_bytes_max;   // 0: no bound
    struct br_check *checks;
    uint32_t check_count;
    struct br_version *versions; // versions[0] is the table's own type
    uint32_t version_count;
    bool *used;          // by column: does any node, gate or key read it?
    bool read;           // is there any view that reads the table?
    bool takes_any_time; // texts may tell times beyond the years that a column holds (binding rules 0)
    const char *comment;
};

// --- nodes
enum br_node_kind {
    BR_NODE_SOURCE, // rows of a table: +1 of an append table; -old +new of an upsert table (which keeps its rows in
                    // state)
    BR_NODE_FILTER,
    BR_NODE_PROJECT,
    BR_NODE_WINDOW,    // tumble and hop: input columns, then window_start and window_end; one row per window
    BR_NODE_AGGREGATE, // group columns, then one column per aggregate
    BR_NODE_JOIN,      // left columns, then right columns
    BR_NODE_SCAN,      // queries only: the rows of a view of the running pipeline
};

// Where a column's values are window bounds: the promise that lets state be closed and dropped behind the watermark.
struct br_window_mark {
    enum { BR_MARK_NONE, BR_MARK_START, BR_MARK_END } kind;
    uint32_t table; // whose watermark closes the windows
    int64_t size_us;
    int64_t lateness_us; // of the views passed through so far: a later view never closes earlier
};
struct br_field {
    const char *name;
    enum br_type type;
    bool nullable;
    struct br_window_mark mark;
    const struct br_enum_type *labels; // text read from an enum; NULL: any text. For errors only
    bool of_clock;                     // its values were computed with now() (clock.c). While binding only
};

enum br_aggregate_kind {
    BR_AGG_COUNT, // argument -1: count(*)
    BR_AGG_SUM,
    BR_AGG_MIN,
    BR_AGG_MAX,
    BR_AGG_AVG,
    BR_AGG_BOOL_AND,
    BR_AGG_BOOL_OR,
    BR_AGG_STDDEV_SAMP,
    BR_AGG_STDDEV_POP,
    BR_AGG_VAR_SAMP,
    BR_AGG_VAR_POP,
};
struct br_aggregate {
    enum br_aggregate_kind kind;
    bool distinct;
    int32_t argument;                        // input column, -1 for count(*)
    int32_t filter;                          // boolean input column, -1: none
    enum br_type argument_type, result_type; // PostgreSQL's: sum(bigint) is numeric, avg(integer) numeric, …
};

struct br_node {
    enum br_node_kind kind;
    uint32_t id; // index in pipeline->nodes
    struct br_node *inputs[2];
    uint32_t input_count;
    const struct br_view *view; // the view it was planned for: row errors are reported there. NULL for sources
    struct br_field *fields;
    uint32_t field_count;
    uint32_t depth;     // how many nodes stand below each other, itself included
    bool append_only;   // never gives a negative weight
    uint32_t *key;      // columns that identify a row of the output; has_key false: a multiset
    uint32_t key_count; // 0 with has_key: at most one row
    bool has_key;
    uint64_t signature; // XXH3 of kind, expressions, and inputs' signatures: equal signatures mean the same state
    uint64_t likeness;  // the same, whatever else its tables have; but for labels of enums (likeness.c)
    uint16_t state_table, state_table_count; // numbers of its tables in the state: first and how many; 0: none
    union {
        struct {
            struct br_table *table;
        } source;
        struct {
            struct br_expr *predicate;
        } filter;
        struct {
            struct br_expr **exprs;
        } project; // field_count of them
        struct {
            uint32_t time_column; // timestamptz; rows whose time is NULL are left out
            int64_t size_us, slide_us,
                origin_us; // tumble: slide = size. Windows begin at origin + k * slide (origin 1970-01-01)
        } window;
        struct {
            uint32_t *group;      // input columns
            uint32_t group_count; // 0: one row always, also over no input (unless not_global)
            struct br_aggregate *aggregates;
            uint32_t aggregate_count;
            int32_t
                window_column;   // which of the group columns (index into group) bears a window mark; -1: never closes
            int64_t lateness_us; // closes when window_end + lateness <= watermark of mark.table
            bool emit_final;     // gives rows only when their window closes
        } aggregate;
        struct {
            bool left_outer;
            bool lookup; // the right side is a lookup table: read as of now, left rows are not stored
            uint32_t *left_keys, *right_keys; // equal types; NULL matches nothing
            uint32_t key_count;
            struct br_expr *residual; // the rest of ON over left columns then right columns; NULL: none
        } join;
        struct {
            uint32_t view;
        } scan;
    };
};

// --- views
enum br_format { BR_FORMAT_PROTOBUF, BR_FORMAT_JSON };
struct br_view {
    const char *name;
    uint32_t index; // in pipeline->views, in the order of the file
    struct br_node *root;
    struct br_row_type row_type; // output columns and the derived message "<pipeline>.<view>"
    const char *subject;         // template: 'shop.revenue.{region}'; default "braid.<pipeline>.view.<view>"
    enum br_format format;
    enum br_layout layout; // SINGLE or PACKED
    bool emit_final;
    int64_t lateness_us;
    int64_t emit_interval_us; // 0: every epoch
    int64_t ttl_us;           // Nats-TTL of its messages; 0: none
    bool effect;              // its messages have side effects (mails, orders): a replay never releases them
    const char *comment;
    const char *sql;   // the statement as written
    uint64_t likeness; // of its rows: its root's, with which columns they are
};

// CREATE FUNCTION and CREATE VIEW are planned into their users; what they said is kept to tell what has changed.
struct br_definition {
    const char *name, *text;
    bool function; // false: a plain view
};

struct br_pipeline {
    const char *name;
    const char *path;                 // of the SQL file, for messages
    const char *text;                 // of the SQL file
    struct br_slice *descriptor_sets; // as read, in the order in which they were
    uint32_t descriptor_set_count;
    const char *fields_path; // of SET braid.fields (field_lock.h), from where the command runs; NULL: none
    struct br_slice fields;  // what that file held; ptr NULL: it wasn't read
    struct br_definition *definitions;
    uint32_t definition_count;
    struct br_table *tables;
    uint32_t table_count;
    struct br_view *views; // materialized views only; plain views are planned into their users
    uint32_t view_count;
    struct br_node **nodes;
    uint32_t node_count;
    const struct br_row_type **types; // CREATE TYPE … AS (…)
    uint32_t type_count;
    struct br_descriptors *descriptors; // owned: derived messages and those of the files
    bool lateness_set;                  // all views with windows have lateness_us, whatever the text says
    int64_t lateness_us;
    // Bound from a text that the log holds with another hash, which plan_hash is: this build binds the text otherwise
    // than the one that planned it (a constant is folded to other bits). It tells what was published, and can't run.
    bool bound_otherwise;
    uint32_t rules;          // that it was bound by (sql.h, BR_BINDING_RULES). Not part of the plan hash
    struct br_query *select; // the SELECT over the tables that it was loaded with: order, limit; NULL: none
    uint64_t plan_hash;      // over everything that decides results: equal hashes give equal digests
    struct br_arena *arena;  // owned; holds all of this
};

// An ad-hoc SELECT bound against a pipeline's views. Nodes are of its own; scans name the views they read. That of
// br_pipeline_options.select is the pipeline's only view: no nodes, its root is the view's.
struct br_sort_key {
    uint32_t column;
    bool descending, nulls_first;
};
struct br_query {
    struct br_node **nodes;
    uint32_t node_count;
    struct br_node *root;
    uint32_t visible_count; // output columns shown; further ones are only sorted by
    struct br_sort_key *order;
    uint32_t order_count;
    int64_t limit, offset; // -1: no limit
    struct br_arena *arena;
};

#endif
