// SPDX-License-Identifier: Apache-2.0
// Subject templates: 'shop.revenue.{region}' with values of a row in place of {column}, one token each.
//
// Value bytes that a token can't hold (anything but letters, digits, '-', '_' and UTF-8 above ASCII) are written %XX,
// so that every value has exactly one token and back. The empty text is "%", NULL is "%N". Templates are checked when
// the SQL is bound.
#ifndef BR_PROCESSOR_SUBJECT_H
#define BR_PROCESSOR_SUBJECT_H

#include "processor/sql/plan.h"

// The filter that matches every subject of the template: placeholders become '*'. NUL-terminated (not counted in len).
void br_subject_filter(const char *subject_template, struct br_buffer *filter);
// Is {column} a token of its own, so that a subject tells the column's value?
bool br_subject_has_column(const char *subject_template, const char *column);
void br_subject_encode(struct br_slice value, struct br_buffer *out);
// Appends a name of SQL as the rest of a subject: as it is where it can be one, else as one token of a value.
void br_subject_append_name(const char *name, struct br_buffer *out);
// Is there a subject that both templates (or filters with wildcards) have?
bool br_subject_templates_overlap(const char *left, const char *right);
// Appends the subject of a row. columns are those of row_type.
void br_subject_format(const char *subject_template, const struct br_row_type *row_type, const struct br_batch *batch,
                       uint32_t row, struct br_buffer *out);
// The text that stands for {column} in a subject of the template, decoded into the arena. BR_DATA when the subject
// isn't of the template.
enum br_status br_subject_read_column(const char *subject_template, struct br_slice subject, const char *column,
                                      struct br_arena *arena, struct br_slice *ret_text, struct br_error *error)
    BR_MUST_CHECK;

#endif
