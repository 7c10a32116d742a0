// SPDX-License-Identifier: Apache-2.0
// Reads a serialized FileDescriptorSet (google/protobuf/descriptor.proto) into the registry.
//
// The bytes are untrusted. A small reader of our own instead of generated code: it takes the dozen fields that matter,
// bounds size and nesting, and says where a set is wrong. Two passes: the first makes every type (fields keep their
// type's name in a list of references), the second resolves the references, so that types may use each other in any
// order. Nothing enters the registry unless all of it is right.
#include "processor/codec/codec_internal.h"

#define SET_SIZE_MAX ((size_t)64 << 20)
#define TYPE_NESTING_MAX 32 // protoc's own bound

struct reference {
    struct br_message_field *field;
    const char *type_name; // ".shop.v2.Order"
    const char *message, *file;
};
struct loader {
    struct br_arena *arena;
    const char *origin;
    const char *file; // NULL: not in a file
    bool proto3;
    struct br_type_list fresh;
    struct reference *references;
    size_t reference_count, reference_capacity;
    struct br_error *error;
};

static enum br_status placed(const struct loader *loader) {
    if (loader->file == NULL)
        (void)br_error_context(loader->error, "descriptor set %s", loader->origin);
    else
        (void)br_error_context(loader->error, "descriptor set %s: %s", loader->origin, loader->file);
    return BR_DATA;
}
#define refuse(loader, ...) ((void)br_error_set((loader)->error, BR_DATA, __VA_ARGS__), (void)placed(loader), BR_DATA)

static enum br_status malformed(struct loader *loader, const char *where, const char *fault) {
    return refuse(loader,
                  "%s: a field %s; this is no FileDescriptorSet (make one with protoc --include_imports "
                  "--descriptor_set_out)",
                  where, fault);
}

static enum br_status name_of(struct loader *loader, const char *where, struct br_slice name, const char **ret_name) {
    if (!br_is_identifier(name))
        return refuse(loader, "%s: a name isn't a protobuf identifier", where);
    *ret_name = br_arena_strndup(loader->arena, (const char *)name.ptr, name.len);
    return BR_OK;
}

// The last occurrence of a length-delimited field, as protobuf has it.
static enum br_status find_bytes(struct loader *loader, const char *where, struct br_slice message, uint32_t number,
                                 struct br_slice *ret_bytes) {
    struct br_wire_field field;
    const char *fault = NULL;
    *ret_bytes = (struct br_slice){NULL, 0};
    do {
        if (!br_wire_next(&message, &field, &fault))
            return malformed(loader, where, fault);
        if (field.number == number && field.wire == BR_WIRE_BYTES)
            *ret_bytes = field.bytes;
    } while (field.number != 0);
    return BR_OK;
}

static uint32_t count_fields(struct br_slice message, uint32_t number) {
    struct br_wire_field field;
    const char *fault = NULL;
    uint32_t count = 0;
    while (br_wire_next(&message, &field, &fault) && field.number != 0)
        count += field.number == number && field.wire == BR_WIRE_BYTES;
    return count;
}

static void refer(struct loader *loader, struct br_message_field *field, const char *message,
                  struct br_slice type_name) {
    if (loader->reference_count == loader->reference_capacity) {
        loader->reference_capacity = loader->reference_capacity == 0 ? 64 : loader->reference_capacity * 2;
        loader->references = br_realloc(loader->references, loader->reference_capacity * sizeof *loader->references);
    }
    const char *name = br_arena_strndup(loader->arena, (const char *)type_name.ptr, type_name.len);
    loader->references[loader->reference_count++] = (struct reference){field, name, message, loader->file};
}

// FieldDescriptorProto as it stands, before it is judged.
struct raw_field {
    struct br_slice name, type_name, default_value;
    uint64_t number, label, type, oneof_index;
    bool has_oneof, proto3_optional;
};

static enum br_status read_raw_field(struct loader *loader, const char *message, struct br_slice bytes,
                                     struct raw_field *raw) {
    struct br_wire_field field;
    const char *fault = NULL;
    *raw = (struct raw_field){.label = 1};
    for (;;) {
        if (!br_wire_next(&bytes, &field, &fault))
            return malformed(loader, message, fault);
        if (field.number == 0)
            return BR_OK;
        bool text = field.wire == BR_WIRE_BYTES, number = field.wire == BR_WIRE_VARINT;
        if (field.number == 1 && text)
            raw->name = field.bytes;
        else if (field.number == 3 && number)
            raw->number = field.value;
        else if (field.number == 4 && number)
            raw->label = field.value;
        else if (field.number == 5 && number)
            raw->type = field.value;
        else if (field.number == 6 && text)
            raw->type_name = field.bytes;
        else if (field.number == 7 && text)
            raw->default_value = field.bytes;
        else if (field.number == 9 && number)
            raw->oneof_index = field.value, raw->has_oneof = true;
        else if (field.number == 17 && number)
            raw->proto3_optional = field.value != 0;
    }
}

static enum br_status read_field(struct loader *loader, struct br_message_type *message, struct br_slice bytes,
                                 struct br_message_field *field) {
    struct raw_field raw;
    BR_TRY(read_raw_field(loader, message->name, bytes, &raw));
    BR_TRY(name_of(loader, message->name, raw.name, &field->name));
    if (raw.number == 0 || raw.number > BR_WIRE_NUMBER_MAX)
        return refuse(loader, "%s.%s has a field number outside 1 to %u", message->name, field->name,
                      BR_WIRE_NUMBER_MAX);
    if (raw.label < 1 || raw.label > 3)
        return refuse(loader, "%s.%s has label %llu, which does not exist", message->name, field->name,
                      (unsigned long long)raw.label);
    if (raw.type > BR_PB_SINT64 || (raw.type == 0 && raw.type_name.len == 0))
        return refuse(loader, "%s.%s has type %llu, which does not exist", message->name, field->name,
                      (unsigned long long)raw.type);
    if (raw.has_oneof && raw.oneof_index >= message->oneof_count)
        return refuse(loader, "%s.%s is in a oneof that does not exist", message->name, field->name);
    field->number = (uint32_t)raw.number;
    field->kind = (enum br_wire_kind)raw.type; // 0 until the reference is resolved
    field->repeated = raw.label == 3;
    bool real_oneof = raw.has_oneof && !raw.proto3_optional;
    field->oneof_index = real_oneof ? (int32_t)raw.oneof_index : -1;
    field->has_presence = !field->repeated && (!loader->proto3 || raw.has_oneof || raw.proto3_optional);
    if (raw.default_value.len != 0)
        field->default_value = br_arena_copy(loader->arena, raw.default_value);
    bool named = raw.type == 0 || raw.type == BR_PB_MESSAGE || raw.type == BR_PB_GROUP || raw.type == BR_PB_ENUM;
    if (named && raw.type_name.len == 0)
        return refuse(loader, "%s.%s names no type", message->name, field->name);
    if (named)
        refer(loader, field, message->name, raw.type_name);
    return BR_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(const struct br_message_field *const *)a)->name,
                  (*(const struct br_message_field *const *)b)->name);
}

static enum br_status check_fields_differ(struct loader *loader, const struct br_message_type *message) {
    for (uint32_t i = 1; i < message->field_count; i++)
        if (message->fields[i].number == message->fields[i - 1].number)
            return refuse(loader, "%s has two fields with number %u", message->name, message->fields[i].number);
    if (message->field_count < 2)
        return BR_OK;
    BR_AUTO_FREE const struct br_message_field **sorted = br_calloc(message->field_count, sizeof(void *));
    for (uint32_t i = 0; i < message->field_count; i++)
        sorted[i] = &message->fields[i];
    qsort(sorted, message->field_count, sizeof *sorted, by_name);
    for (uint32_t i = 1; i < message->field_count; i++)
        if (strcmp(sorted[i]->name, sorted[i - 1]->name) == 0)
            return refuse(loader, "%s has two fields named %s", message->name, sorted[i]->name);
    return BR_OK;
}

static enum br_status read_enum(struct loader *loader, const char *scope, struct br_slice bytes) {
    struct br_slice name, value_name;
    const char *own_name;
    BR_TRY(find_bytes(loader, scope, bytes, 1, &name));
    BR_TRY(name_of(loader, scope, name, &own_name));
    struct br_enum_type *type = br_arena_new(loader->arena, struct br_enum_type);
    type->name = *scope == '\0' ? own_name : br_arena_printf(loader->arena, "%s.%s", scope, own_name);
    type->file = loader->file;
    uint32_t count = count_fields(bytes, 2);
    if (count == 0)
        return refuse(loader, "enum %s has no values", type->name);
    type->numbers = br_arena_array(loader->arena, int32_t, count);
    type->names = br_arena_array(loader->arena, const char *, count);
    struct br_wire_field field;
    const char *fault = NULL;
    while (br_wire_next(&bytes, &field, &fault) && field.number != 0) {
        if (field.number != 2 || field.wire != BR_WIRE_BYTES)
            continue;
        BR_TRY(find_bytes(loader, type->name, field.bytes, 1, &value_name));
        BR_TRY(name_of(loader, type->name, value_name, &type->names[type->count]));
        struct br_wire_field part;
        while (br_wire_next(&field.bytes, &part, &fault) && part.number != 0)
            if (part.number == 2 && part.wire == BR_WIRE_VARINT)
                type->numbers[type->count] = (int32_t)(uint32_t)part.value;
        type->count++;
    }
    br_type_list_append(&loader->fresh, (struct br_type_entry){.name = type->name, .enumeration = type});
    return BR_OK;
}

static enum br_status read_oneofs(struct loader *loader, struct br_message_type *message, struct br_slice bytes) {
    uint32_t count = count_fields(bytes, 8);
    message->oneof_names = br_arena_array(loader->arena, const char *, count);
    struct br_wire_field field;
    const char *fault = NULL;
    while (br_wire_next(&bytes, &field, &fault) && field.number != 0) {
        struct br_slice name;
        if (field.number != 8 || field.wire != BR_WIRE_BYTES)
            continue;
        BR_TRY(find_bytes(loader, message->name, field.bytes, 1, &name));
        BR_TRY(name_of(loader, message->name, name, &message->oneof_names[message->oneof_count++]));
    }
    return BR_OK;
}

static bool is_map_entry(struct br_slice options) {
    struct br_wire_field field;
    const char *fault = NULL;
    bool map_entry = false;
    while (br_wire_next(&options, &field, &fault) && field.number != 0)
        if (field.number == 7 && field.wire == BR_WIRE_VARINT)
            map_entry = field.value != 0;
    return map_entry;
}

static enum br_status read_message(struct loader *loader, const char *scope, struct br_slice bytes, uint32_t depth) {
    struct br_slice name, options;
    const char *own_name;
    if (depth > TYPE_NESTING_MAX)
        return refuse(loader, "%s: messages are nested deeper than %d", scope, TYPE_NESTING_MAX);
    BR_TRY(find_bytes(loader, scope, bytes, 1, &name));
    BR_TRY(name_of(loader, scope, name, &own_name));
    BR_TRY(find_bytes(loader, scope, bytes, 7, &options));
    struct br_message_type *message = br_arena_new(loader->arena, struct br_message_type);
    message->name = *scope == '\0' ? own_name : br_arena_printf(loader->arena, "%s.%s", scope, own_name);
    message->file = loader->file;
    message->map_entry = is_map_entry(options);
    message->fields = br_arena_array(loader->arena, struct br_message_field, count_fields(bytes, 2));
    BR_TRY(read_oneofs(loader, message, bytes));
    // References hold pointers into fields, so the fields get their final order before they are filled.
    struct br_wire_field field;
    const char *fault = NULL;
    struct br_slice rest = bytes;
    while (br_wire_next(&rest, &field, &fault) && field.number != 0) {
        if (field.wire != BR_WIRE_BYTES)
            continue;
        if (field.number == 2) {
            struct raw_field raw;
            BR_TRY(read_raw_field(loader, message->name, field.bytes, &raw));
            struct br_message_field *place = &message->fields[message->field_count++];
            place->number = raw.number > BR_WIRE_NUMBER_MAX ? 0 : (uint32_t)raw.number;
            place->default_value = field.bytes; // for now: the field's own descriptor
        } else if (field.number == 3) {
            BR_TRY(read_message(loader, message->name, field.bytes, depth + 1));
        } else if (field.number == 4) {
            BR_TRY(read_enum(loader, message->name, field.bytes));
        }
    }
    br_message_sort_fields(message);
    for (uint32_t i = 0; i < message->field_count; i++) {
        struct br_slice descriptor = message->fields[i].default_value;
        message->fields[i] = (struct br_message_field){0};
        BR_TRY(read_field(loader, message, descriptor, &message->fields[i]));
    }
    BR_TRY(check_fields_differ(loader, message));
    br_type_list_append(&loader->fresh, (struct br_type_entry){.name = message->name, .message = message});
    return BR_OK;
}

static bool is_package(struct br_slice name) {
    while (name.len != 0) {
        const uint8_t *dot = memchr(name.ptr, '.', name.len);
        size_t length = dot == NULL ? name.len : (size_t)(dot - name.ptr);
        if (!br_is_identifier((struct br_slice){name.ptr, length}) || length + 1 == name.len)
            return false;
        size_t step = dot == NULL ? length : length + 1;
        name = (struct br_slice){name.ptr + step, name.len - step};
    }
    return true;
}

static enum br_status read_file(struct loader *loader, struct br_slice bytes) {
    struct br_slice name, package, syntax;
    loader->file = "a file";
    BR_TRY(find_bytes(loader, "the file", bytes, 1, &name));
    if (name.len == 0 || br_utf8_valid_prefix(name) != name.len)
        return refuse(loader, "has no name that is text");
    loader->file = br_arena_strndup(loader->arena, (const char *)name.ptr, name.len);
    BR_TRY(find_bytes(loader, "the file", bytes, 2, &package));
    BR_TRY(find_bytes(loader, "the file", bytes, 12, &syntax));
    if (!is_package(package))
        return refuse(loader, "its package name isn't made of protobuf identifiers");
    loader->proto3 = br_slice_is(syntax, "proto3");
    if (!loader->proto3 && syntax.len != 0 && !br_slice_is(syntax, "proto2"))
        return refuse(loader,
                      "syntax \"%.*s\" isn't supported; compile the file with syntax = \"proto3\" or \"proto2\"",
                      syntax.len > 40 ? 40 : (int)syntax.len, (const char *)syntax.ptr);
    const char *scope = package.len == 0 ? "" : br_arena_strndup(loader->arena, (const char *)package.ptr, package.len);
    struct br_wire_field field;
    const char *fault = NULL;
    while (br_wire_next(&bytes, &field, &fault) && field.number != 0) {
        if (field.number == 4 && field.wire == BR_WIRE_BYTES)
            BR_TRY(read_message(loader, scope, field.bytes, 1));
        else if (field.number == 5 && field.wire == BR_WIRE_BYTES)
            BR_TRY(read_enum(loader, scope, field.bytes));
    }
    return BR_OK;
}

static int by_entry_name(const void *a, const void *b) {
    return strcmp(((const struct br_type_entry *)a)->name, ((const struct br_type_entry *)b)->name);
}

static enum br_status resolve(struct loader *loader, const struct br_descriptors *descriptors,
                              const struct reference *reference) {
    struct br_message_field *field = reference->field;
    loader->file = reference->file;
    if (reference->type_name[0] != '.')
        return refuse(loader, "%s.%s names its type \"%s\" without its package; protoc writes a leading dot",
                      reference->message, field->name, reference->type_name);
    const char *name = reference->type_name + 1;
    const struct br_type_entry *type = br_type_list_find(&descriptors->types, name);
    if (type == NULL)
        type = br_type_list_find(&loader->fresh, name);
    if (type == NULL)
        return refuse(loader, "%s.%s is a %s, which isn't in the set: make it with protoc --include_imports",
                      reference->message, field->name, name);
    bool message = type->message != NULL;
    if (field->kind == 0)
        field->kind = message ? BR_PB_MESSAGE : BR_PB_ENUM;
    if (message != (field->kind != BR_PB_ENUM))
        return refuse(loader, "%s.%s takes %s for %s", reference->message, field->name, name,
                      message ? "an enum, but it is a message" : "a message, but it is an enum");
    size_t scope = strlen(reference->message);
    if (field->kind == BR_PB_GROUP &&
        (strncmp(name, reference->message, scope) != 0 || name[scope] != '.' || strchr(name + scope + 1, '.') != NULL))
        return refuse(loader, "%s.%s is a group of a type that is declared elsewhere (%s)", reference->message,
                      field->name, name);
    field->message = type->message;
    field->enumeration = type->enumeration;
    if (message && !field->repeated)
        field->has_presence = true;
    return BR_OK;
}

static enum br_status load(struct loader *loader, struct br_descriptors *descriptors, struct br_slice bytes) {
    struct br_wire_field field;
    const char *fault = NULL;
    uint32_t files = 0;
    do {
        if (!br_wire_next(&bytes, &field, &fault))
            return malformed(loader, "the set", fault);
        if (field.number == 1 && field.wire == BR_WIRE_BYTES) {
            BR_TRY(read_file(loader, field.bytes));
            loader->file = NULL;
            files++;
        }
    } while (field.number != 0);
    if (files == 0)
        return refuse(loader, "holds no files: make it with protoc --include_imports --descriptor_set_out");
    if (loader->fresh.count != 0)
        qsort(loader->fresh.entries, loader->fresh.count, sizeof *loader->fresh.entries, by_entry_name);
    for (size_t i = 0; i < loader->reference_count; i++)
        BR_TRY(resolve(loader, descriptors, &loader->references[i]));
    // Names are checked as a whole by the merge, which also keeps the first of two that are alike.
    enum br_status status = br_descriptors_merge(descriptors, &loader->fresh, loader->error);
    loader->file = NULL;
    return status == BR_OK ? BR_OK : placed(loader);
}

enum br_status br_descriptors_add_set(struct br_descriptors *descriptors, struct br_slice bytes, const char *origin,
                                      struct br_error *error) {
    struct loader loader = {.arena = descriptors->arena, .origin = origin, .error = error};
    if (bytes.len > SET_SIZE_MAX)
        return refuse(&loader, "has %zu bytes, more than the %zu that are read", bytes.len, SET_SIZE_MAX);
    enum br_status status = load(&loader, descriptors, bytes);
    free(loader.fresh.entries);
    free(loader.references);
    return status;
}
