// SPDX-License-Identifier: Apache-2.0
// Replays, takeovers and rollbacks under faults, from seeds: production code on the simulated log.
//
// Method. A feeder publishes random events while the owner of the outputs works, crashes and restarts. Beside it a
// replay with a changed pipeline repeats its epochs, crashes, restarts, leaves zombies behind, and takes the outputs
// over; later the former lineage may take them back, and the replay's once more. Deaths come at every call, also
// between the parts of a takeover. Worlds are odd (lib/sim.h): all tables on one stream, streams that were trimmed
// before, tables that begin late, clocks that jump, disks with older copies, and input streams that lose their newest
// messages and are filled up again: who has read them must be told, and all begins anew.
// Then faults stop, and the owner must consume all input. At the end
//   - what was published, folded message by message as a subscriber does, is what a fresh, undisturbed run of the
//   owner's
//     pipeline publishes (X14);
//   - of each lineage the epochs on the log follow each other, and every takeover follows the last commit of the one it
//     took over from (X13, X15),
//   - views of the replay that have taken their state over changed in every epoch as those of the owner did (X17).
// In every third world no state of a former owner can be computed: what it has published stands for it, of which
// nothing is ever missing. `sim_promote SEED` runs one seed alone. BRAID_SIM_SEEDS says how many to run (default 300),
// beside those that failed once.
#include "promote/world.h"

#include "base/logging.h"

#define CUSTOMERS 40
#define CUSTOMERS_LARGE 700 // so many rows differ that a takeover has several parts
#define STEPS_MAX 400000
#define HEAL_STEPS_MAX 100000
#define LOST_MAX 20     // messages at a time
#define CRASHES_MAX 500 // then none dies any more: where each call may be the last, a long recovery never ends
#define JUMP_US (INT64_C(3600) * BR_US_PER_SECOND)
enum { ORDERS, CUSTOMERS_TABLE, LABELS, TICKS };

const char *const lineages[LINEAGES] = {"live", "r1"};
// Seeds that failed once, above those that are run by default.
static const uint64_t failed_once[] = {474, 517};

_Noreturn void die(const struct world *world, const char *what, const char *more) {
    printf("seed %" PRIu64 ": %s%s%s\n", world->seed, what, more[0] != '\0' ? ": " : "", more);
    exit(1);
}

void must(const struct world *world, enum br_status status, const struct br_error *error) {
    if (status != BR_OK)
        die(world, "failed", error->message);
}

// --- feeding

static void feed(struct world *world, size_t count) {
    for (size_t i = 0; i < count && world->orders < world->orders_target; i++) {
        char json[200];
        bool early = world->oddity.late_table && world->orders < 20;
        int customer = (int)draw(world, world->large ? CUSTOMERS_LARGE : CUSTOMERS);
        if (draw(world, 8) == 0)
            sim_send_other(&world->inputs);
        if (draw(world, 5) == 0) {
            bool deletes = draw(world, 4) == 0;
            snprintf(json, sizeof json,
                     deletes ? "{\"customer\":\"c%d\"}" : "{\"customer\":\"c%d\",\"region\":\"r%d\"}", customer,
                     (int)draw(world, 3));
            sim_send(&world->inputs, CUSTOMERS_TABLE, json, deletes, 0);
            continue;
        }
        if (draw(world, 12) == 0) {
            snprintf(json, sizeof json, "{\"label\":\"l%d\",\"name\":\"n%d\"}", (int)draw(world, 9),
                     (int)draw(world, 100));
            sim_send(&world->inputs, LABELS, json, false, 0);
        }
        size_t id = world->orders++;
        if (early && id < 10) // orders come when there are other tables' rows already
            continue;
        if (draw(world, 4) == 0) {
            snprintf(json, sizeof json, "{\"n\":%zu,\"at\":\"2026-01-01T00:%02zu:%02zuZ\"}", id, id / 600 % 60,
                     id / 10 % 60);
            sim_send(&world->inputs, TICKS, json, false, 0);
        }
        snprintf(json, sizeof json,
                 "{\"id\":%zu,\"customer\":\"c%d\",\"amount\":%d,\"at\":\"2026-01-01T00:%02zu:%02zuZ\"}", id, customer,
                 (int)draw(world, 16), id / 600 % 60, id / 10 % 60);
        sim_send(&world->inputs, ORDERS, json, false, 0);
    }
}

static void feed_before(struct world *world) {
    for (unsigned i = 0; i < world->oddity.trimmed; i++)
        sim_send_bytes(&world->inputs, (uint32_t)draw(world, TABLE_COUNT), br_slice_of("gone"), 0);
    sim_trim(&world->inputs);
}

static void intrude(struct world *world) {
    if (world->seed % 3 != 1 || draw(world, 30) != 0)
        return;
    char subject[64];
    br_task_owner_subject("sim", subject, sizeof subject);
    if (draw(world, 3) == 0)
        br_task_lineage_subject("sim", lineages[draw(world, 2)], subject, sizeof subject);
    sim_intrude(world->feeder, subject, draw(world, 100));
    world->intrusions++;
}

// Servers that lose messages, clocks that jump, others who publish where the commits are (X22).
static void disturb(struct world *world) {
    intrude(world);
    if (world->crashes >= CRASHES_MAX && world->faults.crash != 0) {
        world->faults.crash = 0;
        br_sim_set_faults(world->sim, &world->faults);
    }
    if (world->oddity.goes_back && draw(world, 400) == 0) {
        sim_go_back(&world->inputs, (uint32_t)draw(world, world->inputs.stream_count), draw(world, LOST_MAX));
        world->went_back = true;
        if (draw(world, 2) == 0) // publishers are back at once
            feed(world, 1 + draw(world, 2 * LOST_MAX));
    }
    if (world->oddity.jumps && draw(world, 200) == 0)
        br_sim_jump(world->sim, (int64_t)draw(world, 2 * JUMP_US) - JUMP_US);
}

static void live(struct world *world) {
    for (int steps = 0; world->orders < world->orders_target || world->switches < world->switches_target; steps++) {
        if (steps == STEPS_MAX)
            die(world, "no progress under faults", "");
        if (draw(world, 3) == 0)
            feed(world, 1 + draw(world, 10));
        disturb(world);
        if (world->owner.log == NULL)
            start_owner(world);
        else if (draw(world, 100) == 0)
            replace(world, &world->owner);
        bool wanted = world->switches < world->switches_target && world->orders > 10;
        if (world->replay.log == NULL && wanted && draw(world, 8) == 0)
            start_replay(world);
        else if (world->replay.log != NULL && draw(world, 200) == 0)
            replace(world, &world->replay);
        if (draw(world, 2) == 0)
            step_process(world, &world->owner);
        for (int i = 0; i < 4; i++)
            if (world->replay.log != NULL && world->replay.task == NULL)
                step_process(world, &world->replay);
        promote_process(world);
        if (world->zombie.log != NULL && draw(world, 2) == 0)
            step_process(world, &world->zombie);
        if (world->feeder != NULL && draw(world, 4) == 0)
            br_log_wait(world->feeder, (int64_t)draw(world, 5000));
        if (world->zombie.log != NULL && draw(world, 300) == 0)
            retire_zombie(world);
    }
}

static void heal(struct world *world) {
    struct br_sim_faults none = {.seed = world->seed, .shown_max = world->faults.shown_max};
    br_sim_set_faults(world->sim, &none);
    bury(&world->zombie);
    bury(&world->replay);
    int idle = 0;
    for (int steps = 0; idle < 200; steps++) { // long enough for everything held back to be published
        if (steps == HEAL_STEPS_MAX)
            die(world, "no progress after healing", "");
        if (world->owner.log == NULL)
            start_owner(world);
        if (world->owner.task == NULL)
            continue;
        step_owner(world, &world->owner);
        br_log_wait(world->feeder, 1000);
        if (world->owner.task == NULL)
            continue;
        struct br_task_status status;
        br_task_status(world->owner.task, &status);
        idle = status.lag_messages == 0 && status.committed_epoch == status.epoch ? idle + 1 : 0;
    }
}

// --- one seed

static void open_world(struct world *world) {
    world->random = world->seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
    bool large = world->large = world->seed % 10 == 3;
    world->orders_target = large ? 2600 : 60 + draw(world, 200);
    world->epoch_messages = large ? 1200 : draw(world, 2) == 0 ? 0 : 1 + (uint32_t)draw(world, 40);
    world->switches_target = 1 + (int)draw(world, 3);
    world->oddity = sim_draw_oddity(&world->random);
    world->faults = (struct br_sim_faults){.seed = world->seed,
                                           .lose_ack = (uint32_t)draw(world, 60),
                                           .lose_batch = (uint32_t)draw(world, 60),
                                           .late_batch = (uint32_t)draw(world, 60),
                                           .delay = draw(world, 4) == 0 ? 800 : (uint32_t)draw(world, 400),
                                           .refuse = (uint32_t)draw(world, 30),
                                           .lose_request = (uint32_t)draw(world, 200),
                                           .double_request = (uint32_t)draw(world, 200),
                                           .late_request = (uint32_t)draw(world, 200),
                                           .cut_answer = (uint32_t)draw(world, 100),
                                           .shown_max = large ? 0 : world->oddity.shown_max,
                                           .crash = large ? 1 : (uint32_t)draw(world, 6)};
    world->arena = br_arena_create();
    world->sim = br_sim_create(&world->faults);
    br_sim_on_idle(world->sim, serve_idle, world);
    world->feeder = br_sim_connect(world->sim, false);
    for (int l = 0; l < LINEAGES; l++)
        world->stores[l] = br_store_create_memory();
    sim_inputs_open(&world->inputs, world->sim, world->feeder, world->pipelines[0], TABLE_COUNT, world->oddity.shared);
    feed_before(world);
    if (large)
        feed(world, 2400);
}

static void close_world(struct world *world) {
    bury(&world->owner);
    bury(&world->replay);
    bury(&world->zombie);
    sim_inputs_close(&world->inputs);
    br_log_close(&world->feeder);
    for (int l = 0; l < LINEAGES; l++) {
        br_store_destroy(&world->stores[l]);
        br_store_destroy(&world->old_stores[l]);
    }
    br_sim_destroy(&world->sim);
    br_arena_destroy(&world->arena);
}

struct totals {
    uint64_t crashes, fences, takeovers, finished, grafts, rebuilt, begun_anew, published_takeovers, published_finished,
        intrusions;
};

static void run_seed(uint64_t seed, struct br_pipeline *const *pipelines, const bool *asleep, struct totals *totals) {
    struct world *world = br_calloc(1, sizeof *world);
    world->seed = seed;
    world->pipelines = pipelines;
    world->by_published = seed % 3 == 0;
    world->asleep = world->by_published || seed % 4 == 0 ? NULL : asleep;
    open_world(world);
    live(world);
    heal(world);
    judge(world);
    totals->crashes += world->crashes;
    totals->fences += world->fences;
    totals->takeovers += world->takeovers;
    totals->finished += world->finished;
    totals->grafts += world->grafts;
    totals->rebuilt += world->rebuilt;
    totals->begun_anew += world->begun_anew;
    totals->published_takeovers += world->published_takeovers;
    totals->published_finished += world->published_finished;
    totals->intrusions += world->intrusions;
    close_world(world);
    free(world);
}

static bool *sleepers(struct br_pipeline *const *pipelines) {
    static const char *const expected = "same joined above slow windows passed names ticked counted ";
    struct br_upgrade *upgrade = br_upgrade_compare(pipelines[0], pipelines[1]);
    bool *asleep = br_calloc(pipelines[1]->view_count, sizeof *asleep);
    struct br_buffer names = {0};
    for (uint32_t i = 0; i < upgrade->view_count; i++)
        if (upgrade->views[i].takes_state) {
            asleep[upgrade->views[i].after->index] = true;
            br_buffer_printf(&names, "%s ", upgrade->views[i].view);
        }
    *br_buffer_reserve(&names, 1) = '\0';
    if (strcmp((const char *)names.ptr, expected) != 0) {
        printf("views that take their state over: %s\n", (const char *)names.ptr);
        exit(1);
    }
    br_buffer_free(&names);
    br_upgrade_destroy(&upgrade);
    return asleep;
}

int main(int argc, char **argv) {
    br_log_configure(getenv("BRAID_SIM_LOG") != NULL ? BR_LEVEL_DEBUG : BR_LEVEL_ERROR + 1, false);
    const char *wanted = getenv("BRAID_SIM_SEEDS");
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 1 ? 1 : wanted != NULL ? strtoull(wanted, NULL, 10) : 300;
    struct br_pipeline *pipelines[LINEAGES];
    for (int l = 0; l < LINEAGES; l++)
        pipelines[l] = sim_load(texts[l], "sim");
    struct totals totals = {0};
    bool *asleep = sleepers(pipelines);
    for (uint64_t seed = first; seed < first + count; seed++)
        run_seed(seed, pipelines, asleep, &totals);
    for (size_t i = 0; i < sizeof failed_once / sizeof *failed_once && argc == 1; i++)
        run_seed(failed_once[i], pipelines, asleep, &totals);
    if (count >= 300 && (totals.crashes == 0 || totals.fences == 0 || totals.finished == 0 || totals.grafts == 0 ||
                         totals.rebuilt == 0 || totals.begun_anew == 0 || totals.intrusions == 0 ||
                         (count >= 1000 && totals.published_finished == 0))) {
        printf("what never happened: %" PRIu64 " crashes, %" PRIu64 " fences, %" PRIu64
               " takeovers cut between parts, %" PRIu64 " states taken over, %" PRIu64 " of them built again, %" PRIu64
               " streams that went back, %" PRIu64 " takeovers by what was published cut, %" PRIu64 " intrusions\n",
               totals.crashes, totals.fences, totals.finished, totals.grafts, totals.rebuilt, totals.begun_anew,
               totals.published_finished, totals.intrusions);
        return 1;
    }
    for (int l = 0; l < LINEAGES; l++)
        br_pipeline_destroy(&pipelines[l]);
    printf("%" PRIu64 " seeds, %" PRIu64 " crashes, %" PRIu64 " fenced, %" PRIu64 " takeovers, %" PRIu64
           " of them ended by a successor, %" PRIu64 " times state taken over, %" PRIu64 " times from the log, %" PRIu64
           " times begun anew after a stream went back, %" PRIu64 " takeovers by what was published, %" PRIu64
           " of them ended by a successor, %" PRIu64 " times others published among the commits\n",
           count, totals.crashes, totals.fences, totals.takeovers, totals.finished, totals.grafts, totals.rebuilt,
           totals.begun_anew, totals.published_takeovers, totals.published_finished, totals.intrusions);
    free(asleep);
    printf("%" PRIu64 " passed, 0 failed\n", count);
    return 0;
}
