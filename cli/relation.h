// SPDX-License-Identifier: Apache-2.0
// Views as tables again: folds the changes that a pipeline published into the rows that they add up to.
#ifndef BR_CLI_RELATION_H
#define BR_CLI_RELATION_H

#include "replay/outputs.h"

struct br_relation;

// A weighted row: what a change takes away (-1) or adds (+1).
typedef enum br_status (*br_relation_change)(void *context, const struct br_view *view, uint64_t epoch, int weight,
                                             struct br_slice row, struct br_error *error);

enum br_status br_relation_create(const struct br_pipeline *pipeline, struct br_relation **ret_relation,
                                  struct br_error *error) BR_MUST_CHECK;
void br_relation_destroy(struct br_relation **relation);
// change may be NULL. An upsert gives the old row (-1) and the new one (+1), a delete the old one.
enum br_status br_relation_apply(struct br_relation *relation, const struct br_output_row *row,
                                 br_relation_change change, void *context, struct br_error *error) BR_MUST_CHECK;
// Every row of every view, as often as it is there; weight 1, epoch 0.
enum br_status br_relation_each(struct br_relation *relation, br_relation_change each, void *context,
                                struct br_error *error) BR_MUST_CHECK;

#endif
