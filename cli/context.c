// SPDX-License-Identifier: Apache-2.0
// See context.h. The file is another program's, and its keys are that program's: a key that would have it connect
// elsewhere or as somebody else than we would is refused by name, one that isn't known is told and left aside.
#include "cli/context.h"

#include "base/json.h"
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTEXT_SIZE_MAX ((size_t)64 * 1024)
#define NAME_LEN_MAX 200
#define PATH_SIZE 4096

struct context {
    struct br_connect_options *options;
    const char *path; // of the file, for messages
    struct br_arena *arena;
};

static const struct {
    const char *key;
    size_t offset; // of a const char * in struct br_connect_options
    bool is_path;  // "~/" is the home folder
} taken[] = {
    {"url", offsetof(struct br_connect_options, url), false},
    {"user", offsetof(struct br_connect_options, user), false},
    {"password", offsetof(struct br_connect_options, password), false},
    {"token", offsetof(struct br_connect_options, token), false},
    {"creds", offsetof(struct br_connect_options, creds_path), true},
    {"nkey", offsetof(struct br_connect_options, nkey_path), true},
    {"cert", offsetof(struct br_connect_options, tls_cert_path), true},
    {"key", offsetof(struct br_connect_options, tls_key_path), true},
    {"ca", offsetof(struct br_connect_options, tls_ca_path), true},
    {"inbox_prefix", offsetof(struct br_connect_options, inbox_prefix), false},
    {"jetstream_domain", offsetof(struct br_connect_options, js_domain), false},
    {"jetstream_api_prefix", offsetof(struct br_connect_options, js_api_prefix), false},
};
static const struct {
    const char *key, *instead;
} refused[] = {
    {"socks_proxy", "braid dials the server itself"},
    {"nsc", "name the credentials file that nsc made, by \"creds\" or --creds"},
    {"user_jwt", "put it into a credentials file, named by \"creds\" or --creds"},
    {"user_seed", "put it into a file, named by \"creds\" or \"nkey\""},
    {"windows_cert_store", "name the certificate's file by \"cert\" and \"key\""},
    {"windows_cert_match", "name the certificate's file by \"cert\" and \"key\""},
    {"windows_cert_match_by", "name the certificate's file by \"cert\" and \"key\""},
    {"windows_ca_certs_match", "name the authority's file by \"ca\""},
};
static const char *const harmless[] = {"name", "description", "color_scheme", "jetstream_event_prefix"};

// --- the file

// Below the folder of the nats command's configuration.
static enum br_status config_path(const char *name, char path[PATH_SIZE], struct br_error *error) {
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int len;
    if (xdg != NULL && xdg[0] != '\0')
        len = snprintf(path, PATH_SIZE, "%s/nats/%s", xdg, name);
    else if (home != NULL && home[0] != '\0')
        len = snprintf(path, PATH_SIZE, "%s/.config/nats/%s", home, name);
    else
        return br_error_set(error, BR_FATAL, "contexts are below ~/.config: neither HOME nor XDG_CONFIG_HOME is set");
    return len < PATH_SIZE ? BR_OK : br_error_set(error, BR_FATAL, "the path of the context is too long");
}

static enum br_status read_whole(int fd, const char *path, struct br_buffer *text, struct br_error *error) {
    struct stat about;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode))
        return br_error_set(error, BR_FATAL, "%s is no file", path);
    for (ssize_t got = 1; got > 0 && text->len <= CONTEXT_SIZE_MAX;) {
        got = read(fd, br_buffer_reserve(text, 4096), 4096);
        if (got < 0)
            return br_error_set(error, BR_FATAL, "can't read %s: %m", path);
        text->len += (size_t)got;
    }
    return text->len <= CONTEXT_SIZE_MAX ? BR_OK
                                         : br_error_set(error, BR_FATAL, "%s is no context: it is larger than %zu KiB",
                                                        path, CONTEXT_SIZE_MAX / 1024);
}

static enum br_status read_small(const char *path, struct br_buffer *text, struct br_error *error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return br_error_set(error, BR_FATAL, "can't open %s: %m", path);
    enum br_status status = read_whole(fd, path, text, error);
    close(fd);
    return status;
}

static enum br_status selected_name(char *name, size_t size, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
    char path[PATH_SIZE];
    BR_TRY(config_path("context.txt", path, error));
    if (read_small(path, &text, error) != BR_OK)
        return br_error_set(error, BR_FATAL,
                            "no context is selected (%s can't be read): select one by `nats context "
                            "select`, or name one by --context",
                            path);
    size_t from = 0, to = text.len;
    while (to > from && text.ptr[to - 1] <= ' ')
        to--;
    while (from < to && text.ptr[from] <= ' ')
        from++;
    snprintf(name, size, "%.*s", (int)(to - from), (const char *)text.ptr + from);
    return BR_OK;
}

static bool is_name(const char *name) {
    size_t len = strlen(name);
    for (const char *at = name; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == '/' || *at == 0x7f)
            return false;
    return len > 0 && len <= NAME_LEN_MAX && strcmp(name, "..") != 0 && strcmp(name, ".") != 0;
}

// --- its keys

static bool is_set(const struct br_json *value) {
    bool empty = br_slice_is(value->text, "\"\"") || br_slice_is(value->text, "[]") || br_slice_is(value->text, "{}");
    return value->kind != BR_JSON_NULL && value->kind != BR_JSON_FALSE && !empty;
}

// Kept for the life of the process, as arguments are.
static const char *keep(struct br_slice text, bool is_path) {
    static struct br_arena *kept;
    if (kept == NULL)
        kept = br_arena_create();
    const char *home = getenv("HOME");
    bool below_home = is_path && text.len > 1 && memcmp(text.ptr, "~/", 2) == 0 && home != NULL;
    size_t home_len = below_home ? strlen(home) : 0, skip = below_home ? 1 : 0;
    char *copy = br_arena_alloc(kept, home_len + text.len + 1);
    if (below_home)
        memcpy(copy, home, home_len);
    memcpy(copy + home_len, text.ptr + skip, text.len - skip);
    copy[home_len + text.len - skip] = '\0';
    return copy;
}

static enum br_status take_text(const struct context *context, size_t index, const struct br_json *value,
                                struct br_error *error) {
    const char **field = (const char **)(void *)((char *)context->options + taken[index].offset);
    if (!is_set(value)) {
        *field = NULL;
        return BR_OK;
    }
    struct br_slice text = value->kind == BR_JSON_STRING ? br_json_string(value, context->arena) : (struct br_slice){0};
    if (value->kind != BR_JSON_STRING || memchr(text.ptr, '\0', text.len) != NULL)
        return br_error_set(error, BR_FATAL, "%s: \"%s\" must be a text", context->path, taken[index].key);
    *field = keep(text, taken[index].is_path);
    return BR_OK;
}

static enum br_status take_key(const struct context *context, struct br_slice name, const struct br_json *value,
                               struct br_error *error) {
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (br_slice_is(name, taken[i].key))
            return take_text(context, i, value, error);
    if (br_slice_is(name, "tls_first")) {
        if (is_set(value) && value->kind != BR_JSON_TRUE)
            return br_error_set(error, BR_FATAL, "%s: \"tls_first\" must be true or false", context->path);
        context->options->tls_first = value->kind == BR_JSON_TRUE;
        return BR_OK;
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (br_slice_is(name, refused[i].key) && is_set(value))
            return br_error_set(error, BR_FATAL, "%s: \"%s\" is set, which braid doesn't follow: %s", context->path,
                                refused[i].key, refused[i].instead);
        else if (br_slice_is(name, refused[i].key))
            return BR_OK;
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
        if (br_slice_is(name, harmless[i]))
            return BR_OK;
    if (is_set(value))
        br_complain("%s: \"%.*s\" isn't known here and is left aside", context->path,
                    (int)(name.len > 100 ? 100 : name.len), (const char *)name.ptr);
    return BR_OK;
}

static enum br_status take_keys(const struct context *context, struct br_slice text, struct br_error *error) {
    struct br_error where;
    struct br_json file, value;
    struct br_slice name;
    if (br_json_parse(text, &file, &where) != BR_OK)
        return br_error_set(error, BR_FATAL, "%s is no context of the nats command: %s", context->path, where.message);
    if (file.kind != BR_JSON_OBJECT)
        return br_error_set(error, BR_FATAL, "%s is no context of the nats command: it holds no object", context->path);
    struct br_json_walk walk = br_json_begin(&file);
    while (br_json_next(&walk, context->arena, &name, &value))
        BR_TRY(take_key(context, name, &value, error));
    return BR_OK;
}

enum br_status br_context_read(const char *name, struct br_connect_options *ret_options, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
    char selected[NAME_LEN_MAX + 8], file[NAME_LEN_MAX + 32], path[PATH_SIZE];
    if (strcmp(name, "-") == 0) {
        BR_TRY(selected_name(selected, sizeof selected, error));
        name = selected;
    }
    if (!is_name(name))
        return br_error_set(error, BR_FATAL, "\"%.200s\" is no name of a context", name);
    snprintf(file, sizeof file, "context/%s.json", name);
    BR_TRY(config_path(file, path, error));
    if (read_small(path, &text, error) != BR_OK)
        return error->status;
    struct br_connect_options options = {0};
    struct context context = {.options = &options, .path = path, .arena = br_arena_create()};
    enum br_status status = take_keys(&context, br_buffer_slice(&text), error);
    br_arena_destroy(&context.arena);
    if (status == BR_OK)
        *ret_options = options;
    return status;
}
