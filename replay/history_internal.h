// SPDX-License-Identifier: Apache-2.0
// What history.c and history_reader.c share.
#ifndef BR_REPLAY_HISTORY_INTERNAL_H
#define BR_REPLAY_HISTORY_INTERNAL_H

#include "replay/history.h"

const struct br_pipeline *history_pipeline(const struct br_history *history);
// Of a table that has an archive.
enum br_status history_list(const struct br_history *history, const struct br_table *table, enum br_segment_kind kind,
                            struct br_archive **ret_archive, struct br_error *error) BR_MUST_CHECK;
enum br_status history_reader_open(const struct br_history *history, struct br_log *log, const struct br_table *table,
                                   const struct br_stream_info *stream, const char *filter, uint64_t prehistory,
                                   uint64_t first_sequence, uint64_t stop_sequence, struct br_reader **ret_reader,
                                   struct br_error *error) BR_MUST_CHECK;

#endif
