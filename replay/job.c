// SPDX-License-Identifier: Apache-2.0
// See job.h: J1 to J8.
#include "replay/job.h"
#include "base/logging.h"
#include "processor/semantics.h"
#include "processor/task.h"
#include "replay/unpack.h"

#include <inttypes.h>
#include <stdio.h>

#define CHANGE_TRIES_MAX 200 // lost races for one record; each means that somebody else has moved on
#define RETRIES_MAX 20       // passing faults of one call
#define RETRY_WAIT_US 50000
#define NUMBER_MAX 999999999 // of a job that others are numbered after

struct br_jobs {
    struct br_log *log;
    char *pipeline;
    char stream[300];
    char keys[300];    // the filter for all of them
    uint64_t told[16]; // revisions of damaged records that the log has a line of, the last ones
    size_t told_count;
};

void br_job_free(struct br_job *job) {
    br_arena_destroy(&job->arena);
    *job = (struct br_job){0};
}

// --- the bucket

// Passing faults are waited out some times, so that a command survives a server's change of leader.
static bool try_again(struct br_jobs *jobs, enum br_status status, int *tries) {
    if (status != BR_RETRY || ++*tries > RETRIES_MAX)
        return false;
    br_log_wait(jobs->log, RETRY_WAIT_US);
    return true;
}

enum br_status br_jobs_open(struct br_log *log, const char *pipeline, struct br_jobs **ret_jobs,
                            struct br_error *error) {
    char output[256], bucket[280];
    struct br_stream_info info;
    br_task_output_stream(pipeline, output, sizeof output);
    if (br_log_stream_info(log, output, &info, error) != BR_OK)
        return br_error_context(error, "pipeline %s has no replays (has it ever run here?)", pipeline);
    snprintf(bucket, sizeof bucket, "%s_replays", output);
    BR_TRY(br_log_ensure_bucket(log, bucket, info.replicas, error));
    struct br_jobs *jobs = br_calloc(1, sizeof *jobs);
    jobs->log = log;
    jobs->pipeline = br_strdup(pipeline);
    snprintf(jobs->stream, sizeof jobs->stream, "KV_%s", bucket);
    snprintf(jobs->keys, sizeof jobs->keys, "$KV.%s.*", bucket);
    *ret_jobs = jobs;
    return BR_OK;
}

void br_jobs_close(struct br_jobs **jobs) {
    if (*jobs != NULL)
        free((*jobs)->pipeline);
    free(*jobs);
    *jobs = NULL;
}

struct br_log *br_jobs_log(struct br_jobs *jobs) {
    return jobs->log;
}

static void key_of(const struct br_jobs *jobs, const char *id, char *subject, size_t size) {
    snprintf(subject, size, "%.*s%s", (int)strlen(jobs->keys) - 1, jobs->keys, id);
}

// The number of an id, 0: it is none.
static uint64_t number_of(struct br_slice id) {
    uint64_t number = 0;
    if (id.len < 2 || id.len > 19 || id.ptr[0] != 'r' || id.ptr[1] == '0')
        return 0;
    for (size_t i = 1; i < id.len; i++) {
        if (id.ptr[i] < '0' || id.ptr[i] > '9')
            return 0;
        number = number * 10 + (uint64_t)(id.ptr[i] - '0');
    }
    return number;
}

static struct br_slice id_of(const struct br_jobs *jobs, const struct br_log_message *message) {
    size_t prefix = strlen(jobs->keys) - 1;
    return (struct br_slice){message->subject.ptr + prefix, message->subject.len - prefix};
}

// A key that was deleted with a NATS tool has a last message too, which says so.
static bool is_record(const struct br_log_message *message) {
    struct br_slice operation;
    return !br_log_message_header(message, "KV-Operation", &operation);
}

static enum br_status unpack_job(const struct br_jobs *jobs, const struct br_log_message *message,
                                 struct br_job *ret_job, struct br_error *error) {
    struct br_slice id = id_of(jobs, message);
    struct br_job job = {.arena = br_arena_create(), .revision = message->sequence};
    if (message->payload.len <= BR_JOB_BYTES_MAX)
        job.record = br_unpack(&braid__v1__replay_job__descriptor, message->payload, job.arena);
    if (job.record == NULL || !br_slice_is(id, job.record->id) || strcmp(job.record->pipeline, jobs->pipeline) != 0) {
        br_job_free(&job);
        return br_error_set_native(error, BR_FATAL, BR_JOB_DAMAGED,
                                   "the record of replay %.*s can't be read: it isn't a braid.v1.ReplayJob of this "
                                   "pipeline, of at most %zu MiB. braid replay drop %s %.*s removes it",
                                   (int)id.len, (const char *)id.ptr, BR_JOB_BYTES_MAX >> 20, jobs->pipeline,
                                   (int)id.len, (const char *)id.ptr);
    }
    if (job.record->progress == NULL) {
        job.record->progress = br_arena_new(job.arena, Braid__V1__ReplayProgress);
        braid__v1__replay_progress__init(job.record->progress);
        job.record->progress->seconds_left = -1;
    }
    *ret_job = job;
    return BR_OK;
}

static enum br_status last_of(struct br_jobs *jobs, const char *key, struct br_buffer *copy,
                              struct br_log_message *ret_message, bool *ret_found, struct br_error *error) {
    char subject[400];
    enum br_status status;
    int tries = 0;
    key_of(jobs, key, subject, sizeof subject);
    do {
        br_buffer_clear(copy);
        status = br_log_last(jobs->log, jobs->stream, subject, copy, ret_message, ret_found, error);
    } while (try_again(jobs, status, &tries));
    return status;
}

enum br_status br_jobs_get_value(struct br_jobs *jobs, const char *key, struct br_buffer *copy,
                                 struct br_slice *ret_value, uint64_t *ret_revision, bool *ret_found,
                                 struct br_error *error) {
    struct br_log_message message;
    bool found;
    BR_TRY(last_of(jobs, key, copy, &message, &found, error));
    *ret_revision = found ? message.sequence : 0;
    *ret_found = found && is_record(&message);
    if (*ret_found)
        *ret_value = message.payload;
    return BR_OK;
}

enum br_status br_jobs_read(struct br_jobs *jobs, const char *id, struct br_job *ret_job, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_log_message message;
    bool found = false;
    if (number_of(br_slice_of(id)) != 0)
        BR_TRY(last_of(jobs, id, &copy, &message, &found, error));
    if (!found || !is_record(&message))
        return br_error_set(error, BR_DATA, "pipeline %s has no replay \"%s\"; braid replay list shows what it has",
                            jobs->pipeline, id);
    return unpack_job(jobs, &message, ret_job, error);
}

// Calls `each` for the last message of every key.
static enum br_status walk(struct br_jobs *jobs,
                           enum br_status (*each)(void *context, const struct br_log_message *message,
                                                  struct br_error *error),
                           void *context, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_log_message message;
    bool found;
    int tries = 0;
    for (uint64_t from = 1;;) {
        br_buffer_clear(&copy);
        enum br_status status = br_log_next(jobs->log, jobs->stream, jobs->keys, from, &copy, &message, &found, error);
        if (try_again(jobs, status, &tries))
            continue;
        if (status == BR_OK && found)
            status = each(context, &message, error);
        if (status != BR_OK || !found)
            return status;
        from = message.sequence + 1;
    }
}

struct listing {
    struct br_jobs *jobs;
    struct br_job_list list;
    size_t capacity;
};

// Jobs are looked at again and again.
static void tell_once(struct br_jobs *jobs, uint64_t revision, const struct br_error *why) {
    const size_t size = sizeof jobs->told / sizeof *jobs->told;
    for (size_t i = 0; i < jobs->told_count && i < size; i++)
        if (jobs->told[i] == revision)
            return;
    jobs->told[jobs->told_count++ % size] = revision;
    br_log_line(BR_LEVEL_WARN, "a replay job is left out", BR_STR("pipeline", jobs->pipeline),
                BR_STR("why", why->message));
}

static enum br_status list_one(void *context, const struct br_log_message *message, struct br_error *error) {
    struct listing *listing = context;
    struct br_job_list *list = &listing->list;
    if (!is_record(message) || number_of(id_of(listing->jobs, message)) == 0)
        return BR_OK;
    struct br_job job;
    struct br_error why;
    (void)error;
    if (unpack_job(listing->jobs, message, &job, &why) != BR_OK) { // must not stop all the others
        tell_once(listing->jobs, message->sequence, &why);
        return BR_OK;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->jobs[i].record->id, job.record->id) == 0) { // changed while we were reading
            br_job_free(&list->jobs[i]);
            list->jobs[i] = job;
            return BR_OK;
        }
    }
    if (list->count == listing->capacity) {
        listing->capacity = listing->capacity == 0 ? 16 : listing->capacity * 2;
        list->jobs = br_realloc(list->jobs, listing->capacity * sizeof *list->jobs);
    }
    list->jobs[list->count++] = job;
    return BR_OK;
}

static int by_number(const void *a, const void *b) {
    const struct br_job *left = a, *right = b;
    uint64_t left_number = number_of(br_slice_of(left->record->id));
    uint64_t right_number = number_of(br_slice_of(right->record->id));
    return left_number < right_number ? -1 : left_number > right_number;
}

enum br_status br_jobs_list(struct br_jobs *jobs, struct br_job_list *ret_list, struct br_error *error) {
    struct listing listing = {.jobs = jobs};
    enum br_status status = walk(jobs, list_one, &listing, error);
    if (status != BR_OK) {
        br_job_list_free(&listing.list);
        return status;
    }
    if (listing.list.count > 1)
        qsort(listing.list.jobs, listing.list.count, sizeof *listing.list.jobs, by_number);
    *ret_list = listing.list;
    return BR_OK;
}

void br_job_list_free(struct br_job_list *list) {
    for (size_t i = 0; i < list->count; i++)
        br_job_free(&list->jobs[i]);
    free(list->jobs);
    *list = (struct br_job_list){0};
}

// --- writing

enum br_status br_jobs_put_value(struct br_jobs *jobs, const char *key, const struct br_slice *value, uint64_t expected,
                                 enum br_append_result *ret_result, uint64_t *ret_revision, struct br_error *error) {
    char subject[400];
    key_of(jobs, key, subject, sizeof subject);
    const struct br_log_header deleted = {br_slice_of("KV-Operation"), br_slice_of("DEL")};
    struct br_log_message message = {.subject = br_slice_of(subject)};
    if (value != NULL) {
        message.payload = *value;
    } else {
        message.headers = &deleted;
        message.header_count = 1;
    }
    enum br_status status;
    int tries = 0;
    do {
        status = br_log_append(jobs->log, jobs->stream, &message, 1, expected, error);
        if (status == BR_OK)
            status = br_log_append_wait(jobs->log, ret_result, ret_revision, error);
    } while (try_again(jobs, status, &tries));
    return status == BR_OK ? BR_OK : br_error_context(error, "replay %s of pipeline %s", key, jobs->pipeline);
}

static enum br_status put(struct br_jobs *jobs, const Braid__V1__ReplayJob *record, uint64_t expected,
                          enum br_append_result *ret_result, uint64_t *ret_revision, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) bytes = {0};
    size_t size = braid__v1__replay_job__get_packed_size(record);
    if (size > BR_JOB_BYTES_MAX)
        return br_error_set(
            error, BR_DATA,
            "replay %s of pipeline %s: its record, with the SQL file and the descriptors, has %zu bytes; "
            "at most %zu MiB are taken",
            record->id, jobs->pipeline, size, BR_JOB_BYTES_MAX >> 20);
    bytes.len = braid__v1__replay_job__pack(record, br_buffer_reserve(&bytes, size + 1));
    struct br_slice value = br_buffer_slice(&bytes);
    return br_jobs_put_value(jobs, record->id, &value, expected, ret_result, ret_revision, error);
}

struct highest {
    struct br_jobs *jobs;
    uint64_t number;
};

static enum br_status raise_highest(void *context, const struct br_log_message *message, struct br_error *error) {
    struct highest *highest = context;
    uint64_t number = number_of(id_of(highest->jobs, message));
    (void)error;
    // Anybody can write to the bucket: a number so high would leave none for others.
    highest->number = number > highest->number && number < NUMBER_MAX ? number : highest->number;
    return BR_OK;
}

// Did a write whose outcome is unknown land? Records carry who made them and when.
static bool same_making(const Braid__V1__ReplayJob *a, const Braid__V1__ReplayJob *b) {
    return a->created_us == b->created_us && strcmp(a->created_by, b->created_by) == 0 &&
           strcmp(a->reason, b->reason) == 0 && a->mode == b->mode;
}

enum br_status br_jobs_create(struct br_jobs *jobs, const Braid__V1__ReplayJob *record, struct br_wall_time now,
                              char ret_id[BR_JOB_ID_SIZE], struct br_error *error) {
    struct highest highest = {.jobs = jobs};
    BR_TRY(walk(jobs, raise_highest, &highest, error));
    Braid__V1__ReplayJob made = *record; // its fields stay the caller's
    char id[BR_JOB_ID_SIZE];
    made.id = id;
    made.pipeline = jobs->pipeline;
    made.created_us = now.us;
    made.phase = BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_PLANNED;
    made.wish = made.rebuild ? BRAID__V1__REPLAY_WISH__REPLAY_WISH_REBUILD : BRAID__V1__REPLAY_WISH__REPLAY_WISH_RUN;
    made.semantics = br_semantics();
    if (made.worker[0] != '\0') {
        made.lease_until_us = now.us + BR_JOB_LEASE_US;
        made.started_us = now.us;
    }
    highest.number++;
    for (int i = 0; i < CHANGE_TRIES_MAX; i++) {
        enum br_append_result result;
        uint64_t revision;
        snprintf(id, sizeof id, "r%" PRIu64, highest.number);
        BR_TRY(put(jobs, &made, 0, &result, &revision, error));
        struct br_job there = {0};
        bool found = result != BR_APPEND_DONE && br_jobs_read(jobs, id, &there, error) == BR_OK;
        bool ours = result == BR_APPEND_DONE || (found && same_making(there.record, &made));
        br_job_free(&there);
        if (ours) {
            memcpy(ret_id, id, BR_JOB_ID_SIZE);
            return BR_OK;
        }
        // What may land later must land on this id or nowhere: there would be two of the job.
        if (found || result == BR_APPEND_FENCED)
            highest.number++;
    }
    return br_error_set(error, BR_RETRY, "no free id for a replay of pipeline %s was found: too many are made at once",
                        jobs->pipeline);
}

enum br_status br_jobs_change(struct br_jobs *jobs, const char *id, br_job_change *change, void *context,
                              struct br_job *ret_job, struct br_error *error) {
    for (int i = 0; i < CHANGE_TRIES_MAX; i++) {
        struct br_job job;
        bool write = true;
        enum br_append_result result = BR_APPEND_UNKNOWN; // counts as a lost race: reading again shows what came of it
        BR_TRY(br_jobs_read(jobs, id, &job, error));
        enum br_status status = change(context, &job, &write, error);
        if (status == BR_OK && write)
            status = put(jobs, job.record, job.revision, &result, &job.revision, error);
        bool done = status == BR_OK && (result == BR_APPEND_DONE || !write);
        if (done && ret_job != NULL)
            *ret_job = job;
        else
            br_job_free(&job);
        if (done || status != BR_OK)
            return status;
    }
    return br_error_set(error, BR_RETRY, "replay %s of pipeline %s is changed by others all the time", id,
                        jobs->pipeline);
}

// --- wishes

#define PHASE(name) BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_##name
#define WISH(name) BRAID__V1__REPLAY_WISH__REPLAY_WISH_##name
#define BIT(name) (1u << PHASE(name))

// Which phases a wish may be made in, and the words for the error.
static const struct wish_rule {
    unsigned phases;
    bool recompute_only;
    const char *what; // "only <what> can be <done>"
    const char *done;
} rules[] = {
    [WISH(RUN)] = {BIT(PLANNED) | BIT(RUNNING) | BIT(PAUSED), false, "a job that is paused", "resumed"},
    [WISH(PAUSE)] = {BIT(PLANNED) | BIT(RUNNING) | BIT(PAUSED), false, "a job that runs", "paused"},
    [WISH(CANCEL)] = {BIT(PLANNED) | BIT(RUNNING) | BIT(PAUSED) | BIT(PROMOTING), false, "a job that hasn't ended",
                      "cancelled"},
    [WISH(COMPARE)] = {BIT(DONE), true, "a job that is done", "compared"},
    [WISH(PROMOTE)] = {BIT(DONE) | BIT(PROMOTING), true, "a job that is done", "promoted"},
    [WISH(ROLL_BACK)] = {BIT(PROMOTED) | BIT(ROLLING_BACK), true, "a job that is promoted", "rolled back"},
    [WISH(DROP)] = {BIT(DONE) | BIT(PROMOTED) | BIT(ROLLED_BACK) | BIT(FAILED) | BIT(CANCELLED), false,
                    "a job that has ended", "dropped"},
    [WISH(REBUILD)] = {BIT(PLANNED) | BIT(RUNNING) | BIT(PAUSED) | BIT(DONE) | BIT(PROMOTING), true,
                       "a job that hasn't been promoted", "gone on with"},
};

static bool is_of_later_build(const Braid__V1__ReplayJob *record) {
    return record->semantics > br_semantics();
}

static bool allows(const struct wish_rule *rule, Braid__V1__ReplayPhase phase) {
    return (unsigned)phase <= PHASE(DROPPED) && (rule->phases >> phase & 1) != 0;
}

static enum br_status check_wish(const Braid__V1__ReplayJob *record, Braid__V1__ReplayWish wish,
                                 struct br_error *error) {
    const struct wish_rule *rule = &rules[wish];
    if (is_of_later_build(record))
        return br_error_set(error, BR_DATA,
                            "%s was made by a later build than this one (semantics %u; this one knows those up to %u): "
                            "that one, or a later one, can work with it",
                            record->id, record->semantics, br_semantics());
    if (!allows(rule, record->phase))
        return br_error_set(error, BR_DATA, "%s is %s; only %s can be %s", record->id, br_job_phase_name(record->phase),
                            rule->what, rule->done);
    if (rule->recompute_only && record->mode != BRAID__V1__REPLAY_MODE__REPLAY_MODE_RECOMPUTE)
        return br_error_set(error, BR_DATA,
                            "%s only verifies what is recorded; only a replay that computes anew can be %s", record->id,
                            rule->done);
    return BR_OK;
}

void br_job_drop(Braid__V1__ReplayJob *record, struct br_wall_time now) {
    record->phase = PHASE(DROPPED);
    record->wish = WISH(UNSPECIFIED);
    record->sql = record->worker = (char *)protobuf_c_empty_string;
    record->n_descriptors = 0;
    record->fields = (ProtobufCBinaryData){0};
    record->report = NULL;
    record->lease_until_us = 0;
    record->ended_us = now.us;
}

struct wishing {
    Braid__V1__ReplayWish wish;
    const struct br_job_gates *gates;
    struct br_wall_time now;
};

static enum br_status make_wish(void *context, struct br_job *job, bool *ret_write, struct br_error *error) {
    const struct wishing *wishing = context;
    Braid__V1__ReplayJob *record = job->record;
    (void)ret_write;
    BR_TRY(check_wish(record, wishing->wish, error));
    record->wish = wishing->wish;
    if (wishing->gates != NULL) {
        record->max_changed = wishing->gates->max_changed;
        record->require_verified = wishing->gates->require_verified;
        record->dry_run = wishing->gates->dry_run;
        record->allow_incompatible = wishing->gates->allow_incompatible;
        record->samples = wishing->gates->samples;
        record->tolerances = wishing->gates->tolerances;
        record->n_tolerances = wishing->gates->tolerance_count;
    }
    // Nobody has begun, so there is nothing that a worker would have to end or clear away (J2).
    bool untouched = record->started_us == 0 && record->worker[0] == '\0';
    if (untouched && wishing->wish == WISH(CANCEL)) {
        record->phase = PHASE(CANCELLED);
        record->wish = WISH(UNSPECIFIED);
        record->ended_us = wishing->now.us;
    } else if (untouched && wishing->wish == WISH(DROP)) {
        br_job_drop(record, wishing->now);
    }
    return BR_OK;
}

// Nobody can work with it: there is nothing else to clear away.
static enum br_status remove_damaged(struct br_jobs *jobs, const char *id, struct br_job *ret_job,
                                     struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_log_message message;
    enum br_append_result result;
    uint64_t revision;
    bool found;
    BR_TRY(last_of(jobs, id, &copy, &message, &found, error));
    if (!found)
        return br_error_set(error, BR_DATA, "pipeline %s has no replay \"%s\"", jobs->pipeline, id);
    BR_TRY(br_jobs_put_value(jobs, id, NULL, message.sequence, &result, &revision, error));
    if (result != BR_APPEND_DONE)
        return br_error_set(error, BR_RETRY, "the record of replay %s was changed meanwhile; try again", id);
    if (ret_job == NULL)
        return BR_OK;
    *ret_job = (struct br_job){.arena = br_arena_create(), .revision = revision};
    ret_job->record = br_arena_new(ret_job->arena, Braid__V1__ReplayJob);
    braid__v1__replay_job__init(ret_job->record);
    ret_job->record->id = br_arena_strdup(ret_job->arena, id);
    ret_job->record->pipeline = br_arena_strdup(ret_job->arena, jobs->pipeline);
    ret_job->record->phase = PHASE(DROPPED);
    ret_job->record->progress = br_arena_new(ret_job->arena, Braid__V1__ReplayProgress);
    braid__v1__replay_progress__init(ret_job->record->progress);
    return BR_OK;
}

enum br_status br_jobs_wish(struct br_jobs *jobs, const char *id, Braid__V1__ReplayWish wish,
                            const struct br_job_gates *gates, struct br_wall_time now, struct br_job *ret_job,
                            struct br_error *error) {
    BR_CHECK(wish > WISH(UNSPECIFIED) && wish <= WISH(REBUILD));
    struct wishing wishing = {wish, gates, now};
    enum br_status status = br_jobs_change(jobs, id, make_wish, &wishing, ret_job, error);
    if (status == BR_FATAL && error->native == BR_JOB_DAMAGED && wish == WISH(DROP))
        return remove_damaged(jobs, id, ret_job, error);
    return status;
}

bool br_job_has_work(const Braid__V1__ReplayJob *record) {
    if (is_of_later_build(record))
        return false;
    switch (record->wish) {
    case WISH(PAUSE): // to be said so
        return record->phase == PHASE(PLANNED) || record->phase == PHASE(RUNNING);
    case WISH(RUN):
    case WISH(CANCEL):
    case WISH(COMPARE):
    case WISH(PROMOTE):
    case WISH(ROLL_BACK):
    case WISH(DROP):
    case WISH(REBUILD):
        return allows(&rules[record->wish], record->phase);
    default:
        return false;
    }
}

bool br_job_leased(const Braid__V1__ReplayJob *record, struct br_wall_time now) {
    return record->worker[0] != '\0' && record->lease_until_us > now.us;
}

// --- leases

struct leasing {
    const char *worker;
    struct br_wall_time now;
    const Braid__V1__ReplayProgress *progress;
    bool got;
    br_job_change *change; // of the holder
    void *context;
};

static enum br_status take_lease(void *context, struct br_job *job, bool *ret_write, struct br_error *error) {
    struct leasing *leasing = context;
    Braid__V1__ReplayJob *record = job->record;
    (void)error;
    bool ours = strcmp(record->worker, leasing->worker) == 0;
    leasing->got = br_job_has_work(record) && (ours || !br_job_leased(record, leasing->now));
    *ret_write = leasing->got;
    if (leasing->got) {
        record->worker = br_arena_strdup(job->arena, leasing->worker);
        record->lease_until_us = leasing->now.us + BR_JOB_LEASE_US;
        if (record->started_us == 0)
            record->started_us = leasing->now.us;
    }
    return BR_OK;
}

enum br_status br_jobs_claim(struct br_jobs *jobs, const char *id, const char *worker, struct br_wall_time now,
                             struct br_job *ret_job, bool *ret_claimed, struct br_error *error) {
    struct leasing leasing = {.worker = worker, .now = now};
    struct br_job job;
    BR_TRY(br_jobs_change(jobs, id, take_lease, &leasing, &job, error));
    *ret_claimed = leasing.got;
    if (leasing.got)
        *ret_job = job;
    else
        br_job_free(&job);
    return BR_OK;
}

enum br_status br_jobs_claim_any(struct br_jobs *jobs, const char *worker, struct br_wall_time now,
                                 struct br_job *ret_job, bool *ret_claimed, struct br_error *error) {
    struct br_job_list list;
    BR_TRY(br_jobs_list(jobs, &list, error));
    enum br_status status = BR_OK;
    *ret_claimed = false;
    for (size_t i = 0; i < list.count && status == BR_OK && !*ret_claimed; i++) {
        const Braid__V1__ReplayJob *record = list.jobs[i].record;
        bool others = record->wish == WISH(REBUILD) && record->phase != PHASE(PROMOTING); // J7
        if (br_job_has_work(record) && !others && !br_job_leased(record, now))
            status = br_jobs_claim(jobs, record->id, worker, now, ret_job, ret_claimed, error);
    }
    br_job_list_free(&list);
    return status;
}

static enum br_status change_if_held(void *context, struct br_job *job, bool *ret_write, struct br_error *error) {
    struct leasing *leasing = context;
    leasing->got = strcmp(job->record->worker, leasing->worker) == 0;
    *ret_write = leasing->got;
    return leasing->got ? leasing->change(leasing->context, job, ret_write, error) : BR_OK;
}

enum br_status br_jobs_change_held(struct br_jobs *jobs, const char *id, const char *worker, br_job_change *change,
                                   void *context, struct br_job *ret_job, bool *ret_held, struct br_error *error) {
    struct leasing leasing = {.worker = worker, .change = change, .context = context};
    BR_TRY(br_jobs_change(jobs, id, change_if_held, &leasing, ret_job, error));
    *ret_held = leasing.got;
    return BR_OK;
}

static void raise(uint64_t *count, uint64_t to) {
    *count = to > *count ? to : *count;
}

static enum br_status extend(void *context, struct br_job *job, bool *ret_write, struct br_error *error) {
    const struct leasing *leasing = context;
    const Braid__V1__ReplayProgress *now = leasing->progress;
    Braid__V1__ReplayProgress *progress = job->record->progress;
    (void)ret_write;
    (void)error;
    job->record->lease_until_us = leasing->now.us + BR_JOB_LEASE_US;
    if (now == NULL)
        return BR_OK;
    if (progress->messages_total == 0)
        progress->messages_total = now->messages_total;
    raise(&progress->messages_done, now->messages_done);
    raise(&progress->epochs, now->epochs);
    raise(&progress->rows_out, now->rows_out);
    raise(&progress->late, now->late);
    raise(&progress->quarantined, now->quarantined);
    raise(&progress->failed, now->failed);
    progress->messages_per_second = now->messages_per_second;
    progress->seconds_left = now->seconds_left;
    return BR_OK;
}

enum br_status br_jobs_renew(struct br_jobs *jobs, const char *id, const char *worker, struct br_wall_time now,
                             const Braid__V1__ReplayProgress *progress, struct br_job *ret_job, bool *ret_held,
                             struct br_error *error) {
    struct leasing leasing = {.worker = worker, .now = now, .progress = progress};
    return br_jobs_change_held(jobs, id, worker, extend, &leasing, ret_job, ret_held, error);
}

static enum br_status give_back(void *context, struct br_job *job, bool *ret_write, struct br_error *error) {
    (void)context;
    (void)ret_write;
    (void)error;
    job->record->worker = (char *)protobuf_c_empty_string;
    job->record->lease_until_us = 0;
    return BR_OK;
}

enum br_status br_jobs_release(struct br_jobs *jobs, const char *id, const char *worker, struct br_error *error) {
    bool held;
    return br_jobs_change_held(jobs, id, worker, give_back, NULL, NULL, &held, error);
}

enum br_status br_jobs_forget(struct br_jobs *jobs, const char *id, struct br_error *error) {
    struct br_job job;
    char key[400];
    enum br_status status = br_jobs_read(jobs, id, &job, error);
    if (status == BR_DATA)
        return BR_OK; // it is gone
    BR_TRY(status);
    bool dropped = job.record->phase == PHASE(DROPPED);
    br_job_free(&job);
    key_of(jobs, id, key, sizeof key);
    return dropped ? br_log_purge(jobs->log, jobs->stream, key, error) : BR_OK;
}
