// SPDX-License-Identifier: Apache-2.0
// Mirrors state/proof.c: the text, and what it is compared with. What comes of it in a store's folder:
// tests/sim/damage.c.
#include "state/proof.h"

#include "state/store.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static char folder[64];
static struct br_error error;

#define OK(call) cr_assert_eq((call), BR_OK, "%s", error.message)

static void make_folder(void) {
    snprintf(folder, sizeof folder, "/tmp/braid-proof-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void) {
    OK(br_store_remove(NULL, folder, &error));
}

static void put(const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL && fputs(text, file) >= 0);
    fclose(file);
}

static void make_files(void) {
    put("CURRENT", "MANIFEST-000007\n");
    put("MANIFEST-000007", "one two");
    put("000009.sst", "nine");
    put("000010.sst", "ten");
    put("LOG", "chatter");
}

static struct proof name_files(void) {
    struct proof proof = {.mark = {3, 0xabc, 12, 0xdef, 99}};
    OK(proof_name_files(folder, &proof, &error));
    return proof;
}

static bool damaged(const struct proof *proof, const char *words) {
    return proof_check_files(folder, proof, &error) == BR_FATAL && error.native == BR_STORE_DAMAGED &&
           strstr(error.message, words) != NULL && strstr(error.message, folder) != NULL;
}

Test(proof, is_read_as_it_was_written, .init = make_folder, .fini = remove_folder) {
    make_files();
    struct proof proof = name_files(), read;
    bool found;
    cr_assert_eq(proof.file_count, 2);
    OK(proof_read(folder, &read, &found, &error));
    cr_assert_not(found);
    OK(proof_write(folder, &proof, &error));
    OK(proof_read(folder, &read, &found, &error));
    cr_assert(found && memcmp(&read.mark, &proof.mark, sizeof read.mark) == 0 && read.file_count == 2);
    cr_assert_str_eq(read.manifest.name, "MANIFEST-000007");
    cr_assert_eq(read.manifest.size, 7);
    const struct proof_file *ten = proof_find(&read, "000010.sst");
    cr_assert(ten != NULL && ten->size == 3 && proof_find(&read, "000011.sst") == NULL);
    OK(proof_check_files(folder, &read, &error));
    proof_free(&read);
    proof_free(&proof);
}

Test(proof, a_text_with_any_byte_changed_or_gone_is_none, .init = make_folder, .fini = remove_folder) {
    make_files();
    struct proof proof = name_files(), read;
    struct br_buffer text = {0}, spoilt = {0};
    proof_format(&proof, &text);
    for (size_t at = 0; at < text.len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            br_buffer_clear(&spoilt);
            br_buffer_append_slice(&spoilt, br_buffer_slice(&text));
            spoilt.ptr[at] ^= (uint8_t)(1 << bit);
            cr_assert_not(proof_parse(br_buffer_slice(&spoilt), &read), "byte %zu, bit %d", at, bit);
        }
        cr_assert_not(proof_parse((struct br_slice){text.ptr, at}, &read), "cut to %zu", at);
    }
    br_buffer_append_byte(&text, '\n');
    cr_assert_not(proof_parse(br_buffer_slice(&text), &read));
    br_buffer_free(&text);
    br_buffer_free(&spoilt);
    proof_free(&proof);
}

Test(proof, files_may_go_and_a_manifest_may_grow_or_be_followed, .init = make_folder, .fini = remove_folder) {
    make_files();
    struct proof proof = name_files();
    put("MANIFEST-000007", "one two three");
    cr_assert_eq(unlink(strcat(strcpy((char[128]){0}, folder), "/000009.sst")), 0);
    put("000012.sst", "twelve");
    OK(proof_check_files(folder, &proof, &error));
    put("CURRENT", "MANIFEST-000013\n");
    put("MANIFEST-000013", "all of it");
    OK(proof_check_files(folder, &proof, &error));
    proof_free(&proof);
}

Test(proof, files_that_are_not_those_are_named, .init = make_folder, .fini = remove_folder) {
    make_files();
    struct proof proof = name_files();
    put("MANIFEST-000007", "one tw");
    cr_assert(damaged(&proof, "MANIFEST-000007 has less than the 7 bytes that it had"), "%s", error.message);
    put("MANIFEST-000007", "one too many");
    cr_assert(damaged(&proof, "MANIFEST-000007 doesn't begin with"), "%s", error.message);
    make_files();
    put("CURRENT", "MANIFEST-000005\n");
    cr_assert(damaged(&proof, "MANIFEST-000005, an earlier one"), "%s", error.message);
    put("CURRENT", "MANIFEST-000005");
    cr_assert(damaged(&proof, "CURRENT names no MANIFEST"), "%s", error.message);
    make_files();
    put("000010.sst", "TEN");
    cr_assert(damaged(&proof, "000010.sst isn't the file that was written"), "%s", error.message);
    put("000010.sst", "te");
    cr_assert(damaged(&proof, "000010.sst has 2 bytes instead of 3"), "%s", error.message);
    make_files();
    cr_assert_eq(unlink(strcat(strcpy((char[128]){0}, folder), "/CURRENT")), 0);
    cr_assert(damaged(&proof, "CURRENT is missing"), "%s", error.message);
    cr_assert(damaged(NULL, "CURRENT is missing, but"), "%s", error.message);
    proof_free(&proof);
}

Test(proof, what_can_not_be_read_is_not_called_damaged, .init = make_folder, .fini = remove_folder) {
    make_files();
    struct proof proof = name_files();
    char path[128];
    snprintf(path, sizeof path, "%s/000009.sst", folder);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(symlink("000009.sst", path), 0); // ELOOP stands for a disk's errors
    cr_assert_eq(proof_check_files(folder, &proof, &error), BR_FATAL);
    cr_assert_eq(error.native, ELOOP, "%s", error.message);
    cr_assert(strstr(error.message, path) != NULL, "%s", error.message);
    proof_free(&proof);
}

Test(proof, a_folder_that_was_found_damaged_stays_so, .init = make_folder, .fini = remove_folder) {
    make_files();
    struct proof proof = name_files(), read;
    bool found;
    OK(proof_write(folder, &proof, &error));
    proof_mark_damaged(folder, "a block is bad");
    cr_assert_eq(proof_read(folder, &read, &found, &error), BR_FATAL);
    cr_assert(error.native == BR_STORE_DAMAGED && strcmp(error.message, "a block is bad") == 0, "%s", error.message);
    proof_free(&proof);
}
