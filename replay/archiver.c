// SPDX-License-Identifier: Apache-2.0
// See archiver.h. One copy per table, all in one thread:
//
//   CLOSED --open--> COPYING --error that passes--> CLOSED (with a pause)
//      └── error that doesn't (R3) ──> FAILED <──┘
#include "replay/archiver_internal.h"

#include "base/logging.h"
#include "processor/input.h"
#include "processor/log/trail.h"
#include "replay/retention.h"

#include <inttypes.h>
#include <stdio.h>

#define ROLL_US (60 * BR_US_PER_SECOND)
#define LOOK_US (5 * BR_US_PER_SECOND) // between two looks of the retention guard
#define PAUSE_US_MIN (BR_US_PER_SECOND / 4)
#define PAUSE_US_MAX (30 * BR_US_PER_SECOND)

enum copy_state { COPY_CLOSED, COPY_COPYING, COPY_FAILED };

struct copy {
    const struct br_table *table;
    char folder[BR_ARCHIVE_PATH_SIZE];
    struct br_buffer filter;
    enum copy_state state;
    int lock;
    struct br_stream_info stream;
    struct br_reader *reader;
    struct br_segment_writer *writer; // NULL: nothing taken since the last seal
    uint64_t from;                    // of the next segment
    uint64_t taken;                   // everything up to here is in the writer or sealed; from − 1: nothing
    int64_t begun_us;                 // monotonic: of the next segment
    int64_t looked_us;                // monotonic: of the retention guard
    int64_t not_before_us, pause_us;  // CLOSED
    char error[BR_ERROR_MESSAGE_SIZE], warning[BR_ERROR_MESSAGE_SIZE];
};

struct br_archiver {
    struct br_archiver_options options;
    struct br_log *log;
    struct copy *copies;
    size_t count;
    struct br_log_pace waits_pace;
};

static int64_t mono_us(const struct br_archiver *archiver) {
    return archiver->options.clock->mono(archiver->options.clock).us;
}

bool br_archiver_needed(const struct br_pipeline *pipeline) {
    for (uint32_t t = 0; t < pipeline->table_count; t++)
        if (pipeline->tables[t].archive_path != NULL)
            return true;
    return false;
}

// --- opening and closing

static void close_copy(struct copy *copy) {
    br_segment_abandon(&copy->writer);
    br_reader_close(&copy->reader);
    br_archive_unlock(&copy->lock);
    copy->state = COPY_CLOSED;
}

// R2, R3
static void give_up(struct br_archiver *archiver, struct copy *copy, enum br_status status,
                    const struct br_error *error) {
    close_copy(copy);
    int len = snprintf(copy->error, sizeof copy->error, "%s", error->message);
    if (error->native == BR_LOG_CHANGED && (size_t)len < sizeof copy->error)
        snprintf(copy->error + len, sizeof copy->error - (size_t)len,
                 "; move the archive %.400s away to begin a new one", copy->folder);
    if (status != BR_RETRY) {
        copy->state = COPY_FAILED;
        br_log_line(BR_LEVEL_ERROR, "archiving has stopped", BR_STR("table", copy->table->name),
                    BR_STR("why", copy->error));
        return;
    }
    copy->pause_us = copy->pause_us == 0 ? PAUSE_US_MIN : copy->pause_us * 2;
    copy->pause_us = copy->pause_us > PAUSE_US_MAX ? PAUSE_US_MAX : copy->pause_us;
    copy->not_before_us = mono_us(archiver) + copy->pause_us;
    br_log_paced(&archiver->waits_pace, BR_LEVEL_WARN, "archiving waits", BR_STR("table", copy->table->name),
                 BR_STR("why", error->message));
}

// The last message of a segment, so that it is known again in the stream. What is damaged says nothing here.
static void note_last(const struct br_archive *archive, size_t index, struct br_trail *trail) {
    struct br_segment_reader *reader = NULL;
    struct br_block block = {0};
    struct br_error ignored;
    bool found = true;
    if (br_archive_open_segment(archive, index, &reader, &ignored) != BR_OK)
        return;
    while (found && br_segment_next(reader, &block, &found, &ignored) == BR_OK)
        if (found && block.count != 0) {
            struct br_fingerprint last = br_fingerprint_of(&block.messages[block.count - 1]);
            br_trail_add(trail, &last);
        }
    br_block_free(&block);
    br_segment_close(&reader);
}

// What the stream must still hold if it is the one that was archived (trail.h).
static void find_trail(const struct br_archive *archive, struct br_trail *ret_trail) {
    size_t index = archive->count;
    while (index > 0 && archive->segments[index - 1].info.messages == 0)
        index--;
    *ret_trail = (struct br_trail){.youngest_us = BR_TRAIL_YOUNGEST_UNKNOWN};
    if (index != 0)
        note_last(archive, index - 1, ret_trail);
    uint64_t begin = archive->count == 0 ? 0 : archive->segments[0].info.from - 1;
    uint64_t last = index == 0 ? begin : archive->segments[index - 1].info.last;
    ret_trail->read_to = last > ret_trail->read_to ? last : ret_trail->read_to;
}

// Where to go on (R1). *ret_to 0: nothing is archived yet.
static enum br_status find_position(const struct copy *copy, uint64_t *ret_to, struct br_trail *ret_trail,
                                    struct br_error *error) {
    struct br_archive *archive = NULL;
    BR_TRY(br_archive_open(copy->folder, &archive, error));
    enum br_status status = BR_OK;
    size_t count = archive->count;
    if (count != 0)
        status = br_archive_check_segment(archive, count - 1, &copy->stream, (const char *)copy->filter.ptr, error);
    *ret_to = count == 0 ? 0 : archive->segments[count - 1].info.to;
    if (status == BR_OK)
        find_trail(archive, ret_trail);
    br_archive_close(&archive);
    return status;
}

static enum br_status open_copy(struct br_archiver *archiver, struct copy *copy, struct br_error *error) {
    uint64_t to = 0;
    struct br_trail trail;
    const char *filter = (const char *)copy->filter.ptr;
    BR_TRY(br_archive_lock(copy->folder, &copy->lock, error));
    if (copy->lock < 0)
        return br_error_set(error, BR_RETRY, "another process archives to %.900s", copy->folder);
    if (br_input_find_stream(archiver->log, copy->table, &copy->stream, error) != BR_OK)
        return BR_RETRY; // it may be made yet
    BR_TRY(find_position(copy, &to, &trail, error));
    // A first archive begins where the stream begins; from there on nothing may be lost.
    copy->from = to != 0 ? to + 1 : copy->stream.first_sequence > 1 ? copy->stream.first_sequence : 1;
    copy->taken = copy->from - 1;
    enum br_status status =
        br_reader_open(archiver->log, copy->stream.name, filter, copy->from, 0, &copy->reader, error);
    struct br_stream_info now;
    if (to == 0 && status == BR_FATAL)
        return BR_RETRY; // the beginning has moved meanwhile
    BR_TRY(status);
    if (to == 0) {
        BR_TRY(br_log_stream_info(archiver->log, copy->stream.name, &now, error));
        if (now.first_sequence > copy->from)
            return br_error_set(error, BR_RETRY, "stream %s drops its oldest messages", copy->stream.name);
    }
    trail.read_to = to == 0 ? copy->taken : trail.read_to;
    br_reader_prove(copy->reader, &trail);
    copy->state = COPY_COPYING;
    copy->begun_us = mono_us(archiver);
    copy->error[0] = '\0';
    br_log_line(BR_LEVEL_INFO, "archiving", BR_STR("table", copy->table->name), BR_STR("folder", copy->folder),
                BR_INT("from", copy->from));
    return BR_OK;
}

// --- copying

static struct br_segment_info identity_of(const struct br_archiver *archiver, const struct copy *copy) {
    struct br_segment_info identity = {.kind = BR_SEGMENT_STREAM, .created = copy->stream.created};
    snprintf(identity.pipeline, sizeof identity.pipeline, "%s", archiver->options.pipeline->name);
    snprintf(identity.table, sizeof identity.table, "%s", copy->table->name);
    snprintf(identity.source, sizeof identity.source, "%s", copy->stream.name);
    snprintf(identity.subject, sizeof identity.subject, "%s", (const char *)copy->filter.ptr);
    return identity;
}

static bool is_framed(const struct copy *copy) {
    return copy->table->layout == BR_LAYOUT_DELIMITED;
}

static enum br_status begin_segment(const struct br_archiver *archiver, struct copy *copy, struct br_error *error) {
    struct br_segment_info identity = identity_of(archiver, copy);
    return br_segment_create(copy->folder, &identity, is_framed(copy), copy->table->row_type.message, &copy->writer,
                             error);
}

static enum br_status seal(struct br_archiver *archiver, struct copy *copy, struct br_error *error) {
    struct br_segment_info info;
    if (copy->writer == NULL)
        BR_TRY(begin_segment(archiver, copy, error));
    BR_TRY(br_segment_seal(&copy->writer, copy->from, copy->taken, &info, error));
    BR_TRY(br_archive_note_begin(copy->folder, error));
    copy->from = info.to + 1;
    copy->begun_us = mono_us(archiver);
    copy->pause_us = 0;
    enum br_status status = br_archive_merge(copy->folder, archiver->options.segment_bytes, is_framed(copy),
                                             copy->table->row_type.message, error);
    if (status == BR_DATA) // what is archived is damaged; all the more should what comes be kept
        br_log_line(BR_LEVEL_ERROR, "an archived segment is damaged", BR_STR("table", copy->table->name),
                    BR_STR("what", error->message));
    else
        BR_TRY(status);
    if (copy->table->archive_retention_us == 0 && copy->table->archive_bytes_max == 0)
        return BR_OK;
    struct br_wall_time oldest = {INT64_MIN};
    size_t removed;
    if (copy->table->archive_retention_us != 0)
        oldest.us = archiver->options.clock->wall(archiver->options.clock).us - copy->table->archive_retention_us;
    BR_TRY(br_archive_retain(copy->folder, oldest, copy->table->archive_bytes_max, &removed, error));
    if (removed != 0)
        br_log_line(BR_LEVEL_INFO, "old segments removed", BR_STR("table", copy->table->name),
                    BR_INT("segments", removed));
    return BR_OK;
}

static enum br_status copy_messages(struct br_archiver *archiver, struct copy *copy, bool *ret_worked,
                                    struct br_error *error) {
    const struct br_log_message *messages;
    size_t count, taken = 0;
    BR_TRY(br_reader_peek(copy->reader, &messages, &count, error));
    for (; taken < count; taken++) {
        if (copy->writer == NULL)
            BR_TRY(begin_segment(archiver, copy, error));
        BR_TRY(br_segment_add(copy->writer, &messages[taken], error));
        copy->taken = messages[taken].sequence;
        if (br_segment_so_far(copy->writer)->payload_bytes >= archiver->options.segment_bytes)
            BR_TRY(seal(archiver, copy, error));
    }
    br_reader_consume(copy->reader, taken);
    br_reader_release(copy->reader);
    // What follows the last message and isn't ours.
    if (br_reader_caught_up(copy->reader) && br_reader_covered(copy->reader) > copy->taken)
        copy->taken = br_reader_covered(copy->reader);
    *ret_worked |= count != 0;
    return BR_OK;
}

static void warn(struct br_archiver *archiver, struct copy *copy) {
    struct br_buffer BR_CLEANUP(br_buffer_free) warning = {0};
    struct br_error ignored;
    char who[300];
    snprintf(who, sizeof who, "the archive of table %.250s", copy->table->name);
    if (br_retention_check(archiver->log, copy->stream.name, copy->from, who,
                           archiver->options.clock->wall(archiver->options.clock), &warning, &ignored) != BR_OK)
        return;
    br_buffer_append_byte(&warning, '\0');
    bool told = copy->warning[0] != '\0';
    snprintf(copy->warning, sizeof copy->warning, "%s", (const char *)warning.ptr);
    if (copy->warning[0] != '\0' && !told) // the status shows it as long as it is so
        br_log_line(BR_LEVEL_WARN, "retention", BR_STR("table", copy->table->name), BR_STR("what", copy->warning));
}

static bool step_copy(struct br_archiver *archiver, struct copy *copy) {
    struct br_error error;
    enum br_status status = BR_OK;
    bool worked = false;
    if (copy->state == COPY_FAILED || (copy->state == COPY_CLOSED && mono_us(archiver) < copy->not_before_us))
        return false;
    if (copy->state == COPY_CLOSED) {
        status = open_copy(archiver, copy, &error);
        worked = status == BR_OK;
    }
    if (status == BR_OK)
        status = copy_messages(archiver, copy, &worked, &error);
    if (status == BR_OK && mono_us(archiver) - copy->looked_us >= LOOK_US) {
        copy->looked_us = mono_us(archiver);
        warn(archiver, copy);
    }
    if (status == BR_OK && mono_us(archiver) - copy->begun_us >= archiver->options.roll_us) {
        copy->begun_us = mono_us(archiver);
        if (copy->taken >= copy->from)
            status = seal(archiver, copy, &error);
    }
    if (status != BR_OK)
        give_up(archiver, copy, status, &error);
    return worked;
}

bool br_archiver_step(struct br_archiver *archiver) {
    bool worked = false;
    for (size_t i = 0; i < archiver->count; i++)
        worked |= step_copy(archiver, &archiver->copies[i]);
    return worked;
}

void br_archiver_finish(struct br_archiver *archiver) {
    for (size_t i = 0; i < archiver->count; i++) {
        struct copy *copy = &archiver->copies[i];
        struct br_error error;
        if (copy->state != COPY_COPYING || copy->taken < copy->from)
            continue;
        enum br_status status = seal(archiver, copy, &error);
        if (status != BR_OK)
            give_up(archiver, copy, status, &error);
    }
}

// --- life

struct br_archiver *br_archiver_create(const struct br_archiver_options *options, struct br_log *log) {
    const struct br_pipeline *pipeline = options->pipeline;
    struct br_archiver *archiver = br_calloc(1, sizeof *archiver);
    archiver->options = *options;
    archiver->log = log;
    if (archiver->options.clock == NULL)
        archiver->options.clock = br_clock_system();
    if (archiver->options.roll_us == 0)
        archiver->options.roll_us = ROLL_US;
    if (archiver->options.segment_bytes == 0)
        archiver->options.segment_bytes = BR_ARCHIVE_SEGMENT_BYTES;
    archiver->copies = br_calloc(pipeline->table_count + 1, sizeof *archiver->copies);
    for (uint32_t t = 0; t < pipeline->table_count; t++) {
        struct copy *copy = &archiver->copies[archiver->count];
        struct br_error error;
        if (pipeline->tables[t].archive_path == NULL)
            continue;
        archiver->count++;
        copy->table = &pipeline->tables[t];
        copy->lock = -1;
        br_input_filter(copy->table, &copy->filter);
        enum br_status status = br_archive_folder(copy->table->archive_path, pipeline->name, copy->table->name,
                                                  BR_SEGMENT_STREAM, copy->folder, &error);
        if (status != BR_OK)
            give_up(archiver, copy, status, &error);
    }
    return archiver;
}

void br_archiver_destroy(struct br_archiver **archiver) {
    if (*archiver == NULL)
        return;
    for (size_t i = 0; i < (*archiver)->count; i++) {
        close_copy(&(*archiver)->copies[i]);
        br_buffer_free(&(*archiver)->copies[i].filter);
    }
    free((*archiver)->copies);
    free(*archiver);
    *archiver = NULL;
}

// --- status

void archiver_status(const struct br_archiver *archiver, struct br_buffer *out) {
    br_buffer_append_text(out, ",\"archives\":[");
    for (size_t i = 0; i < archiver->count; i++) {
        const struct copy *copy = &archiver->copies[i];
        br_buffer_append_text(out, i == 0 ? "{\"table\":" : ",{\"table\":");
        br_json_append_string(br_slice_of(copy->table->name), out);
        br_buffer_printf(out, ",\"to\":%" PRIu64, copy->from == 0 ? 0 : copy->from - 1);
        if (copy->error[0] != '\0') {
            br_buffer_append_text(out, ",\"error\":");
            br_json_append_string(br_slice_of(copy->error), out);
        }
        br_buffer_append_byte(out, '}');
    }
    br_buffer_append_text(out, "],\"warnings\":[");
    for (size_t i = 0, shown = 0; i < archiver->count; i++) {
        const struct copy *copy = &archiver->copies[i];
        const char *text = copy->state == COPY_FAILED ? copy->error : copy->warning;
        if (text[0] == '\0')
            continue;
        br_buffer_append_text(out, shown++ == 0 ? "" : ",");
        br_json_append_string(br_slice_of(text), out);
    }
    br_buffer_append_byte(out, ']');
}
