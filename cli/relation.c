// SPDX-License-Identifier: Apache-2.0
// See relation.h. A state table per view, in memory: key JSON → count (8 bytes) and row JSON.
#include "cli/relation.h"

#include "state/table.h"

#define BUDGET_BYTES ((size_t)1 << 30)
#define COUNT_SIZE 8

struct br_relation {
    const struct br_pipeline *pipeline;
    struct br_state *state;
    struct br_state_table **tables;
    struct br_buffer old, fresh;
    uint64_t applied;
};

enum br_status br_relation_create(const struct br_pipeline *pipeline, struct br_relation **ret_relation,
                                  struct br_error *error) {
    struct br_relation *relation = br_calloc(1, sizeof *relation);
    relation->pipeline = pipeline;
    relation->tables = br_calloc(pipeline->view_count + 1, sizeof(struct br_state_table *));
    enum br_status status = br_state_create(br_store_create_memory(), BUDGET_BYTES, &relation->state, error);
    if (status != BR_OK) {
        br_relation_destroy(&relation);
        return status;
    }
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        relation->tables[v] = br_state_open_table(relation->state, (uint16_t)(v + 1), pipeline->views[v].name);
    *ret_relation = relation;
    return BR_OK;
}

void br_relation_destroy(struct br_relation **relation) {
    if (*relation == NULL)
        return;
    br_state_destroy(&(*relation)->state);
    br_buffer_free(&(*relation)->old);
    br_buffer_free(&(*relation)->fresh);
    free((*relation)->tables);
    free(*relation);
    *relation = NULL;
}

static enum br_status set(struct br_relation *relation, struct br_state_table *table, struct br_slice key,
                          uint64_t count, struct br_slice row, struct br_error *error) {
    if (count == 0)
        return br_state_delete(table, key, error);
    uint8_t head[COUNT_SIZE];
    br_be64_put(head, count);
    br_buffer_clear(&relation->fresh);
    br_buffer_append(&relation->fresh, head, sizeof head);
    br_buffer_append_slice(&relation->fresh, row);
    return br_state_put(table, key, br_buffer_slice(&relation->fresh), error);
}

enum br_status br_relation_apply(struct br_relation *relation, const struct br_output_row *row,
                                 br_relation_change change, void *context, struct br_error *error) {
    struct br_state_table *table = relation->tables[row->view->index];
    struct br_entry *entry;
    BR_TRY(br_state_find(table, row->key, br_state_hash(row->key), &entry, error));
    uint64_t count = entry != NULL ? br_be64_get(entry->value) : 0;
    br_buffer_clear(&relation->old);
    if (entry != NULL)
        br_buffer_append(&relation->old, entry->value + COUNT_SIZE, entry->value_len - COUNT_SIZE);
    bool adds = row->op == 'U' || row->op == 'I';
    bool removes = row->op == 'R' || row->op == 'D' || (row->op == 'U' && count != 0);
    if (removes && count == 0)
        return br_error_set(error, BR_DATA, "view %s, epoch %llu: a row is taken away that was never given: %.*s",
                            row->view->name, (unsigned long long)row->epoch, (int)row->row.len,
                            (const char *)row->row.ptr);
    if (removes && change != NULL)
        BR_TRY(change(context, row->view, row->epoch, -1, br_buffer_slice(&relation->old), error));
    if (adds && change != NULL)
        BR_TRY(change(context, row->view, row->epoch, 1, row->row, error));
    count += adds ? 1 : 0;
    count -= removes ? 1 : 0;
    BR_TRY(set(relation, table, row->key, count, adds ? row->row : br_buffer_slice(&relation->old), error));
    if (++relation->applied % 4096 == 0)
        br_state_end_epoch(relation->state);
    return BR_OK;
}

enum br_status br_relation_each(struct br_relation *relation, br_relation_change each, void *context,
                                struct br_error *error) {
    for (uint32_t v = 0; v < relation->pipeline->view_count; v++) {
        struct br_state_iterator *iterator;
        BR_TRY(br_state_scan(relation->tables[v], (struct br_slice){0}, (struct br_slice){0}, &iterator, error));
        struct br_slice key, value;
        enum br_status status = BR_OK;
        while (status == BR_OK && br_state_iterator_next(iterator, &key, &value)) {
            struct br_slice row = {value.ptr + COUNT_SIZE, value.len - COUNT_SIZE};
            for (uint64_t i = br_be64_get(value.ptr); i != 0 && status == BR_OK; i--)
                status = each(context, &relation->pipeline->views[v], 0, 1, row, error);
        }
        if (status == BR_OK)
            status = br_state_iterator_status(iterator, error);
        br_state_iterator_destroy(&iterator);
        BR_TRY(status);
    }
    return BR_OK;
}
