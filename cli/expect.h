// SPDX-License-Identifier: Apache-2.0
// Compares the lines that a test gave with those that were expected, as multisets.
//
// A line of a view matches when its object is equal: members in any order, numbers by value (exactly, or within the
// tolerance, relative, when one of them isn't an integer). An expected quarantine or late line names only some members;
// each matches a line of its own that has them.
#ifndef BR_CLI_EXPECT_H
#define BR_CLI_EXPECT_H

#include "base/json.h"

struct br_lines {
    struct br_slice *list;
    size_t count, capacity;
};
void br_lines_add(struct br_lines *lines, struct br_slice line);
// Splits text at line ends; empty lines are left out.
void br_lines_split(struct br_lines *lines, struct br_slice text);

bool br_json_same(const struct br_json *want, const struct br_json *got, double tolerance, struct br_arena *arena);
// Prints what is missing ("- line") and what is there but wasn't expected ("+ line") into diff. Returns whether nothing
// differs. BR_DATA through error when a line isn't JSON.
enum br_status br_expect_compare(const struct br_lines *want, const struct br_lines *got, double tolerance,
                                 struct br_buffer *diff, bool *ret_same, struct br_error *error) BR_MUST_CHECK;

#endif
