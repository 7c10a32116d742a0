// SPDX-License-Identifier: Apache-2.0
// What an implementation of a reader (log.h, "reading") consists of: a table of functions, and the window of messages
// that it shows. For those who make readers: processor/log/ over streams, replay/ over an archive and a stream.
#ifndef BR_PROCESSOR_LOG_READER_H
#define BR_PROCESSOR_LOG_READER_H

#include "processor/log/log.h"

// A new look at a stream.
struct br_reader_doubt {
    uint64_t number;
    struct br_log *log;
    const char *stream, *filter;
    uint64_t from; // the first sequence that isn't shown
};

// The contract of each is that of the br_reader_* function of the same name.
struct br_reader_ops {
    void (*close)(struct br_reader *reader);
    enum br_status (*peek)(struct br_reader *reader, const struct br_log_message **ret_messages, size_t *ret_count,
                           struct br_error *error);
    void (*consume)(struct br_reader *reader, size_t count);
    void (*release)(struct br_reader *reader);
    bool (*caught_up)(struct br_reader *reader);
    uint64_t (*pending)(struct br_reader *reader);
    uint64_t (*covered)(struct br_reader *reader);
    // Of readers over one stream: has a new look been taken at it, of which nothing is shown until it is trusted (L6)?
    // Only while `proves`. Trust holds for the look with this number.
    bool (*doubt)(struct br_reader *reader, struct br_reader_doubt *ret_doubt);
    void (*trust)(struct br_reader *reader, uint64_t number);
    bool (*trouble)(struct br_reader *reader, char *text, size_t size); // NULL: never any
    // br_reader_prove, for readers that hand on to others; NULL: nothing more to do.
    void (*prove)(struct br_reader *reader);
};

// First member of every implementation's struct.
struct br_reader {
    const struct br_reader_ops *ops;
    const struct br_window *window; // what it has, shown or to be shown
    bool proves, warned;
    struct br_trail trail; // while it proves
};
// The trail, and the newest of the messages that are shown and not consumed.
struct br_trail br_reader_trail(const struct br_reader *reader, const struct br_log_message *messages, size_t count);

// The messages of a reader as one array: released … consumed … shown. Arrays that were outgrown stay until release, so
// that a struct br_log_message * of an earlier peek holds as long as its message does.
struct br_window {
    struct br_log_message *items;
    size_t begin;    // of what is consumed and not released
    size_t consumed; // begin <= consumed <= end
    size_t end;
    size_t capacity;
    struct br_log_message **outgrown;
    size_t outgrown_count;
};
// Room for one more at the end; the caller fills it.
struct br_log_message *br_window_push(struct br_window *window);
static inline size_t br_window_shown(const struct br_window *window) {
    return window->end - window->consumed;
}
void br_window_consume(struct br_window *window, size_t count);
// Forgets what is consumed; `drop` (may be NULL) is called for each.
void br_window_release(struct br_window *window, void (*drop)(void *context, struct br_log_message *message),
                       void *context);
void br_window_free(struct br_window *window, void (*drop)(void *context, struct br_log_message *message),
                    void *context);

#endif
