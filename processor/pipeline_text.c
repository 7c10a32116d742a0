// SPDX-License-Identifier: Apache-2.0
// See pipeline_text.h.
#include "processor/pipeline_text.h"

#include "braid/v1/pipeline.pb-c.h"
#include "processor/sql/sql.h"
#include "processor/task.h"

#include <inttypes.h>
#include <stdio.h>

#define HEADROOM_BYTES 4096 // of a message: its headers and subject

void br_pipeline_text_subject(const char *pipeline, uint64_t plan_hash, char *subject, size_t size) {
    snprintf(subject, size, "braid.%s.plan.%016" PRIx64, pipeline, plan_hash);
}

static struct br_slice pack(const struct br_pipeline *pipeline, struct br_arena *arena) {
    Braid__V1__PipelineText text = BRAID__V1__PIPELINE_TEXT__INIT;
    text.name = br_arena_strdup(arena, pipeline->name);
    text.plan_hash = pipeline->plan_hash;
    text.sql = br_arena_strdup(arena, pipeline->text);
    text.path = br_arena_strdup(arena, pipeline->path);
    text.lateness_set = pipeline->lateness_set;
    text.lateness_us = pipeline->lateness_us;
    text.binding_rules = pipeline->rules;
    text.n_descriptors = pipeline->descriptor_set_count;
    text.descriptors = br_arena_array(arena, ProtobufCBinaryData, text.n_descriptors + 1);
    for (size_t i = 0; i < text.n_descriptors; i++) {
        struct br_slice set = br_arena_copy(arena, pipeline->descriptor_sets[i]);
        text.descriptors[i] = (ProtobufCBinaryData){.len = set.len, .data = (uint8_t *)(uintptr_t)set.ptr};
    }
    text.fields =
        (ProtobufCBinaryData){.len = pipeline->fields.len, .data = (uint8_t *)(uintptr_t)pipeline->fields.ptr};
    size_t size = braid__v1__pipeline_text__get_packed_size(&text);
    uint8_t *bytes = br_arena_alloc(arena, size + 1);
    return (struct br_slice){bytes, braid__v1__pipeline_text__pack(&text, bytes)};
}

// Another worker may have been faster: then it is there too.
static enum br_status append(struct br_log *log, const char *stream, const char *subject, struct br_slice payload,
                             struct br_error *error) {
    struct br_log_message message = {.subject = br_slice_of(subject), .payload = payload};
    enum br_append_result result;
    uint64_t sequence;
    BR_TRY(br_log_append(log, stream, &message, 1, 0, error));
    BR_TRY(br_log_append_wait(log, &result, &sequence, error));
    if (result == BR_APPEND_UNKNOWN)
        return br_error_set(error, BR_RETRY, "it isn't known whether %s was stored", subject);
    return BR_OK;
}

enum br_status br_pipeline_text_store(struct br_log *log, const struct br_pipeline *pipeline, struct br_error *error) {
    char stream[256], subject[300];
    br_task_output_stream(pipeline->name, stream, sizeof stream);
    br_pipeline_text_subject(pipeline->name, pipeline->plan_hash, subject, sizeof subject);
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_log_message message;
    bool found;
    BR_TRY(br_log_last(log, stream, subject, &copy, &message, &found, error));
    if (found)
        return BR_OK;
    struct br_arena *arena = br_arena_create();
    struct br_slice payload = pack(pipeline, arena);
    enum br_status status;
    if (payload.len + HEADROOM_BYTES > br_log_payload_max(log))
        status = br_error_set(
            error, BR_DATA, "pipeline %s and its descriptors have %zu bytes, more than a message of this server holds",
            pipeline->name, payload.len);
    else
        status = append(log, stream, subject, payload, error);
    br_arena_destroy(&arena);
    return status;
}

// --- reading it back
static enum br_status bind(const Braid__V1__PipelineText *text, struct br_pipeline **ret_pipeline,
                           struct br_error *error) {
    struct br_slice *sets = br_calloc(text->n_descriptors + 1, sizeof *sets);
    for (size_t i = 0; i < text->n_descriptors; i++)
        sets[i] = (struct br_slice){text->descriptors[i].data, text->descriptors[i].len};
    struct br_plan_changes changes = {.lateness_set = text->lateness_set, .lateness_us = text->lateness_us};
    struct br_pipeline_options options = {.name = text->name,
                                          .descriptor_sets = sets,
                                          .descriptor_set_count = text->n_descriptors,
                                          .fields = {text->fields.data, text->fields.len},
                                          .stored = true,
                                          .rules = &text->binding_rules,
                                          .changes = &changes};
    struct br_diagnostics *diagnostics = br_diagnostics_create(text->path, text->sql);
    enum br_status status = br_pipeline_load(text->path, text->sql, &options, diagnostics, ret_pipeline, error);
    if (status != BR_OK && diagnostics->count != 0)
        status = br_error_set(error, BR_DATA, "the stored text of pipeline %s can't be planned any more: %s",
                              text->name, diagnostics->list[0].message);
    br_diagnostics_destroy(&diagnostics);
    free(sets);
    if (status == BR_OK && (*ret_pipeline)->plan_hash != text->plan_hash) {
        (*ret_pipeline)->plan_hash = text->plan_hash;
        (*ret_pipeline)->bound_otherwise = true;
    }
    return status;
}

static bool is_of_later_build(const Braid__V1__PipelineText *text, struct br_error *error) {
    if (text->binding_rules <= BR_BINDING_RULES)
        return false;
    br_error_set(error, BR_FATAL,
                 "plan %016" PRIx64
                 " of pipeline %s was made by a later build than this one (binding rules %u; this one "
                 "knows those up to %u): there is no way back to this build. Run that one, or a later one",
                 (uint64_t)text->plan_hash, text->name, text->binding_rules, BR_BINDING_RULES);
    return true;
}

enum br_status br_pipeline_text_load(struct br_log *log, const char *pipeline, uint64_t plan_hash,
                                     struct br_pipeline **ret_pipeline, struct br_error *error) {
    char stream[256], subject[300];
    br_task_output_stream(pipeline, stream, sizeof stream);
    br_pipeline_text_subject(pipeline, plan_hash, subject, sizeof subject);
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_log_message message;
    bool found;
    *ret_pipeline = NULL;
    BR_TRY(br_log_last(log, stream, subject, &copy, &message, &found, error));
    if (!found)
        return BR_OK;
    Braid__V1__PipelineText *text = braid__v1__pipeline_text__unpack(NULL, message.payload.len, message.payload.ptr);
    if (text == NULL)
        return br_error_set(error, BR_DATA, "what stands on %s is no pipeline's text", subject);
    enum br_status status = is_of_later_build(text, error) ? BR_FATAL : bind(text, ret_pipeline, error);
    braid__v1__pipeline_text__free_unpacked(text, NULL);
    return status;
}

enum br_status br_pipeline_text_of_owner(struct br_log *log, const char *pipeline, uint64_t *ret_hash,
                                         struct br_pipeline **ret_pipeline, struct br_error *error) {
    char stream[256];
    struct br_stream_info info;
    struct br_owner owner;
    *ret_hash = 0;
    *ret_pipeline = NULL;
    br_task_output_stream(pipeline, stream, sizeof stream);
    if (br_log_stream_info(log, stream, &info, error) == BR_FATAL)
        return BR_OK;
    BR_TRY(br_task_find_owner(log, pipeline, &owner, error));
    *ret_hash = owner.plan_hash;
    return *ret_hash == 0 ? BR_OK : br_pipeline_text_load(log, pipeline, *ret_hash, ret_pipeline, error);
}

// --- which plan a file is

static bool same_file(const struct br_pipeline *a, const struct br_pipeline *b) {
    bool same = strcmp(a->text, b->text) == 0 && br_slice_equal(a->fields, b->fields) &&
                a->descriptor_set_count == b->descriptor_set_count;
    for (uint32_t i = 0; same && i < a->descriptor_set_count; i++)
        same = br_slice_equal(a->descriptor_sets[i], b->descriptor_sets[i]);
    return same;
}

static const struct br_pipeline *any_of(const struct br_pipeline *const *candidates, size_t count) {
    for (size_t i = count; i-- > 0;)
        if (candidates[i] != NULL)
            return candidates[i];
    return NULL;
}

enum br_status br_pipeline_recognise(struct br_log *log, const struct br_pipeline *const *candidates, size_t count,
                                     struct br_pipeline **ret_owned, const struct br_pipeline **ret_known,
                                     struct br_error *error) {
    const struct br_pipeline *any = any_of(candidates, count);
    char stream[256];
    struct br_stream_info info;
    struct br_owner owner;
    *ret_owned = NULL;
    *ret_known = NULL;
    if (any == NULL)
        return BR_OK;
    br_task_output_stream(any->name, stream, sizeof stream);
    enum br_status status = br_log_stream_info(log, stream, &info, error);
    if (status != BR_OK)
        return status == BR_FATAL ? BR_OK : status; // there is no such stream
    BR_TRY(br_task_find_owner(log, any->name, &owner, error));
    for (size_t i = count; i-- > 0 && owner.plan_hash != 0;)
        if (candidates[i] != NULL && candidates[i]->plan_hash == owner.plan_hash) {
            *ret_known = candidates[i];
            return BR_OK;
        }
    if (owner.plan_hash == 0)
        return BR_OK;
    status = br_pipeline_text_load(log, any->name, owner.plan_hash, ret_owned, error);
    if (status == BR_DATA) // whatever it is, it isn't this file
        return BR_OK;
    BR_TRY(status);
    if (*ret_owned != NULL && same_file(*ret_owned, any))
        *ret_known = *ret_owned;
    else
        br_pipeline_destroy(ret_owned);
    return BR_OK;
}
