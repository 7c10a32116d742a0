// SPDX-License-Identifier: Apache-2.0
// The regular expression engine where it can't be seen in SQL: steps, memory, threads. What patterns match is in
// expressions.txt and, at random, in tests/sql/regex.py.
#include "processor/expr/expr.h"
#include "processor/expr/regex_internal.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct br_arena *arena;
static void begin(void) {
    arena = br_arena_create();
}
static void end(void) {
    br_arena_destroy(&arena);
}
TestSuite(regex, .init = begin, .fini = end);

static const struct br_regex *compile(const char *pattern) {
    struct br_regex_fault fault;
    const struct br_regex *regex = br_regex_compile(arena, br_slice_of(pattern), 0, &fault);
    cr_assert_not_null(regex, "%s: %s", pattern, fault.reason);
    return regex;
}

// A text of `len` letters a and b, in no order.
static struct br_slice mixed_text(size_t len) {
    uint8_t *text = br_arena_alloc(arena, len);
    uint32_t state = 1;
    for (size_t i = 0; i < len; i++) {
        state = state * 1664525 + 1013904223;
        text[i] = state >> 24 & 1 ? 'a' : 'b';
    }
    return (struct br_slice){text, len};
}

Test(regex, a_match_and_its_groups_take_a_few_passes_of_the_text) {
    static const char *const PATTERNS[] = {
        "(a*)*c",
        "((a|b)*)*c?",
        "(a|b)*(a|c)*(a|d)*b|c$",
        "(a|ab)(c|bcd)*(b|ab)*$",
        "(.*)(.*)(.*)b.*",
        "^(([ab])+.)+[A-Z]([ab])+$",
        "(a?){30}a{30}",
        "(x+x+)+y|(b*b*)*c",
        "((((a*)*)*)*)*b",
        "a.*b.*a.*b.*c",
    };
    struct br_slice text = mixed_text(20000);
    for (size_t p = 0; p < sizeof PATTERNS / sizeof PATTERNS[0]; p++) {
        const struct br_regex *regex = compile(PATTERNS[p]);
        struct br_regex_matcher *matcher = br_regex_matcher_create(regex, 1 << 20);
        struct br_regex_span spans[10];
        br_regex_begin(matcher, text);
        cr_expect_neq(br_regex_find(matcher, 0, spans, 9), BR_REGEX_TOO_MANY_STEPS, "%s", PATTERNS[p]);
        cr_expect_leq(matcher->steps, 16 * (uint64_t)text.len * regex->step_cost, "%s took %lu passes", PATTERNS[p],
                      (unsigned long)(matcher->steps / regex->step_cost / text.len));
        br_regex_matcher_destroy(&matcher);
    }
}

static size_t size_of_automata(const struct br_regex_matcher *matcher) {
    size_t size = 0;
    for (uint32_t a = 0; a < matcher->regex->automaton_count; a++)
        size += matcher->automata[a].room * sizeof(uint32_t) + matcher->automata[a].pool_room * sizeof(uint16_t) +
                matcher->automata[a].slot_count * sizeof(uint32_t);
    return size;
}

Test(regex, what_is_built_of_automata_stays_within_its_bound) {
    const struct br_regex *regex = compile("((a|b)*)a((a|b){40})([ab]{10})c|(a|b)*b(a|b){60}");
    struct br_slice text = mixed_text(30000);
    struct br_regex_span ample_spans[6], scant_spans[6];
    struct br_regex_matcher *ample = br_regex_matcher_create(regex, (size_t)64 << 20);
    struct br_regex_matcher *scant = br_regex_matcher_create(regex, (size_t)256 << 10);
    br_regex_begin(ample, text);
    br_regex_begin(scant, text);
    cr_expect_eq(br_regex_matches(ample), br_regex_matches(scant));
    cr_assert_eq(br_regex_find(ample, 0, ample_spans, 5), br_regex_find(scant, 0, scant_spans, 5));
    cr_expect_eq(memcmp(ample_spans, scant_spans, sizeof ample_spans), 0);
    cr_expect_eq(ample->steps, scant->steps);
    cr_expect_gt(size_of_automata(ample), (size_t)1 << 20);
    cr_expect_leq(size_of_automata(scant), (size_t)300 << 10);
    br_regex_matcher_destroy(&ample);
    br_regex_matcher_destroy(&scant);
}

Test(regex, classes_hold_what_glibc_says_of_unicode_15) {
    // Counted over all code points by PostgreSQL 15 in a database with the locale C.UTF-8 (cntrl, ascii with chr(0)).
    static const uint32_t COUNTS[BR_CLASS_COUNT] = {134056, 134046, 128,    2,  65,   10,     282149,
                                                    2475,   282163, 148093, 21, 1982, 134057, 22};
    for (int c = 0; c < BR_CLASS_COUNT; c++) {
        struct br_regex_set set = {0};
        uint32_t count = 0;
        br_regex_set_add_class(arena, &set, (enum br_regex_class)c);
        br_regex_set_close(&set);
        for (uint32_t r = 0; r < set.count; r++)
            count += set.ranges[r].last - set.ranges[r].first + 1;
        cr_expect_eq(count, COUNTS[c], "[[:%s:]] has %u characters, not %u", br_regex_class_names[c], count, COUNTS[c]);
    }
}

// --- one expression, two threads
struct evaluation {
    const struct br_expr *expr;
    struct br_batch *batch;
    bool wrong;
};

static void *evaluate_often(void *ptr) {
    struct evaluation *evaluation = ptr;
    struct br_arena *own = br_arena_create();
    for (int i = 0; i < 300 && !evaluation->wrong; i++) {
        struct br_eval eval = {.arena = own};
        struct br_column column;
        if (br_expr_eval(evaluation->expr, evaluation->batch, NULL, &eval, &column, NULL) != BR_OK)
            abort();
        for (uint32_t r = 0; r < evaluation->batch->row_count; r++) {
            struct br_slice got = ((struct br_slice *)column.values)[r];
            evaluation->wrong |= !br_slice_is(got, r % 2 == 0 ? "b-a" : "none");
        }
        br_arena_reset(own);
    }
    br_arena_destroy(&own);
    return NULL;
}

Test(regex, two_threads_may_evaluate_an_expression_at_once) {
    for (int computed = 0; computed < 2; computed++) {
        enum br_type types[] = {BR_TEXT, BR_TEXT};
        struct br_batch *batch = br_batch_create(arena, types, NULL, 2);
        batch->row_count = 64;
        for (uint32_t r = 0; r < 64; r++)
            for (int c = 0; c < 2; c++) {
                const char *pattern = r % 2 == 0 ? "^(a+?)-(b+)$" : "(b|bb)+(-)$";
                const char *text = r % 2 == 0 ? "a-b" : "none";
                ((struct br_slice *)batch->columns[c].values)[r] = br_slice_of(c == 0 ? text : pattern);
                br_bit_set(batch->columns[c].validity, r);
            }
        struct br_value pattern = {.type = BR_TEXT, .bytes = br_slice_of("^(a+?)-(b+)$")};
        struct br_value with = {.type = BR_TEXT, .bytes = br_slice_of("\\2-\\1")};
        struct br_expr *arguments[] = {br_expr_column(arena, 0, BR_TEXT, -1),
                                       computed ? br_expr_column(arena, 1, BR_TEXT, -1)
                                                : br_expr_const(arena, pattern, -1),
                                       br_expr_const(arena, with, -1)},
                       *expr;
        cr_assert_eq(br_expr_call(arena, "regexp_replace", arguments, 3, -1, &expr, NULL), BR_OK);
        struct evaluation here = {expr, batch, false}, there = here;
        pthread_t thread;
        cr_assert_eq(pthread_create(&thread, NULL, evaluate_often, &there), 0);
        evaluate_often(&here);
        pthread_join(thread, NULL);
        cr_expect_not(here.wrong || there.wrong);
    }
}
