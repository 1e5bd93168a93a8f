#include "layers.h"

void layer_concatenation(const struct concatenation *layer, const int8_t *input, int8_t *output)
{
    for (int32_t block = 0; block < layer->blocks; block++)
        for (int32_t index = 0; index < layer->bytes; index++)
            output[layer->offset + block * layer->step + index] = *input++;
}
