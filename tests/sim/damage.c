// SPDX-License-Identifier: Apache-2.0
// Folders of state as they come out of backups, bad disks and hurried hands, against what was written (state/proof.h).
//
// A store is written to, flush after flush; what it must hold at each epoch is known. Copies of its folder are made
// file by file between any two steps of that (a flush, its proof, a compaction, a close and an open), in every order;
// files of several copies are mixed, also of copies that went on by themselves; each file is cut, flipped, emptied,
// removed. A copy may then be found damaged, at opening or when it is read. If it isn't, every row must be that of the
// epoch that it claims, also after it was written to again. And a process that is killed at any moment, ever again,
// leaves a folder that is opened, with all that it had flushed.
//
// RocksDB's own threads take their time: a seed doesn't give the same history twice. A copy that went wrong is left for
// inspection. BRAID_SIM_SEEDS says how much to do (default 300); `sim_damage SEED` one seed; `sim_damage kills N`.
#include "state/store_rocksdb_internal.h"
#include "state/table.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TABLES 3
#define IDS 250
#define SLOTS (TABLES * IDS)
#define VALUE_MAX 1500
#define EPOCHS_MAX 4000
#define RANGES_MAX 256
#define CACHE_BYTES ((size_t)4 << 20) // memtables of 1 MiB: some ten flushes
#define RUN_BYTES ((size_t)100 << 10)
#define FILES_MAX 512
#define SNAPSHOTS 4

static struct br_error error;

static void must(enum br_status status) {
    if (status == BR_OK)
        return;
    printf("FAIL: %s\n", error.message);
    exit(1);
}

// --- random numbers

static uint64_t mix(uint64_t value) {
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static uint64_t draws;

static uint64_t draw(uint64_t bound) {
    return mix(draws++) % bound;
}

// --- what must be there

// The rows at the end of an epoch are a function of seed and epoch; a flush writes what differs from the last one.
struct model {
    uint64_t seed, epoch;
    uint64_t values[SLOTS]; // what the value is made from; 0: no row
    bool dirty[SLOTS];
    struct {
        size_t first, last;
    } ranges[RANGES_MAX]; // slots whose rows are deleted by the flush before it puts any
    size_t range_count;
    uint64_t sum; // of the hashes of all rows
};

struct row {
    uint8_t key[5];
    uint8_t bytes[sizeof(uint8_t[5]) + VALUE_MAX];
    size_t len;
};

static void make_key(size_t slot, uint8_t key[5]) {
    const uint8_t bytes[] = {0, (uint8_t)(slot / IDS + 1), 7, (uint8_t)(slot % IDS >> 8), (uint8_t)(slot % IDS)};
    memcpy(key, bytes, sizeof bytes);
}

static void make_row(const struct model *model, size_t slot, struct row *row) {
    make_key(slot, row->key);
    memcpy(row->bytes, row->key, sizeof row->key);
    row->len = 20 + model->values[slot] % (VALUE_MAX - 20);
    for (size_t i = 0; i < row->len; i++)
        row->bytes[sizeof row->key + i] = (uint8_t)(model->values[slot] >> (i % 7 * 8)) + (uint8_t)i;
}

static uint64_t hash_row(const struct model *model, size_t slot) {
    struct row row;
    if (model->values[slot] == 0)
        return 0;
    make_row(model, slot, &row);
    return br_state_hash((struct br_slice){row.bytes, sizeof row.key + row.len});
}

static void change(struct model *model, size_t slot, uint64_t value) {
    model->sum -= hash_row(model, slot);
    model->values[slot] = value;
    model->dirty[slot] = true;
    model->sum += hash_row(model, slot);
}

static void advance(struct model *model) {
    uint64_t random = mix(model->seed ^ ++model->epoch << 20);
    size_t changes = 1 + random % 30;
    if (random >> 8 & 15)
        random = mix(random);
    else if (model->range_count < RANGES_MAX) {
        size_t first = mix(random) % SLOTS, last = first + 1 + (random >> 16) % (IDS - first % IDS);
        for (size_t slot = first; slot < last; slot++)
            change(model, slot, 0);
        model->ranges[model->range_count].first = first;
        model->ranges[model->range_count++].last = last;
    }
    for (size_t i = 0; i < changes; i++) {
        random = mix(random);
        change(model, random % SLOTS, random >> 40 & 7 ? mix(random) | 1 : 0);
    }
}

static struct model *model_at(uint64_t seed, uint64_t epoch) {
    struct model *model = br_calloc(1, sizeof *model);
    model->seed = seed;
    while (model->epoch < epoch)
        advance(model);
    memset(model->dirty, 0, sizeof model->dirty);
    model->range_count = 0;
    return model;
}

static uint64_t sum_at(uint64_t seed, uint64_t epoch) {
    static uint64_t of, known, sums[EPOCHS_MAX + 1];
    static struct model *model;
    BR_CHECK(epoch <= EPOCHS_MAX);
    if (model == NULL || of != seed) {
        free(model);
        model = model_at(seed, 0);
        of = seed;
        known = 0;
    }
    for (; known < epoch; sums[known] = model->sum) {
        advance(model);
        model->range_count = 0;
        known++;
    }
    return sums[epoch];
}

static const uint8_t epoch_key[] = {0, 0, 'e'};

static enum br_status put_ranges(struct br_store_run *run, const struct model *model) {
    for (size_t i = 0; i < model->range_count; i++) {
        uint8_t first[5], last[5];
        make_key(model->ranges[i].first, first);
        make_key(model->ranges[i].last - 1, last);
        uint8_t end[6] = {0};
        memcpy(end, last, sizeof last); // a zero behind a key is the next one
        BR_TRY(br_store_run_delete_range(run, (struct br_slice){first, sizeof first},
                                         (struct br_slice){end, sizeof end}, &error));
    }
    return BR_OK;
}

static enum br_status put_rows(struct br_store_run *run, const struct model *model) {
    uint8_t epoch[8];
    br_be64_put(epoch, model->epoch);
    BR_TRY(br_store_run_put(run, (struct br_slice){epoch_key, sizeof epoch_key}, (struct br_slice){epoch, sizeof epoch},
                            &error));
    for (size_t slot = 0; slot < SLOTS; slot++) {
        struct row row;
        make_row(model, slot, &row);
        struct br_slice key = {row.key, sizeof row.key}, value = {row.bytes + sizeof row.key, row.len};
        if (model->dirty[slot])
            BR_TRY(model->values[slot] != 0 ? br_store_run_put(run, key, value, &error)
                                            : br_store_run_delete(run, key, &error));
    }
    return BR_OK;
}

static enum br_status flush(struct br_store *store, struct model *model) {
    struct br_store_run *run = NULL;
    size_t bytes = 0;
    for (size_t slot = 0; slot < SLOTS; slot++)
        bytes += model->dirty[slot] ? VALUE_MAX / 2 : 0;
    br_store_note(store, model->epoch, model->sum);
    enum br_status status = br_store_run_begin(store, bytes, &run, &error);
    if (status == BR_OK)
        status = put_ranges(run, model);
    if (status == BR_OK)
        status = put_rows(run, model);
    if (status == BR_OK)
        status = br_store_run_commit(run, &error);
    br_store_run_destroy(&run);
    memset(model->dirty, 0, sizeof model->dirty);
    model->range_count = 0;
    return status;
}

static enum br_status read_epoch(struct br_store *store, uint64_t *ret_epoch) {
    struct br_buffer BR_CLEANUP(br_buffer_free) value = {0};
    bool found;
    BR_TRY(br_store_get(store, (struct br_slice){epoch_key, sizeof epoch_key}, &value, &found, &error));
    *ret_epoch = found ? br_be64_get(value.ptr) : 0;
    return BR_OK;
}

static enum br_status sum_rows(struct br_store *store, uint64_t *ret_sum) {
    struct br_store_iterator *rows = NULL;
    struct br_slice key, value;
    uint8_t bytes[sizeof(uint8_t[5]) + VALUE_MAX];
    *ret_sum = 0;
    BR_TRY(br_store_scan(store, (struct br_slice){(const uint8_t *)"\0\1", 2}, (struct br_slice){0}, &rows, &error));
    while (br_store_iterator_next(rows, &key, &value)) {
        if (key.len + value.len > sizeof bytes)
            continue; // not one of ours: the sum lacks one then
        memcpy(bytes, key.ptr, key.len);
        memcpy(bytes + key.len, value.ptr, value.len);
        *ret_sum += br_state_hash((struct br_slice){bytes, key.len + value.len});
    }
    enum br_status status = br_store_iterator_status(rows, &error);
    br_store_iterator_destroy(&rows);
    return status;
}

static struct br_store *open_store(const char *path) {
    struct br_store *store = NULL;
    if (br_store_open_rocksdb(path, CACHE_BYTES, &store, &error) != BR_OK)
        return NULL;
    store_rocksdb_set_run_bytes_min(store, RUN_BYTES);
    return store;
}

// --- files

static char top[PATH_MAX];

static void join(const char *folder, const char *name, char path[PATH_MAX]) {
    int len = snprintf(path, PATH_MAX, "%s/%s", folder, name);
    BR_CHECK(len > 0 && len < PATH_MAX);
}

static void path_in_top(const char *name, char path[PATH_MAX]) {
    join(top, name, path);
}

static void remove_folder(const char *path) {
    must(br_store_remove(NULL, path, &error));
}

struct files {
    char names[FILES_MAX][64];
    size_t count;
};

static bool has_file(const struct files *files, const char *name) {
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->names[i], name) == 0)
            return true;
    return false;
}

// All that could matter: RocksDB's chatter and the locks don't.
static void list_files(const char *path, struct files *files) {
    files->count = 0;
    DIR *listing = opendir(path);
    BR_CHECK(listing != NULL);
    const struct dirent *file;
    while ((file = readdir(listing)) != NULL && files->count < FILES_MAX)
        if (file->d_type == DT_REG && strncmp(file->d_name, "LOG", 3) != 0 && strstr(file->d_name, "LOCK") == NULL &&
            strstr(file->d_name, "lock") == NULL)
            snprintf(files->names[files->count++], sizeof files->names[0], "%.63s", file->d_name);
    closedir(listing);
}

static void read_file(const char *folder, const char *name, struct br_buffer *bytes) {
    char path[PATH_MAX];
    join(folder, name, path);
    br_buffer_clear(bytes);
    int file = open(path, O_RDONLY);
    ssize_t got;
    while (file >= 0 && (got = read(file, br_buffer_reserve(bytes, 1 << 20), 1 << 20)) > 0)
        bytes->len += (size_t)got;
    if (file >= 0)
        close(file);
}

static void write_file(const char *folder, const char *name, struct br_slice bytes) {
    char path[PATH_MAX];
    join(folder, name, path);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    BR_CHECK(file >= 0 && write(file, bytes.ptr, bytes.len) == (ssize_t)bytes.len);
    close(file);
}

// False: it is gone already.
static bool copy_file(const char *from, const char *to, const char *name) {
    struct br_buffer BR_CLEANUP(br_buffer_free) bytes = {0};
    char path[PATH_MAX];
    join(from, name, path);
    if (access(path, F_OK) != 0)
        return false;
    read_file(from, name, &bytes);
    write_file(to, name, br_buffer_slice(&bytes));
    return true;
}

static void make_folder(const char *path) {
    remove_folder(path);
    BR_CHECK(mkdir(path, 0755) == 0);
}

static void copy_folder(const char *from, const char *to) {
    static struct files files;
    make_folder(to);
    list_files(from, &files);
    for (size_t i = 0; i < files.count; i++)
        (void)copy_file(from, to, files.names[i]);
}

// --- judging

enum verdict { WHOLE, AT_OPENING, WHEN_READ, VERDICTS };

static uint64_t verdicts[VERDICTS];

static enum verdict damage(enum verdict when) {
    if (error.native == BR_STORE_DAMAGED)
        return when;
    printf("FAIL: damage isn't called that: %s\n", error.message);
    exit(1);
}

// Is what is there what the epoch must have? Any error is damage that was seen.
static enum br_status check_rows(struct br_store *store, uint64_t seed, const char *path, uint64_t *ret_epoch) {
    uint64_t sum;
    BR_TRY(read_epoch(store, ret_epoch));
    BR_TRY(sum_rows(store, &sum));
    if (sum == sum_at(seed, *ret_epoch))
        return BR_OK;
    printf("FAIL: %s opens, and its rows aren't those of epoch %" PRIu64 " (seed %" PRIu64 ")\n", path, *ret_epoch,
           seed);
    exit(1);
}

// Reads all and writes on; or writes much first, so that compactions read what nobody else has.
static enum br_status use(struct br_store *store, uint64_t seed, const char *path) {
    uint64_t epoch;
    bool much = draw(3) == 0;
    BR_TRY(much ? read_epoch(store, &epoch) : check_rows(store, seed, path, &epoch));
    struct model *model = model_at(seed, epoch);
    enum br_status status = BR_OK;
    for (unsigned i = 0; i < (much ? 60 : 5) && status == BR_OK && model->epoch < EPOCHS_MAX - 20; i++) {
        for (uint64_t epochs = much && i % 4 == 0 ? 12 : 1; epochs > 0; epochs--)
            advance(model);
        status = flush(store, model);
    }
    free(model);
    return status == BR_OK ? check_rows(store, seed, path, &epoch) : status;
}

// Opens it, reads all, writes on, opens it again. As it was before, it stays in top/before.
static enum verdict judge(const char *path, uint64_t seed) {
    enum verdict verdict = WHOLE;
    char before[PATH_MAX];
    path_in_top("before", before);
    copy_folder(path, before);
    for (int turn = 0; turn < 2 && verdict == WHOLE; turn++) {
        struct br_store *store = open_store(path);
        if (store == NULL)
            verdict = damage(turn == 0 ? AT_OPENING : WHEN_READ);
        else if (use(store, seed, path) != BR_OK)
            verdict = damage(WHEN_READ);
        br_store_destroy(&store);
    }
    // What was found is found again, and what is set aside makes room.
    if (verdict != WHOLE) {
        char aside[PATH_MAX];
        struct br_store *store = open_store(path);
        BR_CHECK(store == NULL);
        (void)damage(verdict);
        must(br_store_set_aside(path, aside, sizeof aside, &error));
        store = open_store(path);
        if (store == NULL)
            must(BR_FATAL);
        br_store_destroy(&store);
        remove_folder(aside);
    }
    verdicts[verdict]++;
    return verdict;
}

// --- a store's life

struct life {
    char path[PATH_MAX];
    struct br_store *store;
    struct model *model;
};

static void begin_life(struct life *life, uint64_t seed) {
    life->store = open_store(life->path);
    uint64_t epoch = 0;
    must(life->store == NULL ? BR_FATAL : read_epoch(life->store, &epoch));
    life->model = model_at(seed, epoch);
}

static void end_life(struct life *life) {
    br_store_destroy(&life->store);
    free(life->model);
    life->model = NULL;
}

static void flush_epochs(struct life *life, uint64_t epochs) {
    for (uint64_t i = 0; i < epochs && life->model->epoch < EPOCHS_MAX - 2000; i++)
        advance(life->model);
    must(flush(life->store, life->model));
}

static void step(struct life *life) {
    uint64_t seed = life->model->seed, what = draw(100);
    if (what < 60)
        flush_epochs(life, 1 + draw(4));
    else if (what < 72)
        flush_epochs(life, 12); // a run
    else if (what < 82)
        store_rocksdb_settle(life->store);
    else if (what < 92)
        usleep((useconds_t)draw(3000));
    else if (what < 96) {
        end_life(life);
        begin_life(life, seed);
    }
}

// --- copies while it lives

static const char *const first_ones[] = {"MANIFEST", "CURRENT", ".log", ".sst", "PROOF"};

// Files whose name has `first` in it go first, or last; the others in any order.
static void order_files(struct files *files, const char *first, bool last) {
    for (size_t i = files->count; i > 1; i--) {
        size_t other = draw(i);
        char name[64];
        memcpy(name, files->names[other], sizeof name);
        memcpy(files->names[other], files->names[i - 1], sizeof name);
        memcpy(files->names[i - 1], name, sizeof name);
    }
    size_t at = 0;
    for (size_t i = 0; i < files->count; i++) {
        char name[64];
        memcpy(name, files->names[i], sizeof name);
        if ((strstr(name, first) != NULL) == last)
            continue;
        memcpy(files->names[i], files->names[at], sizeof name);
        memcpy(files->names[at++], name, sizeof name);
    }
}

static void copy_while_it_lives(struct life *life, const char *to) {
    static struct files files, late;
    uint64_t pace = draw(4);
    make_folder(to);
    list_files(life->path, &files);
    order_files(&files, first_ones[draw(sizeof first_ones / sizeof *first_ones)], draw(3) == 0);
    size_t pause_at = draw(files.count + 1);
    for (size_t i = 0; i < files.count; i++) {
        (void)copy_file(life->path, to, files.names[i]);
        for (uint64_t steps = i == pause_at ? draw(60) : draw(pace + 1); steps > 0; steps--)
            step(life);
    }
    list_files(life->path, &late);
    for (size_t i = 0; i < late.count && draw(4) != 0; i++)
        if (!has_file(&files, late.names[i]))
            (void)copy_file(life->path, to, late.names[i]);
}

// --- mixtures of whole copies

// From each file's versions one, or none.
static void mix_folders(char (*from)[PATH_MAX], size_t count, const char *to) {
    static struct files files;
    uint64_t kind = draw(3); // any; the first but for one file; the first with what only the others have
    make_folder(to);
    for (size_t s = 0; s < count; s++) {
        list_files(from[s], &files);
        size_t other = draw(files.count);
        for (size_t i = 0; i < files.count; i++) {
            char path[PATH_MAX];
            join(to, files.names[i], path);
            bool there = access(path, F_OK) == 0;
            bool take = kind == 0 ? draw(count) == 0 || (!there && draw(8) != 0) : kind == 1 ? i == other : !there;
            if (s == 0 || take)
                (void)copy_file(from[s], to, files.names[i]);
        }
    }
}

// --- one file's damage

static uint8_t flip_bit(uint8_t byte) {
    return (uint8_t)(byte ^ 1u << draw(8));
}

static void spoil(const char *folder, const char *name) {
    struct br_buffer BR_CLEANUP(br_buffer_free) bytes = {0};
    char path[PATH_MAX];
    join(folder, name, path);
    read_file(folder, name, &bytes);
    uint64_t kind = draw(8);
    size_t near_end = bytes.len - draw(1 + (bytes.len < 200 ? bytes.len : 200)), anywhere = draw(bytes.len + 1);
    if (kind == 0)
        BR_CHECK(unlink(path) == 0);
    else if (kind < 4)
        BR_CHECK(truncate(path, (off_t)(kind == 1 ? anywhere : kind == 2 ? near_end : draw(40))) == 0);
    else if (bytes.len != 0) {
        size_t at = kind == 4 ? near_end : anywhere;
        size_t len = kind == 7 ? draw(5000) : 1; // a lost page, or one bit
        for (size_t i = at; i < bytes.len && i < at + len; i++)
            bytes.ptr[i] = kind == 7 ? 0 : flip_bit(bytes.ptr[i]);
        write_file(folder, name, br_buffer_slice(&bytes));
    }
}

// Each file of a copy, a few times.
static void spoil_each(const char *from, const char *to, uint64_t seed, unsigned times) {
    static struct files files;
    list_files(from, &files);
    for (size_t i = 0; i < files.count; i++)
        for (unsigned t = 0; t < times; t++) {
            copy_folder(from, to);
            spoil(to, files.names[i]);
            (void)judge(to, seed);
        }
}

// Blocks, which nothing but reading them shows.
static void flip_blocks(const char *from, const char *to, uint64_t seed, unsigned times) {
    static struct files files;
    struct br_buffer BR_CLEANUP(br_buffer_free) bytes = {0};
    for (unsigned t = 0; t < times; t++) {
        copy_folder(from, to);
        list_files(to, &files);
        order_files(&files, ".sst", false);
        if (files.count == 0 || strstr(files.names[0], ".sst") == NULL)
            return;
        read_file(to, files.names[0], &bytes);
        size_t at = draw(bytes.len), len = draw(2) == 0 ? 1 : draw(6000);
        for (size_t i = at; i < bytes.len && i < at + len; i++)
            bytes.ptr[i] = len == 1 ? flip_bit(bytes.ptr[i]) : 0;
        write_file(to, files.names[0], br_buffer_slice(&bytes));
        (void)judge(to, seed);
    }
}

// The tail of the MANIFEST, record by record and within them.
static void cut_manifest(const char *from, const char *to, uint64_t seed) {
    char name[PROOF_NAME_MAX], path[PATH_MAX];
    struct stat about;
    BR_CHECK(proof_current(from, name));
    join(from, name, path);
    BR_CHECK(stat(path, &about) == 0);
    for (off_t cut = 1; cut < about.st_size; cut += 1 + (off_t)draw(60)) {
        copy_folder(from, to);
        join(to, name, path);
        BR_CHECK(truncate(path, about.st_size - cut) == 0);
        if (judge(to, seed) == WHOLE) {
            printf("FAIL: %s without the last %jd bytes of its %s is taken for whole\n", from, (intmax_t)cut, name);
            exit(1);
        }
    }
}

// --- a seed

static void go_on_by_itself(const char *from, const char *to, uint64_t seed) {
    struct life other;
    copy_folder(from, to);
    join(to, "", other.path);
    begin_life(&other, seed);
    for (uint64_t i = 5 + draw(30); i > 0; i--)
        step(&other);
    end_life(&other);
}

static void run_seed(uint64_t seed) {
    char copy[PATH_MAX], snapshots[SNAPSHOTS][PATH_MAX];
    struct life life;
    draws = seed << 32;
    path_in_top("live", life.path);
    path_in_top("copy", copy);
    remove_folder(life.path);
    begin_life(&life, seed);
    for (size_t s = 0; s < SNAPSHOTS; s++) {
        char name[32];
        snprintf(name, sizeof name, "snapshot-%zu", s);
        path_in_top(name, snapshots[s]);
        for (uint64_t i = 10 + draw(60); i > 0; i--)
            step(&life);
        copy_while_it_lives(&life, copy);
        (void)judge(copy, seed);
        if (s > 0 && draw(3) == 0) {
            go_on_by_itself(snapshots[s - 1], snapshots[s], seed);
            continue;
        }
        end_life(&life);
        copy_folder(life.path, snapshots[s]);
        begin_life(&life, seed);
    }
    end_life(&life);
    for (unsigned i = 0; i < 6; i++) {
        mix_folders(snapshots, SNAPSHOTS, copy);
        (void)judge(copy, seed);
        mix_folders(snapshots + draw(SNAPSHOTS - 1), 2, copy);
        (void)judge(copy, seed);
    }
    size_t any = draw(SNAPSHOTS);
    spoil_each(snapshots[any], copy, seed, 1);
    flip_blocks(snapshots[draw(SNAPSHOTS)], copy, seed, 8);
    if (seed % 8 == 1)
        cut_manifest(snapshots[any], copy, seed);
    for (size_t s = 0; s < SNAPSHOTS; s++) { // a closed folder, copied: that is whole
        if (judge(snapshots[s], seed) != WHOLE) {
            printf("FAIL: a closed folder is found damaged: %s\n", error.message);
            exit(1);
        }
        remove_folder(snapshots[s]);
    }
    remove_folder(copy);
}

// --- kills

struct shared {
    volatile uint64_t flushed; // the last epoch whose flush has returned
    volatile bool broken;
    char why[BR_ERROR_MESSAGE_SIZE];
};

// The child: opens the folder, checks all rows, and flushes until it is killed.
static void write_until_killed(struct shared *shared, const char *path, uint64_t seed) {
    struct br_store *store = open_store(path);
    uint64_t epoch = 0;
    enum br_status status = store == NULL ? BR_FATAL : check_rows(store, seed, path, &epoch);
    if (status == BR_OK && epoch < shared->flushed)
        status = br_error_set(&error, BR_FATAL, "epoch %" PRIu64 " was flushed, epoch %" PRIu64 " is there",
                              (uint64_t)shared->flushed, epoch);
    struct model *model = status == BR_OK ? model_at(seed, epoch) : NULL;
    while (status == BR_OK) {
        for (uint64_t i = draw(10) == 0 ? 12 : 1 + draw(3); i > 0 && model->epoch < EPOCHS_MAX; i--)
            advance(model);
        if (model->epoch == EPOCHS_MAX)
            break;
        status = flush(store, model);
        if (status == BR_OK)
            shared->flushed = model->epoch;
    }
    if (status == BR_OK) // to the end: it is killed all the same
        pause();
    memcpy(shared->why, error.message, sizeof shared->why);
    shared->broken = true;
    _exit(1);
}

static void kill_often(unsigned count) {
    char path[PATH_MAX];
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    BR_CHECK(shared != MAP_FAILED);
    path_in_top("killed", path);
    uint64_t flushes = 0;
    for (unsigned i = 0; i < count; i++) {
        uint64_t seed = 1 + i / 40; // a new folder now and then
        if (i % 40 == 0) {
            remove_folder(path);
            flushes += shared->flushed;
            shared->flushed = 0;
        }
        fflush(stdout);
        pid_t child = fork();
        BR_CHECK(child >= 0);
        draws = mix(i) << 20;
        if (child == 0)
            write_until_killed(shared, path, seed);
        usleep((useconds_t)draw(draw(2) == 0 ? 8000 : 60000));
        kill(child, SIGKILL);
        BR_CHECK(waitpid(child, NULL, 0) == child);
        if (shared->broken) {
            printf("FAIL: after kill %u: %s\n", i, shared->why);
            exit(1);
        }
    }
    remove_folder(path);
    printf("%u kills, %" PRIu64 " epochs flushed, 0 folders found damaged\n", count, flushes + shared->flushed);
    munmap(shared, sizeof *shared);
}

// In memory where there is such a place: no kill loses what is written, so waiting for a disk shows nothing.
static void make_top(void) {
    const char *folder = getenv("TMPDIR");
    folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : folder != NULL && *folder != '\0' ? folder : "/tmp";
    join(folder, "braid-damage-XXXXXX", top);
    BR_CHECK(mkdtemp(top) != NULL);
}

int main(int argc, char **argv) {
    const char *wanted = getenv("BRAID_SIM_SEEDS");
    bool kills = argc > 1 && strcmp(argv[1], "kills") == 0;
    make_top();
    uint64_t size = wanted != NULL ? strtoull(wanted, NULL, 10) : 300;
    uint64_t first = argc > 1 && !kills ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = kills ? 0 : argc > 1 ? 1 : 1 + size / 50;
    if (argc < 2 || kills) // before any store of ours has threads in this process
        kill_often(argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 20 + (unsigned)size / 7);
    for (uint64_t seed = first; seed < first + count; seed++)
        run_seed(seed);
    printf("%" PRIu64 " copies whole, %" PRIu64 " damaged at opening, %" PRIu64 " when read, 0 undetected\n",
           verdicts[WHOLE], verdicts[AT_OPENING], verdicts[WHEN_READ]);
    if (count > 5 && (verdicts[WHOLE] == 0 || verdicts[AT_OPENING] == 0 || verdicts[WHEN_READ] == 0)) {
        printf("FAIL: one of these never happened\n");
        return 1;
    }
    remove_folder(top);
    printf("%" PRIu64 " passed, 0 failed\n", count + (argc < 2 || kills ? 1 : 0));
    return 0;
}
