// SPDX-License-Identifier: Apache-2.0
// Passing quickly over what can't begin a match: by a prefix that every match has, else by its first byte.
#include "processor/expr/expr_internal.h"
#include "processor/expr/regex_internal.h"

typedef uint8_t lanes __attribute__((vector_size(16)));
#define LANES 16

static inline lanes load(const uint8_t *at) {
    lanes loaded;
    memcpy(&loaded, at, sizeof loaded);
    return loaded;
}

// The first lane that isn't 0; LANES: none.
static inline size_t first_lane(lanes found) {
    uint64_t half[2];
    memcpy(half, &found, sizeof half);
    if (half[0] != 0)
        return (size_t)__builtin_ctzll(half[0]) / 8;
    return half[1] != 0 ? 8 + (size_t)__builtin_ctzll(half[1]) / 8 : LANES;
}

// Places where the prefix's first byte and its last one stand are looked at.
static size_t find_prefix(const struct br_regex_skip *skip, struct br_slice text, size_t at) {
    size_t last = skip->prefix_len - 1u;
    for (; text.len - at >= last + LANES; at++) {
        lanes found =
            (lanes)(load(text.ptr + at) == skip->prefix[0]) & (lanes)(load(text.ptr + at + last) == skip->prefix[last]);
        size_t lane = first_lane(found);
        at += lane;
        if (lane == LANES)
            at--;
        else if (memcmp(text.ptr + at, skip->prefix, last) == 0)
            return at;
    }
    for (; text.len - at > last; at++)
        if (text.ptr[at] == skip->prefix[0] && memcmp(text.ptr + at, skip->prefix, last + 1) == 0)
            return at;
    return BR_REGEX_NOWHERE;
}

static size_t find_in_ranges(const struct br_regex_skip *skip, struct br_slice text, size_t at) {
    for (; text.len - at >= LANES; at += LANES) {
        lanes bytes = load(text.ptr + at);
        lanes found = (lanes)(bytes - skip->ranges[0].low <= skip->ranges[0].span);
        for (uint32_t r = 1; r < skip->range_count; r++)
            found |= (lanes)(bytes - skip->ranges[r].low <= skip->ranges[r].span);
        size_t lane = first_lane(found);
        if (lane != LANES)
            return at + lane;
    }
    while (at < text.len && !skip->first[text.ptr[at]])
        at++;
    return at < text.len ? at : BR_REGEX_NOWHERE;
}

size_t br_regex_skip(const struct br_regex_skip *skip, struct br_slice text, size_t at) {
    const uint8_t *found;
    if (at < text.len && skip->kind != BR_SKIP_NOTHING && skip->kind != BR_SKIP_PREFIX && skip->first[text.ptr[at]])
        return at;
    switch (skip->kind) {
    case BR_SKIP_NOTHING:
        return at <= text.len ? at : BR_REGEX_NOWHERE;
    case BR_SKIP_PREFIX:
        return at < text.len ? find_prefix(skip, text, at) : BR_REGEX_NOWHERE;
    case BR_SKIP_BYTE:
        found = at < text.len ? memchr(text.ptr + at, skip->ranges[0].low, text.len - at) : NULL;
        return found == NULL ? BR_REGEX_NOWHERE : (size_t)(found - text.ptr);
    case BR_SKIP_RANGES:
        return find_in_ranges(skip, text, at);
    default:
        while (at < text.len && !skip->first[text.ptr[at]])
            at++;
        return at < text.len ? at : BR_REGEX_NOWHERE;
    }
}

// --- making
static void add_first_bytes(struct br_regex_skip *skip, const struct br_regex_set *set) {
    for (uint32_t r = 0; r < set->count; r++) {
        uint8_t first[4], last[4];
        br_char_encode(set->ranges[r].first, first);
        br_char_encode(set->ranges[r].last, last);
        for (uint32_t byte = first[0]; byte <= last[0]; byte++)
            skip->first[byte] |= (byte & 0xc0) != 0x80; // bytes that begin a character
    }
}

// What every match begins with: as long as there is one way on.
static void find_common_prefix(const struct br_regex *regex, const struct br_regex_set *sets,
                               struct br_regex_skip *skip) {
    const struct br_regex_edges *edges = &regex->edges[BR_FORWARD];
    uint16_t node = regex->start;
    for (uint32_t passed = 0; passed < regex->node_count; passed++) {
        uint32_t steps = edges->step_begin[node + 1] - edges->step_begin[node];
        uint32_t hops = edges->hop_begin[node + 1] - edges->hop_begin[node];
        if (steps + hops != 1)
            return;
        if (hops == 1) {
            node = edges->hops[edges->hop_begin[node]].to;
            continue;
        }
        const struct br_regex_step *step = &edges->steps[edges->step_begin[node]];
        const struct br_regex_set *set = &sets[step->set];
        if (set->count != 1 || set->ranges[0].first != set->ranges[0].last ||
            skip->prefix_len + 4u > sizeof skip->prefix)
            return;
        skip->prefix_len =
            (uint8_t)(skip->prefix_len + br_char_encode(set->ranges[0].first, skip->prefix + skip->prefix_len));
        node = step->to;
    }
}

static void find_ranges(struct br_regex_skip *skip) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        if (!skip->first[byte])
            continue;
        uint32_t low = byte;
        while (byte < 255 && skip->first[byte + 1])
            byte++;
        if (skip->range_count < BR_SKIP_RANGES_MAX) {
            skip->ranges[skip->range_count].low = (uint8_t)low;
            skip->ranges[skip->range_count].span = (uint8_t)(byte - low);
        }
        skip->range_count++;
    }
}

void br_regex_make_skip(const struct br_regex *regex, const struct br_regex_set *sets, const uint64_t *reached,
                        struct br_regex_skip *ret) {
    const struct br_regex_edges *edges = &regex->edges[BR_FORWARD];
    *ret = (struct br_regex_skip){.kind = BR_SKIP_NOTHING};
    if ((reached[regex->final / 64] >> (regex->final % 64) & 1) != 0)
        return; // it may be empty
    for (uint32_t n = 0; n < regex->node_count; n++)
        for (uint32_t s = edges->step_begin[n]; s < edges->step_begin[n + 1]; s++)
            if ((reached[n / 64] >> (n % 64) & 1) != 0)
                add_first_bytes(ret, &sets[edges->steps[s].set]);
    find_common_prefix(regex, sets, ret);
    find_ranges(ret);
    if (ret->prefix_len > 1)
        ret->kind = BR_SKIP_PREFIX;
    else if (ret->range_count == 1 && ret->ranges[0].span == 0)
        ret->kind = BR_SKIP_BYTE;
    else
        ret->kind = ret->range_count > 0 && ret->range_count <= BR_SKIP_RANGES_MAX ? BR_SKIP_RANGES : BR_SKIP_TABLE;
}
