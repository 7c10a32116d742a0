// SPDX-License-Identifier: Apache-2.0
#include "processor/sql/sql.h"
#include "replay/plan_views.h"

#include <criterion/criterion.h>
#include <string.h>

#define TABLES                                                                                                         \
    "CREATE TABLE e (a bigint, b text);"                                                                               \
    "CREATE TABLE k (b text PRIMARY KEY, c text) WITH (lookup = 'true');"
#define AGGREGATE "SELECT b, count(*) AS n FROM e GROUP BY b;"

static struct br_pipeline *load(const char *sql) {
    struct br_error error;
    struct br_pipeline *pipeline;
    struct br_diagnostics *diagnostics = br_diagnostics_create("p.sql", sql);
    enum br_status status = br_pipeline_load("p.sql", sql, NULL, diagnostics, &pipeline, &error);
    cr_assert_eq(status, BR_OK, "%s", diagnostics->count != 0 ? diagnostics->list[0].message : error.message);
    br_diagnostics_destroy(&diagnostics);
    return pipeline;
}

static const struct br_plan_view *find(const struct br_plan_view *views, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(views[i].view, name) == 0)
            return &views[i];
    cr_assert_fail("no view %s", name);
    return NULL;
}

static void expect(const struct br_plan_view *view, const char *verdict, bool corrected, const char *note) {
    cr_assert_str_eq(view->verdict, verdict, "%s", view->view);
    cr_assert_eq(view->corrected, corrected, "%s", view->view);
    if (note[0] == '\0')
        cr_assert_str_eq(view->note, "", "%s", view->view);
    cr_assert(strstr(view->note, note) != NULL, "%s: %s", view->view, view->note);
}

static size_t views_of(const struct br_pipeline *before, const struct br_pipeline *after, bool take_over,
                       struct br_arena *arena, const struct br_plan_view **ret_views) {
    struct br_upgrade *upgrade = br_upgrade_compare(before, after);
    size_t count = br_plan_views(upgrade, take_over, false, arena, ret_views);
    br_upgrade_destroy(&upgrade);
    return count;
}

Test(plan_views, what_keeps_rows_can_be_compared_and_corrected) {
    struct br_arena *arena = br_arena_create();
    const struct br_plan_view *views;
    struct br_pipeline *before = load(TABLES "CREATE MATERIALIZED VIEW passed AS SELECT a FROM e;"
                                             "CREATE MATERIALIZED VIEW looked AS SELECT a, c FROM e JOIN k USING (b);"
                                             "CREATE MATERIALIZED VIEW counted AS " AGGREGATE
                                             "CREATE MATERIALIZED VIEW mailed WITH (effect = 'true') AS " AGGREGATE
                                             "CREATE MATERIALIZED VIEW keyed AS SELECT b, c FROM k;");
    size_t count = views_of(before, before, false, arena, &views);
    cr_assert_eq(count, 5);
    expect(find(views, count, "passed"), "keep", false, "keeps no rows: it can't be compared, and nothing");
    expect(find(views, count, "looked"), "keep", false, "keeps no rows");
    expect(find(views, count, "counted"), "keep", true, "");
    expect(find(views, count, "mailed"), "keep", false, "effect: nothing of it is corrected");
    expect(find(views, count, "keyed"), "keep", true, "");
    br_pipeline_destroy(&before);
    br_arena_destroy(&arena);
}

Test(plan_views, verdicts_and_notes_of_a_changed_pipeline) {
    struct br_arena *arena = br_arena_create();
    const struct br_plan_view *views;
    struct br_pipeline *before =
        load(TABLES "CREATE MATERIALIZED VIEW passed AS SELECT a FROM e;"
                    "CREATE MATERIALIZED VIEW gone AS SELECT a FROM e;"
                    "CREATE MATERIALIZED VIEW counted AS " AGGREGATE "CREATE MATERIALIZED VIEW released AS " AGGREGATE);
    struct br_pipeline *after =
        load(TABLES "CREATE MATERIALIZED VIEW passed AS SELECT a FROM e WHERE a > 1;"
                    "CREATE MATERIALIZED VIEW counted AS SELECT b, sum(a) AS n FROM e GROUP BY b;"
                    "CREATE MATERIALIZED VIEW fresh AS " AGGREGATE
                    "CREATE MATERIALIZED VIEW released WITH (effect = 'true') AS " AGGREGATE);
    size_t count = views_of(before, after, false, arena, &views);
    cr_assert_eq(count, 5);
    expect(find(views, count, "passed"), "rebuild", false, "a promotion changes what it gives from then on");
    expect(find(views, count, "gone"), "removed", false, "none are taken back");
    expect(find(views, count, "counted"), "rebuild", true, "");
    expect(find(views, count, "fresh"), "new", true, "");
    expect(find(views, count, "released"), "keep", false, "effect");
    cr_assert(strstr(find(views, count, "counted")->why, "aggregates changed"));
    br_pipeline_destroy(&before);
    br_pipeline_destroy(&after);
    br_arena_destroy(&arena);
}

Test(plan_views, a_view_that_stays_takes_its_state_over_unless_it_shares_stored_rows) {
    struct br_arena *arena = br_arena_create();
    const struct br_plan_view *views;
    struct br_pipeline *before =
        load(TABLES "CREATE MATERIALIZED VIEW counted AS " AGGREGATE
                    "CREATE MATERIALIZED VIEW above AS SELECT n, count(*) AS m FROM counted GROUP BY n;"
                    "CREATE MATERIALIZED VIEW top AS SELECT m, count(*) AS k FROM above GROUP BY m;"
                    "CREATE MATERIALIZED VIEW looked AS SELECT a, c FROM e JOIN k USING (b);"
                    "CREATE MATERIALIZED VIEW other AS SELECT a, count(*) AS n FROM e GROUP BY a;");
    struct br_pipeline *after =
        load(TABLES "CREATE MATERIALIZED VIEW counted AS " AGGREGATE
                    "CREATE MATERIALIZED VIEW above AS SELECT n, count(*) AS m FROM counted WHERE n > 1 GROUP BY n;"
                    "CREATE MATERIALIZED VIEW top AS SELECT m, count(*) AS k FROM above GROUP BY m;"
                    "CREATE MATERIALIZED VIEW looked AS SELECT a, c FROM e JOIN k USING (b);"
                    "CREATE MATERIALIZED VIEW names AS SELECT b, c FROM k WHERE c <> '';"
                    "CREATE MATERIALIZED VIEW other AS SELECT a, count(*) AS n FROM e GROUP BY a;");
    size_t count = views_of(before, after, true, arena, &views);
    const struct br_plan_view *counted = find(views, count, "counted");
    cr_assert(counted->same && !counted->taken_over);
    cr_assert(strstr(counted->why, "computed again all the same: shares stored rows with view above"), "%s",
              counted->why);
    cr_assert(!find(views, count, "above")->taken_over && !find(views, count, "top")->taken_over);
    cr_assert(find(views, count, "other")->taken_over);
    cr_assert(strstr(find(views, count, "other")->why, "its state is taken over"));
    cr_assert(find(views, count, "looked")->taken_over); // rows of a table may be shared
    views_of(before, after, false, arena, &views);
    cr_assert(!find(views, count, "other")->taken_over);
    cr_assert_str_eq(find(views, count, "other")->why, "");
    br_pipeline_destroy(&before);
    br_pipeline_destroy(&after);
    br_arena_destroy(&arena);
}

Test(plan_views, tables_that_only_such_views_read_sleep_and_new_imports_wake_them) {
    struct br_pipeline *before = load(TABLES "CREATE MATERIALIZED VIEW counted AS " AGGREGATE
                                             "CREATE MATERIALIZED VIEW keyed AS SELECT b, c FROM k;");
    struct br_pipeline *after =
        load(TABLES "CREATE MATERIALIZED VIEW counted AS SELECT b, sum(a) AS n FROM e GROUP BY b;"
                    "CREATE MATERIALIZED VIEW keyed AS SELECT b, c FROM k;");
    struct br_upgrade *upgrade = br_upgrade_compare(before, after);
    bool tables[2];
    br_upgrade_sleeping(upgrade, tables);
    cr_assert(!tables[0] && tables[1]);
    br_upgrade_settle(upgrade, (const bool[]){false, true}, "because");
    cr_assert_str_eq(br_upgrade_find(upgrade, "keyed")->again, "because");
    br_upgrade_sleeping(upgrade, tables);
    cr_assert(!tables[0] && !tables[1]);
    br_upgrade_destroy(&upgrade);
    br_pipeline_destroy(&before);
    br_pipeline_destroy(&after);
}
