// SPDX-License-Identifier: Apache-2.0
// See datetime.h: text to intervals, in PostgreSQL's words ("1 day 02:03:04.5", "1-2 3 4:05", "@ 2 hours ago") and in
// ISO 8601 ("P1DT2H", "P0001-02-03T04:05:06"). A fraction of a unit runs down into the next smaller ones: of a month
// into days, of a day into time, of a year into months.
#include "processor/expr/datetime_internal.h"
#include "processor/expr/decimal.h"

#include <math.h>

struct sum {
    int64_t us, days, months, years; // days and months within int32, kept so by every addition
    unsigned seen;                   // 1 << enum br_unit
};

#define ALL_SECONDS (1u << BR_UNIT_SECOND | 1u << BR_UNIT_MILLISECOND | 1u << BR_UNIT_MICROSECOND)
#define CLOCK_UNITS (1u << BR_UNIT_HOUR | 1u << BR_UNIT_MINUTE | ALL_SECONDS)

static bool add_us(struct sum *sum, int64_t count, int64_t unit) {
    int64_t us;
    return !__builtin_mul_overflow(count, unit, &us) && !__builtin_add_overflow(sum->us, us, &sum->us);
}

static bool add_int32(int64_t *total, int64_t count, int64_t unit) {
    int64_t value;
    return !__builtin_mul_overflow(count, unit, &value) && !__builtin_add_overflow(*total, value, total) &&
           *total >= INT32_MIN && *total <= INT32_MAX;
}

// fraction is less than 1; rounds half away from zero.
static bool add_fraction_us(struct sum *sum, double fraction, int64_t unit) {
    double us = fraction * (double)unit;
    int64_t whole = (int64_t)us;
    double rest = us - (double)whole;
    whole += (rest > 0.5) - (rest < -0.5);
    return !__builtin_add_overflow(sum->us, whole, &sum->us);
}

static bool add_fraction_days(struct sum *sum, double fraction, int unit) {
    double days = fraction * unit;
    int whole = (int)days;
    return add_int32(&sum->days, whole, 1) && add_fraction_us(sum, days - whole, BR_US_PER_DAY);
}

static bool add_fraction_years(struct sum *sum, double fraction, int unit) {
    return add_int32(&sum->months, (int)rint(fraction * unit * 12), 1);
}

static bool add_unit(struct sum *sum, enum br_unit unit, int64_t count, double fraction) {
    static const int64_t us[] = {[BR_UNIT_MICROSECOND] = 1,
                                 [BR_UNIT_MILLISECOND] = 1000,
                                 [BR_UNIT_SECOND] = 1000000,
                                 [BR_UNIT_MINUTE] = BR_US_PER_MINUTE,
                                 [BR_UNIT_HOUR] = BR_US_PER_HOUR};
    static const int years[] = {
        [BR_UNIT_YEAR] = 1, [BR_UNIT_DECADE] = 10, [BR_UNIT_CENTURY] = 100, [BR_UNIT_MILLENNIUM] = 1000};
    switch (unit) {
    case BR_UNIT_MICROSECOND:
    case BR_UNIT_MILLISECOND:
    case BR_UNIT_SECOND:
    case BR_UNIT_MINUTE:
    case BR_UNIT_HOUR:
        return add_us(sum, count, us[unit]) && add_fraction_us(sum, fraction, us[unit]);
    case BR_UNIT_DAY:
        return add_int32(&sum->days, count, 1) && add_fraction_us(sum, fraction, BR_US_PER_DAY);
    case BR_UNIT_WEEK:
        return add_int32(&sum->days, count, 7) && add_fraction_days(sum, fraction, 7);
    case BR_UNIT_MONTH:
        return add_int32(&sum->months, count, 1) && add_fraction_days(sum, fraction, 30);
    default:
        return add_int32(&sum->years, count, years[unit]) && add_fraction_years(sum, fraction, years[unit]);
    }
}

static bool total(const struct sum *sum, bool negate, struct br_interval *ret) {
    int64_t sign = negate ? -1 : 1, months = (sum->years * 12 + sum->months) * sign, days = sum->days * sign, us;
    if (__builtin_mul_overflow(sum->us, sign, &us) || months < INT32_MIN || months > INT32_MAX || days < INT32_MIN ||
        days > INT32_MAX)
        return false;
    *ret = (struct br_interval){.us = us, .days = (int32_t)days, .months = (int32_t)months};
    return true;
}

// A number with optional sign and fraction: "-1.5" is −1 and −0.5. *ret_end is where it stops ("-" of "1-2").
static enum br_time_parsed read_number(const char *text, int64_t *ret_count, double *ret_fraction,
                                       const char **ret_end) {
    bool negative = *text == '-';
    const char *at = text + (*text == '-' || *text == '+');
    if ((*at < '0' || *at > '9') && *at != '.')
        return BR_TIME_SYNTAX;
    int64_t count = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(count, INT64_C(10), &count) ||
            __builtin_sub_overflow(count, (int64_t)(*at - '0'), &count)) // negative, so that INT64_MIN reads
            return BR_TIME_FIELD;
    if (!negative && __builtin_sub_overflow(INT64_C(0), count, &count))
        return BR_TIME_FIELD;
    *ret_fraction = 0;
    if (*at == '.') {
        if (!br_fraction_parse(at, ret_fraction))
            return BR_TIME_SYNTAX;
        if (negative)
            *ret_fraction = -*ret_fraction;
        at += strlen(at);
    }
    *ret_count = count;
    *ret_end = at;
    return BR_TIME_PARSED;
}

static bool claim(struct sum *sum, unsigned units) {
    bool free = (sum->seen & units) == 0;
    sum->seen |= units;
    return free;
}

static enum br_time_parsed clock_token(struct sum *sum, const char *text) {
    bool negative = *text == '-';
    int64_t hour;
    int minute, second, microsecond;
    enum br_time_parsed parsed =
        br_clock_parse(text + (*text == '-' || *text == '+'), &hour, &minute, &second, &microsecond);
    if (parsed != BR_TIME_PARSED)
        return parsed;
    if (!claim(sum, CLOCK_UNITS))
        return BR_TIME_SYNTAX;
    int64_t rest = minute * BR_US_PER_MINUTE + second * INT64_C(1000000) + microsecond, sign = negative ? -1 : 1;
    return add_us(sum, sign * hour, BR_US_PER_HOUR) && add_us(sum, sign, rest) ? BR_TIME_PARSED : BR_TIME_FIELD;
}

// "1-2": years and months of standard SQL; PostgreSQL takes "1-" too.
static enum br_time_parsed year_month(struct sum *sum, const char *text, int64_t years, const char *rest) {
    int64_t months = 0;
    double fraction = 0;
    const char *end = rest + 1;
    enum br_time_parsed parsed = *end == '\0' ? BR_TIME_PARSED : read_number(end, &months, &fraction, &end);
    if (parsed != BR_TIME_PARSED)
        return parsed;
    if (*end != '\0' || fraction != 0 || rest[1] == '-' || rest[1] == '+')
        return BR_TIME_SYNTAX;
    if (months > 11)
        return BR_TIME_FIELD;
    if (!claim(sum, 1u << BR_UNIT_YEAR | 1u << BR_UNIT_MONTH))
        return BR_TIME_SYNTAX;
    return add_unit(sum, BR_UNIT_YEAR, years, 0) && add_unit(sum, BR_UNIT_MONTH, *text == '-' ? -months : months, 0)
               ? BR_TIME_PARSED
               : BR_TIME_FIELD;
}

// A number; its unit follows it, or it is days before a time, or seconds at the end. *index moves past the unit.
static enum br_time_parsed number_token(struct sum *sum, const struct br_time_tokens *tokens, unsigned *index) {
    const char *text = tokens->items[*index].text, *end;
    int64_t count;
    double fraction;
    enum br_time_parsed parsed = read_number(text, &count, &fraction, &end);
    if (parsed != BR_TIME_PARSED)
        return parsed;
    if (*end == '-')
        return year_month(sum, text, count, end);
    if (*end != '\0')
        return BR_TIME_SYNTAX;
    enum br_unit unit = BR_UNIT_SECOND;
    if (*index + 1 < tokens->count) {
        const struct br_time_token *next = &tokens->items[*index + 1];
        bool is_time =
            next->kind == BR_TOKEN_TIME || (next->kind == BR_TOKEN_SIGNED && strchr(next->text, ':') != NULL);
        if (is_time) {
            unit = BR_UNIT_DAY;
        } else if (next->kind == BR_TOKEN_WORD && strcmp(next->text, "ago") != 0) {
            unit = br_unit_from_name(br_slice_of(next->text));
            ++*index;
        } else if (next->kind != BR_TOKEN_WORD) {
            return BR_TIME_SYNTAX;
        }
    }
    if (unit == BR_UNIT_NONE || unit == BR_UNIT_QUARTER || unit > BR_UNIT_MILLENNIUM)
        return BR_TIME_SYNTAX;
    if (!claim(sum, unit == BR_UNIT_SECOND && fraction != 0 ? ALL_SECONDS : 1u << unit))
        return BR_TIME_SYNTAX;
    return add_unit(sum, unit, count, fraction) ? BR_TIME_PARSED : BR_TIME_FIELD;
}

static bool is_infinite(const struct br_time_tokens *tokens) {
    const struct br_time_token *token = &tokens->items[0];
    return tokens->count == 1 && token->kind == BR_TOKEN_WORD &&
           strcmp(token->text + (token->text[0] == '-' || token->text[0] == '+'), "infinity") == 0;
}

static enum br_time_parsed parse_words(struct br_slice text, struct br_interval *ret) {
    struct br_time_tokens tokens;
    struct sum sum = {0};
    bool ago = false;
    if (!br_time_tokenize(text, &tokens))
        return BR_TIME_SYNTAX;
    if (is_infinite(&tokens))
        return BR_TIME_INFINITE;
    for (unsigned i = 0; i < tokens.count; i++) {
        const struct br_time_token *token = &tokens.items[i];
        enum br_time_parsed parsed = BR_TIME_SYNTAX;
        if (token->kind == BR_TOKEN_TIME || (token->kind == BR_TOKEN_SIGNED && strchr(token->text, ':') != NULL))
            parsed = clock_token(&sum, token->text);
        else if (token->kind != BR_TOKEN_WORD)
            parsed = number_token(&sum, &tokens, &i);
        else if (strcmp(token->text, "ago") == 0 && i + 1 == tokens.count)
            parsed = (ago = true, BR_TIME_PARSED);
        if (parsed != BR_TIME_PARSED)
            return parsed;
    }
    if (sum.seen == 0)
        return BR_TIME_SYNTAX;
    return total(&sum, ago, ret) ? BR_TIME_PARSED : BR_TIME_RANGE;
}

// --- ISO 8601

struct iso {
    const char *at;
    struct sum sum;
};

// A signed decimal. *ret_digits counts the digits before the point, which tell P20260301 from P1Y.
static enum br_time_parsed iso_number(struct iso *iso, int64_t *ret_whole, double *ret_fraction, unsigned *ret_digits) {
    const char *first = iso->at + (*iso->at == '-');
    *ret_digits = (unsigned)strspn(first, "0123456789");
    const char *end = first + *ret_digits;
    if (*end == '.')
        end += 1 + strspn(end + 1, "0123456789");
    if (*ret_digits == 0 && end - first < 2)
        return BR_TIME_SYNTAX;
    // An exponent can't follow: e is no unit and is refused by the caller.
    char number[BR_TIME_TEXT_MAX];
    size_t len = (size_t)(end - first);
    int64_t exponent;
    if (len > sizeof number)
        return BR_TIME_SYNTAX;
    memcpy(number, first, len);
    len = br_digits_without_point(number, len, &exponent);
    double value = br_double_of_digits(number, len, exponent);
    if (!(value <= 1e15))
        return BR_TIME_FIELD;
    if (first != iso->at)
        value = -value;
    *ret_whole = (int64_t)value;
    *ret_fraction = value - (double)*ret_whole;
    iso->at = end;
    return BR_TIME_PARSED;
}

static enum br_time_parsed iso_add(struct iso *iso, enum br_unit unit, int64_t whole, double fraction) {
    return add_unit(&iso->sum, unit, whole, fraction) ? BR_TIME_PARSED : BR_TIME_FIELD;
}

// 0001-02-03 or 00010203, from its first number on.
static enum br_time_parsed iso_date(struct iso *iso, int64_t first, unsigned digits) {
    if (digits == 8 && *iso->at != '-') {
        bool fits = add_unit(&iso->sum, BR_UNIT_YEAR, first / 10000, 0) &&
                    add_unit(&iso->sum, BR_UNIT_MONTH, first / 100 % 100, 0) &&
                    add_unit(&iso->sum, BR_UNIT_DAY, first % 100, 0);
        return fits ? BR_TIME_PARSED : BR_TIME_FIELD;
    }
    static const enum br_unit units[] = {BR_UNIT_YEAR, BR_UNIT_MONTH, BR_UNIT_DAY};
    enum br_time_parsed parsed = iso_add(iso, units[0], first, 0);
    for (int i = 1; i < 3 && parsed == BR_TIME_PARSED && *iso->at == '-'; i++) {
        int64_t whole;
        double fraction;
        iso->at++;
        parsed = iso_number(iso, &whole, &fraction, &digits);
        if (parsed == BR_TIME_PARSED)
            parsed = iso_add(iso, units[i], whole, fraction);
    }
    return parsed;
}

// 04:05:06.5 or 040506, from its first number on.
static enum br_time_parsed iso_time(struct iso *iso, int64_t first, double fraction, unsigned digits) {
    if (digits == 6 && *iso->at != ':') {
        bool fits = add_unit(&iso->sum, BR_UNIT_HOUR, first / 10000, 0) &&
                    add_unit(&iso->sum, BR_UNIT_MINUTE, first / 100 % 100, 0) &&
                    add_unit(&iso->sum, BR_UNIT_SECOND, first % 100, fraction);
        return fits ? BR_TIME_PARSED : BR_TIME_FIELD;
    }
    static const enum br_unit units[] = {BR_UNIT_HOUR, BR_UNIT_MINUTE, BR_UNIT_SECOND};
    enum br_time_parsed parsed = iso_add(iso, units[0], first, fraction);
    for (int i = 1; i < 3 && parsed == BR_TIME_PARSED && *iso->at == ':'; i++) {
        int64_t whole;
        iso->at++;
        parsed = iso_number(iso, &whole, &fraction, &digits);
        if (parsed == BR_TIME_PARSED)
            parsed = iso_add(iso, units[i], whole, fraction);
    }
    return parsed;
}

static enum br_unit iso_unit(char letter, bool time) {
    switch (letter) {
    case 'Y':
        return time ? BR_UNIT_NONE : BR_UNIT_YEAR;
    case 'M':
        return time ? BR_UNIT_MINUTE : BR_UNIT_MONTH;
    case 'W':
        return time ? BR_UNIT_NONE : BR_UNIT_WEEK;
    case 'D':
        return time ? BR_UNIT_NONE : BR_UNIT_DAY;
    case 'H':
        return time ? BR_UNIT_HOUR : BR_UNIT_NONE;
    case 'S':
        return time ? BR_UNIT_SECOND : BR_UNIT_NONE;
    default:
        return BR_UNIT_NONE;
    }
}

static enum br_time_parsed parse_iso(const char *text, struct br_interval *ret) {
    struct iso iso = {.at = text + 1};
    bool time = false, any = false, positional = false, section_begins = true;
    while (*iso.at != '\0') {
        if (*iso.at == 'T' && !time) {
            time = true;
            positional = false;
            section_begins = any = true; // PT and P1DT are PostgreSQL's too
            iso.at++;
            continue;
        }
        int64_t whole;
        double fraction;
        unsigned digits;
        enum br_time_parsed parsed = iso_number(&iso, &whole, &fraction, &digits);
        if (parsed != BR_TIME_PARSED)
            return parsed;
        enum br_unit unit = iso_unit(*iso.at, time);
        if (unit != BR_UNIT_NONE && !positional) {
            iso.at++;
            parsed = iso_add(&iso, unit, whole, fraction);
        } else if (unit == BR_UNIT_NONE && section_begins) {
            positional = true;
            parsed = time ? iso_time(&iso, whole, fraction, digits) : iso_date(&iso, whole, digits);
        } else {
            parsed = BR_TIME_SYNTAX;
        }
        if (parsed != BR_TIME_PARSED)
            return parsed;
        any = true;
        section_begins = false;
    }
    if (!any)
        return BR_TIME_SYNTAX;
    return total(&iso.sum, false, ret) ? BR_TIME_PARSED : BR_TIME_RANGE;
}

enum br_time_parsed br_interval_parse_text(struct br_slice text, struct br_interval *ret) {
    enum br_time_parsed parsed = parse_words(text, ret);
    if (parsed == BR_TIME_SYNTAX && text.len > 1 && text.len <= BR_TIME_TEXT_MAX && text.ptr[0] == 'P') {
        char copy[BR_TIME_TEXT_MAX + 1];
        memcpy(copy, text.ptr, text.len);
        copy[text.len] = '\0';
        parsed = strlen(copy) == text.len ? parse_iso(copy, ret) : BR_TIME_SYNTAX;
    }
    return parsed;
}

bool br_interval_parse(struct br_slice text, struct br_interval *ret) {
    return br_interval_parse_text(text, ret) == BR_TIME_PARSED;
}
