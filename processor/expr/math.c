// SPDX-License-Identifier: Apache-2.0
// Mathematical functions of doubles, with PostgreSQL's errors. Nothing here comes from the C library but what IEEE 754
// defines to the last bit (elementary.h).
#define _GNU_SOURCE // M_PI
#include "processor/expr/elementary.h"
#include "processor/expr/expr_internal.h"

#include <math.h>

#define DOUBLE(index) BR_ARGUMENT(call, index, double, row)
#define SET_DOUBLE(value) BR_RESULT(call, double)[row] = (value)

static void double_ceil(struct br_call *call) {
    BR_DENSE_UNARY(call, double, double, z = ceil(x));
}
static void double_floor(struct br_call *call) {
    BR_DENSE_UNARY(call, double, double, z = floor(x));
}
static void double_round(struct br_call *call) {
    BR_DENSE_UNARY(call, double, double, z = rint(x)); // half to even, as the machine does
}
static void double_trunc(struct br_call *call) {
    BR_DENSE_UNARY(call, double, double, z = trunc(x));
}
static void double_sign(struct br_call *call) {
    BR_DENSE_UNARY(call, double, double, z = (double)((x > 0) - (x < 0)));
}

// A result that is infinite or 0 for arguments that don't make it so is out of range.
static void set_checked(struct br_call *call, uint32_t row, double result, bool may_be_infinite, bool may_be_zero) {
    if (isinf(result) && !may_be_infinite)
        br_call_fail(call, row, "value out of range: overflow");
    else if (result == 0 && !may_be_zero)
        br_call_fail(call, row, "value out of range: underflow");
    else
        SET_DOUBLE(result);
}

BR_ROW_KERNEL(double_degrees, {
    double x = DOUBLE(0);
    set_checked(call, row, x / (M_PI / 180.0), isinf(x), x == 0);
})
BR_ROW_KERNEL(double_radians, {
    double x = DOUBLE(0);
    set_checked(call, row, x * (M_PI / 180.0), isinf(x), x == 0);
})
BR_ROW_KERNEL(double_sqrt, {
    double x = DOUBLE(0);
    if (x < 0)
        br_call_fail(call, row, "cannot take square root of a negative number");
    else
        SET_DOUBLE(sqrt(x));
})
BR_ROW_KERNEL(double_cbrt, { SET_DOUBLE(br_cbrt(DOUBLE(0))); })
BR_ROW_KERNEL(double_exp, {
    double x = DOUBLE(0);
    set_checked(call, row, br_exp(x), isinf(x), isinf(x));
})

static void logarithm(struct br_call *call, double (*function)(double)) {
    BR_EACH_LIVE(call, row, {
        double x = DOUBLE(0);
        if (x == 0)
            br_call_fail(call, row, "cannot take logarithm of zero");
        else if (x < 0)
            br_call_fail(call, row, "cannot take logarithm of a negative number");
        else
            SET_DOUBLE(function(x));
    });
}
static void double_ln(struct br_call *call) {
    logarithm(call, br_ln);
}
static void double_log(struct br_call *call) {
    logarithm(call, br_log10);
}

BR_ROW_KERNEL(double_power, {
    double x = DOUBLE(0);
    double y = DOUBLE(1);
    if (x == 0 && y < 0)
        br_call_fail(call, row, "zero raised to a negative power is undefined");
    else if (x < 0 && !isnan(y) && floor(y) != y)
        br_call_fail(call, row, "a negative number raised to a non-integer power yields a complex result");
    else
        set_checked(call, row, br_power(x, y), isinf(x) || isinf(y), x == 0 || isinf(x) || isinf(y));
})

static const char INPUT_RANGE[] = "input is out of range";
#define ANGLE(kernel, function, in_range)                                                                              \
    BR_ROW_KERNEL(kernel, {                                                                                            \
        double x = DOUBLE(0);                                                                                          \
        if (in_range || isnan(x))                                                                                      \
            SET_DOUBLE(function(x));                                                                                   \
        else                                                                                                           \
            br_call_fail(call, row, INPUT_RANGE);                                                                      \
    })
ANGLE(double_sin, br_sin, !isinf(x))
ANGLE(double_cos, br_cos, !isinf(x))
ANGLE(double_tan, br_tan, !isinf(x))
ANGLE(double_asin, br_asin, (x >= -1 && x <= 1))
ANGLE(double_acos, br_acos, (x >= -1 && x <= 1))
ANGLE(double_atan, br_atan, true)
BR_ROW_KERNEL(double_atan2, { SET_DOUBLE(br_atan2(DOUBLE(0), DOUBLE(1))); })
BR_ROW_KERNEL(double_pi, { SET_DOUBLE(M_PI); })

// Which of `count` equal buckets between low and high a value falls into; 0 below, count + 1 from high on.
BR_ROW_KERNEL(width_bucket, {
    double x = DOUBLE(0);
    double low = DOUBLE(1);
    double high = DOUBLE(2);
    int32_t count = BR_ARGUMENT(call, 3, int32_t, row);
    const char *wrong = count <= 0                              ? "count must be greater than zero"
                        : isnan(x) || isnan(low) || isnan(high) ? "operand, lower bound, and upper bound cannot be NaN"
                        : isinf(low) || isinf(high)             ? "lower and upper bounds must be finite"
                        : low == high                           ? "lower bound cannot equal upper bound"
                                                                : NULL;
    if (wrong != NULL) {
        br_call_fail(call, row, wrong);
        continue;
    }
    bool rising = low < high;
    double from = rising ? x - low : low - x;
    double width = rising ? high - low : low - high;
    if (isinf(width)) { // the bounds are too far apart: halves aren't
        from = rising ? x / 2 - low / 2 : low / 2 - x / 2;
        width = rising ? high / 2 - low / 2 : low / 2 - high / 2;
    }
    if (from >= width && count == INT32_MAX) {
        br_call_fail(call, row, "integer out of range");
        continue;
    }
    // Rounding up may reach count below the upper bound.
    double bucket = from >= width ? count : count * (from / width);
    if (from < 0)
        BR_RESULT(call, int32_t)[row] = 0;
    else if (from >= width)
        BR_RESULT(call, int32_t)[row] = count + 1;
    else
        BR_RESULT(call, int32_t)[row] = bucket >= count ? count : (int32_t)bucket + 1;
})

#define F1(name, kernel)                                                                                               \
    { name, BR_DOUBLE, 1, {BR_DOUBLE}, kernel, NULL, 0 }
#define ELEMENTARY1(name, kernel)                                                                                      \
    { name, BR_DOUBLE, 1, {BR_DOUBLE}, kernel, NULL, BR_ELEMENTARY }
#define ELEMENTARY2(name, kernel)                                                                                      \
    { name, BR_DOUBLE, 2, {BR_DOUBLE, BR_DOUBLE}, kernel, NULL, BR_ELEMENTARY }
static const struct br_function FUNCTIONS[] = {
    F1("ceil", double_ceil),
    F1("ceiling", double_ceil),
    F1("floor", double_floor),
    F1("round", double_round),
    F1("trunc", double_trunc),
    F1("sign", double_sign),
    F1("sqrt", double_sqrt),
    F1("|/", double_sqrt),
    ELEMENTARY1("cbrt", double_cbrt),
    ELEMENTARY1("exp", double_exp),
    ELEMENTARY1("ln", double_ln),
    ELEMENTARY1("log", double_log),
    ELEMENTARY1("log10", double_log),
    ELEMENTARY2("power", double_power),
    ELEMENTARY2("pow", double_power),
    ELEMENTARY2("^", double_power),
    F1("degrees", double_degrees),
    F1("radians", double_radians),
    ELEMENTARY1("sin", double_sin),
    ELEMENTARY1("cos", double_cos),
    ELEMENTARY1("tan", double_tan),
    ELEMENTARY1("asin", double_asin),
    ELEMENTARY1("acos", double_acos),
    ELEMENTARY1("atan", double_atan),
    ELEMENTARY2("atan2", double_atan2),
    {"pi", BR_DOUBLE, 0, {0}, double_pi, NULL, 0},
    {"width_bucket", BR_INTEGER, 4, {BR_DOUBLE, BR_DOUBLE, BR_DOUBLE, BR_INTEGER}, width_bucket, NULL, 0},
};
const struct br_function_table br_math_table = {FUNCTIONS, sizeof FUNCTIONS / sizeof FUNCTIONS[0]};
