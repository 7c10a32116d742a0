// SPDX-License-Identifier: Apache-2.0
// What a replay makes of each view: the verdict of upgrade.h, and what can't be compared or isn't released.
#ifndef BR_REPLAY_PLAN_VIEWS_H
#define BR_REPLAY_PLAN_VIEWS_H

#include "replay/plan.h"

// before: the pipeline that runs; after: the one to replay with, NULL: the same. All in the arena.
size_t br_plan_views(const struct br_pipeline *before, const struct br_pipeline *after, struct br_arena *arena,
                     const struct br_plan_view **ret_views);

#endif
