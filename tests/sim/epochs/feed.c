// SPDX-License-Identifier: Apache-2.0
// What users, their servers and strangers do in a world of sim_epochs.
#include "world.h"

#define LOST_MAX 30 // messages at a time
#define JUMP_US (INT64_C(3600) * BR_US_PER_SECOND)

static void feed_order(struct world *world) {
    struct order *order = &world->orders[world->order_count];
    size_t id = world->order_count++;
    *order = (struct order){.customer = (int)draw(world, CUSTOMERS + 1) - 1,
                            .amount = (int64_t)draw(world, 24) - (world->rich ? 3 : 0)};
    if (draw(world, 40) == 0) {
        order->garbage = true;
        sim_send_bytes(&world->inputs, ORDERS, br_slice_of("\xff\xff\xff"), (int64_t)id);
        return;
    }
    char json[200], customer[16];
    snprintf(customer, sizeof customer, order->customer < 0 ? "null" : "\"c%d\"", order->customer);
    snprintf(json, sizeof json,
             "{\"id\":%zu,\"customer\":%s,\"amount\":%" PRId64 ",\"at\":\"2026-01-01T%02zu:%02zu:%02zuZ\"}", id,
             customer, order->amount, id / 3600 % 24, id / 60 % 60, id % 60);
    sim_send(&world->inputs, ORDERS, json, false, (int64_t)id);
}

static void feed_customer(struct world *world) {
    int customer = (int)draw(world, CUSTOMERS);
    bool deletes = world->has_region[customer] && draw(world, 4) == 0;
    int region = deletes ? -1 : (int)draw(world, 3);
    char json[100];
    world->has_region[customer] = !deletes;
    if (deletes)
        snprintf(json, sizeof json, "{\"customer\":\"c%d\"}", customer);
    else
        snprintf(json, sizeof json, "{\"customer\":\"c%d\",\"region\":\"r%d\"}", customer, region);
    sim_send(&world->inputs, CUSTOMERS_TABLE, json, deletes, customer * 8 + region + 1);
}

static void feed_rate(struct world *world) {
    char json[100];
    snprintf(json, sizeof json, "{\"customer\":\"c%d\",\"rate\":%d}", (int)draw(world, CUSTOMERS),
             1 + (int)draw(world, 9));
    sim_send(&world->inputs, RATES, json, false, 0);
}

void feed(struct world *world, size_t count) {
    for (size_t i = 0; i < count && world->order_count < world->order_target; i++) {
        bool early = world->oddity.late_table && world->order_count < world->order_target / 3;
        if (draw(world, 5) == 0 && !early)
            feed_customer(world);
        else
            feed_order(world);
        if (world->rich && draw(world, 6) == 0)
            feed_rate(world);
        if (draw(world, 8) == 0)
            sim_send_other(&world->inputs);
    }
}

void feed_before(struct world *world) {
    for (unsigned i = 0; i < world->oddity.trimmed; i++) {
        char json[100];
        snprintf(json, sizeof json, "{\"customer\":\"c%d\",\"region\":\"gone\"}", (int)draw(world, CUSTOMERS));
        sim_send(&world->inputs, CUSTOMERS_TABLE, json, false, 0);
        sim_send_bytes(&world->inputs, ORDERS, br_slice_of("gone"), 0);
    }
    sim_trim(&world->inputs);
}

// Several at once, so that the fence moves more often than once a second.
static void intrude(struct world *world) {
    if (world->seed % 3 != 1 || draw(world, world->zombie != NULL ? 3 : 15) != 0)
        return;
    for (uint64_t left = 1 + draw(world, 3); left > 0; left--)
        sim_intrude(world->feeder, draw(world, 8) == 0 ? "braid.sim.commit.nobody.0" : "braid.sim.commit.0",
                    draw(world, 100));
    world->intrusions += world->task != NULL;
    world->intrusions_beside_zombies += world->zombie != NULL;
}

void disturb(struct world *world) {
    intrude(world);
    if (world->oddity.goes_back && draw(world, 100) == 0) {
        sim_go_back(&world->inputs, (uint32_t)draw(world, world->inputs.stream_count), draw(world, LOST_MAX));
        world->went_back = true;
        if (draw(world, 2) == 0) // publishers are back at once
            feed(world, 1 + draw(world, 2 * LOST_MAX));
    }
    if (world->oddity.jumps && draw(world, 100) == 0) {
        feed(world, draw(world, 2) * draw(world, 20)); // in the middle of what waits, or not
        br_sim_jump(world->sim, (int64_t)draw(world, 2 * JUMP_US) - JUMP_US);
        feed(world, draw(world, 2) * draw(world, 60));
    }
}
