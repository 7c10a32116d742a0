// SPDX-License-Identifier: Apache-2.0
// See expect.h.
#include "cli/expect.h"

#include "processor/expr/numeric.h"

#include <math.h>
#include <stdio.h>

#define DIFF_LINES_MAX 50

void br_lines_add(struct br_lines *lines, struct br_slice line) {
    if (lines->count == lines->capacity) {
        lines->capacity = lines->capacity == 0 ? 256 : lines->capacity * 2;
        lines->list = br_realloc(lines->list, lines->capacity * sizeof *lines->list);
    }
    lines->list[lines->count++] = line;
}

void br_lines_split(struct br_lines *lines, struct br_slice text) {
    while (text.len != 0) {
        const uint8_t *end = memchr(text.ptr, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;
        size_t shown = len;
        while (shown != 0 && (text.ptr[shown - 1] == '\r' || text.ptr[shown - 1] == ' '))
            shown--;
        if (shown != 0)
            br_lines_add(lines, (struct br_slice){text.ptr, shown});
        len += end != NULL ? 1 : 0;
        text.ptr += len;
        text.len -= len;
    }
}

static double to_double(struct br_slice text) {
    char copy[64];
    size_t len = text.len < sizeof copy - 1 ? text.len : sizeof copy - 1;
    memcpy(copy, text.ptr, len);
    copy[len] = '\0';
    return strtod(copy, NULL);
}

static bool same_number(struct br_slice want, struct br_slice got, double tolerance) {
    struct br_numeric a, b;
    if (br_numeric_parse(want, &a) && br_numeric_parse(got, &b) && br_numeric_compare(a, b) == 0)
        return true;
    double x = to_double(want), y = to_double(got);
    if (x == y && (fabs(x) > 1e30 || fabs(x) < 1e-30)) // beyond what an exact numeric holds
        return true;
    return tolerance > 0 && fabs(x - y) <= tolerance * fmax(fabs(x), fabs(y));
}

static size_t count_members(const struct br_json *container, struct br_arena *arena) {
    struct br_json_walk walk = br_json_begin(container);
    struct br_slice name;
    struct br_json value;
    size_t count = 0;
    while (br_json_next(&walk, arena, &name, &value))
        count++;
    return count;
}

// Every member of want is in got, and is the same there.
static bool has_members(const struct br_json *want, const struct br_json *got, double tolerance, bool partly,
                        struct br_arena *arena) {
    struct br_json_walk walk = br_json_begin(want);
    struct br_slice name;
    struct br_json value, other;
    while (br_json_next(&walk, arena, &name, &value)) {
        const char *text = br_arena_strndup(arena, (const char *)name.ptr, name.len);
        if (!br_json_member(got, text, arena, &other))
            return false;
        bool inside = partly && value.kind == BR_JSON_OBJECT && other.kind == BR_JSON_OBJECT;
        if (inside ? !has_members(&value, &other, tolerance, true, arena)
                   : !br_json_same(&value, &other, tolerance, arena))
            return false;
    }
    return true;
}

static bool same_elements(const struct br_json *want, const struct br_json *got, double tolerance,
                          struct br_arena *arena) {
    struct br_json_walk a = br_json_begin(want), b = br_json_begin(got);
    struct br_slice name;
    struct br_json x, y;
    for (;;) {
        bool more_a = br_json_next(&a, arena, &name, &x), more_b = br_json_next(&b, arena, &name, &y);
        if (!more_a || !more_b)
            return more_a == more_b;
        if (!br_json_same(&x, &y, tolerance, arena))
            return false;
    }
}

bool br_json_same(const struct br_json *want, const struct br_json *got, double tolerance, struct br_arena *arena) {
    if (want->kind != got->kind)
        return false;
    switch (want->kind) {
    case BR_JSON_NUMBER:
        return same_number(want->text, got->text, tolerance);
    case BR_JSON_STRING:
        return br_slice_equal(br_json_string(want, arena), br_json_string(got, arena));
    case BR_JSON_ARRAY:
        return same_elements(want, got, tolerance, arena);
    case BR_JSON_OBJECT:
        return count_members(want, arena) == count_members(got, arena) &&
               has_members(want, got, tolerance, false, arena);
    case BR_JSON_NULL:
    case BR_JSON_TRUE:
    case BR_JSON_FALSE:
        return true;
    }
    return false;
}

static bool line_matches(const struct br_json *want, const struct br_json *got, double tolerance,
                         struct br_arena *arena) {
    struct br_json member;
    bool whole = br_json_member(want, "view", arena, &member);
    bool same = whole ? br_json_same(want, got, tolerance, arena)
                      : got->kind == BR_JSON_OBJECT && has_members(want, got, tolerance, true, arena);
    return same;
}

static enum br_status parse_lines(const struct br_lines *lines, const char *what, struct br_arena *arena,
                                  struct br_json **ret_values, struct br_error *error) {
    *ret_values = br_arena_array(arena, struct br_json, lines->count);
    for (size_t i = 0; i < lines->count; i++) {
        enum br_status status = br_json_parse_strictly(lines->list[i], arena, &(*ret_values)[i], error);
        if (status == BR_OK && (*ret_values)[i].kind != BR_JSON_OBJECT)
            status = br_error_set(error, BR_DATA, "not an object");
        if (status != BR_OK)
            return br_error_context(error, "%s line %zu", what, i + 1);
    }
    return BR_OK;
}

static void put_line(struct br_buffer *diff, char mark, struct br_slice line, size_t *shown) {
    if ((*shown)++ < DIFF_LINES_MAX)
        br_buffer_printf(diff, "%c %.*s\n", mark, (int)line.len, (const char *)line.ptr);
}

enum br_status br_expect_compare(const struct br_lines *want, const struct br_lines *got, double tolerance,
                                 struct br_buffer *diff, bool *ret_same, struct br_error *error) {
    struct br_arena *arena = br_arena_create(), *scratch = br_arena_create();
    struct br_json *wanted, *given;
    enum br_status status = parse_lines(want, "expected", arena, &wanted, error);
    if (status == BR_OK)
        status = parse_lines(got, "given", arena, &given, error);
    size_t shown = 0;
    if (status == BR_OK) {
        bool *used = br_arena_array(arena, bool, got->count);
        size_t from = 0; // lines come sorted: what is expected mostly stands where the last match was
        for (size_t w = 0; w < want->count; w++) {
            bool found = false;
            for (size_t i = 0; i < got->count && !found; i++) {
                size_t g = (from + i) % got->count;
                br_arena_reset(scratch);
                found = !used[g] && line_matches(&wanted[w], &given[g], tolerance, scratch);
                if (found) {
                    used[g] = true;
                    from = g + 1;
                }
            }
            if (!found)
                put_line(diff, '-', want->list[w], &shown);
        }
        for (size_t g = 0; g < got->count; g++)
            if (!used[g])
                put_line(diff, '+', got->list[g], &shown);
        if (shown > DIFF_LINES_MAX)
            br_buffer_printf(diff, "… and %zu more lines\n", shown - DIFF_LINES_MAX);
        *ret_same = shown == 0;
    }
    br_arena_destroy(&arena);
    br_arena_destroy(&scratch);
    return status;
}
