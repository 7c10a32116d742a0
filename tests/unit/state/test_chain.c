// SPDX-License-Identifier: Apache-2.0
// Mirrors state/chain.c.
#include "state/chain.h"

#include <criterion/criterion.h>

#define LINKS 9

static void make_links(struct chain_link links[LINKS], uint64_t opening) {
    struct chain_link last = {0};
    for (int i = 0; i < LINKS; i++)
        last = links[i] = chain_next(&last, opening);
}

// Joined in the order that the bits of `way` say: any neighbours first.
static struct chain_link join_somehow(const struct chain_link *links, size_t count, unsigned way) {
    if (count == 1)
        return links[0];
    size_t left = 1 + way % (count - 1);
    struct chain_link a = join_somehow(links, left, way / 3), b = join_somehow(links + left, count - left, way / 7);
    return chain_join(&a, &b);
}

Test(chain, links_that_follow_each_other_join_without_a_hole) {
    struct chain_link links[LINKS];
    make_links(links, 7);
    for (unsigned way = 0; way < 3000; way++) {
        struct chain_link joined = join_somehow(links, LINKS, way);
        cr_assert(joined.first == 1 && joined.last == LINKS && joined.hole == 0);
        cr_assert(joined.from == 0 && joined.to == links[LINKS - 1].to);
    }
}

Test(chain, the_first_missing_flush_is_named_however_links_are_joined) {
    for (size_t gone = 1; gone < LINKS - 1; gone++) {
        struct chain_link links[LINKS];
        make_links(links, 7);
        memmove(links + gone, links + gone + 1, (LINKS - gone - 1) * sizeof *links);
        for (unsigned way = 0; way < 3000; way++)
            cr_assert_eq(join_somehow(links, LINKS - 1, way).hole, gone + 1);
    }
}

Test(chain, a_flush_of_another_history_does_not_fit) {
    struct chain_link links[LINKS], others[LINKS];
    make_links(links, 7);
    make_links(others, 8);
    memcpy(links + 4, others + 4, 3 * sizeof *links);
    for (unsigned way = 0; way < 3000; way++)
        cr_assert_eq(join_somehow(links, LINKS, way).hole, 5);
}

Test(chain, a_link_is_read_as_it_was_written) {
    struct chain_link links[LINKS], read;
    uint8_t bytes[CHAIN_LINK_BYTES];
    make_links(links, 7);
    chain_encode(&links[3], bytes);
    cr_assert(chain_decode((struct br_slice){bytes, sizeof bytes}, &read));
    cr_assert(read.first == 4 && read.last == 4 && read.from == links[2].to && read.to == links[3].to);
    cr_assert_not(chain_decode((struct br_slice){bytes, sizeof bytes - 1}, &read));
}
