// SPDX-License-Identifier: Apache-2.0
// What a kind of store provides. store.c dispatches; callers' arguments are passed on as they are. Included in state/
// only.
#ifndef BR_STATE_STORE_INTERNAL_H
#define BR_STATE_STORE_INTERNAL_H

#include "state/store.h"

struct store_ops {
    void (*destroy)(struct br_store *store);
    enum br_status (*get_many)(struct br_store *store, const struct br_slice *keys, size_t count,
                               struct br_slice *ret_values, bool *ret_found, struct br_error *error);

    struct br_store_batch *(*batch_create)(struct br_store *store);
    void (*batch_destroy)(struct br_store_batch *batch);
    void (*batch_clear)(struct br_store_batch *batch);
    void (*batch_put)(struct br_store_batch *batch, struct br_slice key, struct br_slice value);
    void (*batch_delete)(struct br_store_batch *batch, struct br_slice key);
    void (*batch_delete_range)(struct br_store_batch *batch, struct br_slice first, struct br_slice last);
    size_t (*batch_size)(const struct br_store_batch *batch);
    enum br_status (*write)(struct br_store *store, struct br_store_batch *batch, struct br_error *error);

    // NULL: every run is a batch. May give *ret_run NULL: this one is better as a batch.
    enum br_status (*run_begin)(struct br_store *store, size_t expected_bytes, struct br_store_run **ret_run,
                                struct br_error *error);
    enum br_status (*run_delete_range)(struct br_store_run *run, struct br_slice first, struct br_slice last,
                                       struct br_error *error);
    enum br_status (*run_put)(struct br_store_run *run, struct br_slice key, struct br_slice value,
                              struct br_error *error);
    enum br_status (*run_delete)(struct br_store_run *run, struct br_slice key, struct br_error *error);
    enum br_status (*run_commit)(struct br_store_run *run, struct br_error *error);
    void (*run_destroy)(struct br_store_run *run);

    enum br_status (*scan)(struct br_store *store, struct br_slice first, struct br_slice last,
                           struct br_store_iterator **ret_iterator, struct br_error *error);
    bool (*iterator_next)(struct br_store_iterator *iterator, struct br_slice *ret_key, struct br_slice *ret_value);
    enum br_status (*iterator_status)(const struct br_store_iterator *iterator, struct br_error *error);
    void (*iterator_destroy)(struct br_store_iterator *iterator);

    enum br_status (*last_key)(struct br_store *store, struct br_slice first, struct br_slice last,
                               struct br_buffer *key, bool *ret_found, struct br_error *error);
    enum br_status (*checkpoint)(struct br_store *store, const char *path, struct br_error *error);
    void (*usage)(struct br_store *store, uint64_t *ret_memory, uint64_t *ret_disk);
    // NULL: there is nothing to find, nothing to note.
    enum br_status (*check)(struct br_store *store, struct br_error *error);
    void (*note)(struct br_store *store, uint64_t epoch, uint64_t digest);
};

// First member of each kind's own structs.
struct br_store {
    const struct store_ops *ops;
};
struct br_store_batch {
    struct br_store *store;
};
struct br_store_iterator {
    struct br_store *store;
};
struct br_store_run {
    struct br_store *store;
    struct br_store_batch *batch; // not NULL: the run is this batch
};

// mkdir -p; names the folder in the error.
enum br_status store_make_folder(const char *path, struct br_error *error) BR_MUST_CHECK;
// Holds the folder for this process and task until it is unlocked: BR_FATAL with BR_STORE_IN_USE when another does.
// Where the file system knows no such locks there is RocksDB's own.
enum br_status store_lock(const char *path, int *ret_lock, struct br_error *error) BR_MUST_CHECK;
void store_unlock(int *lock); // -1: nothing to do
// Runs of at least this many bytes become files (RocksDB stores; tests set it low).
void store_rocksdb_set_run_bytes_min(struct br_store *store, size_t bytes);

#endif
