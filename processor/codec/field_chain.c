// SPDX-License-Identifier: Apache-2.0
// From a column's path to the field that bears its value. See codec_internal.h.
#include "processor/codec/codec_internal.h"

enum br_status br_field_chain_find(const struct br_message_type *message, const char *path, enum br_type type,
                                   struct br_field_chain *ret_chain, struct br_error *error) {
    BR_TRY(br_path_walk(message, path, ret_chain, error));
    const struct br_message_field *field = ret_chain->fields[ret_chain->count - 1];
    if (!br_field_fits(field, type)) {
        enum br_type natural = br_field_sql_type(field);
        if (natural == BR_UNKNOWN)
            return br_error_set(error, BR_DATA, "field \"%s\" of message %s is %s%s, which no column can hold%s", path,
                                message->name, field->repeated ? "repeated " : "", br_field_kind_text(field),
                                field->repeated ? "" : ": name a field within it by a dotted path");
        return br_error_set(error, BR_DATA,
                            "field \"%s\" of message %s is %s, which a %s column can't hold; it is a %s", path,
                            message->name, br_field_kind_text(field), br_type_name(type), br_type_name(natural));
    }
    if (field->kind == BR_PB_MESSAGE && br_message_well_known(field->message) == BR_WELL_KNOWN_WRAPPER) {
        ret_chain->decimal = strcmp(field->message->name, "google.type.Decimal") == 0;
        ret_chain->fields[ret_chain->count++] = &field->message->fields[0];
    }
    return BR_OK;
}
