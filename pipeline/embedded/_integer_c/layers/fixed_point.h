/*
 * Fixed-point arithmetic, equal to the bit to that of TensorFlow Lite Micro's reference kernels
 * (tensorflow/lite/kernels/internal/common.cc and gemmlowp/fixedpoint/fixedpoint.h). The results
 * of a layer depend on where and how often its sums are rounded, so nothing here may be simplified.
 *
 * Requires what every compiler for a microcontroller does: two's complement, and >> of a negative
 * number that keeps its sign.
 */
#ifndef FIXED_POINT_H
#define FIXED_POINT_H

#include <stdint.h>

/* 2 a b / 2^32, rounded to the nearest integer: the product of two fractions of 2^31. */
static inline int32_t multiply_fractions(int32_t a, int32_t b)
{
    int64_t product = (int64_t)a * b;
    int64_t half = product >= 0 ? 1 << 30 : 1 - (1 << 30);
    if (a == INT32_MIN && b == INT32_MIN) /* the only product that is too large */
        return INT32_MAX;
    return (int32_t)((product + half) / ((int64_t)1 << 31));
}

/* value / 2^exponent, rounded to the nearest integer, halves away from zero; exponent 0 to 31. */
static inline int32_t divide_by_power_of_2(int32_t value, int32_t exponent)
{
    int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1);
    int32_t remainder = value & mask;
    int32_t threshold = (mask >> 1) + (value < 0);
    return (value >> exponent) + (remainder > threshold);
}

/* value * 2^exponent, limited to the range of int32_t. */
static inline int32_t multiply_by_power_of_2(int32_t value, int32_t exponent)
{
    int64_t product = (int64_t)value * ((int64_t)1 << exponent);
    return product > INT32_MAX ? INT32_MAX : product < INT32_MIN ? INT32_MIN : (int32_t)product;
}

/*
 * value * multiplier / 2^31 * 2^shift. It is rounded twice, as TensorFlow Lite Micro does it:
 * rounding once would change one value in a thousand by 1.
 */
static inline int32_t rescale(int32_t value, int32_t multiplier, int32_t shift)
{
    int32_t left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
    int32_t shifted = (int32_t)((uint32_t)value << left);
    return divide_by_power_of_2(multiply_fractions(shifted, multiplier), right);
}

static inline int8_t clamp(int32_t value, int32_t least, int32_t most)
{
    return (int8_t)(value < least ? least : value > most ? most : value);
}

#endif
