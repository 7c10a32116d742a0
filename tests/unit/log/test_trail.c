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
static const char *stream, *filter;
static int published;

static void setup(void) {
    sim = br_sim_create(NULL);
    cr_assert_eq(br_sim_add_stream(sim, "IN", &(const char *){"in.>"}, 1, &error), BR_OK);
    log_ = br_sim_connect(sim, true);
    reader = NULL;
    published = 0;
    stream = "IN";
    filter = "in.a";
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
    cr_assert_eq(br_reader_open_replaced(log_, stream, filter, first, 0, &reader, &error), BR_OK, "%s", error.message);
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
    char words[64];
    snprintf(words, sizeof words, "stream %s has changed at sequence%s", stream, sequence);
    cr_assert(strstr(error.message, words), "%s", error.message);
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

// None that was read is so young: another message must have come into its place.
Test(trail, neighbours_that_are_younger_than_all_that_was_read_are_a_change) {
    read_some(2);
    struct br_trail trail = read_trail();
    br_sim_forget_after(sim, "IN", 7);
    publish(4);
    br_sim_delete(sim, "IN", 10);
    open_at(11, &trail);
    expect_changed(" 10: the message that was read there (stored 2026-01-01T00:00:00");
    cr_assert(strstr(error.message, "at sequence 9") && strstr(error.message, "later than all"), "%s", error.message);
    br_sim_delete(sim, "IN", 5); // no mark is left
    open_at(11, &trail);
    expect_changed(" 10");
}

// Nobody's here: what is in the place of ours was deleted by hand.
Test(trail, neighbours_of_others_are_a_change_too) {
    read_some(4);
    struct br_trail trail = read_trail();
    br_sim_forget_after(sim, "IN", 17);
    publish_on("in.b", 10);
    br_sim_delete(sim, "IN", 20);
    open_at(21, &trail);
    expect_changed(" 20");
}

static void expect_proof(const struct br_trail *trail, uint64_t from, bool warns) {
    bool warned = false;
    cr_assert_eq(br_trail_prove(trail, log_, stream, filter, from, &warned, &error), BR_OK, "%s", error.message);
    cr_assert_eq(warned, warns, "%s", warns ? "nothing is said" : "a warning, though it is proven");
}

Test(trail, a_clock_that_was_set_back_is_no_change) {
    read_some(1);
    br_sim_jump(sim, BR_US_PER_SECOND);
    publish(4); // 6 to 9
    br_sim_jump(sim, -BR_US_PER_SECOND);
    publish(1);
    expect_shown(5);
    consume(5);
    struct br_trail trail = read_trail();
    br_sim_delete(sim, "IN", 10);
    open_at(11, &trail);
    expect_shown(0);
    expect_proof(&trail, 11, true); // nor is anything proven
}

// As a state that an earlier build wrote.
Test(trail, who_does_not_know_the_youngest_time_that_was_read_calls_nothing_too_young) {
    read_some(2);
    struct br_trail trail = read_trail();
    trail.youngest_us = BR_TRAIL_YOUNGEST_UNKNOWN;
    br_sim_forget_after(sim, "IN", 7);
    publish(4);
    br_sim_delete(sim, "IN", 10);
    expect_proof(&trail, 11, true);
}

Test(trail, what_is_gone_without_a_reason_is_told_once) {
    read_some(4);
    struct br_trail trail = read_trail();
    expect_proof(&trail, 21, false);
    br_sim_delete(sim, "IN", 20);
    expect_proof(&trail, 21, true);
}

// --- of each subject the newest ones are kept

static void keep_newest(uint64_t count) {
    cr_assert_eq(br_sim_add_stream(sim, "KV", &(const char *){"kv.>"}, 1, &error), BR_OK);
    br_sim_keep_per_subject(sim, "KV", count);
    stream = "KV";
    filter = "kv.*";
}

static void put(const char *keys) {
    for (; *keys != '\0'; keys++) {
        char subject[] = "kv.?";
        subject[3] = *keys;
        publish_on(subject, 1);
    }
}

// Each message for itself, so that there is a mark of each.
static struct br_trail read_keys(const char *keys) {
    static const struct br_trail nothing;
    open_at(1, &nothing);
    for (; *keys != '\0'; keys++) {
        put((const char[]){*keys, '\0'});
        expect_shown(1);
        consume(1);
    }
    return read_trail();
}

Test(trail, what_was_replaced_is_gone_by_right) {
    keep_newest(1);
    struct br_trail trail = read_keys("abcd"); // 1 to 4
    put("d");
    expect_proof(&trail, 5, false);
    put("c");
    expect_proof(&trail, 5, false);
    open_at(5, &trail);
    expect_shown(2);
}

// Of d the copy has what was written before; its newer value is lost, and others have replaced each other there.
Test(trail, what_was_not_replaced_is_lost) {
    keep_newest(1);
    struct br_trail trail = read_keys("abcdabcad"); // 1 to 9
    br_sim_forget_after(sim, "KV", 7);
    put("bbbb"); // 8 to 11, of which 11 is left
    open_at(10, &trail);
    expect_changed(" 9: the message that was read there (stored ");
    cr_assert(strstr(error.message, "'kv.d'") && strstr(error.message, "at sequence 4"), "%s", error.message);
}

// A key of another table's: its server's clock may have been ahead. One of ours can't have been there.
Test(trail, of_others_a_younger_neighbour_proves_nothing_where_ours_was_replaced) {
    keep_newest(1);
    read_keys("ab");
    put("cd"); // 3 and 4, at once
    expect_shown(2);
    consume(2);
    struct br_trail trail = read_trail();
    br_sim_forget_after(sim, "KV", 2);
    publish_on("kv.x.others", 1); // 3
    put("ccd");                   // 4 is replaced
    expect_proof(&trail, 5, true);
    br_sim_forget_after(sim, "KV", 2);
    put("eddec"); // 3 and 4 are replaced: what is there will be read
    expect_proof(&trail, 5, false);
    br_sim_forget_after(sim, "KV", 2);
    put("fddc"); // 4 is replaced, 3 stays
    open_at(5, &trail);
    expect_changed(" 4: the message that was read there (stored ");
}

// The newest mark's key has been written again meanwhile, the one's before hasn't.
Test(trail, each_mark_that_is_gone_must_have_been_replaced) {
    keep_newest(1);
    struct br_trail trail = read_keys("abcdabcda"); // 1 to 9
    br_sim_forget_after(sim, "KV", 7);
    put("bbba"); // 8 to 11
    open_at(10, &trail);
    expect_changed(" 8: the message that was read there (stored ");
}

Test(trail, neighbours_that_are_older_speak_when_all_marks_were_replaced) {
    keep_newest(1);
    struct br_trail trail = read_keys("abcbcbcbcbcbcbcbcbcbc"); // 1 to 21
    put("bc");
    expect_proof(&trail, 22, false);
    put("a"); // nobody is left who was there
    expect_proof(&trail, 22, true);
}

// A key that was new in what is lost leaves no trace, nor does one that was purged.
Test(trail, a_subject_without_messages_proves_nothing) {
    keep_newest(1);
    struct br_trail trail = read_keys("abcd");
    br_sim_forget_after(sim, "KV", 3);
    put("ccc");
    expect_proof(&trail, 5, true);
}

Test(trail, a_limit_per_subject_has_dropped_what_has_as_many_newer_ones) {
    keep_newest(3);
    struct br_trail trail = read_keys("abcd");
    put("ddd");
    expect_proof(&trail, 5, false);
}

Test(trail, with_fewer_newer_ones_a_limit_per_subject_has_dropped_nothing) {
    keep_newest(3);
    struct br_trail trail = read_keys("abcd");
    br_sim_forget_after(sim, "KV", 3);
    put("bbbbdd"); // 4 to 9; 4 has been dropped
    expect_proof(&trail, 5, true);
}

Test(trail, what_was_rolled_up_is_gone_by_right) {
    keep_newest(3);
    struct br_trail trail = read_keys("abcd");
    struct br_log_header header = {br_slice_of("Nats-Rollup"), br_slice_of("sub")};
    struct br_log_message message = {.subject = br_slice_of("kv.d"), .headers = &header, .header_count = 1};
    cr_assert_eq(br_log_publish(log_, &message, &error), BR_OK);
    br_sim_delete(sim, "KV", 4); // as a server does
    expect_proof(&trail, 5, false);
}

// As those of a state that an earlier build wrote.
Test(trail, marks_without_subject_are_no_proof_where_messages_are_replaced) {
    keep_newest(1);
    struct br_trail trail = read_keys("abcd");
    for (uint32_t i = 0; i < trail.count; i++)
        trail.marks[i].subject[0] = '\0';
    put("d");
    expect_proof(&trail, 5, true);
    filter = "kv.d"; // the only subject there is
    expect_proof(&trail, 5, false);
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
