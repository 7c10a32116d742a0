// SPDX-License-Identifier: Apache-2.0
// Which rows of a join no open window needs, as the plan tells.
//
// A join keeps the rows of a side for the changes of the other side that are still to come. It needs a row no more when
//   N1. all that reads the join's output ignores the row: every way up from the join ends in an aggregate whose windows
//       close by a column that the side gives, and this row's window is closed; or
//   N2. the other side changes no more where the row could meet it: both sides are joined on a window bound, the other
//       side comes of an aggregate whose windows close by it, and the window is closed. A view that reads the join's
//       rows back still needs those that have met something.
// In both cases a row is done for when column + offset <= watermark, of one table or of two.
#ifndef BR_PROCESSOR_OPERATORS_CLOSING_H
#define BR_PROCESSOR_OPERATORS_CLOSING_H

#include "processor/operators/graph.h"

struct br_closing {
    bool closes;     // false: all rows are kept
    bool ignored;    // N1; else N2
    bool read_back;  // N2, and a view reads the join's rows back
    uint32_t column; // of the side, timestamptz; of N2 a column of the join key
    uint32_t bound_count;
    struct br_closing_bound {
        uint32_t table; // whose watermark closes
        int64_t offset_us;
    } bounds[2]; // all must hold
};
struct br_closing br_join_closing(const struct br_pipeline *pipeline, const struct br_node *join, uint32_t port);

// The last value of the column that is closed; false when none is. watermarks: by table.
bool br_closing_last(const struct br_closing *closing, const struct br_event_time *watermarks, int64_t *ret_last);
// The last value that a watermark closes; false when it closes none.
bool br_closed_up_to(struct br_event_time watermark, __int128 offset_us, int64_t *ret_last);

#endif
