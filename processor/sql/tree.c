// SPDX-License-Identifier: Apache-2.0
// What the binder needs to know of any parse tree: where it stands, what it holds, and which of its fields nobody looks
// at. Works on the descriptors of libpg_query's messages, so that a field that a newer grammar adds is an error that
// names it, not a clause that is ignored.
#include "processor/sql/sql_internal.h"

// --- reflection
static const void *field_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field) {
    return (const char *)message + field->offset;
}
static size_t field_count(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field) {
    const char *quantifier = (const char *)message + field->quantifier_offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)(const void *)quantifier;
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
        return *(const uint32_t *)(const void *)quantifier == field->id ? 1 : 0;
    return 1;
}
// The i-th sub-message of a field, NULL when it is absent.
static const ProtobufCMessage *field_message(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                                             size_t i) {
    const void *at = field_of(message, field);
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return (*(const ProtobufCMessage *const *const *)at)[i];
    return *(const ProtobufCMessage *const *)at;
}

static bool too_deep(const ProtobufCMessage *message, unsigned depth) {
    if (depth > SQL_TREE_DEPTH_MAX * 2) // a Node and what it holds are two messages
        return true;
    for (unsigned f = 0; f < message->descriptor->n_fields; f++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[f];
        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        size_t count = field_count(message, field);
        for (size_t i = 0; i < count; i++) {
            const ProtobufCMessage *child = field_message(message, field, i);
            if (child != NULL && too_deep(child, depth + 1))
                return true;
        }
    }
    return false;
}

bool sql_too_deep(const void *tree) {
    return too_deep(tree, 0);
}

// --- looking at trees
const ProtobufCMessage *sql_message(const PgQuery__Node *node) {
    if (node == NULL || node->node_case == PG_QUERY__NODE__NODE__NOT_SET)
        return NULL;
    return (const ProtobufCMessage *)node->select_stmt; // all members of the union are messages
}

int sql_location(const void *tree) {
    const ProtobufCMessage *message = tree;
    if (message->descriptor == &pg_query__node__descriptor) {
        const ProtobufCMessage *inner = sql_message((const PgQuery__Node *)tree);
        return inner == NULL ? -1 : sql_location(inner);
    }
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, "location");
    if (field != NULL && field->type == PROTOBUF_C_TYPE_INT32) {
        int location = *(const int32_t *)field_of(message, field);
        if (location > 0)
            return location;
        if (location == 0 && message->descriptor != &pg_query__type_cast__descriptor)
            return 0;
    }
    for (unsigned f = 0; f < message->descriptor->n_fields; f++) {
        field = &message->descriptor->fields[f];
        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        size_t count = field_count(message, field);
        for (size_t i = 0; i < count; i++) {
            const ProtobufCMessage *child = field_message(message, field, i);
            int location = child == NULL ? -1 : sql_location(child);
            if (location >= 0)
                return location;
        }
    }
    return -1;
}

int sql_at(const struct sql_binder *binder, int location) {
    if (binder->fixed)
        return binder->base;
    return location < 0 ? binder->statement : binder->base + location;
}

const char *sql_string(const PgQuery__Node *node) {
    return node != NULL && node->node_case == PG_QUERY__NODE__NODE_STRING ? node->string->sval : NULL;
}

bool sql_is_string(const PgQuery__Node *node, const char *text) {
    const char *string = sql_string(node);
    return string != NULL && strcmp(string, text) == 0;
}

const char *sql_dotted(struct sql_binder *binder, PgQuery__Node **names, size_t count) {
    struct br_buffer out = {0};
    for (size_t i = 0; i < count; i++) {
        const char *name = sql_string(names[i]);
        br_buffer_append_text(&out, i == 0 ? "" : ".");
        br_buffer_append_text(&out, name == NULL ? "*" : name);
    }
    const char *text = br_arena_strndup(binder->arena, (const char *)out.ptr, out.len);
    br_buffer_free(&out);
    return text;
}

void sql_collect_paths(struct sql_binder *binder, const void *tree) {
    const ProtobufCMessage *message = tree;
    const char *path = NULL;
    if (message->descriptor == &pg_query__column_ref__descriptor) {
        const PgQuery__ColumnRef *ref = tree;
        if (ref->n_fields > 1 && sql_string(ref->fields[ref->n_fields - 1]) != NULL)
            path = sql_dotted(binder, ref->fields, ref->n_fields);
    } else if (message->descriptor == &pg_query__a__indirection__descriptor) {
        const PgQuery__AIndirection *indirection = tree;
        if (indirection->arg != NULL && indirection->arg->node_case == PG_QUERY__NODE__NODE_COLUMN_REF) {
            const PgQuery__ColumnRef *ref = indirection->arg->column_ref;
            path = br_arena_printf(binder->arena, "%s.%s", sql_dotted(binder, ref->fields, ref->n_fields),
                                   sql_dotted(binder, indirection->indirection, indirection->n_indirection));
        }
    }
    if (path != NULL) {
        if ((binder->path_count & (binder->path_count - 1)) == 0) {
            const char **paths = br_arena_array(binder->arena, const char *, binder->path_count * 2 + 1);
            if (binder->path_count != 0)
                memcpy(paths, binder->paths, binder->path_count * sizeof *paths);
            binder->paths = paths;
        }
        binder->paths[binder->path_count++] = path;
    }
    for (unsigned f = 0; f < message->descriptor->n_fields; f++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[f];
        size_t count = field->type == PROTOBUF_C_TYPE_MESSAGE ? field_count(message, field) : 0;
        for (size_t i = 0; i < count; i++) {
            const ProtobufCMessage *child = field_message(message, field, i);
            if (child != NULL)
                sql_collect_paths(binder, child);
        }
    }
}

// --- what nobody looks at is an error
static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field) {
    const void *at = field_of(message, field);
    if (field->label == PROTOBUF_C_LABEL_REPEATED || (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
        return field_count(message, field) != 0;
    switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(const void *const *)at != NULL;
    case PROTOBUF_C_TYPE_STRING:
        return *(const char *const *)at != NULL && **(const char *const *)at != '\0';
    case PROTOBUF_C_TYPE_BOOL:
        return *(const protobuf_c_boolean *)at != 0;
    case PROTOBUF_C_TYPE_ENUM: // 0 is "undefined" in libpg_query, 1 the default of PostgreSQL's enum
        return *(const int *)at > 1;
    case PROTOBUF_C_TYPE_INT32:
        return *(const int32_t *)at != 0 && *(const int32_t *)at != -1;
    case PROTOBUF_C_TYPE_UINT32:
        return *(const uint32_t *)at != 0;
    default:
        return false;
    }
}

static bool in_list(const char *list, const char *word) {
    size_t len = strlen(word);
    for (const char *at = list; *at != '\0';) {
        size_t n = strcspn(at, " ");
        if (n == len && memcmp(at, word, len) == 0)
            return true;
        at += n;
        at += strspn(at, " ");
    }
    return false;
}

static const struct {
    const char *where; // message.field, or the message of a node
    const char *what;
    const char *hint;
} unsupported_words[] = {
    {"SelectStmt.sort_clause", "ORDER BY in a view",
     "a view is a set of rows: sort where it is read (braid query … ORDER BY)"},
    {"SelectStmt.limit_count", "LIMIT in a view", "limit where the view is read (braid query … LIMIT n)"},
    {"SelectStmt.limit_offset", "OFFSET in a view", "skip rows where the view is read (braid query … OFFSET n)"},
    {"SelectStmt.window_clause", "WINDOW", "use tumble or hop in FROM with GROUP BY window_start, window_end"},
    {"SelectStmt.into_clause", "SELECT INTO", "use CREATE MATERIALIZED VIEW name AS SELECT …"},
    {"SelectStmt.locking_clause", "FOR UPDATE or FOR SHARE", "leave it out: a view is not locked"},
    {"SelectStmt.values_lists", "VALUES", "rows come from events: CREATE TABLE, and publish them"},
    {"SelectStmt.group_distinct", "GROUP BY DISTINCT", NULL},
    {"FuncCall.over", "a window function (OVER)", "use tumble or hop in FROM with GROUP BY window_start, window_end"},
    {"FuncCall.agg_order", "ORDER BY in an aggregate", "none of the aggregates depends on the order of rows"},
    {"FuncCall.agg_within_group", "WITHIN GROUP", NULL},
    {"FuncCall.func_variadic", "VARIADIC", NULL},
    {"FuncCall.agg_distinct", "DISTINCT in the arguments of a function", NULL},
    {"FuncCall.agg_filter", "FILTER for a function that isn't an aggregate", NULL},
    {"FuncCall.agg_star", "(*) as the argument of a function other than count", NULL},
    {"RangeVar.schemaname", "a schema name", "all names of a pipeline are in one space: leave the schema out"},
    {"RangeVar.catalogname", "a database name", "leave it out"},
    {"RangeFunction.lateral", "LATERAL", NULL},
    {"RangeFunction.ordinality", "WITH ORDINALITY", NULL},
    {"RangeFunction.is_rowsfrom", "ROWS FROM", NULL},
    {"RangeFunction.coldeflist", "a column definition list after a function", NULL},
    {"RangeSubselect.lateral", "LATERAL", NULL},
    {"JoinExpr.join_using_alias", "an alias for USING columns", NULL},
    {"JoinExpr.alias", "an alias for a whole join", "give aliases to the tables in it"},
    {"TypeName.setof", "SETOF", NULL},
    {"TypeName.pct_type", "%TYPE", NULL},
    {"TypeName.array_bounds", "an array type", "publish an event for each element"},
    {"ColumnDef.coll_clause", "COLLATE", "text is ordered by its bytes"},
    {"ColumnDef.compression", "COMPRESSION", NULL},
    {"ColumnDef.storage", "STORAGE", NULL},
    {"ColumnDef.storage_name", "STORAGE", NULL},
    {"CreateStmt.inh_relations", "INHERITS", NULL},
    {"CreateStmt.partspec", "PARTITION BY", NULL},
    {"CreateStmt.partbound", "PARTITION OF", NULL},
    {"CreateStmt.of_typename", "CREATE TABLE … OF type", "list the columns"},
    {"CreateStmt.tablespacename", "TABLESPACE", NULL},
    {"CreateStmt.access_method", "USING access method", NULL},
    {"CreateStmt.if_not_exists", "IF NOT EXISTS", "a pipeline's file says all there is: leave it out"},
    {"CreateStmt.oncommit", "ON COMMIT", NULL},
    {"CreateTableAsStmt.if_not_exists", "IF NOT EXISTS", "a pipeline's file says all there is: leave it out"},
    {"IntoClause.access_method", "USING access method", NULL},
    {"IntoClause.table_space_name", "TABLESPACE", NULL},
    {"IntoClause.skip_data", "WITH NO DATA", "a view is filled from the stream as soon as the pipeline runs"},
    {"IntoClause.on_commit", "ON COMMIT", NULL},
    {"ViewStmt.replace", "OR REPLACE", "a pipeline's file says all there is: leave it out"},
    {"ViewStmt.with_check_option", "WITH CHECK OPTION", NULL},
    {"ViewStmt.options", "WITH (…) for a plain view", "use CREATE MATERIALIZED VIEW to publish its changes"},
    {"FunctionParameter.defexpr", "a default for a parameter", "give every argument where it is called"},
    {"CreateFunctionStmt.is_procedure", "CREATE PROCEDURE", "use CREATE FUNCTION … LANGUAGE SQL"},
    {"Constraint.deferrable", "DEFERRABLE", NULL},
    {"Constraint.initdeferred", "INITIALLY DEFERRED", NULL},
    {"Constraint.is_no_inherit", "NO INHERIT", NULL},
    {"Constraint.including", "INCLUDE", NULL},
    {"Constraint.options", "WITH options of a constraint", NULL},
    {"Constraint.indexname", "USING INDEX", NULL},
    {"Constraint.indexspace", "USING INDEX TABLESPACE", NULL},
    {"Constraint.nulls_not_distinct", "NULLS NOT DISTINCT", NULL},
    {"Constraint.skip_validation", "NOT VALID", NULL},
    {"WithClause.recursive", "WITH RECURSIVE", NULL},
    {"CommonTableExpr.search_clause", "SEARCH", NULL},
    {"CommonTableExpr.cycle_clause", "CYCLE", NULL},
    {"CreateCastStmt.inout", "WITH INOUT", "use WITH FUNCTION"},
    {"VariableSetStmt.is_local", "SET LOCAL", "use SET"},
    {"SortBy.use_op", "ORDER BY … USING", "use ASC or DESC"},
    {"SubLink", "a subquery in an expression", "join with a view, or move it to a view of its own"},
    {"RowExpr", "a row as a value", "name its columns one by one"},
    {"A_ArrayExpr", "an array as a value", "x = ANY (ARRAY[…]) and x IN (…) are"},
    {"CollateClause", "COLLATE", "text is ordered by its bytes"},
    {"NamedArgExpr", "a named argument", "give arguments in their order"},
    {"SetToDefault", "DEFAULT as a value", NULL},
    {"GroupingSet", "GROUPING SETS, ROLLUP or CUBE", "make a view for each grouping"},
    {"GroupingFunc", "GROUPING()", NULL},
    {"CurrentOfExpr", "CURRENT OF", NULL},
    {"XmlExpr", "XML", NULL},
    {"XmlSerialize", "XML", NULL},
    {"RangeTableSample", "TABLESAMPLE", NULL},
    {"RangeTableFunc", "XMLTABLE", NULL},
    {"MultiAssignRef", "assignment", NULL},
    {"TableLikeClause", "LIKE in a table", "list the columns"},
    {"JsonIsPredicate", "IS JSON", NULL},
};

// protobuf-c writes A_Expr as AExpr.
static bool same_message(const char *a, const char *b) {
    for (;; a++, b++) {
        a += strspn(a, "_");
        b += strspn(b, "_");
        if (*a != *b || *a == '\0')
            return *a == *b;
    }
}

static int words_of(const char *where) {
    for (size_t i = 0; i < sizeof unsupported_words / sizeof unsupported_words[0]; i++)
        if (same_message(unsupported_words[i].where, where))
            return (int)i;
    return -1;
}

bool sql_only(struct sql_binder *binder, const void *tree, const char *handled) {
    const ProtobufCMessage *message = tree;
    bool ok = true;
    for (unsigned f = 0; f < message->descriptor->n_fields; f++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[f];
        if (strcmp(field->name, "location") == 0 || in_list(handled, field->name) || !is_set(message, field))
            continue;
        ok = false;
        const ProtobufCMessage *child =
            field->type == PROTOBUF_C_TYPE_MESSAGE ? field_message(message, field, 0) : NULL;
        int location = child == NULL ? -1 : sql_location(child);
        if (location < 0)
            location = sql_location(message);
        const char *where = br_arena_printf(binder->arena, "%s.%s", message->descriptor->short_name, field->name);
        int words = words_of(where);
        if (words >= 0) {
            sql_error(binder, sql_at(binder, location), unsupported_words[words].hint, "%s is not supported",
                      unsupported_words[words].what);
            continue;
        }
        char *name = br_arena_strdup(binder->arena, field->name);
        for (char *at = name; *at != '\0'; at++)
            *at = *at == '_' ? ' ' : *at;
        sql_error(binder, sql_at(binder, location), NULL, "%s (%s) is not supported", name,
                  message->descriptor->short_name);
    }
    return ok;
}

bool sql_unsupported_node(struct sql_binder *binder, const PgQuery__Node *node) {
    const ProtobufCMessage *message = sql_message(node);
    const char *name = message == NULL ? "an empty expression" : message->descriptor->short_name;
    int words = words_of(name);
    sql_error(binder, sql_at_node(binder, node), words < 0 ? NULL : unsupported_words[words].hint,
              "%s is not supported", words < 0 ? name : unsupported_words[words].what);
    return false;
}
