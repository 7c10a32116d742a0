// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"
#include "processor/log/simulated.h"
#include "replay/schedule.h"

#include <criterion/criterion.h>

static struct br_sim *sim;
static struct br_control *control;
static struct br_log *log_;
static struct br_jobs *jobs;
static struct br_error error;

static void begin(void) {
    const char *subjects[] = {"braid.p.>"};
    sim = br_sim_create(NULL);
    cr_assert_eq(br_sim_add_stream(sim, "BRAID_p", subjects, 1, &error), BR_OK);
    control = br_sim_control(sim, true);
    log_ = br_control_log(control, NULL);
    cr_assert_eq(br_jobs_open(log_, "p", &jobs, &error), BR_OK, "%s", error.message);
}
static void end(void) {
    br_jobs_close(&jobs);
    br_log_close(&log_);
    br_control_close(&control);
    br_sim_destroy(&sim);
}
TestSuite(schedule, .init = begin, .fini = end);

static Braid__V1__ReconcileSchedule daily(void) {
    Braid__V1__ReconcileSchedule record;
    braid__v1__reconcile_schedule__init(&record);
    record.every_us = 86400 * BR_US_PER_SECOND;
    record.created_us = INT64_C(1800000000000000);
    record.created_by = (char *)"me";
    record.lateness_us = -1;
    return record;
}

static struct br_schedule read_schedule(void) {
    struct br_schedule schedule;
    cr_assert_eq(br_schedule_read(jobs, &schedule, &error), BR_OK, "%s", error.message);
    return schedule;
}

Test(schedule, there_is_none_until_it_is_put_and_none_after_it_is_taken_away) {
    struct br_schedule schedule = read_schedule();
    cr_assert_null(schedule.record);
    br_schedule_free(&schedule);
    cr_assert_eq(br_schedule_put(jobs, NULL, &error), BR_OK, "that there is none already is no error");
    Braid__V1__ReconcileSchedule record = daily();
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(br_schedule_put(jobs, &record, &error), BR_OK, "%s", error.message);
        schedule = read_schedule();
        cr_assert(schedule.record != NULL && schedule.record->every_us == record.every_us);
        br_schedule_free(&schedule);
        cr_assert_eq(br_schedule_put(jobs, NULL, &error), BR_OK, "%s", error.message);
        schedule = read_schedule();
        cr_assert_null(schedule.record);
        br_schedule_free(&schedule);
    }
}

Test(schedule, it_is_due_at_once_and_then_every_so_often) {
    Braid__V1__ReconcileSchedule record = daily();
    cr_assert_eq(br_schedule_due(&record).us, record.created_us);
    record.last_us = 5;
    cr_assert_eq(br_schedule_due(&record).us, 5 + record.every_us);
    record.last_us = record.every_us = INT64_MAX;
    cr_assert_eq(br_schedule_due(&record).us, INT64_MAX, "never, not before");
}

Test(schedule, it_is_no_job) {
    Braid__V1__ReconcileSchedule record = daily();
    struct br_job_list list;
    cr_assert_eq(br_schedule_put(jobs, &record, &error), BR_OK);
    cr_assert_eq(br_jobs_list(jobs, &list, &error), BR_OK);
    cr_assert_eq(list.count, 0);
    br_job_list_free(&list);
}

// Whoever finds nothing to replay says why, once a turn: the schedule isn't due again until the next one.
Test(schedule, one_that_cannot_be_started_is_told_and_tried_again_in_its_time) {
    Braid__V1__ReconcileSchedule record = daily();
    char id[BR_JOB_ID_SIZE];
    bool started;
    struct br_wall_time now = {record.created_us + 1};
    cr_assert_eq(br_schedule_put(jobs, &record, &error), BR_OK);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(br_schedule_start(jobs, log_, "p", "w", now, id, &started, &error), BR_OK, "%s", error.message);
    cr_assert_not(started);
    struct br_schedule schedule = read_schedule();
    cr_assert_eq(schedule.record->last_us, record.created_us, "the turn, not when somebody came to it");
    cr_assert(strstr(schedule.record->last_error, "isn't stored"), "%s", schedule.record->last_error);
    uint64_t revision = schedule.revision;
    br_schedule_free(&schedule);
    now.us = record.created_us + 3 * record.every_us; // nobody was there for two turns
    cr_assert_eq(br_schedule_start(jobs, log_, "p", "w", now, id, &started, &error), BR_OK, "%s", error.message);
    schedule = read_schedule();
    cr_assert(schedule.revision > revision && schedule.record->last_us == now.us);
    br_schedule_free(&schedule);
}

Test(schedule, what_is_no_schedule_is_an_error_not_a_crash) {
    struct br_schedule schedule;
    enum br_append_result result;
    uint64_t revision = 0;
    static const char *const wrong[] = {"\xff\xff", "", "\x08\x00", "\x12\x03x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct br_slice value = br_slice_of(wrong[i]);
        cr_assert_eq(br_jobs_put_value(jobs, "schedule", &value, revision, &result, &revision, &error), BR_OK);
        cr_assert_eq(br_schedule_read(jobs, &schedule, &error), BR_DATA);
    }
}

Test(schedule, it_reads_as_text_and_as_json) {
    Braid__V1__ReconcileSchedule record = daily();
    Braid__V1__Tolerance tolerance, *tolerances[] = {&tolerance};
    struct br_buffer out = {0};
    struct br_json json, value;
    struct br_arena *arena = br_arena_create();
    braid__v1__tolerance__init(&tolerance);
    tolerance.column = (char *)"v.mean\xff";
    tolerance.absolute = 0.25;
    record.tolerances = tolerances;
    record.n_tolerances = 1;
    record.fail_on = (char *)"unknown>0";
    br_schedule_text(&record, &out);
    br_buffer_append_byte(&out, '\0');
    cr_assert(strstr((char *)out.ptr, "every 86400 s, fails on unknown>0") && strstr((char *)out.ptr, "none has been"));
    br_buffer_clear(&out);
    record.last_us = record.created_us;
    record.last_job = (char *)"r4";
    br_schedule_json(&record, &out);
    cr_assert_eq(br_json_parse(br_buffer_slice(&out), &json, &error), BR_OK, "%s", error.message);
    cr_assert(br_json_member(&json, "last_job", arena, &value) && br_slice_is(value.text, "\"r4\""));
    br_buffer_free(&out);
    br_arena_destroy(&arena);
}
