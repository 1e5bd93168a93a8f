#include "fixed_point.h"
#include "normalization.h"

/* Each operation is rounded to float: no statement may become a fused multiply-add. */
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#elif defined __GNUC__
#pragma GCC optimize("fp-contract=off")
#endif

/* Far outside of what int8 holds, whatever the zero point is, and far inside of int32. */
#define LIMIT 1024.0f

/* As roundf(): to the nearest integer, halves away from zero. */
static int32_t nearest(float value)
{
    const int32_t whole = (int32_t)value; /* towards zero */
    const float rest = value - (float)whole;
    return whole + (rest >= 0.5f) - (rest <= -0.5f);
}

void layer_normalization(const struct normalization *layer, const float *input, int8_t *output)
{
    for (int32_t index = 0; index < layer->count; index++) {
        const int32_t channel = index % layer->channels;
        float value = input[index] * layer->factors[channel];
        value = value + layer->offsets[channel];
        value = value / layer->scale;
        if (!(value > -LIMIT)) /* NaN, too */
            value = -LIMIT;
        if (value > LIMIT)
            value = LIMIT;
        output[index] = clamp(nearest(value) + layer->zero_point, INT8_MIN, INT8_MAX);
    }
}
