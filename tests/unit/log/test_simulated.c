// SPDX-License-Identifier: Apache-2.0
#include "processor/log/simulated.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct br_sim *sim;
static struct br_log *log_;
static struct br_error error;

static void setup_with(const struct br_sim_faults *faults) {
    const char *in[] = {"in.>"};
    const char *out[] = {"braid.p.>"};
    sim = br_sim_create(faults);
    cr_assert_eq(br_sim_add_stream(sim, "IN", in, 1, &error), BR_OK);
    cr_assert_eq(br_sim_add_stream(sim, "OUT", out, 1, &error), BR_OK);
    log_ = br_sim_connect(sim, true);
}
static void setup(void) {
    setup_with(NULL);
}
static void teardown(void) {
    br_log_close(&log_);
    br_sim_destroy(&sim);
}
TestSuite(simulated, .init = setup, .fini = teardown);

static struct br_log_message message_of(const char *subject, const char *payload) {
    return (struct br_log_message){.subject = br_slice_of(subject), .payload = br_slice_of(payload)};
}

static void publish(const char *subject, const char *payload) {
    struct br_log_message message = message_of(subject, payload);
    cr_assert_eq(br_log_publish(log_, &message, &error), BR_OK, "%s", error.message);
}

static enum br_append_result append(struct br_log *on, const char *body, uint64_t expected, uint64_t *ret_sequence) {
    struct br_log_message batch[] = {message_of("braid.p.view.a", body), message_of("braid.p.commit.t0", body)};
    enum br_append_result result;
    cr_assert_eq(br_log_append(on, "OUT", batch, 2, expected, &error), BR_OK, "%s", error.message);
    cr_assert_eq(br_log_append_wait(on, &result, ret_sequence, &error), BR_OK, "%s", error.message);
    return result;
}

static struct br_reader *open_reader(const char *stream, const char *filter, uint64_t first) {
    struct br_reader *reader;
    cr_assert_eq(br_reader_open(log_, stream, filter, first, 0, &reader, &error), BR_OK, "%s", error.message);
    return reader;
}

static size_t peek(struct br_reader *reader, const struct br_log_message **messages) {
    size_t count;
    cr_assert_eq(br_reader_peek(reader, messages, &count, &error), BR_OK, "%s", error.message);
    return count;
}

static uint64_t last_sequence(const char *stream) {
    struct br_stream_info info;
    cr_assert_eq(br_log_stream_info(log_, stream, &info, &error), BR_OK);
    return info.last_sequence;
}

// --- streams

Test(simulated, a_stream_is_found_by_a_subject_that_it_holds) {
    struct br_stream_info info;
    cr_assert_eq(br_log_find_stream(log_, NULL, "in.orders.*", &info, &error), BR_OK);
    cr_assert_str_eq(info.name, "IN");
    cr_assert_eq(br_log_find_stream(log_, NULL, "other.>", &info, &error), BR_FATAL);
    cr_assert(strstr(error.message, "no stream holds the subject 'other.>'"));
    cr_assert_eq(br_log_find_stream(log_, NULL, ">", &info, &error), BR_FATAL);
    cr_assert(strstr(error.message, "several"));
}

Test(simulated, ensuring_an_output_makes_it_and_widens_it_later) {
    const char *subjects[] = {"shop.a.>", "shop.b"};
    struct br_stream_info info;
    struct br_output_options options = {.subjects = subjects, .subject_count = 1};
    cr_assert_eq(br_log_ensure_output(log_, "BRAID_shop", &options, &info, &error), BR_OK);
    cr_assert(info.allow_atomic);
    publish("shop.a.x", "1");
    options.subject_count = 2;
    cr_assert_eq(br_log_ensure_output(log_, "BRAID_shop", &options, &info, &error), BR_OK);
    cr_assert_eq(info.last_sequence, 1);
    publish("shop.b", "2");
    const char *taken[] = {"in.x"};
    options = (struct br_output_options){.subjects = taken, .subject_count = 1};
    cr_assert_eq(br_log_ensure_output(log_, "BRAID_shop", &options, &info, &error), BR_FATAL);
    cr_assert(strstr(error.message, "overlaps 'in.>' of stream IN"));
}

Test(simulated, the_last_message_of_a_subject_and_one_by_sequence_are_copied_out) {
    struct br_buffer copy = {0};
    struct br_log_message message;
    bool found;
    publish("in.a", "one");
    publish("in.b", "two");
    publish("in.a", "three");
    cr_assert_eq(br_log_last(log_, "IN", "in.a", &copy, &message, &found, &error), BR_OK);
    cr_assert(found && message.sequence == 3 && br_slice_is(message.payload, "three"));
    cr_assert_eq(br_log_last(log_, "IN", "in.c", &copy, &message, &found, &error), BR_OK);
    cr_assert_not(found);
    cr_assert_eq(br_log_get(log_, "IN", 2, &copy, &message, &found, &error), BR_OK);
    cr_assert(found && br_slice_is(message.subject, "in.b"));
    cr_assert_eq(br_log_get(log_, "IN", 9, &copy, &message, &found, &error), BR_OK);
    cr_assert_not(found);
    br_sim_delete(sim, "IN", 1);
    cr_assert_eq(br_log_next(log_, "IN", "in.*", 0, &copy, &message, &found, &error), BR_OK);
    cr_assert(found && message.sequence == 2);
    cr_assert_eq(br_log_next(log_, "IN", "in.a", 2, &copy, &message, &found, &error), BR_OK);
    cr_assert(found && message.sequence == 3);
    cr_assert_eq(br_log_next(log_, "IN", "in.*", 4, &copy, &message, &found, &error), BR_OK);
    cr_assert_not(found);
    br_buffer_free(&copy);
}

// --- appending

Test(simulated, a_batch_lands_whole_and_contiguous) {
    uint64_t sequence;
    cr_assert_eq(append(log_, "1", 0, &sequence), BR_APPEND_DONE);
    cr_assert_eq(sequence, 2);
    cr_assert_eq(append(log_, "2", 2, &sequence), BR_APPEND_DONE);
    cr_assert_eq(sequence, 4);
}

Test(simulated, a_stale_fence_refuses_the_whole_batch) {
    uint64_t sequence;
    cr_assert_eq(append(log_, "1", 0, &sequence), BR_APPEND_DONE);
    cr_assert_eq(append(log_, "zombie", 0, &sequence), BR_APPEND_FENCED);
    cr_assert_eq(append(log_, "zombie", 1, &sequence), BR_APPEND_FENCED);
    cr_assert_eq(last_sequence("OUT"), 2);
}

Test(simulated, a_message_above_the_servers_limit_is_refused_with_words) {
    static uint8_t big[(1 << 20) + 1];
    struct br_log_message message = {.subject = br_slice_of("braid.p.commit.t0"), .payload = {big, sizeof big}};
    cr_assert_eq(br_log_append(log_, "OUT", &message, 1, 0, &error), BR_FATAL);
    cr_assert(strstr(error.message, "larger than the server takes"));
}

// A batch of the lineage r1 that takes the owner's subject over: both of its fences count.
static enum br_append_result take_over(struct br_log *on, uint64_t expected_own, uint64_t expected_owner) {
    struct br_log_message batch[] = {message_of("braid.p.commit.r1.0", "x"), message_of("braid.p.view.a", "x"),
                                     message_of("braid.p.commit.t0", "x")};
    batch[0].fenced = true;
    batch[0].expected_sequence = expected_own;
    enum br_append_result result;
    uint64_t sequence;
    cr_assert_eq(br_log_append(on, "OUT", batch, 3, expected_owner, &error), BR_OK, "%s", error.message);
    cr_assert_eq(br_log_append_wait(on, &result, &sequence, &error), BR_OK, "%s", error.message);
    return result;
}

Test(simulated, a_batch_with_two_fences_lands_when_both_hold) {
    uint64_t sequence;
    cr_assert_eq(append(log_, "1", 0, &sequence), BR_APPEND_DONE);
    cr_assert_eq(take_over(log_, 0, 1), BR_APPEND_FENCED);
    cr_assert_eq(take_over(log_, 1, 2), BR_APPEND_FENCED);
    cr_assert_eq(last_sequence("OUT"), 2);
    cr_assert_eq(take_over(log_, 0, 2), BR_APPEND_DONE);
    cr_assert_eq(last_sequence("OUT"), 5);
    cr_assert_eq(take_over(log_, 3, 2), BR_APPEND_FENCED);
    cr_assert_eq(take_over(log_, 0, 5), BR_APPEND_FENCED);
    cr_assert_eq(take_over(log_, 3, 5), BR_APPEND_DONE);
    cr_assert_eq(last_sequence("OUT"), 8);
}

Test(simulated, a_late_batch_is_judged_by_all_its_fences_when_it_lands) {
    teardown();
    setup_with(&(struct br_sim_faults){.seed = 4, .late_batch = 1000});
    struct br_log *other = br_sim_connect(sim, false);
    struct br_log_message own = message_of("braid.p.commit.r1.0", "x");
    enum br_append_result result;
    uint64_t sequence;
    cr_assert_eq(take_over(log_, 0, 0), BR_APPEND_UNKNOWN);
    cr_assert_eq(br_log_append(other, "OUT", &own, 1, 0, &error), BR_OK);
    cr_assert_eq(br_log_append_wait(other, &result, &sequence, &error), BR_OK);
    cr_assert_eq(result, BR_APPEND_DONE);
    for (int i = 0; i < 100; i++)
        last_sequence("OUT");
    cr_assert_eq(last_sequence("OUT"), 1, "the owner's fence holds still, the batch's first one doesn't");
    br_log_close(&other);
}

// --- buckets

static enum br_append_result put(const char *key, const char *value, uint64_t expected, uint64_t *ret_revision) {
    struct br_log_message message = message_of(key, value);
    enum br_append_result result;
    cr_assert_eq(br_log_append(log_, "KV_jobs", &message, 1, expected, &error), BR_OK, "%s", error.message);
    cr_assert_eq(br_log_append_wait(log_, &result, ret_revision, &error), BR_OK, "%s", error.message);
    return result;
}

Test(simulated, a_bucket_keeps_the_last_value_of_each_key_and_changes_by_compare_and_set) {
    uint64_t a, b;
    cr_assert_eq(br_log_ensure_bucket(log_, "jobs", 0, &error), BR_OK, "%s", error.message);
    cr_assert_eq(put("$KV.jobs.a", "1", 0, &a), BR_APPEND_DONE);
    cr_assert_eq(put("$KV.jobs.b", "1", 0, &b), BR_APPEND_DONE);
    cr_assert_eq(put("$KV.jobs.a", "2", 0, &a), BR_APPEND_FENCED);
    cr_assert_eq(put("$KV.jobs.a", "2", a, &a), BR_APPEND_DONE);
    cr_assert_eq(br_log_ensure_bucket(log_, "jobs", 0, &error), BR_OK, "again: nothing happens");
    struct br_stream_info info;
    cr_assert_eq(br_log_stream_info(log_, "KV_jobs", &info, &error), BR_OK);
    cr_assert(info.first_sequence == 2 && info.last_sequence == 3 && info.message_count == 2);
    cr_assert_eq(info.bytes, 2 * sizeof "$KV.jobs.a");
    struct br_reader *reader = open_reader("KV_jobs", "$KV.jobs.>", 0);
    const struct br_log_message *messages;
    cr_assert_eq(peek(reader, &messages), 2);
    cr_assert(br_slice_is(messages[0].subject, "$KV.jobs.b") && br_slice_is(messages[1].payload, "2"));
    br_reader_close(&reader);
    cr_assert_eq(br_log_ensure_bucket(log_, "a.b", 0, &error), BR_FATAL);
}

static int run_faulty_appends(struct br_sim_faults faults, int *unknown, int *landed) {
    teardown();
    setup_with(&faults);
    int done = 0;
    uint64_t sequence = 0;
    *unknown = *landed = 0;
    for (int i = 0; i < 200; i++) {
        struct br_log_message message = message_of("braid.p.commit.t0", "x");
        enum br_append_result result;
        uint64_t before = last_sequence("OUT");
        cr_assert_eq(br_log_append(log_, "OUT", &message, 1, before, &error), BR_OK);
        cr_assert_eq(br_log_append_wait(log_, &result, &sequence, &error), BR_OK);
        done += result == BR_APPEND_DONE;
        *unknown += result == BR_APPEND_UNKNOWN;
        *landed += last_sequence("OUT") > before;
    }
    return done;
}

Test(simulated, a_lost_ack_leaves_the_batch_and_a_lost_batch_leaves_nothing) {
    int unknown, landed;
    int done = run_faulty_appends((struct br_sim_faults){.seed = 1, .lose_ack = 300}, &unknown, &landed);
    cr_assert(unknown > 20 && done + unknown == 200 && landed == 200);
    done = run_faulty_appends((struct br_sim_faults){.seed = 1, .lose_batch = 300}, &unknown, &landed);
    cr_assert(unknown > 20 && done + unknown == 200 && landed == done);
}

Test(simulated, a_late_batch_lands_some_calls_later_if_its_fence_still_holds) {
    teardown();
    setup_with(&(struct br_sim_faults){.seed = 3, .late_batch = 1000});
    struct br_log *other = br_sim_connect(sim, false);
    uint64_t sequence;
    cr_assert_eq(append(log_, "late", 0, &sequence), BR_APPEND_UNKNOWN);
    for (int i = 0; i < 100; i++)
        last_sequence("OUT");
    cr_assert_eq(last_sequence("OUT"), 2);
    cr_assert_eq(append(log_, "late again", 2, &sequence), BR_APPEND_UNKNOWN);
    cr_assert_eq(append(other, "first", 2, &sequence), BR_APPEND_DONE);
    for (int i = 0; i < 100; i++)
        last_sequence("OUT");
    cr_assert_eq(last_sequence("OUT"), 4, "the zombie's write must have been fenced off");
    br_log_close(&other);
}

Test(simulated, a_refused_append_says_retry_and_leaves_nothing) {
    teardown();
    setup_with(&(struct br_sim_faults){.seed = 5, .refuse = 500});
    struct br_log *observer = br_sim_connect(sim, false);
    struct br_stream_info info;
    uint64_t expected = 0;
    int refused = 0;
    for (int i = 0; i < 100; i++) {
        struct br_log_message message = message_of("braid.p.commit.t0", "x");
        enum br_append_result result;
        uint64_t sequence;
        enum br_status status = br_log_append(log_, "OUT", &message, 1, expected, &error);
        if (status == BR_OK)
            status = br_log_append_wait(log_, &result, &sequence, &error);
        refused += status == BR_RETRY;
        if (status == BR_OK) {
            cr_assert_eq(result, BR_APPEND_DONE);
            expected = sequence;
        }
        cr_assert_eq(br_log_stream_info(observer, "OUT", &info, &error), BR_OK);
        cr_assert_eq(info.last_sequence, expected);
    }
    cr_assert(refused > 20 && refused < 100);
    br_log_close(&observer);
}

// --- crashes and determinism

Test(simulated, a_crash_can_be_put_at_every_call_and_leaves_the_connection_dead) {
    br_sim_crash_at(log_, 2);
    struct br_stream_info info;
    cr_assert_eq(br_log_stream_info(log_, "OUT", &info, &error), BR_OK);
    cr_assert_not(br_sim_crashed(log_));
    cr_assert_eq(br_log_stream_info(log_, "OUT", &info, &error), BR_FATAL);
    cr_assert(br_sim_crashed(log_));
    struct br_log_message message = message_of("braid.p.commit.t0", "x");
    cr_assert_eq(br_log_append(log_, "OUT", &message, 1, 0, &error), BR_FATAL);
    struct br_log *successor = br_sim_connect(sim, true);
    cr_assert_eq(br_log_stream_info(successor, "OUT", &info, &error), BR_OK);
    cr_assert_eq(info.last_sequence, 0);
    br_log_close(&successor);
}

Test(simulated, a_crash_while_waiting_for_the_reply_leaves_the_batch) {
    struct br_log_message message = message_of("braid.p.commit.t0", "x");
    enum br_append_result result;
    uint64_t sequence;
    br_sim_crash_at(log_, 2);
    cr_assert_eq(br_log_append(log_, "OUT", &message, 1, 0, &error), BR_OK);
    cr_assert_eq(br_log_append_wait(log_, &result, &sequence, &error), BR_FATAL);
    struct br_log *successor = br_sim_connect(sim, true);
    struct br_stream_info info;
    cr_assert_eq(br_log_stream_info(successor, "OUT", &info, &error), BR_OK);
    cr_assert_eq(info.last_sequence, 1);
    br_log_close(&successor);
}

static void history(uint64_t seed, char *text, size_t size) {
    teardown();
    setup_with(&(struct br_sim_faults){
        .seed = seed, .lose_ack = 100, .lose_batch = 100, .late_batch = 100, .delay = 300, .refuse = 100, .crash = 2});
    struct br_reader *reader = NULL;
    size_t len = 0;
    uint64_t expected = 0;
    for (int i = 0; i < 60; i++) {
        struct br_log_message message = message_of("in.a", "x");
        enum br_status status = br_log_publish(log_, &message, &error);
        len += (size_t)snprintf(text + len, size - len, "%d", status);
        if (reader == NULL)
            status = br_reader_open(log_, "IN", "in.>", 1, 0, &reader, &error);
        const struct br_log_message *messages;
        size_t count = 0;
        if (reader != NULL && br_reader_peek(reader, &messages, &count, &error) == BR_OK)
            br_reader_consume(reader, count / 2);
        struct br_log_message commit = message_of("braid.p.commit.t0", "x");
        enum br_append_result result = BR_APPEND_UNKNOWN;
        if (br_log_append(log_, "OUT", &commit, 1, expected, &error) == BR_OK &&
            br_log_append_wait(log_, &result, &expected, &error) == BR_OK)
            len += (size_t)snprintf(text + len, size - len, "r%d", result);
        len += (size_t)snprintf(text + len, size - len, "c%zu ", count);
    }
    br_reader_close(&reader);
}

Test(simulated, the_same_seed_gives_the_same_history_and_another_one_another) {
    static char first[8192], again[8192], other[8192];
    history(42, first, sizeof first);
    history(42, again, sizeof again);
    history(43, other, sizeof other);
    cr_assert_str_eq(first, again);
    cr_assert_str_neq(first, other);
}

// --- reading

Test(simulated, a_reader_shows_what_matches_in_order_each_once) {
    publish("in.a", "1");
    publish("in.b", "2");
    publish("in.a", "3");
    struct br_reader *reader = open_reader("IN", "in.a", 1);
    const struct br_log_message *messages;
    cr_assert_eq(peek(reader, &messages), 2);
    cr_assert_eq(messages[0].sequence, 1);
    cr_assert_eq(messages[1].sequence, 3);
    cr_assert(messages[0].timestamp.us < messages[1].timestamp.us);
    cr_assert(br_reader_caught_up(reader));
    br_reader_consume(reader, 1);
    publish("in.a", "4");
    cr_assert_eq(br_reader_pending(reader), 2);
    cr_assert_eq(peek(reader, &messages), 2);
    cr_assert_eq(messages[0].sequence, 3);
    cr_assert_eq(messages[1].sequence, 4);
    br_reader_consume(reader, 2);
    br_reader_release(reader);
    cr_assert_eq(peek(reader, &messages), 0);
    cr_assert_eq(br_reader_pending(reader), 0);
    br_reader_close(&reader);
}

Test(simulated, a_reader_ends_at_its_stop_sequence) {
    for (int i = 0; i < 5; i++)
        publish("in.a", "x");
    struct br_reader *reader;
    cr_assert_eq(br_reader_open(log_, "IN", "in.>", 2, 3, &reader, &error), BR_OK);
    const struct br_log_message *messages;
    cr_assert_eq(peek(reader, &messages), 2);
    cr_assert_eq(messages[0].sequence, 2);
    cr_assert(br_reader_caught_up(reader));
    br_reader_close(&reader);
}

Test(simulated, a_delayed_reader_shows_all_in_the_end) {
    teardown();
    setup_with(&(struct br_sim_faults){.seed = 9, .delay = 900});
    for (int i = 0; i < 100; i++)
        publish("in.a", "x");
    struct br_reader *reader = open_reader("IN", "in.>", 1);
    const struct br_log_message *messages;
    int polls = 0;
    uint64_t next = 1;
    while (next <= 100 && ++polls < 1000) {
        size_t count = peek(reader, &messages);
        for (size_t i = 0; i < count; i++)
            cr_assert_eq(messages[i].sequence, next++);
        br_reader_consume(reader, count);
    }
    cr_assert(next == 101 && polls > 3);
    br_reader_close(&reader);
}

Test(simulated, a_purge_of_what_was_not_read_is_fatal_and_names_the_sequences) {
    for (int i = 0; i < 10; i++)
        publish("in.a", "x");
    struct br_reader *reader = open_reader("IN", "in.>", 1);
    const struct br_log_message *messages;
    size_t count;
    peek(reader, &messages);
    for (int i = 0; i < 10; i++)
        publish("in.a", "x");
    br_sim_purge(sim, "IN", 16);
    cr_assert_eq(messages[9].sequence, 10, "what was shown stays readable");
    cr_assert_eq(br_reader_peek(reader, &messages, &count, &error), BR_FATAL);
    cr_assert(strstr(error.message, "sequences 11 to 15 are gone"), "%s", error.message);
    br_reader_close(&reader);
    cr_assert_eq(br_reader_open(log_, "IN", "in.>", 12, 0, &reader, &error), BR_FATAL);
    cr_assert(strstr(error.message, "sequences 12 to 15 are gone"), "%s", error.message);
    reader = open_reader("IN", "in.>", 1);
    cr_assert_eq(peek(reader, &messages), 5);
    cr_assert_eq(messages[0].sequence, 16);
    br_reader_close(&reader);
}

Test(simulated, a_purge_of_what_was_read_or_is_not_ours_goes_unnoticed) {
    struct br_reader *reader = open_reader("IN", "in.a", 1);
    const struct br_log_message *messages;
    publish("in.a", "x");
    br_reader_consume(reader, peek(reader, &messages));
    publish("in.b", "x");
    publish("in.a", "x");
    br_sim_purge(sim, "IN", 3);
    cr_assert_eq(peek(reader, &messages), 1);
    cr_assert_eq(messages[0].sequence, 3);
    br_reader_close(&reader);
}

Test(simulated, a_stream_that_lost_its_newest_messages_is_noticed) {
    for (int i = 0; i < 5; i++)
        publish("in.a", "x");
    struct br_reader *reader = open_reader("IN", "in.>", 1);
    const struct br_log_message *messages;
    size_t count;
    peek(reader, &messages);
    br_sim_forget_after(sim, "IN", 3);
    cr_assert_eq(br_reader_peek(reader, &messages, &count, &error), BR_FATAL);
    cr_assert(strstr(error.message, "ends at sequence 3"), "%s", error.message);
    br_reader_close(&reader);
    publish("in.a", "y");
    cr_assert_eq(last_sequence("IN"), 4);
}

Test(simulated, a_stream_made_anew_is_noticed_and_has_another_creation_time) {
    struct br_stream_info before, after;
    publish("in.a", "x");
    struct br_reader *reader = open_reader("IN", "in.>", 1);
    const struct br_log_message *messages;
    size_t count;
    peek(reader, &messages);
    cr_assert_eq(br_log_stream_info(log_, "IN", &before, &error), BR_OK);
    br_sim_recreate(sim, "IN");
    cr_assert_eq(br_log_stream_info(log_, "IN", &after, &error), BR_OK);
    cr_assert_neq(before.created.us, after.created.us);
    publish("in.a", "y");
    cr_assert_eq(last_sequence("IN"), 1);
    cr_assert_eq(br_reader_peek(reader, &messages, &count, &error), BR_FATAL);
    cr_assert(strstr(error.message, "made anew"));
    br_reader_close(&reader);
}

Test(simulated, the_last_of_a_subject_falls_back_when_the_newest_is_deleted) {
    struct br_buffer copy = {0};
    struct br_log_message message;
    bool found;
    publish("in.a", "one");
    publish("in.a", "two");
    br_sim_delete(sim, "IN", 2);
    cr_assert_eq(br_log_last(log_, "IN", "in.a", &copy, &message, &found, &error), BR_OK);
    cr_assert(found && message.sequence == 1);
    br_buffer_free(&copy);
}

// --- waiting and the clock

Test(simulated, waiting_moves_the_clock_only_when_nothing_is_there) {
    const struct br_clock *clock = br_sim_clock(sim);
    struct br_reader *reader = open_reader("IN", "in.>", 1);
    int64_t start = clock->wall(clock).us;
    br_log_wait(log_, 5000);
    cr_assert_eq(clock->wall(clock).us, start + 5000);
    publish("in.a", "x");
    br_log_wait(log_, 5000);
    cr_assert_eq(clock->wall(clock).us, start + 5000);
    br_log_wake(log_);
    const struct br_log_message *messages;
    peek(reader, &messages);
    br_log_wait(log_, 5000);
    cr_assert_eq(clock->wall(clock).us, start + 5000);
    br_log_wait(log_, INT64_C(3600000000));
    cr_assert_eq(clock->wall(clock).us, start + 5000 + 1000000, "one wait moves the clock by a second at most");
    br_reader_close(&reader);
}

Test(simulated, the_clock_never_goes_back_once_something_is_stored) {
    const struct br_clock *clock = br_sim_clock(sim);
    br_sim_set_wall(sim, (struct br_wall_time){1000});
    cr_assert_eq(clock->wall(clock).us, 1000);
    publish("in.a", "x");
    br_sim_set_wall(sim, (struct br_wall_time){500});
    cr_assert_eq(clock->wall(clock).us, 1000);
}

// --- requests

static void answer(void *context) {
    struct br_request request;
    if (!br_requests_take(context, BR_REQUESTS_ALL, br_sim_clock(sim)->mono(br_sim_clock(sim)), &request))
        return;
    cr_assert_eq(request.kind, 1);
    enum br_status first = br_requests_answer(&request, br_slice_of("part one,"), false, &error);
    enum br_status last = br_requests_answer(&request, request.payload, true, &error);
    cr_assert(first == BR_OK || last != BR_OK, "an answer that was cut goes on");
}

static enum br_status gather(void *context, struct br_slice part, struct br_error *each_error) {
    (void)each_error;
    strncat(context, (const char *)part.ptr, part.len);
    return BR_OK;
}

static enum br_status ask(struct br_control *asker, char *text) {
    text[0] = '\0';
    return br_control_request(asker, "braid.p.query", br_slice_of("q"), 1000000, gather, text, &error);
}

Test(simulated, a_request_is_answered_in_parts_by_the_one_who_serves_it) {
    char text[64];
    struct br_control *asker = br_sim_control(sim, false), *server = br_sim_control(sim, false);
    struct br_requests *requests = br_requests_create();
    cr_assert_eq(ask(asker, text), BR_FATAL);
    cr_assert(strstr(error.message, "no worker answers"));
    br_control_serve(server, "braid.p.status", requests, 0);
    br_control_serve(server, "braid.p.query", requests, 1);
    br_sim_on_idle(sim, answer, requests);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(ask(asker, text), BR_OK);
        cr_assert_str_eq(text, "part one,q");
    }
    br_sim_on_idle(sim, NULL, NULL);
    cr_assert_eq(ask(asker, text), BR_FATAL);
    br_control_close(&asker);
    br_control_close(&server);
    br_requests_destroy(&requests);
}

Test(simulated, questions_are_lost_doubled_and_late_and_answers_cut_but_never_mixed) {
    char text[64];
    struct br_sim_faults faults = {
        .seed = 7, .lose_request = 200, .double_request = 300, .late_request = 300, .cut_answer = 200};
    struct br_control *asker = br_sim_control(sim, false), *server = br_sim_control(sim, true),
                      *zombie = br_sim_control(sim, true);
    struct br_requests *requests = br_requests_create();
    int answered = 0;
    br_sim_set_faults(sim, &faults);
    br_control_serve(server, "braid.p.query", requests, 1);
    br_control_serve(zombie, "braid.p.query", requests, 1);
    br_sim_on_idle(sim, answer, requests);
    for (int i = 0; i < 200; i++)
        if (ask(asker, text) == BR_OK) {
            cr_assert_str_eq(text, "part one,q");
            answered++;
        }
    cr_assert(answered > 20 && answered < 200, "%d answered", answered);
    br_control_close(&asker);
    br_control_close(&zombie);
    br_control_close(&server);
    br_requests_destroy(&requests);
}

Test(simulated, of_each_subject_the_newest_messages_are_kept_and_the_former_ones_are_back_when_those_are_lost) {
    struct br_stream_info info;
    struct br_buffer copy = {0};
    struct br_log_message message;
    bool found;
    cr_assert_eq(br_sim_add_stream(sim, "KV", &(const char *){"kv.>"}, 1, &error), BR_OK);
    br_sim_keep_per_subject(sim, "KV", 2);
    for (int i = 0; i < 6; i++) { // 1 to 6
        struct br_log_message put = {.subject = br_slice_of(i % 3 == 2 ? "kv.b" : "kv.a")};
        cr_assert_eq(br_log_publish(log_, &put, &error), BR_OK);
    }
    cr_assert_eq(br_log_stream_info(log_, "KV", &info, &error), BR_OK);
    cr_assert(info.max_per_subject == 2 && info.message_count == 4 && info.first_sequence == 3 &&
              info.last_sequence == 6);
    br_sim_forget_after(sim, "KV", 4); // 5 had replaced 2; 4 still replaces 1
    cr_assert_eq(br_log_stream_info(log_, "KV", &info, &error), BR_OK);
    cr_assert(info.message_count == 3 && info.first_sequence == 2 && info.last_sequence == 4);
    cr_assert_eq(br_log_get(log_, "KV", 2, &copy, &message, &found, &error), BR_OK);
    cr_assert(found);
    cr_assert_eq(br_log_get(log_, "KV", 1, &copy, &message, &found, &error), BR_OK);
    cr_assert(!found);
    br_buffer_free(&copy);
}
