// SPDX-License-Identifier: Apache-2.0
// What a changed file means for numbers on the wire: which move, what is rebuilt for it, and what is no reason to.
#include "processor/sql/sql.h"
#include "replay/causes_internal.h"
#include "replay/upgrade.h"

#include "fields_sets.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

// A stream, a table with a key and a lookup table of one message, and views over them of every shape.
#define OPTIONS "message = 'shop.v1.Customer'"
#define TABLES                                                                                                         \
    "SET braid.pipeline = 'shop';\n"                                                                                   \
    "CREATE TABLE seen () WITH (" OPTIONS ");\n"                                                                       \
    "CREATE TABLE customers (PRIMARY KEY (id)) WITH (" OPTIONS ");\n"                                                  \
    "CREATE TABLE known (PRIMARY KEY (id)) WITH (" OPTIONS ", lookup = true);\n"                                       \
    "CREATE TABLE visits (customer text, at timestamptz) WITH (event_time = 'at');\n"
#define VIEWS                                                                                                          \
    "CREATE MATERIALIZED VIEW passed AS SELECT id, email FROM seen WHERE name <> 'x';\n"                               \
    "CREATE MATERIALIZED VIEW counted AS SELECT email, count(*) AS n FROM seen GROUP BY email;\n"                      \
    "CREATE MATERIALIZED VIEW kept AS SELECT id, email FROM customers;\n"                                              \
    "CREATE MATERIALIZED VIEW joined AS SELECT v.customer, c.id, c.name, c.email, c.status FROM visits v"              \
    " JOIN customers c ON c.id = v.customer;\n"                                                                        \
    "CREATE MATERIALIZED VIEW looked AS SELECT v.customer, k.email, count(*) AS n FROM visits v"                       \
    " JOIN known k ON k.id = v.customer GROUP BY 1, 2;\n"                                                              \
    "CREATE MATERIALIZED VIEW above AS SELECT count(*) AS n FROM kept WHERE email IS NOT NULL;\n"                      \
    "CREATE MATERIALIZED VIEW stated AS SELECT status, count(*) AS n FROM customers GROUP BY status;\n"
static const char *const all_views[] = {"passed", "counted", "kept", "joined", "looked", "above", "stated"};
#define VIEW_COUNT (sizeof all_views / sizeof all_views[0])

struct changed {
    struct br_pipeline *before, *after;
    struct br_upgrade *upgrade;
};

static struct br_pipeline *load(const char *sql, struct br_slice set, const char *lock) {
    struct br_diagnostics *diagnostics = br_diagnostics_create("shop.sql", sql);
    struct br_pipeline_options options = {
        .stored = true, .descriptor_sets = &set, .descriptor_set_count = set.len != 0};
    struct br_pipeline *pipeline = NULL;
    struct br_error error;
    if (lock != NULL)
        options.fields = br_slice_of(lock);
    enum br_status status = br_pipeline_load("shop.sql", sql, &options, diagnostics, &pipeline, &error);
    cr_assert_eq(status, BR_OK, "%s: %s", error.message, diagnostics->count != 0 ? diagnostics->list[0].message : "");
    br_diagnostics_destroy(&diagnostics);
    return pipeline;
}

static struct changed compared(struct br_pipeline *before, struct br_pipeline *after) {
    struct changed changed = {before, after, br_upgrade_compare(before, after)};
    return changed;
}

#define SET_OF(name) ((struct br_slice){set_##name, sizeof set_##name})
#define BETWEEN(before, after)                                                                                         \
    compared(load(TABLES VIEWS, SET_OF(before), NULL), load(TABLES VIEWS, SET_OF(after), NULL))

// The same with columns that both files list.
static struct changed listed(const char *before, const char *before_lock, const char *after, const char *after_lock) {
    return compared(load(before, (struct br_slice){0}, before_lock), load(after, (struct br_slice){0}, after_lock));
}

static void done(struct changed *changed) {
    br_upgrade_destroy(&changed->upgrade);
    br_pipeline_destroy(&changed->after);
    br_pipeline_destroy(&changed->before);
}

static void expect(const struct changed *changed, const char *view, enum br_upgrade_verdict verdict, const char *why) {
    const struct br_upgrade_view *row = br_upgrade_find(changed->upgrade, view);
    cr_assert(row != NULL, "%s", view);
    cr_expect_eq(row->verdict, verdict, "%s: %s: %s", view, br_upgrade_verdict_name(row->verdict), row->why);
    cr_expect(strstr(row->why, why) != NULL, "%s: %s (wanted: %s)", view, row->why, why);
}

static void expect_moves(const struct changed *changed, const char *want) {
    struct br_buffer text = {0};
    for (uint32_t i = 0; i < changed->upgrade->move_count; i++)
        br_buffer_printf(&text, "%s\n", changed->upgrade->moves[i].text);
    br_buffer_append_byte(&text, 0);
    cr_expect_str_eq((const char *)text.ptr, want);
    br_buffer_free(&text);
}

// --- what is no reason to rebuild
Test(upgrade_fields, a_field_at_the_end_of_a_message_rebuilds_nothing) {
    struct changed changed = BETWEEN(was, grown);
    for (size_t i = 0; i < VIEW_COUNT; i++)
        expect(&changed, all_views[i], BR_UPGRADE_KEEP, "");
    cr_expect_str_eq(br_upgrade_find(changed.upgrade, "passed")->why, "");
    cr_expect_neq(changed.before->plan_hash, changed.after->plan_hash, "the plan's hash knows all columns");
    expect_moves(&changed, "");
    done(&changed);
}

Test(upgrade_fields, nor_does_one_that_is_taken_away_again) {
    struct changed changed = compared(load(TABLES VIEWS, SET_OF(grown), NULL), load(TABLES VIEWS, SET_OF(was), NULL));
    expect(&changed, "passed", BR_UPGRADE_KEEP, "");
    expect(&changed, "kept", BR_UPGRADE_KEEP, "");
    expect(&changed, "stated", BR_UPGRADE_REBUILD, "value 3 \"BACK\" of shop.v1.Status is gone");
    done(&changed);
}

Test(upgrade_fields, a_value_more_rebuilds_nothing_and_is_told_to_who_reads_it) {
    struct changed changed = BETWEEN(was, grown);
    expect(&changed, "stated", BR_UPGRADE_KEEP, "shop.v1.Status has \"BACK\" (3) too from now on");
    expect(&changed, "joined", BR_UPGRADE_KEEP, "shop.v1.Status has \"BACK\" (3) too from now on");
    // Where such a view is computed all the same, and an event had the value before, the plan is the reason.
    cr_expect_eq(br_cause_of_plans(changed.upgrade, "stated"), BR_CAUSE_PLAN);
    cr_expect_eq(br_cause_of_plans(changed.upgrade, "counted"), BR_CAUSE_UNKNOWN);
    done(&changed);
}

Test(upgrade_fields, a_column_that_a_view_begins_to_read_rebuilds_that_view) {
    static const char more[] = TABLES VIEWS "CREATE MATERIALIZED VIEW phones AS SELECT id, phone FROM seen;\n";
    struct changed changed = compared(load(TABLES VIEWS, SET_OF(was), NULL), load(more, SET_OF(grown), NULL));
    expect(&changed, "phones", BR_UPGRADE_NEW, "");
    expect(&changed, "counted", BR_UPGRADE_KEEP, "table seen: phone is read too from now on");
    expect(&changed, "kept", BR_UPGRADE_KEEP, "");
    done(&changed);
    // Stored rows of a table with a key haven't got it.
    static const char stored[] = TABLES VIEWS "CREATE MATERIALIZED VIEW phones AS SELECT id, phone FROM customers;\n";
    changed = compared(load(TABLES VIEWS, SET_OF(was), NULL), load(stored, SET_OF(grown), NULL));
    expect(&changed, "kept", BR_UPGRADE_REBUILD, "table customers: column phone is new");
    expect(&changed, "counted", BR_UPGRADE_KEEP, "");
    expect(&changed, "looked", BR_UPGRADE_KEEP, "");
    done(&changed);
}

// An event that had the value before its name was known is read otherwise now: rows of a table with a key that both
// read must be of one making.
Test(upgrade_fields, views_over_a_table_with_further_labels_take_their_state_over_together_or_not_at_all) {
    struct changed changed = BETWEEN(was, grown);
    for (size_t i = 0; i < VIEW_COUNT; i++)
        cr_expect(br_upgrade_find(changed.upgrade, all_views[i])->takes_state, "%s", all_views[i]);
    done(&changed);
    static const char more[] =
        TABLES VIEWS "CREATE MATERIALIZED VIEW names AS SELECT id, name FROM customers;\n"
                     "CREATE MATERIALIZED VIEW of AS SELECT name, count(*) AS n FROM seen GROUP BY name;\n";
    changed = compared(load(TABLES VIEWS, SET_OF(was), NULL), load(more, SET_OF(grown), NULL));
    expect(&changed, "stated", BR_UPGRADE_KEEP, "");
    cr_expect(!br_upgrade_find(changed.upgrade, "stated")->takes_state);
    cr_expect_str_eq(br_upgrade_find(changed.upgrade, "kept")->again, "shares stored rows with view names");
    cr_expect(br_upgrade_find(changed.upgrade, "counted")->takes_state, "a stream has no rows");
    cr_expect(br_upgrade_find(changed.upgrade, "looked")->takes_state, "another table");
    done(&changed);
    // Without further labels rows of a table are read by either.
    changed = compared(load(TABLES VIEWS, SET_OF(was), NULL), load(more, SET_OF(was), NULL));
    cr_expect(br_upgrade_find(changed.upgrade, "stated")->takes_state);
    done(&changed);
}

Test(upgrade_fields, a_star_takes_a_new_field_in) {
    static const char star[] = TABLES "CREATE MATERIALIZED VIEW everything AS SELECT * FROM customers;\n";
    struct changed changed = compared(load(star, SET_OF(was), NULL), load(star, SET_OF(grown), NULL));
    expect(&changed, "everything", BR_UPGRADE_REBUILD, "table customers: column phone is new");
    done(&changed);
}

Test(upgrade_fields, a_member_more_of_a_oneof_rebuilds_nothing_one_that_leaves_it_does) {
    struct changed changed = BETWEEN(one, more);
    expect(&changed, "counted", BR_UPGRADE_KEEP, "field 6 \"post\" of shop.v1.Customer takes the place of \"email\"");
    expect(&changed, "stated", BR_UPGRADE_KEEP, "");
    cr_expect_str_eq(br_upgrade_find(changed.upgrade, "stated")->why, "");
    done(&changed);
    changed = BETWEEN(one, less);
    expect(&changed, "counted", BR_UPGRADE_REBUILD, "field 3 \"email\" of shop.v1.Customer stands in another oneof");
    expect(&changed, "stated", BR_UPGRADE_KEEP, "");
    done(&changed);
}

// --- the user's own messages
Test(upgrade_fields, a_renumbered_input_field_is_named) {
    struct changed changed = BETWEEN(was, between);
    expect(&changed, "counted", BR_UPGRADE_REBUILD, "table seen: field 5 \"email\" of shop.v1.Customer was 3");
    expect(&changed, "stated", BR_UPGRADE_REBUILD, ""); // rows of the table are stored with the column
    expect_moves(&changed, "field 5 \"email\" of shop.v1.Customer was 3\n");
    done(&changed);
    changed = BETWEEN(was, swapped);
    expect_moves(&changed, "field 2 \"email\" of shop.v1.Customer was 3\nfield 3 \"name\" of shop.v1.Customer was 2\n");
    done(&changed);
}

Test(upgrade_fields, a_renumbered_field_that_nobody_reads_is_nothing) {
    static const char sql[] = "SET braid.pipeline = 'shop';\nCREATE TABLE seen () WITH (" OPTIONS ");\n"
                              "CREATE MATERIALIZED VIEW names AS SELECT id, name FROM seen;\n";
    struct changed changed = compared(load(sql, SET_OF(was), NULL), load(sql, SET_OF(between), NULL));
    expect(&changed, "names", BR_UPGRADE_KEEP, "");
    expect_moves(&changed, "");
    done(&changed);
}

Test(upgrade_fields, values_that_mean_others_are_named) {
    struct changed changed = BETWEEN(was, valued);
    expect(&changed, "stated", BR_UPGRADE_REBUILD, "value 1 of shop.v1.Status is \"SENT\", was \"PAID\"");
    expect(&changed, "counted", BR_UPGRADE_KEEP, "");
    expect_moves(&changed, "value 1 \"SENT\" of shop.v1.Status was 2\nvalue 2 \"PAID\" of shop.v1.Status was 1\n");
    done(&changed);
    changed = BETWEEN(was, named); // another name for it changes rows, and moves nothing
    expect(&changed, "stated", BR_UPGRADE_REBUILD, "value 1 of shop.v1.Status is \"SETTLED\", was \"PAID\"");
    expect_moves(&changed, "");
    done(&changed);
}

Test(upgrade_fields, another_type_under_a_number_is_a_move) {
    struct changed changed = BETWEEN(was, typed);
    expect(&changed, "counted", BR_UPGRADE_REBUILD, "field 3 \"email\" of shop.v1.Customer is sint64, was string");
    cr_expect_str_eq(changed.upgrade->moves[0].text, "field 3 \"email\" of shop.v1.Customer is sint64, was string");
    cr_expect_str_eq(changed.upgrade->moves[1].text, "field 2 \"email\" of shop.passed is int64, was string");
    done(&changed);
}

// --- messages that are derived
#define PEOPLE(columns) "SET braid.pipeline = 'shop';\nCREATE TABLE people (id text, " columns ");\n"
#define CONTACTS(columns) "CREATE MATERIALIZED VIEW contacts AS SELECT id, " columns " FROM people;\n"
#define LOCKED "SET braid.fields = 'shop.fields';\n"

Test(upgrade_fields, a_column_in_the_middle_moves_those_behind_it) {
    struct changed changed =
        listed(PEOPLE("name text, email text, n bigint") CONTACTS("name, email"), NULL,
               PEOPLE("name text, home text, email text, n bigint") CONTACTS("name, home, email"), NULL);
    expect_moves(&changed, "field 4 \"email\" of shop.people was 3\nfield 5 \"n\" of shop.people was 4\n"
                           "field 4 \"email\" of shop.contacts was 3\n");
    struct br_error error;
    cr_expect_eq(br_upgrade_check_moves(changed.upgrade, "dir/new.sql", false, &error), BR_DATA);
    cr_expect(strstr(error.message, "field 4 \"email\" of shop.contacts was 3") != NULL, "%s", error.message);
    cr_expect(strstr(error.message, "write SET braid.fields = 'new.fields'; into dir/new.sql, then "
                                    "braid schema lock dir/new.sql --running shop") != NULL,
              "%s", error.message);
    done(&changed);
}

Test(upgrade_fields, with_a_lock_nothing_moves) {
    struct changed changed =
        listed(PEOPLE("name text, email text") CONTACTS("name, email"), NULL,
               LOCKED PEOPLE("name text, home text, email text") CONTACTS("name, home, email"),
               "braid fields 1\nmessage contacts\n1 string id\n2 string name\n3 string email\n4 string home\n"
               "message people\n1 string id\n2 string name\n3 string email\n4 string home\n");
    expect_moves(&changed, "");
    struct br_error error;
    cr_expect_eq(br_upgrade_check_moves(changed.upgrade, "new.sql", false, &error), BR_OK);
    expect(&changed, "contacts", BR_UPGRADE_REBUILD, "names of columns of the output changed");
    done(&changed);
}

Test(upgrade_fields, a_column_in_the_middle_of_a_locked_table_rebuilds_nothing_that_does_not_read_it) {
    struct changed changed = listed(PEOPLE("name text, email text") CONTACTS("name, email"), NULL,
                                    LOCKED PEOPLE("name text, home text, email text") CONTACTS("name, email"),
                                    "braid fields 1\nmessage contacts\n1 string id\n2 string name\n3 string email\n"
                                    "message people\n1 string id\n2 string name\n3 string email\n4 string home\n");
    expect_moves(&changed, "");
    expect(&changed, "contacts", BR_UPGRADE_KEEP, "");
    done(&changed);
    changed = listed(PEOPLE("name text, email text") CONTACTS("name, email"), NULL,
                     PEOPLE("name text, home text, email text") CONTACTS("name, email"), NULL);
    expect(&changed, "contacts", BR_UPGRADE_REBUILD, "field 4 \"email\" of shop.people was 3");
    done(&changed);
}

Test(upgrade_fields, a_number_that_another_column_takes_is_named) {
    struct changed changed = listed(PEOPLE("name text, email text") CONTACTS("name, email"), NULL,
                                    PEOPLE("name text, email text") CONTACTS("name, email AS mail"), NULL);
    expect_moves(&changed, "field 3 of shop.contacts is \"mail\", was \"email\"\n");
    done(&changed);
    changed = listed(PEOPLE("name text, email text") CONTACTS("name, email"), NULL,
                     PEOPLE("name text, email text") CONTACTS("name"), NULL); // gone, and nothing in its place
    expect_moves(&changed, "");
    done(&changed);
}

Test(upgrade_fields, a_column_that_is_renamed_moves_nothing_when_its_field_keeps_its_name) {
    struct changed changed = listed(PEOPLE("name text, email text") CONTACTS("name, email"), NULL,
                                    LOCKED PEOPLE("name text, email text") CONTACTS("name, email AS mail"),
                                    "braid fields 1\nmessage contacts\n1 string id\n2 string name\n3 string mail as "
                                    "email\nmessage people\n1 string id\n2 string name\n3 string email\n");
    expect_moves(&changed, "");
    done(&changed);
}

Test(upgrade_fields, a_number_that_was_reserved_is_named) {
    struct changed changed = listed(LOCKED PEOPLE("name text") CONTACTS("name"),
                                    "braid fields 1\nmessage contacts\n1 string id\n2 string name\nreserved 3 email\n"
                                    "message people\n1 string id\n2 string name\n",
                                    PEOPLE("name text, home text") CONTACTS("name, home"), NULL);
    expect_moves(&changed, "field 3 \"home\" of shop.contacts has a number that was reserved\n");
    done(&changed);
}

Test(upgrade_fields, older_versions_are_looked_at_too) {
    struct changed changed = listed("SET braid.pipeline = 'shop';\nCREATE TYPE old AS (id text, cents bigint);\n"
                                    "CREATE TABLE t (id text);\n",
                                    NULL,
                                    "SET braid.pipeline = 'shop';\nCREATE TYPE old AS (cents bigint, id text);\n"
                                    "CREATE TABLE t (id text);\n",
                                    NULL);
    expect_moves(&changed, "field 1 \"cents\" of shop.old was 2\nfield 2 \"id\" of shop.old was 1\n");
    done(&changed);
}

Test(upgrade_fields, integers_that_grow_are_cut_by_readers_of_a_view_not_of_a_table) {
    struct changed changed = listed(PEOPLE("n integer") CONTACTS("n"), NULL, PEOPLE("n bigint") CONTACTS("n"), NULL);
    expect_moves(&changed, "field 2 \"n\" of shop.contacts is int64, was int32\n");
    done(&changed);
    changed = listed(PEOPLE("n bigint") CONTACTS("n"), NULL, PEOPLE("n integer") CONTACTS("n"), NULL);
    expect_moves(&changed, "");
    done(&changed);
}

Test(upgrade_fields, json_has_names_and_no_numbers) {
#define JSON(columns)                                                                                                  \
    "CREATE MATERIALIZED VIEW contacts WITH (format = 'json') AS SELECT id, " columns " FROM people;\n"
    struct changed changed = listed(PEOPLE("name text, email text") JSON("name, email"), NULL,
                                    PEOPLE("name text, email text") JSON("email, name"), NULL);
    expect_moves(&changed, "");
    done(&changed);
    changed = listed(PEOPLE("name text, email text") CONTACTS("name, email"), NULL,
                     PEOPLE("name text, email text") CONTACTS("email, name"), NULL);
    expect_moves(&changed, "field 2 \"email\" of shop.contacts was 3\nfield 3 \"name\" of shop.contacts was 2\n");
    done(&changed);
}

Test(upgrade_fields, moves_stand_in_what_is_printed) {
    struct changed changed = listed(PEOPLE("name text, email text") CONTACTS("name, email"), NULL,
                                    PEOPLE("name text, email text") CONTACTS("name, email AS mail"), NULL);
    struct br_buffer text = {0}, json = {0};
    br_upgrade_print(changed.upgrade, false, &text);
    br_upgrade_print(changed.upgrade, true, &json);
    br_buffer_append_byte(&text, 0);
    br_buffer_append_byte(&json, 0);
    cr_expect(strstr((char *)text.ptr, "field numbers move\n  field 3 of shop.contacts is \"mail\", was \"email\"\n") !=
                  NULL,
              "%s", (char *)text.ptr);
    cr_expect(strstr((char *)json.ptr,
                     "\"moves\":[{\"message\":\"shop.contacts\",\"text\":\"field 3 of shop.contacts is "
                     "\\\"mail\\\", was \\\"email\\\"\"}]}") != NULL,
              "%s", (char *)json.ptr);
    br_buffer_free(&text);
    br_buffer_free(&json);
    done(&changed);
}
