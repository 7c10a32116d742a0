// SPDX-License-Identifier: Apache-2.0
// What the two ways of columns.h share. The numbers are part of the format (docs/formats/archive.md).
#ifndef BR_REPLAY_COLUMNS_INTERNAL_H
#define BR_REPLAY_COLUMNS_INTERNAL_H

#include "replay/columns.h"

#define COLUMN_SEQUENCE "sequence"
#define COLUMN_TIME "time"
#define COLUMN_SUBJECT "subject"
#define COLUMN_SUBJECTS "subjects"
#define COLUMN_HEADERS "headers"
#define COLUMN_HEADER_SETS "header_sets"
#define COLUMN_EVENTS "events"
#define COLUMN_SHAPE "shape"
#define COLUMN_SHAPES "shapes"

// A shape is a run of steps; a step is varint(kind | value column << 3), then, but for END, the varint of the tag.
// RAW is a step without a tag: all bytes of the event as one value.
enum step_kind {
    STEP_VARINT = 0,
    STEP_FIXED64 = 1,
    STEP_BYTES = 2,
    STEP_BEGIN = 3, // a field that is a message: its length is that of what follows, up to END
    STEP_END = 4,
    STEP_FIXED32 = 5,
    STEP_RAW = 6,
};
#define STEP_KIND_BITS 3
#define SHAPES_MAX 256 // in one block
#define VALUE_COLUMNS_MAX 256
#define NESTING_MAX 8
#define PAYLOAD_BYTES_MAX ((size_t)1 << 30) // of a block

#endif
