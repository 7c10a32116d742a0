// SPDX-License-Identifier: Apache-2.0
// Prints message types as a .proto file that protoc accepts and that describes the same wire format.
//
// P1. The file holds the given messages and every message and enum they need; those of google/protobuf/ and
//     google/type/ are imported. References are written with a leading dot, so that no scope can capture them.
// P2. Full names are kept. What isn't under `package` moves the file's package up to the longest shared prefix, and a
//     name with a package of its own below that becomes nested in messages of that name ("v2.Order" in package shop:
//     message v2 { message Order …), which is the same full name.
// P3. The syntax is proto3 unless a field has a default, is a group, or an enum doesn't begin with 0: then proto2,
// where
//     proto3's implicit fields become `optional`.
// P4. Derived messages have SQL names: what isn't an identifier, or would clash as JSON name, is changed into one that
//     doesn't; numbers identify the fields.
#include "processor/codec/codec_internal.h"

struct item {
    const struct br_message_type *message;
    const struct br_enum_type *enumeration;
    struct br_message_comments comments;
    const char *name; // full name as printed
    bool inner_group; // printed where its field stands
};
struct printer {
    struct br_arena *arena;
    struct item *items;
    uint32_t count, capacity;
    const char **imports;
    uint32_t import_count;
    bool proto2;
    struct br_buffer *out;
};

static bool is_imported(const char *file) {
    return file != NULL && (strncmp(file, "google/protobuf/", 16) == 0 || strncmp(file, "google/type/", 12) == 0);
}

static struct item *find_item(const struct printer *printer, const void *type) {
    for (uint32_t i = 0; i < printer->count; i++)
        if (type == printer->items[i].message || type == printer->items[i].enumeration)
            return &printer->items[i];
    return NULL;
}

static void add_import(struct printer *printer, const char *file) {
    for (uint32_t i = 0; i < printer->import_count; i++)
        if (strcmp(printer->imports[i], file) == 0)
            return;
    printer->imports = br_realloc(printer->imports, (printer->import_count + 1) * sizeof *printer->imports);
    printer->imports[printer->import_count++] = file;
}

static void add_item(struct printer *printer, struct item item) {
    BR_CHECK((item.message != NULL) != (item.enumeration != NULL));
    const char *file = item.message != NULL ? item.message->file : item.enumeration->file;
    if (is_imported(file)) {
        add_import(printer, file);
        return;
    }
    if (find_item(printer, item.message != NULL ? (const void *)item.message : item.enumeration) != NULL)
        return;
    if (printer->count == printer->capacity) {
        printer->capacity = printer->capacity == 0 ? 16 : printer->capacity * 2;
        printer->items = br_realloc(printer->items, printer->capacity * sizeof *printer->items);
    }
    printer->items[printer->count++] = item;
}

// Breadth first: items that are added go through the same loop.
static void collect(struct printer *printer) {
    for (uint32_t i = 0; i < printer->count; i++) {
        const struct br_message_type *message = printer->items[i].message;
        if (message == NULL) {
            printer->proto2 |= printer->items[i].enumeration->numbers[0] != 0;
            continue;
        }
        for (uint32_t j = 0; j < message->field_count; j++) {
            const struct br_message_field *field = &message->fields[j];
            printer->proto2 |= field->kind == BR_PB_GROUP || field->default_value.len != 0;
            if (field->message != NULL || field->enumeration != NULL)
                add_item(printer, (struct item){.message = field->message,
                                                .enumeration = field->enumeration,
                                                .inner_group = field->kind == BR_PB_GROUP});
        }
    }
}

// Identifiers from any text: other bytes become '_'; with dots, per component.
static char *identifier_of(struct br_arena *arena, const char *name, bool dotted) {
    char *text = br_arena_alloc(arena, 2 * strlen(name) + 2), *at = text;
    bool begins = true;
    for (const char *c = name; *c != '\0'; c++) {
        bool digit = *c >= '0' && *c <= '9', dot = dotted && *c == '.' && !begins && c[1] != '\0';
        if (begins && digit)
            *at++ = '_';
        *at++ = digit || dot || br_is_identifier((struct br_slice){(const uint8_t *)c, 1}) ? *c : '_';
        begins = dot;
    }
    if (at == text)
        *at++ = '_';
    *at = '\0';
    return text;
}

static void name_items(struct printer *printer) {
    for (uint32_t i = 0; i < printer->count; i++) {
        struct item *item = &printer->items[i];
        const char *full = item->message != NULL ? item->message->name : item->enumeration->name;
        item->name = full;
        if (item->message == NULL || !item->message->derived)
            continue;
        item->name = identifier_of(printer->arena, full, true);
        for (uint32_t j = 0, suffix = 2; j < i; j++)
            if (strcmp(printer->items[j].name, item->name) == 0) {
                item->name = br_arena_printf(printer->arena, "%s_%u", item->name, suffix++);
                j = UINT32_MAX; // wraps to 0: look again
            }
    }
}

static bool is_under(const char *name, const char *scope, size_t length) {
    return length == 0 || (strncmp(name, scope, length) == 0 && name[length] == '.');
}

// P2: shortens the package until every item is under it.
static size_t shared_package(const struct printer *printer, const char *package) {
    size_t length = strlen(package);
    for (uint32_t i = 0; i < printer->count; i++)
        while (!is_under(printer->items[i].name, package, length)) {
            do
                length--;
            while (length > 0 && package[length] != '.');
        }
    return length;
}

static void indent(struct printer *printer, uint32_t depth) {
    for (uint32_t i = 0; i < depth; i++)
        br_buffer_append_text(printer->out, "  ");
}

static void print_comment(struct printer *printer, const char *comment, uint32_t depth) {
    while (comment != NULL && *comment != '\0') {
        size_t length = strcspn(comment, "\r\n");
        indent(printer, depth);
        br_buffer_printf(printer->out, "// %.*s\n", (int)length, comment);
        comment += length + strspn(comment + length, "\r\n");
    }
}

static bool looks_the_same(const char *a, const char *b) { // as JSON names: underscores and case aside
    for (;; a++, b++) {
        while (*a == '_')
            a++;
        while (*b == '_')
            b++;
        char x = *a >= 'A' && *a <= 'Z' ? (char)(*a | 0x20) : *a, y = *b >= 'A' && *b <= 'Z' ? (char)(*b | 0x20) : *b;
        if (x != y)
            return false;
        if (x == '\0')
            return true;
    }
}

// P4.
static const char **name_fields(struct printer *printer, const struct br_message_type *message) {
    const char **names = br_arena_array(printer->arena, const char *, message->field_count);
    for (uint32_t i = 0; i < message->field_count; i++) {
        names[i] = message->fields[i].name;
        if (!message->derived)
            continue;
        const char *base = identifier_of(printer->arena, names[i], false);
        names[i] = base;
        for (uint32_t j = 0, tries = 0; j < i; j++)
            if (looks_the_same(names[i], names[j])) {
                names[i] = tries++ == 0
                               ? br_arena_printf(printer->arena, "%s_c%u", base, message->fields[i].number)
                               : br_arena_printf(printer->arena, "%s_c%u_%u", base, message->fields[i].number, tries);
                j = UINT32_MAX; // wraps to 0: look again
            }
    }
    return names;
}

static void print_type(struct printer *printer, const struct br_message_field *field) {
    if (field->message == NULL && field->enumeration == NULL) {
        br_buffer_append_text(printer->out, br_wire_kind_name(field->kind));
        return;
    }
    const void *type = field->message != NULL ? (const void *)field->message : field->enumeration;
    const struct item *item = find_item(printer, type);
    const char *name = item != NULL             ? item->name
                       : field->message != NULL ? field->message->name
                                                : field->enumeration->name;
    br_buffer_printf(printer->out, ".%s", name);
}

static void print_default(struct printer *printer, const struct br_message_field *field) {
    struct br_slice text = field->default_value;
    if (text.len == 0)
        return;
    br_buffer_append_text(printer->out, " [default = ");
    if (field->kind == BR_PB_STRING) {
        br_buffer_append_byte(printer->out, '"');
        for (size_t i = 0; i < text.len; i++) {
            uint8_t c = text.ptr[i];
            if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
                br_buffer_printf(printer->out, "\\%03o", c);
            else
                br_buffer_append_byte(printer->out, c);
        }
        br_buffer_append_byte(printer->out, '"');
    } else if (field->kind == BR_PB_BYTES) { // escaped by protoc already
        br_buffer_printf(printer->out, "\"%.*s\"", (int)text.len, (const char *)text.ptr);
    } else {
        br_buffer_append_slice(printer->out, text);
    }
    br_buffer_append_text(printer->out, "]");
}

static void print_fields(struct printer *printer, const struct br_message_type *message, uint32_t depth);

static void print_field(struct printer *printer, const struct br_message_field *field, const char *name,
                        uint32_t depth) {
    indent(printer, depth);
    if (field->repeated && field->message != NULL && field->message->map_entry && field->message->field_count == 2) {
        br_buffer_append_text(printer->out, "map<");
        print_type(printer, &field->message->fields[0]);
        br_buffer_append_text(printer->out, ", ");
        print_type(printer, &field->message->fields[1]);
        br_buffer_printf(printer->out, "> %s = %u;\n", name, field->number);
        return;
    }
    bool plain_presence = field->has_presence && field->oneof_index < 0;
    if (field->repeated)
        br_buffer_append_text(printer->out, "repeated ");
    else if (field->oneof_index < 0 && (printer->proto2 || (plain_presence && field->kind != BR_PB_MESSAGE)))
        br_buffer_append_text(printer->out, "optional ");
    if (field->kind == BR_PB_GROUP && field->message != NULL) {
        const char *dot = strrchr(field->message->name, '.');
        br_buffer_printf(printer->out, "group %s = %u {\n", dot == NULL ? field->message->name : dot + 1,
                         field->number);
        print_fields(printer, field->message, depth + 1);
        indent(printer, depth);
        br_buffer_append_text(printer->out, "}\n");
        return;
    }
    print_type(printer, field);
    br_buffer_printf(printer->out, " %s = %u", name, field->number);
    print_default(printer, field);
    br_buffer_append_text(printer->out, ";\n");
}

static void print_oneof(struct printer *printer, const struct br_message_type *message, const char **names,
                        int32_t oneof, uint32_t depth) {
    indent(printer, depth);
    br_buffer_printf(printer->out, "oneof %s {\n", message->oneof_names[oneof]);
    for (uint32_t i = 0; i < message->field_count; i++)
        if (message->fields[i].oneof_index == oneof)
            print_field(printer, &message->fields[i], names[i], depth + 1);
    indent(printer, depth);
    br_buffer_append_text(printer->out, "}\n");
}

static void print_scope(struct printer *printer, const char *scope, size_t length, uint32_t depth);

static void print_reserved(struct printer *printer, const struct br_message_type *message, uint32_t depth) {
    for (uint32_t i = 0; i < message->reserved_number_count; i++) {
        if (i == 0)
            indent(printer, depth);
        br_buffer_printf(printer->out, "%s%u", i == 0 ? "reserved " : ", ", message->reserved_numbers[i]);
    }
    br_buffer_append_text(printer->out, message->reserved_number_count == 0 ? "" : ";\n");
    for (uint32_t i = 0; i < message->reserved_name_count; i++) {
        if (i == 0)
            indent(printer, depth);
        br_buffer_printf(printer->out, "%s\"%s\"", i == 0 ? "reserved " : ", ", message->reserved_names[i]);
    }
    br_buffer_append_text(printer->out, message->reserved_name_count == 0 ? "" : ";\n");
}

static void print_fields(struct printer *printer, const struct br_message_type *message, uint32_t depth) {
    const char **names = name_fields(printer, message);
    const struct item *item = find_item(printer, message);
    print_reserved(printer, message, depth);
    for (uint32_t i = 0; i < message->field_count; i++) {
        int32_t oneof = message->fields[i].oneof_index;
        bool first = true;
        for (uint32_t j = 0; oneof >= 0 && j < i; j++)
            first &= message->fields[j].oneof_index != oneof;
        if (item->comments.fields != NULL) // derived messages have no oneof
            print_comment(printer, item->comments.fields[i], depth);
        if (oneof < 0)
            print_field(printer, &message->fields[i], names[i], depth);
        else if (first)
            print_oneof(printer, message, names, oneof, depth);
    }
    print_scope(printer, item->name, strlen(item->name), depth);
}

static void print_enum(struct printer *printer, const struct br_enum_type *type, uint32_t depth) {
    bool alias = false;
    for (uint32_t i = 0; i < type->count && !alias; i++)
        for (uint32_t j = 0; j < i; j++)
            alias |= type->numbers[i] == type->numbers[j];
    if (alias) {
        indent(printer, depth);
        br_buffer_append_text(printer->out, "option allow_alias = true;\n");
    }
    for (uint32_t i = 0; i < type->count; i++) {
        indent(printer, depth);
        br_buffer_printf(printer->out, "%s = %d;\n", type->names[i], type->numbers[i]);
    }
}

static bool same_component(const char *a, const char *b, size_t length) {
    return strncmp(a, b, length) == 0 && (a[length] == '.' || a[length] == '\0') &&
           (b[length] == '.' || b[length] == '\0');
}

// Everything whose name lies under scope[0..length), each next component once, in the order of the items.
static void print_scope(struct printer *printer, const char *scope, size_t length, uint32_t depth) {
    size_t skip = length == 0 ? 0 : length + 1;
    for (uint32_t i = 0; i < printer->count; i++) {
        const char *name = printer->items[i].name;
        if (!is_under(name, scope, length))
            continue;
        size_t component = skip + strcspn(name + skip, ".");
        const struct item *exact = NULL;
        bool done = false;
        for (uint32_t j = 0; j < printer->count; j++) {
            if (!same_component(printer->items[j].name, name, component))
                continue;
            done |= j < i;
            if (printer->items[j].name[component] == '\0')
                exact = &printer->items[j];
        }
        bool hidden = exact != NULL && (exact->inner_group || (exact->message != NULL && exact->message->map_entry));
        if (done || hidden)
            continue;
        if (depth == 0)
            br_buffer_append_text(printer->out, "\n");
        if (exact != NULL)
            print_comment(printer, exact->comments.message, depth);
        indent(printer, depth);
        bool is_enum = exact != NULL && exact->enumeration != NULL;
        br_buffer_printf(printer->out, "%s %.*s {\n", is_enum ? "enum" : "message", (int)(component - skip),
                         name + skip);
        if (is_enum)
            print_enum(printer, exact->enumeration, depth + 1);
        else if (exact != NULL)
            print_fields(printer, exact->message, depth + 1);
        else
            print_scope(printer, br_arena_strndup(printer->arena, name, component), component, depth + 1);
        indent(printer, depth);
        br_buffer_append_text(printer->out, "}\n");
    }
}

void br_descriptors_print_proto(const struct br_message_type *const *messages,
                                const struct br_message_comments *comments, uint32_t count, const char *package,
                                struct br_buffer *out) {
    struct printer printer = {.arena = br_arena_create(), .out = out};
    for (uint32_t i = 0; i < count; i++) {
        struct item item = {.message = messages[i]};
        if (comments != NULL)
            item.comments = comments[i];
        add_item(&printer, item);
    }
    collect(&printer);
    name_items(&printer);
    const char *scope = *package == '\0' ? "" : identifier_of(printer.arena, package, true);
    size_t length = shared_package(&printer, scope);
    br_buffer_printf(out, "syntax = \"%s\";\n", printer.proto2 ? "proto2" : "proto3");
    if (length != 0)
        br_buffer_printf(out, "\npackage %.*s;\n", (int)length, scope);
    if (printer.import_count != 0)
        br_buffer_append_text(out, "\n");
    for (uint32_t i = 0; i < printer.import_count; i++)
        br_buffer_printf(out, "import \"%s\";\n", printer.imports[i]);
    print_scope(&printer, scope, length, 0);
    free(printer.items);
    free(printer.imports);
    br_arena_destroy(&printer.arena);
}
