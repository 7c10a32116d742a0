// SPDX-License-Identifier: Apache-2.0
// The way out of common mistakes, where PostgreSQL's message alone doesn't show it: what is behind a syntax error,
// which literal doesn't fit, what was meant by an operator that there isn't.
//
// Nothing here decides whether something is an error: a hint that isn't found is NULL.
#include "processor/sql/sql_internal.h"

#include "processor/expr/datetime.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

// --- syntax errors: by the tokens around them
struct tokens {
    struct sql_binder *binder;
    const char *text;
    PgQuery__ScanToken **list; // without comments
    size_t count, at;          // at: the one that doesn't fit; count at the end of input
};

static const char *token(const struct tokens *tokens, size_t index) {
    if (index >= tokens->count)
        return "";
    const PgQuery__ScanToken *t = tokens->list[index];
    return br_arena_strndup(tokens->binder->arena, tokens->text + t->start, (size_t)(t->end - t->start));
}

static bool is(const struct tokens *tokens, size_t index, const char *words) {
    const char *text = token(tokens, index);
    size_t len = strlen(text);
    for (const char *at = words; len != 0 && *at != '\0'; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");
        if (n == len && strncasecmp(at, text, n) == 0)
            return true;
        at += n;
    }
    return false;
}

static size_t count_of(const struct tokens *tokens, const char *words, size_t end) {
    size_t count = 0;
    for (size_t i = 0; i < end; i++)
        count += is(tokens, i, words);
    return count;
}

static bool is_kind(const struct tokens *tokens, size_t index, PgQuery__Token kind) {
    return index < tokens->count && tokens->list[index]->token == kind;
}

static bool is_name(const struct tokens *tokens, size_t index) {
    return is_kind(tokens, index, PG_QUERY__TOKEN__IDENT);
}

static bool is_column_name(const struct tokens *tokens, size_t index) {
    return is_name(tokens, index) ||
           (index < tokens->count && tokens->list[index]->keyword_kind == PG_QUERY__KEYWORD_KIND__UNRESERVED_KEYWORD);
}

static bool is_reserved(const struct tokens *tokens, size_t index) {
    return index < tokens->count && tokens->list[index]->keyword_kind == PG_QUERY__KEYWORD_KIND__RESERVED_KEYWORD;
}

#define CLAUSES "FROM WHERE GROUP HAVING ORDER LIMIT ON AS ) ;"

static const char *hint_of_names(const struct tokens *t, bool table) {
    bool named = t->at > 0 && (is(t, t->at - 1, "FROM JOIN TABLE VIEW TYPE .") ||
                               (table && is(t, t->at - 1, "( ,") && is_name(t, t->at + 1)));
    if (is_reserved(t, t->at) && named && !is(t, t->at, "SELECT WITH"))
        return br_arena_printf(t->binder->arena, "%s is a reserved word: as a name it is written \"%s\"",
                               token(t, t->at), token(t, t->at));
    if (is(t, t->at, "`"))
        return "names are quoted by \"double quotes\", text by 'single quotes'";
    return NULL;
}

static const char *hint_of_view(const struct tokens *t) {
    if (is(t, t->at, "SELECT WITH (") && count_of(t, "AS", t->at) == 0)
        return "write AS before SELECT";
    if (is(t, t->at, "INSERT UPDATE DELETE"))
        return "CREATE MATERIALIZED VIEW name AS SELECT …";
    if (count_of(t, "JOIN", t->at) > count_of(t, "ON USING CROSS NATURAL", t->at))
        return "a JOIN needs ON condition, or USING (column)";
    return NULL;
}

static const char *hint_of_table(const struct tokens *t) {
    if (t->at == t->count && count_of(t, "(", t->count) == 0)
        return "list its columns: CREATE TABLE name (id bigint, …)";
    if (t->at > 1 && is_column_name(t, t->at) && !is(t, t->at - 1, "( , TABLE ."))
        return "is a comma missing before it?";
    return NULL;
}

static const char *hint_of_word(const struct tokens *t) {
    static const char *const words[] = {"select", "from", "where",  "group", "having",       "create",  "table",
                                        "view",   "with", "values", "join",  "materialized", "primary", "distinct"};
    struct sql_nearest nearest = {.wanted = token(t, t->at)};
    char lower[16];
    size_t len = strlen(nearest.wanted);
    if (len < 3 || len >= sizeof lower || !is_name(t, t->at))
        return NULL;
    for (size_t i = 0; i <= len; i++)
        lower[i] = (char)tolower((unsigned char)nearest.wanted[i]);
    nearest.wanted = lower;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i], lower) != 0)
            sql_nearest_try(&nearest, words[i]);
    if (nearest.best == NULL)
        return NULL;
    char *word = br_arena_strdup(t->binder->arena, nearest.best);
    for (char *at = word; *at != '\0'; at++)
        *at = (char)toupper((unsigned char)*at);
    return br_arena_printf(t->binder->arena, "did you mean %s?", word);
}

static const char *hint_of_tokens(const struct tokens *t) {
    if (t->at > 0 && (t->at == t->count || is(t, t->at, ") ;")) &&
        is(t, t->at - 1, "AND OR NOT WHERE HAVING ON = < > <> <= >= + - * /"))
        return br_arena_printf(t->binder->arena, "an expression is missing after %s", token(t, t->at - 1));
    bool table = is(t, 0, "CREATE") && (is(t, 1, "TABLE") || is(t, 2, "TABLE"));
    if (t->at > 0 && is(t, t->at - 1, ",") && (t->at == t->count || is(t, t->at, CLAUSES)))
        return "there is a comma too many before it";
    if (t->at > 0 && is(t, t->at, "CREATE") && !is(t, t->at - 1, "CREATE"))
        return "a semicolon is missing before it";
    const char *hint = hint_of_names(t, table);
    if (hint == NULL && t->at > 1 && is_kind(t, t->at, PG_QUERY__TOKEN__SCONST) && is_name(t, t->at - 1) &&
        count_of(t, "WITH", t->at) != 0)
        hint = br_arena_printf(t->binder->arena, "write %s = %s", token(t, t->at - 1), token(t, t->at));
    if (hint == NULL)
        hint = table ? hint_of_table(t) : hint_of_view(t);
    if (hint == NULL)
        hint = hint_of_word(t);
    size_t open = count_of(t, "(", t->count), closed = count_of(t, ")", t->count);
    if (hint == NULL && open != closed)
        hint = open > closed ? "a parenthesis is not closed" : "a parenthesis is closed that is not open";
    return hint;
}

const char *sql_syntax_hint(struct sql_binder *binder, const char *text, int offset, const char *message) {
    if (strncmp(message, "unterminated quoted string", 26) == 0)
        return "a text ends with a single quote; a single quote in it is written twice";
    if (strncmp(message, "unterminated quoted identifier", 30) == 0)
        return "a quoted name ends with a double quote";
    if (strncmp(message, "syntax error", 12) != 0)
        return NULL;
    PgQueryScanResult scan = pg_query_scan(text);
    const char *hint = NULL;
    PgQuery__ScanResult *result =
        scan.error != NULL ? NULL : pg_query__scan_result__unpack(NULL, scan.pbuf.len, (const uint8_t *)scan.pbuf.data);
    if (result != NULL) {
        struct tokens tokens = {.binder = binder, .text = text};
        tokens.list = br_arena_array(binder->arena, PgQuery__ScanToken *, result->n_tokens + 1);
        for (size_t i = 0; i < result->n_tokens; i++)
            if (result->tokens[i]->token != PG_QUERY__TOKEN__SQL_COMMENT &&
                result->tokens[i]->token != PG_QUERY__TOKEN__C_COMMENT)
                tokens.list[tokens.count++] = result->tokens[i];
        for (tokens.at = 0; tokens.at < tokens.count && tokens.list[tokens.at]->start < offset; tokens.at++)
            ;
        hint = hint_of_tokens(&tokens);
        pg_query__scan_result__free_unpacked(result, NULL);
    }
    pg_query_free_scan_result(scan);
    return hint;
}

// --- literals and types
// The literal that a message quotes ("abc" of: invalid input syntax for type bigint: "abc").
static const struct br_expr *quoted_literal(struct sql_binder *binder, struct br_expr **exprs, uint32_t count,
                                            const char *message) {
    for (uint32_t i = 0; i < count; i++) {
        const struct br_expr *expr = exprs[i];
        if (expr == NULL || expr->kind != BR_EXPR_CONST || expr->value.is_null ||
            (expr->type != BR_UNKNOWN && expr->type != BR_TEXT))
            continue;
        const char *quoted =
            br_arena_printf(binder->arena, "\"%.*s\"", (int)expr->value.bytes.len, (const char *)expr->value.bytes.ptr);
        if (strstr(message, quoted) != NULL)
            return expr;
    }
    return NULL;
}

int sql_literal_location(struct sql_binder *binder, struct br_expr **exprs, uint32_t count, const char *message,
                         int location) {
    const struct br_expr *literal = quoted_literal(binder, exprs, count, message);
    return literal == NULL || literal->location < 0 ? location : literal->location;
}

void sql_unify_error(struct sql_binder *binder, struct br_expr **exprs, uint32_t count, int location,
                     const struct br_error *error) {
    if (strstr(error->message, "cannot be matched") != NULL && strstr(error->message, "\nhint: ") == NULL)
        sql_error(binder, location, "cast them to one type", "%s", error->message);
    else
        sql_error_of(binder, sql_literal_location(binder, exprs, count, error->message, location), error);
}

static bool is_number(enum br_type type) {
    return type == BR_INTEGER || type == BR_BIGINT || type == BR_NUMERIC || type == BR_DOUBLE;
}

static const char *hint_of_operands(const char *name, enum br_type a, enum br_type b) {
    bool sum = strcmp(name, "+") == 0 || strcmp(name, "-") == 0, plus = *name == '+';
    if (sum && (a == BR_TIMESTAMPTZ || b == BR_TIMESTAMPTZ) && (is_number(a) || is_number(b)))
        return "to a time an interval is added: at + interval '5 seconds'";
    if (plus && a == BR_TEXT && (b == BR_TEXT || is_number(b)))
        return "texts are joined by ||; a text becomes a number by a cast: x::numeric";
    if (strcmp(name, "==") == 0)
        return "equality is =";
    if (strcmp(name, "->") == 0 || strcmp(name, "->>") == 0)
        return "there is no JSON: give the message a field for it";
    if (strcmp(name, "=") == 0 && ((a == BR_TEXT && is_number(b)) || (b == BR_TEXT && is_number(a))))
        return "cast one side: x::text, or x::numeric";
    return NULL;
}

// What other databases call it.
static const struct {
    const char *name, *hint;
} elsewhere[] = {
    {"ifnull", "use coalesce(x, y)"},
    {"nvl", "use coalesce(x, y)"},
    {"isnull", "use coalesce(x, y), or x IS NULL"},
    {"if", "use CASE WHEN condition THEN x ELSE y END"},
    {"iif", "use CASE WHEN condition THEN x ELSE y END"},
    {"decode", "use CASE x WHEN a THEN b ELSE c END"},
    {"len", "use length(x)"},
    {"ucase", "use upper(x)"},
    {"lcase", "use lower(x)"},
    {"instr", "use strpos(text, part)"},
    {"charindex", "use strpos(text, part)"},
    {"locate", "use strpos(text, part)"},
    {"substring_index", "use split_part(text, delimiter, n)"},
    {"date_format", "use to_char(time, 'YYYY-MM-DD')"},
    {"format_datetime", "use to_char(time, 'YYYY-MM-DD')"},
    {"to_date", "use a cast: x::date"},
    {"to_number", "use a cast: x::numeric"},
    {"getdate", "use now()"},
    {"sysdate", "use now()"},
    {"datediff", "subtract the one from the other"},
    {"date_diff", "subtract the one from the other"},
    {"age", "subtract the one from the other"},
    {"dateadd", "add an interval: at + interval '1 day'"},
    {"date_add", "add an interval: at + interval '1 day'"},
    {"date_sub", "subtract an interval: at - interval '1 day'"},
    {"unix_timestamp", "use extract(epoch FROM at)"},
    {"from_unixtime", "use to_timestamp(seconds)"},
    {"regexp_match", "use regexp_substr(text, pattern), or substring(text FROM pattern)"},
    {"regexp_matches", "use regexp_substr(text, pattern), or substring(text FROM pattern)"},
    {"regexp_extract", "use regexp_substr(text, pattern), or substring(text FROM pattern)"},
    {"string_to_array", "use split_part(text, delimiter, n)"},
    {"uuid_generate_v4", "a publisher gives its events ids"},
};

static const char *hint_of_name(const char *name) {
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++)
        if (strcmp(elsewhere[i].name, name) == 0)
            return elsewhere[i].hint;
    return NULL;
}

const char *sql_call_hint(struct sql_binder *binder, const char *name, struct br_expr **arguments, uint32_t count,
                          const char *message) {
    struct br_interval interval;
    const struct br_expr *literal = quoted_literal(binder, arguments, count, message);
    if (literal != NULL && strstr(message, "type timestamp with time zone") != NULL &&
        br_interval_parse(literal->value.bytes, &interval))
        return br_arena_printf(binder->arena, "write interval '%.*s'", (int)literal->value.bytes.len,
                               (const char *)literal->value.bytes.ptr);
    if (strncmp(message, "operator does not exist", 23) == 0 && count == 2)
        return hint_of_operands(name, arguments[0]->type, arguments[1]->type);
    if (strncmp(message, "function ", 9) == 0 && strstr(message, "does not exist") != NULL)
        return hint_of_name(name);
    if (strncmp(message, "unit \"", 6) == 0 && strstr(message, "not recognized") != NULL)
        return "units are microseconds, milliseconds, second, minute, hour, day, week, month, quarter, year, decade, "
               "century, millennium; extract has epoch, dow, isodow, doy, isoyear, julian too";
    return NULL;
}

// --- names
#define COLUMNS_LISTED 12

const char *sql_columns_hint(struct sql_binder *binder, const struct sql_scope *scope, const char *relation,
                             const char *name) {
    const char *list = "";
    uint32_t listed = 0, more = 0;
    for (uint32_t i = 0; i < scope->count; i++) {
        const struct sql_column *column = &scope->columns[i];
        if (column->hidden || (relation == NULL ? column->qualified && column->relation == NULL
                                                : column->relation == NULL || strcmp(column->relation, relation) != 0))
            continue;
        if (listed == COLUMNS_LISTED) {
            more++;
            continue;
        }
        list = br_arena_printf(binder->arena, "%s%s%s", list, listed == 0 ? "" : ", ", column->name);
        listed++;
    }
    if (listed == 0)
        return NULL;
    const char *rest = more == 0 ? "" : br_arena_printf(binder->arena, " and %u more", more);
    if (relation != NULL)
        return br_arena_printf(binder->arena, "columns of %s are %s%s", relation, list, rest);
    return br_arena_printf(binder->arena, "columns are %s%s; text is written in single quotes: '%s'", list, rest, name);
}

const char *sql_relations_hint(struct sql_binder *binder, const struct sql_scope *scope) {
    const char *list = "";
    for (uint32_t i = 0; i < scope->relation_count; i++)
        list = br_arena_printf(binder->arena, "%s%s%s", list, i == 0 ? "" : ", ", scope->relations[i]);
    return *list == '\0' ? NULL : br_arena_printf(binder->arena, "FROM has %s", list);
}
