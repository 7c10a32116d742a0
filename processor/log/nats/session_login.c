// SPDX-License-Identifier: Apache-2.0
// What a connection logs in with: the files that hold keys, the signature of the server's nonce, and our CONNECT. Both
// planes read them here; the files are read anew for each login, so that a renewed one counts. See session.h (S4).
#include "processor/log/nats/session.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>

#define FILE_SIZE_MAX (64 * 1024) // of credentials, of a seed

static char *copy_range(const char *from, const char *to) {
    char *text = br_alloc((size_t)(to - from) + 1);
    memcpy(text, from, (size_t)(to - from));
    text[to - from] = '\0';
    return text;
}

// The text between "-----BEGIN … <what>-----" and the next line of dashes, blanks cut; NULL when there is none.
static char *section(const char *text, const char *what) {
    char begin[64];
    snprintf(begin, sizeof begin, "BEGIN %s-----", what);
    const char *from = strstr(text, begin);
    if (from == NULL)
        return NULL;
    from += strlen(begin);
    from += strspn(from, "-\r\n\t ");
    return copy_range(from, from + strcspn(from, "\r\n\t "));
}

// A seed by itself: the first line that begins as one does.
static char *bare_seed(const char *text) {
    for (const char *at = text; *at != '\0';) {
        at += strspn(at, "\r\n\t ");
        size_t len = strcspn(at, "\r\n\t ");
        if (len != 0 && *at == 'S')
            return copy_range(at, at + len);
        at += strcspn(at, "\n");
    }
    return NULL;
}

static enum br_status read_file(const char *path, const char *what, char **ret_text, struct br_error *error) {
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return br_error_set(error, BR_FATAL, "can't read the %s %s: %m", what, path);
    char *text = br_calloc(1, FILE_SIZE_MAX + 1);
    setvbuf(file, NULL, _IONBF, 0); // no copy of it stays behind
    size_t size = fread(text, 1, FILE_SIZE_MAX, file);
    fclose(file);
    for (char *nul; (nul = memchr(text, '\0', size)) != NULL;)
        *nul = ' '; // it is one text, to be wiped as one
    *ret_text = text;
    return BR_OK;
}

// The JWT (NULL: of a seed by itself there is none) and the seed; both are the caller's to forget.
static enum br_status read_keys(const struct br_session_config *config, char **ret_jwt, char **ret_seed,
                                struct br_error *error) {
    bool creds = config->creds_path != NULL;
    const char *path = creds ? config->creds_path : config->nkey_path;
    char *text = NULL;
    BR_TRY(read_file(path, creds ? "credentials file" : "nkey's seed in", &text, error));
    char *jwt = creds ? section(text, "NATS USER JWT") : NULL, *seed = section(text, "USER NKEY SEED");
    if (!creds && seed == NULL)
        seed = bare_seed(text);
    br_session_forget(&text);
    enum br_status status = BR_OK;
    if (creds && (jwt == NULL || seed == NULL))
        status = br_error_set(error, BR_FATAL, "%s is no credentials file: it needs a user JWT and an nkey seed", path);
    else if (seed == NULL)
        status = br_error_set(error, BR_FATAL, "%s holds no nkey's seed: a line that begins with SU", path);
    if (status == BR_OK) {
        *ret_jwt = jwt;
        *ret_seed = seed;
    } else {
        br_session_forget(&jwt);
        br_session_forget(&seed);
    }
    return status;
}

static enum br_status refuse_seed(const struct br_session_config *config, struct br_error *error) {
    return br_error_set(error, BR_FATAL, "the seed in %s can't sign: it is no nkey seed",
                        config->creds_path != NULL ? config->creds_path : config->nkey_path);
}

enum br_status br_session_read_jwt(const struct br_session_config *config, char **ret_jwt, struct br_error *error) {
    char *seed = NULL;
    BR_TRY(read_keys(config, ret_jwt, &seed, error));
    br_session_forget(&seed);
    return BR_OK;
}

enum br_status br_session_read_nkey(const struct br_session_config *config, char ret_key[BR_SESSION_NKEY_SIZE],
                                    struct br_error *error) {
    char *jwt = NULL, *seed = NULL;
    BR_TRY(read_keys(config, &jwt, &seed, error));
    bool good = br_session_public_nkey(seed, ret_key);
    br_session_forget(&jwt);
    br_session_forget(&seed);
    return good ? BR_OK : refuse_seed(config, error);
}

enum br_status br_session_sign_nonce(const struct br_session_config *config, const char *nonce,
                                     uint8_t ret_signature[BR_SESSION_SIGNATURE_SIZE], struct br_error *error) {
    char *jwt = NULL, *seed = NULL;
    BR_TRY(read_keys(config, &jwt, &seed, error));
    bool good = br_session_sign(seed, br_slice_of(nonce), ret_signature);
    br_session_forget(&jwt);
    br_session_forget(&seed);
    return good ? BR_OK : refuse_seed(config, error);
}

struct br_session_name br_session_name_of(const struct br_session_config *config,
                                          const struct br_session_server *server) {
    if (config->nkey_path != NULL)
        return (struct br_session_name){0};
    if (config->token != NULL)
        return (struct br_session_name){.token = config->token};
    if (config->user != NULL)
        return (struct br_session_name){.user = config->user, .password = config->password};
    return (struct br_session_name){
        .user = server->user, .password = server->password, .token = server->user == NULL ? server->token : NULL};
}

const char *br_session_login_text(const struct br_session_config *config, const struct br_session_server *server) {
    return config->creds_path != NULL  ? config->creds_path
           : config->nkey_path != NULL ? config->nkey_path
           : config->user != NULL      ? config->user
           : config->token != NULL     ? "a token is given"
           : server->user != NULL      ? server->user
           : server->token != NULL     ? "a token is given"
                                       : "none are given";
}

// --- CONNECT

// The signature goes out in base64url without padding.
static enum br_status add_signature(const struct br_session *session, json_t *connect, struct br_error *error) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t signature[BR_SESSION_SIGNATURE_SIZE];
    BR_TRY(br_session_sign_nonce(session->config, session->info.nonce, signature, error));
    char text[128];
    size_t out = 0;
    const int len = BR_SESSION_SIGNATURE_SIZE;
    for (int i = 0; i < len; i += 3) {
        uint32_t bits = (uint32_t)signature[i] << 16 | (i + 1 < len ? (uint32_t)signature[i + 1] << 8 : 0) |
                        (i + 2 < len ? (uint32_t)signature[i + 2] : 0);
        for (int digit = 0; digit < 4 && i + digit <= len; digit++)
            text[out++] = digits[bits >> (18 - 6 * digit) & 63];
    }
    json_object_set_new(connect, "sig", json_stringn(text, out));
    return BR_OK;
}

static enum br_status add_keys(const struct br_session *session, json_t *connect, struct br_error *error) {
    const struct br_session_config *config = session->config;
    if (config->creds_path != NULL) {
        char *jwt = NULL;
        BR_TRY(br_session_read_jwt(config, &jwt, error));
        json_object_set_new(connect, "jwt", json_string(jwt));
        br_session_forget(&jwt);
    } else if (config->nkey_path != NULL) {
        char key[BR_SESSION_NKEY_SIZE];
        BR_TRY(br_session_read_nkey(config, key, error));
        json_object_set_new(connect, "nkey", json_string(key));
    } else {
        return BR_OK;
    }
    return session->info.nonce[0] == '\0' ? BR_OK : add_signature(session, connect, error);
}

// The object is ours alone, so its texts may be written to.
static void wipe_texts(json_t *object) {
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) if (json_is_string(value))
        OPENSSL_cleanse((char *)json_string_value(value), json_string_length(value));
}

enum br_status br_session_write_connect(struct br_session *session, struct br_buffer *out, struct br_error *error) {
    const struct br_session_config *config = session->config;
    const struct br_session_server *server = &config->servers[session->server_index];
    json_t *connect = json_pack("{s:b, s:b, s:b, s:b, s:b, s:i, s:s, s:s, s:b}", "verbose", 0, "pedantic", 0, "headers",
                                1, "no_responders", 1, "echo", 1, "protocol", 1, "lang", "c", "version", "braid",
                                "tls_required", session->tls != NULL);
    BR_CHECK(connect != NULL);
    struct br_session_name name = br_session_name_of(config, server);
    enum br_status status = add_keys(session, connect, error);
    if (config->name != NULL)
        json_object_set_new(connect, "name", json_string(config->name));
    if (name.user != NULL)
        json_object_set_new(connect, "user", json_string(name.user));
    if (name.password != NULL)
        json_object_set_new(connect, "pass", json_string(name.password));
    if (name.token != NULL)
        json_object_set_new(connect, "auth_token", json_string(name.token));
    char *text = status == BR_OK ? json_dumps(connect, JSON_COMPACT) : NULL;
    if (status == BR_OK && text == NULL)
        status = br_error_set(error, BR_FATAL, "the user name, password or connection name is not valid UTF-8");
    if (text != NULL) {
        br_buffer_reserve(out,
                          strlen(text) + 64); // it isn't moved, and what is left behind not wiped, for what follows
        br_buffer_printf(out, "CONNECT %s\r\n", text);
    }
    br_session_forget(&text);
    wipe_texts(connect);
    json_decref(connect);
    return status;
}
