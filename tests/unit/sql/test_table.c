// SPDX-License-Identifier: Apache-2.0
#include "shop_set.h"
#include "sql_test.h"

// A file with the descriptor set; its name in braces of SET goes before the text.
static struct loaded load_with_set(const char *text) {
    char path[] = "/tmp/shop-set-XXXXXX";
    int file = mkstemp(path);
    cr_assert(file >= 0);
    cr_assert_eq(write(file, shop_set, sizeof shop_set), (ssize_t)sizeof shop_set);
    close(file);
    struct br_buffer all = {0};
    br_buffer_printf(&all, "SET braid.descriptors = '%s';\n%s", path, text);
    br_buffer_append_byte(&all, 0);
    struct loaded loaded = load((const char *)all.ptr);
    br_buffer_free(&all);
    unlink(path);
    return loaded;
}

static void expect_set_error(const char *text, uint32_t line, uint32_t column, const char *message, const char *hint) {
    struct loaded l = load_with_set(text);
    cr_assert_eq(l.diagnostics->error_count, 1, "%s", text);
    const struct br_diagnostic *found = &l.diagnostics->list[0];
    cr_expect_str_eq(found->message, message);
    cr_expect(found->line == line && found->column == column, "%u:%u", found->line, found->column);
    cr_expect(hint == NULL || (found->hint != NULL && strstr(found->hint, hint) != NULL), "%s", found->hint);
    unload(&l);
}

Test(table, a_pipeline_keeps_its_descriptor_sets_and_can_be_loaded_from_them_without_the_files) {
    const char *text = "SET braid.descriptors = '/nowhere/to/be/found.binpb';\n"
                       "CREATE TABLE o () WITH (message = 'shop.v1.Order2', event_time = 'at');\n"
                       "CREATE MATERIALIZED VIEW v AS SELECT id, state FROM o";
    struct loaded from_file = load_with_set(strchr(text, '\n') + 1);
    cr_assert_not_null(from_file.pipeline, "%s", from_file.diagnostics->list[0].message);
    cr_assert_eq(from_file.pipeline->descriptor_set_count, 1);
    cr_assert(br_slice_equal(from_file.pipeline->descriptor_sets[0], (struct br_slice){shop_set, sizeof shop_set}));
    struct br_pipeline_options options = {
        .descriptor_sets = from_file.pipeline->descriptor_sets, .descriptor_set_count = 1, .stored = true};
    struct loaded again = {NULL, br_diagnostics_create("shop.sql", text)};
    struct br_error error;
    cr_assert_eq(br_pipeline_load("shop.sql", text, &options, again.diagnostics, &again.pipeline, &error), BR_OK);
    cr_assert_eq(again.pipeline->plan_hash, from_file.pipeline->plan_hash);
    cr_assert_eq(again.pipeline->descriptor_set_count, 1);
    unload(&again);
    options.descriptor_set_count = 0;
    again.diagnostics = br_diagnostics_create("shop.sql", text);
    cr_assert_eq(br_pipeline_load("shop.sql", text, &options, again.diagnostics, &again.pipeline, &error), BR_DATA);
    cr_assert_not_null(strstr(again.diagnostics->list[0].message, "shop.v1.Order2"), "the file isn't opened: %s",
                       again.diagnostics->list[0].message);
    unload(&again);
    unload(&from_file);
}

Test(table, plans_of_the_first_build_take_any_time_that_a_text_tells) {
    const char *text = CUSTOMERS "CREATE MATERIALIZED VIEW v AS SELECT customer FROM customers;";
    uint32_t first = 0;
    struct br_pipeline_options options = {.rules = &first};
    struct loaded now = load_ok(text), then = {NULL, br_diagnostics_create("shop.sql", text)};
    struct br_error error;
    cr_assert_eq(br_pipeline_load("shop.sql", text, &options, then.diagnostics, &then.pipeline, &error), BR_OK);
    cr_assert_not(now.pipeline->tables[0].takes_any_time);
    cr_assert(then.pipeline->tables[0].takes_any_time);
    cr_assert_eq(now.pipeline->plan_hash, then.pipeline->plan_hash);
    unload(&now);
    unload(&then);
}

Test(table, columns_gates_and_defaults) {
    struct loaded l = load_ok("CREATE TABLE t (id bigint NOT NULL, amount numeric DEFAULT 1.5 CHECK (amount >= 0),\n"
                              "  at timestamptz DEFAULT now(), note text, CHECK (id > 0 AND amount < 100), CONSTRAINT "
                              "mine CHECK (note <> ''))\n"
                              "WITH (event_time = 'at', watermark = '2 minutes', max_future = '1 hour', subject = "
                              "'a.*.>', layout = delimited)");
    const struct br_table *t = br_pipeline_find_table(l.pipeline, "t");
    cr_assert_eq(t->row_type.column_count, 4);
    cr_expect(t->row_type.columns[0].not_null && !t->row_type.columns[1].not_null);
    cr_expect_eq(t->row_type.columns[0].type, BR_BIGINT);
    cr_expect_eq(t->row_type.columns[1].default_value->type, BR_NUMERIC);
    cr_expect(br_expr_reads_clock(t->row_type.columns[2].default_value));
    cr_assert_eq(t->check_count, 3);
    cr_expect_str_eq(t->checks[0].name, "t_amount_check");
    cr_expect_str_eq(t->checks[0].text, "amount >= 0");
    cr_expect_str_eq(t->checks[1].name, "t_check");
    cr_expect_str_eq(t->checks[1].text, "id > 0 AND amount < 100");
    cr_expect_str_eq(t->checks[2].name, "mine");
    cr_expect_str_eq(t->checks[2].text, "note <> ''");
    cr_expect_eq(t->event_time, 2);
    cr_expect_eq(t->watermark_delay_us, 120000000);
    cr_expect_eq(t->future_bound_us, INT64_C(3600000000));
    cr_expect_str_eq(t->subject, "a.*.>");
    cr_expect_eq(t->layout, BR_LAYOUT_DELIMITED);
    cr_expect_eq(t->primary_key_count, 0);
    cr_expect_str_eq(t->row_type.message_name, "shop.t");
    cr_expect(t->row_type.message->derived);
    cr_expect_eq(t->version_count, 1);
    cr_expect_str_eq(t->versions[0].message_name, "t");
    unload(&l);
}
Test(table, defaults_of_the_options) {
    struct loaded l =
        load_ok("SET braid.pipeline = 'my-shop'; CREATE TABLE \"My Table\" (a text, b date, PRIMARY KEY (b, a))");
    const struct br_table *t = br_pipeline_find_table(l.pipeline, "My Table");
    cr_expect_str_eq(l.pipeline->name, "my-shop");
    cr_expect_str_eq(t->subject, "my-shop.My_Table");
    cr_expect_str_eq(t->row_type.message_name, "my_shop.My_Table");
    cr_expect_eq(t->event_time, -1);
    cr_expect_eq(t->future_bound_us, INT64_C(86400000000));
    cr_assert_eq(t->primary_key_count, 2);
    cr_expect(t->primary_key[0] == 1 && t->primary_key[1] == 0);
    cr_expect(t->row_type.columns[0].not_null && t->row_type.columns[1].not_null);
    cr_expect(!t->read);
    unload(&l);
}
Test(table, used_columns_are_those_of_views_keys_and_gates) {
    struct loaded l =
        load_ok("CREATE TABLE t (k text PRIMARY KEY, gate text NOT NULL, checked text CHECK (checked <> ''),\n"
                "  at timestamptz, seen text, unseen text) WITH (event_time = 'at');\n"
                "CREATE MATERIALIZED VIEW v AS SELECT seen FROM t");
    const struct br_table *t = br_pipeline_find_table(l.pipeline, "t");
    for (uint32_t i = 0; i < 5; i++)
        cr_expect(t->used[i], "column %u", i);
    cr_expect(!t->used[5]);
    cr_expect(t->read);
    unload(&l);
}
Test(table, errors_of_columns_have_their_places) {
    expect_error("CREATE TABLE t (a text, b numeric DEFAULT true)", 1, 43,
                 "column \"b\" is of type numeric but default expression is of type boolean", "cast");
    expect_error("CREATE TABLE t (a text, b numeric CHECK (c > 0))", 1, 42, "column \"c\" does not exist",
                 "columns are a, b");
    expect_error("CREATE TABLE t (a text, b numeric CHECK (b + 1))", 1, 44,
                 "argument of CHECK must be type boolean, not type numeric", NULL);
    expect_error("CREATE TABLE t (a text UNIQUE)", 1, 24, "UNIQUE is not supported", "PRIMARY KEY");
    expect_error("CREATE TABLE t (a text REFERENCES x)", 1, 24, "REFERENCES is not supported", "join in a view");
    expect_error("CREATE TABLE t (a text PRIMARY KEY, b text PRIMARY KEY)", 1, 44,
                 "multiple primary keys for table \"t\" are not allowed", NULL);
    expect_error("CREATE TABLE t (a text, PRIMARY KEY (b))", 1, 25, "column \"b\" named in key does not exist", NULL);
    expect_error("CREATE TABLE t (a text[])", 1, 19, "an array type is not supported", "each element");
    expect_error("CREATE TABLE t (a text) INHERITS (x)", 1, 35, "INHERITS is not supported", NULL);
    expect_error("CREATE TABLE IF NOT EXISTS t (a text)", 1, 28, "IF NOT EXISTS is not supported", "leave it out");
    expect_error("CREATE TEMP TABLE t (a text)", 1, 19, "TEMPORARY and UNLOGGED are not supported", "leave it out");
    expect_error("CREATE TABLE s.t (a text)", 1, 14, "a schema name is not supported", "leave the schema out");
    expect_error("CREATE TABLE t ()", 1, 14, "table \"t\" has neither columns nor a message", "message");
}
Test(table, errors_of_options_have_their_places) {
    expect_error("CREATE TABLE t (a text) WITH (subjct = 'x')", 1, 31, "unknown option \"subjct\"",
                 "did you mean \"subject\"? the options of a table are subject, stream, message, event_time");
    expect_error("CREATE TABLE t (a text) WITH (layout = 'packed')", 1, 31, "invalid value for layout: 'packed'",
                 "'single', 'delimited'");
    expect_error("CREATE TABLE t (a text) WITH (subject = 'a..b')", 1, 31, "invalid subject 'a..b'", "tokens");
    expect_error("CREATE TABLE t (a text) WITH (subject = 'a.>.b')", 1, 31, "invalid subject 'a.>.b'", "at the end");
    expect_error("CREATE TABLE t (a text) WITH (subject = 'a', subject = 'b')", 1, 46,
                 "option \"subject\" is given twice", NULL);
    expect_error("CREATE TABLE t (a text) WITH (event_time = 'a')", 1, 31,
                 "event_time must be a timestamptz column, \"a\" is text", "timestamptz");
    expect_error("CREATE TABLE t (at timestamptz) WITH (event_time = 'att')", 1, 39,
                 "column \"att\" named in event_time does not exist", "did you mean \"at\"?");
    expect_error("CREATE TABLE t (a text) WITH (watermark = '1 second')", 1, 31, "a watermark needs an event_time",
                 "event_time");
    expect_error("CREATE TABLE t (at timestamptz) WITH (event_time = 'at', watermark = '1 month')", 1, 58,
                 "watermark can't have months: they differ in length", "days");
    expect_error("CREATE TABLE t (at timestamptz) WITH (event_time = 'at', watermark = '-1 second')", 1, 58,
                 "watermark must not be negative", NULL);
    expect_error("CREATE TABLE t (a text) WITH (lookup)", 1, 31,
                 "a lookup table needs a primary key to be looked up by", "PRIMARY KEY");
}
Test(table, columns_come_from_the_message) {
    struct loaded l =
        load_with_set("CREATE TABLE o () WITH (message = 'shop.v1.Order2', event_time = 'at');\n"
                      "CREATE MATERIALIZED VIEW v AS SELECT id, state, o.customer.name, (customer).address.city,\n"
                      "  customer.address.zip AS z FROM o;\n"
                      "CREATE MATERIALIZED VIEW w AS SELECT * FROM o");
    cr_assert_not_null(l.pipeline, "%s", l.diagnostics->list[0].message);
    const struct br_table *t = br_pipeline_find_table(l.pipeline, "o");
    cr_assert_eq(t->row_type.column_count, 7);
    cr_expect_str_eq(t->row_type.columns[3].name, "state");
    cr_expect_eq(t->row_type.columns[3].type, BR_TEXT);
    cr_expect_str_eq(t->row_type.columns[4].path, "customer.name");
    cr_expect_eq(t->row_type.columns[6].type, BR_INTEGER);
    const struct br_view *v = view_of(&l, "v");
    cr_expect_str_eq(v->row_type.columns[2].name, "name");
    cr_expect_str_eq(v->row_type.columns[3].name, "city");
    cr_expect_eq(view_of(&l, "w")->row_type.column_count, 4);
    unload(&l);
}
Test(table, declared_columns_fit_the_message) {
    struct loaded l =
        load_with_set("CREATE TABLE o (amount numeric, at timestamptz, \"customer.name\" text NOT NULL)\n"
                      "WITH (message = 'shop.v1.Order2');\n"
                      "CREATE MATERIALIZED VIEW v AS SELECT o.customer.name, \"customer.name\" AS n FROM o");
    cr_assert_not_null(l.pipeline, "%s", l.diagnostics->list[0].message);
    const struct br_table *t = br_pipeline_find_table(l.pipeline, "o");
    cr_expect_eq(t->row_type.column_count, 3);
    cr_expect_str_eq(t->row_type.columns[2].path, "customer.name");
    unload(&l);
    expect_set_error("CREATE TABLE o (id numeric, at boolean) WITH (message = 'shop.v1.Order2')", 2, 29,
                     "column \"at\" is boolean, but field at of shop.v1.Order2 is google.protobuf.Timestamp",
                     "timestamptz");
    expect_set_error("CREATE TABLE o (tags text) WITH (message = 'shop.v1.Order2')", 2, 17,
                     "column \"tags\" is text, but field tags of shop.v1.Order2 is repeated string", "repeated");
    expect_set_error("CREATE TABLE o (id text) WITH (message = 'shop.v1.Ordr')", 2, 32,
                     "message \"shop.v1.Ordr\" is in no descriptor set", "did you mean \"shop.v1.Order\"?");
}
Test(table, a_column_that_the_message_lacks_is_an_error_at_the_column) {
    struct loaded l = load_with_set("CREATE TABLE o (id text, statee text) WITH (message = 'shop.v1.Order2')");
    cr_assert_eq(l.diagnostics->error_count, 1);
    cr_expect_eq(l.diagnostics->list[0].line, 2);
    cr_expect_eq(l.diagnostics->list[0].column, 26);
    cr_expect_not_null(strstr(l.diagnostics->list[0].message, "statee"));
    unload(&l);
}
Test(table, casts_make_versions_by_the_shortest_way) {
    struct loaded l =
        load_with_set("CREATE TABLE o (id text, amount numeric, at timestamptz) WITH (message = 'shop.v1.Order3', "
                      "event_time = 'at');\n"
                      "CREATE FUNCTION a(o \"shop.v1.Order\") RETURNS \"shop.v1.Order2\" LANGUAGE SQL AS\n"
                      "  $$ SELECT o.id, (o.cents / 100.0)::text, o.at, 'NEW' $$;\n"
                      "CREATE FUNCTION b(o \"shop.v1.Order2\") RETURNS \"shop.v1.Order3\" LANGUAGE SQL AS 'SELECT "
                      "o.id, o.customer.name, o.at';\n"
                      "CREATE CAST (\"shop.v1.Order2\" AS \"shop.v1.Order3\") WITH FUNCTION b(\"shop.v1.Order2\");\n"
                      "CREATE CAST (\"shop.v1.Order\" AS \"shop.v1.Order2\") WITH FUNCTION a(\"shop.v1.Order\");\n");
    cr_assert_not_null(l.pipeline, "%s", l.diagnostics->list[0].message);
    const struct br_table *t = br_pipeline_find_table(l.pipeline, "o");
    cr_assert_eq(t->version_count, 3);
    cr_expect_str_eq(t->versions[1].message_name, "shop.v1.Order2");
    cr_expect_eq(t->versions[1].step_count, 2); // b, then the message's columns to the table's
    cr_expect_str_eq(t->versions[2].message_name, "shop.v1.Order");
    cr_assert_eq(t->versions[2].step_count, 3);
    cr_expect_str_eq(t->versions[2].steps[0].from->name, "shop.v1.Order");
    cr_expect_str_eq(t->versions[2].steps[1].from->name, "shop.v1.Order2");
    cr_expect_str_eq(t->versions[2].steps[2].from->name, "shop.v1.Order3");
    cr_expect_eq(t->versions[2].steps[2].exprs[1]->type, BR_NUMERIC);
    unload(&l);
}
Test(table, archives_are_the_pipelines_or_the_tables_own_and_no_part_of_the_plan) {
    struct loaded plain = load_ok("CREATE TABLE a (x text); CREATE TABLE b (x text); CREATE TABLE c (x text);"
                                  "CREATE MATERIALIZED VIEW v AS SELECT x FROM a;");
    struct loaded archived =
        load_ok("CREATE TABLE a (x text) WITH (archive_retention = '2 days', archive_max_bytes = '1.5 kB');"
                "CREATE TABLE b (x text) WITH (archive = 'file:///other');"
                "CREATE TABLE c (x text) WITH (archive = 'none');"
                "CREATE MATERIALIZED VIEW v AS SELECT x FROM a; SET braid.archive = 'file:///all/of/it';");
    const struct br_table *tables = archived.pipeline->tables;
    cr_assert_str_eq(tables[0].archive_path, "/all/of/it");
    cr_assert_eq(tables[0].archive_retention_us, 2 * INT64_C(86400000000));
    cr_assert_eq(tables[0].archive_bytes_max, 1500);
    cr_assert_str_eq(tables[1].archive_path, "/other");
    cr_assert_null(tables[2].archive_path);
    cr_assert_null(plain.pipeline->tables[0].archive_path);
    cr_assert_eq(plain.pipeline->plan_hash, archived.pipeline->plan_hash);
    unload(&plain);
    unload(&archived);
}
