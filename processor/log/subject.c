// SPDX-License-Identifier: Apache-2.0
// Subjects and filters of NATS: tokens separated by dots; in a filter "*" stands for one token and ">" at the end for
// one or more. See log_internal.h.
#include "processor/log/log_internal.h"

// Cuts the first token off *rest. False when there is none left.
static bool next_token(struct br_slice *rest, struct br_slice *ret_token) {
    if (rest->ptr == NULL)
        return false;
    const uint8_t *dot = rest->len == 0 ? NULL : memchr(rest->ptr, '.', rest->len);
    if (dot == NULL) {
        *ret_token = *rest;
        *rest = (struct br_slice){NULL, 0};
        return true;
    }
    size_t len = (size_t)(dot - rest->ptr);
    *ret_token = (struct br_slice){rest->ptr, len};
    *rest = (struct br_slice){dot + 1, rest->len - len - 1};
    return true;
}

static bool is_token(struct br_slice token, char c) {
    return token.len == 1 && token.ptr[0] == (uint8_t)c;
}

bool br_subject_matches(struct br_slice filter, struct br_slice subject) {
    return br_subject_covers(filter, subject);
}

bool br_subject_covers(struct br_slice outer, struct br_slice inner) {
    struct br_slice a, b;
    for (;;) {
        bool more_a = next_token(&outer, &a), more_b = next_token(&inner, &b);
        if (!more_a || !more_b)
            return more_a == more_b;
        if (is_token(a, '>'))
            return true;
        if (is_token(b, '>'))
            return false;
        if (!is_token(a, '*') && !br_slice_equal(a, b))
            return false;
    }
}

bool br_subject_overlaps(struct br_slice left, struct br_slice right) {
    struct br_slice a, b;
    for (;;) {
        bool more_a = next_token(&left, &a), more_b = next_token(&right, &b);
        if (!more_a || !more_b)
            return more_a == more_b;
        if (is_token(a, '>') || is_token(b, '>'))
            return true;
        if (!is_token(a, '*') && !is_token(b, '*') && !br_slice_equal(a, b))
            return false;
    }
}

bool br_subject_valid(struct br_slice subject, bool wildcards) {
    struct br_slice token;
    if (subject.len == 0)
        return false;
    while (next_token(&subject, &token)) {
        if (token.len == 0)
            return false;
        for (size_t i = 0; i < token.len; i++)
            if (token.ptr[i] <= ' ' || token.ptr[i] == 0x7f)
                return false;
        bool last = subject.ptr == NULL;
        if (is_token(token, '*') && !wildcards)
            return false;
        if (is_token(token, '>') && (!wildcards || !last))
            return false;
    }
    return true;
}

enum br_status br_log_no_stream_error(const char *subject, struct br_error *error) {
    // A stream's name made of the subject's first token: a suggestion that can be pasted into a shell.
    char name[64];
    size_t len = 0;
    for (; len < sizeof name - 1 && subject[len] != '\0' && subject[len] != '.'; len++) {
        char c = subject[len];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        name[len] = !letter ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    name[len] = '\0';
    return br_error_set(error, BR_FATAL,
                        "no stream holds the subject '%s'; make one, e.g.: nats stream add %s --subjects '%s' "
                        "--defaults; a mirror, or a stream with sources, that is still empty is named by the table "
                        "(stream = '…')",
                        subject, name, subject);
}
