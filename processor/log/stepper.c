// SPDX-License-Identifier: Apache-2.0
// See stepper.h. A look at the stream before each portion tells how far it goes, one after it whether something that
// was stepped over has gone (L5). It proves nothing (L6) but that the stream wasn't made anew.
#include "processor/log/stepper.h"

#include "processor/log/log_internal.h"

#define PORTION 16     // messages that one peek adds at most
#define SHOWN_MAX 1024 // unconsumed

struct stepper {
    struct br_reader base;
    struct br_log *log;
    char *stream, *filter;
    struct br_wall_time created;
    uint64_t next, stop; // stop 0: none
    bool caught_up;
    struct br_window window;
};

static struct stepper *stepper_of(struct br_reader *reader) {
    return (struct stepper *)(void *)reader;
}

static void drop(void *context, struct br_log_message *message) {
    (void)context;
    free(message->raw);
}

static void stepper_close(struct br_reader *base) {
    struct stepper *stepper = stepper_of(base);
    br_window_free(&stepper->window, drop, NULL);
    free(stepper->stream);
    free(stepper->filter);
    free(stepper);
}

static enum br_status step(struct stepper *stepper, bool *ret_found, struct br_error *error) {
    struct br_buffer copy = {0};
    struct br_log_message message;
    enum br_status status =
        br_log_next(stepper->log, stepper->stream, stepper->filter, stepper->next, &copy, &message, ret_found, error);
    if (status == BR_OK && *ret_found && (stepper->stop == 0 || message.sequence <= stepper->stop)) {
        message.raw = copy.ptr;
        *br_window_push(&stepper->window) = message;
        stepper->next = message.sequence + 1;
        return BR_OK;
    }
    br_buffer_free(&copy);
    *ret_found = false;
    return status;
}

static enum br_status look(struct stepper *stepper, uint64_t next, uint64_t *ret_last, struct br_error *error) {
    struct br_stream_info info;
    BR_TRY(br_log_stream_info(stepper->log, stepper->stream, &info, error));
    BR_TRY(br_log_check_same(&info, stepper->created, error));
    BR_TRY(br_log_check_position(&info, next, error));
    *ret_last = info.last_sequence;
    return BR_OK;
}

static void forget_from(struct stepper *stepper, size_t end, uint64_t next) {
    while (stepper->window.end > end)
        free(stepper->window.items[--stepper->window.end].raw);
    stepper->next = next;
}

static enum br_status read_portion(struct stepper *stepper, struct br_error *error) {
    uint64_t begin = stepper->next, last, ignored;
    bool found = true;
    BR_TRY(look(stepper, begin, &last, error));
    size_t shown = br_window_shown(&stepper->window);
    enum br_status status = BR_OK;
    for (unsigned i = 0; i < PORTION && status == BR_OK && found && shown + i < SHOWN_MAX; i++)
        status = step(stepper, &found, error);
    if (status == BR_OK)
        status = look(stepper, begin, &ignored, error); // has something gone meanwhile that was stepped over?
    if (status != BR_OK) {
        forget_from(stepper, stepper->window.consumed + shown, begin);
        return status;
    }
    if (!found && stepper->stop != 0 && last > stepper->stop)
        last = stepper->stop;
    if (!found && last >= stepper->next)
        stepper->next = last + 1; // nothing up to there matches
    stepper->caught_up = !found;
    return BR_OK;
}

static enum br_status stepper_peek(struct br_reader *base, const struct br_log_message **ret_messages,
                                   size_t *ret_count, struct br_error *error) {
    struct stepper *stepper = stepper_of(base);
    struct br_error why;
    bool done = stepper->stop != 0 && stepper->next > stepper->stop;
    enum br_status status = done ? BR_OK : read_portion(stepper, &why);
    stepper->caught_up = stepper->caught_up || done;
    // What may pass is tried again at the next peek, what was read before a loss is shown before that is told.
    if (status != BR_OK && !br_log_may_pass(status, &why) && br_window_shown(&stepper->window) == 0) {
        if (error != NULL)
            *error = why;
        return status;
    }
    *ret_messages = stepper->window.items + stepper->window.consumed;
    *ret_count = br_window_shown(&stepper->window);
    return BR_OK;
}

static void stepper_consume(struct br_reader *base, size_t count) {
    br_window_consume(&stepper_of(base)->window, count);
}

static void stepper_release(struct br_reader *base) {
    br_window_release(&stepper_of(base)->window, drop, NULL);
}

static bool stepper_caught_up(struct br_reader *base) {
    return stepper_of(base)->caught_up;
}

static uint64_t stepper_pending(struct br_reader *base) {
    const struct stepper *stepper = stepper_of(base);
    return stepper->caught_up ? br_window_shown(&stepper->window) : BR_PENDING_UNKNOWN;
}

static uint64_t stepper_covered(struct br_reader *base) {
    return stepper_of(base)->next - 1;
}

enum br_status br_stepper_open(struct br_log *log, const char *stream, const char *filter, uint64_t first_sequence,
                               uint64_t stop_sequence, bool replaced, struct br_reader **ret_reader,
                               struct br_error *error) {
    static const struct br_reader_ops ops = {
        .close = stepper_close,
        .peek = stepper_peek,
        .consume = stepper_consume,
        .release = stepper_release,
        .caught_up = stepper_caught_up,
        .pending = stepper_pending,
        .covered = stepper_covered,
    };
    struct br_stream_info info;
    (void)replaced; // it is seldom asked for, and a stream that keeps a message of each subject loses none of these
    BR_TRY(br_log_stream_info(log, stream, &info, error));
    BR_TRY(br_log_check_position(&info, first_sequence, error));
    struct stepper *stepper = br_calloc(1, sizeof *stepper);
    stepper->base.ops = &ops;
    stepper->base.window = &stepper->window;
    stepper->log = log;
    stepper->stream = br_strdup(stream);
    stepper->filter = br_strdup(filter);
    stepper->created = info.created;
    stepper->next = first_sequence == 0 ? 1 : first_sequence;
    if (stepper->next == 1 && info.first_sequence > 1)
        stepper->next = info.first_sequence;
    stepper->stop = stop_sequence;
    *ret_reader = &stepper->base;
    return BR_OK;
}
