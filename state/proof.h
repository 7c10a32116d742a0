// SPDX-License-Identifier: Apache-2.0
// The proof of a store's folder: that what RocksDB finds there is what was written, all of it, and of one moment.
//
// RocksDB checks the bytes of what it reads, but not that these files belong together. A folder that was copied file by
// file while it was written to, a MANIFEST that lost its last records, a CURRENT of last week, a WAL that is gone: each
// opens without a word and gives rows that never were together. So a store in RocksDB keeps two things of its own:
//
// P1. The chain (chain.h). A flush is one atomic write, and holds a link to the flush before it. What opens has every
//     flush from the first to its last, or the chain has a hole.
// P2. The file PROOF (docs/formats/proof.md). It names a flush that is in the folder: its number and link, the epoch
//     and digest it was made at, RocksDB's sequence number; the MANIFEST with its length and checksum; every live SST
//     with its size and the checksum of its end. It is written beside the flushes (prover.h), once WAL and MANIFEST are
//     synced, to another name, synced and renamed: it never names what a loss of power could take.
// P3. So PROOF may be older than the rest, by as much as a killed process had done since; all it says is "at least
//     this". A kill at any moment leaves a folder that passes.
// P4. Before RocksDB opens the folder: CURRENT names the MANIFEST of PROOF, which begins with the bytes named, or a
//     later one (a process that was killed while it opened the folder leaves it so); every SST named that is there is
//     what it was. MANIFESTs only grow and each begins with all files that are live, SSTs never change: what is live
//     now came from what was live then, by flushes, compactions and the WAL's recovery, and by nothing else.
// P5. Once it is open, before it is used: the chain has no hole and begins with flush 1; its last flush is that of
//     PROOF or a later one, and has PROOF's link if it is the same; the sequence number isn't lower.
// P6. What RocksDB proves itself: each record of WAL and MANIFEST by CRC (a file cut between two records is what P1 and
//     P4 are for), at opening that each live SST is there, has its size and is the one that the MANIFEST means (unique
//     id: a file of the same name from another history isn't), and each block's checksum whenever it is read.
// P7. A folder without PROOF is one of a version before it, if it has no chain either. PROOF is written when a folder
//     is first opened, before the first flush: later on, a folder without it is damaged.
// P8. Damage that is found, at opening or while a store is in use, is written to the file DAMAGED: the folder isn't
//     opened again, whatever becomes of whoever found it.
// P9. Whether the log has that epoch with that digest, recovery asks (X9).
//
//   what is damaged                                  seen by
//   MANIFEST cut, or of an earlier moment            P4; if it is a later one than PROOF's: P1, a missing SST
//   CURRENT of an earlier moment, or gone            P4
//   WAL cut, or gone, or with a hole                 P5 (its end), P1 (not its end)
//   SST gone, cut, or another one                    P4 and P6
//   a block of an SST                                P6, when it is read; `braid verify --state` reads them all
//   files of different moments                       any of these, or they happen to be whole
//   files of different histories                     P1 (links), P4, P6 (unique ids)
//   PROOF                                            its own checksum, P7
//   LOG, OPTIONS, IDENTITY, LOCK                     nothing depends on them
//
// What is damaged is never repaired: it is set aside, and rebuilt from the log. A folder that can't be read
// (permission, too many open files, the disk's own errors) or written (full) isn't damaged: these are errors of their
// own.
#ifndef BR_STATE_PROOF_H
#define BR_STATE_PROOF_H

#include "base/bytes.h"

#define PROOF_NAME "PROOF"
#define PROOF_NAME_MAX 40 // of a file that RocksDB made

struct proof_file {
    char name[PROOF_NAME_MAX];
    uint64_t size, checksum;
};

struct proof_mark {
    uint64_t flush, link;   // of the last flush; 0: there was none
    uint64_t epoch, digest; // it was made at; 0: unknown
    uint64_t sequence;      // RocksDB's
};

struct proof {
    struct proof_mark mark;
    struct proof_file manifest; // checksum: of its first `size` bytes
    struct proof_file *files;   // ascending by name; checksum: of the end
    size_t file_count, file_capacity;
};

void proof_free(struct proof *proof);
void proof_add(struct proof *proof, const char *name, uint64_t size, uint64_t checksum);
void proof_sort(struct proof *proof); // after the last proof_add
const struct proof_file *proof_find(const struct proof *proof, const char *name);

void proof_format(const struct proof *proof, struct br_buffer *text);
// Any bytes. False: not a proof that proof_format wrote, to the last byte.
bool proof_parse(struct br_slice text, struct proof *ret_proof);

// P2: replaces the folder's PROOF.
enum br_status proof_write(const char *folder, const struct proof *proof, struct br_error *error) BR_MUST_CHECK;
// *ret_found false: there is none. BR_FATAL with error->native BR_STORE_DAMAGED when it is no proof, or when the folder
// says that it is damaged (P8).
enum br_status proof_read(const char *folder, struct proof *ret_proof, bool *ret_found, struct br_error *error)
    BR_MUST_CHECK;
// P4. proof NULL: there is none. BR_FATAL with BR_STORE_DAMAGED when the files aren't those.
enum br_status proof_check_files(const char *folder, const struct proof *proof, struct br_error *error) BR_MUST_CHECK;
// Names the files of a folder that nobody writes to (a checkpoint): its MANIFEST and all its SSTs.
enum br_status proof_name_files(const char *folder, struct proof *proof, struct br_error *error) BR_MUST_CHECK;
// P8. What can't be written is left: then the damage is found again.
void proof_mark_damaged(const char *folder, const char *why);

// The name of the folder's MANIFEST, as CURRENT has it. False: CURRENT is missing (errno ENOENT), can't be read (errno
// says why), or holds something else (errno 0).
bool proof_current(const char *folder, char name[PROOF_NAME_MAX]);
// The size of a file, and the checksum of its end (of all of it, when it is short). False: errno says why.
bool proof_sum_end(const char *folder, const char *name, uint64_t *ret_size, uint64_t *ret_checksum);

#endif
