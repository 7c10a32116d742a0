// SPDX-License-Identifier: Apache-2.0
// Opening a store in RocksDB: to use it, to use and throw it away, or to read all of it; and what RocksDB's messages
// mean. What makes a folder fit to be opened: proof.h.
#include "state/store_rocksdb_internal.h"

#include "state/prover.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define CACHE_BYTES_MIN (4 * MIB)
#define MEMTABLE_BYTES_MIN (1 * MIB)
#define MEMTABLE_BYTES_MAX (16 * MIB)
#define RUN_BYTES_MIN (4 * MIB) // smaller runs are batches
#define FILE_BYTES (32 * MIB)
#define LEVEL_BASE_BYTES (256 * MIB)
#define BLOCK_BYTES 4096
#define FILTER_BITS_PER_KEY 10.0
#define CHECKSUM_XXH3 4
#define READ_TRIES 5 // of a folder that a worker may be changing
#define READ_WAIT_US 200000
#define READ_AHEAD_BYTES (2 * MIB)
#define LOOK_EVERY_ROWS 4096
#define FILE_OPENING_THREADS 16            // RocksDB's default
#define THREADS (FILE_OPENING_THREADS + 4) // of one database at most: with those for flush, compaction, timers, WAL

// --- errors ---

// What RocksDB's messages begin with or hold, the first that fits; the words go on with the message.
static const struct {
    const char *holds;
    int native;
    const char *format; // of the folder, what we were at, RocksDB's words
} kinds[] = {
    {"Permission denied", 0,
     "the state in %s can't be used (found while %s): give the folder and its files to the user that the worker runs "
     "as "
     "(%s)"},
    {"Read-only file system", 0,
     "the state in %s can't be written (found while %s): its file system is read-only (%s)"},
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

// --- what a store stands on ---

static rocksdb_cache_t *create_cache(size_t bytes) {
    rocksdb_lru_cache_options_t *options = rocksdb_lru_cache_options_create();
    rocksdb_lru_cache_options_set_capacity(options, bytes);
    rocksdb_lru_cache_options_set_num_shard_bits(options, 0); // filters are large: shards would bound them by less
    rocksdb_cache_t *cache = rocksdb_cache_create_lru_opts(options);
    rocksdb_lru_cache_options_destroy(options);
    return cache;
}

// pin: all indexes and filters are read at opening, and stay.
static void set_table_options(rocksdb_options_t *options, rocksdb_cache_t *cache, bool pin) {
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_size(table, BLOCK_BYTES);
    rocksdb_block_based_options_set_format_version(table, 5);
    rocksdb_block_based_options_set_checksum(table, CHECKSUM_XXH3);
    rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(FILTER_BITS_PER_KEY));
    rocksdb_block_based_options_set_whole_key_filtering(table, 1);
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, !pin);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
}

static rocksdb_options_t *create_options(size_t memtable_bytes, rocksdb_cache_t *cache) {
    rocksdb_options_t *options = rocksdb_options_create();
    set_table_options(options, cache, false);
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

void store_rocksdb_destroy(struct br_store *base) {
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

// Everything but the database.
static struct rocksdb_store *create_closed(const char *path, size_t cache_bytes) {
    struct rocksdb_store *store = br_calloc(1, sizeof *store);
    cache_bytes = cache_bytes < CACHE_BYTES_MIN ? CACHE_BYTES_MIN : cache_bytes;
    size_t memtable_bytes = cache_bytes / 8;
    memtable_bytes = memtable_bytes < MEMTABLE_BYTES_MIN ? MEMTABLE_BYTES_MIN : memtable_bytes;
    memtable_bytes = memtable_bytes > MEMTABLE_BYTES_MAX ? MEMTABLE_BYTES_MAX : memtable_bytes;
    store->base.ops = &store_rocksdb_ops;
    store->lock = -1;
    store->path = br_strdup(path);
    store->run_bytes_min = memtable_bytes / 2 < RUN_BYTES_MIN ? memtable_bytes / 2 : RUN_BYTES_MIN;
    store->cache = create_cache(cache_bytes - 2 * memtable_bytes);
    store->options = create_options(memtable_bytes, store->cache);
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

// --- opening ---

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

// P5. proof NULL: there is none. *ret_mark: what is there.
static enum br_status check_opened(rocksdb_t *db, rocksdb_column_family_handle_t *family, const char *path,
                                   const struct proof *proof, struct proof_mark *ret_mark, struct br_error *error) {
    struct chain_link chain;
    BR_TRY(read_chain(db, family, path, &chain, error));
    *ret_mark =
        (struct proof_mark){.flush = chain.last, .link = chain.to, .sequence = rocksdb_get_latest_sequence_number(db)};
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

// R6. What the WAL held is in files once the database is open.
static bool may_have_ranges(const struct rocksdb_store *store) {
    static const char name[] = "# range deletions=";
    BR_AUTO_FREE char *text = rocksdb_property_value(store->db, "rocksdb.aggregated-table-properties");
    const char *count = text == NULL ? NULL : strstr(text, name);
    return count == NULL || strtoull(count + sizeof name - 1, NULL, 10) != 0;
}

static void *wait_for_lock(void *lock) {
    pthread_mutex_lock(lock);
    pthread_mutex_unlock(lock);
    return NULL;
}

// RocksDB ends the process when it can't have a thread: as many as it may start are started first.
static enum br_status try_threads(const char *path, struct br_error *error) {
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_t threads[THREADS];
    int count = 0, code = 0;
    pthread_mutex_lock(&lock);
    while (code == 0 && count < THREADS) {
        code = pthread_create(&threads[count], NULL, wait_for_lock, &lock);
        count += code == 0;
    }
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&lock);
    if (code == 0)
        return BR_OK;
    return br_error_set_native(error, BR_FATAL, code,
                               "the state in %s can't be opened: of %d threads that RocksDB may need this process gets "
                               "%d (%s): raise its limit (ulimit -u, or the container's limit of pids)",
                               path, THREADS, count, strerror(code));
}

static enum br_status open_database(struct rocksdb_store *store, struct br_error *error) {
    const char *name = "default";
    const rocksdb_options_t *options = store->options;
    rocksdb_column_family_handle_t *family = NULL;
    char *native = NULL;
    BR_TRY(try_threads(store->path, error));
    rocksdb_t *db = rocksdb_open_column_families(options, store->path, 1, &name, &options, &family, &native);
    if (native != NULL)
        return store_rocksdb_error(store->path, "opening", native, error);
    store->db = db;
    store->family = family;
    store->has_ranges = may_have_ranges(store);
    return BR_OK;
}

// P4, P5, P7.
static enum br_status open_proven(struct rocksdb_store *store, const struct proof *proof, struct br_error *error) {
    BR_TRY(proof_check_files(store->path, proof, error));
    BR_TRY(open_database(store, error));
    BR_TRY(check_opened(store->db, store->family, store->path, proof, &store->mark, error));
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
    if (status == BR_OK) {
        status = open_proven(store, found ? &proof : NULL, error);
        if (status != BR_OK && error->native == BR_STORE_DAMAGED)
            proof_mark_damaged(path, error->message); // RocksDB may have changed it by now
    }
    if (status == BR_OK)
        status = store_rocksdb_clear_runs(store, error);
    proof_free(&proof);
    if (status != BR_OK) {
        store_rocksdb_destroy(&store->base);
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
        status = store_rocksdb_clear_runs(store, error);
    if (status != BR_OK) {
        store_rocksdb_destroy(&store->base);
        return status;
    }
    *ret_store = &store->base;
    return BR_OK;
}

// --- reading all of it ---

static enum br_status open_to_read(struct rocksdb_store *store, struct br_store_reading *ret_reading,
                                   struct br_error *error) {
    struct proof proof = {0};
    const char *name = "default";
    const rocksdb_options_t *options = store->options;
    char *native = NULL;
    BR_TRY(proof_read(store->path, &proof, &ret_reading->has_proof, error));
    const struct proof *proven = ret_reading->has_proof ? &proof : NULL;
    enum br_status status = proof_check_files(store->path, proven, error);
    if (status == BR_OK)
        status = try_threads(store->path, error);
    if (status == BR_OK)
        store->db = rocksdb_open_for_read_only_column_families(options, store->path, 1, &name, &options, &store->family,
                                                               0, &native);
    if (native != NULL)
        status = store_rocksdb_error(store->path, "opening", native, error);
    if (status == BR_OK)
        status = check_opened(store->db, store->family, store->path, proven, &store->mark, error);
    ret_reading->flush = store->mark.flush;
    ret_reading->proven_flush = proof.mark.flush;
    proof_free(&proof);
    return status;
}

static void close_database(struct rocksdb_store *store) {
    if (store->family != NULL)
        rocksdb_column_family_handle_destroy(store->family);
    if (store->db != NULL)
        rocksdb_close(store->db);
    store->family = NULL;
    store->db = NULL;
}

enum br_status br_store_open_to_read(const char *path, struct br_store **ret_store,
                                     struct br_store_reading *ret_reading, struct br_error *error) {
    struct rocksdb_store *store = create_closed(path, CACHE_BYTES_MIN);
    rocksdb_options_set_create_if_missing(store->options, 0);
    rocksdb_options_set_db_log_dir(store->options, "/dev/null"); // no folder: newer versions begin a LOG to read, too
    set_table_options(store->options, store->cache, true);
    rocksdb_options_set_max_sequential_skip_in_iterations(store->options, UINT64_MAX);
    *ret_reading = (struct br_store_reading){0};
    enum br_status status = open_to_read(store, ret_reading, error);
    // A worker that uses the folder may have removed a file between the listing and its opening.
    for (int tries = 1; tries < READ_TRIES && status != BR_OK && error->native == BR_STORE_DAMAGED; tries++) {
        close_database(store);
        usleep(READ_WAIT_US);
        status = open_to_read(store, ret_reading, error);
    }
    if (status != BR_OK) {
        store_rocksdb_destroy(&store->base);
        return status;
    }
    *ret_store = &store->base;
    return BR_OK;
}

// Every version of every key, deleted ranges too: so every block of every file is read, and its checksum looked at.
enum br_status br_store_read_all(struct br_store *base, const struct br_flag *stop, struct br_store_reading *reading,
                                 struct br_error *error) {
    struct rocksdb_store *store = (struct rocksdb_store *)base;
    const rocksdb_livefiles_t *files = rocksdb_livefiles(store->db);
    reading->files = (uint64_t)rocksdb_livefiles_count(files);
    for (int i = 0; i < rocksdb_livefiles_count(files); i++)
        reading->bytes += rocksdb_livefiles_size(files, i);
    rocksdb_livefiles_destroy(files);
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(options, 0);
    rocksdb_readoptions_set_verify_checksums(options, 1);
    rocksdb_readoptions_set_ignore_range_deletions(options, 1);
    rocksdb_readoptions_set_readahead_size(options, READ_AHEAD_BYTES);
    rocksdb_iterator_t *rows = rocksdb_create_iterator_cf(store->db, options, store->family);
    uint64_t count = 0;
    bool stopped = false;
    for (rocksdb_iter_seek_to_first(rows); rocksdb_iter_valid(rows) && !stopped; rocksdb_iter_next(rows))
        stopped = ++count % LOOK_EVERY_ROWS == 0 && br_flag_is_set(stop);
    char *native = NULL;
    rocksdb_iter_get_error(rows, &native);
    rocksdb_iter_destroy(rows);
    rocksdb_readoptions_destroy(options);
    if (native != NULL)
        return store_rocksdb_error(store->path, "reading", native, error);
    return stopped ? br_error_set(error, BR_RETRY, "interrupted") : BR_OK;
}
