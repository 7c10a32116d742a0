// SPDX-License-Identifier: Apache-2.0
// Recovery: from whatever state there is to the state of the last commit, by doing again exactly what the commits say.
//
// R1. The state's meta holds the commit record of the epoch it was flushed at. It is used only when the log holds the
// same epoch with the same
//     digest; otherwise it is ahead of the log or of another history: set aside, and rebuilt from the log (X9).
// R2. Commits are read in order from the state's epoch on; epoch numbers must follow each other without a gap (X8).
// R3. Each epoch is computed with the recorded input and clock, emits nothing, and must give the recorded digest (X7).
// R4. When the last commit is part k of m with k < m, the epoch is computed and parts k+1..m are sent (X6).
#include "processor/commit_newest.h"
#include "processor/confirm.h"
#include "processor/semantics.h"
#include "processor/task_internal.h"

#include "base/logging.h"

#include <inttypes.h>
#include <stdio.h>

#define RECOVER_WAIT_US 20000

struct log_end {
    uint64_t sequence; // of the newest commit on either subject; 0: there is none
    uint64_t epoch;    // of this lineage, as far as the two last messages tell
};

// The newest commit on a subject, of whatever lineage.
static enum br_status newest_on(struct br_task *task, const char *subject, struct br_newest_commit *ret_newest,
                                struct br_error *error) {
    enum br_status status;
    do
        status = br_commit_newest(task->log, task->pipeline->name, subject, ret_newest, error);
    while (task_try_again(task, status, error));
    return status;
}

// Can this build repeat what the commit's build computed?
static enum br_status check_semantics(const struct br_task *task, const Braid__V1__Commit *commit,
                                      struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) words = {0};
    const char *name = task->pipeline->name, *lineage = task->options.lineage;
    if (!br_semantics_differ(task->pipeline, commit->semantics, &words))
        return BR_OK;
    *br_buffer_reserve(&words, 1) = '\0';
    if (task->options.role == BR_TASK_REPLAY)
        return br_error_set_native(error, BR_FATAL, BR_TASK_OTHERWISE,
                                   "lineage %s of pipeline %s was computed by an older build up to epoch %" PRIu64
                                   ", and this one computes it otherwise: %s. Only that build can go on with it; a "
                                   "replay can be dropped and started again",
                                   lineage, name, commit->epoch, (const char *)words.ptr);
    return br_error_set_native(error, BR_FATAL, BR_TASK_OTHERWISE,
                               "lineage %s of pipeline %s was computed by an older build up to epoch %" PRIu64
                               ", and this one computes it otherwise: %s. Go on with that build, or let this one "
                               "compute its history again and publish what differs: braid replay rebuild %s",
                               lineage, name, commit->epoch, (const char *)words.ptr, name);
}

static enum br_status check_plan(const struct br_task *task, const Braid__V1__Commit *commit, struct br_error *error) {
    if (commit->plan_hash == task->pipeline->plan_hash)
        return check_semantics(task, commit, error);
    return br_error_set(error, BR_FATAL,
                        "pipeline %s has changed: the log holds epoch %" PRIu64
                        " of another plan. Roll the change out with a replay (braid replay start %s --pipeline "
                        "new.sql, then braid replay promote), run the former SQL file, give the changed pipeline "
                        "another name (--name), or remove the stream %s to begin anew",
                        task->pipeline->name, commit->epoch, task->pipeline->name, task->stream);
}

// One of the two subjects on which this lineage's commits may stand.
static enum br_status look_at(struct br_task *task, const char *subject, struct log_end *end, struct br_error *error) {
    struct br_newest_commit newest;
    BR_TRY(newest_on(task, subject, &newest, error));
    Braid__V1__Commit BR_CLEANUP(br_commit_cleanup) *commit = newest.commit;
    if (strcmp(subject, task->commit_subject) == 0) {
        task->fence = newest.last;
        task->fence_commit = (struct fence_commit){.sequence = newest.sequence};
        task_tell_foreign(task, subject, &newest);
    }
    if (commit == NULL)
        return BR_OK;
    if (strcmp(subject, task->commit_subject) == 0)
        task->fence_commit = (struct fence_commit){newest.sequence, commit->epoch, commit->digest};
    if (newest.sequence > end->sequence)
        end->sequence = newest.sequence;
    if (strcmp(commit->lineage, task->options.lineage) == 0) {
        uint64_t whole = commit->part == commit->parts ? commit->epoch : commit->epoch - 1;
        end->epoch = whole > end->epoch ? whole : end->epoch;
        return check_plan(task, commit, error);
    }
    if (task->options.role != BR_TASK_OWNER)
        return BR_OK;
    snprintf(task->superseded_by, sizeof task->superseded_by, "%s", commit->lineage);
    return br_error_set(error, BR_FATAL, "lineage %s owns the outputs of pipeline %s, not lineage %s", commit->lineage,
                        task->pipeline->name, task->options.lineage);
}

static enum br_status read_log_end(struct br_task *task, struct log_end *end, struct br_error *error) {
    char own[320], owner[320];
    br_task_owner_subject(task->pipeline->name, owner, sizeof owner);
    br_task_lineage_subject(task->pipeline->name, task->options.lineage, own, sizeof own);
    BR_TRY(look_at(task, own, end, error));
    return look_at(task, owner, end, error);
}

// --- the state's own idea of where it is

static enum br_status check_streams(struct br_task *task, const Braid__V1__Commit *commit, struct br_error *error) {
    for (uint32_t i = 0; i < task->input_count; i++) {
        const Braid__V1__InputPosition *position = commit->inputs[i];
        const struct br_stream_info *stream = &task->inputs[i].stream;
        bool unread = position->last_sequence == 0 && position->covered_sequence == 0;
        if (unread) // an epoch without input was made before the stream had anything
            continue;
        if (position->stream_created_us != stream->created.us || strcmp(position->stream, stream->name) != 0)
            return br_error_set(error, BR_FATAL,
                                "table %s: stream %s isn't the one that epoch %" PRIu64
                                " was read from (%s): it was deleted and made anew, or another stream holds the "
                                "subject now. Its sequences mean other "
                                "events; restore the stream, or remove the stream %s to begin anew",
                                task->inputs[i].table->name, stream->name, commit->epoch, position->stream,
                                task->stream);
    }
    return BR_OK;
}

static void note_follows(struct br_task *task, const Braid__V1__Commit *commit) {
    task->follows = commit->follows_epoch;
    task->follows_sequence = commit->follows_sequence;
    snprintf(task->follows_lineage, sizeof task->follows_lineage, "%s", commit->follows_lineage);
}

static void adopt_trail(struct task_input *input, const Braid__V1__InputPosition *position) {
    for (size_t m = 0; m < position->n_trail; m++) {
        const Braid__V1__Fingerprint *from = position->trail[m];
        struct br_fingerprint mark = {.sequence = from->sequence, .time_us = from->time_us, .hash = from->hash};
        if (strlen(from->subject) < sizeof mark.subject)
            strcpy(mark.subject, from->subject);
        br_trail_add(&input->trail, &mark);
    }
    task_note_last(input, position);
    input->trail.youngest_us = position->youngest_us;
    if (position->youngest_us == 0 && position->last_sequence != 0)
        input->trail.youngest_us = BR_TRAIL_YOUNGEST_UNKNOWN;
}

static enum br_status adopt(struct br_task *task, const Braid__V1__Commit *commit, struct br_error *error) {
    note_follows(task, commit);
    task->epoch = task->committed_epoch = commit->epoch;
    task->digest = commit->digest;
    task->clock.us = commit->clock_us;
    task->clock_read = task->options.clock->mono(task->options.clock);
    task->semantics = commit->semantics;
    for (uint32_t i = 0; i < task->input_count; i++) {
        task->inputs[i].last_sequence = commit->inputs[i]->last_sequence;
        task->inputs[i].covered = commit->inputs[i]->covered_sequence;
        task->inputs[i].prehistory = commit->inputs[i]->prehistory;
        task->inputs[i].event_time_max.us = commit->inputs[i]->event_time_max_us;
        adopt_trail(&task->inputs[i], commit->inputs[i]);
        task->watermarks_after[i].us = commit->inputs[i]->watermark_us;
    }
    return task_adopt_sleep(task, commit, error);
}

static enum br_status read_meta(struct br_task *task, Braid__V1__Commit **ret_commit, uint64_t *ret_fence,
                                struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) value = {0};
    bool found;
    *ret_commit = NULL;
    *ret_fence = 0;
    BR_TRY(br_state_meta_get(task->state, "pipeline", &value, &found, error));
    if (found && !br_slice_is(br_buffer_slice(&value), task->pipeline->name))
        return br_error_set(error, BR_FATAL,
                            "the data directory belongs to pipeline %.*s, not to %s; give each pipeline a directory of "
                            "its own (--data)",
                            (int)value.len, (const char *)value.ptr, task->pipeline->name);
    br_state_meta_put(task->state, "pipeline", br_slice_of(task->pipeline->name));
    br_buffer_clear(&value);
    BR_TRY(br_state_meta_get(task->state, "commit", &value, &found, error));
    if (!found)
        return BR_OK;
    if (br_commit_read(task->pipeline, br_buffer_slice(&value), ret_commit, error) != BR_OK)
        return br_error_context(error, "the state in the data directory (remove it to have it built from the log)");
    br_buffer_clear(&value);
    enum br_status status = br_state_meta_get(task->state, "fence", &value, &found, error);
    if (status == BR_OK && found && value.len == 8)
        *ret_fence = br_be64_get(value.ptr);
    if (status != BR_OK) {
        braid__v1__commit__free_unpacked(*ret_commit, NULL);
        *ret_commit = NULL;
    }
    return status;
}

// Does the message stand where this lineage's commits may?
static bool is_commit_of(const struct br_task *task, const struct br_log_message *message) {
    char own[320], owner[320];
    br_task_owner_subject(task->pipeline->name, owner, sizeof owner);
    br_task_lineage_subject(task->pipeline->name, task->options.lineage, own, sizeof own);
    return br_slice_is(message->subject, own) || br_slice_is(message->subject, owner);
}

// Does the log hold the state's epoch, at the same place with the same digest (R1)?
static enum br_status log_has(struct br_task *task, const Braid__V1__Commit *state_commit, uint64_t fence,
                              bool *ret_has, struct br_error *error) {
    enum br_status status;
    do
        status = br_confirm_commit(task->log, task->pipeline->name, task->options.lineage, state_commit, fence, ret_has,
                                   error);
    while (task_try_again(task, status, error));
    return status;
}

static void tell_set_aside(const struct br_task *task, const Braid__V1__Commit *state_commit,
                           const struct log_end *end) {
    br_log_line(BR_LEVEL_ERROR, "local state is not what the log says: it is set aside and rebuilt from the log",
                BR_STR("pipeline", task->pipeline->name), BR_INT("state_epoch", state_commit->epoch),
                BR_INT("log_epoch", end->epoch));
}

// Leaves the task with a state that the log vouches for, and at its epoch (maybe 0).
static enum br_status settle_state(struct br_task *task, const struct log_end *end, struct br_error *error) {
    Braid__V1__Commit *commit;
    uint64_t fence;
    BR_TRY(read_meta(task, &commit, &fence, error));
    if (commit == NULL)
        return BR_OK;
    bool usable = fence <= end->sequence;
    enum br_status status = BR_OK;
    if (commit->plan_hash != task->pipeline->plan_hash)
        status = br_error_set(
            error, BR_FATAL,
            "the data directory holds pipeline %s with another plan; the SQL file has changed since (epoch %" PRIu64
            ")",
            task->pipeline->name, commit->epoch);
    if (status == BR_OK && usable)
        status = log_has(task, commit, fence, &usable, error);
    if (status == BR_OK && usable) {
        status = check_streams(task, commit, error);
        if (status == BR_OK)
            status = adopt(task, commit, error);
        task->last_commit = fence;
    } else if (status == BR_OK) {
        tell_set_aside(task, commit, end);
        status = task_open_state(task, true, error);
    }
    braid__v1__commit__free_unpacked(commit, NULL);
    return status;
}

// --- following the commits

// Does the input go on where it was? What sleeps goes where the other lineage is, without a message of its own.
static bool goes_on(const struct task_input *input, const Braid__V1__InputPosition *position) {
    if (position->messages != 0)
        return position->first_sequence > input->last_sequence;
    return input->asleep ? position->last_sequence >= input->last_sequence
                         : position->last_sequence == input->last_sequence;
}

// A commit begins where the one before it ended: positions and watermarks never go back.
static enum br_status check_positions(const struct br_task *task, const Braid__V1__Commit *commit,
                                      struct br_error *error) {
    for (uint32_t i = 0; i < task->input_count; i++) {
        const Braid__V1__InputPosition *position = commit->inputs[i];
        if (!goes_on(&task->inputs[i], position))
            return br_error_set(error, BR_FATAL,
                                "commit of epoch %" PRIu64 " of pipeline %s doesn't follow on the one before it: table "
                                "%s was read up to sequence %" PRIu64 ", the commit goes from %" PRIu64 " to %" PRIu64,
                                commit->epoch, task->pipeline->name, task->inputs[i].table->name,
                                task->inputs[i].last_sequence, position->first_sequence, position->last_sequence);
        if (position->watermark_us < task->watermarks_after[i].us)
            return br_error_set(error, BR_FATAL,
                                "commit of epoch %" PRIu64
                                " of pipeline %s moves the watermark of table %s back from %" PRId64 " to %" PRId64,
                                commit->epoch, task->pipeline->name, task->inputs[i].table->name,
                                task->watermarks_after[i].us, position->watermark_us);
    }
    return BR_OK;
}

enum br_status task_check_commit(struct br_task *task, const Braid__V1__Commit *commit, struct br_error *error) {
    BR_TRY(check_plan(task, commit, error));
    if (commit->epoch != task->epoch + 1)
        return br_error_set(error, BR_FATAL,
                            "the commits of pipeline %s have a hole: epoch %" PRIu64 " is followed by epoch %" PRIu64
                            " in stream %s; epochs %" PRIu64 " to %" PRIu64 " are missing",
                            task->pipeline->name, task->epoch, commit->epoch, task->stream, task->epoch + 1,
                            commit->epoch - 1);
    BR_TRY(check_streams(task, commit, error));
    return check_positions(task, commit, error);
}

// A lineage's first commit says how it numbers its history, and where it begins: of a table that gave nothing yet, the
// position is what lies before.
static void adopt_beginning(struct br_task *task, const Braid__V1__Commit *commit) {
    for (uint32_t i = 0; i < task->input_count && task->epoch == 0; i++) {
        task->inputs[i].prehistory = commit->inputs[i]->prehistory;
        if (commit->inputs[i]->messages == 0)
            task->inputs[i].last_sequence = commit->inputs[i]->last_sequence;
    }
}

static enum br_status differs(struct br_task *task, const Braid__V1__Commit *commit, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) views = {0};
    for (uint32_t v = 0; v < task->pipeline->view_count; v++)
        if (commit->views[v]->digest != br_task_view_digest(task, v))
            br_buffer_printf(&views, "%s%s", views.len == 0 ? "" : ", ", task->pipeline->views[v].name);
    if (views.len == 0)
        br_buffer_append_text(&views, "none, but quarantined or late events, or an epoch before it");
    *br_buffer_reserve(&views, 1) = '\0';
    return br_error_set(
        error, BR_DATA,
        "epoch %" PRIu64 " of pipeline %s can't be repeated: its digest is %016" PRIx64 ", the commit says %016" PRIx64
        " (views that differ: %s). State or program differ from those that wrote the log; nothing is "
        "emitted",
        (uint64_t)commit->epoch, task->pipeline->name, task->digest, (uint64_t)commit->digest, (const char *)views.ptr);
}

static enum br_status repeat_commit(struct br_task *task, const Braid__V1__Commit *commit, bool silent,
                                    struct br_error *error) {
    BR_TRY(task_check_commit(task, commit, error));
    if (commit->takeover != NULL)
        return task_apply_takeover(task, commit, error);
    BR_TRY(task_fetch_recorded(task, commit, error));
    BR_TRY(task_compute(task, silent, error));
    note_follows(task, commit);
    if (task->digest != commit->digest)
        return differs(task, commit, error);
    return BR_OK;
}

// One message of braid.<pipeline>.commit.>. *ret_commit: the commit when it is one of this lineage that adds to it,
// else NULL. On the lineage's own subject a takeover only closes that subject: the takeover itself stands on the
// owner's.
static enum br_status read_own_commit(struct br_task *task, const struct br_log_message *message,
                                      Braid__V1__Commit **ret_commit, struct br_error *error) {
    Braid__V1__Commit BR_CLEANUP(br_commit_cleanup) *commit = NULL;
    char owner[320];
    *ret_commit = NULL;
    if (!is_commit_of(task, message))
        return BR_OK;
    BR_TRY(br_commit_of(task->pipeline->name, message, &commit, error));
    if (commit == NULL)
        return BR_OK; // X22
    br_task_owner_subject(task->pipeline->name, owner, sizeof owner);
    bool closes = commit->takeover != NULL && !br_slice_is(message->subject, owner);
    if (closes || strcmp(commit->lineage, task->options.lineage) != 0 || commit->epoch <= task->epoch)
        return BR_OK;
    BR_TRY(check_plan(task, commit, error));
    return br_commit_read(task->pipeline, message->payload, ret_commit, error);
}

// Parts before the last are only counted: the epoch is computed at its last part.
enum br_status br_task_follow(struct br_task *task, const struct br_log_message *message, struct br_error *error) {
    Braid__V1__Commit BR_CLEANUP(br_commit_cleanup) *commit = NULL;
    BR_TRY(read_own_commit(task, message, &commit, error));
    if (commit == NULL)
        return BR_OK;
    BR_TRY(task_follow_sleep(task, commit, error));
    adopt_beginning(task, commit);
    if (commit->part < commit->parts) {
        br_commit_cleanup(&task->unfinished);
        task->unfinished = br_steal(&commit);
        task->last_commit = message->sequence;
        return BR_OK;
    }
    BR_TRY(repeat_commit(task, commit, !task->options.keep_outputs, error));
    br_commit_cleanup(&task->unfinished);
    task->last_commit = message->sequence;
    task->committed_epoch = commit->epoch;
    task->totals.recovered_epochs++;
    return task_flush_when_due(task, error);
}

// The log ends within an epoch (R4).
static enum br_status finish_parts(struct br_task *task, struct br_error *error) {
    if (task->unfinished == NULL || task->unfinished->takeover != NULL)
        return BR_OK; // a takeover is ended by br_task_take_over
    Braid__V1__Commit BR_CLEANUP(br_commit_cleanup) *commit = br_steal(&task->unfinished);
    BR_TRY(repeat_commit(task, commit, false, error));
    BR_TRY(task_send(task, commit->part + 1, error));
    return task_await(task, error);
}

static enum br_status follow_commits(struct br_task *task, const struct log_end *end, struct br_error *error) {
    struct br_reader *reader = NULL;
    enum br_status status;
    char filter[320];
    br_task_commits_filter(task->pipeline->name, filter, sizeof filter);
    // From the beginning means whatever is there: missing early epochs are found by their numbers (R2).
    do
        status = br_reader_open(task->log, task->stream, filter, task->last_commit + 1, end->sequence, &reader, error);
    while (task_try_again(task, status, error));
    bool done = false;
    while (status == BR_OK && !done) {
        const struct br_log_message *messages;
        size_t count;
        status = task_stopping(task)
                     ? br_error_set(error, BR_RETRY, "stopped while recovering at epoch %" PRIu64 " of %" PRIu64,
                                    task->epoch, end->epoch)
                     : br_reader_peek(reader, &messages, &count, error);
        if (status != BR_OK)
            break;
        if (count == 0) {
            br_log_wait(task->log, RECOVER_WAIT_US);
            continue;
        }
        done = messages[0].sequence >= end->sequence;
        status = br_task_follow(task, &messages[0], error);
        br_reader_consume(reader, 1);
        br_reader_release(reader);
    }
    br_reader_close(&reader);
    return status;
}

// A shadow goes no further than its state: what follows is br_task_follow's.
enum br_status br_task_recover(struct br_task *task, struct br_error *error) {
    struct log_end end = {0};
    BR_TRY(read_log_end(task, &end, error));
    BR_TRY(settle_state(task, &end, error));
    if (task->options.role == BR_TASK_SHADOW)
        return BR_OK;
    uint64_t from = task->epoch;
    if (end.sequence > task->last_commit) {
        enum br_status status = follow_commits(task, &end, error);
        if (status == BR_OK)
            status = finish_parts(task, error);
        if (status != BR_OK)
            return status == BR_DATA ? BR_FATAL : status; // a digest that differs stops the task
    }
    BR_TRY(task_open_readers(task, error));
    if (task->epoch != from)
        br_log_line(BR_LEVEL_INFO, "recovered", BR_STR("pipeline", task->pipeline->name),
                    BR_STR("lineage", task->options.lineage), BR_INT("state_epoch", from), BR_INT("epoch", task->epoch),
                    BR_INT("epochs_repeated", task->totals.recovered_epochs));
    return BR_OK;
}

enum br_status br_task_find_owner(struct br_log *log, const char *pipeline, struct br_owner *ret_owner,
                                  struct br_error *error) {
    struct br_newest_commit newest;
    char subject[320];
    br_task_owner_subject(pipeline, subject, sizeof subject);
    BR_TRY(br_commit_newest(log, pipeline, subject, &newest, error));
    *ret_owner = (struct br_owner){.lineage = "live"};
    if (newest.commit == NULL)
        return BR_OK;
    snprintf(ret_owner->lineage, sizeof ret_owner->lineage, "%s", newest.commit->lineage);
    ret_owner->plan_hash = newest.commit->plan_hash;
    ret_owner->semantics = newest.commit->semantics;
    br_commit_cleanup(&newest.commit);
    return BR_OK;
}
