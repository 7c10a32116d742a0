// SPDX-License-Identifier: Apache-2.0
// Random relations: the comparison against a naive one over all pairs of rows.
#include "compare_world.h"

#define RELATION_MAX 6000

struct random_row {
    int id;
    int name, amount; // -1: NULL
};
struct relation {
    struct random_row rows[RELATION_MAX];
    size_t count;
};

static uint32_t roll(uint64_t *seed, uint32_t sides) {
    *seed += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *seed;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ z >> 31) % sides);
}

static struct random_row random_row(uint64_t *seed, int id) {
    return (struct random_row){id, (int)roll(seed, 40) - 1, (int)roll(seed, 8) - 1};
}

// Most rows are the same on both sides; ids are unique within a side.
static void make_relations(uint64_t *seed, int ids, struct relation *before, struct relation *after) {
    before->count = after->count = 0;
    for (int id = 0; id < ids; id++) {
        struct random_row row = random_row(seed, id);
        uint32_t fate = roll(seed, 40);
        if (fate != 0)
            before->rows[before->count++] = row;
        if (fate == 1)
            row = random_row(seed, id);
        if (fate != 2)
            after->rows[after->count++] = row;
    }
}

static void push_all(struct lineage *lineage, const struct relation *relation, uint64_t *seed) {
    struct br_buffer text = {0};
    size_t start = relation->count == 0 ? 0 : roll(seed, (uint32_t)relation->count);
    for (size_t i = 0; i < relation->count; i++) {
        const struct random_row *row = &relation->rows[(start + i) % relation->count];
        br_buffer_printf(&text, "%s%d|", i == 0 ? "" : "\n", row->id);
        if (row->name >= 0)
            br_buffer_printf(&text, "name%d", row->name);
        br_buffer_append_byte(&text, '|');
        if (row->amount >= 0)
            br_buffer_printf(&text, "%d.%s", row->amount / 2, row->amount % 2 != 0 ? "5" : "50");
    }
    br_buffer_append_byte(&text, 0);
    lineage_fill(lineage, "t", (const char *)text.ptr);
    br_buffer_free(&text);
}

static bool same_values(const struct random_row *a, const struct random_row *b) {
    return a->name == b->name && a->amount == b->amount;
}

struct counts {
    uint64_t equal, changed, missing, extra;
};

static struct counts naive_keyed(const struct relation *before, const struct relation *after) {
    struct counts counts = {0};
    for (size_t i = 0; i < before->count; i++) {
        const struct random_row *other = NULL;
        for (size_t j = 0; j < after->count && other == NULL; j++)
            if (after->rows[j].id == before->rows[i].id)
                other = &after->rows[j];
        counts.missing += other == NULL;
        counts.equal += other != NULL && same_values(&before->rows[i], other);
        counts.changed += other != NULL && !same_values(&before->rows[i], other);
    }
    counts.extra = after->count - counts.equal - counts.changed;
    return counts;
}

static struct counts naive_multiset(const struct relation *before, const struct relation *after) {
    static bool taken[RELATION_MAX];
    struct counts counts = {0};
    memset(taken, 0, sizeof taken);
    for (size_t i = 0; i < before->count; i++)
        for (size_t j = 0; j < after->count; j++)
            if (!taken[j] && same_values(&before->rows[i], &after->rows[j])) {
                taken[j] = true;
                counts.equal++;
                break;
            }
    counts.missing = before->count - counts.equal;
    counts.extra = after->count - counts.equal;
    return counts;
}

static const char sql[] =
    "CREATE TABLE t (id bigint NOT NULL PRIMARY KEY, name text, amount numeric) WITH (subject = 't');\n"
    "CREATE MATERIALIZED VIEW keyed AS SELECT id, name, amount FROM t;\n"
    "CREATE MATERIALIZED VIEW bag AS SELECT name, amount FROM t;\n"
    "CREATE MATERIALIZED VIEW grouped AS SELECT id, min(name) AS name, max(amount) AS amount FROM t GROUP BY id;\n"
    "CREATE MATERIALIZED VIEW joined AS SELECT a.id, b.name, a.amount FROM t a JOIN t b USING (id);\n";

static void run_seed(uint64_t seed, int ids, size_t sort_bytes) {
    static struct relation relations[2];
    make_relations(&seed, ids, &relations[0], &relations[1]);
    struct lineage before = lineage_open(sql), after = lineage_open(sql);
    push_all(&before, &relations[0], &seed);
    push_all(&after, &relations[1], &seed);
    struct br_compare_options options = {.sort_bytes = sort_bytes, .samples = 2};
    struct br_compare_report *report = compare(&before, &after, &options);
    struct counts keyed = naive_keyed(&relations[0], &relations[1]);
    struct counts bag = naive_multiset(&relations[0], &relations[1]);
    EXPECT_COUNTS(report_of(report, "keyed"), keyed.equal, keyed.changed, keyed.missing, keyed.extra);
    EXPECT_COUNTS(report_of(report, "grouped"), keyed.equal, keyed.changed, keyed.missing, keyed.extra);
    EXPECT_COUNTS(report_of(report, "bag"), bag.equal, 0, bag.missing, bag.extra);
    const struct br_view_report *joined = report_of(report, "joined");
    cr_expect_eq(joined->equal, keyed.equal); // however it is keyed
    cr_expect_eq(joined->missing + joined->changed, keyed.missing + keyed.changed);
    br_compare_report_destroy(&report);
    lineage_close(&before);
    lineage_close(&after);
}

Test(compare_random, small_relations_are_compared_as_a_naive_comparison_does) {
    for (uint64_t seed = 1; seed <= 60; seed++)
        run_seed(seed, (int)(seed % 30), 0);
}

// Pages end in the middle of runs, and sorts go through files.
Test(compare_random, large_relations_are_too_with_sorts_in_files) {
    run_seed(1001, 6000, 0);
    run_seed(1002, 6000, 16384);
    run_seed(1003, 2048, 1000);
}
