// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/replay/folder.h"

#include <criterion/criterion.h>
#include <unistd.h>

static char folder[64];

static void begin(void) {
    folder_make(folder);
}
static void end(void) {
    folder_remove(folder);
}
TestSuite(segment, .init = begin, .fini = end);

static void path_of(uint64_t from, uint64_t to, char path[256]) {
    char name[BR_SEGMENT_NAME_SIZE];
    br_segment_name(from, to, name);
    snprintf(path, 256, "%s/%s", folder, name);
}

// All of it, checked. Returns the status of the first thing that failed.
static enum br_status read_whole(const char *path, uint64_t *ret_messages, struct br_error *error) {
    struct br_segment_reader *reader = NULL;
    struct br_block block = {0};
    uint8_t payload[32];
    *ret_messages = 0;
    enum br_status status = br_segment_open(path, &reader, error);
    for (bool found = true; status == BR_OK && found;) {
        status = br_segment_next(reader, &block, &found, error);
        for (size_t i = 0; status == BR_OK && found && i < block.count; i++) {
            struct br_log_message wanted = folder_message(block.messages[i].sequence, payload);
            cr_assert(br_slice_equal(block.messages[i].payload, wanted.payload));
            cr_assert(br_slice_equal(block.messages[i].subject, wanted.subject));
            cr_assert_eq(block.messages[i].timestamp.us, wanted.timestamp.us);
            ++*ret_messages;
        }
    }
    br_segment_close(&reader);
    br_block_free(&block);
    return status;
}

Test(segment, holds_what_was_added_and_says_so) {
    struct br_segment_info identity = folder_identity(BR_SEGMENT_STREAM), info;
    char path[256];
    struct br_error error;
    uint64_t messages;
    folder_segment(folder, &identity, 10, 200000, 3);
    path_of(10, 200000, path);
    cr_assert_eq(read_whole(path, &messages, &error), BR_OK, "%s", error.message);
    cr_assert_eq(messages, 200000 / 3 - 3);
    cr_assert_eq(br_segment_look(path, &info, &error), BR_OK);
    cr_assert_eq(info.first, 12);
    cr_assert_eq(info.last, 199998);
    cr_assert_eq(info.messages, messages);
    cr_assert_gt(info.blocks, 1);
    cr_assert_eq(info.first_time.us, FOLDER_START_US + 12000);
    cr_assert_eq(info.created.us, identity.created.us);
    cr_assert_str_eq(info.source, "IN");
}

Test(segment, may_cover_a_range_and_hold_nothing) {
    struct br_segment_info identity = folder_identity(BR_SEGMENT_STREAM), info;
    char path[256];
    struct br_error error;
    uint64_t messages;
    folder_segment(folder, &identity, 5, 9, 100);
    path_of(5, 9, path);
    cr_assert_eq(read_whole(path, &messages, &error), BR_OK, "%s", error.message);
    cr_assert_eq(messages, 0);
    cr_assert_eq(br_segment_look(path, &info, &error), BR_OK);
    cr_assert_eq(info.to, 9);
}

Test(segment, every_flipped_bit_is_found) {
    struct br_segment_info identity = folder_identity(BR_SEGMENT_STREAM);
    char path[256];
    struct br_error error;
    uint64_t messages;
    folder_segment(folder, &identity, 1, 12, 1);
    path_of(1, 12, path);
    static uint8_t bytes[4096];
    FILE *file = fopen(path, "r+b");
    size_t size = fread(bytes, 1, sizeof bytes, file);
    cr_assert(size > 500 && size < sizeof bytes);
    setvbuf(file, NULL, _IONBF, 0);
    for (size_t i = 0; i < size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            fseek(file, (long)i, SEEK_SET);
            fputc(bytes[i] ^ 1 << bit, file);
            cr_assert_eq(read_whole(path, &messages, &error), BR_DATA, "byte %zu, bit %d", i, bit);
            cr_assert(strstr(error.message, path) != NULL, "%s", error.message);
        }
        fseek(file, (long)i, SEEK_SET);
        fputc(bytes[i], file);
    }
    fclose(file);
    cr_assert_eq(read_whole(path, &messages, &error), BR_OK);
}

Test(segment, truncation_anywhere_is_found) {
    struct br_segment_info identity = folder_identity(BR_SEGMENT_STREAM), info;
    char path[256];
    struct br_error error;
    uint64_t messages;
    folder_segment(folder, &identity, 1, 12, 1);
    path_of(1, 12, path);
    cr_assert_eq(br_segment_look(path, &info, &error), BR_OK);
    for (uint64_t size = info.file_bytes; size-- > 0;) {
        cr_assert_eq(truncate(path, (off_t)size), 0);
        cr_assert_eq(read_whole(path, &messages, &error), BR_DATA);
    }
}

Test(segment, damage_names_the_block_and_where_it_is) {
    struct br_segment_info identity = folder_identity(BR_SEGMENT_STREAM), info;
    char path[256];
    struct br_error error;
    uint64_t messages;
    folder_segment(folder, &identity, 1, 200000, 1);
    path_of(1, 200000, path);
    cr_assert_eq(br_segment_look(path, &info, &error), BR_OK);
    FILE *file = fopen(path, "r+b");
    fseek(file, (long)info.file_bytes - 100, SEEK_SET);
    int was = fgetc(file);
    fseek(file, (long)info.file_bytes - 100, SEEK_SET);
    fputc(was ^ 4, file);
    fclose(file);
    cr_assert_eq(read_whole(path, &messages, &error), BR_DATA);
    cr_assert(messages > 20000);
    char expected[64];
    snprintf(expected, sizeof expected, "the messages after sequence %lu", (unsigned long)messages);
    cr_assert(strstr(error.message, expected) != NULL, "%s", error.message);
    cr_assert(strstr(error.message, "block ") != NULL);
}

Test(segment, an_abandoned_one_leaves_nothing) {
    struct br_segment_info identity = folder_identity(BR_SEGMENT_STREAM);
    struct br_segment_writer *writer;
    struct br_error error;
    cr_assert_eq(br_segment_create(folder, &identity, false, NULL, &writer, &error), BR_OK);
    br_segment_abandon(&writer);
    cr_assert_eq(rmdir(folder), 0);
    folder_make(folder);
}

Test(segment, a_folder_that_is_gone_is_a_passing_fault) {
    struct br_segment_info identity = folder_identity(BR_SEGMENT_STREAM);
    struct br_segment_writer *writer = NULL;
    struct br_error error;
    cr_assert_eq(br_segment_create("/nonexistent/folder", &identity, false, NULL, &writer, &error), BR_RETRY);
    cr_assert_null(writer);
}
