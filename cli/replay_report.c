// SPDX-License-Identifier: Apache-2.0
// The report of a comparison: read from the output stream, where the worker that made it has put it, printed and
// judged.
#include "cli/replay.h"
#include "processor/task.h"
#include "replay/report.h"
#include "replay/unpack.h"

#include <stdio.h>

bool replay_add_tolerance(struct replay_arguments *arguments, char *text) {
    char *sign = strrchr(text, '=');
    char *end = NULL;
    double absolute = sign == NULL ? -1 : strtod(sign + 1, &end);
    size_t count = arguments->gates.tolerance_count;
    if (sign == NULL || sign == text || end == sign + 1 || *end != '\0' || !(absolute >= 0 && absolute < 1e300) ||
        count == REPLAY_TOLERANCES_MAX)
        return false;
    Braid__V1__Tolerance *tolerance = arguments->tolerance_list[count] = &arguments->tolerances[count];
    braid__v1__tolerance__init(tolerance);
    *sign = '\0';
    tolerance->column = text;
    tolerance->absolute = absolute;
    arguments->gates.tolerances = arguments->tolerance_list;
    arguments->gates.tolerance_count = count + 1;
    return true;
}

static int fail(enum br_status status, const struct br_error *error) {
    br_complain("%s", error->message);
    return status == BR_DATA ? BR_EXIT_NO : BR_EXIT_FAILED;
}

static int read_report(struct br_log *log, const Braid__V1__ReplayJob *record, struct br_arena *arena,
                       Braid__V1__ReconcileReport **ret_report) {
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_log_message message;
    struct br_error error;
    char stream[256], subject[320];
    bool found;
    br_task_output_stream(record->pipeline, stream, sizeof stream);
    snprintf(subject, sizeof subject, "braid.%s.reconcile.%s", record->pipeline, record->id);
    enum br_status status = br_log_last(log, stream, subject, &copy, &message, &found, &error);
    if (status != BR_OK)
        return fail(status, &error);
    if (!found) {
        br_complain("there is no report of %s: it hasn't been compared, or stream %s has dropped it", record->id,
                    stream);
        return BR_EXIT_NO;
    }
    *ret_report = br_unpack(&braid__v1__reconcile_report__descriptor, message.payload, arena);
    if (*ret_report != NULL)
        return BR_EXIT_OK;
    br_complain("the last message on %s can't be read: it isn't a braid.v1.ReconcileReport", subject);
    return BR_EXIT_FAILED;
}

static int judge(const struct replay_arguments *arguments, const Braid__V1__ReconcileReport *report) {
    struct br_buffer BR_CLEANUP(br_buffer_free) why = {0};
    struct br_error error;
    bool fails;
    const char *expression = arguments->fail_on != NULL ? arguments->fail_on : BR_REPORT_ANY_DIFFERENCE;
    enum br_status status = br_report_fails_on(expression, report, &fails, &why, &error);
    if (status != BR_OK)
        return fail(status, &error);
    if (arguments->fail_on != NULL && why.len != 0)
        fwrite(why.ptr, 1, why.len, stderr);
    return fails ? BR_EXIT_NO : BR_EXIT_OK;
}

int replay_show_report(const struct replay_arguments *arguments, struct br_log *log,
                       const Braid__V1__ReplayJob *record) {
    struct br_buffer BR_CLEANUP(br_buffer_free) out = {0};
    struct br_arena *arena = br_arena_create();
    Braid__V1__ReconcileReport *report;
    int code = read_report(log, record, arena, &report);
    if (code == BR_EXIT_OK) {
        (arguments->json ? br_report_print_json : br_report_print)(report, &out);
        fwrite(out.ptr, 1, out.len, stdout);
        fflush(stdout);
        code = judge(arguments, report);
    }
    br_arena_destroy(&arena);
    return code;
}
