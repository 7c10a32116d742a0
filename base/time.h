// SPDX-License-Identifier: Apache-2.0
// Three times that must not mix, and the clock that hands out two of them.
//
// Event time is what an event says of itself; wall time is what a clock or the server says; monotonic time measures
// durations. They are different structs so that mixing them does not compile.
#ifndef BR_BASE_TIME_H
#define BR_BASE_TIME_H

#include "base/status.h"

struct br_event_time {
    int64_t us; // since 1970-01-01 00:00:00 UTC
};
struct br_wall_time {
    int64_t us; // since 1970-01-01 00:00:00 UTC
};
struct br_mono_time {
    int64_t us; // since some fixed moment of this boot
};

#define BR_US_PER_SECOND INT64_C(1000000)
#define BR_EVENT_TIME_MIN INT64_MIN // "no watermark yet"
#define BR_EVENT_TIME_MAX INT64_MAX // "no event can come any more": closes every window

// The clock as an interface: the system's, or the simulator's. Thread: any.
struct br_clock {
    struct br_wall_time (*wall)(const struct br_clock *clock);
    struct br_mono_time (*mono)(const struct br_clock *clock);
};
const struct br_clock *br_clock_system(void);

#endif
