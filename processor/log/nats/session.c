// SPDX-License-Identifier: Apache-2.0
// The connection's state machine, and its buffers. See session.h for the states and rules S1 to S4.
#define _GNU_SOURCE
#include "processor/log/nats/session.h"

#include "base/logging.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define DIAL_TIMEOUT_US (3 * BR_US_PER_SECOND) // TCP, TLS and the NATS handshake, each step
#define PAUSE_US_MIN INT64_C(50000)            // between rounds of dialing
#define PAUSE_US_MAX (2 * BR_US_PER_SECOND)
#define STEADY_US (5 * BR_US_PER_SECOND)      // up for so long: the next pauses are short again
#define PING_AFTER_US (20 * BR_US_PER_SECOND) // of silence
#define DEAD_AFTER_US (60 * BR_US_PER_SECOND)
#define AWAY_US (5 * BR_US_PER_SECOND) // longer between two steps: our own silence, not the server's
#define LINE_SIZE_MAX (1 << 20)        // of a protocol line (INFO is the longest)
#define MESSAGE_SIZE_MAX (128 << 20)   // headers and payload; a server takes 64 MiB at most
#define SPARE_BLOCKS_MAX 16

int64_t br_session_now(void) {
    const struct br_clock *clock = br_clock_system();
    return clock->mono(clock).us;
}

// --- blocks

static struct br_session_block *take_block(struct br_session *session, size_t capacity) {
    struct br_session_block *block = session->spare;
    if (block != NULL && capacity <= block->capacity) {
        session->spare = block->next;
        session->spare_count--;
    } else {
        capacity = capacity < session->block_size ? session->block_size : capacity;
        block = br_alloc(sizeof *block + capacity);
        block->capacity = capacity;
        block->arena = NULL;
    }
    block->next = NULL;
    block->held = 0;
    block->len = 0;
    block->current = true;
    return block;
}

static void free_block(struct br_session_block *block) {
    br_arena_destroy(&block->arena);
    free(block);
}

// Blocks of the usual size are kept for reuse, the large ones of large messages and those of copies aren't.
static void return_block(struct br_session *session, struct br_session_block *block) {
    if (session->spare_count == SPARE_BLOCKS_MAX || block->capacity != session->block_size) {
        free_block(block);
        return;
    }
    if (block->arena != NULL)
        br_arena_reset(block->arena);
    block->next = session->spare;
    session->spare = block;
    session->spare_count++;
}

struct br_session_block *br_session_hold(struct br_session *session) {
    session->block->held++;
    return session->block;
}

void br_session_drop(struct br_session *session, struct br_session_block *block) {
    BR_CHECK(block->held > 0);
    if (--block->held == 0 && !block->current)
        return_block(session, block);
}

void br_session_leave_block(struct br_session *session, struct br_session_block **block_ptr) {
    struct br_session_block *block = *block_ptr;
    *block_ptr = NULL;
    if (block == NULL)
        return;
    block->current = false;
    if (block->held == 0)
        return_block(session, block);
}

static void leave_block(struct br_session *session) {
    br_session_leave_block(session, &session->block);
}

struct br_session_block *br_session_make_block(size_t capacity) {
    struct br_session_block *block = br_alloc(sizeof *block + capacity);
    *block = (struct br_session_block){.capacity = capacity, .current = true};
    return block;
}

// Makes room for what is still missing of the message at `at`, or for anything when nothing is begun.
static void make_room(struct br_session *session) {
    struct br_session_block *block = session->block;
    if (block == NULL) {
        session->block = take_block(session, 0);
        session->at = 0;
        return;
    }
    size_t begun = block->len - session->at;
    if (begun == 0 && block->held == 0) {
        if (block->arena != NULL)
            br_arena_reset(block->arena);
        block->len = session->at = 0;
        return;
    }
    size_t need = session->need != 0 ? session->need : begun + 1;
    if (session->at + need <= block->capacity && block->len < block->capacity)
        return;
    struct br_session_block *next = take_block(session, session->need != 0 ? session->need : begun * 2);
    if (begun != 0)
        memcpy(next->bytes, block->bytes + session->at, begun);
    next->len = begun;
    leave_block(session);
    session->block = next;
    session->at = 0;
}

// --- losing and dialing

static void clear_out(struct br_session *session) {
    if (session->out_is_secret)
        OPENSSL_cleanse(session->out.ptr, session->out.len);
    session->out_is_secret = false;
    br_buffer_clear(&session->out);
    session->out_at = 0;
}

static void close_socket(struct br_session *session) {
    br_session_tls_end(session);
    if (session->fd >= 0)
        close(session->fd);
    session->fd = -1;
    leave_block(session);
    session->at = session->need = 0;
    session->pinged = false;
    clear_out(session);
}

static void free_addresses(struct br_session *session) {
    if (session->addresses != NULL)
        freeaddrinfo(session->addresses);
    session->addresses = session->next_address = NULL;
}

// Half of the pause to one and a half: whoever lost the same server at the same time doesn't come back at the same
// time.
static int64_t with_jitter(struct br_session *session, int64_t pause_us) {
    session->jitter = session->jitter * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return pause_us / 2 + (int64_t)((session->jitter >> 33) % (uint64_t)pause_us);
}

// The attempt failed (session->error says why): the next address, or the next server, or a pause when all were tried.
static void try_next(struct br_session *session, int64_t now_us) {
    close_socket(session);
    session->state = BR_SESSION_DOWN;
    session->deadline_us = now_us;
    if (session->next_address != NULL)
        return;
    free_addresses(session);
    session->server_index = (session->server_index + 1) % session->config->server_count;
    if (++session->servers_tried < session->config->server_count)
        return;
    session->servers_tried = 0;
    session->deadline_us = now_us + with_jitter(session, session->pause_us);
    session->pause_us = session->pause_us * 2 > PAUSE_US_MAX ? PAUSE_US_MAX : session->pause_us * 2;
}

static void lose(struct br_session *session, int64_t now_us) {
    if (session->state == BR_SESSION_UP) {
        session->drop_count++;
        session->sent_at_drop = session->sent_total;
        // A server that takes us and lets us go at once is as good as one that doesn't take us.
        if (now_us - session->up_us >= STEADY_US) {
            session->servers_tried = 0;
            session->pause_us = PAUSE_US_MIN;
        }
        session->away = true;
        if (session->config->away_count++ == 0)
            session->config->away_us = now_us;
        br_log_paced(&session->config->lost_pace, BR_LEVEL_WARN, "connection lost",
                     BR_STR("reason", session->error.message));
    }
    session->sent_total = session->queued_total;
    try_next(session, now_us);
}

void br_session_drop_connection(struct br_session *session, int64_t now_us) {
    char text[300];
    br_error_set(&session->error, BR_RETRY, "the connection to %s was given up",
                 br_session_server_text(session, text, sizeof text));
    lose(session, now_us);
}

static void fail_errno(struct br_session *session, const char *what, int64_t now_us) {
    char text[300];
    int code = errno;
    bool mute = session->state == BR_SESSION_INFO && session->tls == NULL &&
                (session->block == NULL || session->block->len == 0);
    br_error_set_native(&session->error, BR_RETRY, code, "%s %s: %s%s", what,
                        br_session_server_text(session, text, sizeof text),
                        code == 0 ? "it closed the connection" : strerror(code),
                        mute ? "; a server that begins with TLS (handshake_first) is dialed with --tls-first"
                        : code == EMFILE ? "; raise the limit of this process (ulimit -n)"
                        : code == ENFILE ? "; raise the limit of this machine (sysctl fs.file-max)"
                                         : "");
    lose(session, now_us);
}

// A refused login is told as -ERR and then the end: the first says more.
static void end_connection(struct br_session *session, const char *what, int64_t now_us) {
    if (session->told_error)
        lose(session, now_us);
    else
        fail_errno(session, what, now_us);
}

static bool resolve(struct br_session *session) {
    const struct br_session_server *server = &session->config->servers[session->server_index];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    int code = getaddrinfo(server->host, server->port, &hints, &session->addresses);
    if (code == 0) {
        session->next_address = session->addresses;
        return true;
    }
    session->addresses = NULL;
    br_error_set(&session->error, BR_RETRY, "can't find the host %s: %s", server->host, gai_strerror(code));
    return false;
}

static void dial(struct br_session *session, int64_t now_us) {
    if (session->next_address == NULL && !resolve(session)) {
        try_next(session, now_us);
        return;
    }
    const struct addrinfo *address = session->next_address;
    session->told_error = false;
    // What was queued while there was no connection must not come before the handshake.
    clear_out(session);
    session->sent_total = session->queued_total;
    session->next_address = address->ai_next;
    session->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (session->fd < 0) {
        fail_errno(session, "can't make a socket for", now_us);
        return;
    }
    int on = 1;
    setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(session->fd, address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS) {
        fail_errno(session, "can't connect to", now_us);
        return;
    }
    session->state = BR_SESSION_CONNECTING;
    session->deadline_us = now_us + DIAL_TIMEOUT_US;
}

// --- sending

static ssize_t send_some(struct br_session *session) {
    const uint8_t *from = session->out.ptr + session->out_at;
    size_t len = br_session_unsent(session);
    return session->tls != NULL ? br_session_tls_send(session, from, len) : send(session->fd, from, len, MSG_NOSIGNAL);
}

void br_session_flush(struct br_session *session, int64_t now_us) {
    while (br_session_unsent(session) != 0) {
        ssize_t sent = send_some(session);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent <= 0) {
            int code = errno;
            uint8_t byte;
            if (session->tls != NULL && !session->told_error) // an alert that says why may be there
                (void)br_session_tls_recv(session, &byte, 1);
            errno = code;
            end_connection(session, "can't send to", now_us);
            return;
        }
        session->out_at += (size_t)sent;
        session->sent_total += (uint64_t)sent;
    }
    if (br_session_unsent(session) == 0)
        clear_out(session);
}

static void note_queued(struct br_session *session, size_t before) {
    session->queued_total += session->out.len - before;
}

void br_session_publish(struct br_session *session, struct br_slice subject, const char *reply, struct br_slice headers,
                        struct br_slice payload) {
    struct br_buffer *out = &session->out;
    size_t before = out->len;
    br_buffer_append_text(out, headers.len == 0 ? "PUB " : "HPUB ");
    br_buffer_append_slice(out, subject);
    if (reply != NULL) {
        br_buffer_append_byte(out, ' ');
        br_buffer_append_text(out, reply);
    }
    if (headers.len == 0)
        br_buffer_printf(out, " %zu\r\n", payload.len);
    else
        br_buffer_printf(out, " %zu %zu\r\n", headers.len, headers.len + payload.len);
    br_buffer_append_slice(out, headers);
    br_buffer_append_slice(out, payload);
    br_buffer_append(out, "\r\n", 2);
    note_queued(session, before);
}

void br_session_subscribe(struct br_session *session, const char *subject, uint64_t sid) {
    size_t before = session->out.len;
    br_buffer_printf(&session->out, "SUB %s %llu\r\n", subject, (unsigned long long)sid);
    note_queued(session, before);
}

void br_session_unsubscribe(struct br_session *session, uint64_t sid) {
    size_t before = session->out.len;
    br_buffer_printf(&session->out, "UNSUB %llu\r\n", (unsigned long long)sid);
    note_queued(session, before);
}

static void queue_text(struct br_session *session, const char *text) {
    size_t before = session->out.len;
    br_buffer_append_text(&session->out, text);
    note_queued(session, before);
}

// --- receiving

static size_t fill(struct br_session *session, size_t limit, int64_t now_us) {
    make_room(session);
    struct br_session_block *block = session->block;
    size_t room = block->capacity - block->len;
    uint8_t *to = block->bytes + block->len;
    size_t len = room < limit ? room : limit;
    ssize_t got = session->tls != NULL ? br_session_tls_recv(session, to, len) : recv(session->fd, to, len, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got <= 0) {
        errno = got == 0 ? 0 : errno;
        end_connection(session, "lost", now_us);
        return 0;
    }
    block->len += (size_t)got;
    session->heard_us = now_us;
    return (size_t)got;
}

size_t br_session_fill(struct br_session *session, size_t limit, int64_t now_us) {
    return br_session_is_up(session) ? fill(session, limit, now_us) : 0;
}

static void fail_protocol(struct br_session *session) {
    char text[300];
    br_error_set(&session->error, BR_RETRY, "%s sent something that is not the NATS protocol",
                 br_session_server_text(session, text, sizeof text));
    lose(session, br_session_now());
}

static bool line_is(struct br_slice line, const char *verb) {
    size_t len = strlen(verb);
    return line.len >= len && memcmp(line.ptr, verb, len) == 0;
}

static bool contains(struct br_slice text, const char *part) {
    return memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

// "-ERR 'Permissions Violation for Publish to "subject"'", or "… for Subscription to …".
static void take_denial(const struct br_session *session, struct br_slice line) {
    const uint8_t *end = line.ptr + line.len, *from = memchr(line.ptr, '"', line.len);
    const uint8_t *to = from == NULL ? NULL : memchr(from + 1, '"', (size_t)(end - from - 1));
    if (to != NULL && session->denied != NULL)
        session->denied(session->denied_context, contains(line, "for Publish"),
                        (struct br_slice){from + 1, (size_t)(to - from - 1)});
}

// "-ERR 'text'": the server closes the connection after most of them.
static void take_error_line(struct br_session *session, struct br_slice line) {
    char text[300];
    int len = line.len > 200 ? 200 : (int)line.len;
    if (contains(line, "Permissions Violation")) {
        take_denial(session, line);
        return;
    }
    br_session_server_text(session, text, sizeof text);
    session->told_error = true;
    session->refused = contains(line, "uthorization") || contains(line, "uthentication");
    if (session->refused)
        br_error_set(&session->error, BR_FATAL,
                     "%s refuses the credentials (%s): give others by --creds, --nkey, --user and NATS_PASSWORD, "
                     "NATS_TOKEN, or a client certificate",
                     text, br_session_login_text(session->config, &session->config->servers[session->server_index]));
    else
        br_error_set(&session->error, BR_RETRY, "%s says: %.*s", text, len, (const char *)line.ptr);
}

// The digits at *at; false when there are none or too many.
static bool take_number(const uint8_t **at, const uint8_t *end, uint64_t *ret_number) {
    const uint8_t *from = *at;
    uint64_t number = 0;
    while (*at < end && **at >= '0' && **at <= '9' && *at - from < 18)
        number = number * 10 + (uint64_t)(*(*at)++ - '0');
    *ret_number = number;
    return *at > from;
}

struct parsed_line {
    struct br_slice subject, reply;
    uint64_t sid, header_size, total_size;
};

// "MSG subject sid [reply] size" and "HMSG subject sid [reply] header-size total-size", without the line end.
static bool parse_message_line(struct br_slice line, bool with_headers, struct parsed_line *ret) {
    struct br_slice tokens[6];
    size_t count = 0;
    const uint8_t *at = line.ptr + (with_headers ? 5 : 4), *end = line.ptr + line.len;
    while (at < end && count < 6) {
        const uint8_t *space = memchr(at, ' ', (size_t)(end - at));
        const uint8_t *stop = space == NULL ? end : space;
        if (stop > at)
            tokens[count++] = (struct br_slice){at, (size_t)(stop - at)};
        at = stop + 1;
    }
    size_t sizes = with_headers ? 2 : 1;
    if (count != 2 + sizes && count != 3 + sizes)
        return false;
    *ret = (struct parsed_line){.subject = tokens[0]};
    if (count == 3 + sizes)
        ret->reply = tokens[2];
    const uint8_t *sid = tokens[1].ptr, *size = tokens[count - 1].ptr, *header = tokens[count - 2].ptr;
    return take_number(&sid, sid + tokens[1].len, &ret->sid) &&
           take_number(&size, size + tokens[count - 1].len, &ret->total_size) &&
           (!with_headers || take_number(&header, header + tokens[count - 2].len, &ret->header_size)) &&
           ret->header_size <= ret->total_size && ret->total_size <= MESSAGE_SIZE_MAX;
}

// 1: a message; 0: more bytes are needed; -1: not the protocol.
static int take_message(struct br_session *session, struct br_slice line, size_t line_size,
                        struct br_session_message *ret) {
    struct parsed_line parsed;
    bool with_headers = line.ptr[0] == 'H';
    if (!parse_message_line(line, with_headers, &parsed))
        return -1;
    size_t size = line_size + (size_t)parsed.total_size + 2;
    if (session->block->len - session->at < size) {
        session->need = size;
        return 0;
    }
    const uint8_t *body = session->block->bytes + session->at + line_size;
    if (body[parsed.total_size] != '\r' || body[parsed.total_size + 1] != '\n')
        return -1;
    *ret = (struct br_session_message){
        .subject = parsed.subject,
        .reply = parsed.reply,
        .sid = parsed.sid,
        .headers = {body, (size_t)parsed.header_size},
        .payload = {body + parsed.header_size, (size_t)(parsed.total_size - parsed.header_size)},
    };
    session->at += size;
    session->need = 0;
    return 1;
}

// Connections of one log are lost together as a rule: one line when all are there again.
static void end_away(struct br_session *session, int64_t now_us) {
    struct br_session_config *config = session->config;
    char text[300];
    if (!session->away)
        return;
    session->away = false;
    if (--config->away_count == 0)
        br_log_paced(&config->back_pace, BR_LEVEL_INFO, "the connection is back",
                     BR_STR("server", br_session_server_text(session, text, sizeof text)),
                     BR_INT("away_ms", (now_us - config->away_us) / 1000));
}

// A line that is no message. False: not the protocol.
static bool take_control_line(struct br_session *session, struct br_slice line) {
    if (br_slice_is(line, "PING")) {
        session->pinged = true;
    } else if (br_slice_is(line, "PONG")) {
        if (session->state == BR_SESSION_PONG) {
            session->state = BR_SESSION_UP;
            session->connection_id++;
            session->refused = false;
            session->up_us = br_session_now();
            session->deadline_us = INT64_MAX;
            end_away(session, br_session_now());
        }
    } else if (line_is(line, "-ERR ")) {
        take_error_line(session, line);
    } else if (line_is(line, "INFO ")) {
        struct br_error error;
        return br_session_read_info(session, (struct br_slice){line.ptr + 5, line.len - 5}, &error) == BR_OK;
    } else {
        return br_slice_is(line, "+OK");
    }
    return true;
}

// One whole line at session->at; false when more bytes are needed.
static bool peek_line(struct br_session *session, struct br_slice *ret_line, size_t *ret_size) {
    if (session->block == NULL)
        return false;
    size_t len = session->block->len - session->at;
    if (len == 0 || len < session->need)
        return false;
    const uint8_t *from = session->block->bytes + session->at;
    const uint8_t *end = memchr(from, '\n', len < LINE_SIZE_MAX ? len : LINE_SIZE_MAX);
    if (end == NULL) {
        if (len >= LINE_SIZE_MAX)
            fail_protocol(session);
        return false;
    }
    *ret_size = (size_t)(end - from) + 1;
    *ret_line = (struct br_slice){from, end > from && end[-1] == '\r' ? *ret_size - 2 : *ret_size - 1};
    return true;
}

static bool next_message(struct br_session *session, struct br_session_message *ret_message) {
    struct br_slice line;
    size_t size;
    while (session->state >= BR_SESSION_PONG && peek_line(session, &line, &size)) {
        if (line_is(line, "MSG ") || line_is(line, "HMSG ")) {
            int taken = take_message(session, line, size, ret_message);
            if (taken < 0)
                fail_protocol(session);
            return taken > 0;
        }
        uint64_t drops = session->drop_count;
        bool understood = take_control_line(session, line);
        if (drops != session->drop_count)
            return false;
        if (!understood) {
            fail_protocol(session);
            return false;
        }
        session->at += size;
    }
    return false;
}

bool br_session_next(struct br_session *session, struct br_session_message *ret_message) {
    if (next_message(session, ret_message))
        return true;
    if (session->pinged && session->state >= BR_SESSION_PONG) {
        session->pinged = false;
        queue_text(session, "PONG\r\n");
        br_session_flush(session, br_session_now());
    }
    return false;
}

// --- the handshake

static void start_session(struct br_session *session, int64_t now_us) {
    struct br_error error;
    size_t before = session->out.len;
    session->out_is_secret = true;
    if (br_session_write_connect(session, &session->out, &error) != BR_OK) {
        session->error = error;
        session->refused = true;
        lose(session, now_us);
        return;
    }
    note_queued(session, before);
    queue_text(session, "PING\r\n");
    session->state = BR_SESSION_PONG;
    session->deadline_us = now_us + DIAL_TIMEOUT_US;
}

static bool is_offered(struct br_session *session) {
    char text[300];
    if (session->info.tls_required || session->info.tls_available)
        return true;
    br_error_set(&session->error, BR_FATAL, "%s offers no TLS, which is asked for",
                 br_session_server_text(session, text, sizeof text));
    return false;
}

static void start_tls(struct br_session *session, int64_t now_us) {
    if (br_session_tls_start(session, &session->error) != BR_OK) {
        session->refused = true;
        lose(session, now_us);
        return;
    }
    session->state = BR_SESSION_TLS;
    session->deadline_us = now_us + DIAL_TIMEOUT_US;
}

// What came with INFO: a server that takes no more connections says so, and closes before it has read a word.
static void take_early(struct br_session *session) {
    struct br_session_message message;
    if (session->state == BR_SESSION_PONG && br_session_next(session, &message))
        fail_protocol(session); // nothing is subscribed yet
}

static void fail_clear(struct br_session *session, int64_t now_us) {
    char text[300];
    br_error_set(&session->error, BR_RETRY,
                 "%s sent more in clear before TLS began: somebody in between may have added it, so it isn't talked to",
                 br_session_server_text(session, text, sizeof text));
    lose(session, now_us);
}

static void step_info(struct br_session *session, int64_t now_us) {
    struct br_slice line;
    size_t size;
    if (fill(session, LINE_SIZE_MAX, now_us) == 0 || !peek_line(session, &line, &size))
        return;
    enum br_status status =
        line_is(line, "INFO ")
            ? br_session_read_info(session, (struct br_slice){line.ptr + 5, line.len - 5}, &session->error)
            : BR_FATAL;
    if (status != BR_OK) {
        fail_protocol(session);
        return;
    }
    session->at += size;
    bool tls = session->tls == NULL && (session->info.tls_required || session->config->tls);
    if (tls && session->block->len != session->at) { // it isn't from whom the certificate will be of
        fail_clear(session, now_us);
        return;
    }
    if (tls && !is_offered(session)) {
        session->refused = true;
        lose(session, now_us);
    } else if (session->asks_info) {
        session->told_info = true;
    } else if (tls) {
        start_tls(session, now_us);
    } else {
        start_session(session, now_us);
    }
    take_early(session);
}

static void step_tls(struct br_session *session, int64_t now_us) {
    short events;
    struct br_error error;
    int done = br_session_tls_handshake(session, &events, &error);
    if (done > 0 && session->config->tls_first) {
        session->state = BR_SESSION_INFO;
        session->deadline_us = now_us + DIAL_TIMEOUT_US;
    } else if (done > 0) {
        start_session(session, now_us);
    } else if (done < 0) {
        session->refused = error.status == BR_FATAL;
        session->error = error;
        lose(session, now_us);
    }
}

static void step_connecting(struct br_session *session, int64_t now_us) {
    struct pollfd poller = {.fd = session->fd, .events = POLLOUT};
    if (poll(&poller, 1, 0) <= 0)
        return;
    int code = 0;
    socklen_t len = sizeof code;
    getsockopt(session->fd, SOL_SOCKET, SO_ERROR, &code, &len);
    if (code != 0) {
        errno = code;
        fail_errno(session, "can't connect to", now_us);
        return;
    }
    session->state = BR_SESSION_INFO;
    session->deadline_us = now_us + DIAL_TIMEOUT_US;
    if (session->config->tls_first)
        start_tls(session, now_us);
}

static void step_pong(struct br_session *session, int64_t now_us) {
    if (fill(session, LINE_SIZE_MAX, now_us) != 0)
        take_early(session);
}

// A peer that says nothing for long is asked, and given up when it doesn't answer.
static void watch_silence(struct br_session *session, int64_t now_us) {
    if (now_us - session->stepped_us > AWAY_US)
        session->heard_us = session->pinged_us = now_us;
    if (now_us - session->heard_us > DEAD_AFTER_US) {
        errno = ETIMEDOUT;
        fail_errno(session, "no answer from", now_us);
    } else if (now_us - session->heard_us > PING_AFTER_US && now_us - session->pinged_us > PING_AFTER_US) {
        session->pinged_us = now_us;
        queue_text(session, "PING\r\n");
    }
}

static void step(struct br_session *session, int64_t now_us) {
    if (session->state == BR_SESSION_DOWN && now_us >= session->deadline_us)
        dial(session, now_us);
    if (session->state == BR_SESSION_CONNECTING)
        step_connecting(session, now_us);
    if (session->state == BR_SESSION_INFO)
        step_info(session, now_us);
    if (session->state == BR_SESSION_TLS)
        step_tls(session, now_us);
    if (session->state == BR_SESSION_INFO && session->tls != NULL)
        step_info(session, now_us); // it may have come with the end of the handshake: the socket is silent then
    if (session->state >= BR_SESSION_PONG && br_session_unsent(session) != 0)
        br_session_flush(session, now_us);
    if (session->state == BR_SESSION_PONG)
        step_pong(session, now_us);
}

void br_session_service(struct br_session *session, int64_t now_us) {
    if (session->state == BR_SESSION_UP)
        watch_silence(session, now_us);
    session->stepped_us = now_us;
    step(session, now_us);
    if (session->state != BR_SESSION_DOWN && session->state != BR_SESSION_UP && now_us >= session->deadline_us)
        br_session_time_out(session, now_us);
}

void br_session_time_out(struct br_session *session, int64_t now_us) {
    errno = ETIMEDOUT;
    fail_errno(session, "no answer from", now_us);
}

struct pollfd br_session_pollfd(const struct br_session *session) {
    bool writing = session->state == BR_SESSION_CONNECTING ||
                   (session->state >= BR_SESSION_PONG && br_session_unsent(session) != 0);
    short events = (short)((session->state == BR_SESSION_CONNECTING ? 0 : POLLIN) | (writing ? POLLOUT : 0));
    return (struct pollfd){.fd = session->state == BR_SESSION_DOWN ? -1 : session->fd, .events = events};
}

int64_t br_session_deadline(const struct br_session *session) {
    if (session->state != BR_SESSION_UP)
        return session->deadline_us;
    int64_t ping_us = session->heard_us > session->pinged_us ? session->heard_us : session->pinged_us;
    return ping_us + PING_AFTER_US + 1;
}

void br_session_init(struct br_session *session, struct br_session_config *config, size_t block_size) {
    *session = (struct br_session){.config = config, .fd = -1, .block_size = block_size, .pause_us = PAUSE_US_MIN};
    session->stepped_us = session->heard_us = session->pinged_us = br_session_now();
    BR_CHECK(getrandom(&session->jitter, sizeof session->jitter, 0) == sizeof session->jitter);
}

void br_session_close(struct br_session *session) {
    close_socket(session);
    session->config->away_count -= session->away;
    session->away = false;
    free_addresses(session);
    br_buffer_free(&session->out);
    while (session->spare != NULL) {
        struct br_session_block *block = session->spare;
        session->spare = block->next;
        free_block(block);
    }
    session->spare_count = 0;
    session->state = BR_SESSION_DOWN;
}
