// SPDX-License-Identifier: Apache-2.0
// See numeric.h: text and floating point.
#include "processor/expr/decimal.h"
#include "processor/expr/numeric_internal.h"

#include <math.h>
#include <stdio.h>

#define DIGITS_KEPT 60          // significant digits read; rounding needs one past the 37 that can fit
#define EXPONENT_MAX 1000000000 // PostgreSQL's bound is INT_MAX / 2

static bool is_space(uint8_t byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static bool is_digit(uint8_t byte) {
    return byte >= '0' && byte <= '9';
}

struct reader {
    const uint8_t *at, *end;
};

static uint8_t peek(const struct reader *reader) {
    return reader->at < reader->end ? *reader->at : 0;
}

static void skip_spaces(struct reader *reader) {
    while (reader->at < reader->end && is_space(*reader->at))
        reader->at++;
}

static bool read_special(struct reader *reader) {
    static const char *const words[] = {"infinity", "inf", "nan"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t len = strlen(words[i]), same = 0;
        while (same < len && same < (size_t)(reader->end - reader->at) && (reader->at[same] | 0x20) == words[i][same])
            same++;
        if (same == len) {
            reader->at += len;
            return true;
        }
    }
    return false;
}

// Digits with at most one point among them.
struct digits {
    struct br_wide value; // the first DIGITS_KEPT significant ones
    uint64_t pending;     // up to 19 digits not yet in value
    unsigned pending_count;
    unsigned kept; // significant digits in value and pending
    int64_t scale; // of value, before the exponent; negative when whole digits were not kept
    bool any;
};

static void flush_digits(struct digits *digits) {
    if (digits->kept == digits->pending_count) {
        digits->value = br_numeric_wide_of(digits->pending); // nothing was there
    } else {
        struct br_wide pending = br_numeric_wide_of(digits->pending);
        br_numeric_wide_multiply_64(&digits->value, br_pow10_64[digits->pending_count]);
        br_numeric_wide_add(&digits->value, &pending);
    }
    digits->pending = 0;
    digits->pending_count = 0;
}

static void read_digits(struct reader *reader, struct digits *digits) {
    bool fraction = false;
    for (; reader->at < reader->end; reader->at++) {
        uint8_t byte = *reader->at;
        if (byte == '.' && !fraction) {
            fraction = true;
            continue;
        }
        if (!is_digit(byte))
            break;
        digits->any = true;
        if (digits->kept == DIGITS_KEPT) {
            digits->scale -= !fraction;
            continue;
        }
        digits->scale += fraction;
        if (digits->kept == 0 && byte == '0')
            continue;
        digits->pending = digits->pending * 10 + (byte - '0');
        digits->kept++;
        if (++digits->pending_count == 19)
            flush_digits(digits);
    }
    flush_digits(digits);
}

static bool read_exponent(struct reader *reader, int64_t *ret_exponent) {
    skip_spaces(reader); // PostgreSQL leaves it to strtol
    bool negative = peek(reader) == '-';
    if (peek(reader) == '-' || peek(reader) == '+')
        reader->at++;
    if (!is_digit(peek(reader)))
        return false;
    int64_t exponent = 0;
    for (; is_digit(peek(reader)); reader->at++)
        if (exponent <= EXPONENT_MAX)
            exponent = exponent * 10 + (*reader->at - '0');
    *ret_exponent = negative ? -exponent : exponent;
    return true;
}

enum br_numeric_parsed br_numeric_parse_text(struct br_slice text, struct br_numeric *ret) {
    struct reader reader = {text.ptr, text.ptr + text.len};
    skip_spaces(&reader);
    bool negative = peek(&reader) == '-';
    if (peek(&reader) == '-' || peek(&reader) == '+')
        reader.at++;
    bool special = read_special(&reader);
    struct digits digits = {0};
    int64_t exponent = 0;
    if (!special) {
        read_digits(&reader, &digits);
        if (!digits.any)
            return BR_NUMERIC_SYNTAX;
        if (peek(&reader) == 'e' || peek(&reader) == 'E') {
            reader.at++;
            if (!read_exponent(&reader, &exponent))
                return BR_NUMERIC_SYNTAX;
        }
    }
    skip_spaces(&reader);
    if (reader.at != reader.end)
        return BR_NUMERIC_SYNTAX;
    if (special)
        return BR_NUMERIC_SPECIAL;
    int64_t scale = digits.scale - exponent;
    if (digits.kept == 0) // PostgreSQL drops the zeros that an exponent adds before the point
        scale = scale < 0 ? 0 : scale > BR_NUMERIC_SCALE_MAX ? BR_NUMERIC_SCALE_MAX : scale;
    if (scale < -38)
        return BR_NUMERIC_TOO_LARGE;
    if (scale < 0) {
        br_numeric_wide_scale_up(&digits.value, (unsigned)-scale);
        scale = 0;
    }
    if (scale > 1000) { // far below the last digit: zero at the largest scale
        digits.value = br_numeric_wide_of(0);
        scale = BR_NUMERIC_SCALE_MAX;
    }
    return br_numeric_wide_fit(digits.value, (unsigned)scale, negative, ret) ? BR_NUMERIC_PARSED : BR_NUMERIC_TOO_LARGE;
}

bool br_numeric_parse(struct br_slice text, struct br_numeric *ret) {
    // The usual case: an optional minus, up to 17 digits with or without a point, nothing else.
    const uint8_t *at = text.ptr, *end = text.ptr + text.len;
    bool negative = text.len > 0 && *at == '-';
    at += negative;
    const uint8_t *first = at, *point = NULL;
    uint64_t value = 0;
    if (end - at <= 18) {
        for (; at < end; at++) {
            if (is_digit(*at))
                value = value * 10 + (*at - '0');
            else if (*at == '.' && point == NULL)
                point = at;
            else
                break;
        }
        if (at == end && end - first > (point != NULL)) {
            int64_t coefficient = negative ? -(int64_t)value : (int64_t)value;
            return br_numeric_make(coefficient, point == NULL ? 0 : (unsigned)(end - point - 1), ret);
        }
    }
    return br_numeric_parse_text(text, ret) == BR_NUMERIC_PARSED;
}

// Writes the digits of a value at the end of a run, at least `least` of them; returns where they begin.
static char *digits_before(char *end, br_u128 value, unsigned least) {
    char *at = end;
    while ((uint64_t)(value >> 64) != 0) {
        uint64_t low = (uint64_t)(value % br_pow10_64[19]);
        value /= br_pow10_64[19];
        for (unsigned i = 0; i < 19; i++, low /= 10)
            *--at = (char)('0' + low % 10);
    }
    for (uint64_t low = (uint64_t)value; low != 0; low /= 10)
        *--at = (char)('0' + low % 10);
    while (end - at < (ptrdiff_t)least)
        *--at = '0';
    return at;
}

size_t br_numeric_print(struct br_numeric n, char *text) {
    char digits[BR_NUMERIC_TEXT_SIZE];
    char *end = digits + sizeof digits;
    __int128 coefficient = br_numeric_coefficient(n);
    unsigned scale = br_numeric_scale(n);
    const char *first = digits_before(end, br_magnitude(coefficient), scale + 1);
    size_t whole = (size_t)(end - first) - scale, length = 0;
    if (coefficient < 0)
        text[length++] = '-';
    memcpy(text + length, first, whole);
    length += whole;
    if (scale > 0) {
        text[length++] = '.';
        memcpy(text + length, first + whole, scale);
        length += scale;
    }
    text[length] = '\0';
    return length;
}

bool br_numeric_from_digits_of(double value, int precision, struct br_numeric *ret) {
    char digits[BR_DOUBLE_DIGITS_MAX], text[48];
    if (!isfinite(value))
        return false;
    if (value == 0)
        return br_numeric_make(0, 0, ret);
    int exponent = br_double_to_digits(fabs(value), precision, digits);
    while (precision > 1 && digits[precision - 1] == '0')
        precision--;
    int length =
        snprintf(text, sizeof text, "%s%.*se%d", value < 0 ? "-" : "", precision, digits, exponent - precision);
    return br_numeric_parse((struct br_slice){(const uint8_t *)text, (size_t)length}, ret);
}

bool br_numeric_from_double(double value, struct br_numeric *ret) {
    return br_numeric_from_digits_of(value, 15, ret);
}

double br_numeric_to_double(struct br_numeric n) {
    static const double exact[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    __int128 coefficient = br_numeric_coefficient(n);
    unsigned scale = br_numeric_scale(n);
    // Both exact in a double: one correctly rounded division.
    if (br_magnitude(coefficient) <= (br_u128)1 << 53 && scale < sizeof exact / sizeof exact[0])
        return (double)(int64_t)coefficient / exact[scale];
    char digits[BR_NUMERIC_TEXT_SIZE], *end = digits + sizeof digits;
    const char *first = digits_before(end, br_magnitude(coefficient), 1);
    double value = br_double_of_digits(first, (size_t)(end - first), -(int64_t)scale);
    return coefficient < 0 ? -value : value;
}
