// SPDX-License-Identifier: Apache-2.0
// Prints the function table, one function or operator a line: name, arguments, result, separated by tabs. What docs.py
// looks for in docs/sql.md and what random.py draws from.
#include "processor/expr/expr.h"

#include <stdio.h>

static void print_function(void *context, const char *name, const char *arguments, const char *result) {
    (void)context;
    printf("%s\t%s\t%s\n", name, arguments, result);
}

int main(void) {
    br_function_each(print_function, NULL);
    return 0;
}
