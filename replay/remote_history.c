// SPDX-License-Identifier: Apache-2.0
// See remote_history.h.
#include "replay/remote_history.h"

#include "processor/pipeline_text.h"
#include "processor/sql/sql.h"
#include "processor/task.h"
#include "replay/plan_history.h"
#include "replay/selection.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ASK_US INT64_C(10000000)

static void subject_of(const char *pipeline, char *subject, size_t size) {
    br_task_service_subject(pipeline, "history", subject, size);
}

// --- the worker's end

void br_remote_history_serve(struct br_control *control, const char *pipeline, struct br_requests *requests) {
    char subject[320];
    subject_of(pipeline, subject, sizeof subject);
    br_control_serve(control, subject, requests, 0);
}

// The pipeline that is asked about: of the text, else the one that runs.
static enum br_status load(struct br_log *log, const char *name, Braid__V1__HistoryQuestion *question,
                           struct br_pipeline **ret_pipeline, struct br_error *error) {
    uint64_t hash;
    if (question->job != NULL && question->job->sql[0] != '\0') {
        question->job->pipeline = (char *)name;
        enum br_status status = br_selection_load(question->job, ret_pipeline, error);
        question->job->pipeline = NULL; // not the message's to free
        return status;
    }
    BR_TRY(br_pipeline_text_of_owner(log, name, &hash, ret_pipeline, error));
    if (*ret_pipeline == NULL)
        return br_error_set(error, BR_FATAL, "the text of pipeline %s isn't stored beside its commits", name);
    return BR_OK;
}

static void put_facts(const struct br_history_facts *facts, struct br_arena *arena, Braid__V1__HistoryAnswer *answer) {
    answer->prehistory = facts->prehistory;
    answer->prehistory_bytes = facts->prehistory_bytes;
    answer->archived_first = facts->archived_first;
    answer->archived_last = facts->archived_last;
    answer->archived_messages = facts->archived_messages;
    answer->archived_bytes = facts->archived_bytes;
    answer->n_missing_first = answer->n_missing_last = facts->missing_count;
    answer->missing_first = br_arena_array(arena, uint64_t, facts->missing_count + 1);
    answer->missing_last = br_arena_array(arena, uint64_t, facts->missing_count + 1);
    for (size_t i = 0; i < facts->missing_count; i++) {
        answer->missing_first[i] = facts->missing[i].first;
        answer->missing_last[i] = facts->missing[i].last;
    }
}

static enum br_status look(struct br_log *log, struct br_history *history, const Braid__V1__HistoryQuestion *question,
                           struct br_arena *arena, Braid__V1__HistoryAnswer *answer, struct br_error *error) {
    struct br_history_source source = br_plan_history(history);
    if (question->asks_time)
        return source.sequence_at(source.context, question->table, (struct br_wall_time){question->time_us},
                                  &answer->sequence, error);
    struct br_history_facts facts;
    struct br_stream_info stream;
    BR_TRY(br_log_stream_info(log, question->stream, &stream, error));
    BR_TRY(source.describe(source.context, question->table, &stream, arena, &facts, error));
    put_facts(&facts, arena, answer);
    return BR_OK;
}

static enum br_status find_answer(struct br_log *log, const char *name, struct br_slice payload, struct br_arena *arena,
                                  Braid__V1__HistoryAnswer *answer, struct br_error *error) {
    struct br_pipeline *pipeline = NULL;
    struct br_history *history = NULL;
    Braid__V1__HistoryQuestion *question = braid__v1__history_question__unpack(NULL, payload.len, payload.ptr);
    if (question == NULL)
        return br_error_set(error, BR_DATA, "it isn't a braid.v1.HistoryQuestion");
    enum br_status status = load(log, name, question, &pipeline, error);
    if (status == BR_OK)
        status = br_history_create(pipeline, &history, error);
    if (status == BR_OK)
        status = look(log, history, question, arena, answer, error);
    br_history_destroy(&history);
    br_pipeline_destroy(&pipeline);
    braid__v1__history_question__free_unpacked(question, NULL);
    return status;
}

void br_remote_history_answer(struct br_requests *requests, struct br_log *log, const char *pipeline) {
    const struct br_clock *clock = br_clock_system();
    struct br_request request;
    while (br_requests_take(requests, BR_REQUESTS_ALL, clock->mono(clock), &request)) {
        struct br_arena *arena = br_arena_create();
        struct br_buffer BR_CLEANUP(br_buffer_free) bytes = {0};
        struct br_error error;
        Braid__V1__HistoryAnswer answer;
        char host[64] = "";
        braid__v1__history_answer__init(&answer);
        gethostname(host, sizeof host - 1);
        answer.host = host;
        if (find_answer(log, pipeline, request.payload, arena, &answer, &error) != BR_OK)
            answer.error = error.message;
        bytes.len = braid__v1__history_answer__pack(
            &answer, br_buffer_reserve(&bytes, braid__v1__history_answer__get_packed_size(&answer)));
        // An answer that can't be sent is the asker's loss.
        enum br_status status = br_requests_answer(&request, br_buffer_slice(&bytes), true, &error);
        (void)status;
        br_arena_destroy(&arena);
    }
}

// --- the asker's end

static enum br_status take_part(void *context, struct br_slice part, struct br_error *error) {
    (void)error;
    br_buffer_append_slice(context, part);
    return BR_OK;
}

// *ret_answer NULL: nobody answers.
static enum br_status ask(struct br_remote_history *remote, Braid__V1__HistoryQuestion *question,
                          Braid__V1__HistoryAnswer **ret_answer, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) bytes = {0}, reply = {0};
    char subject[320];
    *ret_answer = NULL;
    if (remote->nobody)
        return BR_OK;
    question->job = (Braid__V1__ReplayJob *)remote->job;
    bytes.len = braid__v1__history_question__pack(
        question, br_buffer_reserve(&bytes, braid__v1__history_question__get_packed_size(question)));
    subject_of(remote->pipeline, subject, sizeof subject);
    remote->nobody = br_control_request(remote->control, subject, br_buffer_slice(&bytes), ASK_US, take_part, &reply,
                                        error) != BR_OK;
    if (remote->nobody)
        return BR_OK;
    Braid__V1__HistoryAnswer *answer = braid__v1__history_answer__unpack(NULL, reply.len, reply.ptr);
    if (answer == NULL)
        return br_error_set(error, BR_FATAL, "the worker's answer about table %s can't be read", question->table);
    if (answer->error[0] != '\0') {
        br_error_set(error, BR_DATA, "table %s, on the worker's machine (%s): %s", question->table, answer->host,
                     answer->error);
        braid__v1__history_answer__free_unpacked(answer, NULL);
        return BR_DATA;
    }
    *ret_answer = answer;
    return BR_OK;
}

static void take_facts(const Braid__V1__HistoryAnswer *answer, struct br_arena *arena,
                       struct br_history_facts *ret_facts) {
    size_t count = answer->n_missing_first < answer->n_missing_last ? answer->n_missing_first : answer->n_missing_last;
    struct br_history_range *missing = br_arena_array(arena, struct br_history_range, count + 1);
    for (size_t i = 0; i < count; i++)
        missing[i] = (struct br_history_range){answer->missing_first[i], answer->missing_last[i]};
    *ret_facts = (struct br_history_facts){.prehistory = answer->prehistory,
                                           .prehistory_bytes = answer->prehistory_bytes,
                                           .archived_first = answer->archived_first,
                                           .archived_last = answer->archived_last,
                                           .archived_messages = answer->archived_messages,
                                           .archived_bytes = answer->archived_bytes,
                                           .missing = missing,
                                           .missing_count = count};
}

static enum br_status describe(void *context, const char *table, const struct br_stream_info *stream,
                               struct br_arena *arena, struct br_history_facts *ret_facts, struct br_error *error) {
    struct br_remote_history *remote = context;
    Braid__V1__HistoryQuestion question;
    Braid__V1__HistoryAnswer *answer;
    braid__v1__history_question__init(&question);
    question.table = (char *)table;
    question.stream = (char *)stream->name;
    BR_TRY(ask(remote, &question, &answer, error));
    if (answer == NULL)
        return remote->otherwise->describe(remote->otherwise->context, table, stream, arena, ret_facts, error);
    take_facts(answer, arena, ret_facts);
    braid__v1__history_answer__free_unpacked(answer, NULL);
    return BR_OK;
}

static enum br_status sequence_at(void *context, const char *table, struct br_wall_time time, uint64_t *ret_sequence,
                                  struct br_error *error) {
    struct br_remote_history *remote = context;
    Braid__V1__HistoryQuestion question;
    Braid__V1__HistoryAnswer *answer;
    braid__v1__history_question__init(&question);
    question.table = (char *)table;
    question.asks_time = true;
    question.time_us = time.us;
    BR_TRY(ask(remote, &question, &answer, error));
    if (answer == NULL)
        return remote->otherwise->sequence_at(remote->otherwise->context, table, time, ret_sequence, error);
    *ret_sequence = answer->sequence;
    braid__v1__history_answer__free_unpacked(answer, NULL);
    return BR_OK;
}

struct br_history_source br_remote_history_source(struct br_remote_history *remote) {
    return (struct br_history_source){.context = remote, .describe = describe, .sequence_at = sequence_at};
}
