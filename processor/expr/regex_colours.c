// SPDX-License-Identifier: Apache-2.0
// Colours of characters: those that no set of a pattern tells apart share one.
//
// Where the pattern asserts something, colours also have a kind: what assertions can tell of a character (a letter of a
// word, a newline), one more for the edges of the text. Two kinds, those before and after a place, decide every
// assertion there.
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

// Of the pattern's sets and, after them, of the word characters and of the newline.
bool br_regex_colour(struct br_arena *arena, struct br_arena *temporary, const struct br_regex_parsed *parsed,
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
