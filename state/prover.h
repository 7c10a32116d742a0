// SPDX-License-Identifier: Apache-2.0
// Writes a store's PROOF beside its flushes (proof.h, P2), in a thread of its own: syncing files takes as long as the
// disk likes, and a flush shall not wait for it. A proof that isn't begun when the next flush comes is passed over for
// that one's.
#ifndef BR_STATE_PROVER_H
#define BR_STATE_PROVER_H

#include "state/proof.h"

#include <rocksdb/c.h>

struct prover;

// Writes a first proof at once, then starts the thread. Borrows the database until prover_stop.
enum br_status prover_start(rocksdb_t *db, const char *folder, const struct proof_mark *mark,
                            struct prover **ret_prover, struct br_error *error) BR_MUST_CHECK;
// The database holds this flush now. Never waits for the disk.
void prover_wants(struct prover *prover, const struct proof_mark *mark);
// BR_FATAL when a proof couldn't be written: why.
enum br_status prover_check(struct prover *prover, struct br_error *error) BR_MUST_CHECK;
// Waits until what is wanted is written (tests).
void prover_settle(struct prover *prover);
// The same, and ends the thread. NULL-safe.
void prover_stop(struct prover **prover);

#endif
