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
// Are the rows of two views of one name the same (U1)?
bool upgrade_same_rows(const struct br_pipeline *before_pipeline, const struct br_view *before,
                       const struct br_pipeline *after_pipeline, const struct br_view *after);
const struct br_column_def *upgrade_find_column(const struct br_row_type *type, const char *name, uint32_t *ret_index);

// --- upgrade_fields.c
void upgrade_find_moves(struct br_upgrade *upgrade); // U5
// Is what the column reads on the wire another field, or of another type, than before? NULL: no; else in words.
const char *upgrade_wire_change(struct br_arena *arena, const struct br_row_type *before,
                                const struct br_column_def *was, const struct br_row_type *after,
                                const struct br_column_def *now);
// Do the values of an enum that the column reads (and the members of its oneof) mean what they did? false: *ret_why
// says which doesn't. *ret_more (may be NULL) is set when there are further ones, which it names.
bool upgrade_same_labels(struct br_arena *arena, const struct br_row_type *before, const struct br_column_def *was,
                         const struct br_row_type *after, const struct br_column_def *now, const char **ret_why,
                         const char **ret_more);
const struct br_view *upgrade_view_of(const struct br_pipeline *pipeline, const struct br_node *root);

#endif
