// SPDX-License-Identifier: Apache-2.0
// Sorting rows by key bytes: a bottom-up merge sort over cached prefixes.
//
// Keys of one run mostly begin alike (marker byte, high bytes of a time or a number), so the bytes that all have in
// common are found first and skipped; the sixteen after them decide nearly every comparison without touching the key.
#include "processor/operators/operator_internal.h"

#define RUN 16

static size_t common_prefix(const struct br_sort_item *items, size_t count) {
    struct br_slice first = items[0].key;
    size_t common = first.len;
    for (size_t i = 1; i < count && common != 0; i++) {
        struct br_slice key = items[i].key;
        if (key.len >= common && memcmp(key.ptr, first.ptr, common) == 0)
            continue;
        size_t limit = key.len < common ? key.len : common, same = 0;
        while (same < limit && key.ptr[same] == first.ptr[same])
            same++;
        common = same;
    }
    return common;
}

// Zero-padded: a tie is decided by the whole keys.
static void set_prefix(struct br_sort_item *item, size_t offset) {
    size_t left = item->key.len - offset;
    uint8_t bytes[16] = {0};
    const uint8_t *at = item->key.ptr + offset;
    if (left < 16) {
        if (left != 0)
            memcpy(bytes, at, left);
        at = bytes;
    }
    item->prefix[0] = br_be64_get(at);
    item->prefix[1] = br_be64_get(at + 8);
}

static bool goes_after(const struct br_sort_item *a, const struct br_sort_item *b) {
    if (a->prefix[0] != b->prefix[0])
        return a->prefix[0] > b->prefix[0];
    if (a->prefix[1] != b->prefix[1])
        return a->prefix[1] > b->prefix[1];
    return br_slice_compare(a->key, b->key) > 0;
}

static void insertion_sort(struct br_sort_item *items, size_t count) {
    for (size_t i = 1; i < count; i++) {
        struct br_sort_item item = items[i];
        size_t at = i;
        for (; at > 0 && goes_after(&items[at - 1], &item); at--)
            items[at] = items[at - 1];
        items[at] = item;
    }
}

static void merge(const struct br_sort_item *from, size_t middle, size_t count, struct br_sort_item *to) {
    size_t left = 0, right = middle;
    for (size_t i = 0; i < count; i++) {
        bool take_right = left == middle || (right < count && goes_after(&from[left], &from[right]));
        to[i] = take_right ? from[right++] : from[left++];
    }
}

void br_sort_items(struct br_sort_item *items, size_t count, struct br_arena *arena) {
    if (count < 2)
        return;
    size_t common = common_prefix(items, count);
    bool sorted = true;
    for (size_t i = 0; i < count; i++) {
        set_prefix(&items[i], common);
        sorted = sorted && (i == 0 || !goes_after(&items[i - 1], &items[i]));
    }
    if (sorted)
        return;
    for (size_t begin = 0; begin < count; begin += RUN)
        insertion_sort(items + begin, count - begin < RUN ? count - begin : RUN);
    if (count <= RUN)
        return;
    struct br_sort_item *scratch = br_arena_alloc(arena, count * sizeof *scratch);
    struct br_sort_item *from = items, *to = scratch;
    for (size_t width = RUN; width < count; width *= 2) {
        for (size_t begin = 0; begin < count; begin += 2 * width) {
            size_t run = count - begin < 2 * width ? count - begin : 2 * width;
            merge(from + begin, run < width ? run : width, run, to + begin);
        }
        struct br_sort_item *swap = from;
        from = to;
        to = swap;
    }
    if (from != items)
        memcpy(items, from, count * sizeof *items);
}
