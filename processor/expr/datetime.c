// SPDX-License-Identifier: Apache-2.0
// See datetime.h: the calendar, and arithmetic of timestamps and intervals.
#include "processor/expr/datetime_internal.h"

#include <math.h>

// Days of 400 Gregorian years; eras begin at March 1st, so that leap days end them (after H. Hinnant,
// "chrono-Compatible Low-Level Date Algorithms").
#define DAYS_PER_ERA INT64_C(146097)
#define DAYS_TO_EPOCH INT64_C(719468) // from 0000-03-01 to 1970-01-01

static int64_t floor_divide(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

int64_t br_days_from_civil(int64_t year, int month, int day) {
    year -= month <= 2;
    int64_t era = floor_divide(year, 400), year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - DAYS_TO_EPOCH;
}

void br_civil_from_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day) {
    days += DAYS_TO_EPOCH;
    int64_t era = floor_divide(days, DAYS_PER_ERA), day_of_era = days - era * DAYS_PER_ERA;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; // 0 is March
    *ret_day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (int)(month < 10 ? month + 3 : month - 9);
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2);
}

int br_days_in_month(int64_t year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

struct br_civil br_civil_from_us(int64_t us) {
    struct br_civil civil;
    int64_t days = floor_divide(us, BR_US_PER_DAY), time = us - days * BR_US_PER_DAY;
    br_civil_from_days(days, &civil.year, &civil.month, &civil.day);
    civil.hour = (int)(time / BR_US_PER_HOUR);
    civil.minute = (int)(time % BR_US_PER_HOUR / BR_US_PER_MINUTE);
    civil.second = (int)(time % BR_US_PER_MINUTE / BR_US_PER_SECOND_OF_DAY);
    civil.microsecond = (int)(time % BR_US_PER_SECOND_OF_DAY);
    return civil;
}

bool br_civil_to_us(const struct br_civil *civil, int64_t *ret_us) {
    if (civil->year < -5000 || civil->year > 300000)
        return false;
    int64_t days = br_days_from_civil(civil->year, civil->month, civil->day), us;
    int64_t time = civil->hour * BR_US_PER_HOUR + civil->minute * BR_US_PER_MINUTE +
                   civil->second * BR_US_PER_SECOND_OF_DAY + civil->microsecond;
    if (__builtin_mul_overflow(days, BR_US_PER_DAY, &us) || __builtin_add_overflow(us, time, &us) ||
        us < BR_TIMESTAMP_MIN || us >= BR_TIMESTAMP_END)
        return false;
    *ret_us = us;
    return true;
}

bool br_timestamptz_add(int64_t us, struct br_interval interval, int64_t *ret_us) {
    if (interval.months != 0) {
        struct br_civil civil = br_civil_from_us(us);
        int64_t months = civil.year * 12 + (civil.month - 1) + interval.months;
        civil.year = floor_divide(months, 12);
        civil.month = (int)(months - civil.year * 12) + 1;
        int last = br_days_in_month(civil.year, civil.month);
        civil.day = civil.day > last ? last : civil.day;
        if (!br_civil_to_us(&civil, &us))
            return false;
    }
    int64_t days_us;
    if (__builtin_mul_overflow((int64_t)interval.days, BR_US_PER_DAY, &days_us) ||
        __builtin_add_overflow(us, days_us, &us) || us < BR_TIMESTAMP_MIN || us >= BR_TIMESTAMP_END ||
        __builtin_add_overflow(us, interval.us, &us) || us < BR_TIMESTAMP_MIN || us >= BR_TIMESTAMP_END)
        return false;
    *ret_us = us;
    return true;
}

struct br_interval br_timestamptz_subtract(int64_t a, int64_t b) {
    __int128 difference = (__int128)a - b;
    return (struct br_interval){.us = (int64_t)(difference % BR_US_PER_DAY),
                                .days = (int32_t)(difference / BR_US_PER_DAY)};
}

bool br_interval_add(struct br_interval a, struct br_interval b, struct br_interval *ret) {
    struct br_interval sum;
    if (__builtin_add_overflow(a.us, b.us, &sum.us) || __builtin_add_overflow(a.days, b.days, &sum.days) ||
        __builtin_add_overflow(a.months, b.months, &sum.months))
        return false;
    *ret = sum;
    return true;
}

static double round_to_us(double seconds) {
    return rint(seconds * 1e6) / 1e6;
}

// Parts of months become days and parts of days become time, never the other way (PostgreSQL's interval_mul).
static bool from_parts(double months, double days, double us, struct br_interval *ret) {
    // Their whole parts must fit.
    if (!(months > -2147483649.0 && months < 2147483648.0 && days > -2147483649.0 && days < 2147483648.0))
        return false;
    struct br_interval result = {.months = (int32_t)months, .days = (int32_t)days};
    double month_days = round_to_us((months - result.months) * 30);
    double seconds = round_to_us((days - result.days + month_days - (int)month_days) * 86400);
    if (fabs(seconds) >= 86400) {
        int whole = (int)(seconds / 86400);
        if (__builtin_add_overflow(result.days, whole, &result.days))
            return false;
        seconds -= whole * 86400;
    }
    if (__builtin_add_overflow(result.days, (int32_t)month_days, &result.days))
        return false;
    double time = rint(us + seconds * 1e6);
    if (!(time >= -0x1p63 && time < 0x1p63))
        return false;
    result.us = (int64_t)time;
    *ret = result;
    return true;
}

bool br_interval_scale(struct br_interval a, double factor, struct br_interval *ret) {
    return from_parts(a.months * factor, a.days * factor, (double)a.us * factor, ret);
}

bool br_interval_divide(struct br_interval a, double divisor, struct br_interval *ret) {
    return divisor != 0 && from_parts(a.months / divisor, a.days / divisor, (double)a.us / divisor, ret);
}

bool br_interval_average(int64_t months, int64_t days, __int128 us, int64_t count, struct br_interval *ret) {
    double divisor = (double)count;
    return from_parts((double)months / divisor, (double)days / divisor, (double)us / divisor, ret);
}

int br_interval_compare(struct br_interval a, struct br_interval b) {
    __int128 left = ((__int128)a.months * 30 + a.days) * BR_US_PER_DAY + a.us;
    __int128 right = ((__int128)b.months * 30 + b.days) * BR_US_PER_DAY + b.us;
    return (left > right) - (left < right);
}

bool br_interval_to_us(struct br_interval interval, int64_t *ret_us) {
    int64_t us;
    if (interval.months != 0 || __builtin_mul_overflow((int64_t)interval.days, BR_US_PER_DAY, &us) ||
        __builtin_add_overflow(us, interval.us, &us))
        return false;
    *ret_us = us;
    return true;
}
