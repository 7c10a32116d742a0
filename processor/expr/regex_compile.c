// SPDX-License-Identifier: Apache-2.0
// Compiling a pattern: parse, plan, and the tables that automata are built from.
//
// Characters that no set of the pattern tells apart have one colour. Where the pattern asserts something, colours also
// have a kind: what assertions can tell of a character (a letter of a word, a newline), one more for the edges of the
// text. Two kinds, those before and after a place, decide every assertion there.
#include "processor/expr/expr_internal.h"
#include "processor/expr/regex_internal.h"

#define COLOURS_MAX 4096
#define TABLE_BITS_MAX ((size_t)8 << 20) // of sets × colours

// --- colours
// The places where sets begin and end, in ascending order: a heap with the next one of each set.
struct boundary {
    uint32_t code;
    uint32_t set, index; // even: where range index / 2 begins, odd: past its end
};
struct boundaries {
    const struct br_regex_set *sets;
    struct boundary *heap;
    uint32_t count;
};

static void sift_down(struct boundaries *boundaries, uint32_t at) {
    struct boundary moved = boundaries->heap[at];
    for (uint32_t child; (child = 2 * at + 1) < boundaries->count; at = child) {
        if (child + 1 < boundaries->count && boundaries->heap[child + 1].code < boundaries->heap[child].code)
            child++;
        if (boundaries->heap[child].code >= moved.code)
            break;
        boundaries->heap[at] = boundaries->heap[child];
    }
    boundaries->heap[at] = moved;
}

static struct boundaries begin_boundaries(struct br_arena *temporary, const struct br_regex_set *sets,
                                          uint32_t set_count) {
    struct boundaries boundaries = {.sets = sets, .heap = br_arena_array(temporary, struct boundary, set_count + 1)};
    for (uint32_t s = 0; s < set_count; s++)
        if (sets[s].count > 0)
            boundaries.heap[boundaries.count++] = (struct boundary){sets[s].ranges[0].first, s, 0};
    for (uint32_t at = boundaries.count / 2; at-- > 0;)
        sift_down(&boundaries, at);
    return boundaries;
}

// Moves the foremost set to its next boundary.
static void pass_boundary(struct boundaries *boundaries) {
    struct boundary *top = &boundaries->heap[0];
    const struct br_regex_set *set = &boundaries->sets[top->set];
    top->index++;
    if (top->index % 2 != 0)
        top->code = set->ranges[top->index / 2].last + 1;
    else if (top->index / 2 < set->count)
        top->code = set->ranges[top->index / 2].first;
    else
        *top = boundaries->heap[--boundaries->count];
    if (boundaries->count > 0)
        sift_down(boundaries, 0);
}

struct colours {
    struct br_arena *arena; // temporary
    uint64_t **members;     // of each colour: bits of the sets that have it
    uint64_t *hashes;
    uint32_t count, room;
    uint32_t *slots, slot_count; // hash table: colour + 1
    size_t set_words;
};

static uint64_t hash_of_set(uint32_t set) {
    uint64_t hash = (set + 1) * UINT64_C(0x9e3779b97f4a7c15);
    return (hash ^ hash >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
}

static void grow_colours(struct colours *colours) {
    uint32_t room = colours->room == 0 ? 16 : 2 * colours->room;
    uint64_t **members = br_arena_array(colours->arena, uint64_t *, room);
    uint64_t *hashes = br_arena_array(colours->arena, uint64_t, room);
    if (colours->count != 0) {
        memcpy(members, colours->members, colours->count * sizeof *members);
        memcpy(hashes, colours->hashes, colours->count * sizeof *hashes);
    }
    colours->members = members;
    colours->hashes = hashes;
    colours->room = room;
    colours->slot_count = 4 * room;
    colours->slots = br_arena_array(colours->arena, uint32_t, colours->slot_count);
    for (uint32_t c = 0; c < colours->count; c++) {
        uint32_t slot = (uint32_t)hashes[c] & (colours->slot_count - 1);
        while (colours->slots[slot] != 0)
            slot = (slot + 1) & (colours->slot_count - 1);
        colours->slots[slot] = c + 1;
    }
}

// The colour of characters that are in exactly these sets.
static uint32_t colour_of(struct colours *colours, const uint64_t *members, uint64_t hash) {
    if (colours->count == colours->room)
        grow_colours(colours);
    uint32_t slot = (uint32_t)hash & (colours->slot_count - 1);
    for (; colours->slots[slot] != 0; slot = (slot + 1) & (colours->slot_count - 1)) {
        uint32_t colour = colours->slots[slot] - 1;
        if (colours->hashes[colour] == hash &&
            memcmp(colours->members[colour], members, colours->set_words * sizeof *members) == 0)
            return colour;
    }
    colours->slots[slot] = colours->count + 1;
    colours->members[colours->count] = br_arena_array(colours->arena, uint64_t, colours->set_words);
    memcpy(colours->members[colours->count], members, colours->set_words * sizeof *members);
    colours->hashes[colours->count] = hash;
    return colours->count++;
}

static void note_range(struct br_regex *regex, struct br_arena *arena, uint32_t *room, uint32_t first,
                       uint32_t colour) {
    struct br_regex_colour_range *ranges = regex->colour_ranges;
    uint32_t count = regex->colour_range_count;
    if (count > 0 && ranges[count - 1].colour == colour)
        return;
    if (count == *room) {
        *room = *room == 0 ? 16 : 2 * *room;
        ranges = br_arena_array(arena, struct br_regex_colour_range, *room);
        if (count != 0)
            memcpy(ranges, regex->colour_ranges, count * sizeof *ranges);
        regex->colour_ranges = ranges;
    }
    ranges[regex->colour_range_count++] = (struct br_regex_colour_range){first, (uint16_t)colour};
}

static void paint(struct br_regex *regex, struct br_arena *temporary, uint32_t *room, uint32_t first, uint32_t end,
                  uint32_t colour) {
    for (uint32_t code = first; code < end && code < 128; code++)
        regex->ascii[code] = (uint16_t)colour;
    if (end > 128)
        note_range(regex, temporary, room, first > 128 ? first : 128, colour);
}

// Sets and what assertions tell apart, to colours. false: too many.
static bool make_colours(struct br_arena *arena, struct br_arena *temporary, const struct br_regex_set *sets,
                         uint32_t set_count, struct br_regex *regex, struct colours *colours) {
    struct boundaries boundaries = begin_boundaries(temporary, sets, set_count);
    *colours = (struct colours){.arena = temporary, .set_words = (set_count + 63) / 64};
    uint64_t *members = br_arena_array(temporary, uint64_t, colours->set_words + 1), hash = 0;
    uint32_t room = 0, first = 0;
    for (;;) {
        uint32_t end = boundaries.count > 0 ? boundaries.heap[0].code : BR_CODE_POINT_MAX + 1;
        if (end > first)
            paint(regex, temporary, &room, first, end, colour_of(colours, members, hash));
        if (colours->count > COLOURS_MAX || (size_t)colours->count * set_count > TABLE_BITS_MAX)
            return false;
        if (boundaries.count == 0)
            break;
        first = end;
        for (; boundaries.count > 0 && boundaries.heap[0].code == end; pass_boundary(&boundaries)) {
            uint32_t set = boundaries.heap[0].set;
            members[set / 64] ^= UINT64_C(1) << (set % 64);
            hash ^= hash_of_set(set);
        }
    }
    struct br_regex_colour_range *ranges =
        br_arena_array(arena, struct br_regex_colour_range, regex->colour_range_count + 1);
    memcpy(ranges, regex->colour_ranges, regex->colour_range_count * sizeof *ranges);
    regex->colour_ranges = ranges;
    regex->colour_count = colours->count;
    regex->colour_words = (colours->count + 63) / 64;
    return true;
}

static void fill_set_colours(struct br_arena *arena, const struct colours *colours, uint32_t set_count,
                             struct br_regex *regex) {
    regex->set_colours = br_arena_array(arena, uint64_t, (size_t)set_count * regex->colour_words + 1);
    for (uint32_t c = 0; c < colours->count; c++)
        for (uint32_t s = 0; s < set_count; s++)
            if ((colours->members[c][s / 64] >> (s % 64) & 1) != 0)
                regex->set_colours[(size_t)s * regex->colour_words + c / 64] |= UINT64_C(1) << (c % 64);
}

// --- kinds and assertions
#define BIT(assertion) (1u << (assertion))
#define LINES (BIT(BR_ASSERT_LINE_BEGIN) | BIT(BR_ASSERT_LINE_END))
#define WORDS                                                                                                          \
    (BIT(BR_ASSERT_WORD_BEGIN) | BIT(BR_ASSERT_WORD_END) | BIT(BR_ASSERT_WORD_EDGE) | BIT(BR_ASSERT_NO_WORD_EDGE))

struct kinds { // numbers; NO_KIND where the pattern doesn't tell them apart from others
    uint8_t edge, newline, word;
};
#define NO_KIND 0xff

static bool holds(enum br_regex_assertion assertion, const struct kinds *kinds, uint32_t before, uint32_t after) {
    bool word_before = before == kinds->word, word_after = after == kinds->word;
    switch (assertion) {
    case BR_ASSERT_BEGIN:
        return before == kinds->edge;
    case BR_ASSERT_END:
        return after == kinds->edge;
    case BR_ASSERT_LINE_BEGIN:
        return before == kinds->edge || before == kinds->newline;
    case BR_ASSERT_LINE_END:
        return after == kinds->edge || after == kinds->newline;
    case BR_ASSERT_WORD_BEGIN:
        return !word_before && word_after;
    case BR_ASSERT_WORD_END:
        return word_before && !word_after;
    case BR_ASSERT_WORD_EDGE:
        return word_before != word_after;
    case BR_ASSERT_NO_WORD_EDGE:
        return word_before == word_after;
    default:
        return true;
    }
}

static struct kinds make_kinds(unsigned assertions, struct br_regex *regex) {
    uint8_t count = 1; // 0: any other character
    struct kinds kinds = {NO_KIND, NO_KIND, NO_KIND};
    if (assertions != 0)
        kinds.edge = count++;
    if ((assertions & LINES) != 0)
        kinds.newline = count++;
    if ((assertions & WORDS) != 0)
        kinds.word = count++;
    regex->kind_count = count;
    regex->edge_kind = assertions != 0 ? kinds.edge : 0;
    for (int a = 0; a < BR_ASSERTION_COUNT; a++)
        for (uint32_t before = 0; before < count; before++)
            for (uint32_t after = 0; after < count; after++)
                if (holds((enum br_regex_assertion)a, &kinds, before, after))
                    regex->assertion_truth[a] |= (uint16_t)(1u << (before * count + after));
    return kinds;
}

static bool has_set(const struct colours *colours, uint32_t colour, uint32_t set) {
    return (colours->members[colour][set / 64] >> (set % 64) & 1) != 0;
}

// Colours and kinds of the pattern's sets and, after them, of the word characters and of the newline.
static bool colour_characters(struct br_arena *arena, struct br_arena *temporary, const struct br_regex_parsed *parsed,
                              struct br_regex *regex) {
    struct kinds kinds = make_kinds(parsed->assertions, regex);
    uint32_t count = parsed->set_count, word = 0, newline = 0;
    struct br_regex_set *sets = br_arena_array(temporary, struct br_regex_set, count + 2);
    if (count != 0)
        memcpy(sets, parsed->sets, count * sizeof *sets);
    if (kinds.word != NO_KIND) {
        word = count++;
        br_regex_set_add_class(temporary, &sets[word], BR_CLASS_WORD);
        br_regex_set_close(&sets[word]);
    }
    if (kinds.newline != NO_KIND) {
        newline = count++;
        br_regex_set_add(temporary, &sets[newline], '\n', '\n');
    }
    struct colours colours;
    if (!make_colours(arena, temporary, sets, count, regex, &colours))
        return false;
    fill_set_colours(arena, &colours, parsed->set_count, regex);
    regex->colour_kinds = br_arena_calloc(arena, colours.count + 1, 1);
    for (uint32_t c = 0; c < colours.count; c++) {
        if (kinds.word != NO_KIND && has_set(&colours, c, word))
            regex->colour_kinds[c] = kinds.word;
        if (kinds.newline != NO_KIND && has_set(&colours, c, newline))
            regex->colour_kinds[c] = kinds.newline;
    }
    return true;
}

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

// --- where a match can begin
struct reach {
    const struct br_regex *regex;
    uint64_t *seen;
    uint16_t *stack;
    uint32_t depth;
};

static void reach_node(struct reach *reach, uint16_t node) {
    if ((reach->seen[node / 64] >> (node % 64) & 1) != 0)
        return;
    reach->seen[node / 64] |= UINT64_C(1) << (node % 64);
    reach->stack[reach->depth++] = node;
}

// The nodes that a match can be at before its first character, if assertions hold that `truth` (contexts) allows.
static void reach_from_start(struct reach *reach, uint32_t contexts) {
    const struct br_regex_edges *edges = &reach->regex->edges[BR_FORWARD];
    reach_node(reach, reach->regex->start);
    while (reach->depth > 0) {
        uint16_t node = reach->stack[--reach->depth];
        for (uint32_t h = edges->hop_begin[node]; h < edges->hop_begin[node + 1]; h++)
            if ((reach->regex->assertion_truth[edges->hops[h].assertion] & contexts) != 0)
                reach_node(reach, edges->hops[h].to);
    }
}

static struct reach new_reach(struct br_arena *temporary, const struct br_regex *regex) {
    return (struct reach){.regex = regex,
                          .seen = br_arena_array(temporary, uint64_t, regex->node_words),
                          .stack = br_arena_array(temporary, uint16_t, regex->node_count)};
}

static void find_first(struct br_arena *temporary, const struct br_regex_parsed *parsed, struct br_regex *regex) {
    const struct br_regex_edges *edges = &regex->edges[BR_FORWARD];
    struct reach anywhere = new_reach(temporary, regex), within = new_reach(temporary, regex);
    uint32_t all = (1u << (regex->kind_count * regex->kind_count)) - 1;
    reach_from_start(&anywhere, all);
    br_regex_make_skip(regex, parsed->sets, anywhere.seen, &regex->skip);
    // Contexts within the text: any kind but the edge before the place.
    if (regex->kind_count == 1)
        return;
    for (uint32_t after = 0; after < regex->kind_count; after++)
        all &= ~(1u << (regex->edge_kind * regex->kind_count + after));
    reach_from_start(&within, all);
    regex->only_at_begin = true;
    for (uint32_t w = 0; w < regex->node_words; w++)
        regex->only_at_begin &= (within.seen[w] & edges->has_steps[w]) == 0;
    regex->only_at_begin &= (within.seen[regex->final / 64] >> (regex->final % 64) & 1) == 0;
}

// --- all of it
// M5 of regex_match.c: fills in the stops of a chain's part, if what follows it begins with nothing that it can hold.
static void find_stops(struct br_arena *arena, struct br_arena *temporary, const struct br_regex *regex,
                       struct br_regex_tree *part, uint16_t chain_end) {
    const struct br_regex_edges *edges = &regex->edges[BR_FORWARD];
    uint64_t *held = br_arena_array(temporary, uint64_t, regex->colour_words);
    uint64_t *begins = br_arena_array(arena, uint64_t, regex->colour_words);
    struct reach within = new_reach(temporary, regex), after = new_reach(temporary, regex);
    for (reach_node(&within, part->begin); within.depth > 0;) {
        uint16_t node = within.stack[--within.depth];
        if (node == part->end)
            continue;
        for (uint32_t h = edges->hop_begin[node]; h < edges->hop_begin[node + 1]; h++)
            reach_node(&within, edges->hops[h].to);
        for (uint32_t s = edges->step_begin[node]; s < edges->step_begin[node + 1]; s++) {
            reach_node(&within, edges->steps[s].to);
            for (uint32_t w = 0; w < regex->colour_words; w++)
                held[w] |= regex->set_colours[(size_t)edges->steps[s].set * regex->colour_words + w];
        }
    }
    for (reach_node(&after, part->end); after.depth > 0;) {
        uint16_t node = after.stack[--after.depth];
        if (node == chain_end)
            continue;
        for (uint32_t h = edges->hop_begin[node]; h < edges->hop_begin[node + 1]; h++)
            reach_node(&after, edges->hops[h].to);
        for (uint32_t s = edges->step_begin[node]; s < edges->step_begin[node + 1]; s++)
            for (uint32_t w = 0; w < regex->colour_words; w++)
                begins[w] |= regex->set_colours[(size_t)edges->steps[s].set * regex->colour_words + w];
    }
    for (uint32_t w = 0; w < regex->colour_words; w++)
        if ((held[w] & begins[w]) != 0)
            return;
    part->stop_colours = begins;
    for (uint32_t c = 0; c < 128; c++)
        if ((begins[regex->ascii[c] / 64] >> (regex->ascii[c] % 64) & 1) != 0)
            part->stop_ascii[c / 64] |= UINT64_C(1) << (c % 64);
}

static struct br_regex_tree *keep_tree(struct br_arena *arena, struct br_arena *temporary, const struct br_regex *regex,
                                       const struct br_regex_tree *tree) {
    struct br_regex_tree *copy = br_arena_new(arena, struct br_regex_tree);
    *copy = *tree;
    copy->parts = br_arena_array(arena, struct br_regex_tree *, tree->part_count + 1);
    for (uint32_t p = 0; p < tree->part_count; p++) {
        copy->parts[p] = keep_tree(arena, temporary, regex, tree->parts[p]);
        if (tree->kind == BR_TREE_CHAIN && p + 1 < tree->part_count)
            find_stops(arena, temporary, regex, copy->parts[p], tree->end);
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
    if (!colour_characters(arena, temporary, &parsed, regex)) {
        *ret_fault =
            (struct br_regex_fault){"regular expression is too complex", "it tells too many sets of characters apart"};
        return NULL;
    }
    index_edges(arena, &planned, BR_FORWARD, &regex->edges[BR_FORWARD]);
    index_edges(arena, &planned, BR_BACKWARD, &regex->edges[BR_BACKWARD]);
    find_first(temporary, &parsed, regex);
    regex->tree = keep_tree(arena, temporary, regex, planned.tree);
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
