// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"
#include "processor/log/simulated.h"
#include "processor/semantics.h"
#include "replay/job.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define PHASE(name) BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_##name
#define WISH(name) BRAID__V1__REPLAY_WISH__REPLAY_WISH_##name

static struct br_sim *sim;
static struct br_control *control;
static struct br_log *log_;
static struct br_jobs *jobs;
static struct br_error error;
static const struct br_wall_time noon = {INT64_C(1800000000000000)};

static struct br_wall_time after(int64_t us) {
    return (struct br_wall_time){noon.us + us};
}

static void setup_with(const struct br_sim_faults *faults) {
    const char *subjects[] = {"braid.p.>"};
    sim = br_sim_create(NULL);
    cr_assert_eq(br_sim_add_stream(sim, "BRAID_p", subjects, 1, &error), BR_OK);
    control = br_sim_control(sim, true);
    log_ = br_control_log(control, NULL);
    cr_assert_eq(br_jobs_open(log_, "p", &jobs, &error), BR_OK, "%s", error.message);
    if (faults != NULL)
        br_sim_set_faults(sim, faults);
}
static void setup(void) {
    setup_with(NULL);
}
static void teardown(void) {
    br_jobs_close(&jobs);
    br_log_close(&log_);
    br_control_close(&control);
    br_sim_destroy(&sim);
}
TestSuite(job, .init = setup, .fini = teardown);

static Braid__V1__ReplayJob record_of(const char *by) {
    Braid__V1__ReplayJob record;
    braid__v1__replay_job__init(&record);
    record.mode = BRAID__V1__REPLAY_MODE__REPLAY_MODE_RECOMPUTE;
    record.created_by = (char *)by;
    record.reason = (char *)"a wrong filter";
    record.sql = (char *)"SELECT 1";
    return record;
}

static const char *create(void) {
    static char id[BR_JOB_ID_SIZE];
    Braid__V1__ReplayJob record = record_of("a");
    cr_assert_eq(br_jobs_create(jobs, &record, noon, id, &error), BR_OK, "%s", error.message);
    return id;
}

static struct br_job read_job(const char *id) {
    struct br_job job;
    cr_assert_eq(br_jobs_read(jobs, id, &job, &error), BR_OK, "%s", error.message);
    return job;
}

static bool claim(const char *id, const char *worker, struct br_wall_time now) {
    struct br_job job = {0};
    bool claimed;
    cr_assert_eq(br_jobs_claim(jobs, id, worker, now, &job, &claimed, &error), BR_OK, "%s", error.message);
    br_job_free(&job);
    return claimed;
}

static enum br_status set_phase(void *context, struct br_job *job, bool *ret_write, struct br_error *change_error) {
    (void)ret_write, (void)change_error;
    job->record->phase = *(const Braid__V1__ReplayPhase *)context;
    job->record->wish = WISH(UNSPECIFIED);
    return BR_OK;
}
static void become(const char *id, Braid__V1__ReplayPhase phase) {
    cr_assert_eq(br_jobs_change(jobs, id, set_phase, &phase, NULL, &error), BR_OK, "%s", error.message);
}

static enum br_status wish(const char *id, Braid__V1__ReplayWish wanted) {
    return br_jobs_wish(jobs, id, wanted, NULL, noon, NULL, &error);
}

static bool renew(const char *id, const char *worker, struct br_wall_time now, uint64_t done, uint64_t total,
                  uint64_t *ret_done) {
    Braid__V1__ReplayProgress progress;
    braid__v1__replay_progress__init(&progress);
    progress.messages_done = done;
    progress.messages_total = total;
    struct br_job job;
    bool held;
    cr_assert_eq(br_jobs_renew(jobs, id, worker, now, &progress, &job, &held, &error), BR_OK, "%s", error.message);
    *ret_done = job.record->progress->messages_done;
    cr_assert(!held || job.record->progress->messages_total == 100);
    br_job_free(&job);
    return held;
}

Test(job, ids_go_up_and_are_never_given_twice) {
    cr_assert_str_eq(create(), "r1");
    cr_assert_str_eq(create(), "r2");
    cr_assert_eq(wish("r2", WISH(CANCEL)), BR_OK, "%s", error.message);
    cr_assert_eq(wish("r2", WISH(DROP)), BR_OK, "%s", error.message);
    cr_assert_str_eq(create(), "r3");
    struct br_job job = read_job("r2");
    cr_assert_eq(job.record->phase, PHASE(DROPPED));
    cr_assert_str_eq(job.record->sql, "");
    cr_assert_str_eq(job.record->reason, "a wrong filter");
    br_job_free(&job);
}

Test(job, a_new_job_is_planned_and_wants_to_run) {
    struct br_job job = read_job(create());
    cr_assert_eq(job.record->phase, PHASE(PLANNED));
    cr_assert_eq(job.record->wish, WISH(RUN));
    cr_assert_eq(job.record->created_us, noon.us);
    cr_assert_str_eq(job.record->pipeline, "p");
    cr_assert_eq(job.record->progress->seconds_left, -1);
    br_job_free(&job);
}

Test(job, of_many_makers_each_gets_an_id_of_its_own) {
    struct br_log *other_log = br_control_log(control, NULL);
    struct br_jobs *other;
    cr_assert_eq(br_jobs_open(other_log, "p", &other, &error), BR_OK);
    char id[BR_JOB_ID_SIZE];
    Braid__V1__ReplayJob record = record_of("b");
    for (int i = 1; i <= 12; i++) {
        char expected[24];
        snprintf(expected, sizeof expected, "r%d", i);
        cr_assert_eq(br_jobs_create(i % 2 ? jobs : other, &record, noon, id, &error), BR_OK);
        cr_assert_str_eq(id, expected);
    }
    struct br_job_list list;
    cr_assert_eq(br_jobs_list(jobs, &list, &error), BR_OK);
    cr_assert_eq(list.count, 12);
    cr_assert_str_eq(list.jobs[1].record->id, "r2", "by number, not by text");
    cr_assert_str_eq(list.jobs[11].record->id, "r12");
    br_job_list_free(&list);
    br_jobs_close(&other);
    br_log_close(&other_log);
}

Test(job, an_unknown_job_and_a_pipeline_that_never_ran_are_told) {
    struct br_job job;
    cr_assert_eq(br_jobs_read(jobs, "r7", &job, &error), BR_DATA);
    cr_assert(strstr(error.message, "no replay \"r7\""), "%s", error.message);
    cr_assert_eq(br_jobs_read(jobs, "r1.x", &job, &error), BR_DATA);
    cr_assert_eq(br_jobs_read(jobs, "*", &job, &error), BR_DATA);
    struct br_jobs *none;
    cr_assert_eq(br_jobs_open(log_, "nowhere", &none, &error), BR_FATAL);
    cr_assert(strstr(error.message, "has it ever run"), "%s", error.message);
}

Test(job, a_key_deleted_by_hand_is_no_job_and_its_id_stays_taken) {
    create();
    struct br_log_header header = {br_slice_of("KV-Operation"), br_slice_of("DEL")};
    struct br_log_message marker = {
        .subject = br_slice_of("$KV.BRAID_p_replays.r1"), .headers = &header, .header_count = 1};
    cr_assert_eq(br_log_publish(log_, &marker, &error), BR_OK);
    struct br_job job;
    cr_assert_eq(br_jobs_read(jobs, "r1", &job, &error), BR_DATA);
    cr_assert_str_eq(create(), "r2");
    struct br_job_list list;
    cr_assert_eq(br_jobs_list(jobs, &list, &error), BR_OK);
    cr_assert_eq(list.count, 1);
    br_job_list_free(&list);
}

Test(job, a_record_that_cannot_be_read_stops_no_other_job) {
    create();
    create();
    struct br_log_message garbage = {.subject = br_slice_of("$KV.BRAID_p_replays.r1"),
                                     .payload = br_slice_of("\xff garbage")};
    cr_assert_eq(br_log_publish(log_, &garbage, &error), BR_OK);
    struct br_job job;
    bool claimed;
    cr_assert_eq(br_jobs_claim_any(jobs, "w1", noon, &job, &claimed, &error), BR_OK, "%s", error.message);
    cr_assert(claimed);
    cr_assert_str_eq(job.record->id, "r2");
    br_job_free(&job);
    cr_assert_eq(br_jobs_read(jobs, "r1", &job, &error), BR_FATAL);
    cr_assert(strstr(error.message, "r1 can't be read"), "%s", error.message);
    cr_assert_str_eq(create(), "r3");
}

struct meddling {
    int calls, until;
};
// Somebody else is faster, `until` times.
static enum br_status meddle(void *context, struct br_job *job, bool *ret_write, struct br_error *change_error) {
    struct meddling *meddling = context;
    (void)ret_write, (void)change_error;
    if (meddling->calls++ < meddling->until)
        cr_assert_eq(wish(job->record->id, meddling->calls % 2 ? WISH(PAUSE) : WISH(RUN)), BR_OK);
    job->record->finding = br_arena_strdup(job->arena, "mine");
    return BR_OK;
}

Test(job, a_change_that_lost_the_race_is_made_again_on_what_the_winner_wrote) {
    const char *id = create();
    struct meddling meddling = {.until = 3};
    cr_assert_eq(br_jobs_change(jobs, id, meddle, &meddling, NULL, &error), BR_OK, "%s", error.message);
    cr_assert_eq(meddling.calls, 4);
    struct br_job job = read_job(id);
    cr_assert_str_eq(job.record->finding, "mine");
    cr_assert_eq(job.record->wish, WISH(PAUSE), "the winner's wish is still there");
    br_job_free(&job);
}

Test(job, wishes_are_refused_in_words_when_the_phase_does_not_allow_them) {
    const char *id = create();
    cr_assert_eq(wish(id, WISH(PROMOTE)), BR_DATA);
    cr_assert_str_eq(error.message, "r1 is planned; only a job that is done can be promoted");
    cr_assert_eq(wish(id, WISH(DROP)), BR_DATA);
    become(id, PHASE(DONE));
    cr_assert_eq(wish(id, WISH(CANCEL)), BR_DATA);
    cr_assert_str_eq(error.message, "r1 is done; only a job that hasn't ended can be cancelled");
    struct br_job_gates gates = {.max_changed = 7, .dry_run = true};
    cr_assert_eq(br_jobs_wish(jobs, id, WISH(PROMOTE), &gates, noon, NULL, &error), BR_OK, "%s", error.message);
    struct br_job job = read_job(id);
    cr_assert(job.record->max_changed == 7 && job.record->dry_run && job.record->wish == WISH(PROMOTE));
    br_job_free(&job);
    become(id, PHASE(PROMOTED));
    cr_assert_eq(wish(id, WISH(ROLL_BACK)), BR_OK, "%s", error.message);
    become(id, PHASE(DROPPED));
    for (Braid__V1__ReplayWish w = WISH(RUN); w <= WISH(DROP); w++)
        cr_assert_eq(wish(id, w), BR_DATA);
}

Test(job, how_to_compare_is_part_of_the_wish) {
    const char *id = create();
    Braid__V1__Tolerance tolerance, *tolerances[] = {&tolerance};
    braid__v1__tolerance__init(&tolerance);
    tolerance.column = (char *)"totals.mean";
    tolerance.absolute = 0.5;
    become(id, PHASE(DONE));
    struct br_job_gates gates = {.samples = 3, .tolerances = tolerances, .tolerance_count = 1};
    cr_assert_eq(br_jobs_wish(jobs, id, WISH(COMPARE), &gates, noon, NULL, &error), BR_OK, "%s", error.message);
    struct br_job job = read_job(id);
    cr_assert(job.record->samples == 3 && job.record->n_tolerances == 1);
    cr_assert_str_eq(job.record->tolerances[0]->column, "totals.mean");
    cr_assert_eq(job.record->tolerances[0]->absolute, 0.5);
    br_job_free(&job);
}

Test(job, one_that_is_made_with_a_lease_is_its_workers) {
    char id[BR_JOB_ID_SIZE];
    struct br_job job;
    bool claimed;
    Braid__V1__ReplayJob record = record_of("a");
    record.worker = (char *)"mine";
    cr_assert_eq(br_jobs_create(jobs, &record, noon, id, &error), BR_OK);
    cr_assert_eq(br_jobs_claim_any(jobs, "another", after(BR_JOB_LEASE_US - 1), &job, &claimed, &error), BR_OK);
    cr_assert_not(claimed);
    cr_assert_eq(br_jobs_claim_any(jobs, "another", after(BR_JOB_LEASE_US), &job, &claimed, &error), BR_OK);
    cr_assert(claimed, "its worker has died");
    br_job_free(&job);
}

Test(job, only_the_record_of_a_dropped_job_is_forgotten) {
    char first[BR_JOB_ID_SIZE];
    snprintf(first, sizeof first, "%s", create());
    create();
    cr_assert_eq(br_jobs_forget(jobs, first, &error), BR_OK);
    become(first, PHASE(DROPPED)); // it was there
    cr_assert_eq(br_jobs_forget(jobs, first, &error), BR_OK);
    cr_assert_eq(br_jobs_forget(jobs, first, &error), BR_OK);
    struct br_job_list list;
    cr_assert_eq(br_jobs_list(jobs, &list, &error), BR_OK);
    cr_assert(list.count == 1 && strcmp(list.jobs[0].record->id, "r2") == 0);
    br_job_list_free(&list);
    cr_assert_str_eq(create(), "r3", "ids go on");
}

Test(job, a_job_that_only_verifies_cannot_be_promoted) {
    char id[BR_JOB_ID_SIZE];
    Braid__V1__ReplayJob record = record_of("a");
    record.mode = BRAID__V1__REPLAY_MODE__REPLAY_MODE_VERIFY;
    cr_assert_eq(br_jobs_create(jobs, &record, noon, id, &error), BR_OK);
    become(id, PHASE(DONE));
    cr_assert_eq(wish(id, WISH(PROMOTE)), BR_DATA);
    cr_assert(strstr(error.message, "only verifies"), "%s", error.message);
}

Test(job, what_nobody_has_begun_is_cancelled_at_once_and_what_somebody_has_by_the_worker) {
    const char *id = create();
    cr_assert_eq(wish(id, WISH(CANCEL)), BR_OK);
    struct br_job job = read_job(id);
    cr_assert_eq(job.record->phase, PHASE(CANCELLED));
    cr_assert_not(br_job_has_work(job.record));
    br_job_free(&job);
    id = create();
    cr_assert(claim(id, "w1", noon));
    cr_assert_eq(wish(id, WISH(CANCEL)), BR_OK);
    job = read_job(id);
    cr_assert_eq(job.record->phase, PHASE(PLANNED));
    cr_assert(br_job_has_work(job.record));
    br_job_free(&job);
}

// --- leases

Test(job, of_two_claimers_one_gets_the_job_until_its_lease_runs_out) {
    const char *id = create();
    uint64_t done;
    cr_assert(claim(id, "w1", noon));
    cr_assert_not(claim(id, "w2", after(1)));
    cr_assert(claim(id, "w1", after(2)), "its own is its own");
    cr_assert_not(claim(id, "w2", after(2 + BR_JOB_LEASE_US - 1)));
    cr_assert(renew(id, "w1", after(BR_JOB_LEASE_US), 10, 100, &done));
    cr_assert_not(claim(id, "w2", after(2 * BR_JOB_LEASE_US - 1)));
    cr_assert(claim(id, "w2", after(2 * BR_JOB_LEASE_US)));
    cr_assert_not(renew(id, "w1", after(2 * BR_JOB_LEASE_US + 1), 90, 100, &done), "it was too late");
    cr_assert_eq(done, 10);
}

// Both read the free job; the first one's write is there when the second one writes.
struct racer {
    const char *rival;
    bool rival_claimed;
    int calls;
};
static enum br_status race(void *context, struct br_job *job, bool *ret_write, struct br_error *change_error) {
    struct racer *racer = context;
    (void)change_error;
    if (racer->calls++ == 0)
        racer->rival_claimed = claim(job->record->id, racer->rival, noon);
    *ret_write = job->record->worker[0] == '\0';
    if (*ret_write)
        job->record->worker = br_arena_strdup(job->arena, "slow");
    return BR_OK;
}

Test(job, a_claim_between_another_ones_reading_and_writing_wins) {
    const char *id = create();
    struct racer racer = {.rival = "fast"};
    struct br_job job;
    cr_assert_eq(br_jobs_change(jobs, id, race, &racer, &job, &error), BR_OK);
    cr_assert(racer.rival_claimed && racer.calls == 2);
    cr_assert_str_eq(job.record->worker, "fast");
    br_job_free(&job);
}

Test(job, what_has_nothing_to_do_is_not_claimed) {
    const char *id = create();
    cr_assert(claim(id, "w1", noon));
    cr_assert_eq(br_jobs_release(jobs, id, "w2", &error), BR_OK, "another one's: nothing happens");
    cr_assert_not(claim(id, "w2", noon));
    cr_assert_eq(br_jobs_release(jobs, id, "w1", &error), BR_OK);
    cr_assert(claim(id, "w2", noon));
    cr_assert_eq(br_jobs_release(jobs, id, "w2", &error), BR_OK);
    static const Braid__V1__ReplayPhase idle[] = {PHASE(DONE),        PHASE(PAUSED), PHASE(PROMOTED),
                                                  PHASE(ROLLED_BACK), PHASE(FAILED), PHASE(CANCELLED)};
    for (size_t i = 0; i < sizeof idle / sizeof idle[0]; i++) {
        become(id, idle[i]);
        cr_assert_not(claim(id, "w1", noon), "%s", br_job_phase_name(idle[i]));
    }
    become(id, PHASE(PAUSED));
    cr_assert_eq(wish(id, WISH(RUN)), BR_OK);
    cr_assert(claim(id, "w1", noon));
}

Test(job, any_job_that_has_work_and_is_free_is_found) {
    struct br_job job;
    bool claimed;
    cr_assert_eq(br_jobs_claim_any(jobs, "w1", noon, &job, &claimed, &error), BR_OK);
    cr_assert_not(claimed);
    create();
    create();
    for (int i = 1; i <= 2; i++) {
        char id[24];
        snprintf(id, sizeof id, "r%d", i);
        cr_assert_eq(br_jobs_claim_any(jobs, i == 1 ? "w1" : "w2", noon, &job, &claimed, &error), BR_OK);
        cr_assert(claimed);
        cr_assert_str_eq(job.record->id, id);
        cr_assert_eq(job.record->started_us, noon.us);
        br_job_free(&job);
    }
    cr_assert_eq(br_jobs_claim_any(jobs, "w3", noon, &job, &claimed, &error), BR_OK);
    cr_assert_not(claimed);
    cr_assert_eq(br_jobs_claim_any(jobs, "w3", after(BR_JOB_LEASE_US), &job, &claimed, &error), BR_OK);
    cr_assert(claimed);
    br_job_free(&job);
}

Test(job, progress_never_goes_back) {
    const char *id = create();
    uint64_t done;
    cr_assert(claim(id, "w1", noon));
    cr_assert(renew(id, "w1", noon, 50, 100, &done));
    cr_assert(claim(id, "w2", after(BR_JOB_LEASE_US)));
    cr_assert(renew(id, "w2", after(BR_JOB_LEASE_US), 30, 90, &done), "from the last commit of its lineage");
    cr_assert_eq(done, 50);
    cr_assert(renew(id, "w2", after(BR_JOB_LEASE_US), 60, 90, &done));
    cr_assert_eq(done, 60);
}

Test(job, lost_answers_and_refusals_leave_every_change_made_once) {
    teardown();
    setup_with(&(struct br_sim_faults){.seed = 11, .lose_ack = 150, .lose_batch = 150, .refuse = 150});
    for (int i = 1; i <= 30; i++) {
        char id[24], expected[24];
        Braid__V1__ReplayJob record = record_of("a");
        uint64_t done;
        snprintf(expected, sizeof expected, "r%d", i);
        cr_assert_eq(br_jobs_create(jobs, &record, after(i), id, &error), BR_OK, "%s", error.message);
        cr_assert_str_eq(id, expected, "no id was left out, none given twice");
        cr_assert(claim(id, "w1", noon));
        cr_assert(renew(id, "w1", noon, (uint64_t)i, 100, &done));
        cr_assert_eq(done, (uint64_t)i);
    }
}

// --- the bucket by the control plane, from many seeds

#define RACERS 3
static void open_racers(struct br_log *logs[RACERS], struct br_jobs *racers[RACERS]) {
    for (int r = 0; r < RACERS; r++) {
        enum br_status status;
        logs[r] = br_control_log(control, NULL);
        while ((status = br_jobs_open(logs[r], "p", &racers[r], &error)) == BR_RETRY)
            continue;
        cr_assert_eq(status, BR_OK, "%s", error.message);
    }
}

static enum br_status count_up(void *context, struct br_job *job, bool *ret_write, struct br_error *change_error) {
    (void)context, (void)ret_write, (void)change_error;
    job->record->progress->epochs++;
    return BR_OK;
}

// What is told as done is done once; what ends in an error may have been done, and not twice.
static void run_race(uint64_t seed) {
    struct br_log *logs[RACERS];
    struct br_jobs *racers[RACERS];
    uint64_t sure = 0, made = 0, tried = 0;
    setup_with(&(struct br_sim_faults){.seed = seed,
                                       .lose_ack = 60,
                                       .lose_batch = 60,
                                       .late_batch = 60,
                                       .refuse = 60,
                                       .lose_request = 60,
                                       .late_request = 100,
                                       .cut_answer = 60});
    open_racers(logs, racers);
    for (uint64_t i = 0; i < 12; i++) {
        char id[BR_JOB_ID_SIZE];
        Braid__V1__ReplayJob record = record_of("a");
        made += br_jobs_create(racers[i % RACERS], &record, after((int64_t)i), id, &error) == BR_OK;
        tried++;
        sure += br_jobs_change(racers[(seed + i) % RACERS], "r1", count_up, NULL, NULL, &error) == BR_OK;
    }
    br_sim_set_faults(sim, &(struct br_sim_faults){.seed = seed});
    for (int i = 0; i < 50; i++) // what is late lands
        br_log_wait(log_, BR_US_PER_SECOND);
    struct br_job_list list;
    cr_assert_eq(br_jobs_list(jobs, &list, &error), BR_OK, "%s", error.message);
    cr_assert(list.count >= made && list.count <= tried, "seed %llu: %zu jobs of %llu made", (unsigned long long)seed,
              list.count, (unsigned long long)made);
    for (size_t i = 0; i < list.count; i++)
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(list.jobs[i].record->created_us, list.jobs[j].record->created_us, "seed %llu: made twice",
                          (unsigned long long)seed);
    uint64_t counted = list.jobs[0].record->progress->epochs;
    cr_assert(counted >= sure, "seed %llu: a change that was told as made is gone: %llu of %llu",
              (unsigned long long)seed, (unsigned long long)counted, (unsigned long long)sure);
    br_job_list_free(&list);
    for (int r = 0; r < RACERS; r++) {
        br_jobs_close(&racers[r]);
        br_log_close(&logs[r]);
    }
    teardown();
}

Test(job, over_a_faulty_control_plane_no_change_is_lost_and_no_job_made_twice) {
    teardown();
    for (uint64_t seed = 1; seed <= 300; seed++)
        run_race(seed);
    setup();
}

// --- words

Test(job, a_job_reads_as_json_and_as_text) {
    const char *id = create();
    cr_assert(claim(id, "w1", noon));
    struct br_job job = read_job(id);
    for (int brief = 0; brief < 2; brief++) {
        struct br_buffer out = {0};
        struct br_json json, value;
        br_job_json(job.record, brief != 0, &out);
        cr_assert_eq(br_json_parse(br_buffer_slice(&out), &json, &error), BR_OK, "%s", error.message);
        cr_assert(br_json_member(&json, "phase", job.arena, &value) && br_slice_is(value.text, "\"planned\""));
        cr_assert(br_json_member(&json, "worker", job.arena, &value) && br_slice_is(value.text, "\"w1\""));
        cr_assert(br_json_member(&json, "progress", job.arena, &value));
        br_buffer_free(&out);
    }
    struct br_buffer out = {0};
    br_job_text(job.record, after(BR_JOB_LEASE_US), &out);
    br_buffer_append_byte(&out, '\0');
    cr_assert(strstr((char *)out.ptr, "a wrong filter") && strstr((char *)out.ptr, "its lease has run out"));
    br_buffer_free(&out);
    br_job_free(&job);
}

Test(job, one_of_a_later_build_is_left_alone) {
    Braid__V1__ReplayJob record = record_of("a");
    char id[BR_JOB_ID_SIZE];
    struct br_job job;
    bool claimed;
    cr_assert_eq(br_jobs_create(jobs, &record, noon, id, &error), BR_OK);
    job = read_job(id);
    cr_expect_eq(job.record->semantics, br_semantics(), "who makes it says by which rules it computes");
    job.record->semantics++;
    uint8_t bytes[1000];
    struct br_slice value = {bytes, braid__v1__replay_job__pack(job.record, bytes)};
    enum br_append_result result;
    uint64_t revision;
    cr_assert_eq(br_jobs_put_value(jobs, id, &value, job.revision, &result, &revision, &error), BR_OK);
    br_job_free(&job);
    cr_assert_eq(br_jobs_claim_any(jobs, "w", noon, &job, &claimed, &error), BR_OK);
    cr_expect(!claimed);
    cr_assert_eq(br_jobs_wish(jobs, id, WISH(CANCEL), NULL, noon, &job, &error), BR_DATA);
    cr_expect(strstr(error.message, "later build") != NULL, "%s", error.message);
    struct br_job_list list;
    cr_assert_eq(br_jobs_list(jobs, &list, &error), BR_OK);
    cr_expect_eq(list.count, 1, "it is shown");
    br_job_list_free(&list);
}

Test(job, a_rebuild_is_its_commands_own) {
    Braid__V1__ReplayJob record = record_of("a");
    char id[BR_JOB_ID_SIZE];
    struct br_job job;
    bool claimed;
    record.rebuild = true;
    cr_assert_eq(br_jobs_create(jobs, &record, noon, id, &error), BR_OK);
    cr_assert_eq(br_jobs_claim_any(jobs, "worker", noon, &job, &claimed, &error), BR_OK);
    cr_expect(!claimed, "no worker takes it");
    cr_assert_eq(br_jobs_claim(jobs, id, "command", noon, &job, &claimed, &error), BR_OK);
    cr_assert(claimed);
    cr_expect_eq(job.record->wish, WISH(REBUILD));
    br_job_free(&job);
}
