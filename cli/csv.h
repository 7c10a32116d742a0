// SPDX-License-Identifier: Apache-2.0
// Comma-separated values, RFC 4180: quoted fields may hold commas, line ends and doubled quotes.
#ifndef BR_CLI_CSV_H
#define BR_CLI_CSV_H

#include "base/bytes.h"

#define BR_CSV_FIELDS_MAX 1024

struct br_csv_field {
    struct br_slice text; // unquoted; valid until the next record
    bool quoted;
};
struct br_csv {
    struct br_slice rest;
    uint64_t line; // of the record read last, from 1
    uint64_t next_line;
    struct br_csv_field fields[BR_CSV_FIELDS_MAX];
    uint32_t field_count; // 0: the end
    struct br_buffer unquoted;
};

struct br_csv br_csv_begin(struct br_slice text);
// Reads the next record that isn't an empty line. BR_DATA: a quote without end, text behind a closing quote, too many
// fields.
enum br_status br_csv_next(struct br_csv *csv, struct br_error *error) BR_MUST_CHECK;
void br_csv_end(struct br_csv *csv);

#endif
