// SPDX-License-Identifier: Apache-2.0
// See exact_sum.h. A sum of 2^63 rows at scale 63 takes 122 + 63 + 210 bits, far below what the wide integers hold.
#include "replay/exact_sum.h"

#define CHUNK_DIGITS 19
#define CHUNK UINT64_C(10000000000000000000)
#define CHUNKS_MAX 24 // 1,280 bits are 386 digits

static void add_wide(struct br_exact_sum *sum, __int128 coefficient, unsigned scale, int64_t times) {
    struct br_int1280 value = br_int1280_from_int128(coefficient), factor = br_int1280_from_int128(times);
    value = br_int1280_multiply(&value, &factor);
    value = br_int1280_scale_up(&value, BR_NUMERIC_SCALE_MAX - scale);
    sum->whole = br_int1280_add(&sum->whole, &value);
}

void br_exact_sum_add(struct br_exact_sum *sum, struct br_numeric value, int64_t times) {
    __int128 coefficient = br_numeric_coefficient(value), part;
    unsigned scale = br_numeric_scale(value);
    sum->count += (uint64_t)times;
    sum->scale = scale > sum->scale ? scale : sum->scale;
    if (times == 1 && !__builtin_add_overflow(sum->parts[scale], coefficient, &part)) {
        sum->parts[scale] = part;
        return;
    }
    add_wide(sum, coefficient, scale, times);
}

static struct br_int1280 total(const struct br_exact_sum *sum) {
    struct br_int1280 whole = sum->whole;
    for (unsigned scale = 0; scale <= BR_NUMERIC_SCALE_MAX; scale++) {
        if (sum->parts[scale] == 0)
            continue;
        struct br_int1280 part = br_int1280_from_int128(sum->parts[scale]);
        part = br_int1280_scale_up(&part, BR_NUMERIC_SCALE_MAX - scale);
        whole = br_int1280_add(&whole, &part);
    }
    return whole;
}

// Divides in place; returns the remainder.
static uint64_t divide_by_chunk(struct br_int1280 *value) {
    unsigned __int128 rest = 0;
    for (uint32_t i = value->len; i > 0; i--) {
        rest = rest << 64 | value->limbs[i - 1];
        value->limbs[i - 1] = (uint64_t)(rest / CHUNK);
        rest %= CHUNK;
    }
    while (value->len != 0 && value->limbs[value->len - 1] == 0)
        value->len--;
    return (uint64_t)rest;
}

// Digits of the magnitude, without leading zeros but with at least `least` digits.
static size_t print_digits(struct br_int1280 value, size_t least, char *text) {
    char reversed[CHUNKS_MAX * CHUNK_DIGITS];
    size_t count = 0;
    while (value.len != 0) {
        BR_CHECK(count + CHUNK_DIGITS <= sizeof reversed);
        uint64_t chunk = divide_by_chunk(&value);
        for (unsigned d = 0; d < CHUNK_DIGITS; d++, chunk /= 10)
            reversed[count++] = (char)('0' + chunk % 10);
    }
    while (count > least && reversed[count - 1] == '0')
        count--;
    while (count < least)
        reversed[count++] = '0';
    for (size_t i = 0; i < count; i++)
        text[i] = reversed[count - 1 - i];
    return count;
}

void br_exact_sum_print(const struct br_exact_sum *a, const struct br_exact_sum *b, struct br_buffer *out) {
    struct br_int1280 value = total(a);
    unsigned scale = a->scale;
    if (b != NULL) {
        struct br_int1280 other = total(b);
        value = br_int1280_subtract(&value, &other);
        scale = b->scale > scale ? b->scale : scale;
    }
    char text[CHUNKS_MAX * CHUNK_DIGITS];
    // At least one digit before the point. What stands below the scale is zero.
    size_t count = print_digits(value, BR_NUMERIC_SCALE_MAX + 1, text);
    if (value.negative)
        br_buffer_append_byte(out, '-');
    br_buffer_append(out, text, count - BR_NUMERIC_SCALE_MAX);
    if (scale == 0)
        return;
    br_buffer_append_byte(out, '.');
    br_buffer_append(out, text + count - BR_NUMERIC_SCALE_MAX, scale);
}
