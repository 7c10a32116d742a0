// SPDX-License-Identifier: Apache-2.0
// State tables: what operators keep. A table maps key bytes to value bytes; hot entries live in memory, cold ones in
// the store.
//
//   br_state            all tables of one task; owns the byte budget and the store
//     br_state_table    one keyed map, numbered; its keys are stored under a 2-byte table prefix
//       br_entry        one hot key with its value, changed in place
//
// S1. An entry handed out by find/obtain stays where it is (its value may be read and changed in place) until the end
// of the
//     epoch (br_state_end_epoch), whatever else is done, unless it is resized through br_entry_resize or deleted.
// S2. The store holds exactly the state at the end of epoch br_state_flushed_epoch; entries changed since are dirty and
// in memory. S3. Dirty entries count against the budget and are never evicted; when dirty bytes pass half of the
// budget, br_state_wants_flush
//     says so and the task flushes at the next epoch boundary at which everything computed is committed.
// S4. Clean entries are evicted (CLOCK) at br_state_end_epoch, so that memory is within budget plus what one epoch
// touched. S5. A scan merges hot and cold in key order and sees every change made so far in this epoch. S6. Iteration
// order of the hash table never reaches a caller.
//
// Not thread-safe: a task is one thread.
#ifndef BR_STATE_TABLE_H
#define BR_STATE_TABLE_H

#include "state/store.h"

struct br_state;
struct br_state_table;
struct br_state_iterator;

// A hot entry. key and value follow the rules above; value is aligned to 8 bytes. Fields marked "caller" are the
// operator's own and are zero in a new or freshly loaded entry; they are lost on eviction, which never happens within
// an epoch.
struct br_entry {
    uint8_t *value;
    uint64_t hash;
    uint64_t touched_epoch; // caller: the epoch in which the operator last noted this entry (its old value is saved
                            // elsewhere)
    void *touched;          // caller: where that note is; meaningful only when touched_epoch is the current epoch
    uint32_t value_len;
    uint32_t key_len;
    uint16_t table; // state/ only
    uint8_t flags;  // state/ only
    uint8_t key[];
};

// Takes the store. budget_bytes bounds the hot entries of all tables together.
enum br_status br_state_create(struct br_store *take_store, size_t budget_bytes, struct br_state **ret_state,
                               struct br_error *error) BR_MUST_CHECK;
void br_state_destroy(struct br_state **state); // destroys the store; unflushed changes are gone
// A table by its stable number (1..65534, given by the plan) and name (for explain, status and errors). Made when
// missing.
struct br_state_table *br_state_open_table(struct br_state *state, uint16_t number, const char *name);

uint64_t br_state_hash(struct br_slice key); // XXH3, 64 bits

// The entry, loaded from the store when it is cold; *ret_entry NULL when there is none.
enum br_status br_state_find(struct br_state_table *table, struct br_slice key, uint64_t hash,
                             struct br_entry **ret_entry, struct br_error *error) BR_MUST_CHECK;
// The entry, made with a zeroed value of new_value_len bytes when there is none (*ret_is_new tells). A new entry is
// dirty.
enum br_status br_state_obtain(struct br_state_table *table, struct br_slice key, uint64_t hash, uint32_t new_value_len,
                               struct br_entry **ret_entry, bool *ret_is_new, struct br_error *error) BR_MUST_CHECK;
// The same for many keys: one pass over the hot set, the misses read together from the store. Entries for equal keys
// are the same entry; is_new is true only at the first of them. This is the operators' hot path.
enum br_status br_state_obtain_many(struct br_state_table *table, const struct br_slice *keys, const uint64_t *hashes,
                                    size_t count, uint32_t new_value_len, struct br_entry **ret_entries,
                                    bool *ret_is_new, struct br_error *error) BR_MUST_CHECK;
// Like obtain_many, but misses give NULL.
enum br_status br_state_find_many(struct br_state_table *table, const struct br_slice *keys, const uint64_t *hashes,
                                  size_t count, struct br_entry **ret_entries, struct br_error *error) BR_MUST_CHECK;
// Call before changing entry->value in place.
void br_entry_mark_dirty(struct br_state_table *table, struct br_entry *entry);
// Changes the value's length (content kept up to the shorter length, new bytes zero) and marks it dirty. entry stays,
// entry->value moves.
void br_entry_resize(struct br_state_table *table, struct br_entry *entry, uint32_t value_len);
// Replaces or makes the whole value.
enum br_status br_state_put(struct br_state_table *table, struct br_slice key, struct br_slice value,
                            struct br_error *error) BR_MUST_CHECK;
// The entry pointer dies. Deleting what isn't there is fine for br_state_delete.
void br_entry_delete(struct br_state_table *table, struct br_entry *entry);
enum br_status br_state_delete(struct br_state_table *table, struct br_slice key, struct br_error *error) BR_MUST_CHECK;
// Forgets first <= key < last (last.len 0: to the table's end), hot and cold; a range tombstone goes to the store at
// the next flush (window expiry), unless nothing in the range was ever flushed. Costs what it deletes; the first range
// of a table, here or in br_state_scan, costs a sort of the table's hot keys.
enum br_status br_state_delete_range(struct br_state_table *table, struct br_slice first, struct br_slice last,
                                     struct br_error *error) BR_MUST_CHECK;

// Ascending over first <= key < last (last.len 0: to the table's end). Keys come without the table prefix. The table
// must not be changed while the iterator is open. Slices are valid until the next step; values are aligned to 8 bytes.
enum br_status br_state_scan(struct br_state_table *table, struct br_slice first, struct br_slice last,
                             struct br_state_iterator **ret_iterator, struct br_error *error) BR_MUST_CHECK;
bool br_state_iterator_next(struct br_state_iterator *iterator, struct br_slice *ret_key, struct br_slice *ret_value);
enum br_status br_state_iterator_status(const struct br_state_iterator *iterator, struct br_error *error) BR_MUST_CHECK;
void br_state_iterator_destroy(struct br_state_iterator **iterator);

// The small facts that go with the state (table number 0): plan hash, lineage, position vector, epoch. Written with the
// next flush.
enum br_status br_state_meta_get(struct br_state *state, const char *name, struct br_buffer *value, bool *ret_found,
                                 struct br_error *error) BR_MUST_CHECK;
void br_state_meta_put(struct br_state *state, const char *name, struct br_slice value);

// Ends the epoch: eviction (S4); entry pointers die (S1).
void br_state_end_epoch(struct br_state *state);
bool br_state_wants_flush(const struct br_state *state);
// Writes every dirty entry, pending range tombstones, changed meta facts and `epoch` in one store batch. Call between
// epochs only.
enum br_status br_state_flush(struct br_state *state, uint64_t epoch, struct br_error *error) BR_MUST_CHECK;
// The epoch of the last flush; 0 for an empty state.
uint64_t br_state_flushed_epoch(const struct br_state *state);

struct br_state_usage {
    uint64_t hot_bytes, hot_entries, dirty_bytes, budget_bytes;
    uint64_t store_memory_bytes, store_disk_bytes;
    uint64_t hits, misses, evictions, flushes;
};
void br_state_usage(struct br_state *state, struct br_state_usage *ret_usage);
struct br_store *br_state_store(struct br_state *state);

#endif
