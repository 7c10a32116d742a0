// SPDX-License-Identifier: Apache-2.0
// Who may connect, and what is said to those who may not, on both planes: user and password, token, nkey, credentials
// file (operator mode), TLS with CA and client certificate, TLS first, domains and prefixes of JetStream's API, a
// server without JetStream, one that is too old. Each test starts a nats-server with a configuration of its own; keys,
// certificates and JWTs are made here and live as long as the test.
#define _GNU_SOURCE
#include "base/logging.h"
#include "processor/log/control.h"
#include "processor/log/nats/session.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <nats/nats.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOGINS 1000 // on each plane

#define NOBODY_WAIT_US 20000 // nobody is there

static char folder[] = "/tmp/braid-nats-login-XXXXXX";
static struct br_error error;
static int failures;
static const char *test_name;
static pid_t server;
static int port;

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            failures++;                                                                                                \
            printf("%s: %s:%d: not so: %s (last error: %s)\n", test_name, __FILE__, __LINE__, #condition,              \
                   error.message);                                                                                     \
            return;                                                                                                    \
        }                                                                                                              \
    } while (0)

static const char *in_folder(const char *name) {
    static char text[8][128];
    static int at;
    at = (at + 1) % 8;
    snprintf(text[at], sizeof text[at], "%s/%s", folder, name);
    return text[at];
}

// --- the server

static void stop_server(void) {
    if (server > 0) {
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
    }
    server = 0;
}

static bool start_server(const char *config) {
    FILE *file = fopen(in_folder("server.conf"), "w");
    fprintf(file, "host: 127.0.0.1\nport: -1\n%s\n", config);
    fclose(file);
    const char *path = in_folder("server.conf");
    server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        FILE *out = freopen(in_folder("server.log"), "w", stderr);
        (void)out;
        execl(getenv("BRAID_NATS_SERVER"), "nats-server", "-c", path, "--ports_file_dir", folder, (char *)NULL);
        _exit(127);
    }
    char ports[64];
    snprintf(ports, sizeof ports, "nats-server_%d.ports", (int)server);
    port = 0;
    for (int i = 0; i < 1000 && port == 0; i++) {
        json_t *json = json_load_file(in_folder(ports), 0, NULL);
        const char *url = json_string_value(json_array_get(json_object_get(json, "nats"), 0));
        port = url == NULL ? 0 : atoi(strrchr(url, ':') + 1);
        json_decref(json);
        usleep(10000);
    }
    return port != 0;
}

static enum br_status try_connect(const char *userinfo, struct br_connect_options options) {
    char url[128];
    struct br_log *log = NULL;
    snprintf(url, sizeof url, "%s127.0.0.1:%d", userinfo, port);
    options.url = url;
    options.request_timeout_us = 5000000;
    error = (struct br_error){0};
    enum br_status status = br_log_connect_jetstream(&options, &log, &error);
    if (status == BR_OK) { // a reader's connection logs in as well
        const char *subjects[] = {"x.>"};
        struct br_output_options output = {.subjects = subjects, .subject_count = 1};
        struct br_stream_info info;
        struct br_reader *reader = NULL;
        status = br_log_ensure_output(log, "X", &output, &info, &error);
        if (status == BR_OK)
            status = br_reader_open(log, "X", "x.>", 1, 0, &reader, &error);
        br_reader_close(&reader);
    }
    br_log_close(&log);
    return status;
}

static enum br_status no_part(void *context, struct br_slice part, struct br_error *why) {
    (void)context;
    (void)part;
    return br_error_set(why, BR_FATAL, "nobody was to answer");
}

// The control plane has connected when it hears that nobody serves what it asks, or waits for that.
static bool is_nobody(enum br_status status, const struct br_error *why) {
    return status == BR_FATAL && strstr(why->message, "no worker answers on") != NULL;
}

static enum br_status try_control(const char *userinfo, struct br_connect_options options, struct br_error *why) {
    char url[128];
    struct br_control *control = NULL;
    snprintf(url, sizeof url, "%s127.0.0.1:%d", userinfo, port);
    options.url = url;
    options.request_timeout_us = 20000000; // a login refused is tried three times
    enum br_status status = br_control_open(&options, NULL, &control, why);
    if (status != BR_OK)
        return status;
    status = br_control_request(control, "braid_api.nobody.status", (struct br_slice){NULL, 0}, NOBODY_WAIT_US, no_part,
                                NULL, why);
    br_control_close(&control);
    return is_nobody(status, why) ? BR_OK : status;
}

// Both planes get in, or both are refused in the same words.
static bool both(enum br_status wanted, const char *userinfo, struct br_connect_options options) {
    struct br_error why = {0};
    enum br_status data = try_connect(userinfo, options), control = try_control(userinfo, options, &why);
    bool same = data == wanted && control == wanted && (wanted == BR_OK || strcmp(error.message, why.message) == 0);
    if (!same)
        printf("%s: the data plane: %d %s\nthe control plane: %d %s\n", test_name, data, error.message, control,
               why.message);
    return same;
}

static const char *with_store(const char *rest) {
    static char text[8192];
    snprintf(text, sizeof text, "jetstream { store_dir: \"%s/js\" }\n%s", folder, rest);
    return text;
}

// --- tests

static void user_and_password_are_given_by_option_or_url_and_never_shown(void) {
    EXPECT(start_server(with_store("authorization { user: anna, password: \"p@ss/w\" }")));
    EXPECT(both(BR_OK, "", (struct br_connect_options){.user = "anna", .password = "p@ss/w"}));
    EXPECT(both(BR_OK, "nats://anna:p%40ss%2Fw@", (struct br_connect_options){0}));
    EXPECT(both(BR_FATAL, "", (struct br_connect_options){0}));
    EXPECT(strstr(error.message, "refuses the credentials") != NULL);
    EXPECT(both(BR_FATAL, "", (struct br_connect_options){.user = "anna", .password = "hunter2"}));
    EXPECT(strstr(error.message, "anna") != NULL && strstr(error.message, "hunter2") == NULL);
    EXPECT(both(BR_FATAL, "nats://anna:hunter2@", (struct br_connect_options){0}));
    EXPECT(strstr(error.message, "hunter2") == NULL);
}

static void a_token_is_taken_from_the_url(void) {
    EXPECT(start_server(with_store("authorization { token: s3cret }")));
    EXPECT(both(BR_OK, "nats://s3cret@", (struct br_connect_options){0}));
    EXPECT(both(BR_FATAL, "nats://wrong@", (struct br_connect_options){0}));
    EXPECT(strstr(error.message, "wrong") == NULL);
}

static void a_token_is_taken_from_an_option_and_goes_before_the_url(void) {
    EXPECT(start_server(with_store("authorization { token: \"s\\\"3\\\\cret\" }")));
    EXPECT(both(BR_OK, "", (struct br_connect_options){.token = "s\"3\\cret"}));
    EXPECT(both(BR_OK, "nats://wrong@", (struct br_connect_options){.token = "s\"3\\cret"}));
    EXPECT(both(BR_FATAL, "", (struct br_connect_options){.token = "wr0ng"}));
    EXPECT(strstr(error.message, "a token is given") != NULL && strstr(error.message, "wr0ng") == NULL);
    EXPECT(both(BR_FATAL, "", (struct br_connect_options){.token = "s", .user = "anna"}));
    EXPECT(strstr(error.message, "--token") != NULL && strstr(error.message, "--user") != NULL);
}

static void names_and_passwords_may_have_any_characters(void) {
    EXPECT(start_server(with_store("authorization { user: \"an\\\"na\", password: \"p\\\"\\\\\\n,}\xc3\xa4\" }")));
    EXPECT(both(BR_OK, "", (struct br_connect_options){.user = "an\"na", .password = "p\"\\\n,}\xc3\xa4"}));
    EXPECT(both(BR_OK, "nats://an%22na:p%22%5C%0A%2C%7D%C3%A4@", (struct br_connect_options){0}));
    EXPECT(both(BR_FATAL, "", (struct br_connect_options){.user = "an\"na", .password = "p\",\"x\":\"y"}));
    EXPECT(strstr(error.message, "an\"na") != NULL);
}

static void a_domain_or_a_prefix_of_jetstreams_api_is_asked(void) {
    char text[400];
    snprintf(text, sizeof text, "jetstream { store_dir: \"%s/js-domain\", domain: hub }", folder);
    EXPECT(start_server(text));
    EXPECT(both(BR_OK, "", (struct br_connect_options){0}));
    EXPECT(both(BR_OK, "", (struct br_connect_options){.js_domain = "hub"}));
    EXPECT(both(BR_OK, "", (struct br_connect_options){.js_api_prefix = "$JS.hub.API"}));
    EXPECT(both(BR_OK, "", (struct br_connect_options){.js_api_prefix = "$JS.hub.API."}));
    EXPECT(try_connect("", (struct br_connect_options){.js_domain = "elsewhere"}) == BR_FATAL);
    EXPECT(strstr(error.message, "$JS.elsewhere.API.INFO") != NULL && strstr(error.message, "domain") != NULL);
    EXPECT(both(BR_FATAL, "", (struct br_connect_options){.js_domain = "hub", .js_api_prefix = "$JS.hub.API"}));
    EXPECT(strstr(error.message, "--js-domain") != NULL && strstr(error.message, "--js-api-prefix") != NULL);
    EXPECT(both(BR_FATAL, "", (struct br_connect_options){.js_domain = "a.b"}));
    EXPECT(both(BR_FATAL, "", (struct br_connect_options){.js_domain = "*"}));
    EXPECT(both(BR_FATAL, "", (struct br_connect_options){.js_api_prefix = "$JS.>"}));
    EXPECT(both(BR_FATAL, "", (struct br_connect_options){.inbox_prefix = "a b"}));
}

static void a_server_without_jetstream_is_told_in_words(void) {
    EXPECT(start_server(""));
    EXPECT(try_connect("", (struct br_connect_options){0}) == BR_FATAL);
    EXPECT(strstr(error.message, "has no JetStream") != NULL && strstr(error.message, "-js") != NULL);
}

static void an_account_without_jetstream_is_told_in_words(void) {
    EXPECT(start_server(with_store("accounts { A: { jetstream: enabled, users: [{user: a, password: a}] }\n"
                                   "  B: { users: [{user: b, password: b}] } }")));
    EXPECT(both(BR_OK, "nats://a:a@", (struct br_connect_options){0}));
    EXPECT(try_connect("nats://b:b@", (struct br_connect_options){0}) == BR_FATAL);
    EXPECT(strstr(error.message, "JetStream") != NULL);
}

static void missing_permissions_are_told_in_words(void) {
    EXPECT(start_server(with_store("authorization { users: [{user: a, password: a, permissions: { subscribe: \">\", "
                                   "publish: [\"$JS.API.INFO\"] }}] }")));
    EXPECT(try_connect("nats://a:a@", (struct br_connect_options){0}) == BR_FATAL);
    EXPECT(strstr(error.message, "doesn't permit") != NULL);
}

static void what_is_no_nats_server_is_not_talked_to(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    EXPECT(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 4) == 0);
    getsockname(listener, (struct sockaddr *)&address, &len);
    port = ntohs(address.sin_port);
    server = fork();
    if (server == 0) {
        static const char greeting[] = "220 mail.example.org ESMTP\r\n";
        for (;;) {
            int peer = accept(listener, NULL, NULL);
            ssize_t sent = send(peer, greeting, sizeof greeting - 1, MSG_NOSIGNAL);
            (void)sent;
            usleep(100000);
            close(peer);
        }
    }
    close(listener);
    struct br_log *log = NULL;
    char url[64];
    snprintf(url, sizeof url, "127.0.0.1:%d", port);
    struct br_connect_options options = {.url = url, .request_timeout_us = 500000};
    EXPECT(br_log_connect_jetstream(&options, &log, &error) == BR_RETRY);
    EXPECT(strstr(error.message, "not the NATS protocol") != NULL);
}

static void a_server_that_is_too_old_is_refused_unless_allowed(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    EXPECT(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 4) == 0);
    getsockname(listener, (struct sockaddr *)&address, &len);
    server = fork();
    if (server == 0) { // greets as an old server does
        static const char info[] = "INFO {\"server_id\":\"X\",\"version\":\"2.12.13\",\"headers\":true,\"max_payload\":"
                                   "1048576,\"jetstream\":true}\r\n";
        for (;;) {
            char in[4096];
            int peer = accept(listener, NULL, NULL);
            ssize_t done = send(peer, info, sizeof info - 1, MSG_NOSIGNAL);
            done += recv(peer, in, sizeof in, 0);
            done += send(peer, "PONG\r\n", 6, MSG_NOSIGNAL);
            usleep(done > 0 ? 300000 : 0);
            close(peer);
        }
    }
    close(listener);
    struct br_log *log = NULL;
    char url[64];
    snprintf(url, sizeof url, "127.0.0.1:%d", ntohs(address.sin_port));
    struct br_connect_options options = {.url = url, .request_timeout_us = 200000};
    EXPECT(br_log_connect_jetstream(&options, &log, &error) == BR_FATAL);
    EXPECT(strstr(error.message, "version 2.12.13") != NULL && strstr(error.message, "2.12.14") != NULL);
    options.allow_old_server = true;
    EXPECT(br_log_connect_jetstream(&options, &log, &error) == BR_RETRY); // no JetStream behind it
}

static void a_server_that_is_down_is_skipped_for_one_that_is_up(void) {
    EXPECT(start_server(with_store("")));
    EXPECT(both(BR_OK, "nats://127.0.0.1:1,", (struct br_connect_options){0}));
}

// --- servers that say odd things

// Listens on a port of its own; `serve` is run for each connection, in a process that stop_server ends.
static bool start_odd_server(void (*serve)(int peer)) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 64) != 0)
        return false;
    getsockname(listener, (struct sockaddr *)&address, &len);
    port = ntohs(address.sin_port);
    server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            int peer = accept(listener, NULL, NULL);
            serve(peer);
            close(peer);
        }
    }
    close(listener);
    return true;
}

static void say(int peer, const char *text) {
    ssize_t sent = send(peer, text, strlen(text), MSG_NOSIGNAL);
    (void)sent;
}

#define INFO(more)                                                                                                     \
    "INFO {\"server_id\":\"X\",\"version\":\"2.15.0\",\"headers\":true,\"max_payload\":1048576" more "}\r\n"

// Reads the client's CONNECT and PING.
static void greet(int peer) {
    char in[4096];
    say(peer, INFO(""));
    ssize_t got = recv(peer, in, sizeof in, 0);
    (void)got;
}

struct session_run {
    struct br_session_config config;
    struct br_session session;
};

static void open_session(struct session_run *run, const char *url, const char *ca) {
    struct br_connect_options options = {.url = url, .tls_ca_path = ca};
    struct br_error ignored;
    if (br_session_config_init(&run->config, &options, &ignored) != BR_OK)
        abort();
    br_session_init(&run->session, &run->config, 1 << 16);
}

static void close_session(struct session_run *run) {
    br_session_close(&run->session);
    br_session_config_free(&run->config);
}

// Drives it until the state is reached, or for this time. Messages are taken and forgotten.
static bool drive(struct session_run *run, bool (*until)(const struct br_session *session), int64_t for_us) {
    struct br_session_message message;
    int64_t end_us = br_session_now() + for_us;
    while (br_session_now() < end_us && (until == NULL || !until(&run->session))) {
        br_session_service(&run->session, br_session_now());
        br_session_fill(&run->session, 1 << 16, br_session_now());
        while (br_session_next(&run->session, &message))
            ;
        struct pollfd poller = br_session_pollfd(&run->session);
        poll(&poller, 1, 10);
    }
    return until != NULL && until(&run->session);
}

static bool is_up(const struct br_session *session) {
    return br_session_is_up(session);
}

static bool was_up(const struct br_session *session) {
    return session->connection_id != 0;
}

static bool is_dropped(const struct br_session *session) {
    return session->drop_count != 0;
}

static void serve_no_ok(int peer) {
    greet(peer);
    say(peer, "+OKAY\r\nPONG\r\n");
    usleep(200000);
}

static void serve_bad_payload(int peer) {
    greet(peer);
    say(peer, "PONG\r\nMSG a 1 2\r\nhiXXMSG a 1 2\r\nhi\r\n");
    usleep(2000000);
}

static void what_only_looks_like_the_protocol_is_refused(void) {
    struct session_run run;
    char url[64];
    EXPECT(start_odd_server(serve_no_ok));
    snprintf(url, sizeof url, "127.0.0.1:%d", port);
    struct br_log *log = NULL;
    struct br_connect_options options = {.url = url, .request_timeout_us = 500000};
    EXPECT(br_log_connect_jetstream(&options, &log, &error) == BR_RETRY);
    EXPECT(strstr(error.message, "not the NATS protocol") != NULL);
    stop_server();
    EXPECT(start_odd_server(serve_bad_payload));
    snprintf(url, sizeof url, "127.0.0.1:%d", port);
    open_session(&run, url, NULL);
    bool up = drive(&run, was_up, 5000000), dropped = drive(&run, is_dropped, 1500000);
    error = run.session.error;
    close_session(&run);
    EXPECT(up && dropped && strstr(error.message, "not the NATS protocol") != NULL);
}

static int counter[2];

static void serve_and_drop(int peer) {
    char byte = 'x';
    greet(peer);
    say(peer, "PONG\r\n");
    ssize_t sent = write(counter[1], &byte, 1);
    (void)sent;
}

static void a_server_that_takes_us_and_lets_us_go_is_left_alone_for_a_while(void) {
    struct session_run run;
    char url[64], bytes[1000];
    EXPECT(pipe(counter) == 0 && start_odd_server(serve_and_drop));
    snprintf(url, sizeof url, "127.0.0.1:%d,127.0.0.1:%d", port, port);
    open_session(&run, url, NULL);
    drive(&run, NULL, 3000000);
    close_session(&run);
    stop_server();
    close(counter[1]);
    ssize_t times = read(counter[0], bytes, sizeof bytes);
    close(counter[0]);
    EXPECT(times >= 1 && times <= 16); // two a round; pauses of 0.05, 0.1, 0.2 … seconds and their jitter
}

static void serve_more_in_clear(int peer) {
    say(peer, INFO(",\"tls_required\":true") "-ERR 'Authorization Violation'\r\n");
    usleep(300000);
}

static void what_comes_in_clear_before_tls_is_refused(void) {
    char url[64];
    EXPECT(start_odd_server(serve_more_in_clear));
    snprintf(url, sizeof url, "127.0.0.1:%d", port);
    struct br_log *log = NULL;
    struct br_connect_options options = {.url = url, .request_timeout_us = 1000000};
    EXPECT(br_log_connect_jetstream(&options, &log, &error) == BR_RETRY);
    EXPECT(strstr(error.message, "in clear before TLS") != NULL);
    EXPECT(both(BR_RETRY, "", (struct br_connect_options){0}));
}

static void what_is_sent_of_secrets_is_wiped(void) {
    struct session_run run;
    char url[128];
    EXPECT(start_server(with_store("authorization { user: anna, password: \"open-sesame\" }")));
    snprintf(url, sizeof url, "nats://anna:open-sesame@127.0.0.1:%d", port);
    open_session(&run, url, NULL);
    bool up = drive(&run, is_up, 5000000);
    const struct br_buffer *out = &run.session.out;
    bool found = out->ptr != NULL && memmem(out->ptr, out->capacity, "open-sesame", 11) != NULL;
    close_session(&run);
    EXPECT(up && !found);
}

// --- TLS

static EVP_PKEY *make_key(const char *path) {
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    FILE *file = fopen(path, "w");
    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    return key;
}

static void add_extension(X509 *certificate, int which, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, which, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

static long valid_until_s = 3600; // from now

// Signed by itself when issuer is NULL.
static X509 *make_certificate(const char *path, const char *name, const char *alternative, EVP_PKEY *key, X509 *issuer,
                              EVP_PKEY *issuer_key) {
    static long serial = 1;
    X509 *certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -7200);
    X509_gmtime_adj(X509_getm_notAfter(certificate), valid_until_s);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                               -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer == NULL ? certificate : issuer));
    add_extension(certificate, NID_basic_constraints, issuer == NULL ? "critical,CA:TRUE" : "CA:FALSE");
    if (alternative != NULL)
        add_extension(certificate, NID_subject_alt_name, alternative);
    X509_sign(certificate, issuer_key == NULL ? key : issuer_key, EVP_sha256());
    FILE *file = fopen(path, "w");
    PEM_write_X509(file, certificate);
    fclose(file);
    return certificate;
}

static void make_certificates(void) {
    EVP_PKEY *ca_key = make_key(in_folder("ca.key")), *server_key = make_key(in_folder("server.key"));
    EVP_PKEY *client_key = make_key(in_folder("client.key")), *other_key = make_key(in_folder("other.key"));
    X509 *ca = make_certificate(in_folder("ca.pem"), "CA", NULL, ca_key, NULL, NULL);
    X509_free(make_certificate(in_folder("server.pem"), "server", "IP:127.0.0.1", server_key, ca, ca_key));
    X509_free(make_certificate(in_folder("elsewhere.pem"), "server", "DNS:example.org", server_key, ca, ca_key));
    X509_free(make_certificate(in_folder("client.pem"), "client", NULL, client_key, ca, ca_key));
    X509_free(make_certificate(in_folder("named.pem"), "server", "DNS:localhost", server_key, ca, ca_key));
    valid_until_s = -3600;
    X509_free(make_certificate(in_folder("expired.pem"), "server", "IP:127.0.0.1", server_key, ca, ca_key));
    X509_free(make_certificate(in_folder("old-client.pem"), "client", NULL, client_key, ca, ca_key));
    valid_until_s = 3600;
    X509_free(make_certificate(in_folder("other.pem"), "Other CA", NULL, other_key, NULL, NULL));
    X509_free(ca);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(server_key);
    EVP_PKEY_free(client_key);
    EVP_PKEY_free(other_key);
}

static const char *tls_config(const char *certificate, bool verify) {
    char text[1024];
    snprintf(text, sizeof text, "tls { cert_file: \"%s\", key_file: \"%s\", ca_file: \"%s\", verify: %s }",
             in_folder(certificate), in_folder("server.key"), in_folder("ca.pem"), verify ? "true" : "false");
    return with_store(text);
}

static void tls_needs_a_certificate_that_is_trusted(void) {
    make_certificates();
    EXPECT(start_server(tls_config("server.pem", false)));
    EXPECT(both(BR_OK, "", (struct br_connect_options){.tls_ca_path = in_folder("ca.pem")}));
    EXPECT(both(BR_OK, "tls://", (struct br_connect_options){.tls_ca_path = in_folder("ca.pem")}));
    EXPECT(both(BR_FATAL, "", (struct br_connect_options){.tls_ca_path = in_folder("other.pem")}));
    EXPECT(strstr(error.message, "not trusted") != NULL);
    EXPECT(both(BR_FATAL, "", (struct br_connect_options){0}));
    EXPECT(both(BR_FATAL, "", (struct br_connect_options){.tls_ca_path = "/nowhere.pem"}));
    EXPECT(strstr(error.message, "/nowhere.pem") != NULL);
}

static void tls_refuses_a_certificate_of_another_host(void) {
    make_certificates();
    EXPECT(start_server(tls_config("elsewhere.pem", false)));
    EXPECT(both(BR_FATAL, "", (struct br_connect_options){.tls_ca_path = in_folder("ca.pem")}));
    EXPECT(strstr(error.message, "not trusted") != NULL && strstr(error.message, "another host") != NULL);
    stop_server();
    EXPECT(start_server(tls_config("expired.pem", false)));
    EXPECT(both(BR_FATAL, "", (struct br_connect_options){.tls_ca_path = in_folder("ca.pem")}));
    EXPECT(strstr(error.message, "has expired") != NULL && strstr(error.message, "on the server") != NULL);
}

static int free_port(void) {
    int probe = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    if (bind(probe, (struct sockaddr *)&address, sizeof address) != 0)
        abort();
    getsockname(probe, (struct sockaddr *)&address, &len);
    close(probe);
    return ntohs(address.sin_port);
}

static bool start_member(int own, int other) {
    char config[1024];
    snprintf(config, sizeof config,
             "cluster { name: c, listen: \"127.0.0.1:%d\", routes: [\"nats://127.0.0.1:%d\"] }\n"
             "tls { cert_file: \"%s\", key_file: \"%s\" }",
             own, other, in_folder("named.pem"), in_folder("server.key"));
    return start_server(config);
}

static bool knows_another(const struct br_session *session) {
    return br_session_is_up(session) && session->config->server_count >= 3; // itself by its address, and the other
}

// It has a connection, maybe the next one after one that was lost.
static bool hears_nobody(struct br_control *control) {
    for (int i = 0; i < 20; i++) {
        error = (struct br_error){0};
        enum br_status status = br_control_request(control, "braid_api.nobody.status", (struct br_slice){NULL, 0},
                                                   NOBODY_WAIT_US, no_part, NULL, &error);
        if (status == BR_FATAL)
            return is_nobody(status, &error);
        usleep(50000);
    }
    return false;
}

// The servers of a cluster tell of each other by addresses, and have certificates for the name that users dial.
static void tls_goes_on_with_a_server_that_another_told_of_by_its_address(void) {
    struct session_run run;
    char url[64], other_port[16];
    int first_route = free_port(), second_route = free_port();
    make_certificates();
    EXPECT(start_member(first_route, second_route));
    pid_t second = server;
    snprintf(other_port, sizeof other_port, "%d", port);
    bool started = start_member(second_route, first_route);
    snprintf(url, sizeof url, "tls://localhost:%d", port);
    open_session(&run, url, in_folder("ca.pem"));
    bool knows = started && drive(&run, knows_another, 20000000);
    struct br_connect_options options = {
        .url = url, .tls_ca_path = in_folder("ca.pem"), .request_timeout_us = 20000000};
    struct br_control *control = NULL;
    bool asked = br_control_open(&options, NULL, &control, &error) == BR_OK && hears_nobody(control);
    stop_server(); // the one that was dialed
    server = second;
    bool dropped = knows && drive(&run, is_dropped, 10000000), again = dropped && drive(&run, is_up, 20000000);
    bool there = again && strcmp(run.config.servers[run.session.server_index].port, other_port) == 0 &&
                 strcmp(run.config.servers[run.session.server_index].host, "127.0.0.1") == 0;
    error = run.session.error;
    close_session(&run);
    bool asked_again = asked && hears_nobody(control);
    br_control_close(&control);
    EXPECT(knows && dropped && again && there);
    EXPECT(asked && asked_again);
}

static void tls_with_a_client_certificate(void) {
    make_certificates();
    EXPECT(start_server(tls_config("server.pem", true)));
    struct br_connect_options options = {.tls_ca_path = in_folder("ca.pem"),
                                         .tls_cert_path = in_folder("client.pem"),
                                         .tls_key_path = in_folder("client.key")};
    EXPECT(both(BR_OK, "", options));
    options.tls_cert_path = in_folder("old-client.pem");
    EXPECT(both(BR_FATAL, "", options));
    EXPECT(strstr(error.message, "old-client.pem has expired") != NULL);
    options.tls_cert_path = in_folder("other.pem");
    options.tls_key_path = in_folder("other.key");
    EXPECT(both(BR_FATAL, "", options));
    EXPECT(strstr(error.message, "refuses the client certificate") != NULL &&
           strstr(error.message, "other.pem") != NULL);
    options.tls_cert_path = options.tls_key_path = NULL;
    EXPECT(both(BR_FATAL, "", options));
    EXPECT(strstr(error.message, "wants a client certificate") != NULL && strstr(error.message, "--tlscert") != NULL);
}

static void tls_that_the_server_does_not_offer_is_not_done_without(void) {
    EXPECT(start_server(with_store("")));
    EXPECT(both(BR_FATAL, "tls://", (struct br_connect_options){0}));
    EXPECT(strstr(error.message, "offers no TLS") != NULL);
}

// What the server offers without requiring it is taken by who asks for TLS, and left by who doesn't.
static void tls_that_is_offered_is_taken_when_asked_for(void) {
    static char config[8300];
    make_certificates();
    snprintf(config, sizeof config, "%s\nallow_non_tls: true", tls_config("server.pem", false));
    EXPECT(start_server(config));
    EXPECT(both(BR_OK, "", (struct br_connect_options){0}));
    struct br_connect_options options = {.tls_ca_path = in_folder("ca.pem")};
    struct br_error why = {0};
    EXPECT(try_connect("", options) == BR_OK);
    enum br_status control = try_control("", options, &why);
    error = why;
    if (nats_GetVersionNumber() >= 0x030800) {
        EXPECT(control == BR_OK);
    } else {
        EXPECT(control == BR_FATAL);
        EXPECT(strstr(error.message, "libnats " NATS_VERSION_STRING) != NULL);
        EXPECT(strstr(error.message, "allow_non_tls") != NULL);
    }
}

static const char *tls_first_config(const char *how) {
    char text[1024];
    snprintf(text, sizeof text, "tls { cert_file: \"%s\", key_file: \"%s\", handshake_first: %s }",
             in_folder("server.pem"), in_folder("server.key"), how);
    return with_store(text);
}

static void tls_may_come_before_info(void) {
    struct br_error why = {0};
    make_certificates();
    EXPECT(start_server(tls_first_config("true")));
    struct br_connect_options options = {.tls_ca_path = in_folder("ca.pem"), .tls_first = true};
    EXPECT(try_connect("", options) == BR_OK);
    options.tls_first = false;
    EXPECT(try_connect("", options) == BR_RETRY);
    EXPECT(strstr(error.message, "--tls-first") != NULL && strstr(error.message, "handshake_first") != NULL);
    EXPECT(try_control("", options, &why) == BR_RETRY); // the server hangs up when we do: either is said
    EXPECT(strstr(why.message, "--tls-first") != NULL && strstr(why.message, "handshake_first") != NULL);
    options.tls_first = true;
    options.tls_ca_path = in_folder("other.pem");
    EXPECT(try_connect("", options) == BR_FATAL);
    EXPECT(strstr(error.message, "not trusted") != NULL);
    options.tls_ca_path = in_folder("ca.pem");
    enum br_status control = try_control("", options, &why);
    error = why;
    if (nats_GetVersionNumber() < 0x030900) { // said at once, without dialing
        EXPECT(control == BR_FATAL && strstr(error.message, "libnats " NATS_VERSION_STRING) != NULL);
        EXPECT(strstr(error.message, "--tls-first") != NULL && strstr(error.message, "3.9") != NULL);
        printf("skip %s: the control plane, for libnats %s begins with INFO\n", test_name, nats_GetVersion());
        return;
    }
    EXPECT(control == BR_OK);
    options.tls_ca_path = in_folder("other.pem");
    EXPECT(both(BR_FATAL, "", options));
}

static void a_server_may_leave_it_open_which_comes_first(void) {
    make_certificates();
    EXPECT(start_server(tls_first_config("auto")));
    struct br_connect_options options = {.tls_ca_path = in_folder("ca.pem")};
    EXPECT(both(BR_OK, "", options));
    options.tls_first = true;
    EXPECT(try_connect("", options) == BR_OK);
}

static void tls_first_is_not_for_servers_that_begin_with_info(void) {
    make_certificates();
    EXPECT(start_server(tls_config("server.pem", false)));
    struct br_connect_options options = {.tls_ca_path = in_folder("ca.pem"), .tls_first = true};
    EXPECT(try_connect("", options) == BR_FATAL);
    EXPECT(strstr(error.message, "without --tls-first") != NULL);
    if (nats_GetVersionNumber() >= 0x030900)
        EXPECT(both(BR_FATAL, "", options));
}

// --- credentials files: an operator, its accounts and a user, by JWT

struct nkey {
    char seed[64], public[64];
};

static void base32(const uint8_t *bytes, size_t len, char *text) {
    uint32_t bits = 0;
    int have = 0;
    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | bytes[i];
        for (have += 8; have >= 5; have -= 5)
            *text++ = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[bits >> (have - 5) & 31];
    }
    if (have > 0)
        *text++ = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[bits << (5 - have) & 31];
    *text = '\0';
}

// CRC-16/XMODEM, little endian, at the end.
static size_t add_checksum(uint8_t *bytes, size_t len) {
    uint16_t crc = 0;
    for (size_t i = 0; i < len; i++) {
        crc = (uint16_t)(crc ^ bytes[i] << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    bytes[len] = (uint8_t)crc;
    bytes[len + 1] = (uint8_t)(crc >> 8);
    return len + 2;
}

// kind: the nkey's prefix byte, e.g. 20 << 3 for a user ("U…").
static struct nkey make_nkey(uint8_t kind) {
    struct nkey nkey = {0};
    uint8_t raw[32], bytes[40];
    size_t len = sizeof raw;
    RAND_bytes(raw, sizeof raw);
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, sizeof raw);
    // libnats signs with users' and accounts' seeds alone; the prefix is no part of the key.
    const uint8_t seed_kind = 20 << 3;
    bytes[0] = (uint8_t)(18 << 3 | seed_kind >> 5);
    bytes[1] = (uint8_t)(seed_kind << 3);
    memcpy(bytes + 2, raw, 32);
    base32(bytes, add_checksum(bytes, 34), nkey.seed);
    EVP_PKEY_get_raw_public_key(key, raw, &len);
    bytes[0] = kind;
    memcpy(bytes + 1, raw, 32);
    base32(bytes, add_checksum(bytes, 33), nkey.public);
    EVP_PKEY_free(key);
    return nkey;
}

static size_t base64url(const uint8_t *bytes, size_t len, char *text) {
    size_t size = (size_t)EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
    while (size > 0 && text[size - 1] == '=')
        size--;
    for (size_t i = 0; i < size; i++)
        text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    text[size] = '\0';
    return size;
}

static void make_jwt(const struct nkey *issuer, const struct nkey *about, const char *name, const char *claims,
                     char *jwt, size_t size) {
    static const char header[] = "{\"typ\":\"JWT\",\"alg\":\"ed25519-nkey\"}";
    char body[2048];
    int len = snprintf(body, sizeof body,
                       "{\"jti\":\"%s\",\"iat\":1700000000,\"iss\":\"%s\",\"name\":\"%s\",\"sub\":\"%s\",\"nats\":%s}",
                       name, issuer->public, name, about->public, claims);
    size_t at = base64url((const uint8_t *)header, sizeof header - 1, jwt);
    jwt[at++] = '.';
    at += base64url((const uint8_t *)body, (size_t)len, jwt + at);
    unsigned char *signature = NULL;
    int signature_len = 0;
    if (nats_Sign(issuer->seed, jwt, &signature, &signature_len) != NATS_OK)
        abort();
    jwt[at++] = '.';
    at += base64url(signature, (size_t)signature_len, jwt + at);
    free(signature);
    if (at >= size)
        abort();
}

static void write_creds(const char *path, const char *jwt, const char *seed) {
    FILE *file = fopen(path, "w");
    fprintf(file,
            "-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\nThe seed is secret.\n\n"
            "-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n",
            jwt, seed);
    fclose(file);
}

#define LIMITS                                                                                                         \
    "\"subs\":-1,\"data\":-1,\"payload\":-1,\"imports\":-1,\"exports\":-1,\"wildcards\":true,\"conn\":-1,\"leaf\":-1"

// Of a user, and of one who only bears that user's name.
static bool start_server_of_an_operator(char stranger_seed[64]) {
    struct nkey operator= make_nkey(14 << 3), system = make_nkey(0), account = make_nkey(0), user = make_nkey(20 << 3);
    struct nkey stranger = make_nkey(20 << 3);
    static char operator_jwt[4096], system_jwt[4096], account_jwt[4096], user_jwt[4096];
    char claims[512];
    snprintf(claims, sizeof claims, "{\"type\":\"operator\",\"version\":2,\"system_account\":\"%s\"}", system.public);
    make_jwt(&operator, & operator, "op", claims, operator_jwt, sizeof operator_jwt);
    make_jwt(&operator, & system, "SYS", "{\"type\":\"account\",\"version\":2,\"limits\":{" LIMITS "}}", system_jwt,
             sizeof system_jwt);
    make_jwt(&operator, & account, "A",
             "{\"type\":\"account\",\"version\":2,\"limits\":{" LIMITS
             ",\"mem_storage\":-1,\"disk_storage\":-1,\"streams\":-1,\"consumer\":-1}}",
             account_jwt, sizeof account_jwt);
    make_jwt(&account, &user, "u", "{\"type\":\"user\",\"version\":2,\"subs\":-1,\"data\":-1,\"payload\":-1}", user_jwt,
             sizeof user_jwt);
    static char config[16384];
    snprintf(
        config, sizeof config,
        "jetstream { store_dir: \"%s/js-op\" }\noperator: %s\nresolver: MEMORY\nresolver_preload: { %s: %s, %s: %s "
        "}\n",
        folder, operator_jwt, system.public, system_jwt, account.public, account_jwt);
    write_creds(in_folder("user.creds"), user_jwt, user.seed);
    write_creds(in_folder("stranger.creds"), user_jwt, stranger.seed);
    snprintf(stranger_seed, 64, "%s", stranger.seed);
    return start_server(config);
}

static void a_credentials_file_signs_the_servers_nonce(void) {
    char stranger_seed[64];
    EXPECT(start_server_of_an_operator(stranger_seed));
    EXPECT(both(BR_OK, "", (struct br_connect_options){.creds_path = in_folder("user.creds")}));
    EXPECT(both(BR_FATAL, "", (struct br_connect_options){.creds_path = in_folder("stranger.creds")}));
    EXPECT(strstr(error.message, "stranger.creds") != NULL && strstr(error.message, stranger_seed) == NULL);
    EXPECT(both(BR_FATAL, "", (struct br_connect_options){.creds_path = "/nowhere.creds"}));
    EXPECT(strstr(error.message, "/nowhere.creds") != NULL);
    EXPECT(both(BR_FATAL, "", (struct br_connect_options){.creds_path = in_folder("server.conf")}));
    EXPECT(strstr(error.message, "no credentials file") != NULL);
}

static void write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
}

static void an_nkeys_seed_signs_the_servers_nonce(void) {
    struct nkey user = make_nkey(20 << 3), stranger = make_nkey(20 << 3);
    char text[300], public[BR_SESSION_NKEY_SIZE];
    EXPECT(br_session_public_nkey(user.seed, public) && strcmp(public, user.public) == 0);
    snprintf(text, sizeof text, "authorization { users: [ { nkey: %s } ] }", user.public);
    EXPECT(start_server(with_store(text)));
    struct br_connect_options options = {.nkey_path = in_folder("user.nk")};
    snprintf(text, sizeof text, "# the key of a test\n%s\n", user.seed);
    write_text(in_folder("user.nk"), text);
    EXPECT(both(BR_OK, "", options));
    EXPECT(both(BR_OK, "nats://somebody:else@", options));
    snprintf(text, sizeof text, "-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n", user.seed);
    write_text(in_folder("user.nk"), text);
    EXPECT(both(BR_OK, "", options));
    write_text(in_folder("user.nk"), stranger.seed);
    EXPECT(both(BR_FATAL, "", options));
    EXPECT(strstr(error.message, "user.nk") != NULL && strstr(error.message, stranger.seed) == NULL);
    stranger.seed[20] = stranger.seed[20] == 'A' ? 'B' : 'A';
    write_text(in_folder("user.nk"), stranger.seed);
    EXPECT(both(BR_FATAL, "", options));
    EXPECT(strstr(error.message, "user.nk") != NULL && strstr(error.message, "no nkey seed") != NULL);
    EXPECT(strstr(error.message, stranger.seed) == NULL);
    write_text(in_folder("user.nk"), "nothing\n");
    EXPECT(both(BR_FATAL, "", options));
    EXPECT(strstr(error.message, "holds no nkey's seed") != NULL);
    options.nkey_path = "/nowhere.nk";
    EXPECT(both(BR_FATAL, "", options));
    EXPECT(strstr(error.message, "/nowhere.nk") != NULL);
    options.creds_path = in_folder("user.creds");
    EXPECT(both(BR_FATAL, "", options));
    EXPECT(strstr(error.message, "--nkey") != NULL && strstr(error.message, "--creds") != NULL);
}

// It has no nonce to be signed.
static void a_server_that_asks_nobody_takes_who_has_keys(void) {
    struct nkey user = make_nkey(20 << 3);
    EXPECT(start_server(with_store("")));
    write_creds(in_folder("user.creds"), "a.b.c", user.seed);
    write_text(in_folder("user.nk"), user.seed);
    EXPECT(both(BR_OK, "", (struct br_connect_options){.creds_path = in_folder("user.creds")}));
    EXPECT(both(BR_OK, "", (struct br_connect_options){.nkey_path = in_folder("user.nk")}));
    EXPECT(both(BR_OK, "", (struct br_connect_options){.token = "t"}));
}

// A signature that a library spoils is made again: nobody hears of it.
static void of_thousands_of_logins_by_credentials_none_is_refused(void) {
    char url[64], stranger_seed[64];
    EXPECT(start_server_of_an_operator(stranger_seed));
    snprintf(url, sizeof url, "127.0.0.1:%d", port);
    struct br_connect_options options = {
        .url = url, .creds_path = in_folder("user.creds"), .request_timeout_us = 60000000};
    for (int i = 0; i < LOGINS; i++) {
        struct br_log *log = NULL;
        EXPECT(br_log_connect_jetstream(&options, &log, &error) == BR_OK);
        br_log_close(&log);
        struct br_control *control = NULL;
        EXPECT(br_control_open(&options, NULL, &control, &error) == BR_OK);
        enum br_status status =
            br_control_request(control, "nobody", br_slice_of("?"), NOBODY_WAIT_US, no_part, NULL, &error);
        br_control_close(&control);
        EXPECT(is_nobody(status, &error));
    }
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
#define T(name) {#name, name}
        T(user_and_password_are_given_by_option_or_url_and_never_shown),
        T(a_token_is_taken_from_the_url),
        T(a_token_is_taken_from_an_option_and_goes_before_the_url),
        T(names_and_passwords_may_have_any_characters),
        T(a_domain_or_a_prefix_of_jetstreams_api_is_asked),
        T(a_server_without_jetstream_is_told_in_words),
        T(an_account_without_jetstream_is_told_in_words),
        T(missing_permissions_are_told_in_words),
        T(what_is_no_nats_server_is_not_talked_to),
        T(a_server_that_is_too_old_is_refused_unless_allowed),
        T(a_server_that_is_down_is_skipped_for_one_that_is_up),
        T(tls_needs_a_certificate_that_is_trusted),
        T(tls_refuses_a_certificate_of_another_host),
        T(tls_with_a_client_certificate),
        T(tls_goes_on_with_a_server_that_another_told_of_by_its_address),
        T(what_only_looks_like_the_protocol_is_refused),
        T(a_server_that_takes_us_and_lets_us_go_is_left_alone_for_a_while),
        T(what_comes_in_clear_before_tls_is_refused),
        T(what_is_sent_of_secrets_is_wiped),
        T(tls_that_the_server_does_not_offer_is_not_done_without),
        T(tls_that_is_offered_is_taken_when_asked_for),
        T(tls_may_come_before_info),
        T(a_server_may_leave_it_open_which_comes_first),
        T(tls_first_is_not_for_servers_that_begin_with_info),
        T(a_credentials_file_signs_the_servers_nonce),
        T(an_nkeys_seed_signs_the_servers_nonce),
        T(a_server_that_asks_nobody_takes_who_has_keys),
        T(of_thousands_of_logins_by_credentials_none_is_refused),
    };
    nats_Open(-1); // nats_Sign fails without
    if (getenv("BRAID_NATS_SERVER") == NULL || mkdtemp(folder) == NULL) {
        printf("BRAID_NATS_SERVER must name a nats-server\n");
        return 1;
    }
    br_log_configure(BR_LEVEL_ERROR, false);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        if (argc > 1 && strstr(tests[i].name, argv[1]) == NULL)
            continue;
        int before = failures;
        test_name = tests[i].name;
        tests[i].run();
        stop_server();
        printf("%s %s\n", failures == before ? "ok  " : "FAIL", test_name);
        fflush(stdout);
    }
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0)
        printf("can't remove %s\n", folder);
    nats_Close();
    printf("%d failures\n", failures);
    return failures != 0;
}
