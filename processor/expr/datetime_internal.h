// SPDX-License-Identifier: Apache-2.0
// What the files of datetime share: tokens of time texts, names of units, reasons of refusals.
#ifndef BR_PROCESSOR_EXPR_DATETIME_INTERNAL_H
#define BR_PROCESSOR_EXPR_DATETIME_INTERNAL_H

#include "processor/expr/datetime.h"

#define BR_US_PER_DAY INT64_C(86400000000)
#define BR_US_PER_HOUR INT64_C(3600000000)
#define BR_US_PER_MINUTE INT64_C(60000000)
#define BR_US_PER_SECOND_OF_DAY INT64_C(1000000)
#define BR_DATE_MIN (-2440588)              // 4714-11-24 BC, Julian day 0
#define BR_DATE_END INT64_C(2145042906)     // exclusive; the day after 5874897-12-31
#define BR_JULIAN_OF_EPOCH INT64_C(2440588) // the Julian day of 1970-01-01

enum br_time_parsed {
    BR_TIME_PARSED,
    BR_TIME_SYNTAX,
    BR_TIME_FIELD,      // a field is out of its range (month 13)
    BR_TIME_RANGE,      // the fields are right, the result is not representable
    BR_TIME_ZONE_RANGE, // the offset is 16 hours or more
    BR_TIME_ZONE_NAME,  // a zone other than UTC or a fixed offset
    BR_TIME_INFINITE,
    BR_TIME_CLOCK, // now, today, …: would read a clock
};
enum br_time_parsed br_timestamptz_parse_text(struct br_slice text, int64_t *ret_us);
enum br_time_parsed br_date_parse_text(struct br_slice text, int32_t *ret_days);
enum br_time_parsed br_interval_parse_text(struct br_slice text, struct br_interval *ret);

// --- tokens
enum br_time_token_kind {
    BR_TOKEN_NUMBER, // 12, 12.5, .5
    BR_TOKEN_DATE,   // 2026-03-01, 3/1/2026, 1-mar-2026, mar-1-2026
    BR_TOKEN_TIME,   // 12:00, 12:00:00.5
    BR_TOKEN_WORD,   // letters
    BR_TOKEN_SIGNED, // + or -, then digits with : . -
};
struct br_time_token {
    enum br_time_token_kind kind;
    const char *text; // in lower case, NUL-terminated
    size_t len;
};
#define BR_TIME_TOKENS_MAX 25 // PostgreSQL's bound
#define BR_TIME_TEXT_MAX 128
struct br_time_tokens {
    struct br_time_token items[BR_TIME_TOKENS_MAX];
    unsigned count;
    char text[BR_TIME_TEXT_MAX + 2 * BR_TIME_TOKENS_MAX];
};
bool br_time_tokenize(struct br_slice text, struct br_time_tokens *tokens);
struct br_time_word {
    const char *text;
    enum {
        BR_WORD_MONTH,
        BR_WORD_WEEKDAY,
        BR_WORD_ZONE,
        BR_WORD_MERIDIEM,
        BR_WORD_ERA,
        BR_WORD_IGNORED,
        BR_WORD_TIME_FOLLOWS,
        BR_WORD_JULIAN,
        BR_WORD_EPOCH,
        BR_WORD_INFINITE,
        BR_WORD_CLOCK,
        BR_WORD_MIDNIGHT,
    } kind;
    int value; // the month, minutes east of UTC, 1 for PM and BC
};
const struct br_time_word *br_time_word_find(const char *text, size_t len); // in lower case; NULL: unknown
// Words after which a digit begins a token of its own ("t12:00", "5m3s"); after any other it belongs to the word.
bool br_time_word_is_known(const char *text, size_t len);

// Hours, minutes, seconds of a token such as 12:00:00.5 or (mm:ss) 03:04.5; the caller bounds the hours.
enum br_time_parsed br_clock_parse(const char *text, int64_t *ret_hour, int *ret_minute, int *ret_second,
                                   int *ret_microsecond);
// ".25" → 0.25; false when something else follows the digits.
bool br_fraction_parse(const char *text, double *ret_fraction);

// --- units
enum br_unit {
    BR_UNIT_NONE,
    BR_UNIT_MICROSECOND,
    BR_UNIT_MILLISECOND,
    BR_UNIT_SECOND,
    BR_UNIT_MINUTE,
    BR_UNIT_HOUR,
    BR_UNIT_DAY,
    BR_UNIT_WEEK,
    BR_UNIT_MONTH,
    BR_UNIT_QUARTER,
    BR_UNIT_YEAR,
    BR_UNIT_DECADE,
    BR_UNIT_CENTURY,
    BR_UNIT_MILLENNIUM,
    // Only to be extracted:
    BR_UNIT_EPOCH,
    BR_UNIT_DOW,
    BR_UNIT_ISODOW,
    BR_UNIT_DOY,
    BR_UNIT_ISOYEAR,
    BR_UNIT_JULIAN,
    BR_UNIT_TIMEZONE,
    BR_UNIT_TIMEZONE_HOUR,
    BR_UNIT_TIMEZONE_MINUTE,
};
// As PostgreSQL abbreviates them, in any case: "hour", "hrs", "mons", "µs" not.
enum br_unit br_unit_from_name(struct br_slice name);

int br_days_in_month(int64_t year, int month);
void br_civil_from_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day);

#endif
