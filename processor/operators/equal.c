// SPDX-License-Identifier: Apache-2.0
// Which part of a state table holds the rows of which some columns are known: those whose key begins with their bytes.
//
// A key's components are such that none is the beginning of another (state/keys.h), and equal values have equal bytes.
// So the known columns that come first in the key tell a range, and all of them a single key.
#include "processor/operators/operator_internal.h"

bool br_key_range_of(const struct br_value *const *equal, const uint32_t *columns, uint32_t count,
                     struct br_arena *arena, struct br_key_range *ret_range) {
    struct br_buffer key = {0};
    uint32_t known = 0;
    for (; equal != NULL && known < count && equal[columns[known]] != NULL; known++) {
        struct br_column column = br_column_create(arena, equal[columns[known]]->type, 1);
        column.validity = br_validity_create(arena, 1, false);
        br_column_set(&column, 0, equal[columns[known]]);
        br_key_append_value(&key, &column, 0);
    }
    *ret_range = (struct br_key_range){.first = br_arena_copy(arena, br_buffer_slice(&key)), .whole = known == count};
    // The first key behind all that begin so.
    while (key.len != 0 && key.ptr[key.len - 1] == 0xff)
        key.len--;
    if (key.len != 0)
        key.ptr[key.len - 1]++;
    ret_range->last = br_arena_copy(arena, br_buffer_slice(&key));
    br_buffer_free(&key);
    return known != 0;
}
