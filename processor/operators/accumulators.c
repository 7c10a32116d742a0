// SPDX-License-Identifier: Apache-2.0
// Accumulators of fixed size: count, sums, averages, booleans. One loop over the rows of a batch per aggregate.
//
// Sums of integers are 128 bits wide inside; a result that doesn't fit its type fails the group's row until it fits
// again. Doubles are in doubles.c.
#include "processor/expr/datetime.h"
#include "processor/operators/aggregate_internal.h"

struct __attribute__((packed)) integer_sum {
    int64_t count;
    __int128 sum;
};
struct __attribute__((packed)) interval_sum {
    int64_t count, months, days;
    __int128 us;
};
struct __attribute__((packed)) boolean_counts {
    int64_t trues, falses;
};

// --- layout
static bool is_variance(enum br_aggregate_kind kind) {
    return kind == BR_AGG_STDDEV_SAMP || kind == BR_AGG_STDDEV_POP || kind == BR_AGG_VAR_SAMP || kind == BR_AGG_VAR_POP;
}

static bool choose_sum_form(enum br_type type, bool variance, enum br_accumulator_form *ret) {
    switch (type) {
    case BR_INTEGER:
    case BR_BIGINT:
        *ret = variance ? BR_FORM_INTEGER_VARIANCE : BR_FORM_INTEGER;
        return true;
    case BR_NUMERIC:
        *ret = variance ? BR_FORM_NUMERIC_VARIANCE : BR_FORM_NUMERIC;
        return true;
    case BR_DOUBLE:
        *ret = variance ? BR_FORM_DOUBLE_VARIANCE : BR_FORM_DOUBLE;
        return true;
    case BR_INTERVAL:
        *ret = BR_FORM_INTERVAL;
        return !variance;
    default:
        return false;
    }
}

static bool choose_form(const struct br_aggregate *aggregate, enum br_accumulator_form *ret) {
    enum br_type type = aggregate->argument_type;
    switch (aggregate->kind) {
    case BR_AGG_COUNT:
        *ret = BR_FORM_COUNT;
        return true;
    case BR_AGG_MIN:
    case BR_AGG_MAX:
        *ret = type == BR_TEXT || type == BR_BYTEA ? BR_FORM_TEXT_EXTREME : BR_FORM_EXTREME;
        return true;
    case BR_AGG_BOOL_AND:
    case BR_AGG_BOOL_OR:
        *ret = BR_FORM_BOOLEANS;
        return type == BR_BOOLEAN;
    default:
        return choose_sum_form(type, is_variance(aggregate->kind), ret);
    }
}

static uint32_t fixed_size(enum br_accumulator_form form) {
    switch (form) {
    case BR_FORM_COUNT:
    case BR_FORM_NUMERIC:
    case BR_FORM_NUMERIC_VARIANCE:
        return sizeof(int64_t);
    case BR_FORM_INTEGER:
        return sizeof(struct integer_sum);
    case BR_FORM_DOUBLE:
        return BR_DOUBLE_SUM_SIZE;
    case BR_FORM_INTERVAL:
        return sizeof(struct interval_sum);
    case BR_FORM_BOOLEANS:
        return sizeof(struct boolean_counts);
    case BR_FORM_EXTREME:
    case BR_FORM_TEXT_EXTREME:
        return BR_EXTREME_SIZE;
    case BR_FORM_INTEGER_VARIANCE:
        return BR_INTEGER_VARIANCE_SIZE;
    case BR_FORM_DOUBLE_VARIANCE:
        return BR_DOUBLE_VARIANCE_SIZE;
    }
    return 0;
}

enum br_status br_accumulator_plan(struct br_aggregator *aggregator, struct br_accumulator *accumulator,
                                   const struct br_aggregate *aggregate, bool retracts, struct br_error *error) {
    accumulator->aggregate = aggregate;
    if (!choose_form(aggregate, &accumulator->form) || (aggregate->kind != BR_AGG_COUNT && aggregate->argument < 0))
        return br_error_set(error, BR_FATAL, "plan: node %u has an aggregate that does not exist over %s",
                            aggregator->op.node->id, br_type_name(aggregate->argument_type));
    accumulator->offset = aggregator->fixed_size;
    aggregator->fixed_size += fixed_size(accumulator->form);
    if (accumulator->form == BR_FORM_NUMERIC || accumulator->form == BR_FORM_NUMERIC_VARIANCE) {
        uint32_t size = accumulator->form == BR_FORM_NUMERIC ? BR_SUM_SLOT : BR_SQUARES_SLOT;
        accumulator->tracker = (struct br_tracker){aggregator->slots_size, size};
        aggregator->slots_size += size;
    }
    bool extreme = accumulator->form == BR_FORM_EXTREME || accumulator->form == BR_FORM_TEXT_EXTREME;
    accumulator->distinct = aggregate->distinct && !extreme && accumulator->form != BR_FORM_BOOLEANS;
    if (!accumulator->distinct && !(extreme && retracts))
        return BR_OK;
    uint16_t number = (uint16_t)(2 + (accumulator - aggregator->accumulators));
    return br_operator_table(&aggregator->op, number, extreme ? "ordered values" : "distinct values",
                             &accumulator->multiset, error);
}

// --- taking rows
#define BLOCK(struct_name, row) ((struct struct_name *)(intake->values[row] + accumulator->offset))

static void take_count(const struct br_accumulator *accumulator, const struct br_intake *intake) {
    struct __attribute__((packed)) count {
        int64_t rows;
    };
    for (uint32_t i = 0; i < intake->count; i++) {
        uint32_t r = intake->rows[i];
        BLOCK(count, r)->rows += intake->weights[r];
    }
}

static void take_integers(const struct br_accumulator *accumulator, const struct br_intake *intake,
                          const struct br_column *column) {
    const int32_t *small = column->values;
    const int64_t *large = column->values;
    bool is_small = column->type == BR_INTEGER;
    for (uint32_t i = 0; i < intake->count; i++) {
        uint32_t r = intake->rows[i];
        int64_t value = is_small ? small[r] : large[r];
        struct integer_sum *block = BLOCK(integer_sum, r);
        block->count += intake->weights[r];
        block->sum += (__int128)value * intake->weights[r];
    }
}

static void take_intervals(const struct br_accumulator *accumulator, const struct br_intake *intake,
                           const struct br_column *column) {
    const struct br_interval *values = column->values;
    for (uint32_t i = 0; i < intake->count; i++) {
        uint32_t r = intake->rows[i];
        int32_t weight = intake->weights[r];
        struct interval_sum *block = BLOCK(interval_sum, r);
        block->count += weight;
        block->months += (int64_t)values[r].months * weight;
        block->days += (int64_t)values[r].days * weight;
        block->us += (__int128)values[r].us * weight;
    }
}

static void take_booleans(const struct br_accumulator *accumulator, const struct br_intake *intake,
                          const struct br_column *column) {
    const bool *values = column->values;
    for (uint32_t i = 0; i < intake->count; i++) {
        uint32_t r = intake->rows[i];
        struct boolean_counts *block = BLOCK(boolean_counts, r);
        if (values[r])
            block->trues += intake->weights[r];
        else
            block->falses += intake->weights[r];
    }
}

// Entries are read, not values[]: an entry that grows moves its value.
static void take_numerics(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                          struct br_intake *intake, const struct br_column *column) {
    const struct br_numeric *values = column->values;
    for (uint32_t i = 0; i < intake->count; i++) {
        uint32_t r = intake->rows[i];
        struct br_entry *entry = intake->entries[r];
        struct br_numeric value = accumulator->distinct ? br_numeric_normalize(values[r]) : values[r];
        int64_t count;
        memcpy(&count, entry->value + accumulator->offset, sizeof count);
        count += intake->weights[r];
        memcpy(entry->value + accumulator->offset, &count, sizeof count);
        if (br_scaled_add(aggregator, accumulator->tracker, entry, value, intake->weights[r]))
            intake->moved = true;
    }
}

void br_accumulator_take(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                         struct br_intake *intake) {
    int32_t argument = accumulator->aggregate->argument;
    const struct br_column *column = argument < 0 ? NULL : &intake->batch->columns[argument];
    switch (accumulator->form) {
    case BR_FORM_COUNT:
        take_count(accumulator, intake);
        break;
    case BR_FORM_INTEGER:
        take_integers(accumulator, intake, column);
        break;
    case BR_FORM_NUMERIC:
    case BR_FORM_NUMERIC_VARIANCE:
        take_numerics(aggregator, accumulator, intake, column);
        break;
    case BR_FORM_DOUBLE:
    case BR_FORM_DOUBLE_VARIANCE:
        br_doubles_take(aggregator, accumulator, intake);
        break;
    case BR_FORM_INTERVAL:
        take_intervals(accumulator, intake, column);
        break;
    case BR_FORM_BOOLEANS:
        take_booleans(accumulator, intake, column);
        break;
    case BR_FORM_EXTREME:
    case BR_FORM_TEXT_EXTREME:
        br_extreme_take(aggregator, accumulator, intake);
        break;
    case BR_FORM_INTEGER_VARIANCE:
        br_variance_take(accumulator, intake);
        break;
    }
}

// --- results
void br_results_fail(struct br_results *results, uint32_t row, const char *message) {
    br_bit_set(results->failed, row);
    if (results->messages[row] == NULL)
        results->messages[row] = message;
}

#define RESULT(struct_name, row) ((const struct struct_name *)(results->values[row] + accumulator->offset))

static void finish_count(const struct br_accumulator *accumulator, struct br_results *results,
                         struct br_column *column) {
    int64_t *counts = column->values;
    for (uint32_t r = 0; r < results->count; r++) {
        memcpy(&counts[r], results->values[r] + accumulator->offset, sizeof counts[r]);
        br_bit_set(column->validity, r);
    }
}

static void finish_bigint(struct br_results *results, struct br_column *column, uint32_t row, __int128 sum) {
    if (sum < INT64_MIN || sum > INT64_MAX) {
        br_results_fail(results, row, "bigint out of range");
        return;
    }
    ((int64_t *)column->values)[row] = (int64_t)sum;
    br_bit_set(column->validity, row);
}

static void set_numeric(struct br_results *results, struct br_column *column, uint32_t row, bool fits,
                        struct br_numeric value) {
    if (!fits) {
        br_results_fail(results, row, "value overflows numeric format");
        return;
    }
    ((struct br_numeric *)column->values)[row] = value;
    br_bit_set(column->validity, row);
}

// numeric.h's division when the sum fits a numeric, as it nearly always does.
static bool divide_by_count(const struct br_int1280 *sum, unsigned scale, int64_t count, struct br_numeric *ret) {
    struct br_int1280 divisor = br_int1280_from_int128(count);
    return br_int1280_quotient(sum, scale, &divisor, ret);
}

static void finish_integers(const struct br_accumulator *accumulator, struct br_results *results,
                            struct br_column *column) {
    for (uint32_t r = 0; r < results->count; r++) {
        struct integer_sum block = *RESULT(integer_sum, r);
        struct br_numeric value = {0};
        bool fits = false;
        if (block.count == 0)
            continue;
        if (column->type == BR_BIGINT) {
            finish_bigint(results, column, r, block.sum);
            continue;
        }
        fits = br_numeric_make(block.sum, 0, &value);
        if (accumulator->aggregate->kind == BR_AGG_AVG) {
            struct br_int1280 sum = br_int1280_from_int128(block.sum);
            fits = fits ? br_numeric_divide(value, br_numeric_from_int64(block.count), &value)
                        : divide_by_count(&sum, 0, block.count, &value);
        }
        set_numeric(results, column, r, fits, value);
    }
}

static bool numeric_result(const struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                           const uint8_t *value, int64_t count, struct br_numeric *ret) {
    bool average = accumulator->aggregate->kind == BR_AGG_AVG;
    struct br_numeric sum;
    if (br_scaled_quick_sum(aggregator, accumulator->tracker, value, &sum)) {
        *ret = sum;
        return !average || br_numeric_divide(sum, br_numeric_from_int64(count), ret);
    }
    unsigned scale = br_scaled_largest(aggregator, accumulator->tracker, value);
    struct br_int1280 wide = br_scaled_sum(aggregator, accumulator->tracker, value, scale);
    return average ? divide_by_count(&wide, scale, count, ret) : br_int1280_to_numeric(&wide, scale, ret);
}

static void finish_numerics(const struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                            struct br_results *results, struct br_column *column) {
    for (uint32_t r = 0; r < results->count; r++) {
        int64_t count;
        memcpy(&count, results->values[r] + accumulator->offset, sizeof count);
        struct br_numeric value = {0};
        if (count == 0)
            continue;
        bool fits = numeric_result(aggregator, accumulator, results->values[r], count, &value);
        set_numeric(results, column, r, fits, value);
    }
}

static bool interval_result(const struct interval_sum *block, bool average, struct br_interval *ret) {
    if (average)
        return br_interval_average(block->months, block->days, block->us, block->count, ret);
    *ret =
        (struct br_interval){.us = (int64_t)block->us, .days = (int32_t)block->days, .months = (int32_t)block->months};
    return ret->months == block->months && ret->days == block->days && ret->us == block->us;
}

static void finish_intervals(const struct br_accumulator *accumulator, struct br_results *results,
                             struct br_column *column) {
    bool average = accumulator->aggregate->kind == BR_AGG_AVG;
    for (uint32_t r = 0; r < results->count; r++) {
        struct interval_sum block = *RESULT(interval_sum, r);
        if (block.count == 0)
            continue;
        if (!interval_result(&block, average, &((struct br_interval *)column->values)[r]))
            br_results_fail(results, r, "interval out of range");
        else
            br_bit_set(column->validity, r);
    }
}

static void finish_booleans(const struct br_accumulator *accumulator, struct br_results *results,
                            struct br_column *column) {
    bool all = accumulator->aggregate->kind == BR_AGG_BOOL_AND;
    for (uint32_t r = 0; r < results->count; r++) {
        struct boolean_counts block = *RESULT(boolean_counts, r);
        if (block.trues == 0 && block.falses == 0)
            continue;
        ((bool *)column->values)[r] = all ? block.falses == 0 : block.trues != 0;
        br_bit_set(column->validity, r);
    }
}

void br_accumulator_finish(const struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                           struct br_results *results, struct br_column *column) {
    switch (accumulator->form) {
    case BR_FORM_COUNT:
        finish_count(accumulator, results, column);
        break;
    case BR_FORM_INTEGER:
        finish_integers(accumulator, results, column);
        break;
    case BR_FORM_NUMERIC:
        finish_numerics(aggregator, accumulator, results, column);
        break;
    case BR_FORM_DOUBLE:
    case BR_FORM_DOUBLE_VARIANCE:
        br_doubles_finish(aggregator, accumulator, results, column);
        break;
    case BR_FORM_INTERVAL:
        finish_intervals(accumulator, results, column);
        break;
    case BR_FORM_BOOLEANS:
        finish_booleans(accumulator, results, column);
        break;
    case BR_FORM_EXTREME:
    case BR_FORM_TEXT_EXTREME:
        br_extreme_finish(aggregator, accumulator, results, column);
        break;
    case BR_FORM_INTEGER_VARIANCE:
    case BR_FORM_NUMERIC_VARIANCE:
        br_variance_finish(aggregator, accumulator, results, column);
        break;
    }
}
