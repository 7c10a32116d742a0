// SPDX-License-Identifier: Apache-2.0
// From a name and arguments to a call: PostgreSQL's rules for operators and functions (its documentation, "Type
// Conversion"; parse_func.c and parse_oper.c of PostgreSQL name the same steps).
//
// R1. A candidate whose argument types are exactly those given is taken; of an operator's two, an untyped literal is
// first taken to be of the other's type. R2. Else the candidates that implicit casts reach. R3. Of these, those with
// the most exact matches, then those with the most exact or preferred types. R4. Untyped literals: text if any
// candidate takes text there, else the category that all share; then those of that category, the preferred type first.
// R5. If the typed arguments are all of one type, the literals are taken to be of it too. R6. More than one left: not
// unique.
#include "processor/expr/expr_internal.h"

#include <stdio.h>

#define CANDIDATES_MAX 64

struct candidates {
    const struct br_function *list[CANDIDATES_MAX];
    uint32_t count;
    bool name_exists; // a function of the name with any arguments
};
struct given { // the arguments' types
    const enum br_type *types;
    uint32_t count;
};

char br_type_category(enum br_type type) {
    switch (type) {
    case BR_BOOLEAN:
        return 'B';
    case BR_INTEGER:
    case BR_BIGINT:
    case BR_NUMERIC:
    case BR_DOUBLE:
        return 'N';
    case BR_TEXT:
        return 'S';
    case BR_TIMESTAMPTZ:
    case BR_DATE:
        return 'D';
    case BR_INTERVAL:
        return 'T';
    case BR_BYTEA:
        return 'U';
    default:
        return 'X';
    }
}

bool br_type_is_preferred(enum br_type type) {
    return type == BR_BOOLEAN || type == BR_DOUBLE || type == BR_TEXT || type == BR_TIMESTAMPTZ || type == BR_INTERVAL;
}

static void find_candidates(const char *name, uint32_t argument_count, struct candidates *ret) {
    *ret = (struct candidates){0};
    for (size_t t = 0; t < br_function_table_count; t++)
        for (size_t f = 0; f < br_function_tables[t]->count; f++) {
            const struct br_function *function = &br_function_tables[t]->functions[f];
            if ((function->flags & BR_HIDDEN) != 0 || strcmp(function->name, name) != 0)
                continue;
            ret->name_exists = true;
            if (function->argument_count != argument_count)
                continue;
            BR_CHECK(ret->count < CANDIDATES_MAX);
            ret->list[ret->count++] = function;
        }
}

static const struct br_function *exact_match(const struct candidates *candidates, const struct given *given) {
    for (uint32_t c = 0; c < candidates->count; c++)
        if (given->count == 0 ||
            memcmp(candidates->list[c]->arguments, given->types, given->count * sizeof *given->types) == 0)
            return candidates->list[c];
    return NULL;
}

// R2.
static void keep_castable(struct candidates *candidates, const struct given *given) {
    uint32_t kept = 0;
    for (uint32_t c = 0; c < candidates->count; c++) {
        bool castable = true;
        for (uint32_t i = 0; i < given->count && castable; i++)
            castable = br_can_cast(given->types[i], candidates->list[c]->arguments[i], BR_CAST_IMPLICIT);
        if (castable)
            candidates->list[kept++] = candidates->list[c];
    }
    candidates->count = kept;
}

// R3, one of its two steps.
static void keep_closest(struct candidates *candidates, const struct given *given, bool preferred_counts) {
    uint32_t best = 0, kept = 0;
    for (uint32_t c = 0; c < candidates->count; c++) {
        uint32_t matches = 0;
        for (uint32_t i = 0; i < given->count; i++) {
            enum br_type type = candidates->list[c]->arguments[i];
            if (given->types[i] == BR_UNKNOWN)
                continue;
            bool preferred = br_type_is_preferred(type) && br_type_category(type) == br_type_category(given->types[i]);
            matches += type == given->types[i] || (preferred_counts && preferred);
        }
        if (matches > best) {
            best = matches;
            kept = 0;
        }
        if (matches == best)
            candidates->list[kept++] = candidates->list[c];
    }
    candidates->count = kept;
}

// R4. false: the literals could be of several categories.
static bool keep_category(struct candidates *candidates, const struct given *given) {
    for (uint32_t i = 0; i < given->count; i++) {
        if (given->types[i] != BR_UNKNOWN)
            continue;
        char category = br_type_category(candidates->list[0]->arguments[i]);
        bool conflict = false, has_preferred = false;
        for (uint32_t c = 0; c < candidates->count; c++) {
            char other = br_type_category(candidates->list[c]->arguments[i]);
            if (other == 'S')
                category = 'S';
            conflict |= other != br_type_category(candidates->list[0]->arguments[i]);
        }
        if (conflict && category != 'S')
            return false;
        for (uint32_t c = 0; c < candidates->count; c++) {
            enum br_type type = candidates->list[c]->arguments[i];
            has_preferred |= br_type_category(type) == category && br_type_is_preferred(type);
        }
        uint32_t kept = 0;
        for (uint32_t c = 0; c < candidates->count; c++) {
            enum br_type type = candidates->list[c]->arguments[i];
            if (br_type_category(type) == category && (!has_preferred || br_type_is_preferred(type)))
                candidates->list[kept++] = candidates->list[c];
        }
        if (kept != 0)
            candidates->count = kept;
    }
    return true;
}

// R5. The type of all typed arguments, BR_UNKNOWN when there are several or none.
static enum br_type only_type(const struct given *given) {
    enum br_type only = BR_UNKNOWN;
    for (uint32_t i = 0; i < given->count; i++) {
        if (given->types[i] == BR_UNKNOWN)
            continue;
        if (only != BR_UNKNOWN && only != given->types[i])
            return BR_UNKNOWN;
        only = given->types[i];
    }
    return only;
}

static const struct br_function *take_only(const struct candidates *candidates) {
    return candidates->count == 1 ? candidates->list[0] : NULL;
}

static const struct br_function *select_candidate(struct candidates *candidates, const struct given *given) {
    const struct br_function *found;
    if (candidates->count == 0 || (found = take_only(candidates)) != NULL)
        return candidates->count == 0 ? NULL : found;
    keep_closest(candidates, given, false);
    if ((found = take_only(candidates)) != NULL)
        return found;
    keep_closest(candidates, given, true);
    if ((found = take_only(candidates)) != NULL)
        return found;
    struct candidates before = *candidates;
    if (keep_category(candidates, given) && (found = take_only(candidates)) != NULL)
        return found;
    enum br_type same = only_type(given);
    if (same == BR_UNKNOWN)
        return NULL;
    enum br_type types[BR_ARGUMENTS_MAX];
    for (uint32_t i = 0; i < given->count; i++)
        types[i] = same;
    struct given assumed = {types, given->count};
    keep_castable(&before, &assumed);
    return take_only(&before);
}

// --- errors
static void append_types(struct br_buffer *text, const enum br_type *types, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        br_buffer_printf(text, i > 0 ? ", %s" : "%s", br_type_name(types[i]));
}

static void append_signature(struct br_buffer *text, const char *name, const struct given *given) {
    if (!br_function_is_operator(name)) {
        br_buffer_printf(text, "%s(", name);
        append_types(text, given->types, given->count);
        br_buffer_append_byte(text, ')');
    } else if (given->count == 1) {
        br_buffer_printf(text, "%s %s", name, br_type_name(given->types[0]));
    } else {
        br_buffer_printf(text, "%s %s %s", br_type_name(given->types[0]), name, br_type_name(given->types[1]));
    }
}

// What there is under the name, for the hint: "substring(text, integer), substring(text, text)".
static void append_known(struct br_buffer *text, const char *name) {
    uint32_t shown = 0;
    for (size_t t = 0; t < br_function_table_count; t++)
        for (size_t f = 0; f < br_function_tables[t]->count; f++) {
            const struct br_function *function = &br_function_tables[t]->functions[f];
            if ((function->flags & BR_HIDDEN) != 0 || strcmp(function->name, name) != 0)
                continue;
            if (++shown > 6) {
                br_buffer_append_text(text, ", …");
                return;
            }
            br_buffer_printf(text, shown > 1 ? ", %s(" : "%s(", name);
            append_types(text, function->arguments, function->argument_count);
            br_buffer_append_byte(text, ')');
        }
}

static enum br_status not_found(const char *name, const struct given *given, bool name_exists, bool ambiguous,
                                struct br_error *error) {
    bool is_operator = br_function_is_operator(name);
    struct br_buffer signature = {0}, hint = {0};
    append_signature(&signature, name, given);
    const char *nearest = is_operator || name_exists ? NULL : br_function_nearest(name);
    if (ambiguous) {
        br_buffer_append_text(&hint, "Could not choose a best candidate. You might need to add explicit type casts.");
    } else if (is_operator) {
        br_buffer_append_text(&hint, "No operator matches the given name and argument types. You might need to add "
                                     "explicit type casts.");
    } else if (name_exists) {
        br_buffer_append_text(&hint, "No function matches the given argument types. There is ");
        append_known(&hint, name);
        br_buffer_append_text(&hint, ". You might need to add explicit type casts.");
    } else if (nearest != NULL) {
        br_buffer_printf(&hint, "The nearest name is \"%s\".", nearest);
    } else {
        br_buffer_append_text(&hint, "There is no function of this name; docs/sql.md lists those there are.");
    }
    const char *what = is_operator ? "operator" : "function";
    struct br_slice text = br_buffer_slice(&signature), way_out = br_buffer_slice(&hint);
    enum br_status status;
    if (ambiguous)
        status = br_error_set(error, BR_DATA, "%s is not unique: %.*s\nhint: %.*s", what, (int)text.len, text.ptr,
                              (int)way_out.len, way_out.ptr);
    else if (is_operator)
        status = br_error_set(error, BR_DATA, "operator does not exist: %.*s\nhint: %.*s", (int)text.len, text.ptr,
                              (int)way_out.len, way_out.ptr);
    else
        status = br_error_set(error, BR_DATA, "function %.*s does not exist\nhint: %.*s", (int)text.len, text.ptr,
                              (int)way_out.len, way_out.ptr);
    br_buffer_free(&signature);
    br_buffer_free(&hint);
    return status;
}

// --- special forms
static enum br_status make_checked(struct br_arena *arena, const char *name, struct br_expr **arguments, uint32_t count,
                                   enum br_type type, int location, struct br_expr **ret_expr, struct br_error *error) {
    const struct br_function *function = br_function_find(name, (enum br_type[]){type, type}, 2);
    BR_CHECK(function != NULL);
    return br_expr_make_call(arena, function, arguments, count, location, ret_expr, error);
}

static enum br_status make_extreme(struct br_arena *arena, const char *name, struct br_expr **arguments, uint32_t count,
                                   int location, struct br_expr **ret_expr, struct br_error *error) {
    enum br_type type;
    struct br_expr **unified = br_arena_array(arena, struct br_expr *, count);
    memcpy(unified, arguments, count * sizeof *unified);
    BR_TRY(br_expr_unify(arena, unified, count, strcmp(name, "greatest") == 0 ? "GREATEST" : "LEAST", &type, error));
    return make_checked(arena, name, unified, count, type, location, ret_expr, error);
}

// Types that PostgreSQL compares without a cast.
static bool have_common_operator(enum br_type a, enum br_type b) {
    return a == b || (a == BR_INTEGER && b == BR_BIGINT) || (a == BR_BIGINT && b == BR_INTEGER) ||
           (a == BR_DATE && b == BR_TIMESTAMPTZ) || (a == BR_TIMESTAMPTZ && b == BR_DATE);
}

// NULL where "=" says so, else the first argument as "=" takes it.
static enum br_status make_nullif(struct br_arena *arena, struct br_expr **arguments, int location,
                                  struct br_expr **ret_expr, struct br_error *error) {
    struct br_expr *equal, *sides[2] = {arguments[0], arguments[1]};
    BR_TRY(br_expr_call(arena, "=", arguments, 2, location, &equal, error));
    if (!have_common_operator(sides[0]->type, sides[1]->type) || sides[0]->type == BR_UNKNOWN) {
        enum br_type common;
        BR_TRY(br_expr_unify(arena, sides, 2, "NULLIF", &common, error));
    }
    const struct br_function *function = br_function_find("nullif", (enum br_type[]){sides[0]->type, BR_BOOLEAN}, 2);
    BR_CHECK(function != NULL);
    return br_expr_make_call(arena, function, (struct br_expr *[]){sides[0], equal}, 2, location, ret_expr, error);
}

// concat's text of a boolean is t or f, a cast's true or false.
static enum br_status output_text(struct br_arena *arena, struct br_expr *expr, struct br_expr **ret_expr,
                                  struct br_error *error) {
    if (expr->type != BR_BOOLEAN)
        return br_expr_cast(arena, expr, BR_TEXT, BR_CAST_EXPLICIT, ret_expr, error);
    const struct br_function *function = br_function_find("boolout", (enum br_type[]){BR_BOOLEAN}, 1);
    return br_expr_make_call(arena, function, &expr, 1, expr->location, ret_expr, error);
}

static enum br_status make_concat(struct br_arena *arena, const char *name, struct br_expr **arguments, uint32_t count,
                                  int location, struct br_expr **ret_expr, struct br_error *error) {
    struct br_expr **texts = br_arena_array(arena, struct br_expr *, count);
    for (uint32_t i = 0; i < count; i++)
        BR_TRY(output_text(arena, arguments[i], &texts[i], error));
    return make_checked(arena, name, texts, count, BR_TEXT, location, ret_expr, error);
}

// text || anything, anything || text: the other side as text.
static bool is_text_concatenation(const char *name, struct br_expr **arguments, uint32_t count) {
    if (strcmp(name, "||") != 0 || count != 2)
        return false;
    enum br_type a = arguments[0]->type, b = arguments[1]->type;
    if (a == BR_TEXT || b == BR_TEXT)
        return true;
    return (a == BR_UNKNOWN && b != BR_BYTEA) || (b == BR_UNKNOWN && a != BR_BYTEA);
}

static bool is_special(const char *name, uint32_t count) {
    if (strcmp(name, "nullif") == 0)
        return count == 2;
    if (strcmp(name, "concat_ws") == 0)
        return count >= 2;
    return count >= 1 && (strcmp(name, "greatest") == 0 || strcmp(name, "least") == 0 || strcmp(name, "concat") == 0);
}

static enum br_status make_special(struct br_arena *arena, const char *name, struct br_expr **arguments, uint32_t count,
                                   int location, struct br_expr **ret_expr, struct br_error *error) {
    if (strcmp(name, "nullif") == 0)
        return make_nullif(arena, arguments, location, ret_expr, error);
    if (name[0] == 'c')
        return make_concat(arena, name, arguments, count, location, ret_expr, error);
    return make_extreme(arena, name, arguments, count, location, ret_expr, error);
}

// --- the entrance
// The function that a name and arguments mean, and the arguments cast to its types.
static enum br_status resolve(struct br_arena *arena, const char *name, struct br_expr **arguments, uint32_t count,
                              const struct br_function **ret_function, struct br_expr **ret_cast,
                              struct br_error *error) {
    enum br_type types[BR_ARGUMENTS_MAX];
    struct candidates candidates;
    find_candidates(name, count, &candidates);
    if (count > BR_ARGUMENTS_MAX) {
        enum br_type *all = br_arena_array(arena, enum br_type, count);
        for (uint32_t i = 0; i < count; i++)
            all[i] = arguments[i]->type;
        return not_found(name, &(struct given){all, count}, candidates.name_exists, false, error);
    }
    for (uint32_t i = 0; i < count; i++)
        types[i] = arguments[i]->type;
    if (is_text_concatenation(name, arguments, count))
        types[0] = types[1] = BR_TEXT;
    struct given given = {types, count};
    const struct br_function *function = exact_match(&candidates, &given);
    if (function == NULL && count == 2 && br_function_is_operator(name) &&
        (types[0] == BR_UNKNOWN) != (types[1] == BR_UNKNOWN)) {
        enum br_type known = types[0] == BR_UNKNOWN ? types[1] : types[0];
        function = exact_match(&candidates, &(struct given){(enum br_type[]){known, known}, 2});
    }
    if (function == NULL) {
        keep_castable(&candidates, &given);
        bool some = candidates.count > 0;
        function = select_candidate(&candidates, &given);
        if (function == NULL)
            return not_found(name, &given, candidates.name_exists, some, error);
    }
    enum br_cast_context context = is_text_concatenation(name, arguments, count) ? BR_CAST_EXPLICIT : BR_CAST_IMPLICIT;
    for (uint32_t i = 0; i < count; i++)
        BR_TRY(br_expr_cast(arena, arguments[i], function->arguments[i], context, &ret_cast[i], error));
    *ret_function = function;
    return BR_OK;
}

enum br_status br_expr_call(struct br_arena *arena, const char *name, struct br_expr **arguments, uint32_t count,
                            int location, struct br_expr **ret_expr, struct br_error *error) {
    const struct br_function *function;
    struct br_expr *cast[BR_ARGUMENTS_MAX];
    if (strcmp(name, "!=") == 0)
        name = "<>";
    if (is_special(name, count))
        return make_special(arena, name, arguments, count, location, ret_expr, error);
    BR_TRY(resolve(arena, name, arguments, count, &function, cast, error));
    return br_expr_make_call(arena, function, cast, count, location, ret_expr, error);
}

bool br_expr_call_as_planned(struct br_arena *arena, const char *name, struct br_expr **arguments, uint32_t count,
                             int location, struct br_expr **ret_expr) {
    const struct br_function *function;
    struct br_expr *cast[BR_ARGUMENTS_MAX];
    if (is_special(name, count) || resolve(arena, name, arguments, count, &function, cast, NULL) != BR_OK ||
        function->prepare != br_regex_prepare)
        return false;
    *ret_expr = br_expr_unprepared_call(arena, function, cast, count, location);
    return true;
}

enum br_status br_expr_unify(struct br_arena *arena, struct br_expr **exprs, uint32_t count, const char *what,
                             enum br_type *ret_type, struct br_error *error) {
    enum br_type common = BR_UNKNOWN;
    for (uint32_t i = 0; i < count; i++) {
        enum br_type type = exprs[i]->type;
        if (type == BR_UNKNOWN || type == common)
            continue;
        if (common == BR_UNKNOWN) {
            common = type;
            continue;
        }
        if (br_type_category(type) != br_type_category(common))
            return br_error_set(error, BR_DATA, "%s types %s and %s cannot be matched", what, br_type_name(common),
                                br_type_name(type));
        if (!br_type_is_preferred(common) && br_can_cast(common, type, BR_CAST_IMPLICIT) &&
            !br_can_cast(type, common, BR_CAST_IMPLICIT))
            common = type;
    }
    if (common == BR_UNKNOWN)
        common = BR_TEXT;
    for (uint32_t i = 0; i < count; i++) {
        if (!br_can_cast(exprs[i]->type, common, BR_CAST_IMPLICIT))
            return br_error_set(error, BR_DATA, "%s could not convert type %s to %s", what,
                                br_type_name(exprs[i]->type), br_type_name(common));
        BR_TRY(br_expr_cast(arena, exprs[i], common, BR_CAST_IMPLICIT, &exprs[i], error));
    }
    *ret_type = common;
    return BR_OK;
}
