// SPDX-License-Identifier: Apache-2.0
// Reading a segment, and checking it on the way (S3). See segment.h.
#include "replay/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define READ_BYTES ((size_t)1 << 20)

struct br_segment_reader {
    char *path;
    int fd;
    struct br_segment_info info;
    uint8_t sync[BR_AVRO_SYNC_BYTES];
    struct br_avro_codec *codec;
    struct br_buffer bytes; // of the file: what was read and not used begins at `used`
    size_t used;
    uint64_t offset; // in the file, of what is read next
    XXH3_state_t *hash;
    struct br_segment_info seen; // messages, payload_bytes, blocks, last, times
};

static enum br_status damaged(const struct br_segment_reader *reader, struct br_error *error) {
    return br_error_context(error, "segment %s is damaged", reader->path);
}

static enum br_status damaged_block(const struct br_segment_reader *reader, struct br_error *error) {
    return br_error_context(error, "segment %s is damaged: block %" PRIu64 " (the messages after sequence %" PRIu64 ")",
                            reader->path, reader->seen.blocks + 1,
                            reader->seen.messages == 0 ? reader->info.from - 1 : reader->seen.last);
}

static size_t have(const struct br_segment_reader *reader) {
    return reader->bytes.len - reader->used;
}

// Reads until `size` bytes are there, or the file ends; up to `most` when it has to read at all.
static enum br_status fill(struct br_segment_reader *reader, size_t size, size_t most, struct br_error *error) {
    if (have(reader) >= size)
        return BR_OK;
    memmove(reader->bytes.ptr, reader->bytes.ptr + reader->used, have(reader));
    reader->bytes.len = have(reader);
    reader->used = 0;
    size_t wanted = size < most ? most : size;
    br_buffer_reserve(&reader->bytes, wanted - reader->bytes.len);
    while (reader->bytes.len < size) {
        ssize_t got =
            pread(reader->fd, reader->bytes.ptr + reader->bytes.len, wanted - reader->bytes.len, (off_t)reader->offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return br_error_set_native(error, BR_RETRY, errno, "can't read segment %s: %s", reader->path,
                                       strerror(errno));
        if (got == 0)
            break;
        reader->bytes.len += (size_t)got;
        reader->offset += (uint64_t)got;
    }
    return BR_OK;
}

static enum br_status read_header(struct br_segment_reader *reader, struct br_error *error) {
    size_t size;
    struct stat stat;
    br_buffer_reserve(&reader->bytes, BR_AVRO_HEADER_BYTES_MAX);
    BR_TRY(fill(reader, BR_AVRO_HEADER_BYTES_MAX, BR_AVRO_HEADER_BYTES_MAX, error));
    if (br_segment_read_header(br_buffer_slice(&reader->bytes), &reader->info, reader->sync, &size, error) != BR_OK)
        return damaged(reader, error);
    reader->used = size;
    if (fstat(reader->fd, &stat) == 0 && (uint64_t)stat.st_size != reader->info.file_bytes) {
        br_error_set(error, BR_DATA, "it has %lld bytes and was written with %" PRIu64, (long long)stat.st_size,
                     reader->info.file_bytes);
        return damaged(reader, error);
    }
    return BR_OK;
}

enum br_status br_segment_open(const char *path, struct br_segment_reader **ret_reader, struct br_error *error) {
    struct stat stat;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); // a FIFO of this name would keep us waiting
    if (fd < 0)
        return br_error_set_native(error, errno == ENOENT ? BR_FATAL : BR_RETRY, errno, "can't open segment %s: %s",
                                   path, strerror(errno));
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
        close(fd);
        return br_error_set(error, BR_DATA, "segment %s is damaged: it is no regular file", path);
    }
    struct br_segment_reader *reader = br_calloc(1, sizeof *reader);
    reader->path = br_strdup(path);
    reader->fd = fd;
    enum br_status status = read_header(reader, error);
    if (status == BR_OK)
        *ret_reader = reader;
    else
        br_segment_close(&reader);
    return status;
}

enum br_status br_segment_look(const char *path, struct br_segment_info *ret_info, struct br_error *error) {
    struct br_segment_reader *reader;
    BR_TRY(br_segment_open(path, &reader, error));
    *ret_info = reader->info;
    br_segment_close(&reader);
    return BR_OK;
}

void br_segment_close(struct br_segment_reader **reader) {
    if (*reader == NULL)
        return;
    close((*reader)->fd);
    br_avro_codec_destroy(&(*reader)->codec);
    br_buffer_free(&(*reader)->bytes);
    XXH3_freeState((*reader)->hash);
    free((*reader)->path);
    free(*reader);
    *reader = NULL;
}

const struct br_segment_info *br_segment_info(const struct br_segment_reader *reader) {
    return &reader->info;
}

static enum br_status check_end(struct br_segment_reader *reader, struct br_error *error) {
    const struct br_segment_info *info = &reader->info, *seen = &reader->seen;
    const char *fault = NULL;
    if (seen->blocks != info->blocks || seen->messages != info->messages ||
        seen->payload_bytes != info->payload_bytes || seen->first != info->first || seen->last != info->last)
        fault = "it doesn't hold the messages that its header tells of";
    else if (seen->first_time.us != info->first_time.us || seen->last_time.us != info->last_time.us)
        fault = "its messages' times are not those that its header tells of";
    else if (XXH3_64bits_digest(reader->hash) != info->body_hash)
        fault = "the checksum of its blocks differs";
    if (fault == NULL)
        return BR_OK;
    br_error_set(error, BR_DATA, "%s", fault);
    return damaged(reader, error);
}

static enum br_status check_messages(struct br_segment_reader *reader, const struct br_block *block,
                                     struct br_error *error) {
    struct br_segment_info *seen = &reader->seen;
    if (block->count == 0)
        return br_error_set(error, BR_DATA, "it is empty");
    const struct br_log_message *first = &block->messages[0], *last = &block->messages[block->count - 1];
    // Within a block sequences ascend: the columns can't say anything else.
    if (first->sequence < reader->info.from || last->sequence > reader->info.to ||
        (seen->messages != 0 && first->sequence <= seen->last))
        return br_error_set(error, BR_DATA, "its sequences %" PRIu64 " to %" PRIu64 " are not those that belong there",
                            first->sequence, last->sequence);
    if (seen->messages == 0) {
        seen->first = first->sequence;
        seen->first_time = seen->last_time = first->timestamp;
    }
    for (size_t i = 0; i < block->count; i++) {
        int64_t at_us = block->messages[i].timestamp.us;
        seen->first_time.us = at_us < seen->first_time.us ? at_us : seen->first_time.us;
        seen->last_time.us = at_us > seen->last_time.us ? at_us : seen->last_time.us;
    }
    seen->last = last->sequence;
    seen->messages += block->count;
    seen->payload_bytes += block->payload_bytes;
    return BR_OK;
}

// Everything of a block; reader->used stands at its beginning.
static enum br_status read_block(struct br_segment_reader *reader, struct br_block *block, struct br_error *error) {
    size_t prefix;
    uint64_t size;
    struct br_slice start = {reader->bytes.ptr + reader->used, have(reader)};
    start.len = start.len > BR_AVRO_PREFIX_BYTES_MAX ? BR_AVRO_PREFIX_BYTES_MAX : start.len;
    BR_TRY(br_avro_read_prefix(start, &prefix, &size, error));
    if (size > reader->info.file_bytes)
        return br_error_set(error, BR_DATA, "it is longer than the file");
    size_t whole = prefix + (size_t)size + BR_AVRO_SYNC_BYTES;
    BR_TRY(fill(reader, whole, READ_BYTES, error));
    if (have(reader) < whole)
        return br_error_set(error, BR_DATA, "it is cut short");
    const uint8_t *at = reader->bytes.ptr + reader->used;
    if (memcmp(at + prefix + size, reader->sync, BR_AVRO_SYNC_BYTES) != 0)
        return br_error_set(error, BR_DATA, "the marker behind it is not there");
    BR_TRY(br_avro_read_data(reader->codec, (struct br_slice){at + prefix, (size_t)size}, &block->record, error));
    BR_TRY(br_block_decode(block, error));
    BR_TRY(check_messages(reader, block, error));
    XXH3_64bits_update(reader->hash, at, whole);
    reader->used += whole;
    return BR_OK;
}

enum br_status br_segment_next(struct br_segment_reader *reader, struct br_block *block, bool *ret_found,
                               struct br_error *error) {
    if (reader->codec == NULL) { // the first block
        reader->codec = br_avro_codec_create();
        reader->hash = XXH3_createState();
        BR_CHECK(reader->hash != NULL);
        XXH3_64bits_reset(reader->hash);
    }
    BR_TRY(fill(reader, BR_AVRO_PREFIX_BYTES_MAX, READ_BYTES, error));
    *ret_found = have(reader) != 0;
    if (!*ret_found)
        return check_end(reader, error);
    enum br_status status = read_block(reader, block, error);
    if (status == BR_DATA)
        return damaged_block(reader, error);
    reader->seen.blocks += status == BR_OK;
    return status;
}
