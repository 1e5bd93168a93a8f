/*
 * Each layer by our C and by CMSIS-NN: the outputs and the instructions are compared.
 *
 * Two things differ from how TensorFlow Lite Micro calls CMSIS-NN, and neither changes a sum: the
 * biases of a dense layer contain the zero point of the input, and shifts are made int32 in each call.
 * That is not counted, nor are the kernel sums for Helium, which are made once there.
 */
#include "arm_nnfunctions.h"
#include "comparison.h"

/* The system timer of each Cortex-M; with QEMU's -icount shift=0 an instruction is a nanosecond. */
#define TIMER_CONTROL (*(volatile uint32_t *)0xE000E010)
#define TIMER_RELOAD (*(volatile uint32_t *)0xE000E014)
#define TIMER_VALUE (*(volatile uint32_t *)0xE000E018)
#define TIMER_MOST 0xFFFFFF

static const cmsis_nn_context context = {room, sizeof room};

void begin_counting(void)
{
    TIMER_RELOAD = TIMER_MOST;
    TIMER_VALUE = 0;
    TIMER_CONTROL = 5; /* on, at the speed of the processor */
}

uint64_t instructions(void)
{
    return (uint64_t)((TIMER_MOST - TIMER_VALUE) * (1000.0 / MEGAHERTZ));
}

static void succeed(arm_cmsis_nn_status status)
{
    must(status == ARM_CMSIS_NN_SUCCESS, "CMSIS-NN refuses a layer");
}

static cmsis_nn_dims dims(const struct map *map)
{
    cmsis_nn_dims result = {1, map->height, map->width, map->channels};
    return result;
}

static cmsis_nn_tile tile(struct plane plane)
{
    cmsis_nn_tile result = {plane.width, plane.height};
    return result;
}

void __real_layer_convolution(const struct convolution *, const int8_t *, int16_t *, int8_t *);
void __wrap_layer_convolution(const struct convolution *layer, const int8_t *input, int16_t *window,
                              int8_t *output)
{
    const cmsis_nn_dims in = dims(&layer->input), out = dims(&layer->output);
    const cmsis_nn_dims filter = {out.c, layer->filter.height, layer->filter.width,
                                  layer->filter_channels};
    const cmsis_nn_dims bias = {1, 1, 1, out.c};
    const cmsis_nn_conv_params params = {-layer->input_zero_point,
                                         layer->scaling.zero_point,
                                         tile(layer->stride),
                                         tile(layer->padding),
                                         tile(layer->dilation),
                                         {layer->scaling.least, layer->scaling.most}};
    const cmsis_nn_per_channel_quant_params quant = {their_multipliers, their_shifts};
    reserve(CONVOLUTION, arm_convolve_wrapper_s8_get_buffer_size(&params, &in, &filter, &out));
    expand(&layer->scaling, out.c);
    BOTH(CONVOLUTION,
         succeed(arm_convolve_wrapper_s8(&context, &params, &quant, &in, input, &filter,
                                         layer->weights, &bias, layer->biases, &out, theirs)),
         __real_layer_convolution(layer, input, window, output), map_size(&layer->output));
}

void __real_layer_depthwise_convolution(const struct depthwise_convolution *, const int8_t *,
                                        int8_t *);
void __wrap_layer_depthwise_convolution(const struct depthwise_convolution *layer,
                                        const int8_t *input, int8_t *output)
{
    const cmsis_nn_dims in = dims(&layer->input), out = dims(&layer->output);
    const cmsis_nn_dims filter = {1, layer->filter.height, layer->filter.width, out.c};
    const cmsis_nn_dims bias = {1, 1, 1, out.c};
    const cmsis_nn_dw_conv_params params = {-layer->input_zero_point,
                                            layer->scaling.zero_point,
                                            layer->multiplier,
                                            tile(layer->stride),
                                            tile(layer->padding),
                                            tile(layer->dilation),
                                            {layer->scaling.least, layer->scaling.most}};
    const cmsis_nn_per_channel_quant_params quant = {their_multipliers, their_shifts};
    reserve(DEPTHWISE, arm_depthwise_conv_wrapper_s8_get_buffer_size(&params, &in, &filter, &out));
    expand(&layer->scaling, out.c);
    BOTH(DEPTHWISE,
         succeed(arm_depthwise_conv_wrapper_s8(&context, &params, &quant, &in, input, &filter,
                                               layer->weights, &bias, layer->biases, &out,
                                               theirs)),
         __real_layer_depthwise_convolution(layer, input, output), map_size(&layer->output));
}

void __real_layer_fully_connected(const struct fully_connected *, const int8_t *, int8_t *);
void __wrap_layer_fully_connected(const struct fully_connected *layer, const int8_t *input,
                                  int8_t *output)
{
    const cmsis_nn_dims in = {layer->rows, 1, 1, layer->inputs};
    const cmsis_nn_dims out = {layer->rows, 1, 1, layer->outputs};
    const cmsis_nn_dims filter = {layer->inputs, 1, 1, layer->outputs};
    const cmsis_nn_dims bias = {1, 1, 1, layer->outputs};
    const cmsis_nn_fc_params params = {
        0, 0, layer->scaling.zero_point, {layer->scaling.least, layer->scaling.most}};
    const cmsis_nn_quant_params quant = {their_multipliers, their_shifts,
                                         layer->scaling.per_channel};
    reserve(DENSE, arm_fully_connected_s8_get_buffer_size(&filter));
    expand(&layer->scaling, layer->outputs);
    arm_vector_sum_s8(room, layer->inputs, layer->outputs, layer->weights, 0, 0, layer->biases);
    BOTH(DENSE,
         succeed(arm_fully_connected_wrapper_s8(&context, &params, &quant, &in, input, &filter,
                                                layer->weights, &bias, layer->biases, &out,
                                                theirs)),
         __real_layer_fully_connected(layer, input, output), layer->rows * layer->outputs);
}

#define POOLING(kind, name, function, bytes)                                                       \
    void __real_layer_##name(const struct pooling *, const int8_t *, int8_t *);                    \
    void __wrap_layer_##name(const struct pooling *layer, const int8_t *input, int8_t *output)     \
    {                                                                                              \
        const cmsis_nn_dims in = dims(&layer->input), out = dims(&layer->output);                  \
        const cmsis_nn_dims filter = {1, layer->filter.height, layer->filter.width, 1};            \
        const cmsis_nn_pool_params params = {                                                      \
            tile(layer->stride), tile(layer->padding), {layer->least, layer->most}};               \
        reserve(kind, bytes);                                                                      \
        BOTH(kind, succeed(function(&context, &params, &in, input, &filter, &out, theirs)),        \
             __real_layer_##name(layer, input, output), map_size(&layer->output));                 \
    }

POOLING(MAX_POOLING, max_pooling, arm_max_pool_s8, 0)
POOLING(AVERAGE_POOLING, average_pooling, arm_avgpool_s8,
        arm_avgpool_s8_get_buffer_size(out.w, in.c))

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
         succeed(arm_elementwise_add_s8(
             first, second, -layer->first.zero_point, layer->first.multiplier, layer->first.shift,
             -layer->second.zero_point, layer->second.multiplier, layer->second.shift, SPARE_BITS,
             theirs, layer->zero_point, layer->multiplier, layer->shift, layer->least, layer->most,
             count)),
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
         succeed(arm_elementwise_mul_s8(first, second, -layer->first_zero_point,
                                        -layer->second_zero_point, theirs, layer->zero_point,
                                        layer->multiplier, layer->shift, layer->least, layer->most,
                                        count)),
         __real_layer_multiplication(layer, first, second, output), count);
}

void __real_layer_softmax(const struct softmax *, const int8_t *, int8_t *);
void __wrap_layer_softmax(const struct softmax *layer, const int8_t *input, int8_t *output)
{
    BOTH(SOFTMAX,
         arm_softmax_s8(input, layer->rows, layer->classes, layer->multiplier, layer->shift,
                        layer->least, theirs),
         __real_layer_softmax(layer, input, output), layer->rows * layer->classes);
}
