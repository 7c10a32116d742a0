// SPDX-License-Identifier: Apache-2.0
// See status.h.
#include "base/status.h"

#include <stdio.h>
#include <string.h>

static void cut_with_ellipsis(char *text, size_t size, int wanted) {
    if (wanted >= 0 && (size_t)wanted >= size)
        memcpy(text + size - 4, "…", 4);
}

enum br_status br_error_set_at(struct br_error *error, enum br_status status, int native, const char *file, int line,
                               const char *format, ...) {
    if (error == NULL)
        return status;
    *error = (struct br_error){.status = status, .native = native, .file = file, .line = line};
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    cut_with_ellipsis(error->message, sizeof error->message, wanted);
    return status;
}

enum br_status br_error_context(struct br_error *error, const char *format, ...) {
    if (error == NULL)
        return BR_FATAL;
    char text[BR_ERROR_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length > sizeof text / 2)
        length = (int)sizeof text / 2; // a context that long is cut
    size_t left = sizeof text - (size_t)length;
    int wanted = snprintf(text + length, left, ": %s", error->message);
    cut_with_ellipsis(text + length, left, wanted);
    memcpy(error->message, text, sizeof text);
    return error->status;
}

void br_check_failed(const char *condition, const char *file, int line) {
    fprintf(stderr, "braid: internal error: %s does not hold at %s:%d; please report this\n", condition, file, line);
    abort();
}

static void *or_die(void *ptr, size_t size) {
    if (ptr == NULL && size != 0) {
        fprintf(stderr, "braid: out of memory (%zu bytes wanted)\n", size);
        abort();
    }
    return ptr;
}

void *br_alloc(size_t size) {
    return or_die(malloc(size), size);
}

void *br_calloc(size_t count, size_t size) {
    return or_die(calloc(count, size), count != 0 && size != 0);
}

void *br_realloc(void *ptr, size_t size) {
    return or_die(realloc(ptr, size), size);
}

char *br_strdup(const char *text) {
    size_t size = strlen(text) + 1;
    return memcpy(br_alloc(size), text, size);
}
