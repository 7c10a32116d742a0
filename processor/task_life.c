// SPDX-License-Identifier: Apache-2.0
// A task's beginning and end: its names on the log, its streams, readers and state; and what can be asked of it. See
// task.h.
#include "processor/commit_reader.h"
#include "processor/limits.h"
#include "processor/semantics.h"
#include "processor/task_internal.h"

#include "base/logging.h"
#include "processor/subject.h"

#include <inttypes.h>
#include <stdio.h>

#define STATE_BUDGET_DEFAULT ((size_t)256 << 20)
#define EPOCH_TIME_DEFAULT_US 100000
#define FLUSH_INTERVAL_DEFAULT_US 5000000
#define QUERY_TIME_DEFAULT_US 1000000
#define QUERY_ROWS_DEFAULT 1000000
#define QUERY_MEMORY_DEFAULT ((size_t)64 << 20)
#define EPOCH_MESSAGES_FIRST 900

// --- names

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

enum br_status task_make_graph(struct br_task *task, struct br_error *error) {
    br_graph_destroy(&task->graph);
    struct br_sink sink = task_sink(task);
    BR_TRY(br_graph_create(task->pipeline, task->state, &sink, &task->graph, error));
    br_graph_put_to_sleep(task->graph, task->asleep_nodes, task->asleep);
    return BR_OK;
}

static enum br_status open_state(struct br_task *task, bool set_aside, struct br_error *error) {
    struct br_store *store;
    BR_TRY(task->options.open_store(task->options.store_context, set_aside, &store, error));
    return br_state_create(store, task->options.state_budget_bytes, &task->state, error);
}

enum br_status task_open_state(struct br_task *task, bool set_aside, struct br_error *error) {
    br_graph_destroy(&task->graph);
    br_state_destroy(&task->state);
    enum br_status status = open_state(task, set_aside, error);
    if (status != BR_OK && error->native == BR_STORE_DAMAGED && !set_aside) { // X20
        br_log_line(BR_LEVEL_ERROR, "local state is damaged: it is set aside and rebuilt from the log",
                    BR_STR("pipeline", task->pipeline->name), BR_STR("lineage", task->options.lineage),
                    BR_STR("why", error->message));
        status = open_state(task, true, error);
    }
    BR_TRY(status);
    return task_make_graph(task, error);
}

// Before the first event: what the stream's limits take can't be recovered.
static enum br_status tell_limits(const struct br_task *task, const struct task_input *input, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
    if (task->options.role != BR_TASK_OWNER)
        return BR_OK;
    enum br_limits limits = br_limits_describe(input->table, &input->stream, &text);
    if (limits == BR_LIMITS_REFUSED)
        return br_error_set(error, BR_FATAL, "%s", (const char *)text.ptr);
    if (limits != BR_LIMITS_NONE)
        br_log_line(limits == BR_LIMITS_WARNING ? BR_LEVEL_WARN : BR_LEVEL_INFO, "the stream doesn't keep everything",
                    BR_STR("pipeline", task->pipeline->name), BR_STR("table", input->table->name),
                    BR_STR("what", (const char *)text.ptr));
    return BR_OK;
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
    enum br_status status;
    do
        status = br_input_find_stream(task->log, input->table, &input->stream, error);
    while (task_try_again(task, status, error));
    if (status == BR_OK)
        status = tell_limits(task, input, error);
    if (status != BR_OK)
        return br_error_context(error, "table %s", input->table->name);
    while (strcmp(task->inputs[input->stream_number].stream.name, input->stream.name) != 0)
        input->stream_number++;
    return BR_OK;
}

static enum br_status open_reader(struct br_task *task, struct task_input *input, uint64_t first_sequence,
                                  struct br_error *error) {
    if (task->options.open_input != NULL)
        return task->options.open_input(task->options.input_context, task->log, input->table, &input->stream,
                                        input->prehistory, first_sequence, 0, &input->reader, error);
    if (input->prehistory != 0)
        return br_error_set(error, BR_FATAL,
                            "lineage %s begins with %" PRIu64 " imported events; tell the worker where the archive is",
                            task->options.lineage, input->prehistory);
    return br_input_open(task->log, input->table, input->stream.name, first_sequence, 0, &input->reader, error);
}

enum br_status task_input_error(const struct task_input *input, const struct br_task *task, struct br_error *error) {
    size_t len = strlen(error->message);
    if (error->native == BR_LOG_LOST) {
        snprintf(error->message + len, sizeof error->message - len,
                 ". Restore them, or have all computed anew from what is left, so that what they gave goes from the "
                 "results: braid replay rebuild %s --epochs fresh --from oldest",
                 task->pipeline->name);
    } else if (error->native == BR_LOG_CHANGED) {
        snprintf(error->message + len, sizeof error->message - len,
                 ". What was computed from what is gone stays in the results: restore stream %s, or have all computed "
                 "anew from what it holds now, and what differs published: braid replay rebuild %s --epochs fresh",
                 input->stream.name, task->pipeline->name);
    }
    return br_error_context(error, "table %s", input->table->name);
}

void task_note_last(struct task_input *input, const Braid__V1__InputPosition *position) {
    if (position->last_hash != 0)
        br_trail_add(&input->trail, &(struct br_fingerprint){.sequence = position->last_sequence,
                                                             .time_us = position->last_time_us,
                                                             .hash = position->last_hash});
}

enum br_status task_open_reader(struct br_task *task, uint32_t i, uint64_t first_sequence, struct br_error *error) {
    struct task_input *input = &task->inputs[i];
    for (int e = 0; e < 2; e++)
        br_emit_set_stream(task->emits[e], i, input->stream.name, input->prehistory);
    enum br_status status;
    do
        status = open_reader(task, input, first_sequence, error);
    while (task_try_again(task, status, error));
    if (status != BR_OK)
        return task_input_error(input, task, error);
    struct br_trail trail = input->trail;
    trail.read_to = input->last_sequence;
    br_reader_prove(input->reader, &trail);
    const struct br_log_message *messages;
    size_t count;
    status = br_reader_peek(input->reader, &messages, &count, error); // proven here, if the stream can be asked
    return status == BR_OK ? BR_OK : task_input_error(input, task, error);
}

enum br_status task_open_readers(struct br_task *task, struct br_error *error) {
    for (uint32_t i = 0; i < task->input_count; i++)
        if (!task->inputs[i].asleep && task->inputs[i].reader == NULL)
            BR_TRY(task_open_reader(task, i, task->inputs[i].covered + 1, error));
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
    if (options->query_time_us == 0)
        options->query_time_us = QUERY_TIME_DEFAULT_US;
    if (options->query_rows_max == 0)
        options->query_rows_max = QUERY_ROWS_DEFAULT;
    if (options->query_memory_bytes == 0)
        options->query_memory_bytes = QUERY_MEMORY_DEFAULT;
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
    task_hear_requests(task);
    return task_open_state(task, false, error);
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
    task->semantics = br_semantics();
    task->plan.follows_lineage = "";
    uint32_t count = task->input_count = pipeline->table_count;
    task->inputs = br_calloc(count + 1, sizeof *task->inputs);
    task->order = br_calloc(count + 1, sizeof *task->order);
    task->counts = br_calloc(count + 1, sizeof *task->counts);
    task->watermarks_before = br_calloc(count + 1, sizeof *task->watermarks_before);
    task->watermarks_after = br_calloc(count + 1, sizeof *task->watermarks_after);
    task->plan.take = br_calloc(count + 1, sizeof *task->plan.take);
    task->plan.first = br_calloc(count + 1, sizeof *task->plan.first);
    task->plan.passes = br_calloc(count + 1, sizeof *task->plan.passes);
    task->asleep = br_calloc(pipeline->view_count + 1, sizeof *task->asleep);
    task->asleep_nodes = br_calloc(pipeline->node_count + 1, sizeof *task->asleep_nodes);
    task->totals.view_rows = br_calloc(pipeline->view_count + 1, sizeof(uint64_t));
    task->totals.view_late = br_calloc(pipeline->view_count + 1, sizeof(uint64_t));
    task->totals.view_failed = br_calloc(pipeline->view_count + 1, sizeof(uint64_t));
    task->epoch_arena = br_arena_create();
    task->epoch_limit = options->epoch_messages != 0 ? options->epoch_messages : EPOCH_MESSAGES_FIRST;
    task->flushed_at = options->clock->mono(options->clock);
    task->totals.started = options->clock->mono(options->clock);
    set_order(task);
    task_set_asleep(task, options->asleep);
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
    if (task->options.requests != NULL)
        br_requests_wake(task->options.requests, NULL, NULL);
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
    for (int q = 0; q < 2; q++)
        br_buffer_free(&task->queued[q].bytes);
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
    free(task->plan.passes);
    free(task->asleep);
    free(task->asleep_nodes);
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
    return task->options.role != BR_TASK_OWNER && task->last_commit == task->fence_commit.sequence;
}

const char *br_task_lineage(const struct br_task *task) {
    return task->options.lineage;
}

void br_task_serve_from_now(struct br_task *task, const struct br_task_options *options) {
    task->options.checkpoint_path = options->checkpoint_path;
    task->options.add_status = options->add_status;
    task->options.status_context = options->status_context;
    task->options.requests = options->requests;
    task->options.query_time_us = options->query_time_us;
    task->options.query_rows_max = options->query_rows_max;
    task->options.query_memory_bytes = options->query_memory_bytes;
    set_defaults(&task->options);
    task_hear_requests(task);
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
