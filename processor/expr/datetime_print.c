// SPDX-License-Identifier: Apache-2.0
// See datetime.h: text forms (DateStyle ISO, TimeZone UTC, IntervalStyle postgres).
#include "processor/expr/datetime_internal.h"

#include <stdio.h>

static char *put_two(char *at, int value) {
    at[0] = (char)('0' + value / 10);
    at[1] = (char)('0' + value % 10);
    return at + 2;
}

static char *put_date(char *at, int64_t year, int month, int day) {
    int64_t shown = year > 0 ? year : 1 - year; // year 0 is 1 BC
    if (shown <= 9999) {
        at = put_two(at, (int)(shown / 100));
        at = put_two(at, (int)(shown % 100));
    } else {
        at += sprintf(at, "%lld", (long long)shown);
    }
    *at++ = '-';
    at = put_two(at, month);
    *at++ = '-';
    return put_two(at, day);
}

// .5, .123456, or nothing.
static char *put_fraction(char *at, int microsecond) {
    if (microsecond == 0)
        return at;
    *at++ = '.';
    at = put_two(at, microsecond / 10000);
    at = put_two(at, microsecond / 100 % 100);
    at = put_two(at, microsecond % 100);
    while (at[-1] == '0')
        at--;
    return at;
}

static char *put_text(char *at, const char *text) {
    size_t len = strlen(text);
    memcpy(at, text, len);
    return at + len;
}

size_t br_timestamptz_print(int64_t us, bool iso_t, char *text) {
    struct br_civil civil = br_civil_from_us(us);
    char *at = put_date(text, civil.year, civil.month, civil.day);
    *at++ = iso_t ? 'T' : ' ';
    at = put_two(at, civil.hour);
    *at++ = ':';
    at = put_two(at, civil.minute);
    *at++ = ':';
    at = put_two(at, civil.second);
    at = put_fraction(at, civil.microsecond);
    at = put_text(at, iso_t ? "Z" : "+00");
    if (civil.year <= 0)
        at = put_text(at, " BC");
    *at = '\0';
    return (size_t)(at - text);
}

size_t br_date_print(int32_t days, char *text) {
    int64_t year;
    int month, day;
    br_civil_from_days(days, &year, &month, &day);
    char *at = put_date(text, year, month, day);
    if (year <= 0)
        at = put_text(at, " BC");
    *at = '\0';
    return (size_t)(at - text);
}

// One unit of an interval. A plus sign stands only after a negative unit.
static char *put_unit(char *at, const char *begin, int value, const char *unit, bool *after_negative) {
    if (value == 0)
        return at;
    at += sprintf(at, "%s%s%d %s%s", at > begin ? " " : "", *after_negative && value > 0 ? "+" : "", value, unit,
                  value != 1 ? "s" : "");
    *after_negative = value < 0;
    return at;
}

size_t br_interval_print(struct br_interval interval, char *text) {
    bool after_negative = false;
    char *at = put_unit(text, text, interval.months / 12, "year", &after_negative);
    at = put_unit(at, text, interval.months % 12, "mon", &after_negative);
    at = put_unit(at, text, interval.days, "day", &after_negative);
    if (at == text || interval.us != 0) {
        uint64_t us = interval.us < 0 ? 0 - (uint64_t)interval.us : (uint64_t)interval.us;
        at += sprintf(at, "%s%s%02llu:", at > text ? " " : "",
                      interval.us < 0  ? "-"
                      : after_negative ? "+"
                                       : "",
                      (unsigned long long)(us / (uint64_t)BR_US_PER_HOUR));
        at = put_two(at, (int)(us % (uint64_t)BR_US_PER_HOUR / (uint64_t)BR_US_PER_MINUTE));
        *at++ = ':';
        at = put_two(at, (int)(us % (uint64_t)BR_US_PER_MINUTE / 1000000));
        at = put_fraction(at, (int)(us % 1000000));
    }
    *at = '\0';
    return (size_t)(at - text);
}
