// SPDX-License-Identifier: Apache-2.0
// See chain.h. A link is five numbers, big-endian, in the order of the struct. The merge operator is called in
// RocksDB's threads and keeps nothing.
#define XXH_INLINE_ALL
#include "state/chain.h"

#include <xxhash.h>

struct chain_link chain_next(const struct chain_link *last, uint64_t opening) {
    struct chain_link next = {.first = last->last + 1, .last = last->last + 1, .from = last->to};
    uint8_t bytes[24];
    br_be64_put(bytes, next.from);
    br_be64_put(bytes + 8, opening);
    br_be64_put(bytes + 16, next.last);
    next.to = XXH3_64bits(bytes, sizeof bytes);
    return next;
}

struct chain_link chain_join(const struct chain_link *earlier, const struct chain_link *later) {
    struct chain_link joined = {
        .first = earlier->first, .last = later->last, .from = earlier->from, .to = later->to, .hole = earlier->hole};
    if (joined.hole == 0 && (later->first != earlier->last + 1 || later->from != earlier->to))
        joined.hole = earlier->last + 1;
    if (joined.hole == 0)
        joined.hole = later->hole;
    return joined;
}

void chain_encode(const struct chain_link *link, uint8_t *bytes) {
    const uint64_t numbers[] = {link->first, link->last, link->from, link->to, link->hole};
    _Static_assert(sizeof numbers == CHAIN_LINK_BYTES, "a link is these numbers");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        br_be64_put(bytes + 8 * i, numbers[i]);
}

bool chain_decode(struct br_slice bytes, struct chain_link *ret_link) {
    if (bytes.len != CHAIN_LINK_BYTES)
        return false;
    *ret_link = (struct chain_link){.first = br_be64_get(bytes.ptr),
                                    .last = br_be64_get(bytes.ptr + 8),
                                    .from = br_be64_get(bytes.ptr + 16),
                                    .to = br_be64_get(bytes.ptr + 24),
                                    .hole = br_be64_get(bytes.ptr + 32)};
    return true;
}

// --- as RocksDB calls it

// What is no link joins with nothing: a hole.
static struct chain_link read_link(const char *bytes, size_t len) {
    struct chain_link link = {0};
    if (!chain_decode((struct br_slice){(const uint8_t *)bytes, len}, &link))
        link.hole = 1;
    return link;
}

static char *join_all(struct chain_link joined, const char *const *operands, const size_t *lens, int from, int count,
                      unsigned char *success, size_t *ret_len) {
    for (int i = from; i < count; i++) {
        struct chain_link later = read_link(operands[i], lens[i]);
        joined = chain_join(&joined, &later);
    }
    char *bytes = br_alloc(CHAIN_LINK_BYTES);
    chain_encode(&joined, (uint8_t *)bytes);
    *ret_len = CHAIN_LINK_BYTES;
    *success = 1;
    return bytes;
}

static char *full_merge(void *context, const char *key, size_t key_len, const char *existing, size_t existing_len,
                        const char *const *operands, const size_t *lens, int count, unsigned char *success,
                        size_t *ret_len) {
    (void)context, (void)key, (void)key_len;
    if (existing != NULL)
        return join_all(read_link(existing, existing_len), operands, lens, 0, count, success, ret_len);
    return join_all(read_link(operands[0], lens[0]), operands, lens, 1, count, success, ret_len);
}

static char *partial_merge(void *context, const char *key, size_t key_len, const char *const *operands,
                           const size_t *lens, int count, unsigned char *success, size_t *ret_len) {
    (void)context, (void)key, (void)key_len;
    return join_all(read_link(operands[0], lens[0]), operands, lens, 1, count, success, ret_len);
}

static void free_value(void *context, const char *value, size_t len) {
    (void)context, (void)len;
    free((void *)(uintptr_t)value);
}

static const char *operator_name(void *context) {
    (void)context;
    return "braid.chain";
}

static void free_nothing(void *context) {
    (void)context;
}

rocksdb_mergeoperator_t *chain_merge_operator(void) {
    return rocksdb_mergeoperator_create(NULL, free_nothing, full_merge, partial_merge, free_value, operator_name);
}
