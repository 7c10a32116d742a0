// SPDX-License-Identifier: Apache-2.0
// Deterministic automata, built state by state as texts need them.
//
// A state is the set of nodes that can be reached at a place of the text, with the kinds of the characters before and
// after it taken into account; of these nodes only those are kept from which a character leads on, and the value that
// the marks give (regex_internal.h). A1. When the matcher's automata have grown to its bound, the others are freed, and
// if that isn't enough this one is emptied: what they say doesn't change, only how fast. So a row number is good until
// the next state is made. A2. Nothing here counts steps: what is built already must not decide what a text costs.
#include "processor/expr/regex_internal.h"

#include "base/status.h"

#define STATES_MIN 16 // that an automaton may have, however large they are

static size_t size_of(const struct br_regex_automaton *automaton) {
    return automaton->room * sizeof *automaton->table + automaton->pool_room * sizeof *automaton->pool +
           automaton->slot_count * sizeof *automaton->slots;
}

void br_regex_automaton_free(struct br_regex_automaton *automaton) {
    free(automaton->table);
    free(automaton->pool);
    free(automaton->slots);
    *automaton = (struct br_regex_automaton){0};
}

void br_regex_automaton_reset(struct br_regex_matcher *matcher, struct br_regex_automaton *automaton) {
    automaton->used = matcher->stride; // row 0 isn't used: 0 is no row in the hash table
    automaton->pool_used = 0;
    automaton->state_count = 0;
    if (automaton->slot_count != 0)
        memset(automaton->slots, 0, automaton->slot_count * sizeof *automaton->slots);
    for (size_t i = 0; i < sizeof automaton->first / sizeof automaton->first[0]; i++)
        automaton->first[i] = BR_ENTRY_UNKNOWN;
}

// --- the set of nodes at a place
struct closure {
    struct br_regex_matcher *matcher;
    const struct br_regex_automaton_plan *plan;
    const struct br_regex_edges *edges;
    uint32_t context, depth;
};

static inline void visit(struct closure *closure, uint16_t node) {
    struct br_regex_matcher *matcher = closure->matcher;
    uint64_t bit = UINT64_C(1) << (node % 64);
    if ((matcher->visited[node / 64] & bit) != 0)
        return;
    matcher->visited[node / 64] |= bit;
    matcher->stack[closure->depth++] = node;
}

static void follow_hops(struct closure *closure) {
    const struct br_regex *regex = closure->matcher->regex;
    const struct br_regex_edges *edges = closure->edges;
    while (closure->depth > 0) {
        uint16_t node = closure->matcher->stack[--closure->depth];
        if (node == closure->plan->limit)
            continue;
        for (uint32_t h = edges->hop_begin[node]; h < edges->hop_begin[node + 1]; h++)
            if ((regex->assertion_truth[edges->hops[h].assertion] >> closure->context & 1) != 0)
                visit(closure, edges->hops[h].to);
    }
}

static uint32_t value_of(const struct closure *closure) {
    const struct br_regex_automaton_plan *plan = closure->plan;
    uint32_t value = 0;
    for (uint32_t m = 0; m < plan->mark_count; m++) {
        uint16_t node = plan->marks[m].node;
        if ((closure->matcher->visited[node / 64] >> (node % 64) & 1) == 0)
            continue;
        if (!plan->largest)
            value |= plan->marks[m].value;
        else if (plan->marks[m].value > value)
            value = plan->marks[m].value;
    }
    return value;
}

// --- states
static uint64_t hash_state(uint32_t value, const uint16_t *nodes, uint32_t count) {
    uint64_t hash = (value + 1) * UINT64_C(0x9e3779b97f4a7c15);
    for (uint32_t i = 0; i < count; i++)
        hash = ((hash << 7 | hash >> 57) ^ nodes[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static bool is_state(const struct br_regex_automaton *automaton, uint32_t row, uint32_t value, const uint16_t *nodes,
                     uint32_t count) {
    const uint32_t *state = automaton->table + row;
    return state[BR_ROW_VALUE] == value && state[BR_ROW_NODES] == count &&
           memcmp(automaton->pool + state[BR_ROW_POOL], nodes, count * sizeof *nodes) == 0;
}

static uint64_t hash_row(const struct br_regex_automaton *automaton, uint32_t row) {
    const uint32_t *state = automaton->table + row;
    return hash_state(state[BR_ROW_VALUE], automaton->pool + state[BR_ROW_POOL], state[BR_ROW_NODES]);
}

static void grow_slots(struct br_regex_matcher *matcher, struct br_regex_automaton *automaton) {
    automaton->slot_count = automaton->slot_count == 0 ? 16 : 2 * automaton->slot_count;
    free(automaton->slots);
    automaton->slots = br_calloc(automaton->slot_count, sizeof *automaton->slots);
    for (size_t row = matcher->stride; row < automaton->used; row += matcher->stride) {
        uint64_t slot = hash_row(automaton, (uint32_t)row) & (automaton->slot_count - 1);
        while (automaton->slots[slot] != 0)
            slot = (slot + 1) & (automaton->slot_count - 1);
        automaton->slots[slot] = (uint32_t)row;
    }
}

// A1. May this automaton grow by so many bytes?
static bool may_grow(struct br_regex_matcher *matcher, struct br_regex_automaton *automaton, size_t size) {
    size_t others = 0;
    for (uint32_t a = 0; a < matcher->regex->automaton_count; a++)
        others += size_of(&matcher->automata[a]);
    if (others + size <= matcher->size_max)
        return true;
    for (uint32_t a = 0; a < matcher->regex->automaton_count; a++)
        if (&matcher->automata[a] != automaton) {
            br_regex_automaton_free(&matcher->automata[a]);
            br_regex_automaton_reset(matcher, &matcher->automata[a]);
        }
    return size_of(automaton) + size <= matcher->size_max || automaton->state_count < STATES_MIN;
}

static bool make_room(struct br_regex_matcher *matcher, struct br_regex_automaton *automaton, uint32_t node_count) {
    size_t used = automaton->used + matcher->stride, pool_used = automaton->pool_used + node_count;
    if (used > automaton->room) {
        size_t room = 2 * automaton->room > used ? 2 * automaton->room : 4 * used;
        if (!may_grow(matcher, automaton, (room - automaton->room) * sizeof *automaton->table))
            return false;
        automaton->room = room;
        automaton->table = br_realloc(automaton->table, room * sizeof *automaton->table);
    }
    if (pool_used > automaton->pool_room || automaton->pool == NULL) {
        size_t room = 2 * automaton->pool_room > pool_used ? 2 * automaton->pool_room : 4 * pool_used + 16;
        if (!may_grow(matcher, automaton, (room - automaton->pool_room) * sizeof *automaton->pool))
            return false;
        automaton->pool_room = room;
        automaton->pool = br_realloc(automaton->pool, room * sizeof *automaton->pool);
    }
    return true;
}

// An automaton that may begin anywhere never ends: what it can begin with depends on the place.
static uint32_t entry_of(const struct closure *closure, uint32_t row, uint32_t value, uint32_t node_count) {
    bool ends = node_count == 0 && !closure->plan->anywhere;
    return row | (value != 0 ? BR_ENTRY_ACCEPTS : 0) | (ends ? BR_ENTRY_ENDS : 0);
}

// The state of what has been visited: found or made.
static uint32_t find_state(struct closure *closure, struct br_regex_automaton *automaton) {
    struct br_regex_matcher *matcher = closure->matcher;
    const struct br_regex *regex = matcher->regex;
    uint32_t value = value_of(closure), count = 0;
    uint16_t limit = closure->plan->limit;
    uint16_t *nodes = matcher->nodes;
    matcher->visited[limit / 64] &= ~(UINT64_C(1) << (limit % 64)); // it isn't left
    for (uint32_t w = 0; w < regex->node_words; w++)
        for (uint64_t bits = matcher->visited[w] & closure->edges->has_steps[w]; bits != 0; bits &= bits - 1)
            nodes[count++] = (uint16_t)(w * 64 + (uint32_t)__builtin_ctzll(bits));
    uint64_t hash = hash_state(value, nodes, count);
    for (uint64_t slot = hash; automaton->slot_count != 0; slot++) {
        uint32_t row = automaton->slots[slot & (automaton->slot_count - 1)];
        if (row == 0)
            break;
        if (is_state(automaton, row, value, nodes, count))
            return entry_of(closure, row, value, count);
    }
    if (!make_room(matcher, automaton, count)) {
        br_regex_automaton_reset(matcher, automaton);
        BR_CHECK(make_room(matcher, automaton, count));
    }
    if (2 * (automaton->state_count + 1) > automaton->slot_count)
        grow_slots(matcher, automaton);
    uint32_t row = (uint32_t)automaton->used;
    uint32_t *state = automaton->table + row;
    state[BR_ROW_VALUE] = value;
    state[BR_ROW_POOL] = (uint32_t)automaton->pool_used;
    state[BR_ROW_NODES] = count;
    memset(state + BR_ROW_HEAD, 0xff, (matcher->stride - BR_ROW_HEAD) * sizeof *state); // BR_ENTRY_UNKNOWN
    memcpy(automaton->pool + automaton->pool_used, nodes, count * sizeof *nodes);
    automaton->used += matcher->stride;
    automaton->pool_used += count;
    automaton->state_count++;
    uint64_t slot = hash & (automaton->slot_count - 1);
    while (automaton->slots[slot] != 0)
        slot = (slot + 1) & (automaton->slot_count - 1);
    automaton->slots[slot] = row;
    return entry_of(closure, row, value, count);
}

static struct closure new_closure(struct br_regex_matcher *matcher, uint32_t index, uint32_t context) {
    const struct br_regex_automaton_plan *plan = &matcher->regex->automata[index];
    memset(matcher->visited, 0, matcher->regex->node_words * sizeof *matcher->visited);
    return (struct closure){
        .matcher = matcher, .plan = plan, .edges = &matcher->regex->edges[plan->direction], .context = context};
}

uint32_t br_regex_automaton_make_first(struct br_regex_matcher *matcher, uint32_t index, uint32_t context) {
    struct br_regex_automaton *automaton = &matcher->automata[index];
    struct closure closure = new_closure(matcher, index, context);
    visit(&closure, closure.plan->start);
    follow_hops(&closure);
    uint32_t entry = find_state(&closure, automaton);
    automaton->first[context] = entry;
    return entry;
}

uint32_t br_regex_automaton_next(struct br_regex_matcher *matcher, uint32_t index, uint32_t row, uint32_t colour,
                                 uint32_t kind) {
    const struct br_regex *regex = matcher->regex;
    struct br_regex_automaton *automaton = &matcher->automata[index];
    bool forward = regex->automata[index].direction == BR_FORWARD;
    uint32_t own = regex->colour_kinds[colour];
    uint32_t context = forward ? own * regex->kind_count + kind : kind * regex->kind_count + own;
    struct closure closure = new_closure(matcher, index, context);
    const uint16_t *nodes = automaton->pool + automaton->table[row + BR_ROW_POOL];
    uint32_t node_count = automaton->table[row + BR_ROW_NODES];
    for (uint32_t n = 0; n < node_count; n++)
        for (uint32_t s = closure.edges->step_begin[nodes[n]]; s < closure.edges->step_begin[nodes[n] + 1]; s++) {
            const struct br_regex_step *step = &closure.edges->steps[s];
            const uint64_t *colours = regex->set_colours + (size_t)step->set * regex->colour_words;
            if ((colours[colour / 64] >> (colour % 64) & 1) != 0)
                visit(&closure, step->to);
        }
    bool idles = closure.depth == 0 && index == BR_AUTOMATON_SEARCH;
    if (closure.plan->anywhere)
        visit(&closure, closure.plan->start);
    follow_hops(&closure);
    uint32_t before = automaton->state_count;
    uint32_t entry = find_state(&closure, automaton) | (idles ? BR_ENTRY_IDLES : 0);
    if (automaton->state_count >= before) // it wasn't emptied: the row is still there
        automaton->table[row + BR_ROW_HEAD + colour * regex->kind_count + kind] = entry;
    return entry;
}
