// SPDX-License-Identifier: Apache-2.0
// Rows ↔ JSON objects. See encode.h.
//
// A member of a nested object {"a":{"b":1}} is read as the column "a.b" when some column's name begins so. Numbers are
// taken from the text as written, so that numerics keep every digit.
#include "base/json.h"
#include "processor/codec/codec_internal.h"
#include "processor/codec/encode.h"
#include "processor/expr/numeric.h"

#define NAME_SIZE_MAX 256 // bytes of a dotted name put together from nested objects

void br_json_encode_row(const struct br_row_type *row_type, const struct br_batch *batch, uint32_t row,
                        const uint32_t *columns, uint32_t count, struct br_buffer *out) {
    if (columns == NULL)
        count = row_type->column_count;
    br_buffer_append_byte(out, '{');
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = columns == NULL ? i : columns[i];
        if (i != 0)
            br_buffer_append_byte(out, ',');
        br_json_append_string(br_slice_of(row_type->columns[index].name), out);
        br_buffer_append_byte(out, ':');
        const struct br_column *column = &batch->columns[index];
        if (column->values == NULL || br_column_is_null(column, row)) {
            br_buffer_append_text(out, "null");
            continue;
        }
        struct br_value value = br_column_get(column, row);
        br_value_print_json(&value, out);
    }
    br_buffer_append_byte(out, '}');
}

struct reader {
    const struct br_row_type *row_type;
    struct br_batch *batch;
    uint32_t row;
    struct br_arena *arena;
    struct br_error *error;
    uint32_t hint; // the column after the last one found: members mostly come in the order of the columns
};

static int shown(struct br_slice text) {
    return text.len > 80 ? 80 : (int)text.len;
}

static bool find_column(struct reader *reader, struct br_slice name, uint32_t *ret_index) {
    uint32_t count = reader->row_type->column_count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = reader->hint + i < count ? reader->hint + i : reader->hint + i - count;
        if (br_slice_is(name, reader->row_type->columns[index].name)) {
            *ret_index = index;
            reader->hint = index + 1 == count ? 0 : index + 1;
            return true;
        }
    }
    return false;
}

static bool is_prefix(const struct reader *reader, struct br_slice name) {
    for (uint32_t i = 0; i < reader->row_type->column_count; i++) {
        const char *column = reader->row_type->columns[i].name;
        if (strlen(column) > name.len && memcmp(column, name.ptr, name.len) == 0 && column[name.len] == '.')
            return true;
    }
    return false;
}

static enum br_status unknown_member(const struct reader *reader, struct br_slice name) {
    struct br_nearest nearest = br_nearest_begin(name);
    for (uint32_t i = 0; i < reader->row_type->column_count; i++)
        br_nearest_try(&nearest, reader->row_type->columns[i].name);
    if (nearest.best != NULL)
        return br_error_set(reader->error, BR_DATA, "%s has no column \"%.*s\"; did you mean \"%s\"?",
                            reader->row_type->name, shown(name), (const char *)name.ptr, nearest.best);
    return br_error_set(reader->error, BR_DATA, "%s has no column \"%.*s\"", reader->row_type->name, shown(name),
                        (const char *)name.ptr);
}

static enum br_status mismatch(const struct reader *reader, const struct br_column_def *column,
                               const struct br_json *json) {
    static const char *const kinds[] = {
        [BR_JSON_NULL] = "null",       [BR_JSON_TRUE] = "a boolean",  [BR_JSON_FALSE] = "a boolean",
        [BR_JSON_NUMBER] = "a number", [BR_JSON_STRING] = "a string", [BR_JSON_ARRAY] = "an array",
        [BR_JSON_OBJECT] = "an object"};
    return br_error_set(reader->error, BR_DATA, "column \"%s\" of %s is %s and can't hold %s: %.*s", column->name,
                        reader->row_type->name, br_type_name(column->type), kinds[json->kind], shown(json->text),
                        (const char *)json->text.ptr);
}

static enum br_status parse_as(const struct reader *reader, const struct br_column_def *column, struct br_slice text,
                               struct br_value *value) {
    enum br_status status = br_value_parse(column->type, text, reader->arena, value, reader->error);
    if (status != BR_OK)
        (void)br_error_context(reader->error, "column \"%s\" of %s", column->name, reader->row_type->name);
    return status;
}

// 1e3 and 12.0 are integers, too, in JSON.
static enum br_status read_number(const struct reader *reader, const struct br_column_def *column,
                                  const struct br_json *json, struct br_value *value) {
    bool integer = column->type == BR_INTEGER || column->type == BR_BIGINT;
    if (!integer && column->type != BR_NUMERIC && column->type != BR_DOUBLE)
        return mismatch(reader, column, json);
    bool plain = true;
    for (size_t i = 0; i < json->text.len; i++)
        plain &= json->text.ptr[i] == '-' || (json->text.ptr[i] >= '0' && json->text.ptr[i] <= '9');
    struct br_numeric number;
    if (!integer || plain || !br_numeric_parse(json->text, &number))
        return parse_as(reader, column, json->text, value);
    number = br_numeric_normalize(number);
    if (br_numeric_scale(number) != 0)
        return mismatch(reader, column, json);
    char text[BR_NUMERIC_TEXT_SIZE];
    size_t length = br_numeric_print(number, text);
    return parse_as(reader, column, (struct br_slice){(const uint8_t *)text, length}, value);
}

static enum br_status read_string(const struct reader *reader, const struct br_column_def *column,
                                  const struct br_json *json, struct br_value *value) {
    struct br_slice text = br_json_string(json, reader->arena);
    if (column->type == BR_BYTEA && (text.len == 0 || text.ptr[0] != '\\')) {
        *value = (struct br_value){.type = BR_BYTEA};
        enum br_status status = br_base64_decode(text, reader->arena, &value->bytes, reader->error);
        if (status != BR_OK)
            (void)br_error_context(reader->error, "column \"%s\" of %s", column->name, reader->row_type->name);
        return status;
    }
    if (br_utf8_valid_prefix(text) != text.len)
        return br_error_set(reader->error, BR_DATA, "column \"%s\" of %s holds text that isn't UTF-8, or a NUL",
                            column->name, reader->row_type->name);
    if (column->type != BR_TEXT)
        return parse_as(reader, column, text, value);
    *value = (struct br_value){.type = BR_TEXT, .bytes = br_arena_copy(reader->arena, text)};
    return BR_OK;
}

static enum br_status read_value(const struct reader *reader, const struct br_column_def *column,
                                 const struct br_json *json, struct br_value *value) {
    switch (json->kind) {
    case BR_JSON_NULL:
        *value = (struct br_value){.type = column->type, .is_null = true};
        return BR_OK;
    case BR_JSON_TRUE:
    case BR_JSON_FALSE:
        if (column->type != BR_BOOLEAN)
            return mismatch(reader, column, json);
        *value = (struct br_value){.type = BR_BOOLEAN, .boolean = json->kind == BR_JSON_TRUE};
        return BR_OK;
    case BR_JSON_NUMBER:
        return read_number(reader, column, json, value);
    case BR_JSON_STRING:
        return read_string(reader, column, json, value);
    case BR_JSON_ARRAY:
    case BR_JSON_OBJECT:
        break;
    }
    return mismatch(reader, column, json);
}

// The members of an object whose names stand behind prefix (NULL or "a." …). Recursion is bounded by NAME_SIZE_MAX.
static enum br_status read_object(struct reader *reader, const struct br_json *object, struct br_slice prefix) {
    struct br_json_walk walk = br_json_begin(object);
    struct br_slice name;
    struct br_json json;
    char full[NAME_SIZE_MAX];
    while (br_json_next(&walk, reader->arena, &name, &json)) {
        if (prefix.len != 0) {
            if (prefix.len + name.len + 1 > sizeof full)
                return unknown_member(reader, name);
            memcpy(full, prefix.ptr, prefix.len);
            if (name.len != 0)
                memcpy(full + prefix.len, name.ptr, name.len);
            name = (struct br_slice){(const uint8_t *)full, prefix.len + name.len};
        }
        uint32_t index;
        if (find_column(reader, name, &index)) {
            struct br_value value;
            BR_TRY(read_value(reader, &reader->row_type->columns[index], &json, &value));
            if (reader->batch->columns[index].values != NULL)
                br_column_set(&reader->batch->columns[index], reader->row, &value);
        } else if (json.kind == BR_JSON_OBJECT && name.len != 0 && name.len + 1 < NAME_SIZE_MAX &&
                   is_prefix(reader, name)) {
            char *inner = br_arena_printf(reader->arena, "%.*s.", (int)name.len, (const char *)name.ptr);
            BR_TRY(read_object(reader, &json, (struct br_slice){(const uint8_t *)inner, name.len + 1}));
        } else {
            return unknown_member(reader, name);
        }
    }
    return BR_OK;
}

enum br_status br_json_decode_row(const struct br_row_type *row_type, struct br_slice json, struct br_batch *batch,
                                  uint32_t row, struct br_arena *arena, struct br_error *error) {
    struct reader reader = {.row_type = row_type, .batch = batch, .row = row, .arena = arena, .error = error};
    struct br_json document;
    BR_TRY(br_json_parse(json, &document, error));
    if (document.kind != BR_JSON_OBJECT)
        return br_error_set(error, BR_DATA, "a row of %s is a JSON object, not %.*s", row_type->name,
                            shown(document.text), (const char *)document.text.ptr);
    for (uint32_t i = 0; i < row_type->column_count; i++)
        if (batch->columns[i].values != NULL)
            br_bit_clear(batch->columns[i].validity, row);
    return read_object(&reader, &document, (struct br_slice){NULL, 0});
}
