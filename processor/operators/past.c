// SPDX-License-Identifier: Apache-2.0
// See past.h. All of it lies in the epoch's arena.
#include "processor/operators/past.h"

#define KEYS_MIN 64

struct past_change {
    struct br_moment moment;
    struct br_slice before; // len 0: no row
};

struct br_past_key {
    uint64_t hash;
    struct br_slice key;
    struct past_change *changes; // NULL: the place is free
    uint32_t count, capacity;
};

// The key's place, or the free one where it belongs.
static struct br_past_key *find_key(const struct br_past *past, struct br_slice key, uint64_t hash) {
    for (uint32_t at = (uint32_t)hash & (past->capacity - 1);; at = (at + 1) & (past->capacity - 1)) {
        struct br_past_key *found = &past->keys[at];
        if (found->changes == NULL || (found->hash == hash && br_slice_equal(found->key, key)))
            return found;
    }
}

static void grow(struct br_past *past, struct br_arena *arena) {
    struct br_past larger = *past;
    larger.capacity = past->capacity == 0 ? KEYS_MIN : 2 * past->capacity;
    larger.keys = br_arena_array(arena, struct br_past_key, larger.capacity);
    for (uint32_t k = 0; k < past->capacity; k++)
        if (past->keys[k].changes != NULL)
            *find_key(&larger, past->keys[k].key, past->keys[k].hash) = past->keys[k];
    *past = larger;
}

static struct past_change *add_change(struct br_past_key *key, struct br_arena *arena) {
    if (key->count == key->capacity) {
        uint32_t capacity = key->capacity == 0 ? 2 : 2 * key->capacity;
        struct past_change *larger = br_arena_alloc(arena, capacity * sizeof *larger);
        if (key->count != 0)
            memcpy(larger, key->changes, key->count * sizeof *larger);
        key->changes = larger;
        key->capacity = capacity;
    }
    return &key->changes[key->count++];
}

void br_past_note(struct br_past *past, const struct br_epoch *epoch, struct br_slice key, uint64_t hash,
                  struct br_slice before, uint32_t origin) {
    if (epoch->moment == NULL || epoch->by_old_rules || origin == BR_NO_ORIGIN)
        return;
    if (past->epoch != epoch->number)
        *past = (struct br_past){.epoch = epoch->number, .latest_us = INT64_MIN};
    if (2 * past->count >= past->capacity)
        grow(past, epoch->arena);
    struct br_past_key *found = find_key(past, key, hash);
    if (found->changes == NULL) {
        *found = (struct br_past_key){.hash = hash, .key = br_arena_copy(epoch->arena, key)};
        past->count++;
    }
    struct br_moment moment = epoch->moment(epoch->moment_context, origin);
    past->latest_us = moment.stored_us > past->latest_us ? moment.stored_us : past->latest_us;
    moment.stored_us = past->latest_us;
    *add_change(found, epoch->arena) =
        (struct past_change){moment, before.len == 0 ? before : br_arena_copy(epoch->arena, before)};
}

bool br_past_is_any(const struct br_past *past, const struct br_epoch *epoch) {
    return past->epoch == epoch->number && past->count != 0;
}

bool br_past_find(const struct br_past *past, const struct br_epoch *epoch, struct br_slice key, uint64_t hash,
                  uint32_t origin, struct br_slice *ret_row) {
    const struct br_past_key *found = find_key(past, key, hash);
    if (found->changes == NULL || origin == BR_NO_ORIGIN)
        return false;
    struct br_moment moment = epoch->moment(epoch->moment_context, origin);
    uint32_t low = 0, high = found->count; // the first change that isn't before the row
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (!br_moment_is_older(&moment, &found->changes[middle].moment)) // of one message the table is read first
            low = middle + 1;
        else
            high = middle;
    }
    if (low == found->count)
        return false;
    *ret_row = found->changes[low].before;
    return true;
}
