// SPDX-License-Identifier: Apache-2.0
// Any bytes as the record of a replay job (whoever may write to the bucket can put anything there): no harm, whatever
// phases and wishes it has; as JSON it stays JSON; written again it says the same.
#include "base/json.h"
#include "replay/job.h"
#include "replay/unpack.h"

static void check_json(const Braid__V1__ReplayJob *record, bool brief) {
    struct br_buffer BR_CLEANUP(br_buffer_free) out = {0};
    struct br_json json;
    br_job_json(record, brief, &out);
    BR_CHECK(br_utf8_valid_prefix(br_buffer_slice(&out)) == out.len);
    BR_CHECK(br_json_parse(br_buffer_slice(&out), &json, NULL) == BR_OK);
}

// Fields that no version of the format has: protobuf-c keeps them, and takes tags (of field 0, or padded) that it
// writes differently.
static void drop_unknown(ProtobufCMessage *message) {
    message->n_unknown_fields = 0;
    for (unsigned f = 0; f < message->descriptor->n_fields; f++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[f];
        uint8_t *at = (uint8_t *)message + field->offset;
        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        bool many = field->label == PROTOBUF_C_LABEL_REPEATED;
        size_t count = many ? *(size_t *)(void *)((uint8_t *)message + field->quantifier_offset) : 1;
        ProtobufCMessage **parts = many ? *(ProtobufCMessage ***)(void *)at : (ProtobufCMessage **)(void *)at;
        for (size_t i = 0; i < count; i++)
            if (parts[i] != NULL)
                drop_unknown(parts[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct br_arena *arena = br_arena_create();
    Braid__V1__ReplayJob *record = br_unpack(&braid__v1__replay_job__descriptor, (struct br_slice){data, size}, arena);
    if (record != NULL) {
        struct br_buffer BR_CLEANUP(br_buffer_free) out = {0};
        check_json(record, false);
        check_json(record, true);
        br_job_text(record, (struct br_wall_time){1}, &out);
        bool work = br_job_has_work(record);
        br_buffer_clear(&out);
        drop_unknown(&record->base);
        size_t packed = braid__v1__replay_job__get_packed_size(record);
        out.len = braid__v1__replay_job__pack(record, br_buffer_reserve(&out, packed + 1));
        BR_CHECK(out.len == packed);
        const Braid__V1__ReplayJob *again = br_unpack(&braid__v1__replay_job__descriptor, br_buffer_slice(&out), arena);
        BR_CHECK(again != NULL && again->phase == record->phase && br_job_has_work(again) == work);
        br_job_drop(record, (struct br_wall_time){1});
        BR_CHECK(!br_job_has_work(record));
    }
    br_arena_destroy(&arena);
    return 0;
}
