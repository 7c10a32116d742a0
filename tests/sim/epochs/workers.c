// SPDX-License-Identifier: Apache-2.0
// Workers in a world of sim_epochs: they start, die, are followed by others.
#include "world.h"

#include "braid/v1/commit.pb-c.h"

static enum br_status open_store(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error) {
    struct world *world = context;
    (void)error;
    if (set_aside) {
        br_store_destroy(&world->store);
        world->store = br_store_create_memory();
    }
    *ret_store = br_store_share_memory(world->store);
    return BR_OK;
}

// Did the last worker die between the parts of an epoch?
static void note_cut_epoch(struct world *world) {
    struct br_error error;
    struct br_buffer copy = {0};
    struct br_log_message last;
    bool found = false;
    char stream[256], subject[256];
    br_task_output_stream(world->pipeline->name, stream, sizeof stream);
    br_task_owner_subject(world->pipeline->name, subject, sizeof subject);
    if (br_log_last(world->feeder, stream, subject, &copy, &last, &found, &error) == BR_OK && found) {
        Braid__V1__Commit *commit = braid__v1__commit__unpack(NULL, last.payload.len, last.payload.ptr);
        world->cut_epochs += commit != NULL && commit->part != commit->parts;
        braid__v1__commit__free_unpacked(commit, NULL);
    }
    br_buffer_free(&copy);
}

static bool was_fenced(const struct br_error *error) {
    return strncmp(error->message, "fenced", 6) == 0;
}

// A stream that went back is noticed: by another message where one was read, by what isn't there, or by its end.
static bool told_change(const struct world *world, const struct br_error *error) {
    return world->went_back &&
           (error->native == BR_LOG_CHANGED || strstr(error->message, "history has a hole") != NULL);
}

void bury(struct br_task **task, struct br_log **log) {
    br_task_destroy(task);
    br_log_close(log);
}

// The way out of a stream that went back: the output stream is removed, and all is computed from what there is now.
static void begin_anew(struct world *world) {
    bury(&world->zombie, &world->zombie_log);
    br_sim_recreate(world->sim, "BRAID_sim");
    if (draw(world, 2) == 0) { // else the state that is left belongs to nothing any more
        br_store_destroy(&world->store);
        world->store = br_store_create_memory();
    }
    world->went_back = false;
    world->begun_anew++;
}

void start(struct world *world, struct br_task **ret_task) {
    struct br_error error;
    note_cut_epoch(world);
    char *worker = world->workers[world->starts++ % 256];
    snprintf(worker, 16, "w%u", world->starts);
    world->log = br_sim_connect(world->sim, true);
    struct br_task_options options = {.pipeline = world->pipeline,
                                      .log = world->log,
                                      .clock = br_sim_clock(world->sim),
                                      .worker = worker,
                                      .open_store = open_store,
                                      .store_context = world,
                                      .epoch_messages = world->epoch_messages,
                                      .flush_interval_us = draw(world, 2) == 0 ? -1 : 20000};
    enum br_status status = br_task_create(&options, ret_task, &error);
    if (status == BR_OK)
        status = br_task_recover(*ret_task, &error);
    if (status == BR_OK)
        return;
    bool changed = !br_sim_crashed(world->log) && told_change(world, &error);
    if (!br_sim_crashed(world->log) && !was_fenced(&error) && !changed)
        die(world, "recovery failed", error.message);
    bury(ret_task, &world->log);
    world->crashes += !changed;
    world->changes_told += changed;
    if (changed)
        begin_anew(world);
}

bool step(struct world *world, struct br_log *log, struct br_task *task, bool *ret_worked) {
    struct br_error error;
    enum br_status status = br_task_step(task, ret_worked, &error);
    if (status == BR_OK)
        return true;
    if (br_sim_crashed(log)) {
        world->crashes++;
        return false;
    }
    if (told_change(world, &error))
        return world->changes_told++, false; // the next worker finds it too
    if (!was_fenced(&error))
        die(world, "a step failed", error.message);
    world->fences++;
    return false;
}

static void replace_store(struct world *world, struct br_store *take_store) {
    br_store_destroy(&world->store);
    world->store = take_store;
}

void succeed(struct world *world) {
    bool leave_zombie = world->task != NULL && world->zombie == NULL && draw(world, 3) == 0;
    if (leave_zombie) {
        world->zombie = world->task;
        world->zombie_log = world->log;
        world->task = NULL;
        world->log = NULL;
    } else {
        bury(&world->task, &world->log);
    }
    if (leave_zombie || draw(world, 4) == 0) // another machine, or a lost disk
        replace_store(world, br_store_create_memory());
    if (world->oddity.old_disks && world->old_store != NULL && draw(world, 3) == 0)
        replace_store(world, sim_copy_store(world->old_store));
    if (world->oddity.old_disks && draw(world, 3) == 0) {
        br_store_destroy(&world->old_store);
        world->old_store = sim_copy_store(world->store);
    }
    start(world, &world->task);
}
