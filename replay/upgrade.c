// SPDX-License-Identifier: Apache-2.0
// See upgrade.h.
#include "replay/upgrade.h"

#include "processor/codec/descriptors.h"
#include "processor/sql/sql.h"
#include "replay/upgrade_internal.h"

#include <inttypes.h>

const char *br_upgrade_verdict_name(enum br_upgrade_verdict verdict) {
    static const char *const names[] = {"keep", "rebuild", "new", "removed"};
    return names[verdict];
}

// --- what is read
static void mark_tables(const struct br_node *node, bool *read) {
    if (node->kind == BR_NODE_SOURCE)
        read[node->source.table->index] = true;
    for (uint32_t i = 0; i < node->input_count; i++)
        mark_tables(node->inputs[i], read);
}

static void set_reads(struct br_upgrade *upgrade, struct br_upgrade_view *row) {
    const struct br_pipeline *pipeline = upgrade->after;
    bool *read = br_arena_array(upgrade->arena, bool, pipeline->table_count + 1);
    const char **names = br_arena_array(upgrade->arena, const char *, pipeline->table_count + 1);
    mark_tables(row->after->root, read);
    for (uint32_t t = 0; t < pipeline->table_count; t++)
        if (read[t])
            names[row->read_count++] = pipeline->tables[t].name;
    row->reads = names;
}

// --- what becomes of the messages
static bool same_text(const char *a, const char *b) {
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_columns(const struct br_row_type *a, const struct br_row_type *b) {
    bool same = a->column_count == b->column_count && same_text(a->message_name, b->message_name);
    for (uint32_t i = 0; same && i < a->column_count; i++)
        same = strcmp(a->columns[i].name, b->columns[i].name) == 0;
    return same;
}

const struct br_column_def *upgrade_find_column(const struct br_row_type *type, const char *name, uint32_t *ret_index) {
    for (uint32_t i = 0; i < type->column_count; i++)
        if (strcmp(type->columns[i].name, name) == 0) {
            *ret_index = i;
            return &type->columns[i];
        }
    return NULL;
}

static uint32_t number_of(const struct br_row_type *type, uint32_t column) {
    return br_message_find_field(type->message, type->columns[column].path)->number;
}

static bool same_numbers(const struct br_row_type *a, const struct br_row_type *b) {
    uint32_t index;
    for (uint32_t i = 0; i < a->column_count; i++)
        if (upgrade_find_column(b, a->columns[i].name, &index) != NULL && number_of(a, i) != number_of(b, index))
            return false;
    return true;
}

// A former subscriber would notice; no row changes.
static bool note_messages(struct upgrade_reasons *reasons, const struct br_view *before, const struct br_view *after,
                          bool kept) {
    const char *what = "";
    struct br_arena *arena = reasons->arena;
    if (strcmp(before->subject, after->subject) != 0)
        what = br_arena_printf(arena, "%s, subject", what);
    if (before->format != after->format)
        what = br_arena_printf(arena, "%s, format", what);
    if (before->layout != after->layout)
        what = br_arena_printf(arena, "%s, layout", what);
    if (before->ttl_us != after->ttl_us)
        what = br_arena_printf(arena, "%s, ttl", what);
    if (!same_columns(&before->row_type, &after->row_type))
        what = br_arena_printf(arena, "%s, names of columns", what);
    if (before->format == BR_FORMAT_PROTOBUF && after->format == BR_FORMAT_PROTOBUF &&
        !same_numbers(&before->row_type, &after->row_type))
        what = br_arena_printf(arena, "%s, field numbers", what);
    if (before->effect != after->effect)
        upgrade_reason(reasons, "effect is %s now", after->effect ? "true" : "false");
    if (*what == '\0')
        return false;
    upgrade_reason(reasons, "%s of the output changed%s", what + 2, kept ? " (rows stay, messages change)" : "");
    return true;
}

// --- verdicts
static bool same_key(const struct br_node *a, const struct br_node *b) {
    return a->has_key == b->has_key && a->key_count == b->key_count &&
           (a->key_count == 0 || memcmp(a->key, b->key, a->key_count * sizeof *a->key) == 0);
}

// The columns of a table that a view stands on, one after the other, and what they were.
struct column_walk {
    struct br_arena *arena;
    const struct br_table *before, *after;
    const struct br_column_def *was, *now;
    bool *read;
    uint32_t next;
};

static struct column_walk begin_columns(struct br_arena *arena, const struct br_pipeline *before_pipeline,
                                        const struct br_pipeline *after_pipeline, const struct br_view *view,
                                        const struct br_table *table) {
    struct column_walk walk = {
        .arena = arena, .before = br_pipeline_find_table(before_pipeline, table->name), .after = table};
    walk.read = br_arena_array(arena, bool, table->row_type.column_count + 1);
    br_view_mark_columns(after_pipeline, view, table, walk.read);
    return walk;
}

static bool next_column(struct column_walk *walk) {
    uint32_t index;
    while (walk->before != NULL && walk->next < walk->after->row_type.column_count) {
        uint32_t c = walk->next++;
        walk->now = &walk->after->row_type.columns[c];
        walk->was = upgrade_find_column(&walk->before->row_type, walk->now->name, &index);
        if (walk->read[c] && walk->was != NULL)
            return true;
    }
    return false;
}

static bool same_versions(struct br_arena *arena, const struct br_table *before, const struct br_table *after) {
    const char *why;
    uint32_t index;
    bool same = before->version_count == after->version_count;
    for (uint32_t v = 1; same && v < after->version_count; v++) {
        const struct br_row_type *was = before->versions[v].row_type, *now = after->versions[v].row_type;
        for (uint32_t c = 0; same && c < now->column_count; c++) {
            const struct br_column_def *column = upgrade_find_column(was, now->columns[c].name, &index);
            same = column == NULL || upgrade_same_labels(arena, was, column, now, &now->columns[c], &why, NULL);
        }
    }
    return same;
}

static bool same_labels(const struct br_pipeline *before_pipeline, const struct br_pipeline *after_pipeline,
                        const struct br_view *view) {
    struct br_arena *arena = br_arena_create();
    bool *tables = br_arena_array(arena, bool, after_pipeline->table_count + 1), same = true;
    mark_tables(view->root, tables);
    for (uint32_t t = 0; same && t < after_pipeline->table_count; t++) {
        if (!tables[t])
            continue;
        struct column_walk walk =
            begin_columns(arena, before_pipeline, after_pipeline, view, &after_pipeline->tables[t]);
        const char *why;
        while (same && next_column(&walk))
            same = upgrade_same_labels(arena, &walk.before->row_type, walk.was, &walk.after->row_type, walk.now, &why,
                                       NULL);
        same = same && (walk.before == NULL || same_versions(arena, walk.before, walk.after));
    }
    br_arena_destroy(&arena);
    return same;
}

bool upgrade_same_rows(const struct br_pipeline *before_pipeline, const struct br_view *before,
                       const struct br_pipeline *after_pipeline, const struct br_view *after) {
    return before->likeness == after->likeness && same_labels(before_pipeline, after_pipeline, after);
}

static bool same_state(const struct br_upgrade *upgrade, const struct br_view *before, const struct br_view *after) {
    return upgrade_same_rows(upgrade->before, before, upgrade->after, after) && same_key(before->root, after->root) &&
           before->emit_final == after->emit_final && before->emit_interval_us == after->emit_interval_us;
}

// Enums that have values which they hadn't: rows that came of their numbers stay as they are.
static void note_labels(struct upgrade_reasons *reasons, struct br_upgrade_view *row) {
    bool *tables = br_arena_array(reasons->arena, bool, reasons->after->table_count + 1);
    mark_tables(row->after->root, tables);
    for (uint32_t t = 0; t < reasons->after->table_count; t++) {
        if (!tables[t])
            continue;
        struct column_walk walk =
            begin_columns(reasons->arena, reasons->before, reasons->after, row->after, &reasons->after->tables[t]);
        while (next_column(&walk)) {
            const char *why, *more = NULL;
            bool same = upgrade_same_labels(reasons->arena, &walk.before->row_type, walk.was, &walk.after->row_type,
                                            walk.now, &why, &more);
            BR_CHECK(same);
            if (more == NULL)
                continue;
            row->more_labels = true;
            upgrade_reason(reasons, "%s", more);
        }
    }
}

// Columns that are read now and weren't: from now on events in which they can't be read are quarantined.
static void note_columns(struct upgrade_reasons *reasons, const struct br_upgrade_view *row) {
    bool *read = br_arena_array(reasons->arena, bool, reasons->after->table_count + 1);
    mark_tables(row->after->root, read);
    for (uint32_t t = 0; t < reasons->after->table_count; t++) {
        const struct br_table *after = &reasons->after->tables[t],
                              *before = br_pipeline_find_table(reasons->before, after->name);
        if (!read[t] || before == NULL || after->primary_key_count != 0)
            continue;
        const char *list = "";
        uint32_t index;
        for (uint32_t c = 0; c < after->row_type.column_count; c++)
            if (after->used[c] &&
                (upgrade_find_column(&before->row_type, after->row_type.columns[c].name, &index) == NULL ||
                 !before->used[index]))
                list = br_arena_printf(reasons->arena, "%s%s%s", list, *list == '\0' ? "" : ", ",
                                       after->row_type.columns[c].name);
        if (*list != '\0')
            upgrade_reason(reasons,
                           "table %s: %s is read too from now on; an event in which it can't be is quarantined",
                           after->name, list);
    }
}

static void judge(struct br_upgrade *upgrade, struct br_upgrade_view *row) {
    struct upgrade_reasons reasons = {.arena = upgrade->arena, .before = upgrade->before, .after = upgrade->after};
    if (row->before == NULL) {
        row->verdict = BR_UPGRADE_NEW;
        set_reads(upgrade, row);
    } else if (row->after == NULL) {
        row->verdict = BR_UPGRADE_REMOVED;
        upgrade_reason(&reasons, "its messages stay until the stream's limits take them");
    } else if (same_state(upgrade, row->before, row->after)) {
        row->verdict = BR_UPGRADE_KEEP;
        row->messages_change = note_messages(&reasons, row->before, row->after, true);
        note_columns(&reasons, row);
        note_labels(&reasons, row);
    } else {
        row->verdict = BR_UPGRADE_REBUILD;
        upgrade_explain(&reasons, row->before, row->after);
        row->only_functions = reasons.functions && !reasons.others;
        row->messages_change = note_messages(&reasons, row->before, row->after, false);
        set_reads(upgrade, row);
    }
    row->why =
        reasons.text.len == 0 ? "" : br_arena_strndup(upgrade->arena, (const char *)reasons.text.ptr, reasons.text.len);
    br_buffer_free(&reasons.text);
}

// --- whose state is taken over (U3)
static void mark_nodes(const struct br_node *node, bool *nodes) {
    nodes[node->id] = true;
    for (uint32_t i = 0; i < node->input_count; i++)
        mark_nodes(node->inputs[i], nodes);
}

static bool shares_rows(const struct br_upgrade *upgrade, const bool *one, const bool *other) {
    const struct br_pipeline *pipeline = upgrade->after;
    for (uint32_t n = 0; n < pipeline->node_count; n++) {
        const struct br_node *node = pipeline->nodes[n];
        bool apart = node->kind == BR_NODE_SOURCE && !upgrade->grown[node->source.table->index];
        if (one[n] && other[n] && node->state_table_count != 0 && !apart)
            return true;
    }
    return false;
}

static void find_grown(struct br_upgrade *upgrade) {
    upgrade->grown = br_arena_array(upgrade->arena, bool, upgrade->after->table_count + 1);
    for (uint32_t t = 0; t < upgrade->after->table_count; t++) {
        const struct br_table *after = &upgrade->after->tables[t],
                              *before = br_pipeline_find_table(upgrade->before, after->name);
        uint32_t index = 0;
        for (uint32_t c = 0; before != NULL && c < after->row_type.column_count; c++) {
            const struct br_column_def *now = &after->row_type.columns[c],
                                       *was = upgrade_find_column(&before->row_type, now->name, &index);
            const char *why, *more = NULL;
            if (was != NULL && after->used[c] &&
                upgrade_same_labels(upgrade->arena, &before->row_type, was, &after->row_type, now, &why, &more))
                upgrade->grown[t] |= more != NULL;
        }
    }
}

// A view that is computed and has stored rows in common with this one; NULL: there is none.
static const struct br_upgrade_view *find_sharer(const struct br_upgrade *upgrade, const struct br_upgrade_view *row) {
    const struct br_pipeline *pipeline = upgrade->after;
    const struct br_upgrade_view *found = NULL;
    bool *own = br_calloc(pipeline->node_count + 1, sizeof *own);
    mark_nodes(row->after->root, own);
    for (uint32_t i = 0; i < upgrade->view_count && found == NULL; i++) {
        const struct br_upgrade_view *other = &upgrade->views[i];
        if (other->after == NULL || other->takes_state)
            continue;
        bool *others = br_calloc(pipeline->node_count + 1, sizeof *others);
        mark_nodes(other->after->root, others);
        if (shares_rows(upgrade, own, others))
            found = other;
        free(others);
    }
    free(own);
    return found;
}

static bool reads_any(const struct br_upgrade *upgrade, const struct br_view *view, const bool *tables) {
    bool any = false;
    bool *read = br_calloc(upgrade->after->table_count + 1, sizeof *read);
    mark_tables(view->root, read);
    for (uint32_t t = 0; t < upgrade->after->table_count && tables != NULL; t++)
        any |= read[t] && tables[t];
    free(read);
    return any;
}

// Each view that is found to be computed anew may draw others along.
void br_upgrade_settle(struct br_upgrade *upgrade, const bool *anew, const char *why) {
    for (uint32_t i = 0; i < upgrade->view_count; i++) {
        struct br_upgrade_view *row = &upgrade->views[i];
        bool barred = row->verdict == BR_UPGRADE_KEEP && reads_any(upgrade, row->after, anew);
        row->takes_state = row->verdict == BR_UPGRADE_KEEP && !barred;
        row->again = barred ? br_arena_strdup(upgrade->arena, why) : "";
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < upgrade->view_count; i++) {
            struct br_upgrade_view *row = &upgrade->views[i];
            const struct br_upgrade_view *sharer = row->takes_state ? find_sharer(upgrade, row) : NULL;
            if (sharer == NULL)
                continue;
            row->takes_state = false;
            row->again = br_arena_printf(upgrade->arena, "shares stored rows with view %s", sharer->view);
            changed = true;
        }
    }
}

void br_upgrade_sleeping(const struct br_upgrade *upgrade, bool *ret_tables) {
    uint32_t count = upgrade->after->table_count;
    bool *awake = br_calloc(count + 1, sizeof *awake);
    memset(ret_tables, 0, count * sizeof *ret_tables);
    for (uint32_t i = 0; i < upgrade->view_count; i++)
        if (upgrade->views[i].after != NULL)
            mark_tables(upgrade->views[i].after->root, upgrade->views[i].takes_state ? ret_tables : awake);
    for (uint32_t t = 0; t < count; t++)
        ret_tables[t] &= !awake[t];
    free(awake);
}

struct br_upgrade *br_upgrade_compare(const struct br_pipeline *before, const struct br_pipeline *after) {
    struct br_arena *arena = br_arena_create();
    struct br_upgrade *upgrade = br_arena_new(arena, struct br_upgrade);
    *upgrade = (struct br_upgrade){.before = before, .after = after, .arena = arena};
    upgrade->views = br_arena_array(arena, struct br_upgrade_view, before->view_count + after->view_count + 1);
    for (uint32_t v = 0; v < after->view_count; v++) {
        const struct br_view *view = &after->views[v];
        upgrade->views[upgrade->view_count++] = (struct br_upgrade_view){
            .view = view->name, .before = br_pipeline_find_view(before, view->name), .after = view};
    }
    for (uint32_t v = 0; v < before->view_count; v++)
        if (br_pipeline_find_view(after, before->views[v].name) == NULL)
            upgrade->views[upgrade->view_count++] =
                (struct br_upgrade_view){.view = before->views[v].name, .before = &before->views[v]};
    find_grown(upgrade);
    for (uint32_t i = 0; i < upgrade->view_count; i++) {
        judge(upgrade, &upgrade->views[i]);
        upgrade->counts[upgrade->views[i].verdict]++;
    }
    br_upgrade_settle(upgrade, NULL, "");
    upgrade_find_moves(upgrade);
    return upgrade;
}

void br_upgrade_destroy(struct br_upgrade **upgrade) {
    if (*upgrade == NULL)
        return;
    struct br_arena *arena = (*upgrade)->arena;
    *upgrade = NULL;
    br_arena_destroy(&arena);
}

const struct br_upgrade_view *br_upgrade_find(const struct br_upgrade *upgrade, const char *view) {
    for (uint32_t i = 0; i < upgrade->view_count; i++)
        if (strcmp(upgrade->views[i].view, view) == 0)
            return &upgrade->views[i];
    return NULL;
}

// --- printing
static const char *reads_text(const struct br_upgrade *upgrade, const struct br_upgrade_view *row) {
    const char *list = "";
    for (uint32_t i = 0; i < row->read_count; i++)
        list = br_arena_printf(upgrade->arena, "%s%s%s", list, i == 0 ? "" : ", ", row->reads[i]);
    return row->read_count == 0 ? "-" : list;
}

static int wider(int width, const char *text) {
    int length = (int)strlen(text);
    return length > width ? length : width;
}

static void print_text(const struct br_upgrade *upgrade, struct br_buffer *out) {
    int view_width = 4, reads_width = 5;
    for (uint32_t i = 0; i < upgrade->view_count; i++) {
        view_width = wider(view_width, upgrade->views[i].view);
        reads_width = wider(reads_width, reads_text(upgrade, &upgrade->views[i]));
    }
    br_buffer_printf(out, "pipeline %s: plan %016" PRIx64 " -> %016" PRIx64 "\n", upgrade->after->name,
                     upgrade->before->plan_hash, upgrade->after->plan_hash);
    br_buffer_printf(out, "  %-*s  verdict  %-*s  why\n", view_width, "view", reads_width, "reads");
    for (uint32_t i = 0; i < upgrade->view_count; i++) {
        const struct br_upgrade_view *row = &upgrade->views[i];
        br_buffer_printf(out, "  %-*s  %-7s  %-*s  %s\n", view_width, row->view, br_upgrade_verdict_name(row->verdict),
                         reads_width, reads_text(upgrade, row), *row->why == '\0' ? "-" : row->why);
    }
    br_buffer_printf(out, "%u kept, %u rebuilt, %u new, %u removed\n", upgrade->counts[BR_UPGRADE_KEEP],
                     upgrade->counts[BR_UPGRADE_REBUILD], upgrade->counts[BR_UPGRADE_NEW],
                     upgrade->counts[BR_UPGRADE_REMOVED]);
    for (uint32_t i = 0; i < upgrade->move_count; i++)
        br_buffer_printf(out, "%s  %s\n", i == 0 ? "field numbers move\n" : "", upgrade->moves[i].text);
}

static void put_member(struct br_buffer *out, const char *name, const char *text) {
    br_buffer_printf(out, "\"%s\":", name);
    br_json_append_string(br_slice_of(text), out);
}

static void print_json(const struct br_upgrade *upgrade, struct br_buffer *out) {
    br_buffer_append_byte(out, '{');
    put_member(out, "pipeline", upgrade->after->name);
    br_buffer_printf(out, ",\"plan_before\":\"%016" PRIx64 "\",\"plan_after\":\"%016" PRIx64 "\",\"views\":[",
                     upgrade->before->plan_hash, upgrade->after->plan_hash);
    for (uint32_t i = 0; i < upgrade->view_count; i++) {
        const struct br_upgrade_view *row = &upgrade->views[i];
        br_buffer_append_text(out, i == 0 ? "{" : ",{");
        put_member(out, "view", row->view);
        br_buffer_append_byte(out, ',');
        put_member(out, "verdict", br_upgrade_verdict_name(row->verdict));
        br_buffer_append_byte(out, ',');
        put_member(out, "why", row->why);
        br_buffer_append_text(out, ",\"reads\":[");
        for (uint32_t t = 0; t < row->read_count; t++) {
            br_buffer_append_text(out, t == 0 ? "" : ",");
            br_json_append_string(br_slice_of(row->reads[t]), out);
        }
        br_buffer_printf(out, "],\"messages_change\":%s}", row->messages_change ? "true" : "false");
    }
    br_buffer_append_text(out, "],\"moves\":[");
    for (uint32_t i = 0; i < upgrade->move_count; i++) {
        br_buffer_append_text(out, i == 0 ? "{" : ",{");
        put_member(out, "message", upgrade->moves[i].message);
        br_buffer_append_byte(out, ',');
        put_member(out, "text", upgrade->moves[i].text);
        br_buffer_append_byte(out, '}');
    }
    br_buffer_append_text(out, "]}\n");
}

void br_upgrade_print(const struct br_upgrade *upgrade, bool json, struct br_buffer *out) {
    (json ? print_json : print_text)(upgrade, out);
}
