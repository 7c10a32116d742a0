// SPDX-License-Identifier: Apache-2.0
// What the implementations of log.h share beside log_ops.h: subject matching, checks. Included in processor/log/ only.
#ifndef BR_PROCESSOR_LOG_LOG_INTERNAL_H
#define BR_PROCESSOR_LOG_LOG_INTERNAL_H

#include "processor/log/log_ops.h"

// Does the subject match the filter ("*" one token, ">" one or more at the end)? Both well-formed.
bool br_subject_matches(struct br_slice filter, struct br_slice subject);
// Is there any subject that both filters match?
bool br_subject_overlaps(struct br_slice a, struct br_slice b);
// Does `outer` match every subject that `inner` matches?
bool br_subject_covers(struct br_slice outer, struct br_slice inner);
// Tokens not empty, no white space, ">" only last; wildcards only when allowed.
bool br_subject_valid(struct br_slice subject, bool wildcards);

// Copies a message into `copy` (headers first, then the bytes they point to); *ret points there.
void br_log_message_copy(const struct br_log_message *message, struct br_buffer *copy, struct br_log_message *ret);

// A reader that goes on at `next` needs the stream to hold it: BR_FATAL names the missing sequences when the stream
// begins after it (unless next is 0 or 1: the beginning, whatever is there) or ends more than one before it.
enum br_status br_log_check_position(const struct br_stream_info *info, uint64_t next, struct br_error *error);
// BR_FATAL when the stream was made anew since `created`.
enum br_status br_log_check_same(const struct br_stream_info *info, struct br_wall_time created,
                                 struct br_error *error);

#endif
