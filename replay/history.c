// SPDX-License-Identifier: Apache-2.0
// What there is of a table's history, and the plain cases of reading it. See history.h; the reader is
// history_reader.c.
#include "replay/history_internal.h"

#include "processor/input.h"

#include <inttypes.h>

struct br_history {
    const struct br_pipeline *pipeline;
};

enum br_status br_history_create(const struct br_pipeline *pipeline, struct br_history **ret_history,
                                 struct br_error *error) {
    char folder[BR_ARCHIVE_PATH_SIZE];
    for (uint32_t t = 0; t < pipeline->table_count; t++)
        if (pipeline->tables[t].archive_path != NULL)
            BR_TRY(br_archive_folder(pipeline->tables[t].archive_path, pipeline->name, pipeline->tables[t].name,
                                     BR_SEGMENT_IMPORT, folder, error));
    *ret_history = br_calloc(1, sizeof **ret_history);
    (*ret_history)->pipeline = pipeline;
    return BR_OK;
}

void br_history_destroy(struct br_history **history) {
    free(*history);
    *history = NULL;
}

const struct br_pipeline *history_pipeline(const struct br_history *history) {
    return history->pipeline;
}

enum br_status history_list(const struct br_history *history, const struct br_table *table, enum br_segment_kind kind,
                            struct br_archive **ret_archive, struct br_error *error) {
    char folder[BR_ARCHIVE_PATH_SIZE];
    BR_TRY(br_archive_folder(table->archive_path, history->pipeline->name, table->name, kind, folder, error));
    return br_archive_open(folder, ret_archive, error);
}

// --- what there is

static void add_hole(struct br_history_extent *extent, uint64_t from, uint64_t to) {
    if (from <= to && extent->hole_count < BR_HISTORY_HOLES_MAX)
        extent->holes[extent->hole_count++] = (struct br_history_hole){from, to};
}

// Between archived sequences the stream may fill in from its first on.
static void add_gap(struct br_history_extent *extent, uint64_t from, uint64_t to) {
    bool in_stream = extent->stream_first != 0 && extent->stream_first <= to;
    add_hole(extent, from, !in_stream ? to : extent->stream_first - 1);
}

static enum br_status describe_import(const struct br_archive *import, struct br_history_extent *extent,
                                      struct br_error *error) {
    for (size_t i = 0; i < import->count; i++) {
        const struct br_segment_info *info = &import->segments[i].info;
        BR_TRY(br_archive_check_segment(import, i, NULL, NULL, error));
        if (info->from != extent->prehistory + 1)
            return br_error_set(error, BR_FATAL, "imported messages %" PRIu64 " to %" PRIu64 " are missing in %.600s",
                                extent->prehistory + 1, info->from - 1, import->folder);
        if (i == 0 || info->first_time.us < extent->prehistory_first.us)
            extent->prehistory_first.us = info->first_time.us;
        if (i == 0 || info->last_time.us > extent->prehistory_last.us)
            extent->prehistory_last.us = info->last_time.us;
        extent->prehistory = info->to;
        extent->prehistory_bytes += info->payload_bytes;
    }
    return BR_OK;
}

static enum br_status describe_archive(const struct br_archive *archive, const struct br_stream_info *stream,
                                       const char *filter, struct br_history_extent *extent, struct br_error *error) {
    if (archive->count == 0) // what the stream doesn't have is nowhere
        return br_archive_check_begin(archive, extent->stream_first, error);
    for (size_t i = 0; i < archive->count; i++) {
        const struct br_segment_info *info = &archive->segments[i].info;
        BR_TRY(br_archive_check_segment(archive, i, stream, filter, error));
        if (i != 0)
            add_gap(extent, extent->archive_last + 1, info->from - 1);
        else if (archive->begin != 0 && archive->begin < info->from)
            add_gap(extent, archive->begin, info->from - 1);
        if (info->messages != 0 && extent->archive_messages == 0)
            extent->archive_first_time = info->first_time;
        if (info->messages != 0)
            extent->archive_last_time = info->last_time;
        if (i == 0)
            extent->archive_first = archive->begin != 0 && archive->begin < info->from ? archive->begin : info->from;
        extent->archive_last = info->to;
        extent->archive_messages += info->messages;
        extent->archive_bytes += info->payload_bytes;
    }
    // Behind the archive the stream must go on at once.
    if (extent->archive_last != 0 && stream != NULL && stream->first_sequence > extent->archive_last + 1)
        add_hole(extent, extent->archive_last + 1, stream->first_sequence - 1);
    return BR_OK;
}

enum br_status br_history_describe(const struct br_history *history, const struct br_table *table,
                                   const struct br_stream_info *stream, struct br_history_extent *ret_extent,
                                   struct br_error *error) {
    struct br_history_extent extent = {0};
    struct br_archive *import = NULL, *archive = NULL;
    struct br_buffer BR_CLEANUP(br_buffer_free) filter = {0};
    br_input_filter(table, &filter);
    if (stream != NULL && stream->first_sequence <= stream->last_sequence) {
        extent.stream_first = stream->first_sequence;
        extent.stream_last = stream->last_sequence;
    }
    enum br_status status = BR_OK;
    if (table->archive_path != NULL) {
        status = history_list(history, table, BR_SEGMENT_IMPORT, &import, error);
        if (status == BR_OK)
            status = history_list(history, table, BR_SEGMENT_STREAM, &archive, error);
        if (status == BR_OK)
            status = describe_import(import, &extent, error);
        if (status == BR_OK)
            status = describe_archive(archive, stream, (const char *)filter.ptr, &extent, error);
    }
    br_archive_close(&import);
    br_archive_close(&archive);
    if (status == BR_OK)
        *ret_extent = extent;
    else
        br_error_context(error, "table %s", table->name);
    return status;
}

// --- reading

enum br_status br_history_open_input(void *context, struct br_log *log, const struct br_table *table,
                                     const struct br_stream_info *stream, uint64_t prehistory, uint64_t first_sequence,
                                     uint64_t stop_sequence, struct br_reader **ret_reader, struct br_error *error) {
    const struct br_history *history = context;
    struct br_buffer BR_CLEANUP(br_buffer_free) filter = {0};
    br_input_filter(table, &filter);
    if (table->archive_path != NULL)
        return history_reader_open(history, log, table, stream, (const char *)filter.ptr, prehistory, first_sequence,
                                   stop_sequence, ret_reader, error);
    if (prehistory == 0)
        return br_input_open(log, table, stream->name, first_sequence, stop_sequence, ret_reader, error);
    return br_error_set(error, BR_FATAL,
                        "table %s begins with %" PRIu64
                        " imported messages, but has no archive to read them from; set its archive",
                        table->name, prehistory);
}
