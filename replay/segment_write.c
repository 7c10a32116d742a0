// SPDX-License-Identifier: Apache-2.0
// Writing a segment. See segment.h.
#include "replay/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>
#include <xxhash.h>

#define BLOCK_BYTES ((size_t)512 << 10) // of messages, before compression
#define PATH_SIZE 4096

struct br_segment_writer {
    char folder[PATH_SIZE], path[PATH_SIZE + BR_SEGMENT_NAME_SIZE];
    int fd;
    struct br_segment_info info;
    uint8_t sync[BR_AVRO_SYNC_BYTES];
    size_t header_size;
    struct br_block_builder *builder;
    struct br_avro_codec *codec;
    struct br_buffer record, block;
    struct br_marks marks;
    XXH3_state_t *hash;
};

void br_segment_name(uint64_t from, uint64_t to, char name[BR_SEGMENT_NAME_SIZE]) {
    snprintf(name, BR_SEGMENT_NAME_SIZE, "%020" PRIu64 "-%020" PRIu64 ".avro", from, to);
}

bool br_segment_parse_name(const char *name, uint64_t *ret_from, uint64_t *ret_to) {
    char again[BR_SEGMENT_NAME_SIZE];
    uint64_t from, to;
    if (strlen(name) != 46 || sscanf(name, "%20" SCNu64 "-%20" SCNu64 ".avro", &from, &to) != 2)
        return false;
    br_segment_name(from, to, again);
    if (strcmp(name, again) != 0 || from == 0 || from > to)
        return false;
    *ret_from = from;
    *ret_to = to;
    return true;
}

static enum br_status disk_error(const char *what, const char *path, struct br_error *error) {
    return br_error_set_native(error, BR_RETRY, errno, "can't %s %s: %s", what, path, strerror(errno));
}

enum br_status br_segment_sync_folder(const char *folder, struct br_error *error) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return disk_error("open", folder, error);
    bool good = fsync(fd) == 0;
    enum br_status status = good ? BR_OK : disk_error("sync", folder, error);
    close(fd);
    return status;
}

static enum br_status write_at(struct br_segment_writer *writer, struct br_slice bytes, uint64_t offset,
                               struct br_error *error) {
    while (bytes.len != 0) {
        ssize_t wrote = pwrite(writer->fd, bytes.ptr, bytes.len, (off_t)offset);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return disk_error("write to", writer->path, error);
        bytes = (struct br_slice){bytes.ptr + wrote, bytes.len - (size_t)wrote};
        offset += (uint64_t)wrote;
    }
    return BR_OK;
}

enum br_status br_segment_create(const char *folder, const struct br_segment_info *identity, bool framed,
                                 const struct br_message_type *message, struct br_segment_writer **ret_writer,
                                 struct br_error *error) {
    struct br_segment_writer *writer = br_calloc(1, sizeof *writer);
    writer->info = *identity;
    BR_CHECK(getrandom(writer->sync, sizeof writer->sync, 0) == (ssize_t)sizeof writer->sync);
    snprintf(writer->folder, sizeof writer->folder, "%s", folder);
    snprintf(writer->path, sizeof writer->path, "%s/.new-%016" PRIx64, writer->folder, br_be64_get(writer->sync));
    writer->builder = br_block_builder_create(framed, message);
    writer->codec = br_avro_codec_create();
    writer->hash = XXH3_createState();
    BR_CHECK(writer->hash != NULL);
    XXH3_64bits_reset(writer->hash);
    br_segment_put_header(&writer->info, writer->sync, &writer->block);
    writer->header_size = writer->block.len;
    writer->info.file_bytes = writer->header_size;
    writer->fd = open(writer->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    enum br_status status = writer->fd < 0 ? disk_error("make", writer->path, error)
                                           : write_at(writer, br_buffer_slice(&writer->block), 0, error);
    if (status == BR_OK)
        *ret_writer = writer;
    else
        br_segment_abandon(&writer);
    return status;
}

static void destroy(struct br_segment_writer **writer) {
    if ((*writer)->fd >= 0)
        close((*writer)->fd);
    br_block_builder_destroy(&(*writer)->builder);
    br_avro_codec_destroy(&(*writer)->codec);
    br_buffer_free(&(*writer)->record);
    br_buffer_free(&(*writer)->block);
    free((*writer)->marks.offsets);
    XXH3_freeState((*writer)->hash);
    free(*writer);
    *writer = NULL;
}

void br_segment_abandon(struct br_segment_writer **writer) {
    if (*writer == NULL)
        return;
    if ((*writer)->fd >= 0)
        unlink((*writer)->path);
    destroy(writer);
}

static enum br_status write_block(struct br_segment_writer *writer, struct br_error *error) {
    if (br_block_builder_count(writer->builder) == 0)
        return BR_OK;
    br_buffer_clear(&writer->record);
    br_buffer_clear(&writer->block);
    writer->marks.count = 0;
    br_block_builder_finish(writer->builder, &writer->record, &writer->marks);
    br_avro_put_block(writer->codec, br_buffer_slice(&writer->record), &writer->marks, writer->sync, &writer->block);
    BR_TRY(write_at(writer, br_buffer_slice(&writer->block), writer->info.file_bytes, error));
    XXH3_64bits_update(writer->hash, writer->block.ptr, writer->block.len);
    writer->info.file_bytes += writer->block.len;
    writer->info.blocks++;
    return BR_OK;
}

enum br_status br_segment_add(struct br_segment_writer *writer, const struct br_log_message *message,
                              struct br_error *error) {
    struct br_segment_info *info = &writer->info;
    BR_CHECK(message->sequence > info->last);
    br_block_builder_add(writer->builder, message);
    if (info->messages == 0) {
        info->first = message->sequence;
        info->first_time = info->last_time = message->timestamp;
    }
    info->last = message->sequence;
    if (message->timestamp.us < info->first_time.us)
        info->first_time = message->timestamp;
    if (message->timestamp.us > info->last_time.us)
        info->last_time = message->timestamp;
    info->messages++;
    info->payload_bytes += message->payload.len;
    return br_block_builder_bytes(writer->builder) >= BLOCK_BYTES ? write_block(writer, error) : BR_OK;
}

const struct br_segment_info *br_segment_so_far(const struct br_segment_writer *writer) {
    return &writer->info;
}

// S1
static enum br_status seal(struct br_segment_writer *writer, struct br_error *error) {
    char path[PATH_SIZE + BR_SEGMENT_NAME_SIZE], name[BR_SEGMENT_NAME_SIZE];
    BR_TRY(write_block(writer, error));
    writer->info.body_hash = XXH3_64bits_digest(writer->hash);
    br_buffer_clear(&writer->block);
    br_segment_put_header(&writer->info, writer->sync, &writer->block);
    BR_CHECK(writer->block.len == writer->header_size);
    BR_TRY(write_at(writer, br_buffer_slice(&writer->block), 0, error));
    if (fsync(writer->fd) != 0)
        return disk_error("sync", writer->path, error);
    br_segment_name(writer->info.from, writer->info.to, name);
    snprintf(path, sizeof path, "%s/%s", writer->folder, name);
    if (rename(writer->path, path) != 0)
        return disk_error("rename to", path, error);
    memcpy(writer->path, path, sizeof path); // after an error it goes under its new name
    return br_segment_sync_folder(writer->folder, error);
}

enum br_status br_segment_seal(struct br_segment_writer **writer, uint64_t from, uint64_t to,
                               struct br_segment_info *ret_info, struct br_error *error) {
    BR_CHECK(from != 0 && from <= to);
    BR_CHECK((*writer)->info.messages == 0 || ((*writer)->info.first >= from && (*writer)->info.last <= to));
    (*writer)->info.from = from;
    (*writer)->info.to = to;
    enum br_status status = seal(*writer, error);
    if (status != BR_OK) {
        br_segment_abandon(writer);
        return status;
    }
    *ret_info = (*writer)->info;
    destroy(writer);
    return BR_OK;
}
