// SPDX-License-Identifier: Apache-2.0
// The store in RocksDB, through its C API, with functions that 7.8 and 9.x both have. How it is opened:
// store_rocksdb_open.c.
//
// R1. One column family only, so that the WAL and the memtables keep one order: what is recovered is a prefix of the
//     batches.
// R2. The WAL is on, and no write waits for its sync (the prover does that beside): a killed process loses nothing, and
// writing it costs 0.2 of about 1.2 us per key
//     (measured with 35-byte entries); without it a killed worker would re-read the log from the last memtable flush.
// R3. A large run becomes an SST file of its own that is ingested whole (one manifest edit). All memtables are flushed
//     before, or a crash of the machine could lose an earlier batch (unsynced WAL) but keep the run (synced file). A
//     run needs neither a WriteBatch nor a memtable of its size, which is what keeps a flush of half a budget within
//     the memory bound. All of an ingested file has one sequence number: its range deletes cover older files only, as
//     store.h promises.
// R4. Memory is cache_bytes: two memtables, and a block cache that holds index and filter blocks first. Point reads and
//     scans do not fill it with data blocks: what is read often is a hot entry above, and the page cache keeps the rest
//     (measured with random reads of 10 M keys: 2.4 us a key without filling, 3.4 us with, and half the memory).
//     Filters and indexes are not partitioned: with room for them that was slower in every run, and it wins (5.3
//     against 7.3 us) only when the cache is less than half of what they need, because sorted reads use a file's
//     filter for many keys at once.
// R5. A folder is opened after it has passed the proof (proof.h), and held by a lock of ours (store_lock), which unlike
//     RocksDB's tells that it is in use before anything is looked at. Each write and each run holds a link of the
//     chain; the prover is told of it after it is in. A scratch store, which is removed when it is closed, has none of
//     this.
// R6. RocksDB before 8.7 loses the error of a block that is damaged when range deletes make an iterator seek again: it
//     goes on behind the block as if its rows were not. There, when the store may hold range deletes, an iterator has a
//     witness: a second one that passes over all that range deletes hide too, seeks nothing again, and reports what it
//     finds. No row is given out before the witness has read as far. (Compactions and point reads lose nothing.)
//
// Keys are looked up in sorted order in groups of READ_GROUP and the values copied out, so that RocksDB's blocks are
// freed while they are still in the CPU's cache.
#include "state/store_rocksdb_internal.h"

#include "state/prover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUN_FILE_BYTES_MAX ((size_t)64 << 20) // its filter keeps 8 bytes per key in memory until it is written
#define READ_GROUP 128
#define READ_AHEAD_STEP (128 << 10)

struct rocksdb_batch {
    struct br_store_batch base;
    rocksdb_writebatch_t *native;
};

struct rocksdb_iterator {
    struct br_store_iterator base;
    rocksdb_readoptions_t *read_options;
    rocksdb_iterator_t *native;
    rocksdb_readoptions_t *witness_options;
    rocksdb_iterator_t *witness; // R6; NULL: none is needed
    struct br_buffer last;       // RocksDB keeps pointing at it
    bool started;
};

struct rocksdb_run {
    struct br_store_run base;
    rocksdb_sstfilewriter_t *writer;
    struct chain_link link;
    size_t file_bytes;
    char **files;
    size_t file_count;
};

// --- errors ---

// P8: the first damage that an open store shows is kept, and noted in the folder.
static enum br_status note_damage(struct rocksdb_store *store, const struct br_error *error) {
    if (error->native != BR_STORE_DAMAGED || store->damage != NULL)
        return BR_FATAL;
    store->damage = br_alloc(sizeof *store->damage);
    *store->damage = *error;
    if (store->prover != NULL)
        proof_mark_damaged(store->path, error->message);
    return BR_FATAL;
}

static enum br_status check_native(struct rocksdb_store *store, const char *doing, char *native,
                                   struct br_error *error) {
    if (native == NULL)
        return BR_OK;
    struct br_error own = {0};
    error = error == NULL ? &own : error;
    enum br_status status = store_rocksdb_error(store->path, doing, native, error);
    return store->db == NULL ? status : note_damage(store, error);
}

static char *run_file_path(const struct rocksdb_store *store, const char *name) {
    struct br_buffer path = {0};
    br_buffer_printf(&path, "%s/runs/%s", store->path, name);
    br_buffer_append_byte(&path, 0);
    return (char *)path.ptr;
}

// Makes the folder for the files of runs and removes what a crash left there. Called with the database's lock held.
enum br_status store_rocksdb_clear_runs(const struct rocksdb_store *store, struct br_error *error) {
    BR_AUTO_FREE char *path = run_file_path(store, "");
    BR_TRY(store_make_folder(path, error));
    DIR *folder = opendir(path);
    if (folder == NULL)
        return br_error_set_native(error, BR_FATAL, errno, "cannot read the state folder %s: %s", path,
                                   strerror(errno));
    struct dirent *file;
    while ((file = readdir(folder)) != NULL) {
        BR_AUTO_FREE char *name = run_file_path(store, file->d_name);
        if (file->d_name[0] != '.')
            unlink(name);
    }
    closedir(folder);
    return BR_OK;
}

// --- reading ---

// The values are appended to store->values; until get_many knows where that ends up, ptr is an offset in it.
static void get_group(struct rocksdb_store *store, const struct br_slice *keys, size_t count, struct br_slice *values,
                      bool *found, char **native) {
    const char *pointers[READ_GROUP] = {0};
    size_t lengths[READ_GROUP] = {0};
    rocksdb_pinnableslice_t *pinned[READ_GROUP] = {0};
    char *natives[READ_GROUP] = {0};
    bool sorted = true;
    for (size_t i = 0; i < count; i++) {
        pointers[i] = (const char *)keys[i].ptr;
        lengths[i] = keys[i].len;
        sorted = sorted && (i == 0 || br_slice_compare(keys[i - 1], keys[i]) <= 0);
    }
    rocksdb_batched_multi_get_cf(store->db, store->read_options, store->family, count, pointers, lengths, pinned,
                                 natives, sorted);
    for (size_t i = 0; i < count; i++) {
        found[i] = pinned[i] != NULL;
        values[i] = (struct br_slice){0};
        if (natives[i] != NULL && *native == NULL)
            *native = natives[i];
        else
            free(natives[i]);
        if (pinned[i] == NULL)
            continue;
        size_t len;
        const char *bytes = rocksdb_pinnableslice_value(pinned[i], &len);
        values[i] = (struct br_slice){(const uint8_t *)(uintptr_t)store->values.len, len};
        br_buffer_append(&store->values, bytes, len);
        rocksdb_pinnableslice_destroy(pinned[i]);
    }
}

static enum br_status rocksdb_store_get_many(struct br_store *base, const struct br_slice *keys, size_t count,
                                             struct br_slice *ret_values, bool *ret_found, struct br_error *error) {
    struct rocksdb_store *store = (struct rocksdb_store *)base;
    char *native = NULL;
    br_buffer_clear(&store->values);
    for (size_t at = 0; at < count && native == NULL; at += READ_GROUP) {
        size_t group = count - at < READ_GROUP ? count - at : READ_GROUP;
        get_group(store, keys + at, group, ret_values + at, ret_found + at, &native);
    }
    BR_TRY(check_native(store, "reading", native, error));
    br_buffer_reserve(&store->values, 1);
    for (size_t i = 0; i < count; i++)
        ret_values[i].ptr = store->values.ptr + (uintptr_t)ret_values[i].ptr;
    return BR_OK;
}

// The link of the chain is nobody's row.
static const struct br_slice after_chain = {(const uint8_t *)CHAIN_KEY "\0", CHAIN_KEY_LEN + 1};

static rocksdb_readoptions_t *scan_options(struct br_slice last) {
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(options, 0);
    if (last.len != 0)
        rocksdb_readoptions_set_iterate_upper_bound(options, (const char *)last.ptr, last.len);
    return options;
}

static struct br_slice native_key(const rocksdb_iterator_t *native) {
    struct br_slice key;
    key.ptr = (const uint8_t *)rocksdb_iter_key(native, &key.len);
    return key;
}

static char *native_error(const rocksdb_iterator_t *native) {
    char *error = NULL;
    rocksdb_iter_get_error(native, &error);
    return error;
}

static bool needs_witness(const struct rocksdb_store *store) {
    return ROCKSDB_VERSION_MAJOR * 100 + ROCKSDB_VERSION_MINOR < 807 && store->has_ranges;
}

static enum br_status rocksdb_store_scan(struct br_store *base, struct br_slice first, struct br_slice last,
                                         struct br_store_iterator **ret_iterator, struct br_error *error) {
    (void)error;
    struct rocksdb_store *store = (struct rocksdb_store *)base;
    struct rocksdb_iterator *iterator = br_calloc(1, sizeof *iterator);
    iterator->base.store = base;
    if (br_slice_compare(first, after_chain) < 0)
        first = after_chain;
    br_buffer_append_slice(&iterator->last, last);
    iterator->read_options = scan_options(br_buffer_slice(&iterator->last));
    iterator->native = rocksdb_create_iterator_cf(store->db, iterator->read_options, store->family);
    rocksdb_iter_seek(iterator->native, (const char *)first.ptr, first.len);
    if (needs_witness(store)) {
        iterator->witness_options = scan_options(br_buffer_slice(&iterator->last));
        rocksdb_readoptions_set_ignore_range_deletions(iterator->witness_options, 1);
        iterator->witness = rocksdb_create_iterator_cf(store->db, iterator->witness_options, store->family);
        rocksdb_iter_seek(iterator->witness, (const char *)first.ptr, first.len);
    }
    *ret_iterator = &iterator->base;
    return BR_OK;
}

// Brings the witness to where the iterator stands, which may be the end. False: it found an error on its way.
static bool bear_witness(const struct rocksdb_iterator *iterator) {
    rocksdb_iterator_t *witness = iterator->witness;
    bool ended = !rocksdb_iter_valid(iterator->native);
    struct br_slice key = !ended ? native_key(iterator->native) : (struct br_slice){0};
    while (rocksdb_iter_valid(witness) && (ended || br_slice_compare(native_key(witness), key) < 0))
        rocksdb_iter_next(witness);
    return ended || rocksdb_iter_valid(witness); // the key is there for a witness too
}

static bool rocksdb_store_iterator_next(struct br_store_iterator *base, struct br_slice *ret_key,
                                        struct br_slice *ret_value) {
    struct rocksdb_iterator *iterator = (struct rocksdb_iterator *)base;
    if (iterator->started && rocksdb_iter_valid(iterator->native))
        rocksdb_iter_next(iterator->native);
    iterator->started = true;
    if (iterator->witness != NULL && !bear_witness(iterator))
        return false;
    if (!rocksdb_iter_valid(iterator->native))
        return false;
    *ret_key = native_key(iterator->native);
    ret_value->ptr = (const uint8_t *)rocksdb_iter_value(iterator->native, &ret_value->len);
    return true;
}

static enum br_status rocksdb_store_iterator_status(const struct br_store_iterator *base, struct br_error *error) {
    const struct rocksdb_iterator *iterator = (const struct rocksdb_iterator *)base;
    struct rocksdb_store *store = (struct rocksdb_store *)base->store;
    BR_TRY(check_native(store, "scanning", native_error(iterator->native), error));
    return iterator->witness == NULL ? BR_OK : check_native(store, "scanning", native_error(iterator->witness), error);
}

static void rocksdb_store_iterator_destroy(struct br_store_iterator *base) {
    struct rocksdb_iterator *iterator = (struct rocksdb_iterator *)base;
    rocksdb_iter_destroy(iterator->native);
    rocksdb_readoptions_destroy(iterator->read_options);
    if (iterator->witness != NULL) {
        rocksdb_iter_destroy(iterator->witness);
        rocksdb_readoptions_destroy(iterator->witness_options);
    }
    br_buffer_free(&iterator->last);
    free(iterator);
}

// Goes down from last to a key before it that isn't less than `until`, or the first below. Valid or not: as it ends.
static rocksdb_iterator_t *seek_down(struct rocksdb_store *store, const rocksdb_readoptions_t *options,
                                     struct br_slice last, struct br_slice until) {
    rocksdb_iterator_t *native = rocksdb_create_iterator_cf(store->db, options, store->family);
    rocksdb_iter_seek_for_prev(native, (const char *)last.ptr, last.len);
    while (rocksdb_iter_valid(native) && br_slice_compare(native_key(native), until) >= 0)
        rocksdb_iter_prev(native);
    return native;
}

// R6, downwards: all from last to the key that was found, or to the range's begin, is read by a witness.
static char *witness_down(struct rocksdb_store *store, struct br_slice last, struct br_slice found) {
    rocksdb_readoptions_t *options = scan_options((struct br_slice){0});
    rocksdb_readoptions_set_ignore_range_deletions(options, 1);
    rocksdb_iterator_t *witness = seek_down(store, options, last, found);
    char *error = native_error(witness);
    rocksdb_iter_destroy(witness);
    rocksdb_readoptions_destroy(options);
    return error;
}

static enum br_status rocksdb_store_last_key(struct br_store *base, struct br_slice first, struct br_slice last,
                                             struct br_buffer *key, bool *ret_found, struct br_error *error) {
    struct rocksdb_store *store = (struct rocksdb_store *)base;
    if (br_slice_compare(first, after_chain) < 0)
        first = after_chain;
    rocksdb_iterator_t *iterator = seek_down(store, store->read_options, last, last); // it may stand on last itself
    struct br_slice found = rocksdb_iter_valid(iterator) ? native_key(iterator) : (struct br_slice){0};
    *ret_found = rocksdb_iter_valid(iterator) && br_slice_compare(found, first) >= 0;
    char *native = native_error(iterator);
    if (native == NULL && needs_witness(store))
        native = witness_down(store, last, *ret_found ? found : first);
    if (*ret_found && native == NULL)
        br_buffer_append_slice(key, found);
    rocksdb_iter_destroy(iterator);
    return check_native(store, "reading", native, error);
}

// --- batches ---

static struct br_store_batch *rocksdb_store_batch_create(struct br_store *base) {
    struct rocksdb_batch *batch = br_calloc(1, sizeof *batch);
    batch->base.store = base;
    batch->native = rocksdb_writebatch_create();
    return &batch->base;
}

static rocksdb_writebatch_t *native_of(const struct br_store_batch *base) {
    return ((const struct rocksdb_batch *)base)->native;
}

static void rocksdb_store_batch_destroy(struct br_store_batch *base) {
    rocksdb_writebatch_destroy(native_of(base));
    free(base);
}

static void rocksdb_store_batch_clear(struct br_store_batch *base) {
    rocksdb_writebatch_clear(native_of(base));
}

static void rocksdb_store_batch_put(struct br_store_batch *base, struct br_slice key, struct br_slice value) {
    rocksdb_writebatch_put(native_of(base), (const char *)key.ptr, key.len,
                           value.len == 0 ? "" : (const char *)value.ptr, value.len);
}

static void rocksdb_store_batch_delete(struct br_store_batch *base, struct br_slice key) {
    rocksdb_writebatch_delete(native_of(base), (const char *)key.ptr, key.len);
}

static void rocksdb_store_batch_delete_range(struct br_store_batch *base, struct br_slice first, struct br_slice last) {
    ((struct rocksdb_store *)base->store)->has_ranges = true;
    rocksdb_writebatch_delete_range(native_of(base), first.len == 0 ? "" : (const char *)first.ptr, first.len,
                                    (const char *)last.ptr, last.len);
}

static size_t rocksdb_store_batch_size(const struct br_store_batch *base) {
    size_t size;
    rocksdb_writebatch_data(native_of(base), &size);
    return size;
}

// What comes before each flush: nothing is written behind damage, or behind a proof that couldn't be.
static enum br_status begin_flush(struct rocksdb_store *store, struct chain_link *ret_link, struct br_error *error) {
    struct chain_link last = {.last = store->mark.flush, .to = store->mark.link};
    *ret_link = chain_next(&last, store->opening);
    if (store->damage != NULL) {
        *error = *store->damage;
        return BR_FATAL;
    }
    return store->prover == NULL ? BR_OK : prover_check(store->prover, error);
}

static void end_flush(struct rocksdb_store *store, const struct chain_link *link) {
    store->mark.flush = link->last;
    store->mark.link = link->to;
    store->mark.sequence = rocksdb_get_latest_sequence_number(store->db);
    if (store->prover != NULL)
        prover_wants(store->prover, &store->mark);
}

static enum br_status rocksdb_store_write(struct br_store *base, struct br_store_batch *batch, struct br_error *error) {
    struct rocksdb_store *store = (struct rocksdb_store *)base;
    struct chain_link link;
    uint8_t bytes[CHAIN_LINK_BYTES];
    char *native = NULL;
    BR_TRY(begin_flush(store, &link, error));
    chain_encode(&link, bytes);
    rocksdb_writebatch_merge(native_of(batch), CHAIN_KEY, CHAIN_KEY_LEN, (const char *)bytes, sizeof bytes);
    rocksdb_write(store->db, store->write_options, native_of(batch), &native);
    BR_TRY(check_native(store, "writing", native, error));
    end_flush(store, &link);
    return BR_OK;
}

// --- runs (R3) ---

static enum br_status open_run_file(struct rocksdb_run *run, struct br_error *error) {
    struct rocksdb_store *store = (struct rocksdb_store *)run->base.store;
    char name[32];
    snprintf(name, sizeof name, "run-%llu", (unsigned long long)store->runs++);
    run->files = br_realloc(run->files, (run->file_count + 1) * sizeof(char *));
    run->files[run->file_count] = run_file_path(store, name);
    run->file_bytes = 0;
    char *native = NULL;
    rocksdb_sstfilewriter_open(run->writer, run->files[run->file_count++], &native);
    return check_native(store, "making a file for a flush", native, error);
}

// The writer drops the file from the page cache, as if nobody read what was changed last. Reading it in again at once
// is sequential and waits for nothing; left to point reads it would be thousands of small waits. In steps, because the
// kernel cuts each advice down to the device's read-ahead (128 KiB unless set otherwise), however much was asked for.
static void read_ahead(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat about;
    if (file < 0)
        return;
    if (fstat(file, &about) == 0)
        for (off_t at = 0; at < about.st_size; at += READ_AHEAD_STEP)
            (void)posix_fadvise(file, at, READ_AHEAD_STEP, POSIX_FADV_WILLNEED);
    close(file);
}

static enum br_status finish_run_file(struct rocksdb_run *run, struct br_error *error) {
    char *native = NULL;
    rocksdb_sstfilewriter_finish(run->writer, &native);
    BR_TRY(check_native((struct rocksdb_store *)run->base.store, "finishing a file for a flush", native, error));
    read_ahead(run->files[run->file_count - 1]);
    return BR_OK;
}

static void rocksdb_store_run_destroy(struct br_store_run *base) {
    struct rocksdb_run *run = (struct rocksdb_run *)base;
    rocksdb_sstfilewriter_destroy(run->writer);
    for (size_t i = 0; i < run->file_count; i++) {
        unlink(run->files[i]); // gone already when it was ingested
        free(run->files[i]);
    }
    free(run->files);
    free(run);
}

// Its key comes before all others.
static enum br_status put_link(struct rocksdb_run *run, struct br_error *error) {
    uint8_t bytes[CHAIN_LINK_BYTES];
    char *native = NULL;
    chain_encode(&run->link, bytes);
    rocksdb_sstfilewriter_merge(run->writer, CHAIN_KEY, CHAIN_KEY_LEN, (const char *)bytes, sizeof bytes, &native);
    return check_native((struct rocksdb_store *)run->base.store, "flushing", native, error);
}

static enum br_status rocksdb_store_run_begin(struct br_store *base, size_t expected_bytes,
                                              struct br_store_run **ret_run, struct br_error *error) {
    struct rocksdb_store *store = (struct rocksdb_store *)base;
    if (expected_bytes < store->run_bytes_min)
        return BR_OK;
    struct rocksdb_run *run = br_calloc(1, sizeof *run);
    run->base.store = base;
    run->writer = rocksdb_sstfilewriter_create(store->env_options, store->options);
    enum br_status status = begin_flush(store, &run->link, error);
    if (status == BR_OK)
        status = open_run_file(run, error);
    if (status == BR_OK)
        status = put_link(run, error);
    if (status == BR_OK)
        *ret_run = &run->base;
    else
        rocksdb_store_run_destroy(&run->base);
    return status;
}

static enum br_status rocksdb_store_run_delete_range(struct br_store_run *base, struct br_slice first,
                                                     struct br_slice last, struct br_error *error) {
    struct rocksdb_run *run = (struct rocksdb_run *)base;
    char *native = NULL;
    ((struct rocksdb_store *)base->store)->has_ranges = true;
    rocksdb_sstfilewriter_delete_range(run->writer, first.len == 0 ? "" : (const char *)first.ptr, first.len,
                                       (const char *)last.ptr, last.len, &native);
    return check_native((struct rocksdb_store *)base->store, "flushing", native, error);
}

static enum br_status make_room(struct rocksdb_run *run, size_t bytes, struct br_error *error) {
    if (run->file_bytes > RUN_FILE_BYTES_MAX) {
        BR_TRY(finish_run_file(run, error));
        BR_TRY(open_run_file(run, error));
    }
    run->file_bytes += bytes;
    return BR_OK;
}

static enum br_status rocksdb_store_run_put(struct br_store_run *base, struct br_slice key, struct br_slice value,
                                            struct br_error *error) {
    struct rocksdb_run *run = (struct rocksdb_run *)base;
    BR_TRY(make_room(run, key.len + value.len, error));
    char *native = NULL;
    rocksdb_sstfilewriter_put(run->writer, (const char *)key.ptr, key.len,
                              value.len == 0 ? "" : (const char *)value.ptr, value.len, &native);
    return check_native((struct rocksdb_store *)base->store, "flushing", native, error);
}

static enum br_status rocksdb_store_run_delete(struct br_store_run *base, struct br_slice key, struct br_error *error) {
    struct rocksdb_run *run = (struct rocksdb_run *)base;
    BR_TRY(make_room(run, key.len, error));
    char *native = NULL;
    rocksdb_sstfilewriter_delete(run->writer, (const char *)key.ptr, key.len, &native);
    return check_native((struct rocksdb_store *)base->store, "flushing", native, error);
}

static enum br_status rocksdb_store_run_commit(struct br_store_run *base, struct br_error *error) {
    struct rocksdb_run *run = (struct rocksdb_run *)base;
    struct rocksdb_store *store = (struct rocksdb_store *)base->store;
    BR_CHECK(run->link.last == store->mark.flush + 1);
    BR_TRY(finish_run_file(run, error));
    char *native = NULL;
    rocksdb_flush_cf(store->db, store->flush_options, store->family, &native);
    BR_TRY(check_native(store, "flushing the memtable", native, error));
    rocksdb_ingest_external_file_cf(store->db, store->family, (const char *const *)run->files, run->file_count,
                                    store->ingest_options, &native);
    // Building the file and the compactions before it left free memory scattered in malloc's arenas: give it back.
    malloc_trim(0);
    BR_TRY(check_native(store, "taking in a flushed file", native, error));
    end_flush(store, &run->link);
    return BR_OK;
}

// --- the rest ---

static enum br_status rocksdb_store_checkpoint(struct br_store *base, const char *path, struct br_error *error) {
    struct rocksdb_store *store = (struct rocksdb_store *)base;
    char *native = NULL;
    rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(store->db, &native);
    BR_TRY(check_native(store, "making a checkpoint", native, error));
    rocksdb_checkpoint_create(checkpoint, path, 0, &native);
    rocksdb_checkpoint_object_destroy(checkpoint);
    BR_TRY(check_native(store, "making a checkpoint", native, error));
    struct proof proof = {.mark = store->mark};
    enum br_status status = proof_name_files(path, &proof, error);
    if (status == BR_OK)
        status = proof_write(path, &proof, error);
    proof_free(&proof);
    return status;
}

static enum br_status rocksdb_store_check(struct br_store *base, struct br_error *error) {
    const struct rocksdb_store *store = (const struct rocksdb_store *)base;
    if (store->damage == NULL)
        return BR_OK;
    *error = *store->damage;
    return BR_FATAL;
}

static void rocksdb_store_note(struct br_store *base, uint64_t epoch, uint64_t digest) {
    struct rocksdb_store *store = (struct rocksdb_store *)base;
    store->mark.epoch = epoch;
    store->mark.digest = digest;
}

static uint64_t property(const struct rocksdb_store *store, const char *name) {
    uint64_t value = 0;
    return rocksdb_property_int_cf(store->db, store->family, name, &value) == 0 ? value : 0;
}

static void rocksdb_store_usage(struct br_store *base, uint64_t *ret_memory, uint64_t *ret_disk) {
    const struct rocksdb_store *store = (struct rocksdb_store *)base;
    uint64_t memtables = property(store, "rocksdb.size-all-mem-tables");
    *ret_memory = rocksdb_cache_get_usage(store->cache) + memtables +
                  property(store, "rocksdb.estimate-table-readers-mem") + store->values.capacity;
    *ret_disk = property(store, "rocksdb.total-sst-files-size") + memtables; // the WAL is about as large as these
}

void store_rocksdb_set_run_bytes_min(struct br_store *store, size_t bytes) {
    ((struct rocksdb_store *)store)->run_bytes_min = bytes;
}

void store_rocksdb_settle(struct br_store *store) {
    prover_settle(((struct rocksdb_store *)store)->prover);
}

const struct store_ops store_rocksdb_ops = {
    .destroy = store_rocksdb_destroy,
    .get_many = rocksdb_store_get_many,
    .batch_create = rocksdb_store_batch_create,
    .batch_destroy = rocksdb_store_batch_destroy,
    .batch_clear = rocksdb_store_batch_clear,
    .batch_put = rocksdb_store_batch_put,
    .batch_delete = rocksdb_store_batch_delete,
    .batch_delete_range = rocksdb_store_batch_delete_range,
    .batch_size = rocksdb_store_batch_size,
    .write = rocksdb_store_write,
    .run_begin = rocksdb_store_run_begin,
    .run_delete_range = rocksdb_store_run_delete_range,
    .run_put = rocksdb_store_run_put,
    .run_delete = rocksdb_store_run_delete,
    .run_commit = rocksdb_store_run_commit,
    .run_destroy = rocksdb_store_run_destroy,
    .scan = rocksdb_store_scan,
    .iterator_next = rocksdb_store_iterator_next,
    .iterator_status = rocksdb_store_iterator_status,
    .iterator_destroy = rocksdb_store_iterator_destroy,
    .last_key = rocksdb_store_last_key,
    .checkpoint = rocksdb_store_checkpoint,
    .check = rocksdb_store_check,
    .note = rocksdb_store_note,
    .usage = rocksdb_store_usage,
};
