/*
 * The linker's --wrap leads each call of a layer here. It is computed by our C and by CMSIS-NN, as
 * TensorFlow Lite Micro calls it, and the outputs and the instructions are compared.
 *
 * Two things differ from how TensorFlow Lite Micro calls CMSIS-NN, and neither changes a sum: the
 * biases of a dense layer contain the zero point of the input, and shifts are made int32 in each call.
 * That is not counted, nor are the kernel sums for Helium, which are made once there.
 */
#include "cmsis_nn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arm_nnfunctions.h"
#include "layers/layers.h"

#define SPARE_BITS 20 /* as in addition.c */
#define MOST_CHANNELS 1024
#define MOST_VALUES 65536

/* The system timer of each Cortex-M; with QEMU's -icount shift=0 an instruction is a nanosecond. */
#define TIMER_CONTROL (*(volatile uint32_t *)0xE000E010)
#define TIMER_RELOAD (*(volatile uint32_t *)0xE000E014)
#define TIMER_VALUE (*(volatile uint32_t *)0xE000E018)
#define TIMER_MOST 0xFFFFFF

enum kind { CONVOLUTION, DEPTHWISE, DENSE, MAX_POOLING, AVERAGE_POOLING, ADDITION, PRODUCT, SOFTMAX, KINDS };

static const char *const names[KINDS] = {"CONV_2D",         "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D",
                                         "AVERAGE_POOL_2D", "ADD",               "MUL",             "SOFTMAX"};

static struct {
    uint32_t layers, values, differing, largest, room;
    uint64_t ours, theirs;
} found[KINDS];

int32_t cmsis_nn_passes_on;
static int8_t theirs[MOST_VALUES];
static int32_t room[MOST_VALUES / 4], multipliers[MOST_CHANNELS], shifts[MOST_CHANNELS];
static const cmsis_nn_context context = {room, sizeof room};

static void begin_counting(void)
{
    TIMER_RELOAD = TIMER_MOST;
    TIMER_VALUE = 0;
    TIMER_CONTROL = 5; /* on, at the speed of the processor */
}

static uint64_t instructions(void)
{
    return (uint64_t)((TIMER_MOST - TIMER_VALUE) * (1000.0 / MEGAHERTZ));
}

static void must(int32_t holds, const char *what)
{
    if (holds)
        return;
    printf("error: %s\n", what);
    exit(4);
}

/* What CMSIS-NN asks for a layer. */
static void reserve(enum kind kind, int32_t bytes)
{
    must(bytes <= (int32_t)sizeof room, "a layer needs too much memory");
    if ((uint32_t)bytes > found[kind].room)
        found[kind].room = (uint32_t)bytes;
}

static void compare(enum kind kind, int8_t *output, int32_t count)
{
    found[kind].layers++;
    found[kind].values += (uint32_t)count;
    for (int32_t at = 0; at < count; at++) {
        uint32_t apart = (uint32_t)abs(output[at] - theirs[at]);
        found[kind].differing += apart > 0;
        if (apart > found[kind].largest)
            found[kind].largest = apart;
    }
    if (cmsis_nn_passes_on)
        memcpy(output, theirs, (size_t)count);
}

/* CMSIS-NN first, as the output may lie where an input does. */
#define BOTH(kind, call_of_theirs, call_of_ours, count)                                            \
    do {                                                                                           \
        arm_cmsis_nn_status status;                                                                \
        must((count) <= MOST_VALUES, "a layer is too large");                                      \
        begin_counting();                                                                          \
        status = call_of_theirs;                                                                   \
        found[kind].theirs += instructions();                                                      \
        must(status == ARM_CMSIS_NN_SUCCESS, "CMSIS-NN refuses a layer");                          \
        begin_counting();                                                                          \
        call_of_ours;                                                                              \
        found[kind].ours += instructions();                                                        \
        compare(kind, output, count);                                                              \
    } while (0)

void print_comparison(void)
{
    for (int32_t kind = 0; kind < KINDS; kind++)
        if (found[kind].layers)
            printf("%s %lu %lu %lu %lu %lu %llu %llu\n", names[kind],
                   (unsigned long)found[kind].layers, (unsigned long)found[kind].values,
                   (unsigned long)found[kind].differing, (unsigned long)found[kind].largest,
                   (unsigned long)found[kind].room,
                   (unsigned long long)found[kind].ours, (unsigned long long)found[kind].theirs);
    memset(found, 0, sizeof found);
}

int32_t pick(int32_t least, int32_t most)
{
    static uint32_t state = 1; /* Marsaglia's xorshift */
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return least + (int32_t)(state % (uint32_t)(most - least + 1));
}

static void expand(const struct scaling *scaling, int32_t channels)
{
    must(channels <= MOST_CHANNELS, "a layer has too many channels");
    for (int32_t channel = 0; channel < channels; channel++) {
        int32_t at = scaling->per_channel ? channel : 0;
        multipliers[channel] = scaling->multipliers[at];
        shifts[channel] = scaling->shifts[at];
    }
}

static int32_t size(const struct map *map)
{
    return map->height * map->width * map->channels;
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
    const cmsis_nn_per_channel_quant_params quant = {multipliers, shifts};
    reserve(CONVOLUTION, arm_convolve_wrapper_s8_get_buffer_size(&params, &in, &filter, &out));
    expand(&layer->scaling, out.c);
    BOTH(CONVOLUTION,
         arm_convolve_wrapper_s8(&context, &params, &quant, &in, input, &filter, layer->weights, &bias,
                                 layer->biases, &out, theirs),
         __real_layer_convolution(layer, input, window, output), size(&layer->output));
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
    const cmsis_nn_per_channel_quant_params quant = {multipliers, shifts};
    reserve(DEPTHWISE, arm_depthwise_conv_wrapper_s8_get_buffer_size(&params, &in, &filter, &out));
    expand(&layer->scaling, out.c);
    BOTH(DEPTHWISE,
         arm_depthwise_conv_wrapper_s8(&context, &params, &quant, &in, input, &filter, layer->weights,
                                       &bias, layer->biases, &out, theirs),
         __real_layer_depthwise_convolution(layer, input, output), size(&layer->output));
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
    const cmsis_nn_quant_params quant = {multipliers, shifts, layer->scaling.per_channel};
    reserve(DENSE, arm_fully_connected_s8_get_buffer_size(&filter));
    expand(&layer->scaling, layer->outputs);
    arm_vector_sum_s8(room, layer->inputs, layer->outputs, layer->weights, 0, 0, layer->biases);
    BOTH(DENSE,
         arm_fully_connected_wrapper_s8(&context, &params, &quant, &in, input, &filter, layer->weights,
                                        &bias, layer->biases, &out, theirs),
         __real_layer_fully_connected(layer, input, output), layer->rows * layer->outputs);
}

#define POOLING(kind, name, function, bytes)                                                              \
    void __real_layer_##name(const struct pooling *, const int8_t *, int8_t *);                    \
    void __wrap_layer_##name(const struct pooling *layer, const int8_t *input, int8_t *output)     \
    {                                                                                              \
        const cmsis_nn_dims in = dims(&layer->input), out = dims(&layer->output);                  \
        const cmsis_nn_dims filter = {1, layer->filter.height, layer->filter.width, 1};            \
        const cmsis_nn_pool_params params = {                                                      \
            tile(layer->stride), tile(layer->padding), {layer->least, layer->most}};               \
        reserve(kind, bytes);                                                                      \
        BOTH(kind, function(&context, &params, &in, input, &filter, &out, theirs),                 \
             __real_layer_##name(layer, input, output), size(&layer->output));                     \
    }

POOLING(MAX_POOLING, max_pooling, arm_max_pool_s8, 0)
POOLING(AVERAGE_POOLING, average_pooling, arm_avgpool_s8,
        arm_avgpool_s8_get_buffer_size(out.w, in.c))

/* TensorFlow Lite Micro repeats inputs (broadcasting) with its reference kernels. */
static int32_t is_one_run(const struct grid *grid)
{
    return grid->counts[0] * grid->counts[1] * grid->counts[2] == 1 && grid->first_steps[3] == 1 &&
           grid->second_steps[3] == 1;
}

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
         arm_elementwise_add_s8(first, second, -layer->first.zero_point, layer->first.multiplier,
                                layer->first.shift, -layer->second.zero_point,
                                layer->second.multiplier, layer->second.shift, SPARE_BITS, theirs,
                                layer->zero_point, layer->multiplier, layer->shift, layer->least,
                                layer->most, count),
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
         arm_elementwise_mul_s8(first, second, -layer->first_zero_point, -layer->second_zero_point,
                                theirs, layer->zero_point, layer->multiplier, layer->shift,
                                layer->least, layer->most, count),
         __real_layer_multiplication(layer, first, second, output), count);
}

void __real_layer_softmax(const struct softmax *, const int8_t *, int8_t *);
void __wrap_layer_softmax(const struct softmax *layer, const int8_t *input, int8_t *output)
{
    BOTH(SOFTMAX,
         (arm_softmax_s8(input, layer->rows, layer->classes, layer->multiplier, layer->shift,
                         layer->least, theirs),
          ARM_CMSIS_NN_SUCCESS),
         __real_layer_softmax(layer, input, output), layer->rows * layer->classes);
}
