// SPDX-License-Identifier: Apache-2.0
// Rows as bytes: keys that keep the SQL order, and compact values for state.
//
// Row value format: for each column in order, one presence bit in a leading bitmap of (count + 7) / 8 bytes, then the
// present values: boolean 1 byte, integer/date zigzag varint, bigint/timestamptz zigzag varint, double 8 bytes
// little-endian, numeric scale byte + zigzag 128-bit varint (scale kept), text/bytea varint length + bytes, interval
// three zigzag varints. Equal rows (same scale of numerics) have equal bytes; golden tests fix the format.
#ifndef BR_PROCESSOR_EXPR_ROW_H
#define BR_PROCESSOR_EXPR_ROW_H

#include "processor/expr/batch.h"

// Appends one key component (state/keys.h, numeric.h) for a value; NULLs sort last and are equal to each other.
void br_key_append_value(struct br_buffer *key, const struct br_column *column, uint32_t row);
// Keys of every row of a batch over the given columns: slices into arena memory, ret_keys[row_count].
void br_batch_keys(const struct br_batch *batch, const uint32_t *columns, uint32_t column_count, struct br_arena *arena,
                   struct br_slice *ret_keys);
// Reads one component of the type back (numeric scale is lost: use row values where it matters). Text is copied into
// the arena. Returns bytes read, 0 when malformed.
size_t br_key_read_value(struct br_slice key, enum br_type type, struct br_arena *arena, struct br_value *ret_value);

// Appends the row value format of the given columns (NULL: all columns with values; pruned columns are written as
// NULL).
void br_row_encode(const struct br_batch *batch, uint32_t row, const uint32_t *columns, uint32_t column_count,
                   struct br_buffer *out);
// Appends one row to a batch made by br_batch_create for these types (columns 0..count-1 → batch columns
// first_column…). bytes holds exactly one row. Text is copied into the arena when copy_text, else points into bytes.
// BR_FATAL when the bytes are malformed (state corruption). row_count is not changed: the caller does when the row is
// complete.
enum br_status br_row_decode(struct br_slice bytes, struct br_batch *batch, uint32_t row, uint32_t first_column,
                             uint32_t column_count, struct br_arena *arena, bool copy_text, struct br_error *error)
    BR_MUST_CHECK;
// The same for rows[0..count) into rows first_row…: fetches what comes next ahead, which matters where the rows are
// scattered over a large state.
enum br_status br_rows_decode(const struct br_slice *rows, uint32_t count, struct br_batch *batch, uint32_t first_row,
                              uint32_t first_column, uint32_t column_count, struct br_arena *arena, bool copy_text,
                              struct br_error *error) BR_MUST_CHECK;
// Bytes that one row value takes at the front of `bytes`; 0 when malformed.
size_t br_row_size(struct br_slice bytes, const enum br_type *types, uint32_t column_count);

// Appends the same row with columns in other places: column c of from_count becomes map[c] of to_count. The places
// ascend; a column that has none (UINT32_MAX) must be NULL. False when it isn't, or when bytes are too few.
bool br_row_move_columns(struct br_slice bytes, const uint32_t *map, uint32_t from_count, uint32_t to_count,
                         struct br_buffer *out) BR_MUST_CHECK;

// Copies row `row` of source into destination (same types, made by br_batch_create) at its row_count and counts it;
// weight and origin are set by the caller.
void br_batch_append_row(struct br_batch *destination, const struct br_batch *source, uint32_t row);

#endif
