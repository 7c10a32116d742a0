// SPDX-License-Identifier: Apache-2.0
// The report as JSON. See report.h.
#include "processor/expr/types.h"
#include "replay/report_internal.h"

#include <math.h>

static void print_text(const char *name, const char *text, struct br_buffer *out) {
    br_buffer_printf(out, "\"%s\":", name);
    br_json_append_string(br_slice_of(text), out);
}

// A sum is a number, or a word (NaN, Infinity), or there is none.
static void print_sum(const char *name, const char *text, struct br_buffer *out) {
    br_buffer_printf(out, ",\"%s\":", name);
    const char *digits = text + (*text == '-');
    if (*text == 0)
        br_buffer_append_text(out, "null");
    else if (*digits >= '0' && *digits <= '9')
        br_buffer_append_text(out, text);
    else
        br_json_append_string(br_slice_of(text), out);
}

static void print_row(const char *name, const char *json, struct br_buffer *out) {
    br_buffer_printf(out, ",\"%s\":%s", name, *json != 0 ? json : "null");
}

static void print_real(double value, struct br_buffer *out) {
    struct br_value real = {.type = BR_DOUBLE, .real = value};
    br_value_print_json(&real, out);
}

static void print_column(const Braid__V1__ColumnDifference *column, struct br_buffer *out) {
    br_buffer_append_byte(out, '{');
    print_text("column", column->column, out);
    br_buffer_printf(out, ",\"rows\":%" PRIu64, column->rows);
    print_sum("sum_before", column->sum_before, out);
    print_sum("sum_after", column->sum_after, out);
    print_sum("sum_difference", column->sum_difference, out);
    br_buffer_append_text(out, ",\"largest\":");
    print_real(column->largest, out);
    br_buffer_append_byte(out, '}');
}

static void print_sample(const Braid__V1__RowDifference *sample, struct br_buffer *out) {
    br_buffer_append_byte(out, '{');
    print_text("kind", br_report_kind_name(sample->kind), out);
    br_buffer_append_byte(out, ',');
    print_text("cause", br_report_cause_name(sample->cause), out);
    print_row("key", sample->key, out);
    print_row("before", sample->before, out);
    print_row("after", sample->after, out);
    br_buffer_append_byte(out, '}');
}

static void print_counts(const Braid__V1__ViewReport *view, struct br_buffer *out) {
    br_buffer_printf(out,
                     ",\"rows_before\":%" PRIu64 ",\"rows_after\":%" PRIu64 ",\"equal\":%" PRIu64
                     ",\"changed\":%" PRIu64 ",\"missing\":%" PRIu64 ",\"extra\":%" PRIu64,
                     view->rows_before, view->rows_after, view->equal, view->changed, view->missing, view->extra);
    br_buffer_printf(out,
                     ",\"causes\":{\"late\":%" PRIu64 ",\"quarantined\":%" PRIu64 ",\"function\":%" PRIu64
                     ",\"plan\":%" PRIu64 ",\"unknown\":%" PRIu64 "}",
                     view->late, view->quarantined, view->function, view->plan, view->unknown);
}

static void print_view(const Braid__V1__ViewReport *view, struct br_buffer *out) {
    br_buffer_append_byte(out, '{');
    print_text("view", view->view, out);
    if (*view->skipped != 0) {
        br_buffer_append_byte(out, ',');
        print_text("skipped", view->skipped, out);
    } else {
        print_counts(view, out);
    }
    if (*view->note != 0) {
        br_buffer_append_byte(out, ',');
        print_text("note", view->note, out);
    }
    br_buffer_append_text(out, ",\"columns\":[");
    for (size_t c = 0; c < view->n_columns; c++) {
        br_buffer_append_text(out, c == 0 ? "" : ",");
        print_column(view->columns[c], out);
    }
    br_buffer_append_text(out, "],\"samples\":[");
    for (size_t s = 0; s < view->n_samples; s++) {
        br_buffer_append_text(out, s == 0 ? "" : ",");
        print_sample(view->samples[s], out);
    }
    br_buffer_append_text(out, "]}");
}

static void print_input(const Braid__V1__ReplayInput *input, struct br_buffer *out) {
    br_buffer_append_byte(out, '{');
    print_text("table", input->table, out);
    br_buffer_append_byte(out, ',');
    print_text("stream", input->stream, out);
    br_buffer_printf(out, ",\"sequence\":%" PRIu64 "}", input->last_sequence);
}

void br_report_print_json(const Braid__V1__ReconcileReport *report, struct br_buffer *out) {
    br_buffer_append_byte(out, '{');
    print_text("pipeline", report->pipeline, out);
    br_buffer_append_byte(out, ',');
    print_text("id", report->id, out);
    br_buffer_append_text(out, ",\"before\":{");
    print_text("lineage", report->lineage_before, out);
    br_buffer_printf(out, ",\"epoch\":%" PRIu64 "},\"after\":{", report->epoch_before);
    print_text("lineage", report->lineage_after, out);
    br_buffer_printf(out, ",\"epoch\":%" PRIu64 "},\"at_us\":%" PRId64 ",\"seconds\":", report->epoch_after,
                     report->at_us);
    print_real(report->seconds, out);
    br_buffer_append_text(out, ",\"position\":[");
    for (size_t i = 0; i < report->n_position; i++) {
        br_buffer_append_text(out, i == 0 ? "" : ",");
        print_input(report->position[i], out);
    }
    br_buffer_append_text(out, "],\"views\":[");
    for (size_t v = 0; v < report->n_views; v++) {
        br_buffer_append_text(out, v == 0 ? "" : ",");
        print_view(report->views[v], out);
    }
    br_buffer_append_text(out, "]}\n");
}
