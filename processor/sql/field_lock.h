// SPDX-License-Identifier: Apache-2.0
// Field numbers that stay: the lock file of a pipeline (docs/formats/fields.md), which says for every message that is
// derived from columns (of tables, views, types without a message of their own) which number each column has, and which
// numbers nobody may have any more.
//
// K1. In one message a number stands once, for a column or reserved. A column that stays keeps its number; one that
// goes
//     leaves it reserved for good; one that comes gets a number above all that stand there.
// K2. The text of a lock is a function of its content: messages by name, fields by number.
// K3. A lock that a pipeline is bound with says exactly what the SQL file has (names.c): a column without a number, or
//     a number without a column that isn't reserved, is an error that names the command which mends it.
//
// What is read is untrusted: BR_DATA names the file and the line, and nothing is left behind.
#ifndef BR_PROCESSOR_SQL_FIELD_LOCK_H
#define BR_PROCESSOR_SQL_FIELD_LOCK_H

#include "processor/codec/descriptors.h"
#include "processor/sql/plan.h"

#define BR_FIELD_LOCK_BYTES_MAX ((size_t)4 << 20)
#define BR_FIELD_NUMBER_MAX ((1u << 29) - 1)
#define BR_FIELD_NUMBERS_KEPT_FIRST 19000 // protobuf keeps these for itself
#define BR_FIELD_NUMBERS_KEPT_LAST 19999

struct br_locked_field {
    uint32_t number;
    bool reserved;          // its column is gone
    enum br_wire_kind kind; // of what is derived; 0 when reserved
    const char *column;     // SQL name
    const char *field;      // name in the .proto
};
struct br_locked_message {
    const char *name; // of the table, view or type
    struct br_locked_field *fields;
    uint32_t count;
};
struct br_field_lock {
    struct br_locked_message *messages; // by name
    uint32_t count;
};

// path: for errors. What is returned lives in the arena.
enum br_status br_field_lock_parse(struct br_slice text, const char *path, struct br_arena *arena,
                                   struct br_field_lock **ret_lock, struct br_error *error) BR_MUST_CHECK;
void br_field_lock_print(const struct br_field_lock *lock, struct br_buffer *out);

struct br_locked_message *br_field_lock_find(const struct br_field_lock *lock, const char *name); // NULL: none
// The field of a column that is there; NULL: none.
const struct br_locked_field *br_locked_field_find(const struct br_locked_message *message, const char *column);
// The first number below the highest that no line has: lock leaves none out, so a line is lost. 0: none is.
uint32_t br_locked_gap(const struct br_locked_message *message);
const char *br_locked_kind_name(enum br_wire_kind kind); // "int64", "Timestamp"

// --- making one (field_lock_update.c)
// The numbers as the pipeline has them: those of its lock, else those of the columns' order.
enum br_status br_field_lock_of(const struct br_pipeline *pipeline, struct br_arena *arena,
                                struct br_field_lock **ret_lock, struct br_error *error) BR_MUST_CHECK;
// What `published` says goes before what `former` says; columns and reserved numbers of `former` that don't contradict
// it stay.
struct br_field_lock *br_field_lock_merge(const struct br_field_lock *published, const struct br_field_lock *former,
                                          struct br_arena *arena);
// The lock that fits the pipeline, from the former one (K1; NULL: the numbers of the columns' order). A column whose
// type can't be read under its number any more, or that has none while a line of its message is lost, is refused,
// unless `renumber` ("message.column") gives it a new one. path: of the file that the former one was read from. told: a
// line for each number that comes, goes or is given anew.
enum br_status br_field_lock_update(const struct br_field_lock *former, const char *path,
                                    const struct br_pipeline *pipeline, const char *const *renumber,
                                    size_t renumber_count, struct br_arena *arena, struct br_field_lock **ret_lock,
                                    struct br_buffer *told, struct br_error *error) BR_MUST_CHECK;
// May bytes that were written as `written` be read as `read` under the same number, and no value be another in silence?
// cuts: the reader may cut a number to 32 bits without a word, as protobuf's own do.
bool br_wire_kind_reads(enum br_wire_kind written, enum br_wire_kind read, bool cuts);

#endif
