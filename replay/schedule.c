// SPDX-License-Identifier: Apache-2.0
// See schedule.h: K1 to K3.
#include "replay/schedule.h"

#include "base/json.h"
#include "base/logging.h"
#include "processor/pipeline_text.h"
#include "processor/sql/sql.h"
#include "replay/plan_history.h"
#include "replay/unpack.h"

#include <inttypes.h>

#define KEY "schedule"
#define PUT_TRIES_MAX 100 // lost races

// --- the record

void br_schedule_free(struct br_schedule *schedule) {
    br_arena_destroy(&schedule->arena);
    *schedule = (struct br_schedule){0};
}

enum br_status br_schedule_read(struct br_jobs *jobs, struct br_schedule *ret_schedule, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_schedule schedule = {.arena = br_arena_create()};
    struct br_slice value;
    bool found;
    enum br_status status = br_jobs_get_value(jobs, KEY, &copy, &value, &schedule.revision, &found, error);
    if (status == BR_OK && found) {
        schedule.record = br_unpack(&braid__v1__reconcile_schedule__descriptor, value, schedule.arena);
        if (schedule.record == NULL || schedule.record->every_us <= 0)
            status = br_error_set(error, BR_DATA,
                                  "the schedule of reconciles can't be read: it isn't a braid.v1.ReconcileSchedule");
    }
    if (status == BR_OK)
        *ret_schedule = schedule;
    else
        br_schedule_free(&schedule);
    return status;
}

static enum br_status put(struct br_jobs *jobs, const Braid__V1__ReconcileSchedule *record, uint64_t *revision,
                          bool *ret_done, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) bytes = {0};
    enum br_append_result result;
    if (record != NULL) {
        size_t size = braid__v1__reconcile_schedule__get_packed_size(record);
        bytes.len = braid__v1__reconcile_schedule__pack(record, br_buffer_reserve(&bytes, size + 1));
    }
    struct br_slice value = br_buffer_slice(&bytes);
    BR_TRY(br_jobs_put_value(jobs, KEY, record == NULL ? NULL : &value, *revision, &result, revision, error));
    *ret_done = result == BR_APPEND_DONE;
    return BR_OK;
}

enum br_status br_schedule_put(struct br_jobs *jobs, const Braid__V1__ReconcileSchedule *record,
                               struct br_error *error) {
    for (int i = 0; i < PUT_TRIES_MAX; i++) {
        struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
        struct br_slice value;
        uint64_t revision;
        bool found, done;
        BR_TRY(br_jobs_get_value(jobs, KEY, &copy, &value, &revision, &found, error));
        if (!found && record == NULL)
            return BR_OK;
        BR_TRY(put(jobs, record, &revision, &done, error));
        if (done)
            return BR_OK;
    }
    return br_error_set(error, BR_RETRY, "the schedule of reconciles is changed by others all the time");
}

struct br_wall_time br_schedule_due(const Braid__V1__ReconcileSchedule *record) {
    struct br_wall_time due = {record->created_us};
    if (record->last_us != 0 && __builtin_add_overflow(record->last_us, record->every_us, &due.us))
        due.us = INT64_MAX;
    return due;
}

// --- starting one

// What it takes to make the job, held until it is made.
struct draft {
    const char *name;
    Braid__V1__ReplayJob record;
    struct br_pipeline *pipeline;
    struct br_history *history;
    struct br_replay_plan *plan;
};

static void free_draft(struct draft *draft) {
    br_replay_plan_free(&draft->plan);
    br_history_destroy(&draft->history);
    br_pipeline_destroy(&draft->pipeline);
}

static enum br_status make_draft(struct br_log *log, const char *pipeline, struct br_wall_time now, struct draft *draft,
                                 struct br_error *error) {
    uint64_t hash;
    draft->name = pipeline;
    BR_TRY(br_pipeline_text_of_owner(log, pipeline, &hash, &draft->pipeline, error));
    if (draft->pipeline == NULL)
        return br_error_set(error, BR_DATA, "the text of pipeline %s isn't stored beside its commits", pipeline);
    BR_TRY(br_history_create(draft->pipeline, &draft->history, error));
    struct br_history_source source = br_plan_history(draft->history);
    struct br_replay_plan_options options = {.log = log,
                                             .pipeline_name = pipeline,
                                             .pipeline = draft->pipeline,
                                             .mode = BRAID__V1__REPLAY_MODE__REPLAY_MODE_RECOMPUTE,
                                             .now = now,
                                             .history = &source};
    BR_TRY(br_replay_plan_make(&options, &draft->plan, error));
    BR_TRY(br_replay_plan_check(draft->plan, error));
    braid__v1__replay_job__init(&draft->record);
    br_replay_plan_fill(draft->plan, &draft->record);
    draft->record.plan_hash = hash;
    return BR_OK;
}

static void fill_record(const Braid__V1__ReconcileSchedule *schedule, const char *worker,
                        Braid__V1__ReplayJob *record) {
    record->reason = (char *)"scheduled reconcile";
    record->created_by = record->worker = (char *)worker;
    record->lateness_us = schedule->lateness_us;
    record->reconcile = true;
    record->fail_on = schedule->fail_on;
    record->tolerances = schedule->tolerances;
    record->n_tolerances = schedule->n_tolerances;
}

// The last one that was started: has it come to its end?
static enum br_status has_ended(struct br_jobs *jobs, const char *id, bool *ret_ended, struct br_error *error) {
    struct br_job job;
    *ret_ended = true;
    if (id[0] == '\0')
        return BR_OK;
    enum br_status status = br_jobs_read(jobs, id, &job, error);
    if (status == BR_DATA) // there is no such job any more
        return BR_OK;
    BR_TRY(status);
    *ret_ended = !br_job_has_work(job.record);
    br_job_free(&job);
    return BR_OK;
}

static enum br_status start(struct br_jobs *jobs, struct br_schedule *schedule, struct draft *draft,
                            enum br_status drafted, const struct br_error *why, const char *worker,
                            struct br_wall_time now, char ret_id[BR_JOB_ID_SIZE], bool *ret_started,
                            struct br_error *error) {
    Braid__V1__ReconcileSchedule *record = schedule->record;
    struct br_wall_time due = br_schedule_due(record);
    record->last_us = now.us - due.us > record->every_us ? now.us : due.us; // turns that nobody took aren't made up for
    const char *before = record->last_job;
    record->last_job = (char *)"";
    record->last_error = (char *)(drafted == BR_OK ? "" : why->message);
    bool done;
    BR_TRY(put(jobs, record, &schedule->revision, &done, error));
    if (!done)
        return BR_OK;
    if (drafted != BR_OK) {
        br_log_line(BR_LEVEL_ERROR, "a scheduled reconcile can't be started", BR_STR("pipeline", draft->name),
                    BR_STR("why", why->message));
        return BR_OK;
    }
    fill_record(record, worker, &draft->record);
    BR_TRY(br_jobs_create(jobs, &draft->record, now, ret_id, error));
    *ret_started = true;
    record->last_job = ret_id;
    BR_TRY(put(jobs, record, &schedule->revision, &done, error)); // not done: another schedule has taken its place
    return before[0] == '\0' ? BR_OK : br_jobs_forget(jobs, before, error);
}

enum br_status br_schedule_start(struct br_jobs *jobs, struct br_log *log, const char *pipeline, const char *worker,
                                 struct br_wall_time now, char ret_id[BR_JOB_ID_SIZE], bool *ret_started,
                                 struct br_error *error) {
    struct br_schedule schedule;
    struct draft draft = {0};
    *ret_started = false;
    BR_TRY(br_schedule_read(jobs, &schedule, error));
    bool due = schedule.record != NULL && br_schedule_due(schedule.record).us <= now.us;
    enum br_status status = due ? has_ended(jobs, schedule.record->last_job, &due, error) : BR_OK;
    if (status == BR_OK && due) {
        struct br_error why;
        enum br_status drafted = make_draft(log, pipeline, now, &draft, &why);
        if (drafted == BR_RETRY) {
            *error = why;
            status = drafted;
        } else {
            status = start(jobs, &schedule, &draft, drafted, &why, worker, now, ret_id, ret_started, error);
        }
    }
    free_draft(&draft);
    br_schedule_free(&schedule);
    return status;
}

// --- words

static void time_of(int64_t us, char text[BR_JOB_TIME_SIZE]) {
    br_job_time(us / BR_US_PER_SECOND * BR_US_PER_SECOND, text);
}

void br_schedule_text(const Braid__V1__ReconcileSchedule *record, struct br_buffer *out) {
    char last[BR_JOB_TIME_SIZE], next[BR_JOB_TIME_SIZE];
    time_of(record->last_us, last);
    time_of(br_schedule_due(record).us, next);
    br_buffer_printf(out, "reconcile every %g s", (double)record->every_us / (double)BR_US_PER_SECOND);
    if (record->fail_on[0] != '\0')
        br_buffer_printf(out, ", fails on %s", record->fail_on);
    for (size_t i = 0; i < record->n_tolerances; i++)
        br_buffer_printf(out, ", %s within %g", record->tolerances[i]->column, record->tolerances[i]->absolute);
    if (record->lateness_us >= 0)
        br_buffer_printf(out, ", lateness %g s", (double)record->lateness_us / (double)BR_US_PER_SECOND);
    br_buffer_printf(out, "\nnext %s\n", next);
    if (record->last_us == 0)
        br_buffer_append_text(out, "none has been made yet\n");
    else
        br_buffer_printf(out, "last %s: %s\n", last,
                         record->last_job[0] != '\0'     ? record->last_job
                         : record->last_error[0] != '\0' ? record->last_error
                                                         : "was not begun");
}

// Anybody can write to the bucket: what isn't UTF-8 is left out, from there on.
static void append_string(struct br_buffer *out, const char *text) {
    struct br_slice slice = br_slice_of(text);
    slice.len = br_utf8_valid_prefix(slice);
    br_json_append_string(slice, out);
}

static void text_member(struct br_buffer *out, const char *name, const char *text) {
    br_buffer_printf(out, ",\"%s\":", name);
    append_string(out, text);
}

static void time_member(struct br_buffer *out, const char *name, int64_t us) {
    char text[BR_JOB_TIME_SIZE];
    br_job_time(us, text);
    text_member(out, name, text);
}

void br_schedule_json(const Braid__V1__ReconcileSchedule *record, struct br_buffer *out) {
    br_buffer_printf(out, "{\"every_seconds\":%.17g", (double)record->every_us / (double)BR_US_PER_SECOND);
    text_member(out, "fail_on", record->fail_on);
    br_buffer_append_text(out, ",\"tolerances\":{");
    for (size_t i = 0; i < record->n_tolerances; i++) {
        br_buffer_append_text(out, i == 0 ? "" : ",");
        append_string(out, record->tolerances[i]->column);
        bool number = record->tolerances[i]->absolute >= 0 && record->tolerances[i]->absolute < 1e300;
        br_buffer_printf(out, number ? ":%.17g" : ":null", record->tolerances[i]->absolute);
    }
    br_buffer_append_byte(out, '}');
    if (record->lateness_us >= 0)
        br_buffer_printf(out, ",\"lateness_seconds\":%.17g", (double)record->lateness_us / (double)BR_US_PER_SECOND);
    text_member(out, "created_by", record->created_by);
    time_member(out, "next", br_schedule_due(record).us);
    if (record->last_us != 0) {
        time_member(out, "last", record->last_us);
        text_member(out, "last_job", record->last_job);
        text_member(out, "last_error", record->last_error);
    }
    br_buffer_append_text(out, "}\n");
}
