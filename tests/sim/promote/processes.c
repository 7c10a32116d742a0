// SPDX-License-Identifier: Apache-2.0
// The processes of a world of sim_promote: the owner, the replay, and what is left of earlier ones.
#include "world.h"

#include "replay/commits.h"
#include "replay/plan.h"

#define SMALL_BUDGET (16 << 10) // so that what is copied is flushed on the way

enum br_status open_store(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error) {
    struct br_store **store = context;
    (void)error;
    if (set_aside) {
        br_store_destroy(store);
        *store = br_store_create_memory();
    }
    *ret_store = br_store_share_memory(*store);
    return BR_OK;
}

static enum br_status open_empty(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error) {
    (void)context, (void)set_aside, (void)error;
    *ret_store = br_store_create_memory();
    return BR_OK;
}

void bury(struct process *process) {
    br_replay_destroy(&process->replay);
    br_task_destroy(&process->task);
    br_control_close(&process->control);
    br_requests_destroy(&process->requests);
    br_log_close(&process->log);
    br_store_destroy(&process->store);
    *process = (struct process){0};
}

static const char *new_worker(struct world *world) {
    char *worker = world->workers[world->starts++ % 512];
    snprintf(worker, 16, "w%u", world->starts);
    return worker;
}

static bool is_fenced(const struct br_error *error) {
    return strncmp(error->message, "fenced", 6) == 0 || strstr(error->message, "has taken the outputs") != NULL ||
           strstr(error->message, "owns the outputs") != NULL ||
           strstr(error->message, "were taken over with another plan meanwhile") != NULL; // by its own twin
}

// An old disk may come back: with a state that the log has left behind.
void retire_zombie(struct world *world) {
    struct process *zombie = &world->zombie;
    bool used = (world->owner.log != NULL && world->owner.lineage == zombie->lineage) ||
                (world->replay.log != NULL && world->replay.lineage == zombie->lineage);
    if (!used && zombie->store != NULL && draw(world, 2) == 0) {
        br_store_destroy(&world->stores[zombie->lineage]);
        world->stores[zombie->lineage] = zombie->store;
        zombie->store = NULL;
    }
    bury(zombie);
}

// A stream that went back is noticed: by another message where one was read, by what isn't there, or by its end.
static bool told_change(const struct world *world, const struct br_error *error) {
    return world->went_back &&
           (error->native == BR_LOG_CHANGED || strstr(error->message, "history has a hole") != NULL);
}

// The way out: the output stream is removed, and everything is computed from what the streams hold now.
static void begin_anew(struct world *world) {
    bury(&world->owner);
    bury(&world->replay);
    bury(&world->zombie);
    br_sim_recreate(world->sim, "BRAID_sim");
    for (int l = 0; l < LINEAGES; l++) {
        br_store_destroy(&world->stores[l]);
        world->stores[l] = br_store_create_memory();
    }
    world->went_back = world->planned = false;
    world->switches = 0;
    world->begun_anew++;
}

// A process has failed: it may have crashed or been fenced, has to try again, or was told that a stream has changed;
// nothing else.
static void note_end(struct world *world, struct process *process, const struct br_error *error, const char *what) {
    if (error->status == BR_RETRY)
        return;
    if (process->log != NULL && br_sim_crashed(process->log))
        world->crashes++;
    else if (is_fenced(error))
        world->fences++;
    else if (told_change(world, error))
        return begin_anew(world);
    else
        die(world, what, error->message);
    if (process == &world->zombie)
        retire_zombie(world);
    else
        bury(process);
}

int owner_of(struct world *world) {
    struct br_error error;
    struct br_owner owner;
    if (br_task_find_owner(world->feeder, "sim", &owner, &error) != BR_OK)
        return 0; // no output stream yet
    return strcmp(owner.lineage, lineages[1]) == 0 ? 1 : 0;
}

static enum br_status graft(void *context, struct br_task *task, struct br_error *error);

// What a graft in a process's recovery needs.
struct link {
    struct world *world;
    struct br_log *log;
};

static struct link *link_of(struct world *world, struct br_log *log) {
    struct link *link = br_arena_new(world->arena, struct link);
    *link = (struct link){world, log};
    return link;
}

// A copy of the lineage's state at this epoch, from its first commit on.
static enum br_status build_shadow(struct world *world, struct br_log *log, int lineage, uint64_t epoch,
                                   struct br_task **ret_shadow, struct br_error *error) {
    struct br_commits *commits = NULL;
    struct br_task_options options = {.pipeline = world->pipelines[lineage],
                                      .log = log,
                                      .clock = br_sim_clock(world->sim),
                                      .lineage = lineages[lineage],
                                      .role = BR_TASK_SHADOW,
                                      .graft = graft,
                                      .graft_context = link_of(world, log),
                                      .open_store = open_empty,
                                      .flush_interval_us = -1};
    enum br_status status = br_task_create(&options, ret_shadow, error);
    if (status == BR_OK)
        status = br_task_recover(*ret_shadow, error);
    while (status == BR_OK && commits == NULL) {
        status = br_commits_open(log, "sim", 0, &commits, error);
        status = status == BR_RETRY ? BR_OK : status;
    }
    while (status == BR_OK && br_task_epoch(*ret_shadow) < epoch) {
        const struct br_log_message *message;
        const Braid__V1__Commit *commit;
        status = br_commits_next(commits, &message, &commit, error);
        if (status != BR_OK || message == NULL) {
            br_log_wait(log, 1000);
            continue;
        }
        status = br_task_follow(*ret_shadow, message, error);
        br_commits_done(commits);
    }
    br_commits_close(&commits);
    return status;
}

// Recovery has come to where sleeping views woke.
static enum br_status graft(void *context, struct br_task *task, struct br_error *error) {
    struct link *link = context;
    struct br_task *shadow = NULL;
    const char *lineage;
    uint64_t epoch = br_task_follows(task, &lineage, NULL);
    enum br_status status =
        build_shadow(link->world, link->log, strcmp(lineage, lineages[1]) == 0 ? 1 : 0, epoch, &shadow, error);
    if (status == BR_OK)
        status = br_task_graft(task, shadow, NULL, NULL, error);
    link->world->rebuilt += status == BR_OK;
    br_task_destroy(&shadow);
    return status;
}

static enum br_status load_plan(void *context, uint64_t plan_hash, struct br_pipeline **ret_owned,
                                const struct br_pipeline **ret_pipeline, struct br_error *error) {
    const struct world *world = context;
    (void)error;
    *ret_owned = NULL;
    *ret_pipeline = world->pipelines[world->pipelines[1]->plan_hash == plan_hash ? 1 : 0];
    return BR_OK;
}

// What a lineage that owns the outputs has published.
static enum br_status open_published(struct world *world, struct br_log *log, int lineage, struct br_replay *replay,
                                     struct br_published **ret_published, struct br_error *error) {
    struct br_published_options options = {.log = log,
                                           .pipeline = world->pipelines[lineage],
                                           .load = load_plan,
                                           .load_context = world,
                                           .take_store = br_store_create_memory(),
                                           .budget_bytes = draw(world, 2) == 0 ? (size_t)64 << 20 : SMALL_BUDGET,
                                           .changes = replay == NULL ? NULL : br_replay_published_changes,
                                           .changes_context = replay};
    return br_published_create(&options, ret_published, error);
}

static void must_be_whole(const struct world *world, const struct br_published *published, int lineage) {
    const struct br_pipeline *pipeline = world->pipelines[lineage];
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        if (br_published_gap(published, v) != NULL)
            die(world, pipeline->views[v].name, br_published_gap(published, v));
}

static enum br_status finish_by_published(struct world *world, struct process *process, struct br_error *error) {
    int from = 1 - process->lineage;
    uint64_t sequence = br_task_unfinished_takeover(process->task)->from_sequence;
    struct br_published *published = NULL;
    BR_TRY(open_published(world, process->log, from, NULL, &published, error));
    enum br_status status;
    while ((status = br_published_follow(published, sequence, error)) == BR_RETRY)
        br_log_wait(process->log, 1000);
    if (status == BR_OK) {
        must_be_whole(world, published, from);
        struct br_lineage_state former = br_replay_published_state(published, world->pipelines[from]);
        status = br_replay_finish_takeover(process->task, &former, world->pipelines[process->lineage], error);
    }
    world->finished += status == BR_OK;
    world->published_finished += status == BR_OK;
    br_published_destroy(&published);
    return status;
}

// The rest of a takeover that was cut between its parts.
static enum br_status finish_takeover(struct world *world, struct process *process, struct br_error *error) {
    if (world->by_published)
        return finish_by_published(world, process, error);
    const Braid__V1__Takeover *record = br_task_unfinished_takeover(process->task);
    int from = 1 - process->lineage;
    struct br_task *shadow = NULL;
    enum br_status status = build_shadow(world, process->log, from, record->from_epoch, &shadow, error);
    if (status == BR_OK) {
        struct br_lineage_state former = br_replay_state_of(shadow, world->pipelines[from]);
        status = br_replay_finish_takeover(process->task, &former, world->pipelines[process->lineage], error);
    }
    world->finished += status == BR_OK;
    br_task_destroy(&shadow);
    return status;
}

// A folder of state belongs to one process: who has lost the ownership and hasn't noticed yet is gone before another
// one opens it.
static void free_store(struct process *process, int lineage) {
    if (process->log != NULL && process->lineage == lineage)
        bury(process);
}

static void serve(struct world *world, struct process *process) {
    if (process->control == NULL)
        process->control = br_sim_control(world->sim, true);
    process->requests = br_requests_create();
    br_task_serve(process->control, "sim", process->requests);
    br_task_serve_from_now(process->task, &(struct br_task_options){.requests = process->requests});
}

void start_owner(struct world *world) {
    struct process *process = &world->owner;
    struct br_error error;
    process->lineage = owner_of(world);
    free_store(&world->replay, process->lineage);
    process->log = br_sim_connect(world->sim, true);
    struct br_task_options options = {.pipeline = world->pipelines[process->lineage],
                                      .log = process->log,
                                      .clock = br_sim_clock(world->sim),
                                      .lineage = lineages[process->lineage],
                                      .role = BR_TASK_OWNER,
                                      .worker = new_worker(world),
                                      .graft = graft,
                                      .graft_context = link_of(world, process->log),
                                      .open_store = open_store,
                                      .store_context = &world->stores[process->lineage],
                                      .epoch_messages = world->epoch_messages,
                                      .flush_interval_us = draw(world, 2) == 0 ? -1 : 20000};
    enum br_status status = br_task_create(&options, &process->task, &error);
    if (status == BR_OK)
        status = br_task_recover(process->task, &error);
    if (status == BR_OK && br_task_unfinished_takeover(process->task) != NULL)
        status = finish_takeover(world, process, &error);
    if (status == BR_OK)
        serve(world, process);
    if (status == BR_RETRY)
        bury(process);
    else if (status != BR_OK)
        note_end(world, process, &error, "the owner can't start");
}

void step_owner(struct world *world, struct process *process) {
    struct br_error error;
    bool worked;
    if (br_task_step(process->task, &worked, &error) != BR_OK)
        note_end(world, process, &error, "a step of the owner failed");
}

// While rows are copied: sometimes not all of them are, and the process goes on, or dies of it.
static enum br_status tick(void *context, struct br_error *error) {
    struct world *world = context;
    uint64_t chance = draw(world, world->large ? 400 : 5);
    if (chance < 2 && world->cuts++ >= CUTS_MAX)
        return BR_OK;
    if (chance == 0)
        return br_error_set(error, BR_RETRY, "made up");
    return chance == 1 ? br_error_set(error, BR_FATAL, "fenced: made up") : BR_OK;
}

// Where the changed pipeline's lineage begins is found out once, before it runs, as for a job. False when nothing is
// recorded yet.
static bool plan_replay(struct world *world) {
    struct br_error error;
    struct br_replay_plan *plan;
    struct br_upgrade *upgrade = br_upgrade_compare(world->pipelines[0], world->pipelines[1]);
    struct br_replay_plan_options options = {.log = world->feeder,
                                             .pipeline_name = "sim",
                                             .pipeline = world->pipelines[1],
                                             .mode = BRAID__V1__REPLAY_MODE__REPLAY_MODE_RECOMPUTE,
                                             .upgrade = upgrade,
                                             .take_over = world->asleep != NULL};
    must(world, br_replay_plan_make(&options, &plan, &error), &error);
    must(world, br_replay_plan_check(plan, &error), &error);
    for (uint32_t t = 0; t < TABLE_COUNT; t++)
        world->begin[t] = plan->inputs[t]->first_sequence;
    world->planned = plan->base_lineage[0] != '\0';
    br_replay_plan_free(&plan);
    br_upgrade_destroy(&upgrade);
    return world->planned;
}

void start_replay(struct world *world) {
    struct process *process = &world->replay;
    struct br_error error;
    int base = owner_of(world);
    if (base == 0 && !world->planned && !plan_replay(world))
        return;
    process->lineage = 1 - base;
    free_store(&world->owner, process->lineage);
    process->log = br_sim_connect(world->sim, true);
    process->control = br_sim_control(world->sim, true);
    struct br_replay_options options = {.pipeline = world->pipelines[1 - base],
                                        .base_pipeline = world->pipelines[base],
                                        .lineage = lineages[1 - base],
                                        .base_lineage = lineages[base],
                                        .log = process->log,
                                        .control = process->control,
                                        .clock = br_sim_clock(world->sim),
                                        .worker = new_worker(world),
                                        .begin = base == 0 ? world->begin : NULL,
                                        .asleep = base == 0 ? world->asleep : NULL,
                                        .graft = graft,
                                        .graft_context = link_of(world, process->log),
                                        .open_store = open_store,
                                        .store_context = &world->stores[1 - base],
                                        .state_budget_bytes = draw(world, 2) == 0 ? 0 : SMALL_BUDGET,
                                        .tick = tick,
                                        .tick_context = world,
                                        .flush_interval_us = draw(world, 2) == 0 ? -1 : 20000};
    enum br_status status = br_replay_create(&options, &process->replay, &error);
    if (status == BR_RETRY)
        bury(process);
    else if (status != BR_OK)
        note_end(world, process, &error, "the replay can't start");
}

static enum br_status try_promotion(struct world *world, struct process *process, struct br_error *error) {
    bool aligned, slept = br_task_sleeps(br_replay_task(process->replay));
    bool wakes = slept && br_replay_shadow(process->replay) != NULL &&
                 br_task_epoch(br_replay_shadow(process->replay)) == br_replay_follows(process->replay);
    if (wakes && draw(world, 4) == 0 && world->cuts++ < CUTS_MAX)
        br_sim_crash_at(process->log, 1 + draw(world, 20));
    BR_TRY(br_replay_align(process->replay, &aligned, error));
    if (aligned && world->by_published)
        must_be_whole(world, br_replay_published(process->replay), 1 - process->lineage);
    world->grafts += slept && aligned;
    if (!aligned || draw(world, 4) != 0)
        return BR_OK;
    struct br_promotion promotion = {.reason = "sim", .rollback = process->lineage == 0, .hold_us = 100000};
    enum br_promoted promoted;
    if (draw(world, 8) < (world->large ? 7 : 4)) // death at any call of a takeover; the large ones have parts
        br_sim_crash_at(process->log, 1 + draw(world, 12));
    BR_TRY(br_replay_promote(process->replay, &promotion, &promoted, error));
    if (promoted == BR_PROMOTE_REFUSED)
        return BR_FATAL; // by a takeover of another's
    if (promoted == BR_PROMOTED) {
        br_sim_crash_at(process->log, 0);
        process->task = br_replay_take_task(process->replay);
        br_replay_destroy(&process->replay);
        world->takeovers++;
        world->published_takeovers += world->by_published;
    }
    return BR_OK;
}

static enum br_status add_former_side(struct world *world, struct process *process, struct br_error *error) {
    struct br_published *published = NULL;
    if (!world->by_published)
        return br_replay_add_shadow(process->replay, open_empty, NULL, error);
    BR_TRY(open_published(world, process->log, 1 - process->lineage, process->replay, &published, error));
    br_replay_add_published(process->replay, published);
    return BR_OK;
}

static void step_replay(struct world *world, struct process *process) {
    struct br_error error;
    enum br_replay_progress progress;
    enum br_status status = br_replay_step(process->replay, &progress, &error);
    if (status == BR_OK && !process->has_shadow && draw(world, 10) == 0) {
        status = add_former_side(world, process, &error);
        process->has_shadow = status == BR_OK;
    }
    if (status == BR_OK && process->has_shadow && progress != BR_REPLAY_REACHED &&
        (br_replay_differences(process->replay) == NULL || progress == BR_REPLAY_WAITING))
        status = try_promotion(world, process, &error);
    if (status != BR_OK)
        note_end(world, process, &error, "a step of the replay failed");
}

void step_process(struct world *world, struct process *process) {
    if (process->replay != NULL)
        step_replay(world, process);
    else if (process->task != NULL)
        step_owner(world, process);
}

// It goes on, on a store of its own.
static void leave_zombie(struct world *world, struct process *process) {
    world->zombie = *process;
    world->zombie.store = world->stores[process->lineage];
    world->stores[process->lineage] = br_store_create_memory();
    *process = (struct process){0};
}

void promote_process(struct world *world) {
    if (world->replay.task == NULL)
        return;
    if (world->zombie.log == NULL && world->owner.log != NULL && draw(world, 2) == 0)
        leave_zombie(world, &world->owner);
    else
        bury(&world->owner); // its store is there for the way back
    world->owner = world->replay;
    world->replay = (struct process){0};
    world->switches++;
    serve(world, &world->owner);
}

static void replace_store(struct br_store **store, struct br_store *take_store) {
    br_store_destroy(store);
    *store = take_store;
}

void replace(struct world *world, struct process *process) {
    int lineage = process->lineage;
    if (process->log != NULL && world->zombie.log == NULL && draw(world, 3) == 0) {
        leave_zombie(world, process);
        return;
    }
    bury(process);
    if (draw(world, 4) == 0)
        replace_store(&world->stores[lineage], br_store_create_memory());
    if (world->oddity.old_disks && world->old_stores[lineage] != NULL && draw(world, 3) == 0)
        replace_store(&world->stores[lineage], sim_copy_store(world->old_stores[lineage]));
    if (world->oddity.old_disks && draw(world, 3) == 0)
        replace_store(&world->old_stores[lineage], sim_copy_store(world->stores[lineage]));
}

void serve_idle(void *context) {
    struct world *world = context;
    struct br_error error;
    bool worked;
    if (world->zombie.task != NULL && world->zombie.requests != NULL && draw(world, 4) == 0)
        step_owner(world, &world->zombie); // it hears what is asked of the owner, and answers
    if (world->owner.task != NULL && world->owner.log != NULL && draw(world, 3) != 0 &&
        br_task_step(world->owner.task, &worked, &error) != BR_OK)
        note_end(world, &world->owner, &error, "a step of the owner failed");
}
