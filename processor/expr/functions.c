// SPDX-License-Identifier: Apache-2.0
// The function table as a whole: what there is, and what comes near a name.
#include "processor/expr/expr_internal.h"

const struct br_function_table *const br_function_tables[] = {
    &br_arithmetic_table, &br_numeric_table,   &br_math_table, &br_compare_table, &br_text_table, &br_text_search_table,
    &br_regex_table,      &br_text_code_table, &br_time_table, &br_format_table,  &br_cast_table,
};
const size_t br_function_table_count = sizeof br_function_tables / sizeof br_function_tables[0];

// Forms that resolve.c makes of other calls; for the list.
static const struct {
    const char *name, *arguments, *result;
} SPECIAL_FORMS[] = {
    {"nullif", "any, any", "the first argument's"},
    {"greatest", "any, …", "the common type"},
    {"least", "any, …", "the common type"},
    {"concat", "any, …", "text"},
    {"concat_ws", "text, any, …", "text"},
    {"||", "text, any", "text"},
    {"||", "any, text", "text"},
};
#define SPECIAL_FORM_COUNT (sizeof SPECIAL_FORMS / sizeof SPECIAL_FORMS[0])

bool br_function_is_operator(const char *name) {
    return !((name[0] >= 'a' && name[0] <= 'z') || (name[0] >= 'A' && name[0] <= 'Z') || name[0] == '_' ||
             name[0] == '"');
}

const struct br_function *br_function_find(const char *name, const enum br_type *arguments, uint32_t count) {
    for (size_t t = 0; t < br_function_table_count; t++)
        for (size_t f = 0; f < br_function_tables[t]->count; f++) {
            const struct br_function *function = &br_function_tables[t]->functions[f];
            if (function->argument_count == count && strcmp(function->name, name) == 0 &&
                (count == 0 || memcmp(function->arguments, arguments, count * sizeof *arguments) == 0))
                return function;
        }
    return NULL;
}

void br_function_each(void (*each)(void *context, const char *name, const char *arguments, const char *result),
                      void *context) {
    struct br_buffer arguments = {0};
    for (size_t t = 0; t < br_function_table_count; t++)
        for (size_t f = 0; f < br_function_tables[t]->count; f++) {
            const struct br_function *function = &br_function_tables[t]->functions[f];
            if ((function->flags & BR_HIDDEN) != 0)
                continue;
            br_buffer_clear(&arguments);
            for (uint8_t i = 0; i < function->argument_count; i++)
                br_buffer_printf(&arguments, i > 0 ? ", %s" : "%s", br_type_name(function->arguments[i]));
            br_buffer_append_byte(&arguments, 0);
            each(context, function->name, (const char *)arguments.ptr, br_type_name(function->result));
        }
    br_buffer_free(&arguments);
    for (size_t i = 0; i < SPECIAL_FORM_COUNT; i++)
        each(context, SPECIAL_FORMS[i].name, SPECIAL_FORMS[i].arguments, SPECIAL_FORMS[i].result);
}

// --- the nearest name
#define NAME_SIZE_MAX 32

static unsigned smallest(unsigned a, unsigned b, unsigned c) {
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

// Levenshtein's distance, two rows at a time; names longer than NAME_SIZE_MAX are far from all.
static unsigned edit_distance(const char *a, const char *b) {
    size_t a_len = strlen(a), b_len = strlen(b);
    unsigned row[NAME_SIZE_MAX + 1];
    if (a_len > NAME_SIZE_MAX || b_len > NAME_SIZE_MAX)
        return NAME_SIZE_MAX;
    for (unsigned j = 0; j <= b_len; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            unsigned above = row[j];
            row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_len];
}

const char *br_function_nearest(const char *name) {
    const char *nearest = NULL;
    unsigned best = strlen(name) < 4 ? 2 : 3; // closer than this
    for (size_t t = 0; t < br_function_table_count; t++)
        for (size_t f = 0; f < br_function_tables[t]->count; f++) {
            const struct br_function *function = &br_function_tables[t]->functions[f];
            if ((function->flags & BR_HIDDEN) != 0 || br_function_is_operator(function->name))
                continue;
            unsigned distance = edit_distance(name, function->name);
            if (distance < best) {
                best = distance;
                nearest = function->name;
            }
        }
    for (size_t i = 0; i < SPECIAL_FORM_COUNT; i++) {
        unsigned distance = edit_distance(name, SPECIAL_FORMS[i].name);
        if (distance < best && !br_function_is_operator(SPECIAL_FORMS[i].name)) {
            best = distance;
            nearest = SPECIAL_FORMS[i].name;
        }
    }
    return nearest;
}
