// SPDX-License-Identifier: Apache-2.0
// to_char(timestamptz, format), in UTC. The patterns are PostgreSQL's ("Formatting Functions" in its documentation),
// with the prefix FM and the suffix TH; what isn't a pattern stands for itself. TM and SP are not there.
#include "processor/expr/datetime.h"
#include "processor/expr/expr_internal.h"
#include "processor/expr/numeric.h"

#include <stdio.h>

#define PATTERN_TEXT_MAX 32 // bytes that one pattern gives

enum what {
    CENTURY,
    DAY_NAME,
    DAY_SHORT,
    DAY_OF_YEAR,
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    ERA,
    ERA_DOTTED,
    FRACTION,
    HOUR_24,
    HOUR_12,
    ISO_DAY_OF_YEAR,
    ISO_DAY_OF_WEEK,
    ISO_WEEK,
    ISO_YEAR,
    JULIAN,
    MINUTE,
    MONTH_NUMBER,
    MONTH_NAME,
    MONTH_SHORT,
    HALF_DAY,
    HALF_DAY_DOTTED,
    OFFSET,
    QUARTER,
    ROMAN_MONTH,
    SECOND,
    SECOND_OF_DAY,
    ZONE,
    ZONE_HOUR,
    ZONE_MINUTE,
    WEEK_OF_YEAR,
    WEEK_OF_MONTH,
    YEAR,
    YEAR_COMMA,
};
enum letters { UPPER, LOWER, CAPITAL };
// Longer names before their beginnings.
static const struct pattern {
    const char *name;
    enum what what;
    int digits; // FRACTION, YEAR, ISO_YEAR
    enum letters letters;
    bool any_case;
} PATTERNS[] = {
    {"Y,YYY", YEAR_COMMA, 0, UPPER, true},
    {"SSSSS", SECOND_OF_DAY, 0, UPPER, true},
    {"MONTH", MONTH_NAME, 0, UPPER, false},
    {"Month", MONTH_NAME, 0, CAPITAL, false},
    {"month", MONTH_NAME, 0, LOWER, false},
    {"YYYY", YEAR, 4, UPPER, true},
    {"IYYY", ISO_YEAR, 4, UPPER, true},
    {"HH24", HOUR_24, 0, UPPER, true},
    {"HH12", HOUR_12, 0, UPPER, true},
    {"SSSS", SECOND_OF_DAY, 0, UPPER, true},
    {"IDDD", ISO_DAY_OF_YEAR, 0, UPPER, true},
    {"A.M.", HALF_DAY_DOTTED, 0, UPPER, false},
    {"P.M.", HALF_DAY_DOTTED, 0, UPPER, false},
    {"a.m.", HALF_DAY_DOTTED, 0, LOWER, false},
    {"p.m.", HALF_DAY_DOTTED, 0, LOWER, false},
    {"B.C.", ERA_DOTTED, 0, UPPER, false},
    {"A.D.", ERA_DOTTED, 0, UPPER, false},
    {"b.c.", ERA_DOTTED, 0, LOWER, false},
    {"a.d.", ERA_DOTTED, 0, LOWER, false},
    {"YYY", YEAR, 3, UPPER, true},
    {"IYY", ISO_YEAR, 3, UPPER, true},
    {"DDD", DAY_OF_YEAR, 0, UPPER, true},
    {"DAY", DAY_NAME, 0, UPPER, false},
    {"Day", DAY_NAME, 0, CAPITAL, false},
    {"day", DAY_NAME, 0, LOWER, false},
    {"MON", MONTH_SHORT, 0, UPPER, false},
    {"Mon", MONTH_SHORT, 0, CAPITAL, false},
    {"mon", MONTH_SHORT, 0, LOWER, false},
    {"FF1", FRACTION, 1, UPPER, true},
    {"FF2", FRACTION, 2, UPPER, true},
    {"FF3", FRACTION, 3, UPPER, true},
    {"FF4", FRACTION, 4, UPPER, true},
    {"FF5", FRACTION, 5, UPPER, true},
    {"FF6", FRACTION, 6, UPPER, true},
    {"TZH", ZONE_HOUR, 0, UPPER, true},
    {"TZM", ZONE_MINUTE, 0, UPPER, true},
    {"YY", YEAR, 2, UPPER, true},
    {"IY", ISO_YEAR, 2, UPPER, true},
    {"DD", DAY_OF_MONTH, 0, UPPER, true},
    {"DY", DAY_SHORT, 0, UPPER, false},
    {"Dy", DAY_SHORT, 0, CAPITAL, false},
    {"dy", DAY_SHORT, 0, LOWER, false},
    {"HH", HOUR_12, 0, UPPER, true},
    {"ID", ISO_DAY_OF_WEEK, 0, UPPER, true},
    {"IW", ISO_WEEK, 0, UPPER, true},
    {"MI", MINUTE, 0, UPPER, true},
    {"MM", MONTH_NUMBER, 0, UPPER, true},
    {"MS", FRACTION, 3, UPPER, true},
    {"US", FRACTION, 6, UPPER, true},
    {"SS", SECOND, 0, UPPER, true},
    {"AM", HALF_DAY, 0, UPPER, false},
    {"PM", HALF_DAY, 0, UPPER, false},
    {"am", HALF_DAY, 0, LOWER, false},
    {"pm", HALF_DAY, 0, LOWER, false},
    {"AD", ERA, 0, UPPER, false},
    {"BC", ERA, 0, UPPER, false},
    {"ad", ERA, 0, LOWER, false},
    {"bc", ERA, 0, LOWER, false},
    {"CC", CENTURY, 0, UPPER, true},
    {"OF", OFFSET, 0, UPPER, true},
    {"RM", ROMAN_MONTH, 0, UPPER, false},
    {"rm", ROMAN_MONTH, 0, LOWER, false},
    {"TZ", ZONE, 0, UPPER, false},
    {"tz", ZONE, 0, LOWER, false},
    {"WW", WEEK_OF_YEAR, 0, UPPER, true},
    {"W", WEEK_OF_MONTH, 0, UPPER, true},
    {"D", DAY_OF_WEEK, 0, UPPER, true},
    {"I", ISO_YEAR, 1, UPPER, true},
    {"J", JULIAN, 0, UPPER, true},
    {"Q", QUARTER, 0, UPPER, true},
    {"Y", YEAR, 1, UPPER, true},
};

static const char *const MONTHS[] = {"January", "February", "March",     "April",   "May",      "June",
                                     "July",    "August",   "September", "October", "November", "December"};
static const char *const DAYS[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char *const ROMANS[] = {"I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"};

// A moment in all the ways that patterns look at it.
struct moment {
    struct br_civil civil;
    int64_t days, iso_year;
    int day_of_week, day_of_year, iso_week; // Sunday 0; from 1; from 1
};

static struct moment moment_of(int64_t us) {
    struct moment moment = {.civil = br_civil_from_us(us)};
    moment.days = br_days_from_civil(moment.civil.year, moment.civil.month, moment.civil.day);
    moment.day_of_week = (int)(((moment.days + 4) % 7 + 7) % 7);
    moment.day_of_year = (int)(moment.days - br_days_from_civil(moment.civil.year, 1, 1)) + 1;
    // A week belongs to the year that its Thursday is in.
    int64_t thursday = moment.days - (moment.day_of_week + 6) % 7 + 3;
    moment.iso_year = br_civil_from_us(thursday * INT64_C(86400000000)).year;
    moment.iso_week = (int)(thursday - br_days_from_civil(moment.iso_year, 1, 1)) / 7 + 1;
    return moment;
}

// A number, with zeros to the width unless filling is off; its end for TH.
static size_t put_number(char *to, int64_t value, int width, bool fill) {
    return (size_t)snprintf(to, PATTERN_TEXT_MAX, "%0*lld", fill ? width + (value < 0) : 0, (long long)value);
}

static size_t put_name(char *to, const char *name, size_t len, enum letters letters, size_t width, bool fill) {
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)name[i];
        to[i] = (char)(letters == LOWER || (letters == CAPITAL && i > 0) ? br_char_lower(c) : br_char_upper(c));
    }
    for (; fill && len < width; len++)
        to[len] = ' ';
    return len;
}

static int64_t shown_year(int64_t year) {
    return year <= 0 ? 1 - year : year; // astronomical 0 is 1 BC
}

static size_t put_year(char *to, int64_t year, int digits, bool fill) {
    static const int64_t MODULUS[] = {10, 100, 1000};
    year = shown_year(year);
    return put_number(to, digits == 4 ? year : year % MODULUS[digits - 1], digits, fill);
}

static int64_t century_of(int64_t year) {
    return year > 0 ? (year + 99) / 100 : (year - 100) / 100;
}

static size_t put_fraction(char *to, int microsecond, int digits) {
    char six[8];
    snprintf(six, sizeof six, "%06u", (unsigned)microsecond % 1000000);
    memcpy(to, six, (size_t)digits);
    return (size_t)digits;
}

static size_t put_half_day(char *to, const struct moment *moment, const struct pattern *pattern) {
    bool after = moment->civil.hour >= 12;
    const char *name = pattern->what == HALF_DAY ? (after ? "PM" : "AM") : (after ? "P.M." : "A.M.");
    return put_name(to, name, strlen(name), pattern->letters, 0, false);
}

static size_t put_era(char *to, const struct moment *moment, const struct pattern *pattern) {
    bool before = moment->civil.year <= 0;
    const char *name = pattern->what == ERA ? (before ? "BC" : "AD") : (before ? "B.C." : "A.D.");
    return put_name(to, name, strlen(name), pattern->letters, 0, false);
}

static size_t put_year_comma(char *to, int64_t year) {
    int64_t thousands = shown_year(year) / 1000;
    return (size_t)snprintf(to, PATTERN_TEXT_MAX, "%lld,%03d", (long long)thousands, (int)(shown_year(year) % 1000));
}

// Names, marks and zones; numbers are put_numeric_pattern's.
static size_t put_words(char *to, const struct moment *moment, const struct pattern *pattern, bool fill) {
    const struct br_civil *civil = &moment->civil;
    const char *month = MONTHS[civil->month - 1], *day = DAYS[moment->day_of_week], *roman = ROMANS[civil->month - 1];
    switch (pattern->what) {
    case DAY_NAME:
        return put_name(to, day, strlen(day), pattern->letters, 9, fill);
    case DAY_SHORT:
        return put_name(to, day, 3, pattern->letters, 0, fill);
    case MONTH_NAME:
        return put_name(to, month, strlen(month), pattern->letters, 9, fill);
    case MONTH_SHORT:
        return put_name(to, month, 3, pattern->letters, 0, fill);
    case ROMAN_MONTH:
        return put_name(to, roman, strlen(roman), pattern->letters, 4, fill);
    case HALF_DAY:
    case HALF_DAY_DOTTED:
        return put_half_day(to, moment, pattern);
    case ERA:
    case ERA_DOTTED:
        return put_era(to, moment, pattern);
    case ZONE:
        return put_name(to, "UTC", 3, pattern->letters, 0, false);
    case OFFSET:
    case ZONE_HOUR:
        return put_name(to, "+00", 3, UPPER, 0, false);
    case ZONE_MINUTE:
        return put_name(to, "00", 2, UPPER, 0, false);
    default:
        return 0;
    }
}

static size_t put_pattern(char *to, const struct moment *moment, const struct pattern *pattern, bool fill) {
    const struct br_civil *civil = &moment->civil;
    switch (pattern->what) {
    case CENTURY:
        return put_number(to, century_of(civil->year), 2, fill);
    case DAY_OF_YEAR:
        return put_number(to, moment->day_of_year, 3, fill);
    case DAY_OF_MONTH:
        return put_number(to, civil->day, 2, fill);
    case DAY_OF_WEEK:
        return put_number(to, moment->day_of_week + 1, 0, fill);
    case FRACTION:
        return put_fraction(to, civil->microsecond, pattern->digits);
    case HOUR_24:
        return put_number(to, civil->hour, 2, fill);
    case HOUR_12:
        return put_number(to, civil->hour % 12 == 0 ? 12 : civil->hour % 12, 2, fill);
    case ISO_DAY_OF_YEAR:
        return put_number(to, (moment->iso_week - 1) * 7 + (moment->day_of_week + 6) % 7 + 1, 3, fill);
    case ISO_DAY_OF_WEEK:
        return put_number(to, (moment->day_of_week + 6) % 7 + 1, 0, fill);
    case ISO_WEEK:
        return put_number(to, moment->iso_week, 2, fill);
    case ISO_YEAR:
        return put_year(to, moment->iso_year, pattern->digits, fill);
    case JULIAN:
        return put_number(to, moment->days + 2440588, 0, fill);
    case MINUTE:
        return put_number(to, civil->minute, 2, fill);
    case MONTH_NUMBER:
        return put_number(to, civil->month, 2, fill);
    case QUARTER:
        return put_number(to, (civil->month - 1) / 3 + 1, 0, fill);
    case SECOND:
        return put_number(to, civil->second, 2, fill);
    case SECOND_OF_DAY:
        return put_number(to, civil->hour * 3600 + civil->minute * 60 + civil->second, 0, fill);
    case WEEK_OF_YEAR:
        return put_number(to, (moment->day_of_year - 1) / 7 + 1, 2, fill);
    case WEEK_OF_MONTH:
        return put_number(to, (civil->day - 1) / 7 + 1, 0, fill);
    case YEAR:
        return put_year(to, civil->year, pattern->digits, fill);
    case YEAR_COMMA:
        return put_year_comma(to, civil->year);
    default:
        return put_words(to, moment, pattern, fill);
    }
}

// 1st, 2nd, 3rd, 4th; 11th. Nothing after what doesn't end in a digit.
static size_t put_ordinal(char *to, const char *number, size_t len, bool lower) {
    static const char *const ENDINGS[] = {"th", "st", "nd", "rd"};
    int last = len > 0 ? number[len - 1] - '0' : -1;
    if (last < 0 || last > 9)
        return 0;
    bool teen = len > 1 && number[len - 2] == '1';
    return put_name(to, ENDINGS[teen || last > 3 ? 0 : last], 2, lower ? LOWER : UPPER, 0, false);
}

static bool begins_with(struct br_slice text, size_t at, const char *name, bool any_case) {
    size_t len = strlen(name);
    if (text.len - at < len)
        return false;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = text.ptr[at + i];
        if ((any_case ? br_char_upper(c) : c) != (uint8_t)name[i])
            return false;
    }
    return true;
}

static const struct pattern *pattern_at(struct br_slice format, size_t at) {
    for (size_t i = 0; i < sizeof PATTERNS / sizeof PATTERNS[0]; i++)
        if (begins_with(format, at, PATTERNS[i].name, PATTERNS[i].any_case))
            return &PATTERNS[i];
    return NULL;
}

static void format_moment(const struct moment *moment, struct br_slice format, struct br_buffer *out) {
    bool quoted = false;
    for (size_t at = 0; at < format.len;) {
        uint8_t c = format.ptr[at];
        // A backslash protects a quote, and within quotes any character.
        if (c == '\\' && at + 1 < format.len && (quoted || format.ptr[at + 1] == '"')) {
            br_buffer_append_byte(out, format.ptr[at + 1]);
            at += 2;
            continue;
        }
        if (c == '"') {
            quoted = !quoted;
            at++;
            continue;
        }
        bool fill = quoted || !begins_with(format, at, "FM", true);
        size_t begin = at + (fill ? 0 : 2);
        const struct pattern *pattern = quoted ? NULL : pattern_at(format, begin);
        if (pattern == NULL) {
            if (fill)
                br_buffer_append_byte(out, c);
            at += fill ? 1 : 2;
            continue;
        }
        char *to = (char *)br_buffer_reserve(out, PATTERN_TEXT_MAX + 4);
        size_t len = put_pattern(to, moment, pattern, fill);
        at = begin + strlen(pattern->name);
        if (begins_with(format, at, "TH", true)) {
            len += put_ordinal(to + len, to, len, format.ptr[at] == 't');
            at += 2;
        }
        out->len += len;
    }
}

static void to_char(struct br_call *call) {
    struct br_buffer text = {0};
    BR_EACH_LIVE(call, row, {
        struct moment moment = moment_of(BR_ARGUMENT(call, 0, int64_t, row));
        if (BR_ARGUMENT(call, 1, struct br_slice, row).len == 0) {
            br_call_set_null(call, row); // as PostgreSQL has it
            continue;
        }
        br_buffer_clear(&text);
        format_moment(&moment, BR_ARGUMENT(call, 1, struct br_slice, row), &text);
        BR_RESULT(call, struct br_slice)[row] = br_arena_copy(call->eval->arena, br_buffer_slice(&text));
    });
    br_buffer_free(&text);
}

static const struct br_function FUNCTIONS[] = {
    {"to_char", BR_TEXT, 2, {BR_TIMESTAMPTZ, BR_TEXT}, to_char, NULL, 0},
};
const struct br_function_table br_format_table = {FUNCTIONS, sizeof FUNCTIONS / sizeof FUNCTIONS[0]};
