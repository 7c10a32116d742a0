// SPDX-License-Identifier: Apache-2.0
// What a replay makes of each view: the verdict of upgrade.h, and what can't be compared or isn't released.
#ifndef BR_REPLAY_PLAN_VIEWS_H
#define BR_REPLAY_PLAN_VIEWS_H

#include "replay/plan.h"

// take_over, rebuild: as br_replay_plan_options. All in the arena.
size_t br_plan_views(const struct br_upgrade *upgrade, bool take_over, bool rebuild, struct br_arena *arena,
                     const struct br_plan_view **ret_views);
// Does the view keep rows, so that br_graph_scan gives them?
bool br_view_keeps_rows(const struct br_view *view);

#endif
