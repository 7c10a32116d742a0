// SPDX-License-Identifier: Apache-2.0
// What subscribers know: the messages of a pipeline's views, from the first epoch on, folded into rows. So a lineage
// can take the outputs over from one whose state can't be computed here (processor/semantics.h): what was published is
// on the log, and is all that corrections have to turn into something else.
//
// F1. What was published is the batches of the owner's commits, and nothing else that stands on the views' subjects. It
//     goes on over takeovers; a view that another plan publishes otherwise begins anew with that plan's takeover, which
//     gives all its rows.
// F2. An epoch is proven: its messages must give each view's digest as the commit has it (X11, X12), over the rows that
//     the fold had before; a takeover's must be as many as it says. Nothing of this computes any operator.
// F3. A view for which that fails, or of which commits are missing, has a gap: messages were deleted, by a ttl, a limit
//     or a purge, or never fitted. Its rows are what is left of it, and br_published_gap says why.
// F4. Views that keep no rows aren't folded: nothing is ever corrected in them.
//
// Not thread-safe; br_published_scan may be called from another thread while the caller waits for it.
#ifndef BR_REPLAY_PUBLISHED_H
#define BR_REPLAY_PUBLISHED_H

#include "processor/log/log.h"
#include "processor/operators/graph.h"

struct br_published;

struct br_published_options {
    struct br_log *log;                 // borrowed, as all pointers here
    const struct br_pipeline *pipeline; // that is published in the end
    // The pipeline of a former plan (*ret_owned: the caller's to destroy, NULL when it is borrowed); *ret_pipeline
    // NULL: its text is gone.
    enum br_status (*load)(void *context, uint64_t plan_hash, struct br_pipeline **ret_owned,
                           const struct br_pipeline **ret_pipeline, struct br_error *error);
    void *load_context;
    struct br_store *take_store; // empty: where the rows go
    size_t budget_bytes;
    // Told of every change of what is known, once br_published_report is called. NULL: nobody is.
    enum br_status (*changes)(void *context, const struct br_view *view, const struct br_change *changes, size_t count,
                              struct br_error *error);
    void *changes_context;
    enum br_status (*tick)(void *context, struct br_error *error); // while it reads; NULL: not
    void *tick_context;
    const struct br_flag *stop; // once set: BR_RETRY; NULL: never
};

enum br_status br_published_create(const struct br_published_options *options, struct br_published **ret_published,
                                   struct br_error *error) BR_MUST_CHECK;
void br_published_destroy(struct br_published **published);
// Reads on, up to the commit at this sequence. BR_FATAL: it isn't there.
enum br_status br_published_follow(struct br_published *published, uint64_t sequence, struct br_error *error)
    BR_MUST_CHECK;
// Is what was published last this epoch of this lineage, by the pipeline of the options? Before a lineage owned the
// outputs nothing was.
bool br_published_stands_at(const struct br_published *published, const char *lineage, uint64_t epoch);
// From now on changes are told.
void br_published_report(struct br_published *published);
// Why the rows of a view (by index in the pipeline) aren't all that subscribers may know; NULL: they are.
const char *br_published_gap(const struct br_published *published, uint32_t view);
// As br_graph_scan.
enum br_status br_published_scan(struct br_published *published, uint32_t view, br_graph_each each, void *context,
                                 struct br_error *error) BR_MUST_CHECK;

#endif
