// SPDX-License-Identifier: Apache-2.0
// Identifiers, and the nearest name as a hint for a name that isn't there. See codec_internal.h.
#include "processor/codec/codec_internal.h"

#define NAME_LENGTH_MAX 64 // longer names get no hint

bool br_is_identifier(struct br_slice name) {
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i], lower = c | 0x20;
        bool letter = (lower >= 'a' && lower <= 'z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return name.len != 0;
}

static uint8_t fold(uint8_t c) {
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

// Edits (insert, delete, change, swap of neighbours) between two names of at most NAME_LENGTH_MAX bytes, case aside:
// the restricted Damerau-Levenshtein distance.
static uint32_t edit_distance(struct br_slice a, struct br_slice b) {
    uint32_t rows[3][NAME_LENGTH_MAX + 1];
    uint32_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (uint32_t j = 0; j <= b.len; j++)
        last[j] = j;
    for (uint32_t i = 1; i <= a.len; i++) {
        now[0] = i;
        for (uint32_t j = 1; j <= b.len; j++) {
            uint8_t x = fold(a.ptr[i - 1]), y = fold(b.ptr[j - 1]);
            uint32_t best = last[j - 1] + (x != y);
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && x == fold(b.ptr[j - 2]) && fold(a.ptr[i - 2]) == y && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        uint32_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b.len];
}

struct br_nearest br_nearest_begin(struct br_slice name) {
    uint32_t bound = name.len <= 2 ? 1 : name.len <= 5 ? 2 : 1 + (uint32_t)(name.len > 300 ? 100 : name.len / 3);
    return (struct br_nearest){name, NULL, bound + 1};
}

void br_nearest_try(struct br_nearest *nearest, const char *candidate) {
    struct br_slice other = br_slice_of(candidate);
    if (nearest->name.len == 0 || nearest->name.len > NAME_LENGTH_MAX || other.len > NAME_LENGTH_MAX)
        return;
    uint32_t distance = edit_distance(nearest->name, other);
    if (distance < nearest->best_distance && distance < nearest->name.len + (nearest->name.len == 1)) {
        nearest->best = candidate;
        nearest->best_distance = distance;
    }
}
