// SPDX-License-Identifier: Apache-2.0
// Listing and checking the segments of a table. See archive.h.
#include "replay/archive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static bool put_name(struct br_buffer *out, const char *name) {
    br_buffer_append_byte(out, '/');
    for (const char *at = name; *at != '\0'; at++) {
        bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') ||
                     *at == '_' || *at == '-';
        if (plain)
            br_buffer_append_byte(out, (uint8_t)*at);
        else
            br_buffer_printf(out, "%%%02X", (unsigned)(uint8_t)*at);
    }
    return *name != '\0';
}

enum br_status br_archive_folder(const char *archive_path, const char *pipeline, const char *table,
                                 enum br_segment_kind kind, char folder[BR_ARCHIVE_PATH_SIZE], struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) path = {0};
    br_buffer_append_text(&path, archive_path);
    while (path.len > 1 && path.ptr[path.len - 1] == '/')
        path.len--;
    bool good = put_name(&path, pipeline) && put_name(&path, table);
    BR_CHECK(good); // neither name is ever empty
    if (kind == BR_SEGMENT_IMPORT)
        br_buffer_append_text(&path, "/import");
    if (path.len + BR_SEGMENT_NAME_SIZE + 2 > BR_ARCHIVE_PATH_SIZE)
        return br_error_set(error, BR_FATAL, "the archive's path is too long: %s", archive_path);
    memcpy(folder, path.ptr, path.len);
    folder[path.len] = '\0';
    return BR_OK;
}

// --- listing

static enum br_status read_info(struct br_archive *archive, struct br_archive_segment *segment,
                                struct br_error *error) {
    char path[BR_ARCHIVE_PATH_SIZE + BR_SEGMENT_NAME_SIZE];
    struct br_segment_info info;
    snprintf(path, sizeof path, "%s/%s", archive->folder, segment->name);
    enum br_status status = br_segment_look(path, &info, error);
    if (status == BR_DATA) {
        segment->damage = br_strdup(error->message);
        return BR_OK;
    }
    BR_TRY(status);
    if (info.from != segment->info.from || info.to != segment->info.to) {
        br_error_set(error, BR_DATA,
                     "segment %s is damaged: its header says that it covers %" PRIu64 " to %" PRIu64
                     " (was it renamed?)",
                     path, info.from, info.to);
        segment->damage = br_strdup(error->message);
    } else {
        segment->info = info;
    }
    return BR_OK;
}

// Of two that begin at the same sequence the longer one goes first.
static int by_range(const void *a, const void *b) {
    const struct br_segment_info *one = &((const struct br_archive_segment *)a)->info;
    const struct br_segment_info *other = &((const struct br_archive_segment *)b)->info;
    if (one->from != other->from)
        return one->from < other->from ? -1 : 1;
    return one->to > other->to ? -1 : one->to < other->to;
}

// A2: takes what lies wholly in the one before out of the list. A damaged one supersedes nothing.
static void drop_superseded(struct br_archive *archive) {
    size_t kept = 0;
    archive->superseded = br_calloc(archive->count + 1, sizeof *archive->superseded);
    for (size_t i = 0; i < archive->count; i++) {
        struct br_archive_segment *segment = &archive->segments[i];
        const struct br_archive_segment *before = kept == 0 ? NULL : &archive->segments[kept - 1];
        if (before != NULL && before->damage == NULL && segment->info.to <= before->info.to) {
            memcpy(archive->superseded[archive->superseded_count++], segment->name, sizeof segment->name);
            free(segment->damage);
        } else {
            archive->segments[kept++] = *segment;
        }
    }
    archive->count = kept;
}

static enum br_status list(struct br_archive *archive, DIR *dir, struct br_error *error) {
    size_t capacity = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        uint64_t from, to;
        if (!br_segment_parse_name(entry->d_name, &from, &to))
            continue;
        if (archive->count == capacity) {
            capacity = capacity == 0 ? 16 : capacity * 2;
            archive->segments = br_realloc(archive->segments, capacity * sizeof *archive->segments);
        }
        struct br_archive_segment *segment = &archive->segments[archive->count];
        *segment = (struct br_archive_segment){.info = {.from = from, .to = to}};
        br_segment_name(from, to, segment->name);
        enum br_status status = read_info(archive, segment, error);
        if (status == BR_FATAL) // it went away meanwhile: merged, or too old
            continue;
        BR_TRY(status);
        archive->count++;
    }
    if (archive->count != 0)
        qsort(archive->segments, archive->count, sizeof *archive->segments, by_range);
    drop_superseded(archive);
    return BR_OK;
}

static enum br_status read_begin(struct br_archive *archive, struct br_error *error) {
    char path[BR_ARCHIVE_PATH_SIZE + BR_SEGMENT_NAME_SIZE], text[BR_ARCHIVE_BEGIN_SIZE + 1] = "";
    snprintf(path, sizeof path, "%s/begin", archive->folder);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    archive->begin = archive->count != 0 && archive->segments[0].info.kind == BR_SEGMENT_IMPORT ? 1 : 0;
    if (fd < 0 && errno == ENOENT)
        return BR_OK;
    if (fd < 0)
        return br_error_set_native(error, BR_RETRY, errno, "can't read %s: %s", path, strerror(errno));
    ssize_t got = read(fd, text, BR_ARCHIVE_BEGIN_SIZE);
    close(fd);
    bool good = got == BR_ARCHIVE_BEGIN_SIZE && strspn(text, "0123456789") == BR_ARCHIVE_BEGIN_SIZE - 1 &&
                text[BR_ARCHIVE_BEGIN_SIZE - 1] == '\n';
    archive->begin = good ? strtoull(text, NULL, 10) : 0;
    if (archive->begin != 0)
        return BR_OK;
    return br_error_set(error, BR_FATAL,
                        "%s is damaged: it should hold the archive's first sequence as 20 digits; restore it from a "
                        "copy, or remove it if no segment is missing",
                        path);
}

enum br_status br_archive_open(const char *folder, struct br_archive **ret_archive, struct br_error *error) {
    struct br_archive *archive = br_calloc(1, sizeof *archive);
    snprintf(archive->folder, sizeof archive->folder, "%s", folder);
    DIR *dir = opendir(folder);
    enum br_status status = BR_OK;
    if (dir != NULL)
        status = list(archive, dir, error);
    else if (errno != ENOENT)
        status = br_error_set_native(error, BR_RETRY, errno, "can't read the archive %s: %s", folder, strerror(errno));
    if (dir != NULL)
        closedir(dir);
    if (status == BR_OK)
        status = read_begin(archive, error);
    if (status == BR_OK)
        *ret_archive = archive;
    else
        br_archive_close(&archive);
    return status;
}

void br_archive_close(struct br_archive **archive) {
    if (*archive == NULL)
        return;
    for (size_t i = 0; i < (*archive)->count; i++)
        free((*archive)->segments[i].damage);
    free((*archive)->segments);
    free((*archive)->superseded);
    free(*archive);
    *archive = NULL;
}

size_t br_archive_find(const struct br_archive *archive, uint64_t sequence) {
    size_t low = 0, high = archive->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (archive->segments[middle].info.to < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum br_status br_archive_check_begin(const struct br_archive *archive, uint64_t stream_first, struct br_error *error) {
    uint64_t from = archive->count == 0 ? UINT64_MAX : archive->segments[0].info.from;
    if (archive->begin == 0 || from <= archive->begin || (stream_first != 0 && stream_first <= archive->begin))
        return BR_OK;
    uint64_t to = stream_first != 0 && stream_first < from ? stream_first - 1 : from - 1;
    if (archive->count == 0 && stream_first == 0)
        return br_error_set(error, BR_FATAL,
                            "the archive %.600s began at sequence %" PRIu64
                            ", but holds nothing; restore its segments, or remove the file \"begin\" in it",
                            archive->folder, archive->begin);
    return br_error_set(error, BR_FATAL,
                        "sequences %" PRIu64 " to %" PRIu64
                        " are missing: the archive %.600s began with them; restore their segments, or write the "
                        "sequence that it begins at now into the file \"begin\" in it (20 digits)",
                        archive->begin, to, archive->folder);
}

enum br_status br_archive_open_segment(const struct br_archive *archive, size_t index,
                                       struct br_segment_reader **ret_reader, struct br_error *error) {
    char path[BR_ARCHIVE_PATH_SIZE + BR_SEGMENT_NAME_SIZE];
    snprintf(path, sizeof path, "%s/%s", archive->folder, archive->segments[index].name);
    return br_segment_open(path, ret_reader, error);
}

enum br_status br_archive_check_segment(const struct br_archive *archive, size_t index,
                                        const struct br_stream_info *stream, const char *filter,
                                        struct br_error *error) {
    const struct br_archive_segment *segment = &archive->segments[index];
    const struct br_segment_info *info = &segment->info;
    char subject[BR_SEGMENT_TEXT_SIZE];
    if (segment->damage != NULL)
        return br_error_set(error, BR_FATAL, "%.900s; restore it from a copy", segment->damage);
    if (stream == NULL || info->kind != BR_SEGMENT_STREAM)
        return BR_OK;
    bool renamed = strcmp(info->source, stream->name) != 0;
    if (renamed || info->created.us != stream->created.us)
        return br_error_set(error, BR_FATAL,
                            "the archive %.500s is not of stream %.100s as it is now: it holds messages of %s%.100s, "
                            "whose sequences mean other messages; move the archive away, or restore the stream",
                            archive->folder, stream->name, renamed ? "" : "an earlier stream ", info->source);
    snprintf(subject, sizeof subject, "%s", filter);
    if (strcmp(info->subject, subject) == 0)
        return BR_OK;
    return br_error_set(error, BR_FATAL,
                        "the archive %.500s holds messages of '%.100s', but the table's subject is '%.100s' now; move "
                        "the archive away, or give the table back its subject",
                        archive->folder, info->subject, filter);
}

// --- checking

struct checking {
    void (*tell)(void *context, const char *fault);
    void *context;
    struct br_archive_check *check;
};

static void tell_fault(const struct checking *checking, const char *fault) {
    checking->check->faults++;
    checking->tell(checking->context, fault);
}

static enum br_status check_segment(const struct br_archive *archive, size_t index, struct br_block *block,
                                    const struct checking *checking, struct br_error *error) {
    const struct br_archive_segment *segment = &archive->segments[index];
    struct br_archive_check *check = checking->check;
    check->segments++;
    if (segment->damage != NULL) {
        tell_fault(checking, segment->damage);
        return BR_OK;
    }
    struct br_segment_reader *reader = NULL;
    enum br_status status = br_archive_open_segment(archive, index, &reader, error);
    for (bool found = true; status == BR_OK && found;)
        status = br_segment_next(reader, block, &found, error);
    br_segment_close(&reader);
    if (status == BR_RETRY)
        return status;
    if (status != BR_OK) {
        tell_fault(checking, error->message);
        return BR_OK;
    }
    check->messages += segment->info.messages;
    check->payload_bytes += segment->info.payload_bytes;
    check->file_bytes += segment->info.file_bytes;
    return BR_OK;
}

static void check_neighbours(const struct br_archive *archive, size_t index, const struct checking *checking) {
    const struct br_archive_segment *before = &archive->segments[index - 1], *after = &archive->segments[index];
    char fault[BR_ERROR_MESSAGE_SIZE];
    if (before->info.to + 1 < after->info.from) {
        snprintf(fault, sizeof fault,
                 "sequences %" PRIu64 " to %" PRIu64 " are missing: between %.46s and %.46s in %.600s",
                 before->info.to + 1, after->info.from - 1, before->name, after->name, archive->folder);
        tell_fault(checking, fault);
    } else if (before->info.to >= after->info.from) {
        snprintf(fault, sizeof fault, "segments %.46s and %.46s overlap in %.600s", before->name, after->name,
                 archive->folder);
        tell_fault(checking, fault);
    }
    if (before->damage == NULL && after->damage == NULL && before->info.kind == BR_SEGMENT_STREAM &&
        (before->info.created.us != after->info.created.us || strcmp(before->info.source, after->info.source) != 0 ||
         strcmp(before->info.subject, after->info.subject) != 0)) {
        snprintf(fault, sizeof fault, "segments %.46s and %.46s in %.600s are of different streams", before->name,
                 after->name, archive->folder);
        tell_fault(checking, fault);
    }
}

enum br_status br_archive_verify(const struct br_archive *archive, void (*tell)(void *context, const char *fault),
                                 void *context, struct br_archive_check *ret_check, struct br_error *error) {
    struct br_archive_check check = {0};
    struct checking checking = {tell, context, &check};
    struct br_block block = {0};
    enum br_status status = BR_OK;
    if (br_archive_check_begin(archive, 0, error) != BR_OK)
        tell_fault(&checking, error->message);
    for (size_t i = 0; i < archive->count && status == BR_OK; i++) {
        if (i != 0)
            check_neighbours(archive, i, &checking);
        status = check_segment(archive, i, &block, &checking, error);
    }
    br_block_free(&block);
    if (status == BR_OK)
        *ret_check = check;
    return status;
}
