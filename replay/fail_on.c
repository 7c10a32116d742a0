// SPDX-License-Identifier: Apache-2.0
// --fail-on: conditions on the totals of a report. See report.h.
#include "replay/report_internal.h"

#include <ctype.h>

enum comparison { GREATER, GREATER_EQUAL, LESS, LESS_EQUAL, EQUAL, UNEQUAL };

// Longer signs first.
static const struct sign {
    const char *text;
    enum comparison comparison;
} signs[] = {{">=", GREATER_EQUAL}, {"<=", LESS_EQUAL}, {"!=", UNEQUAL}, {"==", EQUAL},
             {">", GREATER},        {"<", LESS},        {"=", EQUAL}};

static uint64_t equal(const Braid__V1__ViewReport *view) {
    return view->equal;
}
static uint64_t changed(const Braid__V1__ViewReport *view) {
    return view->changed;
}
static uint64_t missing(const Braid__V1__ViewReport *view) {
    return view->missing;
}
static uint64_t extra(const Braid__V1__ViewReport *view) {
    return view->extra;
}
static uint64_t differing(const Braid__V1__ViewReport *view) {
    return view->changed + view->missing + view->extra;
}
static uint64_t late(const Braid__V1__ViewReport *view) {
    return view->late;
}
static uint64_t quarantined(const Braid__V1__ViewReport *view) {
    return view->quarantined;
}
static uint64_t function(const Braid__V1__ViewReport *view) {
    return view->function;
}
static uint64_t plan(const Braid__V1__ViewReport *view) {
    return view->plan;
}
static uint64_t unknown(const Braid__V1__ViewReport *view) {
    return view->unknown;
}
static uint64_t skipped(const Braid__V1__ViewReport *view) {
    return *view->skipped != 0;
}

static const struct count {
    const char *name;
    uint64_t (*of)(const Braid__V1__ViewReport *view);
} counts[] = {{"equal", equal},         {"changed", changed}, {"missing", missing},         {"extra", extra},
              {"differing", differing}, {"late", late},       {"quarantined", quarantined}, {"function", function},
              {"plan", plan},           {"unknown", unknown}, {"skipped", skipped}};

struct condition {
    const struct count *count;
    const struct sign *sign;
    uint64_t bound;
};

// --- parsing
static const char *skip_blanks(const char *at) {
    while (isspace((unsigned char)*at))
        at++;
    return at;
}

static enum br_status parse_count(const char **at, struct condition *condition, struct br_error *error) {
    const char *begin = *at = skip_blanks(*at);
    while (isalpha((unsigned char)**at))
        *at += 1;
    size_t len = (size_t)(*at - begin);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        if (strlen(counts[c].name) == len && strncmp(counts[c].name, begin, len) == 0) {
            condition->count = &counts[c];
            return BR_OK;
        }
    struct br_slice shown = {(const uint8_t *)begin, len != 0 ? len : strlen(begin)};
    if (shown.len == 0)
        return br_error_set(error, BR_DATA, "a condition is missing; write it as unknown>0");
    return br_error_set(error, BR_DATA,
                        "there is no count \"%.*s\"; counts are equal, changed, missing, extra, differing, late, "
                        "quarantined, function, plan, unknown, skipped",
                        (int)shown.len, (const char *)shown.ptr);
}

static enum br_status parse_sign(const char **at, struct condition *condition, struct br_error *error) {
    *at = skip_blanks(*at);
    for (size_t s = 0; s < sizeof signs / sizeof *signs; s++)
        if (strncmp(*at, signs[s].text, strlen(signs[s].text)) == 0) {
            condition->sign = &signs[s];
            *at += strlen(signs[s].text);
            return BR_OK;
        }
    return br_error_set(error, BR_DATA, "after \"%s\" comes one of > >= < <= = !=, not \"%s\"", condition->count->name,
                        *at);
}

static enum br_status parse_bound(const char **at, struct condition *condition, struct br_error *error) {
    const char *begin = *at = skip_blanks(*at);
    condition->bound = 0;
    for (; isdigit((unsigned char)**at); *at += 1)
        if (__builtin_mul_overflow(condition->bound, 10, &condition->bound) ||
            __builtin_add_overflow(condition->bound, (uint64_t)(**at - '0'), &condition->bound))
            return br_error_set(error, BR_DATA, "the number in \"%s%s%s\" is too large", condition->count->name,
                                condition->sign->text, begin);
    if (*at == begin)
        return br_error_set(error, BR_DATA, "after \"%s%s\" comes a whole number, not \"%s\"", condition->count->name,
                            condition->sign->text, begin);
    *at = skip_blanks(*at);
    if (**at != 0 && **at != ',')
        return br_error_set(error, BR_DATA, "after \"%s%s%" PRIu64 "\" comes a comma or the end, not \"%s\"",
                            condition->count->name, condition->sign->text, condition->bound, *at);
    return BR_OK;
}

// --- judging
static bool holds(const struct condition *condition, uint64_t total) {
    switch (condition->sign->comparison) {
    case GREATER:
        return total > condition->bound;
    case GREATER_EQUAL:
        return total >= condition->bound;
    case LESS:
        return total < condition->bound;
    case LESS_EQUAL:
        return total <= condition->bound;
    case EQUAL:
        return total == condition->bound;
    case UNEQUAL:
        return total != condition->bound;
    }
    return false;
}

static bool judge(const struct condition *condition, const Braid__V1__ReconcileReport *report, struct br_buffer *why) {
    uint64_t total = 0;
    for (size_t v = 0; v < report->n_views; v++)
        total += condition->count->of(report->views[v]);
    if (!holds(condition, total))
        return false;
    br_buffer_printf(why, "%s is %" PRIu64 ", and %s%s%" PRIu64 " fails\n", condition->count->name, total,
                     condition->count->name, condition->sign->text, condition->bound);
    return true;
}

enum br_status br_report_fails_on(const char *expression, const Braid__V1__ReconcileReport *report, bool *ret_fails,
                                  struct br_buffer *why, struct br_error *error) {
    bool fails = false;
    const char *at = expression;
    for (;; at++) {
        struct condition condition = {0};
        enum br_status status = parse_count(&at, &condition, error);
        if (status == BR_OK)
            status = parse_sign(&at, &condition, error);
        if (status == BR_OK)
            status = parse_bound(&at, &condition, error);
        if (status != BR_OK)
            return br_error_context(error, "fail-on \"%s\"", expression);
        if (report != NULL)
            fails |= judge(&condition, report, why);
        if (*at == 0)
            break;
    }
    *ret_fails = fails;
    return BR_OK;
}
