// SPDX-License-Identifier: Apache-2.0
// See sim.h.
#include "sim.h"

#include <stdio.h>

static void must(enum br_status status, const struct br_error *error) {
    if (status == BR_OK)
        return;
    printf("failed: %s\n", error->message);
    exit(1);
}

uint64_t sim_draw(uint64_t *random, uint64_t bound) {
    uint64_t z = *random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % bound;
}

struct br_pipeline *sim_load(const char *text, const char *name) {
    struct br_error error;
    struct br_pipeline *pipeline = NULL;
    struct br_pipeline_options options = {.name = name};
    struct br_diagnostics *diagnostics = br_diagnostics_create("sim.sql", text);
    if (br_pipeline_load("sim.sql", text, &options, diagnostics, &pipeline, &error) != BR_OK) {
        struct br_buffer out = {0};
        br_diagnostics_print(diagnostics, false, &out);
        printf("%.*s%s\n", (int)out.len, (const char *)out.ptr, error.message);
        exit(1);
    }
    br_diagnostics_destroy(&diagnostics);
    return pipeline;
}

struct br_store *sim_copy_store(struct br_store *store) {
    struct br_error error;
    struct br_store *copy = br_store_create_memory();
    struct br_store_batch *batch = br_store_batch_create(copy);
    struct br_store_iterator *iterator;
    struct br_slice key, value;
    must(br_store_scan(store, (struct br_slice){0}, (struct br_slice){0}, &iterator, &error), &error);
    while (br_store_iterator_next(iterator, &key, &value))
        br_store_batch_put(batch, key, value);
    br_store_iterator_destroy(&iterator);
    must(br_store_write(copy, batch, &error), &error);
    br_store_batch_destroy(&batch);
    return copy;
}

struct sim_oddity sim_draw_oddity(uint64_t *random) {
    struct sim_oddity oddity = {.shared = sim_draw(random, 3) == 0,
                                .trimmed = sim_draw(random, 4) == 0 ? 1 + (unsigned)sim_draw(random, 20) : 0,
                                .late_table = sim_draw(random, 3) == 0,
                                .goes_back = sim_draw(random, 4) == 0,
                                .old_disks = sim_draw(random, 3) == 0,
                                .jumps = sim_draw(random, 4) == 0,
                                .shown_max = sim_draw(random, 4) == 0 ? 2 + (uint32_t)sim_draw(random, 12) : 0};
    return oddity;
}

void sim_intrude(struct br_log *feeder, const char *subject, uint64_t choice) {
    static const struct br_log_header last = {{(const uint8_t *)"Braid-Last", 10}, {(const uint8_t *)"1", 1}};
    static const char *const payloads[] = {"", "{\"pipeline\":\"sim\",\"epoch\":7}", "\xff\xff", "\x08\x05", "+OK"};
    struct br_log_message message = {.subject = br_slice_of(subject),
                                     .payload = br_slice_of(payloads[choice % (sizeof payloads / sizeof *payloads)]),
                                     .headers = &last,
                                     .header_count = choice / 8 % 2};
    struct br_error ignored; // there is no output stream yet
    if (br_log_publish(feeder, &message, &ignored) != BR_OK)
        return;
}

// --- input streams

static void add_streams(struct sim_inputs *inputs) {
    static const char *const names[SIM_TABLES_MAX] = {"IN_0", "IN_1", "IN_2", "IN_3", "IN_4", "IN_5"};
    struct br_error error;
    inputs->stream_count = inputs->shared ? 1 : inputs->table_count;
    for (uint32_t s = 0; s < inputs->stream_count; s++) {
        inputs->streams[s] = names[s];
        const char *subject = inputs->shared ? "sim.>" : inputs->subjects[s];
        must(br_sim_add_stream(inputs->sim, names[s], &subject, 1, &error), &error);
    }
}

void sim_inputs_open(struct sim_inputs *inputs, struct br_sim *sim, struct br_log *feeder,
                     const struct br_pipeline *pipeline, uint32_t table_count, bool shared) {
    struct br_error error;
    *inputs = (struct sim_inputs){.sim = sim, .feeder = feeder, .table_count = table_count, .shared = shared};
    for (uint32_t t = 0; t < table_count; t++) {
        inputs->subjects[t] = pipeline->tables[t].subject;
        inputs->stream_of[t] = shared ? 0 : t;
        must(br_row_writer_create(&pipeline->tables[t].row_type, &inputs->writers[t], &error), &error);
    }
    add_streams(inputs);
}

void sim_inputs_close(struct sim_inputs *inputs) {
    for (uint32_t t = 0; t < inputs->table_count; t++)
        br_row_writer_destroy(&inputs->writers[t]);
    free(inputs->list);
}

static uint64_t last_sequence(const struct sim_inputs *inputs, uint32_t stream) {
    struct br_error error;
    struct br_stream_info info;
    must(br_log_stream_info(inputs->feeder, inputs->streams[stream], &info, &error), &error);
    return info.last_sequence;
}

static void publish(struct sim_inputs *inputs, uint32_t table, const struct br_log_message *message, int64_t tag) {
    struct br_error error;
    must(br_log_publish(inputs->feeder, message, &error), &error);
    if (inputs->count == inputs->capacity) {
        inputs->capacity = inputs->capacity * 2 + 64;
        inputs->list = br_realloc(inputs->list, inputs->capacity * sizeof *inputs->list);
    }
    uint32_t stream = inputs->stream_of[table];
    inputs->list[inputs->count++] = (struct sim_message){table, stream, last_sequence(inputs, stream), tag};
}

void sim_send(struct sim_inputs *inputs, uint32_t table, const char *json, bool deletes, int64_t tag) {
    struct br_error error;
    struct br_buffer payload = {0};
    struct br_log_header header = {br_slice_of("Braid-Op"), br_slice_of("delete")};
    br_row_writer_begin(inputs->writers[table]);
    must(br_row_writer_read_json(inputs->writers[table], br_slice_of(json), &error), &error);
    must(br_row_writer_append(inputs->writers[table], &payload, &error), &error);
    struct br_log_message message = {.subject = br_slice_of(inputs->subjects[table]),
                                     .payload = br_buffer_slice(&payload),
                                     .headers = &header,
                                     .header_count = deletes ? 1 : 0};
    publish(inputs, table, &message, tag);
    br_buffer_free(&payload);
}

void sim_send_bytes(struct sim_inputs *inputs, uint32_t table, struct br_slice payload, int64_t tag) {
    struct br_log_message message = {.subject = br_slice_of(inputs->subjects[table]), .payload = payload};
    publish(inputs, table, &message, tag);
}

void sim_send_other(struct sim_inputs *inputs) {
    struct br_error error;
    struct br_log_message message = {.subject = br_slice_of("sim.other"), .payload = br_slice_of("nobody's")};
    if (inputs->shared)
        must(br_log_publish(inputs->feeder, &message, &error), &error);
}

void sim_trim(struct sim_inputs *inputs) {
    for (uint32_t s = 0; s < inputs->stream_count; s++)
        br_sim_purge(inputs->sim, inputs->streams[s], last_sequence(inputs, s) + 1);
    inputs->count = 0;
}

void sim_go_back(struct sim_inputs *inputs, uint32_t stream, uint64_t count) {
    struct br_error error;
    struct br_stream_info info;
    must(br_log_stream_info(inputs->feeder, inputs->streams[stream], &info, &error), &error);
    uint64_t there = info.last_sequence + 1 - info.first_sequence;
    uint64_t last_kept = info.last_sequence - (count < there ? count : there);
    br_sim_forget_after(inputs->sim, inputs->streams[stream], last_kept);
    size_t kept = 0;
    for (size_t i = 0; i < inputs->count; i++)
        if (inputs->list[i].stream != stream || inputs->list[i].sequence <= last_kept)
            inputs->list[kept++] = inputs->list[i];
    inputs->count = kept;
}
