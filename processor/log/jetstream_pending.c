// SPDX-License-Identifier: Apache-2.0
// To be deleted by the commit that brings the JetStream log (the real br_log_connect_jetstream and private server).
#include "processor/log/jetstream.h"

enum br_status br_log_connect_jetstream(const struct br_connect_options *options, struct br_log **ret_log,
                                        struct br_error *error) {
    (void)options;
    (void)ret_log;
    return br_error_set(error, BR_FATAL, "this build has no JetStream log yet");
}

enum br_status br_private_server_start(const char *store_dir, bool sync_always, struct br_private_server **ret_server,
                                       struct br_error *error) {
    (void)store_dir;
    (void)sync_always;
    (void)ret_server;
    return br_error_set(error, BR_FATAL, "this build has no private server yet");
}

const char *br_private_server_url(const struct br_private_server *server) {
    (void)server;
    return "";
}

void br_private_server_stop(struct br_private_server **server) {
    *server = NULL;
}
