// SPDX-License-Identifier: Apache-2.0
// Where to connect and as whom: what the command line says goes before a context (context.h) that it names, that before
// the environment. A login is taken as a whole: who is named by one of these isn't given what another has for somebody
// else.
#define _GNU_SOURCE // memrchr
#include "cli/cli.h"
#include "cli/context.h"

enum {
    KEY_CREDS = 256,
    KEY_NKEY,
    KEY_USER,
    KEY_PASSWORD,
    KEY_TOKEN,
    KEY_CA,
    KEY_CERT,
    KEY_KEY,
    KEY_TLS_FIRST,
    KEY_INBOX,
    KEY_DOMAIN,
    KEY_API,
    KEY_CONTEXT
};

static const struct argp_option connect_options[] = {
    {"server", 's', "URL", 0, "NATS server, several separated by commas (NATS_URL; default nats://127.0.0.1:4222)", 2},
    {"context", KEY_CONTEXT, "NAME", 0,
     "What a context of the nats command says (~/.config/nats/context/NAME.json; - is the selected one), where no "
     "other "
     "option does",
     2},
    {"creds", KEY_CREDS, "FILE", 0, "Credentials file (NATS_CREDS)", 2},
    {"nkey", KEY_NKEY, "FILE", 0, "File with an nkey's seed (NATS_NKEY)", 2},
    {"user", KEY_USER, "NAME", 0, "User name (NATS_USER)", 2},
    {"password", KEY_PASSWORD, "TEXT", 0, "Password (better: NATS_PASSWORD)", 2},
    {"token", KEY_TOKEN, "TEXT", 0, "Token (better: NATS_TOKEN)", 2},
    {"tlsca", KEY_CA, "FILE", 0, "Certificates of the authority that signed the server's (NATS_CA)", 2},
    {"tlscert", KEY_CERT, "FILE", 0, "Client certificate (NATS_CERT)", 2},
    {"tlskey", KEY_KEY, "FILE", 0, "Its private key (NATS_KEY)", 2},
    {"tls-first", KEY_TLS_FIRST, NULL, 0, "TLS begins before the server's INFO (its handshake_first)", 2},
    {"tlsfirst", KEY_TLS_FIRST, NULL, OPTION_ALIAS | OPTION_HIDDEN, NULL, 2},
    {"js-domain", KEY_DOMAIN, "NAME", 0, "JetStream's domain: its API is asked below $JS.NAME.API", 2},
    {"js-api-prefix", KEY_API, "SUBJECT", 0, "JetStream's API is asked below it, in place of $JS.API", 2},
    {"inbox-prefix", KEY_INBOX, "SUBJECT", 0, "Own inboxes are below it; a worker answers there and below _INBOX", 2},
    {0},
};

// The command line's own, for who tells how to call another command.
static struct br_connect_options given;
static const char *given_context;

// Whoever lists processes sees their arguments: a secret is taken away from there. (It has been there until now; the
// environment and files are better places.)
static const char *take_secret(char *argument, const char *before) {
    free((char *)(uintptr_t)before);
    const char *kept = br_strdup(argument);
    memset(argument, 'x', strlen(argument));
    return kept;
}

// What stands between :// (or nothing) and @, in each of the URLs.
static void blot_userinfo(char *urls) {
    for (char *at = urls; *at != '\0';) {
        size_t len = strcspn(at, " ,");
        char *scheme = strstr(at, "://"), *from = scheme != NULL && scheme < at + len ? scheme + 3 : at;
        char *end = memrchr(from, '@', (size_t)(at + len - from));
        if (end != NULL)
            memset(from, 'x', (size_t)(end - from));
        at += len + strspn(at + len, " ,");
    }
}

static const char *take_url(char *argument, const char *before) {
    free((char *)(uintptr_t)before);
    const char *kept = br_strdup(argument);
    blot_userinfo(argument);
    return kept;
}

// --- which of them hold

static bool names_somebody(const struct br_connect_options *options) {
    return options->creds_path != NULL || options->nkey_path != NULL || options->user != NULL ||
           options->token != NULL || (options->url != NULL && strchr(options->url, '@') != NULL);
}

static const char *first_of(const char *const texts[3]) {
    return texts[0] != NULL ? texts[0] : texts[1] != NULL ? texts[1] : texts[2];
}

#define FIRST(field) first_of((const char *const[]){layers[0]->field, layers[1]->field, layers[2]->field})

// layers: the command line, the context, the environment (which the command's own settings are in).
static struct br_connect_options merge(const struct br_connect_options *const layers[3]) {
    struct br_connect_options merged = *layers[2];
    int login = 0, pair = 0, api = 0;
    while (login < 2 && !names_somebody(layers[login]))
        login++;
    while (pair < 2 && layers[pair]->tls_cert_path == NULL && layers[pair]->tls_key_path == NULL)
        pair++;
    while (api < 2 && layers[api]->js_domain == NULL && layers[api]->js_api_prefix == NULL)
        api++;
    merged.url = FIRST(url);
    merged.creds_path = layers[login]->creds_path;
    merged.nkey_path = layers[login]->nkey_path;
    merged.user = layers[login]->user;
    merged.token = layers[login]->token;
    merged.password = layers[0]->password != NULL       ? layers[0]->password
                      : layers[login]->password != NULL ? layers[login]->password
                                                        : layers[2]->password;
    merged.tls_ca_path = FIRST(tls_ca_path);
    merged.tls_cert_path = layers[pair]->tls_cert_path != NULL ? layers[pair]->tls_cert_path : layers[2]->tls_cert_path;
    merged.tls_key_path = layers[pair]->tls_key_path != NULL ? layers[pair]->tls_key_path : layers[2]->tls_key_path;
    merged.tls_first = layers[0]->tls_first || layers[1]->tls_first;
    merged.inbox_prefix = FIRST(inbox_prefix);
    merged.js_domain = layers[api]->js_domain;
    merged.js_api_prefix = layers[api]->js_api_prefix;
    return merged;
}

static void settle(struct br_connect_options *options, const struct argp_state *state) {
    struct br_connect_options context = {0}, environment = *options;
    struct br_error error;
    if (given_context != NULL && br_context_read(given_context, &context, &error) != BR_OK)
        argp_failure(state, BR_EXIT_FAILED, 0, "%s", error.message);
    *options = merge((const struct br_connect_options *const[]){&given, &context, &environment});
}

static error_t parse_connect_option(int key, char *argument, struct argp_state *state) {
    switch (key) {
    case 's':
        given.url = take_url(argument, given.url);
        return 0;
    case KEY_CONTEXT:
        given_context = argument;
        return 0;
    case KEY_CREDS:
        given.creds_path = argument;
        return 0;
    case KEY_NKEY:
        given.nkey_path = argument;
        return 0;
    case KEY_USER:
        given.user = argument;
        return 0;
    case KEY_PASSWORD:
        given.password = take_secret(argument, given.password);
        return 0;
    case KEY_TOKEN:
        given.token = take_secret(argument, given.token);
        return 0;
    case KEY_CA:
        given.tls_ca_path = argument;
        return 0;
    case KEY_CERT:
        given.tls_cert_path = argument;
        return 0;
    case KEY_KEY:
        given.tls_key_path = argument;
        return 0;
    case KEY_TLS_FIRST:
        given.tls_first = true;
        return 0;
    case KEY_INBOX:
        given.inbox_prefix = argument;
        return 0;
    case KEY_DOMAIN:
        given.js_domain = argument;
        return 0;
    case KEY_API:
        given.js_api_prefix = argument;
        return 0;
    case ARGP_KEY_END:
        settle(state->input, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp br_connect_argp = {connect_options, parse_connect_option, NULL, NULL, NULL, NULL, NULL};

static const char *from_environment(const char *name) {
    const char *text = getenv(name);
    return text == NULL || text[0] == '\0' ? NULL : text;
}

void br_connect_defaults(struct br_connect_options *options, const char *name) {
    *options = (struct br_connect_options){.url = from_environment("NATS_URL"),
                                           .creds_path = from_environment("NATS_CREDS"),
                                           .user = from_environment("NATS_USER"),
                                           .password = from_environment("NATS_PASSWORD"),
                                           .tls_ca_path = from_environment("NATS_CA"),
                                           .tls_cert_path = from_environment("NATS_CERT"),
                                           .tls_key_path = from_environment("NATS_KEY"),
                                           .name = name,
                                           .cancel = &br_stop_requested};
    // One login: these came later, and the others have always counted.
    if (options->creds_path == NULL && options->user == NULL)
        options->nkey_path = from_environment("NATS_NKEY");
    if (options->creds_path == NULL && options->user == NULL && options->nkey_path == NULL)
        options->token = from_environment("NATS_TOKEN");
}

void br_connect_append_given(struct br_buffer *line,
                             void (*append)(struct br_buffer *line, const char *option, const char *word)) {
    const char *const words[][2] = {
        {" --context ", given_context},
        {" --creds ", given.creds_path},
        {" --nkey ", given.nkey_path},
        {" --user ", given.user},
        {" --tlsca ", given.tls_ca_path},
        {" --tlscert ", given.tls_cert_path},
        {" --tlskey ", given.tls_key_path},
        {" --js-domain ", given.js_domain},
        {" --js-api-prefix ", given.js_api_prefix},
        {" --inbox-prefix ", given.inbox_prefix},
    };
    if (given.url != NULL) {
        BR_AUTO_FREE char *url = br_strdup(given.url);
        blot_userinfo(url);
        append(line, " --server ", url);
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (words[i][1] != NULL)
            append(line, words[i][0], words[i][1]);
    br_buffer_append_text(line, given.tls_first ? " --tls-first" : "");
}
