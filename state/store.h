// SPDX-License-Identifier: Apache-2.0
// A store: ordered bytes → bytes, written in atomic batches. One per task and lineage. RocksDB is one implementation, a
// sorted map in memory the other (simulator, `braid test`, ad-hoc queries).
//
// What is durable: a batch is applied whole or not at all, in order; no call waits for an fsync (correctness comes from
// the log, see docs/exactly-once.md). A crash of the process keeps what was written; a crash of the machine may lose a
// suffix of batches, never a part of one and never one before another. What is opened is what was written, or isn't
// opened: proof.h. Not thread-safe.
#ifndef BR_STATE_STORE_H
#define BR_STATE_STORE_H

#include "base/bytes.h"

struct br_store;
struct br_store_batch;
struct br_store_iterator;

// error->native of a BR_FATAL. BR_STORE_IN_USE: another process or task has the folder open. BR_STORE_DAMAGED: what is
// in it isn't what was written, as far as that shows now. A damaged store can't be used any more: set its folder aside,
// the log has it all. Any call on a store may find damage; br_store_check tells it again. Opens or creates the database
// in the folder `path` (made when missing, its parents too). BR_FATAL when it is in use or damaged (see above), when it
// can't be read or written, or when the disk is full: each in words of its own. cache_bytes bounds RocksDB's block
// cache and memtables together.
enum br_status br_store_open_rocksdb(const char *path, size_t cache_bytes, struct br_store **ret_store,
                                     struct br_error *error) BR_MUST_CHECK;
// The same for what is removed after use: nothing proves it when it is opened again.
enum br_status br_store_open_scratch(const char *path, size_t cache_bytes, struct br_store **ret_store,
                                     struct br_error *error) BR_MUST_CHECK;
// Opens a folder to read all of it, also while a worker uses it: changes nothing, takes no lock; writes fail.
// BR_STORE_DAMAGED as above.
struct br_store_reading {
    bool has_proof;               // false: the folder is one of a version before PROOF
    uint64_t flush, proven_flush; // the last one that is there, the one that PROOF names
    uint64_t files, bytes;        // br_store_read_all: SSTs
};
enum br_status br_store_open_to_read(const char *path, struct br_store **ret_store,
                                     struct br_store_reading *ret_reading, struct br_error *error) BR_MUST_CHECK;
// Reads every file of such a store to the end; its checksums are compared. BR_RETRY: *stop was set (NULL: never is).
enum br_status br_store_read_all(struct br_store *store, const struct br_flag *stop, struct br_store_reading *reading,
                                 struct br_error *error) BR_MUST_CHECK;
struct br_store *br_store_create_memory(void);
// Another handle on a memory store: it lives until every handle is destroyed. What a crashed task has written is found
// again through it.
struct br_store *br_store_share_memory(struct br_store *store);
// Flushes nothing: what was written is in the store's files (or gone, for memory).
void br_store_destroy(struct br_store **store);
// Removes the folder of a closed RocksDB store with all that is in it; fine when there is none. It must lie below the
// folder `below` (NULL: right in its parent), to which links may lead; further down none is followed, and no part may
// be
// "..": else BR_FATAL, and nothing is removed. The only way in which folders are removed (remove.c). `set_aside`
// renames it to PATH.aside-<n> instead and tells the new name (BR_STORE_IN_USE when somebody has opened it).
enum br_status br_store_remove(const char *below, const char *path, struct br_error *error) BR_MUST_CHECK;
enum br_status br_store_set_aside(const char *path, char *ret_new_path, size_t size, struct br_error *error)
    BR_MUST_CHECK;

// The value is appended to *value when found.
enum br_status br_store_get(struct br_store *store, struct br_slice key, struct br_buffer *value, bool *ret_found,
                            struct br_error *error) BR_MUST_CHECK;
// Many point reads at once (RocksDB MultiGet): found[i] tells; values[i] borrowed from arena-like memory of the store,
// valid until the next call on the store.
enum br_status br_store_get_many(struct br_store *store, const struct br_slice *keys, size_t count,
                                 struct br_slice *ret_values, bool *ret_found, struct br_error *error) BR_MUST_CHECK;

struct br_store_batch *br_store_batch_create(struct br_store *store);
void br_store_batch_destroy(struct br_store_batch **batch);
void br_store_batch_clear(struct br_store_batch *batch);
void br_store_batch_put(struct br_store_batch *batch, struct br_slice key, struct br_slice value);
void br_store_batch_delete(struct br_store_batch *batch, struct br_slice key);
// Deletes first <= key < last.
void br_store_batch_delete_range(struct br_store_batch *batch, struct br_slice first, struct br_slice last);
size_t br_store_batch_size(const struct br_store_batch *batch);
enum br_status br_store_write(struct br_store *store, struct br_store_batch *batch, struct br_error *error)
    BR_MUST_CHECK;

// A run: one large atomic write whose keys come in strictly ascending order (a flush of state tables). What RocksDB
// does with it is its affair: a small one goes through the WAL and the memtable, a large one becomes a file of its own
// that is taken in whole, so that it needs neither a copy of itself in memory nor a memtable. Range deletes come before
// the first put or delete and apply to what was in the store before the run. Nothing is written before commit; a run
// that is destroyed without it never was. expected_bytes: keys and values together, an estimate.
struct br_store_run;
enum br_status br_store_run_begin(struct br_store *store, size_t expected_bytes, struct br_store_run **ret_run,
                                  struct br_error *error) BR_MUST_CHECK;
enum br_status br_store_run_delete_range(struct br_store_run *run, struct br_slice first, struct br_slice last,
                                         struct br_error *error) BR_MUST_CHECK;
enum br_status br_store_run_put(struct br_store_run *run, struct br_slice key, struct br_slice value,
                                struct br_error *error) BR_MUST_CHECK;
enum br_status br_store_run_delete(struct br_store_run *run, struct br_slice key, struct br_error *error) BR_MUST_CHECK;
enum br_status br_store_run_commit(struct br_store_run *run, struct br_error *error) BR_MUST_CHECK;
void br_store_run_destroy(struct br_store_run **run);

// Ascending over first <= key < last (last.len 0: to the end), as of the moment of creation (a memory store must not be
// written while an iterator is open). key and value are valid until the next step.
enum br_status br_store_scan(struct br_store *store, struct br_slice first, struct br_slice last,
                             struct br_store_iterator **ret_iterator, struct br_error *error) BR_MUST_CHECK;
bool br_store_iterator_next(struct br_store_iterator *iterator, struct br_slice *ret_key, struct br_slice *ret_value);
// BR_FATAL when the scan ended early because of a read error.
enum br_status br_store_iterator_status(const struct br_store_iterator *iterator, struct br_error *error) BR_MUST_CHECK;
void br_store_iterator_destroy(struct br_store_iterator **iterator);

// The largest key in first <= key < last (last.len not 0), appended to *key when there is one.
enum br_status br_store_last_key(struct br_store *store, struct br_slice first, struct br_slice last,
                                 struct br_buffer *key, bool *ret_found, struct br_error *error) BR_MUST_CHECK;

// Has another process the store in this folder open?
bool br_store_is_open_elsewhere(const char *path);
// A consistent copy of the store as it is now, in a new folder (RocksDB checkpoint: hard links). Memory stores refuse
// with BR_FATAL.
enum br_status br_store_checkpoint(struct br_store *store, const char *path, struct br_error *error) BR_MUST_CHECK;
// BR_FATAL with BR_STORE_DAMAGED when an earlier call has found damage, whoever was told of it.
enum br_status br_store_check(struct br_store *store, struct br_error *error) BR_MUST_CHECK;
// What the writes from now on are: the state at the end of this epoch, which has this digest. For the store's proof.
void br_store_note(struct br_store *store, uint64_t epoch, uint64_t digest);
// Bytes of memory held (block cache, memtables, map) and bytes on disk; for status.
void br_store_usage(struct br_store *store, uint64_t *ret_memory, uint64_t *ret_disk);

#endif
