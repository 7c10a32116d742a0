// SPDX-License-Identifier: Apache-2.0
// braid query --over history: a SELECT over what the streams hold, run in this process.
#ifndef BR_CLI_HISTORY_H
#define BR_CLI_HISTORY_H

#include "cli/answer.h"
#include "cli/cli.h"

struct br_history_query {
    const struct br_pipeline_arguments *pipeline;
    const struct br_connect_options *connect;
    const char *path, *select, *from, *to; // from, to: NULL when not given
    enum br_answer_form form;
};
int br_query_history(const struct br_history_query *query); // an exit code

#endif
