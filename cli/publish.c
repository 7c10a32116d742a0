// SPDX-License-Identifier: Apache-2.0
// braid publish: JSON lines or CSV → events on the tables' subjects, acknowledged by the server.
//
// With a TABLE, each line is a row of it (JSON object, or CSV under a header line). Without, each line is an event as
// `braid test` reads them, of any table. On a table WITH (layout = 'delimited') rows are packed into messages of up to
// 64 KiB.
#include "cli/cli.h"
#include "cli/csv.h"
#include "cli/events.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define FRAME_SIZE_MAX ((size_t)64 << 10)
#define TELL_EVERY_US 500000

struct arguments {
    struct br_pipeline_arguments pipeline;
    struct br_connect_options connect;
    const char *words[3];
    int word_count;
    const char *type, *format;
    double rate;
    bool create, deletes, quiet;
};

struct publish {
    const struct arguments *arguments;
    const struct br_pipeline *pipeline;
    struct br_log *log;
    struct br_event_writer *writer;
    struct br_arena *arena;
    struct br_buffer frame, frame_subject; // rows of a delimited table that wait for their message
    struct br_buffer frame_type;
    uint64_t rows, messages;
    size_t read, size; // bytes of the input
    int64_t started_us, told_us;
    const char *path;
    uint64_t line_number;
};

static int64_t now_us(void) {
    return br_clock_system()->mono(br_clock_system()).us;
}

// --- sending

static enum br_status send_frame(struct publish *publish, struct br_error *error) {
    if (publish->frame.len == 0)
        return BR_OK;
    struct br_log_header type = {br_slice_of("ce-type"), br_buffer_slice(&publish->frame_type)};
    struct br_log_message message = {.subject = br_buffer_slice(&publish->frame_subject),
                                     .payload = br_buffer_slice(&publish->frame),
                                     .headers = &type,
                                     .header_count = publish->frame_type.len != 0 ? 1 : 0};
    BR_TRY(br_log_publish(publish->log, &message, error));
    publish->messages++;
    br_buffer_clear(&publish->frame);
    return BR_OK;
}

static struct br_slice type_of(const struct br_log_message *message) {
    return message->header_count != 0 && br_slice_is(message->headers[0].name, "ce-type") ? message->headers[0].value
                                                                                          : (struct br_slice){0};
}

static enum br_status add_to_frame(struct publish *publish, const struct br_log_message *message,
                                   struct br_error *error) {
    struct br_slice type = type_of(message);
    if (publish->frame.len + message->payload.len + BR_VARINT_SIZE_MAX > FRAME_SIZE_MAX ||
        !br_slice_equal(message->subject, br_buffer_slice(&publish->frame_subject)) ||
        !br_slice_equal(type, br_buffer_slice(&publish->frame_type)))
        BR_TRY(send_frame(publish, error));
    if (publish->frame.len == 0) {
        br_buffer_clear(&publish->frame_subject);
        br_buffer_append_slice(&publish->frame_subject, message->subject);
        br_buffer_clear(&publish->frame_type);
        br_buffer_append_slice(&publish->frame_type, type);
    }
    br_buffer_append_varint(&publish->frame, message->payload.len);
    br_buffer_append_slice(&publish->frame, message->payload);
    return BR_OK;
}

static void tell(struct publish *publish, bool last) {
    if (publish->arguments->quiet || (!last && !isatty(STDERR_FILENO)))
        return;
    int64_t at_us = now_us();
    if (!last && at_us - publish->told_us < TELL_EVERY_US)
        return;
    publish->told_us = at_us;
    double seconds = (double)(at_us - publish->started_us) / 1e6;
    double rate = seconds > 0 ? (double)publish->rows / seconds : 0;
    if (last)
        fprintf(stderr, "%sbraid: %" PRIu64 " rows in %" PRIu64 " messages published, %.0f rows/s\n",
                isatty(STDERR_FILENO) ? "\r\033[K" : "", publish->rows, publish->messages, rate);
    else if (publish->size != 0)
        fprintf(stderr, "\r\033[K%3.0f %%  %" PRIu64 " rows  %.0f rows/s",
                100.0 * (double)publish->read / (double)publish->size, publish->rows, rate);
}

// Holds the rate: row n goes out n / rate seconds after the start.
static void pace(const struct publish *publish) {
    if (publish->arguments->rate <= 0)
        return;
    int64_t due_us = publish->started_us + (int64_t)((double)publish->rows / publish->arguments->rate * 1e6);
    int64_t wait_us = due_us - now_us();
    if (wait_us < 1000)
        return;
    struct timespec wait = {wait_us / 1000000, wait_us % 1000000 * 1000};
    nanosleep(&wait, NULL);
}

static enum br_status send_event(struct publish *publish, const struct br_event_message *event,
                                 struct br_error *error) {
    publish->rows++;
    if (event->table->layout == BR_LAYOUT_DELIMITED && !event->deletes) {
        BR_TRY(add_to_frame(publish, &event->message, error));
    } else {
        BR_TRY(send_frame(publish, error)); // order is kept
        BR_TRY(br_log_publish(publish->log, &event->message, error));
        publish->messages++;
    }
    if (publish->arguments->rate > 0 && publish->arguments->rate < 1000) {
        BR_TRY(send_frame(publish, error)); // a slow feed isn't held back to fill a frame
        BR_TRY(br_log_publish_flush(publish->log, error));
    }
    pace(publish);
    tell(publish, false);
    return BR_OK;
}

// --- reading

static enum br_status read_event_line(struct publish *publish, struct br_slice line, struct br_error *error) {
    struct br_json object, value;
    struct br_slice name;
    struct br_event_line event = {0};
    BR_TRY(br_json_parse_strictly(line, publish->arena, &object, error));
    if (object.kind != BR_JSON_OBJECT)
        return br_error_set(error, BR_DATA, "not an object");
    struct br_json_walk walk = br_json_begin(&object);
    while (br_json_next(&walk, publish->arena, &name, &value)) {
        struct br_slice text =
            value.kind == BR_JSON_STRING ? br_json_string(&value, publish->arena) : (struct br_slice){0};
        if (br_slice_is(name, "table"))
            event.table = text;
        else if (br_slice_is(name, "type"))
            event.type = text;
        else if (br_slice_is(name, "op"))
            event.op = text;
        else if (br_slice_is(name, "row")) {
            event.row = value;
            event.has_row = true;
        } else if (br_slice_is(name, "payload")) {
            event.payload = value;
            event.has_payload = true;
        } else if (br_slice_is(name, "clock") || br_slice_is(name, "epoch") || br_slice_is(name, "watermark")) {
            return BR_OK; // of tests only: here the worker and the server's clock decide
        } else {
            return br_error_set(error, BR_DATA, "unknown member \"%.*s\"; known are table, row, op, payload, type",
                                (int)name.len, (const char *)name.ptr);
        }
    }
    struct br_event_message message;
    BR_TRY(br_event_writer_line(publish->writer, &event, &message, error));
    return send_event(publish, &message, error);
}

struct target {
    const struct br_table *table;
    uint32_t version;
    struct br_row_writer *rows;
};

static enum br_status send_row(struct publish *publish, const struct target *target, struct br_error *error) {
    struct br_event_message event;
    BR_TRY(br_event_writer_row(publish->writer, target->table, target->version, publish->arguments->deletes, &event,
                               error));
    return send_event(publish, &event, error);
}

static enum br_status publish_lines(struct publish *publish, const struct target *target, struct br_slice text,
                                    struct br_error *error) {
    while (text.len != 0 && !br_stop_requested) {
        const uint8_t *end = memchr(text.ptr, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;
        struct br_slice line = {text.ptr, len};
        while (line.len != 0 && (line.ptr[line.len - 1] == '\r' || line.ptr[line.len - 1] == ' '))
            line.len--;
        publish->line_number++;
        enum br_status status = BR_OK;
        br_arena_reset(publish->arena);
        if (line.len != 0 && target == NULL) {
            status = read_event_line(publish, line, error);
        } else if (line.len != 0) {
            br_row_writer_begin(target->rows);
            status = br_row_writer_read_json(target->rows, line, error);
            if (status == BR_OK)
                status = send_row(publish, target, error);
        }
        if (status != BR_OK)
            return br_error_context(error, "%s:%" PRIu64, publish->path, publish->line_number);
        len += end != NULL ? 1 : 0;
        text.ptr += len;
        text.len -= len;
        publish->read += len;
    }
    return BR_OK;
}

static enum br_status publish_csv(struct publish *publish, const struct target *target, struct br_slice text,
                                  struct br_error *error) {
    struct br_csv csv = br_csv_begin(text);
    const struct br_row_type *type = target->table->versions[target->version].row_type;
    uint32_t columns[BR_CSV_FIELDS_MAX];
    enum br_status status = br_csv_next(&csv, error);
    uint32_t header_count = csv.field_count;
    for (uint32_t f = 0; status == BR_OK && f < header_count; f++) {
        uint32_t c = 0;
        while (c < type->column_count && !br_slice_is(csv.fields[f].text, type->columns[c].name))
            c++;
        if (c == type->column_count)
            status = br_error_set(error, BR_DATA, "the header names \"%.*s\", which is no column of %s",
                                  (int)csv.fields[f].text.len, (const char *)csv.fields[f].text.ptr, type->name);
        columns[f] = c;
    }
    while (status == BR_OK && !br_stop_requested && (status = br_csv_next(&csv, error)) == BR_OK &&
           csv.field_count != 0) {
        if (csv.field_count != header_count)
            status = br_error_set(error, BR_DATA, "%u fields, but the header has %u", csv.field_count, header_count);
        if (status == BR_OK)
            br_row_writer_begin(target->rows);
        for (uint32_t f = 0; status == BR_OK && f < header_count; f++)
            status = br_row_writer_read_text(target->rows, columns[f], csv.fields[f].text, csv.fields[f].quoted, error);
        if (status == BR_OK)
            status = send_row(publish, target, error);
        publish->read = text.len - csv.rest.len;
    }
    if (status != BR_OK)
        br_error_context(error, "%s:%" PRIu64, publish->path, csv.line);
    br_csv_end(&csv);
    return status;
}

// --- the command

static int find_target(struct publish *publish, const char *name, struct target *target, struct br_error *error) {
    const struct arguments *arguments = publish->arguments;
    target->table = br_pipeline_find_table(publish->pipeline, name);
    if (target->table == NULL) {
        br_complain("pipeline %s has no table \"%s\"", publish->pipeline->name, name);
        return BR_EXIT_NO;
    }
    int32_t version =
        br_find_version(target->table, arguments->type != NULL ? br_slice_of(arguments->type) : (struct br_slice){0});
    if (version < 0) {
        br_complain("table %s knows no event type \"%s\"", name, arguments->type);
        return BR_EXIT_NO;
    }
    target->version = (uint32_t)version;
    if (br_event_writer_rows(publish->writer, target->table, target->version, &target->rows, error) != BR_OK)
        return br_fail(error);
    return BR_EXIT_OK;
}

static int run(struct publish *publish, const char *table) {
    const struct arguments *arguments = publish->arguments;
    struct br_error error;
    struct target target = {0};
    struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
    if (table != NULL) {
        int code = find_target(publish, table, &target, &error);
        if (code != BR_EXIT_OK)
            return code;
    }
    if (!br_read_file(publish->path, &text))
        return BR_EXIT_FAILED;
    publish->log = br_connect_control(&arguments->connect);
    if (publish->log == NULL)
        return BR_EXIT_FAILED;
    publish->size = text.len;
    publish->started_us = now_us();
    size_t path_len = strlen(publish->path);
    bool csv = arguments->format != NULL ? strcmp(arguments->format, "csv") == 0
                                         : path_len > 4 && strcmp(publish->path + path_len - 4, ".csv") == 0;
    if (csv && table == NULL) {
        br_complain("CSV is rows of one table: which TABLE?");
        return BR_EXIT_USAGE;
    }
    enum br_status status = BR_OK;
    if (arguments->create)
        status = br_make_input_streams(publish->log, publish->pipeline, &error);
    if (status == BR_OK)
        status = csv ? publish_csv(publish, &target, br_buffer_slice(&text), &error)
                     : publish_lines(publish, table != NULL ? &target : NULL, br_buffer_slice(&text), &error);
    if (status == BR_OK)
        status = send_frame(publish, &error);
    struct br_error flush_error;
    enum br_status flushed = br_log_publish_flush(publish->log, &flush_error);
    tell(publish, true);
    if (status != BR_OK)
        return br_fail(&error);
    if (flushed != BR_OK)
        return br_fail(&flush_error);
    return br_stop_requested ? BR_EXIT_INTERRUPTED : BR_EXIT_OK;
}

enum { KEY_TYPE = 256, KEY_FORMAT, KEY_RATE, KEY_CREATE, KEY_DELETE };

static const struct argp_option options[] = {
    {"type", KEY_TYPE, "NAME", 0, "The rows are events of this type (an older version that CREATE CAST lifts)", 0},
    {"format", KEY_FORMAT, "FORMAT", 0, "jsonl or csv (default: by the file's name, else jsonl)", 0},
    {"rate", KEY_RATE, "N", 0, "At most N rows a second", 0},
    {"create", KEY_CREATE, NULL, 0, "Make the streams for the tables' subjects when there are none", 0},
    {"delete", KEY_DELETE, NULL, 0, "The rows are deletes: only the primary key matters", 0},
    {"quiet", 'q', NULL, 0, "No progress, no summary", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct arguments *arguments = state->input;
    char *end;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->pipeline;
        state->child_inputs[1] = &arguments->connect;
        return 0;
    case KEY_TYPE:
        arguments->type = argument;
        return 0;
    case KEY_FORMAT:
        if (strcmp(argument, "csv") != 0 && strcmp(argument, "jsonl") != 0)
            argp_error(state, "--format is jsonl or csv, not '%s'", argument);
        arguments->format = argument;
        return 0;
    case KEY_RATE:
        arguments->rate = strtod(argument, &end);
        if (end == argument || *end != '\0' || !(arguments->rate > 0))
            argp_error(state, "--rate takes a number above 0, not '%s'", argument);
        return 0;
    case KEY_CREATE:
        arguments->create = true;
        return 0;
    case KEY_DELETE:
        arguments->deletes = true;
        return 0;
    case 'q':
        arguments->quiet = true;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->word_count == 3)
            argp_error(state, "PIPELINE.sql, a TABLE and a FILE, please");
        arguments->words[arguments->word_count++] = argument;
        return 0;
    case ARGP_KEY_END:
        if (arguments->word_count < 2)
            argp_error(state, "PIPELINE.sql and a FILE are needed (- is standard input)");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int br_command_publish(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&br_pipeline_argp, 0, NULL, 0}, {&br_connect_argp, 0, "Server:", 2}, {0}};
    static const struct argp argp = {
        options,
        parse,
        "PIPELINE.sql [TABLE] FILE",
        "Publishes rows of a TABLE (JSON objects, one a line, or CSV), or, without one, events of any table "
        "({\"table\":…,\"row\":{…}} a line), as protobuf messages.",
        children,
        NULL,
        NULL};
    struct arguments arguments = {0};
    br_connect_defaults(&arguments.connect, "braid publish");
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    struct br_pipeline *pipeline = NULL;
    struct br_pipeline_options loading = br_pipeline_options_of(&arguments.pipeline);
    int code = br_load_known_pipeline(arguments.words[0], &loading, &arguments.connect, false, &pipeline);
    if (code != BR_EXIT_OK)
        return code;
    br_catch_signals();
    struct publish publish = {.arguments = &arguments,
                              .pipeline = pipeline,
                              .writer = br_event_writer_create(pipeline),
                              .arena = br_arena_create(),
                              .path = arguments.words[arguments.word_count - 1]};
    code = run(&publish, arguments.word_count == 3 ? arguments.words[1] : NULL);
    br_log_close(&publish.log);
    br_event_writer_destroy(&publish.writer);
    br_arena_destroy(&publish.arena);
    br_buffer_free(&publish.frame);
    br_buffer_free(&publish.frame_subject);
    br_buffer_free(&publish.frame_type);
    br_pipeline_destroy(&pipeline);
    return code;
}
