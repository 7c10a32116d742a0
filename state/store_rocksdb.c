// SPDX-License-Identifier: Apache-2.0
// The store in RocksDB, through its C API, with functions that 7.8 and 9.x both have.
//
// R1. One column family only, so that the WAL and the memtables keep one order: what is recovered is a prefix of the
//     batches.
// R2. The WAL is on and unsynced: a killed process loses nothing, and writing it costs 0.2 of about 1.2 us per key
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
//     RocksDB's tells that it is in use before anything is looked at. Each write and each run holds a link of the chain;
//     the prover is told of it after it is in. A scratch store, which is removed when it is closed, has none of this.
//
// Keys are looked up in sorted order in groups of READ_GROUP and the values copied out, so that RocksDB's blocks are
// freed while they are still in the CPU's cache.
#include "state/store_rocksdb_internal.h"

#include "state/prover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define CACHE_BYTES_MIN (4 * MIB)
#define MEMTABLE_BYTES_MIN (1 * MIB)
#define MEMTABLE_BYTES_MAX (16 * MIB)
#define RUN_BYTES_MIN (4 * MIB)       // smaller runs are batches
#define RUN_FILE_BYTES_MAX (64 * MIB) // a file of a run; its filter keeps 8 bytes per key in memory until it is written
#define FILE_BYTES (32 * MIB)
#define LEVEL_BASE_BYTES (256 * MIB)
#define BLOCK_BYTES 4096
#define FILTER_BITS_PER_KEY 10.0
#define READ_GROUP 128
#define CHECKSUM_XXH3 4
#define READ_AHEAD_STEP (128 << 10)

struct rocksdb_store {
    struct br_store base;
    char *path;
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_cache_t *cache;
    rocksdb_column_family_handle_t *family;
    rocksdb_readoptions_t *read_options;
    rocksdb_writeoptions_t *write_options;
    rocksdb_flushoptions_t *flush_options;
    rocksdb_envoptions_t *env_options;
    rocksdb_ingestexternalfileoptions_t *ingest_options;
    struct br_buffer values; // of the last get_many
    size_t run_bytes_min;
    uint64_t runs; // numbers the files of runs
    int lock;      // -1: none
    struct prover *prover; // NULL: a scratch store
    struct proof_mark mark; // what is in the store
    uint64_t opening;       // chain_next
    struct br_error *damage; // what was found; NULL: nothing
};

struct rocksdb_batch {
    struct br_store_batch base;
    rocksdb_writebatch_t *native;
};

struct rocksdb_iterator {
    struct br_store_iterator base;
    rocksdb_readoptions_t *read_options;
    rocksdb_iterator_t *native;
    struct br_buffer last; // RocksDB keeps pointing at it
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

// What RocksDB's messages begin with or hold, the first that fits; the words go on with the message.
static const struct {
    const char *holds;
    int native;
    const char *format; // of the folder, what we were at, RocksDB's words
} kinds[] = {
    {"Permission denied", 0,
     "the state in %s can't be used (found while %s): give the folder and its files to the user that the worker runs as "
     "(%s)"},
    {"Read-only file system", 0, "the state in %s can't be written (found while %s): its file system is read-only (%s)"},
    {"Too many open files", 0,
     "the state in %s can't be used (found while %s): the process has too many open files, raise its limit (ulimit -n) "
     "(%s)"},
    {"/LOCK", BR_STORE_IN_USE,
     "data directory in use: %s is open in another process or task (found while %s); stop it or give this one another "
     "folder (%s)"},
    {"No space left", 0,
     "disk full: no space left for the state in %s while %s; free some space and start again, nothing is lost (%s)"},
    {"NoSpace", 0,
     "disk full: no space left for the state in %s while %s; free some space and start again, nothing is lost (%s)"},
    {"Corruption", BR_STORE_DAMAGED, "the state in %s is damaged (found while %s): %s"},
    {"No such file", BR_STORE_DAMAGED, "the state in %s is damaged (found while %s): %s"},
    {"", 0, "the state in %s failed while %s: %s"},
};

enum br_status store_rocksdb_error(const char *path, const char *doing, char *take_native, struct br_error *error) {
    char text[BR_ERROR_MESSAGE_SIZE / 2];
    snprintf(text, sizeof text, "%s", take_native);
    free(take_native);
    size_t kind = 0;
    while (strstr(text, kinds[kind].holds) == NULL)
        kind++;
    char message[BR_ERROR_MESSAGE_SIZE];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(message, sizeof message, kinds[kind].format, path, doing, text);
#pragma GCC diagnostic pop
    return br_error_set_native(error, BR_FATAL, kinds[kind].native, "%s", message);
}

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
    struct br_error own;
    error = error == NULL ? &own : error;
    if (native == NULL)
        return BR_OK;
    enum br_status status = store_rocksdb_error(store->path, doing, native, error);
    return store->db == NULL ? status : note_damage(store, error);
}

// --- opening and closing ---

static rocksdb_cache_t *create_cache(size_t bytes) {
    rocksdb_lru_cache_options_t *options = rocksdb_lru_cache_options_create();
    rocksdb_lru_cache_options_set_capacity(options, bytes);
    rocksdb_lru_cache_options_set_num_shard_bits(options, 0); // filters are large: shards would bound them by less
    rocksdb_cache_t *cache = rocksdb_cache_create_lru_opts(options);
    rocksdb_lru_cache_options_destroy(options);
    return cache;
}

static void set_table_options(rocksdb_options_t *options, rocksdb_cache_t *cache) {
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_size(table, BLOCK_BYTES);
    rocksdb_block_based_options_set_format_version(table, 5);
    rocksdb_block_based_options_set_checksum(table, CHECKSUM_XXH3);
    rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(FILTER_BITS_PER_KEY));
    rocksdb_block_based_options_set_whole_key_filtering(table, 1);
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
}

rocksdb_options_t *store_rocksdb_options(size_t memtable_bytes, rocksdb_cache_t *cache) {
    rocksdb_options_t *options = rocksdb_options_create();
    set_table_options(options, cache);
    rocksdb_options_set_merge_operator(options, chain_merge_operator());
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_compression(options, rocksdb_no_compression);
    rocksdb_options_set_write_buffer_size(options, memtable_bytes);
    rocksdb_options_set_max_write_buffer_number(options, 2);
    // Most lookups are of keys that the memtable lacks: its filter is cheaper than its skip list.
    rocksdb_options_set_memtable_whole_key_filtering(options, 1);
    rocksdb_options_set_memtable_prefix_bloom_size_ratio(options, 0.05);
    rocksdb_options_set_allow_concurrent_memtable_write(options, 0); // one writer
    rocksdb_options_set_target_file_size_base(options, FILE_BYTES);
    rocksdb_options_set_max_bytes_for_level_base(options, LEVEL_BASE_BYTES);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 0);
    rocksdb_options_set_max_background_jobs(options, 2);
    rocksdb_options_set_bytes_per_sync(options, MIB); // spreads the write-back of compactions
    rocksdb_options_set_max_total_wal_size(options, 4 * memtable_bytes);
    rocksdb_options_set_info_log_level(options, 2); // warnings
    rocksdb_options_set_max_log_file_size(options, MIB);
    rocksdb_options_set_keep_log_file_num(options, 2);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    return options;
}

static void rocksdb_store_destroy(struct br_store *base) {
    struct rocksdb_store *store = (struct rocksdb_store *)base;
    prover_stop(&store->prover);
    if (store->family != NULL)
        rocksdb_column_family_handle_destroy(store->family);
    if (store->db != NULL)
        rocksdb_close(store->db);
    rocksdb_ingestexternalfileoptions_destroy(store->ingest_options);
    rocksdb_envoptions_destroy(store->env_options);
    rocksdb_flushoptions_destroy(store->flush_options);
    rocksdb_writeoptions_destroy(store->write_options);
    rocksdb_readoptions_destroy(store->read_options);
    rocksdb_options_destroy(store->options);
    rocksdb_cache_destroy(store->cache);
    store_unlock(&store->lock);
    br_buffer_free(&store->values);
    free(store->damage);
    free(store->path);
    free(store);
}

static char *run_file_path(const struct rocksdb_store *store, const char *name) {
    struct br_buffer path = {0};
    br_buffer_printf(&path, "%s/runs/%s", store->path, name);
    br_buffer_append_byte(&path, 0);
    return (char *)path.ptr;
}

// Makes the folder for the files of runs and removes what a crash left there. Called with the database's lock held.
static enum br_status clear_runs(const struct rocksdb_store *store, struct br_error *error) {
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

static enum br_status rocksdb_store_scan(struct br_store *base, struct br_slice first, struct br_slice last,
                                         struct br_store_iterator **ret_iterator, struct br_error *error) {
    (void)error;
    struct rocksdb_store *store = (struct rocksdb_store *)base;
    struct rocksdb_iterator *iterator = br_calloc(1, sizeof *iterator);
    iterator->base.store = base;
    iterator->read_options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(iterator->read_options, 0);
    if (br_slice_compare(first, after_chain) < 0)
        first = after_chain;
    if (last.len != 0) {
        br_buffer_append_slice(&iterator->last, last);
        rocksdb_readoptions_set_iterate_upper_bound(iterator->read_options, (const char *)iterator->last.ptr,
                                                    iterator->last.len);
    }
    iterator->native = rocksdb_create_iterator_cf(store->db, iterator->read_options, store->family);
    rocksdb_iter_seek(iterator->native, (const char *)first.ptr, first.len);
    *ret_iterator = &iterator->base;
    return BR_OK;
}

static bool rocksdb_store_iterator_next(struct br_store_iterator *base, struct br_slice *ret_key,
                                        struct br_slice *ret_value) {
    struct rocksdb_iterator *iterator = (struct rocksdb_iterator *)base;
    if (iterator->started && rocksdb_iter_valid(iterator->native))
        rocksdb_iter_next(iterator->native);
    iterator->started = true;
    if (!rocksdb_iter_valid(iterator->native))
        return false;
    ret_key->ptr = (const uint8_t *)rocksdb_iter_key(iterator->native, &ret_key->len);
    ret_value->ptr = (const uint8_t *)rocksdb_iter_value(iterator->native, &ret_value->len);
    return true;
}

static enum br_status rocksdb_store_iterator_status(const struct br_store_iterator *base, struct br_error *error) {
    const struct rocksdb_iterator *iterator = (const struct rocksdb_iterator *)base;
    char *native = NULL;
    rocksdb_iter_get_error(iterator->native, &native);
    return check_native((struct rocksdb_store *)base->store, "scanning", native, error);
}

static void rocksdb_store_iterator_destroy(struct br_store_iterator *base) {
    struct rocksdb_iterator *iterator = (struct rocksdb_iterator *)base;
    rocksdb_iter_destroy(iterator->native);
    rocksdb_readoptions_destroy(iterator->read_options);
    br_buffer_free(&iterator->last);
    free(iterator);
}

static enum br_status rocksdb_store_last_key(struct br_store *base, struct br_slice first, struct br_slice last,
                                             struct br_buffer *key, bool *ret_found, struct br_error *error) {
    struct rocksdb_store *store = (struct rocksdb_store *)base;
    if (br_slice_compare(first, after_chain) < 0)
        first = after_chain;
    rocksdb_iterator_t *iterator = rocksdb_create_iterator_cf(store->db, store->read_options, store->family);
    rocksdb_iter_seek_for_prev(iterator, (const char *)last.ptr, last.len);
    struct br_slice found = {0};
    for (; rocksdb_iter_valid(iterator); rocksdb_iter_prev(iterator)) {
        found.ptr = (const uint8_t *)rocksdb_iter_key(iterator, &found.len);
        if (br_slice_compare(found, last) < 0) // it may stand on last itself
            break;
    }
    *ret_found = rocksdb_iter_valid(iterator) && br_slice_compare(found, first) >= 0;
    if (*ret_found)
        br_buffer_append_slice(key, found);
    char *native = NULL;
    rocksdb_iter_get_error(iterator, &native);
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

static const struct store_ops ops = {
    .destroy = rocksdb_store_destroy,
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

static struct rocksdb_store *create_closed(const char *path, size_t cache_bytes) {
    struct rocksdb_store *store = br_calloc(1, sizeof *store);
    cache_bytes = cache_bytes < CACHE_BYTES_MIN ? CACHE_BYTES_MIN : cache_bytes;
    size_t memtable_bytes = cache_bytes / 8;
    memtable_bytes = memtable_bytes < MEMTABLE_BYTES_MIN ? MEMTABLE_BYTES_MIN : memtable_bytes;
    memtable_bytes = memtable_bytes > MEMTABLE_BYTES_MAX ? MEMTABLE_BYTES_MAX : memtable_bytes;
    store->base.ops = &ops;
    store->lock = -1;
    store->path = br_strdup(path);
    store->run_bytes_min = memtable_bytes / 2 < RUN_BYTES_MIN ? memtable_bytes / 2 : RUN_BYTES_MIN;
    store->cache = create_cache(cache_bytes - 2 * memtable_bytes);
    store->options = store_rocksdb_options(memtable_bytes, store->cache);
    store->read_options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(store->read_options, 0);
    store->write_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_memtable_insert_hint_per_batch(store->write_options, 1); // batches come sorted
    store->flush_options = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(store->flush_options, 1);
    store->env_options = rocksdb_envoptions_create();
    store->ingest_options = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(store->ingest_options, 1);
    return store;
}

// --- opening

static enum br_status read_chain(rocksdb_t *db, rocksdb_column_family_handle_t *family, const char *path,
                                 struct chain_link *ret_link, struct br_error *error) {
    char *native = NULL;
    size_t len = 0;
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    BR_AUTO_FREE char *bytes = rocksdb_get_cf(db, options, family, CHAIN_KEY, CHAIN_KEY_LEN, &len, &native);
    rocksdb_readoptions_destroy(options);
    *ret_link = (struct chain_link){0};
    if (native != NULL)
        return store_rocksdb_error(path, "reading", native, error);
    if (bytes != NULL && !chain_decode((struct br_slice){(const uint8_t *)bytes, len}, ret_link))
        ret_link->hole = 1;
    return BR_OK;
}

enum br_status store_rocksdb_check_open(rocksdb_t *db, rocksdb_column_family_handle_t *family, const char *path,
                                        const struct proof *proof, struct proof_mark *ret_mark,
                                        struct br_error *error) {
    struct chain_link chain;
    BR_TRY(read_chain(db, family, path, &chain, error));
    *ret_mark = (struct proof_mark){
        .flush = chain.last, .link = chain.to, .sequence = rocksdb_get_latest_sequence_number(db)};
    struct br_buffer BR_CLEANUP(br_buffer_free) what = {0};
    if (chain.hole != 0)
        br_buffer_printf(&what, "its flush %" PRIu64 " is missing, though later ones are there", chain.hole);
    else if (chain.first > 1 || chain.from != 0)
        br_buffer_printf(&what, "its flushes before %" PRIu64 " are missing", chain.first);
    else if (proof == NULL && chain.last != 0)
        br_buffer_printf(&what, "its file %s is missing", PROOF_NAME);
    else if (proof != NULL && chain.last < proof->mark.flush)
        br_buffer_printf(&what, "its last flush is %" PRIu64 ", but %s names flush %" PRIu64, chain.last, PROOF_NAME,
                         proof->mark.flush);
    else if (proof != NULL && chain.last == proof->mark.flush && chain.to != proof->mark.link)
        br_buffer_printf(&what, "its flush %" PRIu64 " isn't the one that %s names", chain.last, PROOF_NAME);
    else if (proof != NULL && ret_mark->sequence < proof->mark.sequence)
        br_buffer_printf(&what, "its sequence number is %" PRIu64 ", but %s names %" PRIu64, ret_mark->sequence,
                         PROOF_NAME, proof->mark.sequence);
    if (proof != NULL && chain.last == proof->mark.flush) {
        ret_mark->epoch = proof->mark.epoch;
        ret_mark->digest = proof->mark.digest;
    }
    if (what.len == 0)
        return BR_OK;
    return br_error_set_native(error, BR_FATAL, BR_STORE_DAMAGED, "the state in %s is damaged: %.*s", path,
                               (int)what.len, (const char *)what.ptr);
}

static enum br_status open_database(struct rocksdb_store *store, struct br_error *error) {
    const char *name = "default";
    const rocksdb_options_t *options = store->options;
    rocksdb_column_family_handle_t *family = NULL;
    char *native = NULL;
    rocksdb_t *db = rocksdb_open_column_families(options, store->path, 1, &name, &options, &family, &native);
    BR_TRY(check_native(store, "opening", native, error));
    store->db = db;
    store->family = family;
    return BR_OK;
}

// P4, P5, P7.
static enum br_status open_proven(struct rocksdb_store *store, const struct proof *proof, struct br_error *error) {
    BR_TRY(proof_check_files(store->path, proof, error));
    BR_TRY(open_database(store, error));
    BR_TRY(store_rocksdb_check_open(store->db, store->family, store->path, proof, &store->mark, error));
    BR_CHECK(getrandom(&store->opening, sizeof store->opening, 0) == sizeof store->opening);
    return prover_start(store->db, store->path, &store->mark, &store->prover, error);
}

enum br_status br_store_open_rocksdb(const char *path, size_t cache_bytes, struct br_store **ret_store,
                                     struct br_error *error) {
    struct proof proof = {0};
    bool found;
    BR_TRY(store_make_folder(path, error));
    struct rocksdb_store *store = create_closed(path, cache_bytes);
    enum br_status status = store_lock(path, &store->lock, error);
    if (status == BR_OK)
        status = proof_read(path, &proof, &found, error);
    if (status == BR_OK)
        status = open_proven(store, found ? &proof : NULL, error);
    if (status == BR_OK)
        status = clear_runs(store, error);
    proof_free(&proof);
    if (status != BR_OK) {
        rocksdb_store_destroy(&store->base);
        return status;
    }
    *ret_store = &store->base;
    return BR_OK;
}

enum br_status br_store_open_scratch(const char *path, size_t cache_bytes, struct br_store **ret_store,
                                     struct br_error *error) {
    BR_TRY(store_make_folder(path, error));
    struct rocksdb_store *store = create_closed(path, cache_bytes);
    enum br_status status = open_database(store, error);
    if (status == BR_OK)
        status = clear_runs(store, error);
    if (status != BR_OK) {
        rocksdb_store_destroy(&store->base);
        return status;
    }
    *ret_store = &store->base;
    return BR_OK;
}
