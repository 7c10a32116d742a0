// SPDX-License-Identifier: Apache-2.0
// min and max: the group's extreme as it stands in the group's value, and its order.
//
// The order is total, so that the extreme is a function of the multiset: by value, then, where equal values are written
// in several ways, numerics by scale and intervals by (months, days, time). min is the first in it, max the last. -0 is
// taken as 0. Over rows that only come, the extreme alone is kept. Where rows also go, all values are counted in an
// ordered table (multiset.c); when the extreme goes away, the group is marked stale and the next one is sought there at
// the end of the epoch.
#include "processor/operators/aggregate_internal.h"
#include "processor/operators/multiset_internal.h"

#include <math.h>

enum { EMPTY, HELD, STALE };

struct __attribute__((packed)) extreme {
    uint8_t state;
    uint8_t unused[7];
    union {
        uint8_t value[16]; // union br_cell
        struct __attribute__((packed)) {
            uint32_t offset, len; // in the group's tail
        } text;
    };
};
_Static_assert(sizeof(struct extreme) == BR_EXTREME_SIZE, "laid out as planned");
_Static_assert(sizeof(union br_cell) == 16, "fits the extreme");

union br_cell br_cell_load(const struct br_column *column, uint32_t row) {
    union br_cell cell = {.interval = {0}};
    switch (column->type) {
    case BR_BOOLEAN:
        cell.integer = ((const bool *)column->values)[row];
        break;
    case BR_INTEGER:
    case BR_DATE:
        cell.integer = ((const int32_t *)column->values)[row];
        break;
    case BR_DOUBLE:
        cell.real = ((const double *)column->values)[row];
        if (cell.real == 0)
            cell.real = 0;
        if (isnan(cell.real))
            cell.real = NAN;
        break;
    case BR_NUMERIC:
        cell.numeric = ((const struct br_numeric *)column->values)[row];
        break;
    case BR_INTERVAL:
        cell.interval = ((const struct br_interval *)column->values)[row];
        break;
    default:
        cell.integer = ((const int64_t *)column->values)[row];
    }
    return cell;
}

static void cell_store(struct br_column *column, uint32_t row, union br_cell cell) {
    switch (column->type) {
    case BR_BOOLEAN:
        ((bool *)column->values)[row] = cell.integer != 0;
        break;
    case BR_INTEGER:
    case BR_DATE:
        ((int32_t *)column->values)[row] = (int32_t)cell.integer;
        break;
    case BR_DOUBLE:
        ((double *)column->values)[row] = cell.real;
        break;
    case BR_NUMERIC:
        ((struct br_numeric *)column->values)[row] = cell.numeric;
        break;
    case BR_INTERVAL:
        ((struct br_interval *)column->values)[row] = cell.interval;
        break;
    default:
        ((int64_t *)column->values)[row] = cell.integer;
    }
    br_bit_set(column->validity, row);
}

static int compare_int64(int64_t a, int64_t b) {
    return a < b ? -1 : a > b;
}

static int compare_doubles(double a, double b) {
    if (isnan(a) || isnan(b))
        return (isnan(a) ? 1 : 0) - (isnan(b) ? 1 : 0);
    return a < b ? -1 : a > b;
}

static int compare_intervals(struct br_interval a, struct br_interval b) {
    int order = br_interval_compare(a, b);
    if (order == 0)
        order = compare_int64(a.months, b.months);
    if (order == 0)
        order = compare_int64(a.days, b.days);
    return order;
}

static int compare_cells(enum br_type type, union br_cell a, union br_cell b) {
    switch (type) {
    case BR_DOUBLE:
        return compare_doubles(a.real, b.real);
    case BR_NUMERIC: {
        int order = br_numeric_compare(a.numeric, b.numeric);
        return order != 0 ? order : compare_int64(br_numeric_scale(a.numeric), br_numeric_scale(b.numeric));
    }
    case BR_INTERVAL:
        return compare_intervals(a.interval, b.interval);
    default:
        return compare_int64(a.integer, b.integer);
    }
}

// --- the group's value
static struct extreme *extreme_of(const struct br_accumulator *accumulator, uint8_t *value) {
    return (struct extreme *)(value + accumulator->offset);
}

struct br_slice br_extreme_text(const struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                                const uint8_t *value) {
    const struct extreme *extreme = (const struct extreme *)(value + accumulator->offset);
    return (struct br_slice){br_group_tail(aggregator, value) + extreme->text.offset, extreme->text.len};
}

void br_extreme_set_place(const struct br_accumulator *accumulator, uint8_t *value, uint32_t offset, uint32_t len) {
    struct extreme *extreme = extreme_of(accumulator, value);
    extreme->text.offset = offset;
    extreme->text.len = len;
}

static bool beats(const struct br_accumulator *accumulator, int order) {
    return accumulator->aggregate->kind == BR_AGG_MIN ? order < 0 : order > 0;
}

static void hold_cell(const struct br_accumulator *accumulator, struct br_entry *entry, union br_cell cell) {
    struct extreme *extreme = extreme_of(accumulator, entry->value);
    extreme->state = HELD;
    memcpy(extreme->value, &cell, sizeof cell);
}

static bool hold_text(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                      struct br_entry *entry, struct br_slice text) {
    struct br_slice held = br_extreme_text(aggregator, accumulator, entry->value);
    extreme_of(accumulator, entry->value)->state = HELD;
    if (held.len == text.len) {
        if (text.len != 0)
            memcpy((uint8_t *)(uintptr_t)held.ptr, text.ptr, text.len);
        return false;
    }
    uint32_t capacity = ((const struct br_group *)entry->value)->slot_capacity;
    br_group_relay(aggregator, entry, capacity, accumulator, text);
    return true;
}

// A value has come to the group. True when the entry's value moved.
bool br_extreme_came(struct br_aggregator *aggregator, const struct br_accumulator *accumulator, struct br_entry *entry,
                     const struct br_column *column, uint32_t row) {
    struct extreme *extreme = extreme_of(accumulator, entry->value);
    if (extreme->state == STALE)
        return false;
    bool first = extreme->state == EMPTY;
    if (accumulator->form == BR_FORM_TEXT_EXTREME) {
        struct br_slice text = ((const struct br_slice *)column->values)[row];
        struct br_slice held = br_extreme_text(aggregator, accumulator, entry->value);
        if (first || beats(accumulator, br_slice_compare(text, held)))
            return hold_text(aggregator, accumulator, entry, text);
        return false;
    }
    union br_cell cell = br_cell_load(column, row), held;
    memcpy(&held, extreme->value, sizeof held);
    if (first || beats(accumulator, compare_cells(column->type, cell, held)))
        hold_cell(accumulator, entry, cell);
    return false;
}

// The last of a value has gone from the group.
void br_extreme_went(struct br_aggregator *aggregator, const struct br_accumulator *accumulator, struct br_entry *entry,
                     const struct br_column *column, uint32_t row) {
    struct extreme *extreme = extreme_of(accumulator, entry->value);
    if (extreme->state != HELD)
        return;
    bool was_it;
    if (accumulator->form == BR_FORM_TEXT_EXTREME) {
        was_it = br_slice_equal(((const struct br_slice *)column->values)[row],
                                br_extreme_text(aggregator, accumulator, entry->value));
    } else {
        union br_cell held;
        memcpy(&held, extreme->value, sizeof held);
        was_it = compare_cells(column->type, br_cell_load(column, row), held) == 0;
    }
    if (was_it)
        extreme->state = STALE;
}

void br_extreme_take(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                     struct br_intake *intake) {
    const struct br_column *column = &intake->batch->columns[accumulator->aggregate->argument];
    for (uint32_t i = 0; i < intake->count; i++) {
        uint32_t r = intake->rows[i];
        if (br_extreme_came(aggregator, accumulator, intake->entries[r], column, r))
            intake->moved = true;
    }
}

enum br_status br_extreme_refresh(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                                  struct br_entry *entry, struct br_error *error) {
    struct extreme *extreme = extreme_of(accumulator, entry->value);
    if (extreme->state != STALE)
        return BR_OK;
    struct br_multiset_value next;
    struct br_slice group = {entry->key, entry->key_len};
    BR_TRY(br_multiset_first(aggregator, accumulator, group, &next, error));
    br_entry_mark_dirty(aggregator->groups, entry);
    if (!next.found)
        extreme_of(accumulator, entry->value)->state = EMPTY;
    else if (accumulator->form == BR_FORM_TEXT_EXTREME)
        hold_text(aggregator, accumulator, entry, next.text);
    else
        hold_cell(accumulator, entry, next.cell);
    return BR_OK;
}

void br_extreme_finish(const struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                       struct br_results *results, struct br_column *column) {
    for (uint32_t r = 0; r < results->count; r++) {
        const uint8_t *value = results->values[r];
        const struct extreme *extreme = (const struct extreme *)(value + accumulator->offset);
        if (extreme->state == EMPTY)
            continue;
        BR_CHECK(extreme->state == HELD);
        if (accumulator->form == BR_FORM_TEXT_EXTREME) {
            ((struct br_slice *)column->values)[r] = br_extreme_text(aggregator, accumulator, value);
            br_bit_set(column->validity, r);
            continue;
        }
        union br_cell cell;
        memcpy(&cell, extreme->value, sizeof cell);
        cell_store(column, r, cell);
    }
}
