// SPDX-License-Identifier: Apache-2.0
// A temporary folder for a test, and messages to fill segments with.
#ifndef BR_TESTS_UNIT_REPLAY_FOLDER_H
#define BR_TESTS_UNIT_REPLAY_FOLDER_H

#include "replay/archive.h"

#include <stdio.h>

#define FOLDER_START_US INT64_C(1767225600000000)

// Made anew each time; removed by folder_remove.
static inline const char *folder_make(char folder[64]) {
    strcpy(folder, "/tmp/braid-unit-XXXXXX");
    BR_CHECK(mkdtemp(folder) != NULL);
    return folder;
}

static inline void folder_remove(const char *folder) {
    char command[BR_ARCHIVE_PATH_SIZE + 16];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    BR_CHECK(system(command) == 0);
}

// The message with this sequence; its payload is a protobuf of one varint and one string.
static inline struct br_log_message folder_message(uint64_t sequence, uint8_t payload[32]) {
    size_t len = 0;
    payload[len++] = 0x08;
    len += br_varint_put(payload + len, sequence * 7919);
    payload[len++] = 0x12;
    payload[len++] = 5;
    for (int i = 0; i < 5; i++)
        payload[len++] = (uint8_t)('a' + (sequence * 31 + (uint64_t)i * 7) % 26);
    return (struct br_log_message){.subject = br_slice_of(sequence % 3 == 0 ? "in.a" : "in.b"),
                                   .payload = {payload, len},
                                   .sequence = sequence,
                                   .timestamp = {FOLDER_START_US + (int64_t)sequence * 1000}};
}

static inline struct br_segment_info folder_identity(enum br_segment_kind kind) {
    struct br_segment_info info = {.kind = kind, .created = {FOLDER_START_US - 1}};
    strcpy(info.pipeline, "p");
    strcpy(info.table, "t");
    strcpy(info.source, "IN");
    strcpy(info.subject, "in.>");
    return info;
}

// A segment that covers from … to and holds every message of it whose sequence `step` divides.
static inline void folder_segment(const char *folder, const struct br_segment_info *identity, uint64_t from,
                                  uint64_t to, uint64_t step) {
    struct br_segment_writer *writer;
    struct br_segment_info info;
    struct br_error error;
    uint8_t payload[32];
    BR_CHECK(br_segment_create(folder, identity, false, NULL, &writer, &error) == BR_OK);
    for (uint64_t sequence = from; sequence <= to; sequence++) {
        struct br_log_message message = folder_message(sequence, payload);
        if (sequence % step == 0)
            BR_CHECK(br_segment_add(writer, &message, &error) == BR_OK);
    }
    BR_CHECK(br_segment_seal(&writer, from, to, &info, &error) == BR_OK);
}

#endif
