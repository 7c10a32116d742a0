// SPDX-License-Identifier: Apache-2.0
// See bag.h for the format and rules B1..B3.
#include "processor/operators/bag.h"
#include "processor/operators/operator_internal.h"

// A tail is written out as a chunk when the next record would pass this many bytes.
#define TAIL_SIZE_MAX 4096
// Fewer new records than this are left alone.
#define REWRITE_MIN 32

struct head {
    int64_t total;
    uint32_t records, negatives, chunks, used, clean, unused;
};
_Static_assert(sizeof(struct head) == BR_BAG_HEAD_SIZE, "as stored");

struct record {
    int64_t weight;
    struct br_slice bytes;
    size_t size; // of the whole record; 0: malformed
};

static struct head head_of(const struct br_entry *entry) {
    struct head head;
    memcpy(&head, entry->value, sizeof head);
    return head;
}

static void set_head(struct br_entry *entry, const struct head *head) {
    memcpy(entry->value, head, sizeof *head);
}

static struct record read_record(const uint8_t *at, const uint8_t *end) {
    uint64_t weight, len;
    size_t first = br_varint_get(at, end, &weight);
    size_t second = first == 0 ? 0 : br_varint_get(at + first, end, &len);
    if (second == 0 || len > (uint64_t)(end - at) - first - second)
        return (struct record){0};
    return (struct record){br_unzigzag(weight), {at + first + second, len}, first + second + len};
}

static enum br_status damaged(struct br_error *error) {
    return br_error_set(error, BR_FATAL, "damaged state: malformed rows of a join");
}

// --- reading
static void append_row(struct br_bag_rows *rows, struct br_arena *arena, struct br_bag_row row) {
    if (rows->count == rows->capacity) {
        size_t capacity = rows->capacity == 0 ? 16 : 2 * rows->capacity;
        struct br_bag_row *larger = br_arena_alloc(arena, capacity * sizeof *larger);
        if (rows->count != 0)
            memcpy(larger, rows->rows, rows->count * sizeof *larger);
        rows->rows = larger;
        rows->capacity = capacity;
    }
    rows->rows[rows->count++] = row;
}

static enum br_status read_records(const uint8_t *at, size_t len, struct br_arena *arena, struct br_bag_rows *rows,
                                   struct br_error *error) {
    const uint8_t *end = at + len;
    while (at < end) {
        struct record record = read_record(at, end);
        if (record.size == 0)
            return damaged(error);
        append_row(rows, arena, (struct br_bag_row){record.bytes, record.weight});
        at += record.size;
    }
    return BR_OK;
}

enum br_status br_bag_read_value(struct br_slice value, bool is_head, struct br_arena *arena, struct br_bag_rows *rows,
                                 struct br_error *error) {
    if (!is_head)
        return read_records(value.ptr, value.len, arena, rows, error);
    struct head head;
    if (value.len < sizeof head)
        return damaged(error);
    memcpy(&head, value.ptr, sizeof head);
    if (head.used > value.len - sizeof head)
        return damaged(error);
    return read_records(value.ptr + sizeof head, head.used, arena, rows, error);
}

static struct br_slice chunk_key(const struct br_entry *entry, uint32_t number, struct br_arena *arena) {
    uint8_t *key = br_arena_alloc(arena, entry->key_len + 4);
    memcpy(key, entry->key, entry->key_len);
    br_be32_put(key + entry->key_len, number);
    return (struct br_slice){key, entry->key_len + 4};
}

bool br_bag_is_chunk(struct br_slice key, struct br_slice head) {
    return key.len == head.len + 4 && memcmp(key.ptr, head.ptr, head.len) == 0;
}

static enum br_status read_chunks(struct br_state_table *table, const struct br_entry *entry, uint32_t count,
                                  struct br_arena *arena, struct br_bag_rows *rows, struct br_error *error) {
    struct br_slice *keys = br_arena_alloc(arena, count * sizeof *keys);
    uint64_t *hashes = br_arena_alloc(arena, count * sizeof *hashes);
    struct br_entry **chunks = br_arena_alloc(arena, count * sizeof(struct br_entry *));
    for (uint32_t c = 0; c < count; c++) {
        keys[c] = chunk_key(entry, c, arena);
        hashes[c] = br_state_hash(keys[c]);
    }
    BR_TRY(br_state_find_many(table, keys, hashes, count, chunks, error));
    for (uint32_t c = 0; c < count; c++) {
        if (chunks[c] == NULL)
            return damaged(error);
        BR_TRY(read_records(chunks[c]->value, chunks[c]->value_len, arena, rows, error));
    }
    return BR_OK;
}

void br_bag_consolidate(struct br_bag_rows *rows, struct br_arena *arena) {
    BR_CHECK(rows->count <= UINT32_MAX);
    struct br_sort_item *items = br_arena_alloc(arena, rows->count * sizeof *items);
    for (size_t i = 0; i < rows->count; i++)
        items[i] = (struct br_sort_item){.key = rows->rows[i].bytes, .index = (uint32_t)i};
    br_sort_items(items, rows->count, arena);
    struct br_bag_row *kept = br_arena_alloc(arena, rows->count * sizeof *kept);
    size_t count = 0;
    for (size_t begin = 0, end; begin < rows->count; begin = end) {
        struct br_bag_row row = {items[begin].key, 0};
        for (end = begin; end < rows->count && br_slice_equal(items[end].key, row.bytes); end++)
            row.weight += rows->rows[items[end].index].weight;
        if (row.weight != 0)
            kept[count++] = row;
    }
    rows->rows = kept;
    rows->capacity = rows->count;
    rows->count = count;
}

enum br_status br_bag_read(struct br_state_table *table, const struct br_entry *entry, struct br_arena *arena,
                           struct br_bag_rows *rows, struct br_error *error) {
    if (entry->value_len < sizeof(struct head))
        return damaged(error);
    struct head head = head_of(entry);
    struct br_bag_rows own = {0}, *read = head.negatives == 0 ? rows : &own;
    if (head.chunks != 0)
        BR_TRY(read_chunks(table, entry, head.chunks, arena, read, error));
    BR_TRY(br_bag_read_value((struct br_slice){entry->value, entry->value_len}, true, arena, read, error));
    if (read == rows)
        return BR_OK;
    br_bag_consolidate(&own, arena);
    for (size_t i = 0; i < own.count; i++)
        append_row(rows, arena, own.rows[i]);
    return BR_OK;
}

int64_t br_bag_total(const struct br_entry *entry) {
    return head_of(entry).total;
}

bool br_bag_is_empty(const struct br_entry *entry) {
    return head_of(entry).records == 0;
}

// --- writing
static enum br_status spill_tail(struct br_state_table *table, struct br_entry *entry, struct head *head,
                                 struct br_arena *arena, struct br_error *error) {
    struct br_slice tail = {entry->value + sizeof *head, head->used};
    BR_TRY(br_state_put(table, chunk_key(entry, head->chunks, arena), tail, error));
    head->chunks++;
    head->used = 0;
    return BR_OK;
}

// The first record gets what it needs; later ones get room for more.
static void make_room(struct br_state_table *table, struct br_entry *entry, const struct head *head, size_t size) {
    size_t needed = sizeof *head + head->used + size, capacity = needed;
    if (needed <= entry->value_len)
        return;
    if (head->used != 0)
        for (capacity = 64; capacity < needed;)
            capacity *= 2;
    br_entry_resize(table, entry, (uint32_t)capacity);
}

static enum br_status append_record(struct br_state_table *table, struct br_entry *entry, struct head *head,
                                    struct br_slice row, int64_t weight, struct br_arena *arena,
                                    struct br_error *error) {
    uint8_t prefix[2 * BR_VARINT_SIZE_MAX];
    size_t prefix_len = br_varint_put(prefix, br_zigzag(weight));
    prefix_len += br_varint_put(prefix + prefix_len, row.len);
    size_t size = prefix_len + row.len;
    BR_CHECK(size < UINT32_MAX / 4);
    if (head->used != 0 && head->used + size > TAIL_SIZE_MAX)
        BR_TRY(spill_tail(table, entry, head, arena, error));
    make_room(table, entry, head, size);
    uint8_t *at = entry->value + sizeof *head + head->used;
    memcpy(at, prefix, prefix_len);
    if (row.len != 0)
        memcpy(at + prefix_len, row.ptr, row.len);
    head->used += (uint32_t)size;
    head->records++;
    head->negatives += weight < 0;
    return BR_OK;
}

// Takes a record of the row out of the tail; its weight, 0 when there is none.
static int64_t take_from_tail(struct br_entry *entry, struct head *head, struct br_slice row) {
    uint8_t *at = entry->value + sizeof *head, *end = at + head->used;
    while (at < end) {
        struct record record = read_record(at, end);
        BR_CHECK(record.size != 0);
        if (!br_slice_equal(record.bytes, row)) {
            at += record.size;
            continue;
        }
        memmove(at, at + record.size, (size_t)(end - at) - record.size);
        memset(end - record.size, 0, record.size);
        head->used -= (uint32_t)record.size;
        head->records--;
        head->negatives -= record.weight < 0;
        return record.weight;
    }
    return 0;
}

static enum br_status delete_chunks(struct br_state_table *table, const struct br_entry *entry, uint32_t count,
                                    struct br_arena *arena, struct br_error *error) {
    for (uint32_t c = 0; c < count; c++)
        BR_TRY(br_state_delete(table, chunk_key(entry, c, arena), error));
    return BR_OK;
}

// The head is left to the caller to put in place.
static enum br_status write_rows(struct br_state_table *table, struct br_entry *entry, struct head *head,
                                 const struct br_bag_rows *rows, struct br_arena *arena, struct br_error *error) {
    struct br_slice *copies = br_arena_alloc(arena, rows->count * sizeof *copies);
    for (size_t i = 0; i < rows->count; i++)
        copies[i] = br_arena_copy(arena, rows->rows[i].bytes);
    BR_TRY(delete_chunks(table, entry, head->chunks, arena, error));
    *head = (struct head){0};
    br_entry_resize(table, entry, sizeof *head);
    for (size_t i = 0; i < rows->count; i++) {
        head->total += rows->rows[i].weight;
        BR_TRY(append_record(table, entry, head, copies[i], rows->rows[i].weight, arena, error));
    }
    head->clean = head->records;
    return BR_OK;
}

static enum br_status rewrite(struct br_state_table *table, struct br_entry *entry, struct head *head,
                              struct br_arena *arena, struct br_error *error) {
    struct br_bag_rows rows = {0};
    BR_TRY(br_bag_read(table, entry, arena, &rows, error));
    br_bag_consolidate(&rows, arena);
    return write_rows(table, entry, head, &rows, arena, error);
}

enum br_status br_bag_write(struct br_state_table *table, struct br_entry *entry, const struct br_bag_rows *rows,
                            struct br_arena *arena, struct br_error *error) {
    if (entry->value_len < sizeof(struct head))
        return damaged(error);
    struct head head = head_of(entry);
    BR_TRY(write_rows(table, entry, &head, rows, arena, error));
    set_head(entry, &head);
    return BR_OK;
}

enum br_status br_bag_remove(struct br_state_table *table, struct br_entry *entry, struct br_arena *arena,
                             struct br_error *error) {
    if (entry->value_len < sizeof(struct head))
        return damaged(error);
    BR_TRY(delete_chunks(table, entry, head_of(entry).chunks, arena, error));
    br_entry_delete(table, entry);
    return BR_OK;
}

static bool wants_rewrite(const struct head *head) {
    if (head->total == 0)
        return head->records != 0;
    return head->negatives != 0 && head->records > head->clean + head->clean / 2 + REWRITE_MIN;
}

enum br_status br_bag_add(struct br_state_table *table, struct br_entry *entry, struct br_slice row, int64_t weight,
                          struct br_arena *arena, struct br_error *error) {
    if (entry->value_len < sizeof(struct head))
        return damaged(error);
    struct head head = head_of(entry);
    br_entry_mark_dirty(table, entry);
    head.total += weight;
    if (weight < 0 || head.negatives != 0)
        weight += take_from_tail(entry, &head, row);
    if (weight != 0)
        BR_TRY(append_record(table, entry, &head, row, weight, arena, error));
    set_head(entry, &head);
    if (!wants_rewrite(&head))
        return BR_OK;
    BR_TRY(rewrite(table, entry, &head, arena, error));
    set_head(entry, &head);
    return BR_OK;
}
