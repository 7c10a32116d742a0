// SPDX-License-Identifier: Apache-2.0
// See batch.h. Values are moved by width, not by type: four widths cover all types.
#include "processor/expr/batch.h"

// Bytes of any type are moved through these.
typedef uint32_t __attribute__((may_alias)) word32;
typedef uint64_t __attribute__((may_alias)) word64;
struct __attribute__((may_alias)) word128 {
    uint64_t low, high;
};

static uint32_t validity_words(uint32_t row_count) {
    return (row_count + 63) / 64;
}

uint64_t *br_validity_create(struct br_arena *arena, uint32_t row_count, bool valid) {
    uint32_t words = validity_words(row_count);
    uint64_t *bits = br_arena_alloc(arena, words * sizeof *bits);
    memset(bits, valid ? 0xff : 0, words * sizeof *bits);
    return bits;
}

struct br_column br_column_create(struct br_arena *arena, enum br_type type, uint32_t row_count) {
    BR_CHECK(type != BR_UNKNOWN);
    return (struct br_column){.type = type, .values = br_arena_alloc(arena, row_count * br_type_width(type))};
}

struct br_batch *br_batch_create(struct br_arena *arena, const enum br_type *types, const bool *wanted,
                                 uint32_t column_count) {
    struct br_batch *batch = br_arena_new(arena, struct br_batch);
    batch->column_count = column_count;
    batch->columns = br_arena_array(arena, struct br_column, column_count);
    for (uint32_t c = 0; c < column_count; c++) {
        if (wanted == NULL || wanted[c])
            batch->columns[c] = br_column_create(arena, types[c], BR_BATCH_ROWS);
        batch->columns[c].type = types[c];
        batch->columns[c].validity = br_validity_create(arena, BR_BATCH_ROWS, false);
    }
    return batch;
}

void br_batch_need_weights(struct br_batch *batch, struct br_arena *arena) {
    if (batch->weights != NULL)
        return;
    uint32_t room = batch->row_count > BR_BATCH_ROWS ? batch->row_count : BR_BATCH_ROWS;
    batch->weights = br_arena_alloc(arena, room * sizeof *batch->weights);
    for (uint32_t r = 0; r < room; r++)
        batch->weights[r] = 1;
}

void br_batch_need_origins(struct br_batch *batch, struct br_arena *arena) {
    if (batch->origins != NULL)
        return;
    uint32_t room = batch->row_count > BR_BATCH_ROWS ? batch->row_count : BR_BATCH_ROWS;
    batch->origins = br_arena_alloc(arena, room * sizeof *batch->origins);
    for (uint32_t r = 0; r < room; r++)
        batch->origins[r] = BR_NO_ORIGIN;
}

struct br_value br_column_get(const struct br_column *column, uint32_t row) {
    struct br_value value = {.type = column->type};
    if (column->values == NULL || br_column_is_null(column, row)) {
        value.is_null = true;
        return value;
    }
    switch (column->type) {
    case BR_BOOLEAN:
        value.boolean = ((const uint8_t *)column->values)[row] & 1;
        break;
    case BR_INTEGER:
    case BR_DATE:
        value.integer = ((const int32_t *)column->values)[row];
        break;
    case BR_BIGINT:
    case BR_TIMESTAMPTZ:
        value.bigint = ((const int64_t *)column->values)[row];
        break;
    case BR_DOUBLE:
        value.real = ((const double *)column->values)[row];
        break;
    case BR_NUMERIC:
        value.numeric = ((const struct br_numeric *)column->values)[row];
        break;
    case BR_TEXT:
    case BR_BYTEA:
        value.bytes = ((const struct br_slice *)column->values)[row];
        break;
    case BR_INTERVAL:
        value.interval = ((const struct br_interval *)column->values)[row];
        break;
    default:
        BR_CHECK(false);
    }
    return value;
}

void br_column_set(struct br_column *column, uint32_t row, const struct br_value *value) {
    BR_CHECK(column->values != NULL && column->validity != NULL);
    if (value->is_null) {
        br_bit_clear(column->validity, row);
        return;
    }
    BR_CHECK(value->type == column->type);
    br_bit_set(column->validity, row);
    switch (column->type) {
    case BR_BOOLEAN:
        ((bool *)column->values)[row] = value->boolean;
        break;
    case BR_INTEGER:
    case BR_DATE:
        ((int32_t *)column->values)[row] = value->integer;
        break;
    case BR_BIGINT:
    case BR_TIMESTAMPTZ:
        ((int64_t *)column->values)[row] = value->bigint;
        break;
    case BR_DOUBLE:
        ((double *)column->values)[row] = value->real;
        break;
    case BR_NUMERIC:
        ((struct br_numeric *)column->values)[row] = value->numeric;
        break;
    case BR_TEXT:
    case BR_BYTEA:
        ((struct br_slice *)column->values)[row] = value->bytes;
        break;
    case BR_INTERVAL:
        ((struct br_interval *)column->values)[row] = value->interval;
        break;
    default:
        BR_CHECK(false);
    }
}

// --- gather
static bool all_rows_in_order(const struct br_batch *batch, const uint32_t *rows, uint32_t count) {
    if (count != batch->row_count)
        return false;
    uint32_t differs = 0;
    for (uint32_t i = 0; i < count; i++)
        differs |= rows[i] ^ i;
    return differs == 0;
}

static void *gather_values(const void *values, size_t width, const uint32_t *rows, uint32_t count,
                           struct br_arena *arena) {
    void *gathered = br_arena_alloc(arena, count * width);
#define GATHER(word)                                                                                                   \
    do {                                                                                                               \
        const word *from = values;                                                                                     \
        word *to = gathered;                                                                                           \
        for (uint32_t i = 0; i < count; i++)                                                                           \
            to[i] = from[rows[i]];                                                                                     \
    } while (0)
    switch (width) {
    case 1:
        GATHER(uint8_t);
        break;
    case 4:
        GATHER(word32);
        break;
    case 8:
        GATHER(word64);
        break;
    case 16:
        GATHER(struct word128);
        break;
    default:
        BR_CHECK(false);
    }
#undef GATHER
    return gathered;
}

static bool none_null(const uint64_t *validity, uint32_t row_count) {
    uint64_t all = UINT64_MAX;
    for (uint32_t w = 0; w < row_count / 64; w++)
        all &= validity[w];
    uint32_t rest = row_count % 64;
    if (rest != 0)
        all &= validity[row_count / 64] | UINT64_MAX << rest;
    return all == UINT64_MAX;
}

static uint64_t *gather_validity(const uint64_t *validity, uint32_t row_count, const uint32_t *rows, uint32_t count,
                                 struct br_arena *arena) {
    if (validity == NULL || none_null(validity, row_count))
        return NULL;
    uint64_t *gathered = br_arena_alloc(arena, validity_words(count) * sizeof *gathered);
    for (uint32_t begin = 0; begin < count; begin += 64) {
        uint32_t end = count - begin < 64 ? count : begin + 64;
        uint64_t word = 0;
        for (uint32_t i = begin; i < end; i++)
            word |= (validity[rows[i] / 64] >> (rows[i] % 64) & 1) << (i - begin);
        gathered[begin / 64] = word;
    }
    return gathered;
}

struct br_batch *br_batch_select(const struct br_batch *batch, const uint32_t *rows, uint32_t count,
                                 struct br_arena *arena) {
    struct br_batch *selected = br_arena_new(arena, struct br_batch);
    if (all_rows_in_order(batch, rows, count)) {
        *selected = *batch;
        return selected;
    }
    selected->row_count = count;
    selected->column_count = batch->column_count;
    selected->columns = br_arena_array(arena, struct br_column, batch->column_count);
    for (uint32_t c = 0; c < batch->column_count; c++) {
        const struct br_column *from = &batch->columns[c];
        struct br_column *to = &selected->columns[c];
        to->type = from->type;
        if (from->values == NULL)
            continue;
        to->values = gather_values(from->values, br_type_width(from->type), rows, count, arena);
        to->validity = gather_validity(from->validity, batch->row_count, rows, count, arena);
    }
    if (batch->weights != NULL)
        selected->weights = gather_values(batch->weights, sizeof *batch->weights, rows, count, arena);
    if (batch->origins != NULL)
        selected->origins = gather_values(batch->origins, sizeof *batch->origins, rows, count, arena);
    return selected;
}

static void copy_texts(struct br_column *to, const struct br_column *from, uint32_t row_count, struct br_arena *arena) {
    const struct br_slice *texts = from->values;
    struct br_slice *copies = to->values;
    size_t size = 0;
    for (uint32_t r = 0; r < row_count; r++)
        if (!br_column_is_null(from, r))
            size += texts[r].len;
    uint8_t *at = br_arena_alloc(arena, size);
    for (uint32_t r = 0; r < row_count; r++) {
        if (br_column_is_null(from, r)) {
            copies[r] = (struct br_slice){NULL, 0};
            continue;
        }
        if (texts[r].len != 0)
            memcpy(at, texts[r].ptr, texts[r].len);
        copies[r] = (struct br_slice){at, texts[r].len};
        at += texts[r].len;
    }
}

static struct br_column copy_column(const struct br_column *from, uint32_t row_count, struct br_arena *arena) {
    struct br_column to = {.type = from->type};
    if (from->values == NULL)
        return to;
    if (from->validity != NULL) {
        size_t words = (row_count + 63) / 64;
        to.validity = br_arena_alloc(arena, words * sizeof *to.validity);
        memcpy(to.validity, from->validity, words * sizeof *to.validity);
    }
    size_t size = row_count * br_type_width(from->type);
    to.values = br_arena_alloc(arena, size);
    if (from->type == BR_TEXT || from->type == BR_BYTEA)
        copy_texts(&to, from, row_count, arena);
    else
        memcpy(to.values, from->values, size);
    return to;
}

struct br_batch *br_batch_copy(const struct br_batch *batch, struct br_arena *arena) {
    struct br_batch *copy = br_arena_new(arena, struct br_batch);
    copy->row_count = batch->row_count;
    copy->column_count = batch->column_count;
    copy->columns = br_arena_array(arena, struct br_column, batch->column_count);
    for (uint32_t c = 0; c < batch->column_count; c++)
        copy->columns[c] = copy_column(&batch->columns[c], batch->row_count, arena);
    if (batch->weights != NULL) {
        copy->weights = br_arena_alloc(arena, batch->row_count * sizeof *copy->weights);
        memcpy(copy->weights, batch->weights, batch->row_count * sizeof *copy->weights);
    }
    if (batch->origins != NULL) {
        copy->origins = br_arena_alloc(arena, batch->row_count * sizeof *copy->origins);
        memcpy(copy->origins, batch->origins, batch->row_count * sizeof *copy->origins);
    }
    return copy;
}
