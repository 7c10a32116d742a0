// SPDX-License-Identifier: Apache-2.0
// See types.h: names, widths and text forms.
#include "processor/expr/types.h"

#include "processor/expr/datetime.h"
#include "processor/expr/numeric.h"

#include <math.h>

static const struct {
    const char *name;
    size_t width;
} types[BR_TYPE_COUNT] = {
    [BR_UNKNOWN] = {"unknown", sizeof(struct br_slice)},
    [BR_BOOLEAN] = {"boolean", sizeof(bool)},
    [BR_INTEGER] = {"integer", sizeof(int32_t)},
    [BR_BIGINT] = {"bigint", sizeof(int64_t)},
    [BR_NUMERIC] = {"numeric", sizeof(struct br_numeric)},
    [BR_DOUBLE] = {"double precision", sizeof(double)},
    [BR_TEXT] = {"text", sizeof(struct br_slice)},
    [BR_BYTEA] = {"bytea", sizeof(struct br_slice)},
    [BR_TIMESTAMPTZ] = {"timestamptz", sizeof(int64_t)},
    [BR_DATE] = {"date", sizeof(int32_t)},
    [BR_INTERVAL] = {"interval", sizeof(struct br_interval)},
};

// Not among them: real, smallint, timestamp without time zone, char(n), name: they would behave differently from what
// we have.
static const struct {
    const char *name;
    enum br_type type;
} names[] = {
    {"bool", BR_BOOLEAN},
    {"boolean", BR_BOOLEAN},
    {"int", BR_INTEGER},
    {"int4", BR_INTEGER},
    {"integer", BR_INTEGER},
    {"int8", BR_BIGINT},
    {"bigint", BR_BIGINT},
    {"numeric", BR_NUMERIC},
    {"decimal", BR_NUMERIC},
    {"dec", BR_NUMERIC},
    {"float8", BR_DOUBLE},
    {"float", BR_DOUBLE},
    {"double precision", BR_DOUBLE},
    {"text", BR_TEXT},
    {"varchar", BR_TEXT},
    {"character varying", BR_TEXT},
    {"bytea", BR_BYTEA},
    {"timestamptz", BR_TIMESTAMPTZ},
    {"timestamp with time zone", BR_TIMESTAMPTZ},
    {"date", BR_DATE},
    {"interval", BR_INTERVAL},
};

size_t br_type_width(enum br_type type) {
    BR_CHECK(type >= 0 && type < BR_TYPE_COUNT);
    return types[type].width;
}

const char *br_type_name(enum br_type type) {
    BR_CHECK(type >= 0 && type < BR_TYPE_COUNT);
    return types[type].name;
}

bool br_type_from_name(const char *name, enum br_type *ret_type) {
    static const char catalog[] = "pg_catalog.";
    if (strncmp(name, catalog, sizeof catalog - 1) == 0)
        name += sizeof catalog - 1;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        // SQL names don't distinguish case.
        const char *a = names[i].name, *b = name;
        while (*a != '\0' && (*b == *a || (*b >= 'A' && *b <= 'Z' && (*b | 0x20) == *a)))
            a++, b++;
        if (*a == '\0' && *b == '\0') {
            *ret_type = names[i].type;
            return true;
        }
    }
    return false;
}

static void append_hex(struct br_slice bytes, struct br_buffer *out) {
    static const char digits[] = "0123456789abcdef";
    uint8_t *at = br_buffer_reserve(out, 2 + 2 * bytes.len);
    *at++ = '\\';
    *at++ = 'x';
    for (size_t i = 0; i < bytes.len; i++) {
        *at++ = (uint8_t)digits[bytes.ptr[i] >> 4];
        *at++ = (uint8_t)digits[bytes.ptr[i] & 15];
    }
    out->len += 2 + 2 * bytes.len;
}

static void append_base64(struct br_slice bytes, struct br_buffer *out) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t length = (bytes.len + 2) / 3 * 4;
    uint8_t *at = br_buffer_reserve(out, length);
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t group = (uint32_t)bytes.ptr[i] << 16 | (left > 1 ? (uint32_t)bytes.ptr[i + 1] << 8 : 0) |
                         (left > 2 ? bytes.ptr[i + 2] : 0);
        *at++ = (uint8_t)digits[group >> 18];
        *at++ = (uint8_t)digits[group >> 12 & 63];
        *at++ = left > 1 ? (uint8_t)digits[group >> 6 & 63] : '=';
        *at++ = left > 2 ? (uint8_t)digits[group & 63] : '=';
    }
    out->len += length;
}

// What both forms print alike, at most BR_NUMERIC_TEXT_SIZE bytes.
static size_t print_scalar(const struct br_value *value, bool json, char *text) {
    struct br_numeric whole;
    switch (value->type) {
    case BR_BOOLEAN:
        memcpy(text, value->boolean ? "true" : "false", 6 - (size_t)value->boolean);
        return 5 - (size_t)value->boolean;
    case BR_INTEGER:
        whole = br_numeric_from_int64(value->integer);
        return br_numeric_print(whole, text);
    case BR_BIGINT:
        whole = br_numeric_from_int64(value->bigint);
        return br_numeric_print(whole, text);
    case BR_NUMERIC:
        return br_numeric_print(value->numeric, text);
    case BR_DOUBLE:
        return br_double_print(value->real, text);
    case BR_TIMESTAMPTZ:
        return br_timestamptz_print(value->bigint, json, text);
    case BR_DATE:
        return br_date_print(value->integer, text);
    case BR_INTERVAL:
        return br_interval_print(value->interval, text);
    default:
        BR_CHECK(false);
    }
}

void br_value_print(const struct br_value *value, struct br_buffer *out) {
    if (value->is_null)
        return;
    if (value->type == BR_TEXT || value->type == BR_UNKNOWN)
        br_buffer_append_slice(out, value->bytes);
    else if (value->type == BR_BYTEA)
        append_hex(value->bytes, out);
    else
        out->len += print_scalar(value, false, (char *)br_buffer_reserve(out, BR_NUMERIC_TEXT_SIZE));
}

static bool is_bare_in_json(const struct br_value *value) {
    switch (value->type) {
    case BR_BOOLEAN:
    case BR_INTEGER:
    case BR_BIGINT:
    case BR_NUMERIC:
        return true;
    case BR_DOUBLE:
        return isfinite(value->real);
    default:
        return false;
    }
}

void br_value_print_json(const struct br_value *value, struct br_buffer *out) {
    if (value->is_null) {
        br_buffer_append(out, "null", 4);
    } else if (value->type == BR_TEXT || value->type == BR_UNKNOWN) {
        br_json_append_string(value->bytes, out);
    } else if (value->type == BR_BYTEA) {
        br_buffer_append_byte(out, '"');
        append_base64(value->bytes, out);
        br_buffer_append_byte(out, '"');
    } else if (is_bare_in_json(value)) {
        out->len += print_scalar(value, true, (char *)br_buffer_reserve(out, BR_NUMERIC_TEXT_SIZE));
    } else {
        char *at = (char *)br_buffer_reserve(out, BR_NUMERIC_TEXT_SIZE + 2);
        size_t length = print_scalar(value, true, at + 1);
        at[0] = at[length + 1] = '"';
        out->len += length + 2;
    }
}

void br_json_append_string(struct br_slice text, struct br_buffer *out) {
    br_buffer_append_byte(out, '"');
    size_t plain = 0; // where the bytes begin that need no escape and are not appended yet
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\')
            continue;
        br_buffer_append(out, text.ptr + plain, i - plain);
        plain = i + 1;
        static const char named[0x20] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
        if (byte >= 0x20 || named[byte] != 0) {
            br_buffer_append_byte(out, '\\');
            br_buffer_append_byte(out, byte >= 0x20 ? byte : (uint8_t)named[byte]);
        } else {
            br_buffer_printf(out, "\\u%04x", byte);
        }
    }
    if (text.len > plain)
        br_buffer_append(out, text.ptr + plain, text.len - plain);
    br_buffer_append_byte(out, '"');
}
