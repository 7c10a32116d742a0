// SPDX-License-Identifier: Apache-2.0
// See store.h: dispatch to the kind of store, runs that are batches, and the folder operations that need no open store.
#include "state/store_internal.h"

#include "base/logging.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define ASIDE_MAX 100000 // folders set aside at one path; somebody looks before there are that many
#define LOCK_NAME "PROOF.lock"

void br_store_destroy(struct br_store **store) {
    if (*store != NULL)
        (*store)->ops->destroy(*store);
    *store = NULL;
}

enum br_status br_store_get(struct br_store *store, struct br_slice key, struct br_buffer *value, bool *ret_found,
                            struct br_error *error) {
    struct br_slice found_value = {0};
    bool found = false;
    BR_TRY(store->ops->get_many(store, &key, 1, &found_value, &found, error));
    if (found)
        br_buffer_append_slice(value, found_value);
    *ret_found = found;
    return BR_OK;
}

enum br_status br_store_get_many(struct br_store *store, const struct br_slice *keys, size_t count,
                                 struct br_slice *ret_values, bool *ret_found, struct br_error *error) {
    return store->ops->get_many(store, keys, count, ret_values, ret_found, error);
}

struct br_store_batch *br_store_batch_create(struct br_store *store) {
    return store->ops->batch_create(store);
}

void br_store_batch_destroy(struct br_store_batch **batch) {
    if (*batch != NULL)
        (*batch)->store->ops->batch_destroy(*batch);
    *batch = NULL;
}

void br_store_batch_clear(struct br_store_batch *batch) {
    batch->store->ops->batch_clear(batch);
}

void br_store_batch_put(struct br_store_batch *batch, struct br_slice key, struct br_slice value) {
    batch->store->ops->batch_put(batch, key, value);
}

void br_store_batch_delete(struct br_store_batch *batch, struct br_slice key) {
    batch->store->ops->batch_delete(batch, key);
}

void br_store_batch_delete_range(struct br_store_batch *batch, struct br_slice first, struct br_slice last) {
    batch->store->ops->batch_delete_range(batch, first, last);
}

size_t br_store_batch_size(const struct br_store_batch *batch) {
    return batch->store->ops->batch_size(batch);
}

enum br_status br_store_write(struct br_store *store, struct br_store_batch *batch, struct br_error *error) {
    BR_CHECK(batch->store == store);
    return store->ops->write(store, batch, error);
}

enum br_status br_store_run_begin(struct br_store *store, size_t expected_bytes, struct br_store_run **ret_run,
                                  struct br_error *error) {
    struct br_store_run *run = NULL;
    if (store->ops->run_begin != NULL)
        BR_TRY(store->ops->run_begin(store, expected_bytes, &run, error));
    if (run == NULL) {
        run = br_calloc(1, sizeof *run);
        run->store = store;
        run->batch = br_store_batch_create(store);
    }
    *ret_run = run;
    return BR_OK;
}

enum br_status br_store_run_delete_range(struct br_store_run *run, struct br_slice first, struct br_slice last,
                                         struct br_error *error) {
    if (run->batch == NULL)
        return run->store->ops->run_delete_range(run, first, last, error);
    br_store_batch_delete_range(run->batch, first, last);
    return BR_OK;
}

enum br_status br_store_run_put(struct br_store_run *run, struct br_slice key, struct br_slice value,
                                struct br_error *error) {
    if (run->batch == NULL)
        return run->store->ops->run_put(run, key, value, error);
    br_store_batch_put(run->batch, key, value);
    return BR_OK;
}

enum br_status br_store_run_delete(struct br_store_run *run, struct br_slice key, struct br_error *error) {
    if (run->batch == NULL)
        return run->store->ops->run_delete(run, key, error);
    br_store_batch_delete(run->batch, key);
    return BR_OK;
}

enum br_status br_store_run_commit(struct br_store_run *run, struct br_error *error) {
    if (run->batch == NULL)
        return run->store->ops->run_commit(run, error);
    return br_store_write(run->store, run->batch, error);
}

void br_store_run_destroy(struct br_store_run **run) {
    if (*run != NULL && (*run)->batch == NULL) {
        (*run)->store->ops->run_destroy(*run);
    } else if (*run != NULL) {
        br_store_batch_destroy(&(*run)->batch);
        free(*run);
    }
    *run = NULL;
}

enum br_status br_store_scan(struct br_store *store, struct br_slice first, struct br_slice last,
                             struct br_store_iterator **ret_iterator, struct br_error *error) {
    return store->ops->scan(store, first, last, ret_iterator, error);
}

bool br_store_iterator_next(struct br_store_iterator *iterator, struct br_slice *ret_key, struct br_slice *ret_value) {
    return iterator->store->ops->iterator_next(iterator, ret_key, ret_value);
}

enum br_status br_store_iterator_status(const struct br_store_iterator *iterator, struct br_error *error) {
    return iterator->store->ops->iterator_status(iterator, error);
}

void br_store_iterator_destroy(struct br_store_iterator **iterator) {
    if (*iterator != NULL)
        (*iterator)->store->ops->iterator_destroy(*iterator);
    *iterator = NULL;
}

enum br_status br_store_last_key(struct br_store *store, struct br_slice first, struct br_slice last,
                                 struct br_buffer *key, bool *ret_found, struct br_error *error) {
    BR_CHECK(last.len != 0);
    return store->ops->last_key(store, first, last, key, ret_found, error);
}

enum br_status br_store_checkpoint(struct br_store *store, const char *path, struct br_error *error) {
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (slash != NULL && slash != path && (size_t)(slash - path) < sizeof parent) {
        snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
        BR_TRY(store_make_folder(parent, error));
    }
    return store->ops->checkpoint(store, path, error);
}

enum br_status br_store_check(struct br_store *store, struct br_error *error) {
    return store->ops->check == NULL ? BR_OK : store->ops->check(store, error);
}

void br_store_note(struct br_store *store, uint64_t epoch, uint64_t digest) {
    if (store->ops->note != NULL)
        store->ops->note(store, epoch, digest);
}

void br_store_usage(struct br_store *store, uint64_t *ret_memory, uint64_t *ret_disk) {
    store->ops->usage(store, ret_memory, ret_disk);
}

// --- folders ---

// What is in state is what was in the events: nobody but the owner, and a group if somebody wants one to read it, sees
// it. Folders that earlier versions made were open to all.
static void close_to_others(const char *path, mode_t mode) {
    mode_t wanted = mode & 07777 & ~(mode_t)027;
    if (wanted == (mode & 07777))
        return;
    if (chmod(path, wanted) == 0)
        br_log_line(BR_LEVEL_INFO, "a state folder was open to others: it is closed to them", BR_STR("path", path));
    else
        br_log_line(BR_LEVEL_WARN, "a state folder is open to others, and can't be closed to them",
                    BR_STR("path", path), BR_STR("why", strerror(errno)));
}

enum br_status store_make_folder(const char *path, struct br_error *error) {
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof part)
        return br_error_set(error, BR_FATAL, "a state folder's path must have 1 to %zu bytes, not %zu: \"%.100s\"",
                            sizeof part - 1, len, path);
    memcpy(part, path, len + 1);
    for (size_t at = 1; at <= len; at++) {
        if (part[at] != '/' && part[at] != '\0')
            continue;
        char saved = part[at];
        part[at] = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return br_error_set_native(error, BR_FATAL, errno, "cannot make the state folder %s: %s: %s", path, part,
                                       strerror(errno));
        part[at] = saved;
    }
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))
        return br_error_set(error, BR_FATAL, "the state folder %s is not a folder: give another path or move it away",
                            path);
    close_to_others(path, status.st_mode);
    return BR_OK;
}

enum br_status store_lock(const char *path, int *ret_lock, struct br_error *error) {
    char name[PATH_MAX];
    struct stat held, there;
    snprintf(name, sizeof name, "%s/" LOCK_NAME, path);
    int lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (lock < 0)
        return br_error_set_native(error, BR_FATAL, errno, "cannot open the state's lock %s: %s", name,
                                   strerror(errno));
    bool in_use = flock(lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    // The folder may have been set aside between the two calls: then this is the lock of another one.
    in_use = in_use || fstat(lock, &held) != 0 || stat(name, &there) != 0 || held.st_ino != there.st_ino;
    if (in_use) {
        close(lock);
        return br_error_set_native(error, BR_FATAL, BR_STORE_IN_USE,
                                   "data directory in use: %s is open in another process or task; stop it or give this "
                                   "one another folder",
                                   path);
    }
    *ret_lock = lock;
    return BR_OK;
}

void store_unlock(int *lock) {
    if (*lock >= 0)
        close(*lock);
    *lock = -1;
}

// RocksDB locks this file while the folder is open.
bool br_store_is_open_elsewhere(const char *path) {
    char lock[PATH_MAX];
    if (snprintf(lock, sizeof lock, "%s/LOCK", path) >= (int)sizeof lock)
        return false;
    int file = open(lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0)
        return false;
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool locked = fcntl(file, F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    close(file);
    return locked;
}

static enum br_status rename_aside(const char *path, char *ret_new_path, size_t size, struct br_error *error) {
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    for (int n = 1; n <= ASIDE_MAX; n++) {
        int wanted = snprintf(ret_new_path, size, "%.*s.aside-%d", (int)len, path, n);
        if (wanted < 0 || (size_t)wanted >= size)
            return br_error_set(error, BR_FATAL, "cannot set the state folder %s aside: its path is too long", path);
        struct stat status;
        if (lstat(ret_new_path, &status) == 0)
            continue;
        if (rename(path, ret_new_path) == 0)
            return BR_OK;
        return br_error_set_native(error, BR_FATAL, errno, "cannot set the state folder %s aside as %s: %s", path,
                                   ret_new_path, strerror(errno));
    }
    return br_error_set(error, BR_FATAL, "cannot set the state folder %s aside: %d are there already; remove some",
                        path, ASIDE_MAX);
}

enum br_status br_store_set_aside(const char *path, char *ret_new_path, size_t size, struct br_error *error) {
    int lock = -1;
    BR_TRY(store_lock(path, &lock, error)); // two workers may have found the damage: one moves it away
    enum br_status status = rename_aside(path, ret_new_path, size, error);
    store_unlock(&lock);
    return status;
}
