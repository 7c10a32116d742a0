// SPDX-License-Identifier: Apache-2.0
// Comparison of all types, NULLIF, GREATEST and LEAST. Text compares by bytes ("C"); NaN equals itself and is greatest;
// an interval's month has 30 days.
#include "processor/expr/datetime.h"
#include "processor/expr/expr_internal.h"
#include "processor/expr/numeric_internal.h"

// --- dense ones
#define DENSE_COMPARE(prefix, type)                                                                                    \
    static void prefix##_eq(struct br_call *call) {                                                                    \
        BR_DENSE_BINARY(call, type, type, uint8_t, z = x == y);                                                        \
    }                                                                                                                  \
    static void prefix##_ne(struct br_call *call) {                                                                    \
        BR_DENSE_BINARY(call, type, type, uint8_t, z = x != y);                                                        \
    }                                                                                                                  \
    static void prefix##_lt(struct br_call *call) {                                                                    \
        BR_DENSE_BINARY(call, type, type, uint8_t, z = x < y);                                                         \
    }                                                                                                                  \
    static void prefix##_le(struct br_call *call) {                                                                    \
        BR_DENSE_BINARY(call, type, type, uint8_t, z = x <= y);                                                        \
    }                                                                                                                  \
    static void prefix##_gt(struct br_call *call) {                                                                    \
        BR_DENSE_BINARY(call, type, type, uint8_t, z = x > y);                                                         \
    }                                                                                                                  \
    static void prefix##_ge(struct br_call *call) {                                                                    \
        BR_DENSE_BINARY(call, type, type, uint8_t, z = x >= y);                                                        \
    }
DENSE_COMPARE(int32, int32_t)
DENSE_COMPARE(int64, int64_t)

#define DOUBLE_COMPARE(kernel, expression)                                                                             \
    static void kernel(struct br_call *call) {                                                                         \
        BR_DENSE_BINARY(call, double, double, uint8_t, z = (uint8_t)(expression));                                     \
    }
DOUBLE_COMPARE(double_eq, (x == y) | ((x != x) & (y != y)))
DOUBLE_COMPARE(double_ne, !((x == y) | ((x != x) & (y != y))))
DOUBLE_COMPARE(double_lt, (x < y) | ((x == x) & (y != y)))
DOUBLE_COMPARE(double_le, (x <= y) | (y != y))
DOUBLE_COMPARE(double_gt, (x > y) | ((x != x) & (y == y)))
DOUBLE_COMPARE(double_ge, (x >= y) | (x != x))

// A boolean of a NULL row is any byte.
#define BOOLEAN_COMPARE(kernel, symbol)                                                                                \
    static void kernel(struct br_call *call) {                                                                         \
        BR_DENSE_BINARY(call, uint8_t, uint8_t, uint8_t, z = (x & 1) symbol(y & 1));                                   \
    }
// clang-format off
BOOLEAN_COMPARE(boolean_eq, ==)
BOOLEAN_COMPARE(boolean_ne, !=)
BOOLEAN_COMPARE(boolean_lt, <)
BOOLEAN_COMPARE(boolean_le, <=)
BOOLEAN_COMPARE(boolean_gt, >)
BOOLEAN_COMPARE(boolean_ge, >=)
// clang-format on

// --- numeric: short coefficients of any scales are compared without a call
static inline int numeric_order(struct br_numeric a, struct br_numeric b) {
    unsigned a_scale = br_numeric_scale(a), b_scale = br_numeric_scale(b);
    unsigned apart = a_scale > b_scale ? a_scale - b_scale : b_scale - a_scale;
    if (apart == 0 || apart > 18 || !br_numeric_is_small(a) || !br_numeric_is_small(b))
        return br_numeric_compare(a, b);
    __int128 left = (__int128)((int64_t)a.low >> 6) * (int64_t)br_pow10_64[a_scale < b_scale ? apart : 0];
    __int128 right = (__int128)((int64_t)b.low >> 6) * (int64_t)br_pow10_64[b_scale < a_scale ? apart : 0];
    return (left > right) - (left < right);
}

static inline int interval_order(struct br_interval a, struct br_interval b) {
    return br_interval_compare(a, b);
}
static inline int text_order(struct br_slice a, struct br_slice b) {
    return br_slice_compare(a, b);
}

#define ORDER_COMPARE(kernel, type, order, symbol)                                                                     \
    static void kernel(struct br_call *call) {                                                                         \
        uint8_t *results = call->result;                                                                               \
        const type *left = call->arguments[0].column.values;                                                           \
        const type *right = call->arguments[1].column.values;                                                          \
        if (call->arguments[1].constant) {                                                                             \
            const type y = right[0];                                                                                   \
            BR_EACH_LIVE(call, row, { results[row] = order(left[row], y) symbol 0; });                                 \
        } else {                                                                                                       \
            const uint32_t step = call->arguments[0].constant ? 0 : 1;                                                 \
            BR_EACH_LIVE(call, row, { results[row] = order(left[row * step], right[row]) symbol 0; });                 \
        }                                                                                                              \
    }
// clang-format off
ORDER_COMPARE(numeric_eq, struct br_numeric, numeric_order, ==)
ORDER_COMPARE(numeric_ne, struct br_numeric, numeric_order, !=)
ORDER_COMPARE(numeric_lt, struct br_numeric, numeric_order, <)
ORDER_COMPARE(numeric_le, struct br_numeric, numeric_order, <=)
ORDER_COMPARE(numeric_gt, struct br_numeric, numeric_order, >)
ORDER_COMPARE(numeric_ge, struct br_numeric, numeric_order, >=)
ORDER_COMPARE(interval_eq, struct br_interval, interval_order, ==)
ORDER_COMPARE(interval_ne, struct br_interval, interval_order, !=)
ORDER_COMPARE(interval_lt, struct br_interval, interval_order, <)
ORDER_COMPARE(interval_le, struct br_interval, interval_order, <=)
ORDER_COMPARE(interval_gt, struct br_interval, interval_order, >)
ORDER_COMPARE(interval_ge, struct br_interval, interval_order, >=)
ORDER_COMPARE(text_lt, struct br_slice, text_order, <)
ORDER_COMPARE(text_le, struct br_slice, text_order, <=)
ORDER_COMPARE(text_gt, struct br_slice, text_order, >)
ORDER_COMPARE(text_ge, struct br_slice, text_order, >=)
// clang-format on

// Short texts are compared as one or two overlapping words.
static inline bool text_equal(struct br_slice a, struct br_slice b) {
    if (a.len != b.len)
        return false;
    if (a.len >= 8 && a.len <= 16) {
        uint64_t a_first, a_last, b_first, b_last;
        memcpy(&a_first, a.ptr, 8);
        memcpy(&b_first, b.ptr, 8);
        memcpy(&a_last, a.ptr + a.len - 8, 8);
        memcpy(&b_last, b.ptr + b.len - 8, 8);
        return ((a_first ^ b_first) | (a_last ^ b_last)) == 0;
    }
    if (a.len >= 4 && a.len < 8) {
        uint32_t a_first, a_last, b_first, b_last;
        memcpy(&a_first, a.ptr, 4);
        memcpy(&b_first, b.ptr, 4);
        memcpy(&a_last, a.ptr + a.len - 4, 4);
        memcpy(&b_last, b.ptr + b.len - 4, 4);
        return ((a_first ^ b_first) | (a_last ^ b_last)) == 0;
    }
    for (size_t i = 0; i < a.len && a.len < 4; i++)
        if (a.ptr[i] != b.ptr[i])
            return false;
    return a.len < 4 || memcmp(a.ptr, b.ptr, a.len) == 0;
}
#define TEXT_EQUALITY(kernel, wanted)                                                                                  \
    static void kernel(struct br_call *call) {                                                                         \
        uint8_t *results = call->result;                                                                               \
        const struct br_slice *left = call->arguments[0].column.values;                                                \
        const struct br_slice *right = call->arguments[1].column.values;                                               \
        if (call->arguments[1].constant) {                                                                             \
            const struct br_slice y = right[0];                                                                        \
            BR_EACH_LIVE(call, row, { results[row] = text_equal(left[row], y) == wanted; });                           \
        } else {                                                                                                       \
            const uint32_t step = call->arguments[0].constant ? 0 : 1;                                                 \
            BR_EACH_LIVE(call, row, { results[row] = text_equal(left[row * step], right[row]) == wanted; });           \
        }                                                                                                              \
    }
TEXT_EQUALITY(text_eq, true)
TEXT_EQUALITY(text_ne, false)

br_kernel br_equal_kernel(enum br_type type) {
    switch (type) {
    case BR_BOOLEAN:
        return boolean_eq;
    case BR_INTEGER:
    case BR_DATE:
        return int32_eq;
    case BR_BIGINT:
    case BR_TIMESTAMPTZ:
        return int64_eq;
    case BR_DOUBLE:
        return double_eq;
    case BR_NUMERIC:
        return numeric_eq;
    case BR_TEXT:
    case BR_BYTEA:
        return text_eq;
    case BR_INTERVAL:
        return interval_eq;
    default:
        BR_CHECK(false);
    }
}

int br_value_order(enum br_type type, const void *a, const void *b) {
    switch (type) {
    case BR_BOOLEAN:
        return (*(const uint8_t *)a & 1) - (*(const uint8_t *)b & 1);
    case BR_INTEGER:
    case BR_DATE: {
        int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
        return (x > y) - (x < y);
    }
    case BR_BIGINT:
    case BR_TIMESTAMPTZ: {
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
        return (x > y) - (x < y);
    }
    case BR_DOUBLE: {
        double x = *(const double *)a, y = *(const double *)b;
        if (x != x || y != y)
            return (x != x) - (y != y);
        return (x > y) - (x < y);
    }
    case BR_NUMERIC:
        return numeric_order(*(const struct br_numeric *)a, *(const struct br_numeric *)b);
    case BR_TEXT:
    case BR_BYTEA:
        return br_slice_compare(*(const struct br_slice *)a, *(const struct br_slice *)b);
    case BR_INTERVAL:
        return br_interval_compare(*(const struct br_interval *)a, *(const struct br_interval *)b);
    default:
        BR_CHECK(false);
    }
}

// --- forms over any type; not strict
// NULL where the second argument is TRUE, else the first.
static void nullif(struct br_call *call) {
    size_t width = br_type_width(call->expr->type);
    const uint8_t *values = call->arguments[0].column.values;
    const struct br_vector *equal = &call->arguments[1];
    if (!call->arguments[0].constant) {
        call->result = call->arguments[0].column.values;
        call->validity = call->arguments[0].column.validity;
    } else {
        for (uint32_t r = 0; r < call->rows; r++)
            memcpy((uint8_t *)call->result + r * width, values, width);
        if (br_vector_is_null(&call->arguments[0], 0))
            memset(br_call_own_validity(call), 0, br_words(call->rows) * sizeof(uint64_t));
    }
    BR_EACH_LIVE(call, row, {
        if ((BR_ARGUMENT(call, 1, uint8_t, row) & 1) != 0 && !br_vector_is_null(equal, row))
            br_call_set_null(call, row);
    });
}

// The greatest (sign 1) or least (sign -1) of those that aren't NULL; NULL when all are.
static void take_extreme(struct br_call *call, int sign) {
    enum br_type type = call->expr->type;
    size_t width = br_type_width(type);
    uint64_t *validity = br_call_own_validity(call);
    memset(validity, 0, br_words(call->rows) * sizeof *validity);
    for (uint32_t i = 0; i < call->argument_count; i++) {
        const struct br_vector *argument = &call->arguments[i];
        BR_EACH_LIVE(call, row, {
            if (br_vector_is_null(argument, row))
                continue;
            const uint8_t *value = (const uint8_t *)argument->column.values + (argument->constant ? 0 : row) * width;
            uint8_t *best = (uint8_t *)call->result + row * width;
            if (!br_bit(validity, row) || br_value_order(type, value, best) * sign > 0)
                memcpy(best, value, width);
            br_bit_set(validity, row);
        });
    }
}
static void greatest(struct br_call *call) {
    take_extreme(call, 1);
}
static void least(struct br_call *call) {
    take_extreme(call, -1);
}

#define COMPARE(name, type, kernel)                                                                                    \
    { name, BR_BOOLEAN, 2, {type, type}, kernel, NULL, 0 }
#define COMPARES(type, prefix)                                                                                         \
    COMPARE("=", type, prefix##_eq), COMPARE("<>", type, prefix##_ne), COMPARE("<", type, prefix##_lt),                \
        COMPARE("<=", type, prefix##_le), COMPARE(">", type, prefix##_gt), COMPARE(">=", type, prefix##_ge)
#define FORMS(type)                                                                                                    \
    {"nullif", type, 2, {type, BR_BOOLEAN}, nullif, NULL, BR_NOT_STRICT | BR_HIDDEN},                                  \
        {"greatest", type, 2, {type, type}, greatest, NULL, BR_NOT_STRICT | BR_HIDDEN | BR_VARIADIC}, {                \
        "least", type, 2, {type, type}, least, NULL, BR_NOT_STRICT | BR_HIDDEN | BR_VARIADIC                           \
    }
static const struct br_function FUNCTIONS[] = {
    COMPARES(BR_BOOLEAN, boolean),
    COMPARES(BR_INTEGER, int32),
    COMPARES(BR_BIGINT, int64),
    COMPARES(BR_NUMERIC, numeric),
    COMPARES(BR_DOUBLE, double),
    COMPARES(BR_TEXT, text),
    COMPARES(BR_BYTEA, text),
    COMPARES(BR_TIMESTAMPTZ, int64),
    COMPARES(BR_DATE, int32),
    COMPARES(BR_INTERVAL, interval),
    FORMS(BR_BOOLEAN),
    FORMS(BR_INTEGER),
    FORMS(BR_BIGINT),
    FORMS(BR_NUMERIC),
    FORMS(BR_DOUBLE),
    FORMS(BR_TEXT),
    FORMS(BR_BYTEA),
    FORMS(BR_TIMESTAMPTZ),
    FORMS(BR_DATE),
    FORMS(BR_INTERVAL),
};
const struct br_function_table br_compare_table = {FUNCTIONS, sizeof FUNCTIONS / sizeof FUNCTIONS[0]};
