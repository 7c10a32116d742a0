// SPDX-License-Identifier: Apache-2.0
// Passes over a text: one automaton, forward or backward, from one place to another.
//
// At each place the state knows the character before and the one after it, as far as assertions tell them apart; so a
// step looks at the character that it takes and at the kind of the one beyond it. The functions are made several times
// over, so that patterns without assertions don't pay for that, nor those that only ask for the text's edges.
#include "processor/expr/expr_internal.h"
#include "processor/expr/regex_internal.h"

#include "base/status.h"

struct br_regex_matcher *br_regex_matcher_create(const struct br_regex *regex, size_t size_max) {
    struct br_regex_matcher *matcher = br_calloc(1, sizeof *matcher);
    matcher->regex = regex;
    matcher->size_max = size_max;
    matcher->automata = br_calloc(regex->automaton_count, sizeof *matcher->automata);
    matcher->stride = BR_ROW_HEAD + regex->colour_count * regex->kind_count;
    matcher->stride = (matcher->stride + BR_ROW_ALIGNMENT - 1) / BR_ROW_ALIGNMENT * BR_ROW_ALIGNMENT;
    for (uint32_t a = 0; a < regex->automaton_count; a++)
        br_regex_automaton_reset(matcher, &matcher->automata[a]);
    for (uint32_t c = 0; c < 128; c++) {
        matcher->ascii_symbols[c] = BR_ROW_HEAD + regex->ascii[c] * regex->kind_count;
        matcher->ascii_kinds[c] = regex->colour_kinds[regex->ascii[c]];
    }
    matcher->visited = br_calloc(regex->node_words, sizeof *matcher->visited);
    matcher->stack = br_calloc(regex->node_count, sizeof *matcher->stack);
    matcher->nodes = br_calloc(regex->node_count, sizeof *matcher->nodes);
    return matcher;
}

void br_regex_matcher_destroy(struct br_regex_matcher **matcher) {
    if (*matcher == NULL)
        return;
    for (uint32_t a = 0; a < (*matcher)->regex->automaton_count; a++)
        br_regex_automaton_free(&(*matcher)->automata[a]);
    free((*matcher)->automata);
    free((*matcher)->visited);
    free((*matcher)->stack);
    free((*matcher)->nodes);
    free((*matcher)->starts);
    free((*matcher)->values);
    free(*matcher);
    *matcher = NULL;
}

// --- characters
uint32_t br_regex_find_colour(struct br_regex_matcher *matcher, uint32_t code) {
    const struct br_regex_colour_range *ranges = matcher->regex->colour_ranges;
    uint32_t low = 0, high = matcher->regex->colour_range_count; // the last that begins at the code or before
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (ranges[middle].first <= code)
            low = middle;
        else
            high = middle;
    }
    matcher->colour_cache[code % BR_COLOUR_CACHE_SIZE].code = code;
    matcher->colour_cache[code % BR_COLOUR_CACHE_SIZE].colour = ranges[low].colour;
    return ranges[low].colour;
}

static uint32_t kind_after(struct br_regex_matcher *matcher, size_t at) {
    struct br_slice text = matcher->text;
    if (at == text.len)
        return matcher->regex->edge_kind;
    if (text.ptr[at] < 0x80)
        return matcher->ascii_kinds[text.ptr[at]];
    return matcher->regex->colour_kinds[br_regex_wide_colour(matcher, br_char_decode(text.ptr + at))];
}

static uint32_t kind_before(struct br_regex_matcher *matcher, size_t at) {
    struct br_slice text = matcher->text;
    if (at == 0)
        return matcher->regex->edge_kind;
    if (text.ptr[at - 1] < 0x80)
        return matcher->ascii_kinds[text.ptr[at - 1]];
    return matcher->regex
        ->colour_kinds[br_regex_wide_colour(matcher, br_char_decode(text.ptr + br_regex_before(text, at)))];
}

static uint32_t context_at(struct br_regex_matcher *matcher, size_t at) {
    if (matcher->regex->kind_count == 1)
        return 0;
    return kind_before(matcher, at) * matcher->regex->kind_count + kind_after(matcher, at);
}

// How much of the character beyond decides the next state.
enum beyond { BEYOND_NOTHING, BEYOND_EDGE, BEYOND_KIND };
static enum beyond beyond_of(const struct br_regex *regex) {
    return regex->kind_count == 1 ? BEYOND_NOTHING : regex->kind_count == 2 ? BEYOND_EDGE : BEYOND_KIND;
}

// --- forward
// Which places with a value count: all; all, and what can't begin a match is passed over; those where a bit of `values`
// is set too; those where `values` is large enough.
enum counts { COUNTS_ALL, COUNTS_ANY, COUNTS_BIT, COUNTS_LEAST };

// The next state by the character at *at, which is passed.
static inline __attribute__((always_inline)) uint32_t step_forward(struct br_regex_matcher *matcher, uint32_t index,
                                                                   uint32_t row, enum beyond beyond, size_t *at) {
    const uint8_t *text = matcher->text.ptr;
    uint32_t kinds = matcher->regex->kind_count, symbol, kind = 0;
    if (text[*at] < 0x80) {
        symbol = matcher->ascii_symbols[text[*at]];
        *at += 1;
    } else {
        symbol = BR_ROW_HEAD + br_regex_wide_colour(matcher, br_char_decode(text + *at)) * kinds;
        *at += br_char_size(text[*at]);
    }
    if (beyond == BEYOND_EDGE)
        kind = *at == matcher->text.len;
    else if (beyond == BEYOND_KIND)
        kind = kind_after(matcher, *at);
    uint32_t entry = matcher->automata[index].table[row + symbol + kind];
    if (entry == BR_ENTRY_UNKNOWN)
        entry = br_regex_automaton_next(matcher, index, row, (symbol - BR_ROW_HEAD) / kinds, kind);
    return entry;
}

// Forward from pass->from; gives the first or the last place that counts, not past pass->to, and how far it went (with
// COUNTS_ANY: the last place before which nothing had begun).
static inline __attribute__((always_inline)) size_t run_forward(struct br_regex_matcher *matcher,
                                                                const struct br_regex_pass *pass, bool first,
                                                                enum counts counts, enum beyond beyond,
                                                                size_t *ret_went) {
    const struct br_regex *regex = matcher->regex;
    const struct br_regex_automaton *automaton = &matcher->automata[pass->automaton];
    const uint8_t *text = matcher->text.ptr;
    const uint32_t *symbols = matcher->ascii_symbols;
    size_t at = pass->from, found = BR_REGEX_NOWHERE, idle = at;
    // Up to here the character beyond is none of the edge.
    size_t plain_end = beyond == BEYOND_NOTHING || pass->to < matcher->text.len ? pass->to : pass->to - (pass->to > at);
    uint32_t entry = br_regex_automaton_first(matcher, pass->automaton, context_at(matcher, at));
    for (;;) {
        if ((entry & BR_ENTRY_FLAGS) != 0) {
            bool accepts = (entry & BR_ENTRY_ACCEPTS) != 0;
            if (counts == COUNTS_BIT)
                accepts = accepts && (pass->values[at - pass->values_from] & pass->wanted) != 0;
            if (counts == COUNTS_LEAST)
                accepts = accepts && at != pass->from && pass->values[at - pass->values_from] >= pass->wanted;
            if (accepts) {
                found = at;
                if (first)
                    break;
            }
            if ((entry & BR_ENTRY_ENDS) != 0)
                break;
            if (counts == COUNTS_ANY && (entry & BR_ENTRY_IDLES) != 0) {
                size_t next = at;
                if (at < pass->to && !regex->skip.first[text[at]])
                    next = br_regex_skip(&regex->skip, matcher->text, at);
                idle = next;
                if (next == BR_REGEX_NOWHERE)
                    break;
                if (next != at) {
                    at = next;
                    entry = br_regex_automaton_first(matcher, pass->automaton, context_at(matcher, at));
                    continue;
                }
            }
            entry &= ~BR_ENTRY_FLAGS;
        }
        if (beyond != BEYOND_KIND) {
            const uint32_t *table = automaton->table;
            uint32_t next = 0;
            while (at < plain_end && text[at] < 0x80) {
                next = table[entry + symbols[text[at]]];
                if ((next & BR_ENTRY_FLAGS) != 0)
                    break;
                entry = next;
                at++;
            }
            if ((next & BR_ENTRY_FLAGS) != 0 && next != BR_ENTRY_UNKNOWN) {
                entry = next;
                at++;
                continue;
            }
        }
        if (at == pass->to)
            break;
        entry = step_forward(matcher, pass->automaton, entry, beyond, &at);
    }
    *ret_went = counts == COUNTS_ANY ? idle : at;
    return found;
}

#define EACH_BEYOND(run)                                                                                               \
    switch (beyond_of(matcher->regex)) {                                                                               \
    case BEYOND_NOTHING:                                                                                               \
        run(BEYOND_NOTHING);                                                                                           \
    case BEYOND_EDGE:                                                                                                  \
        run(BEYOND_EDGE);                                                                                              \
    default:                                                                                                           \
        run(BEYOND_KIND);                                                                                              \
    }

size_t br_regex_first_place(struct br_regex_matcher *matcher, const struct br_regex_pass *pass, size_t *ret_went){
#define RUN(beyond) return run_forward(matcher, pass, true, COUNTS_ALL, beyond, ret_went)
    EACH_BEYOND(RUN)
#undef RUN
}

size_t br_regex_any_place(struct br_regex_matcher *matcher, const struct br_regex_pass *pass, size_t *ret_begin){
#define RUN(beyond) return run_forward(matcher, pass, true, COUNTS_ANY, beyond, ret_begin)
    EACH_BEYOND(RUN)
#undef RUN
}

size_t br_regex_last_place(struct br_regex_matcher *matcher, const struct br_regex_pass *pass, size_t *ret_went){
#define RUN(beyond) return run_forward(matcher, pass, false, COUNTS_ALL, beyond, ret_went)
    EACH_BEYOND(RUN)
#undef RUN
}

size_t br_regex_place_with_bit(struct br_regex_matcher *matcher, const struct br_regex_pass *pass, bool first,
                               size_t *ret_went){
#define RUN(beyond) return run_forward(matcher, pass, first, COUNTS_BIT, beyond, ret_went)
    EACH_BEYOND(RUN)
#undef RUN
}

size_t br_regex_place_with_least(struct br_regex_matcher *matcher, const struct br_regex_pass *pass, bool first,
                                 size_t *ret_went) {
#define RUN(beyond) return run_forward(matcher, pass, first, COUNTS_LEAST, beyond, ret_went)
    EACH_BEYOND(RUN)
#undef RUN
}

// --- backward
// From `from` back to `to`. Notes the value at each place in `values` (from `to` on) or a bit where it isn't 0 in
// `starts` (of the text), if given; gives the value at `to`.
static inline __attribute__((always_inline)) uint32_t back(struct br_regex_matcher *matcher, uint32_t index,
                                                           size_t from, size_t to, uint32_t *values, uint64_t *starts,
                                                           enum beyond beyond) {
    const struct br_regex *regex = matcher->regex;
    const struct br_regex_automaton *automaton = &matcher->automata[index];
    const uint8_t *text = matcher->text.ptr;
    size_t at = from;
    uint32_t entry = br_regex_automaton_first(matcher, index, context_at(matcher, at));
    for (;;) {
        uint32_t row = entry & ~BR_ENTRY_FLAGS, symbol, kind = 0;
        if (values != NULL)
            values[at - to] = automaton->table[row + BR_ROW_VALUE];
        if (starts != NULL && (entry & BR_ENTRY_ACCEPTS) != 0)
            starts[at / 64] |= UINT64_C(1) << (at % 64);
        if (at == to)
            return automaton->table[row + BR_ROW_VALUE];
        at--;
        if (text[at] < 0x80) {
            symbol = matcher->ascii_symbols[text[at]];
        } else {
            while ((text[at] & 0xc0) == 0x80)
                at--;
            symbol = BR_ROW_HEAD + br_regex_wide_colour(matcher, br_char_decode(text + at)) * regex->kind_count;
        }
        if (beyond == BEYOND_EDGE)
            kind = at == 0;
        else if (beyond == BEYOND_KIND)
            kind = kind_before(matcher, at);
        entry = automaton->table[row + symbol + kind];
        if (entry == BR_ENTRY_UNKNOWN)
            entry = br_regex_automaton_next(matcher, index, row, (symbol - BR_ROW_HEAD) / regex->kind_count, kind);
    }
}

uint32_t br_regex_note_values(struct br_regex_matcher *matcher, uint32_t index, size_t from, size_t to,
                              uint32_t *values){
#define RUN(beyond) return back(matcher, index, from, to, values, NULL, beyond)
    EACH_BEYOND(RUN)
#undef RUN
}

uint32_t br_regex_value_before(struct br_regex_matcher *matcher, uint32_t index, size_t from, size_t to){
#define RUN(beyond) return back(matcher, index, from, to, NULL, NULL, beyond)
    EACH_BEYOND(RUN)
#undef RUN
}

uint32_t br_regex_note_starts(struct br_regex_matcher *matcher, size_t from, size_t to, uint64_t *starts) {
#define RUN(beyond) return back(matcher, BR_AUTOMATON_STARTS, from, to, NULL, starts, beyond)
    EACH_BEYOND(RUN)
#undef RUN
}
