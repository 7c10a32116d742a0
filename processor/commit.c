// SPDX-License-Identifier: Apache-2.0
// The commit: an epoch's messages and its commit message as fenced atomic batches, and what is done when the answer
// doesn't come.
//
//   state of a part     event                          next
//   ----------------    -----------------------------  ------------------------------------------------
//   to send             append accepted                waiting
//   to send             no connection (RETRY)          to send, after a back-off: nothing was left behind
//   waiting             ack                            landed: the fence is the ack's sequence
//   waiting             refused by the fence           read the fence
//   waiting             unknown (lost ack, failover)   read the fence
//   read the fence      last commit is this very part  landed (X5)
//   read the fence      last commit is the expected    to send again, with a new batch id; if the lost batch lands
//   first, the fence refuses
//                                                      ours and we find it (X5)
//   read the fence      behind the expected only what  to send again behind that, at most once a second (X22)
//                       is no commit
//   read the fence      anything else                  fenced: another worker owns the task, or another lineage has
//   taken the outputs over (X13); stop without a word on the log (X4)
#include "processor/commit_newest.h"
#include "processor/task_internal.h"

#include "base/logging.h"

#include <inttypes.h>
#include <stdio.h>

#define STREAM_CHECK_RETRIES 8 // in a row
#define SLOW_EPOCH_US 500
#define USUAL_EPOCHS 100 // that the usual age is the mean of, about
#define QUEUED_BYTES_MAX ((size_t)1 << 20)
#define GATHER_ABOVE_US 2000
#define GATHERS 64
#define PASS_OVER_EVERY_US 1000000

// --- writing

static void fill_inputs(const struct br_task *task, Braid__V1__Commit *commit, struct br_arena *arena) {
    uint32_t count = task->input_count;
    commit->n_inputs = count;
    commit->inputs = br_arena_array(arena, Braid__V1__InputPosition *, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct task_input *input = &task->inputs[i];
        Braid__V1__InputPosition *position = commit->inputs[i] = br_arena_new(arena, Braid__V1__InputPosition);
        braid__v1__input_position__init(position);
        position->table = (char *)input->table->name;
        position->stream = (char *)input->stream.name;
        position->stream_created_us = input->stream.created.us;
        position->first_sequence = input->messages == 0 ? 0 : input->first_sequence;
        position->last_sequence = input->last_sequence;
        position->covered_sequence = input->covered;
        position->messages = input->messages;
        position->rows = input->rows;
        position->quarantined = input->quarantined;
        position->watermark_us = task->watermarks_after[i].us;
        position->event_time_max_us = input->event_time_max.us;
        position->idle = input->messages == 0;
        position->prehistory = input->prehistory;
        const struct br_trail *trail = &input->trail;
        if (trail->count == 0 || trail->marks[trail->count - 1].sequence != input->last_sequence)
            continue;
        position->last_time_us = trail->marks[trail->count - 1].time_us;
        position->last_hash = trail->marks[trail->count - 1].hash;
    }
}

static void fill_trails(const struct br_task *task, Braid__V1__Commit *commit, struct br_arena *arena) {
    for (uint32_t i = 0; i < task->input_count; i++) {
        const struct br_trail *trail = &task->inputs[i].trail;
        Braid__V1__InputPosition *position = commit->inputs[i];
        position->youngest_us = trail->youngest_us == BR_TRAIL_YOUNGEST_UNKNOWN ? 0 : trail->youngest_us;
        position->n_trail = trail->count;
        position->trail = br_arena_array(arena, Braid__V1__Fingerprint *, trail->count);
        for (uint32_t m = 0; m < trail->count; m++) {
            position->trail[m] = br_arena_new(arena, Braid__V1__Fingerprint);
            braid__v1__fingerprint__init(position->trail[m]);
            position->trail[m]->sequence = trail->marks[m].sequence;
            position->trail[m]->time_us = trail->marks[m].time_us;
            position->trail[m]->hash = trail->marks[m].hash;
            position->trail[m]->subject = (char *)trail->marks[m].subject;
        }
    }
}

static void fill_views(const struct br_task *task, Braid__V1__Commit *commit, struct br_arena *arena) {
    const struct br_emit *emit = task->emits[task->emit_current];
    uint32_t count = task->pipeline->view_count;
    commit->n_views = count;
    commit->views = br_arena_array(arena, Braid__V1__ViewOutput *, count);
    for (uint32_t v = 0; v < count; v++) {
        const struct br_view_counts *counts = br_emit_counts(emit, v);
        Braid__V1__ViewOutput *output = commit->views[v] = br_arena_new(arena, Braid__V1__ViewOutput);
        braid__v1__view_output__init(output);
        output->view = (char *)task->pipeline->views[v].name;
        output->upserts = counts->upserts;
        output->deletes = counts->deletes;
        output->late = counts->late;
        output->failed = counts->failed;
        output->digest = counts->digest;
        output->asleep = task->asleep[v];
    }
}

void task_fill_commit(const struct br_task *task, Braid__V1__Commit *commit, struct br_arena *arena) {
    braid__v1__commit__init(commit);
    commit->epoch = task->epoch;
    commit->lineage = (char *)task->options.lineage;
    commit->plan_hash = task->pipeline->plan_hash;
    commit->clock_us = task->clock.us;
    commit->digest = task->digest;
    commit->part = commit->parts = 1;
    commit->worker = (char *)task->options.worker;
    commit->follows_epoch = task->follows;
    commit->follows_sequence = task->follows_sequence;
    commit->follows_lineage = (char *)task->follows_lineage;
    commit->lenient = task->lenient;
    commit->semantics = task->semantics;
    fill_inputs(task, commit, arena);
    fill_views(task, commit, arena);
}

static size_t append_packed(const Braid__V1__Commit *commit, struct br_buffer *bytes) {
    size_t size = braid__v1__commit__get_packed_size(commit);
    size_t len = braid__v1__commit__pack(commit, br_buffer_reserve(bytes, size));
    bytes->len += len;
    return len;
}

static void pack(const Braid__V1__Commit *commit, struct br_buffer *bytes) {
    br_buffer_clear(bytes);
    append_packed(commit, bytes);
}

void task_record(const struct br_task *task, struct br_buffer *bytes) {
    Braid__V1__Commit commit;
    task_fill_commit(task, &commit, task->epoch_arena);
    fill_trails(task, &commit, task->epoch_arena);
    pack(&commit, bytes);
}

static void fill_blocks(struct br_task *task, Braid__V1__Commit *commit) {
    size_t count;
    const struct br_emit_block *blocks = br_emit_blocks(task_emit(task), &count);
    commit->n_blocks = count;
    commit->blocks = br_arena_array(task->epoch_arena, Braid__V1__PackedBlock *, count);
    for (size_t i = 0; i < count; i++) {
        commit->blocks[i] = br_arena_new(task->epoch_arena, Braid__V1__PackedBlock);
        braid__v1__packed_block__init(commit->blocks[i]);
        commit->blocks[i]->view = (char *)blocks[i].view->name;
        commit->blocks[i]->rows.data = (uint8_t *)blocks[i].rows.ptr;
        commit->blocks[i]->rows.len = blocks[i].rows.len;
    }
}

static void ensure_batch(struct br_task *task, size_t count) {
    if (task->batch_capacity >= count)
        return;
    task->batch_capacity = count;
    task->batch = br_realloc(task->batch, task->batch_capacity * sizeof *task->batch);
}

// Lays out part `part` in task->batch: its share of the outputs, then the commit message.
static void build_part(struct br_task *task, Braid__V1__Commit *commit, const struct outputs *outputs, uint32_t part,
                       uint32_t parts) {
    size_t first = (size_t)(part - 1) * TASK_BATCH_OUTPUTS_MAX, left = outputs->count - first;
    size_t count = left < TASK_BATCH_OUTPUTS_MAX ? left : TASK_BATCH_OUTPUTS_MAX;
    ensure_batch(task, count + 1);
    if (count != 0)
        memcpy(task->batch, outputs->messages + first, count * sizeof *task->batch);
    commit->part = part;
    commit->parts = parts;
    commit->batch_messages = (uint32_t)count + 1;
    size_t blocks = commit->n_blocks;
    commit->n_blocks = part == parts ? blocks : 0; // what rides in the commit does so once
    pack(commit, &task->commit_bytes);
    commit->n_blocks = blocks;
    task->batch[count] = (struct br_log_message){.subject = br_slice_of(task->commit_subject),
                                                 .payload = br_buffer_slice(&task->commit_bytes)};
    task->outstanding = (struct outstanding){.messages = task->batch,
                                             .count = count + 1,
                                             .epoch = commit->epoch,
                                             .digest = commit->digest,
                                             .part = part,
                                             .sent = task->options.clock->mono(task->options.clock),
                                             .oldest_us = task->oldest_us};
}

// Who gets no answer again and again may be talking to a stream that is gone.
static enum br_status check_stream(struct br_task *task, struct br_error *error) {
    struct br_stream_info info;
    if (task->retries < STREAM_CHECK_RETRIES)
        return BR_OK;
    enum br_status status = br_log_stream_info(task->log, task->stream, &info, error);
    if (status == BR_FATAL && !br_log_may_pass(status, error))
        return br_error_context(error, "the output stream of pipeline %s has gone while the worker ran",
                                task->pipeline->name);
    return BR_OK;
}

static enum br_status send_outstanding(struct br_task *task, struct br_error *error) {
    enum br_status status;
    do {
        BR_TRY(check_stream(task, error));
        status = br_log_append(task->log, task->stream, task->outstanding.messages, task->outstanding.count,
                               task->fence, error);
    } while (task_try_again(task, status, error));
    task->outstanding.waiting = status == BR_OK;
    return status;
}

enum br_status task_send_outputs(struct br_task *task, Braid__V1__Commit *commit, const struct outputs *outputs,
                                 uint32_t first_part, struct br_error *error) {
    BR_CHECK(!task->outstanding.waiting && task->options.role != BR_TASK_SHADOW);
    BR_CHECK(task->queued[task->queued_current].count == 0);
    uint32_t parts = outputs->count <= TASK_BATCH_OUTPUTS_MAX
                         ? 1
                         : (uint32_t)((outputs->count + TASK_BATCH_OUTPUTS_MAX - 1) / TASK_BATCH_OUTPUTS_MAX);
    for (uint32_t part = first_part; part <= parts; part++) {
        if (task->outstanding.waiting)
            BR_TRY(task_await(task, error));
        build_part(task, commit, outputs, part, parts);
        BR_TRY(send_outstanding(task, error));
    }
    return BR_OK;
}

enum br_status task_send(struct br_task *task, uint32_t first_part, struct br_error *error) {
    Braid__V1__Commit commit;
    struct outputs outputs;
    outputs.messages = br_emit_messages(task_emit(task), &outputs.count);
    task_fill_commit(task, &commit, task->epoch_arena);
    fill_blocks(task, &commit);
    return task_send_outputs(task, &commit, &outputs, first_part, error);
}

// --- commits of epochs that give nothing out (X18)

// Waits for the outstanding commit, and learns from it whether that is good enough.
static enum br_status await_single(struct br_task *task, struct br_error *error) {
    int64_t began_us = task->options.clock->mono(task->options.clock).us;
    BR_TRY(task_await(task, error));
    task->queue_wait_us += (task->options.clock->mono(task->options.clock).us - began_us - task->queue_wait_us) / 8;
    if (task->queue_wait_us > GATHER_ABOVE_US) {
        task->gathers_left = GATHERS;
        task->queue_wait_us = 0;
    }
    return BR_OK;
}

enum br_status task_queue(struct br_task *task, struct br_error *error) {
    struct queued *queued = &task->queued[task->queued_current];
    Braid__V1__Commit commit;
    size_t outputs;
    br_emit_messages(task_emit(task), &outputs);
    BR_CHECK(outputs == 0 && task->options.role == BR_TASK_REPLAY && queued->count < TASK_QUEUED_MAX);
    task_fill_commit(task, &commit, task->epoch_arena);
    commit.batch_messages = 1; // it stands for itself, whatever shares its batch
    queued->lens[queued->count++] = append_packed(&commit, &queued->bytes);
    queued->epoch = commit.epoch;
    queued->digest = commit.digest;
    if (task->gathers_left == 0)
        BR_TRY(await_single(task, error));
    return task_send_queued(task, error);
}

static enum br_status send_queue(struct br_task *task, struct br_error *error) {
    struct queued *queued = &task->queued[task->queued_current];
    const uint8_t *at = queued->bytes.ptr;
    ensure_batch(task, queued->count);
    if (task->gathers_left != 0)
        task->gathers_left--;
    for (size_t i = 0; i < queued->count; at += queued->lens[i++])
        task->batch[i] =
            (struct br_log_message){.subject = br_slice_of(task->commit_subject), .payload = {at, queued->lens[i]}};
    task->outstanding = (struct outstanding){.messages = task->batch,
                                             .count = queued->count,
                                             .epoch = queued->epoch,
                                             .digest = queued->digest,
                                             .part = 1,
                                             .oldest_us = INT64_MAX,
                                             .sent = task->options.clock->mono(task->options.clock)};
    task->queued_current ^= 1;
    struct queued *next = &task->queued[task->queued_current];
    br_buffer_clear(&next->bytes);
    next->count = 0;
    return send_outstanding(task, error);
}

enum br_status task_send_queued(struct br_task *task, struct br_error *error) {
    const struct queued *queued = &task->queued[task->queued_current];
    bool much = queued->count == TASK_QUEUED_MAX || queued->bytes.len > QUEUED_BYTES_MAX;
    if (task->outstanding.waiting && (much || br_log_append_ready(task->log)))
        BR_TRY(task_await(task, error));
    return task->outstanding.waiting || queued->count == 0 ? BR_OK : send_queue(task, error);
}

enum br_status task_settle(struct br_task *task, struct br_error *error) {
    BR_TRY(task_await(task, error));
    BR_TRY(task_send_queued(task, error));
    return task_await(task, error);
}

// --- waiting, and what to do without an answer

enum fence_verdict { FENCE_LANDED, FENCE_FREE, FENCE_TAKEN };

// A subject of commits, as the fence on it was read.
struct fence_look {
    enum fence_verdict verdict;
    uint64_t sequence; // of the newest commit there
    uint64_t last;     // of the last message there
};

static bool is_outstanding(const struct br_task *task, const Braid__V1__Commit *commit) {
    return commit->epoch == task->outstanding.epoch && commit->part == task->outstanding.part &&
           commit->digest == task->outstanding.digest && strcmp(commit->worker, task->options.worker) == 0;
}

static void tell_superseded(struct br_task *task, const Braid__V1__Commit *commit, struct br_error *error) {
    snprintf(task->superseded_by, sizeof task->superseded_by, "%s", commit->lineage);
    br_error_set(error, BR_FATAL,
                 "lineage %s has taken the outputs of pipeline %s over from lineage %s (worker %s, epoch %" PRIu64 ")",
                 commit->lineage, task->pipeline->name, task->options.lineage, commit->worker, commit->epoch);
}

void task_tell_foreign(const struct br_task *task, const char *subject, const struct br_newest_commit *newest) {
    if (newest->foreign != 0)
        br_log_line(BR_LEVEL_WARN,
                    "somebody else has published where only this pipeline's commits belong; it is passed over. Who "
                    "isn't a worker of this pipeline should not be permitted to publish there",
                    BR_STR("pipeline", task->pipeline->name), BR_STR("stream", task->stream),
                    BR_STR("subject", subject), BR_INT("sequence", newest->last), BR_INT("messages", newest->foreign));
}

// Others may publish faster than we can pass it over: then the rest of the task isn't to stand still for it.
static enum br_status await_turn(struct br_task *task, struct br_error *error) {
    const struct br_clock *clock = task->options.clock;
    int64_t left_us = task->fence_moved.us + PASS_OVER_EVERY_US - clock->mono(clock).us;
    if (task->fence_moved.us == 0 || left_us <= 0)
        return BR_OK;
    if (task_stopping(task))
        return br_error_set(error, BR_RETRY,
                            "stopped while others publish on %s: the last epoch isn't committed, and is computed again "
                            "at the next start",
                            task->commit_subject);
    br_log_pause(task->log, left_us);
    return BR_OK;
}

// X22: the newest commit from the message at `known` on. A foreign one is passed over only when all that stands between
// is there to be seen.
static enum br_status read_newest(struct br_task *task, const char *subject, uint64_t known,
                                  struct br_newest_commit *ret_newest, struct br_error *error) {
    enum br_status status;
    do
        status = br_commit_newest_after(task->log, task->pipeline->name, subject, known, ret_newest, error);
    while (task_try_again(task, status, error));
    return status;
}

static enum br_status not_proven(const struct br_task *task, const char *subject, struct br_newest_commit *newest,
                                 struct br_error *error) {
    br_commit_cleanup(&newest->commit);
    return br_error_set(
        error, BR_FATAL,
        "somebody else has published on %s (stream %s, sequence %" PRIu64
        "), and the commit of pipeline %s before it is gone: whether another worker has committed since "
        "can't be told. Start the worker again: it recovers from what the log has",
        subject, task->stream, newest->last, task->pipeline->name);
}

// From the last message that was looked at, or when that was deleted, from our newest commit.
static enum br_status read_behind(struct br_task *task, struct br_newest_commit *ret_newest, struct br_error *error) {
    BR_TRY(read_newest(task, task->commit_subject, task->fence, ret_newest, error));
    if (!ret_newest->proven && task->fence != task->fence_commit.sequence) {
        br_commit_cleanup(&ret_newest->commit);
        BR_TRY(read_newest(task, task->commit_subject, task->fence_commit.sequence, ret_newest, error));
    } else if (ret_newest->commit == NULL && task->fence != task->fence_commit.sequence) {
        ret_newest->sequence = task->fence_commit.sequence; // as when that message was looked at
        ret_newest->foreign--;                              // which has been told of
    }
    return ret_newest->proven ? BR_OK : not_proven(task, task->commit_subject, ret_newest, error);
}

static enum br_status last_on(struct br_task *task, const char *subject, struct br_buffer *copy,
                              struct br_log_message *ret_last, bool *ret_found, struct br_error *error) {
    enum br_status status;
    do {
        br_buffer_clear(copy);
        status = br_log_last(task->log, task->stream, subject, copy, ret_last, ret_found, error);
    } while (task_try_again(task, status, error));
    return status;
}

// What stands behind the newest commit is foreign: the fence goes on from there.
static void pass_over(struct br_task *task, const struct br_newest_commit *newest) {
    task_tell_foreign(task, task->commit_subject, newest);
    task->fence = newest->last;
    task->fence_moved = task->options.clock->mono(task->options.clock);
}

static bool is_fence_commit(const struct br_task *task, const Braid__V1__Commit *commit) {
    const struct fence_commit *ours = &task->fence_commit;
    return commit == NULL ? ours->sequence != task->fence || ours->sequence == 0
                          : commit->epoch == ours->epoch && (ours->digest == 0 || commit->digest == ours->digest);
}

static void tell_lost(const struct br_task *task, uint64_t sequence, struct br_error *error) {
    br_error_set(error, BR_FATAL,
                 "stream %s has lost commits of pipeline %s: the last one was at sequence %" PRIu64
                 ", now it is at %" PRIu64
                 " (deleted, restored from a copy, or the server lost acknowledged messages). The worker "
                 "stops; started again it rebuilds its state from what the log has",
                 task->stream, task->pipeline->name, task->fence_commit.sequence, sequence);
}

static void judge_newest(struct br_task *task, const struct br_newest_commit *newest, struct fence_look *look,
                         struct br_error *error) {
    const Braid__V1__Commit *commit = newest->commit;
    look->sequence = newest->sequence;
    look->last = newest->last;
    look->verdict = FENCE_TAKEN;
    if (newest->sequence == task->fence_commit.sequence && is_fence_commit(task, commit)) {
        look->verdict = FENCE_FREE;
        pass_over(task, newest);
    } else if (commit == NULL || newest->sequence == task->fence_commit.sequence) {
        tell_lost(task, newest->sequence, error);
    } else if (is_outstanding(task, commit)) {
        look->verdict = FENCE_LANDED;
        task_tell_foreign(task, task->commit_subject, newest);
    } else if (strcmp(commit->lineage, task->options.lineage) != 0) {
        tell_superseded(task, commit, error);
    } else {
        br_error_set(error, BR_FATAL,
                     "fenced: worker %s has committed epoch %" PRIu64 " of pipeline %s (stream sequence %" PRIu64
                     "); this worker (%s) no longer owns the task and stops",
                     commit->worker, commit->epoch, task->pipeline->name, newest->sequence, task->options.worker);
    }
}

// error: says why, with FENCE_TAKEN.
static enum br_status read_fence(struct br_task *task, struct fence_look *look, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_newest_commit newest = {0};
    struct br_log_message last;
    bool found;
    BR_TRY(last_on(task, task->commit_subject, &copy, &last, &found, error));
    if (found && last.sequence != task->fence && br_commit_is_foreign(&last)) {
        BR_TRY(await_turn(task, error));
        BR_TRY(last_on(task, task->commit_subject, &copy, &last, &found, error));
    }
    look->last = look->sequence = found ? last.sequence : 0;
    look->verdict = FENCE_TAKEN;
    if (look->last < task->fence_commit.sequence) {
        tell_lost(task, look->last, error);
        return BR_OK;
    }
    if (look->last == task->fence) {
        look->verdict = FENCE_FREE;
        return BR_OK;
    }
    if (look->last == task->fence_commit.sequence) { // what was passed over has been deleted
        task->fence = look->last;
        look->verdict = FENCE_FREE;
        return BR_OK;
    }
    BR_TRY(br_commit_of(task->pipeline->name, &last, &newest.commit, error));
    newest.sequence = newest.last = last.sequence;
    if (newest.commit == NULL)
        BR_TRY(read_behind(task, &newest, error));
    judge_newest(task, &newest, look, error);
    br_commit_cleanup(&newest.commit);
    return BR_OK;
}

enum br_status task_check_owner(struct br_task *task, struct br_error *error) {
    struct fence_look look;
    BR_TRY(read_fence(task, &look, error));
    return look.verdict == FENCE_TAKEN ? BR_FATAL : BR_OK;
}

// A replay that is to stay behind live looks at how many of live's epochs are late (replay/runner_pace.c).
static void note_age(struct br_task *task) {
    if (task->outstanding.oldest_us == INT64_MAX)
        return;
    double age_us = (double)(task->totals.last_commit.us - task->outstanding.oldest_us);
    task->totals.slow_epochs += age_us > task->totals.usual_age_us + SLOW_EPOCH_US;
    task->totals.usual_age_us += (age_us - task->totals.usual_age_us) / USUAL_EPOCHS;
}

static void landed(struct br_task *task, uint64_t sequence) {
    BR_CHECK(sequence > task->fence_commit.sequence);
    task->fence = task->last_commit = sequence;
    task->fence_commit = (struct fence_commit){sequence, task->outstanding.epoch, task->outstanding.digest};
    task->outstanding.waiting = false;
    task->retries = 0;
    task_end_try(task);
    task->committed_epoch = task->outstanding.epoch;
    task->totals.last_commit = task->options.clock->wall(task->options.clock);
    note_age(task);
}

// A takeover is fenced on the lineage's own subject too: who has committed there runs the same replay.
static enum br_status check_closing(struct br_task *task, struct br_log_message *closing, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_newest_commit newest = {0};
    struct br_log_message last;
    bool found;
    char own[320];
    br_task_lineage_subject(task->pipeline->name, task->options.lineage, own, sizeof own);
    BR_TRY(last_on(task, own, &copy, &last, &found, error));
    uint64_t sequence = found ? last.sequence : 0, known = closing->expected_sequence;
    if (sequence == known)
        return BR_OK;
    if (found && sequence > known && br_commit_is_foreign(&last)) {
        BR_TRY(await_turn(task, error));
        BR_TRY(read_newest(task, own, known, &newest, error));
        if (!newest.proven)
            return not_proven(task, own, &newest, error);
        br_commit_cleanup(&newest.commit);
        if (newest.sequence <= known) {
            task_tell_foreign(task, own, &newest);
            closing->expected_sequence = newest.last;
            task->fence_moved = task->options.clock->mono(task->options.clock);
            return BR_OK;
        }
    }
    return br_error_set(error, BR_FATAL,
                        "fenced: another worker has committed to lineage %s of pipeline %s; this worker (%s) stops",
                        task->options.lineage, task->pipeline->name, task->options.worker);
}

enum br_status task_await(struct br_task *task, struct br_error *error) {
    while (task->outstanding.waiting) {
        enum br_append_result result;
        uint64_t sequence;
        enum br_status status = br_log_append_wait(task->log, &result, &sequence, error);
        task->outstanding.waiting = false;
        if (task_try_again(task, status, error)) { // surely nothing behind
            BR_TRY(send_outstanding(task, error));
            continue;
        }
        BR_TRY(status);
        if (result == BR_APPEND_DONE) {
            landed(task, sequence);
            return BR_OK;
        }
        struct br_error why;
        if (result == BR_APPEND_UNKNOWN)
            why = *error;
        else
            br_error_set(&why, BR_RETRY, "others publish on %s", task->commit_subject);
        struct fence_look look;
        BR_TRY(read_fence(task, &look, error));
        if (look.verdict == FENCE_TAKEN)
            return BR_FATAL; // read_fence has worded it
        if (look.verdict == FENCE_LANDED) {
            landed(task, look.sequence);
            task->fence = look.last;
            return BR_OK;
        }
        if (!task_try_again(task, BR_RETRY, &why)) {
            *error = why;
            return BR_RETRY;
        }
        if (task->outstanding.messages[0].fenced)
            BR_TRY(check_closing(task, &task->outstanding.messages[0], error));
        BR_TRY(send_outstanding(task, error));
    }
    return BR_OK;
}
