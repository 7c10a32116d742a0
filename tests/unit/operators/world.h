// SPDX-License-Identifier: Apache-2.0
// A small pipeline built by hand, with everything that its graph gives recorded: for the tests of operators.
//
// Columns are given by a letter each: b boolean, i integer, l bigint, n numeric, d double, t text, T timestamptz (as a
// number of microseconds), v interval. Rows are texts with their values between bars ("1|ann|2.50|"), where an empty
// value is NULL. What a view holds is kept twice: by the changes its sink has seen, and as a scan gives it; a check
// compares them.
#ifndef TESTS_UNIT_OPERATORS_WORLD_H
#define TESTS_UNIT_OPERATORS_WORLD_H

#include "processor/expr/numeric.h"
#include "processor/operators/graph.h"

#define WORLD_TABLES 8
#define WORLD_NODES 64
#define WORLD_VIEWS 8

// A multiset of rows as text, or a list of lines.
struct relation {
    struct relation_row {
        char *text;
        long count;
    } * rows;
    size_t count, capacity;
};
void relation_add(struct relation *relation, const char *text, long count);
void relation_free(struct relation *relation);
// The rows in order, "text\n" each as often as it counts; "text xN\n" for negative N.
const char *relation_text(struct relation *relation, struct br_arena *arena);

struct world {
    struct br_arena *arena, *epoch_arena;
    struct br_pipeline pipeline;
    struct br_table tables[WORLD_TABLES];
    struct br_node *nodes[WORLD_NODES];
    struct br_view views[WORLD_VIEWS];
    struct br_state *state;
    struct br_graph *graph;
    struct br_epoch epoch;
    struct br_event_time before[WORLD_TABLES], after[WORLD_TABLES];
    // What is pushed is stored at `clock_us`, in the stream of its table: by default each has its own.
    int64_t clock_us;
    uint32_t streams[WORLD_TABLES];
    uint64_t sequence;
    struct br_moment *moments; // of the epoch's events
    uint32_t moment_count, moment_capacity;
    uint16_t next_state_table;
    size_t budget;
    const char *store_path; // NULL: a store in memory
    // what came out
    struct relation view[WORLD_VIEWS];    // net, by the changes
    struct relation changes[WORLD_VIEWS]; // of the last epoch: "-row" and "+row"
    struct relation late, failed;         // "view: row, start, end, by" and "view: message"
    unsigned change_calls;
    bool quiet; // rows and changes are not recorded
};

struct world *world_create(void);
void world_destroy(struct world **ref);

// --- the plan
// key: columns of the primary key, -1 ends the list; NULL: append-only.
uint32_t world_table(struct world *world, const char *name, const char *columns, const int *key);
struct br_node *world_source(struct world *world, uint32_t table);
struct br_node *world_filter(struct world *world, struct br_node *input, struct br_expr *predicate);
struct br_node *world_project(struct world *world, struct br_node *input, uint32_t count, struct br_expr *const *exprs);
struct br_node *world_window(struct world *world, struct br_node *input, uint32_t time_column, int64_t size_us,
                             int64_t slide_us);
struct br_node *world_aggregate(struct world *world, struct br_node *input, const char *group,
                                const struct br_aggregate *aggregates, uint32_t count);
struct br_node *world_join(struct world *world, struct br_node *left, struct br_node *right, const char *left_keys,
                           const char *right_keys, bool left_outer);
uint32_t world_view(struct world *world, const char *name, struct br_node *root);
struct br_expr *world_column(struct world *world, const struct br_node *input, uint32_t column);
struct br_expr *world_number(struct world *world, int32_t value);
struct br_expr *world_call(struct world *world, const char *name, struct br_expr *a, struct br_expr *b);
struct br_aggregate world_agg(const struct br_node *input, enum br_aggregate_kind kind, int argument);

// --- running
void world_start(struct world *world);
// Closes the graph and opens it anew on the same state (or store, when it has a path).
void world_restart(struct world *world);
void world_push(struct world *world, uint32_t table, int32_t weight, const char *row);
// Rows of one batch, each "weight row".
void world_push_rows(struct world *world, uint32_t table, size_t count, const int32_t *weights,
                     const char *const *rows);
void world_end_epoch(struct world *world);
const char *world_scan(struct world *world, uint32_t view);
const char *world_seen(struct world *world, uint32_t view);
// Keys in all of the plan's state tables; in those of a node, with the index of a join's rows.
size_t world_stored(struct world *world);
size_t world_stored_by(struct world *world, const struct br_node *node);
const char *world_changes(struct world *world, uint32_t view);
void world_print_row(const struct br_batch *batch, uint32_t row, struct br_buffer *out);

// --- random numbers of a seed
struct dice {
    uint64_t state;
};
uint32_t dice_roll(struct dice *dice, uint32_t sides); // 0..sides-1

#endif
