// SPDX-License-Identifier: Apache-2.0
// See measure.h.
#define _GNU_SOURCE // program_invocation_short_name
#include "measure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void bench_must(enum br_status status, const struct br_error *error) {
    if (status != BR_OK) {
        fprintf(stderr, "%s: %s\n", program_invocation_short_name, error->message);
        exit(1);
    }
}

bool bench_wanted(int argc, char **argv, const char *name) {
    bool any = false;
    for (int a = 1; a < argc; a++) {
        any |= argv[a][0] != '-';
        if (strcmp(argv[a], name) == 0)
            return true;
    }
    return !any;
}

int64_t bench_now_us(void) {
    return br_clock_system()->mono(br_clock_system()).us;
}

// Linux' scheduler tells; 0 elsewhere.
static double queued_seconds(void) {
    FILE *file = fopen("/proc/thread-self/schedstat", "r");
    unsigned long long on_core_ns, queued_ns = 0;
    if (file == NULL)
        return 0;
    if (fscanf(file, "%llu %llu", &on_core_ns, &queued_ns) != 2)
        queued_ns = 0;
    fclose(file);
    return (double)queued_ns / 1e9;
}

struct bench_spent bench_spent_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (struct bench_spent){(double)bench_now_us() / 1e6, (double)time.tv_sec + (double)time.tv_nsec / 1e9,
                                queued_seconds()};
}

struct bench_spent bench_spent_since(struct bench_spent begin) {
    struct bench_spent end = bench_spent_now();
    return (struct bench_spent){end.seconds - begin.seconds, end.cpu_seconds - begin.cpu_seconds,
                                end.queued_seconds - begin.queued_seconds};
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void bench_sort(int64_t *values, size_t count) {
    qsort(values, count, sizeof *values, by_value);
}

static int by_number(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, size_t count) {
    BR_CHECK(count != 0);
    qsort(values, count, sizeof *values, by_number);
    return values[count / 2];
}
