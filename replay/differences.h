// SPDX-License-Identifier: Apache-2.0
// The difference set: which rows of which views differ between two lineages that stand at the same position, kept up to
// date with the changes of both. Promote publishes it; so a cut-over costs what differs, not what there is.
//
// Views are matched by name. What can be done about a view depends on both of its definitions:
//
//   same       published alike on both sides (columns, key, subject, format): rows that differ are tracked
//   anew       the same, but of what was published by the former a part is gone (published.h, F3), so that nobody can
//              tell what subscribers know: every row of the other comes, and what is left of the former's others goes
//   replaced   in both, but published otherwise: all rows of the former go, all of the other come
//   removed    only in the former: all rows go
//   new        only in the other: all rows come
//   unstored   append-only and not stored (on either side): there is nothing to compare; it changes from the cut-over
//   on effect     declared an effect: a replay never releases it
//
// D1. For a tracked key that is in no entry both sides have the same row. (Of a view that is given anew all have one.)
// D2. Entries are given in key order, so the same difference is given as the same messages.
#ifndef BR_REPLAY_DIFFERENCES_H
#define BR_REPLAY_DIFFERENCES_H

#include "replay/published.h"

enum br_view_fate {
    BR_FATE_SAME,
    BR_FATE_ANEW,
    BR_FATE_REPLACED,
    BR_FATE_REMOVED,
    BR_FATE_NEW,
    BR_FATE_UNSTORED,
    BR_FATE_EFFECT,
};
enum br_lineage_side { BR_FORMER, BR_OTHER };

// One side, between two epochs. Borrowed as long as the difference lives.
struct br_lineage_state {
    const struct br_pipeline *pipeline;
    struct br_graph *graph;
    struct br_wall_time clock;
    const struct br_event_time *watermarks; // by table
    // Of a former whose state isn't known: its rows are those that were published, and there is no graph. NULL: they
    // are the graph's.
    struct br_published *published;
    // Of the former: br_compare_options.tick; NULL: none
    enum br_status (*tick)(void *context, struct br_error *error);
    void *tick_context;
};

struct br_differences;

// Compares whatever both sides hold now.
enum br_status br_differences_create(const struct br_lineage_state *former, const struct br_lineage_state *other,
                                     struct br_differences **ret_difference, struct br_error *error) BR_MUST_CHECK;
void br_differences_destroy(struct br_differences **difference);
// Do two plans publish a view alike?
bool br_published_alike(const struct br_view *a, const struct br_view *b);
enum br_view_fate br_differences_fate(const struct br_differences *difference, enum br_lineage_side side,
                                      uint32_t view);

// The net changes of an epoch of one side (br_tap). Both sides must have done the epoch before the set means anything.
enum br_status br_differences_changes(struct br_differences *difference, enum br_lineage_side side,
                                      const struct br_view *view, const struct br_change *changes, size_t count,
                                      struct br_error *error) BR_MUST_CHECK;
enum br_status br_differences_rows(struct br_differences *difference, enum br_lineage_side side,
                                   const struct br_view *view, const struct br_batch *batch, struct br_error *error)
    BR_MUST_CHECK;

// BR_DATA in words when the former's rows of a view without key aren't known: nothing can be made of them.
enum br_status br_differences_check(const struct br_differences *difference, struct br_error *error) BR_MUST_CHECK;
// Keys (or rows of views without key) that differ now, in tracked views.
uint64_t br_differences_count(const struct br_differences *difference);
// Gives what has to be published to turn what subscribers of the former side know into the other side: rows as the
// former side publishes them to `former`, the rest to `other`. Changes that the former side still holds back for an
// emit interval are taken into account.
enum br_status br_differences_give(struct br_differences *difference, const struct br_sink *former,
                                   const struct br_sink *other, struct br_error *error) BR_MUST_CHECK;

#endif
