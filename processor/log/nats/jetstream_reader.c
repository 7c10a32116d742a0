// SPDX-License-Identifier: Apache-2.0
// A reader: an ordered push consumer, or one that is pulled from (R5), on a connection that it may share (L5,
// jetstream_link.c).
//
// R1. The server pushes messages to a subject of ours, without acknowledgements. Every message's reply subject tells
// its
//     place: "$JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<time, ns>.<pending>"
//     (newer form: "<domain>.<account>." before the stream). Consumer sequences are without gaps; one that isn't the
//     next, a heartbeat that is ahead of us, silence, or a new connection make us leave the consumer and make another
//     at `next`.
//
// R2. `next` is the sequence that the stream must still be able to give us: one more than the last message received, or
//     what the server's heartbeat says it has looked through (Nats-Last-Stream) when that is more.
//
// R3. When a consumer is made, when stream sequences were left out, and when `pending` falls by more than was
// delivered,
//     the stream is asked whether it is still the same and still begins before what was left out. A no is fatal: some
//     of that was purged, and nobody can tell whether it was ours. Whoever reads from the beginning of a stream that
//     drops its oldest messages all the time runs beside that edge at first; until it has left the edge behind, what is
//     dropped is not missed.
//
//     A reader of what is replaced (br_reader_open_replaced) misses nothing of a stream that keeps the newest messages
//     of each subject and has no other limit: what is gone there was replaced. After a no, what was received from
//     before what is missing is shown as long as it is consumed; then the no is told.
//
// R4. Memory: messages stay in the blocks they arrived in, or were copied to (K4), until released. Beyond queue_bytes
//     nothing more is asked for. A consumer that pushes has its link for itself: nothing more is received, and the
//     reply to the server's flow control request is held back; the rest of its window (up to 32 MiB) waits in the
//     socket and at the server. Whoever looks again without having consumed anything needs more (a recorded epoch may
//     be larger than the queue), and so does the check of R3, whose reply comes behind messages: then more is received
//     or asked for, up to HELD_BYTES_OVER_MAX.
//
// R5. What a consumer that pushes may have in flight, the server makes in one go: 2 to 32 MiB, tens of milliseconds in
//     which whoever else works on the stream waits, and so does whoever shares the connection. With ask_messages
//     (br_connect_options), or on a link that is shared (K3), the consumer is one that is pulled from, so little at a
//     time that the server is soon done, and again when half of it has come: a thread that gets no processor asks for
//     nothing. All of the rest is the same. What was asked for and has not come is `asked`; heartbeats come only while
//     that isn't 0. On a shared link, `asked` times typical_bytes is at most the reader's share.
//
// R6. Each consumer is a new look at the stream. To a reader that proves (log.h, L6) what it gives isn't shown before
//     the stream has been found to be the one that was read: `doubted` from the making of the consumer on.
//
// R7. Nothing is awaited in silence. What keeps a reader from reading is its trouble (log.h): no connection, a refusal,
// a
//     permission. And a consumer can stand, with heartbeats, on a stream that has come to hold the subject no more: the
//     stream is asked now and then.
//
// States: WAITING for the connection -> CREATING -> STREAMING -> ENDED (stop sequence reached), FAILED (sticky).
// STREAMING and CREATING fall back to WAITING when the connection is lost or the consumer must be made anew.
#define _GNU_SOURCE // memmem
#include "processor/log/nats/jetstream_internal.h"

#include "base/logging.h"

#include <stdio.h>

#define COPY_SIZE (64 * 1024)                  // K4
#define HELD_BYTES_OVER_MAX (size_t)(64 << 20) // beyond queue_bytes, when more is needed (R4)
#define MESSAGE_OVERHEAD 256                   // bytes that a message costs besides its payload
#define HEARTBEAT_US BR_US_PER_SECOND
#define SILENCE_US_MAX (3 * HEARTBEAT_US)
#define INACTIVE_NS INT64_C(30000000000) // the server drops a consumer that nobody listens to
#define CHECK_AGAIN_US INT64_C(250000)   // between the two looks of R3
#define CHECK_EVERY_US INT64_C(100000)
#define ASK_TYPICAL_BYTES 1024                 // R5: of larger messages, fewer are asked for
#define ASK_NS INT64_C(10000000000)            // for how long the server waits for messages
#define FAILED_SHOWN_US (2 * BR_US_PER_SECOND) // R3
#define LOOK_EVERY_US (5 * BR_US_PER_SECOND)   // R7
#define PAUSE_US_MIN INT64_C(50000)
#define PAUSE_US_MAX (2 * BR_US_PER_SECOND)

enum reader_state { READER_WAITING, READER_CREATING, READER_STREAMING, READER_ENDED, READER_FAILED };

struct js_reader {
    struct br_reader base;
    struct js_log *log;
    struct js_link *link;
    size_t slot;
    struct js_reader *next_reader;
    enum reader_state state;
    struct br_error error;   // FAILED: why
    struct br_error passing; // why the last attempt to make a consumer failed; message "": it didn't
    struct js_denial denial; // R7
    bool subject_gone;       // R7
    int64_t look_us;         // when to ask for it again
    char stream[256];
    char *filter;
    uint64_t next;               // R2
    uint64_t stop;               // 0: none
    bool replaced;               // R3
    uint64_t failed_from;        // FAILED: nothing from here on is shown
    int64_t progress_us;         // FAILED: since when, or when something was consumed last
    struct br_wall_time created; // us INT64_MIN: not known yet

    // the consumer
    uint64_t connection_id, generation; // generation: in the subjects and the sid
    bool pulled;                        // R5
    int64_t created_us;                 // when it was asked for
    char consumer[64];
    char deliver[BR_INBOX_PREFIX_MAX + 128];
    uint64_t consumer_sequence; // of the last message received
    uint64_t pending;           // that the server still has for us
    bool pending_known;
    size_t ack_prefix_len; // of "$JS.ACK.….": the same for all messages of a consumer; 0: none seen yet
    char ack_prefix[512];
    int64_t deadline_us; // WAITING: not before; CREATING: reply; STREAMING: heartbeat
    int64_t pause_us;
    char held_reply[160];   // the flow control reply that is held back, "" when none
    uint64_t asked;         // R5
    uint64_t typical_bytes; // that a message costs

    // the checks of R3
    bool checked; // since the consumer was made
    bool check_waiting;
    uint64_t check_next; // `next` when the look was asked for
    uint64_t gap_from;   // from here on something was left out; UINT64_MAX: nothing
    uint64_t edge;       // where the stream began at the last look; 0: not looked yet
    bool clear_of_edge;
    bool suspicious;  // the last look found `next` gone
    int64_t check_us; // when to look; INT64_MAX: no need
    int64_t last_check_us;

    // what was received
    struct br_window window;
    uint64_t
        vouched_next; // while not settled: messages from this sequence on may be another stream's, and aren't shown
    bool doubted;     // a consumer was made since the reader was trusted (L6)
    size_t seen;      // of what is shown, known to the caller by the last peek
    size_t held_bytes;
    struct br_session_block *copies; // K4: what is being filled; NULL: none
    bool consumed, looked_again; // R4: something was, since the last peek; nothing of what the one before showed was
};

static struct js_reader *js_reader(struct br_reader *reader) {
    return (struct js_reader *)(void *)reader;
}

static void leave_consumer(struct js_reader *reader);

// Others may share the link: nothing more is to come for this one.
static void fail(struct js_reader *reader) {
    leave_consumer(reader);
    reader->state = READER_FAILED;
    reader->progress_us = br_session_now();
}

static void fail_before(struct js_reader *reader, uint64_t sequence) {
    reader->failed_from = sequence;
    fail(reader);
}

// What has been received may be shown: the stream was looked at since the consumer was made (R3), and still holds what
// was read of it.
static bool is_settled(const struct js_reader *reader) {
    return reader->checked && !(reader->doubted && reader->base.proves);
}

// --- making a consumer

// Of a reply (K2).
static void subject_of(const struct js_reader *reader, char kind, char *text, size_t size) {
    snprintf(text, size, "%s.r.%zu.%c%llu", reader->link->inbox, reader->slot, kind,
             (unsigned long long)reader->generation);
}

// A request to JetStream's API.
static void ask_api(struct js_reader *reader, const char *asked, const char *reply, const char *text) {
    char subject[JS_API_SUBJECT_SIZE];
    br_js_api_subject(&reader->log->base, asked, subject, sizeof subject);
    br_session_publish(&reader->link->session, br_slice_of(subject), reply, (struct br_slice){NULL, 0},
                       br_slice_of(text));
}

// Replies are heard on the connection that there is now.
static void ensure_subscribed(struct js_reader *reader, int64_t now_us) {
    struct js_link *link = reader->link;
    // Again when the server refused something: what stands isn't changed by it.
    if (link->subscribed_id != link->session.connection_id || br_js_denied(&reader->denial, now_us))
        br_js_link_subscribe(link);
}

static void request_info(struct js_reader *reader, int64_t now_us) {
    char asked[300], reply[BR_INBOX_PREFIX_MAX + 128];
    ensure_subscribed(reader, now_us);
    snprintf(asked, sizeof asked, "STREAM.INFO.%s", reader->stream);
    subject_of(reader, 'i', reply, sizeof reply);
    ask_api(reader, asked, reply, "");
    reader->check_waiting = true;
    reader->check_next = reader->next;
    reader->last_check_us = now_us;
    reader->check_us = INT64_MAX;
}

static json_t *consumer_config(const struct js_reader *reader) {
    bool all = reader->next <= 1;
    json_t *config =
        json_pack("{s:s, s:s, s:s, s:i, s:b, s:i, s:I, s:s}", "deliver_policy", all ? "all" : "by_start_sequence",
                  "ack_policy", "none", "filter_subject", reader->filter, "max_deliver", 1, "mem_storage", 1,
                  "num_replicas", 1, "inactive_threshold", (json_int_t)INACTIVE_NS, "replay_policy", "instant");
    if (config != NULL && !all)
        json_object_set_new(config, "opt_start_seq", json_integer((json_int_t)reader->next));
    if (config != NULL && !reader->pulled) {
        json_object_set_new(config, "deliver_subject", json_string(reader->deliver));
        json_object_set_new(config, "flow_control", json_true());
        json_object_set_new(config, "idle_heartbeat", json_integer((json_int_t)(HEARTBEAT_US * 1000)));
    }
    return json_pack("{s:s, s:o}", "stream_name", reader->stream, "config", config);
}

// What it still sends is not ours any more: the next one has another sid.
static void leave_consumer(struct js_reader *reader) {
    char asked[400];
    bool subscribed = reader->state == READER_CREATING || reader->state == READER_STREAMING;
    if (subscribed && br_session_is_up(&reader->link->session))
        br_session_unsubscribe(&reader->link->session, br_js_link_sid(reader->slot, reader->generation));
    if (reader->consumer[0] != '\0' && br_session_is_up(&reader->link->session)) {
        snprintf(asked, sizeof asked, "CONSUMER.DELETE.%s.%s", reader->stream, reader->consumer);
        ask_api(reader, asked, NULL, "");
    }
    reader->consumer[0] = '\0';
    reader->generation++;
}

static void create_consumer(struct js_reader *reader, int64_t now_us) {
    char asked[300], reply[BR_INBOX_PREFIX_MAX + 128];
    reader->connection_id = reader->link->session.connection_id;
    ensure_subscribed(reader, now_us);
    snprintf(reader->deliver, sizeof reader->deliver, "%s.d.%zu.%llu", reader->link->inbox, reader->slot,
             (unsigned long long)reader->generation);
    br_session_subscribe(&reader->link->session, reader->deliver, br_js_link_sid(reader->slot, reader->generation));
    reader->pulled = reader->log->ask_messages != 0 || reader->link->shared;
    reader->created_us = now_us;
    BR_JS_AUTO json_t *config = consumer_config(reader);
    BR_AUTO_FREE char *text = config == NULL ? NULL : json_dumps(config, JSON_COMPACT);
    if (text == NULL) {
        br_error_set(&reader->error, BR_FATAL, "the subject '%s' or the stream name %s is not valid UTF-8",
                     reader->filter, reader->stream);
        fail(reader);
        return;
    }
    reader->consumer_sequence = 0;
    reader->pending_known = false;
    reader->ack_prefix_len = 0;
    reader->held_reply[0] = '\0';
    reader->asked = 0;
    if (is_settled(reader))
        reader->vouched_next = reader->next;
    reader->checked = false;
    reader->doubted = true;
    reader->state = READER_CREATING;
    reader->deadline_us = now_us + reader->log->timeout_us;
    snprintf(asked, sizeof asked, "CONSUMER.CREATE.%s", reader->stream);
    subject_of(reader, 'c', reply, sizeof reply);
    ask_api(reader, asked, reply, text);
    request_info(reader, now_us);
    br_session_flush(&reader->link->session, now_us);
}

// Makes a new consumer at `next` after a pause.
static void start_again(struct js_reader *reader, const char *why, int64_t now_us) {
    char from[32];
    snprintf(from, sizeof from, "%llu", (unsigned long long)reader->next);
    br_log_paced(&reader->log->base.again_pace, BR_LEVEL_INFO, "reading starts again", BR_STR("stream", reader->stream),
                 BR_STR("from", from), BR_STR("why", why));
    leave_consumer(reader);
    reader->state = READER_WAITING;
    reader->deadline_us = now_us + reader->pause_us;
    reader->pause_us = reader->pause_us * 2 > PAUSE_US_MAX ? PAUSE_US_MAX : reader->pause_us * 2;
}

// Is it said of what this reader publishes or subscribes to? Of its stream's, or of the link's.
static bool concerns(const struct js_reader *reader, struct br_slice subject) {
    size_t inbox = strlen(reader->link->inbox), stream = strlen(reader->stream);
    if (subject.len > inbox && memcmp(subject.ptr, reader->link->inbox, inbox) == 0)
        return br_slice_is(subject, reader->deliver) || subject.ptr[subject.len - 1] == '>';
    const uint8_t *at = memmem(subject.ptr, subject.len, reader->stream, stream), *end = subject.ptr + subject.len;
    return at != NULL && at > subject.ptr && at[-1] == '.' && (at + stream == end || at[stream] == '.');
}

// R7
void br_js_reader_take_denial(struct js_reader *reader, bool publishing, struct br_slice subject) {
    if (!concerns(reader, subject))
        return;
    br_js_note_denial(&reader->denial, publishing, subject);
    if (reader->state != READER_CREATING)
        return;
    br_error_set_native(&reader->passing, BR_RETRY, BR_LOG_NOT_PERMITTED,
                        "can't read '%s' from stream %s: the NATS server doesn't permit %s; allow it for this user",
                        reader->filter, reader->stream, reader->denial.what);
    start_again(reader, reader->passing.message, br_session_now());
}

static void ask_for_subject(struct js_reader *reader, int64_t now_us) {
    char asked[300], reply[BR_INBOX_PREFIX_MAX + 128];
    snprintf(asked, sizeof asked, "STREAM.INFO.%s", reader->stream);
    subject_of(reader, 'l', reply, sizeof reply);
    ask_api(reader, asked, reply, "");
    reader->look_us = now_us + LOOK_EVERY_US;
}

static void take_look(struct js_reader *reader, const struct br_session_message *message) {
    BR_JS_AUTO json_t *reply = json_loadb((const char *)message->payload.ptr, message->payload.len, 0, NULL);
    if (br_session_status(message->headers) != JS_NO_RESPONDERS && br_js_error_code(reply) == 0)
        reader->subject_gone = !br_js_may_hold(json_object_get(reply, "config"), reader->filter);
}

static void take_create_reply(struct js_reader *reader, const struct br_session_message *message, int64_t now_us) {
    char what[600];
    snprintf(what, sizeof what, "can't read '%s' from stream %s", reader->filter, reader->stream);
    if (br_session_status(message->headers) == JS_NO_RESPONDERS) {
        br_error_set(&reader->passing, BR_RETRY, "%s: JetStream doesn't answer", what);
        start_again(reader, reader->passing.message, now_us);
        return;
    }
    BR_JS_AUTO json_t *reply = json_loadb((const char *)message->payload.ptr, message->payload.len, 0, NULL);
    const char *name = json_string_value(json_object_get(reply, "name"));
    if (br_js_error_code(reply) != 0 || name == NULL) {
        if (br_js_api_error(reply, what, &reader->passing) == BR_RETRY) {
            start_again(reader, reader->passing.message, now_us);
        } else {
            reader->error = reader->passing;
            fail(reader);
        }
        return;
    }
    snprintf(reader->consumer, sizeof reader->consumer, "%s", name);
    reader->state = READER_STREAMING;
    reader->deadline_us = now_us + SILENCE_US_MAX;
    reader->pause_us = PAUSE_US_MIN;
    reader->passing.message[0] = '\0';
    ask_for_subject(reader, now_us);
    if (!reader->pending_known) {
        reader->pending = (uint64_t)json_integer_value(json_object_get(reply, "num_pending"));
        reader->pending_known = true;
    }
}

// --- R3

static void look_at(struct js_reader *reader, const struct br_stream_info *info, int64_t now_us) {
    if (reader->created.us == INT64_MIN)
        reader->created = info->created;
    if (br_log_check_same(info, reader->created, &reader->error) != BR_OK) {
        fail(reader);
        return;
    }
    // What came after the stream had looked moved `next` on: its end is judged by what was asked for.
    uint64_t next = reader->check_next;
    if (next < info->first_sequence)
        next = reader->next < info->first_sequence ? reader->next : info->first_sequence;
    bool lost_none = reader->replaced && info->max_per_subject != 0 && info->max_messages == 0 &&
                     info->max_bytes == 0 && info->max_age_us == 0 && info->message_count != 0;
    if (lost_none)
        reader->gap_from = UINT64_MAX;
    if (lost_none && next < info->first_sequence)
        next = info->first_sequence;
    if (reader->clear_of_edge && reader->gap_from < info->first_sequence &&
        br_log_check_position(info, reader->gap_from, &reader->error) != BR_OK) {
        fail_before(reader, reader->gap_from);
        return;
    }
    reader->gap_from = UINT64_MAX;
    // Clear: the lead is more than twice what the edge has moved since the last look.
    uint64_t lead = reader->check_next < info->first_sequence ? 0 : reader->check_next - info->first_sequence + 1;
    uint64_t moved = reader->edge == 0 ? 0 : info->first_sequence - reader->edge;
    reader->clear_of_edge = reader->clear_of_edge || lead > 2 * moved;
    reader->edge = info->first_sequence;
    if (br_log_check_position(info, next, &reader->error) == BR_OK) {
        reader->suspicious = false;
    } else if (reader->suspicious || reader->consumer_sequence == 0) {
        fail_before(reader, next); // nothing has come that could have been under way, or it stands
        return;
    } else {
        reader->suspicious = true;
        reader->check_us = now_us + CHECK_AGAIN_US;
    }
    reader->checked = true;
}

static void take_info_reply(struct js_reader *reader, const struct br_session_message *message, int64_t now_us) {
    struct br_stream_info info;
    struct br_error error;
    BR_JS_AUTO json_t *reply = json_loadb((const char *)message->payload.ptr, message->payload.len, 0, NULL);
    reader->check_waiting = false;
    if (br_session_status(message->headers) == JS_NO_RESPONDERS || br_js_error_code(reply) != 0 ||
        br_js_read_stream_info(reply, &info, &error) != BR_OK) {
        if (br_js_error_code(reply) == JS_ERROR_NO_STREAM) {
            br_error_set_native(&reader->error, BR_FATAL, JS_ERROR_NO_STREAM, "there is no stream %s", reader->stream);
            fail(reader);
        } else {
            reader->check_us = now_us + CHECK_AGAIN_US;
        }
        return;
    }
    look_at(reader, &info, now_us);
}

// Something after `next` was left out: a look whether the stream still has it, now and then. A message that was deleted
// singly leaves no trace there, and isn't missed.
static void want_check(struct js_reader *reader, int64_t now_us) {
    reader->gap_from = reader->gap_from < reader->next ? reader->gap_from : reader->next;
    int64_t at = reader->last_check_us + CHECK_EVERY_US;
    at = at < now_us ? now_us : at;
    if (now_us - reader->last_check_us > reader->log->timeout_us)
        reader->check_waiting = false; // the reply was lost
    if (!reader->check_waiting && at < reader->check_us)
        reader->check_us = at;
}

// --- messages

static void reply_flow_control(struct js_reader *reader, struct br_slice subject) {
    br_session_publish(&reader->link->session, subject, NULL, (struct br_slice){NULL, 0}, (struct br_slice){NULL, 0});
}

static void hold_or_reply(struct js_reader *reader, struct br_slice subject) {
    if (reader->held_bytes <= reader->log->queue_bytes) {
        reply_flow_control(reader, subject);
    } else if (subject.len < sizeof reader->held_reply) {
        memcpy(reader->held_reply, subject.ptr, subject.len);
        reader->held_reply[subject.len] = '\0';
    }
}

static void release_held_reply(struct js_reader *reader) {
    if (reader->held_reply[0] != '\0' && reader->held_bytes <= reader->log->queue_bytes &&
        br_session_is_up(&reader->link->session)) {
        reply_flow_control(reader, br_slice_of(reader->held_reply));
        br_session_flush(&reader->link->session, br_session_now());
        reader->held_reply[0] = '\0';
    }
}

static uint64_t header_number(struct br_slice headers, const char *name, bool *ret_found) {
    struct br_slice value;
    uint64_t number = 0;
    *ret_found = br_session_find_header(headers, name, &value);
    for (size_t i = 0; *ret_found && i < value.len && value.ptr[i] >= '0' && value.ptr[i] <= '9'; i++)
        number = number * 10 + (uint64_t)(value.ptr[i] - '0');
    return number;
}

static void take_heartbeat(struct js_reader *reader, struct br_slice headers, int64_t now_us) {
    struct br_slice stalled;
    bool has_consumer, has_stream;
    uint64_t consumer = header_number(headers, "Nats-Last-Consumer", &has_consumer);
    uint64_t stream = header_number(headers, "Nats-Last-Stream", &has_stream);
    if (has_consumer && consumer != reader->consumer_sequence) {
        start_again(reader, "messages are missing before a heartbeat", now_us);
        return;
    }
    if (br_session_find_header(headers, "Nats-Consumer-Stalled", &stalled)) {
        hold_or_reply(reader, stalled);
        return;
    }
    // The server had nothing to send when it wrote this.
    if (reader->pending_known && reader->pending != 0) {
        reader->pending = 0;
        want_check(reader, now_us);
    }
    if (has_consumer && has_stream && stream >= reader->next)
        reader->next = stream + 1;
}

struct place {
    uint64_t stream_sequence, consumer_sequence, time_ns, pending;
};

static bool take_number(const uint8_t **at, const uint8_t *end, uint64_t *ret_number) {
    const uint8_t *from = *at;
    uint64_t number = 0;
    while (*at < end && **at >= '0' && **at <= '9')
        number = number * 10 + (uint64_t)(*(*at)++ - '0');
    *ret_number = number;
    bool ok = *at > from && *at - from < 20;
    if (*at < end && **at == '.')
        (*at)++;
    return ok;
}

// Finds where the numbers begin: after 4 tokens of 9, or 6 of more.
static bool learn_ack_prefix(struct js_reader *reader, struct br_slice reply) {
    size_t dots = 0, seen = 0, len = 0;
    for (size_t i = 0; i < reply.len; i++)
        dots += reply.ptr[i] == '.';
    size_t tokens = dots == 8 ? 4 : 6;
    while (seen < tokens && len < reply.len)
        seen += reply.ptr[len++] == '.';
    if (dots < 8 || len > sizeof reader->ack_prefix || memcmp(reply.ptr, "$JS.ACK.", 8) != 0)
        return false;
    memcpy(reader->ack_prefix, reply.ptr, len);
    reader->ack_prefix_len = len;
    return true;
}

static bool parse_place(struct js_reader *reader, struct br_slice reply, struct place *ret) {
    size_t prefix = reader->ack_prefix_len;
    uint64_t delivered;
    if (prefix == 0 || reply.len <= prefix || memcmp(reply.ptr, reader->ack_prefix, prefix) != 0) {
        if (!learn_ack_prefix(reader, reply))
            return false;
        prefix = reader->ack_prefix_len;
    }
    const uint8_t *at = reply.ptr + prefix, *end = reply.ptr + reply.len;
    return take_number(&at, end, &delivered) && take_number(&at, end, &ret->stream_sequence) &&
           take_number(&at, end, &ret->consumer_sequence) && take_number(&at, end, &ret->time_ns) &&
           take_number(&at, end, &ret->pending);
}

static void end_reading(struct js_reader *reader) {
    leave_consumer(reader);
    // The end came before the answer of R3's first look, which was the left consumer's: look again.
    if (!reader->checked)
        request_info(reader, br_session_now());
    br_session_flush(&reader->link->session, br_session_now());
    reader->state = READER_ENDED;
}

// K4: a copy in a block that has this reader's messages only.
static struct br_session_block *copy_message(struct js_reader *reader, struct br_session_message *message) {
    struct br_session *session = &reader->link->session;
    size_t size = message->subject.len + message->headers.len + message->payload.len;
    struct br_session_block *block = reader->copies;
    if (block == NULL || block->capacity - block->len < size) {
        br_session_leave_block(session, &reader->copies);
        block = reader->copies = br_session_make_block(size < COPY_SIZE ? COPY_SIZE : size);
    }
    for (int i = 0; i < 3; i++) {
        struct br_slice *part = i == 0 ? &message->subject : i == 1 ? &message->headers : &message->payload;
        if (part->len != 0)
            memcpy(block->bytes + block->len, part->ptr, part->len);
        part->ptr = block->bytes + block->len;
        block->len += part->len;
    }
    block->held++;
    return block;
}

static void push(struct js_reader *reader, const struct br_session_message *received, const struct place *place) {
    struct br_session_message copy = *received, *message = &copy;
    struct br_session_block *block =
        br_js_link_keeps(reader->link, reader) ? br_session_hold(&reader->link->session) : copy_message(reader, &copy);
    struct br_log_header *headers = NULL;
    uint32_t header_count = 0;
    int code;
    if (message->headers.len != 0) {
        if (block->arena == NULL)
            block->arena = br_arena_create();
        br_session_parse_headers(message->headers, block->arena, &headers, &header_count, &code);
    }
    *br_window_push(&reader->window) = (struct br_log_message){
        .subject = message->subject,
        .payload = message->payload,
        .headers = headers,
        .header_count = header_count,
        .sequence = place->stream_sequence,
        .timestamp = {(int64_t)(place->time_ns / 1000)},
        .raw = block,
    };
    reader->held_bytes += message->payload.len + MESSAGE_OVERHEAD;
}

static void take_data(struct js_reader *reader, const struct br_session_message *message, int64_t now_us) {
    struct place place;
    if (!parse_place(reader, message->reply, &place)) {
        br_error_set(&reader->error, BR_FATAL, "stream %s gave a message without its place (reply subject '%.*s')",
                     reader->stream, (int)(message->reply.len > 200 ? 200 : message->reply.len),
                     (const char *)message->reply.ptr);
        fail(reader);
        return;
    }
    if (place.consumer_sequence != reader->consumer_sequence + 1 || place.stream_sequence < reader->next) {
        start_again(reader, "messages are missing", now_us);
        return;
    }
    if (reader->stop != 0 && place.stream_sequence > reader->stop) {
        reader->next = reader->stop + 1;
        end_reading(reader);
        return;
    }
    bool left_out = place.stream_sequence > reader->next && reader->next > 1;
    if (left_out || (reader->pending_known && place.pending + 1 < reader->pending))
        want_check(reader, now_us);
    push(reader, message, &place);
    reader->consumer_sequence = place.consumer_sequence;
    reader->next = place.stream_sequence + 1;
    reader->pending = place.pending;
    reader->pending_known = true;
    reader->asked -= reader->asked > 0;
    uint64_t len = message->payload.len + MESSAGE_OVERHEAD;
    reader->typical_bytes = len > reader->typical_bytes ? len : (7 * reader->typical_bytes + len) / 8;
    if (place.stream_sequence == reader->stop)
        end_reading(reader);
}

// R5: a request has waited long enough.
static void take_expiry(struct js_reader *reader, struct br_slice headers) {
    bool found;
    uint64_t left = header_number(headers, "Nats-Pending-Messages", &found);
    reader->asked -= left < reader->asked ? left : reader->asked;
}

void br_js_reader_take_delivered(struct js_reader *reader, uint64_t generation,
                                 const struct br_session_message *message, int64_t now_us) {
    if (generation != reader->generation || reader->state == READER_FAILED)
        return; // an earlier consumer's
    // Before the reply to its creation too: the consumer is there when its messages are.
    reader->deadline_us = reader->state == READER_STREAMING ? now_us + SILENCE_US_MAX : reader->deadline_us;
    int code = message->headers.len == 0 ? 0 : br_session_status(message->headers);
    if (code == 0)
        take_data(reader, message, now_us);
    else if (code == 100 && message->reply.len != 0)
        hold_or_reply(reader, message->reply);
    else if (code == 100)
        take_heartbeat(reader, message->headers, now_us);
    else if (code == JS_REQUEST_TIMEOUT)
        take_expiry(reader, message->headers);
    else
        start_again(reader, "the server has dropped the consumer", now_us);
}

void br_js_reader_take_reply(struct js_reader *reader, const struct br_session_message *message, int64_t now_us) {
    char own[BR_INBOX_PREFIX_MAX + 128];
    if (reader->state == READER_FAILED)
        return;
    subject_of(reader, 'c', own, sizeof own);
    if (br_slice_is(message->subject, own) && reader->state == READER_CREATING)
        take_create_reply(reader, message, now_us);
    subject_of(reader, 'i', own, sizeof own);
    if (br_slice_is(message->subject, own))
        take_info_reply(reader, message, now_us);
    subject_of(reader, 'l', own, sizeof own);
    if (br_slice_is(message->subject, own))
        take_look(reader, message);
}

// --- one look

bool br_js_reader_is_full(const struct js_reader *reader) {
    bool needs_more = reader->looked_again || !reader->checked || reader->check_waiting;
    return reader->held_bytes > reader->log->queue_bytes + (needs_more ? HELD_BYTES_OVER_MAX : 0);
}

// R5: how many messages may be under way.
static uint64_t ask_most(const struct js_reader *reader) {
    uint64_t messages = reader->log->ask_messages == 0 ? UINT32_MAX : reader->log->ask_messages;
    uint64_t bytes = messages * ASK_TYPICAL_BYTES, share = br_js_link_share(reader->link);
    if (reader->link->shared && share < bytes)
        bytes = share;
    uint64_t fit = bytes / reader->typical_bytes;
    return fit < 1 ? 1 : fit > messages ? messages : fit;
}

static void ask(struct js_reader *reader, int64_t now_us) {
    char asked[400], text[100];
    if (!reader->pulled || reader->state != READER_STREAMING || br_js_reader_is_full(reader))
        return;
    uint64_t most = ask_most(reader);
    if (2 * reader->asked > most)
        return;
    snprintf(asked, sizeof asked, "CONSUMER.MSG.NEXT.%s.%s", reader->stream, reader->consumer);
    snprintf(text, sizeof text, "{\"batch\":%llu,\"expires\":%lld,\"idle_heartbeat\":%lld}",
             (unsigned long long)(most - reader->asked), (long long)ASK_NS, (long long)(HEARTBEAT_US * 1000));
    ask_api(reader, asked, reader->deliver, text);
    reader->asked = most;
    reader->deadline_us = now_us + SILENCE_US_MAX;
    br_session_flush(&reader->link->session, now_us);
}

// Heartbeats are to come (R5).
static bool hears(const struct js_reader *reader) {
    return !reader->pulled || reader->asked != 0;
}

static void check_times(struct js_reader *reader, int64_t now_us) {
    struct br_session *session = &reader->link->session;
    if (reader->state == READER_WAITING && now_us >= reader->deadline_us) {
        create_consumer(reader, now_us);
    } else if (reader->state == READER_CREATING && now_us >= reader->deadline_us) {
        br_error_set(&reader->passing, BR_RETRY, "can't read '%s' from stream %s: no reply within %lld ms%s%s",
                     reader->filter, reader->stream, (long long)(reader->log->timeout_us / 1000),
                     session->told_error ? "; " : "", session->told_error ? session->error.message : "");
        // A server that has said nothing at all meanwhile may have gone.
        if (session->heard_us < reader->created_us)
            br_session_drop_connection(session, now_us);
        else
            start_again(reader, reader->passing.message, now_us);
    } else if (reader->state == READER_STREAMING && now_us >= reader->deadline_us && reader->link->drained &&
               hears(reader)) {
        start_again(reader, "no heartbeat", now_us);
    }
    if (reader->state == READER_STREAMING && now_us >= reader->look_us)
        ask_for_subject(reader, now_us);
    if (reader->check_waiting && !reader->checked && now_us - reader->last_check_us > reader->log->timeout_us) {
        reader->check_waiting = false; // the reply was lost
        reader->check_us = now_us;
    }
    if (now_us >= reader->check_us && !reader->check_waiting &&
        (reader->state == READER_STREAMING || reader->state == READER_CREATING ||
         (reader->state == READER_ENDED && !reader->checked))) {
        request_info(reader, now_us);
        br_session_flush(&reader->link->session, now_us);
    }
}

// How many messages of the window may be shown. What a new consumer gives before the stream was looked at may come from
// one that was made anew under the same name, or that went back.
static size_t visible(const struct js_reader *reader) {
    const struct br_log_message *messages = reader->window.items + reader->window.consumed;
    size_t low = 0, high = br_window_shown(&reader->window);
    uint64_t end = is_settled(reader) ? UINT64_MAX : reader->vouched_next;
    if (reader->state == READER_FAILED && reader->failed_from < end)
        end = reader->failed_from;
    if (end == UINT64_MAX)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (messages[middle].sequence < end)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_done(const struct js_reader *reader) {
    return reader->state == READER_FAILED || (reader->state == READER_ENDED && reader->checked);
}

// The server forgets a consumer that it can't reach by itself (K5).
static void note_connection(struct js_reader *reader, int64_t now_us) {
    const struct br_session *session = &reader->link->session;
    bool same = br_session_is_up(session) && reader->connection_id == session->connection_id;
    if (same || (reader->state != READER_CREATING && reader->state != READER_STREAMING))
        return;
    reader->consumer[0] = '\0';
    leave_consumer(reader);
    reader->state = READER_WAITING;
    reader->deadline_us = now_us;
}

// Whoever doesn't consume what is shown wants what is missing.
static bool tells_failure(const struct js_reader *reader, int64_t now_us) {
    return reader->state == READER_FAILED && (visible(reader) == 0 || now_us - reader->progress_us > FAILED_SHOWN_US);
}

bool br_js_reader_service(struct js_reader *reader, int64_t now_us) {
    if (!is_done(reader)) {
        br_js_link_service(reader->link, now_us);
        note_connection(reader, now_us);
        if (br_session_is_up(&reader->link->session)) {
            check_times(reader, now_us);
            ask(reader, now_us);
        }
    }
    return visible(reader) > reader->seen || tells_failure(reader, now_us);
}

// The consumer that pushes would keep the others waiting (K3).
void br_js_reader_share(struct js_reader *reader, int64_t now_us) {
    if (reader->pulled || (reader->state != READER_CREATING && reader->state != READER_STREAMING))
        return;
    leave_consumer(reader);
    reader->state = READER_WAITING;
    reader->deadline_us = now_us;
}

const struct js_link *br_js_reader_link(const struct js_reader *reader) {
    return reader->link;
}

struct js_reader *br_js_reader_next(const struct js_reader *reader) {
    return reader->next_reader;
}

bool br_js_reader_is_idle(const struct js_reader *reader) {
    return is_done(reader) || (!reader->pulled && br_js_reader_is_full(reader));
}

int64_t br_js_reader_deadline(const struct js_reader *reader) {
    if (br_js_reader_is_idle(reader))
        return INT64_MAX;
    int64_t at = br_session_deadline(&reader->link->session);
    if (br_session_is_up(&reader->link->session)) {
        bool waits = reader->state != READER_ENDED && !(reader->state == READER_STREAMING && !hears(reader));
        int64_t lost_us = reader->last_check_us + reader->log->timeout_us + 1; // R3
        at = waits && reader->deadline_us < at ? reader->deadline_us : at;
        at = reader->check_waiting && !reader->checked && lost_us < at ? lost_us : at;
        at = !reader->check_waiting && reader->check_us < at ? reader->check_us : at;
        at = reader->state == READER_STREAMING && reader->look_us < at ? reader->look_us : at;
    }
    return at;
}

// --- log.h

static void drop_message(void *context, struct br_log_message *message) {
    struct js_reader *reader = context;
    reader->held_bytes -= message->payload.len + MESSAGE_OVERHEAD;
    br_session_drop(&reader->link->session, message->raw);
}

static void reader_close(struct br_reader *base) {
    struct js_reader *reader = js_reader(base), **at = &reader->log->readers;
    while (*at != reader)
        at = &(*at)->next_reader;
    *at = reader->next_reader;
    br_window_free(&reader->window, drop_message, reader);
    if (reader->state == READER_STREAMING) {
        leave_consumer(reader);
        br_session_flush(&reader->link->session, br_session_now());
    }
    br_session_leave_block(&reader->link->session, &reader->copies);
    br_js_link_leave(reader->log, reader->link, reader->slot);
    free(reader->filter);
    free(reader);
}

static enum br_status reader_peek(struct br_reader *base, const struct br_log_message **ret_messages, size_t *ret_count,
                                  struct br_error *error) {
    struct js_reader *reader = js_reader(base);
    reader->looked_again = !reader->consumed && reader->seen != 0;
    reader->consumed = false;
    int64_t now_us = br_session_now();
    br_js_reader_service(reader, now_us);
    if (tells_failure(reader, now_us)) {
        if (error != NULL)
            *error = reader->error;
        return BR_FATAL;
    }
    reader->seen = visible(reader);
    *ret_messages = reader->window.items + reader->window.consumed;
    *ret_count = reader->seen;
    return BR_OK;
}

static void reader_consume(struct br_reader *base, size_t count) {
    struct js_reader *reader = js_reader(base);
    br_window_consume(&reader->window, count);
    reader->consumed = true;
    reader->progress_us = br_session_now();
    reader->seen -= count < reader->seen ? count : reader->seen;
}

static void reader_release(struct br_reader *base) {
    struct js_reader *reader = js_reader(base);
    br_window_release(&reader->window, drop_message, reader);
    release_held_reply(reader);
}

static bool reader_caught_up(struct br_reader *base) {
    const struct js_reader *reader = js_reader(base);
    bool all_seen = br_window_shown(&reader->window) == reader->seen;
    if (reader->state == READER_ENDED)
        return all_seen;
    return all_seen && reader->state == READER_STREAMING && reader->link->drained && reader->pending_known &&
           reader->pending == 0;
}

static uint64_t reader_pending(struct br_reader *base) {
    const struct js_reader *reader = js_reader(base);
    uint64_t beyond = reader->state == READER_ENDED || !reader->pending_known ? 0 : reader->pending;
    if (reader->state != READER_STREAMING && reader->state != READER_ENDED)
        return BR_PENDING_UNKNOWN;
    return br_window_shown(&reader->window) + beyond;
}

static uint64_t reader_covered(struct br_reader *base) {
    const struct js_reader *reader = js_reader(base);
    return (is_settled(reader) || reader->next < reader->vouched_next ? reader->next : reader->vouched_next) - 1;
}

// R7
static bool reader_trouble(struct br_reader *base, char *text, size_t size) {
    const struct js_reader *reader = js_reader(base);
    const struct br_session *session = &reader->link->session;
    int64_t now_us = br_session_now();
    if (session->away && !reader->log->control.away && now_us - reader->log->config.away_us >= BR_US_PER_SECOND)
        snprintf(text, size, "can't read from stream %s: %s", reader->stream, session->error.message);
    else if (reader->passing.message[0] != '\0' && reader->state != READER_STREAMING)
        snprintf(text, size, "%s", reader->passing.message);
    else if (br_js_denied(&reader->denial, now_us))
        snprintf(text, size, "stream %s: the NATS server doesn't permit %s; allow it for this user", reader->stream,
                 reader->denial.what);
    else if (reader->subject_gone)
        snprintf(text, size,
                 "stream %s doesn't hold the subject '%s' any more, so nothing comes: give the subject back to the "
                 "stream, or stop the worker and name the stream that has it",
                 reader->stream, reader->filter);
    else
        return false;
    return true;
}

// Each consumer is another look at the stream.
static bool reader_doubt(struct br_reader *base, struct br_reader_doubt *ret_doubt) {
    const struct js_reader *reader = js_reader(base);
    if (!reader->doubted || !reader->checked || (reader->state != READER_STREAMING && reader->state != READER_ENDED))
        return false;
    *ret_doubt = (struct br_reader_doubt){.number = reader->generation,
                                          .log = &reader->log->base,
                                          .stream = reader->stream,
                                          .filter = reader->filter,
                                          .from = reader->vouched_next};
    return true;
}

static void reader_trust(struct br_reader *base, uint64_t number) {
    struct js_reader *reader = js_reader(base);
    if (reader->generation == number)
        reader->doubted = false;
}

static const struct br_reader_ops reader_ops = {
    .close = reader_close,
    .peek = reader_peek,
    .consume = reader_consume,
    .release = reader_release,
    .caught_up = reader_caught_up,
    .pending = reader_pending,
    .covered = reader_covered,
    .trouble = reader_trouble,
    .doubt = reader_doubt,
    .trust = reader_trust,
};

// Until the consumer is there and the stream was looked at.
static enum br_status await_start(struct js_reader *reader, struct br_error *error) {
    int64_t deadline_us = br_session_now() + reader->log->timeout_us;
    for (;;) {
        int64_t now_us = br_session_now();
        br_js_reader_service(reader, now_us);
        if (reader->state == READER_FAILED) {
            if (error != NULL)
                *error = reader->error;
            return BR_FATAL;
        }
        if (reader->checked && (reader->state == READER_STREAMING || reader->state == READER_ENDED))
            return BR_OK;
        if (br_js_cancelled(reader->log))
            return br_error_set(error, BR_RETRY, "cancelled while opening stream %s", reader->stream);
        if (now_us >= deadline_us || reader->denial.at_us != 0)
            return br_error_set(error, BR_RETRY, "can't read from stream %s yet: %s", reader->stream,
                                reader->passing.message[0] != '\0'               ? reader->passing.message
                                : reader->link->session.error.message[0] != '\0' ? reader->link->session.error.message
                                                                                 : "no reply");
        br_js_poll_reader(reader->log, reader, deadline_us);
    }
}

enum br_status br_js_reader_open(struct br_log *base, const char *stream, const char *filter, uint64_t first_sequence,
                                 uint64_t stop_sequence, bool replaced, struct br_reader **ret_reader,
                                 struct br_error *error) {
    struct js_log *log = js_log(base);
    BR_TRY(br_js_check_stream_name(stream, error));
    struct js_reader *reader = br_calloc(1, sizeof *reader);
    reader->base.ops = &reader_ops;
    reader->base.window = &reader->window;
    reader->log = log;
    snprintf(reader->stream, sizeof reader->stream, "%s", stream);
    reader->filter = br_strdup(filter);
    reader->next = reader->vouched_next = first_sequence == 0 ? 1 : first_sequence;
    reader->stop = stop_sequence;
    reader->replaced = replaced;
    reader->failed_from = UINT64_MAX;
    reader->created.us = INT64_MIN;
    reader->check_us = INT64_MAX;
    reader->gap_from = UINT64_MAX;
    reader->clear_of_edge = first_sequence > 1;
    reader->pause_us = PAUSE_US_MIN;
    reader->typical_bytes = 64 * MESSAGE_OVERHEAD; // until it is known
    if (br_js_link_join(log, reader, &reader->link, &reader->slot, error) != BR_OK) {
        free(reader->filter);
        free(reader);
        return BR_FATAL;
    }
    reader->next_reader = log->readers;
    log->readers = reader;
    enum br_status status = await_start(reader, error);
    if (status == BR_OK)
        *ret_reader = &reader->base;
    else
        reader_close(&reader->base);
    return status;
}
