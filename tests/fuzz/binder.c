// SPDX-License-Identifier: Apache-2.0
// Any text as a pipeline file: it is refused with at least one diagnostic, or gives a pipeline, of which explain tells
// and against which queries bind. Text behind a line "-- query" is a query of its own.
#include "processor/sql/sql.h"

static const char *const queries[] = {"SELECT * FROM v", "SELECT count(*) AS n FROM v WHERE true", "TABLE v LIMIT 1"};

static void print_diagnostics(const struct br_diagnostics *diagnostics) {
    struct br_buffer text = {0};
    br_diagnostics_print(diagnostics, false, &text);
    br_buffer_clear(&text);
    br_diagnostics_print(diagnostics, true, &text);
    br_buffer_free(&text);
}

static void ask(const struct br_pipeline *pipeline, const char *text) {
    struct br_error error = {.message = ""};
    struct br_query *query = NULL;
    struct br_diagnostics *diagnostics = br_diagnostics_create("query", text);
    enum br_status status = br_query_bind(pipeline, text, diagnostics, &query, &error);
    BR_CHECK((status == BR_OK) == (query != NULL));
    BR_CHECK(status == BR_OK || diagnostics->error_count != 0 || error.message[0] != '\0');
    if (query != NULL)
        BR_CHECK(query->visible_count <= query->root->field_count);
    print_diagnostics(diagnostics);
    br_query_destroy(&query);
    br_diagnostics_destroy(&diagnostics);
}

static void load(const char *text, const char *query) {
    struct br_pipeline *pipeline = NULL;
    struct br_error error = {.message = ""};
    struct br_pipeline_options options = {.name = "fuzz"};
    struct br_diagnostics *diagnostics = br_diagnostics_create("/nonexistent/fuzz.sql", text);
    enum br_status status = br_pipeline_load("/nonexistent/fuzz.sql", text, &options, diagnostics, &pipeline, &error);
    BR_CHECK((status == BR_OK) == (pipeline != NULL));
    BR_CHECK(status == BR_OK || diagnostics->error_count != 0 || error.message[0] != '\0');
    print_diagnostics(diagnostics);
    if (pipeline != NULL) {
        struct br_buffer told = {0};
        br_explain(pipeline, false, &told);
        br_buffer_clear(&told);
        br_explain(pipeline, true, &told);
        br_buffer_free(&told);
        for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++)
            ask(pipeline, queries[i]);
        if (query != NULL)
            ask(pipeline, query);
    }
    br_pipeline_destroy(&pipeline);
    br_diagnostics_destroy(&diagnostics);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size != 0 && memchr(data, '\0', size) != NULL)
        return 0; // the command refuses such a file before it comes here
    char *text = br_alloc(size + 1);
    if (size != 0)
        memcpy(text, data, size);
    text[size] = '\0';
    char *query = strstr(text, "-- query\n");
    if (query != NULL) {
        *query = '\0';
        query += strlen("-- query\n");
    }
    load(text, query);
    free(text);
    return 0;
}
