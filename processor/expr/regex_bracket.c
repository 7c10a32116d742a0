// SPDX-License-Identifier: Apache-2.0
// Bracket expressions: [a-z], [^[:alpha:]_], [[.hyphen.]], [[=a=]], [\w-].
//
// No character is equivalent to another, and no collating element is longer than a character: PostgreSQL has none
// either.
#include "processor/expr/expr_internal.h"
#include "processor/expr/regex_internal.h"

static const char UNBALANCED[] = "brackets [] not balanced";
static const char BAD_RANGE[] = "invalid character range";
static const char BAD_ELEMENT[] = "invalid collating element";
static const char BAD_CLASS[] = "invalid character class";

// POSIX's names of characters.
static const struct {
    const char *name;
    uint8_t code;
} NAMES[] = {
    {"NUL", 0x00},
    {"SOH", 0x01},
    {"STX", 0x02},
    {"ETX", 0x03},
    {"EOT", 0x04},
    {"ENQ", 0x05},
    {"ACK", 0x06},
    {"BEL", 0x07},
    {"alert", 0x07},
    {"BS", 0x08},
    {"backspace", 0x08},
    {"HT", 0x09},
    {"tab", 0x09},
    {"LF", 0x0a},
    {"newline", 0x0a},
    {"VT", 0x0b},
    {"vertical-tab", 0x0b},
    {"FF", 0x0c},
    {"form-feed", 0x0c},
    {"CR", 0x0d},
    {"carriage-return", 0x0d},
    {"SO", 0x0e},
    {"SI", 0x0f},
    {"DLE", 0x10},
    {"DC1", 0x11},
    {"DC2", 0x12},
    {"DC3", 0x13},
    {"DC4", 0x14},
    {"NAK", 0x15},
    {"SYN", 0x16},
    {"ETB", 0x17},
    {"CAN", 0x18},
    {"EM", 0x19},
    {"SUB", 0x1a},
    {"ESC", 0x1b},
    {"IS4", 0x1c},
    {"FS", 0x1c},
    {"IS3", 0x1d},
    {"GS", 0x1d},
    {"IS2", 0x1e},
    {"RS", 0x1e},
    {"IS1", 0x1f},
    {"US", 0x1f},
    {"space", ' '},
    {"exclamation-mark", '!'},
    {"quotation-mark", '"'},
    {"number-sign", '#'},
    {"dollar-sign", '$'},
    {"percent-sign", '%'},
    {"ampersand", '&'},
    {"apostrophe", '\''},
    {"left-parenthesis", '('},
    {"right-parenthesis", ')'},
    {"asterisk", '*'},
    {"plus-sign", '+'},
    {"comma", ','},
    {"hyphen", '-'},
    {"hyphen-minus", '-'},
    {"period", '.'},
    {"full-stop", '.'},
    {"slash", '/'},
    {"solidus", '/'},
    {"zero", '0'},
    {"one", '1'},
    {"two", '2'},
    {"three", '3'},
    {"four", '4'},
    {"five", '5'},
    {"six", '6'},
    {"seven", '7'},
    {"eight", '8'},
    {"nine", '9'},
    {"colon", ':'},
    {"semicolon", ';'},
    {"less-than-sign", '<'},
    {"equals-sign", '='},
    {"greater-than-sign", '>'},
    {"question-mark", '?'},
    {"commercial-at", '@'},
    {"left-square-bracket", '['},
    {"backslash", '\\'},
    {"reverse-solidus", '\\'},
    {"right-square-bracket", ']'},
    {"circumflex", '^'},
    {"circumflex-accent", '^'},
    {"underscore", '_'},
    {"low-line", '_'},
    {"grave-accent", '`'},
    {"left-brace", '{'},
    {"left-curly-bracket", '{'},
    {"vertical-line", '|'},
    {"right-brace", '}'},
    {"right-curly-bracket", '}'},
    {"tilde", '~'},
    {"DEL", 0x7f},
};

static bool is_named(const uint32_t *begin, const uint32_t *end, const char *name) {
    while (begin < end && *name != '\0' && *begin == (uint8_t)*name) {
        begin++;
        name++;
    }
    return begin == end && *name == '\0';
}

// What stands between [x and x], the brackets passed.
static bool read_named(struct br_regex_parser *parser, uint32_t mark, const uint32_t **ret_begin,
                       const uint32_t **ret_end) {
    *ret_begin = parser->at;
    for (; parser->at < parser->end; parser->at++)
        if (parser->at[0] == mark && parser->end - parser->at > 1 && parser->at[1] == ']') {
            *ret_end = parser->at;
            parser->at += 2;
            return true;
        }
    br_regex_fail(parser, UNBALANCED, NULL);
    return false;
}

static bool read_element(struct br_regex_parser *parser, uint32_t mark, uint32_t *ret_code) {
    const uint32_t *begin, *end;
    parser->parsed->plain = false;
    if (!read_named(parser, mark, &begin, &end))
        return false;
    if (end - begin == 1) {
        *ret_code = *begin;
        return true;
    }
    for (size_t i = 0; begin < end && i < sizeof NAMES / sizeof NAMES[0]; i++)
        if (is_named(begin, end, NAMES[i].name)) {
            *ret_code = NAMES[i].code;
            return true;
        }
    return br_regex_fail(parser, BAD_ELEMENT, NULL);
}

static void add_class(struct br_regex_parser *parser, struct br_regex_set *set, enum br_regex_class name,
                      bool negated) {
    struct br_regex_set members = {0};
    bool ignore_case = (parser->flags & BR_REGEX_IGNORE_CASE) != 0;
    if (ignore_case && (name == BR_CLASS_LOWER || name == BR_CLASS_UPPER))
        name = BR_CLASS_ALPHA;
    br_regex_set_add_class(parser->arena, &members, name);
    br_regex_set_close(&members);
    if (negated)
        br_regex_set_negate(parser->arena, &members);
    br_regex_set_add_set(parser->arena, set, &members);
}

static bool parse_class(struct br_regex_parser *parser, struct br_regex_set *set) {
    const uint32_t *begin, *end;
    parser->parsed->plain = false;
    if (!read_named(parser, ':', &begin, &end))
        return false;
    for (int i = 0; i < BR_CLASS_COUNT; i++)
        if (is_named(begin, end, br_regex_class_names[i])) {
            add_class(parser, set, (enum br_regex_class)i, false);
            return true;
        }
    return br_regex_fail(parser, BAD_CLASS, NULL);
}

// A single character, not as an end of a range.
static void add_char(struct br_regex_parser *parser, struct br_regex_set *set, uint32_t code) {
    if ((parser->flags & BR_REGEX_IGNORE_CASE) != 0) {
        uint32_t lower = br_char_lower(code);
        br_regex_set_add(parser->arena, set, lower, lower);
        code = br_char_upper(code);
    }
    br_regex_set_add(parser->arena, set, code, code);
}

static void add_range(struct br_regex_parser *parser, struct br_regex_set *set, uint32_t first, uint32_t last) {
    if ((parser->flags & BR_REGEX_IGNORE_CASE) != 0)
        br_regex_set_add_cases(parser->arena, set, first, last);
    else
        br_regex_set_add(parser->arena, set, first, last);
}

enum part { PART_CHAR, PART_ELEMENT, PART_DASH, PART_DONE, PART_FAILED };

// The next part: a character, a dash that may mean a range, or all of a class or of an equivalence, which is added.
static enum part read_part(struct br_regex_parser *parser, bool is_first, struct br_regex_set *set,
                           uint32_t *ret_code) {
    if (parser->at == parser->end) {
        br_regex_fail(parser, UNBALANCED, NULL);
        return PART_FAILED;
    }
    *ret_code = *parser->at++;
    if (*ret_code == '-')
        return is_first || (parser->at < parser->end && *parser->at == ']') ? PART_CHAR : PART_DASH;
    if (*ret_code == '\\') {
        struct br_regex_escape escape;
        if (!br_regex_parse_escape(parser, &escape))
            return PART_FAILED;
        if (escape.kind == BR_ESCAPE_CLASS || escape.kind == BR_ESCAPE_NOT_CLASS) {
            add_class(parser, set, (enum br_regex_class)escape.value, escape.kind == BR_ESCAPE_NOT_CLASS);
            return PART_DONE;
        }
        *ret_code = escape.value;
        if (escape.kind == BR_ESCAPE_CHAR)
            return PART_CHAR;
        br_regex_fail(parser, "invalid escape \\ sequence", NULL);
        return PART_FAILED;
    }
    if (*ret_code != '[')
        return PART_CHAR;
    if (parser->at == parser->end) {
        br_regex_fail(parser, UNBALANCED, NULL);
        return PART_FAILED;
    }
    switch (*parser->at) {
    case '.':
        parser->at++;
        return read_element(parser, '.', ret_code) ? PART_ELEMENT : PART_FAILED;
    case '=':
        parser->at++;
        if (!read_element(parser, '=', ret_code))
            return PART_FAILED;
        add_char(parser, set, *ret_code);
        return PART_DONE;
    case ':':
        parser->at++;
        return parse_class(parser, set) ? PART_DONE : PART_FAILED;
    default:
        return PART_CHAR;
    }
}

static bool is_range_next(const struct br_regex_parser *parser) {
    return parser->end - parser->at >= 1 && parser->at[0] == '-' &&
           !(parser->end - parser->at >= 2 && parser->at[1] == ']');
}

static bool parse_part(struct br_regex_parser *parser, bool is_first, struct br_regex_set *set) {
    uint32_t first, last;
    enum part part = read_part(parser, is_first, set, &first);
    if (part == PART_DONE || part == PART_FAILED)
        return part == PART_DONE;
    if (part == PART_DASH)
        return br_regex_fail(parser, BAD_RANGE, NULL);
    if (!is_range_next(parser)) {
        if (part == PART_ELEMENT)
            add_range(parser, set, first, first);
        else
            add_char(parser, set, first);
        return true;
    }
    parser->at++;
    if (parser->at < parser->end && *parser->at == ']')
        return br_regex_fail(parser, BAD_RANGE, NULL);
    part = read_part(parser, false, set, &last);
    if (part == PART_FAILED)
        return false;
    if (part == PART_DASH)
        parser->parsed->plain = false;
    if (part == PART_DONE || first > last)
        return br_regex_fail(parser, BAD_RANGE, NULL);
    add_range(parser, set, first, last);
    return true;
}

bool br_regex_parse_bracket(struct br_regex_parser *parser, bool negated, struct br_regex_set *ret) {
    bool is_first = true;
    for (;; is_first = false) {
        if (!is_first && parser->at < parser->end && *parser->at == ']')
            break;
        if (!parse_part(parser, is_first, ret))
            return false;
    }
    parser->at++;
    if (negated && (parser->flags & BR_REGEX_LINES_STOP) != 0)
        br_regex_set_add(parser->arena, ret, '\n', '\n');
    br_regex_set_close(ret);
    if (negated)
        br_regex_set_negate(parser->arena, ret);
    return true;
}
