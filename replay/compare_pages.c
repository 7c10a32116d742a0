// SPDX-License-Identifier: Apache-2.0
// The rows of one side's view as pages in key order, made by a thread of its own.
//
// The graph's scan pushes; the merge pulls. Between them is a ring of PAGES pages: the thread copies what the scan
// gives into free ones, the merge gives each back when it takes the next. A view that isn't scanned in the order of the
// comparison is sorted first. Whoever closes early cancels the scan at its next batch.
#include "replay/compare_internal.h"
#include "state/keys.h"

#include <pthread.h>

#define PAGES 8
#define SORT_BYTES ((size_t)64 << 20)

struct br_pages {
    const struct br_compare_side *side;
    const struct br_view *view; // NULL: no rows
    const struct br_line_up *line_up;
    const struct br_expr *condition; // NULL: none
    const struct br_compare_options *options;
    // the thread's own
    struct br_arena *scratch; // of the condition; one batch
    struct br_sorter *sorter; // NULL: the scan is in order
    enum br_type *types;
    struct br_buffer key, last_key;
    bool any; // last_key is one
    struct br_column *exact;
    // shared, under the mutex
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t filled, freed;
    struct br_page ring[PAGES];
    uint64_t filled_count, freed_count;
    bool ended, cancelled;
    enum br_status status;
    struct br_error error;
    // the merge's own
    bool holds; // page freed_count % PAGES is in use
};

// --- the thread
// The next page to fill; NULL: the merge wants no more.
static struct br_page *free_page(struct br_pages *pages) {
    pthread_mutex_lock(&pages->mutex);
    while (pages->filled_count - pages->freed_count == PAGES && !pages->cancelled)
        pthread_cond_wait(&pages->freed, &pages->mutex);
    struct br_page *page = pages->cancelled ? NULL : &pages->ring[pages->filled_count % PAGES];
    pthread_mutex_unlock(&pages->mutex);
    if (page != NULL)
        br_arena_reset(page->arena);
    return page;
}

static void give_page(struct br_pages *pages) {
    pthread_mutex_lock(&pages->mutex);
    pages->filled_count++;
    pthread_cond_signal(&pages->filled);
    pthread_mutex_unlock(&pages->mutex);
}

static enum br_status cancelled(struct br_error *error) {
    return br_error_set(error, BR_RETRY, "the comparison was ended");
}

// A keyed view has one row per key; what isn't in ascending order was sorted before.
static enum br_status check_order(struct br_pages *pages, const struct br_page *page, struct br_error *error) {
    uint32_t count = page->batch->row_count;
    for (uint32_t r = 0; r < count; r++) {
        struct br_slice last = r == 0 ? br_buffer_slice(&pages->last_key) : page->keys[r - 1];
        if ((r != 0 || pages->any) && br_slice_compare(last, page->keys[r]) >= 0)
            return br_error_set(error, BR_FATAL, "view %s: rows came %s: a fault of the engine", pages->view->name,
                                br_slice_equal(last, page->keys[r]) ? "twice for one key" : "out of key order");
    }
    pages->any = true;
    br_buffer_clear(&pages->last_key);
    br_buffer_append_slice(&pages->last_key, page->keys[count - 1]);
    return BR_OK;
}

static enum br_status take_ordered(struct br_pages *pages, const struct br_batch *batch, struct br_error *error) {
    const struct br_line_up *line_up = pages->line_up;
    struct br_page *page = free_page(pages);
    if (page == NULL)
        return cancelled(error);
    page->batch = br_batch_copy(batch, page->arena);
    page->keys = br_arena_alloc(page->arena, batch->row_count * sizeof *page->keys);
    page->exact_sizes = NULL;
    br_batch_keys(page->batch, line_up->key_columns, line_up->key_count, page->arena, page->keys);
    BR_TRY(check_order(pages, page, error));
    give_page(pages);
    return BR_OK;
}

static void append_row_key(struct br_pages *pages, const struct br_batch *batch, uint32_t row) {
    const struct br_line_up *line_up = pages->line_up;
    struct br_batch aligned = {.row_count = batch->row_count, .columns = pages->exact};
    for (uint32_t c = 0; c < line_up->exact_count; c++) {
        uint32_t column = line_up->exact_columns[c];
        if (column == BR_NO_COLUMN)
            pages->exact[c] = (struct br_column){.type = BR_BOOLEAN};
        else
            pages->exact[c] = batch->columns[column];
    }
    aligned.column_count = line_up->exact_count;
    br_row_encode(&aligned, row, NULL, line_up->exact_count, &pages->key);
}

static enum br_status sort_row(struct br_pages *pages, const struct br_batch *batch, uint32_t row,
                               struct br_error *error) {
    const struct br_line_up *line_up = pages->line_up;
    br_buffer_clear(&pages->key);
    if (!line_up->keyed)
        append_row_key(pages, batch, row);
    size_t exact_size = pages->key.len;
    uint32_t count = line_up->keyed ? line_up->key_count : line_up->tolerant_count;
    const uint32_t *columns = line_up->keyed ? line_up->key_columns : line_up->tolerant_columns;
    for (uint32_t k = 0; k < count; k++) {
        const struct br_column *column = &batch->columns[columns[k]];
        if (column->values == NULL)
            br_key_append_null(&pages->key);
        else
            br_key_append_value(&pages->key, column, row);
    }
    BR_CHECK(exact_size <= UINT32_MAX);
    return br_sorter_add(pages->sorter, br_buffer_slice(&pages->key), (uint32_t)exact_size, batch, row, error);
}

static bool is_cancelled(struct br_pages *pages) {
    pthread_mutex_lock(&pages->mutex);
    bool is = pages->cancelled;
    pthread_mutex_unlock(&pages->mutex);
    return is || br_flag_is_set(pages->options->stop);
}

// A row for which the condition fails isn't one for which it is true.
static enum br_status leave_out(struct br_pages *pages, const struct br_batch **batch, struct br_error *error) {
    br_arena_reset(pages->scratch);
    uint32_t count = (*batch)->row_count, kept = 0;
    struct br_eval eval = {.arena = pages->scratch, .now = pages->side->epoch->now};
    struct br_column result;
    BR_TRY(br_expr_eval(pages->condition, *batch, NULL, &eval, &result, error));
    uint32_t *keep = br_arena_array(pages->scratch, uint32_t, count);
    const bool *holds = result.values;
    for (uint32_t r = 0; r < count; r++) {
        bool failed = eval.failed != NULL && br_bit(eval.failed, r);
        if (!failed && !br_column_is_null(&result, r) && holds[r])
            keep[kept++] = r;
    }
    if (kept < count)
        *batch = br_batch_select(*batch, keep, kept, pages->scratch);
    return BR_OK;
}

static enum br_status take_batch(void *context, const struct br_batch *batch, struct br_error *error) {
    struct br_pages *pages = context;
    if (pages->condition != NULL && batch->row_count != 0)
        BR_TRY(leave_out(pages, &batch, error));
    if (batch->row_count == 0)
        return BR_OK;
    if (pages->sorter == NULL)
        return take_ordered(pages, batch, error);
    if (is_cancelled(pages))
        return cancelled(error);
    for (uint32_t r = 0; r < batch->row_count; r++)
        BR_TRY(sort_row(pages, batch, r, error));
    return BR_OK;
}

static enum br_status give_sorted(struct br_pages *pages, struct br_error *error) {
    BR_TRY(br_sorter_finish(pages->sorter, error));
    for (;;) {
        struct br_page *page = free_page(pages);
        if (page == NULL)
            return cancelled(error);
        BR_TRY(br_sorter_fill(pages->sorter, page, error));
        if (page->batch->row_count == 0)
            return BR_OK;
        if (pages->line_up->keyed)
            BR_TRY(check_order(pages, page, error));
        give_page(pages);
    }
}

static enum br_status scan_side(struct br_pages *pages, struct br_error *error) {
    const struct br_compare_side *side = pages->side;
    uint32_t view = pages->view->index;
    if (side->published == NULL)
        return br_graph_scan(side->graph, view, side->epoch, take_batch, pages, error);
    if (br_published_gap(side->published, view) != NULL)
        return br_error_set(error, BR_DATA, "what its subscribers know can't be told: %s",
                            br_published_gap(side->published, view));
    return br_published_scan(side->published, view, take_batch, pages, error);
}

static void *read_view(void *context) {
    struct br_pages *pages = context;
    struct br_error error = {0};
    enum br_status status = scan_side(pages, &error);
    if (status == BR_OK && pages->sorter != NULL)
        status = give_sorted(pages, &error);
    pthread_mutex_lock(&pages->mutex);
    pages->ended = true;
    pages->status = status;
    pages->error = error;
    pthread_cond_signal(&pages->filled);
    pthread_mutex_unlock(&pages->mutex);
    return NULL;
}

// --- the merge
static void prepare_sort(struct br_pages *pages) {
    const struct br_row_type *row_type = &pages->view->row_type;
    const struct br_compare_options *options = pages->options;
    pages->types = br_calloc(row_type->column_count + 1, sizeof *pages->types);
    for (uint32_t c = 0; c < row_type->column_count; c++)
        pages->types[c] = row_type->columns[c].type;
    pages->exact = br_calloc(pages->line_up->exact_count + 1, sizeof *pages->exact);
    pages->sorter = br_sorter_create(pages->types, row_type->column_count,
                                     options->sort_bytes != 0 ? options->sort_bytes : SORT_BYTES, options->sort_folder);
}

enum br_status br_pages_open(const struct br_compare_side *side, const struct br_view *view,
                             const struct br_line_up *line_up, const struct br_expr *condition,
                             const struct br_compare_options *options, struct br_pages **ret_pages,
                             struct br_error *error) {
    struct br_pages *pages = br_calloc(1, sizeof *pages);
    *pages =
        (struct br_pages){.side = side, .view = view, .line_up = line_up, .condition = condition, .options = options};
    if (condition != NULL)
        pages->scratch = br_arena_create();
    pthread_mutex_init(&pages->mutex, NULL);
    pthread_cond_init(&pages->filled, NULL);
    pthread_cond_init(&pages->freed, NULL);
    for (int p = 0; p < PAGES; p++)
        pages->ring[p].arena = br_arena_create();
    pages->ended = view == NULL;
    if (view != NULL) {
        if (!line_up->ordered || side->published != NULL)
            prepare_sort(pages);
        int native = pthread_create(&pages->thread, NULL, read_view, pages);
        pages->started = native == 0;
        if (native != 0) {
            br_pages_close(&pages);
            return br_error_set_native(error, BR_RETRY, native, "cannot start a thread to read view %s: %s", view->name,
                                       strerror(native));
        }
    }
    *ret_pages = pages;
    return BR_OK;
}

enum br_status br_pages_next(struct br_pages *pages, const struct br_page **ret_page, struct br_error *error) {
    enum br_status status = BR_OK;
    *ret_page = NULL;
    pthread_mutex_lock(&pages->mutex);
    if (pages->holds) {
        pages->freed_count++;
        pages->holds = false;
        pthread_cond_signal(&pages->freed);
    }
    while (pages->filled_count == pages->freed_count && !pages->ended)
        pthread_cond_wait(&pages->filled, &pages->mutex);
    if (pages->filled_count != pages->freed_count) {
        *ret_page = &pages->ring[pages->freed_count % PAGES];
        pages->holds = true;
    } else if (pages->status != BR_OK) {
        status = pages->status;
        *error = pages->error;
    }
    pthread_mutex_unlock(&pages->mutex);
    return status;
}

void br_pages_close(struct br_pages **ref) {
    struct br_pages *pages = *ref;
    *ref = NULL;
    if (pages == NULL)
        return;
    pthread_mutex_lock(&pages->mutex);
    pages->cancelled = true;
    pthread_cond_signal(&pages->freed);
    pthread_mutex_unlock(&pages->mutex);
    if (pages->started)
        pthread_join(pages->thread, NULL);
    for (int p = 0; p < PAGES; p++)
        br_arena_destroy(&pages->ring[p].arena);
    br_sorter_destroy(&pages->sorter);
    br_arena_destroy(&pages->scratch);
    br_buffer_free(&pages->key);
    br_buffer_free(&pages->last_key);
    free(pages->exact);
    free(pages->types);
    pthread_cond_destroy(&pages->filled);
    pthread_cond_destroy(&pages->freed);
    pthread_mutex_destroy(&pages->mutex);
    free(pages);
}
