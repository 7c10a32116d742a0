// SPDX-License-Identifier: Apache-2.0
// See replay.h.
//
//   stage     what a step does
//   -------   --------------------------------------------------------------------------------------------------------
//   FIND      reads commits until it is known where in the base's epochs the lineage stands:
//               its last epoch repeated one of the base   the next one is next                          REPEAT
//               the base took over from it                the one after the takeover is next            REPEAT
//               it begins, or was in OWN                  epochs of its own up to where the oldest commit of the base
//                                                         begins (imported events, expired commits), or, with
//                                                         fresh_epochs, to where its newest one ends    OWN
//                                                         (with `anew` that one isn't repeated)
//   OWN       an epoch of its own choice, up to a bound; at the bound                                   REPEAT
//   REPEAT    the next epoch of the base, by the lineage and by the shadow
//
// A view that the changed pipeline leaves as it is sleeps (processor/graft.c) until the two are at the same epoch.
#include "replay/replay.h"

#include "base/json.h"
#include "processor/commit_newest.h"
#include "processor/sql/sql.h"
#include "replay/commits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define REQUEST_TIMEOUT_US INT64_C(1000000)
#define FOLLOW_TRIES_MAX 200 // looks for an epoch that the owner says it has committed
#define FOLLOW_WAIT_US 1000

enum stage { STAGE_FIND, STAGE_OWN, STAGE_REPEAT };

struct br_replay {
    struct br_replay_options options;
    struct br_task *task, *shadow;
    struct br_published *published; // in place of the shadow
    struct br_commits *commits, *shadow_commits;
    struct br_differences *difference;
    struct br_tap taps[2]; // of the shadow, of the task
    enum stage stage;
    uint64_t target;
    uint64_t follows, follows_sequence; // the base's epoch that was done last, and its commit
    uint64_t skip_below;                // epochs of the base before this one were read in epochs of one's own,
    uint64_t own_to;                    // up to the end of this one: before it the two are nowhere the same
    char superseded_by[64];             // who has taken over from the base
};

// --- changes of both go to the difference

static enum br_status tap_changes(void *context, const struct br_view *view, const struct br_change *changes,
                                  size_t count, struct br_error *error) {
    struct br_replay *replay = context;
    return replay->difference == NULL
               ? BR_OK
               : br_differences_changes(replay->difference, BR_OTHER, view, changes, count, error);
}

static enum br_status tap_rows(void *context, const struct br_view *view, const struct br_batch *batch,
                               struct br_error *error) {
    struct br_replay *replay = context;
    return replay->difference == NULL ? BR_OK : br_differences_rows(replay->difference, BR_OTHER, view, batch, error);
}

static enum br_status tap_shadow_changes(void *context, const struct br_view *view, const struct br_change *changes,
                                         size_t count, struct br_error *error) {
    struct br_replay *replay = context;
    return replay->difference == NULL
               ? BR_OK
               : br_differences_changes(replay->difference, BR_FORMER, view, changes, count, error);
}

static enum br_status tap_shadow_rows(void *context, const struct br_view *view, const struct br_batch *batch,
                                      struct br_error *error) {
    struct br_replay *replay = context;
    return replay->difference == NULL ? BR_OK : br_differences_rows(replay->difference, BR_FORMER, view, batch, error);
}

// --- making

static enum br_status open_task(struct br_replay *replay, struct br_error *error) {
    const struct br_replay_options *options = &replay->options;
    replay->taps[1] = (struct br_tap){replay, tap_rows, tap_changes};
    struct br_task_options task = {.pipeline = options->pipeline,
                                   .log = options->log,
                                   .clock = options->clock,
                                   .lineage = options->lineage,
                                   .role = BR_TASK_REPLAY,
                                   .open_input = options->open_input,
                                   .input_context = options->input_context,
                                   .prehistory = options->prehistory,
                                   .begin = options->begin,
                                   .asleep = options->asleep,
                                   .graft = options->graft,
                                   .graft_context = options->graft_context,
                                   .base_pipeline = options->base_pipeline,
                                   .publish_as = options->publish_as,
                                   .tap = &replay->taps[1],
                                   .worker = options->worker,
                                   .open_store = options->open_store,
                                   .store_context = options->store_context,
                                   .state_budget_bytes = options->state_budget_bytes,
                                   .flush_interval_us = options->flush_interval_us,
                                   .epoch_messages = options->epoch_messages,
                                   .stop = options->stop};
    BR_TRY(br_task_create(&task, &replay->task, error));
    return br_task_recover(replay->task, error);
}

enum br_status br_replay_create(const struct br_replay_options *options, struct br_replay **ret_replay,
                                struct br_error *error) {
    struct br_replay *replay = br_calloc(1, sizeof *replay);
    replay->options = *options;
    replay->target = UINT64_MAX;
    enum br_status status = open_task(replay, error);
    if (status != BR_OK) {
        br_error_context(error, "replay %s", options->lineage);
        br_replay_destroy(&replay);
        return status;
    }
    *ret_replay = replay;
    return BR_OK;
}

void br_replay_destroy(struct br_replay **replay_ptr) {
    struct br_replay *replay = *replay_ptr;
    if (replay == NULL)
        return;
    br_differences_destroy(&replay->difference);
    br_published_destroy(&replay->published);
    br_commits_close(&replay->commits);
    br_commits_close(&replay->shadow_commits);
    br_task_destroy(&replay->task);
    br_task_destroy(&replay->shadow);
    free(replay);
    *replay_ptr = NULL;
}

// --- where the lineage stands in the base's epochs

// It begins, or has made nothing but epochs of its own so far; else it has owned the outputs.
static bool begins(const struct br_replay *replay) {
    return br_task_epoch(replay->task) == 0 || br_task_commits_apart(replay->task);
}

static enum br_status open_commits(struct br_replay *replay, struct br_error *error) {
    const char *lineage;
    uint64_t sequence, from = 0;
    uint64_t follows = br_task_follows(replay->task, &lineage, &sequence);
    // A takeover says whom it was from; the base goes on with the takeover back, not where it was taken over from.
    bool repeats =
        follows != 0 && strcmp(lineage, replay->options.base_lineage) == 0 && br_task_commits_apart(replay->task);
    if (repeats)
        from = sequence + 1;
    else if (!begins(replay))
        from = br_task_last_commit(replay->task) + 1;
    BR_TRY(br_commits_open(replay->options.log, replay->options.pipeline->name, from, &replay->commits, error));
    if (repeats) {
        replay->follows = follows;
        replay->follows_sequence = sequence;
        replay->stage = STAGE_REPEAT;
    }
    return BR_OK;
}

// A stream that went back may end before what was read of it.
static enum br_status end_within(struct br_replay *replay, const Braid__V1__InputPosition *position, uint64_t *last,
                                 struct br_error *error) {
    struct br_stream_info info;
    BR_TRY(br_log_stream_info(replay->options.log, position->stream, &info, error));
    uint64_t end = position->prehistory + info.last_sequence;
    *last = *last > end ? end : *last;
    return BR_OK;
}

// Where each input stood when the base's epoch began, in the lineage's own numbers.
static enum br_status bound_at(struct br_replay *replay, const Braid__V1__Commit *base, bool at_end,
                               struct br_error *error) {
    const struct br_pipeline *pipeline = replay->options.pipeline;
    uint64_t *stops = br_calloc(pipeline->table_count + 1, sizeof *stops);
    enum br_status status = BR_OK;
    for (uint32_t t = 0; t < pipeline->table_count && status == BR_OK; t++) {
        uint64_t prehistory = replay->options.prehistory == NULL ? 0 : replay->options.prehistory[t];
        stops[t] = prehistory; // a table that the base hasn't got is read along its clock, later
        for (size_t b = 0; b < base->n_inputs; b++) {
            const Braid__V1__InputPosition *position = base->inputs[b];
            if (strcmp(position->table, pipeline->tables[t].name) != 0)
                continue;
            uint64_t last = at_end || position->messages == 0 ? position->last_sequence : position->first_sequence - 1;
            if (replay->options.anew)
                status = end_within(replay, position, &last, error);
            stops[t] = prehistory + (last < position->prehistory ? 0 : last - position->prehistory);
        }
    }
    br_task_bound(replay->task, stops, INT64_MAX);
    free(stops);
    return status;
}

// A lineage that begins: how far its own epochs go before it repeats.
static enum br_status bound_own_epochs(struct br_replay *replay, const Braid__V1__Commit *first,
                                       struct br_error *error) {
    if (!replay->options.fresh_epochs)
        return bound_at(replay, first, false, error);
    const char *name = replay->options.pipeline->name;
    struct br_newest_commit newest;
    char subject[320];
    br_task_owner_subject(name, subject, sizeof subject);
    BR_TRY(br_commit_newest(replay->options.log, name, subject, &newest, error));
    Braid__V1__Commit BR_CLEANUP(br_commit_cleanup) *last = newest.commit;
    if (last == NULL)
        return br_error_set(error, BR_FATAL, "stream BRAID_%s has no commits any more", name);
    replay->own_to = last->epoch;
    replay->skip_below = last->epoch + (replay->options.anew ? 1 : 0);
    return bound_at(replay, last, true, error);
}

static enum br_status find(struct br_replay *replay, enum br_replay_progress *ret_progress, struct br_error *error) {
    const struct br_log_message *message;
    const Braid__V1__Commit *commit;
    if (replay->commits == NULL)
        BR_TRY(open_commits(replay, error));
    if (replay->stage == STAGE_REPEAT)
        return BR_OK;
    BR_TRY(br_commits_next(replay->commits, &message, &commit, error));
    if (message == NULL) {
        *ret_progress = BR_REPLAY_WAITING;
        return BR_OK;
    }
    const struct br_replay_options *options = &replay->options;
    if (!br_commit_ends_epoch(commit, message, options->pipeline->name, options->base_lineage)) {
        br_commits_done(replay->commits);
        return BR_OK;
    }
    const Braid__V1__Takeover *takeover = commit->takeover;
    if (takeover != NULL && strcmp(takeover->from_lineage, options->lineage) == 0 &&
        takeover->from_epoch == br_task_epoch(replay->task)) {
        replay->stage = STAGE_REPEAT;
        replay->follows = commit->epoch;
        replay->follows_sequence = message->sequence;
        br_commits_done(replay->commits);
        return BR_OK;
    }
    if (!begins(replay)) {
        br_commits_done(replay->commits);
        return BR_OK;
    }
    BR_TRY(bound_own_epochs(replay, commit, error));
    replay->stage = STAGE_OWN;
    return BR_OK;
}

// --- stepping

// For epochs that end within the slice (0: before the base's first); `last`: at its end.
static void choose(struct br_replay *replay, bool within, bool last) {
    const struct br_replay_options *options = &replay->options;
    enum br_task_watermarks watermarks = BR_WATERMARKS_MOVE;
    if (options->include_late && within)
        watermarks = last ? BR_WATERMARKS_MOVE_IF_REPEATED : BR_WATERMARKS_STAND;
    br_task_choose_to(replay->task, watermarks, options->include_quarantine && within);
}

// What is free-run ends in an epoch that repeats the base's: fresh epochs in its last one, else in the oldest there is.
static enum br_status step_own(struct br_replay *replay, enum br_replay_progress *ret_progress,
                               struct br_error *error) {
    bool worked;
    choose(replay, replay->options.include_until != 0, false);
    enum br_status status = br_task_step(replay->task, &worked, error);
    choose(replay, false, false);
    BR_TRY(status);
    if (!worked && br_task_at_bound(replay->task)) {
        br_task_bound(replay->task, NULL, INT64_MAX);
        replay->stage = STAGE_REPEAT;
    } else if (!worked) {
        *ret_progress = BR_REPLAY_WAITING;
    }
    return BR_OK;
}

static void note_takeover(struct br_replay *replay, const Braid__V1__Commit *commit) {
    if (commit->takeover != NULL && strcmp(commit->takeover->from_lineage, replay->options.base_lineage) == 0 &&
        strcmp(commit->lineage, replay->options.lineage) != 0)
        snprintf(replay->superseded_by, sizeof replay->superseded_by, "%s", commit->lineage);
}

// Before anything was read, an epoch may have given the rows that are there without input.
static bool is_first_without_input(const Braid__V1__Commit *base) {
    uint64_t messages = 0;
    for (size_t b = 0; b < base->n_inputs; b++)
        messages += base->inputs[b]->messages;
    return base->epoch == 1 && messages == 0;
}

// Epochs that end before the lineage's beginning have nothing for it, nor have those whose input it has read already.
static bool lies_before(const struct br_replay *replay, const Braid__V1__Commit *base) {
    if (base->epoch < replay->skip_below)
        return true;
    if (replay->options.begin == NULL || is_first_without_input(base))
        return false;
    const struct br_pipeline *pipeline = replay->options.pipeline;
    bool before = true;
    for (uint32_t t = 0; t < pipeline->table_count && before; t++) {
        uint64_t prehistory, begin = replay->options.begin[t] > 1 ? replay->options.begin[t] : 1;
        uint64_t position = br_task_position(replay->task, t, &prehistory);
        before = position < begin; // it has read nothing itself
        for (size_t b = 0; b < base->n_inputs; b++)
            if (strcmp(base->inputs[b]->table, pipeline->tables[t].name) == 0 &&
                base->inputs[b]->last_sequence - base->inputs[b]->prehistory + prehistory > position)
                before = false;
    }
    return before;
}

static enum br_status repeat(struct br_replay *replay, const Braid__V1__Commit *commit, uint64_t sequence,
                             struct br_error *error) {
    uint64_t until = replay->options.include_until;
    choose(replay, commit->epoch <= until, commit->epoch == until);
    if (replay->options.as_chosen)
        br_task_choose_to(replay->task, BR_WATERMARKS_AS_REPEATED, commit->lenient);
    enum br_status status = br_task_repeat(replay->task, commit, sequence, error);
    choose(replay, false, false);
    return status;
}

// A shadow that is behind reads the commits for itself (catch_up_shadow).
static bool shadow_keeps_step(const struct br_replay *replay) {
    return replay->shadow != NULL && replay->shadow_commits == NULL && br_task_epoch(replay->shadow) >= replay->follows;
}

static enum br_status follow_published(struct br_replay *replay, struct br_error *error) {
    return replay->published != NULL && replay->difference != NULL
               ? br_published_follow(replay->published, replay->follows_sequence, error)
               : BR_OK;
}

static enum br_status step_repeat(struct br_replay *replay, enum br_replay_progress *ret_progress,
                                  struct br_error *error) {
    const struct br_log_message *message;
    const Braid__V1__Commit *commit;
    const struct br_replay_options *options = &replay->options;
    BR_TRY(follow_published(replay, error)); // it may have failed after the last epoch
    if (replay->follows >= replay->target) {
        *ret_progress = BR_REPLAY_REACHED;
        return BR_OK;
    }
    BR_TRY(br_commits_next(replay->commits, &message, &commit, error));
    if (message == NULL) {
        *ret_progress = BR_REPLAY_WAITING;
        return br_task_send_waiting(replay->task, error);
    }
    note_takeover(replay, commit);
    bool ends = br_commit_ends_epoch(commit, message, options->pipeline->name, options->base_lineage);
    if (shadow_keeps_step(replay) && message->sequence > br_task_last_commit(replay->shadow))
        BR_TRY(br_task_follow(replay->shadow, message, error));
    if (ends && commit->epoch > replay->follows) {
        if (replay->follows != 0 && commit->epoch != replay->follows + 1)
            return br_error_set(error, BR_FATAL,
                                "the commits of lineage %s have a hole: epoch %" PRIu64
                                " is followed by epoch %" PRIu64,
                                options->base_lineage, replay->follows, (uint64_t)commit->epoch);
        if (!lies_before(replay, commit))
            BR_TRY(repeat(replay, commit, message->sequence, error));
        replay->follows = commit->epoch;
        replay->follows_sequence = message->sequence;
    }
    br_commits_done(replay->commits);
    return follow_published(replay, error);
}

void br_replay_set_target(struct br_replay *replay, uint64_t base_epoch) {
    replay->target = base_epoch;
}

enum br_status br_replay_step(struct br_replay *replay, enum br_replay_progress *ret_progress, struct br_error *error) {
    *ret_progress = BR_REPLAY_WORKED;
    switch (replay->stage) {
    case STAGE_FIND:
        return find(replay, ret_progress, error);
    case STAGE_OWN:
        return step_own(replay, ret_progress, error);
    default:
        return step_repeat(replay, ret_progress, error);
    }
}

uint64_t br_replay_follows(const struct br_replay *replay) {
    return replay->follows;
}

struct br_task *br_replay_task(struct br_replay *replay) {
    return replay->task;
}

struct br_task *br_replay_shadow(struct br_replay *replay) {
    return replay->shadow;
}

struct br_differences *br_replay_differences(struct br_replay *replay) {
    return replay->difference;
}

// --- the shadow

enum br_status br_replay_add_shadow(struct br_replay *replay, br_open_store open_store, void *context,
                                    struct br_error *error) {
    BR_CHECK(replay->shadow == NULL);
    const struct br_replay_options *options = &replay->options;
    replay->taps[0] = (struct br_tap){replay, tap_shadow_rows, tap_shadow_changes};
    struct br_task_options task = {.pipeline = options->base_pipeline,
                                   .log = options->log,
                                   .clock = options->clock,
                                   .lineage = options->base_lineage,
                                   .role = BR_TASK_SHADOW,
                                   .open_input = options->open_input,
                                   .input_context = options->base_input_context,
                                   .graft = options->graft,
                                   .graft_context = options->graft_context,
                                   .tap = &replay->taps[0],
                                   .worker = options->worker,
                                   .open_store = open_store,
                                   .store_context = context,
                                   .state_budget_bytes = options->state_budget_bytes,
                                   .flush_interval_us = options->flush_interval_us,
                                   .stop = options->stop};
    enum br_status status = br_task_create(&task, &replay->shadow, error);
    if (status == BR_OK)
        status = br_task_recover(replay->shadow, error);
    if (status != BR_OK) {
        br_error_context(error, "shadow of lineage %s", options->base_lineage);
        br_task_destroy(&replay->shadow);
    }
    return status;
}

// The shadow is behind: it reads commits of its own until it has the lineage's epoch.
static enum br_status catch_up_shadow(struct br_replay *replay, struct br_error *error) {
    const struct br_log_message *message;
    const Braid__V1__Commit *commit;
    if (replay->shadow_commits == NULL)
        BR_TRY(br_commits_open(replay->options.log, replay->options.pipeline->name,
                               br_task_last_commit(replay->shadow) + 1, &replay->shadow_commits, error));
    BR_TRY(br_commits_next(replay->shadow_commits, &message, &commit, error));
    if (message == NULL) {
        br_log_wait(replay->options.log, FOLLOW_WAIT_US);
        return BR_OK;
    }
    BR_TRY(br_task_follow(replay->shadow, message, error));
    br_commits_done(replay->shadow_commits);
    return BR_OK;
}

void br_replay_add_published(struct br_replay *replay, struct br_published *take_published) {
    BR_CHECK(replay->shadow == NULL && replay->published == NULL);
    replay->published = take_published;
}

enum br_status br_replay_published_changes(void *replay, const struct br_view *view, const struct br_change *changes,
                                           size_t count, struct br_error *error) {
    return tap_shadow_changes(replay, view, changes, count, error);
}

struct br_published *br_replay_published(struct br_replay *replay) {
    return replay->published;
}

struct br_lineage_state br_replay_published_state(struct br_published *published, const struct br_pipeline *pipeline) {
    return (struct br_lineage_state){.pipeline = pipeline, .published = published};
}

struct br_lineage_state br_replay_state_of(struct br_task *task, const struct br_pipeline *pipeline) {
    return (struct br_lineage_state){.pipeline = pipeline,
                                     .graph = br_task_graph(task),
                                     .clock = br_task_clock(task),
                                     .watermarks = br_task_watermarks(task)};
}

static enum br_status compare(struct br_replay *replay, struct br_error *error) {
    const struct br_replay_options *options = &replay->options;
    struct br_lineage_state other = br_replay_state_of(replay->task, options->pipeline),
                            former = replay->shadow != NULL
                                         ? br_replay_state_of(replay->shadow, options->base_pipeline)
                                         : br_replay_published_state(replay->published, options->base_pipeline);
    former.tick = options->tick;
    former.tick_context = options->tick_context;
    return br_differences_create(&former, &other, &replay->difference, error);
}

// Where the lineage stands, what was published does too.
static enum br_status align_published(struct br_replay *replay, bool *ret_aligned, struct br_error *error) {
    if (replay->follows == 0)
        return BR_OK;
    if (br_task_sleeps(replay->task))
        return br_error_set(error, BR_FATAL,
                            "replay %s is to take state over from lineage %s, which this build can't compute: start "
                            "another one",
                            replay->options.lineage, replay->options.base_lineage);
    BR_TRY(br_published_follow(replay->published, replay->follows_sequence, error));
    if (!br_published_stands_at(replay->published, replay->options.base_lineage, replay->follows))
        return BR_OK; // the base's own epochs, before it owned the outputs
    BR_TRY(compare(replay, error));
    br_published_report(replay->published);
    *ret_aligned = true;
    return BR_OK;
}

enum br_status br_replay_align(struct br_replay *replay, bool *ret_aligned, struct br_error *error) {
    const struct br_replay_options *options = &replay->options;
    *ret_aligned = replay->difference != NULL;
    if (*ret_aligned || replay->stage != STAGE_REPEAT || replay->follows < replay->own_to)
        return BR_OK;
    if (replay->published != NULL)
        return align_published(replay, ret_aligned, error);
    BR_CHECK(replay->shadow != NULL);
    uint64_t shadow = br_task_epoch(replay->shadow);
    if (shadow < replay->follows)
        return catch_up_shadow(replay, error);
    bool sleeps = br_task_sleeps(replay->task);
    if (shadow > replay->follows || (sleeps && replay->follows == 0)) // there is nothing yet to be taken over
        return BR_OK;
    br_commits_close(&replay->shadow_commits);
    if (sleeps)
        BR_TRY(br_task_graft(replay->task, replay->shadow, options->tick, options->tick_context, error));
    BR_TRY(compare(replay, error));
    *ret_aligned = true;
    return BR_OK;
}

// --- the takeover

static enum br_status give_corrections(void *context, const struct br_sink *former, const struct br_sink *own,
                                       struct br_error *error) {
    return br_differences_give(context, former, own, error);
}

static enum br_status take_over(struct br_replay *replay, const struct br_promotion *promotion,
                                enum br_promoted *ret_promoted, struct br_error *error) {
    const struct br_replay_options *options = &replay->options;
    struct br_takeover takeover = {.replay = promotion->rollback ? options->base_lineage : options->lineage,
                                   .reason = promotion->reason == NULL ? "" : promotion->reason,
                                   .rollback = promotion->rollback,
                                   .from_lineage = options->base_lineage,
                                   .from_epoch = replay->follows,
                                   .from_sequence = replay->follows_sequence,
                                   .from_pipeline = options->base_pipeline,
                                   .corrections = give_corrections,
                                   .context = replay->difference};
    bool done;
    BR_TRY(br_task_take_over(replay->task, &takeover, &done, error));
    *ret_promoted = done ? BR_PROMOTED : BR_PROMOTE_AGAIN;
    return BR_OK;
}

struct held {
    struct br_buffer answer;
};

static enum br_status take_answer(void *context, struct br_slice part, struct br_error *error) {
    (void)error;
    br_buffer_append_slice(&((struct held *)context)->answer, part);
    return BR_OK;
}

// Asks the owner to wait. *ret_epoch: its last epoch; 0 when nobody answers: then nobody has to wait.
static void ask_to_hold(struct br_replay *replay, int64_t hold_us, uint64_t *ret_epoch) {
    struct held held = {0};
    struct br_error ignored;
    char subject[320], body[64];
    *ret_epoch = 0;
    br_task_service_subject(replay->options.pipeline->name, "hold", subject, sizeof subject);
    snprintf(body, sizeof body, "{\"ms\":%" PRId64 "}", hold_us / 1000);
    if (replay->options.control != NULL &&
        br_control_request(replay->options.control, subject, br_slice_of(body), REQUEST_TIMEOUT_US, take_answer, &held,
                           &ignored) == BR_OK) {
        struct br_json answer;
        struct br_arena *arena = br_arena_create();
        if (br_json_parse(br_buffer_slice(&held.answer), &answer, NULL) == BR_OK)
            *ret_epoch = br_json_count(&answer, "epoch", arena);
        br_arena_destroy(&arena);
    }
    br_buffer_free(&held.answer);
}

static enum br_status follow_to(struct br_replay *replay, uint64_t epoch, struct br_error *error) {
    enum br_replay_progress progress = BR_REPLAY_WORKED;
    replay->target = UINT64_MAX;
    for (int tries = 0; replay->follows < epoch && tries < FOLLOW_TRIES_MAX;) {
        BR_TRY(br_replay_step(replay, &progress, error));
        if (progress != BR_REPLAY_WAITING) { // one by one: a single commit lands sooner than a batch of two
            BR_TRY(br_task_settle(replay->task, error));
            continue;
        }
        tries++;
        br_log_wait(replay->options.log, FOLLOW_WAIT_US);
    }
    return BR_OK;
}

enum br_status br_replay_check_changed(const struct br_replay *replay, uint64_t max_changed, struct br_error *error) {
    uint64_t changed = br_differences_count(replay->difference);
    BR_TRY(br_differences_check(replay->difference, error));
    if (max_changed == 0 || changed <= max_changed)
        return BR_OK;
    return br_error_set(error, BR_DATA, "%" PRIu64 " rows would change, more than the %" PRIu64 " allowed", changed,
                        max_changed);
}

enum br_status br_replay_promote(struct br_replay *replay, const struct br_promotion *promotion,
                                 enum br_promoted *ret_promoted, struct br_error *error) {
    BR_CHECK(replay->difference != NULL);
    *ret_promoted = BR_PROMOTE_AGAIN;
    uint64_t epoch;
    BR_TRY(br_task_settle(replay->task, error)); // what can be done before nobody commits
    ask_to_hold(replay, promotion->hold_us, &epoch);
    BR_TRY(follow_to(replay, epoch, error));
    if (replay->superseded_by[0] != '\0') {
        *ret_promoted = BR_PROMOTE_REFUSED;
        br_error_set(error, BR_DATA, "lineage %s has taken the outputs over from lineage %s; replay that one",
                     replay->superseded_by, replay->options.base_lineage);
        return BR_OK;
    }
    if (replay->difference == NULL) // what was followed has to be aligned again
        return BR_OK;
    if (br_replay_check_changed(replay, promotion->max_changed, error) != BR_OK) {
        *ret_promoted = BR_PROMOTE_REFUSED;
        return BR_OK;
    }
    return take_over(replay, promotion, ret_promoted, error);
}

enum br_status br_replay_finish_takeover(struct br_task *task, const struct br_lineage_state *former,
                                         const struct br_pipeline *pipeline, struct br_error *error) {
    const Braid__V1__Takeover *record = br_task_unfinished_takeover(task);
    BR_CHECK(record != NULL);
    struct br_differences *difference = NULL;
    struct br_lineage_state own = br_replay_state_of(task, pipeline);
    BR_TRY(br_differences_create(former, &own, &difference, error));
    char *replay = br_strdup(record->replay), *from = br_strdup(record->from_lineage),
         *reason = br_strdup(record->reason);
    struct br_takeover takeover = {.replay = replay,
                                   .reason = reason,
                                   .rollback = record->rollback,
                                   .from_lineage = from,
                                   .from_epoch = record->from_epoch,
                                   .from_sequence = record->from_sequence,
                                   .from_pipeline = former->pipeline,
                                   .corrections = give_corrections,
                                   .context = difference};
    bool done = false;
    enum br_status status = br_task_take_over(task, &takeover, &done, error);
    br_differences_destroy(&difference);
    free(replay);
    free(from);
    free(reason);
    return status;
}

struct br_task *br_replay_take_task(struct br_replay *replay) {
    br_task_end_tap(replay->task);
    return br_steal(&replay->task);
}
