// SPDX-License-Identifier: Apache-2.0
// See exact.h. Sums are two's complement while rows come and go; results are made of magnitudes, limb by limb.
#include "processor/operators/exact.h"

#include "base/status.h"

#include <math.h>
#include <string.h>

typedef unsigned __int128 uint128;

#define LIMB_BITS 64
#define LOWEST_BIT (-1074) // of a double
#define TERM_WORDS 4       // that a shifted term stands in

// --- terms

static void multiply_limbs(uint64_t *limbs, uint32_t count, uint64_t factor) {
    uint64_t carry = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint128 limb = (uint128)limbs[i] * factor + carry;
        limbs[i] = (uint64_t)limb;
        carry = (uint64_t)(limb >> LIMB_BITS);
    }
}

static uint64_t magnitude_of(int32_t weight) {
    return weight < 0 ? 0 - (uint64_t)weight : (uint64_t)weight;
}

struct br_exact_term br_exact_value(double value, int32_t weight) {
    struct br_exact_term term = {.negative = (value < 0) != (weight < 0)};
    term.limbs[0] = br_double_split(value, &term.low);
    multiply_limbs(term.limbs, 3, magnitude_of(weight));
    return term;
}

struct br_exact_term br_exact_square(double value, int32_t weight) {
    struct br_exact_term term = {.negative = weight < 0};
    int low;
    uint64_t mantissa = br_double_split(value, &low);
    uint128 square = (uint128)mantissa * mantissa;
    term.limbs[0] = (uint64_t)square;
    term.limbs[1] = (uint64_t)(square >> LIMB_BITS);
    term.low = 2 * low;
    multiply_limbs(term.limbs, 3, magnitude_of(weight));
    return term;
}

// --- adding

// The term from the word on that its lowest bit falls in; returns how many of the words are used.
static uint32_t shift_term(const struct br_exact_term *term, unsigned shift, uint64_t shifted[TERM_WORDS]) {
    uint64_t below = 0;
    uint32_t used = 0;
    for (uint32_t i = 0; i < TERM_WORDS; i++) {
        uint64_t limb = i < 3 ? term->limbs[i] : 0;
        shifted[i] = limb << shift | (shift == 0 ? 0 : below >> (LIMB_BITS - shift));
        below = limb;
        used = shifted[i] != 0 ? i + 1 : used;
    }
    return used;
}

bool br_exact_add_within(uint64_t *words, uint32_t count, int base, const struct br_exact_term *term) {
    int offset = term->low - base;
    uint64_t shifted[TERM_WORDS];
    if (offset < 0)
        return false;
    uint32_t at = (uint32_t)offset / LIMB_BITS;
    uint32_t used = shift_term(term, (unsigned)offset % LIMB_BITS, shifted);
    if (at + used + 1 > count)
        return false;
    uint64_t invert = term->negative ? UINT64_MAX : 0, carry = invert & 1;
    for (uint32_t i = at; i < count; i++) {
        uint64_t part = (i - at < used ? shifted[i - at] : 0) ^ invert;
        uint128 word = (uint128)words[i] + part + carry;
        words[i] = (uint64_t)word;
        carry = (uint64_t)(word >> LIMB_BITS);
        if (i - at >= used && carry == (invert & 1))
            break; // what is left of the term changes nothing
    }
    return true;
}

static uint64_t sign_of(const struct br_exact *sum) {
    return sum->count != 0 && sum->words[sum->count - 1] >> 63 != 0 ? UINT64_MAX : 0;
}

static void reach_down(struct br_exact *sum, int low) {
    if (low >= sum->base)
        return;
    uint32_t more = (uint32_t)(sum->base - low + LIMB_BITS - 1) / LIMB_BITS;
    BR_CHECK(sum->count + more <= BR_EXACT_WORDS);
    memmove(sum->words + more, sum->words, sum->count * sizeof *sum->words);
    memset(sum->words, 0, more * sizeof *sum->words);
    sum->count += more;
    sum->base -= (int)more * LIMB_BITS;
}

static void reach_up(struct br_exact *sum, uint32_t count) {
    BR_CHECK(count <= BR_EXACT_WORDS);
    for (uint64_t sign = sign_of(sum); sum->count < count; sum->count++)
        sum->words[sum->count] = sign;
}

void br_exact_add(struct br_exact *sum, const struct br_exact_term *term) {
    uint64_t shifted[TERM_WORDS];
    if (sum->count == 0)
        sum->base = term->low;
    reach_down(sum, term->low);
    uint32_t offset = (uint32_t)(term->low - sum->base);
    uint32_t used = shift_term(term, offset % LIMB_BITS, shifted);
    reach_up(sum, offset / LIMB_BITS + used);
    reach_up(sum, sum->count + 1);
    BR_CHECK(br_exact_add_within(sum->words, sum->count, sum->base, term));
    br_exact_trim(sum);
}

// --- layouts

void br_exact_trim(struct br_exact *sum) {
    uint64_t sign = sign_of(sum);
    uint32_t low = 0, count = sum->count;
    while (count > 0 && sum->words[count - 1] == sign)
        count--;
    while (low < count && sum->words[low] == 0)
        low++;
    if (count == 0 && sign == 0) {
        sum->count = 0;
        return;
    }
    count -= low;
    memmove(sum->words, sum->words + low, count * sizeof *sum->words);
    sum->base += (int)low * LIMB_BITS;
    sum->count = count;
    BR_CHECK(count < BR_EXACT_WORDS);
    sum->words[sum->count++] = sign;
}

static uint64_t word_at(const struct br_exact *sum, int index) {
    return index < 0 ? 0 : index < (int)sum->count ? sum->words[index] : sign_of(sum);
}

// 64 bits from the one worth 2^exponent on.
static uint64_t bits_from(const struct br_exact *sum, int exponent) {
    int offset = exponent - sum->base;
    int index = offset >= 0 ? offset / LIMB_BITS : -((LIMB_BITS - 1 - offset) / LIMB_BITS);
    unsigned shift = (unsigned)(offset - index * LIMB_BITS);
    uint64_t above = shift == 0 ? 0 : word_at(sum, index + 1) << (LIMB_BITS - shift);
    return word_at(sum, index) >> shift | above;
}

// From the lowest bit that is set to the highest that differs from the sign. False for zero.
static bool find_span(const struct br_exact *sum, int *ret_low, int *ret_high) {
    uint64_t sign = sign_of(sum);
    uint32_t low = 0, high = sum->count;
    while (low < sum->count && sum->words[low] == 0)
        low++;
    if (low == sum->count)
        return false;
    while (high > 0 && sum->words[high - 1] == sign)
        high--;
    *ret_low = sum->base + (int)low * LIMB_BITS + __builtin_ctzll(sum->words[low]);
    *ret_high = sum->base + (int)high * LIMB_BITS - 1;
    if (high > 0)
        *ret_high -= __builtin_clzll(sum->words[high - 1] ^ sign);
    return true;
}

bool br_exact_pack(const struct br_exact *sum, uint32_t count, uint64_t *ret_words, int *ret_base) {
    int low, high, room = (int)count * LIMB_BITS - 1; // without the sign
    memset(ret_words, 0, count * sizeof *ret_words);
    *ret_base = sum->base;
    if (!find_span(sum, &low, &high))
        return true;
    int slack = room - (high - low + 1);
    if (slack < 0)
        return false;
    // Most of the room above: sums grow.
    *ret_base = low - slack * 2 / 5;
    for (uint32_t i = 0; i < count; i++)
        ret_words[i] = bits_from(sum, *ret_base + (int)i * LIMB_BITS);
    return true;
}

// --- magnitudes

struct magnitude {
    int base;
    uint32_t count; // the topmost limb isn't zero
    bool negative;
    uint64_t limbs[BR_EXACT_WORDS];
};

static void trim_magnitude(struct magnitude *magnitude) {
    while (magnitude->count > 0 && magnitude->limbs[magnitude->count - 1] == 0)
        magnitude->count--;
}

static void take_magnitude(const struct br_exact *sum, struct magnitude *ret) {
    uint64_t sign = sign_of(sum), carry = sign & 1;
    ret->base = sum->base;
    ret->count = sum->count;
    ret->negative = sign != 0;
    for (uint32_t i = 0; i < sum->count; i++) {
        uint128 limb = (uint128)(sum->words[i] ^ sign) + carry;
        ret->limbs[i] = (uint64_t)limb;
        carry = (uint64_t)(limb >> LIMB_BITS);
    }
    trim_magnitude(ret);
}

static void square(const struct magnitude *a, struct magnitude *ret) {
    BR_CHECK(2 * a->count <= BR_EXACT_WORDS);
    ret->base = 2 * a->base;
    ret->count = 2 * a->count;
    ret->negative = false;
    memset(ret->limbs, 0, ret->count * sizeof *ret->limbs);
    for (uint32_t i = 0; i < a->count; i++) {
        uint64_t carry = 0;
        for (uint32_t j = 0; j < a->count; j++) {
            uint128 limb = (uint128)a->limbs[i] * a->limbs[j] + ret->limbs[i + j] + carry;
            ret->limbs[i + j] = (uint64_t)limb;
            carry = (uint64_t)(limb >> LIMB_BITS);
        }
        ret->limbs[i + a->count] = carry;
    }
    trim_magnitude(ret);
}

static void multiply(struct magnitude *a, uint64_t factor) {
    BR_CHECK(a->count < BR_EXACT_WORDS);
    a->limbs[a->count++] = 0;
    multiply_limbs(a->limbs, a->count, factor);
    trim_magnitude(a);
}

// The same number, written down to the bit 2^base.
static void lower_base(struct magnitude *a, int base) {
    unsigned bits = (unsigned)(a->base - base);
    uint32_t limbs = bits / LIMB_BITS;
    bits %= LIMB_BITS;
    BR_CHECK(a->count + limbs + 1 <= BR_EXACT_WORDS);
    a->base = base;
    a->limbs[a->count] = 0;
    for (uint32_t i = a->count + 1; i > 0; i--) {
        uint64_t below = i < 2 || bits == 0 ? 0 : a->limbs[i - 2] >> (LIMB_BITS - bits);
        a->limbs[i - 1 + limbs] = a->limbs[i - 1] << bits | below;
    }
    memset(a->limbs, 0, limbs * sizeof *a->limbs);
    a->count += limbs + 1;
    trim_magnitude(a);
}

// a -= b; zero when b is larger.
static void subtract(struct magnitude *a, const struct magnitude *b) {
    uint64_t borrow = 0;
    for (uint32_t i = a->count; i < b->count; i++)
        a->limbs[i] = 0;
    a->count = a->count > b->count ? a->count : b->count;
    for (uint32_t i = 0; i < a->count; i++) {
        uint128 limb = (uint128)a->limbs[i] - (i < b->count ? b->limbs[i] : 0) - borrow;
        a->limbs[i] = (uint64_t)limb;
        borrow = (uint64_t)(limb >> LIMB_BITS) & 1;
    }
    if (borrow != 0)
        a->count = 0;
    trim_magnitude(a);
}

// --- rounding

// A number that is known to its leading bits: head * 2^exponent, and a little more when inexact.
struct leading {
    uint128 head;
    int exponent;
    bool inexact, negative;
};

static int bit_length(uint128 x) {
    uint64_t high = (uint64_t)(x >> 64), low = (uint64_t)x;
    return high != 0 ? 128 - __builtin_clzll(high) : low != 0 ? 64 - __builtin_clzll(low) : 0;
}

// The 128 leading bits of a magnitude that isn't zero, the first of them set.
static struct leading take_leading(const struct magnitude *magnitude) {
    uint32_t top = magnitude->count - 1;
    uint64_t limbs[3];
    for (uint32_t i = 0; i < 3; i++)
        limbs[i] = top >= i ? magnitude->limbs[top - i] : 0;
    unsigned shift = (unsigned)__builtin_clzll(limbs[0]);
    struct leading leading = {.exponent = magnitude->base + ((int)top - 1) * LIMB_BITS - (int)shift,
                              .negative = magnitude->negative};
    leading.head = ((uint128)limbs[0] << LIMB_BITS | limbs[1]) << shift;
    if (shift != 0)
        leading.head |= limbs[2] >> (LIMB_BITS - shift);
    leading.inexact = limbs[2] << shift != 0;
    for (uint32_t i = 0; i + 2 < top && !leading.inexact; i++)
        leading.inexact = magnitude->limbs[i] != 0;
    return leading;
}

static double make_double(uint64_t bits, bool negative) {
    double value;
    bits |= (uint64_t)negative << 63;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// The head has 55 bits or more unless it is exact.
static inline double round_leading(const struct leading *leading) {
    int unit = leading->exponent + bit_length(leading->head) - 53; // what the result's last bit is worth
    unit = unit < LOWEST_BIT ? LOWEST_BIT : unit;
    int drop = unit - leading->exponent;
    uint64_t mantissa = 0;
    if (drop <= 0) {
        mantissa = (uint64_t)leading->head << -drop;
    } else if (drop <= 128) {
        mantissa = drop == 128 ? 0 : (uint64_t)(leading->head >> drop);
        uint128 half = (uint128)1 << (drop - 1), rest = leading->head & (half | (half - 1));
        mantissa += rest > half || (rest == half && (leading->inexact || (mantissa & 1) != 0));
    }
    if (unit > 1023 - 52)
        return make_double(UINT64_C(0x7ff) << 52, leading->negative);
    // The mantissa's first bit raises the exponent by one; a subnormal hasn't got it.
    return make_double(((uint64_t)(unit - LOWEST_BIT) << 52) + mantissa, leading->negative);
}

double br_exact_double(const struct br_exact *sum) {
    struct magnitude magnitude;
    take_magnitude(sum, &magnitude);
    if (magnitude.count == 0)
        return 0;
    struct leading leading = take_leading(&magnitude);
    return round_leading(&leading);
}

double br_exact_int128_slowly(__int128 sum, int base) {
    struct leading leading = {.head = sum < 0 ? -(uint128)sum : (uint128)sum, .exponent = base, .negative = sum < 0};
    return sum == 0 ? 0 : round_leading(&leading);
}

// At least 64 bits are left.
static void divide_leading(struct leading *leading, uint64_t divisor) {
    uint128 quotient = leading->head / divisor;
    leading->inexact |= leading->head != quotient * divisor;
    leading->head = quotient;
}

double br_exact_quotient(const struct br_exact *sum, uint64_t divisor) {
    struct magnitude magnitude;
    take_magnitude(sum, &magnitude);
    if (magnitude.count == 0)
        return 0;
    struct leading leading = take_leading(&magnitude);
    divide_leading(&leading, divisor);
    return round_leading(&leading);
}

// --- variance

// (count * squares - sum^2), not negative; false for zero.
static bool find_spread(const struct br_exact *sum, const struct br_exact *squares, uint64_t count,
                        struct magnitude *ret) {
    struct magnitude sum_magnitude, sum_square;
    take_magnitude(squares, ret);
    if (ret->negative || ret->count == 0)
        return false;
    multiply(ret, count);
    take_magnitude(sum, &sum_magnitude);
    if (sum_magnitude.count != 0) {
        square(&sum_magnitude, &sum_square);
        if (ret->base > sum_square.base)
            lower_base(ret, sum_square.base);
        else
            lower_base(&sum_square, ret->base);
        subtract(ret, &sum_square);
    }
    return ret->count != 0;
}

// Returns whether something is left over.
static bool divide(struct magnitude *a, uint64_t divisor) {
    uint64_t rest = 0;
    for (uint32_t i = a->count; i > 0; i--) {
        uint128 part = (uint128)rest << LIMB_BITS | a->limbs[i - 1];
        a->limbs[i - 1] = (uint64_t)(part / divisor);
        rest = (uint64_t)(part % divisor);
    }
    trim_magnitude(a);
    return rest != 0;
}

// With 128 leading bits. Divisors of 63 bits each take as much away; the quotient of one after the other is that of
// their product.
static struct leading divide_long(struct magnitude *spread, uint64_t count, uint64_t divisor) {
    if (spread->count < 5)
        lower_base(spread, spread->base - 4 * LIMB_BITS);
    bool rest = divide(spread, count);
    rest |= divide(spread, divisor);
    struct leading leading = take_leading(spread);
    leading.inexact |= rest;
    return leading;
}

double br_exact_variance(const struct br_exact *sum, const struct br_exact *squares, uint64_t count, uint64_t divisor) {
    struct magnitude spread;
    struct leading leading;
    uint64_t product;
    if (!find_spread(sum, squares, count, &spread))
        return 0;
    if (__builtin_mul_overflow(count, divisor, &product)) {
        leading = divide_long(&spread, count, divisor);
    } else {
        leading = take_leading(&spread);
        divide_leading(&leading, product);
    }
    return round_leading(&leading);
}

// The floor of the root of a number of 127 or 128 bits.
static uint64_t root_of(uint128 x) {
    double guess = sqrt((double)x);
    uint64_t root = guess >= 0x1p64 ? UINT64_MAX : (uint64_t)guess;
    // The guess is good to 52 bits; one step of Newton's makes it good to all but the last.
    uint128 sum = (uint128)root + x / root;
    root = sum >> 65 != 0 ? UINT64_MAX : (uint64_t)(sum >> 1);
    while ((uint128)root * root > x)
        root--;
    while (root != UINT64_MAX && (uint128)(root + 1) * (root + 1) <= x)
        root++;
    return root;
}

double br_exact_deviation(const struct br_exact *sum, const struct br_exact *squares, uint64_t count,
                          uint64_t divisor) {
    struct magnitude spread;
    if (!find_spread(sum, squares, count, &spread))
        return 0;
    struct leading leading = divide_long(&spread, count, divisor);
    if (leading.exponent % 2 != 0) {
        leading.inexact |= (leading.head & 1) != 0;
        leading.head >>= 1;
        leading.exponent += 1;
    }
    uint64_t root = root_of(leading.head);
    leading.inexact |= (uint128)root * root != leading.head;
    leading.head = root;
    leading.exponent /= 2;
    return round_leading(&leading);
}
