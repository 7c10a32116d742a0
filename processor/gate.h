// SPDX-License-Identifier: Apache-2.0
// Quality gates of a table: DEFAULT, NOT NULL, CHECK, and the bounds of event time, before any view sees the row.
//
// G1. In this order: a missing value with a DEFAULT is filled; the event time must be there (time) and at most
// future_bound ahead of the
//     stream's timestamp (time); NOT NULL columns must have values (null); CHECK conditions must not be FALSE (check)
//     nor fail (expression).
// G2. The first gate that a row breaks names the reason; the row goes to quarantine and nowhere else.
// G3. Deletes pass when their primary key is whole.
// G4. Lenient (a replay that takes quarantined events in): CHECK and the bound ahead turn nothing away. What they would
//     have turned away passes without raising the highest event time: it may not make other events late.
#ifndef BR_PROCESSOR_GATE_H
#define BR_PROCESSOR_GATE_H

#include "processor/input.h"

struct br_gate;

// Was an event rejected for this since its event time was too far ahead?
bool br_gate_is_ahead(const char *reason, const char *detail);

struct br_gate_run {
    struct br_arena *arena; // of the batch
    struct br_wall_time now;
    const struct br_events *events;
    const struct br_intake *intake;
    struct br_event_time *event_time_max; // raised to the highest event time that passed
    bool deletes;
    bool lenient; // G4
};

struct br_gate *br_gate_create(const struct br_table *table);
void br_gate_destroy(struct br_gate **gate);
// Replaces *batch by the rows that pass (the same batch when all do).
enum br_status br_gate_apply(const struct br_gate *gate, struct br_gate_run *run, struct br_batch **batch,
                             struct br_error *error) BR_MUST_CHECK;

#endif
