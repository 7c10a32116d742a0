// SPDX-License-Identifier: Apache-2.0
// Prints the hash of each file's plan under some binding rules, a line per file: "351e940dd81a6892 path", or "refused
// path". For plan-hashes, which compares them with what they were.
//
//   golden_hash_plans RULES FILE.sql…       RULES "current": this build's; the first line printed is their number
#include "base/bytes.h"
#include "processor/sql/sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_file(const char *path, struct br_buffer *content) {
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    size_t got;
    do {
        got = fread(br_buffer_reserve(content, 65537), 1, 65536, file);
        content->len += got;
    } while (got != 0);
    fclose(file);
    *br_buffer_reserve(content, 1) = '\0';
    return true;
}

static void print_hash(const char *path, uint32_t rules) {
    struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
    struct br_pipeline_options options = {.rules = &rules};
    struct br_pipeline *pipeline = NULL;
    struct br_error error;
    if (!read_file(path, &text)) {
        perror(path);
        exit(1);
    }
    struct br_diagnostics *diagnostics = br_diagnostics_create(path, (const char *)text.ptr);
    if (br_pipeline_load(path, (const char *)text.ptr, &options, diagnostics, &pipeline, &error) == BR_OK)
        printf("%016" PRIx64 " %s\n", pipeline->plan_hash, path);
    else
        printf("refused %s\n", path);
    br_diagnostics_destroy(&diagnostics);
    br_pipeline_destroy(&pipeline);
}

int main(int argc, char **argv) {
    if (argc < 2)
        return 2;
    uint32_t rules = strcmp(argv[1], "current") == 0 ? BR_BINDING_RULES : (uint32_t)strtoul(argv[1], NULL, 10);
    printf("%u\n", rules);
    for (int i = 2; i < argc; i++)
        print_hash(argv[i], rules);
    return 0;
}
