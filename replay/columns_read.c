// SPDX-License-Identifier: Apache-2.0
// Columns to messages. See columns.h and docs/formats/archive.md.
//
// A record is taken for what anybody may have written: every number in it is checked before it is used, and a record is
// refused unless its columns are used up exactly by what it says it holds.
#include "replay/columns_internal.h"

#define SLACK 64 // bytes behind the payloads: a tag and a varint may be written before their end is checked

struct cursor {
    const uint8_t *at, *end;
};

struct values {
    char letter; // 0: no such column
    struct cursor data, lengths;
    uint64_t previous;
};

struct step {
    enum step_kind kind;
    uint8_t tag_len;
    uint16_t column;
    uint8_t tag[8];
};

struct shape {
    struct step *steps;
    uint32_t count;
};

struct words {
    struct br_slice *list;
    uint64_t count;
};

struct header_set {
    struct br_log_header *list;
    uint32_t count;
};

struct decoding {
    struct br_block *block;
    struct cursor sequence, time, subject, subjects, headers, header_sets, events, shape, shapes;
    struct values values[VALUE_COLUMNS_MAX];
    struct words subject_words;
    struct header_set *sets;
    uint64_t set_count;
    struct shape *shape_list;
    uint64_t shape_count;
    uint8_t *out, *limit;
};

static bool take_varint(struct cursor *cursor, uint64_t *ret_value) {
    if (cursor->at < cursor->end && *cursor->at < 0x80) {
        *ret_value = *cursor->at++;
        return true;
    }
    if (cursor->at == cursor->end) // of a column that isn't there both are NULL
        return false;
    size_t size = br_varint_get(cursor->at, cursor->end, ret_value);
    cursor->at += size;
    return size != 0;
}

static bool take_slice(struct cursor *cursor, uint64_t len, struct br_slice *ret_slice) {
    if (len > (uint64_t)(cursor->end - cursor->at))
        return false;
    *ret_slice = (struct br_slice){cursor->at, (size_t)len};
    cursor->at += len;
    return true;
}

static bool take_word(struct cursor *cursor, struct br_slice *ret_word) {
    uint64_t len;
    return take_varint(cursor, &len) && take_slice(cursor, len, ret_word);
}

static size_t left(const struct cursor *cursor) {
    return (size_t)(cursor->end - cursor->at);
}

// --- the record's columns

static bool take_long(struct cursor *record, uint64_t *ret_value) {
    uint64_t value;
    if (!take_varint(record, &value) || (value & 1) != 0) // nothing here is negative
        return false;
    *ret_value = value >> 1;
    return true;
}

static bool name_values(struct decoding *decoding, struct br_slice name, struct cursor data) {
    uint32_t number = 0;
    if (name.len < 2 || name.len > 4)
        return false;
    for (size_t i = 1; i < name.len; i++) {
        if (name.ptr[i] < '0' || name.ptr[i] > '9')
            return false;
        number = number * 10 + name.ptr[i] - '0';
    }
    char letter = (char)name.ptr[0];
    if (number >= VALUE_COLUMNS_MAX || letter == 0 || strchr("vdbl48", letter) == NULL)
        return false;
    struct values *values = &decoding->values[number];
    if (letter == 'l') {
        values->lengths = data;
        return values->letter == 'b';
    }
    if (values->letter != 0)
        return false;
    values->letter = letter;
    values->data = data;
    return true;
}

static bool take_column(struct decoding *decoding, struct cursor *record) {
    struct {
        const char *name;
        struct cursor *column;
    } named[] = {{COLUMN_SEQUENCE, &decoding->sequence}, {COLUMN_TIME, &decoding->time},
                 {COLUMN_SUBJECT, &decoding->subject},   {COLUMN_SUBJECTS, &decoding->subjects},
                 {COLUMN_HEADERS, &decoding->headers},   {COLUMN_HEADER_SETS, &decoding->header_sets},
                 {COLUMN_EVENTS, &decoding->events},     {COLUMN_SHAPE, &decoding->shape},
                 {COLUMN_SHAPES, &decoding->shapes}};
    uint64_t len;
    struct br_slice name, bytes;
    if (!take_long(record, &len) || !take_slice(record, len, &name) || !take_long(record, &len) ||
        !take_slice(record, len, &bytes))
        return false;
    struct cursor data = {bytes.ptr, bytes.ptr + bytes.len};
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        if (br_slice_is(name, named[i].name)) {
            bool first = named[i].column->at == NULL;
            *named[i].column = data;
            return first;
        }
    }
    return name_values(decoding, name, data);
}

static bool take_columns(struct decoding *decoding, struct cursor *record) {
    for (;;) {
        uint64_t count;
        if (!take_long(record, &count))
            return false;
        if (count == 0)
            return left(record) == 0;
        for (uint64_t i = 0; i < count; i++)
            if (!take_column(decoding, record))
                return false;
    }
}

// --- dictionaries

static bool read_words(struct cursor column, struct br_arena *arena, struct words *ret_words) {
    struct cursor count_on = column;
    struct br_slice word;
    uint64_t count = 0;
    for (; left(&count_on) != 0; count++)
        if (!take_word(&count_on, &word))
            return false;
    ret_words->list = br_arena_array(arena, struct br_slice, count);
    ret_words->count = count;
    for (uint64_t i = 0; i < count; i++)
        if (!take_word(&column, &ret_words->list[i]))
            return false;
    return true;
}

static bool read_header_set(struct br_slice word, struct br_arena *arena, struct header_set *ret_set) {
    struct cursor cursor = {word.ptr, word.ptr + word.len};
    uint64_t count;
    if (!take_varint(&cursor, &count) || count > word.len)
        return false;
    ret_set->list = br_arena_array(arena, struct br_log_header, count);
    ret_set->count = (uint32_t)count;
    for (uint64_t i = 0; i < count; i++)
        if (!take_word(&cursor, &ret_set->list[i].name) || !take_word(&cursor, &ret_set->list[i].value))
            return false;
    return left(&cursor) == 0;
}

static bool read_header_sets(struct decoding *decoding) {
    struct words words;
    struct br_arena *arena = decoding->block->arena;
    if (!read_words(decoding->header_sets, arena, &words))
        return false;
    decoding->sets = br_arena_array(arena, struct header_set, words.count);
    decoding->set_count = words.count;
    for (uint64_t i = 0; i < words.count; i++)
        if (!read_header_set(words.list[i], arena, &decoding->sets[i]))
            return false;
    return true;
}

// A step's column must be there, and of its kind.
static bool fits(const struct values *values, enum step_kind kind) {
    switch (kind) {
    case STEP_VARINT:
        return values->letter == 'v' || values->letter == 'd';
    case STEP_FIXED64:
        return values->letter == '8';
    case STEP_FIXED32:
        return values->letter == '4';
    case STEP_BYTES:
    case STEP_RAW:
        return values->letter == 'b';
    default:
        return false;
    }
}

static bool read_step(struct decoding *decoding, struct cursor *cursor, uint32_t *depth, struct step *ret_step) {
    uint64_t word, tag;
    if (!take_varint(cursor, &word))
        return false;
    uint64_t column = word >> STEP_KIND_BITS;
    *ret_step = (struct step){.kind = (enum step_kind)(word & 7)};
    if (ret_step->kind == STEP_BEGIN || ret_step->kind == STEP_END) {
        if (column != 0 || (ret_step->kind == STEP_END ? (*depth)-- == 0 : ++*depth > NESTING_MAX))
            return false;
    } else {
        if (column >= VALUE_COLUMNS_MAX || !fits(&decoding->values[column], ret_step->kind))
            return false;
        ret_step->column = (uint16_t)column;
    }
    if (ret_step->kind == STEP_END || ret_step->kind == STEP_RAW)
        return true;
    if (!take_varint(cursor, &tag) || tag > UINT32_MAX)
        return false;
    ret_step->tag_len = (uint8_t)br_varint_put(ret_step->tag, tag);
    return true;
}

static bool read_shapes(struct decoding *decoding) {
    struct words words;
    struct br_arena *arena = decoding->block->arena;
    if (!read_words(decoding->shapes, arena, &words) || words.count > SHAPES_MAX)
        return false;
    decoding->shape_list = br_arena_array(arena, struct shape, words.count);
    decoding->shape_count = words.count;
    for (uint64_t i = 0; i < words.count; i++) {
        struct cursor cursor = {words.list[i].ptr, words.list[i].ptr + words.list[i].len};
        struct shape *shape = &decoding->shape_list[i];
        shape->steps = br_arena_array(arena, struct step, words.list[i].len);
        uint32_t depth = 0;
        while (left(&cursor) != 0)
            if (!read_step(decoding, &cursor, &depth, &shape->steps[shape->count++]))
                return false;
        if (depth != 0)
            return false;
    }
    return true;
}

// --- events. `limit` is where the payloads end; SLACK bytes behind it may be written. `out` goes through the functions
// as an argument and a result, not in memory: bytes that are written could be anything to the compiler.

static inline uint8_t *put_tag(uint8_t *out, const struct step *step) {
    memcpy(out, step->tag, sizeof step->tag);
    return out + step->tag_len;
}

// NULL when the column has no more.
static inline uint8_t *put_number(uint8_t *out, struct values *values) {
    uint64_t value;
    const uint8_t *at = values->data.at, *end = values->data.end;
    if (values->letter == 'v' && end - at >= BR_VARINT_SIZE_MAX) { // as it is: up to and with the byte below 0x80
        uint64_t word;
        memcpy(&word, at, sizeof word);
        uint64_t ends = ~word & UINT64_C(0x8080808080808080);
        if (ends != 0) {
            size_t size = (size_t)__builtin_ctzll(ends) / 8 + 1;
            memcpy(out, &word, sizeof word);
            values->data.at = at + size;
            return out + size;
        }
    }
    if (!take_varint(&values->data, &value))
        return NULL;
    if (values->letter == 'd')
        value = values->previous += (uint64_t)br_unzigzag(value);
    return out + br_varint_put(out, value);
}

static inline uint8_t *put_slice(uint8_t *out, const uint8_t *limit, struct cursor *data, uint64_t len) {
    const uint8_t *at = data->at;
    size_t room = left(data);
    if (len > room || out > limit || len > (uint64_t)(limit - out))
        return NULL;
    // Most are short: copies of fixed size are an instruction or two each, where there is room for them.
    if (len <= 32 && room >= 32) {
        memcpy(out, at, 16);
        memcpy(out + 16, at + 16, 16);
    } else if (len != 0) {
        memcpy(out, at, (size_t)len);
    }
    data->at = at + len;
    return out + len;
}

// Puts the length of what was written since `begin` before it; one byte was left for it.
static inline uint8_t *close_length(uint8_t *out, uint8_t *begin) {
    size_t len = (size_t)(out - begin) - 1;
    if (len < 0x80) {
        *begin = (uint8_t)len;
        return out;
    }
    size_t size = br_varint_size(len);
    memmove(begin + size, begin + 1, len);
    br_varint_put(begin, len);
    return out + size - 1;
}

// What is behind the event; NULL when it can't be.
static uint8_t *put_event(struct values *all, const struct shape *shape, uint8_t *out, const uint8_t *limit) {
    uint8_t *begins[NESTING_MAX];
    uint32_t depth = 0;
    for (const struct step *step = shape->steps, *end = step + shape->count; step < end; step++) {
        struct values *values = &all[step->column];
        uint64_t len;
        if (out > limit)
            return NULL;
        switch (step->kind) {
        case STEP_VARINT:
            out = put_number(put_tag(out, step), values);
            break;
        case STEP_BYTES:
            if (!take_varint(&values->lengths, &len))
                return NULL;
            out = put_tag(out, step);
            out += br_varint_put(out, len);
            out = put_slice(out, limit, &values->data, len);
            break;
        case STEP_BEGIN:
            out = put_tag(out, step);
            begins[depth++] = out++;
            break;
        case STEP_END:
            out = close_length(out, begins[--depth]);
            break;
        case STEP_FIXED32:
        case STEP_FIXED64:
            out = put_slice(put_tag(out, step), limit, &values->data, step->kind == STEP_FIXED64 ? 8 : 4);
            break;
        case STEP_RAW:
            if (!take_varint(&values->lengths, &len))
                return NULL;
            out = put_slice(out, limit, &values->data, len);
            break;
        }
        if (out == NULL)
            return NULL;
    }
    return out <= limit ? out : NULL;
}

static inline uint8_t *put_next_event(struct decoding *decoding, uint8_t *out) {
    uint64_t shape;
    if (!take_varint(&decoding->shape, &shape) || shape >= decoding->shape_count)
        return NULL;
    return put_event(decoding->values, &decoding->shape_list[shape], out, decoding->limit);
}

static uint8_t *put_payload(struct decoding *decoding, uint8_t *out) {
    uint64_t count;
    if (!take_varint(&decoding->events, &count))
        return NULL;
    if (count == 0)
        return put_next_event(decoding, out);
    for (uint64_t i = 0; i < count; i++) {
        uint8_t *begin = out;
        if (out >= decoding->limit || (out = put_next_event(decoding, out + 1)) == NULL)
            return NULL;
        out = close_length(out, begin);
    }
    return out <= decoding->limit ? out : NULL;
}

// --- messages

static bool next_message(struct decoding *decoding, uint64_t *sequence, int64_t *time_us,
                         struct br_log_message *ret_message) {
    uint64_t step, time_step, subject, set;
    if (!take_varint(&decoding->sequence, &step) || step == 0 || *sequence + step < *sequence ||
        !take_varint(&decoding->time, &time_step) || !take_varint(&decoding->subject, &subject) ||
        subject >= decoding->subject_words.count || !take_varint(&decoding->headers, &set) || set > decoding->set_count)
        return false;
    *sequence += step;
    *time_us = (int64_t)((uint64_t)*time_us + (uint64_t)br_unzigzag(time_step));
    uint8_t *begin = decoding->out, *end = put_payload(decoding, begin);
    if (end == NULL)
        return false;
    decoding->out = end;
    *ret_message = (struct br_log_message){
        .subject = decoding->subject_words.list[subject],
        .payload = {begin, (size_t)(end - begin)},
        .headers = set == 0 ? NULL : decoding->sets[set - 1].list,
        .header_count = set == 0 ? 0 : decoding->sets[set - 1].count,
        .sequence = *sequence,
        .timestamp = {*time_us},
    };
    return true;
}

static bool all_used(const struct decoding *decoding) {
    bool used = left(&decoding->sequence) == 0 && left(&decoding->time) == 0 && left(&decoding->subject) == 0 &&
                left(&decoding->headers) == 0 && left(&decoding->events) == 0 && left(&decoding->shape) == 0 &&
                decoding->out == decoding->limit;
    for (uint32_t i = 0; i < VALUE_COLUMNS_MAX && used; i++)
        used = left(&decoding->values[i].data) == 0 && left(&decoding->values[i].lengths) == 0;
    return used;
}

static bool decode(struct br_block *block) {
    struct decoding decoding = {.block = block};
    struct cursor record = {block->record.ptr, block->record.ptr + block->record.len};
    uint64_t count, payload_bytes;
    if (!take_long(&record, &count) || !take_long(&record, &payload_bytes) || payload_bytes > PAYLOAD_BYTES_MAX ||
        !take_columns(&decoding, &record))
        return false;
    // Every message takes a byte of this column at least: what is made below is bounded by what was read.
    if (count > left(&decoding.sequence) || !read_words(decoding.subjects, block->arena, &decoding.subject_words) ||
        !read_header_sets(&decoding) || !read_shapes(&decoding))
        return false;
    if (count > block->capacity) {
        free(block->messages);
        block->capacity = (size_t)count;
        block->messages = br_alloc(block->capacity * sizeof *block->messages);
    }
    br_buffer_clear(&block->payload);
    decoding.out = br_buffer_reserve(&block->payload, (size_t)payload_bytes + SLACK);
    decoding.limit = decoding.out + payload_bytes;
    uint64_t sequence = 0;
    int64_t time_us = 0;
    for (uint64_t i = 0; i < count; i++)
        if (!next_message(&decoding, &sequence, &time_us, &block->messages[i]))
            return false;
    block->count = (size_t)count;
    block->payload_bytes = (size_t)payload_bytes;
    return all_used(&decoding);
}

enum br_status br_block_decode(struct br_block *block, struct br_error *error) {
    if (block->arena == NULL)
        block->arena = br_arena_create();
    br_arena_reset(block->arena);
    block->count = 0;
    if (decode(block))
        return BR_OK;
    block->count = 0;
    return br_error_set(error, BR_DATA, "its columns don't fit together");
}

void br_block_free(struct br_block *block) {
    br_buffer_free(&block->record);
    br_buffer_free(&block->payload);
    free(block->messages);
    br_arena_destroy(&block->arena);
    *block = (struct br_block){0};
}
