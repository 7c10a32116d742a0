// SPDX-License-Identifier: Apache-2.0
#include "processor/log/log_internal.h"

#include <criterion/criterion.h>

static void push(struct br_window *window, uint64_t from, uint64_t count) {
    for (uint64_t i = 0; i < count; i++)
        *br_window_push(window) = (struct br_log_message){.sequence = from + i};
}

static void sum_dropped(void *context, struct br_log_message *message) {
    *(uint64_t *)context += message->sequence;
}

Test(window, what_is_shown_is_contiguous_and_in_order_across_growth_and_release) {
    struct br_window window = {0};
    uint64_t next_in = 1, next_out = 1;
    for (int round = 0; round < 200; round++) {
        push(&window, next_in, 97);
        next_in += 97;
        size_t take = br_window_shown(&window) * 2 / 3;
        for (size_t i = 0; i < take; i++)
            cr_assert_eq(window.items[window.consumed + i].sequence, next_out++);
        br_window_consume(&window, take);
        if (round % 5 == 4)
            br_window_release(&window, NULL, NULL);
    }
    cr_assert_leq(window.capacity, 4096);
    br_window_free(&window, NULL, NULL);
}

Test(window, a_message_shown_before_growth_stays_where_it_is_until_release) {
    struct br_window window = {0};
    push(&window, 1, 10);
    const struct br_log_message *early = window.items;
    push(&window, 11, 100000);
    cr_assert_eq(early[9].sequence, 10);
    cr_assert_neq(early, window.items);
    br_window_free(&window, NULL, NULL);
}

Test(window, release_drops_what_is_consumed_and_free_drops_the_rest_each_once) {
    struct br_window window = {0};
    uint64_t sum = 0;
    push(&window, 1, 10);
    br_window_consume(&window, 4);
    br_window_release(&window, sum_dropped, &sum);
    cr_assert_eq(sum, 10);
    br_window_free(&window, sum_dropped, &sum);
    cr_assert_eq(sum, 55);
}

Test(window, a_copied_message_owes_nothing_to_the_original) {
    char subject[] = "a.b", payload[] = "bytes", value[] = "upsert";
    struct br_log_header headers[] = {{br_slice_of("Braid-Op"), br_slice_of(value)}};
    struct br_log_message message = {.subject = br_slice_of(subject),
                                     .payload = br_slice_of(payload),
                                     .headers = headers,
                                     .header_count = 1,
                                     .sequence = 7};
    struct br_buffer copy = {0};
    struct br_log_message copied;
    br_log_message_copy(&message, &copy, &copied);
    memset(subject, 'x', 3);
    memset(payload, 'x', 5);
    memset(value, 'x', 6);
    headers[0] = (struct br_log_header){0};
    struct br_slice found;
    cr_assert(br_slice_is(copied.subject, "a.b"));
    cr_assert(br_slice_is(copied.payload, "bytes"));
    cr_assert(br_log_message_header(&copied, "Braid-Op", &found));
    cr_assert(br_slice_is(found, "upsert"));
    cr_assert_not(br_log_message_header(&copied, "braid-op", &found));
    cr_assert_eq(copied.sequence, 7);
    br_buffer_free(&copy);
}
