#include "sums.h"

void layer_depthwise_convolution(const struct depthwise_convolution *layer, const int8_t *input,
                                 int8_t *output)
{
    int32_t channels = layer->output.channels;
    for (int32_t y = 0; y < layer->output.height; y++)
        for (int32_t x = 0; x < layer->output.width; x++) {
            int32_t top = y * layer->stride.height - layer->padding.height;
            int32_t left = x * layer->stride.width - layer->padding.width;
            struct span rows = inside(top, layer->input.height, layer->filter.height,
                                      layer->dilation.height);
            struct span columns = inside(left, layer->input.width, layer->filter.width,
                                         layer->dilation.width);
            for (int32_t channel = 0; channel < channels; channel++) {
                const int8_t *values = input + channel / layer->multiplier;
                const int8_t *weights = layer->weights + channel;
                int32_t sum = layer->biases[channel];
                for (int32_t i = rows.first; i < rows.end; i++)
                    for (int32_t j = columns.first; j < columns.end; j++) {
                        int32_t row = top + i * layer->dilation.height;
                        int32_t column = left + j * layer->dilation.width;
                        int32_t at = (row * layer->input.width + column) * layer->input.channels;
                        sum += (values[at] - layer->input_zero_point) *
                               weights[(i * layer->filter.width + j) * channels];
                    }
                *output++ = scaled(&layer->scaling, channel, sum);
            }
        }
}
