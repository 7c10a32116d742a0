// SPDX-License-Identifier: Apache-2.0
// See prover.h. What the thread reads of the database while it is written to: names that never name anything else
// (SSTs), and a file that only grows (MANIFEST); so nothing has to stand still for it.
//
// The order makes a proof true whatever happens meanwhile: first the mark of a flush (taken by the task after that
// flush), then WAL and MANIFEST are synced, then the files are named. What is named is at least as new as the mark.
#define XXH_INLINE_ALL
#include "state/prover.h"

#include "state/store_rocksdb_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include <xxhash.h>

#define READ_BYTES (64 << 10)

// How far a MANIFEST was read.
struct manifest {
    char name[PROOF_NAME_MAX];
    uint64_t size;
    XXH3_state_t *sum;
};

struct prover {
    rocksdb_t *db;
    char *folder;
    struct manifest manifest; // these two are whoever's who proves
    struct proof last;
    pthread_t thread;
    pthread_mutex_t lock; // of all below
    pthread_cond_t changed;
    struct proof_mark mark;
    bool wants, works, stop;
    struct br_error error; // status BR_OK: all proofs were written
};

// Reads on to the end, and syncs what was read.
static bool read_on(struct manifest *manifest, int file) {
    BR_AUTO_FREE uint8_t *bytes = br_alloc(READ_BYTES);
    ssize_t got;
    while ((got = pread(file, bytes, READ_BYTES, (off_t)manifest->size)) > 0) {
        XXH3_64bits_update(manifest->sum, bytes, (size_t)got);
        manifest->size += (uint64_t)got;
    }
    return got == 0 && fdatasync(file) == 0;
}

static enum br_status name_manifest(struct prover *prover, struct proof_file *ret_file, struct br_error *error) {
    struct manifest *manifest = &prover->manifest;
    char name[PROOF_NAME_MAX], path[PATH_MAX];
    bool done = proof_current(prover->folder, name);
    if (done && strcmp(name, manifest->name) != 0) {
        XXH3_64bits_reset(manifest->sum);
        manifest->size = 0;
        memcpy(manifest->name, name, sizeof name);
    }
    snprintf(path, sizeof path, "%s/%s", prover->folder, name);
    int file = done ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    done = file >= 0 && read_on(manifest, file);
    int reason = errno;
    if (file >= 0)
        close(file);
    if (!done)
        return br_error_set_native(error, BR_FATAL, reason, "cannot read and sync the MANIFEST of the state in %s: %s",
                                   prover->folder, strerror(reason));
    *ret_file = (struct proof_file){.size = manifest->size, .checksum = XXH3_64bits_digest(manifest->sum)};
    memcpy(ret_file->name, name, sizeof name);
    return BR_OK;
}

// A file that a compaction has removed since it was listed needs no name any more.
static enum br_status name_file(struct prover *prover, struct proof *proof, const char *name, struct br_error *error) {
    const struct proof_file *known = proof_find(&prover->last, name);
    uint64_t size, checksum;
    if (known != NULL) {
        proof_add(proof, name, known->size, known->checksum);
        return BR_OK;
    }
    if (proof_sum_end(prover->folder, name, &size, &checksum))
        proof_add(proof, name, size, checksum);
    else if (errno != ENOENT)
        return br_error_set_native(error, BR_FATAL, errno, "cannot read the state's file %s/%s: %s", prover->folder,
                                   name, strerror(errno));
    return BR_OK;
}

static enum br_status name_files(struct prover *prover, struct proof *proof, struct br_error *error) {
    const rocksdb_livefiles_t *files = rocksdb_livefiles(prover->db);
    enum br_status status = BR_OK;
    for (int i = 0; i < rocksdb_livefiles_count(files) && status == BR_OK; i++)
        status = name_file(prover, proof, rocksdb_livefiles_name(files, i) + 1, error); // "/000012.sst"
    rocksdb_livefiles_destroy(files);
    proof_sort(proof);
    return status;
}

static enum br_status prove(struct prover *prover, const struct proof_mark *mark, struct br_error *error) {
    struct proof proof = {.mark = *mark};
    char *native = NULL;
    rocksdb_flush_wal(prover->db, 1, &native);
    if (native != NULL)
        return store_rocksdb_error(prover->folder, "syncing the WAL", native, error);
    enum br_status status = name_manifest(prover, &proof.manifest, error);
    if (status == BR_OK)
        status = name_files(prover, &proof, error);
    if (status == BR_OK)
        status = proof_write(prover->folder, &proof, error);
    if (status == BR_OK) {
        proof_free(&prover->last);
        prover->last = proof;
    } else {
        proof_free(&proof);
    }
    return status;
}

static void *run(void *context) {
    struct prover *prover = context;
    pthread_mutex_lock(&prover->lock);
    while (prover->wants || !prover->stop) {
        if (!prover->wants) {
            pthread_cond_wait(&prover->changed, &prover->lock);
            continue;
        }
        struct proof_mark mark = prover->mark;
        struct br_error error = {0};
        prover->wants = false;
        prover->works = true;
        pthread_mutex_unlock(&prover->lock);
        enum br_status status = prove(prover, &mark, &error);
        pthread_mutex_lock(&prover->lock);
        prover->works = false;
        if (status != BR_OK && prover->error.status == BR_OK)
            prover->error = error;
        pthread_cond_broadcast(&prover->changed);
    }
    pthread_mutex_unlock(&prover->lock);
    return NULL;
}

static void destroy(struct prover *prover) {
    pthread_cond_destroy(&prover->changed);
    pthread_mutex_destroy(&prover->lock);
    proof_free(&prover->last);
    XXH3_freeState(prover->manifest.sum);
    free(prover->folder);
    free(prover);
}

enum br_status prover_start(rocksdb_t *db, const char *folder, const struct proof_mark *mark,
                            struct prover **ret_prover, struct br_error *error) {
    struct prover *prover = br_calloc(1, sizeof *prover);
    prover->db = db;
    prover->folder = br_strdup(folder);
    prover->manifest.sum = XXH3_createState(); // it wants more alignment than malloc gives
    BR_CHECK(prover->manifest.sum != NULL);
    pthread_mutex_init(&prover->lock, NULL);
    pthread_cond_init(&prover->changed, NULL);
    enum br_status status = prove(prover, mark, error);
    int code = status == BR_OK ? pthread_create(&prover->thread, NULL, run, prover) : 0;
    if (code != 0)
        status = br_error_set_native(error, BR_FATAL, code, "can't start a thread for the state in %s: %s", folder,
                                     strerror(code));
    if (status == BR_OK)
        *ret_prover = prover;
    else
        destroy(prover);
    return status;
}

void prover_wants(struct prover *prover, const struct proof_mark *mark) {
    pthread_mutex_lock(&prover->lock);
    prover->mark = *mark;
    prover->wants = true;
    pthread_cond_broadcast(&prover->changed);
    pthread_mutex_unlock(&prover->lock);
}

enum br_status prover_check(struct prover *prover, struct br_error *error) {
    pthread_mutex_lock(&prover->lock);
    enum br_status status = prover->error.status;
    if (status != BR_OK)
        *error = prover->error;
    pthread_mutex_unlock(&prover->lock);
    return status;
}

void prover_settle(struct prover *prover) {
    pthread_mutex_lock(&prover->lock);
    while (prover->wants || prover->works)
        pthread_cond_wait(&prover->changed, &prover->lock);
    pthread_mutex_unlock(&prover->lock);
}

void prover_stop(struct prover **prover_ptr) {
    struct prover *prover = *prover_ptr;
    *prover_ptr = NULL;
    if (prover == NULL)
        return;
    pthread_mutex_lock(&prover->lock);
    prover->stop = true;
    pthread_cond_broadcast(&prover->changed);
    pthread_mutex_unlock(&prover->lock);
    pthread_join(prover->thread, NULL);
    destroy(prover);
}
