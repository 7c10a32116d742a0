// SPDX-License-Identifier: Apache-2.0
// Compiling a pattern: parse, plan, and the tables that automata are built from.
#include "processor/expr/regex_internal.h"

// --- edges by node
static void index_edges(struct br_arena *arena, const struct br_regex_planned *planned, int direction,
                        struct br_regex_edges *ret) {
    uint32_t nodes = planned->node_count, edges = planned->step_count + planned->hop_count;
    ret->step_begin = br_arena_array(arena, uint32_t, nodes + 2);
    ret->hop_begin = br_arena_array(arena, uint32_t, nodes + 2);
    ret->steps = br_arena_array(arena, struct br_regex_step, planned->step_count + 1);
    ret->hops = br_arena_array(arena, struct br_regex_hop, planned->hop_count + 1);
    ret->has_steps = br_arena_array(arena, uint64_t, (nodes + 63) / 64);
    // Counting sort: counts at n + 2, then begins at n + 1, which filling moves to the ends, the begins of n + 1.
    for (uint32_t e = 0; e < edges; e++) {
        const struct br_regex_edge *edge = &planned->edges[e];
        uint32_t node = direction == BR_FORWARD ? edge->from : edge->to;
        uint32_t *begin = edge->takes_character ? ret->step_begin : ret->hop_begin;
        begin[node + 2]++;
        if (edge->takes_character)
            ret->has_steps[node / 64] |= UINT64_C(1) << (node % 64);
    }
    for (uint32_t n = 2; n <= nodes + 1; n++) {
        ret->step_begin[n] += ret->step_begin[n - 1];
        ret->hop_begin[n] += ret->hop_begin[n - 1];
    }
    for (uint32_t e = 0; e < edges; e++) {
        const struct br_regex_edge *edge = &planned->edges[e];
        uint16_t node = direction == BR_FORWARD ? edge->from : edge->to;
        uint16_t other = direction == BR_FORWARD ? edge->to : edge->from;
        if (edge->takes_character)
            ret->steps[ret->step_begin[node + 1]++] = (struct br_regex_step){other, edge->set_or_assertion};
        else
            ret->hops[ret->hop_begin[node + 1]++] = (struct br_regex_hop){other, edge->set_or_assertion};
    }
}

// --- what can be reached
static struct br_regex_reach new_reach(struct br_arena *temporary, const struct br_regex *regex) {
    return (struct br_regex_reach){.regex = regex,
                                   .seen = br_arena_array(temporary, uint64_t, regex->node_words),
                                   .before = br_arena_array(temporary, uint64_t, regex->node_words),
                                   .stack = br_arena_array(temporary, uint16_t, regex->node_count)};
}

bool br_regex_reach_has(const struct br_regex_reach *reach, uint32_t node) {
    return (reach->seen[node / 64] >> (node % 64) & 1) != 0;
}

static void reach_node(struct br_regex_reach *reach, uint16_t node) {
    if (br_regex_reach_has(reach, node))
        return;
    reach->seen[node / 64] |= UINT64_C(1) << (node % 64);
    reach->stack[reach->depth++] = node;
}

static void reach_by_hops(struct br_regex_reach *reach, uint32_t contexts) {
    const struct br_regex_edges *edges = &reach->regex->edges[BR_FORWARD];
    while (reach->depth > 0) {
        uint16_t node = reach->stack[--reach->depth];
        for (uint32_t h = edges->hop_begin[node]; h < edges->hop_begin[node + 1]; h++)
            if ((reach->regex->assertion_truth[edges->hops[h].assertion] & contexts) != 0)
                reach_node(reach, edges->hops[h].to);
    }
}

void br_regex_reach_begin(struct br_regex_reach *reach, uint16_t node, uint32_t contexts) {
    memset(reach->seen, 0, reach->regex->node_words * sizeof *reach->seen);
    reach_node(reach, node);
    reach_by_hops(reach, contexts);
}

void br_regex_reach_step(struct br_regex_reach *reach, uint32_t contexts) {
    const struct br_regex_edges *edges = &reach->regex->edges[BR_FORWARD];
    uint64_t *before = reach->seen;
    reach->seen = reach->before;
    reach->before = before;
    memset(reach->seen, 0, reach->regex->node_words * sizeof *reach->seen);
    for (uint32_t w = 0; w < reach->regex->node_words; w++)
        for (uint64_t bits = before[w] & edges->has_steps[w]; bits != 0; bits &= bits - 1) {
            uint32_t node = w * 64 + (uint32_t)__builtin_ctzll(bits);
            for (uint32_t s = edges->step_begin[node]; s < edges->step_begin[node + 1]; s++)
                reach_node(reach, edges->steps[s].to);
        }
    reach_by_hops(reach, contexts);
}

// --- where a match can begin
static void find_first(struct br_arena *temporary, const struct br_regex_parsed *parsed, struct br_regex *regex) {
    const struct br_regex_edges *edges = &regex->edges[BR_FORWARD];
    struct br_regex_reach reach = new_reach(temporary, regex);
    br_regex_make_skip(regex, parsed->sets, &reach, &regex->skip);
    if (regex->kind_count == 1)
        return;
    // Contexts within the text: any kind but the edge before the place.
    uint32_t within = (1u << (regex->kind_count * regex->kind_count)) - 1;
    for (uint32_t after = 0; after < regex->kind_count; after++)
        within &= ~(1u << (regex->edge_kind * regex->kind_count + after));
    br_regex_reach_begin(&reach, regex->start, within);
    regex->only_at_begin = !br_regex_reach_has(&reach, regex->final);
    for (uint32_t w = 0; w < regex->node_words; w++)
        regex->only_at_begin &= (reach.seen[w] & edges->has_steps[w]) == 0;
}

// --- all of it
// What keeping a tree works with.
struct keeper {
    struct br_arena *arena;
    const struct br_regex *regex;
    struct br_regex_reach within, after;
    uint64_t *held, *begins; // colours
};

static void forget(struct keeper *keeper) {
    memset(keeper->within.seen, 0, keeper->regex->node_words * sizeof *keeper->within.seen);
    memset(keeper->after.seen, 0, keeper->regex->node_words * sizeof *keeper->after.seen);
    memset(keeper->held, 0, keeper->regex->colour_words * sizeof *keeper->held);
    memset(keeper->begins, 0, keeper->regex->colour_words * sizeof *keeper->begins);
}

static void add_colours(const struct br_regex *regex, uint32_t set, uint64_t *colours) {
    for (uint32_t w = 0; w < regex->colour_words; w++)
        colours[w] |= regex->set_colours[(size_t)set * regex->colour_words + w];
}

// The colours of all steps that are reached before `end`; whole: the steps are followed too.
static void gather(const struct br_regex *regex, struct br_regex_reach *reach, uint16_t begin, uint16_t end, bool whole,
                   uint64_t *colours) {
    const struct br_regex_edges *edges = &regex->edges[BR_FORWARD];
    for (reach_node(reach, begin); reach->depth > 0;) {
        uint16_t node = reach->stack[--reach->depth];
        if (node == end)
            continue;
        for (uint32_t h = edges->hop_begin[node]; h < edges->hop_begin[node + 1]; h++)
            reach_node(reach, edges->hops[h].to);
        for (uint32_t s = edges->step_begin[node]; s < edges->step_begin[node + 1]; s++) {
            add_colours(regex, edges->steps[s].set, colours);
            if (whole)
                reach_node(reach, edges->steps[s].to);
        }
    }
}

// M5 of regex_match.c: fills in the stops of a chain's part, if what follows it begins with nothing that it can hold.
static void find_stops(struct keeper *keeper, struct br_regex_tree *part, uint16_t chain_end) {
    const struct br_regex *regex = keeper->regex;
    forget(keeper);
    gather(regex, &keeper->within, part->begin, part->end, true, keeper->held);
    gather(regex, &keeper->after, part->end, chain_end, false, keeper->begins);
    for (uint32_t w = 0; w < regex->colour_words; w++)
        if ((keeper->held[w] & keeper->begins[w]) != 0)
            return;
    part->stop_colours = br_arena_array(keeper->arena, uint64_t, regex->colour_words);
    memcpy(part->stop_colours, keeper->begins, regex->colour_words * sizeof *part->stop_colours);
    for (uint32_t c = 0; c < 128; c++)
        if ((keeper->begins[regex->ascii[c] / 64] >> (regex->ascii[c] % 64) & 1) != 0)
            part->stop_ascii[c / 64] |= UINT64_C(1) << (c % 64);
}

static struct br_regex_tree *keep_tree(struct keeper *keeper, const struct br_regex_tree *tree) {
    struct br_regex_tree *copy = br_arena_new(keeper->arena, struct br_regex_tree);
    *copy = *tree;
    copy->parts = br_arena_array(keeper->arena, struct br_regex_tree *, tree->part_count + 1);
    for (uint32_t p = 0; p < tree->part_count; p++) {
        copy->parts[p] = keep_tree(keeper, tree->parts[p]);
        if (tree->kind == BR_TREE_CHAIN && p + 1 < tree->part_count)
            find_stops(keeper, copy->parts[p], tree->end);
    }
    return copy;
}

static void keep_automata(struct br_arena *arena, const struct br_regex_planned *planned, struct br_regex *regex) {
    regex->automaton_count = planned->automaton_count;
    regex->automata = br_arena_array(arena, struct br_regex_automaton_plan, planned->automaton_count);
    memcpy(regex->automata, planned->automata, planned->automaton_count * sizeof *regex->automata);
    for (uint32_t a = 0; a < planned->automaton_count; a++) {
        struct br_regex_automaton_plan *automaton = &regex->automata[a];
        struct br_regex_mark *marks = br_arena_array(arena, struct br_regex_mark, automaton->mark_count + 1);
        memcpy(marks, automaton->marks, automaton->mark_count * sizeof *marks);
        automaton->marks = marks;
    }
}

static const struct br_regex *compile(struct br_arena *arena, struct br_arena *temporary, struct br_slice pattern,
                                      unsigned flags, struct br_regex_fault *ret_fault) {
    struct br_regex_parsed parsed;
    struct br_regex_planned planned;
    struct br_regex *regex = br_arena_new(arena, struct br_regex);
    if (!br_regex_parse(temporary, pattern, flags, &parsed, ret_fault))
        return NULL;
    if (!br_regex_plan(temporary, &parsed, &planned)) {
        *ret_fault = (struct br_regex_fault){
            "regular expression is too complex",
            "with its bounds written out (a{2,3} is aaa?) a pattern may have about 4,000 characters and operators"};
        return NULL;
    }
    regex->node_count = planned.node_count;
    regex->node_words = (planned.node_count + 63) / 64;
    regex->start = planned.start;
    regex->final = planned.final;
    regex->group_count = parsed.group_count;
    regex->prefers_shortest = (parsed.root->preference & BR_PREFERS_SHORTER) != 0;
    regex->step_cost = 16 + planned.node_count;
    if (!br_regex_colour(arena, temporary, &parsed, regex)) {
        *ret_fault =
            (struct br_regex_fault){"regular expression is too complex", "it tells too many sets of characters apart"};
        return NULL;
    }
    index_edges(arena, &planned, BR_FORWARD, &regex->edges[BR_FORWARD]);
    index_edges(arena, &planned, BR_BACKWARD, &regex->edges[BR_BACKWARD]);
    find_first(temporary, &parsed, regex);
    struct keeper keeper = {.arena = arena,
                            .regex = regex,
                            .within = new_reach(temporary, regex),
                            .after = new_reach(temporary, regex),
                            .held = br_arena_array(temporary, uint64_t, regex->colour_words),
                            .begins = br_arena_array(temporary, uint64_t, regex->colour_words)};
    regex->tree = keep_tree(&keeper, planned.tree);
    keep_automata(arena, &planned, regex);
    br_regex_compare_before(temporary, &parsed, regex);
    return regex;
}

const struct br_regex *br_regex_compile(struct br_arena *arena, struct br_slice pattern, unsigned flags,
                                        struct br_regex_fault *ret_fault) {
    struct br_arena *temporary = br_arena_create();
    const struct br_regex *regex = compile(arena, temporary, pattern, flags, ret_fault);
    br_arena_destroy(&temporary);
    return regex;
}

uint32_t br_regex_group_count(const struct br_regex *regex) {
    return regex->group_count;
}

bool br_regex_matches_as_before(const struct br_regex *regex) {
    return regex->matches_as_before;
}

bool br_regex_finds_as_before(const struct br_regex *regex) {
    return regex->finds_as_before;
}
