// SPDX-License-Identifier: Apache-2.0
// A hash of what each function of the table gives for pseudo-random arguments, compared with the golden file beside
// this one: the bits are the same on every processor and with every C library (ADR 4). tools/check-bits builds and runs
// it in several ways.
//
//   function_bits GOLDEN [--long] [PART…]     compares; PARTs of signatures say which ones. Exit status 1: some differ
//   function_bits --write                     prints the golden file: minutes
//   function_bits --values COUNT SIGNATURE    prints arguments and results, separated by tabs
//
// A line of the golden file is a signature, the hash over SHORT_BATCHES batches (10,240 rows), and the one over all
// LONG_BATCHES (a million). Arguments depend on the signature alone. Text arguments are columns in some batches and
// constants in others, since patterns, units and formats may be prepared.
//
// For other machines it is built from this file and those of base/, state/keys.c and processor/expr/ only.
#include "processor/expr/datetime.h"
#include "processor/expr/expr_internal.h"
#include "processor/expr/numeric.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_BATCHES 5
#define LONG_BATCHES 489
#define SIGNATURE_SIZE 160
#define TEXT_SIZE_MAX 40

// --- hashes and pseudo-random numbers

static void hash_bytes(uint64_t *hash, const void *bytes, size_t len) { // FNV-1a
    const uint8_t *at = bytes;
    for (size_t i = 0; i < len; i++)
        *hash = (*hash ^ at[i]) * UINT64_C(0x100000001b3);
}

static uint64_t next(uint64_t *seed) { // splitmix64
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t below(uint64_t *seed, uint64_t bound) {
    return next(seed) % bound;
}

static int64_t between(uint64_t *seed, int64_t least, int64_t most) {
    return (int64_t)((uint64_t)least + below(seed, (uint64_t)most - (uint64_t)least + 1));
}

// --- arguments

static double exact_power(int exponent) { // of 2, by products: exact
    double power = 1;
    for (; exponent > 0; exponent--)
        power *= 2;
    for (; exponent < 0; exponent++)
        power /= 2;
    return power;
}

static double make_double(uint64_t *seed) {
    static const double special[] = {0,   -0.0, 1,    -1,   0.5,    -0.5,  2,         10,       100,      1000,
                                     0.1, 0.25, 1e22, 1e23, 1e-300, 1e300, 0x1p-1074, 0x1p1023, INFINITY, -INFINITY};
    uint64_t bits;
    double value, sign = below(seed, 2) == 0 ? 1 : -1;
    // One draw in a statement: the order of several in one is the compiler's.
    uint64_t kind = below(seed, 8);
    bits = next(seed);
    double fraction = sign * (double)(int64_t)(bits >> 11) * 0x1p-53; // between -1 and 1
    switch (kind) {
    case 0: // any finite one
        for (;; bits = next(seed)) {
            memcpy(&value, &bits, sizeof value);
            if (value - value == 0)
                return value;
        }
    case 1: // as wide as 2^±30
        return fraction * exact_power((int)between(seed, -30, 30));
    case 2: // few decimals
        value = sign * (double)(bits % 1000001);
        return value / (below(seed, 2) == 0 ? 100 : 1000);
    case 3: // whole
        return sign * (double)(int64_t)(bits >> between(seed, 11, 63));
    case 4: // near 1
        value = sign * (double)(int64_t)(bits % 9);
        return 1 + value * exact_power((int)between(seed, -52, -2));
    case 5:
        return fraction;
    case 6: // within what exp takes
        return fraction * 745;
    default:
        value = special[bits % (sizeof special / sizeof *special)];
        return below(seed, 30) == 0 ? NAN : value;
    }
}

static struct br_numeric make_numeric(uint64_t *seed) {
    struct br_numeric numeric = {0};
    bool negative = below(seed, 2) == 0;
    __int128 coefficient;
    unsigned scale;
    uint64_t kind = below(seed, 4), high = next(seed), low = next(seed); // in this order: they are declared in it
    switch (kind) {
    case 0: // any
        coefficient = (__int128)(((unsigned __int128)high << 64 | low) >> between(seed, 7, 127));
        scale = (unsigned)below(seed, 64);
        break;
    case 1: // an amount
        coefficient = between(seed, 0, 100000000);
        scale = (unsigned)below(seed, 5);
        break;
    case 2: // small
        coefficient = between(seed, 0, 300);
        scale = (unsigned)below(seed, 3);
        break;
    default: // near 1
        scale = (unsigned)between(seed, 1, 18);
        coefficient = 1;
        for (unsigned i = 0; i < scale; i++)
            coefficient *= 10;
        coefficient += between(seed, -9, 9);
    }
    if (!br_numeric_make(negative ? -coefficient : coefficient, scale, &numeric))
        abort();
    return numeric;
}

static const char *const WORDS[] = {
    // units, formats, encodings, flags
    "year",
    "month",
    "week",
    "day",
    "hour",
    "minute",
    "second",
    "milliseconds",
    "epoch",
    "dow",
    "doy",
    "quarter",
    "century",
    "isoyear",
    "julian",
    "YYYY-MM-DD HH24:MI:SS",
    "Day, DD Mon YYYY",
    "FMMonth Dth, HH12:MI:SS.US AM",
    "IYYY-IW J Q",
    "hex",
    "base64",
    "escape",
    "UTF8",
    "latin1",
    "g",
    "gi",
    "i",
    // patterns
    "%",
    "_",
    "a%",
    "%b_",
    "a\\%c",
    "^a",
    "a.c",
    "[a-c]+",
    "(a|ab)(c|bcd)",
    "\\d+",
    "",
    " ",
    // values of other types
    "t",
    "false",
    "yes",
    "42",
    "-7",
    " 12 ",
    "2147483648",
    "9223372036854775807",
    "3.14",
    "-0.001",
    "1e10",
    "1e-400",
    "1e400",
    "0x1.8p3",
    "123456789012345678901234567890.123",
    "NaN",
    "Infinity",
    "0.1",
    "17.5e-3",
    "9007199254740993",
    "\\x6162ff",
    "2026-03-01",
    "2026-03-01 12:34:56.789+02",
    "20260301T123456Z",
    "Mar 1 2026 3:04 PM",
    "0044-03-15 BC",
    "1 day 02:03:04.5",
    "P1Y2M3DT4H5M6.7S",
    "3 weeks ago",
    "1.5 months",
    "-1-2 +3 -4:05:06",
    // text
    "abc",
    "ABC",
    "Straße",
    "ÅNGSTRÖM",
    "наука",
    "日本語",
    "naïve café",
    "x,y,,z",
    "aaa",
    "zażółć gęślą jaźń",
};
#define WORD_COUNT (sizeof WORDS / sizeof *WORDS)

static struct br_slice make_text(uint64_t *seed, struct br_arena *arena) {
    static const char *const letters[] = {"a", "b", "c", "A",  "B", "z", "0", "1",  "7", ".",
                                          "-", "%", "_", "\\", " ", "é", "Ж", "日", "😀"};
    if (below(seed, 2) == 0)
        return br_slice_of(WORDS[below(seed, WORD_COUNT)]);
    char text[4 * TEXT_SIZE_MAX + 1];
    size_t len = 0, characters = below(seed, below(seed, 8) == 0 ? TEXT_SIZE_MAX : 8);
    bool numeric = below(seed, 3) == 0; // digits, a point, an exponent
    for (size_t i = 0; i < characters; i++) {
        const char *letter = numeric ? (const char *const[]){"0", "1", "2", "5", "9", "3", "7", "."}[below(seed, 8)]
                                     : letters[below(seed, sizeof letters / sizeof *letters)];
        len += (size_t)sprintf(text + len, "%s", letter);
    }
    if (numeric && below(seed, 3) == 0)
        len += (size_t)sprintf(text + len, "e%d", (int)between(seed, -330, 330));
    return (struct br_slice){(const uint8_t *)br_arena_strndup(arena, text, len), len};
}

static struct br_slice make_bytes(uint64_t *seed, struct br_arena *arena) {
    if (below(seed, 3) == 0)
        return make_text(seed, arena);
    size_t len = below(seed, TEXT_SIZE_MAX);
    uint8_t *bytes = br_arena_alloc(arena, len + 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)next(seed);
    return (struct br_slice){bytes, len};
}

static int64_t make_integer(uint64_t *seed, unsigned bits, bool mostly_small) {
    static const int64_t special[] = {INT64_MIN, INT64_MAX, INT32_MIN, INT32_MAX, 0, 1, -1};
    uint64_t kind = below(seed, mostly_small ? 512 : 8);
    if (kind == 0) // sign-extended from its bits
        return (int64_t)((uint64_t)special[below(seed, sizeof special / sizeof *special)] << (64 - bits)) >>
               (64 - bits);
    if (kind < 3 && !mostly_small)
        return (int64_t)next(seed) >> (64 - bits);
    return kind % 2 == 0 ? between(seed, -5, 40) : between(seed, -100000, 100000) % (mostly_small ? 100 : 100001);
}

// mostly_small: the function makes text, which would be long.
static struct br_value make_value(enum br_type type, uint64_t *seed, bool mostly_small, struct br_arena *arena) {
    struct br_value value = {.type = type};
    switch (type) {
    case BR_BOOLEAN:
        value.boolean = below(seed, 2) == 0;
        break;
    case BR_INTEGER:
        value.integer = (int32_t)make_integer(seed, 32, mostly_small);
        break;
    case BR_BIGINT:
        value.bigint = make_integer(seed, 64, mostly_small);
        break;
    case BR_NUMERIC:
        value.numeric = make_numeric(seed);
        break;
    case BR_DOUBLE:
        value.real = make_double(seed);
        break;
    case BR_BYTEA:
        value.bytes = make_bytes(seed, arena);
        break;
    case BR_TIMESTAMPTZ:
        value.bigint = below(seed, 4) == 0 ? between(seed, BR_TIMESTAMP_MIN, BR_TIMESTAMP_END - 1)
                                           : between(seed, 0, INT64_C(4102444800000000));
        break;
    case BR_DATE:
        value.integer = (int32_t)(below(seed, 4) == 0 ? between(seed, -2440588, 2145031948) : between(seed, 0, 47482));
        break;
    case BR_INTERVAL:
        value.interval.months = below(seed, 2) == 0 ? 0 : (int32_t)make_integer(seed, 32, false);
        value.interval.days = below(seed, 3) == 0 ? 0 : (int32_t)make_integer(seed, 32, false);
        value.interval.us =
            below(seed, 3) == 0 ? make_integer(seed, 64, false) : between(seed, -86400000000, 86400000000);
        break;
    default:
        value.bytes = make_text(seed, arena);
    }
    value.is_null = below(seed, 64) == 0;
    return value;
}

// --- one function

static void sign(const struct br_function *function, char signature[SIGNATURE_SIZE]) {
    size_t len = (size_t)snprintf(signature, SIGNATURE_SIZE, "%s(", function->name);
    for (uint8_t i = 0; i < function->argument_count; i++)
        len += (size_t)snprintf(signature + len, SIGNATURE_SIZE - len, i > 0 ? ", %s" : "%s",
                                br_type_name(function->arguments[i]));
    snprintf(signature + len, SIGNATURE_SIZE - len, ") %s", br_type_name(function->result));
}

struct trial {
    const struct br_function *function;
    uint64_t seed, hash;
    struct br_arena *arena;
    struct br_batch *batch;
    struct br_expr *expr;
    const char *refusal; // why the constants are refused; expr is NULL then
};

// A batch of arguments, and the call over them.
static void prepare(struct trial *trial) {
    const struct br_function *function = trial->function;
    bool makes_text = function->result == BR_TEXT || function->result == BR_BYTEA;
    struct br_expr *arguments[BR_ARGUMENTS_MAX];
    uint8_t count = function->argument_count;
    br_arena_reset(trial->arena);
    trial->batch = br_batch_create(trial->arena, function->arguments, NULL, count);
    trial->batch->row_count = BR_BATCH_ROWS;
    for (uint8_t c = 0; c < count; c++) {
        enum br_type type = function->arguments[c];
        for (uint32_t row = 0; row < BR_BATCH_ROWS; row++) {
            struct br_value value = make_value(type, &trial->seed, makes_text, trial->arena);
            br_column_set(&trial->batch->columns[c], row, &value);
        }
        arguments[c] = br_expr_column(trial->arena, c, type, -1);
        if (type == BR_TEXT && count > 1 && below(&trial->seed, 2) == 0) {
            struct br_value word = {.type = BR_TEXT, .bytes = br_slice_of(WORDS[below(&trial->seed, WORD_COUNT)])};
            arguments[c] = br_expr_const(trial->arena, word, -1);
        }
    }
    struct br_error error;
    trial->refusal = NULL;
    if (br_expr_make_call(trial->arena, function, arguments, count, -1, &trial->expr, &error) != BR_OK) {
        trial->expr = NULL;
        trial->refusal = br_arena_printf(trial->arena, "%s", error.message);
    }
}

static struct br_column evaluate(struct trial *trial, struct br_eval *ret_eval) {
    struct br_column column;
    struct br_error error;
    *ret_eval = (struct br_eval){.arena = trial->arena, .now = {INT64_C(1772366400123456)}};
    if (br_expr_eval(trial->expr, trial->batch, NULL, ret_eval, &column, &error) != BR_OK)
        abort();
    return column;
}

static void hash_value(uint64_t *hash, const struct br_value *value) {
    uint8_t byte = value->type == BR_BOOLEAN && value->boolean;
    switch (value->type) {
    case BR_BOOLEAN:
        hash_bytes(hash, &byte, 1);
        break;
    case BR_INTEGER:
    case BR_DATE:
        hash_bytes(hash, &value->integer, sizeof value->integer);
        break;
    case BR_BIGINT:
    case BR_TIMESTAMPTZ:
        hash_bytes(hash, &value->bigint, sizeof value->bigint);
        break;
    case BR_NUMERIC:
        hash_bytes(hash, &value->numeric, sizeof value->numeric);
        break;
    case BR_DOUBLE:
        hash_bytes(hash, &value->real, sizeof value->real);
        break;
    case BR_INTERVAL:
        hash_bytes(hash, &value->interval.months, sizeof value->interval.months);
        hash_bytes(hash, &value->interval.days, sizeof value->interval.days);
        hash_bytes(hash, &value->interval.us, sizeof value->interval.us);
        break;
    default:
        hash_bytes(hash, value->bytes.ptr, value->bytes.len);
    }
}

static void hash_results(struct trial *trial) {
    if (trial->refusal != NULL) {
        hash_bytes(&trial->hash, trial->refusal, strlen(trial->refusal));
        return;
    }
    struct br_eval eval;
    struct br_column column = evaluate(trial, &eval);
    for (uint32_t row = 0; row < BR_BATCH_ROWS; row++) {
        bool null = br_column_is_null(&column, row);
        hash_bytes(&trial->hash, null ? "-" : "+", 1);
        if (!null) {
            struct br_value value = br_column_get(&column, row);
            hash_value(&trial->hash, &value);
        }
    }
    for (uint32_t i = 0; i < eval.error_count; i++) {
        hash_bytes(&trial->hash, &eval.errors[i].row, sizeof eval.errors[i].row);
        hash_bytes(&trial->hash, eval.errors[i].message, strlen(eval.errors[i].message));
    }
}

static struct trial begin(const struct br_function *function, const char *signature) {
    struct trial trial = {.function = function, .hash = UINT64_C(0xcbf29ce484222325), .arena = br_arena_create()};
    trial.seed = trial.hash;
    hash_bytes(&trial.seed, signature, strlen(signature));
    return trial;
}

static void hash_function(const struct br_function *function, const char *signature, int batches, uint64_t *ret_short,
                          uint64_t *ret_all) {
    struct trial trial = begin(function, signature);
    for (int i = 0; i < batches; i++) {
        prepare(&trial);
        hash_results(&trial);
        if (i + 1 == SHORT_BATCHES)
            *ret_short = trial.hash;
    }
    *ret_all = trial.hash;
    br_arena_destroy(&trial.arena);
}

// --- the commands

struct golden {
    char signature[SIGNATURE_SIZE];
    uint64_t hashes[2]; // short, long
    bool seen;
};
#define GOLDEN_MAX 500
static struct golden golden[GOLDEN_MAX];
static size_t golden_count;

static bool read_golden(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        return false;
    }
    char line[SIGNATURE_SIZE + 64];
    while (fgets(line, sizeof line, file) != NULL && golden_count < GOLDEN_MAX) {
        struct golden *entry = &golden[golden_count];
        if (strncmp(line, "# ", 2) != 0 && sscanf(line, "%159[^\t]\t%" SCNx64 "\t%" SCNx64, entry->signature,
                                                  &entry->hashes[0], &entry->hashes[1]) == 3)
            golden_count++;
    }
    fclose(file);
    return true;
}

static struct golden *golden_of(const char *signature) {
    for (size_t i = 0; i < golden_count; i++)
        if (strcmp(golden[i].signature, signature) == 0)
            return &golden[i];
    return NULL;
}

typedef int each_function(const struct br_function *function, const char *signature, void *context);

// The sum of what `each` returns.
static int for_all(each_function *each, void *context) {
    char signature[SIGNATURE_SIZE];
    int sum = 0;
    for (size_t t = 0; t < br_function_table_count; t++)
        for (size_t f = 0; f < br_function_tables[t]->count; f++) {
            sign(&br_function_tables[t]->functions[f], signature);
            sum += each(&br_function_tables[t]->functions[f], signature, context);
        }
    return sum;
}

struct selection {
    bool is_long;
    char **parts;
    int part_count, checked;
};

static int check(const struct br_function *function, const char *signature, void *context) {
    struct selection *selection = context;
    struct golden *entry = golden_of(signature);
    if (entry != NULL)
        entry->seen = true;
    bool wanted = selection->part_count == 0;
    for (int i = 0; i < selection->part_count; i++)
        wanted |= strstr(signature, selection->parts[i]) != NULL;
    if (!wanted)
        return 0;
    selection->checked++;
    uint64_t hashes[2] = {0};
    hash_function(function, signature, selection->is_long ? LONG_BATCHES : SHORT_BATCHES, &hashes[0], &hashes[1]);
    if (entry == NULL) {
        printf("%s: not in the golden file: write it anew\n", signature);
        return 1;
    }
    bool same = hashes[0] == entry->hashes[0] && (!selection->is_long || hashes[1] == entry->hashes[1]);
    if (!same)
        printf("%s: other bits than those of the golden file\n", signature);
    return !same;
}

static int write_line(const struct br_function *function, const char *signature, void *context) {
    (void)context;
    uint64_t hashes[2] = {0};
    hash_function(function, signature, LONG_BATCHES, &hashes[0], &hashes[1]);
    printf("%s\t%016" PRIx64 "\t%016" PRIx64 "\n", signature, hashes[0], hashes[1]);
    fflush(stdout);
    return 0;
}

struct listing {
    const char *signature;
    long rows;
};

static void print_row(const struct trial *trial, const struct br_column *column, const struct br_eval *eval,
                      uint32_t row) {
    struct br_buffer out = {0};
    for (uint8_t c = 0; c < trial->function->argument_count; c++) {
        struct br_value value = br_column_get(&trial->batch->columns[c], row);
        br_value_print(&value, &out);
        br_buffer_append_byte(&out, '\t');
    }
    if (br_column_is_null(column, row)) {
        br_buffer_append_text(&out, "error");
        for (uint32_t i = 0; i < eval->error_count; i++)
            if (eval->errors[i].row == row)
                br_buffer_printf(&out, " %s", eval->errors[i].message);
    } else {
        struct br_value value = br_column_get(column, row);
        br_value_print(&value, &out);
    }
    printf("%.*s\n", (int)out.len, (const char *)out.ptr);
    br_buffer_free(&out);
}

static bool has_null(const struct trial *trial, uint32_t row) {
    bool null = false;
    for (uint8_t c = 0; c < trial->function->argument_count; c++)
        null |= br_column_is_null(&trial->batch->columns[c], row);
    return null;
}

static int print_values(const struct br_function *function, const char *signature, void *context) {
    struct listing *listing = context;
    if (strcmp(signature, listing->signature) != 0)
        return 0;
    struct trial trial = begin(function, signature);
    for (long left = listing->rows; left > 0;) {
        struct br_eval eval;
        prepare(&trial);
        if (trial.expr == NULL)
            continue;
        struct br_column column = evaluate(&trial, &eval);
        for (uint32_t row = 0; row < BR_BATCH_ROWS && left > 0; row++)
            if (!has_null(&trial, row)) {
                print_row(&trial, &column, &eval, row);
                left--;
            }
    }
    br_arena_destroy(&trial.arena);
    return 1;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--write") == 0) {
        printf("# What function_bits finds: signature, hash of 10,240 rows, hash of 1,001,472 rows. function_bits "
               "--write\n");
        return for_all(write_line, NULL);
    }
    if (argc == 4 && strcmp(argv[1], "--values") == 0) {
        struct listing listing = {argv[3], strtol(argv[2], NULL, 10)};
        return for_all(print_values, &listing) == 1 ? 0 : 2;
    }
    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: function_bits GOLDEN [--long] [PART...] | --write | --values COUNT SIGNATURE\n");
        return 2;
    }
    struct selection selection = {.is_long = argc > 2 && strcmp(argv[2], "--long") == 0};
    selection.parts = argv + 2 + selection.is_long;
    selection.part_count = argc - 2 - selection.is_long;
    if (!read_golden(argv[1]))
        return 2;
    int differ = for_all(check, &selection);
    for (size_t i = 0; i < golden_count; i++)
        if (!golden[i].seen) {
            printf("%s: in the golden file, but no function\n", golden[i].signature);
            differ++;
        }
    printf("function_bits: %d functions, %d rows each, %d differ\n", selection.checked,
           (selection.is_long ? LONG_BATCHES : SHORT_BATCHES) * BR_BATCH_ROWS, differ);
    return differ != 0 || selection.checked == 0;
}
