// SPDX-License-Identifier: Apache-2.0
#include "state/keys.h"

#include <criterion/criterion.h>
#include <math.h>

// xorshift64*: one seed, one run.
static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

static int sign(int value) {
    return (value > 0) - (value < 0);
}

static int compare_buffers(const struct br_buffer *a, const struct br_buffer *b) {
    return sign(br_slice_compare(br_buffer_slice(a), br_buffer_slice(b)));
}

Test(keys, int64_order_is_kept_and_read_back) {
    uint64_t seed = 1;
    struct br_buffer a = {0}, b = {0};
    for (int i = 0; i < 20000; i++) {
        int64_t x = (int64_t)next_random(&seed) >> (next_random(&seed) % 64);
        int64_t y = (int64_t)next_random(&seed) >> (next_random(&seed) % 64);
        br_buffer_clear(&a);
        br_buffer_clear(&b);
        br_key_append_int64(&a, x);
        br_key_append_int64(&b, y);
        cr_assert_eq(compare_buffers(&a, &b), (x > y) - (x < y));
        int64_t back;
        cr_assert_eq(br_key_read_int64(br_buffer_slice(&a), &back), 9);
        cr_assert_eq(back, x);
    }
    br_buffer_free(&a);
    br_buffer_free(&b);
}

Test(keys, int32_order_is_kept_and_read_back) {
    static const int32_t values[] = {INT32_MIN, INT32_MIN + 1, -256, -1, 0, 1, 255, 256, INT32_MAX};
    struct br_buffer keys[9] = {0};
    for (size_t i = 0; i < 9; i++) {
        br_key_append_int32(&keys[i], values[i]);
        int32_t back;
        cr_assert_eq(br_key_read_int32(br_buffer_slice(&keys[i]), &back), 5);
        cr_assert_eq(back, values[i]);
        if (i > 0)
            cr_assert_eq(compare_buffers(&keys[i - 1], &keys[i]), -1);
    }
    for (size_t i = 0; i < 9; i++)
        br_buffer_free(&keys[i]);
}

Test(keys, doubles_sort_as_postgres_sorts_them) {
    const double values[] = {-INFINITY, -1e300, -1.5, -4.9e-324, 0.0, 4.9e-324, 1.0, 1.5, 1e300, INFINITY, NAN};
    struct br_buffer keys[11] = {0};
    for (size_t i = 0; i < 11; i++) {
        br_key_append_double(&keys[i], values[i]);
        double back;
        cr_assert_eq(br_key_read_double(br_buffer_slice(&keys[i]), &back), 9);
        cr_assert(isnan(values[i]) ? isnan(back) : back == values[i]);
        if (i > 0)
            cr_assert_eq(compare_buffers(&keys[i - 1], &keys[i]), -1, "at %zu", i);
    }
    struct br_buffer other = {0};
    br_key_append_double(&other, -0.0);
    cr_assert_eq(compare_buffers(&other, &keys[4]), 0, "-0 has the key of 0");
    br_buffer_clear(&other);
    br_key_append_double(&other, -NAN);
    cr_assert_eq(compare_buffers(&other, &keys[10]), 0, "every NaN has one key");
    for (size_t i = 0; i < 11; i++)
        br_buffer_free(&keys[i]);
    br_buffer_free(&other);
}

Test(keys, bytes_order_is_kept_and_read_back_with_zeros_in_them) {
    static const uint8_t alphabet[] = {0x00, 0x01, 0x02, 0xfe, 0xff, 'a'};
    uint64_t seed = 7;
    struct br_buffer a = {0}, b = {0}, back = {0};
    for (int i = 0; i < 50000; i++) {
        uint8_t bytes[2][6];
        struct br_slice value[2];
        for (int side = 0; side < 2; side++) {
            size_t len = next_random(&seed) % 7;
            for (size_t k = 0; k < len; k++)
                bytes[side][k] = alphabet[next_random(&seed) % sizeof alphabet];
            value[side] = (struct br_slice){bytes[side], len};
        }
        br_buffer_clear(&a);
        br_buffer_clear(&b);
        br_key_append_bytes(&a, value[0]);
        br_key_append_bytes(&b, value[1]);
        int order = sign(br_slice_compare(value[0], value[1]));
        if (order == 0) { // a tie is broken by the next component, whatever its bytes
            br_key_append_null(&a);
            br_key_append_int64(&b, -1);
            order = 1;
        } else {
            br_key_append_int64(&a, (int64_t)next_random(&seed));
            br_key_append_int64(&b, (int64_t)next_random(&seed));
        }
        cr_assert_eq(compare_buffers(&a, &b), order);
        br_buffer_clear(&back);
        size_t len = br_key_read_bytes(br_buffer_slice(&a), &back);
        cr_assert_neq(len, 0);
        cr_assert(br_slice_equal(br_buffer_slice(&back), value[0]));
        cr_assert(a.ptr[len] == BR_KEY_VALUE || a.ptr[len] == BR_KEY_NULL);
    }
    br_buffer_free(&a);
    br_buffer_free(&b);
    br_buffer_free(&back);
}

Test(keys, null_sorts_after_every_value) {
    struct br_buffer null = {0}, value = {0};
    br_key_append_null(&null);
    br_key_append_int64(&value, INT64_MAX);
    cr_assert_eq(compare_buffers(&value, &null), -1);
    br_buffer_clear(&value);
    br_key_append_bool(&value, true);
    cr_assert_eq(compare_buffers(&value, &null), -1);
    br_buffer_free(&null);
    br_buffer_free(&value);
}

Test(keys, false_sorts_before_true) {
    struct br_buffer no = {0}, yes = {0};
    br_key_append_bool(&no, false);
    br_key_append_bool(&yes, true);
    cr_assert_eq(compare_buffers(&no, &yes), -1);
    bool back = false;
    cr_assert_eq(br_key_read_bool(br_buffer_slice(&yes), &back), 2);
    cr_assert(back);
    br_buffer_free(&no);
    br_buffer_free(&yes);
}

Test(keys, cut_short_and_malformed_keys_read_nothing) {
    struct br_buffer key = {0}, out = {0};
    br_key_append_bytes(&key, (struct br_slice){(const uint8_t *)"a\0b", 3});
    for (size_t len = 0; len < key.len; len++) {
        uint8_t *exact = br_alloc(len + 1); // its own allocation, so that a sanitizer sees a read past the end
        memcpy(exact, key.ptr, len);
        cr_assert_eq(br_key_read_bytes((struct br_slice){exact, len}, &out), 0);
        cr_assert_eq(out.len, 0);
        int64_t word;
        double number;
        cr_assert_eq(br_key_read_int64((struct br_slice){exact, len}, &word), 0);
        cr_assert_eq(br_key_read_double((struct br_slice){exact, len}, &number), 0);
        free(exact);
    }
    static const uint8_t bad_escape[] = {BR_KEY_VALUE, 'a', 0x00, 0x02, 0x00, 0x01};
    cr_assert_eq(br_key_read_bytes((struct br_slice){bad_escape, sizeof bad_escape}, &out), 0);
    static const uint8_t bad_bool[] = {BR_KEY_VALUE, 2};
    bool truth;
    cr_assert_eq(br_key_read_bool((struct br_slice){bad_bool, 2}, &truth), 0);
    static const uint8_t minus_zero[] = {BR_KEY_VALUE, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    double number;
    cr_assert_eq(br_key_read_double((struct br_slice){minus_zero, sizeof minus_zero}, &number), 0);
    int32_t small;
    static const uint8_t null[] = {BR_KEY_NULL, 0, 0, 0, 0};
    cr_assert_eq(br_key_read_int32((struct br_slice){null, sizeof null}, &small), 0);
    br_buffer_free(&key);
    br_buffer_free(&out);
}

Test(keys, prefix_end_is_the_smallest_key_past_the_prefix) {
    struct br_buffer end = {0};
    cr_assert(br_key_prefix_end(br_slice_of("ab"), &end));
    cr_assert(br_slice_is(br_buffer_slice(&end), "ac"));
    br_buffer_clear(&end);
    cr_assert(br_key_prefix_end((struct br_slice){(const uint8_t *)"a\xff\xff", 3}, &end));
    cr_assert(br_slice_is(br_buffer_slice(&end), "b"));
    br_buffer_clear(&end);
    cr_assert_not(br_key_prefix_end((struct br_slice){(const uint8_t *)"\xff\xff", 2}, &end));
    cr_assert_not(br_key_prefix_end((struct br_slice){NULL, 0}, &end));
    br_buffer_free(&end);
}
