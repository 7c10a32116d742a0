// SPDX-License-Identifier: Apache-2.0
// The answer to a query, printed: a table, JSON lines, or CSV.
//
// It comes as JSON lines, whether a worker sends it or a query over history makes it:
// {"columns":[{"name":…,"type":…}]}, one array a row, and {"rows":n} at the end, or {"error":…}. JSON and CSV are
// printed as they come; a table when its widths are known.
#ifndef BR_CLI_ANSWER_H
#define BR_CLI_ANSWER_H

#include "base/bytes.h"

enum br_answer_form { BR_ANSWER_TABLE, BR_ANSWER_JSON, BR_ANSWER_CSV };

struct br_answer;
struct br_answer *br_answer_begin(enum br_answer_form form);
// False, with words on stderr, when the line can't be read.
bool br_answer_line(struct br_answer *answer, struct br_slice line);
// Prints what is left to print; the exit code: 0, 1 after an error line, 3 when the end is missing.
int br_answer_end(struct br_answer **answer);
// All of it at once.
int br_answer_print(enum br_answer_form form, struct br_slice text);

#endif
