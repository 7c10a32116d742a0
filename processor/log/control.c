// SPDX-License-Identifier: Apache-2.0
// Dispatches control.h to its implementations: cnats (control/connection.c), the simulator's (simulated_control.c).
#include "processor/log/control_ops.h"

void br_control_close(struct br_control **control) {
    if (*control != NULL)
        (*control)->ops->close(*control);
    *control = NULL;
}

void br_control_serve(struct br_control *control, const char *subject, struct br_requests *requests, uint32_t kind) {
    control->ops->serve(control, subject, requests, kind);
}

enum br_status br_control_request(struct br_control *control, const char *subject, struct br_slice payload,
                                  int64_t timeout_us,
                                  enum br_status (*each)(void *context, struct br_slice part, struct br_error *error),
                                  void *context, struct br_error *error) {
    return control->ops->request(control, subject, payload, timeout_us, each, context, error);
}

struct br_log *br_control_log(struct br_control *control, const volatile bool *cancel) {
    return control->ops->log(control, cancel);
}

void br_control_status(struct br_control *control, struct br_buffer *out) {
    control->ops->status(control, out);
}
