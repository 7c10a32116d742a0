// SPDX-License-Identifier: Apache-2.0
// Removing folders: never anything beyond the folder that is given.
#include "state/store.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct br_error error;
static char root[64];
static char text[200];

static const char *at(const char *name) {
    snprintf(text, sizeof text, "%s/%s", root, name);
    return text;
}

static void make(const char *name) {
    cr_assert_eq(mkdir(at(name), 0700), 0);
}

static void make_file(const char *name) {
    int fd = open(at(name), O_CREAT | O_WRONLY, 0600);
    cr_assert_geq(fd, 0);
    close(fd);
}

static bool there(const char *name) {
    struct stat status;
    return lstat(at(name), &status) == 0;
}

static enum br_status remove_from(const char *below, const char *path) {
    char folder[200], full[400];
    snprintf(folder, sizeof folder, "%s/%s", root, below);
    snprintf(full, sizeof full, "%s/%s", root, path);
    return br_store_remove(folder, full, &error);
}

// data/ with a state, and what must stay: precious/ beside it.
static void open_folders(void) {
    snprintf(root, sizeof root, "/tmp/braid-remove-XXXXXX");
    cr_assert_not_null(mkdtemp(root));
    make("data");
    make("data/p");
    make("data/p/state");
    make("data/p/state/deeper");
    make_file("data/p/state/1.sst");
    make_file("data/p/state/deeper/2.sst");
    make("precious");
    make_file("precious/file");
}

static void close_folders(void) {
    cr_assert(there("precious/file"));
    cr_assert_eq(br_store_remove(NULL, root, &error), BR_OK, "%s", error.message);
    cr_assert(!there(""));
}

TestSuite(remove, .init = open_folders, .fini = close_folders);

Test(remove, takes_a_folder_with_all_that_is_in_it) {
    cr_assert_eq(remove_from("data", "data/p/state"), BR_OK, "%s", error.message);
    cr_assert(!there("data/p/state") && there("data/p"));
    cr_assert_eq(remove_from("data", "data/p/state"), BR_OK); // gone already: fine
    cr_assert_eq(remove_from("data", "data/q/state"), BR_OK);
    cr_assert_eq(remove_from("nowhere", "nowhere/state"), BR_OK);
}

Test(remove, refuses_what_lies_elsewhere) {
    static const char *const paths[] = {
        "precious", "data/../precious", "data/p/../../precious", "data/p/./state/..", "data", "data/", "data-else/p"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        cr_assert_eq(remove_from("data", paths[i]), BR_FATAL, "%s", paths[i]);
    cr_assert(there("data/p/state/1.sst"));
}

Test(remove, takes_a_link_and_not_what_it_leads_to) {
    char to[200];
    snprintf(to, sizeof to, "%s", at("precious"));
    cr_assert_eq(symlink(to, at("data/p/state/link")), 0);
    cr_assert_eq(symlink(to, at("data/p/state/deeper/link")), 0);
    cr_assert_eq(symlink(to, at("data/p/other")), 0);
    cr_assert_eq(remove_from("data", "data/p/state"), BR_OK, "%s", error.message);
    cr_assert_eq(remove_from("data", "data/p/other"), BR_OK, "%s", error.message);
    cr_assert(!there("data/p/state") && !there("data/p/other"));
}

Test(remove, goes_through_no_link) {
    char to[200];
    snprintf(to, sizeof to, "%s", at("precious"));
    make("precious/state");
    cr_assert_eq(symlink(to, at("data/q")), 0);
    cr_assert_eq(remove_from("data", "data/q/state"), BR_FATAL);
    cr_assert(strstr(error.message, "link") != NULL && strstr(error.message, "--data") != NULL, "%s", error.message);
    cr_assert(there("precious/state"));
}

Test(remove, may_be_given_a_folder_behind_a_link) {
    cr_assert_eq(symlink("data", at("elsewhere")), 0);
    cr_assert_eq(remove_from("elsewhere", "elsewhere/p/state"), BR_OK, "%s", error.message);
    cr_assert(!there("data/p/state"));
}
