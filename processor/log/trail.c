// SPDX-License-Identifier: Apache-2.0
// See trail.h.
#include "processor/log/trail.h"

#include "base/logging.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <xxhash.h>

#define DOUBT_SIZE BR_ERROR_MESSAGE_SIZE
#define NEWER_MAX 64 // messages of one subject that are counted (T3): what a bucket keeps at most

// --- marks

static uint64_t hash_on(uint64_t hash, struct br_slice bytes) {
    return XXH3_64bits_withSeed(bytes.ptr, bytes.len, hash);
}

struct br_fingerprint br_fingerprint_of(const struct br_log_message *message) {
    uint64_t hash = hash_on(0, message->subject);
    for (uint32_t i = 0; i < message->header_count; i++)
        hash = hash_on(hash_on(hash, message->headers[i].name), message->headers[i].value);
    hash = hash_on(hash, message->payload);
    struct br_fingerprint mark = {message->sequence, message->timestamp.us, hash == 0 ? 1 : hash, ""};
    if (message->subject.len < sizeof mark.subject && memchr(message->subject.ptr, '\0', message->subject.len) == NULL)
        memcpy(mark.subject, message->subject.ptr, message->subject.len);
    return mark;
}

void br_fingerprint_print(const struct br_fingerprint *mark, char text[BR_FINGERPRINT_TEXT_SIZE]) {
    char when[32] = "at an unknown time";
    struct tm tm;
    int64_t us = mark->time_us % BR_US_PER_SECOND;
    time_t seconds = (time_t)(mark->time_us / BR_US_PER_SECOND - (us < 0));
    if (gmtime_r(&seconds, &tm) != NULL)
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    int len =
        snprintf(text, BR_FINGERPRINT_TEXT_SIZE, "stored %s.%06" PRId64 "Z", when, us < 0 ? us + BR_US_PER_SECOND : us);
    if (mark->hash != 0)
        snprintf(text + len, BR_FINGERPRINT_TEXT_SIZE - (size_t)len, ", hash %016" PRIx64, mark->hash);
}

bool br_fingerprint_differs(const struct br_fingerprint *mark, const struct br_fingerprint *other) {
    return mark->sequence != other->sequence || mark->time_us != other->time_us ||
           (mark->hash != 0 && other->hash != 0 && mark->hash != other->hash);
}

void br_trail_add(struct br_trail *trail, const struct br_fingerprint *mark) {
    if (trail->count != 0 && mark->sequence <= trail->marks[trail->count - 1].sequence)
        return;
    if (trail->count == BR_TRAIL_MAX)
        memmove(trail->marks, trail->marks + 1, --trail->count * sizeof *trail->marks);
    trail->marks[trail->count++] = *mark;
    if (mark->sequence > trail->read_to)
        trail->read_to = mark->sequence;
}

void br_trail_take(struct br_trail *trail, const struct br_log_message *messages, size_t count) {
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++)
        if (messages[i].timestamp.us > trail->youngest_us)
            trail->youngest_us = messages[i].timestamp.us;
    struct br_fingerprint last = br_fingerprint_of(&messages[count - 1]);
    br_trail_add(trail, &last);
}

// --- the proof

struct proof {
    const struct br_trail *trail;
    struct br_log *log;
    const char *stream, *filter;
    struct br_buffer copy;      // of the message that was asked for last
    struct br_stream_info info; // while described
    bool described;
    bool speaks;            // something that is there does, for all that was read or for a part of it
    char doubt[DOUBT_SIZE]; // why nothing is proven; empty: it is, if something speaks
};

#define WENT_BACK ". The stream went back, and was filled up again"

// `how`: what shows that the message with this mark isn't where it was read.
static enum br_status changed(const struct proof *proof, const struct br_fingerprint *mark, struct br_error *error,
                              const char *how, ...) BR_PRINTF(4, 5);
static enum br_status changed(const struct proof *proof, const struct br_fingerprint *mark, struct br_error *error,
                              const char *how, ...) {
    char was[BR_FINGERPRINT_TEXT_SIZE], text[DOUBT_SIZE];
    va_list arguments;
    br_fingerprint_print(mark, was);
    va_start(arguments, how);
    vsnprintf(text, sizeof text, how, arguments);
    va_end(arguments);
    return br_error_set_native(error, BR_FATAL, BR_LOG_CHANGED,
                               "stream %s has changed at sequence %" PRIu64
                               ": the message that was read there (%s) is %s" WENT_BACK,
                               proof->stream, mark->sequence, was, text);
}

static enum br_status next_message(struct proof *proof, const char *filter, uint64_t from, struct br_log_message *next,
                                   bool *ret_found, struct br_error *error) {
    *next = (struct br_log_message){0};
    BR_TRY(br_log_next(proof->log, proof->stream, filter, from, &proof->copy, next, ret_found, error));
    next->sequence = *ret_found ? next->sequence : UINT64_MAX;
    return BR_OK;
}

static enum br_status describe(struct proof *proof, struct br_error *error) {
    if (!proof->described)
        BR_TRY(br_log_stream_info(proof->log, proof->stream, &proof->info, error));
    proof->described = true;
    return BR_OK;
}

// Does the stream hold as many messages on the subject as it keeps, all behind `from`, or was what lay before the first
// of them rolled up?
static enum br_status was_dropped(struct proof *proof, const char *subject, const struct br_log_message *first,
                                  bool *ret_dropped, struct br_error *error) {
    struct br_log_message next = *first;
    struct br_slice rollup;
    uint64_t keeps = proof->info.max_per_subject;
    bool found = true;
    *ret_dropped = br_log_message_header(first, "Nats-Rollup", &rollup) || (keeps != 0 && keeps > NEWER_MAX);
    for (uint64_t count = 1; !*ret_dropped && found && keeps != 0; count++) {
        *ret_dropped = count == keeps;
        if (!*ret_dropped)
            BR_TRY(next_message(proof, subject, next.sequence + 1, &next, &found, error));
    }
    return BR_OK;
}

// T3, T5: a mark's message is gone. Why?
static enum br_status explain(struct proof *proof, const struct br_fingerprint *mark, struct br_error *error) {
    const char *subject = mark->subject[0] != '\0' ? mark->subject : proof->filter;
    bool known = strpbrk(subject, "*>") == NULL, found, dropped = false;
    BR_TRY(describe(proof, error));
    if (mark->sequence < proof->info.first_sequence)
        return BR_OK; // with all that stood before it
    struct br_log_message first = {0};
    if (known)
        BR_TRY(next_message(proof, subject, 1, &first, &found, error));
    if (known && first.sequence < mark->sequence && proof->info.max_per_subject == 1)
        return changed(proof, mark, error,
                       "gone, and an older one on its subject '%s' is there, at sequence %" PRIu64
                       ", which it had replaced",
                       subject, first.sequence);
    if (known && found && first.sequence > mark->sequence)
        BR_TRY(was_dropped(proof, subject, &first, &dropped, error));
    if (!dropped && proof->doubt[0] == '\0')
        snprintf(proof->doubt, sizeof proof->doubt,
                 "the message that was read at sequence %" PRIu64
                 " is gone, and nothing there says why: it was deleted, has expired, or was lost with the stream's "
                 "newest messages",
                 mark->sequence);
    return BR_OK;
}

// The newest mark whose message is there must be that message; those behind it must have gone by right.
static enum br_status check_marks(struct proof *proof, bool *ret_newest, struct br_error *error) {
    struct br_log_message message;
    bool found = false;
    for (uint32_t i = proof->trail->count; i > 0 && !found; i--) {
        const struct br_fingerprint *mark = &proof->trail->marks[i - 1];
        BR_TRY(br_log_get(proof->log, proof->stream, mark->sequence, &proof->copy, &message, &found, error));
        struct br_fingerprint now = found ? br_fingerprint_of(&message) : (struct br_fingerprint){0};
        if (found && br_fingerprint_differs(mark, &now)) {
            char is[BR_FINGERPRINT_TEXT_SIZE];
            br_fingerprint_print(&now, is);
            return changed(proof, mark, error, "another one now (%s)", is);
        }
        *ret_newest = found && i == proof->trail->count;
        if (!found)
            BR_TRY(explain(proof, mark, error));
    }
    proof->speaks = found;
    return BR_OK;
}

// T4
static enum br_status check_passed(struct proof *proof, uint64_t from, struct br_error *error) {
    struct br_log_message next;
    bool found;
    uint64_t read_to = proof->trail->read_to;
    if (from <= read_to + 1)
        return BR_OK;
    BR_TRY(next_message(proof, proof->filter, read_to + 1, &next, &found, error));
    if (next.sequence >= from)
        return BR_OK;
    struct br_fingerprint now = br_fingerprint_of(&next);
    char is[BR_FINGERPRINT_TEXT_SIZE];
    br_fingerprint_print(&now, is);
    return br_error_set_native(error, BR_FATAL, BR_LOG_CHANGED,
                               "stream %s has changed at sequence %" PRIu64 ": a message on '%s' (%s) stands there, "
                               "and there was none when everything up to sequence %" PRIu64
                               " had been looked through" WENT_BACK,
                               proof->stream, next.sequence, proof->filter, is, from - 1);
}

// The nearest message on `filter` below `sequence` that is there; sequence UINT64_MAX: none is. Looks back twice as far
// each time, then halves what lies between.
static enum br_status nearest_below(struct proof *proof, const char *filter, uint64_t sequence,
                                    struct br_log_message *ret_nearest, struct br_error *error) {
    uint64_t low = sequence, high = sequence; // nothing is there from `high` on; at or behind `low` something is
    bool found;
    ret_nearest->sequence = UINT64_MAX;
    for (uint64_t back = 1; low > 1 && ret_nearest->sequence >= sequence; back *= 2) {
        high = low;
        low = low > back ? low - back : 1;
        BR_TRY(next_message(proof, filter, low, ret_nearest, &found, error));
    }
    struct br_log_message next = *ret_nearest;
    while (ret_nearest->sequence < sequence && ret_nearest->sequence + 1 < high) {
        uint64_t middle = ret_nearest->sequence + 1 + (high - ret_nearest->sequence - 1) / 2;
        BR_TRY(next_message(proof, filter, middle, &next, &found, error));
        if (next.sequence < sequence)
            *ret_nearest = next;
        else
            high = middle;
    }
    ret_nearest->sequence = ret_nearest->sequence < sequence ? ret_nearest->sequence : UINT64_MAX;
    return BR_OK;
}

// T6
static enum br_status too_young(const struct proof *proof, const struct br_fingerprint *mark,
                                const struct br_log_message *nearest, struct br_error *error) {
    struct br_fingerprint now = {.sequence = nearest->sequence, .time_us = nearest->timestamp.us};
    char is[BR_FINGERPRINT_TEXT_SIZE];
    br_fingerprint_print(&now, is);
    return changed(proof, mark, error,
                   "gone, and one before it, at sequence %" PRIu64 " (%s), came later than all that was read",
                   nearest->sequence, is);
}

// T6: the newest mark's message is gone, and what is still there before it must be older.
static enum br_status check_neighbours(struct proof *proof, struct br_error *error) {
    const struct br_trail *trail = proof->trail;
    const struct br_fingerprint *mark = &trail->marks[trail->count - 1];
    struct br_log_message nearest = {0};
    BR_TRY(nearest_below(proof, proof->filter, mark->sequence, &nearest, error));
    if (nearest.sequence != UINT64_MAX && nearest.timestamp.us > trail->youngest_us)
        return too_young(proof, mark, &nearest, error);
    BR_TRY(nearest_below(proof, ">", mark->sequence, &nearest, error));
    if (nearest.sequence == UINT64_MAX)
        return BR_OK;
    if (nearest.timestamp.us > trail->youngest_us && proof->doubt[0] != '\0')
        return too_young(proof, mark, &nearest, error);
    proof->speaks |= nearest.timestamp.us <= mark->time_us;
    if (nearest.timestamp.us > mark->time_us && proof->doubt[0] == '\0')
        snprintf(proof->doubt, sizeof proof->doubt,
                 "the message that was read at sequence %" PRIu64
                 " is gone, and the one before it, at sequence %" PRIu64 ", was stored later",
                 mark->sequence, nearest.sequence);
    return BR_OK;
}

static enum br_status look(struct proof *proof, uint64_t from, struct br_error *error) {
    bool newest = proof->trail->count == 0;
    proof->speaks = newest;
    if (!newest)
        BR_TRY(check_marks(proof, &newest, error));
    if (!newest)
        BR_TRY(check_neighbours(proof, error));
    if (!proof->speaks)
        snprintf(proof->doubt, sizeof proof->doubt,
                 "the messages that were read last are gone from it, and none that is there speaks for them");
    return check_passed(proof, from, error);
}

enum br_status br_trail_prove(const struct br_trail *trail, struct br_log *log, const char *stream, const char *filter,
                              uint64_t from, bool *warned, struct br_error *error) {
    struct proof proof = {.trail = trail, .log = log, .stream = stream, .filter = filter};
    enum br_status status = look(&proof, from, error);
    br_buffer_free(&proof.copy);
    if (status != BR_OK && error->native != BR_LOG_NOT_PERMITTED)
        return status;
    if (status != BR_OK)
        snprintf(proof.doubt, sizeof proof.doubt, "%s", error->message);
    bool proven = proof.doubt[0] == '\0';
    if (!proven && !*warned)
        br_log_line(BR_LEVEL_WARN, "whether the stream is still the one that was read can't be proven",
                    BR_STR("stream", stream), BR_STR("filter", filter), BR_INT("read_to", trail->read_to),
                    BR_STR("why", proof.doubt));
    *warned |= !proven;
    return BR_OK;
}
