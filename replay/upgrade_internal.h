// SPDX-License-Identifier: Apache-2.0
// Why a view's plan differs: what upgrade.c asks of upgrade_why.c.
#ifndef BR_REPLAY_UPGRADE_INTERNAL_H
#define BR_REPLAY_UPGRADE_INTERNAL_H

#include "replay/upgrade.h"

struct upgrade_reasons {
    struct br_arena *arena;
    const struct br_pipeline *before, *after;
    struct br_buffer text; // joined by "; "
    bool functions, others;
};
void upgrade_reason(struct upgrade_reasons *reasons, const char *format, ...) BR_PRINTF(2, 3);
// What differs in the plans of two views of one name whose signatures differ.
void upgrade_explain(struct upgrade_reasons *reasons, const struct br_view *before, const struct br_view *after);
const struct br_view *upgrade_view_of(const struct br_pipeline *pipeline, const struct br_node *root);

#endif
