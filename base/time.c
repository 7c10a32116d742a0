// SPDX-License-Identifier: Apache-2.0
// See time.h.
#include "base/time.h"

#include <time.h>

static int64_t read_us(clockid_t id) {
    struct timespec now;
    BR_CHECK(clock_gettime(id, &now) == 0);
    return (int64_t)now.tv_sec * BR_US_PER_SECOND + now.tv_nsec / 1000;
}

static struct br_wall_time system_wall(const struct br_clock *clock) {
    (void)clock;
    return (struct br_wall_time){read_us(CLOCK_REALTIME)};
}

static struct br_mono_time system_mono(const struct br_clock *clock) {
    (void)clock;
    return (struct br_mono_time){read_us(CLOCK_MONOTONIC)};
}

const struct br_clock *br_clock_system(void) {
    static const struct br_clock clock = {system_wall, system_mono};
    return &clock;
}
