// SPDX-License-Identifier: Apache-2.0
// The log: what a task reads its input from and commits to. JetStream is one implementation, the simulator the other.
//
// L1. An append is one atomic batch on one stream: all of its messages become visible, contiguous and in order, or none
//     does.
//
// L2. The append is fenced: it lands only if the last message on the fence subject has the expected sequence (0: none).
//     The fence subject is that of the batch's last message (earlier ones may have it too). Other messages of the batch
//     can carry a fence for their own subjects (`fenced`). All fences are judged against the stream as it was before
//     the batch. A miss of any is told as BR_APPEND_FENCED and nothing is written.
//
// L3. When the outcome of an append can't be known (lost ack, leader change, connection lost), it is BR_APPEND_UNKNOWN:
//     the caller reads the fence (br_log_last) and decides. A batch is never sent twice by the implementation itself.
//     It may land later than the fence was read: the append that is tried then can be fenced off by it.
//
// L4. br_log_last is answered by the stream's leader.
//
// L5. A reader gives the messages of one stream that match a filter, in sequence order, each once, and notices gaps by
//     itself (it starts again at the last sequence + 1); it never skips silently: when the stream no longer has the
//     message it must read next, it fails with BR_FATAL naming the missing sequences.
//
// L6. A reader that knows what was read before (br_reader_prove) shows nothing that came by a new look at the stream
//     before it is proven that the stream still holds what was read (trail.h): a stream that went back and was filled
//     up again is BR_FATAL (native: BR_LOG_CHANGED).
//
// Two planes (ADR 2) reach a server, and not all of this is of both: who asks the wrong one has a mistake in the
// program.
//
//                                  data (jetstream.h)   control (control.h)
//   find_stream, stream_info       yes                  yes
//   last, get, next                yes                  yes
//   ensure_output                  yes                  -
//   ensure_input, ensure_bucket    -                    yes
//   purge, publish                 -                    yes
//   append                         batches              one message
//   readers                        in bulk              step by step
//
// A struct br_log belongs to one thread; the implementation's own threads meet it at bounded queues. Messages are
// borrowed until br_reader_release.
#ifndef BR_PROCESSOR_LOG_LOG_H
#define BR_PROCESSOR_LOG_LOG_H

#include "base/bytes.h"
#include "base/time.h"

#define BR_LOG_BATCH_MESSAGES_MAX 1000 // the server's default limit of an atomic batch
#define BR_LOG_HEADERS_MAX 12

struct br_log_header {
    struct br_slice name; // of an outgoing message: a literal or memory that lives as long as the message
    struct br_slice value;
};

// Incoming: everything borrowed from the reader. Outgoing (append): borrowed from the caller until br_log_append_wait
// has returned.
struct br_log_message {
    struct br_slice subject;
    struct br_slice payload;
    const struct br_log_header *headers;
    uint32_t header_count;
    bool fenced;                   // outgoing, not for the last of a batch: its subject is fenced too (L2), and is
    uint64_t expected_sequence;    // that of no earlier message of the batch. Incoming: br_log_message_fenced
    uint64_t sequence;             // incoming only
    struct br_wall_time timestamp; // incoming only: when the stream stored it
    void *raw;                     // the implementation's own
};

// Looks a header up by name (case-sensitive, as NATS has it); false when absent.
bool br_log_message_header(const struct br_log_message *message, const char *name, struct br_slice *ret_value);
// Does an incoming message bear the mark of an append (a fence, or a batch)? A plain publish has none. Nor has an
// appended message that a mirror or a source copied: servers drop it there.
bool br_log_message_fenced(const struct br_log_message *message);

struct br_stream_info {
    char name[256];
    struct br_wall_time created; // a stream made anew is another stream
    uint64_t first_sequence, last_sequence, message_count;
    uint64_t bytes; // that its messages take there
    int replicas;
    bool allow_atomic;
    // Limits beyond which the oldest messages are dropped; 0: none.
    int64_t max_age_us;
    uint64_t max_bytes, max_messages;
    uint64_t max_per_subject; // messages kept of each subject; 0: all
    enum br_retention { BR_RETENTION_LIMITS, BR_RETENTION_INTEREST, BR_RETENTION_WORK_QUEUE } retention;
};

// One message of a stream, so that it is known again.
struct br_fingerprint {
    uint64_t sequence; // 0: none
    int64_t time_us;   // when the stream stored it
    uint64_t hash;     // of subject, headers and payload; 0: not known
    char subject[256]; // empty: not known, or longer
};
#define BR_TRAIL_MAX 16
#define BR_TRAIL_YOUNGEST_UNKNOWN INT64_MAX
// What was read of a stream (trail.h).
struct br_trail {
    uint64_t read_to;    // the last message consumed, or what lies before the first that is of interest
    int64_t youngest_us; // the latest time at which any message that was consumed had been stored
    uint32_t count;
    struct br_fingerprint marks[BR_TRAIL_MAX]; // by sequence, the newest last
};

enum br_append_result { BR_APPEND_DONE, BR_APPEND_FENCED, BR_APPEND_UNKNOWN };

struct br_log;
struct br_reader;

// Is it worth another try, later? Permissions are given to a user while the worker runs.
static inline bool br_log_may_pass(enum br_status status, const struct br_error *error) {
    return status == BR_RETRY || (status == BR_FATAL && error->native == BR_LOG_NOT_PERMITTED);
}

struct br_output_options {
    const char *const *subjects;
    size_t subject_count;
    int replicas; // 0: 1
    bool memory;  // memory storage instead of file
};

// --- streams
// The stream that holds `subject` (a filter, wildcards allowed), or can: the one named, or (named NULL) the one that
// listens to it, or else, of mirrors and the like, the one that has a message on it. BR_FATAL: none does (names the
// subject, tells how to make one), several do, or the one named can't.
enum br_status br_log_find_stream(struct br_log *log, const char *named, const char *subject,
                                  struct br_stream_info *ret_info, struct br_error *error) BR_MUST_CHECK;
enum br_status br_log_stream_info(struct br_log *log, const char *stream, struct br_stream_info *ret_info,
                                  struct br_error *error) BR_MUST_CHECK; // BR_FATAL when there is no such stream
// Makes the output stream (allow_atomic, allow_msg_ttl, allow_direct, deny_delete false) or widens the subjects of the
// one that is there; never narrows.
enum br_status br_log_ensure_output(struct br_log *log, const char *stream, const struct br_output_options *options,
                                    struct br_stream_info *ret_info, struct br_error *error) BR_MUST_CHECK;
// Makes an input stream when there is none that holds the subject (publish --create, --dev, tests).
enum br_status br_log_ensure_input(struct br_log *log, const char *stream, const char *subject, struct br_error *error)
    BR_MUST_CHECK;
// Makes a key-value bucket as NATS' own tools do, when there is none: the stream KV_<bucket>, subjects $KV.<bucket>.>,
// which keeps one message per subject. A key is written by br_log_append of one message (compare-and-set: expected 0
// makes it, the sequence of its last message changes it), read by br_log_last, and all keys by a reader.
enum br_status br_log_ensure_bucket(struct br_log *log, const char *bucket, int replicas, struct br_error *error)
    BR_MUST_CHECK;
// Removes the messages of a subject (wildcards allowed) from a stream: a lineage's commits, when it is dropped.
enum br_status br_log_purge(struct br_log *log, const char *stream, const char *subject, struct br_error *error)
    BR_MUST_CHECK;
// The last message on a subject, copied into `copy` (subject, headers, payload point there). *ret_found false when
// there is none.
enum br_status br_log_last(struct br_log *log, const char *stream, const char *subject, struct br_buffer *copy,
                           struct br_log_message *ret_message, bool *ret_found, struct br_error *error) BR_MUST_CHECK;
// One message by its sequence, the same way (quarantine show).
enum br_status br_log_get(struct br_log *log, const char *stream, uint64_t sequence, struct br_buffer *copy,
                          struct br_log_message *ret_message, bool *ret_found, struct br_error *error) BR_MUST_CHECK;
// The first message with sequence >= `from` on a subject (a filter), the same way: steps over what is deleted.
enum br_status br_log_next(struct br_log *log, const char *stream, const char *subject, uint64_t from,
                           struct br_buffer *copy, struct br_log_message *ret_message, bool *ret_found,
                           struct br_error *error) BR_MUST_CHECK;

// --- appending
// Sends one atomic batch of count messages (1..1000; one message goes as a plain fenced publish). The last carries the
// fence check: its own subject must have expected_sequence as its last sequence. Returns without waiting for the reply;
// one append at a time.
enum br_status br_log_append(struct br_log *log, const char *stream, const struct br_log_message *messages,
                             size_t count, uint64_t expected_sequence, struct br_error *error) BR_MUST_CHECK;
// Has the reply of the outstanding append arrived (or its time run out)? Never blocks.
bool br_log_append_ready(struct br_log *log);
// Waits for it. On BR_APPEND_DONE *ret_sequence is the stream sequence of the batch's last message. BR_RETRY only for
// faults that surely left nothing behind (no connection when sending began); what is unknown is told as
// BR_APPEND_UNKNOWN, with the reason in *error, and BR_OK.
enum br_status br_log_append_wait(struct br_log *log, enum br_append_result *ret_result, uint64_t *ret_sequence,
                                  struct br_error *error) BR_MUST_CHECK;
// A plain acknowledged publish, for feeding inputs (braid publish, demo, tests): keeps up to a window of unacked
// messages in flight; flush waits for all.
enum br_status br_log_publish(struct br_log *log, const struct br_log_message *message, struct br_error *error)
    BR_MUST_CHECK;
enum br_status br_log_publish_flush(struct br_log *log, struct br_error *error) BR_MUST_CHECK;

// --- reading
// Messages with sequence >= first_sequence on `stream` that match `filter`. stop_sequence 0: for ever.
// A first_sequence below the stream's first (unless it is 1 or 0: "the beginning", whatever is there) or more than one
// above its last is BR_FATAL and names the missing range (L5). A message deleted singly (by an operator, a TTL, a limit
// per subject) is not missed: nobody can tell it from one that never matched.
enum br_status br_reader_open(struct br_log *log, const char *stream, const char *filter, uint64_t first_sequence,
                              uint64_t stop_sequence, struct br_reader **ret_reader, struct br_error *error)
    BR_MUST_CHECK;
// Tells a reader that was just opened what was read of the stream before; from now on it notes what is consumed, and
// proves (L6). Sequences are the reader's.
void br_reader_prove(struct br_reader *reader, const struct br_trail *known);
void br_reader_close(struct br_reader **reader);
// The same for a table whose rows are replaced by newer messages of their subjects: on a stream that keeps the newest
// messages of each subject, and drops nothing else, those that were replaced before they were read aren't missed.
enum br_status br_reader_open_replaced(struct br_log *log, const char *stream, const char *filter,
                                       uint64_t first_sequence, uint64_t stop_sequence, struct br_reader **ret_reader,
                                       struct br_error *error) BR_MUST_CHECK;
// What has been received and not consumed, as one array; grows at the end as messages arrive (call again). Never
// blocks, but for the proof after a new look at the stream (L6). A stream that has lost what comes next is told of when
// all that was received before it is consumed.
enum br_status br_reader_peek(struct br_reader *reader, const struct br_log_message **ret_messages, size_t *ret_count,
                              struct br_error *error) BR_MUST_CHECK;
// The first count of them are consumed: peek no longer shows them, but their memory stays until release.
void br_reader_consume(struct br_reader *reader, size_t count);
void br_reader_release(struct br_reader *reader);
// True when, as far as is known here, the stream holds nothing more for this reader than peek shows.
bool br_reader_caught_up(struct br_reader *reader);
// Messages that the stream still holds for this reader beyond those consumed (lag), as far as is known here.
#define BR_PENDING_UNKNOWN UINT64_MAX // the stream can't be asked now
uint64_t br_reader_pending(struct br_reader *reader);
// What keeps the reader from reading, or the log from being used, though both try again by themselves; false: nothing.
bool br_reader_trouble(struct br_reader *reader, char *text, size_t size);
bool br_log_trouble(struct br_log *log, char *text, size_t size);
// The stream sequence up to which this reader has shown all there is for it: at least that of the last message shown,
// more when what follows doesn't match the filter (as far as is known here). A position may be moved there when all
// that was shown is consumed; so a stream's limits can drop what others wrote without a hole appearing for this reader.
uint64_t br_reader_covered(struct br_reader *reader);
// Blocks until a reader has something new to peek at, an append's reply is there, br_log_wake was
// called, or the timeout ends.
void br_log_wait(struct br_log *log, int64_t timeout_us);
// Blocks for this time whatever comes meanwhile; shutdown alone ends it early. Connections and readers are kept alive.
void br_log_pause(struct br_log *log, int64_t us);
// Thread: any. Ends a br_log_wait early (shutdown, another thread's request).
void br_log_wake(struct br_log *log);
// From now on this flag is `cancel`, or none is (NULL): a worker that is told to stop still waits for the answer to its
// last commit.
void br_log_set_cancel(struct br_log *log, const volatile bool *cancel);

size_t br_log_payload_max(struct br_log *log);
void br_log_close(struct br_log **log);

#endif
