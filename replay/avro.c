// SPDX-License-Identifier: Apache-2.0
// See avro.h.
#include "replay/avro.h"

#include <zstd.h>

#define COMPRESSION_LEVEL 3
#define FRAME_HEADER_BYTES_MIN 6
#define CHECKSUM_FLAG 4     // of a zstd frame header's first byte behind the magic number
#define OWN_BLOCK_BYTES 256 // a column shorter than this shares the next one's statistics
#define METADATA_ENTRIES_MAX 256

static const uint8_t magic[] = {'O', 'b', 'j', 1};

// --- the header

static void put_long(struct br_buffer *out, int64_t value) {
    br_buffer_append_varint(out, br_zigzag(value));
}

static void put_bytes(struct br_buffer *out, struct br_slice bytes) {
    put_long(out, (int64_t)bytes.len);
    br_buffer_append_slice(out, bytes);
}

void br_avro_put_header(const struct br_avro_entry *entries, size_t count, const uint8_t sync[BR_AVRO_SYNC_BYTES],
                        struct br_buffer *out) {
    br_buffer_append(out, magic, sizeof magic);
    put_long(out, (int64_t)count); // a map: blocks of entries, ended by an empty one
    for (size_t i = 0; i < count; i++) {
        put_bytes(out, entries[i].key);
        put_bytes(out, entries[i].value);
    }
    put_long(out, 0);
    br_buffer_append(out, sync, BR_AVRO_SYNC_BYTES);
}

static bool take_long(struct br_slice *rest, int64_t *ret_value) {
    uint64_t value;
    size_t size = br_varint_get(rest->ptr, rest->ptr + rest->len, &value);
    *rest = (struct br_slice){rest->ptr + size, rest->len - size};
    *ret_value = br_unzigzag(value);
    return size != 0;
}

static bool take_bytes(struct br_slice *rest, struct br_slice *ret_bytes) {
    int64_t len;
    if (!take_long(rest, &len) || len < 0 || (uint64_t)len > rest->len)
        return false;
    *ret_bytes = (struct br_slice){rest->ptr, (size_t)len};
    *rest = (struct br_slice){rest->ptr + len, rest->len - (size_t)len};
    return true;
}

static bool take_entries(struct br_slice *rest, struct br_avro_header *header) {
    for (;;) {
        int64_t count, bytes;
        if (!take_long(rest, &count))
            return false;
        if (count == 0)
            return true;
        if (count < -METADATA_ENTRIES_MAX || (count < 0 && !take_long(rest, &bytes)))
            return false;
        count = count < 0 ? -count : count;
        if ((uint64_t)count > METADATA_ENTRIES_MAX - header->count)
            return false;
        for (int64_t i = 0; i < count; i++) {
            struct br_avro_entry *entry = &header->entries[header->count++];
            if (!take_bytes(rest, &entry->key) || !take_bytes(rest, &entry->value))
                return false;
        }
    }
}

enum br_status br_avro_read_header(struct br_slice bytes, struct br_arena *arena, struct br_avro_header *ret_header,
                                   struct br_error *error) {
    struct br_avro_header header = {.entries = br_arena_array(arena, struct br_avro_entry, METADATA_ENTRIES_MAX)};
    if (bytes.len < sizeof magic || memcmp(bytes.ptr, magic, sizeof magic) != 0)
        return br_error_set(error, BR_DATA, "it is no Avro file, or its beginning is damaged");
    struct br_slice rest = {bytes.ptr + sizeof magic, bytes.len - sizeof magic};
    if (!take_entries(&rest, &header) || rest.len < BR_AVRO_SYNC_BYTES)
        return br_error_set(error, BR_DATA, "its header is damaged or cut short");
    memcpy(header.sync, rest.ptr, BR_AVRO_SYNC_BYTES);
    header.size = (size_t)(rest.ptr - bytes.ptr) + BR_AVRO_SYNC_BYTES;
    *ret_header = header;
    return BR_OK;
}

bool br_avro_find(const struct br_avro_header *header, const char *key, struct br_slice *ret_value) {
    for (size_t i = 0; i < header->count; i++) {
        if (br_slice_is(header->entries[i].key, key)) {
            *ret_value = header->entries[i].value;
            return true;
        }
    }
    return false;
}

// --- blocks

struct br_avro_codec {
    ZSTD_CCtx *compressor;
    ZSTD_DCtx *decompressor;
    struct br_buffer frame;
};

struct br_avro_codec *br_avro_codec_create(void) {
    struct br_avro_codec *codec = br_calloc(1, sizeof *codec);
    codec->compressor = ZSTD_createCCtx();
    codec->decompressor = ZSTD_createDCtx();
    BR_CHECK(codec->compressor != NULL && codec->decompressor != NULL);
    ZSTD_CCtx_setParameter(codec->compressor, ZSTD_c_compressionLevel, COMPRESSION_LEVEL);
    ZSTD_CCtx_setParameter(codec->compressor, ZSTD_c_checksumFlag, 1);
    return codec;
}

void br_avro_codec_destroy(struct br_avro_codec **codec) {
    if (*codec == NULL)
        return;
    ZSTD_freeCCtx((*codec)->compressor);
    ZSTD_freeDCtx((*codec)->decompressor);
    br_buffer_free(&(*codec)->frame);
    free(*codec);
    *codec = NULL;
}

static void compress(struct br_avro_codec *codec, ZSTD_outBuffer *out, struct br_slice bytes, bool last) {
    ZSTD_inBuffer in = {bytes.ptr, bytes.len, 0};
    size_t left = ZSTD_compressStream2(codec->compressor, out, &in, last ? ZSTD_e_end : ZSTD_e_flush);
    BR_CHECK(left == 0); // there was room for the worst
}

void br_avro_put_block(struct br_avro_codec *codec, struct br_slice record, const struct br_marks *marks,
                       const uint8_t sync[BR_AVRO_SYNC_BYTES], struct br_buffer *out) {
    BR_CHECK(record.len <= BR_AVRO_RECORD_BYTES_MAX);
    size_t room = ZSTD_compressBound(record.len) + (marks->count + 1) * 16;
    br_buffer_clear(&codec->frame);
    ZSTD_outBuffer frame = {br_buffer_reserve(&codec->frame, room), room, 0};
    ZSTD_CCtx_reset(codec->compressor, ZSTD_reset_session_only);
    ZSTD_CCtx_setPledgedSrcSize(codec->compressor, record.len);
    size_t at = 0;
    for (size_t i = 0; i < marks->count; i++) {
        BR_CHECK(marks->offsets[i] >= at && marks->offsets[i] <= record.len);
        if (marks->offsets[i] - at < OWN_BLOCK_BYTES)
            continue;
        compress(codec, &frame, (struct br_slice){record.ptr + at, marks->offsets[i] - at}, false);
        at = marks->offsets[i];
    }
    compress(codec, &frame, (struct br_slice){record.ptr + at, record.len - at}, true);
    put_long(out, 1);
    put_bytes(out, (struct br_slice){frame.dst, frame.pos});
    br_buffer_append(out, sync, BR_AVRO_SYNC_BYTES);
}

enum br_status br_avro_read_prefix(struct br_slice bytes, size_t *ret_prefix, uint64_t *ret_size,
                                   struct br_error *error) {
    struct br_slice rest = bytes;
    int64_t objects, size;
    if (!take_long(&rest, &objects) || !take_long(&rest, &size) || objects != 1 || size <= 0)
        return br_error_set(error, BR_DATA, "its beginning is damaged");
    *ret_prefix = bytes.len - rest.len;
    *ret_size = (uint64_t)size;
    return BR_OK;
}

enum br_status br_avro_read_data(struct br_avro_codec *codec, struct br_slice data, struct br_buffer *record,
                                 struct br_error *error) {
    br_buffer_clear(record);
    unsigned long long size = ZSTD_getFrameContentSize(data.ptr, data.len);
    if (data.len < FRAME_HEADER_BYTES_MIN || size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN ||
        size > BR_AVRO_RECORD_BYTES_MAX || (data.ptr[4] & CHECKSUM_FLAG) == 0 ||
        ZSTD_findFrameCompressedSize(data.ptr, data.len) != data.len)
        return br_error_set(error, BR_DATA, "its data is no whole zstd frame with a checksum");
    size_t got = ZSTD_decompressDCtx(codec->decompressor, br_buffer_reserve(record, (size_t)size + 1), (size_t)size,
                                     data.ptr, data.len);
    if (ZSTD_isError(got) || got != size)
        return br_error_set(error, BR_DATA, "its data is damaged (%s)",
                            ZSTD_isError(got) ? ZSTD_getErrorName(got) : "too short");
    record->len = got;
    return BR_OK;
}
