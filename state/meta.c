// SPDX-License-Identifier: Apache-2.0
// The small facts that go with the state, under table number 0. A changed fact waits in memory for the next flush.
#include "state/table_internal.h"

void meta_key(struct br_buffer *key, enum meta_kind kind, const char *name) {
    static const uint8_t prefix[TABLE_PREFIX_BYTES] = {0};
    br_buffer_append(key, prefix, sizeof prefix);
    br_buffer_append_byte(key, (uint8_t)kind);
    br_buffer_append_text(key, name);
}

void meta_clear(struct br_state *state) {
    for (size_t i = 0; i < state->meta_count; i++) {
        free(state->meta[i].name);
        br_buffer_free(&state->meta[i].value);
    }
    state->meta_count = 0;
}

static struct meta_fact *find_fact(struct br_state *state, const char *name) {
    for (size_t i = 0; i < state->meta_count; i++)
        if (strcmp(state->meta[i].name, name) == 0)
            return &state->meta[i];
    return NULL;
}

enum br_status br_state_meta_get(struct br_state *state, const char *name, struct br_buffer *value, bool *ret_found,
                                 struct br_error *error) {
    const struct meta_fact *fact = find_fact(state, name);
    if (fact != NULL) {
        br_buffer_append_slice(value, br_buffer_slice(&fact->value));
        *ret_found = true;
        return BR_OK;
    }
    struct br_buffer key = {0};
    meta_key(&key, META_FACT, name);
    enum br_status status = br_store_get(state->store, br_buffer_slice(&key), value, ret_found, error);
    br_buffer_free(&key);
    return status;
}

void br_state_meta_put(struct br_state *state, const char *name, struct br_slice value) {
    struct meta_fact *fact = find_fact(state, name);
    if (fact == NULL) {
        state->meta = br_realloc(state->meta, (state->meta_count + 1) * sizeof *state->meta);
        size_t at = state->meta_count++;
        for (; at > 0 && strcmp(state->meta[at - 1].name, name) > 0; at--)
            state->meta[at] = state->meta[at - 1];
        state->meta[at] = (struct meta_fact){.name = br_strdup(name)};
        fact = &state->meta[at];
    }
    br_buffer_clear(&fact->value);
    br_buffer_append_slice(&fact->value, value);
}
