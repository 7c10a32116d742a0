// SPDX-License-Identifier: Apache-2.0
// What store_rocksdb.c, store_rocksdb_open.c and prover.c share, and tests.
#ifndef BR_STATE_STORE_ROCKSDB_INTERNAL_H
#define BR_STATE_STORE_ROCKSDB_INTERNAL_H

#include "state/chain.h"
#include "state/proof.h"
#include "state/store_internal.h"

struct rocksdb_store {
    struct br_store base;
    char *path;
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_cache_t *cache;
    rocksdb_column_family_handle_t *family;
    rocksdb_readoptions_t *read_options;
    rocksdb_writeoptions_t *write_options;
    rocksdb_flushoptions_t *flush_options;
    rocksdb_envoptions_t *env_options;
    rocksdb_ingestexternalfileoptions_t *ingest_options;
    struct br_buffer values; // of the last get_many
    size_t run_bytes_min;
    bool has_ranges;         // range deletes, maybe
    uint64_t runs;           // numbers the files of runs
    int lock;                // -1: none
    struct prover *prover;   // NULL: a scratch store
    struct proof_mark mark;  // what is in the store
    uint64_t opening;        // chain_next
    struct br_error *damage; // what was found; NULL: nothing
};

extern const struct store_ops store_rocksdb_ops;

// Turns RocksDB's message (freed here) into ours: BR_FATAL, with BR_STORE_IN_USE or BR_STORE_DAMAGED when it is that.
// `doing` says what we were at.
enum br_status store_rocksdb_error(const char *path, const char *doing, char *take_native, struct br_error *error);
// Works half-opened.
void store_rocksdb_destroy(struct br_store *store);
enum br_status store_rocksdb_clear_runs(const struct rocksdb_store *store, struct br_error *error) BR_MUST_CHECK;
// Waits until PROOF names the last flush (tests).
void store_rocksdb_settle(struct br_store *store);

#endif
