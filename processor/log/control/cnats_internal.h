// SPDX-License-Identifier: Apache-2.0
// The control plane by cnats: its connection and thread (connection.c), how it is dialed (dial.c), what it serves
// (serve.c) and asks (ask.c), and the log over it (log.c).
//
// N4. One thread makes every call of cnats that concerns the connection; others leave what they want in `out` and
//     `calls`, under `lock`, and wake it. It is waited for by br_control_request and by logs only. It holds the lock
//     for moments, not while it is in cnats.
//
// N5. cnats runs in event-loop mode, without reconnecting and without its ping timer: both work from threads of the
//     library and free the SSL object under whoever reads. A connection that ends is made anew, with its subscriptions.
//     Liveness: after QUIET_US without a byte something is sent to the own inbox; after DEAD_US the socket is shut.
//
// N6. cnats waits without end for the rest of a TLS record: it is let read when a whole record is there. Three seconds
//     without the rest end the connection.
//
// N7. cnats keeps what is unsent without a bound: it is given the next part while it holds less than UNSENT_MAX.
//
// N8. The parts of one answer go out on one connection: when it has ended, the rest is dropped (`generation`). Each
// says from
//     whom it is ("Braid-From"): of two workers that answer, as when one has just been fenced, the first is heard.
//
// N9. A subscription to requests ends by itself after so many (the server counts: nothing that it has sent is lost),
// and
//     is made anew, at most ten times a second. What comes meanwhile the server drops, and tells who asks that nobody
//     is there: reading more would cost data its time. br_control_request asks again for a second before it believes
//     that.
#ifndef BR_PROCESSOR_LOG_CONTROL_CNATS_INTERNAL_H
#define BR_PROCESSOR_LOG_CONTROL_CNATS_INTERNAL_H

#include "processor/log/control_ops.h"
#include "processor/log/nats/session.h"

#include <nats/nats.h>
#include <pthread.h>
#include <stdatomic.h>

#define CONTROL_CONNECT_TIMEOUT_US (2 * BR_US_PER_SECOND)

struct control_service {
    struct control_service *next;
    char *subject;
    struct br_requests *requests; // NULL: "$SRV…", answered by ourselves
    uint32_t kind;
    natsSubscription *subscription; // of this connection
    int64_t since_us;               // when it was made
    uint32_t taken;                 // by it (N9)
    _Atomic uint64_t asked, refused;
};

struct control_out { // waits to be published
    struct control_out *next;
    uint64_t generation; // N8
    char *subject, *reply;
    uint32_t header_count;
    const char *headers; // name, NUL, value, NUL, …
    bool last;
    struct br_slice payload;
    uint8_t bytes[];
};

struct control_part {
    struct control_part *next;
    struct br_slice payload;
    bool last, nobody;
    uint8_t bytes[];
};

enum control_kind {
    CONTROL_ASKS,   // a worker: any number of parts, up to one that says that it is the last
    CONTROL_CALLS,  // the server: one answer
    CONTROL_COUNTS, // acknowledgements, any number; a part is kept of those that refuse
};

struct control_call { // the caller's
    struct control_call *next;
    enum control_kind kind;
    uint64_t token, generation;
    const char *subject; // that is asked
    int64_t asked_us;
    char from[64]; // "": nobody has answered, or a worker of a build that doesn't say
    uint64_t answered;
    struct control_part *parts, **end;
};

struct control_inbox { // of a call; the thread's own
    struct control_inbox *next;
    uint64_t token;
    natsSubscription *subscription; // NextMsg says "nobody" without saying to which question: each has its own
};

// What is told at most once a second, with how often it came since.
struct control_told {
    int64_t at_us;
    uint64_t count, total;
};

struct cnats {
    struct br_control base;
    struct br_session_config config; // servers, credentials, TLS files
    char *inbox_prefix, *inbox;      // of the replies to us: "<prefix>.<random>"
    const struct br_flag *cancel;
    int64_t timeout_us;
    struct { // of $SRV; name NULL: none
        char *name, *id, *version, *description;
        char started[32];
    } service;
    pthread_t thread;
    int wake_fd;
    // the thread's own
    natsConnection *connection;
    natsSubscription *alive;
    struct control_inbox *inboxes;
    struct control_out *taken; // of what was queued: goes out next
    size_t server;             // index in config: dialed or connected
    bool secure;               // the server wants TLS
    atomic_bool want_write;
    int64_t heard_us, asked_alive_us, half_since_us;
    int64_t dial_at_us, pause_us, up_since_us;
    size_t lowat;
    uint32_t busy_left; // answers "busy" that may still be sent in this second
    int64_t busy_until_us;
    int64_t subscribe_at_us; // N9: some service waits for then
    struct control_told foreign, crowded, shut;
    char told_error[300];
    bool parts_came;  // since callers were told
    bool looks_again; // the connection is made anew to see whether what was denied is permitted now
    // shared
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop;
    int fd; // the connection's socket; -1: none
    bool up, was_up;
    uint64_t generation;
    unsigned refused_count; // logins refused in a row
    struct br_error why;    // it isn't up
    char denied[300];       // by the server's permissions
    int64_t denied_us;      // since when that is so
    bool permitted;         // what was denied has been answered since
    char server_name[300];  // that is connected to
    int64_t payload_max;
    struct control_service *services;
    struct control_out *out, **out_end;
    size_t out_bytes;
    struct control_call *calls;
    uint64_t next_token;
};

static inline struct cnats *cnats_of(struct br_control *control) {
    return (struct cnats *)(void *)control;
}

// --- connection.c
void cnats_wake(struct cnats *cnats);
// Queues something to be published; the caller has the lock. reply NULL: none.
void cnats_queue(struct cnats *cnats, const char *subject, const char *reply, struct br_slice payload, bool last);
// The same with a message's subject, headers and payload; answers to `reply` are the call's that it names.
void cnats_queue_message(struct cnats *cnats, const struct br_log_message *message, const char *reply);
// Counts; true when it is to be told now, *ret_count times since it was last.
bool cnats_tell(struct control_told *told, int64_t now_us, uint64_t *ret_count);

// --- dial.c
// Makes the connection to config.servers[server]. Up to CONTROL_CONNECT_TIMEOUT_US.
enum br_status cnats_dial(struct cnats *cnats, struct br_error *error) BR_MUST_CHECK;
// Event-loop callbacks that the connection is dialed with.
natsStatus cnats_attach(void **ret_data, void *loop, natsConnection *connection, natsSock socket);
natsStatus cnats_want_read(void *data, bool add);
natsStatus cnats_want_write(void *data, bool add);
natsStatus cnats_detach(void *data);

// --- serve.c
void cnats_serve(struct br_control *control, const char *subject, struct br_requests *requests, uint32_t kind);
void cnats_serve_information(struct cnats *cnats); // $SRV
// Subscribes to what isn't yet and may be (N9).
natsStatus cnats_subscribe(struct cnats *cnats, int64_t now_us);
natsStatus cnats_subscribe_to(struct cnats *cnats, const char *subject, natsSubscription **subscription);
// Takes what has come for the services.
void cnats_take_requests(struct cnats *cnats, int64_t now_us);
// Nothing is asked any more; what waits is told.
void cnats_end_services(struct cnats *cnats);

// --- ask.c
enum br_status cnats_request(struct br_control *control, const char *subject, struct br_slice payload,
                             int64_t timeout_us,
                             enum br_status (*each)(void *context, struct br_slice part, struct br_error *error),
                             void *context, struct br_error *error) BR_MUST_CHECK;
// For those who ask; the caller has the lock. Waits until something changes, or for a moment.
void cnats_wait_until(struct cnats *cnats, int64_t deadline_us);
bool cnats_cancelled(const struct br_flag *cancel);
enum br_status cnats_await_up(struct cnats *cnats, const struct br_flag *cancel, struct br_error *error) BR_MUST_CHECK;
// ret_reply: where the answers are to go.
#define CONTROL_REPLY_SIZE 220
void cnats_begin_call(struct cnats *cnats, struct control_call *call, enum control_kind kind, const char *subject,
                      char ret_reply[CONTROL_REPLY_SIZE]);
// The next part of an answer; the caller frees it. NULL: none is there.
struct control_part *cnats_take_part(struct control_call *call);
void cnats_end_call(struct cnats *cnats, struct control_call *call);
// Does the server refuse what the call sent, or its inbox?
bool cnats_is_denied(const struct cnats *cnats, const struct control_call *call, int64_t now_us);
// The thread's: before the question goes out.
natsStatus cnats_open_inbox(struct cnats *cnats, const char *reply);
void cnats_take_parts(struct cnats *cnats);
void cnats_drop_inboxes(struct cnats *cnats); // all

// --- log.c
struct br_log *cnats_log(struct br_control *control, const struct br_flag *cancel);

#endif
