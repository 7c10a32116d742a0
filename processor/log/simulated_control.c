// SPDX-License-Identifier: Apache-2.0
// The control plane in memory (control.h): questions to the tasks of one simulated world, which are lost, doubled, late
// and so out of order, as are answers: lost, or cut in the middle. See simulated.h.
#include "processor/log/control_ops.h"
#include "processor/log/simulated_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define LATE_US_MAX (5 * BR_US_PER_SECOND)
#define IDLE_US INT64_C(20000) // that one step of others takes

struct sim_service {
    struct sim_service *next;
    const char *subject;
    struct br_requests *requests;
    uint32_t kind;
};

struct sim_control {
    struct br_control base;
    struct br_sim *sim;
    struct sim_control *next;
    struct sim_service *services;
    bool faulty;
};

struct sim_delivery { // a request that is on its way
    struct sim_delivery *next;
    int64_t due_us;
    const struct sim_control *to;
    struct br_requests *requests;
    uint32_t kind;
    uint64_t number;
    struct br_slice payload;
};

struct sim_part {
    struct sim_part *next;
    struct br_slice payload;
};

struct sim_question { // in the sim's arena, as are parts
    struct sim_question *next;
    uint64_t number;
    const struct sim_control *from; // the first that answers: others' answers are passed over
    struct sim_part *parts, **end;
    bool complete, cut;
};

static struct sim_control *sim_control(struct br_control *control) {
    return (struct sim_control *)(void *)control;
}

static bool chance(const struct sim_control *control, uint32_t permille) {
    return control->faulty && permille != 0 && br_sim_draw(control->sim) % 1000 < permille;
}

// --- answers

static bool has_room(void *context) {
    (void)context;
    return true;
}

static bool send_part(void *context, uint64_t number, const char *reply, struct br_slice payload, bool last) {
    struct sim_control *control = context;
    struct br_sim *sim = control->sim;
    struct sim_question *question = sim->questions;
    (void)reply;
    while (question != NULL && question->number != number)
        question = question->next;
    if (question == NULL || question->complete || (question->from != NULL && question->from != control))
        return true; // on its way to somebody who has gone
    question->from = control;
    question->cut = question->cut || chance(control, sim->faults.cut_answer);
    if (question->cut)
        return false;
    struct sim_part *part = br_arena_new(sim->arena, struct sim_part);
    part->payload = br_arena_copy(sim->arena, payload);
    *question->end = part;
    question->end = &part->next;
    question->complete = last;
    return true;
}

// --- requests

static void deliver(struct br_sim *sim, const struct sim_delivery *delivery) {
    char reply[64];
    struct br_request_way way = {
        .has_room = has_room, .send = send_part, .context = (void *)delivery->to, .tag = delivery->number};
    snprintf(reply, sizeof reply, "_INBOX.sim.%llu", (unsigned long long)delivery->number);
    bool taken = br_requests_offer(delivery->requests, delivery->kind, reply, delivery->payload, &way,
                                   (struct br_mono_time){sim->mono_us});
    (void)taken; // else it is lost
}

static void deliver_due(struct br_sim *sim) {
    for (struct sim_delivery **at = &sim->deliveries; *at != NULL;) {
        struct sim_delivery *delivery = *at;
        if (delivery->due_us > sim->mono_us) {
            at = &delivery->next;
            continue;
        }
        *at = delivery->next;
        deliver(sim, delivery);
        free(delivery);
    }
}

static void send_once(const struct sim_control *to, const struct sim_service *service, uint64_t number,
                      struct br_slice payload) {
    struct br_sim *sim = to->sim;
    if (chance(to, sim->faults.lose_request))
        return;
    struct sim_delivery *delivery = br_calloc(1, sizeof *delivery);
    *delivery = (struct sim_delivery){.next = sim->deliveries,
                                      .due_us = sim->mono_us,
                                      .to = to,
                                      .requests = service->requests,
                                      .kind = service->kind,
                                      .number = number,
                                      .payload = payload};
    if (chance(to, sim->faults.late_request))
        delivery->due_us += (int64_t)(br_sim_draw(sim) % (uint64_t)LATE_US_MAX);
    sim->deliveries = delivery;
}

// To all who serve it, as the server does: a zombie hears it too.
static bool send_to_all(struct br_sim *sim, const char *subject, uint64_t number, struct br_slice payload) {
    bool any = false;
    for (const struct sim_control *to = sim->controls; to != NULL; to = to->next)
        for (const struct sim_service *service = to->services; service != NULL; service = service->next) {
            if (strcmp(service->subject, subject) != 0)
                continue;
            any = true;
            send_once(to, service, number, payload);
            if (chance(to, sim->faults.double_request))
                send_once(to, service, number, payload);
        }
    return any;
}

static enum br_status await_parts(struct br_sim *sim, const struct sim_question *question, const char *subject,
                                  int64_t deadline_us,
                                  enum br_status (*each)(void *context, struct br_slice part, struct br_error *error),
                                  void *context, struct br_error *error) {
    struct sim_part *const *at = &question->parts;
    while (*at != NULL || !question->complete) {
        deliver_due(sim);
        if (*at != NULL) {
            BR_TRY(each(context, (*at)->payload, error));
            at = &(*at)->next;
            continue;
        }
        if (sim->idle == NULL || sim->mono_us >= deadline_us)
            return br_error_set(error, BR_FATAL, "no worker answers on '%s' in time", subject);
        sim->idle(sim->idle_context);
        sim->mono_us += IDLE_US;
    }
    return BR_OK;
}

static enum br_status sim_request(struct br_control *base, const char *subject, struct br_slice payload,
                                  int64_t timeout_us,
                                  enum br_status (*each)(void *context, struct br_slice part, struct br_error *error),
                                  void *context, struct br_error *error) {
    struct br_sim *sim = sim_control(base)->sim;
    struct sim_question *question = br_arena_new(sim->arena, struct sim_question);
    question->number = ++sim->question_count;
    question->end = &question->parts;
    question->next = sim->questions;
    sim->questions = question;
    enum br_status status;
    if (send_to_all(sim, subject, question->number, br_arena_copy(sim->arena, payload)))
        status = await_parts(sim, question, subject, sim->mono_us + timeout_us, each, context, error);
    else
        status = br_error_set(error, BR_FATAL, "no worker answers on '%s'", subject);
    struct sim_question **at = &sim->questions; // answering may have asked something else
    while (*at != question)
        at = &(*at)->next;
    *at = question->next;
    return status;
}

static void sim_serve(struct br_control *base, const char *subject, struct br_requests *requests, uint32_t kind) {
    struct sim_control *control = sim_control(base);
    struct sim_service *service = br_calloc(1, sizeof *service);
    struct br_slice text = {(const uint8_t *)subject, strlen(subject) + 1};
    *service = (struct sim_service){.next = control->services,
                                    .subject = (const char *)br_arena_copy(control->sim->arena, text).ptr,
                                    .requests = requests,
                                    .kind = kind};
    control->services = service;
}

// Nobody sends a message twice (L3): unlike questions, appends are late or lost, never doubled.
static struct br_log *sim_log_over(struct br_control *base, const volatile bool *cancel) {
    (void)cancel; // nothing here waits for long
    return br_sim_connect_control(sim_control(base)->sim, sim_control(base)->faulty);
}

static void sim_status(struct br_control *base, struct br_buffer *out) {
    (void)base;
    br_buffer_append_text(out, "{\"connected\":true}");
}

static void sim_close(struct br_control *base) {
    struct sim_control *control = sim_control(base), **at = &control->sim->controls;
    while (*at != control)
        at = &(*at)->next;
    *at = control->next;
    for (struct sim_delivery **d = &control->sim->deliveries; *d != NULL;) {
        struct sim_delivery *delivery = *d;
        if (delivery->to != control) {
            d = &delivery->next;
            continue;
        }
        *d = delivery->next;
        free(delivery);
    }
    while (control->services != NULL) {
        struct sim_service *service = control->services;
        control->services = service->next;
        free(service);
    }
    free(control);
}

struct br_control *br_sim_control(struct br_sim *sim, bool faulty) {
    static const struct br_control_ops ops = {
        .serve = sim_serve, .request = sim_request, .log = sim_log_over, .status = sim_status, .close = sim_close};
    struct sim_control *control = br_calloc(1, sizeof *control);
    control->base.ops = &ops;
    control->sim = sim;
    control->faulty = faulty;
    control->next = sim->controls;
    sim->controls = control;
    return &control->base;
}
