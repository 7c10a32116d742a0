// SPDX-License-Identifier: Apache-2.0
// See published.h: F1 to F4.
//
// A folded view has a table, ordered by key:
//   keyed      key bytes → the row as it was published
//   multiset   key bytes of all columns + the row as it was published → varint of how many there are, the row
//
// The messages of a batch are held until its commit comes: it says which plan they are of.
#include "replay/published.h"

#include "processor/commit_reader.h"
#include "processor/expr/row.h"
#include "processor/sql/sql.h"
#include "processor/task.h"
#include "replay/differences.h"
#include "replay/outputs.h"
#include "replay/plan_views.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define WAIT_US 10000
#define TICK_MESSAGES 1024

// One change, as far as its records have been seen: of a keyed view a delete, an upsert, or both when the row moves to
// another subject or spelling of its key; of a multiset equal rows that come or go.
struct change {
    char op; // of its last record; 0: none is under way
    int64_t count;
    struct br_buffer key, row, records;
};

struct folded {
    const struct br_view *view;   // of the plan in force
    struct br_state_table *table; // NULL: it isn't folded (F4)
    uint32_t *key;                // columns
    uint32_t key_count;
    bool fresh; // begins anew with the takeover that is read: what goes are rows of another plan (F1)
    const char *gap;
    // of the epoch that is read
    struct change change;
    uint64_t upserts, deletes;
    XXH3_state_t *hash;
};

struct br_published {
    struct br_published_options options;
    struct br_state *state;
    uint16_t table_count;
    struct br_reader *reader;
    struct br_arena *own, *batch_arena, *row_arena;
    struct br_buffer old, value, key, next_key;
    bool reports;
    uint64_t flushes, messages, done;
    // the plan in force; pipeline NULL: none yet, or its text is gone
    const struct br_pipeline *pipeline;
    struct br_pipeline *owned;
    struct br_outputs *outputs;
    struct folded *views;
    // the owner's last commit
    char lineage[64];
    uint64_t epoch;
    bool whole, corrects; // it had all its parts; the epoch that is read is a takeover
    const char *lost;     // why nothing is known of the plan in force, which is
    uint64_t lost_hash;
    // messages since the owner's last commit
    struct br_log_message *held;
    size_t held_count;
};

static void note_gap(struct br_published *published, struct folded *folded, const char *why) {
    if (folded->gap == NULL)
        folded->gap = br_arena_printf(published->own, "%s (up to epoch %" PRIu64 " of lineage %s)", why,
                                      published->epoch, published->lineage);
}

static void note_gaps(struct br_published *published, const char *why) {
    for (uint32_t v = 0; published->pipeline != NULL && v < published->pipeline->view_count; v++)
        note_gap(published, &published->views[v], why);
}

// --- the plan in force

static bool shares_subject(const struct br_pipeline *pipeline, const struct br_view *view) {
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        if (v != view->index && strcmp(pipeline->views[v].subject, view->subject) == 0)
            return true;
    return false;
}

static void free_plan(struct br_published *published) {
    for (uint32_t v = 0; published->pipeline != NULL && v < published->pipeline->view_count; v++) {
        struct folded *folded = &published->views[v];
        br_buffer_free(&folded->change.key);
        br_buffer_free(&folded->change.row);
        br_buffer_free(&folded->change.records);
        XXH3_freeState(folded->hash);
        free(folded->key);
    }
    free(published->views);
    br_outputs_destroy(&published->outputs);
    br_pipeline_destroy(&published->owned);
    published->views = NULL;
    published->pipeline = NULL;
}

static const struct folded *find_folded(const struct br_pipeline *pipeline, const struct folded *views,
                                        const char *name) {
    for (uint32_t v = 0; pipeline != NULL && v < pipeline->view_count; v++)
        if (strcmp(pipeline->views[v].name, name) == 0)
            return &views[v];
    return NULL;
}

// Goes on with what the plan before knew of the view when it is published as before, else begins anew.
static void open_view(struct br_published *published, struct folded *folded, const struct folded *before) {
    const struct br_view *view = folded->view;
    const struct br_node *root = view->root;
    folded->hash = XXH3_createState();
    XXH3_64bits_reset(folded->hash);
    folded->key_count = root->has_key ? root->key_count : root->field_count;
    folded->key = br_calloc(folded->key_count + 1, sizeof *folded->key);
    for (uint32_t k = 0; k < folded->key_count; k++)
        folded->key[k] = root->has_key ? root->key[k] : k;
    if (!br_view_keeps_rows(view))
        return;
    bool alike = before != NULL && br_published_alike(before->view, view);
    folded->fresh = !alike;
    folded->gap = alike ? before->gap : published->lost;
    folded->table = alike ? before->table : NULL;
    if (folded->table == NULL)
        folded->table = br_state_open_table(published->state, ++published->table_count,
                                            br_arena_strdup(published->own, view->name));
    if (alike && before->table == NULL)
        note_gap(published, folded, "the plan before kept no rows of it");
    if (shares_subject(published->pipeline, view))
        note_gap(published, folded, "another view is published on the same subject");
}

static enum br_status put_in_force(struct br_published *published, const Braid__V1__Commit *commit,
                                   struct br_error *error) {
    uint64_t plan_hash = commit->plan_hash;
    const struct br_pipeline *before = published->pipeline;
    struct folded *views = published->views;
    struct br_published plan = {.options = published->options};
    if (published->reports)
        return br_error_set(error, BR_DATA,
                            "lineage %s has taken the outputs of pipeline %s over meanwhile, with another plan; start "
                            "another replay",
                            commit->lineage, published->options.pipeline->name);
    if (published->options.pipeline->plan_hash == plan_hash)
        plan.pipeline = published->options.pipeline;
    else
        BR_TRY(published->options.load(published->options.load_context, plan_hash, &plan.owned, &plan.pipeline, error));
    if (plan.pipeline == NULL) {
        free_plan(published);
        published->lost = br_arena_printf(published->own, "the text of plan %016" PRIx64 " is gone", plan_hash);
        published->lost_hash = plan_hash;
        return BR_OK;
    }
    enum br_status status = br_outputs_create(plan.pipeline, &plan.outputs, error);
    if (status != BR_OK) {
        free_plan(&plan);
        return status;
    }
    struct br_published former = {
        .pipeline = before, .owned = published->owned, .outputs = published->outputs, .views = views};
    published->pipeline = plan.pipeline;
    published->owned = plan.owned;
    published->outputs = plan.outputs;
    published->views = br_calloc(plan.pipeline->view_count + 1, sizeof *published->views);
    for (uint32_t v = 0; v < plan.pipeline->view_count; v++) {
        published->views[v].view = &plan.pipeline->views[v];
        open_view(published, &published->views[v], find_folded(before, views, plan.pipeline->views[v].name));
    }
    free_plan(&former);
    published->lost = NULL;
    return BR_OK;
}

// --- changes

static enum br_status decode(struct br_published *published, const struct folded *folded, struct br_slice row,
                             const struct br_batch **ret_batch, struct br_error *error) {
    struct br_batch *batch = br_outputs_batch(published->outputs, folded->view, published->row_arena);
    *ret_batch = batch;
    return br_outputs_decode(published->outputs, folded->view, row, batch, published->row_arena, error);
}

static enum br_status tell(struct br_published *published, const struct folded *folded, struct br_slice key,
                           const struct br_slice *old, const struct br_slice *fresh, int64_t count,
                           struct br_error *error) {
    struct br_change change = {.key = key, .count = count};
    if (!published->reports || published->options.changes == NULL)
        return BR_OK;
    if (old != NULL)
        BR_TRY(decode(published, folded, *old, &change.old_batch, error));
    if (fresh != NULL)
        BR_TRY(decode(published, folded, *fresh, &change.new_batch, error));
    return published->options.changes(published->options.changes_context, folded->view, &change, 1, error);
}

static void hash_part(struct folded *folded, char mark, struct br_slice bytes) {
    uint8_t head[1 + BR_VARINT_SIZE_MAX];
    head[0] = (uint8_t)mark;
    size_t len = 1 + br_varint_put(head + 1, bytes.len);
    XXH3_64bits_update(folded->hash, head, len);
    XXH3_64bits_update(folded->hash, bytes.ptr, bytes.len);
}

// Of a view that only grows, an epoch's digest is over its records alone; corrections are changes all the same.
static bool only_grows(const struct br_published *published, const struct folded *folded) {
    return folded->view->root->append_only && !published->corrects;
}

static void hash_change(const struct br_published *published, struct folded *folded, const struct br_slice *old) {
    const struct change *change = &folded->change;
    if (only_grows(published, folded)) {
        XXH3_64bits_update(folded->hash, change->records.ptr, change->records.len);
        return;
    }
    hash_part(folded, 'k', br_buffer_slice(&change->key));
    if (old != NULL)
        hash_part(folded, 'o', *old);
    hash_part(folded, 'n', br_buffer_slice(&change->records));
}

static enum br_status find_row(struct br_published *published, struct folded *folded, struct br_slice key,
                               bool *ret_found, struct br_error *error) {
    struct br_entry *entry;
    BR_TRY(br_state_find(folded->table, key, br_state_hash(key), &entry, error));
    *ret_found = entry != NULL;
    br_buffer_clear(&published->old);
    br_buffer_reserve(&published->old, 1);
    if (entry != NULL)
        br_buffer_append(&published->old, entry->value, entry->value_len);
    return BR_OK;
}

static enum br_status end_keyed(struct br_published *published, struct folded *folded, struct br_error *error) {
    struct change *change = &folded->change;
    struct br_slice key = br_buffer_slice(&change->key), row = br_buffer_slice(&change->row);
    bool found, gone = change->op == 'D';
    BR_TRY(find_row(published, folded, key, &found, error));
    struct br_slice old = br_buffer_slice(&published->old);
    hash_change(published, folded, found ? &old : NULL);
    if (gone && !found) {
        note_gap(published, folded, "a row of it goes that never came");
        return BR_OK;
    }
    BR_TRY(tell(published, folded, key, found ? &old : NULL, gone ? NULL : &row, 1, error));
    return gone ? br_state_delete(folded->table, key, error) : br_state_put(folded->table, key, row, error);
}

static enum br_status end_multiset(struct br_published *published, struct folded *folded, struct br_error *error) {
    struct change *change = &folded->change;
    struct br_slice row = br_buffer_slice(&change->row);
    bool found, gone = change->op == 'R';
    uint64_t held = 0;
    hash_change(published, folded, gone ? &row : NULL);
    br_buffer_clear(&published->key);
    br_buffer_reserve(&published->key, 1);
    br_buffer_append_slice(&published->key, br_buffer_slice(&change->key));
    br_buffer_append_slice(&published->key, row);
    struct br_slice whole = br_buffer_slice(&published->key);
    BR_TRY(find_row(published, folded, whole, &found, error));
    if (found)
        br_varint_get(published->old.ptr, published->old.ptr + published->old.len, &held);
    if (gone && held < (uint64_t)change->count) {
        note_gap(published, folded, "a row of it goes that never came");
        return BR_OK;
    }
    BR_TRY(tell(published, folded, br_buffer_slice(&change->key), gone ? &row : NULL, gone ? NULL : &row, change->count,
                error));
    held = gone ? held - (uint64_t)change->count : held + (uint64_t)change->count;
    if (held == 0)
        return br_state_delete(folded->table, whole, error);
    br_buffer_clear(&published->value);
    br_buffer_append_varint(&published->value, held);
    br_buffer_append_slice(&published->value, row);
    return br_state_put(folded->table, whole, br_buffer_slice(&published->value), error);
}

static enum br_status end_change(struct br_published *published, struct folded *folded, struct br_error *error) {
    struct change *change = &folded->change;
    if (change->op == 0)
        return BR_OK;
    bool gone = change->op == 'D' || change->op == 'R';
    *(gone ? &folded->deletes : &folded->upserts) += (uint64_t)change->count;
    enum br_status status =
        folded->view->root->has_key ? end_keyed(published, folded, error) : end_multiset(published, folded, error);
    change->op = 0;
    br_arena_reset(published->row_arena);
    return status;
}

static void append_record(struct br_buffer *records, char op, struct br_slice row) {
    br_buffer_append_byte(records, (uint8_t)op);
    br_buffer_append_varint(records, row.len);
    br_buffer_append_slice(records, row);
}

static bool goes_on(const struct folded *folded, char op, struct br_slice key, struct br_slice row) {
    const struct change *change = &folded->change;
    if (change->op == 0 || !br_slice_equal(br_buffer_slice(&change->key), key))
        return false;
    if (folded->view->root->has_key)
        return change->op == 'D' && op == 'U';
    return change->op == op && br_slice_equal(br_buffer_slice(&change->row), row);
}

static void begin_change(struct change *change, struct br_slice key) {
    br_buffer_clear(&change->key);
    br_buffer_reserve(&change->key, 1); // so that an empty one has an address
    br_buffer_append_slice(&change->key, key);
    br_buffer_clear(&change->records);
    change->count = 0;
}

static void add_record(struct change *change, char op, struct br_slice row) {
    append_record(&change->records, op, row);
    br_buffer_clear(&change->row);
    br_buffer_reserve(&change->row, 1);
    br_buffer_append_slice(&change->row, row);
    change->count = op == 'U' || op == 'D' ? 1 : change->count + 1;
    change->op = op;
}

static enum br_status take_record(void *context, const struct br_view *view, char op, struct br_slice row,
                                  struct br_error *error) {
    struct br_published *published = context;
    struct folded *folded = &published->views[view->index];
    if (folded->table == NULL || (folded->fresh && (op == 'D' || op == 'R')))
        return BR_OK;
    const struct br_batch *batch;
    struct br_slice key;
    BR_TRY(decode(published, folded, row, &batch, error));
    br_batch_keys(batch, folded->key, folded->key_count, published->row_arena, &key);
    if (!goes_on(folded, op, key, row)) {
        br_buffer_clear(&published->next_key); // the arena is reset when a change ends
        br_buffer_append_slice(&published->next_key, key);
        BR_TRY(end_change(published, folded, error));
        begin_change(&folded->change, br_buffer_slice(&published->next_key));
    }
    add_record(&folded->change, op, row);
    br_arena_reset(published->row_arena);
    return BR_OK;
}

// --- epochs

static enum br_status apply(struct br_published *published, const struct br_log_message *message,
                            struct br_error *error) {
    const struct br_outputs_each each = {.context = published, .record = take_record};
    return published->pipeline == NULL ? BR_OK : br_outputs_read(published->outputs, message, &each, error);
}

static bool is_as_told(const struct br_published *published, const struct folded *folded,
                       const Braid__V1__Commit *commit) {
    const Braid__V1__ViewOutput *output = commit->views[folded->view->index];
    if (published->corrects)
        return folded->upserts == output->upserts && (folded->fresh || folded->deletes == output->deletes);
    return XXH3_64bits_digest(folded->hash) == output->digest;
}

static enum br_status end_epoch(struct br_published *published, const Braid__V1__Commit *commit,
                                struct br_error *error) {
    const struct br_pipeline *pipeline = published->pipeline;
    for (uint32_t v = 0; pipeline != NULL && v < pipeline->view_count; v++) {
        struct folded *folded = &published->views[v];
        if (folded->table == NULL)
            continue;
        BR_TRY(end_change(published, folded, error));
        if (!is_as_told(published, folded, commit)) // F2
            note_gap(published, folded, "not all that was published of it is there any more");
        folded->upserts = folded->deletes = 0;
        folded->fresh = false;
        XXH3_64bits_reset(folded->hash);
    }
    br_state_end_epoch(published->state);
    return br_state_wants_flush(published->state) ? br_state_flush(published->state, ++published->flushes, error)
                                                  : BR_OK;
}

// Does the commit follow on the one before it?
static bool follows_on(const struct br_published *published, const Braid__V1__Commit *commit) {
    if (published->epoch == 0)
        return commit->epoch == 1 && commit->takeover == NULL;
    bool same = strcmp(published->lineage, commit->lineage) == 0;
    if (!published->whole)
        return same && commit->epoch == published->epoch;
    return same ? commit->epoch == published->epoch + 1 : commit->takeover != NULL;
}

static bool is_in_force(const struct br_published *published, uint64_t plan_hash) {
    return published->pipeline != NULL ? published->pipeline->plan_hash == plan_hash
                                       : published->lost != NULL && published->lost_hash == plan_hash;
}

static enum br_status take_commit(struct br_published *published, const struct br_log_message *message,
                                  struct br_error *error) {
    Braid__V1__Commit BR_CLEANUP(br_commit_cleanup) *commit = NULL;
    BR_TRY(br_commit_of(published->options.pipeline->name, message, &commit, error));
    if (commit == NULL)
        return BR_OK; // X22
    bool first_part = published->epoch == 0 || published->whole;
    const char *missing = follows_on(published, commit) ? NULL : "commits before it are gone";
    published->corrects = commit->takeover != NULL;
    if (first_part && !is_in_force(published, commit->plan_hash))
        BR_TRY(put_in_force(published, commit, error));
    if (published->pipeline != NULL && commit->n_views != published->pipeline->view_count)
        return br_error_set(error, BR_FATAL, "commit of epoch %" PRIu64 " of pipeline %s isn't of its plan",
                            (uint64_t)commit->epoch, published->options.pipeline->name);
    snprintf(published->lineage, sizeof published->lineage, "%s", commit->lineage);
    published->epoch = commit->epoch;
    if (missing != NULL)
        note_gaps(published, missing);
    uint64_t first = message->sequence - (commit->batch_messages == 0 ? 0 : commit->batch_messages - 1);
    for (size_t i = 0; i < published->held_count; i++)
        if (published->held[i].sequence >= first) // F1
            BR_TRY(apply(published, &published->held[i], error));
    BR_TRY(apply(published, message, error)); // its blocks
    published->held_count = 0;
    br_arena_reset(published->batch_arena);
    published->whole = commit->part == commit->parts;
    return published->whole ? end_epoch(published, commit, error) : BR_OK;
}

// More than a batch can't be one.
static void hold(struct br_published *published, const struct br_log_message *message) {
    struct br_slice op;
    if (!br_log_message_header(message, "Braid-Op", &op) || published->held_count == BR_LOG_BATCH_MESSAGES_MAX)
        return;
    if (published->held == NULL)
        published->held = br_calloc(BR_LOG_BATCH_MESSAGES_MAX, sizeof *published->held);
    struct br_log_header *header = br_arena_new(published->batch_arena, struct br_log_header);
    *header = (struct br_log_header){br_slice_of("Braid-Op"), br_arena_copy(published->batch_arena, op)};
    published->held[published->held_count++] =
        (struct br_log_message){.subject = br_arena_copy(published->batch_arena, message->subject),
                                .payload = br_arena_copy(published->batch_arena, message->payload),
                                .headers = header,
                                .header_count = 1,
                                .sequence = message->sequence};
}

static enum br_status take_message(struct br_published *published, const struct br_log_message *message,
                                   struct br_error *error) {
    char owner[320];
    if (++published->messages % TICK_MESSAGES == 0 && published->options.tick != NULL)
        BR_TRY(published->options.tick(published->options.tick_context, error));
    br_task_owner_subject(published->options.pipeline->name, owner, sizeof owner);
    if (br_slice_is(message->subject, owner))
        return take_commit(published, message, error);
    hold(published, message);
    return BR_OK;
}

static enum br_status gone(const struct br_published *published, uint64_t sequence, struct br_error *error) {
    return br_error_set(error, BR_FATAL, "the commit at sequence %" PRIu64 " of the stream of pipeline %s is gone",
                        sequence, published->options.pipeline->name);
}

// Nothing more is shown: the reader may be behind, so the stream is asked.
static enum br_status wait_for(struct br_published *published, uint64_t sequence, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_log_message message;
    char stream[256];
    bool found = true;
    br_task_output_stream(published->options.pipeline->name, stream, sizeof stream);
    if (br_reader_caught_up(published->reader))
        BR_TRY(br_log_get(published->options.log, stream, sequence, &copy, &message, &found, error));
    if (!found)
        return gone(published, sequence, error);
    br_log_wait(published->options.log, WAIT_US);
    return BR_OK;
}

static enum br_status step(struct br_published *published, uint64_t sequence, struct br_error *error) {
    const struct br_log_message *messages;
    size_t count, taken = 0;
    BR_TRY(br_reader_peek(published->reader, &messages, &count, error));
    if (count == 0)
        return wait_for(published, sequence, error);
    enum br_status status = BR_OK;
    for (; taken < count && messages[taken].sequence <= sequence && status == BR_OK; taken++) {
        status = take_message(published, &messages[taken], error);
        published->done = messages[taken].sequence;
    }
    if (status == BR_OK && taken < count && published->done < sequence)
        status = gone(published, sequence, error);
    br_reader_consume(published->reader, taken);
    br_reader_release(published->reader);
    return status;
}

enum br_status br_published_follow(struct br_published *published, uint64_t sequence, struct br_error *error) {
    while (published->done < sequence) {
        if (br_flag_is_set(published->options.stop))
            return br_error_set(error, BR_RETRY, "stopped while reading what pipeline %s has published",
                                published->options.pipeline->name);
        BR_TRY(step(published, sequence, error));
    }
    return BR_OK;
}

bool br_published_stands_at(const struct br_published *published, const char *lineage, uint64_t epoch) {
    return published->pipeline == published->options.pipeline && published->whole && published->epoch == epoch &&
           strcmp(published->lineage, lineage) == 0;
}

// --- what is known

void br_published_report(struct br_published *published) {
    published->reports = true;
}

const char *br_published_gap(const struct br_published *published, uint32_t view) {
    return published->views[view].gap;
}

struct giving {
    struct br_published *published;
    const struct folded *folded;
    struct br_batch *batch;
    br_graph_each each;
    void *context;
};

static enum br_status hand_over(struct giving *giving, struct br_error *error) {
    enum br_status status = giving->batch == NULL ? BR_OK : giving->each(giving->context, giving->batch, error);
    giving->batch = NULL;
    br_arena_reset(giving->published->row_arena);
    return status;
}

static enum br_status give_row(struct giving *giving, struct br_slice value, struct br_error *error) {
    struct br_published *published = giving->published;
    uint64_t count = 1;
    if (!giving->folded->view->root->has_key) {
        size_t size = br_varint_get(value.ptr, value.ptr + value.len, &count);
        value = (struct br_slice){value.ptr + size, value.len - size};
    }
    while (count != 0) {
        int32_t weight = count > INT32_MAX ? INT32_MAX : (int32_t)count;
        if (giving->batch == NULL) {
            giving->batch = br_outputs_batch(published->outputs, giving->folded->view, published->row_arena);
            br_batch_need_weights(giving->batch, published->row_arena);
        }
        uint32_t row = giving->batch->row_count;
        struct br_slice row_bytes = br_arena_copy(published->row_arena, value); // the row points into it
        BR_TRY(br_outputs_decode(published->outputs, giving->folded->view, row_bytes, giving->batch,
                                 published->row_arena, error));
        giving->batch->weights[row] = weight;
        count -= (uint64_t)weight;
        if (giving->batch->row_count == BR_BATCH_ROWS)
            BR_TRY(hand_over(giving, error));
    }
    return BR_OK;
}

enum br_status br_published_scan(struct br_published *published, uint32_t view, br_graph_each each, void *context,
                                 struct br_error *error) {
    struct giving giving = {published, &published->views[view], NULL, each, context};
    struct br_state_iterator *iterator = NULL;
    struct br_slice key, value;
    if (giving.folded->table == NULL)
        return br_error_set(error, BR_DATA, "view %s keeps no rows", giving.folded->view->name);
    BR_TRY(br_state_scan(giving.folded->table, (struct br_slice){0}, (struct br_slice){0}, &iterator, error));
    enum br_status status = BR_OK;
    while (status == BR_OK && br_state_iterator_next(iterator, &key, &value))
        status = give_row(&giving, value, error);
    if (status == BR_OK)
        status = br_state_iterator_status(iterator, error);
    br_state_iterator_destroy(&iterator);
    return status == BR_OK ? hand_over(&giving, error) : status;
}

// --- life

enum br_status br_published_create(const struct br_published_options *options, struct br_published **ret_published,
                                   struct br_error *error) {
    struct br_published *published = br_calloc(1, sizeof *published);
    char stream[256];
    published->options = *options;
    published->own = br_arena_create();
    published->batch_arena = br_arena_create();
    published->row_arena = br_arena_create();
    br_task_output_stream(options->pipeline->name, stream, sizeof stream);
    enum br_status status = br_state_create(options->take_store, options->budget_bytes, &published->state, error);
    if (status == BR_OK)
        status = br_reader_open(options->log, stream, ">", 1, 0, &published->reader, error);
    if (status != BR_OK) {
        br_published_destroy(&published);
        return status;
    }
    *ret_published = published;
    return BR_OK;
}

void br_published_destroy(struct br_published **published_ptr) {
    struct br_published *published = *published_ptr;
    if (published == NULL)
        return;
    br_reader_close(&published->reader);
    free_plan(published);
    br_state_destroy(&published->state);
    br_arena_destroy(&published->own);
    br_arena_destroy(&published->batch_arena);
    br_arena_destroy(&published->row_arena);
    br_buffer_free(&published->old);
    br_buffer_free(&published->value);
    br_buffer_free(&published->key);
    br_buffer_free(&published->next_key);
    free(published->held);
    free(published);
    *published_ptr = NULL;
}
