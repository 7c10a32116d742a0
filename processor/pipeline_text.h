// SPDX-License-Identifier: Apache-2.0
// A pipeline's text beside its commits: what a plan hash in a commit stands for.
//
// A worker stores the text of its pipeline once, on braid.<pipeline>.plan.<hash, 16 hex digits> in the output stream,
// fenced by "there is none yet"; the same text is never there twice. Commits name plans by their hash, so the text of
// any commit's plan can be found again, as long as the stream keeps it.
#ifndef BR_PROCESSOR_PIPELINE_TEXT_H
#define BR_PROCESSOR_PIPELINE_TEXT_H

#include "processor/log/log.h"
#include "processor/sql/plan.h"

// braid.<pipeline>.plan.<hash>
void br_pipeline_text_subject(const char *pipeline, uint64_t plan_hash, char *subject, size_t size);
// Stores it when it isn't there. The output stream must be there. BR_DATA: it is larger than a message may be.
enum br_status br_pipeline_text_store(struct br_log *log, const struct br_pipeline *pipeline, struct br_error *error)
    BR_MUST_CHECK;
// Of a pipeline that was planned with changes (br_plan_changes), lateness goes with the text; one narrowed to some
// views or a key is never stored. The pipeline of a hash, bound again from its stored text; *ret_pipeline NULL when it
// isn't stored. BR_DATA: what is stored can't be read.
enum br_status br_pipeline_text_load(struct br_log *log, const char *pipeline, uint64_t plan_hash,
                                     struct br_pipeline **ret_pipeline, struct br_error *error) BR_MUST_CHECK;
// The same of the last commit of whoever owns the outputs (braid.<pipeline>.commit.0). *ret_hash 0: nobody has
// committed yet, or there is no output stream.
enum br_status br_pipeline_text_of_owner(struct br_log *log, const char *pipeline, uint64_t *ret_hash,
                                         struct br_pipeline **ret_pipeline, struct br_error *error) BR_MUST_CHECK;

// The plan of the owner's last commit, as this file gives it. candidates: the file bound by each number of binding
// rules, NULL where they refuse it; *ret_known is one of them when its hash is that of the log. Else, when the file's
// text is the one that the log holds (planned with another lateness, or with a constant that this build computes
// otherwise), it is bound from there: *ret_owned, the caller's. NULL: the log doesn't know the file, or nothing yet.
enum br_status br_pipeline_recognise(struct br_log *log, const struct br_pipeline *const *candidates, size_t count,
                                     struct br_pipeline **ret_owned, const struct br_pipeline **ret_known,
                                     struct br_error *error) BR_MUST_CHECK;

#endif
