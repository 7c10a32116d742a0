// SPDX-License-Identifier: Apache-2.0
// The connection to JetStream: making it, the control connection's traffic, blocking requests, and the wait. See
// jetstream.h for the contract and jetstream_internal.h for the parts.
//
// Subjects of replies on the control connection, below the log's inbox: "r<token>" a blocking request, "f<id>" and
// "l<id>" the first and the last message of an append, "p" a publish.
#define _GNU_SOURCE // ppoll
#include "processor/log/nats/jetstream_internal.h"

#include "base/logging.h"

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#define TIMEOUT_US_DEFAULT (5 * BR_US_PER_SECOND)
#define QUEUE_BYTES_DEFAULT (size_t)(64 << 20)
#define CANCEL_POLL_US INT64_C(100000) // how long a set cancel flag may go unnoticed
#define CONTROL_BLOCK_SIZE (64 * 1024)
#define FILL_SIZE_MAX (1 << 20)
#define SUBSCRIBE_AGAIN_US (5 * BR_US_PER_SECOND)
#define DOWN_US_TOLD BR_US_PER_SECOND    // without a connection
#define PUMP_BYTES_MAX ((size_t)2 << 20) // received by one look at the control connection (S6)

static void js_set_cancel(struct br_log *log, const struct br_flag *cancel) {
    js_log(log)->cancel = cancel;
}

bool br_js_cancelled(const struct js_log *log) {
    return br_flag_is_set(log->cancel);
}

// --- the control connection

static void subscribe_all(struct js_log *log) {
    char subject[BR_INBOX_PREFIX_MAX + 64];
    snprintf(subject, sizeof subject, "%s.>", log->inbox);
    br_session_subscribe(&log->control, subject, JS_SID_INBOX);
    log->subscribed_id = log->control.connection_id;
    log->subscribed_us = br_session_now();
}

void br_js_note_denial(struct js_denial *denial, bool publishing, struct br_slice subject) {
    int len = subject.len > 200 ? 200 : (int)subject.len;
    snprintf(denial->what, sizeof denial->what, "%s '%.*s'", publishing ? "publishing to" : "subscribing to", len,
             (const char *)subject.ptr);
    denial->at_us = br_session_now();
    denial->subscription = !publishing;
}

static void take_denial(void *context, bool publishing, struct br_slice subject) {
    struct js_log *log = context;
    br_js_note_denial(&log->denial, publishing, subject);
    if (!publishing)
        return;
    if (log->call.waiting && br_slice_is(subject, log->call.subject))
        log->call.denied = true;
    br_js_deny_append(log, subject);
}

// A server that has come to permit it says nothing of that: what it refused is subscribed again, which changes nothing
// of what stands.
static bool subscribes_again(const struct js_log *log, int64_t now_us) {
    return log->denial.subscription && br_js_denied(&log->denial, now_us) &&
           now_us - log->subscribed_us >= SUBSCRIBE_AGAIN_US;
}

static void take_call_reply(struct js_log *log, uint64_t token, const struct br_session_message *message) {
    struct js_call *call = &log->call;
    if (!call->waiting || call->done || call->token != token)
        return; // the caller has given up
    call->done = true;
    call->status = br_session_status(message->headers);
    br_buffer_clear(&call->reply);
    br_buffer_append_slice(&call->reply, message->payload);
}

static uint64_t read_number(struct br_slice text) {
    uint64_t number = 0;
    for (size_t i = 0; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
        number = number * 10 + (uint64_t)(text.ptr[i] - '0');
    return number;
}

static void take_message(struct js_log *log, const struct br_session_message *message) {
    size_t prefix = strlen(log->inbox) + 1;
    if (message->subject.len <= prefix)
        return;
    uint8_t kind = message->subject.ptr[prefix];
    uint64_t number =
        read_number((struct br_slice){message->subject.ptr + prefix + 1, message->subject.len - prefix - 1});
    if (kind == 'r')
        take_call_reply(log, number, message);
    else if (kind == 'f' || kind == 'l')
        br_js_take_append_reply(log, kind == 'l', number, message);
}

void br_js_pump(struct js_log *log, int64_t now_us) {
    struct br_session *control = &log->control;
    struct br_session_message message;
    br_session_service(control, now_us);
    if (log->base.appending)
        br_js_check_append(log, now_us);
    if (!br_session_is_up(control))
        return;
    if (log->subscribed_id != control->connection_id || subscribes_again(log, now_us)) {
        subscribe_all(log);
        br_session_flush(control, now_us);
    }
    size_t got;
    for (size_t received = 0; received < PUMP_BYTES_MAX; received += got) {
        if ((got = br_session_fill(control, FILL_SIZE_MAX, now_us)) == 0)
            break;
        while (br_session_next(control, &message))
            take_message(log, &message);
    }
    if (log->base.appending)
        br_js_check_append(log, now_us);
}

// --- waiting

static int64_t add_poller(struct js_log *log, size_t *count, struct pollfd poller, int64_t deadline_us,
                          int64_t until_us) {
    if (*count == log->poller_capacity) {
        log->poller_capacity = log->poller_capacity * 2 + 8;
        log->pollers = br_realloc(log->pollers, log->poller_capacity * sizeof *log->pollers);
    }
    log->pollers[(*count)++] = poller;
    return deadline_us < until_us ? deadline_us : until_us;
}

// Polls what add_poller has gathered.
static void poll_gathered(struct js_log *log, size_t count, int64_t until_us) {
    int64_t now_us = br_session_now();
    if (log->cancel != NULL && until_us > now_us + CANCEL_POLL_US)
        until_us = now_us + CANCEL_POLL_US;
    int64_t left_us = until_us - now_us;
    struct timespec left = {.tv_sec = left_us / BR_US_PER_SECOND, .tv_nsec = left_us % BR_US_PER_SECOND * 1000};
    if (left_us > 0)
        (void)ppoll(log->pollers, (nfds_t)count, &left, NULL);
}

static int64_t add_control(struct js_log *log, size_t *count, int64_t until_us) {
    return add_poller(log, count, br_session_pollfd(&log->control), br_session_deadline(&log->control), until_us);
}

static int64_t add_link(struct js_log *log, const struct js_link *link, size_t *count, int64_t until_us) {
    struct pollfd poller = br_js_link_pollfd(link);
    return add_poller(log, count, poller, poller.fd < 0 ? INT64_MAX : br_session_deadline(&link->session), until_us);
}

static int64_t no_later(int64_t until_us, int64_t deadline_us) {
    return deadline_us < until_us ? deadline_us : until_us;
}

void br_js_poll(struct js_log *log, int64_t until_us) {
    size_t count = 0;
    until_us = add_control(log, &count, until_us);
    poll_gathered(log, count, until_us);
}

void br_js_poll_reader(struct js_log *log, const struct js_reader *reader, int64_t until_us) {
    size_t count = 0;
    until_us = no_later(add_link(log, br_js_reader_link(reader), &count, until_us), br_js_reader_deadline(reader));
    poll_gathered(log, count, until_us);
}

static void poll_all(struct js_log *log, int64_t until_us) {
    size_t count = 0;
    until_us = add_control(log, &count, until_us);
    until_us = add_poller(log, &count, (struct pollfd){.fd = log->wake_fd, .events = POLLIN}, INT64_MAX, until_us);
    for (const struct js_link *link = log->links; link != NULL; link = link->next)
        until_us = add_link(log, link, &count, until_us);
    for (struct js_reader *reader = log->readers; reader != NULL; reader = br_js_reader_next(reader))
        until_us = no_later(until_us, br_js_reader_deadline(reader));
    poll_gathered(log, count, until_us);
}

static bool take_wake(struct js_log *log) {
    uint64_t count;
    return read(log->wake_fd, &count, sizeof count) > 0;
}

static bool anything_new(struct js_log *log, int64_t now_us) {
    br_js_pump(log, now_us);
    bool found = log->base.appending && log->append.settled;
    for (struct js_reader *reader = log->readers; reader != NULL; reader = br_js_reader_next(reader))
        found = br_js_reader_service(reader, now_us) || found;
    return take_wake(log) || found;
}

static void js_wait(struct br_log *base, int64_t timeout_us) {
    struct js_log *log = js_log(base);
    int64_t now_us = br_session_now();
    int64_t deadline_us = timeout_us > INT64_MAX - now_us ? INT64_MAX : now_us + timeout_us;
    while (!anything_new(log, now_us) && now_us < deadline_us && !br_js_cancelled(log)) {
        poll_all(log, deadline_us);
        now_us = br_session_now();
    }
}

static void js_pause(struct br_log *base, int64_t us) {
    struct js_log *log = js_log(base);
    int64_t now_us = br_session_now(), deadline_us = now_us + us;
    for (; now_us < deadline_us && !br_js_cancelled(log); now_us = br_session_now()) {
        (void)anything_new(log, now_us);
        poll_all(log, deadline_us);
    }
}

static void js_wake(struct br_log *base) {
    uint64_t one = 1;
    // Fails only when the counter is full: then it is awake already.
    ssize_t written = write(js_log(base)->wake_fd, &one, sizeof one);
    (void)written;
}

enum br_status br_js_await_up(struct js_log *log, int64_t deadline_us, struct br_error *error) {
    for (;;) {
        int64_t now_us = br_session_now();
        br_js_pump(log, now_us);
        if (br_session_is_up(&log->control))
            return BR_OK;
        if (br_js_cancelled(log))
            return br_error_set(error, BR_RETRY, "cancelled while waiting for the NATS server");
        if (now_us >= deadline_us)
            return br_error_set(error, BR_RETRY, "no connection to the NATS server: %s", log->control.error.message);
        br_js_poll(log, deadline_us);
    }
}

// --- blocking requests

static enum br_status await_reply(struct js_log *log, const char *subject, int64_t deadline_us,
                                  struct br_error *error) {
    struct js_call *call = &log->call;
    for (;;) {
        int64_t now_us = br_session_now();
        br_js_pump(log, now_us);
        if (call->done)
            return BR_OK;
        if (log->control.drop_count != call->drop_count)
            return br_error_set(error, BR_RETRY, "the connection was lost while waiting for a reply on %s: %s", subject,
                                log->control.error.message);
        if (call->denied)
            return br_error_set_native(error, BR_FATAL, BR_LOG_NOT_PERMITTED,
                                       "the NATS server doesn't permit %s, which is needed: allow it for this user",
                                       log->denial.what);
        if (br_js_cancelled(log))
            return br_error_set(error, BR_RETRY, "cancelled while waiting for a reply on %s", subject);
        if (now_us >= deadline_us)
            return br_error_set(error, BR_RETRY, "no reply on %s within %lld ms%s%s", subject,
                                (long long)(log->timeout_us / 1000),
                                br_js_denied(&log->denial, now_us) ? "; the NATS server doesn't permit " : "",
                                br_js_denied(&log->denial, now_us) ? log->denial.what : "");
        br_js_poll(log, deadline_us);
    }
}

static enum br_status js_call(struct br_log *base, const char *subject, struct br_slice payload,
                              struct br_slice *ret_reply, int *ret_status, struct br_error *error) {
    struct js_log *log = js_log(base);
    struct js_call *call = &log->call;
    char reply[BR_INBOX_PREFIX_MAX + 64];
    int64_t deadline_us = br_session_now() + log->timeout_us;
    BR_CHECK(!call->waiting);
    BR_TRY(br_js_await_up(log, deadline_us, error));
    call->waiting = true;
    call->done = false;
    call->token = log->next_token++;
    call->drop_count = log->control.drop_count;
    call->subject = subject;
    call->denied = false;
    snprintf(reply, sizeof reply, "%s.r%llu", log->inbox, (unsigned long long)call->token);
    br_session_publish(&log->control, br_slice_of(subject), reply, (struct br_slice){NULL, 0}, payload);
    br_session_flush(&log->control, br_session_now());
    enum br_status status = await_reply(log, subject, deadline_us, error);
    call->waiting = false;
    if (status == BR_OK) {
        *ret_reply = br_buffer_slice(&call->reply);
        *ret_status = call->status;
    }
    return status;
}

// --- connecting

// 2.12.14 and newer in 2.12, else 2.14.4 and newer: earlier ones have bugs in the checks of atomic batches.
bool br_js_version_usable(const char *version) {
    int major = 0, minor = 0, patch = 0;
    sscanf(version, "%d.%d.%d", &major, &minor, &patch);
    int64_t number = major * INT64_C(1000000) + minor * INT64_C(1000) + patch;
    return (number >= 2012014 && number < 2013000) || number >= 2014004;
}

static enum br_status check_server(struct js_log *log, bool allow_old, struct br_error *error) {
    const struct br_session_info *info = &log->control.info;
    char text[300];
    br_session_server_text(&log->control, text, sizeof text);
    if (!info->headers)
        return br_error_set(error, BR_FATAL, "the NATS server %s (%s) doesn't support headers", text, info->version);
    if (!br_js_version_usable(info->version) && !allow_old)
        return br_error_set(error, BR_FATAL,
                            "the NATS server %s is version %s; exactly-once needs 2.12.14 or newer in 2.12, or 2.14.4 "
                            "or newer",
                            text, info->version);
    return br_js_check_jetstream(&log->base, text, error);
}

// Until it is up, or every server was tried once and refused us, or the time is over.
static enum br_status first_connect(struct js_log *log, struct br_error *error) {
    struct br_session *control = &log->control;
    int64_t deadline_us = br_session_now() + log->timeout_us;
    for (;;) {
        int64_t now_us = br_session_now();
        br_js_pump(log, now_us);
        if (br_session_is_up(control))
            return BR_OK;
        bool round_over = control->state == BR_SESSION_DOWN && control->deadline_us > now_us;
        if (round_over && control->refused) {
            *error = control->error;
            return error->status = BR_FATAL;
        }
        if (br_js_cancelled(log))
            return br_error_set(error, BR_RETRY, "cancelled while connecting to the NATS server");
        if (now_us >= deadline_us)
            return br_error_set_native(error, BR_RETRY, control->error.native, "no connection to the NATS server: %s",
                                       control->error.message);
        br_js_poll(log, deadline_us);
    }
}

// Nobody else's inbox, whatever the clock says.
static void name_inbox(struct js_log *log, const char *prefix) {
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
    uint8_t random[22];
    BR_CHECK(getrandom(random, sizeof random, 0) == (ssize_t)sizeof random);
    size_t len = (size_t)snprintf(log->inbox, sizeof log->inbox, "%s.", prefix == NULL ? "_INBOX" : prefix);
    log->name = log->inbox + len;
    for (size_t i = 0; i < sizeof random; i++)
        log->inbox[len + i] = digits[random[i] & 63];
    log->inbox[len + sizeof random] = '\0';
}

static size_t js_payload_max(struct br_log *base) {
    return js_log(base)->control.info.payload_max;
}

static bool js_trouble(struct br_log *base, char *text, size_t size) {
    struct js_log *log = js_log(base);
    const struct br_session *control = &log->control;
    int64_t now_us = br_session_now();
    if (control->away && now_us - log->config.away_us >= DOWN_US_TOLD)
        snprintf(text, size, "no connection to the NATS server: %s", control->error.message);
    else if (br_js_denied(&log->denial, now_us))
        snprintf(text, size, "the NATS server doesn't permit %s: allow it for this user", log->denial.what);
    else
        return false;
    return true;
}

static void js_close(struct br_log *base) {
    struct js_log *log = js_log(base);
    BR_CHECK(log->readers == NULL);
    if (br_session_is_up(&log->control))
        br_session_flush(&log->control, br_session_now());
    br_session_close(&log->control);
    br_session_config_free(&log->config);
    if (log->wake_fd >= 0)
        close(log->wake_fd);
    free(log->pollers);
    br_buffer_free(&log->call.reply);
    br_buffer_free(&log->headers);
    free(log);
}

static const struct br_log_ops js_ops = {
    .find_stream = br_js_find_stream,
    .stream_info = br_js_stream_info,
    .ensure_output = br_js_ensure_output,
    .call = js_call,
    .get = br_js_get,
    .append = br_js_append,
    .append_ready = br_js_append_ready,
    .append_wait = br_js_append_wait,
    .reader_open = br_js_reader_open,
    .wait = js_wait,
    .pause = js_pause,
    .wake = js_wake,
    .set_cancel = js_set_cancel,
    .trouble = js_trouble,
    .payload_max = js_payload_max,
    .close = js_close,
};

void br_log_jetstream_set_ask(struct br_log *base, uint32_t messages) {
    struct js_log *log = js_log(base);
    BR_CHECK(messages != 0);
    if (log->ask_messages != 0)
        log->ask_messages = messages;
}

enum br_status br_log_connect_jetstream(const struct br_connect_options *options, struct br_log **ret_log,
                                        struct br_error *error) {
    struct js_log *log = br_calloc(1, sizeof *log);
    log->base.ops = &js_ops;
    log->timeout_us = options->request_timeout_us > 0 ? options->request_timeout_us : TIMEOUT_US_DEFAULT;
    log->ask_messages = options->ask_messages;
    log->queue_bytes = options->reader_queue_bytes > 0 ? options->reader_queue_bytes : QUEUE_BYTES_DEFAULT;
    log->link_max = options->reader_connections > 0 ? options->reader_connections : BR_READER_CONNECTIONS_DEFAULT;
    log->cancel = options->cancel;
    log->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    br_session_init(&log->control, &log->config, CONTROL_BLOCK_SIZE);
    log->control.denied = take_denial;
    log->control.denied_context = log;
    enum br_status status = br_session_config_init(&log->config, options, error);
    if (status == BR_OK)
        name_inbox(log, options->inbox_prefix);
    log->base.api_prefix = log->config.api_prefix;
    if (status == BR_OK && log->wake_fd < 0)
        status = br_error_set_native(error, BR_RETRY, errno, "can't make an eventfd: %s", strerror(errno));
    if (status == BR_OK)
        status = first_connect(log, error);
    if (status == BR_OK)
        status = check_server(log, options->allow_old_server, error);
    if (status == BR_OK)
        *ret_log = &log->base;
    else
        js_close(&log->base);
    return status;
}
