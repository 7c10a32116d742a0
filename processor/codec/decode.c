// SPDX-License-Identifier: Apache-2.0
// Wire bytes → columns: the hottest loop of the product. See decode.h for what it refuses and decode_internal.h for the
// tables that drive it (D1–D3).
//
// One pass over the bytes, one indirect jump per field, no allocation but for the text of unknown enum numbers. A field
// that nobody wants costs a tag, a table entry and a length. Values go straight into the column's array; whether they
// count is settled at the end by the slot states.
#include "base/time.h"
#include "processor/codec/decode_internal.h"
#include "processor/expr/datetime.h"
#include "processor/expr/numeric.h"

#include <math.h>
#include <stdio.h>

struct run {
    const struct br_decoder *decoder;
    const uint8_t *begin, *limit; // of the whole message
    struct br_column *columns;
    uint32_t row;
    struct br_arena *arena;
    struct br_error *error;
    uint8_t *states; // by slot
    char *detail;    // DETAIL_SIZE bytes where a fault's words are made
};
#define DETAIL_SIZE 192

static const struct action unknown_action = {.tag = 0};

static __attribute__((noinline)) const struct action *find_far(const struct level *level, uint32_t number) {
    uint32_t low = 0, high = level->far_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (level->far[middle].number == number)
            return &level->far[middle].action;
        if (level->far[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return &unknown_action;
}

static __attribute__((noinline, cold)) const uint8_t *bad(const struct run *run, const struct level *level,
                                                          uint32_t number, const uint8_t *at, const char *fault) {
    const char *name = NULL;
    for (uint32_t i = 0; i < level->message->field_count; i++)
        if (level->message->fields[i].number == number)
            name = level->message->fields[i].name;
    size_t offset = (size_t)(at - run->begin);
    if (name != NULL)
        (void)br_error_set(run->error, BR_DATA, "field \"%s\" (%u) of %s at byte %zu %s", name, number,
                           level->message->name, offset, fault);
    else if (number != 0)
        (void)br_error_set(run->error, BR_DATA, "unknown field %u of %s at byte %zu %s", number, level->message->name,
                           offset, fault);
    else
        (void)br_error_set(run->error, BR_DATA, "a field of %s at byte %zu %s", level->message->name, offset, fault);
    return NULL;
}

// A field whose tag isn't the expected one: unknown, packed or not the other way round, or of the wrong wire type.
static __attribute__((noinline)) const uint8_t *skip_other(struct run *run, const struct action *action, uint32_t tag,
                                                           const uint8_t *at, const uint8_t *end, const char **fault) {
    static const char *const names[] = {"varint", "64-bit",   "length-delimited", "group", "the end of a group",
                                        "32-bit", "none (6)", "none (7)"};
    if ((tag & 7) == BR_WIRE_END_GROUP) {
        *fault = "has an end-group out of place";
        return NULL;
    }
    bool repacked = action->packable && (tag & 7) == BR_WIRE_BYTES;
    if (action->tag != 0 && !repacked) {
        snprintf(run->detail, DETAIL_SIZE, "has the wrong wire type: %s where %s is %s", names[tag & 7],
                 br_wire_kind_name(action->kind), names[action->tag & 7]);
        *fault = run->detail;
        return NULL;
    }
    return br_wire_skip(at, end, tag, fault);
}

static inline bool is_ascii(struct br_slice text, const uint8_t *limit) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t word, found = 0;
    if (text.len < 8) {
        if (limit - text.ptr < 8)
            return false;
        uint64_t mask = (UINT64_C(1) << (8 * text.len)) - 1;
        memcpy(&word, text.ptr, 8);
        word = (word & mask) | (ones & ~mask);
        return ((word | ((word - ones) & ~word)) & BR_WIRE_HIGH_BITS) == 0;
    }
    for (size_t i = 0; i + 8 < text.len; i += 8) {
        memcpy(&word, text.ptr + i, 8);
        found |= word | ((word - ones) & ~word);
    }
    memcpy(&word, text.ptr + text.len - 8, 8);
    found |= word | ((word - ones) & ~word);
    return (found & BR_WIRE_HIGH_BITS) == 0;
}

static __attribute__((noinline)) bool check_text(struct run *run, struct br_slice text, const char **fault) {
    size_t valid = br_utf8_valid_prefix(text);
    if (valid == text.len)
        return true;
    snprintf(run->detail, DETAIL_SIZE, "isn't UTF-8 text: byte 0x%02x at byte %zu", text.ptr[valid],
             (size_t)(text.ptr - run->begin) + valid);
    *fault = run->detail;
    return false;
}

// Reads seconds and nanos of a Timestamp or Duration over what an earlier occurrence left in them.
static inline const char *read_seconds(struct br_slice bytes, int64_t *seconds, int64_t *nanos) {
    const uint8_t *at = bytes.ptr, *end = bytes.ptr + bytes.len;
    const char *fault = NULL;
    uint64_t value;
    uint32_t tag;
    while (at < end) {
        if (*at == 0x08 || *at == 0x10) {
            int64_t *into = *at == 0x08 ? seconds : nanos;
            at = br_wire_varint(at + 1, end, &value, &fault);
            *into = (int64_t)value;
        } else {
            at = br_wire_tag(at, end, &tag, &fault);
            if (at != NULL && (tag >> 3 == 1 || tag >> 3 == 2))
                return "has seconds or nanos of the wrong wire type";
            if (at != NULL)
                at = br_wire_skip(at, end, tag, &fault);
        }
        if (BR_UNLIKELY(at == NULL))
            return fault;
    }
    return NULL;
}

static inline bool store_timestamp(struct run *run, const struct action *action, struct br_slice bytes,
                                   const char **fault) {
    int64_t *place = (int64_t *)run->columns[action->column].values + run->row;
    int64_t seconds = 0, nanos = 0;
    if (BR_UNLIKELY(run->states[action->slot] == SLOT_SEEN)) { // merges with an earlier occurrence
        nanos = *place % BR_US_PER_SECOND;
        nanos += nanos < 0 ? BR_US_PER_SECOND : 0;
        seconds = (*place - nanos) / BR_US_PER_SECOND;
        nanos *= 1000;
    }
    *fault = read_seconds(bytes, &seconds, &nanos);
    if (BR_UNLIKELY(*fault != NULL))
        return false;
    if (BR_UNLIKELY(seconds < BR_PROTO_SECONDS_MIN || seconds > BR_PROTO_SECONDS_MAX)) {
        snprintf(run->detail, DETAIL_SIZE, "is out of range: %lld seconds are outside the years 1 to 9999",
                 (long long)seconds);
        *fault = run->detail;
        return false;
    }
    if (BR_UNLIKELY(nanos < 0 || nanos > 999999999)) {
        snprintf(run->detail, DETAIL_SIZE, "is out of range: %lld nanos are outside 0 to 999999999", (long long)nanos);
        *fault = run->detail;
        return false;
    }
    *place = seconds * BR_US_PER_SECOND + nanos / 1000;
    return true;
}

static __attribute__((noinline)) bool store_duration(struct run *run, const struct action *action,
                                                     struct br_slice bytes, const char **fault) {
    struct br_interval *place = (struct br_interval *)run->columns[action->column].values + run->row;
    int64_t seconds = 0, nanos = 0;
    if (run->states[action->slot] == SLOT_SEEN) {
        seconds = place->us / BR_US_PER_SECOND;
        nanos = place->us % BR_US_PER_SECOND * 1000;
    }
    *fault = read_seconds(bytes, &seconds, &nanos);
    if (*fault != NULL)
        return false;
    bool signs_differ = (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0);
    if (seconds < -BR_PROTO_DURATION_MAX || seconds > BR_PROTO_DURATION_MAX || nanos < -999999999 ||
        nanos > 999999999 || signs_differ) {
        snprintf(run->detail, DETAIL_SIZE, "is out of range: a duration of %lld seconds and %lld nanos",
                 (long long)seconds, (long long)nanos);
        *fault = run->detail;
        return false;
    }
    *place = (struct br_interval){.us = seconds * BR_US_PER_SECOND + nanos / 1000};
    return true;
}

// A number as it is on the wire.
struct number {
    int64_t integer;
    bool above; // an unsigned one past INT64_MAX; integer holds its bits
    double real;
};

static const uint8_t *load_fixed(const uint8_t *at, const uint8_t *end, void *value, size_t width, const char **fault) {
    if (BR_UNLIKELY((size_t)(end - at) < width)) {
        *fault = "is cut short";
        return NULL;
    }
    memcpy(value, at, width);
    return at + width;
}

static const uint8_t *load_number(enum br_wire_kind kind, const uint8_t *at, const uint8_t *end, struct number *number,
                                  const char **fault) {
    uint64_t wide = 0;
    uint32_t narrow = 0;
    float real;
    switch (kind) {
    case BR_PB_DOUBLE:
        return load_fixed(at, end, &number->real, 8, fault);
    case BR_PB_FLOAT:
        at = load_fixed(at, end, &real, 4, fault);
        number->real = at == NULL ? 0 : (double)real;
        return at;
    case BR_PB_FIXED64:
    case BR_PB_SFIXED64:
        at = load_fixed(at, end, &wide, 8, fault);
        number->integer = (int64_t)wide;
        number->above = kind == BR_PB_FIXED64 && wide > INT64_MAX;
        return at;
    case BR_PB_FIXED32:
    case BR_PB_SFIXED32:
        at = load_fixed(at, end, &narrow, 4, fault);
        number->integer = kind == BR_PB_FIXED32 ? (int64_t)narrow : (int32_t)narrow;
        return at;
    default:
        break;
    }
    at = br_wire_varint(at, end, &wide, fault);
    if (at == NULL)
        return NULL;
    number->integer = kind == BR_PB_SINT32 || kind == BR_PB_SINT64 ? br_unzigzag(wide) : (int64_t)wide;
    number->above = kind == BR_PB_UINT64 && wide > INT64_MAX;
    bool fits = true;
    if (kind == BR_PB_INT32 || kind == BR_PB_SINT32 || kind == BR_PB_ENUM)
        fits = number->integer == (int32_t)number->integer;
    else if (kind == BR_PB_UINT32)
        fits = wide <= UINT32_MAX;
    else if (kind == BR_PB_BOOL)
        number->integer = wide != 0;
    if (!fits)
        *fault = "holds a number of more than 32 bits";
    return fits ? at : NULL;
}

static bool enum_name(struct run *run, const struct action *action, int64_t number, struct br_slice *ret_name) {
    const struct enum_names *names = &run->decoder->enums[action->extra - 1];
    if (BR_LIKELY(number >= 0 && number < names->dense_count && names->dense[number].ptr != NULL)) {
        *ret_name = names->dense[number];
        return true;
    }
    for (uint32_t i = 0; i < names->type->count; i++)
        if (names->type->numbers[i] == number) {
            *ret_name = br_slice_of(names->type->names[i]);
            return true;
        }
    *ret_name = br_slice_of(br_arena_printf(run->arena, "%lld", (long long)number));
    return true;
}

static bool number_to_numeric(enum br_wire_kind kind, const struct number *number, struct br_numeric *ret) {
    if (kind == BR_PB_DOUBLE)
        return br_numeric_from_double(number->real, ret);
    if (kind == BR_PB_FLOAT)
        return br_numeric_from_digits_of(number->real, 6, ret); // as PostgreSQL's float4: so many mean something
    return br_numeric_make(number->above ? (__int128)(uint64_t)number->integer : number->integer, 0, ret);
}

static bool store_number(struct run *run, const struct action *action, const struct number *number) {
    void *values = run->columns[action->column].values;
    uint32_t row = run->row;
    int64_t integer = number->integer;
    switch ((enum br_type)action->type) {
    case BR_BOOLEAN:
        ((bool *)values)[row] = integer != 0;
        return true;
    case BR_INTEGER:
        ((int32_t *)values)[row] = (int32_t)integer;
        return !number->above && integer == (int32_t)integer;
    case BR_BIGINT:
        ((int64_t *)values)[row] = integer;
        return !number->above;
    case BR_NUMERIC:
        return number_to_numeric(action->kind, number, (struct br_numeric *)values + row);
    case BR_DOUBLE:
        ((double *)values)[row] = number->real;
        return true;
    case BR_TEXT:
        return enum_name(run, action, integer, (struct br_slice *)values + row);
    case BR_TIMESTAMPTZ:
        ((int64_t *)values)[row] = integer;
        return integer >= BR_COLUMN_TIME_MIN && integer < BR_COLUMN_TIME_END;
    case BR_DATE:
        ((int32_t *)values)[row] = (int32_t)integer;
        return integer >= BR_PROTO_DATE_MIN && integer < BR_PROTO_DATE_END;
    default:
        BR_CHECK(false); // br_field_fits allows no other type
        return false;
    }
}

static __attribute__((noinline)) const uint8_t *
store_scalar(struct run *run, const struct action *action, const uint8_t *at, const uint8_t *end, const char **fault) {
    struct number number = {0};
    at = load_number(action->kind, at, end, &number, fault);
    if (at == NULL || store_number(run, action, &number))
        return at;
    const char *type = br_type_name(action->type);
    if (action->kind == BR_PB_DOUBLE || action->kind == BR_PB_FLOAT)
        snprintf(run->detail, DETAIL_SIZE, "is %g, which %s can't hold", number.real, type);
    else if (number.above)
        snprintf(run->detail, DETAIL_SIZE, "is %llu, out of range for %s", (unsigned long long)(uint64_t)number.integer,
                 type);
    else
        snprintf(run->detail, DETAIL_SIZE, "is %lld, out of range for %s", (long long)number.integer, type);
    *fault = run->detail;
    return NULL;
}

// Plain decimals of up to 18 digits; everything else goes the general way.
static inline bool parse_short_decimal(struct br_slice text, struct br_numeric *ret) {
    size_t i = text.len > 0 && text.ptr[0] == '-', first = i;
    size_t dot = text.len;
    uint64_t coefficient = 0; // of at most 19 digits
    if (text.len - first > 19)
        return false;
    for (; i < text.len; i++) {
        unsigned digit = (unsigned)text.ptr[i] - '0';
        if (digit <= 9)
            coefficient = coefficient * 10 + digit;
        else if (text.ptr[i] == '.' && dot == text.len)
            dot = i;
        else
            return false;
    }
    size_t scale = dot == text.len ? 0 : text.len - dot - 1;
    size_t digits = text.len - first - (dot != text.len);
    if (digits == 0 || digits > 18)
        return false;
    return br_numeric_make(first != 0 ? -(__int128)coefficient : coefficient, (unsigned)scale, ret);
}

static bool parse_time(struct br_slice text, bool any, int64_t *ret_us) {
    return br_timestamptz_parse(text, ret_us) &&
           (any || (*ret_us >= BR_COLUMN_TIME_MIN && *ret_us < BR_COLUMN_TIME_END));
}

static bool parse_text(const struct run *run, enum br_type type, struct br_slice text, void *values) {
    uint32_t row = run->row;
    switch (type) {
    case BR_NUMERIC:
        return parse_short_decimal(text, (struct br_numeric *)values + row) ||
               br_numeric_parse(text, (struct br_numeric *)values + row);
    case BR_TIMESTAMPTZ:
        return parse_time(text, run->decoder->takes_any_time, (int64_t *)values + row);
    case BR_DATE:
        return br_date_parse(text, (int32_t *)values + row);
    case BR_INTERVAL:
        return br_interval_parse(text, (struct br_interval *)values + row);
    default:
        BR_CHECK(false); // br_field_fits allows no other type
        return false;
    }
}

// The state that the slot gets, or -1 with *fault.
static int store_parsed(struct run *run, const struct action *action, struct br_slice text, const char **fault) {
    void *values = run->columns[action->column].values;
    if (text.len == 0 && action->zero_text)
        return SLOT_IMPLICIT;
    if (text.len == 0 && !action->has_presence)
        return SLOT_ABSENT; // the same as left out
    if (BR_LIKELY(parse_text(run, action->type, text, values)))
        return SLOT_SEEN;
    size_t shown = text.len > 60 ? 60 : text.len;
    bool printable = br_utf8_valid_prefix((struct br_slice){text.ptr, shown}) == shown;
    int64_t us;
    bool beyond = action->type == BR_TIMESTAMPTZ && br_timestamptz_parse(text, &us);
    snprintf(run->detail, DETAIL_SIZE, "is no valid %s%s%.*s%s%s", br_type_name(action->type), printable ? ": \"" : "",
             printable ? (int)shown : 0, (const char *)text.ptr,
             !printable         ? ""
             : shown < text.len ? "…\""
                                : "\"",
             beyond ? ": a column holds the years 1 to 9999" : "");
    *fault = run->detail;
    return -1;
}

static void clear_slots(struct run *run, const struct action *action) {
    for (uint32_t i = 0; i < action->clear_count; i++)
        run->states[run->decoder->clears[action->clear_first + i]] = SLOT_ABSENT;
}

static void enter_level(struct run *run, const struct level *level) {
    for (uint32_t i = 0; i < level->implicit_count; i++)
        if (run->states[level->implicit[i]] == SLOT_ABSENT)
            run->states[level->implicit[i]] = SLOT_IMPLICIT;
}

// Decodes the fields of one message; group: the number of the group that the message is, which an end-group ends; 0: it
// ends at `end`. Recursion is as deep as the longest path. Returns the place after it, NULL when bad.
static const uint8_t *decode_level(struct run *run, const struct level *level, const uint8_t *at, const uint8_t *end,
                                   uint32_t group) {
    const struct br_decoder *decoder = run->decoder;
    const struct action *table = level->table;
    const uint32_t table_size = level->table_size, row = run->row;
    struct br_column *columns = run->columns;
    uint8_t *states = run->states;
    while (at < end) {
        const char *fault = NULL;
        const uint8_t *field_at = at;
        uint32_t tag = *at;
        if (BR_LIKELY(tag < 0x80)) {
            at++;
        } else {
            at = br_wire_tag(at, end, &tag, &fault);
            if (BR_UNLIKELY(at == NULL))
                return bad(run, level, 0, field_at, fault);
        }
        uint32_t number = tag >> 3;
        const struct action *action = BR_LIKELY(number < table_size) ? &table[number] : find_far(level, number);
        if (BR_UNLIKELY(action->tag != tag)) {
            if (number == 0)
                return bad(run, level, 0, field_at, "has number 0");
            if (group != 0 && tag == (group << 3 | BR_WIRE_END_GROUP))
                return at;
            at = skip_other(run, action, tag, at, end, &fault);
            if (BR_UNLIKELY(at == NULL))
                return bad(run, level, number, field_at, fault);
            continue;
        }
        if (BR_UNLIKELY(action->clear_count != 0))
            clear_slots(run, action);
        const uint8_t *value_at = at;
        uint64_t value;
        struct br_slice bytes;
        int state;
    again:
        switch ((enum decode_op)action->op) {
        case OP_SKIP_VARINT:
            at = br_wire_varint(at, end, &value, &fault);
            break;
        case OP_SKIP_FIXED64:
            if (BR_UNLIKELY(end - at < 8))
                return bad(run, level, number, field_at, "is cut short");
            at += 8;
            break;
        case OP_SKIP_FIXED32:
            if (BR_UNLIKELY(end - at < 4))
                return bad(run, level, number, field_at, "is cut short");
            at += 4;
            break;
        case OP_SKIP_BYTES:
            at = br_wire_length(at, end, &bytes, &fault);
            break;
        case OP_SKIP_GROUP:
            at = br_wire_skip(at, end, tag, &fault);
            break;
        case OP_ENTER:
            at = br_wire_length(at, end, &bytes, &fault);
            if (BR_UNLIKELY(at == NULL))
                break;
            enter_level(run, &decoder->levels[action->extra]);
            if (decode_level(run, &decoder->levels[action->extra], bytes.ptr, at, 0) == NULL)
                return NULL;
            break;
        case OP_ENTER_GROUP:
            enter_level(run, &decoder->levels[action->extra]);
            at = decode_level(run, &decoder->levels[action->extra], at, end, number);
            if (BR_UNLIKELY(at == NULL))
                return NULL;
            break;
        case OP_TIMESTAMP:
            at = br_wire_length(at, end, &bytes, &fault);
            if (BR_UNLIKELY(at == NULL || !store_timestamp(run, action, bytes, &fault)))
                return bad(run, level, number, field_at, fault);
            states[action->slot] = SLOT_SEEN;
            break;
        case OP_DURATION:
            at = br_wire_length(at, end, &bytes, &fault);
            if (BR_UNLIKELY(at == NULL || !store_duration(run, action, bytes, &fault)))
                return bad(run, level, number, field_at, fault);
            states[action->slot] = SLOT_SEEN;
            break;
        case OP_INT64:
            at = br_wire_varint(at, end, &value, &fault);
            ((int64_t *)columns[action->column].values)[row] = (int64_t)value;
            states[action->slot] = SLOT_SEEN;
            break;
        case OP_BOOL:
            at = br_wire_varint(at, end, &value, &fault);
            ((bool *)columns[action->column].values)[row] = value != 0;
            states[action->slot] = SLOT_SEEN;
            break;
        case OP_DOUBLE:
            at = load_fixed(at, end, (double *)columns[action->column].values + row, 8, &fault);
            states[action->slot] = SLOT_SEEN;
            break;
        case OP_TEXT:
            at = br_wire_length(at, end, &bytes, &fault);
            if (BR_UNLIKELY(at == NULL) || BR_UNLIKELY(!is_ascii(bytes, run->limit) && !check_text(run, bytes, &fault)))
                return bad(run, level, number, field_at, fault);
            ((struct br_slice *)columns[action->column].values)[row] = bytes;
            states[action->slot] = SLOT_SEEN;
            break;
        case OP_BYTEA:
            at = br_wire_length(at, end, &bytes, &fault);
            if (BR_LIKELY(at != NULL))
                ((struct br_slice *)columns[action->column].values)[row] = bytes;
            states[action->slot] = SLOT_SEEN;
            break;
        case OP_PARSE:
            at = br_wire_length(at, end, &bytes, &fault);
            if (BR_UNLIKELY(at == NULL))
                break;
            state = store_parsed(run, action, bytes, &fault);
            if (BR_UNLIKELY(state < 0))
                return bad(run, level, number, field_at, fault);
            states[action->slot] = (uint8_t)state;
            break;
        case OP_INT64_TIME:
        case OP_INT32:
            at = br_wire_varint(at, end, &value, &fault);
            if (BR_LIKELY(at != NULL)) {
                int64_t integer = (int64_t)value;
                bool wide = action->op == OP_INT64_TIME;
                if (BR_LIKELY(wide ? integer >= BR_COLUMN_TIME_MIN && integer < BR_COLUMN_TIME_END
                                   : integer == (int32_t)integer)) {
                    if (wide)
                        ((int64_t *)columns[action->column].values)[row] = integer;
                    else
                        ((int32_t *)columns[action->column].values)[row] = (int32_t)integer;
                    states[action->slot] = SLOT_SEEN;
                    break;
                }
            }
            at = value_at; // words the fault
            // fall through
        case OP_SCALAR:
            at = store_scalar(run, action, at, end, &fault);
            states[action->slot] = SLOT_SEEN;
            break;
        }
        if (BR_UNLIKELY(at == NULL))
            return bad(run, level, number, field_at, fault);
        if (BR_UNLIKELY(action->next != 0)) {
            action = &decoder->chained[action->next - 1];
            at = value_at;
            goto again;
        }
    }
    if (BR_UNLIKELY(group != 0))
        return bad(run, level, 0, end, "is missing: the group has no end");
    return at;
}

enum br_status br_decoder_decode(const struct br_decoder *decoder, struct br_slice bytes, struct br_batch *batch,
                                 uint32_t row, struct br_arena *arena, struct br_error *error) {
    uint8_t states[BR_COLUMNS_MAX];
    char detail[DETAIL_SIZE];
    struct run run = {.decoder = decoder,
                      .begin = bytes.ptr,
                      .limit = bytes.ptr + bytes.len,
                      .columns = batch->columns,
                      .row = row,
                      .arena = arena,
                      .error = error,
                      .states = states,
                      .detail = detail};
    memcpy(states, decoder->initial, decoder->slot_count);
    if (bytes.len != 0 && decode_level(&run, &decoder->levels[0], bytes.ptr, bytes.ptr + bytes.len, 0) == NULL)
        return BR_DATA;
    for (uint32_t i = 0; i < decoder->slot_count; i++) {
        const struct slot *slot = &decoder->slots[i];
        struct br_column *column = &batch->columns[slot->column];
        if (BR_UNLIKELY(states[i] == SLOT_IMPLICIT))
            memcpy((uint8_t *)column->values + (size_t)row * slot->width, slot->zero, slot->width);
        uint64_t bit = UINT64_C(1) << (row % 64), *word = &column->validity[row / 64];
        *word = states[i] != SLOT_ABSENT ? *word | bit : *word & ~bit;
    }
    return BR_OK;
}

bool br_delimited_next(struct br_slice *rest, struct br_slice *ret_message, enum br_status *ret_status,
                       struct br_error *error) {
    const char *fault = NULL;
    *ret_status = BR_OK;
    if (rest->len == 0)
        return false;
    const uint8_t *end = rest->ptr + rest->len;
    const uint8_t *next = br_wire_length(rest->ptr, end, ret_message, &fault);
    if (next == NULL) {
        *ret_status = br_error_set(error, BR_DATA, "a message of the delimited payload, %zu bytes from its end, %s",
                                   rest->len, fault);
        return false;
    }
    *rest = (struct br_slice){next, (size_t)(end - next)};
    return true;
}
