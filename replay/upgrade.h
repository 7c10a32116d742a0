// SPDX-License-Identifier: Apache-2.0
// What a changed pipeline means for each view: keep its state, or rebuild it, and why; in words for people.
//
// U1. A view is kept when its plan, from the tables' gates up to its rows, is the same: equal likeness (plan.h), and
// the
//     enums that it reads have the values that they had, at least. Then the old state is the new one's, whatever else
//     stands in the file. What is only about messages (subject, format, layout, ttl, names of columns) keeps the rows:
//     `messages_change` says so.
// U2. Views are told apart by their names: a view under another name is a new one.
// U3. A view that is kept takes its state over, from the lineage that runs the old pipeline (br_task_graft), unless it
//     shares stored rows with one that is computed anew: then it is computed with that one, and comes to the same. Rows
//     of a table may be shared, unless an event may be read otherwise now (an enum has further values).
// U4. The reasons are found by looking, the verdict isn't: a reason may be missing or one too many, a verdict never
//     wrong.
// U5. A field number (or an enum value's) that doesn't mean what it did is a move: whoever has the former schema reads
//     one column as another, and so does the new pipeline with old events. Moves are told of messages that are derived
//     from columns, but for those of views that are JSON, and of columns that are read from messages of the user's own.
#ifndef BR_REPLAY_UPGRADE_H
#define BR_REPLAY_UPGRADE_H

#include "processor/sql/plan.h"

enum br_upgrade_verdict { BR_UPGRADE_KEEP, BR_UPGRADE_REBUILD, BR_UPGRADE_NEW, BR_UPGRADE_REMOVED };

struct br_upgrade_view {
    const char *view;
    enum br_upgrade_verdict verdict;
    const char *why;                      // "" when there is nothing to say
    const struct br_view *before, *after; // NULL: new, removed
    const char *const *reads;             // tables whose history a rebuild (or a new view) reads
    uint32_t read_count;
    bool takes_state;     // kept, and U3
    const char *again;    // why a view that is kept is computed all the same; "": it isn't
    bool messages_change; // other messages for the same rows: subscribers notice
    bool only_functions;  // rebuilt because of functions or casts alone
    bool more_labels;     // kept, and an enum (or oneof) that it reads has values (members) which it hadn't
};

// U5
struct br_field_move {
    const char *message; // full name
    const char *text;    // field 4 "email" of shop.contacts was 3
    bool derived;        // from columns: a lock keeps the number; else the user's .proto says it
};

struct br_upgrade {
    const struct br_pipeline *before, *after; // borrowed, as long as this lives
    struct br_upgrade_view *views;            // in the order of the new file, removed ones last
    uint32_t view_count;
    uint32_t counts[4]; // by verdict
    struct br_field_move *moves;
    uint32_t move_count, move_capacity;
    bool *grown; // tables (by index in `after`) whose stored rows may have labels that they hadn't
    struct br_arena *arena;
};

struct br_upgrade *br_upgrade_compare(const struct br_pipeline *before, const struct br_pipeline *after);
// Decides U3 again: views over these tables (by index in `after`; NULL: none) are computed anew, because of `why`.
void br_upgrade_settle(struct br_upgrade *upgrade, const bool *anew, const char *why);
// Tables (by index in `after`) that only views read which take their state over.
void br_upgrade_sleeping(const struct br_upgrade *upgrade, bool *ret_tables);
void br_upgrade_destroy(struct br_upgrade **upgrade);
const char *br_upgrade_verdict_name(enum br_upgrade_verdict verdict); // "keep", "rebuild", "new", "removed"
const struct br_upgrade_view *br_upgrade_find(const struct br_upgrade *upgrade, const char *view);
// What keeps numbers where they were, as sentences with commands: for moves, else nothing. path: of the new file;
// former: the old one's, NULL: it is the plan that runs, and connection the words that reach its server (" --server
// …").
void br_upgrade_mend(const struct br_upgrade *upgrade, const char *path, const char *former, struct br_slice connection,
                     struct br_buffer *out);
// BR_DATA with the moves and what mends them; BR_OK when there are none. made: a replay with that file is there.
enum br_status br_upgrade_check_moves(const struct br_upgrade *upgrade, const char *path, bool made,
                                      struct br_error *error) BR_MUST_CHECK;
// A table with one line a view, and a line that sums up; or one JSON object and a line end.
void br_upgrade_print(const struct br_upgrade *upgrade, bool json, struct br_buffer *out);

#endif
