// SPDX-License-Identifier: Apache-2.0
// braid replay: history run again. Jobs are made, shown and commanded here; workers do them (replay/job.h).
#include "cli/replay.h"
#include "base/logging.h"
#include "processor/expr/datetime.h"
#include "processor/worker.h"
#include "replay/report.h"

#include <inttypes.h>
#include <stdio.h>

// --- verbs

#define OPTION(key) (1u << (key))

enum {
    OPTION_FROM,
    OPTION_TO,
    OPTION_PIPELINE,
    OPTION_ONLY,
    OPTION_KEY,
    OPTION_INCLUDE,
    OPTION_LATENESS,
    OPTION_RATE,
    OPTION_REASON,
    OPTION_PUBLISH,
    OPTION_EPOCHS,
    OPTION_LOCAL,
    OPTION_DATA,
    OPTION_JSON,
    OPTION_WAIT,
    OPTION_DRY_RUN,
    OPTION_MAX_CHANGED,
    OPTION_REQUIRE_VERIFIED,
    OPTION_FAIL_ON,
    OPTION_TOLERANCE,
    OPTION_SAMPLES,
    OPTION_LAST,
    OPTION_ALLOW_INCOMPATIBLE,
    OPTIONS
};
#define KEY_FIRST 256 // argp key of option 0
#define SAMPLES_MAX 100000

#define SLICE_OPTIONS (OPTION(OPTION_FROM) | OPTION(OPTION_TO) | OPTION(OPTION_JSON))
#define LOCAL_OPTIONS (OPTION(OPTION_LOCAL) | OPTION(OPTION_DATA))
#define RUN_OPTIONS (OPTION(OPTION_REASON) | OPTION(OPTION_WAIT) | LOCAL_OPTIONS)
#define CHANGE_OPTIONS                                                                                                 \
    (OPTION(OPTION_PIPELINE) | OPTION(OPTION_ONLY) | OPTION(OPTION_KEY) | OPTION(OPTION_INCLUDE) |                     \
     OPTION(OPTION_LATENESS) | OPTION(OPTION_RATE) | OPTION(OPTION_EPOCHS) | OPTION(OPTION_ALLOW_INCOMPATIBLE))
#define COMPARE_OPTIONS (OPTION(OPTION_TOLERANCE) | OPTION(OPTION_SAMPLES))
#define WISH_OPTIONS (OPTION(OPTION_JSON) | OPTION(OPTION_WAIT))

static const struct verb {
    const char *name;
    unsigned options;
    bool needs_job;
    Braid__V1__ReplayWish wish;
} verbs[REPLAY_VERBS] = {
    [REPLAY_PLAN] = {"plan", SLICE_OPTIONS | CHANGE_OPTIONS, false, 0},
    [REPLAY_START] = {"start", SLICE_OPTIONS | CHANGE_OPTIONS | RUN_OPTIONS | OPTION(OPTION_PUBLISH), false, 0},
    [REPLAY_VERIFY] = {"verify", SLICE_OPTIONS | RUN_OPTIONS | OPTION(OPTION_ONLY) | OPTION(OPTION_RATE), false, 0},
    [REPLAY_LIST] = {"list", OPTION(OPTION_JSON), false, 0},
    [REPLAY_STATUS] = {"status", OPTION(OPTION_JSON), true, 0},
    [REPLAY_WATCH] = {"watch", OPTION(OPTION_JSON), true, 0},
    [REPLAY_PAUSE] = {"pause", WISH_OPTIONS, true, BRAID__V1__REPLAY_WISH__REPLAY_WISH_PAUSE},
    [REPLAY_RESUME] = {"resume", WISH_OPTIONS | LOCAL_OPTIONS, true, BRAID__V1__REPLAY_WISH__REPLAY_WISH_RUN},
    [REPLAY_CANCEL] = {"cancel", WISH_OPTIONS, true, BRAID__V1__REPLAY_WISH__REPLAY_WISH_CANCEL},
    [REPLAY_DIFF] = {"diff",
                     OPTION(OPTION_JSON) | OPTION(OPTION_FAIL_ON) | OPTION(OPTION_LAST) | COMPARE_OPTIONS |
                         LOCAL_OPTIONS,
                     true, BRAID__V1__REPLAY_WISH__REPLAY_WISH_COMPARE},
    [REPLAY_PROMOTE] = {"promote",
                        WISH_OPTIONS | OPTION(OPTION_DRY_RUN) | OPTION(OPTION_MAX_CHANGED) |
                            OPTION(OPTION_REQUIRE_VERIFIED) | OPTION(OPTION_ALLOW_INCOMPATIBLE) | COMPARE_OPTIONS |
                            LOCAL_OPTIONS,
                        true, BRAID__V1__REPLAY_WISH__REPLAY_WISH_PROMOTE},
    [REPLAY_ROLLBACK] = {"rollback", WISH_OPTIONS | LOCAL_OPTIONS, true, BRAID__V1__REPLAY_WISH__REPLAY_WISH_ROLL_BACK},
    [REPLAY_DROP] = {"drop", WISH_OPTIONS | LOCAL_OPTIONS, true, BRAID__V1__REPLAY_WISH__REPLAY_WISH_DROP},
    [REPLAY_REBUILD] = {"rebuild",
                        OPTION(OPTION_JSON) | OPTION(OPTION_PIPELINE) | OPTION(OPTION_REASON) | OPTION(OPTION_RATE) |
                            OPTION(OPTION_DATA) | OPTION(OPTION_DRY_RUN) | OPTION(OPTION_MAX_CHANGED) |
                            OPTION(OPTION_EPOCHS) | OPTION(OPTION_FROM) | COMPARE_OPTIONS,
                        false, BRAID__V1__REPLAY_WISH__REPLAY_WISH_REBUILD},
};

// --- arguments

static const struct argp_option options[] = {
    {"from", KEY_FIRST + OPTION_FROM, "WHERE", 0,
     "beginning (the default), oldest (what is left of it), a time, how long ago ('2 hours'), epoch:N, or a stream's "
     "sequence (seq:N)",
     0},
    {"to", KEY_FIRST + OPTION_TO, "WHERE", 0, "The same; now (the default): the last recorded epoch", 0},
    {"pipeline", KEY_FIRST + OPTION_PIPELINE, "FILE.sql", 0, "The changed pipeline to replay with", 0},
    {"only", KEY_FIRST + OPTION_ONLY, "VIEW,…", 0, "These views only", 0},
    {"key", KEY_FIRST + OPTION_KEY, "CONDITION", 0, "Rows that match only: 'region = ''EU'''", 0},
    {"include", KEY_FIRST + OPTION_INCLUDE, "late,quarantine", 0, "Fold in events that were set aside", 0},
    {"lateness", KEY_FIRST + OPTION_LATENESS, "INTERVAL", 0, "Instead of the views' own: '1 hour'", 0},
    {"rate", KEY_FIRST + OPTION_RATE, "N", 0, "At most N messages a second, or 'behind live': yields to the live task",
     0},
    {"reason", KEY_FIRST + OPTION_REASON, "TEXT", 0, "Why, for the record", 0},
    {"publish", KEY_FIRST + OPTION_PUBLISH, NULL, 0, "Publish its changes on braid.<pipeline>.replay.<id>.view.<view>",
     0},
    {"epochs", KEY_FIRST + OPTION_EPOCHS, "fresh", 0, "Epochs of its own instead of the recorded ones", 0},
    {"local", KEY_FIRST + OPTION_LOCAL, NULL, 0, "In this process, not in a worker; waits for the end", 0},
    {"data", KEY_FIRST + OPTION_DATA, "DIR", 0, "--local, rebuild: folder for state (default: <pipeline>.braid-data)",
     0},
    {"json", KEY_FIRST + OPTION_JSON, NULL, 0, "JSON, one object a line", 0},
    {"wait", KEY_FIRST + OPTION_WAIT, NULL, 0, "Until it has come true", 0},
    {"dry-run", KEY_FIRST + OPTION_DRY_RUN, NULL, 0, "promote, rebuild: tell what would be published", 0},
    {"max-changed", KEY_FIRST + OPTION_MAX_CHANGED, "N", 0, "promote, rebuild: refuse when more rows would change", 0},
    {"require-verified", KEY_FIRST + OPTION_REQUIRE_VERIFIED, NULL, 0,
     "promote: only when the live results have been verified", 0},
    {"fail-on", KEY_FIRST + OPTION_FAIL_ON, "CONDITION,…", 0,
     "diff: exit with 1 when one holds, as in 'unknown>0', instead of when any row differs", 0},
    {"tolerance", KEY_FIRST + OPTION_TOLERANCE, "VIEW.COLUMN=N", 0,
     "diff, promote, rebuild: values of this double precision column no further apart are equal; may be repeated", 0},
    {"samples", KEY_FIRST + OPTION_SAMPLES, "N", 0,
     "diff, promote, rebuild: show at most N rows of a view and a kind of difference", 0},
    {"last", KEY_FIRST + OPTION_LAST, NULL, 0, "diff: show the last report, and don't compare again", 0},
    {"allow-incompatible", KEY_FIRST + OPTION_ALLOW_INCOMPATIBLE, NULL, 0,
     "plan, start, promote: although field numbers move, so that who has the former schema reads one column as another",
     0},
    {0},
};

static uint64_t parse_count(const char *text, const char *option, uint64_t most, struct argp_state *state) {
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || value == 0 || value > most)
        argp_error(state, "--%s takes a number from 1 on, not '%s'", option, text);
    return value;
}

static const char *parse_fail_on(const char *text, struct argp_state *state) {
    struct br_error error;
    bool fails;
    if (br_report_fails_on(text, NULL, &fails, NULL, &error) != BR_OK)
        argp_error(state, "--%s", error.message);
    return text;
}

static void parse_rate(struct replay_arguments *arguments, const char *text, struct argp_state *state) {
    char *end;
    if (strcmp(text, "behind live") == 0) {
        arguments->behind_live = true;
        return;
    }
    arguments->rate = strtod(text, &end);
    if (end == text || *end != '\0' || !(arguments->rate > 0 && arguments->rate < 1e12))
        argp_error(state, "--rate takes messages a second or 'behind live', not '%s'", text);
}

static void parse_lateness(struct replay_arguments *arguments, const char *text, struct argp_state *state) {
    struct br_interval interval;
    if (!br_interval_parse(br_slice_of(text), &interval) || !br_interval_to_us(interval, &arguments->lateness_us) ||
        arguments->lateness_us < 0)
        argp_error(state, "--lateness takes an interval ('1 hour'), not '%s'", text);
}

// Cuts at commas, in place.
static void parse_only(struct replay_arguments *arguments, char *text, struct argp_state *state) {
    char *rest = NULL;
    for (char *view = strtok_r(text, ", ", &rest); view != NULL; view = strtok_r(NULL, ", ", &rest)) {
        if (arguments->only_count == REPLAY_ONLY_MAX)
            argp_error(state, "--only: more than %d views", REPLAY_ONLY_MAX);
        else
            arguments->only[arguments->only_count++] = view;
    }
}

static void parse_include(struct replay_arguments *arguments, char *text, struct argp_state *state) {
    char *rest = NULL;
    for (char *what = strtok_r(text, ", ", &rest); what != NULL; what = strtok_r(NULL, ", ", &rest)) {
        if (strcmp(what, "late") == 0)
            arguments->include_late = true;
        else if (strcmp(what, "quarantine") == 0)
            arguments->include_quarantine = true;
        else
            argp_error(state, "--include takes late, quarantine or both, not '%s'", what);
    }
}

static void take_option(struct replay_arguments *arguments, int option, char *argument, struct argp_state *state) {
    switch (option) {
    case OPTION_FROM:
        arguments->from = argument;
        break;
    case OPTION_TO:
        arguments->to = argument;
        break;
    case OPTION_PIPELINE:
        arguments->new_path = argument;
        break;
    case OPTION_ONLY:
        parse_only(arguments, argument, state);
        break;
    case OPTION_KEY:
        arguments->key = argument;
        break;
    case OPTION_INCLUDE:
        parse_include(arguments, argument, state);
        break;
    case OPTION_LATENESS:
        parse_lateness(arguments, argument, state);
        break;
    case OPTION_RATE:
        parse_rate(arguments, argument, state);
        break;
    case OPTION_REASON:
        arguments->reason = argument;
        break;
    case OPTION_PUBLISH:
        arguments->publish = true;
        break;
    case OPTION_EPOCHS:
        arguments->fresh_epochs = true;
        if (strcmp(argument, "fresh") != 0)
            argp_error(state, "--epochs takes fresh, not '%s'", argument);
        break;
    case OPTION_LOCAL:
        arguments->local = true;
        break;
    case OPTION_DATA:
        arguments->data = argument;
        break;
    case OPTION_JSON:
        arguments->json = true;
        break;
    case OPTION_WAIT:
        arguments->wait = true;
        break;
    case OPTION_DRY_RUN:
        arguments->gates.dry_run = true;
        break;
    case OPTION_MAX_CHANGED:
        arguments->gates.max_changed = parse_count(argument, "max-changed", UINT64_MAX, state);
        break;
    case OPTION_REQUIRE_VERIFIED:
        arguments->gates.require_verified = true;
        break;
    case OPTION_FAIL_ON:
        arguments->fail_on = parse_fail_on(argument, state);
        break;
    case OPTION_TOLERANCE:
        if (!replay_add_tolerance(arguments, argument))
            argp_error(state, "--tolerance takes VIEW.COLUMN=NUMBER, at most %d times, not '%s'", REPLAY_TOLERANCES_MAX,
                       argument);
        break;
    case OPTION_SAMPLES:
        arguments->gates.samples = (uint32_t)parse_count(argument, "samples", SAMPLES_MAX, state);
        break;
    case OPTION_ALLOW_INCOMPATIBLE:
        arguments->gates.allow_incompatible = true;
        break;
    default:
        arguments->last = true;
        break;
    }
}

static void take_word(struct replay_arguments *arguments, const char *word, struct argp_state *state) {
    if (arguments->word == NULL)
        arguments->word = word;
    else if (arguments->id == NULL && verbs[arguments->verb].needs_job)
        arguments->id = word;
    else
        argp_error(state, "too many words: '%s'", word);
}

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct replay_arguments *arguments = state->input;
    const struct verb *verb = &verbs[arguments->verb];
    if (key >= KEY_FIRST && key < KEY_FIRST + OPTIONS) {
        if ((verb->options >> (key - KEY_FIRST) & 1) == 0)
            argp_error(state, "--%s isn't for `braid replay %s`", options[key - KEY_FIRST].name, verb->name);
        take_option(arguments, key - KEY_FIRST, argument, state);
        return 0;
    }
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->pipeline;
        state->child_inputs[1] = &arguments->connect;
        return 0;
    case ARGP_KEY_ARG:
        take_word(arguments, argument, state);
        return 0;
    case ARGP_KEY_END:
        if (arguments->word == NULL)
            argp_error(state, "which PIPELINE?");
        if (verb->needs_job && arguments->id == NULL)
            argp_error(state, "which replay? (braid replay list shows them)");
        if (arguments->verb == REPLAY_REBUILD && arguments->from != NULL &&
            (strcmp(arguments->from, "oldest") != 0 || !arguments->fresh_epochs))
            argp_error(state, "rebuild computes all that is left: --epochs fresh --from oldest");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

// --- what the verbs do

static int fail(enum br_status status, const struct br_error *error) {
    br_complain("%s", error->message);
    return status == BR_DATA ? BR_EXIT_NO : BR_EXIT_FAILED;
}

static void print(const struct br_buffer *out) {
    if (out->len != 0)
        fwrite(out->ptr, 1, out->len, stdout);
    fflush(stdout);
}

static void print_job(const struct replay_arguments *arguments, const Braid__V1__ReplayJob *record) {
    struct br_buffer BR_CLEANUP(br_buffer_free) out = {0};
    const struct br_clock *clock = br_clock_system();
    if (arguments->json) {
        br_job_json(record, false, &out);
        br_buffer_append_byte(&out, '\n');
    } else {
        br_job_text(record, clock->wall(clock), &out);
    }
    print(&out);
}

void replay_show_plan(const struct replay_arguments *arguments, const struct br_replay_plan *plan) {
    struct br_buffer BR_CLEANUP(br_buffer_free) out = {0};
    if (arguments->json)
        br_replay_plan_json(plan, &out);
    else
        br_replay_plan_text(plan, &out);
    print(&out);
}

static int show_plan(const struct replay_arguments *arguments, struct br_log *log) {
    struct replay_draft draft;
    int code = replay_make(arguments, log, &draft);
    if (code == BR_EXIT_OK) {
        replay_show_plan(arguments, draft.plan);
        bool good = br_replay_plan_check(draft.plan, NULL) == BR_OK;
        code = !good ? BR_EXIT_NO : replay_check_moves(arguments, &draft);
    }
    replay_draft_free(&draft);
    return code;
}

static int show_dry_run(const struct replay_arguments *arguments, struct br_log *log,
                        const Braid__V1__ReplayJob *record) {
    int code = replay_show_report(arguments, log, record);
    if (!arguments->json)
        puts("nothing was published");
    return code == BR_EXIT_FAILED ? code : BR_EXIT_OK; // that rows differ is what a promotion is for
}

static int follow_to_the_end(const struct replay_arguments *arguments, struct br_jobs *jobs, struct br_log *log,
                             const char *id, bool show, bool over_pauses) {
    struct br_job job = {0};
    int code = replay_follow(arguments, jobs, log, id, show, over_pauses, &job);
    if (code == BR_EXIT_OK) {
        code = replay_outcome(arguments, job.record);
        if (code == BR_EXIT_OK && arguments->verb == REPLAY_DIFF)
            code = replay_show_report(arguments, log, job.record);
        else if (code == BR_EXIT_OK && arguments->gates.dry_run)
            code = show_dry_run(arguments, log, job.record);
    } else if (code == BR_EXIT_INTERRUPTED && arguments->local) {
        fprintf(stderr, "%s stops here; a worker goes on with it, or braid replay resume %s %s --local\n", id,
                arguments->word, id);
    } else if (code == BR_EXIT_INTERRUPTED) {
        fprintf(stderr, "%s goes on; braid replay watch %s %s follows it again\n", id, arguments->word, id);
    }
    br_job_free(&job);
    return code;
}

static int start(const struct replay_arguments *arguments, struct br_log *log) {
    struct br_error error;
    struct br_jobs *jobs = NULL;
    struct replay_local *local = NULL;
    struct replay_draft draft;
    const struct br_clock *clock = br_clock_system();
    char id[BR_JOB_ID_SIZE], worker[128];
    int code = replay_make(arguments, log, &draft);
    if (code == BR_EXIT_OK && br_replay_plan_check(draft.plan, &error) != BR_OK)
        code = fail(BR_DATA, &error);
    if (code == BR_EXIT_OK)
        code = replay_check_moves(arguments, &draft);
    if (code == BR_EXIT_OK) {
        br_worker_name(worker, sizeof worker);
        draft.record.worker = arguments->local ? worker : draft.record.worker;
        enum br_status status = br_jobs_open(log, draft.name, &jobs, &error);
        if (status == BR_OK)
            status = br_jobs_create(jobs, &draft.record, clock->wall(clock), id, &error);
        code = status == BR_OK ? BR_EXIT_OK : fail(status, &error);
        if (code == BR_EXIT_OK && arguments->json && !arguments->wait && !arguments->local) {
            struct br_job job = {0};
            status = br_jobs_read(jobs, id, &job, &error);
            if (status == BR_OK)
                print_job(arguments, job.record);
            br_job_free(&job);
            code = status == BR_OK ? BR_EXIT_OK : fail(status, &error);
        } else if (code == BR_EXIT_OK && !arguments->json) {
            printf("%s\n", id);
            fflush(stdout);
        }
        if (code == BR_EXIT_OK && arguments->local)
            code = replay_local_start(arguments, draft.name, draft.before, id, worker, &local);
        if (code == BR_EXIT_OK && (arguments->wait || arguments->local))
            code = follow_to_the_end(arguments, jobs, log, id, true, !arguments->local);
        replay_local_stop(&local);
    }
    br_jobs_close(&jobs);
    replay_draft_free(&draft);
    return code;
}

static void print_list(const struct replay_arguments *arguments, const struct br_job_list *list) {
    struct br_buffer BR_CLEANUP(br_buffer_free) out = {0};
    char created[BR_JOB_TIME_SIZE];
    if (!arguments->json)
        br_buffer_printf(&out, "%-6s %-10s %-12s %7s  %-20s  %s\n", "id", "mode", "phase", "done", "created", "reason");
    for (size_t i = 0; i < list->count; i++) {
        const Braid__V1__ReplayJob *record = list->jobs[i].record;
        const Braid__V1__ReplayProgress *progress = record->progress;
        if (record->phase == BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_DROPPED)
            continue;
        if (arguments->json) {
            br_job_json(record, true, &out);
            br_buffer_append_byte(&out, '\n');
            continue;
        }
        br_job_time(record->created_us / BR_US_PER_SECOND * BR_US_PER_SECOND, created);
        double part =
            progress->messages_total == 0 ? 0 : (double)progress->messages_done / (double)progress->messages_total;
        br_buffer_printf(&out, "%-6s %-10s %-12s %5.1f %%  %-20s  %s\n", record->id, br_job_mode_name(record->mode),
                         br_job_phase_name(record->phase), part * 100, created, record->reason);
    }
    print(&out);
}

static int list_jobs(const struct replay_arguments *arguments, struct br_jobs *jobs) {
    struct br_error error;
    struct br_job_list list;
    enum br_status status = br_jobs_list(jobs, &list, &error);
    if (status != BR_OK)
        return fail(status, &error);
    print_list(arguments, &list);
    br_job_list_free(&list);
    return BR_EXIT_OK;
}

static int show_status(const struct replay_arguments *arguments, struct br_jobs *jobs, struct br_log *log) {
    struct br_error error;
    struct br_job job;
    enum br_status status = br_jobs_read(jobs, arguments->id, &job, &error);
    if (status != BR_OK)
        return fail(status, &error);
    int code = BR_EXIT_OK;
    if (arguments->last)
        code = replay_show_report(arguments, log, job.record);
    else
        print_job(arguments, job.record);
    br_job_free(&job);
    return code;
}

// A worker that was faster has the job: then it is only followed.
static int claim_here(const struct replay_arguments *arguments, struct br_jobs *jobs, const char *name,
                      struct replay_local **ret_local) {
    struct br_error error;
    struct br_job job = {0};
    const struct br_clock *clock = br_clock_system();
    char worker[128];
    bool claimed;
    br_worker_name(worker, sizeof worker);
    enum br_status status = br_jobs_claim(jobs, arguments->id, worker, clock->wall(clock), &job, &claimed, &error);
    if (status != BR_OK)
        return fail(status, &error);
    br_job_free(&job);
    return claimed ? replay_local_start(arguments, name, NULL, arguments->id, worker, ret_local) : BR_EXIT_OK;
}

static int make_wish(const struct replay_arguments *arguments, struct br_jobs *jobs, struct br_log *log,
                     const char *name) {
    struct br_error error;
    struct br_job job;
    const struct br_clock *clock = br_clock_system();
    const struct verb *verb = &verbs[arguments->verb];
    bool compares = arguments->verb == REPLAY_PROMOTE || arguments->verb == REPLAY_DIFF;
    const struct br_job_gates *gates = compares ? &arguments->gates : NULL;
    enum br_status status = br_jobs_wish(jobs, arguments->id, verb->wish, gates, clock->wall(clock), &job, &error);
    if (status != BR_OK)
        return fail(status, &error);
    struct replay_local *local = NULL;
    int code = arguments->local ? claim_here(arguments, jobs, name, &local) : BR_EXIT_OK;
    bool wait = arguments->wait || arguments->local || arguments->verb == REPLAY_DIFF || arguments->gates.dry_run;
    if (arguments->json && !wait)
        print_job(arguments, job.record);
    bool removed = job.record->created_us == 0; // nobody could read it, and nobody works at it
    br_job_free(&job);
    if (!wait || removed || code != BR_EXIT_OK)
        return code;
    bool reports = arguments->verb == REPLAY_DIFF || arguments->gates.dry_run; // and nothing else, into a pipe
    code = follow_to_the_end(arguments, jobs, log, arguments->id, !reports, false);
    replay_local_stop(&local);
    return code;
}

static int on_jobs(const struct replay_arguments *arguments, struct br_log *log) {
    struct br_error error;
    struct br_jobs *jobs;
    struct br_pipeline *pipeline;
    char name[256];
    int code = replay_pipeline_name(arguments, log, name, sizeof name, &pipeline);
    br_pipeline_destroy(&pipeline);
    if (code != BR_EXIT_OK)
        return code;
    enum br_status status = br_jobs_open(log, name, &jobs, &error);
    if (status != BR_OK)
        return fail(status, &error);
    if (arguments->verb == REPLAY_LIST)
        code = list_jobs(arguments, jobs);
    else if (arguments->verb == REPLAY_STATUS || arguments->last)
        code = show_status(arguments, jobs, log);
    else if (arguments->verb == REPLAY_WATCH)
        code = follow_to_the_end(arguments, jobs, log, arguments->id, true, true);
    else
        code = make_wish(arguments, jobs, log, name);
    br_jobs_close(&jobs);
    return code;
}

static const char doc[] =
    "Runs a PIPELINE (its name, or its SQL file) again over its history, beside the live one.\n\nplan tells what would "
    "be read; start makes a replay, which a worker (`braid run`) does; verify makes one that checks what is recorded; "
    "list, status and watch show them; pause, resume and cancel command them; diff compares its rows with the live "
    "ones; promote lets it take the outputs over, rollback gives them back; drop clears it away.\n\nrebuild is for a "
    "pipeline that this build of braid computes otherwise than the one that wrote its log: it computes its history "
    "again in this process, and takes the outputs over with what differs from what was published. With --epochs fresh "
    "it does so for a pipeline of whose input streams one isn't any more what was read of it (a server lost messages, "
    "and others came in their place): all is computed from what the streams hold now.";

int br_command_replay(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&br_pipeline_argp, 0, NULL, 0}, {&br_connect_argp, 0, "Server:", 2}, {0}};
    static const struct argp argp = {options,
                                     parse,
                                     "plan|start|verify|rebuild PIPELINE\nlist PIPELINE\n"
                                     "status|watch|pause|resume|cancel|diff|promote|rollback|drop "
                                     "PIPELINE REPLAY",
                                     doc,
                                     children,
                                     NULL,
                                     NULL};
    struct replay_arguments arguments = {.verb = REPLAY_VERBS, .lateness_us = -1};
    for (int v = 0; argc > 1 && v < REPLAY_VERBS; v++)
        if (strcmp(argv[1], verbs[v].name) == 0)
            arguments.verb = (enum replay_verb)v;
    bool help =
        argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0 || strcmp(argv[1], "--usage") == 0);
    if (arguments.verb == REPLAY_VERBS && !help) {
        br_complain("braid replay %s PIPELINE …; braid replay --help tells more",
                    "plan|start|verify|list|status|watch|pause|resume|cancel|diff|promote|rollback|drop|rebuild");
        return BR_EXIT_USAGE;
    }
    if (help)
        arguments.verb = REPLAY_PLAN; // argp prints and ends
    char name[64];
    snprintf(name, sizeof name, "braid replay%s%s", help ? "" : " ", help ? "" : argv[1]);
    if (!help) {
        argv++;
        argc--;
    }
    argv[0] = name;
    br_connect_defaults(&arguments.connect, "braid replay");
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    br_catch_signals();
    br_log_configure(BR_LEVEL_WARN, false); // --local does what workers tell of
    struct br_log *log = br_connect_control(&arguments.connect);
    if (log == NULL)
        return BR_EXIT_FAILED;
    int code = arguments.verb == REPLAY_PLAN                                       ? show_plan(&arguments, log)
               : arguments.verb == REPLAY_REBUILD                                  ? replay_rebuild(&arguments, log)
               : arguments.verb == REPLAY_START || arguments.verb == REPLAY_VERIFY ? start(&arguments, log)
                                                                                   : on_jobs(&arguments, log);
    br_log_close(&log);
    return code;
}
