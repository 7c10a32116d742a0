// SPDX-License-Identifier: Apache-2.0
// braid reconcile: are the live results what history gives? Once (a replay that is compared and dropped), or every so
// often, by the workers.
#include "base/logging.h"
#include "cli/replay.h"
#include "processor/expr/datetime.h"
#include "processor/worker.h"
#include "replay/report.h"
#include "replay/schedule.h"

#include <stdio.h>
#include <unistd.h>

#define EVERY_US_LEAST BR_US_PER_SECOND

struct arguments {
    struct replay_arguments replay;
    int64_t every_us; // 0: once
    bool stop, show;
};

enum { KEY_EVERY = 256, KEY_STOP, KEY_SHOW, KEY_FAIL_ON, KEY_TOLERANCE, KEY_LATENESS, KEY_LOCAL, KEY_DATA, KEY_JSON };

static const struct argp_option options[] = {
    {"every", KEY_EVERY, "INTERVAL", 0, "Have the workers do it this often from now on: '1 day'", 0},
    {"stop", KEY_STOP, NULL, 0, "No more of what --every has begun", 0},
    {"show", KEY_SHOW, NULL, 0, "Tell what --every has begun, and its last report", 0},
    {"fail-on", KEY_FAIL_ON, "CONDITION,…", 0,
     "Fails when one holds, as in 'unknown>0', instead of when any row differs", 0},
    {"tolerance", KEY_TOLERANCE, "VIEW.COLUMN=N", 0,
     "Values of this double precision column no further apart are equal; may be repeated", 0},
    {"lateness", KEY_LATENESS, "INTERVAL", 0, "Instead of the views' own: '1 hour'", 0},
    {"local", KEY_LOCAL, NULL, 0, "In this process, not in a worker", 0},
    {"data", KEY_DATA, "DIR", 0, "--local: folder for state (default: <pipeline>.braid-data)", 0},
    {"json", KEY_JSON, NULL, 0, "JSON, one object a line", 0},
    {0},
};

static int64_t parse_interval(const char *text, int64_t least, const char *option, struct argp_state *state) {
    struct br_interval interval;
    int64_t us = -1;
    if (!br_interval_parse(br_slice_of(text), &interval) || !br_interval_to_us(interval, &us) || us < least)
        argp_error(state, "--%s takes an interval ('1 day'), not '%s'", option, text);
    return us;
}

static void check_fail_on(const char *text, struct argp_state *state) {
    struct br_error error;
    bool fails;
    if (br_report_fails_on(text, NULL, &fails, NULL, &error) != BR_OK)
        argp_error(state, "--%s", error.message);
}

static void check_together(const struct arguments *arguments, struct argp_state *state) {
    if (arguments->replay.word == NULL)
        argp_error(state, "which PIPELINE?");
    if ((arguments->every_us != 0) + arguments->stop + arguments->show + arguments->replay.local > 1)
        argp_error(state, "one of --every, --stop, --show and --local, please");
}

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct arguments *arguments = state->input;
    struct replay_arguments *replay = &arguments->replay;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &replay->pipeline;
        state->child_inputs[1] = &replay->connect;
        return 0;
    case KEY_EVERY:
        arguments->every_us = parse_interval(argument, EVERY_US_LEAST, "every", state);
        return 0;
    case KEY_STOP:
        arguments->stop = true;
        return 0;
    case KEY_SHOW:
        arguments->show = true;
        return 0;
    case KEY_FAIL_ON:
        check_fail_on(argument, state);
        replay->fail_on = argument;
        return 0;
    case KEY_TOLERANCE:
        if (!replay_add_tolerance(replay, argument))
            argp_error(state, "--tolerance takes VIEW.COLUMN=NUMBER, at most %d times, not '%s'", REPLAY_TOLERANCES_MAX,
                       argument);
        return 0;
    case KEY_LATENESS:
        replay->lateness_us = parse_interval(argument, 0, "lateness", state);
        return 0;
    case KEY_LOCAL:
        replay->local = true;
        return 0;
    case KEY_DATA:
        replay->data = argument;
        return 0;
    case KEY_JSON:
        replay->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (replay->word != NULL)
            argp_error(state, "one PIPELINE, please");
        replay->word = argument;
        return 0;
    case ARGP_KEY_END:
        check_together(arguments, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int fail(enum br_status status, const struct br_error *error) {
    br_complain("%s", error->message);
    return status == BR_DATA ? BR_EXIT_NO : BR_EXIT_FAILED;
}

// --- once

static int create_job(const struct replay_arguments *arguments, struct br_jobs *jobs, struct replay_draft *draft,
                      char *worker, char id[BR_JOB_ID_SIZE]) {
    struct br_error error;
    const struct br_clock *clock = br_clock_system();
    Braid__V1__ReplayJob *record = &draft->record;
    record->reason = (char *)"reconcile";
    record->reconcile = true;
    record->fail_on = (char *)(arguments->fail_on == NULL ? "" : arguments->fail_on);
    record->tolerances = arguments->gates.tolerances;
    record->n_tolerances = arguments->gates.tolerance_count;
    record->worker = arguments->local ? worker : record->worker;
    enum br_status status = br_jobs_create(jobs, record, clock->wall(clock), id, &error);
    return status == BR_OK ? BR_EXIT_OK : fail(status, &error);
}

// A reconcile that came to its end has dropped itself; its report is still there.
static int conclude(const struct replay_arguments *arguments, struct br_log *log, const Braid__V1__ReplayJob *record) {
    int code = replay_outcome(arguments, record);
    if (code == BR_EXIT_OK && record->phase != BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_DROPPED) {
        br_complain("%s is %s", record->id, br_job_phase_name(record->phase));
        return BR_EXIT_NO;
    }
    return code == BR_EXIT_OK ? replay_show_report(arguments, log, record) : code;
}

static int follow(const struct replay_arguments *arguments, struct br_jobs *jobs, struct br_log *log, const char *id) {
    struct br_job job = {0};
    bool bar = !arguments->json && isatty(STDERR_FILENO);
    int code = replay_follow(arguments, jobs, log, id, bar, true, &job);
    if (code == BR_EXIT_OK)
        code = conclude(arguments, log, job.record);
    else if (code == BR_EXIT_INTERRUPTED)
        fprintf(stderr,
                "a worker goes on with %s, and drops it at its end; braid replay diff %s %s --last shows what it "
                "found then\n",
                id, arguments->word, id);
    br_job_free(&job);
    return code;
}

static int reconcile_now(const struct replay_arguments *arguments, struct br_log *log) {
    struct br_error error;
    struct br_jobs *jobs = NULL;
    struct replay_local *local = NULL;
    struct replay_draft draft;
    char id[BR_JOB_ID_SIZE], worker[128];
    br_worker_name(worker, sizeof worker);
    int code = replay_make(arguments, log, &draft);
    enum br_status status = BR_OK;
    if (code == BR_EXIT_OK)
        status = br_replay_plan_check(draft.plan, &error);
    if (code == BR_EXIT_OK && status == BR_OK)
        status = br_jobs_open(log, draft.name, &jobs, &error);
    if (status != BR_OK)
        code = fail(status, &error);
    if (code == BR_EXIT_OK)
        code = create_job(arguments, jobs, &draft, worker, id);
    if (code == BR_EXIT_OK && arguments->local)
        code = replay_local_start(arguments, draft.name, draft.before, id, worker, &local);
    if (code == BR_EXIT_OK)
        code = follow(arguments, jobs, log, id);
    replay_local_stop(&local);
    br_jobs_close(&jobs);
    replay_draft_free(&draft);
    return code;
}

// --- every so often

static int schedule(const struct arguments *arguments, struct br_jobs *jobs) {
    struct br_error error;
    const struct br_clock *clock = br_clock_system();
    struct br_arena *arena = br_arena_create();
    Braid__V1__ReconcileSchedule record;
    braid__v1__reconcile_schedule__init(&record);
    record.every_us = arguments->every_us;
    record.fail_on = (char *)(arguments->replay.fail_on == NULL ? "" : arguments->replay.fail_on);
    record.tolerances = arguments->replay.gates.tolerances;
    record.n_tolerances = arguments->replay.gates.tolerance_count;
    record.lateness_us = arguments->replay.lateness_us;
    record.created_by = replay_maker(arena);
    record.created_us = clock->wall(clock).us;
    enum br_status status = br_schedule_put(jobs, arguments->stop ? NULL : &record, &error);
    br_arena_destroy(&arena);
    return status == BR_OK ? BR_EXIT_OK : fail(status, &error);
}

static int show_last(const struct replay_arguments *arguments, struct br_jobs *jobs, struct br_log *log,
                     const char *id) {
    struct br_error error;
    struct br_job job;
    enum br_status status = br_jobs_read(jobs, id, &job, &error);
    if (status != BR_OK)
        return fail(status, &error);
    int code = BR_EXIT_OK;
    if (job.record->error[0] != '\0')
        br_complain("%s: %s", id, job.record->error);
    else if (br_job_has_work(job.record))
        fprintf(stderr, "%s is %s\n", id, br_job_phase_name(job.record->phase));
    else
        code = replay_show_report(arguments, log, job.record);
    br_job_free(&job);
    return code == BR_EXIT_FAILED ? code : BR_EXIT_OK; // shown is shown, whatever it found
}

static int show_schedule(const struct arguments *arguments, struct br_jobs *jobs, struct br_log *log) {
    struct br_error error;
    struct br_buffer BR_CLEANUP(br_buffer_free) out = {0};
    struct br_schedule schedule;
    enum br_status status = br_schedule_read(jobs, &schedule, &error);
    if (status != BR_OK)
        return fail(status, &error);
    int code = BR_EXIT_OK;
    if (schedule.record == NULL) {
        br_complain("no reconcile is scheduled; --every '1 day' does it");
        code = BR_EXIT_NO;
    } else {
        (arguments->replay.json ? br_schedule_json : br_schedule_text)(schedule.record, &out);
        fwrite(out.ptr, 1, out.len, stdout);
        fflush(stdout);
        if (schedule.record->last_job[0] != '\0')
            code = show_last(&arguments->replay, jobs, log, schedule.record->last_job);
    }
    br_schedule_free(&schedule);
    return code;
}

static int on_schedule(const struct arguments *arguments, struct br_log *log) {
    struct br_error error;
    struct br_jobs *jobs;
    struct br_pipeline *pipeline;
    char name[256];
    int code = replay_pipeline_name(&arguments->replay, log, name, sizeof name, &pipeline);
    br_pipeline_destroy(&pipeline);
    if (code != BR_EXIT_OK)
        return code;
    enum br_status status = br_jobs_open(log, name, &jobs, &error);
    if (status != BR_OK)
        return fail(status, &error);
    code = arguments->show ? show_schedule(arguments, jobs, log) : schedule(arguments, jobs);
    br_jobs_close(&jobs);
    return code;
}

static const char doc[] =
    "Runs a PIPELINE (its name, or its SQL file) again over its history and compares its rows with the live ones at "
    "the same position; exits with 1 when they differ.\vA worker (`braid run`) does it. --every leaves it to the "
    "workers from now on: they log what they find, at level error when it fails, and publish the report on "
    "braid.<pipeline>.reconcile.<id>.";

int br_command_reconcile(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&br_pipeline_argp, 0, NULL, 0}, {&br_connect_argp, 0, "Server:", 2}, {0}};
    static const struct argp argp = {options, parse, "PIPELINE", doc, children, NULL, NULL};
    struct arguments arguments = {.replay = {.verb = REPLAY_START, .lateness_us = -1}};
    br_connect_defaults(&arguments.replay.connect, "braid reconcile");
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    br_catch_signals();
    br_log_configure(BR_LEVEL_WARN, false); // --local does what workers tell of
    struct br_log *log = br_connect_control(&arguments.replay.connect);
    if (log == NULL)
        return BR_EXIT_FAILED;
    bool once = arguments.every_us == 0 && !arguments.stop && !arguments.show;
    int code = once ? reconcile_now(&arguments.replay, log) : on_schedule(&arguments, log);
    br_log_close(&log);
    return code;
}
