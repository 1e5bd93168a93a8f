#include "sums.h"

void layer_fully_connected(const struct fully_connected *layer, const int8_t *input,
                           int8_t *output)
{
    for (int32_t row = 0; row < layer->rows; row++)
        for (int32_t unit = 0; unit < layer->outputs; unit++) {
            const int8_t *values = input + row * layer->inputs;
            const int8_t *weights = layer->weights + unit * layer->inputs;
            int32_t sum = layer->biases[unit];
            for (int32_t index = 0; index < layer->inputs; index++)
                sum += values[index] * weights[index];
            *output++ = scaled(&layer->scaling, unit, sum);
        }
}
