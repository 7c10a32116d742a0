// SPDX-License-Identifier: Apache-2.0
// verify: follows the recorded commits of the owner's lineage from the first one on and compares digests. Nothing is
// written to the log. Where an epoch differs, its rows are compared with those that were published. See
// runner_internal.h.
#include "replay/runner_internal.h"

#include "processor/commit_reader.h"
#include "replay/commits.h"
#include "replay/outputs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WAIT_US 20000
#define ROWS_TOLD_MAX 5

// --- what differs in an epoch

// Rows as a subscriber reads them: "view key", and the operation with the row.
struct told {
    struct br_arena *arena;
    struct row {
        const char *key, *value;
        bool met;
    } * rows;
    size_t count, capacity;
};

static enum br_status take_row(void *context, const struct br_output_row *row, struct br_error *error) {
    struct told *told = context;
    (void)error;
    if (told->count == told->capacity) {
        told->capacity = told->capacity == 0 ? 64 : 2 * told->capacity;
        told->rows = br_realloc(told->rows, told->capacity * sizeof *told->rows);
    }
    told->rows[told->count++] = (struct row){
        .key = br_arena_printf(told->arena, "%s %.*s", row->view->name, (int)row->key.len, (const char *)row->key.ptr),
        .value = br_arena_printf(told->arena, "%s%.*s", row->op == 'D' || row->op == 'R' ? "gone " : "",
                                 (int)row->row.len, (const char *)row->row.ptr)};
    return BR_OK;
}

static enum br_status take_report(void *context, struct br_slice line, struct br_error *error) {
    (void)context, (void)line, (void)error;
    return BR_OK;
}

// The epoch's messages on the log: each part's batch stands before its commit message.
static enum br_status read_published(struct run *run, const Braid__V1__Commit *commit, uint64_t sequence,
                                     struct br_outputs *outputs, struct told *told, bool *ret_whole,
                                     struct br_error *error) {
    struct br_outputs_each each = {.context = told, .row = take_row, .report = take_report};
    char stream[256];
    br_task_output_stream(run->options->pipeline_name, stream, sizeof stream);
    *ret_whole = commit->parts == 1;
    for (uint64_t s = sequence - commit->batch_messages + 1; s <= sequence; s++) {
        struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
        struct br_log_message message;
        bool found;
        BR_TRY(br_log_get(run->log, stream, s, &copy, &message, &found, error));
        if (found)
            BR_TRY(br_outputs_read(outputs, &message, &each, error));
        else
            *ret_whole = false;
    }
    return BR_OK;
}

static struct row *find_row(struct told *told, const char *key) {
    for (size_t i = 0; i < told->count; i++)
        if (!told->rows[i].met && strcmp(told->rows[i].key, key) == 0)
            return &told->rows[i];
    return NULL;
}

static void tell_rows(struct told *published, struct told *repeated, bool whole, struct br_buffer *out) {
    size_t count = 0;
    for (size_t i = 0; i < repeated->count; i++) {
        struct row *row = &repeated->rows[i], *other = find_row(published, row->key);
        if (other != NULL)
            other->met = true;
        if (other != NULL && strcmp(other->value, row->value) == 0)
            continue;
        if (count++ < ROWS_TOLD_MAX)
            br_buffer_printf(out, "\n%s: published %s, repeated %s", row->key,
                             other != NULL ? other->value : (whole ? "nothing" : "unknown"), row->value);
    }
    for (size_t i = 0; i < published->count; i++)
        if (!published->rows[i].met && count++ < ROWS_TOLD_MAX)
            br_buffer_printf(out, "\n%s: published %s, repeated nothing", published->rows[i].key,
                             published->rows[i].value);
    if (count > ROWS_TOLD_MAX)
        br_buffer_printf(out, "\nand %zu rows more", count - ROWS_TOLD_MAX);
    if (!whole)
        br_buffer_append_text(out, "\n(not all of what the epoch published is there any more)");
}

static enum br_status tell_difference(struct run *run, struct br_task *shadow, const Braid__V1__Commit *commit,
                                      uint64_t sequence, struct br_buffer *out, struct br_error *error) {
    struct br_arena *arena = br_arena_create();
    struct told published = {.arena = arena}, repeated = {.arena = arena};
    struct br_outputs_each each = {.context = &repeated, .row = take_row, .report = take_report};
    struct br_outputs *outputs = NULL;
    bool whole = false;
    enum br_status status = br_outputs_create(run->base.pipeline, &outputs, error);
    if (status == BR_OK)
        status = read_published(run, commit, sequence, outputs, &published, &whole, error);
    size_t count;
    const struct br_log_message *messages = br_task_outputs(shadow, &count);
    for (size_t i = 0; status == BR_OK && i < count; i++)
        status = br_outputs_read(outputs, &messages[i], &each, error);
    if (status == BR_OK)
        tell_rows(&published, &repeated, whole, out);
    br_outputs_destroy(&outputs);
    free(published.rows);
    free(repeated.rows);
    br_arena_destroy(&arena);
    return status;
}

// --- the run

struct finding {
    uint64_t first_bad;
    const char *text;
};

static enum br_status put_finding(void *context, struct br_job *job, bool *ret_write, struct br_error *error) {
    const struct finding *finding = context;
    (void)error;
    *ret_write = true;
    job->record->phase = BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_DONE;
    job->record->wish = BRAID__V1__REPLAY_WISH__REPLAY_WISH_UNSPECIFIED;
    job->record->first_bad_epoch = finding->first_bad;
    job->record->finding = br_arena_strdup(job->arena, finding->text);
    job->record->ended_us = br_clock_system()->wall(br_clock_system()).us;
    return BR_OK;
}

static enum br_status conclude(struct run *run, uint64_t first_bad, struct br_buffer *text, struct br_error *error) {
    *br_buffer_reserve(text, 1) = '\0';
    struct finding finding = {first_bad, (const char *)text->ptr};
    return run_change(run, put_finding, &finding, error);
}

static enum br_status open_verifier(struct run *run, struct br_task **ret_task, struct br_error *error) {
    struct br_task_options options = {.pipeline = run->base.pipeline,
                                      .log = run->log,
                                      .clock = br_clock_system(),
                                      .lineage = run->base_lineage,
                                      .role = BR_TASK_SHADOW,
                                      .open_input = br_history_open_input,
                                      .input_context = run->base.history,
                                      .graft = br_former_graft,
                                      .graft_context = &run->former,
                                      .keep_outputs = true,
                                      .worker = run->options->worker,
                                      .open_store = run_open_shadow,
                                      .store_context = run,
                                      .state_budget_bytes = run->options->state_budget_bytes,
                                      .stop = run->options->stop};
    BR_TRY(br_task_create(&options, ret_task, error));
    return br_task_recover(*ret_task, error);
}

static enum br_status follow_one(struct run *run, struct br_task *shadow, struct br_commits *commits, bool *ret_over,
                                 struct br_error *error) {
    const struct br_log_message *message;
    const Braid__V1__Commit *commit;
    BR_TRY(br_commits_next(commits, &message, &commit, error));
    if (message == NULL) {
        br_log_wait(run->log, WAIT_US);
        return BR_OK;
    }
    enum br_status status = br_task_follow(shadow, message, error);
    if (status == BR_DATA) {
        struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
        br_buffer_printf(&text, "epochs 1 to %" PRIu64 " are identical; %s", (uint64_t)commit->epoch - 1,
                         error->message);
        BR_TRY(tell_difference(run, shadow, commit, message->sequence, &text, error));
        *ret_over = true;
        return conclude(run, commit->epoch, &text, error);
    }
    BR_TRY(status);
    br_commits_done(commits);
    return BR_OK;
}

static enum br_status follow_all(struct run *run, struct br_task *shadow, struct br_error *error) {
    struct br_commits *commits = NULL;
    BR_TRY(br_commits_open(run->log, run->options->pipeline_name, br_task_last_commit(shadow) + 1, &commits, error));
    uint64_t last = run->job.record->base_last_epoch;
    bool go_on = true, over = false;
    enum br_status status = BR_OK;
    while (status == BR_OK && go_on && !over && br_task_epoch(shadow) < last) {
        status = follow_one(run, shadow, commits, &over, error);
        if (status == BR_OK && !over)
            status = run_pace(run, &go_on, error);
    }
    br_commits_close(&commits);
    if (status == BR_OK && !over && !go_on)
        return br_task_stop(shadow, error); // whoever goes on begins there
    if (status == BR_OK && !over)
        status = run_tick_now(run, &go_on, error);
    if (status != BR_OK || over || !go_on)
        return status;
    struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
    br_buffer_printf(&text, "epochs 1 to %" PRIu64 " are identical", br_task_epoch(shadow));
    return conclude(run, 0, &text, error);
}

enum br_status run_verify(struct run *run, struct br_error *error) {
    const struct br_runner_options *options = run->options;
    BR_TRY(run_load_base(run, run->job.record->base_plan_hash, &run->base, error));
    BR_TRY(br_worker_state_path(options->data_path, options->pipeline_name, run->id, run->shadow_path,
                                sizeof run->shadow_path, error));
    enum br_status status = open_verifier(run, &run->verifier, error);
    if (status == BR_OK) {
        run_begin_pace(run);
        status = follow_all(run, run->verifier, error);
    }
    br_task_destroy(&run->verifier);
    if (status == BR_OK && run->job.record->phase == BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_DONE)
        status = br_store_remove(options->data_path, run->shadow_path, error); // all that it was good for is known
    return status;
}
