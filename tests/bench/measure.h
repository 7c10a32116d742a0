// SPDX-License-Identifier: Apache-2.0
// What the programs here share: arguments, ending on an error, times and percentiles.
#ifndef BR_TESTS_BENCH_MEASURE_H
#define BR_TESTS_BENCH_MEASURE_H

#include "base/status.h"
#include "base/time.h"

#include <stdint.h>

// Ends the program with the error's words.
void bench_must(enum br_status status, const struct br_error *error);
// Is the case named among the arguments, or none at all?
bool bench_wanted(int argc, char **argv, const char *name);

int64_t bench_now_us(void); // monotonic

// Of the calling thread: wall time, time on a core, and time in which it could have run but others had the cores. Wall
// time without the last is what it would take with a core of its own (and whoever it waits for as slow as now).
struct bench_spent {
    double seconds, cpu_seconds, queued_seconds;
};
static inline double bench_alone(struct bench_spent spent) {
    return spent.seconds - spent.queued_seconds;
}
struct bench_spent bench_spent_now(void);
struct bench_spent bench_spent_since(struct bench_spent begin);

// Sorts the values; then values[n × percent / 100] is a percentile.
void bench_sort(int64_t *values, size_t count);
double bench_median(double *values, size_t count); // sorts them

#endif
