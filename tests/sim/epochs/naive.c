// SPDX-License-Identifier: Apache-2.0
// The naive fold: what the messages that the input streams hold have to give, in plain C.
#include "world.h"

static void expect_line(struct br_lines *lines, struct br_arena *arena, const char *text) {
    br_lines_add(lines, br_slice_of(br_arena_strdup(arena, text)));
}

struct sums {
    int64_t n, total, top;
};

static void add(struct sums *sums, int64_t amount) {
    sums->top = sums->n == 0 || amount > sums->top ? amount : sums->top;
    sums->n++;
    sums->total += amount;
}

// The last word on each customer; -1: no row.
static void find_regions(const struct world *world, int *region_of) {
    for (int c = 0; c < CUSTOMERS; c++)
        region_of[c] = -1;
    for (size_t i = 0; i < world->inputs.count; i++)
        if (world->inputs.list[i].table == CUSTOMERS_TABLE)
            region_of[world->inputs.list[i].tag / 8] = (int)(world->inputs.list[i].tag % 8) - 1;
}

void naive(const struct world *world, struct br_lines *lines, struct br_arena *arena, size_t *ret_reports) {
    struct sums customers[CUSTOMERS + 1] = {0}, regions[3] = {0}, windows[EVENTS_MAX / 10 + 1] = {0};
    int region_of[CUSTOMERS];
    *ret_reports = 0;
    find_regions(world, region_of);
    for (size_t i = 0; i < world->inputs.count; i++) {
        if (world->inputs.list[i].table != ORDERS)
            continue;
        size_t id = (size_t)world->inputs.list[i].tag;
        const struct order *order = &world->orders[id];
        if (order->garbage || order->amount < 0) {
            ++*ret_reports;
            continue;
        }
        add(&customers[order->customer + 1], order->amount);
        add(&windows[id / 10], order->amount);
        if (order->customer >= 0 && region_of[order->customer] >= 0)
            add(&regions[region_of[order->customer]], order->amount);
        if (!world->rich)
            continue;
        expect_line(lines, arena,
                    br_arena_printf(arena, "{\"view\":\"rated\",\"row\":{\"id\":%zu,\"fine\":true}}", id));
        if (order->amount > 10)
            expect_line(lines, arena,
                        br_arena_printf(arena, "{\"view\":\"passed\",\"row\":{\"id\":%zu,\"twice\":%" PRId64 "}}", id,
                                        order->amount * 2));
        if (order->amount == 7)
            ++*ret_reports;
        else
            expect_line(lines, arena,
                        br_arena_printf(arena, "{\"view\":\"ratio\",\"row\":{\"id\":%zu,\"r\":%" PRId64 "}}", id,
                                        100 / (order->amount - 7)));
    }
    int64_t region_count = 0, region_total = 0;
    for (int c = 0; c <= CUSTOMERS; c++)
        if (customers[c].n != 0)
            expect_line(lines, arena,
                        br_arena_printf(arena,
                                        "{\"view\":\"per_customer\",\"row\":{\"customer\":%s,\"n\":%" PRId64
                                        ",\"total\":%" PRId64 ",\"top\":%" PRId64 "}}",
                                        c == 0 ? "null" : br_arena_printf(arena, "\"c%d\"", c - 1), customers[c].n,
                                        customers[c].total, customers[c].top));
    for (int c = 0; c <= CUSTOMERS && world->rich; c++)
        if (customers[c].n != 0)
            expect_line(lines, arena,
                        br_arena_printf(arena, "{\"view\":\"held\",\"row\":{\"customer\":%s,\"total\":%" PRId64 "}}",
                                        c == 0 ? "null" : br_arena_printf(arena, "\"c%d\"", c - 1),
                                        customers[c].total));
    for (int r = 0; r < 3; r++) {
        if (regions[r].n == 0)
            continue;
        region_count++;
        region_total += regions[r].total;
        expect_line(lines, arena,
                    br_arena_printf(arena,
                                    "{\"view\":\"by_region\",\"row\":{\"region\":\"r%d\",\"n\":%" PRId64
                                    ",\"total\":%" PRId64 "}}",
                                    r, regions[r].n, regions[r].total));
    }
    if (!world->rich)
        return;
    char total[32];
    snprintf(total, sizeof total, region_count == 0 ? "null" : "%" PRId64, region_total);
    expect_line(lines, arena,
                br_arena_printf(arena, "{\"view\":\"whole\",\"row\":{\"regions\":%" PRId64 ",\"total\":%s}}",
                                region_count, total));
    for (size_t w = 0; w <= EVENTS_MAX / 10; w++)
        if (windows[w].n != 0)
            expect_line(
                lines, arena,
                br_arena_printf(
                    arena,
                    "{\"view\":\"win\",\"row\":{\"window_start\":\"2026-01-01T%02zu:%02zu:%02zuZ\",\"n\":%" PRId64 "}}",
                    w * 10 / 3600, w * 10 / 60 % 60, w * 10 % 60, windows[w].n));
}
