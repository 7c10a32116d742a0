// SPDX-License-Identifier: Apache-2.0
// Why a row differs, where it can be known.
//
// Evidence is what the owner's lineage has left out: its ledger of late events and its quarantine, on the output
// stream. An event is evidence for a row of a view above its table when all that can be compared agrees: the row's
// window holds it, and key columns that come from the table's columns have the event's values (of a view without key:
// any columns). Columns that are computed, and events that can't be decoded, compare with nothing.
//
// In this order: a late event, a quarantined one, a changed function (the view would be rebuilt for functions or casts
// alone, upgrade.h), a changed plan, unknown. Evidence is kept as 64-bit hashes.
#ifndef BR_REPLAY_CAUSES_H
#define BR_REPLAY_CAUSES_H

#include "processor/log/log.h"
#include "replay/compare.h"

struct br_causes;

// Pipelines borrowed. Without evidence it tells plans apart.
enum br_status br_causes_create(const struct br_pipeline *before, const struct br_pipeline *after,
                                struct br_causes **ret_causes, struct br_error *error) BR_MUST_CHECK;
void br_causes_destroy(struct br_causes **causes);
// What the plans say is asked of this pipeline instead of `after`, which is the same, narrowed to a key. Borrowed.
void br_causes_compare_plans(struct br_causes *causes, const struct br_pipeline *after);
// Views whose plans are the same are computed otherwise by this build: a function of theirs has changed.
void br_causes_computed_otherwise(struct br_causes *causes);
// Reads the evidence on the output stream of the pipeline before, up to its end as of now.
enum br_status br_causes_read(struct br_causes *causes, struct br_log *log, struct br_error *error) BR_MUST_CHECK;
// Takes one message of the ledger or the quarantine; what says nothing is ignored.
void br_causes_add(struct br_causes *causes, const struct br_log_message *message);
// Fits br_compare_options.cause.
enum br_cause br_causes_of(void *causes, const struct br_difference *difference);

#endif
