// SPDX-License-Identifier: Apache-2.0
// Exponentials, logarithms, powers and angles of doubles: correctly rounded (to nearest, ties to even), and so the same
// bits on every processor and with every C library. ADR 4 says why they are our own.
//
// Method: the function is computed in integers of 128 bits, with an error of at most 2^-67 of the result (mostly far
// less): argument reduction, a table of 256 or 128 places, a short polynomial (elementary_exp.c, elementary_angle.c).
// When that interval holds a point midway between two doubles, which happens about once in 10,000 calls, the same is
// computed again by numbers of 192, 320, 512 and 1024 bits (elementary_slow.c, big.c) until it is clear on which side
// of that point the value lies (A. Ziv, "Fast evaluation of elementary mathematical functions with correctly rounded
// last bit", ACM TOMS 17, 1991). What lies exactly on it can only be a power, and is found by whole-number arithmetic.
// Doubles are computed with only where an estimate is corrected afterwards: one quotient or square root, which IEEE 754
// defines to the last bit.
//
// Tables come from tools/elementary-tables. tools/check-bits compares with MPFR, and over processors.
//
// Arguments out of a function's domain give NaN; callers refuse them before, with PostgreSQL's words. A NaN argument
// comes back, quiet.
#ifndef BR_PROCESSOR_EXPR_ELEMENTARY_H
#define BR_PROCESSOR_EXPR_ELEMENTARY_H

double br_exp(double x);
double br_ln(double x);
double br_log10(double x);
double br_power(double x, double y); // as C's pow: x^0 and 1^y are 1
double br_cbrt(double x);
double br_sin(double x);
double br_cos(double x);
double br_tan(double x);
double br_asin(double x);
double br_acos(double x);
double br_atan(double x);
double br_atan2(double y, double x);

#endif
