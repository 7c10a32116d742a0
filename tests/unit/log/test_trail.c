// SPDX-License-Identifier: Apache-2.0
// Streams that go back and are filled up again, as readers with a trail see them (processor/log/trail.h).
#include "processor/log/reader.h"
#include "processor/log/simulated.h"
#include "processor/log/trail.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct br_sim *sim;
static struct br_log *log_;
static struct br_error error;
static struct br_reader *reader;
static int published;

static void setup(void) {
    sim = br_sim_create(NULL);
    cr_assert_eq(br_sim_add_stream(sim, "IN", &(const char *){"in.>"}, 1, &error), BR_OK);
    log_ = br_sim_connect(sim, true);
    reader = NULL;
    published = 0;
}
static void teardown(void) {
    br_reader_close(&reader);
    br_log_close(&log_);
    br_sim_destroy(&sim);
}
TestSuite(trail, .init = setup, .fini = teardown);

static void publish_on(const char *subject, int count) {
    for (int i = 0; i < count; i++) {
        char payload[32];
        snprintf(payload, sizeof payload, "event %d", published++);
        struct br_log_message message = {.subject = br_slice_of(subject), .payload = br_slice_of(payload)};
        cr_assert_eq(br_log_publish(log_, &message, &error), BR_OK, "%s", error.message);
    }
}
static void publish(int count) {
    publish_on("in.a", count);
}

static struct br_trail read_trail(void) {
    return br_reader_trail(reader, NULL, 0);
}

static void open_at(uint64_t first, const struct br_trail *known) {
    br_reader_close(&reader);
    cr_assert_eq(br_reader_open(log_, "IN", "in.a", first, 0, &reader, &error), BR_OK, "%s", error.message);
    br_reader_prove(reader, known);
}

static enum br_status peek(size_t *ret_count) {
    const struct br_log_message *messages;
    return br_reader_peek(reader, &messages, ret_count, &error);
}

static void expect_shown(size_t want) {
    size_t count;
    cr_assert_eq(peek(&count), BR_OK, "%s", error.message);
    cr_assert_eq(count, want, "%zu are shown, not %zu", count, want);
}

static void consume(size_t count) {
    br_reader_consume(reader, count);
    br_reader_release(reader);
}

static void expect_changed(const char *sequence) {
    size_t count;
    cr_assert_eq(peek(&count), BR_FATAL, "the change isn't noticed");
    cr_assert_eq(error.native, BR_LOG_CHANGED, "%s", error.message);
    cr_assert(strstr(error.message, "stream IN has changed at sequence ") && strstr(error.message, sequence), "%s",
              error.message);
}

// Five at a time, so that there are several marks.
static void read_some(int times) {
    static const struct br_trail nothing;
    open_at(1, &nothing);
    for (int i = 0; i < times; i++) {
        publish(5);
        expect_shown(5);
        consume(5);
    }
}

Test(trail, a_server_that_comes_back_as_it_was_is_trusted) {
    read_some(4);
    br_sim_forget_after(sim, "IN", 20);
    publish(3);
    expect_shown(3);
    struct br_trail trail = read_trail();
    open_at(21, &trail);
    expect_shown(3);
}

Test(trail, another_message_where_one_was_read_is_told_by_its_sequence_and_both_fingerprints) {
    read_some(4);
    br_sim_forget_after(sim, "IN", 17);
    publish(10);
    expect_changed(" 20: the message that was read there (stored 2026-01-01T00:00:00");
    cr_assert(strstr(error.message, "is another one now (stored 2026-01-01T00:00:00") && strstr(error.message, "hash "),
              "%s", error.message);
    expect_changed(" 20"); // and it stays so
    struct br_trail trail = read_trail();
    open_at(21, &trail);
    expect_changed(" 20");
}

Test(trail, what_was_shown_and_not_consumed_counts_too) {
    read_some(1);
    publish(5);
    expect_shown(5); // 6 to 10
    br_sim_forget_after(sim, "IN", 8);
    publish(7);
    expect_changed(" 10");
}

Test(trail, what_was_lost_before_it_was_shown_is_nothing_to_it) {
    read_some(2);
    publish(5);
    br_sim_forget_after(sim, "IN", 12);
    publish(2);
    expect_shown(4);
}

Test(trail, the_next_older_mark_speaks_for_a_message_that_is_gone) {
    read_some(4);
    br_sim_delete(sim, "IN", 20);
    struct br_trail trail = read_trail();
    publish(1);
    open_at(21, &trail);
    expect_shown(1);
    br_sim_delete(sim, "IN", 15);
    br_sim_forget_after(sim, "IN", 9);
    publish(15);
    br_sim_delete(sim, "IN", 20);
    br_sim_delete(sim, "IN", 15);
    open_at(21, &trail);
    expect_changed(" 10");
}

Test(trail, neighbours_that_are_older_speak_when_all_marks_are_gone) {
    read_some(2);
    br_sim_delete(sim, "IN", 5);
    br_sim_delete(sim, "IN", 10);
    struct br_trail trail = read_trail();
    bool warned = false;
    cr_assert_eq(br_trail_prove(&trail, log_, "IN", "in.a", 11, &warned, &error), BR_OK);
    cr_assert(!warned);
    br_sim_purge(sim, "IN", 11); // now nobody is left
    cr_assert_eq(br_trail_prove(&trail, log_, "IN", "in.a", 11, &warned, &error), BR_OK);
    cr_assert(warned);
}

Test(trail, neighbours_that_are_younger_prove_nothing) {
    read_some(2);
    struct br_trail trail = read_trail();
    br_sim_forget_after(sim, "IN", 7);
    publish(4);
    br_sim_delete(sim, "IN", 5);
    br_sim_delete(sim, "IN", 10);
    bool warned = false;
    cr_assert_eq(br_trail_prove(&trail, log_, "IN", "in.a", 11, &warned, &error), BR_OK);
    cr_assert(warned);
}

// Others' messages stood at 6 to 15 when that was looked through.
Test(trail, a_message_in_what_had_nothing_for_the_reader_is_a_change) {
    read_some(1);
    publish_on("in.b", 10);
    expect_shown(0);
    cr_assert_eq(br_reader_covered(reader), 15);
    struct br_trail trail = read_trail();
    br_sim_forget_after(sim, "IN", 8);
    publish(1);
    publish_on("in.b", 10);
    expect_changed(" 9: a message on 'in.a'");
    open_at(16, &trail);
    expect_changed(" 9: a message on 'in.a'");
}

Test(trail, a_stream_that_ends_before_what_was_read_is_a_change) {
    read_some(4);
    br_sim_forget_after(sim, "IN", 17);
    size_t count;
    cr_assert_eq(peek(&count), BR_FATAL);
    cr_assert_eq(error.native, BR_LOG_CHANGED, "%s", error.message);
    br_reader_close(&reader);
    cr_assert_eq(br_reader_open(log_, "IN", "in.a", 21, 0, &reader, &error), BR_FATAL);
    cr_assert_eq(error.native, BR_LOG_CHANGED, "%s", error.message);
}

Test(trail, nothing_new_is_shown_before_the_stream_has_answered) {
    read_some(2);
    br_sim_forget_after(sim, "IN", 10);
    publish(4);
    struct br_sim_faults faults = {.seed = 1, .refuse = 1000};
    br_sim_set_faults(sim, &faults);
    expect_shown(0);
    cr_assert_eq(br_reader_covered(reader), 10);
    cr_assert(!br_reader_caught_up(reader));
    faults.refuse = 0;
    br_sim_set_faults(sim, &faults);
    expect_shown(4);
}

Test(trail, who_keeps_no_trail_is_asked_nothing) {
    publish(4);
    cr_assert_eq(br_reader_open(log_, "IN", "in.a", 1, 0, &reader, &error), BR_OK);
    expect_shown(4);
    consume(4);
    br_sim_forget_after(sim, "IN", 2);
    publish(5);
    expect_shown(3);
}

Test(trail, fingerprints_tell_subjects_headers_and_payloads_apart) {
    struct br_log_header header = {br_slice_of("Braid-Op"), br_slice_of("delete")};
    struct br_log_message messages[] = {
        {.subject = br_slice_of("a"), .payload = br_slice_of("b")},
        {.subject = br_slice_of("ab"), .payload = br_slice_of("")},
        {.subject = br_slice_of("a"), .payload = br_slice_of("b"), .headers = &header, .header_count = 1},
        {.subject = br_slice_of("a"), .payload = br_slice_of("b"), .timestamp = {1}},
    };
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 4; j++) {
            struct br_fingerprint one = br_fingerprint_of(&messages[i]), other = br_fingerprint_of(&messages[j]);
            cr_assert_eq(br_fingerprint_differs(&one, &other), i != j, "%zu and %zu", i, j);
        }
    struct br_fingerprint timed = br_fingerprint_of(&messages[3]), untold = timed;
    untold.hash = 0;
    cr_assert(!br_fingerprint_differs(&untold, &timed));
}
