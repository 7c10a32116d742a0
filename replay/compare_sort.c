// SPDX-License-Identifier: Apache-2.0
// Rows of a view sorted by key bytes, in bounded memory: runs in one temporary file, merged when they are read.
//
// A record is varints of key length, size of the key's exact part, weight and row length, then key and row (row.h).
// The file is unlinked as soon as it is open; it holds nothing that outlives the comparison.
#include "replay/compare_internal.h"
#include "state/sort.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 << 10)
#define RECORD_HEAD_MAX (4 * BR_VARINT_SIZE_MAX)

struct record {
    struct br_slice key, row, whole;
    uint32_t exact_size;
    int64_t weight;
};

// A sorted stretch of the file, and what of it has been read.
struct run {
    uint64_t at, end;
    struct br_buffer bytes;
    size_t begin; // of what isn't given out
    struct record head;
};

struct br_sorter {
    const enum br_type *types;
    uint32_t column_count;
    size_t memory_bytes;
    const char *folder;
    // rows in memory: records one after the other, and where each begins
    struct br_buffer bytes;
    struct sort_record *records;
    size_t count, capacity, given;
    struct record head; // when nothing was written to the file
    // runs in the file, in a heap by their heads
    int file;
    uint64_t file_bytes;
    struct run **runs;
    size_t run_count;
    struct br_buffer scratch;
    bool taken; // the head has been given out
};

struct br_sorter *br_sorter_create(const enum br_type *types, uint32_t column_count, size_t memory_bytes,
                                   const char *folder) {
    struct br_sorter *sorter = br_calloc(1, sizeof *sorter);
    sorter->types = types;
    sorter->column_count = column_count;
    sorter->memory_bytes = memory_bytes;
    sorter->folder = folder;
    sorter->file = -1;
    return sorter;
}

static void destroy_run(struct run *run) {
    br_buffer_free(&run->bytes);
    free(run);
}

void br_sorter_destroy(struct br_sorter **ref) {
    struct br_sorter *sorter = *ref;
    *ref = NULL;
    if (sorter == NULL)
        return;
    for (size_t i = 0; i < sorter->run_count; i++)
        destroy_run(sorter->runs[i]);
    if (sorter->file >= 0)
        close(sorter->file);
    free(sorter->runs);
    free(sorter->records);
    br_buffer_free(&sorter->bytes);
    br_buffer_free(&sorter->scratch);
    free(sorter);
}

// --- records
// false: it is cut short.
static bool read_record(struct br_slice bytes, struct record *record) {
    uint64_t fields[4];
    const uint8_t *at = bytes.ptr, *end = bytes.ptr + bytes.len;
    for (int f = 0; f < 4; f++) {
        size_t size = br_varint_get(at, end, &fields[f]);
        if (size == 0)
            return false;
        at += size;
    }
    if (fields[0] > (uint64_t)(end - at) || fields[3] > (uint64_t)(end - at) - fields[0])
        return false;
    record->key = (struct br_slice){at, fields[0]};
    record->row = (struct br_slice){at + fields[0], fields[3]};
    record->exact_size = (uint32_t)fields[1];
    record->weight = (int64_t)fields[2];
    record->whole = (struct br_slice){bytes.ptr, (size_t)(record->row.ptr + record->row.len - bytes.ptr)};
    return true;
}

static struct record record_in_memory(const struct br_sorter *sorter, uint64_t item) {
    struct record record;
    BR_CHECK(read_record((struct br_slice){sorter->bytes.ptr + item, sorter->bytes.len - item}, &record));
    return record;
}

static struct br_slice key_of_record(const void *context, uint64_t item) {
    return record_in_memory(context, item).key;
}

// --- writing
static enum br_status open_file(struct br_sorter *sorter, struct br_error *error) {
    if (sorter->file >= 0)
        return BR_OK;
    const char *folder = sorter->folder != NULL ? sorter->folder : getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/braid-compare-XXXXXX", folder != NULL && *folder != 0 ? folder : "/tmp");
    sorter->file = mkstemp(path);
    if (sorter->file < 0)
        return br_error_set_native(error, BR_FATAL, errno, "cannot make a temporary file in %s to sort in: %s",
                                   folder != NULL && *folder != 0 ? folder : "/tmp", strerror(errno));
    unlink(path);
    return BR_OK;
}

static enum br_status write_all(struct br_sorter *sorter, struct br_slice bytes, struct br_error *error) {
    while (bytes.len != 0) {
        ssize_t written = pwrite(sorter->file, bytes.ptr, bytes.len, (off_t)sorter->file_bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return br_error_set_native(error, BR_FATAL, errno, "cannot write the temporary file of a sort: %s",
                                       strerror(errno));
        bytes.ptr += written;
        bytes.len -= (size_t)written;
        sorter->file_bytes += (uint64_t)written;
    }
    return BR_OK;
}

static void sort_memory(struct br_sorter *sorter) {
    sort_by_key(sorter->records, sorter->count, key_of_record, sorter);
}

static enum br_status write_run(struct br_sorter *sorter, struct br_error *error) {
    BR_TRY(open_file(sorter, error));
    sort_memory(sorter);
    struct run *run = br_calloc(1, sizeof *run);
    sorter->runs = br_realloc(sorter->runs, (sorter->run_count + 1) * sizeof *sorter->runs);
    sorter->runs[sorter->run_count++] = run;
    run->at = sorter->file_bytes;
    br_buffer_clear(&sorter->scratch);
    for (size_t i = 0; i < sorter->count; i++) {
        br_buffer_append_slice(&sorter->scratch, record_in_memory(sorter, sorter->records[i].item).whole);
        if (sorter->scratch.len >= READ_BYTES || i + 1 == sorter->count) {
            BR_TRY(write_all(sorter, br_buffer_slice(&sorter->scratch), error));
            br_buffer_clear(&sorter->scratch);
        }
    }
    run->end = sorter->file_bytes;
    sorter->count = 0;
    br_buffer_clear(&sorter->bytes);
    return BR_OK;
}

enum br_status br_sorter_add(struct br_sorter *sorter, struct br_slice key, uint32_t exact_size,
                             const struct br_batch *batch, uint32_t row, struct br_error *error) {
    br_buffer_clear(&sorter->scratch);
    br_row_encode(batch, row, NULL, batch->column_count, &sorter->scratch);
    size_t size = RECORD_HEAD_MAX + key.len + sorter->scratch.len;
    if (sorter->count != 0 &&
        sorter->bytes.len + size + (sorter->count + 1) * sizeof *sorter->records > sorter->memory_bytes) {
        BR_TRY(write_run(sorter, error));
        br_row_encode(batch, row, NULL, batch->column_count, &sorter->scratch);
    }
    if (sorter->count == sorter->capacity) {
        sorter->capacity = sorter->capacity == 0 ? BR_BATCH_ROWS : 2 * sorter->capacity;
        sorter->records = br_realloc(sorter->records, sorter->capacity * sizeof *sorter->records);
    }
    sorter->records[sorter->count++].item = sorter->bytes.len;
    br_buffer_append_varint(&sorter->bytes, key.len);
    br_buffer_append_varint(&sorter->bytes, exact_size);
    br_buffer_append_varint(&sorter->bytes, (uint64_t)br_batch_weight(batch, row));
    br_buffer_append_varint(&sorter->bytes, sorter->scratch.len);
    br_buffer_append_slice(&sorter->bytes, key);
    br_buffer_append_slice(&sorter->bytes, br_buffer_slice(&sorter->scratch));
    return BR_OK;
}

// --- reading back
static enum br_status read_more(struct br_sorter *sorter, struct run *run, struct br_error *error) {
    size_t left = run->bytes.len - run->begin;
    if (left != 0)
        memmove(run->bytes.ptr, run->bytes.ptr + run->begin, left);
    run->bytes.len = left;
    run->begin = 0;
    size_t want = run->end - run->at < READ_BYTES ? (size_t)(run->end - run->at) : READ_BYTES;
    uint8_t *to = br_buffer_reserve(&run->bytes, want);
    ssize_t got;
    do {
        got = pread(sorter->file, to, want, (off_t)run->at);
    } while (got < 0 && errno == EINTR);
    if (got <= 0)
        return br_error_set_native(error, BR_FATAL, errno, "cannot read the temporary file of a sort: %s",
                                   got == 0 ? "it is cut short" : strerror(errno));
    run->bytes.len += (size_t)got;
    run->at += (uint64_t)got;
    return BR_OK;
}

// *ret_more false: the run is at its end.
static enum br_status next_of_run(struct br_sorter *sorter, struct run *run, bool *ret_more, struct br_error *error) {
    *ret_more = run->begin < run->bytes.len || run->at < run->end;
    while (*ret_more) {
        struct br_slice rest = {run->bytes.ptr + run->begin, run->bytes.len - run->begin};
        if (read_record(rest, &run->head)) {
            run->begin += run->head.whole.len;
            return BR_OK;
        }
        BR_TRY(read_more(sorter, run, error));
    }
    return BR_OK;
}

static bool is_before(const struct run *a, const struct run *b) {
    return br_slice_compare(a->head.key, b->head.key) < 0;
}

static void sift_down(struct br_sorter *sorter, size_t at) {
    struct run **runs = sorter->runs;
    for (;;) {
        size_t least = at, left = 2 * at + 1, right = left + 1;
        if (left < sorter->run_count && is_before(runs[left], runs[least]))
            least = left;
        if (right < sorter->run_count && is_before(runs[right], runs[least]))
            least = right;
        if (least == at)
            return;
        struct run *run = runs[at];
        runs[at] = runs[least];
        runs[least] = run;
        at = least;
    }
}

// Takes runs that are at their end out of the heap's array.
static enum br_status step_run(struct br_sorter *sorter, size_t at, struct br_error *error) {
    bool more;
    BR_TRY(next_of_run(sorter, sorter->runs[at], &more, error));
    if (more)
        return BR_OK;
    destroy_run(sorter->runs[at]);
    sorter->runs[at] = sorter->runs[--sorter->run_count];
    return BR_OK;
}

enum br_status br_sorter_finish(struct br_sorter *sorter, struct br_error *error) {
    if (sorter->run_count == 0) {
        sort_memory(sorter);
        return BR_OK;
    }
    BR_TRY(write_run(sorter, error));
    br_buffer_free(&sorter->bytes);
    for (size_t i = sorter->run_count; i > 0; i--)
        BR_TRY(step_run(sorter, i - 1, error));
    for (size_t i = sorter->run_count / 2; i > 0; i--)
        sift_down(sorter, i - 1);
    return BR_OK;
}

// The least record that is left; valid until the next call.
static enum br_status next_record(struct br_sorter *sorter, const struct record **ret_record, struct br_error *error) {
    *ret_record = NULL;
    if (sorter->file < 0) {
        if (sorter->given == sorter->count)
            return BR_OK;
        sorter->head = record_in_memory(sorter, sorter->records[sorter->given++].item);
        *ret_record = &sorter->head;
        return BR_OK;
    }
    if (sorter->taken && sorter->run_count != 0) {
        BR_TRY(step_run(sorter, 0, error));
        sift_down(sorter, 0);
    }
    sorter->taken = true;
    if (sorter->run_count != 0)
        *ret_record = &sorter->runs[0]->head;
    return BR_OK;
}

enum br_status br_sorter_fill(struct br_sorter *sorter, struct br_page *page, struct br_error *error) {
    struct br_batch *batch = br_batch_create(page->arena, sorter->types, NULL, sorter->column_count);
    struct br_slice last_row = {0};
    page->batch = batch;
    page->keys = br_arena_array(page->arena, struct br_slice, BR_BATCH_ROWS);
    page->exact_sizes = br_arena_array(page->arena, uint32_t, BR_BATCH_ROWS);
    br_batch_need_weights(batch, page->arena);
    while (batch->row_count < BR_BATCH_ROWS) {
        const struct record *record;
        BR_TRY(next_record(sorter, &record, error));
        if (record == NULL)
            break;
        uint32_t row = batch->row_count;
        if (row != 0 && br_slice_equal(page->keys[row - 1], record->key) && br_slice_equal(last_row, record->row) &&
            batch->weights[row - 1] + record->weight <= INT32_MAX) {
            batch->weights[row - 1] += (int32_t)record->weight;
            continue;
        }
        page->keys[row] = br_arena_copy(page->arena, record->key);
        page->exact_sizes[row] = record->exact_size;
        batch->weights[row] = (int32_t)record->weight;
        last_row = br_arena_copy(page->arena, record->row);
        BR_TRY(br_row_decode(last_row, batch, row, 0, sorter->column_count, page->arena, false, error));
        batch->row_count++;
    }
    return BR_OK;
}
