// SPDX-License-Identifier: Apache-2.0
// Exact sums of any number of numerics: nothing is ever rounded. Shown with the largest scale among the values.
#ifndef BR_REPLAY_EXACT_SUM_H
#define BR_REPLAY_EXACT_SUM_H

#include "processor/operators/int1280.h"

struct br_exact_sum {
    __int128 parts[BR_NUMERIC_SCALE_MAX + 1]; // by scale: what has come since it last passed 128 bits
    struct br_int1280 whole;                  // what overflowed, at the largest scale there is
    uint64_t count;
    unsigned scale; // the largest that came
};

// Zero-initialise.
void br_exact_sum_add(struct br_exact_sum *sum, struct br_numeric value, int64_t times);
// Appends a - b as decimal text; b NULL: a alone.
void br_exact_sum_print(const struct br_exact_sum *a, const struct br_exact_sum *b, struct br_buffer *out);

#endif
