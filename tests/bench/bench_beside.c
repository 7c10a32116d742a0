// SPDX-License-Identifier: Apache-2.0
// What replays, and others' requests, do to the live pipeline of the same worker: `braid run` and a nats-server, on one
// machine.
// bench_beside [latency] [latency-archive] [promote] [flood] [--seconds=N] [--rounds=N] [--promotions=N] [--scale=N]
//
//   latency   from a publish's ack to the delivery of the row (packed), 20,000 events a second, without a replay,
//   during
//             replays as fast as they go, and during replays behind live, in turn; ratios of the p99 within a round
//   promote   promotions of a changed pipeline and rollbacks, in turn, under a light load: from the stream's time of
//   the
//             former owner's last commit to that of the takeover, and to the new owner's first commit after it
//   flood     as latency, while somebody sends 600,000 requests a second: to a subject that nobody reads, for the
//   worker's
//             status, and queries; ratios of the p99 to that beside the first; lines that the worker has logged
//
// Beside live alone, a process that only takes processor time, at the priority that the replay's thread has, shows what
// the scheduler by itself does to live. The replays of `latency` repeat epochs of the stream, as it was filled before,
// one job after the other without a pause; those of `latency-archive` read the archive of it.
#define _GNU_SOURCE // SCHED_IDLE, memmem
#include "flow.h"
#include "jobs.h"
#include "measure.h"
#include "processor/task.h"
#include "replay/commits.h"
#include "state/store.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netdb.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LATENCY_RATE 20000
#define LATENCY_HISTORY UINT64_C(2000000)
#define ARCHIVE_TIMES 4 // so much more is archived: a job shouldn't end as soon as it has begun
#define GOAL_UNTHROTTLED 3.0
#define GOAL_BEHIND 1.3
#define PROMOTE_RATE 1000
#define PROMOTE_HISTORY UINT64_C(20000)
#define PROMOTE_SECONDS_MAX 1200
#define GOAL_GAP_MS 200.0
#define JOBS_AHEAD 2
#define LOOK_US 20000
#define ROUNDS_MAX 100
#define FLOOD_RATE UINT64_C(600000)
#define FLOOD_PART 600 // requests that are sent at once
#define GOAL_FLOOD 1.5
#define GOAL_FLOOD_LINES 100
#define AWAIT_US (180 * BR_US_PER_SECOND)

static size_t scale = 1;
static int seconds_wanted = 8, rounds = 3, promotions = 40;
static char folder[64];

// A pipeline that `braid run` runs.
struct live {
    const char *name, *url;
    char sql_path[128], data[128], subject[64], log_path[128];
    uint64_t history; // events that were there before
    pid_t worker;
    struct br_log *log, *admin; // by the data plane, by the control plane
    struct br_jobs *jobs;
};

// --- the worker

// Ids that no meter counts.
static void fill_events(struct live *live) {
    struct br_error error;
    char stream[64];
    snprintf(stream, sizeof stream, "IN_%s", live->name);
    bench_must(br_log_ensure_input(live->admin, stream, live->subject, &error), &error);
    for (uint64_t i = 0; i < live->history; i++) {
        uint8_t bytes[16] = {0x08};
        struct br_log_message message = {.subject = br_slice_of(live->subject),
                                         .payload = {bytes, 1 + br_varint_put(bytes + 1, (UINT64_C(1) << 40) + i)}};
        bench_must(br_log_publish(live->admin, &message, &error), &error);
    }
    bench_must(br_log_publish_flush(live->admin, &error), &error);
}

static pid_t start_worker(const struct live *live) {
    pid_t parent = getpid(), worker = fork();
    BR_CHECK(worker >= 0);
    if (worker != 0)
        return worker;
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent)
        _exit(127);
    if (live->log_path[0] != '\0' && freopen(live->log_path, "w", stderr) == NULL)
        _exit(127);
    execl(BRAID_BINARY, "braid", "run", live->sql_path, "--name", live->name, "--server", live->url, "--data",
          live->data, "--log-level", live->log_path[0] != '\0' ? "warn" : "error", (char *)NULL);
    _exit(127);
}

static void await_history(struct live *live) {
    struct br_error error;
    char stream[256], subject[320];
    br_task_output_stream(live->name, stream, sizeof stream);
    br_task_owner_subject(live->name, subject, sizeof subject);
    for (int64_t began = bench_now_us();; br_log_wait(live->log, LOOK_US)) {
        struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
        struct br_log_message message;
        bool found = false;
        if (br_log_last(live->log, stream, subject, &copy, &message, &found, &error) == BR_OK && found) {
            Braid__V1__Commit *commit = braid__v1__commit__unpack(NULL, message.payload.len, message.payload.ptr);
            BR_CHECK(commit != NULL && commit->n_inputs == 1);
            bool there = commit->inputs[0]->last_sequence >= live->history;
            braid__v1__commit__free_unpacked(commit, NULL);
            if (there)
                return;
        }
        if (bench_now_us() - began > AWAIT_US) {
            fprintf(stderr, "bench_beside: the worker of %s hasn't come through its history\n", live->name);
            exit(1);
        }
    }
}

static void archive_history(struct live *live) {
    struct br_pipeline *pipeline;
    struct br_pipeline_arguments arguments = {.name = live->name};
    if (br_load_pipeline(live->sql_path, &arguments, false, &pipeline) != BR_EXIT_OK)
        exit(1);
    bench_archive(live->log, pipeline, live->history);
    br_pipeline_destroy(&pipeline);
}

// logs: what the worker warns of is kept.
static void open_live(struct live *live, const char *url, const char *name, uint64_t history, bool archive, bool logs,
                      const char *view) {
    struct br_error error;
    char sql[1024];
    *live = (struct live){
        .name = name, .url = url, .history = history, .log = bench_dial(url), .admin = bench_dial_control(url)};
    snprintf(live->subject, sizeof live->subject, "in.%s", name);
    snprintf(live->sql_path, sizeof live->sql_path, "%s/%s.sql", folder, name);
    snprintf(live->data, sizeof live->data, "%s/data", folder);
    if (logs)
        snprintf(live->log_path, sizeof live->log_path, "%s/%s.log", folder, name);
    int len = archive ? snprintf(sql, sizeof sql, "SET braid.archive = 'file://%s/archive';\n", folder) : 0;
    snprintf(sql + len, sizeof sql - (size_t)len,
             "CREATE TABLE event (id bigint NOT NULL) WITH (subject = '%s');\n%s;\n", live->subject, view);
    bench_write_file(live->sql_path, sql);
    fill_events(live);
    if (archive)
        archive_history(live);
    live->worker = start_worker(live);
    await_history(live);
    bench_must(br_jobs_open(live->admin, name, &live->jobs, &error), &error);
}

static void close_live(struct live *live) {
    int status;
    kill(live->worker, SIGTERM);
    waitpid(live->worker, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "bench_beside: the worker of %s ended badly (%d)\n", live->name, status);
        exit(1);
    }
    br_jobs_close(&live->jobs);
    br_log_close(&live->log);
    br_log_close(&live->admin);
}

// --- latency

enum beside {
    NOTHING,
    SPINNER_NICE,
    UNTHROTTLED,
    SPINNER_IDLE,
    BEHIND_LIVE,
    BESIDES,
    FLOOD_ELSEWHERE = BESIDES,
    FLOOD_STATUS,
    FLOOD_QUERIES,
    FLOODS_END
};
static const char *const beside_names[] = {"nothing",
                                           "spinner, nice 10",
                                           "replay, unthrottled",
                                           "spinner, SCHED_IDLE",
                                           "replay, behind live",
                                           "flood, nobody reads",
                                           "flood, status",
                                           "flood, queries"};
static uint64_t *flooded; // shared with the process that floods

static bool is_replay(enum beside beside) {
    return beside == UNTHROTTLED || beside == BEHIND_LIVE;
}

// A process that does nothing but take the time that is left over, at the priority that a replay's thread has: what
// the scheduler does to live by itself.
static pid_t start_spinner(enum beside beside) {
    static const struct sched_param none;
    pid_t parent = getpid(), spinner = fork();
    BR_CHECK(spinner >= 0);
    if (spinner != 0)
        return spinner;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(127);
    if (beside == SPINNER_IDLE ? sched_setscheduler(0, SCHED_IDLE, &none) != 0 : nice(10) == -1)
        _exit(127);
    for (volatile uint64_t turns = 0;; turns++)
        continue;
}

static int dial_flood(const char *url) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_INET}, *found;
    const char *colon = strrchr(url, ':');
    static const char hello[] = "CONNECT {\"verbose\":false}\r\n";
    if (getaddrinfo("127.0.0.1", colon + 1, &hints, &found) != 0)
        return -1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool up = connect(fd, found->ai_addr, found->ai_addrlen) == 0 &&
              send(fd, hello, sizeof hello - 1, MSG_NOSIGNAL) == (ssize_t)sizeof hello - 1;
    freeaddrinfo(found);
    return up ? fd : -1;
}

static void flood_for_ever(int fd, const struct br_buffer *part) {
    char in[65536];
    int64_t began = bench_now_us();
    for (;; *flooded += FLOOD_PART) {
        for (size_t sent = 0; sent < part->len;) {
            ssize_t more = send(fd, part->ptr + sent, part->len - sent, MSG_NOSIGNAL);
            if (more <= 0)
                _exit(127);
            sent += (size_t)more;
        }
        ssize_t got = recv(fd, in, sizeof in, MSG_DONTWAIT);
        if (got > 0 && memmem(in, (size_t)got, "PING", 4) != NULL && send(fd, "PONG\r\n", 6, MSG_NOSIGNAL) != 6)
            _exit(127);
        int64_t ahead = (int64_t)(*flooded * BR_US_PER_SECOND / FLOOD_RATE) - (bench_now_us() - began);
        if (ahead > 0)
            usleep((useconds_t)ahead);
    }
}

static pid_t start_flood(const struct live *live, enum beside beside) {
    static const char query[] = "SELECT count(*) FROM seen";
    pid_t parent = getpid(), flood = fork();
    BR_CHECK(flood >= 0);
    if (flood != 0)
        return flood;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(127);
    struct br_buffer part = {0};
    const char *payload = beside == FLOOD_QUERIES ? query : "";
    for (int i = 0; i < FLOOD_PART; i++)
        br_buffer_printf(&part, "PUB %s.%s.%s _INBOX.flood.%03d %zu\r\n%s\r\n",
                         beside == FLOOD_ELSEWHERE ? "nobody_is" : "braid_api", live->name,
                         beside == FLOOD_QUERIES ? "query" : "status", i, strlen(payload), payload);
    int fd = dial_flood(live->url);
    if (fd >= 0)
        flood_for_ever(fd, &part);
    _exit(127);
}

static pid_t start_beside(const struct live *live, enum beside beside) {
    if (beside == SPINNER_NICE || beside == SPINNER_IDLE)
        return start_spinner(beside);
    *flooded = 0;
    return beside >= FLOOD_ELSEWHERE ? start_flood(live, beside) : 0;
}

static bool ended(const Braid__V1__ReplayJob *record) {
    return record->phase >= BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_DONE;
}

// So many jobs are planned or running from now on.
static void keep_jobs(struct live *live, size_t count, bool behind) {
    struct br_error error;
    struct br_job_list list;
    char id[BR_JOB_ID_SIZE], to[32];
    snprintf(to, sizeof to, "seq:%" PRIu64, live->history);
    struct bench_job job = {.verb = REPLAY_START, .pipeline = live->name, .to = to, .behind_live = behind};
    bench_must(br_jobs_list(live->jobs, &list, &error), &error);
    size_t open = 0;
    for (size_t i = 0; i < list.count; i++)
        open += !ended(list.jobs[i].record);
    for (; open < count; open++)
        bench_job_make(live->log, live->jobs, &job, id);
    br_job_list_free(&list);
}

// Those that haven't ended are cancelled; what all of them have done is told, and they are dropped.
static uint64_t end_jobs(struct live *live) {
    struct br_error error;
    uint64_t messages = 0;
    for (bool again = true; again;) {
        struct br_job_list list;
        bench_must(br_jobs_list(live->jobs, &list, &error), &error);
        again = false;
        for (size_t i = 0; i < list.count; i++) {
            const Braid__V1__ReplayJob *record = list.jobs[i].record;
            if (record->phase == BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_DROPPED)
                continue;
            again = true;
            if (record->phase == BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_FAILED) {
                fprintf(stderr, "bench_beside: replay %s failed: %s\n", record->id, record->error);
                exit(1);
            }
            if (record->wish == BRAID__V1__REPLAY_WISH__REPLAY_WISH_CANCEL ||
                record->wish == BRAID__V1__REPLAY_WISH__REPLAY_WISH_DROP)
                continue;
            if (ended(record))
                messages += record->progress->messages_done;
            // One that ends meanwhile is seen the next time.
            (void)!br_jobs_wish(live->jobs, record->id,
                                ended(record) ? BRAID__V1__REPLAY_WISH__REPLAY_WISH_DROP
                                              : BRAID__V1__REPLAY_WISH__REPLAY_WISH_CANCEL,
                                NULL, br_clock_system()->wall(br_clock_system()), NULL, &error);
        }
        br_job_list_free(&list);
        if (again)
            br_log_wait(live->log, LOOK_US);
    }
    return messages;
}

struct measured {
    double p50_ms, p99_ms;
};

static struct measured measure(struct live *live, struct bench_latency *latency, enum beside beside, uint64_t first,
                               uint64_t count) {
    struct br_error error;
    pid_t other = start_beside(live, beside);
    if (is_replay(beside)) {
        keep_jobs(live, JOBS_AHEAD, beside == BEHIND_LIVE);
        for (bool running = false; !running; br_log_wait(live->log, LOOK_US)) { // the worker looks once a second
            struct br_job_list list;
            bench_must(br_jobs_list(live->jobs, &list, &error), &error);
            for (size_t i = 0; i < list.count; i++)
                running |= list.jobs[i].record->phase == BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_RUNNING;
            br_job_list_free(&list);
        }
    }
    int64_t began = bench_now_us();
    bench_latency_feed(latency, first, count, LATENCY_RATE);
    while (bench_latency_seen(latency) < first + count) {
        if (is_replay(beside))
            keep_jobs(live, JOBS_AHEAD, beside == BEHIND_LIVE);
        br_log_wait(live->log, 5 * LOOK_US);
        if (bench_now_us() - began > AWAIT_US) {
            fprintf(stderr, "bench_beside: events did not come out\n");
            exit(1);
        }
    }
    bench_latency_join(latency);
    if (other != 0) {
        BR_CHECK(waitpid(other, NULL, WNOHANG) == 0); // it was there all the time
        kill(other, SIGKILL);
        waitpid(other, NULL, 0);
    }
    double took = (double)(bench_now_us() - began) / 1e6;
    uint64_t events = is_replay(beside) ? end_jobs(live) : *flooded, skip = count / 10, n = count - skip;
    int64_t *all = bench_latency_sorted(latency, first + skip, n);
    struct measured measured = {(double)all[n / 2] / 1e3, (double)all[n * 99 / 100] / 1e3};
    printf("%-10s %-20s p50 %7.2f ms   p99 %7.2f ms   max %7.2f ms   %s %6.3f M/s\n", live->name, beside_names[beside],
           measured.p50_ms, measured.p99_ms, (double)all[n - 1] / 1e3,
           beside >= FLOOD_ELSEWHERE ? "flooded" : "replayed", (double)events / took / 1e6);
    fflush(stdout);
    free(all);
    return measured;
}

static void latency(const char *url, bool archive) {
    struct live live;
    char output[320];
    uint64_t count = (uint64_t)LATENCY_RATE * (uint64_t)seconds_wanted, first = 0;
    open_live(&live, url, archive ? "archived" : "streamed", LATENCY_HISTORY * (archive ? ARCHIVE_TIMES : 1) / scale,
              archive, false, "CREATE MATERIALIZED VIEW seen WITH (layout = 'packed') AS SELECT id FROM event");
    br_task_owner_subject(live.name, output, sizeof output);
    struct bench_latency_options options = {.url = url,
                                            .subject = live.subject,
                                            .output = output,
                                            .packed = true,
                                            .count = count * (uint64_t)rounds * BESIDES};
    struct bench_latency *meter = bench_latency_open(&options);
    double ratios[BESIDES][ROUNDS_MAX], p99s[BESIDES][ROUNDS_MAX];
    for (int round = 0; round < rounds; round++)
        for (enum beside beside = NOTHING; beside < BESIDES; beside++, first += count) {
            p99s[beside][round] = measure(&live, meter, beside, first, count).p99_ms;
            ratios[beside][round] = p99s[beside][round] / p99s[NOTHING][round];
        }
    for (enum beside beside = NOTHING + 1; beside < BESIDES; beside++)
        printf("%-10s %-20s median p99 %.2f times that without (goal %.1f)\n", live.name, beside_names[beside],
               bench_median(ratios[beside], (size_t)rounds), beside <= UNTHROTTLED ? GOAL_UNTHROTTLED : GOAL_BEHIND);
    bench_latency_close(&meter);
    close_live(&live);
}

// --- flood

static int count_lines(const char *path) {
    FILE *file = fopen(path, "r");
    int lines = 0;
    for (int byte; file != NULL && (byte = fgetc(file)) != EOF;)
        lines += byte == '\n';
    if (file != NULL)
        fclose(file);
    return lines;
}

static void flood(const char *url) {
    struct live live;
    char output[320];
    uint64_t count = (uint64_t)LATENCY_RATE * (uint64_t)seconds_wanted, first = 0;
    open_live(&live, url, "flooded", LATENCY_RATE, false, true,
              "CREATE MATERIALIZED VIEW seen WITH (layout = 'packed') AS SELECT id FROM event");
    br_task_owner_subject(live.name, output, sizeof output);
    struct bench_latency_options options = {.url = url,
                                            .subject = live.subject,
                                            .output = output,
                                            .packed = true,
                                            .count = count * (uint64_t)rounds * (FLOODS_END - FLOOD_ELSEWHERE + 1)};
    struct bench_latency *meter = bench_latency_open(&options);
    double ratios[FLOODS_END][ROUNDS_MAX], p99s[FLOODS_END];
    int lines[FLOODS_END] = {0};
    for (int round = 0; round < rounds; round++) {
        measure(&live, meter, NOTHING, first, count);
        first += count;
        for (enum beside beside = FLOOD_ELSEWHERE; beside < FLOODS_END; beside++, first += count) {
            int before = count_lines(live.log_path);
            p99s[beside] = measure(&live, meter, beside, first, count).p99_ms;
            ratios[beside][round] = p99s[beside] / p99s[FLOOD_ELSEWHERE];
            lines[beside] += count_lines(live.log_path) - before;
        }
    }
    for (enum beside beside = FLOOD_STATUS; beside < FLOODS_END; beside++)
        printf("%-10s %-20s median p99 %.2f times that beside a flood that nobody reads (goal %.1f), %d lines logged a "
               "round (goal %d)\n",
               live.name, beside_names[beside], bench_median(ratios[beside], (size_t)rounds), GOAL_FLOOD,
               lines[beside] / rounds, GOAL_FLOOD_LINES);
    bench_latency_close(&meter);
    close_live(&live);
}

// --- promote

struct gaps {
    int64_t takeover_us[ROUNDS_MAX], next_us[ROUNDS_MAX];
    size_t count;
};

// From the log: the owner's commits in their order.
static void read_gaps(struct live *live, struct gaps *gaps) {
    struct br_error error;
    struct br_commits *commits;
    char stream[256], subject[320];
    struct br_stream_info info;
    br_task_output_stream(live->name, stream, sizeof stream);
    br_task_owner_subject(live->name, subject, sizeof subject);
    bench_must(br_log_stream_info(live->log, stream, &info, &error), &error);
    bench_must(br_commits_open(live->log, live->name, 0, &commits, &error), &error);
    int64_t last_us = 0, former_us = 0; // the owner's last commit; the former owner's last, until the new one's first
    for (uint64_t sequence = 0; sequence + 1000 < info.last_sequence;) { // live goes on: its last messages don't matter
        const struct br_log_message *message;
        const Braid__V1__Commit *commit;
        bench_must(br_commits_next(commits, &message, &commit, &error), &error);
        if (message == NULL) {
            br_log_wait(live->log, LOOK_US);
            continue;
        }
        sequence = message->sequence;
        bool owners = br_slice_is(message->subject, subject);
        int64_t at_us = message->timestamp.us;
        if (owners && commit->takeover != NULL && commit->part == 1) {
            BR_CHECK(last_us != 0 && gaps->count < ROUNDS_MAX);
            gaps->takeover_us[gaps->count] = at_us - last_us;
            former_us = last_us;
        } else if (owners && commit->takeover == NULL && former_us != 0) {
            gaps->next_us[gaps->count++] = at_us - former_us;
            former_us = 0;
        }
        last_us = owners ? at_us : last_us;
        br_commits_done(commits);
    }
    br_commits_close(&commits);
}

static void tell_gaps(const char *what, int64_t *gaps, size_t count) {
    bench_sort(gaps, count);
    printf("cut-over gap, %-42s p50 %6.1f ms   p99 %6.1f ms   max %6.1f ms   (%zu, goal p99 %.0f)\n", what,
           (double)gaps[count / 2] / 1e3, (double)gaps[count * 99 / 100] / 1e3, (double)gaps[count - 1] / 1e3, count,
           GOAL_GAP_MS);
}

static void promote(const char *url) {
    struct live live;
    char output[320], changed[160], sql[512];
    struct gaps gaps = {0};
    open_live(&live, url, "promoted", PROMOTE_HISTORY, false, false,
              "CREATE MATERIALIZED VIEW counts AS SELECT id % 500 AS key, count(*) AS n FROM event GROUP BY id % 500");
    snprintf(changed, sizeof changed, "%s/changed.sql", folder);
    snprintf(sql, sizeof sql,
             "CREATE TABLE event (id bigint NOT NULL) WITH (subject = '%s');\nCREATE MATERIALIZED VIEW counts AS "
             "SELECT id %% 500 AS key, count(*) AS n FROM event WHERE id %% 7 <> 0 GROUP BY id %% 500;\n",
             live.subject);
    bench_write_file(changed, sql);
    snprintf(output, sizeof output, "braid.%s.view.none", live.name); // the gaps are read from the log
    struct bench_latency_options options = {
        .url = url, .subject = live.subject, .output = output, .count = PROMOTE_RATE * PROMOTE_SECONDS_MAX};
    struct bench_latency *feeder = bench_latency_open(&options);
    bench_latency_feed(feeder, 0, options.count, PROMOTE_RATE);
    struct bench_job job = {.verb = REPLAY_START, .pipeline = live.name, .new_path = changed};
    for (int done = 0; done < promotions; done += 2) {
        char id[BR_JOB_ID_SIZE];
        bench_job_make(live.log, live.jobs, &job, id);
        bench_job_await(live.log, live.jobs, id, BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_DONE);
        bench_job_wish(live.jobs, id, BRAID__V1__REPLAY_WISH__REPLAY_WISH_PROMOTE);
        bench_job_await(live.log, live.jobs, id, BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_PROMOTED);
        bench_job_wish(live.jobs, id, BRAID__V1__REPLAY_WISH__REPLAY_WISH_ROLL_BACK);
        bench_job_await(live.log, live.jobs, id, BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_ROLLED_BACK);
        bench_job_wish(live.jobs, id, BRAID__V1__REPLAY_WISH__REPLAY_WISH_DROP);
    }
    sleep(1); // until the last owner has committed
    read_gaps(&live, &gaps);
    bench_latency_stop_feeding(feeder);
    bench_latency_join(feeder);
    BR_CHECK(gaps.count == (size_t)promotions);
    tell_gaps("last old commit to the takeover:", gaps.takeover_us, gaps.count);
    tell_gaps("last old commit to the new owner's next:", gaps.next_us, gaps.count);
    bench_latency_close(&feeder);
    close_live(&live);
}

int main(int argc, char **argv) {
    struct br_error error;
    struct br_private_server *server;
    char store[128];
    for (int a = 1; a < argc; a++) {
        sscanf(argv[a], "--scale=%zu", &scale);
        sscanf(argv[a], "--seconds=%d", &seconds_wanted);
        sscanf(argv[a], "--rounds=%d", &rounds);
        sscanf(argv[a], "--promotions=%d", &promotions);
    }
    BR_CHECK(scale > 0 && rounds > 0 && rounds <= ROUNDS_MAX && promotions > 0 && promotions <= ROUNDS_MAX);
    promotions += promotions % 2;
    flooded = mmap(NULL, sizeof *flooded, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    BR_CHECK(flooded != MAP_FAILED);
    snprintf(folder, sizeof folder, "/tmp/braid-bench-beside-%ld", (long)getpid());
    snprintf(store, sizeof store, "%s/nats", folder);
    BR_CHECK(mkdir(folder, 0777) == 0);
    bench_must(br_private_server_start(store, false, 0, &server, &error), &error);
    if (bench_wanted(argc, argv, "latency"))
        latency(br_private_server_url(server), false);
    if (bench_wanted(argc, argv, "latency-archive"))
        latency(br_private_server_url(server), true);
    if (bench_wanted(argc, argv, "flood"))
        flood(br_private_server_url(server));
    if (bench_wanted(argc, argv, "promote"))
        promote(br_private_server_url(server));
    br_private_server_stop(&server);
    bench_must(br_store_remove(NULL, folder, &error), &error);
    return 0;
}
