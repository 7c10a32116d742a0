// SPDX-License-Identifier: Apache-2.0
// What the files of the expression engine share: vectors, calls, the function table's rows, and how kernels are
// written.
//
// A kernel computes one function over a whole batch. E1. It writes result[r] for every live row and may write any other
// row of the result. E2. It never reads through a pointer (text) of a row that isn't live, and never reports an error
// for one. E3. Kernels of strict functions see no NULL in live rows; the result's validity is prepared. Others read the
// arguments' validity and set call->validity themselves. E4. br_call_fail notes a row's error and makes its result
// NULL. E5. An argument may be constant: one value, for all rows. When all arguments are, rows is 1.
//
// Dense kernels (arithmetic, comparison) compute all rows, live or not, without a branch, gather a flag that something
// may have gone wrong, and look for the live culprits only then.
#ifndef BR_PROCESSOR_EXPR_EXPR_INTERNAL_H
#define BR_PROCESSOR_EXPR_EXPR_INTERNAL_H

#include "processor/expr/expr.h"

#define BR_ARGUMENTS_MAX 6 // of functions that aren't variadic
// Bytes of one text result of a function that can make much of little (repeat, lpad, replace …): by its row alone, and
// small enough that a batch of them fits memory.
static inline size_t br_text_result_max(size_t input_size) {
    return ((size_t)1 << 20) + 4 * input_size;
}

// A column, or one value that stands for all rows (validity NULL or one word).
struct br_vector {
    struct br_column column;
    bool constant;
};

struct br_call {
    const struct br_expr *expr;
    const struct br_vector *arguments;
    uint32_t argument_count;
    uint32_t rows;
    const uint64_t *live; // rows to compute, no bits past rows; NULL: all
    void *result;         // room for `rows` values
    uint64_t *validity;   // of the result; NULL: all valid
    bool owns_validity;   // may validity be written, or is it shared with an argument?
    struct br_eval *eval;
};
typedef void (*br_kernel)(struct br_call *call);

enum br_function_flags {
    BR_NOT_STRICT = 1,
    BR_READS_CLOCK = 2,
    BR_HIDDEN = 4, // made by casts and special forms; not to be called by name
    BR_VARIADIC = 8,
    BR_ELEMENTARY = 16, // came from the C library before semantics 1 (processor/semantics.c)
};
struct br_function {
    const char *name;
    enum br_type result;
    uint8_t argument_count;
    enum br_type arguments[BR_ARGUMENTS_MAX];
    br_kernel kernel;
    // Makes expr->prepared from constant arguments while binding; BR_DATA when they are wrong. NULL: nothing to do.
    enum br_status (*prepare)(struct br_arena *arena, struct br_expr *expr, struct br_error *error);
    unsigned flags;
};
struct br_function_table {
    const struct br_function *functions;
    size_t count;
};
extern const struct br_function_table br_arithmetic_table, br_numeric_table, br_math_table, br_compare_table,
    br_text_table, br_text_search_table, br_text_code_table, br_regex_table, br_time_table, br_format_table,
    br_cast_table;

// All functions: table[0 .. br_function_table_count).
extern const struct br_function_table *const br_function_tables[];
extern const size_t br_function_table_count;
bool br_function_is_operator(const char *name);
// The function's row of this name and these argument types, or NULL. Hidden ones too.
const struct br_function *br_function_find(const char *name, const enum br_type *arguments, uint32_t count);
// The nearest function name within a small edit distance, or NULL.
const char *br_function_nearest(const char *name);

// Of functions over regular expressions (regex.c).
enum br_status br_regex_prepare(struct br_arena *arena, struct br_expr *expr, struct br_error *error) BR_MUST_CHECK;

// --- making
// A call of a resolved function with arguments of its types: prepares it and folds constants.
enum br_status br_expr_make_call(struct br_arena *arena, const struct br_function *function, struct br_expr **arguments,
                                 uint32_t count, int location, struct br_expr **ret_expr, struct br_error *error)
    BR_MUST_CHECK;
// The same, neither prepared nor folded.
struct br_expr *br_expr_unprepared_call(struct br_arena *arena, const struct br_function *function,
                                        struct br_expr **arguments, uint32_t count, int location);
bool br_can_cast(enum br_type from, enum br_type to, enum br_cast_context context); // unknown goes to everything
char br_type_category(enum br_type type);                                           // as in pg_type
bool br_type_is_preferred(enum br_type type);
// The value of a constant argument, NULL when it isn't constant or is NULL.
const struct br_value *br_constant_argument(const struct br_expr *expr, uint32_t index);
struct br_value br_null_of(enum br_type type);

// --- evaluation
// Evaluates an expression without columns; BR_DATA when it fails.
enum br_status br_expr_fold(struct br_arena *arena, const struct br_expr *expr, struct br_value *ret_value,
                            struct br_error *error) BR_MUST_CHECK;
void br_call_fail(struct br_call *call, uint32_t row, const char *message); // message: static or in the eval's arena
void br_call_fail_printf(struct br_call *call, uint32_t row, const char *format, ...) BR_PRINTF(3, 4);
void br_call_set_null(struct br_call *call, uint32_t row);
// The result's validity as the kernel's own, all valid to begin with when there was none.
uint64_t *br_call_own_validity(struct br_call *call);
// The comparison kernel "=" of a type.
br_kernel br_equal_kernel(enum br_type type);

static inline uint32_t br_words(uint32_t rows) {
    return (rows + 63) / 64;
}
// The bits of word w that are rows.
static inline uint64_t br_word_mask(uint32_t rows, uint32_t word) {
    uint32_t left = rows - word * 64;
    return left >= 64 ? UINT64_MAX : (UINT64_C(1) << left) - 1;
}
static inline bool br_vector_is_null(const struct br_vector *vector, uint32_t row) {
    return br_column_is_null(&vector->column, vector->constant ? 0 : row);
}

// --- for kernels
// The value of an argument in a row.
#define BR_ARGUMENT(call, index, value_type, row)                                                                      \
    (((const value_type *)(call)->arguments[index].column.values)[(call)->arguments[index].constant ? 0 : (row)])
#define BR_RESULT(call, value_type) ((value_type *)(call)->result)

// Runs the statements for every live row; `continue` goes to the next.
#define BR_EACH_LIVE(call, row, ...)                                                                                   \
    do {                                                                                                               \
        const uint32_t each_rows = (call)->rows;                                                                       \
        const uint64_t *const each_live = (call)->live;                                                                \
        if (each_live == NULL) {                                                                                       \
            for (uint32_t row = 0; row < each_rows; row++) {                                                           \
                __VA_ARGS__                                                                                            \
            }                                                                                                          \
        } else {                                                                                                       \
            for (uint32_t each_word = 0; each_word * 64 < each_rows; each_word++)                                      \
                for (uint64_t each_bits = each_live[each_word]; each_bits != 0; each_bits &= each_bits - 1) {          \
                    const uint32_t row = each_word * 64 + (uint32_t)__builtin_ctzll(each_bits);                        \
                    __VA_ARGS__                                                                                        \
                }                                                                                                      \
        }                                                                                                              \
    } while (0)

// A kernel over single values: compute is `static inline bool/void`-like statements that use a row's values.
#define BR_ROW_KERNEL(kernel, ...)                                                                                     \
    static void kernel(struct br_call *call) {                                                                         \
        BR_EACH_LIVE(call, row, __VA_ARGS__);                                                                          \
    }

// Dense loops, one for each shape of the arguments so that each vectorises. `statement` reads x and y, sets z.
#define BR_DENSE_UNARY(call, x_type, z_type, statement)                                                                \
    do {                                                                                                               \
        const x_type *restrict dense_x = (call)->arguments[0].column.values;                                           \
        z_type *restrict dense_z = (call)->result;                                                                     \
        const uint32_t dense_rows = (call)->rows;                                                                      \
        for (uint32_t dense_i = 0; dense_i < dense_rows; dense_i++) {                                                  \
            const x_type x = dense_x[dense_i];                                                                         \
            z_type z;                                                                                                  \
            statement;                                                                                                 \
            dense_z[dense_i] = z;                                                                                      \
        }                                                                                                              \
    } while (0)
#define BR_DENSE_BINARY(call, x_type, y_type, z_type, statement)                                                       \
    do {                                                                                                               \
        const x_type *restrict dense_x = (call)->arguments[0].column.values;                                           \
        const y_type *restrict dense_y = (call)->arguments[1].column.values;                                           \
        z_type *restrict dense_z = (call)->result;                                                                     \
        const uint32_t dense_rows = (call)->rows;                                                                      \
        if ((call)->arguments[1].constant) {                                                                           \
            const y_type y = dense_y[0];                                                                               \
            for (uint32_t dense_i = 0; dense_i < dense_rows; dense_i++) {                                              \
                const x_type x = dense_x[dense_i];                                                                     \
                z_type z;                                                                                              \
                statement;                                                                                             \
                dense_z[dense_i] = z;                                                                                  \
            }                                                                                                          \
        } else if ((call)->arguments[0].constant) {                                                                    \
            const x_type x = dense_x[0];                                                                               \
            for (uint32_t dense_i = 0; dense_i < dense_rows; dense_i++) {                                              \
                const y_type y = dense_y[dense_i];                                                                     \
                z_type z;                                                                                              \
                statement;                                                                                             \
                dense_z[dense_i] = z;                                                                                  \
            }                                                                                                          \
        } else {                                                                                                       \
            for (uint32_t dense_i = 0; dense_i < dense_rows; dense_i++) {                                              \
                const x_type x = dense_x[dense_i];                                                                     \
                const y_type y = dense_y[dense_i];                                                                     \
                z_type z;                                                                                              \
                statement;                                                                                             \
                dense_z[dense_i] = z;                                                                                  \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

// Text results are cut from pieces of the evaluation's arena, so that a short text costs no call.
struct br_text_writer {
    uint8_t *at, *end;
    struct br_arena *arena;
};
static inline struct br_text_writer br_text_writer_of(struct br_call *call) {
    return (struct br_text_writer){.arena = call->eval->arena};
}
#define BR_TEXT_PIECE_SIZE ((size_t)4096)
static inline uint8_t *br_text_reserve(struct br_text_writer *writer, size_t size) {
    if ((size_t)(writer->end - writer->at) < size || writer->at == NULL) {
        size_t piece = size > BR_TEXT_PIECE_SIZE ? size : BR_TEXT_PIECE_SIZE;
        writer->at = br_arena_alloc(writer->arena, piece);
        writer->end = writer->at + piece;
    }
    return writer->at;
}
// Ends the text that began at `begin` (from br_text_reserve) and is len bytes long.
static inline struct br_slice br_text_done(struct br_text_writer *writer, uint8_t *begin, size_t len) {
    writer->at = begin + len;
    return (struct br_slice){begin, len};
}

// --- UTF-8 of valid text
static inline size_t br_char_size(uint8_t first) {
    return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}
size_t br_char_count(struct br_slice text);
// The byte offset of the n-th character (from 0), text.len when there are fewer.
size_t br_char_offset(struct br_slice text, size_t n);
uint32_t br_char_decode(const uint8_t *at);
size_t br_char_encode(uint32_t code, uint8_t *at);
uint32_t br_char_lower(uint32_t code);
uint32_t br_char_upper(uint32_t code);
bool br_char_is_alphanumeric(uint32_t code);
// Room: 2 * text.len. Returns the length.
size_t br_text_lower(struct br_slice text, uint8_t *to);
size_t br_text_upper(struct br_slice text, uint8_t *to);

#endif
