// SPDX-License-Identifier: Apache-2.0
// Any bytes as a descriptor set: refused, or every message of it prints as .proto text, its paths resolve, and a
// decoder and an encoder can be made of what has a SQL type.
#include "processor/codec/decode.h"
#include "processor/codec/encode.h"

static void use_message(const struct br_message_type *message) {
    const char *paths[64];
    enum br_type types[64];
    uint32_t count = 0;
    for (uint32_t i = 0; i < message->field_count && count < 64; i++) {
        enum br_type type = br_field_sql_type(&message->fields[i]);
        BR_CHECK(br_message_find_field(message, message->fields[i].name) == &message->fields[i]);
        if (type == BR_UNKNOWN)
            continue;
        BR_CHECK(br_field_fits(&message->fields[i], type));
        paths[count] = message->fields[i].name;
        types[count++] = type;
    }
    struct br_decoder *decoder = NULL;
    struct br_encoder *encoder = NULL;
    BR_CHECK(br_decoder_create(message, paths, types, NULL, count, &decoder, NULL) == BR_OK);
    BR_CHECK(br_encoder_create(message, paths, types, count, &encoder, NULL) == BR_OK);
    br_decoder_destroy(&decoder);
    br_encoder_destroy(&encoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct br_error error;
    struct br_descriptors *descriptors = br_descriptors_create();
    struct br_buffer text = {0};
    if (br_descriptors_add_set(descriptors, (struct br_slice){data, size}, "fuzz.pb", &error) == BR_OK) {
        const struct br_message_type *message;
        for (uint32_t i = 0; (message = br_descriptors_message_at(descriptors, i)) != NULL; i++) {
            use_message(message);
            br_buffer_clear(&text);
            br_descriptors_print_proto(&message, NULL, 1, "fuzz", &text);
        }
        (void)br_descriptors_nearest(descriptors, "fuzz.Message");
    }
    br_buffer_free(&text);
    br_descriptors_destroy(&descriptors);
    return 0;
}
