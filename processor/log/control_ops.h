// SPDX-License-Identifier: Apache-2.0
// What the implementations of control.h share: the table of functions that control.c dispatches through.
#ifndef BR_PROCESSOR_LOG_CONTROL_OPS_H
#define BR_PROCESSOR_LOG_CONTROL_OPS_H

#include "processor/log/control.h"

struct br_control_ops {
    void (*serve)(struct br_control *control, const char *subject, struct br_requests *requests, uint32_t kind);
    enum br_status (*request)(struct br_control *control, const char *subject, struct br_slice payload,
                              int64_t timeout_us,
                              enum br_status (*each)(void *context, struct br_slice part, struct br_error *error),
                              void *context, struct br_error *error);
    struct br_log *(*log)(struct br_control *control, const volatile bool *cancel);
    void (*status)(struct br_control *control, struct br_buffer *out);
    void (*close)(struct br_control *control);
};

// First member of every implementation's struct.
struct br_control {
    const struct br_control_ops *ops;
};

#endif
