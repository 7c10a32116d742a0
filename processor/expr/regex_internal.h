// SPDX-License-Identifier: Apache-2.0
// What the files of the regular expression engine share (regex.h).
//
//   regex_set.c        sets of characters: ranges, classes, case
//   regex_parse.c      a pattern to groups of branches of items; regex_escape.c, regex_bracket.c parts of its syntax
//   regex_plan.c       items to a nondeterministic automaton, and the tree by which groups are found
//   regex_colours.c    which characters a pattern tells apart
//   regex_compile.c    all of it together
//   regex_automaton.c  deterministic automata, built state by state as they are needed
//   regex_skip.c       passing over what can't begin a match
//   regex_pass.c       one automaton over a text, forward or backward
//   regex_match.c      searching, and the groups of a match
//   regex_before.c     what is as it was with version 0.1.0's engine
#ifndef BR_PROCESSOR_EXPR_REGEX_INTERNAL_H
#define BR_PROCESSOR_EXPR_REGEX_INTERNAL_H

#include "processor/expr/character_tables.h"
#include "processor/expr/regex.h"

#define BR_CODE_POINT_MAX 0x10ffffu
#define BR_REGEX_REPEAT_MAX 255 // PostgreSQL's
#define BR_REGEX_REPEAT_INFINITE 256

// --- sets of characters
struct br_regex_set {
    struct br_character_range *ranges; // once closed: ascending, neither touching nor overlapping
    uint32_t count, room;
};
enum br_regex_class {
    BR_CLASS_ALNUM,
    BR_CLASS_ALPHA,
    BR_CLASS_ASCII,
    BR_CLASS_BLANK,
    BR_CLASS_CNTRL,
    BR_CLASS_DIGIT,
    BR_CLASS_GRAPH,
    BR_CLASS_LOWER,
    BR_CLASS_PRINT,
    BR_CLASS_PUNCT,
    BR_CLASS_SPACE,
    BR_CLASS_UPPER,
    BR_CLASS_WORD,
    BR_CLASS_XDIGIT,
};
#define BR_CLASS_COUNT 14
extern const char *const br_regex_class_names[BR_CLASS_COUNT];

// first may be past last or past the code points there are: nothing is added.
void br_regex_set_add(struct br_arena *arena, struct br_regex_set *set, uint32_t first, uint32_t last);
// With what the characters are in lower and in upper case.
void br_regex_set_add_cases(struct br_arena *arena, struct br_regex_set *set, uint32_t first, uint32_t last);
void br_regex_set_add_set(struct br_arena *arena, struct br_regex_set *set, const struct br_regex_set *other);
void br_regex_set_add_class(struct br_arena *arena, struct br_regex_set *set, enum br_regex_class name);
void br_regex_set_close(struct br_regex_set *set);
// Of closed sets, to a closed one: what isn't in the set; what isn't in the other.
void br_regex_set_negate(struct br_arena *arena, struct br_regex_set *set);
void br_regex_set_subtract(struct br_arena *arena, struct br_regex_set *set, const struct br_regex_set *other);
bool br_regex_is_space(uint32_t code);
bool br_regex_set_has(const struct br_regex_set *set, uint32_t code); // closed

// --- what a pattern says
enum br_regex_assertion {
    BR_ASSERT_NONE,
    BR_ASSERT_BEGIN, // of the text
    BR_ASSERT_END,
    BR_ASSERT_LINE_BEGIN,
    BR_ASSERT_LINE_END,
    BR_ASSERT_WORD_BEGIN,
    BR_ASSERT_WORD_END,
    BR_ASSERT_WORD_EDGE,
    BR_ASSERT_NO_WORD_EDGE,
};
#define BR_ASSERTION_COUNT 9

// Preferences, of a quantifier and of what it makes; PostgreSQL's manual, 9.7.3.5.
enum br_regex_preference {
    BR_PREFERS_LONGER = 1,
    BR_PREFERS_SHORTER = 2,
    BR_PREFERS_MIXED = 4, // somewhere within, both
    BR_HAS_GROUPS = 8,    // captures, itself or within
};

enum br_regex_item_kind { BR_ITEM_SET, BR_ITEM_ASSERTION, BR_ITEM_GROUP };
struct br_regex_item {
    enum br_regex_item_kind kind;
    uint32_t set; // SET: index
    enum br_regex_assertion assertion;
    struct br_regex_group *group;
    uint32_t min, max;   // times; 1, 1 without a quantifier; max may be BR_REGEX_REPEAT_INFINITE
    unsigned preference; // the quantifier's: 0 (none), LONGER or SHORTER
};
struct br_regex_branch {
    struct br_regex_item *items;
    uint32_t count, room;
};
// A parenthesis, or the whole pattern.
struct br_regex_group {
    struct br_regex_branch *branches;
    uint32_t count, room;
    uint32_t number;           // 0: it doesn't capture
    uint32_t first, last;      // captures from here to there, itself included; first > last: none
    unsigned preference;       // flags of enum br_regex_preference
    uint32_t len_min, len_max; // in characters; saturating
};
struct br_regex_parsed {
    struct br_regex_group *root;
    struct br_regex_set *sets; // closed, each once
    uint32_t set_count, set_room;
    uint32_t group_count;
    unsigned assertions; // bit a: assertion a occurs
    unsigned flags;      // with those that the pattern sets itself
    // Nothing but characters, . | ( ) (?: ) ^ $, quantifiers, brackets of characters and ranges, \ before a sign and
    // \n \t \r \f: what every kind of regular expressions reads alike.
    bool plain;
};
// false with the fault filled.
bool br_regex_parse(struct br_arena *arena, struct br_slice pattern, unsigned flags, struct br_regex_parsed *ret,
                    struct br_regex_fault *ret_fault);

// --- the parser's innards
struct br_regex_parser {
    struct br_arena *arena;
    const uint32_t *at, *end; // code points
    unsigned flags;
    uint32_t depth;
    struct br_regex_parsed *parsed;
    struct br_regex_fault *fault; // reason NULL: none yet
    uint32_t set_buckets[256];    // by hash: index + 1 of the first set
    uint32_t *set_next;
};
enum br_regex_escape_kind { BR_ESCAPE_CHAR, BR_ESCAPE_CLASS, BR_ESCAPE_NOT_CLASS, BR_ESCAPE_ASSERTION, BR_ESCAPE_BACK };
struct br_regex_escape {
    enum br_regex_escape_kind kind;
    uint32_t value;
};
// Notes the first fault and moves to the pattern's end. false.
bool br_regex_fail(struct br_regex_parser *parser, const char *reason, const char *hint);
// What follows a backslash, which has been passed. false: it failed.
bool br_regex_parse_escape(struct br_regex_parser *parser, struct br_regex_escape *ret);
// After [ and, where it follows, ^. The set is closed and as the bracket says.
bool br_regex_parse_bracket(struct br_regex_parser *parser, bool negated, struct br_regex_set *ret);

// --- the nondeterministic automaton
#define BR_REGEX_NODES_MAX 8192
#define BR_REGEX_NO_NODE 0xffff
struct br_regex_step { // an edge that takes a character
    uint16_t to;
    uint16_t set;
};
struct br_regex_hop { // an edge that takes none
    uint16_t to;
    uint16_t assertion;
};
// Edges of node n: steps[step_begin[n] .. step_begin[n + 1]), and so on.
struct br_regex_edges {
    uint32_t *step_begin, *hop_begin;
    struct br_regex_step *steps;
    struct br_regex_hop *hops;
    uint64_t *has_steps; // bit n
};
enum { BR_FORWARD, BR_BACKWARD };

// A deterministic automaton to be: where it begins, what it looks for.
struct br_regex_mark {
    uint16_t node;
    uint32_t value;
};
struct br_regex_automaton_plan {
    uint8_t direction;
    bool anywhere; // it may begin at every character anew
    bool largest;  // a state's value is the largest of its marks', not all bits of them
    uint16_t start;
    uint16_t limit; // the node that isn't left again, NO_NODE: none
    struct br_regex_mark *marks;
    uint32_t mark_count;
};

// --- the tree by which groups are found
enum br_regex_tree_kind {
    BR_TREE_LEAF,
    BR_TREE_GROUP,        // part 0, captured
    BR_TREE_CHAIN,        // parts one after another
    BR_TREE_ALTERNATIVES, // one of the parts
    BR_TREE_LOOP,         // part 0, up to `times` times
};
struct br_regex_tree {
    enum br_regex_tree_kind kind;
    bool shortest;        // of several ends it takes the first, else the last
    uint32_t group;       // GROUP
    uint32_t first, last; // captures within, as in a group
    uint32_t len_min, len_max;
    uint32_t rest_len; // in a chain: characters of the parts after it, UINT32_MAX: it varies
    // In a chain, if not NULL: colours that what follows begins with and that can't be in this part, and the ASCII
    // characters of these.
    uint64_t *stop_colours;
    uint64_t stop_ascii[2];
    uint16_t begin, end;
    struct br_regex_tree **parts;
    uint32_t part_count, times;
    // Automata by index: from the begin to all ends; from the end back, with marks at parts.
    uint32_t forward, backward;
};
#define BR_REGEX_CHAIN_MAX 32 // parts of one chain; longer ones are chains of chains

struct br_regex_planned {
    uint32_t node_count, step_count, hop_count;
    struct br_regex_edge *edges; // as they were made
    struct br_regex_tree *tree;
    uint16_t start, final;
    struct br_regex_automaton_plan *automata;
    uint32_t automaton_count, automaton_room;
};
struct br_regex_edge {
    uint16_t from, to;
    uint16_t set_or_assertion;
    bool takes_character;
};
// false: the pattern is too large.
bool br_regex_plan(struct br_arena *arena, const struct br_regex_parsed *parsed, struct br_regex_planned *ret);

// --- passing over what can't begin a match
#define BR_PROBE_RANGES_MAX 4
#define BR_PROBE_OFFSETS_MAX 16
struct br_regex_probe { // the byte at this offset of every match is in one of the ranges
    uint32_t offset, range_count, byte_count;
    struct {
        uint8_t low, span;
    } ranges[BR_PROBE_RANGES_MAX];
};
enum br_regex_skip_kind {
    BR_SKIP_NOTHING, // a match may be empty
    BR_SKIP_TABLE,
    BR_SKIP_BYTE,  // one probe, of one byte
    BR_SKIP_BYTES, // two
    BR_SKIP_PROBE,
    BR_SKIP_PROBES,
};
struct br_regex_skip {
    enum br_regex_skip_kind kind;
    bool first[256]; // bytes that a match may begin with
    uint32_t probe_count;
    struct br_regex_probe probes[2];
};
struct br_regex;
// Nodes that can be reached while nothing is known of the text.
struct br_regex_reach {
    const struct br_regex *regex;
    uint64_t *seen, *before;
    uint16_t *stack;
    uint32_t depth;
};
// From one node, without a character; contexts: assertions hold if they do in one of them.
void br_regex_reach_begin(struct br_regex_reach *reach, uint16_t node, uint32_t contexts);
// By one character, whichever.
void br_regex_reach_step(struct br_regex_reach *reach, uint32_t contexts);
bool br_regex_reach_has(const struct br_regex_reach *reach, uint32_t node);
void br_regex_make_skip(const struct br_regex *regex, const struct br_regex_set *sets, struct br_regex_reach *reach,
                        struct br_regex_skip *ret);
// The first place from `at` on where a match may begin, or BR_REGEX_NOWHERE.
size_t br_regex_skip(const struct br_regex_skip *skip, struct br_slice text, size_t at);

// --- compiled
#define BR_REGEX_KINDS_MAX 4
enum { BR_AUTOMATON_SEARCH, BR_AUTOMATON_MATCH, BR_AUTOMATON_STARTS, BR_AUTOMATON_OWN_COUNT };

struct br_regex_colour_range { // from `first` up to the next range's
    uint32_t first;
    uint16_t colour;
};
struct br_regex {
    struct br_regex_edges edges[2]; // by direction
    uint32_t node_count, node_words;
    uint16_t start, final;
    uint32_t group_count;
    bool prefers_shortest;
    struct br_regex_tree *tree;
    struct br_regex_automaton_plan *automata;
    uint32_t automaton_count;
    // Characters by colour: those that no set tells apart share one. Colours have kinds: what assertions tell apart.
    uint32_t colour_count, colour_words, kind_count;
    uint64_t *set_colours; // colour_words words each
    uint8_t *colour_kinds;
    struct br_regex_colour_range *colour_ranges; // past ASCII
    uint32_t colour_range_count;
    uint16_t ascii[128];
    uint8_t edge_kind;                            // of the text's begin and end
    uint16_t assertion_truth[BR_ASSERTION_COUNT]; // bit (kind before * kind_count + kind after)
    // Where a match can begin.
    bool only_at_begin; // of the text
    struct br_regex_skip skip;
    uint32_t step_cost; // of one byte in one automaton, by the size of the pattern
    // What version 0.1.0's engine (PCRE2) would have given: the same, as far as can be known?
    bool matches_as_before, finds_as_before;
};

// Fills in colours and kinds. false: there are too many.
bool br_regex_colour(struct br_arena *arena, struct br_arena *temporary, const struct br_regex_parsed *parsed,
                     struct br_regex *regex);

// --- deterministic automata
// A state is a row of the table: its value, its nodes in the pool, then one entry for each symbol. Rows are multiples
// of 8; an entry is the next state's row with three flags in their place, or UNKNOWN.
#define BR_ROW_VALUE 0
#define BR_ROW_POOL 1
#define BR_ROW_NODES 2
#define BR_ROW_HEAD 3
#define BR_ENTRY_ACCEPTS 1u // the next state has a value
#define BR_ENTRY_ENDS 2u    // nothing can follow it
#define BR_ENTRY_IDLES 4u   // of the searching automaton: nothing is begun
#define BR_ENTRY_FLAGS 7u
#define BR_ROW_ALIGNMENT 8
#define BR_ENTRY_UNKNOWN UINT32_MAX
struct br_regex_automaton {
    uint32_t *table;
    size_t used, room; // words
    uint16_t *pool;
    size_t pool_used, pool_room;
    uint32_t *slots; // hash table of rows, 0: free
    uint32_t slot_count, state_count;
    uint32_t first[BR_REGEX_KINDS_MAX * BR_REGEX_KINDS_MAX]; // entries of the initial states, by context
};

#define BR_COLOUR_CACHE_SIZE 256
struct br_regex_matcher {
    const struct br_regex *regex;
    struct br_regex_automaton *automata;
    size_t size_max; // of all automata together
    uint32_t stride; // words of a row
    // Symbols are colour * kind_count + kind of the character beyond it, where assertions need that; offset in a row.
    uint32_t ascii_symbols[128];
    uint8_t ascii_kinds[128];
    struct {
        uint32_t code;
        uint16_t colour;
    } colour_cache[BR_COLOUR_CACHE_SIZE];
    // for making a state
    uint64_t *visited;
    uint16_t *stack;
    uint16_t *nodes;
    // of the current text
    struct br_slice text;
    uint64_t steps, steps_max;
    uint64_t *starts; // bit per byte: a match begins there
    size_t starts_room;
    bool has_starts;
    uint32_t *values; // a value per byte
    size_t values_room;
};
void br_regex_automaton_free(struct br_regex_automaton *automaton);
// Makes the initial state and gives its entry; its row may be used until the automaton's next state is made.
uint32_t br_regex_automaton_make_first(struct br_regex_matcher *matcher, uint32_t index, uint32_t context);
static inline uint32_t br_regex_automaton_first(struct br_regex_matcher *matcher, uint32_t index, uint32_t context) {
    uint32_t entry = matcher->automata[index].first[context];
    return entry != BR_ENTRY_UNKNOWN ? entry : br_regex_automaton_make_first(matcher, index, context);
}
void br_regex_automaton_reset(struct br_regex_matcher *matcher, struct br_regex_automaton *automaton);
// Makes the state that follows `row` by a character of this colour; kind: of the character beyond it.
uint32_t br_regex_automaton_next(struct br_regex_matcher *matcher, uint32_t index, uint32_t row, uint32_t colour,
                                 uint32_t kind);

// --- passes
uint32_t br_regex_find_colour(struct br_regex_matcher *matcher, uint32_t code);
// Of a character past ASCII.
static inline uint32_t br_regex_wide_colour(struct br_regex_matcher *matcher, uint32_t code) {
    if (matcher->colour_cache[code % BR_COLOUR_CACHE_SIZE].code == code)
        return matcher->colour_cache[code % BR_COLOUR_CACHE_SIZE].colour;
    return br_regex_find_colour(matcher, code);
}
// Where the character before a place begins.
static inline size_t br_regex_before(struct br_slice text, size_t at) {
    do
        at--;
    while ((text.ptr[at] & 0xc0) == 0x80);
    return at;
}

struct br_regex_pass {
    uint32_t automaton;
    size_t from, to;
    const uint32_t *values; // of the bytes from values_from on
    size_t values_from;
    uint32_t wanted;
};
// The first or the last place, from pass->from to pass->to, where the automaton has a value, or BR_REGEX_NOWHERE; and
// how far it went.
size_t br_regex_first_place(struct br_regex_matcher *matcher, const struct br_regex_pass *pass, size_t *ret_went);
size_t br_regex_last_place(struct br_regex_matcher *matcher, const struct br_regex_pass *pass, size_t *ret_went);
// The same, where values has one of the bits `wanted`, or, past pass->from, at least `wanted`.
size_t br_regex_place_with_bit(struct br_regex_matcher *matcher, const struct br_regex_pass *pass, bool first,
                               size_t *ret_went);
size_t br_regex_place_with_least(struct br_regex_matcher *matcher, const struct br_regex_pass *pass, bool first,
                                 size_t *ret_went);
// The end of the match that ends first; no match begins before *ret_begin, which is set if there is one.
size_t br_regex_any_place(struct br_regex_matcher *matcher, const struct br_regex_pass *pass, size_t *ret_begin);
// From `from` back to `to`, giving the value there; noting the values on the way, values[at - to], or where matches
// begin (bits of the text).
uint32_t br_regex_value_before(struct br_regex_matcher *matcher, uint32_t index, size_t from, size_t to);
uint32_t br_regex_note_values(struct br_regex_matcher *matcher, uint32_t index, size_t from, size_t to,
                              uint32_t *values);
uint32_t br_regex_note_starts(struct br_regex_matcher *matcher, size_t from, size_t to, uint64_t *starts);

// --- regex_before.c
// Sets matches_as_before and finds_as_before.
void br_regex_compare_before(struct br_arena *temporary, const struct br_regex_parsed *parsed, struct br_regex *regex);

#endif
