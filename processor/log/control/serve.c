// SPDX-License-Identifier: Apache-2.0
// What the control plane is asked: requests for a queue (N2, N3 of control.h), and what `nats micro` asks of every
// service: the JSON objects of NATS' architecture decision record 32. See cnats_internal.h.
#include "processor/log/control/cnats_internal.h"

#include "base/logging.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BUSY_PER_SECOND 1000
#define TAKEN_MAX 10000 // N9
#define SUBSCRIBE_EVERY_US INT64_C(100000)
#define OUT_ROOM ((size_t)16 << 20)      // Q4 of requests.h: no further answer is begun beyond it
#define OUT_BYTES_MAX ((size_t)64 << 20) // … and this one ends

// --- the way back

static bool has_room(void *context) {
    struct cnats *cnats = context;
    pthread_mutex_lock(&cnats->lock);
    bool room = cnats->out_bytes < OUT_ROOM;
    pthread_mutex_unlock(&cnats->lock);
    return room;
}

static bool send_part(void *context, uint64_t generation, const char *reply, struct br_slice part, bool last) {
    static const char too_long[] = "{\"error\":\"a part of the answer is longer than a message that the NATS server "
                                   "takes (max_payload): ask for fewer or shorter columns\"}\n";
    struct cnats *cnats = context;
    pthread_mutex_lock(&cnats->lock);
    bool sent = cnats->generation == generation && cnats->out_bytes + part.len <= OUT_BYTES_MAX;
    if (sent && (int64_t)part.len > cnats->payload_max - 64) {
        cnats_queue(cnats, reply, NULL, br_slice_of(too_long), true);
        sent = false;
    } else if (sent) {
        cnats_queue(cnats, reply, NULL, part, last);
    }
    pthread_mutex_unlock(&cnats->lock);
    cnats_wake(cnats);
    return sent;
}

// --- requests

static bool begins_with(const char *text, const char *prefix) {
    size_t len = strlen(prefix);
    return strncmp(text, prefix, len) == 0 && text[len] == '.';
}

// N2
static bool is_inbox(const struct cnats *cnats, const char *reply) {
    return begins_with(reply, "_INBOX") || begins_with(reply, cnats->inbox_prefix);
}

static void tell_foreign(struct cnats *cnats, const char *subject, const char *reply, int64_t now_us) {
    uint64_t count;
    if (cnats_tell(&cnats->foreign, now_us, &count))
        br_log_line(BR_LEVEL_WARN, "requests are not answered: they want the answer on a subject that is no inbox",
                    BR_STR("subject", subject), BR_STR("reply", reply), BR_INT("times", count));
}

static void tell_busy(struct cnats *cnats, const char *subject, const char *reply, int64_t now_us) {
    static const char busy[] = "{\"error\":\"the worker is busy: too many requests are waiting; ask again\","
                               "\"busy\":true}\n";
    uint64_t count;
    if (now_us >= cnats->busy_until_us) {
        cnats->busy_until_us = now_us + BR_US_PER_SECOND;
        cnats->busy_left = BUSY_PER_SECOND;
    }
    if (cnats->busy_left > 0) {
        cnats->busy_left--;
        pthread_mutex_lock(&cnats->lock);
        cnats_queue(cnats, reply, NULL, br_slice_of(busy), true);
        pthread_mutex_unlock(&cnats->lock);
    }
    if (cnats_tell(&cnats->crowded, now_us, &count))
        br_log_line(BR_LEVEL_WARN, "requests are refused: too many are waiting", BR_STR("subject", subject),
                    BR_INT("times", count));
}

static void take_request(struct cnats *cnats, struct control_service *service, natsMsg *message, int64_t now_us) {
    const char *reply = natsMsg_GetReply(message);
    struct br_slice payload = {(const uint8_t *)natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message)};
    struct br_request_way way = {.has_room = has_room, .send = send_part, .context = cnats, .tag = cnats->generation};
    if (reply == NULL)
        return; // nobody waits for an answer
    if (!is_inbox(cnats, reply)) {
        service->refused++;
        tell_foreign(cnats, service->subject, reply, now_us);
        return;
    }
    service->asked++;
    if (br_requests_offer(service->requests, service->kind, reply, payload, &way, (struct br_mono_time){now_us}))
        return;
    service->refused++;
    tell_busy(cnats, service->subject, reply, now_us);
}

// --- $SRV

static json_t *endpoint(const struct control_service *service, bool stats) {
    const char *name = strrchr(service->subject, '.');
    json_t *object = json_pack("{s:s, s:s, s:s}", "name", name == NULL ? service->subject : name + 1, "subject",
                               service->subject, "queue_group", "");
    if (stats) {
        json_object_set_new(object, "num_requests", json_integer((json_int_t)service->asked));
        json_object_set_new(object, "num_errors", json_integer((json_int_t)service->refused));
        json_object_set_new(object, "last_error", json_string(""));
        json_object_set_new(object, "processing_time", json_integer(0));
        json_object_set_new(object, "average_processing_time", json_integer(0));
    }
    return object;
}

static json_t *endpoints(const struct cnats *cnats, bool stats) {
    json_t *list = json_array();
    for (const struct control_service *service = cnats->services; service != NULL; service = service->next)
        if (service->requests != NULL)
            json_array_append_new(list, endpoint(service, stats));
    return list;
}

static void tell_service(struct cnats *cnats, const struct control_service *asked, natsMsg *message) {
    bool info = begins_with(asked->subject, "$SRV.INFO") || strcmp(asked->subject, "$SRV.INFO") == 0;
    bool stats = begins_with(asked->subject, "$SRV.STATS") || strcmp(asked->subject, "$SRV.STATS") == 0;
    const char *reply = natsMsg_GetReply(message);
    if (reply == NULL || !is_inbox(cnats, reply))
        return;
    json_t *object = json_pack("{s:s, s:s, s:s, s:{}, s:s}", "name", cnats->service.name, "id", cnats->service.id,
                               "version", cnats->service.version, "metadata", "type",
                               info    ? "io.nats.micro.v1.info_response"
                               : stats ? "io.nats.micro.v1.stats_response"
                                       : "io.nats.micro.v1.ping_response");
    if (info)
        json_object_set_new(object, "description", json_string(cnats->service.description));
    if (stats)
        json_object_set_new(object, "started", json_string(cnats->service.started));
    pthread_mutex_lock(&cnats->lock);
    if (info || stats)
        json_object_set_new(object, "endpoints", endpoints(cnats, stats));
    char *text = json_dumps(object, JSON_COMPACT);
    if (text != NULL && cnats->out_bytes < OUT_ROOM)
        cnats_queue(cnats, reply, NULL, br_slice_of(text), false);
    pthread_mutex_unlock(&cnats->lock);
    free(text);
    json_decref(object);
}

// --- subscriptions

static void add_service(struct cnats *cnats, const char *subject, struct br_requests *requests, uint32_t kind) {
    struct control_service **at = &cnats->services;
    while (*at != NULL)
        at = &(*at)->next;
    *at = br_calloc(1, sizeof **at);
    (*at)->subject = br_strdup(subject);
    (*at)->requests = requests;
    (*at)->kind = kind;
}

void cnats_serve(struct br_control *control, const char *subject, struct br_requests *requests, uint32_t kind) {
    struct cnats *cnats = cnats_of(control);
    pthread_mutex_lock(&cnats->lock);
    add_service(cnats, subject, requests, kind);
    pthread_mutex_unlock(&cnats->lock);
    cnats_wake(cnats);
}

void cnats_serve_information(struct cnats *cnats) {
    static const char *const verbs[] = {"PING", "INFO", "STATS"};
    char subject[400];
    if (cnats->service.name == NULL)
        return;
    time_t now = time(NULL);
    struct tm utc;
    strftime(cnats->service.started, sizeof cnats->service.started, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    for (size_t v = 0; v < sizeof verbs / sizeof verbs[0]; v++) {
        snprintf(subject, sizeof subject, "$SRV.%s", verbs[v]);
        add_service(cnats, subject, NULL, 0);
        snprintf(subject, sizeof subject, "$SRV.%s.%s", verbs[v], cnats->service.name);
        add_service(cnats, subject, NULL, 0);
        snprintf(subject, sizeof subject, "$SRV.%s.%s.%s", verbs[v], cnats->service.name, cnats->service.id);
        add_service(cnats, subject, NULL, 0);
    }
}

static struct control_service *after(struct cnats *cnats, struct control_service *service) {
    pthread_mutex_lock(&cnats->lock);
    struct control_service *next = service == NULL ? cnats->services : service->next;
    pthread_mutex_unlock(&cnats->lock);
    return next;
}

natsStatus cnats_subscribe_to(struct cnats *cnats, const char *subject, natsSubscription **subscription) {
    natsStatus status = natsConnection_SubscribeSync(subscription, cnats->connection, subject);
    // What comes is taken at once: there is nothing for the library to bound.
    return status == NATS_OK ? natsSubscription_SetPendingLimits(*subscription, -1, -1) : status;
}

static natsStatus subscribe_service(struct cnats *cnats, struct control_service *service, int64_t now_us) {
    int64_t at_us = service->since_us + SUBSCRIBE_EVERY_US;
    if (service->taken == TAKEN_MAX && now_us < at_us) {
        cnats->subscribe_at_us = at_us;
        return NATS_OK;
    }
    service->since_us = now_us;
    service->taken = 0;
    natsStatus status = cnats_subscribe_to(cnats, service->subject, &service->subscription);
    return status == NATS_OK ? natsSubscription_AutoUnsubscribe(service->subscription, TAKEN_MAX) : status;
}

natsStatus cnats_subscribe(struct cnats *cnats, int64_t now_us) {
    natsStatus status = NATS_OK;
    char subject[220];
    if (cnats->alive == NULL) {
        snprintf(subject, sizeof subject, "%s.alive", cnats->inbox);
        status = cnats_subscribe_to(cnats, subject, &cnats->alive);
    }
    for (struct control_service *service = NULL; status == NATS_OK && (service = after(cnats, service)) != NULL;)
        if (service->subscription == NULL)
            status = subscribe_service(cnats, service, now_us);
    return status;
}

// N9
static void end_subscription(struct cnats *cnats, struct control_service *service, int64_t now_us) {
    uint64_t count;
    natsSubscription_Destroy(service->subscription);
    service->subscription = NULL;
    if (now_us - service->since_us < SUBSCRIBE_EVERY_US && cnats_tell(&cnats->shut, now_us, &count))
        br_log_line(BR_LEVEL_WARN,
                    "more requests come than are listened to: for moments who asks is told that nobody is there",
                    BR_STR("subject", service->subject), BR_INT("times", count));
}

void cnats_take_requests(struct cnats *cnats, int64_t now_us) {
    natsMsg *message = NULL;
    for (struct control_service *service = NULL; (service = after(cnats, service)) != NULL;)
        while (service->subscription != NULL &&
               natsSubscription_NextMsg(&message, service->subscription, 0) == NATS_OK) {
            if (++service->taken == TAKEN_MAX)
                end_subscription(cnats, service, now_us);
            if (service->requests == NULL)
                tell_service(cnats, service, message);
            else
                take_request(cnats, service, message, now_us);
            natsMsg_Destroy(message);
        }
}

void cnats_end_services(struct cnats *cnats) {
    for (struct control_service *service = NULL; (service = after(cnats, service)) != NULL;) {
        natsSubscription_Destroy(service->subscription);
        service->subscription = NULL;
        if (service->requests != NULL)
            br_requests_end(service->requests);
    }
}
