// SPDX-License-Identifier: Apache-2.0
// A replay's plan in words and as JSON. See plan.h.
#include "base/json.h"
#include "replay/job.h"
#include "replay/plan.h"

#include <inttypes.h>
#include <stdio.h>

// Where the parts of a slice come from, in the stream's own sequences; last < first: nothing.
struct parts {
    uint64_t imported;
    uint64_t archive_first, archive_last;
    uint64_t stream_first, stream_last;
};

static struct parts parts_of(const Braid__V1__ReplayInput *input) {
    struct parts parts = {.archive_first = 1, .stream_first = 1};
    if (input->last_sequence == 0)
        return parts;
    uint64_t n = input->prehistory;
    uint64_t first = input->first_sequence > n ? input->first_sequence - n : 1;
    uint64_t last = input->last_sequence > n ? input->last_sequence - n : 0;
    if (input->first_sequence <= n)
        parts.imported = n - input->first_sequence + 1;
    if (input->archived_last != 0) {
        parts.archive_first = first;
        parts.archive_last = input->archived_last;
        first = input->archived_last + 1;
    }
    parts.stream_first = first;
    parts.stream_last = last;
    return parts;
}

static void bytes_text(uint64_t bytes, char *text, size_t size) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1000 && unit < 4; unit++)
        value /= 1000;
    snprintf(text, size, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

static void time_text(int64_t seconds, char *text, size_t size) {
    if (seconds >= 7200)
        snprintf(text, size, "%.1f h", (double)seconds / 3600);
    else if (seconds >= 120)
        snprintf(text, size, "%.1f min", (double)seconds / 60);
    else
        snprintf(text, size, "%" PRId64 " s", seconds);
}

static void input_lines(const Braid__V1__ReplayInput *input, struct br_buffer *out) {
    struct parts parts = parts_of(input);
    char bytes[32];
    br_buffer_printf(out, "  %-16s", input->table);
    if (parts.imported != 0)
        br_buffer_printf(out, " imported: %" PRIu64 " events;", parts.imported);
    if (parts.archive_first <= parts.archive_last)
        br_buffer_printf(out, " archive: %" PRIu64 "..%" PRIu64 ";", parts.archive_first, parts.archive_last);
    if (parts.stream_first <= parts.stream_last)
        br_buffer_printf(out, " stream %s: %" PRIu64 "..%" PRIu64 ";", input->stream, parts.stream_first,
                         parts.stream_last);
    bytes_text(input->bytes, bytes, sizeof bytes);
    if (input->asleep)
        br_buffer_append_text(out, " nothing: views that read it take their state over\n");
    else if (input->last_sequence == 0)
        br_buffer_append_text(out, " nothing\n");
    else
        br_buffer_printf(out, " about %" PRIu64 " messages, %s\n", input->messages, bytes);
}

static void promote_line(const struct br_replay_plan *plan, struct br_buffer *out) {
    size_t count = 0;
    for (size_t i = 0; i < plan->view_count; i++)
        if (plan->views[i].corrected && !plan->views[i].same)
            br_buffer_printf(out, "%s%s", count++ == 0 ? "promote could change rows of " : ", ", plan->views[i].view);
    br_buffer_append_text(out, count == 0 ? "promote changes only rows that aren't what history gives\n" : "\n");
}

static void views_lines(const struct br_replay_plan *plan, struct br_buffer *out) {
    if (plan->view_count == 0)
        return;
    br_buffer_append_text(out, "views\n");
    for (size_t i = 0; i < plan->view_count; i++) {
        const struct br_plan_view *view = &plan->views[i];
        br_buffer_printf(out, "  %-16s %s%s%s\n", view->view, view->verdict, view->why[0] != '\0' ? ": " : "",
                         view->why);
        if (view->note[0] != '\0')
            br_buffer_printf(out, "  %-16s (%s)\n", "", view->note);
    }
    promote_line(plan, out);
    for (size_t i = 0; i < plan->move_count; i++)
        br_buffer_printf(out, "%s  %s\n", i == 0 ? "field numbers move\n" : "", plan->moves[i]);
}

void br_replay_plan_text(const struct br_replay_plan *plan, struct br_buffer *out) {
    char bytes[32], time[32];
    br_buffer_printf(out, "%s of pipeline %s from %s to %s\n",
                     plan->mode == BRAID__V1__REPLAY_MODE__REPLAY_MODE_VERIFY ? "verification" : "replay",
                     plan->pipeline, plan->from, plan->to);
    if (plan->base_last_epoch != 0 && !plan->fresh_epochs)
        br_buffer_printf(out, "repeats the epochs %" PRIu64 " to %" PRIu64 " of %s\n", plan->base_first_epoch,
                         plan->base_last_epoch, plan->base_lineage);
    else
        br_buffer_append_text(out, "with epochs of its own\n");
    br_buffer_append_text(out, "inputs\n");
    for (size_t i = 0; i < plan->input_count; i++)
        input_lines(plan->inputs[i], out);
    bytes_text(plan->bytes, bytes, sizeof bytes);
    br_buffer_printf(out, "in all about %" PRIu64 " messages, %s", plan->messages, bytes);
    if (plan->seconds >= 0) {
        time_text(plan->seconds, time, sizeof time);
        br_buffer_printf(out, ", %s at %.0f messages/s", time, plan->messages_per_second);
    }
    br_buffer_append_byte(out, '\n');
    views_lines(plan, out);
    for (size_t i = 0; i < plan->note_count; i++)
        br_buffer_printf(out, "note: %s\n", plan->notes[i]);
    for (size_t i = 0; i < plan->hole_count; i++)
        br_buffer_printf(out, "hole: %s\n", plan->holes[i].text);
    if (plan->hole_count != 0)
        br_buffer_append_text(out, "It can't be run: history has holes.\n");
}

// --- JSON

static void text_member(struct br_buffer *out, const char *before, const char *name, const char *text) {
    br_buffer_printf(out, "%s\"%s\":", before, name);
    br_json_append_string(br_slice_of(text), out);
}

static void range_member(struct br_buffer *out, const char *name, uint64_t first, uint64_t last) {
    if (first <= last)
        br_buffer_printf(out, ",\"%s\":{\"first\":%" PRIu64 ",\"last\":%" PRIu64 "}", name, first, last);
}

static void inputs_json(const struct br_replay_plan *plan, struct br_buffer *out) {
    for (size_t i = 0; i < plan->input_count; i++) {
        const Braid__V1__ReplayInput *input = plan->inputs[i];
        struct parts parts = parts_of(input);
        text_member(out, i == 0 ? "{" : ",{", "table", input->table);
        if (parts.imported != 0)
            br_buffer_printf(out, ",\"imported\":%" PRIu64, parts.imported);
        range_member(out, "archive", parts.archive_first, parts.archive_last);
        text_member(out, ",", "stream_name", input->stream);
        range_member(out, "stream", parts.stream_first, parts.stream_last);
        br_buffer_printf(out, ",\"messages\":%" PRIu64 ",\"bytes\":%" PRIu64 "}", input->messages, input->bytes);
    }
}

void br_replay_plan_json(const struct br_replay_plan *plan, struct br_buffer *out) {
    text_member(out, "{", "pipeline", plan->pipeline);
    text_member(out, ",", "mode", br_job_mode_name(plan->mode));
    text_member(out, ",", "from", plan->from);
    text_member(out, ",", "to", plan->to);
    text_member(out, ",", "base_lineage", plan->base_lineage);
    br_buffer_printf(out, ",\"base_first_epoch\":%" PRIu64 ",\"base_last_epoch\":%" PRIu64 ",\"inputs\":[",
                     plan->base_first_epoch, plan->base_last_epoch);
    inputs_json(plan, out);
    br_buffer_printf(out, "],\"messages\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"seconds\":", plan->messages, plan->bytes);
    if (plan->seconds >= 0)
        br_buffer_printf(out, "%" PRId64 ",\"messages_per_second\":%.0f", plan->seconds, plan->messages_per_second);
    else
        br_buffer_append_text(out, "null");
    br_buffer_append_text(out, ",\"views\":[");
    for (size_t i = 0; i < plan->view_count; i++) {
        text_member(out, i == 0 ? "{" : ",{", "view", plan->views[i].view);
        text_member(out, ",", "verdict", plan->views[i].verdict);
        text_member(out, ",", "why", plan->views[i].why);
        text_member(out, ",", "note", plan->views[i].note);
        br_buffer_printf(out, ",\"corrected\":%s,\"taken_over\":%s}", plan->views[i].corrected ? "true" : "false",
                         plan->views[i].taken_over ? "true" : "false");
    }
    br_buffer_append_text(out, "],\"moves\":[");
    for (size_t i = 0; i < plan->move_count; i++) {
        br_buffer_append_text(out, i == 0 ? "" : ",");
        br_json_append_string(br_slice_of(plan->moves[i]), out);
    }
    br_buffer_append_text(out, "],\"holes\":[");
    for (size_t i = 0; i < plan->hole_count; i++) {
        const struct br_plan_hole *hole = &plan->holes[i];
        text_member(out, i == 0 ? "{" : ",{", "table", hole->table);
        text_member(out, ",", "stream", hole->stream);
        br_buffer_printf(out, ",\"first\":%" PRIu64 ",\"last\":%" PRIu64, hole->first, hole->last);
        text_member(out, ",", "text", hole->text);
        br_buffer_append_byte(out, '}');
    }
    br_buffer_append_text(out, "],\"notes\":[");
    for (size_t i = 0; i < plan->note_count; i++) {
        br_buffer_append_text(out, i == 0 ? "" : ",");
        br_json_append_string(br_slice_of(plan->notes[i]), out);
    }
    br_buffer_append_text(out, "]}\n");
}
