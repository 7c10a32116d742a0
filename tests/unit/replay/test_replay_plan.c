// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"
#include "braid/v1/commit.pb-c.h"
#include "processor/log/simulated.h"
#include "processor/sql/sql.h"
#include "replay/epochs.h"
#include "replay/moment.h"
#include "replay/plan.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct br_sim *sim;
static struct br_log *log_;
static struct br_error error;
static uint64_t digests;

static void setup(void) {
    const char *in[] = {"in.>"}, *out[] = {"braid.p.>"};
    sim = br_sim_create(NULL);
    cr_assert_eq(br_sim_add_stream(sim, "IN", in, 1, &error), BR_OK);
    cr_assert_eq(br_sim_add_stream(sim, "BRAID_p", out, 1, &error), BR_OK);
    log_ = br_sim_connect(sim, false);
}
static void teardown(void) {
    br_log_close(&log_);
    br_sim_destroy(&sim);
}
TestSuite(replay_plan, .init = setup, .fini = teardown);

static const char *const start = "2026-01-01T00:00:00Z"; // the simulated clock's
#define SIM_START_US INT64_C(1767225600000000)
static const struct br_wall_time now = {SIM_START_US + 3600 * BR_US_PER_SECOND};

// One message a second, from the start on.
static void feed(int count) {
    static int64_t fed;
    for (int i = 0; i < count; i++) {
        struct br_log_message message = {.subject = br_slice_of("in.a"), .payload = br_slice_of("0123456789")};
        struct br_stream_info info;
        cr_assert_eq(br_log_stream_info(log_, "IN", &info, &error), BR_OK);
        fed = (int64_t)info.last_sequence;
        br_sim_set_wall(sim, (struct br_wall_time){SIM_START_US + fed * BR_US_PER_SECOND});
        cr_assert_eq(br_log_publish(log_, &message, &error), BR_OK);
    }
}

static struct br_stream_info input_stream(void) {
    struct br_stream_info info;
    cr_assert_eq(br_log_stream_info(log_, "IN", &info, &error), BR_OK);
    return info;
}

static void commit_on(const char *subject, const char *lineage, uint64_t epoch, uint64_t first, uint64_t last) {
    Braid__V1__Commit commit;
    Braid__V1__InputPosition input, *inputs[] = {&input};
    uint8_t bytes[512];
    braid__v1__commit__init(&commit);
    braid__v1__input_position__init(&input);
    input.table = (char *)"t";
    input.stream = (char *)"IN";
    input.stream_created_us = input_stream().created.us;
    input.first_sequence = first;
    input.last_sequence = last;
    input.messages = first == 0 ? 0 : last - first + 1;
    commit.epoch = epoch;
    commit.lineage = (char *)lineage;
    commit.inputs = inputs;
    commit.n_inputs = 1;
    commit.part = commit.parts = 1;
    commit.plan_hash = 77;
    commit.digest = ++digests;
    struct br_log_message message = {.subject = br_slice_of(subject), .payload = {bytes, 0}};
    message.payload.len = braid__v1__commit__pack(&commit, bytes);
    cr_assert_eq(br_log_publish(log_, &message, &error), BR_OK, "%s", error.message);
}

// 100 messages; epochs 1 to 10 of ten messages each, and as many view changes between them.
static void ten_epochs(void) {
    feed(100);
    for (uint64_t epoch = 1; epoch <= 10; epoch++) {
        for (uint64_t i = 0; i < epoch; i++) {
            struct br_log_message change = {.subject = br_slice_of("braid.p.view.v"), .payload = br_slice_of("x")};
            cr_assert_eq(br_log_publish(log_, &change, &error), BR_OK);
        }
        commit_on("braid.p.commit.0", "live", epoch, epoch * 10 - 9, epoch * 10);
    }
}

static struct br_replay_plan_options options_of(const char *from, const char *to) {
    return (struct br_replay_plan_options){.log = log_,
                                           .pipeline_name = "p",
                                           .mode = BRAID__V1__REPLAY_MODE__REPLAY_MODE_RECOMPUTE,
                                           .from = from,
                                           .to = to,
                                           .now = now};
}

static struct br_replay_plan *make_plan(const struct br_replay_plan_options *options) {
    struct br_replay_plan *plan;
    cr_assert_eq(br_replay_plan_make(options, &plan, &error), BR_OK, "%s", error.message);
    return plan;
}

// first..last of the only input, and the epochs.
static void expect(const char *from, const char *to, uint64_t first, uint64_t last, uint64_t first_epoch,
                   uint64_t last_epoch) {
    struct br_replay_plan_options options = options_of(from, to);
    struct br_replay_plan *plan = make_plan(&options);
    const char *shown = from == NULL ? "beginning" : from;
    cr_assert_eq(plan->input_count, 1);
    cr_assert_eq(plan->hole_count, 0, "%s: %s", shown, plan->hole_count != 0 ? plan->holes[0].text : "");
    cr_assert(plan->inputs[0]->last_sequence == last && (last == 0 || plan->inputs[0]->first_sequence == first),
              "from %s: %lu to %lu", shown, (unsigned long)plan->inputs[0]->first_sequence,
              (unsigned long)plan->inputs[0]->last_sequence);
    cr_assert(plan->base_first_epoch == first_epoch && plan->base_last_epoch == last_epoch,
              "from %s: epochs %lu to %lu", shown, (unsigned long)plan->base_first_epoch,
              (unsigned long)plan->base_last_epoch);
    cr_assert_eq(plan->sequences, last == 0 ? 0 : last - first + 1);
    br_replay_plan_free(&plan);
}

static void expect_error(const char *from, const char *to, const char *words) {
    struct br_replay_plan_options options = options_of(from, to);
    struct br_replay_plan *plan;
    cr_assert_eq(br_replay_plan_make(&options, &plan, &error), BR_DATA, "%s", from);
    cr_assert(strstr(error.message, words), "%s", error.message);
}

// --- moments

Test(replay_plan, places_in_history_are_read_as_people_say_them) {
    struct br_moment moment;
    const struct {
        const char *text;
        int kind;
        uint64_t number;
        int64_t us;
    } good[] = {{"beginning", BR_MOMENT_BEGINNING, 0, 0},
                {"oldest", BR_MOMENT_OLDEST, 0, 0},
                {"now", BR_MOMENT_NOW, 0, 0},
                {"seq:7", BR_MOMENT_SEQUENCE, 7, 0},
                {"8123", BR_MOMENT_SEQUENCE, 8123, 0},
                {"epoch:12", BR_MOMENT_EPOCH, 12, 0},
                {"2026-01-01T00:00:01Z", BR_MOMENT_TIME, 0, SIM_START_US + BR_US_PER_SECOND},
                {"2026-01-01 01:00:00+01", BR_MOMENT_TIME, 0, SIM_START_US},
                {"30 minutes", BR_MOMENT_TIME, 0, now.us - 1800 * BR_US_PER_SECOND},
                {"2 hours ago", BR_MOMENT_TIME, 0, now.us - 7200 * BR_US_PER_SECOND}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_assert_eq(br_moment_parse(good[i].text, now, &moment, &error), BR_OK, "%s", error.message);
        cr_assert_eq((int)moment.kind, good[i].kind, "%s", good[i].text);
        cr_assert(moment.kind == BR_MOMENT_TIME ? moment.time.us == good[i].us
                                                : moment.number == good[i].number || good[i].number == 0,
                  "%s", good[i].text);
    }
    const char *const bad[] = {"", "epoch:", "epoch:x", "seq:0", "0", "-2 hours", "yesteryear", "epoch:1 "};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(br_moment_parse(bad[i], now, &moment, &error), BR_DATA, "%s", bad[i]);
}

Test(replay_plan, a_time_is_found_in_a_stream_with_deleted_messages) {
    feed(100);
    for (uint64_t sequence = 40; sequence < 60; sequence++)
        br_sim_delete(sim, "IN", sequence);
    br_sim_delete(sim, "IN", 1);
    struct br_stream_info info = input_stream();
    for (int64_t second = -1; second <= 100; second++) { // message n was stored n - 1 seconds after the start
        uint64_t sequence, expected = second < 1 ? 2 : (uint64_t)second + 1;
        expected = expected >= 40 && expected < 60 ? 60 : expected;
        cr_assert_eq(br_moment_sequence(log_, &info, "in.>",
                                        (struct br_wall_time){SIM_START_US + second * BR_US_PER_SECOND}, &sequence,
                                        &error),
                     BR_OK);
        cr_assert_eq(sequence, expected, "%ld: %lu, not %lu", (long)second, (unsigned long)sequence,
                     (unsigned long)expected);
    }
}

// --- slices and epochs

Test(replay_plan, a_replay_of_all_repeats_all_recorded_epochs) {
    ten_epochs();
    expect(NULL, NULL, 1, 100, 1, 10);
    expect("beginning", "now", 1, 100, 1, 10);
}

Test(replay_plan, what_the_base_lineage_has_not_read_is_not_in_it) {
    ten_epochs();
    feed(5);
    expect(NULL, NULL, 1, 100, 1, 10);
    struct br_replay_plan_options options = options_of(NULL, NULL);
    options.fresh_epochs = true;
    struct br_replay_plan *plan = make_plan(&options);
    cr_assert(plan->inputs[0]->last_sequence == 105 && plan->base_first_epoch == 0 && plan->base_last_epoch == 10);
    br_replay_plan_free(&plan);
}

Test(replay_plan, epochs_sequences_and_times_are_brought_together) {
    ten_epochs();
    expect("epoch:3", "epoch:5", 21, 50, 3, 5);
    expect("epoch:10", NULL, 91, 100, 10, 10);
    expect("seq:25", "seq:51", 25, 51, 3, 6);
    expect("100", NULL, 100, 100, 10, 10);
    expect("seq:101", NULL, 0, 0, 0, 0);
    expect("2026-01-01T00:00:25Z", "2026-01-01T00:00:30Z", 26, 30, 3, 3);
    expect(start, "2026-01-01T00:00:01Z", 1, 1, 1, 1);
    expect("59 minutes", "seq:100", 61, 100, 7, 10); // now is an hour after the start
    expect_error("epoch:11", NULL, "the last one of live is 10");
    expect_error("beginning", "beginning", "can't end at the beginning");
}

Test(replay_plan, expired_commits_are_noted_and_their_epochs_can_not_be_named) {
    ten_epochs();
    br_sim_purge(sim, "BRAID_p", 10); // epochs 1 to 3
    expect_error("epoch:2", NULL, "the first one left of live is 4");
    struct br_replay_plan_options options = options_of("beginning", NULL);
    struct br_replay_plan *plan = make_plan(&options);
    cr_assert(plan->base_first_epoch == 4 && plan->base_last_epoch == 10);
    cr_assert_eq(plan->inputs[0]->first_sequence, 1);
    cr_assert(plan->note_count == 1 && strstr(plan->notes[0], "Epochs 1 to 3"));
    br_replay_plan_free(&plan);
}

Test(replay_plan, the_epochs_of_a_promoted_lineage_go_on_from_its_subject_to_the_owners) {
    ten_epochs();
    for (uint64_t epoch = 1; epoch <= 10; epoch++)
        commit_on("braid.p.commit.r1.0", "r1", epoch, epoch * 10 - 9, epoch * 10);
    feed(20);
    commit_on("braid.p.commit.0", "live", 11, 101, 110);
    commit_on("braid.p.commit.r1.0", "r1", 11, 101, 110);
    commit_on("braid.p.commit.0", "r1", 12, 0, 110); // the takeover
    commit_on("braid.p.commit.0", "r1", 13, 111, 120);
    struct br_epochs *epochs;
    cr_assert_eq(br_epochs_open(log_, "p", &epochs, &error), BR_OK);
    cr_assert_str_eq(br_epochs_lineage(epochs), "r1");
    br_epochs_close(&epochs);
    expect(NULL, NULL, 1, 120, 1, 13);
    for (uint64_t epoch = 1; epoch <= 13; epoch++) {
        char text[24];
        snprintf(text, sizeof text, "epoch:%lu", (unsigned long)epoch);
        struct br_replay_plan_options options = options_of(text, text);
        struct br_replay_plan *plan = make_plan(&options);
        uint64_t last = epoch == 12 ? 0 : epoch == 13 ? 120 : epoch * 10;
        cr_assert_eq(plan->inputs[0]->last_sequence, last, "epoch %lu", (unsigned long)epoch);
        br_replay_plan_free(&plan);
    }
}

Test(replay_plan, a_pipeline_without_commits_has_nothing_to_verify) {
    feed(3);
    expect_error(NULL, NULL, "committed nothing yet");
}

// --- holes

static struct br_history_facts facts;
static uint64_t archive_answer;

static enum br_status describe(void *context, const char *table, const struct br_stream_info *stream,
                               struct br_arena *arena, struct br_history_facts *ret_facts, struct br_error *why) {
    (void)context, (void)arena, (void)why;
    cr_assert_str_eq(table, "t");
    cr_assert_str_eq(stream->name, "IN");
    *ret_facts = facts;
    return BR_OK;
}
static enum br_status archived_at(void *context, const char *table, struct br_wall_time time, uint64_t *ret_sequence,
                                  struct br_error *why) {
    (void)context, (void)table, (void)time, (void)why;
    *ret_sequence = archive_answer;
    return BR_OK;
}
static const struct br_history_source history = {NULL, describe, archived_at};

static struct br_replay_plan *plan_with_archive(const char *from, const char *to) {
    struct br_replay_plan_options options = options_of(from, to);
    options.history = &history;
    return make_plan(&options);
}

static void expect_holes(struct br_replay_plan *plan, size_t count, uint64_t first, uint64_t last) {
    cr_assert_eq(plan->hole_count, count, "%zu holes", plan->hole_count);
    if (count != 0) {
        cr_assert(plan->holes[0].first == first && plan->holes[0].last == last, "%s", plan->holes[0].text);
        cr_assert_eq(br_replay_plan_check(plan, &error), BR_DATA);
        cr_assert(strstr(error.message, "hole") && strstr(error.message, "stream IN"));
    } else {
        cr_assert_eq(br_replay_plan_check(plan, &error), BR_OK);
    }
    br_replay_plan_free(&plan);
}

Test(replay_plan, what_is_gone_from_the_stream_and_not_archived_is_a_hole) {
    ten_epochs();
    br_sim_purge(sim, "IN", 31);
    facts = (struct br_history_facts){0};
    expect_holes(plan_with_archive(NULL, NULL), 1, 1, 30);
    expect_holes(plan_with_archive("epoch:2", NULL), 1, 11, 30);
    expect_holes(plan_with_archive("epoch:2", "epoch:2"), 1, 11, 20);
    expect_holes(plan_with_archive("epoch:4", NULL), 0, 0, 0);
    expect_holes(plan_with_archive(start, NULL), 1, 1, 30);
    expect_holes(plan_with_archive("2026-01-01T00:00:40Z", NULL), 0, 0, 0);
}

Test(replay_plan, the_beginning_is_where_the_base_lineage_began) {
    feed(100);
    br_sim_purge(sim, "IN", 41);
    commit_on("braid.p.commit.0", "live", 1, 0, 0);
    commit_on("braid.p.commit.0", "live", 2, 41, 100);
    expect(NULL, NULL, 41, 100, 1, 2);
    expect(start, NULL, 41, 100, 2, 2);
}

Test(replay_plan, the_archive_fills_what_is_gone_up_to_the_exact_sequence) {
    ten_epochs();
    br_sim_purge(sim, "IN", 31);
    facts = (struct br_history_facts){
        .archived_first = 1, .archived_last = 30, .archived_messages = 30, .archived_bytes = 300};
    struct br_replay_plan *plan = plan_with_archive(NULL, NULL);
    cr_assert_eq(plan->inputs[0]->archived_last, 30);
    cr_assert(plan->messages == 100 && plan->bytes == 300 + 70 * 14, "%lu messages, %lu bytes",
              (unsigned long)plan->messages, (unsigned long)plan->bytes);
    expect_holes(plan, 0, 0, 0);
    facts.archived_last = 29;
    expect_holes(plan_with_archive(NULL, NULL), 1, 30, 30);
    facts.archived_last = 50;
    plan = plan_with_archive(NULL, NULL);
    cr_assert_eq(plan->inputs[0]->archived_last, 50);
    expect_holes(plan, 0, 0, 0);
    facts.archived_first = 6;
    expect_holes(plan_with_archive(NULL, NULL), 1, 1, 5);
    expect_holes(plan_with_archive("seq:6", NULL), 0, 0, 0);
    const struct br_history_range missing[] = {{10, 12}, {20, 20}};
    facts.missing = missing;
    facts.missing_count = 2;
    expect_holes(plan_with_archive("seq:6", NULL), 2, 10, 12);
    expect_holes(plan_with_archive("seq:12", NULL), 2, 12, 12);
    expect_holes(plan_with_archive("seq:21", NULL), 0, 0, 0);
}

Test(replay_plan, an_archive_with_holes_is_not_used_where_the_stream_has_all) {
    ten_epochs();
    const struct br_history_range missing[] = {{10, 12}};
    facts = (struct br_history_facts){.archived_first = 1, .archived_last = 30, .missing = missing, .missing_count = 1};
    struct br_replay_plan *plan = plan_with_archive(NULL, NULL);
    cr_assert_eq(plan->inputs[0]->archived_last, 0);
    expect_holes(plan, 0, 0, 0);
}

static void expect_left(uint64_t first, uint64_t last, const char *gone) {
    struct br_replay_plan *plan = plan_with_archive("oldest", NULL);
    cr_assert_str_eq(plan->from, "oldest");
    cr_assert(plan->inputs[0]->first_sequence == first && plan->inputs[0]->last_sequence == last, "%lu to %lu",
              (unsigned long)plan->inputs[0]->first_sequence, (unsigned long)plan->inputs[0]->last_sequence);
    cr_assert_eq(plan->note_count == 0, gone == NULL, "%zu notes", plan->note_count);
    cr_assert(gone == NULL || strstr(plan->notes[0], gone), "%s", plan->notes[0]);
    expect_holes(plan, 0, 0, 0);
}

Test(replay_plan, who_says_oldest_begins_behind_the_last_hole_and_is_told_so) {
    ten_epochs();
    facts = (struct br_history_facts){0};
    expect_left(1, 100, NULL);
    br_sim_purge(sim, "IN", 31);
    expect_left(31, 100, "read from sequence 31 of stream IN on: what stood at 1 isn't all there");
    facts = (struct br_history_facts){.archived_first = 1, .archived_last = 30};
    expect_left(1, 100, NULL);
    const struct br_history_range missing[] = {{10, 12}, {20, 20}};
    facts = (struct br_history_facts){.archived_first = 6, .archived_last = 29, .missing = missing, .missing_count = 2};
    expect_left(31, 100, "what stood at 1 ");
    facts.archived_last = 30;
    expect_left(21, 100, "what stood at 1 ");
    facts.prehistory = 1000; // what was imported lies before the hole
    expect_left(1021, 1100, "from sequence 21 of stream IN");
    br_sim_purge(sim, "IN", 101);
    facts = (struct br_history_facts){0};
    expect_left(101, 0, "from sequence 101 ");
    expect_error("beginning", "oldest", "can't end at the beginning");
}

Test(replay_plan, imported_events_come_before_the_streams_first) {
    ten_epochs();
    facts = (struct br_history_facts){.prehistory = 1000, .prehistory_bytes = 5000};
    struct br_replay_plan *plan = plan_with_archive(NULL, NULL);
    cr_assert(plan->inputs[0]->first_sequence == 1 && plan->inputs[0]->last_sequence == 1100);
    cr_assert(plan->sequences == 1100 && plan->messages == 1100 && plan->bytes == 5000 + 1400);
    expect_holes(plan, 0, 0, 0);
    plan = plan_with_archive("epoch:2", "epoch:3");
    cr_assert(plan->inputs[0]->first_sequence == 1011 && plan->inputs[0]->last_sequence == 1030);
    cr_assert(plan->base_first_epoch == 2 && plan->base_last_epoch == 3);
    expect_holes(plan, 0, 0, 0);
    archive_answer = 401;
    plan = plan_with_archive("2025-01-01T00:00:00Z", NULL);
    cr_assert(plan->inputs[0]->first_sequence == 401 && plan->messages == 700);
    expect_holes(plan, 0, 0, 0);
    archive_answer = 0;
}

Test(replay_plan, a_stream_made_anew_is_told) {
    ten_epochs();
    br_sim_recreate(sim, "IN");
    expect_error(NULL, NULL, "made anew");
}

// --- words

static struct br_pipeline *load_views(const char *condition) {
    struct br_pipeline *pipeline;
    char sql[600];
    snprintf(sql, sizeof sql,
             "CREATE TABLE t (a bigint, b text) WITH (subject = 'in.a');"
             "CREATE MATERIALIZED VIEW revenue AS SELECT b, sum(a) AS s FROM t WHERE %s GROUP BY b;"
             "CREATE MATERIALIZED VIEW orders AS SELECT b, count(*) AS n FROM t GROUP BY b;",
             condition);
    struct br_diagnostics *diagnostics = br_diagnostics_create("p.sql", sql);
    cr_assert_eq(br_pipeline_load("p.sql", sql, NULL, diagnostics, &pipeline, &error), BR_OK, "%s", error.message);
    br_diagnostics_destroy(&diagnostics);
    return pipeline;
}

Test(replay_plan, a_plan_reads_as_text_and_as_json_and_fills_a_job) {
    ten_epochs();
    struct br_pipeline *before = load_views("a > 1"), *after = load_views("a >= 2");
    struct br_upgrade *upgrade = br_upgrade_compare(before, after);
    struct br_replay_plan_options options = options_of(NULL, NULL);
    options.upgrade = upgrade;
    options.messages_per_second = 10;
    struct br_replay_plan *plan = make_plan(&options);
    struct br_buffer out = {0};
    br_replay_plan_text(plan, &out);
    br_buffer_append_byte(&out, '\0');
    const char *const words[] = {
        "epochs 1 to 10 of live", "IN: 1..100", "100 messages", "10 s", "revenue          rebuild: WHERE changed",
        "orders           keep\n"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        cr_assert(strstr((char *)out.ptr, words[i]), "%s in\n%s", words[i], (char *)out.ptr);
    br_buffer_clear(&out);
    br_replay_plan_json(plan, &out);
    struct br_json json, value;
    cr_assert_eq(br_json_parse(br_buffer_slice(&out), &json, &error), BR_OK, "%s", error.message);
    cr_assert(br_json_member(&json, "seconds", plan->arena, &value) && br_slice_is(value.text, "10"));
    Braid__V1__ReplayJob record;
    braid__v1__replay_job__init(&record);
    br_replay_plan_fill(plan, &record);
    cr_assert(record.n_inputs == 1 && record.progress->messages_total == 100 && record.base_last_epoch == 10);
    cr_assert_str_eq(record.base_lineage, "live");
    cr_assert_eq(record.n_taken_over, 0);
    br_replay_plan_free(&plan);
    options.take_over = true;
    options.pipeline = after;
    plan = make_plan(&options);
    braid__v1__replay_job__init(&record);
    br_replay_plan_fill(plan, &record);
    cr_assert_eq(record.n_taken_over, 1);
    cr_assert_str_eq(record.taken_over[0], "orders");
    br_buffer_free(&out);
    br_replay_plan_free(&plan);
    br_upgrade_destroy(&upgrade);
    br_pipeline_destroy(&before);
    br_pipeline_destroy(&after);
}
