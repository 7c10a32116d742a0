// SPDX-License-Identifier: Apache-2.0
// Evidence for the rows of one view: which columns a left-out event can be compared by, and hashes of their values.
//
// Events of one kind (late or quarantined) that can be compared by the same columns share a set of hashes; a row is
// explained when its own hash over a set's columns is in it. So millions of rows can be asked about.
#include "base/json.h"
#include "processor/expr/row.h"
#include "replay/causes_internal.h"
#include "state/keys.h"

#include <xxhash.h>

// A hop with a small slide puts an event into many windows.
#define WINDOWS_MAX 10000

// --- sets
static struct br_evidence_set *obtain_set(struct br_view_evidence *evidence, bool quarantined, uint64_t mask) {
    struct br_evidence_set **sets = &evidence->sets[quarantined];
    size_t *count = &evidence->set_counts[quarantined];
    for (size_t s = 0; s < *count; s++)
        if ((*sets)[s].mask == mask)
            return &(*sets)[s];
    *sets = br_realloc(*sets, (*count + 1) * sizeof **sets);
    (*sets)[*count] = (struct br_evidence_set){.mask = mask};
    return &(*sets)[(*count)++];
}

static void add_hash(struct br_view_evidence *evidence, bool quarantined, uint64_t mask, struct br_slice values) {
    struct br_evidence_set *set = obtain_set(evidence, quarantined, mask);
    if (set->count == set->capacity) {
        set->capacity = set->capacity == 0 ? 16 : 2 * set->capacity;
        set->hashes = br_realloc(set->hashes, set->capacity * sizeof *set->hashes);
    }
    set->hashes[set->count++] = XXH3_64bits(values.ptr, values.len);
    set->sorted = false;
}

static int compare_hashes(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool has_hash(struct br_evidence_set *set, uint64_t hash) {
    if (!set->sorted)
        qsort(set->hashes, set->count, sizeof *set->hashes, compare_hashes);
    set->sorted = true;
    return bsearch(&hash, set->hashes, set->count, sizeof hash, compare_hashes) != NULL;
}

void br_view_evidence_free(struct br_view_evidence *evidence) {
    for (int kind = 0; kind < 2; kind++) {
        for (size_t s = 0; s < evidence->set_counts[kind]; s++)
            free(evidence->sets[kind][s].hashes);
        free(evidence->sets[kind]);
    }
}

// --- is the event any of the view's business?
static bool is_listed(const char *const *names, uint32_t count, struct br_slice name) {
    for (uint32_t i = 0; i < count; i++)
        if (br_slice_is(name, names[i]))
            return true;
    return false;
}

static bool concerns(const struct br_view_evidence *evidence, const struct br_left_out *left_out) {
    if (left_out->view.len != 0)
        return is_listed(evidence->beneath, evidence->beneath_count, left_out->view);
    return left_out->table != NULL &&
           is_listed(evidence->tables, evidence->table_count, br_slice_of(left_out->table->name));
}

// --- values
// The table's column that the view's column is, by the plan; or, for the other side of a join, by name.
static uint32_t table_column(const struct br_cause_column *column, const struct br_table *table) {
    uint32_t count = table->row_type.column_count;
    if (column->table == NULL)
        return count;
    const char *name = strcmp(column->table->name, table->name) == 0
                           ? column->table->row_type.columns[column->table_column].name
                           : column->name;
    for (uint32_t c = 0; c < count; c++)
        if (strcmp(table->row_type.columns[c].name, name) == 0 && table->row_type.columns[c].type == column->type)
            return c;
    return count;
}

static bool value_of_event(const struct br_cause_column *column, const struct br_left_out *left_out,
                           struct br_value *value) {
    const struct br_table *table = left_out->table;
    uint32_t c = table_column(column, table);
    if (c == table->row_type.column_count || left_out->row->columns[c].values == NULL)
        return false;
    *value = br_column_get(&left_out->row->columns[c], 0);
    return !value->is_null || table->row_type.columns[c].default_value == NULL;
}

static bool value_of_json(const struct br_cause_column *column, const struct br_json *object, struct br_arena *scratch,
                          struct br_value *value) {
    struct br_json member;
    struct br_error error;
    if (!br_json_member(object, column->name, scratch, &member))
        return false;
    *value = (struct br_value){.type = column->type, .is_null = true};
    if (member.kind == BR_JSON_NULL)
        return true;
    struct br_slice text = member.kind == BR_JSON_STRING ? br_json_string(&member, scratch) : member.text;
    if (column->type == BR_BYTEA || br_value_parse(column->type, text, scratch, value, &error) != BR_OK)
        return false;
    value->is_null = false;
    return true;
}

static void append_value(struct br_buffer *out, const struct br_value *value, struct br_arena *scratch) {
    struct br_column column = br_column_create(scratch, value->type, 1);
    column.validity = br_validity_create(scratch, 1, true);
    br_column_set(&column, 0, value);
    br_key_append_value(out, &column, 0);
}

static void append_bound(struct br_buffer *out, int64_t bound) {
    br_key_append_int64(out, bound);
}

// --- windows
static bool reads_table(const struct br_node *node, const char *name) {
    if (node->kind == BR_NODE_SOURCE)
        return strcmp(node->source.table->name, name) == 0;
    for (uint32_t i = 0; i < node->input_count; i++)
        if (reads_table(node->inputs[i], name))
            return true;
    return false;
}

// The first window bound (as the column has it) and how many follow at the slide's distance; false: can't be told.
static bool window_bounds(const struct br_cause_column *column, const struct br_left_out *left_out, int64_t *ret_first,
                          int64_t *ret_slide, uint32_t *ret_count) {
    bool start = column->mark->kind == BR_MARK_START;
    *ret_slide = 0;
    *ret_count = 1;
    if (left_out->has_window) {
        *ret_first = start ? left_out->window_start : left_out->window_end;
        return left_out->window_end - left_out->window_start == column->mark->size_us;
    }
    const struct br_table *table = left_out->table;
    if (table == NULL || left_out->row == NULL || table->event_time < 0 || column->window == NULL ||
        !reads_table(column->window, table->name))
        return false;
    const struct br_column *times = &left_out->row->columns[table->event_time];
    if (times->values == NULL || br_column_is_null(times, 0))
        return false;
    // Windows begin at origin + k * slide and hold [start, start + size).
    int64_t time = ((const int64_t *)times->values)[0], size = column->window->window.size_us;
    int64_t slide = column->window->window.slide_us, over = (time - column->window->window.origin_us) % slide;
    int64_t last = time - (over < 0 ? over + slide : over);
    int64_t count = (size - (time - last) + slide - 1) / slide;
    if (count < 1 || count > WINDOWS_MAX)
        return false;
    *ret_count = (uint32_t)count;
    *ret_slide = slide;
    *ret_first = last - (count - 1) * slide + (start ? 0 : size);
    return true;
}

// --- one event
struct comparison {
    uint64_t mask;
    int64_t slide; // of the windows it is in
    uint32_t windows;
};

// Which columns can be compared. Windows of one event move together: start and end by the same step.
static struct comparison compare_by(const struct br_view_evidence *evidence, const struct br_left_out *left_out,
                                    const struct br_json *object, struct br_arena *scratch) {
    struct comparison comparison = {.windows = 1};
    for (uint32_t c = 0; c < evidence->column_count; c++) {
        const struct br_cause_column *column = &evidence->columns[c];
        struct br_value value;
        int64_t first, slide;
        uint32_t count;
        bool comparable;
        if (column->mark != NULL) {
            comparable = window_bounds(column, left_out, &first, &slide, &count);
            if (comparable && comparison.windows <= 1) {
                comparison.slide = slide;
                comparison.windows = count;
            }
        } else if (left_out->row != NULL) {
            comparable = value_of_event(column, left_out, &value);
        } else {
            comparable = object != NULL && value_of_json(column, object, scratch, &value);
        }
        if (comparable)
            comparison.mask |= UINT64_C(1) << c;
    }
    return comparison;
}

static void append_columns(const struct br_view_evidence *evidence, const struct br_left_out *left_out,
                           const struct br_json *object, uint64_t mask, int64_t shift, struct br_arena *scratch,
                           struct br_buffer *out) {
    for (uint32_t c = 0; c < evidence->column_count; c++) {
        const struct br_cause_column *column = &evidence->columns[c];
        struct br_value value = {.type = column->type, .is_null = true};
        int64_t first, slide;
        uint32_t count;
        if ((mask >> c & 1) == 0)
            continue;
        if (column->mark != NULL) {
            BR_CHECK(window_bounds(column, left_out, &first, &slide, &count));
            append_bound(out, first + shift);
            continue;
        }
        BR_CHECK(left_out->row != NULL ? value_of_event(column, left_out, &value)
                                       : value_of_json(column, object, scratch, &value));
        append_value(out, &value, scratch);
    }
}

void br_view_evidence_add(struct br_view_evidence *evidence, const struct br_left_out *left_out,
                          struct br_arena *scratch) {
    struct br_json object;
    struct br_error error;
    if (!concerns(evidence, left_out))
        return;
    bool has_json = left_out->row == NULL && left_out->json.len != 0 &&
                    br_json_parse(left_out->json, &object, &error) == BR_OK && object.kind == BR_JSON_OBJECT;
    struct comparison comparison = compare_by(evidence, left_out, has_json ? &object : NULL, scratch);
    // The one row of a view without key columns may come of any event beneath; elsewhere something must be compared.
    if (comparison.mask == 0 && evidence->column_count != 0)
        return;
    struct br_buffer values = {0};
    for (uint32_t w = 0; w < comparison.windows; w++) {
        br_buffer_clear(&values);
        append_columns(evidence, left_out, has_json ? &object : NULL, comparison.mask, (int64_t)w * comparison.slide,
                       scratch, &values);
        add_hash(evidence, left_out->quarantined, comparison.mask, br_buffer_slice(&values));
    }
    br_buffer_free(&values);
}

bool br_view_evidence_explains(struct br_view_evidence *evidence, bool quarantined, const struct br_batch *batch,
                               uint32_t row, struct br_buffer *scratch) {
    for (size_t s = 0; s < evidence->set_counts[quarantined]; s++) {
        struct br_evidence_set *set = &evidence->sets[quarantined][s];
        br_buffer_clear(scratch);
        for (uint32_t c = 0; c < evidence->column_count; c++)
            if ((set->mask >> c & 1) != 0)
                br_key_append_value(scratch, &batch->columns[evidence->columns[c].column], row);
        if (has_hash(set, XXH3_64bits(scratch->ptr, scratch->len)))
            return true;
    }
    return false;
}
