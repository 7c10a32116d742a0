// SPDX-License-Identifier: Apache-2.0
// See plan_views.h.
#include "replay/plan_views.h"

// As the operators' scans have it: what only passes rows on has none to be compared.
static bool keeps_rows(const struct br_node *node) {
    switch (node->kind) {
    case BR_NODE_SOURCE:
        return node->source.table->primary_key_count != 0;
    case BR_NODE_JOIN:
        return !node->join.lookup;
    case BR_NODE_FILTER:
    case BR_NODE_PROJECT:
    case BR_NODE_WINDOW:
        return keeps_rows(node->inputs[0]);
    default:
        return true;
    }
}

bool br_view_keeps_rows(const struct br_view *view) {
    return keeps_rows(view->root);
}

static const char *note_of(const struct br_upgrade_view *row, bool same, bool kept, bool effect) {
    if (row->verdict == BR_UPGRADE_REMOVED && !kept)
        return "keeps no rows, so none are taken back";
    if (!kept)
        return same ? "keeps no rows: it can't be compared, and nothing of it is corrected"
                    : "keeps no rows: it can't be compared; a promotion changes what it gives from then on";
    if (effect)
        return same ? "effect: nothing of it is corrected"
                    : "effect: nothing of it is corrected; a promotion changes what it gives from then on";
    return "";
}

static const char *why_of(const struct br_upgrade_view *row, bool take_over, bool rebuild, struct br_arena *arena) {
    if (rebuild && row->verdict == BR_UPGRADE_KEEP)
        return "computed again by this build";
    if (!take_over || row->verdict != BR_UPGRADE_KEEP)
        return br_arena_strdup(arena, row->why);
    const char *before = row->why, *link = *before == '\0' ? "" : "; ";
    if (row->takes_state)
        return br_arena_printf(arena, "%s%sits state is taken over", before, link);
    return br_arena_printf(arena, "%s%scomputed again all the same: %s", before, link, row->again);
}

size_t br_plan_views(const struct br_upgrade *upgrade, bool take_over, bool rebuild, struct br_arena *arena,
                     const struct br_plan_view **ret_views) {
    struct br_plan_view *views = br_arena_array(arena, struct br_plan_view, upgrade->view_count + 1);
    for (uint32_t i = 0; i < upgrade->view_count; i++) {
        const struct br_upgrade_view *row = &upgrade->views[i];
        bool same = row->verdict == BR_UPGRADE_KEEP && !rebuild;
        bool kept = (row->before == NULL || keeps_rows(row->before->root)) &&
                    (row->after == NULL || keeps_rows(row->after->root));
        bool effect = (row->before != NULL && row->before->effect) || (row->after != NULL && row->after->effect);
        views[i] =
            (struct br_plan_view){.view = br_arena_strdup(arena, row->view),
                                  .verdict = br_upgrade_verdict_name(
                                      row->verdict == BR_UPGRADE_KEEP && rebuild ? BR_UPGRADE_REBUILD : row->verdict),
                                  .why = why_of(row, take_over, rebuild, arena),
                                  .note = note_of(row, same, kept, effect),
                                  .corrected = kept && !effect,
                                  .same = same,
                                  .taken_over = take_over && row->takes_state};
    }
    *ret_views = views;
    return upgrade->view_count;
}
