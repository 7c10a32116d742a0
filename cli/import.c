// SPDX-License-Identifier: Apache-2.0
// braid import: rows of a file become the pre-history of a table (replay/import.h).
//
// CSV with a header, JSON lines, and length-delimited protobuf messages, compressed by zstd (.binpb.zst) or not
// (.binpb). The server is asked for the time of the stream's first message only, and only while nothing is archived.
#include "replay/import.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/csv.h"
#include "cli/events.h"
#include "processor/codec/decode.h"
#include "processor/expr/datetime.h"
#include "processor/input.h"
#include "processor/subject.h"

#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>
#include <zstd.h>

#define UNPACKED_BYTES_MAX ((size_t)8 << 30)
#define REJECTS_SHOWN_MAX 10 // of each reason
#define REASONS_MAX 16

enum format { FORMAT_BY_NAME, FORMAT_CSV, FORMAT_JSONL, FORMAT_BINPB, FORMAT_BINPB_ZST };
static const char *const format_names[] = {"", "csv", "jsonl", "binpb", "binpb.zst"};

struct arguments {
    struct br_pipeline_arguments pipeline;
    struct br_connect_options connect;
    const char *path, *table, *from;
    enum format format;
    bool skip_bad, force, has_at;
    int64_t at_us;
};

struct reason {
    char name[32];
    uint64_t count;
};

struct importing {
    const struct arguments *arguments;
    const struct br_pipeline *pipeline;
    const struct br_table *table;
    struct br_import *import;
    struct br_row_writer *rows;
    struct br_buffer event;
    struct reason reasons[REASONS_MAX];
    size_t reason_count;
    uint64_t unreadable;
};

static void tell_reject(void *context, uint64_t line, const char *reason, const char *detail) {
    struct importing *importing = context;
    size_t i = 0;
    while (i < importing->reason_count && strcmp(importing->reasons[i].name, reason) != 0)
        i++;
    if (i == REASONS_MAX)
        i--;
    if (i == importing->reason_count)
        snprintf(importing->reasons[importing->reason_count++].name, sizeof importing->reasons[i].name, "%s", reason);
    if (importing->reasons[i].count++ < REJECTS_SHOWN_MAX)
        fprintf(stderr, "%s:%" PRIu64 ": %s: %s\n", importing->arguments->from, line, reason, detail);
}

// What is no row of the table at all.
static void refuse(struct importing *importing, uint64_t line, const struct br_error *error) {
    importing->unreadable++;
    tell_reject(importing, line, "format", error->message);
}

static enum br_status add_row(struct importing *importing, uint64_t line, struct br_error *error) {
    br_buffer_clear(&importing->event);
    enum br_status status = br_row_writer_append(importing->rows, &importing->event, error);
    if (status == BR_DATA) {
        refuse(importing, line, error);
        return BR_OK;
    }
    BR_TRY(status);
    return br_import_add(importing->import, br_buffer_slice(&importing->event), line, error);
}

// --- formats

static enum br_status read_jsonl(struct importing *importing, struct br_slice text, struct br_error *error) {
    for (uint64_t line = 1; text.len != 0 && !br_stop_requested; line++) {
        const uint8_t *end = memchr(text.ptr, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;
        struct br_slice row = {text.ptr, len};
        while (row.len != 0 && (row.ptr[row.len - 1] == '\r' || row.ptr[row.len - 1] == ' '))
            row.len--;
        len += end != NULL;
        text = (struct br_slice){text.ptr + len, text.len - len};
        if (row.len == 0)
            continue;
        br_row_writer_begin(importing->rows);
        enum br_status status = br_row_writer_read_json(importing->rows, row, error);
        if (status == BR_DATA)
            refuse(importing, line, error);
        else if (status == BR_OK)
            BR_TRY(add_row(importing, line, error));
        else
            return status;
    }
    return BR_OK;
}

static enum br_status read_header(const struct importing *importing, struct br_csv *csv, uint32_t *columns,
                                  struct br_error *error) {
    const struct br_row_type *type = &importing->table->row_type;
    BR_TRY(br_csv_next(csv, error));
    for (uint32_t f = 0; f < csv->field_count; f++) {
        uint32_t c = 0;
        while (c < type->column_count && !br_slice_is(csv->fields[f].text, type->columns[c].name))
            c++;
        if (c == type->column_count)
            return br_error_set(error, BR_FATAL, "the header names \"%.*s\", which is no column of %s",
                                (int)csv->fields[f].text.len, (const char *)csv->fields[f].text.ptr, type->name);
        columns[f] = c;
    }
    return BR_OK;
}

static enum br_status read_fields(const struct importing *importing, const struct br_csv *csv, const uint32_t *columns,
                                  uint32_t count, struct br_error *error) {
    if (csv->field_count != count)
        return br_error_set(error, BR_DATA, "%u fields, but the header has %u", csv->field_count, count);
    br_row_writer_begin(importing->rows);
    for (uint32_t f = 0; f < count; f++)
        BR_TRY(br_row_writer_read_text(importing->rows, columns[f], csv->fields[f].text, csv->fields[f].quoted, error));
    return BR_OK;
}

static enum br_status read_csv(struct importing *importing, struct br_slice text, struct br_error *error) {
    struct br_csv csv = br_csv_begin(text);
    uint32_t columns[BR_CSV_FIELDS_MAX];
    enum br_status status = read_header(importing, &csv, columns, error);
    uint32_t count = csv.field_count;
    while (status == BR_OK && !br_stop_requested && (status = br_csv_next(&csv, error)) == BR_OK &&
           csv.field_count != 0) {
        status = read_fields(importing, &csv, columns, count, error);
        if (status == BR_DATA) {
            refuse(importing, csv.line, error);
            status = BR_OK;
        } else if (status == BR_OK) {
            status = add_row(importing, csv.line, error);
        }
    }
    if (status == BR_DATA) // a quote without an end: where the next record begins can't be told
        status = error->status = BR_FATAL;
    if (status != BR_OK)
        br_error_context(error, "line %" PRIu64, csv.line);
    br_csv_end(&csv);
    return status;
}

static enum br_status read_binpb(struct importing *importing, struct br_slice bytes, struct br_error *error) {
    struct br_slice event;
    enum br_status status = BR_OK;
    uint64_t number = 1;
    for (; !br_stop_requested && br_delimited_next(&bytes, &event, &status, error); number++)
        BR_TRY(br_import_add(importing->import, event, number, error));
    if (status != BR_OK) {
        error->status = BR_FATAL;
        br_error_context(error, "message %" PRIu64, number);
        return BR_FATAL;
    }
    return BR_OK;
}

static enum br_status unpack(struct br_slice packed, struct br_buffer *bytes, struct br_error *error) {
    ZSTD_DCtx *decompressor = ZSTD_createDCtx();
    BR_CHECK(decompressor != NULL);
    ZSTD_inBuffer in = {packed.ptr, packed.len, 0};
    size_t left = 0;
    const char *fault = NULL;
    while (fault == NULL && in.pos < in.size) {
        size_t room = ZSTD_DStreamOutSize();
        ZSTD_outBuffer out = {br_buffer_reserve(bytes, room), room, 0};
        left = ZSTD_decompressStream(decompressor, &out, &in);
        if (ZSTD_isError(left))
            fault = ZSTD_getErrorName(left);
        else if ((bytes->len += out.pos) > UNPACKED_BYTES_MAX)
            fault = "larger than 8 GiB";
    }
    while (fault == NULL && left != 0) { // what is still to be written out
        size_t room = ZSTD_DStreamOutSize(), before = left;
        ZSTD_outBuffer out = {br_buffer_reserve(bytes, room), room, 0};
        left = ZSTD_decompressStream(decompressor, &out, &in);
        if (ZSTD_isError(left) || (left == before && out.pos == 0))
            fault = "it is cut short";
        bytes->len += out.pos;
    }
    ZSTD_freeDCtx(decompressor);
    return fault == NULL ? BR_OK : br_error_set(error, BR_FATAL, "can't be decompressed: %s", fault);
}

static enum format format_of(const struct arguments *arguments) {
    size_t len = strlen(arguments->from);
    enum format format = arguments->format;
    for (int f = FORMAT_CSV; format == FORMAT_BY_NAME && f <= FORMAT_BINPB_ZST; f++) {
        size_t suffix = strlen(format_names[f]);
        if (len > suffix && arguments->from[len - suffix - 1] == '.' &&
            strcmp(arguments->from + len - suffix, format_names[f]) == 0)
            format = (enum format)f;
    }
    return format == FORMAT_BY_NAME ? FORMAT_JSONL : format;
}

static enum br_status read_content(struct importing *importing, struct br_slice content, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) unpacked = {0};
    enum format format = format_of(importing->arguments);
    enum br_status status = BR_OK;
    if (format == FORMAT_BINPB_ZST) {
        status = unpack(content, &unpacked, error);
        content = br_buffer_slice(&unpacked);
    }
    if (status == BR_OK)
        status = format == FORMAT_CSV     ? read_csv(importing, content, error)
                 : format == FORMAT_JSONL ? read_jsonl(importing, content, error)
                                          : read_binpb(importing, content, error);
    return status == BR_OK ? BR_OK : br_error_context(error, "%s", importing->arguments->from);
}

// --- when the stream begins

static enum br_status first_in_archive(const struct importing *importing, struct br_wall_time *ret_begins,
                                       bool *ret_known, struct br_error *error) {
    char folder[BR_ARCHIVE_PATH_SIZE];
    struct br_archive *archive = NULL;
    BR_TRY(br_archive_folder(importing->table->archive_path, importing->pipeline->name, importing->table->name,
                             BR_SEGMENT_STREAM, folder, error));
    BR_TRY(br_archive_open(folder, &archive, error));
    *ret_known = false;
    for (size_t i = 0; i < archive->count && !*ret_known; i++) {
        *ret_known = archive->segments[i].info.messages != 0;
        *ret_begins = archive->segments[i].info.first_time;
    }
    br_archive_close(&archive);
    return BR_OK;
}

static enum br_status first_in_stream(const struct importing *importing, struct br_wall_time *ret_begins,
                                      struct br_error *error) {
    struct br_log *log = NULL;
    struct br_stream_info info = {0};
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_log_message message = {0};
    bool found = false;
    enum br_status status = br_log_connect_control(&importing->arguments->connect, &log, error);
    if (status == BR_OK)
        status = br_input_find_stream(log, importing->table, &info, error);
    if (status == BR_OK && info.message_count != 0)
        status = br_log_get(log, info.name, info.first_sequence, &copy, &message, &found, error);
    if (status == BR_OK && found)
        *ret_begins = message.timestamp;
    br_log_close(&log);
    return status == BR_OK
               ? BR_OK
               : br_error_context(error, "whether the stream has these events already can't be told (--force: never "
                                         "mind)");
}

static enum br_status stream_begins(const struct importing *importing, struct br_wall_time *ret_begins,
                                    struct br_error *error) {
    bool known = false;
    ret_begins->us = INT64_MAX;
    if (importing->arguments->force)
        return BR_OK;
    BR_TRY(first_in_archive(importing, ret_begins, &known, error));
    if (known)
        return BR_OK;
    ret_begins->us = INT64_MAX;
    return first_in_stream(importing, ret_begins, error);
}

// --- the command

static void print_report(const struct importing *importing, const struct br_import_report *report) {
    char first[64], last[64];
    printf("%" PRIu64 " accepted, %" PRIu64 " rejected", report->accepted, report->rejected + importing->unreadable);
    for (size_t i = 0; i < importing->reason_count; i++)
        printf("%s%s %" PRIu64, i == 0 ? " (" : ", ", importing->reasons[i].name, importing->reasons[i].count);
    printf("%s\n", importing->reason_count == 0 ? "" : ")");
    if (report->accepted == 0)
        return;
    first[br_timestamptz_print(report->first.us, true, first)] = '\0';
    last[br_timestamptz_print(report->last.us, true, last)] = '\0';
    printf("from %s to %s\n", first, last);
}

static int write_out(struct importing *importing, struct br_slice content) {
    const struct arguments *arguments = importing->arguments;
    struct br_import_report report;
    struct br_segment_info info;
    struct br_wall_time begins;
    struct br_error error;
    if (br_import_report(importing->import, &report, &error) != BR_OK)
        return br_fail(&error);
    print_report(importing, &report);
    if (report.rejected + importing->unreadable != 0 && !arguments->skip_bad) {
        br_complain("nothing was imported: mend the file, or leave those out with --skip-bad");
        return BR_EXIT_NO;
    }
    if (stream_begins(importing, &begins, &error) != BR_OK)
        return br_fail(&error);
    const char *slash = strrchr(arguments->from, '/');
    enum br_status status =
        br_import_write(importing->import, slash == NULL ? arguments->from : slash + 1,
                        XXH3_64bits(content.ptr, content.len), begins, arguments->force, &info, &error);
    if (status != BR_OK) {
        br_fail(&error);
        return status == BR_DATA ? BR_EXIT_NO : BR_EXIT_FAILED;
    }
    printf("imported as messages %" PRIu64 " to %" PRIu64 " of table %s (%" PRIu64 " bytes)\n", info.from, info.to,
           importing->table->name, info.file_bytes);
    return BR_EXIT_OK;
}

static int run(struct importing *importing) {
    const struct arguments *arguments = importing->arguments;
    const struct br_table *table = importing->table = br_pipeline_find_table(importing->pipeline, arguments->table);
    struct br_buffer BR_CLEANUP(br_buffer_free) content = {0};
    struct br_error error;
    if (table == NULL || table->archive_path == NULL) {
        br_complain(table == NULL
                        ? "pipeline %s has no table \"%s\""
                        : "pipeline %s: table %s has no archive to import to: WITH (archive = 'file:///path')",
                    importing->pipeline->name, arguments->table);
        return BR_EXIT_NO;
    }
    if (table->event_time < 0 && !arguments->has_at) {
        br_complain("table %s has no event_time that says when its rows were: --at TIME", table->name);
        return BR_EXIT_USAGE;
    }
    struct br_import_options options = {.pipeline = importing->pipeline,
                                        .table = table,
                                        .at = {arguments->at_us},
                                        .rejected = tell_reject,
                                        .context = importing};
    if (!br_read_file(arguments->from, &content))
        return BR_EXIT_FAILED;
    if (br_import_create(&options, &importing->import, &error) != BR_OK ||
        br_row_writer_create(&table->row_type, &importing->rows, &error) != BR_OK ||
        read_content(importing, br_buffer_slice(&content), &error) != BR_OK)
        return br_fail(&error);
    if (br_stop_requested)
        return BR_EXIT_INTERRUPTED;
    return write_out(importing, br_buffer_slice(&content));
}

enum { KEY_FROM = 256, KEY_FORMAT, KEY_SKIP_BAD, KEY_FORCE, KEY_AT };

static const struct argp_option options[] = {
    {"from", KEY_FROM, "FILE", 0, "The file: .csv, .jsonl, .binpb or .binpb.zst", 0},
    {"format", KEY_FORMAT, "FORMAT", 0, "csv, jsonl, binpb or binpb.zst (default: by the file's name, else jsonl)", 0},
    {"at", KEY_AT, "TIME", 0, "When the rows of a table without event_time were", 0},
    {"skip-bad", KEY_SKIP_BAD, NULL, 0, "Leave out what the table's gates refuse", 0},
    {"force", KEY_FORCE, NULL, 0, "Though its times overlap with what is there already", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->pipeline;
        state->child_inputs[1] = &arguments->connect;
        return 0;
    case KEY_FROM:
        arguments->from = argument;
        return 0;
    case KEY_FORMAT:
        for (int f = FORMAT_CSV; f <= FORMAT_BINPB_ZST; f++)
            if (strcmp(argument, format_names[f]) == 0)
                arguments->format = (enum format)f;
        if (arguments->format == FORMAT_BY_NAME)
            argp_error(state, "--format is csv, jsonl, binpb or binpb.zst, not '%s'", argument);
        return 0;
    case KEY_AT:
        arguments->has_at = br_timestamptz_parse(br_slice_of(argument), &arguments->at_us);
        if (!arguments->has_at)
            argp_error(state, "--at takes a time like 2026-01-31T12:00:00Z, not '%s'", argument);
        return 0;
    case KEY_SKIP_BAD:
        arguments->skip_bad = true;
        return 0;
    case KEY_FORCE:
        arguments->force = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num >= 2)
            argp_error(state, "PIPELINE.sql and a TABLE, please");
        else if (state->arg_num == 0)
            arguments->path = argument;
        else
            arguments->table = argument;
        return 0;
    case ARGP_KEY_END:
        if (arguments->table == NULL || arguments->from == NULL)
            argp_error(state, "PIPELINE.sql, a TABLE and --from FILE, please");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int br_command_import(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&br_pipeline_argp, 0, NULL, 0}, {&br_connect_argp, 0, "Server:", 2}, {0}};
    static const struct argp argp = {
        options,
        parse,
        "PIPELINE.sql TABLE --from FILE",
        "Puts the rows of a file before a table's stream, as its history: sorted by event time, through the table's "
        "gates. A replay from the beginning starts with them.\vThe exit status is 1 when a row was refused (then "
        "nothing "
        "is imported, unless --skip-bad) or the file can't be history.",
        children,
        NULL,
        NULL};
    struct arguments arguments = {0};
    br_connect_defaults(&arguments.connect, "braid import");
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    struct importing importing = {.arguments = &arguments};
    struct br_pipeline *pipeline = NULL;
    struct br_pipeline_options loading = br_pipeline_options_of(&arguments.pipeline);
    int code = br_load_known_pipeline(arguments.path, &loading, &arguments.connect, false, &pipeline);
    if (code != BR_EXIT_OK)
        return code;
    br_catch_signals();
    importing.pipeline = pipeline;
    code = run(&importing);
    br_import_destroy(&importing.import);
    br_row_writer_destroy(&importing.rows);
    br_buffer_free(&importing.event);
    br_pipeline_destroy(&pipeline);
    return code;
}
