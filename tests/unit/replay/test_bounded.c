// SPDX-License-Identifier: Apache-2.0
// Queries over history on the simulated log: what tests/fault/history_query.py can't make happen on purpose.
#include "processor/log/simulated.h"
#include "processor/sql/sql.h"
#include "replay/bounded.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#define SQL                                                                                                            \
    "SET braid.pipeline = 'p'; CREATE TABLE events (id bigint NOT NULL, key text) WITH (subject = 'events');"          \
    "CREATE TABLE names (key text PRIMARY KEY, name text) WITH (subject = 'names.{key}');"                             \
    "CREATE TABLE titles (key text PRIMARY KEY, title text) WITH (subject = 'titles.{key}', lookup = true);"

struct fixture {
    struct br_sim *sim;
    struct br_log *log;
    struct br_pipeline *pipeline;
    struct br_bounded_options options;
    struct br_bounded_report report;
    struct br_buffer text; // rows, "1|ann\n"
    uint64_t opened[3];    // by table: `first` that the hook saw
    bool publish_when_opened;
};

static struct br_pipeline *load(const char *select) {
    struct br_diagnostics *diagnostics = br_diagnostics_create("p.sql", SQL);
    struct br_diagnostics *of_select = br_diagnostics_create("query", select == NULL ? "" : select);
    struct br_pipeline_options options = {.select = select, .select_diagnostics = of_select};
    struct br_pipeline *pipeline = NULL;
    struct br_error error;
    enum br_status status = br_pipeline_load("p.sql", SQL, &options, diagnostics, &pipeline, &error);
    cr_assert_eq(status, BR_OK, "%s %s", error.message, of_select->count != 0 ? of_select->list[0].message : "");
    br_diagnostics_destroy(&diagnostics);
    br_diagnostics_destroy(&of_select);
    return pipeline;
}

static void publish(struct fixture *f, const char *subject, struct br_slice payload) {
    struct br_log_message message = {.subject = br_slice_of(subject), .payload = payload};
    struct br_error error;
    cr_assert_eq(br_log_publish(f->log, &message, &error), BR_OK, "%s", error.message);
}

static void publish_event(struct fixture *f, uint64_t id, const char *key) {
    struct br_buffer bytes = {0};
    br_buffer_append_byte(&bytes, 0x08);
    br_buffer_append_varint(&bytes, id);
    br_buffer_append_byte(&bytes, 0x12);
    br_buffer_append_varint(&bytes, strlen(key));
    br_buffer_append_text(&bytes, key);
    publish(f, "events", br_buffer_slice(&bytes));
    br_buffer_free(&bytes);
}

static void publish_to(struct fixture *f, const char *table, const char *key, const char *name) {
    struct br_buffer bytes = {0};
    char subject[64];
    snprintf(subject, sizeof subject, "%s.%s", table, key);
    const char *const fields[] = {key, name};
    for (int i = 0; i < 2; i++) {
        br_buffer_append_byte(&bytes, (uint8_t)(i == 0 ? 0x0a : 0x12));
        br_buffer_append_varint(&bytes, strlen(fields[i]));
        br_buffer_append_text(&bytes, fields[i]);
    }
    publish(f, subject, br_buffer_slice(&bytes));
    br_buffer_free(&bytes);
}

static void publish_name(struct fixture *f, const char *key, const char *name) {
    publish_to(f, "names", key, name);
}

static void start(struct fixture *f, const char *select) {
    struct br_error error;
    *f = (struct fixture){.sim = br_sim_create(NULL), .pipeline = load(select)};
    f->log = br_sim_connect(f->sim, false);
    cr_assert_eq(br_sim_add_stream(f->sim, "EVENTS", (const char *const[]){"events"}, 1, &error), BR_OK);
    cr_assert_eq(br_sim_add_stream(f->sim, "NAMES", (const char *const[]){"names.*"}, 1, &error), BR_OK);
    cr_assert_eq(br_sim_add_stream(f->sim, "TITLES", (const char *const[]){"titles.*"}, 1, &error), BR_OK);
    f->options = (struct br_bounded_options){.pipeline = f->pipeline, .log = f->log, .clock = br_sim_clock(f->sim)};
}

static void done(struct fixture *f) {
    br_bounded_report_free(&f->report);
    br_buffer_free(&f->text);
    br_pipeline_destroy(&f->pipeline);
    br_log_close(&f->log);
    br_sim_destroy(&f->sim);
}

static enum br_status add_rows(void *context, const struct br_batch *batch, struct br_error *error) {
    struct fixture *f = context;
    (void)error;
    for (uint32_t r = 0; r < batch->row_count; r++)
        for (uint32_t c = 0; c < f->pipeline->select->visible_count; c++) {
            struct br_value value = br_column_get(&batch->columns[c], r);
            br_value_print_json(&value, &f->text);
            br_buffer_append_byte(&f->text, c + 1 < f->pipeline->select->visible_count ? '|' : '\n');
        }
    return BR_OK;
}

static const char *run(struct fixture *f) {
    struct br_error error;
    br_bounded_report_free(&f->report);
    br_buffer_clear(&f->text);
    enum br_status status = br_bounded_run(&f->options, add_rows, f, &f->report, &error);
    cr_assert_eq(status, BR_OK, "%s", error.message);
    *br_buffer_reserve(&f->text, 1) = '\0';
    return (const char *)f->text.ptr;
}

static size_t files_in(const char *folder) {
    size_t count = 0;
    DIR *directory = opendir(folder);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 2;
}

Test(bounded, state_beyond_its_budget_spills_and_gives_the_same) {
    struct fixture f;
    char folder[] = "/tmp/braid-test-XXXXXX";
    cr_assert(mkdtemp(folder) != NULL);
    setenv("TMPDIR", folder, 1);
    start(&f, "SELECT key, count(*) AS n, max(id) AS last FROM events GROUP BY key ORDER BY key");
    for (uint64_t i = 0; i < 120000; i++) {
        char key[32];
        snprintf(key, sizeof key, "key-%05u", (unsigned)(i * 7919 % 30011));
        publish_event(&f, i, key);
    }
    char *whole = br_strdup(run(&f));
    cr_expect_eq(f.report.rows, 30011);
    cr_expect(strncmp(whole, "\"key-00000\"|4|90033\n", 20) == 0, "%.60s", whole);
    f.options.state_budget_bytes = 256 << 10;
    cr_expect_str_eq(run(&f), whole);
    cr_expect_eq(files_in(folder), 0, "a folder is left behind");
    free(whole);
    rmdir(folder);
    done(&f);
}

static enum br_status open_here(void *context, struct br_log *log, const struct br_table *table,
                                const struct br_stream_info *stream, uint64_t prehistory, uint64_t first, uint64_t stop,
                                struct br_reader **ret_reader, struct br_error *error) {
    struct fixture *f = context;
    f->opened[table->index] = first;
    cr_expect_eq(prehistory, 0);
    cr_expect_eq(stop, stream->last_sequence);
    if (f->publish_when_opened)
        publish_event(f, 99, "late");
    return br_reader_open(log, stream->name, table->index == 0 ? "events" : "names.*", first, stop, ret_reader, error);
}

Test(bounded, inputs_come_from_where_the_caller_says_and_end_where_they_ended) {
    struct fixture f;
    start(&f, "SELECT id, name FROM events JOIN names USING (key) ORDER BY id");
    publish_event(&f, 1, "a"); // before there is a name: a join is of what is there in the end
    publish_name(&f, "a", "Ann");
    publish_name(&f, "b", "Bob");
    publish_event(&f, 2, "b");
    publish_event(&f, 3, "c");
    publish_name(&f, "a", "Anna");
    f.options.open_input = open_here;
    f.options.open_context = &f;
    f.publish_when_opened = true;
    cr_expect_str_eq(run(&f), "1|\"Anna\"\n2|\"Bob\"\n");
    cr_expect_eq(f.opened[0], 1);
    cr_expect_eq(f.opened[1], 1);
    cr_expect_eq(f.report.tables[0].messages, 3, "an event that came after the start was read");
    cr_expect_eq(f.report.tables[0].last_sequence, 3);
    done(&f);
}

Test(bounded, tables_that_the_query_does_not_read_are_not_opened) {
    struct fixture f;
    start(&f, "SELECT id FROM events WHERE id < 2");
    publish_event(&f, 1, "a");
    publish_event(&f, 2, "b");
    publish_name(&f, "a", "Ann");
    f.options.open_input = open_here;
    f.options.open_context = &f;
    cr_expect_str_eq(run(&f), "1\n");
    cr_expect_eq(f.opened[1], 0);
    done(&f);
}

Test(bounded, an_empty_history_gives_what_no_rows_give) {
    struct fixture f;
    start(&f, "SELECT count(*) AS n, max(id) AS m FROM events");
    cr_expect_str_eq(run(&f), "0|null\n");
    done(&f);
    start(&f, "SELECT id FROM events");
    cr_expect_str_eq(run(&f), "");
    done(&f);
}

Test(bounded, a_lookup_join_gives_rows_as_they_pass) {
    struct fixture f;
    start(&f, "SELECT id, title FROM events LEFT JOIN titles USING (key)");
    publish_to(&f, "titles", "a", "Dr");
    publish_event(&f, 1, "a");
    publish_event(&f, 2, "b");
    cr_expect_str_eq(run(&f), "1|\"Dr\"\n2|null\n");
    done(&f);
}

// --- spans
static struct br_span *open_span(struct fixture *f, uint32_t turn, struct br_span_bound from, struct br_span_bound to) {
    static const bool both[] = {true, true, false};
    struct br_span_options options = {
        .pipeline = f->pipeline, .log = f->log, .tables = both, .turn_messages = turn, .from = from, .to = to};
    struct br_span *span;
    struct br_error error;
    cr_assert_eq(br_span_open(&options, &span, &error), BR_OK, "%s", error.message);
    return span;
}

Test(span, turns_follow_each_other_in_time_and_lose_nothing) {
    struct fixture f;
    start(&f, "SELECT id FROM events");
    for (uint64_t i = 0; i < 500; i++)
        if (i * 7919 % 13 < 5)
            publish_name(&f, "a", "Ann");
        else
            publish_event(&f, i, "a");
    struct br_span *span = open_span(&f, 7, (struct br_span_bound){0}, (struct br_span_bound){0});
    struct br_error error;
    size_t total = 0;
    int64_t former_us = 0;
    for (bool any = true; any;) {
        cr_assert_eq(br_span_next(span, &any, &error), BR_OK, "%s", error.message);
        const struct br_span_input *inputs = br_span_inputs(span);
        int64_t highest_us = former_us;
        size_t count = inputs[0].count + inputs[1].count;
        cr_expect(!any || (count > 0 && count <= 7), "%zu", count);
        for (uint32_t t = 0; t < 2; t++)
            for (size_t i = 0; i < inputs[t].count; i++) {
                cr_expect_gt(inputs[t].messages[i].timestamp.us, former_us, "an older one came later");
                if (inputs[t].messages[i].timestamp.us > highest_us)
                    highest_us = inputs[t].messages[i].timestamp.us;
            }
        former_us = highest_us;
        total += count;
    }
    cr_expect_eq(total, 500);
    br_span_close(&span);
    done(&f);
}

static size_t count_span(struct fixture *f, struct br_span_bound from, struct br_span_bound to) {
    struct br_span *span = open_span(f, 5, from, to);
    struct br_error error;
    size_t total = 0;
    for (bool any = true; any;) {
        cr_assert_eq(br_span_next(span, &any, &error), BR_OK, "%s", error.message);
        total += br_span_inputs(span)[0].count;
    }
    br_span_close(&span);
    return total;
}

Test(span, bounds_by_time_are_found_in_streams_with_holes) {
    struct fixture f;
    start(&f, "SELECT id FROM events");
    const struct br_clock *clock = br_sim_clock(f.sim);
    int64_t begin_us = clock->wall(clock).us + BR_US_PER_SECOND;
    for (int64_t i = 0; i < 200; i++) {
        br_sim_set_wall(f.sim, (struct br_wall_time){begin_us + i * BR_US_PER_SECOND});
        publish_event(&f, (uint64_t)i, "a");
    }
    for (uint64_t sequence = 60; sequence < 140; sequence++) // more in a row than is probed
        br_sim_delete(f.sim, "EVENTS", sequence);
    for (int64_t from = 0; from < 205; from += 5)
        for (int64_t to = from; to < 205; to += 40) {
            struct br_span_bound first = {BR_SPAN_TIME, 0, {begin_us + from * BR_US_PER_SECOND}},
                                 last = {BR_SPAN_TIME, 0, {begin_us + to * BR_US_PER_SECOND}};
            size_t want = 0;
            for (int64_t i = from; i <= to && i < 200; i++)
                want += i + 1 < 60 || i + 1 >= 140;
            cr_expect_eq(count_span(&f, first, last), want, "from %ld to %ld", (long)from, (long)to);
        }
    done(&f);
}

Test(span, bounds_are_read_or_refused) {
    struct br_wall_time now = {INT64_C(1772366400000000)}; // 2026-03-01 12:00Z
    struct br_span_bound bound;
    struct br_error error;
    cr_assert_eq(br_span_bound_parse("17", now, &bound, &error), BR_OK);
    cr_expect(bound.kind == BR_SPAN_SEQUENCE && bound.sequence == 17);
    cr_assert_eq(br_span_bound_parse("2 hours ago", now, &bound, &error), BR_OK);
    cr_expect(bound.kind == BR_SPAN_TIME && bound.time.us == now.us - 7200 * BR_US_PER_SECOND);
    cr_assert_eq(br_span_bound_parse("2026-03-01 11:00Z", now, &bound, &error), BR_OK);
    cr_expect(bound.kind == BR_SPAN_TIME && bound.time.us == now.us - 3600 * BR_US_PER_SECOND);
    cr_assert_eq(br_span_bound_parse("beginning", now, &bound, &error), BR_OK);
    cr_expect(bound.kind == BR_SPAN_OPEN);
    static const char *const wrong[] = {"", "0", "soon", "-5", "99999999999999999999999", "1 month ago", "ago"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_expect_eq(br_span_bound_parse(wrong[i], now, &bound, &error), BR_DATA, "%s", wrong[i]);
}
