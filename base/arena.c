// SPDX-License-Identifier: Apache-2.0
// See arena.h.
#include "base/arena.h"

#include <stdio.h>
#include <string.h>

#define FIRST_CHUNK_SIZE ((size_t)16 << 10)
#define CHUNK_SIZE_MAX ((size_t)1 << 20)
#define KEEP_SIZE_MAX ((size_t)4 << 20)

struct chunk {
    struct chunk *next;
    size_t size; // bytes of data
    _Alignas(16) uint8_t data[];
};

struct deferred {
    struct deferred *next;
    void (*release)(void *ptr);
    void *ptr;
};

struct br_arena {
    uint8_t *at, *end;     // free space of the current chunk
    struct chunk *current; // the chunks before it are full; those after it (next) are free for reuse
    struct chunk *first;
    size_t footprint;
    struct deferred *deferred; // in the arena itself
};

struct br_arena *br_arena_create(void) {
    return br_calloc(1, sizeof(struct br_arena));
}

static void release_deferred(struct br_arena *arena) {
    for (struct deferred *deferred = br_steal(&arena->deferred); deferred != NULL; deferred = deferred->next)
        deferred->release(deferred->ptr);
}

void br_arena_destroy(struct br_arena **arena) {
    if (*arena == NULL)
        return;
    release_deferred(*arena);
    for (struct chunk *chunk = (*arena)->first, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(*arena);
    *arena = NULL;
}

static void enter(struct br_arena *arena, struct chunk *chunk) {
    arena->current = chunk;
    arena->at = chunk->data;
    arena->end = chunk->data + chunk->size;
}

void br_arena_reset(struct br_arena *arena) {
    release_deferred(arena);
    struct chunk **link = &arena->first;
    while (*link != NULL) {
        struct chunk *chunk = *link;
        if (chunk->size > KEEP_SIZE_MAX) {
            *link = chunk->next;
            arena->footprint -= chunk->size;
            free(chunk);
        } else {
            link = &chunk->next;
        }
    }
    arena->current = NULL;
    arena->at = arena->end = NULL;
    if (arena->first != NULL)
        enter(arena, arena->first);
}

static void grow(struct br_arena *arena, size_t size) {
    struct chunk *next = arena->current != NULL ? arena->current->next : arena->first;
    if (next != NULL && next->size >= size) {
        enter(arena, next);
        return;
    }
    size_t chunk_size = arena->current != NULL ? arena->current->size * 2 : FIRST_CHUNK_SIZE;
    if (chunk_size > CHUNK_SIZE_MAX)
        chunk_size = CHUNK_SIZE_MAX;
    if (chunk_size < size)
        chunk_size = size;
    struct chunk *chunk = br_alloc(sizeof *chunk + chunk_size);
    chunk->size = chunk_size;
    chunk->next = next;
    if (arena->current != NULL)
        arena->current->next = chunk;
    else
        arena->first = chunk;
    arena->footprint += chunk_size;
    enter(arena, chunk);
}

void *br_arena_alloc(struct br_arena *arena, size_t size) {
    size_t rounded = (size + 15) & ~(size_t)15;
    BR_CHECK(rounded >= size);
    if ((size_t)(arena->end - arena->at) < rounded || arena->at == NULL)
        grow(arena, rounded);
    void *ptr = arena->at;
    arena->at += rounded;
    return ptr;
}

void *br_arena_calloc(struct br_arena *arena, size_t count, size_t size) {
    size_t total;
    BR_CHECK(!__builtin_mul_overflow(count, size, &total));
    return memset(br_arena_alloc(arena, total), 0, total);
}

char *br_arena_strndup(struct br_arena *arena, const char *text, size_t len) {
    char *copy = br_arena_alloc(arena, len + 1);
    if (len != 0) // an empty slice may have no place
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *br_arena_strdup(struct br_arena *arena, const char *text) {
    return br_arena_strndup(arena, text, strlen(text));
}

struct br_slice br_arena_copy(struct br_arena *arena, struct br_slice slice) {
    uint8_t *copy = br_arena_alloc(arena, slice.len);
    if (slice.len != 0)
        memcpy(copy, slice.ptr, slice.len);
    return (struct br_slice){copy, slice.len};
}

char *br_arena_printf(struct br_arena *arena, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    BR_CHECK(length >= 0);
    char *text = br_arena_alloc(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

void br_arena_defer(struct br_arena *arena, void (*release)(void *ptr), void *ptr) {
    struct deferred *deferred = br_arena_alloc(arena, sizeof *deferred);
    *deferred = (struct deferred){arena->deferred, release, ptr};
    arena->deferred = deferred;
}

size_t br_arena_footprint(const struct br_arena *arena) {
    return arena->footprint;
}
