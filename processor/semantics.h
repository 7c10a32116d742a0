// SPDX-License-Identifier: Apache-2.0
// By which rules a build computes: the semantics number that every commit bears.
//
// Two builds with one number give the same rows, digests and published bytes for the same plan, input and state. Where
// a build computes something otherwise than the one before it, the number grows and a row of the table in semantics.c
// says what: a pipeline that has no such node is recovered, verified and promoted as before; one that has is refused
// before anything of it is computed.
#ifndef BR_PROCESSOR_SEMANTICS_H
#define BR_PROCESSOR_SEMANTICS_H

#include "base/bytes.h"
#include "processor/sql/plan.h"

#define BR_SEMANTICS 1u      // of this build; commits of version 0.1.0 bear none, which is 0
uint32_t br_semantics(void); // the same; a test links a build whose number is larger

// Does this build compute any part of the pipeline otherwise than a build with the number `since` did, or does it bind
// its text to another plan than the log's (br_pipeline.bound_otherwise)? If so, appends
// to `words` which part and what: "view daily: sum(double precision) is exact now".
bool br_semantics_differ(const struct br_pipeline *pipeline, uint32_t since, struct br_buffer *words);
// Is there a part that this build can't compute at all, so that all its rows would fail? Appends which.
bool br_semantics_lack(const struct br_pipeline *pipeline, struct br_buffer *words);

#endif
