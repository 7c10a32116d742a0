// SPDX-License-Identifier: Apache-2.0
// Ranges of code points, ascending, without overlap; see character_tables.c and character_classes.c. ASCII is not in
// them.
#ifndef BR_PROCESSOR_EXPR_CHARACTER_TABLES_H
#define BR_PROCESSOR_EXPR_CHARACTER_TABLES_H

#include <stddef.h>
#include <stdint.h>

struct br_case_range {
    uint32_t first, last, step;
    int32_t add;
};
struct br_character_range {
    uint32_t first, last;
};
// first, first + step, … last
struct br_stepped_range {
    uint32_t first, last, step;
};
extern const struct br_case_range br_lower_ranges[], br_upper_ranges[];
extern const size_t br_lower_range_count, br_upper_range_count;
extern const struct br_character_range br_alphanumeric_ranges[];
extern const size_t br_alphanumeric_range_count;
extern const struct br_stepped_range br_lowercase_ranges[], br_uppercase_ranges[];
extern const size_t br_lowercase_range_count, br_uppercase_range_count;
extern const struct br_character_range br_printable_ranges[];
extern const size_t br_printable_range_count;

#endif
