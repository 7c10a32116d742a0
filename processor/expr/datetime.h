// SPDX-License-Identifier: Apache-2.0
// Calendar arithmetic in UTC, as PostgreSQL does it with TimeZone UTC (proleptic Gregorian).
// Functions that return bool give false when the result is out of PostgreSQL's range or the text isn't a time.
#ifndef BR_PROCESSOR_EXPR_DATETIME_H
#define BR_PROCESSOR_EXPR_DATETIME_H

#include "processor/expr/numeric.h"

#define BR_TIMESTAMP_MIN INT64_C(-210866803200000000) // 4714-11-24 BC
#define BR_TIMESTAMP_END                                                                                               \
    INT64_C(9223371331200000000) // exclusive; 294246 AD: 30 years before PostgreSQL's end, which counts from 2000

// What a column of a table or view holds: the years 1 to 9999, since that is what google.protobuf.Timestamp can. Only
// within an expression a time may lie beyond.
#define BR_COLUMN_TIME_MIN INT64_C(-62135596800000000)
#define BR_COLUMN_TIME_END INT64_C(253402300800000000) // exclusive

struct br_civil {
    int64_t year; // astronomical: 0 is 1 BC
    int month, day, hour, minute, second, microsecond;
};
struct br_civil br_civil_from_us(int64_t us);
bool br_civil_to_us(const struct br_civil *civil, int64_t *ret_us);
int64_t br_days_from_civil(int64_t year, int month, int day);

bool br_timestamptz_parse(struct br_slice text,
                          int64_t *ret_us); // ISO 8601 and PostgreSQL's usual forms, zone optional (UTC)
bool br_date_parse(struct br_slice text, int32_t *ret_days);
bool br_interval_parse(struct br_slice text,
                       struct br_interval *ret); // '1 day 02:03:04.5', '5 minutes', 'P1DT2H', '1 mon -2 days'
size_t br_timestamptz_print(int64_t us, bool iso_t,
                            char *text); // iso_t: 2026-03-01T12:00:00Z, else 2026-03-01 12:00:00+00; text: 64 bytes
size_t br_date_print(int32_t days, char *text);                    // 32 bytes
size_t br_interval_print(struct br_interval interval, char *text); // PostgreSQL's style; 128 bytes

bool br_timestamptz_add(int64_t us, struct br_interval interval, int64_t *ret_us); // months, then days, then time
struct br_interval br_timestamptz_subtract(int64_t a, int64_t b); // days and time, as a - b prints in PostgreSQL
bool br_interval_add(struct br_interval a, struct br_interval b, struct br_interval *ret);
bool br_interval_scale(struct br_interval a, double factor, struct br_interval *ret); // interval * double precision
bool br_interval_divide(struct br_interval a, double divisor,
                        struct br_interval *ret); // interval / double precision; false also for a zero divisor
// An average from sums, which may be larger than an interval's fields: as interval / double precision gives it.
bool br_interval_average(int64_t months, int64_t days, __int128 us, int64_t count, struct br_interval *ret);
int br_interval_compare(struct br_interval a, struct br_interval b); // a month is 30 days, a day 24 hours
// An interval without months as microseconds (window sizes, delays); false when it has months or overflows.
bool br_interval_to_us(struct br_interval interval, int64_t *ret_us);

// field: 'microseconds' … 'millennium'. false: no such field.
bool br_timestamptz_trunc(struct br_slice field, int64_t us, int64_t *ret_us);
bool br_extract_timestamptz(
    struct br_slice field, int64_t us,
    struct br_numeric *ret); // epoch, year, month, day, hour, minute, second, dow, isodow, doy, week, quarter, …
bool br_extract_date(struct br_slice field, int32_t days, struct br_numeric *ret);
bool br_extract_interval(struct br_slice field, struct br_interval interval, struct br_numeric *ret);

#endif
