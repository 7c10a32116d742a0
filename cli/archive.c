// SPDX-License-Identifier: Apache-2.0
// braid archive: what was archived and imported of a pipeline's tables: list it, check it, print it. Needs no server.
#include "replay/archive.h"
#include "base/json.h"
#include "cli/cli.h"
#include "processor/codec/decode.h"
#include "processor/codec/encode.h"
#include "processor/expr/datetime.h"
#include "processor/input.h"

#include <inttypes.h>
#include <stdio.h>

struct arguments {
    struct br_pipeline_arguments pipeline;
    const char *verb, *path, *table;
    uint64_t from, to; // 0: open
    bool json, raw, import;
};

// One table's folder being looked at.
struct place {
    const struct arguments *arguments;
    const struct br_table *table;
    const struct br_archive *archive;
    enum br_segment_kind kind;
};

static const char *const kind_words[] = {"stream", "import"};

static const char *time_of(struct br_wall_time time, char text[64]) {
    text[br_timestamptz_print(time.us, true, text)] = '\0';
    return text;
}

static void put_text(struct br_buffer *out, const char *before, struct br_slice text) {
    br_buffer_append_text(out, before);
    br_json_append_string(text, out);
}

static bool print_line(struct br_buffer *line) {
    br_buffer_append_byte(line, '\n');
    return fwrite(line->ptr, 1, line->len, stdout) == line->len;
}

// --- ls

static void list_segment(const struct place *place, const struct br_archive_segment *segment) {
    const struct br_segment_info *info = &segment->info;
    char first[64] = "", last[64] = "";
    if (info->messages != 0) {
        time_of(info->first_time, first);
        time_of(info->last_time, last);
    }
    if (!place->arguments->json) {
        printf("%-16s %-6s %12" PRIu64 " %12" PRIu64 " %10" PRIu64 " %12" PRIu64 " %12" PRIu64 "  %s%s%s%s\n",
               place->table->name, kind_words[place->kind], info->from, info->to, info->messages, info->payload_bytes,
               info->file_bytes, first, info->messages == 0 ? "" : " … ", last,
               segment->damage != NULL ? "  DAMAGED" : "");
        return;
    }
    struct br_buffer BR_CLEANUP(br_buffer_free) line = {0};
    put_text(&line, "{\"table\":", br_slice_of(place->table->name));
    put_text(&line, ",\"kind\":", br_slice_of(kind_words[place->kind]));
    put_text(&line, ",\"segment\":", br_slice_of(segment->name));
    br_buffer_printf(&line,
                     ",\"from\":%" PRIu64 ",\"to\":%" PRIu64 ",\"messages\":%" PRIu64 ",\"payload_bytes\":%" PRIu64
                     ",\"file_bytes\":%" PRIu64,
                     info->from, info->to, info->messages, info->payload_bytes, info->file_bytes);
    if (info->messages != 0) {
        put_text(&line, ",\"first_time\":", br_slice_of(first));
        put_text(&line, ",\"last_time\":", br_slice_of(last));
    }
    put_text(&line, ",\"source\":", br_slice_of(info->source));
    if (segment->damage != NULL)
        put_text(&line, ",\"damage\":", br_slice_of(segment->damage));
    br_buffer_append_byte(&line, '}');
    print_line(&line);
}

static int list(const struct place *place) {
    for (size_t i = 0; i < place->archive->count; i++)
        list_segment(place, &place->archive->segments[i]);
    return BR_EXIT_OK;
}

// --- verify

static void tell_fault(void *context, const char *fault) {
    const struct place *place = context;
    if (!place->arguments->json) {
        printf("%s: %s\n", place->table->name, fault);
        return;
    }
    struct br_buffer BR_CLEANUP(br_buffer_free) line = {0};
    put_text(&line, "{\"table\":", br_slice_of(place->table->name));
    put_text(&line, ",\"fault\":", br_slice_of(fault));
    br_buffer_append_byte(&line, '}');
    print_line(&line);
}

static int verify(struct place *place) {
    struct br_archive_check check;
    struct br_error error;
    if (br_archive_verify(place->archive, tell_fault, place, &check, &error) != BR_OK)
        return br_fail(&error);
    if (!place->arguments->json)
        printf("%s: %s: %" PRIu64 " segments, %" PRIu64 " messages, %" PRIu64 " bytes of payload in %" PRIu64
               " bytes, %s\n",
               place->table->name, kind_words[place->kind], check.segments, check.messages, check.payload_bytes,
               check.file_bytes, check.faults == 0 ? "sound" : "not sound");
    else
        printf("{\"table\":\"%s\",\"kind\":\"%s\",\"segments\":%" PRIu64 ",\"messages\":%" PRIu64
               ",\"payload_bytes\":%" PRIu64 ",\"file_bytes\":%" PRIu64 ",\"faults\":%" PRIu64 "}\n",
               place->table->name, kind_words[place->kind], check.segments, check.messages, check.payload_bytes,
               check.file_bytes, check.faults);
    return check.faults == 0 ? BR_EXIT_OK : BR_EXIT_NO;
}

// --- cat

struct printing {
    const struct place *place;
    struct br_input *input;
    struct br_arena *arena;
    struct br_buffer line;
    bool failed; // standard output
};

static void print_raw(struct printing *printing, const struct br_log_message *message) {
    struct br_buffer *line = &printing->line, payload = {0};
    char time[64];
    br_buffer_clear(line);
    br_buffer_printf(line, "{\"sequence\":%" PRIu64, message->sequence);
    put_text(line, ",\"time\":", br_slice_of(time_of(message->timestamp, time)));
    put_text(line, ",\"subject\":", message->subject);
    br_buffer_append_text(line, ",\"headers\":[");
    for (uint32_t i = 0; i < message->header_count; i++) {
        put_text(line, i == 0 ? "[" : ",[", message->headers[i].name);
        put_text(line, ",", message->headers[i].value);
        br_buffer_append_byte(line, ']');
    }
    br_base64_encode(message->payload, &payload);
    put_text(line, "],\"payload\":", br_buffer_slice(&payload));
    br_buffer_free(&payload);
    br_buffer_append_byte(line, '}');
    printing->failed |= !print_line(line);
}

static bool is_delete(const struct br_table *table, const struct br_log_message *message) {
    struct br_slice value;
    if (table->primary_key_count == 0)
        return false;
    return (br_log_message_header(message, "Braid-Op", &value) && br_slice_is(value, "delete")) ||
           (br_log_message_header(message, "KV-Operation", &value) && !br_slice_is(value, "PUT"));
}

// As `braid test` reads it: the row where the event is one of the table's own type, else its bytes.
static void print_event(struct printing *printing, const struct br_log_message *message, struct br_slice payload) {
    const struct br_table *table = printing->place->table;
    struct br_buffer *line = &printing->line, text = {0};
    struct br_event event = {payload, message, table};
    struct br_batch *batch;
    struct br_slice type = {0};
    br_arena_reset(printing->arena);
    br_buffer_clear(line);
    put_text(line, "{\"table\":", br_slice_of(table->name));
    if (br_log_message_header(message, "ce-type", &type) && !br_slice_is(type, table->versions[0].message_name))
        put_text(line, ",\"type\":", type);
    else
        type.len = 0;
    if (is_delete(table, message))
        br_buffer_append_text(line, ",\"op\":\"delete\"");
    if (type.len == 0 && payload.len != 0 &&
        br_input_row_of(printing->input, &event, printing->arena, &batch, NULL) == BR_OK) {
        br_buffer_append_text(line, ",\"row\":");
        br_json_encode_row(&table->row_type, batch, 0, NULL, table->row_type.column_count, line);
    } else {
        br_base64_encode(payload, &text);
        put_text(line, ",\"payload\":", br_buffer_slice(&text));
        br_buffer_free(&text);
    }
    br_buffer_append_byte(line, '}');
    printing->failed |= !print_line(line);
}

static void print_message(struct printing *printing, const struct br_log_message *message) {
    struct br_slice rest = message->payload, payload;
    enum br_status status = BR_OK;
    if (printing->place->arguments->raw) {
        print_raw(printing, message);
    } else if (printing->place->table->layout != BR_LAYOUT_DELIMITED || is_delete(printing->place->table, message)) {
        print_event(printing, message, message->payload);
    } else {
        while (br_delimited_next(&rest, &payload, &status, NULL))
            print_event(printing, message, payload);
        if (status != BR_OK)
            print_event(printing, message, rest);
    }
}

static enum br_status print_segment(struct printing *printing, size_t index, struct br_block *block,
                                    struct br_error *error) {
    const struct arguments *arguments = printing->place->arguments;
    struct br_segment_reader *reader = NULL;
    bool found = true;
    BR_TRY(br_archive_check_segment(printing->place->archive, index, NULL, NULL, error));
    enum br_status status = br_archive_open_segment(printing->place->archive, index, &reader, error);
    while (status == BR_OK && found && !printing->failed && !br_flag_is_set(&br_stop_requested)) {
        status = br_segment_next(reader, block, &found, error);
        for (size_t i = 0; status == BR_OK && found && i < block->count; i++) {
            const struct br_log_message *message = &block->messages[i];
            if (message->sequence >= arguments->from && (arguments->to == 0 || message->sequence <= arguments->to))
                print_message(printing, message);
        }
    }
    br_segment_close(&reader);
    return status;
}

static int print(const struct place *place) {
    struct printing printing = {.place = place, .arena = br_arena_create()};
    struct br_block block = {0};
    struct br_error error;
    const struct arguments *arguments = place->arguments;
    enum br_status status = br_input_create(place->table, true, &printing.input, &error);
    for (size_t i = br_archive_find(place->archive, arguments->from); i < place->archive->count && status == BR_OK; i++)
        if (arguments->to == 0 || place->archive->segments[i].info.from <= arguments->to)
            status = print_segment(&printing, i, &block, &error);
    br_block_free(&block);
    br_input_destroy(&printing.input);
    br_arena_destroy(&printing.arena);
    br_buffer_free(&printing.line);
    if (status != BR_OK)
        return br_fail(&error);
    return printing.failed ? BR_EXIT_FAILED : BR_EXIT_OK;
}

// --- the command

enum { KEY_FROM = 256, KEY_TO, KEY_JSON, KEY_RAW, KEY_IMPORT };

static const struct argp_option options[] = {
    {"from", KEY_FROM, "SEQ", 0, "cat: from this sequence on", 0},
    {"to", KEY_TO, "SEQ", 0, "cat: up to this sequence", 0},
    {"raw", KEY_RAW, NULL, 0, "cat: whole messages with subject, time and headers, not their events", 0},
    {"import", KEY_IMPORT, NULL, 0, "cat: what was imported, not what was archived", 0},
    {"json", KEY_JSON, NULL, 0, "ls, verify: JSON lines", 0},
    {0},
};

static uint64_t parse_sequence(const char *text, struct argp_state *state) {
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || *text == '-' || value == 0)
        argp_error(state, "a sequence is a number from 1 on, not '%s'", text);
    return value;
}

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->pipeline;
        return 0;
    case KEY_FROM:
        arguments->from = parse_sequence(argument, state);
        return 0;
    case KEY_TO:
        arguments->to = parse_sequence(argument, state);
        return 0;
    case KEY_JSON:
        arguments->json = true;
        return 0;
    case KEY_RAW:
        arguments->raw = true;
        return 0;
    case KEY_IMPORT:
        arguments->import = true;
        return 0;
    case ARGP_KEY_ARG: {
        const char **words[] = {&arguments->verb, &arguments->path, &arguments->table};
        if (state->arg_num >= 3)
            argp_error(state, "ls, verify or cat, PIPELINE.sql, and at most one TABLE, please");
        else
            *words[state->arg_num] = argument;
        return 0;
    }
    case ARGP_KEY_END:
        if (arguments->path == NULL || (strcmp(arguments->verb, "ls") != 0 && strcmp(arguments->verb, "verify") != 0 &&
                                        strcmp(arguments->verb, "cat") != 0))
            argp_error(state, "ls, verify or cat, and a PIPELINE.sql, please");
        else if (arguments->table == NULL && strcmp(arguments->verb, "cat") == 0)
            argp_error(state, "cat: which TABLE?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int look(const struct arguments *arguments, const char *pipeline, const struct br_table *table,
                enum br_segment_kind kind) {
    char folder[BR_ARCHIVE_PATH_SIZE];
    struct br_archive *archive = NULL;
    struct br_error error;
    if (br_archive_folder(table->archive_path, pipeline, table->name, kind, folder, &error) != BR_OK ||
        br_archive_open(folder, &archive, &error) != BR_OK)
        return br_fail(&error);
    struct place place = {arguments, table, archive, kind};
    int code = strcmp(arguments->verb, "ls") == 0                 ? list(&place)
               : strcmp(arguments->verb, "cat") == 0              ? print(&place)
               : archive->count == 0 && kind != BR_SEGMENT_STREAM ? BR_EXIT_OK
                                                                  : verify(&place);
    br_archive_close(&archive);
    return code;
}

static int run(const struct arguments *arguments, const struct br_pipeline *pipeline) {
    bool any = false;
    int worst = BR_EXIT_OK;
    if (strcmp(arguments->verb, "ls") == 0 && !arguments->json)
        printf("%-16s %-6s %12s %12s %10s %12s %12s  %s\n", "table", "kind", "from", "to", "messages", "payload",
               "bytes", "time");
    for (uint32_t t = 0; t < pipeline->table_count; t++) {
        const struct br_table *table = &pipeline->tables[t];
        if (table->archive_path == NULL || (arguments->table != NULL && strcmp(arguments->table, table->name) != 0))
            continue;
        any = true;
        for (int kind = BR_SEGMENT_IMPORT; kind >= BR_SEGMENT_STREAM; kind--) {
            if (strcmp(arguments->verb, "cat") == 0 && (kind == BR_SEGMENT_IMPORT) != arguments->import)
                continue;
            int code = look(arguments, pipeline->name, table, (enum br_segment_kind)kind);
            worst = code > worst ? code : worst;
        }
    }
    if (any)
        return fflush(stdout) == 0 ? worst : BR_EXIT_FAILED;
    if (arguments->table != NULL && br_pipeline_find_table(pipeline, arguments->table) == NULL)
        br_complain("pipeline %s has no table \"%s\"", pipeline->name, arguments->table);
    else
        br_complain("%s%s has no archive: WITH (archive = 'file:///path'), or SET braid.archive",
                    arguments->table != NULL ? "table " : "pipeline ",
                    arguments->table != NULL ? arguments->table : pipeline->name);
    return BR_EXIT_NO;
}

int br_command_archive(int argc, char **argv) {
    static const struct argp_child children[] = {{&br_pipeline_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {options,
                                     parse,
                                     "ls PIPELINE.sql [TABLE]\nverify PIPELINE.sql [TABLE]\ncat PIPELINE.sql TABLE",
                                     "Lists the segments of a pipeline's archives, checks them to the last bit, or "
                                     "prints their events as JSON lines, "
                                     "as braid test reads them.\vverify's exit status is 1 when something is damaged "
                                     "or missing; each fault is named.",
                                     children,
                                     NULL,
                                     NULL};
    struct arguments arguments = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    struct br_pipeline *pipeline = NULL;
    struct br_pipeline_options loading = br_pipeline_options_of(&arguments.pipeline);
    int code = br_load_known_pipeline(arguments.path, &loading, NULL, false, &pipeline);
    if (code != BR_EXIT_OK)
        return code;
    br_catch_signals();
    code = run(&arguments, pipeline);
    br_pipeline_destroy(&pipeline);
    return code;
}
