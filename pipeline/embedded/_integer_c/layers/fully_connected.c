#include "dot_product.h"
#include "sums.h"

static inline int32_t unit_sum(int32_t sum, const int8_t *values, const int8_t *weights,
                               int32_t count, int32_t packed)
{
    for (int32_t index = 0; index < count; index++)
        sum += values[index] * weight_at(weights, index, packed);
    return sum;
}

void layer_fully_connected(const struct fully_connected *layer, const int8_t *input,
                           int8_t *output)
{
    int32_t row_bytes = bytes_of_weights(layer->inputs, layer->packed);
    for (int32_t row = 0; row < layer->rows; row++)
        for (int32_t unit = 0; unit < layer->outputs; unit++) {
            const int8_t *values = input + row * layer->inputs;
            const int8_t *weights = layer->weights + unit * row_bytes;
            int32_t bias = layer->biases[unit];
            /* A constant in the last place gives two loops without a question. */
            int32_t sum = layer->packed ? unit_sum(bias, values, weights, layer->inputs, 1)
                                        : unit_sum(bias, values, weights, layer->inputs, 0);
            *output++ = scaled(&layer->scaling, unit, sum);
        }
}
