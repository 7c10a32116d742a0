// SPDX-License-Identifier: Apache-2.0
// Any bytes as a file of field numbers: it is refused in words, or gives a lock of which everything holds that
// pipelines lean on; written and read again it says the same. Then it is brought up to date for a pipeline, which binds
// with what comes of it.
#include "processor/sql/field_lock.h"
#include "processor/sql/sql.h"

static const char sql[] = "SET braid.fields = 'fuzz.fields';\n"
                          "CREATE TYPE old AS (id text, cents bigint);\n"
                          "CREATE TABLE t (id text, \"a b\" text, a_b numeric, at timestamptz, n integer);\n"
                          "CREATE MATERIALIZED VIEW v AS SELECT id, a_b, count(*) AS n FROM t GROUP BY id, a_b;\n";

static void check(const struct br_field_lock *lock) {
    for (uint32_t m = 0; m < lock->count; m++) {
        const struct br_locked_message *message = &lock->messages[m];
        BR_CHECK(br_field_lock_find(lock, message->name) == message);
        for (uint32_t i = 0; i < message->count; i++) {
            const struct br_locked_field *field = &message->fields[i];
            BR_CHECK(field->number != 0 && field->number < 1u << 29 &&
                     (field->number < 19000 || field->number > 19999));
            BR_CHECK(i == 0 || message->fields[i - 1].number < field->number);
            BR_CHECK(field->reserved || br_locked_field_find(message, field->column) == field);
        }
    }
}

static struct br_field_lock *parse(struct br_slice text, struct br_arena *arena) {
    struct br_field_lock *lock = NULL;
    struct br_error error = {.message = ""};
    enum br_status status = br_field_lock_parse(text, "fuzz.fields", arena, &lock, &error);
    BR_CHECK((status == BR_OK) == (lock != NULL));
    BR_CHECK(status == BR_OK || (status == BR_DATA && error.message[0] != '\0'));
    return lock;
}

static void load(struct br_slice fields, bool unlocked, struct br_pipeline **ret_pipeline) {
    struct br_diagnostics *diagnostics = br_diagnostics_create("fuzz.sql", sql);
    struct br_pipeline_options options = {.stored = true, .fields = fields, .unlocked = unlocked};
    struct br_error error;
    enum br_status status = br_pipeline_load("fuzz.sql", sql, &options, diagnostics, ret_pipeline, &error);
    BR_CHECK((status == BR_OK) == (diagnostics->error_count == 0));
    br_diagnostics_destroy(&diagnostics);
}

static void update(const struct br_field_lock *former, struct br_arena *arena) {
    struct br_pipeline *pipeline = NULL, *bound = NULL;
    struct br_field_lock *lock = NULL;
    struct br_buffer told = {0}, text = {0};
    struct br_error error;
    load((struct br_slice){0}, true, &pipeline);
    BR_CHECK(pipeline != NULL);
    if (br_field_lock_update(former, "fuzz.fields", pipeline, NULL, 0, arena, &lock, &told, &error) == BR_OK) {
        check(lock);
        for (uint32_t m = 0; m < former->count; m++) // no number is lost
            BR_CHECK(br_field_lock_find(lock, former->messages[m].name)->count >= former->messages[m].count);
        br_field_lock_print(lock, &text);
        load(br_buffer_slice(&text), false, &bound);
        BR_CHECK(bound != NULL);
    }
    br_pipeline_destroy(&bound);
    br_pipeline_destroy(&pipeline);
    br_buffer_free(&told);
    br_buffer_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct br_arena *arena = br_arena_create();
    struct br_pipeline *pipeline = NULL;
    struct br_field_lock *lock = parse((struct br_slice){data, size}, arena);
    if (lock != NULL) {
        struct br_buffer text = {0}, again = {0};
        check(lock);
        br_field_lock_print(lock, &text);
        struct br_field_lock *read = parse(br_buffer_slice(&text), arena);
        BR_CHECK(read != NULL);
        br_field_lock_print(read, &again);
        BR_CHECK(br_slice_equal(br_buffer_slice(&text), br_buffer_slice(&again)));
        update(lock, arena);
        br_buffer_free(&text);
        br_buffer_free(&again);
    }
    if (size != 0)
        load((struct br_slice){data, size}, false, &pipeline);
    br_pipeline_destroy(&pipeline);
    br_arena_destroy(&arena);
    return 0;
}
