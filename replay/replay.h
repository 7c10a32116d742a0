// SPDX-License-Identifier: Apache-2.0
// A replay under way: a lineage of its own that repeats the epochs of another one (its base) with a pipeline of its
// own, beside it the shadow, a verified copy of the base's state at the same position; and the step by which the
// lineage takes the outputs over. docs/adr/0003-history.md tells why.
//
//   br_replay_create     the lineage as far as its commits go (nothing of it yet: it begins)
//   br_replay_step       one epoch
//   br_replay_add_shadow from here on the shadow keeps step; where this build can't compute the base's lineage,
//   br_replay_add_published does for it: what was published keeps step
//   br_replay_align      both at the same epoch: sleeping views are given the shadow's state, and what differs is known
//                        from now on (br_replay_difference)
//   br_replay_promote    the takeover, when there is nothing left to repeat
//
// One thread. A rollback is a replay whose lineage is the former owner's: it goes on where it was taken over from.
#ifndef BR_REPLAY_REPLAY_H
#define BR_REPLAY_REPLAY_H

#include "processor/task.h"
#include "replay/differences.h"

struct br_replay;

// Opens the store of the replay's lineage or of the shadow (see br_task_options.open_store).
typedef enum br_status (*br_open_store)(void *context, bool set_aside, struct br_store **ret_store,
                                        struct br_error *error);

struct br_replay_options {
    const struct br_pipeline *pipeline;      // borrowed, as all pointers here
    const struct br_pipeline *base_pipeline; // of the lineage that it repeats
    const char *lineage, *base_lineage;
    struct br_log *log;
    struct br_control *control; // asks the owner to wait; NULL: nobody is asked
    const struct br_clock *clock;
    const char *worker;
    br_open_store open_store;
    void *store_context;
    br_open_input open_input;                 // NULL: streams only
    void *input_context, *base_input_context; // for the tables of the pipeline, and for those of the base's
    const uint64_t *prehistory, *begin;       // by table; NULL: none, from the beginning
    const bool *asleep;                       // by view: of a lineage that begins (br_task_options.asleep); NULL: none
    // br_task_options.graft, for the lineage's task and for the shadow's.
    enum br_status (*graft)(void *context, struct br_task *task, struct br_error *error);
    void *graft_context;
    bool fresh_epochs; // choose the ends of epochs oneself up to the base's last epoch; then repeat
    // With fresh epochs: a stream isn't what the base read of it any more. Nothing that it did is repeated; what the
    // streams hold is read, no further than the base was, and taken over from where that one stands.
    bool anew;
    const char *publish_as;
    // Up to the base's epoch include_until, the end of the slice (0: of none), and in the epochs of its own before the
    // base's: late events are taken in (watermarks stand still, and move at that epoch's end: then windows close, and
    // views with emit = final give their rows); quarantined ones are (gate.h, G4). What comes later is treated as ever.
    bool include_late, include_quarantine;
    uint64_t include_until;
    // What the base chose for its epochs is chosen again: watermarks that stood stand, and go where they went.
    bool as_chosen;
    size_t state_budget_bytes;
    int64_t flush_interval_us;
    uint32_t epoch_messages;
    const struct br_flag *stop;
    enum br_status (*tick)(void *context, struct br_error *error); // br_compare_options.tick
    void *tick_context;
};

enum br_status br_replay_create(const struct br_replay_options *options, struct br_replay **ret_replay,
                                struct br_error *error) BR_MUST_CHECK;
void br_replay_destroy(struct br_replay **replay);

enum br_replay_progress {
    BR_REPLAY_WORKED,
    BR_REPLAY_WAITING, // no further epoch of the base is at hand: br_log_wait
    BR_REPLAY_REACHED, // the target
};
// The base's epoch at which br_replay_step stops; UINT64_MAX: none.
void br_replay_set_target(struct br_replay *replay, uint64_t base_epoch);
enum br_status br_replay_step(struct br_replay *replay, enum br_replay_progress *ret_progress, struct br_error *error)
    BR_MUST_CHECK;
// The base's epoch that was repeated last; 0: none yet.
uint64_t br_replay_follows(const struct br_replay *replay);
struct br_task *br_replay_task(struct br_replay *replay);
struct br_task *br_replay_shadow(struct br_replay *replay); // NULL: none

// The shadow's state is what the store holds (a checkpoint of the base's, or nothing: then it follows from the first
// commit).
enum br_status br_replay_add_shadow(struct br_replay *replay, br_open_store open_store, void *context,
                                    struct br_error *error) BR_MUST_CHECK;
// Takes it. Sleeping views can't be given their state then: BR_FATAL when it comes to that.
void br_replay_add_published(struct br_replay *replay, struct br_published *take_published);
// For br_published_options.changes; context: the replay.
enum br_status br_replay_published_changes(void *replay, const struct br_view *view, const struct br_change *changes,
                                           size_t count, struct br_error *error) BR_MUST_CHECK;
struct br_published *br_replay_published(struct br_replay *replay); // NULL: none
// *ret_aligned false: step on (when the shadow is ahead), or call again (one epoch of the shadow was done).
enum br_status br_replay_align(struct br_replay *replay, bool *ret_aligned, struct br_error *error) BR_MUST_CHECK;
// NULL until it is aligned.
struct br_differences *br_replay_differences(struct br_replay *replay);

struct br_promotion {
    const char *reason;
    bool rollback;
    uint64_t max_changed; // refuse when more rows differ; 0: no bound
    int64_t hold_us;      // how long the owner is asked to wait
};
// BR_DATA in words: aligned, and more rows differ than are allowed, or nobody can tell what differs.
enum br_status br_replay_check_changed(const struct br_replay *replay, uint64_t max_changed, struct br_error *error)
    BR_MUST_CHECK;
enum br_promoted { BR_PROMOTED, BR_PROMOTE_AGAIN, BR_PROMOTE_REFUSED };
// When aligned and BR_REPLAY_WAITING. BR_PROMOTE_AGAIN: the owner has gone on, or there is an epoch to repeat first.
// BR_PROMOTE_REFUSED: by a gate, which `error` words; nothing was done. Promoted: the task is the owner of the outputs
// and may be stepped on by br_task_step.
enum br_status br_replay_promote(struct br_replay *replay, const struct br_promotion *promotion,
                                 enum br_promoted *ret_promoted, struct br_error *error) BR_MUST_CHECK;
// What a task holds now.
struct br_lineage_state br_replay_state_of(struct br_task *task, const struct br_pipeline *pipeline);
// The same of what was published of a pipeline.
struct br_lineage_state br_replay_published_state(struct br_published *published, const struct br_pipeline *pipeline);
// A takeover whose later parts were not sent (br_task_unfinished_takeover of a recovered owner): sends them. `former`:
// its from_lineage at its from_epoch, or what that one had published by then. The task is given, and stays the
// caller's.
enum br_status br_replay_finish_takeover(struct br_task *task, const struct br_lineage_state *former,
                                         const struct br_pipeline *pipeline, struct br_error *error) BR_MUST_CHECK;
// Moves the task out (after a promotion: it is the live one now).
struct br_task *br_replay_take_task(struct br_replay *replay);

#endif
