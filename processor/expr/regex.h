// SPDX-License-Identifier: Apache-2.0
// Regular expressions with PostgreSQL's syntax and results: its manual, 9.7.3 ("advanced regular expressions").
//
// A match is the leftmost; its length and its groups follow PostgreSQL's rules of preference. Results depend on the
// pattern and the text alone: characters are classified by tables of our own, matching is simulation of a finite
// automaton, and what bounds it is a count of steps, not time or memory. Whether a text matches is found in linear
// time. Why an engine of our own: docs/adr/0005. Patterns and texts are valid UTF-8.
#ifndef BR_PROCESSOR_EXPR_REGEX_H
#define BR_PROCESSOR_EXPR_REGEX_H

#include "base/arena.h"

enum br_regex_flag {
    BR_REGEX_IGNORE_CASE = 1,
    BR_REGEX_EXPANDED = 2,     // white space and comments in the pattern
    BR_REGEX_LINES_STOP = 4,   // . and [^…] don't match a newline
    BR_REGEX_LINES_ANCHOR = 8, // ^ and $ match at newlines
    BR_REGEX_LITERAL = 16,     // every character stands for itself; not with the three before
};

struct br_regex; // immutable once compiled: any number of threads may read it
// Why a pattern isn't taken.
struct br_regex_fault {
    const char *reason; // PostgreSQL's words where it refuses the pattern too
    const char *hint;   // NULL: none
};
// In the arena; NULL with the fault filled.
const struct br_regex *br_regex_compile(struct br_arena *arena, struct br_slice pattern, unsigned flags,
                                        struct br_regex_fault *ret_fault);
uint32_t br_regex_group_count(const struct br_regex *regex);

// Is it certain that version 0.1.0, whose engine was PCRE2, gave the same: whether a text matches; where, with which
// groups?
bool br_regex_matches_as_before(const struct br_regex *regex);
bool br_regex_finds_as_before(const struct br_regex *regex);

// A matcher holds what has been built of the automata, in memory of its own (malloc): about size_max bytes at most,
// and, for the current text, up to 4 for each byte of a match that is cut into groups. One thread at a time.
struct br_regex_matcher;
struct br_regex_matcher *br_regex_matcher_create(const struct br_regex *regex, size_t size_max);
void br_regex_matcher_destroy(struct br_regex_matcher **matcher);

#define BR_REGEX_NOWHERE SIZE_MAX
struct br_regex_span {
    size_t begin, end; // byte offsets; both BR_REGEX_NOWHERE when the group took no part
};
enum br_regex_found {
    BR_REGEX_NOT_FOUND,
    BR_REGEX_FOUND,
    BR_REGEX_TOO_MANY_STEPS, // for this pattern and text, everywhere and always
};
// Sets the text that is searched from here on, and the count of steps to 0. The text is borrowed.
void br_regex_begin(struct br_regex_matcher *matcher, struct br_slice text);
// Does the text match anywhere?
enum br_regex_found br_regex_matches(struct br_regex_matcher *matcher);
// The leftmost match that begins at byte `from` or later (what is before it counts as context: ^ doesn't match there).
// From one search of a text to the next, `from` doesn't go back.
// spans[0] is the match, spans[1 .. group_count] its groups; group_count may be less than the pattern has, 0 costs
// least.
enum br_regex_found br_regex_find(struct br_regex_matcher *matcher, size_t from, struct br_regex_span *spans,
                                  uint32_t group_count);

#endif
