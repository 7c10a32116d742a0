// SPDX-License-Identifier: Apache-2.0
// braid replay start --local: the replay in this process instead of a worker.
#include "cli/replay.h"

int replay_local(const struct replay_arguments *arguments, struct br_log *log, struct replay_draft *draft) {
    (void)arguments;
    (void)log;
    (void)draft;
    br_complain("--local: replays run in workers only so far; leave it out, and have `braid run` running");
    return BR_EXIT_FAILED;
}
