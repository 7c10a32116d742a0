// SPDX-License-Identifier: Apache-2.0
// A graph of running operators, made from a plan: batches of table rows go in, changes of views come out.
//
// Within an epoch, br_graph_push is called any number of times, then br_graph_end_epoch once. Stateless parts and joins
// pass rows on at once; aggregates note which groups changed and give -old +new at the end of the epoch, in topological
// order, so that every view's changes are net per epoch. Given equal inputs in equal order, equal watermarks and clock
// readings, the sink gets equal calls: nothing else matters. Operators know state tables (state/table.h) and batches;
// no NATS, no RocksDB, no clock, no thread.
#ifndef BR_PROCESSOR_OPERATORS_GRAPH_H
#define BR_PROCESSOR_OPERATORS_GRAPH_H

#include "processor/sql/plan.h"
#include "state/table.h"

struct br_graph;

// When an event came in: where its message stands in its stream, and when the stream stored it.
#define BR_NO_STREAM UINT32_MAX
struct br_moment {
    int64_t stored_us;
    uint64_t sequence;
    uint32_t stream; // equal numbers: the same stream, whose sequences tell the order; BR_NO_STREAM: it came otherwise
};
static inline bool br_moment_is_older(const struct br_moment *a, const struct br_moment *b) {
    if (a->stream == b->stream && a->stream != BR_NO_STREAM)
        return a->sequence < b->sequence;
    return a->stored_us < b->stored_us;
}

// What operators may know of the epoch. Made by the caller; constant but for watermark_after, which the caller fills
// before br_graph_end_epoch.
struct br_epoch {
    uint64_t number;
    struct br_wall_time now; // clock reading of the epoch
    const struct br_event_time
        *watermarks_before; // by table: as of the end of the previous epoch; rows of windows closed by it are late
    const struct br_event_time *watermarks_after; // by table: windows up to here are closed at the end of this epoch
    struct br_arena *arena;                       // lives until after the sink has seen the epoch
    // What lookups go by: when an event of the epoch, named by its origin, came in. NULL: lookups find what is there
    // when they are made.
    struct br_moment (*moment)(const void *context, uint32_t origin);
    const void *moment_context;
    // Recorded by version 0.1.0 (semantics 0), which is to be repeated: lookups find what is there when they are made,
    // joins keep the rows of closed windows, and a row that a joined table's change gives for such a window is late.
    bool by_old_rules;
};

// One change of a keyed or multiset view, in canonical order (key bytes, then row bytes). Rows are of the view's
// columns.
struct br_change {
    struct br_slice key; // order-preserving key bytes of the view's key (of the whole row when it has none)
    const struct br_batch *old_batch; // NULL: the key is new
    uint32_t old_row;
    const struct br_batch *new_batch; // NULL: the key is gone
    uint32_t new_row;
    int64_t count; // how many equal rows come or go: 1 for keyed views
};

// Where the outputs go. Batches handed over live until the call returns; what br_change points at lives in
// epoch->arena.
struct br_sink {
    void *context;
    // Rows of an append-only view (all weights +1), in order of arrival; may be called many times an epoch.
    enum br_status (*rows)(void *context, const struct br_view *view, const struct br_batch *batch,
                           struct br_error *error);
    // The net changes of a view that also retracts; at most once an epoch and view, not called when nothing changed.
    enum br_status (*changes)(void *context, const struct br_view *view, const struct br_change *changes, size_t count,
                              struct br_error *error);
    // A new event came for a window that is closed. origin: the event (or BR_NO_ORIGIN: then batch/row are the row as
    // the aggregate saw it, with node->inputs[0]'s fields).
    enum br_status (*late)(void *context, const struct br_view *view, const struct br_node *node,
                           const struct br_batch *batch, uint32_t row, struct br_event_time window_start,
                           struct br_event_time window_end, int64_t late_by_us, struct br_error *error);
    // An expression failed on a row, which is left out of the view. Called for positive weights only; its retraction
    // fails the same way and is dropped silently.
    enum br_status (*failed)(void *context, const struct br_view *view, const struct br_node *node,
                             const struct br_batch *batch, uint32_t row, const char *message, struct br_error *error);
    // What `changes` gets, before an emit interval holds it back. Called first; NULL: not wanted.
    enum br_status (*net)(void *context, const struct br_view *view, const struct br_change *changes, size_t count,
                          struct br_error *error);
};

// How many state tables the operator of a node uses: the planner gives it the numbers node->state_table …
// state_table + this - 1, and sets state_table_count to it. Upsert source 1, aggregate 2 + its aggregates, join 2,
// others 0. Views with an emit_interval use number BR_VIEW_TABLE_MAX - view->index beside that, joins that let go of
// rows those from BR_INDEX_TABLE_MIN on (br_join_index_table), so nodes' numbers stay below.
#define BR_VIEW_TABLE_MAX 65534
#define BR_INDEX_TABLE_MIN 60000
uint16_t br_node_state_tables(const struct br_node *node);
// Where a side of a join (0 left, 1 right) notes when its rows can go; 0: the plan is too large, nothing is let go.
uint16_t br_join_index_table(const struct br_pipeline *pipeline, const struct br_node *join, uint32_t port);

// Builds operators for the nodes and sinks for the views. state borrowed; its tables are opened by their numbers in the
// plan.
enum br_status br_graph_create(const struct br_pipeline *pipeline, struct br_state *state, const struct br_sink *sink,
                               struct br_graph **ret_graph, struct br_error *error) BR_MUST_CHECK;
void br_graph_destroy(struct br_graph **graph);
// From now on these nodes (by id) and the sinks of these views do nothing: no rows come to them, no epoch ends for
// them. There is no way back but another graph.
void br_graph_put_to_sleep(struct br_graph *graph, const bool *nodes, const bool *views);

// Rows of a table (index in the plan): decoded, gated, lifted. Append tables: weights NULL. Upsert tables: +1 upserts
// the row, -1 deletes the row with its primary key (other columns are ignored). The batch has the table's columns;
// those unused may lack values.
enum br_status br_graph_push(struct br_graph *graph, uint32_t table, const struct br_batch *batch,
                             const struct br_epoch *epoch, struct br_error *error) BR_MUST_CHECK;
enum br_status br_graph_end_epoch(struct br_graph *graph, const struct br_epoch *epoch, struct br_error *error)
    BR_MUST_CHECK;

// Does an aggregate without groups lack its row, which it has from the end of its first epoch on? Between epochs.
enum br_status br_graph_lacks_rows(struct br_graph *graph, bool *ret_lacks, struct br_error *error) BR_MUST_CHECK;

// The rows of a view as of now (between epochs), all weights positive, in no promised order (callers that care sort).
// BR_DATA when the view keeps no rows (append-only over an unstored stream): the message says so and names what to do
// instead.
typedef enum br_status (*br_graph_each)(void *context, const struct br_batch *batch, struct br_error *error);
enum br_status br_graph_scan(struct br_graph *graph, uint32_t view, const struct br_epoch *epoch, br_graph_each each,
                             void *context, struct br_error *error) BR_MUST_CHECK;

// Changes of a view that its emit interval holds back: what subscribers still know of each key (old_batch NULL:
// nothing) and what is (new_batch NULL: nothing), in canonical order, in the arena. Those of a view without key are net
// changes.
enum br_status br_graph_held(struct br_graph *graph, uint32_t view, struct br_arena *arena,
                             struct br_change **ret_changes, size_t *ret_count, struct br_error *error) BR_MUST_CHECK;
// Forgets what is held back of all views: somebody has published it.
enum br_status br_graph_forget_held(struct br_graph *graph, struct br_error *error) BR_MUST_CHECK;
// Whether br_graph_scan gives the rows of a view in ascending order of key bytes (br_batch_keys) over some of its
// columns, and over which: ret_columns has room for root->field_count. Rows with equal keys don't occur then.
bool br_view_scan_order(const struct br_view *view, uint32_t *ret_columns, uint32_t *ret_count);

// What a query may take. It is ended with BR_DATA, in words that name the limit, when it takes more.
struct br_query_limits {
    uint64_t rows_max; // of the result, and of what is gathered for it
    size_t memory_max; // bytes: groups, join sides, gathered rows and the texts that are being made
    // Asked in every batch of every step; anything but BR_OK ends the query with it. NULL: nobody is asked.
    enum br_status (*go_on)(void *context, struct br_error *error);
    void *context;
};
// Runs a bound query over the graph's views with operators of its own on a memory store; gives the result rows, sorted
// and limited, in batches of the query's root fields (visible ones first). A failing expression is BR_DATA, as in
// PostgreSQL. A view of which the query wants the rows with one key, or with one beginning of a key, is not read whole.
enum br_status br_graph_query(struct br_graph *graph, const struct br_query *query,
                              const struct br_query_limits *limits, const struct br_epoch *epoch, br_graph_each each,
                              void *context, struct br_error *error) BR_MUST_CHECK;

// The rows of a query's root, gathered in memory, then net, sorted and limited: what br_graph_query does behind its
// graph, for those that run the graph themselves. Weights may be negative when the root isn't append-only; rows that
// are left in the end must not be.
struct br_query_rows;
struct br_query_rows *br_query_rows_create(const struct br_query *query); // borrowed
void br_query_rows_destroy(struct br_query_rows **rows);
void br_query_rows_add(struct br_query_rows *rows, const struct br_batch *batch); // copies
// True when no more rows are needed (a LIMIT without ORDER BY over rows that only grow).
bool br_query_rows_enough(const struct br_query_rows *rows);
// Once, at the end.
enum br_status br_query_rows_give(struct br_query_rows *rows, br_graph_each each, void *context, struct br_error *error)
    BR_MUST_CHECK;

#endif
