// SPDX-License-Identifier: Apache-2.0
// See emit.h.
#include "processor/emit_internal.h"

#include "processor/expr/row.h"
#include "processor/subject.h"

#include <stdio.h>

#define COMMIT_SLACK 65536 // bytes of a commit message that are not blocks, generously
#define HEADER_SLACK 1024  // bytes of a message's headers,
#define TABLE_SLACK 128    // and of what they say of a table's input
#define PAYLOAD_MAX_LEAST 65536
#define SUBJECT_SIZE_MAX 2048 // the server's default max_control_line is 4096

static const char op_letters[4] = {'U', 'D', 'I', 'R'};
static const char *const op_names[4] = {"upsert", "delete", "insert", "remove"};

static size_t op_index(char op) {
    return op == 'U' ? 0 : op == 'D' ? 1 : op == 'I' ? 2 : 3;
}

// --- records

static enum br_status encode_row(struct view_output *output, const struct br_batch *batch, uint32_t row, bool key_only,
                                 struct br_buffer *out, struct br_error *error) {
    const struct br_view *view = output->view;
    const uint32_t *columns = key_only ? view->root->key : NULL;
    uint32_t count = key_only ? view->root->key_count : view->row_type.column_count;
    if (view->format == BR_FORMAT_JSON) {
        br_json_encode_row(&view->row_type, batch, row, columns, count, out);
        return BR_OK;
    }
    if (key_only)
        return br_encoder_encode_columns(output->encoder, batch, row, columns, count, out, error);
    return br_encoder_encode(output->encoder, batch, row, out, error);
}

// Appends one record. The length is written in front afterwards: most are short, so one byte is set aside for it and
// the rest moves when it isn't enough.
static enum br_status add_record(struct view_output *output, char op, const struct br_batch *batch, uint32_t row,
                                 bool key_only, size_t *ret_payload, struct br_error *error) {
    struct br_buffer *records = &output->records;
    size_t start = records->len;
    br_buffer_reserve(records, 2);
    records->ptr[start] = (uint8_t)op;
    records->len += 2;
    BR_TRY(encode_row(output, batch, row, key_only, records, error));
    size_t len = records->len - start - 2;
    size_t prefix = br_varint_size(len);
    if (prefix > 1) {
        br_buffer_reserve(records, prefix);
        memmove(records->ptr + start + 1 + prefix, records->ptr + start + 2, len);
        records->len += prefix - 1;
    }
    br_varint_put(records->ptr + start + 1, len);
    output->record_count++;
    *ret_payload = start + 1 + prefix;
    return BR_OK;
}

static void add_item(struct view_output *output, char op, const struct br_batch *batch, uint32_t row, size_t payload) {
    if (output->item_count == output->item_capacity) {
        output->item_capacity = output->item_capacity == 0 ? 1024 : output->item_capacity * 2;
        output->items = br_realloc(output->items, output->item_capacity * sizeof *output->items);
    }
    struct item *item = &output->items[output->item_count++];
    *item = (struct item){.payload = payload, .payload_len = (uint32_t)(output->records.len - payload), .op = op};
    if (output->templated) {
        item->subject = output->subjects.len;
        br_subject_format(output->view->subject, &output->view->row_type, batch, row, &output->subjects);
        item->subject_len = (uint32_t)(output->subjects.len - item->subject);
    }
}

static void check_fit(const struct br_emit *emit, struct view_output *output, size_t payload) {
    size_t len = output->records.len - payload;
    if (len > emit->row_max) {
        output->fit = ROW_TOO_LARGE;
        output->unfit_size = len;
    } else if (output->templated && !emit->silent && output->view->layout != BR_LAYOUT_PACKED &&
               output->items[output->item_count - 1].subject_len > SUBJECT_SIZE_MAX) {
        output->fit = SUBJECT_TOO_LONG;
        output->unfit_size = output->items[output->item_count - 1].subject_len;
    }
}

static enum br_status add_row(struct br_emit *emit, struct view_output *output, char op, const struct br_batch *batch,
                              uint32_t row, struct br_error *error) {
    size_t payload;
    BR_TRY(add_record(output, op, batch, row, op == 'D', &payload, error));
    if (!emit->silent && output->view->layout != BR_LAYOUT_PACKED)
        add_item(output, op, batch, row, payload);
    check_fit(emit, output, payload);
    return BR_OK;
}

// --- rows that fit no message (E4)

struct mark {
    size_t records, subjects, items;
    uint64_t record_count;
};

static struct mark mark_of(const struct view_output *output) {
    return (struct mark){output->records.len, output->subjects.len, output->item_count, output->record_count};
}

static void rewind_to(struct view_output *output, const struct mark *mark) {
    output->records.len = mark->records;
    output->subjects.len = mark->subjects;
    output->item_count = mark->items;
    output->record_count = mark->record_count;
}

// Adds a row `count` times, or leaves it out and says so.
static enum br_status add_fitting(struct br_emit *emit, struct view_output *output, char op,
                                  const struct br_batch *batch, uint32_t row, int64_t count, bool *ret_fits,
                                  struct br_error *error) {
    struct mark mark = mark_of(output);
    output->fit = FITS;
    for (int64_t i = 0; i < count && output->fit == FITS; i++)
        BR_TRY(add_row(emit, output, op, batch, row, error));
    *ret_fits = output->fit == FITS;
    if (!*ret_fits)
        rewind_to(output, &mark);
    return BR_OK;
}

static enum br_status give_fitting_rows(struct br_emit *emit, struct view_output *output, const struct mark *mark,
                                        char op, const struct br_batch *batch, struct br_error *error) {
    rewind_to(output, mark);
    for (uint32_t r = 0; r < batch->row_count; r++) {
        bool fits;
        BR_TRY(add_fitting(emit, output, op, batch, r, 1, &fits, error));
        if (!fits)
            br_emit_report_unfit(emit, output, batch, r);
    }
    output->fit = FITS;
    return BR_OK;
}

// Subscribers see the former row go when the new one can't be told.
static enum br_status give_fitting_change(struct br_emit *emit, struct view_output *output, const struct mark *mark,
                                          const struct br_change *change, bool keyed, bool moves,
                                          struct br_error *error) {
    bool gone = change->new_batch == NULL, told = true, fits;
    const struct br_batch *batch = gone ? change->old_batch : change->new_batch;
    uint32_t row = gone ? change->old_row : change->new_row;
    rewind_to(output, mark);
    if (!gone || !keyed)
        BR_TRY(add_fitting(emit, output, keyed ? 'U' : gone ? 'R' : 'I', batch, row, change->count, &told, error));
    if (!told && !gone)
        br_emit_report_unfit(emit, output, batch, row);
    if (keyed && change->old_batch != NULL && (gone || moves || !told)) {
        rewind_to(output, mark); // the delete comes first
        BR_TRY(add_fitting(emit, output, 'D', change->old_batch, change->old_row, 1, &fits, error));
        if (!gone && told)
            BR_TRY(add_fitting(emit, output, 'U', batch, row, change->count, &fits, error));
    }
    output->fit = FITS;
    return BR_OK;
}

// --- the sink

static enum br_status take_rows(void *context, const struct br_view *view, const struct br_batch *batch,
                                struct br_error *error) {
    struct br_emit *emit = context;
    struct view_output *output = br_emit_output(emit, view);
    char op = view->root->has_key ? 'U' : 'I';
    struct mark mark = mark_of(output);
    for (uint32_t r = 0; r < batch->row_count; r++)
        BR_TRY(add_row(emit, output, op, batch, r, error));
    output->counts.upserts += batch->row_count;
    XXH3_64bits_update(output->hash, output->records.ptr + mark.records, output->records.len - mark.records);
    if (emit->silent)
        br_buffer_clear(&output->records);
    else if (output->fit != FITS)
        return give_fitting_rows(emit, output, &mark, op, batch, error);
    return BR_OK;
}

static void hash_part(struct view_output *output, char mark, struct br_slice bytes) {
    uint8_t head[1 + BR_VARINT_SIZE_MAX];
    head[0] = (uint8_t)mark;
    size_t len = 1 + br_varint_put(head + 1, bytes.len);
    XXH3_64bits_update(output->hash, head, len);
    XXH3_64bits_update(output->hash, bytes.ptr, bytes.len);
}

// Equal keys that are written differently: 1.0 and 1.00, 1 mon and 30 days.
static bool renames_key(struct view_output *output, const struct br_change *change) {
    const struct br_node *root = output->view->root;
    br_buffer_clear(&output->scratch);
    br_row_encode(change->old_batch, change->old_row, root->key, root->key_count, &output->scratch);
    size_t old_len = output->scratch.len;
    br_row_encode(change->new_batch, change->new_row, root->key, root->key_count, &output->scratch);
    struct br_slice old = {output->scratch.ptr, old_len},
                    fresh = {output->scratch.ptr + old_len, output->scratch.len - old_len};
    return !br_slice_equal(old, fresh);
}

// Does an update put the row under another subject, or another text of its key? Subscribers then know two rows.
static bool moves(struct view_output *output, const struct br_change *change) {
    if (change->old_batch == NULL)
        return false;
    if (output->renamable && renames_key(output, change))
        return true;
    if (!output->templated)
        return false;
    const struct br_view *view = output->view;
    br_buffer_clear(&output->scratch);
    br_subject_format(view->subject, &view->row_type, change->old_batch, change->old_row, &output->scratch);
    size_t old_len = output->scratch.len;
    br_subject_format(view->subject, &view->row_type, change->new_batch, change->new_row, &output->scratch);
    struct br_slice old = {output->scratch.ptr, old_len},
                    fresh = {output->scratch.ptr + old_len, output->scratch.len - old_len};
    return !br_slice_equal(old, fresh);
}

static enum br_status take_change(struct br_emit *emit, struct view_output *output, const struct br_change *change,
                                  bool keyed, struct br_error *error) {
    hash_part(output, 'k', change->key);
    if (change->old_batch != NULL) {
        br_buffer_clear(&output->scratch);
        BR_TRY(encode_row(output, change->old_batch, change->old_row, false, &output->scratch, error));
        hash_part(output, 'o', br_buffer_slice(&output->scratch));
    }
    bool gone = change->new_batch == NULL;
    const struct br_batch *batch = gone ? change->old_batch : change->new_batch;
    uint32_t row = gone ? change->old_row : change->new_row;
    char op = keyed ? (gone ? 'D' : 'U') : (gone ? 'R' : 'I');
    struct mark mark = mark_of(output);
    bool moved = keyed && !gone && moves(output, change);
    if (moved) // neither the row's former subject nor its former key may keep it as its last value
        BR_TRY(add_row(emit, output, 'D', change->old_batch, change->old_row, error));
    for (int64_t i = 0; i < change->count; i++)
        BR_TRY(add_row(emit, output, op, batch, row, error));
    hash_part(output, 'n', (struct br_slice){output->records.ptr + mark.records, output->records.len - mark.records});
    if (gone)
        output->counts.deletes += (uint64_t)change->count;
    else
        output->counts.upserts += (uint64_t)change->count;
    if (!emit->silent && output->fit != FITS)
        return give_fitting_change(emit, output, &mark, change, keyed, moved, error);
    return BR_OK;
}

static enum br_status take_changes(void *context, const struct br_view *view, const struct br_change *changes,
                                   size_t count, struct br_error *error) {
    struct br_emit *emit = context;
    struct view_output *output = br_emit_output(emit, view);
    for (size_t i = 0; i < count; i++) {
        BR_CHECK(changes[i].count > 0 && (changes[i].old_batch != NULL || changes[i].new_batch != NULL));
        BR_TRY(take_change(emit, output, &changes[i], view->root->has_key, error));
    }
    if (emit->silent)
        br_buffer_clear(&output->records);
    return BR_OK;
}

// --- life

static enum br_status open_output(struct br_emit *emit, struct view_output *output, const struct br_view *view,
                                  struct br_error *error) {
    output->view = view;
    output->templated = strchr(view->subject, '{') != NULL;
    for (uint32_t k = 0; view->root->has_key && k < view->root->key_count; k++) {
        enum br_type type = view->root->fields[view->root->key[k]].type;
        output->renamable |= type == BR_NUMERIC || type == BR_DOUBLE || type == BR_INTERVAL;
    }
    output->hash = XXH3_createState();
    const struct br_row_type *type = &view->row_type;
    const char **paths = br_calloc(type->column_count + 1, sizeof *paths);
    enum br_type *types = br_calloc(type->column_count + 1, sizeof *types);
    for (uint32_t c = 0; c < type->column_count; c++) {
        paths[c] = type->columns[c].path;
        types[c] = type->columns[c].type;
    }
    enum br_status status = BR_OK;
    if (view->format == BR_FORMAT_PROTOBUF)
        status = br_encoder_create(type->message, paths, types, type->column_count, &output->encoder, error);
    free(paths);
    free(types);
    if (view->ttl_us != 0)
        snprintf(output->ttl, sizeof output->ttl, "%" PRId64 "s",
                 (view->ttl_us + BR_US_PER_SECOND - 1) / BR_US_PER_SECOND);
    (void)emit;
    return status;
}

enum br_status br_emit_create(const struct br_pipeline *pipeline, const char *lineage, size_t payload_max,
                              struct br_emit **ret_emit, struct br_error *error) {
    size_t slack = HEADER_SLACK + pipeline->table_count * TABLE_SLACK;
    if (payload_max < PAYLOAD_MAX_LEAST || payload_max < 2 * slack)
        return br_error_set(error, BR_FATAL,
                            "the server takes messages of at most %zu bytes (max_payload); Braid's commits need %zu or "
                            "more: raise it in the server's configuration",
                            payload_max, 2 * slack > PAYLOAD_MAX_LEAST ? 2 * slack : (size_t)PAYLOAD_MAX_LEAST);
    struct br_emit *emit = br_calloc(1, sizeof *emit);
    emit->pipeline = pipeline;
    emit->lineage = lineage;
    emit->payload_max = payload_max;
    emit->row_max = payload_max - slack;
    emit->arena = br_arena_create();
    emit->outputs = br_calloc(pipeline->view_count + 1, sizeof *emit->outputs);
    emit->streams = br_calloc(pipeline->table_count + 1, sizeof *emit->streams);
    emit->prehistory = br_calloc(pipeline->table_count + 1, sizeof *emit->prehistory);
    emit->quarantined = br_calloc(pipeline->table_count + 1, sizeof *emit->quarantined);
    emit->side_hash = XXH3_createState();
    emit->sink = (struct br_sink){
        .context = emit, .rows = take_rows, .changes = take_changes, .late = br_emit_late, .failed = br_emit_failed};
    for (uint32_t i = 0; i < pipeline->view_count; i++) {
        enum br_status status = open_output(emit, &emit->outputs[i], &pipeline->views[i], error);
        if (status != BR_OK) {
            br_emit_destroy(&emit);
            return status;
        }
    }
    *ret_emit = emit;
    return BR_OK;
}

void br_emit_destroy(struct br_emit **emit_ptr) {
    struct br_emit *emit = *emit_ptr;
    if (emit == NULL)
        return;
    for (uint32_t i = 0; i < emit->pipeline->view_count; i++) {
        struct view_output *output = &emit->outputs[i];
        br_encoder_destroy(&output->encoder);
        br_buffer_free(&output->records);
        br_buffer_free(&output->subjects);
        br_buffer_free(&output->scratch);
        free(output->items);
        XXH3_freeState(output->hash);
    }
    XXH3_freeState(emit->side_hash);
    free(emit->outputs);
    free(emit->quarantined);
    free(emit->streams);
    free(emit->prehistory);
    free(emit->side);
    free(emit->messages);
    br_arena_destroy(&emit->arena);
    free(emit);
    *emit_ptr = NULL;
}

void br_emit_set_silent(struct br_emit *emit, bool silent) {
    emit->silent = silent;
}

void br_emit_set_stream(struct br_emit *emit, uint32_t table, const char *stream, uint64_t prehistory) {
    emit->streams[table] = stream;
    emit->prehistory[table] = prehistory;
}

void br_emit_set_correction(struct br_emit *emit, const char *replay, const char *corrects) {
    emit->replay = replay;
    emit->corrects = corrects;
}

void br_emit_set_publish_as(struct br_emit *emit, const char *id) {
    emit->publish_as = id;
}

void br_emit_begin(struct br_emit *emit, uint64_t epoch, const struct br_events *events) {
    emit->epoch = epoch;
    emit->events = events;
    emit->side_count = emit->message_count = emit->block_count = 0;
    emit->blocks = NULL;
    br_arena_reset(emit->arena);
    XXH3_64bits_reset(emit->side_hash);
    memset(emit->quarantined, 0, emit->pipeline->table_count * sizeof *emit->quarantined);
    for (uint32_t i = 0; i < emit->pipeline->view_count; i++) {
        struct view_output *output = &emit->outputs[i];
        br_buffer_clear(&output->records);
        br_buffer_clear(&output->subjects);
        output->item_count = 0;
        output->record_count = 0;
        output->fit = FITS;
        output->counts = (struct br_view_counts){0};
        XXH3_64bits_reset(output->hash);
    }
}

const struct br_sink *br_emit_sink(struct br_emit *emit) {
    return &emit->sink;
}

// --- laying out the epoch

static struct br_log_message *add_message(struct br_emit *emit) {
    if (emit->message_count == emit->message_capacity) {
        emit->message_capacity = emit->message_capacity == 0 ? 1024 : emit->message_capacity * 2;
        emit->messages = br_realloc(emit->messages, emit->message_capacity * sizeof *emit->messages);
    }
    struct br_log_message *message = &emit->messages[emit->message_count++];
    *message = (struct br_log_message){0};
    return message;
}

static uint32_t fill_headers(struct br_emit *emit, const struct view_output *output, const char *op,
                             struct br_slice epoch, struct br_slice inputs, struct br_log_header *headers) {
    headers[0] = (struct br_log_header){br_slice_of("Braid-Op"), br_slice_of(op)};
    headers[1] = (struct br_log_header){br_slice_of("Braid-Epoch"), epoch};
    headers[2] = (struct br_log_header){br_slice_of("Braid-Lineage"), br_slice_of(emit->lineage)};
    headers[3] = (struct br_log_header){br_slice_of("Braid-Inputs"), inputs};
    uint32_t count = 4;
    if (output->ttl[0] != '\0')
        headers[count++] = (struct br_log_header){br_slice_of("Nats-TTL"), br_slice_of(output->ttl)};
    if (emit->replay != NULL) {
        headers[count++] = (struct br_log_header){br_slice_of("Braid-Replay"), br_slice_of(emit->replay)};
        headers[count++] = (struct br_log_header){br_slice_of("Braid-Corrects"), br_slice_of(emit->corrects)};
    }
    return count;
}

// Where the view's changes go. A replay's are told apart by the view alone: its subjects hold no keys.
static struct br_slice subject_of(struct br_emit *emit, const struct br_view *view) {
    if (emit->publish_as == NULL)
        return br_slice_of(view->subject);
    return br_slice_of(
        br_arena_printf(emit->arena, "braid.%s.replay.%s.view.%s", emit->pipeline->name, emit->publish_as, view->name));
}

static void lay_out_items(struct br_emit *emit, struct view_output *output, struct br_slice epoch,
                          struct br_slice inputs) {
    uint32_t header_count = 0;
    for (size_t op = 0; op < 4; op++)
        header_count = fill_headers(emit, output, op_names[op], epoch, inputs, output->headers[op]);
    struct br_slice subject = subject_of(emit, output->view);
    bool templated = output->templated && emit->publish_as == NULL;
    for (size_t i = 0; i < output->item_count; i++) {
        const struct item *item = &output->items[i];
        struct br_log_message *message = add_message(emit);
        message->subject =
            templated ? (struct br_slice){output->subjects.ptr + item->subject, item->subject_len} : subject;
        message->payload = (struct br_slice){output->records.ptr + item->payload, item->payload_len};
        message->headers = output->headers[op_index(item->op)];
        message->header_count = header_count;
        BR_CHECK(op_letters[op_index(item->op)] == item->op);
    }
}

// A replay never releases what has effects.
static bool is_withheld(const struct br_emit *emit, const struct view_output *output) {
    return emit->publish_as != NULL && output->view->effect;
}

// Cuts the records of a packed view into blocks of at most `limit` bytes; a single larger record is a block of its own.
static void lay_out_blocks(struct br_emit *emit, struct view_output *output, size_t limit,
                           struct br_emit_block **blocks, size_t *count) {
    struct br_slice rest = br_buffer_slice(&output->records);
    while (rest.len != 0) {
        size_t at = 0;
        uint32_t rows = 0;
        while (at < rest.len) {
            uint64_t len;
            size_t prefix = br_varint_get(rest.ptr + at + 1, rest.ptr + rest.len, &len);
            BR_CHECK(prefix != 0 && at + 1 + prefix + len <= rest.len);
            if (rows != 0 && at + 1 + prefix + len > limit)
                break;
            at += 1 + prefix + (size_t)len;
            rows++;
        }
        struct br_buffer block = {0};
        br_packed_begin(&block, output->view->index, rows);
        br_buffer_append(&block, rest.ptr, at);
        br_packed_end(&block, 0);
        struct br_emit_block *list = br_arena_array(emit->arena, struct br_emit_block, *count + 1);
        if (*count != 0)
            memcpy(list, *blocks, *count * sizeof *list);
        list[(*count)++] = (struct br_emit_block){output->view, br_arena_copy(emit->arena, br_buffer_slice(&block))};
        *blocks = list;
        br_buffer_free(&block);
        rest.ptr += at;
        rest.len -= at;
    }
}

static void lay_out_packed(struct br_emit *emit, struct view_output *output, struct br_slice epoch,
                           struct br_slice inputs) {
    struct br_emit_block *blocks = NULL;
    size_t count = 0;
    lay_out_blocks(emit, output, emit->row_max, &blocks, &count);
    uint32_t header_count = fill_headers(emit, output, "block", epoch, inputs, output->headers[0]);
    for (size_t i = 0; i < count; i++) {
        struct br_log_message *message = add_message(emit);
        message->subject = subject_of(emit, output->view);
        message->payload = blocks[i].rows;
        message->headers = output->headers[0];
        message->header_count = header_count;
    }
}

// All output packed and small: it rides in the commit message.
static bool rides_in_commit(const struct br_emit *emit) {
    size_t packed = 0;
    for (uint32_t i = 0; i < emit->pipeline->view_count; i++) {
        if (is_withheld(emit, &emit->outputs[i]))
            continue;
        if (emit->outputs[i].item_count != 0)
            return false;
        if (emit->outputs[i].view->layout == BR_LAYOUT_PACKED)
            packed += emit->outputs[i].records.len + 64;
    }
    return packed != 0 && emit->side_count == 0 && packed + COMMIT_SLACK < emit->payload_max;
}

static void lay_out(struct br_emit *emit, const char *inputs_text) {
    struct br_slice epoch = br_emit_number(emit->arena, (int64_t)emit->epoch);
    struct br_slice inputs = br_slice_of(br_arena_strdup(emit->arena, inputs_text));
    bool rides = rides_in_commit(emit);
    for (uint32_t i = 0; i < emit->pipeline->view_count; i++) {
        struct view_output *output = &emit->outputs[i];
        if (is_withheld(emit, output))
            continue;
        if (output->view->layout != BR_LAYOUT_PACKED)
            lay_out_items(emit, output, epoch, inputs);
        else if (rides)
            lay_out_blocks(emit, output, emit->payload_max, &emit->blocks, &emit->block_count);
        else
            lay_out_packed(emit, output, epoch, inputs);
    }
    for (size_t i = 0; i < emit->side_count; i++)
        *add_message(emit) = emit->side[i];
}

void br_emit_finish(struct br_emit *emit, const char *inputs, uint64_t previous_digest) {
    XXH3_state_t *chain = XXH3_createState();
    XXH3_64bits_reset(chain);
    XXH3_64bits_update(chain, &previous_digest, sizeof previous_digest);
    for (uint32_t i = 0; i < emit->pipeline->view_count; i++) {
        emit->outputs[i].counts.digest = XXH3_64bits_digest(emit->outputs[i].hash);
        XXH3_64bits_update(chain, &emit->outputs[i].counts.digest, sizeof(uint64_t));
    }
    uint64_t side = XXH3_64bits_digest(emit->side_hash);
    XXH3_64bits_update(chain, &side, sizeof side);
    emit->digest = XXH3_64bits_digest(chain);
    XXH3_freeState(chain);
    if (!emit->silent)
        lay_out(emit, inputs);
}

uint64_t br_emit_digest(const struct br_emit *emit) {
    return emit->digest;
}

const struct br_view_counts *br_emit_counts(const struct br_emit *emit, uint32_t view) {
    return &emit->outputs[view].counts;
}

uint64_t br_emit_quarantined(const struct br_emit *emit, uint32_t table) {
    return emit->quarantined[table];
}

uint64_t br_emit_rows(const struct br_emit *emit) {
    uint64_t rows = 0;
    for (uint32_t i = 0; i < emit->pipeline->view_count; i++)
        rows += emit->outputs[i].counts.upserts + emit->outputs[i].counts.deletes;
    return rows;
}

const struct br_log_message *br_emit_messages(const struct br_emit *emit, size_t *ret_count) {
    *ret_count = emit->message_count;
    return emit->messages;
}

const struct br_emit_block *br_emit_blocks(const struct br_emit *emit, size_t *ret_count) {
    *ret_count = emit->block_count;
    return emit->blocks;
}
