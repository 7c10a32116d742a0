// SPDX-License-Identifier: Apache-2.0
// Why rows differ: from what a real task has put on the (simulated) log, and from what plans say.
#include "compare_world.h"

#include "processor/codec/encode.h"
#include "processor/log/simulated.h"
#include "processor/task.h"
#include "replay/causes.h"

static const char sql[] =
    "CREATE TABLE orders (id bigint NOT NULL, customer text, amount bigint CHECK (amount >= 0), at timestamptz NOT "
    "NULL)\n"
    "WITH (subject = 'shop.orders', event_time = 'at', watermark = '0 seconds');\n"
    "CREATE MATERIALIZED VIEW per_minute AS SELECT customer AS who, window_start, sum(amount) AS total\n"
    "FROM tumble(orders, at, interval '1 minute') GROUP BY customer, window_start;\n"
    "CREATE MATERIALIZED VIEW hops AS SELECT customer, window_end, count(*) AS n\n"
    "FROM hop(orders, at, interval '1 minute', interval '2 minutes') GROUP BY customer, window_end;\n"
    "CREATE MATERIALIZED VIEW per_customer AS SELECT customer, count(*) AS n FROM orders GROUP BY customer;\n"
    "CREATE MATERIALIZED VIEW busiest AS SELECT who, max(total) AS best FROM per_minute GROUP BY who;\n"
    "CREATE MATERIALIZED VIEW everything AS SELECT count(*) AS n FROM orders;\n"
    "CREATE MATERIALIZED VIEW lengths AS SELECT length(customer) AS customer, count(*) AS n FROM orders GROUP BY 1;\n";

// --- a live lineage on a log
struct live {
    struct lineage lineage; // its graph is the task's
    struct br_sim *sim;
    struct br_log *log, *feeder;
    struct br_task *task;
    struct br_encoder *encoder;
};

static enum br_status open_store(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error) {
    (void)context, (void)set_aside, (void)error;
    *ret_store = br_store_create_memory();
    return BR_OK;
}

static void open_live(struct live *live) {
    struct br_error error = {0};
    *live = (struct live){.lineage = lineage_open(sql), .sim = br_sim_create(NULL)};
    br_graph_destroy(&live->lineage.graph);
    live->feeder = br_sim_connect(live->sim, false);
    live->log = br_sim_connect(live->sim, false);
    must(br_log_ensure_input(live->feeder, "SHOP", "shop.orders", &error), &error);
    struct br_task_options options = {.pipeline = live->lineage.pipeline,
                                      .log = live->log,
                                      .clock = br_sim_clock(live->sim),
                                      .worker = "w",
                                      .open_store = open_store};
    must(br_task_create(&options, &live->task, &error), &error);
    must(br_task_recover(live->task, &error), &error);
    const struct br_row_type *type = &br_pipeline_find_table(live->lineage.pipeline, "orders")->row_type;
    const char *paths[8];
    enum br_type types[8];
    for (uint32_t c = 0; c < type->column_count; c++) {
        paths[c] = type->columns[c].path;
        types[c] = type->columns[c].type;
    }
    must(br_encoder_create(type->message, paths, types, type->column_count, &live->encoder, &error), &error);
}

static void close_live(struct live *live) {
    live->lineage.graph = NULL;
    br_task_destroy(&live->task);
    br_encoder_destroy(&live->encoder);
    br_log_close(&live->feeder);
    br_log_close(&live->log);
    br_sim_destroy(&live->sim);
    lineage_close(&live->lineage);
}

static void publish(struct live *live, struct br_slice payload) {
    struct br_error error = {0};
    struct br_log_message message = {.subject = br_slice_of("shop.orders"), .payload = payload};
    must(br_log_publish(live->feeder, &message, &error), &error);
    must(br_log_publish_flush(live->feeder, &error), &error);
    for (bool worked = true; worked;)
        must(br_task_step(live->task, &worked, &error), &error);
}

// One event of its own epoch.
static void publish_row(struct live *live, const char *row) {
    struct br_error error = {0};
    enum br_type types[] = {BR_BIGINT, BR_TEXT, BR_BIGINT, BR_TIMESTAMPTZ};
    struct br_batch *batch = br_batch_create(live->lineage.arena, types, NULL, 4);
    struct br_buffer payload = {0};
    lineage_parse(&live->lineage, row, batch);
    must(br_encoder_encode(live->encoder, batch, 0, &payload, &error), &error);
    publish(live, br_buffer_slice(&payload));
    br_buffer_free(&payload);
}

#define EXPECT_CAUSES(report, view, late, quarantined, unknown)                                                        \
    do {                                                                                                               \
        const uint64_t *causes = report_of((report), (view))->causes;                                                  \
        cr_expect(causes[BR_CAUSE_LATE] == (late) && causes[BR_CAUSE_QUARANTINED] == (quarantined) &&                  \
                      causes[BR_CAUSE_UNKNOWN] == (unknown),                                                           \
                  "%s: late %lu quarantined %lu unknown %lu", (view), (unsigned long)causes[BR_CAUSE_LATE],            \
                  (unsigned long)causes[BR_CAUSE_QUARANTINED], (unsigned long)causes[BR_CAUSE_UNKNOWN]);               \
    } while (0)

static struct br_compare_report *compare_with_causes(struct live *live, struct lineage *after) {
    struct br_error error = {0};
    struct br_causes *causes = NULL;
    must(br_causes_create(live->lineage.pipeline, after->pipeline, &causes, &error), &error);
    must(br_causes_read(causes, live->log, &error), &error);
    live->lineage.graph = br_task_graph(live->task);
    struct br_compare_options options = {.cause = br_causes_of, .cause_context = causes, .samples = 3};
    struct br_compare_report *report = compare(&live->lineage, after, &options);
    br_causes_destroy(&causes);
    return report;
}

#define ON_TIME                                                                                                        \
    "1|ann|5|2026-01-01 00:00:10+00\n2|bob|7|2026-01-01 00:00:20+00\n3|ann|2|2026-01-01 00:09:00+00\n"                 \
    "4|eve|1|2026-01-01 00:09:10+00"

static void publish_on_time(struct live *live) {
    const char *rows = ON_TIME;
    while (*rows != 0) {
        size_t len = strcspn(rows, "\n");
        publish_row(live, br_arena_strndup(live->lineage.arena, rows, len));
        rows += len + (rows[len] == '\n');
    }
}

Test(causes, late_events_explain_rows_of_their_window_and_group) {
    struct live live;
    open_live(&live);
    publish_on_time(&live);
    publish_row(&live, "5|ann|9|2026-01-01 00:00:30+00"); // late by minutes
    struct lineage after = lineage_open(sql);
    // After has the late event, and something that nobody was told of: bob's and eve's.
    lineage_fill(&after, "orders",
                 ON_TIME "\n5|ann|9|2026-01-01 00:00:30+00\n6|bob|1|2026-01-01 00:00:40+00\n"
                         "7|eve|1|2026-01-01 00:09:20+00\n8|ann|1|2026-01-01 00:20:00+00");
    struct br_compare_report *report = compare_with_causes(&live, &after);
    EXPECT_CAUSES(report, "per_minute", 1, 0, 3); // ann's other window isn't explained
    EXPECT_CAUSES(report, "hops", 2, 0, 6);
    EXPECT_CAUSES(report, "busiest", 1, 0, 2);      // ann's, by the view beneath
    EXPECT_CAUSES(report, "per_customer", 0, 0, 3); // nothing is late where no windows close
    br_compare_report_destroy(&report);
    lineage_close(&after);
    close_live(&live);
}

Test(causes, quarantined_events_explain_rows_that_they_would_have_changed) {
    struct live live;
    open_live(&live);
    publish_on_time(&live);
    publish_row(&live, "5|bob|-3|2026-01-01 00:09:30+00"); // fails the CHECK
    struct lineage after = lineage_open(sql);
    lineage_fill(&after, "orders", ON_TIME "\n5|bob|-3|2026-01-01 00:09:30+00\n6|eve|1|2026-01-01 00:09:20+00");
    struct br_compare_report *report = compare_with_causes(&live, &after);
    EXPECT_CAUSES(report, "per_minute", 0, 1, 1);
    EXPECT_CAUSES(report, "hops", 0, 2, 2);
    EXPECT_CAUSES(report, "per_customer", 0, 1, 1);
    EXPECT_CAUSES(report, "everything", 0, 1, 0); // one row, of all events
    EXPECT_CAUSES(report, "lengths", 0, 0, 1);    // computed: not compared by the name
    br_compare_report_destroy(&report);
    lineage_close(&after);
    close_live(&live);
}

Test(causes, an_event_that_cannot_be_decoded_explains_nothing_but_the_row_of_all_events) {
    struct live live;
    open_live(&live);
    publish_on_time(&live);
    publish(&live, br_slice_of("\xff\xff\xff"));
    struct lineage after = lineage_open(sql);
    lineage_fill(&after, "orders", ON_TIME "\n6|eve|1|2026-01-01 00:09:20+00");
    struct br_compare_report *report = compare_with_causes(&live, &after);
    EXPECT_CAUSES(report, "per_minute", 0, 0, 1);
    EXPECT_CAUSES(report, "everything", 0, 1, 0);
    br_compare_report_destroy(&report);
    lineage_close(&after);
    close_live(&live);
}

// --- plans
static enum br_cause cause_between(const char *before_sql, const char *after_sql) {
    struct lineage before = lineage_open(before_sql), after = lineage_open(after_sql);
    struct br_error error = {0};
    struct br_causes *causes = NULL;
    lineage_fill(&before, "t", "1|5\n2|6");
    lineage_fill(&after, "t", "1|5\n2|7");
    must(br_causes_create(before.pipeline, after.pipeline, &causes, &error), &error);
    struct br_compare_options options = {.cause = br_causes_of, .cause_context = causes};
    struct br_compare_report *report = compare(&before, &after, &options);
    const struct br_view_report *view = report_of(report, "v");
    enum br_cause cause = BR_CAUSE_COUNT;
    cr_assert_gt(view->changed + view->missing + view->extra, 0);
    for (int c = 0; c < BR_CAUSE_COUNT; c++)
        if (view->causes[c] == view->changed + view->missing + view->extra)
            cause = (enum br_cause)c;
    br_causes_destroy(&causes);
    br_compare_report_destroy(&report);
    lineage_close(&before);
    lineage_close(&after);
    return cause;
}

#define T "CREATE TABLE t (id bigint NOT NULL PRIMARY KEY, n bigint) WITH (subject = 't');\n"
#define F(body) "CREATE FUNCTION f(x bigint) RETURNS bigint LANGUAGE SQL AS 'SELECT " body "';\n"
#define V "CREATE MATERIALIZED VIEW v AS SELECT id, f(n) AS m FROM t;\n"

Test(causes, plans_tell_functions_from_other_changes) {
    cr_expect_eq(cause_between(T F("x + 1") V, T F("x + 1") V), BR_CAUSE_UNKNOWN);
    cr_expect_eq(cause_between(T F("x + 1") V, T F("x + 2") V), BR_CAUSE_FUNCTION);
    cr_expect_eq(cause_between(T F("x + 1") V, T F("x + 2") "CREATE MATERIALIZED VIEW v AS SELECT id, f(n) AS m FROM t "
                                                            "WHERE id > 0;"),
                 BR_CAUSE_PLAN);
    cr_expect_eq(cause_between(T F("x + 1") V, T "CREATE VIEW w AS SELECT id FROM t;\n" F("x + 2") V),
                 BR_CAUSE_FUNCTION);
    cr_expect_eq(
        cause_between(T F("x + 1") V, T F("x + 1") "CREATE MATERIALIZED VIEW v AS SELECT id, f(n) AS o FROM t;"),
        BR_CAUSE_PLAN);
    cr_expect_eq(cause_between(T F("x + 1") V, T "CREATE MATERIALIZED VIEW u AS SELECT id FROM t;"), BR_CAUSE_PLAN);
}

Test(causes, what_changed_beneath_a_view_is_its_cause_too) {
    const char *one = T F("x + 1") "CREATE MATERIALIZED VIEW u AS SELECT id, f(n) AS m FROM t;\n"
                                   "CREATE MATERIALIZED VIEW v AS SELECT m, count(*) AS c FROM u GROUP BY m;\n";
    const char *two = T F("x + 2") "CREATE MATERIALIZED VIEW u AS SELECT id, f(n) AS m FROM t;\n"
                                   "CREATE MATERIALIZED VIEW v AS SELECT m, count(*) AS c FROM u GROUP BY m;\n";
    const char *three = T F("x + 2") "CREATE MATERIALIZED VIEW u AS SELECT id, f(n) AS m FROM t WHERE id > 1;\n"
                                     "CREATE MATERIALIZED VIEW v AS SELECT m, count(*) AS c FROM u GROUP BY m;\n";
    cr_expect_eq(cause_between(one, two), BR_CAUSE_FUNCTION);
    cr_expect_eq(cause_between(one, three), BR_CAUSE_PLAN);
}
