// SPDX-License-Identifier: Apache-2.0
// Replay jobs in words and as JSON. See job.h.
#include "base/json.h"
#include "processor/expr/datetime.h"
#include "replay/job.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

const char *br_job_phase_name(Braid__V1__ReplayPhase phase) {
    static const char *const names[] = {"unknown",  "planned",      "running",     "paused", "done",      "promoting",
                                        "promoted", "rolling back", "rolled back", "failed", "cancelled", "dropped"};
    return (size_t)phase < sizeof names / sizeof names[0] ? names[phase] : names[0];
}

const char *br_job_wish_name(Braid__V1__ReplayWish wish) {
    static const char *const names[] = {"",        "run",       "pause", "cancel", "compare",
                                        "promote", "roll back", "drop",  "rebuild"};
    return (size_t)wish < sizeof names / sizeof names[0] ? names[wish] : names[0];
}

const char *br_job_mode_name(Braid__V1__ReplayMode mode) {
    return mode == BRAID__V1__REPLAY_MODE__REPLAY_MODE_VERIFY ? "verify" : "recompute";
}

void br_job_time(int64_t us, char text[BR_JOB_TIME_SIZE]) {
    us = us < BR_TIMESTAMP_MIN ? BR_TIMESTAMP_MIN : us >= BR_TIMESTAMP_END ? BR_TIMESTAMP_END - 1 : us;
    br_timestamptz_print(us, true, text);
}

// --- JSON

static void member(struct br_buffer *out, const char *name) {
    br_buffer_append_text(out, out->ptr[out->len - 1] == '{' ? "\"" : ",\"");
    br_buffer_append_text(out, name);
    br_buffer_append_text(out, "\":");
}

// Anybody can write to the bucket: what isn't UTF-8 is left out, from there on.
static void append_string(struct br_buffer *out, const char *text) {
    struct br_slice slice = br_slice_of(text);
    slice.len = br_utf8_valid_prefix(slice);
    br_json_append_string(slice, out);
}

static void text_member(struct br_buffer *out, const char *name, const char *text) {
    if (text[0] == '\0')
        return;
    member(out, name);
    append_string(out, text);
}

static void number_member(struct br_buffer *out, const char *name, uint64_t number) {
    member(out, name);
    br_buffer_printf(out, "%" PRIu64, number);
}

// JSON has no infinities.
static void real_member(struct br_buffer *out, const char *name, double number) {
    member(out, name);
    if (isfinite(number))
        br_buffer_printf(out, "%.10g", number);
    else
        br_buffer_append_text(out, "null");
}

static void time_member(struct br_buffer *out, const char *name, int64_t us) {
    char text[BR_JOB_TIME_SIZE];
    if (us == 0)
        return;
    member(out, name);
    br_job_time(us, text);
    br_buffer_printf(out, "\"%s\"", text);
}

static void progress_member(const Braid__V1__ReplayProgress *progress, struct br_buffer *out) {
    member(out, "progress");
    br_buffer_append_byte(out, '{');
    number_member(out, "messages_done", progress->messages_done);
    number_member(out, "messages_total", progress->messages_total);
    number_member(out, "epochs", progress->epochs);
    number_member(out, "rows_out", progress->rows_out);
    number_member(out, "late", progress->late);
    number_member(out, "quarantined", progress->quarantined);
    number_member(out, "failed", progress->failed);
    real_member(out, "messages_per_second", progress->messages_per_second);
    member(out, "seconds_left");
    if (progress->seconds_left < 0)
        br_buffer_append_text(out, "null");
    else
        br_buffer_printf(out, "%" PRId64, progress->seconds_left);
    br_buffer_append_byte(out, '}');
}

static void inputs_member(const Braid__V1__ReplayJob *record, struct br_buffer *out) {
    member(out, "inputs");
    br_buffer_append_byte(out, '[');
    for (size_t i = 0; i < record->n_inputs; i++) {
        const Braid__V1__ReplayInput *input = record->inputs[i];
        br_buffer_append_text(out, i == 0 ? "{" : ",{");
        text_member(out, "table", input->table);
        text_member(out, "stream", input->stream);
        number_member(out, "first_sequence", input->first_sequence);
        number_member(out, "last_sequence", input->last_sequence);
        number_member(out, "prehistory", input->prehistory);
        number_member(out, "archived_last", input->archived_last);
        number_member(out, "messages", input->messages);
        number_member(out, "bytes", input->bytes);
        if (input->asleep) {
            member(out, "asleep");
            br_buffer_append_text(out, "true");
        }
        br_buffer_append_byte(out, '}');
    }
    br_buffer_append_byte(out, ']');
}

static void report_member(const Braid__V1__ReconcileReport *report, struct br_buffer *out) {
    member(out, "report");
    br_buffer_append_byte(out, '{');
    text_member(out, "lineage_before", report->lineage_before);
    number_member(out, "epoch_before", report->epoch_before);
    text_member(out, "lineage_after", report->lineage_after);
    number_member(out, "epoch_after", report->epoch_after);
    time_member(out, "at", report->at_us);
    member(out, "views");
    br_buffer_append_byte(out, '[');
    for (size_t v = 0; v < report->n_views; v++) {
        const Braid__V1__ViewReport *view = report->views[v];
        br_buffer_append_text(out, v == 0 ? "{" : ",{");
        text_member(out, "view", view->view);
        text_member(out, "skipped", view->skipped);
        number_member(out, "rows_before", view->rows_before);
        number_member(out, "rows_after", view->rows_after);
        number_member(out, "equal", view->equal);
        number_member(out, "changed", view->changed);
        number_member(out, "missing", view->missing);
        number_member(out, "extra", view->extra);
        br_buffer_append_byte(out, '}');
    }
    br_buffer_append_text(out, "]}");
}

static void list_member(struct br_buffer *out, const char *name, char *const *texts, size_t count) {
    member(out, name);
    for (size_t i = 0; i < count; i++) {
        br_buffer_append_text(out, i == 0 ? "[" : ",");
        append_string(out, texts[i]);
    }
    br_buffer_append_byte(out, ']');
}

static void orders_members(const Braid__V1__ReplayJob *record, struct br_buffer *out) {
    text_member(out, "sql_name", record->sql_name);
    if (record->n_only != 0)
        list_member(out, "only", record->only, record->n_only);
    if (record->n_taken_over != 0)
        list_member(out, "taken_over", record->taken_over, record->n_taken_over);
    text_member(out, "key", record->key);
    text_member(out, "include",
                record->include_late && record->include_quarantine ? "late,quarantine"
                : record->include_late                             ? "late"
                : record->include_quarantine                       ? "quarantine"
                                                                   : "");
    if (record->lateness_us >= 0)
        real_member(out, "lateness_seconds", (double)record->lateness_us / 1e6);
    text_member(out, "rate", record->behind_live ? "behind live" : "");
    if (!record->behind_live && record->rate > 0)
        real_member(out, "rate", record->rate);
    if (record->publish)
        text_member(out, "publish", "views");
    text_member(out, "epochs", record->fresh_epochs ? "fresh" : "");
    if (record->reconcile) {
        member(out, "reconcile");
        br_buffer_append_text(out, "true");
    }
    text_member(out, "fail_on", record->fail_on);
}

void br_job_json(const Braid__V1__ReplayJob *record, bool brief, struct br_buffer *out) {
    br_buffer_append_byte(out, '{');
    text_member(out, "id", record->id);
    text_member(out, "pipeline", record->pipeline);
    text_member(out, "mode", br_job_mode_name(record->mode));
    text_member(out, "phase", br_job_phase_name(record->phase));
    text_member(out, "wish", br_job_wish_name(record->wish));
    text_member(out, "reason", record->reason);
    text_member(out, "worker", record->worker);
    time_member(out, "created", record->created_us);
    time_member(out, "started", record->started_us);
    time_member(out, "ended", record->ended_us);
    text_member(out, "error", record->error);
    if (record->progress != NULL)
        progress_member(record->progress, out);
    if (record->first_bad_epoch != 0)
        number_member(out, "first_bad_epoch", record->first_bad_epoch);
    text_member(out, "finding", record->finding);
    if (!brief) {
        text_member(out, "created_by", record->created_by);
        time_member(out, "lease_until", record->lease_until_us);
        text_member(out, "from", record->from);
        text_member(out, "to", record->to);
        text_member(out, "base_lineage", record->base_lineage);
        number_member(out, "base_first_epoch", record->base_first_epoch);
        number_member(out, "base_last_epoch", record->base_last_epoch);
        member(out, "plan_hash");
        br_buffer_printf(out, "\"%016" PRIx64 "\"", (uint64_t)record->plan_hash);
        orders_members(record, out);
        inputs_member(record, out);
        if (record->report != NULL)
            report_member(record->report, out);
        text_member(out, "former_lineage", record->former_lineage);
        if (record->takeover_epoch != 0)
            number_member(out, "takeover_epoch", record->takeover_epoch);
    }
    br_buffer_append_byte(out, '}');
}

// --- text

static void line(struct br_buffer *out, const char *name, const char *text) {
    if (text[0] != '\0')
        br_buffer_printf(out, "%-14s %s\n", name, text);
}

static void time_line(struct br_buffer *out, const char *name, int64_t us) {
    char text[BR_JOB_TIME_SIZE];
    if (us == 0)
        return;
    br_job_time(us, text);
    line(out, name, text);
}

static void progress_lines(const Braid__V1__ReplayProgress *progress, struct br_buffer *out) {
    br_buffer_printf(out, "%-14s %" PRIu64 " of %" PRIu64 " messages", "progress", progress->messages_done,
                     progress->messages_total);
    if (progress->messages_total != 0)
        br_buffer_printf(out, " (%.1f %%)", 100.0 * (double)progress->messages_done / (double)progress->messages_total);
    if (progress->messages_per_second > 0)
        br_buffer_printf(out, ", %.0f/s", progress->messages_per_second);
    if (progress->seconds_left >= 0)
        br_buffer_printf(out, ", %" PRId64 " s left", progress->seconds_left);
    br_buffer_printf(
        out,
        "\n%-14s %" PRIu64 " epochs, %" PRIu64 " rows, %" PRIu64 " late, %" PRIu64 " quarantined, %" PRIu64 " failed\n",
        "so far", progress->epochs, progress->rows_out, progress->late, progress->quarantined, progress->failed);
}

static void report_lines(const Braid__V1__ReconcileReport *report, struct br_buffer *out) {
    char text[BR_JOB_TIME_SIZE];
    br_job_time(report->at_us, text);
    br_buffer_printf(out, "%-14s at %s: %s at epoch %" PRIu64 ", %s at epoch %" PRIu64 "\n", "compared", text,
                     report->lineage_before, report->epoch_before, report->lineage_after, report->epoch_after);
    for (size_t v = 0; v < report->n_views; v++) {
        const Braid__V1__ViewReport *view = report->views[v];
        if (view->skipped[0] != '\0')
            br_buffer_printf(out, "  %-12s not compared: %s\n", view->view, view->skipped);
        else
            br_buffer_printf(out,
                             "  %-12s %" PRIu64 " equal, %" PRIu64 " changed, %" PRIu64 " missing, %" PRIu64 " extra\n",
                             view->view, view->equal, view->changed, view->missing, view->extra);
    }
}

void br_job_text(const Braid__V1__ReplayJob *record, struct br_wall_time now, struct br_buffer *out) {
    line(out, "replay", record->id);
    line(out, "pipeline", record->pipeline);
    line(out, "mode", br_job_mode_name(record->mode));
    line(out, "phase", br_job_phase_name(record->phase));
    line(out, "wanted", br_job_wish_name(record->wish));
    line(out, "error", record->error);
    line(out, "finding", record->finding);
    line(out, "reason", record->reason);
    line(out, "by", record->created_by);
    time_line(out, "created", record->created_us);
    time_line(out, "started", record->started_us);
    time_line(out, "ended", record->ended_us);
    if (record->worker[0] != '\0')
        br_buffer_printf(out, "%-14s %s%s\n", "worker", record->worker,
                         br_job_leased(record, now) ? "" : " (its lease has run out)");
    line(out, "sql", record->sql_name);
    line(out, "from", record->from);
    line(out, "to", record->to);
    line(out, "epochs", record->fresh_epochs ? "fresh" : "");
    for (size_t i = 0; i < record->n_inputs; i++) {
        const Braid__V1__ReplayInput *input = record->inputs[i];
        if (input->asleep)
            br_buffer_printf(out, "  %-12s not read\n", input->table);
        else
            br_buffer_printf(out, "  %-12s %s %" PRIu64 "..%" PRIu64 "\n", input->table, input->stream,
                             input->first_sequence, input->last_sequence);
    }
    for (size_t i = 0; i < record->n_taken_over; i++)
        line(out, i == 0 ? "takes state of" : "", record->taken_over[i]);
    if (record->base_lineage[0] != '\0' && record->base_last_epoch != 0 && !record->fresh_epochs)
        br_buffer_printf(out, "%-14s epochs %" PRIu64 " to %" PRIu64 " of %s\n", "repeats", record->base_first_epoch,
                         record->base_last_epoch, record->base_lineage);
    if (record->progress != NULL)
        progress_lines(record->progress, out);
    if (record->report != NULL)
        report_lines(record->report, out);
    if (record->takeover_epoch != 0)
        br_buffer_printf(out, "%-14s with epoch %" PRIu64 ", from %s\n", "took over", record->takeover_epoch,
                         record->former_lineage);
}
