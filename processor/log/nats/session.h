// SPDX-License-Identifier: Apache-2.0
// One connection to a NATS server, driven by the thread that owns it: the client protocol over TCP or TLS, without a
// thread, lock or allocation per message. Included in processor/log/ only. Why not libnats' connection: docs/adr/0002.
//
// S1. Nothing blocks but the name look-up before dialing: br_session_service takes the steps that are possible now
//     (dial, handshake, send, receive), the owner polls on br_session_pollfd in between and until br_session_deadline.
//
// S2. A connection that is lost is dialed again for ever, one known server after the other, with growing pauses. What
//     was queued and not sent is dropped with it; the owner sees another connection_id and subscribes anew.
//
// S3. A received message is a view into the block that it arrived in. The block stays while it is held (br_session_hold
//     … br_session_drop); a message that isn't held is valid until the next call.
//
// S4. Secrets stay in struct br_session_config, and what is sent of them is wiped; no error text or log line has a
//     password, token, key or userinfo.
//
// S5. Whatever is read before TLS begins is the server's INFO alone: more than that ends the connection.
//
// S6. Whatever the other end sends, each call ends: br_session_fill receives once, br_session_next gives what was
//     received. The PINGs of one run of bytes are answered by one PONG, and the owner bounds how often it fills.
//
// States:
//   DOWN       --(pause is over)-->  CONNECTING
//   CONNECTING --(TCP is there)-->   INFO       --(server's INFO; TLS wanted)--> TLS --> PONG
//                                    INFO       --(server's INFO)--> CONNECT and PING are queued: PONG
//   CONNECTING --(TCP is there; TLS comes first)--> TLS --> INFO --> PONG
//   PONG       --(PONG)-->           UP
//   any        --(error, time out)-> DOWN, or CONNECTING with the next address
#ifndef BR_PROCESSOR_LOG_SESSION_H
#define BR_PROCESSOR_LOG_SESSION_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/logging.h"
#include "base/time.h"
#include "processor/log/nats/jetstream.h"

#include <poll.h>

struct br_session_server {
    char *host, *port;
    char *
        name; // of a server that another told of by its address: what that one was dialed by, for certificates; or NULL
    char *user, *password, *token; // from the URL; NULL: none
    bool tls;
};

// What all connections of one log share; single-threaded as they are.
struct br_session_config {
    struct br_session_server *servers; // those given, then those that servers told of
    size_t server_count;
    char *user, *password, *token, *creds_path, *nkey_path, *name;
    char *tls_ca_path, *tls_cert_path, *tls_key_path;
    char *api_prefix;  // JetStream's API is asked below it; NULL: "$JS.API"
    bool tls;          // some TLS option is set
    bool tls_first;    // it begins before INFO
    void *tls_context; // SSL_CTX, made when it is first needed
    struct br_log_pace lost_pace, back_pace;
    size_t away_count; // connections that were lost and aren't there again
    int64_t away_us;   // since when, the first of them
};

enum br_session_state {
    BR_SESSION_DOWN,
    BR_SESSION_CONNECTING,
    BR_SESSION_INFO,
    BR_SESSION_TLS,
    BR_SESSION_PONG,
    BR_SESSION_UP,
};

struct br_session_block {
    struct br_session_block *next; // in the list of spare ones
    struct br_arena *arena;        // parsed headers of its messages; NULL until there are any
    size_t held;                   // messages in use
    bool current;                  // the session is still receiving into it
    size_t len, capacity;
    uint8_t bytes[];
};

struct br_session_message {
    struct br_slice subject, reply; // reply.len 0: none
    struct br_slice headers;        // as on the wire: "NATS/1.0 …\r\n…\r\n\r\n"; len 0: none
    struct br_slice payload;
    uint64_t sid;
};

struct br_session_info { // of the server, as it told when the connection was made
    char version[32];
    char nonce[128];
    size_t payload_max;
    bool headers, tls_required, tls_available, auth_required;
};

struct br_session {
    struct br_session_config *config;
    enum br_session_state state;
    uint64_t connection_id; // 0: never connected; another one after every reconnect
    uint64_t drop_count;    // connections lost
    uint64_t sent_at_drop;  // sent_total when the last one was lost
    uint64_t queued_total, sent_total;
    struct br_session_info info;
    struct br_error error; // why the last attempt failed or the connection was lost
    bool refused;          // a server refused our credentials, or we its certificate: waiting is no help
    bool told_error;       // the server said -ERR on this connection
    bool asks_info;        // the connection is made for the server's INFO alone: it goes no further (told_info)
    bool told_info;
    bool away; // it was lost, and isn't there again
    // Called when the server refuses a publish or a subscription for want of permission; the connection stays.
    void (*denied)(void *context, bool publishing, struct br_slice subject);
    void *denied_context;
    // dialing
    int fd;
    void *tls; // SSL
    size_t server_index, servers_tried;
    struct addrinfo *addresses, *next_address;
    int64_t deadline_us; // of the state; for DOWN: when to dial again
    int64_t pause_us;
    int64_t up_us;   // since when the connection is up
    uint64_t jitter; // random
    int64_t heard_us, pinged_us, stepped_us;
    // sending
    struct br_buffer out;
    size_t out_at;
    bool out_is_secret; // it holds a CONNECT: wiped once it is sent
    // receiving
    size_t block_size;
    struct br_session_block *block;
    size_t at;   // parsed up to here
    size_t need; // bytes that the message at `at` needs in all; 0: not known yet
    bool pinged; // a PING was received and isn't answered yet (S6)
    struct br_session_block *spare;
    size_t spare_count;
};

// --- configuration (session_config.c)
#define BR_INBOX_PREFIX_MAX 100
#define BR_API_PREFIX_MAX 100
enum br_status br_session_config_init(struct br_session_config *config, const struct br_connect_options *options,
                                      struct br_error *error) BR_MUST_CHECK;
void br_session_config_free(struct br_session_config *config);
// Adds a server that another one told of ("host:port"): the one with that index.
void br_session_config_discover(struct br_session_config *config, size_t told_by, const char *address);
// Reads the server's INFO. BR_FATAL when it isn't one.
enum br_status br_session_read_info(struct br_session *session, struct br_slice json, struct br_error *error)
    BR_MUST_CHECK;
// Appends the CONNECT line with the credentials that are configured for this server.
enum br_status br_session_write_connect(struct br_session *session, struct br_buffer *out, struct br_error *error)
    BR_MUST_CHECK;
// "nats://host:port", without userinfo, of the server that is dialed or connected.
const char *br_session_server_text(const struct br_session *session, char *text, size_t size);

// --- logging in by a key (session_login.c, session_nkey.c)
#define BR_SESSION_SIGNATURE_SIZE 64
#define BR_SESSION_NKEY_SIZE 57 // its text with a NUL
// A string to be freed with br_session_forget: the JWT of the credentials file.
enum br_status br_session_read_jwt(const struct br_session_config *config, char **ret_jwt, struct br_error *error)
    BR_MUST_CHECK;
// The public key of the nkey's seed.
enum br_status br_session_read_nkey(const struct br_session_config *config, char ret_key[BR_SESSION_NKEY_SIZE],
                                    struct br_error *error) BR_MUST_CHECK;
// Signs the server's nonce with the seed of either file.
enum br_status br_session_sign_nonce(const struct br_session_config *config, const char *nonce,
                                     uint8_t ret_signature[BR_SESSION_SIGNATURE_SIZE], struct br_error *error)
    BR_MUST_CHECK;
void br_session_forget(char **secret); // wipes and frees
// Who logs in by name: what is configured goes before what the server's URL says.
struct br_session_name {
    const char *user, *password, *token; // NULL: none
};
struct br_session_name br_session_name_of(const struct br_session_config *config,
                                          const struct br_session_server *server);
// Who is refused, for messages: a path, a name, never a secret.
const char *br_session_login_text(const struct br_session_config *config, const struct br_session_server *server);
// With an nkey's seed; false when it is none.
bool br_session_sign(const char *seed, struct br_slice text, uint8_t signature[BR_SESSION_SIGNATURE_SIZE]);
bool br_session_public_nkey(const char *seed, char ret_key[BR_SESSION_NKEY_SIZE]);

// --- TLS (session_tls.c); same results as recv and send: > 0 bytes, 0 end, -1 with errno (EAGAIN: later)
enum br_status br_session_tls_start(struct br_session *session, struct br_error *error) BR_MUST_CHECK;
// 1 done, 0 not yet, -1 failed (error filled).
int br_session_tls_handshake(struct br_session *session, short *ret_events, struct br_error *error);
ssize_t br_session_tls_recv(struct br_session *session, void *bytes, size_t len);
ssize_t br_session_tls_send(struct br_session *session, const void *bytes, size_t len);
void br_session_tls_end(struct br_session *session);
void br_session_tls_free_context(struct br_session_config *config);

// --- the connection (session.c)
void br_session_init(struct br_session *session, struct br_session_config *config, size_t block_size);
void br_session_close(struct br_session *session); // all held blocks must have been dropped
// Takes the steps that are possible now: dials, shakes hands, sends what is queued. Receives only while it isn't up.
void br_session_service(struct br_session *session, int64_t now_us);
static inline bool br_session_is_up(const struct br_session *session) {
    return session->state == BR_SESSION_UP;
}
// Receives once, up to limit bytes. Returns bytes received; 0: nothing there now, or the connection is lost (not up).
size_t br_session_fill(struct br_session *session, size_t limit, int64_t now_us);
// The next whole message received; false when there is none. Answers the server's PING by itself.
bool br_session_next(struct br_session *session, struct br_session_message *ret_message);
// Gives the connection up and dials again (a peer that doesn't follow the protocol, missed heartbeats).
void br_session_drop_connection(struct br_session *session, int64_t now_us);
// The step that is under way has taken too long: its error is what a time-out is.
void br_session_time_out(struct br_session *session, int64_t now_us);
// Sends as much of what is queued as goes now.
void br_session_flush(struct br_session *session, int64_t now_us);
static inline size_t br_session_unsent(const struct br_session *session) {
    return session->out.len - session->out_at;
}
// fd -1 when there is nothing to poll for.
struct pollfd br_session_pollfd(const struct br_session *session);
int64_t br_session_deadline(const struct br_session *session); // INT64_MAX: none

// Queueing; the session must be up. `headers` is the block as on the wire (with "NATS/1.0\r\n" and the empty line at
// its end), len 0 for none. reply NULL: none.
void br_session_publish(struct br_session *session, struct br_slice subject, const char *reply, struct br_slice headers,
                        struct br_slice payload);
void br_session_subscribe(struct br_session *session, const char *subject, uint64_t sid);
void br_session_unsubscribe(struct br_session *session, uint64_t sid);

// The block of the message that br_session_next returned last; it stays until dropped as often as held.
struct br_session_block *br_session_hold(struct br_session *session);
void br_session_drop(struct br_session *session, struct br_session_block *block);
// A block that the owner fills by itself (`len`), and counts as held what is in use of it, until it leaves it.
struct br_session_block *br_session_make_block(size_t capacity);
void br_session_leave_block(struct br_session *session, struct br_session_block **block);

// --- messages (session_message.c)
// Parses a header block into an array in `arena`. *ret_code gets the status of the first line (0: none), as in
// "NATS/1.0 503".
void br_session_parse_headers(struct br_slice block, struct br_arena *arena, struct br_log_header **ret_headers,
                              uint32_t *ret_count, int *ret_code);
// The status code of the first line; 0: none.
int br_session_status(struct br_slice headers);
// One header's value without parsing all; false when absent.
bool br_session_find_header(struct br_slice headers, const char *name, struct br_slice *ret_value);
// Appends "name: value\r\n"; line ends within the value become blanks, so that no value can smuggle in a header.
void br_session_write_header(struct br_buffer *out, struct br_slice name, struct br_slice value);

// Monotonic microseconds.
int64_t br_session_now(void);

#endif
