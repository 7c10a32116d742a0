// SPDX-License-Identifier: Apache-2.0
// See datetime.h: names of units, date_trunc and extract.
#include "processor/expr/datetime_internal.h"

#define UNIT(name, unit)                                                                                               \
    { name, sizeof(name) - 1, unit }
// The usual ones first: the search is linear.
static const struct {
    const char *name;
    size_t len;
    enum br_unit unit;
} units[] = {
    UNIT("day", BR_UNIT_DAY),
    UNIT("hour", BR_UNIT_HOUR),
    UNIT("month", BR_UNIT_MONTH),
    UNIT("minute", BR_UNIT_MINUTE),
    UNIT("week", BR_UNIT_WEEK),
    UNIT("year", BR_UNIT_YEAR),
    UNIT("second", BR_UNIT_SECOND),
    UNIT("quarter", BR_UNIT_QUARTER),
    UNIT("epoch", BR_UNIT_EPOCH),
    UNIT("dow", BR_UNIT_DOW),
    UNIT("microseconds", BR_UNIT_MICROSECOND),
    UNIT("microsecond", BR_UNIT_MICROSECOND),
    UNIT("usec", BR_UNIT_MICROSECOND),
    UNIT("usecs", BR_UNIT_MICROSECOND),
    UNIT("usecond", BR_UNIT_MICROSECOND),
    UNIT("useconds", BR_UNIT_MICROSECOND),
    UNIT("us", BR_UNIT_MICROSECOND),
    UNIT("milliseconds", BR_UNIT_MILLISECOND),
    UNIT("millisecond", BR_UNIT_MILLISECOND),
    UNIT("msec", BR_UNIT_MILLISECOND),
    UNIT("msecs", BR_UNIT_MILLISECOND),
    UNIT("msecond", BR_UNIT_MILLISECOND),
    UNIT("mseconds", BR_UNIT_MILLISECOND),
    UNIT("ms", BR_UNIT_MILLISECOND),
    UNIT("seconds", BR_UNIT_SECOND),
    UNIT("sec", BR_UNIT_SECOND),
    UNIT("secs", BR_UNIT_SECOND),
    UNIT("s", BR_UNIT_SECOND),
    UNIT("minutes", BR_UNIT_MINUTE),
    UNIT("min", BR_UNIT_MINUTE),
    UNIT("mins", BR_UNIT_MINUTE),
    UNIT("m", BR_UNIT_MINUTE),
    UNIT("hours", BR_UNIT_HOUR),
    UNIT("hr", BR_UNIT_HOUR),
    UNIT("hrs", BR_UNIT_HOUR),
    UNIT("h", BR_UNIT_HOUR),
    UNIT("days", BR_UNIT_DAY),
    UNIT("d", BR_UNIT_DAY),
    UNIT("weeks", BR_UNIT_WEEK),
    UNIT("w", BR_UNIT_WEEK),
    UNIT("months", BR_UNIT_MONTH),
    UNIT("mon", BR_UNIT_MONTH),
    UNIT("mons", BR_UNIT_MONTH),
    UNIT("qtr", BR_UNIT_QUARTER),
    UNIT("years", BR_UNIT_YEAR),
    UNIT("yr", BR_UNIT_YEAR),
    UNIT("yrs", BR_UNIT_YEAR),
    UNIT("y", BR_UNIT_YEAR),
    UNIT("decade", BR_UNIT_DECADE),
    UNIT("decades", BR_UNIT_DECADE),
    UNIT("dec", BR_UNIT_DECADE),
    UNIT("decs", BR_UNIT_DECADE),
    UNIT("century", BR_UNIT_CENTURY),
    UNIT("centuries", BR_UNIT_CENTURY),
    UNIT("cent", BR_UNIT_CENTURY),
    UNIT("c", BR_UNIT_CENTURY),
    UNIT("millennium", BR_UNIT_MILLENNIUM),
    UNIT("millenniums", BR_UNIT_MILLENNIUM),
    UNIT("millennia", BR_UNIT_MILLENNIUM),
    UNIT("mil", BR_UNIT_MILLENNIUM),
    UNIT("mils", BR_UNIT_MILLENNIUM),
    UNIT("isodow", BR_UNIT_ISODOW),
    UNIT("doy", BR_UNIT_DOY),
    UNIT("isoyear", BR_UNIT_ISOYEAR),
    UNIT("julian", BR_UNIT_JULIAN),
    UNIT("timezone", BR_UNIT_TIMEZONE),
    UNIT("timezone_hour", BR_UNIT_TIMEZONE_HOUR),
    UNIT("timezone_minute", BR_UNIT_TIMEZONE_MINUTE),
};

enum br_unit br_unit_from_name(struct br_slice name) {
    char lower[16];
    if (name.len >= sizeof lower)
        return BR_UNIT_NONE;
    for (size_t i = 0; i < name.len; i++)
        lower[i] = (char)(name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? name.ptr[i] | 0x20 : name.ptr[i]);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (units[i].len == name.len && memcmp(units[i].name, lower, name.len) == 0)
            return units[i].unit;
    return BR_UNIT_NONE;
}

static int64_t floor_divide(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

// 0 is Monday.
static int weekday(int64_t days) {
    int64_t shifted = days + 3; // 1970-01-01 was a Thursday
    return (int)(shifted - floor_divide(shifted, 7) * 7);
}

// The ISO year's Thursday decides: the year that it lies in, and the week counted from January 1st.
static void iso_week(int64_t days, int64_t *ret_year, int *ret_week) {
    int64_t thursday = days - weekday(days) + 3;
    int month, day;
    br_civil_from_days(thursday, ret_year, &month, &day);
    *ret_week = (int)((thursday - br_days_from_civil(*ret_year, 1, 1)) / 7) + 1;
}

// The first year of a span of years that are counted from 1 (centuries, millennia), as PostgreSQL truncates: year 1 BC
// is 0 here.
static int64_t first_year_of_span(int64_t year, int64_t span) {
    return floor_divide(year - 1, span) * span + 1;
}

bool br_timestamptz_trunc(struct br_slice field, int64_t us, int64_t *ret_us) {
    static const int64_t steps[] = {
        [BR_UNIT_MICROSECOND] = 1,           [BR_UNIT_MILLISECOND] = 1000,    [BR_UNIT_SECOND] = 1000000,
        [BR_UNIT_MINUTE] = BR_US_PER_MINUTE, [BR_UNIT_HOUR] = BR_US_PER_HOUR, [BR_UNIT_DAY] = BR_US_PER_DAY};
    enum br_unit unit = br_unit_from_name(field);
    if (unit == BR_UNIT_NONE || unit > BR_UNIT_MILLENNIUM)
        return false;
    if (unit <= BR_UNIT_DAY) {
        *ret_us = floor_divide(us, steps[unit]) * steps[unit];
        return *ret_us >= BR_TIMESTAMP_MIN;
    }
    struct br_civil civil = br_civil_from_us(us), start = {.year = civil.year, .month = 1, .day = 1};
    switch (unit) {
    case BR_UNIT_WEEK: {
        int64_t days = floor_divide(us, BR_US_PER_DAY);
        *ret_us = (days - weekday(days)) * BR_US_PER_DAY;
        return *ret_us >= BR_TIMESTAMP_MIN;
    }
    case BR_UNIT_MONTH:
        start.month = civil.month;
        break;
    case BR_UNIT_QUARTER:
        start.month = (civil.month - 1) / 3 * 3 + 1;
        break;
    case BR_UNIT_DECADE:
        start.year = floor_divide(civil.year, 10) * 10;
        break;
    case BR_UNIT_CENTURY:
        start.year = first_year_of_span(civil.year, 100);
        break;
    case BR_UNIT_MILLENNIUM:
        start.year = first_year_of_span(civil.year, 1000);
        break;
    default:
        break;
    }
    return br_civil_to_us(&start, ret_us);
}

static bool give(int64_t value, unsigned scale, struct br_numeric *ret) {
    return br_numeric_make(value, scale, ret);
}

// Years are counted without a year 0, and spans of years from 1 and from -1 on.
static int64_t counted_span(int64_t year, int64_t span) {
    return year > 0 ? (year + span - 1) / span : -((span - year) / span);
}

// Fields that depend on the date alone.
static bool extract_day_field(enum br_unit unit, int64_t days, struct br_numeric *ret) {
    int64_t year, iso_year;
    int month, day, week;
    br_civil_from_days(days, &year, &month, &day);
    switch (unit) {
    case BR_UNIT_DAY:
        return give(day, 0, ret);
    case BR_UNIT_MONTH:
        return give(month, 0, ret);
    case BR_UNIT_QUARTER:
        return give((month - 1) / 3 + 1, 0, ret);
    case BR_UNIT_WEEK:
        iso_week(days, &iso_year, &week);
        return give(week, 0, ret);
    case BR_UNIT_YEAR:
        return give(year > 0 ? year : year - 1, 0, ret);
    case BR_UNIT_ISOYEAR:
        iso_week(days, &iso_year, &week);
        return give(iso_year > 0 ? iso_year : iso_year - 1, 0, ret);
    case BR_UNIT_DECADE:
        return give(floor_divide(year, 10), 0, ret);
    case BR_UNIT_CENTURY:
        return give(counted_span(year, 100), 0, ret);
    case BR_UNIT_MILLENNIUM:
        return give(counted_span(year, 1000), 0, ret);
    case BR_UNIT_DOW:
        return give((weekday(days) + 1) % 7, 0, ret);
    case BR_UNIT_ISODOW:
        return give(weekday(days) + 1, 0, ret);
    case BR_UNIT_DOY:
        return give(days - br_days_from_civil(year, 1, 1) + 1, 0, ret);
    default:
        return false;
    }
}

bool br_extract_timestamptz(struct br_slice field, int64_t us, struct br_numeric *ret) {
    enum br_unit unit = br_unit_from_name(field);
    int64_t days = floor_divide(us, BR_US_PER_DAY), time = us - days * BR_US_PER_DAY;
    switch (unit) {
    case BR_UNIT_MICROSECOND:
        return give(time % BR_US_PER_MINUTE, 0, ret);
    case BR_UNIT_MILLISECOND:
        return give(time % BR_US_PER_MINUTE, 3, ret);
    case BR_UNIT_SECOND:
        return give(time % BR_US_PER_MINUTE, 6, ret);
    case BR_UNIT_MINUTE:
        return give(time / BR_US_PER_MINUTE % 60, 0, ret);
    case BR_UNIT_HOUR:
        return give(time / BR_US_PER_HOUR, 0, ret);
    case BR_UNIT_EPOCH:
        return give(us, 6, ret);
    case BR_UNIT_JULIAN: {
        struct br_numeric part;
        return br_numeric_divide(br_numeric_from_int64(time), br_numeric_from_int64(BR_US_PER_DAY), &part) &&
               br_numeric_add(br_numeric_from_int64(days + BR_JULIAN_OF_EPOCH), part, ret);
    }
    case BR_UNIT_TIMEZONE:
    case BR_UNIT_TIMEZONE_HOUR:
    case BR_UNIT_TIMEZONE_MINUTE:
        return give(0, 0, ret);
    default:
        return extract_day_field(unit, days, ret);
    }
}

bool br_extract_date(struct br_slice field, int32_t days, struct br_numeric *ret) {
    enum br_unit unit = br_unit_from_name(field);
    if (unit == BR_UNIT_EPOCH)
        return give(days * INT64_C(86400), 0, ret);
    if (unit == BR_UNIT_JULIAN)
        return give(days + BR_JULIAN_OF_EPOCH, 0, ret);
    return extract_day_field(unit, days, ret);
}

bool br_extract_interval(struct br_slice field, struct br_interval interval, struct br_numeric *ret) {
    int64_t us = interval.us;
    int32_t years = interval.months / 12, months = interval.months % 12;
    switch (br_unit_from_name(field)) {
    case BR_UNIT_MICROSECOND:
        return give(us % BR_US_PER_MINUTE, 0, ret);
    case BR_UNIT_MILLISECOND:
        return give(us % BR_US_PER_MINUTE, 3, ret);
    case BR_UNIT_SECOND:
        return give(us % BR_US_PER_MINUTE, 6, ret);
    case BR_UNIT_MINUTE:
        return give(us / BR_US_PER_MINUTE % 60, 0, ret);
    case BR_UNIT_HOUR:
        return give(us / BR_US_PER_HOUR, 0, ret);
    case BR_UNIT_DAY:
        return give(interval.days, 0, ret);
    case BR_UNIT_MONTH:
        return give(months, 0, ret);
    case BR_UNIT_QUARTER:
        return give(months / 3 + 1, 0, ret);
    case BR_UNIT_YEAR:
        return give(years, 0, ret);
    case BR_UNIT_DECADE:
        return give(years / 10, 0, ret);
    case BR_UNIT_CENTURY:
        return give(years / 100, 0, ret);
    case BR_UNIT_MILLENNIUM:
        return give(years / 1000, 0, ret);
    case BR_UNIT_EPOCH: {
        // A year is 365.25 days here, a month 30.
        int64_t quarter_days = years * INT64_C(1461) + months * 120 + interval.days * INT64_C(4);
        return br_numeric_make((__int128)quarter_days * (BR_US_PER_DAY / 4) + us, 6, ret);
    }
    default:
        return false;
    }
}
