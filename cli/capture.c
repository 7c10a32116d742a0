// SPDX-License-Identifier: Apache-2.0
// braid capture: a slice of real history as events of `braid test`.
//
// Events stand in the order in which they were stored, over all tables; clock lines before them give them their stream
// timestamps again. With --epochs they stand epoch by epoch, as the live worker's commits say, and an epoch line ends
// each: an event that belongs to a later epoch waits until the one before is complete. The clock readings of epochs are
// written when something reads them (now(), emit_interval).
#include "braid/v1/commit.pb-c.h"
#include "cli/capture_lines.h"
#include "cli/cli.h"
#include "processor/commit_newest.h"
#include "processor/expr/datetime.h"
#include "processor/task.h"
#include "replay/span.h"

#include <inttypes.h>
#include <stdio.h>

#define FLUSH_BYTES ((size_t)1 << 20)

struct arguments {
    struct br_pipeline_arguments pipeline;
    struct br_connect_options connect;
    const char *path, *tables, *from, *to, *key;
    bool epochs;
};

struct epoch_end {
    uint64_t number;
    struct br_wall_time clock;
    uint64_t *last; // by table: the last sequence of its own stream
};

struct waiting { // for its epoch
    uint32_t epoch;
    int64_t stored_us;
    struct br_slice lines; // own memory
};

struct capture {
    const struct arguments *arguments;
    const struct br_pipeline *pipeline;
    struct br_log *log;
    bool *chosen; // tables
    struct br_condition **conditions;
    struct br_capture_lines *lines;
    struct br_span *span;
    struct br_arena *arena;
    struct br_buffer out, event;
    int64_t wall_us; // the clock of the test at this line
    bool clock_matters;
    // --epochs
    struct epoch_end *epochs;
    uint32_t epoch_count, epoch_capacity, current;
    uint64_t *seen; // by table: the last sequence that went by
    bool any_in_epoch;
    struct waiting *waiting;
    uint32_t waiting_count, waiting_capacity;
};

// --- what is written
static enum br_status flush(struct capture *capture, struct br_error *error) {
    bool good = fwrite(capture->out.ptr, 1, capture->out.len, stdout) == capture->out.len;
    br_buffer_clear(&capture->out);
    if (good && fflush(stdout) == 0)
        return BR_OK;
    return br_error_set(error, BR_FATAL, "standard output can't be written");
}

static void put_time(struct br_buffer *out, int64_t us) {
    char text[64];
    size_t len = br_timestamptz_print(us, true, text);
    br_buffer_printf(out, "\"clock\":\"%.*s\"}\n", (int)len, text);
}

// `braid test` stores each event a microsecond after the clock.
static enum br_status put_event(struct capture *capture, int64_t stored_us, struct br_slice lines,
                                struct br_error *error) {
    if (stored_us > capture->wall_us + 1) {
        capture->wall_us = stored_us - 1;
        br_buffer_append_byte(&capture->out, '{');
        put_time(&capture->out, capture->wall_us);
    }
    for (size_t i = 0; i < lines.len; i++)
        capture->wall_us += lines.ptr[i] == '\n';
    br_buffer_append_slice(&capture->out, lines);
    capture->any_in_epoch = true;
    return capture->out.len > FLUSH_BYTES ? flush(capture, error) : BR_OK;
}

// --- epochs
static void end_epoch(struct capture *capture) {
    const struct epoch_end *epoch = &capture->epochs[capture->current++];
    bool begun = capture->wall_us != INT64_MIN; // before the first event there is nothing to end
    if (capture->clock_matters && begun) {
        br_buffer_append_text(&capture->out, "{\"epoch\":true,");
        put_time(&capture->out, epoch->clock.us);
    } else if (capture->any_in_epoch) {
        br_buffer_append_text(&capture->out, "{\"epoch\":true}\n");
    }
    capture->any_in_epoch = false;
}

static bool complete(const struct capture *capture) {
    const struct epoch_end *epoch = &capture->epochs[capture->current];
    const struct br_span_input *inputs = br_span_inputs(capture->span);
    for (uint32_t t = 0; t < capture->pipeline->table_count; t++)
        if (inputs[t].table != NULL && !inputs[t].done && epoch->last[t] >= inputs[t].first &&
            capture->seen[t] < epoch->last[t])
            return false;
    return true;
}

// What waited for the epoch that begins now, in the order in which it came.
static enum br_status put_waiting(struct capture *capture, struct br_error *error) {
    uint32_t kept = 0;
    enum br_status status = BR_OK;
    for (uint32_t i = 0; i < capture->waiting_count; i++) {
        struct waiting *waiting = &capture->waiting[i];
        if (waiting->epoch != capture->current || status != BR_OK) {
            capture->waiting[kept++] = *waiting;
            continue;
        }
        status = put_event(capture, waiting->stored_us, waiting->lines, error);
        free((void *)(uintptr_t)waiting->lines.ptr);
    }
    capture->waiting_count = kept;
    return status;
}

static enum br_status pass_epochs(struct capture *capture, bool all, struct br_error *error) {
    while (capture->current < capture->epoch_count && (all || complete(capture))) {
        if (all && capture->waiting_count == 0 && !capture->any_in_epoch)
            return BR_OK; // nothing follows
        end_epoch(capture);
        BR_TRY(put_waiting(capture, error));
    }
    return BR_OK;
}

static uint32_t epoch_of(const struct capture *capture, uint32_t table, uint64_t sequence) {
    uint32_t low = 0, high = capture->epoch_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (capture->epochs[middle].last[table] < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void wait_for_epoch(struct capture *capture, uint32_t epoch, int64_t stored_us, struct br_slice lines) {
    if (capture->waiting_count == capture->waiting_capacity) {
        capture->waiting_capacity = capture->waiting_capacity == 0 ? 256 : capture->waiting_capacity * 2;
        capture->waiting = br_realloc(capture->waiting, capture->waiting_capacity * sizeof *capture->waiting);
    }
    uint8_t *copy = br_alloc(lines.len + 1);
    memcpy(copy, lines.ptr, lines.len);
    capture->waiting[capture->waiting_count++] = (struct waiting){epoch, stored_us, {copy, lines.len}};
}

// --- the commits
static enum br_status add_epoch(struct capture *capture, const struct br_log_message *message, struct br_error *error) {
    Braid__V1__Commit *commit;
    BR_TRY(br_commit_of(capture->pipeline->name, message, &commit, error));
    if (commit == NULL)
        return BR_OK; // X22
    if (commit->part == commit->parts) {
        if (capture->epoch_count == capture->epoch_capacity) {
            capture->epoch_capacity = capture->epoch_capacity == 0 ? 1024 : capture->epoch_capacity * 2;
            capture->epochs = br_realloc(capture->epochs, capture->epoch_capacity * sizeof *capture->epochs);
        }
        struct epoch_end *epoch = &capture->epochs[capture->epoch_count];
        *epoch = (struct epoch_end){.number = commit->epoch, .clock = {commit->clock_us}};
        epoch->last = br_arena_array(capture->arena, uint64_t, capture->pipeline->table_count + 1);
        for (size_t i = 0; i < commit->n_inputs; i++) {
            const Braid__V1__InputPosition *input = commit->inputs[i];
            const struct br_table *table = br_pipeline_find_table(capture->pipeline, input->table);
            if (table != NULL && input->last_sequence > input->prehistory)
                epoch->last[table->index] =
                    input->last_sequence - input->prehistory + br_span_inputs(capture->span)[table->index].prehistory;
        }
        for (uint32_t t = 0; capture->epoch_count > 0 && t < capture->pipeline->table_count; t++)
            if (epoch->last[t] < epoch[-1].last[t]) // a table that this plan didn't have
                epoch->last[t] = epoch[-1].last[t];
        capture->epoch_count++;
    }
    braid__v1__commit__free_unpacked(commit, NULL);
    return BR_OK;
}

static enum br_status read_commits(struct capture *capture, struct br_error *error) {
    char stream[256], subject[300];
    struct br_stream_info info;
    struct br_newest_commit newest;
    br_task_output_stream(capture->pipeline->name, stream, sizeof stream);
    br_task_owner_subject(capture->pipeline->name, subject, sizeof subject);
    BR_TRY(br_log_stream_info(capture->log, stream, &info, error));
    BR_TRY(br_commit_newest(capture->log, capture->pipeline->name, subject, &newest, error));
    br_commit_cleanup(&newest.commit);
    if (newest.sequence == 0)
        return br_error_set(error, BR_FATAL, "pipeline %s has no commits yet: there are no epochs to follow",
                            capture->pipeline->name);
    struct br_reader *reader;
    BR_TRY(br_reader_open(capture->log, stream, subject, 1, newest.sequence, &reader, error));
    enum br_status status = BR_OK;
    for (uint64_t at = 0; status == BR_OK && at < newest.sequence;) {
        const struct br_log_message *messages;
        size_t count = 0;
        status = br_reader_peek(reader, &messages, &count, error);
        for (size_t i = 0; i < count && status == BR_OK; i++) {
            status = add_epoch(capture, &messages[i], error);
            at = messages[i].sequence;
        }
        br_reader_consume(reader, count);
        br_reader_release(reader);
        if (status == BR_OK && br_flag_is_set(&br_stop_requested))
            status = br_error_set(error, BR_RETRY, "interrupted");
        if (count == 0)
            br_log_wait(capture->log, 20000);
    }
    br_reader_close(&reader);
    return status;
}

// --- does anything read the clock?
static bool lists_read_clock(struct br_expr *const *exprs, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (exprs[i] != NULL && br_expr_reads_clock(exprs[i]))
            return true;
    return false;
}

static bool table_reads_clock(const struct br_table *table) {
    bool reads = false;
    for (uint32_t c = 0; c < table->row_type.column_count; c++)
        reads |= lists_read_clock(&table->row_type.columns[c].default_value, 1);
    for (uint32_t c = 0; c < table->check_count; c++)
        reads |= lists_read_clock(&table->checks[c].condition, 1);
    for (uint32_t v = 0; v < table->version_count; v++)
        for (uint32_t s = 0; s < table->versions[v].step_count; s++) {
            bool last = s + 1 == table->versions[v].step_count;
            const struct br_row_type *to = last ? &table->row_type : table->versions[v].steps[s + 1].from;
            reads |= lists_read_clock(table->versions[v].steps[s].exprs, to->column_count);
        }
    return reads;
}

static bool reads_clock(const struct br_pipeline *pipeline) {
    bool reads = false;
    for (uint32_t t = 0; t < pipeline->table_count; t++)
        reads |= table_reads_clock(&pipeline->tables[t]);
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        reads |= pipeline->views[v].emit_interval_us != 0;
    for (uint32_t n = 0; n < pipeline->node_count; n++) {
        struct br_node *node = pipeline->nodes[n];
        reads |= node->kind == BR_NODE_FILTER && lists_read_clock(&node->filter.predicate, 1);
        reads |= node->kind == BR_NODE_PROJECT && lists_read_clock(node->project.exprs, node->field_count);
        reads |= node->kind == BR_NODE_JOIN && lists_read_clock(&node->join.residual, 1);
    }
    return reads;
}

// --- the slice
static enum br_status take(struct capture *capture, uint32_t t, const struct br_log_message *message,
                           struct br_error *error) {
    br_buffer_clear(&capture->event);
    BR_TRY(br_capture_lines_add(capture->lines, &capture->pipeline->tables[t], message, &capture->event, error));
    uint32_t epoch = capture->arguments->epochs ? epoch_of(capture, t, message->sequence) : 0;
    capture->seen[t] = message->sequence;
    if (capture->event.len != 0 && (!capture->arguments->epochs || epoch <= capture->current))
        BR_TRY(put_event(capture, message->timestamp.us, br_buffer_slice(&capture->event), error));
    else if (capture->event.len != 0)
        wait_for_epoch(capture, epoch, message->timestamp.us, br_buffer_slice(&capture->event));
    return capture->arguments->epochs ? pass_epochs(capture, false, error) : BR_OK;
}

// The messages of a turn, merged by their timestamps; tables with a key win ties.
static enum br_status take_turn(struct capture *capture, size_t *at, struct br_error *error) {
    const struct br_span_input *inputs = br_span_inputs(capture->span);
    const uint32_t *order = br_span_order(capture->span);
    uint32_t count = capture->pipeline->table_count;
    memset(at, 0, count * sizeof *at);
    for (;;) {
        int64_t best = -1;
        for (uint32_t o = 0; o < count; o++) {
            uint32_t t = order[o];
            if (at[t] < inputs[t].count &&
                (best < 0 || inputs[t].messages[at[t]].timestamp.us < inputs[best].messages[at[best]].timestamp.us))
                best = t;
        }
        if (best < 0)
            return BR_OK;
        BR_TRY(take(capture, (uint32_t)best, &inputs[best].messages[at[best]++], error));
    }
}

static enum br_status open_span(struct capture *capture, struct br_error *error) {
    const struct br_clock *clock = br_clock_system();
    struct br_span_options options = {.pipeline = capture->pipeline,
                                      .log = capture->log,
                                      .tables = capture->chosen,
                                      .whole_keyed_tables = true,
                                      .stop = &br_stop_requested};
    if (capture->arguments->from != NULL)
        BR_TRY(br_span_bound_parse(capture->arguments->from, clock->wall(clock), &options.from, error));
    if (capture->arguments->to != NULL)
        BR_TRY(br_span_bound_parse(capture->arguments->to, clock->wall(clock), &options.to, error));
    return br_span_open(&options, &capture->span, error);
}

static enum br_status run(struct capture *capture, struct br_error *error) {
    BR_TRY(open_span(capture, error));
    if (capture->arguments->epochs)
        BR_TRY(read_commits(capture, error)); // after the span's ends are fixed: what is later has no events in it
    const struct br_span_input *inputs = br_span_inputs(capture->span);
    capture->current = capture->epoch_count;
    for (uint32_t t = 0; t < capture->pipeline->table_count; t++)
        if (inputs[t].table != NULL && epoch_of(capture, t, inputs[t].first) < capture->current)
            capture->current = epoch_of(capture, t, inputs[t].first);
    size_t *at = br_arena_array(capture->arena, size_t, capture->pipeline->table_count + 1);
    bool any = true;
    enum br_status status = BR_OK;
    while (status == BR_OK && (status = br_span_next(capture->span, &any, error)) == BR_OK && any)
        status = take_turn(capture, at, error);
    if (status == BR_OK && capture->arguments->epochs)
        status = pass_epochs(capture, true, error);
    return status == BR_OK ? flush(capture, error) : status;
}

// --- the command
static bool choose_tables(struct capture *capture) {
    const struct br_pipeline *pipeline = capture->pipeline;
    const char *list = capture->arguments->tables;
    for (uint32_t t = 0; t < pipeline->table_count && list == NULL; t++)
        capture->chosen[t] = true;
    for (const char *name = list; name != NULL && *name != '\0';) {
        size_t len = strcspn(name, ",");
        const struct br_table *table = br_pipeline_find_table(pipeline, br_arena_strndup(capture->arena, name, len));
        if (table == NULL) {
            br_complain("pipeline %s has no table \"%.*s\"", pipeline->name, (int)len, name);
            return false;
        }
        capture->chosen[table->index] = true;
        name += len + (name[len] == ',' ? 1 : 0);
    }
    return true;
}

static bool bind_key(struct capture *capture) {
    const char *key = capture->arguments->key;
    bool good = true;
    for (uint32_t t = 0; key != NULL && good && t < capture->pipeline->table_count; t++) {
        const struct br_table *table = &capture->pipeline->tables[t];
        if (!capture->chosen[t])
            continue;
        struct br_diagnostics *diagnostics = br_diagnostics_create("--key", key);
        struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
        struct br_error error;
        good = br_condition_bind(capture->pipeline, table, key, diagnostics, &capture->conditions[t], &error) == BR_OK;
        br_diagnostics_print(diagnostics, false, &text);
        if (!good)
            fprintf(stderr, "%.*s", (int)text.len, (const char *)text.ptr);
        if (!good && capture->arguments->tables == NULL)
            br_complain("the condition doesn't fit table %s; --table says which tables to write", table->name);
        br_diagnostics_destroy(&diagnostics);
    }
    return good;
}

static void tell(const struct capture *capture) {
    const struct br_capture_counts *counts = br_capture_lines_counts(capture->lines);
    for (uint32_t t = 0; t < capture->pipeline->table_count; t++) {
        if (!capture->chosen[t])
            continue;
        fprintf(stderr, "braid: table %s: %" PRIu64 " events", capture->pipeline->tables[t].name,
                counts[t].rows + counts[t].bytes);
        if (counts[t].bytes != 0)
            fprintf(stderr, ", %" PRIu64 " of them as bytes", counts[t].bytes);
        if (counts[t].left_out != 0)
            fprintf(stderr, "; %" PRIu64 " left out by --key", counts[t].left_out);
        fputc('\n', stderr);
    }
}

static void close_capture(struct capture *capture) {
    br_span_close(&capture->span);
    br_capture_lines_destroy(&capture->lines);
    for (uint32_t t = 0; t < capture->pipeline->table_count; t++)
        br_condition_destroy(&capture->conditions[t]);
    for (uint32_t i = 0; i < capture->waiting_count; i++)
        free((void *)(uintptr_t)capture->waiting[i].lines.ptr);
    free(capture->waiting);
    free(capture->epochs);
    br_buffer_free(&capture->out);
    br_buffer_free(&capture->event);
    br_log_close(&capture->log);
    br_arena_destroy(&capture->arena);
}

static int capture_slice(const struct arguments *arguments, const struct br_pipeline *pipeline) {
    struct capture capture = {
        .arguments = arguments, .pipeline = pipeline, .arena = br_arena_create(), .wall_us = INT64_MIN};
    struct br_error error;
    capture.chosen = br_arena_array(capture.arena, bool, pipeline->table_count + 1);
    capture.seen = br_arena_array(capture.arena, uint64_t, pipeline->table_count + 1);
    capture.conditions = br_arena_array(capture.arena, struct br_condition *, pipeline->table_count + 1);
    capture.clock_matters = arguments->epochs && reads_clock(pipeline);
    int code = choose_tables(&capture) && bind_key(&capture) ? BR_EXIT_OK : BR_EXIT_NO;
    capture.lines = br_capture_lines_create(pipeline, capture.conditions);
    if (code == BR_EXIT_OK) {
        capture.log = br_connect(&arguments->connect);
        code = capture.log == NULL ? BR_EXIT_FAILED : BR_EXIT_OK;
    }
    if (code == BR_EXIT_OK) {
        enum br_status status = run(&capture, &error);
        code = status == BR_OK ? BR_EXIT_OK : br_fail(&error);
        if (status == BR_OK)
            tell(&capture);
        else if (br_flag_is_set(&br_stop_requested))
            code = BR_EXIT_INTERRUPTED;
    }
    close_capture(&capture);
    return code;
}

enum { KEY_TABLE = 't', KEY_FROM = 256, KEY_TO, KEY_KEY, KEY_EPOCHS };

static const struct argp_option options[] = {
    {"table", KEY_TABLE, "TABLE,…", 0, "These tables (default: all)", 0},
    {"from", KEY_FROM, "WHERE", 0,
     "From here on: a sequence of each table's stream, a time, '2 hours ago'. Tables with a key are written from their "
     "beginning",
     0},
    {"to", KEY_TO, "WHERE", 0, "Up to here, included (default: what is there now)", 0},
    {"key", KEY_KEY, "CONDITION", 0, "Only events whose row meets this SQL condition: \"region = 'EU'\"", 0},
    {"epochs", KEY_EPOCHS, NULL, 0, "End epochs where the live worker ended them", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->pipeline;
        state->child_inputs[1] = &arguments->connect;
        return 0;
    case KEY_TABLE:
        arguments->tables = argument;
        return 0;
    case KEY_FROM:
        arguments->from = argument;
        return 0;
    case KEY_TO:
        arguments->to = argument;
        return 0;
    case KEY_KEY:
        arguments->key = argument;
        return 0;
    case KEY_EPOCHS:
        arguments->epochs = true;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->path != NULL)
            argp_error(state, "one PIPELINE.sql, please");
        arguments->path = argument;
        return 0;
    case ARGP_KEY_END:
        if (arguments->path == NULL)
            argp_error(state, "which PIPELINE.sql?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int br_command_capture(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&br_pipeline_argp, 0, NULL, 0}, {&br_connect_argp, 0, "Server:", 2}, {0}};
    static const struct argp argp = {options,
                                     parse,
                                     "PIPELINE.sql",
                                     "Writes a slice of the history of a pipeline's tables as events that braid test "
                                     "--in takes, to standard output.",
                                     children,
                                     NULL,
                                     NULL};
    struct arguments arguments = {0};
    br_connect_defaults(&arguments.connect, "braid capture");
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    struct br_pipeline_options loading = br_pipeline_options_of(&arguments.pipeline);
    loading.conditions = &arguments.key;
    loading.condition_count = arguments.key != NULL ? 1 : 0;
    struct br_pipeline *pipeline = NULL;
    int code = br_load_known_pipeline(arguments.path, &loading, &arguments.connect, false, &pipeline);
    if (code != BR_EXIT_OK)
        return code;
    br_catch_signals();
    code = capture_slice(&arguments, pipeline);
    br_pipeline_destroy(&pipeline);
    return code;
}
