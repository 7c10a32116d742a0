// SPDX-License-Identifier: Apache-2.0
// Any bytes as a message: the decoder refuses them or decodes a row; a row that was decoded encodes (unless two members
// of a oneof… which a decoded row never has) to bytes that decode to the same row, and encoding that again gives the
// same bytes. The first byte chooses between single, delimited and packed.
#include "processor/codec/decode.h"
#include "processor/codec/encode.h"
#include "tests/unit/codec/everything_set.h"

#define COLUMNS 36
static const char *const paths[COLUMNS] = {"a_double",
                                           "a_float",
                                           "an_int64",
                                           "a_uint64",
                                           "an_int32",
                                           "a_fixed64",
                                           "a_fixed32",
                                           "a_bool",
                                           "a_string",
                                           "a_bytes",
                                           "a_uint32",
                                           "a_color",
                                           "an_sfixed32",
                                           "an_sfixed64",
                                           "an_sint32",
                                           "an_sint64",
                                           "maybe_int64",
                                           "maybe_string",
                                           "at",
                                           "took",
                                           "wrapped_string",
                                           "wrapped_bool",
                                           "inner.name",
                                           "inner.rank",
                                           "inner.deep.kind",
                                           "left",
                                           "right",
                                           "both.rank",
                                           "both.name",
                                           "far",
                                           "legacy.id",
                                           "legacy.part.name",
                                           "legacy.part.sub.deep",
                                           "legacy.size",
                                           "self.a_string",
                                           "self.an_int64"};
static const enum br_type types[COLUMNS] = {
    BR_DOUBLE,      BR_DOUBLE,   BR_BIGINT, BR_NUMERIC, BR_INTEGER, BR_NUMERIC, BR_BIGINT, BR_BOOLEAN, BR_TEXT,
    BR_BYTEA,       BR_BIGINT,   BR_TEXT,   BR_INTEGER, BR_BIGINT,  BR_INTEGER, BR_BIGINT, BR_BIGINT,  BR_NUMERIC,
    BR_TIMESTAMPTZ, BR_INTERVAL, BR_TEXT,   BR_BOOLEAN, BR_TEXT,    BR_INTEGER, BR_TEXT,   BR_TEXT,    BR_INTEGER,
    BR_INTEGER,     BR_TEXT,     BR_TEXT,   BR_BIGINT,  BR_TEXT,    BR_BOOLEAN, BR_TEXT,   BR_DATE,    BR_TIMESTAMPTZ};

static struct br_descriptors *descriptors;
static struct br_decoder *decoder;
static struct br_encoder *encoder;
static struct br_arena *arena;

static void set_up(void) {
    struct br_slice set = {everything_set, sizeof everything_set};
    arena = br_arena_create();
    descriptors = br_descriptors_create();
    BR_CHECK(br_descriptors_add_set(descriptors, set, "everything.pb", NULL) == BR_OK);
    const struct br_message_type *message = br_descriptors_find(descriptors, "test.v1.Everything");
    BR_CHECK(br_decoder_create(message, paths, types, NULL, COLUMNS, &decoder, NULL) == BR_OK);
    BR_CHECK(br_encoder_create(message, paths, types, COLUMNS, &encoder, NULL) == BR_OK);
}

static void one_message(struct br_slice bytes) {
    struct br_error error;
    struct br_batch *batch = br_batch_create(arena, types, NULL, COLUMNS);
    struct br_buffer first = {0}, second = {0};
    batch->row_count = 2;
    if (br_decoder_decode(decoder, bytes, batch, 0, arena, &error) == BR_OK) {
        BR_CHECK(br_encoder_encode(encoder, batch, 0, &first, &error) == BR_OK);
        BR_CHECK(br_decoder_decode(decoder, br_buffer_slice(&first), batch, 1, arena, &error) == BR_OK);
        BR_CHECK(br_encoder_encode(encoder, batch, 1, &second, &error) == BR_OK);
        BR_CHECK(br_slice_equal(br_buffer_slice(&first), br_buffer_slice(&second)));
    }
    br_buffer_free(&first);
    br_buffer_free(&second);
}

static void all_packed(struct br_slice bytes) {
    struct br_packed_reader reader;
    struct br_slice message;
    char op;
    if (br_packed_open(bytes, &reader, NULL) != BR_OK)
        return;
    while (br_packed_next(&reader, &op, &message))
        one_message(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (arena == NULL)
        set_up();
    if (size == 0)
        return 0;
    br_arena_reset(arena);
    struct br_slice bytes = {data + 1, size - 1}, message;
    enum br_status status;
    if (data[0] == 'P') {
        all_packed(bytes);
    } else if (data[0] == 'D') {
        while (br_delimited_next(&bytes, &message, &status, NULL))
            one_message(message);
    } else {
        one_message(bytes);
    }
    return 0;
}
