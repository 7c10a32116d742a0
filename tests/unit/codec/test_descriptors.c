// SPDX-License-Identifier: Apache-2.0
#include "helpers.h"

#include <unistd.h>

static struct br_error error;

static const struct br_message_field *field_at(const struct br_message_type *message, const char *path) {
    const struct br_message_field *field = NULL;
    cr_assert_eq(br_message_find_path(message, path, &field, &error), BR_OK, "%s", error.message);
    return field;
}

Test(descriptors, a_message_is_found_by_its_full_name_alone) {
    struct br_descriptors *d = everything();
    cr_assert_not_null(br_descriptors_find(d, "test.v1.Everything"));
    cr_assert_not_null(br_descriptors_find(d, "test.v1.Everything.Inner.Deep"));
    cr_assert_not_null(br_descriptors_find(d, "test.v0.Legacy.Part.Sub"));
    cr_assert_null(br_descriptors_find(d, "Everything"));
    cr_assert_null(br_descriptors_find(d, "test.v1.Color"));
    br_descriptors_destroy(&d);
    cr_assert_null(d);
}

Test(descriptors, well_known_types_are_there_without_any_set) {
    struct br_descriptors *d = br_descriptors_create();
    static const char *const names[] = {"Timestamp", "Duration", "StringValue", "Struct", "Any", "Empty", "Value"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char full[64];
        snprintf(full, sizeof full, "google.protobuf.%s", names[i]);
        cr_assert_not_null(br_descriptors_find(d, full), "%s", full);
    }
    br_descriptors_destroy(&d);
}

Test(descriptors, the_nearest_message_is_a_hint) {
    struct br_descriptors *d = everything();
    cr_assert_str_eq(br_descriptors_nearest(d, "test.v1.Everythin"), "test.v1.Everything");
    cr_assert_str_eq(br_descriptors_nearest(d, "Everything"), "test.v1.Everything");
    cr_assert_str_eq(br_descriptors_nearest(d, "test.v2.legacy"), "test.v0.Legacy");
    cr_assert_null(br_descriptors_nearest(d, "zzzzzzzzzzzzzzzz"));
    br_descriptors_destroy(&d);
}

Test(descriptors, proto3_presence_follows_optional_message_and_oneof) {
    struct br_descriptors *d = everything();
    const struct br_message_type *m = br_descriptors_find(d, "test.v1.Everything");
    cr_assert_not(field_at(m, "an_int64")->has_presence);
    cr_assert_not(field_at(m, "a_color")->has_presence);
    cr_assert(field_at(m, "maybe_int64")->has_presence);
    cr_assert_eq(field_at(m, "maybe_int64")->oneof_index, -1, "a synthetic oneof is none");
    cr_assert(field_at(m, "inner")->has_presence);
    cr_assert(field_at(m, "left")->has_presence);
    cr_assert_eq(field_at(m, "left")->oneof_index, field_at(m, "right")->oneof_index);
    cr_assert_geq(field_at(m, "left")->oneof_index, 0);
    cr_assert_str_eq(m->oneof_names[field_at(m, "left")->oneof_index], "choice");
    cr_assert(field_at(m, "counts")->repeated);
    cr_assert(field_at(m, "counts")->message->map_entry);
    br_descriptors_destroy(&d);
}

Test(descriptors, proto2_fields_have_presence_and_defaults) {
    struct br_descriptors *d = everything();
    const struct br_message_type *m = br_descriptors_find(d, "test.v0.Legacy");
    cr_assert(field_at(m, "id")->has_presence);
    cr_assert(br_slice_is(field_at(m, "label")->default_value, "say \"hi\"\n"));
    cr_assert(br_slice_is(field_at(m, "size")->default_value, "LARGE"));
    cr_assert_eq(field_at(m, "part")->kind, BR_PB_GROUP);
    cr_assert_eq(field_at(m, "part.sub.deep")->kind, BR_PB_BOOL);
    br_descriptors_destroy(&d);
}

Test(descriptors, fields_have_the_sql_type_of_their_kind) {
    struct br_descriptors *d = everything();
    const struct br_message_type *m = br_descriptors_find(d, "test.v1.Everything");
    static const struct {
        const char *path;
        enum br_type type;
    } cases[] = {{"a_double", BR_DOUBLE},
                 {"a_float", BR_DOUBLE},
                 {"an_int64", BR_BIGINT},
                 {"a_uint64", BR_NUMERIC},
                 {"an_int32", BR_INTEGER},
                 {"a_fixed64", BR_NUMERIC},
                 {"a_fixed32", BR_BIGINT},
                 {"a_bool", BR_BOOLEAN},
                 {"a_string", BR_TEXT},
                 {"a_bytes", BR_BYTEA},
                 {"a_uint32", BR_BIGINT},
                 {"a_color", BR_TEXT},
                 {"an_sfixed32", BR_INTEGER},
                 {"an_sfixed64", BR_BIGINT},
                 {"an_sint32", BR_INTEGER},
                 {"an_sint64", BR_BIGINT},
                 {"at", BR_TIMESTAMPTZ},
                 {"took", BR_INTERVAL},
                 {"wrapped_string", BR_TEXT},
                 {"wrapped_int64", BR_BIGINT},
                 {"wrapped_bool", BR_BOOLEAN},
                 {"many", BR_UNKNOWN},
                 {"counts", BR_UNKNOWN},
                 {"inner", BR_UNKNOWN},
                 {"inner.deep.kind", BR_TEXT},
                 {"wrapped_double", BR_DOUBLE},
                 {"legacy.part", BR_UNKNOWN},
                 {"inners", BR_UNKNOWN},
                 {"wrapped_int64.value", BR_BIGINT}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct br_message_field *field = field_at(m, cases[i].path);
        cr_assert_eq(br_field_sql_type(field), cases[i].type, "%s", cases[i].path);
        cr_assert(cases[i].type == BR_UNKNOWN || br_field_fits(field, cases[i].type), "%s", cases[i].path);
    }
    br_descriptors_destroy(&d);
}

Test(descriptors, a_column_type_fits_where_no_meaning_is_lost) {
    struct br_descriptors *d = everything();
    const struct br_message_type *m = br_descriptors_find(d, "test.v1.Everything");
    cr_assert(br_field_fits(field_at(m, "a_string"), BR_NUMERIC));
    cr_assert(br_field_fits(field_at(m, "a_string"), BR_INTERVAL));
    cr_assert(br_field_fits(field_at(m, "an_int64"), BR_TIMESTAMPTZ));
    cr_assert(br_field_fits(field_at(m, "an_int32"), BR_DATE));
    cr_assert(br_field_fits(field_at(m, "an_int32"), BR_BIGINT));
    cr_assert(br_field_fits(field_at(m, "a_double"), BR_NUMERIC));
    cr_assert_not(br_field_fits(field_at(m, "a_string"), BR_BIGINT));
    cr_assert_not(br_field_fits(field_at(m, "a_bytes"), BR_TEXT));
    cr_assert_not(br_field_fits(field_at(m, "many"), BR_INTEGER));
    cr_assert_not(br_field_fits(field_at(m, "inner"), BR_TEXT));
    cr_assert_not(br_field_fits(field_at(m, "a_uint64"), BR_TIMESTAMPTZ));
    br_descriptors_destroy(&d);
}

Test(descriptors, a_path_that_leads_nowhere_names_the_component_and_the_nearest_one) {
    struct br_descriptors *d = everything();
    const struct br_message_type *m = br_descriptors_find(d, "test.v1.Everything");
    const struct br_message_field *field = NULL;
    cr_assert_eq(br_message_find_path(m, "inner.deep.kinds", &field, &error), BR_DATA);
    cr_assert_contains(error.message, "test.v1.Everything.Inner.Deep has no field \"kinds\"; did you mean \"kind\"?");
    cr_assert_eq(br_message_find_path(m, "a_string.length", &field, &error), BR_DATA);
    cr_assert_contains(error.message, "\"a_string\"");
    cr_assert_eq(br_message_find_path(m, "inners.name", &field, &error), BR_DATA);
    cr_assert_contains(error.message, "repeated");
    cr_assert_eq(br_message_find_path(m, "", &field, &error), BR_DATA);
    cr_assert_eq(br_message_find_path(m, "inner..name", &field, &error), BR_DATA);
    cr_assert_eq(br_message_find_path(m, "inner.", &field, &error), BR_DATA);
    br_descriptors_destroy(&d);
}

Test(descriptors, a_path_of_a_thousand_components_is_refused) {
    struct br_descriptors *d = everything();
    struct br_buffer path = {0};
    for (int i = 0; i < 1000; i++)
        br_buffer_append_text(&path, "self.");
    br_buffer_append(&path, "an_int32", 9);
    const struct br_message_field *field = NULL;
    const struct br_message_type *m = br_descriptors_find(d, "test.v1.Everything");
    cr_assert_eq(br_message_find_path(m, (const char *)path.ptr, &field, &error), BR_DATA);
    br_buffer_free(&path);
    br_descriptors_destroy(&d);
}

Test(descriptors, the_same_set_may_be_added_twice) {
    struct br_descriptors *d = everything();
    const struct br_message_type *m = br_descriptors_find(d, "test.v1.Everything");
    struct br_slice set = {everything_set, sizeof everything_set};
    cr_assert_eq(br_descriptors_add_set(d, set, "again.pb", &error), BR_OK, "%s", error.message);
    cr_assert_eq(br_descriptors_find(d, "test.v1.Everything"), m);
    br_descriptors_destroy(&d);
}

// A set with one proto3 file: package p, message M with the given field descriptors.
static struct br_buffer one_message(const char *package, const char *name, struct br_buffer *fields, size_t count) {
    struct br_buffer message = {0}, file = {0}, set = {0};
    put_text(&message, 1, name);
    for (size_t i = 0; i < count; i++)
        put_message(&message, 2, &fields[i]);
    put_text(&file, 1, "m.proto");
    put_text(&file, 2, package);
    put_message(&file, 4, &message);
    put_text(&file, 12, "proto3");
    put_message(&set, 1, &file);
    return set;
}
static struct br_buffer one_field(const char *name, uint64_t number, uint64_t type, const char *type_name) {
    struct br_buffer field = {0};
    put_text(&field, 1, name);
    put_varint(&field, 3, number);
    put_varint(&field, 4, 1);
    put_varint(&field, 5, type);
    if (type_name != NULL)
        put_text(&field, 6, type_name);
    return field;
}
static void refused(struct br_buffer set, const char *part) {
    struct br_descriptors *d = br_descriptors_create();
    cr_assert_eq(br_descriptors_add_set(d, br_buffer_slice(&set), "bad.pb", &error), BR_DATA, "%s", part);
    cr_assert_contains(error.message, part);
    cr_assert_contains(error.message, "bad.pb");
    cr_assert_null(br_descriptors_find(d, "p.M"), "nothing is left behind");
    br_descriptors_destroy(&d);
    br_buffer_free(&set);
}

Test(descriptors, a_set_that_lies_is_refused_and_leaves_nothing_behind) {
    struct br_buffer f[2];
    f[0] = one_field("x", 1, 11, ".p.Missing");
    refused(one_message("p", "M", f, 1), "p.Missing, which isn't in the set");
    f[0] = one_field("x", 1, 11, "Missing");
    refused(one_message("p", "M", f, 1), "leading dot");
    f[0] = one_field("x", 0, 5, NULL);
    refused(one_message("p", "M", f, 1), "field number");
    f[0] = one_field("x", 1u << 29, 5, NULL);
    refused(one_message("p", "M", f, 1), "field number");
    f[0] = one_field("x", 1, 77, NULL);
    refused(one_message("p", "M", f, 1), "type 77");
    f[0] = one_field("x", 1, 11, NULL);
    refused(one_message("p", "M", f, 1), "names no type");
    f[0] = one_field("x y", 1, 5, NULL);
    refused(one_message("p", "M", f, 1), "identifier");
    f[0] = one_field("x", 1, 14, ".google.protobuf.Timestamp");
    refused(one_message("p", "M", f, 1), "it is a message");
    f[0] = one_field("x", 1, 10, ".p.M");
    refused(one_message("p", "M", f, 1), "declared elsewhere");
    f[0] = one_field("x", 1, 5, NULL), f[1] = one_field("y", 1, 5, NULL);
    refused(one_message("p", "M", f, 2), "two fields with number 1");
    f[0] = one_field("x", 1, 5, NULL), f[1] = one_field("x", 2, 5, NULL);
    refused(one_message("p", "M", f, 2), "two fields named x");
    refused(one_message("p..q", "M", f, 0), "package");
    refused(one_message("p", "", f, 0), "identifier");
    refused((struct br_buffer){0}, "no files");
}

Test(descriptors, a_well_known_type_cannot_be_redefined) {
    struct br_buffer f = one_field("seconds", 1, 9, NULL);
    refused(one_message("google.protobuf", "Timestamp", &f, 1), "defined twice");
}

Test(descriptors, two_sets_that_disagree_are_refused) {
    struct br_descriptors *d = br_descriptors_create();
    struct br_buffer f = one_field("x", 1, 5, NULL);
    struct br_buffer set = one_message("p", "M", &f, 1);
    cr_assert_eq(br_descriptors_add_set(d, br_buffer_slice(&set), "a.pb", &error), BR_OK, "%s", error.message);
    br_buffer_free(&set);
    f = one_field("x", 1, 3, NULL);
    set = one_message("p", "M", &f, 1);
    cr_assert_eq(br_descriptors_add_set(d, br_buffer_slice(&set), "b.pb", &error), BR_DATA);
    cr_assert_contains(error.message, "p.M is defined twice");
    cr_assert_eq(br_field_sql_type(br_message_find_field(br_descriptors_find(d, "p.M"), "x")), BR_INTEGER);
    br_buffer_free(&set);
    br_descriptors_destroy(&d);
}

Test(descriptors, messages_nested_too_deep_are_refused) {
    struct br_buffer message = {0};
    put_text(&message, 1, "M");
    for (int i = 0; i < 200; i++) {
        struct br_buffer outer = {0};
        put_text(&outer, 1, "M");
        put_message(&outer, 3, &message);
        message = outer;
    }
    struct br_buffer file = {0}, set = {0};
    put_text(&file, 1, "m.proto");
    put_text(&file, 2, "p");
    put_message(&file, 4, &message);
    put_message(&set, 1, &file);
    refused(set, "nested deeper");
}

Test(descriptors, a_set_cut_anywhere_is_never_taken_for_whole) {
    for (size_t length = 1; length < sizeof everything_set; length++) {
        uint8_t *copy = br_alloc(length); // its own block, so that a read past the end is caught
        memcpy(copy, everything_set, length);
        struct br_descriptors *d = br_descriptors_create();
        enum br_status status = br_descriptors_add_set(d, (struct br_slice){copy, length}, "cut.pb", &error);
        // Cut between files it is a smaller set; Everything is in the last one.
        cr_assert(status == BR_DATA || br_descriptors_find(d, "test.v1.Everything") == NULL, "%zu", length);
        br_descriptors_destroy(&d);
        free(copy);
    }
}

Test(descriptors, random_changes_never_crash) {
    uint64_t seed = 42;
    uint8_t copy[sizeof everything_set];
    for (int round = 0; round < 2000; round++) {
        memcpy(copy, everything_set, sizeof copy);
        for (int i = 0; i < 4; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            copy[(seed >> 33) % sizeof copy] = (uint8_t)(seed >> 20);
        }
        struct br_descriptors *d = br_descriptors_create();
        if (br_descriptors_add_set(d, (struct br_slice){copy, sizeof copy}, "changed.pb", &error) == BR_OK)
            br_descriptors_find(d, "test.v1.Everything");
        br_descriptors_destroy(&d);
    }
}

static const char *const columns[] = {"id", "n", "big", "amount", "ratio", "raw", "at", "day", "span", "flag"};
static const enum br_type column_types[] = {BR_TEXT,  BR_INTEGER,     BR_BIGINT, BR_NUMERIC,  BR_DOUBLE,
                                            BR_BYTEA, BR_TIMESTAMPTZ, BR_DATE,   BR_INTERVAL, BR_BOOLEAN};

Test(descriptors, a_derived_message_numbers_its_columns_in_order_and_reads_them_back) {
    struct br_descriptors *d = br_descriptors_create();
    const struct br_message_type *m = NULL;
    cr_assert_eq(br_descriptors_derive(d, "shop.orders", columns, column_types, 10, NULL, &m, &error), BR_OK);
    cr_assert_eq(br_descriptors_find(d, "shop.orders"), m);
    for (uint32_t i = 0; i < 10; i++) {
        const struct br_message_field *field = field_at(m, columns[i]);
        cr_assert_eq(field->number, i + 1);
        cr_assert(field->has_presence);
        cr_assert(br_field_fits(field, column_types[i]));
    }
    br_descriptors_destroy(&d);
}

Test(descriptors, a_derived_name_that_is_taken_is_refused) {
    struct br_descriptors *d = everything();
    const struct br_message_type *m = NULL;
    cr_assert_eq(br_descriptors_derive(d, "test.v1.Everything", columns, column_types, 10, NULL, &m, &error), BR_DATA);
    cr_assert_eq(br_descriptors_derive(d, "test.v1.Color", columns, column_types, 10, NULL, &m, &error), BR_DATA);
    static const char *const twins[] = {"a", "a"};
    cr_assert_eq(br_descriptors_derive(d, "shop.t", twins, column_types, 2, NULL, &m, &error), BR_DATA);
    cr_assert_null(br_descriptors_find(d, "shop.t"));
    br_descriptors_destroy(&d);
}

Test(descriptors, a_column_name_with_a_dot_goes_before_a_sub_message) {
    struct br_descriptors *d = br_descriptors_create();
    const struct br_message_type *m = NULL;
    static const char *const names[] = {"a.b", "?column?"};
    cr_assert_eq(br_descriptors_derive(d, "shop.t", names, column_types, 2, NULL, &m, &error), BR_OK);
    cr_assert_eq(field_at(m, "a.b")->number, 1);
    cr_assert_eq(field_at(m, "?column?")->number, 2);
    br_descriptors_destroy(&d);
}

// Runs protoc over the text and loads what it makes.
static struct br_descriptors *through_protoc(struct br_buffer *text) {
    char folder[] = "/tmp/braid_proto_XXXXXX", path[128], command[512];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/x.proto", folder);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fwrite(text->ptr, 1, text->len, file);
    fclose(file);
    snprintf(command, sizeof command, "protoc -I %s --include_imports --descriptor_set_out=%s/x.pb %s", folder, folder,
             path);
    cr_assert_eq(system(command), 0, "protoc refuses:\n%.*s", (int)text->len, (const char *)text->ptr);
    snprintf(path, sizeof path, "%s/x.pb", folder);
    file = fopen(path, "r");
    uint8_t *bytes = br_alloc(1 << 20);
    size_t length = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    unlink(path);
    snprintf(path, sizeof path, "%s/x.proto", folder);
    unlink(path);
    rmdir(folder);
    struct br_descriptors *d = br_descriptors_create();
    cr_assert_eq(br_descriptors_add_set(d, (struct br_slice){bytes, length}, "x.pb", &error), BR_OK, "%s",
                 error.message);
    free(bytes);
    return d;
}

static void same_fields(const struct br_message_type *a, const struct br_message_type *b, int depth) {
    cr_assert_not_null(b, "%s", a->name);
    cr_assert_eq(a->field_count, b->field_count, "%s", a->name);
    for (uint32_t i = 0; i < a->field_count; i++) {
        const struct br_message_field *x = &a->fields[i], *y = &b->fields[i];
        cr_assert_str_eq(x->name, y->name);
        cr_assert(x->number == y->number && x->kind == y->kind && x->repeated == y->repeated &&
                      (x->oneof_index >= 0) == (y->oneof_index >= 0) &&
                      br_slice_equal(x->default_value, y->default_value),
                  "%s.%s", a->name, x->name);
        if (x->enumeration != NULL) {
            cr_assert_str_eq(x->enumeration->name, y->enumeration->name);
            for (uint32_t j = 0; j < x->enumeration->count; j++)
                cr_assert_str_eq(x->enumeration->names[j], y->enumeration->names[j]);
        }
        if (x->message != NULL && depth < 4)
            same_fields(x->message, y->message, depth + 1);
    }
}

Test(proto_text, a_derived_message_compiles_and_comes_back_the_same) {
    struct br_descriptors *d = br_descriptors_create();
    const struct br_message_type *messages[2] = {0};
    cr_assert_eq(br_descriptors_derive(d, "shop.orders", columns, column_types, 10, NULL, &messages[0], &error), BR_OK);
    cr_assert_eq(br_descriptors_derive(d, "shop.empty", NULL, NULL, 0, NULL, &messages[1], &error), BR_OK);
    static const char *const of_fields[10] = {[1] = "What it costs,\nin euros."};
    static const struct br_message_comments comments[2] = {{"Orders,\nas they come.", of_fields}};
    struct br_buffer text = {0};
    br_descriptors_print_proto(messages, comments, 2, "shop", &text);
    struct br_descriptors *back = through_protoc(&text);
    br_buffer_append_byte(&text, 0);
    cr_assert_contains((char *)text.ptr, "package shop;");
    cr_assert_contains((char *)text.ptr, "  // What it costs,\n  // in euros.\n  optional");
    cr_assert_contains((char *)text.ptr, "// as they come.\nmessage orders {");
    for (int i = 0; i < 2; i++)
        same_fields(messages[i], br_descriptors_find(back, messages[i]->name), 0);
    for (uint32_t i = 0; i < 10; i++)
        cr_assert(br_descriptors_find(back, "shop.orders")->fields[i].has_presence);
    br_buffer_free(&text);
    br_descriptors_destroy(&back);
    br_descriptors_destroy(&d);
}

Test(proto_text, sql_names_that_are_no_identifiers_still_compile) {
    struct br_descriptors *d = br_descriptors_create();
    const struct br_message_type *messages[3] = {0};
    static const char *const names[] = {"?column?", "total €", "a_1",    "a1", "A1",
                                        "1st",      "message", "option", "",   "a.b"};
    cr_assert_eq(br_descriptors_derive(d, "shop.My View", names, column_types, 10, NULL, &messages[0], &error), BR_OK);
    cr_assert_eq(br_descriptors_derive(d, "shop.My_View", names, column_types, 10, NULL, &messages[1], &error), BR_OK);
    cr_assert_eq(br_descriptors_derive(d, "shop.2nd", names, column_types, 10, NULL, &messages[2], &error), BR_OK);
    struct br_buffer text = {0};
    br_descriptors_print_proto(messages, NULL, 3, "shop", &text);
    struct br_descriptors *back = through_protoc(&text);
    const struct br_message_type *m = br_descriptors_find(back, "shop.My_View");
    cr_assert_not_null(m);
    for (uint32_t i = 0; i < 10; i++)
        cr_assert_eq(m->fields[i].kind, messages[0]->fields[i].kind);
    br_buffer_free(&text);
    br_descriptors_destroy(&back);
    br_descriptors_destroy(&d);
}

Test(proto_text, messages_of_a_set_compile_and_come_back_with_their_full_names) {
    struct br_descriptors *d = everything();
    static const char *const roots[] = {"test.v1.Everything", "test.v0.Legacy", "test.v1.Decimals"};
    static const char *const packages[] = {"test.v1", "test.v0", "test", "other", ""};
    for (size_t p = 0; p < 5; p++) {
        const struct br_message_type *messages[3];
        for (size_t i = 0; i < 3; i++)
            messages[i] = br_descriptors_find(d, roots[i]);
        struct br_buffer text = {0};
        br_descriptors_print_proto(messages, NULL, 3, packages[p], &text);
        struct br_descriptors *back = through_protoc(&text);
        for (size_t i = 0; i < 3; i++)
            same_fields(messages[i], br_descriptors_find(back, roots[i]), 0);
        br_descriptors_destroy(&back);
        br_buffer_free(&text);
    }
    br_descriptors_destroy(&d);
}

Test(proto_text, implicit_presence_stays_implicit_when_the_file_is_proto3) {
    struct br_descriptors *d = everything();
    const struct br_message_type *m = br_descriptors_find(d, "test.v1.Decimals");
    struct br_buffer text = {0};
    br_descriptors_print_proto(&m, NULL, 1, "test.v1", &text);
    struct br_descriptors *back = through_protoc(&text);
    const struct br_message_type *n = br_descriptors_find(back, "test.v1.Decimals");
    cr_assert_not(br_message_find_field(n, "amount")->has_presence);
    cr_assert(br_message_find_field(n, "maybe_amount")->has_presence);
    br_descriptors_destroy(&back);
    br_buffer_free(&text);
    br_descriptors_destroy(&d);
}
