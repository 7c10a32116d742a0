// SPDX-License-Identifier: Apache-2.0
// What the functions over regular expressions and the engine below them make of patterns and texts, for regex.py.
//
// Reads lines of pattern, text and options (PostgreSQL's letters), each in hex, separated by spaces. Prints one line
// for each: an error's words after "!", or, separated by tabs, whether it matches, how many matches there are, where
// they and their groups are (in characters from 1, the end exclusive, - for a group that took no part), the text with
// every match replaced, with the first one replaced, and the part of substring(x FROM p), the last three in hex. The
// same functions with the pattern from a column must give the same; else the line begins with "!!".
#include "processor/expr/regex.h"
#include "processor/expr/expr.h"

#include <stdio.h>

#define LINE_SIZE_MAX (1 << 20)
#define GROUPS_MAX 64
#define REPLACEMENT "<\\1|\\2|\\3|\\4|\\5|\\6|\\7|\\8|\\9|\\&>"

static struct br_arena *arena;

// --- one value by expressions
static struct br_expr *text_const(struct br_slice text) {
    return br_expr_const(arena, (struct br_value){.type = BR_TEXT, .bytes = text}, -1);
}

static struct br_batch *make_batch(struct br_slice text, struct br_slice pattern) {
    enum br_type types[] = {BR_TEXT, BR_TEXT};
    struct br_slice values[] = {text, pattern};
    struct br_batch *batch = br_batch_create(arena, types, NULL, 2);
    batch->row_count = 1;
    for (int c = 0; c < 2; c++) {
        ((struct br_slice *)batch->columns[c].values)[0] = values[c];
        br_bit_set(batch->columns[c].validity, 0);
    }
    return batch;
}

// The printed value of a function of text, pattern and more (ended by a NULL ptr); "!…" when it fails.
static const char *value_of(const char *name, struct br_slice text, struct br_slice pattern, bool computed,
                            const struct br_slice *more) {
    struct br_expr *arguments[4], *expr;
    uint32_t count = 2;
    struct br_error error;
    arguments[0] = br_expr_column(arena, 0, BR_TEXT, -1);
    arguments[1] = computed ? br_expr_column(arena, 1, BR_TEXT, -1) : text_const(pattern);
    for (; more != NULL && more->ptr != NULL; more++)
        arguments[count++] = text_const(*more);
    if (br_expr_call(arena, name, arguments, count, -1, &expr, &error) != BR_OK) {
        error.message[strcspn(error.message, "\n")] = '\0'; // the hint is ours
        return br_arena_printf(arena, "!%s", error.message);
    }
    struct br_eval eval = {.arena = arena};
    struct br_column column;
    if (br_expr_eval(expr, make_batch(text, pattern), NULL, &eval, &column, &error) != BR_OK)
        abort();
    if (eval.error_count != 0)
        return br_arena_printf(arena, "!%s", eval.errors[0].message);
    struct br_value value = br_column_get(&column, 0);
    if (value.is_null)
        return "-";
    if (value.type == BR_BOOLEAN)
        return value.boolean ? "t" : "f";
    if (value.type == BR_INTEGER)
        return br_arena_printf(arena, "%d", value.integer);
    char *hex = br_arena_alloc(arena, 2 * value.bytes.len + 2);
    hex[0] = '=';
    for (size_t i = 0; i < value.bytes.len; i++)
        snprintf(hex + 1 + 2 * i, 3, "%02x", value.bytes.ptr[i]);
    hex[1 + 2 * value.bytes.len] = '\0';
    return hex;
}

static bool both_ways(const char *name, struct br_slice text, struct br_slice pattern, const struct br_slice *more,
                      const char **ret_value) {
    *ret_value = value_of(name, text, pattern, false, more);
    return strcmp(*ret_value, value_of(name, text, pattern, true, more)) == 0;
}

// --- all matches by the engine
static unsigned flags_of(struct br_slice letters) {
    unsigned flags = 0;
    for (size_t i = 0; i < letters.len; i++)
        switch (letters.ptr[i]) {
        case 'i':
            flags |= BR_REGEX_IGNORE_CASE;
            break;
        case 'x':
            flags |= BR_REGEX_EXPANDED;
            break;
        case 'n':
            flags |= BR_REGEX_LINES_STOP | BR_REGEX_LINES_ANCHOR;
            break;
        case 'p':
            flags |= BR_REGEX_LINES_STOP;
            break;
        case 'w':
            flags |= BR_REGEX_LINES_ANCHOR;
            break;
        default:
            flags |= BR_REGEX_LITERAL;
            break;
        }
    return flags;
}

static size_t place_of(struct br_slice text, size_t at) {
    size_t place = 1;
    for (size_t i = 0; i < at; i++)
        place += (text.ptr[i] & 0xc0) != 0x80;
    return place;
}

static void print_matches(const struct br_regex *regex, struct br_slice text) {
    struct br_regex_matcher *matcher = br_regex_matcher_create(regex, 1 << 20);
    struct br_regex_span spans[1 + GROUPS_MAX];
    uint32_t groups = br_regex_group_count(regex) < GROUPS_MAX ? br_regex_group_count(regex) : GROUPS_MAX;
    br_regex_begin(matcher, text);
    for (size_t from = 0; from <= text.len && br_regex_find(matcher, from, spans, groups) == BR_REGEX_FOUND;) {
        for (uint32_t g = 0; g <= groups; g++)
            if (spans[g].begin == BR_REGEX_NOWHERE)
                printf("%s-", g == 0 ? "" : ",");
            else
                printf("%s%zu:%zu", g == 0 ? "" : ",", place_of(text, spans[g].begin), place_of(text, spans[g].end));
        putchar(' ');
        from = spans[0].end;
        if (spans[0].begin == spans[0].end)
            do
                from++;
            while (from < text.len && (text.ptr[from] & 0xc0) == 0x80);
    }
    br_regex_matcher_destroy(&matcher);
}

// --- lines
static struct br_slice read_hex(char **at) {
    char *begin = *at, *to = begin;
    for (unsigned byte; sscanf(*at, "%2x", &byte) == 1 && (*at)[0] > ' ' && (*at)[1] > ' '; *at += 2)
        *to++ = (char)byte;
    if (**at != '\0')
        (*at)++;
    return br_arena_copy(arena, (struct br_slice){(uint8_t *)begin, (size_t)(to - begin)});
}

static void answer(char *line) {
    struct br_slice pattern = read_hex(&line), text = read_hex(&line), letters = read_hex(&line);
    struct br_slice all = br_slice_of(br_arena_printf(arena, "g%.*s", (int)letters.len, (const char *)letters.ptr));
    const char *like, *count, *every, *first, *part;
    bool same = both_ways("regexp_like", text, pattern, (struct br_slice[]){letters, {NULL, 0}}, &like);
    if (like[0] == '!') {
        printf("%s%s\n", same ? "" : "!", like);
        return;
    }
    same &= both_ways("regexp_count", text, pattern, NULL, &count);
    if (count[0] == '!') { // wrong without the options
        printf("%s%s\n", same ? "" : "!", count);
        return;
    }
    same &= both_ways("regexp_replace", text, pattern, (struct br_slice[]){br_slice_of(REPLACEMENT), all, {NULL, 0}},
                      &every);
    same &= both_ways("regexp_replace", text, pattern,
                      (struct br_slice[]){br_slice_of(REPLACEMENT), letters, {NULL, 0}}, &first);
    same &= both_ways("substring", text, pattern, NULL, &part);
    struct br_regex_fault fault;
    const struct br_regex *regex = br_regex_compile(arena, pattern, flags_of(letters), &fault);
    printf("%s%s\t%s\t", same && regex != NULL ? "" : "!!", like, count);
    if (regex != NULL)
        print_matches(regex, text);
    printf("\t%s\t%s\t%s\n", every, first, part);
}

int main(void) {
    static char line[LINE_SIZE_MAX];
    arena = br_arena_create();
    while (fgets(line, sizeof line, stdin) != NULL) {
        answer(line);
        br_arena_reset(arena);
    }
    br_arena_destroy(&arena);
    return 0;
}
