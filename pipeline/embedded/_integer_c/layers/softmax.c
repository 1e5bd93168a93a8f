/*
 * Softmax in fixed point, after gemmlowp: a number with n integer bits is an int32_t in units of
 * 2^(n - 31). The product of numbers with m and n integer bits, by multiply_fractions, has m + n.
 */
#include "fixed_point.h"
#include "layers.h"

#define ONE INT32_MAX /* with 0 integer bits */
#define SUM_BITS 12   /* integer bits of the sum of exponentials: at most 4,095 classes */

/* exp(x) for x from -1/4 to 0, both with 0 integer bits: a polynomial of degree 4 around -1/8. */
static int32_t exponential_near_zero(int32_t x)
{
    const int32_t exp_of_minus_eighth = 1895147668, third = 715827883;
    int32_t d = x + (1 << 28), square = multiply_fractions(d, d);
    int32_t cube = multiply_fractions(square, d), fourth = multiply_fractions(square, square);
    int32_t higher = multiply_fractions(divide_by_power_of_2(fourth, 2) + cube, third);
    int32_t series = d + divide_by_power_of_2(higher + square, 1);
    return exp_of_minus_eighth + multiply_fractions(exp_of_minus_eighth, series);
}

/* exp(x) with 0 integer bits, for x of at most 0 with 5 integer bits. */
static int32_t exponential(int32_t x)
{
    static const int32_t exp_of_powers[] = {/* exp(-1/4), exp(-1/2), ... exp(-16) */
                                            1672461947, 1302514674, 790015084, 290630308,
                                            39332535,   720401,     242};
    const int32_t quarter = 1 << 24;
    int32_t fraction = (x & (quarter - 1)) - quarter, rest = fraction - x;
    int32_t result = exponential_near_zero(multiply_by_power_of_2(fraction, 5));
    if (x == 0)
        return ONE;
    for (int32_t bit = 0; bit < 7; bit++)
        if (rest & (quarter << bit))
            result = multiply_fractions(result, exp_of_powers[bit]);
    return result;
}

static int32_t leading_zeros(uint32_t value)
{
    int32_t zeros = 0;
    for (uint32_t bit = (uint32_t)1 << 31; bit && !(value & bit); bit >>= 1)
        zeros++;
    return zeros;
}

/* 1 / (1 + x) for x from 0 to 1, both with 0 integer bits: three steps of Newton's method. */
static int32_t reciprocal_of_one_plus(int32_t x)
{
    const int32_t one_with_2_bits = 1 << 29;
    int32_t half = (int32_t)(((int64_t)x + ONE + 1) / 2); /* of 1 + x */
    int32_t result = 1515870810 + multiply_fractions(half, -1010580540); /* 48/17 - 32/17 half */
    for (int32_t step = 0; step < 3; step++) {
        int32_t error = one_with_2_bits - multiply_fractions(half, result);
        result += multiply_by_power_of_2(multiply_fractions(result, error), 2);
    }
    return multiply_by_power_of_2(result, 1);
}

static int32_t scaled_exponential(const struct softmax *layer, int32_t difference)
{
    return exponential(rescale(difference, layer->multiplier, layer->shift));
}

static void softmax_of_row(const struct softmax *layer, const int8_t *input, int8_t *output)
{
    int32_t largest = INT8_MIN, sum = 0, zeros, scale;
    for (int32_t class = 0; class < layer->classes; class++)
        largest = input[class] > largest ? input[class] : largest;
    for (int32_t class = 0; class < layer->classes; class++)
        if (input[class] - largest >= layer->least)
            sum += divide_by_power_of_2(scaled_exponential(layer, input[class] - largest),
                                        SUM_BITS);
    /* The sum is 2^bits (1 + x) with x from 0 to 1. */
    zeros = leading_zeros((uint32_t)sum);
    scale = reciprocal_of_one_plus(
        (int32_t)(((uint32_t)sum << zeros) - ((uint32_t)1 << 31)));
    for (int32_t class = 0; class < layer->classes; class++) {
        int32_t difference = input[class] - largest, value = 0;
        if (difference >= layer->least)
            value = divide_by_power_of_2(
                multiply_fractions(scale, scaled_exponential(layer, difference)),
                SUM_BITS - zeros + 31 - 8);
        output[class] = clamp(value + INT8_MIN, INT8_MIN, INT8_MAX);
    }
}

void layer_softmax(const struct softmax *layer, const int8_t *input, int8_t *output)
{
    for (int32_t row = 0; row < layer->rows; row++)
        softmax_of_row(layer, input + row * layer->classes, output + row * layer->classes);
}
