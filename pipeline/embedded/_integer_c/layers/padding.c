#include "layers.h"

/* Whether `place` of the output lies inside the input, along one dimension. */
static int32_t has(const struct padding *layer, int32_t dimension, int32_t place)
{
    int32_t at = place - layer->before[dimension];
    return at >= 0 && at < layer->input[dimension];
}

void layer_padding(const struct padding *layer, const int8_t *input, int8_t *output)
{
    /* The output is written in order, and the inputs come in the same order. */
    for (int32_t i = 0; i < layer->output[0]; i++)
        for (int32_t j = 0; j < layer->output[1]; j++)
            for (int32_t k = 0; k < layer->output[2]; k++) {
                int32_t inside = has(layer, 0, i) && has(layer, 1, j) && has(layer, 2, k);
                for (int32_t l = 0; l < layer->output[3]; l++)
                    *output++ = inside && has(layer, 3, l) ? *input++ : (int8_t)layer->value;
            }
}
