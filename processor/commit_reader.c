// SPDX-License-Identifier: Apache-2.0
// See commit_reader.h.
#include "processor/commit_reader.h"

#include "processor/semantics.h"

#include <inttypes.h>

// What the commit says of one input: positions and counts that can be true together.
static const char *wrong_with_input(const Braid__V1__InputPosition *input) {
    if (input->n_trail > BR_TRAIL_MAX)
        return "it has more fingerprints of an input than any build records";
    if (input->messages == 0)
        return input->first_sequence == 0 ? NULL : "an input has a first message without having any";
    if (input->first_sequence == 0 || input->last_sequence < input->first_sequence ||
        input->messages - 1 > input->last_sequence - input->first_sequence)
        return "the positions of an input contradict each other";
    return NULL;
}

// Lineages name folders and subjects.
static bool is_lineage(const char *name) {
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return len != 0 && len < 64 && name[len] == '\0';
}

static const char *wrong_with_itself(const Braid__V1__Commit *commit) {
    if (!is_lineage(commit->lineage))
        return "it bears no lineage's name";
    if (commit->epoch == 0 || commit->parts == 0 || commit->part == 0 || commit->part > commit->parts)
        return "its epoch or part numbers are out of range";
    for (uint32_t i = 0; i < commit->n_inputs; i++) {
        const char *why = wrong_with_input(commit->inputs[i]);
        if (why != NULL)
            return why;
    }
    return NULL;
}

bool br_commit_is_foreign(const struct br_log_message *message) {
    if (br_log_message_fenced(message))
        return false;
    Braid__V1__Commit *commit = braid__v1__commit__unpack(NULL, message->payload.len, message->payload.ptr);
    bool foreign = commit == NULL || wrong_with_itself(commit) != NULL;
    if (commit != NULL)
        braid__v1__commit__free_unpacked(commit, NULL);
    return foreign;
}

static const char *wrong_with(const struct br_pipeline *pipeline, const Braid__V1__Commit *commit) {
    if (commit->n_inputs != pipeline->table_count || commit->n_views != pipeline->view_count)
        return "it has another number of tables or views than the pipeline";
    for (uint32_t i = 0; i < pipeline->table_count; i++)
        if (strcmp(commit->inputs[i]->table, pipeline->tables[i].name) != 0)
            return "its tables aren't those of the pipeline";
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        if (strcmp(commit->views[v]->view, pipeline->views[v].name) != 0)
            return "its views aren't those of the pipeline";
    return NULL;
}

static enum br_status refuse(const char *pipeline_name, Braid__V1__Commit *take_commit, const char *why,
                             struct br_error *error) {
    br_error_set(error, BR_FATAL,
                 "commit of epoch %" PRIu64
                 " of pipeline %s: %s; the SQL file changed, or another pipeline has the same name",
                 take_commit->epoch, pipeline_name, why);
    braid__v1__commit__free_unpacked(take_commit, NULL);
    return BR_FATAL;
}

enum br_status br_commit_unpack(const char *pipeline_name, struct br_slice bytes, Braid__V1__Commit **ret_commit,
                                struct br_error *error) {
    Braid__V1__Commit *commit = braid__v1__commit__unpack(NULL, bytes.len, bytes.ptr);
    if (commit == NULL)
        return br_error_set(error, BR_FATAL,
                            "a commit message of pipeline %s can't be read: it isn't a braid.v1.Commit. Something else "
                            "was published on the subject of its commits",
                            pipeline_name);
    const char *why = wrong_with_itself(commit);
    if (why != NULL)
        return refuse(pipeline_name, commit, why, error);
    if (commit->semantics > br_semantics()) {
        br_error_set(error, BR_FATAL,
                     "epoch %" PRIu64 " of pipeline %s was computed by a later build than this one (semantics %u; this "
                     "one knows those up to %u): there is no way back to this build. Run that one, or a later one",
                     commit->epoch, pipeline_name, commit->semantics, br_semantics());
        braid__v1__commit__free_unpacked(commit, NULL);
        return BR_FATAL;
    }
    *ret_commit = commit;
    return BR_OK;
}

enum br_status br_commit_of(const char *pipeline_name, const struct br_log_message *message,
                            Braid__V1__Commit **ret_commit, struct br_error *error) {
    *ret_commit = NULL;
    if (br_commit_is_foreign(message))
        return BR_OK;
    if (br_commit_unpack(pipeline_name, message->payload, ret_commit, error) == BR_OK)
        return BR_OK;
    return br_error_context(error, "message %" PRIu64 " on %.*s", message->sequence, (int)message->subject.len,
                            (const char *)message->subject.ptr);
}

enum br_status br_commit_read(const struct br_pipeline *pipeline, struct br_slice bytes, Braid__V1__Commit **ret_commit,
                              struct br_error *error) {
    Braid__V1__Commit *commit;
    BR_TRY(br_commit_unpack(pipeline->name, bytes, &commit, error));
    const char *why = wrong_with(pipeline, commit);
    if (why != NULL)
        return refuse(pipeline->name, commit, why, error);
    *ret_commit = commit;
    return BR_OK;
}
