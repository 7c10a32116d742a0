// SPDX-License-Identifier: Apache-2.0
// The registry of message and enum types: create, find, derive. See descriptors.h; descriptor_set.c reads what protoc
// writes, field_types.c says how fields become SQL values.
#include "processor/codec/codec_internal.h"

#define DERIVED_FIELDS_MAX 10000

void br_type_list_append(struct br_type_list *list, struct br_type_entry entry) {
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 32 : list->capacity * 2;
        list->entries = br_realloc(list->entries, list->capacity * sizeof *list->entries);
    }
    list->entries[list->count++] = entry;
}

struct br_type_entry *br_type_list_find(const struct br_type_list *list, const char *name) {
    uint32_t low = 0, high = list->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(list->entries[middle].name, name);
        if (order == 0)
            return &list->entries[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct br_type_entry *)a)->name, ((const struct br_type_entry *)b)->name);
}

static const char *type_name_of(const struct br_message_field *field) {
    if (field->message != NULL)
        return field->message->name;
    return field->enumeration != NULL ? field->enumeration->name : "";
}

static bool same_field(const struct br_message_field *a, const struct br_message_field *b) {
    return a->number == b->number && strcmp(a->name, b->name) == 0 && a->kind == b->kind &&
           a->repeated == b->repeated && a->has_presence == b->has_presence &&
           (a->oneof_index >= 0) == (b->oneof_index >= 0) && strcmp(type_name_of(a), type_name_of(b)) == 0;
}

static bool same_type(const struct br_type_entry *a, const struct br_type_entry *b) {
    if ((a->message != NULL) != (b->message != NULL))
        return false;
    if (a->message != NULL) {
        const struct br_message_type *x = a->message, *y = b->message;
        if (x->field_count != y->field_count || x->derived != y->derived || x->map_entry != y->map_entry)
            return false;
        for (uint32_t i = 0; i < x->field_count; i++)
            if (!same_field(&x->fields[i], &y->fields[i]))
                return false;
        return true;
    }
    const struct br_enum_type *x = a->enumeration, *y = b->enumeration;
    if (x->count != y->count)
        return false;
    for (uint32_t i = 0; i < x->count; i++)
        if (x->numbers[i] != y->numbers[i] || strcmp(x->names[i], y->names[i]) != 0)
            return false;
    return true;
}

static const char *file_of(const struct br_type_entry *entry) {
    const char *file = entry->message != NULL ? entry->message->file : entry->enumeration->file;
    return file != NULL ? file : "the types that are derived from columns";
}

static enum br_status twice(const struct br_type_entry *a, const struct br_type_entry *b, struct br_error *error) {
    return br_error_set(error, BR_DATA,
                        "%s is defined twice and not alike, by %s and by %s: use descriptor sets of one version",
                        a->name, file_of(a), file_of(b));
}

enum br_status br_descriptors_merge(struct br_descriptors *descriptors, struct br_type_list *fresh,
                                    struct br_error *error) {
    struct br_type_list merged = {0};
    const struct br_type_list *old = &descriptors->types;
    if (fresh->count != 0)
        qsort(fresh->entries, fresh->count, sizeof *fresh->entries, by_name);
    for (uint32_t i = 0, j = 0; i < old->count || j < fresh->count;) {
        int order = i == old->count ? 1 : j == fresh->count ? -1 : by_name(&old->entries[i], &fresh->entries[j]);
        const struct br_type_entry *next = order <= 0 ? &old->entries[i] : &fresh->entries[j];
        const struct br_type_entry *last = merged.count == 0 ? NULL : &merged.entries[merged.count - 1];
        i += order <= 0;
        j += order > 0;
        if (last == NULL || strcmp(last->name, next->name) != 0) {
            br_type_list_append(&merged, *next);
        } else if (!same_type(last, next)) {
            enum br_status status = twice(last, next, error);
            free(merged.entries);
            return status;
        }
    }
    free(descriptors->types.entries);
    descriptors->types = merged;
    return BR_OK;
}

static int by_number(const void *a, const void *b) {
    uint32_t x = ((const struct br_message_field *)a)->number, y = ((const struct br_message_field *)b)->number;
    return (x > y) - (x < y);
}

void br_message_sort_fields(struct br_message_type *message) {
    if (message->field_count != 0)
        qsort(message->fields, message->field_count, sizeof *message->fields, by_number);
}

struct br_descriptors *br_descriptors_create(void) {
    struct br_descriptors *descriptors = br_calloc(1, sizeof *descriptors);
    descriptors->arena = br_arena_create();
    br_descriptors_add_well_known(descriptors);
    return descriptors;
}

void br_descriptors_destroy(struct br_descriptors **descriptors) {
    if (*descriptors == NULL)
        return;
    free((*descriptors)->types.entries);
    br_arena_destroy(&(*descriptors)->arena);
    free(*descriptors);
    *descriptors = NULL;
}

const struct br_message_type *br_descriptors_find(const struct br_descriptors *descriptors, const char *full_name) {
    const struct br_type_entry *entry = br_type_list_find(&descriptors->types, full_name);
    return entry == NULL ? NULL : entry->message;
}

const struct br_message_type *br_descriptors_message_at(const struct br_descriptors *descriptors, uint32_t index) {
    for (uint32_t i = 0; i < descriptors->types.count; i++) // enums stand between them
        if (descriptors->types.entries[i].message != NULL && index-- == 0)
            return descriptors->types.entries[i].message;
    return NULL;
}

static const char *last_component(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot == NULL ? name : dot + 1;
}

const char *br_descriptors_nearest(const struct br_descriptors *descriptors, const char *full_name) {
    struct br_nearest whole = br_nearest_begin(br_slice_of(full_name));
    struct br_nearest last = br_nearest_begin(br_slice_of(last_component(full_name)));
    const char *by_last = NULL;
    for (uint32_t i = 0; i < descriptors->types.count; i++) {
        const struct br_type_entry *entry = &descriptors->types.entries[i];
        if (entry->message == NULL || entry->message->map_entry)
            continue;
        br_nearest_try(&whole, entry->name);
        const char *before = last.best;
        br_nearest_try(&last, last_component(entry->name));
        if (last.best != before)
            by_last = entry->name;
    }
    // A slip in one component goes before the right last component in another package.
    return whole.best != NULL && whole.best_distance <= last.best_distance + 2 ? whole.best : by_last;
}

const struct br_message_field *br_message_find_field(const struct br_message_type *message, const char *name) {
    for (uint32_t i = 0; i < message->field_count; i++)
        if (strcmp(message->fields[i].name, name) == 0)
            return &message->fields[i];
    return NULL;
}

enum br_wire_kind br_derived_kind(enum br_type type) {
    switch (type) {
    case BR_BOOLEAN:
        return BR_PB_BOOL;
    case BR_INTEGER:
        return BR_PB_INT32;
    case BR_BIGINT:
        return BR_PB_INT64;
    case BR_DOUBLE:
        return BR_PB_DOUBLE;
    case BR_BYTEA:
        return BR_PB_BYTES;
    case BR_TIMESTAMPTZ:
        return BR_PB_MESSAGE;
    case BR_NUMERIC:
    case BR_TEXT:
    case BR_DATE:
    case BR_INTERVAL:
        return BR_PB_STRING;
    case BR_UNKNOWN:
    case BR_TYPE_COUNT:
        break;
    }
    BR_CHECK(false); // a column has a type
    return BR_PB_STRING;
}

enum br_status br_descriptors_derive(struct br_descriptors *descriptors, const char *full_name,
                                     const char *const *names, const enum br_type *types, uint32_t count,
                                     const struct br_derived_numbers *numbers,
                                     const struct br_message_type **ret_message, struct br_error *error) {
    if (br_type_list_find(&descriptors->types, full_name) != NULL)
        return br_error_set(error, BR_DATA,
                            "a message %s is there already (in the descriptor set, or another table or view): give "
                            "this one another name",
                            full_name);
    if (count > DERIVED_FIELDS_MAX)
        return br_error_set(error, BR_DATA, "%s has %u columns; a derived message holds at most %d", full_name, count,
                            DERIVED_FIELDS_MAX);
    struct br_message_type *message = br_arena_new(descriptors->arena, struct br_message_type);
    message->name = br_arena_strdup(descriptors->arena, full_name);
    message->fields = br_arena_array(descriptors->arena, struct br_message_field, count);
    message->derived = true;
    for (uint32_t i = 0; i < count; i++) {
        struct br_message_field *field = &message->fields[i];
        if (br_message_find_field(message, names[i]) != NULL)
            return br_error_set(error, BR_DATA, "%s has two columns named \"%s\": rename one with AS", full_name,
                                names[i]);
        *field = (struct br_message_field){.name = br_arena_strdup(descriptors->arena, names[i]),
                                           .number = numbers == NULL ? i + 1 : numbers->numbers[i],
                                           .kind = br_derived_kind(types[i]),
                                           .has_presence = true,
                                           .oneof_index = -1};
        if (field->kind == BR_PB_MESSAGE)
            field->message = br_descriptors_find(descriptors, "google.protobuf.Timestamp");
        message->field_count = i + 1;
    }
    if (numbers != NULL) {
        br_message_sort_fields(message);
        message->reserved_numbers = numbers->reserved_numbers;
        message->reserved_number_count = numbers->reserved_number_count;
        message->reserved_names = numbers->reserved_names;
        message->reserved_name_count = numbers->reserved_name_count;
    }
    struct br_type_list fresh = {0};
    br_type_list_append(&fresh, (struct br_type_entry){.name = message->name, .message = message});
    enum br_status status = br_descriptors_merge(descriptors, &fresh, error);
    free(fresh.entries);
    if (status == BR_OK)
        *ret_message = message;
    return status;
}
