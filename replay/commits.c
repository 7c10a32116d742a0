// SPDX-License-Identifier: Apache-2.0
// See commits.h.
#include "replay/commits.h"

#include "processor/commit_reader.h"
#include "processor/task.h"

#include <string.h>

struct br_commits {
    struct br_reader *reader;
    char *pipeline;
    Braid__V1__Commit *commit; // of the message that is shown; NULL: none is
};

enum br_status br_commits_open(struct br_log *log, const char *pipeline, uint64_t first_sequence,
                               struct br_commits **ret_commits, struct br_error *error) {
    char stream[256], filter[320];
    struct br_reader *reader;
    br_task_output_stream(pipeline, stream, sizeof stream);
    br_task_commits_filter(pipeline, filter, sizeof filter);
    BR_TRY(br_reader_open(log, stream, filter, first_sequence, 0, &reader, error));
    struct br_commits *commits = br_calloc(1, sizeof *commits);
    commits->reader = reader;
    commits->pipeline = br_strdup(pipeline);
    *ret_commits = commits;
    return BR_OK;
}

void br_commits_close(struct br_commits **commits_ptr) {
    struct br_commits *commits = *commits_ptr;
    if (commits == NULL)
        return;
    br_commit_cleanup(&commits->commit);
    br_reader_close(&commits->reader);
    free(commits->pipeline);
    free(commits);
    *commits_ptr = NULL;
}

enum br_status br_commits_next(struct br_commits *commits, const struct br_log_message **ret_message,
                               const Braid__V1__Commit **ret_commit, struct br_error *error) {
    const struct br_log_message *messages;
    size_t count;
    *ret_message = NULL;
    *ret_commit = NULL;
    for (;;) {
        BR_TRY(br_reader_peek(commits->reader, &messages, &count, error));
        if (count == 0)
            return BR_OK;
        if (commits->commit == NULL)
            BR_TRY(br_commit_of(commits->pipeline, &messages[0], &commits->commit, error));
        if (commits->commit != NULL)
            break;
        br_reader_consume(commits->reader, 1); // foreign
        br_reader_release(commits->reader);
    }
    *ret_message = &messages[0];
    *ret_commit = commits->commit;
    return BR_OK;
}

void br_commits_done(struct br_commits *commits) {
    BR_CHECK(commits->commit != NULL);
    br_commit_cleanup(&commits->commit);
    br_reader_consume(commits->reader, 1);
    br_reader_release(commits->reader);
}

bool br_commit_ends_epoch(const Braid__V1__Commit *commit, const struct br_log_message *message, const char *pipeline,
                          const char *lineage) {
    char owner[320];
    if (strcmp(commit->lineage, lineage) != 0 || commit->part != commit->parts)
        return false;
    br_task_owner_subject(pipeline, owner, sizeof owner);
    return commit->takeover == NULL || br_slice_is(message->subject, owner);
}
