// SPDX-License-Identifier: Apache-2.0
// The control plane: what a process says and hears over NATS beside its data. A worker's service, questions to workers.
// The data plane (log.h) reads inputs and appends epochs on connections of its own; nothing that comes or fails here
// touches it.
//
// N1. Opening never waits: the connection is made, and made again for ever, by a thread of the control plane. A process
//     that only answers goes on without it.
//
// N2. Answers go to inboxes only: the reply subject of a request is below "_INBOX" or the prefix that is configured
//     (br_connect_options.inbox_prefix). The asker of anything else is counted and logged, once a second.
//
// N3. What arrives is bounded (requests.h); who doesn't fit is told {"error":"busy…"} at a bounded rate. Of more than
//     100,000 requests a second on one subject the server drops the rest, and says that nobody is there: who asks
//     beside such a flood asks again.
//
// Thread: any, but for close.
#ifndef BR_PROCESSOR_LOG_CONTROL_H
#define BR_PROCESSOR_LOG_CONTROL_H

#include "processor/log/nats/jetstream.h"
#include "processor/log/requests.h"

struct br_control;

// A worker that `nats micro ls` lists: "$SRV.PING|INFO|STATS" are answered with this. NULL: none is.
struct br_control_service {
    const char *name, *id; // of the service: "braid"; of this worker
    const char *version, *description;
};

// By cnats (libnats), with a thread of its own. The options are copied; `cancel` ends br_control_request.
enum br_status br_control_open(const struct br_connect_options *options, const struct br_control_service *service,
                               struct br_control **ret_control, struct br_error *error) BR_MUST_CHECK;
// Ends within a second; beside a server that is dialed and mute, within its connect timeout (2 s). NULL-safe.
void br_control_close(struct br_control **control);

// Can it be done what the options want? BR_FATAL names what this libnats can't do, and its version.
enum br_status br_control_check(const struct br_connect_options *options, struct br_error *error) BR_MUST_CHECK;

// Offers what is asked on the subject to `requests`, as `kind`, until the control plane is closed.
void br_control_serve(struct br_control *control, const char *subject, struct br_requests *requests, uint32_t kind);
// Asks whoever serves the subject, and hands each part to `each` until the last, in the calling thread. BR_FATAL "no
// worker answers" when nobody serves it for a second (a worker may have just begun, or not listen beside a flood) or no
// part comes for so long; BR_RETRY: there is no connection, or cancel.
enum br_status br_control_request(struct br_control *control, const char *subject, struct br_slice payload,
                                  int64_t timeout_us,
                                  enum br_status (*each)(void *context, struct br_slice part, struct br_error *error),
                                  void *context, struct br_error *error) BR_MUST_CHECK;
// The log (log.h) over the control plane's connection: streams and buckets are made and changed, single messages are
// read and appended one by one (compare-and-set), plain ones are published. A reader steps from message to message by
// requests: for few of them. What waits is ended by `cancel` (may be NULL). It costs no connection; each is one
// thread's at a time, never the task's, and is closed before the control plane.
struct br_log *br_control_log(struct br_control *control, const struct br_flag *cancel);
// For a command: a control plane with a log over it, which has it and ends it. Waits for the connection and makes sure
// of JetStream; fails as br_log_connect_jetstream does, but any server will do.
enum br_status br_log_connect_control(const struct br_connect_options *options, struct br_log **ret_log,
                                      struct br_error *error) BR_MUST_CHECK;
// The connection and what was refused, as a JSON object.
void br_control_status(struct br_control *control, struct br_buffer *out);

#endif
