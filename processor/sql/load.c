// SPDX-License-Identifier: Apache-2.0
// A pipeline from its file: SET first (the name and the descriptors are needed by all the rest), then every statement
// in the order of the file, then what needs all of them: versions, the plan.
#include "processor/sql/field_lock.h"
#include "processor/sql/sql_internal.h"

#include "processor/subject.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define DESCRIPTORS_BYTES_MAX ((size_t)64 << 20)

// --- files beside the SQL
static enum br_status read_file(const char *path, size_t most, struct br_buffer *out, struct br_error *error) {
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return br_error_set_native(error, BR_DATA, errno, "%s: %s", path, strerror(errno));
    size_t n;
    do {
        uint8_t *at = br_buffer_reserve(out, 65536);
        n = fread(at, 1, 65536, file);
        out->len += n;
    } while (n != 0 && out->len <= most);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed)
        return br_error_set(error, BR_DATA, "%s: can't be read", path);
    if (out->len > most)
        return br_error_set(error, BR_DATA, "%s: larger than %zu MiB", path, most >> 20);
    return BR_OK;
}

// --- descriptors

static void keep_descriptors(struct sql_binder *binder, struct br_slice bytes) {
    struct br_pipeline *pipeline = binder->pipeline;
    uint32_t count = pipeline->descriptor_set_count;
    struct br_slice *sets = br_arena_array(binder->arena, struct br_slice, count + 1);
    if (count != 0)
        memcpy(sets, pipeline->descriptor_sets, count * sizeof *sets);
    sets[count] = br_arena_copy(binder->arena, bytes);
    pipeline->descriptor_sets = sets;
    pipeline->descriptor_set_count = count + 1;
}

static void load_descriptors(struct sql_binder *binder, const char *path, int location) {
    struct br_buffer bytes = {0};
    struct br_error error;
    if (read_file(path, DESCRIPTORS_BYTES_MAX, &bytes, &error) != BR_OK)
        sql_error(binder, location, "make it by protoc --include_imports --descriptor_set_out=FILE", "%s",
                  error.message);
    else if (br_descriptors_add_set(binder->descriptors, br_buffer_slice(&bytes), path, &error) != BR_OK)
        sql_error_of(binder, location, &error);
    else
        keep_descriptors(binder, br_buffer_slice(&bytes));
    br_buffer_free(&bytes);
}

static void load_given(struct sql_binder *binder, struct br_slice bytes) {
    struct br_error error;
    if (br_descriptors_add_set(binder->descriptors, bytes, "stored descriptors", &error) != BR_OK)
        sql_error_of(binder, 0, &error);
    else
        keep_descriptors(binder, bytes);
}

// Relative to the SQL file.
static const char *beside(struct sql_binder *binder, const char *path) {
    const char *slash = strrchr(binder->path, '/');
    if (path[0] == '/' || slash == NULL)
        return path;
    return br_arena_printf(binder->arena, "%.*s/%s", (int)(slash - binder->path), binder->path, path);
}

static void load_listed(struct sql_binder *binder, const char *list, int location) {
    for (const char *at = list; *at != '\0';) {
        at += strspn(at, " ,");
        size_t len = strcspn(at, ",");
        size_t trimmed = len;
        while (trimmed > 0 && at[trimmed - 1] == ' ')
            trimmed--;
        if (trimmed != 0)
            load_descriptors(binder, beside(binder, br_arena_strndup(binder->arena, at, trimmed)), location);
        at += len;
    }
}

// --- field numbers
static void use_lock(struct sql_binder *binder, struct br_slice text) {
    struct br_error error;
    struct br_pipeline *pipeline = binder->pipeline;
    pipeline->fields = br_arena_copy(binder->arena, text);
    if (br_field_lock_parse(pipeline->fields, pipeline->fields_path, binder->arena, &binder->lock, &error) == BR_OK)
        binder->lock_used = br_arena_array(binder->arena, bool, binder->lock->count + 1);
    else
        sql_error(binder, binder->lock_location, "mend the line, or take the file back from version control", "%s",
                  error.message);
}

static void load_lock(struct sql_binder *binder, const char *path, int location,
                      const struct br_pipeline_options *options) {
    struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
    struct br_error error;
    struct br_pipeline *pipeline = binder->pipeline;
    if (pipeline->fields_path != NULL) {
        sql_error(binder, location, "one file holds the numbers of all messages", "braid.fields is set twice");
        return;
    }
    bool stored = options != NULL && options->stored;
    pipeline->fields_path = br_arena_strdup(binder->arena, stored ? path : beside(binder, path));
    binder->lock_location = location;
    if (options != NULL && options->unlocked)
        return;
    if (stored) {
        if (options->fields.ptr == NULL)
            sql_error(binder, location, NULL, "the field numbers of %s were not stored with this text", path);
        else
            use_lock(binder, options->fields);
    } else if (read_file(pipeline->fields_path, BR_FIELD_LOCK_BYTES_MAX, &text, &error) != BR_OK) {
        sql_error(
            binder, location,
            br_arena_printf(binder->arena,
                            "take it from where the SQL file comes from; when there is none yet, make it by braid "
                            "schema lock %s",
                            binder->path),
            "%s", error.message);
    } else {
        *br_buffer_reserve(&text, 1) = '\0'; // so that an empty file has a place
        use_lock(binder, br_buffer_slice(&text));
    }
}

// --- the name
static bool valid_name(const char *name) {
    for (const char *at = name; *at != '\0'; at++)
        if (!isalnum((unsigned char)*at) && *at != '_' && *at != '-')
            return false;
    return *name != '\0' && strlen(name) <= 64;
}

static const char *name_of_file(struct br_arena *arena, const char *path) {
    const char *slash = strrchr(path, '/');
    const char *base = slash == NULL ? path : slash + 1;
    size_t len = strlen(base);
    if (len > 4 && strcmp(base + len - 4, ".sql") == 0)
        len -= 4;
    len = len > 64 ? 64 : len;
    const char *name = sql_subject_token(arena, br_arena_strndup(arena, base, len));
    return *name == '\0' ? "pipeline" : name;
}

enum { SETTING_PIPELINE, SETTING_DESCRIPTORS, SETTING_ARCHIVE, SETTING_FIELDS, SETTING_COUNT };
static const char *const setting_names[] = {"braid.pipeline", "braid.descriptors", "braid.archive", "braid.fields"};

static const char *setting_text(const PgQuery__Node *node) {
    return node->node_case == PG_QUERY__NODE__NODE_A_CONST && node->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL
               ? node->a_const->sval->sval
               : NULL;
}

static void bind_set(struct sql_binder *binder, const PgQuery__VariableSetStmt *set,
                     const struct br_pipeline_options *options) {
    bool named = options != NULL && options->name != NULL, stored = options != NULL && options->stored;
    int location = binder->statement;
    if (!sql_only(binder, set, "kind name args"))
        return;
    if (set->kind != PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE) {
        sql_error(binder, location, "SET braid.pipeline = 'name'", "only SET name = value is supported");
        return;
    }
    int setting = 0;
    while (setting < SETTING_COUNT && strcmp(set->name, setting_names[setting]) != 0)
        setting++;
    if (setting == SETTING_COUNT) {
        struct sql_nearest nearest = {.wanted = set->name};
        for (size_t i = 0; i < SETTING_COUNT; i++)
            sql_nearest_try(&nearest, setting_names[i]);
        const char *hint = sql_nearest_hint(binder, &nearest);
        sql_error(binder, location,
                  hint != NULL ? hint : "settings are braid.pipeline, braid.descriptors, braid.archive, braid.fields",
                  "unrecognized configuration parameter \"%s\"", set->name);
        return;
    }
    for (size_t i = 0; i < set->n_args; i++) {
        const char *text = setting_text(set->args[i]);
        location = sql_at_node(binder, set->args[i]);
        if (text == NULL)
            sql_error(binder, location, "write it as a string: '…'", "%s needs a string", set->name);
        else if (setting == SETTING_DESCRIPTORS && stored)
            continue; // they came with the text
        else if (setting == SETTING_DESCRIPTORS)
            load_listed(binder, text, location);
        else if (setting == SETTING_ARCHIVE)
            binder->archive_path = sql_archive_path(binder, text, location);
        else if (setting == SETTING_FIELDS)
            load_lock(binder, text, location, options);
        else if (set->n_args > 1 || !valid_name(text))
            sql_error(binder, location, "letters, digits, _ and -, at most 64", "invalid pipeline name '%s'", text);
        else if (!named)
            binder->pipeline->name = br_arena_strdup(binder->arena, text);
    }
}

// --- statements
static const char *first_words(struct sql_binder *binder, const struct sql_statement *statement) {
    struct br_buffer out = {0};
    int at = statement->begin, words = 0;
    for (; at < statement->end && words < 3; words++) {
        int begin = at;
        while (at < statement->end && (isalpha((unsigned char)binder->text[at]) || binder->text[at] == '_'))
            at++;
        if (at == begin)
            break;
        if (words == 2 && (strncasecmp(binder->text + statement->begin, "create", 6) != 0 ||
                           (at - begin == 2 && strncasecmp(binder->text + begin, "on", 2) == 0)))
            break;
        br_buffer_append_text(&out, words == 0 ? "" : " ");
        for (int i = begin; i < at; i++)
            br_buffer_append_byte(&out, (uint8_t)toupper((unsigned char)binder->text[i]));
        at = sql_skip_blank(binder->text, at, statement->end);
        if (words == 0 && strncasecmp(binder->text + begin, "create", 6) != 0 &&
            strncasecmp(binder->text + begin, "alter", 5) != 0 && strncasecmp(binder->text + begin, "drop", 4) != 0)
            break;
        if (words == 1 && !isupper((unsigned char)binder->text[at]))
            break;
    }
    const char *text = br_arena_strndup(binder->arena, (const char *)out.ptr, out.len);
    br_buffer_free(&out);
    return text;
}

static void unsupported_statement(struct sql_binder *binder, const struct sql_statement *statement) {
    sql_error(binder, statement->begin,
              "statements are SET, CREATE TABLE, CREATE TYPE, CREATE FUNCTION, CREATE CAST, CREATE VIEW, CREATE "
              "MATERIALIZED VIEW, COMMENT ON",
              "%s is not supported in a pipeline", first_words(binder, statement));
}

static void bind_statement(struct sql_binder *binder, const struct sql_statement *statement) {
    const PgQuery__Node *node = statement->node;
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_VARIABLE_SET_STMT:
        return; // the first pass did
    case PG_QUERY__NODE__NODE_CREATE_STMT:
        sql_bind_table(binder, node->create_stmt);
        return;
    case PG_QUERY__NODE__NODE_COMPOSITE_TYPE_STMT:
        sql_bind_composite(binder, node->composite_type_stmt);
        return;
    case PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT:
        sql_bind_function_statement(binder, node->create_function_stmt);
        return;
    case PG_QUERY__NODE__NODE_CREATE_CAST_STMT:
        sql_bind_cast(binder, node->create_cast_stmt);
        return;
    case PG_QUERY__NODE__NODE_VIEW_STMT:
        sql_bind_plain_view(binder, node->view_stmt);
        return;
    case PG_QUERY__NODE__NODE_COMMENT_STMT:
        sql_bind_comment(binder, node->comment_stmt);
        return;
    case PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT:
        if (node->create_table_as_stmt->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW) {
            sql_bind_view(binder, statement, node->create_table_as_stmt);
            return;
        }
        sql_error(binder, statement->begin, "use CREATE MATERIALIZED VIEW name AS SELECT …",
                  "CREATE TABLE AS is not supported");
        return;
    case PG_QUERY__NODE__NODE_SELECT_STMT:
        sql_error(binder, statement->begin, "use CREATE MATERIALIZED VIEW name AS SELECT …, or braid query",
                  "a SELECT of its own is not supported in a pipeline");
        return;
    case PG_QUERY__NODE__NODE_CREATE_ENUM_STMT:
        sql_error(binder, statement->begin, "use text, with CHECK (x IN ('a', 'b')) in the table",
                  "CREATE TYPE … AS ENUM is not supported");
        return;
    case PG_QUERY__NODE__NODE_CREATE_DOMAIN_STMT:
        sql_error(binder, statement->begin, "use the type itself, with CHECK in the table",
                  "CREATE DOMAIN is not supported");
        return;
    default:
        unsupported_statement(binder, statement);
    }
}

static void enter(struct sql_binder *binder, const struct sql_statement *statement) {
    binder->base = statement->base;
    binder->fixed = false;
    binder->statement = statement->begin;
    binder->depth = 0;
}

// Bodies of functions mention nested fields too.
static void collect_from_bodies(struct sql_binder *binder, const PgQuery__CreateFunctionStmt *function) {
    for (size_t i = 0; i < function->n_options; i++) {
        const PgQuery__DefElem *element = function->options[i]->def_elem;
        if (strcmp(element->defname, "as") != 0 || element->arg == NULL ||
            element->arg->node_case != PG_QUERY__NODE__NODE_LIST || element->arg->list->n_items != 1 ||
            sql_string(element->arg->list->items[0]) == NULL)
            continue;
        struct br_diagnostics *ignored = br_diagnostics_create(binder->path, "");
        struct sql_binder inner = {.arena = binder->arena, .diagnostics = ignored};
        struct sql_statements statements;
        if (sql_parse(&inner, sql_string(element->arg->list->items[0]), 0, true, &statements))
            for (uint32_t j = 0; j < statements.count; j++)
                sql_collect_paths(binder, statements.list[j].node);
        br_diagnostics_destroy(&ignored);
    }
}

// What is planned into its users leaves no trace of its own in the plan.
static void note_definition(struct sql_binder *binder, const struct sql_statement *statement) {
    struct br_pipeline *pipeline = binder->pipeline;
    const PgQuery__Node *node = statement->node;
    const char *name = NULL;
    bool function = node->node_case == PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT;
    if (function && node->create_function_stmt->n_funcname != 0)
        name = sql_string(node->create_function_stmt->funcname[node->create_function_stmt->n_funcname - 1]);
    else if (node->node_case == PG_QUERY__NODE__NODE_VIEW_STMT)
        name = node->view_stmt->view->relname;
    if (name == NULL)
        return;
    pipeline->definitions[pipeline->definition_count++] =
        (struct br_definition){.name = br_arena_strdup(binder->arena, name),
                               .text = br_arena_strndup(binder->arena, binder->text + statement->begin,
                                                        (size_t)(statement->end - statement->begin)),
                               .function = function};
}

static void bind_file(struct sql_binder *binder, const struct sql_statements *statements,
                      const struct br_pipeline_options *options) {
    struct br_pipeline *pipeline = binder->pipeline;
    pipeline->tables = br_arena_array(binder->arena, struct br_table, statements->count + 1);
    if (options != NULL && options->select != NULL)
        sql_collect_select_paths(binder, options->select);
    for (size_t i = 0; options != NULL && i < options->condition_count; i++)
        sql_collect_select_paths(binder, options->conditions[i]);
    pipeline->views = br_arena_array(binder->arena, struct br_view, statements->count + 1);
    pipeline->types = br_arena_array(binder->arena, const struct br_row_type *, statements->count + 1);
    pipeline->definitions = br_arena_array(binder->arena, struct br_definition, statements->count + 1);
    for (uint32_t i = 0; i < statements->count; i++) {
        const PgQuery__Node *node = statements->list[i].node;
        enter(binder, &statements->list[i]);
        if (node->node_case == PG_QUERY__NODE__NODE_VARIABLE_SET_STMT)
            bind_set(binder, node->variable_set_stmt, options);
        if (node->node_case == PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT)
            collect_from_bodies(binder, node->create_function_stmt);
        sql_collect_paths(binder, node);
    }
    for (uint32_t i = 0; i < statements->count && !sql_is_exhausted(binder); i++) {
        enter(binder, &statements->list[i]);
        note_definition(binder, &statements->list[i]);
        bind_statement(binder, &statements->list[i]);
    }
    binder->statement = 0;
    sql_bind_versions(binder);
}

// What the pipeline writes is no input of its own: it would never come to an end.
static void check_no_circle(struct sql_binder *binder) {
    const struct br_pipeline *pipeline = binder->pipeline;
    const char *own = br_arena_printf(binder->arena, "braid.%s.>", pipeline->name);
    for (const struct sql_symbol *symbol = binder->symbols; symbol != NULL && binder->rules >= 1;
         symbol = symbol->next) {
        const struct br_table *table = symbol->table;
        if (symbol->kind != SQL_TABLE || table == NULL || table->subject == NULL)
            continue;
        const char *why = br_subject_templates_overlap(table->subject, own)
                              ? br_arena_printf(binder->arena, "%s is where the pipeline itself writes", own)
                              : NULL;
        for (uint32_t v = 0; v < pipeline->view_count && why == NULL; v++)
            if (br_subject_templates_overlap(table->subject, pipeline->views[v].subject))
                why = br_arena_printf(binder->arena, "view \"%s\" writes to '%s'", pipeline->views[v].name,
                                      pipeline->views[v].subject);
        if (why != NULL)
            sql_error(binder, symbol->location,
                      "read the view by its name in FROM, or give one of them another subject",
                      "table \"%s\" would read what its own pipeline writes: %s", table->name, why);
    }
}

// Nothing may fail in silence: what depends on a failed statement is quiet because that statement was loud.
static void check_silence(struct sql_binder *binder) {
    for (const struct sql_symbol *symbol = binder->symbols; symbol != NULL; symbol = symbol->next)
        if (symbol->poisoned && binder->diagnostics->error_count == 0)
            sql_error(binder, 0, "simplify it, or make its plain views materialized", "\"%s\" can't be planned",
                      symbol->name);
}

static enum br_status load(struct sql_binder *binder, const struct br_pipeline_options *options,
                           struct br_error *error) {
    struct br_pipeline *pipeline = binder->pipeline;
    struct sql_statements statements;
    bool named = options != NULL && options->name != NULL;
    pipeline->name = named ? br_arena_strdup(binder->arena, options->name) : name_of_file(binder->arena, binder->path);
    if (!valid_name(pipeline->name))
        sql_error(binder, 0, "letters, digits, _ and -, at most 64", "invalid pipeline name '%s'", pipeline->name);
    for (size_t i = 0; options != NULL && i < options->descriptor_path_count; i++)
        load_descriptors(binder, options->descriptor_paths[i], 0);
    for (size_t i = 0; options != NULL && i < options->descriptor_set_count; i++)
        load_given(binder, options->descriptor_sets[i]);
    if (br_utf8_valid_prefix(br_slice_of(binder->text)) != strlen(binder->text)) {
        sql_error(binder, (int)br_utf8_valid_prefix(br_slice_of(binder->text)), "save the file as UTF-8",
                  "the file is not valid UTF-8");
        return BR_OK;
    }
    if (strncmp(binder->text, "\xEF\xBB\xBF", 3) == 0) { // a byte order mark, as some editors write
        char *text = br_arena_strdup(binder->arena, binder->text);
        memset(text, ' ', 3);
        binder->text = text;
    }
    sql_parse(binder, binder->text, 0, false, &statements);
    if (sql_is_exhausted(binder))
        return BR_OK;
    bind_file(binder, &statements, options);
    check_no_circle(binder);
    check_silence(binder);
    if (binder->diagnostics->error_count == 0)
        sql_check_lock(binder);
    if (binder->diagnostics->error_count != 0 ||
        (options != NULL && options->select != NULL && !sql_bind_history(binder, options)))
        return BR_OK;
    BR_TRY(sql_narrow(binder, error));
    sql_finish_plan(binder);
    return BR_OK;
}

enum br_status br_pipeline_load(const char *path, const char *text, const struct br_pipeline_options *options,
                                struct br_diagnostics *diagnostics, struct br_pipeline **ret_pipeline,
                                struct br_error *error) {
    struct br_arena *arena = br_arena_create();
    struct br_pipeline *pipeline = br_arena_new(arena, struct br_pipeline);
    pipeline->arena = arena;
    pipeline->path = br_arena_strdup(arena, path);
    pipeline->text = br_arena_strdup(arena, text);
    pipeline->descriptors = br_descriptors_create();
    struct sql_binder binder = {.arena = arena,
                                .diagnostics = diagnostics,
                                .text = br_arena_strdup(arena, text),
                                .path = pipeline->path,
                                .pipeline = pipeline,
                                .descriptors = pipeline->descriptors,
                                .changes = options == NULL ? NULL : options->changes};
    binder.rules = pipeline->rules = options == NULL || options->rules == NULL ? BR_BINDING_RULES : *options->rules;
    pipeline->lateness_set = binder.changes != NULL && binder.changes->lateness_set;
    pipeline->lateness_us = pipeline->lateness_set ? binder.changes->lateness_us : 0;
    enum br_status status = load(&binder, options, error);
    if (status != BR_OK) {
        br_pipeline_destroy(&pipeline);
        return status;
    }
    sql_diagnostics_sort(diagnostics);
    uint32_t errors = diagnostics->error_count;
    if (errors == 0 && options != NULL && options->select != NULL) {
        sql_diagnostics_sort(options->select_diagnostics);
        path = options->select_diagnostics->path;
        errors = options->select_diagnostics->error_count;
    }
    if (errors == 0) {
        *ret_pipeline = pipeline;
        return BR_OK;
    }
    br_pipeline_destroy(&pipeline);
    return br_error_set(error, BR_DATA, "%s: %u error%s", path, errors, errors == 1 ? "" : "s");
}

enum br_status br_pipeline_change(const struct br_pipeline *pipeline, const struct br_plan_changes *changes,
                                  struct br_pipeline **ret_pipeline, struct br_error *error) {
    struct br_pipeline_options options = {.name = pipeline->name,
                                          .descriptor_sets = pipeline->descriptor_sets,
                                          .descriptor_set_count = pipeline->descriptor_set_count,
                                          .fields = pipeline->fields,
                                          .stored = true,
                                          .unlocked = pipeline->fields_path != NULL && pipeline->fields.ptr == NULL,
                                          .changes = changes,
                                          .rules = &pipeline->rules};
    struct br_diagnostics *diagnostics = br_diagnostics_create(pipeline->path, pipeline->text);
    enum br_status status =
        br_pipeline_load(pipeline->path, pipeline->text, &options, diagnostics, ret_pipeline, error);
    if (status != BR_OK && diagnostics->count != 0)
        status = br_error_set(error, BR_DATA, "pipeline %s can't be planned again: %s", pipeline->name,
                              diagnostics->list[0].message);
    br_diagnostics_destroy(&diagnostics);
    return status;
}

void br_pipeline_destroy(struct br_pipeline **pipeline) {
    if (*pipeline == NULL)
        return;
    struct br_arena *arena = (*pipeline)->arena;
    br_descriptors_destroy(&(*pipeline)->descriptors);
    *pipeline = NULL;
    br_arena_destroy(&arena);
}

const struct br_table *br_pipeline_find_table(const struct br_pipeline *pipeline, const char *name) {
    for (uint32_t i = 0; i < pipeline->table_count; i++)
        if (strcmp(pipeline->tables[i].name, name) == 0)
            return &pipeline->tables[i];
    return NULL;
}

const struct br_view *br_pipeline_find_view(const struct br_pipeline *pipeline, const char *name) {
    for (uint32_t i = 0; i < pipeline->view_count; i++)
        if (strcmp(pipeline->views[i].name, name) == 0)
            return &pipeline->views[i];
    return NULL;
}
