// SPDX-License-Identifier: Apache-2.0
// See runner.h. Each wish is a function here that brings the job to its next phase.
#include "replay/runner_internal.h"

#include "base/logging.h"
#include "processor/pipeline_text.h"
#include "processor/sql/sql.h"
#include "replay/selection.h"
#include "replay/upgrade.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RENEW_US INT64_C(500000)
#define WAIT_US 10000
#define HOLD_US INT64_C(300000)
#define REBUILDS_MAX 1 // of state that was found damaged while a wish was fulfilled

#define PHASE(name) BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_##name
#define WISH(name) BRAID__V1__REPLAY_WISH__REPLAY_WISH_##name

static int64_t now_us(void) {
    return br_clock_system()->mono(br_clock_system()).us;
}

static struct br_wall_time wall(void) {
    return br_clock_system()->wall(br_clock_system());
}

bool run_stopped(const struct run *run) {
    return run->options->stop != NULL && br_flag_is_set(run->options->stop);
}

// --- the record

enum br_status run_change(struct run *run, br_job_change *change, void *context, struct br_error *error) {
    bool held;
    BR_TRY(br_jobs_change_held(run->options->jobs, run->id, run->options->worker, change, context, NULL, &held, error));
    run->held = held;
    if (!held)
        return br_error_set(error, BR_RETRY, "another worker has taken replay %s over", run->id);
    struct br_job job;
    BR_TRY(br_jobs_read(run->options->jobs, run->id, &job, error));
    br_job_free(&run->job);
    run->job = job;
    return BR_OK;
}

struct phase_change {
    Braid__V1__ReplayPhase phase;
    Braid__V1__ReplayWish wish, next; // which one is fulfilled, and what comes of it
    bool fulfilled, started, ended;
    const char *text; // of the error; NULL: none
    const char *former_lineage;
    uint64_t takeover_epoch;
};

static enum br_status put_phase(void *context, struct br_job *job, bool *ret_write, struct br_error *error) {
    const struct phase_change *change = context;
    Braid__V1__ReplayJob *record = job->record;
    (void)error;
    *ret_write = true;
    record->phase = change->phase;
    // Somebody may have made another wish meanwhile: it stands, if it has a meaning now.
    if (change->fulfilled && (record->wish == change->wish || !br_job_has_work(record)))
        record->wish = change->next;
    if (change->started && record->started_us == 0)
        record->started_us = wall().us;
    if (change->ended)
        record->ended_us = wall().us;
    record->error = change->text == NULL ? (char *)"" : br_arena_strdup(job->arena, change->text);
    if (change->former_lineage != NULL)
        record->former_lineage = br_arena_strdup(job->arena, change->former_lineage);
    if (change->takeover_epoch != 0)
        record->takeover_epoch = change->takeover_epoch;
    return BR_OK;
}

static enum br_status set_phase(struct run *run, struct phase_change change, struct br_error *error) {
    change.wish = run->wish;
    return run_change(run, put_phase, &change, error);
}

// --- progress

static struct br_task *task_of(const struct run *run) {
    return run->replay != NULL ? br_replay_task(run->replay) : run->verifier;
}

uint64_t run_position(const struct run *run) {
    const Braid__V1__ReplayJob *record = run->job.record;
    const struct br_pipeline *pipeline = run->own.pipeline != NULL ? run->own.pipeline : run->base.pipeline;
    struct br_task *task = task_of(run);
    uint64_t done = 0;
    for (size_t i = 0; i < record->n_inputs; i++) {
        const struct br_table *table = br_pipeline_find_table(pipeline, record->inputs[i]->table);
        uint64_t first = record->inputs[i]->first_sequence, last = record->inputs[i]->last_sequence;
        // Of a table that no view reads any more (--only) nothing is left to do.
        uint64_t at = table == NULL ? last : br_task_position(task, table->index, NULL);
        at = at > last ? last : at;
        done += at >= first && first != 0 ? at - first + 1 : 0;
    }
    return done;
}

static void measure(struct run *run) {
    Braid__V1__ReplayProgress *progress = run->job.record->progress;
    struct br_task_status status;
    if (task_of(run) == NULL || progress == NULL)
        return;
    br_task_status(task_of(run), &status);
    uint64_t done = run_position(run);
    int64_t now = now_us();
    if (run->measured_us != 0 && now > run->measured_us && done > run->measured_messages)
        progress->messages_per_second =
            (double)(done - run->measured_messages) * 1e6 / (double)(now - run->measured_us);
    run->measured_us = now;
    run->measured_messages = done;
    progress->messages_done = done > progress->messages_done ? done : progress->messages_done;
    progress->epochs = status.epoch;
    progress->rows_out = status.rows_out;
    progress->late = status.late;
    progress->quarantined = status.quarantined;
    progress->failed = status.failed;
    uint64_t left = progress->messages_total > done ? progress->messages_total - done : 0;
    progress->seconds_left =
        progress->messages_per_second > 0 ? (int64_t)((double)left / progress->messages_per_second) : -1;
}

enum br_status run_tick(struct run *run, bool *ret_go_on, struct br_error *error) {
    *ret_go_on = !run_stopped(run) && run->held;
    int64_t now = now_us();
    if (now - run->renewed_us < RENEW_US)
        return BR_OK;
    run->renewed_us = now;
    measure(run);
    struct br_job job = {0};
    bool held;
    BR_TRY(br_jobs_renew(run->options->jobs, run->id, run->options->worker, wall(), run->job.record->progress, &job,
                         &held, error));
    run->held = held;
    if (held) {
        br_job_free(&run->job);
        run->job = job;
    }
    Braid__V1__ReplayWish wish = run->job.record->wish;
    *ret_go_on = held && !run_stopped(run) && wish != WISH(PAUSE) && wish != WISH(CANCEL);
    return BR_OK;
}

enum br_status run_tick_comparing(void *context, struct br_error *error) {
    struct run *run = context;
    bool go_on;
    BR_TRY(run_tick(run, &go_on, error));
    if (!run->held)
        return br_error_set(error, BR_RETRY, "another worker has taken replay %s over", run->id);
    return BR_OK;
}

enum br_status run_tick_now(struct run *run, bool *ret_go_on, struct br_error *error) {
    run->renewed_us = 0;
    return run_tick(run, ret_go_on, error);
}

// --- the lineage

static void fill_beginnings(struct run *run) {
    const Braid__V1__ReplayJob *record = run->job.record;
    const struct br_pipeline *pipeline = run->own.pipeline;
    run->prehistory = br_calloc(pipeline->table_count + 1, sizeof *run->prehistory);
    run->begin = br_calloc(pipeline->table_count + 1, sizeof *run->begin);
    for (size_t i = 0; i < record->n_inputs; i++) {
        const struct br_table *table = br_pipeline_find_table(pipeline, record->inputs[i]->table);
        if (table == NULL)
            continue;
        run->prehistory[table->index] = record->inputs[i]->prehistory;
        run->begin[table->index] = record->inputs[i]->first_sequence;
    }
}

static void fill_asleep(struct run *run) {
    const Braid__V1__ReplayJob *record = run->job.record;
    run->asleep = br_calloc(run->own.pipeline->view_count + 1, sizeof *run->asleep);
    for (size_t i = 0; i < record->n_taken_over; i++) {
        const struct br_view *view = br_pipeline_find_view(run->own.pipeline, record->taken_over[i]);
        if (view != NULL)
            run->asleep[view->index] = true;
    }
}

static bool begins_later(const struct run *run) {
    for (uint32_t t = 0; t < run->own.pipeline->table_count; t++)
        if (run->begin[t] > 1)
            return true;
    return false;
}

static enum br_status open_own_store(void *context, bool set_aside, struct br_store **ret_store,
                                     struct br_error *error) {
    return br_worker_open_store(((struct run *)context)->state_path, set_aside, ret_store, error);
}

static enum br_status open_replay(struct run *run, struct br_error *error) {
    const struct br_runner_options *options = run->options;
    const Braid__V1__ReplayJob *record = run->job.record;
    BR_TRY(br_worker_state_path(options->data_path, options->pipeline_name, run->lineage, run->state_path,
                                sizeof run->state_path, error));
    fill_beginnings(run);
    fill_asleep(run);
    bool rolls_back = strcmp(run->lineage, run->id) != 0;
    struct br_replay_options replay = {.pipeline = run->own.pipeline,
                                       .base_pipeline = run->base.pipeline,
                                       .lineage = run->lineage,
                                       .base_lineage = run->base_lineage,
                                       .log = run->log,
                                       .control = options->control,
                                       .clock = br_clock_system(),
                                       .worker = options->worker,
                                       .open_store = open_own_store,
                                       .store_context = run,
                                       .open_input = br_history_open_input,
                                       .input_context = run->own.history,
                                       .base_input_context = run->base.history,
                                       .prehistory = rolls_back ? NULL : run->prehistory,
                                       .begin = rolls_back || !begins_later(run) ? NULL : run->begin,
                                       .asleep = rolls_back ? NULL : run->asleep,
                                       .graft = br_former_graft,
                                       .graft_context = &run->former,
                                       .fresh_epochs = record->fresh_epochs,
                                       .publish_as = record->publish && !rolls_back ? run->id : NULL,
                                       .include_late = record->include_late,
                                       .include_quarantine = record->include_quarantine,
                                       .include_until = rolls_back ? 0 : record->base_last_epoch,
                                       .anew = run_is_anew(run),
                                       .as_chosen = record->rebuild && !record->fresh_epochs &&
                                                    record->sql[0] == '\0' && !rolls_back,
                                       .state_budget_bytes = options->state_budget_bytes,
                                       .stop = options->stop,
                                       .tick = run_tick_comparing,
                                       .tick_context = run};
    BR_TRY(br_replay_create(&replay, &run->replay, error));
    run_begin_pace(run);
    return BR_OK;
}

// One step, and what has to be done beside it.
static enum br_status step(struct run *run, enum br_replay_progress *ret_progress, bool *ret_go_on,
                           struct br_error *error) {
    enum br_status status = br_replay_step(run->replay, ret_progress, error);
    if (status == BR_RETRY && !run_stopped(run)) {
        *ret_progress = BR_REPLAY_WAITING;
        status = BR_OK;
    }
    BR_TRY(status);
    return run_pace(run, ret_go_on, error);
}

// Ended by a wish or a stop: what there is gets flushed, so that it is there when it goes on.
static enum br_status interrupted(struct run *run, struct br_error *error) {
    if (!run->held)
        return br_error_set(error, BR_RETRY, "another worker has taken replay %s over", run->id);
    if (run->replay != NULL)
        BR_TRY(br_task_stop(br_replay_task(run->replay), error));
    Braid__V1__ReplayWish wish = run->job.record->wish;
    if (wish == WISH(CANCEL) || wish == WISH(PAUSE))
        run->wish = wish;
    if (wish == WISH(CANCEL))
        return set_phase(run, (struct phase_change){.phase = PHASE(CANCELLED), .fulfilled = true, .ended = true},
                         error);
    if (wish == WISH(PAUSE))
        return set_phase(run, (struct phase_change){.phase = PHASE(PAUSED), .fulfilled = true}, error);
    return br_error_set(error, BR_RETRY, "stopped");
}

// --- recompute

// To the end of what was there when the job was made. *ret_go_on false: interrupted.
static enum br_status run_to_the_end(struct run *run, bool *ret_go_on, struct br_error *error) {
    br_replay_set_target(run->replay, run->job.record->base_last_epoch);
    enum br_replay_progress progress = BR_REPLAY_WORKED;
    *ret_go_on = true;
    while (progress != BR_REPLAY_REACHED) {
        BR_TRY(step(run, &progress, ret_go_on, error));
        if (!*ret_go_on)
            return BR_OK;
        if (progress == BR_REPLAY_WAITING)
            br_log_wait(run->log, WAIT_US);
    }
    bool ignored;
    BR_TRY(br_task_stop(br_replay_task(run->replay), error));
    return run_tick_now(run, &ignored, error);
}

static enum br_status recompute(struct run *run, struct br_error *error) {
    bool go_on;
    BR_TRY(run_load_base(run, run->job.record->base_plan_hash, &run->base, error));
    BR_TRY(run_load_own(run, &run->own, error));
    BR_TRY(set_phase(run, (struct phase_change){.phase = PHASE(RUNNING), .started = true}, error));
    BR_TRY(open_replay(run, error));
    BR_TRY(run_to_the_end(run, &go_on, error));
    if (!go_on)
        return interrupted(run, error);
    struct phase_change change = {.phase = PHASE(DONE), .fulfilled = true, .ended = true};
    if (run->job.record->reconcile)
        change.next = WISH(COMPARE);
    return set_phase(run, change, error);
}

// --- the same position

static bool shadow_is_behind(const struct run *run) {
    struct br_task *shadow = br_replay_shadow(run->replay);
    return shadow != NULL && br_task_epoch(shadow) < br_replay_follows(run->replay);
}

// Brings replay and base to the same epoch. *ret_go_on false: interrupted.
static enum br_status align(struct run *run, bool *ret_go_on, struct br_error *error) {
    BR_TRY(run_add_base_side(run, error));
    bool aligned = false;
    *ret_go_on = true;
    while (!aligned && *ret_go_on) {
        BR_TRY(br_replay_align(run->replay, &aligned, error));
        if (aligned)
            return BR_OK;
        enum br_replay_progress progress = BR_REPLAY_WORKED;
        // A shadow that is behind catches up while the replay waits for it.
        if (shadow_is_behind(run))
            BR_TRY(run_tick(run, ret_go_on, error));
        else
            BR_TRY(step(run, &progress, ret_go_on, error));
        if (progress == BR_REPLAY_WAITING)
            br_log_wait(run->log, WAIT_US);
    }
    return BR_OK;
}

static enum br_status find_base(struct run *run, struct br_error *error) {
    struct br_owner owner;
    BR_TRY(br_task_find_owner(run->log, run->options->pipeline_name, &owner, error));
    run->base_lineage = br_arena_strdup(run->own_arena, owner.lineage);
    run->base_semantics = owner.semantics;
    return run_load_base(run, owner.plan_hash, &run->base, error);
}

static enum br_status check_base(const struct run *run, struct br_error *error) {
    if (strcmp(run->base_lineage, run->job.record->base_lineage) == 0)
        return BR_OK;
    return br_error_set(error, BR_DATA,
                        "replay %s repeats lineage %s, but lineage %s owns the outputs now; start a new replay",
                        run->id, run->job.record->base_lineage, run->base_lineage);
}

static enum br_status compare(struct run *run, struct br_error *error) {
    BR_TRY(find_base(run, error));
    BR_TRY(check_base(run, error));
    BR_TRY(run_load_own(run, &run->own, error));
    BR_TRY(open_replay(run, error));
    bool go_on;
    BR_TRY(align(run, &go_on, error));
    if (!go_on)
        return interrupted(run, error);
    BR_TRY(run_report(run, error));
    BR_TRY(br_task_stop(br_replay_task(run->replay), error));
    struct phase_change change = {.phase = PHASE(DONE), .fulfilled = true};
    if (run->job.record->reconcile) {
        BR_TRY(run_verdict(run, error));
        change.next = WISH(DROP);
    }
    return set_phase(run, change, error);
}

// --- promote and roll back

// Has a verification found the base's lineage to be what the log says, up to where the replay began to be compared?
static enum br_status check_verified(struct run *run, struct br_error *error) {
    struct br_job_list list;
    BR_TRY(br_jobs_list(run->options->jobs, &list, error));
    bool verified = false;
    for (size_t i = 0; i < list.count; i++) {
        const Braid__V1__ReplayJob *other = list.jobs[i].record;
        verified |= other->mode == BRAID__V1__REPLAY_MODE__REPLAY_MODE_VERIFY && other->phase == PHASE(DONE) &&
                    other->first_bad_epoch == 0 && strcmp(other->base_lineage, run->base_lineage) == 0 &&
                    other->base_last_epoch >= run->job.record->base_last_epoch;
    }
    br_job_list_free(&list);
    if (verified)
        return BR_OK;
    return br_error_set(error, BR_DATA,
                        "--require-verified: no verification of lineage %s has reached epoch %" PRIu64
                        " (braid replay verify %s)",
                        run->base_lineage, (uint64_t)run->job.record->base_last_epoch, run->options->pipeline_name);
}

// The base's messages, and events that are there, bear the base's field numbers.
static enum br_status check_moves(const struct run *run, struct br_error *error) {
    struct br_upgrade *upgrade = br_upgrade_compare(run->base.pipeline, run->own.pipeline);
    enum br_status status = br_upgrade_check_moves(upgrade, run->job.record->sql_name, true, error);
    br_upgrade_destroy(&upgrade);
    return status;
}

static enum br_status try_until_promoted(struct run *run, bool rollback, bool *ret_promoted, struct br_error *error) {
    struct br_promotion promotion = {.reason = br_arena_strdup(run->own_arena, run->job.record->reason),
                                     .rollback = rollback,
                                     .max_changed = run->job.record->max_changed,
                                     .hold_us = HOLD_US};
    br_replay_set_target(run->replay, UINT64_MAX);
    *ret_promoted = false;
    for (bool go_on = true; go_on;) {
        enum br_replay_progress progress;
        enum br_promoted promoted = BR_PROMOTE_AGAIN;
        BR_TRY(step(run, &progress, &go_on, error));
        if (progress == BR_REPLAY_WAITING)
            BR_TRY(br_replay_promote(run->replay, &promotion, &promoted, error));
        if (promoted == BR_PROMOTE_REFUSED)
            return BR_DATA; // error has the words
        *ret_promoted = promoted == BR_PROMOTED;
        if (*ret_promoted)
            return BR_OK;
    }
    return BR_OK;
}

static void release_run(void *owned);

// The task goes on as the live one: with whoever takes it, else it is left in its folder.
static enum br_status hand_over(struct run *run, bool *ret_taken, struct br_error *error) {
    struct br_task *task = br_replay_take_task(run->replay);
    br_replay_destroy(&run->replay);
    *ret_taken = run->options->promoted != NULL;
    if (!*ret_taken) {
        enum br_status status = br_task_stop(task, error);
        br_task_destroy(&task);
        return status;
    }
    struct br_successor successor = {
        .task = task, .log = run->log, .pipeline = run->own.pipeline, .release = release_run, .owned = run};
    run->options->promoted(run->options->context, &successor);
    return BR_OK;
}

// The replay is open: the last steps, the report, the gates, the takeover.
static enum br_status take_over(struct run *run, bool rollback, bool *ret_taken, struct br_error *error) {
    bool go_on, promoted = false;
    BR_TRY(align(run, &go_on, error));
    if (go_on && !rollback)
        BR_TRY(run_report(run, error));
    if (go_on && run->job.record->dry_run) {
        BR_TRY(br_replay_check_changed(run->replay, run->job.record->max_changed, error));
        BR_TRY(br_task_stop(br_replay_task(run->replay), error));
        return set_phase(run, (struct phase_change){.phase = PHASE(DONE), .fulfilled = true}, error);
    }
    if (go_on)
        BR_TRY(try_until_promoted(run, rollback, &promoted, error));
    if (!promoted)
        return interrupted(run, error);
    struct phase_change change = {.phase = rollback ? PHASE(ROLLED_BACK) : PHASE(PROMOTED),
                                  .fulfilled = true,
                                  .ended = true,
                                  .former_lineage = rollback ? NULL : run->base_lineage,
                                  .takeover_epoch = br_task_epoch(br_replay_task(run->replay))};
    struct br_error late = {0};
    enum br_status told = set_phase(run, change, &late);
    if (told != BR_OK) // it is promoted all the same: a worker that claims the job finds it so
        br_log_line(BR_LEVEL_WARN, "a replay's record couldn't be changed", BR_STR("replay", run->id),
                    BR_STR("why", late.message));
    return hand_over(run, ret_taken, error);
}

static enum br_status promote(struct run *run, bool rollback, bool *ret_taken, struct br_error *error) {
    BR_TRY(find_base(run, error));
    if (rollback) {
        run->lineage = br_arena_strdup(run->own_arena, run->job.record->former_lineage);
        if (strcmp(run->base_lineage, run->id) != 0)
            return br_error_set(error, BR_DATA, "lineage %s owns the outputs, not %s: there is nothing to roll back",
                                run->base_lineage, run->id);
        BR_TRY(run_load_base(run, run->job.record->base_plan_hash, &run->own, error));
    } else {
        BR_TRY(check_base(run, error));
        BR_TRY(run_load_own(run, &run->own, error));
        if (br_selection_is_part(run->job.record))
            return br_error_set(error, BR_DATA,
                                "replay %s has only a part of the pipeline (--only, --key): it can be compared, not "
                                "promoted",
                                run->id);
        if (strcmp(run->job.record->from, "beginning") != 0 && !run->job.record->rebuild)
            return br_error_set(
                error, BR_DATA,
                "replay %s begins at %s: it lacks what came before, so it can be compared, not promoted", run->id,
                run->job.record->from);
        if (!run->job.record->allow_incompatible)
            BR_TRY(check_moves(run, error));
        if (run->job.record->require_verified)
            BR_TRY(check_verified(run, error));
    }
    BR_TRY(set_phase(run, (struct phase_change){.phase = rollback ? PHASE(ROLLING_BACK) : PHASE(PROMOTING)}, error));
    // Whoever rolls back, verifies or takes over after us needs it. Now, as long as the task has no append under way.
    if (!run->job.record->dry_run)
        BR_TRY(br_pipeline_text_store(run->log, run->own.pipeline, error));
    BR_TRY(open_replay(run, error));
    return take_over(run, rollback, ret_taken, error);
}

// Run and promote in one go.
static enum br_status rebuild(struct run *run, bool *ret_taken, struct br_error *error) {
    bool go_on;
    BR_TRY(find_base(run, error));
    BR_TRY(check_base(run, error));
    BR_TRY(run_load_own(run, &run->own, error));
    BR_TRY(set_phase(run, (struct phase_change){.phase = PHASE(RUNNING), .started = true}, error));
    BR_TRY(br_pipeline_text_store(run->log, run->own.pipeline, error));
    BR_TRY(open_replay(run, error));
    BR_TRY(run_to_the_end(run, &go_on, error));
    if (!go_on)
        return interrupted(run, error);
    br_replay_set_target(run->replay, UINT64_MAX);
    BR_TRY(set_phase(run, (struct phase_change){.phase = PHASE(PROMOTING)}, error));
    return take_over(run, false, ret_taken, error);
}

// A worker died between the takeover and the record: the log knows better.
static enum br_status note_promoted(struct run *run, bool rollback, bool *ret_noted, struct br_error *error) {
    struct br_owner owner;
    BR_TRY(br_task_find_owner(run->log, run->options->pipeline_name, &owner, error));
    bool promoted = strcmp(owner.lineage, run->id) == 0;
    *ret_noted = !rollback ? promoted : !promoted && strcmp(owner.lineage, run->job.record->former_lineage) == 0;
    if (!*ret_noted)
        return BR_OK;
    return set_phase(run,
                     (struct phase_change){.phase = rollback ? PHASE(ROLLED_BACK) : PHASE(PROMOTED),
                                           .fulfilled = true,
                                           .ended = true,
                                           .former_lineage = rollback ? NULL : run->job.record->base_lineage},
                     error);
}

// --- drop

static enum br_status put_dropped(void *context, struct br_job *job, bool *ret_write, struct br_error *error) {
    (void)context, (void)error;
    *ret_write = true;
    br_job_drop(job->record, wall());
    return BR_OK;
}

// Whoever has taken state from a lineage couldn't be rebuilt without its commits.
static enum br_status is_stood_on(struct run *run, const char *gone, const char *owner, bool *ret_stood_on,
                                  struct br_error *error) {
    const char *name = run->options->pipeline_name;
    struct br_job_list list;
    BR_TRY(br_former_stands_on(run->log, name, owner, gone, ret_stood_on, error));
    BR_TRY(br_jobs_list(run->options->jobs, &list, error));
    enum br_status status = BR_OK;
    for (size_t i = 0; i < list.count && status == BR_OK && !*ret_stood_on; i++) {
        const Braid__V1__ReplayJob *other = list.jobs[i].record;
        if (strcmp(other->id, gone) != 0 && other->phase != PHASE(DROPPED))
            status = br_former_stands_on(run->log, name, other->id, gone, ret_stood_on, error);
    }
    br_job_list_free(&list);
    return status;
}

// A promoted job's lineage is the live one: what is dropped then is the way back.
static enum br_status drop(struct run *run, struct br_error *error) {
    const struct br_runner_options *options = run->options;
    struct br_owner owner;
    char stream[256], subject[320];
    BR_TRY(br_task_find_owner(run->log, options->pipeline_name, &owner, error));
    bool owns = strcmp(owner.lineage, run->id) == 0;
    const char *gone = owns ? run->job.record->former_lineage : run->id;
    if (gone[0] != '\0' && strcmp(gone, owner.lineage) != 0) {
        BR_TRY(br_worker_state_path(options->data_path, options->pipeline_name, gone, run->state_path,
                                    sizeof run->state_path, error));
        BR_TRY(br_store_remove(options->data_path, run->state_path, error));
        br_task_output_stream(options->pipeline_name, stream, sizeof stream);
        br_task_lineage_subject(options->pipeline_name, gone, subject, sizeof subject);
        bool stood_on;
        BR_TRY(is_stood_on(run, gone, owner.lineage, &stood_on, error));
        if (!stood_on)
            BR_TRY(br_log_purge(br_jobs_log(options->jobs), stream, subject, error));
    }
    return run_change(run, put_dropped, NULL, error);
}

// --- running a job

static enum br_status fulfil(struct run *run, bool *ret_taken, struct br_error *error) {
    const Braid__V1__ReplayJob *record = run->job.record;
    bool noted = false;
    run->wish = record->wish;
    switch (record->wish) {
    case WISH(PAUSE):
        return set_phase(run, (struct phase_change){.phase = PHASE(PAUSED), .fulfilled = true}, error);
    case WISH(CANCEL):
        return set_phase(run, (struct phase_change){.phase = PHASE(CANCELLED), .fulfilled = true, .ended = true},
                         error);
    case WISH(COMPARE):
        run_give_way(run);
        return compare(run, error);
    case WISH(PROMOTE):
        if (record->phase == PHASE(PROMOTING))
            BR_TRY(note_promoted(run, false, &noted, error));
        return noted ? BR_OK : promote(run, false, ret_taken, error);
    case WISH(ROLL_BACK):
        if (record->phase == PHASE(ROLLING_BACK))
            BR_TRY(note_promoted(run, true, &noted, error));
        return noted ? BR_OK : promote(run, true, ret_taken, error);
    case WISH(REBUILD):
        if (record->phase == PHASE(PROMOTING))
            BR_TRY(note_promoted(run, false, &noted, error));
        if (!noted && run->options->background) // J7
            return br_error_set(error, BR_RETRY, "replay %s waits for braid replay rebuild to go on with it", run->id);
        return noted ? BR_OK : rebuild(run, ret_taken, error);
    case WISH(DROP):
        return drop(run, error);
    default:
        break;
    }
    if (record->base_lineage[0] == '\0')
        return br_error_set(
            error, BR_DATA,
            "pipeline %s had committed nothing yet when the replay was made: there is nothing to repeat",
            run->options->pipeline_name);
    run_give_way(run);
    if (record->mode != BRAID__V1__REPLAY_MODE__REPLAY_MODE_VERIFY)
        return recompute(run, error);
    BR_TRY(set_phase(run, (struct phase_change){.phase = PHASE(RUNNING), .started = true}, error));
    return run_verify(run, error);
}

// What went wrong is the job's: a recompute fails, anything wanted of a finished one leaves it as it was.
static enum br_status note_failure(struct run *run, const struct br_error *why, struct br_error *error) {
    Braid__V1__ReplayPhase phase = run->job.record->phase, next = PHASE(FAILED);
    if (phase == PHASE(DONE) || phase == PHASE(PROMOTING))
        next = PHASE(DONE);
    else if (phase == PHASE(PROMOTED) || phase == PHASE(ROLLING_BACK))
        next = PHASE(PROMOTED);
    else if (phase > PHASE(FAILED))
        next = phase;
    br_log_line(BR_LEVEL_ERROR, "a replay failed", BR_STR("replay", run->id), BR_STR("why", why->message));
    return set_phase(
        run,
        (struct phase_change){.phase = next, .fulfilled = true, .ended = next == PHASE(FAILED), .text = why->message},
        error);
}

static void free_run(struct run *run) {
    br_replay_destroy(&run->replay);
    loaded_free(&run->own);
    loaded_free(&run->base);
    br_log_close(&run->log);
    run_remove_checkpoint(run);
    runner_close_published(&run->plans);
    br_job_free(&run->job);
    free(run->prehistory);
    free(run->begin);
    free(run->asleep);
    br_arena_destroy(&run->own_arena);
    free(run);
}

static void release_run(void *owned) {
    free_run(owned);
}

// Damage that shows while state is used ends what is under way. Its folder says so: when it is opened again it is set
// aside, and rebuilt from the log.
static bool may_begin_anew(const struct run *run, enum br_status status, unsigned *rebuilds,
                           const struct br_error *error) {
    if (status != BR_FATAL || error->native != BR_STORE_DAMAGED || !run->held || (*rebuilds)++ >= REBUILDS_MAX)
        return false;
    br_log_line(BR_LEVEL_WARN, "a replay begins anew: its local state is damaged", BR_STR("replay", run->id),
                BR_STR("why", error->message));
    return true;
}

// One wish. *ret_more: the job goes on by itself with another one, or with this one again, and the lease is kept for
// it.
static enum br_status run_wish(const struct br_runner_options *options, const char *id, unsigned *rebuilds,
                               bool *ret_more, struct br_error *error) {
    struct run *run = br_calloc(1, sizeof *run);
    run->options = options;
    run->own_arena = br_arena_create();
    run->id = run->lineage = br_arena_strdup(run->own_arena, id);
    run->held = true;
    run->former = (struct br_former_options){options, run_tick_comparing, run};
    bool taken = false, again = false;
    enum br_status status = br_jobs_read(options->jobs, id, &run->job, error);
    if (status == BR_OK)
        status = run_connect(run, error);
    if (status == BR_OK) {
        run->base_lineage = br_arena_strdup(run->own_arena, run->job.record->base_lineage);
        status = fulfil(run, &taken, error);
        again = may_begin_anew(run, status, rebuilds, error);
        if (again)
            status = BR_OK;
        if ((status == BR_FATAL || status == BR_DATA) && run->held) {
            struct br_error why = *error;
            status = note_failure(run, &why, error);
        }
    }
    struct br_error ignored;
    *ret_more = status == BR_OK && run->held && !run_stopped(run) &&
                (again || (run->job.record->reconcile && br_job_has_work(run->job.record)));
    if (run->held && !*ret_more && br_jobs_release(options->jobs, run->id, options->worker, &ignored) != BR_OK)
        br_log_line(BR_LEVEL_WARN, "a lease runs out by itself", BR_STR("replay", run->id),
                    BR_STR("why", ignored.message));
    if (!taken)
        free_run(run);
    return status;
}

enum br_status br_runner_run(const struct br_runner_options *options, const char *id, struct br_error *error) {
    bool more = true;
    unsigned rebuilds = 0;
    enum br_status status = BR_OK;
    while (status == BR_OK && more)
        status = run_wish(options, id, &rebuilds, &more, error);
    return status;
}
