// SPDX-License-Identifier: Apache-2.0
// Stands in for libFuzzer where it isn't linked: gives the target every file of the folders (or the files) named as
// arguments, and the empty input, once each. So the corpus is a regression test in every build, with any compiler.
// A folder that isn't there holds no files.
#include "base/bytes.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    struct br_buffer bytes = {0};
    for (size_t got = 1; got != 0;) {
        got = fread(br_buffer_reserve(&bytes, 65536), 1, 65536, file);
        bytes.len += got;
    }
    fclose(file);
    // An exact copy, so that a sanitizer sees a read past the end.
    uint8_t *copy = br_alloc(bytes.len);
    memcpy(copy, bytes.ptr, bytes.len);
    LLVMFuzzerTestOneInput(copy, bytes.len);
    free(copy);
    br_buffer_free(&bytes);
    return 0;
}

static int run_path(const char *path, unsigned *count) {
    struct stat info;
    if (stat(path, &info) != 0)
        return 0;
    if (!S_ISDIR(info.st_mode)) {
        *count += 1;
        return run_file(path);
    }
    DIR *folder = opendir(path);
    if (folder == NULL)
        return 1;
    int failed = 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char inner[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        failed |= run_path(inner, count);
    }
    closedir(folder);
    return failed;
}

int main(int argc, char **argv) {
    unsigned count = 0;
    int failed = 0;
    uint8_t nothing = 0;
    LLVMFuzzerTestOneInput(&nothing, 0);
    for (int i = 1; i < argc; i++)
        failed |= run_path(argv[i], &count);
    printf("%u inputs\n", count);
    return failed;
}
