// SPDX-License-Identifier: Apache-2.0
// See import.h.
#include "replay/import.h"

#include "processor/expr/datetime.h"
#include "processor/input.h"
#include "processor/subject.h"

#include <inttypes.h>
#include <stdio.h>

#define CHUNK_EVENTS 2048 // that go through the gates together

struct kept {
    int64_t at_us;
    uint64_t offset; // in bytes: the subject, then the payload
    uint32_t payload_len, subject_len;
};

struct br_import {
    struct br_import_options options;
    struct br_input *input;
    struct br_events events;
    struct br_import_report report;
    // the chunk
    struct br_log_message messages[CHUNK_EVENTS];
    uint64_t lines[CHUNK_EVENTS];
    size_t offsets[CHUNK_EVENTS + 1]; // in chunk
    size_t count;
    struct br_buffer chunk;
    struct br_wall_time now;
    // what passed
    struct br_buffer bytes;
    struct kept *kept;
    size_t kept_count, kept_capacity;
};

enum br_status br_import_create(const struct br_import_options *options, struct br_import **ret_import,
                                struct br_error *error) {
    struct br_import *import = br_calloc(1, sizeof *import);
    import->options = *options;
    import->now = br_clock_system()->wall(br_clock_system());
    // Every column: the subject may need any of them.
    enum br_status status = br_input_create(options->table, true, &import->input, error);
    if (status == BR_OK)
        *ret_import = import;
    else
        br_import_destroy(&import);
    return status;
}

void br_import_destroy(struct br_import **import) {
    if (*import == NULL)
        return;
    br_input_destroy(&(*import)->input);
    free((*import)->events.list);
    br_buffer_free(&(*import)->chunk);
    br_buffer_free(&(*import)->bytes);
    free((*import)->kept);
    free(*import);
    *import = NULL;
}

// --- through the gates

static size_t index_of(const struct br_import *import, uint32_t origin) {
    return (size_t)(import->events.list[origin].message - import->messages);
}

static enum br_status reject(void *context, const struct br_table *table, uint32_t origin, const char *reason,
                             const char *detail, struct br_error *error) {
    struct br_import *import = context;
    (void)table;
    (void)error;
    import->report.rejected++;
    import->options.rejected(import->options.context, import->lines[index_of(import, origin)], reason, detail);
    return BR_OK;
}

static void keep(struct br_import *import, const struct br_batch *batch, uint32_t row) {
    const struct br_table *table = import->options.table;
    const struct br_log_message *message = &import->messages[index_of(import, br_batch_origin(batch, row))];
    if (import->kept_count == import->kept_capacity) {
        import->kept_capacity = import->kept_capacity == 0 ? 65536 : import->kept_capacity * 2;
        import->kept = br_realloc(import->kept, import->kept_capacity * sizeof *import->kept);
    }
    struct kept *kept = &import->kept[import->kept_count++];
    *kept = (struct kept){.at_us = import->options.at.us, .offset = import->bytes.len};
    if (table->event_time >= 0)
        kept->at_us = ((const int64_t *)batch->columns[table->event_time].values)[row];
    br_subject_format(table->subject, &table->row_type, batch, row, &import->bytes);
    for (size_t i = kept->offset; i < import->bytes.len; i++) // what the template leaves open
        if ((import->bytes.ptr[i] == '*' || import->bytes.ptr[i] == '>') &&
            (i == kept->offset || import->bytes.ptr[i - 1] == '.'))
            import->bytes.ptr[i] = 'x';
    kept->subject_len = (uint32_t)(import->bytes.len - kept->offset);
    kept->payload_len = (uint32_t)message->payload.len;
    br_buffer_append_slice(&import->bytes, message->payload);
    struct br_import_report *report = &import->report;
    report->first.us = report->accepted == 0 || kept->at_us < report->first.us ? kept->at_us : report->first.us;
    report->last.us = report->accepted == 0 || kept->at_us > report->last.us ? kept->at_us : report->last.us;
    report->accepted++;
}

static enum br_status take(void *context, const struct br_table *table, const struct br_batch *batch,
                           struct br_error *error) {
    (void)table;
    (void)error;
    for (uint32_t row = 0; row < batch->row_count; row++)
        keep(context, batch, row);
    return BR_OK;
}

static enum br_status run_chunk(struct br_import *import, struct br_error *error) {
    struct br_intake intake = {import, take, reject};
    struct br_event_time highest = {BR_EVENT_TIME_MIN};
    uint64_t rows = 0;
    for (size_t i = 0; i < import->count; i++)
        import->messages[i] = (struct br_log_message){
            .payload = {import->chunk.ptr + import->offsets[i], import->offsets[i + 1] - import->offsets[i]},
            .sequence = i + 1,
            .timestamp = import->now}; // what lies ahead of now is no history: the gate refuses it
    import->events.count = 0;
    BR_TRY(br_input_run(import->input, import->messages, import->count, import->now, &import->events, &intake, &highest,
                        &rows, error));
    import->count = 0;
    br_buffer_clear(&import->chunk);
    if (import->bytes.len > BR_IMPORT_BYTES_MAX)
        return br_error_set(error, BR_FATAL,
                            "more than %" PRIu64
                            " GiB of events: split the file by time, and import the oldest part first",
                            BR_IMPORT_BYTES_MAX >> 30);
    return BR_OK;
}

enum br_status br_import_add(struct br_import *import, struct br_slice event, uint64_t line, struct br_error *error) {
    if (event.len > UINT32_MAX / 2)
        return br_error_set(error, BR_FATAL, "event %" PRIu64 " is too large", line);
    import->lines[import->count] = line;
    if (import->options.table->layout == BR_LAYOUT_DELIMITED)
        br_buffer_append_varint(&import->chunk, event.len);
    br_buffer_append_slice(&import->chunk, event);
    import->offsets[++import->count] = import->chunk.len;
    return import->count == CHUNK_EVENTS ? run_chunk(import, error) : BR_OK;
}

enum br_status br_import_report(struct br_import *import, struct br_import_report *ret_report, struct br_error *error) {
    BR_TRY(run_chunk(import, error));
    *ret_report = import->report;
    return BR_OK;
}

// --- writing

// I2: of the same time, in the order of the file.
static int by_time(const void *a, const void *b) {
    const struct kept *one = a, *other = b;
    if (one->at_us != other->at_us)
        return one->at_us < other->at_us ? -1 : 1;
    return one->offset < other->offset ? -1 : one->offset > other->offset;
}

static const char *time_text(int64_t us, char text[64]) {
    text[br_timestamptz_print(us, true, text)] = '\0';
    return text;
}

static enum br_status check_times(const struct br_import *import, const struct br_archive *archive,
                                  struct br_wall_time stream_begins, struct br_error *error) {
    char own[64], theirs[64];
    const struct br_segment_info *last = archive->count == 0 ? NULL : &archive->segments[archive->count - 1].info;
    if (last != NULL && import->report.first.us < last->last_time.us)
        return br_error_set(error, BR_DATA,
                            "the file begins at %s, before the end of what was imported last (%s, to %s); import files "
                            "in the order of their times, or --force",
                            time_text(import->report.first.us, own), last->source,
                            time_text(last->last_time.us, theirs));
    if (import->report.last.us > stream_begins.us)
        return br_error_set(error, BR_DATA,
                            "the file ends at %s, after the stream's first message was stored (%s): the same events "
                            "may be in both; cut the file there, or --force",
                            time_text(import->report.last.us, own), time_text(stream_begins.us, theirs));
    return BR_OK;
}

static enum br_status check_archive(const struct br_archive *archive, uint64_t hash, struct br_error *error) {
    uint64_t next = 1;
    for (size_t i = 0; i < archive->count; i++) {
        const struct br_archive_segment *segment = &archive->segments[i];
        if (segment->damage != NULL)
            return br_error_set(error, BR_DATA, "%.900s", segment->damage);
        if (segment->info.from != next)
            return br_error_set(error, BR_DATA, "imported messages %" PRIu64 " to %" PRIu64 " are missing in %.700s",
                                next, segment->info.from - 1, archive->folder);
        if (segment->info.source_hash == hash)
            return br_error_set(error, BR_DATA, "it was imported before, as %s: messages %" PRIu64 " to %" PRIu64,
                                segment->info.source, segment->info.from, segment->info.to);
        next = segment->info.to + 1;
    }
    return BR_OK;
}

static enum br_status write_segment(struct br_import *import, const char *folder,
                                    const struct br_segment_info *identity, uint64_t from,
                                    struct br_segment_info *ret_info, struct br_error *error) {
    const struct br_table *table = import->options.table;
    struct br_segment_writer *writer = NULL;
    BR_TRY(br_segment_create(folder, identity, table->layout == BR_LAYOUT_DELIMITED, table->row_type.message, &writer,
                             error));
    for (size_t i = 0; i < import->kept_count; i++) {
        const struct kept *kept = &import->kept[i];
        const uint8_t *at = import->bytes.ptr + kept->offset;
        struct br_log_message message = {.subject = {at, kept->subject_len},
                                         .payload = {at + kept->subject_len, kept->payload_len},
                                         .sequence = from + i,
                                         .timestamp = {kept->at_us}};
        enum br_status status = br_segment_add(writer, &message, error);
        if (status != BR_OK) {
            br_segment_abandon(&writer);
            return status;
        }
    }
    return br_segment_seal(&writer, from, from + import->kept_count - 1, ret_info, error);
}

static enum br_status write_locked(struct br_import *import, const char *folder, const char *name, uint64_t hash,
                                   struct br_wall_time stream_begins, bool force, struct br_segment_info *ret_info,
                                   struct br_error *error) {
    struct br_archive *archive = NULL;
    struct br_segment_info identity = {.kind = BR_SEGMENT_IMPORT, .source_hash = hash, .created = import->now};
    snprintf(identity.pipeline, sizeof identity.pipeline, "%s", import->options.pipeline->name);
    snprintf(identity.table, sizeof identity.table, "%s", import->options.table->name);
    snprintf(identity.source, sizeof identity.source, "%s", name);
    BR_TRY(br_archive_open(folder, &archive, error));
    uint64_t from = archive->count == 0 ? 1 : archive->segments[archive->count - 1].info.to + 1;
    enum br_status status = check_archive(archive, hash, error);
    if (status == BR_OK && !force)
        status = check_times(import, archive, stream_begins, error);
    br_archive_close(&archive);
    if (status != BR_OK)
        return status;
    qsort(import->kept, import->kept_count, sizeof *import->kept, by_time);
    return write_segment(import, folder, &identity, from, ret_info, error);
}

enum br_status br_import_write(struct br_import *import, const char *name, uint64_t hash,
                               struct br_wall_time stream_begins, bool force, struct br_segment_info *ret_info,
                               struct br_error *error) {
    char folder[BR_ARCHIVE_PATH_SIZE];
    int lock;
    BR_CHECK(import->count == 0); // br_import_report was asked
    if (import->kept_count == 0)
        return br_error_set(error, BR_DATA, "there is nothing to import");
    BR_TRY(br_archive_folder(import->options.table->archive_path, import->options.pipeline->name,
                             import->options.table->name, BR_SEGMENT_IMPORT, folder, error));
    BR_TRY(br_archive_lock(folder, &lock, error));
    if (lock < 0)
        return br_error_set(error, BR_RETRY, "another import writes to %.900s", folder);
    enum br_status status = write_locked(import, folder, name, hash, stream_begins, force, ret_info, error);
    br_archive_unlock(&lock);
    return status;
}
