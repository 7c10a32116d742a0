// SPDX-License-Identifier: Apache-2.0
// Between min/max and the tables in which their values are counted and ordered; see extremes.c and multiset.c.
#ifndef BR_PROCESSOR_OPERATORS_MULTISET_INTERNAL_H
#define BR_PROCESSOR_OPERATORS_MULTISET_INTERNAL_H

#include "processor/expr/datetime.h"
#include "processor/operators/aggregate_internal.h"

// A value of a fixed-width type: integers of every width, booleans, dates and times stand in `integer`.
union br_cell {
    int64_t integer;
    double real;
    struct br_numeric numeric;
    struct br_interval interval;
};
union br_cell br_cell_load(const struct br_column *column, uint32_t row);

struct br_multiset_value {
    bool found;
    union br_cell cell;
    struct br_slice text; // in the aggregator's arena
};
// The group's first value in the order of min or max.
enum br_status br_multiset_first(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                                 struct br_slice group, struct br_multiset_value *ret, struct br_error *error);

bool br_extreme_came(struct br_aggregator *aggregator, const struct br_accumulator *accumulator, struct br_entry *entry,
                     const struct br_column *column, uint32_t row);
void br_extreme_went(struct br_aggregator *aggregator, const struct br_accumulator *accumulator, struct br_entry *entry,
                     const struct br_column *column, uint32_t row);

#endif
