// SPDX-License-Identifier: Apache-2.0
// LIKE and ILIKE.
//
// A pattern is cut at its % into segments. The first is held to the text's begin unless the pattern begins with %, the
// last to its end unless it ends with %; those between are each found at the first place after the one before, which is
// right because a later place leaves less. So matching takes |text| · |segment| steps at most, and there is no
// backtracking to bound. Within a segment the byte ANY, which no UTF-8 has, stands for one character (_). ILIKE folds
// pattern and text to lower case first, as PostgreSQL does.
#define _GNU_SOURCE // memmem
#include "processor/expr/expr_internal.h"

#define ANY 0xff
#define ESCAPE '\\'

struct segment {
    struct br_slice bytes;
    size_t char_count;
    bool has_any;
};
struct pattern {
    struct segment *segments;
    size_t segment_count;
    bool from_begin, to_end;
    bool cut_short; // ends with the escape character
};

static void end_segment(struct pattern *pattern, uint8_t *begin, const uint8_t *end, size_t char_count, bool has_any) {
    if (begin != end)
        pattern->segments[pattern->segment_count++] =
            (struct segment){{begin, (size_t)(end - begin)}, char_count, has_any};
}

static struct pattern *make_pattern(struct br_arena *arena, struct br_slice text, bool fold) {
    struct pattern *pattern = br_arena_new(arena, struct pattern);
    if (fold) {
        uint8_t *lowered = br_arena_alloc(arena, 2 * text.len);
        text = (struct br_slice){lowered, br_text_lower(text, lowered)};
    }
    pattern->segments = br_arena_array(arena, struct segment, text.len / 2 + 1);
    pattern->from_begin = text.len == 0 || text.ptr[0] != '%';
    pattern->to_end = true;
    uint8_t *begin = br_arena_alloc(arena, text.len), *at = begin;
    size_t char_count = 0;
    bool has_any = false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        pattern->to_end = true;
        if (byte == '%') {
            end_segment(pattern, begin, at, char_count, has_any);
            begin = at;
            char_count = 0;
            has_any = false;
            pattern->to_end = false;
            continue;
        }
        if (byte == ESCAPE) {
            if (++i == text.len) {
                pattern->cut_short = true;
                break;
            }
            byte = text.ptr[i];
        } else if (byte == '_') {
            byte = ANY;
            has_any = true;
        }
        char_count += (byte & 0xc0) != 0x80;
        *at++ = byte;
    }
    end_segment(pattern, begin, at, char_count, has_any);
    return pattern;
}

// Does the segment match at `at`? Gives where it ends.
static bool match_at(const struct segment *segment, struct br_slice text, size_t at, size_t *ret_end) {
    if (!segment->has_any) {
        *ret_end = at + segment->bytes.len;
        return text.len - at >= segment->bytes.len &&
               memcmp(text.ptr + at, segment->bytes.ptr, segment->bytes.len) == 0;
    }
    for (size_t i = 0; i < segment->bytes.len; i++) {
        if (at >= text.len)
            return false;
        if (segment->bytes.ptr[i] == ANY)
            at += br_char_size(text.ptr[at]);
        else if (text.ptr[at++] != segment->bytes.ptr[i])
            return false;
    }
    *ret_end = at;
    return true;
}

static bool match_after(const struct segment *segment, struct br_slice text, size_t from, size_t *ret_end) {
    if (!segment->has_any) {
        const uint8_t *at = memmem(text.ptr + from, text.len - from, segment->bytes.ptr, segment->bytes.len);
        if (at != NULL)
            *ret_end = (size_t)(at - text.ptr) + segment->bytes.len;
        return at != NULL;
    }
    for (; from < text.len; from += br_char_size(text.ptr[from]))
        if (match_at(segment, text, from, ret_end))
            return true;
    return false;
}

// The last characters of the text, not before `from`.
static bool match_end(const struct segment *segment, struct br_slice text, size_t from) {
    size_t begin = text.len, end;
    if (!segment->has_any) {
        if (text.len - from < segment->bytes.len)
            return false;
        begin = text.len - segment->bytes.len;
    }
    for (size_t i = 0; i < segment->char_count && segment->has_any; i++) {
        if (begin <= from)
            return false;
        do
            begin--;
        while (begin > from && (text.ptr[begin] & 0xc0) == 0x80);
    }
    return match_at(segment, text, begin, &end) && end == text.len;
}

static bool match(const struct pattern *pattern, struct br_slice text) {
    size_t at = 0, first = 0, last = pattern->segment_count;
    if (last == 0)
        return !(pattern->from_begin && pattern->to_end) || text.len == 0;
    if (pattern->from_begin) {
        if (!match_at(&pattern->segments[0], text, 0, &at))
            return false;
        first = 1;
        if (last == 1)
            return !pattern->to_end || at == text.len;
    }
    if (pattern->to_end)
        last--;
    for (size_t i = first; i < last; i++)
        if (!match_after(&pattern->segments[i], text, at, &at))
            return false;
    return !pattern->to_end || match_end(&pattern->segments[last], text, at);
}

static const char CUT_SHORT[] = "LIKE pattern must not end with escape character";

static enum br_status prepare(struct br_arena *arena, struct br_expr *expr, bool fold, struct br_error *error) {
    const struct br_value *pattern = br_constant_argument(expr, 1);
    if (pattern == NULL)
        return BR_OK;
    struct pattern *made = make_pattern(arena, pattern->bytes, fold);
    if (made->cut_short)
        return br_error_set(error, BR_DATA, "%s", CUT_SHORT);
    expr->prepared = made;
    return BR_OK;
}
static enum br_status prepare_like(struct br_arena *arena, struct br_expr *expr, struct br_error *error) {
    return prepare(arena, expr, false, error);
}
static enum br_status prepare_ilike(struct br_arena *arena, struct br_expr *expr, struct br_error *error) {
    return prepare(arena, expr, true, error);
}

static void like_rows(struct br_call *call, bool fold, bool wanted) {
    const struct pattern *pattern = call->expr->prepared;
    struct br_slice made_from = {0};
    uint8_t *scratch = NULL;
    size_t scratch_size = 0;
    BR_EACH_LIVE(call, row, {
        struct br_slice text = BR_ARGUMENT(call, 0, struct br_slice, row);
        if (call->expr->prepared == NULL) {
            struct br_slice source = BR_ARGUMENT(call, 1, struct br_slice, row);
            if (pattern == NULL || !br_slice_equal(source, made_from))
                pattern = make_pattern(call->eval->arena, source, fold);
            made_from = source;
            if (pattern->cut_short) {
                br_call_fail(call, row, CUT_SHORT);
                continue;
            }
        }
        if (fold) {
            if (2 * text.len > scratch_size) {
                scratch_size = 4 * text.len;
                scratch = br_arena_alloc(call->eval->arena, scratch_size);
            }
            text = (struct br_slice){scratch, br_text_lower(text, scratch)};
        }
        BR_RESULT(call, bool)[row] = match(pattern, text) == wanted;
    });
}
static void like(struct br_call *call) {
    like_rows(call, false, true);
}
static void not_like(struct br_call *call) {
    like_rows(call, false, false);
}
static void ilike(struct br_call *call) {
    like_rows(call, true, true);
}
static void not_ilike(struct br_call *call) {
    like_rows(call, true, false);
}

// LIKE p ESCAPE e: p as it would be with a backslash for e.
static void like_escape(struct br_call *call) {
    struct br_text_writer writer = br_text_writer_of(call);
    BR_EACH_LIVE(call, row, {
        struct br_slice pattern = BR_ARGUMENT(call, 0, struct br_slice, row);
        struct br_slice escape = BR_ARGUMENT(call, 1, struct br_slice, row);
        size_t escape_size = escape.len == 0 ? 0 : br_char_size(*escape.ptr);
        if (escape_size != escape.len) {
            br_call_fail(call, row, "invalid escape string");
            continue;
        }
        uint8_t *begin = br_text_reserve(&writer, 2 * pattern.len);
        uint8_t *out = begin;
        for (size_t i = 0; i < pattern.len;) {
            size_t size = br_char_size(pattern.ptr[i]);
            bool is_escape = size == escape.len && memcmp(pattern.ptr + i, escape.ptr, size) == 0;
            if (is_escape) {
                *out++ = ESCAPE;
                i += size;
                if (i == pattern.len)
                    break;
                size = br_char_size(pattern.ptr[i]); // what follows is taken as it is
            } else if (pattern.ptr[i] == ESCAPE) {
                *out++ = ESCAPE;
            }
            memcpy(out, pattern.ptr + i, size);
            out += size;
            i += size;
        }
        BR_RESULT(call, struct br_slice)[row] = br_text_done(&writer, begin, (size_t)(out - begin));
    });
}

#define LIKE(name, kernel, prepare_it)                                                                                 \
    { name, BR_BOOLEAN, 2, {BR_TEXT, BR_TEXT}, kernel, prepare_it, 0 }
static const struct br_function FUNCTIONS[] = {
    LIKE("~~", like, prepare_like),
    LIKE("!~~", not_like, prepare_like),
    LIKE("~~*", ilike, prepare_ilike),
    LIKE("!~~*", not_ilike, prepare_ilike),
    LIKE("like", like, prepare_like),
    LIKE("notlike", not_like, prepare_like),
    {"like_escape", BR_TEXT, 2, {BR_TEXT, BR_TEXT}, like_escape, NULL, 0},
};
const struct br_function_table br_text_search_table = {FUNCTIONS, sizeof FUNCTIONS / sizeof FUNCTIONS[0]};
