// SPDX-License-Identifier: Apache-2.0
// What the operators of this folder share: the operator, its class, and helpers over batches and keys.
//
// O1. An operator builds what it emits in its own arena and resets it when the push downstream is over: nobody keeps a
//     batch (batch.h, B5); who needs rows longer copies them into the epoch's arena or into state.
// O2. Operators form a DAG and pushes go down it, so no operator is entered while it is emitting.
// O3. Everything emitted is a function of the sequence of pushes and of state: hash order and hotness never show.
#ifndef BR_PROCESSOR_OPERATORS_OPERATOR_INTERNAL_H
#define BR_PROCESSOR_OPERATORS_OPERATOR_INTERNAL_H

#include "processor/expr/row.h"
#include "processor/operators/graph.h"

struct br_operator;

// Where a step gives its rows: to the operators downstream, or to the callback of a scan.
struct br_output {
    br_graph_each give;
    void *context;
    bool report; // rows that fail are reported to the sink; false in scans, where they were reported when they came
};

struct br_operator_class {
    const char *name;
    enum br_status (*push)(struct br_operator *op, uint32_t port, const struct br_batch *batch, struct br_error *error);
    // NULL: nothing to do.
    enum br_status (*end_epoch)(struct br_operator *op, struct br_error *error);
    // The output's rows as of now. equal: by column, a value that wanted rows have there (NULL: any), or NULL; rows
    // that haven't may be given too.
    enum br_status (*scan)(struct br_operator *op, const struct br_value *const *equal, br_graph_each each,
                           void *context, struct br_error *error);
    void (*destroy)(struct br_operator *op); // frees op too
};

struct br_edge {
    struct br_operator *target;
    uint32_t port;
};

struct br_operator {
    const struct br_operator_class *class;
    struct br_graph *graph;
    const struct br_node *node; // of a sink: the view's root
    struct br_operator *inputs[2];
    struct br_edge *outputs;
    uint32_t output_count;
    bool scanned; // a view's rows are read back through this operator
    bool asleep;
    struct br_arena *arena;
    enum br_type *types; // of the node's fields
};

#define BR_NO_TABLE UINT32_MAX

struct br_graph {
    struct br_node **nodes; // borrowed from the plan
    uint32_t node_count;
    const struct br_pipeline *pipeline; // NULL: a query
    struct br_sink sink;
    struct br_state *state;
    struct br_operator **operators; // by node id
    struct br_operator **sinks;     // by view
    uint32_t sink_count;
    const struct br_epoch *epoch; // while a call runs
    uint32_t cause;               // whose rows are being pushed; BR_NO_TABLE: the epoch is ending
    const struct br_watch *watch; // of the query that runs, or reads here; NULL: none
    struct br_arena *arena;       // as long as the graph
};

// --- making (graph.c)
// Wires operators for the nodes; sinks are added by the caller. On failure *ret_graph is untouched.
enum br_status br_graph_build(const struct br_pipeline *pipeline, struct br_node **nodes, uint32_t node_count,
                              struct br_state *state, const struct br_sink *sink, struct br_graph **ret_graph,
                              struct br_error *error);
void br_operator_connect(struct br_operator *from, struct br_operator *to, uint32_t port);
// A zeroed operator of `size` bytes that begins with struct br_operator.
void *br_operator_alloc(struct br_graph *graph, const struct br_node *node, const struct br_operator_class *class,
                        size_t size);
void br_operator_free(struct br_operator *op); // the common part, and op itself
enum br_status br_source_create(struct br_graph *graph, const struct br_node *node, struct br_operator **ret,
                                struct br_error *error);
enum br_status br_scan_create(struct br_graph *graph, const struct br_node *node, struct br_operator **ret,
                              struct br_error *error);
enum br_status br_filter_create(struct br_graph *graph, const struct br_node *node, struct br_operator **ret,
                                struct br_error *error);
enum br_status br_project_create(struct br_graph *graph, const struct br_node *node, struct br_operator **ret,
                                 struct br_error *error);
enum br_status br_window_create(struct br_graph *graph, const struct br_node *node, struct br_operator **ret,
                                struct br_error *error);
enum br_status br_aggregate_create(struct br_graph *graph, const struct br_node *node, struct br_operator **ret,
                                   struct br_error *error);
enum br_status br_aggregate_lacks_row(struct br_operator *op, bool *ret_lacks, struct br_error *error);
enum br_status br_join_create(struct br_graph *graph, const struct br_node *node, struct br_operator **ret,
                              struct br_error *error);
enum br_status br_sink_create(struct br_graph *graph, const struct br_view *view, struct br_operator **ret,
                              struct br_error *error);
// Opens table `offset` of those that the plan gave the node; names it "<kind> <id> <what>".
enum br_status br_operator_table(struct br_operator *op, uint16_t offset, const char *what, struct br_state_table **ret,
                                 struct br_error *error);

// --- running (graph.c)
// In every batch of a step that may be a query's: BR_OK when there is nobody who would end it.
static inline enum br_status br_operator_look(const struct br_operator *op, struct br_error *error) {
    const struct br_watch *watch = op->graph->watch;
    return watch == NULL ? BR_OK : watch->look(watch->context, br_arena_footprint(op->arena), error);
}
// br_graph_scan, of rows that have these values where one is given (by column of the view).
enum br_status br_graph_scan_equal(struct br_graph *graph, uint32_t view, const struct br_value *const *equal,
                                   const struct br_epoch *epoch, br_graph_each each, void *context,
                                   struct br_error *error);
// Gives a batch to everything downstream. Empty batches are dropped.
enum br_status br_operator_emit(struct br_operator *op, const struct br_batch *batch, struct br_error *error);
struct br_output br_operator_output(struct br_operator *op); // br_operator_emit as an output, reporting
enum br_status br_operator_report(struct br_operator *op, const struct br_batch *batch, uint32_t row,
                                  const char *message, struct br_error *error);
// Reports the failed rows of positive weight.
enum br_status br_operator_report_all(struct br_operator *op, const struct br_batch *batch, const struct br_eval *eval,
                                      struct br_error *error);

// One batch through a window node (window.c).
enum br_status br_window_apply(struct br_operator *op, const struct br_batch *batch, const struct br_output *output,
                               struct br_error *error);

// The upsert table's rows by primary key, for joins that read them in place; NULL when the operator is no upsert
// source.
struct br_state_table *br_source_rows(struct br_operator *op);
// For lookups: from now on the upsert source keeps what its rows were earlier in the epoch.
struct br_past;
const struct br_past *br_source_keep_past(struct br_operator *op);

// --- batches (batches.c)
// Like br_batch_create, for exactly row_capacity rows (may exceed BR_BATCH_ROWS only for the caller's own use).
struct br_batch *br_batch_sized(struct br_arena *arena, const enum br_type *types, const bool *wanted,
                                uint32_t column_count, uint32_t row_capacity);
// The same columns under other weights.
struct br_batch *br_batch_weighted(const struct br_batch *batch, int32_t *weights, struct br_arena *arena);
// Are two rows the same bytes (scale of numerics included)? Batches have the same column types.
bool br_rows_identical(const struct br_batch *a, uint32_t a_row, const struct br_batch *b, uint32_t b_row);

// --- sorting by key bytes (sort.c)
struct br_sort_item {
    uint64_t prefix[2]; // sort.c's
    struct br_slice key;
    uint32_t index; // caller's
};
// Stable; linear when the items are in order already. Scratch memory from the arena.
void br_sort_items(struct br_sort_item *items, size_t count, struct br_arena *arena);

// --- parts of a state table (equal.c)
struct br_key_range {
    struct br_slice first, last; // first <= key < last, as br_state_scan takes them
    bool whole;                  // one key: `first`
};
// By the key's columns. False: none that comes first is known, so the range is the whole table.
bool br_key_range_of(const struct br_value *const *equal, const uint32_t *columns, uint32_t count,
                     struct br_arena *arena, struct br_key_range *ret_range);

// --- net changes of an epoch (changes.c)
struct br_collected {
    const struct br_batch *batch; // a copy in the epoch's arena
    uint32_t row;
    int32_t weight;
    struct br_slice key;
};
// Weighted rows of one relation, gathered over an epoch. Zero-initialise; br_change_set_free at the end.
struct br_change_set {
    const char *name;    // of the relation, for errors
    const uint32_t *key; // key columns
    uint32_t key_count;
    bool keyed; // at most one row per key; false: a multiset, key has all columns
    struct br_collected *rows;
    size_t count, capacity;
};
void br_change_set_free(struct br_change_set *set);
void br_change_set_add(struct br_change_set *set, const struct br_batch *batch, struct br_arena *epoch_arena);
// The net changes in canonical order, in the epoch's arena, and an empty set again. BR_FATAL when a key has two rows.
enum br_status br_change_set_net(struct br_change_set *set, struct br_arena *epoch_arena,
                                 struct br_change **ret_changes, size_t *ret_count, struct br_error *error);

// --- changes held back for an emit interval (interval.c)
struct br_interval_gate;
enum br_status br_interval_gate_create(struct br_state *state, const struct br_view *view,
                                       struct br_interval_gate **ret, struct br_error *error);
void br_interval_gate_destroy(struct br_interval_gate **gate);
// Takes the epoch's net changes; gives those to be published now (none before the interval is over).
enum br_status br_interval_gate_pass(struct br_interval_gate *gate, struct br_change *changes, size_t count,
                                     const struct br_epoch *epoch, struct br_change **ret_changes, size_t *ret_count,
                                     struct br_error *error);
enum br_status br_interval_gate_held(struct br_interval_gate *gate, struct br_arena *arena,
                                     struct br_change **ret_changes, size_t *ret_count, struct br_error *error);
enum br_status br_interval_gate_forget(struct br_interval_gate *gate, struct br_error *error);
// The gate of a sink; NULL: it has none.
struct br_interval_gate *br_sink_gate(struct br_operator *sink);

#endif
