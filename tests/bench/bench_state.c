// SPDX-License-Identifier: Apache-2.0
// State tables alone: how fast hot keys are found, and what a sum over more groups than fit the budget costs in time
// and memory. Not a test: prints numbers.
//
//   bench_state                  all of the below with their defaults; some minutes
//   bench_state hot [--keys 1000000] [--rounds 20]
//   bench_state sum [--keys 20000000] [--events 4000000] [--budget-mib 256] [--cache-mib 64] [--epoch-rows 20000]
//                   [--folder /tmp/braid-bench-state] [--keep]
//   bench_state windows [--keys 2000] [--open 5] [--events 10000000] [--epoch-rows 5000] [--budget-mib 256]
//   bench_state open [--gib 2] [--times 5] [--budget-mib 64] [--folder /tmp/braid-bench-state]
//
// windows counts per (window, key), as a hopping window does; every epoch closes one window by a scan and a range
// delete. sum adds random keys of 8 bytes (9 as key bytes) with values of 24 bytes; it first fills every key once
// unless --keep finds the folder filled by a run before. Resident memory is read from /proc; the baseline is what the
// program had before the store was opened. open fills a folder with rows of 1,000 bytes and opens it again and
// again, with nothing of it in the page cache.
#include "base/time.h"
#include "state/keys.h"
#include "state/table.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define BATCH 2048
#define KEY_BYTES 9
#define VALUE_BYTES 24

static struct br_error error;

static void require(enum br_status status) {
    if (status == BR_OK)
        return;
    fprintf(stderr, "bench_state: %s\n", error.message);
    exit(1);
}

static double seconds(void) {
    const struct br_clock *clock = br_clock_system();
    return (double)clock->mono(clock).us / (double)BR_US_PER_SECOND;
}

// Of all threads, RocksDB's too: on a busy machine this tells more than the clock on the wall.
static double cpu_seconds(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec * 1e-9;
}

static uint64_t resident_kib(const char *field) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    uint64_t kib = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, field, strlen(field)) == 0)
            kib = strtoull(line + strlen(field) + 1, NULL, 10);
    if (file != NULL)
        fclose(file);
    return kib;
}

static uint64_t next_random(uint64_t *seed) {
    *seed += UINT64_C(0x9e3779b97f4a7c15); // splitmix64
    uint64_t z = *seed;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

struct batch {
    struct br_slice keys[BATCH];
    uint64_t hashes[BATCH];
    struct br_entry *entries[BATCH];
    bool is_new[BATCH];
    struct br_buffer bytes;
};

static void fill_batch(struct batch *batch, const uint64_t *numbers, size_t count) {
    br_buffer_clear(&batch->bytes);
    br_buffer_reserve(&batch->bytes, BATCH * (KEY_BYTES + 1));
    for (size_t i = 0; i < count; i++) {
        batch->keys[i] = (struct br_slice){batch->bytes.ptr + batch->bytes.len, KEY_BYTES};
        br_key_append_int64(&batch->bytes, (int64_t)numbers[i]);
        batch->hashes[i] = br_state_hash(batch->keys[i]);
    }
}

static uint64_t option(int argc, char **argv, const char *name, uint64_t otherwise) {
    for (int i = 2; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return strtoull(argv[i + 1], NULL, 10);
    return otherwise;
}

static const char *text_option(int argc, char **argv, const char *name, const char *otherwise) {
    for (int i = 2; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return otherwise;
}

static bool flag(int argc, char **argv, const char *name) {
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return false;
}

// --- hot ---

static void bench_hot(uint64_t keys, uint64_t rounds) {
    struct br_state *state = NULL;
    require(br_state_create(br_store_create_memory(), (size_t)1 << 40, &state, &error));
    struct br_state_table *table = br_state_open_table(state, 1, "bench");
    static struct batch batch;
    uint64_t numbers[BATCH], seed = 1;
    double begin = seconds();
    for (uint64_t done = 0; done < keys;) {
        size_t count = keys - done < BATCH ? (size_t)(keys - done) : BATCH;
        for (size_t i = 0; i < count; i++)
            numbers[i] = done + i;
        fill_batch(&batch, numbers, count);
        require(br_state_obtain_many(table, batch.keys, batch.hashes, count, VALUE_BYTES, batch.entries, batch.is_new,
                                     &error));
        done += count;
    }
    printf("made %" PRIu64 " entries: %.1f M/s\n", keys, (double)keys / (seconds() - begin) / 1e6);
    double best_obtain = 1e9, best_find = 1e9;
    uint64_t per_round = 1000; // batches
    for (uint64_t round = 0; round < rounds; round++) {
        double obtain = 0, find = 0;
        for (uint64_t b = 0; b < per_round; b++) {
            for (size_t i = 0; i < BATCH; i++)
                numbers[i] = next_random(&seed) % keys;
            fill_batch(&batch, numbers, BATCH);
            double start = seconds();
            if (b % 2 == 0) {
                require(br_state_obtain_many(table, batch.keys, batch.hashes, BATCH, VALUE_BYTES, batch.entries,
                                             batch.is_new, &error));
                obtain += seconds() - start;
            } else {
                require(br_state_find_many(table, batch.keys, batch.hashes, BATCH, batch.entries, &error));
                find += seconds() - start;
            }
        }
        best_obtain = obtain < best_obtain ? obtain : best_obtain;
        best_find = find < best_find ? find : best_find;
    }
    double lookups = (double)(per_round / 2 * BATCH);
    printf("obtain_many: %.1f M/s, find_many: %.1f M/s (best round of %" PRIu64 ")\n", lookups / best_obtain / 1e6,
           lookups / best_find / 1e6, rounds);
    struct br_state_usage usage;
    br_state_usage(state, &usage);
    printf("%.1f bytes per hot entry\n", (double)usage.hot_bytes / (double)usage.hot_entries);
    br_state_destroy(&state);
}

// --- sum ---

struct sum {
    struct br_state *state;
    struct br_state_table *table;
    uint64_t epoch, epoch_rows, rows_in_epoch;
    uint64_t peak_kib;
    double flushing, longest_flush;
};

struct moment {
    double wall, cpu;
};

static struct moment now(void) {
    return (struct moment){seconds(), cpu_seconds()};
}

static void end_epoch(struct sum *sum) {
    sum->epoch += 1;
    sum->rows_in_epoch = 0;
    br_state_end_epoch(sum->state);
    if (!br_state_wants_flush(sum->state))
        return;
    double begin = seconds();
    require(br_state_flush(sum->state, sum->epoch, &error));
    double took = seconds() - begin;
    sum->flushing += took;
    sum->longest_flush = took > sum->longest_flush ? took : sum->longest_flush;
    uint64_t kib = resident_kib("VmRSS");
    sum->peak_kib = kib > sum->peak_kib ? kib : sum->peak_kib;
}

static void count_rows(struct sum *sum, struct batch *batch, size_t count) {
    require(br_state_obtain_many(sum->table, batch->keys, batch->hashes, count, VALUE_BYTES, batch->entries,
                                 batch->is_new, &error));
    for (size_t i = 0; i < count; i++) {
        br_entry_mark_dirty(sum->table, batch->entries[i]);
        uint64_t words[3];
        memcpy(words, batch->entries[i]->value, sizeof words);
        words[0] += 1;
        words[1] += batch->hashes[i];
        memcpy(batch->entries[i]->value, words, sizeof words);
    }
    sum->rows_in_epoch += count;
}

static void take(struct sum *sum, struct batch *batch, const uint64_t *numbers, size_t count) {
    fill_batch(batch, numbers, count);
    count_rows(sum, batch, count);
    if (sum->rows_in_epoch >= sum->epoch_rows)
        end_epoch(sum);
}

static void report(struct sum *sum, const char *what, uint64_t events, struct moment begin, uint64_t base_kib) {
    double took = seconds() - begin.wall, used = cpu_seconds() - begin.cpu;
    struct br_state_usage usage;
    br_state_usage(sum->state, &usage);
    printf("%s: %.0f k events/s, %.0f k per second of CPU; flushing %.0f%%, longest flush %.0f ms; hits %.0f%%\n", what,
           (double)events / took / 1e3, (double)events / used / 1e3, 100 * sum->flushing / took,
           1e3 * sum->longest_flush, 100 * (double)usage.hits / (double)(usage.hits + usage.misses + 1));
    printf("  hot %.0f MiB in %.2f M entries, dirty %.0f MiB, store %.0f MiB in memory and %.0f on disk; evicted %.2f "
           "M, flushed %" PRIu64 " times\n",
           (double)usage.hot_bytes / 0x1p20, (double)usage.hot_entries / 1e6, (double)usage.dirty_bytes / 0x1p20,
           (double)usage.store_memory_bytes / 0x1p20, (double)usage.store_disk_bytes / 0x1p20,
           (double)usage.evictions / 1e6, usage.flushes);
    printf("  resident at flushes up to %.0f MiB, ever %.0f, of it %.0f from before the store was opened\n",
           (double)sum->peak_kib / 1024, (double)resident_kib("VmHWM") / 1024, (double)base_kib / 1024);
    fflush(stdout);
    sum->flushing = sum->longest_flush = 0;
}

static void check_sums(struct sum *sum, uint64_t expected) {
    struct br_state_iterator *iterator = NULL;
    require(br_state_scan(sum->table, (struct br_slice){0}, (struct br_slice){0}, &iterator, &error));
    struct br_slice key, value;
    uint64_t rows = 0, keys = 0;
    double begin = seconds();
    while (br_state_iterator_next(iterator, &key, &value)) {
        uint64_t count;
        memcpy(&count, value.ptr, sizeof count);
        rows += count;
        keys += 1;
    }
    require(br_state_iterator_status(iterator, &error));
    br_state_iterator_destroy(&iterator);
    printf("full scan: %" PRIu64 " keys, %.2f M/s; %s\n", keys, (double)keys / (seconds() - begin) / 1e6,
           expected == 0      ? "not compared"
           : rows == expected ? "every event is in"
                              : "EVENTS ARE MISSING");
}

static void bench_sum(int argc, char **argv) {
    uint64_t keys = option(argc, argv, "--keys", 20000000), events = option(argc, argv, "--events", 4000000);
    const char *folder = text_option(argc, argv, "--folder", "/tmp/braid-bench-state");
    bool keep = flag(argc, argv, "--keep");
    uint64_t base_kib = resident_kib("VmRSS");
    if (!keep)
        require(br_store_remove(NULL, folder, &error));
    struct br_store *store = NULL;
    require(br_store_open_rocksdb(folder, option(argc, argv, "--cache-mib", 64) << 20, &store, &error));
    struct sum sum = {.epoch_rows = option(argc, argv, "--epoch-rows", 20000)};
    require(br_state_create(store, option(argc, argv, "--budget-mib", 256) << 20, &sum.state, &error));
    sum.table = br_state_open_table(sum.state, 1, "bench");
    sum.epoch = br_state_flushed_epoch(sum.state);
    bool filled = sum.epoch != 0;
    static struct batch batch;
    uint64_t numbers[BATCH], seed = 42 + sum.epoch, base = 0;
    struct moment begin = now();
    for (uint64_t done = 0; done < keys && !filled; done += BATCH) {
        for (size_t i = 0; i < BATCH;
             i++) // every number below keys once, in an order like random (keys is no multiple)
            numbers[i] = (done + i) * UINT64_C(7368787) % keys;
        take(&sum, &batch, numbers, keys - done < BATCH ? (size_t)(keys - done) : BATCH);
    }
    if (!filled)
        report(&sum, "new keys", keys, begin, base_kib);
    base = filled ? 0 : keys;
    for (int part = 0; part < 4; part++) {
        begin = now();
        for (uint64_t done = 0; done < events / 4; done += BATCH) {
            for (size_t i = 0; i < BATCH; i++)
                numbers[i] = next_random(&seed) % keys;
            take(&sum, &batch, numbers, BATCH);
            base += base == 0 ? 0 : BATCH;
        }
        report(&sum, "random keys", events / 4, begin, base_kib);
    }
    check_sums(&sum, base);
    br_state_end_epoch(sum.state);
    require(br_state_flush(sum.state, sum.epoch + 1, &error));
    br_state_destroy(&sum.state);
    if (!keep)
        require(br_store_remove(NULL, folder, &error));
}

// --- windows ---

static void window_key(struct br_buffer *key, uint64_t window) {
    br_buffer_clear(key);
    br_key_append_int64(key, (int64_t)(window * 2000000));
}

static uint64_t close_window(struct sum *sum, uint64_t window) {
    struct br_buffer first = {0}, last = {0};
    window_key(&first, window);
    window_key(&last, window + 1);
    struct br_state_iterator *iterator = NULL;
    require(br_state_scan(sum->table, br_buffer_slice(&first), br_buffer_slice(&last), &iterator, &error));
    struct br_slice key, value;
    uint64_t rows = 0;
    while (br_state_iterator_next(iterator, &key, &value)) {
        uint64_t count;
        memcpy(&count, value.ptr, sizeof count);
        rows += count;
    }
    require(br_state_iterator_status(iterator, &error));
    br_state_iterator_destroy(&iterator);
    require(br_state_delete_range(sum->table, (struct br_slice){0}, br_buffer_slice(&last), &error));
    br_buffer_free(&first);
    br_buffer_free(&last);
    return rows;
}

static void bench_windows(int argc, char **argv) {
    uint64_t keys = option(argc, argv, "--keys", 2000), open = option(argc, argv, "--open", 5);
    uint64_t events = option(argc, argv, "--events", 10000000);
    const char *folder = text_option(argc, argv, "--folder", "/tmp/braid-bench-state");
    require(br_store_remove(NULL, folder, &error));
    struct br_store *store = NULL;
    require(br_store_open_rocksdb(folder, option(argc, argv, "--cache-mib", 64) << 20, &store, &error));
    struct sum sum = {.epoch_rows = option(argc, argv, "--epoch-rows", 5000)};
    require(br_state_create(store, option(argc, argv, "--budget-mib", 256) << 20, &sum.state, &error));
    sum.table = br_state_open_table(sum.state, 1, "bench");
    static struct batch batch;
    uint64_t seed = 7, window = 0, closed = 0, done = 0;
    struct moment begin = now();
    while (done < events) {
        size_t count =
            sum.epoch_rows - sum.rows_in_epoch < BATCH ? (size_t)(sum.epoch_rows - sum.rows_in_epoch) : BATCH;
        br_buffer_clear(&batch.bytes);
        br_buffer_reserve(&batch.bytes, (size_t)BATCH * 2 * (KEY_BYTES + 1));
        for (size_t i = 0; i < count; i++) {
            size_t at = batch.bytes.len;
            br_key_append_int64(&batch.bytes, (int64_t)((window + next_random(&seed) % open) * 2000000));
            br_key_append_int64(&batch.bytes, (int64_t)(next_random(&seed) % keys));
            batch.keys[i] = (struct br_slice){batch.bytes.ptr + at, batch.bytes.len - at};
            batch.hashes[i] = br_state_hash(batch.keys[i]);
        }
        count_rows(&sum, &batch, count);
        done += count;
        if (sum.rows_in_epoch < sum.epoch_rows)
            continue;
        closed += close_window(&sum, window++);
        end_epoch(&sum);
        if (sum.epoch % 100 == 0)
            require(br_state_flush(sum.state, sum.epoch, &error));
    }
    for (uint64_t i = 0; i < open; i++)
        closed += close_window(&sum, window++);
    report(&sum, "windows", done, begin, 0);
    printf("  %" PRIu64 " windows; %s\n", window, closed == done ? "every event is in" : "EVENTS ARE MISSING");
    br_state_destroy(&sum.state);
    require(br_store_remove(NULL, folder, &error));
}

// --- open ---

#define LARGE_BYTES 1000

static void fill_folder(const char *folder, uint64_t bytes, uint64_t budget) {
    struct br_store *store = NULL;
    require(br_store_remove(NULL, folder, &error));
    require(br_store_open_rocksdb(folder, (size_t)64 << 20, &store, &error));
    struct sum sum = {0};
    require(br_state_create(store, budget, &sum.state, &error));
    sum.table = br_state_open_table(sum.state, 1, "bench");
    struct br_buffer key = {0};
    uint64_t value[LARGE_BYTES / sizeof(uint64_t)], seed = 1;
    for (uint64_t done = 0; done * LARGE_BYTES < bytes; done++) {
        for (size_t i = 0; i < sizeof value / sizeof *value; i++)
            value[i] = next_random(&seed);
        br_buffer_clear(&key);
        br_key_append_int64(&key, (int64_t)next_random(&seed));
        require(
            br_state_put(sum.table, br_buffer_slice(&key), (struct br_slice){(uint8_t *)value, sizeof value}, &error));
        if (done % 1000 == 0)
            end_epoch(&sum);
    }
    br_state_end_epoch(sum.state);
    require(br_state_flush(sum.state, sum.epoch + 1, &error));
    br_buffer_free(&key);
    br_state_destroy(&sum.state);
}

// Nothing of the folder's files stays in the page cache.
static void forget(const char *folder) {
    DIR *files = opendir(folder);
    for (struct dirent *file; files != NULL && (file = readdir(files)) != NULL;) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", folder, file->d_name);
        int fd = open(path, O_RDONLY);
        if (fd < 0)
            continue;
        fsync(fd);
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
    if (files != NULL)
        closedir(files);
}

static void bench_open(int argc, char **argv) {
    const char *folder = text_option(argc, argv, "--folder", "/tmp/braid-bench-state");
    uint64_t budget = option(argc, argv, "--budget-mib", 64) << 20, times = option(argc, argv, "--times", 5);
    fill_folder(folder, option(argc, argv, "--gib", 2) << 30, budget);
    for (uint64_t t = 0; t < times; t++) {
        struct br_store *store = NULL;
        struct br_state *state = NULL;
        uint64_t memory, disk;
        forget(folder);
        struct moment begin = now();
        require(br_store_open_rocksdb(folder, (size_t)64 << 20, &store, &error));
        br_store_usage(store, &memory, &disk);
        require(br_state_create(store, budget, &state, &error));
        printf("open: %.1f GiB on disk, %.0f ms, %.0f ms of CPU\n", (double)disk / 0x1p30,
               1e3 * (seconds() - begin.wall), 1e3 * (cpu_seconds() - begin.cpu));
        fflush(stdout);
        br_state_destroy(&state);
    }
    require(br_store_remove(NULL, folder, &error));
}

int main(int argc, char **argv) {
    const char *what = argc >= 2 ? argv[1] : "all";
    bool all = strcmp(what, "all") == 0, known = all;
    if (all || strcmp(what, "hot") == 0) {
        bench_hot(option(argc, argv, "--keys", 1000000), option(argc, argv, "--rounds", 20));
        known = true;
    }
    if (all || strcmp(what, "windows") == 0) {
        bench_windows(argc, argv);
        known = true;
    }
    if (all || strcmp(what, "sum") == 0) {
        bench_sum(argc, argv);
        known = true;
    }
    if (all || strcmp(what, "open") == 0) {
        bench_open(argc, argv);
        known = true;
    }
    if (!known)
        fprintf(stderr,
                "bench_state: what is \"%s\"? Say hot, windows, sum or open; the file's first lines list the flags\n",
                what);
    return known ? 0 : 2;
}
