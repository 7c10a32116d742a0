// SPDX-License-Identifier: Apache-2.0
#include "processor/log/nats/jetstream_internal.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct br_error error;

// --- header blocks

Test(session, a_header_block_is_parsed_with_blanks_cut_and_lines_without_colon_skipped) {
    struct br_arena *arena = br_arena_create();
    struct br_log_header *headers;
    uint32_t count;
    int code;
    br_session_parse_headers(br_slice_of("NATS/1.0\r\nA: one\r\nB:two \r\nnonsense\r\nC:\r\n\r\n"), arena, &headers,
                             &count, &code);
    cr_assert_eq(count, 3);
    cr_assert_eq(code, 0);
    cr_assert(br_slice_is(headers[0].name, "A") && br_slice_is(headers[0].value, "one"));
    cr_assert(br_slice_is(headers[1].value, "two"));
    cr_assert(br_slice_is(headers[2].name, "C") && br_slice_is(headers[2].value, ""));
    br_arena_destroy(&arena);
}

Test(session, a_status_is_read_from_the_first_line) {
    cr_assert_eq(br_session_status(br_slice_of("NATS/1.0 503\r\n\r\n")), 503);
    cr_assert_eq(br_session_status(br_slice_of("NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 7\r\n\r\n")), 100);
    cr_assert_eq(br_session_status(br_slice_of("NATS/1.0\r\n\r\n")), 0);
    cr_assert_eq(br_session_status((struct br_slice){NULL, 0}), 0);
}

Test(session, one_header_is_found_without_parsing_all) {
    struct br_slice value, block = br_slice_of("NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 7\r\n\r\n");
    cr_assert(br_session_find_header(block, "Nats-Last-Consumer", &value));
    cr_assert(br_slice_is(value, "7"));
    cr_assert_not(br_session_find_header(block, "Nats-Last", &value));
    cr_assert_not(br_session_find_header((struct br_slice){NULL, 0}, "A", &value));
}

Test(session, a_value_with_line_ends_cannot_smuggle_in_a_header) {
    struct br_buffer out = {0};
    br_session_write_header(&out, br_slice_of("Braid-Detail"), br_slice_of("x\r\nBraid-Op: delete"));
    cr_assert(br_slice_is(br_buffer_slice(&out), "Braid-Detail: x  Braid-Op: delete\r\n"));
    br_buffer_free(&out);
}

// --- where to connect

static enum br_status configure(const char *url, struct br_session_config *config) {
    struct br_connect_options options = {.url = url};
    error = (struct br_error){0};
    return br_session_config_init(config, &options, &error);
}

Test(session, urls_are_taken_apart_and_userinfo_is_never_shown) {
    struct br_session_config config;
    char text[300];
    cr_assert_eq(configure("nats://anna:p%40ss@host:4333, tls://tok@[::1]:5,plain", &config), BR_OK);
    cr_assert_eq(config.server_count, 3);
    cr_assert_str_eq(config.servers[0].user, "anna");
    cr_assert_str_eq(config.servers[0].password, "p@ss");
    cr_assert_str_eq(config.servers[1].token, "tok");
    cr_assert(config.servers[1].tls && config.tls);
    cr_assert_str_eq(config.servers[2].port, "4222");
    struct br_session session = {.config = &config};
    cr_assert_str_eq(br_session_server_text(&session, text, sizeof text), "nats://host:4333");
    session.server_index = 1;
    cr_assert_str_eq(br_session_server_text(&session, text, sizeof text), "tls://[::1]:5");
    br_session_config_free(&config);
}

Test(session, a_bad_url_is_refused_without_showing_its_password) {
    const char *bad[] = {"http://u:topsecret@h:1", "nats://u:topsecret@:1", "nats://u:topsecret@h:x",
                         "nats://u:topsecret@", "nats://u:topsecret,more@h"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct br_session_config config;
        cr_assert_eq(configure(bad[i], &config), BR_FATAL, "%s", bad[i]);
        cr_assert_null(strstr(error.message, "topsecret"), "%s", error.message);
        br_session_config_free(&config);
    }
}

Test(session, servers_that_a_server_tells_of_are_added_once) {
    struct br_session_config config;
    cr_assert_eq(configure("nats://anna:pass@a:4222", &config), BR_OK);
    br_session_config_discover(&config, 0, "b:4222");
    br_session_config_discover(&config, 0, "a:4222");
    br_session_config_discover(&config, 0, "b:4222");
    br_session_config_discover(&config, 0, "not an address:");
    cr_assert_eq(config.server_count, 2);
    cr_assert_str_eq(config.servers[1].user, "anna");
    for (int i = 0; i < 200; i++) {
        char address[32];
        snprintf(address, sizeof address, "c%d:4222", i);
        br_session_config_discover(&config, 0, address);
    }
    cr_assert_leq(config.server_count, 64);
    br_session_config_free(&config);
}

Test(session, connect_carries_the_options_user_before_the_urls) {
    struct br_session_config config;
    struct br_connect_options options = {.url = "nats://url:url@h", .user = "opt", .password = "\"q\"", .name = "n"};
    struct br_buffer out = {0};
    cr_assert_eq(br_session_config_init(&config, &options, &error), BR_OK);
    struct br_session session = {.config = &config};
    cr_assert_eq(br_session_write_connect(&session, &out, &error), BR_OK);
    br_buffer_append_byte(&out, 0);
    const char *text = (const char *)out.ptr;
    cr_assert(strncmp(text, "CONNECT {", 9) == 0 && strstr(text, "}\r\n"));
    cr_assert(strstr(text, "\"user\":\"opt\"") && strstr(text, "\"pass\":\"\\\"q\\\"\""));
    cr_assert_null(strstr(text, "url"));
    br_buffer_free(&out);
    br_session_config_free(&config);
}

static enum br_status configure_api(const char *prefix, const char *domain, struct br_session_config *config) {
    struct br_connect_options options = {.js_api_prefix = prefix, .js_domain = domain};
    error = (struct br_error){0};
    return br_session_config_init(config, &options, &error);
}

Test(session, jetstreams_api_is_asked_below_a_prefix_or_a_domain) {
    struct br_session_config config;
    struct br_log log = {0};
    char subject[100], text[100];
    cr_assert_eq(configure_api(NULL, "", &config), BR_OK);
    cr_assert_null(config.api_prefix);
    br_js_api_subject(&log, "INFO", subject, sizeof subject);
    cr_assert_str_eq(subject, "$JS.API.INFO");
    cr_assert(br_slice_is(br_js_bucket_subject(&log, br_slice_of("$KV.b.k"), text, sizeof text), "$KV.b.k"));
    br_session_config_free(&config);
    cr_assert_eq(configure_api("JS.other.", NULL, &config), BR_OK);
    cr_assert_str_eq(config.api_prefix, "JS.other");
    br_session_config_free(&config);
    cr_assert_eq(configure_api(NULL, "hub", &config), BR_OK);
    log.api_prefix = config.api_prefix;
    br_js_api_subject(&log, "INFO", subject, sizeof subject);
    cr_assert_str_eq(subject, "$JS.hub.API.INFO");
    cr_assert(
        br_slice_is(br_js_bucket_subject(&log, br_slice_of("$KV.b.k"), text, sizeof text), "$JS.hub.API.$KV.b.k"));
    cr_assert(br_slice_is(br_js_bucket_subject(&log, br_slice_of("$KVx"), text, sizeof text), "$KVx"));
    br_session_config_free(&config);
    const char *bad[][2] = {{"a.*", NULL}, {"a..b", NULL}, {".", NULL}, {NULL, "a.b"},
                            {NULL, ">"},   {NULL, "a b"},  {"a", "b"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(configure_api(bad[i][0], bad[i][1], &config), BR_FATAL, "%zu", i);
        br_session_config_free(&config);
    }
}

Test(session, one_login_is_taken_and_goes_before_the_urls) {
    struct br_session_config config;
    struct br_connect_options options = {.url = "nats://anna:pass@h", .token = "t"};
    cr_assert_eq(br_session_config_init(&config, &options, &error), BR_OK);
    struct br_session_name name = br_session_name_of(&config, &config.servers[0]);
    cr_assert(name.user == NULL && name.password == NULL);
    cr_assert_str_eq(name.token, "t");
    br_session_config_free(&config);
    struct br_connect_options two[] = {{.token = "t", .user = "u"},
                                       {.token = "t", .nkey_path = "n"},
                                       {.nkey_path = "n", .creds_path = "c"},
                                       {.nkey_path = "n", .user = "u"}};
    for (size_t i = 0; i < sizeof two / sizeof two[0]; i++) {
        cr_assert_eq(br_session_config_init(&config, &two[i], &error), BR_FATAL, "%zu", i);
        br_session_config_free(&config);
    }
}

Test(session, only_versions_above_the_floor_are_usable) {
    const char *good[] = {"2.12.14", "2.12.99", "2.14.4", "2.15.1", "3.0.0", "2.14.5-beta.1"};
    const char *bad[] = {"2.12.13", "2.11.30", "2.13.5", "2.14.3", "1.4.1", "", "x"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        cr_assert(br_js_version_usable(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_not(br_js_version_usable(bad[i]), "%s", bad[i]);
}

// The pair that NATS' documentation of nkeys shows.
Test(session, a_seed_has_its_public_key) {
    char key[BR_SESSION_NKEY_SIZE];
    cr_assert(br_session_public_nkey("SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY", key));
    cr_assert_str_eq(key, "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4");
    cr_assert_not(br_session_public_nkey("UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4", key));
    cr_assert_not(br_session_public_nkey("", key));
}

Test(session, a_seed_signs_and_anything_else_does_not) {
    uint8_t one[BR_SESSION_SIGNATURE_SIZE], two[BR_SESSION_SIGNATURE_SIZE];
    const char *seed = "SUABBRI2CZCIILMP2YMM7MMKGIZ64OWXDMIWQFMMAP74S6VKCO72PCN5SI"; // made for this test
    cr_assert(br_session_sign(seed, br_slice_of("nonce"), one));
    cr_assert(br_session_sign(seed, br_slice_of("nonce"), two));
    cr_assert_arr_eq(one, two, sizeof one);
    cr_assert(br_session_sign(seed, br_slice_of("other"), two));
    cr_assert_arr_neq(one, two, sizeof one);
    cr_assert_not(br_session_sign("SUABBRI2CZCIILMP2YMM7MMKGIZ64OWXDMIWQFMMAP74S6VKCO72PCN5SA", br_slice_of("n"), one));
    cr_assert_not(br_session_sign("", br_slice_of("n"), one));
    cr_assert_not(br_session_sign("SU", br_slice_of("n"), one));
}
