// SPDX-License-Identifier: Apache-2.0
// The array of messages that a reader shows, and copies of messages. See log_internal.h.
#include "processor/log/log_internal.h"

#define WINDOW_CAPACITY_MIN 1024

struct br_log_message *br_window_push(struct br_window *window) {
    if (window->end == window->capacity) {
        size_t live = window->end - window->begin;
        size_t capacity = live * 2 < WINDOW_CAPACITY_MIN ? WINDOW_CAPACITY_MIN : live * 2;
        struct br_log_message *items = br_alloc(capacity * sizeof *items);
        if (live != 0)
            memcpy(items, window->items + window->begin, live * sizeof *items);
        if (window->items != NULL) {
            window->outgrown =
                br_realloc(window->outgrown, (window->outgrown_count + 1) * sizeof(struct br_log_message *));
            window->outgrown[window->outgrown_count++] = window->items;
        }
        window->items = items;
        window->capacity = capacity;
        window->consumed -= window->begin;
        window->end = live;
        window->begin = 0;
    }
    return &window->items[window->end++];
}

void br_window_consume(struct br_window *window, size_t count) {
    BR_CHECK(count <= br_window_shown(window));
    window->consumed += count;
}

void br_window_release(struct br_window *window, void (*drop)(void *context, struct br_log_message *message),
                       void *context) {
    if (drop != NULL)
        for (size_t i = window->begin; i < window->consumed; i++)
            drop(context, &window->items[i]);
    window->begin = window->consumed;
    for (size_t i = 0; i < window->outgrown_count; i++)
        free(window->outgrown[i]);
    window->outgrown_count = 0;
    // Moving the rest down costs at most as much as was just released.
    size_t live = window->end - window->begin;
    if (window->begin >= live) {
        if (live != 0)
            memcpy(window->items, window->items + window->begin, live * sizeof *window->items);
        window->begin = window->consumed = 0;
        window->end = live;
    }
}

void br_window_free(struct br_window *window, void (*drop)(void *context, struct br_log_message *message),
                    void *context) {
    window->consumed = window->end;
    br_window_release(window, drop, context);
    free(window->outgrown);
    free(window->items);
    *window = (struct br_window){0};
}

static struct br_slice copy_slice(struct br_buffer *copy, struct br_slice slice) {
    struct br_slice at = {copy->ptr + copy->len, slice.len};
    br_buffer_append_slice(copy, slice);
    return at;
}

void br_log_message_copy(const struct br_log_message *message, struct br_buffer *copy, struct br_log_message *ret) {
    size_t size = message->header_count * sizeof(struct br_log_header) + message->subject.len + message->payload.len;
    for (uint32_t i = 0; i < message->header_count; i++)
        size += message->headers[i].name.len + message->headers[i].value.len;
    br_buffer_clear(copy);
    br_buffer_reserve(copy, size == 0 ? 1 : size); // all at once: nothing moves below
    struct br_log_header *headers = (struct br_log_header *)(void *)copy->ptr;
    copy->len = message->header_count * sizeof *headers;
    for (uint32_t i = 0; i < message->header_count; i++) {
        headers[i].name = copy_slice(copy, message->headers[i].name);
        headers[i].value = copy_slice(copy, message->headers[i].value);
    }
    *ret = *message;
    ret->headers = message->header_count == 0 ? NULL : headers;
    ret->subject = copy_slice(copy, message->subject);
    ret->payload = copy_slice(copy, message->payload);
    ret->raw = NULL;
}
