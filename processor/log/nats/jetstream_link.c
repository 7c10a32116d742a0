// SPDX-License-Identifier: Apache-2.0
// The connections that readers share. A log has at most reader_connections of them (br_connect_options); each is made
// for a reader and closed with its last one.
//
// K1. As long as there are fewer links than that, a reader gets one of its own; then it joins the one with the fewest.
//
// K2. Who a message is for stands in the number of its subscription (the reader's slot and the consumer's generation),
//     or, for replies, in the subject: "<inbox>.r.<slot>.<kind><generation>". What is for a slot without a reader, or
//     for an earlier generation, was sent before we left: it is dropped. So no message reaches another reader than the
//     one that asked for it, whatever order readers come and go in.
//
// K3. What one reader doesn't take must not keep the others from theirs: a shared link is read always. Therefore
// readers
//     that share are pulled (R5 of jetstream_reader.c), and what each has asked for and not received is at most its
//     share of LINK_BYTES: nobody waits behind more than that, and memory is bounded by each reader's queue and share.
//     A consumer that pushes (the only reader of its link) may have up to 32 MiB under way, and holds nobody up: its
//     link is left unread while the reader is full (R4). When another reader joins, it is made anew as one that is
//     pulled.
//
// K4. A received block stays in memory as long as one message in it is in use. Of a shared link the reader that most of
//     the last messages were for keeps its messages where they are; those of the others are copied into blocks of their
//     own. A reader that holds little, for long, thus never keeps what was received for another.
//
// K5. A connection that is lost is lost for all its readers, each of which finds another connection_id and goes on by
//     itself at its own `next`.
#include "processor/log/nats/jetstream_internal.h"

#include <stdio.h>

#define BLOCK_SIZE (1 << 20)
#define FILL_SIZE (256 * 1024)        // parsed while it is in the cache
#define SERVICE_BYTES_MAX (8 << 20)   // received by one look at the link
#define LINK_BYTES ((size_t)2 << 20)  // K3
#define SHARE_BYTES_LEAST (16 * 1024) // K3: more than 64 readers on a link exceed LINK_BYTES together
#define VOTES_MAX 1024                // K4
#define SID_INBOX 1
#define SID_FIRST 2
#define SLOT_BITS 12

uint64_t br_js_link_sid(size_t slot, uint64_t generation) {
    return SID_FIRST + (generation << SLOT_BITS | slot);
}

size_t br_js_link_share(const struct js_link *link) {
    size_t share = LINK_BYTES / link->reader_count;
    return share < SHARE_BYTES_LEAST ? SHARE_BYTES_LEAST : share;
}

// --- who a message is for

static struct js_reader *reader_at(const struct js_link *link, uint64_t slot) {
    return slot < link->slot_count ? link->slots[slot] : NULL;
}

// "<inbox>.r.<slot>.…"
static struct js_reader *reader_of_reply(const struct js_link *link, struct br_slice subject) {
    size_t at = strlen(link->inbox) + 3;
    uint64_t slot = 0;
    if (subject.len <= at)
        return NULL;
    for (; at < subject.len && subject.ptr[at] >= '0' && subject.ptr[at] <= '9' && slot < link->slot_count; at++)
        slot = slot * 10 + (uint64_t)(subject.ptr[at] - '0');
    return reader_at(link, slot);
}

static void hand_out(struct js_link *link, const struct br_session_message *message, int64_t now_us) {
    if (message->sid < SID_FIRST) {
        struct js_reader *reader = reader_of_reply(link, message->subject);
        if (reader != NULL)
            br_js_reader_take_reply(reader, message, now_us);
        return;
    }
    uint64_t number = message->sid - SID_FIRST;
    struct js_reader *reader = reader_at(link, number & ((UINT64_C(1) << SLOT_BITS) - 1));
    if (reader != NULL)
        br_js_reader_take_delivered(reader, number >> SLOT_BITS, message, now_us);
}

static void take_denial(void *context, bool publishing, struct br_slice subject) {
    struct js_link *link = context;
    for (size_t i = 0; i < link->slot_count; i++)
        if (link->slots[i] != NULL)
            br_js_reader_take_denial(link->slots[i], publishing, subject);
}

// --- receiving

// K3
static bool is_blocked(const struct js_link *link) {
    return !link->shared && br_js_reader_is_full(link->slots[0]);
}

static void receive(struct js_link *link, int64_t now_us) {
    struct br_session_message message;
    size_t received = 0;
    link->drained = false;
    while (received < SERVICE_BYTES_MAX && !is_blocked(link)) {
        size_t got = br_session_fill(&link->session, FILL_SIZE, now_us);
        if (got == 0) {
            link->drained = true;
            break;
        }
        received += got;
        while (br_session_next(&link->session, &message))
            hand_out(link, &message, now_us);
    }
}

void br_js_link_service(struct js_link *link, int64_t now_us) {
    struct br_session *session = &link->session;
    if (link->serviced_us == now_us) // by another of its readers
        return;
    link->serviced_us = now_us;
    br_session_service(session, now_us);
    if (!br_session_is_up(session) || link->subscribed_id != session->connection_id)
        return; // nobody has asked for anything on this connection
    receive(link, now_us);
    if (br_session_unsent(session) != 0 && br_session_is_up(session))
        br_session_flush(session, now_us);
}

void br_js_link_subscribe(struct js_link *link) {
    char subject[BR_INBOX_PREFIX_MAX + 96];
    snprintf(subject, sizeof subject, "%s.r.>", link->inbox);
    br_session_subscribe(&link->session, subject, SID_INBOX);
    link->subscribed_id = link->session.connection_id;
}

struct pollfd br_js_link_pollfd(const struct js_link *link) {
    struct pollfd nothing = {.fd = -1};
    for (size_t i = 0; i < link->slot_count; i++)
        if (link->slots[i] != NULL && !br_js_reader_is_idle(link->slots[i]))
            return br_session_pollfd(&link->session);
    return nothing;
}

// --- keeping (K4)

bool br_js_link_keeps(struct js_link *link, const struct js_reader *reader) {
    if (!link->shared)
        return true;
    if (link->votes == 0)
        link->most = reader;
    if (link->most != reader)
        link->votes--;
    else if (link->votes < VOTES_MAX)
        link->votes++;
    return link->most == reader;
}

// --- life

static struct js_link *make_link(struct js_log *log) {
    struct js_link *link = br_calloc(1, sizeof *link);
    snprintf(link->inbox, sizeof link->inbox, "%sR%llu", log->inbox, (unsigned long long)log->next_token++);
    br_session_init(&link->session, &log->config, BLOCK_SIZE);
    link->session.server_index = log->control.server_index;
    link->session.denied = take_denial;
    link->session.denied_context = link;
    link->next = log->links;
    log->links = link;
    log->link_count++;
    return link;
}

static struct js_link *choose_link(struct js_log *log) {
    struct js_link *least = log->links;
    if (log->link_count < log->link_max)
        return make_link(log);
    for (struct js_link *link = log->links; link != NULL; link = link->next)
        if (link->reader_count < least->reader_count)
            least = link;
    return least;
}

static void note_shared(struct js_link *link, int64_t now_us) {
    link->shared = true;
    for (size_t i = 0; i < link->slot_count; i++)
        if (link->slots[i] != NULL)
            br_js_reader_share(link->slots[i], now_us);
}

enum br_status br_js_link_join(struct js_log *log, struct js_reader *reader, struct js_link **ret_link,
                               size_t *ret_slot, struct br_error *error) {
    struct js_link *link = choose_link(log);
    size_t slot = 0;
    while (slot < link->slot_count && link->slots[slot] != NULL)
        slot++;
    if (slot == (size_t)1 << SLOT_BITS)
        return br_error_set(error, BR_FATAL, "more than %zu streams can't be read by one worker",
                            log->link_max << SLOT_BITS);
    if (slot == link->slot_count) {
        link->slots = br_realloc(link->slots, (slot + 1) * sizeof(struct js_reader *));
        link->slots[link->slot_count++] = NULL;
    }
    if (link->reader_count != 0)
        note_shared(link, br_session_now());
    link->slots[slot] = reader;
    link->reader_count++;
    *ret_link = link;
    *ret_slot = slot;
    return BR_OK;
}

void br_js_link_leave(struct js_log *log, struct js_link *link, size_t slot) {
    if (link->most == link->slots[slot])
        link->votes = 0;
    link->slots[slot] = NULL;
    if (--link->reader_count != 0)
        return;
    struct js_link **at = &log->links;
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    log->link_count--;
    br_session_close(&link->session);
    free(link->slots);
    free(link);
}
