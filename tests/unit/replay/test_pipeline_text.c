// SPDX-License-Identifier: Apache-2.0
// A pipeline's text, stored beside its commits and read back.
#include "../codec/everything_set.h"
#include "processor/log/simulated.h"
#include "processor/pipeline_text.h"
#include "processor/sql/sql.h"
#include "replay/selection.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

struct stored {
    struct br_sim *sim;
    struct br_log *log;
};

static struct stored open_stored(void) {
    struct stored stored = {.sim = br_sim_create(NULL)};
    struct br_error error;
    stored.log = br_sim_connect(stored.sim, false);
    struct br_output_options options = {.subjects = (const char *const[]){"braid.shop.>"}, .subject_count = 1};
    struct br_stream_info info;
    cr_assert_eq(br_log_ensure_output(stored.log, "BRAID_shop", &options, &info, &error), BR_OK, "%s", error.message);
    return stored;
}

static void close_stored(struct stored *stored) {
    br_log_close(&stored->log);
    br_sim_destroy(&stored->sim);
}

static struct br_pipeline *load(const char *sql, const char *descriptors) {
    struct br_diagnostics *diagnostics = br_diagnostics_create("/some/where/shop.sql", sql);
    struct br_pipeline_options options = {.descriptor_paths = &descriptors,
                                          .descriptor_path_count = descriptors != NULL ? 1 : 0};
    struct br_pipeline *pipeline = NULL;
    struct br_error error;
    enum br_status status = br_pipeline_load("/some/where/shop.sql", sql, &options, diagnostics, &pipeline, &error);
    cr_assert_eq(status, BR_OK, "%s: %s", error.message, diagnostics->count != 0 ? diagnostics->list[0].message : "");
    br_diagnostics_destroy(&diagnostics);
    return pipeline;
}

static uint64_t last_sequence(struct stored *stored) {
    struct br_stream_info info;
    struct br_error error;
    cr_assert_eq(br_log_stream_info(stored->log, "BRAID_shop", &info, &error), BR_OK);
    return info.last_sequence;
}

Test(pipeline_text, is_stored_once_and_read_back_as_the_same_plan) {
    struct stored stored = open_stored();
    struct br_error error;
    struct br_pipeline *pipeline =
        load("CREATE TABLE t (a text); CREATE MATERIALIZED VIEW v AS SELECT a FROM t;", NULL);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(br_pipeline_text_store(stored.log, pipeline, &error), BR_OK, "%s", error.message);
    cr_expect_eq(last_sequence(&stored), 1);
    struct br_pipeline *again = NULL;
    cr_assert_eq(br_pipeline_text_load(stored.log, "shop", pipeline->plan_hash, &again, &error), BR_OK, "%s",
                 error.message);
    cr_assert(again != NULL);
    cr_expect_eq(again->plan_hash, pipeline->plan_hash);
    cr_expect_str_eq(again->text, pipeline->text);
    cr_expect_str_eq(again->path, pipeline->path);
    br_pipeline_destroy(&again);
    cr_assert_eq(br_pipeline_text_load(stored.log, "shop", pipeline->plan_hash + 1, &again, &error), BR_OK);
    cr_expect(again == NULL, "another hash has no text");
    br_pipeline_destroy(&pipeline);
    close_stored(&stored);
}

Test(pipeline_text, descriptors_come_with_it_and_no_file_is_read_again) {
    struct stored stored = open_stored();
    char path[] = "/tmp/braid-set-XXXXXX", sql[300];
    int file = mkstemp(path);
    cr_assert(file >= 0 && write(file, everything_set, sizeof everything_set) == (ssize_t)sizeof everything_set);
    close(file);
    snprintf(sql, sizeof sql,
             "SET braid.pipeline = 'shop'; SET braid.descriptors = '%s'; CREATE TABLE t () WITH (message = "
             "'test.v1.Everything'); CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM t;",
             path);
    struct br_error error;
    struct br_pipeline *pipeline = load(sql, NULL), *again = NULL;
    cr_assert_eq(br_pipeline_text_store(stored.log, pipeline, &error), BR_OK, "%s", error.message);
    unlink(path);
    cr_assert_eq(br_pipeline_text_load(stored.log, "shop", pipeline->plan_hash, &again, &error), BR_OK, "%s",
                 error.message);
    cr_assert(again != NULL);
    cr_expect_eq(again->plan_hash, pipeline->plan_hash);
    cr_expect_eq(again->descriptor_set_count, 1);
    br_pipeline_destroy(&again);
    br_pipeline_destroy(&pipeline);
    close_stored(&stored);
}

Test(pipeline_text, field_numbers_come_with_it_and_no_file_is_read_again) {
    struct stored stored = open_stored();
    static const char lock[] = "braid fields 1\nmessage t\n7 string a\nreserved 9 b\nmessage v\n3 string a\n";
    char path[] = "/tmp/braid-fields-XXXXXX", sql[300];
    int file = mkstemp(path);
    cr_assert(file >= 0 && write(file, lock, sizeof lock - 1) == (ssize_t)sizeof lock - 1);
    close(file);
    snprintf(sql, sizeof sql,
             "SET braid.fields = '%s'; CREATE TABLE t (a text); CREATE MATERIALIZED VIEW v AS SELECT a FROM t;", path);
    struct br_error error;
    struct br_pipeline *pipeline = load(sql, NULL), *again = NULL;
    cr_assert_eq(br_pipeline_text_store(stored.log, pipeline, &error), BR_OK, "%s", error.message);
    unlink(path);
    cr_assert_eq(br_pipeline_text_load(stored.log, "shop", pipeline->plan_hash, &again, &error), BR_OK, "%s",
                 error.message);
    cr_assert(again != NULL);
    cr_expect_eq(again->plan_hash, pipeline->plan_hash);
    cr_expect(br_slice_is(again->fields, lock));
    br_pipeline_destroy(&again);
    // A replay's record carries them too.
    Braid__V1__ReplayJob job;
    braid__v1__replay_job__init(&job);
    job.pipeline = job.sql_name = "shop";
    job.sql = sql;
    job.fields = (ProtobufCBinaryData){sizeof lock - 1, (uint8_t *)(uintptr_t)lock};
    cr_assert_eq(br_selection_load(&job, &again, &error), BR_OK, "%s", error.message);
    cr_expect_eq(again->plan_hash, pipeline->plan_hash);
    br_pipeline_destroy(&again);
    job.fields = (ProtobufCBinaryData){0};
    cr_expect_eq(br_selection_load(&job, &again, &error), BR_DATA);
    cr_expect(strstr(error.message, "were not stored with this text") != NULL, "%s", error.message);
    br_pipeline_destroy(&pipeline);
    close_stored(&stored);
}

Test(pipeline_text, what_is_no_text_is_refused_in_words) {
    struct stored stored = open_stored();
    struct br_error error;
    struct br_pipeline *again = NULL;
    static const char *const bad[] = {"\xff\xff\xff", "\x0a\x04shop\x1a\x06"
                                                      "CREATE"};
    for (uint64_t i = 0; i < 2; i++) {
        char subject[100];
        br_pipeline_text_subject("shop", i, subject, sizeof subject);
        struct br_log_message message = {.subject = br_slice_of(subject), .payload = br_slice_of(bad[i])};
        cr_assert_eq(br_log_publish(stored.log, &message, &error), BR_OK);
        cr_expect_eq(br_pipeline_text_load(stored.log, "shop", i, &again, &error), BR_DATA);
        cr_expect(again == NULL);
        cr_expect(strstr(error.message, "shop") != NULL, "%s", error.message);
    }
    uint64_t hash = 7;
    cr_assert_eq(br_pipeline_text_of_owner(stored.log, "shop", &hash, &again, &error), BR_OK);
    cr_expect_eq(hash, 0, "nobody has committed");
    cr_assert_eq(br_pipeline_text_of_owner(stored.log, "nothing", &hash, &again, &error), BR_OK);
    cr_expect_eq(hash, 0, "there is no such pipeline");
    close_stored(&stored);
}
