// SPDX-License-Identifier: Apache-2.0
// Text functions, by characters. Results are slices of their argument where that is possible, else written to the
// evaluation's arena; what grows (repeat, lpad, replace) is bounded by br_text_result_max.
#define _GNU_SOURCE // memmem
#include "processor/expr/expr_internal.h"

static const char TOO_LONG[] = "requested length too large";

#define TEXT(index) BR_ARGUMENT(call, index, struct br_slice, row)
#define INTEGER(index) BR_ARGUMENT(call, index, int32_t, row)
#define SET_TEXT(value) BR_RESULT(call, struct br_slice)[row] = (value)
#define SET_INTEGER(value) BR_RESULT(call, int32_t)[row] = (int32_t)(value)
// A kernel whose texts go through a writer.
#define TEXT_KERNEL(kernel, ...)                                                                                       \
    static void kernel(struct br_call *call) {                                                                         \
        struct br_text_writer writer = br_text_writer_of(call);                                                        \
        BR_EACH_LIVE(call, row, __VA_ARGS__);                                                                          \
    }

static struct br_slice part_of(struct br_slice text, size_t begin, size_t end) {
    return (struct br_slice){text.ptr + begin, end - begin};
}
static const struct br_slice EMPTY = {(const uint8_t *)"", 0};

// --- case
TEXT_KERNEL(lower, {
    struct br_slice text = TEXT(0);
    uint8_t *at = br_text_reserve(&writer, 2 * text.len);
    SET_TEXT(br_text_done(&writer, at, br_text_lower(text, at)));
})
TEXT_KERNEL(upper, {
    struct br_slice text = TEXT(0);
    uint8_t *at = br_text_reserve(&writer, 2 * text.len);
    SET_TEXT(br_text_done(&writer, at, br_text_upper(text, at)));
})
TEXT_KERNEL(initcap, {
    struct br_slice text = TEXT(0);
    uint8_t *begin = br_text_reserve(&writer, 2 * text.len);
    size_t len = 0;
    bool in_word = false;
    for (size_t at = 0; at < text.len; at += br_char_size(text.ptr[at])) {
        uint32_t code = br_char_decode(text.ptr + at);
        code = in_word ? br_char_lower(code) : br_char_upper(code);
        in_word = br_char_is_alphanumeric(code);
        len += br_char_encode(code, begin + len);
    }
    SET_TEXT(br_text_done(&writer, begin, len));
})

// --- lengths
BR_ROW_KERNEL(char_length, { SET_INTEGER(br_char_count(TEXT(0))); })
BR_ROW_KERNEL(octet_length, { SET_INTEGER(TEXT(0).len); })
BR_ROW_KERNEL(bit_length, { SET_INTEGER(8 * TEXT(0).len); })

// --- parts
// Characters (or bytes) first .. first + count - 1, counted from 1; those outside of the text are not there.
static bool substring_range(struct br_call *call, uint32_t row, int32_t first, int32_t count, bool has_count,
                            size_t *ret_skip, size_t *ret_take) {
    int64_t begin = first < 1 ? 1 : first;
    int64_t end = has_count ? (int64_t)first + count : INT64_MAX;
    if (has_count && count < 0) {
        br_call_fail(call, row, "negative substring length not allowed");
        return false;
    }
    *ret_skip = (size_t)(begin - 1);
    *ret_take = end > begin ? (size_t)(end - begin) : 0;
    return true;
}
static struct br_slice take_chars(struct br_slice text, size_t skip, size_t take) {
    size_t begin = br_char_offset(text, skip);
    struct br_slice rest = part_of(text, begin, text.len);
    return part_of(rest, 0, br_char_offset(rest, take));
}
static void substring(struct br_call *call) {
    bool has_count = call->argument_count == 3;
    BR_EACH_LIVE(call, row, {
        size_t skip;
        size_t take;
        if (substring_range(call, row, INTEGER(1), has_count ? INTEGER(2) : 0, has_count, &skip, &take))
            SET_TEXT(take_chars(TEXT(0), skip, take));
    });
}
static void bytea_substring(struct br_call *call) {
    bool has_count = call->argument_count == 3;
    BR_EACH_LIVE(call, row, {
        struct br_slice bytes = TEXT(0);
        size_t skip;
        size_t take;
        if (!substring_range(call, row, INTEGER(1), has_count ? INTEGER(2) : 0, has_count, &skip, &take))
            continue;
        skip = skip < bytes.len ? skip : bytes.len;
        take = take < bytes.len - skip ? take : bytes.len - skip;
        SET_TEXT(part_of(bytes, skip, skip + take));
    });
}
BR_ROW_KERNEL(left, {
    struct br_slice text = TEXT(0);
    int64_t count = INTEGER(1);
    if (count < 0)
        count += (int64_t)br_char_count(text);
    SET_TEXT(count <= 0 ? EMPTY : part_of(text, 0, br_char_offset(text, (size_t)count)));
})
BR_ROW_KERNEL(right, {
    struct br_slice text = TEXT(0);
    int64_t count = INTEGER(1);
    int64_t skip = count < 0 ? -count : (int64_t)br_char_count(text) - count;
    SET_TEXT(skip <= 0 ? text : part_of(text, br_char_offset(text, (size_t)skip), text.len));
})

static const uint8_t *find(struct br_slice text, size_t from, struct br_slice what) {
    return memmem(text.ptr + from, text.len - from, what.ptr, what.len);
}
static int64_t count_of(struct br_slice text, struct br_slice what) {
    int64_t count = 0;
    const uint8_t *at;
    for (size_t from = 0; (at = find(text, from, what)) != NULL; count++)
        from = (size_t)(at - text.ptr) + what.len;
    return count;
}
BR_ROW_KERNEL(split_part, {
    struct br_slice text = TEXT(0);
    struct br_slice delimiter = TEXT(1);
    int64_t field = INTEGER(2);
    if (field == 0) {
        br_call_fail(call, row, "field position must not be zero");
        continue;
    }
    if (text.len == 0 || delimiter.len == 0) {
        SET_TEXT(field == 1 || field == -1 ? text : EMPTY);
        continue;
    }
    if (field < 0)
        field += count_of(text, delimiter) + 2;
    size_t begin = 0;
    const uint8_t *next = find(text, 0, delimiter);
    int64_t at = 1;
    for (; at < field && next != NULL; at++) {
        begin = (size_t)(next - text.ptr) + delimiter.len;
        next = find(text, begin, delimiter);
    }
    SET_TEXT(at != field ? EMPTY : part_of(text, begin, next == NULL ? text.len : (size_t)(next - text.ptr)));
})

BR_ROW_KERNEL(strpos, {
    struct br_slice text = TEXT(0);
    struct br_slice what = TEXT(1);
    const uint8_t *at = what.len == 0 ? text.ptr : find(text, 0, what);
    SET_INTEGER(at == NULL ? 0 : br_char_count(part_of(text, 0, (size_t)(at - text.ptr))) + 1);
})
BR_ROW_KERNEL(starts_with, {
    struct br_slice text = TEXT(0);
    struct br_slice prefix = TEXT(1);
    BR_RESULT(call, bool)[row] = text.len >= prefix.len && br_slice_equal(part_of(text, 0, prefix.len), prefix);
})

// --- trimming
static bool is_in_set(const uint8_t *at, size_t size, struct br_slice set) {
    for (size_t i = 0; i < set.len; i += br_char_size(set.ptr[i]))
        if (set.ptr[i] == *at && br_char_size(set.ptr[i]) == size && memcmp(set.ptr + i, at, size) == 0)
            return true;
    return false;
}
static struct br_slice trim_text(struct br_slice text, struct br_slice set, bool at_begin, bool at_end) {
    while (at_begin && text.len > 0 && is_in_set(text.ptr, br_char_size(*text.ptr), set)) {
        size_t size = br_char_size(*text.ptr);
        text = part_of(text, size, text.len);
    }
    while (at_end && text.len > 0) {
        size_t last = text.len - 1;
        while (last > 0 && (text.ptr[last] & 0xc0) == 0x80)
            last--;
        if (!is_in_set(text.ptr + last, text.len - last, set))
            break;
        text.len = last;
    }
    return text;
}
#define TRIM(kernel, at_begin, at_end)                                                                                 \
    static void kernel(struct br_call *call) {                                                                         \
        const struct br_slice space = br_slice_of(" ");                                                                \
        const bool has_set = call->argument_count == 2;                                                                \
        BR_EACH_LIVE(call, row, { SET_TEXT(trim_text(TEXT(0), has_set ? TEXT(1) : space, at_begin, at_end)); });       \
    }
TRIM(btrim, true, true)
TRIM(ltrim, true, false)
TRIM(rtrim, false, true)

// --- putting together
static uint8_t *put(uint8_t *at, struct br_slice text) {
    if (text.len != 0)
        memcpy(at, text.ptr, text.len);
    return at + text.len;
}
TEXT_KERNEL(concatenate, {
    struct br_slice a = TEXT(0);
    struct br_slice b = TEXT(1);
    uint8_t *at = br_text_reserve(&writer, a.len + b.len);
    put(put(at, a), b);
    SET_TEXT(br_text_done(&writer, at, a.len + b.len));
})

// Not strict: NULLs are left out. With a separator: NULL when that is NULL.
static void concat_rows(struct br_call *call, bool has_separator) {
    struct br_text_writer writer = br_text_writer_of(call);
    BR_EACH_LIVE(call, row, {
        struct br_slice separator = EMPTY;
        if (has_separator && br_vector_is_null(&call->arguments[0], row)) {
            br_call_set_null(call, row);
            continue;
        }
        if (has_separator)
            separator = TEXT(0);
        size_t size = 0;
        for (uint32_t i = has_separator; i < call->argument_count; i++)
            if (!br_vector_is_null(&call->arguments[i], row))
                size += TEXT(i).len + separator.len;
        uint8_t *begin = br_text_reserve(&writer, size);
        uint8_t *at = begin;
        bool first = true;
        for (uint32_t i = has_separator; i < call->argument_count; i++) {
            if (br_vector_is_null(&call->arguments[i], row))
                continue;
            if (!first)
                at = put(at, separator);
            at = put(at, TEXT(i));
            first = false;
        }
        SET_TEXT(br_text_done(&writer, begin, (size_t)(at - begin)));
    });
}
static void concat(struct br_call *call) {
    concat_rows(call, false);
}
static void concat_ws(struct br_call *call) {
    concat_rows(call, true);
}

TEXT_KERNEL(repeat, {
    struct br_slice text = TEXT(0);
    size_t count = INTEGER(1) < 0 ? 0 : (size_t)INTEGER(1);
    if (text.len != 0 && count > br_text_result_max(text.len) / text.len) {
        br_call_fail(call, row, TOO_LONG);
        continue;
    }
    uint8_t *begin = br_text_reserve(&writer, count * text.len);
    for (size_t i = 0; i < count && text.len != 0; i++)
        memcpy(begin + i * text.len, text.ptr, text.len);
    SET_TEXT(br_text_done(&writer, begin, count * text.len));
})

static void pad(struct br_call *call, bool left_side) {
    struct br_text_writer writer = br_text_writer_of(call);
    BR_EACH_LIVE(call, row, {
        struct br_slice text = TEXT(0);
        struct br_slice fill = call->argument_count == 3 ? TEXT(2) : br_slice_of(" ");
        size_t wanted = INTEGER(1) < 0 ? 0 : (size_t)INTEGER(1);
        size_t have = br_char_count(text);
        if (have >= wanted || fill.len == 0) {
            SET_TEXT(have > wanted ? part_of(text, 0, br_char_offset(text, wanted)) : text);
            continue;
        }
        if (wanted > br_text_result_max(text.len) / 4) {
            br_call_fail(call, row, TOO_LONG);
            continue;
        }
        size_t fill_chars = br_char_count(fill);
        size_t whole = (wanted - have) / fill_chars;
        struct br_slice rest = part_of(fill, 0, br_char_offset(fill, (wanted - have) % fill_chars));
        size_t size = text.len + whole * fill.len + rest.len;
        uint8_t *begin = br_text_reserve(&writer, size);
        uint8_t *at = left_side ? begin : put(begin, text);
        for (size_t i = 0; i < whole; i++)
            at = put(at, fill);
        at = put(at, rest);
        if (left_side)
            put(at, text);
        SET_TEXT(br_text_done(&writer, begin, size));
    });
}
static void lpad(struct br_call *call) {
    pad(call, true);
}
static void rpad(struct br_call *call) {
    pad(call, false);
}

// --- changing
TEXT_KERNEL(replace, {
    struct br_slice text = TEXT(0);
    struct br_slice from = TEXT(1);
    struct br_slice to = TEXT(2);
    const uint8_t *at = from.len == 0 || text.len == 0 ? NULL : find(text, 0, from);
    if (at == NULL) {
        SET_TEXT(text);
        continue;
    }
    size_t count = (size_t)count_of(text, from);
    size_t size = text.len - count * from.len;
    if (to.len != 0 && count > (br_text_result_max(text.len) - size) / to.len) {
        br_call_fail(call, row, TOO_LONG);
        continue;
    }
    size += count * to.len;
    uint8_t *begin = br_text_reserve(&writer, size);
    uint8_t *out = begin;
    size_t done = 0;
    for (; at != NULL; at = find(text, done, from)) {
        out = put(out, part_of(text, done, (size_t)(at - text.ptr)));
        out = put(out, to);
        done = (size_t)(at - text.ptr) + from.len;
    }
    put(out, part_of(text, done, text.len));
    SET_TEXT(br_text_done(&writer, begin, size));
})

// Characters of the second argument become those at the same place in the third, or go when there is none.
TEXT_KERNEL(translate, {
    struct br_slice text = TEXT(0);
    struct br_slice from = TEXT(1);
    struct br_slice to = TEXT(2);
    uint8_t *begin = br_text_reserve(&writer, 4 * text.len);
    uint8_t *out = begin;
    for (size_t at = 0; at < text.len; at += br_char_size(text.ptr[at])) {
        struct br_slice character = part_of(text, at, at + br_char_size(text.ptr[at]));
        size_t i = 0;
        size_t place = 0;
        for (; i < from.len; i += br_char_size(from.ptr[i]), place++)
            if (br_slice_equal(part_of(from, i, i + br_char_size(from.ptr[i])), character))
                break;
        out = put(out, i < from.len ? take_chars(to, place, 1) : character);
    }
    SET_TEXT(br_text_done(&writer, begin, (size_t)(out - begin)));
})

TEXT_KERNEL(reverse, {
    struct br_slice text = TEXT(0);
    uint8_t *begin = br_text_reserve(&writer, text.len);
    uint8_t *out = begin + text.len;
    for (size_t at = 0; at < text.len;) {
        size_t size = br_char_size(text.ptr[at]);
        out -= size;
        memcpy(out, text.ptr + at, size);
        at += size;
    }
    SET_TEXT(br_text_done(&writer, begin, text.len));
})

// overlay(text placing new from first [for count])
TEXT_KERNEL(overlay, {
    struct br_slice text = TEXT(0);
    struct br_slice middle = TEXT(1);
    int64_t first = INTEGER(2);
    int64_t count = call->argument_count == 4 ? INTEGER(3) : (int64_t)br_char_count(middle);
    if (first <= 0) {
        br_call_fail(call, row, "negative substring length not allowed");
        continue;
    }
    int64_t next = first - 1 + count;
    if (first + count > INT32_MAX || first + count < INT32_MIN) {
        br_call_fail(call, row, "integer out of range");
        continue;
    }
    struct br_slice before = part_of(text, 0, br_char_offset(text, (size_t)(first - 1)));
    struct br_slice after = part_of(text, next < 0 ? 0 : br_char_offset(text, (size_t)next), text.len);
    size_t size = before.len + middle.len + after.len;
    uint8_t *begin = br_text_reserve(&writer, size);
    put(put(put(begin, before), middle), after);
    SET_TEXT(br_text_done(&writer, begin, size));
})

// --- single characters
BR_ROW_KERNEL(ascii, { SET_INTEGER(TEXT(0).len == 0 ? 0 : br_char_decode(TEXT(0).ptr)); })
TEXT_KERNEL(chr, {
    int32_t code = INTEGER(0);
    if (code < 0) {
        br_call_fail(call, row, "character number must be positive");
    } else if (code == 0) {
        br_call_fail(call, row, "null character not permitted");
    } else if (code > 0x10ffff) {
        br_call_fail_printf(call, row, "requested character too large for encoding: %d", code);
    } else if (code >= 0xd800 && code <= 0xdfff) {
        br_call_fail_printf(call, row, "requested character not valid for encoding: %d", code);
    } else {
        uint8_t *at = br_text_reserve(&writer, 4);
        SET_TEXT(br_text_done(&writer, at, br_char_encode((uint32_t)code, at)));
    }
})

// varchar(n): more characters are cut off, as by an explicit cast.
BR_ROW_KERNEL(varchar_typmod, {
    struct br_slice text = TEXT(0);
    SET_TEXT(part_of(text, 0, br_char_offset(text, INTEGER(1) < 0 ? 0 : (size_t)INTEGER(1))));
})

#define F1(name, result, a, kernel)                                                                                    \
    { name, result, 1, {a}, kernel, NULL, 0 }
#define F2(name, result, a, b, kernel)                                                                                 \
    { name, result, 2, {a, b}, kernel, NULL, 0 }
#define F3(name, result, a, b, c, kernel)                                                                              \
    { name, result, 3, {a, b, c}, kernel, NULL, 0 }
static const struct br_function FUNCTIONS[] = {
    F1("lower", BR_TEXT, BR_TEXT, lower),
    F1("upper", BR_TEXT, BR_TEXT, upper),
    F1("initcap", BR_TEXT, BR_TEXT, initcap),
    F1("length", BR_INTEGER, BR_TEXT, char_length),
    F1("char_length", BR_INTEGER, BR_TEXT, char_length),
    F1("character_length", BR_INTEGER, BR_TEXT, char_length),
    F1("octet_length", BR_INTEGER, BR_TEXT, octet_length),
    F1("bit_length", BR_INTEGER, BR_TEXT, bit_length),
    F1("length", BR_INTEGER, BR_BYTEA, octet_length),
    F1("octet_length", BR_INTEGER, BR_BYTEA, octet_length),
    F1("bit_length", BR_INTEGER, BR_BYTEA, bit_length),
    F2("substring", BR_TEXT, BR_TEXT, BR_INTEGER, substring),
    F3("substring", BR_TEXT, BR_TEXT, BR_INTEGER, BR_INTEGER, substring),
    F2("substr", BR_TEXT, BR_TEXT, BR_INTEGER, substring),
    F3("substr", BR_TEXT, BR_TEXT, BR_INTEGER, BR_INTEGER, substring),
    F2("substring", BR_BYTEA, BR_BYTEA, BR_INTEGER, bytea_substring),
    F3("substring", BR_BYTEA, BR_BYTEA, BR_INTEGER, BR_INTEGER, bytea_substring),
    F2("substr", BR_BYTEA, BR_BYTEA, BR_INTEGER, bytea_substring),
    F3("substr", BR_BYTEA, BR_BYTEA, BR_INTEGER, BR_INTEGER, bytea_substring),
    F2("left", BR_TEXT, BR_TEXT, BR_INTEGER, left),
    F2("right", BR_TEXT, BR_TEXT, BR_INTEGER, right),
    F3("split_part", BR_TEXT, BR_TEXT, BR_TEXT, BR_INTEGER, split_part),
    F2("strpos", BR_INTEGER, BR_TEXT, BR_TEXT, strpos),
    F2("position", BR_INTEGER, BR_TEXT, BR_TEXT, strpos), // the parser gives position(a IN b) as position(b, a)
    F2("starts_with", BR_BOOLEAN, BR_TEXT, BR_TEXT, starts_with),
    F2("^@", BR_BOOLEAN, BR_TEXT, BR_TEXT, starts_with),
    F1("btrim", BR_TEXT, BR_TEXT, btrim),
    F2("btrim", BR_TEXT, BR_TEXT, BR_TEXT, btrim),
    F1("ltrim", BR_TEXT, BR_TEXT, ltrim),
    F2("ltrim", BR_TEXT, BR_TEXT, BR_TEXT, ltrim),
    F1("rtrim", BR_TEXT, BR_TEXT, rtrim),
    F2("rtrim", BR_TEXT, BR_TEXT, BR_TEXT, rtrim),
    F2("||", BR_TEXT, BR_TEXT, BR_TEXT, concatenate),
    F2("||", BR_BYTEA, BR_BYTEA, BR_BYTEA, concatenate),
    {"concat", BR_TEXT, 2, {BR_TEXT, BR_TEXT}, concat, NULL, BR_NOT_STRICT | BR_HIDDEN | BR_VARIADIC},
    {"concat_ws", BR_TEXT, 2, {BR_TEXT, BR_TEXT}, concat_ws, NULL, BR_NOT_STRICT | BR_HIDDEN | BR_VARIADIC},
    F2("repeat", BR_TEXT, BR_TEXT, BR_INTEGER, repeat),
    F2("lpad", BR_TEXT, BR_TEXT, BR_INTEGER, lpad),
    F3("lpad", BR_TEXT, BR_TEXT, BR_INTEGER, BR_TEXT, lpad),
    F2("rpad", BR_TEXT, BR_TEXT, BR_INTEGER, rpad),
    F3("rpad", BR_TEXT, BR_TEXT, BR_INTEGER, BR_TEXT, rpad),
    F3("replace", BR_TEXT, BR_TEXT, BR_TEXT, BR_TEXT, replace),
    F3("translate", BR_TEXT, BR_TEXT, BR_TEXT, BR_TEXT, translate),
    F1("reverse", BR_TEXT, BR_TEXT, reverse),
    F3("overlay", BR_TEXT, BR_TEXT, BR_TEXT, BR_INTEGER, overlay),
    {"overlay", BR_TEXT, 4, {BR_TEXT, BR_TEXT, BR_INTEGER, BR_INTEGER}, overlay, NULL, 0},
    F1("ascii", BR_INTEGER, BR_TEXT, ascii),
    F1("chr", BR_TEXT, BR_INTEGER, chr),
    // For the binder: an explicit cast to varchar(n).
    F2("varchar_typmod", BR_TEXT, BR_TEXT, BR_INTEGER, varchar_typmod),
};
const struct br_function_table br_text_table = {FUNCTIONS, sizeof FUNCTIONS / sizeof FUNCTIONS[0]};
