// SPDX-License-Identifier: Apache-2.0
// Regular expressions: ~ ~* !~ !~*, regexp_replace, regexp_like, regexp_count, regexp_substr, substring(x FROM p), by
// PCRE2 with JIT.
//
// Constant patterns are compiled once, while binding, and freed with the arena of the expression. Others are compiled
// as they come, without JIT, keeping the last. PostgreSQL's escapes are translated (\m \M \y \Y \A \Z, \b as
// backspace), `.` matches a newline and `$` only the very end, \w and [[:alpha:]] know Unicode. What stays different,
// and is documented: PCRE2 takes the first alternative that matches, not the longest; each quantifier is greedy or lazy
// by itself; \d matches the digits of all scripts; ***-prefixes and [[.x.]] don't exist.
// A match may take MATCH_LIMIT steps and HEAP_LIMIT_KIB of memory: beyond, the row fails. Thread: what is prepared is
// read-only; match data is per call.
#include "processor/expr/expr_internal.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define MATCH_LIMIT 1000000
#define HEAP_LIMIT_KIB 16384
#define PATTERN_SIZE_MAX ((size_t)32 << 10)

struct regex {
    pcre2_code *code;
    pcre2_match_context *match_context;
    uint32_t capture_count;
    bool global; // the option g, for regexp_replace
};

static void free_regex(void *ptr) {
    struct regex *regex = ptr;
    pcre2_code_free(regex->code);
    pcre2_match_context_free(regex->match_context);
    *regex = (struct regex){0};
}

// --- patterns
// PostgreSQL's escapes in PCRE2's words. Room: 10 bytes for each of the pattern's.
static size_t translate(struct br_slice pattern, uint8_t *to) {
    static const struct {
        char escape;
        const char *words;
    } WORDS[] = {{'m', "\\b(?=\\w)"}, {'M', "\\b(?<=\\w)"}, {'y', "\\b"},  {'Y', "\\B"},
                 {'Z', "\\z"},        {'b', "\\x08"},       {'B', "\\\\"}, {'v', "\\x0b"}};
    size_t len = 0;
    bool in_class = false;
    for (size_t i = 0; i < pattern.len; i++) {
        uint8_t byte = pattern.ptr[i];
        if (byte != '\\' || i + 1 == pattern.len) {
            // A class's end may be its first member: []a] and [^]a].
            if (!in_class && byte == '[') {
                in_class = true;
                to[len++] = byte;
                if (i + 1 < pattern.len && pattern.ptr[i + 1] == '^')
                    to[len++] = pattern.ptr[++i];
                if (i + 1 < pattern.len && pattern.ptr[i + 1] == ']')
                    to[len++] = pattern.ptr[++i];
                continue;
            }
            if (in_class && byte == '[' && i + 1 < pattern.len && strchr(":.=", pattern.ptr[i + 1]) != NULL) {
                // [:alpha:] within: up to its own end
                do
                    to[len++] = pattern.ptr[i++];
                while (i < pattern.len && pattern.ptr[i] != ']');
                i--;
                if (i + 1 < pattern.len)
                    to[len++] = pattern.ptr[++i];
                continue;
            }
            in_class = in_class && byte != ']';
            to[len++] = byte;
            continue;
        }
        uint8_t escape = pattern.ptr[++i];
        size_t w = 0;
        while (w < sizeof WORDS / sizeof WORDS[0] && (uint8_t)WORDS[w].escape != escape)
            w++;
        if (w < sizeof WORDS / sizeof WORDS[0]) {
            size_t size = strlen(WORDS[w].words);
            memcpy(to + len, WORDS[w].words, size);
            len += size;
        } else if ((escape == 'u' && pattern.len - i > 4) || (escape == 'U' && pattern.len - i > 8)) {
            size_t digits = escape == 'u' ? 4 : 8;
            memcpy(to + len, "\\x{", 3);
            memcpy(to + len + 3, pattern.ptr + i + 1, digits);
            to[len + 3 + digits] = '}';
            len += digits + 4;
            i += digits;
        } else {
            to[len++] = '\\';
            to[len++] = escape;
        }
    }
    return len;
}

// The options of regexp_replace and others: PostgreSQL's letters.
static bool read_options(struct br_slice letters, bool may_be_global, uint32_t *options, bool *ret_global,
                         uint8_t *ret_bad) {
    for (size_t i = 0; i < letters.len; i++) {
        switch (letters.ptr[i]) {
        case 'g':
            if (!may_be_global) {
                *ret_bad = 'g';
                return false;
            }
            *ret_global = true;
            break;
        case 'i':
            *options |= PCRE2_CASELESS;
            break;
        case 'c':
            *options &= ~(uint32_t)PCRE2_CASELESS;
            break;
        case 'n':
        case 'm':
            *options = (*options & ~(uint32_t)PCRE2_DOTALL) | PCRE2_MULTILINE;
            break;
        case 'p':
            *options &= ~(uint32_t)(PCRE2_DOTALL | PCRE2_MULTILINE);
            break;
        case 'w':
            *options |= PCRE2_DOTALL | PCRE2_MULTILINE;
            break;
        case 's':
            *options = (*options & ~(uint32_t)PCRE2_MULTILINE) | PCRE2_DOTALL;
            break;
        case 'x':
            *options |= PCRE2_EXTENDED;
            break;
        case 't':
            break;
        case 'q':
            *options |= PCRE2_LITERAL;
            break;
        default:
            *ret_bad = letters.ptr[i];
            return false;
        }
    }
    return true;
}

struct regex_source {
    struct br_slice pattern, letters;
    bool ignore_case, may_be_global;
};

// Compiles; false with the words why not, in the arena.
static bool compile(struct br_arena *arena, const struct regex_source *source, bool with_jit, struct regex *ret,
                    const char **ret_reason) {
    uint32_t options =
        PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK | PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
    uint8_t bad = 0;
    struct regex regex = {0};
    if (source->ignore_case)
        options |= PCRE2_CASELESS;
    if (!read_options(source->letters, source->may_be_global, &options, &regex.global, &bad)) {
        *ret_reason = br_arena_printf(arena, "invalid regular expression option: \"%c\"", bad);
        return false;
    }
    if (source->pattern.len > PATTERN_SIZE_MAX) {
        *ret_reason = "invalid regular expression: regular expression is too complex";
        return false;
    }
    struct br_slice text = source->pattern;
    if ((options & PCRE2_LITERAL) != 0) {
        options &= PCRE2_LITERAL | PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_CASELESS;
    } else {
        uint8_t *translated = br_arena_alloc(arena, 10 * text.len);
        text = (struct br_slice){translated, translate(text, translated)};
    }
    int code;
    PCRE2_SIZE offset;
    regex.code = pcre2_compile(text.ptr == NULL ? (PCRE2_SPTR) "" : text.ptr, text.len, options, &code, &offset, NULL);
    if (regex.code == NULL) {
        PCRE2_UCHAR words[256];
        pcre2_get_error_message(code, words, sizeof words);
        *ret_reason = br_arena_printf(arena, "invalid regular expression: %s", (const char *)words);
        return false;
    }
    if (with_jit)
        pcre2_jit_compile(regex.code, PCRE2_JIT_COMPLETE); // where it can't, the interpreter serves
    pcre2_pattern_info(regex.code, PCRE2_INFO_CAPTURECOUNT, &regex.capture_count);
    regex.match_context = pcre2_match_context_create(NULL);
    BR_CHECK(regex.match_context != NULL);
    pcre2_set_match_limit(regex.match_context, MATCH_LIMIT);
    pcre2_set_heap_limit(regex.match_context, HEAP_LIMIT_KIB);
    *ret = regex;
    return true;
}

static bool is_case_insensitive(const struct br_expr *expr) {
    size_t len = strlen(expr->function->name);
    return expr->function->name[len - 1] == '*';
}

// Pattern and options are arguments 1 and, by the function's shape, 2 or 3.
static uint32_t letters_index(const struct br_expr *expr) {
    return strcmp(expr->function->name, "regexp_replace") == 0 ? 3 : 2;
}

static struct regex_source source_of(const struct br_expr *expr) {
    return (struct regex_source){.ignore_case = is_case_insensitive(expr),
                                 .may_be_global = strcmp(expr->function->name, "regexp_replace") == 0};
}

static enum br_status prepare(struct br_arena *arena, struct br_expr *expr, struct br_error *error) {
    const struct br_value *pattern = br_constant_argument(expr, 1);
    uint32_t letters_at = letters_index(expr);
    const struct br_value *letters = expr->argument_count > letters_at ? br_constant_argument(expr, letters_at) : NULL;
    if (pattern == NULL || (letters == NULL && expr->argument_count > letters_at))
        return BR_OK;
    struct regex_source source = source_of(expr);
    source.pattern = pattern->bytes;
    if (letters != NULL)
        source.letters = letters->bytes;
    struct regex *regex = br_arena_new(arena, struct regex);
    const char *reason;
    if (!compile(arena, &source, true, regex, &reason))
        return br_error_set(error, BR_DATA, "%s", reason);
    br_arena_defer(arena, free_regex, regex);
    expr->prepared = regex;
    return BR_OK;
}

// --- matching
struct matcher {
    struct br_call *call;
    const struct regex *regex; // of the current row
    struct regex own;          // compiled for it; the last is kept
    struct regex_source own_source;
    pcre2_general_context *memory;
    pcre2_match_data *data;
};

static void *allocate(PCRE2_SIZE size, void *arena) {
    return br_arena_alloc(arena, size);
}
static void release(void *ptr, void *arena) {
    (void)ptr;
    (void)arena;
}

static struct matcher matcher_of(struct br_call *call) {
    struct matcher matcher = {.call = call};
    matcher.memory = pcre2_general_context_create(allocate, release, call->eval->arena);
    if (call->expr->prepared != NULL) {
        matcher.regex = call->expr->prepared;
        matcher.data = pcre2_match_data_create_from_pattern(matcher.regex->code, matcher.memory);
    }
    return matcher;
}

static void end_matcher(struct matcher *matcher) {
    if (matcher->own.code != NULL)
        free_regex(&matcher->own);
}

// Makes matcher->regex ready for a row; false: the pattern is bad and the row has failed.
static bool ready(struct matcher *matcher, uint32_t row) {
    struct br_call *call = matcher->call;
    if (call->expr->prepared != NULL)
        return true;
    struct regex_source source = source_of(call->expr);
    uint32_t letters_at = letters_index(call->expr);
    source.pattern = BR_ARGUMENT(call, 1, struct br_slice, row);
    if (call->argument_count > letters_at)
        source.letters = BR_ARGUMENT(call, letters_at, struct br_slice, row);
    if (matcher->regex != NULL && br_slice_equal(source.pattern, matcher->own_source.pattern) &&
        br_slice_equal(source.letters, matcher->own_source.letters))
        return true;
    end_matcher(matcher);
    matcher->regex = NULL;
    const char *reason;
    if (!compile(call->eval->arena, &source, false, &matcher->own, &reason)) {
        br_call_fail(call, row, reason);
        return false;
    }
    matcher->own_source = source;
    matcher->regex = &matcher->own;
    matcher->data = pcre2_match_data_create_from_pattern(matcher->own.code, matcher->memory);
    return true;
}

enum found { NOT_FOUND, FOUND, FAILED };
// Searches from a byte offset; ret_groups: begin and end of the match, then of each group.
static enum found search(struct matcher *matcher, uint32_t row, struct br_slice text, size_t from,
                         const PCRE2_SIZE **ret_groups) {
    PCRE2_SPTR subject = text.ptr == NULL ? (PCRE2_SPTR) "" : text.ptr;
    const struct regex *regex = matcher->regex;
    int code =
        pcre2_match(regex->code, subject, text.len, from, PCRE2_NO_UTF_CHECK, matcher->data, regex->match_context);
    // The JIT's small stack is not the limit that we mean.
    if (code == PCRE2_ERROR_JIT_STACKLIMIT)
        code = pcre2_match(regex->code, subject, text.len, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, matcher->data,
                           regex->match_context);
    if (code >= 0) {
        if (ret_groups != NULL)
            *ret_groups = pcre2_get_ovector_pointer(matcher->data);
        return FOUND;
    }
    if (code == PCRE2_ERROR_NOMATCH)
        return NOT_FOUND;
    PCRE2_UCHAR words[256];
    pcre2_get_error_message(code, words, sizeof words);
    br_call_fail_printf(matcher->call, row, "regular expression failed: %s", (const char *)words);
    return FAILED;
}

static void match_rows(struct br_call *call, bool wanted) {
    struct matcher matcher = matcher_of(call);
    BR_EACH_LIVE(call, row, {
        if (!ready(&matcher, row))
            continue;
        enum found found = search(&matcher, row, BR_ARGUMENT(call, 0, struct br_slice, row), 0, NULL);
        BR_RESULT(call, bool)[row] = (found == FOUND) == wanted;
    });
    end_matcher(&matcher);
}
static void matches(struct br_call *call) {
    match_rows(call, true);
}
static void matches_not(struct br_call *call) {
    match_rows(call, false);
}

// --- parts
static void substr_rows(struct br_call *call, bool first_group) {
    struct matcher matcher = matcher_of(call);
    BR_EACH_LIVE(call, row, {
        struct br_slice text = BR_ARGUMENT(call, 0, struct br_slice, row);
        const PCRE2_SIZE *groups = NULL;
        if (!ready(&matcher, row))
            continue;
        enum found found = search(&matcher, row, text, 0, &groups);
        if (found == FAILED)
            continue;
        size_t at = first_group && matcher.regex->capture_count > 0 ? 2 : 0;
        // A match may set its begin past its end with a look-behind \K: nothing is there then.
        if (found == NOT_FOUND || groups[at] == PCRE2_UNSET || groups[at] > groups[at + 1]) {
            br_call_set_null(call, row);
            continue;
        }
        BR_RESULT(call, struct br_slice)
        [row] = (struct br_slice){text.ptr + groups[at], groups[at + 1] - groups[at]};
    });
    end_matcher(&matcher);
}
static void substring_from(struct br_call *call) {
    substr_rows(call, true);
}
static void regexp_substr(struct br_call *call) {
    substr_rows(call, false);
}

// Where to look on after a match: an empty one is passed by a character; SIZE_MAX at the end.
static size_t after_match(struct br_slice text, size_t begin, size_t end) {
    if (end > begin)
        return end;
    return end >= text.len ? SIZE_MAX : end + br_char_size(text.ptr[end]);
}

static void regexp_count(struct br_call *call) {
    struct matcher matcher = matcher_of(call);
    BR_EACH_LIVE(call, row, {
        struct br_slice text = BR_ARGUMENT(call, 0, struct br_slice, row);
        int32_t count = 0;
        if (!ready(&matcher, row))
            continue;
        const PCRE2_SIZE *groups;
        for (size_t from = 0; from != SIZE_MAX && search(&matcher, row, text, from, &groups) == FOUND; count++)
            from = after_match(text, groups[0], groups[1]);
        BR_RESULT(call, int32_t)[row] = count;
    });
    end_matcher(&matcher);
}

// --- replace
static void append_part(struct br_buffer *out, struct br_slice text, const PCRE2_SIZE *groups, size_t group) {
    PCRE2_SIZE begin = groups[2 * group], end = groups[2 * group + 1];
    if (begin != PCRE2_UNSET && begin < end)
        br_buffer_append(out, text.ptr + begin, end - begin);
}

// \1 … \9 are the groups, \& the match, \\ a backslash.
static void append_replacement(struct br_buffer *out, struct br_slice with, struct br_slice text,
                               const PCRE2_SIZE *groups, uint32_t group_count) {
    for (size_t i = 0; i < with.len; i++) {
        uint8_t byte = with.ptr[i];
        if (byte != '\\' || i + 1 == with.len) {
            br_buffer_append_byte(out, byte);
            continue;
        }
        uint8_t next = with.ptr[++i];
        if (next == '&') {
            append_part(out, text, groups, 0);
        } else if (next >= '1' && next <= '9') {
            if ((uint32_t)(next - '0') <= group_count)
                append_part(out, text, groups, (size_t)(next - '0'));
        } else {
            br_buffer_append_byte(out, '\\');
            if (next != '\\')
                i--; // not one of ours: the backslash stands for itself
        }
    }
}

static bool replace_row(struct matcher *matcher, uint32_t row, struct br_slice text, struct br_slice with,
                        struct br_buffer *out) {
    size_t done = 0;
    br_buffer_clear(out);
    for (size_t from = 0; from != SIZE_MAX;) {
        const PCRE2_SIZE *groups;
        enum found found = search(matcher, row, text, from, &groups);
        if (found == FAILED)
            return false;
        if (found == NOT_FOUND || groups[0] > groups[1] || groups[0] < done)
            break;
        br_buffer_append(out, text.ptr + done, groups[0] - done);
        append_replacement(out, with, text, groups, matcher->regex->capture_count);
        done = groups[1];
        if (out->len > br_text_result_max(text.len)) {
            br_call_fail(matcher->call, row, "requested length too large");
            return false;
        }
        if (!matcher->regex->global)
            break;
        from = after_match(text, groups[0], groups[1]);
    }
    br_buffer_append(out, text.ptr + done, text.len - done);
    return true;
}

static void regexp_replace(struct br_call *call) {
    struct matcher matcher = matcher_of(call);
    struct br_buffer out = {0};
    BR_EACH_LIVE(call, row, {
        struct br_slice text = BR_ARGUMENT(call, 0, struct br_slice, row);
        struct br_slice with = BR_ARGUMENT(call, 2, struct br_slice, row);
        if (ready(&matcher, row) && replace_row(&matcher, row, text, with, &out))
            BR_RESULT(call, struct br_slice)[row] = br_arena_copy(call->eval->arena, br_buffer_slice(&out));
    });
    br_buffer_free(&out);
    end_matcher(&matcher);
}

#define TWO                                                                                                            \
    { BR_TEXT, BR_TEXT }
#define THREE                                                                                                          \
    { BR_TEXT, BR_TEXT, BR_TEXT }
static const struct br_function FUNCTIONS[] = {
    {"~", BR_BOOLEAN, 2, TWO, matches, prepare, 0},
    {"~*", BR_BOOLEAN, 2, TWO, matches, prepare, 0},
    {"!~", BR_BOOLEAN, 2, TWO, matches_not, prepare, 0},
    {"!~*", BR_BOOLEAN, 2, TWO, matches_not, prepare, 0},
    {"regexp_like", BR_BOOLEAN, 2, TWO, matches, prepare, 0},
    {"regexp_like", BR_BOOLEAN, 3, THREE, matches, prepare, 0},
    {"regexp_count", BR_INTEGER, 2, TWO, regexp_count, prepare, 0},
    {"regexp_substr", BR_TEXT, 2, TWO, regexp_substr, prepare, 0},
    {"substring", BR_TEXT, 2, TWO, substring_from, prepare, 0},
    {"regexp_replace", BR_TEXT, 3, THREE, regexp_replace, prepare, 0},
    {"regexp_replace", BR_TEXT, 4, {BR_TEXT, BR_TEXT, BR_TEXT, BR_TEXT}, regexp_replace, prepare, 0},
};
const struct br_function_table br_regex_table = {FUNCTIONS, sizeof FUNCTIONS / sizeof FUNCTIONS[0]};
