// SPDX-License-Identifier: Apache-2.0
// The simulated server: streams in memory, with the same rules as JetStream's for sequences, subjects, fences and
// batches. Everything stored lives in the sim's arena until the sim is destroyed, so that a reader's borrowed messages
// outlive a purge. See simulated.h.
#include "processor/log/simulated_internal.h"

#include <xxhash.h>

#define TABLE_SIZE_MIN 64

static struct br_slice subject_of(const struct sim_stream *stream, uint64_t sequence) {
    return stream->slots[sequence - 1].message.subject;
}

// Where the subject stands in the table, or the free place where it would.
static size_t table_find(const struct sim_stream *stream, struct br_slice subject) {
    size_t mask = stream->table_size - 1;
    size_t at = (size_t)XXH3_64bits(subject.ptr, subject.len) & mask;
    while (stream->last_by_subject[at] != 0 &&
           !br_slice_equal(subject_of(stream, stream->last_by_subject[at]), subject))
        at = (at + 1) & mask;
    return at;
}

static void table_reset(struct sim_stream *stream, size_t size) {
    free(stream->last_by_subject);
    stream->last_by_subject = br_calloc(size, sizeof *stream->last_by_subject);
    stream->table_size = size;
    stream->table_used = 0;
}

static void table_note(struct sim_stream *stream, uint64_t sequence) {
    if (stream->table_used * 2 >= stream->table_size) {
        uint64_t *old = stream->last_by_subject;
        size_t old_size = stream->table_size;
        stream->last_by_subject = NULL;
        table_reset(stream, old_size == 0 ? TABLE_SIZE_MIN : old_size * 2);
        for (size_t i = 0; i < old_size; i++) {
            if (old[i] != 0) {
                stream->last_by_subject[table_find(stream, subject_of(stream, old[i]))] = old[i];
                stream->table_used++;
            }
        }
        free(old);
    }
    size_t at = table_find(stream, subject_of(stream, sequence));
    if (stream->last_by_subject[at] == 0)
        stream->table_used++;
    stream->last_by_subject[at] = sequence;
}

static void table_rebuild(struct sim_stream *stream) {
    table_reset(stream, TABLE_SIZE_MIN);
    for (size_t i = 0; i < stream->slot_count; i++)
        if (!stream->slots[i].gone)
            table_note(stream, i + 1);
}

struct sim_stream *br_sim_stream_find(struct br_sim *sim, const char *name) {
    for (size_t i = 0; i < sim->stream_count; i++)
        if (strcmp(sim->streams[i]->name, name) == 0)
            return sim->streams[i];
    return NULL;
}

struct sim_stream *br_sim_stream_of_subject(struct br_sim *sim, struct br_slice subject) {
    for (size_t i = 0; i < sim->stream_count; i++)
        for (size_t j = 0; j < sim->streams[i]->subject_count; j++)
            if (br_subject_matches(br_slice_of(sim->streams[i]->subjects[j]), subject))
                return sim->streams[i];
    return NULL;
}

static enum br_status add_subject(struct br_sim *sim, struct sim_stream *stream, const char *subject,
                                  struct br_error *error) {
    if (!br_subject_valid(br_slice_of(subject), true))
        return br_error_set(error, BR_FATAL, "\"%s\" is no subject", subject);
    for (size_t i = 0; i < stream->subject_count; i++)
        if (br_subject_covers(br_slice_of(stream->subjects[i]), br_slice_of(subject)))
            return BR_OK;
    for (size_t i = 0; i < sim->stream_count; i++) {
        const struct sim_stream *other = sim->streams[i];
        for (size_t j = 0; other != stream && j < other->subject_count; j++)
            if (br_subject_overlaps(br_slice_of(other->subjects[j]), br_slice_of(subject)))
                return br_error_set(error, BR_FATAL,
                                    "stream %s can't hold the subject '%s': it overlaps '%s' of stream %s",
                                    stream->name, subject, other->subjects[j], other->name);
    }
    stream->subjects = br_realloc(stream->subjects, (stream->subject_count + 1) * sizeof *stream->subjects);
    stream->subjects[stream->subject_count++] = br_strdup(subject);
    return BR_OK;
}

enum br_status br_sim_stream_widen(struct br_sim *sim, struct sim_stream *stream, const char *const *subjects,
                                   size_t count, struct br_error *error) {
    for (size_t i = 0; i < count; i++)
        BR_TRY(add_subject(sim, stream, subjects[i], error));
    return BR_OK;
}

// Ascending and never twice the same, as a server's nanoseconds are.
static struct br_wall_time stamp(struct br_sim *sim) {
    int64_t now_us = sim_wall_us(sim);
    sim->last_stored_us = now_us > sim->last_stored_us ? now_us : sim->last_stored_us + 1;
    return (struct br_wall_time){sim->last_stored_us};
}

enum br_status br_sim_stream_add(struct br_sim *sim, const char *name, const char *const *subjects, size_t count,
                                 struct sim_stream **ret_stream, struct br_error *error) {
    struct sim_stream *stream = br_calloc(1, sizeof *stream);
    if (strlen(name) >= sizeof stream->name || br_sim_stream_find(sim, name) != NULL) {
        free(stream);
        return br_error_set(error, BR_FATAL, "stream name %s is too long or already in use", name);
    }
    strcpy(stream->name, name);
    stream->first_sequence = 1;
    stream->replicas = 1;
    enum br_status status = br_sim_stream_widen(sim, stream, subjects, count, error);
    if (status != BR_OK) {
        br_sim_stream_destroy(stream);
        return status;
    }
    stream->created = stamp(sim);
    table_reset(stream, TABLE_SIZE_MIN);
    sim->streams = br_realloc(sim->streams, (sim->stream_count + 1) * sizeof(struct sim_stream *));
    sim->streams[sim->stream_count++] = stream;
    *ret_stream = stream;
    return BR_OK;
}

void br_sim_stream_destroy(struct sim_stream *stream) {
    for (size_t i = 0; i < stream->subject_count; i++)
        free(stream->subjects[i]);
    free(stream->subjects);
    free(stream->slots);
    free(stream->last_by_subject);
    free(stream);
}

struct br_log_message *br_sim_messages_copy(struct br_sim *sim, const struct br_log_message *messages, size_t count) {
    struct br_log_message *copies = br_arena_array(sim->arena, struct br_log_message, count);
    for (size_t i = 0; i < count; i++) {
        const struct br_log_message *message = &messages[i];
        struct br_log_header *headers = NULL;
        if (message->header_count != 0)
            headers = br_arena_array(sim->arena, struct br_log_header, message->header_count);
        for (uint32_t j = 0; j < message->header_count; j++) {
            headers[j].name = br_arena_copy(sim->arena, message->headers[j].name);
            headers[j].value = br_arena_copy(sim->arena, message->headers[j].value);
        }
        copies[i] = (struct br_log_message){
            .subject = br_arena_copy(sim->arena, message->subject),
            .payload = br_arena_copy(sim->arena, message->payload),
            .headers = headers,
            .header_count = message->header_count,
            .fenced = message->fenced,
            .expected_sequence = message->expected_sequence,
        };
    }
    return copies;
}

static size_t stored_size(const struct br_log_message *message) {
    size_t size = message->subject.len + message->payload.len;
    for (uint32_t i = 0; i < message->header_count; i++)
        size += message->headers[i].name.len + message->headers[i].value.len;
    return size;
}

static void remove_slot(struct sim_stream *stream, uint64_t sequence) {
    struct sim_slot *slot = &stream->slots[sequence - 1];
    slot->replaced_by = 0;
    if (slot->gone)
        return;
    stream->message_count--;
    stream->bytes -= stored_size(&slot->message);
    slot->gone = true;
}

// An empty stream's first is last + 1; otherwise it is that of the first message that is there.
static void skip_gone(struct sim_stream *stream) {
    while (stream->first_sequence <= stream->last_sequence && stream->slots[stream->first_sequence - 1].gone)
        stream->first_sequence++;
}

// `former` is the last one on the new message's subject before it, the newest of the stream.
static void drop_replaced(struct sim_stream *stream, uint64_t former) {
    struct br_slice subject = subject_of(stream, former);
    uint64_t kept = 1;
    for (uint64_t sequence = former; sequence >= stream->first_sequence && sequence > 0; sequence--) {
        if (stream->slots[sequence - 1].gone || !br_slice_equal(subject_of(stream, sequence), subject))
            continue;
        if (kept++ < stream->max_per_subject)
            continue;
        remove_slot(stream, sequence);
        stream->slots[sequence - 1].replaced_by = stream->last_sequence;
        return;
    }
}

// The message is in the arena already. fenced: it was appended.
static void store_copied(struct br_sim *sim, struct sim_stream *stream, const struct br_log_message *message,
                         bool fenced) {
    if (stream->slot_count == stream->slot_capacity) {
        stream->slot_capacity = stream->slot_capacity == 0 ? 256 : stream->slot_capacity * 2;
        stream->slots = br_realloc(stream->slots, stream->slot_capacity * sizeof *stream->slots);
    }
    BR_CHECK(stream->slot_count == stream->last_sequence);
    const struct br_log_message *last =
        stream->max_per_subject != 0 ? br_sim_stream_last(stream, message->subject) : NULL;
    uint64_t former = last == NULL ? 0 : last->sequence;
    struct sim_slot *slot = &stream->slots[stream->slot_count++];
    *slot = (struct sim_slot){.message = *message};
    slot->message.fenced = fenced;
    slot->message.expected_sequence = 0;
    slot->message.sequence = ++stream->last_sequence;
    slot->message.timestamp = stamp(sim);
    stream->message_count++;
    stream->bytes += stored_size(message);
    table_note(stream, stream->last_sequence);
    if (former != 0)
        drop_replaced(stream, former);
    skip_gone(stream);
    sim->touched = true;
}

void br_sim_stream_store(struct br_sim *sim, struct sim_stream *stream, const struct br_log_message *message) {
    store_copied(sim, stream, br_sim_messages_copy(sim, message, 1), false);
}

const struct br_log_message *br_sim_stream_get(const struct sim_stream *stream, uint64_t sequence) {
    if (sequence == 0 || sequence > stream->last_sequence || stream->slots[sequence - 1].gone)
        return NULL;
    return &stream->slots[sequence - 1].message;
}

const struct br_log_message *br_sim_stream_last(const struct sim_stream *stream, struct br_slice subject) {
    if (br_subject_valid(subject, false)) {
        uint64_t sequence = stream->last_by_subject[table_find(stream, subject)];
        return sequence == 0 ? NULL : &stream->slots[sequence - 1].message;
    }
    for (uint64_t sequence = stream->last_sequence; sequence >= stream->first_sequence && sequence > 0; sequence--) {
        const struct br_log_message *message = br_sim_stream_get(stream, sequence);
        if (message != NULL && br_subject_matches(subject, message->subject))
            return message;
    }
    return NULL;
}

const struct br_log_message *br_sim_stream_next(const struct sim_stream *stream, struct br_slice subject,
                                                uint64_t sequence) {
    sequence = sequence < stream->first_sequence ? stream->first_sequence : sequence;
    for (; sequence <= stream->last_sequence; sequence++) {
        const struct br_log_message *message = br_sim_stream_get(stream, sequence);
        if (message != NULL && br_subject_matches(subject, message->subject))
            return message;
    }
    return NULL;
}

void br_sim_stream_describe(const struct sim_stream *stream, struct br_stream_info *ret_info) {
    *ret_info = (struct br_stream_info){
        .created = stream->created,
        .first_sequence = stream->first_sequence,
        .last_sequence = stream->last_sequence,
        .message_count = stream->message_count,
        .bytes = stream->bytes,
        .replicas = stream->replicas,
        .allow_atomic = stream->allow_atomic,
        .max_age_us = stream->max_age_us,
        .max_messages = stream->max_messages,
        .max_per_subject = stream->max_per_subject,
    };
    strcpy(ret_info->name, stream->name);
}

static bool fence_holds(const struct sim_stream *stream, struct br_slice subject, uint64_t expected_sequence) {
    const struct br_log_message *last = br_sim_stream_last(stream, subject);
    return (last == NULL ? 0 : last->sequence) == expected_sequence;
}

bool br_sim_stream_append(struct br_sim *sim, struct sim_stream *stream, const struct br_log_message *messages,
                          size_t count, uint64_t expected_sequence) {
    if (!fence_holds(stream, messages[count - 1].subject, expected_sequence))
        return false;
    for (size_t i = 0; i + 1 < count; i++)
        if (messages[i].fenced && !fence_holds(stream, messages[i].subject, messages[i].expected_sequence))
            return false;
    struct br_log_message *copies = br_sim_messages_copy(sim, messages, count);
    for (size_t i = 0; i < count; i++)
        store_copied(sim, stream, &copies[i], true);
    return true;
}

// --- faults made by hand

static void settle(struct sim_stream *stream) {
    skip_gone(stream);
    table_rebuild(stream);
}

static struct sim_stream *must_find(struct br_sim *sim, const char *name) {
    struct sim_stream *stream = br_sim_stream_find(sim, name);
    BR_CHECK(stream != NULL);
    return stream;
}

void br_sim_purge(struct br_sim *sim, const char *name, uint64_t first_kept) {
    struct sim_stream *stream = must_find(sim, name);
    for (uint64_t sequence = stream->first_sequence; sequence < first_kept && sequence <= stream->last_sequence;
         sequence++)
        remove_slot(stream, sequence);
    settle(stream);
}

// What was replaced by messages that are lost is there again.
static void bring_back(struct sim_stream *stream) {
    for (uint64_t sequence = stream->last_sequence; sequence > 0; sequence--) {
        struct sim_slot *slot = &stream->slots[sequence - 1];
        if (slot->replaced_by <= stream->last_sequence)
            continue;
        slot->gone = false;
        slot->replaced_by = 0;
        stream->message_count++;
        stream->bytes += stored_size(&slot->message);
        stream->first_sequence = sequence < stream->first_sequence ? sequence : stream->first_sequence;
    }
}

void br_sim_forget_after(struct br_sim *sim, const char *name, uint64_t last_kept) {
    struct sim_stream *stream = must_find(sim, name);
    while (stream->last_sequence > last_kept) {
        remove_slot(stream, stream->last_sequence);
        stream->last_sequence--;
        stream->slot_count--;
    }
    if (stream->first_sequence > stream->last_sequence + 1)
        stream->first_sequence = stream->last_sequence + 1;
    bring_back(stream);
    stream->restarts++;
    settle(stream);
}

void br_sim_stream_purge(struct sim_stream *stream, struct br_slice subject) {
    for (uint64_t sequence = stream->first_sequence; sequence <= stream->last_sequence; sequence++) {
        const struct br_log_message *message = br_sim_stream_get(stream, sequence);
        if (message != NULL && br_subject_matches(subject, message->subject))
            remove_slot(stream, sequence);
    }
    settle(stream);
}

void br_sim_delete(struct br_sim *sim, const char *name, uint64_t sequence) {
    struct sim_stream *stream = must_find(sim, name);
    if (br_sim_stream_get(stream, sequence) != NULL)
        remove_slot(stream, sequence);
    settle(stream);
}

void br_sim_recreate(struct br_sim *sim, const char *name) {
    struct sim_stream *stream = must_find(sim, name);
    size_t kept = 0;
    for (size_t i = 0; i < sim->late_count; i++) // what was on its way to the former one goes nowhere
        if (sim->late[i].stream != stream)
            sim->late[kept++] = sim->late[i];
    sim->late_count = kept;
    stream->created = stamp(sim);
    stream->first_sequence = 1;
    stream->last_sequence = stream->message_count = stream->bytes = 0;
    stream->slot_count = 0;
    table_reset(stream, TABLE_SIZE_MIN);
}

void br_sim_set_limits(struct br_sim *sim, const char *name, int64_t max_age_us, uint64_t max_messages) {
    struct sim_stream *stream = must_find(sim, name);
    stream->max_age_us = max_age_us;
    stream->max_messages = max_messages;
}

void br_sim_keep_per_subject(struct br_sim *sim, const char *name, uint64_t count) {
    struct sim_stream *stream = must_find(sim, name);
    BR_CHECK(stream->last_sequence == 0);
    stream->max_per_subject = count;
}
