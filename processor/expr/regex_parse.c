// SPDX-License-Identifier: Apache-2.0
// A pattern, in PostgreSQL's syntax for "advanced regular expressions", to groups of branches of items.
//
// Refused, though PostgreSQL takes it: back references and look-around, which a finite automaton can't do; (?b) and
// (?e), the older syntaxes; more than DEPTH_MAX parentheses within each other. What PostgreSQL refuses is refused in
// its words.
#include "processor/expr/expr_internal.h"
#include "processor/expr/regex_internal.h"

#define DEPTH_MAX 200
#define SETS_MAX 4096

static const char BAD_REPEAT[] = "quantifier operand invalid";
static const char BAD_BOUNDS[] = "invalid repetition count(s)";
static const char BAD_PARENTHESES[] = "parentheses () not balanced";
static const char BAD_OPTION[] = "invalid embedded option";
static const char TOO_COMPLEX[] = "regular expression is too complex";

bool br_regex_fail(struct br_regex_parser *parser, const char *reason, const char *hint) {
    if (parser->fault->reason == NULL)
        *parser->fault = (struct br_regex_fault){reason, hint};
    parser->at = parser->end;
    return false;
}

static bool has_failed(const struct br_regex_parser *parser) {
    return parser->fault->reason != NULL;
}

static bool is_next(const struct br_regex_parser *parser, uint32_t code) {
    return parser->at < parser->end && *parser->at == code;
}

static bool is_digit(uint32_t code) {
    return code >= '0' && code <= '9';
}

// Past white space and #-comments of an expanded pattern.
static const uint32_t *skip_space(const struct br_regex_parser *parser, const uint32_t *at) {
    while ((parser->flags & BR_REGEX_EXPANDED) != 0 && at < parser->end) {
        if (*at == '#')
            while (at < parser->end && *at != '\n')
                at++;
        else if (br_regex_is_space(*at))
            at++;
        else
            break;
    }
    return at;
}

// And past (?#comments).
static void skip_ignored(struct br_regex_parser *parser) {
    for (;;) {
        parser->at = skip_space(parser, parser->at);
        if (parser->end - parser->at < 3 || parser->at[0] != '(' || parser->at[1] != '?' || parser->at[2] != '#')
            return;
        parser->parsed->plain = false;
        while (parser->at < parser->end && *parser->at != ')')
            parser->at++;
        if (parser->at < parser->end)
            parser->at++;
    }
}

// --- sets
static uint32_t hash_set(const struct br_regex_set *set) {
    uint32_t hash = set->count;
    for (uint32_t i = 0; i < set->count; i++)
        hash = (hash ^ set->ranges[i].first ^ set->ranges[i].last << 11) * 0x9e3779b1u;
    return hash >> 24;
}

static bool sets_equal(const struct br_regex_set *a, const struct br_regex_set *b) {
    return a->count == b->count && (a->count == 0 || memcmp(a->ranges, b->ranges, a->count * sizeof *a->ranges) == 0);
}

// The index of a closed set.
static uint32_t intern_set(struct br_regex_parser *parser, struct br_regex_set set) {
    struct br_regex_parsed *parsed = parser->parsed;
    uint32_t *bucket = &parser->set_buckets[hash_set(&set)];
    for (uint32_t at = *bucket; at != 0; at = parser->set_next[at - 1])
        if (sets_equal(&parsed->sets[at - 1], &set))
            return at - 1;
    if (parsed->set_count == SETS_MAX) {
        br_regex_fail(parser, TOO_COMPLEX, "it has more than 4,096 different sets of characters");
        return 0;
    }
    if (parsed->set_count == parsed->set_room) {
        uint32_t room = parsed->set_room == 0 ? 16 : 2 * parsed->set_room;
        struct br_regex_set *sets = br_arena_array(parser->arena, struct br_regex_set, room);
        uint32_t *next = br_arena_array(parser->arena, uint32_t, room);
        if (parsed->set_count != 0) {
            memcpy(sets, parsed->sets, parsed->set_count * sizeof *sets);
            memcpy(next, parser->set_next, parsed->set_count * sizeof *next);
        }
        parsed->sets = sets;
        parser->set_next = next;
        parsed->set_room = room;
    }
    parsed->sets[parsed->set_count] = set;
    parser->set_next[parsed->set_count] = *bucket;
    *bucket = ++parsed->set_count;
    return parsed->set_count - 1;
}

static uint32_t set_of_char(struct br_regex_parser *parser, uint32_t code) {
    struct br_regex_set set = {0};
    if ((parser->flags & BR_REGEX_IGNORE_CASE) != 0) {
        uint32_t lower = br_char_lower(code), upper = br_char_upper(code);
        br_regex_set_add(parser->arena, &set, lower, lower);
        br_regex_set_add(parser->arena, &set, upper, upper);
        br_regex_set_close(&set);
    } else {
        br_regex_set_add(parser->arena, &set, code, code);
    }
    return intern_set(parser, set);
}

static uint32_t set_of_class(struct br_regex_parser *parser, enum br_regex_class name, bool negated) {
    struct br_regex_set set = {0};
    br_regex_set_add_class(parser->arena, &set, name);
    br_regex_set_close(&set);
    if (negated)
        br_regex_set_negate(parser->arena, &set);
    return intern_set(parser, set);
}

static uint32_t set_of_any(struct br_regex_parser *parser) {
    struct br_regex_set set = {0};
    if ((parser->flags & BR_REGEX_LINES_STOP) != 0)
        br_regex_set_add(parser->arena, &set, '\n', '\n');
    br_regex_set_negate(parser->arena, &set);
    return intern_set(parser, set);
}

// --- items
static void set_item(struct br_regex_item *item, uint32_t set) {
    *item = (struct br_regex_item){.kind = BR_ITEM_SET, .set = set};
}

static void set_assertion(struct br_regex_parser *parser, struct br_regex_item *item,
                          enum br_regex_assertion assertion) {
    *item = (struct br_regex_item){.kind = BR_ITEM_ASSERTION, .assertion = assertion};
    parser->parsed->assertions |= 1u << assertion;
}

static bool parse_escaped(struct br_regex_parser *parser, struct br_regex_item *item) {
    struct br_regex_escape escape;
    if (!br_regex_parse_escape(parser, &escape))
        return false;
    switch (escape.kind) {
    case BR_ESCAPE_CHAR:
        set_item(item, set_of_char(parser, escape.value));
        break;
    case BR_ESCAPE_CLASS:
    case BR_ESCAPE_NOT_CLASS:
        set_item(item, set_of_class(parser, (enum br_regex_class)escape.value, escape.kind == BR_ESCAPE_NOT_CLASS));
        break;
    case BR_ESCAPE_ASSERTION:
        set_assertion(parser, item, (enum br_regex_assertion)escape.value);
        break;
    case BR_ESCAPE_BACK:
        if (escape.value > parser->parsed->group_count)
            return br_regex_fail(parser, "invalid backreference number", NULL);
        return br_regex_fail(parser, "back references are not supported",
                             "take the parts with substring(x FROM 'pattern with one (group)') and compare them");
    }
    return !has_failed(parser);
}

static bool parse_brackets(struct br_regex_parser *parser, struct br_regex_item *item) {
    // [[:<:]] and [[:>:]] are words' begin and end.
    static const char WORD[] = "[:<:]]";
    size_t len = 0;
    while (len < 6 && parser->end - parser->at >= 6 &&
           (parser->at[len] == (uint32_t)WORD[len] || (len == 2 && parser->at[len] == '>')))
        len++;
    if (len == 6) {
        set_assertion(parser, item, parser->at[2] == '<' ? BR_ASSERT_WORD_BEGIN : BR_ASSERT_WORD_END);
        parser->parsed->plain = false;
        parser->at += len;
        return true;
    }
    bool negated = is_next(parser, '^');
    parser->at += negated;
    struct br_regex_set set = {0};
    if (!br_regex_parse_bracket(parser, negated, &set))
        return false;
    set_item(item, intern_set(parser, set));
    return !has_failed(parser);
}

static struct br_regex_group *parse_group(struct br_regex_parser *parser, bool captures);

static bool parse_parenthesis(struct br_regex_parser *parser, struct br_regex_item *item) {
    bool captures = !is_next(parser, '?');
    if (!captures) {
        static const char NO_LOOKING[] = "look-around is not supported";
        static const char SAY_IT_SO[] = "say it by several conditions, x ~ 'a' AND x !~ 'b', or take a part with "
                                        "substring(x FROM 'pattern with one (group)')";
        const uint32_t *at = parser->at + 1;
        if (at < parser->end && (*at == '=' || *at == '!'))
            return br_regex_fail(parser, NO_LOOKING, SAY_IT_SO);
        if (parser->end - at >= 2 && *at == '<' && (at[1] == '=' || at[1] == '!'))
            return br_regex_fail(parser, NO_LOOKING, SAY_IT_SO);
        if (at == parser->end || *at != ':')
            return br_regex_fail(parser, BAD_REPEAT,
                                 "after (? stands : for a group without number, or, where the pattern begins, options");
        parser->at += 2;
    }
    *item = (struct br_regex_item){.kind = BR_ITEM_GROUP, .group = parse_group(parser, captures)};
    if (has_failed(parser))
        return false;
    if (!is_next(parser, ')'))
        return br_regex_fail(parser, BAD_PARENTHESES, NULL);
    parser->at++;
    return true;
}

static bool parse_atom(struct br_regex_parser *parser, struct br_regex_item *item) {
    uint32_t code = *parser->at++;
    bool lines = (parser->flags & BR_REGEX_LINES_ANCHOR) != 0;
    const uint32_t *next;
    switch (code) {
    case '^':
        set_assertion(parser, item, lines ? BR_ASSERT_LINE_BEGIN : BR_ASSERT_BEGIN);
        return true;
    case '$':
        set_assertion(parser, item, lines ? BR_ASSERT_LINE_END : BR_ASSERT_END);
        return true;
    case '*':
    case '+':
    case '?':
        return br_regex_fail(parser, BAD_REPEAT, NULL);
    case '{':
        next = skip_space(parser, parser->at);
        if (next < parser->end && is_digit(*next))
            return br_regex_fail(parser, BAD_REPEAT, NULL);
        parser->parsed->plain = false;
        break;
    case '.':
        set_item(item, set_of_any(parser));
        return true;
    case '[':
        return parse_brackets(parser, item);
    case '(':
        return parse_parenthesis(parser, item);
    case '\\':
        return parse_escaped(parser, item);
    default:
        break;
    }
    set_item(item, set_of_char(parser, code));
    return !has_failed(parser);
}

// --- quantifiers
static bool read_bound(struct br_regex_parser *parser, uint32_t *ret) {
    for (*ret = 0;; parser->at++) {
        parser->at = skip_space(parser, parser->at);
        if (parser->at == parser->end || !is_digit(*parser->at))
            return true;
        if (*ret >= BR_REGEX_REPEAT_MAX)
            return br_regex_fail(parser, BAD_BOUNDS, "a bound is at most 255");
        *ret = *ret * 10 + (*parser->at - '0');
        if (*ret > BR_REGEX_REPEAT_MAX)
            return br_regex_fail(parser, BAD_BOUNDS, "a bound is at most 255");
    }
}

// After {; the } too.
static bool parse_bounds(struct br_regex_parser *parser, struct br_regex_item *item, bool *ret_fixed) {
    if (!read_bound(parser, &item->min))
        return false;
    item->max = item->min;
    *ret_fixed = !is_next(parser, ',');
    if (!*ret_fixed) {
        parser->at = skip_space(parser, parser->at + 1);
        item->max = BR_REGEX_REPEAT_INFINITE;
        if (parser->at < parser->end && is_digit(*parser->at) && !read_bound(parser, &item->max))
            return false;
    }
    if (parser->at == parser->end)
        return br_regex_fail(parser, "braces {} not balanced", NULL);
    if (*parser->at != '}' || item->min > item->max)
        return br_regex_fail(parser, BAD_BOUNDS, NULL);
    parser->at++;
    return true;
}

static bool parse_quantifier(struct br_regex_parser *parser, struct br_regex_item *item) {
    item->min = item->max = 1;
    if (item->kind == BR_ITEM_ASSERTION)
        return true;
    skip_ignored(parser);
    if (parser->at == parser->end)
        return true;
    uint32_t code = *parser->at;
    bool fixed = false;
    if (code == '*' || code == '+' || code == '?') {
        item->min = code == '+';
        item->max = code == '?' ? 1 : BR_REGEX_REPEAT_INFINITE;
        parser->at++;
    } else if (code == '{') {
        const uint32_t *next = skip_space(parser, parser->at + 1);
        if (next == parser->end || !is_digit(*next))
            return true; // a brace that stands for itself
        parser->at = next;
        if (!parse_bounds(parser, item, &fixed))
            return false;
    } else {
        return true;
    }
    bool shorter = is_next(parser, '?');
    parser->at += shorter;
    if (!fixed) // {m} has its operand's preference
        item->preference = shorter ? BR_PREFERS_SHORTER : BR_PREFERS_LONGER;
    return true;
}

// --- branches and groups
static void add_item(struct br_regex_parser *parser, struct br_regex_branch *branch, const struct br_regex_item *item) {
    if (branch->count == branch->room) {
        uint32_t room = branch->room == 0 ? 8 : 2 * branch->room;
        struct br_regex_item *items = br_arena_array(parser->arena, struct br_regex_item, room);
        if (branch->count != 0)
            memcpy(items, branch->items, branch->count * sizeof *items);
        branch->items = items;
        branch->room = room;
    }
    branch->items[branch->count++] = *item;
}

static void parse_branch(struct br_regex_parser *parser, struct br_regex_branch *branch) {
    for (;;) {
        skip_ignored(parser);
        if (parser->at == parser->end || *parser->at == '|' || *parser->at == ')')
            return;
        struct br_regex_item item;
        if (!parse_atom(parser, &item) || !parse_quantifier(parser, &item))
            return;
        add_item(parser, branch, &item);
    }
}

static struct br_regex_branch *add_branch(struct br_regex_parser *parser, struct br_regex_group *group) {
    if (group->count == group->room) {
        uint32_t room = group->room == 0 ? 1 : 2 * group->room;
        struct br_regex_branch *branches = br_arena_array(parser->arena, struct br_regex_branch, room);
        if (group->count != 0)
            memcpy(branches, group->branches, group->count * sizeof *branches);
        group->branches = branches;
        group->room = room;
    }
    return &group->branches[group->count++];
}

static struct br_regex_group *parse_group(struct br_regex_parser *parser, bool captures) {
    struct br_regex_group *group = br_arena_new(parser->arena, struct br_regex_group);
    group->number = captures ? ++parser->parsed->group_count : 0;
    group->first = parser->parsed->group_count + !captures;
    if (++parser->depth > DEPTH_MAX) {
        br_regex_fail(parser, TOO_COMPLEX, "parentheses stand within each other at most 200 deep");
        return group;
    }
    for (;;) {
        struct br_regex_branch branch = {0};
        parse_branch(parser, &branch);
        *add_branch(parser, group) = branch;
        if (!is_next(parser, '|'))
            break;
        parser->at++;
    }
    parser->depth--;
    group->last = parser->parsed->group_count;
    return group;
}

static struct br_regex_group *parse_literal(struct br_regex_parser *parser) {
    struct br_regex_group *group = br_arena_new(parser->arena, struct br_regex_group);
    struct br_regex_branch *branch = add_branch(parser, group);
    group->first = 1;
    while (parser->at < parser->end) {
        struct br_regex_item item;
        set_item(&item, set_of_char(parser, *parser->at++));
        item.min = item.max = 1;
        add_item(parser, branch, &item);
    }
    return group;
}

// --- what a pattern may begin with
// (?letters)
static bool parse_options(struct br_regex_parser *parser) {
    const uint32_t *at = parser->at;
    if (parser->end - at < 3 || at[0] != '(' || at[1] != '?' || !br_char_is_alphanumeric(at[2]) || is_digit(at[2]))
        return true;
    parser->parsed->plain = false;
    for (parser->at += 2; parser->at < parser->end && *parser->at != ')'; parser->at++) {
        switch (*parser->at) {
        case 'b':
        case 'e':
            return br_regex_fail(parser, "the embedded options b and e are not supported",
                                 "leave the option out and write the pattern as an advanced regular expression");
        case 'c':
            parser->flags &= ~(unsigned)BR_REGEX_IGNORE_CASE;
            break;
        case 'i':
            parser->flags |= BR_REGEX_IGNORE_CASE;
            break;
        case 'm':
        case 'n':
            parser->flags |= BR_REGEX_LINES_STOP | BR_REGEX_LINES_ANCHOR;
            break;
        case 'p':
            parser->flags = (parser->flags | BR_REGEX_LINES_STOP) & ~(unsigned)BR_REGEX_LINES_ANCHOR;
            break;
        case 'q':
            parser->flags |= BR_REGEX_LITERAL;
            break;
        case 's':
            parser->flags &= ~(unsigned)(BR_REGEX_LINES_STOP | BR_REGEX_LINES_ANCHOR);
            break;
        case 't':
            parser->flags &= ~(unsigned)BR_REGEX_EXPANDED;
            break;
        case 'w':
            parser->flags = (parser->flags | BR_REGEX_LINES_ANCHOR) & ~(unsigned)BR_REGEX_LINES_STOP;
            break;
        case 'x':
            parser->flags |= BR_REGEX_EXPANDED;
            break;
        default:
            return br_regex_fail(parser, BAD_OPTION, NULL);
        }
    }
    if (parser->at == parser->end)
        return br_regex_fail(parser, BAD_OPTION, NULL);
    parser->at++;
    return true;
}

static bool parse_director(struct br_regex_parser *parser) {
    const uint32_t *at = parser->at;
    if ((parser->flags & BR_REGEX_LITERAL) != 0)
        return true;
    if (parser->end - at >= 4 && at[0] == '*' && at[1] == '*' && at[2] == '*') {
        parser->parsed->plain = false;
        if (at[3] != '=' && at[3] != ':')
            return br_regex_fail(parser, BAD_REPEAT, NULL);
        parser->at += 4;
        if (at[3] == '=') {
            parser->flags |= BR_REGEX_LITERAL;
            return true;
        }
    }
    return parse_options(parser);
}

static bool decode(struct br_regex_parser *parser, struct br_slice pattern) {
    uint32_t *codes = br_arena_alloc(parser->arena, (pattern.len + 1) * sizeof *codes), *out = codes;
    for (size_t at = 0; at < pattern.len; at += br_char_size(pattern.ptr[at]))
        *out++ = br_char_decode(pattern.ptr + at);
    parser->at = codes;
    parser->end = out;
    return true;
}

bool br_regex_parse(struct br_arena *arena, struct br_slice pattern, unsigned flags, struct br_regex_parsed *ret,
                    struct br_regex_fault *ret_fault) {
    struct br_regex_parser *parser = br_arena_new(arena, struct br_regex_parser);
    *ret = (struct br_regex_parsed){.plain = true};
    *ret_fault = (struct br_regex_fault){0};
    *parser = (struct br_regex_parser){.arena = arena, .flags = flags, .parsed = ret, .fault = ret_fault};
    decode(parser, pattern);
    if (parse_director(parser)) {
        if ((parser->flags & BR_REGEX_LITERAL) != 0)
            ret->root = parse_literal(parser);
        else
            ret->root = parse_group(parser, false);
    }
    if (!has_failed(parser) && parser->at < parser->end)
        br_regex_fail(parser, BAD_PARENTHESES, NULL); // a ) without (
    ret->flags = parser->flags;
    return !has_failed(parser);
}
