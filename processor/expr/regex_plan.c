// SPDX-License-Identifier: Apache-2.0
// From a parsed pattern to a nondeterministic automaton and to the tree by which a match is cut into groups.
//
// The automaton is Thompson's: nodes, edges that take a character of a set, edges that take none and may assert
// something about the place. Bounds are written out as copies. P1. Every fragment has one node where it begins and one
// where it ends; nothing in it leads back to its begin or onward from its end, so that a fragment can be run by itself:
// forward by never leaving its end, backward by never leaving its begin.
//
// Which parts a match is cut into decides where groups begin and end, so the tree is the one that PostgreSQL's rules
// make. A branch is read from left to right. P2. Items without groups and of one preference stay together; the first
// that has groups, or whose preference clashes with theirs, is a part of its own, and what follows it begins anew. P3.
// A chain is cut where its first part ends last (or first, if it prefers so) among the places where both it and the
// rest match; then the rest likewise. P4. x{m,n} with groups in it is x{m-1,n-1} without them, then x; without an m, a
// loop whose last pass counts. P5. Of alternatives the first that matches is taken. Parts without groups aren't cut
// further.
#include "processor/expr/regex_internal.h"

#define EMITTED_MAX (1u << 18)
#define PREFERENCE (BR_PREFERS_LONGER | BR_PREFERS_SHORTER)

struct planner {
    struct br_arena *arena;
    struct br_regex_planned *out;
    uint32_t edge_count, edge_room;
    uint32_t emitted; // atoms: empty ones make no nodes
    bool too_large;
};

// --- preferences
static unsigned only_up(unsigned flags) { // what of a part's flags is its whole's
    bool mixed = (flags & PREFERENCE) == PREFERENCE;
    return (flags & ~(unsigned)PREFERENCE) | (mixed ? BR_PREFERS_MIXED : 0);
}

static unsigned combine(unsigned first, unsigned second) { // the first that has a preference decides
    unsigned decides = (first & PREFERENCE) != 0 ? first : second;
    return only_up(first | second) | (decides & PREFERENCE);
}

static bool is_apart(unsigned flags) {
    return (flags & (BR_PREFERS_MIXED | BR_HAS_GROUPS)) != 0;
}

static unsigned preference_of_atom(const struct br_regex_item *item) {
    return item->kind == BR_ITEM_GROUP ? item->group->preference : 0;
}

static bool is_nothing(const struct br_regex_item *item) {
    return item->kind == BR_ITEM_ASSERTION || item->max == 0;
}

// Does the item, after others of preference `before`, begin a part of its own?
static bool begins_part(const struct br_regex_item *item, unsigned before) {
    return is_apart(only_up(before | item->preference | preference_of_atom(item)));
}

// Has its quantifier no say?
static bool is_single(const struct br_regex_item *item) {
    unsigned own = preference_of_atom(item) & (PREFERENCE | BR_PREFERS_MIXED);
    return item->min == 1 && item->max == 1 && (item->preference == 0 || own == 0 || item->preference == own);
}

static unsigned preference_of_item(const struct br_regex_item *item) {
    unsigned own = preference_of_atom(item);
    return is_single(item) ? own : combine(item->preference, own);
}

// A part of a branch: items without structure, or one with. The parts' preferences are put together from the right.
struct part {
    uint32_t first, count; // items
    bool apart;            // the last of them is a part of its own, those before it another (if there are any)
    unsigned before;       // the preference of those before it
};

static struct part next_part(const struct br_regex_branch *branch, uint32_t from) {
    struct part part = {.first = from};
    for (uint32_t i = from; i < branch->count; i++) {
        const struct br_regex_item *item = &branch->items[i];
        part.count++;
        if (is_nothing(item))
            continue;
        if (begins_part(item, part.before)) {
            part.apart = true;
            break;
        }
        part.before |= item->preference | preference_of_atom(item);
    }
    return part;
}

static unsigned preference_of_branch(struct planner *planner, const struct br_regex_branch *branch) {
    uint32_t count = 0;
    struct part *parts = br_arena_array(planner->arena, struct part, branch->count + 1);
    for (uint32_t from = 0; from < branch->count; count++) {
        parts[count] = next_part(branch, from);
        from += parts[count].count;
    }
    unsigned rest = 0;
    for (uint32_t p = count; p-- > 0;) {
        const struct part *part = &parts[p];
        unsigned all = part->before;
        if (part->apart) {
            const struct br_regex_item *item = &branch->items[part->first + part->count - 1];
            unsigned own = preference_of_item(item);
            if (p + 1 < count) {
                own = combine(item->preference, preference_of_atom(item));
                own |= combine(own, rest);
            }
            all = p + 1 == count && part->count == 1 ? own : all | combine(all, own);
        }
        rest = all;
    }
    return rest;
}

static uint32_t add_len(uint32_t a, uint32_t b) {
    uint32_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT32_MAX : sum;
}

static uint32_t multiply_len(uint32_t len, uint32_t times) {
    uint32_t product;
    if (len == 0)
        return 0;
    return times == BR_REGEX_REPEAT_INFINITE || __builtin_mul_overflow(len, times, &product) ? UINT32_MAX : product;
}

static void measure_items(const struct br_regex_item *items, uint32_t count, uint32_t *ret_min, uint32_t *ret_max) {
    uint32_t min = 0, max = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct br_regex_item *item = &items[i];
        if (item->kind == BR_ITEM_ASSERTION)
            continue;
        uint32_t one_min = item->kind == BR_ITEM_SET ? 1 : item->group->len_min;
        uint32_t one_max = item->kind == BR_ITEM_SET ? 1 : item->group->len_max;
        min = add_len(min, multiply_len(one_min, item->min));
        max = add_len(max, multiply_len(one_max, item->max));
    }
    *ret_min = min;
    *ret_max = max;
}

// Fills in preferences and lengths, inner groups first.
static void analyse_group(struct planner *planner, struct br_regex_group *group) {
    group->len_min = UINT32_MAX;
    group->preference = group->count > 1 ? BR_PREFERS_LONGER : 0;
    for (uint32_t b = 0; b < group->count; b++) {
        struct br_regex_branch *branch = &group->branches[b];
        uint32_t min, max;
        for (uint32_t i = 0; i < branch->count; i++)
            if (branch->items[i].kind == BR_ITEM_GROUP)
                analyse_group(planner, branch->items[i].group);
        unsigned preference = preference_of_branch(planner, branch);
        if (group->count == 1)
            group->preference = preference;
        else
            group->preference |= only_up(group->preference | preference);
        measure_items(branch->items, branch->count, &min, &max);
        group->len_min = min < group->len_min ? min : group->len_min;
        group->len_max = max > group->len_max ? max : group->len_max;
    }
    if (group->number != 0)
        group->preference |= BR_HAS_GROUPS;
}

// --- nodes and edges
static uint16_t new_node(struct planner *planner) {
    if (planner->out->node_count == BR_REGEX_NODES_MAX) {
        planner->too_large = true;
        return 0;
    }
    return (uint16_t)planner->out->node_count++;
}

static void add_edge(struct planner *planner, uint16_t from, uint16_t to, bool takes_character, uint32_t what) {
    struct br_regex_planned *out = planner->out;
    if (planner->too_large)
        return;
    if (planner->edge_count == planner->edge_room) {
        planner->edge_room = planner->edge_room == 0 ? 64 : 2 * planner->edge_room;
        struct br_regex_edge *edges = br_arena_array(planner->arena, struct br_regex_edge, planner->edge_room);
        if (planner->edge_count != 0)
            memcpy(edges, out->edges, planner->edge_count * sizeof *edges);
        out->edges = edges;
    }
    out->edges[planner->edge_count++] = (struct br_regex_edge){from, to, (uint16_t)what, takes_character};
    if (takes_character)
        out->step_count++;
    else
        out->hop_count++;
}

static void add_hop(struct planner *planner, uint16_t from, uint16_t to) {
    add_edge(planner, from, to, false, BR_ASSERT_NONE);
}

static uint16_t node_after_hop(struct planner *planner, uint16_t from) {
    uint16_t to = new_node(planner);
    add_hop(planner, from, to);
    return to;
}

// --- fragments without structure; each gives where it ends
static uint16_t emit_items(struct planner *planner, const struct br_regex_item *items, uint32_t count, uint16_t from);

static uint16_t emit_group(struct planner *planner, const struct br_regex_group *group, uint16_t from) {
    if (group->count == 1)
        return emit_items(planner, group->branches[0].items, group->branches[0].count, from);
    uint16_t to = new_node(planner);
    for (uint32_t b = 0; b < group->count; b++)
        add_hop(planner, emit_items(planner, group->branches[b].items, group->branches[b].count, from), to);
    return to;
}

static uint16_t emit_atom(struct planner *planner, const struct br_regex_item *item, uint16_t from) {
    planner->too_large |= ++planner->emitted > EMITTED_MAX;
    if (item->kind == BR_ITEM_GROUP)
        return emit_group(planner, item->group, from);
    uint16_t to = new_node(planner);
    if (item->kind == BR_ITEM_SET)
        add_edge(planner, from, to, true, item->set);
    else
        add_edge(planner, from, to, false, item->assertion);
    return to;
}

static uint16_t emit_times(struct planner *planner, const struct br_regex_item *item, uint32_t min, uint32_t max,
                           uint16_t from) {
    uint16_t at = from;
    for (uint32_t i = 0; i < min && !planner->too_large; i++)
        at = emit_atom(planner, item, at);
    if (max == BR_REGEX_REPEAT_INFINITE) {
        uint16_t again = node_after_hop(planner, at);
        add_hop(planner, emit_atom(planner, item, again), again);
        return node_after_hop(planner, again);
    }
    if (max <= min)
        return at;
    uint16_t to = new_node(planner);
    for (uint32_t i = min; i < max && !planner->too_large; i++) {
        add_hop(planner, at, to);
        at = emit_atom(planner, item, at);
    }
    add_hop(planner, at, to);
    return to;
}

static uint16_t emit_items(struct planner *planner, const struct br_regex_item *items, uint32_t count, uint16_t from) {
    for (uint32_t i = 0; i < count && !planner->too_large; i++)
        from = emit_times(planner, &items[i], items[i].min, items[i].max, from);
    return from;
}

// --- automata to be
static uint32_t add_automaton(struct planner *planner, const struct br_regex_automaton_plan *automaton) {
    struct br_regex_planned *out = planner->out;
    if (out->automaton_count == out->automaton_room) {
        out->automaton_room = out->automaton_room == 0 ? 8 : 2 * out->automaton_room;
        struct br_regex_automaton_plan *automata =
            br_arena_array(planner->arena, struct br_regex_automaton_plan, out->automaton_room);
        if (out->automaton_count != 0)
            memcpy(automata, out->automata, out->automaton_count * sizeof *automata);
        out->automata = automata;
    }
    out->automata[out->automaton_count] = *automaton;
    return out->automaton_count++;
}

static struct br_regex_mark *new_marks(struct planner *planner, uint32_t count) {
    return br_arena_array(planner->arena, struct br_regex_mark, count);
}

// From the begin of the tree to its ends.
static void add_forward(struct planner *planner, struct br_regex_tree *tree) {
    struct br_regex_mark *marks = new_marks(planner, 1);
    marks[0] = (struct br_regex_mark){tree->end, 1};
    tree->forward = add_automaton(
        planner,
        &(struct br_regex_automaton_plan){
            .direction = BR_FORWARD, .start = tree->begin, .limit = tree->end, .marks = marks, .mark_count = 1});
}

// From the end of the tree back to marks.
static void add_backward(struct planner *planner, struct br_regex_tree *tree, struct br_regex_mark *marks,
                         uint32_t count, bool largest) {
    tree->backward = add_automaton(planner, &(struct br_regex_automaton_plan){.direction = BR_BACKWARD,
                                                                              .start = tree->end,
                                                                              .limit = tree->begin,
                                                                              .marks = marks,
                                                                              .mark_count = count,
                                                                              .largest = largest});
}

// --- the tree
static struct br_regex_tree *new_tree(struct planner *planner, enum br_regex_tree_kind kind, uint16_t begin) {
    struct br_regex_tree *tree = br_arena_new(planner->arena, struct br_regex_tree);
    tree->kind = kind;
    tree->begin = begin;
    tree->first = 1; // none
    return tree;
}

static void add_part(struct planner *planner, struct br_regex_tree *tree, struct br_regex_tree *part) {
    if (tree->part_count == 0 || (tree->part_count & (tree->part_count - 1)) == 0) { // room doubles at powers of two
        uint32_t room = tree->part_count == 0 ? 1 : 2 * tree->part_count;
        struct br_regex_tree **parts = br_arena_array(planner->arena, struct br_regex_tree *, room);
        if (tree->part_count != 0)
            memcpy(parts, tree->parts, tree->part_count * sizeof(struct br_regex_tree *));
        tree->parts = parts;
    }
    tree->parts[tree->part_count++] = part;
    if (part->first > part->last)
        return;
    if (tree->first > tree->last)
        tree->first = part->first;
    tree->last = part->last;
}

static struct br_regex_tree *leaf(struct planner *planner, const struct br_regex_item *items, uint32_t count,
                                  uint16_t from, unsigned preference) {
    struct br_regex_tree *tree = new_tree(planner, BR_TREE_LEAF, from);
    tree->shortest = (preference & BR_PREFERS_SHORTER) != 0;
    measure_items(items, count, &tree->len_min, &tree->len_max);
    tree->end = emit_items(planner, items, count, from);
    return tree;
}

// Parts one after another, each beginning where the one before it ends.
static struct br_regex_tree *chain(struct planner *planner, struct br_regex_tree **parts, uint32_t count) {
    if (count == 1)
        return parts[0];
    struct br_regex_tree *tree = new_tree(planner, BR_TREE_CHAIN, parts[0]->begin);
    struct br_regex_tree *last = parts[count - 1];
    uint32_t own = count;
    if (count > BR_REGEX_CHAIN_MAX) {
        own = BR_REGEX_CHAIN_MAX;
        last = chain(planner, parts + own - 1, count - own + 1);
    }
    for (uint32_t i = 0; i < own; i++)
        add_part(planner, tree, i + 1 < own ? parts[i] : last);
    tree->end = last->end;
    struct br_regex_mark *marks = new_marks(planner, own);
    for (uint32_t i = own; i-- > 0;) {
        struct br_regex_tree *part = tree->parts[i];
        part->rest_len = tree->len_min == tree->len_max ? tree->len_min : UINT32_MAX;
        tree->len_min = add_len(tree->len_min, part->len_min);
        tree->len_max = add_len(tree->len_max, part->len_max);
        if (i + 1 < own)
            add_forward(planner, part);
        if (i > 0)
            marks[i - 1] = (struct br_regex_mark){part->begin, 1u << (i - 1)};
    }
    add_backward(planner, tree, marks, own - 1, false);
    return tree;
}

static struct br_regex_tree *plan_branch(struct planner *planner, const struct br_regex_branch *branch, uint16_t from);

static struct br_regex_tree *plan_alternatives(struct planner *planner, const struct br_regex_group *group,
                                               uint16_t from) {
    if (group->count == 1)
        return plan_branch(planner, &group->branches[0], from);
    struct br_regex_tree *tree = new_tree(planner, BR_TREE_ALTERNATIVES, from);
    struct br_regex_mark *marks = new_marks(planner, group->count);
    tree->end = new_node(planner);
    for (uint32_t b = 0; b < group->count && !planner->too_large; b++) {
        struct br_regex_tree *part = plan_branch(planner, &group->branches[b], node_after_hop(planner, from));
        add_hop(planner, part->end, tree->end);
        add_part(planner, tree, part);
        marks[b] = (struct br_regex_mark){part->begin, group->count - b}; // the first has the largest value
    }
    add_backward(planner, tree, marks, group->count, true);
    tree->len_min = group->len_min;
    tree->len_max = group->len_max;
    return tree;
}

static struct br_regex_tree *plan_group(struct planner *planner, const struct br_regex_group *group, uint16_t from) {
    struct br_regex_tree *inner;
    if (group->first + (group->number != 0) > group->last) { // no groups within
        inner = new_tree(planner, BR_TREE_LEAF, from);
        inner->end = emit_group(planner, group, from);
        inner->len_min = group->len_min;
        inner->len_max = group->len_max;
    } else {
        inner = plan_alternatives(planner, group, from);
    }
    inner->shortest = (group->preference & BR_PREFERS_SHORTER) != 0;
    if (group->number == 0)
        return inner;
    struct br_regex_tree *tree = new_tree(planner, BR_TREE_GROUP, from);
    add_part(planner, tree, inner);
    tree->shortest = inner->shortest;
    tree->group = group->number;
    tree->first = group->first;
    tree->last = group->last;
    tree->len_min = inner->len_min;
    tree->len_max = inner->len_max;
    tree->end = inner->end;
    return tree;
}

// x*, x{0,n} of a group. Marks say how many passes may lie behind a place from which the end can still be reached.
static struct br_regex_tree *plan_loop(struct planner *planner, const struct br_regex_item *item, uint16_t from) {
    struct br_regex_tree *tree = new_tree(planner, BR_TREE_LOOP, from), *body;
    struct br_regex_mark *marks = new_marks(planner, item->max);
    uint32_t mark_count = 1;
    tree->times = item->max;
    if (item->max == BR_REGEX_REPEAT_INFINITE) {
        uint16_t again = node_after_hop(planner, from);
        body = plan_group(planner, item->group, node_after_hop(planner, again));
        add_hop(planner, body->end, again);
        tree->end = node_after_hop(planner, again);
        marks[0] = (struct br_regex_mark){again, 1};
    } else {
        tree->end = new_node(planner);
        add_hop(planner, from, tree->end);
        body = plan_group(planner, item->group, node_after_hop(planner, from));
        uint16_t at = body->end;
        marks[0] = (struct br_regex_mark){at, 1};
        add_hop(planner, at, tree->end);
        for (; mark_count < item->max && !planner->too_large; mark_count++) {
            at = emit_atom(planner, item, at);
            marks[mark_count] = (struct br_regex_mark){at, mark_count + 1};
            add_hop(planner, at, tree->end);
        }
    }
    add_part(planner, tree, body);
    add_forward(planner, body);
    add_backward(planner, tree, marks, mark_count, true);
    measure_items(item, 1, &tree->len_min, &tree->len_max);
    tree->shortest = (preference_of_item(item) & BR_PREFERS_SHORTER) != 0;
    return tree;
}

// An item that is a part of its own.
static struct br_regex_tree *plan_item(struct planner *planner, const struct br_regex_item *item, uint16_t from) {
    bool has_groups = item->kind == BR_ITEM_GROUP && (item->group->preference & BR_HAS_GROUPS) != 0;
    if (!has_groups)
        return leaf(planner, item, 1, from, preference_of_item(item));
    if (is_single(item))
        return plan_group(planner, item->group, from);
    if (item->min == 0)
        return plan_loop(planner, item, from);
    unsigned preference = preference_of_item(item);
    struct br_regex_item before = *item;
    before.min--;
    before.max -= before.max != BR_REGEX_REPEAT_INFINITE;
    struct br_regex_tree *parts[2];
    parts[0] = leaf(planner, &before, 1, from, preference);
    parts[1] = plan_group(planner, item->group, parts[0]->end);
    struct br_regex_tree *tree = chain(planner, parts, 2);
    tree->shortest = (preference & BR_PREFERS_SHORTER) != 0;
    return tree;
}

static struct br_regex_tree *plan_branch(struct planner *planner, const struct br_regex_branch *branch, uint16_t from) {
    struct br_regex_tree **parts = br_arena_array(planner->arena, struct br_regex_tree *, 2 * branch->count + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < branch->count && !planner->too_large;) {
        struct part part = next_part(branch, i);
        uint32_t plain = part.count - part.apart;
        if (plain > 0) {
            parts[count] = leaf(planner, &branch->items[i], plain, from, part.before);
            from = parts[count++]->end;
        }
        if (part.apart) {
            parts[count] = plan_item(planner, &branch->items[i + plain], from);
            from = parts[count++]->end;
        }
        i += part.count;
    }
    if (count == 0)
        return leaf(planner, NULL, 0, from, 0);
    return chain(planner, parts, count);
}

bool br_regex_plan(struct br_arena *arena, const struct br_regex_parsed *parsed, struct br_regex_planned *ret) {
    struct planner planner = {.arena = arena, .out = ret};
    *ret = (struct br_regex_planned){0};
    analyse_group(&planner, parsed->root);
    ret->start = new_node(&planner);
    ret->automaton_count = ret->automaton_room = BR_AUTOMATON_OWN_COUNT;
    ret->automata = br_arena_array(arena, struct br_regex_automaton_plan, BR_AUTOMATON_OWN_COUNT);
    ret->tree = plan_group(&planner, parsed->root, ret->start);
    ret->final = ret->tree->end;
    if (planner.too_large)
        return false;
    struct br_regex_mark *marks = new_marks(&planner, 2);
    marks[0] = (struct br_regex_mark){ret->final, 1};
    marks[1] = (struct br_regex_mark){ret->start, 1};
    ret->automata[BR_AUTOMATON_SEARCH] = (struct br_regex_automaton_plan){
        .direction = BR_FORWARD, .anywhere = true, .start = ret->start, .limit = ret->final, marks, .mark_count = 1};
    ret->automata[BR_AUTOMATON_MATCH] = ret->automata[BR_AUTOMATON_SEARCH];
    ret->automata[BR_AUTOMATON_MATCH].anywhere = false;
    ret->automata[BR_AUTOMATON_STARTS] = (struct br_regex_automaton_plan){.direction = BR_BACKWARD,
                                                                          .anywhere = true,
                                                                          .start = ret->final,
                                                                          .limit = ret->start,
                                                                          .marks = marks + 1,
                                                                          .mark_count = 1};
    return true;
}
