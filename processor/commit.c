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
//   read the fence      anything else                  fenced: another worker owns the task; stop without a word on the
//   log (X4)
#include "processor/commit_reader.h"
#include "processor/task_internal.h"

#include <inttypes.h>
#include <stdio.h>

#define STREAM_CHECK_RETRIES 8 // in a row

// --- writing

struct record {
    Braid__V1__Commit commit;
    Braid__V1__InputPosition *inputs, **input_list;
    Braid__V1__ViewOutput *views, **view_list;
};

static void fill_inputs(const struct br_task *task, struct record *record, struct br_arena *arena) {
    uint32_t count = task->input_count;
    record->inputs = br_arena_array(arena, Braid__V1__InputPosition, count);
    record->input_list = br_arena_array(arena, Braid__V1__InputPosition *, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct task_input *input = &task->inputs[i];
        Braid__V1__InputPosition *position = record->input_list[i] = &record->inputs[i];
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
    }
    record->commit.inputs = record->input_list;
    record->commit.n_inputs = count;
}

static void fill_views(const struct br_task *task, struct record *record, struct br_arena *arena) {
    const struct br_emit *emit = task->emits[task->emit_current];
    uint32_t count = task->pipeline->view_count;
    record->views = br_arena_array(arena, Braid__V1__ViewOutput, count);
    record->view_list = br_arena_array(arena, Braid__V1__ViewOutput *, count);
    for (uint32_t v = 0; v < count; v++) {
        const struct br_view_counts *counts = br_emit_counts(emit, v);
        Braid__V1__ViewOutput *output = record->view_list[v] = &record->views[v];
        braid__v1__view_output__init(output);
        output->view = (char *)task->pipeline->views[v].name;
        output->upserts = counts->upserts;
        output->deletes = counts->deletes;
        output->late = counts->late;
        output->failed = counts->failed;
        output->digest = counts->digest;
    }
    record->commit.views = record->view_list;
    record->commit.n_views = count;
}

static void fill_record(const struct br_task *task, struct record *record, struct br_arena *arena) {
    braid__v1__commit__init(&record->commit);
    record->commit.epoch = task->epoch;
    record->commit.lineage = (char *)task->options.lineage;
    record->commit.plan_hash = task->pipeline->plan_hash;
    record->commit.clock_us = task->clock.us;
    record->commit.digest = task->digest;
    record->commit.part = record->commit.parts = 1;
    record->commit.worker = (char *)task->options.worker;
    fill_inputs(task, record, arena);
    fill_views(task, record, arena);
}

static void pack(const Braid__V1__Commit *commit, struct br_buffer *bytes) {
    br_buffer_clear(bytes);
    size_t size = braid__v1__commit__get_packed_size(commit);
    bytes->len = braid__v1__commit__pack(commit, br_buffer_reserve(bytes, size));
}

void task_record(const struct br_task *task, struct br_buffer *bytes) {
    struct record record;
    fill_record(task, &record, task->epoch_arena);
    pack(&record.commit, bytes);
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

// Lays out part `part` in task->batch: its share of the outputs, then the commit message.
static void build_part(struct br_task *task, struct record *record, uint32_t part, uint32_t parts) {
    size_t total;
    const struct br_log_message *messages = br_emit_messages(task_emit(task), &total);
    size_t first = (size_t)(part - 1) * TASK_BATCH_OUTPUTS_MAX;
    size_t count = total - first < TASK_BATCH_OUTPUTS_MAX ? total - first : TASK_BATCH_OUTPUTS_MAX;
    if (task->batch_capacity < count + 1) {
        task->batch_capacity = count + 1;
        task->batch = br_realloc(task->batch, task->batch_capacity * sizeof *task->batch);
    }
    if (count != 0)
        memcpy(task->batch, messages + first, count * sizeof *messages);
    record->commit.part = part;
    record->commit.parts = parts;
    record->commit.batch_messages = (uint32_t)count + 1;
    pack(&record->commit, &task->commit_bytes);
    task->batch[count] = (struct br_log_message){.subject = br_slice_of(task->commit_subject),
                                                 .payload = br_buffer_slice(&task->commit_bytes)};
    task->outstanding = (struct outstanding){.messages = task->batch,
                                             .count = count + 1,
                                             .epoch = task->epoch,
                                             .digest = task->digest,
                                             .part = part,
                                             .sent = task->options.clock->mono(task->options.clock)};
}

// Who gets no answer again and again may be talking to a stream that is gone.
static enum br_status check_stream(struct br_task *task, struct br_error *error) {
    struct br_stream_info info;
    if (task->retries < STREAM_CHECK_RETRIES)
        return BR_OK;
    enum br_status status = br_log_stream_info(task->log, task->stream, &info, error);
    if (status == BR_FATAL)
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

enum br_status task_send(struct br_task *task, uint32_t first_part, struct br_error *error) {
    BR_CHECK(!task->outstanding.waiting);
    size_t total;
    br_emit_messages(task_emit(task), &total);
    uint32_t parts =
        total <= TASK_BATCH_OUTPUTS_MAX ? 1 : (uint32_t)((total + TASK_BATCH_OUTPUTS_MAX - 1) / TASK_BATCH_OUTPUTS_MAX);
    struct record record;
    fill_record(task, &record, task->epoch_arena);
    fill_blocks(task, &record.commit);
    for (uint32_t part = first_part; part <= parts; part++) {
        if (task->outstanding.waiting)
            BR_TRY(task_await(task, error));
        build_part(task, &record, part, parts);
        BR_TRY(send_outstanding(task, error));
    }
    return BR_OK;
}

// --- waiting, and what to do without an answer

enum fence_verdict { FENCE_LANDED, FENCE_FREE, FENCE_TAKEN };

static bool is_outstanding(const struct br_task *task, const Braid__V1__Commit *commit) {
    return commit->epoch == task->outstanding.epoch && commit->part == task->outstanding.part &&
           commit->digest == task->outstanding.digest && strcmp(commit->worker, task->options.worker) == 0;
}

static enum br_status read_fence(struct br_task *task, enum fence_verdict *ret_verdict, uint64_t *ret_sequence,
                                 struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_log_message last;
    bool found;
    enum br_status status;
    do {
        br_buffer_clear(&copy);
        status = br_log_last(task->log, task->stream, task->commit_subject, &copy, &last, &found, error);
    } while (task_try_again(task, status, error));
    BR_TRY(status);
    uint64_t sequence = found ? last.sequence : 0;
    *ret_sequence = sequence;
    *ret_verdict = sequence == task->fence ? FENCE_FREE : FENCE_TAKEN;
    if (sequence == task->fence)
        return BR_OK;
    if (sequence < task->fence) {
        br_error_set(error, BR_FATAL,
                     "stream %s has lost commits of pipeline %s: the last one was at sequence %" PRIu64
                     ", now it is at %" PRIu64
                     " (deleted, restored from a copy, or the server lost acknowledged messages). The worker "
                     "stops; started again it rebuilds its state from what the log has",
                     task->stream, task->pipeline->name, task->fence, sequence);
        return BR_OK; // the verdict tells
    }
    Braid__V1__Commit *commit;
    BR_TRY(br_commit_read(task->pipeline, last.payload, &commit, error));
    if (is_outstanding(task, commit))
        *ret_verdict = FENCE_LANDED;
    else
        br_error_set(error, BR_FATAL,
                     "fenced: worker %s has committed epoch %" PRIu64 " of pipeline %s (stream sequence %" PRIu64
                     "); this worker (%s) no longer owns the task and stops",
                     commit->worker, commit->epoch, task->pipeline->name, sequence, task->options.worker);
    braid__v1__commit__free_unpacked(commit, NULL);
    return BR_OK;
}

static void landed(struct br_task *task, uint64_t sequence) {
    BR_CHECK(sequence > task->fence);
    task->fence = sequence;
    task->outstanding.waiting = false;
    task->retries = 0;
    task->committed_epoch = task->outstanding.epoch;
    task->totals.last_commit = task->options.clock->wall(task->options.clock);
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
        enum fence_verdict verdict;
        BR_TRY(read_fence(task, &verdict, &sequence, error));
        if (verdict == FENCE_TAKEN)
            return BR_FATAL; // read_fence has worded it
        if (verdict == FENCE_LANDED)
            landed(task, sequence);
        else
            BR_TRY(send_outstanding(task, error));
    }
    return BR_OK;
}
