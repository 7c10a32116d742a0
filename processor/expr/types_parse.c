// SPDX-License-Identifier: Apache-2.0
// See types.h: text input, with PostgreSQL's wording of what is wrong.
#include "processor/expr/types.h"

#include "processor/expr/big.h"
#include "processor/expr/datetime_internal.h"
#include "processor/expr/decimal.h"
#include "processor/expr/numeric_internal.h"

#include <math.h>

#define SHOWN_MAX 200              // bytes of a bad value that a message shows
#define EXPONENT_MAX 1000000000000 // past any that a text of digits could make up for

static bool is_space(uint8_t byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static struct br_slice trim(struct br_slice text) {
    while (text.len > 0 && is_space(text.ptr[0]))
        text = (struct br_slice){text.ptr + 1, text.len - 1};
    while (text.len > 0 && is_space(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

// The part of a bad value that a message shows: cut, and never in the middle of a character.
static int shown(struct br_slice text) {
    size_t len = text.len < SHOWN_MAX ? text.len : SHOWN_MAX;
    return (int)br_utf8_valid_prefix((struct br_slice){text.ptr, len});
}

static enum br_status bad_syntax(const char *type, struct br_slice text, struct br_error *error) {
    return br_error_set(error, BR_DATA, "invalid input syntax for type %s: \"%.*s\"", type, shown(text),
                        (const char *)text.ptr);
}

// The shortest beginning of a word that is not also the beginning of another.
static bool begins_word(struct br_slice text, const char *word, size_t least) {
    if (text.len < least || text.len > strlen(word))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if ((text.ptr[i] | 0x20) != word[i])
            return false;
    return true;
}

static enum br_status parse_boolean(struct br_slice text, struct br_value *value, struct br_error *error) {
    struct br_slice word = trim(text);
    if (begins_word(word, "true", 1) || begins_word(word, "yes", 1) || begins_word(word, "on", 2) ||
        br_slice_is(word, "1"))
        value->boolean = true;
    else if (begins_word(word, "false", 1) || begins_word(word, "no", 1) || begins_word(word, "off", 2) ||
             br_slice_is(word, "0"))
        value->boolean = false;
    else
        return bad_syntax("boolean", text, error);
    return BR_OK;
}

// From -max - 1 to max.
static enum br_status parse_whole(struct br_slice text, int64_t max, const char *type, int64_t *ret_value,
                                  struct br_error *error) {
    struct br_slice word = trim(text);
    size_t at = word.len > 0 && (word.ptr[0] == '-' || word.ptr[0] == '+');
    bool negative = at == 1 && word.ptr[0] == '-', overflow = false;
    if (at == word.len)
        return bad_syntax(type, text, error);
    int64_t value = 0;                         // negative, so that the smallest reads
    for (; at < word.len && !overflow; at++) { // what follows a number that is too large isn't looked at
        if (word.ptr[at] < '0' || word.ptr[at] > '9')
            return bad_syntax(type, text, error);
        overflow = __builtin_mul_overflow(value, INT64_C(10), &value) ||
                   __builtin_sub_overflow(value, (int64_t)(word.ptr[at] - '0'), &value) || value < -max - 1;
    }
    if (overflow || (!negative && value < -max))
        return br_error_set(error, BR_DATA, "value \"%.*s\" is out of range for type %s", shown(text),
                            (const char *)text.ptr, type);
    *ret_value = negative ? value : -value;
    return BR_OK;
}

static enum br_status parse_numeric(struct br_slice text, struct br_value *value, struct br_error *error) {
    if (br_numeric_parse(text, &value->numeric))
        return BR_OK;
    switch (br_numeric_parse_text(text, &value->numeric)) {
    case BR_NUMERIC_TOO_LARGE:
        return br_error_set(error, BR_DATA, "value \"%.*s\" is out of range for type numeric: it holds 36 digits",
                            shown(text), (const char *)text.ptr);
    case BR_NUMERIC_SPECIAL:
        return br_error_set(error, BR_DATA,
                            "value \"%.*s\" is not supported for type numeric: it has neither NaN nor infinities; use "
                            "double precision",
                            shown(text), (const char *)text.ptr);
    default:
        return bad_syntax("numeric", text, error);
    }
}

static int hex_digit(uint8_t byte) {
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// e or p, a sign, digits; text ends behind them. Absent: 0.
static bool read_exponent(const char *at, char letter, int64_t *ret_exponent) {
    *ret_exponent = 0;
    if (*at == '\0')
        return true;
    if ((*at | 0x20) != letter)
        return false;
    at++;
    bool negative = *at == '-';
    at += *at == '-' || *at == '+';
    if (!is_digit(*at))
        return false;
    for (; is_digit(*at); at++)
        if (*ret_exponent < EXPONENT_MAX)
            *ret_exponent = *ret_exponent * 10 + (*at - '0');
    if (negative)
        *ret_exponent = -*ret_exponent;
    return *at == '\0';
}

// Digits with a point and an exponent. *ret_zero: they are all zeros.
static bool read_decimal(char *text, double *ret_value, bool *ret_zero) {
    size_t len = 0, points = 0, zeros = 0;
    int64_t exponent, shift;
    for (; is_digit(text[len]) || text[len] == '.'; len++) {
        points += text[len] == '.';
        zeros += text[len] == '0';
    }
    if (points > 1 || len == points || !read_exponent(text + len, 'e', &exponent))
        return false;
    size_t count = br_digits_without_point(text, len, &shift);
    *ret_zero = zeros == count;
    *ret_value = br_double_of_digits(text, count, shift + exponent);
    return true;
}

// The same with hexadecimal digits and a power of two: what follows 0x.
static bool read_hexadecimal(const char *text, double *ret_value, bool *ret_zero) {
    uint64_t mantissa = 0;
    int64_t exponent, shift = 0;
    bool point = false, any = false, more = false;
    for (;; text++) {
        int digit = hex_digit((uint8_t)*text);
        if (*text == '.' && !point) {
            point = true;
            continue;
        }
        if (digit < 0)
            break;
        any = true;
        if (mantissa >> 59 != 0) { // full: what follows can only break a tie
            more |= digit != 0;
            shift += point ? 0 : 4;
        } else {
            mantissa = mantissa << 4 | (uint64_t)digit;
            shift -= point ? 4 : 0;
        }
    }
    if (!any || !read_exponent(text, 'p', &exponent))
        return false;
    struct br_big value = br_big_of(3, (unsigned __int128)mantissa << 1 | more, shift + exponent - 1);
    *ret_zero = br_big_is_zero(&value);
    *ret_value = br_big_to_double(&value);
    return true;
}

static bool special_double(struct br_slice word, double *ret_value) {
    bool negative = word.len > 0 && word.ptr[0] == '-';
    struct br_slice name = word;
    if (word.len > 0 && (word.ptr[0] == '-' || word.ptr[0] == '+'))
        name = (struct br_slice){word.ptr + 1, word.len - 1};
    if (begins_word(name, "infinity", 8) || begins_word(name, "inf", 3))
        *ret_value = negative ? -INFINITY : INFINITY;
    else if (begins_word(name, "nan", 3))
        *ret_value = NAN;
    else
        return false;
    return true;
}

static enum br_status parse_double(struct br_slice text, struct br_arena *arena, struct br_value *value,
                                   struct br_error *error) {
    struct br_slice word = trim(text);
    if (special_double(word, &value->real))
        return BR_OK;
    char small[64];
    char *copy = word.len < sizeof small ? small : br_arena_alloc(arena, word.len + 1);
    if (word.len > 0)
        memcpy(copy, word.ptr, word.len);
    copy[word.len] = '\0';
    char *digits = copy + (*copy == '-' || *copy == '+');
    double real;
    bool zero, hexadecimal = digits[0] == '0' && (digits[1] | 0x20) == 'x';
    if (strlen(copy) != word.len ||
        !(hexadecimal ? read_hexadecimal(digits + 2, &real, &zero) : read_decimal(digits, &real, &zero)))
        return bad_syntax("double precision", text, error);
    if (isinf(real) || (real == 0 && !zero))
        return br_error_set(error, BR_DATA, "\"%.*s\" is out of range for type double precision", shown(word),
                            (const char *)word.ptr);
    if (*copy == '-')
        real = -real;
    value->real = real;
    return BR_OK;
}

static enum br_status parse_text(struct br_slice text, struct br_arena *arena, struct br_value *value,
                                 struct br_error *error) {
    size_t valid = br_utf8_valid_prefix(text);
    if (valid != text.len)
        return br_error_set(error, BR_DATA, "invalid byte sequence for encoding \"UTF8\": 0x%02x at byte %zu",
                            text.ptr[valid], valid + 1);
    value->bytes = br_arena_copy(arena, text);
    return BR_OK;
}

static enum br_status parse_hex(struct br_slice text, uint8_t *bytes, size_t *ret_len, struct br_error *error) {
    size_t len = 0;
    for (size_t i = 2; i < text.len;) {
        uint8_t byte = text.ptr[i];
        if (byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r') { // between pairs
            i++;
            continue;
        }
        int high = hex_digit(byte), low = i + 1 < text.len ? hex_digit(text.ptr[i + 1]) : 0;
        if (high < 0 || low < 0) {
            const uint8_t *at = text.ptr + i + (high >= 0);
            int width = 1;
            while (at + width < text.ptr + text.len && (at[width] & 0xc0) == 0x80)
                width++;
            return br_error_set(error, BR_DATA, "invalid hexadecimal digit: \"%.*s\"", width, (const char *)at);
        }
        if (i + 1 == text.len)
            return br_error_set(error, BR_DATA, "invalid hexadecimal data: odd number of digits");
        bytes[len++] = (uint8_t)(high << 4 | low);
        i += 2;
    }
    *ret_len = len;
    return BR_OK;
}

static enum br_status parse_bytea(struct br_slice text, struct br_arena *arena, struct br_value *value,
                                  struct br_error *error) {
    uint8_t *bytes = br_arena_alloc(arena, text.len);
    size_t len = 0;
    if (text.len >= 2 && text.ptr[0] == '\\' && text.ptr[1] == 'x') {
        BR_TRY(parse_hex(text, bytes, &len, error));
        value->bytes = (struct br_slice){bytes, len};
        return BR_OK;
    }
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t *at = text.ptr + i;
        size_t left = text.len - i;
        if (*at != '\\') {
            bytes[len++] = *at;
        } else if (left >= 2 && at[1] == '\\') {
            bytes[len++] = '\\';
            i += 1;
        } else if (left >= 4 && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' && at[3] >= '0' &&
                   at[3] <= '7') {
            bytes[len++] = (uint8_t)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
            i += 3;
        } else {
            return br_error_set(error, BR_DATA, "invalid input syntax for type bytea");
        }
    }
    value->bytes = (struct br_slice){bytes, len};
    return BR_OK;
}

static enum br_status time_error(enum br_time_parsed parsed, enum br_type type, struct br_slice text,
                                 struct br_error *error) {
    int len = shown(text);
    const char *at = (const char *)text.ptr;
    const char *name = type == BR_TIMESTAMPTZ ? "timestamp with time zone" : br_type_name(type);
    const char *thing = type == BR_TIMESTAMPTZ ? "timestamp" : br_type_name(type);
    switch (parsed) {
    case BR_TIME_FIELD:
        return br_error_set(error, BR_DATA, "%s field value out of range: \"%.*s\"",
                            type == BR_INTERVAL ? "interval" : "date/time", len, at);
    case BR_TIME_RANGE:
        return br_error_set(error, BR_DATA, "%s out of range: \"%.*s\"", thing, len, at);
    case BR_TIME_ZONE_RANGE:
        return br_error_set(error, BR_DATA, "time zone displacement out of range: \"%.*s\"", len, at);
    case BR_TIME_ZONE_NAME:
        return br_error_set(error, BR_DATA,
                            "time zone not recognized in \"%.*s\": write UTC or an offset such as +02, names of places "
                            "are not supported",
                            len, at);
    case BR_TIME_INFINITE:
        return br_error_set(error, BR_DATA, "value \"%.*s\" is not supported for type %s: there are no infinite %s",
                            len, at, name, type == BR_INTERVAL ? "intervals" : "times");
    case BR_TIME_CLOCK:
        return br_error_set(error, BR_DATA,
                            "value \"%.*s\" is not supported for type %s: it depends on the clock; write the time "
                            "itself, or use now()",
                            len, at, name);
    default:
        return bad_syntax(name, text, error);
    }
}

enum br_status br_value_parse(enum br_type type, struct br_slice text, struct br_arena *arena,
                              struct br_value *ret_value, struct br_error *error) {
    struct br_value value = {.type = type};
    enum br_time_parsed parsed = BR_TIME_PARSED;
    int64_t whole;
    switch (type) {
    case BR_BOOLEAN:
        BR_TRY(parse_boolean(text, &value, error));
        break;
    case BR_INTEGER:
        BR_TRY(parse_whole(text, INT32_MAX, "integer", &whole, error));
        value.integer = (int32_t)whole;
        break;
    case BR_BIGINT:
        BR_TRY(parse_whole(text, INT64_MAX, "bigint", &value.bigint, error));
        break;
    case BR_NUMERIC:
        BR_TRY(parse_numeric(text, &value, error));
        break;
    case BR_DOUBLE:
        BR_TRY(parse_double(text, arena, &value, error));
        break;
    case BR_TEXT:
    case BR_UNKNOWN:
        BR_TRY(parse_text(text, arena, &value, error));
        break;
    case BR_BYTEA:
        BR_TRY(parse_bytea(text, arena, &value, error));
        break;
    case BR_TIMESTAMPTZ:
        parsed = br_timestamptz_parse_text(text, &value.bigint);
        break;
    case BR_DATE:
        parsed = br_date_parse_text(text, &value.integer);
        break;
    case BR_INTERVAL:
        parsed = br_interval_parse_text(text, &value.interval);
        break;
    default:
        BR_CHECK(false);
    }
    if (parsed != BR_TIME_PARSED)
        return time_error(parsed, type, text, error);
    *ret_value = value;
    return BR_OK;
}
