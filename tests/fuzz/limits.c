// SPDX-License-Identifier: Apache-2.0
// Any file up to 1 MiB is checked within 2 s of processor time and 256 MiB (ten times that under sanitizers, which cost
// about so much), and queries over what it declares are too.
//
// The input is a recipe, so that large files have small seeds: a line "*1000 text" stands for the text a thousand
// times, one behind the other, with # for the number of the time, from 0, ^ for the number before it (_ before 0), and
// \n for the end of a line; any other line for itself.
// "-- query" begins a query.
#include "processor/sql/sql.h"

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FACTOR 10
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define FACTOR 10
#endif
#endif
#ifndef FACTOR
#define FACTOR 1
#endif
#define SECONDS_MAX 2
#define MEMORY_KIB_MAX (256L << 10)
#define FILE_BYTES_MAX ((size_t)1 << 20)

static const char *const queries[] = {"SELECT * FROM v", "SELECT count(*) AS n FROM v x JOIN v y ON x.id = y.id"};

static void put_once(const char *text, size_t len, unsigned long time, struct br_buffer *out) {
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '^' && time == 0)
            br_buffer_append_byte(out, '_');
        else if (text[i] == '#' || text[i] == '^')
            br_buffer_printf(out, "%lu", text[i] == '#' ? time : time - 1);
        else if (text[i] == '\\' && i + 1 < len && text[i + 1] == 'n')
            br_buffer_append_byte(out, (++i, '\n'));
        else
            br_buffer_append_byte(out, (uint8_t)text[i]);
    }
}

static void expand(const char *recipe, struct br_buffer *out) {
    while (*recipe != '\0' && out->len < FILE_BYTES_MAX) {
        size_t len = strcspn(recipe, "\n");
        char *text = NULL;
        unsigned long times = recipe[0] == '*' ? strtoul(recipe + 1, &text, 10) : 0;
        if (times != 0 && *text == ' ') {
            text++;
            for (unsigned long i = 0; i < times && out->len < FILE_BYTES_MAX; i++)
                put_once(text, len - (size_t)(text - recipe), i, out);
        } else {
            br_buffer_printf(out, "%.*s\n", (int)len, recipe);
        }
        recipe += len + (recipe[len] == '\n');
    }
    if (out->len > FILE_BYTES_MAX)
        out->len = FILE_BYTES_MAX;
    out->len = br_utf8_valid_prefix(br_buffer_slice(out));
    br_buffer_append_byte(out, '\0');
}

static double processor_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void check_limits(double began, const char *what) {
    struct rusage usage;
    double took = processor_seconds() - began;
    getrusage(RUSAGE_SELF, &usage);
    if (took <= SECONDS_MAX * FACTOR && usage.ru_maxrss <= MEMORY_KIB_MAX * FACTOR)
        return;
    fprintf(stderr, "%s: %.1f s, %ld MiB\n", what, took, usage.ru_maxrss >> 10);
    BR_CHECK(false && "within 2 s and 256 MiB");
}

static void ask(const struct br_pipeline *pipeline, const char *text) {
    struct br_error error = {.message = ""};
    struct br_query *query = NULL;
    double began = processor_seconds();
    struct br_diagnostics *diagnostics = br_diagnostics_create("query", text);
    enum br_status status = br_query_bind(pipeline, text, diagnostics, &query, &error);
    BR_CHECK(status == BR_OK || diagnostics->error_count != 0);
    check_limits(began, "a query");
    br_query_destroy(&query);
    br_diagnostics_destroy(&diagnostics);
}

static void load(const char *text, const char *query) {
    struct br_pipeline *pipeline = NULL;
    struct br_error error = {.message = ""};
    struct br_pipeline_options options = {.name = "fuzz"};
    double began = processor_seconds();
    struct br_diagnostics *diagnostics = br_diagnostics_create("/nonexistent/fuzz.sql", text);
    enum br_status status = br_pipeline_load("/nonexistent/fuzz.sql", text, &options, diagnostics, &pipeline, &error);
    BR_CHECK(status == BR_OK || diagnostics->error_count != 0);
    struct br_buffer told = {0};
    br_diagnostics_print(diagnostics, false, &told);
    br_buffer_free(&told);
    check_limits(began, "a file");
    for (size_t i = 0; pipeline != NULL && i < sizeof queries / sizeof queries[0]; i++)
        ask(pipeline, queries[i]);
    if (pipeline != NULL && query != NULL)
        ask(pipeline, query);
    br_pipeline_destroy(&pipeline);
    br_diagnostics_destroy(&diagnostics);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || memchr(data, '\0', size) != NULL)
        return 0;
    struct br_buffer file = {0};
    char *recipe = br_alloc(size + 1);
    memcpy(recipe, data, size);
    recipe[size] = '\0';
    expand(recipe, &file);
    char *text = (char *)file.ptr, *query = strstr(text, "-- query\n");
    if (query != NULL) {
        *query = '\0';
        query += strlen("-- query\n");
    }
    load(text, query);
    free(recipe);
    br_buffer_free(&file);
    return 0;
}
