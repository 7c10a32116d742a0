// SPDX-License-Identifier: Apache-2.0
// A message type, some of its paths as columns, a decoder, an encoder and a batch: what the decode and encode tests
// work on.
#ifndef BR_TESTS_CODEC_ROWS_H
#define BR_TESTS_CODEC_ROWS_H

#include "helpers.h"
#include "processor/codec/decode.h"
#include "processor/codec/encode.h"
#include "processor/expr/numeric.h"

#define ROW_COLUMNS_MAX 48
struct rows {
    struct br_descriptors *descriptors;
    struct br_arena *arena;
    struct br_batch *batch;
    struct br_decoder *decoder;
    uint32_t count;
    const char *paths[ROW_COLUMNS_MAX];
    enum br_type types[ROW_COLUMNS_MAX];
    struct br_error error;
    struct br_buffer wire; // the message under construction
};

// columns: pairs of path and type, ended by NULL.
struct column_spec {
    const char *path;
    enum br_type type;
};
static inline struct rows rows_of(const char *message, const struct column_spec *columns) {
    struct rows rows = {.descriptors = everything(), .arena = br_arena_create()};
    for (; columns[rows.count].path != NULL; rows.count++) {
        rows.paths[rows.count] = columns[rows.count].path;
        rows.types[rows.count] = columns[rows.count].type;
    }
    const struct br_message_type *type = br_descriptors_find(rows.descriptors, message);
    cr_assert_not_null(type);
    enum br_status status =
        br_decoder_create(type, rows.paths, rows.types, NULL, rows.count, &rows.decoder, &rows.error);
    cr_assert_eq(status, BR_OK, "%s", rows.error.message);
    rows.batch = br_batch_create(rows.arena, rows.types, NULL, rows.count);
    return rows;
}
#define ROWS(message, ...) rows_of("test." message, (const struct column_spec[]){__VA_ARGS__, {NULL, BR_UNKNOWN}})
static inline void rows_end(struct rows *rows) {
    br_buffer_free(&rows->wire);
    br_decoder_destroy(&rows->decoder);
    br_descriptors_destroy(&rows->descriptors);
    br_arena_destroy(&rows->arena);
}
// Decodes wire from a block of just its size, so that a sanitizer sees every read past the end.
static inline enum br_status rows_decode(struct rows *rows) {
    struct br_slice copy = {br_alloc(rows->wire.len + (rows->wire.len == 0)), rows->wire.len};
    if (copy.len != 0)
        memcpy((void *)(uintptr_t)copy.ptr, rows->wire.ptr, copy.len);
    enum br_status status = br_decoder_decode(rows->decoder, copy, rows->batch, 3, rows->arena, &rows->error);
    // Texts point into the block: keep a copy of them in the arena.
    for (uint32_t i = 0; status == BR_OK && i < rows->count; i++)
        if ((rows->types[i] == BR_TEXT || rows->types[i] == BR_BYTEA) &&
            !br_column_is_null(&rows->batch->columns[i], 3)) {
            struct br_slice *place = (struct br_slice *)rows->batch->columns[i].values + 3;
            *place = br_arena_copy(rows->arena, *place);
        }
    free((void *)(uintptr_t)copy.ptr);
    rows->batch->row_count = 4;
    return status;
}
// The values of row 3 as SQL text, NULL as "NULL", joined by "|".
static inline const char *rows_text(const struct rows *rows) {
    struct br_buffer text = {0};
    for (uint32_t i = 0; i < rows->count; i++) {
        if (i != 0)
            br_buffer_append_byte(&text, '|');
        struct br_value value = br_column_get(&rows->batch->columns[i], 3);
        if (value.is_null)
            br_buffer_append_text(&text, "NULL");
        else
            br_value_print(&value, &text);
    }
    const char *copy = br_arena_printf(rows->arena, "%.*s", (int)text.len, (const char *)text.ptr);
    br_buffer_free(&text);
    return copy;
}
#define cr_assert_row(rows, text)                                                                                      \
    do {                                                                                                               \
        enum br_status row_status = rows_decode(rows);                                                                 \
        cr_assert_eq(row_status, BR_OK, "%s", (rows)->error.message);                                                  \
        cr_assert_str_eq(rows_text(rows), (text));                                                                     \
        br_buffer_clear(&(rows)->wire);                                                                                \
    } while (0)
#define cr_assert_bad(rows, part)                                                                                      \
    do {                                                                                                               \
        (rows)->error.message[0] = '\0';                                                                               \
        cr_assert_eq(rows_decode(rows), BR_DATA, "%s", (part));                                                        \
        cr_assert_contains((rows)->error.message, (part));                                                             \
        br_buffer_clear(&(rows)->wire);                                                                                \
    } while (0)

static inline struct br_buffer seconds_nanos(int64_t seconds, int64_t nanos) {
    struct br_buffer message = {0};
    if (seconds != 0)
        put_varint(&message, 1, (uint64_t)seconds);
    if (nanos != 0)
        put_varint(&message, 2, (uint64_t)nanos);
    return message;
}
static inline void put_seconds(struct br_buffer *out, uint32_t number, int64_t seconds, int64_t nanos) {
    struct br_buffer message = seconds_nanos(seconds, nanos);
    put_message(out, number, &message);
}

#endif
