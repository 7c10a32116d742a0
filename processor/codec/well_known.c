// SPDX-License-Identifier: Apache-2.0
// The well-known types, so that a descriptor set need not bring them: google.protobuf's Timestamp, Duration, wrappers,
// Any, Empty, FieldMask and Struct, and google.type.Decimal. Field for field as in protobuf's own .proto files.
#include "processor/codec/codec_internal.h"

struct known_field {
    const char *name;
    enum br_wire_kind kind;
    const char *type; // of MESSAGE and ENUM
    bool repeated, in_oneof;
};
struct known_type {
    const char *file, *name;
    bool map_entry;
    struct known_field fields[6]; // numbered from 1
};

#define TIMESTAMP_FILE "google/protobuf/timestamp.proto"
#define DURATION_FILE "google/protobuf/duration.proto"
#define WRAPPERS_FILE "google/protobuf/wrappers.proto"
#define STRUCT_FILE "google/protobuf/struct.proto"
#define WRAPPER(title, kind)                                                                                           \
    { WRAPPERS_FILE, "google.protobuf." title, false, {{"value", kind, NULL, false, false}}, }

static const struct known_type known_types[] = {
    {TIMESTAMP_FILE,
     "google.protobuf.Timestamp",
     false,
     {{"seconds", BR_PB_INT64, NULL, false, false}, {"nanos", BR_PB_INT32, NULL, false, false}}},
    {DURATION_FILE,
     "google.protobuf.Duration",
     false,
     {{"seconds", BR_PB_INT64, NULL, false, false}, {"nanos", BR_PB_INT32, NULL, false, false}}},
    WRAPPER("DoubleValue", BR_PB_DOUBLE),
    WRAPPER("FloatValue", BR_PB_FLOAT),
    WRAPPER("Int64Value", BR_PB_INT64),
    WRAPPER("UInt64Value", BR_PB_UINT64),
    WRAPPER("Int32Value", BR_PB_INT32),
    WRAPPER("UInt32Value", BR_PB_UINT32),
    WRAPPER("BoolValue", BR_PB_BOOL),
    WRAPPER("StringValue", BR_PB_STRING),
    WRAPPER("BytesValue", BR_PB_BYTES),
    {"google/type/decimal.proto", "google.type.Decimal", false, {{"value", BR_PB_STRING, NULL, false, false}}},
    {"google/protobuf/any.proto",
     "google.protobuf.Any",
     false,
     {{"type_url", BR_PB_STRING, NULL, false, false}, {"value", BR_PB_BYTES, NULL, false, false}}},
    {"google/protobuf/empty.proto", "google.protobuf.Empty", false, {{0}}},
    {"google/protobuf/field_mask.proto",
     "google.protobuf.FieldMask",
     false,
     {{"paths", BR_PB_STRING, NULL, true, false}}},
    {STRUCT_FILE,
     "google.protobuf.Struct",
     false,
     {{"fields", BR_PB_MESSAGE, "google.protobuf.Struct.FieldsEntry", true, false}}},
    {STRUCT_FILE,
     "google.protobuf.Struct.FieldsEntry",
     true,
     {{"key", BR_PB_STRING, NULL, false, false}, {"value", BR_PB_MESSAGE, "google.protobuf.Value", false, false}}},
    {STRUCT_FILE,
     "google.protobuf.Value",
     false,
     {{"null_value", BR_PB_ENUM, "google.protobuf.NullValue", false, true},
      {"number_value", BR_PB_DOUBLE, NULL, false, true},
      {"string_value", BR_PB_STRING, NULL, false, true},
      {"bool_value", BR_PB_BOOL, NULL, false, true},
      {"struct_value", BR_PB_MESSAGE, "google.protobuf.Struct", false, true},
      {"list_value", BR_PB_MESSAGE, "google.protobuf.ListValue", false, true}}},
    {STRUCT_FILE,
     "google.protobuf.ListValue",
     false,
     {{"values", BR_PB_MESSAGE, "google.protobuf.Value", true, false}}},
};
#define KNOWN_TYPE_COUNT (sizeof known_types / sizeof known_types[0])

static int32_t null_value_numbers[] = {0};
static const char *null_value_names[] = {"NULL_VALUE"};
static struct br_enum_type null_value = {"google.protobuf.NullValue", null_value_numbers, null_value_names, 1,
                                         STRUCT_FILE};
static const char *value_oneof_names[] = {"kind"};

static void fill(struct br_descriptors *descriptors, const struct known_type *known, struct br_message_type *message) {
    uint32_t count = 0;
    while (count < 6 && known->fields[count].name != NULL)
        count++;
    message->fields = br_arena_array(descriptors->arena, struct br_message_field, count);
    message->field_count = count;
    for (uint32_t i = 0; i < count; i++) {
        const struct known_field *from = &known->fields[i];
        struct br_message_field *field = &message->fields[i];
        *field = (struct br_message_field){.name = from->name, .number = i + 1, .kind = from->kind};
        field->repeated = from->repeated;
        field->has_presence = !from->repeated && (from->kind == BR_PB_MESSAGE || from->in_oneof);
        field->oneof_index = from->in_oneof ? 0 : -1;
        if (from->in_oneof) {
            message->oneof_names = value_oneof_names;
            message->oneof_count = 1;
        }
        if (from->type != NULL) {
            const struct br_type_entry *type = br_type_list_find(&descriptors->types, from->type);
            BR_CHECK(type != NULL);
            field->message = type->message;
            field->enumeration = type->enumeration;
        }
    }
}

void br_descriptors_add_well_known(struct br_descriptors *descriptors) {
    struct br_type_list fresh = {0};
    for (size_t i = 0; i < KNOWN_TYPE_COUNT; i++) {
        struct br_message_type *message = br_arena_new(descriptors->arena, struct br_message_type);
        message->name = known_types[i].name;
        message->file = known_types[i].file;
        message->map_entry = known_types[i].map_entry;
        br_type_list_append(&fresh, (struct br_type_entry){.name = message->name, .message = message});
    }
    br_type_list_append(&fresh, (struct br_type_entry){.name = null_value.name, .enumeration = &null_value});
    BR_CHECK(br_descriptors_merge(descriptors, &fresh, NULL) == BR_OK);
    free(fresh.entries);
    for (size_t i = 0; i < KNOWN_TYPE_COUNT; i++)
        fill(descriptors, &known_types[i], br_type_list_find(&descriptors->types, known_types[i].name)->message);
}

enum br_well_known br_message_well_known(const struct br_message_type *message) {
    static const char prefix[] = "google.protobuf.";
    if (strcmp(message->name, "google.type.Decimal") == 0)
        return BR_WELL_KNOWN_WRAPPER;
    if (strncmp(message->name, prefix, sizeof prefix - 1) != 0)
        return BR_WELL_KNOWN_NONE;
    for (size_t i = 0; i < KNOWN_TYPE_COUNT; i++) {
        if (strcmp(known_types[i].name, message->name) != 0)
            continue;
        const char *file = known_types[i].file;
        return strcmp(file, TIMESTAMP_FILE) == 0  ? BR_WELL_KNOWN_TIMESTAMP
               : strcmp(file, DURATION_FILE) == 0 ? BR_WELL_KNOWN_DURATION
               : strcmp(file, WRAPPERS_FILE) == 0 ? BR_WELL_KNOWN_WRAPPER
                                                  : BR_WELL_KNOWN_NONE;
    }
    return BR_WELL_KNOWN_NONE;
}
