// SPDX-License-Identifier: Apache-2.0
// What the codec's files share: the registry of types, names, and the way from a path to the field that bears a value.
#ifndef BR_PROCESSOR_CODEC_CODEC_INTERNAL_H
#define BR_PROCESSOR_CODEC_CODEC_INTERNAL_H

#include "processor/codec/descriptors.h"
#include "processor/codec/wire.h"

#define BR_COLUMNS_MAX 4096                         // of one decoder or encoder
#define BR_PROTO_DATE_MIN (-2440588)                // 4714-11-24 BC, PostgreSQL's first day
#define BR_PROTO_DATE_END 2145042906                // exclusive: 5874898-01-01
#define BR_PROTO_SECONDS_MIN INT64_C(-62135596800)  // 0001-01-01T00:00:00Z, Timestamp's first second
#define BR_PROTO_SECONDS_MAX INT64_C(253402300799)  // 9999-12-31T23:59:59Z
#define BR_PROTO_DURATION_MAX INT64_C(315576000000) // seconds, either sign

// One named type: exactly one of message and enumeration is given.
struct br_type_entry {
    const char *name;
    struct br_message_type *message;
    struct br_enum_type *enumeration;
};
struct br_type_list {
    struct br_type_entry *entries; // of a registry: ascending by name, each name once
    uint32_t count, capacity;
};
struct br_descriptors {
    struct br_arena *arena; // holds names and types
    struct br_type_list types;
};
void br_type_list_append(struct br_type_list *list, struct br_type_entry entry);
struct br_type_entry *br_type_list_find(const struct br_type_list *list, const char *name); // of a sorted list
// Sorts what is new and merges it into the registry. BR_DATA: a name twice with different meanings.
enum br_status br_descriptors_merge(struct br_descriptors *descriptors, struct br_type_list *fresh,
                                    struct br_error *error) BR_MUST_CHECK;
void br_descriptors_add_well_known(struct br_descriptors *descriptors);
void br_message_sort_fields(struct br_message_type *message);

bool br_is_identifier(struct br_slice name); // [A-Za-z_][A-Za-z0-9_]*
// The name that looks most like `name`, case aside; NULL when none is near.
struct br_nearest {
    struct br_slice name;
    const char *best;
    uint32_t best_distance;
};
struct br_nearest br_nearest_begin(struct br_slice name);
void br_nearest_try(struct br_nearest *nearest, const char *candidate);

// What kind of message a field holds, for the types that SQL has a type for.
enum br_well_known {
    BR_WELL_KNOWN_NONE,
    BR_WELL_KNOWN_TIMESTAMP,
    BR_WELL_KNOWN_DURATION,
    BR_WELL_KNOWN_WRAPPER, // also google.type.Decimal: one field, number 1, that bears the value
};
enum br_well_known br_message_well_known(const struct br_message_type *message);

// A path as the fields that lead to its value: wrappers are followed into their value. The last field is a scalar,
// Timestamp or Duration.
struct br_field_chain {
    const struct br_message_field *fields[BR_WIRE_NESTING_MAX];
    uint32_t count;
    bool decimal; // the value of a google.type.Decimal, where '' is zero
};
// The chain without the wrapper's value.
enum br_status br_path_walk(const struct br_message_type *message, const char *path, struct br_field_chain *chain,
                            struct br_error *error) BR_MUST_CHECK;
// BR_DATA: no such path, or a column of `type` can't be read from it; the message says what could be.
enum br_status br_field_chain_find(const struct br_message_type *message, const char *path, enum br_type type,
                                   struct br_field_chain *ret_chain, struct br_error *error) BR_MUST_CHECK;
const char *br_field_kind_text(const struct br_message_field *field); // the same, or its type's full name
enum br_wire_type br_wire_type_of(enum br_wire_kind kind);            // of one value, not packed

#endif
