// SPDX-License-Identifier: Apache-2.0
// WITH (name = value, …): a table of what there is says what may stand there and how it is read.
#include "processor/sql/sql_internal.h"

#include "processor/expr/datetime.h"

#include <strings.h>

static struct sql_option *find_option(struct sql_option *options, uint32_t count, const char *name) {
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

static const char *known_options(struct sql_binder *binder, const struct sql_option *options, uint32_t count) {
    const char *list = "";
    for (uint32_t i = 0; i < count; i++)
        list = br_arena_printf(binder->arena, "%s%s%s", list, i == 0 ? "" : ", ", options[i].name);
    return list;
}

// What the option is set to, as text: a string, a bare word, a number. NULL: none of these.
static const char *value_text(struct sql_binder *binder, const PgQuery__Node *node) {
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_STRING:
        return node->string->sval;
    case PG_QUERY__NODE__NODE_TYPE_NAME: // json is a type of the grammar since PostgreSQL 17: pg_catalog.json
        if (node->type_name->n_names == 2 && sql_is_string(node->type_name->names[0], "pg_catalog"))
            return sql_string(node->type_name->names[1]);
        return node->type_name->n_names == 1 ? sql_string(node->type_name->names[0]) : NULL;
    case PG_QUERY__NODE__NODE_INTEGER:
        return br_arena_printf(binder->arena, "%d", node->integer->ival);
    case PG_QUERY__NODE__NODE_FLOAT:
        return node->float_->fval;
    default:
        return NULL;
    }
}

static bool read_boolean(struct sql_binder *binder, struct sql_option *option, const char *text) {
    static const char *const words[] = {"true", "on", "yes", "1", "false", "off", "no", "0"};
    for (size_t i = 0; i < 8; i++)
        if (strcasecmp(words[i], text) == 0) {
            option->number = i < 4;
            return true;
        }
    sql_error(binder, option->location, "true or false", "%s requires a Boolean value, not '%s'", option->name, text);
    return false;
}

static bool read_interval(struct sql_binder *binder, struct sql_option *option, const char *text) {
    struct br_interval interval;
    if (!br_interval_parse(br_slice_of(text), &interval)) {
        sql_error(binder, option->location, "for example '5 seconds', '1 hour'", "invalid interval for %s: '%s'",
                  option->name, text);
        return false;
    }
    if (!br_interval_to_us(interval, &option->number)) {
        sql_error(binder, option->location, "use days", "%s can't have months: they differ in length", option->name);
        return false;
    }
    if (option->number < 0) {
        sql_error(binder, option->location, NULL, "%s must not be negative", option->name);
        return false;
    }
    return true;
}

static bool read_bytes(struct sql_binder *binder, struct sql_option *option, const char *text) {
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"", 1},      {"B", 1},        {"kB", 1e3},        {"MB", 1e6},           {"GB", 1e9},
                 {"TB", 1e12}, {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}, {"TiB", 1099511627776.0}};
    char *unit;
    double number = strtod(text, &unit);
    bool has_number = unit != text && number > 0;
    unit += strspn(unit, " ");
    for (size_t i = 0; has_number && i < sizeof units / sizeof units[0]; i++)
        if (strcasecmp(unit, units[i].name) == 0 && number * units[i].bytes >= 1 && number * units[i].bytes < 9e18) {
            option->number = (int64_t)(number * units[i].bytes);
            return true;
        }
    sql_error(binder, option->location, "for example '500 MB', '20 GiB'", "invalid size for %s: '%s'", option->name,
              text);
    return false;
}

static const char *choices_hint(struct sql_binder *binder, const char *choices) {
    const char *list = "one of";
    for (const char *at = choices; *at != '\0'; at += strspn(at, " ")) {
        int len = (int)strcspn(at, " ");
        list = br_arena_printf(binder->arena, "%s%s '%.*s'", list, at == choices ? "" : ",", len, at);
        at += len;
    }
    return list;
}

static bool read_choice(struct sql_binder *binder, struct sql_option *option, const char *text) {
    int64_t index = 0;
    for (const char *at = option->choices; *at != '\0'; index++) {
        size_t len = strcspn(at, " ");
        if (strlen(text) == len && strncasecmp(at, text, len) == 0) {
            option->number = index;
            return true;
        }
        at += len;
        at += strspn(at, " ");
    }
    sql_error(binder, option->location, choices_hint(binder, option->choices), "invalid value for %s: '%s'",
              option->name, text);
    return false;
}

static bool read_option(struct sql_binder *binder, struct sql_option *option, const PgQuery__DefElem *element) {
    const char *text = element->arg == NULL ? NULL : value_text(binder, element->arg);
    if (element->arg == NULL && option->kind == SQL_OPTION_BOOLEAN)
        text = "true";
    if (text == NULL) {
        sql_error(binder, option->location, br_arena_printf(binder->arena, "write %s = '…'", option->name),
                  "%s needs a value", option->name);
        return false;
    }
    option->text = br_arena_strdup(binder->arena, text);
    switch (option->kind) {
    case SQL_OPTION_TEXT:
        if (*text != '\0')
            return true;
        sql_error(binder, option->location, NULL, "%s must not be empty", option->name);
        return false;
    case SQL_OPTION_BOOLEAN:
        return read_boolean(binder, option, text);
    case SQL_OPTION_INTERVAL:
        return read_interval(binder, option, text);
    case SQL_OPTION_CHOICE:
        return read_choice(binder, option, text);
    case SQL_OPTION_BYTES:
        return read_bytes(binder, option, text);
    }
    return false;
}

bool sql_options(struct sql_binder *binder, PgQuery__Node **elements, size_t count, struct sql_option *options,
                 uint32_t option_count, const char *of) {
    bool ok = true;
    for (size_t i = 0; i < count; i++) {
        const PgQuery__DefElem *element = elements[i]->def_elem;
        int location = sql_at(binder, element->location);
        bool plain = element->defnamespace == NULL || *element->defnamespace == '\0';
        struct sql_option *option = plain ? find_option(options, option_count, element->defname) : NULL;
        if (option == NULL) {
            struct sql_nearest nearest = {.wanted = element->defname};
            for (uint32_t j = 0; j < option_count; j++)
                sql_nearest_try(&nearest, options[j].name);
            const char *near = sql_nearest_hint(binder, &nearest),
                       *known = known_options(binder, options, option_count);
            sql_error(binder, location,
                      br_arena_printf(binder->arena, "%s%sthe options of %s are %s", near == NULL ? "" : near,
                                      near == NULL ? "" : " ", of, known),
                      "unknown option \"%s\"", element->defname);
            ok = false;
            continue;
        }
        if (option->given) {
            sql_error(binder, location, NULL, "option \"%s\" is given twice", option->name);
            ok = false;
            continue;
        }
        option->location = location;
        option->given = read_option(binder, option, element);
        ok &= option->given;
    }
    return ok;
}

const char *sql_archive_path(struct sql_binder *binder, const char *url, int location) {
    static const char scheme[] = "file://";
    static const char hint[] = "an archive is a folder, named by its whole path: file:///var/lib/braid/archive";
    const char *colon = strstr(url, "://");
    if (colon != NULL && strncmp(url, scheme, sizeof scheme - 1) != 0) {
        sql_error(binder, location, hint, "unknown kind of archive \"%.*s://\"", (int)(colon - url), url);
        return NULL;
    }
    if (colon == NULL || url[sizeof scheme - 1] != '/') {
        sql_error(binder, location, hint, "invalid archive '%s'", url);
        return NULL;
    }
    return br_arena_strdup(binder->arena, url + sizeof scheme - 1);
}
