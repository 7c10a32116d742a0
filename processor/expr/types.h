// SPDX-License-Identifier: Apache-2.0
// SQL types and how a value of each stands in memory.
//
//   type         C value            notes
//   boolean      bool (1 byte)
//   integer      int32_t
//   bigint       int64_t
//   numeric      struct br_numeric  exact decimal, 16 bytes (numeric.h)
//   double       double
//   text         struct br_slice    valid UTF-8 without NUL
//   bytea        struct br_slice
//   timestamptz  int64_t            microseconds since 1970-01-01 UTC; PostgreSQL's range (4713 BC .. 294276 AD)
//   date         int32_t            days since 1970-01-01
//   interval     struct br_interval
// BR_UNKNOWN is the type of a bare NULL or an untyped literal while binding; it never reaches a batch.
#ifndef BR_PROCESSOR_EXPR_TYPES_H
#define BR_PROCESSOR_EXPR_TYPES_H

#include "base/arena.h"

enum br_type {
    BR_UNKNOWN,
    BR_BOOLEAN,
    BR_INTEGER,
    BR_BIGINT,
    BR_NUMERIC,
    BR_DOUBLE,
    BR_TEXT,
    BR_BYTEA,
    BR_TIMESTAMPTZ,
    BR_DATE,
    BR_INTERVAL,
    BR_TYPE_COUNT
};

// Packed: the low 6 bits are the scale (0..63), the upper 122 bits the signed coefficient: value = coefficient /
// 10^scale. The scale is kept as PostgreSQL keeps it (1.50 prints as 1.50); equality and order ignore it.
struct br_numeric {
    uint64_t low;
    int64_t high;
};

struct br_interval {
    int64_t us;
    int32_t days;
    int32_t months;
};

// One value, for constants, gates, JSON input and tests; columns hold the bare C values.
struct br_value {
    enum br_type type;
    bool is_null;
    union {
        bool boolean;
        int32_t integer; // also date
        int64_t bigint;  // also timestamptz
        double real;
        struct br_numeric numeric;
        struct br_slice bytes; // text and bytea
        struct br_interval interval;
    };
};

size_t br_type_width(enum br_type type);
// Order of two values of a type as ORDER BY has it; both not NULL. a, b: as they stand in a column's values.
int br_value_order(enum br_type type, const void *a, const void *b);
const char *
br_type_name(enum br_type type); // as SQL prints it: "double precision", "timestamp with time zone" is "timestamptz"
// From the SQL name, pg_catalog spellings included (int4, int8, bool, float8, varchar, timestamptz, …); false when it
// is none of ours.
bool br_type_from_name(const char *name, enum br_type *ret_type);

// Text form: what value::text gives in PostgreSQL with DateStyle ISO, TimeZone UTC, IntervalStyle postgres ("2026-03-01
// 12:00:00+00"); so booleans are true and false, not t and f. Nothing for NULL.
void br_value_print(const struct br_value *value, struct br_buffer *out);
// JSON form: numbers for numerics and integers (exact), "2026-03-01T12:00:00Z" for timestamptz, "2026-03-01" for date,
// text form for interval, base64 for bytea; doubles shortest-exact, NaN and infinities as strings.
void br_value_print_json(const struct br_value *value, struct br_buffer *out);
void br_json_append_string(struct br_slice text, struct br_buffer *out); // quoted and escaped
// The shortest decimal that reads back as the same double, written as PostgreSQL does: 21, 0.1, 1e+300, Infinity, NaN.
// Returns the length; text has BR_DOUBLE_TEXT_SIZE bytes.
#define BR_DOUBLE_TEXT_SIZE 32
size_t br_double_print(double value, char *text);
// Text input as PostgreSQL reads it ('  42', '1e3', 't', '2026-03-01T12:00:00Z', '1 mon 2 days'). BR_DATA with
// PostgreSQL's wording when it doesn't fit. Text and bytea bytes are copied into the arena.
enum br_status br_value_parse(enum br_type type, struct br_slice text, struct br_arena *arena,
                              struct br_value *ret_value, struct br_error *error) BR_MUST_CHECK;

#endif
