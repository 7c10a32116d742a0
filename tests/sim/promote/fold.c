// SPDX-License-Identifier: Apache-2.0
// What a subscriber knows in a world of sim_promote, and what it should: the last value by subject where a view has a
// key, else rows with counts; packed views as their rows in JSON.
#define _GNU_SOURCE // memmem
#include "world.h"

#include "braid/v1/commit.pb-c.h"
#include "cli/relation.h"
#include "processor/commit_reader.h"

struct line {
    char *text; // subject and payload
    int64_t count;
};

// The last value by subject where a view has a key, else rows with counts; packed views as their rows in JSON.
struct fold {
    struct world *world;
    struct br_arena *arena;
    struct br_state *state; // "subject" or "subject\0payload" → payload or count
    struct br_state_table *table;
    struct br_outputs *outputs;
    struct br_relation *relation;
    uint64_t epochs[LINEAGES], last_epoch_of_owner, last_sequence[LINEAGES];
    bool cut[LINEAGES];
    int owner;
    Braid__V1__Commit **first_owner; // by epoch, until hands change: what the first owner has committed
    size_t first_owner_count;
    bool changed_hands;
    struct br_buffer text;
};

static void fold_message(struct fold *fold, const struct br_log_message *message) {
    struct br_error error;
    struct br_slice op = {0};
    if (!br_log_message_header(message, "Braid-Op", &op) || message->subject.len < 4 ||
        memmem(message->subject.ptr, message->subject.len, "unstored", 8) != NULL)
        return;
    struct br_buffer key = {0};
    br_buffer_append_slice(&key, message->subject);
    struct world *world = fold->world;
    if (br_slice_is(op, "upsert")) {
        must(world, br_state_put(fold->table, br_buffer_slice(&key), message->payload, &error), &error);
    } else if (br_slice_is(op, "delete")) {
        must(world, br_state_delete(fold->table, br_buffer_slice(&key), &error), &error);
    } else {
        struct br_entry *entry;
        bool is_new;
        br_buffer_append_byte(&key, 0);
        br_buffer_append_slice(&key, message->payload);
        struct br_slice whole = br_buffer_slice(&key);
        must(world, br_state_obtain(fold->table, whole, br_state_hash(whole), 8, &entry, &is_new, &error), &error);
        int64_t count;
        memcpy(&count, entry->value, 8);
        count += br_slice_is(op, "insert") ? 1 : -1;
        memcpy(entry->value, &count, 8);
        br_entry_mark_dirty(fold->table, entry);
        if (count == 0)
            br_entry_delete(fold->table, entry);
    }
    br_state_end_epoch(fold->state);
    br_buffer_free(&key);
}

static enum br_status fold_packed(void *context, const struct br_output_row *row, struct br_error *error) {
    struct fold *fold = context;
    return row->view->layout == BR_LAYOUT_PACKED ? br_relation_apply(fold->relation, row, NULL, NULL, error) : BR_OK;
}

static enum br_status ignore_report(void *context, struct br_slice line, struct br_error *error) {
    (void)context, (void)line, (void)error;
    return BR_OK;
}

// X17: a view that has taken its state over changes as the owner's does, epoch by epoch.
static void judge_taken_over(struct fold *fold, const Braid__V1__Commit *commit) {
    struct world *world = fold->world;
    const struct br_pipeline *before = world->pipelines[0], *after = world->pipelines[1];
    if (world->asleep == NULL || fold->changed_hands || commit->follows_epoch == 0 ||
        commit->follows_epoch > fold->first_owner_count)
        return;
    const Braid__V1__Commit *base = fold->first_owner[commit->follows_epoch - 1];
    for (uint32_t v = 0; v < after->view_count; v++) {
        if (!world->asleep[v] || commit->views[v]->asleep)
            continue;
        uint32_t b = br_pipeline_find_view(before, after->views[v].name)->index;
        if (commit->views[v]->digest != base->views[b]->digest)
            die(world, "X17: a view that took its state over changes otherwise", after->views[v].name);
    }
}

static void note_first_owner(struct fold *fold, Braid__V1__Commit *take_commit) {
    fold->first_owner = br_realloc(fold->first_owner, (fold->first_owner_count + 1) * sizeof(Braid__V1__Commit *));
    fold->first_owner[fold->first_owner_count++] = take_commit;
}

// X13, X15: on the owner's subject a lineage changes by a takeover that names the last commit before it.
static void judge_commit(struct fold *fold, const struct br_log_message *message) {
    struct world *world = fold->world;
    char owner_subject[64];
    if (br_commit_is_foreign(message))
        return;
    Braid__V1__Commit *commit = braid__v1__commit__unpack(NULL, message->payload.len, message->payload.ptr);
    if (commit == NULL)
        die(world, "a commit can't be read", "");
    // cppcheck-suppress nullPointerRedundantCheck; die doesn't return
    int lineage = strcmp(commit->lineage, lineages[1]) == 0 ? 1 : 0;
    br_task_owner_subject("sim", owner_subject, sizeof owner_subject);
    bool on_owner = br_slice_is(message->subject, owner_subject);
    if (on_owner && lineage != fold->owner) {
        if (commit->takeover == NULL || commit->part != 1 ||
            commit->takeover->from_epoch != fold->epochs[fold->owner] ||
            commit->takeover->from_sequence != fold->last_sequence[fold->owner] || fold->cut[fold->owner])
            die(world, "X13: the outputs changed hands without a takeover of the last commit", "");
        fold->owner = lineage;
    }
    bool closes = commit->takeover != NULL && !on_owner;
    if (!closes) {
        uint64_t next = fold->epochs[lineage] + (fold->cut[lineage] ? 0 : 1);
        if (commit->epoch != next)
            die(world, "X15: epochs of a lineage don't follow each other", commit->lineage);
        fold->epochs[lineage] = commit->epoch;
        fold->cut[lineage] = commit->part != commit->parts;
        fold->last_sequence[lineage] = message->sequence;
    }
    fold->changed_hands |= commit->takeover != NULL;
    if (lineage == 1)
        judge_taken_over(fold, commit);
    if (lineage == 0 && !fold->changed_hands && commit->part == commit->parts)
        note_first_owner(fold, commit);
    else
        braid__v1__commit__free_unpacked(commit, NULL);
}

static void read_stream(struct fold *fold, struct br_log *log) {
    struct world *world = fold->world;
    struct br_error error;
    struct br_stream_info info;
    struct br_reader *reader;
    struct br_outputs_each each = {.context = fold, .row = fold_packed, .report = ignore_report};
    must(world, br_log_stream_info(log, "BRAID_sim", &info, &error), &error);
    must(world, br_reader_open(log, "BRAID_sim", ">", 1, info.last_sequence, &reader, &error), &error);
    for (uint64_t sequence = 0; sequence < info.last_sequence;) {
        const struct br_log_message *messages;
        size_t count;
        must(world, br_reader_peek(reader, &messages, &count, &error), &error);
        for (size_t i = 0; i < count; i++) {
            sequence = messages[i].sequence;
            bool commit = memmem(messages[i].subject.ptr, messages[i].subject.len, ".commit.", 8) != NULL;
            bool packed = memmem(messages[i].subject.ptr, messages[i].subject.len, "view.packed", 11) != NULL;
            if (commit)
                judge_commit(fold, &messages[i]);
            if (commit || packed)
                must(world, br_outputs_read(fold->outputs, &messages[i], &each, &error), &error);
            else
                fold_message(fold, &messages[i]);
        }
        br_reader_consume(reader, count);
        br_reader_release(reader);
        if (count == 0)
            br_log_wait(log, 100);
    }
    br_reader_close(&reader);
}

static enum br_status print_packed(void *context, const struct br_view *view, uint64_t epoch, int weight,
                                   struct br_slice row, struct br_error *error) {
    struct fold *fold = context;
    (void)epoch, (void)weight, (void)error;
    br_buffer_printf(&fold->text, "%s %.*s\n", view->name, (int)row.len, (const char *)row.ptr);
    return BR_OK;
}

static void print_value(struct br_buffer *out, struct br_slice value) {
    for (size_t i = 0; i < value.len; i++)
        br_buffer_printf(out, value.ptr[i] > 32 && value.ptr[i] < 127 ? "%c" : "\\%02x", value.ptr[i]);
}

// All of it as text, in order.
static char *fold_all(struct world *world, struct br_log *log, const struct br_pipeline *pipeline) {
    struct br_error error;
    struct fold fold = {.world = world, .arena = br_arena_create()};
    must(world, br_state_create(br_store_create_memory(), (size_t)1 << 30, &fold.state, &error), &error);
    fold.table = br_state_open_table(fold.state, 1, "fold");
    must(world, br_outputs_create(pipeline, &fold.outputs, &error), &error);
    must(world, br_relation_create(pipeline, &fold.relation, &error), &error);
    read_stream(&fold, log);
    must(world, br_relation_each(fold.relation, print_packed, &fold, &error), &error);
    struct br_state_iterator *iterator;
    struct br_slice key, value;
    must(world, br_state_scan(fold.table, (struct br_slice){0}, (struct br_slice){0}, &iterator, &error), &error);
    while (br_state_iterator_next(iterator, &key, &value)) {
        print_value(&fold.text, key);
        br_buffer_append_byte(&fold.text, ' ');
        print_value(&fold.text, value);
        br_buffer_append_byte(&fold.text, '\n');
    }
    br_state_iterator_destroy(&iterator);
    for (size_t e = 0; e < fold.first_owner_count; e++)
        braid__v1__commit__free_unpacked(fold.first_owner[e], NULL);
    free(fold.first_owner);
    br_relation_destroy(&fold.relation);
    br_outputs_destroy(&fold.outputs);
    br_state_destroy(&fold.state);
    br_arena_destroy(&fold.arena);
    br_buffer_append_byte(&fold.text, '\0');
    return (char *)fold.text.ptr;
}

static void copy_stream(struct world *world, const char *stream, struct br_log *to) {
    struct br_error error;
    struct br_stream_info info;
    must(world, br_log_stream_info(world->feeder, stream, &info, &error), &error);
    for (uint64_t sequence = info.first_sequence; sequence <= info.last_sequence; sequence++) {
        struct br_buffer copy = {0};
        struct br_log_message message;
        bool found;
        must(world, br_log_get(world->feeder, stream, sequence, &copy, &message, &found, &error), &error);
        if (found)
            must(world, br_log_publish(to, &message, &error), &error);
        br_buffer_free(&copy);
    }
}

// An undisturbed run of the owner's pipeline over the same input.
static char *undisturbed(struct world *world, const struct br_pipeline *pipeline) {
    struct br_error error;
    struct br_sim *sim = br_sim_create(NULL);
    struct br_log *log = br_sim_connect(sim, false);
    struct br_store *store = br_store_create_memory();
    struct br_task *task = NULL;
    struct sim_inputs inputs;
    sim_inputs_open(&inputs, sim, log, pipeline, TABLE_COUNT, world->oddity.shared);
    for (uint32_t s = 0; s < inputs.stream_count; s++)
        copy_stream(world, inputs.streams[s], log);
    struct br_task_options options = {.pipeline = pipeline,
                                      .log = log,
                                      .clock = br_sim_clock(sim),
                                      .worker = "undisturbed",
                                      .open_store = open_store,
                                      .store_context = &store,
                                      .flush_interval_us = -1};
    must(world, br_task_create(&options, &task, &error), &error);
    must(world, br_task_recover(task, &error), &error);
    for (int i = 0; i < 1000; i++) {
        bool worked;
        must(world, br_task_step(task, &worked, &error), &error);
        if (!worked)
            br_log_wait(log, 1000);
    }
    char *text = fold_all(world, log, pipeline);
    sim_inputs_close(&inputs);
    br_task_destroy(&task);
    br_log_close(&log);
    br_store_destroy(&store);
    br_sim_destroy(&sim);
    return text;
}

void judge(struct world *world) {
    const struct br_pipeline *pipeline = world->pipelines[owner_of(world)];
    char *want = undisturbed(world, pipeline);
    char *have = fold_all(world, world->feeder, pipeline);
    if (strcmp(want, have) != 0) {
        printf("--- an undisturbed run of %s\n%s+++ what was published\n%s", lineages[owner_of(world)], want, have);
        die(world, "X14: what was published isn't the owner's state", "");
    }
    free(want);
    free(have);
}
