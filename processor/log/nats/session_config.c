// SPDX-License-Identifier: Apache-2.0
// Where to connect and as whom: URLs, credentials, and the server's INFO. See session.h; S4 holds here first of all:
// whatever is put into an error comes from br_session_server_text or is a path.
#define _GNU_SOURCE // memmem, memrchr
#include "processor/log/log_internal.h"
#include "processor/log/nats/session.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>

#define SERVERS_MAX 64 // given and discovered
#define DOMAIN_MAX 80
#define DEFAULT_URL "nats://127.0.0.1:4222"
#define DEFAULT_PORT "4222"

static char *copy_or_null(const char *text) {
    return text == NULL || text[0] == '\0' ? NULL : br_strdup(text);
}

static char *copy_range(const char *from, const char *to) {
    char *text = br_alloc((size_t)(to - from) + 1);
    memcpy(text, from, (size_t)(to - from));
    text[to - from] = '\0';
    return text;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static void decode_percent(char *text) {
    char *to = text;
    for (const char *from = text; *from != '\0'; from++, to++) {
        int high = *from == '%' ? hex_digit(from[1]) : -1, low = high < 0 ? -1 : hex_digit(from[2]);
        *to = low < 0 ? *from : (char)(high * 16 + low);
        from += low < 0 ? 0 : 2;
    }
    *to = '\0';
}

void br_session_forget(char **secret) {
    if (*secret != NULL)
        OPENSSL_cleanse(*secret, strlen(*secret));
    free(*secret);
    *secret = NULL;
}

// "host", "host:port" or "[v6]:port".
static bool parse_address(const char *from, const char *to, struct br_session_server *server) {
    const char *colon = NULL;
    if (from < to && *from == '[') {
        const char *close = memchr(from, ']', (size_t)(to - from));
        if (close == NULL || (close + 1 < to && close[1] != ':'))
            return false;
        server->host = copy_range(from + 1, close);
        colon = close + 1 < to ? close + 1 : NULL;
    } else {
        colon = memchr(from, ':', (size_t)(to - from));
        server->host = copy_range(from, colon == NULL ? to : colon);
    }
    server->port = colon == NULL ? br_strdup(DEFAULT_PORT) : copy_range(colon + 1, to);
    bool number = server->port[0] != '\0' && strspn(server->port, "0123456789") == strlen(server->port);
    return server->host[0] != '\0' && number;
}

static void free_server(struct br_session_server *server) {
    free(server->host);
    free(server->port);
    free(server->name);
    br_session_forget(&server->user);
    br_session_forget(&server->password);
    br_session_forget(&server->token);
}

// One URL: [scheme://][user[:password]@]host[:port][/…].
static enum br_status add_url(struct br_session_config *config, const char *from, const char *to,
                              struct br_error *error) {
    struct br_session_server server = {0};
    const char *end = to;
    const char *scheme_end = memmem(from, (size_t)(to - from), "://", 3);
    if (scheme_end != NULL) {
        size_t len = (size_t)(scheme_end - from);
        server.tls = len == 3 && memcmp(from, "tls", 3) == 0;
        if (!server.tls && !(len == 4 && memcmp(from, "nats", 4) == 0))
            return br_error_set(error, BR_FATAL,
                                "the server URL's scheme \"%.*s\" is not known: nats:// and tls:// are", (int)len,
                                from);
        from = scheme_end + 3;
    }
    const char *at = memrchr(from, '@', (size_t)(to - from));
    if (at != NULL) {
        const char *colon = memchr(from, ':', (size_t)(at - from));
        char **first = colon == NULL ? &server.token : &server.user;
        *first = copy_range(from, colon == NULL ? at : colon);
        decode_percent(*first);
        if (colon != NULL) {
            server.password = copy_range(colon + 1, at);
            decode_percent(server.password);
        }
        from = at + 1;
    }
    const char *slash = memchr(from, '/', (size_t)(to - from));
    to = slash == NULL ? to : slash;
    if (!parse_address(from, to, &server)) {
        free_server(&server);
        if (at == NULL && strchr(end, '@') != NULL) // it may be the beginning of a password
            return br_error_set(
                error, BR_FATAL,
                "one of the server URLs has no address: host, host:port or [IPv6]:port; a comma or blank "
                "in a password is written %%2C or %%20");
        return br_error_set(error, BR_FATAL, "\"%.*s\" is no server address: host, host:port or [IPv6]:port",
                            (int)(to - from), from);
    }
    config->tls = config->tls || server.tls;
    config->servers = br_realloc(config->servers, (config->server_count + 1) * sizeof *config->servers);
    config->servers[config->server_count++] = server;
    return BR_OK;
}

// One login: which of them the server is to look at isn't ours to guess. (A user beside a credentials file has always
// been sent with it.)
static enum br_status check_login(const struct br_session_config *config, struct br_error *error) {
    static const char *const names[] = {"an nkey's seed (--nkey)", "a token (--token)", "a credentials file (--creds)",
                                        "a user (--user)"};
    const char *given[] = {config->nkey_path, config->token, config->creds_path, config->user};
    for (int i = 0; i < 2; i++)
        for (int other = i + 1; other < 4; other++)
            if (given[i] != NULL && given[other] != NULL)
                return br_error_set(error, BR_FATAL, "%s and %s are given to log in with: leave one out", names[i],
                                    names[other]);
    return BR_OK;
}

static enum br_status set_api(struct br_session_config *config, const struct br_connect_options *options,
                              struct br_error *error) {
    char *prefix = copy_or_null(options->js_api_prefix), text[BR_API_PREFIX_MAX + 8];
    const char *domain = options->js_domain != NULL && options->js_domain[0] != '\0' ? options->js_domain : NULL;
    size_t len = prefix == NULL ? 0 : strlen(prefix);
    if (len > 0 && prefix[len - 1] == '.') // as some write it
        prefix[len - 1] = '\0';
    config->api_prefix = prefix;
    if (prefix != NULL && domain != NULL)
        return br_error_set(error, BR_FATAL,
                            "a domain of JetStream (--js-domain) and a prefix of its API (--js-api-prefix) are given: "
                            "leave one out");
    if (prefix != NULL && (strlen(prefix) > BR_API_PREFIX_MAX || !br_subject_valid(br_slice_of(prefix), false)))
        return br_error_set(error, BR_FATAL,
                            "\"%.120s\" can't be the prefix of JetStream's API: it is a subject without wildcards, at "
                            "most %d characters",
                            prefix, BR_API_PREFIX_MAX);
    if (domain == NULL)
        return BR_OK;
    if (strlen(domain) > DOMAIN_MAX || strchr(domain, '.') != NULL || !br_subject_valid(br_slice_of(domain), false))
        return br_error_set(error, BR_FATAL,
                            "\"%.120s\" can't be a domain of JetStream: it is one word, at most %d characters", domain,
                            DOMAIN_MAX);
    snprintf(text, sizeof text, "$JS.%s.API", domain);
    config->api_prefix = br_strdup(text);
    return BR_OK;
}

enum br_status br_session_config_init(struct br_session_config *config, const struct br_connect_options *options,
                                      struct br_error *error) {
    *config = (struct br_session_config){
        .user = copy_or_null(options->user),
        .password = copy_or_null(options->password),
        .token = copy_or_null(options->token),
        .creds_path = copy_or_null(options->creds_path),
        .nkey_path = copy_or_null(options->nkey_path),
        .name = copy_or_null(options->name),
        .tls_ca_path = copy_or_null(options->tls_ca_path),
        .tls_cert_path = copy_or_null(options->tls_cert_path),
        .tls_key_path = copy_or_null(options->tls_key_path),
    };
    const char *prefix = options->inbox_prefix;
    if (prefix != NULL && (strlen(prefix) > BR_INBOX_PREFIX_MAX || !br_subject_valid(br_slice_of(prefix), false)))
        return br_error_set(error, BR_FATAL,
                            "\"%.120s\" can't be the prefix of inboxes: it is a subject without wildcards, at most %d "
                            "characters",
                            prefix, BR_INBOX_PREFIX_MAX);
    config->tls_first = options->tls_first;
    config->tls = config->tls_ca_path != NULL || config->tls_cert_path != NULL || config->tls_first;
    BR_TRY(check_login(config, error));
    BR_TRY(set_api(config, options, error));
    const char *at = options->url == NULL || options->url[0] == '\0' ? DEFAULT_URL : options->url;
    for (;;) {
        at += strspn(at, " ,");
        if (*at == '\0')
            break;
        size_t len = strcspn(at, " ,");
        if (config->server_count == SERVERS_MAX)
            return br_error_set(error, BR_FATAL, "more than %d server URLs are given", SERVERS_MAX);
        BR_TRY(add_url(config, at, at + len, error));
        at += len;
    }
    if (config->server_count == 0)
        return br_error_set(error, BR_FATAL, "no server URL is given");
    if ((config->tls_cert_path == NULL) != (config->tls_key_path == NULL))
        return br_error_set(error, BR_FATAL, "a TLS client certificate needs its key, and a key its certificate");
    return BR_OK;
}

void br_session_config_free(struct br_session_config *config) {
    for (size_t i = 0; i < config->server_count; i++)
        free_server(&config->servers[i]);
    free(config->servers);
    br_session_forget(&config->user);
    br_session_forget(&config->password);
    br_session_forget(&config->token);
    free(config->creds_path);
    free(config->nkey_path);
    free(config->api_prefix);
    free(config->name);
    free(config->tls_ca_path);
    free(config->tls_cert_path);
    free(config->tls_key_path);
    br_session_tls_free_context(config);
    *config = (struct br_session_config){0};
}

static bool is_address(const char *host) {
    unsigned char address[16];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

void br_session_config_discover(struct br_session_config *config, size_t told_by, const char *address) {
    struct br_session_server server = {.tls = config->servers[told_by].tls};
    bool known = !parse_address(address, address + strlen(address), &server) || config->server_count == SERVERS_MAX;
    for (size_t i = 0; i < config->server_count && !known; i++)
        known = strcmp(config->servers[i].host, server.host) == 0 && strcmp(config->servers[i].port, server.port) == 0;
    if (known) {
        free_server(&server);
        return;
    }
    const struct br_session_server *by = &config->servers[told_by];
    if (is_address(server.host)) // the certificates of a cluster name the hosts that its users dial
        server.name = copy_or_null(by->name != NULL ? by->name : is_address(by->host) ? NULL : by->host);
    // Whoever may speak to the first server may speak to its cluster.
    server.user = copy_or_null(config->servers[0].user);
    server.password = copy_or_null(config->servers[0].password);
    server.token = copy_or_null(config->servers[0].token);
    config->servers = br_realloc(config->servers, (config->server_count + 1) * sizeof *config->servers);
    config->servers[config->server_count++] = server;
}

const char *br_session_server_text(const struct br_session *session, char *text, size_t size) {
    const struct br_session_server *server = &session->config->servers[session->server_index];
    bool v6 = strchr(server->host, ':') != NULL;
    snprintf(text, size, "%s://%s%s%s:%s", server->tls ? "tls" : "nats", v6 ? "[" : "", server->host, v6 ? "]" : "",
             server->port);
    return text;
}

static void copy_json_text(char *to, size_t size, const json_t *value) {
    snprintf(to, size, "%s", json_is_string(value) ? json_string_value(value) : "");
}

enum br_status br_session_read_info(struct br_session *session, struct br_slice json, struct br_error *error) {
    json_t *info = json_loadb((const char *)json.ptr, json.len, JSON_DISABLE_EOF_CHECK, NULL);
    if (!json_is_object(info) || !json_is_string(json_object_get(info, "version"))) {
        char text[300];
        json_decref(info);
        return br_error_set(error, BR_FATAL, "%s doesn't speak the NATS protocol",
                            br_session_server_text(session, text, sizeof text));
    }
    struct br_session_info *to = &session->info;
    copy_json_text(to->version, sizeof to->version, json_object_get(info, "version"));
    copy_json_text(to->nonce, sizeof to->nonce, json_object_get(info, "nonce"));
    json_int_t payload_max = json_integer_value(json_object_get(info, "max_payload"));
    to->payload_max = payload_max > 0 ? (size_t)payload_max : 1 << 20;
    to->headers = json_is_true(json_object_get(info, "headers"));
    to->tls_required = json_is_true(json_object_get(info, "tls_required"));
    to->tls_available = json_is_true(json_object_get(info, "tls_available"));
    to->auth_required = json_is_true(json_object_get(info, "auth_required"));
    const json_t *urls = json_object_get(info, "connect_urls");
    for (size_t i = 0; i < json_array_size(urls); i++)
        if (json_is_string(json_array_get(urls, i)))
            br_session_config_discover(session->config, session->server_index,
                                       json_string_value(json_array_get(urls, i)));
    json_decref(info);
    return BR_OK;
}
