// SPDX-License-Identifier: Apache-2.0
// Columns → wire bytes. See encode.h and the rules C1–C3 of encode_internal.h.
#include "base/time.h"
#include "processor/codec/encode_internal.h"
#include "processor/expr/datetime.h"
#include "processor/expr/numeric.h"

#include <float.h>
#include <math.h>

struct frame {    // an open sub-message
    size_t start; // offset in out of its tag
    size_t body;  // offset of its first byte after the length, which has one byte until it is known
    bool any;     // C2
    uint64_t oneofs;
};

// Canonical varint of at most 10 bytes; writes up to 8 bytes past them.
static inline uint8_t *put_varint(uint8_t *at, uint64_t value) {
    if (value < 0x80) {
        *at = (uint8_t)value;
        return at + 1;
    }
    if (BR_UNLIKELY(value >> 56 != 0))
        return at + br_varint_put(at, value);
    size_t size = br_varint_size(value); // 2 … 8
    uint64_t word = (value & UINT64_C(0x000000000fffffff)) | (value & UINT64_C(0x00fffffff0000000)) << 4;
    word = (word & UINT64_C(0x00003fff00003fff)) | (word & UINT64_C(0x0fffc0000fffc000)) << 2;
    word = (word & UINT64_C(0x007f007f007f007f)) | (word & UINT64_C(0x3f803f803f803f80)) << 1;
    word |= BR_WIRE_HIGH_BITS & ((UINT64_C(1) << (8 * (size - 1))) - 1);
    memcpy(at, &word, 8);
    return at + size;
}

static inline uint8_t *put_tag(uint8_t *at, const struct step *step) {
    memcpy(at, step->tag, STEP_TAG_SIZE_MAX);
    return at + step->tag_size;
}

static inline void copy_bytes(uint8_t *to, const uint8_t *from, size_t length) {
    if (length > 16) {
        memcpy(to, from, length);
    } else if (length >= 8) {
        uint64_t first, last;
        memcpy(&first, from, 8);
        memcpy(&last, from + length - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + length - 8, &last, 8);
    } else {
        for (size_t i = 0; i < length; i++)
            to[i] = from[i];
    }
}

static __attribute__((noinline, cold)) enum br_status refuse(const struct br_encoder *encoder, const struct step *step,
                                                             const struct br_column *column, uint32_t row,
                                                             const char *why, struct br_error *error) {
    struct br_value value = br_column_get(column, row);
    struct br_buffer text = {0};
    br_value_print(&value, &text);
    int length = text.len > 80 ? 80 : (int)text.len;
    (void)br_error_set(error, BR_DATA, "%s \"%.*s\" %s, field \"%s\" (%s) of %s", br_type_name(step->type), length,
                       (const char *)text.ptr, why, step->path, br_field_kind_text(step->field),
                       encoder->message->name);
    br_buffer_free(&text);
    return BR_DATA;
}

// Digits two at a time for what fits 18 digits; the same text as br_numeric_print.
static size_t print_decimal(struct br_numeric n, char *text) {
    const int64_t limit = INT64_C(1000000000000000000);
    __int128 coefficient = br_numeric_coefficient(n);
    size_t scale = br_numeric_scale(n);
    if (coefficient >= limit || coefficient <= -limit || scale > 18)
        return br_numeric_print(n, text);
    char digits[24], *at = digits + sizeof digits;
    uint64_t rest = (uint64_t)(coefficient < 0 ? -coefficient : coefficient);
    while (rest >= 100) {
        uint64_t pair = rest % 100;
        rest /= 100;
        *--at = (char)('0' + pair % 10);
        *--at = (char)('0' + pair / 10);
    }
    if (rest >= 10) {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    }
    *--at = (char)('0' + rest);
    while ((size_t)(digits + sizeof digits - at) < scale + 1)
        *--at = '0';
    size_t whole = (size_t)(digits + sizeof digits - at) - scale, length = 0;
    if (coefficient < 0)
        text[length++] = '-';
    memcpy(text + length, at, whole);
    length += whole;
    if (scale == 0)
        return length;
    text[length++] = '.';
    memcpy(text + length, at + whole, scale);
    return length + scale;
}

static uint8_t *put_printed(uint8_t *at, const struct step *step, const struct br_column *column, uint32_t row) {
    at = put_tag(at, step);
    char *text = (char *)at + 1;
    size_t length = 0;
    switch ((enum br_type)step->type) {
    case BR_NUMERIC:
        length = print_decimal(((const struct br_numeric *)column->values)[row], text);
        break;
    case BR_TIMESTAMPTZ:
        length = br_timestamptz_print(((const int64_t *)column->values)[row], true, text);
        break;
    case BR_DATE:
        length = br_date_print(((const int32_t *)column->values)[row], text);
        break;
    case BR_INTERVAL:
        length = br_interval_print(((const struct br_interval *)column->values)[row], text);
        break;
    default:
        BR_CHECK(false); // br_field_fits allows no other type
    }
    BR_CHECK(length < 128); // its length is one byte
    *at = (uint8_t)length;
    return at + 1 + length;
}

static inline uint8_t *put_seconds(uint8_t *at, const struct step *step, int64_t seconds, int64_t nanos) {
    at = put_tag(at, step);
    uint8_t *body = at + 1;
    uint8_t *end = body;
    if (seconds != 0) {
        *end++ = 0x08;
        end = put_varint(end, (uint64_t)seconds);
    }
    if (nanos != 0) {
        *end++ = 0x10;
        end = put_varint(end, (uint64_t)nanos);
    }
    *at = (uint8_t)(end - body);
    return end;
}

static inline const char *put_timestamp(uint8_t **at, const struct step *step, int64_t us) {
    int64_t seconds = us / BR_US_PER_SECOND, rest = us % BR_US_PER_SECOND;
    if (rest < 0) {
        seconds--;
        rest += BR_US_PER_SECOND;
    }
    if (BR_UNLIKELY(seconds < BR_PROTO_SECONDS_MIN || seconds > BR_PROTO_SECONDS_MAX))
        return "is outside the years 1 to 9999 of a google.protobuf.Timestamp";
    *at = put_seconds(*at, step, seconds, rest * 1000);
    return NULL;
}

static const char *put_duration(uint8_t **at, const struct step *step, struct br_interval interval) {
    int64_t us;
    if (!br_interval_to_us(interval, &us))
        return "has months (or is too long), which a google.protobuf.Duration can't hold";
    int64_t seconds = us / BR_US_PER_SECOND;
    if (seconds < -BR_PROTO_DURATION_MAX || seconds > BR_PROTO_DURATION_MAX)
        return "is longer than the 10,000 years of a google.protobuf.Duration";
    *at = put_seconds(*at, step, seconds, us % BR_US_PER_SECOND * 1000);
    return NULL;
}

struct number {
    __int128 integer;
    double real;
};

static bool enum_number(const struct br_enum_type *type, struct br_slice name, struct number *number) {
    for (uint32_t i = 0; i < type->count; i++)
        if (br_slice_is(name, type->names[i])) {
            number->integer = type->numbers[i];
            return true;
        }
    // A number that the descriptor doesn't know is read as its decimal text; this is the way back.
    struct br_numeric value;
    int64_t integer;
    char text[24];
    if (!br_numeric_parse(name, &value) || br_numeric_scale(value) != 0 || !br_numeric_to_int64(value, &integer) ||
        integer != (int32_t)integer)
        return false;
    size_t length = print_decimal(br_numeric_from_int64(integer), text);
    number->integer = integer;
    return br_slice_equal(name, (struct br_slice){(const uint8_t *)text, length});
}

static const char *number_of(const struct step *step, const struct br_column *column, uint32_t row,
                             struct number *number) {
    bool real = step->kind == BR_PB_DOUBLE || step->kind == BR_PB_FLOAT;
    struct br_numeric n;
    switch ((enum br_type)step->type) {
    case BR_INTEGER:
    case BR_DATE:
        number->integer = ((const int32_t *)column->values)[row];
        return NULL;
    case BR_BIGINT:
    case BR_TIMESTAMPTZ:
        number->integer = ((const int64_t *)column->values)[row];
        return NULL;
    case BR_DOUBLE:
        number->real = ((const double *)column->values)[row];
        return NULL;
    case BR_NUMERIC:
        n = ((const struct br_numeric *)column->values)[row];
        if (real) {
            number->real = br_numeric_to_double(n);
            return NULL;
        }
        n = br_numeric_normalize(n);
        number->integer = br_numeric_coefficient(n);
        return br_numeric_scale(n) == 0 ? NULL : "has a fraction, which is lost in";
    case BR_TEXT:
        return enum_number(step->field->enumeration, ((const struct br_slice *)column->values)[row], number)
                   ? NULL
                   : "is no name of the enum of";
    default:
        BR_CHECK(false); // br_field_fits allows no other type
        return NULL;
    }
}

static bool in_range(enum br_wire_kind kind, __int128 value) {
    switch (kind) {
    case BR_PB_INT32:
    case BR_PB_SINT32:
    case BR_PB_SFIXED32:
    case BR_PB_ENUM:
        return value >= INT32_MIN && value <= INT32_MAX;
    case BR_PB_UINT32:
    case BR_PB_FIXED32:
        return value >= 0 && value <= UINT32_MAX;
    case BR_PB_UINT64:
    case BR_PB_FIXED64:
        return value >= 0 && value <= UINT64_MAX;
    default:
        return value >= INT64_MIN && value <= INT64_MAX;
    }
}

// Writes the value, or nothing when it is the zero of an implicit field.
static uint8_t *put_number(uint8_t *at, const struct step *step, const struct number *number) {
    uint64_t wide = (uint64_t)number->integer;
    uint32_t narrow = (uint32_t)number->integer;
    float real = (float)number->real;
    if (step->kind == BR_PB_DOUBLE)
        memcpy(&wide, &number->real, 8);
    if (step->kind == BR_PB_FLOAT) {
        memcpy(&narrow, &real, 4);
        wide = narrow;
    }
    if (step->implicit && wide == 0)
        return at;
    at = put_tag(at, step);
    switch (br_wire_type_of(step->kind)) {
    case BR_WIRE_FIXED64:
        memcpy(at, &wide, 8);
        return at + 8;
    case BR_WIRE_FIXED32:
        memcpy(at, &narrow, 4);
        return at + 4;
    default:
        if (step->kind == BR_PB_SINT32 || step->kind == BR_PB_SINT64)
            wide = br_zigzag((int64_t)wide);
        return put_varint(at, wide);
    }
}

static __attribute__((noinline)) const char *put_scalar(uint8_t **at, const struct step *step,
                                                        const struct br_column *column, uint32_t row) {
    struct number number = {0};
    const char *why = number_of(step, column, row, &number);
    if (why != NULL)
        return why;
    if (step->kind == BR_PB_FLOAT && isfinite(number.real) && fabs(number.real) > (double)FLT_MAX)
        return "is out of range for";
    if (step->kind != BR_PB_FLOAT && step->kind != BR_PB_DOUBLE && !in_range(step->kind, number.integer))
        return "is out of range for";
    *at = put_number(*at, step, &number);
    return NULL;
}

// Puts the sub-message's length before its body, or takes the whole back when none of its columns is there.
static uint8_t *close_message(uint8_t *at, uint8_t *base, const struct frame *frame, bool group,
                              const struct step *step) {
    if (!frame->any)
        return base + frame->start;
    if (group)
        return put_tag(at, step);
    uint8_t *body = base + frame->body;
    size_t length = (size_t)(at - body), size = br_varint_size(length);
    if (size > 1)
        memmove(body + size - 1, body, length);
    br_varint_put(body - 1, length);
    return at + size - 1;
}

static __attribute__((noinline, cold)) enum br_status two_members(const struct br_encoder *encoder,
                                                                  const struct step *step, struct br_error *error) {
    return br_error_set(error, BR_DATA,
                        "field \"%s\" of %s and another member of its oneof are both set: one of them must be NULL",
                        step->field->name, encoder->message->name);
}

static inline bool oneof_taken(const struct step *step, struct frame *frame) {
    if (BR_LIKELY(step->oneof == 0))
        return false;
    uint64_t bit = UINT64_C(1) << (step->oneof - 1);
    bool taken = (frame->oneofs & bit) != 0;
    frame->oneofs |= bit;
    return taken;
}

static inline enum br_status encode(const struct br_encoder *encoder, const struct br_batch *batch, uint32_t row,
                                    const uint8_t *selected, struct br_buffer *out, struct br_error *error) {
    struct frame frames[BR_WIRE_NESTING_MAX + 1];
    struct frame *frame = frames;
    size_t begin = out->len;
    uint8_t *at = br_buffer_reserve(out, encoder->fixed_bound); // C3
    *frame = (struct frame){0};
    for (const struct step *step = encoder->steps, *end = step + encoder->step_count; step < end; step++) {
        const struct br_column *column = &batch->columns[step->column];
        const char *why = NULL;
        if (step->op >= PUT_INT64) {
            if (column->values == NULL || br_column_is_null(column, row) ||
                (selected != NULL && selected[step->column] == 0))
                continue;
            frame->any = true;
            if (BR_UNLIKELY(oneof_taken(step, frame))) {
                out->len = begin;
                return two_members(encoder, step, error);
            }
        }
        switch ((enum encode_op)step->op) {
        case PUT_OPEN:
        case PUT_OPEN_GROUP:
            frame++;
            frame->start = (size_t)(at - out->ptr);
            frame->any = false;
            frame->oneofs = 0;
            at = put_tag(at, step) + (step->op == PUT_OPEN); // room for one byte of length
            frame->body = (size_t)(at - out->ptr);
            break;
        case PUT_CLOSE:
        case PUT_CLOSE_GROUP:
            BR_CHECK(frame > frames);
            at = close_message(at, out->ptr, frame, step->op == PUT_CLOSE_GROUP, step);
            frame--;
            if (!frame[1].any)
                break;
            frame->any = true;
            if (BR_UNLIKELY(oneof_taken(step, frame))) {
                out->len = begin;
                return two_members(encoder, step, error);
            }
            break;
        case PUT_INT64: {
            int64_t value = ((const int64_t *)column->values)[row];
            if (value != 0 || !step->implicit)
                at = put_varint(put_tag(at, step), (uint64_t)value);
            break;
        }
        case PUT_INT32: {
            int32_t value = ((const int32_t *)column->values)[row];
            if (value != 0 || !step->implicit)
                at = put_varint(put_tag(at, step), (uint64_t)(int64_t)value);
            break;
        }
        case PUT_BOOL: {
            bool value = ((const bool *)column->values)[row];
            if (value || !step->implicit)
                at = put_varint(put_tag(at, step), value);
            break;
        }
        case PUT_DOUBLE: {
            uint64_t bits;
            memcpy(&bits, (const double *)column->values + row, 8);
            if (bits == 0 && step->implicit)
                break;
            at = put_tag(at, step);
            memcpy(at, &bits, 8);
            at += 8;
            break;
        }
        case PUT_BYTES: {
            struct br_slice bytes = ((const struct br_slice *)column->values)[row];
            if (bytes.len == 0 && step->implicit)
                break;
            out->len = (size_t)(at - out->ptr);
            at = br_buffer_reserve(out, bytes.len + encoder->fixed_bound); // C3
            at = put_varint(put_tag(at, step), bytes.len);
            copy_bytes(at, bytes.ptr, bytes.len);
            at += bytes.len;
            break;
        }
        case PUT_TIMESTAMP:
            why = put_timestamp(&at, step, ((const int64_t *)column->values)[row]);
            break;
        case PUT_DURATION:
            why = put_duration(&at, step, ((const struct br_interval *)column->values)[row]);
            break;
        case PUT_PRINTED:
            at = put_printed(at, step, column, row);
            break;
        case PUT_SCALAR:
            why = put_scalar(&at, step, column, row);
            break;
        }
        if (BR_UNLIKELY(why != NULL)) {
            out->len = begin;
            return refuse(encoder, step, column, row, why, error);
        }
    }
    out->len = (size_t)(at - out->ptr);
    return BR_OK;
}

enum br_status br_encoder_encode(const struct br_encoder *encoder, const struct br_batch *batch, uint32_t row,
                                 struct br_buffer *out, struct br_error *error) {
    return encode(encoder, batch, row, NULL, out, error);
}

enum br_status br_encoder_encode_columns(const struct br_encoder *encoder, const struct br_batch *batch, uint32_t row,
                                         const uint32_t *columns, uint32_t count, struct br_buffer *out,
                                         struct br_error *error) {
    uint8_t selected[BR_COLUMNS_MAX];
    memset(selected, 0, encoder->column_count);
    for (uint32_t i = 0; i < count; i++) {
        BR_CHECK(columns[i] < encoder->column_count);
        selected[columns[i]] = 1;
    }
    return encode(encoder, batch, row, selected, out, error);
}
