// SPDX-License-Identifier: Apache-2.0
// Ordered access to a table: scans, range deletes, and the ordered set of entries that makes both cost what they touch.
//
// A table is ordered from its first partial scan or range delete on: its entries' addresses are kept in key order
// beside the map. New entries wait unsorted and are taken in when the order is needed next, so a table whose ranges are
// asked for once per epoch pays a sort of the epoch's new keys. A full scan of a table that isn't ordered sorts for
// itself. An order that nobody asked for in ORDER_IDLE_EPOCHS (evict.c) is dropped.
#include "state/table_internal.h"

// --- pending ranges (T6) ---

void ranges_clear(struct br_state_table *table) {
    for (size_t i = 0; i < table->range_count; i++) {
        br_buffer_free(&table->ranges[i].first);
        br_buffer_free(&table->ranges[i].last);
    }
    table->range_count = 0;
}

static bool is_before_last(struct br_slice key, struct br_slice last) {
    return last.len == 0 || br_slice_compare(key, last) < 0;
}

// The number of ranges that begin at or before key.
static size_t ranges_up_to(const struct br_state_table *table, struct br_slice key) {
    size_t low = 0, high = table->range_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (br_slice_compare(br_buffer_slice(&table->ranges[middle].first), key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool ranges_cover(const struct br_state_table *table, struct br_slice key) {
    size_t count = ranges_up_to(table, key);
    return count != 0 && is_before_last(key, br_buffer_slice(&table->ranges[count - 1].last));
}

// Whether the range reaches key, so that one that begins there continues it.
static bool range_reaches(const struct range *range, struct br_slice key) {
    return range->last.len == 0 || br_slice_compare(br_buffer_slice(&range->last), key) >= 0;
}

static void ranges_add(struct br_state_table *table, struct br_slice first, struct br_slice last) {
    size_t at = ranges_up_to(table, first);
    if (at != 0 && range_reaches(&table->ranges[at - 1], first)) {
        at -= 1; // continue that one
    } else {
        if (table->range_count == table->range_capacity) {
            table->range_capacity = table->range_capacity == 0 ? 4 : 2 * table->range_capacity;
            table->ranges = br_realloc(table->ranges, table->range_capacity * sizeof(struct range));
        }
        memmove(table->ranges + at + 1, table->ranges + at, (table->range_count - at) * sizeof(struct range));
        table->range_count += 1;
        table->ranges[at] = (struct range){0};
        br_buffer_append_slice(&table->ranges[at].first, first);
        br_buffer_append_slice(&table->ranges[at].last, last);
    }
    struct range *range = &table->ranges[at];
    if (range->last.len != 0 && (last.len == 0 || br_slice_compare(last, br_buffer_slice(&range->last)) > 0)) {
        br_buffer_clear(&range->last);
        br_buffer_append_slice(&range->last, last);
    }
    size_t next = at + 1; // swallow what it now reaches
    while (next < table->range_count && range_reaches(range, br_buffer_slice(&table->ranges[next].first))) {
        struct range *swallowed = &table->ranges[next++];
        if (range->last.len != 0 && (swallowed->last.len == 0 || br_slice_compare(br_buffer_slice(&swallowed->last),
                                                                                  br_buffer_slice(&range->last)) > 0)) {
            struct br_buffer longer = swallowed->last;
            swallowed->last = range->last;
            range->last = longer;
        }
        br_buffer_free(&swallowed->first);
        br_buffer_free(&swallowed->last);
    }
    memmove(table->ranges + at + 1, table->ranges + next, (table->range_count - next) * sizeof(struct range));
    table->range_count -= next - at - 1;
}

// --- order ---

static struct br_slice record_key_of(const void *context, uint64_t item) {
    (void)context;
    return entry_key((const struct br_entry *)(uintptr_t)item);
}

struct collection {
    struct sort_record *records;
    size_t count;
};

static void collect(void *context, struct br_entry *entry) {
    struct collection *collection = context;
    collection->records[collection->count++].item = (uint64_t)(uintptr_t)entry;
}

static void sort_collection(struct collection *collection) {
    sort_scattered_by_key(collection->records, collection->count, record_key_of, NULL);
}

static void fill_order(const struct br_state_table *table, struct order *order) {
    struct collection all = {.records = br_alloc((table->map.count + 1) * sizeof(struct sort_record))};
    hot_map_each(&table->map, collect, &all);
    sort_collection(&all);
    for (size_t i = 0; i < all.count; i++)
        order_append(order, (void *)(uintptr_t)all.records[i].item);
    free(all.records);
}

static void absorb(struct br_state_table *table) {
    struct entry_list *list = &table->unordered;
    if (list->count == 0)
        return;
    struct collection fresh = {.records = br_alloc(list->count * sizeof(struct sort_record))};
    for (size_t i = 0; i < list->count; i++)
        collect(&fresh, list->items[i]);
    sort_collection(&fresh); // neighbours go into the same chunk, while it is in the cache
    for (size_t i = 0; i < fresh.count; i++)
        order_insert(&table->order, (void *)(uintptr_t)fresh.records[i].item);
    free(fresh.records);
    list->count = 0;
}

void state_absorb_all(struct br_state *state) {
    for (size_t i = 0; i < state->table_count; i++)
        absorb(state->tables[i]);
}

void table_drop_order(struct br_state_table *table) {
    order_clear(&table->order);
    entry_list_free(&table->unordered);
    table->ordered = false;
}

static void need_order(struct br_state_table *table) {
    table->ordered_use = table->state->epochs;
    if (table->ordered) {
        absorb(table);
        return;
    }
    fill_order(table, &table->order);
    table->ordered = true;
}

// --- range deletes ---

// Whether something in the range may be in the store: then a range delete must go there.
static bool may_be_stored(const struct br_state_table *table, struct br_slice first, struct br_slice last) {
    if (table->cold)
        return true;
    for (struct order_place place = order_seek(&table->order, first);; place = order_next(&table->order, place)) {
        const struct br_entry *entry = order_at(&table->order, place);
        if (entry == NULL || !is_before_last(entry_key(entry), last))
            return false;
        if ((entry->flags & (ENTRY_ABSENT | ENTRY_DELETED)) == 0)
            return true;
    }
}

enum br_status br_state_delete_range(struct br_state_table *table, struct br_slice first, struct br_slice last,
                                     struct br_error *error) {
    BR_TRY(table_check_opened(table, error));
    if (last.len != 0 && br_slice_compare(first, last) >= 0)
        return BR_OK;
    struct br_state *state = table->state;
    need_order(table);
    bool stored = may_be_stored(table, first, last);
    for (struct order_place place = order_seek(&table->order, first);; place = order_next(&table->order, place)) {
        struct br_entry *entry = order_at(&table->order, place);
        if (entry == NULL || !is_before_last(entry_key(entry), last))
            break;
        if ((entry->flags & ENTRY_DELETED) != 0)
            continue;
        if (stored)
            entry->flags |= ENTRY_ABSENT; // the range covers what the store has
        if ((entry->flags & ENTRY_DIRTY) != 0) {
            entry_bury(table, entry);
        } else {
            entry_drop_value(state, entry);
            entry->flags |= ENTRY_DELETED;
            entry_list_add(&state->graveyard, entry); // T4
        }
    }
    if (stored)
        ranges_add(table, first, last);
    if (first.len == 0 && is_before_last(br_buffer_slice(&table->cold_last), last))
        table->cold = false; // what was cold is in the range (T5)
    return BR_OK;
}

// --- scans ---

#define FETCH_AHEAD 8 // entries

struct br_state_iterator {
    struct br_state_table *table;
    const struct order *order; // the table's, or own
    struct order own;
    struct order_place place;
    struct br_buffer last;
    struct br_store_iterator *cold; // NULL: nothing there (T5), or it has ended
    struct br_slice cold_key, cold_value;
    bool step_due; // cold_key has been given out
    struct br_buffer aligned;
    enum br_status status;
    struct br_error error;
};

// The next cold key that no pending range covers.
static void step_cold(struct br_state_iterator *iterator) {
    const struct br_state_table *table = iterator->table;
    while (iterator->cold != NULL) {
        if (!br_store_iterator_next(iterator->cold, &iterator->cold_key, &iterator->cold_value)) {
            iterator->status = br_store_iterator_status(iterator->cold, &iterator->error);
            br_store_iterator_destroy(&iterator->cold);
            return;
        }
        iterator->cold_key.ptr += TABLE_PREFIX_BYTES;
        iterator->cold_key.len -= TABLE_PREFIX_BYTES;
        if (table->range_count == 0 || !ranges_cover(table, iterator->cold_key))
            return;
    }
}

static enum br_status open_cold(struct br_state_iterator *iterator, struct br_slice first, struct br_slice last,
                                struct br_error *error) {
    const struct br_state_table *table = iterator->table;
    if (!may_be_cold(table, first))
        return BR_OK;
    uint8_t prefix[TABLE_PREFIX_BYTES], after[TABLE_PREFIX_BYTES];
    put_table_prefix(prefix, table->number);
    put_table_prefix(after, (uint16_t)(table->number + 1));
    struct br_buffer from = {0}, to = {0};
    br_buffer_append(&from, prefix, sizeof prefix);
    br_buffer_append_slice(&from, first);
    br_buffer_append(&to, last.len == 0 ? after : prefix, sizeof prefix);
    br_buffer_append_slice(&to, last);
    enum br_status status =
        br_store_scan(table->state->store, br_buffer_slice(&from), br_buffer_slice(&to), &iterator->cold, error);
    br_buffer_free(&from);
    br_buffer_free(&to);
    if (status == BR_OK)
        step_cold(iterator);
    return status;
}

enum br_status br_state_scan(struct br_state_table *table, struct br_slice first, struct br_slice last,
                             struct br_state_iterator **ret_iterator, struct br_error *error) {
    BR_TRY(table_check_opened(table, error));
    struct br_state_iterator *iterator = br_calloc(1, sizeof *iterator);
    iterator->table = table;
    enum br_status status = open_cold(iterator, first, last, error);
    if (status != BR_OK) {
        br_state_iterator_destroy(&iterator);
        return br_error_context(error, "state table %s", table->name);
    }
    if (table->ordered || first.len != 0 || last.len != 0) {
        need_order(table);
        iterator->order = &table->order;
    } else {
        iterator->own.key_of = table->order.key_of;
        fill_order(table, &iterator->own);
        iterator->order = &iterator->own;
    }
    iterator->place = order_seek(iterator->order, first);
    br_buffer_append_slice(&iterator->last, last);
    *ret_iterator = iterator;
    return BR_OK;
}

// Entries stand anywhere in memory: those further on are fetched ahead, then their values. Always inlined: gcc takes a
// function that only prefetches for one without effect and drops the call.
static inline __attribute__((always_inline)) void fetch_ahead(const struct br_state_iterator *iterator) {
    const struct order *order = iterator->order;
    struct order_place place = iterator->place;
    if (place.chunk >= order->chunk_count)
        return;
    const struct order_chunk *chunk = order->chunks[place.chunk];
    const struct order_chunk *next = place.chunk + 1 < order->chunk_count ? order->chunks[place.chunk + 1] : NULL;
    size_t far = place.at + 2 * FETCH_AHEAD, near = place.at + FETCH_AHEAD;
    const uint8_t *entry = far < chunk->count                                 ? chunk->items[far]
                           : next != NULL && far - chunk->count < next->count ? next->items[far - chunk->count]
                                                                              : NULL;
    if (entry != NULL) {
        __builtin_prefetch(entry);
        __builtin_prefetch(entry + 63); // the key may reach into the next line
    }
    if (near < chunk->count) {
        const struct br_entry *closer = chunk->items[near];
        __builtin_prefetch(closer->value);
        __builtin_prefetch(closer->value + 63);
    }
}

// Values are aligned to 8 as in entries; the store's stand anywhere.
static struct br_slice align(struct br_state_iterator *iterator, struct br_slice value) {
    if ((uintptr_t)value.ptr % 8 == 0)
        return value;
    br_buffer_clear(&iterator->aligned);
    br_buffer_append_slice(&iterator->aligned, value);
    return br_buffer_slice(&iterator->aligned);
}

bool br_state_iterator_next(struct br_state_iterator *iterator, struct br_slice *ret_key, struct br_slice *ret_value) {
    // The slices given last may be of the cold iterator, which therefore steps here and not before.
    if (iterator->step_due)
        step_cold(iterator);
    iterator->step_due = false;
    for (;;) {
        const struct br_entry *entry = order_at(iterator->order, iterator->place);
        if (entry != NULL && !is_before_last(entry_key(entry), br_buffer_slice(&iterator->last)))
            entry = NULL;
        if (entry == NULL && iterator->cold == NULL)
            return false;
        int side = entry == NULL            ? 1
                   : iterator->cold == NULL ? -1
                                            : br_slice_compare(entry_key(entry), iterator->cold_key);
        if (side > 0) {
            *ret_key = iterator->cold_key;
            *ret_value = align(iterator, iterator->cold_value);
            iterator->step_due = true;
            return true;
        }
        fetch_ahead(iterator);
        iterator->place = order_next(iterator->order, iterator->place);
        if (side == 0) // the entry is what counts
            step_cold(iterator);
        if ((entry->flags & ENTRY_DELETED) != 0)
            continue;
        *ret_key = entry_key(entry);
        *ret_value = (struct br_slice){entry->value, entry->value_len};
        return true;
    }
}

enum br_status br_state_iterator_status(const struct br_state_iterator *iterator, struct br_error *error) {
    if (iterator->status == BR_OK)
        return BR_OK;
    if (error != NULL)
        *error = iterator->error;
    return br_error_context(error, "state table %s", iterator->table->name);
}

void br_state_iterator_destroy(struct br_state_iterator **ref) {
    struct br_state_iterator *iterator = *ref;
    *ref = NULL;
    if (iterator == NULL)
        return;
    br_store_iterator_destroy(&iterator->cold);
    order_clear(&iterator->own);
    br_buffer_free(&iterator->last);
    br_buffer_free(&iterator->aligned);
    free(iterator);
}
