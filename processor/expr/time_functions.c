// SPDX-License-Identifier: Apache-2.0
// Functions and operators of timestamptz, date and interval, in UTC (datetime.h). The clock is the epoch's reading.
//
// There is no timestamp without time zone: date + interval gives a timestamptz, where PostgreSQL gives a timestamp.
#include "processor/expr/datetime.h"
#include "processor/expr/expr_internal.h"
#include "processor/expr/numeric.h"

#include <math.h>
#include <stdio.h>

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_MINUTE (60 * US_PER_SECOND)
#define US_PER_HOUR (60 * US_PER_MINUTE)
#define US_PER_DAY (24 * US_PER_HOUR)
#define DATE_MIN (-2440588)          // 4714-11-24 BC
#define DATE_END INT64_C(2145042906) // exclusive; 5874898-06-03
#define EPOCH_2000_SECONDS 946684800 // PostgreSQL counts from 2000-01-01

static const char TIMESTAMP_RANGE[] = "timestamp out of range";
static const char DATE_RANGE[] = "date out of range";
static const char INTERVAL_RANGE[] = "interval out of range";
static const char INTERVAL_INFINITE[] = "interval out of range: there are no infinite intervals";

#define TIMESTAMP(index) BR_ARGUMENT(call, index, int64_t, row)
#define DATE(index) BR_ARGUMENT(call, index, int32_t, row)
#define INTERVAL(index) BR_ARGUMENT(call, index, struct br_interval, row)
#define FIELD(index) BR_ARGUMENT(call, index, struct br_slice, row)

// --- the clock
BR_ROW_KERNEL(now, { BR_RESULT(call, int64_t)[row] = call->eval->now.us; })
BR_ROW_KERNEL(current_date, {
    int64_t us = call->eval->now.us;
    BR_RESULT(call, int32_t)[row] = (int32_t)(us / US_PER_DAY) - (us % US_PER_DAY < 0);
})

// --- timestamptz and interval
static bool negate_interval(struct br_interval interval, struct br_interval *ret) {
    return !__builtin_sub_overflow(0, interval.us, &ret->us) && !__builtin_sub_overflow(0, interval.days, &ret->days) &&
           !__builtin_sub_overflow(0, interval.months, &ret->months);
}

// By days and time alone, dense: adds and checks the range in one pass, looks at rows only when some left it.
static void add_fixed(struct br_call *call, uint32_t time_index, int64_t delta) {
    const int64_t *restrict times = call->arguments[time_index].column.values;
    int64_t *restrict results = call->result;
    uint32_t bad = 0;
    for (uint32_t r = 0; r < call->rows; r++) {
        int64_t sum = (int64_t)((uint64_t)times[r] + (uint64_t)delta);
        bad |= (uint32_t)(sum < BR_TIMESTAMP_MIN) | (uint32_t)(sum >= BR_TIMESTAMP_END) |
               (uint32_t)((sum < times[r]) != (delta < 0));
        results[r] = sum;
    }
    if (bad != 0)
        BR_EACH_LIVE(call, row, {
            int64_t sum;
            if (__builtin_add_overflow(times[row], delta, &sum) || sum < BR_TIMESTAMP_MIN || sum >= BR_TIMESTAMP_END)
                br_call_fail(call, row, TIMESTAMP_RANGE);
        });
}

static void add_interval(struct br_call *call, uint32_t time_index, bool subtract) {
    uint32_t interval_index = 1 - time_index;
    struct br_interval interval;
    int64_t delta;
    if (call->arguments[interval_index].constant && !call->arguments[time_index].constant) {
        interval = BR_ARGUMENT(call, interval_index, struct br_interval, 0);
        if ((!subtract || negate_interval(interval, &interval)) && br_interval_to_us(interval, &delta)) {
            add_fixed(call, time_index, delta);
            return;
        }
    }
    BR_EACH_LIVE(call, row, {
        interval = BR_ARGUMENT(call, interval_index, struct br_interval, row);
        if (subtract && !negate_interval(interval, &interval))
            br_call_fail(call, row, INTERVAL_RANGE);
        else if (!br_timestamptz_add(BR_ARGUMENT(call, time_index, int64_t, row), interval,
                                     &BR_RESULT(call, int64_t)[row]))
            br_call_fail(call, row, TIMESTAMP_RANGE);
    });
}
static void timestamptz_plus_interval(struct br_call *call) {
    add_interval(call, 0, false);
}
static void interval_plus_timestamptz(struct br_call *call) {
    add_interval(call, 1, false);
}
static void timestamptz_minus_interval(struct br_call *call) {
    add_interval(call, 0, true);
}
BR_ROW_KERNEL(timestamptz_minus_timestamptz, {
    BR_RESULT(call, struct br_interval)[row] = br_timestamptz_subtract(TIMESTAMP(0), TIMESTAMP(1));
})

// --- date
static bool date_in_range(int64_t days) {
    return days >= DATE_MIN && days < DATE_END;
}
#define DATE_SUM(kernel, expression)                                                                                   \
    BR_ROW_KERNEL(kernel, {                                                                                            \
        int64_t days = (expression);                                                                                   \
        if (date_in_range(days))                                                                                       \
            BR_RESULT(call, int32_t)[row] = (int32_t)days;                                                             \
        else                                                                                                           \
            br_call_fail(call, row, DATE_RANGE);                                                                       \
    })
DATE_SUM(date_plus_integer, (int64_t)DATE(0) + DATE(1)) // either may be the date
DATE_SUM(date_minus_integer, (int64_t)DATE(0) - DATE(1))
BR_ROW_KERNEL(date_minus_date, {
    int64_t days = (int64_t)DATE(0) - DATE(1);
    if (days == (int32_t)days)
        BR_RESULT(call, int32_t)[row] = (int32_t)days;
    else
        br_call_fail(call, row, "integer out of range");
})

static void date_and_interval(struct br_call *call, uint32_t date_index, bool subtract) {
    BR_EACH_LIVE(call, row, {
        struct br_interval interval = BR_ARGUMENT(call, 1 - date_index, struct br_interval, row);
        int64_t us;
        if (subtract && !negate_interval(interval, &interval))
            br_call_fail(call, row, INTERVAL_RANGE);
        else if (__builtin_mul_overflow((int64_t)DATE(date_index), US_PER_DAY, &us) || us < BR_TIMESTAMP_MIN ||
                 us >= BR_TIMESTAMP_END)
            br_call_fail(call, row, "date out of range for timestamp");
        else if (!br_timestamptz_add(us, interval, &BR_RESULT(call, int64_t)[row]))
            br_call_fail(call, row, TIMESTAMP_RANGE);
    });
}
static void date_plus_interval(struct br_call *call) {
    date_and_interval(call, 0, false);
}
static void interval_plus_date(struct br_call *call) {
    date_and_interval(call, 1, false);
}
static void date_minus_interval(struct br_call *call) {
    date_and_interval(call, 0, true);
}

// --- interval
BR_ROW_KERNEL(interval_negate, {
    if (!negate_interval(INTERVAL(0), &BR_RESULT(call, struct br_interval)[row]))
        br_call_fail(call, row, INTERVAL_RANGE);
})
BR_ROW_KERNEL(interval_add, {
    if (!br_interval_add(INTERVAL(0), INTERVAL(1), &BR_RESULT(call, struct br_interval)[row]))
        br_call_fail(call, row, INTERVAL_RANGE);
})
BR_ROW_KERNEL(interval_subtract, {
    struct br_interval negated;
    if (!negate_interval(INTERVAL(1), &negated) ||
        !br_interval_add(INTERVAL(0), negated, &BR_RESULT(call, struct br_interval)[row]))
        br_call_fail(call, row, INTERVAL_RANGE);
})
// PostgreSQL 17 makes infinite intervals of infinite factors, those before it an error; Braid has the error.
static const char *scale_interval(struct br_interval interval, double factor, struct br_interval *ret) {
    if (br_interval_scale(interval, factor, ret))
        return NULL;
    return isinf(factor) ? INTERVAL_INFINITE : INTERVAL_RANGE;
}
BR_ROW_KERNEL(interval_times, {
    const char *wrong =
        scale_interval(INTERVAL(0), BR_ARGUMENT(call, 1, double, row), &BR_RESULT(call, struct br_interval)[row]);
    if (wrong != NULL)
        br_call_fail(call, row, wrong);
})
BR_ROW_KERNEL(times_interval, {
    const char *wrong =
        scale_interval(INTERVAL(1), BR_ARGUMENT(call, 0, double, row), &BR_RESULT(call, struct br_interval)[row]);
    if (wrong != NULL)
        br_call_fail(call, row, wrong);
})

static double to_microsecond(double seconds) {
    return rint(seconds * 1e6) / 1e6;
}
static bool fits_int32(double value) {
    return value > -2147483649.0 && value < 2147483648.0;
}
// PostgreSQL's interval_div: fractions of months go to days of 30, fractions of days to the time.
static bool divide_interval(struct br_interval a, double by, struct br_interval *ret) {
    double months = a.months / by, days = a.days / by;
    if (!fits_int32(months) || !fits_int32(days))
        return false;
    struct br_interval z = {.months = (int32_t)months, .days = (int32_t)days};
    double month_days = to_microsecond((months - z.months) * 30);
    double seconds = to_microsecond((days - z.days + month_days - (int32_t)month_days) * 86400);
    if (fabs(seconds) >= 86400) {
        z.days += (int32_t)(seconds / 86400);
        seconds -= (int32_t)(seconds / 86400) * 86400;
    }
    double us = rint((double)a.us / by + seconds * 1e6);
    if (__builtin_add_overflow(z.days, (int32_t)month_days, &z.days) || !(us >= -0x1p63 && us < 0x1p63))
        return false;
    z.us = (int64_t)us;
    *ret = z;
    return true;
}
BR_ROW_KERNEL(interval_divide, {
    double by = BR_ARGUMENT(call, 1, double, row);
    if (by == 0)
        br_call_fail(call, row, "division by zero");
    else if (!divide_interval(INTERVAL(0), by, &BR_RESULT(call, struct br_interval)[row]))
        br_call_fail(call, row, INTERVAL_RANGE);
})

// Whole days out of the time, whole months (of 30 days) out of the days; signs are then made to agree.
static bool justify_hours(struct br_interval *interval) {
    int64_t days = interval->us / US_PER_DAY;
    interval->us -= days * US_PER_DAY;
    int64_t total = interval->days + days;
    if (total > 0 && interval->us < 0) {
        interval->us += US_PER_DAY;
        total--;
    } else if (total < 0 && interval->us > 0) {
        interval->us -= US_PER_DAY;
        total++;
    }
    interval->days = (int32_t)total;
    return total == (int32_t)total;
}
static bool justify_days(struct br_interval *interval) {
    int64_t months = (int64_t)interval->months + interval->days / 30;
    interval->days %= 30;
    if (months > 0 && interval->days < 0) {
        interval->days += 30;
        months--;
    } else if (months < 0 && interval->days > 0) {
        interval->days -= 30;
        months++;
    }
    interval->months = (int32_t)months;
    return months == (int32_t)months;
}
#define JUSTIFY(kernel, step)                                                                                          \
    BR_ROW_KERNEL(kernel, {                                                                                            \
        struct br_interval interval = INTERVAL(0);                                                                     \
        if (step(&interval))                                                                                           \
            BR_RESULT(call, struct br_interval)[row] = interval;                                                       \
        else                                                                                                           \
            br_call_fail(call, row, INTERVAL_RANGE);                                                                   \
    })
JUSTIFY(justify_hours_rows, justify_hours)
JUSTIFY(justify_days_rows, justify_days)

// --- fields
static const char *const FIELD_NAMES[] = {
    "microseconds", "milliseconds", "second",        "minute",         "hour",   "day",
    "week",         "month",        "quarter",       "year",           "decade", "century",
    "epoch",        "millennium",   "dow",           "isodow",         "doy",    "isoyear",
    "julian",       "timezone",     "timezone_hour", "timezone_minute"};

static void field_message(char *text, size_t size, struct br_slice field, enum br_type type) {
    bool known = false;
    for (size_t i = 0; i < sizeof FIELD_NAMES / sizeof FIELD_NAMES[0]; i++)
        known |= br_slice_is(field, FIELD_NAMES[i]);
    snprintf(text, size, "unit \"%.*s\" not %s for type %s", (int)field.len, field.ptr,
             known ? "supported" : "recognized",
             type == BR_TIMESTAMPTZ ? "timestamp with time zone" : br_type_name(type));
}
static void fail_field(struct br_call *call, uint32_t row, struct br_slice field, enum br_type type) {
    char text[256];
    field_message(text, sizeof text, field, type);
    br_call_fail_printf(call, row, "%s", text);
}

static bool extract_one(enum br_type type, struct br_slice field, const void *value, struct br_numeric *ret) {
    switch (type) {
    case BR_TIMESTAMPTZ:
        return br_extract_timestamptz(field, *(const int64_t *)value, ret);
    case BR_DATE:
        return br_extract_date(field, *(const int32_t *)value, ret);
    default:
        return br_extract_interval(field, *(const struct br_interval *)value, ret);
    }
}

// A field that isn't one is found while binding. All fields have a value at the epoch.
static enum br_status check_extract(struct br_arena *arena, struct br_expr *expr, struct br_error *error) {
    (void)arena;
    const struct br_value *field = br_constant_argument(expr, 0);
    static const struct br_interval zero;
    struct br_numeric dropped;
    enum br_type type = expr->arguments[1]->type;
    if (field == NULL || extract_one(type, field->bytes, &zero, &dropped))
        return BR_OK;
    char text[256];
    field_message(text, sizeof text, field->bytes, type);
    return br_error_set(error, BR_DATA, "%s", text);
}

static void extract_rows(struct br_call *call, bool as_double) {
    const struct br_vector *times = &call->arguments[1];
    size_t width = times->constant ? 0 : br_type_width(times->column.type);
    BR_EACH_LIVE(call, row, {
        struct br_numeric value;
        if (!extract_one(times->column.type, FIELD(0), (const uint8_t *)times->column.values + row * width, &value)) {
            fail_field(call, row, FIELD(0), times->column.type);
            continue;
        }
        if (as_double)
            BR_RESULT(call, double)[row] = br_numeric_to_double(value);
        else
            BR_RESULT(call, struct br_numeric)[row] = value;
    });
}
static void extract(struct br_call *call) {
    extract_rows(call, false);
}
static void date_part(struct br_call *call) {
    extract_rows(call, true);
}

// --- date_trunc
static enum br_status check_trunc(struct br_arena *arena, struct br_expr *expr, struct br_error *error) {
    (void)arena;
    const struct br_value *field = br_constant_argument(expr, 0);
    int64_t dropped;
    if (field == NULL || br_timestamptz_trunc(field->bytes, 0, &dropped))
        return BR_OK;
    char text[256];
    field_message(text, sizeof text, field->bytes, BR_TIMESTAMPTZ);
    return br_error_set(error, BR_DATA, "%s", text);
}

#define TRUNC_TO(unit)                                                                                                 \
    BR_DENSE_UNARY(&one, int64_t, int64_t, int64_t rest = x % (unit);                                                  \
                   z = (int64_t)((uint64_t)x - (uint64_t)(rest < 0 ? rest + (unit) : rest)))
// Units of fixed length, dense; false when the field is another.
static bool trunc_fixed(struct br_call *call, struct br_slice field) {
    struct br_call one = *call;
    one.arguments = &call->arguments[1];
    if (one.arguments[0].constant)
        return false;
    if (br_slice_is(field, "second"))
        TRUNC_TO(US_PER_SECOND);
    else if (br_slice_is(field, "minute"))
        TRUNC_TO(US_PER_MINUTE);
    else if (br_slice_is(field, "hour"))
        TRUNC_TO(US_PER_HOUR);
    else if (br_slice_is(field, "day"))
        TRUNC_TO(US_PER_DAY);
    else
        return false;
    return true;
}
static void date_trunc(struct br_call *call) {
    if (call->arguments[0].constant && trunc_fixed(call, BR_ARGUMENT(call, 0, struct br_slice, 0)))
        return;
    BR_EACH_LIVE(call, row, {
        int64_t dropped;
        if (br_timestamptz_trunc(FIELD(0), TIMESTAMP(1), &BR_RESULT(call, int64_t)[row]))
            continue;
        if (br_timestamptz_trunc(FIELD(0), 0, &dropped))
            br_call_fail(call, row, TIMESTAMP_RANGE);
        else
            fail_field(call, row, FIELD(0), BR_TIMESTAMPTZ);
    });
}

// 'hours' as 'hour'. Gives the unit's number in UNITS, -1 when it is none of an interval's.
static const char *const UNITS[] = {"microsecond", "millisecond", "second", "minute", "hour",    "day",
                                    "month",       "quarter",     "year",   "decade", "century", "millennium"};
static int unit_of(struct br_slice field) {
    if (br_slice_is(field, "centuries"))
        return 10;
    if (br_slice_is(field, "millennia"))
        return 11;
    if (field.len > 1 && field.ptr[field.len - 1] == 's')
        field.len--;
    for (int i = 0; i < (int)(sizeof UNITS / sizeof UNITS[0]); i++)
        if (br_slice_is(field, UNITS[i]))
            return i;
    return -1;
}
static bool trunc_interval(struct br_slice field, struct br_interval *interval) {
    static const int64_t TIMES[] = {1, 1000, US_PER_SECOND, US_PER_MINUTE, US_PER_HOUR};
    static const int32_t MONTHS[] = {1, 3, 12, 120, 1200, 12000};
    int unit = unit_of(field);
    if (unit < 0)
        return false;
    if (unit < 5) {
        interval->us -= interval->us % TIMES[unit];
        return true;
    }
    interval->us = 0;
    if (unit > 5) {
        interval->days = 0;
        interval->months -= interval->months % MONTHS[unit - 6];
    }
    return true;
}
BR_ROW_KERNEL(interval_trunc, {
    struct br_interval interval = INTERVAL(1);
    if (trunc_interval(FIELD(0), &interval))
        BR_RESULT(call, struct br_interval)[row] = interval;
    else
        fail_field(call, row, FIELD(0), BR_INTERVAL);
})
static enum br_status check_interval_trunc(struct br_arena *arena, struct br_expr *expr, struct br_error *error) {
    (void)arena;
    const struct br_value *field = br_constant_argument(expr, 0);
    struct br_interval dropped = {0};
    if (field == NULL || trunc_interval(field->bytes, &dropped))
        return BR_OK;
    char text[256];
    field_message(text, sizeof text, field->bytes, BR_INTERVAL);
    return br_error_set(error, BR_DATA, "%s", text);
}

// date_bin(stride, time, origin)
BR_ROW_KERNEL(date_bin, {
    struct br_interval stride = INTERVAL(0);
    int64_t us;
    int64_t from_origin;
    if (stride.months != 0) {
        br_call_fail(call, row, "timestamps cannot be binned into intervals containing months or years");
    } else if (!br_interval_to_us(stride, &us)) {
        br_call_fail(call, row, INTERVAL_RANGE);
    } else if (us <= 0) {
        br_call_fail(call, row, "stride must be greater than zero");
    } else if (__builtin_sub_overflow(TIMESTAMP(1), TIMESTAMP(2), &from_origin)) {
        br_call_fail(call, row, INTERVAL_RANGE);
    } else {
        int64_t rest = from_origin % us;
        int64_t begin;
        if (__builtin_sub_overflow(TIMESTAMP(1), rest < 0 ? rest + us : rest, &begin) || begin < BR_TIMESTAMP_MIN)
            br_call_fail(call, row, TIMESTAMP_RANGE);
        else
            BR_RESULT(call, int64_t)[row] = begin;
    }
})

// --- making
BR_ROW_KERNEL(to_timestamp, {
    double seconds = BR_ARGUMENT(call, 0, double, row);
    // Counted from 2000, as PostgreSQL does before it rounds.
    double us = rint((seconds - EPOCH_2000_SECONDS) * 1e6);
    double begin = (double)(BR_TIMESTAMP_MIN - EPOCH_2000_SECONDS * US_PER_SECOND);
    double end = (double)(BR_TIMESTAMP_END - EPOCH_2000_SECONDS * US_PER_SECOND);
    if (isnan(seconds))
        br_call_fail(call, row, "timestamp cannot be NaN");
    else if (us < begin || us >= end)
        br_call_fail_printf(call, row, "timestamp out of range: \"%g\"", seconds);
    else
        BR_RESULT(call, int64_t)[row] = (int64_t)us + EPOCH_2000_SECONDS * US_PER_SECOND;
})

static int days_in_month(int64_t year, int month) {
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return DAYS[month - 1] + (month == 2 && leap);
}
// A negative year is BC; there is no year 0.
static bool days_of_fields(int32_t year, int32_t month, int32_t day, int64_t *ret_days) {
    int64_t astronomical = year < 0 ? (int64_t)year + 1 : year;
    if (year == 0 || month < 1 || month > 12 || day < 1 || day > days_in_month(astronomical, month))
        return false;
    *ret_days = br_days_from_civil(astronomical, month, day);
    return true;
}
#define INTEGER(index) BR_ARGUMENT(call, index, int32_t, row)
BR_ROW_KERNEL(make_date, {
    int64_t days;
    if (!days_of_fields(INTEGER(0), INTEGER(1), INTEGER(2), &days))
        br_call_fail_printf(call, row, "date field value out of range: %d-%02d-%02d", INTEGER(0), INTEGER(1),
                            INTEGER(2));
    else if (!date_in_range(days))
        br_call_fail_printf(call, row, "date out of range: %d-%02d-%02d", INTEGER(0), INTEGER(1), INTEGER(2));
    else
        BR_RESULT(call, int32_t)[row] = (int32_t)days;
})
BR_ROW_KERNEL(make_timestamptz, {
    int64_t days;
    int64_t us;
    int32_t hour = INTEGER(3);
    int32_t minute = INTEGER(4);
    double second = BR_ARGUMENT(call, 5, double, row);
    if (!days_of_fields(INTEGER(0), INTEGER(1), INTEGER(2), &days)) {
        br_call_fail_printf(call, row, "date field value out of range: %d-%02d-%02d", INTEGER(0), INTEGER(1),
                            INTEGER(2));
        continue;
    }
    // 24:00:00 and a 60th second are taken, as PostgreSQL does.
    bool in_day = hour >= 0 && minute >= 0 && minute < 60 && second >= 0 && second <= 60 &&
                  (hour < 24 || (hour == 24 && minute == 0 && second == 0));
    if (!in_day) {
        br_call_fail_printf(call, row, "time field value out of range: %d:%02d:%02g", hour, minute, second);
        continue;
    }
    int64_t time = hour * US_PER_HOUR + minute * US_PER_MINUTE + (int64_t)rint(second * 1e6);
    if (__builtin_mul_overflow(days, US_PER_DAY, &us) || __builtin_add_overflow(us, time, &us) ||
        us < BR_TIMESTAMP_MIN || us >= BR_TIMESTAMP_END)
        br_call_fail(call, row, TIMESTAMP_RANGE);
    else
        BR_RESULT(call, int64_t)[row] = us;
})

#define F1(name, result, a, kernel)                                                                                    \
    { name, result, 1, {a}, kernel, NULL, 0 }
#define F2(name, result, a, b, kernel)                                                                                 \
    { name, result, 2, {a, b}, kernel, NULL, 0 }
#define CLOCK(name, result, kernel)                                                                                    \
    { name, result, 0, {0}, kernel, NULL, BR_READS_CLOCK }
#define EXTRACT(name, result, type, kernel)                                                                            \
    { name, result, 2, {BR_TEXT, type}, kernel, check_extract, 0 }
static const struct br_function FUNCTIONS[] = {
    CLOCK("now", BR_TIMESTAMPTZ, now),
    CLOCK("current_timestamp", BR_TIMESTAMPTZ, now),
    CLOCK("transaction_timestamp", BR_TIMESTAMPTZ, now),
    CLOCK("statement_timestamp", BR_TIMESTAMPTZ, now),
    CLOCK("current_date", BR_DATE, current_date),
    F2("+", BR_TIMESTAMPTZ, BR_TIMESTAMPTZ, BR_INTERVAL, timestamptz_plus_interval),
    F2("+", BR_TIMESTAMPTZ, BR_INTERVAL, BR_TIMESTAMPTZ, interval_plus_timestamptz),
    F2("-", BR_TIMESTAMPTZ, BR_TIMESTAMPTZ, BR_INTERVAL, timestamptz_minus_interval),
    F2("-", BR_INTERVAL, BR_TIMESTAMPTZ, BR_TIMESTAMPTZ, timestamptz_minus_timestamptz),
    F2("+", BR_DATE, BR_DATE, BR_INTEGER, date_plus_integer),
    F2("+", BR_DATE, BR_INTEGER, BR_DATE, date_plus_integer),
    F2("-", BR_DATE, BR_DATE, BR_INTEGER, date_minus_integer),
    F2("-", BR_INTEGER, BR_DATE, BR_DATE, date_minus_date),
    F2("+", BR_TIMESTAMPTZ, BR_DATE, BR_INTERVAL, date_plus_interval),
    F2("+", BR_TIMESTAMPTZ, BR_INTERVAL, BR_DATE, interval_plus_date),
    F2("-", BR_TIMESTAMPTZ, BR_DATE, BR_INTERVAL, date_minus_interval),
    F1("-", BR_INTERVAL, BR_INTERVAL, interval_negate),
    F2("+", BR_INTERVAL, BR_INTERVAL, BR_INTERVAL, interval_add),
    F2("-", BR_INTERVAL, BR_INTERVAL, BR_INTERVAL, interval_subtract),
    F2("*", BR_INTERVAL, BR_INTERVAL, BR_DOUBLE, interval_times),
    F2("*", BR_INTERVAL, BR_DOUBLE, BR_INTERVAL, times_interval),
    F2("/", BR_INTERVAL, BR_INTERVAL, BR_DOUBLE, interval_divide),
    F1("justify_hours", BR_INTERVAL, BR_INTERVAL, justify_hours_rows),
    F1("justify_days", BR_INTERVAL, BR_INTERVAL, justify_days_rows),
    EXTRACT("extract", BR_NUMERIC, BR_TIMESTAMPTZ, extract),
    EXTRACT("extract", BR_NUMERIC, BR_DATE, extract),
    EXTRACT("extract", BR_NUMERIC, BR_INTERVAL, extract),
    EXTRACT("date_part", BR_DOUBLE, BR_TIMESTAMPTZ, date_part),
    // Of a date it is that of its midnight, through the cast: hours and less are 0, where extract refuses them.
    EXTRACT("date_part", BR_DOUBLE, BR_INTERVAL, date_part),
    {"date_trunc", BR_TIMESTAMPTZ, 2, {BR_TEXT, BR_TIMESTAMPTZ}, date_trunc, check_trunc, 0},
    {"date_trunc", BR_INTERVAL, 2, {BR_TEXT, BR_INTERVAL}, interval_trunc, check_interval_trunc, 0},
    {"date_bin", BR_TIMESTAMPTZ, 3, {BR_INTERVAL, BR_TIMESTAMPTZ, BR_TIMESTAMPTZ}, date_bin, NULL, 0},
    F1("to_timestamp", BR_TIMESTAMPTZ, BR_DOUBLE, to_timestamp),
    {"make_date", BR_DATE, 3, {BR_INTEGER, BR_INTEGER, BR_INTEGER}, make_date, NULL, 0},
    {"make_timestamptz",
     BR_TIMESTAMPTZ,
     6,
     {BR_INTEGER, BR_INTEGER, BR_INTEGER, BR_INTEGER, BR_INTEGER, BR_DOUBLE},
     make_timestamptz,
     NULL,
     0},
};
const struct br_function_table br_time_table = {FUNCTIONS, sizeof FUNCTIONS / sizeof FUNCTIONS[0]};
