// SPDX-License-Identifier: Apache-2.0
// What only the writer of an archive's folder does: the lock, merging, retention. See archive.h.
#include "replay/archive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static enum br_status disk_error(const char *what, const char *path, struct br_error *error) {
    return br_error_set_native(error, BR_RETRY, errno, "can't %s %s: %s", what, path, strerror(errno));
}

// --- the lock (A3)

static enum br_status make_folders(const char *folder, struct br_error *error) {
    char path[BR_ARCHIVE_PATH_SIZE];
    snprintf(path, sizeof path, "%s", folder);
    for (char *at = path + 1;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char was = *at;
        *at = '\0';
        if (mkdir(path, 0777) == 0) {
            char *slash = strrchr(path, '/');
            char parent[BR_ARCHIVE_PATH_SIZE];
            snprintf(parent, sizeof parent, "%.*s", slash == path ? 1 : (int)(slash - path), path);
            BR_TRY(br_segment_sync_folder(parent, error));
        } else if (errno != EEXIST) {
            return disk_error("make the archive's folder", path, error);
        }
        *at = was;
        if (was == '\0')
            return BR_OK;
    }
}

static void remove_leftovers(const char *folder) {
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL)
        if (strncmp(entry->d_name, ".new-", 5) == 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir != NULL)
        closedir(dir);
}

enum br_status br_archive_lock(const char *folder, int *ret_lock, struct br_error *error) {
    char path[BR_ARCHIVE_PATH_SIZE];
    BR_TRY(make_folders(folder, error));
    snprintf(path, sizeof path, "%.4000s/.lock", folder);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock < 0)
        return disk_error("open", path, error);
    if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        enum br_status status = errno == EWOULDBLOCK ? BR_OK : disk_error("lock", path, error);
        close(lock);
        *ret_lock = -1;
        return status;
    }
    remove_leftovers(folder);
    *ret_lock = lock;
    return BR_OK;
}

void br_archive_unlock(int *lock) {
    if (*lock >= 0)
        close(*lock);
    *lock = -1;
}

// --- where it begins (A4)

static enum br_status write_begin(const char *folder, uint64_t begin, struct br_error *error) {
    char path[BR_ARCHIVE_PATH_SIZE + 8], fresh[BR_ARCHIVE_PATH_SIZE + 12], text[BR_ARCHIVE_BEGIN_SIZE + 1];
    snprintf(path, sizeof path, "%.4000s/begin", folder);
    snprintf(fresh, sizeof fresh, "%.4000s/.new-begin", folder);
    snprintf(text, sizeof text, "%020" PRIu64 "\n", begin);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return disk_error("make", fresh, error);
    bool good = write(fd, text, BR_ARCHIVE_BEGIN_SIZE) == BR_ARCHIVE_BEGIN_SIZE && fsync(fd) == 0;
    if (close(fd) != 0 || !good || rename(fresh, path) != 0)
        return disk_error("write", path, error);
    return br_segment_sync_folder(folder, error);
}

enum br_status br_archive_note_begin(const char *folder, struct br_error *error) {
    struct br_archive *archive = NULL;
    BR_TRY(br_archive_open(folder, &archive, error));
    enum br_status status = BR_OK;
    if (archive->begin == 0 && archive->count != 0)
        status = write_begin(folder, archive->segments[0].info.from, error);
    br_archive_close(&archive);
    return status;
}

// --- merging (A2)

static enum br_status copy_segment(const struct br_archive *archive, size_t index, struct br_segment_writer *writer,
                                   struct br_block *block, struct br_error *error) {
    struct br_segment_reader *reader = NULL;
    enum br_status status = br_archive_open_segment(archive, index, &reader, error);
    bool found = true;
    while (status == BR_OK) {
        status = br_segment_next(reader, block, &found, error);
        if (status != BR_OK || !found)
            break;
        for (size_t i = 0; i < block->count && status == BR_OK; i++)
            status = br_segment_add(writer, &block->messages[i], error);
    }
    br_segment_close(&reader);
    return status;
}

static enum br_status merge_last_two(const struct br_archive *archive, bool framed,
                                     const struct br_message_type *message, struct br_error *error) {
    size_t last = archive->count - 1;
    struct br_segment_writer *writer = NULL;
    struct br_segment_info identity = {.kind = archive->segments[last].info.kind,
                                       .source_hash = archive->segments[last].info.source_hash,
                                       .created = archive->segments[last].info.created},
                           merged;
    memcpy(identity.pipeline, archive->segments[last].info.pipeline, sizeof identity.pipeline);
    memcpy(identity.table, archive->segments[last].info.table, sizeof identity.table);
    memcpy(identity.source, archive->segments[last].info.source, sizeof identity.source);
    memcpy(identity.subject, archive->segments[last].info.subject, sizeof identity.subject);
    BR_TRY(br_segment_create(archive->folder, &identity, framed, message, &writer, error));
    struct br_block block = {0};
    enum br_status status = copy_segment(archive, last - 1, writer, &block, error);
    if (status == BR_OK)
        status = copy_segment(archive, last, writer, &block, error);
    br_block_free(&block);
    if (status == BR_OK)
        return br_segment_seal(&writer, archive->segments[last - 1].info.from, archive->segments[last].info.to, &merged,
                               error);
    br_segment_abandon(&writer);
    return status;
}

static bool may_merge(const struct br_archive *archive, uint64_t segment_bytes) {
    if (archive->count < 2)
        return false;
    const struct br_archive_segment *before = &archive->segments[archive->count - 2], *last = before + 1;
    return before->damage == NULL && last->damage == NULL && before->info.to + 1 == last->info.from &&
           before->info.created.us == last->info.created.us && strcmp(before->info.source, last->info.source) == 0 &&
           strcmp(before->info.subject, last->info.subject) == 0 &&
           before->info.source_hash == last->info.source_hash &&
           before->info.payload_bytes <= last->info.payload_bytes * 2 &&
           before->info.payload_bytes + last->info.payload_bytes <= segment_bytes;
}

static enum br_status remove_segment(const char *folder, const char *name, struct br_error *error) {
    char path[BR_ARCHIVE_PATH_SIZE + BR_SEGMENT_NAME_SIZE];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return unlink(path) == 0 || errno == ENOENT ? BR_OK : disk_error("remove", path, error);
}

static enum br_status remove_superseded(const struct br_archive *archive, struct br_error *error) {
    for (size_t i = 0; i < archive->superseded_count; i++)
        BR_TRY(remove_segment(archive->folder, archive->superseded[i], error));
    return archive->superseded_count == 0 ? BR_OK : br_segment_sync_folder(archive->folder, error);
}

enum br_status br_archive_merge(const char *folder, uint64_t segment_bytes, bool framed,
                                const struct br_message_type *message, struct br_error *error) {
    for (bool again = true; again;) {
        struct br_archive *archive = NULL;
        BR_TRY(br_archive_open(folder, &archive, error));
        enum br_status status = remove_superseded(archive, error);
        again = may_merge(archive, segment_bytes);
        if (status == BR_OK && again)
            status = merge_last_two(archive, framed, message, error);
        br_archive_close(&archive);
        BR_TRY(status);
    }
    return BR_OK;
}

// --- retention

enum br_status br_archive_retain(const char *folder, struct br_wall_time oldest_kept, uint64_t bytes_max,
                                 size_t *ret_removed, struct br_error *error) {
    struct br_archive *archive = NULL;
    BR_TRY(br_archive_open(folder, &archive, error));
    uint64_t bytes = 0;
    for (size_t i = 0; i < archive->count; i++)
        bytes += archive->segments[i].info.file_bytes;
    // What can't be read has no age, nor has what covers others' sequences only: they go with what comes after them.
    size_t wanted = 0, removed = 0;
    for (size_t i = 0; i + 1 < archive->count; i++) {
        const struct br_archive_segment *segment = &archive->segments[i];
        if (segment->damage != NULL || segment->info.messages == 0)
            continue;
        if (segment->info.last_time.us >= oldest_kept.us)
            break;
        wanted = i + 1;
    }
    enum br_status status = BR_OK;
    for (; removed + 1 < archive->count; removed++) {
        if (removed >= wanted && (bytes_max == 0 || bytes <= bytes_max))
            break;
        bytes -= archive->segments[removed].info.file_bytes;
    }
    if (removed != 0)
        status = write_begin(folder, archive->segments[removed].info.from, error);
    for (size_t i = 0; i < removed && status == BR_OK; i++)
        status = remove_segment(folder, archive->segments[i].name, error);
    if (status == BR_OK && removed != 0)
        status = br_segment_sync_folder(folder, error);
    br_archive_close(&archive);
    if (status == BR_OK)
        *ret_removed = removed;
    return status;
}
