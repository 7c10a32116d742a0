// SPDX-License-Identifier: Apache-2.0
// See big.h. Functions reduce their argument, sum a Taylor series by Horner's rule, and undo the reduction; all plain,
// since they are called seldom.
#include "processor/expr/big.h"
#include "base/status.h"
#include "processor/expr/elementary_internal.h"

// 0.limbs · 2^exponent of any limbs, as many as there are; the top ones are kept.
static struct br_big of_limbs(unsigned count, const uint64_t *limbs, unsigned len, int64_t exponent, bool negative) {
    struct br_big z = {.count = count, .negative = negative};
    while (len > 0 && limbs[len - 1] == 0) {
        len--;
        exponent -= 64;
    }
    if (len == 0)
        return (struct br_big){.count = count};
    int zeros = __builtin_clzll(limbs[len - 1]);
    for (unsigned i = 0; i < count && i < len; i++) {
        uint64_t below = i + 2 > len ? 0 : limbs[len - 2 - i];
        z.limbs[count - 1 - i] = zeros == 0 ? limbs[len - 1 - i] : limbs[len - 1 - i] << zeros | below >> (64 - zeros);
    }
    z.exponent = exponent - zeros;
    return z;
}

struct br_big br_big_of(unsigned count, unsigned __int128 mantissa, int64_t exponent) {
    uint64_t limbs[2] = {(uint64_t)mantissa, (uint64_t)(mantissa >> 64)};
    return of_limbs(count, limbs, 2, exponent + 128, false);
}

struct br_big br_big_of_words(unsigned count, const uint64_t *big_endian, int64_t exponent) {
    struct br_big z = {.count = count, .exponent = exponent};
    for (unsigned i = 0; i < count; i++)
        z.limbs[count - 1 - i] = big_endian[i];
    return z;
}

// The limbs moved down by `bits`, what falls off dropped.
static void shift_down(struct br_big *a, uint64_t bits) {
    uint64_t whole = bits / 64, part = bits % 64;
    for (unsigned i = 0; i < a->count; i++) {
        uint64_t low = i + whole < a->count ? a->limbs[i + whole] : 0;
        uint64_t high = i + whole + 1 < a->count ? a->limbs[i + whole + 1] : 0;
        a->limbs[i] = part == 0 ? low : low >> part | high << (64 - part);
    }
}

static int compare_limbs(const struct br_big *a, const struct br_big *b) {
    for (unsigned i = a->count; i-- > 0;)
        if (a->limbs[i] != b->limbs[i])
            return a->limbs[i] < b->limbs[i] ? -1 : 1;
    return 0;
}

static int compare_magnitudes(const struct br_big *a, const struct br_big *b) {
    bool a_zero = br_big_is_zero(a), b_zero = br_big_is_zero(b);
    if (a_zero || b_zero)
        return b_zero - a_zero;
    if (a->exponent != b->exponent)
        return a->exponent < b->exponent ? -1 : 1;
    return compare_limbs(a, b);
}

int br_big_compare(const struct br_big *a, const struct br_big *b) {
    if (a->negative != b->negative)
        return br_big_is_zero(a) && br_big_is_zero(b) ? 0 : a->negative ? -1 : 1;
    return a->negative ? compare_magnitudes(b, a) : compare_magnitudes(a, b);
}

struct br_big br_big_add(struct br_big a, struct br_big b) {
    BR_CHECK(a.count == b.count);
    if (compare_magnitudes(&a, &b) < 0) {
        struct br_big swap = a;
        a = b;
        b = swap;
    }
    if (br_big_is_zero(&b) || a.exponent - b.exponent >= 64 * (int64_t)a.count)
        return a;
    shift_down(&b, (uint64_t)(a.exponent - b.exponent));
    unsigned __int128 carry = 0;
    if (a.negative == b.negative) {
        for (unsigned i = 0; i < a.count; i++) {
            carry += (unsigned __int128)a.limbs[i] + b.limbs[i];
            a.limbs[i] = (uint64_t)carry;
            carry >>= 64;
        }
        if (carry != 0) {
            shift_down(&a, 1);
            a.limbs[a.count - 1] |= UINT64_C(1) << 63;
            a.exponent++;
        }
        return a;
    }
    for (unsigned i = 0; i < a.count; i++) {
        unsigned __int128 difference = (unsigned __int128)a.limbs[i] - b.limbs[i] - carry;
        a.limbs[i] = (uint64_t)difference;
        carry = (uint64_t)(difference >> 64) & 1;
    }
    return of_limbs(a.count, a.limbs, a.count, a.exponent, a.negative);
}

struct br_big br_big_subtract(struct br_big a, struct br_big b) {
    b.negative = !b.negative;
    return br_big_add(a, b);
}

struct br_big br_big_multiply(struct br_big a, struct br_big b) {
    BR_CHECK(a.count == b.count);
    uint64_t product[2 * BR_BIG_LIMBS] = {0};
    for (unsigned i = 0; i < a.count; i++) {
        uint64_t carry = 0;
        for (unsigned j = 0; j < b.count; j++) {
            unsigned __int128 part = (unsigned __int128)a.limbs[i] * b.limbs[j] + product[i + j] + carry;
            product[i + j] = (uint64_t)part;
            carry = (uint64_t)(part >> 64);
        }
        product[i + b.count] = carry;
    }
    return of_limbs(a.count, product, 2 * a.count, a.exponent + b.exponent, a.negative != b.negative);
}

struct br_big br_big_multiply_small(struct br_big a, uint64_t factor) {
    uint64_t product[BR_BIG_LIMBS + 1], carry = 0;
    for (unsigned i = 0; i < a.count; i++) {
        unsigned __int128 part = (unsigned __int128)a.limbs[i] * factor + carry;
        product[i] = (uint64_t)part;
        carry = (uint64_t)(part >> 64);
    }
    product[a.count] = carry;
    return of_limbs(a.count, product, a.count + 1, a.exponent + 64, a.negative);
}

struct br_big br_big_divide_small(struct br_big a, uint64_t divisor) {
    uint64_t quotient[BR_BIG_LIMBS + 1], rest = 0;
    for (unsigned i = a.count + 1; i-- > 0;) {
        unsigned __int128 part = (unsigned __int128)rest << 64 | (i > 0 ? a.limbs[i - 1] : 0);
        quotient[i] = (uint64_t)(part / divisor);
        rest = (uint64_t)(part % divisor);
    }
    return of_limbs(a.count, quotient, a.count + 1, a.exponent, a.negative);
}

struct br_big br_big_divide(struct br_big a, struct br_big b) {
    BR_CHECK(!br_big_is_zero(&b));
    // The reciprocal, 50 bits of it from a division of doubles, by Newton's iteration; then the quotient, corrected
    // once.
    double top = (double)(b.limbs[b.count - 1] >> 11) * 0x1p-53;
    struct br_big one = br_big_of(b.count, 1, 0);
    struct br_big r = br_big_of(b.count, (uint64_t)(0x1p52 / top), -52 - b.exponent);
    r.negative = b.negative;
    for (unsigned bits = 50; bits < 64 * b.count; bits *= 2)
        r = br_big_add(r, br_big_multiply(r, br_big_subtract(one, br_big_multiply(b, r))));
    struct br_big q = br_big_multiply(a, r);
    return br_big_add(q, br_big_multiply(r, br_big_subtract(a, br_big_multiply(b, q))));
}

double br_big_to_double(const struct br_big *a) {
    if (br_big_is_zero(a))
        return 0;
    uint64_t sign = a->negative ? BR_SIGN_BIT : 0;
    bool sticky = false;
    for (unsigned i = 0; i + 1 < a->count; i++)
        sticky |= a->limbs[i] != 0;
    int64_t exponent = a->exponent - 1; // of the leading bit
    if (exponent > 1023)
        return br_double_of_bits(sign | UINT64_C(0x7ff) << 52);
    int64_t drop = exponent >= -1022 ? 11 : 11 - 1022 - exponent;
    if (drop > 64)
        return br_double_of_bits(sign);
    uint64_t top = a->limbs[a->count - 1], half = UINT64_C(1) << (drop - 1), low = top & (half - 1 + half);
    uint64_t kept = drop == 64 ? 0 : top >> drop;
    kept += low > half || (low == half && (sticky || (kept & 1) != 0));
    return br_double_of_bits(sign | (kept + (exponent >= -1022 ? (uint64_t)(exponent + 1022) << 52 : 0)));
}

bool br_big_round(const struct br_big *a, unsigned __int128 *ret) {
    *ret = 0;
    if (br_big_is_zero(a) || a->exponent < 0)
        return true;
    if (a->exponent > 127)
        return false;
    struct br_big whole = *a;
    shift_down(&whole, 64 * (uint64_t)a->count - 1 - (uint64_t)a->exponent); // one bit after the point stays
    *ret = (unsigned __int128)whole.limbs[1] << 63 | whole.limbs[0] >> 1;
    *ret += whole.limbs[0] & 1;
    return true;
}

struct br_big br_big_nudge(struct br_big a, unsigned bits, bool up) {
    struct br_big change = a;
    change.exponent -= bits;
    change.negative = up == a.negative;
    return br_big_add(a, change);
}

// --- functions

#define SQUARINGS 16

struct br_big br_big_exp(struct br_big x) {
    struct br_big one = br_big_of(x.count, 1, 0);
    BR_CHECK(br_big_is_zero(&x) || x.exponent <= 14);
    int64_t k = (int64_t)rint(br_big_to_double(&x) * 0x1.71547652b82fep+0); // 1 / ln 2
    struct br_big multiple = br_big_multiply_small(br_big_of_words(x.count, br_big_ln2, 0), (uint64_t)(k < 0 ? -k : k));
    multiple.negative = k < 0;
    struct br_big r = br_big_subtract(x, multiple);
    r.exponent -= SQUARINGS; // now |r| < 2^-17: so many bits a term
    struct br_big sum = one;
    for (uint64_t i = 64 * x.count / (SQUARINGS + 1) + 2; i > 0; i--)
        sum = br_big_add(one, br_big_divide_small(br_big_multiply(r, sum), i));
    for (int i = 0; i < SQUARINGS; i++)
        sum = br_big_multiply(sum, sum);
    sum.exponent += k;
    return sum;
}

struct br_big br_big_ln1p(struct br_big x) {
    if (br_big_is_zero(&x))
        return x;
    BR_CHECK(x.exponent <= -7);
    struct br_big one = br_big_of(x.count, 1, 0);
    uint64_t terms = 64 * x.count / (uint64_t)-x.exponent + 2;
    struct br_big sum = br_big_divide_small(one, terms);
    for (uint64_t i = terms - 1; i > 0; i--)
        sum = br_big_subtract(br_big_divide_small(one, i), br_big_multiply(x, sum));
    return br_big_multiply(x, sum);
}

struct br_big br_big_ln(struct br_big x) {
    BR_CHECK(!x.negative && !br_big_is_zero(&x));
    struct br_big one = br_big_of(x.count, 1, 0), difference = br_big_subtract(x, one);
    if (br_big_is_zero(&difference) || difference.exponent <= -8)
        return br_big_ln1p(difference);
    // An approximation y0 of 50 bits, and ln(x) = y0 + ln(x / e^y0).
    struct br_real log2;
    bool negative;
    struct br_big y0 = br_big_of(x.count, (uint64_t)(x.exponent < 0 ? -x.exponent : x.exponent), 0);
    y0.negative = x.exponent < 0;
    if (br_real_log2((double)(x.limbs[x.count - 1] >> 11) * 0x1p-53, &negative, &log2)) {
        struct br_big fraction = br_big_of(x.count, log2.mantissa, log2.exponent - 127);
        fraction.negative = negative;
        y0 = br_big_add(y0, fraction);
    }
    y0 = br_big_multiply(y0, br_big_of_words(x.count, br_big_ln2, 0));
    struct br_big opposite = y0;
    opposite.negative = !y0.negative;
    struct br_big rest = br_big_subtract(br_big_multiply(x, br_big_exp(opposite)), one);
    return br_big_add(y0, br_big_ln1p(rest));
}

// sin(r) / r or cos(r), of square = r^2 <= (π/4)^2: first is 1 or 0.
static struct br_big sine_series(const struct br_big *square, uint64_t first) {
    struct br_big one = br_big_of(square->count, 1, 0), sum = one;
    for (uint64_t i = 6 * square->count + 8; i > 0; i--) {
        uint64_t divisor = (2 * i - 1 + first) * (2 * i + first);
        sum = br_big_subtract(one, br_big_divide_small(br_big_multiply(*square, sum), divisor));
    }
    return sum;
}

#define WORDS_MORE 4 // of 2/π, beyond the count: for what cancels, and for the first ones

void br_big_sincos(unsigned count, uint64_t mantissa, int exponent, struct br_big *ret_sin, struct br_big *ret_cos) {
    // mantissa · 2^exponent · 2/π, less a multiple of 4. Words of 2/π all whose bits are worth 4 or more after that are
    // left out.
    unsigned first = exponent >= 66 ? (unsigned)(exponent - 2) / 64 : 0, len = count + WORDS_MORE;
    BR_CHECK(first + len <= sizeof br_big_two_over_pi / sizeof br_big_two_over_pi[0]);
    uint64_t product[BR_BIG_LIMBS + WORDS_MORE + 1], carry = 0;
    for (unsigned i = 0; i < len; i++) {
        unsigned __int128 part = (unsigned __int128)mantissa * br_big_two_over_pi[first + len - 1 - i] + carry;
        product[i] = (uint64_t)part;
        carry = (uint64_t)(part >> 64);
    }
    product[len++] = carry;
    unsigned point = (unsigned)(64 * (int)(first + len - 1) - exponent), quadrant = 0;
    bool upper_half = false;
    if (point <= 64 * len) {
        unsigned word = point / 64, bit = point % 64;
        if (word < len) {
            quadrant = (unsigned)(product[word] >> bit) & 3;
            if (bit == 63 && word + 1 < len)
                quadrant |= (unsigned)product[word + 1] << 1 & 2;
            product[word] &= (UINT64_C(1) << bit) - 1;
            for (unsigned i = word + 1; i < len; i++)
                product[i] = 0;
        }
        upper_half = (product[(point - 1) / 64] >> (point - 1) % 64 & 1) != 0;
        if (upper_half) { // 1 - fraction
            for (unsigned i = 0; i < len; i++)
                product[i] = ~product[i]; // less one unit in the last place, which counts for nothing
            if (word < len)
                product[word] &= (UINT64_C(1) << bit) - 1;
            for (unsigned i = word + 1; i < len; i++)
                product[i] = 0;
        }
    }
    struct br_big fraction = of_limbs(count, product, len, 64 * (int64_t)len - (int64_t)point, false);
    struct br_big r = br_big_multiply(fraction, br_big_of_words(count, br_big_half_pi, 1));
    struct br_big square = br_big_multiply(r, r);
    struct br_big sine = br_big_multiply(r, sine_series(&square, 1)), cosine = sine_series(&square, 0);
    bool swap = upper_half != ((quadrant & 1) != 0);
    *ret_sin = swap ? cosine : sine;
    *ret_cos = swap ? sine : cosine;
    ret_sin->negative = quadrant >= 2;
    ret_cos->negative = quadrant == 1 || quadrant == 2;
}
