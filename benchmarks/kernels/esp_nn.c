/* Each layer by our C and by ESP-NN, as esp-tflite-micro calls it. */
#include "esp_nn.h"
#include "comparison.h"

void begin_counting(void)
{
}

uint64_t instructions(void)
{
    return 0; /* nothing counts them here */
}

static data_dims_t dims(const struct map *map)
{
    data_dims_t result = {map->width, map->height, map->channels, 1};
    return result;
}

static data_2d_t pair(struct plane plane)
{
    data_2d_t result = {plane.width, plane.height};
    return result;
}

/* esp-tflite-micro computes these with the reference kernels. */
static int32_t is_dilated(struct plane dilation)
{
    return dilation.height * dilation.width > 1;
}

void __real_layer_convolution(const struct convolution *, const int8_t *, int16_t *, int8_t *);
void __wrap_layer_convolution(const struct convolution *layer, const int8_t *input, int16_t *window,
                              int8_t *output)
{
    const data_dims_t in = dims(&layer->input), out = dims(&layer->output);
    const data_dims_t filter = {layer->filter.width, layer->filter.height, layer->filter_channels,
                                0};
    const conv_params_t params = {-layer->input_zero_point,
                                  layer->scaling.zero_point,
                                  pair(layer->stride),
                                  pair(layer->padding),
                                  {0, 0},
                                  {layer->scaling.least, layer->scaling.most}};
    const quant_data_t quant = {their_shifts, their_multipliers};
    int32_t in_groups = filter.channels < in.channels, is_1x1 = filter.width * filter.height == 1;
    enum kind kind = in_groups && is_1x1 ? GROUPED_1X1 : CONVOLUTION;
    if (is_dilated(layer->dilation)) {
        __real_layer_convolution(layer, input, window, output);
        return;
    }
    reserve(kind, esp_nn_get_conv_scratch_size(&in, &filter, &out, &params));
    esp_nn_set_conv_scratch_buf(room);
    expand(&layer->scaling, out.channels);
    BOTH(kind,
         esp_nn_conv_s8(&in, input, &filter, layer->weights, layer->biases, &out, theirs, &params,
                        &quant),
         __real_layer_convolution(layer, input, window, output), map_size(&layer->output));
}

void __real_layer_depthwise_convolution(const struct depthwise_convolution *, const int8_t *,
                                        int8_t *);
void __wrap_layer_depthwise_convolution(const struct depthwise_convolution *layer,
                                        const int8_t *input, int8_t *output)
{
    const data_dims_t in = dims(&layer->input), out = dims(&layer->output);
    const data_dims_t filter = {layer->filter.width, layer->filter.height, 0, 0};
    const dw_conv_params_t params = {-layer->input_zero_point,
                                     layer->scaling.zero_point,
                                     layer->multiplier,
                                     pair(layer->stride),
                                     pair(layer->padding),
                                     {0, 0},
                                     {layer->scaling.least, layer->scaling.most}};
    const quant_data_t quant = {their_shifts, their_multipliers};
    if (is_dilated(layer->dilation)) {
        __real_layer_depthwise_convolution(layer, input, output);
        return;
    }
    reserve(DEPTHWISE, esp_nn_get_depthwise_conv_scratch_size(&in, &filter, &out, &params));
    esp_nn_set_depthwise_conv_scratch_buf(room);
    expand(&layer->scaling, out.channels);
    BOTH(DEPTHWISE,
         esp_nn_depthwise_conv_s8(&in, input, &filter, layer->weights, layer->biases, &out, theirs,
                                  &params, &quant),
         __real_layer_depthwise_convolution(layer, input, output), map_size(&layer->output));
}

/* Our biases contain the zero point of the input, so that ESP-NN gets 0. It changes no sum. */
static void dense(const struct fully_connected *layer, const int8_t *input)
{
    const struct scaling *scaling = &layer->scaling;
    for (int32_t row = 0; row < layer->rows; row++) {
        const int8_t *from = input + row * layer->inputs;
        int8_t *to = theirs + row * layer->outputs;
        if (scaling->per_channel)
            esp_nn_fully_connected_per_ch_s8(from, 0, (uint16_t)layer->inputs, layer->weights, 0,
                                             layer->biases, to, (uint16_t)layer->outputs,
                                             scaling->zero_point, their_shifts, their_multipliers,
                                             scaling->least, scaling->most);
        else
            esp_nn_fully_connected_s8(from, 0, (uint16_t)layer->inputs, layer->weights, 0,
                                      layer->biases, to, (uint16_t)layer->outputs,
                                      scaling->zero_point, their_shifts[0], their_multipliers[0],
                                      scaling->least, scaling->most);
    }
}

void __real_layer_fully_connected(const struct fully_connected *, const int8_t *, int8_t *);
void __wrap_layer_fully_connected(const struct fully_connected *layer, const int8_t *input,
                                  int8_t *output)
{
    expand(&layer->scaling, layer->outputs);
    BOTH(DENSE, dense(layer, input), __real_layer_fully_connected(layer, input, output),
         layer->rows * layer->outputs);
}

#define POOLING(kind, name, function)                                                              \
    void __real_layer_##name(const struct pooling *, const int8_t *, int8_t *);                    \
    void __wrap_layer_##name(const struct pooling *layer, const int8_t *input, int8_t *output)     \
    {                                                                                              \
        const data_dims_t in = dims(&layer->input), out = dims(&layer->output);                    \
        BOTH(kind,                                                                                 \
             function(input, (uint16_t)in.width, (uint16_t)in.height, theirs, (uint16_t)out.width, \
                      (uint16_t)out.height, (uint16_t)layer->stride.width,                         \
                      (uint16_t)layer->stride.height, (uint16_t)layer->filter.width,               \
                      (uint16_t)layer->filter.height, (uint16_t)layer->padding.width,              \
                      (uint16_t)layer->padding.height, layer->least, layer->most,                  \
                      (uint16_t)in.channels),                                                      \
             __real_layer_##name(layer, input, output), map_size(&layer->output));                 \
    }

POOLING(MAX_POOLING, max_pooling, esp_nn_max_pool_s8)
POOLING(AVERAGE_POOLING, average_pooling, esp_nn_avg_pool_s8)

void __real_layer_addition(const struct addition *, const int8_t *, const int8_t *, int8_t *);
void __wrap_layer_addition(const struct addition *layer, const int8_t *first, const int8_t *second,
                           int8_t *output)
{
    int32_t count = layer->grid.counts[3];
    if (!is_one_run(&layer->grid)) {
        __real_layer_addition(layer, first, second, output);
        return;
    }
    BOTH(ADDITION,
         esp_nn_add_elementwise_s8(first, second, -layer->first.zero_point,
                                   -layer->second.zero_point, layer->first.multiplier,
                                   layer->second.multiplier, layer->first.shift,
                                   layer->second.shift, SPARE_BITS, theirs, layer->zero_point,
                                   layer->multiplier, layer->shift, layer->least, layer->most,
                                   count),
         __real_layer_addition(layer, first, second, output), count);
}

void __real_layer_multiplication(const struct multiplication *, const int8_t *, const int8_t *,
                                 int8_t *);
void __wrap_layer_multiplication(const struct multiplication *layer, const int8_t *first,
                                 const int8_t *second, int8_t *output)
{
    int32_t count = layer->grid.counts[3];
    if (!is_one_run(&layer->grid)) {
        __real_layer_multiplication(layer, first, second, output);
        return;
    }
    BOTH(PRODUCT,
         esp_nn_mul_elementwise_s8(first, second, -layer->first_zero_point,
                                   -layer->second_zero_point, theirs, layer->zero_point,
                                   layer->multiplier, layer->shift, layer->least, layer->most,
                                   count),
         __real_layer_multiplication(layer, first, second, output), count);
}

void __real_layer_softmax(const struct softmax *, const int8_t *, int8_t *);
void __wrap_layer_softmax(const struct softmax *layer, const int8_t *input, int8_t *output)
{
    reserve(SOFTMAX, esp_nn_get_softmax_scratch_size(layer->classes, layer->rows));
    esp_nn_set_softmax_scratch_buf(room);
    BOTH(SOFTMAX,
         esp_nn_softmax_s8(input, layer->rows, layer->classes, layer->multiplier, layer->shift,
                           layer->least, theirs),
         __real_layer_softmax(layer, input, output), layer->rows * layer->classes);
}
