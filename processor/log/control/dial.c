// SPDX-License-Identifier: Apache-2.0
// Dials one server with cnats, by the same options as the data plane and by its rules: keys are read and nonces signed
// by session_login.c, a connection of the data plane's kind (session.h) reads the server's INFO before, for whether TLS
// is to begin, and when cnats fails the same login is tried by it, for why. See cnats_internal.h.
#include "processor/log/control/cnats_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define IO_SIZE (64 * 1024)
#define UNTAKEN_MS 10000 // what the peer doesn't take for so long ends the connection
#define SERVERS_TOLD_MAX 64
#define SCOUT_BLOCK_SIZE (64 * 1024)
#define SCOUT_LOOK_US INT64_C(50000)   // at whether it is to stop
#define TLS_FIRST_VERSION 0x030900     // that it can begin with TLS since
#define TLS_AVAILABLE_VERSION 0x030800 // that it takes TLS which the server doesn't require since

static const struct br_session_server *server_of(const struct cnats *cnats) {
    return &cnats->config.servers[cnats->server];
}

static void server_text(const struct cnats *cnats, bool tls, char *text, size_t size) {
    const struct br_session_server *server = server_of(cnats);
    bool v6 = strchr(server->host, ':') != NULL;
    snprintf(text, size, "%s://%s%s%s:%s", tls ? "tls" : "nats", v6 ? "[" : "", server->host, v6 ? "]" : "",
             server->port);
}

// The library says only what it was about; what can be mended is said here.
static void ignore_error(natsConnection *connection, natsSubscription *subscription, natsStatus status, void *closure) {
    (void)connection; // asked for in the thread itself (N4)
    (void)subscription;
    (void)status;
    (void)closure;
}

// --- who logs in

static natsStatus give_jwt(char **ret_jwt, char **ret_error, void *context) {
    const struct cnats *cnats = context;
    struct br_error error;
    if (br_session_read_jwt(&cnats->config, ret_jwt, &error) == BR_OK) // it is the library's to free
        return NATS_OK;
    *ret_error = br_strdup(error.message);
    return NATS_ERR;
}

static natsStatus give_signature(char **ret_error, unsigned char **ret_signature, int *ret_size, const char *nonce,
                                 void *context) {
    const struct cnats *cnats = context;
    struct br_error error;
    uint8_t *signature = br_alloc(BR_SESSION_SIGNATURE_SIZE);
    // A server that asks nobody to log in has no nonce.
    if (br_session_sign_nonce(&cnats->config, nonce == NULL ? "" : nonce, signature, &error) == BR_OK) {
        *ret_signature = signature;
        *ret_size = BR_SESSION_SIGNATURE_SIZE;
        return NATS_OK;
    }
    free(signature);
    *ret_error = br_strdup(error.message);
    return NATS_ERR;
}

// cnats writes names into its CONNECT as they are: they are given to it as JSON has them. NULL: not UTF-8.
static char *escaped(const char *text) {
    json_t *value = json_string(text);
    char *quoted = value == NULL ? NULL : json_dumps(value, JSON_ENCODE_ANY);
    if (value != NULL)
        OPENSSL_cleanse((char *)json_string_value(value), json_string_length(value));
    json_decref(value);
    if (quoted == NULL)
        return NULL;
    size_t len = strlen(quoted) - 2;
    memmove(quoted, quoted + 1, len);
    quoted[len] = quoted[len + 1] = '\0';
    return quoted;
}

static natsStatus set_name(const struct cnats *cnats, natsOptions *options) {
    struct br_session_name name = br_session_name_of(&cnats->config, server_of(cnats));
    char *user = name.user == NULL ? NULL : escaped(name.user);
    char *password = escaped(name.password == NULL ? "" : name.password);
    char *token = name.token == NULL ? NULL : escaped(name.token);
    natsStatus status = NATS_OK;
    if (name.user != NULL)
        status = user == NULL || password == NULL ? NATS_INVALID_ARG : natsOptions_SetUserInfo(options, user, password);
    else if (name.token != NULL)
        status = token == NULL ? NATS_INVALID_ARG : natsOptions_SetToken(options, token);
    br_session_forget(&user);
    br_session_forget(&password);
    br_session_forget(&token);
    return status;
}

static natsStatus set_login(struct cnats *cnats, natsOptions *options) {
    const struct br_session_config *config = &cnats->config;
    char key[BR_SESSION_NKEY_SIZE];
    struct br_error error;
    if (config->creds_path != NULL) {
        natsStatus status = natsOptions_SetUserCredentialsCallbacks(options, give_jwt, cnats, give_signature, cnats);
        if (status != NATS_OK)
            return status;
    } else if (config->nkey_path != NULL) {
        if (br_session_read_nkey(config, key, &error) != BR_OK)
            return NATS_INVALID_ARG;
        return natsOptions_SetNKey(options, key, give_signature, cnats);
    }
    return set_name(cnats, options);
}

static natsStatus set_tls(const struct cnats *cnats, const char *host, natsOptions *options) {
    const struct br_session_config *config = &cnats->config;
    natsStatus status = natsOptions_SetSecure(options, true);
    if (status == NATS_OK && config->tls_ca_path != NULL)
        status = natsOptions_LoadCATrustedCertificates(options, config->tls_ca_path);
    if (status == NATS_OK && config->tls_cert_path != NULL)
        status = natsOptions_LoadCertificatesChain(options, config->tls_cert_path, config->tls_key_path);
    if (status == NATS_OK)
        status = natsOptions_SetExpectedHostname(options, host);
#if NATS_VERSION_NUMBER >= TLS_FIRST_VERSION
    if (status == NATS_OK && config->tls_first)
        status = natsOptions_TLSHandshakeFirst(options);
#endif
    return status;
}

enum br_status br_control_check(const struct br_connect_options *options, struct br_error *error) {
    struct br_session_config config;
    enum br_status status = br_session_config_init(&config, options, error);
    br_session_config_free(&config);
#if NATS_VERSION_NUMBER < TLS_FIRST_VERSION
    if (status == BR_OK && options->tls_first)
        status = br_error_set(error, BR_FATAL,
                              "--tls-first (TLS before the server's INFO) needs libnats 3.9 or newer, as Debian 13 has "
                              "it: this braid is built with libnats %s. Let the server take clients that wait for its "
                              "INFO too (handshake_first: auto), or use a braid that is built with a newer libnats",
                              NATS_VERSION_STRING);
#endif
    return status;
}

// --- dialing

static natsStatus set_options(struct cnats *cnats, const char *url, const char *host, natsOptions *options) {
    natsStatus status = natsOptions_SetURL(options, url);
    if (status == NATS_OK && cnats->config.name != NULL)
        status = natsOptions_SetName(options, cnats->config.name);
    if (status == NATS_OK)
        status = natsOptions_SetTimeout(options, CONTROL_CONNECT_TIMEOUT_US / 1000);
    if (status == NATS_OK)
        status = natsOptions_SetAllowReconnect(options, false); // N5
    if (status == NATS_OK)
        status = natsOptions_SetPingInterval(options, 0); // N5
    if (status == NATS_OK)
        status = natsOptions_SetSendAsap(options, true); // without a thread that flushes
    if (status == NATS_OK)
        status = natsOptions_SetIOBufSize(options, IO_SIZE);
    if (status == NATS_OK)
        status = natsOptions_SetErrorHandler(options, ignore_error, NULL);
    if (status == NATS_OK)
        status =
            natsOptions_SetEventLoop(options, cnats, cnats_attach, cnats_want_read, cnats_want_write, cnats_detach);
    if (status == NATS_OK)
        status = set_login(cnats, options);
    if (status == NATS_OK && cnats->secure)
        status = set_tls(cnats, host, options);
    return status;
}

// Who is connected to is told of the others.
static void learn_servers(struct cnats *cnats) {
    char **servers = NULL;
    int count = 0;
    if (natsConnection_GetDiscoveredServers(cnats->connection, &servers, &count) != NATS_OK)
        return;
    for (int i = 0; i < count; i++) {
        const char *address = strstr(servers[i], "://");
        if (i < SERVERS_TOLD_MAX)
            br_session_config_discover(&cnats->config, cnats->server, address == NULL ? servers[i] : address + 3);
        free(servers[i]);
    }
    free(servers);
}

static void tune_socket(const struct cnats *cnats) {
    unsigned untaken = UNTAKEN_MS;
    setsockopt(cnats->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &untaken, sizeof untaken);
}

static bool is_stopping(struct cnats *cnats) {
    pthread_mutex_lock(&cnats->lock);
    bool stop = cnats->stop;
    pthread_mutex_unlock(&cnats->lock);
    return stop;
}

// Dials as the data plane does: for the server's INFO alone, or to log in. BR_OK: it went so far.
static enum br_status scout(struct cnats *cnats, bool logs_in, struct br_session_info *ret_info,
                            struct br_error *error) {
    struct br_session session;
    int64_t now_us = br_session_now(), deadline_us = now_us + CONTROL_CONNECT_TIMEOUT_US;
    bool begun = false, failed = false;
    br_session_init(&session, &cnats->config, SCOUT_BLOCK_SIZE);
    session.server_index = cnats->server;
    session.asks_info = !logs_in;
    while (!br_session_is_up(&session) && !session.told_info && !failed) {
        br_session_service(&session, now_us);
        bool over = now_us >= deadline_us || is_stopping(cnats);
        if (over && session.state != BR_SESSION_DOWN)
            br_session_time_out(&session, now_us);
        begun = begun || session.state != BR_SESSION_DOWN || session.error.message[0] != '\0';
        // Every address of the server was tried.
        failed = over || (begun && session.state == BR_SESSION_DOWN && session.addresses == NULL);
        struct pollfd poller = br_session_pollfd(&session);
        if (!failed && !br_session_is_up(&session) && !session.told_info)
            (void)poll(&poller, 1, (int)(SCOUT_LOOK_US / 1000));
        now_us = br_session_now();
    }
    if (failed)
        *error = session.error;
    if (failed && !session.refused)
        error->status = BR_RETRY;
    else if (ret_info != NULL)
        *ret_info = session.info;
    br_session_close(&session);
    return failed ? error->status : BR_OK;
}

// cnats has failed where the data plane wouldn't, or the data plane can't tell why.
static enum br_status explain(const struct cnats *cnats, natsStatus status, const char *detail,
                              struct br_error *error) {
    char text[300];
    server_text(cnats, cnats->secure, text, sizeof text);
    if (status == NATS_SECURE_CONNECTION_WANTED && NATS_VERSION_NUMBER < TLS_AVAILABLE_VERSION)
        return br_error_set(
            error, BR_FATAL,
            "%s offers TLS without requiring it: libnats %s, which this braid is built with, can't take "
            "it (3.8 and newer can). Let the server require it (no allow_non_tls), or ask for none",
            text, NATS_VERSION_STRING);
    return br_error_set(
        error, BR_RETRY, "%s %s%s: %s", status == NATS_SSL_ERROR ? "the TLS handshake with" : "can't connect to", text,
        status == NATS_SSL_ERROR ? " failed" : "", detail[0] == '\0' ? natsStatus_GetText(status) : detail);
}

// ret_detail: the library's words, for when the data plane has none.
static natsStatus connect_as(struct cnats *cnats, const char *host, char *ret_detail, size_t size) {
    natsOptions *options = NULL;
    char url[400];
    server_text(cnats, false, url, sizeof url);
    natsStatus status = natsOptions_Create(&options);
    if (status == NATS_OK)
        status = set_options(cnats, url, host, options);
    if (status == NATS_OK)
        status = natsConnection_Connect(&cnats->connection, options);
    natsOptions_Destroy(options);
    const char *detail = status == NATS_OK ? NULL : nats_GetLastError(NULL);
    snprintf(ret_detail, size, "%s", detail == NULL ? "" : detail);
    return status;
}

enum br_status cnats_dial(struct cnats *cnats, struct br_error *error) {
    const struct br_session_config *config = &cnats->config;
    struct br_session_info info;
    char detail[200];
    cnats->secure = config->tls_first;
    if (!config->tls_first) {
        BR_TRY(scout(cnats, false, &info, error));
        cnats->secure = info.tls_required || config->tls;
    }
    const char *name = server_of(cnats)->name;
    natsStatus status = connect_as(cnats, name != NULL ? name : server_of(cnats)->host, detail, sizeof detail);
    if (status == NATS_SSL_ERROR && name != NULL) // its certificate may have the address that we were told
        status = connect_as(cnats, server_of(cnats)->host, detail, sizeof detail);
    if (status == NATS_OK) {
        tune_socket(cnats);
        learn_servers(cnats);
        return BR_OK;
    }
    enum br_status why = scout(cnats, true, NULL, error);
    // A handshake that was refused may have been cut off at the second try.
    return why == BR_FATAL || (why != BR_OK && status != NATS_SSL_ERROR) ? why : explain(cnats, status, detail, error);
}
