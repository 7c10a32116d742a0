// SPDX-License-Identifier: Apache-2.0
// What keeps a task from working though it tries again by itself: a permission that is missing, a connection that isn't
// to be had, a stream that is full. It is told in the log and in the status, and when it is over.
//
// W1. A place (the log, a table's reader, what is tried again now) has one trouble at a time. It is told when it has
//     lasted for GRACE_US, again when its words change (no sooner than CHANGED_US later), and every AGAIN_US while it
//     lasts.
// W2. What was told is told to be over.
#include "processor/task_internal.h"

#include "base/logging.h"

#include <stdio.h>

#define WATCH_US BR_US_PER_SECOND
#define GRACE_US BR_US_PER_SECOND
#define CHANGED_US (10 * BR_US_PER_SECOND)
#define AGAIN_US (60 * BR_US_PER_SECOND)

static struct br_log_field table_field(const struct br_table *table) {
    if (table == NULL)
        return (struct br_log_field){0};
    return BR_STR("table", table->name);
}

static void end_trouble(const struct br_task *task, struct task_trouble *trouble, const struct br_table *table,
                        int64_t now_us) {
    if (trouble->told_us != 0)
        br_log_line(BR_LEVEL_INFO, "it works again", BR_STR("pipeline", task->pipeline->name),
                    BR_STR("what", trouble->what), BR_INT("after_ms", (now_us - trouble->since_us) / 1000),
                    table_field(table));
    *trouble = (struct task_trouble){0};
}

// text NULL: there is none. at_once: it has lasted for long enough already.
static void note(const struct br_task *task, struct task_trouble *trouble, const struct br_table *table,
                 const char *text, bool at_once) {
    int64_t now_us = task->options.clock->mono(task->options.clock).us;
    bool there = trouble->what[0] != '\0';
    if (text == NULL) {
        if (there)
            end_trouble(task, trouble, table, now_us);
        return;
    }
    if (!there)
        trouble->since_us = now_us;
    bool changed = strncmp(trouble->what, text, sizeof trouble->what - 1) != 0;
    snprintf(trouble->what, sizeof trouble->what, "%s", text);
    trouble->untold |= changed;
    int64_t told_ago_us = now_us - trouble->told_us;
    bool due = trouble->told_us == 0 ? at_once || now_us - trouble->since_us >= GRACE_US
                                     : told_ago_us >= AGAIN_US || (trouble->untold && told_ago_us >= CHANGED_US);
    if (!due)
        return;
    trouble->told_us = now_us;
    trouble->untold = false;
    br_log_line(BR_LEVEL_WARN, "can't go on; trying again", BR_STR("pipeline", task->pipeline->name),
                BR_STR("why", text), BR_INT("for_ms", (now_us - trouble->since_us) / 1000), table_field(table));
}

void task_note_try(struct br_task *task, const struct br_error *why, bool at_once) {
    note(task, &task->try_trouble, NULL, why->message, at_once);
}

void task_end_try(struct br_task *task) {
    if (task->try_trouble.what[0] != '\0')
        note(task, &task->try_trouble, NULL, NULL, false);
}

void task_watch(struct br_task *task) {
    char text[TASK_TROUBLE_SIZE];
    int64_t now_us = task->options.clock->mono(task->options.clock).us;
    if (now_us - task->watched_us < WATCH_US)
        return;
    task->watched_us = now_us;
    bool of_log = br_log_trouble(task->log, text, sizeof text);
    note(task, &task->log_trouble, NULL, of_log ? text : NULL, false);
    for (uint32_t i = 0; i < task->input_count; i++) {
        struct task_input *input = &task->inputs[i];
        bool any = input->reader != NULL && br_reader_trouble(input->reader, text, sizeof text);
        note(task, &input->trouble, input->table, any ? text : NULL, false);
    }
}

static void print(const struct br_task *task, const struct task_trouble *trouble, const struct br_table *table,
                  bool *first, struct br_buffer *out) {
    char text[TASK_TROUBLE_SIZE + 300];
    if (trouble->what[0] == '\0')
        return;
    int64_t for_us = task->options.clock->mono(task->options.clock).us - trouble->since_us;
    snprintf(text, sizeof text, "%s%s%s%s (for %lld s)", table == NULL ? "" : "table ",
             table == NULL ? "" : table->name, table == NULL ? "" : ": ", trouble->what,
             (long long)(for_us / BR_US_PER_SECOND));
    br_buffer_append_text(out, *first ? "" : ",");
    br_json_append_string(br_slice_of(text), out);
    *first = false;
}

void task_print_troubles(struct br_task *task, struct br_buffer *out) {
    bool first = true;
    br_buffer_append_text(out, ",\"troubles\":[");
    print(task, &task->try_trouble, NULL, &first, out);
    print(task, &task->log_trouble, NULL, &first, out);
    for (uint32_t i = 0; i < task->input_count; i++)
        print(task, &task->inputs[i].trouble, task->inputs[i].table, &first, out);
    br_buffer_append_byte(out, ']');
}
