// SPDX-License-Identifier: Apache-2.0
// Compiles column paths into the tables that decode.c runs. See decode_internal.h.
#include "processor/codec/decode_internal.h"

#define DENSE_ENUM_MAX 256

// A level while it is being made: what was asked of its fields.
struct want {
    const struct br_message_field *field;
    int32_t slot;  // a column, or -1
    int32_t level; // a sub-message's level, or -1
    enum br_type type;
    bool zero_text;
};
struct draft {
    const struct br_message_type *message;
    struct want *wants;
    uint32_t count;
};
struct compiler {
    struct br_decoder *decoder;
    struct draft *drafts;
    uint32_t draft_count;
    uint32_t clear_count;
};

static struct want *add_want(struct draft *draft, struct want want) {
    draft->wants = br_realloc(draft->wants, (draft->count + 1) * sizeof *draft->wants);
    draft->wants[draft->count] = want;
    return &draft->wants[draft->count++];
}

static uint32_t add_draft(struct compiler *compiler, const struct br_message_type *message) {
    compiler->drafts = br_realloc(compiler->drafts, (compiler->draft_count + 1) * sizeof *compiler->drafts);
    compiler->drafts[compiler->draft_count] = (struct draft){.message = message};
    return compiler->draft_count++;
}

static uint32_t sub_draft(struct compiler *compiler, uint32_t parent, const struct br_message_field *field) {
    const struct draft *draft = &compiler->drafts[parent];
    for (uint32_t i = 0; i < draft->count; i++)
        if (draft->wants[i].field == field && draft->wants[i].level >= 0)
            return (uint32_t)draft->wants[i].level;
    uint32_t level = add_draft(compiler, field->message);
    add_want(&compiler->drafts[parent], (struct want){.field = field, .slot = -1, .level = (int32_t)level});
    return level;
}

static void add_column(struct compiler *compiler, const struct br_field_chain *chain, enum br_type type,
                       uint32_t slot) {
    uint32_t level = 0;
    for (uint32_t i = 0; i + 1 < chain->count; i++)
        level = sub_draft(compiler, level, chain->fields[i]);
    add_want(&compiler->drafts[level], (struct want){.field = chain->fields[chain->count - 1],
                                                     .slot = (int32_t)slot,
                                                     .level = -1,
                                                     .type = type,
                                                     .zero_text = chain->decimal});
}

static struct action skip_action(const struct br_message_field *field) {
    static const uint8_t ops[] = {[BR_WIRE_VARINT] = OP_SKIP_VARINT,
                                  [BR_WIRE_FIXED64] = OP_SKIP_FIXED64,
                                  [BR_WIRE_BYTES] = OP_SKIP_BYTES,
                                  [BR_WIRE_GROUP] = OP_SKIP_GROUP,
                                  [BR_WIRE_FIXED32] = OP_SKIP_FIXED32};
    enum br_wire_type wire = br_wire_type_of(field->kind);
    return (struct action){.tag = field->number << 3 | wire,
                           .op = ops[wire],
                           .kind = (uint8_t)field->kind,
                           .packable = field->repeated && wire != BR_WIRE_BYTES && wire != BR_WIRE_GROUP};
}

static enum decode_op value_op(const struct br_message_field *field, enum br_type type) {
    switch (field->kind) {
    case BR_PB_MESSAGE:
        return type == BR_TIMESTAMPTZ ? OP_TIMESTAMP : OP_DURATION;
    case BR_PB_INT64:
        return type == BR_BIGINT ? OP_INT64 : type == BR_TIMESTAMPTZ ? OP_INT64_TIME : OP_SCALAR;
    case BR_PB_INT32:
        return type == BR_INTEGER ? OP_INT32 : OP_SCALAR;
    case BR_PB_BOOL:
        return OP_BOOL;
    case BR_PB_DOUBLE:
        return type == BR_DOUBLE ? OP_DOUBLE : OP_SCALAR;
    case BR_PB_STRING:
        return type == BR_TEXT ? OP_TEXT : OP_PARSE;
    case BR_PB_BYTES:
        return OP_BYTEA;
    default:
        return OP_SCALAR;
    }
}

static uint16_t enum_index(struct br_decoder *decoder, const struct br_enum_type *type) {
    for (uint32_t i = 0; i < decoder->enum_count; i++)
        if (decoder->enums[i].type == type)
            return (uint16_t)(i + 1);
    struct enum_names *names = &decoder->enums[decoder->enum_count++];
    names->type = type;
    for (uint32_t i = 0; i < type->count; i++)
        if (type->numbers[i] >= 0 && type->numbers[i] < DENSE_ENUM_MAX &&
            (uint32_t)type->numbers[i] >= names->dense_count)
            names->dense_count = (uint32_t)type->numbers[i] + 1;
    names->dense = br_arena_array(decoder->arena, struct br_slice, names->dense_count);
    for (uint32_t i = type->count; i-- > 0;) // backwards: the first name of a number stays
        if (type->numbers[i] >= 0 && (uint32_t)type->numbers[i] < names->dense_count)
            names->dense[type->numbers[i]] = br_slice_of(type->names[i]);
    return (uint16_t)decoder->enum_count;
}

static struct action want_action(struct br_decoder *decoder, const struct want *want) {
    struct action action = skip_action(want->field);
    if (want->level >= 0) {
        action.op = want->field->kind == BR_PB_GROUP ? OP_ENTER_GROUP : OP_ENTER;
        action.extra = (uint16_t)want->level;
        return action;
    }
    action.op = (uint8_t)value_op(want->field, want->type);
    action.type = (uint8_t)want->type;
    action.slot = (uint16_t)want->slot;
    action.column = decoder->slots[want->slot].column;
    action.has_presence = want->field->has_presence;
    action.zero_text = want->zero_text;
    if (want->field->enumeration != NULL)
        action.extra = enum_index(decoder, want->field->enumeration);
    return action;
}

static void append_slots(const struct compiler *compiler, const struct want *want, struct br_buffer *slots) {
    if (want->slot >= 0) {
        uint16_t slot = (uint16_t)want->slot;
        br_buffer_append(slots, &slot, sizeof slot);
        return;
    }
    const struct draft *draft = &compiler->drafts[want->level];
    for (uint32_t i = 0; i < draft->count; i++)
        append_slots(compiler, &draft->wants[i], slots);
}

// The slots that a member of a oneof clears: all of the other members'.
static void add_clears(const struct compiler *compiler, const struct draft *draft, const struct br_message_field *field,
                       struct action *action, struct br_buffer *clears) {
    if (field->oneof_index < 0)
        return;
    size_t begin = clears->len;
    for (uint32_t i = 0; i < draft->count; i++)
        if (draft->wants[i].field != field && draft->wants[i].field->oneof_index == field->oneof_index)
            append_slots(compiler, &draft->wants[i], clears);
    action->clear_first = (uint32_t)(begin / sizeof(uint16_t));
    action->clear_count = (uint16_t)((clears->len - begin) / sizeof(uint16_t));
}

static struct action field_action(const struct compiler *compiler, const struct draft *draft,
                                  const struct br_message_field *field) {
    struct br_decoder *decoder = compiler->decoder;
    struct action first = skip_action(field);
    struct action *last = &first;
    bool found = false;
    for (uint32_t i = 0; i < draft->count; i++) {
        if (draft->wants[i].field != field)
            continue;
        struct action action = want_action(decoder, &draft->wants[i]);
        if (!found) {
            first = action;
        } else {
            decoder->chained[decoder->chained_count++] = action;
            last->next = (uint16_t)decoder->chained_count;
            last = &decoder->chained[decoder->chained_count - 1];
        }
        found = true;
    }
    return first;
}

static void fill_level(const struct compiler *compiler, uint32_t index, struct br_buffer *clears) {
    struct br_decoder *decoder = compiler->decoder;
    const struct draft *draft = &compiler->drafts[index];
    const struct br_message_type *message = draft->message;
    struct level *level = &decoder->levels[index];
    level->message = message;
    level->table_size = 1;
    for (uint32_t i = 0; i < message->field_count; i++) {
        if (message->fields[i].number <= TABLE_NUMBER_MAX)
            level->table_size = message->fields[i].number + 1;
        else
            level->far_count++;
    }
    level->table = br_arena_array(decoder->arena, struct action, level->table_size);
    level->far = br_arena_array(decoder->arena, struct far_action, level->far_count);
    level->table[0].tag = UINT32_MAX; // number 0 is never right
    uint32_t far = 0;
    for (uint32_t i = 0; i < message->field_count; i++) {
        const struct br_message_field *field = &message->fields[i];
        struct action action = field_action(compiler, draft, field);
        add_clears(compiler, draft, field, &action, clears);
        if (field->number <= TABLE_NUMBER_MAX)
            level->table[field->number] = action;
        else
            level->far[far++] = (struct far_action){field->number, action};
    }
    level->implicit = br_arena_array(decoder->arena, uint16_t, draft->count);
    for (uint32_t i = 0; i < draft->count; i++) {
        const struct want *want = &draft->wants[i];
        // An implicit string that is parsed has no zero: left out it is NULL.
        bool no_zero = want->slot >= 0 && !want->zero_text && value_op(want->field, want->type) == OP_PARSE;
        if (want->slot >= 0 && !want->field->has_presence && !no_zero)
            level->implicit[level->implicit_count++] = (uint16_t)want->slot;
    }
}

static void fill_slot(struct slot *slot, uint32_t column, enum br_type type, const struct br_message_field *field) {
    slot->column = (uint16_t)column;
    slot->width = (uint8_t)br_type_width(type);
    BR_CHECK(slot->width <= sizeof slot->zero);
    if (field->enumeration == NULL)
        return;
    struct br_slice name = br_slice_of("0");
    for (uint32_t i = field->enumeration->count; i-- > 0;)
        if (field->enumeration->numbers[i] == 0)
            name = br_slice_of(field->enumeration->names[i]);
    memcpy(slot->zero, &name, sizeof name);
}

static void finish(struct compiler *compiler) {
    struct br_decoder *decoder = compiler->decoder;
    struct br_buffer clears = {0};
    decoder->level_count = compiler->draft_count;
    decoder->levels = br_arena_array(decoder->arena, struct level, compiler->draft_count);
    decoder->chained = br_arena_array(decoder->arena, struct action, decoder->slot_count + compiler->draft_count);
    decoder->enums = br_arena_array(decoder->arena, struct enum_names, decoder->slot_count);
    for (uint32_t i = 0; i < compiler->draft_count; i++)
        fill_level(compiler, i, &clears);
    struct br_slice copy = br_arena_copy(decoder->arena, br_buffer_slice(&clears));
    decoder->clears = (uint16_t *)(uintptr_t)copy.ptr;
    br_buffer_free(&clears);
    decoder->initial = br_arena_array(decoder->arena, uint8_t, decoder->slot_count);
    for (uint32_t i = 0; i < decoder->levels[0].implicit_count; i++)
        decoder->initial[decoder->levels[0].implicit[i]] = SLOT_IMPLICIT;
}

static enum br_status compile(struct compiler *compiler, const struct br_message_type *message,
                              const char *const *paths, const enum br_type *types, const bool *wanted, uint32_t count,
                              struct br_error *error) {
    struct br_decoder *decoder = compiler->decoder;
    decoder->slots = br_arena_array(decoder->arena, struct slot, count);
    add_draft(compiler, message);
    for (uint32_t i = 0; i < count; i++) {
        struct br_field_chain chain;
        BR_TRY(br_field_chain_find(message, paths[i], types[i], &chain, error));
        if (wanted != NULL && !wanted[i])
            continue;
        fill_slot(&decoder->slots[decoder->slot_count], i, types[i], chain.fields[chain.count - 1]);
        add_column(compiler, &chain, types[i], decoder->slot_count);
        decoder->slot_count++;
        if (compiler->draft_count > UINT16_MAX)
            return br_error_set(error, BR_DATA, "the columns of %s reach into more than %d sub-messages", message->name,
                                UINT16_MAX);
    }
    finish(compiler);
    return BR_OK;
}

enum br_status br_decoder_create(const struct br_message_type *message, const char *const *paths,
                                 const enum br_type *types, const bool *wanted, uint32_t column_count,
                                 struct br_decoder **ret_decoder, struct br_error *error) {
    if (column_count > BR_COLUMNS_MAX)
        return br_error_set(error, BR_DATA, "%u columns are read from %s; %d are possible", column_count, message->name,
                            BR_COLUMNS_MAX);
    struct br_decoder *decoder = br_calloc(1, sizeof *decoder);
    decoder->arena = br_arena_create();
    struct compiler compiler = {.decoder = decoder};
    enum br_status status = compile(&compiler, message, paths, types, wanted, column_count, error);
    for (uint32_t i = 0; i < compiler.draft_count; i++)
        free(compiler.drafts[i].wants);
    free(compiler.drafts);
    if (status != BR_OK) {
        br_decoder_destroy(&decoder);
        return status;
    }
    *ret_decoder = decoder;
    return BR_OK;
}

void br_decoder_take_any_time(struct br_decoder *decoder) {
    decoder->takes_any_time = true;
}

void br_decoder_destroy(struct br_decoder **decoder) {
    if (*decoder == NULL)
        return;
    br_arena_destroy(&(*decoder)->arena);
    free(*decoder);
    *decoder = NULL;
}
