// SPDX-License-Identifier: Apache-2.0
// What the tests of the SQL front end share: loading a text, and looking at what came of it.
#ifndef BR_TESTS_SQL_TEST_H
#define BR_TESTS_SQL_TEST_H

#include "processor/codec/descriptors.h"
#include "processor/sql/sql.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ORDERS                                                                                                         \
    "CREATE TABLE orders (order_id text NOT NULL, customer text, amount numeric, placed_at timestamptz NOT NULL)\n"    \
    "WITH (event_time = 'placed_at', watermark = '5 seconds');\n"
#define CUSTOMERS "CREATE TABLE customers (customer text PRIMARY KEY, region text, vip boolean);\n"

struct loaded {
    struct br_pipeline *pipeline; // NULL: there are errors
    struct br_diagnostics *diagnostics;
};

static inline struct loaded load(const char *text) {
    struct loaded loaded = {NULL, br_diagnostics_create("shop.sql", text)};
    struct br_error error;
    enum br_status status = br_pipeline_load("shop.sql", text, NULL, loaded.diagnostics, &loaded.pipeline, &error);
    cr_assert((status == BR_OK) == (loaded.diagnostics->error_count == 0));
    cr_assert((status == BR_OK) == (loaded.pipeline != NULL));
    return loaded;
}

static inline void unload(struct loaded *loaded) {
    br_pipeline_destroy(&loaded->pipeline);
    br_diagnostics_destroy(&loaded->diagnostics);
}

static inline struct loaded load_ok(const char *text) {
    struct loaded loaded = load(text);
    struct br_buffer out = {0};
    br_diagnostics_print(loaded.diagnostics, false, &out);
    br_buffer_append_byte(&out, 0);
    cr_assert(loaded.pipeline != NULL, "%s", (const char *)out.ptr);
    br_buffer_free(&out);
    return loaded;
}

// The text has this one error.
static inline void expect_error(const char *text, uint32_t line, uint32_t column, const char *message,
                                const char *hint) {
    struct loaded loaded = load(text);
    cr_assert_eq(loaded.diagnostics->error_count, 1, "%u errors of: %s (second: %s)", loaded.diagnostics->error_count,
                 text, loaded.diagnostics->count > 1 ? loaded.diagnostics->list[1].message : "-");
    const struct br_diagnostic *found = &loaded.diagnostics->list[0];
    cr_expect_str_eq(found->message, message);
    cr_expect(found->line == line && found->column == column, "%s: at %u:%u, not %u:%u", message, found->line,
              found->column, line, column);
    if (hint == NULL)
        cr_expect_null(found->hint, "%s", found->hint);
    else
        cr_expect(found->hint != NULL && strstr(found->hint, hint) != NULL, "%s: hint %s", message, found->hint);
    unload(&loaded);
}

static inline const struct br_view *view_of(const struct loaded *loaded, const char *name) {
    const struct br_view *view = br_pipeline_find_view(loaded->pipeline, name);
    cr_assert_not_null(view, "no view %s", name);
    return view;
}

// The plan of a view as one line: aggregate(window(project(stream))).
static inline void shape_into(const struct br_node *node, struct br_buffer *out) {
    static const char *const kinds[] = {"source", "filter", "project", "window", "aggregate", "join", "scan"};
    br_buffer_append_text(out, kinds[node->kind]);
    for (uint32_t i = 0; i < node->input_count; i++) {
        br_buffer_append_text(out, i == 0 ? "(" : ", ");
        shape_into(node->inputs[i], out);
    }
    br_buffer_append_text(out, node->input_count == 0 ? "" : ")");
}

static inline void expect_shape(const struct br_node *node, const char *shape) {
    struct br_buffer out = {0};
    shape_into(node, &out);
    br_buffer_append_byte(&out, 0);
    cr_expect_str_eq((const char *)out.ptr, shape);
    br_buffer_free(&out);
}

static inline void expect_key(const struct br_node *node, uint32_t count, const uint32_t *key) {
    cr_assert(node->has_key);
    cr_assert_eq(node->key_count, count);
    for (uint32_t i = 0; i < count; i++)
        cr_expect_eq(node->key[i], key[i]);
}

static inline const struct br_node *find_node(const struct br_node *node, enum br_node_kind kind) {
    if (node->kind == kind)
        return node;
    for (uint32_t i = 0; i < node->input_count; i++) {
        const struct br_node *found = find_node(node->inputs[i], kind);
        if (found != NULL)
            return found;
    }
    return NULL;
}

#endif
