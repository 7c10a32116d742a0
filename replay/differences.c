// SPDX-License-Identifier: Apache-2.0
// See differences.h.
//
// A tracked view has a state table in memory, ordered by key:
//   keyed      key bytes → flags (1: former row, 2: other row), varint length of the former row, its bytes, the other's
//   multiset   key bytes of all columns + row bytes → zigzag varint of how many more the other side has, row bytes
#include "replay/differences.h"

#include "processor/codec/descriptors.h"
#include "processor/expr/row.h"
#include "processor/sql/sql.h"
#include "replay/compare.h"
#include "replay/plan_views.h"

#include <string.h>

#define GIVE_AT_ONCE 1024
#define BUDGET_BYTES ((size_t)1 << 40) // nothing is ever evicted: everything is dirty

enum { HAS_FORMER = 1, HAS_OTHER = 2 };

struct tracked {
    const struct br_view *view; // of the other side; the former's is alike
    struct br_state_table *table;
    enum br_type *types;
    uint32_t *key;
    uint32_t key_count, column_count;
    bool keyed;
};

struct br_differences {
    struct br_lineage_state former, other;
    enum br_view_fate *former_fates, *other_fates; // by view index of each side
    struct tracked *tracked;                       // by view index of the other side; table NULL: not tracked
    struct br_state *state;
    uint64_t count;
    struct br_buffer value, row, key;
};

struct pair {
    struct br_slice former, other; // ptr NULL: no row
};

// --- fates

static struct br_epoch epoch_of(const struct br_lineage_state *side, struct br_arena *arena) {
    return (struct br_epoch){.number = 1,
                             .now = side->clock,
                             .watermarks_before = side->watermarks,
                             .watermarks_after = side->watermarks,
                             .arena = arena};
}

static uint32_t number_of(const struct br_row_type *type, uint32_t column) {
    return br_message_find_field(type->message, type->columns[column].path)->number;
}

bool br_published_alike(const struct br_view *a, const struct br_view *b) {
    const struct br_row_type *at = &a->row_type, *bt = &b->row_type;
    if (strcmp(a->subject, b->subject) != 0 || a->format != b->format || a->layout != b->layout ||
        at->column_count != bt->column_count || a->root->has_key != b->root->has_key ||
        a->root->key_count != b->root->key_count || strcmp(at->message_name, bt->message_name) != 0)
        return false;
    if (a->layout == BR_LAYOUT_PACKED && a->index != b->index)
        return false; // blocks name the view by its index
    for (uint32_t c = 0; c < at->column_count; c++)
        if (strcmp(at->columns[c].name, bt->columns[c].name) != 0 || at->columns[c].type != bt->columns[c].type ||
            strcmp(at->columns[c].path, bt->columns[c].path) != 0 || number_of(at, c) != number_of(bt, c))
            return false;
    for (uint32_t k = 0; a->root->has_key && k < a->root->key_count; k++)
        if (a->root->key[k] != b->root->key[k])
            return false;
    return true;
}

static enum br_view_fate fate_of(const struct br_differences *d, const struct br_view *former,
                                 const struct br_view *other) {
    if ((former != NULL && former->effect) || (other != NULL && other->effect))
        return BR_FATE_EFFECT;
    if ((former != NULL && !br_view_keeps_rows(former)) || (other != NULL && !br_view_keeps_rows(other)))
        return BR_FATE_UNSTORED;
    if (former == NULL)
        return BR_FATE_NEW;
    if (other == NULL)
        return BR_FATE_REMOVED;
    if (!br_published_alike(former, other))
        return BR_FATE_REPLACED;
    return d->former.published != NULL && br_published_gap(d->former.published, former->index) != NULL ? BR_FATE_ANEW
                                                                                                       : BR_FATE_SAME;
}

static void track(struct br_differences *d, const struct br_view *view) {
    const struct br_node *root = view->root;
    struct tracked *tracked = &d->tracked[view->index];
    tracked->view = view;
    tracked->table = br_state_open_table(d->state, (uint16_t)(view->index + 1), view->name);
    tracked->column_count = root->field_count;
    tracked->keyed = root->has_key;
    tracked->key_count = root->has_key ? root->key_count : root->field_count;
    tracked->types = br_calloc(root->field_count + 1, sizeof *tracked->types);
    tracked->key = br_calloc(tracked->key_count + 1, sizeof *tracked->key);
    for (uint32_t c = 0; c < root->field_count; c++)
        tracked->types[c] = root->fields[c].type;
    for (uint32_t k = 0; k < tracked->key_count; k++)
        tracked->key[k] = root->has_key ? root->key[k] : k;
}

static bool is_tracked(enum br_view_fate fate) {
    return fate == BR_FATE_SAME || fate == BR_FATE_ANEW;
}

static void settle_fates(struct br_differences *d) {
    const struct br_pipeline *former = d->former.pipeline, *other = d->other.pipeline;
    for (uint32_t v = 0; v < former->view_count; v++)
        d->former_fates[v] = fate_of(d, &former->views[v], br_pipeline_find_view(other, former->views[v].name));
    for (uint32_t v = 0; v < other->view_count; v++) {
        d->other_fates[v] = fate_of(d, br_pipeline_find_view(former, other->views[v].name), &other->views[v]);
        if (is_tracked(d->other_fates[v]))
            track(d, &other->views[v]);
    }
}

enum br_view_fate br_differences_fate(const struct br_differences *d, enum br_lineage_side side, uint32_t view) {
    return side == BR_FORMER ? d->former_fates[view] : d->other_fates[view];
}

// --- entries

static enum br_status corrupt(const struct tracked *tracked, struct br_error *error) {
    return br_error_set(error, BR_FATAL, "difference of view %s: an entry is malformed", tracked->view->name);
}

static bool read_pair(struct br_slice value, struct pair *ret) {
    uint64_t len;
    if (value.len < 2)
        return false;
    size_t size = br_varint_get(value.ptr + 1, value.ptr + value.len, &len);
    if (size == 0 || len > value.len - 1 - size)
        return false;
    const uint8_t *at = value.ptr + 1 + size;
    *ret = (struct pair){0};
    if ((value.ptr[0] & HAS_FORMER) != 0)
        ret->former = (struct br_slice){at, len};
    if ((value.ptr[0] & HAS_OTHER) != 0)
        ret->other = (struct br_slice){at + len, value.len - 1 - size - len};
    return true;
}

static bool same_row(struct br_slice a, struct br_slice b) {
    return (a.ptr == NULL) == (b.ptr == NULL) && br_slice_equal(a, b);
}

static struct br_slice encode(struct br_differences *d, const struct tracked *tracked, const struct br_batch *batch,
                              uint32_t row) {
    size_t at = d->row.len;
    br_row_encode(batch, row, NULL, tracked->column_count, &d->row);
    return (struct br_slice){d->row.ptr + at, d->row.len - at};
}

static enum br_status put_pair(struct br_differences *d, const struct tracked *tracked, struct br_slice key,
                               const struct pair *pair, struct br_error *error) {
    br_buffer_clear(&d->value);
    br_buffer_append_byte(
        &d->value, (uint8_t)((pair->former.ptr != NULL ? HAS_FORMER : 0) | (pair->other.ptr != NULL ? HAS_OTHER : 0)));
    br_buffer_append_varint(&d->value, pair->former.len);
    if (pair->former.ptr != NULL)
        br_buffer_append_slice(&d->value, pair->former);
    if (pair->other.ptr != NULL)
        br_buffer_append_slice(&d->value, pair->other);
    return br_state_put(tracked->table, key, br_buffer_slice(&d->value), error);
}

// The row of one key becomes `now` on one side (ptr NULL: it goes). What the other side has stands in the entry;
// without one it is what this side had, `before` (D1).
static enum br_status set_row(struct br_differences *d, const struct tracked *tracked, enum br_lineage_side side,
                              struct br_slice key, struct br_slice before, struct br_slice now,
                              struct br_error *error) {
    struct br_entry *entry = NULL;
    struct pair pair = {before, before};
    BR_TRY(br_state_find(tracked->table, key, br_state_hash(key), &entry, error));
    if (entry != NULL && !read_pair((struct br_slice){entry->value, entry->value_len}, &pair))
        return corrupt(tracked, error);
    struct br_slice *own = side == BR_FORMER ? &pair.former : &pair.other;
    if (!same_row(*own, before))
        return br_error_set(error, BR_FATAL,
                            "difference of view %s: a row changes from one that it didn't have: a fault of the engine",
                            tracked->view->name);
    *own = now;
    if (same_row(pair.former, pair.other)) {
        d->count -= entry != NULL ? 1 : 0;
        return entry == NULL ? BR_OK : br_state_delete(tracked->table, key, error);
    }
    d->count += entry == NULL ? 1 : 0;
    br_buffer_clear(&d->value);
    br_buffer_append_byte(
        &d->value, (uint8_t)((pair.former.ptr != NULL ? HAS_FORMER : 0) | (pair.other.ptr != NULL ? HAS_OTHER : 0)));
    br_buffer_append_varint(&d->value, pair.former.len);
    if (pair.former.ptr != NULL)
        br_buffer_append_slice(&d->value, pair.former);
    if (pair.other.ptr != NULL)
        br_buffer_append_slice(&d->value, pair.other);
    return br_state_put(tracked->table, key, br_buffer_slice(&d->value), error);
}

// `count` more rows on the other side than before.
static enum br_status add_count(struct br_differences *d, const struct tracked *tracked, struct br_slice key,
                                struct br_slice row, int64_t count, struct br_error *error) {
    struct br_entry *entry = NULL;
    uint64_t held;
    br_buffer_clear(&d->key);
    br_buffer_append_slice(&d->key, key);
    br_buffer_append_slice(&d->key, row);
    struct br_slice whole = br_buffer_slice(&d->key);
    BR_TRY(br_state_find(tracked->table, whole, br_state_hash(whole), &entry, error));
    if (entry != NULL) {
        if (br_varint_get(entry->value, entry->value + entry->value_len, &held) == 0)
            return corrupt(tracked, error);
        count += br_unzigzag(held);
    }
    if (count == 0) {
        d->count -= entry != NULL ? 1 : 0;
        return entry == NULL ? BR_OK : br_state_delete(tracked->table, whole, error);
    }
    d->count += entry == NULL ? 1 : 0;
    br_buffer_clear(&d->value);
    br_buffer_append_varint(&d->value, br_zigzag(count));
    br_buffer_append_slice(&d->value, row);
    return br_state_put(tracked->table, whole, br_buffer_slice(&d->value), error);
}

static struct tracked *find_tracked(struct br_differences *d, enum br_lineage_side side, const struct br_view *view) {
    if (!is_tracked(br_differences_fate(d, side, view->index)))
        return NULL;
    if (side == BR_OTHER)
        return &d->tracked[view->index];
    return &d->tracked[br_pipeline_find_view(d->other.pipeline, view->name)->index];
}

static enum br_status take_change(struct br_differences *d, const struct tracked *tracked, enum br_lineage_side side,
                                  const struct br_change *change, struct br_error *error) {
    br_buffer_clear(&d->row);
    br_buffer_reserve(&d->row, 1); // so that an empty row has an address
    bool goes = change->new_batch == NULL;
    if (!tracked->keyed) {
        struct br_slice row = goes ? encode(d, tracked, change->old_batch, change->old_row)
                                   : encode(d, tracked, change->new_batch, change->new_row);
        return add_count(d, tracked, change->key, row, goes == (side == BR_FORMER) ? change->count : -change->count,
                         error);
    }
    size_t old_len = 0;
    if (change->old_batch != NULL)
        old_len = encode(d, tracked, change->old_batch, change->old_row).len;
    if (!goes)
        encode(d, tracked, change->new_batch, change->new_row);
    struct br_slice before = {0}, now = {0};
    if (change->old_batch != NULL)
        before = (struct br_slice){d->row.ptr, old_len};
    if (!goes)
        now = (struct br_slice){d->row.ptr + old_len, d->row.len - old_len};
    return set_row(d, tracked, side, change->key, before, now, error);
}

enum br_status br_differences_changes(struct br_differences *d, enum br_lineage_side side, const struct br_view *view,
                                      const struct br_change *changes, size_t count, struct br_error *error) {
    const struct tracked *tracked = find_tracked(d, side, view);
    for (size_t i = 0; tracked != NULL && i < count; i++)
        BR_TRY(take_change(d, tracked, side, &changes[i], error));
    br_state_end_epoch(d->state);
    return BR_OK;
}

enum br_status br_differences_rows(struct br_differences *d, enum br_lineage_side side, const struct br_view *view,
                                   const struct br_batch *batch, struct br_error *error) {
    const struct tracked *tracked = find_tracked(d, side, view);
    if (tracked == NULL)
        return BR_OK;
    struct br_arena *arena = br_arena_create();
    struct br_slice *keys = br_arena_array(arena, struct br_slice, batch->row_count);
    br_batch_keys(batch, tracked->key, tracked->key_count, arena, keys);
    enum br_status status = BR_OK;
    for (uint32_t r = 0; r < batch->row_count && status == BR_OK; r++) {
        struct br_change change = {
            .key = keys[r], .new_batch = batch, .new_row = r, .count = br_batch_weight(batch, r)};
        status = take_change(d, tracked, side, &change, error);
    }
    br_arena_destroy(&arena);
    br_state_end_epoch(d->state);
    return status;
}

// --- making

// One row that the comparison found to differ.
static enum br_status take_difference(void *context, const struct br_difference *found, struct br_error *error) {
    struct br_differences *d = context;
    const struct br_view *view = found->after_view != NULL ? found->after_view : found->before_view;
    const struct tracked *tracked = find_tracked(d, found->after_view != NULL ? BR_OTHER : BR_FORMER, view);
    BR_CHECK(tracked != NULL);
    br_buffer_clear(&d->row);
    br_buffer_reserve(&d->row, 1);
    size_t former_len = 0;
    if (!tracked->keyed) {
        bool extra = found->before == NULL;
        struct br_slice row = extra ? encode(d, tracked, found->after, found->after_row)
                                    : encode(d, tracked, found->before, found->before_row);
        return add_count(d, tracked, found->key, row, extra ? found->count : -found->count, error);
    }
    if (found->before != NULL)
        former_len = encode(d, tracked, found->before, found->before_row).len;
    if (found->after != NULL)
        encode(d, tracked, found->after, found->after_row);
    struct pair pair = {0};
    if (found->before != NULL)
        pair.former = (struct br_slice){d->row.ptr, former_len};
    if (found->after != NULL)
        pair.other = (struct br_slice){d->row.ptr + former_len, d->row.len - former_len};
    d->count++;
    return put_pair(d, tracked, found->key, &pair, error);
}

static enum br_status scan(const struct br_lineage_state *side, uint32_t view, const struct br_epoch *epoch,
                           br_graph_each each, void *context, struct br_error *error) {
    return side->published != NULL ? br_published_scan(side->published, view, each, context, error)
                                   : br_graph_scan(side->graph, view, epoch, each, context, error);
}

// Of a view that is given anew: whatever the other has differs, and so does what is left of the former.
struct anew {
    struct br_differences *difference;
    const struct tracked *tracked;
    enum br_lineage_side side;
};

static enum br_status take_anew_row(const struct anew *anew, const struct br_batch *batch, uint32_t row,
                                    struct br_slice key, struct br_error *error) {
    struct br_differences *d = anew->difference;
    struct br_entry *entry = NULL;
    struct pair pair = {0};
    br_buffer_clear(&d->row);
    br_buffer_reserve(&d->row, 1);
    struct br_slice bytes = encode(d, anew->tracked, batch, row);
    BR_TRY(br_state_find(anew->tracked->table, key, br_state_hash(key), &entry, error));
    if (entry != NULL && !read_pair((struct br_slice){entry->value, entry->value_len}, &pair))
        return corrupt(anew->tracked, error);
    d->count += entry == NULL ? 1 : 0;
    *(anew->side == BR_FORMER ? &pair.former : &pair.other) = bytes;
    return put_pair(d, anew->tracked, key, &pair, error);
}

static enum br_status take_anew(void *context, const struct br_batch *batch, struct br_error *error) {
    const struct anew *anew = context;
    struct br_arena *arena = br_arena_create();
    struct br_slice *keys = br_arena_array(arena, struct br_slice, batch->row_count + 1);
    br_batch_keys(batch, anew->tracked->key, anew->tracked->key_count, arena, keys);
    enum br_status status = BR_OK;
    for (uint32_t r = 0; r < batch->row_count && status == BR_OK; r++)
        status = take_anew_row(anew, batch, r, keys[r], error);
    br_arena_destroy(&arena);
    br_state_end_epoch(anew->difference->state);
    return status;
}

static enum br_status begin_anew(struct br_differences *d, uint32_t view, struct br_error *error) {
    const struct tracked *tracked = &d->tracked[view];
    if (!tracked->keyed)
        return BR_OK; // br_differences_check
    uint32_t former_view = br_pipeline_find_view(d->former.pipeline, tracked->view->name)->index;
    struct br_arena *arena = br_arena_create();
    struct br_epoch epoch = epoch_of(&d->other, arena);
    struct anew former = {d, tracked, BR_FORMER}, other = {d, tracked, BR_OTHER};
    enum br_status status = br_published_scan(d->former.published, former_view, take_anew, &former, error);
    if (status == BR_OK)
        status = scan(&d->other, view, &epoch, take_anew, &other, error);
    br_arena_destroy(&arena);
    return status;
}

// Views without key are compared as multisets whatever the keys; a row changed in both then comes as one gone, one new.
static enum br_status compare(struct br_differences *d, struct br_error *error) {
    struct br_arena *arena = br_arena_create();
    struct br_epoch former = epoch_of(&d->former, arena), other = epoch_of(&d->other, arena);
    struct br_compare_side before = {d->former.pipeline, d->former.graph, &former, d->former.published},
                           after = {d->other.pipeline, d->other.graph, &other, d->other.published};
    const char **views = br_arena_array(arena, const char *, d->other.pipeline->view_count);
    struct br_compare_options options = {.views = views,
                                         .each = take_difference,
                                         .each_context = d,
                                         .tick = d->former.tick,
                                         .tick_context = d->former.tick_context};
    for (uint32_t v = 0; v < d->other.pipeline->view_count; v++)
        if (d->other_fates[v] == BR_FATE_SAME)
            views[options.view_count++] = d->other.pipeline->views[v].name;
    struct br_compare_report *report = NULL;
    enum br_status status = BR_OK;
    for (uint32_t v = 0; v < d->other.pipeline->view_count && status == BR_OK; v++)
        if (d->other_fates[v] == BR_FATE_ANEW)
            status = begin_anew(d, v, error);
    if (options.view_count != 0 && status == BR_OK)
        status = br_compare(&before, &after, &options, &report, error);
    br_compare_report_destroy(&report);
    br_arena_destroy(&arena);
    br_state_end_epoch(d->state);
    return status;
}

enum br_status br_differences_create(const struct br_lineage_state *former, const struct br_lineage_state *other,
                                     struct br_differences **ret_difference, struct br_error *error) {
    struct br_differences *d = br_calloc(1, sizeof *d);
    d->former = *former;
    d->other = *other;
    d->former_fates = br_calloc(former->pipeline->view_count + 1, sizeof *d->former_fates);
    d->other_fates = br_calloc(other->pipeline->view_count + 1, sizeof *d->other_fates);
    d->tracked = br_calloc(other->pipeline->view_count + 1, sizeof *d->tracked);
    enum br_status status = br_state_create(br_store_create_memory(), BUDGET_BYTES, &d->state, error);
    if (status == BR_OK) {
        settle_fates(d);
        status = compare(d, error);
    }
    if (status != BR_OK) {
        br_differences_destroy(&d);
        return status;
    }
    *ret_difference = d;
    return BR_OK;
}

void br_differences_destroy(struct br_differences **d_ptr) {
    struct br_differences *d = *d_ptr;
    if (d == NULL)
        return;
    for (uint32_t v = 0; v < d->other.pipeline->view_count; v++) {
        free(d->tracked[v].types);
        free(d->tracked[v].key);
    }
    br_state_destroy(&d->state);
    br_buffer_free(&d->value);
    br_buffer_free(&d->row);
    br_buffer_free(&d->key);
    free(d->former_fates);
    free(d->other_fates);
    free(d->tracked);
    free(d);
    *d_ptr = NULL;
}

enum br_status br_differences_check(const struct br_differences *d, struct br_error *error) {
    for (uint32_t v = 0; v < d->other.pipeline->view_count; v++) {
        const struct br_view *view = &d->other.pipeline->views[v];
        if (d->other_fates[v] != BR_FATE_ANEW || view->root->has_key)
            continue;
        const struct br_view *former = br_pipeline_find_view(d->former.pipeline, view->name);
        return br_error_set(error, BR_DATA,
                            "view %s: nobody can tell what its subscribers know: %s. Without a key its rows can't be "
                            "published anew: give the view another name in the file (--pipeline), so that it begins "
                            "with all its rows",
                            view->name, br_published_gap(d->former.published, former->index));
    }
    return BR_OK;
}

uint64_t br_differences_count(const struct br_differences *d) {
    return d->count;
}

// --- giving

// Rows are decoded into batches and handed over a thousand changes at a time.
struct giving {
    const struct br_view *view;
    const struct br_sink *sink;
    const enum br_type *types;
    uint32_t column_count;
    struct br_arena *arena;
    struct br_batch *batch;
    struct br_change changes[GIVE_AT_ONCE];
    size_t count;
};

static enum br_status hand_over(struct giving *giving, struct br_error *error) {
    if (giving->count != 0)
        BR_TRY(giving->sink->changes(giving->sink->context, giving->view, giving->changes, giving->count, error));
    giving->count = 0;
    giving->batch = NULL;
    br_arena_reset(giving->arena);
    return BR_OK;
}

static enum br_status decode_row(struct giving *giving, struct br_slice bytes, const struct br_batch **ret_batch,
                                 uint32_t *ret_row, struct br_error *error) {
    if (bytes.ptr == NULL)
        return BR_OK;
    if (giving->batch == NULL || giving->batch->row_count == BR_BATCH_ROWS)
        giving->batch = br_batch_create(giving->arena, giving->types, NULL, giving->column_count);
    BR_TRY(br_row_decode(bytes, giving->batch, giving->batch->row_count, 0, giving->column_count, giving->arena, true,
                         error));
    *ret_batch = giving->batch;
    *ret_row = giving->batch->row_count++;
    return BR_OK;
}

static enum br_status give_change(struct giving *giving, struct br_slice key, struct br_slice former,
                                  struct br_slice other, int64_t count, struct br_error *error) {
    if (giving->count == GIVE_AT_ONCE)
        BR_TRY(hand_over(giving, error));
    struct br_change *change = &giving->changes[giving->count];
    *change = (struct br_change){.key = br_arena_copy(giving->arena, key), .count = count};
    BR_TRY(decode_row(giving, former, &change->old_batch, &change->old_row, error));
    BR_TRY(decode_row(giving, other, &change->new_batch, &change->new_row, error));
    giving->count++;
    return BR_OK;
}

static enum br_status give_entry(struct giving *giving, const struct tracked *tracked, struct br_slice key,
                                 struct br_slice value, struct br_error *error) {
    if (tracked->keyed) {
        struct pair pair;
        if (!read_pair(value, &pair))
            return corrupt(tracked, error);
        return give_change(giving, key, pair.former, pair.other, 1, error);
    }
    uint64_t held;
    size_t size = br_varint_get(value.ptr, value.ptr + value.len, &held);
    if (size == 0 || value.len - size > key.len)
        return corrupt(tracked, error);
    struct br_slice row = {value.ptr + size, value.len - size}, none = {0};
    struct br_slice bare = {key.ptr, key.len - row.len};
    int64_t count = br_unzigzag(held);
    return count < 0 ? give_change(giving, bare, row, none, -count, error)
                     : give_change(giving, bare, none, row, count, error);
}

static enum br_status give_tracked(struct br_differences *d, const struct tracked *tracked, const struct br_sink *sink,
                                   struct br_error *error) {
    struct giving giving = {.view = tracked->view,
                            .sink = sink,
                            .types = tracked->types,
                            .column_count = tracked->column_count,
                            .arena = br_arena_create()};
    struct br_state_iterator *iterator = NULL;
    struct br_slice key, value;
    (void)d;
    enum br_status status = br_state_scan(tracked->table, (struct br_slice){0}, (struct br_slice){0}, &iterator, error);
    while (status == BR_OK && br_state_iterator_next(iterator, &key, &value))
        status = give_entry(&giving, tracked, key, value, error);
    if (status == BR_OK)
        status = br_state_iterator_status(iterator, error);
    br_state_iterator_destroy(&iterator);
    if (status == BR_OK)
        status = hand_over(&giving, error);
    br_arena_destroy(&giving.arena);
    return status;
}

// What the former side holds back is not known to subscribers: going back, rows become what was published.
static enum br_status held_changes(struct br_graph *graph, uint32_t view, bool back, struct br_arena *arena,
                                   struct br_change **ret_changes, size_t *ret_count, struct br_error *error) {
    BR_TRY(br_graph_held(graph, view, arena, ret_changes, ret_count, error));
    for (size_t i = 0; back && i < *ret_count; i++) {
        struct br_change held = (*ret_changes)[i];
        (*ret_changes)[i] = (struct br_change){.key = held.key,
                                               .old_batch = held.new_batch,
                                               .old_row = held.new_row,
                                               .new_batch = held.old_batch,
                                               .new_row = held.old_row,
                                               .count = held.count};
    }
    return BR_OK;
}

static enum br_status apply_held(struct br_differences *d, bool back, struct br_error *error) {
    const struct br_pipeline *pipeline = d->former.pipeline;
    struct br_arena *arena = br_arena_create();
    enum br_status status = BR_OK;
    for (uint32_t v = 0; v < pipeline->view_count && status == BR_OK && d->former.published == NULL; v++) {
        struct br_change *held;
        size_t count;
        status = held_changes(d->former.graph, v, back, arena, &held, &count, error);
        if (status == BR_OK)
            status = br_differences_changes(d, BR_FORMER, &pipeline->views[v], held, count, error);
    }
    br_arena_destroy(&arena);
    return status;
}

// All rows of a view, as if they went (former) or came (other). Canonical order is by key, which scans don't promise:
// the rows go through a table of their own.
struct whole {
    struct br_differences *difference;
    struct tracked tracked;
    enum br_lineage_side side;
};

static enum br_status take_whole(void *context, const struct br_batch *batch, struct br_error *error) {
    struct whole *whole = context;
    struct br_differences *d = whole->difference;
    struct br_arena *arena = br_arena_create();
    struct br_slice *keys = br_arena_array(arena, struct br_slice, batch->row_count);
    br_batch_keys(batch, whole->tracked.key, whole->tracked.key_count, arena, keys);
    enum br_status status = BR_OK;
    for (uint32_t r = 0; r < batch->row_count && status == BR_OK; r++) {
        struct br_change change = {
            .key = keys[r], .new_batch = batch, .new_row = r, .count = br_batch_weight(batch, r)};
        status = take_change(d, &whole->tracked, whole->side, &change, error);
    }
    br_arena_destroy(&arena);
    return status;
}

static enum br_status take_held(struct whole *whole, struct br_graph *graph, struct br_arena *arena,
                                struct br_error *error) {
    struct br_change *held;
    size_t count;
    BR_TRY(held_changes(graph, whole->tracked.view->index, true, arena, &held, &count, error));
    for (size_t i = 0; i < count; i++) {
        // Taken as rows that came on this side: going back is a change of it.
        BR_TRY(take_change(whole->difference, &whole->tracked, whole->side, &held[i], error));
    }
    return BR_OK;
}

static enum br_status give_whole(struct br_differences *d, enum br_lineage_side side, const struct br_view *view,
                                 const struct br_sink *sink, struct br_error *error) {
    const struct br_lineage_state *lineage = side == BR_FORMER ? &d->former : &d->other;
    struct br_differences own = {.tracked = br_calloc(view->index + 1, sizeof *own.tracked)};
    BR_TRY(br_state_create(br_store_create_memory(), BUDGET_BYTES, &own.state, error));
    track(&own, view);
    struct whole whole = {&own, own.tracked[view->index], side};
    struct br_arena *arena = br_arena_create();
    struct br_epoch epoch = epoch_of(lineage, arena);
    enum br_status status = scan(lineage, view->index, &epoch, take_whole, &whole, error);
    if (status == BR_OK && side == BR_FORMER && lineage->published == NULL)
        status = take_held(&whole, lineage->graph, arena, error);
    if (status == BR_OK)
        status = give_tracked(&own, &whole.tracked, sink, error);
    br_arena_destroy(&arena);
    free(whole.tracked.types);
    free(whole.tracked.key);
    free(own.tracked);
    br_state_destroy(&own.state);
    br_buffer_free(&own.value);
    br_buffer_free(&own.row);
    br_buffer_free(&own.key);
    return status;
}

static enum br_status give_all(struct br_differences *d, const struct br_sink *former, const struct br_sink *other,
                               struct br_error *error) {
    const struct br_pipeline *former_pipeline = d->former.pipeline, *other_pipeline = d->other.pipeline;
    for (uint32_t v = 0; v < former_pipeline->view_count; v++) {
        const struct br_view *view = &former_pipeline->views[v];
        // A packed view that is gone has no place among the blocks of the new owner's commits.
        bool goes = d->former_fates[v] == BR_FATE_REMOVED || d->former_fates[v] == BR_FATE_REPLACED;
        if (goes && view->layout != BR_LAYOUT_PACKED)
            BR_TRY(give_whole(d, BR_FORMER, view, former, error));
    }
    for (uint32_t v = 0; v < other_pipeline->view_count; v++) {
        enum br_view_fate fate = d->other_fates[v];
        if (is_tracked(fate))
            BR_TRY(give_tracked(d, &d->tracked[v], other, error));
        else if (fate == BR_FATE_NEW || fate == BR_FATE_REPLACED)
            BR_TRY(give_whole(d, BR_OTHER, &other_pipeline->views[v], other, error));
    }
    return BR_OK;
}

enum br_status br_differences_give(struct br_differences *d, const struct br_sink *former, const struct br_sink *other,
                                   struct br_error *error) {
    BR_TRY(apply_held(d, true, error));
    enum br_status status = give_all(d, former, other, error);
    struct br_error ignored;
    enum br_status back = apply_held(d, false, status == BR_OK ? error : &ignored);
    return status != BR_OK ? status : back;
}
