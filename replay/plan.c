// SPDX-License-Identifier: Apache-2.0
// See plan.h: P1 to P4.
#include "replay/plan.h"
#include "processor/limits.h"
#include "processor/subject.h"
#include "replay/epochs.h"
#include "replay/moment.h"
#include "replay/plan_views.h"

#include <inttypes.h>

#define PLAN_HOLES_MAX 1000

// One input while it is planned. Sequences are the stream's own, but for those that say history.
struct input {
    const char *table;
    const char *filter;
    struct br_stream_info stream;
    struct br_history_facts facts;
    uint64_t base_first; // of the first message that the base lineage consumed; 0: not known
    uint64_t base_last;  // of the last one; 0: none
    uint64_t base_prehistory;
    bool in_base;
    bool replaces;        // P4: what is gone was replaced
    bool asleep;          // P5
    bool whole;           // with all of prehistory
    uint64_t first, last; // first: 0 with prehistory alone. last < first: nothing
    uint64_t history_first;
};

struct planner {
    const struct br_replay_plan_options *options;
    struct br_replay_plan *plan;
    struct br_epochs *epochs; // NULL: nothing recorded
    struct input *inputs;
    size_t count;
    struct br_moment from, to;
    bool repeats; // the base lineage's epochs
};

static double share(uint64_t part, uint64_t whole) {
    return whole == 0 ? 0 : (double)part / (double)whole;
}

static void note(struct br_replay_plan *plan, const char *text) {
    plan->notes[plan->note_count++] = text;
}

// --- the inputs

static enum br_status find_stream(struct planner *planner, struct input *input, const char *named,
                                  struct br_error *error) {
    struct br_log *log = planner->options->log;
    enum br_status status = named != NULL ? br_log_stream_info(log, named, &input->stream, error)
                                          : br_log_find_stream(log, NULL, input->filter, &input->stream, error);
    if (status != BR_OK)
        return br_error_context(error, "table %s", input->table);
    return BR_OK;
}

static enum br_status describe_history(struct planner *planner, struct input *input, struct br_error *error) {
    const struct br_history_source *history = planner->options->history;
    if (history == NULL)
        return BR_OK;
    return history->describe(history->context, input->table, &input->stream, planner->plan->arena, &input->facts,
                             error);
}

static enum br_status open_inputs(struct planner *planner, struct br_error *error) {
    const struct br_pipeline *pipeline = planner->options->pipeline;
    const Braid__V1__Commit *last = planner->epochs == NULL ? NULL : br_epochs_last(planner->epochs);
    if (pipeline == NULL && last == NULL)
        return br_error_set(error, BR_DATA,
                            "pipeline %s has committed nothing yet: its tables aren't known; give its SQL file",
                            planner->options->pipeline_name);
    planner->count = pipeline != NULL ? pipeline->table_count : last->n_inputs;
    planner->inputs = br_arena_array(planner->plan->arena, struct input, planner->count + 1);
    for (size_t i = 0; i < planner->count; i++) {
        struct input *input = &planner->inputs[i];
        const char *stream = NULL;
        if (pipeline != NULL) {
            struct br_buffer BR_CLEANUP(br_buffer_free) filter = {0};
            br_subject_filter(pipeline->tables[i].subject, &filter);
            input->table = br_arena_strdup(planner->plan->arena, pipeline->tables[i].name);
            input->filter = br_arena_strdup(planner->plan->arena, (const char *)filter.ptr);
            stream = pipeline->tables[i].stream;
        } else {
            input->table = br_arena_strdup(planner->plan->arena, last->inputs[i]->table);
            input->filter = ">";
            stream = last->inputs[i]->stream;
        }
        BR_TRY(find_stream(planner, input, stream, error));
        BR_TRY(describe_history(planner, input, error));
        input->replaces = pipeline != NULL && br_limits_only_replace(&pipeline->tables[i], &input->stream);
    }
    return BR_OK;
}

// --- what the base lineage says

static uint64_t own_sequence(const Braid__V1__InputPosition *position, uint64_t history_sequence) {
    return history_sequence > position->prehistory ? history_sequence - position->prehistory : 0;
}

static bool has_consumed(const void *context, const Braid__V1__Commit *commit) {
    const Braid__V1__InputPosition *position = br_epoch_position(commit, context);
    return position != NULL && position->last_sequence != 0;
}

static enum br_status read_base_position(struct planner *planner, struct input *input, struct br_error *error) {
    const Braid__V1__InputPosition *last = br_epoch_position(br_epochs_last(planner->epochs), input->table);
    if (last == NULL)
        return BR_OK;
    if (last->stream_created_us != input->stream.created.us || strcmp(last->stream, input->stream.name) != 0)
        return br_error_set(error, BR_DATA,
                            "table %s: stream %s isn't the one that %s was read from (%s): it was deleted and made "
                            "anew, or another stream holds the subject now. Its sequences mean other events",
                            input->table, input->stream.name, br_epochs_lineage(planner->epochs), last->stream);
    input->in_base = true;
    input->base_prehistory = last->prehistory;
    input->base_last = own_sequence(last, last->last_sequence);
    if (planner->options->rebuild) { // what was imported since isn't the lineage's
        input->facts.prehistory_bytes =
            (uint64_t)(share(last->prehistory, input->facts.prehistory) * (double)input->facts.prehistory_bytes);
        input->facts.prehistory = last->prehistory;
    }
    if (last->last_sequence == 0)
        return BR_OK;
    struct br_epoch_commit first;
    bool found;
    BR_TRY(br_epochs_find(planner->epochs, has_consumed, input->table, planner->plan->arena, &first, &found, error));
    const Braid__V1__InputPosition *position = found ? br_epoch_position(first.commit, input->table) : NULL;
    // When commits have expired, the first one left need not be the first that consumed anything.
    if (position != NULL && position->messages != 0) {
        struct br_epoch_commit earliest;
        BR_TRY(br_epochs_first(planner->epochs, planner->plan->arena, &earliest, error));
        if (earliest.commit->epoch == 1)
            input->base_first = own_sequence(position, position->first_sequence);
    } else if (position != NULL && first.commit->epoch == 1) { // where the lineage begins to read
        input->base_first = own_sequence(position, position->last_sequence) + 1;
    }
    return BR_OK;
}

static enum br_status read_base(struct planner *planner, struct br_error *error) {
    struct br_replay_plan *plan = planner->plan;
    plan->base_lineage = "";
    if (planner->epochs == NULL) {
        if (plan->mode == BRAID__V1__REPLAY_MODE__REPLAY_MODE_VERIFY)
            return br_error_set(error, BR_DATA, "pipeline %s has committed nothing yet: there is nothing to verify",
                                plan->pipeline);
        note(plan, "Nothing is recorded: the replay chooses its own epochs.");
        return BR_OK;
    }
    plan->base_lineage = br_arena_strdup(plan->arena, br_epochs_lineage(planner->epochs));
    plan->base_plan_hash = br_epochs_last(planner->epochs)->plan_hash;
    for (size_t i = 0; i < planner->count; i++)
        BR_TRY(read_base_position(planner, &planner->inputs[i], error));
    return BR_OK;
}

// --- from and to

static bool is_epoch(const void *context, const Braid__V1__Commit *commit) {
    return commit->epoch >= *(const uint64_t *)context;
}

static enum br_status find_epoch(struct planner *planner, uint64_t epoch, Braid__V1__Commit **ret_commit,
                                 struct br_error *error) {
    struct br_epoch_commit at;
    bool found;
    if (planner->epochs == NULL)
        return br_error_set(error, BR_DATA, "pipeline %s has no epochs yet", planner->options->pipeline_name);
    BR_TRY(br_epochs_find(planner->epochs, is_epoch, &epoch, planner->plan->arena, &at, &found, error));
    if (!found)
        return br_error_set(error, BR_DATA, "there is no epoch %" PRIu64 " yet: the last one of %s is %" PRIu64, epoch,
                            br_epochs_lineage(planner->epochs), br_epochs_last(planner->epochs)->epoch);
    if (at.commit->epoch != epoch)
        return br_error_set(error, BR_DATA,
                            "epoch %" PRIu64 " is no longer recorded: the first one left of %s is %" PRIu64, epoch,
                            br_epochs_lineage(planner->epochs), at.commit->epoch);
    *ret_commit = at.commit;
    return BR_OK;
}

// A bare sequence means one stream.
static enum br_status check_one_stream(const struct planner *planner, struct br_error *error) {
    for (size_t i = 1; i < planner->count; i++)
        if (strcmp(planner->inputs[i].stream.name, planner->inputs[0].stream.name) != 0)
            return br_error_set(error, BR_DATA,
                                "a sequence is that of one stream, and pipeline %s reads several (%s, %s, …): give a "
                                "time or an epoch",
                                planner->options->pipeline_name, planner->inputs[0].stream.name,
                                planner->inputs[i].stream.name);
    return BR_OK;
}

static uint64_t oldest_left(const struct input *input) {
    uint64_t archived = input->facts.archived_first, stream = input->stream.first_sequence;
    return archived != 0 && archived < stream ? archived : stream;
}

// P3
static void begin_at_the_beginning(const struct planner *planner, struct input *input) {
    bool read_before = input->in_base && input->base_last != 0;
    input->whole = true;
    input->first = input->base_first != 0 ? input->base_first : read_before ? 1 : oldest_left(input);
    if (input->replaces && !planner->repeats && input->first < oldest_left(input)) // P4
        input->first = oldest_left(input);
    if (planner->options->rebuild && !planner->repeats && oldest_left(input) < input->first)
        input->first = oldest_left(input);
}

// *ret_sequence is of history; what the archive doesn't know is looked for in the stream.
static enum br_status sequence_at(struct planner *planner, const struct input *input, struct br_wall_time time,
                                  uint64_t *ret_history_sequence, struct br_error *error) {
    const struct br_history_source *history = planner->options->history;
    *ret_history_sequence = 0;
    if (history != NULL && history->sequence_at != NULL)
        BR_TRY(history->sequence_at(history->context, input->table, time, ret_history_sequence, error));
    if (*ret_history_sequence == 0) {
        BR_TRY(br_moment_sequence(planner->options->log, &input->stream, input->filter, time, ret_history_sequence,
                                  error));
        *ret_history_sequence += input->facts.prehistory;
    }
    return BR_OK;
}

// A time before the oldest message that is left means more than is left, unless the base lineage began there (P3).
static void reach_back(struct input *input, uint64_t history_sequence) {
    uint64_t own = history_sequence - input->facts.prehistory;
    input->first = own;
    if (own == oldest_left(input))
        input->first = input->base_first != 0 ? input->base_first : 1;
    if (input->first > own)
        input->first = own;
}

static enum br_status begin(struct planner *planner, struct input *input, const Braid__V1__Commit *epoch,
                            struct br_error *error) {
    uint64_t sequence;
    switch (planner->from.kind) {
    case BR_MOMENT_BEGINNING:
    case BR_MOMENT_OLDEST: // make_slice leaves the holes out
        begin_at_the_beginning(planner, input);
        return BR_OK;
    case BR_MOMENT_SEQUENCE:
        input->first = planner->from.number;
        return BR_OK;
    case BR_MOMENT_NOW:
        input->first = input->stream.last_sequence + 1;
        return BR_OK;
    case BR_MOMENT_TIME:
        BR_TRY(sequence_at(planner, input, planner->from.time, &sequence, error));
        if (sequence > input->facts.prehistory) {
            reach_back(input, sequence);
        } else {
            begin_at_the_beginning(planner, input);
            input->history_first = sequence;
        }
        return BR_OK;
    case BR_MOMENT_EPOCH: {
        const Braid__V1__InputPosition *position = br_epoch_position(epoch, input->table);
        if (position == NULL)
            begin_at_the_beginning(planner, input); // a table that the base lineage doesn't know
        else
            input->first = own_sequence(position, position->messages != 0 ? position->first_sequence
                                                                          : position->last_sequence + 1);
        return BR_OK;
    }
    }
    return BR_OK;
}

static enum br_status end(struct planner *planner, struct input *input, const Braid__V1__Commit *epoch,
                          struct br_error *error) {
    uint64_t sequence;
    input->last = input->stream.last_sequence;
    if (planner->to.kind == BR_MOMENT_SEQUENCE && planner->to.number < input->last) {
        input->last = planner->to.number;
    } else if (planner->to.kind == BR_MOMENT_TIME) {
        BR_TRY(sequence_at(planner, input, planner->to.time, &sequence, error));
        input->last = sequence > input->facts.prehistory ? sequence - input->facts.prehistory - 1 : 0;
    } else if (planner->to.kind == BR_MOMENT_EPOCH) {
        const Braid__V1__InputPosition *position = br_epoch_position(epoch, input->table);
        input->last = position == NULL ? input->last : own_sequence(position, position->last_sequence);
    }
    if (planner->repeats && input->in_base && input->base_last < input->last)
        input->last = input->base_last; // P1
    return BR_OK;
}

static enum br_status resolve(struct planner *planner, struct br_error *error) {
    const struct br_replay_plan_options *options = planner->options;
    struct br_replay_plan *plan = planner->plan;
    Braid__V1__Commit *from_epoch = NULL, *to_epoch = NULL;
    plan->from = br_arena_strdup(plan->arena, options->from == NULL ? "beginning" : options->from);
    plan->to = br_arena_strdup(plan->arena, options->to == NULL ? "now" : options->to);
    BR_TRY(br_moment_parse(plan->from, options->now, &planner->from, error));
    BR_TRY(br_moment_parse(plan->to, options->now, &planner->to, error));
    if (planner->to.kind == BR_MOMENT_BEGINNING || planner->to.kind == BR_MOMENT_OLDEST)
        return br_error_set(error, BR_DATA, "a replay can't end at the beginning");
    if (planner->from.kind == BR_MOMENT_SEQUENCE || planner->to.kind == BR_MOMENT_SEQUENCE)
        BR_TRY(check_one_stream(planner, error));
    if (planner->from.kind == BR_MOMENT_EPOCH)
        BR_TRY(find_epoch(planner, planner->from.number, &from_epoch, error));
    if (planner->to.kind == BR_MOMENT_EPOCH)
        BR_TRY(find_epoch(planner, planner->to.number, &to_epoch, error));
    for (size_t i = 0; i < planner->count; i++) {
        BR_TRY(begin(planner, &planner->inputs[i], from_epoch, error));
        BR_TRY(end(planner, &planner->inputs[i], to_epoch, error));
    }
    return BR_OK;
}

// --- the epochs (P2)

static bool reaches_slice(const void *context, const Braid__V1__Commit *commit) {
    const struct planner *planner = context;
    for (size_t i = 0; i < planner->count; i++) {
        const struct input *input = &planner->inputs[i];
        const Braid__V1__InputPosition *position = br_epoch_position(commit, input->table);
        if (position != NULL && input->first <= input->last &&
            own_sequence(position, position->last_sequence) >= input->first)
            return true;
    }
    return false;
}

static bool ends_slice(const void *context, const Braid__V1__Commit *commit) {
    const struct planner *planner = context;
    for (size_t i = 0; i < planner->count; i++) {
        const struct input *input = &planner->inputs[i];
        const Braid__V1__InputPosition *position = br_epoch_position(commit, input->table);
        if (position != NULL && input->first <= input->last &&
            own_sequence(position, position->last_sequence) < input->last)
            return false;
    }
    return true;
}

static enum br_status find_epochs(struct planner *planner, struct br_error *error) {
    struct br_replay_plan *plan = planner->plan;
    struct br_epoch_commit first, last, earliest;
    bool found;
    if (planner->epochs != NULL && !planner->repeats)
        plan->base_last_epoch = br_epochs_last(planner->epochs)->epoch;
    if (!planner->repeats)
        return BR_OK;
    BR_TRY(br_epochs_find(planner->epochs, reaches_slice, planner, plan->arena, &first, &found, error));
    if (!found)
        return BR_OK; // nothing to read that was read before
    BR_TRY(br_epochs_find(planner->epochs, ends_slice, planner, plan->arena, &last, &found, error));
    BR_TRY(br_epochs_first(planner->epochs, plan->arena, &earliest, error));
    plan->base_first_epoch = first.commit->epoch;
    plan->base_last_epoch = found ? last.commit->epoch : br_epochs_last(planner->epochs)->epoch;
    if (planner->from.kind == BR_MOMENT_BEGINNING || planner->from.kind == BR_MOMENT_OLDEST)
        plan->base_first_epoch = earliest.commit->epoch;
    if (planner->to.kind == BR_MOMENT_NOW) // with the epochs that had no input
        plan->base_last_epoch = br_epochs_last(planner->epochs)->epoch;
    else if (planner->to.kind == BR_MOMENT_EPOCH)
        plan->base_last_epoch = planner->to.number;
    if (planner->from.kind == BR_MOMENT_EPOCH)
        plan->base_first_epoch = planner->from.number;
    if (earliest.commit->epoch > 1 && plan->base_first_epoch == earliest.commit->epoch &&
        planner->from.kind != BR_MOMENT_EPOCH)
        note(plan, br_arena_printf(plan->arena,
                                   "Epochs 1 to %" PRIu64 " of %s are no longer recorded: what they had goes into "
                                   "epochs of the replay's own.",
                                   earliest.commit->epoch - 1, plan->base_lineage));
    return BR_OK;
}

// --- holes (P4)

static void add_hole(struct planner *planner, const struct input *input, uint64_t first, uint64_t last) {
    struct br_replay_plan *plan = planner->plan;
    if (first > last || plan->hole_count == PLAN_HOLES_MAX)
        return;
    bool archived = input->facts.archived_last != 0;
    const char *text = br_arena_printf(
        plan->arena,
        "table %s: sequences %" PRIu64 " to %" PRIu64 " of stream %s are gone (it begins at %" PRIu64 ", %s%s). %s",
        input->table, first, last, input->stream.name, input->stream.first_sequence,
        archived ? br_arena_printf(plan->arena, "the archive has %" PRIu64 " to %" PRIu64, input->facts.archived_first,
                                   input->facts.archived_last)
                 : "nothing is archived",
        archived && input->facts.missing_count != 0 ? " with holes" : "",
        !planner->options->rebuild
            ? "Restore them, or begin later (--from)"
            : "Restore them, or have all computed from what is left, so that what they gave goes "
              "from the results: the same command with --epochs fresh --from oldest");
    plan->holes[plan->hole_count++] = (struct br_plan_hole){.table = input->table,
                                                            .stream = plan->inputs[input - planner->inputs]->stream,
                                                            .first = first,
                                                            .last = last,
                                                            .text = text};
}

static bool archive_is_whole(const struct br_history_facts *facts, uint64_t first, uint64_t last) {
    for (size_t i = 0; i < facts->missing_count; i++)
        if (facts->missing[i].first <= last && facts->missing[i].last >= first)
            return false;
    return facts->archived_first <= first;
}

// Takes as much as it can from the archive. *ret_archived: up to where.
static void find_holes(struct planner *planner, const struct input *input, uint64_t *ret_archived) {
    const struct br_history_facts *facts = &input->facts;
    uint64_t first = input->first, last = input->last, stream_first = input->stream.first_sequence;
    *ret_archived = 0;
    if (first > last)
        return;
    bool use = facts->archived_last >= first && facts->archived_first <= last;
    if (!use) {
        add_hole(planner, input, first, last < stream_first ? last : stream_first - 1);
        return;
    }
    uint64_t to = facts->archived_last < last ? facts->archived_last : last;
    if (stream_first <= first && !archive_is_whole(facts, first, to))
        return; // the stream has all of it, the archive not
    *ret_archived = to;
    if (first < facts->archived_first)
        add_hole(planner, input, first, facts->archived_first - 1);
    for (size_t i = 0; i < facts->missing_count; i++) {
        uint64_t low = facts->missing[i].first > first ? facts->missing[i].first : first;
        add_hole(planner, input, low, facts->missing[i].last < to ? facts->missing[i].last : to);
    }
    if (to < last && to + 1 < stream_first)
        add_hole(planner, input, to + 1, last < stream_first ? last : stream_first - 1);
}

// P4: what is left begins behind the last hole, and behind what was imported.
static void leave_holes_out(struct planner *planner, struct input *input, uint64_t *ret_archived) {
    struct br_replay_plan *plan = planner->plan;
    size_t before = plan->hole_count;
    uint64_t gone_from = 0;
    for (find_holes(planner, input, ret_archived); plan->hole_count > before;
         find_holes(planner, input, ret_archived)) {
        gone_from = gone_from == 0 ? plan->holes[before].first : gone_from;
        input->first = plan->holes[plan->hole_count - 1].last + 1;
        input->whole = false;
        plan->hole_count = before;
    }
    if (gone_from != 0)
        note(plan, br_arena_printf(plan->arena,
                                   "Table %s is read from sequence %" PRIu64 " of stream %s on: what stood at %" PRIu64
                                   " isn't all there any more, and nothing before this is read.",
                                   input->table, input->first, input->stream.name, gone_from));
}

// --- how much

static uint64_t overlap(uint64_t first, uint64_t last, uint64_t low, uint64_t high) {
    first = first < low ? low : first;
    last = last > high ? high : last;
    return first > last ? 0 : last - first + 1;
}

static void estimate(const struct input *input, Braid__V1__ReplayInput *slice) {
    const struct br_history_facts *facts = &input->facts;
    double messages = 0, bytes = 0;
    uint64_t stream_from = slice->archived_last + 1 > input->first ? slice->archived_last + 1 : input->first;
    double stream_part =
        share(overlap(stream_from, input->last, input->stream.first_sequence, input->stream.last_sequence),
              input->stream.last_sequence - input->stream.first_sequence + 1);
    messages += stream_part * (double)input->stream.message_count;
    bytes += stream_part * (double)input->stream.bytes;
    if (slice->archived_last != 0) {
        double part = share(overlap(input->first, slice->archived_last, facts->archived_first, facts->archived_last),
                            facts->archived_last - facts->archived_first + 1);
        messages += part * (double)facts->archived_messages;
        bytes += part * (double)facts->archived_bytes;
    }
    if (slice->last_sequence != 0 && slice->first_sequence <= facts->prehistory) {
        uint64_t imported = facts->prehistory - slice->first_sequence + 1;
        messages += (double)imported;
        bytes += share(imported, facts->prehistory) * (double)facts->prehistory_bytes;
    }
    slice->messages = (uint64_t)(messages + 0.5);
    slice->bytes = (uint64_t)(bytes + 0.5);
}

static void make_slice(struct planner *planner, size_t index) {
    struct br_replay_plan *plan = planner->plan;
    struct input *input = &planner->inputs[index];
    Braid__V1__ReplayInput *slice = plan->inputs[index];
    uint64_t archived;
    slice->table = (char *)input->table;
    slice->stream = br_arena_strdup(plan->arena, input->stream.name);
    slice->stream_created_us = input->stream.created.us;
    slice->prehistory = input->facts.prehistory;
    if (input->asleep) {
        slice->asleep = true;
        return;
    }
    if (planner->from.kind == BR_MOMENT_OLDEST)
        leave_holes_out(planner, input, &archived);
    else
        find_holes(planner, input, &archived);
    slice->archived_last = archived;
    bool imported = input->whole && input->facts.prehistory != 0;
    if (imported)
        slice->first_sequence = input->history_first != 0 ? input->history_first : 1;
    else
        slice->first_sequence = input->facts.prehistory + input->first;
    if (input->first <= input->last)
        slice->last_sequence = input->facts.prehistory + input->last;
    else if (imported)
        slice->last_sequence = input->facts.prehistory; // nothing of the stream
    else
        slice->last_sequence = 0;
    estimate(input, slice);
    plan->messages += slice->messages;
    plan->bytes += slice->bytes;
    if (slice->last_sequence != 0)
        plan->sequences += slice->last_sequence - slice->first_sequence + 1;
}

// P5
static void judge_views(struct planner *planner) {
    struct br_upgrade *upgrade = planner->options->upgrade;
    struct br_replay_plan *plan = planner->plan;
    if (upgrade == NULL)
        return;
    bool take_over = planner->options->take_over && planner->repeats && planner->options->pipeline == upgrade->after;
    if (take_over) {
        bool *tables = br_arena_array(plan->arena, bool, planner->count + 1);
        for (size_t i = 0; i < planner->count; i++)
            tables[i] =
                planner->inputs[i].in_base && planner->inputs[i].facts.prehistory != planner->inputs[i].base_prehistory;
        br_upgrade_settle(upgrade, tables, "events were imported into a table that it reads");
        br_upgrade_sleeping(upgrade, tables);
        for (size_t i = 0; i < planner->count; i++)
            planner->inputs[i].asleep = tables[i];
    }
    plan->view_count = br_plan_views(upgrade, take_over, planner->options->rebuild, plan->arena, &plan->views);
    plan->moves = br_arena_array(plan->arena, const char *, upgrade->move_count + 1);
    for (uint32_t i = 0; i < upgrade->move_count; i++)
        plan->moves[plan->move_count++] = br_arena_strdup(plan->arena, upgrade->moves[i].text);
}

static enum br_status make(struct planner *planner, struct br_error *error) {
    struct br_replay_plan *plan = planner->plan;
    BR_TRY(br_epochs_open(planner->options->log, plan->pipeline, &planner->epochs, error));
    planner->repeats = planner->epochs != NULL && !planner->options->fresh_epochs;
    BR_TRY(open_inputs(planner, error));
    plan->notes = br_arena_array(plan->arena, const char *, 8 + 2 * planner->count);
    BR_TRY(read_base(planner, error));
    judge_views(planner);
    BR_TRY(resolve(planner, error));
    BR_TRY(find_epochs(planner, error));
    plan->input_count = planner->count;
    plan->inputs = br_arena_array(plan->arena, Braid__V1__ReplayInput *, planner->count + 1);
    for (size_t i = 0; i < planner->count; i++) {
        plan->inputs[i] = br_arena_new(plan->arena, Braid__V1__ReplayInput);
        braid__v1__replay_input__init(plan->inputs[i]);
        make_slice(planner, i);
        if (planner->repeats && !planner->inputs[i].in_base)
            note(plan, br_arena_printf(plan->arena, "Table %s is new: %s hasn't read it.", planner->inputs[i].table,
                                       plan->base_lineage));
    }
    if (plan->sequences == 0)
        note(plan, "There is nothing to read.");
    if (plan->messages_per_second > 0)
        plan->seconds = (int64_t)((double)plan->messages / plan->messages_per_second + 0.999);
    return BR_OK;
}

enum br_status br_replay_plan_make(const struct br_replay_plan_options *options, struct br_replay_plan **ret_plan,
                                   struct br_error *error) {
    struct br_arena *arena = br_arena_create();
    struct br_replay_plan *plan = br_arena_new(arena, struct br_replay_plan);
    plan->arena = arena;
    plan->pipeline = br_arena_strdup(arena, options->pipeline_name);
    plan->mode = options->mode;
    plan->fresh_epochs = options->fresh_epochs;
    plan->messages_per_second = options->messages_per_second;
    plan->seconds = -1;
    plan->holes = br_arena_array(arena, struct br_plan_hole, PLAN_HOLES_MAX);
    struct planner planner = {.options = options, .plan = plan};
    enum br_status status = make(&planner, error);
    br_epochs_close(&planner.epochs);
    if (status != BR_OK)
        br_replay_plan_free(&plan);
    else
        *ret_plan = plan;
    return status;
}

void br_replay_plan_free(struct br_replay_plan **plan) {
    if (*plan != NULL) {
        struct br_arena *arena = (*plan)->arena;
        br_arena_destroy(&arena);
    }
    *plan = NULL;
}

enum br_status br_replay_plan_check(const struct br_replay_plan *plan, struct br_error *error) {
    if (plan->hole_count != 0)
        return br_error_set(error, BR_DATA, "history has a hole: %s", plan->holes[0].text);
    return BR_OK;
}

void br_replay_plan_fill(const struct br_replay_plan *plan, Braid__V1__ReplayJob *record) {
    record->mode = plan->mode;
    record->from = (char *)plan->from;
    record->to = (char *)plan->to;
    record->inputs = plan->inputs;
    record->n_inputs = plan->input_count;
    record->base_lineage = (char *)plan->base_lineage;
    record->base_first_epoch = plan->base_first_epoch;
    record->base_last_epoch = plan->base_last_epoch;
    record->base_plan_hash = plan->base_plan_hash;
    record->fresh_epochs = plan->fresh_epochs;
    record->taken_over = br_arena_array(plan->arena, char *, plan->view_count + 1);
    for (size_t i = 0; i < plan->view_count; i++)
        if (plan->views[i].taken_over)
            record->taken_over[record->n_taken_over++] = (char *)plan->views[i].view;
    record->progress = br_arena_new(plan->arena, Braid__V1__ReplayProgress);
    braid__v1__replay_progress__init(record->progress);
    record->progress->messages_total = plan->sequences;
    record->progress->seconds_left = -1;
}
