// SPDX-License-Identifier: Apache-2.0
// What store_rocksdb.c shares with prover.c and store_check.c, and with tests.
#ifndef BR_STATE_STORE_ROCKSDB_INTERNAL_H
#define BR_STATE_STORE_ROCKSDB_INTERNAL_H

#include "state/chain.h"
#include "state/proof.h"
#include "state/store_internal.h"

// Turns RocksDB's message (freed here) into ours: BR_FATAL, with BR_STORE_IN_USE or BR_STORE_DAMAGED when it is that.
// `doing` says what we were at.
enum br_status store_rocksdb_error(const char *path, const char *doing, char *take_native, struct br_error *error);
// The options of a store: what is read under others could differ.
rocksdb_options_t *store_rocksdb_options(size_t memtable_bytes, rocksdb_cache_t *cache);

// P5. proof NULL: there is none. *ret_mark: what is there.
enum br_status store_rocksdb_check_open(rocksdb_t *db, rocksdb_column_family_handle_t *family, const char *path,
                                        const struct proof *proof, struct proof_mark *ret_mark, struct br_error *error)
    BR_MUST_CHECK;

// Waits until PROOF names the last flush.
void store_rocksdb_settle(struct br_store *store);

#endif
