// SPDX-License-Identifier: Apache-2.0
// What stands after a backslash, within brackets and without.
#include "processor/expr/regex_internal.h"

static const char BAD_ESCAPE[] = "invalid escape \\ sequence";

static bool is_digit(uint32_t code) {
    return code >= '0' && code <= '9';
}

static int digit_value(uint32_t code) {
    if (is_digit(code))
        return (int)code - '0';
    if (code >= 'a' && code <= 'f')
        return (int)code - 'a' + 10;
    return code >= 'A' && code <= 'F' ? (int)code - 'A' + 10 : 99;
}

// Digits from parser->at on; a number that is too large wraps around, as PostgreSQL's does. false: too few.
static bool read_digits(struct br_regex_parser *parser, int base, int min, int max, uint32_t *ret) {
    int len = 0;
    for (*ret = 0; len < max && parser->at < parser->end && digit_value(*parser->at) < base; len++)
        *ret = *ret * (uint32_t)base + (uint32_t)digit_value(*parser->at++);
    return len >= min;
}

static bool read_code(struct br_regex_parser *parser, int min, int max, uint32_t *ret) {
    return (read_digits(parser, 16, min, max, ret) && *ret <= 0x7ffffffe) || br_regex_fail(parser, BAD_ESCAPE, NULL);
}

// \1 is a back reference, \12 one if there are so many groups; else, and after \0, octal digits.
static bool read_number(struct br_regex_parser *parser, struct br_regex_escape *ret) {
    const uint32_t *begin = parser->at;
    uint32_t number;
    if (*begin != '0') {
        read_digits(parser, 10, 1, 255, &number);
        if (parser->at == begin + 1 || ((int32_t)number > 0 && number <= parser->parsed->group_count)) {
            *ret = (struct br_regex_escape){BR_ESCAPE_BACK, number};
            return true;
        }
        parser->at = begin;
    }
    if (!read_digits(parser, 8, 1, 3, &number))
        return br_regex_fail(parser, BAD_ESCAPE, NULL);
    if (number > 0xff) {
        parser->at--;
        number >>= 3;
    }
    *ret = (struct br_regex_escape){BR_ESCAPE_CHAR, number};
    return true;
}

bool br_regex_parse_escape(struct br_regex_parser *parser, struct br_regex_escape *ret) {
    static const struct {
        char letter;
        uint8_t kind;
        uint8_t value;
    } LETTERS[] = {
        {'a', BR_ESCAPE_CHAR, 7},
        {'b', BR_ESCAPE_CHAR, '\b'},
        {'B', BR_ESCAPE_CHAR, '\\'},
        {'e', BR_ESCAPE_CHAR, 27},
        {'f', BR_ESCAPE_CHAR, '\f'},
        {'n', BR_ESCAPE_CHAR, '\n'},
        {'r', BR_ESCAPE_CHAR, '\r'},
        {'t', BR_ESCAPE_CHAR, '\t'},
        {'v', BR_ESCAPE_CHAR, '\v'},
        {'d', BR_ESCAPE_CLASS, BR_CLASS_DIGIT},
        {'s', BR_ESCAPE_CLASS, BR_CLASS_SPACE},
        {'w', BR_ESCAPE_CLASS, BR_CLASS_WORD},
        {'D', BR_ESCAPE_NOT_CLASS, BR_CLASS_DIGIT},
        {'S', BR_ESCAPE_NOT_CLASS, BR_CLASS_SPACE},
        {'W', BR_ESCAPE_NOT_CLASS, BR_CLASS_WORD},
        {'A', BR_ESCAPE_ASSERTION, BR_ASSERT_BEGIN},
        {'Z', BR_ESCAPE_ASSERTION, BR_ASSERT_END},
        {'m', BR_ESCAPE_ASSERTION, BR_ASSERT_WORD_BEGIN},
        {'M', BR_ESCAPE_ASSERTION, BR_ASSERT_WORD_END},
        {'y', BR_ESCAPE_ASSERTION, BR_ASSERT_WORD_EDGE},
        {'Y', BR_ESCAPE_ASSERTION, BR_ASSERT_NO_WORD_EDGE},
    };
    if (parser->at == parser->end)
        return br_regex_fail(parser, BAD_ESCAPE, NULL);
    uint32_t code = *parser->at;
    bool is_letter = (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
    if (!is_letter && !is_digit(code)) {
        parser->at++;
        *ret = (struct br_regex_escape){BR_ESCAPE_CHAR, code};
        return true;
    }
    if (code != 'n' && code != 't' && code != 'r' && code != 'f')
        parser->parsed->plain = false;
    if (is_digit(code))
        return read_number(parser, ret);
    parser->at++;
    *ret = (struct br_regex_escape){BR_ESCAPE_CHAR, 0};
    switch (code) {
    case 'c':
        if (parser->at == parser->end)
            return br_regex_fail(parser, BAD_ESCAPE, NULL);
        ret->value = *parser->at++ & 037;
        return true;
    case 'u':
        return read_code(parser, 4, 4, &ret->value);
    case 'U':
        return read_code(parser, 8, 8, &ret->value);
    case 'x':
        return read_code(parser, 1, 255, &ret->value);
    default:
        for (size_t i = 0; i < sizeof LETTERS / sizeof LETTERS[0]; i++)
            if ((uint32_t)LETTERS[i].letter == code) {
                *ret = (struct br_regex_escape){LETTERS[i].kind, LETTERS[i].value};
                return true;
            }
        return br_regex_fail(parser, BAD_ESCAPE,
                             code == 'p' || code == 'P' ? "classes of characters are written [[:alpha:]]" : NULL);
    }
}
