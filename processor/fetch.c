// SPDX-License-Identifier: Apache-2.0
// How much of which input goes into an epoch.
//
// F1. Live: all inputs up to a common stream timestamp, no further than the bounds; within the epoch upsert tables go
//     first (X3).
// F2. An input that isn't caught up and shows nothing holds the epoch back for a moment (its next message may be the
//     oldest), but not for ever.
// F3. Recovering: exactly what the commit says, or an error that names what is missing.
// F4. Repeating another lineage's epoch: each input up to where that epoch ended.
// F5. A replay's own epochs have the time of their last message as clock reading: its history was then.
#include "processor/sql/sql.h"
#include "processor/task_internal.h"

#include <inttypes.h>

#define EPOCH_BYTES_MAX ((size_t)2 << 20) // of input; its rows, outputs and messages take several times that
#define HOLD_WAIT_US 2000
#define HOLD_TRIES_MAX 250
#define RECORDED_WAIT_US 20000
#define UNSHOWN_TRIES_MAX 500 // a reader that doesn't show what the stream has: after ten seconds something is wrong

static enum br_status peek(struct br_task *task, uint32_t i, size_t *ret_count, struct br_error *error) {
    struct task_input *input = &task->inputs[i];
    *ret_count = 0;
    if (input->reader == NULL)
        return BR_OK;
    enum br_status status = br_reader_peek(input->reader, &task->plan.first[i], ret_count, error);
    return status == BR_OK ? BR_OK : task_input_error(input, task, error);
}

// How many of those shown lie within the bounds of a replay.
static size_t within_bounds(const struct br_task *task, uint32_t i, size_t count) {
    const struct br_log_message *messages = task->plan.first[i];
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (messages[middle].sequence <= task->inputs[i].stop && messages[middle].timestamp.us <= task->limit_us)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// Up to when everything of an input is known that isn't shown to its end. A server's clock that was set back has stored
// later messages under earlier times: the first one is known all the same, so that there is always something to take.
static int64_t known_to(const struct br_log_message *messages, size_t count) {
    int64_t first_us = messages[0].timestamp.us, last_us = messages[count - 1].timestamp.us;
    return first_us > last_us ? first_us : last_us;
}

// Looks at every input. *ret_limit is the stream timestamp up to which everything is known; *ret_held: some input may
// still have something older (F2). Tables with a key are looked at last: an event that is shown may follow on a row
// that has only just come.
static enum br_status survey(struct br_task *task, size_t *counts, int64_t *ret_limit, bool *ret_held,
                             struct br_error *error) {
    *ret_limit = INT64_MAX;
    *ret_held = false;
    task->plan.at_bound = true;
    for (uint32_t o = task->input_count; o > 0; o--) {
        uint32_t i = task->order[o - 1];
        // Asked before peeking: what arrives in between is then shown, and only makes the answer too careful.
        bool caught_up = task->inputs[i].reader == NULL || br_reader_caught_up(task->inputs[i].reader);
        BR_TRY(peek(task, i, &counts[i], error));
        if (task->inputs[i].reader != NULL)
            task->inputs[i].shown_covered = br_reader_covered(task->inputs[i].reader);
        size_t shown = counts[i];
        counts[i] = within_bounds(task, i, shown);
        if (counts[i] < shown) // what lies beyond is left for later
            task->inputs[i].shown_covered = task->plan.first[i][counts[i]].sequence - 1;
        bool ended = counts[i] < shown || task->inputs[i].shown_covered >= task->inputs[i].stop;
        if (counts[i] != 0 || !(ended || caught_up))
            task->plan.at_bound = false;
        if (caught_up || ended)
            continue;
        if (counts[i] == 0)
            *ret_held = true;
        else if (known_to(task->plan.first[i], counts[i]) < *ret_limit)
            *ret_limit = known_to(task->plan.first[i], counts[i]);
    }
    return BR_OK;
}

static struct br_moment next_moment(const struct br_task *task, uint32_t i) {
    const struct task_input *input = &task->inputs[i];
    return br_message_moment(&task->plan.first[i][task->plan.take[i]], input->stream_number, input->prehistory);
}

// The input whose next message is the oldest; upsert tables win ties because they come first in task->order.
static int64_t oldest(const struct br_task *task, const size_t *counts, int64_t limit) {
    int64_t best = -1;
    struct br_moment best_moment = {0};
    for (uint32_t o = 0; o < task->input_count; o++) {
        uint32_t i = task->order[o];
        if (task->plan.take[i] == counts[i])
            continue;
        struct br_moment moment = next_moment(task, i);
        if (moment.stored_us <= limit && (best < 0 || br_moment_is_older(&moment, &best_moment))) {
            best = i;
            best_moment = moment;
        }
    }
    return best;
}

static void take(struct br_task *task, const size_t *counts, int64_t limit) {
    struct epoch_plan *plan = &task->plan;
    size_t bytes = 0;
    for (int64_t i; (i = oldest(task, counts, limit)) >= 0;) {
        if (plan->messages == task->epoch_limit || bytes > EPOCH_BYTES_MAX) {
            plan->full = true;
            return;
        }
        bytes += plan->first[i][plan->take[i]++].payload.len;
        plan->messages++;
    }
}

// F5
static int64_t last_taken_us(const struct br_task *task) {
    int64_t last_us = INT64_MIN;
    for (uint32_t i = 0; i < task->input_count; i++) {
        size_t count = task->plan.take[i];
        if (count != 0 && task->plan.first[i][count - 1].timestamp.us > last_us)
            last_us = task->plan.first[i][count - 1].timestamp.us;
    }
    return last_us;
}

static void choose_clock(struct br_task *task) {
    struct epoch_plan *plan = &task->plan;
    if (task->options.role == BR_TASK_OWNER) {
        plan->clock = task_reading(task, &plan->clock_read);
        return;
    }
    int64_t last_us = last_taken_us(task);
    plan->clock.us = last_us > task->clock.us ? last_us : task->clock.us;
    plan->clock_read = task->options.clock->mono(task->options.clock);
}

enum br_status task_choose(struct br_task *task, struct br_error *error) {
    struct epoch_plan *plan = &task->plan;
    plan->number = task->epoch + 1;
    plan->recorded = NULL;
    // Whoever recovers a replay has to know where it was in the other lineage's epochs.
    bool owns = task->options.role == BR_TASK_OWNER;
    plan->repeats = false;
    plan->follows = owns ? 0 : task->follows;
    plan->follows_sequence = owns ? 0 : task->follows_sequence;
    plan->follows_lineage = owns ? "" : task->follows_lineage;
    plan->messages = 0;
    plan->full = false;
    plan->end_of_time = task->end_of_time;
    plan->lenient = task->wants_lenient;
    memset(plan->take, 0, task->input_count * sizeof *plan->take);
    memset(plan->passes, 0, task->input_count * sizeof *plan->passes);
    size_t *counts = task->counts;
    int64_t limit;
    bool held = true;
    // A reader that has shown nothing yet can't say that it is caught up. Without this look the first epoch would end
    // at the first input's last message, even when all there is lies before us.
    if (!task->surveyed)
        BR_TRY(survey(task, counts, &limit, &held, error));
    task->surveyed = true;
    held = true;
    for (int tries = 0; held && tries < HOLD_TRIES_MAX; tries++) {
        BR_TRY(survey(task, counts, &limit, &held, error));
        bool any = false;
        for (uint32_t i = 0; i < task->input_count; i++)
            any |= counts[i] != 0;
        if (!held || !any)
            break;
        br_log_wait(task->log, HOLD_WAIT_US);
    }
    take(task, counts, limit);
    plan->idle = plan->messages == 0 && !held;
    choose_clock(task);
    return BR_OK;
}

static enum br_status changed(const struct br_task *task, const struct task_input *input, uint64_t sequence,
                              uint64_t epoch, const struct br_fingerprint *was, const struct br_fingerprint *is,
                              struct br_error *error) {
    char was_text[BR_FINGERPRINT_TEXT_SIZE], is_text[BR_FINGERPRINT_TEXT_SIZE];
    br_fingerprint_print(was, was_text);
    br_fingerprint_print(is, is_text);
    if (sequence <= input->prehistory)
        return br_error_set(error, BR_FATAL,
                            "table %s: imported event %" PRIu64 ", which epoch %" PRIu64
                            " read (%s), is another one now (%s); restore the archive",
                            input->table->name, sequence, epoch, was_text, is_text);
    br_error_set_native(error, BR_FATAL, BR_LOG_CHANGED,
                        "stream %s has changed at sequence %" PRIu64 ": the message that epoch %" PRIu64
                        " read there (%s) is another one now (%s)",
                        input->stream.name, sequence - input->prehistory, epoch, was_text, is_text);
    return task_input_error(input, task, error);
}

// Is the message the one that a recorded epoch read last? Sequence numbers alone don't tell: a stream that went back
// may have others there.
static enum br_status check_last(const struct br_task *task, const struct task_input *input,
                                 const Braid__V1__InputPosition *position, uint64_t epoch, uint64_t sequence,
                                 const struct br_log_message *message, struct br_error *error) {
    struct br_fingerprint is = br_fingerprint_of(message);
    struct br_fingerprint was = {
        .sequence = is.sequence, .time_us = position->last_time_us, .hash = position->last_hash};
    if (position->last_hash == 0 || !br_fingerprint_differs(&was, &is))
        return BR_OK;
    return changed(task, input, sequence, epoch, &was, &is, error);
}

// Not all that a recorded epoch consumed is there. Whether messages are gone, or the stream went back and others stand
// in their places (whoever's), the epoch's last one tells.
static enum br_status missing(struct br_task *task, const struct task_input *input,
                              const Braid__V1__InputPosition *position, uint64_t epoch, uint64_t found,
                              struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_log_message last;
    bool there = false;
    uint64_t own = position->last_sequence > position->prehistory ? position->last_sequence - position->prehistory : 0;
    enum br_status status;
    do
        status = br_log_get(task->log, input->stream.name, own, &copy, &last, &there, error);
    while (task_try_again(task, status, error));
    if (status == BR_OK && there)
        BR_TRY(check_last(task, input, position, epoch, own + input->prehistory, &last, error));
    br_error_set_native(error, BR_FATAL, BR_LOG_LOST,
                        "history has a hole: epoch %" PRIu64 " consumed %" PRIu64
                        " messages of table %s (stream %s, sequences %" PRIu64 " to %" PRIu64
                        "), but the stream now gives %s%" PRIu64
                        " there; messages were deleted, purged, replaced or have expired",
                        epoch, position->messages, input->table->name, input->stream.name, position->first_sequence,
                        position->last_sequence, found == 0 ? "nothing up to sequence " : "sequence ",
                        found == 0 ? position->last_sequence : found);
    return task_input_error(input, task, error);
}

// A reader that knows of nothing more may be behind: a message that has just been stored is on its way to it. So
// whether the epoch's last one is there the stream itself is asked. *ret_gone: it isn't.
static enum br_status ask_for_last(struct br_task *task, const struct task_input *input,
                                   const Braid__V1__InputPosition *position, uint64_t epoch, bool *ret_gone,
                                   struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_stream_info info;
    struct br_log_message message;
    enum br_status status;
    bool found = false;
    *ret_gone = true;
    if (position->last_sequence <= input->prehistory)
        return BR_OK;
    uint64_t sequence = position->last_sequence - input->prehistory;
    do
        status = br_log_stream_info(task->log, input->stream.name, &info, error);
    while (task_try_again(task, status, error));
    BR_TRY(status);
    if (info.last_sequence < sequence)
        return br_error_set_native(error, BR_FATAL, BR_LOG_CHANGED,
                                   "stream %s ends at sequence %" PRIu64 ", but epoch %" PRIu64
                                   " of table %s consumed up to %" PRIu64 ": the server has lost acknowledged messages",
                                   input->stream.name, info.last_sequence, epoch, input->table->name, sequence);
    do {
        br_buffer_clear(&copy);
        status = br_log_get(task->log, input->stream.name, sequence, &copy, &message, &found, error);
    } while (task_try_again(task, status, error));
    BR_TRY(status);
    *ret_gone = !found;
    return BR_OK;
}

// Everything up to the recorded last sequence must be there: as many messages as were consumed, from the same first to
// the same last.
static enum br_status fetch_input(struct br_task *task, uint32_t i, const Braid__V1__InputPosition *position,
                                  uint64_t epoch, struct br_error *error) {
    struct task_input *input = &task->inputs[i];
    struct epoch_plan *plan = &task->plan;
    plan->take[i] = 0;
    if (position->messages == 0)
        return BR_OK;
    // What lies before is of no interest: the commits say that nothing of it was consumed.
    if (input->reader == NULL && task_open_reader(task, i, position->first_sequence, error) != BR_OK)
        return br_error_context(error, "epoch %" PRIu64, epoch);
    size_t count = 0;
    for (int unshown = 0;;) {
        BR_TRY(peek(task, i, &count, error));
        if (count != 0 && plan->first[i][0].sequence != position->first_sequence)
            return missing(task, input, position, epoch, plan->first[i][0].sequence, error);
        if (count >= position->messages)
            break;
        if (count != 0 && plan->first[i][count - 1].sequence >= position->last_sequence)
            return missing(task, input, position, epoch, plan->first[i][count - 1].sequence, error);
        if (br_reader_caught_up(input->reader)) {
            bool gone;
            BR_TRY(ask_for_last(task, input, position, epoch, &gone, error));
            if (gone || ++unshown > UNSHOWN_TRIES_MAX)
                return missing(task, input, position, epoch, 0, error);
        }
        if (task_stopping(task))
            return br_error_set(error, BR_RETRY, "stopped while recovering epoch %" PRIu64, epoch);
        task_watch(task);
        br_log_wait(task->log, RECORDED_WAIT_US);
    }
    plan->take[i] = (size_t)position->messages;
    if (plan->first[i][plan->take[i] - 1].sequence != position->last_sequence)
        return missing(task, input, position, epoch, plan->first[i][plan->take[i] - 1].sequence, error);
    plan->messages += position->messages;
    const struct br_log_message *last = &plan->first[i][plan->take[i] - 1];
    return check_last(task, input, position, epoch, last->sequence, last, error);
}

// Everything up to `target`, which the stream holds: all of it has to be shown first.
static enum br_status fetch_up_to(struct br_task *task, uint32_t i, uint64_t target, struct br_error *error) {
    struct task_input *input = &task->inputs[i];
    struct epoch_plan *plan = &task->plan;
    size_t count = 0;
    for (plan->take[i] = 0; target > input->covered;) {
        BR_TRY(peek(task, i, &count, error));
        bool there = count != 0 && plan->first[i][count - 1].sequence >= target;
        if (there || br_reader_covered(input->reader) >= target)
            break;
        if (task_stopping(task))
            return br_error_set(error, BR_RETRY, "stopped while reading table %s", input->table->name);
        task_watch(task);
        br_log_wait(task->log, RECORDED_WAIT_US);
    }
    while (plan->take[i] < count && plan->first[i][plan->take[i]].sequence <= target)
        plan->take[i]++;
    input->shown_covered = target;
    task->counts[i] = plan->take[i];
    plan->messages += plan->take[i];
    return BR_OK;
}

// When this lineage was where that one was before its epoch, as many messages must be there as it found.
static enum br_status check_same_count(struct br_task *task, uint32_t i, const Braid__V1__Commit *base,
                                       const Braid__V1__InputPosition *position, struct br_error *error) {
    const struct task_input *input = &task->inputs[i];
    const struct br_log_message *messages = task->plan.first[i];
    size_t count = task->plan.take[i], found = 0;
    uint64_t first = position->first_sequence - position->prehistory + input->prehistory;
    const struct br_table *other = task->options.base_pipeline == NULL
                                       ? NULL
                                       : br_pipeline_find_table(task->options.base_pipeline, input->table->name);
    bool same = other != NULL && strcmp(other->subject, input->table->subject) == 0;
    if (!same || position->messages == 0 || first <= input->last_sequence ||
        position->first_sequence <= position->prehistory)
        return BR_OK;
    for (size_t m = count; m > 0 && messages[m - 1].sequence >= first; m--)
        found++;
    if (found == position->messages)
        return BR_OK;
    return missing(task, input, position, base->epoch, found == 0 ? 0 : messages[count - found].sequence, error);
}

static enum br_status check_same_last(const struct br_task *task, uint32_t i, const Braid__V1__Commit *base,
                                      const Braid__V1__InputPosition *position, uint64_t target,
                                      struct br_error *error) {
    size_t count = task->plan.take[i];
    if (count == 0 || task->plan.first[i][count - 1].sequence != target)
        return BR_OK;
    return check_last(task, &task->inputs[i], position, base->epoch, target, &task->plan.first[i][count - 1], error);
}

const Braid__V1__InputPosition *task_base_position(const struct br_task *task, uint32_t i,
                                                   const Braid__V1__Commit *base) {
    const struct task_input *input = &task->inputs[i];
    for (size_t b = 0; b < base->n_inputs; b++) {
        const Braid__V1__InputPosition *position = base->inputs[b];
        if (strcmp(position->table, input->table->name) == 0 && strcmp(position->stream, input->stream.name) == 0 &&
            position->stream_created_us == input->stream.created.us)
            return position;
    }
    return NULL;
}

enum br_status task_fetch_base(struct br_task *task, const Braid__V1__Commit *base, uint64_t sequence,
                               struct br_error *error) {
    struct epoch_plan *plan = &task->plan;
    plan->number = task->epoch + 1;
    plan->clock.us = base->clock_us > task->clock.us ? base->clock_us : task->clock.us;
    plan->clock_read = task->options.clock->mono(task->options.clock);
    plan->recorded = NULL;
    plan->repeats = true;
    plan->follows = base->epoch;
    plan->follows_sequence = sequence;
    plan->follows_lineage = base->lineage;
    plan->messages = 0;
    plan->full = false;
    plan->end_of_time = false;
    plan->lenient = task->wants_lenient;
    for (uint32_t i = 0; i < task->input_count; i++) {
        const Braid__V1__InputPosition *position = task_base_position(task, i, base);
        task->counts[i] = plan->take[i] = 0;
        task->inputs[i].shown_covered = task->inputs[i].covered;
        plan->passes[i] = position;
        if (task->inputs[i].asleep || position == NULL || position->last_sequence <= position->prehistory)
            continue;
        uint64_t target = position->last_sequence - position->prehistory + task->inputs[i].prehistory;
        BR_TRY(fetch_up_to(task, i, target, error));
        BR_TRY(check_same_count(task, i, base, position, error));
        BR_TRY(check_same_last(task, i, base, position, target, error));
    }
    return BR_OK;
}

enum br_status task_fetch_recorded(struct br_task *task, const Braid__V1__Commit *commit, struct br_error *error) {
    struct epoch_plan *plan = &task->plan;
    plan->number = commit->epoch;
    plan->clock.us = commit->clock_us;
    plan->clock_read = task->options.clock->mono(task->options.clock);
    plan->recorded = commit;
    plan->repeats = false;
    plan->follows = commit->follows_epoch;
    plan->follows_sequence = commit->follows_sequence;
    plan->follows_lineage = commit->follows_lineage;
    plan->messages = 0;
    plan->full = false;
    plan->end_of_time = false;
    plan->lenient = commit->lenient;
    for (uint32_t i = 0; i < task->input_count; i++) {
        plan->take[i] = 0;
        plan->passes[i] = commit->inputs[i];
        if (!task->inputs[i].asleep)
            BR_TRY(fetch_input(task, i, commit->inputs[i], commit->epoch, error));
    }
    return BR_OK;
}
