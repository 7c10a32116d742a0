// SPDX-License-Identifier: Apache-2.0
// The epoch loop: fetch, decode, gate, operate, emit, commit. Begin at br_task_step and read down.
//
// Everything here is deterministic given the plan of an epoch (which messages, which clock reading): live and recovery
// run the same task_compute, only the plan comes from a choice (fetch.c) or from a commit (recover.c).
// docs/exactly-once.md numbers the invariants.
#include "processor/commit_reader.h"
#include "processor/task_internal.h"

#include "base/logging.h"
#include "processor/subject.h"

#include <inttypes.h>
#include <stdio.h>

#define STATE_BUDGET_DEFAULT ((size_t)256 << 20)
#define EPOCH_TIME_DEFAULT_US 100000
#define FLUSH_INTERVAL_DEFAULT_US 5000000
#define EPOCH_MESSAGES_FIRST 900
#define EPOCH_MESSAGES_MAX 65536
#define STEPS_AHEAD_MAX 16 // epochs in a row computed while a commit was outstanding; then requests get their turn
#define BACK_OFF_FIRST_US 1000
#define BACK_OFF_MAX_US 1000000
#define TELL_EVERY_RETRIES 16
#define BOUND_WAIT_US 20000

// --- the loop

static bool timers_due(const struct br_task *task);
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
    if (task->plan.messages == 0 && !task->end_of_time && !timers_due(task))
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
    if (task->outstanding.waiting && (br_log_append_ready(task->log) || flush_due(task)))
        BR_TRY(task_await(task, error));
    BR_TRY(task_flush_when_due(task, error));
    BR_TRY(task_fetch_base(task, base, sequence, error));
    task->emit_current ^= 1;
    BR_TRY(task_compute(task, quiet(task), error));
    BR_TRY(task_await(task, error));
    return task_send(task, 1, error);
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

static struct br_epoch epoch_of(struct br_task *task) {
    return (struct br_epoch){.number = task->plan.number,
                             .now = task->plan.clock,
                             .watermarks_before = task->watermarks_before,
                             .watermarks_after = task->watermarks_after,
                             .arena = task->epoch_arena};
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

static enum br_status run_input(struct br_task *task, uint32_t i, struct br_error *error) {
    struct task_input *input = &task->inputs[i];
    size_t count = task->plan.take[i];
    const struct br_log_message *messages = task->plan.first[i];
    input->messages = count;
    input->first_sequence = count == 0 ? 0 : messages[0].sequence;
    input->rows = input->quarantined = 0;
    note_covered(task, i);
    if (count == 0)
        return BR_OK;
    BR_CHECK(messages[0].sequence > input->last_sequence);
    struct br_intake intake = {task, take_rows, reject_event};
    br_input_set_lenient(input->input, task->plan.lenient);
    BR_TRY(br_input_run(input->input, messages, count, task->plan.clock, &task->events, &intake, &input->event_time_max,
                        &input->rows, error));
    input->last_sequence = messages[count - 1].sequence;
    br_reader_consume(input->reader, count);
    return BR_OK;
}

static bool watermarks_stand(const struct br_task *task) {
    return task->wants_watermarks == BR_WATERMARKS_STAND ||
           (task->wants_watermarks == BR_WATERMARKS_MOVE_IF_REPEATED && task->plan.follows == 0);
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
        else if (!stand && highest_us != BR_EVENT_TIME_MIN &&
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
        if (task->inputs[i].messages != 0)
            br_reader_release(task->inputs[i].reader);
    br_state_end_epoch(task->state);
    task->epoch = task->plan.number;
    task->clock = task->plan.clock;
    task->digest = br_emit_digest(emit);
    task->lenient = task->plan.lenient;
    task->follows = task->plan.follows;
    task->follows_sequence = task->plan.follows_sequence;
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
    return br_emit_reject(task_emit(context), table, origin, reason, detail, error);
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

// --- rhythm

// Views with emit_interval hold changes back: an epoch without input lets them out when their time has come.
static bool timers_due(const struct br_task *task) {
    if (!task->timers_pending)
        return false;
    int64_t longest_us = 0;
    for (uint32_t v = 0; v < task->pipeline->view_count; v++)
        if (task->pipeline->views[v].emit_interval_us > longest_us)
            longest_us = task->pipeline->views[v].emit_interval_us;
    return longest_us != 0 && task->options.clock->wall(task->options.clock).us - task->clock.us >= longest_us;
}

// Epochs as large as fit one atomic batch and the time bound, as far as the last one tells.
static void adapt(struct br_task *task, struct br_mono_time began) {
    int64_t took_us = task->options.clock->mono(task->options.clock).us - began.us;
    size_t outputs;
    br_emit_messages(task_emit(task), &outputs);
    if (task->options.epoch_messages != 0)
        return;
    uint64_t limit = task->epoch_limit;
    if (outputs > TASK_BATCH_OUTPUTS_MAX)
        limit = task->plan.messages * (TASK_BATCH_OUTPUTS_MAX * 9 / 10) / outputs;
    else if (took_us > task->options.epoch_time_us)
        limit = task->plan.messages / 2;
    else if (task->plan.full && outputs < TASK_BATCH_OUTPUTS_MAX / 2 && took_us < task->options.epoch_time_us / 2)
        limit *= 2;
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
    if (status != BR_RETRY)
        return false;
    if (task_stopping(task)) {
        br_error_context(error, "stopped while the log of pipeline %s couldn't be used", task->pipeline->name);
        return false;
    }
    int64_t wait_us = task->retries < 10 ? (int64_t)BACK_OFF_FIRST_US << task->retries : BACK_OFF_MAX_US;
    if (task->retries++ % TELL_EVERY_RETRIES == TELL_EVERY_RETRIES / 2)
        br_log_line(BR_LEVEL_WARN, "the log can't be used; trying again", BR_STR("pipeline", task->pipeline->name),
                    BR_STR("why", error->message));
    br_log_wait(task->log, wait_us);
    return true;
}

enum br_status br_task_settle(struct br_task *task, struct br_error *error) {
    return task_await(task, error);
}

enum br_status br_task_stop(struct br_task *task, struct br_error *error) {
    BR_TRY(task_await(task, error));
    return task_flush(task, error);
}

void br_task_end_of_time(struct br_task *task) {
    task->end_of_time = true;
}

// --- life

void br_task_output_stream(const char *pipeline, char *name, size_t size) {
    snprintf(name, size, "BRAID_%s", pipeline);
}

void br_task_owner_subject(const char *pipeline, char *subject, size_t size) {
    snprintf(subject, size, "braid.%s.commit.0", pipeline);
}

void br_task_lineage_subject(const char *pipeline, const char *lineage, char *subject, size_t size) {
    snprintf(subject, size, "braid.%s.commit.%s.0", pipeline, lineage);
}

void br_task_commits_filter(const char *pipeline, char *subject, size_t size) {
    snprintf(subject, size, "braid.%s.commit.>", pipeline);
}

static enum br_status open_output(struct br_task *task, struct br_error *error) {
    const struct br_pipeline *pipeline = task->pipeline;
    const char **subjects = br_calloc(pipeline->view_count + 1, sizeof *subjects);
    struct br_buffer *filters = br_calloc(pipeline->view_count + 1, sizeof *filters);
    char own[300], prefix[300];
    snprintf(own, sizeof own, "braid.%s.>", pipeline->name);
    snprintf(prefix, sizeof prefix, "braid.%s.", pipeline->name);
    size_t count = 0;
    subjects[count++] = own;
    for (uint32_t v = 0; v < pipeline->view_count; v++) {
        br_subject_filter(pipeline->views[v].subject, &filters[v]);
        const char *filter = (const char *)filters[v].ptr;
        bool seen = strncmp(filter, prefix, strlen(prefix)) == 0;
        for (size_t s = 0; s < count && !seen; s++)
            seen = strcmp(subjects[s], filter) == 0;
        if (!seen)
            subjects[count++] = filter;
    }
    struct br_output_options options = {.subjects = subjects,
                                        .subject_count = count,
                                        .replicas = task->options.output_replicas,
                                        .memory = task->options.output_memory};
    struct br_stream_info info;
    enum br_status status;
    do
        status = br_log_ensure_output(task->log, task->stream, &options, &info, error);
    while (task_try_again(task, status, error));
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        br_buffer_free(&filters[v]);
    free(filters);
    free(subjects);
    return status;
}

enum br_status task_open_state(struct br_task *task, bool set_aside, struct br_error *error) {
    static const struct br_sink forward = {
        .rows = sink_rows, .changes = sink_changes, .late = sink_late, .failed = sink_failed};
    br_graph_destroy(&task->graph);
    br_state_destroy(&task->state);
    struct br_store *store;
    BR_TRY(task->options.open_store(task->options.store_context, set_aside, &store, error));
    BR_TRY(br_state_create(store, task->options.state_budget_bytes, &task->state, error));
    struct br_sink sink = forward;
    sink.context = task;
    if (task->options.tap != NULL)
        sink.net = sink_net;
    return br_graph_create(task->pipeline, task->state, &sink, &task->graph, error);
}

static enum br_status open_input(struct br_task *task, uint32_t i, struct br_error *error) {
    struct task_input *input = &task->inputs[i];
    input->table = &task->pipeline->tables[i];
    input->event_time_max.us = BR_EVENT_TIME_MIN;
    task->watermarks_after[i].us = task->watermarks_before[i].us = BR_EVENT_TIME_MIN;
    input->stop = UINT64_MAX;
    input->prehistory = task->options.prehistory == NULL ? 0 : task->options.prehistory[i];
    if (task->options.begin != NULL && task->options.begin[i] > 1)
        input->last_sequence = input->covered = task->options.begin[i] - 1;
    BR_TRY(br_input_create(input->table, false, &input->input, error));
    struct br_buffer BR_CLEANUP(br_buffer_free) filter = {0};
    br_input_filter(input->table, &filter);
    enum br_status status;
    do
        status = br_log_find_stream(task->log, (const char *)filter.ptr, &input->stream, error);
    while (task_try_again(task, status, error));
    return status == BR_OK ? BR_OK : (br_error_context(error, "table %s", input->table->name), status);
}

static enum br_status open_reader(struct br_task *task, struct task_input *input, const char *filter,
                                  struct br_error *error) {
    if (task->options.open_input != NULL)
        return task->options.open_input(task->options.input_context, task->log, input->table, &input->stream,
                                        input->prehistory, input->covered + 1, 0, &input->reader, error);
    if (input->prehistory != 0)
        return br_error_set(error, BR_FATAL,
                            "lineage %s begins with %" PRIu64 " imported events; tell the worker where the archive is",
                            task->options.lineage, input->prehistory);
    return br_reader_open(task->log, input->stream.name, filter, input->covered + 1, 0, &input->reader, error);
}

enum br_status task_open_readers(struct br_task *task, struct br_error *error) {
    for (uint32_t i = 0; i < task->input_count; i++) {
        struct task_input *input = &task->inputs[i];
        for (int e = 0; e < 2; e++)
            br_emit_set_stream(task->emits[e], i, input->stream.name, input->prehistory);
        struct br_buffer BR_CLEANUP(br_buffer_free) filter = {0};
        br_input_filter(input->table, &filter);
        enum br_status status;
        do
            status = open_reader(task, input, (const char *)filter.ptr, error);
        while (task_try_again(task, status, error));
        if (status != BR_OK)
            return br_error_context(error, "table %s", input->table->name);
    }
    return BR_OK;
}

static void set_order(struct br_task *task) {
    uint32_t at = 0;
    for (int upserts = 1; upserts >= 0; upserts--)
        for (uint32_t i = 0; i < task->input_count; i++)
            if ((task->pipeline->tables[i].primary_key_count != 0) == (upserts == 1))
                task->order[at++] = i;
    BR_CHECK(at == task->input_count);
}

static void set_defaults(struct br_task_options *options) {
    if (options->lineage == NULL)
        options->lineage = "live";
    if (options->worker == NULL)
        options->worker = "worker";
    if (options->state_budget_bytes == 0)
        options->state_budget_bytes = STATE_BUDGET_DEFAULT;
    if (options->epoch_time_us == 0)
        options->epoch_time_us = EPOCH_TIME_DEFAULT_US;
    if (options->flush_interval_us == 0)
        options->flush_interval_us = FLUSH_INTERVAL_DEFAULT_US;
}

static enum br_status open_all(struct br_task *task, struct br_error *error) {
    for (uint32_t i = 0; i < task->input_count; i++)
        BR_TRY(open_input(task, i, error));
    for (int e = 0; e < 2; e++)
        BR_TRY(br_emit_create(task->pipeline, task->options.lineage, br_log_payload_max(task->log), &task->emits[e],
                              error));
    for (int e = 0; e < 2; e++)
        br_emit_set_publish_as(task->emits[e], task->options.publish_as);
    if (task->options.role != BR_TASK_SHADOW)
        BR_TRY(open_output(task, error));
    BR_TRY(task_open_state(task, false, error));
    return task->options.serve ? task_serve_open(task, error) : BR_OK;
}

enum br_status br_task_create(const struct br_task_options *options, struct br_task **ret_task,
                              struct br_error *error) {
    struct br_task *task = br_calloc(1, sizeof *task);
    const struct br_pipeline *pipeline = options->pipeline;
    task->options = *options;
    set_defaults(&task->options);
    task->pipeline = pipeline;
    task->log = options->log;
    br_task_output_stream(pipeline->name, task->stream, sizeof task->stream);
    if (task->options.role == BR_TASK_OWNER)
        br_task_owner_subject(pipeline->name, task->commit_subject, sizeof task->commit_subject);
    else
        br_task_lineage_subject(pipeline->name, task->options.lineage, task->commit_subject,
                                sizeof task->commit_subject);
    task->limit_us = INT64_MAX;
    task->plan.follows_lineage = "";
    uint32_t count = task->input_count = pipeline->table_count;
    task->inputs = br_calloc(count + 1, sizeof *task->inputs);
    task->order = br_calloc(count + 1, sizeof *task->order);
    task->counts = br_calloc(count + 1, sizeof *task->counts);
    task->watermarks_before = br_calloc(count + 1, sizeof *task->watermarks_before);
    task->watermarks_after = br_calloc(count + 1, sizeof *task->watermarks_after);
    task->plan.take = br_calloc(count + 1, sizeof *task->plan.take);
    task->plan.first = br_calloc(count + 1, sizeof *task->plan.first);
    task->totals.view_rows = br_calloc(pipeline->view_count + 1, sizeof(uint64_t));
    task->totals.view_late = br_calloc(pipeline->view_count + 1, sizeof(uint64_t));
    task->totals.view_failed = br_calloc(pipeline->view_count + 1, sizeof(uint64_t));
    task->epoch_arena = br_arena_create();
    task->epoch_limit = options->epoch_messages != 0 ? options->epoch_messages : EPOCH_MESSAGES_FIRST;
    task->flushed_at = options->clock->mono(options->clock);
    task->totals.started = options->clock->wall(options->clock);
    set_order(task);
    enum br_status status = open_all(task, error);
    if (status != BR_OK) {
        br_task_destroy(&task);
        return status;
    }
    *ret_task = task;
    return BR_OK;
}

void br_task_destroy(struct br_task **task_ptr) {
    struct br_task *task = *task_ptr;
    if (task == NULL)
        return;
    for (uint32_t i = 0; i < task->input_count; i++) {
        br_reader_close(&task->inputs[i].reader);
        br_input_destroy(&task->inputs[i].input);
    }
    br_graph_destroy(&task->graph);
    br_state_destroy(&task->state);
    br_emit_destroy(&task->emits[0]);
    br_emit_destroy(&task->emits[1]);
    br_arena_destroy(&task->epoch_arena);
    br_buffer_free(&task->commit_bytes);
    br_buffer_free(&task->flush_record);
    br_commit_cleanup(&task->unfinished);
    free(task->events.list);
    free(task->batch);
    free(task->inputs);
    free(task->order);
    free(task->counts);
    free(task->watermarks_before);
    free(task->watermarks_after);
    free(task->plan.take);
    free(task->plan.first);
    free(task->totals.view_rows);
    free(task->totals.view_late);
    free(task->totals.view_failed);
    free(task);
    *task_ptr = NULL;
}

struct br_graph *br_task_graph(struct br_task *task) {
    return task->graph;
}

uint64_t br_task_epoch(const struct br_task *task) {
    return task->epoch;
}

uint64_t br_task_digest(const struct br_task *task) {
    return task->digest;
}

uint64_t br_task_last_commit(const struct br_task *task) {
    return task->last_commit;
}

uint64_t br_task_follows(const struct br_task *task, const char **ret_lineage, uint64_t *ret_sequence) {
    if (ret_lineage != NULL)
        *ret_lineage = task->follows_lineage;
    if (ret_sequence != NULL)
        *ret_sequence = task->follows_sequence;
    return task->follows;
}

bool br_task_commits_apart(const struct br_task *task) {
    return task->options.role != BR_TASK_OWNER && task->last_commit == task->fence;
}

const char *br_task_lineage(const struct br_task *task) {
    return task->options.lineage;
}

enum br_status br_task_serve_from_now(struct br_task *task, const struct br_task_options *options,
                                      struct br_error *error) {
    task->options.checkpoint_path = options->checkpoint_path;
    task->options.add_status = options->add_status;
    task->options.status_context = options->status_context;
    if (task->options.serve)
        return BR_OK;
    task->options.serve = true;
    return task_serve_open(task, error);
}

const struct br_event_time *br_task_watermarks(const struct br_task *task) {
    return task->watermarks_after;
}

struct br_wall_time br_task_clock(const struct br_task *task) {
    return task->clock;
}

uint64_t br_task_position(const struct br_task *task, uint32_t table, uint64_t *ret_prehistory) {
    if (ret_prehistory != NULL)
        *ret_prehistory = task->inputs[table].prehistory;
    return task->inputs[table].last_sequence;
}

struct br_state *br_task_state(struct br_task *task) {
    return task->state;
}

const char *br_task_superseded_by(const struct br_task *task) {
    return task->superseded_by[0] == '\0' ? NULL : task->superseded_by;
}

const struct br_log_message *br_task_outputs(struct br_task *task, size_t *ret_count) {
    return br_emit_messages(task_emit(task), ret_count);
}

uint64_t br_task_view_digest(const struct br_task *task, uint32_t view) {
    return br_emit_counts(task->emits[task->emit_current], view)->digest;
}
