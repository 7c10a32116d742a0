// SPDX-License-Identifier: Apache-2.0
// See selection.h.
#include "replay/selection.h"

#include "processor/pipeline_text.h"
#include "processor/sql/sql.h"

bool br_selection_is_part(const Braid__V1__ReplayJob *job) {
    return job->n_only != 0 || job->key[0] != '\0';
}

enum br_status br_selection_plan(const struct br_pipeline *pipeline, const Braid__V1__ReplayJob *job,
                                 struct br_pipeline **ret_pipeline, struct br_pipeline **ret_whole,
                                 struct br_error *error) {
    // A lateness that the pipeline was promoted with stays.
    struct br_plan_changes changes = {.lateness_set = job->lateness_us >= 0 || pipeline->lateness_set,
                                      .lateness_us = job->lateness_us >= 0 ? job->lateness_us : pipeline->lateness_us};
    *ret_pipeline = *ret_whole = NULL;
    if (!br_selection_is_part(job) && job->lateness_us < 0)
        return BR_OK;
    struct br_pipeline *whole = NULL;
    if (job->key[0] != '\0') {
        BR_TRY(br_pipeline_change(pipeline, &changes, &whole, error));
        changes.key = job->key;
    }
    changes.only = (const char *const *)job->only;
    changes.only_count = job->n_only;
    enum br_status status = br_pipeline_change(pipeline, &changes, ret_pipeline, error);
    if (status != BR_OK)
        br_pipeline_destroy(&whole);
    else
        *ret_whole = whole;
    return status;
}

enum br_status br_selection_check(struct br_log *log, const char *pipeline_name, const struct br_pipeline *pipeline,
                                  const Braid__V1__ReplayJob *job, struct br_error *error) {
    struct br_pipeline *stored = NULL, *own = NULL, *whole = NULL;
    if (!br_selection_is_part(job))
        return BR_OK;
    if (pipeline == NULL)
        BR_TRY(br_pipeline_text_load(log, pipeline_name, job->base_plan_hash, &stored, error));
    pipeline = pipeline == NULL ? stored : pipeline;
    enum br_status status = pipeline == NULL ? BR_OK : br_selection_plan(pipeline, job, &own, &whole, error);
    br_pipeline_destroy(&own);
    br_pipeline_destroy(&whole);
    br_pipeline_destroy(&stored);
    return status;
}

enum br_status br_selection_load(const Braid__V1__ReplayJob *job, struct br_pipeline **ret_pipeline,
                                 struct br_error *error) {
    if (job->binding_rules > BR_BINDING_RULES)
        return br_error_set(error, BR_FATAL,
                            "replay %s of pipeline %s was made by a later build than this one (binding rules %u; this "
                            "one knows those up to %u): that one, or a later one, can work with it",
                            job->id, job->pipeline, job->binding_rules, BR_BINDING_RULES);
    struct br_slice *sets = br_calloc(job->n_descriptors + 1, sizeof *sets);
    for (size_t i = 0; i < job->n_descriptors; i++)
        sets[i] = (struct br_slice){job->descriptors[i].data, job->descriptors[i].len};
    struct br_pipeline_options options = {.name = job->pipeline,
                                          .descriptor_sets = sets,
                                          .descriptor_set_count = job->n_descriptors,
                                          .fields = {job->fields.data, job->fields.len},
                                          .stored = true,
                                          .rules = &job->binding_rules};
    struct br_diagnostics *diagnostics = br_diagnostics_create(job->sql_name, job->sql);
    enum br_status status = br_pipeline_load(job->sql_name, job->sql, &options, diagnostics, ret_pipeline, error);
    if (status != BR_OK && diagnostics->count != 0)
        status = br_error_set(error, BR_DATA, "%s:%u:%u: %s", job->sql_name, diagnostics->list[0].line,
                              diagnostics->list[0].column, diagnostics->list[0].message);
    br_diagnostics_destroy(&diagnostics);
    free(sets);
    return status;
}
