// SPDX-License-Identifier: Apache-2.0
// Which SQL type a protobuf field is read as, and the way from a dotted path to the field. See descriptors.h.
#include "processor/codec/codec_internal.h"

const char *br_wire_kind_name(enum br_wire_kind kind) {
    static const char *const names[] = {
        [BR_PB_DOUBLE] = "double",     [BR_PB_FLOAT] = "float",     [BR_PB_INT64] = "int64",
        [BR_PB_UINT64] = "uint64",     [BR_PB_INT32] = "int32",     [BR_PB_FIXED64] = "fixed64",
        [BR_PB_FIXED32] = "fixed32",   [BR_PB_BOOL] = "bool",       [BR_PB_STRING] = "string",
        [BR_PB_GROUP] = "group",       [BR_PB_MESSAGE] = "message", [BR_PB_BYTES] = "bytes",
        [BR_PB_UINT32] = "uint32",     [BR_PB_ENUM] = "enum",       [BR_PB_SFIXED32] = "sfixed32",
        [BR_PB_SFIXED64] = "sfixed64", [BR_PB_SINT32] = "sint32",   [BR_PB_SINT64] = "sint64",
    };
    return names[kind];
}

const char *br_field_kind_text(const struct br_message_field *field) {
    return field->message != NULL       ? field->message->name
           : field->enumeration != NULL ? field->enumeration->name
                                        : br_wire_kind_name(field->kind);
}

enum br_wire_type br_wire_type_of(enum br_wire_kind kind) {
    switch (kind) {
    case BR_PB_DOUBLE:
    case BR_PB_FIXED64:
    case BR_PB_SFIXED64:
        return BR_WIRE_FIXED64;
    case BR_PB_FLOAT:
    case BR_PB_FIXED32:
    case BR_PB_SFIXED32:
        return BR_WIRE_FIXED32;
    case BR_PB_STRING:
    case BR_PB_BYTES:
    case BR_PB_MESSAGE:
        return BR_WIRE_BYTES;
    case BR_PB_GROUP:
        return BR_WIRE_GROUP;
    default:
        return BR_WIRE_VARINT;
    }
}

enum br_type br_field_sql_type(const struct br_message_field *field) {
    if (field->repeated)
        return BR_UNKNOWN;
    switch (field->kind) {
    case BR_PB_DOUBLE:
    case BR_PB_FLOAT:
        return BR_DOUBLE;
    case BR_PB_INT64:
    case BR_PB_SINT64:
    case BR_PB_SFIXED64:
    case BR_PB_UINT32:
    case BR_PB_FIXED32:
        return BR_BIGINT;
    case BR_PB_UINT64:
    case BR_PB_FIXED64:
        return BR_NUMERIC;
    case BR_PB_INT32:
    case BR_PB_SINT32:
    case BR_PB_SFIXED32:
        return BR_INTEGER;
    case BR_PB_BOOL:
        return BR_BOOLEAN;
    case BR_PB_STRING:
    case BR_PB_ENUM:
        return BR_TEXT;
    case BR_PB_BYTES:
        return BR_BYTEA;
    case BR_PB_GROUP:
        return BR_UNKNOWN;
    case BR_PB_MESSAGE:
        break;
    }
    switch (br_message_well_known(field->message)) {
    case BR_WELL_KNOWN_TIMESTAMP:
        return BR_TIMESTAMPTZ;
    case BR_WELL_KNOWN_DURATION:
        return BR_INTERVAL;
    case BR_WELL_KNOWN_WRAPPER:
        return strcmp(field->message->name, "google.type.Decimal") == 0 ? BR_NUMERIC
                                                                        : br_field_sql_type(&field->message->fields[0]);
    case BR_WELL_KNOWN_NONE:
        break;
    }
    return BR_UNKNOWN;
}

static bool integer_fits(enum br_wire_kind kind, enum br_type type) {
    switch (kind) {
    case BR_PB_INT64:
    case BR_PB_SINT64:
    case BR_PB_SFIXED64:
        return type == BR_INTEGER || type == BR_BIGINT || type == BR_NUMERIC || type == BR_TIMESTAMPTZ;
    case BR_PB_INT32:
    case BR_PB_SINT32:
    case BR_PB_SFIXED32:
        return type == BR_INTEGER || type == BR_BIGINT || type == BR_NUMERIC || type == BR_DATE;
    default: // unsigned
        return type == BR_INTEGER || type == BR_BIGINT || type == BR_NUMERIC;
    }
}

bool br_field_fits(const struct br_message_field *field, enum br_type type) {
    if (field->repeated)
        return false;
    switch (field->kind) {
    case BR_PB_DOUBLE:
    case BR_PB_FLOAT:
        return type == BR_DOUBLE || type == BR_NUMERIC;
    case BR_PB_BOOL:
        return type == BR_BOOLEAN;
    case BR_PB_STRING:
        return type == BR_TEXT || type == BR_NUMERIC || type == BR_TIMESTAMPTZ || type == BR_DATE ||
               type == BR_INTERVAL;
    case BR_PB_ENUM:
        return type == BR_TEXT;
    case BR_PB_BYTES:
        return type == BR_BYTEA;
    case BR_PB_GROUP:
        return false;
    case BR_PB_MESSAGE:
        break;
    default:
        return integer_fits(field->kind, type);
    }
    switch (br_message_well_known(field->message)) {
    case BR_WELL_KNOWN_TIMESTAMP:
        return type == BR_TIMESTAMPTZ;
    case BR_WELL_KNOWN_DURATION:
        return type == BR_INTERVAL;
    case BR_WELL_KNOWN_WRAPPER:
        if (strcmp(field->message->name, "google.type.Decimal") == 0)
            return type == BR_NUMERIC;
        return br_field_fits(&field->message->fields[0], type);
    case BR_WELL_KNOWN_NONE:
        break;
    }
    return false;
}

static const struct br_message_field *find_name(const struct br_message_type *message, struct br_slice name) {
    for (uint32_t i = 0; i < message->field_count; i++)
        if (br_slice_is(name, message->fields[i].name))
            return &message->fields[i];
    return NULL;
}

static enum br_status no_field(const struct br_message_type *message, struct br_slice name, struct br_error *error) {
    struct br_nearest nearest = br_nearest_begin(name);
    for (uint32_t i = 0; i < message->field_count; i++)
        br_nearest_try(&nearest, message->fields[i].name);
    int length = name.len > 200 ? 200 : (int)name.len;
    if (nearest.best != NULL)
        return br_error_set(error, BR_DATA, "message %s has no field \"%.*s\"; did you mean \"%s\"?", message->name,
                            length, (const char *)name.ptr, nearest.best);
    return br_error_set(error, BR_DATA, "message %s has no field \"%.*s\"", message->name, length,
                        (const char *)name.ptr);
}

enum br_status br_path_walk(const struct br_message_type *message, const char *path, struct br_field_chain *chain,
                            struct br_error *error) {
    chain->count = 0;
    chain->decimal = false;
    struct br_slice rest = br_slice_of(path);
    for (;;) {
        const uint8_t *dot = rest.len == 0 ? NULL : memchr(rest.ptr, '.', rest.len);
        const struct br_message_field *field = find_name(message, rest);
        bool last = field != NULL || dot == NULL;
        struct br_slice name = {rest.ptr, last ? rest.len : (size_t)(dot - rest.ptr)};
        if (field == NULL)
            field = find_name(message, name);
        if (field == NULL)
            return no_field(message, name, error);
        // Two places are kept for what a wrapper adds.
        if (chain->count + 2 >= BR_WIRE_NESTING_MAX)
            return br_error_set(error, BR_DATA, "the path \"%.100s…\" has more than %d components", path,
                                BR_WIRE_NESTING_MAX - 2);
        chain->fields[chain->count++] = field;
        if (last)
            return BR_OK;
        if (field->repeated || field->message == NULL)
            return br_error_set(error, BR_DATA, "field \"%s\" of message %s is %s%s: \"%s\" can't go into it",
                                field->name, message->name, field->repeated ? "repeated " : "",
                                br_field_kind_text(field), path);
        message = field->message;
        rest = (struct br_slice){dot + 1, rest.len - name.len - 1};
    }
}

enum br_status br_message_find_path(const struct br_message_type *message, const char *path,
                                    const struct br_message_field **ret_field, struct br_error *error) {
    struct br_field_chain chain;
    BR_TRY(br_path_walk(message, path, &chain, error));
    BR_CHECK(chain.count > 0);
    *ret_field = chain.fields[chain.count - 1];
    return BR_OK;
}
