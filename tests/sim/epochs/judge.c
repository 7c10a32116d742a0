// SPDX-License-Identifier: Apache-2.0
// What subscribers saw in a world of sim_epochs, against the naive fold.
#define _GNU_SOURCE // memmem
#include "world.h"

#include "braid/v1/commit.pb-c.h"
#include "cli/relation.h"
#include "processor/commit_reader.h"

struct judge {
    struct world *world;
    struct br_relation *relation;
    struct br_arena *arena;
    struct br_lines lines;
    size_t reports;
    uint64_t epoch, messages, digest;
    uint32_t part, batch_messages;
};

static enum br_status judge_row(void *context, const struct br_output_row *row, struct br_error *error) {
    struct judge *judge = context;
    return br_relation_apply(judge->relation, row, NULL, NULL, error);
}

static enum br_status judge_report(void *context, struct br_slice line, struct br_error *error) {
    struct judge *judge = context;
    (void)line;
    (void)error;
    judge->reports++;
    return BR_OK;
}

static enum br_status judge_line(void *context, const struct br_view *view, uint64_t epoch, int weight,
                                 struct br_slice row, struct br_error *error) {
    struct judge *judge = context;
    (void)epoch;
    (void)weight;
    (void)error;
    const char *line = br_arena_printf(judge->arena, "{\"view\":\"%s\",\"row\":%.*s}", view->name, (int)row.len,
                                       (const char *)row.ptr);
    br_lines_add(&judge->lines, br_slice_of(line));
    return BR_OK;
}

// Epochs follow each other, parts are whole, batches have as many messages as they say, positions go on where the last
// epoch ended.
static void judge_commit(struct judge *judge, const struct br_log_message *message) {
    struct world *world = judge->world;
    if (br_commit_is_foreign(message))
        return;
    Braid__V1__Commit *commit = braid__v1__commit__unpack(NULL, message->payload.len, message->payload.ptr);
    if (commit == NULL)
        die(world, "a commit can't be read", "");
    // cppcheck-suppress nullPointerRedundantCheck; die doesn't return
    if (commit->batch_messages != judge->batch_messages + 1)
        die(world, "X1: a batch has another number of messages than its commit says", "");
    if (judge->part == 0 ? (commit->epoch != judge->epoch + 1 || commit->part != 1)
                         : (commit->epoch != judge->epoch || commit->part != judge->part + 1))
        die(world, "X2/X6: epochs or parts don't follow each other", "");
    if (judge->part != 0 && commit->digest != judge->digest)
        die(world, "X6: parts of one epoch disagree", "");
    judge->batch_messages = 0;
    judge->epoch = commit->epoch;
    judge->digest = commit->digest;
    judge->part = commit->part == commit->parts ? 0 : commit->part;
    if (judge->part == 0)
        for (size_t i = 0; i < commit->n_inputs; i++)
            judge->messages += commit->inputs[i]->messages;
    braid__v1__commit__free_unpacked(commit, NULL);
}

static void read_outputs(struct judge *judge) {
    struct world *world = judge->world;
    struct br_error error;
    char stream[256];
    br_task_output_stream(world->pipeline->name, stream, sizeof stream);
    struct br_stream_info info;
    must(world, br_log_stream_info(world->feeder, stream, &info, &error), &error);
    struct br_outputs *outputs;
    must(world, br_outputs_create(world->pipeline, &outputs, &error), &error);
    struct br_outputs_each each = {.context = judge, .row = judge_row, .report = judge_report};
    struct br_reader *reader;
    must(world, br_reader_open(world->feeder, stream, ">", 1, info.last_sequence, &reader, &error), &error);
    for (uint64_t sequence = 0; sequence < info.last_sequence;) {
        const struct br_log_message *messages;
        size_t count;
        must(world, br_reader_peek(reader, &messages, &count, &error), &error);
        for (size_t i = 0; i < count; i++) {
            sequence = messages[i].sequence;
            if (messages[i].subject.len > 16 &&
                memmem(messages[i].subject.ptr, messages[i].subject.len, ".commit.", 8) != NULL)
                judge_commit(judge, &messages[i]);
            else
                judge->batch_messages++;
            must(world, br_outputs_read(outputs, &messages[i], &each, &error), &error);
        }
        br_reader_consume(reader, count);
        br_reader_release(reader);
        if (count == 0)
            br_log_wait(world->feeder, 100);
    }
    br_reader_close(&reader);
    br_outputs_destroy(&outputs);
}

static int compare_lines(const void *one, const void *other) {
    const struct br_slice *a = one, *b = other;
    return br_slice_compare(*a, *b);
}

// Byte for byte, as nearly always: br_expect_compare, which tells what differs, knows more ways to be the same.
static bool plainly_same(struct br_lines *want, struct br_lines *have) {
    if (want->count != have->count)
        return false;
    qsort(want->list, want->count, sizeof *want->list, compare_lines);
    qsort(have->list, have->count, sizeof *have->list, compare_lines);
    for (size_t i = 0; i < want->count; i++)
        if (!br_slice_equal(want->list[i], have->list[i]))
            return false;
    return true;
}

void judge(struct world *world) {
    struct br_error error;
    struct judge judge = {.world = world, .arena = br_arena_create()};
    must(world, br_relation_create(world->pipeline, &judge.relation, &error), &error);
    read_outputs(&judge);
    must(world, br_relation_each(judge.relation, judge_line, &judge, &error), &error);
    struct br_lines want = {0};
    size_t reports;
    naive(world, &want, judge.arena, &reports);
    struct br_buffer diff = {0};
    bool same = plainly_same(&want, &judge.lines);
    if (!same)
        must(world, br_expect_compare(&want, &judge.lines, 0, &diff, &same, &error), &error);
    br_buffer_append_byte(&diff, '\0');
    if (!same)
        die(world, "committed outputs differ from the naive fold (- naive, + committed)", (const char *)diff.ptr);
    if (judge.reports != reports)
        die(world, "quarantined events were lost or doubled", "");
    if (judge.part != 0)
        die(world, "X6: the last epoch isn't whole", "");
    if (judge.messages != world->inputs.count)
        die(world, "X3: epochs consumed another number of messages than there are", "");
    free(want.list);
    free(judge.lines.list);
    br_buffer_free(&diff);
    br_relation_destroy(&judge.relation);
    br_arena_destroy(&judge.arena);
}
