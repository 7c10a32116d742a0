// SPDX-License-Identifier: Apache-2.0
// See json.h.
#include "base/json.h"

#define DEPTH_MAX 64

struct scan {
    const uint8_t *start, *at, *end;
    const char *wrong; // set at the first fault
};

static void skip_space(struct scan *scan) {
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\n' || *scan->at == '\r'))
        scan->at++;
}

static bool fail(struct scan *scan, const char *wrong) {
    if (scan->wrong == NULL)
        scan->wrong = wrong;
    return false;
}

static bool scan_word(struct scan *scan, const char *word) {
    size_t len = strlen(word);
    if ((size_t)(scan->end - scan->at) < len || memcmp(scan->at, word, len) != 0)
        return fail(scan, "a value was expected");
    scan->at += len;
    return true;
}

static bool is_hex(uint8_t c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool scan_string(struct scan *scan) {
    const uint8_t *start = ++scan->at;
    while (scan->at < scan->end && *scan->at != '"') {
        if (*scan->at < 0x20)
            return fail(scan, "a control character in a string must be escaped");
        if (*scan->at != '\\') {
            scan->at++;
            continue;
        }
        if (scan->end - scan->at < 2)
            break;
        uint8_t escape = scan->at[1];
        if (escape == 'u') {
            if (scan->end - scan->at < 6 || !is_hex(scan->at[2]) || !is_hex(scan->at[3]) || !is_hex(scan->at[4]) ||
                !is_hex(scan->at[5]))
                return fail(scan, "\\u needs four hex digits");
            scan->at += 6;
        } else if (memchr("\"\\/bfnrt", escape, 8) != NULL) {
            scan->at += 2;
        } else {
            return fail(scan, "no such escape");
        }
    }
    if (scan->at >= scan->end)
        return fail(scan, "the string has no end");
    struct br_slice body = {start, (size_t)(scan->at - start)};
    if (br_utf8_valid_prefix(body) != body.len)
        return fail(scan, "the string isn't UTF-8");
    scan->at++;
    return true;
}

static bool scan_digits(struct scan *scan) {
    const uint8_t *start = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
        scan->at++;
    return scan->at != start || fail(scan, "a digit was expected");
}

static bool scan_number(struct scan *scan) {
    if (*scan->at == '-')
        scan->at++;
    if (scan->at < scan->end && *scan->at == '0')
        scan->at++;
    else if (!scan_digits(scan))
        return false;
    if (scan->at < scan->end && *scan->at == '.') {
        scan->at++;
        if (!scan_digits(scan))
            return false;
    }
    if (scan->at < scan->end && (*scan->at | 0x20) == 'e') {
        scan->at++;
        if (scan->at < scan->end && (*scan->at == '+' || *scan->at == '-'))
            scan->at++;
        return scan_digits(scan);
    }
    return true;
}

static bool scan_value(struct scan *scan, int depth, enum br_json_kind *ret_kind);

static bool scan_container(struct scan *scan, int depth, bool object) {
    uint8_t close = object ? '}' : ']';
    scan->at++;
    skip_space(scan);
    if (scan->at < scan->end && *scan->at == close) {
        scan->at++;
        return true;
    }
    for (;;) {
        enum br_json_kind kind;
        if (object) {
            skip_space(scan);
            if (scan->at >= scan->end || *scan->at != '"')
                return fail(scan, "a member's name was expected");
            if (!scan_string(scan))
                return false;
            skip_space(scan);
            if (scan->at >= scan->end || *scan->at != ':')
                return fail(scan, "':' was expected");
            scan->at++;
        }
        if (!scan_value(scan, depth + 1, &kind))
            return false;
        skip_space(scan);
        if (scan->at < scan->end && *scan->at == ',') {
            scan->at++;
            continue;
        }
        if (scan->at >= scan->end || *scan->at != close)
            return fail(scan, object ? "',' or '}' was expected" : "',' or ']' was expected");
        scan->at++;
        return true;
    }
}

static bool scan_value(struct scan *scan, int depth, enum br_json_kind *ret_kind) {
    skip_space(scan);
    if (depth > DEPTH_MAX)
        return fail(scan, "nesting is too deep");
    if (scan->at >= scan->end)
        return fail(scan, "a value was expected");
    switch (*scan->at) {
    case '{':
        *ret_kind = BR_JSON_OBJECT;
        return scan_container(scan, depth, true);
    case '[':
        *ret_kind = BR_JSON_ARRAY;
        return scan_container(scan, depth, false);
    case '"':
        *ret_kind = BR_JSON_STRING;
        return scan_string(scan);
    case 't':
        *ret_kind = BR_JSON_TRUE;
        return scan_word(scan, "true");
    case 'f':
        *ret_kind = BR_JSON_FALSE;
        return scan_word(scan, "false");
    case 'n':
        *ret_kind = BR_JSON_NULL;
        return scan_word(scan, "null");
    default:
        *ret_kind = BR_JSON_NUMBER;
        if (*scan->at != '-' && (*scan->at < '0' || *scan->at > '9'))
            return fail(scan, "a value was expected");
        return scan_number(scan);
    }
}

enum br_status br_json_parse(struct br_slice text, struct br_json *ret_value, struct br_error *error) {
    struct scan scan = {text.ptr, text.ptr, text.ptr + text.len, NULL};
    skip_space(&scan);
    const uint8_t *start = scan.at;
    enum br_json_kind kind = BR_JSON_NULL;
    bool good = scan_value(&scan, 0, &kind);
    const uint8_t *end = scan.at;
    skip_space(&scan);
    if (good && scan.at != scan.end)
        good = fail(&scan, "there is something after the value");
    if (!good)
        return br_error_set(error, BR_DATA, "not JSON: %s (byte %zu)", scan.wrong, (size_t)(scan.at - scan.start) + 1);
    *ret_value = (struct br_json){kind, {start, (size_t)(end - start)}};
    return BR_OK;
}

struct br_json_walk br_json_begin(const struct br_json *container) {
    BR_CHECK(container->kind == BR_JSON_OBJECT || container->kind == BR_JSON_ARRAY);
    return (struct br_json_walk){{container->text.ptr + 1, container->text.len - 1}, container->kind == BR_JSON_OBJECT};
}

bool br_json_next(struct br_json_walk *walk, struct br_arena *arena, struct br_slice *ret_name,
                  struct br_json *ret_value) {
    struct scan scan = {walk->rest.ptr, walk->rest.ptr, walk->rest.ptr + walk->rest.len, NULL};
    skip_space(&scan);
    if (scan.at < scan.end && *scan.at == ',')
        scan.at++;
    skip_space(&scan);
    if (scan.at >= scan.end || *scan.at == '}' || *scan.at == ']')
        return false;
    *ret_name = (struct br_slice){0};
    if (walk->object) {
        const uint8_t *start = scan.at;
        bool good = scan_string(&scan);
        BR_CHECK(good); // it has been parsed before
        struct br_json name = {BR_JSON_STRING, {start, (size_t)(scan.at - start)}};
        *ret_name = br_json_string(&name, arena);
        skip_space(&scan);
        scan.at++; // the colon
    }
    skip_space(&scan);
    const uint8_t *start = scan.at;
    bool good = scan_value(&scan, 0, &ret_value->kind);
    BR_CHECK(good);
    ret_value->text = (struct br_slice){start, (size_t)(scan.at - start)};
    walk->rest = (struct br_slice){scan.at, (size_t)(scan.end - scan.at)};
    return true;
}

bool br_json_member(const struct br_json *object, const char *name, struct br_arena *arena, struct br_json *ret_value) {
    if (object->kind != BR_JSON_OBJECT)
        return false;
    struct br_json_walk walk = br_json_begin(object);
    struct br_slice found;
    while (br_json_next(&walk, arena, &found, ret_value))
        if (br_slice_is(found, name))
            return true;
    return false;
}

static uint32_t read_hex4(const uint8_t *at) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value = value << 4 | (uint32_t)(at[i] <= '9' ? at[i] - '0' : (at[i] | 0x20) - 'a' + 10);
    return value;
}

static size_t put_utf8(uint8_t *out, uint32_t c) {
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

// \uXXXX at `at`, with its partner when it is a surrogate pair. Returns the bytes read.
static size_t read_escape(const uint8_t *at, const uint8_t *end, uint32_t *ret_character) {
    uint32_t c = read_hex4(at + 2);
    *ret_character = c;
    if (c < 0xd800 || c > 0xdfff)
        return 6;
    *ret_character = 0xfffd;
    if (c > 0xdbff || end - at < 12 || at[6] != '\\' || at[7] != 'u')
        return 6;
    uint32_t low = read_hex4(at + 8);
    if (low < 0xdc00 || low > 0xdfff)
        return 6;
    *ret_character = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    return 12;
}

struct br_slice br_json_string(const struct br_json *value, struct br_arena *arena) {
    BR_CHECK(value->kind == BR_JSON_STRING && value->text.len >= 2);
    const uint8_t *at = value->text.ptr + 1, *end = value->text.ptr + value->text.len - 1;
    struct br_slice body = {at, (size_t)(end - at)};
    if (body.len == 0 || memchr(at, '\\', body.len) == NULL)
        return body;
    uint8_t *out = br_arena_alloc(arena, body.len);
    size_t len = 0;
    while (at < end) {
        if (*at != '\\') {
            out[len++] = *at++;
            continue;
        }
        if (at[1] == 'u') {
            uint32_t c;
            at += read_escape(at, end, &c);
            len += put_utf8(out + len, c);
            continue;
        }
        static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
        const char *known = memchr(from, at[1], 5);
        out[len++] = known != NULL ? (uint8_t)to[known - from] : at[1];
        at += 2;
    }
    return (struct br_slice){out, len};
}

// --- strictly

struct member {
    struct br_slice name;
    const uint8_t *at; // its value
};
struct strict {
    const uint8_t *start;
    struct br_arena *arena;
    struct br_error *error;
};

static enum br_status refuse(const struct strict *strict, const char *what, struct br_slice name, const uint8_t *at) {
    return br_error_set(strict->error, BR_DATA, "%s%.*s%s (byte %zu)", what, (int)(name.len > 60 ? 60 : name.len),
                        name.len == 0 ? "" : (const char *)name.ptr, name.ptr == NULL ? "" : "\" is there twice",
                        (size_t)(at - strict->start) + 1);
}

static enum br_status check_text(const struct strict *strict, struct br_slice text) {
    const uint8_t *end = text.ptr + text.len;
    for (const uint8_t *at = text.ptr; (at = memchr(at, '\\', (size_t)(end - at))) != NULL;) {
        if (at[1] != 'u') {
            at += 2;
            continue;
        }
        uint32_t c;
        size_t len = read_escape(at, end, &c);
        if (c == 0xfffd && (at[2] | 0x20) == 'd')
            return refuse(strict, "\\ud800 to \\udfff stand for nothing but in pairs", (struct br_slice){0}, at);
        at += len;
    }
    return BR_OK;
}

static int by_name(const void *a, const void *b) {
    const struct member *x = a, *y = b;
    size_t len = x->name.len < y->name.len ? x->name.len : y->name.len;
    int order = len == 0 ? 0 : memcmp(x->name.ptr, y->name.ptr, len);
    if (order == 0)
        order = (x->name.len > y->name.len) - (x->name.len < y->name.len);
    return order != 0 ? order : (x->at > y->at) - (x->at < y->at);
}

static enum br_status check_strictly(const struct strict *strict, const struct br_json *value) {
    if (value->kind == BR_JSON_STRING)
        return check_text(strict, value->text);
    if (value->kind != BR_JSON_OBJECT && value->kind != BR_JSON_ARRAY)
        return BR_OK;
    struct br_json_walk walk = br_json_begin(value);
    struct br_json inner;
    struct member member, *members = NULL;
    size_t count = 0, capacity = 0;
    for (const uint8_t *before = walk.rest.ptr; br_json_next(&walk, strict->arena, &member.name, &inner);
         before = walk.rest.ptr) {
        member.at = inner.text.ptr;
        BR_TRY(check_text(strict, (struct br_slice){before, (size_t)(member.at - before)}));
        BR_TRY(check_strictly(strict, &inner));
        if (!walk.object)
            continue;
        if (count == capacity) {
            capacity = capacity == 0 ? 16 : 2 * capacity;
            struct member *more = br_arena_array(strict->arena, struct member, capacity);
            if (count != 0)
                memcpy(more, members, count * sizeof *members);
            members = more;
        }
        members[count++] = member;
    }
    if (count < 2)
        return BR_OK;
    qsort(members, count, sizeof *members, by_name);
    for (size_t i = 1; i < count; i++)
        if (br_slice_equal(members[i].name, members[i - 1].name))
            return refuse(strict, "member \"", members[i].name, members[i].at);
    return BR_OK;
}

enum br_status br_json_parse_strictly(struct br_slice text, struct br_arena *arena, struct br_json *ret_value,
                                      struct br_error *error) {
    const struct strict strict = {text.ptr, arena, error};
    BR_TRY(br_json_parse(text, ret_value, error));
    return check_strictly(&strict, ret_value);
}

// --- base64

static int base64_digit(uint8_t c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

enum br_status br_base64_decode(struct br_slice text, struct br_arena *arena, struct br_slice *ret_bytes,
                                struct br_error *error) {
    while (text.len != 0 && text.ptr[text.len - 1] == '=')
        text.len--;
    uint8_t *out = br_arena_alloc(arena, text.len);
    size_t len = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = base64_digit(text.ptr[i]);
        if (digit < 0)
            return br_error_set(error, BR_DATA, "not base64: byte %zu is no base64 digit", i + 1);
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 != 0)
            out[len++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    if (text.len % 4 == 1)
        return br_error_set(error, BR_DATA, "not base64: the text is cut short");
    *ret_bytes = (struct br_slice){out, len};
    return BR_OK;
}

void br_base64_encode(struct br_slice bytes, struct br_buffer *out) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t bits = (uint32_t)bytes.ptr[i] << 16 | (left > 1 ? (uint32_t)bytes.ptr[i + 1] << 8 : 0) |
                        (left > 2 ? bytes.ptr[i + 2] : 0);
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63], left > 1 ? digits[bits >> 6 & 63] : '=',
                        left > 2 ? digits[bits & 63] : '='};
        br_buffer_append(out, four, 4);
    }
}

uint64_t br_json_count(const struct br_json *object, const char *name, struct br_arena *arena) {
    struct br_json value;
    uint64_t count = 0;
    if (object->kind != BR_JSON_OBJECT || !br_json_member(object, name, arena, &value) || value.kind != BR_JSON_NUMBER)
        return 0;
    for (size_t i = 0; i < value.text.len; i++) {
        uint8_t digit = (uint8_t)(value.text.ptr[i] - '0');
        if (digit > 9 || __builtin_mul_overflow(count, 10, &count) || __builtin_add_overflow(count, digit, &count))
            return 0;
    }
    return count;
}
