// SPDX-License-Identifier: Apache-2.0
// Connections to the simulated server, and the faults on the way there. See simulated.h.
//
// Every call of a connection is one step of the history: first the late writes that are due land, then the connection
// may crash (it does nothing from then on), then it may be refused (BR_RETRY, nothing done), then it does its work. All
// chances come from one generator per sim.
#include "processor/log/simulated_internal.h"

#include <stdio.h>

#define SIM_START_US INT64_C(1767225600000000) // 2026-01-01
#define WAIT_STEP_US_MAX INT64_C(1000000)      // how far one br_log_wait may move the clock
#define APPEND_STEP_US INT64_C(1000)           // the same while an append's reply is awaited
#define READER_SHOWN_MAX 65536                 // messages that a reader shows before the task must consume, unless set
#define APPEND_SIZE_MAX (size_t)(1 << 20)
#define PUBLISH_SIZE_MAX (size_t)(64 << 20)
#define LATE_CALLS_MAX 40
#define DELAY_POLLS_MAX 12
#define DELAY_US 5000 // each, when it is waited for
#define ANSWER_US_MAX (5 * BR_US_PER_SECOND)

struct sim_log {
    struct br_log base;
    struct br_sim *sim;
    bool faulty, crashed, woken;
    bool by_control; // its calls are questions (simulated_control.c), with their faults
    uint64_t calls;
    uint64_t crash_call; // 0: never
    struct sim_reader *readers;
    // the outstanding append
    enum br_append_result append_result;
    bool append_refused;
    uint64_t append_sequence;
    uint32_t append_polls; // left until the reply is there
};

struct sim_reader {
    struct br_reader base;
    struct sim_log *log;
    struct sim_stream *stream;
    struct br_wall_time created;
    char *filter;
    uint64_t next; // all before it has been shown or doesn't match
    uint64_t stop; // 0: none
    bool from_beginning;
    bool replaced; // br_reader_open_replaced
    bool caught_up;
    uint64_t looks, restarts; // the number of this look at the stream; restarts of the server it has seen
    bool doubted;             // since this look (log.h, L6)
    size_t shown_max;         // four times as much when it is asked for again before anything was consumed
    bool asked;
    uint64_t counted_to, counted; // matching messages in next … counted_to - 1
    struct br_window window;
    struct sim_reader *next_reader;
};

// --- the sim

static const struct br_sim *sim_of_clock(const struct br_clock *clock) {
    return (const struct br_sim *)(const void *)clock; // its first member
}
static struct br_wall_time sim_wall(const struct br_clock *clock) {
    return (struct br_wall_time){sim_wall_us(sim_of_clock(clock))};
}
static struct br_mono_time sim_mono(const struct br_clock *clock) {
    return (struct br_mono_time){sim_of_clock(clock)->mono_us};
}

struct br_sim *br_sim_create(const struct br_sim_faults *faults) {
    struct br_sim *sim = br_calloc(1, sizeof *sim);
    sim->clock = (struct br_clock){sim_wall, sim_mono};
    sim->mono_us = SIM_START_US;
    sim->arena = br_arena_create();
    if (faults != NULL)
        br_sim_set_faults(sim, faults);
    return sim;
}

void br_sim_destroy(struct br_sim **sim_ptr) {
    struct br_sim *sim = *sim_ptr;
    if (sim == NULL)
        return;
    for (size_t i = 0; i < sim->stream_count; i++)
        br_sim_stream_destroy(sim->streams[i]);
    free(sim->streams);
    free(sim->late);
    BR_CHECK(sim->controls == NULL);
    br_arena_destroy(&sim->arena);
    free(sim);
    *sim_ptr = NULL;
}

void br_sim_set_faults(struct br_sim *sim, const struct br_sim_faults *faults) {
    if (faults->seed != sim->faults.seed)
        sim->random = faults->seed;
    sim->faults = *faults;
}

const struct br_clock *br_sim_clock(struct br_sim *sim) {
    return &sim->clock;
}

void br_sim_set_wall(struct br_sim *sim, struct br_wall_time now) {
    if (now.us > sim_wall_us(sim) || !sim->touched)
        sim->mono_us = now.us - sim->skew_us;
}

void br_sim_jump(struct br_sim *sim, int64_t by_us) {
    sim->skew_us += by_us;
    if (by_us < 0)
        sim->last_stored_us += by_us;
}

void br_sim_on_idle(struct br_sim *sim, void (*step)(void *context), void *context) {
    sim->idle = step;
    sim->idle_context = context;
}

enum br_status br_sim_add_stream(struct br_sim *sim, const char *name, const char *const *subjects,
                                 size_t subject_count, struct br_error *error) {
    struct sim_stream *stream;
    BR_TRY(br_sim_stream_add(sim, name, subjects, subject_count, &stream, error));
    stream->allow_atomic = true;
    return BR_OK;
}

// SplitMix64 (Steele, Lea, Flood 2014).
uint64_t br_sim_draw(struct br_sim *sim) {
    uint64_t z = sim->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint32_t of_control(const struct sim_log *log, uint32_t permille) {
    return log->by_control ? permille : 0;
}

static bool chance(struct sim_log *log, uint32_t permille) {
    return log->faulty && permille != 0 && br_sim_draw(log->sim) % 1000 < permille;
}

static void land_late(struct br_sim *sim) {
    size_t kept = 0;
    for (size_t i = 0; i < sim->late_count; i++) {
        struct sim_late *late = &sim->late[i];
        if (late->due_call <= sim->calls)
            (void)br_sim_stream_append(sim, late->stream, late->messages, late->count, late->expected_sequence);
        else
            sim->late[kept++] = *late;
    }
    sim->late_count = kept;
}

// --- one call

// False when the connection has crashed, now or before.
static bool step(struct sim_log *log) {
    log->sim->calls++;
    log->calls++;
    if (log->sim->late_count != 0)
        land_late(log->sim);
    if (log->crash_call == log->calls || chance(log, log->sim->faults.crash))
        log->crashed = true;
    return !log->crashed;
}

static enum br_status begin_call(struct sim_log *log, struct br_error *error) {
    if (!step(log))
        return br_error_set(error, BR_FATAL, "the simulated worker has crashed (call %llu)",
                            (unsigned long long)log->calls);
    return BR_OK;
}

static enum br_status no_answer(struct sim_log *log, struct br_error *error) {
    log->sim->mono_us += ANSWER_US_MAX;
    return br_error_set(error, BR_RETRY, "no answer from the simulated server (call %llu)",
                        (unsigned long long)log->calls);
}

static enum br_status begin_refusable_call(struct sim_log *log, struct br_error *error) {
    BR_TRY(begin_call(log, error));
    if (chance(log, log->sim->faults.refuse))
        return br_error_set(error, BR_RETRY, "the simulated server refuses (call %llu)",
                            (unsigned long long)log->calls);
    if (chance(log, of_control(log, log->sim->faults.lose_request)))
        return no_answer(log, error);
    return BR_OK;
}

// What was asked is done; whoever asked may not hear of it.
static enum br_status end_question(struct sim_log *log, struct br_error *error) {
    return chance(log, of_control(log, log->sim->faults.cut_answer)) ? no_answer(log, error) : BR_OK;
}

static struct sim_log *sim_log(struct br_log *log) {
    return (struct sim_log *)(void *)log;
}
static struct sim_reader *sim_reader(struct br_reader *reader) {
    return (struct sim_reader *)(void *)reader;
}

bool br_sim_crashed(const struct br_log *log) {
    return ((const struct sim_log *)(const void *)log)->crashed;
}
void br_sim_crash_at(struct br_log *log, uint64_t call) {
    sim_log(log)->crash_call = call == 0 ? 0 : sim_log(log)->calls + call;
}
uint64_t br_sim_calls(const struct br_log *log) {
    return ((const struct sim_log *)(const void *)log)->calls;
}

// --- streams

static enum br_status require_stream(struct sim_log *log, const char *name, struct sim_stream **ret_stream,
                                     struct br_error *error) {
    *ret_stream = br_sim_stream_find(log->sim, name);
    if (*ret_stream == NULL)
        return br_error_set(error, BR_FATAL, "there is no stream %s", name);
    return BR_OK;
}

static enum br_status sim_find_stream(struct br_log *base, const char *named, const char *subject,
                                      struct br_stream_info *ret_info, struct br_error *error) {
    if (named != NULL)
        return br_log_stream_info(base, named, ret_info, error);
    struct sim_log *log = sim_log(base);
    BR_TRY(begin_refusable_call(log, error));
    const struct sim_stream *found = NULL;
    for (size_t i = 0; i < log->sim->stream_count; i++) {
        const struct sim_stream *stream = log->sim->streams[i];
        bool holds = false;
        for (size_t j = 0; j < stream->subject_count; j++)
            holds = holds || br_subject_overlaps(br_slice_of(stream->subjects[j]), br_slice_of(subject));
        if (holds && found != NULL)
            return br_error_set(error, BR_FATAL,
                                "several streams hold the subject '%s': %s and %s; name a narrower one", subject,
                                found->name, stream->name);
        if (holds)
            found = stream;
    }
    if (found == NULL)
        return br_log_no_stream_error(subject, error);
    br_sim_stream_describe(found, ret_info);
    return BR_OK;
}

static enum br_status sim_stream_info(struct br_log *base, const char *name, struct br_stream_info *ret_info,
                                      struct br_error *error) {
    struct sim_stream *stream;
    BR_TRY(begin_refusable_call(sim_log(base), error));
    BR_TRY(require_stream(sim_log(base), name, &stream, error));
    BR_TRY(end_question(sim_log(base), error));
    br_sim_stream_describe(stream, ret_info);
    return BR_OK;
}

static enum br_status ensure_stream(struct sim_log *log, const char *name, const char *const *subjects, size_t count,
                                    struct sim_stream **ret_stream, struct br_error *error) {
    *ret_stream = br_sim_stream_find(log->sim, name);
    return *ret_stream == NULL ? br_sim_stream_add(log->sim, name, subjects, count, ret_stream, error)
                               : br_sim_stream_widen(log->sim, *ret_stream, subjects, count, error);
}

static enum br_status sim_ensure_output(struct br_log *base, const char *name, const struct br_output_options *options,
                                        struct br_stream_info *ret_info, struct br_error *error) {
    struct sim_stream *stream;
    BR_TRY(begin_refusable_call(sim_log(base), error));
    BR_TRY(ensure_stream(sim_log(base), name, options->subjects, options->subject_count, &stream, error));
    stream->allow_atomic = true;
    if (options->replicas != 0)
        stream->replicas = options->replicas;
    br_sim_stream_describe(stream, ret_info);
    return BR_OK;
}

static enum br_status sim_ensure_input(struct br_log *base, const char *name, const char *subject,
                                       struct br_error *error) {
    struct sim_stream *stream;
    BR_TRY(begin_refusable_call(sim_log(base), error));
    for (size_t i = 0; i < sim_log(base)->sim->stream_count; i++) {
        stream = sim_log(base)->sim->streams[i];
        for (size_t j = 0; j < stream->subject_count; j++)
            if (br_subject_covers(br_slice_of(stream->subjects[j]), br_slice_of(subject)))
                return BR_OK;
    }
    BR_TRY(ensure_stream(sim_log(base), name, &subject, 1, &stream, error));
    return end_question(sim_log(base), error);
}

static enum br_status sim_ensure_bucket(struct br_log *base, const char *bucket, int replicas, struct br_error *error) {
    struct sim_log *log = sim_log(base);
    struct sim_stream *stream;
    char name[300], keys[300];
    const char *subjects[] = {keys};
    BR_TRY(begin_refusable_call(log, error));
    snprintf(name, sizeof name, "KV_%s", bucket);
    snprintf(keys, sizeof keys, "$KV.%s.>", bucket);
    if (br_sim_stream_find(log->sim, name) != NULL)
        return BR_OK;
    BR_TRY(br_sim_stream_add(log->sim, name, subjects, 1, &stream, error));
    stream->replicas = replicas == 0 ? 1 : replicas;
    stream->max_per_subject = 1;
    return end_question(log, error);
}

static enum br_status sim_purge(struct br_log *base, const char *name, const char *subject, struct br_error *error) {
    struct sim_stream *stream;
    BR_TRY(begin_refusable_call(sim_log(base), error));
    BR_TRY(require_stream(sim_log(base), name, &stream, error));
    br_sim_stream_purge(stream, br_slice_of(subject));
    return end_question(sim_log(base), error);
}

static enum br_status sim_get(struct br_log *base, const char *name, const char *subject, uint64_t sequence,
                              struct br_buffer *copy, struct br_log_message *ret_message, bool *ret_found,
                              struct br_error *error) {
    struct sim_stream *stream;
    BR_TRY(begin_refusable_call(sim_log(base), error));
    BR_TRY(require_stream(sim_log(base), name, &stream, error));
    const struct br_log_message *message = sequence == 0 ? br_sim_stream_last(stream, br_slice_of(subject))
                                           : subject == NULL
                                               ? br_sim_stream_get(stream, sequence)
                                               : br_sim_stream_next(stream, br_slice_of(subject), sequence);
    BR_TRY(end_question(sim_log(base), error));
    *ret_found = message != NULL;
    if (message != NULL)
        br_log_message_copy(message, copy, ret_message);
    return BR_OK;
}

// --- appending

static size_t wire_size(const struct br_log_message *message) {
    size_t size = message->payload.len;
    for (uint32_t i = 0; i < message->header_count; i++)
        size += message->headers[i].name.len + message->headers[i].value.len + 4; // ": " and line end
    return size;
}

static enum br_status check_outgoing(const struct sim_stream *stream, const struct br_log_message *message,
                                     struct br_error *error) {
    int len = (int)message->subject.len;
    const char *subject = (const char *)message->subject.ptr;
    if (wire_size(message) > APPEND_SIZE_MAX)
        return br_error_set(error, BR_FATAL, "a message of %zu bytes on '%.*s' is larger than the server takes (%zu)",
                            wire_size(message), len, subject, APPEND_SIZE_MAX);
    bool held = br_subject_valid(message->subject, false);
    for (size_t i = 0; held && i < stream->subject_count; i++)
        if (br_subject_matches(br_slice_of(stream->subjects[i]), message->subject))
            return BR_OK;
    return br_error_set(error, BR_FATAL, "stream %s doesn't hold the subject '%.*s'", stream->name, len, subject);
}

static void keep_late(struct sim_log *log, struct sim_stream *stream, const struct br_log_message *messages,
                      size_t count, uint64_t expected_sequence) {
    struct br_sim *sim = log->sim;
    sim->late = br_realloc(sim->late, (sim->late_count + 1) * sizeof *sim->late);
    sim->late[sim->late_count++] = (struct sim_late){
        .stream = stream,
        .messages = br_sim_messages_copy(sim, messages, count),
        .count = count,
        .expected_sequence = expected_sequence,
        .due_call = sim->calls + 1 + br_sim_draw(sim) % LATE_CALLS_MAX,
    };
}

// What becomes of the batch is settled when it is sent; the sender learns it when it asks.
static void settle_append(struct sim_log *log, struct sim_stream *stream, const struct br_log_message *messages,
                          size_t count, uint64_t expected_sequence) {
    const struct br_sim_faults *faults = &log->sim->faults;
    log->append_result = BR_APPEND_UNKNOWN;
    log->append_polls = chance(log, faults->delay) ? (uint32_t)(br_sim_draw(log->sim) % (DELAY_POLLS_MAX + 1)) : 0;
    log->append_refused = chance(log, faults->refuse);
    if (log->append_refused || chance(log, faults->lose_batch + of_control(log, faults->lose_request)))
        return;
    if (chance(log, faults->late_batch + of_control(log, faults->late_request))) {
        keep_late(log, stream, messages, count, expected_sequence);
        return;
    }
    bool landed = br_sim_stream_append(log->sim, stream, messages, count, expected_sequence);
    log->append_sequence = stream->last_sequence;
    if (!chance(log, faults->lose_ack + of_control(log, faults->cut_answer)))
        log->append_result = landed ? BR_APPEND_DONE : BR_APPEND_FENCED;
}

static enum br_status sim_append(struct br_log *base, const char *name, const struct br_log_message *messages,
                                 size_t count, uint64_t expected_sequence, struct br_error *error) {
    struct sim_log *log = sim_log(base);
    struct sim_stream *stream;
    BR_TRY(begin_refusable_call(log, error));
    BR_TRY(require_stream(log, name, &stream, error));
    if (count > 1 && !stream->allow_atomic)
        return br_error_set(error, BR_FATAL, "stream %s doesn't allow atomic batches (allow_atomic)", name);
    for (size_t i = 0; i < count; i++)
        BR_TRY(check_outgoing(stream, &messages[i], error));
    settle_append(log, stream, messages, count, expected_sequence);
    return BR_OK;
}

static bool sim_append_ready(struct br_log *base) {
    struct sim_log *log = sim_log(base);
    if (!step(log))
        return true; // br_log_append_wait tells
    if (log->append_polls == 0)
        return true;
    log->append_polls--;
    return false;
}

static enum br_status sim_append_wait(struct br_log *base, enum br_append_result *ret_result, uint64_t *ret_sequence,
                                      struct br_error *error) {
    struct sim_log *log = sim_log(base);
    BR_TRY(begin_call(log, error));
    log->sim->mono_us += (int64_t)log->append_polls * DELAY_US; // what wasn't asked for meanwhile is waited for
    log->append_polls = 0;
    if (log->append_refused)
        return br_error_set(error, BR_RETRY, "the simulated server refused the batch");
    *ret_result = log->append_result;
    if (log->append_result == BR_APPEND_UNKNOWN)
        br_error_set(error, BR_RETRY, "the simulated server doesn't say what became of the batch");
    if (log->append_result == BR_APPEND_DONE)
        *ret_sequence = log->append_sequence;
    return BR_OK;
}

static enum br_status sim_publish(struct br_log *base, const struct br_log_message *message, struct br_error *error) {
    struct sim_log *log = sim_log(base);
    BR_TRY(begin_refusable_call(log, error));
    struct sim_stream *stream = br_sim_stream_of_subject(log->sim, message->subject);
    if (stream == NULL) {
        char subject[256];
        snprintf(subject, sizeof subject, "%.*s", (int)message->subject.len, (const char *)message->subject.ptr);
        return br_log_no_stream_error(subject, error);
    }
    if (wire_size(message) > PUBLISH_SIZE_MAX)
        return br_error_set(error, BR_FATAL, "a message of %zu bytes is larger than the server takes (%zu)",
                            wire_size(message), PUBLISH_SIZE_MAX);
    br_sim_stream_store(log->sim, stream, message);
    return BR_OK;
}

static enum br_status sim_publish_flush(struct br_log *base, struct br_error *error) {
    return begin_call(sim_log(base), error);
}

// --- reading

static void sim_reader_close(struct br_reader *base) {
    struct sim_reader *reader = sim_reader(base);
    struct sim_reader **at = &reader->log->readers;
    while (*at != reader)
        at = &(*at)->next_reader;
    *at = reader->next_reader;
    br_window_free(&reader->window, NULL, NULL);
    free(reader->filter);
    free(reader);
}

static uint64_t reader_end(const struct sim_reader *reader) {
    uint64_t last = reader->stream->last_sequence;
    return reader->stop != 0 && reader->stop < last ? reader->stop : last;
}

static bool reader_wants(const struct sim_reader *reader, uint64_t sequence) {
    return br_subject_matches(br_slice_of(reader->filter), reader->stream->slots[sequence - 1].message.subject);
}

// Moves next to the next message for this reader; false when there is none (yet).
static bool reader_seek(struct sim_reader *reader) {
    uint64_t end = reader_end(reader);
    while (reader->next <= end && (reader->stream->slots[reader->next - 1].gone || !reader_wants(reader, reader->next)))
        reader->next++;
    return reader->next <= end;
}

// Nothing is missed of what was replaced, where nothing else is dropped.
static bool misses_nothing(const struct br_stream_info *info, bool replaced) {
    return replaced && info->max_per_subject != 0 && info->max_messages == 0 && info->max_age_us == 0;
}

// The stream must still be the one that was opened and hold what this reader hasn't seen.
static enum br_status check_stream(struct sim_reader *reader, struct br_error *error) {
    struct br_stream_info info;
    br_sim_stream_describe(reader->stream, &info);
    BR_TRY(br_log_check_same(&info, reader->created, error));
    if (reader->from_beginning && reader->window.end == 0 && reader->next <= 1)
        reader->next = reader->next < info.first_sequence ? info.first_sequence : reader->next;
    reader->from_beginning = false;
    uint64_t next = reader->next;
    if (misses_nothing(&info, reader->replaced) && next < info.first_sequence)
        next = info.first_sequence;
    while (next < info.first_sequence && next <= info.last_sequence && !reader_wants(reader, next))
        next++; // purged, but not ours
    reader->next = next;
    return br_log_check_position(&info, next, error);
}

static size_t shown_max(const struct sim_log *log) {
    return log->sim->faults.shown_max == 0 ? READER_SHOWN_MAX : log->sim->faults.shown_max;
}

// The server has been away: what comes from now on may come from another past.
static void look_again(struct sim_reader *reader) {
    if (reader->restarts == reader->stream->restarts)
        return;
    reader->restarts = reader->stream->restarts;
    reader->looks++;
    reader->doubted = true;
}

static bool sim_reader_doubt(struct br_reader *base, struct br_reader_doubt *ret_doubt) {
    const struct sim_reader *reader = sim_reader(base);
    *ret_doubt = (struct br_reader_doubt){.number = reader->looks,
                                          .log = &reader->log->base,
                                          .stream = reader->stream->name,
                                          .filter = reader->filter,
                                          .from = reader->next};
    return reader->doubted;
}

static void sim_reader_trust(struct br_reader *base, uint64_t number) {
    struct sim_reader *reader = sim_reader(base);
    if (reader->looks == number)
        reader->doubted = false;
}

static enum br_status sim_reader_peek(struct br_reader *base, const struct br_log_message **ret_messages,
                                      size_t *ret_count, struct br_error *error) {
    struct sim_reader *reader = sim_reader(base);
    struct sim_log *log = reader->log;
    BR_TRY(begin_call(log, error));
    BR_TRY(check_stream(reader, error));
    look_again(reader);
    if (reader->doubted && base->proves) {
        *ret_messages = reader->window.items + reader->window.consumed;
        *ret_count = br_window_shown(&reader->window);
        reader->caught_up = false;
        return BR_OK;
    }
    bool delayed = chance(log, log->sim->faults.delay);
    if (reader->asked && br_window_shown(&reader->window) >= reader->shown_max)
        reader->shown_max = 4 * shown_max(log);
    reader->asked = true;
    uint64_t room = reader->shown_max - br_window_shown(&reader->window);
    if (delayed && room > DELAY_POLLS_MAX)
        room = br_sim_draw(log->sim) % (DELAY_POLLS_MAX + 1);
    bool more = reader_seek(reader);
    uint64_t shown = 0;
    for (; more && shown < room; shown++) {
        *br_window_push(&reader->window) = reader->stream->slots[reader->next - 1].message;
        if (reader->counted_to > reader->next)
            reader->counted--;
        reader->next++;
        more = reader_seek(reader);
    }
    // A delayed reader that saw nothing new knows nothing new.
    if (!delayed || shown != 0)
        reader->caught_up = !more;
    *ret_messages = reader->window.items + reader->window.consumed;
    *ret_count = br_window_shown(&reader->window);
    return BR_OK;
}

static void sim_reader_consume(struct br_reader *base, size_t count) {
    struct sim_reader *reader = sim_reader(base);
    br_window_consume(&reader->window, count);
    reader->asked = count == 0;
    if (br_window_shown(&reader->window) <= shown_max(reader->log))
        reader->shown_max = shown_max(reader->log);
}

static void sim_reader_release(struct br_reader *base) {
    br_window_release(&sim_reader(base)->window, NULL, NULL);
}

static bool sim_reader_caught_up(struct br_reader *base) {
    return sim_reader(base)->caught_up;
}

static uint64_t sim_reader_pending(struct br_reader *base) {
    struct sim_reader *reader = sim_reader(base);
    if (reader->counted_to < reader->next) {
        reader->counted_to = reader->next;
        reader->counted = 0;
    }
    uint64_t end = reader_end(reader);
    for (; reader->counted_to <= end; reader->counted_to++)
        if (!reader->stream->slots[reader->counted_to - 1].gone && reader_wants(reader, reader->counted_to))
            reader->counted++;
    return br_window_shown(&reader->window) + reader->counted;
}

static uint64_t sim_reader_covered(struct br_reader *base) {
    return sim_reader(base)->next - 1;
}

static const struct br_reader_ops reader_ops = {
    .close = sim_reader_close,
    .peek = sim_reader_peek,
    .consume = sim_reader_consume,
    .release = sim_reader_release,
    .caught_up = sim_reader_caught_up,
    .pending = sim_reader_pending,
    .covered = sim_reader_covered,
    .doubt = sim_reader_doubt,
    .trust = sim_reader_trust,
};

static enum br_status sim_reader_open(struct br_log *base, const char *name, const char *filter,
                                      uint64_t first_sequence, uint64_t stop_sequence, bool replaced,
                                      struct br_reader **ret_reader, struct br_error *error) {
    struct sim_log *log = sim_log(base);
    struct sim_stream *stream;
    BR_TRY(begin_refusable_call(log, error));
    BR_TRY(require_stream(log, name, &stream, error));
    struct br_stream_info info;
    br_sim_stream_describe(stream, &info);
    if (!misses_nothing(&info, replaced) || first_sequence > info.first_sequence)
        BR_TRY(br_log_check_position(&info, first_sequence, error));
    struct sim_reader *reader = br_calloc(1, sizeof *reader);
    reader->base.ops = &reader_ops;
    reader->base.window = &reader->window;
    reader->log = log;
    reader->stream = stream;
    reader->created = stream->created;
    reader->restarts = stream->restarts;
    reader->doubted = true;
    reader->shown_max = shown_max(log);
    reader->filter = br_strdup(filter);
    reader->next = reader->counted_to = first_sequence == 0 ? 1 : first_sequence;
    reader->from_beginning = first_sequence <= 1;
    reader->replaced = replaced;
    reader->stop = stop_sequence;
    reader->next_reader = log->readers;
    log->readers = reader;
    *ret_reader = &reader->base;
    return BR_OK;
}

static bool anything_new(struct sim_log *log) {
    if (log->woken || (log->base.appending && log->append_polls == 0))
        return true;
    for (struct sim_reader *reader = log->readers; reader != NULL; reader = reader->next_reader) {
        bool changed = reader->created.us != reader->stream->created.us ||
                       reader->stream->first_sequence > reader->next ||
                       reader->stream->last_sequence + 1 < reader->next;
        if (changed || (br_window_shown(&reader->window) < reader->shown_max && reader_seek(reader)))
            return true;
    }
    return false;
}

static void sim_wait(struct br_log *base, int64_t timeout_us) {
    struct sim_log *log = sim_log(base);
    if (!step(log))
        return;
    if (!anything_new(log)) {
        int64_t most = base->appending ? APPEND_STEP_US : WAIT_STEP_US_MAX;
        int64_t by = timeout_us < most ? timeout_us : most;
        log->sim->mono_us += by > 0 ? by : 0;
        log->append_polls = 0;
    }
    log->woken = false;
}

static void sim_pause(struct br_log *base, int64_t us) {
    struct sim_log *log = sim_log(base);
    if (step(log))
        log->sim->mono_us += us;
}

static void sim_wake(struct br_log *base) {
    sim_log(base)->woken = true;
}

static size_t sim_payload_max(struct br_log *base) {
    (void)base;
    return APPEND_SIZE_MAX;
}

static void sim_close(struct br_log *base) {
    struct sim_log *log = sim_log(base);
    BR_CHECK(log->readers == NULL);
    free(log);
}

struct br_log *br_sim_connect(struct br_sim *sim, bool faulty) {
    static const struct br_log_ops ops = {
        .find_stream = sim_find_stream,
        .stream_info = sim_stream_info,
        .ensure_output = sim_ensure_output,
        .ensure_input = sim_ensure_input,
        .purge = sim_purge,
        .ensure_bucket = sim_ensure_bucket,
        .get = sim_get,
        .append = sim_append,
        .append_ready = sim_append_ready,
        .append_wait = sim_append_wait,
        .publish = sim_publish,
        .publish_flush = sim_publish_flush,
        .reader_open = sim_reader_open,
        .wait = sim_wait,
        .pause = sim_pause,
        .wake = sim_wake,
        .payload_max = sim_payload_max,
        .close = sim_close,
    };
    struct sim_log *log = br_calloc(1, sizeof *log);
    log->base.ops = &ops;
    log->sim = sim;
    log->faulty = faulty;
    return &log->base;
}

struct br_log *br_sim_connect_control(struct br_sim *sim, bool faulty) {
    struct br_log *log = br_sim_connect(sim, faulty);
    sim_log(log)->by_control = true;
    return log;
}
