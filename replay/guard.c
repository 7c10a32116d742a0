// SPDX-License-Identifier: Apache-2.0
// See guard.h.
#include "replay/guard.h"

#include "processor/commit_newest.h"
#include "processor/sql/sql.h"
#include "processor/task.h"
#include "replay/retention.h"

#include <stdio.h>
#include <string.h>

struct survey {
    struct br_log *log;
    const struct br_pipeline *pipeline;
    struct br_history *history;
    struct br_buffer *lines;
};

// *ret_commit NULL: there is none.
static enum br_status last_commit(struct survey *survey, const char *subject, Braid__V1__Commit **ret_commit,
                                  struct br_error *error) {
    struct br_newest_commit newest;
    BR_TRY(br_commit_newest(survey->log, survey->pipeline->name, subject, &newest, error));
    *ret_commit = newest.commit;
    return BR_OK;
}

// `needed`: the stream's own sequence.
static enum br_status check_input(struct survey *survey, const char *table_name, const char *stream, uint64_t needed,
                                  const char *who, struct br_error *error) {
    const struct br_table *table = br_pipeline_find_table(survey->pipeline, table_name);
    struct br_stream_info info;
    struct br_history_extent extent;
    const struct br_clock *clock = br_clock_system();
    BR_TRY(br_log_stream_info(survey->log, stream, &info, error));
    if (table != NULL && table->archive_path != NULL) {
        BR_TRY(br_history_describe(survey->history, table, &info, &extent, error));
        if (extent.archive_first != 0 && extent.archive_first <= needed && extent.archive_last >= needed)
            needed = extent.archive_last + 1;
    }
    size_t before = survey->lines->len;
    BR_TRY(br_retention_check(survey->log, stream, needed, who, clock->wall(clock), survey->lines, error));
    if (survey->lines->len != before)
        br_buffer_append_byte(survey->lines, '\n');
    return BR_OK;
}

static enum br_status check_commit(struct survey *survey, const Braid__V1__Commit *commit, const char *who,
                                   struct br_error *error) {
    for (size_t i = 0; i < commit->n_inputs; i++) {
        const Braid__V1__InputPosition *input = commit->inputs[i];
        uint64_t covered =
            input->covered_sequence > input->prehistory ? input->covered_sequence - input->prehistory : 0;
        BR_TRY(check_input(survey, input->table, input->stream, covered + 1, who, error));
    }
    return BR_OK;
}

static enum br_status check_owner(struct survey *survey, struct br_error *error) {
    Braid__V1__Commit BR_CLEANUP(br_commit_cleanup) *commit = NULL;
    char subject[320], who[128];
    br_task_owner_subject(survey->pipeline->name, subject, sizeof subject);
    BR_TRY(last_commit(survey, subject, &commit, error));
    if (commit == NULL)
        return BR_OK;
    snprintf(who, sizeof who, "pipeline %.64s (lineage %.32s)", survey->pipeline->name, commit->lineage);
    return check_commit(survey, commit, who, error);
}

static bool reads_on(const Braid__V1__ReplayJob *record) {
    return record->phase == BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_PLANNED ||
           record->phase == BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_RUNNING ||
           record->phase == BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_PAUSED ||
           record->phase == BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_PROMOTING;
}

// Where its lineage has got to, else where it will begin.
static enum br_status check_replay(struct survey *survey, const Braid__V1__ReplayJob *record, struct br_error *error) {
    Braid__V1__Commit BR_CLEANUP(br_commit_cleanup) *commit = NULL;
    char subject[320], who[64];
    snprintf(who, sizeof who, "replay %.32s", record->id);
    br_task_lineage_subject(survey->pipeline->name, record->id, subject, sizeof subject);
    BR_TRY(last_commit(survey, subject, &commit, error));
    if (commit != NULL)
        return check_commit(survey, commit, who, error);
    for (size_t i = 0; i < record->n_inputs; i++) {
        const Braid__V1__ReplayInput *input = record->inputs[i];
        if (input->asleep)
            continue;
        uint64_t first = input->first_sequence > input->prehistory ? input->first_sequence - input->prehistory : 1;
        BR_TRY(check_input(survey, input->table, input->stream, first, who, error));
    }
    return BR_OK;
}

static enum br_status check_replays(struct survey *survey, struct br_jobs *jobs, struct br_error *error) {
    struct br_job_list list;
    BR_TRY(br_jobs_list(jobs, &list, error));
    enum br_status status = BR_OK;
    for (size_t i = 0; i < list.count && status == BR_OK; i++)
        if (reads_on(list.jobs[i].record))
            status = check_replay(survey, list.jobs[i].record, error);
    br_job_list_free(&list);
    return status;
}

enum br_status br_guard_survey(struct br_log *log, const struct br_pipeline *pipeline, struct br_jobs *jobs,
                               struct br_buffer *lines, struct br_error *error) {
    struct survey survey = {.log = log, .pipeline = pipeline, .lines = lines};
    struct br_stream_info info;
    char stream[256];
    br_task_output_stream(pipeline->name, stream, sizeof stream);
    enum br_status status = br_log_stream_info(log, stream, &info, error);
    if (status == BR_FATAL)
        return BR_OK; // it has never run: nobody needs anything
    BR_TRY(status);
    BR_TRY(br_history_create(pipeline, &survey.history, error));
    status = check_owner(&survey, error);
    if (status == BR_OK && jobs != NULL)
        status = check_replays(&survey, jobs, error);
    br_history_destroy(&survey.history);
    return status;
}
