// SPDX-License-Identifier: Apache-2.0
// Contexts of the `nats` command: a file each, with a server and how to log in there.
#ifndef BR_CLI_CONTEXT_H
#define BR_CLI_CONTEXT_H

#include "processor/log/nats/jetstream.h"

// Reads NAME.json below $XDG_CONFIG_HOME/nats/context (else ~/.config/nats/context); "-" is the one that `nats context
// select` has chosen. What the file says goes into *ret_options, and stays for the life of the process. BR_FATAL names
// the file, and the key.
enum br_status br_context_read(const char *name, struct br_connect_options *ret_options, struct br_error *error)
    BR_MUST_CHECK;

#endif
