// SPDX-License-Identifier: Apache-2.0
// Casts between all types that PostgreSQL casts, with its three levels; kernels for them.
#include "processor/expr/datetime.h"
#include "processor/expr/expr_internal.h"
#include "processor/expr/numeric.h"

#include <math.h>

#define US_PER_DAY INT64_C(86400000000)

// --- between numbers
static void integer_to_bigint(struct br_call *call) {
    BR_DENSE_UNARY(call, int32_t, int64_t, z = x);
}
static void integer_to_double(struct br_call *call) {
    BR_DENSE_UNARY(call, int32_t, double, z = x);
}
static void bigint_to_double(struct br_call *call) {
    BR_DENSE_UNARY(call, int64_t, double, z = (double)x);
}
static void integer_to_numeric(struct br_call *call) {
    BR_DENSE_UNARY(call, int32_t, struct br_numeric, z = br_numeric_from_int64(x));
}
static void bigint_to_numeric(struct br_call *call) {
    BR_DENSE_UNARY(call, int64_t, struct br_numeric, z = br_numeric_from_int64(x));
}
static void integer_to_boolean(struct br_call *call) {
    BR_DENSE_UNARY(call, int32_t, uint8_t, z = x != 0);
}
static void boolean_to_integer(struct br_call *call) {
    BR_DENSE_UNARY(call, uint8_t, int32_t, z = x & 1);
}

static void bigint_to_integer(struct br_call *call) {
    uint32_t bad = 0;
    BR_DENSE_UNARY(call, int64_t, int32_t, z = (int32_t)x; bad |= z != x);
    if (bad != 0)
        BR_EACH_LIVE(call, row, {
            int64_t x = BR_ARGUMENT(call, 0, int64_t, row);
            if (x != (int32_t)x)
                br_call_fail(call, row, "integer out of range");
        });
}

BR_ROW_KERNEL(numeric_to_integer, {
    int64_t whole;
    bool fits = br_numeric_to_int64(BR_ARGUMENT(call, 0, struct br_numeric, row), &whole);
    if (fits && whole == (int32_t)whole)
        BR_RESULT(call, int32_t)[row] = (int32_t)whole;
    else
        br_call_fail(call, row, "integer out of range");
})
BR_ROW_KERNEL(numeric_to_bigint, {
    if (!br_numeric_to_int64(BR_ARGUMENT(call, 0, struct br_numeric, row), &BR_RESULT(call, int64_t)[row]))
        br_call_fail(call, row, "bigint out of range");
})
BR_ROW_KERNEL(numeric_to_double, {
    BR_RESULT(call, double)[row] = br_numeric_to_double(BR_ARGUMENT(call, 0, struct br_numeric, row));
})
// Rounds half to even, as rint does.
BR_ROW_KERNEL(double_to_integer, {
    double x = rint(BR_ARGUMENT(call, 0, double, row));
    if (x >= -0x1p31 && x < 0x1p31)
        BR_RESULT(call, int32_t)[row] = (int32_t)x;
    else
        br_call_fail(call, row, "integer out of range");
})
BR_ROW_KERNEL(double_to_bigint, {
    double x = rint(BR_ARGUMENT(call, 0, double, row));
    if (x >= -0x1p63 && x < 0x1p63)
        BR_RESULT(call, int64_t)[row] = (int64_t)x;
    else
        br_call_fail(call, row, "bigint out of range");
})
BR_ROW_KERNEL(double_to_numeric, {
    double x = BR_ARGUMENT(call, 0, double, row);
    if (!br_numeric_from_double(x, &BR_RESULT(call, struct br_numeric)[row]))
        br_call_fail(call, row,
                     isnan(x)   ? "cannot convert NaN to numeric"
                     : isinf(x) ? "cannot convert infinity to numeric"
                                : "value overflows numeric format");
})

// --- times
BR_ROW_KERNEL(date_to_timestamptz, {
    int64_t us;
    if (__builtin_mul_overflow((int64_t)BR_ARGUMENT(call, 0, int32_t, row), US_PER_DAY, &us) || us < BR_TIMESTAMP_MIN ||
        us >= BR_TIMESTAMP_END)
        br_call_fail(call, row, "date out of range for timestamp");
    else
        BR_RESULT(call, int64_t)[row] = us;
})
static void timestamptz_to_date(struct br_call *call) {
    BR_DENSE_UNARY(call, int64_t, int32_t, z = (int32_t)(x / US_PER_DAY) - (x % US_PER_DAY < 0));
}

// --- text
static void to_text(struct br_call *call) {
    struct br_buffer text = {0};
    struct br_text_writer writer = br_text_writer_of(call);
    const struct br_vector *argument = &call->arguments[0];
    BR_EACH_LIVE(call, row, {
        struct br_value value = br_column_get(&argument->column, argument->constant ? 0 : row);
        br_buffer_clear(&text);
        br_value_print(&value, &text);
        uint8_t *at = br_text_reserve(&writer, text.len);
        if (text.len != 0)
            memcpy(at, text.ptr, text.len);
        BR_RESULT(call, struct br_slice)[row] = br_text_done(&writer, at, text.len);
    });
    br_buffer_free(&text);
}

// Two digits at a time, from the end.
static struct br_slice put_decimal(struct br_text_writer *writer, int64_t value) {
    static const char PAIRS[] =
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
        "49505152535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697"
        "9899";
    uint8_t digits[20];
    size_t begin = sizeof digits;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    for (; left >= 100; left /= 100)
        memcpy(digits + (begin -= 2), PAIRS + 2 * (left % 100), 2);
    if (left >= 10)
        memcpy(digits + (begin -= 2), PAIRS + 2 * left, 2);
    else
        digits[--begin] = (uint8_t)('0' + left);
    size_t count = sizeof digits - begin, sign = value < 0;
    uint8_t *at = br_text_reserve(writer, count + sign);
    at[0] = '-';
    memcpy(at + sign, digits + begin, count);
    return br_text_done(writer, at, count + sign);
}
static void integer_to_text(struct br_call *call) {
    struct br_text_writer writer = br_text_writer_of(call);
    BR_EACH_LIVE(call, row, {
        BR_RESULT(call, struct br_slice)[row] = put_decimal(&writer, BR_ARGUMENT(call, 0, int32_t, row));
    });
}
static void bigint_to_text(struct br_call *call) {
    struct br_text_writer writer = br_text_writer_of(call);
    BR_EACH_LIVE(call, row, {
        BR_RESULT(call, struct br_slice)[row] = put_decimal(&writer, BR_ARGUMENT(call, 0, int64_t, row));
    });
}
BR_ROW_KERNEL(boolean_to_text, {
    bool value = (BR_ARGUMENT(call, 0, uint8_t, row) & 1) != 0;
    BR_RESULT(call, struct br_slice)[row] = br_slice_of(value ? "true" : "false");
})
BR_ROW_KERNEL(boolean_output, {
    bool value = (BR_ARGUMENT(call, 0, uint8_t, row) & 1) != 0;
    BR_RESULT(call, struct br_slice)[row] = br_slice_of(value ? "t" : "f");
})

// Fails the row with the first line of what the parser says.
static bool parse_row(struct br_call *call, uint32_t row, enum br_type type, struct br_value *ret_value) {
    struct br_error error;
    struct br_slice text = BR_ARGUMENT(call, 0, struct br_slice, row);
    if (br_value_parse(type, text, call->eval->arena, ret_value, &error) == BR_OK)
        return true;
    size_t line = strcspn(error.message, "\n");
    br_call_fail_printf(call, row, "%.*s", (int)line, error.message);
    return false;
}
#define TEXT_TO(kernel, type, value_type, member)                                                                      \
    BR_ROW_KERNEL(kernel, {                                                                                            \
        struct br_value value;                                                                                         \
        if (parse_row(call, row, type, &value))                                                                        \
            BR_RESULT(call, value_type)[row] = value.member;                                                           \
    })
TEXT_TO(text_to_boolean, BR_BOOLEAN, bool, boolean)
TEXT_TO(text_to_integer, BR_INTEGER, int32_t, integer)
TEXT_TO(text_to_bigint, BR_BIGINT, int64_t, bigint)
TEXT_TO(text_to_numeric, BR_NUMERIC, struct br_numeric, numeric)
TEXT_TO(text_to_double, BR_DOUBLE, double, real)
TEXT_TO(text_to_bytea, BR_BYTEA, struct br_slice, bytes)
TEXT_TO(text_to_timestamptz, BR_TIMESTAMPTZ, int64_t, bigint)
TEXT_TO(text_to_date, BR_DATE, int32_t, integer)
TEXT_TO(text_to_interval, BR_INTERVAL, struct br_interval, interval)

#define CAST(from, to, kernel)                                                                                         \
    { "::", to, 1, {from}, kernel, NULL, BR_HIDDEN }
static const struct br_function FUNCTIONS[] = {
    CAST(BR_INTEGER, BR_BIGINT, integer_to_bigint),
    CAST(BR_INTEGER, BR_NUMERIC, integer_to_numeric),
    CAST(BR_INTEGER, BR_DOUBLE, integer_to_double),
    CAST(BR_INTEGER, BR_BOOLEAN, integer_to_boolean),
    CAST(BR_BIGINT, BR_INTEGER, bigint_to_integer),
    CAST(BR_BIGINT, BR_NUMERIC, bigint_to_numeric),
    CAST(BR_BIGINT, BR_DOUBLE, bigint_to_double),
    CAST(BR_NUMERIC, BR_INTEGER, numeric_to_integer),
    CAST(BR_NUMERIC, BR_BIGINT, numeric_to_bigint),
    CAST(BR_NUMERIC, BR_DOUBLE, numeric_to_double),
    CAST(BR_DOUBLE, BR_INTEGER, double_to_integer),
    CAST(BR_DOUBLE, BR_BIGINT, double_to_bigint),
    CAST(BR_DOUBLE, BR_NUMERIC, double_to_numeric),
    CAST(BR_BOOLEAN, BR_INTEGER, boolean_to_integer),
    CAST(BR_DATE, BR_TIMESTAMPTZ, date_to_timestamptz),
    CAST(BR_TIMESTAMPTZ, BR_DATE, timestamptz_to_date),
    CAST(BR_BOOLEAN, BR_TEXT, boolean_to_text),
    CAST(BR_INTEGER, BR_TEXT, integer_to_text),
    CAST(BR_BIGINT, BR_TEXT, bigint_to_text),
    CAST(BR_NUMERIC, BR_TEXT, to_text),
    CAST(BR_DOUBLE, BR_TEXT, to_text),
    CAST(BR_BYTEA, BR_TEXT, to_text),
    CAST(BR_TIMESTAMPTZ, BR_TEXT, to_text),
    CAST(BR_DATE, BR_TEXT, to_text),
    CAST(BR_INTERVAL, BR_TEXT, to_text),
    CAST(BR_TEXT, BR_BOOLEAN, text_to_boolean),
    CAST(BR_TEXT, BR_INTEGER, text_to_integer),
    CAST(BR_TEXT, BR_BIGINT, text_to_bigint),
    CAST(BR_TEXT, BR_NUMERIC, text_to_numeric),
    CAST(BR_TEXT, BR_DOUBLE, text_to_double),
    CAST(BR_TEXT, BR_BYTEA, text_to_bytea),
    CAST(BR_TEXT, BR_TIMESTAMPTZ, text_to_timestamptz),
    CAST(BR_TEXT, BR_DATE, text_to_date),
    CAST(BR_TEXT, BR_INTERVAL, text_to_interval),
    {"boolout", BR_TEXT, 1, {BR_BOOLEAN}, boolean_output, NULL, BR_HIDDEN},
};
const struct br_function_table br_cast_table = {FUNCTIONS, sizeof FUNCTIONS / sizeof FUNCTIONS[0]};

// --- levels
static const struct br_function *find_cast(enum br_type from, enum br_type to) {
    for (size_t i = 0; i < br_cast_table.count; i++)
        if (FUNCTIONS[i].name[0] == ':' && FUNCTIONS[i].arguments[0] == from && FUNCTIONS[i].result == to)
            return &FUNCTIONS[i];
    return NULL;
}

// pg_cast.castcontext; casts through text are assignment casts to text and explicit ones from it.
static enum br_cast_context needed_context(enum br_type from, enum br_type to) {
    switch (from) {
    case BR_INTEGER:
        return to == BR_BOOLEAN ? BR_CAST_EXPLICIT : to == BR_TEXT ? BR_CAST_ASSIGNMENT : BR_CAST_IMPLICIT;
    case BR_BIGINT:
        return to == BR_NUMERIC || to == BR_DOUBLE ? BR_CAST_IMPLICIT : BR_CAST_ASSIGNMENT;
    case BR_NUMERIC:
        return to == BR_DOUBLE ? BR_CAST_IMPLICIT : BR_CAST_ASSIGNMENT;
    case BR_DATE:
        return to == BR_TIMESTAMPTZ ? BR_CAST_IMPLICIT : BR_CAST_ASSIGNMENT;
    case BR_BOOLEAN:
        return to == BR_INTEGER ? BR_CAST_EXPLICIT : BR_CAST_ASSIGNMENT;
    case BR_TEXT:
        return BR_CAST_EXPLICIT;
    default:
        return BR_CAST_ASSIGNMENT;
    }
}

bool br_can_cast(enum br_type from, enum br_type to, enum br_cast_context context) {
    if (from == to || from == BR_UNKNOWN)
        return true;
    return find_cast(from, to) != NULL && needed_context(from, to) <= context;
}

enum br_status br_expr_cast(struct br_arena *arena, struct br_expr *expr, enum br_type type,
                            enum br_cast_context context, struct br_expr **ret_expr, struct br_error *error) {
    BR_CHECK(type != BR_UNKNOWN);
    if (expr->type == type) {
        *ret_expr = expr;
        return BR_OK;
    }
    if (expr->type == BR_UNKNOWN) {
        BR_CHECK(expr->kind == BR_EXPR_CONST);
        struct br_value value = br_null_of(type);
        if (!expr->value.is_null)
            BR_TRY(br_value_parse(type, expr->value.bytes, arena, &value, error));
        *ret_expr = br_expr_const(arena, value, expr->location);
        return BR_OK;
    }
    const struct br_function *function = find_cast(expr->type, type);
    if (function == NULL)
        return br_error_set(error, BR_DATA, "cannot cast type %s to %s", br_type_name(expr->type), br_type_name(type));
    if (needed_context(expr->type, type) > context)
        return br_error_set(error, BR_DATA,
                            "type %s is not converted to %s by itself\nhint: You might need to add an "
                            "explicit cast.",
                            br_type_name(expr->type), br_type_name(type));
    return br_expr_make_call(arena, function, &expr, 1, expr->location, ret_expr, error);
}
