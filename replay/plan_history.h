// SPDX-License-Identifier: Apache-2.0
// What a plan wants to know of a history (plan.h) from the archive's segments (history.h).
#ifndef BR_REPLAY_PLAN_HISTORY_H
#define BR_REPLAY_PLAN_HISTORY_H

#include "replay/history.h"
#include "replay/plan.h"

// The history is borrowed. Thread: of the plan.
struct br_history_source br_plan_history(struct br_history *history);

#endif
