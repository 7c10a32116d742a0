// SPDX-License-Identifier: Apache-2.0
// See elementary.h: functions of angles and their inverses, in 128 bits.
//
// The inverses are all the angle of a point: arctan x of (1, x), arcsin x of (√(1 - x²), x), arccos x of (x, √(1 -
// x²)).
#include "processor/expr/elementary.h"
#include "processor/expr/elementary_internal.h"

#define HALF_PI 0x1.921fb54442d18p+0
#define PI 0x1.921fb54442d18p+1

// --- quotients and roots: 50 bits from a double, then one step of Newton's in integers

struct br_real br_real_divide(struct br_real a, struct br_real b) {
    // With b as a fraction between 1/2 and 1: its reciprocal r in units of 2^-62.
    uint64_t r = (uint64_t)(0x1p115 / (double)(int64_t)(b.mantissa >> 75));
    br_i128 error = ((br_i128)1 << 126) - (br_i128)br_high_product_128_64(b.mantissa, r); // 1 - b r, below 2^76
    br_i128 correction = ((error >> 13) * (br_i128)r) >> 49;                              // in units of 2^-126
    br_u128 reciprocal = ((br_u128)r << 64) + (br_u128)correction;
    return br_real_normal(br_high_product_128(a.mantissa, reciprocal), a.exponent - b.exponent + 1);
}

struct br_real br_real_root(br_u128 square, int exponent) {
    // As a fraction between 1/4 and 1 times an even power of 2.
    struct br_real a = br_real_normal(square, exponent + 1);
    if ((a.exponent & 1) != 0) {
        a.mantissa >>= 1;
        a.exponent++;
    }
    uint64_t r = (uint64_t)(sqrt((double)(int64_t)(a.mantissa >> 75)) * (0x1p63 / 0x1.6a09e667f3bcdp+26)); // √2^53
    br_i128 error = (br_i128)(a.mantissa >> 2) - (br_i128)((br_u128)r * r);    // in units of 2^-126, below 2^76
    double ratio = (double)(int64_t)(error >> 14) / (double)(int64_t)(r >> 1); // below 2
    br_i128 correction = (br_i128)(int64_t)(ratio * 0x1p61) * (1 << 15);       // error / 2r in units of 2^-127
    return br_real_normal(((br_u128)r << 64) + (br_u128)correction, a.exponent / 2);
}

// --- sines and cosines

// The angle as quadrant · π/2 + place · π/512 ± r, r <= π/1024, and what the series are made of.
struct reduced {
    unsigned quadrant, place;
    bool below;           // - r
    struct br_real delta; // r · 2/π
    br_u128 r;            // in units of 2^-135
    uint64_t square;      // r², in units of 2^-80
};

#define WINDOW 5 // words of 2/π

static struct reduced reduce(double x) {
    uint64_t mantissa, product[WINDOW + 4] = {0}, carry = 0;
    int exponent = br_double_split(x, &mantissa) - 63;
    // mantissa · 2^exponent · 2/π. Words of 2/π all whose bits are worth 4 or more are left out.
    int first = exponent >= 66 ? (exponent - 2) / 64 : 0;
    for (int i = 0; i < WINDOW; i++) {
        br_u128 part = (br_u128)mantissa * br_big_two_over_pi[first + WINDOW - 1 - i] + carry;
        product[i] = (uint64_t)part;
        carry = (uint64_t)(part >> 64);
    }
    product[WINDOW] = carry;
    // 192 bits after the point, and two before it.
    unsigned shift = (unsigned)(64 * (first + WINDOW) - exponent - 192), word = shift / 64, bit = shift % 64;
    uint64_t parts[4];
    for (unsigned i = 0; i < 4; i++) {
        uint64_t low = word + i < WINDOW + 4 ? product[word + i] : 0;
        uint64_t high = word + i + 1 < WINDOW + 4 ? product[word + i + 1] : 0;
        parts[i] = (uint64_t)(((br_u128)high << 64 | low) >> bit);
    }
    struct reduced a = {.quadrant = (unsigned)parts[3] & 3, .place = (unsigned)((parts[2] >> 55) + 1) >> 1};
    br_u128 top = (br_u128)parts[2] << 64 | parts[1];
    top -= (br_u128)a.place << 120; // 2^128 for the last place: none
    uint64_t low = parts[0];
    a.below = top >> 127 != 0;
    if (a.below) {
        low = 0 - low;
        top = 0 - top - (low != 0);
    }
    // |delta| <= 2^-9.
    int zeros = top == 0 ? 128 : br_leading_zeros_128(top);
    if (zeros == 128)
        a.delta = br_real_normal((br_u128)low << 64 | 1, -129);
    else
        a.delta = (struct br_real){
            top << zeros | (zeros <= 64 ? (br_u128)low >> (64 - zeros) : (br_u128)low << (zeros - 64)), -1 - zeros};
    br_u128 fixed = top << 8 | low >> 56; // in units of 2^-136
    a.r = br_high_product_128(fixed, br_half_pi);
    uint64_t r = (uint64_t)(a.r >> 63);
    a.square = br_high_product(r, r);
    return a;
}

// 1 - sin(r) / r, in units of 2^-80: r² (1/6 - r²/120 + r⁴/5040).
static uint64_t sine_deficit(uint64_t square) {
    uint64_t series = UINT64_C(0x0222222222222222) - (br_high_product(square, UINT64_C(0x000d00d00d00d00d)) >> 16);
    series = UINT64_C(0x2aaaaaaaaaaaaaaa) - (br_high_product(square, series) >> 16);
    return br_high_product(square, series);
}

// 1 - cos(r), in units of 2^-80: r² (1/2 - r²/24 + r⁴/720).
static uint64_t versine(uint64_t square) {
    uint64_t series = UINT64_C(0x0aaaaaaaaaaaaaaa) - (br_high_product(square, UINT64_C(0x005b05b05b05b05b)) >> 16);
    series = UINT64_C(0x8000000000000000) - (br_high_product(square, series) >> 16);
    return br_high_product(square, series);
}

// |sin| or |cos| of the angle within its quadrant, and the error in units of its last place.
static struct br_real circular(const struct reduced *a, bool cosine, br_u128 *ret_error) {
    unsigned place = cosine ? 256 - a->place : a->place;
    bool below = a->below != cosine; // cos(a + r) = sin(π/2 - a - r)
    uint64_t deficit = sine_deficit(a->square);
    if (place == 0) { // sin(r), as precise as r is
        struct br_real r = br_real_multiply(a->delta, (struct br_real){br_half_pi, 0});
        br_u128 ratio = ((br_u128)1 << 127) - ((br_u128)deficit << 47);
        *ret_error = (br_u128)1 << (127 - 75);
        return br_real_multiply(r, br_real_normal(ratio, 0));
    }
    // sin(p ± r) = sin p - sin p (1 - cos r) ± cos p sin r
    br_u128 sine_p = br_sine_table[place], cosine_p = br_sine_table[256 - place];
    br_u128 sine_r = a->r - ((br_u128)br_high_product((uint64_t)(a->r >> 63), deficit) << 47); // 2^-135
    br_u128 first = br_high_product_128(cosine_p, sine_r) >> 7;
    br_u128 second = (br_u128)(uint64_t)(sine_p >> 64) * versine(a->square) >> 16;
    br_u128 sum = sine_p - second;
    sum = below ? sum - first : sum + first;
    int zeros = br_leading_zeros_128(sum);
    *ret_error = (br_u128)1 << (127 - 77 + zeros);
    return (struct br_real){sum << zeros, -zeros};
}

double br_sin(double x) {
    if (isnan(x) || isinf(x))
        return isnan(x) ? x + x : NAN;
    if (fabs(x) < 0x1p-26)
        return x;
    struct reduced a = reduce(x);
    br_u128 error;
    struct br_real size = circular(&a, (a.quadrant & 1) != 0, &error);
    double result;
    if (br_real_round(size, error, (x < 0) != (a.quadrant >= 2), &result))
        return result;
    return br_slow_sin(x);
}

double br_cos(double x) {
    if (isnan(x) || isinf(x))
        return isnan(x) ? x + x : NAN;
    if (fabs(x) < 0x1p-27)
        return 1;
    struct reduced a = reduce(x);
    br_u128 error;
    struct br_real size = circular(&a, (a.quadrant & 1) == 0, &error);
    double result;
    if (br_real_round(size, error, a.quadrant == 1 || a.quadrant == 2, &result))
        return result;
    return br_slow_cos(x);
}

double br_tan(double x) {
    if (isnan(x) || isinf(x))
        return isnan(x) ? x + x : NAN;
    if (fabs(x) < 0x1p-27)
        return x;
    struct reduced a = reduce(x);
    br_u128 sine_error, cosine_error;
    bool odd = (a.quadrant & 1) != 0; // tan(a + π/2) = -1 / tan(a)
    struct br_real sine = circular(&a, odd, &sine_error), cosine = circular(&a, !odd, &cosine_error);
    double result;
    if (br_real_round(br_real_divide(sine, cosine), 2 * (sine_error + cosine_error) + ((br_u128)1 << 32),
                      (x < 0) != odd, &result))
        return result;
    return br_slow_tan(x);
}

// --- the angle of a point

// 1 - arctan(t) / t, in units of 2^-80: t² (1/3 - t²/5 + t⁴/7 - t⁶/9); square is t² in units of 2^-80, t < 2^-8.
static uint64_t arctan_deficit(uint64_t square) {
    uint64_t series = UINT64_C(0x2492492492492492) - (br_high_product(square, UINT64_C(0x1c71c71c71c71c71)) >> 16);
    series = UINT64_C(0x3333333333333333) - (br_high_product(square, series) >> 16);
    series = UINT64_C(0x5555555555555555) - (br_high_product(square, series) >> 16);
    return br_high_product(square, series);
}

static br_u128 shifted(br_u128 value, int down) {
    return down > 127 ? 0 : value >> down;
}

// arctan of y/x <= 1, y and x positive. As fixed point too, in units of 2^-127.
static struct br_real arctan_of(struct br_real y, struct br_real x, br_u128 *ret_fixed, br_u128 *ret_error) {
    int apart = x.exponent - y.exponent;
    double ratio = apart > 9 ? 0 : (double)(int64_t)(y.mantissa >> 75) / (double)(int64_t)((x.mantissa >> 75) << apart);
    unsigned place = (unsigned)(ratio * 128 + 0.500001); // below 1/256 in any case when it is 0
    if (place == 0) {                                    // as precise as the quotient is
        struct br_real t = br_real_divide(y, x);
        uint64_t fixed = (uint64_t)shifted(t.mantissa, 55 - t.exponent); // in units of 2^-72
        uint64_t deficit = arctan_deficit(br_high_product(fixed, fixed));
        t = br_real_multiply(t, br_real_normal(((br_u128)1 << 127) - ((br_u128)deficit << 47), 0));
        *ret_fixed = shifted(t.mantissa, -t.exponent);
        *ret_error = (br_u128)1 << (127 - 75);
        return t;
    }
    // arctan(y/x) = arctan(c) + arctan((y - c x) / (x + c y)), c = place/128
    br_u128 y_fixed = y.mantissa >> (2 + apart), x_fixed = x.mantissa >> 2;
    br_i128 rest = (br_i128)y_fixed - (br_i128)((x_fixed >> 7) * place);
    br_u128 sum = br_arctan_table[place];
    if (rest != 0) {
        br_u128 minus = (br_u128)(rest >> 127); // its sign is as good as random: no branch asks it
        struct br_real t = br_real_divide(br_real_normal(((br_u128)rest ^ minus) - minus, 0),
                                          br_real_normal(x_fixed + (y_fixed >> 7) * place, 0));
        br_u128 fixed = shifted(t.mantissa, -8 - t.exponent); // in units of 2^-135
        uint64_t top = (uint64_t)(fixed >> 63);
        uint64_t deficit = arctan_deficit(br_high_product(top, top));
        br_u128 angle = (fixed - ((br_u128)br_high_product(top, deficit) << 47)) >> 8;
        sum += (angle ^ minus) - minus;
    }
    *ret_fixed = sum;
    int zeros = br_leading_zeros_128(sum);
    *ret_error = (br_u128)1 << (127 - 77 + zeros);
    return (struct br_real){sum << zeros, -zeros};
}

// Between 0 and π: the angle of (x, y), left for a negative x; y and |x| are given, not 0.
static struct br_real angle_of(struct br_real y, struct br_real x, bool left, br_u128 *ret_error) {
    bool steep = y.exponent > x.exponent || (y.exponent == x.exponent && y.mantissa > x.mantissa);
    br_u128 fixed;
    struct br_real angle = arctan_of(steep ? x : y, steep ? y : x, &fixed, ret_error);
    if (!steep && !left)
        return angle;
    // π/2 - arctan, π/2 + arctan, π - arctan, in units of 2^-126.
    fixed >>= 1;
    br_u128 sum = !steep ? br_half_pi - fixed : left ? (br_half_pi >> 1) + fixed : (br_half_pi >> 1) - fixed;
    int zeros = br_leading_zeros_128(sum);
    *ret_error = (br_u128)1 << (127 - 77 + zeros);
    return (struct br_real){sum << zeros, 1 - zeros};
}

// y/x is so small that its arctangent differs from it by less than anything but a tie can show: where doubles are
// subnormal, y/x may lie midway between two of them, and its arctangent lies below.
static double small_quotient(double y, double x) {
    double quotient = y / x;
    uint64_t last = br_double_bits(quotient), y_mantissa, x_mantissa;
    int shift = br_double_split(y, &y_mantissa) - br_double_split(x, &x_mantissa) + 1075;
    if (last >> 52 == 0 && last != 0 && last % 2 == 0 && shift >= 0 &&
        (br_u128)(y_mantissa >> 11) << shift == (br_u128)(2 * last - 1) * (x_mantissa >> 11))
        return br_double_of_bits(last - 1);
    return quotient;
}

double br_atan2(double y, double x) {
    if (isnan(x) || isnan(y))
        return isnan(y) ? y + y : x + x;
    bool left = (br_double_bits(x) & BR_SIGN_BIT) != 0;
    if (y == 0 || (isinf(x) && !isinf(y)))
        return copysign(left ? PI : 0, y);
    if (x == 0 || (isinf(y) && !isinf(x)))
        return copysign(HALF_PI, y);
    if (isinf(x))
        return copysign(left ? 0x1.2d97c7f3321d2p+1 : 0x1.921fb54442d18p-1, y); // 3π/4, π/4
    uint64_t y_mantissa, x_mantissa;
    int y_exponent = br_double_split(y, &y_mantissa), x_exponent = br_double_split(x, &x_mantissa);
    if (!left && y_exponent - x_exponent < -60)
        return copysign(small_quotient(fabs(y), x), y);
    struct br_real y_real = {(br_u128)y_mantissa << 64, y_exponent}, x_real = {(br_u128)x_mantissa << 64, x_exponent};
    br_u128 error;
    struct br_real angle = angle_of(y_real, x_real, left, &error);
    double result;
    if (br_real_round(angle, error, y < 0, &result))
        return result;
    return copysign(br_slow_angle(fabs(y), x, angle), y);
}

double br_atan(double x) {
    return fabs(x) < 0x1p-27 ? x : br_atan2(x, 1);
}

// √(1 - x²) of 0 < |x| < 1, and |x|.
static struct br_real other_leg(double x, struct br_real *ret_leg) {
    uint64_t mantissa;
    int exponent = br_double_split(x, &mantissa);
    *ret_leg = (struct br_real){(br_u128)mantissa << 64, exponent};
    // In units of 2^-128; exact where it cancels.
    br_u128 square = (br_u128)(mantissa >> 11) * (mantissa >> 11);
    int shift = 24 + 2 * exponent;
    square = shift >= 0 ? square << shift : shifted(square, -shift);
    return br_real_root(0 - square, -1);
}

double br_asin(double x) {
    if (isnan(x) || fabs(x) > 1)
        return isnan(x) ? x + x : NAN;
    if (fabs(x) < 0x1p-26)
        return x;
    if (fabs(x) == 1)
        return copysign(HALF_PI, x);
    struct br_real leg, other = other_leg(x, &leg);
    br_u128 error;
    struct br_real angle = angle_of(leg, other, false, &error);
    double result;
    if (br_real_round(angle, error, x < 0, &result))
        return result;
    return copysign(br_slow_asin(fabs(x), angle), x);
}

double br_acos(double x) {
    if (isnan(x) || fabs(x) > 1)
        return isnan(x) ? x + x : NAN;
    if (fabs(x) < 0x1p-55)
        return HALF_PI;
    if (fabs(x) == 1)
        return x < 0 ? PI : 0;
    struct br_real leg, other = other_leg(x, &leg);
    br_u128 error;
    struct br_real angle = angle_of(other, leg, x < 0, &error);
    double result;
    if (br_real_round(angle, error, false, &result))
        return result;
    return br_slow_acos(x, angle);
}
