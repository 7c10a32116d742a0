// SPDX-License-Identifier: Apache-2.0
// Bytes as text and back: encode, decode, to_hex, md5 (RFC 1321), convert_to, convert_from.
#include "processor/expr/expr_internal.h"

#include <stdio.h>

#define BYTES(index) BR_ARGUMENT(call, index, struct br_slice, row)
#define SET_BYTES(value) BR_RESULT(call, struct br_slice)[row] = (value)

static const char HEX[] = "0123456789abcdef";
static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
#define BASE64_LINE 76 // PostgreSQL breaks lines here

enum encoding { ENCODING_NONE, ENCODING_HEX, ENCODING_BASE64, ENCODING_ESCAPE };
static enum encoding encoding_of(struct br_slice name) {
    char lowered[8];
    if (name.len >= sizeof lowered)
        return ENCODING_NONE;
    for (size_t i = 0; i < name.len; i++)
        lowered[i] = (char)br_char_lower(name.ptr[i]);
    lowered[name.len] = '\0';
    if (strcmp(lowered, "hex") == 0)
        return ENCODING_HEX;
    if (strcmp(lowered, "base64") == 0)
        return ENCODING_BASE64;
    return strcmp(lowered, "escape") == 0 ? ENCODING_ESCAPE : ENCODING_NONE;
}

// --- encode
static size_t put_hex(struct br_slice bytes, uint8_t *to) {
    for (size_t i = 0; i < bytes.len; i++) {
        to[2 * i] = (uint8_t)HEX[bytes.ptr[i] >> 4];
        to[2 * i + 1] = (uint8_t)HEX[bytes.ptr[i] & 15];
    }
    return 2 * bytes.len;
}

static size_t put_base64(struct br_slice bytes, uint8_t *to) {
    size_t len = 0, in_line = 0;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t three = (uint32_t)bytes.ptr[i] << 16;
        three |= left > 1 ? (uint32_t)bytes.ptr[i + 1] << 8 : 0;
        three |= left > 2 ? bytes.ptr[i + 2] : 0;
        if (in_line == BASE64_LINE) {
            to[len++] = '\n';
            in_line = 0;
        }
        to[len++] = (uint8_t)BASE64[three >> 18];
        to[len++] = (uint8_t)BASE64[three >> 12 & 63];
        to[len++] = left > 1 ? (uint8_t)BASE64[three >> 6 & 63] : '=';
        to[len++] = left > 2 ? (uint8_t)BASE64[three & 63] : '=';
        in_line += 4;
    }
    // PostgreSQL ends a full line at once, also the last.
    if (in_line == BASE64_LINE)
        to[len++] = '\n';
    return len;
}

static size_t put_escape(struct br_slice bytes, uint8_t *to) {
    size_t len = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t byte = bytes.ptr[i];
        if (byte == 0 || byte >= 0x80) {
            to[len++] = '\\';
            to[len++] = (uint8_t)('0' + (byte >> 6));
            to[len++] = (uint8_t)('0' + (byte >> 3 & 7));
            to[len++] = (uint8_t)('0' + (byte & 7));
        } else {
            if (byte == '\\')
                to[len++] = '\\';
            to[len++] = byte;
        }
    }
    return len;
}

static void encode(struct br_call *call) {
    struct br_text_writer writer = br_text_writer_of(call);
    BR_EACH_LIVE(call, row, {
        struct br_slice bytes = BYTES(0);
        struct br_slice name = BYTES(1);
        uint8_t *at = br_text_reserve(&writer, 4 * bytes.len + 4);
        size_t len = 0;
        switch (encoding_of(name)) {
        case ENCODING_HEX:
            len = put_hex(bytes, at);
            break;
        case ENCODING_BASE64:
            len = put_base64(bytes, at);
            break;
        case ENCODING_ESCAPE:
            len = put_escape(bytes, at);
            break;
        case ENCODING_NONE:
            br_call_fail_printf(call, row, "unrecognized encoding: \"%.*s\"", (int)name.len, name.ptr);
        }
        SET_BYTES(br_text_done(&writer, at, len));
    });
}

// --- decode: each gives the length, or fails the row and gives SIZE_MAX
static bool is_space(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static int hex_digit(uint8_t byte) {
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    uint8_t lower = byte | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static size_t get_hex(struct br_call *call, uint32_t row, struct br_slice text, uint8_t *to) {
    size_t len = 0;
    for (size_t i = 0; i < text.len;) {
        if (is_space(text.ptr[i])) {
            i++;
            continue;
        }
        for (size_t j = i; j < i + 2 && j < text.len; j++)
            if (hex_digit(text.ptr[j]) < 0) {
                br_call_fail_printf(call, row, "invalid hexadecimal digit: \"%.*s\"", (int)br_char_size(text.ptr[j]),
                                    text.ptr + j);
                return SIZE_MAX;
            }
        if (i + 1 == text.len) {
            br_call_fail(call, row, "invalid hexadecimal data: odd number of digits");
            return SIZE_MAX;
        }
        to[len++] = (uint8_t)(hex_digit(text.ptr[i]) << 4 | hex_digit(text.ptr[i + 1]));
        i += 2;
    }
    return len;
}

static int base64_digit(uint8_t byte) {
    const char *at = byte == 0 ? NULL : strchr(BASE64, byte);
    return at == NULL ? -1 : (int)(at - BASE64);
}

static size_t get_base64(struct br_call *call, uint32_t row, struct br_slice text, uint8_t *to) {
    size_t len = 0;
    uint32_t bits = 0;
    unsigned digits = 0, padding = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        int digit = base64_digit(byte);
        if (is_space(byte))
            continue;
        if (byte == '=') {
            // Padding ends a group of which at least two digits are there.
            if (padding == 0 && digits < 2) {
                br_call_fail(call, row, "unexpected \"=\" while decoding base64 sequence");
                return SIZE_MAX;
            }
            padding++;
            digit = 0;
        } else if (digit < 0) {
            br_call_fail_printf(call, row, "invalid symbol \"%.*s\" found while decoding base64 sequence",
                                (int)br_char_size(byte), text.ptr + i);
            return SIZE_MAX;
        }
        bits = bits << 6 | (uint32_t)digit;
        if (++digits < 4)
            continue;
        to[len++] = (uint8_t)(bits >> 16);
        if (padding < 2)
            to[len++] = (uint8_t)(bits >> 8);
        if (padding < 1)
            to[len++] = (uint8_t)bits;
        digits = 0;
        bits = 0;
    }
    if (digits != 0) {
        br_call_fail(call, row, "invalid base64 end sequence");
        return SIZE_MAX;
    }
    return len;
}

static size_t get_escape(struct br_call *call, uint32_t row, struct br_slice text, uint8_t *to) {
    size_t len = 0;
    for (size_t i = 0; i < text.len;) {
        const uint8_t *at = text.ptr + i;
        if (*at != '\\') {
            to[len++] = *at;
            i++;
        } else if (text.len - i >= 2 && at[1] == '\\') {
            to[len++] = '\\';
            i += 2;
        } else if (text.len - i >= 4 && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' && at[3] >= '0' &&
                   at[3] <= '7') {
            to[len++] = (uint8_t)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
            i += 4;
        } else {
            br_call_fail(call, row, "invalid input syntax for type bytea");
            return SIZE_MAX;
        }
    }
    return len;
}

static void decode(struct br_call *call) {
    struct br_text_writer writer = br_text_writer_of(call);
    BR_EACH_LIVE(call, row, {
        struct br_slice text = BYTES(0);
        struct br_slice name = BYTES(1);
        uint8_t *at = br_text_reserve(&writer, text.len + 3);
        size_t len = SIZE_MAX;
        switch (encoding_of(name)) {
        case ENCODING_HEX:
            len = get_hex(call, row, text, at);
            break;
        case ENCODING_BASE64:
            len = get_base64(call, row, text, at);
            break;
        case ENCODING_ESCAPE:
            len = get_escape(call, row, text, at);
            break;
        case ENCODING_NONE:
            br_call_fail_printf(call, row, "unrecognized encoding: \"%.*s\"", (int)name.len, name.ptr);
        }
        if (len != SIZE_MAX)
            SET_BYTES(br_text_done(&writer, at, len));
    });
}

// --- to_hex
static struct br_slice hex_of(struct br_text_writer *writer, uint64_t value) {
    uint8_t *at = br_text_reserve(writer, 17);
    int len = snprintf((char *)at, 17, "%llx", (unsigned long long)value);
    return br_text_done(writer, at, (size_t)len);
}
static void integer_to_hex(struct br_call *call) {
    struct br_text_writer writer = br_text_writer_of(call);
    BR_EACH_LIVE(call, row, { SET_BYTES(hex_of(&writer, (uint32_t)BR_ARGUMENT(call, 0, int32_t, row))); });
}
static void bigint_to_hex(struct br_call *call) {
    struct br_text_writer writer = br_text_writer_of(call);
    BR_EACH_LIVE(call, row, { SET_BYTES(hex_of(&writer, (uint64_t)BR_ARGUMENT(call, 0, int64_t, row))); });
}

// --- md5
static const uint32_t MD5_SINES[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};
static const uint8_t MD5_SHIFTS[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static void md5_block(uint32_t state[4], const uint8_t *block) {
    uint32_t words[16], a = state[0], b = state[1], c = state[2], d = state[3];
    memcpy(words, block, sizeof words); // little-endian, as the machines are that this runs on
    for (unsigned i = 0; i < 64; i++) {
        uint32_t mixed;
        unsigned word;
        switch (i / 16) {
        case 0:
            mixed = (b & c) | (~b & d);
            word = i;
            break;
        case 1:
            mixed = (d & b) | (~d & c);
            word = (5 * i + 1) % 16;
            break;
        case 2:
            mixed = b ^ c ^ d;
            word = (3 * i + 5) % 16;
            break;
        default:
            mixed = c ^ (b | ~d);
            word = 7 * i % 16;
        }
        mixed += a + MD5_SINES[i] + words[word];
        unsigned shift = MD5_SHIFTS[i / 16][i % 4];
        a = d;
        d = c;
        c = b;
        b += mixed << shift | mixed >> (32 - shift);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

static void md5_digest(struct br_slice bytes, uint8_t digest[16]) {
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    size_t whole = bytes.len / 64, rest = bytes.len % 64;
    for (size_t i = 0; i < whole; i++)
        md5_block(state, bytes.ptr + 64 * i);
    uint8_t last[128] = {0};
    if (rest != 0)
        memcpy(last, bytes.ptr + 64 * whole, rest);
    last[rest] = 0x80;
    size_t blocks = rest < 56 ? 1 : 2;
    uint64_t bits = (uint64_t)bytes.len * 8;
    memcpy(last + 64 * blocks - 8, &bits, sizeof bits);
    for (size_t i = 0; i < blocks; i++)
        md5_block(state, last + 64 * i);
    memcpy(digest, state, 16);
}

static void md5(struct br_call *call) {
    struct br_text_writer writer = br_text_writer_of(call);
    BR_EACH_LIVE(call, row, {
        uint8_t digest[16];
        md5_digest(BYTES(0), digest);
        uint8_t *at = br_text_reserve(&writer, 32);
        SET_BYTES(br_text_done(&writer, at, put_hex((struct br_slice){digest, 16}, at)));
    });
}

// --- text is UTF-8: the bytes are the same
static bool is_utf8_name(struct br_slice name) {
    char lowered[8] = {0};
    if (name.len >= sizeof lowered)
        return false;
    for (size_t i = 0; i < name.len; i++)
        lowered[i] = (char)br_char_lower(name.ptr[i]);
    return strcmp(lowered, "utf8") == 0 || strcmp(lowered, "utf-8") == 0;
}
BR_ROW_KERNEL(convert, {
    struct br_slice bytes = BYTES(0);
    struct br_slice name = BYTES(1);
    size_t valid = call->expr->type == BR_TEXT ? br_utf8_valid_prefix(bytes) : bytes.len;
    if (!is_utf8_name(name))
        br_call_fail_printf(call, row, "unsupported encoding \"%.*s\": only UTF8 is", (int)name.len, name.ptr);
    else if (valid != bytes.len)
        br_call_fail_printf(call, row, "invalid byte sequence for encoding \"UTF8\": 0x%02x", bytes.ptr[valid]);
    else
        SET_BYTES(bytes);
})

static const struct br_function FUNCTIONS[] = {
    {"encode", BR_TEXT, 2, {BR_BYTEA, BR_TEXT}, encode, NULL, 0},
    {"decode", BR_BYTEA, 2, {BR_TEXT, BR_TEXT}, decode, NULL, 0},
    {"to_hex", BR_TEXT, 1, {BR_INTEGER}, integer_to_hex, NULL, 0},
    {"to_hex", BR_TEXT, 1, {BR_BIGINT}, bigint_to_hex, NULL, 0},
    {"md5", BR_TEXT, 1, {BR_TEXT}, md5, NULL, 0},
    {"md5", BR_TEXT, 1, {BR_BYTEA}, md5, NULL, 0},
    {"convert_from", BR_TEXT, 2, {BR_BYTEA, BR_TEXT}, convert, NULL, 0},
    {"convert_to", BR_BYTEA, 2, {BR_TEXT, BR_TEXT}, convert, NULL, 0},
};
const struct br_function_table br_text_code_table = {FUNCTIONS, sizeof FUNCTIONS / sizeof FUNCTIONS[0]};
