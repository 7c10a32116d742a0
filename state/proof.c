// SPDX-License-Identifier: Apache-2.0
// See proof.h. Files and bytes only: nothing here knows RocksDB but by the names of its files.
#define _GNU_SOURCE // O_CLOEXEC and asprintf's kin
#define XXH_INLINE_ALL
#include "state/proof.h"

#include "state/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define FIRST_LINE "braid state proof 1\n"
#define DAMAGED_NAME "DAMAGED"
#define PROOF_BYTES_MAX ((size_t)256 << 20) // some four million files
#define DAMAGED_BYTES_MAX 800
#define END_BYTES (64 << 10) // of an SST: properties, range deletes, footer, and some of the index
#define READ_BYTES (256 << 10)

void proof_free(struct proof *proof) {
    free(proof->files);
    *proof = (struct proof){0};
}

void proof_add(struct proof *proof, const char *name, uint64_t size, uint64_t checksum) {
    if (proof->file_count == proof->file_capacity) {
        proof->file_capacity = proof->file_capacity == 0 ? 64 : 2 * proof->file_capacity;
        proof->files = br_realloc(proof->files, proof->file_capacity * sizeof *proof->files);
    }
    struct proof_file *file = &proof->files[proof->file_count++];
    *file = (struct proof_file){.size = size, .checksum = checksum};
    snprintf(file->name, sizeof file->name, "%s", name);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const struct proof_file *)a)->name, ((const struct proof_file *)b)->name);
}

void proof_sort(struct proof *proof) {
    if (proof->file_count != 0)
        qsort(proof->files, proof->file_count, sizeof *proof->files, compare_names);
}

const struct proof_file *proof_find(const struct proof *proof, const char *name) {
    struct proof_file wanted = {0};
    snprintf(wanted.name, sizeof wanted.name, "%s", name);
    if (proof->file_count == 0)
        return NULL;
    return bsearch(&wanted, proof->files, proof->file_count, sizeof *proof->files, compare_names);
}

// --- the text

void proof_format(const struct proof *proof, struct br_buffer *text) {
    size_t begin = text->len;
    br_buffer_append_text(text, FIRST_LINE);
    br_buffer_printf(text, "flush %" PRIu64 " %016" PRIx64 "\n", proof->mark.flush, proof->mark.link);
    br_buffer_printf(text, "epoch %" PRIu64 " %016" PRIx64 "\n", proof->mark.epoch, proof->mark.digest);
    br_buffer_printf(text, "sequence %" PRIu64 "\n", proof->mark.sequence);
    br_buffer_printf(text, "manifest %s %" PRIu64 " %016" PRIx64 "\n", proof->manifest.name, proof->manifest.size,
                     proof->manifest.checksum);
    for (size_t i = 0; i < proof->file_count; i++)
        br_buffer_printf(text, "file %s %" PRIu64 " %016" PRIx64 "\n", proof->files[i].name, proof->files[i].size,
                         proof->files[i].checksum);
    br_buffer_printf(text, "end %016" PRIx64 "\n", (uint64_t)XXH3_64bits(text->ptr + begin, text->len - begin));
}

static bool take_text(struct br_slice *rest, const char *text) {
    size_t len = strlen(text);
    if (rest->len < len || memcmp(rest->ptr, text, len) != 0)
        return false;
    *rest = (struct br_slice){rest->ptr + len, rest->len - len};
    return true;
}

static bool take_number(struct br_slice *rest, uint64_t *ret_number) {
    size_t len = 0;
    *ret_number = 0;
    for (; len < rest->len && rest->ptr[len] >= '0' && rest->ptr[len] <= '9'; len++)
        if (__builtin_mul_overflow(*ret_number, 10, ret_number) ||
            __builtin_add_overflow(*ret_number, (uint64_t)(rest->ptr[len] - '0'), ret_number))
            return false;
    *rest = (struct br_slice){rest->ptr + len, rest->len - len};
    return len != 0;
}

static bool take_hex(struct br_slice *rest, uint64_t *ret_number) {
    if (rest->len < 16)
        return false;
    *ret_number = 0;
    for (size_t i = 0; i < 16; i++) {
        const char *digits = "0123456789abcdef", *digit = strchr(digits, rest->ptr[i]);
        if (digit == NULL || rest->ptr[i] == '\0')
            return false;
        *ret_number = *ret_number << 4 | (uint64_t)(digit - digits);
    }
    *rest = (struct br_slice){rest->ptr + 16, rest->len - 16};
    return true;
}

static bool take_name(struct br_slice *rest, char *name) {
    size_t len = 0;
    while (len < rest->len && len < PROOF_NAME_MAX - 1 && rest->ptr[len] > ' ' && rest->ptr[len] < 127 &&
           rest->ptr[len] != '/')
        name[len] = (char)rest->ptr[len], len++;
    name[len] = '\0';
    *rest = (struct br_slice){rest->ptr + len, rest->len - len};
    return len != 0;
}

static bool take_file(struct br_slice *rest, const char *word, struct proof_file *ret_file) {
    return take_text(rest, word) && take_name(rest, ret_file->name) && take_text(rest, " ") &&
           take_number(rest, &ret_file->size) && take_text(rest, " ") && take_hex(rest, &ret_file->checksum) &&
           take_text(rest, "\n");
}

static bool take_lines(struct br_slice *rest, struct proof *proof) {
    if (!(take_text(rest, FIRST_LINE) && take_text(rest, "flush ") && take_number(rest, &proof->mark.flush) &&
          take_text(rest, " ") && take_hex(rest, &proof->mark.link) && take_text(rest, "\nepoch ") &&
          take_number(rest, &proof->mark.epoch) && take_text(rest, " ") && take_hex(rest, &proof->mark.digest) &&
          take_text(rest, "\nsequence ") && take_number(rest, &proof->mark.sequence) && take_text(rest, "\n") &&
          take_file(rest, "manifest ", &proof->manifest)))
        return false;
    struct proof_file file;
    struct br_slice line = *rest;
    for (; take_file(&line, "file ", &file); *rest = line)
        proof_add(proof, file.name, file.size, file.checksum);
    return true;
}

bool proof_parse(struct br_slice text, struct proof *ret_proof) {
    struct proof proof = {0};
    struct br_slice rest = text;
    struct br_buffer BR_CLEANUP(br_buffer_free) again = {0};
    uint64_t checksum;
    bool good = take_lines(&rest, &proof) && take_text(&rest, "end ") && take_hex(&rest, &checksum);
    if (good) {
        proof_sort(&proof);
        proof_format(&proof, &again); // numbers in one spelling, files in order, the checksum, nothing behind it
        good = br_slice_equal(br_buffer_slice(&again), text);
    }
    if (good)
        *ret_proof = proof;
    else
        proof_free(&proof);
    return good;
}

// --- files

static void path_of(const char *folder, const char *name, char path[PATH_MAX]) {
    snprintf(path, PATH_MAX, "%s/%s", folder, name);
}

static int open_file(const char *folder, const char *name, int flags) {
    char path[PATH_MAX];
    path_of(folder, name, path);
    return open(path, flags | O_CLOEXEC, 0644);
}

// Whether a name that is there no more may be passed over, or something else is wrong, is the caller's to say.
static enum br_status cannot(const char *folder, const char *what, const char *name, struct br_error *error) {
    int reason = errno;
    return br_error_set_native(error, BR_FATAL, reason, "cannot %s %s/%s, which is state: %s", what, folder, name,
                               strerror(reason));
}

static enum br_status damaged(const char *folder, struct br_error *error, const char *format, ...) BR_PRINTF(3, 4);
static enum br_status damaged(const char *folder, struct br_error *error, const char *format, ...) {
    char what[BR_ERROR_MESSAGE_SIZE / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return br_error_set_native(error, BR_FATAL, BR_STORE_DAMAGED, "the state in %s is damaged: %s", folder, what);
}

static bool read_whole(const char *folder, const char *name, size_t bytes_max, struct br_buffer *bytes) {
    int file = open_file(folder, name, O_RDONLY);
    if (file < 0)
        return false;
    ssize_t got = 1;
    while (got > 0 && bytes->len <= bytes_max) {
        got = read(file, br_buffer_reserve(bytes, READ_BYTES), READ_BYTES);
        bytes->len += got > 0 ? (size_t)got : 0;
    }
    int reason = errno;
    close(file);
    errno = reason;
    return got >= 0;
}

static bool write_all(int file, struct br_slice bytes) {
    while (bytes.len != 0) {
        ssize_t put = write(file, bytes.ptr, bytes.len);
        if (put < 0 && errno != EINTR)
            return false;
        size_t done = put < 0 ? 0 : (size_t)put;
        bytes = (struct br_slice){bytes.ptr + done, bytes.len - done};
    }
    return true;
}

static bool sync_folder(const char *folder) {
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0)
        return false;
    bool done = fsync(file) == 0;
    int reason = errno;
    close(file);
    errno = reason;
    return done;
}

// What a loss of power leaves under `name` is the former file or this one, whole.
static enum br_status replace_file(const char *folder, const char *name, struct br_slice bytes,
                                   struct br_error *error) {
    char new_name[PROOF_NAME_MAX], from[PATH_MAX], to[PATH_MAX];
    snprintf(new_name, sizeof new_name, "%s.new", name);
    path_of(folder, new_name, from);
    path_of(folder, name, to);
    int file = open_file(folder, new_name, O_WRONLY | O_CREAT | O_TRUNC);
    if (file < 0)
        return cannot(folder, "make", new_name, error);
    bool written = write_all(file, bytes) && fsync(file) == 0;
    int reason = errno;
    close(file);
    errno = reason;
    if (!written || rename(from, to) != 0 || !sync_folder(folder))
        return cannot(folder, "write", name, error);
    return BR_OK;
}

enum br_status proof_write(const char *folder, const struct proof *proof, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
    proof_format(proof, &text);
    return replace_file(folder, PROOF_NAME, br_buffer_slice(&text), error);
}

void proof_mark_damaged(const char *folder, const char *why) {
    struct br_error ignored;
    enum br_status status = replace_file(folder, DAMAGED_NAME, br_slice_of(why), &ignored);
    (void)status;
}

static enum br_status check_unmarked(const char *folder, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) why = {0};
    if (!read_whole(folder, DAMAGED_NAME, DAMAGED_BYTES_MAX, &why))
        return errno == ENOENT ? BR_OK : cannot(folder, "read", DAMAGED_NAME, error);
    int len = (int)(why.len < DAMAGED_BYTES_MAX ? why.len : DAMAGED_BYTES_MAX);
    return br_error_set_native(error, BR_FATAL, BR_STORE_DAMAGED, "%.*s", len, len == 0 ? "" : (const char *)why.ptr);
}

enum br_status proof_read(const char *folder, struct proof *ret_proof, bool *ret_found, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
    *ret_found = false;
    BR_TRY(check_unmarked(folder, error));
    if (!read_whole(folder, PROOF_NAME, PROOF_BYTES_MAX, &text))
        return errno == ENOENT ? BR_OK : cannot(folder, "read", PROOF_NAME, error);
    if (!proof_parse(br_buffer_slice(&text), ret_proof))
        return damaged(folder, error, "its file %s isn't as it was written", PROOF_NAME);
    *ret_found = true;
    return BR_OK;
}

bool proof_current(const char *folder, char name[PROOF_NAME_MAX]) {
    struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
    if (!read_whole(folder, "CURRENT", PROOF_NAME_MAX, &text))
        return false;
    struct br_slice rest = br_buffer_slice(&text);
    errno = 0;
    return take_name(&rest, name) && strncmp(name, "MANIFEST-", 9) == 0 && br_slice_is(rest, "\n");
}

// XXH3 of the file's bytes from..to. False: errno says why, 0 that the file is shorter.
static bool sum_range(int file, uint64_t from, uint64_t to, uint64_t *ret_checksum) {
    BR_AUTO_FREE uint8_t *bytes = br_alloc(READ_BYTES);
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    while (from < to) {
        size_t want = to - from < READ_BYTES ? (size_t)(to - from) : READ_BYTES;
        ssize_t got = pread(file, bytes, want, (off_t)from);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            errno = got == 0 ? 0 : errno;
            return false;
        }
        XXH3_64bits_update(&state, bytes, (size_t)got);
        from += (uint64_t)got;
    }
    *ret_checksum = XXH3_64bits_digest(&state);
    return true;
}

static bool sum_open_end(int file, uint64_t *ret_size, uint64_t *ret_checksum) {
    struct stat about;
    if (fstat(file, &about) != 0)
        return false;
    *ret_size = (uint64_t)about.st_size;
    return sum_range(file, *ret_size > END_BYTES ? *ret_size - END_BYTES : 0, *ret_size, ret_checksum);
}

bool proof_sum_end(const char *folder, const char *name, uint64_t *ret_size, uint64_t *ret_checksum) {
    int file = open_file(folder, name, O_RDONLY);
    if (file < 0)
        return false;
    bool done = sum_open_end(file, ret_size, ret_checksum);
    int reason = errno;
    close(file);
    errno = reason;
    return done;
}

// --- P4

static enum br_status check_manifest_bytes(const char *folder, const struct proof_file *proven,
                                           struct br_error *error) {
    int file = open_file(folder, proven->name, O_RDONLY);
    if (file < 0)
        return errno == ENOENT ? damaged(folder, error, "%s is missing", proven->name)
                               : cannot(folder, "read", proven->name, error);
    uint64_t checksum;
    bool done = sum_range(file, 0, proven->size, &checksum);
    int reason = errno;
    close(file);
    errno = reason;
    if (!done && reason != 0)
        return cannot(folder, "read", proven->name, error);
    if (!done)
        return damaged(folder, error, "%s has less than the %" PRIu64 " bytes that it had", proven->name, proven->size);
    if (checksum != proven->checksum)
        return damaged(folder, error, "%s doesn't begin with the %" PRIu64 " bytes that it had", proven->name,
                       proven->size);
    return BR_OK;
}

// MANIFEST-000123: a later one has a higher number.
static uint64_t manifest_number(const char *name) {
    return strtoull(name + strlen("MANIFEST-"), NULL, 10);
}

static enum br_status check_manifest(const char *folder, const struct proof_file *proven, struct br_error *error) {
    char name[PROOF_NAME_MAX];
    if (!proof_current(folder, name)) {
        if (errno == ENOENT)
            return damaged(folder, error, "its file CURRENT is missing");
        return errno == 0 ? damaged(folder, error, "its file CURRENT names no MANIFEST")
                          : cannot(folder, "read", "CURRENT", error);
    }
    if (strcmp(name, proven->name) == 0)
        return check_manifest_bytes(folder, proven, error);
    if (manifest_number(name) < manifest_number(proven->name))
        return damaged(folder, error, "its file CURRENT names %s, an earlier one than %s", name, proven->name);
    return BR_OK;
}

static enum br_status check_file(const char *folder, const struct proof_file *proven, struct br_error *error) {
    uint64_t size = 0, checksum = 0;
    if (!proof_sum_end(folder, proven->name, &size, &checksum)) {
        if (errno == ENOENT) // compacted since; RocksDB knows whether it may be missing (P6)
            return BR_OK;
        return errno == 0 ? damaged(folder, error, "%s is shorter than it was", proven->name)
                          : cannot(folder, "read", proven->name, error);
    }
    if (size != proven->size)
        return damaged(folder, error, "%s has %" PRIu64 " bytes instead of %" PRIu64, proven->name, size, proven->size);
    if (checksum != proven->checksum)
        return damaged(folder, error, "%s isn't the file that was written: its last bytes differ", proven->name);
    return BR_OK;
}

static bool ends_with(const char *name, const char *end) {
    size_t len = strlen(name), end_len = strlen(end);
    return len > end_len && strcmp(name + len - end_len, end) == 0;
}

// RocksDB takes a folder without CURRENT for a new one, and what WALs are there for all it has.
static enum br_status check_new(const char *folder, struct br_error *error) {
    char name[PROOF_NAME_MAX];
    if (proof_current(folder, name) || errno != ENOENT)
        return BR_OK; // what it holds RocksDB will say
    DIR *listing = opendir(folder);
    if (listing == NULL)
        return errno == ENOENT ? BR_OK : cannot(folder, "list", ".", error);
    enum br_status status = BR_OK;
    const struct dirent *file;
    while (status == BR_OK && (file = readdir(listing)) != NULL)
        if (ends_with(file->d_name, ".sst") || ends_with(file->d_name, ".log"))
            status = damaged(folder, error, "its file CURRENT is missing, but %s is there", file->d_name);
    closedir(listing);
    return status;
}

enum br_status proof_check_files(const char *folder, const struct proof *proof, struct br_error *error) {
    if (proof == NULL)
        return check_new(folder, error);
    BR_TRY(check_manifest(folder, &proof->manifest, error));
    for (size_t i = 0; i < proof->file_count; i++)
        BR_TRY(check_file(folder, &proof->files[i], error));
    return BR_OK;
}

// --- naming

static enum br_status name_manifest(const char *folder, struct proof_file *manifest, struct br_error *error) {
    if (!proof_current(folder, manifest->name))
        return cannot(folder, "read", "CURRENT", error);
    int file = open_file(folder, manifest->name, O_RDONLY);
    struct stat about;
    bool done =
        file >= 0 && fstat(file, &about) == 0 && sum_range(file, 0, (uint64_t)about.st_size, &manifest->checksum);
    int reason = errno;
    if (file >= 0)
        close(file);
    errno = reason;
    if (!done)
        return cannot(folder, "read", manifest->name, error);
    manifest->size = (uint64_t)about.st_size;
    return BR_OK;
}

enum br_status proof_name_files(const char *folder, struct proof *proof, struct br_error *error) {
    BR_TRY(name_manifest(folder, &proof->manifest, error));
    DIR *listing = opendir(folder);
    if (listing == NULL)
        return cannot(folder, "list", ".", error);
    enum br_status status = BR_OK;
    const struct dirent *file;
    while (status == BR_OK && (file = readdir(listing)) != NULL) {
        uint64_t size, checksum;
        if (!ends_with(file->d_name, ".sst"))
            continue;
        if (proof_sum_end(folder, file->d_name, &size, &checksum))
            proof_add(proof, file->d_name, size, checksum);
        else
            status = cannot(folder, "read", file->d_name, error);
    }
    closedir(listing);
    proof_sort(proof);
    return status;
}
