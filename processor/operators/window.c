// SPDX-License-Identifier: Apache-2.0
// Tumbling and hopping windows: the input's columns, then window_start and window_end, one row per window that holds
// the row's time.
//
// A window begins at origin + k * slide (floor: times before the origin too) and holds start <= time < start + size.
// Rows whose time is NULL are left out. A hop gives one batch per window offset, earliest first; all of them share the
// input's columns and differ in the bounds alone, so five windows per row cost no copy of the row. When size is no
// multiple of slide, the earliest offset holds only some of the rows. A row whose window would leave the range of
// timestamptz fails.
#include "processor/expr/datetime.h"
#include "processor/operators/operator_internal.h"

struct windows {
    const int64_t *times;
    int64_t *latest; // by row: start of the last window that holds it
    int64_t slide_us, size_us;
};

static int64_t floor_to(int64_t time_us, int64_t origin_us, int64_t slide_us) {
    int64_t since = time_us - origin_us;
    int64_t rest = since % slide_us;
    if (rest < 0)
        rest += slide_us;
    return time_us - rest;
}

// Neighbours mostly share a window: the division is done when they don't.
static void find_latest(const struct br_node *node, const struct br_batch *batch, struct windows *windows) {
    int64_t begin = 0, end = 0;
    for (uint32_t r = 0; r < batch->row_count; r++) {
        int64_t time_us = windows->times[r];
        if (time_us < begin || time_us >= end) {
            begin = floor_to(time_us, node->window.origin_us, windows->slide_us);
            end = begin + windows->slide_us;
        }
        windows->latest[r] = begin;
    }
}

// Every bound of the row's windows is a time that a column can hold.
static bool in_range(int64_t time_us, const struct windows *windows) {
    int64_t reach = windows->size_us + windows->slide_us;
    return time_us >= BR_COLUMN_TIME_MIN + reach && time_us < BR_COLUMN_TIME_END - reach;
}

// The rows with a time, all of whose windows exist.
static enum br_status usable_rows(struct br_operator *op, const struct br_batch *batch, const struct windows *windows,
                                  bool report, uint32_t *rows, uint32_t *ret_count, struct br_error *error) {
    const struct br_column *times = &batch->columns[op->node->window.time_column];
    uint32_t count = 0;
    for (uint32_t r = 0; r < batch->row_count; r++) {
        if (br_column_is_null(times, r))
            continue;
        if (in_range(windows->times[r], windows))
            rows[count++] = r;
        else if (report && br_batch_weight(batch, r) > 0)
            BR_TRY(br_operator_report(op, batch, r, "timestamp out of range", error));
    }
    *ret_count = count;
    return BR_OK;
}

static struct br_batch *with_bounds(struct br_operator *op, const struct br_batch *batch, const struct windows *windows,
                                    int64_t back_us) {
    struct br_batch *bounded = br_arena_alloc(op->arena, sizeof *bounded);
    *bounded = *batch;
    uint32_t columns = batch->column_count;
    bounded->column_count = columns + 2;
    bounded->columns = br_arena_alloc(op->arena, (columns + 2) * sizeof *bounded->columns);
    memcpy(bounded->columns, batch->columns, columns * sizeof *bounded->columns);
    bounded->columns[columns] = br_column_create(op->arena, BR_TIMESTAMPTZ, batch->row_count);
    bounded->columns[columns + 1] = br_column_create(op->arena, BR_TIMESTAMPTZ, batch->row_count);
    int64_t *starts = bounded->columns[columns].values, *ends = bounded->columns[columns + 1].values;
    for (uint32_t r = 0; r < batch->row_count; r++) {
        starts[r] = windows->latest[r] - back_us;
        ends[r] = starts[r] + windows->size_us;
    }
    return bounded;
}

// One offset whose windows hold only some of the rows.
static const struct br_batch *held_only(struct br_operator *op, const struct br_batch *bounded,
                                        const struct windows *windows, int64_t back_us) {
    uint32_t rows[BR_BATCH_ROWS];
    uint32_t count = 0;
    for (uint32_t r = 0; r < bounded->row_count; r++)
        if (windows->latest[r] - back_us + windows->size_us > windows->times[r])
            rows[count++] = r;
    return br_batch_select(bounded, rows, count, op->arena);
}

enum br_status br_window_apply(struct br_operator *op, const struct br_batch *batch, const struct br_output *output,
                               struct br_error *error) {
    const struct br_node *node = op->node;
    struct windows windows = {.slide_us = node->window.slide_us, .size_us = node->window.size_us};
    BR_CHECK(windows.slide_us > 0 && windows.size_us > 0);
    windows.times = batch->columns[node->window.time_column].values;
    uint32_t rows[BR_BATCH_ROWS];
    uint32_t count = 0;
    BR_TRY(usable_rows(op, batch, &windows, output->report, rows, &count, error));
    if (count == 0)
        return BR_OK;
    const struct br_batch *timed = br_batch_select(batch, rows, count, op->arena);
    windows.times = timed->columns[node->window.time_column].values;
    windows.latest = br_arena_alloc(op->arena, timed->row_count * sizeof *windows.latest);
    find_latest(node, timed, &windows);
    for (int64_t back = (windows.size_us - 1) / windows.slide_us; back >= 0; back--) {
        int64_t back_us = back * windows.slide_us;
        const struct br_batch *bounded = with_bounds(op, timed, &windows, back_us);
        if (back_us + windows.slide_us > windows.size_us)
            bounded = held_only(op, bounded, &windows, back_us);
        if (bounded->row_count != 0)
            BR_TRY(output->give(output->context, bounded, error));
    }
    return BR_OK;
}
