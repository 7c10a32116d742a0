// SPDX-License-Identifier: Apache-2.0
// Keys of rows; see row.h, and state/keys.h for the bytes.
//
// br_batch_keys writes the same bytes as br_key_append_value, column by column into one run of arena memory, without a
// call or a capacity check per value. Intervals, which state/keys.h has no component for, are their order value
// (br_interval_compare) as 16 bytes big-endian with the sign bit flipped: equal intervals have equal keys.
#include "processor/expr/datetime.h"
#include "processor/expr/numeric.h"
#include "processor/expr/row.h"
#include "state/keys.h"

#define SIGN32 UINT32_C(0x80000000)
#define SIGN64 UINT64_C(0x8000000000000000)
#define US_PER_DAY INT64_C(86400000000)
// No numeric of 37 digits takes more.
#define NUMERIC_KEY_SIZE_MAX 64

static __int128 interval_order(struct br_interval interval) {
    return ((__int128)interval.months * 30 + interval.days) * US_PER_DAY + interval.us;
}

static uint8_t *put_interval(uint8_t *at, struct br_interval interval) {
    unsigned __int128 order = (unsigned __int128)interval_order(interval);
    *at = BR_KEY_VALUE;
    br_be64_put(at + 1, (uint64_t)(order >> 64) ^ SIGN64);
    br_be64_put(at + 9, (uint64_t)order);
    return at + 17;
}

static uint8_t *put_int32(uint8_t *at, int32_t value) {
    *at = BR_KEY_VALUE;
    br_be32_put(at + 1, (uint32_t)value ^ SIGN32);
    return at + 5;
}

static uint8_t *put_int64(uint8_t *at, int64_t value) {
    *at = BR_KEY_VALUE;
    br_be64_put(at + 1, (uint64_t)value ^ SIGN64);
    return at + 9;
}

static uint8_t *put_double(uint8_t *at, double value) {
    uint64_t bits;
    if (value == 0)
        value = 0;
    memcpy(&bits, &value, sizeof bits);
    if (value != value)
        bits = UINT64_C(0x7ff8000000000000);
    *at = BR_KEY_VALUE;
    br_be64_put(at + 1, (bits & SIGN64) != 0 ? ~bits : bits ^ SIGN64);
    return at + 9;
}

static uint8_t *put_numeric(uint8_t *at, struct br_numeric value) {
    uint8_t bytes[4 * NUMERIC_KEY_SIZE_MAX];
    struct br_buffer key = {.ptr = bytes, .capacity = sizeof bytes};
    br_key_append_numeric(&key, value);
    BR_CHECK(key.ptr == bytes && key.len <= NUMERIC_KEY_SIZE_MAX);
    // cppcheck-suppress uninitvar
    memcpy(at, bytes, key.len);
    return at + key.len;
}

static uint8_t *put_bytes(uint8_t *at, struct br_slice value) {
    *at++ = BR_KEY_VALUE;
    const uint8_t *from = value.ptr;
    size_t left = value.len;
    while (left != 0) {
        const uint8_t *zero = memchr(from, 0, left);
        size_t run = zero == NULL ? left : (size_t)(zero - from) + 1;
        memcpy(at, from, run);
        at += run;
        if (zero != NULL)
            *at++ = 0xff;
        from += run;
        left -= run;
    }
    *at++ = 0x00;
    *at++ = 0x01;
    return at;
}

// Text has no zero byte (types.h): nothing to escape.
static uint8_t *put_text(uint8_t *at, struct br_slice value) {
    *at++ = BR_KEY_VALUE;
    if (value.len != 0)
        memcpy(at, value.ptr, value.len);
    at += value.len;
    *at++ = 0x00;
    *at++ = 0x01;
    return at;
}

void br_key_append_value(struct br_buffer *key, const struct br_column *column, uint32_t row) {
    if (column->values == NULL || br_column_is_null(column, row)) {
        br_key_append_null(key);
        return;
    }
    switch (column->type) {
    case BR_BOOLEAN:
        br_key_append_bool(key, ((const bool *)column->values)[row]);
        break;
    case BR_INTEGER:
    case BR_DATE:
        br_key_append_int32(key, ((const int32_t *)column->values)[row]);
        break;
    case BR_BIGINT:
    case BR_TIMESTAMPTZ:
        br_key_append_int64(key, ((const int64_t *)column->values)[row]);
        break;
    case BR_DOUBLE:
        br_key_append_double(key, ((const double *)column->values)[row]);
        break;
    case BR_NUMERIC:
        br_key_append_numeric(key, ((const struct br_numeric *)column->values)[row]);
        break;
    case BR_TEXT:
    case BR_BYTEA:
        br_key_append_bytes(key, ((const struct br_slice *)column->values)[row]);
        break;
    case BR_INTERVAL: {
        uint8_t *at = br_buffer_reserve(key, 17);
        put_interval(at, ((const struct br_interval *)column->values)[row]);
        key->len += 17;
        break;
    }
    default:
        BR_CHECK(false);
    }
}

// --- whole batches
// The most bytes that a component of a fixed-width type takes; 0 for text and bytea.
static uint32_t component_size_max(enum br_type type) {
    switch (type) {
    case BR_BOOLEAN:
        return 2;
    case BR_INTEGER:
    case BR_DATE:
        return 5;
    case BR_BIGINT:
    case BR_TIMESTAMPTZ:
    case BR_DOUBLE:
        return 9;
    case BR_INTERVAL:
        return 17;
    case BR_NUMERIC:
        return NUMERIC_KEY_SIZE_MAX;
    default:
        return 0;
    }
}

static size_t bytes_size_max(struct br_slice value, enum br_type type) {
    if (type == BR_BYTEA)
        return 2 * value.len + 3;
    return value.len + 3; // text has no zero byte (types.h)
}

// Adds the most bytes that each row's component may take to the lengths of the keys.
static void add_sizes(const struct br_column *column, uint32_t row_count, struct br_slice *keys) {
    uint32_t fixed = column->values == NULL ? 1 : component_size_max(column->type);
    if (fixed != 0) {
        for (uint32_t r = 0; r < row_count; r++)
            keys[r].len += fixed;
        return;
    }
    const struct br_slice *values = column->values;
    for (uint32_t r = 0; r < row_count; r++)
        keys[r].len += br_column_is_null(column, r) ? 1 : bytes_size_max(values[r], column->type);
}

// Writes every row's component at cursors[r] and moves the cursors.
static void put_column(const struct br_column *column, uint32_t row_count, uint8_t **cursors) {
    if (column->values == NULL) {
        for (uint32_t r = 0; r < row_count; r++)
            *cursors[r]++ = BR_KEY_NULL;
        return;
    }
#define PUT(value_type, put)                                                                                           \
    do {                                                                                                               \
        const value_type *values = column->values;                                                                     \
        if (column->validity == NULL) {                                                                                \
            for (uint32_t r = 0; r < row_count; r++)                                                                   \
                cursors[r] = put(cursors[r], values[r]);                                                               \
        } else {                                                                                                       \
            for (uint32_t r = 0; r < row_count; r++) {                                                                 \
                if (br_bit(column->validity, r))                                                                       \
                    cursors[r] = put(cursors[r], values[r]);                                                           \
                else                                                                                                   \
                    *cursors[r]++ = BR_KEY_NULL;                                                                       \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)
    switch (column->type) {
    case BR_BOOLEAN:
        for (uint32_t r = 0; r < row_count; r++) {
            bool is_null = br_column_is_null(column, r);
            *cursors[r]++ = is_null ? BR_KEY_NULL : BR_KEY_VALUE;
            if (!is_null)
                *cursors[r]++ = ((const uint8_t *)column->values)[r] & 1;
        }
        break;
    case BR_INTEGER:
    case BR_DATE:
        PUT(int32_t, put_int32);
        break;
    case BR_BIGINT:
    case BR_TIMESTAMPTZ:
        PUT(int64_t, put_int64);
        break;
    case BR_DOUBLE:
        PUT(double, put_double);
        break;
    case BR_NUMERIC:
        PUT(struct br_numeric, put_numeric);
        break;
    case BR_TEXT:
        PUT(struct br_slice, put_text);
        break;
    case BR_BYTEA:
        PUT(struct br_slice, put_bytes);
        break;
    case BR_INTERVAL:
        PUT(struct br_interval, put_interval);
        break;
    default:
        BR_CHECK(false);
    }
#undef PUT
}

// One column of 64-bit integers without NULLs: every key is 9 bytes at a known place.
static void int64_keys(const int64_t *values, uint32_t row_count, struct br_arena *arena, struct br_slice *ret_keys) {
    uint8_t *at = br_arena_alloc(arena, (size_t)row_count * 9);
    for (uint32_t r = 0; r < row_count; r++) {
        ret_keys[r] = (struct br_slice){at, 9};
        at = put_int64(at, values[r]);
    }
}

// One text column: sizes are exact, so cursors aren't needed.
static void text_keys(const struct br_column *column, uint32_t row_count, struct br_arena *arena,
                      struct br_slice *ret_keys) {
    const struct br_slice *values = column->values;
    size_t size = 0;
    for (uint32_t r = 0; r < row_count; r++)
        size += br_column_is_null(column, r) ? 1 : values[r].len + 3;
    uint8_t *at = br_arena_alloc(arena, size);
    for (uint32_t r = 0; r < row_count; r++) {
        uint8_t *begin = at;
        if (br_column_is_null(column, r)) {
            *at++ = BR_KEY_NULL;
        } else {
            at = put_text(at, values[r]);
        }
        ret_keys[r] = (struct br_slice){begin, (size_t)(at - begin)};
    }
}

void br_batch_keys(const struct br_batch *batch, const uint32_t *columns, uint32_t column_count, struct br_arena *arena,
                   struct br_slice *ret_keys) {
    uint32_t row_count = batch->row_count;
    if (column_count == 1) {
        const struct br_column *column = &batch->columns[columns[0]];
        bool is_int64 = column->type == BR_BIGINT || column->type == BR_TIMESTAMPTZ;
        if (is_int64 && column->values != NULL && column->validity == NULL) {
            int64_keys(column->values, row_count, arena, ret_keys);
            return;
        }
        if (column->type == BR_TEXT && column->values != NULL) {
            text_keys(column, row_count, arena, ret_keys);
            return;
        }
    }
    for (uint32_t r = 0; r < row_count; r++)
        ret_keys[r] = (struct br_slice){0};
    for (uint32_t c = 0; c < column_count; c++)
        add_sizes(&batch->columns[columns[c]], row_count, ret_keys);
    size_t total = 0;
    for (uint32_t r = 0; r < row_count; r++)
        total += ret_keys[r].len;
    uint8_t *at = br_arena_alloc(arena, total);
    uint8_t **cursors = br_arena_alloc(arena, row_count * sizeof *cursors);
    for (uint32_t r = 0; r < row_count; r++) {
        ret_keys[r].ptr = cursors[r] = at;
        at += ret_keys[r].len;
    }
    for (uint32_t c = 0; c < column_count; c++)
        put_column(&batch->columns[columns[c]], row_count, cursors);
    for (uint32_t r = 0; r < row_count; r++) {
        size_t len = (size_t)(cursors[r] - ret_keys[r].ptr);
        BR_CHECK(len <= ret_keys[r].len);
        ret_keys[r].len = len;
    }
}

// --- reading back
static size_t read_interval(struct br_slice key, struct br_interval *ret_interval) {
    if (key.len < 17 || key.ptr[0] != BR_KEY_VALUE)
        return 0;
    unsigned __int128 bits = (unsigned __int128)(br_be64_get(key.ptr + 1) ^ SIGN64) << 64 | br_be64_get(key.ptr + 9);
    __int128 order = (__int128)bits;
    __int128 days = order / US_PER_DAY;
    struct br_interval interval = {.us = (int64_t)(order % US_PER_DAY)};
    // Days alone unless there are more of them than fit; then months, days and time as far as each goes.
    if (days > INT32_MAX || days < INT32_MIN) {
        __int128 months = days / 30;
        months = months > INT32_MAX ? INT32_MAX : months < INT32_MIN ? INT32_MIN : months;
        days -= months * 30;
        interval.months = (int32_t)months;
        __int128 kept = days > INT32_MAX ? INT32_MAX : days < INT32_MIN ? INT32_MIN : days;
        __int128 us = interval.us + (days - kept) * US_PER_DAY;
        if (us > INT64_MAX || us < INT64_MIN)
            return 0;
        interval.us = (int64_t)us;
        days = kept;
    }
    interval.days = (int32_t)days;
    *ret_interval = interval;
    return 17;
}

// Bytes without an escape, which is nearly all of them, are copied straight from the key.
static size_t read_bytes(struct br_slice key, struct br_arena *arena, struct br_slice *ret_bytes) {
    const uint8_t *zero = key.ptr[0] == BR_KEY_VALUE ? memchr(key.ptr + 1, 0, key.len - 1) : NULL;
    size_t len = zero == NULL ? 0 : (size_t)(zero - key.ptr);
    if (zero != NULL && len + 1 < key.len && zero[1] == 0x01) {
        *ret_bytes = br_arena_copy(arena, (struct br_slice){key.ptr + 1, len - 1});
        return len + 2;
    }
    struct br_buffer bytes = {0};
    size_t size = br_key_read_bytes(key, &bytes);
    if (size != 0)
        *ret_bytes = br_arena_copy(arena, br_buffer_slice(&bytes));
    br_buffer_free(&bytes);
    return size;
}

size_t br_key_read_value(struct br_slice key, enum br_type type, struct br_arena *arena, struct br_value *ret_value) {
    struct br_value value = {.type = type};
    size_t size = 0;
    if (key.len == 0)
        return 0;
    if (key.ptr[0] == BR_KEY_NULL) {
        value.is_null = true;
        *ret_value = value;
        return 1;
    }
    switch (type) {
    case BR_BOOLEAN:
        size = br_key_read_bool(key, &value.boolean);
        break;
    case BR_INTEGER:
    case BR_DATE:
        size = br_key_read_int32(key, &value.integer);
        break;
    case BR_BIGINT:
    case BR_TIMESTAMPTZ:
        size = br_key_read_int64(key, &value.bigint);
        break;
    case BR_DOUBLE:
        size = br_key_read_double(key, &value.real);
        break;
    case BR_NUMERIC:
        size = br_key_read_numeric(key, &value.numeric);
        break;
    case BR_TEXT:
    case BR_BYTEA:
        size = read_bytes(key, arena, &value.bytes);
        break;
    case BR_INTERVAL:
        size = read_interval(key, &value.interval);
        break;
    default:
        BR_CHECK(false);
    }
    if (size != 0)
        *ret_value = value;
    return size;
}
