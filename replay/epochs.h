// SPDX-License-Identifier: Apache-2.0
// The recorded epochs of the lineage that owns a pipeline's outputs: its commits, found by what they say.
//
// A lineage commits on its own subject, braid.<p>.commit.<lineage>.0, until it owns the outputs, and on the owner's,
// braid.<p>.commit.0, while it does. Over both, epochs and positions only go up with the stream's sequences: so a
// commit is found by halving, in some thirty reads, however many there are. Whoever takes the outputs over commits on
// its own subject in the same batch first: after other lineages' commits on the owner's subject, this lineage's next
// commit is on its own one.
#ifndef BR_REPLAY_EPOCHS_H
#define BR_REPLAY_EPOCHS_H

#include "base/arena.h"
#include "braid/v1/commit.pb-c.h"
#include "processor/log/log.h"

struct br_epochs;

// A commit and the sequence of its message; the arena of whoever asked.
struct br_epoch_commit {
    Braid__V1__Commit *commit;
    uint64_t sequence;
};

// *ret_epochs NULL: nobody has committed yet. BR_FATAL when the pipeline has no output stream.
enum br_status br_epochs_open(struct br_log *log, const char *pipeline, struct br_epochs **ret_epochs,
                              struct br_error *error) BR_MUST_CHECK;
void br_epochs_close(struct br_epochs **epochs);
const char *br_epochs_lineage(const struct br_epochs *epochs);
// As of br_epochs_open. An epoch of which only the first parts are there counts: its input is decided.
const Braid__V1__Commit *br_epochs_last(const struct br_epochs *epochs);
// The first that is still there: not epoch 1 when early commits have expired.
enum br_status br_epochs_first(struct br_epochs *epochs, struct br_arena *arena, struct br_epoch_commit *ret_commit,
                               struct br_error *error) BR_MUST_CHECK;
// The first commit that `holds` for; once it holds, it must hold for all later ones. *ret_found false: not even for the
// last.
enum br_status br_epochs_find(struct br_epochs *epochs,
                              bool (*holds)(const void *context, const Braid__V1__Commit *commit), const void *context,
                              struct br_arena *arena, struct br_epoch_commit *ret_commit, bool *ret_found,
                              struct br_error *error) BR_MUST_CHECK;
// A table's position in a commit; NULL: the lineage knows no such table.
const Braid__V1__InputPosition *br_epoch_position(const Braid__V1__Commit *commit, const char *table);

#endif
