// SPDX-License-Identifier: Apache-2.0
// The chain of a store's flushes, by which a flush that is missing is seen though later ones are there (proof.h, P1).
//
// Each flush writes one link under CHAIN_KEY, in the same atomic write as its rows: a merge operand that says which
// flush it is and which one it follows. RocksDB joins operands wherever they meet, in a memtable, a file or a read;
// links that don't fit leave a hole in what they are joined to, for good. So one read of one key tells whether all
// flushes from the first to the last are there, however many there were, in whatever file or WAL each of them lay.
#ifndef BR_STATE_CHAIN_H
#define BR_STATE_CHAIN_H

#include "base/bytes.h"

#include <rocksdb/c.h>

// Before all other keys (table 0's begin with two zeros and a letter): a file's range of keys is none the wider for it.
#define CHAIN_KEY "\0\0\0"
#define CHAIN_KEY_LEN 3
#define CHAIN_LINK_BYTES 40

// Flushes first..last, joined. first 0: none. `from` is what the flush before the first one gave (0 before flush 1),
// `to` what the last one gives. hole: the flush that is missing, or isn't the one that the next one follows; 0: none.
struct chain_link {
    uint64_t first, last, from, to, hole;
};

// The link of the flush after `last` of a store that was opened under this random number: two histories that part, as
// those of a store and of its copy do, have different links from there on.
struct chain_link chain_next(const struct chain_link *last, uint64_t opening);
// Joining is associative: RocksDB may join any neighbours first.
struct chain_link chain_join(const struct chain_link *earlier, const struct chain_link *later);

void chain_encode(const struct chain_link *link, uint8_t *bytes);
// False when these are no link's bytes.
bool chain_decode(struct br_slice bytes, struct chain_link *ret_link);

// Goes to rocksdb_options_set_merge_operator, which takes it.
rocksdb_mergeoperator_t *chain_merge_operator(void);

#endif
