// SPDX-License-Identifier: Apache-2.0
// Protobuf messages unpacked into an arena: their fields can be pointed elsewhere without a thought of who frees what.
#ifndef BR_REPLAY_UNPACK_H
#define BR_REPLAY_UNPACK_H

#include "base/arena.h"

#include <protobuf-c/protobuf-c.h>

static inline void *br_unpack_alloc(void *arena, size_t size) {
    return br_arena_alloc(arena, size);
}
static inline void br_unpack_free(void *arena, void *ptr) {
    (void)arena;
    (void)ptr;
}
// NULL when the bytes aren't one. Never freed: the arena's.
static inline void *br_unpack(const ProtobufCMessageDescriptor *type, struct br_slice bytes, struct br_arena *arena) {
    ProtobufCAllocator allocator = {br_unpack_alloc, br_unpack_free, arena};
    return protobuf_c_message_unpack(type, &allocator, bytes.len, bytes.ptr);
}

#endif
