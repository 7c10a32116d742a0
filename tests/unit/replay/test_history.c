// SPDX-License-Identifier: Apache-2.0
#include "base/logging.h"
#include "processor/log/simulated.h"
#include "processor/sql/sql.h"
#include "replay/history.h"
#include "tests/unit/replay/folder.h"

#include <criterion/criterion.h>
#include <unistd.h>

static char folder[64], segments[BR_ARCHIVE_PATH_SIZE], imports[BR_ARCHIVE_PATH_SIZE];
static struct br_sim *sim;
static struct br_log *log_;
static struct br_pipeline *pipeline;
static struct br_history *history;
static struct br_error error;

// A table of in.> on the stream IN, archived in `folder`; the stream has messages 1 … 100 with folder_message's
// payloads.
static void begin(void) {
    static const char *const subjects[] = {"in.>"};
    char sql[256], path[BR_ARCHIVE_PATH_SIZE];
    int lock;
    br_log_configure(BR_LEVEL_ERROR, false);
    folder_make(folder);
    snprintf(sql, sizeof sql, "CREATE TABLE t (a bigint, b text) WITH (subject = 'in.>', archive = 'file://%s');",
             folder);
    struct br_diagnostics *diagnostics = br_diagnostics_create("p.sql", sql);
    cr_assert_eq(br_pipeline_load("p.sql", sql, NULL, diagnostics, &pipeline, &error), BR_OK);
    br_diagnostics_destroy(&diagnostics);
    cr_assert_eq(br_archive_folder(folder, "p", "t", BR_SEGMENT_IMPORT, imports, &error), BR_OK);
    cr_assert_eq(br_archive_folder(folder, "p", "t", BR_SEGMENT_STREAM, segments, &error), BR_OK);
    snprintf(path, sizeof path, "%s", imports);
    cr_assert_eq(br_archive_lock(path, &lock, &error), BR_OK); // makes the folders
    br_archive_unlock(&lock);
    sim = br_sim_create(NULL);
    cr_assert_eq(br_sim_add_stream(sim, "IN", subjects, 1, &error), BR_OK);
    log_ = br_sim_connect(sim, false);
    for (uint64_t sequence = 1; sequence <= 100; sequence++) {
        uint8_t payload[32];
        struct br_log_message message = folder_message(sequence, payload);
        cr_assert_eq(br_log_publish(log_, &message, &error), BR_OK);
    }
    cr_assert_eq(br_history_create(pipeline, &history, &error), BR_OK);
}
static void end(void) {
    br_history_destroy(&history);
    br_log_close(&log_);
    br_sim_destroy(&sim);
    br_pipeline_destroy(&pipeline);
    folder_remove(folder);
}
TestSuite(history, .init = begin, .fini = end);

static struct br_stream_info info_of(void) {
    struct br_stream_info info;
    cr_assert_eq(br_log_stream_info(log_, "IN", &info, &error), BR_OK);
    return info;
}

static void archive_range(uint64_t from, uint64_t to) {
    struct br_segment_info identity = folder_identity(BR_SEGMENT_STREAM);
    identity.created = info_of().created;
    folder_segment(segments, &identity, from, to, 1);
}

static void import_range(uint64_t from, uint64_t to) {
    struct br_segment_info identity = folder_identity(BR_SEGMENT_IMPORT);
    folder_segment(imports, &identity, from, to, 1);
}

static enum br_status open_reader(uint64_t prehistory, uint64_t first, uint64_t stop, struct br_reader **ret_reader) {
    struct br_stream_info info = info_of();
    return br_history_open_input(history, log_, &pipeline->tables[0], &info, prehistory, first, stop, ret_reader,
                                 &error);
}

// Reads until caught up, `step` messages at a time, and checks that these are first … last, each once, with the right
// payloads. Returns the status that ended it.
static enum br_status read_all(struct br_reader *reader, uint64_t prehistory, uint64_t first, uint64_t last,
                               size_t step) {
    uint64_t next = first;
    for (int idle = 0; idle < 1000;) {
        const struct br_log_message *messages;
        size_t count;
        enum br_status status = br_reader_peek(reader, &messages, &count, &error);
        if (status != BR_OK)
            return status;
        if (count == 0 && br_reader_caught_up(reader))
            break;
        idle = count == 0 ? idle + 1 : 0;
        size_t taken = count < step ? count : step;
        for (size_t i = 0; i < taken; i++, next++) {
            uint8_t payload[32];
            struct br_log_message wanted = folder_message(next <= prehistory ? next : next - prehistory, payload);
            cr_assert_eq(messages[i].sequence, next);
            cr_assert(br_slice_equal(messages[i].payload, wanted.payload), "payload of %lu", (unsigned long)next);
        }
        br_reader_consume(reader, taken);
        if (next % 2 == 0)
            br_reader_release(reader);
    }
    cr_assert_eq(next, last + 1);
    cr_assert_geq(br_reader_covered(reader), last);
    cr_assert(br_reader_caught_up(reader));
    cr_assert_eq(br_reader_pending(reader), 0);
    return BR_OK;
}

static void expect_all(uint64_t prehistory, uint64_t open_at, uint64_t first, uint64_t last, uint64_t stop) {
    for (size_t step = 1; step <= 1000; step = step * 3 + 1) {
        struct br_reader *reader = NULL;
        cr_assert_eq(open_reader(prehistory, open_at, stop, &reader), BR_OK, "%s", error.message);
        cr_assert_eq(read_all(reader, prehistory, first, last, step), BR_OK, "%s", error.message);
        br_reader_close(&reader);
    }
}

static void expect_hole(uint64_t prehistory, uint64_t open_at, const char *words) {
    struct br_reader *reader = NULL;
    enum br_status status = open_reader(prehistory, open_at, 0, &reader);
    if (status == BR_OK)
        status = read_all(reader, prehistory, open_at == 0 ? 1 : open_at, 100 + prehistory, 7);
    br_reader_close(&reader);
    cr_assert_eq(status, BR_FATAL);
    cr_assert(strstr(error.message, words) != NULL, "%s", error.message);
}

Test(history, without_an_archive_it_is_the_stream) {
    expect_all(0, 0, 1, 100, 0);
    expect_all(0, 40, 40, 100, 0);
    expect_all(0, 40, 40, 60, 60);
}

Test(history, archive_and_stream_are_joined_at_the_sequence) {
    archive_range(1, 30);
    archive_range(31, 60);
    expect_all(0, 0, 1, 100, 0); // they overlap
    br_sim_purge(sim, "IN", 61);
    expect_all(0, 0, 1, 100, 0); // they touch
    expect_all(0, 31, 31, 100, 0);
    expect_all(0, 45, 45, 100, 0);
    expect_all(0, 61, 61, 100, 0);
    expect_all(0, 99, 99, 100, 0);
    expect_all(0, 10, 10, 30, 30);
    expect_all(0, 10, 10, 60, 60);
    expect_all(0, 10, 10, 61, 61);
    expect_all(0, 101, 101, 100, 0);
}

Test(history, the_archive_alone_is_enough) {
    archive_range(1, 100);
    br_sim_purge(sim, "IN", 101);
    expect_all(0, 0, 1, 100, 0);
}

Test(history, a_hole_between_archive_and_stream_names_what_is_missing) {
    archive_range(1, 30);
    br_sim_purge(sim, "IN", 41);
    expect_hole(0, 0, "sequences 31 to 40 are neither in the archive");
    expect_hole(0, 31, "sequences 31 to 40");
    expect_hole(0, 35, "sequences 35 to 40");
    expect_all(0, 41, 41, 100, 0);
}

Test(history, a_missing_segment_is_filled_in_by_the_stream_or_named) {
    archive_range(1, 30);
    archive_range(51, 80);
    expect_all(0, 0, 1, 100, 0);
    br_sim_purge(sim, "IN", 31);
    expect_all(0, 0, 1, 100, 0);
    br_sim_purge(sim, "IN", 45);
    expect_hole(0, 0, "sequences 31 to 44");
    br_sim_purge(sim, "IN", 70);
    expect_hole(0, 0, "sequences 31 to 50");
    expect_all(0, 51, 51, 100, 0);
}

Test(history, a_history_begins_where_what_is_there_begins) {
    archive_range(21, 60); // retention has taken the rest, or the stream began there
    br_sim_purge(sim, "IN", 31);
    expect_all(0, 0, 21, 100, 0);
    expect_hole(0, 5, "sequences 5 to 20");
}

Test(history, the_stream_goes_before_an_archive_that_begins_later) {
    archive_range(21, 60);
    expect_all(0, 0, 1, 100, 0);
}

Test(history, imported_messages_come_first_and_move_the_sequences) {
    import_range(1, 40);
    import_range(41, 50);
    archive_range(1, 30);
    br_sim_purge(sim, "IN", 31);
    expect_all(50, 0, 1, 150, 0);
    expect_all(50, 41, 41, 150, 0);
    expect_all(50, 51, 51, 150, 0);
    expect_all(50, 85, 85, 150, 0);
    expect_all(50, 45, 45, 50, 50);
    expect_all(50, 45, 45, 90, 90);
    expect_all(45, 0, 1, 145, 0); // a lineage that began before the last import
    expect_all(40, 0, 1, 140, 0);
}

Test(history, imported_messages_that_are_gone_are_named) {
    import_range(1, 40);
    expect_hole(50, 0, "imported messages 41 to 50");
}

Test(history, others_messages_are_covered_and_no_hole) {
    struct br_segment_info identity = folder_identity(BR_SEGMENT_STREAM);
    identity.created = info_of().created;
    folder_segment(segments, &identity, 1, 40, 20);
    folder_segment(segments, &identity, 41, 59, 1000); // nothing of ours at all
    br_sim_purge(sim, "IN", 60);
    struct br_reader *reader = NULL;
    const struct br_log_message *messages;
    size_t count;
    cr_assert_eq(open_reader(0, 0, 0, &reader), BR_OK, "%s", error.message);
    cr_assert_eq(br_reader_peek(reader, &messages, &count, &error), BR_OK, "%s", error.message);
    cr_assert_eq(count, 43);
    cr_assert_eq(messages[0].sequence, 20);
    cr_assert_eq(messages[1].sequence, 40);
    cr_assert_eq(messages[2].sequence, 60);
    br_reader_close(&reader);
}

Test(history, what_grows_and_is_merged_meanwhile_is_found) {
    archive_range(1, 10);
    archive_range(11, 20);
    archive_range(21, 30);
    struct br_reader *reader = NULL;
    const struct br_log_message *messages;
    size_t count;
    cr_assert_eq(open_reader(0, 0, 0, &reader), BR_OK);
    cr_assert_eq(br_archive_merge(segments, BR_ARCHIVE_SEGMENT_BYTES, false, NULL, &error), BR_OK);
    archive_range(31, 90);
    br_sim_purge(sim, "IN", 91); // what the reader knew of the archive ended at 30
    cr_assert_eq(read_all(reader, 0, 1, 100, 4), BR_OK, "%s", error.message);
    br_reader_close(&reader);
    // A reader of the stream that the limits overtake.
    cr_assert_eq(open_reader(0, 91, 0, &reader), BR_OK);
    cr_assert_eq(br_reader_peek(reader, &messages, &count, &error), BR_OK);
    cr_assert_eq(count, 10);
    for (uint64_t sequence = 101; sequence <= 120; sequence++) {
        uint8_t payload[32];
        struct br_log_message message = folder_message(sequence, payload);
        cr_assert_eq(br_log_publish(log_, &message, &error), BR_OK);
    }
    archive_range(91, 115);
    br_sim_purge(sim, "IN", 116);
    cr_assert_eq(read_all(reader, 0, 91, 120, 3), BR_OK, "%s", error.message);
    br_reader_close(&reader);
}

Test(history, damage_and_other_streams_are_fatal_and_named) {
    archive_range(1, 30);
    struct br_reader *reader = NULL;
    struct br_stream_info info = info_of();
    info.created.us++;
    cr_assert_eq(br_history_open_input(history, log_, &pipeline->tables[0], &info, 0, 2, 0, &reader, &error), BR_FATAL);
    cr_assert(strstr(error.message, "earlier stream") != NULL, "%s", error.message);
    char path[BR_ARCHIVE_PATH_SIZE + 64], name[BR_SEGMENT_NAME_SIZE];
    br_segment_name(1, 30, name);
    snprintf(path, sizeof path, "%s/%s", segments, name);
    FILE *file = fopen(path, "r+b");
    fseek(file, -40, SEEK_END);
    fputs("broken", file);
    fclose(file);
    expect_hole(0, 0, name);
}

Test(history, a_server_that_refuses_and_delays_loses_nothing) {
    import_range(1, 10);
    archive_range(1, 30);
    archive_range(41, 60);
    struct br_log *perfect = log_;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        br_sim_set_faults(sim, &(struct br_sim_faults){.seed = seed, .refuse = 300, .delay = 500});
        log_ = br_sim_connect(sim, true);
        struct br_stream_info info;
        while (br_log_stream_info(log_, "IN", &info, &error) == BR_RETRY)
            continue;
        struct br_reader *reader = NULL;
        enum br_status status = BR_RETRY;
        while (status == BR_RETRY)
            status = br_history_open_input(history, log_, &pipeline->tables[0], &info, 10, 0, 0, &reader, &error);
        cr_assert_eq(status, BR_OK, "%s", error.message);
        cr_assert_eq(read_all(reader, 10, 1, 110, seed), BR_OK, "%s", error.message);
        br_reader_close(&reader);
        br_log_close(&log_);
    }
    log_ = perfect;
}

Test(history, describe_says_what_there_is) {
    struct br_history_extent extent;
    import_range(1, 7);
    archive_range(1, 30);
    archive_range(41, 50);
    struct br_stream_info info = info_of();
    cr_assert_eq(br_history_describe(history, &pipeline->tables[0], &info, &extent, &error), BR_OK, "%s",
                 error.message);
    cr_assert_eq(extent.prehistory, 7);
    cr_assert_eq(extent.archive_first, 1);
    cr_assert_eq(extent.archive_last, 50);
    cr_assert_eq(extent.archive_messages, 40);
    cr_assert_eq(extent.stream_last, 100);
    cr_assert_eq(extent.hole_count, 0);
    br_sim_purge(sim, "IN", 61);
    info = info_of();
    cr_assert_eq(br_history_describe(history, &pipeline->tables[0], &info, &extent, &error), BR_OK);
    cr_assert_eq(extent.hole_count, 2);
    cr_assert(extent.holes[0].from == 31 && extent.holes[0].to == 40);
    cr_assert(extent.holes[1].from == 51 && extent.holes[1].to == 60);
}
