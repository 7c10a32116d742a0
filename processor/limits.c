// SPDX-License-Identifier: Apache-2.0
// See limits.h.
#include "processor/limits.h"

#include "processor/input.h"

#include <inttypes.h>

static const char copy_of_it[] = "read a copy of it: make a stream that has it as its source, and name that one in the "
                                 "table's options (stream = '…')";

static void put_bounds(const struct br_stream_info *stream, struct br_buffer *text) {
    const char *between = "";
    if (stream->max_age_us != 0) {
        br_buffer_printf(text, "after %" PRId64 " s", stream->max_age_us / BR_US_PER_SECOND);
        between = ", ";
    }
    if (stream->max_messages != 0) {
        br_buffer_printf(text, "%sbeyond %" PRIu64 " messages", between, stream->max_messages);
        between = ", ";
    }
    if (stream->max_bytes != 0)
        br_buffer_printf(text, "%sbeyond %" PRIu64 " bytes", between, stream->max_bytes);
}

static enum br_limits describe(const struct br_table *table, const struct br_stream_info *stream,
                               struct br_buffer *text) {
    const char *name = stream->name;
    if (stream->retention == BR_RETENTION_WORK_QUEUE) {
        br_buffer_printf(text,
                         "stream %s is a work queue: who reads it takes the messages away from all others, and nothing "
                         "of it can be recovered; %s",
                         name, copy_of_it);
        return BR_LIMITS_REFUSED;
    }
    if (stream->retention == BR_RETENTION_INTEREST) {
        br_buffer_printf(text,
                         "stream %s keeps a message only until its consumers have had it (retention interest): what "
                         "comes while the worker is away is lost, and state can't be recovered from it; %s",
                         name, copy_of_it);
        return BR_LIMITS_WARNING;
    }
    if (stream->max_per_subject != 0) {
        br_buffer_printf(text,
                         "stream %s keeps the newest %" PRIu64 " of each subject: %s. State that is lost with this "
                         "machine, or by a kill within seconds after a change, can't be recovered from it where "
                         "messages were replaced since: %s",
                         name, stream->max_per_subject,
                         br_input_replaces(table) ? "what was replaced before it was read isn't seen"
                                                  : "events that were replaced before they were read are lost",
                         table->archive_path != NULL
                             ? "the archive has them"
                             : "give the table an archive (archive = 'file:///…'), or have all computed anew from what "
                               "is there (braid replay rebuild PIPELINE --epochs fresh)");
        return br_input_replaces(table) || table->archive_path != NULL ? BR_LIMITS_NOTE : BR_LIMITS_WARNING;
    }
    if ((stream->max_age_us == 0 && stream->max_messages == 0 && stream->max_bytes == 0) || table->archive_path != NULL)
        return BR_LIMITS_NONE;
    br_buffer_printf(text, "stream %s drops messages ", name);
    put_bounds(stream, text);
    br_buffer_append_text(text,
                          ": a worker that is away for longer stops, and state that is lost can't be recovered; give "
                          "the table an archive (archive = 'file:///…'), or the stream room for as long as it takes");
    return BR_LIMITS_NOTE;
}

enum br_limits br_limits_describe(const struct br_table *table, const struct br_stream_info *stream,
                                  struct br_buffer *text) {
    enum br_limits limits = describe(table, stream, text);
    *br_buffer_reserve(text, 1) = '\0';
    return limits;
}

bool br_limits_only_replace(const struct br_table *table, const struct br_stream_info *stream) {
    return br_input_replaces(table) && stream->max_per_subject != 0 && stream->max_age_us == 0 &&
           stream->max_messages == 0 && stream->max_bytes == 0 && stream->retention == BR_RETENTION_LIMITS;
}
