// SPDX-License-Identifier: Apache-2.0
// Quarantined and late events: what a report says, and how it enters the epoch's messages and digest. See emit.h.
#include "processor/emit_internal.h"
#include "processor/subject.h"

#include <stdio.h>

#define SIDE_SLACK 4096 // headers of a report
#define DETAIL_SIZE_MAX 512
#define TYPE_SIZE_MAX 256

// Header values can't hold line ends or control characters.
static struct br_slice header_text(struct br_arena *arena, const char *text) {
    size_t len = strnlen(text, DETAIL_SIZE_MAX);
    char *copy = br_arena_strndup(arena, text, len);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)copy[i] < 0x20)
            copy[i] = ' ';
    return br_slice_of(copy);
}

struct br_slice br_emit_number(struct br_arena *arena, int64_t number) {
    return br_slice_of(br_arena_printf(arena, "%" PRId64, number));
}

struct br_slice br_emit_sequence(struct br_arena *arena, uint64_t sequence, uint64_t prehistory) {
    if (sequence > prehistory)
        return br_emit_number(arena, (int64_t)(sequence - prehistory));
    return br_slice_of(br_arena_printf(arena, "import:%" PRIu64, sequence));
}

struct side_message {
    struct br_log_header headers[BR_LOG_HEADERS_MAX];
    uint32_t header_count;
};

static void side_header(struct side_message *side, const char *name, struct br_slice value) {
    BR_CHECK(side->header_count < BR_LOG_HEADERS_MAX);
    side->headers[side->header_count++] = (struct br_log_header){br_slice_of(name), value};
}

static void hash_side(struct br_emit *emit, const struct br_log_message *message, const struct side_message *side) {
    XXH3_64bits_update(emit->side_hash, message->subject.ptr, message->subject.len);
    for (uint32_t i = 0; i < side->header_count; i++)
        XXH3_64bits_update(emit->side_hash, side->headers[i].value.ptr, side->headers[i].value.len);
    XXH3_64bits_update(emit->side_hash, message->payload.ptr, message->payload.len);
}

static void add_side(struct br_emit *emit, const char *subject, struct br_slice payload, struct side_message *side,
                     bool hashed) {
    struct br_log_message message = {.subject = br_slice_of(subject),
                                     .payload = payload,
                                     .headers = side->headers,
                                     .header_count = side->header_count};
    if (hashed)
        hash_side(emit, &message, side);
    if (emit->silent || emit->publish_as != NULL)
        return;
    if (emit->side_count == emit->side_capacity) {
        emit->side_capacity = emit->side_capacity == 0 ? 64 : emit->side_capacity * 2;
        emit->side = br_realloc(emit->side, emit->side_capacity * sizeof *emit->side);
    }
    // An event as large as the server allows doesn't fit beside our headers: its beginning goes out, the whole is still
    // where it came from.
    size_t room = emit->payload_max - SIDE_SLACK;
    if (payload.len > room) {
        side_header(side, "Braid-Truncated", br_emit_number(emit->arena, (int64_t)payload.len));
        message.header_count = side->header_count;
        payload.len = room;
    }
    message.payload = br_arena_copy(emit->arena, payload);
    emit->side[emit->side_count++] = message;
}

// braid.<pipeline>.<what>.<name of the table or view>
static const char *side_subject(struct br_emit *emit, const char *what, const char *name) {
    struct br_buffer BR_CLEANUP(br_buffer_free) token = {0};
    br_subject_append_name(name, &token);
    return br_arena_printf(emit->arena, "braid.%s.%s.%.*s", emit->pipeline->name, what, (int)token.len,
                           (const char *)token.ptr);
}

// Headers and payload that tell of the event a report is about.
static struct br_slice side_event(struct br_emit *emit, struct side_message *side, uint32_t origin) {
    const struct br_event *event = &emit->events->list[origin];
    struct br_slice type;
    side_header(side, "Braid-Table", br_slice_of(event->table->name));
    if (emit->streams[event->table->index] != NULL)
        side_header(side, "Braid-Stream", br_slice_of(emit->streams[event->table->index]));
    side_header(side, "Braid-Sequence",
                br_emit_sequence(emit->arena, event->message->sequence, emit->prehistory[event->table->index]));
    if (event->message->header_count != 0 && br_log_message_header(event->message, "ce-type", &type)) {
        type.len = type.len > TYPE_SIZE_MAX ? TYPE_SIZE_MAX : type.len;
        side_header(side, "ce-type", br_arena_copy(emit->arena, type));
    }
    return event->payload;
}

// Whose fields a row that failed at a node has: aggregates and joins fail on what they give, the others on what they
// get.
static const struct br_node *node_of_failed(const struct br_node *node) {
    return node->kind == BR_NODE_AGGREGATE || node->kind == BR_NODE_JOIN ? node : node->inputs[0];
}

static size_t value_size(const struct br_column *column, uint32_t row) {
    if (column->type != BR_TEXT && column->type != BR_BYTEA)
        return 0;
    return br_column_is_null(column, row) ? 0 : ((const struct br_slice *)column->values)[row].len;
}

// Both sides of a join may have a column of the name: id, id_2.
static const char *own_name(struct br_arena *arena, const char *name, const struct br_column_def *columns,
                            uint32_t count) {
    if (name == NULL)
        return br_arena_printf(arena, "column%u", count + 1);
    const char *own = name;
    for (uint32_t c = 0, suffix = 2; c < count; c++)
        if (strcmp(columns[c].name, own) == 0) {
            own = br_arena_printf(arena, "%s_%u", name, suffix++);
            c = UINT32_MAX; // from the beginning
        }
    return own;
}

// A row that has no event of its own is told as JSON of its fields, which are those of the node `from`. Values so long
// that the whole might not fit a message are left out.
static struct br_slice side_row(struct br_emit *emit, struct side_message *side, const struct br_node *from,
                                const struct br_batch *batch, uint32_t row) {
    struct br_row_type type = {.name = "row", .column_count = batch->column_count};
    type.columns = br_arena_array(emit->arena, struct br_column_def, batch->column_count);
    uint32_t *shown = br_arena_array(emit->arena, uint32_t, batch->column_count);
    uint32_t count = 0;
    size_t size_max = (emit->payload_max - SIDE_SLACK) / 8 / (batch->column_count + 1); // JSON may take 6 bytes for one
    for (uint32_t c = 0; c < batch->column_count; c++) {
        type.columns[c].name =
            own_name(emit->arena, c < from->field_count ? from->fields[c].name : NULL, type.columns, c);
        type.columns[c].type = batch->columns[c].type;
        if (batch->columns[c].values != NULL && value_size(&batch->columns[c], row) <= size_max)
            shown[count++] = c;
    }
    struct br_buffer json = {0};
    br_json_encode_row(&type, batch, row, shown, count, &json);
    struct br_slice copy = br_arena_copy(emit->arena, br_buffer_slice(&json));
    br_buffer_free(&json);
    side_header(side, "Braid-Row", br_slice_of("json"));
    return copy;
}

enum br_status br_emit_reject(struct br_emit *emit, const struct br_table *table, uint32_t origin, const char *reason,
                              const char *detail, struct br_error *error) {
    (void)error;
    struct side_message *side = br_arena_new(emit->arena, struct side_message);
    side_header(side, "Braid-Reason", header_text(emit->arena, reason));
    side_header(side, "Braid-Detail", header_text(emit->arena, detail));
    struct br_slice payload = side_event(emit, side, origin);
    emit->quarantined[table->index]++;
    add_side(emit, side_subject(emit, "quarantine", table->name), payload, side, true);
    return BR_OK;
}

enum br_status br_emit_failed(void *context, const struct br_view *view, const struct br_node *node,
                              const struct br_batch *batch, uint32_t row, const char *message, struct br_error *error) {
    (void)error;
    struct br_emit *emit = context;
    struct side_message *side = br_arena_new(emit->arena, struct side_message);
    side_header(side, "Braid-Reason", br_slice_of("expression"));
    side_header(side, "Braid-Detail", header_text(emit->arena, message));
    side_header(side, "Braid-View", br_slice_of(view->name));
    uint32_t origin = br_batch_origin(batch, row);
    struct br_slice payload = origin != BR_NO_ORIGIN ? side_event(emit, side, origin)
                                                     : side_row(emit, side, node_of_failed(node), batch, row);
    br_emit_output(emit, view)->counts.failed++;
    add_side(emit, side_subject(emit, "quarantine", view->name), payload, side, true);
    return BR_OK;
}

enum br_status br_emit_late(void *context, const struct br_view *view, const struct br_node *node,
                            const struct br_batch *batch, uint32_t row, struct br_event_time window_start,
                            struct br_event_time window_end, int64_t late_by_us, struct br_error *error) {
    (void)error;
    struct br_emit *emit = context;
    struct side_message *side = br_arena_new(emit->arena, struct side_message);
    side_header(side, "Braid-Reason", br_slice_of("late"));
    side_header(side, "Braid-View", br_slice_of(view->name));
    side_header(side, "Braid-Window-Start", br_emit_number(emit->arena, window_start.us));
    side_header(side, "Braid-Window-End", br_emit_number(emit->arena, window_end.us));
    side_header(side, "Braid-Late-By-Us", br_emit_number(emit->arena, late_by_us));
    uint32_t origin = br_batch_origin(batch, row);
    struct br_slice payload =
        origin != BR_NO_ORIGIN ? side_event(emit, side, origin) : side_row(emit, side, node->inputs[0], batch, row);
    br_emit_output(emit, view)->counts.late++;
    add_side(emit, side_subject(emit, "late", view->name), payload, side, true);
    return BR_OK;
}

void br_emit_report_unfit(struct br_emit *emit, struct view_output *output, const struct br_batch *batch,
                          uint32_t row) {
    const struct br_view *view = output->view;
    struct side_message *side = br_arena_new(emit->arena, struct side_message);
    side_header(side, "Braid-Reason", br_slice_of("size"));
    if (output->fit == SUBJECT_TOO_LONG)
        side_header(side, "Braid-Detail",
                    br_slice_of(br_arena_printf(emit->arena,
                                                "the row's subject has %zu bytes, too many for a subject; use shorter "
                                                "columns in the view's subject",
                                                output->unfit_size)));
    else
        side_header(side, "Braid-Detail",
                    br_slice_of(br_arena_printf(emit->arena,
                                                "the row of %zu bytes is more than the server takes in one message "
                                                "(max_payload %zu, headers included); raise max_payload on the server, "
                                                "or shorten the row in the view",
                                                output->unfit_size, emit->payload_max)));
    side_header(side, "Braid-View", br_slice_of(view->name));
    struct br_slice payload = side_row(emit, side, view->root, batch, row);
    output->counts.failed++;
    add_side(emit, side_subject(emit, "quarantine", view->name), payload, side, false);
}
