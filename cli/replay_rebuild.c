// SPDX-License-Identifier: Apache-2.0
// braid replay rebuild: for a pipeline whose owner this build computes otherwise than the one that wrote its log, and,
// with --epochs fresh, for one of whose input streams isn't what was read of it any more (--from oldest: isn't all
// there). A replay in this process, run and promoted in one go; what differs is found from what was published. Cut at
// any point, it is gone on with by the same command. The worker of the former build may run meanwhile: its results are
// repeated up to the takeover.
#include "cli/replay.h"
#include "processor/semantics.h"
#include "processor/task.h"
#include "processor/worker.h"

#include <stdio.h>
#include <unistd.h>

#define PHASE(name) BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_##name

static int fail(enum br_status status, const struct br_error *error) {
    br_complain("%s", error->message);
    return status == BR_DATA ? BR_EXIT_NO : BR_EXIT_FAILED;
}

// Can this build compute the pipeline at all? Else its rows would be taken back.
static bool can_compute(const struct replay_draft *draft) {
    struct br_buffer BR_CLEANUP(br_buffer_free) words = {0};
    const struct br_pipeline *pipeline = draft->after != NULL ? draft->after : draft->before;
    if (!br_semantics_lack(pipeline, &words))
        return true;
    br_complain("this build can't compute pipeline %s, %.*s: write it otherwise (docs/expressions.md) in a changed "
                "file: braid replay rebuild %s --pipeline new.sql",
                draft->name, (int)words.len, (const char *)words.ptr, draft->name);
    return false;
}

// Is there anything to be done, and why? *ret_code isn't BR_EXIT_OK, or there isn't.
static bool is_needed(const struct replay_draft *draft, struct br_log *log, struct br_buffer *words, int *ret_code) {
    struct br_owner owner;
    struct br_error error;
    enum br_status status = br_task_find_owner(log, draft->name, &owner, &error);
    *ret_code = status == BR_OK ? BR_EXIT_OK : fail(status, &error);
    if (status != BR_OK)
        return false;
    if (draft->before == NULL) {
        br_complain("the text of pipeline %s isn't stored beside its commits: give the SQL file in place of the name",
                    draft->name);
        *ret_code = BR_EXIT_NO;
        return false;
    }
    if (!can_compute(draft)) {
        *ret_code = BR_EXIT_NO;
        return false;
    }
    if (draft->record.fresh_epochs)
        br_buffer_append_text(words, "all is computed anew from what the streams hold now");
    if (draft->record.fresh_epochs || br_semantics_differ(draft->before, owner.semantics, words))
        return true;
    printf("pipeline %s needs no rebuild: this build computes it as lineage %s of its log was computed\n", draft->name,
           owner.lineage);
    return false;
}

// One that was begun before, for the same thing, by a build that computes alike.
static bool is_the_same(const Braid__V1__ReplayJob *record, const Braid__V1__ReplayJob *wanted) {
    return record->rebuild && record->fresh_epochs == wanted->fresh_epochs && record->phase <= PHASE(PROMOTING) &&
           strcmp(record->from, wanted->from) == 0 && record->semantics == br_semantics() &&
           record->plan_hash == wanted->plan_hash && strcmp(record->base_lineage, wanted->base_lineage) == 0;
}

static enum br_status find_begun(struct br_jobs *jobs, const Braid__V1__ReplayJob *wanted, char id[BR_JOB_ID_SIZE],
                                 struct br_error *error) {
    struct br_job_list list;
    id[0] = '\0';
    BR_TRY(br_jobs_list(jobs, &list, error));
    for (size_t i = 0; i < list.count; i++)
        if (is_the_same(list.jobs[i].record, wanted))
            snprintf(id, BR_JOB_ID_SIZE, "%s", list.jobs[i].record->id);
    br_job_list_free(&list);
    return BR_OK;
}

static enum br_status begin(const struct replay_arguments *arguments, struct br_jobs *jobs, struct replay_draft *draft,
                            char *worker, char id[BR_JOB_ID_SIZE], struct br_error *error) {
    const struct br_clock *clock = br_clock_system();
    Braid__V1__ReplayJob *record = &draft->record;
    record->rebuild = true;
    record->worker = worker;
    record->max_changed = arguments->gates.max_changed;
    record->dry_run = arguments->gates.dry_run;
    record->samples = arguments->gates.samples;
    record->tolerances = arguments->gates.tolerances;
    record->n_tolerances = arguments->gates.tolerance_count;
    BR_TRY(br_replay_plan_check(draft->plan, error));
    replay_show_plan(arguments, draft->plan);
    return br_jobs_create(jobs, record, clock->wall(clock), id, error);
}

// The lease of a process that died runs out by itself.
static enum br_status go_on(const struct replay_arguments *arguments, struct br_jobs *jobs, struct br_log *log,
                            const char *worker, const char *id, struct br_error *error) {
    const struct br_clock *clock = br_clock_system();
    struct br_job job = {0};
    bool claimed = false, told = false;
    BR_TRY(br_jobs_wish(jobs, id, BRAID__V1__REPLAY_WISH__REPLAY_WISH_REBUILD, &arguments->gates, clock->wall(clock),
                        &job, error));
    br_job_free(&job);
    fprintf(stderr, "%s was begun before and goes on\n", id);
    while (!claimed && !br_flag_is_set(&br_stop_requested)) {
        BR_TRY(br_jobs_claim(jobs, id, worker, clock->wall(clock), &job, &claimed, error));
        if (!claimed && !told)
            fprintf(stderr, "another process has it; it is waited for\n");
        told = !claimed;
        if (!claimed)
            br_log_wait(log, BR_US_PER_SECOND);
    }
    br_job_free(&job);
    return claimed ? BR_OK : br_error_set(error, BR_RETRY, "interrupted");
}

static int conclude(const struct replay_arguments *arguments, struct br_log *log, const struct replay_draft *draft,
                    const Braid__V1__ReplayJob *record) {
    int code = replay_outcome(arguments, record);
    if (record->report != NULL && replay_show_report(arguments, log, record) == BR_EXIT_FAILED)
        return BR_EXIT_FAILED;
    if (arguments->json)
        return code;
    if (code == BR_EXIT_OK && record->phase == PHASE(PROMOTED))
        printf("lineage %s owns the outputs of pipeline %s: start its worker with this build\n", record->id,
               draft->name);
    else if (code == BR_EXIT_OK)
        printf("nothing was published; without --dry-run %s goes on from here\n", record->id);
    return code;
}

static int follow(const struct replay_arguments *arguments, struct br_jobs *jobs, struct br_log *log,
                  const struct replay_draft *draft, const char *id) {
    struct br_job job = {0};
    bool show = arguments->json || isatty(STDERR_FILENO);
    int code = replay_follow(arguments, jobs, log, id, show, true, &job);
    if (code == BR_EXIT_OK)
        code = conclude(arguments, log, draft, job.record);
    else if (code == BR_EXIT_INTERRUPTED)
        fprintf(stderr, "%s stops here; the same command goes on with it\n", id);
    br_job_free(&job);
    return code;
}

static int rebuild(const struct replay_arguments *arguments, struct br_log *log, struct replay_draft *draft) {
    struct br_error error;
    struct br_jobs *jobs = NULL;
    struct replay_local *local = NULL;
    char id[BR_JOB_ID_SIZE], worker[128];
    br_worker_name(worker, sizeof worker);
    enum br_status status = br_jobs_open(log, draft->name, &jobs, &error);
    if (status == BR_OK)
        status = find_begun(jobs, &draft->record, id, &error);
    if (status == BR_OK)
        status = id[0] == '\0' ? begin(arguments, jobs, draft, worker, id, &error)
                               : go_on(arguments, jobs, log, worker, id, &error);
    int code = status == BR_OK ? BR_EXIT_OK : fail(status, &error);
    if (status == BR_RETRY && br_flag_is_set(&br_stop_requested))
        code = BR_EXIT_INTERRUPTED;
    if (code == BR_EXIT_OK)
        code = replay_local_start(arguments, draft->name, draft->before, id, worker, &local);
    if (code == BR_EXIT_OK)
        code = follow(arguments, jobs, log, draft, id);
    replay_local_stop(&local);
    br_jobs_close(&jobs);
    return code;
}

int replay_rebuild(struct replay_arguments *arguments, struct br_log *log) {
    struct br_buffer BR_CLEANUP(br_buffer_free) words = {0};
    struct replay_draft draft;
    arguments->local = true;
    int code = replay_make(arguments, log, &draft);
    if (code == BR_EXIT_OK && is_needed(&draft, log, &words, &code)) {
        if (!arguments->json)
            printf("%s%.*s\n", draft.record.fresh_epochs ? "" : "computed otherwise by this build: ", (int)words.len,
                   (const char *)words.ptr);
        code = rebuild(arguments, log, &draft);
    }
    replay_draft_free(&draft);
    return code;
}
