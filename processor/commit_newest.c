// SPDX-License-Identifier: Apache-2.0
// See commit_newest.h. The last message nearly always is the commit: that is one look. Else a reader goes over the end
// of the stream, over more of it each time.
#include "processor/commit_newest.h"

#include "processor/task.h"

#include <inttypes.h>

#define FIRST_SPAN 256 // sequences
#define SPAN_GROWTH 16
#define PAUSE_US 2000
#define SILENT_PAUSES_MAX 2500
#define STEPS_MAX 64
#define ROUNDS_MAX 4

struct scan {
    struct br_log *log;
    const char *pipeline, *stream, *subject;
    uint64_t first; // sequence of the first message seen; 0: none
};

static enum br_status take(struct scan *scan, const struct br_log_message *message, struct br_newest_commit *newest,
                           struct br_error *error) {
    Braid__V1__Commit *commit;
    BR_TRY(br_commit_of(scan->pipeline, message, &commit, error));
    if (scan->first == 0)
        scan->first = message->sequence;
    newest->foreign++;
    if (commit == NULL)
        return BR_OK;
    br_commit_cleanup(&newest->commit);
    newest->commit = commit;
    newest->sequence = message->sequence;
    newest->foreign = 0;
    return BR_OK;
}

// The reader shows everything up to newest->last.
static enum br_status read_to_last(struct scan *scan, struct br_reader *reader, struct br_newest_commit *newest,
                                   struct br_error *error) {
    unsigned silent = 0;
    for (uint64_t at = 0; at < newest->last;) {
        const struct br_log_message *messages;
        size_t count;
        BR_TRY(br_reader_peek(reader, &messages, &count, error));
        for (size_t i = 0; i < count; i++) {
            BR_TRY(take(scan, &messages[i], newest, error));
            at = messages[i].sequence;
        }
        br_reader_consume(reader, count);
        br_reader_release(reader);
        silent = count == 0 ? silent + 1 : 0;
        if (silent > SILENT_PAUSES_MAX) // it was deleted meanwhile, or nobody answers
            return br_error_set(error, BR_RETRY, "stream %s doesn't give the message at sequence %" PRIu64 " on %s",
                                scan->stream, newest->last, scan->subject);
        if (count == 0)
            br_log_pause(scan->log, PAUSE_US);
    }
    return BR_OK;
}

static enum br_status scan_from(struct scan *scan, uint64_t from, struct br_newest_commit *newest,
                                struct br_error *error) {
    struct br_reader *reader;
    br_commit_cleanup(&newest->commit);
    newest->sequence = newest->foreign = scan->first = 0;
    BR_TRY(br_reader_open(scan->log, scan->stream, scan->subject, from, newest->last, &reader, error));
    enum br_status status = read_to_last(scan, reader, newest, error);
    br_reader_close(&reader);
    if (status != BR_OK)
        br_commit_cleanup(&newest->commit);
    return status;
}

static enum br_status scan_back(struct scan *scan, struct br_newest_commit *newest, struct br_error *error) {
    struct br_stream_info info;
    BR_TRY(br_log_stream_info(scan->log, scan->stream, &info, error));
    for (uint64_t span = FIRST_SPAN;; span *= SPAN_GROWTH) {
        bool all = newest->last < info.first_sequence + span;
        BR_TRY(scan_from(scan, all ? 1 : newest->last - span + 1, newest, error));
        if (newest->commit != NULL || all)
            return BR_OK;
    }
}

enum br_status br_commit_newest(struct br_log *log, const char *pipeline, const char *subject,
                                struct br_newest_commit *ret_newest, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_newest_commit newest = {0};
    struct br_log_message last;
    char stream[256];
    bool found;
    br_task_output_stream(pipeline, stream, sizeof stream);
    struct scan scan = {.log = log, .pipeline = pipeline, .stream = stream, .subject = subject};
    BR_TRY(br_log_last(log, stream, subject, &copy, &last, &found, error));
    if (found) {
        newest.last = last.sequence;
        BR_TRY(take(&scan, &last, &newest, error));
        if (newest.commit == NULL)
            BR_TRY(scan_back(&scan, &newest, error));
    }
    *ret_newest = newest;
    return BR_OK;
}

// One by one, through the leader, as long as it isn't many. *ret_end: there are no more.
static enum br_status step_on(struct scan *scan, struct br_newest_commit *newest, uint64_t from, bool *ret_end,
                              struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_log_message message;
    bool found = true;
    for (unsigned steps = 0; found && steps < STEPS_MAX; steps++) {
        br_buffer_clear(&copy);
        BR_TRY(br_log_next(scan->log, scan->stream, scan->subject, from, &copy, &message, &found, error));
        if (!found)
            break;
        BR_TRY(take(scan, &message, newest, error));
        newest->last = message.sequence;
        from = message.sequence + 1;
    }
    *ret_end = !found;
    return BR_OK;
}

// What is too much for steps, up to what is there now.
static enum br_status read_on(struct scan *scan, struct br_newest_commit *newest, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_log_message last;
    struct br_reader *reader;
    bool found;
    uint64_t from = newest->last + 1;
    BR_TRY(br_log_last(scan->log, scan->stream, scan->subject, &copy, &last, &found, error));
    if (!found || last.sequence < from)
        return BR_OK;
    BR_TRY(br_reader_open(scan->log, scan->stream, scan->subject, from, last.sequence, &reader, error));
    newest->last = last.sequence;
    enum br_status status = read_to_last(scan, reader, newest, error);
    br_reader_close(&reader);
    return status;
}

static enum br_status go_on(struct scan *scan, struct br_newest_commit *newest, uint64_t from, struct br_error *error) {
    bool end;
    BR_TRY(step_on(scan, newest, from, &end, error));
    for (unsigned rounds = 0; !end && rounds < ROUNDS_MAX; rounds++) {
        BR_TRY(read_on(scan, newest, error));
        BR_TRY(step_on(scan, newest, newest->last + 1, &end, error));
    }
    return BR_OK;
}

enum br_status br_commit_newest_after(struct br_log *log, const char *pipeline, const char *subject, uint64_t known,
                                      struct br_newest_commit *ret_newest, struct br_error *error) {
    struct br_newest_commit newest = {0};
    struct br_stream_info info = {0};
    char stream[256];
    br_task_output_stream(pipeline, stream, sizeof stream);
    struct scan scan = {.log = log, .pipeline = pipeline, .stream = stream, .subject = subject};
    if (known == 0)
        BR_TRY(br_log_stream_info(log, stream, &info, error));
    enum br_status status = go_on(&scan, &newest, known == 0 ? 1 : known, error);
    if (status != BR_OK) {
        br_commit_cleanup(&newest.commit);
        return status;
    }
    newest.proven = known == 0 ? info.first_sequence <= 1 : scan.first == known;
    *ret_newest = newest;
    return BR_OK;
}
