// SPDX-License-Identifier: Apache-2.0
// Regular expressions in SQL: ~ ~* !~ !~*, regexp_replace, regexp_like, regexp_count, regexp_substr, substring(x FROM
// p). The engine is behind regex.h.
//
// A constant pattern is compiled once, while binding; of patterns that are computed the last few are kept, from batch
// to batch. What has been built of a pattern's automata is kept too: a call takes it out of the expression and puts it
// back. Thread: any number may evaluate an expression at once; a second one builds its own and one of the two is kept.
#include "processor/expr/regex.h"
#include "processor/expr/expr_internal.h"

#include <stdatomic.h>

#define PATTERN_SIZE_MAX ((size_t)32 << 10)
#define CONSTANT_SIZE_MAX ((size_t)8 << 20) // of a constant pattern's automata
#define COMPUTED_SIZE_MAX ((size_t)1 << 20)
#define COMPUTED_KEPT 8
#define GROUPS_MAX 9 // that a replacement can name

// --- patterns
struct pattern {
    const struct br_regex *regex; // NULL: not taken, for the fault's reason
    struct br_regex_fault fault;
    bool global; // the option g, for regexp_replace
};

struct pattern_source {
    struct br_slice text, letters;
    bool ignore_case, may_be_global;
};

// The options of regexp_replace and others: PostgreSQL's letters. 0: good, else the bad one.
static uint8_t read_options(const struct pattern_source *source, unsigned *flags, bool *ret_global) {
    const unsigned lines = BR_REGEX_LINES_STOP | BR_REGEX_LINES_ANCHOR;
    for (size_t i = 0; i < source->letters.len; i++) {
        switch (source->letters.ptr[i]) {
        case 'g':
            if (!source->may_be_global)
                return 'g';
            *ret_global = true;
            break;
        case 'i':
            *flags |= BR_REGEX_IGNORE_CASE;
            break;
        case 'c':
            *flags &= ~(unsigned)BR_REGEX_IGNORE_CASE;
            break;
        case 'n':
        case 'm':
            *flags |= lines;
            break;
        case 'p':
            *flags = (*flags & ~lines) | BR_REGEX_LINES_STOP;
            break;
        case 'w':
            *flags = (*flags & ~lines) | BR_REGEX_LINES_ANCHOR;
            break;
        case 's':
            *flags &= ~lines;
            break;
        case 'x':
            *flags |= BR_REGEX_EXPANDED;
            break;
        case 't':
            *flags &= ~(unsigned)BR_REGEX_EXPANDED;
            break;
        case 'q':
            *flags |= BR_REGEX_LITERAL;
            break;
        default:
            return source->letters.ptr[i];
        }
    }
    return 0;
}

static struct pattern refused(struct br_arena *arena, const char *reason, const char *hint) {
    reason = br_arena_printf(arena, "invalid regular expression: %s", reason);
    return (struct pattern){.fault = {reason, hint}};
}

static struct pattern compile(struct br_arena *arena, const struct pattern_source *source) {
    struct pattern pattern = {0};
    unsigned flags = source->ignore_case ? BR_REGEX_IGNORE_CASE : 0;
    uint8_t bad = read_options(source, &flags, &pattern.global);
    if (bad != 0) {
        pattern.fault.reason = br_arena_printf(arena, "invalid regular expression option: \"%c\"", bad);
        return pattern;
    }
    if ((flags & BR_REGEX_LITERAL) != 0 && (flags & ~(unsigned)(BR_REGEX_LITERAL | BR_REGEX_IGNORE_CASE)) != 0)
        return refused(arena, "invalid argument to regex function", "the option q goes with i, c and g only");
    if (source->text.len > PATTERN_SIZE_MAX)
        return refused(arena, "regular expression is too complex", "a pattern may have 32 KiB");
    struct br_regex_fault fault;
    pattern.regex = br_regex_compile(arena, source->text, flags, &fault);
    return pattern.regex != NULL ? pattern : refused(arena, fault.reason, fault.hint);
}

static bool is_case_insensitive(const struct br_expr *expr) {
    size_t len = strlen(expr->function->name);
    return expr->function->name[len - 1] == '*';
}

static bool is_replace(const struct br_expr *expr) {
    return strcmp(expr->function->name, "regexp_replace") == 0;
}

// Pattern and options are arguments 1 and, by the function's shape, 2 or 3.
static uint32_t letters_index(const struct br_expr *expr) {
    return is_replace(expr) ? 3 : 2;
}

static struct pattern_source source_of(const struct br_expr *expr) {
    return (struct pattern_source){.ignore_case = is_case_insensitive(expr), .may_be_global = is_replace(expr)};
}

// --- what an expression keeps
// A pattern with its matcher; of computed patterns also what they were made of.
struct kept {
    struct pattern pattern;
    struct br_regex_matcher *matcher;
    struct br_arena *arena; // of a computed pattern; NULL: not used yet
    struct br_slice text, letters;
    uint64_t used; // when, as a count
};
// What one call at a time works with.
struct workshop {
    struct kept kept[COMPUTED_KEPT]; // of a constant pattern the first only
    uint64_t used;
};
struct prepared {
    bool is_constant;
    struct pattern pattern; // constant
    _Atomic(struct workshop *) workshop;
};

static void free_workshop(struct workshop *workshop) {
    for (size_t k = 0; workshop != NULL && k < COMPUTED_KEPT; k++) {
        br_regex_matcher_destroy(&workshop->kept[k].matcher);
        br_arena_destroy(&workshop->kept[k].arena);
    }
    free(workshop);
}

static void free_prepared(void *ptr) {
    struct prepared *prepared = ptr;
    free_workshop(atomic_exchange(&prepared->workshop, NULL));
}

enum br_status br_regex_prepare(struct br_arena *arena, struct br_expr *expr, struct br_error *error) {
    const struct br_value *text = br_constant_argument(expr, 1);
    uint32_t letters_at = letters_index(expr);
    const struct br_value *letters = expr->argument_count > letters_at ? br_constant_argument(expr, letters_at) : NULL;
    struct prepared *prepared = br_arena_new(arena, struct prepared);
    prepared->is_constant = text != NULL && (letters != NULL || expr->argument_count <= letters_at);
    if (prepared->is_constant) {
        struct pattern_source source = source_of(expr);
        source.text = text->bytes;
        if (letters != NULL)
            source.letters = letters->bytes;
        prepared->pattern = compile(arena, &source);
        const struct br_regex_fault *fault = &prepared->pattern.fault;
        if (prepared->pattern.regex == NULL)
            return br_error_set(error, BR_DATA, "%s%s%s", fault->reason,
                                fault->hint == NULL ? "" : "\nhint: ", fault->hint == NULL ? "" : fault->hint);
    }
    br_arena_defer(arena, free_prepared, prepared);
    expr->prepared = prepared;
    return BR_OK;
}

// --- matching
struct matcher {
    struct br_call *call;
    struct prepared *prepared; // NULL: the pattern is one that this build doesn't take
    struct workshop *workshop;
    struct kept *kept; // of the current row
};

static struct matcher matcher_of(struct br_call *call) {
    struct matcher matcher = {.call = call, .prepared = call->expr->prepared};
    if (matcher.prepared != NULL)
        matcher.workshop = atomic_exchange(&matcher.prepared->workshop, NULL);
    if (matcher.workshop == NULL)
        matcher.workshop = br_calloc(1, sizeof *matcher.workshop);
    if (matcher.prepared != NULL && matcher.prepared->is_constant) {
        matcher.kept = &matcher.workshop->kept[0];
        matcher.kept->pattern = matcher.prepared->pattern;
        if (matcher.kept->matcher == NULL)
            matcher.kept->matcher = br_regex_matcher_create(matcher.kept->pattern.regex, CONSTANT_SIZE_MAX);
    }
    return matcher;
}

static void end_matcher(struct matcher *matcher) {
    if (matcher->prepared != NULL)
        matcher->workshop = atomic_exchange(&matcher->prepared->workshop, matcher->workshop);
    free_workshop(matcher->workshop);
}

// The pattern's place among those kept, the least recently used one if it isn't there.
static struct kept *find_kept(struct workshop *workshop, const struct pattern_source *source) {
    struct kept *oldest = &workshop->kept[0];
    for (size_t k = 0; k < COMPUTED_KEPT; k++) {
        struct kept *kept = &workshop->kept[k];
        if (kept->arena != NULL && br_slice_equal(kept->text, source->text) &&
            br_slice_equal(kept->letters, source->letters))
            return kept;
        if (kept->used < oldest->used)
            oldest = kept;
    }
    br_regex_matcher_destroy(&oldest->matcher);
    br_arena_destroy(&oldest->arena);
    return oldest;
}

static void keep_computed(struct kept *kept, const struct pattern_source *source) {
    kept->arena = br_arena_create();
    kept->text = br_arena_copy(kept->arena, source->text);
    kept->letters = br_arena_copy(kept->arena, source->letters);
    kept->pattern = compile(kept->arena, source);
    if (kept->pattern.regex != NULL)
        kept->matcher = br_regex_matcher_create(kept->pattern.regex, COMPUTED_SIZE_MAX);
}

// Makes matcher->kept ready for a row; false: the pattern is bad and the row has failed.
static bool ready(struct matcher *matcher, uint32_t row) {
    struct br_call *call = matcher->call;
    if (matcher->prepared != NULL && matcher->prepared->is_constant)
        return true;
    struct pattern_source source = source_of(call->expr);
    uint32_t letters_at = letters_index(call->expr);
    source.text = BR_ARGUMENT(call, 1, struct br_slice, row);
    if (call->argument_count > letters_at)
        source.letters = BR_ARGUMENT(call, letters_at, struct br_slice, row);
    struct kept *kept = matcher->kept;
    if (kept == NULL || !br_slice_equal(kept->text, source.text) || !br_slice_equal(kept->letters, source.letters)) {
        kept = matcher->kept = find_kept(matcher->workshop, &source);
        kept->used = ++matcher->workshop->used;
        if (kept->arena == NULL)
            keep_computed(kept, &source);
    }
    if (kept->pattern.regex == NULL)
        br_call_fail(call, row, br_arena_strdup(call->eval->arena, kept->pattern.fault.reason));
    return kept->pattern.regex != NULL;
}

static enum br_regex_found fail_if_long(struct matcher *matcher, uint32_t row, enum br_regex_found found) {
    if (found == BR_REGEX_TOO_MANY_STEPS)
        br_call_fail(matcher->call, row, "regular expression takes too many steps on this text");
    return found;
}

static enum br_regex_found find(struct matcher *matcher, uint32_t row, size_t from, struct br_regex_span *spans,
                                uint32_t group_count) {
    return fail_if_long(matcher, row, br_regex_find(matcher->kept->matcher, from, spans, group_count));
}

static void match_rows(struct br_call *call, bool wanted) {
    struct matcher matcher = matcher_of(call);
    BR_EACH_LIVE(call, row, {
        if (!ready(&matcher, row))
            continue;
        br_regex_begin(matcher.kept->matcher, BR_ARGUMENT(call, 0, struct br_slice, row));
        BR_RESULT(call, bool)[row] = (br_regex_matches(matcher.kept->matcher) == BR_REGEX_FOUND) == wanted;
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
        struct br_regex_span spans[2];
        if (!ready(&matcher, row))
            continue;
        uint32_t group = first_group && br_regex_group_count(matcher.kept->pattern.regex) > 0 ? 1 : 0;
        br_regex_begin(matcher.kept->matcher, text);
        enum br_regex_found found = find(&matcher, row, 0, spans, group);
        if (found == BR_REGEX_TOO_MANY_STEPS)
            continue;
        if (found == BR_REGEX_NOT_FOUND || spans[group].begin == BR_REGEX_NOWHERE) {
            br_call_set_null(call, row);
            continue;
        }
        BR_RESULT(call, struct br_slice)
        [row] = (struct br_slice){text.ptr + spans[group].begin, spans[group].end - spans[group].begin};
    });
    end_matcher(&matcher);
}
static void substring_from(struct br_call *call) {
    substr_rows(call, true);
}
static void regexp_substr(struct br_call *call) {
    substr_rows(call, false);
}

// Where to look on after a match: an empty one is passed by a character; NOWHERE at the end.
static size_t after_match(struct br_slice text, const struct br_regex_span *span) {
    if (span->end > span->begin)
        return span->end;
    return span->end >= text.len ? BR_REGEX_NOWHERE : span->end + br_char_size(text.ptr[span->end]);
}

static void regexp_count(struct br_call *call) {
    struct matcher matcher = matcher_of(call);
    BR_EACH_LIVE(call, row, {
        struct br_slice text = BR_ARGUMENT(call, 0, struct br_slice, row);
        struct br_regex_span span;
        int32_t count = 0;
        if (!ready(&matcher, row))
            continue;
        br_regex_begin(matcher.kept->matcher, text);
        for (size_t from = 0; from != BR_REGEX_NOWHERE && find(&matcher, row, from, &span, 0) == BR_REGEX_FOUND;
             count++)
            from = after_match(text, &span);
        BR_RESULT(call, int32_t)[row] = count;
    });
    end_matcher(&matcher);
}

// --- replace
static void append_part(struct br_buffer *out, struct br_slice text, struct br_regex_span span) {
    if (span.begin != BR_REGEX_NOWHERE)
        br_buffer_append(out, text.ptr + span.begin, span.end - span.begin);
}

// The highest group that a replacement names.
static uint32_t groups_named(struct br_slice with) {
    uint32_t highest = 0;
    for (size_t i = 0; i + 1 < with.len; i++)
        if (with.ptr[i] == '\\') {
            uint8_t next = with.ptr[++i];
            if (next >= '1' && next <= '9' && next - (uint32_t)'0' > highest)
                highest = next - (uint32_t)'0';
        }
    return highest;
}

// \1 … \9 are the groups, \& the match, \\ a backslash.
static void append_replacement(struct br_buffer *out, struct br_slice with, struct br_slice text,
                               const struct br_regex_span *spans, uint32_t group_count) {
    for (size_t i = 0; i < with.len; i++) {
        uint8_t byte = with.ptr[i];
        if (byte != '\\' || i + 1 == with.len) {
            br_buffer_append_byte(out, byte);
            continue;
        }
        uint8_t next = with.ptr[++i];
        if (next == '&') {
            append_part(out, text, spans[0]);
        } else if (next >= '1' && next <= '9') {
            if (next - (uint32_t)'0' <= group_count)
                append_part(out, text, spans[next - '0']);
        } else {
            br_buffer_append_byte(out, '\\');
            if (next != '\\')
                i--; // not one of ours: the backslash stands for itself
        }
    }
}

static bool replace_row(struct matcher *matcher, uint32_t row, struct br_slice text, struct br_slice with,
                        struct br_buffer *out) {
    struct br_regex_span spans[1 + GROUPS_MAX];
    uint32_t group_count = br_regex_group_count(matcher->kept->pattern.regex), named = groups_named(with);
    if (named < group_count)
        group_count = named;
    size_t done = 0;
    br_buffer_clear(out);
    br_regex_begin(matcher->kept->matcher, text);
    for (size_t from = 0; from != BR_REGEX_NOWHERE;) {
        enum br_regex_found found = find(matcher, row, from, spans, group_count);
        if (found == BR_REGEX_TOO_MANY_STEPS)
            return false;
        if (found == BR_REGEX_NOT_FOUND)
            break;
        br_buffer_append(out, text.ptr + done, spans[0].begin - done);
        append_replacement(out, with, text, spans, group_count);
        done = spans[0].end;
        if (out->len > br_text_result_max(text.len)) {
            br_call_fail(matcher->call, row, "requested length too large");
            return false;
        }
        if (!matcher->kept->pattern.global)
            break;
        from = after_match(text, spans);
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
    {"~", BR_BOOLEAN, 2, TWO, matches, br_regex_prepare, 0},
    {"~*", BR_BOOLEAN, 2, TWO, matches, br_regex_prepare, 0},
    {"!~", BR_BOOLEAN, 2, TWO, matches_not, br_regex_prepare, 0},
    {"!~*", BR_BOOLEAN, 2, TWO, matches_not, br_regex_prepare, 0},
    {"regexp_like", BR_BOOLEAN, 2, TWO, matches, br_regex_prepare, 0},
    {"regexp_like", BR_BOOLEAN, 3, THREE, matches, br_regex_prepare, 0},
    {"regexp_count", BR_INTEGER, 2, TWO, regexp_count, br_regex_prepare, 0},
    {"regexp_substr", BR_TEXT, 2, TWO, regexp_substr, br_regex_prepare, 0},
    {"substring", BR_TEXT, 2, TWO, substring_from, br_regex_prepare, 0},
    {"regexp_replace", BR_TEXT, 3, THREE, regexp_replace, br_regex_prepare, 0},
    {"regexp_replace", BR_TEXT, 4, {BR_TEXT, BR_TEXT, BR_TEXT, BR_TEXT}, regexp_replace, br_regex_prepare, 0},
};
const struct br_function_table br_regex_table = {FUNCTIONS, sizeof FUNCTIONS / sizeof FUNCTIONS[0]};

// --- what is as it was
static bool is_regex_call(const struct br_expr *expr) {
    return expr->kind == BR_EXPR_CALL && expr->function->prepare == br_regex_prepare;
}

bool br_expr_regex_is_refused(const struct br_expr *expr) {
    return is_regex_call(expr) && expr->prepared == NULL;
}

bool br_expr_regex_differs(const struct br_expr *expr) {
    if (!is_regex_call(expr))
        return false;
    const struct prepared *prepared = expr->prepared;
    if (prepared == NULL || !prepared->is_constant)
        return true;
    if (expr->function->result == BR_BOOLEAN)
        return !br_regex_matches_as_before(prepared->pattern.regex);
    return !br_regex_finds_as_before(prepared->pattern.regex);
}
