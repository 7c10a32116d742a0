// SPDX-License-Identifier: Apache-2.0
// + - * / % and bits on integers and doubles. Dense loops gather a flag; rows are looked at singly only when it is set.
#include "processor/expr/expr_internal.h"

#include <math.h>

// PostgreSQL's words for a result that doesn't fit.
static const char INTEGER_RANGE[] = "integer out of range";
static const char BIGINT_RANGE[] = "bigint out of range";
static const char DIVISION[] = "division by zero";
static const char DOUBLE_OVERFLOW[] = "value out of range: overflow";
static const char DOUBLE_UNDERFLOW[] = "value out of range: underflow";

// --- integer: computed in 64 bits, where nothing overflows
#define INTEGER_BINARY(kernel, symbol)                                                                                 \
    static void kernel(struct br_call *call) {                                                                         \
        uint32_t bad = 0;                                                                                              \
        BR_DENSE_BINARY(call, int32_t, int32_t, int32_t, int64_t wide = (int64_t)x symbol(int64_t) y;                  \
                        z = (int32_t)wide; bad |= z != wide);                                                          \
        if (bad != 0)                                                                                                  \
            BR_EACH_LIVE(call, row, {                                                                                  \
                int64_t wide =                                                                                         \
                    (int64_t)BR_ARGUMENT(call, 0, int32_t, row) symbol(int64_t) BR_ARGUMENT(call, 1, int32_t, row);    \
                if (wide != (int32_t)wide)                                                                             \
                    br_call_fail(call, row, INTEGER_RANGE);                                                            \
            });                                                                                                        \
    }
// clang-format off
INTEGER_BINARY(integer_add, +)
INTEGER_BINARY(integer_subtract, -)
INTEGER_BINARY(integer_multiply, *)
// clang-format on

// --- bigint: the sign bit of `overflow` says that a sum or difference doesn't fit
#define BIGINT_BINARY(kernel, builtin, loop)                                                                           \
    static void kernel(struct br_call *call) {                                                                         \
        uint64_t bad = 0;                                                                                              \
        BR_DENSE_BINARY(call, int64_t, int64_t, int64_t, loop);                                                        \
        if (bad >> 63 != 0)                                                                                            \
            BR_EACH_LIVE(call, row, {                                                                                  \
                int64_t z;                                                                                             \
                if (builtin(BR_ARGUMENT(call, 0, int64_t, row), BR_ARGUMENT(call, 1, int64_t, row), &z))               \
                    br_call_fail(call, row, BIGINT_RANGE);                                                             \
            });                                                                                                        \
    }
BIGINT_BINARY(bigint_add, __builtin_add_overflow, z = (int64_t)((uint64_t)x + (uint64_t)y);
              bad |= (uint64_t)((x ^ z) & (y ^ z)))
BIGINT_BINARY(bigint_subtract, __builtin_sub_overflow, z = (int64_t)((uint64_t)x - (uint64_t)y);
              bad |= (uint64_t)((x ^ y) & (x ^ z)))
BIGINT_BINARY(bigint_multiply, __builtin_mul_overflow, bad |= (uint64_t)__builtin_mul_overflow(x, y, &z) << 63)

// --- division of integers: by a constant that can't fail, dense; else live rows only
#define INTEGER_DIVIDE(kernel, type, least, range)                                                                     \
    static void kernel(struct br_call *call) {                                                                         \
        if (call->arguments[1].constant) {                                                                             \
            const type divisor = BR_ARGUMENT(call, 1, type, 0);                                                        \
            if (divisor != 0 && divisor != -1) {                                                                       \
                BR_DENSE_UNARY(call, type, type, z = x / divisor);                                                     \
                return;                                                                                                \
            }                                                                                                          \
        }                                                                                                              \
        BR_EACH_LIVE(call, row, {                                                                                      \
            const type x = BR_ARGUMENT(call, 0, type, row);                                                            \
            const type y = BR_ARGUMENT(call, 1, type, row);                                                            \
            if (y == 0)                                                                                                \
                br_call_fail(call, row, DIVISION);                                                                     \
            else if (y == -1 && x == least)                                                                            \
                br_call_fail(call, row, range);                                                                        \
            else                                                                                                       \
                BR_RESULT(call, type)[row] = x / y;                                                                    \
        });                                                                                                            \
    }
#define INTEGER_MODULO(kernel, type)                                                                                   \
    static void kernel(struct br_call *call) {                                                                         \
        if (call->arguments[1].constant) {                                                                             \
            const type divisor = BR_ARGUMENT(call, 1, type, 0);                                                        \
            if (divisor != 0 && divisor != -1) {                                                                       \
                BR_DENSE_UNARY(call, type, type, z = x % divisor);                                                     \
                return;                                                                                                \
            }                                                                                                          \
        }                                                                                                              \
        BR_EACH_LIVE(call, row, {                                                                                      \
            const type x = BR_ARGUMENT(call, 0, type, row);                                                            \
            const type y = BR_ARGUMENT(call, 1, type, row);                                                            \
            if (y == 0)                                                                                                \
                br_call_fail(call, row, DIVISION);                                                                     \
            else                                                                                                       \
                BR_RESULT(call, type)[row] = y == -1 ? 0 : x % y;                                                      \
        });                                                                                                            \
    }
INTEGER_DIVIDE(integer_divide, int32_t, INT32_MIN, INTEGER_RANGE)
INTEGER_DIVIDE(bigint_divide, int64_t, INT64_MIN, BIGINT_RANGE)
INTEGER_MODULO(integer_modulo, int32_t)
INTEGER_MODULO(bigint_modulo, int64_t)

// --- sign and magnitude: only the least value has no opposite
#define INTEGER_UNARY(kernel, type, unsigned_type, least, range, expression)                                           \
    static void kernel(struct br_call *call) {                                                                         \
        uint32_t bad = 0;                                                                                              \
        BR_DENSE_UNARY(call, type, type, z = (type)(expression); bad |= x == least);                                   \
        if (bad != 0)                                                                                                  \
            BR_EACH_LIVE(call, row, {                                                                                  \
                if (BR_ARGUMENT(call, 0, type, row) == least)                                                          \
                    br_call_fail(call, row, range);                                                                    \
            });                                                                                                        \
    }
INTEGER_UNARY(integer_negate, int32_t, uint32_t, INT32_MIN, INTEGER_RANGE, 0 - (uint32_t)x)
INTEGER_UNARY(bigint_negate, int64_t, uint64_t, INT64_MIN, BIGINT_RANGE, 0 - (uint64_t)x)
INTEGER_UNARY(integer_abs, int32_t, uint32_t, INT32_MIN, INTEGER_RANGE, x < 0 ? 0 - (uint32_t)x : (uint32_t)x)
INTEGER_UNARY(bigint_abs, int64_t, uint64_t, INT64_MIN, BIGINT_RANGE, x < 0 ? 0 - (uint64_t)x : (uint64_t)x)

static void same_4(struct br_call *call) {
    BR_DENSE_UNARY(call, int32_t, int32_t, z = x);
}
static void same_8(struct br_call *call) {
    BR_DENSE_UNARY(call, int64_t, int64_t, z = x);
}
static void same_double(struct br_call *call) {
    BR_DENSE_UNARY(call, double, double, z = x);
}

// --- double: infinite from finite is overflow, 0 from a product or quotient of others underflow
#define IS_FINITE(v) (((v) - (v)) == 0)

// The bits of a NaN are the processor's choice, and the compiler's, which may swap operands: here they are what x86
// gives.
static double nan_of(double x, double y) {
    uint64_t bits = UINT64_C(0xfff8000000000000);
    if (isnan(x) || isnan(y))
        memcpy(&bits, isnan(x) ? &x : &y, sizeof bits);
    bits |= UINT64_C(1) << 51; // quiet
    double nan;
    memcpy(&nan, &bits, sizeof nan);
    return nan;
}

#define DOUBLE_BINARY(kernel, symbol, may_underflow)                                                                   \
    static void kernel(struct br_call *call) {                                                                         \
        uint64_t bad = 0;                                                                                              \
        BR_DENSE_BINARY(call, double, double, double, z = x symbol y;                                                  \
                        bad |= (uint64_t)!IS_FINITE(z) | (uint64_t)(may_underflow && z == 0));                         \
        if (bad != 0)                                                                                                  \
            BR_EACH_LIVE(call, row, {                                                                                  \
                double x = BR_ARGUMENT(call, 0, double, row);                                                          \
                double y = BR_ARGUMENT(call, 1, double, row);                                                          \
                double z = BR_RESULT(call, double)[row];                                                               \
                if (isnan(z))                                                                                          \
                    BR_RESULT(call, double)[row] = nan_of(x, y);                                                       \
                else if (isinf(z) && !isinf(x) && !isinf(y))                                                           \
                    br_call_fail(call, row, DOUBLE_OVERFLOW);                                                          \
                else if (may_underflow && z == 0 && x != 0 && y != 0)                                                  \
                    br_call_fail(call, row, DOUBLE_UNDERFLOW);                                                         \
            });                                                                                                        \
    }
// clang-format off
DOUBLE_BINARY(double_add, +, false)
DOUBLE_BINARY(double_subtract, -, false)
DOUBLE_BINARY(double_multiply, *, true)
// clang-format on

static void double_divide(struct br_call *call) {
    uint64_t bad = 0;
    BR_DENSE_BINARY(call, double, double, double, z = x / y; bad |= (uint64_t)!IS_FINITE(z) | (uint64_t)(z == 0));
    if (bad != 0)
        BR_EACH_LIVE(call, row, {
            double x = BR_ARGUMENT(call, 0, double, row);
            double y = BR_ARGUMENT(call, 1, double, row);
            double z = BR_RESULT(call, double)[row];
            if (y == 0 && !isnan(x))
                br_call_fail(call, row, DIVISION);
            else if (isnan(z))
                BR_RESULT(call, double)[row] = nan_of(x, y);
            else if (isinf(z) && !isinf(x))
                br_call_fail(call, row, DOUBLE_OVERFLOW);
            else if (z == 0 && x != 0 && !isinf(y))
                br_call_fail(call, row, DOUBLE_UNDERFLOW);
        });
}

static void double_negate(struct br_call *call) {
    BR_DENSE_UNARY(call, double, double, z = -x);
}
static void double_abs(struct br_call *call) {
    BR_DENSE_UNARY(call, double, double, z = fabs(x));
}

// --- bits
#define BITS(kernel, type, expression)                                                                                 \
    static void kernel(struct br_call *call) {                                                                         \
        BR_DENSE_BINARY(call, type, type, type, z = (type)(expression));                                               \
    }
BITS(integer_and, int32_t, x &y)
BITS(integer_or, int32_t, x | y)
BITS(integer_xor, int32_t, x ^ y)
BITS(bigint_and, int64_t, x &y)
BITS(bigint_or, int64_t, x | y)
BITS(bigint_xor, int64_t, x ^ y)
static void integer_not(struct br_call *call) {
    BR_DENSE_UNARY(call, int32_t, int32_t, z = ~x);
}
static void bigint_not(struct br_call *call) {
    BR_DENSE_UNARY(call, int64_t, int64_t, z = ~x);
}
static void integer_shift_left(struct br_call *call) {
    BR_DENSE_BINARY(call, int32_t, int32_t, int32_t, z = (int32_t)((uint32_t)x << (y & 31)));
}
static void integer_shift_right(struct br_call *call) {
    BR_DENSE_BINARY(call, int32_t, int32_t, int32_t, z = x >> (y & 31));
}
static void bigint_shift_left(struct br_call *call) {
    BR_DENSE_BINARY(call, int64_t, int32_t, int64_t, z = (int64_t)((uint64_t)x << (y & 63)));
}
static void bigint_shift_right(struct br_call *call) {
    BR_DENSE_BINARY(call, int64_t, int32_t, int64_t, z = x >> (y & 63));
}

#define UNARY(name, type, kernel)                                                                                      \
    { name, type, 1, {type}, kernel, NULL, 0 }
#define BINARY(name, type, kernel)                                                                                     \
    { name, type, 2, {type, type}, kernel, NULL, 0 }
static const struct br_function FUNCTIONS[] = {
    BINARY("+", BR_INTEGER, integer_add),
    BINARY("+", BR_BIGINT, bigint_add),
    BINARY("+", BR_DOUBLE, double_add),
    BINARY("-", BR_INTEGER, integer_subtract),
    BINARY("-", BR_BIGINT, bigint_subtract),
    BINARY("-", BR_DOUBLE, double_subtract),
    BINARY("*", BR_INTEGER, integer_multiply),
    BINARY("*", BR_BIGINT, bigint_multiply),
    BINARY("*", BR_DOUBLE, double_multiply),
    BINARY("/", BR_INTEGER, integer_divide),
    BINARY("/", BR_BIGINT, bigint_divide),
    BINARY("/", BR_DOUBLE, double_divide),
    BINARY("%", BR_INTEGER, integer_modulo),
    BINARY("%", BR_BIGINT, bigint_modulo),
    BINARY("mod", BR_INTEGER, integer_modulo),
    BINARY("mod", BR_BIGINT, bigint_modulo),
    UNARY("+", BR_INTEGER, same_4),
    UNARY("+", BR_BIGINT, same_8),
    UNARY("+", BR_DOUBLE, same_double),
    UNARY("-", BR_INTEGER, integer_negate),
    UNARY("-", BR_BIGINT, bigint_negate),
    UNARY("-", BR_DOUBLE, double_negate),
    UNARY("abs", BR_INTEGER, integer_abs),
    UNARY("abs", BR_BIGINT, bigint_abs),
    UNARY("abs", BR_DOUBLE, double_abs),
    UNARY("@", BR_INTEGER, integer_abs),
    UNARY("@", BR_BIGINT, bigint_abs),
    UNARY("@", BR_DOUBLE, double_abs),
    BINARY("&", BR_INTEGER, integer_and),
    BINARY("&", BR_BIGINT, bigint_and),
    BINARY("|", BR_INTEGER, integer_or),
    BINARY("|", BR_BIGINT, bigint_or),
    BINARY("#", BR_INTEGER, integer_xor),
    BINARY("#", BR_BIGINT, bigint_xor),
    UNARY("~", BR_INTEGER, integer_not),
    UNARY("~", BR_BIGINT, bigint_not),
    BINARY("<<", BR_INTEGER, integer_shift_left),
    BINARY(">>", BR_INTEGER, integer_shift_right),
    {"<<", BR_BIGINT, 2, {BR_BIGINT, BR_INTEGER}, bigint_shift_left, NULL, 0},
    {">>", BR_BIGINT, 2, {BR_BIGINT, BR_INTEGER}, bigint_shift_right, NULL, 0},
};
const struct br_function_table br_arithmetic_table = {FUNCTIONS, sizeof FUNCTIONS / sizeof FUNCTIONS[0]};
