// SPDX-License-Identifier: Apache-2.0
// A reader over history: imported messages, then the archive, then the stream (history.h, H1 … H4).
//
// `next` is the history's sequence from which on nothing has been shown yet. Whenever nothing is open, enter() looks
// for who has it: a segment or the stream; either is then read to its end, and `next` is behind it.
//
// Messages that are shown, or consumed and not released, belong to a holder: a decoded block, or a reader of the
// stream. A holder goes (a block back to the pool) when its last message is released.
#include "replay/history_internal.h"

#include "base/logging.h"
#include "processor/log/trail.h"

#include <inttypes.h>
#include <stdio.h>

// Beyond this no block is decoded before something is consumed. An epoch takes less, or one more message (fetch.c).
#define SHOWN_BYTES_MAX ((size_t)4 << 20)
#define SHOWN_MESSAGES_MAX ((size_t)1 << 20)
// Small messages take more memory as messages than as bytes: what most epochs need is shown, and twice as much whenever
// it is asked for again before anything was consumed.
#define SHOWN_MESSAGES_FIRST ((size_t)1 << 16)
#define ENTER_TRIES_MAX 8

struct holder {
    struct holder *next; // in the pool
    struct br_block block;
    struct br_reader *stream; // NULL: a block
    bool retired;             // a reader that is not read from any more
    size_t left;              // messages not yet released
};

struct history_reader {
    struct br_reader base;
    const struct br_history *history;
    struct br_log *log;
    const struct br_table *table;
    struct br_stream_info stream; // as it was when this reader was opened
    char *filter;
    uint64_t prehistory, next, stop; // stop 0: none
    struct br_archive *import, *archive;
    struct br_window window;
    size_t shown_bytes;
    size_t messages_max; // shown
    bool asked;          // since something was consumed
    struct holder *pool;
    bool failed;
    struct br_error error;
    struct br_log_pace waits_pace;

    // the segment that is being read
    struct br_segment_reader *segment;
    uint64_t segment_base; // what its sequences need added: 0 for imported messages, else prehistory
    uint64_t segment_left; // messages
    bool segment_is_import;

    // or the stream
    struct holder *reader;
    size_t taken;         // of what it shows, in the window
    uint64_t reader_stop; // the stream's sequence after which the archive goes on; 0: none
};

static struct history_reader *history_reader(struct br_reader *reader) {
    return (struct history_reader *)(void *)reader;
}

static bool at_end(const struct history_reader *reader) {
    return reader->stop != 0 && reader->next > reader->stop;
}

// --- holders

static struct holder *new_holder(struct history_reader *reader) {
    struct holder *holder = reader->pool;
    if (holder == NULL)
        return br_calloc(1, sizeof *holder);
    reader->pool = holder->next;
    holder->next = NULL;
    return holder;
}

static void drop_holder(struct history_reader *reader, struct holder *holder) {
    br_reader_close(&holder->stream);
    holder->retired = false;
    holder->left = 0;
    holder->next = reader->pool;
    reader->pool = holder;
}

static void drop_message(void *context, struct br_log_message *message) {
    struct holder *holder = message->raw;
    holder->left--;
    if (holder->left == 0 && (holder->stream == NULL || holder->retired))
        drop_holder(context, holder);
}

static void push(struct history_reader *reader, struct holder *holder, const struct br_log_message *message,
                 uint64_t base) {
    struct br_log_message *shown = br_window_push(&reader->window);
    *shown = *message;
    shown->sequence += base;
    shown->raw = holder;
    holder->left++;
    reader->shown_bytes += message->payload.len;
}

// Nothing more is taken from the stream's reader; it is closed when what was shown of it is released.
static void retire(struct history_reader *reader) {
    struct holder *holder = reader->reader;
    reader->reader = NULL;
    reader->taken = 0;
    holder->retired = true;
    if (holder->left == 0)
        drop_holder(reader, holder);
}

// --- who has `next`?

static enum br_status list_again(struct history_reader *reader, struct br_error *error) {
    struct br_archive *archive = NULL;
    BR_TRY(history_list(reader->history, reader->table, BR_SEGMENT_STREAM, &archive, error));
    br_archive_close(&reader->archive);
    reader->archive = archive;
    return BR_OK;
}

static bool covers(const struct br_archive *archive, size_t index, uint64_t sequence) {
    return index < archive->count && archive->segments[index].info.from <= sequence;
}

// Nothing can be read around a damaged segment.
static enum br_status damage_is_fatal(struct br_error *error) {
    if (error != NULL)
        error->status = BR_FATAL;
    return BR_FATAL;
}

static enum br_status open_segment(struct history_reader *reader, const struct br_archive *archive, size_t index,
                                   uint64_t base, struct br_error *error) {
    BR_TRY(br_archive_check_segment(archive, index, &reader->stream, reader->filter, error));
    enum br_status status = br_archive_open_segment(archive, index, &reader->segment, error);
    if (status == BR_FATAL) // it isn't there any more: merged, or too old
        return BR_DATA;
    if (status == BR_DATA)
        return damage_is_fatal(error);
    BR_TRY(status);
    reader->segment_base = base;
    reader->segment_is_import = archive == reader->import;
    reader->segment_left = archive->segments[index].info.messages;
    return BR_OK;
}

static enum br_status enter_import(struct history_reader *reader, struct br_error *error) {
    size_t index = br_archive_find(reader->import, reader->next);
    if (!covers(reader->import, index, reader->next)) {
        uint64_t to =
            index < reader->import->count ? reader->import->segments[index].info.from - 1 : reader->prehistory;
        return br_error_set(error, BR_FATAL,
                            "history of table %s has a hole: the imported messages %" PRIu64 " to %" PRIu64
                            " are not in %.600s any more; restore them",
                            reader->table->name, reader->next, to, reader->import->folder);
    }
    enum br_status status = open_segment(reader, reader->import, index, 0, error);
    return status == BR_DATA ? BR_FATAL : status; // nobody but the user removes these
}

// H3: where a history that is read from its beginning begins.
static uint64_t beginning(const struct history_reader *reader, const struct br_stream_info *now) {
    uint64_t first = reader->archive->begin;
    if (reader->archive->count == 0 && first == 0)
        return 1;
    if (reader->archive->count != 0 && (first == 0 || first > reader->archive->segments[0].info.from))
        first = reader->archive->segments[0].info.from;
    return now->message_count != 0 && now->first_sequence < first ? now->first_sequence : first;
}

static enum br_status missing(const struct history_reader *reader, const struct br_stream_info *now, uint64_t from,
                              uint64_t gap_end, struct br_error *error) {
    uint64_t to = gap_end != 0 && gap_end < now->first_sequence ? gap_end : now->first_sequence - 1;
    return br_error_set_native(error, BR_FATAL, BR_LOG_LOST,
                               "history of table %s has a hole: sequences %" PRIu64 " to %" PRIu64
                               " are neither in the archive %.500s nor in stream %.100s, which begins at %" PRIu64,
                               reader->table->name, from, to, reader->archive->folder, now->name, now->first_sequence);
}

// What was read up to here, from the archive too, must be what the stream holds.
static void prove_stream(struct history_reader *reader) {
    struct br_trail trail = br_reader_trail(&reader->base, reader->window.items + reader->window.consumed,
                                            br_window_shown(&reader->window));
    struct br_trail own = {.read_to = trail.read_to > reader->prehistory ? trail.read_to - reader->prehistory : 0,
                           .youngest_us = trail.youngest_us};
    for (uint32_t i = 0; i < trail.count; i++) {
        struct br_fingerprint mark = trail.marks[i];
        if (mark.sequence <= reader->prehistory)
            continue;
        mark.sequence -= reader->prehistory;
        br_trail_add(&own, &mark);
    }
    br_reader_prove(reader->reader->stream, &own);
}

// From `sequence` up to where the archive goes on, if it does.
static enum br_status enter_stream(struct history_reader *reader, const struct br_stream_info *now, uint64_t sequence,
                                   struct br_error *error) {
    size_t index = br_archive_find(reader->archive, sequence);
    reader->reader_stop = index < reader->archive->count ? reader->archive->segments[index].info.from - 1 : 0;
    if ((sequence > 1 || reader->archive->begin == 1) && now->first_sequence > sequence)
        return missing(reader, now, sequence, reader->reader_stop, error);
    uint64_t stop = reader->stop == 0 ? 0 : reader->stop - reader->prehistory;
    if (reader->reader_stop != 0 && (stop == 0 || reader->reader_stop < stop))
        stop = reader->reader_stop;
    struct br_reader *stream;
    BR_TRY(br_reader_open(reader->log, reader->stream.name, reader->filter, sequence, stop, &stream, error));
    reader->reader = new_holder(reader);
    reader->reader->stream = stream;
    reader->taken = 0;
    if (reader->base.proves)
        prove_stream(reader);
    return BR_OK;
}

static enum br_status look_at_stream(struct history_reader *reader, struct br_stream_info *ret_now,
                                     struct br_error *error) {
    BR_TRY(br_log_stream_info(reader->log, reader->stream.name, ret_now, error));
    if (ret_now->created.us == reader->stream.created.us)
        return BR_OK;
    return br_error_set(error, BR_FATAL,
                        "stream %s was made anew while it was read: its messages are not those of before",
                        reader->stream.name);
}

// BR_DATA: look again, something has changed meanwhile.
static enum br_status enter_archive_or_stream(struct history_reader *reader, struct br_error *error) {
    struct br_stream_info now;
    uint64_t sequence = reader->next - reader->prehistory;
    size_t index = br_archive_find(reader->archive, sequence);
    if (sequence == 1 || !covers(reader->archive, index, sequence)) {
        // The stream is looked at first: what its limits take away afterwards, the archive's list has.
        BR_TRY(look_at_stream(reader, &now, error));
        BR_TRY(list_again(reader, error));
        if (sequence == 1) {
            sequence = beginning(reader, &now);
            reader->next = reader->prehistory + sequence;
        }
        index = br_archive_find(reader->archive, sequence);
    }
    if (at_end(reader))
        return BR_OK;
    if (covers(reader->archive, index, sequence)) {
        enum br_status status = open_segment(reader, reader->archive, index, reader->prehistory, error);
        if (status == BR_DATA)
            BR_TRY(list_again(reader, error));
        return status;
    }
    enum br_status status = enter_stream(reader, &now, sequence, error);
    if (status != BR_FATAL)
        return status;
    // Has the archive taken it meanwhile?
    struct br_error again;
    BR_TRY(list_again(reader, &again) == BR_OK ? BR_OK : BR_FATAL);
    return covers(reader->archive, br_archive_find(reader->archive, sequence), sequence) ? BR_DATA : BR_FATAL;
}

static enum br_status enter(struct history_reader *reader, struct br_error *error) {
    enum br_status status = BR_DATA;
    for (int tries = 0; status == BR_DATA && tries < ENTER_TRIES_MAX; tries++)
        status =
            reader->next <= reader->prehistory ? enter_import(reader, error) : enter_archive_or_stream(reader, error);
    return status == BR_DATA ? BR_RETRY : status;
}

// --- reading what is open

static enum br_status read_segment(struct history_reader *reader, struct br_error *error) {
    struct holder *holder = new_holder(reader);
    bool found;
    enum br_status status = br_segment_next(reader->segment, &holder->block, &found, error);
    uint64_t base = reader->segment_base, last = reader->stop == 0 ? UINT64_MAX : reader->stop;
    // A lineage that began before the last import ends its pre-history earlier.
    if (reader->segment_is_import && reader->prehistory < last)
        last = reader->prehistory;
    for (size_t i = 0; status == BR_OK && found && i < holder->block.count; i++) {
        const struct br_log_message *message = &holder->block.messages[i];
        uint64_t sequence = message->sequence + base;
        if (sequence >= reader->next && sequence <= last)
            push(reader, holder, message, base);
    }
    if (status == BR_OK && found) {
        uint64_t end = holder->block.messages[holder->block.count - 1].sequence + base;
        reader->next = end >= reader->next ? end + 1 : reader->next;
        reader->segment_left -= holder->block.count;
        if (reader->segment_is_import && end >= reader->prehistory) {
            reader->next = reader->prehistory + 1;
            br_segment_close(&reader->segment);
        }
    } else if (status == BR_OK) {
        uint64_t to = br_segment_info(reader->segment)->to + base;
        reader->next = to + 1;
        br_segment_close(&reader->segment);
    }
    if (holder->left == 0)
        drop_holder(reader, holder);
    return status == BR_DATA ? damage_is_fatal(error) : status;
}

// Who computes all anew reads the archive again, and finds the change again.
static void tell_archive(const struct history_reader *reader, struct br_error *error) {
    size_t len = strlen(error->message);
    if (reader->archive->count != 0)
        snprintf(error->message + len, sizeof error->message - len,
                 "; the archive %.300s is of the stream as it was: without that, move it away",
                 reader->archive->folder);
}

static enum br_status read_stream(struct history_reader *reader, bool *ret_more, struct br_error *error) {
    const struct br_log_message *messages;
    struct br_reader *stream = reader->reader->stream;
    size_t count;
    *ret_more = false;
    enum br_status status = br_reader_peek(stream, &messages, &count, error);
    if (status == BR_FATAL && error->native == BR_LOG_CHANGED) {
        tell_archive(reader, error);
    } else if (status == BR_FATAL) { // H4
        struct br_error again;
        uint64_t sequence = reader->next - reader->prehistory;
        if (list_again(reader, &again) == BR_OK &&
            covers(reader->archive, br_archive_find(reader->archive, sequence), sequence)) {
            retire(reader);
            *ret_more = true;
            return BR_OK;
        }
    }
    BR_TRY(status);
    for (; reader->taken < count; reader->taken++) {
        push(reader, reader->reader, &messages[reader->taken], reader->prehistory);
        reader->next = reader->prehistory + messages[reader->taken].sequence + 1;
    }
    uint64_t covered = reader->prehistory + br_reader_covered(stream);
    if (br_reader_caught_up(stream) && covered >= reader->next)
        reader->next = covered + 1;
    if (reader->reader_stop != 0 && reader->next > reader->prehistory + reader->reader_stop) {
        reader->next = reader->prehistory + reader->reader_stop + 1;
        retire(reader);
        *ret_more = true;
    }
    return BR_OK;
}

static enum br_status read_on(struct history_reader *reader, struct br_error *error) {
    bool more = true;
    while (more && !at_end(reader)) {
        if (reader->shown_bytes >= SHOWN_BYTES_MAX || br_window_shown(&reader->window) >= reader->messages_max)
            return BR_OK;
        if (reader->segment != NULL)
            BR_TRY(read_segment(reader, error));
        else if (reader->reader != NULL)
            BR_TRY(read_stream(reader, &more, error));
        else
            BR_TRY(enter(reader, error));
    }
    return BR_OK;
}

// --- the reader

static enum br_status reader_peek(struct br_reader *base, const struct br_log_message **ret_messages, size_t *ret_count,
                                  struct br_error *error) {
    struct history_reader *reader = history_reader(base);
    struct br_error why;
    if (reader->asked && br_window_shown(&reader->window) >= reader->messages_max &&
        reader->messages_max < SHOWN_MESSAGES_MAX)
        reader->messages_max *= 2;
    reader->asked = true;
    enum br_status status = reader->failed ? BR_FATAL : read_on(reader, &why);
    if (status == BR_FATAL || status == BR_DATA) {
        if (!reader->failed)
            reader->error = why;
        reader->failed = true;
        if (error != NULL)
            *error = reader->error;
        return BR_FATAL;
    }
    if (status == BR_RETRY)
        br_log_paced(&reader->waits_pace, BR_LEVEL_WARN, "history waits", BR_STR("table", reader->table->name),
                     BR_STR("why", why.message));
    *ret_messages = reader->window.items + reader->window.consumed;
    *ret_count = br_window_shown(&reader->window);
    return BR_OK;
}

static void reader_consume(struct br_reader *base, size_t count) {
    struct history_reader *reader = history_reader(base);
    const struct br_log_message *messages = reader->window.items + reader->window.consumed;
    size_t of_stream = 0;
    reader->asked = count == 0;
    reader->messages_max = SHOWN_MESSAGES_FIRST;
    br_window_consume(&reader->window, count);
    for (size_t i = 0; i < count; i++) {
        reader->shown_bytes -= messages[i].payload.len;
        of_stream += messages[i].raw == reader->reader; // a block is never NULL
    }
    if (of_stream != 0) {
        br_reader_consume(reader->reader->stream, of_stream);
        reader->taken -= of_stream;
    }
}

static void reader_release(struct br_reader *base) {
    struct history_reader *reader = history_reader(base);
    br_window_release(&reader->window, drop_message, reader);
    if (reader->reader != NULL)
        br_reader_release(reader->reader->stream);
}

static bool reader_caught_up(struct br_reader *base) {
    const struct history_reader *reader = history_reader(base);
    if (at_end(reader))
        return true;
    return reader->reader != NULL && reader->reader_stop == 0 && br_reader_caught_up(reader->reader->stream);
}

static uint64_t messages_from(const struct br_archive *archive, uint64_t sequence) {
    uint64_t messages = 0;
    for (size_t i = br_archive_find(archive, sequence); i < archive->count; i++)
        messages += archive->segments[i].info.from >= sequence ? archive->segments[i].info.messages : 0;
    return messages;
}

// Messages behind those that are shown. Best knowledge: what the lists say, and of the stream behind the archive what
// it held at the start.
static uint64_t pending_beyond(const struct history_reader *reader) {
    uint64_t pending = reader->segment != NULL ? reader->segment_left : 0;
    if (reader->reader != NULL && reader->reader_stop == 0) {
        uint64_t of_stream = br_reader_pending(reader->reader->stream);
        return of_stream == BR_PENDING_UNKNOWN ? of_stream : of_stream - reader->taken;
    }
    uint64_t sequence = reader->next > reader->prehistory ? reader->next - reader->prehistory : 1;
    uint64_t end = reader->archive->count == 0 ? 0 : reader->archive->segments[reader->archive->count - 1].info.to;
    if (reader->next <= reader->prehistory && reader->segment == NULL)
        pending += reader->prehistory - reader->next + 1;
    pending += messages_from(reader->archive, sequence);
    end = end < sequence - 1 ? sequence - 1 : end;
    return pending + (reader->stream.last_sequence > end ? reader->stream.last_sequence - end : 0);
}

static uint64_t reader_pending(struct br_reader *base) {
    const struct history_reader *reader = history_reader(base);
    uint64_t shown = br_window_shown(&reader->window);
    if (at_end(reader))
        return shown;
    uint64_t beyond = pending_beyond(reader);
    if (beyond == BR_PENDING_UNKNOWN)
        return beyond;
    if (reader->stop != 0 && beyond > reader->stop - reader->next + 1)
        beyond = reader->stop - reader->next + 1;
    return shown + beyond;
}

static bool reader_trouble(struct br_reader *base, char *text, size_t size) {
    const struct history_reader *reader = history_reader(base);
    return reader->reader != NULL && br_reader_trouble(reader->reader->stream, text, size);
}

static uint64_t reader_covered(struct br_reader *base) {
    const struct history_reader *reader = history_reader(base);
    uint64_t covered = reader->next - 1;
    return reader->stop != 0 && covered > reader->stop ? reader->stop : covered;
}

static void reader_prove(struct br_reader *base) {
    if (history_reader(base)->reader != NULL)
        prove_stream(history_reader(base));
}

static void reader_close(struct br_reader *base) {
    struct history_reader *reader = history_reader(base);
    br_window_free(&reader->window, drop_message, reader);
    if (reader->reader != NULL)
        drop_holder(reader, reader->reader);
    for (struct holder *holder; (holder = reader->pool) != NULL;) {
        reader->pool = holder->next;
        br_block_free(&holder->block);
        free(holder);
    }
    br_segment_close(&reader->segment);
    br_archive_close(&reader->import);
    br_archive_close(&reader->archive);
    free(reader->filter);
    free(reader);
}

static const struct br_reader_ops reader_ops = {
    .close = reader_close,
    .peek = reader_peek,
    .consume = reader_consume,
    .release = reader_release,
    .caught_up = reader_caught_up,
    .pending = reader_pending,
    .trouble = reader_trouble,
    .covered = reader_covered,
    .prove = reader_prove,
};

enum br_status history_reader_open(const struct br_history *history, struct br_log *log, const struct br_table *table,
                                   const struct br_stream_info *stream, const char *filter, uint64_t prehistory,
                                   uint64_t first_sequence, uint64_t stop_sequence, struct br_reader **ret_reader,
                                   struct br_error *error) {
    struct history_reader *reader = br_calloc(1, sizeof *reader);
    reader->base.ops = &reader_ops;
    reader->base.window = &reader->window;
    reader->history = history;
    reader->log = log;
    reader->table = table;
    reader->stream = *stream;
    reader->filter = br_strdup(filter);
    reader->prehistory = prehistory;
    reader->next = first_sequence == 0 ? 1 : first_sequence;
    reader->stop = stop_sequence;
    reader->messages_max = SHOWN_MESSAGES_FIRST;
    enum br_status status = history_list(history, table, BR_SEGMENT_IMPORT, &reader->import, error);
    if (status == BR_OK)
        status = history_list(history, table, BR_SEGMENT_STREAM, &reader->archive, error);
    if (status == BR_OK && !at_end(reader))
        status = enter(reader, error); // a hole at the beginning is told here
    if (status == BR_OK)
        *ret_reader = &reader->base;
    else
        reader_close(&reader->base);
    return status;
}
