// SPDX-License-Identifier: Apache-2.0
// What recovery does when the log isn't what it was (X7–X9): holes in the input and in the commits, a stream made anew,
// acknowledged messages that the server lost, also when others came in their place, a commit that was tampered with, a
// state of another pipeline. Each must end in words that name the thing, never in a silent skip; where the state is
// merely ahead, it is rebuilt.
#include "base/logging.h"
#include "braid/v1/commit.pb-c.h"
#include "cli/events.h"
#include "processor/log/simulated.h"
#include "processor/sql/sql.h"
#include "processor/task.h"

#include <inttypes.h>
#include <stdio.h>

static const char sql[] =
    "CREATE TABLE orders (id bigint NOT NULL, customer text) WITH (subject = 'h.orders');\n"
    "CREATE MATERIALIZED VIEW per_customer AS SELECT customer, count(*) AS n FROM orders GROUP BY customer;\n";

struct world {
    struct br_pipeline *pipeline;
    struct br_sim *sim;
    struct br_log *feeder, *log;
    struct br_store *store;
    struct br_task *task;
    unsigned starts, set_aside;
    int64_t next_id;
};

static int passed, failed;
static const char *current;

static void expect(bool holds, const char *what, const char *detail) {
    if (holds) {
        passed++;
        return;
    }
    failed++;
    printf("FAIL %s: %s: %s\n", current, what, detail);
}

static void must(enum br_status status, const struct br_error *error) {
    if (status != BR_OK) {
        printf("FAIL %s: %s\n", current, error->message);
        exit(1);
    }
}

static struct br_pipeline *load(const char *text, const char *name) {
    struct br_error error;
    struct br_pipeline *pipeline = NULL;
    struct br_pipeline_options options = {.name = name};
    struct br_diagnostics *diagnostics = br_diagnostics_create("h.sql", text);
    must(br_pipeline_load("h.sql", text, &options, diagnostics, &pipeline, &error), &error);
    br_diagnostics_destroy(&diagnostics);
    return pipeline;
}

static enum br_status open_store(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error) {
    struct world *world = context;
    (void)error;
    if (set_aside) {
        world->set_aside++;
        br_store_destroy(&world->store);
        world->store = br_store_create_memory();
    }
    *ret_store = br_store_share_memory(world->store);
    return BR_OK;
}

static enum br_status start(struct world *world, struct br_error *error) {
    static char workers[8][32];
    char *worker = workers[world->starts++ % 8];
    snprintf(worker, sizeof workers[0], "h%u", world->starts);
    world->log = br_sim_connect(world->sim, false);
    struct br_task_options options = {.pipeline = world->pipeline,
                                      .log = world->log,
                                      .clock = br_sim_clock(world->sim),
                                      .worker = worker,
                                      .open_store = open_store,
                                      .store_context = world,
                                      .epoch_messages = 5,
                                      .flush_interval_us = -1};
    BR_TRY(br_task_create(&options, &world->task, error));
    return br_task_recover(world->task, error);
}

static void stop(struct world *world, bool flush) {
    struct br_error error;
    if (flush)
        must(br_task_stop(world->task, &error), &error);
    br_task_destroy(&world->task);
    br_log_close(&world->log);
}

static void feed(struct world *world, int count) {
    struct br_error error;
    struct br_row_writer *writer;
    must(br_row_writer_create(&world->pipeline->tables[0].row_type, &writer, &error), &error);
    for (int i = 0; i < count; i++) {
        char json[64];
        struct br_buffer payload = {0};
        snprintf(json, sizeof json, "{\"id\":%" PRId64 ",\"customer\":\"c%" PRId64 "\"}", world->next_id,
                 world->next_id % 3);
        world->next_id++;
        br_row_writer_begin(writer);
        must(br_row_writer_read_json(writer, br_slice_of(json), &error), &error);
        must(br_row_writer_append(writer, &payload, &error), &error);
        struct br_log_message message = {.subject = br_slice_of("h.orders"), .payload = br_buffer_slice(&payload)};
        must(br_log_publish(world->feeder, &message, &error), &error);
        br_buffer_free(&payload);
    }
    br_row_writer_destroy(&writer);
}

static void work(struct world *world) {
    struct br_error error;
    for (bool worked = true; worked;)
        must(br_task_step(world->task, &worked, &error), &error);
}

// A pipeline that has committed four epochs of five events, stopped; its state flushed or lost.
static struct world *open_world(const char *name, bool keep_state) {
    struct br_error error;
    struct world *world = br_calloc(1, sizeof *world);
    current = name;
    world->pipeline = load(sql, "h");
    world->sim = br_sim_create(NULL);
    world->feeder = br_sim_connect(world->sim, false);
    world->store = br_store_create_memory();
    must(br_sim_add_stream(world->sim, "ORDERS", &(const char *){"h.orders"}, 1, &error), &error);
    must(start(world, &error), &error);
    feed(world, 20);
    work(world);
    expect(br_task_epoch(world->task) == 4, "four epochs", "");
    stop(world, keep_state);
    if (!keep_state) {
        br_store_destroy(&world->store);
        world->store = br_store_create_memory();
    }
    return world;
}

static void close_world(struct world *world) {
    br_task_destroy(&world->task);
    br_log_close(&world->log);
    br_log_close(&world->feeder);
    br_store_destroy(&world->store);
    br_sim_destroy(&world->sim);
    br_pipeline_destroy(&world->pipeline);
    free(world);
}

// Recovery must refuse, with words that hold both texts.
static void refuses(struct world *world, const char *one, const char *other) {
    struct br_error error = {0};
    enum br_status status = start(world, &error);
    expect(status == BR_FATAL, "recovery refuses", "it went on");
    expect(status != BR_OK && strstr(error.message, one) != NULL && strstr(error.message, other) != NULL,
           "the words name it", error.message);
    close_world(world);
}

static void input_purged_below_the_position(void) {
    struct world *world = open_world("input_purged_below_the_position", false);
    br_sim_purge(world->sim, "ORDERS", 8); // 1–7 are gone, state too: epoch 1 can't be repeated
    refuses(world, "epoch 1", "orders");
}

static void input_purged_past_the_position(void) {
    struct world *world = open_world("input_purged_past_the_position", true);
    feed(world, 10);
    br_sim_purge(world->sim, "ORDERS", 26); // 21–25 have never been read
    struct br_error error = {0};
    enum br_status status = start(world, &error);
    expect(status == BR_FATAL && strstr(error.message, "21") != NULL, "the missing sequences are named",
           status == BR_OK ? "it went on" : error.message);
    close_world(world);
}

static void input_message_deleted(void) {
    struct world *world = open_world("input_message_deleted", false);
    br_sim_delete(world->sim, "ORDERS", 8);
    refuses(world, "epoch 2", "orders");
}

static void input_stream_made_anew(void) {
    struct world *world = open_world("input_stream_made_anew", true);
    br_sim_recreate(world->sim, "ORDERS");
    refuses(world, "ORDERS", "made anew");
}

// --- input streams that go back, and are filled up again

static void lose(struct world *world, uint64_t last_kept, int refilled) {
    br_sim_forget_after(world->sim, "ORDERS", last_kept);
    world->next_id += 100; // other events
    feed(world, refilled);
}

static void input_filled_up_again_while_the_worker_is_away(void) {
    struct world *world = open_world("input_filled_up_again_while_the_worker_is_away", true);
    lose(world, 17, 10);
    refuses(world, "stream ORDERS has changed at sequence 20", "restore stream ORDERS"); // though 21 is there
}

static void input_filled_up_again_and_state_lost(void) {
    struct world *world = open_world("input_filled_up_again_and_state_lost", false);
    lose(world, 17, 10);
    refuses(world, "stream ORDERS has changed at sequence 20", "epoch 4");
}

static void input_filled_up_again_under_a_running_worker(void) {
    struct world *world = open_world("input_filled_up_again_under_a_running_worker", true);
    struct br_error error = {0};
    bool worked;
    must(start(world, &error), &error);
    feed(world, 5);
    work(world);
    lose(world, 22, 20);
    enum br_status status = br_task_step(world->task, &worked, &error);
    expect(status == BR_FATAL && strstr(error.message, "has changed at sequence 25") != NULL, "the next step tells",
           status == BR_OK ? "it went on" : error.message);
    close_world(world);
}

static void input_that_only_lost_what_nobody_had_read(void) {
    struct world *world = open_world("input_that_only_lost_what_nobody_had_read", true);
    struct br_error error = {0};
    feed(world, 5);
    lose(world, 20, 8);
    must(start(world, &error), &error);
    work(world);
    uint64_t position = br_task_position(world->task, 0, NULL);
    expect(position == 28, "it goes on over what there is", "");
    close_world(world);
}

static void input_not_filled_up_again(void) {
    struct world *world = open_world("input_not_filled_up_again", true);
    lose(world, 17, 1);
    refuses(world, "stream ORDERS has lost its newest messages", "braid replay rebuild h --epochs fresh");
}

// Its state record keeps the marks of the last epochs.
static void input_whose_last_message_was_deleted(void) {
    struct world *world = open_world("input_whose_last_message_was_deleted", true);
    struct br_error error = {0};
    br_sim_delete(world->sim, "ORDERS", 20);
    must(start(world, &error), &error);
    feed(world, 5);
    work(world);
    expect(br_task_epoch(world->task) == 5, "epoch 3's last message speaks for it", "");
    stop(world, true);
    br_sim_delete(world->sim, "ORDERS", 25);
    br_sim_forget_after(world->sim, "ORDERS", 12);
    feed(world, 20);
    br_sim_delete(world->sim, "ORDERS", 20);
    br_sim_delete(world->sim, "ORDERS", 25);
    refuses(world, "has changed at sequence 15", "restore stream ORDERS"); // or against it
}

// Neither commits nor state know of fingerprints: version 0.1.0 wrote them.
static void forget_fingerprints(Braid__V1__Commit *commit, struct br_buffer *bytes) {
    for (size_t i = 0; i < commit->n_inputs; i++) {
        commit->inputs[i]->last_hash = 0;
        commit->inputs[i]->last_time_us = 0;
        for (size_t m = 0; m < commit->inputs[i]->n_trail; m++)
            braid__v1__fingerprint__free_unpacked(commit->inputs[i]->trail[m], NULL);
        commit->inputs[i]->n_trail = 0;
    }
    br_buffer_clear(bytes);
    bytes->len = braid__v1__commit__pack(commit, br_buffer_reserve(bytes, 4096));
    braid__v1__commit__free_unpacked(commit, NULL);
}

static void old_commits_are_accepted(void) {
    struct world *world = open_world("old_commits_are_accepted", false);
    struct br_error error;
    struct br_log_message message;
    struct br_buffer copy = {0}, bytes = {0};
    struct br_stream_info info;
    bool found;
    must(br_log_stream_info(world->feeder, "BRAID_h", &info, &error), &error);
    for (uint64_t sequence = 1, end = info.last_sequence; sequence <= end; sequence++) { // once more, older
        must(br_log_get(world->feeder, "BRAID_h", sequence, &copy, &message, &found, &error), &error);
        if (br_slice_is(message.subject, "braid.h.commit.0")) {
            forget_fingerprints(braid__v1__commit__unpack(NULL, message.payload.len, message.payload.ptr), &bytes);
            message.payload = br_buffer_slice(&bytes);
        }
        must(br_log_publish(world->feeder, &message, &error), &error);
    }
    br_sim_purge(world->sim, "BRAID_h", info.last_sequence + 1);
    must(start(world, &error), &error);
    expect(br_task_epoch(world->task) == 4, "they are followed", "");
    feed(world, 5);
    work(world);
    stop(world, true);
    lose(world, 22, 10);
    br_buffer_free(&copy);
    br_buffer_free(&bytes);
    refuses(world, "has changed at sequence 25", "restore stream ORDERS"); // from then on there are fingerprints
}

// Nothing was read of it, so nothing is lost; the task had an epoch for the row that is there before any input.
static void unread_stream_made_anew(bool keep_state) {
    struct br_error error;
    struct world *world = br_calloc(1, sizeof *world);
    current = keep_state ? "unread_stream_made_anew, state kept" : "unread_stream_made_anew, state lost";
    world->pipeline = load("CREATE TABLE orders (id bigint NOT NULL, customer text) WITH (subject = 'h.orders');\n"
                           "CREATE MATERIALIZED VIEW whole AS SELECT count(*) AS n FROM orders;\n",
                           "h");
    world->sim = br_sim_create(NULL);
    world->feeder = br_sim_connect(world->sim, false);
    world->store = br_store_create_memory();
    must(br_sim_add_stream(world->sim, "ORDERS", &(const char *){"h.orders"}, 1, &error), &error);
    must(start(world, &error), &error);
    work(world);
    expect(br_task_epoch(world->task) == 1, "one epoch without input", "");
    stop(world, keep_state);
    br_sim_recreate(world->sim, "ORDERS");
    must(start(world, &error), &error);
    work(world);
    expect(br_task_epoch(world->task) == 1, "which isn't made again", "");
    feed(world, 3);
    work(world);
    expect(br_task_epoch(world->task) == 2, "and what comes then is read", "");
    stop(world, keep_state);
    br_sim_recreate(world->sim, "ORDERS");
    refuses(world, "ORDERS", "made anew");
}

static void commits_missing(void) {
    struct world *world = open_world("commits_missing", false);
    struct br_stream_info info;
    struct br_error error;
    must(br_log_stream_info(world->feeder, "BRAID_h", &info, &error), &error);
    br_sim_purge(world->sim, "BRAID_h", info.last_sequence); // only the last commit is left
    refuses(world, "epoch", "missing");
}

static void state_ahead_of_the_log_is_set_aside(void) {
    struct world *world = open_world("state_ahead_of_the_log_is_set_aside", true);
    struct br_error error;
    struct br_log_message last;
    struct br_buffer copy = {0};
    bool found;
    // The server loses the last epoch: everything from its first message on.
    must(br_log_last(world->feeder, "BRAID_h", "braid.h.commit.0", &copy, &last, &found, &error), &error);
    Braid__V1__Commit *commit = braid__v1__commit__unpack(NULL, last.payload.len, last.payload.ptr);
    br_sim_forget_after(world->sim, "BRAID_h", last.sequence - commit->batch_messages);
    braid__v1__commit__free_unpacked(commit, NULL);
    br_buffer_free(&copy);
    must(start(world, &error), &error);
    expect(world->set_aside == 1, "the state is set aside", "");
    expect(br_task_epoch(world->task) == 3, "rebuilt up to the log's last epoch", "");
    work(world);
    expect(br_task_epoch(world->task) == 4, "and goes on from there", "");
    close_world(world);
}

static void state_of_the_log_is_used(void) {
    struct world *world = open_world("state_of_the_log_is_used", true);
    struct br_error error;
    struct br_task_status status;
    must(start(world, &error), &error);
    br_task_status(world->task, &status);
    expect(world->set_aside == 0 && status.recovered_epochs == 0 && status.epoch == 4, "nothing is repeated", "");
    close_world(world);
}

// A commit whose digest isn't what its epoch gives.
static void digest_that_differs_stops(void) {
    struct world *world = open_world("digest_that_differs_stops", false);
    struct br_error error;
    struct br_log_message last;
    struct br_buffer copy = {0}, bytes = {0};
    bool found;
    must(br_log_last(world->feeder, "BRAID_h", "braid.h.commit.0", &copy, &last, &found, &error), &error);
    Braid__V1__Commit *commit = braid__v1__commit__unpack(NULL, last.payload.len, last.payload.ptr);
    feed(world, 1);
    commit->epoch++;
    commit->digest ^= 1;
    commit->inputs[0]->first_sequence = commit->inputs[0]->last_sequence = 21;
    commit->inputs[0]->messages = 1;
    commit->inputs[0]->last_hash = 0;
    commit->batch_messages = 1;
    bytes.len = braid__v1__commit__pack(commit, br_buffer_reserve(&bytes, 4096));
    braid__v1__commit__free_unpacked(commit, NULL);
    struct br_log_message forged = {.subject = br_slice_of("braid.h.commit.0"), .payload = br_buffer_slice(&bytes)};
    must(br_log_publish(world->feeder, &forged, &error), &error);
    br_buffer_free(&copy);
    refuses(world, "epoch 5", "digest");
    br_buffer_free(&bytes);
}

// --- what others publish where the commits are (X22)

static void intrude(struct world *world, const char *payload) {
    struct br_error error;
    struct br_log_message message = {.subject = br_slice_of("braid.h.commit.0"), .payload = br_slice_of(payload)};
    must(br_log_publish(world->feeder, &message, &error), &error);
}

static void foreign_message_is_passed_over(bool keep_state) {
    struct world *world = open_world("foreign_message_is_passed_over", keep_state);
    struct br_error error;
    intrude(world, "\xff\xff not a commit");
    intrude(world, "");
    must(start(world, &error), &error);
    feed(world, 5);
    work(world);
    expect(br_task_epoch(world->task) == 5, "goes on behind it", "");
    intrude(world, "{}"); // under the running worker
    feed(world, 5);
    work(world);
    must(br_task_settle(world->task, &error), &error);
    expect(br_task_epoch(world->task) == 6, "the running worker goes on", "");
    stop(world, false);
    must(start(world, &error), &error);
    expect(br_task_epoch(world->task) == 6 && world->set_aside == 0, "and is recovered from", "");
    close_world(world);
}

// Far behind the last commit, with others' messages between.
static void many_foreign_messages_are_passed_over(void) {
    struct world *world = open_world("many_foreign_messages_are_passed_over", true);
    struct br_error error;
    for (int i = 0; i < 5000; i++)
        intrude(world, "{}");
    must(start(world, &error), &error);
    feed(world, 5);
    work(world);
    expect(br_task_epoch(world->task) == 5, "goes on behind them", "");
    close_world(world);
}

// What was passed over is removed, as the log asks the operator to.
static void foreign_message_is_deleted_again(void) {
    struct world *world = open_world("foreign_message_is_deleted_again", true);
    struct br_error error;
    struct br_stream_info info;
    intrude(world, "{}");
    must(start(world, &error), &error);
    must(br_log_stream_info(world->feeder, "BRAID_h", &info, &error), &error);
    br_sim_delete(world->sim, "BRAID_h", info.last_sequence);
    feed(world, 5);
    work(world);
    must(br_task_settle(world->task, &error), &error);
    expect(br_task_epoch(world->task) == 5, "goes on", "");
    close_world(world);
}

// Two workers both believe to own the task, each has the same next epoch ready, and a foreign message has moved the
// fence under both: one gets through, once.
static void foreign_message_lets_no_zombie_through(bool zombie_first) {
    struct world *world = open_world("foreign_message_lets_no_zombie_through", false);
    struct br_error error;
    bool worked;
    must(start(world, &error), &error);
    struct br_task *zombie = world->task;
    struct br_log *zombie_log = world->log;
    br_store_destroy(&world->store);
    world->store = br_store_create_memory();
    must(start(world, &error), &error);
    intrude(world, "{}");
    feed(world, 5);
    struct br_task *first = zombie_first ? zombie : world->task, *second = zombie_first ? world->task : zombie;
    must(br_task_step(first, &worked, &error), &error);
    must(br_task_settle(first, &error), &error);
    intrude(world, "{}"); // behind the commit that the second one hasn't seen
    enum br_status status = br_task_step(second, &worked, &error);
    if (status == BR_OK)
        status = br_task_settle(second, &error);
    expect(status == BR_FATAL && strstr(error.message, "fenced") != NULL, "one of them is fenced", error.message);
    br_task_destroy(&zombie);
    br_log_close(&zombie_log);
    stop(world, false);
    must(start(world, &error), &error);
    expect(br_task_epoch(world->task) == 5, "one epoch was committed", "");
    close_world(world);
}

// The commit before it is gone: whether another worker has committed since can't be seen any more.
static void foreign_message_after_a_purge_proves_nothing(void) {
    struct world *world = open_world("foreign_message_after_a_purge_proves_nothing", true);
    struct br_error error;
    struct br_stream_info info;
    bool worked;
    must(start(world, &error), &error);
    intrude(world, "{}");
    must(br_log_stream_info(world->feeder, "BRAID_h", &info, &error), &error);
    br_sim_purge(world->sim, "BRAID_h", info.last_sequence);
    feed(world, 5);
    enum br_status status = br_task_step(world->task, &worked, &error);
    if (status == BR_OK)
        status = br_task_settle(world->task, &error);
    expect(status == BR_FATAL && strstr(error.message, "can't be told") != NULL, "stops", error.message);
    close_world(world);
}

// One that was appended under the fence is by somebody who knows how: a later build, perhaps.
static void garbage_commit_stops(void) {
    struct world *world = open_world("garbage_commit_stops", false);
    struct br_error error;
    struct br_buffer copy = {0};
    struct br_log_message last,
        garbage = {.subject = br_slice_of("braid.h.commit.0"), .payload = br_slice_of("\xff\xff not a commit")};
    enum br_append_result result;
    uint64_t sequence;
    bool found;
    must(br_log_last(world->feeder, "BRAID_h", "braid.h.commit.0", &copy, &last, &found, &error), &error);
    must(br_log_append(world->feeder, "BRAID_h", &garbage, 1, last.sequence, &error), &error);
    must(br_log_append_wait(world->feeder, &result, &sequence, &error), &error);
    br_buffer_free(&copy);
    refuses(world, "commit", "h");
}

static void changed_pipeline_is_refused(void) {
    struct world *world = open_world("changed_pipeline_is_refused", false);
    br_pipeline_destroy(&world->pipeline);
    world->pipeline = load(
        "CREATE TABLE orders (id bigint NOT NULL, customer text) WITH (subject = 'h.orders');\n"
        "CREATE MATERIALIZED VIEW per_customer AS SELECT customer, count(*) + 1 AS n FROM orders GROUP BY customer;\n",
        "h");
    refuses(world, "pipeline h", "changed");
}

static void data_of_another_pipeline_is_refused(void) {
    struct world *world = open_world("data_of_another_pipeline_is_refused", true);
    br_pipeline_destroy(&world->pipeline);
    world->pipeline = load(sql, "other");
    refuses(world, "belongs to pipeline h", "other");
}

int main(void) {
    br_log_configure(BR_LEVEL_ERROR + 1, false);
    input_purged_below_the_position();
    input_purged_past_the_position();
    input_message_deleted();
    input_stream_made_anew();
    input_filled_up_again_while_the_worker_is_away();
    input_filled_up_again_and_state_lost();
    input_filled_up_again_under_a_running_worker();
    input_that_only_lost_what_nobody_had_read();
    input_not_filled_up_again();
    input_whose_last_message_was_deleted();
    old_commits_are_accepted();
    unread_stream_made_anew(true);
    unread_stream_made_anew(false);
    commits_missing();
    state_ahead_of_the_log_is_set_aside();
    state_of_the_log_is_used();
    digest_that_differs_stops();
    foreign_message_is_passed_over(true);
    foreign_message_is_passed_over(false);
    many_foreign_messages_are_passed_over();
    foreign_message_is_deleted_again();
    foreign_message_lets_no_zombie_through(true);
    foreign_message_lets_no_zombie_through(false);
    foreign_message_after_a_purge_proves_nothing();
    garbage_commit_stops();
    changed_pipeline_is_refused();
    data_of_another_pipeline_is_refused();
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
