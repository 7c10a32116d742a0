// SPDX-License-Identifier: Apache-2.0
// Values of a group, counted: for DISTINCT, and for min and max where rows also go.
//
// One state table per aggregate: group key ++ value → weighted count (8 bytes, little-endian); an entry goes when its
// count is zero. The value is its key component (state/keys.h) followed, for min and max, by what equal values differ
// in: one byte of scale for a numeric, months and days for an interval. For max all of it is inverted bit by bit, so
// that the first key of the group is the extreme in both cases.
#include "processor/operators/multiset_internal.h"

struct counting {
    struct br_slice *keys;
    uint64_t *hashes;
    struct br_entry **entries;
    bool *is_new;
    struct br_entry **emptied;
    uint32_t emptied_count;
};

// --- keys
static void append_distinction(struct br_buffer *key, const struct br_column *column, uint32_t row) {
    if (column->type == BR_NUMERIC)
        br_buffer_append_byte(key, (uint8_t)br_numeric_scale(((const struct br_numeric *)column->values)[row]));
    if (column->type == BR_INTERVAL) {
        br_key_append_int32(key, ((const struct br_interval *)column->values)[row].months);
        br_key_append_int32(key, ((const struct br_interval *)column->values)[row].days);
    }
}

static void append_value(const struct br_accumulator *accumulator, struct br_buffer *key,
                         const struct br_column *column, uint32_t row) {
    size_t begin = key->len;
    br_key_append_value(key, column, row);
    if (accumulator->distinct)
        return;
    append_distinction(key, column, row);
    if (accumulator->aggregate->kind != BR_AGG_MAX)
        return;
    for (size_t i = begin; i < key->len; i++)
        key->ptr[i] = (uint8_t)~key->ptr[i];
}

// Entries of the intake's values, one per row taken.
static enum br_status obtain_counts(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                                    const struct br_intake *intake, struct counting *counting, struct br_error *error) {
    struct br_arena *arena = aggregator->op.arena;
    const struct br_column *column = &intake->batch->columns[accumulator->aggregate->argument];
    uint32_t count = intake->count;
    counting->keys = br_arena_alloc(arena, count * sizeof *counting->keys);
    counting->hashes = br_arena_alloc(arena, count * sizeof *counting->hashes);
    counting->entries = br_arena_alloc(arena, count * sizeof(struct br_entry *));
    counting->is_new = br_arena_alloc(arena, count);
    counting->emptied = br_arena_alloc(arena, count * sizeof(struct br_entry *));
    counting->emptied_count = 0;
    struct br_buffer *buffer = &aggregator->buffer;
    for (uint32_t i = 0; i < count; i++) {
        br_buffer_clear(buffer);
        br_buffer_append_slice(buffer, intake->keys[intake->rows[i]]);
        append_value(accumulator, buffer, column, intake->rows[i]);
        counting->keys[i] = br_arena_copy(arena, br_buffer_slice(buffer));
        counting->hashes[i] = br_state_hash(counting->keys[i]);
    }
    return br_state_obtain_many(accumulator->multiset, counting->keys, counting->hashes, count, sizeof(int64_t),
                                counting->entries, counting->is_new, error);
}

static int64_t read_count(const uint8_t *value) {
    int64_t count;
    memcpy(&count, value, sizeof count);
    return count;
}

// Returns the count before; an entry that may have become empty is noted once.
static int64_t add_count(const struct br_accumulator *accumulator, struct counting *counting, uint32_t index,
                         int32_t weight) {
    struct br_entry *entry = counting->entries[index];
    int64_t before = read_count(entry->value), after = before + weight;
    br_entry_mark_dirty(accumulator->multiset, entry);
    memcpy(entry->value, &after, sizeof after);
    if (after == 0 && entry->touched != counting->emptied) {
        entry->touched = counting->emptied;
        counting->emptied[counting->emptied_count++] = entry;
    }
    return before;
}

static void drop_emptied(const struct br_accumulator *accumulator, struct counting *counting) {
    for (uint32_t i = 0; i < counting->emptied_count; i++) {
        struct br_entry *entry = counting->emptied[i];
        entry->touched = NULL;
        if (read_count(entry->value) == 0)
            br_entry_delete(accumulator->multiset, entry);
    }
}

// --- min and max
enum br_status br_multiset_take(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                                struct br_intake *intake, struct br_error *error) {
    struct counting counting;
    if (intake->count == 0)
        return BR_OK;
    BR_TRY(obtain_counts(aggregator, accumulator, intake, &counting, error));
    const struct br_column *column = &intake->batch->columns[accumulator->aggregate->argument];
    for (uint32_t i = 0; i < intake->count; i++) {
        uint32_t r = intake->rows[i];
        int32_t weight = intake->weights[r];
        int64_t before = add_count(accumulator, &counting, i, weight), after = before + weight;
        if (before <= 0 && after > 0) {
            if (br_extreme_came(aggregator, accumulator, intake->entries[r], column, r))
                intake->moved = true;
        } else if (before > 0 && after <= 0) {
            br_extreme_went(aggregator, accumulator, intake->entries[r], column, r);
        }
    }
    drop_emptied(accumulator, &counting);
    return BR_OK;
}

static bool read_cell(enum br_type type, struct br_slice bytes, struct br_arena *arena, struct br_multiset_value *ret) {
    struct br_value value;
    size_t size = br_key_read_value(bytes, type, arena, &value);
    if (size == 0 || value.is_null)
        return false;
    struct br_slice rest = {bytes.ptr + size, bytes.len - size};
    switch (type) {
    case BR_TEXT:
    case BR_BYTEA:
        ret->text = value.bytes;
        return true;
    case BR_NUMERIC: {
        unsigned scale = br_numeric_scale(value.numeric);
        __int128 coefficient = br_numeric_coefficient(value.numeric);
        for (; rest.len == 1 && scale < rest.ptr[0]; scale++)
            coefficient *= 10;
        return rest.len == 1 && br_numeric_make(coefficient, scale, &ret->cell.numeric);
    }
    case BR_INTERVAL: {
        int32_t months, days;
        size_t first = br_key_read_int32(rest, &months);
        size_t second =
            first == 0 ? 0 : br_key_read_int32((struct br_slice){rest.ptr + first, rest.len - first}, &days);
        if (second == 0)
            return false;
        // The key holds the interval's length; what months and days do not make up is its time.
        __int128 day_us = (__int128)86400 * BR_US_PER_SECOND;
        __int128 length = ((__int128)value.interval.months * 30 + value.interval.days) * day_us + value.interval.us;
        int64_t us = (int64_t)(length - ((__int128)months * 30 + days) * day_us);
        ret->cell.interval = (struct br_interval){.us = us, .days = days, .months = months};
        return true;
    }
    case BR_DOUBLE:
        ret->cell.real = value.real;
        return true;
    case BR_INTEGER:
    case BR_DATE:
        ret->cell.integer = value.integer;
        return true;
    case BR_BOOLEAN:
        ret->cell.integer = value.boolean;
        return true;
    default:
        ret->cell.integer = value.bigint;
        return true;
    }
}

static enum br_status read_first(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                                 struct br_state_iterator *values, size_t group_len, struct br_multiset_value *ret,
                                 struct br_error *error) {
    struct br_slice key, value;
    while (br_state_iterator_next(values, &key, &value)) {
        if (read_count(value.ptr) <= 0)
            continue;
        struct br_slice bytes =
            br_arena_copy(aggregator->op.arena, (struct br_slice){key.ptr + group_len, key.len - group_len});
        if (accumulator->aggregate->kind == BR_AGG_MAX)
            for (size_t i = 0; i < bytes.len; i++)
                ((uint8_t *)(uintptr_t)bytes.ptr)[i] = (uint8_t)~bytes.ptr[i];
        ret->found = read_cell(accumulator->aggregate->argument_type, bytes, aggregator->op.arena, ret);
        if (!ret->found)
            return br_error_set(error, BR_FATAL, "damaged state: node %u has a malformed value in its ordered values",
                                aggregator->op.node->id);
        return BR_OK;
    }
    return br_state_iterator_status(values, error);
}

enum br_status br_multiset_first(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                                 struct br_slice group, struct br_multiset_value *ret, struct br_error *error) {
    struct br_buffer *end = &aggregator->buffer;
    br_buffer_clear(end);
    *ret = (struct br_multiset_value){0};
    struct br_slice last = {0};
    if (br_key_prefix_end(group, end))
        last = br_buffer_slice(end);
    struct br_state_iterator *values = NULL;
    BR_TRY(br_state_scan(accumulator->multiset, group, last, &values, error));
    enum br_status status = read_first(aggregator, accumulator, values, group.len, ret, error);
    br_state_iterator_destroy(&values);
    return status;
}

// --- DISTINCT
// The scale that a distinct sum is shown with is that of all rows, not of the one that happened to come first.
static void count_scales(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                         struct br_intake *intake, const struct br_column *column) {
    const struct br_numeric *values = column->values;
    for (uint32_t i = 0; i < intake->count; i++) {
        uint32_t r = intake->rows[i];
        if (br_scaled_count(aggregator, accumulator->tracker, intake->entries[r], br_numeric_scale(values[r]),
                            intake->weights[r]))
            intake->moved = true;
    }
}

enum br_status br_distinct_take(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                                struct br_intake *intake, struct br_error *error) {
    struct counting counting;
    if (intake->count == 0)
        return BR_OK;
    BR_TRY(obtain_counts(aggregator, accumulator, intake, &counting, error));
    if (accumulator->tracker.size != 0)
        count_scales(aggregator, accumulator, intake, &intake->batch->columns[accumulator->aggregate->argument]);
    uint32_t *rows = br_arena_alloc(aggregator->op.arena, intake->count * sizeof *rows);
    int32_t *weights = br_arena_alloc(aggregator->op.arena, intake->batch->row_count * sizeof *weights);
    uint32_t taken = 0;
    for (uint32_t i = 0; i < intake->count; i++) {
        uint32_t r = intake->rows[i];
        int64_t before = add_count(accumulator, &counting, i, intake->weights[r]), after = before + intake->weights[r];
        if ((before > 0) == (after > 0))
            continue;
        rows[taken++] = r;
        weights[r] = after > 0 ? 1 : -1;
    }
    drop_emptied(accumulator, &counting);
    intake->rows = rows;
    intake->count = taken;
    intake->weights = weights;
    return BR_OK;
}
