// SPDX-License-Identifier: Apache-2.0
// A segment's metadata to header bytes and back. Numbers have a fixed width, so that the header that is written when
// the segment is sealed takes the place of the one that it was begun with.
#include "replay/segment.h"

#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>

#define SCHEMA                                                                                                         \
    "{\"type\":\"record\",\"name\":\"Block\",\"namespace\":\"braid.archive.v1\",\"fields\":["                          \
    "{\"name\":\"messages\",\"type\":\"long\"},{\"name\":\"payload_bytes\",\"type\":\"long\"},"                        \
    "{\"name\":\"columns\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"Column\","           \
    "\"fields\":[{\"name\":\"name\",\"type\":\"string\"},{\"name\":\"data\",\"type\":\"bytes\"}]}}}]}"
#define CODEC "zstandard"
#define FORMAT "1"
#define CHECKSUM_KEY "braid.header_xxh3"
#define NUMBER_DIGITS 20
#define HASH_DIGITS 16
#define ENTRIES 24

static const char *const kind_names[] = {"stream", "import"};

struct number {
    const char *key;
    size_t offset; // in struct br_segment_info
    bool is_hash, is_signed;
};
#define NUMBER(key, member)                                                                                            \
    { key, offsetof(struct br_segment_info, member), false, false }
#define TIME(key, member)                                                                                              \
    { key, offsetof(struct br_segment_info, member), false, true }
#define HASH(key, member)                                                                                              \
    { key, offsetof(struct br_segment_info, member), true, false }
static const struct number numbers[] = {
    HASH("braid.source_xxh3", source_hash),
    TIME("braid.created_us", created.us),
    NUMBER("braid.from", from),
    NUMBER("braid.to", to),
    NUMBER("braid.messages", messages),
    NUMBER("braid.first", first),
    NUMBER("braid.last", last),
    TIME("braid.first_time_us", first_time.us),
    TIME("braid.last_time_us", last_time.us),
    NUMBER("braid.payload_bytes", payload_bytes),
    NUMBER("braid.file_bytes", file_bytes),
    NUMBER("braid.blocks", blocks),
    HASH("braid.body_xxh3", body_hash),
};
#define NUMBER_COUNT (sizeof numbers / sizeof numbers[0])

void br_segment_put_header(const struct br_segment_info *info, const uint8_t sync[BR_AVRO_SYNC_BYTES],
                           struct br_buffer *out) {
    char texts[NUMBER_COUNT][NUMBER_DIGITS + 2];
    struct br_avro_entry entries[ENTRIES];
    size_t count = 0, begin = out->len;
#define PUT(name, text) entries[count++] = (struct br_avro_entry){br_slice_of(name), br_slice_of(text)}
    PUT("avro.schema", SCHEMA);
    PUT("avro.codec", CODEC);
    PUT("braid.format", FORMAT);
    PUT("braid.kind", kind_names[info->kind]);
    PUT("braid.pipeline", info->pipeline);
    PUT("braid.table", info->table);
    PUT("braid.source", info->source);
    PUT("braid.subject", info->subject);
    for (size_t i = 0; i < NUMBER_COUNT; i++) {
        uint64_t value;
        memcpy(&value, (const uint8_t *)info + numbers[i].offset, sizeof value);
        if (numbers[i].is_hash)
            snprintf(texts[i], sizeof texts[i], "%016" PRIx64, value);
        else if (numbers[i].is_signed)
            snprintf(texts[i], sizeof texts[i], "%0*" PRId64, NUMBER_DIGITS, (int64_t)value);
        else
            snprintf(texts[i], sizeof texts[i], "%0*" PRIu64, NUMBER_DIGITS, value);
        PUT(numbers[i].key, texts[i]);
    }
    PUT(CHECKSUM_KEY, "0000000000000000"); // the last: its place is known
#undef PUT
    BR_CHECK(count <= ENTRIES);
    br_avro_put_header(entries, count, sync, out);
    char hash[HASH_DIGITS + 1];
    snprintf(hash, sizeof hash, "%016" PRIx64, XXH3_64bits(out->ptr + begin, out->len - begin));
    memcpy(out->ptr + out->len - BR_AVRO_SYNC_BYTES - 1 - HASH_DIGITS, hash, HASH_DIGITS);
}

static bool check_hash(struct br_slice bytes, const struct br_avro_header *header) {
    if (header->count == 0)
        return false;
    const struct br_avro_entry *last = &header->entries[header->count - 1];
    if (!br_slice_is(last->key, CHECKSUM_KEY) || last->value.len != HASH_DIGITS)
        return false;
    size_t at = (size_t)(last->value.ptr - bytes.ptr);
    XXH3_state_t *state = XXH3_createState();
    BR_CHECK(state != NULL);
    XXH3_64bits_reset(state);
    XXH3_64bits_update(state, bytes.ptr, at);
    XXH3_64bits_update(state, "0000000000000000", HASH_DIGITS);
    XXH3_64bits_update(state, bytes.ptr + at + HASH_DIGITS, header->size - at - HASH_DIGITS);
    char hash[HASH_DIGITS + 1];
    snprintf(hash, sizeof hash, "%016" PRIx64, XXH3_64bits_digest(state));
    XXH3_freeState(state);
    return br_slice_is(last->value, hash);
}

static bool read_text(const struct br_avro_header *header, const char *key, char text[BR_SEGMENT_TEXT_SIZE]) {
    struct br_slice value;
    if (!br_avro_find(header, key, &value) || value.len >= BR_SEGMENT_TEXT_SIZE ||
        (value.len != 0 && memchr(value.ptr, '\0', value.len) != NULL))
        return false;
    if (value.len != 0)
        memcpy(text, value.ptr, value.len);
    text[value.len] = '\0';
    return true;
}

static bool read_number(const struct br_avro_header *header, const struct number *number, void *info) {
    char text[BR_SEGMENT_TEXT_SIZE], *end;
    if (!read_text(header, number->key, text) || strlen(text) != (number->is_hash ? HASH_DIGITS : NUMBER_DIGITS))
        return false;
    uint64_t value =
        number->is_signed ? (uint64_t)strtoll(text, &end, 10) : strtoull(text, &end, number->is_hash ? 16 : 10);
    memcpy((uint8_t *)info + number->offset, &value, sizeof value);
    return *end == '\0';
}

static bool has(const struct br_avro_header *header, const char *key, const char *wanted) {
    struct br_slice value;
    return br_avro_find(header, key, &value) && br_slice_is(value, wanted);
}

static bool is_sane(const struct br_segment_info *info) {
    if (info->from == 0 || info->from > info->to)
        return false;
    if (info->messages == 0)
        return info->first == 0 && info->last == 0 && info->blocks == 0 && info->payload_bytes == 0;
    return info->first >= info->from && info->first <= info->last && info->last <= info->to &&
           info->messages - 1 <= info->last - info->first && info->blocks != 0;
}

enum br_status br_segment_read_header(struct br_slice bytes, struct br_segment_info *ret_info,
                                      uint8_t ret_sync[BR_AVRO_SYNC_BYTES], size_t *ret_size, struct br_error *error) {
    struct br_arena *arena = br_arena_create();
    struct br_avro_header header;
    struct br_segment_info info = {0};
    enum br_status status = br_avro_read_header(bytes, arena, &header, error);
    if (status == BR_OK && !check_hash(bytes, &header))
        status = br_error_set(error, BR_DATA, "its header is damaged (the checksum differs), or it is no segment");
    if (status == BR_OK && (!has(&header, "braid.format", FORMAT) || !has(&header, "avro.schema", SCHEMA) ||
                            !has(&header, "avro.codec", CODEC)))
        status = br_error_set(error, BR_DATA, "it is a segment of another format than " FORMAT);
    bool good = status == BR_OK && read_text(&header, "braid.pipeline", info.pipeline) &&
                read_text(&header, "braid.table", info.table) && read_text(&header, "braid.source", info.source) &&
                read_text(&header, "braid.subject", info.subject);
    for (size_t i = 0; i < NUMBER_COUNT && good; i++)
        good = read_number(&header, &numbers[i], &info);
    info.kind =
        good && has(&header, "braid.kind", kind_names[BR_SEGMENT_IMPORT]) ? BR_SEGMENT_IMPORT : BR_SEGMENT_STREAM;
    if (status == BR_OK && (!good || !has(&header, "braid.kind", kind_names[info.kind]) || !is_sane(&info)))
        status = br_error_set(error, BR_DATA, "its header lacks something, or doesn't fit together");
    if (status == BR_OK) {
        *ret_info = info;
        memcpy(ret_sync, header.sync, BR_AVRO_SYNC_BYTES);
        *ret_size = header.size;
    }
    br_arena_destroy(&arena);
    return status;
}
