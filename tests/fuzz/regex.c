// SPDX-License-Identifier: Apache-2.0
// Any bytes as a pattern and a text: flags (one byte), the pattern up to a NUL, the text. A match lies where it may,
// with its groups within it; one says that there is a match where the other finds one; and what is found, and how many
// steps it takes, doesn't depend on how much of the automata may be kept.
#include "processor/expr/regex_internal.h"

#include "base/status.h"

#define PATTERN_SIZE_MAX 512
#define TEXT_SIZE_MAX 2048
#define GROUPS_MAX 16

static bool is_boundary(struct br_slice text, size_t at) {
    return at == text.len || (at < text.len && (text.ptr[at] & 0xc0) != 0x80);
}

static void check_spans(struct br_slice text, size_t from, const struct br_regex_span *spans, uint32_t groups) {
    BR_CHECK(from <= spans[0].begin && spans[0].begin <= spans[0].end && spans[0].end <= text.len);
    for (uint32_t g = 0; g <= groups; g++) {
        if (g > 0 && spans[g].begin == BR_REGEX_NOWHERE)
            continue;
        BR_CHECK(spans[0].begin <= spans[g].begin && spans[g].begin <= spans[g].end && spans[g].end <= spans[0].end);
        BR_CHECK(is_boundary(text, spans[g].begin) && is_boundary(text, spans[g].end));
    }
}

static void match(const struct br_regex *regex, struct br_slice text) {
    struct br_regex_matcher *ample = br_regex_matcher_create(regex, (size_t)8 << 20);
    struct br_regex_matcher *scant = br_regex_matcher_create(regex, 1);
    struct br_regex_span spans[1 + GROUPS_MAX], again[1 + GROUPS_MAX];
    uint32_t groups = br_regex_group_count(regex) < GROUPS_MAX ? br_regex_group_count(regex) : GROUPS_MAX;
    br_regex_begin(ample, text);
    br_regex_begin(scant, text);
    enum br_regex_found any = br_regex_matches(ample);
    BR_CHECK(br_regex_matches(scant) == any);
    for (size_t from = 0; from <= text.len;) {
        enum br_regex_found found = br_regex_find(ample, from, spans, groups);
        BR_CHECK(br_regex_find(scant, from, again, groups) == found && ample->steps == scant->steps);
        BR_CHECK(from > 0 || found == BR_REGEX_TOO_MANY_STEPS || found == any);
        if (found != BR_REGEX_FOUND)
            break;
        check_spans(text, from, spans, groups);
        BR_CHECK(memcmp(spans, again, (1 + groups) * sizeof *spans) == 0);
        from = spans[0].end;
        if (spans[0].begin == spans[0].end)
            do
                from++;
            while (from < text.len && !is_boundary(text, from));
    }
    br_regex_matcher_destroy(&ample);
    br_regex_matcher_destroy(&scant);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    unsigned flags = data[0] & 31;
    if ((flags & BR_REGEX_LITERAL) != 0)
        flags &= BR_REGEX_LITERAL | BR_REGEX_IGNORE_CASE;
    const uint8_t *end = memchr(data + 1, 0, size - 1);
    struct br_slice pattern = {data + 1, end == NULL ? size - 1 : (size_t)(end - data) - 1};
    struct br_slice text = {end == NULL ? NULL : end + 1, end == NULL ? 0 : size - (size_t)(end - data) - 1};
    pattern.len = pattern.len > PATTERN_SIZE_MAX ? PATTERN_SIZE_MAX : pattern.len;
    pattern.len = br_utf8_valid_prefix(pattern);
    text.len = text.len > TEXT_SIZE_MAX ? TEXT_SIZE_MAX : text.len;
    text.len = br_utf8_valid_prefix(text);
    struct br_arena *arena = br_arena_create();
    struct br_regex_fault fault = {0};
    const struct br_regex *regex = br_regex_compile(arena, pattern, flags, &fault);
    BR_CHECK(regex != NULL || fault.reason != NULL);
    if (regex != NULL)
        match(regex, text);
    br_arena_destroy(&arena);
    return 0;
}
