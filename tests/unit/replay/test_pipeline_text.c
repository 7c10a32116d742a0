// SPDX-License-Identifier: Apache-2.0
// A pipeline's text, stored beside its commits and read back.
#include "../codec/everything_set.h"
#include "braid/v1/commit.pb-c.h"
#include "braid/v1/pipeline.pb-c.h"
#include "processor/log/simulated.h"
#include "processor/pipeline_text.h"
#include "processor/semantics.h"
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

// --- which plan a file is

#define RECENT                                                                                                         \
    "CREATE TABLE t (a text, at timestamptz) WITH (event_time = 'at'); CREATE MATERIALIZED VIEW v AS SELECT a FROM t " \
    "WHERE at > now() - interval '1 day';"
#define RECENT_WITHIN                                                                                                  \
    "CREATE TABLE t (a text, at timestamptz) WITH (event_time = 'at'); CREATE MATERIALIZED VIEW v AS SELECT a FROM "   \
    "(SELECT a, at, now() AS n FROM t) x WHERE at > n - interval '1 day';"
#define WINDOWED                                                                                                       \
    "CREATE TABLE t (a text, at timestamptz) WITH (event_time = 'at'); CREATE MATERIALIZED VIEW v AS SELECT "          \
    "window_start, count(*) AS n FROM tumble(t, at, interval '1 minute') GROUP BY window_start;"

struct candidates {
    struct br_pipeline *by_rules[BR_BINDING_RULES + 1];
};

static struct candidates bind_all(const char *sql) {
    struct candidates candidates = {0};
    for (uint32_t rules = 0; rules <= BR_BINDING_RULES; rules++) {
        struct br_diagnostics *diagnostics = br_diagnostics_create("shop.sql", sql);
        struct br_pipeline_options options = {.rules = &rules};
        struct br_error ignored;
        if (br_pipeline_load("shop.sql", sql, &options, diagnostics, &candidates.by_rules[rules], &ignored) != BR_OK)
            candidates.by_rules[rules] = NULL;
        br_diagnostics_destroy(&diagnostics);
    }
    return candidates;
}

static void free_all(struct candidates *candidates) {
    for (uint32_t rules = 0; rules <= BR_BINDING_RULES; rules++)
        br_pipeline_destroy(&candidates->by_rules[rules]);
}

static enum br_status recognise(struct stored *stored, struct candidates *candidates, struct br_pipeline **ret_owned,
                                const struct br_pipeline **ret_known, struct br_error *error) {
    return br_pipeline_recognise(stored->log, (const struct br_pipeline *const *)candidates->by_rules,
                                 BR_BINDING_RULES + 1, ret_owned, ret_known, error);
}

static void publish(struct stored *stored, const char *subject, const ProtobufCMessage *message) {
    uint8_t bytes[4096];
    struct br_error error;
    size_t len = protobuf_c_message_pack(message, bytes);
    struct br_log_message out = {.subject = br_slice_of(subject), .payload = {bytes, len}};
    cr_assert_eq(br_log_publish(stored->log, &out, &error), BR_OK);
}

static void commit(struct stored *stored, uint64_t plan_hash, uint32_t semantics) {
    Braid__V1__Commit commit = BRAID__V1__COMMIT__INIT;
    commit.epoch = commit.part = commit.parts = 1;
    commit.lineage = (char *)"live";
    commit.plan_hash = plan_hash;
    commit.semantics = semantics;
    publish(stored, "braid.shop.commit.0", &commit.base);
}

Test(pipeline_text, a_file_is_bound_by_the_rules_that_the_log_has_it_by) {
    struct stored stored = open_stored();
    struct candidates candidates = bind_all(RECENT);
    struct br_pipeline *owned;
    const struct br_pipeline *known;
    struct br_error error;
    cr_assert(candidates.by_rules[0] != NULL && candidates.by_rules[BR_BINDING_RULES] == NULL);
    cr_assert_eq(recognise(&stored, &candidates, &owned, &known, &error), BR_OK);
    cr_expect(known == NULL && owned == NULL, "nobody has committed");
    commit(&stored, 77, 0);
    cr_assert_eq(recognise(&stored, &candidates, &owned, &known, &error), BR_OK);
    cr_expect(known == NULL && owned == NULL, "another plan");
    commit(&stored, candidates.by_rules[0]->plan_hash, 0);
    cr_assert_eq(recognise(&stored, &candidates, &owned, &known, &error), BR_OK);
    cr_expect(known == candidates.by_rules[0] && owned == NULL);
    commit(&stored, candidates.by_rules[0]->plan_hash, BR_SEMANTICS + 1);
    cr_assert_eq(recognise(&stored, &candidates, &owned, &known, &error), BR_FATAL);
    cr_expect(strstr(error.message, "later build") != NULL, "%s", error.message);
    free_all(&candidates);
    close_stored(&stored);
}

Test(pipeline_text, and_by_those_of_each_build_in_between) {
    struct stored stored = open_stored();
    struct candidates candidates = bind_all(RECENT_WITHIN);
    struct br_pipeline *owned, *again = NULL;
    const struct br_pipeline *known, *of_1 = candidates.by_rules[1];
    struct br_error error;
    cr_assert(of_1 != NULL && of_1->rules == 1 && candidates.by_rules[BR_BINDING_RULES] == NULL);
    cr_assert_eq(br_pipeline_text_store(stored.log, of_1, &error), BR_OK, "%s", error.message);
    commit(&stored, of_1->plan_hash, 1);
    cr_assert_eq(recognise(&stored, &candidates, &owned, &known, &error), BR_OK);
    cr_expect(known == of_1 && owned == NULL);
    cr_assert_eq(br_pipeline_text_load(stored.log, "shop", of_1->plan_hash, &again, &error), BR_OK, "%s",
                 error.message);
    cr_assert_not_null(again);
    cr_expect(again->plan_hash == of_1->plan_hash && again->rules == 1 && !again->bound_otherwise);
    br_pipeline_destroy(&again);
    free_all(&candidates);
    close_stored(&stored);
}

Test(pipeline_text, a_text_that_is_the_logs_own_is_found_by_itself) {
    struct stored stored = open_stored();
    struct candidates candidates = bind_all(WINDOWED);
    const struct br_pipeline *newest = candidates.by_rules[BR_BINDING_RULES], *known;
    struct br_plan_changes changes = {.lateness_set = true, .lateness_us = 1000000};
    struct br_pipeline *patient = NULL, *owned = NULL;
    struct br_error error;
    cr_assert_eq(br_pipeline_change(newest, &changes, &patient, &error), BR_OK, "%s", error.message);
    cr_assert_neq(patient->plan_hash, newest->plan_hash);
    cr_assert_eq(br_pipeline_text_store(stored.log, patient, &error), BR_OK);
    commit(&stored, patient->plan_hash, 0);
    cr_assert_eq(recognise(&stored, &candidates, &owned, &known, &error), BR_OK);
    cr_assert(known != NULL && known == owned);
    cr_expect(known->lateness_set && known->plan_hash == patient->plan_hash && !known->bound_otherwise);
    br_pipeline_destroy(&owned);
    br_pipeline_destroy(&patient);

    // A build that folded a constant to other bits had another hash for it.
    Braid__V1__PipelineText text = BRAID__V1__PIPELINE_TEXT__INIT;
    text.name = (char *)"shop";
    text.path = (char *)"shop.sql";
    text.sql = (char *)WINDOWED;
    text.plan_hash = 78;
    char subject[100];
    br_pipeline_text_subject("shop", 78, subject, sizeof subject);
    publish(&stored, subject, &text.base);
    commit(&stored, 78, 0);
    cr_assert_eq(recognise(&stored, &candidates, &owned, &known, &error), BR_OK);
    cr_assert(known != NULL && known == owned);
    struct br_buffer words = {0};
    cr_expect(known->plan_hash == 78 && known->bound_otherwise);
    cr_expect(br_semantics_differ(known, BR_SEMANTICS, &words), "whatever the number says");
    br_buffer_free(&words);
    br_pipeline_destroy(&owned);
    free_all(&candidates);

    candidates = bind_all("CREATE TABLE t (b text); CREATE MATERIALIZED VIEW v AS SELECT b FROM t;");
    cr_assert_eq(recognise(&stored, &candidates, &owned, &known, &error), BR_OK);
    cr_expect(known == NULL && owned == NULL, "another file");
    free_all(&candidates);
    close_stored(&stored);
}

Test(pipeline_text, a_plan_of_a_later_build_is_refused_by_its_number) {
    struct stored stored = open_stored();
    struct br_pipeline *again = NULL;
    struct br_error error;
    Braid__V1__PipelineText text = BRAID__V1__PIPELINE_TEXT__INIT;
    text.name = (char *)"shop";
    text.sql = (char *)WINDOWED;
    text.plan_hash = 79;
    text.binding_rules = BR_BINDING_RULES + 1;
    char subject[100];
    br_pipeline_text_subject("shop", 79, subject, sizeof subject);
    publish(&stored, subject, &text.base);
    cr_assert_eq(br_pipeline_text_load(stored.log, "shop", 79, &again, &error), BR_FATAL);
    cr_expect(again == NULL);
    cr_expect(strstr(error.message, "later build") != NULL && strstr(error.message, "binding rules") != NULL, "%s",
              error.message);
    close_stored(&stored);
}
