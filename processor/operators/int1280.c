// SPDX-License-Identifier: Apache-2.0
// See int1280.h. Schoolbook arithmetic on 64-bit limbs; division is Knuth's algorithm D (TAOCP 2, 4.3.1), roots are
// Newton's.
#include "processor/operators/int1280.h"

typedef unsigned __int128 uint128;

static void trim(struct br_int1280 *a) {
    while (a->len != 0 && a->limbs[a->len - 1] == 0)
        a->len--;
    if (a->len == 0)
        a->negative = false;
}

struct br_int1280 br_int1280_from_int128(__int128 value) {
    struct br_int1280 wide = {.negative = value < 0, .len = 2};
    uint128 magnitude = value < 0 ? -(uint128)value : (uint128)value;
    wide.limbs[0] = (uint64_t)magnitude;
    wide.limbs[1] = (uint64_t)(magnitude >> 64);
    trim(&wide);
    return wide;
}

struct br_int1280 br_int1280_from_words(const uint64_t *words, uint32_t count) {
    BR_CHECK(count > 0 && count <= BR_INT1280_LIMBS);
    struct br_int1280 wide = {.negative = words[count - 1] >> 63 != 0, .len = count};
    uint64_t carry = 1;
    for (uint32_t i = 0; i < count; i++) {
        wide.limbs[i] = words[i];
        if (wide.negative) {
            uint128 inverted = (uint128)~words[i] + carry;
            wide.limbs[i] = (uint64_t)inverted;
            carry = (uint64_t)(inverted >> 64);
        }
    }
    trim(&wide);
    return wide;
}

int br_int1280_compare_magnitude(const struct br_int1280 *a, const struct br_int1280 *b) {
    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    for (uint32_t i = a->len; i > 0; i--)
        if (a->limbs[i - 1] != b->limbs[i - 1])
            return a->limbs[i - 1] < b->limbs[i - 1] ? -1 : 1;
    return 0;
}

static struct br_int1280 add_magnitudes(const struct br_int1280 *a, const struct br_int1280 *b) {
    struct br_int1280 sum = {0};
    uint32_t len = a->len > b->len ? a->len : b->len;
    uint64_t carry = 0;
    for (uint32_t i = 0; i < len; i++) {
        uint128 limb = (uint128)a->limbs[i] + b->limbs[i] + carry;
        sum.limbs[i] = (uint64_t)limb;
        carry = (uint64_t)(limb >> 64);
    }
    sum.len = len;
    if (carry != 0) {
        BR_CHECK(len < BR_INT1280_LIMBS);
        sum.limbs[sum.len++] = carry;
    }
    return sum;
}

// |a| >= |b|
static struct br_int1280 subtract_magnitudes(const struct br_int1280 *a, const struct br_int1280 *b) {
    struct br_int1280 difference = {.len = a->len};
    uint64_t borrow = 0;
    for (uint32_t i = 0; i < a->len; i++) {
        uint128 limb = (uint128)a->limbs[i] - b->limbs[i] - borrow;
        difference.limbs[i] = (uint64_t)limb;
        borrow = (uint64_t)(limb >> 64) & 1;
    }
    BR_CHECK(borrow == 0);
    trim(&difference);
    return difference;
}

struct br_int1280 br_int1280_add(const struct br_int1280 *a, const struct br_int1280 *b) {
    struct br_int1280 sum;
    if (a->negative == b->negative) {
        sum = add_magnitudes(a, b);
        sum.negative = a->negative;
    } else if (br_int1280_compare_magnitude(a, b) >= 0) {
        sum = subtract_magnitudes(a, b);
        sum.negative = a->negative;
    } else {
        sum = subtract_magnitudes(b, a);
        sum.negative = b->negative;
    }
    trim(&sum);
    return sum;
}

struct br_int1280 br_int1280_subtract(const struct br_int1280 *a, const struct br_int1280 *b) {
    struct br_int1280 negated = *b;
    negated.negative = b->len != 0 && !b->negative;
    return br_int1280_add(a, &negated);
}

struct br_int1280 br_int1280_multiply(const struct br_int1280 *a, const struct br_int1280 *b) {
    struct br_int1280 product = {0};
    BR_CHECK(a->len + b->len <= BR_INT1280_LIMBS || a->len == 0 || b->len == 0);
    for (uint32_t i = 0; i < a->len; i++) {
        uint64_t carry = 0;
        for (uint32_t j = 0; j < b->len; j++) {
            uint128 limb = (uint128)a->limbs[i] * b->limbs[j] + product.limbs[i + j] + carry;
            product.limbs[i + j] = (uint64_t)limb;
            carry = (uint64_t)(limb >> 64);
        }
        product.limbs[i + b->len] = carry;
    }
    product.len = a->len == 0 || b->len == 0 ? 0 : a->len + b->len;
    product.negative = a->negative != b->negative;
    trim(&product);
    return product;
}

static void multiply_small(struct br_int1280 *a, uint64_t factor) {
    uint64_t carry = 0;
    for (uint32_t i = 0; i < a->len; i++) {
        uint128 limb = (uint128)a->limbs[i] * factor + carry;
        a->limbs[i] = (uint64_t)limb;
        carry = (uint64_t)(limb >> 64);
    }
    if (carry != 0) {
        BR_CHECK(a->len < BR_INT1280_LIMBS);
        a->limbs[a->len++] = carry;
    }
}

struct br_int1280 br_int1280_scale_up(const struct br_int1280 *a, unsigned digits) {
    struct br_int1280 scaled = *a;
    for (; digits >= 18; digits -= 18)
        multiply_small(&scaled, UINT64_C(1000000000000000000));
    uint64_t factor = 1;
    for (; digits > 0; digits--)
        factor *= 10;
    multiply_small(&scaled, factor);
    return scaled;
}

// --- division
static uint32_t bit_length(const struct br_int1280 *a) {
    return a->len == 0 ? 0 : a->len * 64 - (uint32_t)__builtin_clzll(a->limbs[a->len - 1]);
}

static void shift_left_one(struct br_int1280 *a, uint64_t low_bit) {
    uint64_t carry = low_bit;
    for (uint32_t i = 0; i < a->len; i++) {
        uint64_t next = a->limbs[i] >> 63;
        a->limbs[i] = a->limbs[i] << 1 | carry;
        carry = next;
    }
    if (carry != 0) {
        BR_CHECK(a->len < BR_INT1280_LIMBS);
        a->limbs[a->len++] = carry;
    }
}

static void divide_by_limb(const struct br_int1280 *a, uint64_t divisor, struct br_int1280 *quotient,
                           struct br_int1280 *remainder) {
    uint64_t rest = 0;
    *quotient = (struct br_int1280){.len = a->len};
    for (uint32_t i = a->len; i > 0; i--) {
        uint128 part = (uint128)rest << 64 | a->limbs[i - 1];
        quotient->limbs[i - 1] = (uint64_t)(part / divisor);
        rest = (uint64_t)(part % divisor);
    }
    *remainder = (struct br_int1280){.limbs = {rest}, .len = 1};
    trim(quotient);
    trim(remainder);
}

static uint64_t shifted_limb(const struct br_int1280 *a, uint32_t index, unsigned shift) {
    uint64_t high = index < BR_INT1280_LIMBS ? a->limbs[index] << shift : 0;
    uint64_t low = shift == 0 || index == 0 ? 0 : a->limbs[index - 1] >> (64 - shift);
    return high | low;
}

// One digit of the quotient, from the top three limbs of the rest and the top two of the divisor; at most one too
// large.
static uint64_t guess_digit(const uint64_t *rest, const uint64_t *divisor, uint32_t len) {
    uint128 top = (uint128)rest[len] << 64 | rest[len - 1];
    uint128 digit = rest[len] >= divisor[len - 1] ? UINT64_MAX : top / divisor[len - 1];
    uint128 left = top - digit * divisor[len - 1];
    while (left >> 64 == 0 && digit * divisor[len - 2] > (left << 64 | rest[len - 2])) {
        digit--;
        left += divisor[len - 1];
    }
    return (uint64_t)digit;
}

static bool subtract_multiple(uint64_t *rest, const uint64_t *divisor, uint32_t len, uint64_t digit) {
    uint64_t carry = 0, borrow = 0;
    for (uint32_t i = 0; i <= len; i++) {
        uint128 product = (uint128)(i < len ? divisor[i] : 0) * digit + carry;
        carry = (uint64_t)(product >> 64);
        uint128 difference = (uint128)rest[i] - (uint64_t)product - borrow;
        rest[i] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
    return borrow != 0;
}

static void add_back(uint64_t *rest, const uint64_t *divisor, uint32_t len) {
    uint64_t carry = 0;
    for (uint32_t i = 0; i <= len; i++) {
        uint128 sum = (uint128)rest[i] + (i < len ? divisor[i] : 0) + carry;
        rest[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
}

// Of the magnitudes, rounded down.
static void divide_magnitudes(const struct br_int1280 *a, const struct br_int1280 *b, struct br_int1280 *quotient,
                              struct br_int1280 *remainder) {
    BR_CHECK(b->len != 0);
    if (b->len == 1) {
        divide_by_limb(a, b->limbs[0], quotient, remainder);
        return;
    }
    *quotient = (struct br_int1280){0};
    *remainder = *a;
    remainder->negative = false;
    if (a->len < b->len)
        return;
    unsigned shift = (unsigned)__builtin_clzll(b->limbs[b->len - 1]);
    uint64_t rest[BR_INT1280_LIMBS + 1], divisor[BR_INT1280_LIMBS];
    for (uint32_t i = 0; i <= a->len; i++)
        rest[i] = shifted_limb(a, i, shift);
    for (uint32_t i = 0; i < b->len; i++)
        divisor[i] = shifted_limb(b, i, shift);
    for (uint32_t at = a->len - b->len + 1; at > 0; at--) {
        uint64_t digit = guess_digit(rest + at - 1, divisor, b->len);
        if (subtract_multiple(rest + at - 1, divisor, b->len, digit)) {
            digit--;
            add_back(rest + at - 1, divisor, b->len);
        }
        quotient->limbs[at - 1] = digit;
    }
    quotient->len = a->len - b->len + 1;
    trim(quotient);
    *remainder = (struct br_int1280){.len = b->len};
    for (uint32_t i = 0; i < b->len; i++)
        remainder->limbs[i] = rest[i] >> shift | (shift == 0 || i + 1 == b->len ? 0 : rest[i + 1] << (64 - shift));
    trim(remainder);
}

struct br_int1280 br_int1280_divide(const struct br_int1280 *a, const struct br_int1280 *b) {
    static const struct br_int1280 one = {.limbs = {1}, .len = 1};
    struct br_int1280 quotient, remainder;
    divide_magnitudes(a, b, &quotient, &remainder);
    shift_left_one(&remainder, 0);
    trim(&remainder);
    if (remainder.len != 0 && br_int1280_compare_magnitude(&remainder, b) >= 0)
        quotient = add_magnitudes(&quotient, &one);
    quotient.negative = a->negative != b->negative;
    trim(&quotient);
    return quotient;
}

// Newton's iteration from a power of two above the root goes down until it stands on the floor.
struct br_int1280 br_int1280_sqrt(const struct br_int1280 *a) {
    BR_CHECK(!a->negative);
    if (a->len == 0)
        return *a;
    struct br_int1280 root = {0};
    uint32_t bits = (bit_length(a) + 1) / 2;
    root.limbs[bits / 64] = UINT64_C(1) << (bits % 64);
    root.len = bits / 64 + 1;
    for (;;) {
        struct br_int1280 quotient, half, remainder;
        divide_magnitudes(a, &root, &quotient, &remainder);
        struct br_int1280 sum = add_magnitudes(&root, &quotient);
        divide_by_limb(&sum, 2, &half, &remainder);
        if (br_int1280_compare_magnitude(&half, &root) >= 0)
            return root;
        root = half;
    }
}

// --- decimals
static bool fits_numeric(const struct br_int1280 *a) {
    return bit_length(a) <= 121;
}

static unsigned decimal_digits(const struct br_int1280 *a) {
    struct br_int1280 one = {.limbs = {1}, .len = 1};
    unsigned digits = bit_length(a) * 1233 / 4096; // log10(2), rounded down: at most one too few
    struct br_int1280 power = br_int1280_scale_up(&one, digits);
    while (br_int1280_compare_magnitude(a, &power) >= 0) {
        multiply_small(&power, 10);
        digits++;
    }
    return digits;
}

bool br_int1280_to_numeric(const struct br_int1280 *coefficient, unsigned scale, struct br_numeric *ret) {
    static const struct br_int1280 one = {.limbs = {1}, .len = 1};
    struct br_int1280 fitting = *coefficient;
    unsigned digits = fits_numeric(coefficient) ? 0 : decimal_digits(coefficient);
    unsigned cut = digits > 37 ? digits - 37 : 0; // 2^121 has 37 digits
    if (scale > BR_NUMERIC_SCALE_MAX && cut < scale - BR_NUMERIC_SCALE_MAX)
        cut = scale - BR_NUMERIC_SCALE_MAX;
    for (;; cut++) {
        if (cut > scale)
            return false;
        // Rounded from the original each time: rounding twice is not rounding.
        if (cut != 0) {
            struct br_int1280 power = br_int1280_scale_up(&one, cut);
            fitting = br_int1280_divide(coefficient, &power);
        }
        if (fits_numeric(&fitting))
            break;
    }
    __int128 value = (__int128)((uint128)fitting.limbs[1] << 64 | fitting.limbs[0]);
    return br_numeric_make(fitting.negative ? -value : value, scale - cut, ret);
}

// PostgreSQL counts in digits of base 10,000: the weight (exponent) and value of the first one.
static void first_digit(const struct br_int1280 *a, unsigned scale, int *ret_weight, int *ret_digit) {
    *ret_weight = 0;
    *ret_digit = 0;
    if (a->len == 0)
        return;
    unsigned pad = (4 - scale % 4) % 4;
    struct br_int1280 aligned = br_int1280_scale_up(a, pad);
    unsigned count = (decimal_digits(&aligned) + 3) / 4;
    struct br_int1280 one = {.limbs = {1}, .len = 1}, quotient, remainder;
    struct br_int1280 power = br_int1280_scale_up(&one, 4 * (count - 1));
    divide_magnitudes(&aligned, &power, &quotient, &remainder);
    *ret_weight = (int)count - 1 - (int)((scale + pad) / 4);
    *ret_digit = (int)quotient.limbs[0];
}

unsigned br_int1280_quotient_scale(const struct br_int1280 *dividend, unsigned scale,
                                   const struct br_int1280 *divisor) {
    int weight, digit, divisor_weight, divisor_digit;
    first_digit(dividend, scale, &weight, &digit);
    first_digit(divisor, 0, &divisor_weight, &divisor_digit);
    int quotient_weight = weight - divisor_weight;
    if (digit <= divisor_digit)
        quotient_weight--;
    int result = 16 - quotient_weight * 4;
    if (result < (int)scale)
        result = (int)scale;
    if (result < 0)
        result = 0;
    return result > BR_NUMERIC_SCALE_MAX ? BR_NUMERIC_SCALE_MAX : (unsigned)result;
}

bool br_int1280_quotient(const struct br_int1280 *dividend, unsigned scale, const struct br_int1280 *divisor,
                         struct br_numeric *ret) {
    unsigned wanted = br_int1280_quotient_scale(dividend, scale, divisor);
    struct br_int1280 quotient;
    if (wanted >= scale) {
        struct br_int1280 scaled = br_int1280_scale_up(dividend, wanted - scale);
        quotient = br_int1280_divide(&scaled, divisor);
    } else {
        struct br_int1280 scaled = br_int1280_scale_up(divisor, scale - wanted);
        quotient = br_int1280_divide(dividend, &scaled);
    }
    return br_int1280_to_numeric(&quotient, wanted, ret);
}
