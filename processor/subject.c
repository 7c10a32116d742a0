// SPDX-License-Identifier: Apache-2.0
// See subject.h.
#include "processor/subject.h"

// The next token of a dotted run; false at the end.
static bool next_token(struct br_slice *rest, struct br_slice *ret_token) {
    if (rest->ptr == NULL)
        return false;
    const uint8_t *dot = rest->len == 0 ? NULL : memchr(rest->ptr, '.', rest->len);
    size_t len = dot != NULL ? (size_t)(dot - rest->ptr) : rest->len;
    *ret_token = (struct br_slice){rest->ptr, len};
    *rest = dot != NULL ? (struct br_slice){dot + 1, rest->len - len - 1} : (struct br_slice){NULL, 0};
    return true;
}

// A placeholder within template text: {name}. Returns its length with the braces, 0 when there is none at `at`.
static size_t placeholder(struct br_slice text, size_t at, struct br_slice *ret_name) {
    if (text.ptr[at] != '{')
        return 0;
    const uint8_t *close = memchr(text.ptr + at, '}', text.len - at);
    if (close == NULL)
        return 0;
    *ret_name = (struct br_slice){text.ptr + at + 1, (size_t)(close - text.ptr) - at - 1};
    return ret_name->len + 2;
}

void br_subject_filter(const char *subject_template, struct br_buffer *filter) {
    struct br_slice rest = br_slice_of(subject_template), token;
    bool first = true;
    while (next_token(&rest, &token)) {
        if (!first)
            br_buffer_append_byte(filter, '.');
        first = false;
        if (token.len != 0 && memchr(token.ptr, '{', token.len) != NULL)
            br_buffer_append_byte(filter, '*');
        else
            br_buffer_append_slice(filter, token);
    }
    *br_buffer_reserve(filter, 1) = '\0';
}

bool br_subject_has_column(const char *subject_template, const char *column) {
    struct br_slice rest = br_slice_of(subject_template), token, name;
    while (next_token(&rest, &token))
        if (token.len != 0 && placeholder(token, 0, &name) == token.len && br_slice_is(name, column))
            return true;
    return false;
}

static bool is_plain(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c >= 0x80;
}

void br_subject_encode(struct br_slice value, struct br_buffer *out) {
    static const char digits[] = "0123456789ABCDEF";
    if (value.len == 0)
        br_buffer_append_byte(out, '%');
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        if (is_plain(c))
            br_buffer_append_byte(out, c);
        else
            br_buffer_append(out, (const char[]){'%', digits[c >> 4], digits[c & 15]}, 3);
    }
}

// Tokens that a literal subject may have: no blanks, no wildcards, none empty.
static bool is_literal(struct br_slice text) {
    struct br_slice token;
    while (next_token(&text, &token)) {
        if (token.len == 0 || (token.len == 1 && (token.ptr[0] == '*' || token.ptr[0] == '>')))
            return false;
        for (size_t i = 0; i < token.len; i++)
            if (token.ptr[i] <= ' ' || token.ptr[i] == 0x7f)
                return false;
    }
    return true;
}

void br_subject_append_name(const char *name, struct br_buffer *out) {
    if (is_literal(br_slice_of(name)))
        br_buffer_append_text(out, name);
    else
        br_subject_encode(br_slice_of(name), out);
}

bool br_subject_templates_overlap(const char *left, const char *right) {
    struct br_slice rest[2] = {br_slice_of(left), br_slice_of(right)}, token[2] = {{0}, {0}};
    for (;;) {
        bool more = next_token(&rest[0], &token[0]), other = next_token(&rest[1], &token[1]);
        if (!more || !other)
            return more == other;
        bool open = false; // anything may stand there
        for (int i = 0; i < 2; i++) {
            if (br_slice_is(token[i], ">"))
                return true;
            open |=
                br_slice_is(token[i], "*") || (token[i].len != 0 && memchr(token[i].ptr, '{', token[i].len) != NULL);
        }
        if (!open && !br_slice_equal(token[0], token[1]))
            return false;
    }
}

void br_subject_format(const char *subject_template, const struct br_row_type *row_type, const struct br_batch *batch,
                       uint32_t row, struct br_buffer *out) {
    struct br_slice text = br_slice_of(subject_template), name;
    struct br_buffer printed = {0};
    for (size_t at = 0; at < text.len;) {
        size_t len = placeholder(text, at, &name);
        if (len == 0) {
            br_buffer_append_byte(out, text.ptr[at++]);
            continue;
        }
        at += len;
        uint32_t c = 0;
        while (c < row_type->column_count && !br_slice_is(name, row_type->columns[c].name))
            c++;
        BR_CHECK(c < row_type->column_count);
        struct br_value value = br_column_get(&batch->columns[c], row);
        if (value.is_null) {
            br_buffer_append_text(out, "%N");
            continue;
        }
        br_buffer_clear(&printed);
        br_value_print(&value, &printed);
        br_subject_encode(br_buffer_slice(&printed), out);
    }
    br_buffer_free(&printed);
}

static int hex_digit(uint8_t c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

static struct br_slice decode(struct br_slice token, struct br_arena *arena) {
    uint8_t *out = br_arena_alloc(arena, token.len);
    size_t len = 0;
    for (size_t i = 0; i < token.len; i++) {
        if (token.ptr[i] == '%' && i + 2 < token.len && hex_digit(token.ptr[i + 1]) >= 0 &&
            hex_digit(token.ptr[i + 2]) >= 0) {
            out[len++] = (uint8_t)(hex_digit(token.ptr[i + 1]) << 4 | hex_digit(token.ptr[i + 2]));
            i += 2;
        } else if (token.ptr[i] != '%' || token.len > 1) {
            out[len++] = token.ptr[i];
        }
    }
    return (struct br_slice){out, len};
}

enum br_status br_subject_read_column(const char *subject_template, struct br_slice subject, const char *column,
                                      struct br_arena *arena, struct br_slice *ret_text, struct br_error *error) {
    struct br_slice pattern = br_slice_of(subject_template), rest = subject, want, got, name;
    while (next_token(&pattern, &want)) {
        if (!next_token(&rest, &got))
            break;
        if (want.len == 0 || placeholder(want, 0, &name) != want.len || !br_slice_is(name, column))
            continue;
        *ret_text = decode(got, arena);
        return BR_OK;
    }
    return br_error_set(error, BR_DATA, "subject \"%.*s\" has no value for {%s} of \"%s\"", (int)subject.len,
                        (const char *)subject.ptr, column, subject_template);
}
