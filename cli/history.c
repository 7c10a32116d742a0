// SPDX-License-Identifier: Apache-2.0
// See history.h. Rows go through the same printing as a worker's answer; what was turned away is told on stderr.
#include "cli/history.h"

#include "replay/bounded.h"

#include <inttypes.h>
#include <stdio.h>

struct printing {
    const struct br_query *query;
    struct br_answer *answer;
    struct br_buffer line;
};

static void put_member(struct br_buffer *out, const char *name, const char *text) {
    br_buffer_printf(out, "\"%s\":", name);
    br_json_append_string(br_slice_of(text), out);
}

static void print_head(struct printing *printing) {
    struct br_buffer *line = &printing->line;
    const struct br_query *query = printing->query;
    br_buffer_clear(line);
    br_buffer_append_text(line, "{\"columns\":[");
    for (uint32_t c = 0; c < query->visible_count; c++) {
        br_buffer_append_text(line, c == 0 ? "{" : ",{");
        put_member(line, "name", query->root->fields[c].name);
        br_buffer_append_byte(line, ',');
        put_member(line, "type", br_type_name(query->root->fields[c].type));
        br_buffer_append_byte(line, '}');
    }
    br_buffer_append_text(line, "]}");
    br_answer_line(printing->answer, br_buffer_slice(line));
}

static enum br_status print_rows(void *context, const struct br_batch *batch, struct br_error *error) {
    struct printing *printing = context;
    struct br_buffer *line = &printing->line;
    for (uint32_t r = 0; r < batch->row_count; r++) {
        br_buffer_clear(line);
        for (uint32_t c = 0; c < printing->query->visible_count; c++) {
            struct br_value value = br_column_get(&batch->columns[c], r);
            br_buffer_append_byte(line, c == 0 ? '[' : ',');
            br_value_print_json(&value, line);
        }
        br_buffer_append_byte(line, ']');
        if (!br_answer_line(printing->answer, br_buffer_slice(line)))
            return br_error_set(error, BR_FATAL, "a row can't be printed");
    }
    return br_flag_is_set(&br_stop_requested) ? br_error_set(error, BR_RETRY, "interrupted") : BR_OK;
}

static void tell_what_is_left_out(const struct br_pipeline *pipeline, const struct br_bounded_report *report) {
    for (uint32_t t = 0; t < pipeline->table_count; t++) {
        const struct br_bounded_table *table = &report->tables[t];
        if (table->quarantined != 0)
            br_complain("table %s: %" PRIu64 " event%s left out by its gates; the first: %s", pipeline->tables[t].name,
                        table->quarantined, table->quarantined == 1 ? "" : "s", table->why);
    }
    if (report->failed != 0)
        br_complain("%" PRIu64 " row%s left out of views, as live; the first: %s", report->failed,
                    report->failed == 1 ? "" : "s", report->failed_why);
}

static int finish(struct printing *printing, const struct br_bounded_report *report, enum br_status status,
                  const struct br_error *error) {
    struct br_buffer *line = &printing->line;
    br_buffer_clear(line);
    if (status == BR_OK) {
        br_buffer_printf(line, "{\"rows\":%" PRIu64 "}", report->rows);
    } else if (status == BR_DATA) {
        br_buffer_append_byte(line, '{');
        put_member(line, "error", error->message);
        br_buffer_append_byte(line, '}');
    } else {
        br_complain("%s", error->message);
    }
    if (line->len != 0)
        br_answer_line(printing->answer, br_buffer_slice(line));
    int code = br_answer_end(&printing->answer);
    return status == BR_RETRY && br_flag_is_set(&br_stop_requested) ? BR_EXIT_INTERRUPTED : code;
}

static int run(const struct br_history_query *query, const struct br_pipeline *pipeline,
               struct br_bounded_options *options) {
    struct printing printing = {.query = pipeline->select, .answer = br_answer_begin(query->form)};
    struct br_bounded_report report;
    struct br_error error;
    print_head(&printing);
    enum br_status status = br_bounded_run(options, print_rows, &printing, &report, &error);
    tell_what_is_left_out(pipeline, &report);
    int code = finish(&printing, &report, status, &error);
    br_bounded_report_free(&report);
    br_buffer_free(&printing.line);
    return code;
}

static enum br_status read_bounds(const struct br_history_query *query, struct br_bounded_options *options,
                                  struct br_error *error) {
    struct br_wall_time now = options->clock->wall(options->clock);
    if (query->from != NULL)
        BR_TRY(br_span_bound_parse(query->from, now, &options->from, error));
    return query->to == NULL ? BR_OK : br_span_bound_parse(query->to, now, &options->to, error);
}

static int load(const struct br_history_query *query, struct br_pipeline **ret_pipeline) {
    struct br_pipeline_options options = br_pipeline_options_of(query->pipeline);
    options.select = query->select;
    options.select_diagnostics = br_diagnostics_create("query", query->select);
    int code = br_load_known_pipeline(query->path, &options, query->connect, false, ret_pipeline);
    br_diagnostics_destroy(&options.select_diagnostics);
    return code;
}

int br_query_history(const struct br_history_query *query) {
    struct br_pipeline *pipeline = NULL;
    struct br_bounded_options options = {.clock = br_clock_system(), .stop = &br_stop_requested};
    struct br_error error;
    if (read_bounds(query, &options, &error) != BR_OK) {
        br_complain("%s", error.message);
        return BR_EXIT_USAGE;
    }
    int code = load(query, &pipeline);
    if (code != BR_EXIT_OK)
        return code;
    br_catch_signals();
    struct br_log *log = br_connect(query->connect);
    options.pipeline = pipeline;
    options.log = log;
    code = log == NULL ? BR_EXIT_FAILED : run(query, pipeline, &options);
    br_log_close(&log);
    br_pipeline_destroy(&pipeline);
    return code;
}
