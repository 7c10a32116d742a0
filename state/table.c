// SPDX-License-Identifier: Apache-2.0
// See table.h: creation, lookups and point changes. table_internal.h has the invariants (T1 to T7).
//
// Lookups of many keys go in groups, each in three passes, so that the memory of one pass is on its way while the pass
// goes on: directory words and slots, then entries, then keys. What is missing is sorted and read from the store at
// once.
#define XXH_INLINE_ALL
#include "state/table_internal.h"

#include <xxhash.h>

#define PROBE_GROUP 32
#define LOAD_AHEAD 8
#define TABLE_NUMBER_MAX 65534 // the next number must exist: it ends the table's key range

uint64_t br_state_hash(struct br_slice key) {
    return XXH3_64bits(key.ptr, key.len);
}

// --- creation ---

enum br_status br_state_create(struct br_store *take_store, size_t budget_bytes, struct br_state **ret_state,
                               struct br_error *error) {
    struct br_state *state = br_calloc(1, sizeof *state);
    state->store = take_store;
    state->budget_bytes = budget_bytes;
    struct br_buffer key = {0}, value = {0};
    meta_key(&key, META_EPOCH, "");
    bool found = false;
    enum br_status status = br_store_get(state->store, br_buffer_slice(&key), &value, &found, error);
    if (status == BR_OK && found && value.len != 8)
        status = br_error_set_native(error, BR_FATAL, BR_STORE_DAMAGED,
                                     "the state is damaged: its epoch has %zu bytes instead of 8", value.len);
    if (status == BR_OK && found)
        state->flushed_epoch = br_be64_get(value.ptr);
    br_buffer_free(&key);
    br_buffer_free(&value);
    if (status != BR_OK)
        br_state_destroy(&state);
    else
        *ret_state = state;
    return status;
}

static void free_mallocs_of(void *context, struct br_entry *entry) {
    (void)context;
    if ((entry->flags & ENTRY_HUGE) != 0)
        free((struct huge_head *)(void *)entry->value - 1);
    if ((entry->flags & ENTRY_BIG) != 0)
        free((struct huge_head *)(void *)entry - 1);
}

static void destroy_table(struct br_state_table *table) {
    if (table->state->malloc_bytes != 0)
        hot_map_each(&table->map, free_mallocs_of, NULL);
    table_drop_order(table);
    ranges_clear(table);
    free(table->ranges);
    br_buffer_free(&table->cold_last);
    free(table->open_error);
    hot_map_free(&table->map);
    free(table->name);
    free(table);
}

void br_state_destroy(struct br_state **ref) {
    struct br_state *state = *ref;
    *ref = NULL;
    if (state == NULL)
        return;
    for (size_t i = 0; i < state->table_count; i++)
        destroy_table(state->tables[i]);
    free(state->tables);
    slab_pool_destroy(&state->slabs);
    entry_list_free(&state->big);
    free(state->dirty.items);
    entry_list_free(&state->graveyard);
    meta_clear(state);
    free(state->meta);
    free(state->missed);
    free(state->records);
    free(state->store_keys);
    free(state->store_values);
    free(state->store_found);
    br_buffer_free(&state->key_bytes);
    br_store_destroy(&state->store);
    free(state);
}

static enum br_status find_cold_keys(struct br_state_table *table, struct br_error *error) {
    uint8_t first[TABLE_PREFIX_BYTES], last[TABLE_PREFIX_BYTES];
    put_table_prefix(first, table->number);
    put_table_prefix(last, (uint16_t)(table->number + 1));
    struct br_buffer key = {0};
    enum br_status status = br_store_last_key(table->state->store, (struct br_slice){first, sizeof first},
                                              (struct br_slice){last, sizeof last}, &key, &table->cold, error);
    if (status == BR_OK && table->cold)
        br_buffer_append(&table->cold_last, key.ptr + TABLE_PREFIX_BYTES, key.len - TABLE_PREFIX_BYTES);
    br_buffer_free(&key);
    return status;
}

static struct br_slice order_key_of(const void *entry) {
    return entry_key(entry);
}

struct br_state_table *br_state_open_table(struct br_state *state, uint16_t number, const char *name) {
    BR_CHECK(number >= 1 && number <= TABLE_NUMBER_MAX);
    for (size_t i = 0; i < state->table_count; i++)
        if (state->tables[i]->number == number)
            return state->tables[i];
    struct br_state_table *table = br_calloc(1, sizeof *table);
    table->state = state;
    table->name = br_strdup(name);
    table->number = number;
    table->index = (uint16_t)state->table_count;
    table->order.key_of = order_key_of;
    hot_map_init(&table->map);
    struct br_error error;
    if (find_cold_keys(table, &error) != BR_OK) {
        table->open_error = br_alloc(sizeof error);
        *table->open_error = error;
    }
    state->tables = br_realloc(state->tables, (state->table_count + 1) * sizeof(struct br_state_table *));
    state->tables[state->table_count++] = table;
    return table;
}

struct br_store *br_state_store(struct br_state *state) {
    return state->store;
}

uint64_t br_state_flushed_epoch(const struct br_state *state) {
    return state->flushed_epoch;
}

enum br_status table_check_opened(const struct br_state_table *table, struct br_error *error) {
    if (table->open_error == NULL)
        return BR_OK;
    if (error != NULL)
        *error = *table->open_error;
    return br_error_context(error, "state table %s", table->name);
}

// --- lookups ---

// The store is known to hold nothing (more) of a key that isn't in the map (T5, T6).
static bool known_absent(const struct br_state_table *table, struct br_slice key) {
    return !may_be_cold(table, key) || ranges_cover(table, key);
}

static struct br_entry *create_new(struct br_state_table *table, struct br_slice key, uint64_t hash,
                                   uint32_t value_len) {
    struct br_entry *entry = entry_create(table, key, hash, value_len, ENTRY_ABSENT);
    memset(entry->value, 0, value_len);
    br_entry_mark_dirty(table, entry);
    return entry;
}

// A deleted entry becomes a new one.
static void revive(struct br_state_table *table, struct br_entry *entry, uint32_t value_len) {
    if ((entry->flags & ENTRY_ABSENT) != 0 && (entry->flags & ENTRY_DIRTY) != 0)
        table->state->dirty_dead -= 1;
    entry->flags &= (uint8_t)~ENTRY_DELETED;
    entry->touched_epoch = 0;
    entry->touched = NULL;
    entry_place_value(table->state, entry, value_len);
    memset(entry->value, 0, value_len);
    br_entry_mark_dirty(table, entry);
}

// One lookup of many keys. is_new NULL: a find, which makes nothing.
struct lookup {
    struct br_state_table *table;
    const struct br_slice *keys;
    const uint64_t *hashes;
    uint32_t new_value_len;
    struct br_entry **entries;
    bool *is_new;
    size_t missed; // in state->missed
    bool changed;  // the map has changed since the group's first pass
};

static void settle_miss(struct lookup *lookup, size_t index) {
    struct br_state_table *table = lookup->table;
    lookup->entries[index] = NULL;
    if (may_be_cold(table, lookup->keys[index])) {
        table->state->missed[lookup->missed++] = (uint32_t)index;
    } else if (lookup->is_new != NULL) {
        lookup->entries[index] = create_new(table, lookup->keys[index], lookup->hashes[index], lookup->new_value_len);
        lookup->is_new[index] = true;
        lookup->changed = true;
    }
}

static void settle_hit(struct lookup *lookup, size_t index, struct br_entry *entry) {
    lookup->entries[index] = entry;
    if ((entry->flags & ENTRY_REFERENCED) == 0)
        entry->flags |= ENTRY_REFERENCED;
    if (__builtin_expect((entry->flags & ENTRY_DELETED) == 0, 1))
        return;
    if (lookup->is_new == NULL) {
        lookup->entries[index] = NULL;
    } else {
        revive(lookup->table, entry, lookup->new_value_len);
        lookup->is_new[index] = true;
    }
}

static void probe_group(struct lookup *lookup, size_t first, size_t count) {
    const struct hot_map *map = &lookup->table->map;
    const uint64_t *hashes = lookup->hashes + first;
    uint64_t words[PROBE_GROUP], at[PROBE_GROUP];
    struct br_entry *candidates[PROBE_GROUP];
    lookup->changed = false;
    for (size_t i = 0; i < count; i++) {
        words[i] = hot_directory_word(map, hashes[i]);
        at[i] = hashes[i] & hot_mask(words[i]);
        __builtin_prefetch(hot_slots(words[i]) + at[i]);
    }
    for (size_t i = 0; i < count; i++) {
        candidates[i] = hot_probe(words[i], hashes[i], &at[i]);
        __builtin_prefetch(candidates[i], 1);
        __builtin_prefetch((const void *)((uintptr_t)candidates[i] + 63), 1); // the key may reach into the next line
    }
    for (size_t i = 0; i < count; i++) {
        struct br_slice key = lookup->keys[first + i];
        struct br_entry *entry = candidates[i];
        if (entry == NULL || !hot_is(entry, key, hashes[i])) {
            // A changed map may have moved slots: words and places are stale, entries are not.
            if (lookup->changed)
                entry = hot_map_find(map, key, hashes[i]);
            else
                while (entry != NULL && !hot_is(entry, key, hashes[i]))
                    entry = hot_probe(words[i], hashes[i], &at[i]);
        }
        if (entry != NULL)
            settle_hit(lookup, first + i, entry);
        else
            settle_miss(lookup, first + i);
    }
}

static struct br_slice missed_key_of(const void *context, uint64_t item) {
    return ((const struct br_slice *)context)[item];
}

static void reserve_scratch(struct br_state *state, size_t count) {
    if (count <= state->missed_capacity)
        return;
    state->missed_capacity = count;
    state->missed = br_realloc(state->missed, count * sizeof *state->missed);
    state->records = br_realloc(state->records, count * sizeof *state->records);
    state->store_keys = br_realloc(state->store_keys, count * sizeof *state->store_keys);
    state->store_values = br_realloc(state->store_values, count * sizeof *state->store_values);
    state->store_found = br_realloc(state->store_found, count * sizeof *state->store_found);
}

// One past the last of the sorted records from begin on that have the same key.
static size_t same_key_end(const struct lookup *lookup, const struct sort_record *records, size_t begin, size_t count) {
    size_t end = begin + 1;
    while (end < count && br_slice_equal(lookup->keys[records[end].item], lookup->keys[records[begin].item]))
        end++;
    return end;
}

// Sorts the misses and reads each key that the store may have once, in state->store_*; returns how many in *ret_reads.
static enum br_status read_missed(struct lookup *lookup, size_t *ret_reads, struct br_error *error) {
    struct br_state_table *table = lookup->table;
    struct br_state *state = table->state;
    struct sort_record *records = state->records;
    size_t bytes = 0, reads = 0;
    for (size_t i = 0; i < lookup->missed; i++) {
        records[i].item = state->missed[i];
        bytes += TABLE_PREFIX_BYTES + lookup->keys[state->missed[i]].len;
    }
    sort_by_key(records, lookup->missed, missed_key_of, lookup->keys);
    br_buffer_clear(&state->key_bytes);
    uint8_t *at = br_buffer_reserve(&state->key_bytes, bytes);
    for (size_t i = 0, end; i < lookup->missed; i = end) {
        end = same_key_end(lookup, records, i, lookup->missed);
        struct br_slice key = lookup->keys[records[i].item];
        if (table->range_count != 0 && ranges_cover(table, key))
            continue;
        put_table_prefix(at, table->number);
        if (key.len != 0)
            memcpy(at + TABLE_PREFIX_BYTES, key.ptr, key.len);
        state->store_keys[reads++] = (struct br_slice){at, TABLE_PREFIX_BYTES + key.len};
        at += TABLE_PREFIX_BYTES + key.len;
    }
    state->misses += reads;
    *ret_reads = reads;
    return br_store_get_many(state->store, state->store_keys, reads, state->store_values, state->store_found, error);
}

static struct br_entry *load(struct br_state_table *table, struct br_slice key, uint64_t hash, struct br_slice value) {
    struct br_entry *entry = entry_create(table, key, hash, value.len, 0);
    if (value.len != 0)
        memcpy(entry->value, value.ptr, value.len);
    return entry;
}

static void prefetch_slot(const struct hot_map *map, uint64_t hash) {
    uint64_t word = hot_directory_word(map, hash);
    __builtin_prefetch(hot_slots(word) + (hash & hot_mask(word)), 1);
}

static enum br_status load_missed(struct lookup *lookup, struct br_error *error) {
    struct br_state_table *table = lookup->table;
    struct br_state *state = table->state;
    size_t reads, read = 0;
    enum br_status status = read_missed(lookup, &reads, error);
    if (status != BR_OK)
        return br_error_context(error, "state table %s", table->name);
    for (size_t i = 0, end; i < lookup->missed; i = end) {
        if (i + LOAD_AHEAD < lookup->missed)
            prefetch_slot(&table->map, lookup->hashes[state->records[i + LOAD_AHEAD].item]);
        end = same_key_end(lookup, state->records, i, lookup->missed);
        size_t first = SIZE_MAX; // the order among equal keys is not the caller's
        for (size_t k = i; k < end; k++)
            first = state->records[k].item < first ? state->records[k].item : first;
        struct br_slice key = lookup->keys[first];
        uint64_t hash = lookup->hashes[first];
        bool was_read = read < reads && state->store_keys[read].len == TABLE_PREFIX_BYTES + key.len &&
                        memcmp(state->store_keys[read].ptr + TABLE_PREFIX_BYTES, key.ptr, key.len) == 0;
        struct br_entry *entry = NULL;
        if (was_read && state->store_found[read]) {
            entry = load(table, key, hash, state->store_values[read]);
        } else if (lookup->is_new != NULL) {
            entry = create_new(table, key, hash, lookup->new_value_len);
            lookup->is_new[first] = true;
        }
        read += was_read;
        for (size_t k = i; k < end; k++)
            lookup->entries[state->records[k].item] = entry;
    }
    return BR_OK;
}

static enum br_status run_lookup(struct lookup *lookup, size_t count, struct br_error *error) {
    struct br_state *state = lookup->table->state;
    BR_CHECK(count <= UINT32_MAX);
    BR_TRY(table_check_opened(lookup->table, error));
    reserve_scratch(state, count);
    if (lookup->is_new != NULL)
        memset(lookup->is_new, 0, count * sizeof(bool));
    for (size_t first = 0; first < count; first += PROBE_GROUP)
        probe_group(lookup, first, count - first < PROBE_GROUP ? count - first : PROBE_GROUP);
    state->hits += count - lookup->missed;
    return lookup->missed == 0 ? BR_OK : load_missed(lookup, error);
}

enum br_status br_state_obtain_many(struct br_state_table *table, const struct br_slice *keys, const uint64_t *hashes,
                                    size_t count, uint32_t new_value_len, struct br_entry **ret_entries,
                                    bool *ret_is_new, struct br_error *error) {
    struct lookup lookup = {.table = table,
                            .keys = keys,
                            .hashes = hashes,
                            .new_value_len = new_value_len,
                            .entries = ret_entries,
                            .is_new = ret_is_new};
    return run_lookup(&lookup, count, error);
}

enum br_status br_state_find_many(struct br_state_table *table, const struct br_slice *keys, const uint64_t *hashes,
                                  size_t count, struct br_entry **ret_entries, struct br_error *error) {
    struct lookup lookup = {.table = table, .keys = keys, .hashes = hashes, .entries = ret_entries};
    return run_lookup(&lookup, count, error);
}

enum br_status br_state_find(struct br_state_table *table, struct br_slice key, uint64_t hash,
                             struct br_entry **ret_entry, struct br_error *error) {
    struct br_entry *entry = NULL;
    BR_TRY(br_state_find_many(table, &key, &hash, 1, &entry, error));
    *ret_entry = entry;
    return BR_OK;
}

enum br_status br_state_obtain(struct br_state_table *table, struct br_slice key, uint64_t hash, uint32_t new_value_len,
                               struct br_entry **ret_entry, bool *ret_is_new, struct br_error *error) {
    return br_state_obtain_many(table, &key, &hash, 1, new_value_len, ret_entry, ret_is_new, error);
}

// --- changes ---

// The entry of a key that is about to be overwritten or deleted, whatever the store has of it.
static struct br_entry *claim(struct br_state_table *table, struct br_slice key, size_t value_len) {
    uint64_t hash = br_state_hash(key);
    struct br_entry *entry = hot_map_find(&table->map, key, hash);
    if (entry != NULL)
        return entry;
    entry = entry_create(table, key, hash, value_len, known_absent(table, key) ? ENTRY_ABSENT : 0);
    memset(entry->value, 0, value_len);
    return entry;
}

enum br_status br_state_put(struct br_state_table *table, struct br_slice key, struct br_slice value,
                            struct br_error *error) {
    BR_CHECK(value.len <= UINT32_MAX);
    BR_TRY(table_check_opened(table, error));
    struct br_entry *entry = claim(table, key, value.len);
    if ((entry->flags & ENTRY_DELETED) != 0)
        revive(table, entry, (uint32_t)value.len);
    else if (entry->value_len != value.len)
        br_entry_resize(table, entry, (uint32_t)value.len);
    if (value.len != 0)
        memcpy(entry->value, value.ptr, value.len);
    entry->flags |= ENTRY_REFERENCED;
    br_entry_mark_dirty(table, entry);
    return BR_OK;
}

void br_entry_delete(struct br_state_table *table, struct br_entry *entry) {
    BR_CHECK((entry->flags & ENTRY_DELETED) == 0);
    entry_bury(table, entry);
}

enum br_status br_state_delete(struct br_state_table *table, struct br_slice key, struct br_error *error) {
    BR_TRY(table_check_opened(table, error));
    struct br_entry *entry = hot_map_find(&table->map, key, br_state_hash(key));
    if (entry == NULL && known_absent(table, key))
        return BR_OK;
    if (entry == NULL)
        entry = claim(table, key, 0);
    if ((entry->flags & ENTRY_DELETED) == 0)
        entry_bury(table, entry);
    return BR_OK;
}

// --- usage ---

void br_state_usage(struct br_state *state, struct br_state_usage *ret_usage) {
    struct br_state_usage usage = {
        .hot_bytes = state_used_bytes(state),
        .dirty_bytes = state->dirty_bytes,
        .budget_bytes = state->budget_bytes,
        .hits = state->hits,
        .misses = state->misses,
        .evictions = state->evictions,
        .flushes = state->flushes,
    };
    for (size_t i = 0; i < state->table_count; i++)
        usage.hot_entries += state->tables[i]->map.count;
    br_store_usage(state->store, &usage.store_memory_bytes, &usage.store_disk_bytes);
    *ret_usage = usage;
}
