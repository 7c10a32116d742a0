// SPDX-License-Identifier: Apache-2.0
// A strict JSON scanner over text: values stay slices of it, so that numbers keep every digit. RFC 8259; nesting up to
// 64 deep.
//
// For documents that we read or write a line at a time; libjansson is for the rest. Nothing is allocated but for
// unescaped strings.
#ifndef BR_BASE_JSON_H
#define BR_BASE_JSON_H

#include "base/arena.h"

enum br_json_kind {
    BR_JSON_NULL,
    BR_JSON_TRUE,
    BR_JSON_FALSE,
    BR_JSON_NUMBER,
    BR_JSON_STRING,
    BR_JSON_ARRAY,
    BR_JSON_OBJECT
};

struct br_json {
    enum br_json_kind kind;
    struct br_slice text; // the value as written: strings with their quotes, numbers as they are
};

// One whole document: a value with nothing but white space around it. BR_DATA names the byte and what is wrong there.
enum br_status br_json_parse(struct br_slice text, struct br_json *ret_value, struct br_error *error) BR_MUST_CHECK;

// The same of what people write, where a slip would be taken for what was meant: BR_DATA too where an object has two
// members of one name, or a string half of a surrogate pair.
enum br_status br_json_parse_strictly(struct br_slice text, struct br_arena *arena, struct br_json *ret_value,
                                      struct br_error *error) BR_MUST_CHECK;

// Walks an object's members or an array's elements (names are empty slices then). The value must come from
// br_json_parse or this.
struct br_json_walk {
    struct br_slice rest;
    bool object;
};
struct br_json_walk br_json_begin(const struct br_json *container);
// The name is unescaped into the arena. False at the end.
bool br_json_next(struct br_json_walk *walk, struct br_arena *arena, struct br_slice *ret_name,
                  struct br_json *ret_value);
// A member that is a whole number from 0 on; 0 when there is none.
uint64_t br_json_count(const struct br_json *object, const char *name, struct br_arena *arena);
// The first member of that name; false when there is none.
bool br_json_member(const struct br_json *object, const char *name, struct br_arena *arena, struct br_json *ret_value);
// A string's characters, unescaped into the arena when it has escapes. Lone surrogates become U+FFFD.
struct br_slice br_json_string(const struct br_json *value, struct br_arena *arena);

// Base64 (RFC 4648, padding optional), both ways. BR_DATA when the text isn't base64.
enum br_status br_base64_decode(struct br_slice text, struct br_arena *arena, struct br_slice *ret_bytes,
                                struct br_error *error) BR_MUST_CHECK;
void br_base64_encode(struct br_slice bytes, struct br_buffer *out);

#endif
