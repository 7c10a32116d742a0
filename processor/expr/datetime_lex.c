// SPDX-License-Identifier: Apache-2.0
// Tokens of time texts, cut as PostgreSQL cuts them: a run of digits is a number, a date or a time by what follows.
#include "processor/expr/datetime_internal.h"
#include "processor/expr/decimal.h"

#include <math.h>

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return c >= 'a' && c <= 'z';
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool in(char c, const char *set) {
    return c != '\0' && strchr(set, c) != NULL;
}

static bool is_separator(char c) {
    return in(c, "-/.");
}

struct cursor {
    const char *at; // the text in lower case, NUL-terminated
    struct br_time_tokens *tokens;
    char *out;
};

static bool begin(struct cursor *cursor) {
    if (cursor->tokens->count == BR_TIME_TOKENS_MAX)
        return false;
    cursor->tokens->items[cursor->tokens->count].text = cursor->out;
    return true;
}

static void take(struct cursor *cursor) {
    *cursor->out++ = *cursor->at++;
}

static void end(struct cursor *cursor, enum br_time_token_kind kind) {
    struct br_time_token *token = &cursor->tokens->items[cursor->tokens->count++];
    token->kind = kind;
    token->len = (size_t)(cursor->out - token->text);
    *cursor->out++ = '\0';
}

// Begins with a digit.
static enum br_time_token_kind take_digits(struct cursor *cursor) {
    while (is_digit(*cursor->at))
        take(cursor);
    if (*cursor->at == ':') {
        while (is_digit(*cursor->at) || in(*cursor->at, ":."))
            take(cursor);
        return BR_TOKEN_TIME;
    }
    if (!is_separator(*cursor->at))
        return BR_TOKEN_NUMBER;
    char separator = *cursor->at;
    take(cursor);
    if (!is_digit(*cursor->at)) {
        // 1-mar-2026, or a number with a point at its end.
        while (is_digit(*cursor->at) || is_letter(*cursor->at) || *cursor->at == separator)
            take(cursor);
        return BR_TOKEN_DATE;
    }
    while (is_digit(*cursor->at))
        take(cursor);
    if (*cursor->at != separator)
        return separator == '.' ? BR_TOKEN_NUMBER : BR_TOKEN_DATE;
    while (is_digit(*cursor->at) || *cursor->at == separator)
        take(cursor);
    return BR_TOKEN_DATE;
}

static enum br_time_token_kind take_letters(struct cursor *cursor) {
    const char *word = cursor->at;
    while (is_letter(*cursor->at))
        take(cursor);
    if (!is_separator(*cursor->at) &&
        ((!is_digit(*cursor->at) && *cursor->at != '+') || br_time_word_is_known(word, (size_t)(cursor->at - word))))
        return BR_TOKEN_WORD;
    while (is_digit(*cursor->at) || is_letter(*cursor->at) || in(*cursor->at, "+-/_.:"))
        take(cursor);
    return BR_TOKEN_DATE;
}

// A sign and what it signs; false when neither digits nor letters follow.
static bool take_signed(struct cursor *cursor, enum br_time_token_kind *ret_kind) {
    take(cursor);
    while (is_space(*cursor->at))
        cursor->at++;
    if (is_letter(*cursor->at)) {
        while (is_letter(*cursor->at))
            take(cursor);
        *ret_kind = BR_TOKEN_WORD; // -infinity
        return true;
    }
    if (!is_digit(*cursor->at) && !(*cursor->at == '.' && is_digit(cursor->at[1])))
        return false;
    while (is_digit(*cursor->at) || in(*cursor->at, ":.-"))
        take(cursor);
    *ret_kind = BR_TOKEN_SIGNED;
    return true;
}

static bool tokenize(struct cursor *cursor) {
    while (*cursor->at != '\0') {
        char c = *cursor->at;
        enum br_time_token_kind kind;
        if (is_space(c)) {
            cursor->at++;
            continue;
        }
        if (!begin(cursor))
            return false;
        if (is_digit(c)) {
            kind = take_digits(cursor);
        } else if (c == '.' && is_digit(cursor->at[1])) {
            take(cursor);
            while (is_digit(*cursor->at))
                take(cursor);
            kind = BR_TOKEN_NUMBER;
        } else if (is_letter(c)) {
            kind = take_letters(cursor);
        } else if (c == '+' || c == '-') {
            if (!take_signed(cursor, &kind))
                return false;
        } else if (c > ' ' && c < 0x7f && c != '.') {
            cursor->at++; // other punctuation separates
            continue;
        } else {
            return false;
        }
        end(cursor, kind);
    }
    return true;
}

bool br_time_tokenize(struct br_slice text, struct br_time_tokens *tokens) {
    char lower[BR_TIME_TEXT_MAX + 1];
    if (text.len > BR_TIME_TEXT_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte == 0 || byte >= 0x80)
            return false;
        lower[i] = (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
    }
    lower[text.len] = '\0';
    tokens->count = 0;
    struct cursor cursor = {lower, tokens, tokens->text};
    return tokenize(&cursor);
}

bool br_fraction_parse(const char *text, double *ret_fraction) {
    if (*text != '.')
        return false;
    for (const char *at = text + 1; *at != '\0'; at++)
        if (!is_digit(*at))
            return false;
    size_t digits = strlen(text + 1);
    *ret_fraction = br_double_of_digits(text + 1, digits, -(int64_t)digits);
    return true;
}

// Digits as a number up to 10^15, which is past every bound of ours; NULL when there are none.
static const char *read_number(const char *at, int64_t *ret_value) {
    if (!is_digit(*at))
        return NULL;
    int64_t value = 0;
    for (; is_digit(*at); at++)
        if (value < INT64_C(1000000000000000))
            value = value * 10 + (*at - '0');
    *ret_value = value;
    return at;
}

enum br_time_parsed br_clock_parse(const char *text, int64_t *ret_hour, int *ret_minute, int *ret_second,
                                   int *ret_microsecond) {
    int64_t hour, minute, second = 0;
    double fraction = 0;
    const char *at = read_number(text, &hour);
    if (at == NULL || *at != ':' || (at = read_number(at + 1, &minute)) == NULL)
        return BR_TIME_SYNTAX;
    if (*at == '.') { // mm:ss.f
        if (!br_fraction_parse(at, &fraction))
            return BR_TIME_SYNTAX;
        second = minute;
        minute = hour;
        hour = 0;
    } else if (*at == ':') {
        if ((at = read_number(at + 1, &second)) == NULL)
            return BR_TIME_SYNTAX;
        if (*at != '\0' && !br_fraction_parse(at, &fraction))
            return BR_TIME_SYNTAX;
    } else if (*at != '\0') {
        return BR_TIME_SYNTAX;
    }
    if (minute > 59 || second > 60)
        return BR_TIME_FIELD;
    *ret_hour = hour;
    *ret_minute = (int)minute;
    *ret_second = (int)second;
    *ret_microsecond = (int)rint(fraction * 1e6);
    return BR_TIME_PARSED;
}
