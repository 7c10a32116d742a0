// SPDX-License-Identifier: Apache-2.0
// The comparison of a replay with the owner, and where it goes: the message on braid.<pipeline>.reconcile.<id>, a
// summary in the job's record. See runner_internal.h.
#include "replay/runner_internal.h"

#include "base/logging.h"
#include "processor/semantics.h"
#include "replay/causes.h"
#include "replay/report.h"
#include "replay/selection.h"

#include <stdio.h>

#define SAMPLES 10 // per view and kind
#define SAMPLES_DRY_RUN 1000

static struct br_epoch epoch_of(struct br_task *task, struct br_arena *arena) {
    return (struct br_epoch){.number = br_task_epoch(task),
                             .now = br_task_clock(task),
                             .watermarks_before = br_task_watermarks(task),
                             .watermarks_after = br_task_watermarks(task),
                             .arena = arena};
}

static void fill_position(const struct run *run, Braid__V1__ReconcileReport *message, struct br_arena *arena) {
    struct br_task *task = br_replay_task(run->replay);
    uint32_t count = run->own.pipeline->table_count;
    message->position = br_arena_array(arena, Braid__V1__ReplayInput *, count + 1);
    message->n_position = count;
    for (uint32_t t = 0; t < count; t++) {
        Braid__V1__ReplayInput *input = message->position[t] = br_arena_new(arena, Braid__V1__ReplayInput);
        braid__v1__replay_input__init(input);
        input->table = (char *)run->own.pipeline->tables[t].name;
        input->last_sequence = br_task_position(task, t, &input->prehistory);
    }
}

static void fill_message(const struct run *run, Braid__V1__ReconcileReport *message, struct br_arena *arena) {
    braid__v1__reconcile_report__init(message);
    message->pipeline = (char *)run->options->pipeline_name;
    message->id = (char *)run->id;
    message->lineage_before = (char *)run->base_lineage;
    message->epoch_before = br_replay_follows(run->replay);
    message->lineage_after = (char *)run->lineage;
    message->epoch_after = br_task_epoch(br_replay_task(run->replay));
    message->at_us = br_clock_system()->wall(br_clock_system()).us;
    fill_position(run, message, arena);
}

// A report that fits no message has less samples: the numbers are what counts.
static enum br_status publish(struct run *run, Braid__V1__ReconcileReport *message, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) bytes = {0};
    struct br_log *log = br_jobs_log(run->options->jobs);
    char subject[320];
    size_t size = braid__v1__reconcile_report__get_packed_size(message);
    for (bool fewer = true; fewer && size + 4096 > br_log_payload_max(log);) {
        fewer = false;
        for (size_t v = 0; v < message->n_views; v++) {
            fewer |= message->views[v]->n_samples != 0;
            message->views[v]->n_samples /= 2;
        }
        size = braid__v1__reconcile_report__get_packed_size(message);
    }
    bytes.len = braid__v1__reconcile_report__pack(message, br_buffer_reserve(&bytes, size));
    snprintf(subject, sizeof subject, "braid.%s.reconcile.%s", run->options->pipeline_name, run->id);
    struct br_log_message out = {.subject = br_slice_of(subject), .payload = br_buffer_slice(&bytes)};
    BR_TRY(br_log_publish(log, &out, error));
    return br_log_publish_flush(log, error);
}

struct summary {
    Braid__V1__ReconcileReport *message;
};

static enum br_status put_summary(void *context, struct br_job *job, bool *ret_write, struct br_error *error) {
    struct summary *summary = context;
    (void)error;
    *ret_write = true;
    // Without samples: the whole of it is on the stream. Packed within the call, so borrowing is fine.
    for (size_t v = 0; v < summary->message->n_views; v++)
        summary->message->views[v]->n_samples = 0;
    job->record->report = summary->message;
    return BR_OK;
}

// Copied: ticks read the record again.
static const struct br_tolerance *copy_tolerances(const Braid__V1__ReplayJob *record, struct br_arena *arena) {
    struct br_tolerance *tolerances = br_arena_array(arena, struct br_tolerance, record->n_tolerances + 1);
    for (size_t i = 0; i < record->n_tolerances; i++)
        tolerances[i] = (struct br_tolerance){br_arena_strdup(arena, record->tolerances[i]->column),
                                              record->tolerances[i]->absolute};
    return tolerances;
}

static enum br_status compare(struct run *run, struct br_causes *causes, struct br_arena *arena,
                              struct br_compare_report **ret_report, struct br_error *error) {
    struct br_task *shadow = br_replay_shadow(run->replay), *task = br_replay_task(run->replay);
    struct br_epoch replay = epoch_of(task, arena), base = shadow != NULL ? epoch_of(shadow, arena) : replay;
    struct br_compare_side before = {.pipeline = run->base.pipeline,
                                     .graph = shadow != NULL ? br_task_graph(shadow) : NULL,
                                     .epoch = &base,
                                     .published = br_replay_published(run->replay)},
                           after = {.pipeline = run->own.pipeline, .graph = br_task_graph(task), .epoch = &replay};
    const Braid__V1__ReplayJob *record = run->job.record;
    size_t samples = record->samples != 0 ? record->samples : record->dry_run ? SAMPLES_DRY_RUN : SAMPLES;
    struct br_compare_options options = {.samples = samples,
                                         .tolerances = copy_tolerances(record, arena),
                                         .tolerance_count = record->n_tolerances,
                                         .cause = br_causes_of,
                                         .cause_context = causes,
                                         .stop = run->options->stop,
                                         .tick = run_tick_comparing,
                                         .tick_context = run};
    if (br_selection_is_part(record)) { // all of the replay's views; not those that it hasn't got
        const char **views = br_arena_array(arena, const char *, run->own.pipeline->view_count + 1);
        for (uint32_t v = 0; v < run->own.pipeline->view_count; v++)
            views[options.view_count++] = run->own.pipeline->views[v].name;
        options.views = views;
    }
    if (record->key[0] != '\0') // a copy: the record is read anew meanwhile
        options.condition = br_arena_strdup(arena, record->key);
    return br_compare(&before, &after, &options, ret_report, error);
}

enum br_status run_report(struct run *run, struct br_error *error) {
    struct br_causes *causes = NULL;
    struct br_compare_report *report = NULL;
    struct br_arena *arena = br_arena_create();
    Braid__V1__ReconcileReport message;
    struct br_buffer BR_CLEANUP(br_buffer_free) words = {0};
    enum br_status status = br_task_settle(br_replay_task(run->replay), error);
    if (status == BR_OK)
        status = br_causes_create(run->base.pipeline, run->own.pipeline, &causes, error);
    if (status == BR_OK && run->own.whole != NULL)
        br_causes_compare_plans(causes, run->own.whole);
    if (status == BR_OK && br_semantics_differ(run->base.pipeline, run->base_semantics, &words))
        br_causes_computed_otherwise(causes);
    if (status == BR_OK)
        status = br_causes_read(causes, run->log, error);
    if (status == BR_OK)
        status = compare(run, causes, arena, &report, error);
    if (status == BR_OK) {
        fill_message(run, &message, arena);
        br_compare_report_fill(report, &message);
        message.seconds = report->seconds;
        status = publish(run, &message, error);
    }
    if (status == BR_OK) {
        struct summary summary = {&message};
        status = run_change(run, put_summary, &summary, error);
    }
    br_compare_report_destroy(&report);
    br_causes_destroy(&causes);
    br_arena_destroy(&arena);
    return status;
}

enum br_status run_verdict(struct run *run, struct br_error *error) {
    const Braid__V1__ReplayJob *record = run->job.record;
    struct br_buffer BR_CLEANUP(br_buffer_free) why = {0};
    bool fails;
    const char *expression = record->fail_on[0] != '\0' ? record->fail_on : BR_REPORT_ANY_DIFFERENCE;
    if (record->report == NULL)
        return br_error_set(error, BR_FATAL, "reconcile %s has no report", run->id);
    BR_TRY(br_report_fails_on(expression, record->report, &fails, &why, error));
    if (why.len != 0)
        why.len--; // the last line's end
    *br_buffer_reserve(&why, 1) = '\0';
    for (size_t i = 0; i < why.len; i++)
        why.ptr[i] = why.ptr[i] == '\n' ? ';' : why.ptr[i];
    br_log_line(fails ? BR_LEVEL_ERROR : BR_LEVEL_INFO, fails ? "a reconcile has found differences" : "reconciled",
                BR_STR("pipeline", run->options->pipeline_name), BR_STR("replay", run->id),
                BR_INT("epoch", record->report->epoch_before), BR_STR("why", (const char *)why.ptr));
    return BR_OK;
}
