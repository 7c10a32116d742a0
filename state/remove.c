// SPDX-License-Identifier: Apache-2.0
// The one function that removes folders with all that is in them. What is removed is reached by its parents'
// descriptors, never by a path that the kernel resolves again, and no link is followed on the way: whoever can put a
// link into the data folder, or have a path of its choice come here, makes it fail, or has the link itself removed.
#define _GNU_SOURCE
#include "state/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 32 // folders within folders; a store has one
#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

// 0, or -1 with errno, as all here.
static int remove_at(int parent, const char *name, unsigned depth);

static int remove_entries(DIR *folder, unsigned depth) {
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL)
            return errno == 0 ? 0 : -1;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            remove_at(dirfd(folder), entry->d_name, depth) != 0)
            return -1;
    }
}

static int remove_folder(int parent, const char *name, unsigned depth) {
    if (depth == DEPTH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = openat(parent, name, FOLDER_FLAGS);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    int result = remove_entries(folder, depth + 1), reason = errno;
    closedir(folder);
    errno = reason;
    return result == 0 ? unlinkat(parent, name, AT_REMOVEDIR) : -1;
}

static int remove_at(int parent, const char *name, unsigned depth) {
    struct stat status;
    if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : -1;
    int result = S_ISDIR(status.st_mode) ? remove_folder(parent, name, depth) : unlinkat(parent, name, 0);
    return result != 0 && errno == ENOENT ? 0 : result; // somebody else was faster
}

// The next part of a path below a folder: a name, and no way up.
static bool next_part(const char **rest, char name[NAME_MAX + 1]) {
    while (**rest == '/')
        ++*rest;
    size_t len = strcspn(*rest, "/");
    if (len == 0 || len > NAME_MAX)
        return false;
    memcpy(name, *rest, len);
    name[len] = '\0';
    *rest += len;
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

// Goes down from `folder`, which it consumes, and removes what the last part names.
static int remove_below(int folder, const char *rest) {
    char name[NAME_MAX + 1];
    while (next_part(&rest, name)) {
        if (rest[strspn(rest, "/")] == '\0') {
            int result = remove_at(folder, name, 0), reason = errno;
            close(folder);
            errno = reason;
            return result;
        }
        int child = openat(folder, name, FOLDER_FLAGS), reason = errno;
        close(folder);
        errno = reason;
        if (child < 0)
            return errno == ENOENT ? 0 : -1;
        folder = child;
    }
    close(folder);
    errno = EINVAL;
    return -1;
}

static enum br_status not_removed(const char *path, int reason, struct br_error *error) {
    return br_error_set_native(error, BR_FATAL, reason, "cannot remove the state folder %s: %s%s", path,
                               strerror(reason),
                               reason == ELOOP || reason == ENOTDIR
                                   ? ". Part of the path is a link, which isn't followed: give the folder itself that "
                                     "the data is in (--data)"
                                   : "");
}

enum br_status br_store_remove(const char *below, const char *path, struct br_error *error) {
    char parent[PATH_MAX];
    size_t len = below == NULL ? 0 : strlen(below);
    const char *rest = path + len;
    if (below != NULL && (len == 0 || strncmp(path, below, len) != 0 || (below[len - 1] != '/' && *rest != '/')))
        return br_error_set(error, BR_FATAL, "%s is not removed: it isn't below %s", path, below);
    if (below == NULL) { // all but the last part
        const char *slash = strrchr(path, '/');
        len = slash == NULL ? 0 : (size_t)(slash - path);
        if (len >= sizeof parent)
            return not_removed(path, ENAMETOOLONG, error);
        snprintf(parent, sizeof parent, "%.*s", (int)len, path);
        rest = slash == NULL ? path : slash + 1;
        below = slash == NULL ? "." : len == 0 ? "/" : parent;
    }
    int folder = open(below, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return errno == ENOENT ? BR_OK : not_removed(path, errno, error);
    return remove_below(folder, rest) == 0 ? BR_OK : not_removed(path, errno, error);
}
