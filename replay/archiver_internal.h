// SPDX-License-Identifier: Apache-2.0
// What archiver.c and archiver_thread.c share.
#ifndef BR_REPLAY_ARCHIVER_INTERNAL_H
#define BR_REPLAY_ARCHIVER_INTERNAL_H

#include "replay/archiver.h"

void archiver_status(const struct br_archiver *archiver, struct br_buffer *out);

#endif
