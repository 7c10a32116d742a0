// SPDX-License-Identifier: Apache-2.0
// braid test: a pipeline over a file of events, on the simulated log, through the very same decode, gates, operators
// and commits.
//
// Events go into one simulated stream in the order of the file, a microsecond apart. An epoch ends where the file says
// {"epoch":true}, every --epoch-rows events, and at the end. {"epoch":true,"clock":"…"} is an epoch with that clock
// reading (now()), whatever the stream's clock shows. What is printed is read back from the output stream, as a
// subscriber would.
#include "base/json.h"
#include "cli/cli.h"
#include "cli/events.h"
#include "cli/expect.h"
#include "cli/relation.h"
#include "processor/codec/decode.h"
#include "processor/expr/datetime.h"
#include "processor/log/simulated.h"
#include "processor/subject.h"
#include "processor/task.h"

#include <inttypes.h>
#include <stdio.h>

#define STREAM "EVENTS"

struct arguments {
    struct br_pipeline_arguments pipeline;
    const char *path, *in, *expect;
    bool changes;
    uint32_t epoch_rows, crash_every;
    double tolerance;
};

// The task's clock: the stream's, but for epochs whose reading is given.
struct reading {
    struct br_clock clock;
    const struct br_clock *stream;
    int64_t given_us; // INT64_MIN: none
};

// A test under way.
struct run {
    const struct arguments *arguments;
    const struct br_pipeline *pipeline;
    struct br_sim *sim;
    struct br_log *feeder, *worker;
    struct br_store *store; // outlives crashes
    struct br_task *task;
    struct br_event_writer *writer;
    struct br_input **inputs; // by table: read the event times of what isn't in the table's own form
    struct br_arena *arena;
    bool clock_given;
    struct reading reading;
    uint32_t starts;
    uint64_t crashed_at;
    size_t line_number;
    struct br_lines lines; // what is printed
    struct br_arena *line_arena;
};

// --- the task, and killing it

static struct br_wall_time read_wall(const struct br_clock *clock) {
    const struct reading *reading = (const struct reading *)clock;
    if (reading->given_us != INT64_MIN)
        return (struct br_wall_time){reading->given_us};
    return reading->stream->wall(reading->stream);
}

static struct br_mono_time read_mono(const struct br_clock *clock) {
    const struct reading *reading = (const struct reading *)clock;
    return reading->stream->mono(reading->stream);
}

static enum br_status open_store(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error) {
    struct run *run = context;
    if (set_aside)
        return br_error_set(error, BR_FATAL, "internal: the state is ahead of the log");
    *ret_store = br_store_share_memory(run->store);
    return BR_OK;
}

static enum br_status start_task(struct run *run, struct br_error *error) {
    char worker[32];
    snprintf(worker, sizeof worker, "test-%u", ++run->starts);
    if (run->worker == NULL)
        run->worker = br_sim_connect(run->sim, false);
    struct br_task_options options = {.pipeline = run->pipeline,
                                      .log = run->worker,
                                      .clock = &run->reading.clock,
                                      .worker = br_arena_strdup(run->line_arena, worker),
                                      .open_store = open_store,
                                      .store_context = run,
                                      .epoch_messages =
                                          run->arguments->epoch_rows != 0 ? run->arguments->epoch_rows : UINT32_MAX,
                                      .flush_interval_us = -1};
    BR_TRY(br_task_create(&options, &run->task, error));
    return br_task_recover(run->task, error);
}

static enum br_status crash(struct run *run, struct br_error *error) {
    run->crashed_at = br_task_epoch(run->task);
    br_task_destroy(&run->task);
    br_log_close(&run->worker);
    return start_task(run, error);
}

// Runs epochs until nothing is left to do.
static enum br_status settle(struct run *run, struct br_error *error) {
    for (bool worked = true; worked;) {
        BR_TRY(br_task_step(run->task, &worked, error));
        uint64_t epoch = br_task_epoch(run->task);
        if (run->arguments->crash_every != 0 && epoch != run->crashed_at && epoch % run->arguments->crash_every == 0) {
            BR_TRY(crash(run, error));
            worked = true;
        }
    }
    return BR_OK;
}

// --- events

// Without clock lines the clock follows the events, so that none is too far in the future; a microsecond an event keeps
// their order.
static void move_clock(struct run *run, struct br_event_time event_time) {
    const struct br_clock *clock = br_sim_clock(run->sim);
    int64_t now_us = clock->wall(clock).us + 1;
    if (!run->clock_given && event_time.us != BR_EVENT_TIME_MIN && event_time.us > now_us)
        now_us = event_time.us;
    br_sim_set_wall(run->sim, (struct br_wall_time){now_us});
}

// The event time as the table will see it, of one event in whatever form; none when it can't be read.
static int64_t lifted_time_us(struct run *run, const struct br_event_message *event, struct br_slice payload) {
    const struct br_table *table = event->table;
    struct br_input **input = &run->inputs[table->index];
    const struct br_event read = {payload, &event->message, table};
    struct br_arena *arena = br_arena_create();
    struct br_batch *row;
    int64_t time_us = BR_EVENT_TIME_MIN;
    if ((*input != NULL || br_input_create(table, true, input, NULL) == BR_OK) &&
        br_input_row_of(*input, &read, arena, &row, NULL) == BR_OK &&
        !br_column_is_null(&row->columns[table->event_time], 0))
        time_us = ((const int64_t *)row->columns[table->event_time].values)[0];
    br_arena_destroy(&arena);
    return time_us;
}

static void raise_time(struct run *run, struct br_event_message *event, struct br_slice payload) {
    int64_t time_us = lifted_time_us(run, event, payload);
    event->time.us = time_us > event->time.us ? time_us : event->time.us;
}

// An older version tells its time after it is lifted, a payload after it is decoded.
static void read_time(struct run *run, struct br_event_message *event) {
    struct br_slice rest = event->message.payload, payload;
    enum br_status status;
    if (event->table->event_time < 0 || event->deletes)
        return;
    if (!event->framed)
        raise_time(run, event, rest);
    while (event->framed && br_delimited_next(&rest, &payload, &status, NULL))
        raise_time(run, event, payload);
}

static enum br_status publish(struct run *run, const struct br_event_line *line, struct br_error *error) {
    struct br_event_message event;
    BR_TRY(br_event_writer_line(run->writer, line, &event, error));
    if (line->has_payload || line->type.len != 0)
        read_time(run, &event);
    move_clock(run, event.time);
    struct br_buffer BR_CLEANUP(br_buffer_free) framed = {0};
    if (event.table->layout == BR_LAYOUT_DELIMITED && !event.deletes && !event.framed) {
        br_buffer_append_varint(&framed, event.message.payload.len);
        br_buffer_append_slice(&framed, event.message.payload);
        event.message.payload = br_buffer_slice(&framed);
    }
    return br_log_publish(run->feeder, &event.message, error);
}

static struct br_slice text_of(struct run *run, const struct br_json *value) {
    return value->kind == BR_JSON_STRING ? br_json_string(value, run->arena) : (struct br_slice){0};
}

static enum br_status read_clock(struct run *run, const struct br_json *value, int64_t *ret_us,
                                 struct br_error *error) {
    if (value->kind == BR_JSON_STRING && br_timestamptz_parse(text_of(run, value), ret_us))
        return BR_OK;
    return br_error_set(error, BR_DATA, "\"clock\" is a time: \"2026-01-01T00:00:00Z\"");
}

static enum br_status end_epoch(struct run *run, int64_t clock_us, struct br_error *error) {
    run->reading.given_us = clock_us;
    enum br_status status = settle(run, error);
    run->reading.given_us = INT64_MIN;
    return status;
}

static enum br_status clock_line(struct run *run, bool epoch, int64_t clock_us, struct br_error *error) {
    if (epoch)
        return end_epoch(run, clock_us, error);
    run->clock_given = true;
    br_sim_set_wall(run->sim, (struct br_wall_time){clock_us});
    return BR_OK;
}

static enum br_status end_of_time(struct run *run, const struct br_json *value, struct br_error *error) {
    if (!br_slice_is(text_of(run, value), "final"))
        return br_error_set(error, BR_DATA, "\"watermark\" can only be \"final\"");
    BR_TRY(settle(run, error));
    br_task_end_of_time(run->task);
    return settle(run, error);
}

static enum br_status run_line(struct run *run, struct br_slice line, struct br_error *error) {
    struct br_json object, value;
    struct br_slice name;
    struct br_event_line event = {0};
    int64_t clock_us = INT64_MIN;
    bool epoch = false;
    br_arena_reset(run->arena);
    BR_TRY(br_json_parse_strictly(line, run->arena, &object, error));
    if (object.kind != BR_JSON_OBJECT)
        return br_error_set(error, BR_DATA, "not an object");
    struct br_json_walk walk = br_json_begin(&object);
    while (br_json_next(&walk, run->arena, &name, &value)) {
        if (br_slice_is(name, "table")) {
            event.table = text_of(run, &value);
        } else if (br_slice_is(name, "type")) {
            event.type = text_of(run, &value);
            event.has_type = value.kind == BR_JSON_STRING;
        } else if (br_slice_is(name, "subject")) {
            event.subject = text_of(run, &value);
        } else if (br_slice_is(name, "framed")) {
            event.framed = value.kind == BR_JSON_TRUE;
        } else if (br_slice_is(name, "op")) {
            event.op = text_of(run, &value);
        } else if (br_slice_is(name, "row")) {
            event.row = value;
            event.has_row = true;
        } else if (br_slice_is(name, "payload")) {
            event.payload = value;
            event.has_payload = true;
        } else if (br_slice_is(name, "clock")) {
            BR_TRY(read_clock(run, &value, &clock_us, error));
        } else if (br_slice_is(name, "epoch")) {
            epoch = true;
        } else if (br_slice_is(name, "watermark")) {
            return end_of_time(run, &value, error);
        } else {
            return br_error_set(error, BR_DATA,
                                "unknown member \"%.*s\"; known are table, row, op, payload, type, subject, framed, "
                                "clock, epoch, watermark",
                                (int)name.len, (const char *)name.ptr);
        }
    }
    if (epoch || clock_us != INT64_MIN)
        return clock_line(run, epoch, clock_us, error);
    return publish(run, &event, error);
}

static enum br_status run_lines(struct run *run, struct br_slice text, struct br_error *error) {
    while (text.len != 0) {
        const uint8_t *end = memchr(text.ptr, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;
        run->line_number++;
        size_t blank = 0;
        while (blank < len && (text.ptr[blank] == ' ' || text.ptr[blank] == '\t' || text.ptr[blank] == '\r'))
            blank++;
        if (blank != len) {
            enum br_status status = run_line(run, (struct br_slice){text.ptr, len}, error);
            if (status != BR_OK)
                return br_error_context(error, "%s:%zu", run->arguments->in, run->line_number);
        }
        len += end != NULL ? 1 : 0;
        text.ptr += len;
        text.len -= len;
    }
    return settle(run, error);
}

// --- what comes out

static enum br_status add_line(struct run *run, struct br_slice line) {
    br_lines_add(&run->lines, br_arena_copy(run->line_arena, line));
    return BR_OK;
}

static enum br_status add_change(void *context, const struct br_view *view, uint64_t epoch, int weight,
                                 struct br_slice row, struct br_error *error) {
    struct run *run = context;
    struct br_buffer BR_CLEANUP(br_buffer_free) line = {0};
    (void)error;
    br_buffer_append_text(&line, "{\"view\":");
    br_json_append_string(br_slice_of(view->name), &line);
    if (epoch != 0)
        br_buffer_printf(&line, ",\"epoch\":%" PRIu64 ",\"weight\":%d", epoch, weight);
    br_buffer_append_text(&line, ",\"row\":");
    br_buffer_append_slice(&line, row);
    br_buffer_append_byte(&line, '}');
    return add_line(run, br_buffer_slice(&line));
}

struct collect {
    struct run *run;
    struct br_relation *relation;
};

static enum br_status collect_row(void *context, const struct br_output_row *row, struct br_error *error) {
    struct collect *collect = context;
    bool changes = collect->run->arguments->changes;
    return br_relation_apply(collect->relation, row, changes ? add_change : NULL, collect->run, error);
}

static enum br_status collect_report(void *context, struct br_slice line, struct br_error *error) {
    struct collect *collect = context;
    (void)error;
    return add_line(collect->run, line);
}

static enum br_status read_outputs(struct run *run, struct br_outputs *outputs, const struct br_outputs_each *each,
                                   struct br_error *error) {
    char stream[256];
    br_task_output_stream(run->pipeline->name, stream, sizeof stream);
    struct br_stream_info info;
    BR_TRY(br_log_stream_info(run->feeder, stream, &info, error));
    if (info.last_sequence == 0)
        return BR_OK;
    struct br_reader *reader;
    BR_TRY(br_reader_open(run->feeder, stream, ">", 1, info.last_sequence, &reader, error));
    enum br_status status = BR_OK;
    uint64_t sequence = 0;
    while (status == BR_OK && sequence < info.last_sequence) {
        const struct br_log_message *messages;
        size_t count;
        status = br_reader_peek(reader, &messages, &count, error);
        for (size_t i = 0; i < count && status == BR_OK; i++) {
            status = br_outputs_read(outputs, &messages[i], each, error);
            sequence = messages[i].sequence;
        }
        if (status == BR_OK && count == 0)
            status = br_error_set(error, BR_FATAL, "internal: the output stream ends early");
        br_reader_consume(reader, count);
        br_reader_release(reader);
    }
    br_reader_close(&reader);
    return status;
}

static enum br_status gather(struct run *run, struct br_error *error) {
    struct collect collect = {.run = run};
    struct br_outputs *outputs = NULL;
    enum br_status status = br_relation_create(run->pipeline, &collect.relation, error);
    if (status == BR_OK)
        status = br_outputs_create(run->pipeline, &outputs, error);
    struct br_outputs_each each = {.context = &collect, .row = collect_row, .report = collect_report};
    if (status == BR_OK)
        status = read_outputs(run, outputs, &each, error);
    if (status == BR_OK && !run->arguments->changes)
        status = br_relation_each(collect.relation, add_change, run, error);
    br_outputs_destroy(&outputs);
    br_relation_destroy(&collect.relation);
    return status;
}

static int by_text(const void *a, const void *b) {
    return br_slice_compare(*(const struct br_slice *)a, *(const struct br_slice *)b);
}

// --- the command

static enum br_status open_streams(struct run *run, struct br_error *error) {
    struct br_buffer *filters = br_calloc(run->pipeline->table_count + 1, sizeof *filters);
    const char **subjects = br_calloc(run->pipeline->table_count + 1, sizeof *subjects);
    size_t count = 0;
    for (uint32_t t = 0; t < run->pipeline->table_count; t++) {
        br_subject_filter(run->pipeline->tables[t].subject, &filters[t]);
        bool seen = false;
        for (size_t s = 0; s < count; s++)
            seen |= strcmp(subjects[s], (const char *)filters[t].ptr) == 0;
        if (!seen)
            subjects[count++] = (const char *)filters[t].ptr;
    }
    enum br_status status = count == 0 ? BR_OK : br_sim_add_stream(run->sim, STREAM, subjects, count, error);
    for (uint32_t t = 0; t < run->pipeline->table_count; t++)
        br_buffer_free(&filters[t]);
    free(filters);
    free(subjects);
    return status;
}

static enum br_status run_test(struct run *run, struct br_slice events, struct br_error *error) {
    run->sim = br_sim_create(NULL);
    run->feeder = br_sim_connect(run->sim, false);
    run->store = br_store_create_memory();
    run->inputs = br_calloc(run->pipeline->table_count + 1, sizeof(struct br_input *));
    run->reading = (struct reading){{read_wall, read_mono}, br_sim_clock(run->sim), INT64_MIN};
    BR_TRY(open_streams(run, error));
    BR_TRY(start_task(run, error));
    BR_TRY(run_lines(run, events, error));
    BR_TRY(br_task_stop(run->task, error));
    BR_TRY(gather(run, error));
    if (run->lines.count != 0 && !run->arguments->changes)
        qsort(run->lines.list, run->lines.count, sizeof *run->lines.list, by_text);
    return BR_OK;
}

static void close_run(struct run *run) {
    br_task_destroy(&run->task);
    br_log_close(&run->worker);
    br_log_close(&run->feeder);
    br_store_destroy(&run->store);
    br_sim_destroy(&run->sim);
    for (uint32_t t = 0; run->inputs != NULL && t < run->pipeline->table_count; t++)
        br_input_destroy(&run->inputs[t]);
    free(run->inputs);
    br_event_writer_destroy(&run->writer);
    br_arena_destroy(&run->arena);
}

static int tell(const struct run *run, struct br_error *error) {
    const struct arguments *arguments = run->arguments;
    if (arguments->expect == NULL) {
        for (size_t i = 0; i < run->lines.count; i++)
            printf("%.*s\n", (int)run->lines.list[i].len, (const char *)run->lines.list[i].ptr);
        return BR_EXIT_OK;
    }
    struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
    struct br_buffer BR_CLEANUP(br_buffer_free) diff = {0};
    if (!br_read_file(arguments->expect, &text))
        return BR_EXIT_FAILED;
    struct br_lines want = {0};
    br_lines_split(&want, br_buffer_slice(&text));
    bool same = false;
    enum br_status status = br_expect_compare(&want, &run->lines, arguments->tolerance, &diff, &same, error);
    if (status != BR_OK)
        br_error_context(error, "%s", arguments->expect);
    else if (same)
        printf("%s: %zu lines as expected\n", arguments->path, want.count);
    else
        printf("--- %s (expected)\n+++ %s (given)\n%.*s", arguments->expect, arguments->path, (int)diff.len,
               (const char *)diff.ptr);
    free(want.list);
    if (status != BR_OK)
        return br_fail(error);
    return same ? BR_EXIT_OK : BR_EXIT_NO;
}

enum { KEY_IN = 'i', KEY_EXPECT = 'e', KEY_CHANGES = 'c', KEY_ROWS = 256, KEY_CRASH, KEY_TOLERANCE };

static const struct argp_option options[] = {
    {"in", KEY_IN, "EVENTS.jsonl", 0, "Events, one JSON object a line (- for standard input)", 0},
    {"expect", KEY_EXPECT, "ROWS.jsonl", 0,
     "Compare with these lines; exit 1 and show the difference when there is one", 0},
    {"changes", KEY_CHANGES, NULL, 0, "Print the changes of each epoch instead of the final rows", 0},
    {"epoch-rows", KEY_ROWS, "N", 0, "End an epoch every N events", 0},
    {"crash-every", KEY_CRASH, "N", 0, "Kill and recover the task at every N-th epoch", 0},
    {"tolerance", KEY_TOLERANCE, "X", 0, "Relative tolerance for numbers in --expect (default 0: exact)", 0},
    {0},
};

static uint32_t parse_count(const char *text, const char *what, struct argp_state *state) {
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value == 0 || value > UINT32_MAX)
        argp_error(state, "%s takes a number from 1 on, not '%s'", what, text);
    return (uint32_t)value;
}

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct arguments *arguments = state->input;
    char *end;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->pipeline;
        return 0;
    case KEY_IN:
        arguments->in = argument;
        return 0;
    case KEY_EXPECT:
        arguments->expect = argument;
        return 0;
    case KEY_CHANGES:
        arguments->changes = true;
        return 0;
    case KEY_ROWS:
        arguments->epoch_rows = parse_count(argument, "--epoch-rows", state);
        return 0;
    case KEY_CRASH:
        arguments->crash_every = parse_count(argument, "--crash-every", state);
        return 0;
    case KEY_TOLERANCE:
        arguments->tolerance = strtod(argument, &end);
        if (end == argument || *end != '\0' || !(arguments->tolerance >= 0))
            argp_error(state, "--tolerance takes a number from 0 on, not '%s'", argument);
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->path != NULL)
            argp_error(state, "one PIPELINE.sql, please");
        arguments->path = argument;
        return 0;
    case ARGP_KEY_END:
        if (arguments->path == NULL || arguments->in == NULL)
            argp_error(state, "which PIPELINE.sql, and which events (--in)?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int br_command_test(int argc, char **argv) {
    static const struct argp_child children[] = {{&br_pipeline_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {options,
                                     parse,
                                     "PIPELINE.sql --in EVENTS.jsonl",
                                     "Runs a pipeline over a file of events, without a server, and prints every view's "
                                     "rows, quarantined and late events as JSON lines.",
                                     children,
                                     NULL,
                                     NULL};
    struct arguments arguments = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    struct br_pipeline *pipeline = NULL;
    int code = br_load_pipeline(arguments.path, &arguments.pipeline, false, &pipeline);
    if (code != BR_EXIT_OK)
        return code;
    struct br_buffer BR_CLEANUP(br_buffer_free) events = {0};
    if (!br_read_file(arguments.in, &events)) {
        br_pipeline_destroy(&pipeline);
        return BR_EXIT_FAILED;
    }
    struct run run = {.arguments = &arguments,
                      .pipeline = pipeline,
                      .writer = br_event_writer_create(pipeline),
                      .arena = br_arena_create(),
                      .line_arena = br_arena_create()};
    struct br_error error;
    enum br_status status = run_test(&run, br_buffer_slice(&events), &error);
    code = status == BR_OK ? tell(&run, &error) : br_fail(&error);
    close_run(&run);
    free(run.lines.list);
    br_arena_destroy(&run.line_arena);
    br_pipeline_destroy(&pipeline);
    return code;
}
