// SPDX-License-Identifier: Apache-2.0
// Protobuf descriptors: FileDescriptorSets from protoc, messages derived from column lists, and .proto text for both.
//
// A descriptor set is untrusted input: every index, name and recursion in it is checked, errors are BR_DATA and name
// the file and the thing. A set that is refused leaves nothing behind. A type may come again (sets that share imports)
// when it is the same. Not read: editions, extensions. Names and types live as long as the struct br_descriptors, which
// belongs to one thread while it is added to and may then be read by any.
#ifndef BR_PROCESSOR_CODEC_DESCRIPTORS_H
#define BR_PROCESSOR_CODEC_DESCRIPTORS_H

#include "processor/expr/types.h"

struct br_descriptors;
struct br_message_type;

enum br_wire_kind { // protobuf's field types
    BR_PB_DOUBLE = 1,
    BR_PB_FLOAT,
    BR_PB_INT64,
    BR_PB_UINT64,
    BR_PB_INT32,
    BR_PB_FIXED64,
    BR_PB_FIXED32,
    BR_PB_BOOL,
    BR_PB_STRING,
    BR_PB_GROUP,
    BR_PB_MESSAGE,
    BR_PB_BYTES,
    BR_PB_UINT32,
    BR_PB_ENUM,
    BR_PB_SFIXED32,
    BR_PB_SFIXED64,
    BR_PB_SINT32,
    BR_PB_SINT64,
};
struct br_enum_type {
    const char *name;
    int32_t *numbers; // in the order of the file; the first name of a number is the one that is printed
    const char **names;
    uint32_t count;
    const char *file; // the .proto that declares it
};
struct br_message_field {
    const char *name; // of a derived message: the column's name, which need not be a protobuf identifier
    uint32_t number;
    enum br_wire_kind kind;
    bool repeated;     // also maps; not readable as a column
    bool has_presence; // absent means NULL (proto2, proto3 optional, message, oneof); else absent means the type's zero
    int32_t oneof_index;                   // -1: none; a later member on the wire clears the earlier ones
    const struct br_message_type *message; // MESSAGE and GROUP
    const struct br_enum_type *enumeration;
    struct br_slice default_value; // proto2's [default = …] as text; len 0: none
};
struct br_message_type {
    const char *name;                // full: "shop.v2.Order"
    struct br_message_field *fields; // ascending by number
    uint32_t field_count;
    bool derived;
    bool map_entry;           // made by protoc for a map field
    const char **oneof_names; // by oneof_index
    uint32_t oneof_count;
    const char *file; // the .proto that declares it, NULL when derived
    // Of a derived message: numbers and names that no field may have any more.
    const uint32_t *reserved_numbers; // ascending
    uint32_t reserved_number_count;
    const char *const *reserved_names;
    uint32_t reserved_name_count;
};

struct br_descriptors *br_descriptors_create(void);
void br_descriptors_destroy(struct br_descriptors **descriptors);
// Adds the files of a serialized FileDescriptorSet (protoc --include_imports --descriptor_set_out). google.protobuf's
// well-known types need not be in it.
enum br_status br_descriptors_add_set(struct br_descriptors *descriptors, struct br_slice bytes, const char *origin,
                                      struct br_error *error) BR_MUST_CHECK;
// NULL when there is none. nearest: a hint for the error, NULL when nothing is near.
const struct br_message_type *br_descriptors_find(const struct br_descriptors *descriptors, const char *full_name);
const char *br_descriptors_nearest(const struct br_descriptors *descriptors, const char *full_name);
// The messages in the order of their names; NULL past the last one.
const struct br_message_type *br_descriptors_message_at(const struct br_descriptors *descriptors, uint32_t index);
const struct br_message_field *br_message_find_field(const struct br_message_type *message, const char *name);
// The field at a dotted path ("order.customer.name"); BR_DATA names the first component that isn't there, with the
// nearest name. A field whose name is the whole rest of the path (a derived message's column "a.b") goes before a
// sub-message.
enum br_status br_message_find_path(const struct br_message_type *message, const char *path,
                                    const struct br_message_field **ret_field, struct br_error *error) BR_MUST_CHECK;
// The SQL type that a field is read as (Timestamp, wrappers, google.type.Decimal, enum → text, uint64 → numeric …);
// BR_UNKNOWN for a message that is no scalar, repeated fields and maps.
enum br_type br_field_sql_type(const struct br_message_field *field);
// May a column of `type` be read from this field? (numeric from any number, string or Decimal; bigint from int32,
// uint32, …; timestamptz from Timestamp, or from int64 as microseconds or string as text; date from string or int32
// days; interval from string or google.protobuf.Duration; text from string and enum.)
bool br_field_fits(const struct br_message_field *field, enum br_type type);

// The field numbers of a derived message, when they aren't those of the columns' order. Borrowed as long as the
// descriptors live, but for `numbers`.
struct br_derived_numbers {
    const uint32_t *numbers;          // one for each field: 1 to BR_WIRE_NUMBER_MAX, each once
    const uint32_t *reserved_numbers; // ascending
    uint32_t reserved_number_count;
    const char *const *reserved_names;
    uint32_t reserved_name_count;
};
// A message derived from columns: proto3, field numbers in their order from 1 unless `numbers` (may be NULL) says
// otherwise, every scalar `optional`. boolean bool, integer int32, bigint int64, numeric string (decimal text), double
// double, text string, bytea bytes, timestamptz google.protobuf.Timestamp, date string (ISO), interval string. BR_DATA
// when the name is taken.
enum br_status br_descriptors_derive(struct br_descriptors *descriptors, const char *full_name,
                                     const char *const *names, const enum br_type *types, uint32_t count,
                                     const struct br_derived_numbers *numbers,
                                     const struct br_message_type **ret_message, struct br_error *error) BR_MUST_CHECK;
enum br_wire_kind br_derived_kind(enum br_type type);  // of a derived field; BR_PB_MESSAGE: google.protobuf.Timestamp
const char *br_wire_kind_name(enum br_wire_kind kind); // as .proto files spell it
// What stands above a message and its fields.
struct br_message_comments {
    const char *message;       // NULL: nothing
    const char *const *fields; // by field; NULL: nothing above any, or above this one
};
// A .proto file with the given messages (and the enums and messages they need that are not well-known), for `braid
// schema export`; compiles with protoc. comments: by message; NULL: none.
void br_descriptors_print_proto(const struct br_message_type *const *messages,
                                const struct br_message_comments *comments, uint32_t count, const char *package,
                                struct br_buffer *out);

#endif
