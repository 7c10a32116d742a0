// SPDX-License-Identifier: Apache-2.0
// Flushing: everything that changed since the last flush goes to the store in one run, in key order, with the epoch's
// number in it, so that the store is at one epoch or at the other (S2).
//
// F1. Entries change only after the run has been committed: a failed flush leaves all to be flushed again.
// F2. Keys come in the store's order: meta (table 0) first, then tables by number. Range deletes come before all keys;
//     they cover what was in the store before, not what is put now.
#include "state/table_internal.h"

#define PREFETCH_AHEAD 8

struct flush {
    struct br_state *state;
    struct br_store_run *run;
    size_t *counts; // dirty entries per place in state->tables
    size_t *starts; // where they begin in state->dirty, once grouped
    size_t bytes;
    struct br_buffer key;
};

static void count_dirty(struct flush *flush) {
    const struct dirty_list *dirty = &flush->state->dirty;
    for (size_t i = 0; i < dirty->count; i++) {
        dirty_prefetch(dirty, i + PREFETCH_AHEAD);
        const struct br_entry *entry = dirty_entry(dirty, i);
        dirty->items[i].digest = entry->table;
        flush->counts[entry->table] += 1;
        flush->bytes += TABLE_PREFIX_BYTES + entry->key_len + entry->value_len;
    }
    for (size_t t = 1; t < flush->state->table_count; t++)
        flush->starts[t] = flush->starts[t - 1] + flush->counts[t - 1];
}

static struct br_slice record_key_of(const void *context, uint64_t item) {
    (void)context;
    return entry_key((const struct br_entry *)(uintptr_t)item);
}

// Groups the list by table (in place, by the digests that count_dirty left), then sorts each group by key.
static void sort_dirty(struct flush *flush) {
    const struct br_state *state = flush->state;
    struct sort_record *items = state->dirty.items;
    size_t end = 0;
    for (size_t t = 0; t < state->table_count; t++) {
        end += flush->counts[t];
        while (flush->starts[t] < end) { // starts run up to the groups' ends here
            struct sort_record moving = items[flush->starts[t]];
            while (moving.digest != t) {
                size_t to = flush->starts[moving.digest]++;
                struct sort_record displaced = items[to];
                items[to] = moving;
                moving = displaced;
            }
            items[flush->starts[t]++] = moving;
        }
    }
    for (size_t t = 0; t < state->table_count; t++) {
        flush->starts[t] -= flush->counts[t];
        sort_scattered_by_key(items + flush->starts[t], flush->counts[t], record_key_of, NULL);
    }
}

static struct br_slice prefixed(struct flush *flush, uint16_t number, struct br_slice key) {
    uint8_t prefix[TABLE_PREFIX_BYTES];
    put_table_prefix(prefix, number);
    br_buffer_clear(&flush->key);
    br_buffer_append(&flush->key, prefix, sizeof prefix);
    br_buffer_append_slice(&flush->key, key);
    return br_buffer_slice(&flush->key);
}

static enum br_status write_ranges(struct flush *flush, const struct br_state_table *table, struct br_error *error) {
    for (size_t i = 0; i < table->range_count; i++) {
        struct br_slice last = br_buffer_slice(&table->ranges[i].last);
        uint16_t last_number = last.len == 0 ? (uint16_t)(table->number + 1) : table->number;
        struct br_buffer end = {0};
        br_buffer_append_slice(&end, prefixed(flush, last_number, last));
        struct br_slice first = prefixed(flush, table->number, br_buffer_slice(&table->ranges[i].first));
        enum br_status status = br_store_run_delete_range(flush->run, first, br_buffer_slice(&end), error);
        br_buffer_free(&end);
        BR_TRY(status);
    }
    return BR_OK;
}

static enum br_status write_meta(struct flush *flush, uint64_t epoch, struct br_error *error) {
    const struct br_state *state = flush->state;
    uint8_t number[8];
    br_be64_put(number, epoch);
    br_buffer_clear(&flush->key);
    meta_key(&flush->key, META_EPOCH, "");
    BR_TRY(br_store_run_put(flush->run, br_buffer_slice(&flush->key), (struct br_slice){number, sizeof number}, error));
    for (size_t i = 0; i < state->meta_count; i++) {
        br_buffer_clear(&flush->key);
        meta_key(&flush->key, META_FACT, state->meta[i].name);
        BR_TRY(
            br_store_run_put(flush->run, br_buffer_slice(&flush->key), br_buffer_slice(&state->meta[i].value), error));
    }
    return BR_OK;
}

static enum br_status write_table(struct flush *flush, const struct br_state_table *table, struct br_error *error) {
    const struct dirty_list *dirty = &flush->state->dirty;
    size_t start = flush->starts[table->index];
    size_t count = flush->counts[table->index];
    for (size_t i = 0; i < count; i++) {
        dirty_prefetch(dirty, start + i + PREFETCH_AHEAD);
        const struct br_entry *entry = dirty_entry(dirty, start + i);
        struct br_slice key = prefixed(flush, table->number, entry_key(entry));
        if ((entry->flags & ENTRY_DELETED) != 0)
            BR_TRY(br_store_run_delete(flush->run, key, error));
        else
            BR_TRY(br_store_run_put(flush->run, key, (struct br_slice){entry->value, entry->value_len}, error));
    }
    return BR_OK;
}

// The table with the smallest number above `number`, NULL when there is none.
static const struct br_state_table *next_table(const struct br_state *state, uint16_t number) {
    const struct br_state_table *next = NULL;
    for (size_t i = 0; i < state->table_count; i++) {
        const struct br_state_table *table = state->tables[i];
        if (table->number > number && (next == NULL || table->number < next->number))
            next = table;
    }
    return next;
}

static enum br_status write_all(struct flush *flush, uint64_t epoch, struct br_error *error) {
    const struct br_state *state = flush->state;
    BR_TRY(br_store_run_begin(state->store, flush->bytes, &flush->run, error));
    for (size_t t = 0; t < state->table_count; t++)
        BR_TRY(write_ranges(flush, state->tables[t], error));
    BR_TRY(write_meta(flush, epoch, error));
    const struct br_state_table *table = NULL;
    while ((table = next_table(state, table == NULL ? 0 : table->number)) != NULL)
        BR_TRY(write_table(flush, table, error));
    return br_store_run_commit(flush->run, error);
}

// F1: the store has it all now.
static void settle(struct br_state *state, uint64_t epoch) {
    for (size_t i = 0; i < state->dirty.count; i++) {
        dirty_prefetch(&state->dirty, i + PREFETCH_AHEAD);
        struct br_entry *entry = dirty_entry(&state->dirty, i);
        if ((entry->flags & ENTRY_DELETED) != 0)
            entry_free(state, entry);
        else
            entry->flags &= (uint8_t) ~(ENTRY_DIRTY | ENTRY_ABSENT);
    }
    free(state->dirty.items); // its memory is the budget's too
    state->dirty = (struct dirty_list){0};
    state->dirty_dead = 0;
    state->dirty_bytes = 0;
    for (size_t t = 0; t < state->table_count; t++)
        ranges_clear(state->tables[t]);
    meta_clear(state);
    state->flushed_epoch = epoch;
    state->flushes += 1;
}

enum br_status br_state_flush(struct br_state *state, uint64_t epoch, struct br_error *error) {
    struct flush flush = {.state = state,
                          .counts = br_calloc(state->table_count + 1, sizeof(size_t)),
                          .starts = br_calloc(state->table_count + 1, sizeof(size_t))};
    state_absorb_all(state);
    state_free_graveyard(state);
    state_sweep_dirty(state);
    count_dirty(&flush);
    sort_dirty(&flush);
    enum br_status status = write_all(&flush, epoch, error);
    br_store_run_destroy(&flush.run);
    br_buffer_free(&flush.key);
    free(flush.counts);
    free(flush.starts);
    if (status != BR_OK)
        return br_error_context(error, "flushing the state at epoch %llu", (unsigned long long)epoch);
    settle(state, epoch);
    return BR_OK;
}

bool br_state_wants_flush(const struct br_state *state) {
    return state->dirty_bytes + state->dirty.count * sizeof(struct sort_record) > state->budget_bytes / 2;
}
