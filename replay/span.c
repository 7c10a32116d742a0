// SPDX-License-Identifier: Apache-2.0
// See span.h.
#include "replay/span.h"

#include "processor/expr/datetime.h"
#include "processor/input.h"

#include <errno.h>

#define TURN_MESSAGES_DEFAULT 32768
#define TURN_BYTES_MAX ((size_t)8 << 20)
#define WAIT_US 20000
#define PROBES_MAX 16 // of sequences in a row that hold no message

struct br_span {
    struct br_history *history;
    struct br_span_options options;
    struct br_span_input *inputs;
    uint32_t *order;
    uint32_t count;
};

// --- bounds
static bool ago(const char *text, struct br_wall_time now, struct br_span_bound *bound) {
    size_t len = strlen(text);
    struct br_interval interval;
    int64_t us;
    if (len <= 4 || strcmp(text + len - 4, " ago") != 0 ||
        !br_interval_parse((struct br_slice){(const uint8_t *)text, len - 4}, &interval) ||
        !br_interval_to_us(interval, &us))
        return false;
    *bound = (struct br_span_bound){.kind = BR_SPAN_TIME, .time = {now.us - us}};
    return true;
}

enum br_status br_span_bound_parse(const char *text, struct br_wall_time now, struct br_span_bound *ret_bound,
                                   struct br_error *error) {
    struct br_span_bound bound = {.kind = BR_SPAN_OPEN};
    int64_t us;
    if (*text != '\0' && strspn(text, "0123456789") == strlen(text)) {
        errno = 0;
        bound = (struct br_span_bound){.kind = BR_SPAN_SEQUENCE, .sequence = strtoull(text, NULL, 10)};
        if (errno != 0 || bound.sequence == 0)
            return br_error_set(error, BR_DATA, "sequences begin at 1: '%s'", text);
    } else if (br_timestamptz_parse(br_slice_of(text), &us)) {
        bound = (struct br_span_bound){.kind = BR_SPAN_TIME, .time = {us}};
    } else if (strcmp(text, "beginning") != 0 && strcmp(text, "now") != 0 && !ago(text, now, &bound)) {
        return br_error_set(error, BR_DATA,
                            "'%s' is no sequence, no time ('2026-03-01 12:00Z'), and no duration ago ('2 hours ago')",
                            text);
    }
    *ret_bound = bound;
    return BR_OK;
}

// --- opening
// A sequence before which everything is older than the time: found by halving; what is between is skipped when read.
static enum br_status find_first(struct br_log *log, const struct br_stream_info *stream, struct br_wall_time from,
                                 uint64_t *ret_first, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    uint64_t low = stream->first_sequence, high = stream->last_sequence + 1;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2, at = middle;
        struct br_log_message message;
        bool found = false;
        for (; at < high && at < middle + PROBES_MAX && !found; at++) {
            br_buffer_clear(&copy);
            BR_TRY(br_log_get(log, stream->name, at, &copy, &message, &found, error));
        }
        if (!found)
            break;
        if (message.timestamp.us < from.us)
            low = at; // one behind the message
        else
            high = middle;
    }
    *ret_first = low;
    return BR_OK;
}

static enum br_status set_range(struct br_span *span, struct br_span_input *input, struct br_error *error) {
    const struct br_span_bound *from = &span->options.from, *to = &span->options.to;
    bool whole = span->options.whole_keyed_tables && input->table->primary_key_count != 0;
    input->first = 1;
    input->last = input->stream.last_sequence;
    if (to->kind == BR_SPAN_SEQUENCE && to->sequence < input->last)
        input->last = to->sequence;
    input->last += input->prehistory;
    if (whole || from->kind == BR_SPAN_OPEN)
        return BR_OK;
    input->from_time = from->kind == BR_SPAN_TIME;
    if (from->kind == BR_SPAN_SEQUENCE)
        input->first = from->sequence;
    else
        BR_TRY(find_first(span->options.log, &input->stream, from->time, &input->first, error));
    if (input->first <= input->stream.first_sequence && input->from_time)
        input->first = 1; // whatever is there, imported and archived events too
    else
        input->first += input->prehistory;
    return BR_OK;
}

static enum br_status open_reader(struct br_span *span, struct br_span_input *input, struct br_error *error) {
    const struct br_span_options *options = &span->options;
    input->done = input->last < input->first || input->last == 0;
    if (input->done)
        return BR_OK;
    if (options->open_input != NULL)
        return options->open_input(options->open_context, options->log, input->table, &input->stream, 0, input->first,
                                   input->last, &input->reader, error);
    return br_history_open_input(span->history, options->log, input->table, &input->stream, input->prehistory,
                                 input->first, input->last, &input->reader, error);
}

static enum br_status count_imported(struct br_span *span, struct br_span_input *input, struct br_error *error) {
    struct br_history_extent extent;
    if (span->options.open_input != NULL)
        return BR_OK;
    BR_TRY(br_history_describe(span->history, input->table, &input->stream, &extent, error));
    input->prehistory = extent.prehistory;
    return BR_OK;
}

static enum br_status open_input(struct br_span *span, uint32_t t, struct br_error *error) {
    struct br_span_input *input = &span->inputs[t];
    input->table = &span->options.pipeline->tables[t];
    enum br_status status = br_input_find_stream(span->options.log, input->table, &input->stream, error);
    while (status == BR_OK && strcmp(span->inputs[input->stream_number].stream.name, input->stream.name) != 0)
        input->stream_number++;
    if (status == BR_OK)
        status = count_imported(span, input, error);
    if (status == BR_OK)
        status = set_range(span, input, error);
    if (status == BR_OK)
        status = open_reader(span, input, error);
    return status == BR_OK ? BR_OK : (br_error_context(error, "table %s", input->table->name), status);
}

enum br_status br_span_open(const struct br_span_options *options, struct br_span **ret_span, struct br_error *error) {
    struct br_span *span = br_calloc(1, sizeof *span);
    const struct br_pipeline *pipeline = options->pipeline;
    span->options = *options;
    if (span->options.turn_messages == 0)
        span->options.turn_messages = TURN_MESSAGES_DEFAULT;
    span->count = pipeline->table_count;
    span->inputs = br_calloc(span->count + 1, sizeof *span->inputs);
    span->order = br_calloc(span->count + 1, sizeof *span->order);
    uint32_t at = 0;
    for (int keyed = 1; keyed >= 0; keyed--)
        for (uint32_t t = 0; t < span->count; t++)
            if ((pipeline->tables[t].primary_key_count != 0) == (keyed == 1))
                span->order[at++] = t;
    enum br_status status = br_history_create(pipeline, &span->history, error);
    for (uint32_t t = 0; t < span->count && status == BR_OK; t++)
        if (options->tables != NULL ? options->tables[t] : pipeline->tables[t].read)
            status = open_input(span, t, error);
    if (status == BR_OK)
        *ret_span = span;
    else
        br_span_close(&span);
    return status;
}

void br_span_close(struct br_span **span) {
    if (*span == NULL)
        return;
    for (uint32_t t = 0; t < (*span)->count; t++)
        br_reader_close(&(*span)->inputs[t].reader);
    br_history_destroy(&(*span)->history);
    free((*span)->inputs);
    free((*span)->order);
    free(*span);
    *span = NULL;
}

// --- turns
static void release(struct br_span *span) {
    for (uint32_t t = 0; t < span->count; t++) {
        struct br_span_input *input = &span->inputs[t];
        if (input->count == 0)
            continue;
        br_reader_consume(input->reader, input->count);
        br_reader_release(input->reader);
        input->count = 0;
    }
}

// True when all that was shown is older than the span: there may be more behind it.
static bool skip_older(const struct br_span *span, struct br_span_input *input) {
    size_t older = 0;
    while (input->from_time && older < input->shown && input->messages[older].timestamp.us < span->options.from.time.us)
        older++;
    if (older == 0)
        return false;
    br_reader_consume(input->reader, older);
    br_reader_release(input->reader);
    input->messages += older;
    input->shown -= older;
    return true;
}

// *ret_limit: the stream timestamp up to which the input is known; *ret_held: it may have something older than all that
// is shown.
static enum br_status look(struct br_span *span, struct br_span_input *input, int64_t *ret_limit, bool *ret_held,
                           struct br_error *error) {
    const struct br_span_bound *to = &span->options.to;
    bool whole;
    do { // asked before peeking: what arrives in between is then shown, and only makes the answer too careful
        whole = br_reader_caught_up(input->reader);
        BR_TRY(br_reader_peek(input->reader, &input->messages, &input->shown, error));
    } while (skip_older(span, input));
    while (to->kind == BR_SPAN_TIME && input->shown != 0 &&
           input->messages[input->shown - 1].timestamp.us > to->time.us) {
        input->shown--;
        whole = true; // what follows is later still
    }
    if (input->shown == 0 && whole)
        input->done = true;
    else if (input->shown == 0)
        *ret_held = true;
    else if (!whole && input->messages[input->shown - 1].timestamp.us < *ret_limit)
        *ret_limit = input->messages[input->shown - 1].timestamp.us;
    return BR_OK;
}

static struct br_moment next_moment(const struct br_span_input *input) {
    return br_message_moment(&input->messages[input->count], input->stream_number, input->prehistory);
}

// The input whose next message is the oldest; tables with a key win ties.
static struct br_span_input *oldest(struct br_span *span, int64_t limit) {
    struct br_span_input *best = NULL;
    struct br_moment best_moment = {0};
    for (uint32_t o = 0; o < span->count; o++) {
        struct br_span_input *input = &span->inputs[span->order[o]];
        if (input->count == input->shown)
            continue;
        struct br_moment moment = next_moment(input);
        if (moment.stored_us <= limit && (best == NULL || br_moment_is_older(&moment, &best_moment))) {
            best = input;
            best_moment = moment;
        }
    }
    return best;
}

static bool take(struct br_span *span, int64_t limit) {
    size_t bytes = 0;
    uint32_t messages = 0;
    struct br_span_input *input;
    while (messages < span->options.turn_messages && bytes <= TURN_BYTES_MAX && (input = oldest(span, limit)) != NULL) {
        bytes += input->messages[input->count++].payload.len;
        messages++;
    }
    return messages != 0;
}

enum br_status br_span_next(struct br_span *span, bool *ret_any, struct br_error *error) {
    release(span);
    for (;;) {
        int64_t limit = INT64_MAX;
        bool held = false, open = false;
        if (br_flag_is_set(span->options.stop))
            return br_error_set(error, BR_RETRY, "interrupted");
        for (uint32_t t = 0; t < span->count; t++) {
            struct br_span_input *input = &span->inputs[t];
            input->shown = 0;
            if (input->reader == NULL || input->done)
                continue;
            BR_TRY(look(span, input, &limit, &held, error));
            open |= !input->done;
        }
        if (!held) {
            // A stream whose clock went back shows nothing up to the limit: then its order is all there is.
            *ret_any = open && (take(span, limit) || take(span, INT64_MAX));
            BR_CHECK(*ret_any == open);
            return BR_OK;
        }
        br_log_wait(span->options.log, WAIT_US);
    }
}

const struct br_span_input *br_span_inputs(const struct br_span *span) {
    return span->inputs;
}

const uint32_t *br_span_order(const struct br_span *span) {
    return span->order;
}
