// SPDX-License-Identifier: Apache-2.0
// Text → statements, each with libpg_query's protobuf tree.
//
// The parser and the unpacking of its tree recurse as deep as the statement nests, without a bound of their own and in
// quadratic time. So a bound of the depth is read off the tokens first (nests_too_deep), the parser runs on a thread
// with a stack for that depth, and what is nested deeper than SQL_TREE_DEPTH_MAX is refused there.
//
// That thread is one for the process, since the library takes a key of the process (pthread_key_create) for every
// thread that it runs on and never gives it back, and there are 1,024. Texts are parsed one after the other; callers
// wait.
//
// The scanner looks at a run of operator characters as a whole and goes on behind the first of them when the run is the
// beginning of a comment. So a text with a long run is parsed without its comments (blank_comments).
#include "processor/sql/sql_internal.h"

#include <ctype.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#define PARSE_STACK_BYTES ((size_t)128 << 20) // address space; only what is used becomes memory
#define NESTING_MAX 10000                     // levels, by nests_too_deep: about 2 KiB of stack each
#define MESSAGE_SHOWN_MAX 100
#define OPERATOR_RUN_MAX 256 // bytes
#define PARENTHESES_MAX 1000

struct parse_job {
    const char *text;
    struct br_arena *arena;
    PgQuery__ParseResult *result;
    const char *message; // of the parser; NULL when it parsed
    int cursor;          // in characters from 1; 0: unknown
};

static void *arena_alloc(void *arena, size_t size) {
    return br_arena_alloc(arena, size);
}
static void arena_free(void *arena, void *ptr) {
    (void)arena;
    (void)ptr;
}

// --- a bound of the depth
// Past a quoted string, identifier, or $tag$…$tag$ at `at`; `at` itself when there is none.
static int skip_quoted(const char *text, int at) {
    if (text[at] == '\'' || text[at] == '"') {
        bool escapes = text[at] == '\'' && at > 0 && (text[at - 1] == 'E' || text[at - 1] == 'e');
        char quote = text[at++];
        while (text[at] != '\0' && text[at] != quote)
            at += escapes && text[at] == '\\' && text[at + 1] != '\0' ? 2 : 1;
        return text[at] == '\0' ? at : at + 1;
    }
    if (text[at] != '$')
        return at;
    int end = at + 1;
    while (isalnum((unsigned char)text[end]) || text[end] == '_')
        end++;
    if (text[end] != '$' || isdigit((unsigned char)text[at + 1]))
        return at;
    size_t len = (size_t)(end + 1 - at);
    for (const char *close = text + end + 1; *close != '\0'; close++)
        if (strncmp(close, text + at, len) == 0)
            return (int)(close + len - text);
    return (int)strlen(text);
}

static bool is_name_byte(char c) {
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

// --- long runs of operator characters
static bool is_operator_byte(char c) {
    return c != '\0' && strchr("+-*/<>=~!@#%^&|`?", c) != NULL;
}

static bool has_long_run(const char *text) {
    size_t run = 0;
    for (; *text != '\0' && run <= OPERATOR_RUN_MAX; text++)
        run = is_operator_byte(*text) ? run + 1 : 0;
    return run > OPERATOR_RUN_MAX;
}

// Behind the comment at `at`; `at` when there is none, -1 when it doesn't end.
static int skip_comment(const char *text, int at, int end) {
    if (text[at] == '-' && text[at + 1] == '-')
        return at + (int)strcspn(text + at, "\n");
    if (text[at] != '/' || text[at + 1] != '*')
        return at;
    int depth = 0;
    do {
        bool begins = text[at] == '/' && text[at + 1] == '*', ends = text[at] == '*' && text[at + 1] == '/';
        depth += begins ? 1 : ends ? -1 : 0;
        at += begins || ends ? 2 : 1;
    } while (depth > 0 && at < end);
    return depth > 0 ? -1 : at;
}

// A copy whose comments are blanks, byte for byte, so that places stay; the text itself when it has no long run. NULL:
// what *ret_message says, at *ret_at.
static const char *blank_comments(struct br_arena *arena, const char *text, int *ret_at, const char **ret_message) {
    if (!has_long_run(text))
        return text;
    int end = (int)strlen(text), run = 0;
    char *copy = br_arena_strdup(arena, text);
    for (int at = 0, past; at < end; at = past) {
        past = skip_quoted(text, at);
        int comment = past > at ? at : skip_comment(text, at, end);
        run = past == at && comment == at && is_operator_byte(text[at]) ? run + 1 : 0;
        if (comment < 0 || run > OPERATOR_RUN_MAX) {
            *ret_at = at;
            *ret_message = comment < 0 ? "unterminated /* comment" : "operator too long";
            return NULL;
        }
        for (int i = at; i < comment; i++)
            if (copy[i] != '\n')
                copy[i] = ' ';
        past = past > at ? past : comment > at ? comment : at + 1;
    }
    return copy;
}

// Nothing nests deeper than there are tokens between it and the last comma, on each level of open parentheses.
static bool nests_too_deep(const char *text) {
    uint32_t tokens[PARENTHESES_MAX] = {0}, level = 0, total = 0;
    int end = (int)strlen(text);
    for (int at = sql_skip_blank(text, 0, end); at < end; at = sql_skip_blank(text, at, end)) {
        int past = skip_quoted(text, at);
        char c = text[at];
        if (past == at && (c == '(' || c == '[') && ++level == PARENTHESES_MAX)
            return true;
        if (past == at && (c == ')' || c == ']') && level > 0)
            total -= tokens[level--];
        if (past == at && (c == ',' || c == ';' || c == '(' || c == '[')) {
            total -= c == ',' || c == ';' ? tokens[level] : 0;
            tokens[level] = 0;
        }
        tokens[level]++;
        if (++total > NESTING_MAX)
            return true;
        if (past > at)
            at = past;
        else if (is_name_byte(c))
            while (at < end && is_name_byte(text[at]))
                at++;
        else
            at++;
    }
    return false;
}

// --- the parser
static void run_parser(struct parse_job *job) {
    PgQueryProtobufParseResult parsed = pg_query_parse_protobuf(job->text);
    if (parsed.error != NULL) {
        job->message = br_arena_strdup(job->arena, parsed.error->message);
        job->cursor = parsed.error->cursorpos;
    } else {
        ProtobufCAllocator allocator = {arena_alloc, arena_free, job->arena};
        job->result =
            pg_query__parse_result__unpack(&allocator, parsed.parse_tree.len, (const uint8_t *)parsed.parse_tree.data);
        if (job->result == NULL)
            job->message = "the parse tree can't be read";
        else if (sql_too_deep(&job->result->base))
            job->message = "the statement is nested too deeply";
    }
    pg_query_free_protobuf_parse_result(parsed);
}

// --- its thread
// Thread: any. `turn` is the caller's whose job it is, `lock` guards the rest.
static struct {
    pthread_mutex_t turn, lock;
    pthread_cond_t changed;
    struct parse_job *job; // under way; NULL: none
    bool started;
} parser = {.turn = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void *serve_parser(void *unused) {
    (void)unused;
    pthread_mutex_lock(&parser.lock);
    for (;;) {
        while (parser.job == NULL)
            pthread_cond_wait(&parser.changed, &parser.lock);
        pthread_mutex_unlock(&parser.lock);
        run_parser(parser.job);
        pthread_mutex_lock(&parser.lock);
        parser.job = NULL;
        pthread_cond_broadcast(&parser.changed);
    }
    return NULL;
}

static bool start_parser(void) {
    pthread_attr_t attributes;
    pthread_t thread;
    BR_CHECK(pthread_attr_init(&attributes) == 0);
    BR_CHECK(pthread_attr_setstacksize(&attributes, PARSE_STACK_BYTES) == 0);
    BR_CHECK(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0);
    // Signals are for the threads that wait for them.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&thread, &attributes, serve_parser, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

static void parse_on_thread(struct parse_job *job) {
    if (nests_too_deep(job->text)) {
        job->message = "the statement is nested too deeply";
        return;
    }
    pthread_mutex_lock(&parser.turn);
    if (parser.started || (parser.started = start_parser())) {
        pthread_mutex_lock(&parser.lock);
        parser.job = job;
        pthread_cond_broadcast(&parser.changed);
        while (parser.job != NULL)
            pthread_cond_wait(&parser.changed, &parser.lock);
        pthread_mutex_unlock(&parser.lock);
    } else {
        job->message = "no thread for the parser: address space or threads are limited (ulimit -v, ulimit -u)";
    }
    pthread_mutex_unlock(&parser.turn);
}

// --- statements
int sql_skip_blank(const char *text, int offset, int end) {
    while (offset < end) {
        if (isspace((unsigned char)text[offset])) {
            offset++;
        } else if (text[offset] == '-' && offset + 1 < end && text[offset + 1] == '-') {
            while (offset < end && text[offset] != '\n')
                offset++;
        } else if (text[offset] == '/' && offset + 1 < end && text[offset + 1] == '*') {
            int depth = 0;
            do {
                if (offset + 1 < end && text[offset] == '/' && text[offset + 1] == '*') {
                    depth++;
                    offset += 2;
                } else if (offset + 1 < end && text[offset] == '*' && text[offset + 1] == '/') {
                    depth--;
                    offset += 2;
                } else {
                    offset++;
                }
            } while (depth > 0 && offset < end);
        } else {
            break;
        }
    }
    return offset;
}

static int offset_of_character(const char *text, int cursor) {
    int offset = 0;
    for (int characters = 1; text[offset] != '\0' && characters < cursor; characters++)
        do
            offset++;
        while (((unsigned char)text[offset] & 0xC0) == 0x80);
    return offset;
}

static void add_statements(struct sql_statements *statements, const PgQuery__ParseResult *result, const char *text,
                           int base, int len) {
    for (size_t i = 0; i < result->n_stmts; i++) {
        const PgQuery__RawStmt *raw = result->stmts[i];
        int end = raw->stmt_len == 0 ? len : raw->stmt_location + raw->stmt_len;
        int begin = sql_skip_blank(text, raw->stmt_location, end);
        if (raw->stmt != NULL)
            statements->list[statements->count++] = (struct sql_statement){raw->stmt, base, base + begin, base + end};
    }
}

// The word at *at (an identifier, folded as PostgreSQL does), and past it and the blanks behind; NULL: none.
static const char *next_word(struct sql_binder *binder, const char *text, int *at, int end) {
    int begin = *at;
    bool quoted = begin < end && text[begin] == '"';
    if (quoted) {
        begin++;
        for (*at = begin; *at < end && text[*at] != '"'; ++*at)
            ;
    } else {
        while (*at < end && (isalnum((unsigned char)text[*at]) || text[*at] == '_' || (unsigned char)text[*at] >= 0x80))
            ++*at;
    }
    if (*at == begin)
        return NULL;
    char *word = br_arena_strndup(binder->arena, text + begin, (size_t)(*at - begin));
    for (char *c = word; *c != '\0' && !quoted; c++)
        *c = (char)tolower((unsigned char)*c);
    *at = sql_skip_blank(text, quoted ? *at + 1 : *at, end);
    return word;
}

// What a statement that doesn't parse would have declared: its users are silent then. Gives a hint for what is often
// written wrong.
static const char *poison_declared(struct sql_binder *binder, const char *text) {
    int end = (int)strlen(text), at = sql_skip_blank(text, 0, end);
    const char *word = next_word(binder, text, &at, end);
    if (word == NULL || strcmp(word, "create") != 0)
        return NULL;
    bool table = false;
    for (word = next_word(binder, text, &at, end); word != NULL; word = next_word(binder, text, &at, end)) {
        table = strcmp(word, "table") == 0;
        if (table || strcmp(word, "view") == 0 || strcmp(word, "type") == 0)
            break;
    }
    const char *name = word == NULL ? NULL : next_word(binder, text, &at, end);
    if (name == NULL)
        return NULL;
    if (sql_find_symbol(binder, name) == NULL)
        sql_add_symbol(binder, table ? SQL_TABLE : SQL_PLAIN_VIEW, name, 0)->poisoned = true;
    word = next_word(binder, text, &at, end);
    if (table && word != NULL && strcmp(word, "with") == 0)
        return "the column list may be empty, but not absent: CREATE TABLE name () WITH (…)";
    return NULL;
}

static void report_syntax(struct sql_binder *binder, const struct parse_job *job, int base, bool fixed) {
    int offset = job->cursor > 0 ? offset_of_character(job->text, job->cursor)
                                 : sql_skip_blank(job->text, 0, (int)strlen(job->text));
    const char *hint = poison_declared(binder, job->text);
    // A message may quote all the rest of the statement: its first line, cut, says enough.
    int len = (int)strcspn(job->message, "\n");
    bool cut = len > MESSAGE_SHOWN_MAX || job->message[len] != '\0';
    len = len > MESSAGE_SHOWN_MAX ? MESSAGE_SHOWN_MAX : len;
    while (cut && len > 0 && ((unsigned char)job->message[len] & 0xC0) == 0x80)
        len--;
    sql_error(binder, fixed ? base : base + offset,
              hint != NULL ? hint : sql_syntax_hint(binder, job->text, offset, job->message), "%.*s%s", len,
              job->message, cut ? "…\"" : "");
}

_Static_assert(SQL_STATEMENT_BYTES_MAX >> 10 == 256, "the message says it");
#define STATEMENT_TOO_LONG "the statement is longer than 256 KiB"

static void parse_one(struct sql_binder *binder, const char *text, int location, int len, int base, bool fixed,
                      struct sql_statements *statements) {
    struct parse_job job = {.arena = binder->arena,
                            .text = br_arena_strndup(binder->arena, text + location, (size_t)len)};
    if (len > SQL_STATEMENT_BYTES_MAX)
        job.message = STATEMENT_TOO_LONG;
    else
        parse_on_thread(&job);
    if (job.message != NULL)
        report_syntax(binder, &job, fixed ? base : base + location, fixed);
    else if (job.result->n_stmts == 1)
        add_statements(statements, job.result, job.text, base + location, len);
}

// One statement at a time, so that one with an error does not hide the others. What the scanner does not split off has
// an unclosed parenthesis: it is a statement too.
static bool parse_apart(struct sql_binder *binder, const char *text, int base, bool fixed,
                        struct sql_statements *statements) {
    PgQuerySplitResult split = pg_query_split_with_scanner(text);
    bool ok = split.error == NULL;
    int end = (int)strlen(text), rest = 0;
    if (!ok) {
        struct parse_job job = {.text = text, .message = split.error->message, .cursor = split.error->cursorpos};
        report_syntax(binder, &job, base, fixed);
    }
    statements->list = br_arena_array(binder->arena, struct sql_statement, (size_t)split.n_stmts + 2);
    for (int i = 0; ok && i < split.n_stmts && !sql_is_exhausted(binder); i++) {
        int location = split.stmts[i]->stmt_location, len = split.stmts[i]->stmt_len;
        len = len == 0 ? end - location : len;
        parse_one(binder, text, location, len, base, fixed, statements);
        rest = location + len;
    }
    rest = sql_skip_blank(text, rest, end);
    while (text[rest] == ';')
        rest = sql_skip_blank(text, rest + 1, end);
    if (ok && rest < end)
        parse_one(binder, text, rest, end - rest, base, fixed, statements);
    pg_query_free_split_result(split);
    return ok;
}

// False: there are more than SQL_TOKENS_MAX, the next one at *ret_at.
static bool tokens_fit(const char *text, int *ret_at) {
    int end = (int)strlen(text);
    uint32_t count = 0;
    for (int at = sql_skip_blank(text, 0, end); at < end; at = sql_skip_blank(text, at, end)) {
        int past = skip_quoted(text, at);
        *ret_at = at;
        if (++count > SQL_TOKENS_MAX)
            return false;
        if (past > at) {
            at = past;
            continue;
        }
        int begin = at;
        while (at < end && is_name_byte(text[at]))
            at++;
        at += at == begin ? 1 : 0;
    }
    return true;
}

// What can be told of a long file before it is parsed: whether that is worth the while.
static bool is_parsed_whole(struct sql_binder *binder, const char *text, int base, bool *ret_ok) {
    int end = (int)strlen(text);
    *ret_ok = true;
    if (end <= SQL_STATEMENT_BYTES_MAX)
        return true;
    PgQuerySplitResult split = pg_query_split_with_scanner(text);
    bool whole = split.error == NULL && end <= SQL_FILE_BYTES_MAX;
    if (split.error == NULL)
        *ret_ok = sql_check_statements(binder, (size_t)split.n_stmts, base);
    for (int i = 0; whole && i < split.n_stmts; i++) {
        int len = split.stmts[i]->stmt_len == 0 ? end - split.stmts[i]->stmt_location : split.stmts[i]->stmt_len;
        whole = len <= SQL_STATEMENT_BYTES_MAX;
    }
    pg_query_free_split_result(split);
    return whole;
}

bool sql_parse(struct sql_binder *binder, const char *text, int base, bool fixed, struct sql_statements *ret) {
    *ret = (struct sql_statements){0};
    size_t len = strlen(text);
    int at = 0;
    const char *message = NULL;
    if (len > SQL_FILE_BYTES_MAX && binder->rules >= 2) {
        sql_error(binder, base, "make several pipelines of it", "the file is longer than 1 MiB");
        return false;
    }
    if (len > INT32_MAX / 2) {
        sql_error(binder, base, NULL, "the file is longer than 1 GiB");
        return false;
    }
    text = blank_comments(binder->arena, text, &at, &message);
    if (text == NULL) {
        sql_error(binder, fixed ? base : base + at, NULL, "%s", message);
        return false;
    }
    if (binder->rules >= 2 && !tokens_fit(text, &at) && !nests_too_deep(text)) {
        sql_exhaust(binder, fixed ? base : base + at,
                    "make several pipelines of it, or put long lists into a table and join it",
                    "the file has more than %d words and signs", SQL_TOKENS_MAX);
        return false;
    }
    struct parse_job job = {.text = text, .arena = binder->arena};
    bool ok;
    if (is_parsed_whole(binder, text, base, &ok) && ok) {
        parse_on_thread(&job);
        if (job.message == NULL) {
            ret->list = br_arena_array(binder->arena, struct sql_statement, job.result->n_stmts + 1);
            add_statements(ret, job.result, text, base, (int)len);
            return sql_check_statements(binder, ret->count, base);
        }
    }
    uint32_t before = binder->diagnostics->error_count;
    ok = ok && parse_apart(binder, text, base, fixed, ret);
    if (job.message != NULL && binder->diagnostics->error_count == before)
        report_syntax(binder, &job, base, fixed);
    return ok && binder->diagnostics->error_count == before;
}
