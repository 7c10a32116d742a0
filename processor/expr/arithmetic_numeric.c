// SPDX-License-Identifier: Apache-2.0
// Arithmetic and rounding of numerics (numeric.h). Only live rows are computed: a NULL's bits need not be a numeric.
#include "processor/expr/expr_internal.h"
#include "processor/expr/numeric.h"

static const char OVERFLOW[] = "value overflows numeric format";

#define NUMERIC_BINARY(kernel, function)                                                                               \
    static void kernel(struct br_call *call) {                                                                         \
        struct br_numeric *results = call->result;                                                                     \
        const struct br_numeric *left = call->arguments[0].column.values;                                              \
        const struct br_numeric *right = call->arguments[1].column.values;                                             \
        if (call->arguments[1].constant) {                                                                             \
            const struct br_numeric y = right[0];                                                                      \
            BR_EACH_LIVE(call, row, {                                                                                  \
                if (!function(left[row], y, &results[row]))                                                            \
                    br_call_fail(call, row, OVERFLOW);                                                                 \
            });                                                                                                        \
        } else {                                                                                                       \
            const uint32_t step = call->arguments[0].constant ? 0 : 1;                                                 \
            BR_EACH_LIVE(call, row, {                                                                                  \
                if (!function(left[row * step], right[row], &results[row]))                                            \
                    br_call_fail(call, row, OVERFLOW);                                                                 \
            });                                                                                                        \
        }                                                                                                              \
    }
NUMERIC_BINARY(numeric_add, br_numeric_add)
NUMERIC_BINARY(numeric_subtract, br_numeric_subtract)
NUMERIC_BINARY(numeric_multiply, br_numeric_multiply)

#define NUMERIC_DIVISION(kernel, function)                                                                             \
    BR_ROW_KERNEL(kernel, {                                                                                            \
        const struct br_numeric y = BR_ARGUMENT(call, 1, struct br_numeric, row);                                      \
        if (br_numeric_coefficient(y) == 0)                                                                            \
            br_call_fail(call, row, "division by zero");                                                               \
        else if (!function(BR_ARGUMENT(call, 0, struct br_numeric, row), y, &BR_RESULT(call, struct br_numeric)[row])) \
            br_call_fail(call, row, OVERFLOW);                                                                         \
    })
static bool whole_quotient(struct br_numeric a, struct br_numeric b, struct br_numeric *ret) {
    // (a - a mod b) / b is whole, so that rounding the quotient to a whole number gives it exactly.
    struct br_numeric rest, multiple, quotient;
    return br_numeric_modulo(a, b, &rest) && br_numeric_subtract(a, rest, &multiple) &&
           br_numeric_divide(multiple, b, &quotient) && br_numeric_round(quotient, 0, ret);
}
NUMERIC_DIVISION(numeric_divide, br_numeric_divide)
NUMERIC_DIVISION(numeric_modulo, br_numeric_modulo)
NUMERIC_DIVISION(numeric_div, whole_quotient)

static int sign_of(struct br_numeric n) {
    __int128 coefficient = br_numeric_coefficient(n);
    return (coefficient > 0) - (coefficient < 0);
}

#define NUMERIC_UNARY(kernel, expression)                                                                              \
    BR_ROW_KERNEL(kernel, {                                                                                            \
        const struct br_numeric x = BR_ARGUMENT(call, 0, struct br_numeric, row);                                      \
        BR_RESULT(call, struct br_numeric)[row] = (expression);                                                        \
    })
NUMERIC_UNARY(numeric_same, x)
NUMERIC_UNARY(numeric_negate, br_numeric_negate(x))
NUMERIC_UNARY(numeric_abs, sign_of(x) < 0 ? br_numeric_negate(x) : x)
NUMERIC_UNARY(numeric_sign, br_numeric_from_int64(sign_of(x)))
NUMERIC_UNARY(numeric_trim_scale, br_numeric_normalize(x))

#define NUMERIC_CHECKED_UNARY(kernel, call_of_x)                                                                       \
    BR_ROW_KERNEL(kernel, {                                                                                            \
        const struct br_numeric x = BR_ARGUMENT(call, 0, struct br_numeric, row);                                      \
        struct br_numeric *z = &BR_RESULT(call, struct br_numeric)[row];                                               \
        if (!(call_of_x))                                                                                              \
            br_call_fail(call, row, OVERFLOW);                                                                         \
    })
NUMERIC_CHECKED_UNARY(numeric_floor, br_numeric_floor(x, z))
NUMERIC_CHECKED_UNARY(numeric_ceil, br_numeric_ceil(x, z))
NUMERIC_CHECKED_UNARY(numeric_round, br_numeric_round(x, 0, z))
NUMERIC_CHECKED_UNARY(numeric_truncate, br_numeric_truncate(x, 0, z))
NUMERIC_CHECKED_UNARY(numeric_round_to, br_numeric_round(x, BR_ARGUMENT(call, 1, int32_t, row), z))
NUMERIC_CHECKED_UNARY(numeric_truncate_to, br_numeric_truncate(x, BR_ARGUMENT(call, 1, int32_t, row), z))

BR_ROW_KERNEL(numeric_sqrt, {
    const struct br_numeric x = BR_ARGUMENT(call, 0, struct br_numeric, row);
    if (sign_of(x) < 0)
        br_call_fail(call, row, "cannot take square root of a negative number");
    else if (!br_numeric_sqrt(x, &BR_RESULT(call, struct br_numeric)[row]))
        br_call_fail(call, row, OVERFLOW);
})

NUMERIC_CHECKED_UNARY(numeric_exp, br_numeric_exp(x, z))

// PostgreSQL's words for what has no logarithm; NULL when it has one.
static const char *no_logarithm(struct br_numeric n) {
    int sign = sign_of(n);
    return sign > 0 ? NULL : sign == 0 ? "cannot take logarithm of zero" : "cannot take logarithm of a negative number";
}
static const char *ln_of(struct br_numeric x, struct br_numeric *ret) {
    const char *wrong = no_logarithm(x);
    return wrong != NULL ? wrong : br_numeric_ln(x, ret) ? NULL : OVERFLOW;
}
static const char *log_of(struct br_numeric base, struct br_numeric x, struct br_numeric *ret) {
    const char *wrong = no_logarithm(base) != NULL ? no_logarithm(base) : no_logarithm(x);
    if (wrong == NULL && br_numeric_compare(base, br_numeric_from_int64(1)) == 0)
        wrong = "division by zero"; // by its logarithm
    return wrong != NULL ? wrong : br_numeric_log(base, x, ret) ? NULL : OVERFLOW;
}
static const char *power_of(struct br_numeric base, struct br_numeric exponent, struct br_numeric *ret) {
    if (sign_of(base) == 0 && sign_of(exponent) < 0)
        return "zero raised to a negative power is undefined";
    if (sign_of(base) < 0 && br_numeric_scale(br_numeric_normalize(exponent)) != 0)
        return "a negative number raised to a non-integer power yields a complex result";
    return br_numeric_power(base, exponent, ret) ? NULL : OVERFLOW;
}
#define NUMERIC_WORDED(kernel, call_of_x)                                                                              \
    BR_ROW_KERNEL(kernel, {                                                                                            \
        const struct br_numeric x = BR_ARGUMENT(call, 0, struct br_numeric, row);                                      \
        struct br_numeric *z = &BR_RESULT(call, struct br_numeric)[row];                                               \
        const char *wrong = call_of_x;                                                                                 \
        if (wrong != NULL)                                                                                             \
            br_call_fail(call, row, wrong);                                                                            \
    })
NUMERIC_WORDED(numeric_ln, ln_of(x, z))
NUMERIC_WORDED(numeric_log10, log_of(br_numeric_from_int64(10), x, z))
NUMERIC_WORDED(numeric_log, log_of(x, BR_ARGUMENT(call, 1, struct br_numeric, row), z))
NUMERIC_WORDED(numeric_power, power_of(x, BR_ARGUMENT(call, 1, struct br_numeric, row), z))

BR_ROW_KERNEL(numeric_scale, {
    BR_RESULT(call, int32_t)[row] = (int32_t)br_numeric_scale(BR_ARGUMENT(call, 0, struct br_numeric, row));
})

// numeric(precision, scale): rounds to the scale; at most precision - scale digits before the point. The binder takes
// no other precision and scale than PostgreSQL does, but the function can be called by its name.
BR_ROW_KERNEL(numeric_typmod, {
    const int32_t precision = BR_ARGUMENT(call, 1, int32_t, row);
    const int32_t scale = BR_ARGUMENT(call, 2, int32_t, row);
    if (precision < 1 || precision > 1000 || scale < -1000 || scale > 1000) {
        br_call_fail(call, row, "numeric precision must be between 1 and 1000, scale between -1000 and 1000");
        continue;
    }
    struct br_numeric *z = &BR_RESULT(call, struct br_numeric)[row];
    struct br_numeric magnitude;
    bool fits = br_numeric_round(BR_ARGUMENT(call, 0, struct br_numeric, row), scale, z);
    if (fits && precision - scale < 37) {
        magnitude = sign_of(*z) < 0 ? br_numeric_negate(*z) : *z;
        __int128 power = 1;
        for (int32_t i = precision; i > scale; i--)
            power *= 10;
        struct br_numeric bound;
        fits = precision < scale || (br_numeric_make(power, 0, &bound) && br_numeric_compare(magnitude, bound) < 0);
        // More scale than precision: the value stays below 10^-(scale - precision).
        if (precision < scale) {
            int32_t down = scale - precision;
            fits = down <= BR_NUMERIC_SCALE_MAX && br_numeric_make(1, (unsigned)down, &bound) &&
                   br_numeric_compare(magnitude, bound) < 0;
        }
    }
    if (!fits)
        br_call_fail(call, row, "numeric field overflow");
})

#define UNARY(name, kernel)                                                                                            \
    { name, BR_NUMERIC, 1, {BR_NUMERIC}, kernel, NULL, 0 }
#define BINARY(name, kernel)                                                                                           \
    { name, BR_NUMERIC, 2, {BR_NUMERIC, BR_NUMERIC}, kernel, NULL, 0 }
static const struct br_function FUNCTIONS[] = {
    BINARY("+", numeric_add),
    BINARY("-", numeric_subtract),
    BINARY("*", numeric_multiply),
    BINARY("/", numeric_divide),
    BINARY("%", numeric_modulo),
    BINARY("mod", numeric_modulo),
    BINARY("div", numeric_div),
    UNARY("+", numeric_same),
    UNARY("-", numeric_negate),
    UNARY("abs", numeric_abs),
    UNARY("@", numeric_abs),
    UNARY("sign", numeric_sign),
    UNARY("floor", numeric_floor),
    UNARY("ceil", numeric_ceil),
    UNARY("ceiling", numeric_ceil),
    UNARY("round", numeric_round),
    UNARY("trunc", numeric_truncate),
    UNARY("sqrt", numeric_sqrt),
    UNARY("exp", numeric_exp),
    UNARY("ln", numeric_ln),
    UNARY("log", numeric_log10),
    UNARY("log10", numeric_log10),
    BINARY("log", numeric_log),
    BINARY("power", numeric_power),
    BINARY("pow", numeric_power),
    BINARY("^", numeric_power),
    UNARY("trim_scale", numeric_trim_scale),
    {"round", BR_NUMERIC, 2, {BR_NUMERIC, BR_INTEGER}, numeric_round_to, NULL, 0},
    {"trunc", BR_NUMERIC, 2, {BR_NUMERIC, BR_INTEGER}, numeric_truncate_to, NULL, 0},
    {"scale", BR_INTEGER, 1, {BR_NUMERIC}, numeric_scale, NULL, 0},
    // For the binder: a cast to numeric(precision, scale).
    {"numeric_typmod", BR_NUMERIC, 3, {BR_NUMERIC, BR_INTEGER, BR_INTEGER}, numeric_typmod, NULL, 0},
};
const struct br_function_table br_numeric_table = {FUNCTIONS, sizeof FUNCTIONS / sizeof FUNCTIONS[0]};
