// SPDX-License-Identifier: Apache-2.0
// The control plane's thread: connects, reads, writes, and connects again. See cnats_internal.h (N4 to N8).
#define _GNU_SOURCE // POLLRDHUP
#include "processor/log/control/cnats_internal.h"

#include "base/logging.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define NICE 5               // who serves data is served first
#define UNSENT_MAX (1 << 20) // N7
#define QUIET_US (20 * BR_US_PER_SECOND)
#define DEAD_US (30 * BR_US_PER_SECOND)
#define HALF_RECORD_US (3 * BR_US_PER_SECOND)
#define PAUSE_MIN_US INT64_C(50000)
#define PAUSE_MAX_US (2 * BR_US_PER_SECOND)
#define STEADY_US (10 * BR_US_PER_SECOND)    // a connection that held so long was none that is accepted and dropped
#define LOOK_AGAIN_US (5 * BR_US_PER_SECOND) // at what the server hasn't permitted
#define TICK_US (1 * BR_US_PER_SECOND)
#define TLS_HEAD 5
#define LAST_WORDS_US INT64_C(200000)
#define READS_BEFORE_END_MAX 1000 // what has come is less than the socket's buffer
#define TIMEOUT_US_DEFAULT (5 * BR_US_PER_SECOND)

void cnats_wake(struct cnats *cnats) {
    uint64_t one = 1;
    ssize_t done = write(cnats->wake_fd, &one, sizeof one);
    (void)done; // it is set already
}

bool cnats_tell(struct control_told *told, int64_t now_us, uint64_t *ret_count) {
    told->count++;
    told->total++;
    if (now_us - told->at_us < BR_US_PER_SECOND)
        return false;
    *ret_count = told->count;
    told->at_us = now_us;
    told->count = 0;
    return true;
}

// --- what is sent

static void add_out(struct cnats *cnats, struct control_out *out) {
    *cnats->out_end = out;
    cnats->out_end = &out->next;
    cnats->out_bytes += out->payload.len;
}

void cnats_queue(struct cnats *cnats, const char *subject, const char *reply, struct br_slice payload, bool last) {
    size_t subject_size = strlen(subject) + 1, reply_size = reply == NULL ? 0 : strlen(reply) + 1;
    struct control_out *out = br_alloc(sizeof *out + payload.len + subject_size + reply_size);
    *out = (struct control_out){.generation = cnats->generation, .last = last};
    out->payload = (struct br_slice){out->bytes, payload.len};
    out->subject = (char *)out->bytes + payload.len;
    if (payload.len != 0)
        memcpy(out->bytes, payload.ptr, payload.len);
    memcpy(out->subject, subject, subject_size);
    if (reply != NULL) {
        out->reply = out->subject + subject_size;
        memcpy(out->reply, reply, reply_size);
    }
    add_out(cnats, out);
}

static char *add_text(char *at, struct br_slice text) {
    for (size_t i = 0; i < text.len; i++)
        *at++ = text.ptr[i] == '\r' || text.ptr[i] == '\n' || text.ptr[i] == '\0' ? ' ' : (char)text.ptr[i];
    *at++ = '\0';
    return at;
}

void cnats_queue_message(struct cnats *cnats, const struct br_log_message *message, const char *reply) {
    size_t size = message->payload.len + message->subject.len + 1 + strlen(reply) + 1;
    for (uint32_t i = 0; i < message->header_count; i++)
        size += message->headers[i].name.len + message->headers[i].value.len + 2;
    struct control_out *out = br_alloc(sizeof *out + size);
    *out = (struct control_out){.generation = cnats->generation, .header_count = message->header_count};
    out->payload = (struct br_slice){out->bytes, message->payload.len};
    if (message->payload.len != 0)
        memcpy(out->bytes, message->payload.ptr, message->payload.len);
    out->subject = (char *)out->bytes + message->payload.len;
    out->reply = add_text(out->subject, message->subject);
    char *at = add_text(out->reply, br_slice_of(reply));
    out->headers = at;
    for (uint32_t i = 0; i < message->header_count; i++)
        at = add_text(add_text(at, message->headers[i].name), message->headers[i].value);
    add_out(cnats, out);
}

// What was queued is taken all at once; out_bytes has it until it is sent.
static struct control_out *next_out(struct cnats *cnats) {
    if (cnats->taken == NULL) {
        pthread_mutex_lock(&cnats->lock);
        cnats->taken = cnats->out;
        cnats->out = NULL;
        cnats->out_end = &cnats->out;
        pthread_mutex_unlock(&cnats->lock);
    }
    struct control_out *out = cnats->taken;
    if (out != NULL)
        cnats->taken = out->next;
    return out;
}

static natsStatus publish(struct cnats *cnats, const struct control_out *out) {
    natsMsg *message = NULL;
    natsStatus status =
        natsMsg_Create(&message, out->subject, out->reply, (const char *)out->payload.ptr, (int)out->payload.len);
    if (status == NATS_OK && out->reply == NULL)
        status = natsMsgHeader_Set(message, "Braid-From", cnats->inbox);
    if (status == NATS_OK && out->last)
        status = natsMsgHeader_Set(message, "Braid-Last", "1");
    const char *header = out->headers;
    for (uint32_t i = 0; i < out->header_count && status == NATS_OK; i++) {
        const char *value = header + strlen(header) + 1;
        status = natsMsgHeader_Add(message, header, value);
        header = value + strlen(value) + 1;
    }
    if (status == NATS_OK)
        status = natsConnection_PublishMsg(cnats->connection, message);
    natsMsg_Destroy(message);
    return status;
}

static natsStatus publish_queued(struct cnats *cnats) {
    natsStatus status = NATS_OK;
    struct control_out *out;
    size_t bytes = 0;
    while (status == NATS_OK && natsConnection_Buffered(cnats->connection) < UNSENT_MAX &&
           (out = next_out(cnats)) != NULL) {
        bool holds = out->generation == cnats->generation;
        if (holds && out->reply != NULL)
            status = cnats_open_inbox(cnats, out->reply);
        if (holds && status == NATS_OK)
            status = publish(cnats, out);
        bytes += out->payload.len;
        free(out);
    }
    if (bytes != 0) {
        pthread_mutex_lock(&cnats->lock);
        cnats->out_bytes -= bytes;
        pthread_mutex_unlock(&cnats->lock);
    }
    return status;
}

// --- the socket

natsStatus cnats_attach(void **ret_data, void *loop, natsConnection *connection, natsSock socket) {
    struct cnats *cnats = loop;
    (void)connection;
    pthread_mutex_lock(&cnats->lock);
    cnats->fd = socket;
    pthread_mutex_unlock(&cnats->lock);
    *ret_data = cnats;
    return NATS_OK;
}

natsStatus cnats_want_read(void *data, bool add) {
    (void)data;
    (void)add; // as long as there is a socket
    return NATS_OK;
}

natsStatus cnats_want_write(void *data, bool add) {
    struct cnats *cnats = data;
    atomic_store(&cnats->want_write, add);
    if (add)
        cnats_wake(cnats);
    return NATS_OK;
}

natsStatus cnats_detach(void *data) {
    struct cnats *cnats = data;
    pthread_mutex_lock(&cnats->lock);
#if NATS_VERSION_NUMBER >= 0x030A00
    natsSock socket = cnats->fd; // from 3.10 on the loop closes it
    natsConnection_ProcessCloseEvent(&socket);
#endif
    cnats->fd = -1;
    pthread_mutex_unlock(&cnats->lock);
    return NATS_OK;
}

// N6. Is there something that cnats can read to its end?
static bool may_read(struct cnats *cnats, short events, int64_t now_us) {
    uint8_t head[TLS_HEAD];
    int there = 0;
    if (!cnats->secure || (events & (POLLHUP | POLLERR | POLLRDHUP)) != 0)
        return true;
    ssize_t got = recv(cnats->fd, head, sizeof head, MSG_PEEK | MSG_DONTWAIT);
    size_t need = got == TLS_HEAD ? TLS_HEAD + ((size_t)head[3] << 8 | head[4]) : TLS_HEAD;
    if (got == TLS_HEAD && (ioctl(cnats->fd, FIONREAD, &there) != 0 || (size_t)there >= need))
        need = 1;
    if (need != cnats->lowat) {
        int lowat = (int)need;
        setsockopt(cnats->fd, SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof lowat);
        cnats->lowat = need;
    }
    if (need == 1)
        cnats->half_since_us = 0;
    else if (cnats->half_since_us == 0)
        cnats->half_since_us = now_us;
    return need == 1;
}

static bool is_dead(struct cnats *cnats, int64_t now_us) {
    if (cnats->half_since_us != 0 && now_us - cnats->half_since_us > HALF_RECORD_US)
        return true;
    return now_us - cnats->heard_us > DEAD_US || natsConnection_Buffered(cnats->connection) > 8 * UNSENT_MAX;
}

static void ask_alive(struct cnats *cnats, int64_t now_us) {
    char subject[200];
    if (now_us - cnats->heard_us < QUIET_US || now_us - cnats->asked_alive_us < QUIET_US)
        return;
    cnats->asked_alive_us = now_us;
    snprintf(subject, sizeof subject, "%s.alive", cnats->inbox);
    if (natsConnection_PublishString(cnats->connection, subject, "") != NATS_OK)
        shutdown(cnats->fd, SHUT_RDWR);
}

// What the server has refused meanwhile: a subscription, a publish.
static void look_at_errors(struct cnats *cnats) {
    const char *text = NULL;
    if (natsConnection_GetLastError(cnats->connection, &text) != NATS_NOT_PERMITTED || text == NULL ||
        strcmp(text, cnats->denied) == 0)
        return;
    pthread_mutex_lock(&cnats->lock);
    snprintf(cnats->denied, sizeof cnats->denied, "%s", text);
    cnats->denied_us = br_session_now();
    cnats->permitted = false;
    pthread_cond_broadcast(&cnats->changed);
    pthread_mutex_unlock(&cnats->lock);
    if (strcmp(text, cnats->told_error) != 0 && cnats->service.name != NULL)
        br_log_line(BR_LEVEL_WARN,
                    "the server doesn't permit what the worker's service needs: status and queries may not be answered "
                    "until its user may subscribe to braid_api.<pipeline>.> and $SRV.>, and publish to inboxes",
                    BR_STR("why", text));
    snprintf(cnats->told_error, sizeof cnats->told_error, "%s", text);
}

static bool is_of_subscription(const char *denied) {
    return strstr(denied, "ubscription to") != NULL;
}

// Nobody tells when a subscription comes to be permitted, nor which of two equal errors is new: another connection
// does.
static bool look_again(struct cnats *cnats, int64_t now_us) {
    bool denied = is_of_subscription(cnats->denied), late = now_us - cnats->up_since_us > LOOK_AGAIN_US;
    cnats->looks_again = denied && late;
    if (!denied && late) {
        if (is_of_subscription(cnats->told_error) && cnats->service.name != NULL)
            br_log_line(BR_LEVEL_INFO, "what the worker's service needs is permitted now: requests are heard");
        cnats->told_error[0] = '\0';
    }
    return cnats->looks_again;
}

static int64_t wait_until(const struct cnats *cnats, int64_t now_us) {
    int64_t until = now_us + TICK_US;
    if (cnats->connection == NULL && cnats->dial_at_us < until)
        until = cnats->dial_at_us;
    if (now_us < cnats->subscribe_at_us && cnats->subscribe_at_us < until)
        until = cnats->subscribe_at_us;
    return until;
}

// Waits; the events of the socket.
static short wait_for_events(struct cnats *cnats) {
    int64_t now_us = br_session_now(), left_us = wait_until(cnats, now_us) - now_us;
    struct pollfd polled[] = {{.fd = cnats->wake_fd, .events = POLLIN},
                              {.fd = cnats->connection == NULL ? -1 : cnats->fd, .events = POLLIN | POLLRDHUP}};
    if (atomic_load(&cnats->want_write))
        polled[1].events |= POLLOUT;
    (void)poll(polled, 2, left_us <= 0 ? 0 : (int)(left_us / 1000) + 1);
    if (polled[0].revents != 0) {
        uint64_t count;
        ssize_t got = read(cnats->wake_fd, &count, sizeof count);
        (void)got;
    }
    return polled[1].revents;
}

// --- up and down

static void come_up(struct cnats *cnats, int64_t now_us) {
    char server[sizeof cnats->server_name] = "";
    (void)natsConnection_GetConnectedUrl(cnats->connection, server, sizeof server);
    cnats->heard_us = cnats->up_since_us = now_us;
    cnats->asked_alive_us = cnats->half_since_us = 0;
    cnats->lowat = 1;
    pthread_mutex_lock(&cnats->lock);
    bool again = cnats->was_up;
    cnats->was_up = true;
    cnats->up = true;
    cnats->generation++;
    cnats->refused_count = 0;
    cnats->denied[0] = '\0';
    memcpy(cnats->server_name, server, sizeof server);
    cnats->payload_max = natsConnection_GetMaxPayload(cnats->connection);
    pthread_cond_broadcast(&cnats->changed);
    pthread_mutex_unlock(&cnats->lock);
    bool looked = cnats->looks_again;
    cnats->looks_again = false;
    if (cnats->service.name != NULL && !looked)
        br_log_line(BR_LEVEL_INFO, again ? "the control connection is back" : "requests are heard",
                    BR_STR("server", server));
}

// The library waits half a second for the answer to what it has in its buffer, which only this thread could read. It
// doesn't for a connection whose end it has seen.
static void close_connection(struct cnats *cnats) {
    if (cnats->connection == NULL)
        return;
    if (cnats->fd >= 0)
        shutdown(cnats->fd, SHUT_RDWR);
    for (int reads = 0; reads < READS_BEFORE_END_MAX && !natsConnection_IsClosed(cnats->connection); reads++)
        natsConnection_ProcessReadEvent(cnats->connection);
    natsConnection_Destroy(cnats->connection);
    cnats->connection = NULL;
}

// Everything is told and dropped: what waits for an answer, and the rest of answers (N8).
static void go_down(struct cnats *cnats, const struct br_error *why, int64_t now_us) {
    bool was_up = cnats->connection != NULL;
    close_connection(cnats);
    for (struct control_service *service = cnats->services; service != NULL; service = service->next) {
        natsSubscription_Destroy(service->subscription);
        service->subscription = NULL;
    }
    cnats_drop_inboxes(cnats);
    natsSubscription_Destroy(cnats->alive);
    cnats->alive = NULL;
    atomic_store(&cnats->want_write, false);
    if (was_up && now_us - cnats->up_since_us > STEADY_US)
        cnats->pause_us = 0;
    cnats->pause_us = cnats->pause_us == 0 ? PAUSE_MIN_US : cnats->pause_us * 2;
    if (cnats->pause_us > PAUSE_MAX_US)
        cnats->pause_us = PAUSE_MAX_US;
    uint32_t jitter = 0;
    ssize_t got = getrandom(&jitter, sizeof jitter, GRND_NONBLOCK);
    (void)got;
    cnats->dial_at_us = now_us + cnats->pause_us / 2 + jitter % (uint32_t)cnats->pause_us;
    cnats->server = (cnats->server + 1) % cnats->config.server_count;
    pthread_mutex_lock(&cnats->lock);
    bool told = (!cnats->up && strcmp(cnats->why.message, why->message) == 0) || cnats->stop || cnats->looks_again;
    cnats->up = false;
    cnats->generation++;
    cnats->why = *why;
    if (why->status == BR_FATAL)
        cnats->refused_count++;
    pthread_cond_broadcast(&cnats->changed);
    pthread_mutex_unlock(&cnats->lock);
    if (!told && cnats->service.name != NULL) // who only asks is told by br_control_request
        br_log_line(BR_LEVEL_WARN, "no control connection; the pipeline isn't touched by that",
                    BR_STR("why", why->message));
}

static void lose(struct cnats *cnats, const char *what, int64_t now_us) {
    struct br_error why;
    (void)br_error_set(&why, BR_RETRY, "%s", what);
    go_down(cnats, &why, now_us);
}

static void connect_now(struct cnats *cnats) {
    struct br_error why;
    enum br_status status = cnats_dial(cnats, &why);
    if (status == BR_OK && cnats_subscribe(cnats, br_session_now()) == NATS_OK)
        come_up(cnats, br_session_now());
    else if (status == BR_OK)
        lose(cnats, "the connection was lost", br_session_now());
    else
        go_down(cnats, &why, br_session_now());
}

static void turn(struct cnats *cnats, short events) {
    int64_t now_us = br_session_now();
    if ((events & ~POLLOUT) != 0 && may_read(cnats, events, now_us)) {
        cnats->heard_us = now_us;
        natsConnection_ProcessReadEvent(cnats->connection);
        cnats_take_parts(cnats);
        cnats_take_requests(cnats, now_us);
        look_at_errors(cnats);
    }
    if ((events & POLLOUT) != 0)
        natsConnection_ProcessWriteEvent(cnats->connection);
    if (natsConnection_IsClosed(cnats->connection)) {
        lose(cnats, "the connection to the NATS server was lost", now_us);
        return;
    }
    ask_alive(cnats, now_us);
    if (look_again(cnats, now_us)) {
        lose(cnats, cnats->denied, now_us);
        return;
    }
    if (is_dead(cnats, now_us) || cnats_subscribe(cnats, now_us) != NATS_OK || publish_queued(cnats) != NATS_OK)
        lose(cnats, "the connection to the NATS server was given up", now_us);
}

// What is left to be said goes out, for a moment.
static void say_the_last(struct cnats *cnats) {
    int64_t until_us = br_session_now() + LAST_WORDS_US;
    cnats_end_services(cnats);
    if (cnats->connection == NULL)
        return;
    struct pollfd polled = {.fd = cnats->fd, .events = POLLOUT};
    while (br_session_now() < until_us && publish_queued(cnats) == NATS_OK &&
           natsConnection_Buffered(cnats->connection) > 0) {
        (void)poll(&polled, 1, LAST_WORDS_US / 1000);
        natsConnection_ProcessWriteEvent(cnats->connection);
    }
}

static bool is_stopping(struct cnats *cnats) {
    pthread_mutex_lock(&cnats->lock);
    bool stop = cnats->stop;
    pthread_mutex_unlock(&cnats->lock);
    return stop;
}

static void *run(void *context) {
    struct cnats *cnats = context;
    if (cnats->service.name != NULL)
        setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + NICE); // of this thread
    while (!is_stopping(cnats)) {
        if (cnats->connection == NULL && br_session_now() >= cnats->dial_at_us)
            connect_now(cnats);
        short events = wait_for_events(cnats);
        if (cnats->connection != NULL)
            turn(cnats, events);
    }
    say_the_last(cnats);
    lose(cnats, "the control plane is closed", br_session_now());
    return NULL;
}

// --- what control.h promises

static void cnats_status(struct br_control *control, struct br_buffer *out) {
    struct cnats *cnats = cnats_of(control);
    pthread_mutex_lock(&cnats->lock);
    uint64_t asked = 0, refused = 0;
    for (const struct control_service *service = cnats->services; service != NULL; service = service->next) {
        asked += service->asked;
        refused += service->refused;
    }
    const char *why = !cnats->up                                      ? cnats->why.message
                      : cnats->denied[0] != '\0' && !cnats->permitted ? cnats->denied
                                                                      : NULL;
    json_t *status = json_pack("{s:b, s:I, s:I}", "connected", cnats->up, "requests", (json_int_t)asked, "refused",
                               (json_int_t)refused);
    if (why != NULL)
        json_object_set_new(status, "error", json_string(why));
    pthread_mutex_unlock(&cnats->lock);
    char *text = json_dumps(status, JSON_COMPACT);
    br_buffer_append_text(out, text == NULL ? "null" : text);
    free(text);
    json_decref(status);
}

static void free_all(struct cnats *cnats) {
    struct control_out *out;
    while ((out = next_out(cnats)) != NULL)
        free(out);
    while (cnats->services != NULL) {
        struct control_service *service = cnats->services;
        cnats->services = service->next;
        free(service->subject);
        free(service);
    }
    br_session_config_free(&cnats->config);
    free(cnats->inbox_prefix);
    free(cnats->inbox);
    free(cnats->service.name);
    free(cnats->service.id);
    free(cnats->service.version);
    free(cnats->service.description);
    if (cnats->wake_fd >= 0)
        close(cnats->wake_fd);
    pthread_cond_destroy(&cnats->changed);
    pthread_mutex_destroy(&cnats->lock);
    free(cnats);
}

static void cnats_close(struct br_control *control) {
    struct cnats *cnats = cnats_of(control);
    pthread_mutex_lock(&cnats->lock);
    cnats->stop = true;
    if (cnats->fd >= 0 && !cnats->up)
        shutdown(cnats->fd, SHUT_RDWR); // it is dialing
    pthread_cond_broadcast(&cnats->changed);
    pthread_mutex_unlock(&cnats->lock);
    cnats_wake(cnats);
    pthread_join(cnats->thread, NULL);
    free_all(cnats);
}

static char *copy_or(const char *text, const char *otherwise) {
    return br_strdup(text == NULL || text[0] == '\0' ? otherwise : text);
}

static void name_all(struct cnats *cnats, const struct br_connect_options *options,
                     const struct br_control_service *service) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t bytes[22];
    char name[sizeof bytes + 1] = "", inbox[200];
    BR_CHECK(getrandom(bytes, sizeof bytes, 0) == sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        name[i] = digits[bytes[i] & 63];
    cnats->inbox_prefix = copy_or(options->inbox_prefix, "_INBOX");
    snprintf(inbox, sizeof inbox, "%.150s.%s", cnats->inbox_prefix, name);
    cnats->inbox = br_strdup(inbox);
    if (service == NULL)
        return;
    cnats->service.name = br_strdup(service->name);
    cnats->service.id = copy_or(service->id, name);
    cnats->service.version = br_strdup(service->version);
    cnats->service.description = br_strdup(service->description);
}

enum br_status br_control_open(const struct br_connect_options *options, const struct br_control_service *service,
                               struct br_control **ret_control, struct br_error *error) {
    static const struct br_control_ops ops = {
        .serve = cnats_serve, .request = cnats_request, .log = cnats_log, .status = cnats_status, .close = cnats_close};
    struct cnats *cnats = br_calloc(1, sizeof *cnats);
    pthread_condattr_t monotonic;
    sigset_t all, before;
    cnats->base.ops = &ops;
    cnats->fd = -1;
    cnats->out_end = &cnats->out;
    cnats->cancel = options->cancel;
    cnats->timeout_us = options->request_timeout_us > 0 ? options->request_timeout_us : TIMEOUT_US_DEFAULT;
    (void)br_error_set(&cnats->why, BR_RETRY, "it isn't made yet");
    pthread_mutex_init(&cnats->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&cnats->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    name_all(cnats, options, service);
    cnats_serve_information(cnats);
    cnats->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    enum br_status status = br_control_check(options, error);
    if (status == BR_OK)
        status = br_session_config_init(&cnats->config, options, error);
    if (status == BR_OK && cnats->wake_fd < 0)
        status = br_error_set_native(error, BR_RETRY, errno, "can't make an eventfd: %s", strerror(errno));
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); // signals are the main thread's
    int code = status == BR_OK ? pthread_create(&cnats->thread, NULL, run, cnats) : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0)
        status =
            br_error_set_native(error, BR_FATAL, code, "can't start the control plane's thread: %s", strerror(code));
    if (status == BR_OK)
        *ret_control = &cnats->base;
    else
        free_all(cnats);
    return status;
}
