// SPDX-License-Identifier: Apache-2.0
// Header blocks of NATS messages: "NATS/1.0[ code[ text]]\r\n", lines "name: value\r\n", an empty line. What comes in
// is taken as it is: a line without a colon is skipped, blanks around the value are cut. See session.h.
#include "processor/log/nats/session.h"

static bool next_line(struct br_slice *rest, struct br_slice *ret_line) {
    if (rest->len == 0)
        return false;
    const uint8_t *end = memchr(rest->ptr, '\n', rest->len);
    size_t len = end == NULL ? rest->len : (size_t)(end - rest->ptr);
    size_t whole = end == NULL ? len : len + 1;
    *ret_line = (struct br_slice){rest->ptr, len > 0 && rest->ptr[len - 1] == '\r' ? len - 1 : len};
    *rest = (struct br_slice){rest->ptr + whole, rest->len - whole};
    return true;
}

static bool split_line(struct br_slice line, struct br_log_header *ret_header) {
    const uint8_t *colon = line.len == 0 ? NULL : memchr(line.ptr, ':', line.len);
    if (colon == NULL)
        return false;
    const uint8_t *value = colon + 1, *end = line.ptr + line.len;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *ret_header =
        (struct br_log_header){.name = {line.ptr, (size_t)(colon - line.ptr)}, .value = {value, (size_t)(end - value)}};
    return true;
}

int br_session_status(struct br_slice headers) {
    int code = 0;
    for (size_t i = sizeof "NATS/1.0 " - 1; i < headers.len && i < 13; i++) {
        if (headers.ptr[i] < '0' || headers.ptr[i] > '9')
            break;
        code = code * 10 + (headers.ptr[i] - '0');
    }
    return code;
}

bool br_session_find_header(struct br_slice headers, const char *name, struct br_slice *ret_value) {
    struct br_slice line;
    struct br_log_header header;
    next_line(&headers, &line);
    while (next_line(&headers, &line)) {
        if (split_line(line, &header) && br_slice_is(header.name, name)) {
            *ret_value = header.value;
            return true;
        }
    }
    return false;
}

void br_session_parse_headers(struct br_slice block, struct br_arena *arena, struct br_log_header **ret_headers,
                              uint32_t *ret_count, int *ret_code) {
    struct br_slice line, rest = block;
    size_t lines = 0;
    while (next_line(&rest, &line))
        lines++;
    struct br_log_header *headers = br_arena_alloc(arena, lines * sizeof *headers);
    uint32_t count = 0;
    rest = block;
    next_line(&rest, &line);
    while (next_line(&rest, &line))
        if (split_line(line, &headers[count]))
            count++;
    *ret_headers = headers;
    *ret_count = count;
    *ret_code = br_session_status(block);
}

void br_session_write_header(struct br_buffer *out, struct br_slice name, struct br_slice value) {
    uint8_t *at = br_buffer_reserve(out, name.len + value.len + 4);
    memcpy(at, name.ptr, name.len);
    at += name.len;
    *at++ = ':';
    *at++ = ' ';
    for (size_t i = 0; i < value.len; i++)
        *at++ = value.ptr[i] == '\r' || value.ptr[i] == '\n' ? ' ' : value.ptr[i];
    *at++ = '\r';
    *at++ = '\n';
    out->len += name.len + value.len + 4;
}
