#include "layers.h"

void layer_table(const struct table *layer, const int8_t *input, int8_t *output)
{
    for (int32_t index = 0; index < layer->count; index++)
        output[index] = layer->values[input[index] - INT8_MIN];
}
