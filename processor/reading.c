// SPDX-License-Identifier: Apache-2.0
// The clock readings of epochs that a task makes: what now() is, and what emit_interval goes by.
//
// C1. A reading is the wall clock's, and never before the last epoch's, which the commit records.
// C2. While the wall clock is behind the last reading (it was ahead once, here or on another machine, or is behind
// now),
//     readings go on from there half as fast as time passes, until the wall clock has caught up: what is held back
//     comes out, at worst after twice its interval, and the difference shrinks. One warning tells.
#include "processor/task_internal.h"

#include "base/logging.h"

#define BEHIND_TOLD_US BR_US_PER_SECOND // a clock that is set right by less is nobody's concern

static void tell_behind(struct br_task *task, int64_t behind_us) {
    bool behind = behind_us > BEHIND_TOLD_US;
    if (behind && !task->clock_behind)
        br_log_line(BR_LEVEL_WARN,
                    "the clock is behind the last epoch's reading, from a clock that was ahead: until it has caught up "
                    "now() is ahead, and emit_interval takes twice as long",
                    BR_STR("pipeline", task->pipeline->name), BR_INT("behind_s", behind_us / BR_US_PER_SECOND),
                    BR_INT("caught_up_in_s", 2 * behind_us / BR_US_PER_SECOND));
    if (behind || behind_us <= 0)
        task->clock_behind = behind;
}

struct br_wall_time task_reading(struct br_task *task, struct br_mono_time *ret_read) {
    const struct br_clock *clock = task->options.clock;
    struct br_wall_time wall = clock->wall(clock), last = task->clock;
    struct br_mono_time read = clock->mono(clock);
    if (ret_read != NULL)
        *ret_read = read;
    if (wall.us >= last.us) {
        task->clock_behind = false;
        return wall;
    }
    tell_behind(task, last.us - wall.us);
    struct br_wall_time slowly = {last.us + (read.us - task->clock_read.us) / 2};
    return slowly.us > wall.us ? slowly : wall;
}
