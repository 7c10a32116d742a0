// SPDX-License-Identifier: Apache-2.0
// A reader (reader.h) that steps from message to message by requests (br_log_next), for a log that has nothing better:
// the contract of log.h, a request for each message. For few messages.
#ifndef BR_PROCESSOR_LOG_STEPPER_H
#define BR_PROCESSOR_LOG_STEPPER_H

#include "processor/log/log.h"

enum br_status br_stepper_open(struct br_log *log, const char *stream, const char *filter, uint64_t first_sequence,
                               uint64_t stop_sequence, bool replaced, struct br_reader **ret_reader,
                               struct br_error *error) BR_MUST_CHECK;

#endif
