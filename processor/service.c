// SPDX-License-Identifier: Apache-2.0
// What a task answers between epochs: queries over its views, status, and what replays ask of the owner. Requests come
// as NATS requests on braid_api.<pipeline>.query, .status, .checkpoint and .hold.
//
// A checkpoint request is {"name": "r1"}: the state as of the last commit, as a copy (hard links) in a folder of that
// name. The answer is {"path":…,"epoch":n,"host":…}; the folder is the asker's, who removes it.
// A hold request is {"ms": 200}: no further epoch is begun for that long. Advice, no lock: the answer,
// {"epoch":n,"sequence":n}, is the last commit, and the log decides who is next.
//
// A query is {"sql": "SELECT …"}. The answer is JSON lines: {"columns":[{"name":…,"type":…}],"epoch":n}, then one array
// per row, then {"rows":n}; or {"error":"…"} at the end in place of the count. It is read at an epoch boundary:
// everything up to `epoch` is in it, nothing after.
#include "processor/task_internal.h"

#include "processor/sql/sql.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#define PART_SIZE ((size_t)256 << 10)
#define REQUESTS_PER_TURN_MAX 64

#define HOLD_MS_MAX 1000

enum service { SERVICE_QUERY, SERVICE_STATUS, SERVICE_CHECKPOINT, SERVICE_HOLD };
static const char *const service_names[] = {"query", "status", "checkpoint", "hold"};

void br_task_service_subject(const char *pipeline, const char *what, char *subject, size_t size) {
    snprintf(subject, size, "braid_api.%s.%s", pipeline, what);
}

enum br_status task_serve_open(struct br_task *task, struct br_error *error) {
    for (size_t i = 0; i < sizeof service_names / sizeof service_names[0]; i++) {
        char subject[300];
        br_task_service_subject(task->pipeline->name, service_names[i], subject, sizeof subject);
        enum br_status status;
        do
            status = br_log_serve(task->log, subject, error);
        while (task_try_again(task, status, error));
        BR_TRY(status);
    }
    return BR_OK;
}

// --- queries

struct answer {
    struct br_task *task;
    struct br_request *request;
    const struct br_query *query;
    struct br_buffer part;
    uint64_t rows;
};

static enum br_status send_part(struct answer *answer, bool last, struct br_error *error) {
    enum br_status status =
        br_log_reply(answer->task->log, answer->request, br_buffer_slice(&answer->part), last, error);
    br_buffer_clear(&answer->part);
    return status;
}

static void put_member(struct br_buffer *out, const char *name, const char *text) {
    br_buffer_printf(out, "\"%s\":", name);
    br_json_append_string(br_slice_of(text), out);
}

static void put_columns(struct answer *answer) {
    const struct br_query *query = answer->query;
    br_buffer_append_text(&answer->part, "{\"columns\":[");
    for (uint32_t c = 0; c < query->visible_count; c++) {
        br_buffer_append_text(&answer->part, c == 0 ? "{" : ",{");
        put_member(&answer->part, "name", query->root->fields[c].name);
        br_buffer_append_byte(&answer->part, ',');
        put_member(&answer->part, "type", br_type_name(query->root->fields[c].type));
        br_buffer_append_byte(&answer->part, '}');
    }
    br_buffer_printf(&answer->part, "],\"epoch\":%" PRIu64 "}\n", answer->task->epoch);
}

static enum br_status put_rows(void *context, const struct br_batch *batch, struct br_error *error) {
    struct answer *answer = context;
    for (uint32_t r = 0; r < batch->row_count; r++) {
        for (uint32_t c = 0; c < answer->query->visible_count; c++) {
            struct br_value value = br_column_get(&batch->columns[c], r);
            br_buffer_append_byte(&answer->part, c == 0 ? '[' : ',');
            br_value_print_json(&value, &answer->part);
        }
        br_buffer_append_text(&answer->part, "]\n");
        answer->rows++;
        if (answer->part.len > PART_SIZE)
            BR_TRY(send_part(answer, false, error));
    }
    return BR_OK;
}

static void put_error(struct answer *answer, const char *message) {
    br_buffer_append_byte(&answer->part, '{');
    put_member(&answer->part, "error", message);
    br_buffer_append_text(&answer->part, "}\n");
}

static void run_query(struct answer *answer, const char *sql) {
    struct br_task *task = answer->task;
    struct br_diagnostics *diagnostics = br_diagnostics_create("query", sql);
    struct br_query *query = NULL;
    struct br_error why;
    enum br_status status = br_query_bind(task->pipeline, sql, diagnostics, &query, &why);
    if (status != BR_OK) {
        struct br_buffer text = {0};
        br_diagnostics_print(diagnostics, false, &text);
        br_buffer_append_byte(&text, '\0');
        put_error(answer, text.len > 1 ? (const char *)text.ptr : why.message);
        br_buffer_free(&text);
    } else {
        answer->query = query;
        put_columns(answer);
        struct br_arena *arena = br_arena_create();
        struct br_epoch epoch = {.number = task->epoch,
                                 .now = task->options.clock->wall(task->options.clock),
                                 .watermarks_before = task->watermarks_after,
                                 .watermarks_after = task->watermarks_after,
                                 .arena = arena};
        status = br_graph_query(task->graph, query, &epoch, put_rows, answer, &why);
        if (status == BR_OK)
            br_buffer_printf(&answer->part, "{\"rows\":%" PRIu64 "}\n", answer->rows);
        else
            put_error(answer, why.message);
        br_arena_destroy(&arena);
    }
    br_query_destroy(&query);
    br_diagnostics_destroy(&diagnostics);
}

static void answer_query(struct answer *answer) {
    json_error_t where;
    json_t *request = json_loadb((const char *)answer->request->payload.ptr, answer->request->payload.len, 0, &where);
    const char *sql = json_string_value(json_object_get(request, "sql"));
    if (sql == NULL)
        put_error(answer, "a query request is a JSON object with a member \"sql\"");
    else
        run_query(answer, sql);
    json_decref(request);
}

// --- status

static uint64_t lag_of(const struct task_input *input) {
    return input->reader == NULL ? 0 : br_reader_pending(input->reader);
}

static void put_lag(struct br_buffer *out, uint64_t lag) {
    if (lag == BR_PENDING_UNKNOWN)
        br_buffer_append_text(out, ",\"lag\":null");
    else
        br_buffer_printf(out, ",\"lag\":%" PRIu64, lag);
}

void br_task_status(struct br_task *task, struct br_task_status *ret_status) {
    *ret_status = (struct br_task_status){.epoch = task->epoch,
                                          .committed_epoch = task->committed_epoch,
                                          .digest = task->digest,
                                          .messages = task->totals.messages,
                                          .rows_out = task->totals.rows_out,
                                          .late = task->totals.late,
                                          .quarantined = task->totals.quarantined,
                                          .failed = task->totals.failed,
                                          .recovered_epochs = task->totals.recovered_epochs,
                                          .last_commit_us = task->totals.last_commit.us,
                                          .clock_us = task->clock.us};
    for (uint32_t i = 0; i < task->input_count; i++) {
        uint64_t lag = lag_of(&task->inputs[i]), *all = &ret_status->lag_messages;
        *all = lag == BR_PENDING_UNKNOWN || *all == BR_PENDING_UNKNOWN ? BR_PENDING_UNKNOWN : *all + lag;
    }
    br_state_usage(task->state, &ret_status->state);
}

static void put_time(struct br_buffer *out, const char *name, int64_t us) {
    br_buffer_printf(out, ",\"%s\":", name);
    if (us == BR_EVENT_TIME_MIN || us == BR_EVENT_TIME_MAX) {
        br_buffer_append_text(out, us == BR_EVENT_TIME_MIN ? "null" : "\"final\"");
        return;
    }
    struct br_value value = {.type = BR_TIMESTAMPTZ, .bigint = us};
    br_value_print_json(&value, out);
}

static void put_input(struct br_task *task, uint32_t i, struct br_buffer *out) {
    const struct task_input *input = &task->inputs[i];
    br_buffer_append_byte(out, '{');
    put_member(out, "table", input->table->name);
    br_buffer_append_byte(out, ',');
    put_member(out, "stream", input->stream.name);
    br_buffer_printf(out, ",\"sequence\":%" PRIu64, input->last_sequence);
    put_lag(out, lag_of(input));
    br_buffer_printf(out, ",\"messages\":%" PRIu64 ",\"rows\":%" PRIu64 ",\"quarantined\":%" PRIu64,
                     input->messages_total, input->rows_total, input->quarantined_total);
    put_time(out, "watermark", task->watermarks_after[i].us);
    br_buffer_append_byte(out, '}');
}

void br_task_status_json(struct br_task *task, struct br_buffer *out) {
    struct br_task_status status;
    br_task_status(task, &status);
    int64_t now_us = task->options.clock->mono(task->options.clock).us;
    double seconds = (double)(now_us - task->totals.started.us) / 1e6;
    br_buffer_append_byte(out, '{');
    put_member(out, "pipeline", task->pipeline->name);
    br_buffer_append_text(out, ",\"task\":\"0\",");
    put_member(out, "lineage", task->options.lineage);
    br_buffer_append_byte(out, ',');
    put_member(out, "worker", task->options.worker);
    br_buffer_printf(out, ",\"epoch\":%" PRIu64 ",\"committed\":%" PRIu64 ",\"digest\":\"%016" PRIx64 "\"",
                     status.epoch, status.committed_epoch, status.digest);
    put_lag(out, status.lag_messages);
    br_buffer_printf(out,
                     ",\"slow\":%" PRIu64 ",\"late\":%" PRIu64 ",\"quarantined\":%" PRIu64 ",\"failed\":%" PRIu64
                     ",\"rows_out\":%" PRIu64,
                     task->totals.slow_epochs, status.late, status.quarantined, status.failed, status.rows_out);
    br_buffer_printf(out, ",\"messages_per_second\":%.1f,\"rows_out_per_second\":%.1f,\"uptime_seconds\":%.1f",
                     seconds > 0 ? (double)status.messages / seconds : 0,
                     seconds > 0 ? (double)status.rows_out / seconds : 0, seconds);
    put_time(out, "clock", status.clock_us == 0 ? BR_EVENT_TIME_MIN : status.clock_us);
    put_time(out, "last_commit", status.last_commit_us == 0 ? BR_EVENT_TIME_MIN : status.last_commit_us);
    br_buffer_printf(out,
                     ",\"state\":{\"hot_bytes\":%" PRIu64 ",\"hot_entries\":%" PRIu64 ",\"dirty_bytes\":%" PRIu64
                     ",\"budget_bytes\":%" PRIu64 ",\"store_memory_bytes\":%" PRIu64 ",\"store_disk_bytes\":%" PRIu64
                     ",\"hits\":%" PRIu64 ",\"misses\":%" PRIu64 ",\"flushes\":%" PRIu64 "}",
                     status.state.hot_bytes, status.state.hot_entries, status.state.dirty_bytes,
                     status.state.budget_bytes, status.state.store_memory_bytes, status.state.store_disk_bytes,
                     status.state.hits, status.state.misses, status.state.flushes);
    br_buffer_append_text(out, ",\"inputs\":[");
    for (uint32_t i = 0; i < task->input_count; i++) {
        if (i != 0)
            br_buffer_append_byte(out, ',');
        put_input(task, i, out);
    }
    br_buffer_append_text(out, "],\"views\":[");
    for (uint32_t v = 0; v < task->pipeline->view_count; v++) {
        br_buffer_append_text(out, v == 0 ? "{" : ",{");
        put_member(out, "view", task->pipeline->views[v].name);
        br_buffer_printf(out, ",\"rows\":%" PRIu64 ",\"late\":%" PRIu64 ",\"failed\":%" PRIu64 "}",
                         task->totals.view_rows[v], task->totals.view_late[v], task->totals.view_failed[v]);
    }
    br_buffer_append_byte(out, ']');
    task_print_troubles(task, out);
    if (task->options.add_status != NULL)
        task->options.add_status(task->options.status_context, out);
    br_buffer_append_byte(out, '}');
}

// --- what replays ask of the owner

static bool safe_name(const char *name) {
    size_t len = name == NULL ? 0 : strlen(name);
    return len != 0 && len <= 64 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == len;
}

static enum br_status make_checkpoint(struct br_task *task, const char *name, char *path, size_t size,
                                      struct br_error *error) {
    if (task->options.checkpoint_path == NULL)
        return br_error_set(error, BR_FATAL, "this worker hands out no checkpoints");
    if (!safe_name(name))
        return br_error_set(error, BR_FATAL, "a checkpoint's name is letters, digits, _ and -, at most 64");
    if (task->committed_epoch != task->epoch)
        return br_error_set(error, BR_RETRY, "an epoch is under way");
    snprintf(path, size, "%s/%s", task->options.checkpoint_path, name);
    BR_TRY(task_flush(task, error));
    BR_TRY(br_store_remove(path, error)); // what an asker who died has left
    return br_store_checkpoint(br_state_store(task->state), path, error);
}

static void answer_checkpoint(struct answer *answer, const json_t *request) {
    struct br_task *task = answer->task;
    struct br_error why;
    char path[4096], host[64] = "";
    gethostname(host, sizeof host - 1);
    if (make_checkpoint(task, json_string_value(json_object_get(request, "name")), path, sizeof path, &why) != BR_OK) {
        put_error(answer, why.message);
        return;
    }
    br_buffer_append_byte(&answer->part, '{');
    put_member(&answer->part, "path", path);
    br_buffer_append_byte(&answer->part, ',');
    put_member(&answer->part, "host", host);
    br_buffer_printf(&answer->part, ",\"epoch\":%" PRIu64 "}", task->epoch);
}

static void answer_hold(struct answer *answer, const json_t *request) {
    struct br_task *task = answer->task;
    int64_t ms = json_integer_value(json_object_get(request, "ms"));
    ms = ms < 0 ? 0 : ms > HOLD_MS_MAX ? HOLD_MS_MAX : ms;
    task->hold_until.us = task->options.clock->mono(task->options.clock).us + ms * 1000;
    task->held = true;
    br_buffer_printf(&answer->part, "{\"epoch\":%" PRIu64 ",\"sequence\":%" PRIu64 "}", task->committed_epoch,
                     task->last_commit);
}

static void answer_request(struct answer *answer, enum service service) {
    json_error_t where;
    const struct br_slice payload = answer->request->payload;
    if (service == SERVICE_QUERY) {
        answer_query(answer);
        return;
    }
    if (service == SERVICE_STATUS) {
        br_task_status_json(answer->task, &answer->part);
        return;
    }
    json_t *request = json_loadb((const char *)payload.ptr, payload.len, 0, &where);
    if (service == SERVICE_CHECKPOINT)
        answer_checkpoint(answer, request);
    else
        answer_hold(answer, request);
    json_decref(request);
}

// An answer that can't be sent is the asker's loss, not the task's: it has gone, or the connection has.
static void end_answer(struct answer *answer) {
    struct br_error ignored;
    enum br_status status = send_part(answer, true, &ignored);
    (void)status;
    br_buffer_free(&answer->part);
}

void task_serve_meanwhile(struct br_task *task, const char *why) {
    struct br_request request;
    size_t subject;
    char text[TASK_TROUBLE_SIZE + 100];
    snprintf(text, sizeof text, "the worker can't go on now, ask again later: %s", why);
    if (!task->options.serve || task->state == NULL || task->serving)
        return;
    task->serving = true; // an answer may have to wait for the connection
    for (int turn = 0; turn < REQUESTS_PER_TURN_MAX && br_log_next_request(task->log, &request, &subject); turn++) {
        struct answer answer = {.task = task, .request = &request};
        if ((enum service)subject == SERVICE_STATUS)
            br_task_status_json(task, &answer.part);
        else
            put_error(&answer, text);
        end_answer(&answer);
    }
    task->serving = false;
}

enum br_status task_serve(struct br_task *task, struct br_error *error) {
    if (!task->options.serve)
        return BR_OK;
    struct br_request request;
    size_t subject;
    for (int turn = 0; turn < REQUESTS_PER_TURN_MAX && br_log_next_request(task->log, &request, &subject); turn++) {
        struct answer answer = {.task = task, .request = &request};
        answer_request(&answer, (enum service)subject);
        end_answer(&answer);
    }
    return br_store_check(br_state_store(task->state), error); // damage that only an asker was told of
}
