// SPDX-License-Identifier: Apache-2.0
// Status codes and the error value that travels with them.
//
// Every function that can fail returns enum br_status and fills a caller-owned struct br_error exactly once, where
// the failure is found; callers on the way up add context with br_error_context. Foreign errors (NATS, RocksDB,
// libpg_query) are converted in their wrapper and nowhere else. Thread: any (a value, no globals).
#ifndef BR_BASE_STATUS_H
#define BR_BASE_STATUS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum br_status {
    BR_OK = 0,
    BR_RETRY, // a passing fault: back off and try again
    BR_DATA,  // this event or row is bad: quarantine it and go on
    BR_FATAL, // stop the task without committing; the log will redo the work
};

#define BR_MUST_CHECK __attribute__((warn_unused_result))
#define BR_PRINTF(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))
#define BR_ERROR_MESSAGE_SIZE 1024

// What callers tell apart by br_error.native: all of them here, so that no two are the same. Foreign codes are
// positive.
enum br_native {
    BR_STORE_IN_USE = -9000, // store.h
    BR_STORE_DAMAGED,
    BR_LOG_CHANGED, // log.h
    BR_LOG_NOT_PERMITTED,
    BR_LOG_LOST,
    BR_TASK_OTHERWISE, // task.h
    BR_CONTROL_NOBODY, // control.h
    BR_JOB_DAMAGED,    // job.h
};

struct br_error {
    enum br_status status;
    int native;       // the foreign library's code, or enum br_native; 0 when there is none
    const char *file; // where it was found
    int line;
    char message[BR_ERROR_MESSAGE_SIZE]; // names the thing, where, and what to do; UTF-8, cut with "…" when too long
};

// Fills *error and returns status, so that `return br_error_set(error, BR_DATA, "…")` reads as one step. error may be
// NULL (the caller asked for no text).
#define br_error_set(error, status, ...) br_error_set_at((error), (status), 0, __FILE__, __LINE__, __VA_ARGS__)
#define br_error_set_native(error, status, native, ...)                                                                \
    br_error_set_at((error), (status), (native), __FILE__, __LINE__, __VA_ARGS__)
enum br_status br_error_set_at(struct br_error *error, enum br_status status, int native, const char *file, int line,
                               const char *format, ...) BR_PRINTF(6, 7);

// Puts "context: " before the message. Returns error->status.
enum br_status br_error_context(struct br_error *error, const char *format, ...) BR_PRINTF(2, 3);

// Return at once when the expression is not BR_OK.
#define BR_TRY(expression)                                                                                             \
    do {                                                                                                               \
        enum br_status br_try_status = (expression);                                                                   \
        if (br_try_status != BR_OK)                                                                                    \
            return br_try_status;                                                                                      \
    } while (0)

// Invariants of our own, always on. Never for what comes from outside (a message, a file, a peer, a flag).
#define BR_CHECK(condition)                                                                                            \
    do {                                                                                                               \
        if (__builtin_expect(!(condition), 0))                                                                         \
            br_check_failed(#condition, __FILE__, __LINE__);                                                           \
    } while (0)
_Noreturn void br_check_failed(const char *condition, const char *file, int line);

// malloc family that never returns NULL (prints and aborts: a worker that is out of memory is restarted and recovers).
void *br_alloc(size_t size) __attribute__((malloc, alloc_size(1)));
void *br_calloc(size_t count, size_t size) __attribute__((malloc, alloc_size(1, 2)));
void *br_realloc(void *ptr, size_t size) __attribute__((alloc_size(2)));
char *br_strdup(const char *text) __attribute__((malloc));

// A flag that another thread or a signal handler sets: nothing but the flag itself is handed over by it. A type of its
// own, so that nobody reads it as a plain bool.
struct br_flag {
    bool set;
};
static inline bool br_flag_is_set(const struct br_flag *flag) { // NULL: never
    return flag != NULL && __atomic_load_n(&flag->set, __ATOMIC_RELAXED);
}
static inline void br_flag_set(struct br_flag *flag) {
    __atomic_store_n(&flag->set, true, __ATOMIC_RELAXED);
}

// Moves a pointer out of a variable: for cleanup attributes and ret_ outputs.
#define br_steal(ptr)                                                                                                  \
    ({                                                                                                                 \
        __auto_type br_stolen = *(ptr);                                                                                \
        *(ptr) = NULL;                                                                                                 \
        br_stolen;                                                                                                     \
    })
static inline void br_free_cleanup(void *ptr) {
    free(*(void **)ptr);
}
#define BR_AUTO_FREE __attribute__((cleanup(br_free_cleanup)))
#define BR_CLEANUP(function) __attribute__((cleanup(function)))

#endif
