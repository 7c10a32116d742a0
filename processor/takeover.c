// SPDX-License-Identifier: Apache-2.0
// The takeover: a replay's lineage becomes the owner of the outputs (X13 to X16 in docs/exactly-once.md).
//
// It is an epoch of the new lineage without input. Its messages, in this order, in parts as any epoch:
//
//   1. a commit on the lineage's own subject, fenced by the last one there: closes that subject, so that no zombie of
//      the replay commits there any more
//   2. what the former owner's views publish of rows that go, for views that are not published as before
//   3. what the new owner's views publish of rows that differ
//   4. the cut-over marker
//   5. the commit on the owner's subject, fenced by the former owner's last commit
//
//   state of part 1      event                                next
//   -----------------    ---------------------------------    -----------------------------------------------------
//   sent                 landed                               the outputs are this lineage's; further parts follow
//   sent                 fenced, owner's last is another's    not done: the owner has gone on
//   sent                 unknown                              read the owner's subject: ours, the former's, another's
//   sent                 crash, landed                        recovery finds a takeover that lacks parts
//
// The state is not touched before part 1 has landed.
#include "processor/commit_reader.h"
#include "processor/semantics.h"
#include "processor/task_internal.h"

#include "base/logging.h"
#include "braid/v1/replay.pb-c.h"

#include <inttypes.h>
#include <stdio.h>

// What goes out, while it does.
struct takeover_run {
    struct br_task *task;
    const struct br_takeover *takeover;
    struct br_emit *former, *own;
    struct br_arena *arena;
    Braid__V1__Commit commit;
    Braid__V1__Takeover record;
    struct br_buffer closing, marker;
    struct br_log_message *messages;
    size_t count;
    uint64_t closing_fence;
};

static void add_messages(struct takeover_run *run, const struct br_log_message *messages, size_t count) {
    run->messages = br_realloc(run->messages, (run->count + count + 1) * sizeof *run->messages);
    if (count != 0)
        memcpy(run->messages + run->count, messages, count * sizeof *messages);
    run->count += count;
}

// An epoch without input and without changes: its digest chains on.
static void empty_epoch(struct br_task *task, uint64_t number) {
    task->emit_current ^= 1;
    struct br_emit *emit = task_emit(task);
    task->events.count = 0;
    br_emit_set_silent(emit, true);
    br_emit_begin(emit, number, &task->events);
    br_emit_finish(emit, "", task->digest);
    task->semantics = br_semantics();
    for (uint32_t i = 0; i < task->input_count; i++)
        task->inputs[i].messages = task->inputs[i].rows = task->inputs[i].quarantined = 0;
}

enum br_status task_apply_takeover(struct br_task *task, const Braid__V1__Commit *recorded, struct br_error *error) {
    empty_epoch(task, task->epoch + 1);
    uint64_t digest = br_emit_digest(task_emit(task));
    if (digest != recorded->digest)
        return br_error_set(error, BR_DATA,
                            "epoch %" PRIu64 " of pipeline %s, a takeover, can't be repeated: its digest is %016" PRIx64
                            ", the commit says %016" PRIx64,
                            (uint64_t)recorded->epoch, task->pipeline->name, digest, (uint64_t)recorded->digest);
    BR_TRY(br_graph_forget_held(task->graph, error));
    task->epoch++;
    task->digest = digest;
    task->clock.us = recorded->clock_us;
    task->clock_read = task->options.clock->mono(task->options.clock);
    task->lenient = false;
    task->follows = recorded->takeover->from_epoch;
    task->follows_sequence = recorded->takeover->from_sequence;
    snprintf(task->follows_lineage, sizeof task->follows_lineage, "%s", recorded->takeover->from_lineage);
    task->dirty_since_flush = true;
    br_state_end_epoch(task->state);
    return BR_OK;
}

// --- what goes out

static enum br_status make_corrections(struct takeover_run *run, struct br_error *error) {
    struct br_task *task = run->task;
    const struct br_takeover *takeover = run->takeover;
    size_t payload_max = br_log_payload_max(task->log);
    BR_TRY(br_emit_create(takeover->from_pipeline, task->options.lineage, payload_max, &run->former, error));
    BR_TRY(br_emit_create(task->pipeline, task->options.lineage, payload_max, &run->own, error));
    struct br_emit *emits[2] = {run->former, run->own};
    for (int e = 0; e < 2; e++) {
        br_emit_set_correction(emits[e], takeover->replay, takeover->from_lineage);
        br_emit_begin(emits[e], task->epoch + 1, &task->events);
    }
    task->events.count = 0;
    BR_TRY(takeover->corrections(takeover->context, br_emit_sink(run->former), br_emit_sink(run->own), error));
    br_emit_finish(run->former, "", 0);
    br_emit_finish(run->own, "", br_emit_digest(run->former));
    return BR_OK;
}

static void fill_blocks(struct takeover_run *run) {
    size_t count;
    const struct br_emit_block *blocks = br_emit_blocks(run->own, &count);
    run->commit.n_blocks = count;
    run->commit.blocks = br_arena_array(run->arena, Braid__V1__PackedBlock *, count);
    for (size_t i = 0; i < count; i++) {
        Braid__V1__PackedBlock *block = run->commit.blocks[i] = br_arena_new(run->arena, Braid__V1__PackedBlock);
        braid__v1__packed_block__init(block);
        block->view = (char *)blocks[i].view->name;
        block->rows.data = (uint8_t *)blocks[i].rows.ptr;
        block->rows.len = blocks[i].rows.len;
    }
}

static void fill_commit(struct takeover_run *run) {
    struct br_task *task = run->task;
    const struct br_takeover *takeover = run->takeover;
    empty_epoch(task, task->epoch + 1);
    task_fill_commit(task, &run->commit, run->arena);
    run->commit.epoch = task->epoch + 1;
    run->commit.digest = br_emit_digest(task_emit(task));
    run->commit.clock_us = task_reading(task, NULL).us;
    if (task->unfinished != NULL) // the parts that have landed say it
        run->commit.clock_us = task->unfinished->clock_us;
    braid__v1__takeover__init(&run->record);
    run->record.replay = (char *)takeover->replay;
    run->record.reason = (char *)takeover->reason;
    run->record.rollback = takeover->rollback;
    run->record.from_lineage = (char *)takeover->from_lineage;
    run->record.from_epoch = takeover->from_epoch;
    run->record.from_sequence = takeover->from_sequence;
    run->record.corrections = br_emit_rows(run->former) + br_emit_rows(run->own);
    run->record.digest = br_emit_digest(run->own);
    run->commit.takeover = &run->record;
    run->commit.lenient = false;
    run->commit.follows_epoch = takeover->from_epoch;
    run->commit.follows_sequence = takeover->from_sequence;
    run->commit.follows_lineage = (char *)takeover->from_lineage;
    for (uint32_t v = 0; v < task->pipeline->view_count; v++) {
        const struct br_view_counts *counts = br_emit_counts(run->own, v);
        run->commit.views[v]->upserts = counts->upserts;
        run->commit.views[v]->deletes = counts->deletes;
    }
    fill_blocks(run);
}

static void pack_marker(struct takeover_run *run) {
    const struct br_takeover *takeover = run->takeover;
    Braid__V1__CutOver marker;
    braid__v1__cut_over__init(&marker);
    marker.pipeline = (char *)run->task->pipeline->name;
    marker.replay = (char *)takeover->replay;
    marker.reason = (char *)takeover->reason;
    marker.from_lineage = (char *)takeover->from_lineage;
    marker.from_epoch = takeover->from_epoch;
    marker.to_lineage = (char *)run->task->options.lineage;
    marker.to_epoch = run->commit.epoch;
    marker.corrections = run->record.corrections;
    marker.rollback = takeover->rollback;
    size_t size = braid__v1__cut_over__get_packed_size(&marker);
    run->marker.len = braid__v1__cut_over__pack(&marker, br_buffer_reserve(&run->marker, size));
}

// The commit that closes the lineage's own subject: the takeover's, without what it publishes.
static void pack_closing(struct takeover_run *run) {
    Braid__V1__Commit closing = run->commit;
    closing.n_blocks = 0;
    size_t size = braid__v1__commit__get_packed_size(&closing);
    run->closing.len = braid__v1__commit__pack(&closing, br_buffer_reserve(&run->closing, size));
}

static void lay_out(struct takeover_run *run) {
    struct br_task *task = run->task;
    const char *name = task->pipeline->name;
    char own[320];
    br_task_lineage_subject(name, task->options.lineage, own, sizeof own);
    pack_closing(run);
    pack_marker(run);
    struct br_log_message closing = {.subject = br_slice_of(br_arena_strdup(run->arena, own)),
                                     .payload = br_buffer_slice(&run->closing),
                                     .fenced = true,
                                     .expected_sequence = run->closing_fence};
    struct br_log_message marker = {.subject = br_slice_of(br_arena_printf(run->arena, "braid.%s.cutover", name)),
                                    .payload = br_buffer_slice(&run->marker)};
    size_t count;
    add_messages(run, &closing, 1);
    const struct br_log_message *messages = br_emit_messages(run->former, &count);
    add_messages(run, messages, count);
    messages = br_emit_messages(run->own, &count);
    add_messages(run, messages, count);
    add_messages(run, &marker, 1);
}

// --- sending it

static void become_owner(struct br_task *task) {
    br_task_owner_subject(task->pipeline->name, task->commit_subject, sizeof task->commit_subject);
    task->options.role = BR_TASK_OWNER;
    task->options.publish_as = NULL;
    for (int e = 0; e < 2; e++)
        br_emit_set_publish_as(task->emits[e], NULL);
}

// Nothing has landed and the owner has gone on: as it was before.
static void step_back(struct br_task *task, uint64_t own_fence, struct fence_commit own_fence_commit) {
    br_task_lineage_subject(task->pipeline->name, task->options.lineage, task->commit_subject,
                            sizeof task->commit_subject);
    task->fence = own_fence;
    task->fence_commit = own_fence_commit;
    task->superseded_by[0] = '\0';
}

// Not inlined: gcc 14 makes a conditional move of it in send_all, which reads through the null pointer.
__attribute__((noinline)) static uint32_t parts_sent(const struct br_task *task) {
    return task->unfinished == NULL ? 0 : task->unfinished->part;
}

static enum br_status send_all(struct takeover_run *run, bool *ret_done, struct br_error *error) {
    struct br_task *task = run->task;
    struct outputs outputs = {run->messages, run->count};
    struct fence_commit own_fence_commit = task->fence_commit;
    uint64_t own_fence = task->fence, last_before = task->last_commit;
    bool resumed = task->unfinished != NULL;
    uint32_t first_part = parts_sent(task) + 1;
    if (!resumed) {
        br_task_owner_subject(task->pipeline->name, task->commit_subject, sizeof task->commit_subject);
        task->fence = run->takeover->from_sequence;
        task->fence_commit = (struct fence_commit){task->fence, run->takeover->from_epoch, 0};
    }
    enum br_status status = task_send_outputs(task, &run->commit, &outputs, first_part, error);
    if (status == BR_OK)
        status = task_await(task, error);
    *ret_done = status == BR_OK;
    if (status == BR_FATAL && !resumed && task->last_commit == last_before && task->superseded_by[0] != '\0') {
        step_back(task, own_fence, own_fence_commit);
        return BR_OK;
    }
    return status;
}

// The rest of a takeover must be the same rows in the same order as its first parts.
static enum br_status check_resumed(const struct takeover_run *run, struct br_error *error) {
    const Braid__V1__Commit *unfinished = run->task->unfinished;
    if (unfinished == NULL)
        return BR_OK;
    const Braid__V1__Takeover *before = unfinished->takeover;
    if (before->digest == run->record.digest && before->corrections == run->record.corrections &&
        unfinished->digest == run->commit.digest)
        return BR_OK;
    return br_error_set(error, BR_FATAL,
                        "the takeover of pipeline %s by lineage %s (epoch %" PRIu64 ") can't be ended: the rows that "
                        "differ from lineage %s at its epoch %" PRIu64 " are not those of its first %u parts",
                        run->task->pipeline->name, run->task->options.lineage, (uint64_t)unfinished->epoch,
                        before->from_lineage, (uint64_t)before->from_epoch, unfinished->part);
}

static enum br_status take_over(struct takeover_run *run, bool *ret_done, struct br_error *error) {
    struct br_task *task = run->task;
    BR_TRY(make_corrections(run, error));
    fill_commit(run);
    BR_TRY(check_resumed(run, error));
    lay_out(run);
    BR_TRY(send_all(run, ret_done, error));
    if (!*ret_done)
        return BR_OK;
    BR_TRY(task_apply_takeover(task, &run->commit, error));
    become_owner(task);
    br_commit_cleanup(&task->unfinished);
    BR_CHECK(task->committed_epoch == task->epoch);
    br_log_line(BR_LEVEL_INFO, "outputs taken over", BR_STR("pipeline", task->pipeline->name),
                BR_STR("lineage", task->options.lineage), BR_STR("from", run->takeover->from_lineage),
                BR_INT("from_epoch", run->takeover->from_epoch), BR_INT("epoch", task->epoch),
                BR_INT("corrections", run->record.corrections));
    return BR_OK;
}

enum br_status br_task_take_over(struct br_task *task, const struct br_takeover *takeover, bool *ret_done,
                                 struct br_error *error) {
    BR_CHECK(task->options.role == (task->unfinished != NULL ? BR_TASK_OWNER : BR_TASK_REPLAY));
    BR_CHECK(!br_task_sleeps(task));
    *ret_done = false;
    BR_TRY(task_settle(task, error));
    struct takeover_run run = {
        .task = task, .takeover = takeover, .arena = br_arena_create(), .closing_fence = task->fence};
    enum br_status status = take_over(&run, ret_done, error);
    br_emit_destroy(&run.former);
    br_emit_destroy(&run.own);
    br_buffer_free(&run.closing);
    br_buffer_free(&run.marker);
    free(run.messages);
    br_arena_destroy(&run.arena);
    return status;
}

const Braid__V1__Takeover *br_task_unfinished_takeover(const struct br_task *task) {
    return task->unfinished == NULL ? NULL : task->unfinished->takeover;
}
