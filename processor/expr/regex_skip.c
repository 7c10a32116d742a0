// SPDX-License-Identifier: Apache-2.0
// Passing quickly over what can't begin a match.
//
// A match's first bytes are known where nothing but ASCII can come before them: at each offset one of a set. Two
// offsets with small sets are probed, sixteen places at a time; where both hold, a match may begin.
#include "processor/expr/expr_internal.h"
#include "processor/expr/regex_internal.h"

typedef uint8_t lanes __attribute__((vector_size(16)));
#define LANES 16

static inline lanes load(const uint8_t *at) {
    lanes loaded;
    memcpy(&loaded, at, sizeof loaded);
    return loaded;
}

// 0xff in the lanes whose byte is in the probe's set; exact: of one byte.
static inline __attribute__((always_inline)) lanes probe_lanes(const struct br_regex_probe *probe, const uint8_t *at,
                                                               bool exact) {
    lanes bytes = load(at + probe->offset);
    if (exact)
        return (lanes)(bytes == probe->ranges[0].low);
    lanes found = (lanes)(bytes - probe->ranges[0].low <= probe->ranges[0].span);
    for (uint32_t r = 1; r < probe->range_count; r++)
        found |= (lanes)(bytes - probe->ranges[r].low <= probe->ranges[r].span);
    return found;
}

static inline bool probe_byte(const struct br_regex_probe *probe, const uint8_t *at) {
    bool found = false;
    for (uint32_t r = 0; r < probe->range_count; r++)
        found |= (uint8_t)(at[probe->offset] - probe->ranges[r].low) <= probe->ranges[r].span;
    return found;
}

static inline __attribute__((always_inline)) size_t
find_by_probes(const struct br_regex_skip *skip, struct br_slice text, size_t at, bool two, bool exact) {
    const struct br_regex_probe *one = &skip->probes[0], *other = &skip->probes[two];
    size_t last = one->offset > other->offset ? one->offset : other->offset;
    for (; text.len - at >= last + LANES; at += LANES) {
        lanes found = probe_lanes(one, text.ptr + at, exact);
        if (two)
            found &= probe_lanes(other, text.ptr + at, exact);
        uint64_t halves[2];
        memcpy(halves, &found, sizeof halves);
        for (size_t h = 0; h < 2; h++)
            for (uint64_t bits = halves[h]; bits != 0;) {
                size_t lane = (size_t)__builtin_ctzll(bits) / 8;
                if (skip->first[text.ptr[at + 8 * h + lane]])
                    return at + 8 * h + lane;
                bits &= ~(UINT64_C(0xff) << (8 * lane));
            }
    }
    for (; text.len - at > last; at++)
        if (skip->first[text.ptr[at]] && probe_byte(one, text.ptr + at) && (!two || probe_byte(other, text.ptr + at)))
            return at;
    return BR_REGEX_NOWHERE;
}

static size_t find_byte(const struct br_regex_skip *skip, struct br_slice text, size_t at) {
    size_t offset = skip->probes[0].offset;
    while (text.len - at > offset) {
        const uint8_t *found = memchr(text.ptr + at + offset, skip->probes[0].ranges[0].low, text.len - at - offset);
        if (found == NULL)
            break;
        at = (size_t)(found - text.ptr) - offset;
        if (skip->first[text.ptr[at]])
            return at;
        at++;
    }
    return BR_REGEX_NOWHERE;
}

size_t br_regex_skip(const struct br_regex_skip *skip, struct br_slice text, size_t at) {
    if (skip->kind == BR_SKIP_NOTHING)
        return at <= text.len ? at : BR_REGEX_NOWHERE;
    if (at >= text.len)
        return BR_REGEX_NOWHERE;
    switch (skip->kind) {
    case BR_SKIP_BYTE:
        return find_byte(skip, text, at);
    case BR_SKIP_BYTES:
        return find_by_probes(skip, text, at, true, true);
    case BR_SKIP_PROBE:
        if (skip->probes[0].offset == 0 && skip->first[text.ptr[at]])
            return at;
        return find_by_probes(skip, text, at, false, false);
    case BR_SKIP_PROBES:
        return find_by_probes(skip, text, at, true, false);
    default:
        while (at < text.len && !skip->first[text.ptr[at]])
            at++;
        return at < text.len ? at : BR_REGEX_NOWHERE;
    }
}

// --- making
// The bytes that characters of the set begin with.
static void add_bytes(const struct br_regex_set *set, bool *bytes) {
    for (uint32_t r = 0; r < set->count; r++) {
        uint8_t first[4], last[4];
        br_char_encode(set->ranges[r].first, first);
        br_char_encode(set->ranges[r].last, last);
        for (uint32_t byte = first[0]; byte <= last[0]; byte++)
            bytes[byte] |= (byte & 0xc0) != 0x80; // no byte within a character
    }
}

// What may stand at an offset, as a probe; false: its set is in too many pieces, or too large to tell anything.
static bool make_probe(const bool *bytes, uint32_t offset, struct br_regex_probe *ret) {
    *ret = (struct br_regex_probe){.offset = offset};
    for (uint32_t byte = 0; byte < 256; byte++) {
        if (!bytes[byte])
            continue;
        uint32_t low = byte;
        while (byte < 255 && bytes[byte + 1])
            byte++;
        if (ret->range_count == BR_PROBE_RANGES_MAX)
            return false;
        ret->ranges[ret->range_count].low = (uint8_t)low;
        ret->ranges[ret->range_count++].span = (uint8_t)(byte - low);
        ret->byte_count += byte - low + 1;
    }
    return ret->range_count > 0 && ret->byte_count < 128;
}

// Keeps the two that hold least often, as far as the sizes of their sets tell; of equals those far from each other.
static void note_probe(struct br_regex_skip *skip, const struct br_regex_probe *probe) {
    if (skip->probe_count < 2) {
        skip->probes[skip->probe_count++] = *probe;
    } else {
        uint32_t larger = skip->probes[0].byte_count > skip->probes[1].byte_count ? 0 : 1;
        if (probe->byte_count <= skip->probes[larger].byte_count)
            skip->probes[larger] = *probe;
    }
}

// One byte is looked for by memchr, unless a second probe is nearly as good.
static enum br_regex_skip_kind kind_of_probes(struct br_regex_skip *skip) {
    if (skip->probe_count == 2 && skip->probes[1].byte_count < skip->probes[0].byte_count) {
        struct br_regex_probe first = skip->probes[0];
        skip->probes[0] = skip->probes[1];
        skip->probes[1] = first;
    }
    uint32_t best = skip->probes[0].byte_count, second = skip->probe_count == 2 ? skip->probes[1].byte_count : 256;
    if (best == 1)
        return second == 1 ? BR_SKIP_BYTES : second <= 4 ? BR_SKIP_PROBES : BR_SKIP_BYTE;
    return second < 64 ? BR_SKIP_PROBES : BR_SKIP_PROBE;
}

void br_regex_make_skip(const struct br_regex *regex, const struct br_regex_set *sets, struct br_regex_reach *reach,
                        struct br_regex_skip *ret) {
    const struct br_regex_edges *edges = &regex->edges[BR_FORWARD];
    uint32_t all = (1u << (regex->kind_count * regex->kind_count)) - 1;
    *ret = (struct br_regex_skip){.kind = BR_SKIP_NOTHING};
    br_regex_reach_begin(reach, regex->start, all);
    for (uint32_t offset = 0; offset < BR_PROBE_OFFSETS_MAX; offset++) {
        bool bytes[256] = {false};
        struct br_regex_probe probe;
        if (br_regex_reach_has(reach, regex->final))
            break; // a match may be over
        for (uint32_t n = 0; n < regex->node_count; n++)
            for (uint32_t s = edges->step_begin[n]; s < edges->step_begin[n + 1] && br_regex_reach_has(reach, n); s++)
                add_bytes(&sets[edges->steps[s].set], bytes);
        if (offset == 0) {
            ret->kind = BR_SKIP_TABLE;
            memcpy(ret->first, bytes, sizeof bytes);
        }
        if (make_probe(bytes, offset, &probe))
            note_probe(ret, &probe);
        bool wide = false;
        for (uint32_t byte = 0x80; byte < 256; byte++)
            wide |= bytes[byte];
        if (wide)
            break; // what comes next has no fixed offset
        br_regex_reach_step(reach, all);
    }
    if (ret->kind != BR_SKIP_NOTHING && ret->probe_count > 0)
        ret->kind = kind_of_probes(ret);
}
