// SPDX-License-Identifier: Apache-2.0
// A private nats-server as a child process: see jetstream.h. Its configuration, its log and the streams are in
// store_dir, which the caller owns. It listens on 127.0.0.1 alone, on a port of its own choice, and dies with the
// thread that started it.
#define _GNU_SOURCE
#include "base/logging.h"
#include "processor/log/nats/jetstream_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_TIMEOUT_US (20 * BR_US_PER_SECOND)
#define STOP_TIMEOUT_US (10 * BR_US_PER_SECOND)
#define STEP_US 10000
#define PARENTS_MAX 5 // how far above the braid binary .deps is looked for

struct br_private_server {
    pid_t pid;
    int port;
    char url[64];
    char binary[PATH_MAX];
    char store_dir[PATH_MAX];
};

// --- the binary

static bool is_executable(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISREG(about.st_mode) && access(path, X_OK) == 0;
}

// Asks the binary for its version ("nats-server: v2.15.1").
static bool is_new_enough(const char *path) {
    int pipe_fds[2];
    char text[256];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pipe_fds[1], STDOUT_FILENO);
        execl(path, "nats-server", "--version", (char *)NULL);
        _exit(127);
    }
    close(pipe_fds[1]);
    ssize_t len = pid < 0 ? 0 : read(pipe_fds[0], text, sizeof text - 1);
    close(pipe_fds[0]);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    text[len > 0 ? len : 0] = '\0';
    const char *version = strstr(text, ": ");
    return version != NULL && br_js_version_usable(version[2] == 'v' ? version + 3 : version + 2);
}

static bool find_on_path(char *path, size_t size) {
    const char *at = getenv("PATH");
    while (at != NULL && *at != '\0') {
        size_t len = strcspn(at, ":");
        snprintf(path, size, "%.*s/nats-server", (int)len, at);
        if (len != 0 && is_executable(path) && is_new_enough(path))
            return true;
        at += len + (at[len] == ':');
    }
    return false;
}

// .deps/bin/nats-server in the folder of this program, or in one above it (a build tree), or in the working directory.
static bool find_in_deps(char *path, size_t size) {
    char folder[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", folder, sizeof folder - 1);
    for (int i = 0; i < PARENTS_MAX && len > 0; i++) {
        while (len > 0 && folder[len - 1] != '/')
            len--;
        len = len > 1 ? len - 1 : len;
        snprintf(path, size, "%.*s/.deps/bin/nats-server", (int)len, folder);
        if (is_executable(path))
            return true;
    }
    snprintf(path, size, ".deps/bin/nats-server");
    return is_executable(path);
}

static enum br_status find_binary(char *path, size_t size, struct br_error *error) {
    const char *named = getenv("BRAID_NATS_SERVER");
    if (named != NULL && named[0] != '\0') {
        snprintf(path, size, "%s", named);
        if (is_executable(path))
            return BR_OK;
        return br_error_set(error, BR_FATAL, "BRAID_NATS_SERVER names %s, which can't be run", named);
    }
    if (find_on_path(path, size) || find_in_deps(path, size))
        return BR_OK;
    return br_error_set(error, BR_FATAL,
                        "there is no nats-server on PATH or in .deps/bin that is new enough; run tools/nats-server to "
                        "get one, or name it in BRAID_NATS_SERVER");
}

// --- starting

static enum br_status write_config(const struct br_private_server *server, bool sync_always, const char *path,
                                   struct br_error *error) {
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return br_error_set_native(error, BR_FATAL, errno, "can't write %s: %s", path, strerror(errno));
    // The store's path as a JSON string, which the configuration's syntax takes.
    json_t *store = json_string(server->store_dir);
    char *store_text = store == NULL ? NULL : json_dumps(store, JSON_ENCODE_ANY);
    fprintf(file, "host: 127.0.0.1\nport: %d\nserver_name: braid-private\n", server->port == 0 ? -1 : server->port);
    fprintf(file, "jetstream {\n  store_dir: %s\n%s}\n", store_text == NULL ? "\"\"" : store_text,
            sync_always ? "  sync_interval: always\n" : "");
    bool written = fclose(file) == 0 && store_text != NULL;
    free(store_text);
    json_decref(store);
    return written ? BR_OK : br_error_set(error, BR_FATAL, "can't write %s: %s", path, strerror(errno));
}

static void exec_server(const struct br_private_server *server, const char *config, const char *log_path,
                        pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127); // it died before we could ask to be told
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0); // a Ctrl-C is for the parent, which stops us in order
    int log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log_fd >= 0) {
        dup2(log_fd, STDOUT_FILENO);
        dup2(log_fd, STDERR_FILENO);
    }
    execl(server->binary, "nats-server", "-c", config, "--ports_file_dir", server->store_dir, (char *)NULL);
    _exit(127);
}

// "nats://127.0.0.1:4222" from the file that the server writes when it listens; false when it isn't there yet.
static bool read_port(struct br_private_server *server) {
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/nats-server_%d.ports", server->store_dir, (int)server->pid);
    json_t *ports = json_load_file(path, 0, NULL);
    const char *url = json_string_value(json_array_get(json_object_get(ports, "nats"), 0));
    const char *colon = url == NULL ? NULL : strrchr(url, ':');
    server->port = colon == NULL ? 0 : (int)strtol(colon + 1, NULL, 10);
    json_decref(ports);
    if (server->port <= 0)
        return false;
    snprintf(server->url, sizeof server->url, "nats://127.0.0.1:%d", server->port);
    return true;
}

static bool answers(const struct br_private_server *server) {
    struct br_connect_options options = {
        .url = server->url, .name = "braid start", .request_timeout_us = BR_US_PER_SECOND, .allow_old_server = true};
    struct br_log *log = NULL;
    struct br_error error;
    bool ok = br_log_connect_jetstream(&options, &log, &error) == BR_OK;
    br_log_close(&log);
    return ok;
}

// The last line of the server's log, which usually says what is wrong.
static void last_log_line(const char *path, char *line, size_t size) {
    char text[2048];
    FILE *file = fopen(path, "re");
    size_t len = 0;
    if (file != NULL) {
        if (fseek(file, -(long)(sizeof text - 1), SEEK_END) != 0)
            rewind(file);
        len = fread(text, 1, sizeof text - 1, file);
        fclose(file);
    }
    while (len > 0 && text[len - 1] == '\n')
        len--;
    text[len] = '\0';
    const char *last = strrchr(text, '\n');
    snprintf(line, size, "%.400s", last == NULL ? text : last + 1);
}

static enum br_status await_start(struct br_private_server *server, const char *log_path, struct br_error *error) {
    char line[512];
    int64_t deadline_us = br_session_now() + START_TIMEOUT_US;
    bool listens = server->port != 0;
    while (br_session_now() < deadline_us) {
        int how;
        if (waitpid(server->pid, &how, WNOHANG) == server->pid) {
            server->pid = 0;
            last_log_line(log_path, line, sizeof line);
            return br_error_set(error, BR_FATAL, "the private nats-server (%s) ended at once: %s", server->binary,
                                line);
        }
        listens = listens || read_port(server);
        if (listens && answers(server))
            return BR_OK;
        usleep(STEP_US);
    }
    last_log_line(log_path, line, sizeof line);
    return br_error_set(error, BR_FATAL, "the private nats-server (%s) doesn't answer after %d s: %s", server->binary,
                        (int)(START_TIMEOUT_US / BR_US_PER_SECOND), line);
}

static enum br_status launch(struct br_private_server *server, const char *config, struct br_error *error) {
    char log_path[PATH_MAX + 64];
    snprintf(log_path, sizeof log_path, "%s/nats-server.log", server->store_dir);
    pid_t parent = getpid();
    server->pid = fork();
    if (server->pid == 0)
        exec_server(server, config, log_path, parent);
    if (server->pid < 0) {
        server->pid = 0;
        return br_error_set_native(error, BR_FATAL, errno, "can't start a process: %s", strerror(errno));
    }
    return await_start(server, log_path, error);
}

static bool port_is_free(int port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    bool free = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return free;
}

enum br_status br_private_server_start(const char *store_dir, bool sync_always, int port,
                                       struct br_private_server **ret_server, struct br_error *error) {
    struct br_private_server *server = br_calloc(1, sizeof *server);
    server->port = port != 0 && port_is_free(port) ? port : 0;
    snprintf(server->url, sizeof server->url, "nats://127.0.0.1:%d",
             server->port); // once more when the server has chosen
    char config[PATH_MAX + 64];
    enum br_status status = find_binary(server->binary, sizeof server->binary, error);
    if (status == BR_OK && mkdir(store_dir, 0700) != 0 && errno != EEXIST)
        status =
            br_error_set_native(error, BR_FATAL, errno, "can't make the folder %s: %s", store_dir, strerror(errno));
    if (status == BR_OK && realpath(store_dir, server->store_dir) == NULL)
        status = br_error_set_native(error, BR_FATAL, errno, "can't use the folder %s: %s", store_dir, strerror(errno));
    snprintf(config, sizeof config, "%s/nats-server.conf", server->store_dir);
    if (status == BR_OK)
        status = write_config(server, sync_always, config, error);
    if (status == BR_OK)
        status = launch(server, config, error);
    if (status == BR_OK)
        status = write_config(server, sync_always, config, error); // the port stays the same from now on
    if (status == BR_OK)
        *ret_server = server;
    else
        br_private_server_stop(&server);
    return status;
}

static void stop_process(struct br_private_server *server, int signal_number) {
    int how;
    if (server->pid <= 0)
        return;
    kill(server->pid, signal_number);
    int64_t deadline_us = br_session_now() + STOP_TIMEOUT_US;
    while (waitpid(server->pid, &how, WNOHANG) == 0) {
        if (br_session_now() >= deadline_us) {
            kill(server->pid, SIGKILL);
            waitpid(server->pid, &how, 0);
            break;
        }
        usleep(STEP_US);
    }
    server->pid = 0;
}

void br_private_server_halt(struct br_private_server *server, bool kill_it) {
    stop_process(server, kill_it ? SIGKILL : SIGTERM);
}

enum br_status br_private_server_resume(struct br_private_server *server, struct br_error *error) {
    char config[PATH_MAX + 64];
    BR_CHECK(server->pid == 0);
    snprintf(config, sizeof config, "%s/nats-server.conf", server->store_dir);
    return launch(server, config, error);
}

const char *br_private_server_url(const struct br_private_server *server) {
    return server->url;
}

int br_private_server_pid(const struct br_private_server *server) {
    return (int)server->pid;
}

void br_private_server_stop(struct br_private_server **server) {
    if (*server == NULL)
        return;
    stop_process(*server, SIGTERM);
    free(*server);
    *server = NULL;
}
