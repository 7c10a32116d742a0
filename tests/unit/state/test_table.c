// SPDX-License-Identifier: Apache-2.0
// State tables against a naive sorted map: random operations with flushes, ends of epochs, crashes and reopenings, on
// both stores, with budgets from "everything is evicted" to "nothing is"; then single behaviours by name.
#include "state/store_internal.h"
#include "state/table_internal.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static struct br_error error;
#define OK(expression) cr_assert_eq((expression), BR_OK, "%s", error.message)

static char folder[64];

// In memory where there is such a file system: the syncs of ingested files would take most of the time.
static void make_folder(void) {
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/braid-table-XXXXXX", parent);
    cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void) {
    OK(br_store_remove(NULL, folder, &error));
}

static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

// --- the model: a sorted array per table, and a copy of it as of the last flush ---

enum { TABLES = 2, MODEL_MAX = 4000 };

struct pair {
    char key[48];
    size_t key_len;
    uint8_t *value;
    size_t value_len;
};

struct model {
    struct pair pairs[TABLES][MODEL_MAX];
    size_t counts[TABLES];
};

static struct br_slice pair_key(const struct pair *pair) {
    return (struct br_slice){(const uint8_t *)pair->key, pair->key_len};
}

static size_t model_seek(const struct model *model, int t, struct br_slice key) {
    size_t low = 0, high = model->counts[t];
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (br_slice_compare(pair_key(&model->pairs[t][middle]), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct pair *model_find(struct model *model, int t, struct br_slice key) {
    size_t at = model_seek(model, t, key);
    struct pair *pair = &model->pairs[t][at];
    return at < model->counts[t] && br_slice_equal(pair_key(pair), key) ? pair : NULL;
}

static void model_erase(struct model *model, int t, size_t first, size_t last) {
    for (size_t i = first; i < last; i++)
        free(model->pairs[t][i].value);
    memmove(&model->pairs[t][first], &model->pairs[t][last], (model->counts[t] - last) * sizeof(struct pair));
    model->counts[t] -= last - first;
}

static void model_put(struct model *model, int t, struct br_slice key, const void *value, size_t len) {
    size_t at = model_seek(model, t, key);
    struct pair *pair = model_find(model, t, key);
    if (pair == NULL) {
        cr_assert_lt(model->counts[t], MODEL_MAX);
        pair = &model->pairs[t][at];
        memmove(pair + 1, pair, (model->counts[t] - at) * sizeof *pair);
        model->counts[t] += 1;
        memcpy(pair->key, key.ptr, key.len);
        pair->key_len = key.len;
    } else {
        free(pair->value);
    }
    pair->value = br_alloc(len + 1);
    memcpy(pair->value, value, len);
    pair->value_len = len;
}

static void model_clear(struct model *model) {
    for (int t = 0; t < TABLES; t++)
        model_erase(model, t, 0, model->counts[t]);
}

static void model_copy(struct model *to, const struct model *from) {
    model_clear(to);
    for (int t = 0; t < TABLES; t++) {
        to->counts[t] = from->counts[t];
        memcpy(to->pairs[t], from->pairs[t], from->counts[t] * sizeof(struct pair));
        for (size_t i = 0; i < to->counts[t]; i++) {
            struct pair *pair = &to->pairs[t][i];
            uint8_t *value = br_alloc(pair->value_len + 1);
            memcpy(value, pair->value, pair->value_len);
            pair->value = value;
        }
    }
}

// --- the run ---

struct run {
    uint64_t seed;
    bool on_disk;
    size_t budget;
    struct br_store *store; // memory stores outlive the state in a "crash": they are copied
    struct br_state *state;
    struct br_state_table *tables[TABLES];
    struct model *now, *flushed;
    uint64_t epoch, flushed_epoch;
    int steps_done;
};

static size_t below(struct run *run, size_t limit) {
    return (size_t)(next_random(&run->seed) % limit);
}

// Keys of different shapes: short, with zeros and 0xff at their ends, with long shared prefixes, one very long family.
static struct br_slice random_key(struct run *run, char *out) {
    static const char *const prefixes[] = {"", "w1", "w2\0", "window-with-a-long-name-", "\xff\xff"};
    static const size_t lengths[] = {0, 2, 3, 24, 2};
    size_t p = below(run, 5);
    memcpy(out, prefixes[p], lengths[p]);
    size_t len = lengths[p];
    unsigned number = (unsigned)below(run, 120);
    if (below(run, 2) == 0) {
        out[len++] = (char)(number % 3 == 0 ? 0 : number);
        if (number % 2 == 0)
            out[len++] = 0;
    } else {
        len += (size_t)sprintf(out + len, "%u", number);
    }
    return (struct br_slice){(const uint8_t *)out, len};
}

static size_t random_len(struct run *run) {
    switch (below(run, 20)) {
    case 0:
        return 0;
    case 1:
        return 3000 + below(run, 3000); // around the largest block
    case 2:
        return 200 + below(run, 400);
    default:
        return below(run, 40);
    }
}

static void fill_random(struct run *run, uint8_t *value, size_t len) {
    for (size_t i = 0; i < len; i++)
        value[i] = (uint8_t)next_random(&run->seed);
}

static void open_run(struct run *run) {
    struct br_store *store;
    if (run->on_disk) {
        store = NULL;
        OK(br_store_open_rocksdb(folder, 8 << 20, &store, &error));
        store_rocksdb_set_run_bytes_min(store, run->seed % 2 == 0 ? 0 : 1 << 20);
    } else {
        store = br_store_create_memory();
    }
    OK(br_state_create(store, run->budget, &run->state, &error));
    for (int t = 0; t < TABLES; t++)
        run->tables[t] = br_state_open_table(run->state, (uint16_t)(t * 256 + 1), t == 0 ? "first" : "second");
    run->store = store;
}

static void check_entry(struct run *run, int t, struct br_slice key, const struct br_entry *entry) {
    const struct pair *pair = model_find(run->now, t, key);
    cr_assert_eq(entry != NULL, pair != NULL, "step %d", run->steps_done);
    if (entry == NULL)
        return;
    cr_assert(br_slice_equal(entry_key(entry), key));
    cr_assert_eq(entry->value_len, pair->value_len);
    cr_assert_eq(memcmp(entry->value, pair->value, pair->value_len), 0);
    cr_assert_eq((uintptr_t)entry->value % 8, 0);
}

static void check_scan(struct run *run, int t, struct br_slice first, struct br_slice last) {
    struct br_state_iterator *iterator = NULL;
    OK(br_state_scan(run->tables[t], first, last, &iterator, &error));
    size_t at = model_seek(run->now, t, first);
    struct br_slice key, value;
    while (br_state_iterator_next(iterator, &key, &value)) {
        cr_assert_lt(at, run->now->counts[t], "step %d: a key too many", run->steps_done);
        const struct pair *pair = &run->now->pairs[t][at++];
        cr_assert_eq((uintptr_t)value.ptr % 8, 0);
        cr_assert(br_slice_equal(key, pair_key(pair)), "step %d", run->steps_done);
        cr_assert(br_slice_equal(value, (struct br_slice){pair->value, pair->value_len}), "step %d", run->steps_done);
    }
    OK(br_state_iterator_status(iterator, &error));
    cr_assert(at == run->now->counts[t] ||
                  (last.len != 0 && br_slice_compare(pair_key(&run->now->pairs[t][at]), last) >= 0),
              "step %d: a key too few", run->steps_done);
    br_state_iterator_destroy(&iterator);
}

static void step_lookup_many(struct run *run, int t, bool obtain) {
    enum { MANY = 100 };
    char bytes[MANY][48];
    struct br_slice keys[MANY];
    uint64_t hashes[MANY];
    struct br_entry *entries[MANY];
    bool is_new[MANY];
    size_t count = 1 + below(run, MANY);
    uint32_t len = (uint32_t)random_len(run);
    for (size_t i = 0; i < count; i++) {
        keys[i] = random_key(run, bytes[i]);
        hashes[i] = br_state_hash(keys[i]);
    }
    if (!obtain) {
        OK(br_state_find_many(run->tables[t], keys, hashes, count, entries, &error));
        for (size_t i = 0; i < count; i++)
            check_entry(run, t, keys[i], entries[i]);
        return;
    }
    OK(br_state_obtain_many(run->tables[t], keys, hashes, count, len, entries, is_new, &error));
    uint8_t *zeros = br_calloc(1, len + 1);
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(is_new[i], model_find(run->now, t, keys[i]) == NULL, "step %d", run->steps_done);
        if (is_new[i]) {
            cr_assert_eq(entries[i]->touched_epoch, 0);
            cr_assert_null(entries[i]->touched);
            model_put(run->now, t, keys[i], zeros, len);
        }
        check_entry(run, t, keys[i], entries[i]);
        entries[i]->touched_epoch = 7;
        entries[i]->touched = entries[i];
    }
    free(zeros);
    for (size_t i = 0; i < count; i += 3) { // change some in place
        if (entries[i]->value_len == 0)
            continue;
        br_entry_mark_dirty(run->tables[t], entries[i]);
        entries[i]->value[0] += 1;
        model_find(run->now, t, keys[i])->value[0] += 1;
    }
}

static void step_put(struct run *run, int t) {
    char bytes[48];
    struct br_slice key = random_key(run, bytes);
    static uint8_t value[8192];
    size_t len = random_len(run);
    fill_random(run, value, len);
    OK(br_state_put(run->tables[t], key, (struct br_slice){value, len}, &error));
    model_put(run->now, t, key, value, len);
}

static void step_resize(struct run *run, int t) {
    char bytes[48];
    struct br_slice key = random_key(run, bytes);
    struct br_entry *entry = NULL;
    OK(br_state_find(run->tables[t], key, br_state_hash(key), &entry, &error));
    check_entry(run, t, key, entry);
    if (entry == NULL)
        return;
    uint32_t len = (uint32_t)random_len(run), old_len = entry->value_len;
    br_entry_resize(run->tables[t], entry, len);
    static uint8_t value[8192];
    memset(value, 0, sizeof value);
    memcpy(value, model_find(run->now, t, key)->value, old_len < len ? old_len : len);
    model_put(run->now, t, key, value, len);
    check_entry(run, t, key, entry);
}

static void step_delete(struct run *run, int t, bool by_entry) {
    char bytes[48];
    struct br_slice key = random_key(run, bytes);
    if (by_entry) {
        struct br_entry *entry = NULL;
        OK(br_state_find(run->tables[t], key, br_state_hash(key), &entry, &error));
        if (entry == NULL)
            return;
        br_entry_delete(run->tables[t], entry);
    } else {
        OK(br_state_delete(run->tables[t], key, &error));
    }
    size_t at = model_seek(run->now, t, key);
    if (model_find(run->now, t, key) != NULL)
        model_erase(run->now, t, at, at + 1);
}

static void step_range(struct run *run, int t, bool erase) {
    char bytes[2][48];
    struct br_slice first = random_key(run, bytes[0]), last = random_key(run, bytes[1]);
    if (below(run, 8) == 0)
        first.len = 0;
    if (below(run, 8) == 0)
        last.len = 0;
    if (!erase) {
        if (last.len == 0 || br_slice_compare(first, last) < 0)
            check_scan(run, t, first, last);
        return;
    }
    OK(br_state_delete_range(run->tables[t], first, last, &error));
    if (last.len != 0 && br_slice_compare(first, last) >= 0)
        return;
    model_erase(run->now, t, model_seek(run->now, t, first),
                last.len == 0 ? run->now->counts[t] : model_seek(run->now, t, last));
}

static void check_meta(struct run *run) {
    struct br_buffer value = {0};
    bool found = false;
    OK(br_state_meta_get(run->state, "position", &value, &found, &error));
    cr_assert_eq(found, run->epoch != 0);
    if (found)
        cr_assert_eq(br_be64_get(value.ptr), run->epoch);
    br_buffer_free(&value);
}

static void step_end_epoch(struct run *run) {
    uint8_t number[8];
    run->epoch += 1;
    br_be64_put(number, run->epoch);
    br_state_meta_put(run->state, "position", (struct br_slice){number, 8});
    br_state_end_epoch(run->state);
    if (!br_state_wants_flush(run->state) && below(run, 4) != 0)
        return;
    OK(br_state_flush(run->state, run->epoch, &error));
    run->flushed_epoch = run->epoch;
    model_copy(run->flushed, run->now);
    cr_assert_eq(br_state_flushed_epoch(run->state), run->epoch);
}

// The state dies without a flush and is opened again: it must be what was flushed last.
static void step_crash(struct run *run) {
    if (!run->on_disk)
        return;
    br_state_destroy(&run->state);
    open_run(run);
    run->epoch = run->flushed_epoch;
    cr_assert_eq(br_state_flushed_epoch(run->state), run->flushed_epoch);
    model_copy(run->now, run->flushed);
    check_meta(run);
}

static void step(struct run *run) {
    int t = (int)below(run, TABLES);
    size_t kind = below(run, 1000);
    if (kind < 200)
        step_lookup_many(run, t, true);
    else if (kind < 300)
        step_lookup_many(run, t, false);
    else if (kind < 500)
        step_put(run, t);
    else if (kind < 600)
        step_resize(run, t);
    else if (kind < 700)
        step_delete(run, t, kind < 650);
    else if (kind < 720)
        step_range(run, t, true);
    else if (kind < 760)
        step_range(run, t, false);
    else if (kind < 770)
        check_scan(run, t, (struct br_slice){0}, (struct br_slice){0});
    else if (kind < 775)
        step_crash(run);
    else if (kind < 850)
        step_end_epoch(run);
    else
        check_meta(run);
    run->steps_done += 1;
}

static void run_seeds(bool on_disk, uint64_t first_seed, int seeds, int steps) {
    for (int s = 0; s < seeds; s++) {
        static const size_t budgets[] = {1, 20000, 200000, 64 << 20};
        struct run run = {.seed = first_seed + (uint64_t)s, .on_disk = on_disk, .budget = budgets[s % 4]};
        run.now = br_calloc(1, sizeof *run.now);
        run.flushed = br_calloc(1, sizeof *run.flushed);
        next_random(&run.seed);
        open_run(&run);
        for (int i = 0; i < steps; i++)
            step(&run);
        for (int t = 0; t < TABLES; t++)
            check_scan(&run, t, (struct br_slice){0}, (struct br_slice){0});
        br_state_destroy(&run.state);
        model_clear(run.now);
        model_clear(run.flushed);
        free(run.now);
        free(run.flushed);
        if (on_disk)
            remove_folder();
    }
}

Test(table, does_what_a_sorted_map_does_over_a_memory_store) {
    run_seeds(false, 1000, 24, 3000);
}

Test(table, does_what_a_sorted_map_does_over_rocksdb_and_comes_back_at_the_flushed_epoch, .init = make_folder,
     .fini = remove_folder) {
    run_seeds(true, 2000, 12, 3000);
}

// --- single behaviours ---

static struct br_state *open_memory(size_t budget) {
    struct br_state *state = NULL;
    OK(br_state_create(br_store_create_memory(), budget, &state, &error));
    return state;
}

static void put_number(struct br_state_table *table, uint64_t number, uint64_t value) {
    uint8_t key[8];
    br_be64_put(key, number);
    OK(br_state_put(table, (struct br_slice){key, 8}, (struct br_slice){(const uint8_t *)&value, 8}, &error));
}

static bool has_number(struct br_state_table *table, uint64_t number, uint64_t value) {
    uint8_t key[8];
    br_be64_put(key, number);
    struct br_slice slice = {key, 8};
    struct br_entry *entry = NULL;
    OK(br_state_find(table, slice, br_state_hash(slice), &entry, &error));
    return entry != NULL && memcmp(entry->value, &value, 8) == 0;
}

static struct br_state_usage usage_of(struct br_state *state) {
    struct br_state_usage usage;
    br_state_usage(state, &usage);
    return usage;
}

// Ends as a killed process does: nothing is closed, nothing is flushed.
static void die_after_two_flushes_and_a_change(void) {
    struct br_store *store = NULL;
    struct br_state *state = NULL;
    if (br_store_open_rocksdb(folder, 8 << 20, &store, &error) != BR_OK ||
        br_state_create(store, 1 << 20, &state, &error) != BR_OK)
        _exit(1);
    struct br_state_table *table = br_state_open_table(state, 1, "t");
    for (uint64_t epoch = 1; epoch <= 3; epoch++) {
        store_rocksdb_set_run_bytes_min(store, epoch == 1 ? 0 : SIZE_MAX); // by file, then by the WAL
        for (uint64_t n = 0; n < 1000; n++)
            put_number(table, n, epoch);
        br_state_end_epoch(state);
        if (epoch < 3 && br_state_flush(state, epoch, &error) != BR_OK)
            _exit(1);
    }
    _exit(0);
}

Test(table, a_killed_process_comes_back_at_the_last_flush, .init = make_folder, .fini = remove_folder) {
    pid_t child = fork();
    if (child == 0)
        die_after_two_flushes_and_a_change();
    int status = -1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    struct br_store *store = NULL;
    struct br_state *state = NULL;
    OK(br_store_open_rocksdb(folder, 8 << 20, &store, &error));
    OK(br_state_create(store, 1 << 20, &state, &error));
    cr_assert_eq(br_state_flushed_epoch(state), 2);
    struct br_state_table *table = br_state_open_table(state, 1, "t");
    for (uint64_t n = 0; n < 1000; n++)
        cr_assert(has_number(table, n, 2));
    br_state_destroy(&state);
}

Test(table, clean_entries_are_evicted_down_to_the_budget_and_come_back) {
    struct br_state *state = open_memory(1 << 20);
    struct br_state_table *table = br_state_open_table(state, 1, "t");
    enum { N = 100000 };
    uint64_t epoch = 0;
    for (uint64_t n = 0; n < N; n++) {
        put_number(table, n, n);
        if (n % 1000 != 999)
            continue;
        br_state_end_epoch(state);
        epoch += 1;
        if (br_state_wants_flush(state))
            OK(br_state_flush(state, epoch, &error));
        struct br_state_usage usage = usage_of(state);
        cr_assert_leq(usage.hot_bytes, (1 << 20) + (1 << 18), "at %lu", (unsigned long)n);
        cr_assert_leq(state->slabs.slab_bytes, (1 << 20) + (1 << 19));
    }
    OK(br_state_flush(state, epoch + 1, &error));
    cr_assert_gt(usage_of(state).evictions, N / 2);
    for (uint64_t n = 0; n < N; n++) {
        cr_assert(has_number(table, n, n));
        if (n % 1000 == 999)
            br_state_end_epoch(state);
    }
    br_state_destroy(&state);
}

Test(table, what_is_used_often_stays_hot) {
    struct br_state *state = open_memory(1 << 20);
    struct br_state_table *table = br_state_open_table(state, 1, "t");
    for (uint64_t n = 0; n < 50000; n++)
        put_number(table, n, n);
    OK(br_state_flush(state, 1, &error));
    for (uint64_t n = 1000; n < 50000; n++) {
        cr_assert(has_number(table, n, n));
        cr_assert(has_number(table, n % 1000, n % 1000));
        if (n % 500 == 0)
            br_state_end_epoch(state);
    }
    uint64_t misses = usage_of(state).misses;
    for (uint64_t n = 0; n < 1000; n++)
        cr_assert(has_number(table, n, n));
    cr_assert_leq(usage_of(state).misses - misses, 20);
    br_state_destroy(&state);
}

Test(table, memory_of_one_value_size_goes_to_another) {
    struct br_state *state = open_memory(2 << 20);
    struct br_state_table *table = br_state_open_table(state, 1, "t");
    uint64_t epoch = 0;
    static uint8_t value[2000];
    for (size_t size = 10; size <= sizeof value; size = size * 3 / 2) {
        for (uint64_t n = 0; n < 200000 / size * 20; n++) {
            uint8_t key[16];
            br_be64_put(key, size);
            br_be64_put(key + 8, n);
            OK(br_state_put(table, (struct br_slice){key, 16}, (struct br_slice){value, size}, &error));
            if (n % 100 != 99)
                continue;
            br_state_end_epoch(state);
            epoch += 1;
            if (br_state_wants_flush(state))
                OK(br_state_flush(state, epoch, &error));
        }
        cr_assert_leq(state->slabs.slab_bytes, (2 << 20) + (1 << 20), "at size %zu", size);
    }
    br_state_destroy(&state);
}

Test(table, a_fresh_table_never_asks_the_store) {
    struct br_state *state = open_memory(64 << 20);
    struct br_state_table *table = br_state_open_table(state, 1, "t");
    for (uint64_t n = 0; n < 1000; n++) {
        cr_assert_not(has_number(table, n, n));
        put_number(table, n, n);
    }
    OK(br_state_flush(state, 1, &error));
    br_state_end_epoch(state);
    for (uint64_t n = 0; n < 2000; n++)
        cr_assert_eq(has_number(table, n, n), n < 1000);
    cr_assert_eq(usage_of(state).misses, 0);
    br_state_destroy(&state);
}

Test(table, keys_beyond_all_that_was_evicted_or_stored_need_no_read, .init = make_folder, .fini = remove_folder) {
    struct br_store *store = NULL;
    struct br_state *state = NULL;
    for (int again = 0; again < 2; again++) {
        OK(br_store_open_rocksdb(folder, 8 << 20, &store, &error));
        OK(br_state_create(store, 1, &state, &error)); // evicts at once
        struct br_state_table *table = br_state_open_table(state, 65534, "t");
        cr_assert_eq(table->cold, again == 1);
        for (uint64_t n = 1000; n < 2000; n++)
            cr_assert_not(has_number(table, n, n));
        cr_assert_eq(usage_of(state).misses, 0);
        for (uint64_t n = 0; n < 1000; n++)
            put_number(table, n, n);
        OK(br_state_flush(state, 1, &error));
        br_state_end_epoch(state);
        cr_assert_eq(usage_of(state).hot_entries, 0);
        cr_assert(has_number(table, 999, 999) && has_number(table, 0, 0));
        cr_assert_not(has_number(table, 1000, 1000));
        cr_assert_eq(usage_of(state).misses, 2);
        if (again == 1) {
            OK(br_state_delete_range(table, (struct br_slice){0}, (struct br_slice){0}, &error));
            cr_assert_not(table->cold);
            cr_assert_not(has_number(table, 500, 500));
            cr_assert_eq(usage_of(state).misses, 2);
        }
        br_state_destroy(&state);
    }
}

Test(table, keys_that_come_and_go_between_flushes_cost_nothing_in_the_end) {
    struct br_state *state = open_memory(64 << 20);
    struct br_state_table *table = br_state_open_table(state, 1, "t");
    for (uint64_t n = 0; n < 100000; n++) {
        uint8_t key[8];
        put_number(table, n, n);
        br_be64_put(key, n);
        OK(br_state_delete(table, (struct br_slice){key, 8}, &error));
        if (n % 1000 == 0)
            br_state_end_epoch(state);
    }
    cr_assert_leq(usage_of(state).hot_entries, 5000);
    cr_assert_not(br_state_wants_flush(state));
    br_state_destroy(&state);
}

Test(table, closing_windows_touches_only_their_entries) {
    struct br_state *state = open_memory(64 << 20);
    struct br_state_table *table = br_state_open_table(state, 1, "t");
    for (uint64_t n = 0; n < 100000; n++)
        put_number(table, n, n);
    for (uint64_t window = 0; window < 1000; window++) { // would take seconds if each looked at every entry
        uint8_t first[8], last[8];
        br_be64_put(first, window * 10);
        br_be64_put(last, window * 10 + 10);
        OK(br_state_delete_range(table, (struct br_slice){first, 8}, (struct br_slice){last, 8}, &error));
        br_state_end_epoch(state);
    }
    cr_assert_eq(table->range_count, 0, "nothing was ever flushed");
    OK(br_state_flush(state, 1, &error));
    cr_assert_eq(usage_of(state).hot_entries, 90000);
    uint8_t last[8];
    for (uint64_t window = 1000; window < 1100; window++) {
        br_be64_put(last, window * 10 + 10);
        OK(br_state_delete_range(table, (struct br_slice){0}, (struct br_slice){last, 8}, &error));
        br_state_end_epoch(state);
    }
    cr_assert_eq(table->range_count, 1, "neighbours are one range");
    cr_assert_eq(usage_of(state).hot_entries, 89000);
    cr_assert_not(has_number(table, 10500, 10500));
    cr_assert(has_number(table, 11000, 11000));
    br_state_destroy(&state);
}

Test(table, long_keys_and_values_are_kept_like_others) {
    struct br_state *state = open_memory(1 << 20);
    struct br_state_table *table = br_state_open_table(state, 1, "t");
    static uint8_t key[20000], value[300000];
    for (uint64_t n = 0; n < 50; n++) {
        key[10000] = value[200000] = (uint8_t)n;
        OK(br_state_put(table, (struct br_slice){key, sizeof key}, (struct br_slice){value, sizeof value - n}, &error));
        br_state_end_epoch(state);
        if (br_state_wants_flush(state))
            OK(br_state_flush(state, n + 1, &error));
    }
    OK(br_state_flush(state, 100, &error));
    br_state_end_epoch(state);
    cr_assert_leq(usage_of(state).hot_bytes, 2 << 20);
    for (uint64_t n = 0; n < 50; n++) {
        key[10000] = (uint8_t)n;
        struct br_slice slice = {key, sizeof key};
        struct br_entry *entry = NULL;
        OK(br_state_find(table, slice, br_state_hash(slice), &entry, &error));
        cr_assert_not_null(entry);
        cr_assert_eq(entry->value_len, sizeof value - n);
        cr_assert_eq(entry->value[200000], (uint8_t)n);
        br_state_end_epoch(state);
    }
    br_state_destroy(&state);
}

// --- a store that fails on demand: the memory store with some of its functions replaced ---

static const struct store_ops *sound_ops;

static enum br_status refuse_write(struct br_store *store, struct br_store_batch *batch, struct br_error *ret) {
    (void)store;
    (void)batch;
    return br_error_set(ret, BR_FATAL, "disk full");
}

static enum br_status refuse_last_key(struct br_store *store, struct br_slice first, struct br_slice last,
                                      struct br_buffer *key, bool *ret_found, struct br_error *ret) {
    (void)store;
    (void)first;
    (void)last;
    (void)key;
    (void)ret_found;
    return br_error_set(ret, BR_FATAL, "unreadable");
}

static enum br_status refuse_get(struct br_store *store, const struct br_slice *keys, size_t count,
                                 struct br_slice *ret_values, bool *ret_found, struct br_error *ret) {
    (void)store;
    (void)keys;
    (void)count;
    (void)ret_values;
    (void)ret_found;
    return br_error_set(ret, BR_FATAL, "unreadable");
}

Test(table, a_flush_that_fails_can_be_done_again) {
    struct br_state *state = open_memory(1 << 20);
    struct br_store *store = br_state_store(state);
    struct br_state_table *table = br_state_open_table(state, 1, "t");
    for (uint64_t n = 0; n < 100; n++)
        put_number(table, n, 1);
    OK(br_state_flush(state, 1, &error));
    put_number(table, 7, 2);
    uint8_t key[8];
    br_be64_put(key, 8);
    OK(br_state_delete_range(table, (struct br_slice){key, 8}, (struct br_slice){0}, &error));
    br_state_end_epoch(state);
    sound_ops = store->ops;
    struct store_ops failing = *sound_ops;
    failing.write = refuse_write;
    store->ops = &failing;
    cr_assert_eq(br_state_flush(state, 2, &error), BR_FATAL);
    cr_assert(strstr(error.message, "disk full") != NULL && strstr(error.message, "epoch 2") != NULL);
    cr_assert_eq(br_state_flushed_epoch(state), 1);
    store->ops = sound_ops;
    OK(br_state_flush(state, 3, &error));
    struct br_buffer value = {0};
    bool found = false;
    uint8_t stored[10] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 7};
    OK(br_store_get(store, (struct br_slice){stored, 10}, &value, &found, &error));
    cr_assert(found && value.ptr[0] == 2);
    stored[9] = 8;
    OK(br_store_get(store, (struct br_slice){stored, 10}, &value, &found, &error));
    cr_assert_not(found);
    br_buffer_free(&value);
    br_state_destroy(&state);
}

Test(table, a_read_error_stops_the_lookup_and_names_the_table) {
    struct br_state *state = open_memory(1); // evicts at once
    struct br_state_table *table = br_state_open_table(state, 1, "orders by customer");
    put_number(table, 7, 2);
    OK(br_state_flush(state, 1, &error));
    br_state_end_epoch(state);
    cr_assert_eq(usage_of(state).hot_entries, 0);
    struct br_store *store = br_state_store(state);
    sound_ops = store->ops;
    struct store_ops failing = *sound_ops;
    failing.get_many = refuse_get;
    store->ops = &failing;
    struct br_slice key = {(const uint8_t *)"\0\0\0", 3}; // before the one that was evicted
    struct br_entry *entry = NULL;
    cr_assert_eq(br_state_find(table, key, br_state_hash(key), &entry, &error), BR_FATAL);
    cr_assert(strstr(error.message, "orders by customer") != NULL && strstr(error.message, "unreadable") != NULL);
    store->ops = sound_ops;
    cr_assert(has_number(table, 7, 2));
    br_state_destroy(&state);
}

Test(table, a_scan_that_nobody_repeats_leaves_no_order_behind) {
    struct br_state *state = open_memory(64 << 20);
    struct br_state_table *table = br_state_open_table(state, 1, "t");
    for (uint64_t n = 0; n < 1000; n++)
        put_number(table, n, n);
    struct br_state_iterator *iterator = NULL;
    OK(br_state_scan(table, (struct br_slice){0}, (struct br_slice){0}, &iterator, &error));
    br_state_iterator_destroy(&iterator);
    cr_assert_not(table->ordered, "a full scan sorts for itself");
    OK(br_state_scan(table, br_slice_of("a"), (struct br_slice){0}, &iterator, &error));
    br_state_iterator_destroy(&iterator);
    cr_assert(table->ordered);
    for (int i = 0; i < 20000; i++)
        br_state_end_epoch(state);
    cr_assert_not(table->ordered);
    br_state_destroy(&state);
}

Test(table, damaged_epochs_are_refused) {
    struct br_store *store = br_store_create_memory();
    struct br_store_batch *batch = br_store_batch_create(store);
    br_store_batch_put(batch, (struct br_slice){(const uint8_t *)"\0\0e", 3}, br_slice_of("abc"));
    OK(br_store_write(store, batch, &error));
    br_store_batch_destroy(&batch);
    struct br_state *state = NULL;
    cr_assert_eq(br_state_create(store, 1, &state, &error), BR_FATAL);
    cr_assert_null(state);
    cr_assert_eq(error.native, BR_STORE_DAMAGED);
    cr_assert_not_null(strstr(error.message, "damaged"));
}

Test(table, a_table_that_could_not_be_opened_says_so_at_its_first_use) {
    struct br_state *state = open_memory(1 << 20);
    struct br_store *store = br_state_store(state);
    sound_ops = store->ops;
    struct store_ops failing = *sound_ops;
    failing.last_key = refuse_last_key;
    store->ops = &failing;
    struct br_state_table *table = br_state_open_table(state, 1, "orders");
    store->ops = sound_ops;
    struct br_slice key = br_slice_of("k");
    struct br_entry *entry = NULL;
    struct br_state_iterator *iterator = NULL;
    cr_assert_eq(br_state_find(table, key, br_state_hash(key), &entry, &error), BR_FATAL);
    cr_assert(strstr(error.message, "orders") != NULL && strstr(error.message, "unreadable") != NULL);
    cr_assert_eq(br_state_put(table, key, key, &error), BR_FATAL);
    cr_assert_eq(br_state_delete(table, key, &error), BR_FATAL);
    cr_assert_eq(br_state_delete_range(table, key, (struct br_slice){0}, &error), BR_FATAL);
    cr_assert_eq(br_state_scan(table, key, (struct br_slice){0}, &iterator, &error), BR_FATAL);
    br_state_destroy(&state);
}
