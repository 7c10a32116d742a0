// SPDX-License-Identifier: Apache-2.0
// Sets of characters for regular expressions. Classes are what PostgreSQL has in a UTF-8 database with glibc's C.UTF-8:
// by the tables of character_tables.c and character_classes.c past ASCII. Case is what PostgreSQL makes of it: a
// character stands for itself in lower and in upper case, one step and no more, so "K" matches k but not the Kelvin
// sign.
#include "processor/expr/expr_internal.h"
#include "processor/expr/regex_internal.h"

const char *const br_regex_class_names[BR_CLASS_COUNT] = {"alnum", "alpha", "ascii", "blank", "cntrl",
                                                          "digit", "graph", "lower", "print", "punct",
                                                          "space", "upper", "word",  "xdigit"};

void br_regex_set_add(struct br_arena *arena, struct br_regex_set *set, uint32_t first, uint32_t last) {
    if (last > BR_CODE_POINT_MAX)
        last = BR_CODE_POINT_MAX;
    if (first > last)
        return;
    if (set->count == set->room) {
        uint32_t room = set->room == 0 ? 4 : 2 * set->room;
        struct br_character_range *ranges = br_arena_array(arena, struct br_character_range, room);
        if (set->count != 0)
            memcpy(ranges, set->ranges, set->count * sizeof *ranges);
        set->ranges = ranges;
        set->room = room;
    }
    set->ranges[set->count++] = (struct br_character_range){first, last};
}

// What the mapping makes of the characters first … last.
static void add_mapped(struct br_arena *arena, struct br_regex_set *set, uint32_t first, uint32_t last,
                       const struct br_case_range *ranges, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t begin = ranges[i].first, end = ranges[i].last, step = ranges[i].step;
        if (first > begin)
            begin += (first - begin + step - 1) / step * step;
        if (last < end)
            end = last;
        for (uint32_t code = begin; code <= end; code += step) {
            uint32_t to = (uint32_t)((int32_t)code + ranges[i].add);
            br_regex_set_add(arena, set, to, to);
        }
    }
}

void br_regex_set_add_cases(struct br_arena *arena, struct br_regex_set *set, uint32_t first, uint32_t last) {
    static const struct br_case_range UPPER = {'A', 'Z', 1, 'a' - 'A'}, LOWER = {'a', 'z', 1, 'A' - 'a'};
    br_regex_set_add(arena, set, first, last);
    add_mapped(arena, set, first, last, &UPPER, 1);
    add_mapped(arena, set, first, last, &LOWER, 1);
    if (last >= 0x80) {
        add_mapped(arena, set, first, last, br_lower_ranges, br_lower_range_count);
        add_mapped(arena, set, first, last, br_upper_ranges, br_upper_range_count);
    }
}

void br_regex_set_add_set(struct br_arena *arena, struct br_regex_set *set, const struct br_regex_set *other) {
    for (uint32_t i = 0; i < other->count; i++)
        br_regex_set_add(arena, set, other->ranges[i].first, other->ranges[i].last);
}

static int by_first(const void *a, const void *b) {
    const struct br_character_range *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

void br_regex_set_close(struct br_regex_set *set) {
    uint32_t kept = 0;
    bool sorted = true;
    for (uint32_t i = 1; i < set->count && sorted; i++)
        sorted = set->ranges[i - 1].first <= set->ranges[i].first;
    if (!sorted)
        qsort(set->ranges, set->count, sizeof *set->ranges, by_first);
    for (uint32_t i = 0; i < set->count; i++) {
        struct br_character_range range = set->ranges[i];
        if (kept > 0 && range.first <= set->ranges[kept - 1].last + 1) {
            if (range.last > set->ranges[kept - 1].last)
                set->ranges[kept - 1].last = range.last;
        } else {
            set->ranges[kept++] = range;
        }
    }
    set->count = kept;
}

void br_regex_set_negate(struct br_arena *arena, struct br_regex_set *set) {
    struct br_regex_set negated = {0};
    uint32_t from = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->ranges[i].first > from)
            br_regex_set_add(arena, &negated, from, set->ranges[i].first - 1);
        from = set->ranges[i].last + 1;
    }
    br_regex_set_add(arena, &negated, from, BR_CODE_POINT_MAX);
    *set = negated;
}

void br_regex_set_subtract(struct br_arena *arena, struct br_regex_set *set, const struct br_regex_set *other) {
    // a without b is what is in neither (not a) nor b.
    br_regex_set_negate(arena, set);
    br_regex_set_add_set(arena, set, other);
    br_regex_set_close(set);
    br_regex_set_negate(arena, set);
}

bool br_regex_set_has(const struct br_regex_set *set, uint32_t code) {
    uint32_t low = 0, high = set->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (set->ranges[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set->count && code >= set->ranges[low].first;
}

// --- classes
static void add_ranges(struct br_arena *arena, struct br_regex_set *set, const struct br_character_range *ranges,
                       size_t count) {
    for (size_t i = 0; i < count; i++)
        br_regex_set_add(arena, set, ranges[i].first, ranges[i].last);
}

static void add_stepped(struct br_arena *arena, struct br_regex_set *set, const struct br_stepped_range *ranges,
                        size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].step == 1)
            br_regex_set_add(arena, set, ranges[i].first, ranges[i].last);
        else
            for (uint32_t code = ranges[i].first; code <= ranges[i].last; code += ranges[i].step)
                br_regex_set_add(arena, set, code, code);
    }
}

static const struct br_character_range SPACES[] = {{0x9, 0xd},       {0x20, 0x20},     {0x1680, 0x1680},
                                                   {0x2000, 0x2006}, {0x2008, 0x200a}, {0x2028, 0x2029},
                                                   {0x205f, 0x205f}, {0x3000, 0x3000}};
#define SPACE_COUNT (sizeof SPACES / sizeof SPACES[0])

bool br_regex_is_space(uint32_t code) {
    for (size_t i = 0; i < SPACE_COUNT; i++)
        if (code >= SPACES[i].first && code <= SPACES[i].last)
            return true;
    return false;
}

static void add_letters(struct br_arena *arena, struct br_regex_set *set) {
    br_regex_set_add(arena, set, 'A', 'Z');
    br_regex_set_add(arena, set, 'a', 'z');
    add_ranges(arena, set, br_alphanumeric_ranges, br_alphanumeric_range_count);
}

// Printable characters without those of the classes.
static void add_printable_but(struct br_arena *arena, struct br_regex_set *set, const enum br_regex_class *without,
                              size_t count) {
    struct br_regex_set printable = {0}, other = {0};
    br_regex_set_add_class(arena, &printable, BR_CLASS_PRINT);
    br_regex_set_close(&printable);
    for (size_t i = 0; i < count; i++)
        br_regex_set_add_class(arena, &other, without[i]);
    br_regex_set_close(&other);
    br_regex_set_subtract(arena, &printable, &other);
    br_regex_set_add_set(arena, set, &printable);
}

void br_regex_set_add_class(struct br_arena *arena, struct br_regex_set *set, enum br_regex_class name) {
    static const enum br_regex_class NOT_PUNCTUATION[] = {BR_CLASS_SPACE, BR_CLASS_ALNUM};
    switch (name) {
    case BR_CLASS_WORD:
        br_regex_set_add(arena, set, '_', '_');
        br_regex_set_add_class(arena, set, BR_CLASS_ALNUM);
        break;
    case BR_CLASS_ALNUM:
        br_regex_set_add(arena, set, '0', '9');
        add_letters(arena, set);
        break;
    case BR_CLASS_ALPHA:
        add_letters(arena, set);
        break;
    case BR_CLASS_ASCII:
        br_regex_set_add(arena, set, 0, 0x7f);
        break;
    case BR_CLASS_BLANK:
        br_regex_set_add(arena, set, '\t', '\t');
        br_regex_set_add(arena, set, ' ', ' ');
        break;
    case BR_CLASS_CNTRL:
        br_regex_set_add(arena, set, 0, 0x1f);
        br_regex_set_add(arena, set, 0x7f, 0x9f);
        break;
    case BR_CLASS_DIGIT:
        br_regex_set_add(arena, set, '0', '9');
        break;
    case BR_CLASS_XDIGIT:
        br_regex_set_add(arena, set, '0', '9');
        br_regex_set_add(arena, set, 'A', 'F');
        br_regex_set_add(arena, set, 'a', 'f');
        break;
    case BR_CLASS_SPACE:
        add_ranges(arena, set, SPACES, SPACE_COUNT);
        break;
    case BR_CLASS_LOWER:
        br_regex_set_add(arena, set, 'a', 'z');
        add_stepped(arena, set, br_lowercase_ranges, br_lowercase_range_count);
        break;
    case BR_CLASS_UPPER:
        br_regex_set_add(arena, set, 'A', 'Z');
        add_stepped(arena, set, br_uppercase_ranges, br_uppercase_range_count);
        break;
    case BR_CLASS_PRINT:
        br_regex_set_add(arena, set, 0x20, 0x7e);
        add_ranges(arena, set, br_printable_ranges, br_printable_range_count);
        break;
    case BR_CLASS_GRAPH:
        add_printable_but(arena, set, NOT_PUNCTUATION, 1);
        break;
    case BR_CLASS_PUNCT:
        add_printable_but(arena, set, NOT_PUNCTUATION, 2);
        break;
    }
}
