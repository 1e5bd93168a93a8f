#include "dot_product.h"
#include "sums.h"

/* The values under the filter, as differences from the zero point: 0 outside the input. */
static void gather(const struct convolution *layer, const int8_t *input, int32_t top, int32_t left,
                   int16_t *window)
{
    for (int32_t y = 0; y < layer->filter.height; y++)
        for (int32_t x = 0; x < layer->filter.width; x++) {
            int32_t row = top + y * layer->dilation.height;
            int32_t column = left + x * layer->dilation.width;
            int32_t inside = row >= 0 && row < layer->input.height && column >= 0 &&
                             column < layer->input.width;
            int32_t pixel = (row * layer->input.width + column) * layer->input.channels;
            for (int32_t at = pixel; at < pixel + layer->filter_channels; at++)
                *window++ = (int16_t)(inside ? input[at] - layer->input_zero_point : 0);
        }
}

void layer_convolution(const struct convolution *layer, const int8_t *input, int16_t *window,
                       int8_t *output)
{
    int32_t products = layer->filter.height * layer->filter.width * layer->filter_channels;
    int32_t row_bytes = bytes_of_weights(products, layer->packed);
    int32_t groups = layer->input.channels / layer->filter_channels;
    int32_t filters = layer->output.channels / groups; /* of each group */
    for (int32_t y = 0; y < layer->output.height; y++)
        for (int32_t x = 0; x < layer->output.width; x++)
            for (int32_t group = 0; group < groups; group++) {
                gather(layer, input + group * layer->filter_channels,
                       y * layer->stride.height - layer->padding.height,
                       x * layer->stride.width - layer->padding.width, window);
                for (int32_t filter = group * filters; filter < (group + 1) * filters; filter++) {
                    const int8_t *weights = layer->weights + filter * row_bytes;
                    int32_t sum = add_dot_product(layer->biases[filter], window, weights, products,
                                                  layer->packed);
                    *output++ = scaled(&layer->scaling, filter, sum);
                }
            }
}
