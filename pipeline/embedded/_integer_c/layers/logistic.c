#include "layers.h"

void layer_logistic(const struct logistic *layer, const int8_t *input, int8_t *output)
{
    for (int32_t index = 0; index < layer->count; index++)
        output[index] = layer->table[input[index] - INT8_MIN];
}
