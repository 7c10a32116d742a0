// SPDX-License-Identifier: Apache-2.0
// Any bytes as a commit message: refused in words, or taken; what was taken is packed and taken again with the same
// content, and holds what recovery leans on (as many inputs and views as the pipeline, in its order; parts in range).
#include "processor/commit_reader.h"
#include "processor/sql/sql.h"

static const char sql[] =
    "CREATE TABLE orders (id bigint NOT NULL, customer text) WITH (subject = 'orders');\n"
    "CREATE TABLE customers (customer text PRIMARY KEY, region text) WITH (subject = 'customers');\n"
    "CREATE MATERIALIZED VIEW by_region WITH (layout = 'packed') AS SELECT c.region, count(*) AS n FROM orders o JOIN "
    "customers c USING (customer) GROUP BY c.region;\n"
    "CREATE MATERIALIZED VIEW ids AS SELECT id FROM orders;\n";

static struct br_pipeline *load(void) {
    struct br_pipeline *pipeline = NULL;
    struct br_diagnostics *diagnostics = br_diagnostics_create("fuzz.sql", sql);
    struct br_pipeline_options options = {.name = "fuzz"};
    struct br_error error;
    BR_CHECK(br_pipeline_load("fuzz.sql", sql, &options, diagnostics, &pipeline, &error) == BR_OK);
    br_diagnostics_destroy(&diagnostics);
    return pipeline;
}

static void check_taken(const struct br_pipeline *pipeline, const Braid__V1__Commit *commit) {
    BR_CHECK(commit->epoch != 0 && commit->part >= 1 && commit->part <= commit->parts);
    BR_CHECK(commit->n_inputs == pipeline->table_count && commit->n_views == pipeline->view_count);
    for (size_t i = 0; i < commit->n_inputs; i++) {
        const Braid__V1__InputPosition *input = commit->inputs[i];
        BR_CHECK(strcmp(input->table, pipeline->tables[i].name) == 0);
        BR_CHECK(input->messages == 0 || (input->first_sequence != 0 && input->first_sequence <= input->last_sequence));
    }
}

// Fields that no version of the format has: protobuf-c keeps them, and takes tags (of field 0, or padded) that it
// writes differently.
static void drop_unknown(ProtobufCMessage *message) {
    for (unsigned i = 0; i < message->n_unknown_fields; i++)
        free(message->unknown_fields[i].data);
    free(message->unknown_fields);
    message->n_unknown_fields = 0;
    message->unknown_fields = NULL;
}

static void drop_all_unknown(Braid__V1__Commit *commit) {
    drop_unknown(&commit->base);
    for (size_t i = 0; i < commit->n_inputs; i++)
        drop_unknown(&commit->inputs[i]->base);
    for (size_t i = 0; i < commit->n_views; i++)
        drop_unknown(&commit->views[i]->base);
    for (size_t i = 0; i < commit->n_blocks; i++)
        drop_unknown(&commit->blocks[i]->base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct br_pipeline *pipeline;
    if (pipeline == NULL)
        pipeline = load();
    struct br_error error = {.message = ""};
    Braid__V1__Commit *commit = NULL, *again = NULL;
    if (br_commit_read(pipeline, (struct br_slice){data, size}, &commit, &error) != BR_OK) {
        BR_CHECK(commit == NULL && strstr(error.message, "fuzz") != NULL);
        return 0;
    }
    check_taken(pipeline, commit);
    drop_all_unknown(commit);
    struct br_buffer bytes = {0};
    size_t packed = braid__v1__commit__get_packed_size(commit);
    bytes.len = braid__v1__commit__pack(commit, br_buffer_reserve(&bytes, packed));
    BR_CHECK(bytes.len == packed);
    BR_CHECK(br_commit_read(pipeline, br_buffer_slice(&bytes), &again, &error) == BR_OK);
    BR_CHECK(again->epoch == commit->epoch && again->digest == commit->digest && again->n_blocks == commit->n_blocks);
    braid__v1__commit__free_unpacked(again, NULL);
    braid__v1__commit__free_unpacked(commit, NULL);
    br_buffer_free(&bytes);
    return 0;
}
