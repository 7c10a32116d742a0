// SPDX-License-Identifier: Apache-2.0
// See datetime.h: text to timestamps and dates. PostgreSQL's order of guesses (DateStyle ISO, MDY): a first number of
// three or more digits is the year, else the month; then month, day, year as they are missing.
#include "processor/expr/datetime_internal.h"

#include <math.h>

enum {
    HAS_YEAR = 1,
    HAS_MONTH = 2,
    HAS_DAY = 4,
    HAS_DATE = HAS_YEAR | HAS_MONTH | HAS_DAY,
    HAS_TIME = 8,
    HAS_ZONE = 16,
    HAS_WEEKDAY = 32,
    HAS_MERIDIEM = 64,
    HAS_ERA = 128,
    HAS_EPOCH = 256,
};

struct fields {
    unsigned has;
    bool month_is_text, year_is_short, year_is_julian, before_christ, afternoon, day_of_year_given;
    int64_t year;
    int month, day, day_of_year;
    int64_t hour;
    int minute, second, microsecond;
    int64_t zone_us; // east of UTC
};

// At most 9 digits, nothing else.
static bool read_int(const char *text, size_t len, int *ret_value) {
    if (len == 0 || len > 9)
        return false;
    int value = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
    }
    *ret_value = value;
    return true;
}

static bool claim(struct fields *fields, unsigned what) {
    if ((fields->has & what) != 0)
        return false;
    fields->has |= what;
    return true;
}

static void set_year(struct fields *fields, int value, size_t len) {
    fields->year = value;
    fields->year_is_short = len <= 2;
    fields->has |= HAS_YEAR;
}

static void set_day(struct fields *fields, int value) {
    fields->day = value;
    fields->has |= HAS_DAY;
}

static void set_month(struct fields *fields, int value) {
    fields->month = value;
    fields->has |= HAS_MONTH;
}

// A number that belongs to a date: which part it is follows from its length and from what is known already.
static enum br_time_parsed date_number(struct fields *fields, const char *text, size_t len) {
    int value;
    if (!read_int(text, len, &value))
        return len > 9 ? BR_TIME_FIELD : BR_TIME_SYNTAX;
    unsigned known = fields->has & HAS_DATE;
    if (len == 3 && known == HAS_YEAR && value >= 1 && value <= 366) {
        fields->day_of_year = value;
        fields->day_of_year_given = true;
        fields->has |= HAS_MONTH | HAS_DAY;
        return BR_TIME_PARSED;
    }
    switch (known) {
    case 0:
        if (len >= 3)
            set_year(fields, value, len);
        else
            set_month(fields, value);
        break;
    case HAS_YEAR:
    case HAS_DAY:
        set_month(fields, value);
        break;
    case HAS_MONTH:
        if (fields->month_is_text && len >= 3)
            set_year(fields, value, len);
        else
            set_day(fields, value);
        break;
    case HAS_YEAR | HAS_MONTH:
        if (fields->month_is_text && len >= 3 && fields->year_is_short) {
            set_day(fields, (int)fields->year); // what looked like a short year was the day
            set_year(fields, value, len);
        } else {
            set_day(fields, value);
        }
        break;
    case HAS_MONTH | HAS_DAY:
        set_year(fields, value, len);
        break;
    default:
        return BR_TIME_SYNTAX;
    }
    return BR_TIME_PARSED;
}

// yyyymmdd, yymmdd, and after the date hhmmss, hhmm; a fraction belongs to the seconds.
static enum br_time_parsed packed_number(struct fields *fields, const char *text, size_t len) {
    const char *point = memchr(text, '.', len);
    size_t digits = point == NULL ? len : (size_t)(point - text);
    if ((fields->has & HAS_DATE) != HAS_DATE && point == NULL && digits >= 6) {
        int year;
        if ((fields->has & HAS_DATE) != 0 || !read_int(text, digits - 4, &year))
            return BR_TIME_SYNTAX;
        set_year(fields, year, digits - 4);
        int month, day;
        if (!read_int(text + digits - 4, 2, &month) || !read_int(text + digits - 2, 2, &day))
            return BR_TIME_SYNTAX;
        set_month(fields, month);
        set_day(fields, day);
        return BR_TIME_PARSED;
    }
    if ((digits != 6 && digits != 4) || (point != NULL && digits == 4) || !claim(fields, HAS_TIME))
        return BR_TIME_SYNTAX;
    int hour, minute, second = 0;
    double fraction = 0;
    if (!read_int(text, 2, &hour) || !read_int(text + 2, 2, &minute) ||
        (digits == 6 && !read_int(text + 4, 2, &second)) || (point != NULL && !br_fraction_parse(point, &fraction)))
        return BR_TIME_SYNTAX;
    fields->hour = hour;
    fields->minute = minute;
    fields->second = second;
    fields->microsecond = (int)rint(fraction * 1e6);
    return BR_TIME_PARSED;
}

// Parts of a delimited date: first the month in letters, if there is one, then the numbers in order.
static enum br_time_parsed delimited_date(struct fields *fields, const char *text) {
    const char *parts[BR_TIME_TOKENS_MAX];
    size_t lens[BR_TIME_TOKENS_MAX], count = 0;
    static const char alnum[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    for (const char *at = text + strcspn(text, alnum); *at != '\0'; at += strcspn(at, alnum)) {
        if (count == BR_TIME_TOKENS_MAX)
            return BR_TIME_SYNTAX;
        bool digits = *at >= '0' && *at <= '9';
        parts[count] = at;
        lens[count] = strspn(at, digits ? "0123456789" : alnum + 10);
        at += lens[count++];
    }
    for (size_t i = 0; i < count; i++) {
        if (parts[i][0] >= '0' && parts[i][0] <= '9')
            continue;
        const struct br_time_word *word = br_time_word_find(parts[i], lens[i]);
        if (word == NULL || word->kind != BR_WORD_MONTH || !claim(fields, HAS_MONTH))
            return BR_TIME_SYNTAX;
        fields->month = word->value;
        fields->month_is_text = true;
    }
    for (size_t i = 0; i < count; i++)
        if (parts[i][0] >= '0' && parts[i][0] <= '9') {
            enum br_time_parsed parsed = date_number(fields, parts[i], lens[i]);
            if (parsed != BR_TIME_PARSED)
                return parsed;
        }
    return (fields->has & HAS_DATE) == HAS_DATE ? BR_TIME_PARSED : BR_TIME_SYNTAX;
}

// +02, -0330, +05:30, +01:02:03.
static enum br_time_parsed zone_offset(struct fields *fields, const char *text) {
    int parts[3] = {0}, count = 0;
    const char *at = text + 1;
    size_t len = strcspn(at, ":");
    if (!claim(fields, HAS_ZONE) || !read_int(at, len, &parts[0]))
        return BR_TIME_SYNTAX;
    if (at[len] == '\0' && len > 2) {
        parts[1] = parts[0] % 100;
        parts[0] /= 100;
    }
    while (at[len] == ':') {
        at += len + 1;
        len = strcspn(at, ":");
        if (++count > 2 || !read_int(at, len, &parts[count]))
            return BR_TIME_SYNTAX;
    }
    if (parts[0] > 15 || parts[1] > 59 || parts[2] > 59)
        return BR_TIME_ZONE_RANGE;
    int64_t seconds = parts[0] * 3600 + parts[1] * 60 + parts[2];
    fields->zone_us = (text[0] == '-' ? -seconds : seconds) * 1000000;
    return BR_TIME_PARSED;
}

// What stands after a complete date and looks like another: 120000-0800, or America/New_York.
static enum br_time_parsed time_and_zone(struct fields *fields, const char *text) {
    size_t digits = strspn(text, "0123456789.");
    if (digits == 0)
        return BR_TIME_ZONE_NAME;
    if (text[digits] != '-')
        return BR_TIME_SYNTAX;
    enum br_time_parsed parsed = packed_number(fields, text, digits);
    return parsed == BR_TIME_PARSED ? zone_offset(fields, text + digits) : parsed;
}

static enum br_time_parsed clock_token(struct fields *fields, const char *text) {
    if (!claim(fields, HAS_TIME))
        return BR_TIME_SYNTAX;
    return br_clock_parse(text, &fields->hour, &fields->minute, &fields->second, &fields->microsecond);
}

static enum br_time_parsed julian_day(struct fields *fields, const char *text) {
    int value;
    size_t digits = strspn(text, "0123456789");
    double fraction = 0;
    if ((fields->has & HAS_DATE) != 0 || !read_int(text, digits, &value))
        return BR_TIME_SYNTAX;
    if (text[digits] != '\0') {
        if (!br_fraction_parse(text + digits, &fraction) || !claim(fields, HAS_TIME))
            return BR_TIME_SYNTAX;
        int64_t us = (int64_t)(fraction * (double)BR_US_PER_DAY);
        fields->hour = us / BR_US_PER_HOUR;
        fields->minute = (int)(us % BR_US_PER_HOUR / BR_US_PER_MINUTE);
        fields->second = (int)(us % BR_US_PER_MINUTE / 1000000);
        fields->microsecond = (int)(us % 1000000);
    }
    br_civil_from_days(value - BR_JULIAN_OF_EPOCH, &fields->year, &fields->month, &fields->day);
    fields->year_is_julian = true;
    fields->has |= HAS_DATE;
    return BR_TIME_PARSED;
}

static enum br_time_parsed word_token(struct fields *fields, const struct br_time_token *token, int *ret_follows) {
    const struct br_time_word *word = br_time_word_find(token->text, token->len);
    if (word == NULL) // a name of a zone stands after the time
        return (fields->has & (HAS_DATE | HAS_TIME)) == (HAS_DATE | HAS_TIME) ? BR_TIME_ZONE_NAME : BR_TIME_SYNTAX;
    bool free = true;
    switch (word->kind) {
    case BR_WORD_MONTH:
        // "1 march 2026": a number before the month that was taken for the month is the day.
        if ((fields->has & HAS_MONTH) != 0 && !fields->month_is_text && (fields->has & HAS_DAY) == 0 &&
            fields->month >= 1 && fields->month <= 31)
            set_day(fields, fields->month);
        else
            free = claim(fields, HAS_MONTH);
        fields->month = word->value;
        fields->month_is_text = true;
        break;
    case BR_WORD_WEEKDAY:
        free = claim(fields, HAS_WEEKDAY);
        break;
    case BR_WORD_ZONE:
        free = claim(fields, HAS_ZONE);
        fields->zone_us = word->value * BR_US_PER_MINUTE;
        break;
    case BR_WORD_MERIDIEM:
        free = claim(fields, HAS_MERIDIEM);
        fields->afternoon = word->value != 0;
        break;
    case BR_WORD_ERA:
        free = claim(fields, HAS_ERA);
        fields->before_christ = word->value != 0;
        break;
    case BR_WORD_IGNORED:
        break;
    case BR_WORD_TIME_FOLLOWS:
    case BR_WORD_JULIAN:
        free = *ret_follows < 0;
        *ret_follows = (int)word->kind;
        break;
    case BR_WORD_EPOCH:
        free = fields->has == 0 && claim(fields, HAS_EPOCH);
        break;
    case BR_WORD_MIDNIGHT:
        free = claim(fields, HAS_TIME | HAS_ZONE);
        break;
    case BR_WORD_INFINITE:
        return BR_TIME_INFINITE;
    case BR_WORD_CLOCK:
        return BR_TIME_CLOCK;
    }
    return free ? BR_TIME_PARSED : BR_TIME_SYNTAX;
}

static enum br_time_parsed number_token(struct fields *fields, const struct br_time_token *token) {
    const char *point = strchr(token->text, '.');
    bool no_date = (fields->has & HAS_DATE) == 0;
    if (point != NULL && no_date)
        return delimited_date(fields, token->text); // 2026.060
    if (point != NULL)
        return point - token->text > 2 ? packed_number(fields, token->text, token->len) : BR_TIME_SYNTAX;
    if (token->len >= 6 && (no_date || (fields->has & HAS_TIME) == 0))
        return packed_number(fields, token->text, token->len);
    if ((fields->has & HAS_DATE) == HAS_DATE)
        return packed_number(fields, token->text, token->len);
    return date_number(fields, token->text, token->len);
}

static enum br_time_parsed one_token(struct fields *fields, const struct br_time_token *token, int *follows) {
    int expected = *follows;
    *follows = -1;
    if (expected == (int)BR_WORD_JULIAN)
        return token->kind == BR_TOKEN_NUMBER ? julian_day(fields, token->text) : BR_TIME_SYNTAX;
    if (expected == (int)BR_WORD_TIME_FOLLOWS) {
        if (token->kind == BR_TOKEN_TIME)
            return clock_token(fields, token->text);
        if ((fields->has & HAS_DATE) != HAS_DATE || token->kind == BR_TOKEN_WORD || token->kind == BR_TOKEN_SIGNED)
            return BR_TIME_SYNTAX;
        if (token->kind == BR_TOKEN_DATE)
            return time_and_zone(fields, token->text);
        return packed_number(fields, token->text, token->len);
    }
    switch (token->kind) {
    case BR_TOKEN_NUMBER:
        return number_token(fields, token);
    case BR_TOKEN_DATE:
        return (fields->has & HAS_DATE) == HAS_DATE ? time_and_zone(fields, token->text)
                                                    : delimited_date(fields, token->text);
    case BR_TOKEN_TIME:
        return clock_token(fields, token->text);
    case BR_TOKEN_WORD:
        return word_token(fields, token, follows);
    case BR_TOKEN_SIGNED:
        return zone_offset(fields, token->text);
    }
    return BR_TIME_SYNTAX;
}

static enum br_time_parsed check_date(struct fields *fields) {
    if (!fields->year_is_julian) {
        if (fields->before_christ) {
            if (fields->year <= 0)
                return BR_TIME_FIELD;
            fields->year = 1 - fields->year;
        } else if (fields->year_is_short) {
            fields->year += fields->year < 70 ? 2000 : 1900;
        } else if (fields->year <= 0) {
            return BR_TIME_FIELD; // there is no year 0
        }
    }
    if (fields->day_of_year_given)
        br_civil_from_days(br_days_from_civil(fields->year, 1, 1) + fields->day_of_year - 1, &fields->year,
                           &fields->month, &fields->day);
    if (fields->month < 1 || fields->month > 12 || fields->day < 1 ||
        fields->day > br_days_in_month(fields->year, fields->month))
        return BR_TIME_FIELD;
    return BR_TIME_PARSED;
}

static enum br_time_parsed check_time(struct fields *fields) {
    if ((fields->has & HAS_MERIDIEM) != 0) {
        if (fields->hour > 12)
            return BR_TIME_FIELD;
        fields->hour = fields->hour % 12 + (fields->afternoon ? 12 : 0);
    }
    if (fields->hour > 24 || fields->minute > 59 || fields->second > 60)
        return BR_TIME_FIELD;
    int64_t us = fields->hour * BR_US_PER_HOUR + fields->minute * BR_US_PER_MINUTE + fields->second * INT64_C(1000000) +
                 fields->microsecond;
    return us > BR_US_PER_DAY ? BR_TIME_FIELD : BR_TIME_PARSED;
}

static enum br_time_parsed parse_fields(struct br_slice text, struct fields *fields) {
    struct br_time_tokens tokens;
    enum br_time_parsed parsed = BR_TIME_PARSED;
    int follows = -1;
    if (!br_time_tokenize(text, &tokens) || tokens.count == 0)
        return BR_TIME_SYNTAX;
    *fields = (struct fields){0};
    for (unsigned i = 0; i < tokens.count && parsed == BR_TIME_PARSED; i++)
        parsed = one_token(fields, &tokens.items[i], &follows);
    if (parsed != BR_TIME_PARSED)
        return parsed;
    if ((fields->has & HAS_EPOCH) != 0) {
        fields->year = 1970;
        fields->month = fields->day = 1;
        return fields->has == HAS_EPOCH ? BR_TIME_PARSED : BR_TIME_SYNTAX;
    }
    if (follows >= 0 || (fields->has & HAS_DATE) != HAS_DATE)
        return BR_TIME_SYNTAX;
    parsed = check_date(fields);
    return parsed == BR_TIME_PARSED ? check_time(fields) : parsed;
}

// The form that machines write: 2026-03-01T12:00:00[.1-6 digits](Z|+00|+00:00|nothing). False: try the general way.
static bool parse_iso(struct br_slice text, int64_t *ret_us) {
    static const char form[] = "dddd-dd-dd?dd:dd:dd";
    const uint8_t *at = text.ptr, *end = text.ptr + text.len;
    if (text.len < sizeof form - 1)
        return false;
    int numbers[6] = {0}, index = -1;
    for (size_t i = 0; i < sizeof form - 1; i++, at++) {
        if (form[i] == 'd') {
            if (*at < '0' || *at > '9')
                return false;
            index += i == 0 || form[i - 1] != 'd';
            numbers[index] = numbers[index] * 10 + (*at - '0');
        } else if (form[i] == '?' ? *at != 'T' && *at != ' ' : *at != (uint8_t)form[i]) {
            return false;
        }
    }
    int fraction = 0, unit = 100000;
    if (at < end && *at == '.')
        for (at++; at < end && *at >= '0' && *at <= '9'; at++, unit /= 10) {
            if (unit == 0)
                return false;
            fraction += unit * (*at - '0');
        }
    struct br_slice zone = {at, (size_t)(end - at)};
    if (zone.len != 0 && !br_slice_is(zone, "Z") && !br_slice_is(zone, "+00") && !br_slice_is(zone, "+00:00"))
        return false;
    struct br_civil civil = {numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], fraction};
    if (civil.year < 1 || civil.month < 1 || civil.month > 12 || civil.day < 1 ||
        civil.day > br_days_in_month(civil.year, civil.month) || civil.hour > 23 || civil.minute > 59 ||
        civil.second > 59)
        return false;
    return br_civil_to_us(&civil, ret_us);
}

enum br_time_parsed br_timestamptz_parse_text(struct br_slice text, int64_t *ret_us) {
    if (parse_iso(text, ret_us))
        return BR_TIME_PARSED;
    struct fields fields;
    enum br_time_parsed parsed = parse_fields(text, &fields);
    if (parsed != BR_TIME_PARSED)
        return parsed;
    if (fields.year > 300000)
        return BR_TIME_RANGE;
    // The zone may bring a time just outside the range back into it.
    int64_t days = br_days_from_civil(fields.year, fields.month, fields.day);
    __int128 us = (__int128)days * BR_US_PER_DAY + fields.hour * BR_US_PER_HOUR + fields.minute * BR_US_PER_MINUTE +
                  fields.second * INT64_C(1000000) + fields.microsecond - fields.zone_us;
    if (us < BR_TIMESTAMP_MIN || us >= BR_TIMESTAMP_END)
        return BR_TIME_RANGE;
    *ret_us = (int64_t)us;
    return BR_TIME_PARSED;
}

enum br_time_parsed br_date_parse_text(struct br_slice text, int32_t *ret_days) {
    struct fields fields;
    enum br_time_parsed parsed = parse_fields(text, &fields);
    if (parsed != BR_TIME_PARSED)
        return parsed;
    int64_t days = br_days_from_civil(fields.year, fields.month, fields.day);
    if (days < BR_DATE_MIN || days >= BR_DATE_END)
        return BR_TIME_RANGE;
    *ret_days = (int32_t)days;
    return BR_TIME_PARSED;
}

bool br_timestamptz_parse(struct br_slice text, int64_t *ret_us) {
    return br_timestamptz_parse_text(text, ret_us) == BR_TIME_PARSED;
}

bool br_date_parse(struct br_slice text, int32_t *ret_days) {
    return br_date_parse_text(text, ret_days) == BR_TIME_PARSED;
}
