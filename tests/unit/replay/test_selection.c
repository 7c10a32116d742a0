// SPDX-License-Identifier: Apache-2.0
// What a replay selects and takes in: late and quarantined events, views, keys, a lateness of its own; and that effects
// are never released by it. Production tasks on the simulated log.
#include "processor/codec/encode.h"
#include "processor/log/simulated.h"
#include "processor/pipeline_text.h"
#include "processor/sql/sql.h"
#include "replay/causes.h"
#include "replay/replay.h"
#include "replay/selection.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define STEPS_MAX 1000

static const char sql[] =
    "CREATE TABLE other (id bigint) WITH (subject = 'in.other');\n"
    "CREATE TABLE orders (id bigint NOT NULL, customer text NOT NULL, amount bigint CHECK (amount >= 0), at "
    "timestamptz "
    "NOT NULL)\n"
    "WITH (subject = 'in.orders', event_time = 'at', watermark = '0 seconds', max_future = '1 hour');\n"
    "CREATE MATERIALIZED VIEW per_minute AS SELECT customer, window_start, sum(amount) AS total\n"
    "FROM tumble(orders, at, interval '1 minute') GROUP BY customer, window_start;\n"
    "CREATE MATERIALIZED VIEW closed WITH (emit = 'final') AS SELECT window_start, count(*) AS n\n"
    "FROM tumble(orders, at, interval '1 minute') GROUP BY window_start;\n"
    "CREATE MATERIALIZED VIEW mails WITH (effect = true, subject = 'out.mails') AS\n"
    "SELECT customer, count(*) AS n FROM orders GROUP BY customer;\n"
    "CREATE MATERIALIZED VIEW totals WITH (subject = 'out.totals') AS\n"
    "SELECT customer, sum(amount) AS total FROM orders GROUP BY customer;\n"
    "CREATE MATERIALIZED VIEW others AS SELECT count(*) AS n FROM other;\n";

struct world {
    struct br_sim *sim;
    struct br_log *log, *replay_log, *feeder;
    struct br_pipeline *pipeline;
    struct br_task *live;
    struct br_store *store; // of the replay
    int count;
};

static void must(enum br_status status, const struct br_error *error) {
    cr_assert_eq(status, BR_OK, "%s", error->message);
}

static enum br_status open_memory(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error) {
    (void)context, (void)set_aside, (void)error;
    *ret_store = br_store_create_memory();
    return BR_OK;
}

static enum br_status open_shared(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error) {
    struct br_store **store = context;
    (void)set_aside, (void)error;
    *ret_store = br_store_share_memory(*store);
    return BR_OK;
}

static struct br_pipeline *load(const char *text) {
    struct br_pipeline_options options = {.name = "shop"};
    struct br_diagnostics *diagnostics = br_diagnostics_create("shop.sql", text);
    struct br_pipeline *pipeline = NULL;
    struct br_error error = {0};
    enum br_status status = br_pipeline_load("shop.sql", text, &options, diagnostics, &pipeline, &error);
    cr_assert_eq(status, BR_OK, "%s", diagnostics->count != 0 ? diagnostics->list[0].message : error.message);
    br_diagnostics_destroy(&diagnostics);
    return pipeline;
}

static struct br_task *open_owner(struct world *world, const struct br_pipeline *pipeline, const char *lineage) {
    struct br_error error = {0};
    struct br_task *task = NULL;
    struct br_task_options options = {.pipeline = pipeline,
                                      .log = world->log,
                                      .clock = br_sim_clock(world->sim),
                                      .lineage = lineage,
                                      .worker = "w",
                                      .open_store = open_memory};
    must(br_task_create(&options, &task, &error), &error);
    must(br_task_recover(task, &error), &error);
    return task;
}

static struct world open_world(void) {
    struct br_error error = {0};
    struct world world = {.sim = br_sim_create(NULL), .pipeline = load(sql), .store = br_store_create_memory()};
    world.feeder = br_sim_connect(world.sim, false);
    world.log = br_sim_connect(world.sim, false);
    world.replay_log = br_sim_connect(world.sim, false);
    must(br_log_ensure_input(world.feeder, "IN", "in.>", &error), &error);
    world.live = open_owner(&world, world.pipeline, NULL);
    return world;
}

static void close_world(struct world *world) {
    br_task_destroy(&world->live);
    br_store_destroy(&world->store);
    br_log_close(&world->feeder);
    br_log_close(&world->log);
    br_log_close(&world->replay_log);
    br_sim_destroy(&world->sim);
    br_pipeline_destroy(&world->pipeline);
}

static void work_off(struct br_task *task) {
    struct br_error error = {0};
    for (bool worked = true; worked;)
        must(br_task_step(task, &worked, &error), &error);
}

// An event as "1|ann|5", in an epoch of its own.
static void send(struct world *world, const char *table_name, const char *row) {
    const struct br_table *table = br_pipeline_find_table(world->pipeline, table_name);
    const struct br_row_type *type = &table->row_type;
    struct br_error error = {0};
    struct br_arena *arena = br_arena_create();
    struct br_encoder *encoder = NULL;
    struct br_buffer payload = {0};
    const char *paths[8];
    enum br_type types[8];
    for (uint32_t c = 0; c < type->column_count; c++) {
        paths[c] = type->columns[c].path;
        types[c] = type->columns[c].type;
    }
    struct br_batch *batch = br_batch_create(arena, types, NULL, type->column_count);
    batch->row_count = 1;
    for (uint32_t c = 0; c < type->column_count; c++) {
        size_t len = strcspn(row, "|");
        struct br_value value;
        must(br_value_parse(types[c], (struct br_slice){(const uint8_t *)row, len}, arena, &value, &error), &error);
        br_column_set(&batch->columns[c], 0, &value);
        row += len + (row[len] == '|');
    }
    must(br_encoder_create(type->message, paths, types, type->column_count, &encoder, &error), &error);
    must(br_encoder_encode(encoder, batch, 0, &payload, &error), &error);
    struct br_log_message message = {.subject = br_slice_of(table->subject), .payload = br_buffer_slice(&payload)};
    must(br_log_publish(world->feeder, &message, &error), &error);
    must(br_log_publish_flush(world->feeder, &error), &error);
    br_buffer_free(&payload);
    br_encoder_destroy(&encoder);
    br_arena_destroy(&arena);
    work_off(world->live);
}

// at: the time of day of 2026-01-01, when the simulation begins.
static void order(struct world *world, const char *customer, int amount, const char *at) {
    char row[200];
    snprintf(row, sizeof row, "%d|%s|%d|2026-01-01 %s+00", ++world->count, customer, amount, at);
    send(world, "orders", row);
}

// --- replays
static struct br_replay *open_replay(struct world *world, const struct br_pipeline *pipeline,
                                     struct br_replay_options options) {
    struct br_error error = {0};
    struct br_replay *replay = NULL;
    options.pipeline = pipeline;
    options.base_pipeline = world->pipeline;
    options.lineage = "r1";
    options.base_lineage = "live";
    options.log = world->replay_log;
    options.clock = br_sim_clock(world->sim);
    options.worker = "r";
    options.open_store = open_shared;
    options.store_context = &world->store;
    options.flush_interval_us = -1;
    must(br_replay_create(&options, &replay, &error), &error);
    return replay;
}

static void follow(struct br_replay *replay) {
    struct br_error error = {0};
    enum br_replay_progress progress = BR_REPLAY_WORKED;
    for (int step = 0; progress == BR_REPLAY_WORKED; step++) {
        cr_assert_lt(step, STEPS_MAX);
        must(br_replay_step(replay, &progress, &error), &error);
    }
}

static struct br_task *promoted(struct world *world, struct br_replay **replay) {
    struct br_error error = {0};
    struct br_promotion promotion = {.reason = "test"};
    enum br_promoted outcome = BR_PROMOTE_AGAIN;
    bool aligned = false;
    (void)world;
    must(br_replay_add_shadow(*replay, open_memory, NULL, &error), &error);
    for (int step = 0; !aligned; step++) {
        cr_assert_lt(step, STEPS_MAX);
        must(br_replay_align(*replay, &aligned, &error), &error);
    }
    must(br_replay_promote(*replay, &promotion, &outcome, &error), &error);
    cr_assert_eq(outcome, BR_PROMOTED);
    struct br_task *task = br_replay_take_task(*replay);
    br_replay_destroy(replay);
    return task;
}

// --- what is in a view, and on a subject
struct listing {
    const struct br_view *view;
    char *lines[64];
    size_t count;
    char text[2048];
};

static enum br_status list_rows(void *context, const struct br_batch *batch, struct br_error *error) {
    struct listing *listing = context;
    const struct br_row_type *type = &listing->view->row_type;
    (void)error;
    for (uint32_t r = 0; r < batch->row_count; r++) {
        struct br_buffer json = {0};
        br_json_encode_row(type, batch, r, NULL, type->column_count, &json);
        *br_buffer_reserve(&json, 1) = 0;
        cr_assert_lt(listing->count, 64);
        listing->lines[listing->count++] = (char *)json.ptr;
    }
    return BR_OK;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static const char *rows(struct br_task *task, const struct br_pipeline *pipeline, const char *view,
                        struct listing *listing) {
    struct br_error error = {0};
    struct br_arena *arena = br_arena_create();
    struct br_epoch epoch = {.number = br_task_epoch(task),
                             .now = br_task_clock(task),
                             .watermarks_before = br_task_watermarks(task),
                             .watermarks_after = br_task_watermarks(task),
                             .arena = arena};
    *listing = (struct listing){.view = br_pipeline_find_view(pipeline, view)};
    cr_assert_not_null(listing->view);
    must(br_graph_scan(br_task_graph(task), listing->view->index, &epoch, list_rows, listing, &error), &error);
    qsort(listing->lines, listing->count, sizeof *listing->lines, by_text);
    for (size_t i = 0; i < listing->count; i++) {
        strncat(listing->text, listing->lines[i], sizeof listing->text - strlen(listing->text) - 1);
        free(listing->lines[i]);
    }
    br_arena_destroy(&arena);
    return listing->text;
}

#define EXPECT_ROWS(task, pipeline, view, expected)                                                                    \
    do {                                                                                                               \
        struct listing listing;                                                                                        \
        cr_expect_str_eq(rows((task), (pipeline), (view), &listing), (expected));                                      \
    } while (0)

static size_t messages_on(struct world *world, const char *subject) {
    struct br_error error = {0};
    struct br_reader *reader = NULL;
    size_t count = 0, total = 0;
    must(br_reader_open(world->feeder, "BRAID_shop", subject, 1, 0, &reader, &error), &error);
    do {
        const struct br_log_message *messages;
        must(br_reader_peek(reader, &messages, &count, &error), &error);
        total += count;
        br_reader_consume(reader, count);
        br_reader_release(reader);
    } while (count != 0);
    br_reader_close(&reader);
    return total;
}

static uint64_t late_of(struct br_task *task) {
    struct br_task_status status;
    br_task_status(task, &status);
    return status.late;
}

static uint64_t quarantined_of(struct br_task *task) {
    struct br_task_status status;
    br_task_status(task, &status);
    return status.quarantined;
}

// --- late events
static void feed_late(struct world *world) {
    order(world, "ann", 5, "00:00:10");
    order(world, "bob", 1, "00:03:00");
    order(world, "ann", 7, "00:00:40"); // late by two minutes
    order(world, "bob", 1, "00:04:00");
}

Test(selection, late_events_are_taken_in_within_the_slice_and_windows_close_at_its_end) {
    struct world world = open_world();
    feed_late(&world);
    cr_assert_eq(late_of(world.live), 2, "in two views");
    EXPECT_ROWS(world.live, world.pipeline, "per_minute",
                "{\"customer\":\"ann\",\"window_start\":\"2026-01-01T00:00:00Z\",\"total\":5}"
                "{\"customer\":\"bob\",\"window_start\":\"2026-01-01T00:03:00Z\",\"total\":1}"
                "{\"customer\":\"bob\",\"window_start\":\"2026-01-01T00:04:00Z\",\"total\":1}");
    struct br_replay *replay =
        open_replay(&world, world.pipeline,
                    (struct br_replay_options){
                        .include_late = true, .include_until = br_task_epoch(world.live), .publish_as = "r1"});
    struct br_error error = {0};
    enum br_replay_progress progress;
    br_replay_set_target(replay, br_task_epoch(world.live) - 1);
    do
        must(br_replay_step(replay, &progress, &error), &error);
    while (progress == BR_REPLAY_WORKED);
    cr_expect_eq(messages_on(&world, "braid.shop.replay.r1.view.closed"), 0, "nothing is final before the slice's end");
    br_replay_set_target(replay, UINT64_MAX);
    follow(replay);
    struct br_task *task = br_replay_task(replay);
    cr_expect_eq(late_of(task), 0);
    EXPECT_ROWS(task, world.pipeline, "per_minute",
                "{\"customer\":\"ann\",\"window_start\":\"2026-01-01T00:00:00Z\",\"total\":12}"
                "{\"customer\":\"bob\",\"window_start\":\"2026-01-01T00:03:00Z\",\"total\":1}"
                "{\"customer\":\"bob\",\"window_start\":\"2026-01-01T00:04:00Z\",\"total\":1}");
    cr_expect_eq(messages_on(&world, "braid.shop.replay.r1.view.closed"), 2, "minutes 0 and 3");
    cr_expect_eq(br_task_watermarks(task)[1].us, br_task_watermarks(world.live)[1].us);
    // Behind the slice late is late again.
    order(&world, "ann", 100, "00:01:00");
    follow(replay);
    cr_expect_eq(late_of(task), 2);
    br_replay_destroy(&replay);
    close_world(&world);
}

Test(selection, a_table_that_live_does_not_read_closes_no_window_before_the_slice_ends) {
    struct world world = open_world();
    struct br_error error = {0};
    char text[4000];
    snprintf(text, sizeof text,
             "%sCREATE TABLE more (id bigint) WITH (subject = 'in.more');\n"
             "CREATE MATERIALIZED VIEW mores AS SELECT count(*) AS n FROM more;\n",
             sql);
    struct br_pipeline *changed = load(text);
    order(&world, "bob", 1, "00:03:00");
    struct br_log_message more = {.subject = br_slice_of("in.more")}; // an epoch of its own, before the last
    must(br_log_publish(world.feeder, &more, &error), &error);
    must(br_log_publish_flush(world.feeder, &error), &error);
    br_log_wait(world.feeder, 1000);
    order(&world, "ann", 7, "00:00:40"); // late
    struct br_replay *replay = open_replay(
        &world, changed, (struct br_replay_options){.include_late = true, .include_until = br_task_epoch(world.live)});
    follow(replay);
    EXPECT_ROWS(br_replay_task(replay), changed, "mores", "{\"n\":1}");
    cr_expect_eq(late_of(br_replay_task(replay)), 0);
    cr_expect_eq(br_task_watermarks(br_replay_task(replay))[1].us, br_task_watermarks(world.live)[1].us);
    br_replay_destroy(&replay);
    br_pipeline_destroy(&changed);
    close_world(&world);
}

Test(selection, what_took_late_events_in_has_the_plan_of_the_file_when_it_is_promoted) {
    struct world world = open_world();
    feed_late(&world);
    struct br_replay *replay =
        open_replay(&world, world.pipeline,
                    (struct br_replay_options){.include_late = true, .include_until = br_task_epoch(world.live)});
    follow(replay);
    struct br_task *task = promoted(&world, &replay);
    br_task_destroy(&task); // with all its state
    br_task_destroy(&world.live);
    world.live = open_owner(&world, world.pipeline, "r1"); // from the log alone
    EXPECT_ROWS(world.live, world.pipeline, "totals",
                "{\"customer\":\"ann\",\"total\":12}{\"customer\":\"bob\",\"total\":2}");
    order(&world, "eve", 3, "00:00:20");
    cr_expect_eq(late_of(world.live), 2, "live goes on as ever");
    EXPECT_ROWS(world.live, world.pipeline, "per_minute",
                "{\"customer\":\"ann\",\"window_start\":\"2026-01-01T00:00:00Z\",\"total\":12}"
                "{\"customer\":\"bob\",\"window_start\":\"2026-01-01T00:03:00Z\",\"total\":1}"
                "{\"customer\":\"bob\",\"window_start\":\"2026-01-01T00:04:00Z\",\"total\":1}");
    close_world(&world);
}

// --- quarantined events
static void feed_bad(struct world *world) {
    order(world, "ann", 5, "00:00:10");
    order(world, "ann", -2, "00:30:00"); // breaks the CHECK
    order(world, "bob", 4, "23:00:00");  // a day ahead of its time
    order(world, "bob", 1, "00:00:20");
}

Test(selection, quarantined_events_are_taken_in_within_the_slice_and_make_nothing_late) {
    struct world world = open_world();
    feed_bad(&world);
    cr_assert_eq(quarantined_of(world.live), 2);
    struct br_log_message broken = {.subject = br_slice_of("in.orders"), .payload = br_slice_of("\xff\xff")};
    struct br_error error = {0};
    must(br_log_publish(world.feeder, &broken, &error), &error);
    work_off(world.live);
    struct br_replay *replay =
        open_replay(&world, world.pipeline,
                    (struct br_replay_options){.include_quarantine = true, .include_until = br_task_epoch(world.live)});
    follow(replay);
    struct br_task *task = br_replay_task(replay);
    cr_expect_eq(quarantined_of(task), 1, "what can't be decoded can't be taken in");
    cr_expect_eq(late_of(task), 0);
    cr_expect_eq(br_task_watermarks(task)[1].us, br_task_watermarks(world.live)[1].us);
    EXPECT_ROWS(task, world.pipeline, "totals", "{\"customer\":\"ann\",\"total\":3}{\"customer\":\"bob\",\"total\":5}");
    order(&world, "eve", -1, "00:00:30");
    follow(replay);
    cr_expect_eq(quarantined_of(task), 2, "gates are as ever behind the slice");
    br_replay_destroy(&replay);
    close_world(&world);
}

Test(selection, a_replay_that_lost_its_state_in_the_slice_does_again_what_its_commits_say) {
    struct world world = open_world();
    feed_bad(&world);
    feed_late(&world);
    struct br_replay_options options = {
        .include_late = true, .include_quarantine = true, .include_until = br_task_epoch(world.live)};
    struct br_replay *replay = open_replay(&world, world.pipeline, options);
    struct br_error error = {0};
    enum br_replay_progress progress;
    for (int step = 0; step < 5; step++)
        must(br_replay_step(replay, &progress, &error), &error);
    uint64_t epoch = br_task_epoch(br_replay_task(replay));
    cr_assert_gt(epoch, 2);
    br_replay_destroy(&replay);
    br_log_close(&world.replay_log);
    br_store_destroy(&world.store);
    world.replay_log = br_sim_connect(world.sim, false);
    world.store = br_store_create_memory();
    replay = open_replay(&world, world.pipeline, options); // checks the digests
    cr_expect_geq(br_task_epoch(br_replay_task(replay)), epoch - 1);
    follow(replay);
    EXPECT_ROWS(br_replay_task(replay), world.pipeline, "totals",
                "{\"customer\":\"ann\",\"total\":15}{\"customer\":\"bob\",\"total\":7}");
    cr_expect_eq(late_of(br_replay_task(replay)), 0);
    br_replay_destroy(&replay);
    close_world(&world);
}

// --- views and keys
static Braid__V1__ReplayJob job_of(const char *only, const char *key, int64_t lateness_us) {
    static char *names[1];
    Braid__V1__ReplayJob job = BRAID__V1__REPLAY_JOB__INIT;
    names[0] = (char *)only;
    job.only = names;
    job.n_only = only != NULL;
    job.key = (char *)key;
    job.lateness_us = lateness_us;
    return job;
}

Test(selection, some_views_and_a_key_give_what_the_whole_gives_for_them) {
    struct world world = open_world();
    for (int i = 0; i < 3; i++) {
        order(&world, "ann", i, "00:00:10");
        order(&world, "bob", 10 * i, "00:00:20");
        send(&world, "other", "1");
    }
    order(&world, "bob", 1, "00:05:00");
    order(&world, "ann", 50, "00:00:30"); // late
    order(&world, "bob", 50, "00:00:30");
    Braid__V1__ReplayJob job = job_of("per_minute", "customer = 'ann'", -1);
    struct br_pipeline *own = NULL, *whole = NULL;
    struct br_error error = {0};
    cr_expect(br_selection_is_part(&job));
    must(br_selection_plan(world.pipeline, &job, &own, &whole, &error), &error);
    cr_assert(own != NULL && whole != NULL);
    struct br_replay *replay = open_replay(
        &world, own, (struct br_replay_options){.include_late = true, .include_until = br_task_epoch(world.live)});
    follow(replay);
    EXPECT_ROWS(br_replay_task(replay), own, "per_minute",
                "{\"customer\":\"ann\",\"window_start\":\"2026-01-01T00:00:00Z\",\"total\":53}");
    // Compared by the key: bob is no difference, ann's is the late event's.
    struct br_causes *causes = NULL;
    struct br_compare_report *report = NULL;
    struct br_arena *arena = br_arena_create();
    must(br_causes_create(world.pipeline, own, &causes, &error), &error);
    br_causes_compare_plans(causes, whole);
    must(br_causes_read(causes, world.log, &error), &error);
    struct br_task *tasks[2] = {world.live, br_replay_task(replay)};
    struct br_epoch epochs[2];
    for (int i = 0; i < 2; i++)
        epochs[i] = (struct br_epoch){.number = br_task_epoch(tasks[i]),
                                      .now = br_task_clock(tasks[i]),
                                      .watermarks_before = br_task_watermarks(tasks[i]),
                                      .watermarks_after = br_task_watermarks(tasks[i]),
                                      .arena = arena};
    struct br_compare_side before = {.pipeline = world.pipeline, .graph = br_task_graph(tasks[0]), .epoch = &epochs[0]},
                           after = {.pipeline = own, .graph = br_task_graph(tasks[1]), .epoch = &epochs[1]};
    const char *view = "per_minute";
    struct br_compare_options options = {
        .views = &view, .view_count = 1, .condition = job.key, .cause = br_causes_of, .cause_context = causes};
    must(br_compare(&before, &after, &options, &report, &error), &error);
    const struct br_view_report *row = &report->views[0];
    cr_expect(row->rows_before == 1 && row->rows_after == 1 && row->changed == 1 && row->missing + row->extra == 0);
    cr_expect_eq(row->causes[BR_CAUSE_LATE], 1);
    br_compare_report_destroy(&report);
    options.condition = "nothing = 1";
    cr_expect_eq(br_compare(&before, &after, &options, &report, &error), BR_DATA);
    cr_expect(strstr(error.message, "per_minute") != NULL, "%s", error.message);
    br_causes_destroy(&causes);
    br_arena_destroy(&arena);
    br_replay_destroy(&replay);
    br_pipeline_destroy(&own);
    br_pipeline_destroy(&whole);
    close_world(&world);
}

Test(selection, a_job_that_cannot_be_planned_is_refused_before_it_is_made) {
    struct world world = open_world();
    struct br_error error = {0};
    Braid__V1__ReplayJob job = job_of("per_minute", "total > 5", -1);
    cr_expect_eq(br_selection_check(world.log, "shop", world.pipeline, &job, &error), BR_DATA);
    cr_expect(strstr(error.message, "column total isn't in its key") != NULL, "%s", error.message);
    // By the name alone: the text that the worker has stored.
    order(&world, "ann", 1, "00:00:10");
    must(br_pipeline_text_store(world.log, world.pipeline, &error), &error);
    job.base_plan_hash = world.pipeline->plan_hash;
    cr_expect_eq(br_selection_check(world.log, "shop", NULL, &job, &error), BR_DATA);
    job = job_of("nothing", "", -1);
    cr_expect_eq(br_selection_check(world.log, "shop", world.pipeline, &job, &error), BR_DATA);
    job = job_of("per_minute", "customer = 'ann'", -1);
    must(br_selection_check(world.log, "shop", world.pipeline, &job, &error), &error);
    close_world(&world);
}

// --- lateness
Test(selection, a_lateness_stays_with_the_stored_text_and_with_later_jobs) {
    struct world world = open_world();
    struct br_error error = {0};
    struct br_pipeline *own = NULL, *whole = NULL, *again = NULL, *next = NULL;
    order(&world, "ann", 1, "00:00:10");
    Braid__V1__ReplayJob job = job_of(NULL, "", INT64_C(3600000000));
    cr_expect_not(br_selection_is_part(&job));
    must(br_selection_plan(world.pipeline, &job, &own, &whole, &error), &error);
    cr_assert(own != NULL && whole == NULL);
    cr_expect_neq(own->plan_hash, world.pipeline->plan_hash);
    must(br_pipeline_text_store(world.log, own, &error), &error);
    must(br_pipeline_text_load(world.log, "shop", own->plan_hash, &again, &error), &error);
    cr_assert_not_null(again);
    cr_expect_eq(again->plan_hash, own->plan_hash);
    cr_expect_str_eq(again->text, world.pipeline->text);
    job = job_of("per_minute", "", -1);
    must(br_selection_plan(again, &job, &next, &whole, &error), &error);
    cr_expect_eq(next->views[0].lateness_us, INT64_C(3600000000));
    br_pipeline_destroy(&own);
    br_pipeline_destroy(&again);
    br_pipeline_destroy(&next);
    close_world(&world);
}

// --- effects
Test(selection, effects_are_never_released_by_a_replay_but_by_the_owner_that_it_becomes) {
    struct world world = open_world();
    order(&world, "ann", 5, "00:00:10");
    order(&world, "ann", -2, "00:00:20");
    size_t mails = messages_on(&world, "out.mails"), totals = messages_on(&world, "out.totals");
    cr_assert(mails == 1 && totals == 1);
    struct br_replay *replay =
        open_replay(&world, world.pipeline,
                    (struct br_replay_options){
                        .include_quarantine = true, .include_until = br_task_epoch(world.live), .publish_as = "r1"});
    follow(replay);
    cr_expect_eq(messages_on(&world, "braid.shop.replay.r1.view.totals"), 2);
    cr_expect_eq(messages_on(&world, "braid.shop.replay.r1.view.mails"), 0);
    const struct br_view *view = br_pipeline_find_view(world.pipeline, "mails");
    struct br_task *task = promoted(&world, &replay);
    cr_expect_eq(messages_on(&world, "out.totals"), totals + 1, "a correction");
    cr_expect_eq(messages_on(&world, "out.mails"), mails, "ann's count differs, and nobody is told");
    br_task_destroy(&world.live);
    world.live = task;
    order(&world, "ann", 1, "00:00:30");
    cr_expect_eq(messages_on(&world, "out.mails"), mails + 1, "from then on");
    EXPECT_ROWS(task, world.pipeline, view->name, "{\"customer\":\"ann\",\"n\":3}");
    close_world(&world);
}
