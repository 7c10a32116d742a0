// SPDX-License-Identifier: Apache-2.0
// What plans of older builds mean to this one: they are bound by the rules that they were made by, and what this build
// computes otherwise is named.
#include "sql_test.h"

#include "processor/semantics.h"

static struct br_pipeline *load_by_rules(const char *text, uint32_t rules) {
    struct br_pipeline_options options = {.rules = &rules};
    struct br_diagnostics *diagnostics = br_diagnostics_create("shop.sql", text);
    struct br_pipeline *pipeline = NULL;
    struct br_error error;
    if (br_pipeline_load("shop.sql", text, &options, diagnostics, &pipeline, &error) != BR_OK)
        pipeline = NULL;
    br_diagnostics_destroy(&diagnostics);
    return pipeline;
}

// What differs from version 0.1.0 in a view of this expression; NULL: nothing. Static.
static const char *differs(const char *expression) {
    static char words[1024];
    char text[2048];
    snprintf(text, sizeof text,
             ORDERS "CREATE MATERIALIZED VIEW plain AS SELECT order_id FROM orders;\n"
                    "CREATE MATERIALIZED VIEW v AS SELECT order_id, %s AS x FROM orders;\n",
             expression);
    struct br_pipeline *pipeline = load_by_rules(text, 0);
    cr_assert_not_null(pipeline, "%s isn't bound by the old rules", expression);
    struct br_buffer found = {0}, lacking = {0};
    bool any = br_semantics_differ(pipeline, 0, &found);
    snprintf(words, sizeof words, "%.*s", (int)found.len, (const char *)found.ptr);
    bool is_refused = any && strstr(words, "is not taken any more") != NULL;
    cr_expect_eq(br_semantics_lack(pipeline, &lacking), is_refused, "%s", expression);
    cr_expect_not(br_semantics_differ(pipeline, BR_SEMANTICS, &found));
    br_buffer_free(&found);
    br_buffer_free(&lacking);
    br_pipeline_destroy(&pipeline);
    return any ? words : NULL;
}

Test(semantics, regular_expressions_without_a_choice_are_as_before) {
    static const char *const SAME[] = {
        "customer ~ '^[A-Z]{3}-[0-9]+$'",
        "customer ~ 'error|warning|fatal'",
        "customer ~ '^[^@]+@[^@.]+\\.com$'",
        "customer ~ 'user=.*status'",
        "customer ~ '([0-9]{1,3}\\.){3}[0-9]{1,3}'",
        "customer !~ '^$'",
        "customer ~* 'paid'",
        "regexp_like(customer, 'a.c', 'q')",
        "regexp_replace(customer, '[0-9]+', '#', 'g')",
        "regexp_replace(customer, '^([^=]+)=([^;]*);', '\\2\\1')",
        "substring(customer FROM '^([a-z]+)-[0-9]+$')",
        "substring(customer FROM 'id=(.*)$')",
        "regexp_count(customer, 'a.b')",
        "regexp_substr(customer, '[0-9]{4}-[0-9]{2}')",
    };
    for (size_t i = 0; i < sizeof SAME / sizeof SAME[0]; i++)
        cr_expect_null(differs(SAME[i]), "%s: %s", SAME[i], differs(SAME[i]));
}

Test(semantics, other_regular_expressions_are_named_by_their_view) {
    static const char *const OTHER[] = {
        "customer ~ '\\d+'",                   // digits of other scripts
        "customer ~ '[[:alpha:]]'",            // letters past ASCII
        "customer ~ '\\mfoo'",                 // and so what a word is
        "customer ~* 'task'",                  // the Kelvin sign
        "regexp_like(customer, '^a', 'n')",    // a newline at the end
        "customer ~ '(a|b)*(a|c)*(a|d)*b|c$'", // took too many steps
        "customer ~ '^.*,.*,.*$'",             // on long texts too
        "customer ~ '(a+)+$'",
        "customer ~ order_id",                  // not known
        "regexp_replace(customer, 'a|ab', '')", // first and longest
        "regexp_replace(customer, '(ab)?(abcd)?', '\\1')",
        "substring(customer FROM '(a+?)(b*)')", // preferences
        "regexp_count(customer, '\\w+')",
        "lower(regexp_replace(customer, 'a|ab', ''))",
    };
    for (size_t i = 0; i < sizeof OTHER / sizeof OTHER[0]; i++) {
        const char *words = differs(OTHER[i]);
        cr_assert_not_null(words, "%s", OTHER[i]);
        cr_expect(strstr(words, "view v: ") == words, "%s: %s", OTHER[i], words);
        cr_expect(strstr(words, "regular expression") != NULL, "%s: %s", OTHER[i], words);
    }
}

Test(semantics, regular_expressions_that_are_not_taken_any_more_are_told_apart) {
    static const char *const REFUSED[] = {
        "customer ~ '^(.)\\1'",
        "customer ~ 'a(?=b)'",
        "regexp_replace(customer, 'a\\Kb', '')",
        "CASE WHEN customer ~ '\\p{L}' THEN 1 END",
    };
    for (size_t i = 0; i < sizeof REFUSED / sizeof REFUSED[0]; i++) {
        const char *words = differs(REFUSED[i]);
        cr_assert_not_null(words, "%s", REFUSED[i]);
        cr_expect(strstr(words, "view v: its regular expression is one that is not taken") == words, "%s", words);
    }
}

Test(semantics, a_pattern_in_a_check_is_named_by_its_table) {
    struct br_pipeline *pipeline =
        load_by_rules("CREATE TABLE orders (id text NOT NULL, code text CHECK (code ~ '^\\d+$'));\n"
                      "CREATE MATERIALIZED VIEW v AS SELECT id FROM orders;\n",
                      0);
    struct br_buffer words = {0};
    cr_assert_not_null(pipeline);
    cr_expect(br_semantics_differ(pipeline, 0, &words));
    br_buffer_append_byte(&words, 0);
    cr_expect(strstr((const char *)words.ptr, "table orders: ") == (const char *)words.ptr, "%s", words.ptr);
    br_buffer_free(&words);
    br_pipeline_destroy(&pipeline);
}

// The plan of a pattern that isn't taken any more is bound as before, to the same hash; a new file is refused.
Test(semantics, patterns_of_known_plans_are_bound_though_new_ones_are_refused) {
#define VIEW_OF(expression) ORDERS "CREATE MATERIALIZED VIEW v AS SELECT order_id, " expression " AS x FROM orders;\n"
    static const char BACK[] = VIEW_OF("customer ~ '^(.)\\1'"), LOOK[] = VIEW_OF("customer ~ '^(.)(?=x)'");
    struct br_pipeline *back = load_by_rules(BACK, 0), *look = load_by_rules(LOOK, 0);
    cr_assert(back != NULL && look != NULL);
    cr_expect_neq(back->plan_hash, look->plan_hash);
    cr_expect_null(load_by_rules(BACK, 1));
    br_pipeline_destroy(&back);
    br_pipeline_destroy(&look);
    expect_error(BACK, 3, 57, "invalid regular expression: back references are not supported", "substring(x FROM");
    expect_error(LOOK, 3, 57, "invalid regular expression: look-around is not supported", "x !~ 'b'");
    expect_error(VIEW_OF("customer ~ 'a{256}'"), 3, 57, "invalid regular expression: invalid repetition count(s)",
                 "255");
    expect_error(VIEW_OF("customer ~ '((a{99}){99}){99}'"), 3, 57,
                 "invalid regular expression: regular expression is too complex", "bounds");
    // Where nothing but constants is left, the old value can't be had any more: still no error.
    struct br_pipeline *constant = load_by_rules(VIEW_OF("'aa' ~ '^(.)\\1'"), 0);
    cr_expect_not_null(constant);
    br_pipeline_destroy(&constant);
}
