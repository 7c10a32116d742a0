// SPDX-License-Identifier: Apache-2.0
#include "processor/log/log_internal.h"

#include <criterion/criterion.h>

static bool matches(const char *filter, const char *subject) {
    return br_subject_matches(br_slice_of(filter), br_slice_of(subject));
}
static bool covers(const char *outer, const char *inner) {
    return br_subject_covers(br_slice_of(outer), br_slice_of(inner));
}
static bool overlaps(const char *a, const char *b) {
    cr_assert_eq(br_subject_overlaps(br_slice_of(a), br_slice_of(b)),
                 br_subject_overlaps(br_slice_of(b), br_slice_of(a)));
    return br_subject_overlaps(br_slice_of(a), br_slice_of(b));
}

Test(subject, star_stands_for_exactly_one_token) {
    cr_assert(matches("orders.*", "orders.eu"));
    cr_assert(matches("*.eu", "orders.eu"));
    cr_assert_not(matches("orders.*", "orders"));
    cr_assert_not(matches("orders.*", "orders.eu.1"));
    cr_assert_not(matches("orders.*", "orderss.eu"));
}

Test(subject, greater_than_stands_for_one_or_more_tokens) {
    cr_assert(matches("orders.>", "orders.eu"));
    cr_assert(matches("orders.>", "orders.eu.1"));
    cr_assert(matches(">", "orders"));
    cr_assert_not(matches("orders.>", "orders"));
}

Test(subject, a_filter_without_wildcards_matches_itself_only) {
    cr_assert(matches("a.b", "a.b"));
    cr_assert_not(matches("a.b", "a.bc"));
    cr_assert_not(matches("a.b", "a"));
}

Test(subject, covering_needs_every_subject_of_the_inner_one) {
    cr_assert(covers("a.>", "a.*"));
    cr_assert(covers("a.>", "a.b.>"));
    cr_assert(covers("a.*", "a.*"));
    cr_assert_not(covers("a.*", "a.>"));
    cr_assert_not(covers("a.b", "a.*"));
}

Test(subject, overlapping_needs_one_subject_in_common) {
    cr_assert(overlaps("a.*", "*.b"));
    cr_assert(overlaps("a.>", "a.b.c"));
    cr_assert_not(overlaps("a.*", "a.b.c"));
    cr_assert_not(overlaps("a.>", "a"));
    cr_assert_not(overlaps("a.>", "b.>"));
}

Test(subject, empty_tokens_blanks_and_misplaced_wildcards_are_refused) {
    const char *bad[] = {"", ".", "a.", ".a", "a..b", "a b", "a.>.b", "a\tb"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_not(br_subject_valid(br_slice_of(bad[i]), true), "%s", bad[i]);
    cr_assert(br_subject_valid(br_slice_of("a.*.>"), true));
    cr_assert(br_subject_valid(br_slice_of("$KV.B.k"), false));
    cr_assert_not(br_subject_valid(br_slice_of("a.*"), false));
    cr_assert_not(br_subject_valid(br_slice_of("a.>"), false));
}

Test(subject, the_no_stream_error_tells_how_to_make_one) {
    struct br_error error;
    cr_assert_eq(br_log_no_stream_error("orders.eu.>", &error), BR_FATAL);
    cr_assert(strstr(error.message, "no stream holds the subject 'orders.eu.>'"));
    cr_assert(strstr(error.message, "nats stream add ORDERS --subjects 'orders.eu.>'"));
}
