#include "fixed_point.h"
#include "layers.h"

void layer_mean(const struct mean *layer, const int8_t *input, int8_t *output)
{
    for (int32_t block = 0; block < layer->outer; block++)
        for (int32_t at = 0; at < layer->inner; at++) {
            const int8_t *values = input + block * layer->count * layer->inner + at;
            int32_t sum = 0;
            for (int32_t index = 0; index < layer->count; index++)
                sum += values[index * layer->inner] - layer->input_zero_point;
            sum = rescale(sum, layer->multiplier, layer->shift) + layer->output_zero_point;
            *output++ = clamp(sum, INT8_MIN, INT8_MAX);
        }
}
