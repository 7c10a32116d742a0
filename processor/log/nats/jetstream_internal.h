// SPDX-License-Identifier: Apache-2.0
// The parts of the JetStream log: one control connection for requests and appends (jetstream.c,
// jetstream_streams.c, jetstream_append.c) and a few that the readers share (jetstream_link.c, jetstream_reader.c). All
// of it runs in the task's thread; only js_wake may be called from another one.
#ifndef BR_PROCESSOR_LOG_JETSTREAM_INTERNAL_H
#define BR_PROCESSOR_LOG_JETSTREAM_INTERNAL_H

#include "processor/log/log_internal.h"
#include "processor/log/nats/jetstream.h"
#include "processor/log/nats/jetstream_api.h"
#include "processor/log/nats/session.h"

#define JS_SID_INBOX 1 // "<inbox>.>"
#define JS_REQUEST_TIMEOUT 408

// The one blocking request that may be under way.
struct js_call {
    bool waiting, done;
    bool denied; // the server doesn't permit the request
    const char *subject;
    uint64_t token, drop_count;
    int status; // JS_NO_RESPONDERS, or 0
    struct br_buffer reply;
};

struct js_append {
    uint64_t id; // in its replies' subjects
    char stream[256];
    const struct br_log_message *messages; // the caller's
    size_t count;
    bool settled;
    uint64_t end_total; // queued_total of the control connection when the last byte was queued
    uint64_t drop_count;
    int64_t deadline_us;
    // settled:
    enum br_status status; // BR_OK: result holds
    struct br_error error;
    enum br_append_result result;
    uint64_t sequence;
};

// What the server doesn't permit. It is tried again as long as it is needed, so what wasn't refused for a while is
// over.
#define JS_DENIED_US (12 * BR_US_PER_SECOND)
struct js_denial {
    char what[300]; // "publishing to 'x'"
    int64_t at_us;  // when it was refused last; 0: never
    bool subscription;
};
void br_js_note_denial(struct js_denial *denial, bool publishing, struct br_slice subject);
static inline bool br_js_denied(const struct js_denial *denial, int64_t now_us) {
    return denial->at_us != 0 && now_us - denial->at_us < JS_DENIED_US;
}

struct js_reader;

// A connection that readers share (jetstream_link.c).
struct js_link {
    struct js_link *next;
    struct br_session session;
    char inbox[BR_INBOX_PREFIX_MAX + 56]; // not below the log's, which the control connection hears
    struct js_reader **slots;             // NULL: free
    size_t slot_count, reader_count;
    bool shared;            // it has, or had, several readers
    bool drained;           // the last look at the socket found it empty
    uint64_t subscribed_id; // connection_id that has the subscription of replies
    int64_t serviced_us;
    const struct js_reader *most; // K4
    unsigned votes;
};

struct js_log {
    struct br_log base;
    struct br_session_config config;
    struct br_session control;
    uint64_t subscribed_id; // connection_id that has our subscriptions
    int64_t subscribed_us;
    struct js_denial denial; // on the control connection
    int wake_fd;
    int64_t timeout_us;
    size_t queue_bytes;
    uint64_t ask_messages;
    const struct br_flag *cancel;
    char inbox[BR_INBOX_PREFIX_MAX + 32];
    const char *name; // its last token
    uint64_t next_token;
    struct js_call call;
    struct js_append append;
    struct br_buffer headers; // scratch
    struct js_reader *readers;
    struct js_link *links;
    size_t link_count, link_max;
    struct pollfd *pollers;
    size_t poller_capacity;
};

static inline struct js_log *js_log(struct br_log *log) {
    return (struct js_log *)(void *)log;
}

// --- jetstream.c
bool br_js_version_usable(const char *version); // "2.15.1": above the floor?
bool br_js_cancelled(const struct js_log *log);
// Sends, receives and hands out what is there on the control connection. Never blocks.
void br_js_pump(struct js_log *log, int64_t now_us);
// Waits until something happens on the control connection, or until the time. Other connections don't end the wait:
// their bytes stay unread meanwhile, and a wait for one ack would be a busy loop for as long as input keeps coming.
void br_js_poll(struct js_log *log, int64_t until_us);
// The same for the reader's connection alone.
void br_js_poll_reader(struct js_log *log, const struct js_reader *reader, int64_t until_us);
// Waits until the control connection is up. BR_RETRY when it isn't in time.
enum br_status br_js_await_up(struct js_log *log, int64_t deadline_us, struct br_error *error) BR_MUST_CHECK;
// --- jetstream_append.c
enum br_status br_js_append(struct br_log *log, const char *stream, const struct br_log_message *messages, size_t count,
                            uint64_t expected_sequence, struct br_error *error) BR_MUST_CHECK;
bool br_js_append_ready(struct br_log *log);
enum br_status br_js_append_wait(struct br_log *log, enum br_append_result *ret_result, uint64_t *ret_sequence,
                                 struct br_error *error) BR_MUST_CHECK;
// A reply to an append ("f…" to its first message, "l…" to its last).
void br_js_take_append_reply(struct js_log *log, bool last, uint64_t id, const struct br_session_message *message);
// The server doesn't permit a message: one of the batch that is under way. It may be another's subject.
void br_js_deny_append(struct js_log *log, struct br_slice subject);
// Settles what can be told without a reply: the connection was lost, the time has run out.
void br_js_check_append(struct js_log *log, int64_t now_us);

// --- jetstream_reader.c
enum br_status br_js_reader_open(struct br_log *log, const char *stream, const char *filter, uint64_t first_sequence,
                                 uint64_t stop_sequence, bool replaced, struct br_reader **ret_reader,
                                 struct br_error *error) BR_MUST_CHECK;
// For the wait: the next reader of the log, when it must be looked at, and a look at it, which tells whether it has
// something new to peek at.
struct js_reader *br_js_reader_next(const struct js_reader *reader);
int64_t br_js_reader_deadline(const struct js_reader *reader);
bool br_js_reader_service(struct js_reader *reader, int64_t now_us);
// For its link.
void br_js_reader_take_reply(struct js_reader *reader, const struct br_session_message *message, int64_t now_us);
void br_js_reader_take_delivered(struct js_reader *reader, uint64_t generation,
                                 const struct br_session_message *message, int64_t now_us);
void br_js_reader_take_denial(struct js_reader *reader, bool publishing, struct br_slice subject);
void br_js_reader_share(struct js_reader *reader, int64_t now_us); // another one joins the link
bool br_js_reader_is_full(const struct js_reader *reader);
bool br_js_reader_is_idle(const struct js_reader *reader); // nothing can happen until the task does something
const struct js_link *br_js_reader_link(const struct js_reader *reader);

// --- jetstream_link.c
enum br_status br_js_link_join(struct js_log *log, struct js_reader *reader, struct js_link **ret_link,
                               size_t *ret_slot, struct br_error *error) BR_MUST_CHECK;
void br_js_link_leave(struct js_log *log, struct js_link *link, size_t slot); // closes it with its last reader
// Connects, receives and hands out.
void br_js_link_service(struct js_link *link, int64_t now_us);
void br_js_link_subscribe(struct js_link *link); // to replies, on the connection that there is now
struct pollfd br_js_link_pollfd(const struct js_link *link);
uint64_t br_js_link_sid(size_t slot, uint64_t generation);
// Bytes that a reader may have under way (K3).
size_t br_js_link_share(const struct js_link *link);
// Does the reader keep the message that was received for it where it is? If not, it copies it (K4).
bool br_js_link_keeps(struct js_link *link, const struct js_reader *reader);

#endif
