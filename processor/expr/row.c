// SPDX-License-Identifier: Apache-2.0
// The row value format; see row.h. Writing sizes a row first and then goes through one pointer; reading checks every
// length against what is left, since state may be damaged, and refuses padding bits and overlong numbers so that equal
// rows have equal bytes.
#include "processor/expr/row.h"
#include "processor/expr/numeric.h"

#define VARINT128_SIZE_MAX 19

static size_t bitmap_size(uint32_t column_count) {
    return (column_count + 7) / 8;
}

// The most bytes that a present value takes, without the bytes of text.
static size_t value_size_max(enum br_type type) {
    switch (type) {
    case BR_BOOLEAN:
        return 1;
    case BR_DOUBLE:
        return 8;
    case BR_NUMERIC:
        return 1 + VARINT128_SIZE_MAX;
    case BR_INTERVAL:
        return 3 * BR_VARINT_SIZE_MAX;
    default:
        return BR_VARINT_SIZE_MAX;
    }
}

static uint8_t *put_varint128(uint8_t *at, unsigned __int128 value) {
    while (value >= 0x80) {
        *at++ = (uint8_t)((uint8_t)value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

// Below 2^56 a varint has at most 8 bytes: its groups of 7 bits are spread over a word in three steps, and the word is
// stored whole. Writes up to 8 bytes past what counts; ROW_SLACK is there for it.
#define ROW_SLACK 8
static uint8_t *put_varint(uint8_t *at, uint64_t value) {
    if (value < 0x80) {
        *at = (uint8_t)value;
        return at + 1;
    }
    if (value >> 56 != 0)
        return at + br_varint_put(at, value);
    unsigned size = (70 - (unsigned)__builtin_clzll(value)) / 7;
    value = (value & UINT64_C(0x000000000fffffff)) | (value & UINT64_C(0x00fffffff0000000)) << 4;
    value = (value & UINT64_C(0x00003fff00003fff)) | (value & UINT64_C(0x0fffc0000fffc000)) << 2;
    value = (value & UINT64_C(0x007f007f007f007f)) | (value & UINT64_C(0x3f803f803f803f80)) << 1;
    value |= UINT64_C(0x8080808080808080) & ((UINT64_C(1) << (8 * (size - 1))) - 1);
    memcpy(at, &value, sizeof value);
    return at + size;
}

static uint8_t *put_signed(uint8_t *at, int64_t value) {
    return put_varint(at, br_zigzag(value));
}

static uint8_t *put_numeric(uint8_t *at, struct br_numeric value) {
    __int128 coefficient = br_numeric_coefficient(value);
    *at++ = (uint8_t)br_numeric_scale(value);
    uint64_t high = (uint64_t)(coefficient >> 63);
    if (high == 0 || high == UINT64_MAX)
        return put_signed(at, (int64_t)coefficient);
    return put_varint128(at, ((unsigned __int128)coefficient << 1) ^ (unsigned __int128)(coefficient >> 127));
}

static uint8_t *put_value(uint8_t *at, const struct br_column *column, uint32_t row) {
    switch (column->type) {
    case BR_BOOLEAN:
        *at = ((const uint8_t *)column->values)[row] & 1;
        return at + 1;
    case BR_INTEGER:
    case BR_DATE:
        return put_signed(at, ((const int32_t *)column->values)[row]);
    case BR_BIGINT:
    case BR_TIMESTAMPTZ:
        return put_signed(at, ((const int64_t *)column->values)[row]);
    case BR_DOUBLE: {
        // Little-endian, as the machines are that this runs on; golden tests would notice another.
        memcpy(at, &((const double *)column->values)[row], 8);
        return at + 8;
    }
    case BR_NUMERIC:
        return put_numeric(at, ((const struct br_numeric *)column->values)[row]);
    case BR_TEXT:
    case BR_BYTEA: {
        struct br_slice bytes = ((const struct br_slice *)column->values)[row];
        at = put_varint(at, bytes.len);
        if (bytes.len != 0)
            memcpy(at, bytes.ptr, bytes.len);
        return at + bytes.len;
    }
    case BR_INTERVAL: {
        struct br_interval interval = ((const struct br_interval *)column->values)[row];
        at = put_signed(at, interval.us);
        at = put_signed(at, interval.days);
        return put_signed(at, interval.months);
    }
    default:
        BR_CHECK(false);
    }
}

void br_row_encode(const struct br_batch *batch, uint32_t row, const uint32_t *columns, uint32_t column_count,
                   struct br_buffer *out) {
    size_t bits_size = bitmap_size(column_count);
    size_t size = bits_size + ROW_SLACK;
    for (uint32_t i = 0; i < column_count; i++) {
        const struct br_column *column = &batch->columns[columns == NULL ? i : columns[i]];
        if (column->values == NULL)
            continue;
        size += value_size_max(column->type);
        if ((column->type == BR_TEXT || column->type == BR_BYTEA) && !br_column_is_null(column, row))
            size += ((const struct br_slice *)column->values)[row].len;
    }
    uint8_t *bits = br_buffer_reserve(out, size);
    uint8_t *at = bits + bits_size;
    memset(bits, 0, bits_size);
    for (uint32_t i = 0; i < column_count; i++) {
        const struct br_column *column = &batch->columns[columns == NULL ? i : columns[i]];
        if (column->values == NULL || br_column_is_null(column, row))
            continue;
        bits[i / 8] |= (uint8_t)(1u << (i % 8));
        at = put_value(at, column, row);
    }
    BR_CHECK((size_t)(at - bits) <= size);
    out->len += (size_t)(at - bits);
}

// Bits of the bitmap past the last column are zero.
static bool is_bitmap(struct br_slice bytes, uint32_t column_count) {
    if (bytes.len < bitmap_size(column_count))
        return false;
    return column_count % 8 == 0 || bytes.ptr[column_count / 8] >> (column_count % 8) == 0;
}

// --- reading
// All of these return where the value ends, NULL when it is malformed.
static const uint8_t *get_varint(const uint8_t *at, const uint8_t *end, uint64_t *ret_value) {
    if (at < end && *at < 0x80) {
        *ret_value = *at;
        return at + 1;
    }
    if (end - at >= 8) {
        // The way back of put_varint, when the last byte is among these eight.
        uint64_t word;
        memcpy(&word, at, sizeof word);
        uint64_t last = ~word & UINT64_C(0x8080808080808080);
        if (last != 0) {
            unsigned size = (unsigned)__builtin_ctzll(last) / 8 + 1;
            if (at[size - 1] == 0)
                return NULL;
            word &= UINT64_C(0x7f7f7f7f7f7f7f7f) & (UINT64_MAX >> (64 - 8 * size));
            word = (word & UINT64_C(0x007f007f007f007f)) | (word & UINT64_C(0x7f007f007f007f00)) >> 1;
            word = (word & UINT64_C(0x00003fff00003fff)) | (word & UINT64_C(0x3fff00003fff0000)) >> 2;
            *ret_value = (word & UINT64_C(0x000000000fffffff)) | (word & UINT64_C(0x0fffffff00000000)) >> 4;
            return at + size;
        }
    }
    size_t len = br_varint_get(at, end, ret_value);
    if (len == 0 || at[len - 1] == 0 || (len == BR_VARINT_SIZE_MAX && at[len - 1] > 1))
        return NULL;
    return at + len;
}

static const uint8_t *get_int64(const uint8_t *at, const uint8_t *end, int64_t *ret_value) {
    uint64_t bits;
    at = get_varint(at, end, &bits);
    if (at != NULL)
        *ret_value = br_unzigzag(bits);
    return at;
}

static const uint8_t *get_int32(const uint8_t *at, const uint8_t *end, int32_t *ret_value) {
    int64_t value;
    at = get_int64(at, end, &value);
    if (at == NULL || value < INT32_MIN || value > INT32_MAX)
        return NULL;
    *ret_value = (int32_t)value;
    return at;
}

static const uint8_t *get_numeric(const uint8_t *at, const uint8_t *end, struct br_numeric *ret_value) {
    if (end - at < 2)
        return NULL;
    unsigned scale = *at++;
    uint64_t small;
    const uint8_t *after = get_varint(at, end, &small);
    if (after != NULL)
        return br_numeric_make(br_unzigzag(small), scale, ret_value) ? after : NULL;
    unsigned __int128 bits = 0;
    for (unsigned n = 0; n < VARINT128_SIZE_MAX && at < end; n++) {
        uint8_t byte = *at++;
        bits |= (unsigned __int128)(byte & 0x7f) << (7 * n);
        if (byte >= 0x80)
            continue;
        if ((byte == 0 && n > 0) || (n == VARINT128_SIZE_MAX - 1 && byte > 3))
            return NULL;
        __int128 coefficient = (__int128)(bits >> 1) ^ -(__int128)(bits & 1);
        return br_numeric_make(coefficient, scale, ret_value) ? at : NULL;
    }
    return NULL;
}

static const uint8_t *get_bytes(const uint8_t *at, const uint8_t *end, struct br_slice *ret_value) {
    uint64_t len;
    at = get_varint(at, end, &len);
    if (at == NULL || len > (uint64_t)(end - at))
        return NULL;
    *ret_value = (struct br_slice){at, (size_t)len};
    return at + len;
}

static const uint8_t *get_interval(const uint8_t *at, const uint8_t *end, struct br_interval *ret_value) {
    struct br_interval interval;
    if ((at = get_int64(at, end, &interval.us)) == NULL || (at = get_int32(at, end, &interval.days)) == NULL ||
        (at = get_int32(at, end, &interval.months)) == NULL)
        return NULL;
    *ret_value = interval;
    return at;
}

static const uint8_t *get_boolean(const uint8_t *at, const uint8_t *end, bool *ret_value) {
    if (at == end || *at > 1)
        return NULL;
    *ret_value = *at == 1;
    return at + 1;
}

static const uint8_t *get_double(const uint8_t *at, const uint8_t *end, double *ret_value) {
    if (end - at < 8)
        return NULL;
    memcpy(ret_value, at, 8);
    return at + 8;
}

// Reads a value of the type into a column's row; values NULL: only finds its end.
static const uint8_t *get_value(const uint8_t *at, const uint8_t *end, enum br_type type, void *values, uint32_t row) {
    _Alignas(16) uint8_t dropped[16];
    if (values == NULL) {
        values = dropped;
        row = 0;
    }
    switch (type) {
    case BR_BOOLEAN:
        return get_boolean(at, end, &((bool *)values)[row]);
    case BR_INTEGER:
    case BR_DATE:
        return get_int32(at, end, &((int32_t *)values)[row]);
    case BR_BIGINT:
    case BR_TIMESTAMPTZ:
        return get_int64(at, end, &((int64_t *)values)[row]);
    case BR_DOUBLE:
        return get_double(at, end, &((double *)values)[row]);
    case BR_NUMERIC:
        return get_numeric(at, end, &((struct br_numeric *)values)[row]);
    case BR_TEXT:
    case BR_BYTEA:
        return get_bytes(at, end, &((struct br_slice *)values)[row]);
    case BR_INTERVAL:
        return get_interval(at, end, &((struct br_interval *)values)[row]);
    default:
        BR_CHECK(false);
    }
}

enum br_status br_row_decode(struct br_slice bytes, struct br_batch *batch, uint32_t row, uint32_t first_column,
                             uint32_t column_count, struct br_arena *arena, bool copy_text, struct br_error *error) {
    BR_CHECK(first_column + column_count <= batch->column_count);
    size_t bits_size = bitmap_size(column_count);
    if (!is_bitmap(bytes, column_count))
        return br_error_set(error, BR_FATAL, "damaged state: %zu bytes are no row of %u columns", bytes.len,
                            column_count);
    const uint8_t *bits = bytes.ptr;
    const uint8_t *at = bytes.ptr + bits_size;
    const uint8_t *end = bytes.ptr + bytes.len;
    for (uint32_t i = 0; i < column_count; i++) {
        struct br_column *column = &batch->columns[first_column + i];
        if ((bits[i / 8] >> (i % 8) & 1) == 0) {
            if (column->values != NULL)
                br_bit_clear(column->validity, row);
            continue;
        }
        at = get_value(at, end, column->type, column->values, row);
        if (at == NULL)
            return br_error_set(error, BR_FATAL, "damaged state: column %u (%s) of a row of %zu bytes is malformed", i,
                                br_type_name(column->type), bytes.len);
        if (column->values == NULL)
            continue;
        br_bit_set(column->validity, row);
        if (copy_text && (column->type == BR_TEXT || column->type == BR_BYTEA)) {
            struct br_slice *value = &((struct br_slice *)column->values)[row];
            *value = br_arena_copy(arena, *value);
        }
    }
    if (at != end)
        return br_error_set(error, BR_FATAL, "damaged state: %zu bytes left over after a row of %u columns",
                            (size_t)(end - at), column_count);
    return BR_OK;
}

// Rows ahead: enough to hide a miss behind the decoding of the rows before.
#define PREFETCH_ROWS 8

enum br_status br_rows_decode(const struct br_slice *rows, uint32_t count, struct br_batch *batch, uint32_t first_row,
                              uint32_t first_column, uint32_t column_count, struct br_arena *arena, bool copy_text,
                              struct br_error *error) {
    for (uint32_t r = 0; r < count; r++) {
        if (r + PREFETCH_ROWS < count)
            __builtin_prefetch(rows[r + PREFETCH_ROWS].ptr);
        BR_TRY(br_row_decode(rows[r], batch, first_row + r, first_column, column_count, arena, copy_text, error));
    }
    return BR_OK;
}

// Values stand in the order of their columns, so only the bitmap changes.
bool br_row_move_columns(struct br_slice bytes, const uint32_t *map, uint32_t from_count, uint32_t to_count,
                         struct br_buffer *out) {
    size_t from_size = bitmap_size(from_count), to_size = bitmap_size(to_count), begin = out->len;
    if (!is_bitmap(bytes, from_count))
        return false;
    memset(br_buffer_reserve(out, to_size + 1), 0, to_size);
    out->len += to_size;
    int64_t last = -1;
    for (uint32_t c = 0; c < from_count; c++) {
        if ((bytes.ptr[c / 8] >> (c % 8) & 1) == 0)
            continue;
        if (map[c] >= to_count || (int64_t)map[c] <= last)
            return false;
        last = map[c];
        out->ptr[begin + map[c] / 8] |= (uint8_t)(1u << (map[c] % 8));
    }
    br_buffer_append(out, bytes.ptr + from_size, bytes.len - from_size);
    return true;
}

size_t br_row_size(struct br_slice bytes, const enum br_type *types, uint32_t column_count) {
    if (!is_bitmap(bytes, column_count))
        return 0;
    const uint8_t *at = bytes.ptr + bitmap_size(column_count);
    const uint8_t *end = bytes.ptr + bytes.len;
    for (uint32_t i = 0; i < column_count; i++) {
        if ((bytes.ptr[i / 8] >> (i % 8) & 1) == 0)
            continue;
        at = get_value(at, end, types[i], NULL, 0);
        if (at == NULL)
            return 0;
    }
    return (size_t)(at - bytes.ptr);
}

// --- copying
typedef uint32_t __attribute__((may_alias)) word32;
typedef uint64_t __attribute__((may_alias)) word64;
struct __attribute__((may_alias)) word128 {
    uint64_t low, high;
};

void br_batch_append_row(struct br_batch *destination, const struct br_batch *source, uint32_t row) {
    uint32_t at = destination->row_count;
    BR_CHECK(at < BR_BATCH_ROWS && destination->column_count == source->column_count);
    for (uint32_t c = 0; c < source->column_count; c++) {
        const struct br_column *from = &source->columns[c];
        struct br_column *to = &destination->columns[c];
        if (to->values == NULL)
            continue;
        if (from->values == NULL || br_column_is_null(from, row)) {
            br_bit_clear(to->validity, at);
            continue;
        }
        br_bit_set(to->validity, at);
        switch (from->type) {
        case BR_BOOLEAN:
            ((uint8_t *)to->values)[at] = ((const uint8_t *)from->values)[row];
            break;
        case BR_INTEGER:
        case BR_DATE:
            ((word32 *)to->values)[at] = ((const word32 *)from->values)[row];
            break;
        case BR_BIGINT:
        case BR_TIMESTAMPTZ:
        case BR_DOUBLE:
            ((word64 *)to->values)[at] = ((const word64 *)from->values)[row];
            break;
        default:
            ((struct word128 *)to->values)[at] = ((const struct word128 *)from->values)[row];
        }
    }
    destination->row_count = at + 1;
}
