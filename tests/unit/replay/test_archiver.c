// SPDX-License-Identifier: Apache-2.0
#include "base/logging.h"
#include "processor/log/simulated.h"
#include "processor/sql/sql.h"
#include "replay/archiver.h"
#include "replay/retention.h"
#include "tests/unit/replay/folder.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64], segments[BR_ARCHIVE_PATH_SIZE];
static struct br_sim *sim;
static struct br_log *log_;
static struct br_pipeline *pipeline;
static struct br_archiver *archiver;
static struct br_error error;
static uint64_t published;

static void load_subject(const char *subject, const char *options) {
    char sql[512];
    snprintf(sql, sizeof sql, "CREATE TABLE t (a bigint, b text) WITH (subject = '%s', archive = 'file://%s'%s);",
             subject, folder, options);
    struct br_diagnostics *diagnostics = br_diagnostics_create("p.sql", sql);
    cr_assert_eq(br_pipeline_load("p.sql", sql, NULL, diagnostics, &pipeline, &error), BR_OK);
    br_diagnostics_destroy(&diagnostics);
}

static void load(const char *options) {
    load_subject("in.b", options);
}

// A table of in.b on the stream IN, where others write to in.a.
static void begin(void) {
    static const char *const subjects[] = {"in.>"};
    br_log_configure(BR_LEVEL_ERROR, false);
    folder_make(folder);
    load("");
    cr_assert_eq(br_archive_folder(folder, "p", "t", BR_SEGMENT_STREAM, segments, &error), BR_OK);
    sim = br_sim_create(NULL);
    cr_assert_eq(br_sim_add_stream(sim, "IN", subjects, 1, &error), BR_OK);
    log_ = br_sim_connect(sim, false);
}
static void end(void) {
    br_archiver_destroy(&archiver);
    br_log_close(&log_);
    br_sim_destroy(&sim);
    br_pipeline_destroy(&pipeline);
    folder_remove(folder);
}
TestSuite(archiver, .init = begin, .fini = end);

// Every third message is in.a.
static void publish(uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        uint8_t payload[32];
        struct br_log_message message = folder_message(++published, payload);
        cr_assert_eq(br_log_publish(log_, &message, &error), BR_OK);
    }
}

static void start(uint64_t segment_bytes) {
    struct br_archiver_options options = {
        .pipeline = pipeline, .clock = br_sim_clock(sim), .segment_bytes = segment_bytes};
    br_archiver_destroy(&archiver);
    archiver = br_archiver_create(&options, log_);
}

static void run(void) {
    while (br_archiver_step(archiver))
        continue;
}

static void pass(int64_t seconds) {
    br_sim_set_wall(sim, (struct br_wall_time){br_sim_clock(sim)->wall(br_sim_clock(sim)).us + seconds * 1000000});
}

static void complain(void *context, const char *fault) {
    (void)context;
    cr_assert(false, "%s", fault);
}

#define ANY UINT64_MAX
// The archive is sound and holds all messages of in.b with sequences first … last; its end.
static uint64_t check(uint64_t first, uint64_t last) {
    struct br_archive *archive;
    struct br_archive_check counts;
    cr_assert_eq(br_archive_open(segments, &archive, &error), BR_OK);
    cr_assert_eq(br_archive_verify(archive, complain, NULL, &counts, &error), BR_OK);
    uint64_t next = first, end = archive->count == 0 ? 0 : archive->segments[archive->count - 1].info.to;
    struct br_block block = {0};
    for (size_t i = 0; i < archive->count; i++) {
        struct br_segment_reader *reader;
        bool found = true;
        cr_assert_eq(br_archive_open_segment(archive, i, &reader, &error), BR_OK);
        while (br_segment_next(reader, &block, &found, &error) == BR_OK && found) {
            for (size_t m = 0; m < block.count; m++, next++) {
                uint8_t payload[32];
                next += next % 3 == 0;
                struct br_log_message wanted = folder_message(next, payload);
                cr_assert_eq(block.messages[m].sequence, next);
                cr_assert(br_slice_equal(block.messages[m].payload, wanted.payload));
            }
        }
        br_segment_close(&reader);
    }
    br_block_free(&block);
    br_archive_close(&archive);
    cr_assert(last == ANY || next == last + 1 || next == last, "%lu", (unsigned long)next);
    return end;
}

Test(archiver, copies_what_is_there_when_it_finishes) {
    publish(100);
    start(0);
    run();
    cr_assert_eq(check(1, 0), 0); // nothing is sealed yet
    br_archiver_finish(archiver);
    cr_assert_eq(check(1, 100), 100);
}

Test(archiver, seals_when_a_segment_is_full_or_old) {
    publish(300);
    start(500);
    run();
    uint64_t full = check(1, ANY);
    cr_assert(full > 100 && full < 300, "%lu", (unsigned long)full);
    pass(61);
    run();
    cr_assert_eq(check(1, 300), 300);
}

Test(archiver, goes_on_behind_the_last_segment_after_a_crash) {
    uint64_t total = 0;
    for (int round = 0; round < 30; round++) {
        publish(37);
        total += 37;
        start(round % 3 == 0 ? 300 : 5000); // the one before dies where it is
        br_archiver_step(archiver);
        if (round % 4 == 0)
            br_archiver_finish(archiver);
    }
    run();
    br_archiver_finish(archiver);
    cr_assert_eq(check(1, total), total);
}

Test(archiver, others_messages_are_covered_so_that_they_may_go) {
    publish(4);
    start(0);
    run();
    br_archiver_finish(archiver);
    for (int i = 0; i < 10; i++) { // only others' for a long while
        struct br_log_message message = {.subject = br_slice_of("in.a"), .payload = br_slice_of("x")};
        for (int k = 0; k < 20; k++)
            cr_assert_eq(br_log_publish(log_, &message, &error), BR_OK);
        run();
        pass(61);
        run();
    }
    struct br_archive *archive;
    cr_assert_eq(br_archive_open(segments, &archive, &error), BR_OK);
    cr_assert_leq(archive->count, 3);
    cr_assert_eq(archive->segments[archive->count - 1].info.to, 204);
    br_archive_close(&archive);
    br_sim_purge(sim, "IN", 205);
    start(0);
    run();
    published = 204; // 205 is in.b
    publish(2);
    run();
    br_archiver_finish(archiver);
    cr_assert_eq(br_archive_open(segments, &archive, &error), BR_OK);
    cr_assert_eq(archive->segments[archive->count - 1].info.last, 206);
    br_archive_close(&archive);
}

Test(archiver, a_hole_stops_it_and_leaves_the_archive_sound) {
    publish(50);
    start(0);
    run();
    br_archiver_finish(archiver);
    publish(50);
    br_sim_purge(sim, "IN", 71);
    start(0);
    run();
    br_archiver_finish(archiver);
    cr_assert_eq(check(1, 50), 50);
}

Test(archiver, a_stream_made_anew_is_not_mixed_with_the_old_one) {
    publish(50);
    start(0);
    run();
    br_archiver_finish(archiver);
    br_sim_recreate(sim, "IN");
    published = 0;
    publish(80);
    start(0);
    run();
    br_archiver_finish(archiver);
    cr_assert_eq(check(1, 50), 50);
}

// The server loses what was archived, and others' messages come in its place.
static void stream_went_back(bool running) {
    publish(60);
    start(0);
    run();
    br_archiver_finish(archiver);
    if (!running)
        br_archiver_destroy(&archiver);
    br_sim_forget_after(sim, "IN", 40);
    pass(1);
    published = 40;
    publish(50);
    if (!running)
        start(0);
    run();
    br_archiver_finish(archiver);
    cr_assert_eq(check(1, 60), 60); // nothing of the other past is mixed in
}

Test(archiver, a_stream_that_went_back_is_not_mixed_with_what_it_was) {
    stream_went_back(false);
}

Test(archiver, a_stream_that_goes_back_under_it_is_noticed) {
    stream_went_back(true);
}

Test(archiver, a_table_with_another_subject_is_not_mixed_with_what_it_had) {
    publish(50);
    start(0);
    run();
    br_archiver_finish(archiver);
    br_archiver_destroy(&archiver);
    br_pipeline_destroy(&pipeline);
    load_subject("in.a", "");
    publish(50);
    start(0);
    run();
    br_archiver_finish(archiver);
    cr_assert_eq(check(1, 50), 50);
}

Test(archiver, begins_where_a_stream_begins) {
    publish(60);
    br_sim_purge(sim, "IN", 21);
    start(0);
    run();
    br_archiver_finish(archiver);
    cr_assert_eq(check(22, 60), 60);
}

Test(archiver, retention_keeps_what_is_young) {
    br_pipeline_destroy(&pipeline);
    load(", archive_retention = '1 hour'");
    publish(50);
    start(0);
    run();
    br_archiver_finish(archiver);
    pass(7200);
    publish(50);
    run();
    pass(61);
    run();
    struct br_archive *archive;
    cr_assert_eq(br_archive_open(segments, &archive, &error), BR_OK);
    cr_assert_leq(archive->count, 2); // the two may have been merged before
    cr_assert_eq(archive->segments[archive->count - 1].info.to, 100);
    br_archive_close(&archive);
}

Test(archiver, two_of_them_do_not_write_to_one_folder) {
    publish(10);
    start(0);
    run();
    struct br_archiver *first = archiver;
    archiver = NULL;
    publish(10);
    start(0);
    run();
    br_archiver_finish(archiver); // has nothing
    cr_assert_eq(check(1, 0), 0);
    br_archiver_step(first);
    br_archiver_finish(first);
    cr_assert_eq(check(1, 20), 20);
    br_archiver_destroy(&first);
    pass(2);
    run();
    publish(10);
    run();
    br_archiver_finish(archiver);
    cr_assert_eq(check(1, 30), 30);
}

Test(archiver, the_guard_warns_before_the_stream_drops_what_is_needed) {
    struct br_buffer warning = {0};
    struct br_wall_time now;
#define CHECK_AT(needed)                                                                                               \
    do {                                                                                                               \
        br_buffer_clear(&warning);                                                                                     \
        now = br_sim_clock(sim)->wall(br_sim_clock(sim));                                                              \
        cr_assert_eq(br_retention_check(log_, "IN", (needed), "x", now, &warning, &error), BR_OK);                     \
        br_buffer_append_byte(&warning, '\0');                                                                         \
    } while (0)
    publish(100);
    CHECK_AT(1);
    cr_assert_eq(warning.len, 1);
    br_sim_set_limits(sim, "IN", INT64_C(3600) * 1000000, 0);
    CHECK_AT(1);
    cr_assert_eq(warning.len, 1);
    pass(1900);
    CHECK_AT(1);
    cr_assert(strstr((char *)warning.ptr, "max_age") != NULL);
    CHECK_AT(101); // all is read
    cr_assert_eq(warning.len, 1);
    br_sim_set_limits(sim, "IN", 0, 105);
    CHECK_AT(10);
    cr_assert(strstr((char *)warning.ptr, "nearly full") != NULL);
    CHECK_AT(60);
    cr_assert_eq(warning.len, 1);
    br_sim_purge(sim, "IN", 50);
    CHECK_AT(10);
    cr_assert(strstr((char *)warning.ptr, "has dropped what is before 50") != NULL);
    br_buffer_free(&warning);
}

// Lets a child of ours archive and finish, and kills it when it makes its n-th system call from then on. True when it
// had ended before.
static bool archive_and_die(long n) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        start(400);
        run();
        br_archiver_finish(archiver);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    for (long i = 0; i < n && !WIFEXITED(status); i++) {
        cr_assert_eq(ptrace(PTRACE_SYSCALL, child, NULL, NULL), 0);
        cr_assert_eq(waitpid(child, &status, 0), child);
    }
    bool ended = WIFEXITED(status);
    if (!ended) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
    }
    return ended;
}

Test(archiver, killed_at_any_system_call_it_archives_each_message_once, .timeout = 110) {
    publish(60);
    for (long n = 1;; n++) {
        // Twice at the same place, then to the end.
        bool ended = archive_and_die(n);
        check(1, ANY);
        archive_and_die(n);
        check(1, ANY);
        start(400);
        run();
        br_archiver_finish(archiver);
        cr_assert_eq(check(1, 60), 60);
        br_archiver_destroy(&archiver);
        folder_remove(segments);
        if (ended) {
            cr_assert_gt(n, 100);
            break;
        }
    }
}
