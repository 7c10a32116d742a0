// SPDX-License-Identifier: Apache-2.0
// Field numbers that stay: the lock file's text, what an edited pipeline makes of it, and pipelines bound with one.
#include "processor/sql/field_lock.h"
#include "sql_test.h"

#define HEAD "braid fields 1\n"
#define SET "SET braid.fields = 'shop.fields';\n"
#define PEOPLE "CREATE TABLE people (id text NOT NULL, name text, email text, visits integer);\n"
#define CONTACTS "CREATE MATERIALIZED VIEW contacts AS SELECT id, name, email FROM people;\n"
#define LOCK                                                                                                           \
    HEAD "message contacts\n  1 string id\n  2 string name\n  3 string email\n"                                        \
         "message people\n  1 string id\n  2 string name\n  3 string email\n  4 int32 visits\n"

// --- what the tests share
static struct br_field_lock *parse(struct br_arena *arena, const char *text) {
    struct br_field_lock *lock = NULL;
    struct br_error error = {.message = ""};
    cr_assert_eq(br_field_lock_parse(br_slice_of(text), "shop.fields", arena, &lock, &error), BR_OK, "%s: %s", text,
                 error.message);
    return lock;
}

static void refused(const char *text, const char *why) {
    struct br_arena *arena = br_arena_create();
    struct br_field_lock *lock = NULL;
    struct br_error error = {.message = ""};
    cr_expect_eq(br_field_lock_parse(br_slice_of(text), "shop.fields", arena, &lock, &error), BR_DATA, "%s", text);
    cr_expect(strstr(error.message, why) != NULL, "%s: %s (wanted: %s)", text, error.message, why);
    br_arena_destroy(&arena);
}

static void expect_text(const struct br_field_lock *lock, const char *want) {
    struct br_buffer out = {0};
    br_field_lock_print(lock, &out);
    br_buffer_append_byte(&out, 0);
    const char *begin = strstr((const char *)out.ptr, HEAD);
    cr_assert_not_null(begin, "%s", (const char *)out.ptr);
    char text[4096];
    size_t len = 0; // without empty lines
    for (const char *at = begin; *at != '\0'; at++)
        if (at[0] != '\n' || at[-1] != '\n')
            text[len++] = *at;
    text[len] = '\0';
    cr_expect_str_eq(text, want);
    br_buffer_free(&out);
}

// A pipeline bound with this lock, as if it had been stored with it; NULL: with its errors.
static struct loaded load_with(const char *sql, const char *lock) {
    struct loaded loaded = {NULL, br_diagnostics_create("shop.sql", sql)};
    struct br_pipeline_options options = {.stored = true, .unlocked = lock == NULL};
    struct br_error error;
    if (lock != NULL)
        options.fields = br_slice_of(lock);
    enum br_status status = br_pipeline_load("shop.sql", sql, &options, loaded.diagnostics, &loaded.pipeline, &error);
    cr_assert((status == BR_OK) == (loaded.pipeline != NULL));
    return loaded;
}

static struct loaded load_locked(const char *sql, const char *lock) {
    struct loaded loaded = load_with(sql, lock);
    cr_assert_not_null(loaded.pipeline, "%s",
                       loaded.diagnostics->count == 0 ? "no error" : loaded.diagnostics->list[0].message);
    return loaded;
}

// The lock of the pipeline, from a former one (NULL: none); tells "…".
static void expect_update(const char *former, const char *sql, const char *const *renumber, size_t renumber_count,
                          const char *want, const char *told) {
    struct br_arena *arena = br_arena_create();
    struct loaded loaded = load_locked(sql, NULL);
    struct br_field_lock *lock = NULL;
    struct br_buffer words = {0};
    struct br_error error = {.message = ""};
    cr_assert_eq(br_field_lock_update(former == NULL ? NULL : parse(arena, former), "shop.fields", loaded.pipeline,
                                      renumber, renumber_count, arena, &lock, &words, &error),
                 BR_OK, "%s", error.message);
    br_buffer_append_byte(&words, 0);
    expect_text(lock, want);
    cr_expect_str_eq((const char *)words.ptr, told);
    br_buffer_free(&words);
    unload(&loaded);
    br_arena_destroy(&arena);
}

static void expect_locked_error(const char *sql, const char *lock, uint32_t line, const char *message) {
    struct loaded loaded = load_with(sql, lock);
    cr_assert_eq(loaded.diagnostics->error_count, 1, "%u errors", loaded.diagnostics->error_count);
    cr_expect_str_eq(loaded.diagnostics->list[0].message, message);
    cr_expect(strstr(loaded.diagnostics->list[0].hint, "braid schema lock shop.sql ") != NULL, "%s",
              loaded.diagnostics->list[0].hint);
    cr_expect_eq(loaded.diagnostics->list[0].line, line);
    unload(&loaded);
}

static uint32_t number_of(const struct loaded *loaded, const char *view, const char *field) {
    const struct br_message_field *found = br_message_find_field(view_of(loaded, view)->row_type.message, field);
    return found == NULL ? 0 : found->number;
}

// --- the text
Test(field_lock, what_is_read_is_written_again) {
    static const char text[] = HEAD "message \"Größe\"\n"
                                    "  reserved 1 \"a b\" as a_b\n"
                                    "message contacts\n"
                                    "  1 string id\n"
                                    "  reserved 2 fax\n"
                                    "  3 Timestamp \"At\"\n"
                                    "  5 int64 \"number of \\\"visits\\\"\" as number_of__visits_\n"
                                    "  536870911 bool as\n";
    struct br_arena *arena = br_arena_create();
    struct br_field_lock *lock = parse(arena, text);
    expect_text(lock, text);
    const struct br_locked_message *contacts = br_field_lock_find(lock, "contacts");
    cr_assert_not_null(contacts);
    cr_expect_str_eq(contacts->fields[3].column, "number of \"visits\"");
    cr_expect_eq(br_locked_field_find(contacts, "as")->number, 536870911);
    cr_expect_null(br_locked_field_find(contacts, "fax"));
    // A field is named when it isn't named as its column.
    expect_text(parse(arena, HEAD "message m\n1 bool as as as\n"), HEAD "message m\n  1 bool as\n");
    br_arena_destroy(&arena);
}

Test(field_lock, order_comments_and_line_ends_do_not_matter) {
    struct br_arena *arena = br_arena_create();
    expect_text(parse(arena, "# mine\r\n\r\n" HEAD "message b\r\n2 string y\r\n\t1   string x  \r\n# and\nmessage a\n"),
                HEAD "message a\nmessage b\n  1 string x\n  2 string y\n");
    br_arena_destroy(&arena);
}

Test(field_lock, what_is_wrong_is_named_with_its_line) {
    refused("", "shop.fields:1: this is no file of field numbers: it begins with \"braid fields 1\"");
    refused("CREATE TABLE t (a text);", "shop.fields:1: this is no file of field numbers");
    refused("braid fields 2\n", "shop.fields:1: this is no file of field numbers");
    refused(HEAD "1 string a\n", "shop.fields:2: a line \"message NAME\" must come first");
    refused(HEAD "message m\nsome thing\n", "shop.fields:3: a line is \"message NAME\"");
    refused(HEAD "message m\n-1 string a\n", "shop.fields:3: a line is \"message NAME\"");
    refused(HEAD "message m\n<<<<<<< HEAD\n", "shop.fields:3: a line is \"message NAME\"");
    refused(HEAD "message m n\n", "shop.fields:2: \"n\" is too much");
    refused(HEAD "message\n", "shop.fields:2: the name of a message is missing");
    refused(HEAD "message m\n1 string\n", "shop.fields:3: the name of a column is missing");
    refused(HEAD "message m\n1 text a\n", "shop.fields:3: \"text\" is no type of a field");
    refused(HEAD "message m\n0 string a\n", "shop.fields:3: 0 can't be a field number");
    refused(HEAD "message m\n536870912 string a\n", "536870912 can't be a field number");
    refused(HEAD "message m\n99999999999999999999999999 string a\n", "can't be a field number");
    refused(HEAD "message m\nreserved 19500 a\n", "19500 can't be a field number");
    refused(HEAD "message m\n1 string \"a b\"\n", "\"a b\" can't be the name of a field: write \"a b\" as NAME");
    refused(HEAD "message m\n1 string \"a\n", "shop.fields:3: a name in quotes is written as in JSON");
    refused(HEAD "message m\n1 string \"\\u0000\"\n", "shop.fields:3: a name is empty, or has a character");
    refused(HEAD "message m\n1 string a\nreserved 1 b\n", "number 1 of message \"m\" is there for \"");
    refused(HEAD "message m\n1 string a\n2 string a\n", "column \"a\" of message \"m\" has numbers");
    refused(HEAD "message m\n1 string ab\n2 string a_B as a_B\n", "have one name in JSON");
    refused(HEAD "message m\nmessage n\nmessage m\n", "message \"m\" is there twice");
    refused(HEAD "message \xff\n", "isn't UTF-8 text");
}

// --- what an edit makes of it
Test(field_lock, the_first_lock_has_the_numbers_of_the_order) {
    expect_update(NULL, SET PEOPLE CONTACTS, NULL, 0, LOCK, "");
}

Test(field_lock, nothing_changes_without_an_edit) {
    expect_update(LOCK, SET PEOPLE CONTACTS, NULL, 0, LOCK, "");
}

Test(field_lock, a_column_in_the_middle_gets_a_new_number) {
    expect_update(LOCK,
                  SET "CREATE TABLE people (id text NOT NULL, home text, name text, email text, visits integer);\n"
                      "CREATE MATERIALIZED VIEW contacts AS SELECT id, home, name, email FROM people;\n",
                  NULL, 0,
                  HEAD "message contacts\n  1 string id\n  2 string name\n  3 string email\n  4 string home\n"
                       "message people\n  1 string id\n  2 string name\n  3 string email\n  4 int32 visits\n"
                       "  5 string home\n",
                  "contacts: \"home\" has number 4\npeople: \"home\" has number 5\n");
}

Test(field_lock, a_column_that_goes_leaves_its_number_reserved) {
    static const char without[] =
        HEAD "message contacts\n  1 string id\n  reserved 2 name\n  3 string email\n"
             "message people\n  1 string id\n  2 string name\n  3 string email\n  4 int32 visits\n";
    expect_update(LOCK, SET PEOPLE "CREATE MATERIALIZED VIEW contacts AS SELECT id, email FROM people;\n", NULL, 0,
                  without, "contacts: number 2 of \"name\" is reserved\n");
    // When it comes back it is a new one.
    expect_update(without, SET PEOPLE CONTACTS, NULL, 0,
                  HEAD "message contacts\n  1 string id\n  reserved 2 name\n  3 string email\n  4 string name\n"
                       "message people\n  1 string id\n  2 string name\n  3 string email\n  4 int32 visits\n",
                  "contacts: \"name\" has number 4\n");
}

Test(field_lock, the_last_number_is_never_given_again) {
    static const char *const renumber[] = {"people.phone"}; // as numbers are missing
    expect_update(HEAD "message people\n  1 string id\n  reserved 7 fax\n",
                  "SET braid.fields = 'x';\n"
                  "CREATE TABLE people (id text, phone text);\n",
                  renumber, 1, HEAD "message people\n  1 string id\n  reserved 7 fax\n  8 string phone\n",
                  "people: \"phone\" has number 8\n");
}

Test(field_lock, a_message_that_goes_leaves_all_its_numbers) {
    expect_update(LOCK, SET PEOPLE, NULL, 0,
                  HEAD "message contacts\n  reserved 1 id\n  reserved 2 name\n  reserved 3 email\n"
                       "message people\n  1 string id\n  2 string name\n  3 string email\n  4 int32 visits\n",
                  "contacts: number 1 of \"id\" is reserved\ncontacts: number 2 of \"name\" is reserved\n"
                  "contacts: number 3 of \"email\" is reserved\n");
}

Test(field_lock, numbers_that_protobuf_keeps_are_skipped) {
    static const char *const renumber[] = {"people.phone"};
    expect_update(HEAD "message people\n  18999 string id\n", SET "CREATE TABLE people (id text, phone text);\n",
                  renumber, 1, HEAD "message people\n  18999 string id\n  20000 string phone\n",
                  "people: \"phone\" has number 20000\n");
}

Test(field_lock, field_names_stay_with_their_columns) {
    // Without a lock the name of a field depends on which columns stand before it.
    static const char sql[] = SET
        "CREATE TABLE t (\"a-b\" text, \"a b\" text, a_b text);\nCREATE MATERIALIZED VIEW v AS SELECT a_b FROM t;\n";
    static const char lock[] = HEAD "message t\n  1 string \"a b\" as a_b\n  2 string a_b as a_b_2\n"
                                    "message v\n  1 string a_b\n";
    static const char after[] = HEAD "message t\n  1 string \"a b\" as a_b\n  2 string a_b as a_b_2\n"
                                     "  3 string \"a-b\" as a_b_3\nmessage v\n  1 string a_b\n";
    expect_update(lock, sql, NULL, 0, after, "t: \"a-b\" has number 3\n");
    struct loaded loaded = load_locked(sql, after);
    cr_expect_str_eq(br_pipeline_find_table(loaded.pipeline, "t")->row_type.columns[2].path, "a_b_2");
    unload(&loaded);
}

Test(field_lock, a_type_that_reads_otherwise_is_refused_unless_it_is_given_a_new_number) {
    static const char sql[] =
        SET "CREATE TABLE people (id text NOT NULL, name text, email text, visits text);\n" CONTACTS;
    static const char *const renumber[] = {"people.visits"}, *const wrong[] = {"people.visit"};
    struct br_arena *arena = br_arena_create();
    struct loaded loaded = load_locked(sql, NULL);
    struct br_field_lock *lock = NULL;
    struct br_buffer told = {0};
    struct br_error error;
    cr_assert_eq(
        br_field_lock_update(parse(arena, LOCK), "shop.fields", loaded.pipeline, NULL, 0, arena, &lock, &told, &error),
        BR_DATA);
    cr_expect(strstr(error.message, "column \"visits\" of \"people\" is string now, and number 4 stands for int32") !=
                  NULL,
              "%s", error.message);
    cr_expect(strstr(error.message, "--renumber 'people.visits'") != NULL, "%s", error.message);
    cr_assert_eq(
        br_field_lock_update(parse(arena, LOCK), "shop.fields", loaded.pipeline, wrong, 1, arena, &lock, &told, &error),
        BR_DATA);
    br_buffer_free(&told);
    unload(&loaded);
    br_arena_destroy(&arena);
    expect_update(LOCK, sql, renumber, 1,
                  HEAD "message contacts\n  1 string id\n  2 string name\n  3 string email\n"
                       "message people\n  1 string id\n  2 string name\n  3 string email\n  reserved 4 visits\n"
                       "  5 string visits\n",
                  "people: number 4 of \"visits\" is reserved\npeople: \"visits\" has number 5\n");
}

Test(field_lock, a_lost_line_is_no_new_column) {
    static const char *const renumber[] = {"contacts.name"};
    static const char lost[] =
        HEAD "message contacts\n  1 string id\n  3 string email\n"
             "message people\n  1 string id\n  2 string name\n  3 string email\n  4 int32 visits\n";
    struct br_arena *arena = br_arena_create();
    struct loaded loaded = load_locked(SET PEOPLE CONTACTS, NULL);
    struct br_field_lock *lock = NULL, *published;
    struct br_buffer told = {0};
    struct br_error error;
    cr_assert_eq(
        br_field_lock_update(parse(arena, lost), "shop.fields", loaded.pipeline, NULL, 0, arena, &lock, &told, &error),
        BR_DATA);
    cr_expect(strstr(error.message,
                     "shop.fields has no number for column \"name\" of \"contacts\", nor number 2 of that "
                     "message") != NULL &&
                  strstr(error.message, "--running shop") != NULL &&
                  strstr(error.message, "--renumber 'contacts.name'") != NULL,
              "%s", error.message);
    // What runs has it.
    cr_assert_eq(br_field_lock_of(loaded.pipeline, arena, &published, &error), BR_OK);
    cr_assert_eq(br_field_lock_update(br_field_lock_merge(published, parse(arena, lost), arena), "shop.fields",
                                      loaded.pipeline, NULL, 0, arena, &lock, &told, &error),
                 BR_OK, "%s", error.message);
    expect_text(lock, LOCK);
    cr_expect_eq(told.len, 0);
    br_buffer_free(&told);
    unload(&loaded);
    br_arena_destroy(&arena);
    expect_update(lost, SET PEOPLE CONTACTS, renumber, 1,
                  HEAD "message contacts\n  1 string id\n  3 string email\n  4 string name\n"
                       "message people\n  1 string id\n  2 string name\n  3 string email\n  4 int32 visits\n",
                  "contacts: \"name\" has number 4\n");
    expect_locked_error(SET PEOPLE CONTACTS, lost, 3,
                        "column \"name\" of \"contacts\" has no field number in shop.fields (nor is number 2 of that "
                        "message there)");
}

Test(field_lock, which_types_may_follow_depends_on_who_reads) {
    // A table's wider integers take in what was written; a view's would be cut by readers of the former schema.
    expect_update(LOCK, SET "CREATE TABLE people (id text NOT NULL, name text, email text, visits bigint);\n" CONTACTS,
                  NULL, 0,
                  HEAD "message contacts\n  1 string id\n  2 string name\n  3 string email\n"
                       "message people\n  1 string id\n  2 string name\n  3 string email\n  4 int64 visits\n",
                  "");
    struct br_arena *arena = br_arena_create();
    struct loaded loaded =
        load_locked(SET PEOPLE "CREATE MATERIALIZED VIEW v AS SELECT id, count(*) AS n FROM people GROUP BY "
                               "id;\n",
                    NULL);
    struct br_field_lock *lock = NULL;
    struct br_buffer told = {0};
    struct br_error error;
    cr_expect_eq(br_field_lock_update(parse(arena, HEAD "message v\n1 string id\n2 int32 n\n"), "", loaded.pipeline,
                                      NULL, 0, arena, &lock, &told, &error),
                 BR_DATA);
    cr_expect_eq(br_field_lock_update(parse(arena, HEAD "message v\n1 string id\n2 int64 n\n"), "", loaded.pipeline,
                                      NULL, 0, arena, &lock, &told, &error),
                 BR_OK);
    br_buffer_free(&told);
    unload(&loaded);
    br_arena_destroy(&arena);
    cr_expect(br_wire_kind_reads(BR_PB_INT64, BR_PB_INT32, false) &&
              !br_wire_kind_reads(BR_PB_INT64, BR_PB_INT32, true));
    cr_expect(br_wire_kind_reads(BR_PB_STRING, BR_PB_STRING, true) &&
              !br_wire_kind_reads(BR_PB_BYTES, BR_PB_STRING, true));
    cr_expect(!br_wire_kind_reads(BR_PB_SINT64, BR_PB_INT64, false));
}

Test(field_lock, what_was_published_goes_before_what_the_file_says) {
    struct br_arena *arena = br_arena_create();
    expect_text(br_field_lock_merge(parse(arena, HEAD "message a\n1 string x\nmessage v\n1 string id\n3 string email\n"
                                                      "reserved 6 gone\n"),
                                    parse(arena, HEAD "message b\n1 string y\nmessage v\n1 string id\n2 string email\n"
                                                      "3 string home\n4 string phone\nreserved 5 fax\nreserved 6 q\n"),
                                    arena),
                HEAD "message a\n  1 string x\nmessage b\n  1 string y\nmessage v\n  1 string id\n  3 string email\n"
                     "  4 string phone\n  reserved 5 fax\n  reserved 6 gone\n");
    br_arena_destroy(&arena);
}

Test(field_lock, the_numbers_of_a_pipeline_are_those_it_is_bound_with) {
    struct br_arena *arena = br_arena_create();
    struct br_field_lock *lock;
    struct br_error error;
    struct loaded plain = load_ok(PEOPLE CONTACTS);
    cr_assert_eq(br_field_lock_of(plain.pipeline, arena, &lock, &error), BR_OK);
    expect_text(lock, LOCK);
    unload(&plain);
    static const char text[] = LOCK "message was\n  reserved 9 x\n";
    struct loaded locked = load_locked(SET PEOPLE CONTACTS, text);
    cr_assert_eq(br_field_lock_of(locked.pipeline, arena, &lock, &error), BR_OK);
    expect_text(lock, text);
    unload(&locked);
    br_arena_destroy(&arena);
}

// --- pipelines bound with one
Test(field_lock, a_lock_with_the_numbers_of_the_order_leaves_the_plan_as_it_is) {
    struct loaded plain = load_ok(PEOPLE CONTACTS), locked = load_locked(SET PEOPLE CONTACTS, LOCK);
    cr_expect_eq(plain.pipeline->plan_hash, locked.pipeline->plan_hash);
    unload(&locked);
    locked = load_locked(SET PEOPLE CONTACTS,
                         HEAD "message contacts\n  4 string id\n  2 string name\n  3 string email\n  reserved 1 fax\n"
                              "message people\n  1 string id\n  2 string name\n  3 string email\n  4 int32 visits\n");
    cr_expect_neq(plain.pipeline->plan_hash, locked.pipeline->plan_hash);
    cr_expect_eq(number_of(&locked, "contacts", "id"), 4);
    cr_expect_eq(number_of(&locked, "contacts", "name"), 2);
    unload(&locked);
    unload(&plain);
}

Test(field_lock, planning_again_keeps_the_numbers) {
    struct loaded locked =
        load_locked(SET PEOPLE CONTACTS,
                    HEAD "message contacts\n  4 string id\n  2 string name\n  3 string email\n"
                         "message people\n  1 string id\n  2 string name\n  3 string email\n  9 int32 visits\n");
    struct br_plan_changes none = {0};
    struct br_pipeline *again = NULL;
    struct br_error error;
    cr_assert_eq(br_pipeline_change(locked.pipeline, &none, &again, &error), BR_OK, "%s", error.message);
    cr_expect_eq(again->plan_hash, locked.pipeline->plan_hash);
    br_pipeline_destroy(&again);
    unload(&locked);
}

Test(field_lock, what_does_not_fit_the_file_is_an_error_that_names_the_command) {
    expect_locked_error(SET PEOPLE "CREATE MATERIALIZED VIEW contacts AS SELECT id, name AS home, email FROM people;\n",
                        LOCK, 3, "column \"home\" of \"contacts\" has no field number in shop.fields");
    expect_locked_error(SET PEOPLE "CREATE MATERIALIZED VIEW contacts AS SELECT id, email FROM people;\n", LOCK, 3,
                        "shop.fields has number 2 for column \"name\" of \"contacts\", which is no more");
    expect_locked_error(SET PEOPLE, LOCK, 1, "shop.fields has numbers of \"contacts\", which is no more");
    expect_locked_error(SET PEOPLE CONTACTS "CREATE TYPE was AS (id text);\n", LOCK, 4,
                        "column \"id\" of \"was\" has no field number in shop.fields");
    expect_locked_error(SET "CREATE TABLE people (id text NOT NULL, name text, email text, visits bigint);\n" CONTACTS,
                        LOCK, 2,
                        "column \"visits\" of \"people\" is int64 now, and in shop.fields number 4 stands for int32");
}

Test(field_lock, a_message_of_the_users_own_needs_no_numbers) {
    struct loaded loaded =
        load_locked(SET PEOPLE, HEAD "message people\n  1 string id\n  2 string name\n  3 string email\n"
                                     "  4 int32 visits\nmessage gone\n  reserved 1 a\n");
    cr_expect_eq(loaded.pipeline->table_count, 1);
    unload(&loaded);
}

Test(field_lock, what_is_reserved_stands_in_the_proto) {
    struct loaded locked =
        load_locked(SET PEOPLE CONTACTS,
                    HEAD "message contacts\n  1 string id\n  reserved 2 name\n  reserved 4 fax\n"
                         "  reserved 6 fax\n  7 string name\n  9 string email\n"
                         "message people\n  1 string id\n  2 string name\n  3 string email\n  4 int32 visits\n");
    const struct br_message_type *message = view_of(&locked, "contacts")->row_type.message;
    struct br_buffer out = {0};
    br_descriptors_print_proto(&message, NULL, 1, "shop", &out);
    br_buffer_append_byte(&out, 0);
    cr_expect_str_eq((const char *)out.ptr, "syntax = \"proto3\";\n\npackage shop;\n\nmessage contacts {\n"
                                            "  reserved 2, 4, 6;\n  reserved \"fax\";\n  optional string id = 1;\n"
                                            "  optional string name = 7;\n  optional string email = 9;\n}\n");
    br_buffer_free(&out);
    unload(&locked);
}

Test(field_lock, the_setting_is_one_file) {
    expect_error("SET braid.fields = 'none/shop.fields';\n" PEOPLE, 1, 20,
                 "none/shop.fields: No such file or directory", "braid schema lock shop.sql");
    struct loaded twice = load_with(SET "SET braid.fields = 'other.fields';\n" PEOPLE CONTACTS, LOCK);
    cr_assert_eq(twice.diagnostics->error_count, 1);
    cr_expect_str_eq(twice.diagnostics->list[0].message, "braid.fields is set twice");
    unload(&twice);
    struct loaded lost = {NULL, br_diagnostics_create("shop.sql", SET PEOPLE)};
    struct br_pipeline_options options = {.stored = true};
    struct br_error error;
    cr_expect_eq(br_pipeline_load("shop.sql", SET PEOPLE, &options, lost.diagnostics, &lost.pipeline, &error), BR_DATA);
    cr_expect_str_eq(lost.diagnostics->list[0].message,
                     "the field numbers of shop.fields were not stored with this text");
    unload(&lost);
    struct loaded garbage = load_with(SET PEOPLE, "not a lock");
    cr_assert_eq(garbage.diagnostics->error_count, 1);
    cr_expect(strstr(garbage.diagnostics->list[0].message, "shop.fields:1: this is no file of field numbers") != NULL);
    unload(&garbage);
}
