// SPDX-License-Identifier: Apache-2.0
// Messages to columns. See columns.h and docs/formats/archive.md.
//
// An event is looked through before any of it is written: it either follows the rules below to its last byte, or is
// kept whole.
//
// C1. Tags, lengths and varints are as short as they can be; wire types are 0, 1, 2 and 5.
// C2. A field is taken apart further when the table's message type says that it is a (single) message, and its bytes
//     follow C1 too.
#include "replay/columns_internal.h"

#include <stdio.h>
#include <xxhash.h>

#define DICTIONARY_SLOTS_MIN 64

// Byte strings numbered in the order of their coming.
struct dictionary {
    struct br_buffer bytes;
    struct entry {
        size_t offset, len;
    } * entries;
    uint32_t count, capacity;
    uint32_t *slots; // number + 1; 0: free
    uint32_t slot_count;
    uint32_t last; // found or made last
};

// A place in the payload's tree: the field `tag` of the place `parent`.
struct place {
    uint32_t parent;
    uint64_t tag;
    enum step_kind kind; // BEGIN: has places below it; else has a column
    uint32_t column;
    const struct br_message_type *message; // BEGIN: of its fields; may be NULL
    uint32_t follower;                     // what came after it last time
};

struct value_column {
    enum step_kind kind;
    struct br_buffer data;    // varints as they are; bytes; fixed
    struct br_buffer deltas;  // varints: zigzag of the difference to the one before
    struct br_buffer lengths; // bytes
    uint64_t previous;
};

struct step { // one field of the event being looked through
    uint32_t place;
    enum step_kind kind;
    struct br_slice value; // FIXED*, BYTES
    uint64_t number;       // VARINT
};

struct br_block_builder {
    bool framed;
    const struct br_message_type *message;
    size_t count, payload_bytes;
    uint64_t last_sequence;
    int64_t last_time_us;
    struct br_buffer sequences, times, subjects, headers, events, shapes; // one entry per message (shapes: per event)
    struct dictionary subject_words, header_words, shape_words;
    struct place *places;
    uint32_t place_count, place_capacity;
    struct value_column columns[VALUE_COLUMNS_MAX]; // 0: events kept whole
    uint32_t column_count;
    struct step *steps;
    size_t step_count, step_capacity;
    struct br_buffer scratch;
};

// --- dictionaries

static void dictionary_clear(struct dictionary *dictionary) {
    br_buffer_clear(&dictionary->bytes);
    dictionary->count = 0;
    if (dictionary->slot_count != 0)
        memset(dictionary->slots, 0, dictionary->slot_count * sizeof *dictionary->slots);
}

static void dictionary_free(struct dictionary *dictionary) {
    br_buffer_free(&dictionary->bytes);
    free(dictionary->entries);
    free(dictionary->slots);
}

static struct br_slice dictionary_at(const struct dictionary *dictionary, uint32_t number) {
    const struct entry *entry = &dictionary->entries[number];
    if (entry->len == 0) // there may be no bytes at all
        return (struct br_slice){0};
    return (struct br_slice){dictionary->bytes.ptr + entry->offset, entry->len};
}

static uint32_t *dictionary_slot(const struct dictionary *dictionary, struct br_slice word) {
    uint32_t mask = dictionary->slot_count - 1;
    uint32_t at = (uint32_t)XXH3_64bits(word.ptr, word.len) & mask;
    while (dictionary->slots[at] != 0 && !br_slice_equal(dictionary_at(dictionary, dictionary->slots[at] - 1), word))
        at = (at + 1) & mask;
    return &dictionary->slots[at];
}

static void dictionary_grow(struct dictionary *dictionary) {
    free(dictionary->slots);
    dictionary->slot_count = dictionary->slot_count == 0 ? DICTIONARY_SLOTS_MIN : dictionary->slot_count * 2;
    dictionary->slots = br_calloc(dictionary->slot_count, sizeof *dictionary->slots);
    for (uint32_t i = 0; i < dictionary->count; i++)
        *dictionary_slot(dictionary, dictionary_at(dictionary, i)) = i + 1;
}

// The word's number; UINT32_MAX when it is new and there are `most` already.
static uint32_t dictionary_find(struct dictionary *dictionary, struct br_slice word, uint32_t most) {
    if (dictionary->count != 0 && br_slice_equal(dictionary_at(dictionary, dictionary->last), word))
        return dictionary->last;
    if (dictionary->count * 2 >= dictionary->slot_count)
        dictionary_grow(dictionary);
    uint32_t *slot = dictionary_slot(dictionary, word);
    if (*slot == 0) {
        if (dictionary->count == most)
            return UINT32_MAX;
        if (dictionary->count == dictionary->capacity) {
            dictionary->capacity = dictionary->capacity == 0 ? 64 : dictionary->capacity * 2;
            dictionary->entries = br_realloc(dictionary->entries, dictionary->capacity * sizeof *dictionary->entries);
        }
        dictionary->entries[dictionary->count] = (struct entry){dictionary->bytes.len, word.len};
        br_buffer_append_slice(&dictionary->bytes, word);
        *slot = ++dictionary->count;
    }
    dictionary->last = *slot - 1;
    return dictionary->last;
}

// --- looking through an event

// C1: a varint of 64 bits, in as few bytes as it takes. NULL when it isn't.
static const uint8_t *read_varint(const uint8_t *at, const uint8_t *end, uint64_t *ret_value) {
    if (at < end && *at < 0x80) {
        *ret_value = *at;
        return at + 1;
    }
    size_t size = br_varint_get(at, end, ret_value);
    bool too_wide = size == BR_VARINT_SIZE_MAX && at[size - 1] > 1;
    return size == 0 || too_wide || size != br_varint_size(*ret_value) ? NULL : at + size;
}

static uint32_t add_column(struct br_block_builder *builder, enum step_kind kind) {
    if (builder->column_count == VALUE_COLUMNS_MAX)
        return UINT32_MAX;
    builder->columns[builder->column_count].kind = kind;
    return builder->column_count++;
}

// C2
static const struct br_message_type *message_of(const struct br_message_type *message, uint64_t number) {
    for (uint32_t i = 0; message != NULL && i < message->field_count; i++)
        if (message->fields[i].number == number)
            return message->fields[i].kind == BR_PB_MESSAGE && !message->fields[i].repeated ? message->fields[i].message
                                                                                            : NULL;
    return NULL;
}

// The place of `tag` below `parent`, made when it is new; after: where we were before it. UINT32_MAX: too many.
static uint32_t find_place(struct br_block_builder *builder, uint32_t parent, uint32_t after, uint64_t tag) {
    uint32_t guess = builder->places[after].follower;
    if (builder->places[guess].parent == parent && builder->places[guess].tag == tag)
        return guess;
    for (uint32_t i = 1; i < builder->place_count; i++)
        if (builder->places[i].parent == parent && builder->places[i].tag == tag)
            return builder->places[after].follower = i;
    const struct br_message_type *message = NULL;
    enum step_kind kind = (enum step_kind)(tag & 7);
    if (kind == STEP_BYTES && (message = message_of(builder->places[parent].message, tag >> 3)) != NULL)
        kind = STEP_BEGIN;
    // A field that is to be taken apart may still hold other bytes: it has a column too.
    uint32_t column = add_column(builder, kind == STEP_BEGIN ? STEP_BYTES : kind);
    if (column == UINT32_MAX)
        return UINT32_MAX;
    if (builder->place_count == builder->place_capacity) {
        builder->place_capacity *= 2;
        builder->places = br_realloc(builder->places, builder->place_capacity * sizeof *builder->places);
    }
    builder->places[builder->place_count] =
        (struct place){.parent = parent, .tag = tag, .kind = kind, .column = column, .message = message};
    return builder->places[after].follower = builder->place_count++;
}

static void add_step(struct br_block_builder *builder, struct step step) {
    if (builder->step_count == builder->step_capacity) {
        builder->step_capacity = builder->step_capacity == 0 ? 64 : builder->step_capacity * 2;
        builder->steps = br_realloc(builder->steps, builder->step_capacity * sizeof *builder->steps);
    }
    builder->steps[builder->step_count++] = step;
}

static const uint8_t *look_through(struct br_block_builder *builder, struct br_slice bytes, uint32_t parent,
                                   uint32_t depth);

static const uint8_t *look_at_bytes(struct br_block_builder *builder, const uint8_t *at, const uint8_t *end,
                                    struct step step, uint32_t depth) {
    uint64_t len;
    at = read_varint(at, end, &len);
    if (at == NULL || len > (size_t)(end - at))
        return NULL;
    step.value = (struct br_slice){at, (size_t)len};
    if (builder->places[step.place].kind == STEP_BEGIN && depth < NESTING_MAX) {
        size_t before = builder->step_count;
        add_step(builder, (struct step){.place = step.place, .kind = STEP_BEGIN});
        if (look_through(builder, step.value, step.place, depth + 1) != NULL) {
            add_step(builder, (struct step){.kind = STEP_END});
            return at + len;
        }
        builder->step_count = before;
    }
    add_step(builder, step);
    return at + len;
}

// The end of bytes, with a step for each field; NULL when a rule is broken.
static const uint8_t *look_through(struct br_block_builder *builder, struct br_slice bytes, uint32_t parent,
                                   uint32_t depth) {
    const uint8_t *at = bytes.ptr, *end = bytes.ptr + bytes.len;
    uint32_t after = parent;
    while (at < end) {
        uint64_t tag;
        at = read_varint(at, end, &tag);
        if (at == NULL || tag >> 3 == 0 || tag > UINT32_MAX)
            return NULL;
        enum step_kind kind = (enum step_kind)(tag & 7);
        if (kind != STEP_VARINT && kind != STEP_FIXED64 && kind != STEP_BYTES && kind != STEP_FIXED32)
            return NULL;
        uint32_t place = find_place(builder, parent, after, tag);
        if (place == UINT32_MAX)
            return NULL;
        after = place;
        struct step step = {.place = place, .kind = kind};
        if (kind == STEP_BYTES) {
            at = look_at_bytes(builder, at, end, step, depth);
        } else if (kind == STEP_VARINT) {
            at = read_varint(at, end, &step.number);
            add_step(builder, step);
        } else {
            size_t size = kind == STEP_FIXED64 ? 8 : 4;
            if ((size_t)(end - at) < size)
                return NULL;
            step.value = (struct br_slice){at, size};
            add_step(builder, step);
            at += size;
        }
        if (at == NULL)
            return NULL;
    }
    return end;
}

// --- writing it

static void write_shape(struct br_block_builder *builder) {
    struct br_buffer *shape = &builder->scratch;
    br_buffer_clear(shape);
    for (size_t i = 0; i < builder->step_count; i++) {
        const struct step *step = &builder->steps[i];
        bool has_column = step->kind != STEP_BEGIN && step->kind != STEP_END;
        uint64_t column = has_column ? builder->places[step->place].column : 0;
        br_buffer_append_varint(shape, (uint64_t)step->kind | column << STEP_KIND_BITS);
        if (step->kind != STEP_END)
            br_buffer_append_varint(shape, builder->places[step->place].tag);
    }
}

static void write_bytes(struct value_column *column, struct br_slice value) {
    br_buffer_append_varint(&column->lengths, value.len);
    br_buffer_append_slice(&column->data, value);
}

static void write_values(struct br_block_builder *builder) {
    for (size_t i = 0; i < builder->step_count; i++) {
        const struct step *step = &builder->steps[i];
        struct value_column *column = &builder->columns[builder->places[step->place].column];
        switch (step->kind) {
        case STEP_VARINT:
            br_buffer_append_varint(&column->data, step->number);
            br_buffer_append_varint(&column->deltas, br_zigzag((int64_t)(step->number - column->previous)));
            column->previous = step->number;
            break;
        case STEP_BYTES:
            write_bytes(column, step->value);
            break;
        case STEP_FIXED32:
        case STEP_FIXED64:
            br_buffer_append_slice(&column->data, step->value);
            break;
        default:
            break;
        }
    }
}

static void add_event(struct br_block_builder *builder, struct br_slice event) {
    uint32_t shape = UINT32_MAX;
    builder->step_count = 0;
    if (event.len == 0 || look_through(builder, event, 0, 0) != NULL) {
        write_shape(builder);
        shape = dictionary_find(&builder->shape_words, br_buffer_slice(&builder->scratch), SHAPES_MAX - 1);
    }
    if (shape != UINT32_MAX) {
        write_values(builder);
    } else {
        static const uint8_t raw[] = {STEP_RAW};
        shape = dictionary_find(&builder->shape_words, (struct br_slice){raw, 1}, SHAPES_MAX);
        write_bytes(&builder->columns[0], event);
    }
    br_buffer_append_varint(&builder->shapes, shape);
}

// How many length-prefixed events the payload is made of; 0 when it isn't (C1 for the lengths).
static uint64_t count_framed(struct br_slice payload) {
    const uint8_t *at = payload.ptr, *end = payload.ptr + payload.len;
    uint64_t count = 0, len;
    for (; at < end; count++) {
        at = read_varint(at, end, &len);
        if (at == NULL || len > (size_t)(end - at))
            return 0;
        at += len;
    }
    return count;
}

static void add_payload(struct br_block_builder *builder, struct br_slice payload) {
    uint64_t count = builder->framed ? count_framed(payload) : 0;
    br_buffer_append_varint(&builder->events, count);
    if (count == 0)
        add_event(builder, payload);
    const uint8_t *at = payload.ptr, *end = payload.ptr + payload.len;
    for (uint64_t i = 0, len = 0; i < count; i++) {
        at = read_varint(at, end, &len);
        add_event(builder, (struct br_slice){at, (size_t)len});
        at += len;
    }
}

static uint32_t header_set(struct br_block_builder *builder, const struct br_log_message *message) {
    struct br_buffer *set = &builder->scratch;
    br_buffer_clear(set);
    br_buffer_append_varint(set, message->header_count);
    for (uint32_t i = 0; i < message->header_count; i++) {
        br_buffer_append_varint(set, message->headers[i].name.len);
        br_buffer_append_slice(set, message->headers[i].name);
        br_buffer_append_varint(set, message->headers[i].value.len);
        br_buffer_append_slice(set, message->headers[i].value);
    }
    return dictionary_find(&builder->header_words, br_buffer_slice(set), UINT32_MAX);
}

void br_block_builder_add(struct br_block_builder *builder, const struct br_log_message *message) {
    BR_CHECK(message->sequence > builder->last_sequence);
    br_buffer_append_varint(&builder->sequences, message->sequence - builder->last_sequence);
    br_buffer_append_varint(&builder->times, br_zigzag(message->timestamp.us - builder->last_time_us));
    br_buffer_append_varint(&builder->subjects, dictionary_find(&builder->subject_words, message->subject, UINT32_MAX));
    br_buffer_append_varint(&builder->headers, message->header_count == 0 ? 0 : header_set(builder, message) + 1);
    add_payload(builder, message->payload);
    builder->last_sequence = message->sequence;
    builder->last_time_us = message->timestamp.us;
    builder->payload_bytes += message->payload.len;
    builder->count++;
}

// --- the record

struct record {
    struct br_buffer *out;
    struct br_marks *marks;
};

static void mark(const struct record *record) {
    struct br_marks *marks = record->marks;
    if (marks->count == marks->capacity) {
        marks->capacity = marks->capacity == 0 ? 64 : marks->capacity * 2;
        marks->offsets = br_realloc(marks->offsets, marks->capacity * sizeof *marks->offsets);
    }
    marks->offsets[marks->count++] = record->out->len;
}

// Avro: an item of an array of records {string, bytes}; longs are zigzag varints.
static void put_column(const struct record *record, const char *name, const struct br_buffer *data) {
    size_t len = strlen(name);
    br_buffer_append_varint(record->out, br_zigzag((int64_t)len));
    br_buffer_append(record->out, name, len);
    br_buffer_append_varint(record->out, br_zigzag((int64_t)data->len));
    br_buffer_append(record->out, data->ptr, data->len);
    mark(record);
}

static void put_words(struct br_block_builder *builder, const struct record *record, const char *name,
                      const struct dictionary *words) {
    struct br_buffer *out = &builder->scratch;
    br_buffer_clear(out);
    for (uint32_t i = 0; i < words->count; i++) {
        struct br_slice word = dictionary_at(words, i);
        br_buffer_append_varint(out, word.len);
        br_buffer_append_slice(out, word);
    }
    put_column(record, name, out);
}

static void put_value_column(const struct record *record, uint32_t number, const struct value_column *column) {
    char name[16];
    bool deltas = column->kind == STEP_VARINT && column->deltas.len < column->data.len;
    char letter = column->kind == STEP_VARINT    ? (deltas ? 'd' : 'v')
                  : column->kind == STEP_BYTES   ? 'b'
                  : column->kind == STEP_FIXED32 ? '4'
                                                 : '8';
    snprintf(name, sizeof name, "%c%u", letter, number);
    put_column(record, name, deltas ? &column->deltas : &column->data);
    if (column->kind == STEP_BYTES) {
        snprintf(name, sizeof name, "l%u", number);
        put_column(record, name, &column->lengths);
    }
}

static bool is_used(const struct value_column *column) {
    return column->data.len != 0 || column->lengths.len != 0;
}

static void begin_anew(struct br_block_builder *builder) {
    builder->count = builder->payload_bytes = 0;
    builder->last_sequence = 0;
    builder->last_time_us = 0;
    struct br_buffer *buffers[] = {&builder->sequences, &builder->times,  &builder->subjects,
                                   &builder->headers,   &builder->events, &builder->shapes};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
        br_buffer_clear(buffers[i]);
    dictionary_clear(&builder->subject_words);
    dictionary_clear(&builder->header_words);
    dictionary_clear(&builder->shape_words);
    for (uint32_t i = 0; i < builder->column_count; i++) {
        br_buffer_clear(&builder->columns[i].data);
        br_buffer_clear(&builder->columns[i].deltas);
        br_buffer_clear(&builder->columns[i].lengths);
        builder->columns[i].previous = 0;
    }
    builder->column_count = 1;
    builder->place_count = 1;
    builder->places[0] = (struct place){.parent = UINT32_MAX, .message = builder->message};
}

void br_block_builder_finish(struct br_block_builder *builder, struct br_buffer *out, struct br_marks *marks) {
    struct record record = {out, marks};
    br_buffer_append_varint(out, br_zigzag((int64_t)builder->count));
    br_buffer_append_varint(out, br_zigzag((int64_t)builder->payload_bytes));
    int64_t columns = 9;
    for (uint32_t i = 0; i < builder->column_count; i++)
        if (is_used(&builder->columns[i]))
            columns += builder->columns[i].kind == STEP_BYTES ? 2 : 1;
    br_buffer_append_varint(out, br_zigzag(columns));
    put_column(&record, COLUMN_SEQUENCE, &builder->sequences);
    put_column(&record, COLUMN_TIME, &builder->times);
    put_words(builder, &record, COLUMN_SUBJECTS, &builder->subject_words);
    put_column(&record, COLUMN_SUBJECT, &builder->subjects);
    put_words(builder, &record, COLUMN_HEADER_SETS, &builder->header_words);
    put_column(&record, COLUMN_HEADERS, &builder->headers);
    put_words(builder, &record, COLUMN_SHAPES, &builder->shape_words);
    put_column(&record, COLUMN_SHAPE, &builder->shapes);
    put_column(&record, COLUMN_EVENTS, &builder->events);
    for (uint32_t i = 0; i < builder->column_count; i++)
        if (is_used(&builder->columns[i]))
            put_value_column(&record, i, &builder->columns[i]);
    br_buffer_append_byte(out, 0); // the array's end
    begin_anew(builder);
}

struct br_block_builder *br_block_builder_create(bool framed, const struct br_message_type *message) {
    struct br_block_builder *builder = br_calloc(1, sizeof *builder);
    builder->framed = framed;
    builder->message = message;
    builder->columns[0].kind = STEP_BYTES;
    builder->place_capacity = 64;
    builder->places = br_calloc(builder->place_capacity, sizeof *builder->places);
    begin_anew(builder);
    return builder;
}

void br_block_builder_destroy(struct br_block_builder **ptr) {
    struct br_block_builder *builder = *ptr;
    if (builder == NULL)
        return;
    struct br_buffer *buffers[] = {&builder->sequences, &builder->times,  &builder->subjects, &builder->headers,
                                   &builder->events,    &builder->shapes, &builder->scratch};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
        br_buffer_free(buffers[i]);
    dictionary_free(&builder->subject_words);
    dictionary_free(&builder->header_words);
    dictionary_free(&builder->shape_words);
    for (uint32_t i = 0; i < VALUE_COLUMNS_MAX; i++) {
        br_buffer_free(&builder->columns[i].data);
        br_buffer_free(&builder->columns[i].deltas);
        br_buffer_free(&builder->columns[i].lengths);
    }
    free(builder->places);
    free(builder->steps);
    free(builder);
    *ptr = NULL;
}

size_t br_block_builder_count(const struct br_block_builder *builder) {
    return builder->count;
}
size_t br_block_builder_payload_bytes(const struct br_block_builder *builder) {
    return builder->payload_bytes;
}
size_t br_block_builder_bytes(const struct br_block_builder *builder) {
    return builder->payload_bytes + builder->header_words.bytes.len + builder->subject_words.bytes.len +
           builder->count * 4;
}
