// SPDX-License-Identifier: Apache-2.0
// What a task answers between epochs, so that it never stands still for it: queries over its views, status, and what
// replays ask of the owner. Requests come as NATS requests on braid_api.<pipeline>.query, .status, .checkpoint and
// .hold.
//
// A checkpoint request is {"name": "r1"}: the state as of the last commit, as a copy (hard links) in a folder of that
// name. The answer is {"path":…,"epoch":n,"host":…}; the folder is the asker's, who removes it.
// A hold request is {"ms": 200}: no further epoch is begun for that long. Advice, no lock: the answer,
// {"epoch":n,"sequence":n}, is the last commit, and the log decides who is next.
//
// A query is {"sql": "SELECT …"}. The answer is JSON lines: {"columns":[{"name":…,"type":…}],"epoch":n}, then one array
// per row, then {"rows":n}; or {"error":"…"} at the end in place of the count. It is read at an epoch boundary:
// everything up to `epoch` is in it, nothing after.
//
//   S1. At most one request is answered between two epochs. After one that took the time t no query is begun for 9 t
//   more, and
//       after one that was no query none is taken for 9 t: together they get a tenth of the task's time.
//   S2. Requests wait for that (requests.h: bounded, askers in turn, each for a while); others hear "busy".
//   S3. A query ends after options.query_time_us, with options.query_rows_max or query_memory_bytes, and when the task
//   is to
//       stop. It is looked at in every batch of every step (br_query_limits).
//   S4. Holds are granted for HOLD_MS_PER_MINUTE in all, and at most CHECKPOINTS_MAX checkpoints are there at a time.
#include "processor/task_internal.h"

#include "processor/sql/sql.h"

#include <dirent.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#define PART_SIZE ((size_t)256 << 10)
#define MEANWHILE_MAX 64 // requests that are answered while nothing else goes on
#define REST_FACTOR 9    // S1
#define HOLD_MS_MAX 1000
#define HOLD_MS_PER_MINUTE 6000
#define MINUTE_US INT64_C(60000000)
#define CHECKPOINTS_MAX 8

#define QUERIES (1u << SERVICE_QUERY) // as kinds of requests

enum service { SERVICE_QUERY, SERVICE_STATUS, SERVICE_CHECKPOINT, SERVICE_HOLD };
static const char *const service_names[] = {"query", "status", "checkpoint", "hold"};

void br_task_service_subject(const char *pipeline, const char *what, char *subject, size_t size) {
    snprintf(subject, size, "braid_api.%s.%s", pipeline, what);
}

void br_task_serve(struct br_control *control, const char *pipeline, struct br_requests *requests) {
    for (uint32_t i = 0; i < sizeof service_names / sizeof service_names[0]; i++) {
        char subject[300];
        br_task_service_subject(pipeline, service_names[i], subject, sizeof subject);
        br_control_serve(control, subject, requests, i);
    }
}

static void wake(void *log) {
    br_log_wake(log);
}

void task_hear_requests(struct br_task *task) {
    if (task->options.requests != NULL)
        br_requests_wake(task->options.requests, wake, task->log);
}

// --- queries

struct answer {
    struct br_task *task;
    struct br_request *request;
    const struct br_query *query;
    struct br_buffer part;
    uint64_t rows;
    size_t bytes; // of the parts that were sent
    int64_t deadline_us;
};

static int64_t mono_us(const struct br_task *task) {
    return task->options.clock->mono(task->options.clock).us;
}

static enum br_status send_part(struct answer *answer, bool last, struct br_error *error) {
    enum br_status status = br_requests_answer(answer->request, br_buffer_slice(&answer->part), last, error);
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

// S3
static enum br_status go_on(void *context, struct br_error *error) {
    const struct answer *answer = context;
    const struct br_task *task = answer->task;
    if (task_stopping(task))
        return br_error_set(error, BR_DATA, "the worker is stopping: ask again when it runs");
    if (mono_us(task) <= answer->deadline_us)
        return BR_OK;
    return br_error_set(error, BR_DATA,
                        "the query took longer than %" PRId64
                        " ms: look rows up by the first columns of the view's key, "
                        "let a materialized view hold the result, or run it beside the worker by braid query --over "
                        "history (limit: braid run --query-time)",
                        task->options.query_time_us / 1000);
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
        if (answer->part.len <= PART_SIZE)
            continue;
        answer->bytes += answer->part.len;
        if (answer->bytes > answer->task->options.query_memory_bytes)
            return br_error_set(
                error, BR_DATA,
                "the answer is larger than %zu MiB: narrow it by WHERE or LIMIT, or ask for fewer columns "
                "(limit: braid run --query-memory)",
                answer->task->options.query_memory_bytes >> 20);
        BR_TRY(send_part(answer, false, error));
        BR_TRY(go_on(answer, error));
    }
    return BR_OK;
}

static void put_error(struct answer *answer, const char *message) {
    br_buffer_append_byte(&answer->part, '{');
    put_member(&answer->part, "error", message);
    br_buffer_append_text(&answer->part, "}\n");
}

// Rows that were looked up are hot now. An idle task has no epoch whose end would make room.
static void make_room(struct br_task *task) {
    struct br_state_usage usage;
    br_state_usage(task->state, &usage);
    if (usage.hot_bytes > usage.budget_bytes)
        br_state_end_epoch(task->state);
}

static void run_query(struct answer *answer, const char *sql) {
    struct br_task *task = answer->task;
    struct br_query_limits limits = {.rows_max = task->options.query_rows_max,
                                     .memory_max = task->options.query_memory_bytes,
                                     .go_on = go_on,
                                     .context = answer};
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
        status = br_graph_query(task->graph, query, &limits, &epoch, put_rows, answer, &why);
        if (status == BR_OK)
            br_buffer_printf(&answer->part, "{\"rows\":%" PRIu64 "}\n", answer->rows);
        else
            put_error(answer, why.message);
        br_arena_destroy(&arena);
        make_room(task);
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
    br_buffer_printf(out,
                     ",\"messages\":%" PRIu64 ",\"rows\":%" PRIu64 ",\"quarantined\":%" PRIu64 ",\"ahead\":%" PRIu64,
                     input->messages_total, input->rows_total, input->quarantined_total, input->ahead_total);
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

// S4. Those whose askers have died go when the next worker begins (br_worker_clear_checkpoints).
static enum br_status check_room(const char *folder, const char *name, struct br_error *error) {
    uint32_t count = 0;
    bool same = false;
    DIR *listing = opendir(folder);
    for (const struct dirent *entry; listing != NULL && (entry = readdir(listing)) != NULL;) {
        count += safe_name(entry->d_name);
        same |= strcmp(entry->d_name, name) == 0;
    }
    if (listing != NULL)
        closedir(listing);
    if (same)
        return br_error_set(
            error, BR_FATAL,
            "there is a checkpoint %s already, which its asker removes: ask for another name, or remove "
            "%.3000s/%s",
            name, folder, name);
    if (count >= CHECKPOINTS_MAX)
        return br_error_set(error, BR_FATAL,
                            "%u checkpoints are there already, and no more than %d are made: remove those in %.3000s "
                            "that no replay uses; a worker's start does",
                            count, CHECKPOINTS_MAX, folder);
    return BR_OK;
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
    BR_TRY(check_room(task->options.checkpoint_path, name, error));
    BR_TRY(task_flush(task, error));
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
    int64_t now_us = mono_us(task);
    struct task_turns *turns = &task->turns;
    if (now_us - turns->minute_us >= MINUTE_US)
        turns->minute_us = now_us, turns->held_ms = 0;
    ms = ms < 0 ? 0 : ms > HOLD_MS_MAX ? HOLD_MS_MAX : ms;
    if (ms > HOLD_MS_PER_MINUTE - turns->held_ms)
        ms = HOLD_MS_PER_MINUTE - turns->held_ms;
    turns->held_ms += ms;
    if (now_us + ms * 1000 > task->hold_until.us)
        task->hold_until.us = now_us + ms * 1000;
    task->held = ms > 0 || task->held;
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

// --- turns (S1, S2)

// An answer that can't be sent is the asker's loss, not the task's: it has gone, or the connection has.
static void end_answer(struct answer *answer) {
    struct br_error ignored;
    enum br_status status = send_part(answer, true, &ignored);
    (void)status;
    br_buffer_free(&answer->part);
}

static void answer_one(struct br_task *task, struct br_request *request, enum service service) {
    struct answer answer = {
        .task = task, .request = request, .deadline_us = mono_us(task) + task->options.query_time_us};
    answer_request(&answer, service);
    end_answer(&answer);
}

static void take_turn(struct br_task *task) {
    struct task_turns *turns = &task->turns;
    struct br_request request;
    int64_t began_us = mono_us(task);
    uint32_t kinds = (began_us >= turns->next_us ? ~QUERIES : 0) | (began_us >= turns->next_query_us ? QUERIES : 0);
    if (!br_requests_take(task->options.requests, kinds, (struct br_mono_time){began_us}, &request))
        return;
    answer_one(task, &request, (enum service)request.kind);
    int64_t now_us = mono_us(task), rest_us = REST_FACTOR * (now_us - began_us);
    if (request.kind != SERVICE_QUERY)
        turns->next_us = now_us + rest_us;
    turns->next_query_us = (turns->next_query_us > now_us ? turns->next_query_us : now_us) + rest_us;
}

void task_serve_meanwhile(struct br_task *task, const char *why) {
    struct br_request request;
    char text[TASK_TROUBLE_SIZE + 100];
    snprintf(text, sizeof text, "the worker can't go on now, ask again later: %s", why);
    if (task->options.requests == NULL || task->state == NULL)
        return;
    struct br_mono_time now = {mono_us(task)};
    for (int turn = 0; turn < MEANWHILE_MAX && br_requests_take(task->options.requests, BR_REQUESTS_ALL, now, &request);
         turn++) {
        struct answer answer = {.task = task, .request = &request};
        if ((enum service)request.kind == SERVICE_STATUS)
            br_task_status_json(task, &answer.part);
        else
            put_error(&answer, text);
        end_answer(&answer);
    }
}

enum br_status task_serve(struct br_task *task, struct br_error *error) {
    if (task->options.requests == NULL)
        return BR_OK;
    take_turn(task);
    return br_store_check(br_state_store(task->state), error); // damage that only an asker was told of
}

int64_t br_task_idle_us(const struct br_task *task, int64_t most_us) {
    struct br_requests *requests = task->options.requests;
    int64_t until_us = INT64_MAX;
    if (requests != NULL && br_requests_wait(requests, QUERIES))
        until_us = task->turns.next_query_us;
    if (requests != NULL && task->turns.next_us < until_us && br_requests_wait(requests, ~QUERIES))
        until_us = task->turns.next_us;
    if (until_us == INT64_MAX)
        return most_us;
    int64_t left_us = until_us - mono_us(task);
    return left_us < 0 ? 0 : left_us < most_us ? left_us : most_us;
}
