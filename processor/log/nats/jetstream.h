// SPDX-License-Identifier: Apache-2.0
// The log on a NATS JetStream server or cluster, by our own client: the data plane (ADR 2). See log.h for the contract.
//
// Connection loss is waited out with back-off (the task goes on when the server is back): readers dial again by
// themselves; a call that needs an answer waits request_timeout_us for the connection and the answer, then says
// BR_RETRY. br_log_connect_jetstream is BR_RETRY when no server answers within request_timeout_us; wrong credentials, a
// server without JetStream and a server older than the floor (2.12.14 in 2.12, 2.14.4 from 2.14 on) are BR_FATAL, said
// in words.
//
// Everything runs in the calling thread: a log moves on in br_log_wait, br_reader_peek, br_log_append_ready and in
// calls that wait, and has no threads of its own. What the server sends meanwhile waits in the sockets.
#ifndef BR_PROCESSOR_LOG_JETSTREAM_H
#define BR_PROCESSOR_LOG_JETSTREAM_H

#include "processor/log/log.h"

#define BR_READER_CONNECTIONS_DEFAULT 4
#define BR_READER_CONNECTIONS_MAX 64

struct br_connect_options {
    const char *url; // "nats://127.0.0.1:4222", several separated by commas; NULL: that one
    // Who logs in: a credentials file, an nkey's seed in a file, a user, or a token. At most one of seed and token, and
    // neither beside another.
    const char *creds_path, *nkey_path, *user, *password, *token;
    const char *tls_ca_path, *tls_cert_path, *tls_key_path;
    bool tls_first; // TLS begins before the server's INFO (handshake_first)
    // JetStream's API is asked below this in place of "$JS.API", or below "$JS.<domain>.API"; at most one of them.
    const char *js_api_prefix, *js_domain;
    const char *inbox_prefix;     // of our own inboxes and, beside "_INBOX", of those that are answered; NULL: "_INBOX"
    const char *name;             // shown by the server's monitoring
    int64_t request_timeout_us;   // 0: 5 s
    const struct br_flag *cancel; // connecting and waiting stop soon after this is set (SIGINT); may be NULL
    size_t reader_queue_bytes;    // 0: 64 MiB per reader; flow control holds the server back beyond it
    uint32_t ask_messages;        // readers pull about so many at a time (R5 of the reader); 0: the server pushes
    uint32_t reader_connections;  // all readers share so many; 0: BR_READER_CONNECTIONS_DEFAULT
    bool allow_old_server;        // skip the version floor (tests of the check itself)
};

enum br_status br_log_connect_jetstream(const struct br_connect_options *options, struct br_log **ret_log,
                                        struct br_error *error) BR_MUST_CHECK;

// From now on readers that pull (ask_messages) ask for so many at a time.
void br_log_jetstream_set_ask(struct br_log *log, uint32_t messages);

// A private nats-server for `braid run --dev`, the demo and tests: finds the binary ($BRAID_NATS_SERVER, else PATH when
// new enough, else .deps/bin beside the braid binary, in a folder above it, or below the working directory), starts it
// on `port` of 127.0.0.1 when that is free (0, or taken: on one that is) with JetStream in `store_dir`, waits until it
// answers. It dies with the thread that started it (PR_SET_PDEATHSIG).
struct br_private_server;
enum br_status br_private_server_start(const char *store_dir, bool sync_always, int port,
                                       struct br_private_server **ret_server, struct br_error *error) BR_MUST_CHECK;
const char *br_private_server_url(const struct br_private_server *server);
int br_private_server_pid(const struct br_private_server *server);
void br_private_server_stop(struct br_private_server **server); // SIGTERM, waits
// For tests of outages: ends the process (kill_it: SIGKILL, else SIGTERM) and starts it again, same port and store.
void br_private_server_halt(struct br_private_server *server, bool kill_it);
enum br_status br_private_server_resume(struct br_private_server *server, struct br_error *error) BR_MUST_CHECK;

#endif
