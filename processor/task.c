// SPDX-License-Identifier: Apache-2.0
// The epoch loop: fetch, decode, gate, operate, emit, commit. Begin at br_task_step and read down.
//
// Everything here is deterministic given the plan of an epoch (which messages, which clock reading): live and recovery
// run the same task_compute, only the plan comes from a choice (fetch.c) or from a commit (recover.c).
// docs/exactly-once.md numbers the invariants.
#include "processor/semantics.h"
#include "processor/task_internal.h"

#include "base/logging.h"
#include "processor/gate.h"

#include <inttypes.h>
#include <stdio.h>

#define EPOCH_MESSAGES_MAX 65536
#define BEYOND_TRIED 4          // times as many messages, while that makes an epoch no dearer
#define BEYOND_GROWTH_MAX 1.5   // which it does when its cost grows by more than this factor
#define BEYOND_MESSAGES_MAX 256 // of an epoch that is beyond a bound
#define STEPS_AHEAD_MAX 16      // epochs in a row computed while a commit was outstanding; then requests get their turn
#define BACK_OFF_FIRST_US 1000
#define BACK_OFF_MAX_US 1000000
#define SLOW_TRY_US BR_US_PER_SECOND // a try that took longer is told of at once
#define BOUND_WAIT_US 20000

// --- the loop

static bool timers_due(struct br_task *task);
static enum br_status rows_due(struct br_task *task, bool *ret_due, struct br_error *error);
static bool flush_due(const struct br_task *task);
static void adapt(struct br_task *task, struct br_mono_time began);

// A replay gives nothing out, unless it is asked to publish under its own name.
static bool quiet(const struct br_task *task) {
    return task->options.role != BR_TASK_OWNER && task->options.publish_as == NULL;
}

// Somebody has asked to take over: whether that has happened is looked at until the time is over.
static enum br_status wait_out_hold(struct br_task *task, struct br_error *error) {
    task->held = task->options.clock->mono(task->options.clock).us < task->hold_until.us;
    return task_check_owner(task, error);
}

enum br_status br_task_step(struct br_task *task, bool *ret_worked, struct br_error *error) {
    *ret_worked = false;
    task_end_try(task);
    task_watch(task);
    task->tried_us = task->options.clock->mono(task->options.clock).us;
    if (task->queued[task->queued_current].count != 0) // of br_task_repeat
        BR_TRY(task_settle(task, error));
    if (task->outstanding.waiting &&
        (br_log_append_ready(task->log) || flush_due(task) || ++task->steps_ahead > STEPS_AHEAD_MAX))
        BR_TRY(task_await(task, error));
    if (!task->outstanding.waiting) {
        task->steps_ahead = 0;
        BR_TRY(task_serve(task, error));
        BR_TRY(task_flush_when_due(task, error));
        if (task->held)
            return wait_out_hold(task, error);
    }

    BR_TRY(task_choose(task, error)); // fetch
    if (task->outstanding.waiting && !task->plan.full) {
        // Group commit: what arrives while a commit is under way goes into one epoch. Only a full epoch is computed
        // ahead.
        *ret_worked = true;
        return task_await(task, error);
    }
    bool due = task->plan.messages != 0 || task->end_of_time || timers_due(task);
    if (!due)
        BR_TRY(rows_due(task, &due, error));
    if (!due)
        return BR_OK;
    *ret_worked = true;
    struct br_mono_time began = task->options.clock->mono(task->options.clock);
    task->emit_current ^= 1;                        // the other one's messages may be outstanding
    BR_TRY(task_compute(task, quiet(task), error)); // decode, gate, operate, emit
    adapt(task, began);
    BR_TRY(task_await(task, error));
    return task_send(task, 1, error); // commit
}

// What this lineage has and the other has not is read up to the other's clock, in epochs of its own.
static enum br_status read_what_base_lacks(struct br_task *task, const Braid__V1__Commit *base,
                                           struct br_error *error) {
    bool any = false;
    for (uint32_t i = 0; i < task->input_count; i++) {
        any |= task_base_position(task, i, base) == NULL;
        task->inputs[i].stop = task_base_position(task, i, base) == NULL ? UINT64_MAX : task->inputs[i].covered;
    }
    task->limit_us = base->clock_us;
    for (task->plan.at_bound = !any; !task->plan.at_bound && !task_stopping(task);) {
        bool worked;
        BR_TRY(br_task_step(task, &worked, error));
        if (!worked && !task->plan.at_bound)
            br_log_wait(task->log, BOUND_WAIT_US);
    }
    br_task_bound(task, NULL, INT64_MAX);
    return BR_OK;
}

enum br_status br_task_repeat(struct br_task *task, const Braid__V1__Commit *base, uint64_t sequence,
                              struct br_error *error) {
    BR_TRY(read_what_base_lacks(task, base, error));
    BR_TRY(flush_due(task) ? task_settle(task, error) : task_send_queued(task, error));
    BR_TRY(task_flush_when_due(task, error));
    BR_TRY(task_fetch_base(task, base, sequence, error));
    task->emit_current ^= 1;
    BR_TRY(task_compute(task, quiet(task), error));
    if (quiet(task))
        return task_queue(task, error);
    BR_TRY(task_await(task, error));
    return task_send(task, 1, error);
}

enum br_status br_task_send_waiting(struct br_task *task, struct br_error *error) {
    return task_send_queued(task, error);
}

void br_task_end_tap(struct br_task *task) {
    task->options.tap = NULL;
}

void br_task_bound(struct br_task *task, const uint64_t *stops, int64_t limit_us) {
    for (uint32_t i = 0; i < task->input_count; i++)
        task->inputs[i].stop = stops == NULL ? UINT64_MAX : stops[i];
    task->limit_us = limit_us;
    task->plan.at_bound = false;
}

void br_task_choose_to(struct br_task *task, enum br_task_watermarks watermarks, bool lenient) {
    task->wants_watermarks = watermarks;
    task->wants_lenient = lenient;
}

bool br_task_at_bound(const struct br_task *task) {
    return task->plan.at_bound;
}

// --- computing an epoch

static enum br_status take_rows(void *context, const struct br_table *table, const struct br_batch *batch,
                                struct br_error *error);
static enum br_status reject_event(void *context, const struct br_table *table, uint32_t origin, const char *reason,
                                   const char *detail, struct br_error *error);

// When an event of the epoch came in.
static struct br_moment moment_of(const void *context, uint32_t origin) {
    const struct br_task *task = context;
    const struct br_event *event = &task->events.list[origin];
    const struct task_input *input = &task->inputs[event->table->index];
    return br_message_moment(event->message, input->stream_number, input->prehistory);
}

static struct br_epoch epoch_of(struct br_task *task) {
    return (struct br_epoch){.number = task->plan.number,
                             .now = task->plan.clock,
                             .watermarks_before = task->watermarks_before,
                             .watermarks_after = task->watermarks_after,
                             .arena = task->epoch_arena,
                             .moment = moment_of,
                             .moment_context = task,
                             .by_old_rules = task->semantics == 0};
}

// A quiet subject's position follows the stream, so that what others wrote may expire without looking like a hole.
static void note_covered(struct br_task *task, uint32_t i) {
    struct task_input *input = &task->inputs[i];
    size_t count = task->plan.take[i];
    uint64_t covered = count == 0 ? input->covered : task->plan.first[i][count - 1].sequence;
    if (task->plan.recorded != NULL)
        covered = task->plan.recorded->inputs[i]->covered_sequence;
    else if (count == task->counts[i] && input->shown_covered > covered)
        covered = input->shown_covered;
    if (covered > input->covered)
        input->covered = covered;
}

// What a sleeping input would have read has been read by the lineage that is repeated.
static void pass_over(struct br_task *task, uint32_t i) {
    struct task_input *input = &task->inputs[i];
    const Braid__V1__InputPosition *position = task->plan.passes[i];
    input->messages = input->first_sequence = input->rows = 0;
    if (position == NULL || position->last_sequence < input->last_sequence)
        return;
    input->prehistory = position->prehistory;
    input->messages = position->messages;
    input->first_sequence = position->first_sequence;
    input->last_sequence = position->last_sequence;
    input->covered = position->covered_sequence;
    input->event_time_max.us = position->event_time_max_us;
    task_note_last(input, position);
    input->trail.youngest_us = BR_TRAIL_YOUNGEST_UNKNOWN;
    if (position->watermark_us > task->watermarks_after[i].us)
        task->watermarks_after[i].us = position->watermark_us;
}

static enum br_status run_input(struct br_task *task, uint32_t i, struct br_error *error) {
    struct task_input *input = &task->inputs[i];
    if (input->asleep) {
        pass_over(task, i);
        return BR_OK;
    }
    size_t count = task->plan.take[i];
    const struct br_log_message *messages = task->plan.first[i];
    input->messages = count;
    input->first_sequence = count == 0 ? 0 : messages[0].sequence;
    input->rows = input->quarantined = 0;
    note_covered(task, i);
    if (count == 0)
        return BR_OK;
    task->oldest_us = messages[0].timestamp.us < task->oldest_us ? messages[0].timestamp.us : task->oldest_us;
    BR_CHECK(messages[0].sequence > input->last_sequence);
    struct br_intake intake = {task, take_rows, reject_event};
    br_input_set_lenient(input->input, task->plan.lenient);
    br_input_set_semantics(input->input, task->semantics);
    BR_TRY(br_input_run(input->input, messages, count, task->plan.clock, &task->events, &intake, &input->event_time_max,
                        &input->rows, error));
    input->last_sequence = messages[count - 1].sequence;
    br_trail_take(&input->trail, messages, count);
    br_reader_consume(input->reader, count);
    return BR_OK;
}

static bool watermarks_stand(const struct br_task *task) {
    return task->wants_watermarks == BR_WATERMARKS_STAND ||
           (task->wants_watermarks == BR_WATERMARKS_MOVE_IF_REPEATED && !task->plan.repeats);
}

// Where another lineage's commit has it: that one may have chosen to let it stand.
static bool follows_repeated(const struct br_task *task, uint32_t i, struct br_event_time *watermark) {
    const Braid__V1__InputPosition *position = task->plan.passes[i];
    if (task->wants_watermarks != BR_WATERMARKS_AS_REPEATED || !task->plan.repeats || position == NULL)
        return false;
    if (position->watermark_us > watermark->us)
        watermark->us = position->watermark_us;
    return true;
}

// Watermarks move here and nowhere else: at the end of an epoch, never back.
static void move_watermarks(struct br_task *task) {
    bool stand = watermarks_stand(task);
    for (uint32_t i = 0; i < task->input_count; i++) {
        struct br_event_time *watermark = &task->watermarks_after[i];
        int64_t highest_us = task->inputs[i].event_time_max.us, moved_us;
        if (task->plan.recorded != NULL)
            watermark->us = task->plan.recorded->inputs[i]->watermark_us;
        else if (task->plan.end_of_time)
            watermark->us = BR_EVENT_TIME_MAX;
        else if (follows_repeated(task, i, watermark))
            continue;
        else if (!task->inputs[i].asleep && !stand && highest_us != BR_EVENT_TIME_MIN &&
                 !__builtin_sub_overflow(highest_us, task->inputs[i].table->watermark_delay_us, &moved_us) &&
                 moved_us > watermark->us)
            watermark->us = moved_us;
        BR_CHECK(watermark->us >= task->watermarks_before[i].us);
    }
}

// As the stream numbers them; "import:7" is the seventh event of what was imported before its first.
static void describe_sequence(const struct task_input *input, uint64_t sequence, struct br_buffer *text) {
    bool imported = sequence <= input->prehistory;
    br_buffer_printf(text, "%s%" PRIu64, imported ? "import:" : "", sequence - (imported ? 0 : input->prehistory));
}

static void describe_range(const struct task_input *input, struct br_buffer *text) {
    br_buffer_printf(text, "%s%s=", text->len == 0 ? "" : ",", input->table->name);
    describe_sequence(input, input->first_sequence, text);
    br_buffer_append_byte(text, '-');
    describe_sequence(input, input->last_sequence, text);
}

static void describe_inputs(const struct br_task *task, struct br_buffer *text) {
    for (uint32_t i = 0; i < task->input_count; i++) {
        const struct task_input *input = &task->inputs[i];
        if (input->messages != 0)
            describe_range(input, text);
    }
    *br_buffer_reserve(text, 1) = '\0';
}

static void add_totals(struct br_task *task) {
    const struct br_emit *emit = task_emit(task);
    for (uint32_t i = 0; i < task->input_count; i++) {
        struct task_input *input = &task->inputs[i];
        input->quarantined = br_emit_quarantined(emit, i);
        input->messages_total += input->messages;
        input->rows_total += input->rows;
        input->quarantined_total += input->quarantined;
        input->ahead_total += input->ahead;
        input->ahead = 0;
        task->totals.messages += input->messages;
        task->totals.quarantined += input->quarantined;
    }
    for (uint32_t v = 0; v < task->pipeline->view_count; v++) {
        const struct br_view_counts *counts = br_emit_counts(emit, v);
        task->totals.view_rows[v] += counts->upserts + counts->deletes;
        task->totals.view_late[v] += counts->late;
        task->totals.view_failed[v] += counts->failed;
        task->totals.late += counts->late;
        task->totals.failed += counts->failed;
    }
    task->totals.rows_out += br_emit_rows(emit);
}

enum br_status task_compute(struct br_task *task, bool silent, struct br_error *error) {
    BR_CHECK(task->plan.number == task->epoch + 1);
    struct br_emit *emit = task_emit(task);
    br_arena_reset(task->epoch_arena);
    task->events.count = 0;
    task->oldest_us = INT64_MAX;
    task->semantics = task->plan.recorded != NULL ? task->plan.recorded->semantics : br_semantics();
    br_emit_set_silent(emit, silent);
    br_emit_begin(emit, task->plan.number, &task->events);
    memcpy(task->watermarks_before, task->watermarks_after, task->input_count * sizeof *task->watermarks_before);
    for (uint32_t o = 0; o < task->input_count; o++)
        BR_TRY(run_input(task, task->order[o], error));
    move_watermarks(task);
    struct br_epoch epoch = epoch_of(task);
    BR_TRY(br_graph_end_epoch(task->graph, &epoch, error));

    struct br_buffer BR_CLEANUP(br_buffer_free) inputs = {0};
    describe_inputs(task, &inputs);
    br_emit_finish(emit, (const char *)inputs.ptr, task->digest);
    for (uint32_t i = 0; i < task->input_count; i++)
        if (task->plan.take[i] != 0)
            br_reader_release(task->inputs[i].reader);
    br_state_end_epoch(task->state);
    task->epoch = task->plan.number;
    task->clock = task->plan.clock;
    task->clock_read = task->plan.clock_read;
    task->digest = br_emit_digest(emit);
    task->lenient = task->plan.lenient;
    task->follows = task->plan.follows;
    task->follows_sequence = task->plan.follows_sequence;
    if (task->plan.follows_lineage != task->follows_lineage)
        snprintf(task->follows_lineage, sizeof task->follows_lineage, "%s", task->plan.follows_lineage);
    task->dirty_since_flush = true;
    task->timers_pending = task->plan.messages != 0;
    if (task->plan.end_of_time)
        task->end_of_time = false;
    add_totals(task);
    return BR_OK;
}

static enum br_status take_rows(void *context, const struct br_table *table, const struct br_batch *batch,
                                struct br_error *error) {
    struct br_task *task = context;
    if (!table->read)
        return BR_OK;
    struct br_epoch epoch = epoch_of(task);
    return br_graph_push(task->graph, table->index, batch, &epoch, error);
}

// Each task has two emits; the graph's sink passes on to the one of this epoch.
static enum br_status reject_event(void *context, const struct br_table *table, uint32_t origin, const char *reason,
                                   const char *detail, struct br_error *error) {
    struct br_task *task = context;
    task->inputs[table->index].ahead += br_gate_is_ahead(reason, detail);
    return br_emit_reject(task_emit(task), table, origin, reason, detail, error);
}

static enum br_status sink_rows(void *context, const struct br_view *view, const struct br_batch *batch,
                                struct br_error *error) {
    const struct br_sink *sink = br_emit_sink(task_emit(context));
    const struct br_tap *tap = ((struct br_task *)context)->options.tap;
    if (tap != NULL)
        BR_TRY(tap->rows(tap->context, view, batch, error));
    return sink->rows(sink->context, view, batch, error);
}

static enum br_status sink_changes(void *context, const struct br_view *view, const struct br_change *changes,
                                   size_t count, struct br_error *error) {
    const struct br_sink *sink = br_emit_sink(task_emit(context));
    return sink->changes(sink->context, view, changes, count, error);
}

static enum br_status sink_net(void *context, const struct br_view *view, const struct br_change *changes, size_t count,
                               struct br_error *error) {
    const struct br_tap *tap = ((struct br_task *)context)->options.tap;
    return tap == NULL ? BR_OK : tap->changes(tap->context, view, changes, count, error);
}

static enum br_status sink_late(void *context, const struct br_view *view, const struct br_node *node,
                                const struct br_batch *batch, uint32_t row, struct br_event_time window_start,
                                struct br_event_time window_end, int64_t late_by_us, struct br_error *error) {
    const struct br_sink *sink = br_emit_sink(task_emit(context));
    return sink->late(sink->context, view, node, batch, row, window_start, window_end, late_by_us, error);
}

static enum br_status sink_failed(void *context, const struct br_view *view, const struct br_node *node,
                                  const struct br_batch *batch, uint32_t row, const char *message,
                                  struct br_error *error) {
    const struct br_sink *sink = br_emit_sink(task_emit(context));
    return sink->failed(sink->context, view, node, batch, row, message, error);
}

struct br_sink task_sink(struct br_task *task) {
    return (struct br_sink){.context = task,
                            .rows = sink_rows,
                            .changes = sink_changes,
                            .late = sink_late,
                            .failed = sink_failed,
                            .net = task->options.tap != NULL ? sink_net : NULL};
}

// --- rhythm

// Views with emit_interval hold changes back: an epoch without input lets them out when their time has come.
static bool timers_due(struct br_task *task) {
    if (!task->timers_pending)
        return false;
    int64_t longest_us = 0;
    for (uint32_t v = 0; v < task->pipeline->view_count; v++)
        if (task->pipeline->views[v].emit_interval_us > longest_us)
            longest_us = task->pipeline->views[v].emit_interval_us;
    if (longest_us == 0)
        return false;
    struct br_wall_time now =
        task->options.role == BR_TASK_OWNER ? task_reading(task, NULL) : task->options.clock->wall(task->options.clock);
    return now.us - task->clock.us >= longest_us;
}

// An aggregate without groups has its row before there is any input: the owner's lineage begins with an epoch that has
// none. A replay always repeats one.
static enum br_status rows_due(struct br_task *task, bool *ret_due, struct br_error *error) {
    if (task->rows_known || !task->plan.idle || task->options.role != BR_TASK_OWNER)
        return BR_OK;
    BR_TRY(br_graph_lacks_rows(task->graph, ret_due, error));
    task->rows_known = !*ret_due;
    return BR_OK;
}

// An epoch was beyond a bound. Fewer messages make the next one smaller, unless it is one message that costs so much (a
// row that many are joined with has changed): then it costs as much however few go with it, and what waits (further
// changes of that row, mostly) is better taken with it. So more are tried, and it is gone back when that costs more in
// turn.
static uint64_t limit_beyond(struct br_task *task, double cost, uint64_t fitting) {
    uint64_t messages = task->plan.messages, before = task->beyond.messages;
    bool larger = before != 0 && messages >= 2 * before, dear = larger && cost > BEYOND_GROWTH_MAX * task->beyond.cost;
    task->beyond.messages = 0;
    task->beyond.wait -= task->beyond.wait != 0;
    if (dear) {
        task->beyond.pause = task->beyond.pause == 0 ? 1 : task->beyond.pause < 64 ? 2 * task->beyond.pause : 64;
        task->beyond.wait = task->beyond.pause;
        return before;
    }
    if (!larger && (messages > 1 || task->beyond.wait != 0))
        return fitting;
    if (larger)
        task->beyond.pause = 0;
    task->beyond.messages = messages;
    task->beyond.cost = cost;
    return BEYOND_TRIED * messages < BEYOND_MESSAGES_MAX ? BEYOND_TRIED * messages : BEYOND_MESSAGES_MAX;
}

// Epochs as large as fit one atomic batch and the time bound, as far as the last one tells.
static void adapt(struct br_task *task, struct br_mono_time began) {
    int64_t took_us = task->options.clock->mono(task->options.clock).us - began.us;
    size_t outputs;
    br_emit_messages(task_emit(task), &outputs);
    if (task->options.epoch_messages != 0)
        return;
    uint64_t limit = task->epoch_limit;
    double size = (double)outputs / TASK_BATCH_OUTPUTS_MAX,
           time = (double)took_us / (double)task->options.epoch_time_us;
    if (size > 1)
        limit = limit_beyond(task, size > time ? size : time,
                             task->plan.messages * (TASK_BATCH_OUTPUTS_MAX * 9 / 10) / outputs);
    else if (time > 1)
        limit = limit_beyond(task, time, task->plan.messages / 2);
    else if (task->plan.full && outputs < TASK_BATCH_OUTPUTS_MAX / 2 && took_us < task->options.epoch_time_us / 2)
        limit *= 2;
    if (size <= 1 && time <= 1)
        task->beyond.messages = 0;
    task->epoch_limit = (uint32_t)(limit < 1 ? 1 : limit > EPOCH_MESSAGES_MAX ? EPOCH_MESSAGES_MAX : limit);
}

enum br_status task_flush(struct br_task *task, struct br_error *error) {
    BR_CHECK(!task->outstanding.waiting &&
             task->committed_epoch == task->epoch); // X10: only committed state reaches the store
    if (!task->dirty_since_flush)
        return BR_OK;
    uint8_t fence[8];
    br_be64_put(fence, task->last_commit);
    task_record(task, &task->flush_record);
    br_state_meta_put(task->state, "commit", br_buffer_slice(&task->flush_record));
    br_state_meta_put(task->state, "fence", (struct br_slice){fence, sizeof fence});
    br_store_note(br_state_store(task->state), task->epoch, task->digest);
    BR_TRY(br_state_flush(task->state, task->epoch, error));
    task->dirty_since_flush = false;
    task->flushed_at = task->options.clock->mono(task->options.clock);
    return BR_OK;
}

static bool flush_due(const struct br_task *task) {
    if (!task->dirty_since_flush)
        return false;
    int64_t since_us = task->options.clock->mono(task->options.clock).us - task->flushed_at.us;
    return (task->options.flush_interval_us >= 0 && since_us >= task->options.flush_interval_us) ||
           br_state_wants_flush(task->state);
}

enum br_status task_flush_when_due(struct br_task *task, struct br_error *error) {
    return task->committed_epoch == task->epoch && flush_due(task) ? task_flush(task, error) : BR_OK;
}

bool task_try_again(struct br_task *task, enum br_status status, struct br_error *error) {
    const struct br_clock *clock = task->options.clock;
    if (!br_log_may_pass(status, error))
        return false;
    if (task_stopping(task)) {
        br_error_context(error, "stopped while the log of pipeline %s couldn't be used", task->pipeline->name);
        error->status = BR_RETRY;
        return false;
    }
    int64_t wait_us = task->retries < 10 ? (int64_t)BACK_OFF_FIRST_US << task->retries : BACK_OFF_MAX_US;
    task->retries++;
    task_note_try(task, error, clock->mono(clock).us - task->tried_us >= SLOW_TRY_US);
    task_watch(task);
    task_serve_meanwhile(task, error->message);
    br_log_wait(task->log, wait_us);
    task->tried_us = clock->mono(clock).us;
    return true;
}

enum br_status br_task_settle(struct br_task *task, struct br_error *error) {
    return task_settle(task, error);
}

enum br_status br_task_stop(struct br_task *task, struct br_error *error) {
    BR_TRY(task_settle(task, error));
    return task_flush(task, error);
}

void br_task_end_of_time(struct br_task *task) {
    task->end_of_time = true;
}
