// SPDX-License-Identifier: Apache-2.0
// Names that the forms of a report share.
#ifndef BR_REPLAY_REPORT_INTERNAL_H
#define BR_REPLAY_REPORT_INTERNAL_H

#include "replay/report.h"

#include <inttypes.h>

const char *br_report_kind_name(Braid__V1__DifferenceKind kind);    // "changed"
const char *br_report_cause_name(Braid__V1__DifferenceCause cause); // "late event"

#endif
