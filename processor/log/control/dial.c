// SPDX-License-Identifier: Apache-2.0
// Dials one server with cnats: whom as, by what certificates, and what is said when it fails, in the words of the data
// plane (session.c). See cnats_internal.h.
#include "processor/log/control/cnats_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define IO_SIZE (64 * 1024)
#define UNTAKEN_MS 10000 // what the peer doesn't take for so long ends the connection
#define SERVERS_TOLD_MAX 64

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

static natsStatus set_login(const struct cnats *cnats, natsOptions *options) {
    const struct br_session_config *config = &cnats->config;
    const struct br_session_server *server = server_of(cnats);
    const char *user = config->user != NULL ? config->user : server->user;
    const char *password = config->user != NULL ? config->password : server->password;
    natsStatus status = NATS_OK;
    if (config->creds_path != NULL)
        status = natsOptions_SetUserCredentialsFromFiles(options, config->creds_path, NULL);
    if (status == NATS_OK && user != NULL)
        status = natsOptions_SetUserInfo(options, user, password == NULL ? "" : password);
    if (status == NATS_OK && user == NULL && server->token != NULL)
        status = natsOptions_SetToken(options, server->token);
    return status;
}

static natsStatus set_tls(const struct cnats *cnats, natsOptions *options) {
    const struct br_session_config *config = &cnats->config;
    const struct br_session_server *server = server_of(cnats);
    natsStatus status = natsOptions_SetSecure(options, true);
    if (status == NATS_OK && config->tls_ca_path != NULL)
        status = natsOptions_LoadCATrustedCertificates(options, config->tls_ca_path);
    if (status == NATS_OK && config->tls_cert_path != NULL)
        status = natsOptions_LoadCertificatesChain(options, config->tls_cert_path, config->tls_key_path);
    if (status == NATS_OK)
        status = natsOptions_SetExpectedHostname(options, server->name != NULL ? server->name : server->host);
    return status;
}

static natsStatus set_options(struct cnats *cnats, const char *url, natsOptions *options) {
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
        status = set_tls(cnats, options);
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

static enum br_status explain(const struct cnats *cnats, natsStatus status, const char *text, struct br_error *error) {
    const struct br_session_config *config = &cnats->config;
    const char *detail = nats_GetLastError(NULL);
    switch (status) {
    case NATS_CONNECTION_AUTH_FAILED:
    case NATS_NOT_PERMITTED:
        return br_error_set(error, BR_FATAL,
                            "%s refuses the credentials (%s): give others by --creds, --user and NATS_PASSWORD, or a "
                            "client certificate",
                            text,
                            config->creds_path != NULL       ? config->creds_path
                            : config->user != NULL           ? config->user
                            : server_of(cnats)->user != NULL ? server_of(cnats)->user
                                                             : "none or a token are given");
    case NATS_SECURE_CONNECTION_WANTED:
        return br_error_set(error, BR_FATAL, "%s offers no TLS, which is asked for", text);
    case NATS_SSL_ERROR:
        return br_error_set(error, BR_FATAL, "the TLS handshake with %s failed: %s", text,
                            detail == NULL ? "unknown reason" : detail);
    case NATS_NO_SERVER:
    case NATS_IO_ERROR:
    case NATS_TIMEOUT:
        return br_error_set(error, BR_RETRY, "no NATS server answers at %s", text);
    default:
        return br_error_set(error, BR_RETRY, "can't connect to %s: %s", text,
                            detail == NULL ? natsStatus_GetText(status) : detail);
    }
}

static natsStatus connect_once(struct cnats *cnats, const char *url) {
    natsOptions *options = NULL;
    natsStatus status = natsOptions_Create(&options);
    if (status == NATS_OK)
        status = set_options(cnats, url, options);
    if (status == NATS_OK)
        status = natsConnection_Connect(&cnats->connection, options);
    natsOptions_Destroy(options);
    return status;
}

enum br_status cnats_dial(struct cnats *cnats, struct br_error *error) {
    char url[400];
    bool wanted = server_of(cnats)->tls || cnats->config.tls;
    server_text(cnats, false, url, sizeof url);
    // cnats doesn't tell whether it has turned to TLS because the server requires that, and N6 has to know: TLS is
    // asked for first, and what isn't offered is gone without.
    cnats->secure = true;
    natsStatus status = connect_once(cnats, url);
    if (!wanted && (status == NATS_SECURE_CONNECTION_WANTED || status == NATS_SSL_ERROR)) {
        cnats->secure = false;
        status = connect_once(cnats, url);
    }
    if (status == NATS_OK) {
        tune_socket(cnats);
        learn_servers(cnats);
        return BR_OK;
    }
    server_text(cnats, wanted || status == NATS_SSL_ERROR, url, sizeof url);
    return explain(cnats, status, url, error);
}
