// SPDX-License-Identifier: Apache-2.0
// See datetime.h: names of units, date_trunc and extract.
#include "processor/expr/datetime_internal.h"

static const struct {
    const char *name;
    enum br_unit unit;
} units[] = {
    {"microseconds", BR_UNIT_MICROSECOND},
    {"microsecond", BR_UNIT_MICROSECOND},
    {"usec", BR_UNIT_MICROSECOND},
    {"usecs", BR_UNIT_MICROSECOND},
    {"usecond", BR_UNIT_MICROSECOND},
    {"useconds", BR_UNIT_MICROSECOND},
    {"us", BR_UNIT_MICROSECOND},
    {"milliseconds", BR_UNIT_MILLISECOND},
    {"millisecond", BR_UNIT_MILLISECOND},
    {"msec", BR_UNIT_MILLISECOND},
    {"msecs", BR_UNIT_MILLISECOND},
    {"msecond", BR_UNIT_MILLISECOND},
    {"mseconds", BR_UNIT_MILLISECOND},
    {"ms", BR_UNIT_MILLISECOND},
    {"second", BR_UNIT_SECOND},
    {"seconds", BR_UNIT_SECOND},
    {"sec", BR_UNIT_SECOND},
    {"secs", BR_UNIT_SECOND},
    {"s", BR_UNIT_SECOND},
    {"minute", BR_UNIT_MINUTE},
    {"minutes", BR_UNIT_MINUTE},
    {"min", BR_UNIT_MINUTE},
    {"mins", BR_UNIT_MINUTE},
    {"m", BR_UNIT_MINUTE},
    {"hour", BR_UNIT_HOUR},
    {"hours", BR_UNIT_HOUR},
    {"hr", BR_UNIT_HOUR},
    {"hrs", BR_UNIT_HOUR},
    {"h", BR_UNIT_HOUR},
    {"day", BR_UNIT_DAY},
    {"days", BR_UNIT_DAY},
    {"d", BR_UNIT_DAY},
    {"week", BR_UNIT_WEEK},
    {"weeks", BR_UNIT_WEEK},
    {"w", BR_UNIT_WEEK},
    {"month", BR_UNIT_MONTH},
    {"months", BR_UNIT_MONTH},
    {"mon", BR_UNIT_MONTH},
    {"mons", BR_UNIT_MONTH},
    {"quarter", BR_UNIT_QUARTER},
    {"qtr", BR_UNIT_QUARTER},
    {"year", BR_UNIT_YEAR},
    {"years", BR_UNIT_YEAR},
    {"yr", BR_UNIT_YEAR},
    {"yrs", BR_UNIT_YEAR},
    {"y", BR_UNIT_YEAR},
    {"decade", BR_UNIT_DECADE},
    {"decades", BR_UNIT_DECADE},
    {"dec", BR_UNIT_DECADE},
    {"decs", BR_UNIT_DECADE},
    {"century", BR_UNIT_CENTURY},
    {"centuries", BR_UNIT_CENTURY},
    {"cent", BR_UNIT_CENTURY},
    {"c", BR_UNIT_CENTURY},
    {"millennium", BR_UNIT_MILLENNIUM},
    {"millenniums", BR_UNIT_MILLENNIUM},
    {"millennia", BR_UNIT_MILLENNIUM},
    {"mil", BR_UNIT_MILLENNIUM},
    {"mils", BR_UNIT_MILLENNIUM},
    {"epoch", BR_UNIT_EPOCH},
    {"dow", BR_UNIT_DOW},
    {"isodow", BR_UNIT_ISODOW},
    {"doy", BR_UNIT_DOY},
    {"isoyear", BR_UNIT_ISOYEAR},
    {"julian", BR_UNIT_JULIAN},
    {"timezone", BR_UNIT_TIMEZONE},
    {"timezone_hour", BR_UNIT_TIMEZONE_HOUR},
    {"timezone_minute", BR_UNIT_TIMEZONE_MINUTE},
};

enum br_unit br_unit_from_name(struct br_slice name) {
    char lower[16];
    if (name.len >= sizeof lower)
        return BR_UNIT_NONE;
    for (size_t i = 0; i < name.len; i++)
        lower[i] = (char)(name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? name.ptr[i] | 0x20 : name.ptr[i]);
    struct br_slice wanted = {(const uint8_t *)lower, name.len};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (br_slice_is(wanted, units[i].name))
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
