// SPDX-License-Identifier: Apache-2.0
// See epochs.h.
#include "replay/epochs.h"
#include "processor/commit_newest.h"
#include "processor/task.h"
#include "replay/unpack.h"

#include <stdio.h>

#define EPOCHS_RETRIES_MAX 20
#define EPOCHS_RETRY_WAIT_US 50000

struct br_epochs {
    struct br_log *log;
    struct br_arena *arena; // of `last`
    char *lineage;
    char stream[256];
    char owner_subject[300], own_subject[600];
    struct br_epoch_commit last;
};

// *ret_found false: it is foreign (X22).
static enum br_status read_commit(const struct br_epochs *epochs, const struct br_log_message *message,
                                  struct br_arena *arena, struct br_epoch_commit *ret_commit, bool *ret_found,
                                  struct br_error *error) {
    *ret_found = !br_commit_is_foreign(message);
    if (!*ret_found)
        return BR_OK;
    Braid__V1__Commit *commit = br_unpack(&braid__v1__commit__descriptor, message->payload, arena);
    if (commit == NULL || commit->epoch == 0)
        return br_error_set(error, BR_FATAL,
                            "message %llu of stream %s stands where commits do (%.*s) and isn't a braid.v1.Commit",
                            (unsigned long long)message->sequence, epochs->stream, (int)message->subject.len,
                            (const char *)message->subject.ptr);
    *ret_commit = (struct br_epoch_commit){commit, message->sequence};
    return BR_OK;
}

static bool may_try_again(const struct br_epochs *epochs, enum br_status status, int *tries) {
    if (status != BR_RETRY || (*tries)++ == EPOCHS_RETRIES_MAX)
        return false;
    br_log_wait(epochs->log, EPOCHS_RETRY_WAIT_US);
    return true;
}

// The first commit on the subject from this sequence on.
static enum br_status fetch(const struct br_epochs *epochs, const char *subject, uint64_t from, struct br_arena *arena,
                            struct br_epoch_commit *ret_commit, bool *ret_found, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_log_message message;
    enum br_status status;
    bool there = true;
    int tries = 0;
    for (*ret_found = false; there && !*ret_found; from = message.sequence + 1) {
        do {
            br_buffer_clear(&copy);
            status = br_log_next(epochs->log, epochs->stream, subject, from, &copy, &message, &there, error);
        } while (may_try_again(epochs, status, &tries));
        BR_TRY(status);
        if (!there)
            return BR_OK;
        BR_TRY(read_commit(epochs, &message, arena, ret_commit, ret_found, error));
    }
    return BR_OK;
}

static enum br_status fetch_newest(struct br_epochs *epochs, const char *pipeline, bool *ret_found,
                                   struct br_error *error) {
    struct br_newest_commit newest;
    enum br_status status;
    int tries = 0;
    do
        status = br_commit_newest(epochs->log, pipeline, epochs->owner_subject, &newest, error);
    while (may_try_again(epochs, status, &tries));
    BR_TRY(status);
    br_commit_cleanup(&newest.commit);
    *ret_found = newest.sequence != 0;
    return *ret_found
               ? fetch(epochs, epochs->owner_subject, newest.sequence, epochs->arena, &epochs->last, ret_found, error)
               : BR_OK;
}

enum br_status br_epochs_open(struct br_log *log, const char *pipeline, struct br_epochs **ret_epochs,
                              struct br_error *error) {
    struct br_epochs *epochs = br_calloc(1, sizeof *epochs);
    bool found;
    epochs->log = log;
    epochs->arena = br_arena_create();
    br_task_output_stream(pipeline, epochs->stream, sizeof epochs->stream);
    br_task_owner_subject(pipeline, epochs->owner_subject, sizeof epochs->owner_subject);
    enum br_status status = fetch_newest(epochs, pipeline, &found, error);
    if (status != BR_OK || !found) {
        br_epochs_close(&epochs);
        *ret_epochs = NULL;
        return status;
    }
    epochs->lineage = epochs->last.commit->lineage;
    snprintf(epochs->own_subject, sizeof epochs->own_subject, "braid.%s.commit.%.200s.0", pipeline, epochs->lineage);
    *ret_epochs = epochs;
    return BR_OK;
}

void br_epochs_close(struct br_epochs **epochs) {
    if (*epochs != NULL)
        br_arena_destroy(&(*epochs)->arena);
    free(*epochs);
    *epochs = NULL;
}

const char *br_epochs_lineage(const struct br_epochs *epochs) {
    return epochs->lineage;
}

const Braid__V1__Commit *br_epochs_last(const struct br_epochs *epochs) {
    return epochs->last.commit;
}

// The lineage's first commit from a sequence on, which is at most that of the last one.
static enum br_status next(const struct br_epochs *epochs, uint64_t from, struct br_arena *arena,
                           struct br_epoch_commit *ret_commit, struct br_error *error) {
    struct br_epoch_commit own, owner;
    bool own_found, owner_found;
    BR_TRY(fetch(epochs, epochs->own_subject, from, arena, &own, &own_found, error));
    BR_TRY(fetch(epochs, epochs->owner_subject, from, arena, &owner, &owner_found, error));
    // Before an own commit there are others' on the owner's subject, maybe. When there is no own one, the next must be
    // there; others' are stepped over (the parts of a takeover, or a lineage whose first commits have expired).
    while (owner_found && strcmp(owner.commit->lineage, epochs->lineage) != 0) {
        owner_found = false;
        if (!own_found)
            BR_TRY(fetch(epochs, epochs->owner_subject, owner.sequence + 1, arena, &owner, &owner_found, error));
    }
    if (!own_found && !owner_found)
        *ret_commit = epochs->last;
    else
        *ret_commit = own_found && (!owner_found || own.sequence < owner.sequence) ? own : owner;
    return BR_OK;
}

enum br_status br_epochs_first(struct br_epochs *epochs, struct br_arena *arena, struct br_epoch_commit *ret_commit,
                               struct br_error *error) {
    return next(epochs, 1, arena, ret_commit, error);
}

enum br_status br_epochs_find(struct br_epochs *epochs,
                              bool (*holds)(const void *context, const Braid__V1__Commit *commit), const void *context,
                              struct br_arena *arena, struct br_epoch_commit *ret_commit, bool *ret_found,
                              struct br_error *error) {
    *ret_found = holds(context, epochs->last.commit);
    if (!*ret_found)
        return BR_OK;
    struct br_arena *scratch = br_arena_create();
    enum br_status status = BR_OK;
    // It holds for the first commit from `high` on, and for none before `low`.
    uint64_t low = 1, high = epochs->last.sequence;
    while (low < high && status == BR_OK) {
        uint64_t middle = low + (high - low) / 2;
        struct br_epoch_commit at;
        br_arena_reset(scratch);
        status = next(epochs, middle, scratch, &at, error);
        if (status == BR_OK && holds(context, at.commit))
            high = middle;
        else if (status == BR_OK)
            low = at.sequence + 1;
    }
    br_arena_destroy(&scratch);
    return status == BR_OK ? next(epochs, low, arena, ret_commit, error) : status;
}

const Braid__V1__InputPosition *br_epoch_position(const Braid__V1__Commit *commit, const char *table) {
    for (size_t i = 0; i < commit->n_inputs; i++)
        if (strcmp(commit->inputs[i]->table, table) == 0)
            return commit->inputs[i];
    return NULL;
}
