// SPDX-License-Identifier: Apache-2.0
// See sort.h. Eight bytes of every key at some depth make a big-endian number; the records are sorted by it (American
// flag sort: in-place radix, McIlroy et al., "Engineering Radix Sort", 1993; insertion sort for small runs), and runs
// of equal numbers are sorted again eight bytes deeper. The bytes that all keys share are skipped first.
#include "state/sort.h"

#define SMALL_RUN 24
#define FETCH_AHEAD 16 // records

struct sort {
    sort_key_of key_of;
    const void *context;
    bool scattered;
};

// The key of the record at i, in a pass over all of them.
static struct br_slice key_in_pass(const struct sort *sort, const struct sort_record *records, size_t count, size_t i) {
    if (sort->scattered && i + FETCH_AHEAD < count) {
        const uint8_t *ahead = (const uint8_t *)(uintptr_t)records[i + FETCH_AHEAD].item;
        __builtin_prefetch(ahead);
        __builtin_prefetch(ahead + 63); // the key may reach into the next line
    }
    return sort->key_of(sort->context, records[i].item);
}

static uint64_t digest_at(struct br_slice key, size_t depth) {
    if (key.len >= depth + 8)
        return br_be64_get(key.ptr + depth);
    uint64_t digest = 0;
    for (size_t i = depth; i < key.len; i++)
        digest |= (uint64_t)key.ptr[i] << (56 - 8 * (i - depth));
    return digest;
}

// How many bytes all keys share, at least depth unless a key is shorter; *ret_ended: one ends at or before depth.
static size_t shared_prefix(const struct sort *sort, const struct sort_record *records, size_t count, size_t depth,
                            bool *ret_ended) {
    struct br_slice first = sort->key_of(sort->context, records[0].item);
    size_t shared = first.len;
    *ret_ended = first.len <= depth;
    for (size_t i = 1; i < count && !*ret_ended; i++) {
        struct br_slice key = key_in_pass(sort, records, count, i);
        size_t end = key.len < shared ? key.len : shared;
        size_t at = depth;
        while (at < end && key.ptr[at] == first.ptr[at])
            at++;
        shared = at;
        *ret_ended = key.len <= depth;
    }
    return shared;
}

static int compare_deep(const struct sort *sort, const struct sort_record *a, const struct sort_record *b,
                        size_t depth) {
    if (a->digest != b->digest)
        return a->digest < b->digest ? -1 : 1;
    struct br_slice x = sort->key_of(sort->context, a->item), y = sort->key_of(sort->context, b->item);
    size_t skip = depth < x.len ? depth : x.len;
    skip = skip < y.len ? skip : y.len;
    return br_slice_compare((struct br_slice){x.ptr + skip, x.len - skip},
                            (struct br_slice){y.ptr + skip, y.len - skip});
}

static void insertion_sort(const struct sort *sort, struct sort_record *records, size_t count, size_t depth) {
    for (size_t i = 1; i < count; i++) {
        struct sort_record moving = records[i];
        size_t at = i;
        for (; at > 0 && compare_deep(sort, &moving, &records[at - 1], depth) < 0; at--)
            records[at] = records[at - 1];
        records[at] = moving;
    }
}

// Distributes by the byte of the digest at shift; ret_ends[b] is one past the last record with byte b.
static void distribute(struct sort_record *records, size_t count, int shift, size_t ret_ends[256]) {
    size_t starts[256] = {0};
    for (size_t i = 0; i < count; i++)
        starts[records[i].digest >> shift & 0xff] += 1;
    size_t sum = 0;
    for (size_t b = 0; b < 256; b++) {
        size_t here = starts[b];
        starts[b] = sum;
        sum += here;
        ret_ends[b] = sum;
    }
    for (size_t b = 0; b < 256; b++) {
        while (starts[b] < ret_ends[b]) {
            struct sort_record moving = records[starts[b]];
            size_t to;
            while ((to = moving.digest >> shift & 0xff) != b) {
                struct sort_record displaced = records[starts[to]];
                records[starts[to]++] = moving;
                moving = displaced;
            }
            records[starts[b]++] = moving;
        }
    }
}

static void sort_deeper(const struct sort *sort, struct sort_record *records, size_t count, size_t depth);

// Sorts by the digest bytes from shift downwards; runs of equal digests are sorted at depth + 8.
static void sort_digests(const struct sort *sort, struct sort_record *records, size_t count, size_t depth, int shift) {
    if (count < 2)
        return;
    if (count <= SMALL_RUN) {
        insertion_sort(sort, records, count, depth);
        return;
    }
    if (shift < 0) {
        sort_deeper(sort, records, count, depth + 8);
        return;
    }
    uint64_t differ = 0;
    for (size_t i = 1; i < count; i++)
        differ |= records[i].digest ^ records[0].digest;
    if (differ == 0) {
        sort_deeper(sort, records, count, depth + 8);
        return;
    }
    int top = (63 - __builtin_clzll(differ)) / 8 * 8; // bytes above are equal in all
    size_t ends[256];
    distribute(records, count, top, ends);
    size_t begin = 0;
    for (size_t b = 0; b < 256; b++) {
        sort_digests(sort, records + begin, ends[b] - begin, depth, top - 8);
        begin = ends[b];
    }
}

// Keys that end at or before depth stand first, in the order of their lengths: they differ in trailing zero bytes only,
// which look like the digest's padding, so that there are at most nine lengths. Returns how many they are.
static size_t place_ended(const struct sort *sort, struct sort_record *records, size_t count, size_t depth) {
    size_t placed = 0;
    for (size_t len = depth < 8 ? 0 : depth - 8; len <= depth; len++) {
        for (size_t i = placed; i < count; i++) {
            if (sort->key_of(sort->context, records[i].item).len != len)
                continue;
            struct sort_record moving = records[i];
            records[i] = records[placed];
            records[placed++] = moving;
        }
    }
    return placed;
}

static void sort_deeper(const struct sort *sort, struct sort_record *records, size_t count, size_t depth) {
    bool ended;
    size_t shared = shared_prefix(sort, records, count, depth, &ended);
    if (ended) {
        size_t placed = place_ended(sort, records, count, depth);
        records += placed;
        count -= placed;
        if (count == 0)
            return;
        shared = shared_prefix(sort, records, count, depth, &ended);
    }
    depth = shared;
    for (size_t i = 0; i < count; i++)
        records[i].digest = digest_at(key_in_pass(sort, records, count, i), depth);
    sort_digests(sort, records, count, depth, 56);
}

void sort_by_key(struct sort_record *records, size_t count, sort_key_of key_of, const void *context) {
    struct sort sort = {key_of, context, false};
    if (count > 1)
        sort_deeper(&sort, records, count, 0);
}

void sort_scattered_by_key(struct sort_record *records, size_t count, sort_key_of key_of, const void *context) {
    struct sort sort = {key_of, context, true};
    if (count > 1)
        sort_deeper(&sort, records, count, 0);
}
