// SPDX-License-Identifier: Apache-2.0
// Both kinds of store are held to the same promises; a naive sorted array is the oracle.
#include "state/store_rocksdb_internal.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct br_error error;
#define OK(expression) cr_assert_eq((expression), BR_OK, "%s", error.message)

enum kind { MEMORY, ROCKSDB, KINDS };

static char folder[64];

// In memory where there is such a file system: the syncs of ingested files would take most of the time.
static void make_folder(void) {
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/braid-store-XXXXXX", parent);
    cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void) {
    OK(br_store_remove(NULL, folder, &error));
}

static struct br_store *open_store(enum kind kind) {
    if (kind == MEMORY)
        return br_store_create_memory();
    struct br_store *store = NULL;
    OK(br_store_open_rocksdb(folder, 8 << 20, &store, &error));
    return store;
}

static struct br_slice text(const char *value) {
    return br_slice_of(value);
}

static bool has(struct br_store *store, const char *key, const char *value) {
    struct br_buffer got = {0};
    bool found = false;
    OK(br_store_get(store, text(key), &got, &found, &error));
    bool same = found && br_slice_is(br_buffer_slice(&got), value);
    br_buffer_free(&got);
    return same;
}

static bool lacks(struct br_store *store, const char *key) {
    struct br_buffer got = {0};
    bool found = true;
    OK(br_store_get(store, text(key), &got, &found, &error));
    br_buffer_free(&got);
    return !found;
}

static void write_pairs(struct br_store *store, const char *const *pairs) {
    struct br_store_batch *batch = br_store_batch_create(store);
    for (; pairs[0] != NULL; pairs += 2)
        br_store_batch_put(batch, text(pairs[0]), text(pairs[1]));
    OK(br_store_write(store, batch, &error));
    br_store_batch_destroy(&batch);
}

Test(store, a_batch_is_applied_in_order, .init = make_folder, .fini = remove_folder) {
    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct br_store *store = open_store(kind);
        struct br_store_batch *batch = br_store_batch_create(store);
        br_store_batch_put(batch, text("a"), text("1"));
        br_store_batch_put(batch, text("b"), text("2"));
        br_store_batch_put(batch, text("c"), text("3"));
        br_store_batch_delete_range(batch, text("a"), text("c"));
        br_store_batch_put(batch, text("b"), text("4"));
        br_store_batch_delete(batch, text("c"));
        br_store_batch_delete(batch, text("never there"));
        br_store_batch_put(batch, text("d"), text(""));
        cr_assert_gt(br_store_batch_size(batch), 10);
        OK(br_store_write(store, batch, &error));
        cr_assert(lacks(store, "a"));
        cr_assert(has(store, "b", "4"));
        cr_assert(lacks(store, "c"));
        cr_assert(has(store, "d", ""));
        br_store_batch_clear(batch);
        OK(br_store_write(store, batch, &error));
        br_store_batch_destroy(&batch);
        br_store_destroy(&store);
    }
}

Test(store, many_reads_at_once_tell_what_is_there, .init = make_folder, .fini = remove_folder) {
    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct br_store *store = open_store(kind);
        struct br_store_batch *batch = br_store_batch_create(store);
        enum { N = 1000 };
        static char names[N][8];
        static struct br_slice keys[N], values[N];
        static bool found[N];
        for (int i = 0; i < N; i++) {
            snprintf(names[i], sizeof names[i], "%04d", (i * 7) % N); // not in order
            keys[i] = text(names[i]);
            if ((i * 7) % N % 3 == 0)
                br_store_batch_put(batch, keys[i], keys[i]);
        }
        OK(br_store_write(store, batch, &error));
        OK(br_store_get_many(store, keys, N, values, found, &error));
        for (int i = 0; i < N; i++) {
            cr_assert_eq(found[i], (i * 7) % N % 3 == 0);
            cr_assert(!found[i] || br_slice_equal(values[i], keys[i]));
        }
        br_store_batch_destroy(&batch);
        br_store_destroy(&store);
    }
}

Test(store, a_scan_gives_the_range_in_order, .init = make_folder, .fini = remove_folder) {
    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct br_store *store = open_store(kind);
        write_pairs(store, (const char *const[]){"b", "2", "a", "1", "d", "4", "c", "3", "ca", "x", NULL});
        static const struct {
            const char *first, *last, *want;
        } cases[] = {{"", "", "a1b2c3cxd4"}, {"b", "d", "b2c3cx"}, {"bb", "", "c3cxd4"}, {"e", "", ""}, {"", "a", ""}};
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct br_store_iterator *iterator = NULL;
            OK(br_store_scan(store, text(cases[i].first), text(cases[i].last), &iterator, &error));
            struct br_buffer got = {0};
            struct br_slice key, value;
            while (br_store_iterator_next(iterator, &key, &value)) {
                br_buffer_append(&got, key.ptr, 1);
                br_buffer_append_slice(&got, value);
            }
            cr_assert_not(br_store_iterator_next(iterator, &key, &value));
            OK(br_store_iterator_status(iterator, &error));
            cr_assert(br_slice_is(br_buffer_slice(&got), cases[i].want), "case %zu: %.*s", i, (int)got.len, got.ptr);
            br_buffer_free(&got);
            br_store_iterator_destroy(&iterator);
        }
        br_store_destroy(&store);
    }
}

Test(store, the_last_key_of_a_range_is_found, .init = make_folder, .fini = remove_folder) {
    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct br_store *store = open_store(kind);
        static const struct {
            const char *first, *last, *want;
        } cases[] = {{"a", "c", "bb"}, {"a", "bb", "b"}, {"a", "zz", "x"},
                     {"c", "x", ""},   {"", "a", ""},    {"y", "z", ""}};
        for (int filled = 0; filled < 2; filled++) {
            for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct br_buffer key = {0};
                bool found = false;
                OK(br_store_last_key(store, text(cases[i].first), text(cases[i].last), &key, &found, &error));
                cr_assert_eq(found, filled == 1 && cases[i].want[0] != 0, "case %zu", i);
                cr_assert(!found || br_slice_is(br_buffer_slice(&key), cases[i].want), "case %zu", i);
                br_buffer_free(&key);
            }
            write_pairs(store, (const char *const[]){"b", "", "bb", "", "x", "", NULL});
        }
        br_store_destroy(&store);
    }
}

Test(store, range_deletes_of_a_run_spare_its_own_puts, .init = make_folder, .fini = remove_folder) {
    for (int way = 0; way < 3; way++) { // memory, RocksDB by batch, RocksDB by file
        struct br_store *store = open_store(way == 0 ? MEMORY : ROCKSDB);
        write_pairs(store, (const char *const[]){"a", "old", "b", "old", "c", "old", "x", "old", NULL});
        if (way == 2)
            store_rocksdb_set_run_bytes_min(store, 0);
        struct br_store_run *run = NULL;
        OK(br_store_run_begin(store, 100, &run, &error));
        cr_assert_eq(run->batch == NULL, way == 2);
        OK(br_store_run_delete_range(run, text("a"), text("d"), &error));
        OK(br_store_run_put(run, text("b"), text("new"), &error));
        OK(br_store_run_put(run, text("bb"), text("new"), &error));
        OK(br_store_run_delete(run, text("x"), &error));
        cr_assert(has(store, "a", "old"), "nothing is written before commit");
        OK(br_store_run_commit(run, &error));
        br_store_run_destroy(&run);
        for (int again = 0; again < 2; again++) {
            cr_assert(lacks(store, "a"));
            cr_assert(has(store, "b", "new"));
            cr_assert(has(store, "bb", "new"));
            cr_assert(lacks(store, "c"));
            cr_assert(lacks(store, "x"));
            if (way == 0)
                break;
            br_store_destroy(&store);
            store = open_store(ROCKSDB);
        }
        br_store_destroy(&store);
        remove_folder();
        make_folder();
    }
}

Test(store, a_run_that_is_not_committed_never_was, .init = make_folder, .fini = remove_folder) {
    for (int way = 0; way < 3; way++) {
        struct br_store *store = open_store(way == 0 ? MEMORY : ROCKSDB);
        if (way == 2)
            store_rocksdb_set_run_bytes_min(store, 0);
        struct br_store_run *run = NULL;
        OK(br_store_run_begin(store, 100, &run, &error));
        OK(br_store_run_put(run, text("b"), text("new"), &error));
        br_store_run_destroy(&run);
        cr_assert(lacks(store, "b"));
        br_store_destroy(&store);
    }
}

Test(store, what_was_written_is_there_after_reopening, .init = make_folder, .fini = remove_folder) {
    struct br_store *store = open_store(ROCKSDB);
    write_pairs(store, (const char *const[]){"k", "v", NULL});
    br_store_destroy(&store);
    store = open_store(ROCKSDB);
    cr_assert(has(store, "k", "v"));
    br_store_destroy(&store);
}

Test(store, a_folder_in_use_is_refused_by_name, .init = make_folder, .fini = remove_folder) {
    struct br_store *store = open_store(ROCKSDB), *second = NULL;
    cr_assert_eq(br_store_open_rocksdb(folder, 8 << 20, &second, &error), BR_FATAL);
    cr_assert_null(second);
    cr_assert(strstr(error.message, "data directory in use") != NULL && strstr(error.message, folder) != NULL, "%s",
              error.message);
    br_store_destroy(&store);
}

Test(store, parents_are_made_and_a_file_in_the_way_is_named, .init = make_folder, .fini = remove_folder) {
    char path[128];
    snprintf(path, sizeof path, "%s/a/b/c", folder);
    struct br_store *store = NULL;
    OK(br_store_open_rocksdb(path, 8 << 20, &store, &error));
    br_store_destroy(&store);
    snprintf(path, sizeof path, "%s/file", folder);
    FILE *file = fopen(path, "w");
    fclose(file);
    cr_assert_eq(br_store_open_rocksdb(path, 8 << 20, &store, &error), BR_FATAL);
    cr_assert(strstr(error.message, path) != NULL);
}

Test(store, damage_is_called_by_its_name, .init = make_folder, .fini = remove_folder) {
    struct br_store *store = open_store(ROCKSDB);
    write_pairs(store, (const char *const[]){"k", "v", NULL});
    br_store_destroy(&store);
    char path[128];
    snprintf(path, sizeof path, "%s/CURRENT", folder);
    FILE *file = fopen(path, "w");
    fputs("MANIFEST-999999\n", file);
    fclose(file);
    cr_assert_eq(br_store_open_rocksdb(folder, 8 << 20, &store, &error), BR_FATAL);
    cr_assert(strstr(error.message, "damaged") != NULL && strstr(error.message, folder) != NULL, "%s", error.message);
    cr_assert_eq(error.native, BR_STORE_DAMAGED);
    char aside[160];
    OK(br_store_set_aside(folder, aside, sizeof aside, &error));
    store = open_store(ROCKSDB);
    cr_assert(lacks(store, "k"));
    br_store_destroy(&store);
    OK(br_store_remove(NULL, aside, &error));
}

// Of the newest SST; its end isn't touched.
static void spoil_file(void) {
    char command[300];
    snprintf(command, sizeof command,
             "f=$(ls %s/*.sst | tail -1) && [ $(stat -c %%s $f) -gt 80000 ] && "
             "dd if=/dev/zero of=$f bs=1 seek=9000 count=1000 conv=notrunc status=none",
             folder);
    cr_assert_eq(system(command), 0);
}

static void put_run(struct br_store *store, const char *end) {
    struct br_store_run *run = NULL;
    OK(br_store_run_begin(store, 1, &run, &error));
    for (int i = 0; i < 3000; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%05d%s", i, end);
        OK(br_store_run_put(run, text(key), text("a value of some forty bytes, more or less"), &error));
    }
    OK(br_store_run_commit(run, &error));
    br_store_run_destroy(&run);
}

// A store whose rows are in one file, of which a reader gets to see damage.
static struct br_store *open_spoilt(void) {
    struct br_store *store = open_store(ROCKSDB);
    store_rocksdb_set_run_bytes_min(store, 0);
    put_run(store, "");
    br_store_destroy(&store);
    spoil_file();
    return open_store(ROCKSDB);
}

Test(store, damage_that_a_reader_finds_is_told_again_and_for_good, .init = make_folder, .fini = remove_folder) {
    struct br_store *store = open_spoilt();
    struct br_store_iterator *iterator = NULL;
    struct br_slice key, value;
    OK(br_store_check(store, &error));
    OK(br_store_scan(store, text(""), text(""), &iterator, &error));
    while (br_store_iterator_next(iterator, &key, &value))
        ;
    cr_assert_eq(br_store_iterator_status(iterator, &error), BR_FATAL);
    cr_assert_eq(error.native, BR_STORE_DAMAGED);
    br_store_iterator_destroy(&iterator);
    cr_assert_eq(br_store_check(store, &error), BR_FATAL);
    struct br_store_batch *batch = br_store_batch_create(store);
    br_store_batch_put(batch, text("k"), text("v"));
    cr_assert_eq(br_store_write(store, batch, &error), BR_FATAL); // nothing is written behind it
    cr_assert_eq(error.native, BR_STORE_DAMAGED);
    br_store_batch_destroy(&batch);
    br_store_destroy(&store);
    cr_assert_eq(br_store_open_rocksdb(folder, 8 << 20, &store, &error), BR_FATAL);
    cr_assert(error.native == BR_STORE_DAMAGED && strstr(error.message, "checksum") != NULL, "%s", error.message);
}

// Behind each row of a file that is damaged comes one of an older file, which a range delete hides: it makes the
// iterator seek again, which old versions of RocksDB take for a reason to forget what they have found.
Test(store, damage_is_found_beside_range_deletes_too, .init = make_folder, .fini = remove_folder) {
    struct br_store *store = open_store(ROCKSDB);
    store_rocksdb_set_run_bytes_min(store, 0);
    put_run(store, "b");
    put_run(store, "a");
    br_store_destroy(&store);
    spoil_file();
    store = open_store(ROCKSDB);
    struct br_store_batch *batch = br_store_batch_create(store);
    for (int i = 0; i < 3000; i++) {
        char first[16], end[16];
        snprintf(first, sizeof first, "k%05db", i);
        snprintf(end, sizeof end, "k%05dc", i);
        br_store_batch_delete_range(batch, text(first), text(end));
    }
    OK(br_store_write(store, batch, &error));
    br_store_batch_destroy(&batch);
    struct br_store_iterator *iterator = NULL;
    struct br_slice key, value;
    size_t rows = 0;
    OK(br_store_scan(store, text("k00001"), text(""), &iterator, &error));
    for (; br_store_iterator_next(iterator, &key, &value); rows++)
        ;
    cr_assert_eq(br_store_iterator_status(iterator, &error), BR_FATAL, "%zu rows", rows);
    cr_assert_eq(error.native, BR_STORE_DAMAGED);
    br_store_iterator_destroy(&iterator);
    br_store_destroy(&store);
}

// As the versions before PROOF wrote it: no chain, no proof.
static void write_old_store(void) {
    char *native = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_t *db = rocksdb_open(options, folder, &native);
    rocksdb_writeoptions_t *write_options = rocksdb_writeoptions_create();
    rocksdb_put(db, write_options, "k", 1, "old", 3, &native);
    cr_assert_null(native);
    rocksdb_writeoptions_destroy(write_options);
    rocksdb_close(db);
    rocksdb_options_destroy(options);
}

Test(store, a_wal_that_lost_its_end_is_seen, .init = make_folder, .fini = remove_folder) {
    struct br_store *store = open_store(ROCKSDB);
    write_pairs(store, (const char *const[]){"a", "1", NULL});
    write_pairs(store, (const char *const[]){"b", "2", NULL});
    store_rocksdb_settle(store);
    br_store_destroy(&store);
    char command[200]; // what is left is a whole state, of the flush before
    snprintf(command, sizeof command, "for f in %s/*.log; do truncate -s -3 $f; done", folder);
    cr_assert_eq(system(command), 0);
    cr_assert_eq(br_store_open_rocksdb(folder, 8 << 20, &store, &error), BR_FATAL);
    cr_assert(error.native == BR_STORE_DAMAGED &&
                  strstr(error.message, "its last flush is 1, but PROOF names flush 2") != NULL,
              "%s", error.message);
}

static bool has_file(const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

Test(store, a_folder_of_an_earlier_version_is_taken_as_it_is, .init = make_folder, .fini = remove_folder) {
    write_old_store();
    struct br_store_reading reading;
    struct br_store *store = NULL;
    OK(br_store_open_to_read(folder, &store, &reading, &error));
    cr_assert(has(store, "k", "old") && !reading.has_proof && reading.flush == 0);
    br_store_destroy(&store);
    cr_assert_not(has_file("PROOF"));
    store = open_store(ROCKSDB);
    cr_assert(has(store, "k", "old") && has_file("PROOF"));
    write_pairs(store, (const char *const[]){"n", "new", NULL});
    br_store_destroy(&store);
    store = open_store(ROCKSDB);
    cr_assert(has(store, "k", "old") && has(store, "n", "new"));
    br_store_destroy(&store);
    char path[128];
    snprintf(path, sizeof path, "%s/PROOF", folder);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(br_store_open_rocksdb(folder, 8 << 20, &store, &error), BR_FATAL);
    cr_assert(error.native == BR_STORE_DAMAGED && strstr(error.message, "PROOF is missing"), "%s", error.message);
}

Test(store, a_store_in_use_is_read_beside_and_not_set_aside, .init = make_folder, .fini = remove_folder) {
    struct br_store *store = open_store(ROCKSDB), *reader = NULL;
    struct br_store_reading reading;
    char aside[160];
    write_pairs(store, (const char *const[]){"k", "v", NULL});
    OK(br_store_open_to_read(folder, &reader, &reading, &error));
    cr_assert(has(reader, "k", "v") && reading.has_proof && reading.flush == 1 && reading.proven_flush <= 1);
    OK(br_store_read_all(reader, NULL, &reading, &error));
    br_store_destroy(&reader);
    cr_assert_eq(br_store_set_aside(folder, aside, sizeof aside, &error), BR_FATAL);
    cr_assert_eq(error.native, BR_STORE_IN_USE);
    write_pairs(store, (const char *const[]){"k", "w", NULL});
    cr_assert(has(store, "k", "w"));
    br_store_destroy(&store);
}

Test(store, a_scratch_store_keeps_no_proof, .init = make_folder, .fini = remove_folder) {
    struct br_store *store = NULL;
    OK(br_store_open_scratch(folder, 8 << 20, &store, &error));
    write_pairs(store, (const char *const[]){"k", "v", NULL});
    cr_assert(has(store, "k", "v"));
    br_store_destroy(&store);
    cr_assert_not(has_file("PROOF"));
}

// A limit on file sizes stands for the full disk: the write fails in the same way, with another errno.
Test(store, a_write_that_the_disk_refuses_is_an_error, .init = make_folder, .fini = remove_folder) {
    struct br_store *store = open_store(ROCKSDB);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {64 << 10, 64 << 10};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    static uint8_t big[200 << 10];
    struct br_store_batch *batch = br_store_batch_create(store);
    br_store_batch_put(batch, text("big"), (struct br_slice){big, sizeof big});
    cr_assert_eq(br_store_write(store, batch, &error), BR_FATAL);
    cr_assert(strstr(error.message, folder) != NULL, "%s", error.message);
    br_store_batch_destroy(&batch);
    br_store_destroy(&store);
}

Test(store, setting_aside_keeps_the_old_state_under_a_new_name, .init = make_folder, .fini = remove_folder) {
    char path[128], aside[2][160];
    snprintf(path, sizeof path, "%s/task", folder);
    for (int i = 0; i < 2; i++) {
        struct br_store *store = NULL;
        OK(br_store_open_rocksdb(path, 8 << 20, &store, &error));
        cr_assert(lacks(store, "k"));
        write_pairs(store, (const char *const[]){"k", "v", NULL});
        br_store_destroy(&store);
        OK(br_store_set_aside(path, aside[i], sizeof aside[i], &error));
        cr_assert_eq(access(path, F_OK), -1);
        OK(br_store_open_rocksdb(aside[i], 8 << 20, &store, &error));
        cr_assert(has(store, "k", "v"));
        br_store_destroy(&store);
    }
    cr_assert_str_neq(aside[0], aside[1]);
    OK(br_store_remove(NULL, path, &error)); // gone already: fine
}

Test(store, a_checkpoint_is_a_store_of_its_own, .init = make_folder, .fini = remove_folder) {
    struct br_store *store = open_store(ROCKSDB), *copy = NULL;
    write_pairs(store, (const char *const[]){"k", "then", NULL});
    char path[128];
    snprintf(path, sizeof path, "%s-copy", folder);
    OK(br_store_checkpoint(store, path, &error));
    write_pairs(store, (const char *const[]){"k", "now", NULL});
    OK(br_store_open_rocksdb(path, 8 << 20, &copy, &error));
    cr_assert(has(copy, "k", "then"));
    cr_assert(has(store, "k", "now"));
    br_store_destroy(&copy);
    char current[PROOF_NAME_MAX], manifest[200];
    cr_assert(proof_current(path, current)); // it is proven as any store is
    snprintf(manifest, sizeof manifest, "%s/%s", path, current);
    cr_assert_eq(truncate(manifest, 50), 0);
    cr_assert_eq(br_store_open_rocksdb(path, 8 << 20, &copy, &error), BR_FATAL);
    cr_assert_eq(error.native, BR_STORE_DAMAGED);
    OK(br_store_remove(NULL, path, &error));
    br_store_destroy(&store);
    store = open_store(MEMORY);
    cr_assert_eq(br_store_checkpoint(store, path, &error), BR_FATAL);
    br_store_destroy(&store);
}

Test(store, usage_grows_with_what_is_written, .init = make_folder, .fini = remove_folder) {
    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct br_store *store = open_store(kind);
        uint64_t before, after, disk;
        br_store_usage(store, &before, &disk);
        static uint8_t big[300 << 10];
        struct br_store_batch *batch = br_store_batch_create(store);
        br_store_batch_put(batch, text("big"), (struct br_slice){big, sizeof big});
        OK(br_store_write(store, batch, &error));
        br_store_usage(store, &after, &disk);
        cr_assert_geq(after, before + sizeof big);
        br_store_batch_destroy(&batch);
        br_store_destroy(&store);
    }
}
