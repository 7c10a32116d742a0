// SPDX-License-Identifier: Apache-2.0
// A reconcile report for people, for programs, and as a verdict for scripts. All work on the message, wherever it comes
// from.
#ifndef BR_REPLAY_REPORT_H
#define BR_REPLAY_REPORT_H

#include "base/bytes.h"
#include "braid/v1/replay.pb-c.h"

// A line per view, then the columns that differ with their sums, then samples with what changed in each row.
void br_report_print(const Braid__V1__ReconcileReport *report, struct br_buffer *out);
// One JSON object, one line. Rows stand in it as objects; sums are numbers with every digit.
void br_report_print_json(const Braid__V1__ReconcileReport *report, struct br_buffer *out);

#define BR_REPORT_ANY_DIFFERENCE "differing>0" // what a script asks when it asks for nothing special

// "unknown>0", "changed>10,missing>0": conditions on totals over all views, any of which makes the report a failure.
// Counts: equal, changed, missing, extra, differing (the last three together), late, quarantined, function, plan,
// unknown, skipped (views that weren't compared). Comparisons: > >= < <= = != (== is =). report NULL: only checks the
// expression. BR_DATA names what is wrong with it. Each condition that holds is told as a line in *why.
enum br_status br_report_fails_on(const char *expression, const Braid__V1__ReconcileReport *report, bool *ret_fails,
                                  struct br_buffer *why, struct br_error *error) BR_MUST_CHECK;

#endif
