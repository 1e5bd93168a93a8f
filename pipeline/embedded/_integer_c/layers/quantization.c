#include "fixed_point.h"
#include "layers.h"

static int32_t requantized(const struct quantization *layer, int32_t value)
{
    int32_t difference = value - layer->input_zero_point;
    return rescale(difference, layer->multiplier, layer->shift) + layer->zero_point;
}

void layer_quantization(const struct quantization *layer, const int8_t *input, int8_t *output)
{
    for (int32_t index = 0; index < layer->count; index++)
        output[index] = clamp(requantized(layer, input[index]), INT8_MIN, INT8_MAX);
}

void layer_quantization_from_uint8(const struct quantization *layer, const uint8_t *input,
                                   int8_t *output)
{
    for (int32_t index = 0; index < layer->count; index++)
        output[index] = clamp(requantized(layer, input[index]), INT8_MIN, INT8_MAX);
}

void layer_quantization_to_uint8(const struct quantization *layer, const int8_t *input,
                                 uint8_t *output)
{
    for (int32_t index = 0; index < layer->count; index++) {
        int32_t value = requantized(layer, input[index]);
        output[index] = (uint8_t)(value < 0 ? 0 : value > UINT8_MAX ? UINT8_MAX : value);
    }
}
