// SPDX-License-Identifier: Apache-2.0
// See plan_history.h.
#include "replay/plan_history.h"

#include "processor/sql/sql.h"
#include "replay/columns.h"
#include "replay/history_internal.h"

static enum br_status describe(void *context, const char *table_name, const struct br_stream_info *stream,
                               struct br_arena *arena, struct br_history_facts *ret_facts, struct br_error *error) {
    const struct br_history *history = context;
    const struct br_table *table = br_pipeline_find_table(history_pipeline(history), table_name);
    struct br_history_extent extent;
    *ret_facts = (struct br_history_facts){0};
    if (table == NULL)
        return BR_OK;
    BR_TRY(br_history_describe(history, table, stream, &extent, error));
    struct br_history_range *missing = br_arena_array(arena, struct br_history_range, extent.hole_count + 1);
    size_t count = 0;
    for (size_t i = 0; i < extent.hole_count; i++) // what lies between archive and stream the plan sees for itself
        if (extent.holes[i].to <= extent.archive_last)
            missing[count++] = (struct br_history_range){extent.holes[i].from, extent.holes[i].to};
    *ret_facts = (struct br_history_facts){.prehistory = extent.prehistory,
                                           .prehistory_bytes = extent.prehistory_bytes,
                                           .archived_first = extent.archive_first,
                                           .archived_last = extent.archive_last,
                                           .archived_messages = extent.archive_messages,
                                           .archived_bytes = extent.archive_bytes,
                                           .missing = missing,
                                           .missing_count = count};
    return BR_OK;
}

// --- times

static enum br_status find_in_segment(const struct br_archive *archive, size_t index, struct br_wall_time time,
                                      uint64_t *ret_sequence, struct br_error *error) {
    struct br_segment_reader *reader;
    struct br_block block = {0};
    bool more = true;
    BR_TRY(br_archive_open_segment(archive, index, &reader, error));
    enum br_status status = BR_OK;
    while (status == BR_OK && more && *ret_sequence == 0) {
        status = br_segment_next(reader, &block, &more, error);
        for (size_t i = 0; status == BR_OK && more && i < block.count && *ret_sequence == 0; i++)
            if (block.messages[i].timestamp.us >= time.us)
                *ret_sequence = block.messages[i].sequence;
    }
    br_block_free(&block);
    br_segment_close(&reader);
    return status;
}

// Reads one segment at most: headers tell which.
static enum br_status find_in_archive(const struct br_history *history, const struct br_table *table,
                                      enum br_segment_kind kind, struct br_wall_time time, uint64_t *ret_last,
                                      uint64_t *ret_sequence, struct br_error *error) {
    struct br_archive *archive;
    BR_TRY(history_list(history, table, kind, &archive, error));
    *ret_last = archive->count == 0 ? 0 : archive->segments[archive->count - 1].info.to;
    enum br_status status = BR_OK;
    for (size_t i = 0; i < archive->count && status == BR_OK && *ret_sequence == 0; i++) {
        const struct br_segment_info *info = &archive->segments[i].info;
        if (archive->segments[i].damage == NULL && info->messages != 0 && info->last_time.us >= time.us)
            status = find_in_segment(archive, i, time, ret_sequence, error);
    }
    br_archive_close(&archive);
    return status;
}

static enum br_status sequence_at(void *context, const char *table_name, struct br_wall_time time,
                                  uint64_t *ret_sequence, struct br_error *error) {
    const struct br_history *history = context;
    const struct br_table *table = br_pipeline_find_table(history_pipeline(history), table_name);
    uint64_t prehistory, last;
    *ret_sequence = 0;
    if (table == NULL || table->archive_path == NULL)
        return BR_OK;
    BR_TRY(find_in_archive(history, table, BR_SEGMENT_IMPORT, time, &prehistory, ret_sequence, error));
    if (*ret_sequence != 0)
        return BR_OK;
    BR_TRY(find_in_archive(history, table, BR_SEGMENT_STREAM, time, &last, ret_sequence, error));
    if (*ret_sequence != 0)
        *ret_sequence += prehistory;
    return BR_OK;
}

struct br_history_source br_plan_history(struct br_history *history) {
    return (struct br_history_source){.context = history, .describe = describe, .sequence_at = sequence_at};
}
