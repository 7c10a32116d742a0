// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/replay/folder.h"

#include <criterion/criterion.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static void begin(void) {
    folder_make(folder);
}
static void end(void) {
    folder_remove(folder);
}
TestSuite(archive, .init = begin, .fini = end);

static struct br_archive *open_archive(void) {
    struct br_archive *archive;
    struct br_error error;
    cr_assert_eq(br_archive_open(folder, &archive, &error), BR_OK, "%s", error.message);
    return archive;
}

static void add(uint64_t from, uint64_t to) {
    struct br_segment_info identity = folder_identity(BR_SEGMENT_STREAM);
    folder_segment(folder, &identity, from, to, 1);
}

static void remember(void *context, const char *fault) {
    struct br_buffer *faults = context;
    br_buffer_printf(faults, "%s\n", fault);
}

static struct br_archive_check verify(struct br_buffer *faults) {
    struct br_archive *archive = open_archive();
    struct br_archive_check check;
    struct br_error error;
    br_buffer_clear(faults);
    cr_assert_eq(br_archive_verify(archive, remember, faults, &check, &error), BR_OK);
    br_buffer_append_byte(faults, '\0');
    br_archive_close(&archive);
    return check;
}

Test(archive, a_folder_that_is_not_there_is_an_empty_archive) {
    struct br_archive *archive;
    struct br_error error;
    cr_assert_eq(br_archive_open("/nonexistent/folder", &archive, &error), BR_OK);
    cr_assert_eq(archive->count, 0);
    br_archive_close(&archive);
}

Test(archive, lists_segments_in_their_order_and_finds_sequences) {
    add(101, 200);
    add(1, 100);
    add(201, 205);
    struct br_archive *archive = open_archive();
    cr_assert_eq(archive->count, 3);
    cr_assert_eq(archive->segments[0].info.from, 1);
    cr_assert_eq(br_archive_find(archive, 1), 0);
    cr_assert_eq(br_archive_find(archive, 100), 0);
    cr_assert_eq(br_archive_find(archive, 101), 1);
    cr_assert_eq(br_archive_find(archive, 205), 2);
    cr_assert_eq(br_archive_find(archive, 206), 3);
    br_archive_close(&archive);
}

Test(archive, what_lies_in_another_segment_is_left_out) {
    add(1, 100);
    add(1, 60); // of a merge that a crash has interrupted
    add(61, 100);
    struct br_archive *archive = open_archive();
    cr_assert_eq(archive->count, 1);
    cr_assert_eq(archive->segments[0].info.to, 100);
    cr_assert_eq(archive->superseded_count, 2);
    br_archive_close(&archive);
}

Test(archive, verify_names_missing_segments_damage_and_overlaps) {
    struct br_buffer faults = {0};
    add(1, 100);
    add(101, 200);
    add(201, 300);
    struct br_archive_check check = verify(&faults);
    cr_assert_eq(check.faults, 0, "%s", (char *)faults.ptr);
    cr_assert_eq(check.messages, 300);
    char path[256], name[BR_SEGMENT_NAME_SIZE];
    br_segment_name(101, 200, name);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(verify(&faults).faults, 1);
    cr_assert(strstr((char *)faults.ptr, "sequences 101 to 200 are missing") != NULL, "%s", (char *)faults.ptr);
    add(101, 210);
    cr_assert_eq(verify(&faults).faults, 1);
    cr_assert(strstr((char *)faults.ptr, "overlap") != NULL, "%s", (char *)faults.ptr);
    br_segment_name(1, 100, name);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    cr_assert_eq(truncate(path, 100), 0);
    cr_assert_eq(verify(&faults).faults, 2);
    cr_assert(strstr((char *)faults.ptr, name) != NULL);
    br_buffer_free(&faults);
}

Test(archive, a_renamed_segment_is_damaged) {
    struct br_buffer faults = {0};
    char from[256], to[256], name[BR_SEGMENT_NAME_SIZE];
    add(1, 100);
    br_segment_name(1, 100, name);
    snprintf(from, sizeof from, "%s/%s", folder, name);
    br_segment_name(101, 200, name);
    snprintf(to, sizeof to, "%s/%s", folder, name);
    cr_assert_eq(rename(from, to), 0);
    cr_assert_eq(verify(&faults).faults, 1);
    br_buffer_free(&faults);
}

Test(archive, merging_keeps_the_messages_and_few_segments) {
    struct br_buffer faults = {0};
    struct br_error error;
    for (uint64_t i = 0; i < 40; i++) {
        add(i * 10 + 1, i * 10 + 10);
        cr_assert_eq(br_archive_merge(folder, BR_ARCHIVE_SEGMENT_BYTES, false, NULL, &error), BR_OK, "%s",
                     error.message);
    }
    struct br_archive_check check = verify(&faults);
    cr_assert_eq(check.faults, 0);
    cr_assert_eq(check.messages, 400);
    cr_assert_leq(check.segments, 8);
    // None grows beyond the bound.
    struct br_archive *archive = open_archive();
    uint64_t first = archive->segments[0].info.payload_bytes;
    br_archive_close(&archive);
    cr_assert_gt(first, 500);
    br_buffer_free(&faults);
}

Test(archive, merging_goes_on_after_a_crash_between_its_steps) {
    struct br_buffer faults = {0};
    struct br_error error;
    int lock;
    add(1, 100);
    add(1, 50); // the merged one is there, those that are in it are too
    add(51, 100);
    char path[256];
    snprintf(path, sizeof path, "%s/.new-0123456789abcdef", folder);
    fclose(fopen(path, "wb")); // one that was being written
    cr_assert_eq(br_archive_lock(folder, &lock, &error), BR_OK);
    cr_assert_neq(access(path, F_OK), 0);
    cr_assert_eq(br_archive_merge(folder, BR_ARCHIVE_SEGMENT_BYTES, false, NULL, &error), BR_OK);
    struct br_archive *archive = open_archive();
    cr_assert_eq(archive->count, 1);
    cr_assert_eq(archive->superseded_count, 0);
    br_archive_close(&archive);
    br_archive_unlock(&lock);
    br_buffer_free(&faults);
}

Test(archive, one_writer_has_the_lock) {
    struct br_error error;
    int first, second;
    char deep[128];
    snprintf(deep, sizeof deep, "%s/a/b/c", folder);
    cr_assert_eq(br_archive_lock(deep, &first, &error), BR_OK, "%s", error.message);
    cr_assert_geq(first, 0);
    cr_assert_eq(br_archive_lock(deep, &second, &error), BR_OK);
    cr_assert_lt(second, 0);
    br_archive_unlock(&first);
    cr_assert_eq(br_archive_lock(deep, &second, &error), BR_OK);
    cr_assert_geq(second, 0);
    br_archive_unlock(&second);
}

Test(archive, retention_takes_whole_segments_the_oldest_first_and_never_the_newest) {
    struct br_error error;
    size_t removed;
    for (uint64_t i = 0; i < 5; i++)
        add(i * 100 + 1, i * 100 + 100);
    // The second segment's last message is at sequence 200.
    struct br_wall_time oldest = {FOLDER_START_US + 200 * 1000};
    cr_assert_eq(br_archive_retain(folder, oldest, 0, &removed, &error), BR_OK);
    cr_assert_eq(removed, 1);
    oldest.us++;
    cr_assert_eq(br_archive_retain(folder, oldest, 0, &removed, &error), BR_OK);
    cr_assert_eq(removed, 1);
    struct br_archive *archive = open_archive();
    cr_assert_eq(archive->segments[0].info.from, 201);
    uint64_t two = archive->segments[1].info.file_bytes + archive->segments[2].info.file_bytes;
    br_archive_close(&archive);
    cr_assert_eq(br_archive_retain(folder, (struct br_wall_time){INT64_MIN}, two, &removed, &error), BR_OK);
    cr_assert_eq(removed, 1);
    oldest.us = INT64_MAX;
    cr_assert_eq(br_archive_retain(folder, oldest, 1, &removed, &error), BR_OK);
    cr_assert_eq(removed, 1);
    archive = open_archive();
    cr_assert_eq(archive->count, 1);
    cr_assert_eq(archive->segments[0].info.from, 401);
    br_archive_close(&archive);
}

static void check_begin(uint64_t begin, uint64_t stream_first, const char *words) {
    struct br_error error;
    struct br_archive *archive = open_archive();
    cr_assert_eq(archive->begin, begin);
    if (words == NULL)
        cr_assert_eq(br_archive_check_begin(archive, stream_first, &error), BR_OK, "%s", error.message);
    else
        cr_assert_eq(br_archive_check_begin(archive, stream_first, &error), BR_FATAL);
    cr_assert(words == NULL || strstr(error.message, words) != NULL, "%s", error.message);
    br_archive_close(&archive);
}

static void remove_segment_file(uint64_t from, uint64_t to) {
    char path[256], name[BR_SEGMENT_NAME_SIZE];
    br_segment_name(from, to, name);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    cr_assert_eq(unlink(path), 0);
}

Test(archive, oldest_segments_that_are_lost_are_missed) {
    struct br_buffer faults = {0};
    struct br_error error;
    size_t removed;
    for (uint64_t i = 0; i < 4; i++)
        add(i * 100 + 11, i * 100 + 110);
    check_begin(0, 0, NULL); // begun by an older build: nobody knows
    cr_assert_eq(br_archive_note_begin(folder, &error), BR_OK, "%s", error.message);
    check_begin(11, 0, NULL);
    cr_assert_eq(br_archive_retain(folder, (struct br_wall_time){FOLDER_START_US + 111 * 1000}, 0, &removed, &error),
                 BR_OK);
    cr_assert_eq(removed, 1);
    check_begin(111, 0, NULL); // what retention takes isn't missed
    remove_segment_file(111, 210);
    check_begin(111, 0, "sequences 111 to 210 are missing");
    check_begin(111, 111, NULL); // the stream still has them
    check_begin(111, 150, "sequences 111 to 149 are missing");
    cr_assert_eq(br_archive_note_begin(folder, &error), BR_OK);
    check_begin(111, 0, "sequences 111 to 210 are missing"); // and it stays so
    cr_assert_eq(verify(&faults).faults, 1);
    cr_assert(strstr((char *)faults.ptr, "sequences 111 to 210 are missing") != NULL, "%s", (char *)faults.ptr);
    remove_segment_file(211, 310);
    remove_segment_file(311, 410);
    check_begin(111, 0, "holds nothing");
    cr_assert_eq(verify(&faults).faults, 1);
    br_buffer_free(&faults);
}

Test(archive, a_damaged_beginning_is_an_error) {
    struct br_archive *archive;
    struct br_error error;
    static const char *const texts[] = {"",
                                        "11\n",
                                        "00000000000000000011",
                                        "00000000000000000000\n",
                                        "0000000000000000001x\n",
                                        "-0000000000000000011\n"};
    add(11, 20);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/begin", folder);
        FILE *file = fopen(path, "wb");
        fputs(texts[i], file);
        fclose(file);
        cr_assert_eq(br_archive_open(folder, &archive, &error), BR_FATAL, "%s", texts[i]);
        cr_assert(strstr(error.message, "begin is damaged") != NULL, "%s", error.message);
    }
}

Test(archive, what_is_no_file_is_damage_and_no_wait, .timeout = 20) {
    struct br_buffer faults = {0};
    char path[256], name[BR_SEGMENT_NAME_SIZE];
    add(1, 100);
    br_segment_name(101, 200, name);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    cr_assert_eq(mkfifo(path, 0600), 0);
    br_segment_name(201, 300, name);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(verify(&faults).faults, 2);
    cr_assert(strstr((char *)faults.ptr, "no regular file") != NULL, "%s", (char *)faults.ptr);
    br_buffer_free(&faults);
}

Test(archive, folders_have_safe_names) {
    char path[BR_ARCHIVE_PATH_SIZE];
    struct br_error error;
    cr_assert_eq(br_archive_folder("/a/", "shop", "../x y", BR_SEGMENT_IMPORT, path, &error), BR_OK);
    cr_assert_str_eq(path, "/a/shop/%2E%2E%2Fx%20y/import");
}
