// SPDX-License-Identifier: Apache-2.0
// Order-preserving key bytes: memcmp over the encoding gives the SQL order (ascending, NULLs last) of the values.
//
// A key is a run of components. Each begins with one marker byte (BR_KEY_VALUE before BR_KEY_NULL, so NULLs sort last)
// and is self-delimiting, so a prefix of components is a prefix of bytes and a range of keys is a range of bytes. Typed
// rows are encoded by processor/expr/row.h on top of these primitives.
//   int32, int64  big-endian with the sign bit flipped
//   double        IEEE bits, all flipped when negative, else the sign bit flipped; -0 is written as 0, NaN sorts last
//   (as PostgreSQL) bytes, text   0x00 is written 00 ff, the end is 00 01; text collates by bytes ("C")
// Reading returns the bytes read, 0 when the input is cut short or malformed.
#ifndef BR_STATE_KEYS_H
#define BR_STATE_KEYS_H

#include "base/bytes.h"

#define BR_KEY_VALUE 0x01
#define BR_KEY_NULL 0x02

void br_key_append_null(struct br_buffer *key);
void br_key_append_bool(struct br_buffer *key, bool value);
void br_key_append_int32(struct br_buffer *key, int32_t value);
void br_key_append_int64(struct br_buffer *key, int64_t value);
void br_key_append_double(struct br_buffer *key, double value);
void br_key_append_bytes(struct br_buffer *key, struct br_slice value);

size_t br_key_read_bool(struct br_slice key, bool *ret_value);
size_t br_key_read_int32(struct br_slice key, int32_t *ret_value);
size_t br_key_read_int64(struct br_slice key, int64_t *ret_value);
size_t br_key_read_double(struct br_slice key, double *ret_value);
// The unescaped bytes are appended to out.
size_t br_key_read_bytes(struct br_slice key, struct br_buffer *out);

// The smallest key greater than every key that begins with prefix, into out; false when there is none (all 0xff).
bool br_key_prefix_end(struct br_slice prefix, struct br_buffer *out);

#endif
