// SPDX-License-Identifier: Apache-2.0
#include "replay/import.h"

#include "processor/sql/sql.h"
#include "tests/unit/replay/folder.h"

#include <criterion/criterion.h>

static char folder[64], imports[BR_ARCHIVE_PATH_SIZE];
static struct br_pipeline *pipeline;
static struct br_import *import;
static struct br_error error;
static char rejects[1024];

static void note_reject(void *context, uint64_t line, const char *reason, const char *detail) {
    char *list = context;
    (void)detail;
    snprintf(list + strlen(list), 64, "%lu %s;", (unsigned long)line, reason);
}

static void start(void) {
    struct br_import_options options = {
        .pipeline = pipeline, .table = &pipeline->tables[0], .rejected = note_reject, .context = rejects};
    br_import_destroy(&import);
    rejects[0] = '\0';
    cr_assert_eq(br_import_create(&options, &import, &error), BR_OK, "%s", error.message);
}

static void load(const char *options) {
    char sql[512];
    snprintf(
        sql, sizeof sql,
        "CREATE TABLE t (id bigint CHECK (id < 1000), at timestamptz NOT NULL) WITH (subject = 't.*.x', event_time "
        "= 'at', archive = 'file://%s'%s);",
        folder, options);
    struct br_diagnostics *diagnostics = br_diagnostics_create("p.sql", sql);
    br_import_destroy(&import);
    br_pipeline_destroy(&pipeline);
    cr_assert_eq(br_pipeline_load("p.sql", sql, NULL, diagnostics, &pipeline, &error), BR_OK);
    br_diagnostics_destroy(&diagnostics);
    start();
}

static void begin(void) {
    folder_make(folder);
    load("");
    cr_assert_eq(br_archive_folder(folder, "p", "t", BR_SEGMENT_IMPORT, imports, &error), BR_OK);
}
static void end(void) {
    br_import_destroy(&import);
    br_pipeline_destroy(&pipeline);
    folder_remove(folder);
}
TestSuite(import, .init = begin, .fini = end);

// {id, at: {seconds}}
static void add(uint64_t id, uint64_t seconds, uint64_t line) {
    uint8_t event[64], inner[16];
    size_t len = 0, inner_len = 0;
    inner[inner_len++] = 0x08;
    inner_len += br_varint_put(inner + inner_len, seconds);
    event[len++] = 0x08;
    len += br_varint_put(event + len, id);
    event[len++] = 0x12;
    event[len++] = (uint8_t)inner_len;
    memcpy(event + len, inner, inner_len);
    cr_assert_eq(br_import_add(import, (struct br_slice){event, len + inner_len}, line, &error), BR_OK);
}

static struct br_import_report report(void) {
    struct br_import_report told;
    cr_assert_eq(br_import_report(import, &told, &error), BR_OK);
    return told;
}

static enum br_status write_as(const char *name, uint64_t hash, int64_t stream_begins_s, bool force) {
    struct br_segment_info info;
    struct br_wall_time begins = {stream_begins_s == 0 ? INT64_MAX : stream_begins_s * 1000000};
    report();
    return br_import_write(import, name, hash, begins, force, &info, &error);
}

Test(import, sorts_by_event_time_and_keeps_the_order_of_the_file_within_one) {
    add(1, 300, 1);
    add(2, 100, 2);
    add(3, 300, 3);
    add(4, 200, 4);
    struct br_import_report told = report();
    cr_assert_eq(told.accepted, 4);
    cr_assert_eq(told.first.us, 100000000);
    cr_assert_eq(told.last.us, 300000000);
    cr_assert_eq(write_as("f", 7, 0, false), BR_OK, "%s", error.message);
    struct br_archive *archive;
    struct br_segment_reader *reader;
    struct br_block block = {0};
    bool found;
    cr_assert_eq(br_archive_open(imports, &archive, &error), BR_OK);
    cr_assert_eq(archive->count, 1);
    cr_assert_eq(br_archive_open_segment(archive, 0, &reader, &error), BR_OK);
    cr_assert_eq(br_segment_next(reader, &block, &found, &error), BR_OK);
    static const uint8_t ids[] = {2, 4, 1, 3};
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(block.messages[i].sequence, i + 1);
        cr_assert_eq(block.messages[i].payload.ptr[1], ids[i]);
        cr_assert(br_slice_is(block.messages[i].subject, "t.x.x"));
    }
    cr_assert_eq(block.messages[0].timestamp.us, 100000000);
    br_segment_close(&reader);
    br_block_free(&block);
    br_archive_close(&archive);
}

Test(import, what_the_gates_refuse_is_told_with_its_line) {
    add(1, 100, 10);
    add(5000, 100, 11);                 // CHECK
    add(2, UINT64_C(100000000000), 12); // far ahead
    cr_assert_eq(br_import_add(import, br_slice_of("\x08"), 13, &error), BR_OK);
    cr_assert_eq(br_import_add(import, br_slice_of("\x08\x01"), 14, &error), BR_OK); // no time
    struct br_import_report told = report();
    cr_assert_eq(told.accepted, 1);
    cr_assert_eq(told.rejected, 4);
    static const char *const wanted[] = {"13 decode;", "11 check;", "12 time;", "14 time;"};
    for (size_t i = 0; i < 4; i++)
        cr_assert(strstr(rejects, wanted[i]) != NULL, "%s", rejects);
}

Test(import, a_file_is_imported_once_and_in_the_order_of_time) {
    add(1, 1000, 1);
    cr_assert_eq(write_as("a.csv", 7, 0, false), BR_OK);
    start();
    add(1, 1000, 1);
    cr_assert_eq(write_as("b.csv", 7, 0, true), BR_DATA);
    cr_assert(strstr(error.message, "imported before, as a.csv") != NULL, "%s", error.message);
    start();
    add(1, 999, 1);
    cr_assert_eq(write_as("b.csv", 8, 0, false), BR_DATA);
    cr_assert_eq(write_as("b.csv", 8, 0, true), BR_OK);
    start();
    add(1, 2000, 1);
    cr_assert_eq(write_as("c.csv", 9, 1500, false), BR_DATA);
    cr_assert(strstr(error.message, "stream's first message") != NULL, "%s", error.message);
    cr_assert_eq(write_as("c.csv", 9, 2000, false), BR_OK);
    struct br_archive *archive;
    cr_assert_eq(br_archive_open(imports, &archive, &error), BR_OK);
    cr_assert_eq(archive->count, 3);
    cr_assert_eq(archive->segments[2].info.to, 3);
    br_archive_close(&archive);
}

Test(import, events_of_a_delimited_table_are_framed) {
    load(", layout = 'delimited'");
    add(1, 100, 1);
    cr_assert_eq(write_as("f", 7, 0, false), BR_OK, "%s", error.message);
    struct br_archive *archive;
    struct br_segment_reader *reader;
    struct br_block block = {0};
    bool found;
    cr_assert_eq(br_archive_open(imports, &archive, &error), BR_OK);
    cr_assert_eq(br_archive_open_segment(archive, 0, &reader, &error), BR_OK);
    cr_assert_eq(br_segment_next(reader, &block, &found, &error), BR_OK);
    cr_assert_eq(block.messages[0].payload.ptr[0], block.messages[0].payload.len - 1);
    br_segment_close(&reader);
    br_block_free(&block);
    br_archive_close(&archive);
}

Test(import, many_events_go_through_in_chunks) {
    for (uint64_t i = 0; i < 10000; i++)
        add(i % 1000, 100000 - i, i + 1);
    cr_assert_eq(report().accepted, 10000);
    cr_assert_eq(write_as("f", 7, 0, false), BR_OK);
    struct br_archive *archive;
    cr_assert_eq(br_archive_open(imports, &archive, &error), BR_OK);
    cr_assert_eq(archive->segments[0].info.messages, 10000);
    cr_assert_eq(archive->segments[0].info.first_time.us, INT64_C(90001000000));
    br_archive_close(&archive);
}
