// SPDX-License-Identifier: Apache-2.0
// See trail.h.
#include "processor/log/trail.h"

#include "base/logging.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <xxhash.h>

#define NEIGHBOURS_MAX 32 // looked at above the first one found (T3)

// --- marks

static uint64_t hash_on(uint64_t hash, struct br_slice bytes) {
    return XXH3_64bits_withSeed(bytes.ptr, bytes.len, hash);
}

struct br_fingerprint br_fingerprint_of(const struct br_log_message *message) {
    uint64_t hash = hash_on(0, message->subject);
    for (uint32_t i = 0; i < message->header_count; i++)
        hash = hash_on(hash_on(hash, message->headers[i].name), message->headers[i].value);
    hash = hash_on(hash, message->payload);
    return (struct br_fingerprint){message->sequence, message->timestamp.us, hash == 0 ? 1 : hash};
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

// --- the proof

struct proof {
    const struct br_trail *trail;
    struct br_log *log;
    const char *stream, *filter;
    struct br_buffer copy;
};

static enum br_status changed(const struct proof *proof, const struct br_fingerprint *mark,
                              const struct br_fingerprint *now, struct br_error *error) {
    char was[BR_FINGERPRINT_TEXT_SIZE], is[BR_FINGERPRINT_TEXT_SIZE];
    br_fingerprint_print(mark, was);
    br_fingerprint_print(now, is);
    return br_error_set_native(error, BR_FATAL, BR_LOG_CHANGED,
                               "stream %s has changed at sequence %" PRIu64
                               ": the message that was read there (%s) is another one now (%s). The stream went back, "
                               "and was filled up again",
                               proof->stream, mark->sequence, was, is);
}

// *ret_found: a mark's message is still there, and is that message.
static enum br_status find_mark(struct proof *proof, bool *ret_found, struct br_error *error) {
    struct br_log_message message;
    *ret_found = false;
    for (uint32_t i = proof->trail->count; i > 0 && !*ret_found; i--) {
        const struct br_fingerprint *mark = &proof->trail->marks[i - 1];
        BR_TRY(br_log_get(proof->log, proof->stream, mark->sequence, &proof->copy, &message, ret_found, error));
        struct br_fingerprint now = *ret_found ? br_fingerprint_of(&message) : (struct br_fingerprint){0};
        if (*ret_found && br_fingerprint_differs(mark, &now))
            return changed(proof, mark, &now, error);
    }
    return BR_OK;
}

static enum br_status next_message(struct proof *proof, const char *filter, uint64_t from,
                                   struct br_fingerprint *ret_next, struct br_error *error) {
    struct br_log_message message;
    bool found;
    BR_TRY(br_log_next(proof->log, proof->stream, filter, from, &proof->copy, &message, &found, error));
    *ret_next = found ? br_fingerprint_of(&message) : (struct br_fingerprint){0};
    return BR_OK;
}

// T4
static enum br_status check_passed(struct proof *proof, uint64_t from, struct br_error *error) {
    struct br_fingerprint next;
    uint64_t read_to = proof->trail->read_to;
    if (from <= read_to + 1)
        return BR_OK;
    BR_TRY(next_message(proof, proof->filter, read_to + 1, &next, error));
    if (next.sequence == 0 || next.sequence >= from)
        return BR_OK;
    char is[BR_FINGERPRINT_TEXT_SIZE];
    br_fingerprint_print(&next, is);
    return br_error_set_native(error, BR_FATAL, BR_LOG_CHANGED,
                               "stream %s has changed at sequence %" PRIu64 ": a message on '%s' (%s) stands there, "
                               "and there was none when everything up to sequence %" PRIu64
                               " had been looked through. The stream went back, and was filled up again",
                               proof->stream, next.sequence, proof->filter, is, from - 1);
}

// T3: the nearest message that is still there below the newest mark is no younger than it. Looks back twice as far each
// time, then forward over what lies between.
static enum br_status find_older(struct proof *proof, bool *ret_found, struct br_error *error) {
    const struct br_fingerprint *mark = &proof->trail->marks[proof->trail->count - 1];
    struct br_fingerprint next = {0};
    uint64_t from = mark->sequence;
    *ret_found = false;
    for (uint64_t back = 1; from > 1 && (next.sequence == 0 || next.sequence >= mark->sequence); back *= 2) {
        from = from > back ? from - back : 1;
        BR_TRY(next_message(proof, ">", from, &next, error));
    }
    for (int i = 0; i < NEIGHBOURS_MAX && next.sequence != 0 && next.sequence < mark->sequence; i++) {
        *ret_found = next.time_us <= mark->time_us;
        if (!*ret_found)
            return BR_OK;
        BR_TRY(next_message(proof, ">", next.sequence + 1, &next, error));
    }
    return BR_OK;
}

static enum br_status look(struct proof *proof, uint64_t from, bool *ret_proven, struct br_error *error) {
    *ret_proven = proof->trail->count == 0;
    if (!*ret_proven)
        BR_TRY(find_mark(proof, ret_proven, error));
    if (!*ret_proven)
        BR_TRY(find_older(proof, ret_proven, error));
    return check_passed(proof, from, error);
}

enum br_status br_trail_prove(const struct br_trail *trail, struct br_log *log, const char *stream, const char *filter,
                              uint64_t from, bool *warned, struct br_error *error) {
    struct proof proof = {trail, log, stream, filter, {0}};
    struct br_error why = {
        .message = "the messages that were read last are gone from it, and none that is there speaks for them"};
    bool proven = false;
    enum br_status status = look(&proof, from, &proven, error);
    br_buffer_free(&proof.copy);
    if (status != BR_OK && error->native != BR_LOG_NOT_PERMITTED)
        return status;
    if (status != BR_OK) {
        why = *error;
        proven = false;
    }
    if (!proven && !*warned)
        br_log_line(BR_LEVEL_WARN, "whether the stream is still the one that was read can't be proven",
                    BR_STR("stream", stream), BR_STR("filter", filter), BR_INT("read_to", trail->read_to),
                    BR_STR("why", why.message));
    *warned |= !proven;
    return BR_OK;
}
