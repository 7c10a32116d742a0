// SPDX-License-Identifier: Apache-2.0
// Compiles column paths into the steps that encode.c runs. See encode_internal.h.
#include "processor/codec/encode_internal.h"
#include "processor/expr/numeric.h"

#define ONEOFS_MAX 64 // of one message, that several columns write to
// The most that one column's step writes besides a text: tag, length, and a Timestamp (two tags, two varints) or a
// printed value.
#define STEP_SIZE_MAX (STEP_TAG_SIZE_MAX + STEP_LENGTH_SIZE_MAX + BR_NUMERIC_TEXT_SIZE)

// One column on its way into the steps.
struct target {
    struct br_field_chain chain;
    uint32_t column;
    enum br_type type;
    const char *path;
};

static int by_chain(const void *a, const void *b) {
    const struct target *x = *(const struct target *const *)a, *y = *(const struct target *const *)b;
    for (uint32_t i = 0; i < x->chain.count && i < y->chain.count; i++) {
        uint32_t m = x->chain.fields[i]->number, n = y->chain.fields[i]->number;
        if (m != n)
            return m < n ? -1 : 1;
    }
    return (x->chain.count > y->chain.count) - (x->chain.count < y->chain.count);
}

static enum encode_op put_op(const struct br_message_field *field, enum br_type type) {
    switch (field->kind) {
    case BR_PB_MESSAGE:
        return type == BR_TIMESTAMPTZ ? PUT_TIMESTAMP : PUT_DURATION;
    case BR_PB_INT64:
        return type == BR_BIGINT ? PUT_INT64 : PUT_SCALAR;
    case BR_PB_INT32:
        return type == BR_INTEGER || type == BR_DATE ? PUT_INT32 : PUT_SCALAR;
    case BR_PB_BOOL:
        return PUT_BOOL;
    case BR_PB_DOUBLE:
        return type == BR_DOUBLE ? PUT_DOUBLE : PUT_SCALAR;
    case BR_PB_STRING:
        return type == BR_TEXT ? PUT_BYTES : PUT_PRINTED;
    case BR_PB_BYTES:
        return PUT_BYTES;
    default:
        return PUT_SCALAR;
    }
}

static struct step *add_step(struct br_encoder *encoder, enum encode_op op, const struct br_message_field *field,
                             enum br_wire_type wire) {
    struct step *step = &encoder->steps[encoder->step_count++];
    *step = (struct step){.op = (uint8_t)op, .field = field, .kind = (uint8_t)field->kind};
    step->tag_size = (uint8_t)br_varint_put(step->tag, (uint64_t)field->number << 3 | wire);
    encoder->fixed_bound += STEP_SIZE_MAX;
    return step;
}

// The oneof of a field as a number from 1 among those of its level that several targets write to; 0: none.
static enum br_status number_oneof(struct target *const *targets, uint32_t count, uint32_t depth,
                                   const struct br_message_field *field, uint8_t *ret_number, struct br_error *error) {
    uint32_t number = 0;
    *ret_number = 0;
    if (field->oneof_index < 0)
        return BR_OK;
    for (uint32_t i = 0; i < count; i++) {
        const struct br_message_field *other = targets[i]->chain.fields[depth];
        if (other->oneof_index < 0 || (i > 0 && other == targets[i - 1]->chain.fields[depth]))
            continue;
        bool first = true;
        for (uint32_t j = 0; j < i; j++)
            first &= targets[j]->chain.fields[depth]->oneof_index != other->oneof_index;
        number += first;
        if (other->oneof_index == field->oneof_index && first)
            *ret_number = (uint8_t)number;
        if (number > ONEOFS_MAX)
            return br_error_set(error, BR_DATA, "columns write to more than %d oneofs of one message", ONEOFS_MAX);
    }
    return BR_OK;
}

static enum br_status conflict(const struct target *a, const struct target *b, struct br_error *error) {
    return br_error_set(error, BR_DATA, "two columns write to the same field: \"%s\" and \"%s\"", a->path, b->path);
}

// Steps for targets[0..count), which share their first `depth` fields and are sorted.
static enum br_status add_level(struct br_encoder *encoder, struct target *const *targets, uint32_t count,
                                uint32_t depth, struct br_error *error) {
    for (uint32_t i = 0; i < count;) {
        const struct target *target = targets[i];
        const struct br_message_field *field = target->chain.fields[depth];
        uint32_t end = i + 1;
        while (end < count && targets[end]->chain.fields[depth] == field)
            end++;
        uint8_t oneof;
        BR_TRY(number_oneof(targets, count, depth, field, &oneof, error));
        if (target->chain.count == depth + 1) {
            if (end > i + 1)
                return conflict(target, targets[i + 1], error);
            struct step *step = add_step(encoder, put_op(field, target->type), field, br_wire_type_of(field->kind));
            step->column = (uint16_t)target->column;
            step->type = (uint8_t)target->type;
            step->path = br_arena_strdup(encoder->arena, target->path);
            step->implicit = !field->has_presence && !target->chain.decimal;
            step->oneof = oneof;
        } else {
            bool group = field->kind == BR_PB_GROUP;
            struct step *open =
                add_step(encoder, group ? PUT_OPEN_GROUP : PUT_OPEN, field, br_wire_type_of(field->kind));
            open->oneof = oneof;
            BR_TRY(add_level(encoder, targets + i, end - i, depth + 1, error));
            struct step *close = add_step(encoder, group ? PUT_CLOSE_GROUP : PUT_CLOSE, field, BR_WIRE_END_GROUP);
            close->oneof = oneof;
        }
        i = end;
    }
    return BR_OK;
}

static enum br_status compile(struct br_encoder *encoder, const char *const *paths, const enum br_type *types,
                              struct target *targets, struct target **sorted, uint32_t count, struct br_error *error) {
    uint32_t steps = 0;
    for (uint32_t i = 0; i < count; i++) {
        targets[i] = (struct target){.column = i, .type = types[i], .path = paths[i]};
        BR_TRY(br_field_chain_find(encoder->message, paths[i], types[i], &targets[i].chain, error));
        sorted[i] = &targets[i];
        steps += 2 * targets[i].chain.count;
    }
    if (count != 0)
        qsort(sorted, count, sizeof *sorted, by_chain);
    encoder->steps = br_arena_array(encoder->arena, struct step, steps);
    return add_level(encoder, sorted, count, 0, error);
}

enum br_status br_encoder_create(const struct br_message_type *message, const char *const *paths,
                                 const enum br_type *types, uint32_t column_count, struct br_encoder **ret_encoder,
                                 struct br_error *error) {
    if (column_count > BR_COLUMNS_MAX)
        return br_error_set(error, BR_DATA, "%u columns are written to %s; %d are possible", column_count,
                            message->name, BR_COLUMNS_MAX);
    struct br_encoder *encoder = br_calloc(1, sizeof *encoder);
    encoder->arena = br_arena_create();
    encoder->message = message;
    encoder->column_count = column_count;
    BR_AUTO_FREE struct target *targets = br_calloc(column_count + 1, sizeof *targets);
    BR_AUTO_FREE struct target **sorted = br_calloc(column_count + 1, sizeof(void *));
    enum br_status status = compile(encoder, paths, types, targets, sorted, column_count, error);
    if (status != BR_OK) {
        br_encoder_destroy(&encoder);
        return status;
    }
    *ret_encoder = encoder;
    return BR_OK;
}

void br_encoder_destroy(struct br_encoder **encoder) {
    if (*encoder == NULL)
        return;
    br_arena_destroy(&(*encoder)->arena);
    free(*encoder);
    *encoder = NULL;
}
