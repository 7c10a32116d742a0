// SPDX-License-Identifier: Apache-2.0
// Any bytes as a state folder's PROOF: none is read that isn't written again to the same bytes. The checksum would turn
// nearly all of them away, so the bytes are also tried with a right one behind them.
#include "state/proof.h"

#include <stdio.h>
#include <xxhash.h>

static void check(struct br_slice text) {
    struct proof proof;
    struct br_buffer BR_CLEANUP(br_buffer_free) again = {0};
    if (!proof_parse(text, &proof))
        return;
    proof_format(&proof, &again);
    BR_CHECK(br_slice_equal(br_buffer_slice(&again), text));
    for (size_t i = 0; i < proof.file_count; i++)
        BR_CHECK(proof_find(&proof, proof.files[i].name) != NULL);
    proof_free(&proof);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
    check((struct br_slice){data, size});
    br_buffer_append(&text, data, size);
    br_buffer_printf(&text, "end %016llx\n", (unsigned long long)XXH3_64bits(data, size));
    check(br_buffer_slice(&text));
    return 0;
}
