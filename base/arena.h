// SPDX-License-Identifier: Apache-2.0
// Bump allocation with one lifetime per arena (batch, epoch, query, plan).
//
// Memory comes in chunks that double up to 1 MiB; br_arena_reset keeps the chunks for reuse, so that the hot path calls
// no malloc after warm-up. Nothing is freed singly. Not thread-safe: one owner at a time.
#ifndef BR_BASE_ARENA_H
#define BR_BASE_ARENA_H

#include "base/bytes.h"
#include "base/status.h"

struct br_arena;

struct br_arena *br_arena_create(void);
void br_arena_destroy(struct br_arena **arena);
// Forgets all allocations, keeps the memory (all but chunks of more than 4 MiB).
void br_arena_reset(struct br_arena *arena);
// 16-byte aligned, uninitialised. Never NULL. size 0 gives a valid pointer.
void *br_arena_alloc(struct br_arena *arena, size_t size) __attribute__((malloc, alloc_size(2)));
void *br_arena_calloc(struct br_arena *arena, size_t count, size_t size) __attribute__((malloc));
char *br_arena_strdup(struct br_arena *arena, const char *text);
char *br_arena_strndup(struct br_arena *arena, const char *text, size_t len);
struct br_slice br_arena_copy(struct br_arena *arena, struct br_slice slice);
char *br_arena_printf(struct br_arena *arena, const char *format, ...) BR_PRINTF(2, 3);
// Calls release(ptr) when the arena is reset or destroyed, the latest first: for what an arena's data owns outside of
// it.
void br_arena_defer(struct br_arena *arena, void (*release)(void *ptr), void *ptr);
// Bytes held from the system, for memory reports.
size_t br_arena_footprint(const struct br_arena *arena);

#define br_arena_new(arena, type) ((type *)br_arena_calloc((arena), 1, sizeof(type)))
#define br_arena_array(arena, type, count) ((type *)br_arena_calloc((arena), (count), sizeof(type)))

#endif
