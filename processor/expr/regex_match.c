// SPDX-License-Identifier: Apache-2.0
// Searching a text, and cutting a match into its groups.
//
// M1. Does the text match: one pass. M2. The leftmost match: the first place where one could begin is tried; then one
// pass says whether there is any, and before which place none begins; from there on every place is tried. When such
// tries have cost as much as the rest of the text is long, one pass from the text's end back finds all places where a
// match begins, for this search and the text's later ones. M3. Groups: each part of the tree is cut by a pass from the
// end of its own text back and one forward from its begin (regex_plan.c, P3 to P5). M4. Steps are bytes passed times
// the size of the pattern. They are counted alike whatever has been built already. M5. Where a part and what follows it
// have no character in common, there is nothing to choose and no pass is needed.
#include "processor/expr/expr_internal.h"
#include "processor/expr/regex_internal.h"

#include "base/status.h"

#define STEPS_MAX (UINT64_C(1) << 29)
#define PASSES_MAX 4 // of the text, that are always allowed
#define TRIES_MIN 64 // bytes
#define VALUES_KEPT_MAX ((size_t)64 << 10)

void br_regex_begin(struct br_regex_matcher *matcher, struct br_slice text) {
    if (text.ptr == NULL)
        text = (struct br_slice){(const uint8_t *)"", 0};
    matcher->text = text;
    matcher->steps = 0;
    matcher->steps_max = STEPS_MAX + PASSES_MAX * (uint64_t)matcher->regex->step_cost * text.len;
    matcher->has_starts = false;
    if (matcher->values_room > VALUES_KEPT_MAX) {
        free(matcher->values);
        matcher->values = NULL;
        matcher->values_room = 0;
    }
}

static bool take_steps(struct br_regex_matcher *matcher, size_t bytes) {
    matcher->steps += (uint64_t)bytes * matcher->regex->step_cost;
    return matcher->steps <= matcher->steps_max;
}

// --- searching
// The first place from `at` on where a match could begin, or NOWHERE.
static size_t candidate(const struct br_regex_matcher *matcher, size_t at) {
    const struct br_regex *regex = matcher->regex;
    struct br_slice text = matcher->text;
    if (matcher->has_starts) {
        for (size_t w = at / 64; w <= text.len / 64; w++) {
            uint64_t bits = matcher->starts[w];
            if (w == at / 64)
                bits &= UINT64_MAX << (at % 64);
            if (bits != 0)
                return w * 64 + (size_t)__builtin_ctzll(bits);
        }
        return BR_REGEX_NOWHERE;
    }
    if (regex->only_at_begin)
        return at == 0 ? 0 : BR_REGEX_NOWHERE;
    return br_regex_skip(&regex->skip, text, at);
}

static size_t find_any(struct br_regex_matcher *matcher, size_t from, size_t *ret_begin) {
    size_t begin = candidate(matcher, from);
    struct br_regex_pass pass = {.automaton = BR_AUTOMATON_SEARCH, .from = begin, .to = matcher->text.len};
    if (matcher->regex->only_at_begin)
        pass.automaton = BR_AUTOMATON_MATCH;
    return begin == BR_REGEX_NOWHERE ? BR_REGEX_NOWHERE : br_regex_any_place(matcher, &pass, ret_begin);
}

enum br_regex_found br_regex_matches(struct br_regex_matcher *matcher) {
    size_t begin;
    return find_any(matcher, 0, &begin) == BR_REGEX_NOWHERE ? BR_REGEX_NOT_FOUND : BR_REGEX_FOUND;
}

// M2. All places from `from` on where a match begins.
static void find_starts(struct br_regex_matcher *matcher, size_t from) {
    size_t words = matcher->text.len / 64 + 1;
    if (words > matcher->starts_room) {
        matcher->starts_room = 2 * words;
        free(matcher->starts);
        matcher->starts = br_alloc(matcher->starts_room * sizeof *matcher->starts);
    }
    memset(matcher->starts, 0, words * sizeof *matcher->starts);
    br_regex_note_starts(matcher, matcher->text.len, from, matcher->starts);
    matcher->has_starts = true;
}

static enum br_regex_found find_match(struct br_regex_matcher *matcher, size_t from, struct br_regex_span *ret) {
    struct br_slice text = matcher->text;
    size_t tried = 0, went, end;
    bool looked_ahead = matcher->has_starts;
    for (size_t at = candidate(matcher, from); at != BR_REGEX_NOWHERE; at = candidate(matcher, at)) {
        struct br_regex_pass pass = {.automaton = BR_AUTOMATON_MATCH, .from = at, .to = text.len};
        if (matcher->regex->prefers_shortest)
            end = br_regex_first_place(matcher, &pass, &went);
        else
            end = br_regex_last_place(matcher, &pass, &went);
        if (!take_steps(matcher, went - at))
            return BR_REGEX_TOO_MANY_STEPS;
        if (end != BR_REGEX_NOWHERE) {
            *ret = (struct br_regex_span){at, end};
            return BR_REGEX_FOUND;
        }
        tried += went - at;
        if (at == text.len)
            return BR_REGEX_NOT_FOUND;
        at += br_char_size(text.ptr[at]);
        if (!looked_ahead) {
            looked_ahead = true;
            end = find_any(matcher, at, &went);
            if (!take_steps(matcher, (end == BR_REGEX_NOWHERE ? text.len : end) - at))
                return BR_REGEX_TOO_MANY_STEPS;
            if (end == BR_REGEX_NOWHERE)
                return BR_REGEX_NOT_FOUND;
            at = went;
        } else if (!matcher->has_starts && tried > TRIES_MIN && tried > text.len - at) {
            find_starts(matcher, at);
            if (!take_steps(matcher, text.len - at))
                return BR_REGEX_TOO_MANY_STEPS;
        }
    }
    return BR_REGEX_NOT_FOUND;
}

// --- groups
static bool cut(struct br_regex_matcher *matcher, const struct br_regex_tree *tree, struct br_regex_span span,
                struct br_regex_span *spans, uint32_t count);

static uint32_t *reserve_values(struct br_regex_matcher *matcher, size_t count) {
    if (count > matcher->values_room) {
        matcher->values_room = count < VALUES_KEPT_MAX / 2 ? 2 * count : count;
        free(matcher->values);
        matcher->values = br_alloc(matcher->values_room * sizeof *matcher->values);
    }
    return matcher->values;
}

static bool has_wanted(const struct br_regex_tree *tree, uint32_t count) {
    return tree->first <= tree->last && tree->first <= count;
}

static size_t skip_characters(struct br_slice text, size_t at, uint32_t count) {
    for (; count > 0; count--)
        at += br_char_size(text.ptr[at]);
    return at;
}

static inline bool stops(struct br_regex_matcher *matcher, const struct br_regex_tree *part, const uint8_t *at) {
    if (*at < 0x80)
        return (part->stop_ascii[*at / 64] >> (*at % 64) & 1) != 0;
    uint32_t colour = br_regex_wide_colour(matcher, br_char_decode(at));
    return (part->stop_colours[colour / 64] >> (colour % 64) & 1) != 0;
}

// M5. A part that can't hold what its rest begins with ends where that stands.
static size_t find_stop(struct br_regex_matcher *matcher, const struct br_regex_tree *part, size_t at, size_t end) {
    const uint8_t *text = matcher->text.ptr;
    while (at < end && !stops(matcher, part, text + at))
        at += br_char_size(text[at]);
    return at;
}

static size_t skip_back(struct br_slice text, size_t at, uint32_t count) {
    for (; count > 0; count--)
        at = br_regex_before(text, at);
    return at;
}

// Where each part ends, up to `last`. false: too many steps.
static bool cut_chain(struct br_regex_matcher *matcher, const struct br_regex_tree *tree, struct br_regex_span span,
                      uint32_t last, size_t *ret_ends) {
    size_t at = span.begin, went;
    struct br_regex_pass pass = {.values = NULL};
    for (uint32_t p = 0; p <= last; p++) {
        const struct br_regex_tree *part = tree->parts[p];
        if (p + 1 == tree->part_count) {
            at = span.end;
        } else if (part->len_min == part->len_max) {
            at = skip_characters(matcher->text, at, part->len_min);
        } else if (part->rest_len != UINT32_MAX) {
            at = skip_back(matcher->text, span.end, part->rest_len);
        } else if (part->stop_colours != NULL) {
            at = find_stop(matcher, part, at, span.end);
        } else {
            if (pass.values == NULL) {
                uint32_t *values = reserve_values(matcher, span.end - at + 1);
                br_regex_note_values(matcher, tree->backward, span.end, at, values);
                if (!take_steps(matcher, span.end - at))
                    return false;
                pass.values = values;
                pass.values_from = at;
            }
            pass.automaton = part->forward;
            pass.from = at;
            pass.to = span.end;
            pass.wanted = 1u << p;
            size_t end = br_regex_place_with_bit(matcher, &pass, part->shortest, &went);
            BR_CHECK(end != BR_REGEX_NOWHERE);
            if (!take_steps(matcher, went - at))
                return false;
            at = end;
        }
        ret_ends[p] = at;
    }
    return true;
}

static bool cut_parts(struct br_regex_matcher *matcher, const struct br_regex_tree *tree, struct br_regex_span span,
                      struct br_regex_span *spans, uint32_t count) {
    size_t ends[BR_REGEX_CHAIN_MAX];
    uint32_t last = tree->part_count - 1;
    while (!has_wanted(tree->parts[last], count))
        last--;
    if (!cut_chain(matcher, tree, span, last, ends))
        return false;
    for (uint32_t p = 0; p <= last; p++) {
        struct br_regex_span part = {p == 0 ? span.begin : ends[p - 1], ends[p]};
        if (!cut(matcher, tree->parts[p], part, spans, count))
            return false;
    }
    return true;
}

static bool cut_alternatives(struct br_regex_matcher *matcher, const struct br_regex_tree *tree,
                             struct br_regex_span span, struct br_regex_span *spans, uint32_t count) {
    uint32_t value = br_regex_value_before(matcher, tree->backward, span.end, span.begin);
    BR_CHECK(value > 0 && value <= tree->part_count);
    return take_steps(matcher, span.end - span.begin) &&
           cut(matcher, tree->parts[tree->part_count - value], span, spans, count);
}

// The last pass of a loop counts. Passes aren't empty, but for the only one over an empty text: it is made if the body
// prefers to be longer.
static bool cut_loop(struct br_regex_matcher *matcher, const struct br_regex_tree *tree, struct br_regex_span span,
                     struct br_regex_span *spans, uint32_t count) {
    const struct br_regex_tree *body = tree->parts[0];
    struct br_regex_pass pass = {
        .automaton = body->forward, .from = span.begin, .to = span.end, .values_from = span.begin, .wanted = 1};
    if (span.begin == span.end) {
        size_t went;
        if (body->shortest || br_regex_last_place(matcher, &pass, &went) == BR_REGEX_NOWHERE)
            return true;
    } else if (tree->times > 1) {
        uint32_t *values = reserve_values(matcher, span.end - span.begin + 1);
        br_regex_note_values(matcher, tree->backward, span.end, span.begin, values);
        if (!take_steps(matcher, span.end - span.begin))
            return false;
        pass.values = values;
        for (;;) {
            size_t went, end = br_regex_place_with_least(matcher, &pass, body->shortest, &went);
            BR_CHECK(end != BR_REGEX_NOWHERE);
            if (!take_steps(matcher, went - pass.from))
                return false;
            if (end == span.end)
                break;
            pass.from = end;
            if (tree->times != BR_REGEX_REPEAT_INFINITE)
                pass.wanted++;
        }
    }
    return cut(matcher, body, (struct br_regex_span){pass.from, span.end}, spans, count);
}

static bool cut(struct br_regex_matcher *matcher, const struct br_regex_tree *tree, struct br_regex_span span,
                struct br_regex_span *spans, uint32_t count) {
    if (!has_wanted(tree, count))
        return true;
    switch (tree->kind) {
    case BR_TREE_GROUP:
        spans[tree->group] = span;
        return cut(matcher, tree->parts[0], span, spans, count);
    case BR_TREE_CHAIN:
        return cut_parts(matcher, tree, span, spans, count);
    case BR_TREE_ALTERNATIVES:
        return cut_alternatives(matcher, tree, span, spans, count);
    case BR_TREE_LOOP:
        return cut_loop(matcher, tree, span, spans, count);
    default:
        return true;
    }
}

enum br_regex_found br_regex_find(struct br_regex_matcher *matcher, size_t from, struct br_regex_span *spans,
                                  uint32_t group_count) {
    enum br_regex_found found = find_match(matcher, from, &spans[0]);
    if (found != BR_REGEX_FOUND)
        return found;
    if (group_count > matcher->regex->group_count)
        group_count = matcher->regex->group_count;
    for (uint32_t g = 1; g <= group_count; g++)
        spans[g] = (struct br_regex_span){BR_REGEX_NOWHERE, BR_REGEX_NOWHERE};
    return cut(matcher, matcher->regex->tree, spans[0], spans, group_count) ? BR_REGEX_FOUND : BR_REGEX_TOO_MANY_STEPS;
}
