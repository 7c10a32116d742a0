// SPDX-License-Identifier: Apache-2.0
// What is certain to be as it was in version 0.1.0, whose engine was PCRE2: pipelines with such patterns go on over
// logs of that version (processor/semantics.c); others are refused there.
//
// B1. Only patterns that both read alike: parsed->plain, without options, or without case where case folding differs (k
// and s have three forms in Unicode, and PCRE2 knew that). B2. PCRE2 tried one way after another and gave up after a
// million steps at one place. Whether a text matches is the same if no text shorter than that could bring it there:
// there are at most WAYS_MAX ways to match, times the text's length once. A repeated character whose set has nothing in
// common with what may follow has one way only. B3. Where it matches is the same if there was nothing to choose: every
// quantifier has one way only, or there is just one. PCRE2's first choice is the longest then, as PostgreSQL's.
#include "processor/expr/regex_internal.h"

#define WAYS_MAX 1000
#define NODES_MAX 1000 // of patterns that are looked at

struct comparison {
    struct br_arena *arena;
    const struct br_regex_parsed *parsed;
    uint32_t free_count;    // quantifiers with a choice
    uint32_t endless_count; // of these, without a bound
    uint32_t quantifier_count;
    bool one_branch, greedy;
    bool unknown; // something that isn't followed here
};

static void add_first(struct comparison *comparison, const struct br_regex_group *group, struct br_regex_set *first);

// What the items may begin with, and what follows them if they may be empty.
static void add_first_of_items(struct comparison *comparison, const struct br_regex_item *items, uint32_t count,
                               const struct br_regex_set *follow, struct br_regex_set *first) {
    for (uint32_t i = 0; i < count; i++) {
        const struct br_regex_item *item = &items[i];
        if (item->kind == BR_ITEM_ASSERTION)
            continue;
        if (item->kind == BR_ITEM_SET)
            br_regex_set_add_set(comparison->arena, first, &comparison->parsed->sets[item->set]);
        else
            add_first(comparison, item->group, first);
        if (item->min > 0 && (item->kind == BR_ITEM_SET || item->group->len_min > 0))
            return;
    }
    br_regex_set_add_set(comparison->arena, first, follow);
}

static void add_first(struct comparison *comparison, const struct br_regex_group *group, struct br_regex_set *first) {
    static const struct br_regex_set NOTHING = {0};
    for (uint32_t b = 0; b < group->count; b++)
        add_first_of_items(comparison, group->branches[b].items, group->branches[b].count, &NOTHING, first);
}

static bool meet(const struct br_regex_set *a, const struct br_regex_set *b) {
    for (uint32_t i = 0, j = 0; i < a->count && j < b->count;) {
        if (a->ranges[i].last < b->ranges[j].first)
            i++;
        else if (b->ranges[j].last < a->ranges[i].first)
            j++;
        else
            return true;
    }
    return false;
}

static uint64_t bounded(uint64_t ways) {
    return ways > WAYS_MAX ? WAYS_MAX + 1 : ways;
}

static uint64_t ways_of_group(struct comparison *comparison, const struct br_regex_group *group,
                              const struct br_regex_set *follow);

static uint64_t ways_of_set(struct comparison *comparison, const struct br_regex_item *item,
                            const struct br_regex_set *follow) {
    if (item->min == item->max)
        return 1;
    comparison->quantifier_count++;
    comparison->greedy &= item->preference == BR_PREFERS_LONGER;
    if (follow != NULL && !meet(&comparison->parsed->sets[item->set], follow))
        return 1;
    comparison->free_count++;
    if (item->max == BR_REGEX_REPEAT_INFINITE) {
        comparison->endless_count++;
        return 1;
    }
    return item->max - item->min + 1;
}

// A repeated group: what follows in it isn't known, so that its quantifiers have a choice.
static uint64_t ways_of_repeated(struct comparison *comparison, const struct br_regex_item *item) {
    uint32_t endless = comparison->endless_count;
    uint64_t once = ways_of_group(comparison, item->group, NULL), all = 0, times = 1;
    comparison->unknown |= item->max == BR_REGEX_REPEAT_INFINITE || comparison->endless_count != endless;
    comparison->quantifier_count += 2; // never one alone
    comparison->free_count += item->min != item->max;
    for (uint32_t i = 0; i <= item->max && item->max != BR_REGEX_REPEAT_INFINITE; i++) {
        if (i >= item->min)
            all = bounded(all + times);
        times = bounded(times * once);
    }
    return all;
}

// follow: what may come after the group; NULL: not known.
static uint64_t ways_of_branch(struct comparison *comparison, const struct br_regex_branch *branch,
                               const struct br_regex_set *follow) {
    uint64_t ways = 1;
    for (uint32_t i = 0; i < branch->count; i++) {
        const struct br_regex_item *item = &branch->items[i];
        struct br_regex_set next = {0};
        if (item->kind == BR_ITEM_ASSERTION)
            continue;
        if (follow != NULL)
            add_first_of_items(comparison, item + 1, branch->count - i - 1, follow, &next);
        br_regex_set_close(&next);
        const struct br_regex_set *known = follow != NULL ? &next : NULL;
        if (item->kind == BR_ITEM_SET)
            ways *= ways_of_set(comparison, item, known);
        else if (item->min == 1 && item->max == 1)
            ways *= ways_of_group(comparison, item->group, known);
        else
            ways *= ways_of_repeated(comparison, item);
        ways = bounded(ways);
    }
    return ways;
}

static uint64_t ways_of_group(struct comparison *comparison, const struct br_regex_group *group,
                              const struct br_regex_set *follow) {
    uint64_t ways = 0;
    comparison->one_branch &= group->count == 1;
    for (uint32_t b = 0; b < group->count; b++)
        ways = bounded(ways + ways_of_branch(comparison, &group->branches[b], follow));
    return ways;
}

// B1. Every character, or ASCII without k and s.
static bool folds_alike(const struct br_regex_set *set) {
    if (set->count == 1 && set->ranges[0].first == 0 && set->ranges[0].last == BR_CODE_POINT_MAX)
        return true;
    return set->count == 0 ||
           (set->ranges[set->count - 1].last < 0x80 && !br_regex_set_has(set, 'k') && !br_regex_set_has(set, 's') &&
            !br_regex_set_has(set, 'K') && !br_regex_set_has(set, 'S'));
}

void br_regex_compare_before(struct br_arena *temporary, const struct br_regex_parsed *parsed, struct br_regex *regex) {
    static const struct br_regex_set NOTHING = {0};
    struct comparison comparison = {.arena = temporary, .parsed = parsed, .one_branch = true, .greedy = true};
    if (!parsed->plain || regex->node_count > NODES_MAX ||
        (parsed->flags & ~(unsigned)(BR_REGEX_IGNORE_CASE | BR_REGEX_LITERAL)) != 0)
        return;
    for (uint32_t s = 0; s < parsed->set_count && (parsed->flags & BR_REGEX_IGNORE_CASE) != 0; s++)
        if (!folds_alike(&parsed->sets[s]))
            return;
    uint64_t ways = ways_of_group(&comparison, parsed->root, &NOTHING);
    regex->matches_as_before = !comparison.unknown && ways <= WAYS_MAX && comparison.endless_count <= 1;
    regex->finds_as_before = !comparison.unknown && comparison.one_branch && comparison.greedy &&
                             (comparison.free_count == 0 || comparison.quantifier_count == 1);
}
